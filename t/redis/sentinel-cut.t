# Redis with Sentinel, while clients post to two instances: the master is cut
# off in one direction, and a replica becomes the master that lacks what came
# last.  docs/PROTOCOL.md 11.20.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use MCPTest::Sentinel;
use Test::More;

MCPTest::Sentinel::need();

my $frappe = start_frappe();
my $set    = MCPTest::Sentinel->start(proxied => 1);
my @nginx  = start_instances(2, redis => $set, workers => 2,
    http      => 'mcp_sse_grace 10s;',
    redis_opt => 'timeout=2s connect_timeout=2s');
my $load   = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
    rate => 60);
my $old;

# what it says is lost, or what it is told

for my $way (MCPTest::Redis::short() ? 'down' : qw(down up)) {
    my $lost = $way eq 'down' ? 'what the master says' : 'what it is told';

    $load->fault(
        name   => "$lost is lost",
        lost   => 1,
        brief  => 1,
        begin  => sub { $old = $set->master; $set->cut_off($old, $way) },
        healed => sub { $set->wait_switch(from => $old) },
    );

    $load->fault(
        name  => "$lost arrives again",
        quiet => 1,
        begin => sub {
            $set->heal($old);
            ok($set->agree, "$lost arrives again: it follows the new master");
        },
    );
}

# A replica that lacks the last second: keys of sessions that were opened then,
# and of those that ended.

{
    my ($stream, $gone, $id);

    $load->fault(
        name   => 'the new master lacks the last second',
        lost   => 1,
        begin  => sub {
            $old = $set->master;
            $gone = open_stream($nginx[0]);

            my @held = map { $set->hold_replica($_) } $set->replicas;

            $stream = open_stream($nginx[0]);
            $id     = $gone->session;
            $gone->{conn}->close;
            ok(call($nginx[1], $stream, request(1, 'ping')),
                'a session that was opened in the last second is known');
            sleep_for(1);
            $old->kill9;
            $_->end(1) for @held;
        },
        healed => sub { $set->wait_switch(from => $old) },
        during => sub { ok(call($nginx[0], $stream, request(2, 'ping')),
            'it goes on while the master is dead') },
    );

    ok(call($nginx[1], $stream, request(3, 'ping')),
        'the new master knows the session of the last second');
    $stream->close;
}

$load->close;
$_->stop for @nginx;
$set->clean;
finish();
