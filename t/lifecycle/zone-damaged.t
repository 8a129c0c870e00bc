# A worker is killed while it changes the zone: the others empty the zone,
# register their sessions again and go on, and their clients notice nothing.
# docs/PROTOCOL.md 12.7, 12.8.
#
# The test traces the worker under load and kills it after a random number of
# instructions during which the first word of the zone, its mutex, contains the
# pid of the worker.  MCP_SSE_ROUNDS is the number of rounds (8).

use strict;
use warnings;
no warnings 'portable';

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Metrics qw(gauge);
use POSIX qw(_exit uname SIGKILL SIGSTOP);
use Test::More;

use constant { STEP => 9, ATTACH => 16, DETACH => 17 };

my %ptrace = (x86_64 => 101, aarch64 => 117);
my $ptrace = $ptrace{ (uname())[4] };
my $rounds = $ENV{MCP_SSE_ROUNDS} || 8;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 3, http => 'mcp_sse_max_sessions 500;');
my $zone   = zone(8);

plan(skip_all => 'ptrace of a worker is not possible here')
    unless $ptrace && $zone && !$ENV{MCP_SSE_VALGRIND} && traced();


# Returns the address of the zone of that many MB.

sub zone {
    my ($size) = @_;

    open my $maps, '<', '/proc/' . $nginx->pid . '/maps' or return;

    while (my $line = <$maps>) {
        my ($from, $to) = $line =~ /\A([0-9a-f]+)-([0-9a-f]+) rw-s/ or next;
        return hex $from if hex($to) - hex($from) == $size * 1024 * 1024;
    }

    return;
}


sub ptrace {
    my ($request, $pid, $signal) = @_;

    return syscall($ptrace, $request, $pid, 0, $signal || 0) == 0;
}


sub traced {
    my ($pid) = $nginx->wait_workers;

    ptrace(ATTACH, $pid) or return;
    waitpid $pid, 0;

    return ptrace(DETACH, $pid);
}


# Kills the worker at the n-th instruction that it executes with the mutex, or
# stops it there, if the signal is SIGSTOP.

sub kill_inside {
    my ($pid, $n, $signal) = @_;

    $nginx->allow(qr/exited on signal 9/, qr/was locked by $pid/,
        qr/worker process $pid died while it changed/);

    my $done = 0;
    my $end  = now() + 2 * hang_after();

    ptrace(ATTACH, $pid) or return;
    waitpid $pid, 0;

    open my $mem, '<:raw', "/proc/$pid/mem" or return;

    while ($done < $n && now() < $end) {
        ptrace(STEP, $pid) or last;
        waitpid $pid, 0;

        sysseek $mem, $zone, 0;
        sysread $mem, my $word, 8;

        $done++ if unpack('q', $word) == $pid;
    }

    ptrace(DETACH, $pid, $signal || SIGKILL);

    return $done == $n;
}


sub in_child {
    my ($code) = @_;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    return $pid if $pid;

    MCPTest::Conn::forget();
    _exit($code->());
}


sub ended {
    my ($pid, $signal) = @_;

    kill $signal, $pid;
    waitpid $pid, 0;

    return $?;
}


# Posts at one worker to sessions of others until it is killed; every fourth
# message takes pages of the zone.

sub load {
    my ($by, @at) = @_;

    my @streams = map { open_stream($nginx, worker => $_) } @at;
    my $end     = now() + 3 * hang_after();
    my $n       = 0;

    while (now() < $end) {
        my $conn = connect_worker($nginx, $by);

        while (!$conn->{closed}) {
            my @responses = map { post($nginx, $_,
                notification('notifications/initialized',
                    { text => 'x' x (++$n % 4 ? 20 : 20_000) }),
                conn => $conn, async => 1) } @streams;

            run_until(sub { $conn->{closed}
                || !grep { !$_->ended } @responses });
        }
    }

    return 0;
}


# A client with a stream at one worker that posts at another one until SIGTERM.
# Returns 0 if everything was answered.

sub witness {
    my ($at, $by) = @_;

    my $end;
    local $SIG{TERM} = sub { $end = 1 };

    my $stream = open_stream($nginx, worker => $at);
    my $conn   = connect_worker($nginx, $by);

    for (my $id = 1; !$end; $id++) {

        # nginx closes a connection after 10000 requests

        $conn = connect_worker($nginx, $by) if $id % 5000 == 0;

        call($nginx, $stream, request($id, 'ping'), conn => $conn) or return 1;
        sleep_for(0.002);
    }

    return $stream->ended ? 3 : 0;
}


sub round {
    my ($round) = @_;

    my @workers = $nginx->wait_workers;
    my $victim  = splice @workers, $round % 3, 1;

    # the victim posts messages, or has them in the inboxes of its sessions

    my $load = in_child(sub {
        $round % 2 ? load($victim, @workers, $victim)
                   : load($workers[0], ($victim) x 3);
    });

    my @witnesses = map { my @pair = @$_; in_child(sub { witness(@pair) }) }
        [ @workers ], [ reverse @workers ];

    my @dead  = map { open_stream($nginx, worker => $victim) } 1 .. 3;
    my @live  = map { open_stream($nginx, worker => $_) } (@workers) x 3;
    my @conns = map { connect_worker($nginx, $_) } @workers;

    post($nginx, $live[$_], tool(1, 'sleep', { seconds => 2 }),
        conn => $conns[0]) for 0 .. $#live;

    my $n = 1 + int rand 400;

    ok(kill_inside($victim, $n),
        "$round: a worker dies at instruction $n with the mutex");

    ended($load, 'KILL');

    for my $stream (@live) {
        my $response = post($nginx, $stream, request(2, 'ping'),
            conn => $conns[$round % 2]);

        accepted($response, "$round: a message for an open stream is accepted");
        last unless Test::More->builder->is_passing;
    }

    ok($_->wait_answer(2), "$round: a message for an open stream is answered")
        for @live;
    return unless Test::More->builder->is_passing;

    ok(run_until(sub { !grep { !$_->ended } @dead }),
        "$round: the streams of the dead worker end");

    my $new = open_stream($nginx, worker => $workers[1]);

    ok(call($nginx, $new, request(1, 'ping'), conn => $conns[0]),
        "$round: a ping on a new stream is answered");

    ok($_->wait_answer(1), "$round: a call that ran before is answered")
        for @live;
    is(scalar(grep { $_->ended } @live), 0,
        "$round: streams of other workers stay open");

    is(scalar $nginx->wait_workers, 3, "$round: a new worker starts");
    is(ended($_, 'TERM'), 0,
        "$round: a client of other workers notices nothing") for @witnesses;

    my $health;

    ok(run_until(sub {
        $health = health($nginx);
        return $health->{active_connections} == @live + 1
            && $health->{pending_requests} == 0;
    }), "$round: /health counts streams and requests correctly")
        or diag(explain($health));

    $_->close for @dead, @live, $new, @conns;

    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        "$round: no stream is left at the end");

    return;
}


# A stopped worker cannot leave the old zone: its messages there are not lost,
# new streams open, messages wait until it goes on.

sub stopped {
    my ($owner, $other) = $nginx->wait_workers;

    my $stream = open_stream($nginx, worker => $owner);
    my $second = open_stream($nginx, worker => $other);
    my @conns  = map { connect_worker($nginx, $other) } 1 .. 4;

    kill STOP => $owner;

    accepted(post($nginx, $stream, request($_, 'ping'), conn => $conns[0]),
        "message $_ for a stopped worker is accepted") for 1 .. 5;

    ok(damage($owner, $other),
        'another worker dies with the mutex: recovery begins');

    my $third = open_stream($nginx, conn => pop @conns);

    ok($third->session, 'a stream opens during recovery');

    my @streams = ($stream, $second, $third);
    my @held    = map { post($nginx, $streams[$_], request(6, 'ping'),
        conn => $conns[$_], async => 1) } 0 .. 2;

    sleep_for(1);
    is(scalar(grep { $_->ended } @held), 0, 'messages wait during recovery');

    kill CONT => $owner;

    run_until(sub { !grep { !$_->ended } @held });

    accepted($_, 'a message that waited during recovery is accepted') for @held;
    ok($_->wait_answer(6), 'a message that waited during recovery is answered')
        for @streams;
    ok($stream->wait_answer($_),
        "message $_ from before the recovery is answered") for 1 .. 5;
    ok(run_until(sub { health($nginx)->{pending_requests} == 0 }),
        'no request is pending after recovery')
        or diag(explain(health($nginx)));

    $_->close for @streams, @conns;

    return;
}


# A recovery takes longer than mcp_sse_grace: sessions that are not found may
# exist, and requests for them are not refused as those of unknown ones.

sub too_long {
    $nginx = start_nginx(workers => 3, http => 'mcp_sse_grace 1s;',
        locations => 'location = /mcp { mcp_sse_http; }');
    $zone  = zone(8);

    my ($owner, $other, $dies) = $nginx->wait_workers;

    my $stream = open_stream($nginx, worker => $owner);
    my $id     = session_id($nginx);
    my @conns  = map { connect_worker($nginx, $other) } 1 .. 3;

    kill STOP => $owner;

    # it takes the mutex every second

    ok(kill_inside($dies, 60), 'a worker that is idle dies with the mutex');
    ok($nginx->wait_log(qr/died while it changed/),
        'a recovery begins that takes too long');

    my $before = now();
    my $ping   = post($nginx, $stream, request(1, 'ping'),
        conn => $conns[0], async => 1);
    my $notice = post($nginx, $stream,
        notification('notifications/initialized'), conn => $conns[1],
        async => 1);
    my $call   = http_post($nginx, tool(1, 'greet', {}), session => $id,
        conn => $conns[2], async => 1);

    run_until(sub { grep { $_->ended } $ping, $notice, $call });
    cmp_ok(now() - $before, '>=', 0.9, 'requests wait for mcp_sse_grace');
    ok(run_until(sub { !grep { !$_->ended } $ping, $notice, $call }),
        'and are answered before the recovery has ended');
    is_unavailable($ping, 'no', 'a message for a stream that is not found');
    accepted($notice, 'a message that executes nothing is accepted');
    is($call->status, 503, 'a call of /mcp is 503');
    is_error($call->answer, -32003, 'Server is recovering', 'and says why');

    kill CONT => $owner;
    ok($nginx->wait_log(qr/is recovered/), 'the zone is recovered later');
    ok(call($nginx, $stream, request(2, 'ping')), 'the stream goes on');
    is($stream->answers(1), 0, 'what was 503 has not been executed');

    $_->close for $stream, @conns;

    return;
}


# A session that another stream takes over during recovery belongs to the newer
# stream, although the worker of the older one registers last.

sub taken_over {
    my ($owner, $other) = $nginx->wait_workers;

    my @old = map { open_stream($nginx, worker => $owner) } 1 .. 4;

    kill STOP => $owner;
    ok(damage($owner, $other),
        'another worker dies with the mutex: recovery begins again');

    my @new = map { open_stream($nginx, worker => $other,
        headers => [ 'Last-Event-ID', $_->session ]) } @old;

    is($new[$_]->session, $old[$_]->session,
        'a new stream takes over a session during recovery')
        for 0 .. $#old;

    kill CONT => $owner;

    ok(run_until(sub { !grep { !$_->ended } @old }),
        'the replaced streams end after recovery');
    ok(call($nginx, $_, request(1, 'ping')),
        'a ping on the newer stream is answered') for @new;
    is(scalar(grep { $_->ended } @new), 0, 'no newer stream ends');

    $_->close for @old, @new;

    return;
}


# Kills workers with the mutex until one dies in the middle of a change.

sub damage {
    my ($owner, $other) = @_;

    my $before = deaths();

    for (1 .. 5) {
        my ($victim) = grep { $_ != $owner && $_ != $other }
            $nginx->wait_workers;
        my $load = in_child(sub { load($victim, $other) });

        sleep_for(0.2);

        my $killed = kill_inside($victim, 100);

        ended($load, 'KILL');

        if (!$killed) {
            diag("worker $victim was not killed with the mutex");
            next;
        }

        # at its first and last instructions a section changes nothing

        return 1 if run_until(sub { deaths() > $before }, 3);
    }

    return;
}


sub deaths {
    my $n = () = $nginx->error_log =~ /died while it changed/g;

    return $n;
}


# Old workers after a reload that replaced the zone: nginx's master does not
# unlock the old zone.

sub replaced {
    my @old     = $nginx->wait_workers;
    my @streams = map { open_stream($nginx, worker => $_) } @old;

    accepted(post($nginx, $_, tool(1, 'hold', { gate => 'replaced' })),
        'a call before a reload is accepted') for @streams;

    $nginx->configure(http => 'mcp_sse_zone zone=mcp_sse:9m;');
    $nginx->reload;

    ok(kill_inside($old[0], 40), 'an old worker dies with the mutex');
    $frappe->open_gate('replaced');
    ok($streams[$_]->wait_answer(1), 'another old worker answers its call')
        for 1, 2;
    ok($nginx->wait_gone(\@old), 'the old workers end');

    return;
}


# Streamable HTTP, without Redis: streams of one session go on, and all of them
# end with it; a request in flight does not run again at another worker.

sub streamable {
    $nginx = start_nginx(workers => 3, http => 'mcp_sse_grace 300s;',
        locations => 'location = /mcp { mcp_sse_http; mcp_sse_keepalive 1s; }');
    $zone  = zone(8);

    my ($owner, $other) = $nginx->wait_workers;

    my $id      = session_id($nginx);
    my @streams = map { http_get($nginx, session => $id, worker => $_) }
        $owner, $other, $other;
    my $hold = tool(9, 'hold', { gate => 'streamable' });
    my $ran  = $frappe->tool_count('hold');
    my $call = http_post($nginx, $hold, session => $id, worker => $owner,
        async => 1);

    my $conn = connect_worker($nginx, $other);

    run_until(sub { $frappe->tool_count('hold') > $ran });
    kill STOP => $owner;
    ok(damage($owner, $other), 'a worker dies with the mutex: at /mcp');

    my $again = http_post($nginx, $hold, session => $id, conn => $conn,
        async => 1);

    is(http_post($nginx, request(1, 'ping'), session => $id,
        worker => $other)->status, 200,
        'a ping at /mcp is answered during recovery');
    ok(!$again->ended, 'a request at /mcp waits for the end of recovery');
    kill CONT => $owner;
    ok($again->wait, 'a request at /mcp is answered after recovery');
    is_error($again->answer, -32600, 'Request id is in use',
        'that waited: its id is in flight at a worker that came later');
    ok($nginx->wait_log(qr/is recovered/), 'the log says that it is recovered');

    my @before = map { scalar $_->types } @streams;

    ok(run_until(sub {
        return !grep { $streams[$_]->types <= $before[$_] } 0 .. 2;
    }), 'three streams of a session go on after recovery');
    is_error(http_post($nginx, $hold, session => $id, worker => $other)
        ->answer, -32600, 'Request id is in use',
        'after recovery a request in flight is refused at another worker');
    $frappe->open_gate('streamable');
    ok($call->wait && $call->answer, 'the request in flight is answered');
    is($frappe->tool_count('hold'), $ran + 1, 'it has run once');

    is(http_delete($nginx, $id)->status, 204,
        'DELETE after recovery is 204');
    ok($_->wait_ended, 'DELETE after recovery ends all streams of the session')
        for @streams;

    return;
}


# A worker waits for the mutex already when the zone is replaced: the one that
# has it is stopped, and killed after the reload.

sub frozen {
    $nginx = start_nginx(workers => 3);
    $zone  = zone(8);

    my @old     = $nginx->wait_workers;
    my @streams = map { open_stream($nginx, worker => $_) } @old;
    my @conns   = map { connect_worker($nginx, $_) } @old;

    accepted(post($nginx, $_, tool(1, 'hold', { gate => 'frozen' })),
        'a call before a reload is accepted') for @streams;

    my $load = in_child(sub { load($old[0], @old[1, 2]) });

    ok(kill_inside($old[0], 40, SIGSTOP), 'a worker is stopped with the mutex');
    ended($load, 'KILL');

    # these take the mutex

    my @held = map { post($nginx, $streams[$_], request(2, 'ping'),
        conn => $conns[3 - $_], async => 1) } 1, 2;

    ok($nginx->wait_log(qr/has locked mcp_sse_zone "mcp_sse" for a second/),
        'the log says for which worker the others wait');

    $nginx->configure(http => 'mcp_sse_zone zone=mcp_sse:9m;');
    kill HUP => $nginx->pid;
    ok(run_until(sub {
        my %old = map { $_ => 1 } @old;
        return 3 == grep { !$old{$_} } $nginx->worker_pids;
    }), 'new workers start, with a new zone');

    kill KILL => $old[0];

    ok(run_until(sub { !grep { !$_->ended } @held }),
        'the messages of the workers that waited are answered');
    accepted($_, 'a message that waited is accepted') for @held;

    $frappe->open_gate('frozen');
    ok($streams[$_]->wait_answer(1), 'another old worker answers its call')
        for 1, 2;
    ok($streams[$_]->wait_answer(2), 'another old worker answers a ping')
        for 1, 2;
    ok($nginx->wait_gone(\@old), 'the old workers end');

    return;
}


# Ended session ids that the zone has forgotten are in Redis: the worker that
# replaces the dead one reads them.

sub ended_ids {
    my $redis = start_redis();

    $nginx = start_nginx(workers => 3, redis => $redis,
        locations => 'location = /mcp { mcp_sse_http; }');
    $zone  = zone(8);
    ok(wait_ready($nginx), 'an instance with Redis is ready');

    my @ids = map { session_id($nginx) } 1 .. 3;

    is(http_delete($nginx, $_)->status, 204, 'DELETE is 204') for @ids;

    my ($owner, $other) = $nginx->wait_workers;

    ok(damage($owner, $other),
        'a worker dies with the mutex: recovery begins with Redis');
    ok($nginx->wait_log(qr/is recovered/), 'the log says that it is recovered');

    for my $id (@ids) {
        ok(run_until(sub { http_post($nginx, request(1, 'ping'),
            session => $id)->status == 404 }),
            'with Redis an ended id is 404 after recovery');
    }

    return;
}


open_stream($nginx)->close;

my $free = gauge($nginx, 'zone_free_bytes');

for my $round (1 .. $rounds) {
    round($round);
    last unless Test::More->builder->is_passing;
}

# a death at the first or last instructions, those of the mutex, is no damage

cmp_ok(deaths(), '>', $rounds / 3,
    'the log has the workers that died while they changed the zone');
cmp_ok(gauge($nginx, 'zone_free_bytes'), '>=', $free - 65536,
    'the zone has as much free memory as before');

stopped() if Test::More->builder->is_passing;
taken_over() if Test::More->builder->is_passing;
replaced() if Test::More->builder->is_passing;
streamable() if Test::More->builder->is_passing;
frozen() if Test::More->builder->is_passing;
too_long() if Test::More->builder->is_passing;
ended_ids() if MCPTest::Redis::binary() && Test::More->builder->is_passing;

finish();
