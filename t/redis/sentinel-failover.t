# Redis with Sentinel, while clients post to two instances: the master is
# killed and comes back, is stopped and continued, is replaced while it lives;
# no sentinel lives, then no master does.  Sessions of an instance go on, what
# has a 202 is answered once, and all recovers within 2 s of +switch-master.
# docs/PROTOCOL.md 11.20.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use MCPTest::Sentinel;
use Test::More;

MCPTest::Sentinel::need();

my $frappe = start_frappe();
my $set    = MCPTest::Sentinel->start(password => 'a-long-password',
    sentinel_password => 'a-sentinels-password');
my @nginx  = start_instances(2, redis => $set, workers => 2,
    http      => 'mcp_sse_grace 10s;',
    redis_opt => 'timeout=2s connect_timeout=2s');

my $load   = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
    rate => 60);
my $old;


# Whether all workers use the master, and no other server.

sub at_the_master {
    my $master = $set->master;

    return run_until(sub {
        for my $server (grep { $_->answers } $set->servers) {
            my $n = grep { ($_->{name} || '') =~ /\Amcp-sse-/ }
                $server->clients;

            return 0 if $n != ($server == $master ? 8 : 0);
        }

        return 1;
    });
}


ok(at_the_master(), 'each of four workers has two connections to the master');

# killed, and back

{
    $load->fault(
        name   => 'the master is killed',
        lost   => 1,
        begin  => sub { $old = $set->master; $old->kill9 },
        healed => sub { $set->wait_switch(from => $old) },
    );

    $load->fault(
        name  => 'the old master comes back',
        quiet => 1,
        begin => sub {
            $old->run;
            ok($set->agree, 'the old master follows the new one');
        },
    );

    ok(at_the_master(), 'then all connections are to the new master');
}

# stopped, and continued

{
    $load->fault(
        name   => 'the master is stopped',
        lost   => 1,
        begin  => sub { $old = $set->master; $old->pause },
        healed => sub { $set->wait_switch(from => $old) },
    );

    $load->fault(
        name  => 'the stopped master is continued',
        quiet => 1,
        begin => sub {
            $old->cont;
            ok($set->agree, 'the continued master follows the new one');
        },
    );

    ok(at_the_master(), 'then all connections are to the new master');
}

# Replaced while it lives: it goes on as a master, and only the sentinels say
# that there is another one.

if (!MCPTest::Redis::short()) {
    my $time;

    $set->debug('publish-period' => 60_000);
    $load->fault(
        name   => 'a replica is promoted',
        begin  => sub {
            ($old, my $next) = ($set->master, $set->replicas);
            $time = $set->promote($next);
        },
        healed => sub { $time },
        during => sub {
            ok(at_the_master(), 'all connections go to the promoted replica');
            is($old->cmd('ROLE')->[0], 'master',
                'though the old master is still one');
        },
    );
    $set->debug('publish-period' => 250);
    ok($set->agree, 'the sentinels agree again');
}

# no sentinel lives

{
    $load->fault(
        name    => 'all sentinels are killed',
        quiet   => 1,
        seconds => MCPTest::Redis::short() ? 1 : 3,
        begin   => sub { $_->kill9 for $set->sentinels },
    );

    my $since;

    $load->fault(
        name    => 'then the master is killed',
        lost    => 1,
        seconds => MCPTest::Redis::short() ? 1 : 3,
        begin   => sub { $since = now();
            ($old) = grep { $_->answers && $_->cmd('ROLE')->[0] eq 'master' }
                $set->servers;
            $old->kill9 },
        end     => sub { $_->run for $set->sentinels },
        healed  => sub { $set->wait_switch(since => $since, from => $old) },
    );

    ok(at_the_master(), 'then all connections are to the new master');
}

$load->close;
$_->stop for @nginx;
$set->clean;
finish();
