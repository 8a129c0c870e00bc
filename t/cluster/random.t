# More that can happen to a connection to Redis, and all of it at random.

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
        my $text = 'x' x 150_000;
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
