# Limits of sessions, messages and calls are those of each instance, also of
# instances that share their sessions.  docs/PROTOCOL.md 11.15.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my @all    = start_instances(2, redis => start_redis(), locations =>
    'location = /mcp { mcp_sse_http; }', http => <<'EOT');
    mcp_sse_max_sessions 2;
    mcp_sse_max_calls    1;
    mcp_sse_max_inbox    1;
EOT

ok(wait_ready(@all), 'two instances are ready');

# sessions of a user

for my $n (0, 1) {
    my @streams = map { open_stream($all[$n]) } 1 .. 2;

    is(scalar(grep { $_->session } @streams), 2,
        "instance $n has as many sessions of a user as are allowed");
    is_rejected(open_stream($all[$n]), 429, -32004, 'Too many sessions',
        'one more is refused');
}

# calls that run, and those that wait, of one session

my $id = session_id($all[0]);
my @posts;

for my $n (0, 1) {
    my $send = sub {
        push @posts, http_post($all[$n], tool(10 * $n + $_[0], 'hold',
            { gate => 'limits' }), session => $id, async => 1);
    };
    my $calls = $frappe->tool_count('hold');

    $send->(1);
    ok(run_until(sub { $frappe->tool_count('hold') == $calls + 1 }),
        "instance $n runs a call of the session");
    $send->(2);
    ok(run_until(sub { health($all[$n])->{pending_requests} == 1 }),
        'and lets another one wait');
    is($frappe->tool_count('hold'), $calls + 1, 'which does not run');
    is_rejected(http_post($all[$n], request(9, 'tools/list'),
        session => $id), 429, -32004, 'Too many messages',
        'one more is refused');
}

$frappe->open_gate('limits');
$_->wait for @posts;
is(join(' ', map { $_->status } @posts), '200 200 200 200',
    'those that were accepted are answered');

finish();
