# A worker is killed: its streams end, its sessions are gone, other workers go
# on, and nothing stays locked or leaks.
# docs/PROTOCOL.md 4.6, 4.17, 4.22, 12.6.

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
        conn => $conn), "$round: a call for the victim is accepted");
    accepted(post($nginx, $others[0], tool(1, 'sleep', { seconds => 2 }),
        conn => $conn), "$round: a call for another worker is accepted");

    $nginx->kill_worker($victim);

    ok(run_until(sub { !grep { !$_->ended } @dead }),
        "$round: the streams of the killed worker end");

    # an unread wake-up hides the death for a moment; no message waits for
    # mcp_sse_grace

    ok(run_until(sub {
        my $response = post($nginx, $dead[0], request(2, 'ping'),
            conn => $conn);
        return ($response->status || 0) != 202;
    }), "$round: messages for the killed worker are soon refused");

    for my $stream (@dead) {
        my $response = post($nginx, $stream->session, request(2, 'ping'),
            conn => $conn);

        is_rejected($response, 400, -32001, 'Invalid session ID',
            "$round: a message for an ended stream is 400");
    }

    ok(!(grep { $_->ended } @others), "$round: other streams stay open");
    ok($others[0]->wait_answer(1),
        "$round: a call of another worker is answered");

    my $n = 100;

    for my $stream (@others) {
        accepted(post($nginx, $stream, request(++$n, 'ping'),
            conn => $conn), "$round: a message for another worker is accepted");
        ok($stream->wait_answer($n),
            "$round: a message for another worker is answered");
    }

    is(scalar $nginx->wait_workers, 4, "$round: a new worker starts");
    ok(run_until(sub { health($nginx)->{active_connections} == 9 }),
        "$round: /health does not count the ended streams")
        or diag(health($nginx)->{active_connections});

    my ($new) = grep { my $pid = $_; !grep { $_ == $pid } @workers }
        $nginx->wait_workers;
    my $fresh = open_stream($nginx, worker => $new);

    ok($fresh->session, "$round: a stream opens at the new worker");
    accepted(post($nginx, $fresh, request(1, 'ping'), conn => $conn),
        "$round: a message for the new worker is accepted");
    ok($fresh->wait_answer(1),
        "$round: a message for the new worker is answered");

    # the id of an ended stream can be registered again

    my $back = open_stream($nginx, headers =>
        [ 'Last-Event-ID', $dead[1]->session ]);

    is($back->session, $dead[1]->session,
        "$round: a client that brings its id keeps it");
    ok(call($nginx, $back, request(7, 'ping')),
        "$round: a message for the same id is answered");

    $_->close for @others, $fresh, $back;
    $conn->close;

    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        "$round: no stream is left at the end");
}

# a worker is killed while messages for it arrive

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
        'every POST for a killed worker has a status');

    # other workers may notice the death a moment later

    ok(run_until(sub {
        push @responses, [ ++$id, post($nginx, $stream, tool($id, 'echo',
            { key => "x$id" }), conn => $conns[0]) ];
        return ($responses[-1][1]->status || 0) == 400;
    }), 'a message after the kill is 400');

    my %status;

    $status{ $_->[1]->status || 'none' }++ for @responses;
    is_deeply([ sort keys %status ], [ 202, 400 ],
        'every POST for a killed worker is 202 or 400')
        or diag(explain(\%status));

    my $calls = $frappe->stats->{calls};
    my @wrong = grep { ($calls->{"echo/x$_->[0]"} || 0)
        > ($_->[1]->status == 202 ? 1 : 0) } @responses;

    is(scalar @wrong, 0,
        'no message runs after its refusal or twice around the kill');

    my $next = open_stream($nginx);

    ok(call($nginx, $next, tool(1, 'echo', {})),
        'a call on a new stream is answered after the kill');
    $_->close for $next, @conns;
}

# nginx does not replace an exiting worker that dies: the others clean up

{
    my @workers = $nginx->wait_workers;
    my @streams = map { open_stream($nginx, worker => $_) } @workers;

    post($nginx, $_, tool(1, 'hold', { gate => 'exit' })) for @streams;

    my @old = $nginx->reload;

    # the worker dies with an unread wake-up

    kill STOP => $old[0];
    accepted(post($nginx, $streams[0], request(2, 'ping')),
        'a message for a stopped exiting worker is accepted');
    $nginx->kill_worker($old[0]);
    ok($streams[0]->wait_ended, 'the stream of a killed exiting worker ends');

    my $response;
    my $refused = run_until(sub {
        $response = post($nginx, $streams[0], request(3, 'ping'));
        return $response->status != 202;
    });

    ok($refused, 'messages for a killed exiting worker are soon refused');
    is_rejected($response, 400, -32001, 'Invalid session ID',
        'a session of a killed exiting worker is gone');
    accepted(post($nginx, $streams[1], request(2, 'ping')),
        'a message for another exiting worker is accepted');
    $frappe->open_gate('exit');
    ok($streams[$_]->wait_answer(1), "exiting worker $_ answers its call")
        for 1 .. $#streams;
    ok($nginx->wait_gone(\@old), 'all old workers end');
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'no stream of old workers is left');
}

finish();
