# Redis is not there, goes and comes back, with its data or without.
# docs/PROTOCOL.md 11.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use MCPTest::Load;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();


# Two instances of two workers, and their clients.

sub load {
    my ($redis, %opt) = @_;

    my @nginx = start_instances(2, redis => $redis, workers => 2,
        http => 'mcp_sse_grace 10s;', %opt);

    return MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
        rate => 60);
}


# absent at the start

{
    my $redis   = start_redis(started => 0);
    my @nginx   = map { start_nginx(redis => $redis,
        http => 'mcp_sse_grace 10s;') } 1, 2;
    my ($here, $there) = @nginx;
    my $history = MCPTest::History->new(frappe => $frappe);
    my $stream  = open_stream($here);

    ok($stream->session, 'without Redis, a stream opens');
    ok(call($here, $stream, tool(1, 'echo', {})), 'and works');
    is(health($here)->{status}, 'degraded', 'it is degraded');
    like(health($here)->{reason}, MCPTest::Redis::pattern('reason'),
        'because of Redis');
    is(get($here, '/health')->status, 200, 'alive');
    ok(!ready($here, 1), 'not ready: Redis was never reached');
    ok(!ready($here), 'not ready in the strict sense, either');

    my $post = $history->call($there, $stream);

    $post->{response}->wait;
    is_unavailable($post->{response}, 'no',
        'a message for another instance: 503, surely not run');

    my $initialized = post($there, $stream,
        notification('notifications/initialized'));

    accepted($initialized, 'notifications/initialized is accepted');
    accepted(post($there, $stream, '{"jsonrpc":"2.0","id":7,"result":{}}'),
        "a client's response, too");

    # it is looked for again and again

    sleep_for(2);

    my @lines = grep { /\[(?:warn|error)\].*mcp sse: / }
        split /\n/, $here->error_log;

    ok($here->wait_log(MCPTest::Redis::pattern('lost')), 'the log says so');
    cmp_ok(scalar @lines, '<', 12, 'in few lines');

    ok($redis->run, 'Redis starts');
    ok(wait_ready(@nginx), 'it is found');
    is(health($here)->{status}, 'healthy', 'healthy again');
    ok($here->wait_log(MCPTest::Redis::pattern('ready')),
        'the log says so');

    $history->call($there, $stream)->{response}->wait for 1 .. 5;
    is_deeply($history->statuses, { 503 => 1, 202 => 5 },
        'the stream opened before is known now');
    $history->ok('and answers');
    $stream->close;
}

# killed, with clients that go on

for my $keep (1, 0) {
    my $redis = start_redis(appendonly => $keep);
    my $load  = load($redis);
    my $with  = $keep ? 'with its data' : 'without';
    my ($here) = @{ $load->{instances} };

    $load->fault(
        name    => "killed and started again $with",
        lost    => 1,
        seconds => 3,
        begin   => sub { $redis->kill9 },
        during  => sub {
            like(health($here)->{reason}, MCPTest::Redis::pattern('reason'),
                'the reason is given');
            ok(ready($here, 1), 'ready: Redis had been reached');
            ok(!ready($here), 'not ready in the strict sense');

            my $fresh = open_stream($here);

            ok($fresh->session, 'a stream opens');
            ok(call($here, $fresh, request(1, 'ping')), 'and works');
            $fresh->close;
        },
        end     => sub { $redis->forget_data if !$keep; $redis->run },
    );

    $load->close;
}

# its data are gone, nothing else

{
    my $redis = start_redis();
    my $load  = load($redis);
    my $from;

    $load->fault(
        name    => 'FLUSHALL',
        seconds => 3,
        foreign => [ 202, 503 ],
        begin   => sub { $redis->cmd('FLUSHALL') },
    );

    $load->fault(
        name    => 'FLUSHALL again and again',
        seconds => 3,
        begin   => sub {
            for (1 .. 8) {
                $redis->cmd('FLUSHALL');
                sleep_for(0.3);
            }
        },
    );

    ok(run_until(sub {
        $load->streams == grep { /\Amcp:s:/ } keys %{ $redis->dump };
    }), 'every session is known again');
    ok(run_until(sub {
        4 == grep { /\Amcp:k:/ } keys %{ $redis->dump };
    }), 'and every worker');
    $load->close;
}

finish();
