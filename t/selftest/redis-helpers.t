# MCPTest::Redis, MCPTest::RESP and MCPTest::Proxy: the Redis and the proxy of
# the tests, without nginx.  docs/PROTOCOL.md 14.7.

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


# commands and keys

{
    my $redis = start_redis(requirepass => 'a-long-password', users => [
        'user mcp on >another-password ~mcp:* resetchannels +@all' ]);

    is($redis->cmd('SET', 'mcp:a', "1\r\n\0\xff", 'PX', 60_000), 'OK',
        'cmd() returns the reply of SET');
    is($redis->cmd('GET', 'mcp:a'), "1\r\n\0\xff",
        'cmd() returns any bytes as they are');
    is($redis->cmd('GET', 'mcp:b'), undef, 'cmd() returns undef for nil');
    is_deeply($redis->cmd('EVAL', 'return {1,{"a",false},"b"}', 0),
        [ 1, [ 'a', undef ], 'b' ], 'cmd() returns nested arrays');
    fails(sub { $redis->cmd('NO-SUCH') }, qr/unknown command/,
        'cmd() dies with the text of an error');

    $redis->cmd('RPUSH', 'mcp:l', 'x', 'y');
    $redis->cmd('HSET', 'mcp:h', 'x', 'y');

    my $all = $redis->dump;

    is_deeply({ map { $_ => $all->{$_}{value} } keys %{$all} },
        { 'mcp:a' => "1\r\n\0\xff", 'mcp:l' => [ 'x', 'y' ],
          'mcp:h' => [ 'x', 'y' ] }, 'dump() returns all keys');
    cmp_ok($all->{'mcp:a'}{ttl}, '>', 10_000,
        'dump() returns the time to live of a key');
    is($all->{'mcp:l'}{ttl}, -1, 'dump() returns -1 for a key that stays');

    my $user = $redis->connect(user => 'mcp', pass => 'another-password',
        name => 'mcp-sse-cmd');

    is($user->cmd('GET', 'mcp:a'), "1\r\n\0\xff",
        'connect() logs in as another user');
    fails(sub { $user->cmd('PUBLISH', 'mcp:w:1', 'x') }, qr/NOPERM/,
        'a user without rights for channels cannot publish');
    is_deeply([ map { $_->{name} } $redis->clients ], [ 'mcp-sse-cmd' ],
        'clients() returns the connections with their names');
    is($redis->kill_clients(name => 'mcp-sse-cmd'), 1,
        'kill_clients() returns how many it has killed');
    ok(run_until(sub { $user->{closed} }), 'a killed connection is closed');

    my $monitor  = $redis->monitor;
    my $listener = $redis->subscribe('mcp:w:*');

    $redis->cmd('PUBLISH', 'mcp:w:7', "\0\x01\"\\\n");
    ok(run_until(sub { $listener->messages }),
        'a subscriber gets a published message');
    is_deeply([ map { "$_->{channel} $_->{bytes}" } $listener->messages ],
        [ "mcp:w:7 \0\x01\"\\\n" ], 'messages() returns the bytes as they are');

    my ($publish) = grep { $_->{args}[0] eq 'PUBLISH' } $monitor->commands;

    is_deeply($publish->{args}, [ 'PUBLISH', 'mcp:w:7', "\0\x01\"\\\n" ],
        'commands() returns the words of MONITOR as bytes');

    my $unix = MCPTest::RESP->connect_to($redis->unix);

    is($unix->cmd('AUTH', 'a-long-password'), 'OK',
        'connect_to() takes the path of a Unix socket');
    $_->close for $unix, $monitor, $listener;

    like($redis->url(db => 3),
        qr{\Aredis://:a-long-password\@127\.0\.0\.1:\d+/3\z},
        'url() has the password and the database');
}

# restart, pause, stop

for my $keep (0, 1) {
    my $redis = start_redis(appendonly => $keep);
    my $port  = $redis->port;

    $redis->cmd('SET', 'x', 1);
    ok($redis->restart(keep => $keep), 'restart() returns true');
    is($redis->cmd('GET', 'x'), $keep ? 1 : undef,
        $keep ? 'restart(keep => 1) keeps the data'
            : 'restart(keep => 0) forgets the data');
    is($redis->port, $port, 'restart() keeps the port');

    $redis->pause;

    my $slot = $redis->{conn}->send('PING');

    sleep_for(0.3);
    ok(!$slot->{done}, 'a paused Redis does not answer');
    $redis->cont;
    ok(run_until(sub { $slot->{done} }), 'after cont() it answers');

    my $pid = $redis->pid;

    ok($redis->stop, 'stop() returns true');
    ok(!kill(0, $pid), 'after stop() the process is gone');
    fails(sub { $redis->cmd('PING') }, qr/refused/,
        'a stopped Redis refuses connections');
}

# a replica

{
    my $master  = start_redis(requirepass => 'a-long-password');
    my $replica = start_redis(requirepass => 'a-long-password',
        replicaof => $master);

    ok($replica->wait_replica, 'a replica follows its master');
    fails(sub { $replica->cmd('SET', 'x', 1) }, qr/READONLY/,
        'a replica refuses writes');
    $replica->replica_of(undef);
    is($replica->cmd('SET', 'x', 1), 'OK', 'replica_of(undef) allows writes');
}

# the proxy

{
    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my $conn  = MCPTest::RESP->connect_to($proxy->port);

    is($conn->cmd('INCR', 'n'), 1, 'a command passes through the proxy');

    $proxy->pause('down');

    my $slot = $conn->send('INCR', 'n');

    ok(run_until(sub { $redis->cmd('GET', 'n') == 2 }),
        "pause('down') passes a command");
    sleep_for(0.2);
    ok(!$slot->{done}, "pause('down') holds the reply");
    $proxy->resume;
    ok(run_until(sub { $slot->{done} }), 'resume() passes the reply');

    $proxy->pause('up');
    $slot = $conn->send('INCR', 'n');
    sleep_for(0.2);
    is($redis->cmd('GET', 'n'), 2, "pause('up') holds a command");
    $proxy->resume('up');
    run_until(sub { $slot->{done} });
    is($slot->{reply}, 3, "resume('up') passes the command");

    $proxy->delay(down => 0.3);

    my $from = now();

    is($conn->cmd('INCR', 'n'), 4, 'a delayed reply arrives');
    cmp_ok(now() - $from, '>', 0.25, 'a delayed reply is late');
    $proxy->delay(down => 0);

    $proxy->lose('down');
    $slot = $conn->send('INCR', 'n');
    ok(run_until(sub { $redis->cmd('GET', 'n') == 5 }),
        "lose('down') passes a command");
    $proxy->cut(reset => 1);
    ok(run_until(sub { $conn->{closed} }), 'cut() closes the connection');
    ok(!$slot->{done}, "lose('down') loses the reply");
    $proxy->resume;

    $proxy->refuse;
    fails(sub { MCPTest::RESP->connect_to($proxy->port) }, qr/refused/,
        'refuse() refuses connections');
    $proxy->listen;

    $proxy->filter(sub { my ($way, $bytes) = @_;
        $bytes =~ s/6/9/ if $way eq 'down';
        return $bytes; });
    $conn = MCPTest::RESP->connect_to($proxy->port);
    is($conn->cmd('INCR', 'n'), 9, 'a filter changes bytes');
    is($proxy->count, 2, 'count() returns the number of connections');
    $conn->close;
    $proxy->stop;
}

finish();
