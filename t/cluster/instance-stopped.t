# An instance that has sessions does not answer, then goes on: what was refused
# meanwhile does not run, what was accepted is answered.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();

{
    my @nginx = start_instances(2, redis => $redis,
        redis_opt => 'prefix=stop:', http => 'mcp_sse_grace 2s;');
    my ($here, $there) = @nginx;
    my $history = MCPTest::History->new(frappe => $frappe);
    my $stream  = open_stream($here);
    my @pids    = $here->worker_pids;

    $history->call($there, $stream);
    run_until(sub { !$history->pending });

    # longer than the grace: refused, and too late when it goes on

    kill STOP => @pids;

    my @posts = map { $history->call($there, $stream) } 1 .. 10;

    run_until(sub { !$history->pending });
    is_deeply($history->statuses(@posts), { 503 => 10 },
        'an owner that does not answer: 503');

    my %executed;

    $executed{ $_->{response}->json->{error}{data}{executed} || 'none' }++
        for grep { ref $_->{response}->json } @posts;
    is_deeply(\%executed, { unknown => 10 },
        'and nobody knows whether it ran');

    # when it has answered what came later, it has seen all that came before

    kill CONT => @pids;
    ok(passed($here, $stream), 'it goes on');
    $history->ok('nothing of it runs when the owner goes on');

    my $ran = { map { $_->{key} => 1 } $frappe->started };

    is(scalar(grep { $ran->{ $_->{key} } } @posts), 0, 'none of them');

    # at the edge of the grace: whatever it is, both sides agree

    for my $ms (1600, 1700, 1800, 1900, 2000, 2100) {
        kill STOP => @pids;

        my $from = now();

        @posts = map { $history->call($there, $stream) } 1 .. 5;
        sleep_for($ms / 1000 - (now() - $from));
        kill CONT => @pids;
        run_until(sub { !$history->pending });
    }

    my @odd = grep { !/\A(?:202|503)\z/ } keys %{ $history->statuses };

    is_deeply(\@odd, [], 'around the end of the grace: 202 or 503');
    $history->ok('and what was refused does not run, what was not is '
        . 'answered');
    $stream->close;
}

# shorter than the grace: each message waits, and is accepted

{
    my ($here, $there) = start_instances(2, redis => $redis,
        redis_opt => 'prefix=slow:', http => 'mcp_sse_grace 300s;');
    my $history = MCPTest::History->new(frappe => $frappe);
    my $stream  = open_stream($here);
    my @pids    = $here->worker_pids;

    # until each has been sent twice

    kill STOP => @pids;

    my @posts = map { $history->call($there, $stream) } 1 .. 10;

    ok(run_until(sub {
        metrics($there)->{nginx_mcp_sse_redis_resent_total} >= 10;
    }), 'an owner that is slow: messages are sent again');
    kill CONT => @pids;
    run_until(sub { !$history->pending });
    is_deeply($history->statuses(@posts), { 202 => 10 }, 'and accepted');
    $history->ok('and run once');
    $stream->close;
}

# The owner has taken a call that must wait for another one, and none of its
# acknowledgements arrives: its client is refused, and it must not start when
# its turn comes.  (Its owner may answer it with an error on the stream.)

{
    my $lose;
    my $proxy = MCPTest::Proxy->new(port => $redis->port, filter => sub {
        my ($way, $bytes) = @_;

        return $lose && $way eq 'down' && $bytes =~ /message\r\n/
            ? undef : $bytes;
    });
    my ($here, $there) = start_instances(2, redis => $redis,
        redis_opt => 'prefix=queue:',
        http => 'mcp_sse_grace 1s; mcp_sse_max_calls 1;',
        per => [ {}, { redis => $redis->url(port => $proxy->port) } ]);
    my $history = MCPTest::History->new(frappe => $frappe);
    my $stream  = open_stream($here);

    $frappe->reset;
    $history->call($here, $stream, tool => 'hold',
        arguments => { gate => 'queue' });
    run_until(sub { $frappe->tool_count('hold') == 1 });
    $lose = 1;

    my $post = $history->call($there, $stream);

    $post->{response}->wait;
    is_unavailable($post->{response}, 'unknown',
        'a call that waits at its owner, acknowledged in vain: 503');
    $lose = 0;
    $frappe->open_gate('queue');
    ok(call($here, $stream, tool(1, 'echo', {})), 'a call behind it');
    $history->ok('it did not start when its turn came');

    $stream->close;
    $_->stop for $here, $there;
    $proxy->stop;
}

finish();
