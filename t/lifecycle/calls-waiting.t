# Calls that wait for mcp_sse_backend_calls while workers are killed, stopped,
# or replaced by a reload.  docs/PROTOCOL.md 6.28, 12.19, 12.20.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $config = 'mcp_sse_backend_calls 2 per_user=2;';


sub places { return health($_[0])->{backend_calls} || {} }


sub settled {
    my ($nginx, $running, $waiting) = @_;

    return run_until(sub {
        my $places = places($nginx);
        return ($places->{running} // -1) == $running
            && ($places->{waiting} // -1) == $waiting;
    }) || diag(explain(places($nginx))) && 0;
}


sub run_keys { return { map { $_->{key} => 1 } $frappe->started } }

sub hold { my ($key) = @_; return tool(1, 'hold',
    { gate => $key, key => $key }) }


# A call at a worker: of a user that is known there.

sub at {
    my ($nginx, $worker, $user, $message) = @_;

    return http_post($nginx, $message, async => 1, worker => $worker,
        auth => MCPTest::credential("user$user"));
}


sub known {
    my ($nginx) = @_;

    http_post($nginx, request(1, 'ping'),
        auth => MCPTest::credential("user$_")) for 0 .. 3;
    $frappe->reset;

    return;
}


# a worker is killed: its places and its waiting calls are gone

{
    my $nginx   = start_http(workers => 4, http => $config);
    my @workers = $nginx->wait_workers;

    known($nginx);

    my @dead = map { at($nginx, $workers[0], 0, hold("k$_")) } 1, 2;

    ok(settled($nginx, 2, 0), 'both places are of one worker');
    push @dead, at($nginx, $workers[0], 1, hold('k3'));
    ok(settled($nginx, 2, 1), 'a call of it waits');

    my @live = map { at($nginx, $workers[$_], $_, hold("l$_")) } 1 .. 3;

    ok(settled($nginx, 2, 4), 'and three of others');
    $nginx->kill_worker($workers[0]);
    ok(run_until(sub { (grep { /\Al/ } keys %{ run_keys() }) == 2 }),
        'it is killed: two others start');
    ok(settled($nginx, 2, 1), 'they have its places, the third one waits');
    is(scalar(grep { /\Al/ } keys %{ run_keys() }), 2, 'and does not run');
    $frappe->open_gate(qw(l1 l2 l3));
    ok(run_until(sub { !grep { !$_->ended } @live }), 'all are answered');
    ok(settled($nginx, 0, 0), 'no place is taken');
    ok(!run_keys()->{k3}, 'its waiting call never runs');
    $frappe->open_gate(map { "k$_" } 1 .. 3);
    $_->{conn}->close for @dead, @live;
}

# a reload: old workers run what they have, by the same N

{
    my $nginx   = start_http(workers => 2, http => $config);
    my @workers = $nginx->wait_workers;

    known($nginx);

    my @old = map { at($nginx, $workers[$_ % 2], $_, hold("r$_")) } 0 .. 3;

    ok(settled($nginx, 2, 2), 'two run, two wait');

    my @gone = $nginx->reload;
    my ($new) = $nginx->wait_workers;

    push @old, at($nginx, $new, 0, hold('r4'));
    ok(settled($nginx, 2, 3), 'one waits at a new worker');
    $frappe->open_gate("r$_") for 0 .. 4;
    ok(run_until(sub { !grep { !$_->ended } @old }), 'all are answered');
    is(scalar(grep { ($_->status || 0) == 200 } @old), 5, 'with 200');
    is($frappe->stats->{max_in_flight}, 2, 'never more than N at once');
    ok($nginx->wait_gone(\@gone), 'the old workers end');
    ok(settled($nginx, 0, 0), 'no place is taken');
    $_->{conn}->close for @old;
}

# a reload: a notification has no client that waits, and is not lost

{
    my $nginx = start_http(workers => 2, http => 'mcp_sse_backend_calls 1;');
    my @old   = $nginx->wait_workers;

    known($nginx);

    my $call = at($nginx, $old[0], 0, hold('n1'));

    ok(settled($nginx, 1, 0), 'a call of one worker runs');

    my $post = at($nginx, $old[1], 1, notification('notifications/x'));

    $post->wait;
    is($post->status, 202, 'another worker accepts a notification');
    ok(settled($nginx, 1, 1), 'and waits');

    my @gone = $nginx->reload;

    $_->{conn}->close for $call, $post;
    is($frappe->count('notifications/x'), 0, 'after the reload, too');
    $frappe->open_gate('n1');
    ok($nginx->wait_gone(\@gone), 'the old workers end');
    is($frappe->count('notifications/x'), 1, 'but not before it has run');
}

# a graceful stop: a call that was cancelled does not keep the worker

{
    my $nginx  = start_nginx(http => 'mcp_sse_backend_calls 1;',
        main => 'worker_shutdown_timeout 3s;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    post($nginx, $stream, hold('q1'));
    ok(run_until(sub { $frappe->tool_count('hold') == 1 }), 'a call runs');
    post($nginx, $stream, notification('notifications/cancelled',
        { requestId => 1 }));
    post($nginx, $stream, tool(2, 'echo', { key => 'q2' }));
    ok(settled($nginx, 1, 1), 'it was cancelled, another one waits');
    ok($nginx->quit, 'nginx ends');
    is_error($stream->wait_answer(2), -32010, 'Stream closed before the answer',
        'the one that waits is answered');
    ok(!run_keys()->{q2}, 'it is not called');
    $frappe->open_gate('q1');
}

# a worker is stopped while a place is granted to it

{
    my $nginx   = start_http(workers => 3, http =>
        'mcp_sse_backend_calls 1;');
    my @workers = $nginx->wait_workers;

    known($nginx);

    my @calls = map { my $n = $_; my $call = at($nginx, $workers[$n], $n,
        hold("s$n")); settled($nginx, 1, $n); $call } 0 .. 2;

    # for what this test asks in the meantime

    my $conn = connect_worker($nginx, $workers[2]);

    kill STOP => $workers[1];
    $frappe->open_gate('s0');
    ok(run_until(sub { run_keys()->{s2} }),
        'the place of the stopped worker goes to another one');
    ok(!run_keys()->{s1}, 'its own call does not run');
    $frappe->open_gate('s1');
    kill CONT => $workers[1];
    $frappe->open_gate('s2');
    ok(run_until(sub { !grep { !$_->ended } @calls }),
        'it goes on: all are answered');
    is($frappe->stats->{max_in_flight}, 1, 'one at a time');
    ok(settled($nginx, 0, 0), 'no place is taken');
    $_->{conn}->close for @calls;
    $conn->close;
}

finish();
