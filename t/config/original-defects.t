# The defects of the Python bridge that this module replaces, by the numbers of
# its review (D-S1 to D-S11, D1 to D16): the module has none of them.  Other
# files test most of this in depth.  docs/PROTOCOL.md 3.1, 14.6.

use strict;
use warnings;

use File::Temp ();

use lib 't/lib';
use MCPTest;
use MCPTest::Backend;
use Test::More;

my $frappe = start_frappe();
my $alice  = MCPTest::credential();


# Tests that a session id is refused.

sub invalid {
    my ($response, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_rejected($response, 400, -32001, 'Invalid session ID', $name);
}


# A backend with the users of %users: "Bearer NAME" is the user $users{NAME},
# which goes into the JSON as it is.

sub start_users {
    my %users = @_;

    return start_backend(sub {
        my ($request) = @_;

        my ($name) = ($request->{headers}{authorization} || '')
            =~ /\ABearer (\S+)/;

        if ($request->{path} =~ /get_logged_user/) {
            return MCPTest::Backend::http(200,
                qq({"message":"$users{$name}"})) if $name && $users{$name};
            return MCPTest::Backend::http(401, '{}');
        }

        my $id = raw_id($request->{body});

        return MCPTest::Backend::http(200, '{"jsonrpc":"2.0","id":'
            . (defined $id ? $id : 'null')
            . ',"result":{"as":"' . ($name || '?') . '"}}');
    });
}


# ---- one nginx for most defects

my $nginx = start_nginx(workers => 2,
    http => <<'EOT', locations => <<'EOT2');
    mcp_sse_max_sessions  20;
    mcp_sse_max_message   64k;
    mcp_sse_call_timeout  6s;
    mcp_sse_grace         10s;
    mcp_sse_auth_wait     1s;
EOT
        location = /other/sse {
            mcp_sse_site other.example.com;
            mcp_sse_message_uri /other/messages;
            mcp_sse_stream;
        }

        location = /other/messages {
            mcp_sse_site other.example.com;
            mcp_sse_message;
        }

        location = /bridge/sse {
            mcp_sse_message_uri /bridge/messages;
            mcp_sse_stream;
        }

        location = /bridge/messages { mcp_sse_message; }
EOT2

my $stream = open_stream($nginx);

is($stream->status, 200, 'a stream opens');

# security

{
    $frappe->reset;

    for my $auth ('token alice-key: x', 'token alice-key:a x',
        'token alice-key:alice-secret x', 'Bearer alice-token x',
        'Basic YWxpY2U= x')
    {
        is_rejected(open_stream($nginx, auth => $auth), 401, -32001,
            'Invalid authorization',
            'D-S1 a GET with three words in Authorization is 401');
        is_rejected(post($nginx, $stream, request(1, 'tools/list', {}),
            auth => $auth), 401, -32001, 'Invalid authorization',
            'D-S1 a POST with three words in Authorization is 401');
    }

    is($frappe->lookups + $frappe->calls, 0,
        'D-S1 three words in Authorization never reach Frappe');
}

{
    my $id = $stream->session;

    for my $part ('', 'user', '_', '-', 'alice', 'alice@example.com',
        substr($id, 0, 10), substr($id, 5), substr($id, 0, -1), "${id}A",
        lc $id, '%', '*')
    {
        invalid(post($nginx, $part, request(1, 'tools/list', {})),
            "D-S2 a part of a session id is refused: '"
            . ($part =~ /\A[a-z_%*-]*\z/ ? $part : length $part) . q('));
    }

    is($frappe->calls, 0, 'D-S2 no message with a part of an id runs');
}

{
    my $there = open_stream($nginx, path => '/other/sse',
        auth => MCPTest::credential('alice', 'other'));

    is($there->status, 200,
        'D-S3 the same user opens a stream at another site');
    ok(!$stream->ended, 'D-S3 a stream at another site does not end the first');
    invalid(post($nginx, undef, request(1, 'ping'), path =>
        '/other/messages?session_id=' . $stream->session,
        auth => MCPTest::credential('alice', 'other')),
        'D-S3 the id of one site is refused at another');
    ok(call($nginx, $stream, request('"s3"', 'tools/list', {})),
        'D-S3 a request at one site is answered there');
    is(scalar $there->messages, 0,
        'D-S3 the stream of another site has no answer');

    my $taken = open_stream($nginx, path => '/other/sse',
        auth => MCPTest::credential('alice', 'other'),
        headers => [ 'Last-Event-ID', $stream->session ]);

    isnt($taken->session, $stream->session,
        'D-S3 a session cannot be taken over at another site');
    ok(!$stream->ended, 'D-S3 the stream stays open after the attempt');
    $_->close for $there, $taken;
}

{
    my $evil = start_backend(sub { return });
    my $port = $evil->port;
    my $file = File::Temp->new;

    print {$file} "alice-secret\n";
    close $file;
    chmod 0600, $file->filename;
    MCPTest::secret('alice-secret');

    my $lent = start_nginx(http => 'mcp_sse_api_secret '
        . $file->filename . ';');

    for my $url ("http://127.0.0.1:$port", "http://127.0.0.1:$port/?x=",
        "http://127.0.0.1:$port/%3Fx=", 'http://169.254.169.254/',
        "//127.0.0.1:$port", "file:///etc/passwd",
        "http://erp.example.com\@127.0.0.1:$port")
    {
        is_rejected(open_stream($nginx, path => "/mcp/sse?server_url=$url"),
            400, -32602, 'server_url is not served here',
            "D-S4 a foreign server_url is refused: $url");
        is(open_stream($lent, auth => 'alice-key',
            path => "/mcp/sse?server_url=$url")->status, 400,
            "D-S5 a foreign server_url with a key alone is refused: $url");
    }

    # a request of nginx would be in the queue before that of the test

    get($evil->port, '/own');
    is(scalar $evil->requests, 1,
        'D-S4, D-S5 a foreign server gets no request');

    my $with = open_stream($lent, auth => 'alice-key');

    is($with->status, 200, 'D-S5 mcp_sse_api_secret is used for its own key');
    is(open_stream($lent, auth => 'bob-key')->status, 401,
        'D-S5 mcp_sse_api_secret is not used for the key of another user');
    $with->close;
    $evil->stop;
}

{
    my @log = map { $_->error_log . $_->stderr . $_->_slurp('audit.log')
        . $_->_slurp('post.log') } MCPTest::Nginx::all();

    for my $part ('alice-key', 'alice-secr', 'alice-toke', 'YWxpY2',
        'token alice', $stream->session, substr $stream->session, 0, 12)
    {
        is(scalar(grep { index($_, $part) >= 0 } @log), 0,
            'D-S6 no part of a credential or session id in a log: '
            . length $part);
    }
}

{
    my $users  = start_users(
        mallory => 'mal\nSSE connection established: forged\n\ndata: {}\n\n',
        crlf    => 'm\r\nevent: error\r\ndata: x\r\n\r\n',
    );
    my $here   = start_nginx(backend => $users->port);

    for my $name (qw(mallory crlf)) {
        my $got = open_stream($here, auth => "Bearer $name");

        if ($got->status == 200) {
            like($got->first_block, qr/\Aid: (\S+)\nevent: endpoint
                \ndata: \S+=\1\n\n\z/x,
                "D-S7 $name: the name of a user adds no event");
            ok(passed($here, $got), "D-S7 $name: ping is answered");
            is(scalar $got->events, 1, "D-S7 $name: the stream has one event");
            $got->close;

        } else {
            like($got->status, qr/\A(?:401|502)\z/,
                "D-S7 $name: a user with such a name is refused");
        }
    }

    unlike($here->error_log, qr/^(?:SSE\ connection\ established:\ forged
        |event:)/mx,
        'D-S7 the name of a user adds no line to the log');
    unlike($here->error_log, qr/\r/, 'D-S7 the log has no carriage return');
    $users->stop;
}

{
    my $small = start_nginx(http => 'mcp_sse_max_sessions 2; '
        . 'mcp_sse_max_inbox 3; mcp_sse_max_calls 1; mcp_sse_queue 16k; '
        . 'mcp_sse_max_message 4k; mcp_sse_session_ttl 1h;');
    my $one = open_stream($small);
    my $two = open_stream($small);

    is(open_stream($small)->status, 429,
        'D-S8 the number of streams is limited');
    is_rejected(post($small, $one, tool(1, 'echo', { text => 'x' x 5000 })),
        413, -32600, 'Message too large',
        'D-S8 the size of messages is limited');

    my @posts = post_many($small, $one,
        map { tool($_, 'hang', {}) } 1 .. 12);
    my %status;

    $status{ $_->status }++ for @posts;
    is(($status{202} || 0) + ($status{429} || 0), 12,
        'D-S8 each message for a busy session is 202 or 429');
    cmp_ok($status{429} || 0, '>', 0, 'D-S8 messages that wait are limited');
    $_->close for $one, $two;
}

{
    for my $name (qw(throw permission status not_json)) {
        my $raw = call($nginx, $stream, tool(qq("s9 $name"), $name, {}));

        ok(error_of($raw), "D-S9 $name: the answer is an error");
        unlike($raw || 'Traceback', qr/Traceback|html|frappe|Salary|File /i,
            "D-S9 $name: the error has no internals of Frappe");
    }
}

{
    open my $file, '<', MCPTest::root() . '/nginx.conf.example';
    my $example = do { local $/; <$file> };

    is_deeply([ $example =~ /^\s*listen\s+(\S+);/mg ], [ '127.0.0.1:8080' ],
        'D-S10 the example listens on the loopback address only');

    for my $path (qw(/docs /redoc /openapi.json)) {
        is(get($nginx, $path)->status, 404, "D-S10 $path is 404");
    }

    is(open_stream($nginx, headers => [ Origin => 'http://evil.example.com' ]
        )->status, 403, 'D-S10 a foreign Origin is refused');
    is($stream->header('Access-Control-Allow-Origin'), undef,
        'D-S10 a stream has no Access-Control-Allow-Origin');
}

{
    my $here = start_nginx(http =>
        'mcp_sse_auth_cache 1s; mcp_sse_auth_recheck 1s;');
    my $bob  = open_stream($here, auth => MCPTest::credential('bob'));
    my @ids  = map { my $s = open_stream($here); $s->close; $s->session } 1, 2;

    $frappe->set(revoke => 'bob-key');
    is($bob->wait_ended, 'clean',
        'D-S11 a revoked credential ends an open stream');
    $frappe->reset;

    # the first 12 characters are equal: version, time of issue, instance

    isnt(substr($ids[0], 12, 16), substr($ids[1], 12, 16),
        'D-S11 session ids are random');
    cmp_ok(length $ids[0], '>=', 48, 'D-S11 session ids are long');

    my $raw = post($nginx, $stream, '{"jsonrpc":"2.0","id":"cmd",'
        . '"method":"tools/list","params":{},"cmd":"frappe.client.delete"}');

    $stream->wait_answer('"cmd"') if $raw->status == 202;

    my ($last) = reverse grep { $_->{path} =~ /handle_mcp/ } $frappe->requests;

    ok($raw->status == 202 ? $last : 1,
        'D-S11 a message with a member "cmd" reaches Frappe if accepted');
    unlike(encode($last || {}), qr/frappe\.client\.delete/,
        'D-S11 the member "cmd" does not reach Frappe');
}

# correctness

{
    my $lost = open_stream($nginx);
    my $open = health($nginx)->{active_connections};

    $lost->close;
    run_until(sub { health($nginx)->{active_connections} < $open });

    my $held = post($nginx, $lost, request(1, 'tools/list', {}), async => 1);

    ok(run_until(sub { health($nginx)->{pending_requests} == 1 }),
        'D1 a message for a lost stream is pending');

    my $back = open_stream($nginx, headers =>
        [ 'Last-Event-ID', $lost->session ]);

    $held->wait;
    accepted($held, 'D1 this message is accepted when the stream is back');
    like($back->wait_answer(1), qr/"result"/,
        'D1 this message has a result');

    # the new stream opens before nginx notices the end of the old one

    my $new = open_stream($nginx, path =>
        '/mcp/sse?session_id=' . $back->session);

    $back->wait_ended;
    $back->close;
    connect_worker($nginx, $_)->close for $nginx->wait_workers;
    ok(call($nginx, $new, request(2, 'ping')),
        'D2 the end of an old stream does not end the new one');
    ok(!$stream->ended, 'D2 a second client of a user does not end the first');

    # D6: 202 only with a stream; what the server ends is answered

    accepted(post($nginx, $new, tool(3, 'hang', {})),
        'D6 a call on an open stream is accepted');

    my $last = open_stream($nginx, path =>
        '/mcp/sse?session_id=' . $new->session);

    is_error($new->wait_answer(3), -32010,
        'Stream closed before the answer',
        'D6 a stream that the server ends gets an answer to every call');

    $open = health($nginx)->{active_connections};
    $last->close;
    run_until(sub { health($nginx)->{active_connections} < $open });
    $frappe->reset;
    invalid(post($nginx, $last, tool(4, 'echo', {})),
        'D6 a message without a stream for its answer is not 202');
    is($frappe->tool_count('echo'), 0, 'D6 this message does not run');
}

{
    my %users = (
        A => 'a.b@c.de',   B => 'a@b.c.de',   C => 'a_b@c.de',
        D => 'a+b@c.de',   E => 'a&b=c@c.de', F => 'a#b@c.de',
        G => 'a%40b@c.de', H => "o'b\x{c3}\x{a9}\@c.de",
        'keys-equal-in-10-1' => 'k1@c.de', 'keys-equal-in-10-2' => 'k2@c.de',
    );
    my $users = start_users(%users);
    my $here  = start_nginx(backend => $users->port,
        http => 'mcp_sse_max_sessions 1;');
    my %of = map { $_ => open_stream($here, auth => "Bearer $_") } keys %users;

    for my $name (sort keys %users) {
        is($of{$name}->status, 200,
            "D3 $users{$name} has a session of its own");

        my $raw = call($here, $of{$name}, request(1, 'tools/list', {}));

        like($raw || '', qr/"as":"\Q$name\E"/,
            "D4 $users{$name} uses the announced URI");
    }

    invalid(post($here, $of{A}, request(2, 'ping'), auth => "Bearer $_"),
        "D3 $users{$_} is not $users{A}") for qw(B C);
    invalid(post($here, $of{'keys-equal-in-10-1'}, request(2, 'ping'),
        auth => 'Bearer keys-equal-in-10-2'),
        'D3 keys that begin equally are different users');

    is(scalar(grep { $_->ended } values %of), 0,
        'D3 no session of these users ends another');
    is(scalar(grep { $_->messages != 1 } values %of), 0,
        'D3 each stream has its own answer only');
    $_->close for values %of;
    $users->stop;
}

{
    accepted(post($nginx, $stream, tool('"d5"', 'hold', { gate => 'd5' })),
        'D5 a POST does not wait for its tool');
    ok(!$stream->answers('"d5"'), 'D5 the tool still runs after the POST');
    $frappe->open_gate('d5');
    ok($stream->wait_answer('"d5"'), 'D5 the call is answered when it ends');

    # the limit is a setting here, and its end is an answer

    my $raw = call($nginx, $stream, tool('"d7"', 'hang', {}));

    is_error($raw, -32008, 'Request timed out',
        'D7 the time of a call is mcp_sse_call_timeout');
    is(scalar(grep { ($_->{data} || '') =~ /\A"?"?\z/ } $stream->messages), 0,
        'D7 a call that times out sends no empty event');

    my $before = $stream->messages;

    for my $method (qw(initialized cancelled progress roots/list_changed
        unknown))
    {
        accepted(post($nginx, $stream, notification("notifications/$method",
            { requestId => 999, progressToken => 1, progress => 1 })),
            "D8 notifications/$method is accepted");
    }

    ok(call($nginx, $stream, request('"d8"', 'ping')),
        'D8 a ping behind notifications is answered');
    is($stream->messages - $before, 1, 'D8 notifications are not answered');

    accepted(post($nginx, $stream, '[' . join(',', request('"b1"', 'ping'),
        notification('notifications/initialized'),
        request('"b2"', 'ping')) . ']'), 'D8 a batch is accepted');
    ok($stream->wait_answer('"b1"') && $stream->wait_answer('"b2"'),
        'D8 each request of a batch is answered');
    is_rejected(post($nginx, $stream, qq({"jsonrpc":"2.0","id":1,)
        . qq("method":"\xff\xfe"})), 400, -32700, 'Parse error',
        'D8 bad UTF-8 is a parse error');

    is_rejected(post($nginx, $stream, $_), 400, -32600, 'Invalid Request',
        "D8 $_ is an invalid request") for qw(42 "x" null true);

    $frappe->reset;

    like(call($nginx, $stream, request('"d9"', 'initialize',
        { protocolVersion => '2024-11-05', capabilities => {},
          clientInfo => { name => 'x', version => '1' } })) || '',
        qr/"protocolVersion": ?"/, "D9 initialize is answered by Frappe");
    is($frappe->count('initialize'), 1, 'D9 initialize reaches Frappe once');
    call($nginx, $stream, request('"d9t"', 'resources/templates/list', {}));
    is($frappe->count('resources/templates/list'), 1,
        'D9 resources/templates/list goes to Frappe');
    $frappe->set(down => '500');
    ok(error_of(call($nginx, $stream, request('"d9e"', 'initialize', {}))),
        'D9 if Frappe cannot answer, initialize is an error');

    for my $case ([ 503, 503 ], [ 'refuse', 502 ], [ 504, 504 ]) {
        my ($down, $status) = @$case;

        $frappe->set(down => "$down");
        is(open_stream($nginx, auth => MCPTest::credential("user$status"))
            ->status, $status,
            "D10 while Frappe is down ($down) a GET is $status, not 401");
        $frappe->reset;
    }
}

{
    my $result  = 'NaN';
    my $backend = start_backend(sub {
        my ($request) = @_;

        if ($request->{path} =~ /get_logged_user/) {
            return if $request->{headers}{authorization} !~ /moved/;
            return MCPTest::Backend::http(301, '', 'Location',
                'https://erp.example.com/api/method/'
                . 'frappe.auth.get_logged_user');
        }

        return MCPTest::Backend::http(200, '{"jsonrpc":"2.0","id":'
            . raw_id($request->{body}) . qq(,"result":{"x":$result}}));
    });
    my $here = start_nginx(backend => $backend->port,
        http => 'mcp_sse_auth_wait 1s;');

    is(open_stream($here, auth => 'Bearer moved-token')->status, 502,
        'D10 a GET whose look-up is redirected is 502, not 401');

    my $one = open_stream($here);
    my $id  = 0;

    for (qw(NaN Infinity -Infinity)) {
        $result = $_;

        is_error(call($here, $one, request(++$id, 'tools/list', {})), -32603,
            'Backend error', "D11 an answer with $_ is an error");
    }

    $one->close;

    # one request for each message, on keep-alive connections

    $result = 1;
    $one    = open_stream($here, auth => 'Bearer d16-token');

    my @before = $backend->requests;
    my $conns  = @{ $backend->{conns} };

    call($here, $one, request($_, 'tools/list', {})) for 1 .. 10;
    is($backend->requests - @before, 10,
        'D16 each message makes one request to Frappe');
    cmp_ok(@{ $backend->{conns} } - $conns, '<', 5,
        'D16 connections to Frappe are used again');
    $one->close;
    $backend->stop;
}

{
    my $prefixed = open_stream($nginx, path => '/bridge/sse');

    like($prefixed->endpoint, qr{\A/bridge/messages\?session_id=},
        'D12 the announced URI is that of mcp_sse_message_uri');
    ok(call($nginx, $prefixed, request(1, 'ping')),
        'D12 a ping at the announced URI is answered');
    $prefixed->close;

    for my $auth ('bearer alice-token', 'BEARER alice-token',
        'Token alice-key:alice-secret',
        MCPTest::credential('alice', 'basic'),
        'basic YWxpY2Uta2V5OmFsaWNlLXNlY3JldA==')
    {
        my ($scheme) = $auth =~ /(\S+)/;
        my $one = open_stream($nginx, auth => $auth);

        is($one->status, 200, "D13 the scheme $scheme is accepted");
        ok(call($nginx, $one, request(1, 'tools/list', {})),
            "D13 Frappe accepts what $scheme becomes");
        $one->close;
    }

    call($nginx, $stream, request('"d14"', 'tools/list', {}),
        auth => MCPTest::credential('alice', 'bearer'));
    is($frappe->last_headers->{authorization}, 'Bearer alice-token',
        "D14 a call has the credential of its message, not of the stream");
}

{
    my $launcher = MCPTest::root() . '/util/mcp-sse-bridge';

    my %level = (DEBUG => 'true', LOG_LEVEL => 'debug');

    for my $name (sort keys %level) {
        local $ENV{FRAPPE_URL} = 'http://127.0.0.1:8000';
        local $ENV{$name} = $level{$name};

        like(scalar `'$launcher' --print-config 2>/dev/null` || '',
            qr/^error_log\s+\S+\s+debug;/m,
            "D15 $name=$level{$name} makes the level debug");
    }

    my $debug = start_nginx(log_level => 'debug');
    my $one   = open_stream($debug);

    ok(call($debug, $one, request(1, 'ping')),
        'D15 ping is answered with the level debug');
    accepted(post($debug, $one, tool(2, 'hang', {})),
        'D15 a call is accepted with the level debug');
    ok($debug->stop, 'D15 TERM ends nginx with an open call');

    # nginx itself logs every header at that level

    truncate $debug->dir . '/logs/error.log', 0;
}

{
    my ($owner) = $stream->header('X-Worker');
    my ($other) = grep { $_ != $owner } $nginx->wait_workers;

    ok(call($nginx, $stream, request('"d16"', 'tools/list', {}),
        worker => $other), 'D16 each worker takes messages for each stream');

    $nginx->reload;
    $stream->wait_ended;

    my $again = open_stream($nginx, headers =>
        [ 'Last-Event-ID', $stream->session ]);

    is($again->session, $stream->session, 'D16 session ids survive a reload');
    ok(call($nginx, $again, request(1, 'ping')),
        'D16 a ping with such an id is answered');
    $again->close;
}

finish();
