# POSTs that wait for a stream: those of a session are a queue, which asks Redis
# one question at a time.  docs/PROTOCOL.md 4.20, 11.17.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my ($here, $there) = start_instances(2, redis => $redis, workers => 1,
    http => 'mcp_sse_grace 300s; mcp_sse_max_calls 1;');


# Opens a stream and loses it; returns it and its key in Redis.

sub lost {
    my %before = map { $_ => 1 } keys %{ $redis->dump };
    my $stream = open_stream($here);
    my $key;

    run_until(sub {
        ($key) = grep { /\Amcp:s:/ && !$before{$_} } keys %{ $redis->dump };
        return $key;
    });

    $stream->close;
    run_until(sub { health($here)->{active_connections} == 0 });

    return ($stream, $key);
}


sub held {
    my ($nginx, $n) = @_;

    return run_until(sub { health($nginx)->{pending_requests} == $n });
}


for my $nginx ($there, $here) {
    my $name = $nginx == $here ? 'same instance' : 'other instance';

    my ($stream, $key)  = lost();
    my ($single, $beat) = lost();
    my @posts;

    $frappe->reset;
    push @posts, post($nginx, $single, request(1, 'ping'), async => 1);
    held($nginx, 1);

    for my $n (1 .. 20) {
        push @posts, post($nginx, $stream,
            tool($n, 'echo', { key => "k$n" }), async => 1);
        held($nginx, 1 + $n);
    }

    my $monitor = $redis->monitor;
    my %asked;

    my $count = sub {
        %asked = ($key => 0, $beat => 0);

        for my $command ($monitor->commands) {
            my ($word, $of) = @{ $command->{args} };

            $asked{$of}++ if uc $word eq 'MGET' && defined $asked{$of};
        }
    };

    # a session of which one POST waits tells how often Redis is asked

    run_until(sub { $count->(); return $asked{$beat} >= 6 });
    cmp_ok($asked{$key}, '>=', 3, "$name: Redis is asked for the session");
    cmp_ok($asked{$key}, '<=', $asked{$beat} + 2,
        "$name: 20 POSTs that wait ask as often as one");
    $monitor->close;

    # one that comes now is behind them

    push @posts, post($nginx, $stream, tool(21, 'echo', { key => 'k21' }),
        async => 1);

    my @again = map { open_stream($here,
        headers => [ 'Last-Event-ID', $_->session ]) } $stream, $single;

    ok(run_until(sub { !grep { !$_->ended } @posts }),
        "$name: all are answered when the stream comes back");
    is(scalar(grep { $_->status == 202 } @posts), scalar @posts,
        "$name: all are accepted");
    ok(run_until(sub { $again[0]->messages == 21 }),
        "$name: all are answered on the stream");
    is(join(' ', map { $_->{key} } $frappe->started),
        join(' ', map { "k$_" } 1 .. 21), "$name: they run in their order");
    $_->close for @again;
    run_until(sub { health($here)->{active_connections} == 0 });
}

finish();
