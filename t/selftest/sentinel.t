# MCPTest::Sentinel: the sentinels, the master and the replicas of the tests,
# without nginx.  docs/PROTOCOL.md 14.7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use MCPTest::RESP;
use MCPTest::Sentinel;
use Test::More;

MCPTest::Sentinel::need();

my $clock = MCPTest::Clock->new(redis => 1);
my %pids;


# Remembers the processes of a set.

sub watch {
    my ($set) = @_;

    $pids{ $_->pid } = 1 for $set->servers, $set->sentinels;

    return $set;
}


# the master is killed, then comes back

{
    my $set = watch(MCPTest::Sentinel->start(password => 'a-long-password',
        sentinel_password => 'a-sentinels-password'));
    my ($first, @others) = $set->servers;

    is($set->master, $first, 'the first server is the master');
    is_deeply([ $set->replicas ], \@others, 'the others are replicas');
    is($first->cmd('SET', 'x', 1), 'OK', 'the master takes writes');
    like($set->url(db => 3), qr{\A
        redis://:a-long-password\@(?:127\.0\.0\.1:\d+,){2}127\.0\.0\.1:\d+/3\z
        }x, 'url() has the sentinels and the database');

    my ($name, $file) = $set->parameters
        =~ m{\Asentinel=(mymaster) sentinel_auth=(/\S+)\z};

    ok($name && -s $file == 1 + length 'a-sentinels-password',
        'parameters() has the name of the set and a file with the password');
    ok(!eval { MCPTest::RESP->connect_to(($set->sentinels)[0]->port)
        ->cmd('SENTINEL', 'MASTERS') } && $@ =~ /NOAUTH/,
        'a sentinel wants its password');

    my $from = now();

    ok($set->prefer($others[1]), 'prefer() returns when all know it');
    $first->kill9;

    my $time = $set->wait_switch(from => $first);

    ok($time && $time > $from, 'wait_switch() returns a time after the fault');
    cmp_ok(now() - $time, '>=', 0, 'that is not in the future');
    is($set->master, $others[1], 'the preferred replica is the master');
    is($others[1]->cmd('GET', 'x'), 1, 'it has the data of the old one');
    ok($set->agree, 'the sentinels agree while a server is dead');
    is(keys %{ { map { $_->{sentinel} => 1 } $set->events(qr/\A\+sdown\z/) } },
        3, 'events() has what each sentinel said');

    ok($first->run, 'the old master starts again');
    ok($set->agree, 'it follows the new one');

    my ($sentinel) = $set->sentinels;

    ok($sentinel->kill9, 'a sentinel is killed');
    ok($sentinel->run && $set->agree, 'it starts again and knows the set');
    $set->clean;
}

# the master is stopped; a replica is made the master

{
    my $set    = watch(MCPTest::Sentinel->start);
    my $master = $set->master;

    $master->pause;
    ok($set->wait_switch(from => $master),
        'sentinels replace a stopped master');
    $master->cont;
    is($master->cmd('ROLE')->[0], 'master',
        'after cont() there are two masters');
    ok($set->agree, 'then the old one follows');

    my $second = $set->master;

    $set->debug('publish-period' => 60_000);
    ok($set->promote($master), 'promote() returns the time of the switch');
    is($set->master, $master, 'the replica is the master');
    is($second->cmd('ROLE')->[0], 'master', 'and so is the old one');
    $set->debug('publish-period' => 100);
    ok($set->agree, 'then the old one follows');
    $set->clean;
}

# proxies: the master is cut off, a replica lacks what came last

{
    my $set = watch(MCPTest::Sentinel->start(proxied => 1));
    my $old = $set->master;

    $old->cmd('SET', 'x', 1);
    ok(run_until(sub { 2 == grep { ($_->cmd('GET', 'x') || 0) == 1 }
        $set->replicas }), 'replicas get what the master gets');

    my @held = map { $set->hold_replica($_) } $set->replicas;

    $old->cmd('SET', 'x', 2);
    sleep_for(0.3);
    is_deeply([ map { $_->cmd('GET', 'x') } $set->replicas ], [ 1, 1 ],
        'hold_replica() holds it');

    $set->cut_off($old, 'down');
    $_->end(1) for @held;
    ok($set->wait_switch(from => $old),
        'sentinels replace a master whose answers are lost');
    is($old->cmd('GET', 'x'), 2, 'the test can still ask it');
    is($set->master->cmd('GET', 'x'), 1, 'the new master lacks what was held');
    $set->heal($old);
    ok($set->agree, 'after heal() the old master follows');
    is($old->cmd('GET', 'x'), 1, 'and has forgotten what the new one lacks');
    $set->clean;
}

# a name, TLS, a clock that is ahead

{
    my $set = watch(MCPTest::Sentinel->start(replicas => 1, host => 'localhost',
        tls => 1, env => [ { LD_PRELOAD => $clock->path } ]));
    my ($server, $replica) = $set->servers;
    my ($sentinel)         = $set->sentinels;

    is_deeply($sentinel->cmd('SENTINEL', 'GET-MASTER-ADDR-BY-NAME', 'mymaster'),
        [ 'localhost', $server->port ],
        'sentinels give the name and the port for TLS');
    like($set->url, qr{\Arediss://}, 'the URL is that of TLS');

    $clock->advance(100);
    cmp_ok(abs($server->cmd('TIME')->[0] - time - 100), '<', 50,
        'one server is ahead in time');
    cmp_ok(abs($replica->cmd('TIME')->[0] - time), '<', 50,
        'another one is not');

    $server->kill9;
    ok($set->wait_switch(from => $server) && $set->master == $replica,
        'a failover works');
    $set->clean;
}

is(scalar(grep { kill 0, $_ } keys %pids), 0, 'clean() ends all processes');

finish();
