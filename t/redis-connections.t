# Connections to Redis end, replies are lost, scripts are forgotten, while
# clients go on.

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
    http => 'mcp_sse_grace 2s;') } 1, 2;

ok(wait_ready(@nginx), 'two instances, through a proxy');

my $load = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
    rate => 60);

# a connection that was killed is made again, and a message that was on its
# way is sent again within the grace: clients need not notice

for my $name (qw(mcp-sse-cmd mcp-sse-sub)) {
    $load->fault(
        name  => "$name is killed",
        begin => sub {
            for (1 .. 3) {
                cmp_ok($redis->kill_clients(name => $name), '>', 0,
                    "$name: killed");
                sleep_for(0.7);
            }
        },
    );
}

# a reset in the middle of everything

$load->fault(
    name    => 'connections are reset',
    seconds => 3,
    begin   => sub {
        for (1 .. 3) {
            $proxy->cut(reset => 1);
            sleep_for(0.8);
        }
    },
);

# commands run, and their replies are lost: what is sent again runs once

$load->fault(
    name    => 'replies are lost',
    seconds => 3,
    begin   => sub {
        $proxy->lose('down');
        sleep_for(0.4);
        $proxy->cut(reset => 1);
        $proxy->resume;
    },
);

# replies come late: the same message is sent twice

$load->fault(
    name    => 'replies are late',
    seconds => 3,
    begin   => sub { $proxy->delay(down => 0.8) },
    end     => sub { $proxy->delay(down => 0) },
);

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

# whoever does not read its messages fast enough is cut off by Redis

$redis->cmd('CONFIG', 'SET', 'client-output-buffer-limit',
    'pubsub 64kb 64kb 1');

$load->fault(
    name    => 'output buffer limit',
    seconds => 3,
    begin   => sub {
        my $text = 'x' x 400_000;
        my ($stream) = grep { $_->{nginx} == $nginx[0] } $load->streams;

        $proxy->pause('down');
        $load->history->call($nginx[1], $stream,
            arguments => { text => $text }) for 1 .. 4;
        sleep_for(0.5);
        $proxy->resume;
    },
    wait    => 15,
);

$redis->cmd('CONFIG', 'SET', 'client-output-buffer-limit',
    'pubsub 32mb 8mb 60');

# nothing is left of all these connections

ok(run_until(sub {
    my %n;

    $n{ $_->{name} }++ for $redis->clients;
    return ($n{'mcp-sse-cmd'} || 0) == 2 && ($n{'mcp-sse-sub'} || 0) == 2
        && keys %n == 2;
}, 10), 'two connections per worker, as at first')
    or diag(explain([ map { $_->{name} } $redis->clients ]));

# many of them, at random: the seed is printed, SEED=N repeats it

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
