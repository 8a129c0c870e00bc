# The open requests of a stream that was lost: who takes its session over
# inherits them, in the same worker with their answers, in another one each is
# answered with an error; none of them is run twice.  docs/PROTOCOL.md 3.9, 3.10,
# 4.22.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Metrics qw(gauge);
use Test::More;

my $frappe = start_frappe();
my $gates  = 0;
my ($nginx, @workers);


sub start {
    $nginx = start_nginx(workers => 2, http => 'mcp_sse_grace 300s;', @_);
    @workers = $nginx->wait_workers;
    $frappe->reset;

    return;
}


# A call that runs until its gate opens.

sub hold { return tool($_[0], 'hold', { gate => $_[1] }) }


# Opens a stream and posts a call with the id 1, which runs.

sub running {
    my $gate   = 'gate' . ++$gates;
    my $stream = open_stream($nginx, worker => $workers[0]);
    my $n      = $frappe->tool_count('hold');

    accepted(post($nginx, $stream, hold(1, $gate)), 'a call is accepted');
    run_until(sub { $frappe->tool_count('hold') == $n + 1 });

    return ($stream, $gate);
}


# The client leaves, and nginx knows it.

sub lose {
    my ($stream) = @_;

    my $open = health($nginx)->{active_connections};

    $stream->close;
    run_until(sub { health($nginx)->{active_connections} < $open });

    return;
}


sub again {
    my ($stream, $worker) = @_;

    return open_stream($nginx, worker => $worker,
        headers => [ 'Last-Event-ID', $stream->session ]);
}


# That nothing more comes: a ping that was posted later is answered.

sub quiet { return call($nginx, $_[0], request('"quiet' . ++$gates . '"', 'ping')) }


sub is_unknown {
    my ($stream, $id, $name) = @_;

    my $answer = $stream->wait_answer($id) || '';

    is_error(($stream->answers($id))[0], -32010,
        'Stream closed before the answer', $name);
    like($answer, qr/"data":\{"executed":"unknown"\}/,
        "$name: it may have been executed");

    return;
}


# Repeats the call until it runs, which it must not before the first has ended.

sub runs_again {
    my ($stream, $gate) = @_;

    my $id = 1;

    return run_until(sub {
        my $n = $stream->answers($id);

        post($nginx, $stream, hold($id, $gate));
        run_until(sub { $stream->answers($id) > $n });

        return ($stream->answers($id))[-1] !~ /in use/;
    });
}


start();

# the same worker, the call still runs

{
    my ($stream, $gate) = running();

    lose($stream);

    my $again = again($stream, $workers[0]);

    is($again->session, $stream->session, 'same worker: the id is the same');
    accepted(post($nginx, $again, hold(1, $gate)),
        'same worker: the call is repeated');
    quiet($again);
    is(scalar $again->answers(1), 0, 'same worker: it is not answered yet');
    $frappe->open_gate($gate);
    like($again->wait_answer(1) || '', qr/"held/,
        'same worker: the answer comes on the new stream');
    quiet($again);
    is(scalar $again->answers(1), 1, 'same worker: it is answered once');
    is($frappe->tool_count('hold'), 1, 'same worker: it runs once');
    $again->close;
}

# the same worker, the call ends before the client is back

{
    my ($stream, $gate) = running();

    lose($stream);
    $frappe->open_gate($gate);
    run_until(sub { metrics($nginx)->{nginx_mcp_sse_calls_running} == 0 });

    my $again = again($stream, $workers[0]);

    like($again->wait_answer(1) || '', qr/"held/,
        'the call has ended meanwhile: the answer comes on the new stream');
    quiet($again);
    is(scalar $again->answers(1), 1, 'the call has ended: one answer');
    $again->close;
}

# another worker, the call still runs

{
    my ($stream, $gate) = running();
    my $n = $frappe->tool_count('hold');

    lose($stream);

    my $again = again($stream, $workers[1]);

    is($again->session, $stream->session, 'other worker: the id is the same');
    is_unknown($again, 1, 'other worker: the call is answered with an error');

    accepted(post($nginx, $again, hold(1, $gate)),
        'other worker: the call is repeated');
    ok(run_until(sub { $again->answers(1) == 2 }),
        'other worker: the repeated call is answered');
    is_error(($again->answers(1))[1], -32600, 'Request id is in use',
        'other worker: it is refused while the first one runs');
    like(($again->answers(1))[1], qr/"data":\{"reason":"elsewhere"\}/,
        'other worker: the refusal says why');
    is($frappe->tool_count('hold'), $n, 'other worker: it does not run');
    ok(call($nginx, $again, tool(2, 'echo', {})),
        'other worker: another call runs');

    $frappe->open_gate($gate);
    ok(runs_again($again, $gate),
        'other worker: when the first one has ended, it runs');
    is($frappe->tool_count('hold'), $n + 1, 'other worker: once more');
    quiet($again);
    is(scalar(grep { $_ =~ /"held/ } $again->answers(1)), 1,
        'other worker: the answer of the first one is not sent');
    $again->close;
}

# another worker, and back to the first one

{
    my ($stream, $gate) = running();

    lose($stream);

    my $other = again($stream, $workers[1]);

    is_unknown($other, 1, 'there and back: the call is answered with an error');
    lose($other);

    my $back = again($stream, $workers[0]);

    $frappe->open_gate($gate);
    run_until(sub { metrics($nginx)->{nginx_mcp_sse_calls_running} == 0 });
    quiet($back);
    is(scalar $back->answers(1), 0, 'there and back: it is not answered again');
    $back->close;
}

# an inherited call is cancelled

for my $worker (0, 1) {
    my ($stream, $gate) = running();

    lose($stream);

    my $again  = again($stream, $workers[$worker]);
    my $name   = $worker ? 'other worker' : 'same worker';
    my $before = () = $nginx->error_log =~ /cancels a running request/g;

    is_unknown($again, 1, "$name: inherited") if $worker;

    my $n = $again->answers(1);

    post($nginx, $again, notification('notifications/cancelled',
        { requestId => 1 }));
    ok(run_until(sub { my $now = () = $nginx->error_log
        =~ /cancels a running request/g; $now == $before + 1 }),
        "$name: an inherited call is cancelled");
    $frappe->open_gate($gate);
    ok(runs_again($again, $gate), "$name: its id can be used again");
    is(scalar(grep { $_ =~ /"held/ } $again->answers(1)), 1,
        "$name: the cancelled call is not answered");
    $again->close;
}

# an open stream is replaced by one in another worker

{
    my ($stream, $gate) = running();
    my $n = $frappe->tool_count('hold');
    my $again = again($stream, $workers[1]);

    is_unknown($stream, 1, 'replaced: the call is answered on the old stream');
    post($nginx, $again, hold(1, $gate));
    $again->wait_answer(1);
    is_error(($again->answers(1))[0], -32600, 'Request id is in use',
        'replaced: it is refused on the new one while it runs');
    is($frappe->tool_count('hold'), $n, 'replaced: it does not run again');
    $frappe->open_gate($gate);
    $again->close;
}

# the same, by one in the same worker

{
    my ($stream, $gate) = running();
    my $n = $frappe->tool_count('hold');
    my $again = again($stream, $workers[0]);

    is_unknown($stream, 1, 'replaced here: it is answered on the old stream');
    post($nginx, $again, hold(1, $gate));
    $again->wait_answer(1);
    is_error(($again->answers(1))[0], -32600, 'Request id is in use',
        'replaced here: it is refused on the new one while it runs');
    is($frappe->tool_count('hold'), $n, 'replaced here: it does not run again');
    $frappe->open_gate($gate);
    $again->close;
}

# an open stream is replaced whose worker is stopped

{
    my ($stream, $gate) = running();

    kill STOP => $workers[0];

    my $again = again($stream, $workers[1]);

    ok(call($nginx, $again, request('"stopped"', 'ping'),
        conn => connect_worker($nginx, $workers[1])),
        'a replaced stream in a worker that is stopped is not waited for');
    kill CONT => $workers[0];
    ok($stream->wait_ended, 'it ends when the worker goes on');
    $frappe->open_gate($gate);
    $again->close;
}

# the same, and the one that has replaced it is lost and taken over; the worker
# may go on too late to be waited for

{
    my $refused = 0;

    for (1 .. 5) {
        my ($stream, $gate) = running();
        my $conn = connect_worker($nginx, $workers[1]);
        my $n    = $frappe->tool_count('hold');

        kill STOP => $workers[0];

        my $other = again($stream, $workers[1]);
        my $left  = () = $nginx->error_log =~ /client left/g;

        $other->close;
        run_until(sub { my $now = () = $nginx->error_log =~ /client left/g;
            $now > $left });

        my $again = again($stream, $workers[1]);

        accepted(post($nginx, $again, hold(1, $gate),
            conn => $conn), 'replaced twice: the call is repeated');
        kill CONT => $workers[0];
        ok($stream->wait_ended, 'replaced twice: the first stream ends');
        run_until(sub { $again->answers(1)
            || $frappe->tool_count('hold') > $n });
        $refused = $frappe->tool_count('hold') == $n;
        $frappe->open_gate($gate);
        $again->close;

        last if $refused;
    }

    ok($refused, 'replaced twice: the first call is known, and does not run');
}

# the worker of the lost stream dies, or ends after a reload

for my $how ('killed', 'reload') {
    my ($stream, $gate) = running();

    lose($stream);

    if ($how eq 'killed') {
        $nginx->kill_worker($workers[0]);

    } else {
        $frappe->open_gate($gate);
        run_until(sub { metrics($nginx)->{nginx_mcp_sse_calls_running} == 0 });
        $nginx->reload;
        run_until(sub { $nginx->worker_pids(exiting => 1) == 2 });
    }

    @workers = $nginx->wait_workers;

    my $again = again($stream, $workers[0]);

    is_unknown($again, 1, "$how: the call is answered with an error");
    $frappe->open_gate($gate);
    $again->close;
}

$nginx->stop;

# calls that wait, too

start(stream => 'mcp_sse_max_calls 1;');

for my $worker (0, 1) {
    my ($stream, $gate) = running();
    my $name = $worker ? 'other worker' : 'same worker';
    my $n    = $frappe->tool_count('hold');

    accepted(post($nginx, $stream, hold($_, $gate)), "$name: $_ waits")
        for 2 .. 4;
    lose($stream);

    my $again = again($stream, $workers[$worker]);

    if ($worker) {
        is_unknown($again, $_, "$name: the waiting call $_") for 2 .. 4;
    }

    $frappe->open_gate($gate);
    ok(run_until(sub { $frappe->tool_count('hold') == $n + 3 }),
        "$name: all calls that were accepted run");
    ok(run_until(sub { 4 == grep { $again->answers($_) == 1 } 1 .. 4 }),
        "$name: each is answered");
    quiet($again);
    is(scalar(grep { $again->answers($_) == 1 } 1 .. 4), 4,
        "$name: each is answered once");
    $again->close;
}

# more answers than are kept

start(stream => 'mcp_sse_max_calls 1;',
    http => 'mcp_sse_grace 300s; mcp_sse_queue 64k;');

{
    my ($stream, $gate) = running();

    post($nginx, $stream, tool($_, 'big', { bytes => 20_000 })) for 2 .. 4;
    lose($stream);
    $frappe->open_gate($gate);
    run_until(sub { $frappe->tool_count('big') == 3 });
    run_until(sub { metrics($nginx)->{nginx_mcp_sse_calls_running} == 0 });

    my $again = again($stream, $workers[0]);

    $again->wait_answer($_) for 1 .. 4;
    like(($again->answers(2))[0], qr/xxxx/,
        'answers are kept up to half of mcp_sse_queue');
    is_unknown($again, $_, "beyond that, answer $_ is an error") for 3, 4;
    ok(quiet($again), 'the stream goes on');
    $again->close;
}

# more ids than the zone notes of a session

start(stream => 'mcp_sse_max_calls 10;');

{
    my ($stream, $gate) = running();
    my @ids = map { '"' . $_ x 4000 . '"' } 'a' .. 'd';
    my $n   = $frappe->tool_count('hold');

    post($nginx, $stream, hold($_, $gate)) for @ids;
    run_until(sub { $frappe->tool_count('hold') == $n + 4 });
    lose($stream);

    my $again = again($stream, $workers[1]);

    is_unknown($again, $_, substr($_, 0, 3) . '... is noted')
        for 1, @ids[0 .. 2];
    quiet($again);
    is(scalar $again->answers($ids[3]), 0, 'beyond 16 kB they are not noted');
    ok($nginx->wait_log(qr/with more open requests than mcp_sse_zone/),
        'the log says so');
    $frappe->open_gate($gate);
    $again->close;
}

# what a session has left in the zone goes with mcp_sse_grace, even if the user
# has lost so many sessions that nothing else of it is kept

start(http => 'mcp_sse_grace 5s; mcp_sse_max_sessions 2;');

{
    my @ids  = map { '"' . $_ x 4000 . '"' } 'a' .. 'c';
    my $free = gauge($nginx, 'zone_free_bytes');
    my @gates;

    my $leave = sub {
        my ($stream, $gate) = running();
        my $n = $frappe->tool_count('hold');

        post($nginx, $stream, hold($_, $gate)) for @ids;
        run_until(sub { $frappe->tool_count('hold') == $n + 3 });
        lose($stream);
        push @gates, $gate;

        return $stream;
    };

    $leave->();

    my $again = again($leave->(), $workers[1]);

    is_unknown($again, 1, 'many lost sessions: one is taken over');
    $leave->();
    $frappe->open_gate($_) for @gates;

    ok(run_until(sub { gauge($nginx, 'zone_free_bytes') >= $free - 8192 }),
        'many lost sessions: the zone gets back what they had left in it');
    $again->close;
}

# mcp_sse_grace is over

start(http => 'mcp_sse_grace 1s;');

for my $worker (0, 1) {
    my ($stream, $gate) = running();

    lose($stream);
    run_until(sub { metrics($nginx)->{nginx_mcp_sse_tombstones} == 0 });

    my $again = again($stream, $workers[$worker]);

    post($nginx, $again, hold(1, $gate));
    $again->wait_answer(1);
    ok(run_until(sub { $again->answers(1) >= 1 }),
        'after mcp_sse_grace: a repeated call is answered');
    like(($again->answers(1))[-1], qr/Request id is in use/,
        'after mcp_sse_grace: it is refused while the first one runs');
    $frappe->open_gate($gate);
    ok(runs_again($again, $gate), 'after mcp_sse_grace: then it runs');
    $again->close;
}

finish();
