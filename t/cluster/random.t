# SCRIPT FLUSH, a subscriber that Redis disconnects, and faults of the
# connections to Redis at random, while clients post.
# docs/PROTOCOL.md 4.22, 11.7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my $proxy  = MCPTest::Proxy->new(port => $redis->port);
my @nginx  = map { start_nginx(redis => $redis->url(port => $proxy->port),
    http => 'mcp_sse_grace 10s; mcp_sse_zone zone=mcp_sse:32m;') } 1, 2;

ok(wait_ready(@nginx), 'two instances reach Redis through a proxy');

my $load = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
    rate => 60);

$load->fault(
    name  => 'SCRIPT FLUSH',
    quiet => 1,
    begin => sub {
        for (1 .. 10) {
            $redis->cmd('SCRIPT', 'FLUSH');
            sleep_for(0.1);
        }
    },
);

# Redis disconnects a subscriber that does not read fast enough

sub subscribed {
    return grep { $_->{name} eq 'mcp-sse-sub' } $redis->clients;
}


# Sets how much output Redis keeps for a subscriber.

sub limit {
    my ($limit) = @_;

    $redis->cmd('CONFIG', 'SET', 'client-output-buffer-limit',
        "pubsub $limit");

    return;
}


$load->fault(
    name    => 'output buffer limit',
    seconds => 3,
    begin   => sub {
        my $text = 'x' x 300_000;
        my @at   = grep { $_->{nginx} == $nginx[0] } $load->streams;

        # a small receive buffer: the kernel keeps little of what is not read

        $proxy->rcvbuf(4096);
        $redis->kill_clients(name => 'mcp-sse-sub');
        ok(run_until(sub { subscribed() == 2 }),
            'both workers subscribe again');
        $proxy->rcvbuf(undef);
        limit('64kb 64kb 1');

        # post until Redis has disconnected a subscriber that does not read

        my @before = subscribed();
        my %port   = map { $_->{addr} =~ /:(\d+)\z/ ? ($1 => 1) : () }
            @before;

        $_->pause for grep { $port{ $_->port } } $proxy->pairs;
        $load->history->call($nginx[1], $at[$_ % @at],
            arguments => { text => $text }) for 1 .. 8;
        ok(run_until(sub {
            my %now = map { $_->{id} => 1 } subscribed();
            return grep { !$now{ $_->{id} } } @before;
        }), 'Redis disconnects a subscriber that does not read');
        limit('32mb 8mb 60');
        $proxy->resume;
        $redis->kill_clients(name => 'mcp-sse-sub');
    },
);

# faults at random: the seed is printed, SEED=N repeats the run

{
    my $seed = $ENV{SEED} || int rand 1e6;

    srand $seed;

    my @faults = (
        sub { $redis->kill_clients(name => 'mcp-sse-cmd') },
        sub { $redis->kill_clients(name => 'mcp-sse-sub') },
        sub { $proxy->cut(reset => 1) },
        sub { $proxy->lose('down'); sleep_for(0.1);
              $proxy->cut; $proxy->resume },
        sub { $proxy->delay(down => 0.3); sleep_for(0.3);
              $proxy->delay(down => 0) },
        sub { $redis->cmd('SCRIPT', 'FLUSH') },
        sub { $redis->pause; sleep_for(0.3); $redis->cont },
        sub { $redis->cmd('FLUSHALL') },
    );

    $load->fault(
        name  => "faults at random (SEED=$seed)",
        begin => sub {
            for (1 .. 12) {
                $faults[ rand @faults ]->();
                sleep_for(rand 0.5);
            }
        },
    );
}

$load->close;
$_->stop for @nginx;
finish();
