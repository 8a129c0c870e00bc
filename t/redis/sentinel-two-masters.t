# Two masters for 5 s: sentinels have made a replica the master, one instance
# knows it and the other one does not, since it reaches no sentinel; and the
# clock of one master is 2 s ahead.  What is refused does not run, and nothing
# runs twice.  docs/PROTOCOL.md 11.20, 11.21.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use MCPTest::Load;
use MCPTest::Sentinel;
use Test::More;

MCPTest::Sentinel::need();

my $frappe = start_frappe();
my $clock  = MCPTest::Clock->new(redis => 1);
my $set    = MCPTest::Sentinel->start(replicas => 1,
    env => [ { LD_PRELOAD => $clock->path } ]);
my @ways   = map { MCPTest::Proxy->new(port => $_->port) } $set->sentinels;

$clock->advance(2);

# The first instance reaches sentinels through proxies.

my @nginx = start_instances(2, workers => 2, http => 'mcp_sse_grace 2s;',
    redis_opt => $set->parameters . ' timeout=2s connect_timeout=2s',
    per => [ { redis => $set->url(hosts => [
        map { '127.0.0.1:' . $_->port } @ways ]) }, { redis => $set->url } ]);

my $load = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
    rate => 60);


# How many workers have two connections to a server.

sub workers_at {
    my ($server) = @_;

    return grep({ ($_->{name} || '') =~ /\Amcp-sse-/ } $server->clients) / 2;
}


# The first instance learns it when it reaches a sentinel again, while the old
# master is still one.  Or the old master becomes a replica while that instance
# is still there, and gets what is published at the new one, too.

for my $how ('learned', 'overtaken') {
    my ($old, $new) = ($set->master, $set->replicas);
    my $ahead = $old == ($set->servers)[0] ? 'the old' : 'the new';
    my $name  = "$how, $ahead one 2 s ahead";

    last if $how eq 'overtaken' && MCPTest::Redis::short();

    $set->debug('publish-period' => 60_000);

    $load->fault(
        name    => $name,
        seconds => 5,
        begin   => sub {
            $_->refuse, $_->cut for @ways;
            ok($set->promote($new), "$name: there is a new master");
        },
        during  => sub {
            ok(run_until(sub { workers_at($new) == 2 }),
                "$name: one instance joins it");
            is(workers_at($old), 2, "$name: the other one does not");
            is($old->cmd('ROLE')->[0], 'master',
                "$name: the old master is one");
        },
        end     => sub {
            if ($how eq 'overtaken') {
                $old->cmd('REPLICAOF', '127.0.0.1', $new->{announced});
                sleep_for(0.3);
            }

            $_->listen for @ways;
            ok(run_until(sub { workers_at($new) == 4 }),
                "$name: all workers join the new master");
        },
        healed  => sub { 1 },
    );

    $set->debug('publish-period' => 250);
    ok($set->agree, "$name: then the sentinels agree");
}

$load->close;
$_->stop for @nginx;
$_->stop for @ways;
$set->clean;
finish();
