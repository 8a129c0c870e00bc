# Redis does not answer and does not close its connections: it is stopped, or
# the network holds what is sent.  No worker waits for it.
# docs/PROTOCOL.md 11.6.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();

# Redis counts as lost long before the keys of the instances expire

my $patience = 'timeout=2s connect_timeout=2s';

# Redis is stopped for 10 seconds

{
    my $redis = start_redis();
    my @nginx = start_instances(2, redis => $redis, workers => 2,
        redis_opt => $patience, http => 'mcp_sse_grace 10s;');
    my $load  = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
        rate => 60);

    $load->fault(
        name    => 'Redis is stopped for 10 seconds',
        lost    => 1,
        seconds => 10,
        begin   => sub { $redis->pause },
        during  => sub {
            # Redis goes on only after this

            my $stream = open_stream($nginx[0]);

            ok($stream->session, 'a stream opens while Redis is stopped');
            ok(call($nginx[0], $stream, tool(1, 'echo', {})),
                'a call on a new stream is answered while Redis is stopped');
            $stream->close;
        },
        end     => sub { $redis->cont },
    );

    # shorter than any time-out

    $load->fault(
        name    => 'Redis is stopped for 200 ms',
        seconds => 1,
        quiet   => 1,
        begin   => sub { $redis->pause; sleep_for(0.2); $redis->cont },
    );

    $load->close;
}

# the network passes one direction only

for my $way (qw(up down)) {
    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my @nginx = map { start_nginx(redis => $redis->url(port => $proxy->port),
        redis_opt => $patience, http => 'mcp_sse_grace 10s;') } 1, 2;

    wait_ready(@nginx);

    my $load  = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
        rate => 40);

    $load->fault(
        name    => $way eq 'up' ? 'commands are held' : 'replies are held',
        lost    => 1,
        seconds => 4,
        begin   => sub { $proxy->pause($way) },
        end     => sub { $proxy->resume },
    );

    $load->close;
    $_->stop for @nginx;
    $proxy->stop;
}

finish();
