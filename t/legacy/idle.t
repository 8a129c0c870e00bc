# mcp_sse_idle_timeout is counted from the last message, beside a recheck that
# comes in between.  docs/PROTOCOL.md 3.
#
# The clock of nginx is moved: no time of this test is short.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use Test::More;

my $clock = MCPTest::Clock->new;
my $nginx = do {
    local $ENV{LD_PRELOAD} = $clock->path;
    start_nginx(settings => <<'EOT');
    mcp_sse_call  /_mcp/call;
    mcp_sse_user  /_mcp/user;
    mcp_sse_site  erp.example.com;
    mcp_sse_keepalive     off;
    mcp_sse_auth_cache    1s;
    mcp_sse_auth_recheck  2000s;
    mcp_sse_idle_timeout  8000s;
EOT
};

my $silent = open_stream($nginx);
my $used   = open_stream($nginx);

$clock->advance(7000);
ok(call($nginx, $used, request(1, 'ping')), 'a message is answered');
ok(!$silent->ended && !$used->ended, 'no stream ends before its time');

$clock->advance(1001);
ok(run_until(sub { $silent->ended }), 'a stream without a message ends');
ok(health($nginx), 'the worker has ended all that was due');
ok(!$used->ended, 'one with a message 1001 s ago does not');

$clock->advance(6900);
ok(call($nginx, $used, request(2, 'tools/list')), 'nor before its time');
ok(!$used->ended, 'it is open');

$clock->advance(8001);
ok(run_until(sub { $used->ended }), 'it ends after its time');

finish();
