# Redis refuses writes for a while, because it has no memory or has become a
# replica, while clients post.  docs/PROTOCOL.md 11.5, 11.10.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();

# Redis has no memory, then it has some again

{
    my $redis = start_redis(maxmemory_policy => 'noeviction');
    my @nginx = start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 10s;');
    my $load  = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
        rate => 50);

    $load->fault(
        name    => 'maxmemory',
        seconds => 4,
        begin   => sub {
            $redis->cmd('CONFIG', 'SET', 'maxmemory', '1mb');
        },
        during  => sub {
            my $stream = open_stream($nginx[0]);

            ok($stream->session, 'maxmemory: a stream opens');
            ok(call($nginx[0], $stream, request(1, 'ping')),
                'maxmemory: a ping on a new stream is answered');
            $stream->close;
        },
        end     => sub { $redis->cmd('CONFIG', 'SET', 'maxmemory', '0') },
    );

    $load->close;
}

# a master becomes a replica, then a master again, as in a failover

{
    my $redis = start_redis();
    my $other = start_redis();
    my @nginx = start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 10s;');
    my $load  = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
        rate => 50);

    $load->fault(
        name    => 'Redis becomes a replica',
        lost    => 1,
        seconds => 4,
        begin   => sub { $redis->replica_of($other) },
        end     => sub { $redis->replica_of(undef) },
    );

    $load->close;
}

finish();
