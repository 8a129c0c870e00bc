# Answers come as the backend sent them: the bytes of ids and numbers, the
# order of members, any size, one data line each; Frappe gets the raw bytes of
# the client.  docs/PROTOCOL.md 3 and 6.

use strict;
use warnings;
use utf8;

use lib 't/lib';
use MCPTest;
use Test::More;

binmode Test::More->builder->$_, ':utf8'
    for qw(output failure_output todo_output);

my $frappe = start_frappe();
my $utf8   = sub { my ($text) = @_; utf8::encode($text); return $text };

for my $dialect (qw(new old)) {
    my $nginx  = start_nginx(dialect => $dialect, http => <<'EOT');
    mcp_sse_max_message 4m;
    mcp_sse_zone zone=mcp_sse:32m;
EOT
    my $stream = open_stream($nginx);

    # ids that JSON-RPC allows

    for my $id (0, 1, -1, 9007199254740993, '1152921504606846976',
        '9223372036854775807', '-9223372036854775808', '18446744073709551616',
        '123456789012345678901234567890', '""', '"a"', '"0"', '" "',
        '"listen:0"', '"server-discover-probe-1"', '"a b"',
        '"' . 'x' x 1000 . '"')
    {
        my $raw = call($nginx, $stream, request($id, 'tools/list', {}));
        my $name = length $id > 50 ? 'a long one' : $id;

        is(raw_id($raw || '{}'), $id,
            "$dialect: a call is answered with id $name");

        delete $stream->{answers}{$id};
        $raw = call($nginx, $stream, request($id, 'ping'));
        is(raw_id($raw || '{}'), $id,
            "$dialect: a ping is answered with id $name");
    }

    for my $id ($utf8->('"é-1"'), $utf8->('"日本"'), $utf8->('"😀"'),
        '"\u00e9-1"', '"\ud83d\ude00"', '"a\nb\t\"c\" \\\\ \/ d"',
        '"\u0041"', '"\u2028"', '"</script>"')
    {
        my $raw = call($nginx, $stream, request($id, 'ping'));

        is(raw_id($raw || '{}'), $id,
            "$dialect: a ping is answered with id $id");

        # Frappe may write the id with other escapes; its value is the same

        my $n = $stream->messages;

        accepted(post($nginx, $stream, request($id, 'tools/list', {})),
            "$dialect: a call with id $id is accepted");
        run_until(sub { $stream->messages > $n });

        my $event = ($stream->messages)[$n];
        my $got   = decode($event ? $event->{data} : '{}') || {};

        is($got->{id}, decode("[$id]")->[0],
            "$dialect: a call is answered with the value of id $id");
        ok(exists $got->{result}, "$dialect: a call with id $id has a result");
        delete $stream->{answers}{ $_->{raw_id} } for $event || ();
    }

    # the string "1" is not the number 1

    {
        delete $stream->{answers}{1};
        delete $stream->{answers}{'"1"'};
        post($nginx, $stream, request(1, 'tools/list', {}));
        post($nginx, $stream, request('"1"', 'tools/list', {}));
        ok($stream->wait_answer(1) && $stream->wait_answer('"1"'),
            "$dialect: 1 and \"1\" are different ids");
    }

    # numbers and the order of members

    {
        my $raw = call($nginx, $stream, tool(1000, 'numbers', {}));
        my ($members) = members($raw || '{}');
        my ($result, $names) = members($members->{result} || '{}');

        is_deeply([ grep { !/\A(?:content|isError)\z/ } @{ $names || [] } ],
            [qw(zebra apple mango minus exponent apple2)],
            "$dialect: the members of a result keep their order");
        is($result->{zebra}, '1.10', "$dialect: the number 1.10 is unchanged");
        is($result->{apple}, '1e999',
            "$dialect: the number 1e999 is unchanged");
        is($result->{mango}, '123456789012345678901234567890',
            "$dialect: a number of 30 digits is unchanged");
        is($result->{minus}, '-0.0', "$dialect: the number -0.0 is unchanged");
        is($result->{exponent}, '1E+2',
            "$dialect: the number 1E+2 is unchanged");
        is($result->{apple2}, '[3,2,1.000]',
            "$dialect: an array of numbers is unchanged");
    }

    {
        my $raw = call($nginx, $stream, tool(1001, 'unicode', {}));

        ok(index($raw || '', $utf8->("na\x{ef}ve \x{20ac} \x{1f600} "
            . "[\\u2028] [\\u2029] \\u0041 \\/ \\ud83d\\ude00")) >= 0,
            "$dialect: raw UTF-8 and escapes are unchanged, separators are "
            . 'escaped');
    }

    # line ends between tokens

    {
        my $raw = call($nginx, $stream, tool(1002, 'two_lines', {}));

        ok(ref decode($raw || '') eq 'HASH',
            "$dialect: an answer with CR LF between tokens comes as JSON");
        unlike($raw || "\n", qr/[\r\n]/,
            "$dialect: an answer with CR LF comes in one line");
        is($stream->{answers}{1002}[0]{lines}, 1,
            "$dialect: an answer with CR LF has one data line");
    }

    # answers of many sizes

    my $id = 2000;

    for my $size (1, 4000, 4096, 8192, 65536, 300_000, 1_000_000, 8_000_000) {
        for my $tool (qw(big big_chunked)) {
            my $raw = call($nginx, $stream, tool(++$id, $tool,
                { bytes => $size }));
            my ($x) = ($raw || '') =~ /(x+)\W*"/;
            my $length = 0;

            while (($raw || '') =~ /(x+)/g) {
                $length = length $1 if length $1 > $length;
            }

            is($length, $size,
                "$dialect: an answer of $size bytes ($tool) comes whole");
            is(raw_id($raw || '{}'), $id,
                "$dialect: an answer of $size bytes ($tool) has its id");
        }
    }

    # messages of many sizes reach Frappe unchanged

    for my $size (10, 4096, 70_000, 1_000_000) {
        my $text = join '', map { chr(65 + $_ % 26) } 1 .. $size;
        my $raw = call($nginx, $stream, tool(++$id, 'echo',
            { text => $text }));

        ok(index($raw || '', $text) >= 0,
            "$dialect: a message of $size bytes reaches Frappe unchanged");
    }

    ok(!$stream->{has_cr}, "$dialect: the stream has no CR");
    is(scalar(grep { $_->{lines} != 1 } $stream->messages), 0,
        "$dialect: each message has one data line");

    unlike($nginx->error_log, qr/temporary file/,
        "$dialect: no answer is buffered in a file");
    $stream->close;
}

# Frappe gets the raw bytes of the client

{
    my $seen;
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        $seen = $_[0]{body};
        return MCPTest::Backend::http(200,
            '{"jsonrpc":"2.0","id":null,"result":{}}');
    });
    my $nginx  = start_nginx(backend => $backend->port);
    my $stream = open_stream($nginx);

    for my $params (
        '{"z":1.10,"a":1e999,"z2":123456789012345678901234567890,"m":-0.0}',
        $utf8->('{"é":"日本 \u0041 \/ \ud83d\ude00","":null}'),
        '[1,2.50,{"b":[],"a":{}}]',
        '{"a":{"cmd":"x","id":7,"method":"y","jsonrpc":"1.0"}}',
        '{}',
    ) {
        delete $stream->{answers}{ $_ } for '"\u0069"';
        ok(call($nginx, $stream,
            '{"params":' . $params . ',"id":"\u0069","method":"tools/call",'
            . '"jsonrpc":"2.0"}'), 'a call with unusual params is answered');

        my ($raw) = members($seen || '{}');

        is($raw->{params}, $params,
            'Frappe gets the bytes of params unchanged');
        is($raw->{id}, '"\u0069"', 'Frappe gets the bytes of the id unchanged');
    }

    # line ends in the client's JSON

    delete $stream->{answers}{5};
    call($nginx, $stream, "{\r\n\"jsonrpc\": \"2.0\",\r\n\"id\": 5,\r\n"
        . "\"method\": \"tools/call\",\r\n\"params\": {\r\n\"a\": 1\r\n}\r\n}");
    is_deeply(decode((members($seen || '{}'))[0]{params}), { a => 1 },
        'Frappe gets a message with line ends between its tokens');

    # a message without params

    delete $stream->{answers}{6};
    call($nginx, $stream, request(6, 'tools/list'));
    is_deeply([ sort keys %{ (members($seen || '{}'))[0] } ],
        [qw(id jsonrpc method)],
        'Frappe gets no params if the client sends none');
    is($backend->{requests}[-1]{method}, 'POST', 'Frappe gets a POST');
    is($backend->{requests}[-1]{headers}{'content-length'},
        length $backend->{requests}[-1]{body},
        'Frappe gets an exact Content-Length');
    $stream->close;
}

finish();
