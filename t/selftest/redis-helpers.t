# The tests' own Redis and proxy, without nginx.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::RESP;
use Test::More;

MCPTest::Redis::need();


sub fails {
    my ($code, $pattern, $name) = @_;

    my $value = eval { $code->() };

    return like($@ || 'got ' . (defined $value ? $value : 'nothing'),
        $pattern, $name);
}


# commands and what it holds

{
    my $redis = start_redis(requirepass => 'a-long-password', users => [
        'user mcp on >another-password ~mcp:* resetchannels +@all' ]);

    is($redis->cmd('SET', 'mcp:a', "1\r\n\0\xff", 'PX', 60_000), 'OK', 'SET');
    is($redis->cmd('GET', 'mcp:a'), "1\r\n\0\xff", 'GET, bytes');
    is($redis->cmd('GET', 'mcp:b'), undef, 'nil');
    is_deeply($redis->cmd('EVAL', 'return {1,{"a",false},"b"}', 0),
        [ 1, [ 'a', undef ], 'b' ], 'arrays');
    fails(sub { $redis->cmd('NO-SUCH') }, qr/unknown command/, 'an error');

    $redis->cmd('RPUSH', 'mcp:l', 'x', 'y');
    $redis->cmd('HSET', 'mcp:h', 'x', 'y');

    my $all = $redis->dump;

    is_deeply({ map { $_ => $all->{$_}{value} } keys %{$all} },
        { 'mcp:a' => "1\r\n\0\xff", 'mcp:l' => [ 'x', 'y' ],
          'mcp:h' => [ 'x', 'y' ] }, 'all keys');
    cmp_ok($all->{'mcp:a'}{ttl}, '>', 10_000, 'with their time to live');
    is($all->{'mcp:l'}{ttl}, -1, 'or without');

    my $user = $redis->connect(user => 'mcp', pass => 'another-password',
        name => 'mcp-sse-cmd');

    is($user->cmd('GET', 'mcp:a'), "1\r\n\0\xff", 'another user');
    fails(sub { $user->cmd('PUBLISH', 'mcp:w:1', 'x') }, qr/NOPERM/,
        'who may not publish');
    is_deeply([ map { $_->{name} } $redis->clients ], [ 'mcp-sse-cmd' ],
        'clients, by name');
    is($redis->kill_clients(name => 'mcp-sse-cmd'), 1, 'one is killed');
    ok(run_until(sub { $user->{closed} }), 'and knows');

    my $monitor  = $redis->monitor;
    my $listener = $redis->subscribe('mcp:w:*');

    $redis->cmd('PUBLISH', 'mcp:w:7', "\0\x01\"\\\n");
    ok(run_until(sub { $listener->messages }), 'a message is published');
    is_deeply([ map { "$_->{channel} $_->{bytes}" } $listener->messages ],
        [ "mcp:w:7 \0\x01\"\\\n" ], 'as it was sent');

    my ($publish) = grep { $_->{args}[0] eq 'PUBLISH' } $monitor->commands;

    is_deeply($publish->{args}, [ 'PUBLISH', 'mcp:w:7', "\0\x01\"\\\n" ],
        'MONITOR has it, too');

    my $unix = MCPTest::RESP->connect_to($redis->unix);

    is($unix->cmd('AUTH', 'a-long-password'), 'OK', 'over its Unix socket');
    $_->close for $unix, $monitor, $listener;

    like($redis->url(db => 3),
        qr{\Aredis://:a-long-password\@127\.0\.0\.1:\d+/3\z}, 'its URL');
}

# gone and back

for my $keep (0, 1) {
    my $redis = start_redis(appendonly => $keep);
    my $port  = $redis->port;

    $redis->cmd('SET', 'x', 1);
    ok($redis->restart(keep => $keep), 'killed and started again');
    is($redis->cmd('GET', 'x'), $keep ? 1 : undef,
        $keep ? 'with its data' : 'without');
    is($redis->port, $port, 'at its port');

    $redis->pause;

    my $slot = $redis->{conn}->send('PING');

    sleep_for(0.3);
    ok(!$slot->{done}, 'it is paused');
    $redis->cont;
    ok(run_until(sub { $slot->{done} }), 'and goes on');

    my $pid = $redis->pid;

    ok($redis->stop, 'stopped');
    ok(!kill(0, $pid), 'really');
    fails(sub { $redis->cmd('PING') }, qr/refused/, 'nobody listens');
}

# a replica

{
    my $master  = start_redis(requirepass => 'a-long-password');
    my $replica = start_redis(requirepass => 'a-long-password',
        replicaof => $master);

    ok($replica->wait_replica, 'a replica follows');
    fails(sub { $replica->cmd('SET', 'x', 1) }, qr/READONLY/,
        'it takes no writes');
    $replica->replica_of(undef);
    is($replica->cmd('SET', 'x', 1), 'OK', 'a master again');
}

# the proxy

{
    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my $conn  = MCPTest::RESP->connect_to($proxy->port);

    is($conn->cmd('INCR', 'n'), 1, 'through the proxy');

    $proxy->pause('down');

    my $slot = $conn->send('INCR', 'n');

    ok(run_until(sub { $redis->cmd('GET', 'n') == 2 }), 'a command runs');
    sleep_for(0.2);
    ok(!$slot->{done}, 'its answer is held');
    $proxy->resume;
    ok(run_until(sub { $slot->{done} }), 'then it comes');

    $proxy->pause('up');
    $slot = $conn->send('INCR', 'n');
    sleep_for(0.2);
    is($redis->cmd('GET', 'n'), 2, 'the command is held');
    $proxy->resume('up');
    run_until(sub { $slot->{done} });
    is($slot->{reply}, 3, 'then it runs');

    $proxy->delay(down => 0.3);

    my $from = now();

    is($conn->cmd('INCR', 'n'), 4, 'a delayed answer');
    cmp_ok(now() - $from, '>', 0.25, 'is late');
    $proxy->delay(down => 0);

    $proxy->lose('down');
    $slot = $conn->send('INCR', 'n');
    ok(run_until(sub { $redis->cmd('GET', 'n') == 5 }), 'the command ran');
    $proxy->cut(reset => 1);
    ok(run_until(sub { $conn->{closed} }), 'and the connection is cut');
    ok(!$slot->{done}, 'before its answer');
    $proxy->resume;

    $proxy->refuse;
    fails(sub { MCPTest::RESP->connect_to($proxy->port) }, qr/refused/,
        'it refuses connections');
    $proxy->listen;

    $proxy->filter(sub { my ($way, $bytes) = @_;
        $bytes =~ s/6/9/ if $way eq 'down';
        return $bytes; });
    $conn = MCPTest::RESP->connect_to($proxy->port);
    is($conn->cmd('INCR', 'n'), 9, 'it changes bytes');
    is($proxy->count, 2, 'and counts connections');
    $conn->close;
    $proxy->stop;
}

finish();
