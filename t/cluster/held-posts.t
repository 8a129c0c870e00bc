# POSTs that wait for a stream: those of a session are a queue, which asks Redis
# one question at a time; those for a session that another instance has just made
# wait, too.  docs/PROTOCOL.md 4.20, 11.16, 11.17.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my ($here, $there, $quick) = start_instances(3, redis => $redis, workers => 1,
    http => 'mcp_sse_grace 300s; mcp_sse_max_calls 1;',
    per  => [ {}, {}, { http => 'mcp_sse_grace 1s;' } ]);


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

# A new id of another instance, which Redis does not know yet: the third instance
# has the same key and no Redis, so that its sessions are never there.

{
    my $alone = start_nginx(key_file => MCPTest::Nginx::key_file());

    my ($new, $old) = map { open_stream($alone) } 1, 2;
    my $post = post($there, $new, request(1, 'ping'), async => 1);

    ok(held($there, 1), 'a POST for a new id of another instance waits');

    my $taken = open_stream($there,
        headers => [ 'Last-Event-ID', $new->session ]);

    is($taken->session, $new->session, 'a stream takes the id over');
    $post->wait;
    accepted($post, 'the POST is accepted then');
    ok($taken->wait_answer(1), 'and answered on the stream');

    # longer than the grace of an instance an id is not new

    sleep_for(2.1);

    is_rejected(post($quick, $old, request(2, 'ping')), 400, -32001,
        'Invalid session ID', 'a POST for an id that is not new is 400');

    my $fresh = open_stream($alone);

    is_rejected(post($quick, $fresh, request(3, 'ping')), 400, -32001,
        'Invalid session ID', 'one for a new id is 400 after the grace');

    $_->close for $new, $old, $fresh, $taken;
}

finish();
