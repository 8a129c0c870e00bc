# Streamable HTTP on its connections: keep-alive, HTTP/1.0, HTTP/2, many
# requests at once, clients that leave; progress; memory; slow readers.
# docs/PROTOCOL.md 1, 5, 6, 7 and 12.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::H2;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $h2port = MCPTest::Nginx::free_port();
my $nginx  = start_http(workers => 2,
    server => "listen 127.0.0.1:$h2port http2;",
    mcp    => 'mcp_sse_stream_after 1s; mcp_sse_keepalive 1s; '
              . 'mcp_sse_progress 1s;');
my $id = session_id($nginx);


sub idle {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $health;

    return ok(run_until(sub {
        $health = health($nginx);
        return $health->{active_connections} == 0
            && $health->{pending_requests} == 0;
    }), $name);
}


# keep-alive: JSON, 202, refusals and streams on one connection

{
    my $conn = connect_to($nginx);
    my @got;

    for my $round (1 .. 3) {
        push @got, http_post($nginx, tool(1, 'echo', {}), conn => $conn),
            http_post($nginx, notification('notifications/initialized'),
                conn => $conn),
            http_post($nginx, '{', conn => $conn),
            http_post($nginx, tool(2, 'sleep', { seconds => 0.2 }),
                conn => $conn, session => $id),
            http_post($nginx, request(3, 'ping'), conn => $conn,
                accept => 'text/event-stream'),
            http_post($nginx, $_, conn => $conn, session => 'x'),
            http($nginx, 'GET', conn => $conn),
            http_post($nginx, tool(4, 'sleep', { seconds => 1.5 }),
                conn => $conn);
    }

    is_deeply([ map { $_->status } @got ],
        [ (200, 202, 400, 200, 200, 404, 405, 200) x 3 ],
        'JSON, 202, refusals and streams share one connection');
    ok($got[-1]->is_stream,
        'a slow call on the kept connection becomes a stream');
    is_deeply([ grep { ($_->ended || '') ne 'clean' } @got ], [],
        'each response on the kept connection is complete');
    $conn->close;
}

# pipelined requests

{
    my $conn = connect_to($nginx);
    my @got  = map {
        http_post($nginx, tool($_, 'sleep', { seconds => $_ == 1 ? 1.5
            : 0.1 }), conn => $conn, async => 1)
    } 1 .. 4;

    run_until(sub { !grep { !$_->ended } @got });
    is_deeply([ map { decode($_->answer)->{id} } @got ], [ 1 .. 4 ],
        'pipelined requests are answered in their order');
    $conn->close;
}

# HTTP/1.0

{
    my $json = http_post($nginx, tool(1, 'echo', {}), version => '1.0');

    is($json->status, 200, 'HTTP/1.0: a call is 200');
    is($json->header('Content-Length'), length $json->body,
        'HTTP/1.0: JSON has its Content-Length');

    my $stream = http_post($nginx, tool(1, 'sleep', { seconds => 1.5 }),
        version => '1.0');

    ok($stream->is_stream && $stream->answer,
        'HTTP/1.0: a slow call is answered with a stream');
    is($stream->header('Transfer-Encoding'), undef,
        'HTTP/1.0: the stream is not chunked');
    is($stream->ended, 'eof', 'HTTP/1.0: the stream ends with the connection');
    is(http_post($nginx, notification('notifications/x'), version => '1.0')
        ->status, 202, 'HTTP/1.0: a notification is 202');
}

# HTTP/2

{
    my $h2 = MCPTest::H2->connect_to($h2port);
    my @opt = (conn => $h2, async => 1);

    my %got = (
        json   => http_post($nginx, tool(1, 'echo', { text => 'j2' }), @opt),
        late   => http_post($nginx, tool(2, 'hold', { gate => 'late' }),
            @opt),
        stream => http_post($nginx, tool(3, 'echo', { text => 's2' }), @opt,
            accept => 'text/event-stream'),
        hang   => http_post($nginx, tool(4, 'hang', {}), @opt,
            session => $id),
        gone   => http_post($nginx, tool(5, 'hang', {}), @opt,
            session => $id),
        get    => http($nginx, 'GET', @opt, session => $id),
        ping   => http_post($nginx, request(6, 'ping'), @opt),
        note   => http_post($nginx, notification('notifications/x'), @opt),
    );

    ok(run_until(sub { $got{ping}->ended && $got{json}->ended
        && $got{stream}->ended && $got{note}->ended }),
        'HTTP/2: quick calls are answered while slow ones run');
    ok(!$got{late}->ended && !$got{hang}->ended,
        'HTTP/2: the slow calls go on');
    run_until(sub { $frappe->tool_count('hang') == 2 });
    $h2->reset($got{gone});

    http_post($nginx, notification('notifications/cancelled',
        { requestId => 4 }), @opt, session => $id);
    ok($got{hang}->wait, 'HTTP/2: a call is cancelled on the same connection');
    $frappe->open_gate('late');
    ok($got{late}->wait, 'HTTP/2: a slow call is answered when it ends');
    like($got{json}->body, qr/\A\{.*j2/,
        'HTTP/2: a call is answered with JSON');
    like($got{stream}->body . $got{stream}->{rest} . join('', map {
        $_->{text} } $got{stream}->events), qr/data: .*s2/,
            'HTTP/2: a call is answered with a stream');
    is($got{note}->status, 202, 'HTTP/2: a notification is 202');
    ok(!$got{get}->ended, 'HTTP/2: the GET stream of the session stays');

    my $delete = http_delete($nginx, $id, @opt);

    ok($delete->wait && $got{get}->wait, 'HTTP/2: DELETE ends the GET stream');
    http_post($nginx, tool(9, 'hang', {}), @opt);
    run_until(sub { $frappe->tool_count('hang') == 3 });
    $h2->close;
}

$id = session_id($nginx);

# 100 calls at once, quick and slow, with and without a session

{
    $frappe->reset;

    my @got;

    for my $n (1 .. 100) {
        push @got, http_post($nginx, $n % 4
            ? tool($n, 'echo', { text => "t$n" })
            : tool($n, 'sleep', { seconds => 1.5, text => "t$n" }),
            async => 1, $n % 2 ? (session => $id) : ());
    }

    ok(run_until(sub { !grep { !$_->ended } @got }),
        '100 calls at once get their responses');
    is(scalar(grep { $_->status == 200 } @got), 100,
        '100 calls at once are 200');
    is_deeply([ map { decode($_->answer)->{id} } @got ], [ 1 .. 100 ],
        '100 calls at once get their own answers');
    is(scalar(grep { ($_->answer || '') =~ /slept|"?t\d/ } @got), 100,
        '100 calls at once get results');
}

# 100 clients leave at any moment

{
    my @conns;

    for my $n (1 .. 100) {
        my $answer = http_post($nginx, tool($n, 'sleep', { seconds => 1 }),
            async => 1, session => $id,
            accept => $n % 3 ? 'text/event-stream'
                : 'application/json, text/event-stream');

        push @conns, $answer->{conn};
        sleep_for(0.02) if $n % 10 == 0;
        $conns[int rand @conns]->abort if $n % 2;
    }

    $_->abort for @conns;
    idle('nothing of 100 clients that left is counted or pending');
}

# progress

{
    my $token = sub { return (_meta => { progressToken => $_[0] }) };
    my $early = start_http(mcp => 'mcp_sse_stream_after off; '
        . 'mcp_sse_progress 1s;');

    my @progress;
    my $call = http_post($early, tool(1, 'hold', { gate => 'abc' },
        $token->('abc')), async => 1);

    ok(run_until(sub {
        @progress = $call->notifications('notifications/progress');
        return @progress >= 2;
    }), 'a call with a progressToken gets progress');
    $frappe->open_gate('abc');
    $call->wait;
    ok($call->is_stream, 'progress makes the response a stream');
    is($progress[0]{params}{progressToken}, 'abc',
        'progress has the token of the call');
    cmp_ok($progress[1]{params}{progress}, '>',
        $progress[0]{params}{progress}, 'progress increases');
    is(($call->messages)[-1]{raw_id}, 1,
        'the stream with progress ends with the answer');

    my $json = http_post($early, tool(1, 'sleep', { seconds => 2.5 },
        $token->('abc')), accept => 'application/json');

    ok(!$json->is_stream && $json->answer,
        'a client that accepts JSON only gets no progress');

    my $none = http_post($early, tool(1, 'sleep', { seconds => 2.5 }));

    ok(!$none->is_stream && $none->answer,
        'a call without a progressToken is answered with JSON');

    my $two = http_post($early, '[' . join(',',
        tool(1, 'hold', { gate => 'both' }, $token->('one')),
        tool(2, 'hold', { gate => 'both' }, $token->('two'))) . ']',
        async => 1);
    my %seen;

    ok(run_until(sub {
        %seen = map { $_->{params}{progressToken} => 1 }
            $two->notifications('notifications/progress');
        return keys %seen >= 2;
    }), 'the calls of a batch get progress');
    $frappe->open_gate('both');
    $two->wait;
    is_deeply([ sort keys %seen ], [ 'one', 'two' ],
        'each call of a batch gets progress with its token');
}

# memory does not grow with messages; a sanitizer keeps memory, so there is no
# bound with it

{
    my $one  = start_http(workers => 1, mcp => 'mcp_sse_stream_after 1s;');
    my ($pid) = $one->wait_workers;
    my $key  = session_id($one);
    my $conn = connect_to($one);
    my $bound = $ENV{MCP_SSE_SANITIZE} ? 9 ** 9 : 1500;

    my $rss = sub {
        open my $file, '<', "/proc/$pid/status" or return 0;
        return join('', <$file>) =~ /^VmRSS:\s+(\d+)/m ? $1 : 0;
    };
    my $round = sub {
        for my $n (1 .. $_[0]) {
            http_post($one, tool($n, 'echo', { text => 'x' x 3000 }),
                conn => $conn, $n % 2 ? (session => $key) : (),
                $n % 3 ? () : (accept => 'text/event-stream'));
            http_post($one, notification('notifications/cancelled',
                { requestId => $n }), conn => $conn, session => $key)
                if $n % 10 == 0;
            http_delete($one, session_id($one, conn => $conn),
                conn => $conn) if $n % 10 == 5;
        }
    };

    $round->(500);

    my $before = $rss->();

    $round->(1500);
    cmp_ok($rss->() - $before, '<', $bound,
        'the memory of a worker does not grow with messages');
    $conn->close;
}

# a client that reads nothing

{
    my $strict = start_http(mcp => 'mcp_sse_queue 64k; '
        . 'mcp_sse_stream_after 1s;', server => 'send_timeout 2s;');
    my $slow = http_post($strict, tool(1, 'big', { bytes => 12_000_000 }),
        async => 1, accept => 'text/event-stream',
        connect => { rcvbuf => 4096 });

    stream_of($slow);
    $slow->{conn}->pause;
    ok(http_post($strict, tool(1, 'echo', {}))->answer,
        'another client is served beside one that reads nothing');
    ok(run_until(sub { health($strict)->{active_connections} == 0 }),
        'a client that reads nothing is dropped');
    like($strict->error_log, qr/client timed out|reads too slowly/,
        'the log says why the client is dropped');
    $slow->{conn}->close;
}

idle('nothing is counted or pending at the end');

finish();
