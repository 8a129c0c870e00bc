# A worker dies: its sessions are gone, others go on, nothing is locked or
# leaks.  docs/PROTOCOL.md 12.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 4,
    http => 'mcp_sse_max_sessions 200; mcp_sse_grace 300s;');

for my $round (1 .. 2) {
    my @workers = $nginx->wait_workers;
    my %stream  = map { $_ => [ map { open_stream($nginx, worker => $_) }
        ($_) x 3 ] } @workers;
    my $victim  = $workers[$round - 1];
    my @dead    = @{ $stream{$victim} };
    my @others  = map { @{ $stream{$_} } } grep { $_ != $victim } @workers;

    my ($producer) = grep { $_ != $victim } @workers;
    my $conn = connect_worker($nginx, $producer);

    accepted(post($nginx, $dead[0], tool(1, 'sleep', { seconds => 2 }),
        conn => $conn), "$round: a call at the worker that will die");
    accepted(post($nginx, $others[0], tool(1, 'sleep', { seconds => 2 }),
        conn => $conn), "$round: one at another");

    $nginx->kill_worker($victim);

    ok(run_until(sub { !grep { !$_->ended } @dead }),
        "$round: its streams end");

    # a wake-up that it has not read hides its death for a moment; nothing is
    # held for the grace

    ok(run_until(sub {
        my $response = post($nginx, $dead[0], request(2, 'ping'),
            conn => $conn);
        return ($response->status || 0) != 202;
    }), "$round: its death is noticed");

    for my $stream (@dead) {
        my $response = post($nginx, $stream->session, request(2, 'ping'),
            conn => $conn);

        is_rejected($response, 400, -32001, 'Invalid session ID',
            "$round: a message for one of them");
    }

    ok(!(grep { $_->ended } @others), "$round: the other streams stay");
    ok($others[0]->wait_answer(1), "$round: their calls are answered");

    my $n = 100;

    for my $stream (@others) {
        accepted(post($nginx, $stream, request(++$n, 'ping'),
            conn => $conn), "$round: a message for another");
        ok($stream->wait_answer($n), "$round: is answered");
    }

    is(scalar $nginx->wait_workers, 4, "$round: there is a new worker");
    ok(run_until(sub { health($nginx)->{active_connections} == 9 }),
        "$round: the dead streams are not counted")
        or diag(health($nginx)->{active_connections});

    my ($new) = grep { my $pid = $_; !grep { $_ == $pid } @workers }
        $nginx->wait_workers;
    my $fresh = open_stream($nginx, worker => $new);

    ok($fresh->session, "$round: the new worker takes streams");
    accepted(post($nginx, $fresh, request(1, 'ping'), conn => $conn),
        "$round: messages are handed to it");
    ok($fresh->wait_answer(1), "$round: and answered");

    # the id of a dead stream can be registered again

    my $back = open_stream($nginx, headers =>
        [ 'Last-Event-ID', $dead[1]->session ]);

    is($back->session, $dead[1]->session,
        "$round: a client that brings its id gets it back");
    ok(call($nginx, $back, request(7, 'ping')), "$round: and it works");

    $_->close for @others, $fresh, $back;
    $conn->close;

    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        "$round: no streams are left");
}

# killed while messages come in: what was refused did not run, nothing stays
# full

{
    my @workers = $nginx->wait_workers;
    my $victim  = $workers[0];
    my ($at)    = grep { $_ != $victim } @workers;
    my $stream  = open_stream($nginx, worker => $victim);
    my @conns   = map { connect_worker($nginx, $at) } 1 .. 10;
    my $id      = 0;
    my @responses;

    $frappe->reset;

    for my $turn (1 .. 30) {
        $nginx->kill_worker($victim) if $turn == 10;
        push @responses, map { $id++; [ $id, post($nginx, $stream,
            tool($id, 'echo', { key => "x$id" }), conn => $_, async => 1) ] }
            @conns;
        run_until(sub { !grep { !$_->[1]->ended } @responses });
    }

    is(scalar(grep { !$_->[1]->ended } @responses), 0,
        'every POST has an answer');

    # the death of a worker may go unnoticed for a moment

    ok(run_until(sub {
        push @responses, [ ++$id, post($nginx, $stream, tool($id, 'echo',
            { key => "x$id" }), conn => $conns[0]) ];
        return ($responses[-1][1]->status || 0) == 400;
    }), '400 after the kill');

    my %status;

    $status{ $_->[1]->status || 'none' }++ for @responses;
    is_deeply([ sort keys %status ], [ 202, 400 ], '202 first, then 400')
        or diag(explain(\%status));

    my $calls = $frappe->stats->{calls};
    my @wrong = grep { ($calls->{"echo/x$_->[0]"} || 0)
        > ($_->[1]->status == 202 ? 1 : 0) } @responses;

    is(scalar @wrong, 0, 'nothing that was refused ran, nothing ran twice');

    my $next = open_stream($nginx);

    ok(call($nginx, $next, tool(1, 'echo', {})), 'and on it goes');
    $_->close for $next, @conns;
}

# an exiting worker that dies is not replaced: others clean up

{
    my @workers = $nginx->wait_workers;
    my @streams = map { open_stream($nginx, worker => $_) } @workers;

    post($nginx, $_, tool(1, 'hold', { gate => 'exit' })) for @streams;

    my @old = $nginx->reload;

    # it dies with a wake-up it has not read

    kill STOP => $old[0];
    accepted(post($nginx, $streams[0], request(2, 'ping')),
        'an exiting worker is slow');
    $nginx->kill_worker($old[0]);
    ok($streams[0]->wait_ended, 'and dies');

    my $response;
    my $refused = run_until(sub {
        $response = post($nginx, $streams[0], request(3, 'ping'));
        return $response->status != 202;
    });

    ok($refused, 'which is noticed');
    is_rejected($response, 400, -32001, 'Invalid session ID',
        'its session is gone');
    accepted(post($nginx, $streams[1], request(2, 'ping')),
        "another exiting worker's is not");
    $frappe->open_gate('exit');
    ok($streams[$_]->wait_answer(1), "answer $_") for 1 .. $#streams;
    ok($nginx->wait_gone(\@old), 'all old workers go');
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'no streams are left');
}

finish();
