# A full zone refuses what needs room, and says so; what is open goes on.
# docs/PROTOCOL.md 3, 4 and 9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $nginx = start_nginx(workers => 2, http => <<'EOT');
    mcp_sse_zone          zone=mcp_sse:1040k;
    mcp_sse_max_message   4k;
    mcp_sse_max_sessions  100000;
    mcp_sse_grace         1h;
EOT

my $stream  = open_stream($nginx);
my $owner   = $stream->header('X-Worker');
my ($other) = grep { $_ != $owner } $nginx->wait_workers;
my $own     = connect_worker($nginx, $owner);
my $foreign = connect_worker($nginx, $other);

ok(call($nginx, $stream, request(1, 'ping'), conn => $foreign),
    'a message from another worker');
is(get($nginx, '/health?ready=1')->status, 200, 'ready');

# sessions that lost their stream stay for mcp_sse_grace

my ($refused, $n);

for (1 .. 400) {
    my @streams = open_streams($nginx, 50);

    $n += @streams;
    ($refused) = grep { ($_->status || 0) != 200 } @streams;
    $_->close for @streams;
    last if $refused;
}

ok($refused, "full after $n sessions") or do { finish(); exit };

is($refused->status, 503, 'GET: 503');
is($refused->header('Content-Type'), 'application/json', 'in JSON');
ok($refused->header('Retry-After'), 'with Retry-After');
like($refused->body, qr/^\{"jsonrpc":"2\.0","id":null,"error":\{"code":-32003,/,
    '-32003');

my $ready = get($nginx, '/health?ready=1');

is($ready->status, 503, 'not ready');
is(get($nginx, '/health')->status, 200, 'but healthy enough');
like(get($nginx, '/health')->body, qr/^\{"status":"degraded",
    "service":"frappe-assistant-core-sse-bridge","active_connections":\d+,
    "pending_requests":0,/x, 'with a reason');

# messages for open sessions: no room is needed at the owner, some elsewhere

accepted(post($nginx, $stream, request(2, 'ping'), conn => $own),
    'a message that lands at its owner');
ok($stream->wait_answer(2), 'is answered');

my $post = post($nginx, $stream, tool(3, 'echo', { text => 'x' x 3000 }),
    conn => $foreign);

if ($post->status == 202) {
    ok($stream->wait_answer(3), 'another worker found room');

} else {
    is_rejected($post, 429, -32004, 'Too many messages',
        'a message for another worker');
    is($post->header('Retry-After'), 1, 'with Retry-After: 1');
    is(scalar $stream->answers(3), 0, 'it did not run');
}

my @warnings = $nginx->error_log =~ /\[warn\].*full/g;

cmp_ok(scalar @warnings, '>=', 1, 'the log warns');
cmp_ok(scalar @warnings, '<', 20, 'now and then');
like($nginx->error_log, qr/is full: sessions \d{3,} \(without a stream \d{3,}\)/,
    'and says of what it is full');
unlike($nginx->error_log, qr/ngx_slab_alloc/, 'the allocator does not');
ok(!$stream->ended, 'the stream stays');
$stream->close;

finish();
