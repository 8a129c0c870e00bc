# MCPTest::RedisCluster: the cluster of the tests, without nginx.
# docs/PROTOCOL.md 14.7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::RESP;
use Test::More;

MCPTest::Redis::need();

my $key     = '{mcp}:';
my $cluster = MCPTest::RedisCluster->start(requirepass => 'a-long-password');
my $owner   = $cluster->owner($key);

is($cluster->nodes, 6, 'a cluster has six nodes');
is($cluster->replicas($owner), 1, 'a master has a replica');
is($cluster->slot('123456789'), 0x31c3, 'slot() is CRC16');
is($cluster->slot($_), $owner->cmd('CLUSTER', 'KEYSLOT', $_),
    "slot('$_') is what Redis says")
    for '{mcp}:s:1', 'a{b}{c}', 'a{}b', '{', "\xff\0";
is(() = $cluster->url =~ /127\.0\.0\.1:\d+/g, 6, 'url() names all nodes');
is($cluster->url(nodes => [ $owner, 7 ], user => 'u', pass => 'a-password'),
    'redis://u:a-password@' . $owner->name . ',127.0.0.1:7',
    'url() names the nodes that are given');

# a slot moves

{
    my $to = $cluster->other($key);
    my $try;

    $owner->cmd('SET', "$key$_", $_) for 1 .. 50;

    is(eval { $to->cmd('GET', "${key}1") } || $@, 'redis: GET: MOVED '
        . $cluster->slot($key) . ' ' . $owner->name . "\n",
        'another master says where the slot is');

    $cluster->move($key, $to, during => sub {
        $try = eval { $owner->cmd('MGET', map { "$key$_" } 1 .. 50) } || $@;
    });

    like($try, qr/TRYAGAIN/, 'TRYAGAIN while some of the keys have moved');
    is($cluster->owner($key), $to, 'then the slot has another owner');
    is($to->cmd('CLUSTER', 'COUNTKEYSINSLOT', $cluster->slot($key)), 50,
        'which has all keys');
    ok($cluster->wait_ok, 'all nodes agree on that');
    $owner = $to;
}

# a replica becomes master: asked to, and since its master was killed or paused

{
    my ($replica) = $cluster->replicas($owner);

    ok($cluster->promote($replica), 'promote() makes a replica the master');
    is($cluster->owner($key), $replica, 'which has the slot');
    ok($cluster->wait_ok, 'all nodes agree on that');
}

for my $how (qw(kill9 pause)) {
    $owner = $cluster->owner($key);
    $owner->$how;

    ok(!$owner->answers, "$how: the master does not answer");
    ok(run_until(sub { $cluster->owner($key) }),
        "$how: another node becomes the master");
    ok($cluster->wait_ok, "$how: five nodes are well");

    $how eq 'pause' ? $owner->cont : $owner->run;

    ok($cluster->wait_ok, "$how: then all six are");
    is($cluster->replicas($cluster->owner($key)), 1,
        "$how: the old master is a replica");
}

# without a majority of the masters the others do not take part

{
    my @masters = map { $cluster->owner($_) } 'b', 'c', 'a';
    my ($left)  = splice @masters, 2;

    $_->kill9 for @masters, map { $cluster->replicas($_) } @masters;

    ok(run_until(sub {
        return !eval { $left->cmd('GET', 'a'); 1 } && $@ =~ /CLUSTERDOWN/;
    }), 'CLUSTERDOWN when two of three shards are gone');
    ok(!$cluster->is_ok, 'then the cluster is not well');

    $_->run for $cluster->nodes;

    ok($cluster->wait_ok, 'the cluster recovers');
}

finish();
