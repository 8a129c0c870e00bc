# GET of Streamable HTTP: the stream of a session, and how it ends.
# docs/PROTOCOL.md 1, 2, 3 and 7.

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

# a GET without a session id

{
    my $answer = http($nginx, 'GET', accept => 'text/event-stream');

    is_rejected($answer, 405, -32600, 'Method not allowed',
        'GET without a session id is 405');
    is($answer->header('Allow'), 'POST, DELETE, OPTIONS',
        '405 of GET has Allow: POST, DELETE, OPTIONS');
    is(http($nginx, 'HEAD')->status, 405, 'HEAD without a session id is 405');

    # connectors probe so

    for my $method (qw(GET HEAD)) {
        my $probe = http($nginx, $method, auth => undef);

        is($probe->status, 401, "$method without a credential is 401");
        is($probe->header('WWW-Authenticate'),
            'Bearer realm="erp.example.com", resource_metadata='
            . '"http://erp.example.com/.well-known/'
            . 'oauth-protected-resource/mcp"',
            "$method without a credential gets the challenge");
        is($probe->header('Allow'), undef,
            "the 401 of $method without a credential has no Allow");
        like(http($nginx, $method, auth => 'Bearer expired-token')
            ->header('WWW-Authenticate') || '', qr/error="invalid_token"/,
            "$method with an expired token is told so");
    }

    # what needs no answer of Frappe does not wait for it

    $frappe->set(down => 'refuse');
    is(http($nginx, 'GET', auth => MCPTest::credential('bob'))->status, 405,
        'GET without a session id is 405 while Frappe is unreachable');
    $frappe->reset;
}

# a GET with a session id

{
    my $stream = http_get($nginx, session => $id);

    is($stream->status, 200, 'GET with a session id is 200');
    is($stream->header('Content-Type'), 'text/event-stream',
        'the stream has Content-Type: text/event-stream');
    is($stream->header('Cache-Control'), 'no-cache, no-transform',
        'the stream has Cache-Control: no-cache, no-transform');
    is($stream->header('X-Accel-Buffering'), 'no',
        'the stream has X-Accel-Buffering: no');
    is(($stream->events)[0]{type}, 'comment',
        'the stream begins with a comment');
    is(health($nginx)->{active_connections}, 1, '/health counts the stream');

    # three heartbeats take longer than mcp_sse_idle_timeout

    http_post($nginx, tool(1, 'echo', {}), session => $id);
    ok(run_until(sub { $stream->types >= 4 }), 'the stream has a heartbeat');
    ok(!$stream->ended, 'mcp_sse_idle_timeout does not end the stream');
    is_deeply([ grep { $_ ne 'comment' } $stream->types ], [],
        'the stream has comments only, no answers of calls');
    is(scalar(grep { defined $_->{id} } $stream->events), 0,
        'no event of the stream has an id');
    $stream->close;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        '/health does not count the stream after its client leaves');

    my $again = http_get($nginx, session => $id);

    is($again->status, 200, 'the stream of the session can be opened again');
    $again->close;
}

# whether all of these streams have one more heartbeat

sub all_go_on {
    my @before = map { scalar $_->types } @_;

    return run_until(sub {
        return !grep { $_[$_]->types <= $before[$_] } 0 .. $#_;
    });
}

# a second stream of the session, at each worker

for my $worker (@workers) {
    my $first  = http_get($nginx, session => $id, worker => $workers[0]);
    my $second = http_get($nginx, session => $id, worker => $worker);

    is($second->status, 200, 'a second stream of the session opens');
    ok(all_go_on($first, $second), 'both streams of the session stay');
    is(health($nginx)->{active_connections}, 2, '/health counts both streams');
    $_->close for $first, $second;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# the ninth stream of the session

{
    my @open = map { http_get($nginx, session => $id,
        worker => $workers[$_ % 2]) } 1 .. 8;

    ok(all_go_on(@open), 'eight streams of a session stay');

    my $oldest = shift @open;

    push @open, http_get($nginx, session => $id, worker => $workers[0]);
    is($open[-1]->status, 200, 'a ninth stream of the session opens');
    ok($oldest->wait_ended, 'the ninth stream ends the oldest');
    is($oldest->ended, 'clean', 'the oldest stream ends with its last chunk');
    is($oldest->retry, undef, 'the oldest stream ends without retry:');
    ok($nginx->wait_log(qr/SSE connection closed: \S+, replaced/),
        'the log says that the oldest stream was replaced');

    $oldest = shift @open;
    push @open, http_get($nginx, session => $id, worker => $workers[1]);
    ok($oldest->wait_ended, 'the tenth stream ends the next oldest');
    ok(all_go_on(@open), 'the newest eight stay');

    my $other = http_get($nginx, session => session_id($nginx));

    ok(all_go_on(@open, $other),
        'a stream of another session ends none of them');

    my $last = pop @open;

    $last->close;
    run_until(sub { health($nginx)->{active_connections} == 8 });
    push @open, http_get($nginx, session => $id, worker => $workers[0]);
    ok(all_go_on(@open, $other),
        'after one has left, another ends none of them');
    $_->close for @open, $other;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# DELETE at each worker

for my $worker (@workers) {
    $frappe->reset;

    my $own    = session_id($nginx);
    my $stream = http_get($nginx, session => $own, worker => $workers[0]);
    my @more   = map { http_get($nginx, session => $own, worker => $_) }
        @workers;
    my $other  = http_get($nginx, session => $id, worker => $workers[0]);
    my $call   = http_post($nginx, tool(1, 'hold', { gate => 'ended' }),
        session => $own, worker => $workers[0], async => 1);

    run_until(sub { $frappe->tool_count('hold') == 1 });
    is(http_delete($nginx, $own, worker => $worker)->status, 204,
        'DELETE of the session is 204');
    ok($stream->wait_ended, 'DELETE ends the stream of the session');
    is($stream->ended, 'clean',
        'the stream of the ended session ends with its last chunk');
    is($stream->retry, undef,
        'the stream of the ended session ends without retry:');
    ok($_->wait_ended, 'DELETE ends all streams of the session') for @more;
    ok(!$other->ended, 'DELETE does not end the stream of another session');
    $frappe->open_gate('ended');
    ok($call->wait && $call->answer,
        'a call that runs is answered after DELETE');
    $other->close;
}

# HEAD, Accept, and a GET with a body

{
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'no stream is counted before HEAD');

    my $head = http($nginx, 'HEAD', session => $id);

    is($head->status, 200, 'HEAD with a session id is 200');
    is($head->header('Content-Type'), 'text/event-stream',
        'HEAD has Content-Type: text/event-stream');
    is(health($nginx)->{active_connections}, 0, 'HEAD opens no stream');

    my $any = http_get($nginx, session => $id, accept => 'text/html');

    is($any->status, 200, 'Accept of a GET is not examined');
    $any->close;
    is(http($nginx, 'GET', session => $id, body => '{}')->status, 400,
        'a GET with a body is 400');
}

# the limit of streams of a user

{
    my $few  = start_http(http => 'mcp_sse_max_sessions 2;');
    my @ids  = map { session_id($few) } 1 .. 3;
    my @open = map { http_get($few, session => $ids[$_]) } 0, 1;

    is_rejected(http($few, 'GET', session => $ids[2]), 429, -32004,
        'Too many sessions', 'a stream beyond mcp_sse_max_sessions is 429');
    is(http_post($few, request(1, 'ping'), session => $ids[2])->status, 200,
        'a POST is served at the limit of streams');
    http_post($few, request(1, 'ping'), session => $ids[0]);
    sleep_for(10.5);

    my $third = http_get($few, session => $ids[2]);

    is($third->status, 200, 'a stream opens if another session was never used');
    ok($open[1]->wait_ended,
        'the stream of the session that was never used ends');
    is(scalar($open[1]->of_type('error')), 0,
        'the evicted stream has no event: error');
    ok(!$open[0]->ended, 'the stream of a session in use stays');

    # the streams of one session are more than the user may have

    http_post($few, request(2, 'ping'), session => $ids[2]);

    my $more = http_get($few, session => $ids[2]);

    is($more->status, 200,
        'at the limit, another stream of a session that has one opens');
    ok($third->wait_ended, 'it ends the one that the session had');
    ok(!$open[0]->ended, 'it ends no stream of another session');
    $_->close for @open, $third, $more;
}

# the credential is revoked, the id expires

{
    my $strict = start_http(mcp => 'mcp_sse_auth_recheck 1s; '
        . 'mcp_sse_auth_cache 1s;');
    my $strict_id = session_id($strict);
    my $stream = http_get($strict, session => $strict_id);
    my $second = http_get($strict, session => $strict_id);

    is($stream->status, 200, 'a stream opens before its credential is revoked');
    $frappe->set(revoke => 'alice-key');
    ok($stream->wait_ended, 'the stream ends when its credential is refused');
    ok($second->wait_ended, 'the second stream of the session ends, too');
    is($stream->ended, 'clean',
        'the stream of a refused credential ends with its last chunk');
    is(scalar($stream->of_type('error')), 0,
        'the stream of a refused credential has no event: error');
    $frappe->reset;

    my $short = start_http(mcp => 'mcp_sse_session_ttl 3s;');
    my $brief = http_get($short, session => session_id($short));

    ok($brief->wait_ended, 'the stream ends when its session id expires');
    is($brief->ended, 'clean',
        'the stream of an expired id ends with its last chunk');
}

# the worker of one of two streams is killed

{
    my @streams = map { http_get($nginx, session => $id, worker => $_) }
        @workers;

    $nginx->kill_worker($workers[1]);
    ok($streams[1]->wait_ended, 'the stream of a worker that is killed ends');
    ok(all_go_on($streams[0]), 'that of the other worker stays');
    @workers = $nginx->wait_workers;
    ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
        '/health counts the one that stays');

    my @open = map { http_get($nginx, session => $id) } 1 .. 7;

    ok(all_go_on($streams[0], @open), 'the session may have seven more');
    $_->close for $streams[0], @open;
}

# nginx is reloaded

{
    my $stream = http_get($nginx, session => $id);
    my @old    = $nginx->reload;

    ok($stream->wait_ended, 'a reload ends the stream of an old worker');
    is($stream->ended, 'clean',
        'the stream of the old worker ends with its last chunk');
    ok(defined $stream->retry, 'the stream of the old worker ends with retry:');
    ok($nginx->wait_gone(\@old), 'the old workers end');

    my $new = http_get($nginx, session => $id);

    is($new->status, 200, 'the stream opens again at a new worker');
    $new->close;
}

finish();
