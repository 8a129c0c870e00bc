# Faults of a Redis Cluster while clients post to two instances with two workers
# each: a slot that moves, masters that are killed, paused or replaced, a
# restart of all nodes, a cluster without a majority.  Nothing that was accepted
# is lost, nothing runs twice, own sessions go on, and messages are accepted 2 s
# after the cluster is well at the latest.
# docs/PROTOCOL.md 11.3, 11.5, 11.7, 11.19.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use Test::More;

MCPTest::Redis::need();

my $frappe  = start_frappe();
my $cluster = MCPTest::RedisCluster->start(requirepass => 'a-long-password');
my $key     = '{mcp}:';
my $short   = MCPTest::Redis::short();

# what hangs is given up soon

my $ms = int 500 * MCPTest::Conn::hang_after() / 60;

$ms = 500 if $ms < 500;
$ms *= 2 if $short;

my @nginx = start_instances(2, redis => $cluster, workers => 2,
    redis_opt => "timeout=${ms}ms connect_timeout=${ms}ms",
    http => 'mcp_sse_grace 10s;');

my $load = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
    rate => 60);


sub well  { return $cluster->wait_ok }
sub owner { return $cluster->owner($key) }


# Waits until the slot has an owner, which is not $old.

sub replaced {
    my ($old) = @_;

    return run_until(sub {
        my $now = owner();

        return $now && $now != $old && $cluster->is_ok;
    });
}


# Whether each of the four workers has subscribed at the master of the slot.

sub subscribed {
    return run_until(sub {
        return 4 == grep { /\A\Q$key\Ew:/ }
            @{ owner()->cmd('PUBSUB', 'SHARDCHANNELS') };
    });
}


# The slot moves.  While it does, some of its keys are at either master: ASK,
# and TRYAGAIN for several keys.

sub move {
    my ($seconds) = @_;

    $cluster->move($key, $cluster->other($key), during => sub {
        sleep_for($seconds);
    });

    return;
}


# How often all nodes have answered with an error.

sub errors {
    my ($name) = @_;

    my $n = 0;

    for my $node ($cluster->living) {
        $n += $1 if $node->cmd('INFO', 'errorstats')
            =~ /^errorstat_$name:count=(\d+)/m;
    }

    return $n;
}


$load->fault(
    name   => 'the slot moves',
    begin  => sub { move(0.5) },
    healed => \&well,
);

ok(subscribed(), 'the workers have subscribed at the new master');
cmp_ok(errors('ASK') + errors('TRYAGAIN'), '>', 0,
    'while the slot moved, nodes said ASK or TRYAGAIN');

$load->fault(
    name   => 'the slot moves to and fro',
    begin  => sub { move(0.1) for 1 .. ($short ? 3 : 8) },
    healed => \&well,
);

# A move that stops half-way: all keys are at the new master, and the old one
# still has the slot.  It says ASK for each of them.

{
    my $old  = owner();
    my $new  = $cluster->other($key);
    my $lost = sub {
        return map { metrics($_)->{nginx_mcp_sse_redis_connections_lost_total} }
            @nginx;
    };

    $load->fault(
        name    => 'the slot is stuck between two masters',
        seconds => 0.1,
        begin   => sub {
            my @before = $lost->();

            $cluster->move_begin($key, $old, $new);
            $cluster->move_keys($key, $old, $new);
            sleep_for($short ? 1 : 3);
            is_deeply([ $lost->() ], \@before,
                'the slot is stuck: ASK ends no connection');
        },
        end     => sub {
            $cluster->move_keys($key, $old, $new);
            $cluster->move_end($key, $old, $new);
        },
        healed  => \&well,
    );
}

# The master is killed, and another one is paused: then there are two, of which
# one does not know it yet.  Meanwhile an instance starts, and another one gets
# new workers: they look for a master, and old ones end.

{
    my $old   = owner();
    my $other = start_nginx(redis => $cluster);
    my $fresh;

    ok(wait_ready($other), 'a third instance is ready');

    $load->fault(
        name     => 'the master is killed',
        degraded => 1,
        seconds  => 0.1,
        begin    => sub { $old->kill9 },
        during   => sub {
            my @workers = $other->reload;

            ok($other->wait_gone(\@workers),
                'workers that look for a master end');
            $fresh = start_nginx(redis => $cluster);
        },
        healed   => sub { replaced($old) },
    );

    ok(wait_ready($other, $fresh), 'the new workers find the new master');
    $_->stop for $other, $fresh;
    $old->run;
    ok(well(), 'the old master is a replica');
}

{
    my $old = owner();

    $load->fault(
        name     => 'the master is paused',
        degraded => 1,
        seconds  => 0.1,
        begin    => sub { $old->pause },
        healed   => sub { replaced($old) },
    );

    $load->fault(
        name    => 'the paused master comes back',
        seconds => 0.5,
        quiet   => 1,
        begin   => sub { $old->cont },
        healed  => \&well,
    );
}

# shorter than the time-out of the nodes: nobody takes the place of the master

$load->fault(
    name    => 'the master is paused for a moment',
    seconds => 0.1,
    begin   => sub { owner()->pause },
    end     => sub { $_->cont for grep { $_->{paused} } $cluster->nodes },
    healed  => \&well,
) if !$short;

# replicas are made masters: by agreement, without the master, without anyone

for my $how ($short ? '' : ('', 'FORCE', 'TAKEOVER')) {
    my ($replica) = $cluster->replicas(owner());

    $load->fault(
        name    => "the replica is promoted $how",
        seconds => 0.1,
        begin   => sub { $cluster->promote($replica, how => $how) },
        healed  => sub { owner() == $replica && well() },
    );
}

# all nodes are restarted, one after the other; replicas take the places of
# their masters before

$load->fault(
    name    => 'rolling restart of all nodes',
    seconds => 0.1,
    begin   => sub {
        for my $node ($cluster->nodes) {
            my ($replica) = $cluster->replicas($node);

            $cluster->promote($replica) if $replica;
            ok(well(), 'rolling restart: the next one can be restarted');
            $node->restart(keep => 1);
            ok(well(), 'rolling restart: it is a part of the cluster again');
        }
    },
    healed  => \&well,
) if !$short;

# the other masters and their replicas are gone: CLUSTERDOWN

{
    my $owner  = owner();
    my @others = grep { $_ != $owner } $cluster->nodes;
    my ($own)  = $cluster->replicas($owner);

    @others = grep { $_ != $own } @others;

    $load->fault(
        name     => 'without a majority',
        degraded => 1,
        seconds  => 0.1,
        begin    => sub {
            $_->kill9 for @others;
            ok(run_until(sub {
                return !eval { $owner->cmd('GET', $key); 1 }
                    && $@ =~ /CLUSTERDOWN/;
            }), 'without a majority: CLUSTERDOWN');
        },
        end      => sub { $_->run for @others },
        healed   => \&well,
    );
}

ok(subscribed(), 'in the end each worker has subscribed at the master');
is_deeply({ map { my $node = $_; ($node->port => scalar grep {
    $_->{name} =~ /mcp/ } $node->clients) } $cluster->nodes },
    { map { $_->port => $_ == owner() ? 8 : 0 } $cluster->nodes },
    'each worker has two connections, both to the master');
$load->close;
finish();
