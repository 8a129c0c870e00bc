# Streamable HTTP: faults that were mended.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Proxy;
use Test::More;

my $frappe = start_frappe();

# chunks that are none, together with the headers

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

            ok($answer->wait, "malformed chunks, user $round");
            is_rejected($answer, 400, -32700, 'Parse error', 'in words');
            is($answer->header('Access-Control-Allow-Origin'),
                'http://erp.example.com', 'and for browsers');
            is($answer->header('Connection'), 'close',
                'what follows is no request');
            $conn->close;
        }
    }
}

# initialize: an answer that the next request could not name

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

        is($got, $told, "offered $offer, answered $answer: $told");
        is(http_post($nginx, request(1, 'ping'), protocol => $got)->status,
            200, 'which is served');
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

    is($stream->status, 200, 'there is room for a stream of another user');
    unlike($nginx->error_log, qr/is full/, 'the zone is not full');
    $_->abort for @conns;
}

# what a worker could not hear does not keep the stream of an ended session

{
    my $nginx   = start_http(workers => 2);
    my @workers = $nginx->wait_workers;
    my $id      = session_id($nginx);
    my $stream  = http_get($nginx, session => $id, worker => $workers[0]);
    my $conn    = connect_worker($nginx, $workers[1]);

    is($stream->status, 200, 'a stream');
    kill STOP => $workers[0];

    is(http_delete($nginx, $id, conn => $conn)->status, 204, 'a DELETE');

    my $other = session_id($nginx, conn => $conn);

    http_post($nginx, '[' . join(',', map {
        notification('notifications/cancelled', { requestId => $_ })
    } 1 .. 100) . ']', session => $other, conn => $conn) for 1 .. 11;

    like($nginx->error_log, qr/\[warn\].*too many announcements/,
        'and too many announcements');
    kill CONT => $workers[0];
    ok($stream->wait, 'end it nevertheless');
    $conn->close;
}

# calls of a user: a session more is not mcp_sse_max_calls more

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

    is(scalar @refused, 4, 'those of two sessions too many are refused');
    is_rejected($refused[0], 429, -32004, 'Too many sessions', 'in words');
    run_until(sub { $frappe->tool_count('hang') == 6 });
    is($frappe->tool_count('hang'), 6, 'the others run');
    is(metrics($nginx)
        ->{'nginx_mcp_sse_limit_refusals_total{limit="sessions"}'}, 4,
        'and counted');

    ok(http_post($nginx, tool(1, 'echo', {}))->answer,
        'calls without a session run');
    ok(http_post($nginx, tool(1, 'echo', {}), session => session_id($nginx,
        auth => MCPTest::credential('bob')),
        auth => MCPTest::credential('bob'))->answer,
        'and those of others');

    http_post($nginx, notification('notifications/cancelled',
        { requestId => $_ }), session => $ids[0]) for 1, 2;
    ok($calls[0]->wait && $calls[1]->wait, 'one session has none');
    ok(http_post($nginx, tool(3, 'echo', {}), session => $ids[4])->answer,
        'another may');
    $_->{conn}->abort for @calls;
}

# a batch whose answers come faster than they can be read

{
    my $nginx = start_http(mcp => 'mcp_sse_queue 64k;');
    my $batch = http_post($nginx, '[' . join(',', (map {
        tool($_, 'big', { bytes => 200_000 })
    } 1 .. 20), tool(21, 'sleep', { seconds => 2 })) . ']', async => 1,
        connect => { rcvbuf => 4096 });

    ok($batch->wait, 'a batch with large answers');
    is($batch->ended, 'clean', 'is whole');
    is(scalar(grep { defined $_->{raw_id} } $batch->messages), 21,
        'with all of them');
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
        'who reads nothing is dropped when there are too many');
    $batch->{conn}->close;
}

# conditions on what is not there: nginx would answer 304 or 412, and the tool
# would have run

{
    my $nginx = start_http();

    for my $condition (
        [ 'If-None-Match', '*' ],
        [ 'If-Match', '"x"' ],
        [ 'If-Unmodified-Since', 'Sat, 29 Oct 1994 19:43:31 GMT' ],
    ) {
        my $answer = http_post($nginx, tool(1, 'echo', { text => 'here' }),
            headers => $condition);

        is($answer->status, 200, "$condition->[0] of a call");
        like($answer->body, qr/here/, 'the answer');
        is(open_stream($nginx, headers => $condition)->status, 200,
            "$condition->[0] of a stream");
        is(get($nginx, '/health', headers => $condition)->status, 200,
            "$condition->[0] of /health");
    }
}

# Frappe cannot be asked: a stream's own credential is none for the other
# transport

{
    my $nginx  = start_http(http => 'mcp_sse_auth_cache 1s; '
        . 'mcp_sse_auth_stale 1s; mcp_sse_auth_wait 1s;');
    my $id     = session_id($nginx);
    my $stream = http_get($nginx, session => $id);

    sleep_for(1.5);
    $frappe->set(down => 'refuse');
    is(http_post($nginx, request(7, 'ping'),
        path => "/mcp/messages?session_id=$id")->status, 503,
        'a session of the other transport, while Frappe is down');
    $frappe->reset;
    http_delete($nginx, $id);
    ok($stream->wait_ended, 'its stream ends');
    is(scalar($stream->messages), 0, 'and had no answer');
}

# ended elsewhere while Redis could not be reached: each worker ends its streams

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
    ok(run_until(sub { !ready($there) }), 'Redis is away');
    http_delete($here, $_) for @ids;
    is(http_post($there, request(1, 'ping'), session => $_)->status, 200,
        'an end that the other instance does not know of') for @ids;
    is(scalar(grep { $_->ended } @streams), 0, 'so the streams stay');
    $proxy->listen;
    ok(wait_ready($there), 'Redis is back');
    ok(run_until(sub { !grep { !$_->ended } @streams }),
        'all of them lose their streams');
    $_->{conn}->abort for @streams;
    $_->stop for $here, $there;
    $proxy->stop;
}

finish();
