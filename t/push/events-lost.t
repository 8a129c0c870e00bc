# The Redis of mcp_sse_events: it is lost, and back without a restart; calls go
# on.  docs/PROTOCOL.md 16.2 to 16.4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Push;
use MCPTest::Redis ();
use Test::More;

my $redis = start_redis();
my $nginx = start_push(push => $redis, mcp => '', workers => 2);

$nginx->allow(qr/mcp_sse_events: redis/);

my $health = sub { return get($nginx, '/health')->body };

is(subscribers($redis), 2, 'each worker subscribes');
unlike($health->(), qr/events/, '/health is well');
like(get($nginx, '/metrics')->body, qr/^nginx_mcp_sse_events_up 2$/m,
    'the gauge counts the workers');

# ---- nobody may end it by what he publishes

publish_raw($redis, 'x' x 3_000_000);
ok(run_until(sub { metrics($nginx)->{
    'nginx_mcp_sse_events_total{result="too_large"}'} }),
    'what is too large is counted');
ok($nginx->wait_log(qr/has published is dropped: it has 3000000 bytes/),
    'and logged');
is(subscribers($redis), 2, 'the connections stay');

# ---- killed

$redis->kill9;

ok($nginx->wait_log(qr/mcp_sse_events: redis "[^"]+" is lost: [^\n]*calls go /),
    'one line says what it means');
ok(run_until(sub { $health->() =~ /"reason":"events is lost"/ }),
    '/health says it');
is(get($nginx, '/health?ready=1')->status, 200, 'the instance is ready');

like(http_post($nginx, tool(1, 'echo', { text => 'a' }))->body, qr/"result"/,
    'calls go on');

$redis->restart;

ok(wait_push($nginx), 'it is back without a restart');
is(subscribers($redis), 2, 'both workers have subscribed again');
unlike($health->(), qr/events/, '/health is well again');

finish();
