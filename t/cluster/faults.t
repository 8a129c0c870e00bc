# Redis is absent when nginx starts, is killed and starts again with or without
# its data, or loses its data while it runs: sessions of an instance go on, and
# all recovers without a restart of nginx.
# docs/PROTOCOL.md 4.15, 4.21, 9.3, 9.4, 11.3, 11.5, 11.8.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use MCPTest::Load;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();


# Clients of two instances with two workers each.

sub load {
    my ($redis, %opt) = @_;

    my @nginx = start_instances(2, redis => $redis, workers => 2,
        http => 'mcp_sse_grace 10s;', %opt);

    return MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
        rate => 60);
}


# Redis is absent when nginx starts

{
    my $redis   = start_redis(started => 0);
    my @nginx   = map { start_nginx(redis => $redis,
        http => 'mcp_sse_grace 10s;') } 1, 2;
    my ($here, $there) = @nginx;
    my $history = MCPTest::History->new(frappe => $frappe);
    my $stream  = open_stream($here);

    ok($stream->session, 'without Redis a stream opens');
    ok(call($here, $stream, tool(1, 'echo', {})),
        'without Redis a call of an own session is answered');
    is(health($here)->{status}, 'degraded',
        'without Redis the status of /health is degraded');
    like(health($here)->{reason}, MCPTest::Redis::pattern('reason'),
        'the reason in /health names Redis');
    is(get($here, '/health')->status, 200, 'without Redis /health is 200');
    ok(!ready($here, 1), 'ready=1 is 503: Redis was never reached');
    ok(!ready($here), 'ready=strict is 503: Redis was never reached');

    my $post = $history->call($there, $stream);

    $post->{response}->wait;
    is_unavailable($post->{response}, 'no',
        'a message for another instance is 503 and does not run');

    my $initialized = post($there, $stream,
        notification('notifications/initialized'));

    accepted($initialized, 'notifications/initialized is accepted');
    accepted(post($there, $stream, '{"jsonrpc":"2.0","id":7,"result":{}}'),
        "a client's response is accepted");

    # workers try to connect again and again

    sleep_for(2);

    my @lines = grep { /\[(?:warn|error)\].*mcp sse: / }
        split /\n/, $here->error_log;

    ok($here->wait_log(MCPTest::Redis::pattern('lost')),
        'the log says that Redis is lost');
    cmp_ok(scalar @lines, '<', 12, 'the log has few lines about it');

    ok($redis->run, 'Redis starts');
    ok(wait_ready(@nginx), 'both instances connect to Redis once it is there');
    is(health($here)->{status}, 'healthy', 'then /health is healthy');
    ok($here->wait_log(MCPTest::Redis::pattern('ready')),
        'the log says that Redis is ready');

    $history->call($there, $stream)->{response}->wait for 1 .. 5;
    is_deeply($history->statuses, { 503 => 1, 202 => 5 },
        'then messages for a stream opened before are accepted');
    $history->ok('each accepted message is answered once, the refused one '
        . 'does not run');
    $stream->close;
}

# Redis is killed while clients post

for my $keep (1, 0) {
    my $redis = start_redis(appendonly => $keep);
    my $load  = load($redis);
    my $with  = $keep ? 'with its data' : 'without data';
    my ($here) = @{ $load->{instances} };

    $load->fault(
        name    => "Redis, killed and started again $with",
        lost    => 1,
        seconds => 3,
        begin   => sub { $redis->kill9 },
        during  => sub {
            like(health($here)->{reason}, MCPTest::Redis::pattern('reason'),
                'the reason in /health names the lost Redis');
            ok(ready($here, 1), 'ready=1 is 200: Redis was reached before');
            ok(!ready($here), 'ready=strict is 503 while Redis is lost');

            my $fresh = open_stream($here);

            ok($fresh->session, 'a stream opens while Redis is lost');
            ok(call($here, $fresh, request(1, 'ping')),
                'a ping on a new stream is answered while Redis is lost');
            $fresh->close;
        },
        end     => sub { $redis->forget_data if !$keep; $redis->run },
    );

    $load->close;
}

# Redis loses its data and nothing else

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
        name    => 'repeated FLUSHALL',
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
    }), 'then Redis has a key for every session again');
    ok(run_until(sub {
        4 == grep { /\Amcp:k:/ } keys %{ $redis->dump };
    }), 'then Redis has a key for every worker again');
    $load->close;
}

finish();
