# Streamable HTTP: faults of earlier versions.  docs/PROTOCOL.md 1, 7 and 11.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Proxy;
use Test::More;

my $frappe = start_frappe();

# malformed chunks that come together with the headers

{
    my $nginx = start_http();

    for my $body ("zz\r\n{}\r\n", 'f' x 20 . "\r\n{}\r\n") {
        for my $round ('not known', 'known') {
            my $conn   = connect_to($nginx);
            my $answer = MCPTest::Answer->new(conn => $conn);

            $conn->request('POST', '/mcp', host => 'erp.example.com',
                headers => [ Authorization => MCPTest::credential(),
                    Origin => 'http://erp.example.com',
                    'Content-Type' => 'application/json',
                    'Transfer-Encoding' => 'chunked' ],
                response => $answer,
                body => $body . "POST /mcp HTTP/1.1\r\n\r\n");

            ok($answer->wait, "malformed chunks are answered, user $round");
            is_rejected($answer, 400, -32700, 'Parse error',
                "malformed chunks are a parse error, user $round");
            is($answer->header('Access-Control-Allow-Origin'),
                'http://erp.example.com',
                "the parse error names the allowed Origin, user $round");
            is($answer->header('Connection'), 'close',
                "the connection closes after malformed chunks, user $round");
            $conn->close;
        }
    }
}

# initialize is answered only with a version that the next request may name

{
    my $answers;
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return MCPTest::Backend::http(200, '{"jsonrpc":"2.0","id":0,'
            . qq("result":{"protocolVersion":"$answers",)
            . '"capabilities":{}}}');
    });
    my $nginx = start_http(backend => $backend->port);

    for my $case (
        [ '1999-01-01', '2025-06-18', '2025-06-18' ],
        [ '2025-01-01', '2025-11-25', '2025-11-25' ],
        [ '2099-01-01', '2099-01-01', '2025-11-25' ],
        [ '2026-07-28', '2026-07-28', '2025-11-25' ],
        [ 'newest',     '2026-07-28', '2025-11-25' ],
        [ '2024-11-05', '2025-11-25', '2024-11-05' ],
    ) {
        my ($offer, $answer, $told) = @{$case};

        $answers = $answer;

        my $got = decode(initialize($nginx, offer => $offer)->answer)
            ->{result}{protocolVersion};

        is($got, $told,
            "offered $offer, Frappe answers $answer: the client gets $told");
        is(http_post($nginx, request(1, 'ping'), protocol => $got)->status,
            200, "the version $got that the client gets is served");
    }
}

# cancellations with large ids do not fill the zone

{
    my $nginx   = start_http(workers => 2, http => 'mcp_sse_zone zone=m:3m; '
        . 'mcp_sse_max_message 500k;');
    my @workers = $nginx->wait_workers;
    my $id      = session_id($nginx);
    my $bob     = session_id($nginx, auth => MCPTest::credential('bob'));
    my @conns   = map { connect_worker($nginx, $workers[1]) } 1, 2;
    my $many    = '[' . join(',', map {
        notification('notifications/cancelled',
            { requestId => 'x' x 4000 . $_ })
    } 1 .. 100) . ']';

    kill STOP => $workers[0];

    for my $n (1 .. 11) {
        http_post($nginx, $many, session => $id, conn => $conns[0]);
    }

    my $stream = http_get($nginx, session => $bob, conn => $conns[1],
        auth => MCPTest::credential('bob'));

    kill CONT => $workers[0];

    is($stream->status, 200,
        "cancellations with large ids leave room for another user's stream");
    unlike($nginx->error_log, qr/is full/,
        'cancellations with large ids do not fill the zone');
    $_->abort for @conns;
}

# a worker that missed the end of a session still ends its stream

{
    my $nginx   = start_http(workers => 2);
    my @workers = $nginx->wait_workers;
    my $id      = session_id($nginx);
    my $stream  = http_get($nginx, session => $id, worker => $workers[0]);
    my $conn    = connect_worker($nginx, $workers[1]);

    is($stream->status, 200, 'a stream of the session opens');
    kill STOP => $workers[0];

    is(http_delete($nginx, $id, conn => $conn)->status, 204,
        'DELETE of the session is 204');

    my $other = session_id($nginx, conn => $conn);

    http_post($nginx, '[' . join(',', map {
        notification('notifications/cancelled', { requestId => $_ })
    } 1 .. 100) . ']', session => $other, conn => $conn) for 1 .. 11;

    like($nginx->error_log, qr/\[warn\].*too many announcements/,
        'the log says that there were too many announcements');
    kill CONT => $workers[0];
    ok($stream->wait, 'the stream ends though its worker missed announcements');
    $conn->close;
}

# mcp_sse_max_sessions also bounds the sessions of a user that have calls

{
    my $nginx = start_http(workers => 1, mcp => 'mcp_sse_max_calls 2; '
        . 'mcp_sse_max_sessions 3;');
    my @ids   = map { session_id($nginx) } 1 .. 5;
    my @calls;

    $frappe->reset;

    for my $id (@ids) {
        push @calls, map { http_post($nginx, tool($_, 'hang', {}),
            session => $id, async => 1) } 1, 2;
    }

    run_until(sub { 4 == grep { $_->ended } @calls });

    my @refused = grep { $_->ended } @calls;

    is(scalar @refused, 4,
        'calls of sessions beyond mcp_sse_max_sessions are refused');
    is_rejected($refused[0], 429, -32004, 'Too many sessions',
        'the refused calls are 429 with "Too many sessions"');
    run_until(sub { $frappe->tool_count('hang') == 6 });
    is($frappe->tool_count('hang'), 6,
        'calls of sessions within mcp_sse_max_sessions run');
    is(metrics($nginx)
        ->{'nginx_mcp_sse_limit_refusals_total{limit="sessions"}'}, 4,
        '/metrics counts the refused calls');

    ok(http_post($nginx, tool(1, 'echo', {}))->answer,
        'a call without a session runs meanwhile');
    ok(http_post($nginx, tool(1, 'echo', {}), session => session_id($nginx,
        auth => MCPTest::credential('bob')),
        auth => MCPTest::credential('bob'))->answer,
        'a call of another user runs meanwhile');

    http_post($nginx, notification('notifications/cancelled',
        { requestId => $_ }), session => $ids[0]) for 1, 2;
    ok($calls[0]->wait && $calls[1]->wait,
        'the calls of one session are cancelled');
    ok(http_post($nginx, tool(3, 'echo', {}), session => $ids[4])->answer,
        'a call of another session then runs');
    $_->{conn}->abort for @calls;
}

# the answers of a batch come faster than the client reads

{
    my $nginx = start_http(mcp => 'mcp_sse_queue 64k;');
    my $batch = http_post($nginx, '[' . join(',', (map {
        tool($_, 'big', { bytes => 200_000 })
    } 1 .. 20), tool(21, 'sleep', { seconds => 2 })) . ']', async => 1,
        connect => { rcvbuf => 4096 });

    ok($batch->wait, 'a batch with large answers is answered');
    is($batch->ended, 'clean',
        'the stream of the large batch ends with its last chunk');
    is(scalar(grep { defined $_->{raw_id} } $batch->messages), 21,
        'the stream of the large batch has all answers');
    $batch->{conn}->close;

    my $small = start_http(mcp => 'mcp_sse_queue 64k; '
        . 'mcp_sse_max_answer 300k;');

    $batch = http_post($small, '[' . join(',', (map {
        tool($_, 'big', { bytes => 250_000 })
    } 1 .. 40), tool(41, 'sleep', { seconds => 9 })) . ']', async => 1,
        connect => { rcvbuf => 4096 });
    stream_of($batch);
    $batch->{conn}->pause;
    ok($small->wait_log(qr/reads too slowly/),
        'a client that reads nothing is dropped beyond mcp_sse_max_answer');
    $batch->{conn}->close;
}

# conditional requests: nginx would answer 304 or 412 after the tool has run

{
    my $nginx = start_http();

    for my $condition (
        [ 'If-None-Match', '*' ],
        [ 'If-Match', '"x"' ],
        [ 'If-Unmodified-Since', 'Sat, 29 Oct 1994 19:43:31 GMT' ],
    ) {
        my $answer = http_post($nginx, tool(1, 'echo', { text => 'here' }),
            headers => $condition);

        is($answer->status, 200, "a call with $condition->[0] is 200");
        like($answer->body, qr/here/,
            "a call with $condition->[0] has its answer");
        is(open_stream($nginx, headers => $condition)->status, 200,
            "a stream with $condition->[0] is 200");
        is(get($nginx, '/health', headers => $condition)->status, 200,
            "/health with $condition->[0] is 200");
    }
}

# Frappe is unreachable: the credential of an open stream does not open the
# other transport

{
    my $nginx  = start_http(http => 'mcp_sse_auth_cache 1s; '
        . 'mcp_sse_auth_stale 1s; mcp_sse_auth_wait 1s;');
    my $id     = session_id($nginx);
    my $stream = http_get($nginx, session => $id);

    sleep_for(1.5);
    $frappe->set(down => 'refuse');
    is(http_post($nginx, request(7, 'ping'),
        path => "/mcp/messages?session_id=$id")->status, 503,
        'a legacy POST with a session id of /mcp is 503 while Frappe is down');
    $frappe->reset;
    http_delete($nginx, $id);
    ok($stream->wait_ended, 'the stream of that session ends with DELETE');
    is(scalar($stream->messages), 0,
        'the stream of that session gets no answer');
}

# a session ends at one instance while the other cannot reach Redis

SKIP: {
    skip('no redis-server', 6) if !MCPTest::Redis::binary() && !$ENV{CI};

    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my ($here, $there) = start_instances(2, redis => $redis, workers => 2,
        per => [ {}, { redis => $redis->url(port => $proxy->port) } ],
        locations => "location = /mcp { mcp_sse_http; }\n");
    my @ids     = map { session_id($here) } 1, 2;
    my @workers = $there->wait_workers;
    my @streams = map {
        http_get($there, session => $ids[$_], worker => $workers[$_])
    } 0, 1;

    $proxy->stop;
    ok(run_until(sub { !ready($there) }),
        'the second instance is not ready without Redis');
    http_delete($here, $_) for @ids;
    is(http_post($there, request(1, 'ping'), session => $_)->status, 200,
        'the second instance serves the ended session without Redis') for @ids;
    is(scalar(grep { $_->ended } @streams), 0,
        'streams of the ended sessions stay without Redis');
    $proxy->listen;
    ok(wait_ready($there), 'the second instance is ready when Redis is back');
    ok(run_until(sub { !grep { !$_->ended } @streams }),
        'streams of the ended sessions end when Redis is back');
    $_->{conn}->abort for @streams;
    $_->stop for $here, $there;
    $proxy->stop;
}

finish();
