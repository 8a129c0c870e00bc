# Limits to the byte: what is exactly as large as a limit, and one byte more.
# docs/PROTOCOL.md 1.16, 3.8, 4.8, 4.12, 4.13, 7.24.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::H2;
use MCPTest::HTTP;
use Test::More;

my $length = 2048;
my $answer = 20_000;
my $wait   = 0;

my $backend = start_backend(sub {
    return if $_[0]{path} =~ /get_logged_user/;

    return sub { !$wait }, MCPTest::Backend::http(200, result(1, 100))
        if $_[0]{body} =~ /"wait"/;

    my ($bytes) = $_[0]{body} =~ /"bytes":"?(\d+)/ or return;

    my ($id)    = $_[0]{body} =~ /"id":(\d+)/;

    return MCPTest::Backend::http(200, result($id, $bytes));
});

my $nginx = start_http(backend => $backend->port, mcp =>
    "mcp_sse_queue 16k; mcp_sse_max_answer $answer;", http => <<"EOT");
    mcp_sse_max_message $length;
    mcp_sse_max_inbox   3;
    mcp_sse_max_calls   20;
    mcp_sse_grace       300s;
    mcp_sse_zone        zone=mcp_sse:1040k;
    client_body_timeout 300s;
EOT

my $stream = open_stream($nginx);


# An answer of Frappe with this number of bytes.

sub result {
    my ($id, $bytes) = @_;

    my $text = qq({"jsonrpc":"2.0","id":$id,"result":""});

    return $text =~ s/""/'"' . 'x' x ($bytes - length $text) . '"'/er;
}


sub padded {
    my ($text, $bytes) = @_;

    return $text . ' ' x ($bytes - length $text);
}


sub chunked {
    my ($text, $size) = @_;

    return join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
        unpack "(a$size)*", $text) . "0\r\n\r\n";
}


# mcp_sse_max_message, in one piece, in chunks, and in a single chunk

for my $case ([ $length - 1, 1 ], [ $length, 1 ], [ $length + 1, 0 ]) {
    my ($bytes, $good) = @$case;

    for my $to ([ $stream->endpoint, 202 ], [ '/mcp', 200 ]) {
        my ($path, $status) = @$to;
        my $body = padded(request(1, 'ping'), $bytes);
        my $want = $good ? $status : 413;
        my @opt  = (path => $path,
            headers => [ 'Transfer-Encoding' => 'chunked' ]);

        is(post($nginx, undef, $body, path => $path)->status, $want,
            "$path: a body of $bytes bytes is $want");
        is(post($nginx, undef, chunked($body, 100), @opt)->status, $want,
            "$path: $bytes bytes in chunks are $want");
        is(post($nginx, undef, chunked($body, $bytes), @opt)->status, $want,
            "$path: $bytes bytes in one chunk are $want");
    }
}

# forwarded headers of 16 kB: each has 8 bytes besides its name and value

{
    my %own = ('' => '127.0.0.1', 'x-forwarded-for' => '127.0.0.1',
        'x-forwarded-proto' => 'http', 'x-forwarded-host' => 'erp.example.com',
        authorization => MCPTest::credential());

    my $size = 0;
    $size += 8 + length($_) + length $own{$_} for keys %own;

    for my $case ([ 16384, 1 ], [ 16385, 0 ]) {
        my ($bytes, $good) = @$case;
        my $left = $bytes - $size;
        my @headers;

        for my $name (qw(mcp-a mcp-b mcp-c)) {
            my $n = $left > 7000 ? 6000 : $left;

            push @headers, $name, 'v' x ($n - 8 - length $name);
            $left -= $n;
        }

        is($left, 0, "the headers have $bytes bytes");

        for my $to ([ $stream->endpoint, 202 ], [ '/mcp', 200 ]) {
            my ($path, $status) = @$to;
            my $got = post($nginx, undef, tool(1, 'x', { bytes => 100 }),
                path => $path, headers => \@headers);

            $good ? is($got->status, $status, "$path: they are forwarded")
                : is_rejected($got, 431, -32600, 'Headers too large',
                    "$path: they are refused");
        }
    }
}

# an answer of mcp_sse_queue bytes becomes a stream, framing included

my $frame = length "event: message\ndata: \n\n";

for my $case ([ 16383, 0 ], [ 16384, 1 ]) {
    my ($bytes, $is_stream) = @$case;
    my $got = http_post($nginx, tool(1, 'x', { bytes => $bytes - $frame }));

    is($got->is_stream ? 1 : 0, $is_stream, "an answer of $bytes bytes is "
        . ($is_stream ? 'a stream' : 'JSON'));
    is(length($got->answer || ''), $bytes - $frame, 'and complete');
}

is(http_post($nginx, tool(1, 'x', { bytes => 17000 }),
    accept => 'application/json')->is_stream, '',
    'a larger one is JSON for a client that takes JSON only');

# the answers of a batch have mcp_sse_max_answer together

for my $case ([ $answer, 0 ], [ $answer + 1, 1 ]) {
    my ($bytes, $errors) = @$case;
    my $second = $bytes - 9000;

    my $got = http_post($nginx, '[' . join(',',
        tool(1, 'x', { bytes => 9000 - $frame }),
        tool(2, 'x', { bytes => $second - $frame })) . ']',
        accept => 'application/json');

    my @all = @{ $got->json || [] };

    is(scalar @all, 2, "a batch of $bytes bytes has two answers");
    is(scalar(grep { ($_->{error} || {})->{message} } @all), $errors,
        'of which ' . ($errors ? 'one is "Answer too large"' : 'none is cut'));
}

# unfinished bodies count as 4 kB at least, up to 8 times mcp_sse_max_message

for my $chunked (0, 1) {
    my @open;

    $wait = 1;

    my $name = $chunked ? 'chunks' : 'bodies';

    for (1 .. 5) {
        my $conn = connect_to($nginx);

        push @open, $conn->request('POST', '/mcp', host => 'erp.example.com',
            headers => [ Authorization => MCPTest::credential(),
                $chunked ? ('Transfer-Encoding', 'chunked')
                    : ('Content-Length', 100) ],
            body => $chunked ? "64\r\n{" : '{');
        $open[-1]{conn} = $conn;

        connect_to($nginx)->get('/pid');
    }

    $open[4]->wait;
    is($open[4]->status, 429, "the fifth of small unfinished $name is 429");
    is(scalar(grep { $_->ended } @open[0 .. 3]), 0,
        "four small unfinished $name are not");

    # a body that is complete is not counted while its call runs

    $_->{conn}->send_raw($chunked
        ? padded(substr(tool(1, 'wait'), 1), 99) . "\r\n0\r\n\r\n"
        : padded(substr(tool(1, 'wait'), 1), 99)) for @open[0 .. 3];
    run_until(sub { metrics($nginx)->{nginx_mcp_sse_calls_running} == 4 });

    my $last = connect_to($nginx);

    push @open, $last->request('POST', '/mcp', host => 'erp.example.com',
        headers => [ Authorization => MCPTest::credential(),
            'Content-Length', 100 ], body => '{');
    $open[-1]{conn} = $last;
    connect_to($nginx)->get('/pid');
    ok(!$open[-1]->ended, "$name that are complete are not counted");

    $wait = 0;
    run_until(sub { metrics($nginx)->{nginx_mcp_sse_calls_running} == 0 });
    is(scalar(grep { ($_->status || 0) == 200 } @open[0 .. 3]), 4,
        "$name: these calls are answered");
    $_->{conn}->close for @open;
}

like($nginx->error_log, qr/refused\ with\ 429,\ "Too\ many\ messages":
    \ unfinished\ requests\ of\ its\ user\ have\ 8\ times\ mcp_sse_max_message/x,
    'the log says why');

# POSTs that wait: as many as the inbox has places

$stream->close;
run_until(sub { health($nginx)->{active_connections} == 0 });

{
    my $held = sub {
        my ($n) = @_;

        return run_until(sub { health($nginx)->{pending_requests} == $n });
    };

    my @posts = map { post($nginx, $stream, request($_, 'ping'), async => 1) }
        1 .. 3;

    ok($held->(3), 'mcp_sse_max_inbox POSTs wait for their stream');
    is_rejected(post($nginx, $stream, request(4, 'ping')), 429, -32004,
        'Too many messages', 'one more is refused');

    $posts[0]{conn}->close;
    ok($held->(2), 'a client that leaves is not counted');
    push @posts, post($nginx, $stream, request(5, 'ping'), async => 1);
    ok($held->(3), 'and makes room for one');

    my $again = open_stream($nginx, headers => [ 'Last-Event-ID',
        $stream->session ]);

    ok($again->wait_answer($_), "request $_ is answered") for 2, 3, 5;
    ok($held->(0), 'none waits any more');
    $again->close;
}

# the answers for a client that has left have half of mcp_sse_queue, framing
# included; an answer that does not fit is replaced, and takes no room

{
    my $go      = 0;
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;

        my ($id)    = $_[0]{body} =~ /"id":(\d+)/;
        my ($bytes) = $_[0]{body} =~ /"bytes":"?(\d+)/;

        return sub { $go >= $id }, MCPTest::Backend::http(200,
            result($id, $bytes - $frame));
    });
    my $kept = start_nginx(backend => $backend->port,
        stream => 'mcp_sse_queue 2k; mcp_sse_max_calls 20;',
        http => 'mcp_sse_grace 300s;');
    my $left = open_stream($kept);
    my @size = (800, 225, 1025, 224);

    post($kept, $left, tool($_, 'x', { bytes => $size[$_ - 1] })) for 1 .. 4;

    my $calls = sub {
        my ($n) = @_;

        return run_until(sub {
            metrics($kept)->{nginx_mcp_sse_calls_running} == $n });
    };

    $calls->(4);
    $left->close;
    run_until(sub { health($kept)->{active_connections} == 0 });

    for my $n (1 .. 4) {
        $go = $n;
        $calls->(4 - $n);
    }

    my $again = open_stream($kept,
        headers => [ 'Last-Event-ID', $left->session ]);

    $again->wait_answer($_) for 1 .. 4;

    my $closed = '{"jsonrpc":"2.0","id":%d,"error":{"code":-32010,'
        . '"message":"Stream closed before the answer",'
        . '"data":{"executed":"unknown"}}}';

    is(join("\n", map { $_->{data} } $again->messages), join("\n",
        result(1, 800 - $frame), sprintf($closed, 2), sprintf($closed, 3),
        result(4, 224 - $frame)),
        'answers are kept while they have 1024 bytes together');
    $again->close;
}

# mcp_sse_queue to the byte, by a client of HTTP/2 that lets the server send the
# first event only: what waits before the newest answer

for my $case ([ 0, 0 ], [ 1, 1 ]) {
    my ($more, $open) = @$case;
    my $port   = MCPTest::Nginx::free_port();
    my $bytes  = length qq(event: message\ndata: {"jsonrpc":"2.0",)
        . qq("result":{},"id":1}\n\n);
    my $queue  = $bytes + $more;

    my $slow   = start_nginx(server => "listen 127.0.0.1:$port http2;",
        stream => "mcp_sse_queue $queue; mcp_sse_ping_result empty;");
    my $window = length open_stream($slow)->first_block;
    my $stream = open_stream($slow,
        conn => MCPTest::H2->connect_to($port, window => $window));

    for my $id (1 .. 3) {
        post($slow, $stream, request($id, 'ping'));

        # the worker has written the answer when it answers a later request

        is(health($slow)->{active_connections}, $id == 1 || $id == 2 && $open
            ? 2 : 1, "mcp_sse_queue is $queue, $id answers of $bytes bytes");
    }

    like($slow->error_log, qr/reads\ too\ slowly:
        \ @{[ $bytes * ($open ? 3 : 2) ]}\ bytes\ are\ queued/x,
        'the log says how many bytes are queued');
    is(scalar(() = $slow->error_log =~ /reads too slowly/g), 1,
        'in one line');
    $stream->conn->close;
}

# after mcp_sse_grace they are refused, those that execute nothing as well

{
    my $short = start_nginx(http => 'mcp_sse_grace 1s;');
    my $gone  = open_stream($short);

    $gone->close;
    run_until(sub { health($short)->{active_connections} == 0 });

    my @posts = map { post($short, $gone, $_, async => 1) }
        request(1, 'ping'),
        notification('notifications/initialized'),
        '{"jsonrpc":"2.0","id":1,"result":{}}';

    $_->wait for @posts;
    is(join(' ', map { $_->status } @posts), '400 400 400',
        'POSTs whose stream does not come back are 400');
}

# POSTs that wait have 1/8 of the zone

{
    my $large = start_nginx(http => 'mcp_sse_zone zone=mcp_sse:3m; '
        . 'mcp_sse_max_message 500k; mcp_sse_grace 300s;');
    my $lost = open_stream($large);
    my $held = sub {
        my ($n) = @_;

        return run_until(sub { health($large)->{pending_requests} == $n });
    };
    my $kb = sub {
        my ($id, $kb) = @_;

        return post($large, $lost, request($id, 'ping',
            [ 'x' x ($kb * 1024) ]), async => 1);
    };

    $lost->close;
    run_until(sub { health($large)->{active_connections} == 0 });

    my @posts = ($kb->(1, 180));
    ok($held->(1), 'a POST of 180 kB waits');

    my $more = $kb->(2, 220);
    $more->wait;
    is_rejected($more, 429, -32004, 'Too many messages',
        'one of 220 kB has no room beside it');

    push @posts, $kb->(3, 195);
    ok($held->(2), 'one of 195 kB has');

    my $small = $kb->(4, 12);
    $small->wait;
    is($small->status, 429, 'then there is no room for 12 kB');

    $posts[0]{conn}->close;
    ok($held->(1), 'a client that leaves gives its bytes back');
    push @posts, $kb->(5, 180);
    ok($held->(2), 'for one of the same size');

    $posts[$_]{conn}->close for 1, 2;
    ok($held->(0), 'no POST is left');

    my $huge = $kb->(6, 450);
    ok($held->(1), 'a single POST has room though it is larger');
    $huge->{conn}->close;
}

finish();
