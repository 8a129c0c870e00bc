# Another GET stream of a session becomes the primary one when the worker of the
# first one dies, after a reload, and when the Redis of mcp_sse_events is back.
# docs/PROTOCOL.md 16.38, 16.39.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use MCPTest::Conn qw(run_until);
use MCPTest::HTTP;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $MESSAGE = 'notifications/message';

my $clock  = MCPTest::Clock->new;
my $redis  = start_redis();
my $frappe = frappe();
my $number = 0;

local $ENV{LD_PRELOAD} = $clock->path;

# a probe that waits while the clock moves is not late

my $nginx = start_push(push => $redis, push_opt => 'timeout=300s', mcp => '',
    workers => 2, stream => 'mcp_sse_keepalive off;');

delete $ENV{LD_PRELOAD};


sub say_next {
    publish($redis, { user => 'alice@example.com', method => $MESSAGE,
        params => { level => 'info', data => ++$number } });

    return $number;
}


sub data { return map { $_->{params}{data} } $_[0]->notifications($MESSAGE) }


sub get_stream {
    return http_get($nginx, session => $_[0], worker => $_[1]);
}


# The streams that get messages now, when these witnesses have got one.

sub getting {
    my ($streams, @witnesses) = @_;

    my $n = say_next();

    for my $next ($n, say_next(), say_next()) {
        run_until(sub { !grep { ((data($_))[-1] || 0) < $next } @witnesses });
    }

    return grep { grep { $_ == $n } data($_) } @{$streams};
}


sub heard {
    my ($heard, $kind) = @_;

    return scalar grep { substr($_->{bytes}, 16, 1) eq $kind }
        $heard->messages;
}

# ---- the worker of the primary stream is killed

{
    my $heard    = $redis->subscribe('mcp:events:primary');
    my $id       = session_id($nginx);
    my ($a, $b)  = $nginx->worker_pids;
    my $witness  = open_stream($nginx, worker => $a);
    my $old      = get_stream($id, $a);
    my $new      = get_stream($id, $b);
    my @streams  = ($old, $new);

    ok(run_until(sub { my @got = getting(\@streams, $witness);
        return @got == 1 && $got[0] == $new }), 'the newest one is primary');

    ok(run_until(sub { heard($heard, 'h') == 1 && heard($heard, 'a') == 1 }),
        'the other one has asked, and was answered');

    # before the clock moves, its worker has the answer

    getting(\@streams, $witness);
    $clock->advance(31);
    ok(run_until(sub { heard($heard, 'h') == 2 && heard($heard, 'a') == 2 }),
        'it asks again half a minute later, and is answered');
    getting(\@streams, $witness);
    $clock->advance(5);
    is_deeply([ getting(\@streams, $witness) ], [$new],
        'the primary one stays');

    my @claims = (heard($heard, 'c'), heard($heard, 'r'));

    $nginx->kill_worker($b);
    ok(run_until(sub { $new->{ended} }), 'its worker is killed');
    is_deeply([ getting(\@streams, $witness) ], [], 'nobody is primary');

    $clock->advance(31);
    ok(run_until(sub { heard($heard, 'a') == 3 }), 'the other one asks');
    $clock->advance(5);
    ok(run_until(sub { heard($heard, 'c') == $claims[0] + 1 }),
        'nobody answers: it claims');
    ok(run_until(sub { getting([$old], $witness) == 1 }),
        'and is primary 36 seconds later');
    is(heard($heard, 'r'), $claims[1], 'a dead worker has released nothing');

    # the stream of the new worker, which ends

    my ($c) = grep { $_ != $a } $nginx->worker_pids;

    wait_push($nginx);

    my $third = get_stream($id, $c);

    ok(run_until(sub { my @got = getting([ $old, $third ], $witness);
        return @got == 1 && $got[0] == $third }), 'a new one is primary');
    ok(run_until(sub { heard($heard, 'a') == 4
        && heard($heard, 'h') == 3 }), 'it is asked, and answers');
    $third->close;
    ok(run_until(sub { getting([$old], $witness) == 1 }),
        'when it ends, the other one is primary at once');
    is(heard($heard, 'r'), $claims[1] + 1, 'since it has released the role');

    $_->close for $old, $witness;
}

# ---- Redis is lost, and another worker claims meanwhile

{
    my ($a, $b)   = $nginx->worker_pids;
    my $id        = session_id($nginx);
    my @witnesses = map { open_stream($nginx, worker => $_) } $a, $b;
    my @streams   = map { get_stream($id, $_) } $a, $b, $a;

    ok(run_until(sub { getting(\@streams, @witnesses) == 1 }), 'one is');

    $nginx->allow(qr/mcp_sse_events: redis/);
    $redis->kill9;
    ok(run_until(sub { !ready($nginx) }), 'that Redis is lost');
    push @streams, get_stream($id, $b);
    is($streams[-1]->status, 200, 'a stream opens meanwhile');

    $redis->run;
    ok(wait_push($nginx), 'it is back');

    my $from = $number + 1;

    ok(run_until(sub { getting(\@streams, @witnesses) == 1 }),
        'a stream is primary again');

    my %seen;

    $seen{$_}++ for map { data($_) } @streams;
    is_deeply([ grep { ($seen{$_} || 0) > 1 } $from .. $number ], [],
        'no message has come twice');
    $_->close for @streams, @witnesses;
}

# ---- a reload

{
    my ($a)   = $nginx->worker_pids;
    my $id    = session_id($nginx);
    my $held  = open_stream($nginx, worker => $a);
    my $first = get_stream($id, $a);

    post($nginx, $held, tool(1, 'hold', { gate => 'reload', key => 'r' }));
    call_id('r');
    is_deeply([ getting([$first], $held) ], [$first], 'before a reload');

    $nginx->reload;
    wait_push($nginx);

    my ($b)     = $nginx->worker_pids;
    my $witness = open_stream($nginx, worker => $b);
    my $second  = get_stream($id, $b);
    my @streams = ($first, $second);

    ok(run_until(sub { my @got = getting(\@streams, $witness, $held);
        return @got == 1 && $got[0] == $second }),
        'after it the stream of the new worker is primary');

    $frappe->open_gate('reload');
    ok($held->wait_answer(1), 'the call goes on');
    $_->close for @streams, $witness, $held;
}

finish();
