# Redis refuses: a wrong password, a user without rights for channels or keys, a
# replica that takes no writes.  As when Redis is lost, sessions of the instance
# go on, messages for other instances are 503, and all recovers without a
# restart.  docs/PROTOCOL.md 4.15, 9.4, 11.5, 11.10.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();


# Tests two instances that cannot use Redis until $end is called.

sub refused {
    my ($name, $redis, $url, $end) = @_;

    my @nginx   = map { start_nginx(redis => $url,
        http => 'mcp_sse_grace 10s;') } 1, 2;
    my ($here, $there) = @nginx;
    my $history = MCPTest::History->new(frappe => $frappe);

    ok($here->wait_log(MCPTest::Redis::pattern('trouble')),
        "$name: the log says that Redis refuses");
    is(health($here)->{status}, 'degraded', "$name: /health is degraded");
    like(health($here)->{reason}, MCPTest::Redis::pattern('reason'),
        "$name: the reason in /health names Redis");
    ok(!ready($here), "$name: ready=strict is 503");

    my $stream = open_stream($here);

    ok($stream->session, "$name: a stream opens");

    my $own = $history->call($here, $stream);
    my $foreign = $history->call($there, $stream);

    $_->{response}->wait for $own, $foreign;
    is($own->{response}->status, 202,
        "$name: a message for an own session is accepted");
    is_unavailable($foreign->{response}, 'no',
        "$name: a message for another instance is 503 and does not run");

    sleep_for(2);

    my @lines = grep { /\[(?:warn|error)\].*mcp sse: / }
        split /\n/, $here->error_log;

    cmp_ok(scalar @lines, '<', 15, "$name: the log has few lines about it")
        or diag(join "\n", @lines[0 .. 5]);

    $end->();

    ok(wait_ready(@nginx), "$name: Redis is used once it allows it");
    $history->call($there, $stream)->{response}->wait for 1 .. 5;
    is_deeply($history->statuses, { 503 => 1, 202 => 6 },
        "$name: then messages between instances are accepted");
    $history->ok("$name: each accepted call is answered once");
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

# the rights that the documentation lists are enough

{
    my $redis = start_redis(users => [ 'user mcp on >another-password '
        . '~mcp:* &mcp:* -@all +publish +subscribe +set +getex +mget '
        . '+exists +del +zadd +zrangebyscore +zremrangebyscore +time +role +info '
        . '+client|setname' ]);
    my @nginx = start_instances(2, redis => $redis->url(user => 'mcp',
        pass => 'another-password'));

    ok(wait_ready($_), 'a user with the listed rights makes an instance ready')
        for @nginx;

    my $stream = open_stream($nginx[0]);

    ok(call($nginx[1], $stream, tool(1, 'echo', {})),
        'a user with the listed rights passes messages between instances');
    $stream->close;
    $_->stop for @nginx;
}

# a policy that may evict the module's keys

{
    my $redis = start_redis(maxmemory => '50mb',
        maxmemory_policy => 'allkeys-lru');
    my $nginx = start_nginx(redis => $redis);

    wait_ready($nginx);
    ok($nginx->wait_log(qr/\[warn\].*mcp sse: redis .*maxmemory-policy/),
        'the log warns of maxmemory-policy allkeys-lru');
}

finish();
