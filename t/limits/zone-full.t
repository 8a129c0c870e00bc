# A full zone: new sessions are 503, messages that need room are 429, open
# streams go on, and the log warns.
# docs/PROTOCOL.md 3.17, 4.14, 7.33, 9.3, 9.4, 12.10.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $nginx = start_http(workers => 2, http => <<'EOT');
    mcp_sse_zone          zone=mcp_sse:1040k;
    mcp_sse_max_message   4k;
    mcp_sse_max_sessions  100000;
    mcp_sse_max_calls     100;
    mcp_sse_grace         1h;
EOT

my ($id, $busy) = map { session_id($nginx) } 1, 2;
my $stream  = open_stream($nginx);
my $owner   = $stream->header('X-Worker');
my ($other) = grep { $_ != $owner } $nginx->wait_workers;
my $own     = connect_worker($nginx, $owner);
my $foreign = connect_worker($nginx, $other);

ok(call($nginx, $stream, request(1, 'ping'), conn => $foreign),
    'a message from another worker is answered before the zone is full');
is(get($nginx, '/health?ready=1')->status, 200,
    'ready=1 is 200 before the zone is full');

# sessions that lost their stream stay for mcp_sse_grace

my ($refused, $n);

for (1 .. 400) {
    my @streams = open_streams($nginx, 50);

    $n += @streams;
    ($refused) = grep { ($_->status || 0) != 200 } @streams;
    $_->close for @streams;
    last if $refused;
}

ok($refused, "the zone refuses a session after $n sessions")
    or do { finish(); exit };

is($refused->status, 503, 'a new stream in a full zone is 503');
is($refused->header('Content-Type'), 'application/json',
    'the 503 of a full zone is JSON');
ok($refused->header('Retry-After'), 'the 503 of a full zone has Retry-After');
like($refused->body, qr/^\{"jsonrpc":"2\.0","id":null,"error":\{"code":-32003,/,
    'the 503 of a full zone has the code -32003');

my $ready = get($nginx, '/health?ready=1');

is($ready->status, 503, 'ready=1 is 503 while the zone is full');
is(get($nginx, '/health')->status, 200,
    '/health is 200 while the zone is full');
like(get($nginx, '/health')->body, qr/^\{"status":"degraded",
    "service":"frappe-assistant-core-sse-bridge","active_connections":\d+,
    "pending_requests":0,/x, 'the status of a full zone is degraded');

# messages for open sessions need room only at workers other than the owner

accepted(post($nginx, $stream, request(2, 'ping'), conn => $own),
    'a message that is posted at the owner is accepted in a full zone');
ok($stream->wait_answer(2),
    'a message that is posted at the owner is answered in a full zone');

my $post = post($nginx, $stream, tool(3, 'echo', { text => 'x' x 3000 }),
    conn => $foreign);

if ($post->status == 202) {
    ok($stream->wait_answer(3), 'a message that found room is answered');

} else {
    is_rejected($post, 429, -32004, 'Too many messages',
        'a message for another worker is 429 in a full zone');
    is($post->header('Retry-After'), 1, 'this 429 has "Retry-After: 1"');
    is(scalar $stream->answers(3), 0, 'a message that is 429 has no answer');
}

# ids in flight take the places of the size of an ended id that are left; an id
# that cannot be kept as ended stays good

my ($full, @calls);

for (1 .. 100) {
    push @calls, http_post($nginx, tool($_, 'hold', { gate => 'full' }),
        session => $busy, async => 1);
    connect_to($nginx)->get('/pid')->wait;
    last if $full = $calls[-1]->ended;
}

ok($full, 'ids in flight find no room any more');

is_rejected(http_delete($nginx, $id), 503, -32003,
    'No room for another ended session', 'DELETE is 503 in a full zone');
is(http_post($nginx, request(1, 'ping'), session => $id)->status, 200,
    'the session has not ended');
$_->{conn}->close for @calls;

my @warnings = $nginx->error_log =~ /\[warn\].*full/g;

cmp_ok(scalar @warnings, '>=', 1, 'the log warns of a full zone');
cmp_ok(scalar @warnings, '<', 20, 'the log has few warnings of a full zone');
like($nginx->error_log, qr/is full: sessions \d{3,} \(without a stream \d{3,}\)/,
    'the warning says how many sessions fill the zone');
unlike($nginx->error_log, qr/ngx_slab_alloc/,
    'the slab allocator of nginx logs nothing');
ok(!$stream->ended, 'an open stream stays open in a full zone');
$stream->close;

finish();
