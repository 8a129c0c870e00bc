# GET of Streamable HTTP: the stream of a session.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(workers => 2, http => 'mcp_sse_drain 1s;',
    mcp => 'mcp_sse_keepalive 1s event; mcp_sse_idle_timeout 1s;');
my @workers = $nginx->wait_workers;
my $id      = session_id($nginx);

# without a session

{
    my $answer = http($nginx, 'GET', accept => 'text/event-stream');

    is_rejected($answer, 405, -32600, 'Method not allowed',
        'GET without a session');
    is($answer->header('Allow'), 'POST, DELETE, OPTIONS', 'with Allow');
    is(http($nginx, 'GET', auth => undef)->status, 405,
        'whoever asks');
    is(http($nginx, 'HEAD')->status, 405, 'and HEAD');
}

# a stream

{
    my $stream = http_get($nginx, session => $id);

    is($stream->status, 200, 'a stream');
    is($stream->header('Content-Type'), 'text/event-stream', 'of events');
    is($stream->header('Cache-Control'), 'no-cache, no-transform',
        'that nobody caches');
    is($stream->header('X-Accel-Buffering'), 'no', 'nor buffers');
    is(($stream->events)[0]{type}, 'comment', 'begins with a comment');
    is(health($nginx)->{active_connections}, 1, 'and is counted');

    # the heartbeat comes once a second: longer than mcp_sse_idle_timeout

    http_post($nginx, tool(1, 'echo', {}), session => $id);
    ok(run_until(sub { $stream->types >= 4 }), 'it has a heartbeat');
    ok(!$stream->ended, 'and stays, idle as it is');
    is_deeply([ grep { $_ ne 'comment' } $stream->types ], [],
        'nothing but comments: no answers, no events');
    is(scalar(grep { defined $_->{id} } $stream->events), 0, 'without ids');
    $stream->close;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'gone with its client');

    my $again = http_get($nginx, session => $id);

    is($again->status, 200, 'it may be opened again');
    $again->close;
}

# replaced by a second one, on each worker

for my $worker (@workers) {
    my $first  = http_get($nginx, session => $id, worker => $workers[0]);
    my $second = http_get($nginx, session => $id, worker => $worker);

    is($second->status, 200, 'a second stream');
    ok($first->wait_ended, 'ends the first one');
    is($first->ended, 'clean', 'in good order');
    is($first->retry, undef, 'without retry:');
    ok(!$second->ended, 'and stays');
    $_->close for $first, $second;
}

# ended by DELETE, on each worker

for my $worker (@workers) {
    $frappe->reset;

    my $own    = session_id($nginx);
    my $stream = http_get($nginx, session => $own, worker => $workers[0]);
    my $other  = http_get($nginx, session => $id, worker => $workers[0]);
    my $call   = http_post($nginx, tool(1, 'hold', { gate => 'ended' }),
        session => $own, worker => $workers[0], async => 1);

    run_until(sub { $frappe->tool_count('hold') == 1 });
    is(http_delete($nginx, $own, worker => $worker)->status, 204, 'DELETE');
    ok($stream->wait_ended, 'ends the stream');
    is($stream->ended, 'clean', 'in good order');
    is($stream->retry, undef, 'without retry:');
    ok(!$other->ended, 'not that of another session');
    $frappe->open_gate('ended');
    ok($call->wait && $call->answer, 'a call that runs is answered');
    $other->close;
}

# HEAD, Accept, body

{
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'no stream is left');

    my $head = http($nginx, 'HEAD', session => $id);

    is($head->status, 200, 'HEAD');
    is($head->header('Content-Type'), 'text/event-stream', 'as GET');
    is(health($nginx)->{active_connections}, 0, 'without a stream');

    my $any = http_get($nginx, session => $id, accept => 'text/html');

    is($any->status, 200, 'Accept of a GET is not examined');
    $any->close;
    is(http($nginx, 'GET', session => $id, body => '{}')->status, 400,
        'a GET with a body');
}

# too many of one user

{
    my $few  = start_http(http => 'mcp_sse_max_sessions 2;');
    my @ids  = map { session_id($few) } 1 .. 3;
    my @open = map { http_get($few, session => $ids[$_]) } 0, 1;

    is_rejected(http($few, 'GET', session => $ids[2]), 429, -32004,
        'Too many sessions', 'streams are limited');
    is(http_post($few, request(1, 'ping'), session => $ids[2])->status, 200,
        'messages are not');
    http_post($few, request(1, 'ping'), session => $ids[0]);
    sleep_for(10.5);

    my $third = http_get($few, session => $ids[2]);

    is($third->status, 200, 'one that was never used makes room');
    ok($open[1]->wait_ended, 'and ends');
    is(scalar($open[1]->of_type('error')), 0, 'with no event for it');
    ok(!$open[0]->ended, 'one that is in use stays');
    $_->close for @open, $third;
}

# credential revoked, id expired

{
    my $strict = start_http(mcp => 'mcp_sse_auth_recheck 1s; '
        . 'mcp_sse_auth_cache 1s;');
    my $stream = http_get($strict, session => session_id($strict));

    is($stream->status, 200, 'a stream');
    $frappe->set(revoke => 'alice-key');
    ok($stream->wait_ended, 'ends when its credential is refused');
    is($stream->ended, 'clean', 'in good order');
    is(scalar($stream->of_type('error')), 0, 'with no event for it');
    $frappe->reset;

    my $short = start_http(mcp => 'mcp_sse_session_ttl 3s;');
    my $brief = http_get($short, session => session_id($short));

    ok($brief->wait_ended, 'ends with its session id');
    is($brief->ended, 'clean', 'in good order');
}

# reload

{
    my $stream = http_get($nginx, session => $id);
    my @old    = $nginx->reload;

    ok($stream->wait_ended, 'an old worker lets go of a stream');
    is($stream->ended, 'clean', 'in good order');
    ok(defined $stream->retry, 'with retry:');
    ok($nginx->wait_gone(\@old), 'and ends');

    my $new = http_get($nginx, session => $id);

    is($new->status, 200, 'a new one takes it');
    $new->close;
}

finish();
