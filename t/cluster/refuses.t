# Redis answers, and says no: a wrong password, a user without channels, a
# replica that takes no writes, no memory.  As when it is lost: sessions of the
# instance go on, others get 503, and it ends without a restart.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();


# Two instances that cannot use Redis; end() makes it possible.

sub refused {
    my ($name, $redis, $url, $end) = @_;

    my @nginx   = map { start_nginx(redis => $url,
        http => 'mcp_sse_grace 10s;') } 1, 2;
    my ($here, $there) = @nginx;
    my $history = MCPTest::History->new(frappe => $frappe);

    ok($here->wait_log(MCPTest::Redis::pattern('trouble')),
        "$name: the log says so");
    is(health($here)->{status}, 'degraded', "$name: degraded");
    like(health($here)->{reason}, MCPTest::Redis::pattern('reason'),
        "$name: because of Redis");
    ok(!ready($here), "$name: not ready in the strict sense");

    my $stream = open_stream($here);

    ok($stream->session, "$name: a stream opens");

    my $own = $history->call($here, $stream);
    my $foreign = $history->call($there, $stream);

    $_->{response}->wait for $own, $foreign;
    is($own->{response}->status, 202, "$name: own sessions work");
    is_unavailable($foreign->{response}, 'no',
        "$name: a message for another instance: 503, surely not run");

    sleep_for(2);

    my @lines = grep { /\[(?:warn|error)\].*mcp sse: / }
        split /\n/, $here->error_log;

    cmp_ok(scalar @lines, '<', 15, "$name: in few lines")
        or diag(join "\n", @lines[0 .. 5]);

    $end->();

    ok(wait_ready(@nginx), "$name: it is used as soon as it can be");
    $history->call($there, $stream)->{response}->wait for 1 .. 5;
    is_deeply($history->statuses, { 503 => 1, 202 => 6 },
        "$name: and works");
    $history->ok("$name: nothing was lost, or ran twice");
    $stream->close;
    $_->stop for @nginx;

    return;
}


{
    my $redis = start_redis(requirepass => 'the-right-password');

    refused('wrong password', $redis, $redis->url(pass => 'a-wrong-password'),
        sub { $redis->cmd('ACL', 'SETUSER', 'default',
            '>a-wrong-password') });
}

{
    my $redis = start_redis(users => [
        'user mcp on >another-password ~mcp:* resetchannels +@all' ]);

    refused('a user without channels', $redis,
        $redis->url(user => 'mcp', pass => 'another-password'),
        sub { $redis->cmd('ACL', 'SETUSER', 'mcp', '&mcp:*') });
}

{
    my $redis = start_redis(users => [
        'user mcp on >another-password resetkeys &mcp:* +@all' ]);

    refused('a user without keys', $redis,
        $redis->url(user => 'mcp', pass => 'another-password'),
        sub { $redis->cmd('ACL', 'SETUSER', 'mcp', '~mcp:*') });
}

{
    my $master  = start_redis();
    my $replica = start_redis(replicaof => $master);

    $replica->wait_replica;
    refused('a replica', $replica, $replica->url,
        sub { $replica->replica_of(undef) });
}

# the least that a user must have is enough

{
    my $redis = start_redis(users => [ 'user mcp on >another-password '
        . '~mcp:* &mcp:* -@all +publish +subscribe +set +getex +mget '
        . '+exists +del +zadd +zrangebyscore +zremrangebyscore +time +role '
        . '+client|setname' ]);
    my @nginx = start_instances(2, redis => $redis->url(user => 'mcp',
        pass => 'another-password'));

    ok(ready($_), 'a user with few rights') for @nginx;

    my $stream = open_stream($nginx[0]);

    ok(call($nginx[1], $stream, tool(1, 'echo', {})), 'is enough');
    $stream->close;
    $_->stop for @nginx;
}

# a policy that may evict our keys is worth a line

{
    my $redis = start_redis(maxmemory => '50mb',
        maxmemory_policy => 'allkeys-lru');
    my $nginx = start_nginx(redis => $redis);

    wait_ready($nginx);
    ok($nginx->wait_log(qr/\[warn\].*mcp sse: redis .*maxmemory-policy/),
        'maxmemory-policy allkeys-lru: a warning');
}

finish();
