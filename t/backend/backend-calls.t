# mcp_sse_backend_calls: at most N calls run at Frappe, all workers together, M
# of one user; others wait their turn.  docs/PROTOCOL.md 6.25 to 6.29, 9.24.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();

my $plain = 'location = /plain { proxy_pass '
    . 'http://frappe/api/method/ping; '
    . 'proxy_set_header Host erp.example.com; }';


sub user { return (auth => MCPTest::credential("user$_[0]")) }

sub places { return health($_[0])->{backend_calls} || {} }


# Waits until as many calls run, and wait.

sub settled {
    my ($nginx, $running, $waiting) = @_;

    return run_until(sub {
        my $places = places($nginx);
        return $places->{running} == $running
            && $places->{waiting} == $waiting;
    }) || diag(explain(places($nginx))) && 0;
}


# Looks the users up, so that no look-up is counted below.

sub known {
    my ($nginx, @users) = @_;

    http_post($nginx, request(1, 'ping'), user($_)) for @users;
    $frappe->reset;

    return;
}


sub keys_run { return join ' ', map { $_->{key} } $frappe->started }

sub is_held { my ($id, $key) = @_; return tool($id, 'hold',
    { gate => $key, key => $key }) }


# N, M of a user, users in turn, four workers

{
    my $nginx = start_http(workers => 4, locations => $plain,
        http => 'mcp_sse_backend_calls 3 per_user=2;');
    my @all;

    known($nginx, 0 .. 3);

    my $call = sub {
        my ($user, $key) = @_;
        push @all, http_post($nginx, is_held(1, $key), user($user),
            async => 1);
    };

    $call->(0, 'a1');
    ok(settled($nginx, 1, 0), 'N - 2: a call runs');
    $call->(0, 'a2');
    ok(settled($nginx, 2, 0), 'N - 1: a call runs');
    $call->(0, 'a3');
    ok(settled($nginx, 2, 1), 'the third call of a user waits: M is 2');
    $call->(1, 'b1');
    ok(settled($nginx, 3, 1), 'N: a call of another user runs');
    $call->(1, 'b2');
    ok(settled($nginx, 3, 2), 'N + 1: it waits');
    $call->(2, 'c1');
    ok(settled($nginx, 3, 3), 'another one');
    $call->(1, 'b3');
    ok(settled($nginx, 3, 4), 'and another one');
    $call->(2, 'c2');
    ok(settled($nginx, 3, 5), 'five wait');

    is($frappe->stats->{in_flight}, 3, 'Frappe has N calls');
    is(get($nginx, '/plain')->status, 200, 'a request past the module is answered');

    my $page = metrics($nginx);

    is($page->{nginx_mcp_sse_backend_calls}, 3, 'backend_calls');
    is($page->{nginx_mcp_sse_backend_calls_waiting}, 5, 'backend_calls_waiting');
    is(places($nginx)->{limit}, 3, '/health has N');

    for my $key (qw(a1 b1 a2 a3)) {
        my $n = () = keys_run() =~ /\S+/g;
        $frappe->open_gate($key);
        ok(run_until(sub { (() = keys_run() =~ /\S+/g) == $n + 1 }),
            "$key ends: another one starts");
    }

    # the calls of a user that wait in several workers have no order, nor have
    # the three that ran at once

    my @run = split ' ', keys_run() =~ s/\d//gr;

    is(join(' ', sort(@run[0 .. 2]), @run[3 .. 6]), 'a a b a b c b',
        'users in turn');

    $frappe->open_gate(qw(b2 c1 b3 c2));
    ok(run_until(sub { !grep { !$_->ended } @all }), 'all are answered');
    is(scalar(grep { ($_->status || 0) == 200 } @all), @all, 'with 200');
    is($frappe->stats->{max_in_flight}, 4,
        'never more than N calls, and the request past the module');
    ok(settled($nginx, 0, 0), 'no place is taken at the end');
    is(metrics($nginx)->{nginx_mcp_sse_call_wait_seconds_count}, 8,
        'call_wait_seconds');
    is(scalar(grep { $_->{wait_ms} eq '0' || $_->{wait_ms} > 0 }
        $nginx->audit(8)), 8, 'the audit line has wait_ms');
    cmp_ok((sort { $b <=> $a } map { $_->{wait_ms} } $nginx->audit(8))[0],
        '>', 0, 'of a call that waited more than 0');
    $_->{conn}->close for @all;
}

# a session: in order, with progress and heartbeats; notifications, too

{
    my $nginx  = start_nginx(workers => 2, http => 'mcp_sse_backend_calls 1; '
        . 'mcp_sse_progress 100ms; mcp_sse_keepalive 100ms;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    post($nginx, $stream, is_held(1, 's1'));
    ok(settled($nginx, 1, 0), 'the first call runs');

    for my $n (2 .. 4) {
        post($nginx, $stream, tool($n, 'echo', { key => "s$n" },
            _meta => { progressToken => "t$n" }));
    }

    post($nginx, $stream, notification('notifications/x'));
    ok(settled($nginx, 1, 4), 'four wait');
    ok(run_until(sub { $stream->{raw} =~ /"progressToken":"t4"/ }),
        'a call that waits has progress');
    ok(run_until(sub { $stream->{raw} =~ /: ping/ }), 'heartbeats go on');
    is($frappe->count('notifications/x'), 0, 'the notification waits');

    $frappe->open_gate('s1');
    ok($stream->wait_answer(4), 'the last call is answered');
    ok(run_until(sub { $frappe->count('notifications/x') }),
        'the notification arrives');
    is(keys_run(), 's1 s2 s3 s4', 'in their order');
    is($frappe->stats->{max_in_flight}, 1, 'one at a time');
    $stream->close;
}

# a cancelled call, one that has timed out: answered, and Frappe still runs them

{
    my $nginx  = start_nginx(http => 'mcp_sse_backend_calls 1;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    post($nginx, $stream, is_held(1, 'l1'));
    ok(run_until(sub { $frappe->tool_count('hold') == 1 }), 'a call runs');
    post($nginx, $stream, tool(2, 'echo', { key => 'l2' }));
    post($nginx, $stream, notification('notifications/cancelled',
        { requestId => 1 }));
    ok($nginx->wait_log(qr/cancels a running request/), 'it is cancelled');
    my ($line) = $nginx->audit(1);
    is($line->{result}, 'cancelled', 'the audit log has it');
    ok(settled($nginx, 1, 1), 'it keeps its place, the next one waits');
    is($frappe->stats->{aborted}, 0, 'and its connection');
    is(keys_run(), 'l1', 'the next one has not started');
    $frappe->open_gate('l1');
    ok($stream->wait_answer(2), 'it starts when Frappe has ended');
    ok(settled($nginx, 0, 0), 'no place is taken');
    ok(!$stream->answers(1), 'the cancelled call has no answer');
    is(scalar($nginx->audit(2)), 2, 'each call has one line in the audit log');
    $stream->close;
}

{
    my $nginx  = start_nginx(http => 'mcp_sse_backend_calls 1;',
        stream => 'mcp_sse_call_timeout 2s;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    post($nginx, $stream, is_held(1, 't1'));
    ok(run_until(sub { $frappe->tool_count('hold') == 1 }), 'a call runs');
    post($nginx, $stream, tool(2, 'echo', { key => 't2' }));

    is_error($stream->wait_answer(1), -32008, 'Request timed out',
        'it times out');
    is_error($stream->wait_answer(2), -32008, 'Request timed out',
        'so does one that waits: the deadline counts from acceptance');
    is(error_of(($stream->answers(2))[0])->{data}{executed}, 'no',
        'that was not executed');
    is(error_of(($stream->answers(2))[0])->{data}{timeout_ms}, 2000,
        'data.timeout_ms');
    ok($nginx->wait_log(qr/\[error\].*waited \d+ ms for its turn/),
        'the log tells');
    is(metrics($nginx)->{'nginx_mcp_sse_messages_not_run_total'
            . '{reason="timed_out"}'},
        1, 'it is counted');
    is(keys_run(), 't1', 'it is not called');
    is(places($nginx)->{running}, 1, 'the first one keeps its place');

    ok(settled($nginx, 0, 0), 'for one more mcp_sse_call_timeout');
    ok(run_until(sub { $frappe->stats->{aborted} == 1 }),
        'then its connection is closed');
    ok(call($nginx, $stream, tool(3, 'echo', { key => 't3' })),
        'the place is free');
    is(keys_run(), 't1 t3', 'the one that timed out never runs');
    $frappe->open_gate('t1');
    $stream->close;
}

# as many wait as mcp_sse_max_inbox allows

{
    my $nginx = start_http(mcp => 'mcp_sse_max_calls 2;',
        http => 'mcp_sse_backend_calls 1; mcp_sse_max_inbox 3;');
    my @all;

    known($nginx, 0);

    for my $n (1 .. 4) {
        push @all, http_post($nginx, is_held(1, "m$n"), user(0), async => 1);
        ok(run_until(sub { health($nginx)->{pending_requests} == $n - 1
            && places($nginx)->{running} }), "call $n is accepted");
    }

    ok(run_until(sub { health($nginx)->{pending_requests} == 3 }),
        'one runs, three wait');
    is_rejected(http_post($nginx, is_held(1, 'm5'), user(0)), 429, -32004,
        'Too many messages', 'one more is 429');
    $frappe->open_gate(map { "m$_" } 1 .. 4);
    ok(run_until(sub { !grep { !$_->ended } @all }), 'the others are answered');
    is(keys_run(), 'm1 m2 m3 m4', 'in their order');
    $_->{conn}->close for @all;
}

# the only call of a session that waits for a place is cancelled

{
    my $nginx = start_http(mcp => 'mcp_sse_max_calls 1;',
        http => 'mcp_sse_backend_calls 1;');

    known($nginx, 0);

    my $session = session_id($nginx, user(0));
    my @all = http_post($nginx, is_held(1, 'x1'), user(0), async => 1);

    ok(settled($nginx, 1, 0), 'a call runs');

    for my $n (2, 3) {
        push @all, http_post($nginx, tool($n, 'echo', { key => "x$n" }),
            user(0), session => $session, async => 1);
        ok(run_until(sub { health($nginx)->{pending_requests} == $n - 1 }),
            "call $n of a session waits");
    }

    http_post($nginx, notification('notifications/cancelled',
        { requestId => 2 }), user(0), session => $session);
    ok(run_until(sub { health($nginx)->{pending_requests} == 1 }),
        'the one that waits for a place is cancelled');
    $frappe->open_gate('x1');
    ok(run_until(sub { $all[2]->ended }), 'the next one is answered');
    is(keys_run() =~ s/.*(?=x1)//r, 'x1 x3', 'it has run');
    $_->{conn}->close for @all;
}

# cancelled while it waits; the client leaves while it waits

{
    my $nginx  = start_http(http => 'mcp_sse_backend_calls 1; '
        . 'mcp_sse_grace 1ms;');
    my $stream = open_stream($nginx);
    my $other  = open_stream($nginx);

    $frappe->reset;
    post($nginx, $stream, is_held(1, 'w1'));
    ok(run_until(sub { $frappe->tool_count('hold') == 1 }), 'a call runs');
    post($nginx, $stream, tool(2, 'echo', { key => 'w2' }));
    post($nginx, $other, tool(3, 'echo', { key => 'w3' }));

    my $http = http_post($nginx, tool(4, 'echo', { key => 'w4' }), async => 1);

    ok(settled($nginx, 1, 3), 'three wait');
    post($nginx, $stream, notification('notifications/cancelled',
        { requestId => 2 }));
    ok(settled($nginx, 1, 2), 'one that is cancelled does not');
    $other->close;
    $http->{conn}->close;
    ok($nginx->wait_log(qr/connection closed: \w+, client left/),
        'the client of another one has left');
    passed($nginx, $stream);
    sleep_for(0.1);
    post($nginx, $stream, tool(5, 'echo', { key => 'w5' }));
    $frappe->open_gate('w1');
    ok($stream->wait_answer(5), 'the call behind them is answered');
    is(keys_run(), 'w1 w5', 'the others are never called');
    ok(settled($nginx, 0, 0), 'no place is taken');
    ok($nginx->wait_log(qr/client has left before its request could start/),
        'the log tells');
    $stream->close;
}

finish();
