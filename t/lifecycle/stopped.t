# A worker at its hard end, which is here two seconds after a reload: what it
# still reads is refused, what waits is answered.  docs/PROTOCOL.md 3.18, 4.16,
# 12.4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Metrics qw(counters);
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(http => 'mcp_sse_drain 1s; mcp_sse_call_timeout 2s; '
    . 'mcp_sse_grace 300s; mcp_sse_auth_cache 300s; '
    . 'client_header_timeout 300s; client_body_timeout 300s;');

my $lost   = open_stream($nginx);
my $stream = open_stream($nginx);
my $id     = session_id($nginx);
my $auth   = 'Authorization: ' . MCPTest::credential();

$lost->close;
run_until(sub { health($nginx)->{active_connections} == 1 });


# A request whose last line of headers has not come.

sub begin {
    my ($method, $path, $body, @lines) = @_;

    my $conn     = connect_to($nginx);
    my $response = MCPTest::Response->new(method => $method, sent => now());

    push @{ $conn->{queue} }, $response;
    $conn->send_raw(join "\r\n", "$method $path HTTP/1.1",
        'Host: erp.example.com', $auth, @lines, '');
    $response->{conn} = $conn;
    $response->{rest} = 'Content-Length: ' . length($body || '') . "\r\n\r\n"
        . ($body || '');

    return $response;
}


my $ping  = request(1, 'ping');
my $list  = request(1, 'tools/list');
my @id    = ("Mcp-Session-Id: $id");
my @cases = (
    [ 'GET /mcp/sse', 'Server is stopping', begin('GET', '/mcp/sse') ],
    [ 'HEAD /mcp/sse', undef, begin('HEAD', '/mcp/sse') ],
    [ 'GET /mcp', 'Server is stopping', begin('GET', '/mcp', undef, @id) ],
    [ 'a ping to /mcp/messages', 'Backend unavailable',
        begin('POST', $stream->endpoint, $ping) ],
    [ 'a call to /mcp/messages', 'Backend unavailable',
        begin('POST', $stream->endpoint, $list) ],
    [ 'a ping to /mcp', 'Backend unavailable', begin('POST', '/mcp', $ping) ],
    [ 'a call to /mcp', 'Backend unavailable',
        begin('POST', '/mcp', $list, @id) ],
);

# a POST that waits for its stream, and one that waits for Frappe

my $held = post($nginx, $lost, $list, async => 1);
my $call = http_post($nginx, tool(7, 'hold', { gate => 'never' }),
    async => 1, accept => 'application/json');
my $open = http_post($nginx, tool(8, 'hold', { gate => 'never' }),
    async => 1, accept => 'text/event-stream');

run_until(sub { $frappe->tool_count('hold') == 2
    && health($nginx)->{pending_requests} == 1 });

$frappe->reset;

my @old = $nginx->reload;

$held->wait;
is_rejected($held, 503, -32003, 'Server is stopping',
    'a POST that waits for its stream is 503');
is($held->json->{error}{data}{executed}, 'no', 'it was not executed');
is($held->header('Retry-After'), 1, 'it has Retry-After');

for my $case (@cases) {
    my ($name, $text, $response) = @$case;

    $response->{conn}->send_raw($response->{rest});
    $response->wait;

    is($response->status, 503, "$name: 503");
    is($response->header('Retry-After'), 1, "$name: Retry-After");
    is_rejected($response, 503, -32003, $text, "$name: the error")
        if defined $text;
}

$_->wait for $call, $open;

like($call->body, qr/"id":7,"error":\{"code":-320(?:08|10),/,
    'a POST that waits for Frappe is answered');
like($open->answer, qr/"id":8,"error":\{"code":-320(?:08|10),/,
    'and so is one whose answer is a stream');
is($stream->wait_ended, 'clean', 'the stream has ended');
is($frappe->calls, 0, 'nothing was called after the reload');
is(health($nginx)->{active_connections}, 0, 'no stream is open');

$_->[2]{conn}->close for @cases;
ok($nginx->wait_gone(\@old), 'the worker ends when the clients have left');

# a POST whose message is at another instance, which does not acknowledge it

SKIP: {
    skip 'no redis-server', 4 unless MCPTest::Redis::binary();

    my $redis = start_redis();
    my ($here, $there) = start_instances(2, redis => $redis, workers => 1,
        http => 'mcp_sse_drain 1s; mcp_sse_call_timeout 2s; '
            . 'mcp_sse_grace 300s;');

    my $far     = open_stream($there);
    my ($owner) = $there->wait_workers;

    ok(call($here, $far, request(1, 'ping')), 'a message goes to its owner');

    kill STOP => $owner;

    my $before = counters($here)->{redis_sent};
    my $sent   = post($here, $far, request(2, 'ping'), async => 1);

    run_until(sub { counters($here)->{redis_sent} > $before });

    my @gone = $here->reload;

    $sent->wait;
    is_unavailable($sent, 'unknown', 'a POST that was sent is "unknown"');
    like($sent->body, qr/"message":"Server is stopping"/,
        'and says that the server is stopping');

    kill CONT => $owner;
    ok($here->wait_gone(\@gone), 'the worker ends');
    $far->close;
}

finish();
