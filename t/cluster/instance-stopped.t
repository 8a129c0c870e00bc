# An instance with sessions is stopped (SIGSTOP) and goes on: what was refused
# meanwhile does not run, what was accepted is answered.
# docs/PROTOCOL.md 11.3, 11.12.

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
    my @pids    = $here->wait_workers;

    $history->call($there, $stream);
    run_until(sub { !$history->pending });

    # a stop longer than mcp_sse_grace: refused, and too late afterwards

    kill STOP => @pids;

    my @posts = map { $history->call($there, $stream) } 1 .. 10;

    run_until(sub { !$history->pending });
    is_deeply($history->statuses(@posts), { 503 => 10 },
        'messages for a stopped owner are 503 after the grace');

    my %executed;

    $executed{ $_->{response}->json->{error}{data}{executed} || 'none' }++
        for grep { ref $_->{response}->json } @posts;
    is_deeply(\%executed, { unknown => 10 },
        'data.executed of these is "unknown"');

    # once it answers a later message, it has read all earlier ones

    kill CONT => @pids;
    ok(passed($here, $stream), 'the stopped owner goes on');
    $history->ok('what was refused does not run after its refusal');

    my $ran = { map { $_->{key} => 1 } $frappe->started };

    is(scalar(grep { $ran->{ $_->{key} } } @posts), 0,
        'none of the refused calls runs when the owner goes on');

    # stops about as long as the grace: both sides come to the same result

    for my $ms (1600, 1700, 1800, 1900, 2000, 2100) {
        kill STOP => @pids;

        my $from = now();

        @posts = map { $history->call($there, $stream) } 1 .. 5;
        sleep_for($ms / 1000 - (now() - $from));
        kill CONT => @pids;
        run_until(sub { !$history->pending });
    }

    my @odd = grep { !/\A(?:202|503)\z/ } keys %{ $history->statuses };

    is_deeply(\@odd, [], 'around the end of the grace each POST is 202 or 503');
    $history->ok('around the end of the grace what was refused does not run, '
        . 'what was accepted is answered');
    $stream->close;
}

# a stop shorter than the grace: each message waits and is accepted

{
    my ($here, $there) = start_instances(2, redis => $redis,
        redis_opt => 'prefix=slow:', http => 'mcp_sse_grace 300s;');
    my $history = MCPTest::History->new(frappe => $frappe);
    my $stream  = open_stream($here);
    my @pids    = $here->wait_workers;

    # wait until each message has been sent twice

    kill STOP => @pids;

    my @posts = map { $history->call($there, $stream) } 1 .. 10;

    ok(run_until(sub {
        metrics($there)->{nginx_mcp_sse_redis_resent_total} >= 10;
    }), 'messages for a slow owner are sent again');
    kill CONT => @pids;
    run_until(sub { !$history->pending });
    is_deeply($history->statuses(@posts), { 202 => 10 },
        'messages for a slow owner are accepted once it goes on');
    $history->ok('messages that were sent again run once');
    $stream->close;
}

# The owner has taken a call that waits for another one, and none of its
# acknowledgements arrives: the client is refused, so the call must not start
# when its turn comes.  (The owner may answer it with an error on the stream.)

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
        'a queued call whose acknowledgements are lost is 503');
    $lose = 0;
    $frappe->open_gate('queue');
    ok(call($here, $stream, tool(1, 'echo', {})),
        'the call behind it is answered');
    $history->ok('the refused call does not start when its turn comes');

    $stream->close;
    $_->stop for $here, $there;
    $proxy->stop;
}

finish();
