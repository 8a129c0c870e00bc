# Messages of another instance that wait for their turn leave nothing behind when
# they are cancelled but the numbers of their packets, although the time in which
# their acknowledgements had to arrive is not over.  docs/PROTOCOL.md 6.19.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Memory;
use MCPTest::Metrics qw(gauge);
use Test::More;

MCPTest::Redis::need();

my $memory = MCPTest::Memory->new;
my $frappe = start_frappe();
my $redis  = start_redis();

my ($here, $there) = do {
    local $ENV{LD_PRELOAD} = $memory->path;
    start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 300s; mcp_sse_max_calls 1;');
};

my $stream = open_stream($here);
my $conn   = connect_to($there);
my ($pid)  = $here->wait_workers;

post($there, $stream, tool(1, 'hold', { gate => 'first' }), conn => $conn);
ok(run_until(sub { gauge($here, 'calls_running') == 1 }), 'a call runs');

my $id = 1;


# 20 messages that wait, and are cancelled.

sub waiting {
    my $from = $id;

    post($there, $stream, tool(++$id, 'echo', {}), conn => $conn) for 1 .. 20;
    ok(run_until(sub { gauge($here, 'messages_waiting') == 20 }),
        'messages of another instance wait');
    post($there, $stream, notification('notifications/cancelled',
        { requestId => $_ }), conn => $conn) for $from + 1 .. $id;
    ok(run_until(sub { gauge($here, 'messages_waiting') == 0 }),
        'they are cancelled');

    return;
}


waiting();

my $before = $memory->blocks($pid);

waiting();

# 40 packets, each with an entry of the replay window until it expires; another
# block of each message would make 20 more

ok(run_until(sub { $memory->blocks($pid) < $before + 60 }, 10),
    'no message of them is left')
    or diag($before, ' ', $memory->blocks($pid));

$frappe->open_gate('first');
ok($stream->wait_answer(1), 'the first call is answered');
ok(!(grep { $stream->answers($_) } 2 .. $id), 'and no other one');
$_->close for $stream, $conn;

finish();
