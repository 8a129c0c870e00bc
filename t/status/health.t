# /health: status, members, counts, and what it says of an exiting worker.
# docs/PROTOCOL.md 1.8, 1.9, 9.1 to 9.5.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 2, stream => 'mcp_sse_max_calls 1;',
    http => 'mcp_sse_grace 10s;');

my $got = get($nginx, '/health');

is($got->status, 200, '/health is 200');
is($got->header('Content-Type'), 'application/json', '/health is JSON by type');
like($got->body, qr/\A\{"status":"healthy",
    "service":"frappe-assistant-core-sse-bridge",
    "active_connections":0,"pending_requests":0,
    "version":"\d+\.\d+\.\d+[^"]*"[^\n]*\}\n?\z/x,
    '/health begins with the five members in their order');
is(ref $got->json, 'HASH', '/health is a JSON object');

# a trailing slash, a bad credential, arguments

is(get($nginx, '/health/')->body, $got->body, '/health/ answers as /health');
is(get($nginx, '/health', headers => [ Authorization => 'x y z' ])->status,
    200, '/health with a bad credential is 200');
is(get($nginx, '/health?ready=1')->status, 200, 'ready=1 is 200');
is(get($nginx, '/health?ready=strict')->status, 200, 'ready=strict is 200');
is(get($nginx, '/health?x=y')->status, 200, 'unknown arguments are ignored');
is($frappe->stats->{requests}, 0, '/health sends no request to Frappe');

my $head = get($nginx, '/health', method => 'HEAD');

is($head->status, 200, 'HEAD /health is 200');
is($head->body, '', 'HEAD /health has no body');

# the counts are the same at every worker

my @workers = $nginx->wait_workers;
my @streams = map { open_stream($nginx, worker => $workers[$_ % 2]) } 1 .. 6;

for my $worker (@workers) {
    my $conn = connect_worker($nginx, $worker);

    is($conn->get('/health')->json->{active_connections}, 6,
        "worker $worker counts the 6 streams of both workers");
    $conn->close;
}

post($nginx, $streams[0], tool($_, 'hold', { gate => 'first' })) for 1 .. 4;

ok(run_until(sub { health($nginx)->{pending_requests} == 3 }),
    'pending_requests counts the calls that wait');

for my $worker (@workers) {
    my $conn = connect_worker($nginx, $worker);

    is($conn->get('/health')->json->{pending_requests}, 3,
        "worker $worker counts the pending requests of both workers");
    $conn->close;
}

$frappe->open_gate('first');
$streams[0]->wait_answer(4);
is(health($nginx)->{pending_requests}, 0,
    'pending_requests is 0 after the answers');

$streams[$_]->close for 1 .. 3;
ok(run_until(sub { health($nginx)->{active_connections} == 3 }),
    'active_connections does not count clients that leave');

my $held = post($nginx, $streams[1], request(1, 'ping'), async => 1);

ok(run_until(sub { health($nginx)->{pending_requests} == 1 }),
    'pending_requests counts a message that waits for its stream');
$held->wait;
is(health($nginx)->{pending_requests}, 0,
    'pending_requests is 0 after mcp_sse_grace');

# a reload

post($nginx, $streams[4], tool(1, 'hold', { gate => 'reload' }));
$nginx->reload;
cmp_ok(health($nginx)->{active_connections}, '>=', 1,
    'active_connections counts streams of exiting workers');
$frappe->open_gate('reload');

run_until(sub { !grep { !$_->ended } @streams });
ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
    'active_connections is 0 when these streams have ended');

my $new = open_stream($nginx);

is(health($nginx)->{active_connections}, 1,
    'active_connections counts streams of new workers');

# Frappe is down

$frappe->set(down => '503');
is(health($nginx)->{status}, 'healthy', '/health is healthy without Frappe');
$frappe->reset;
$new->close;

# an exiting worker, by a request that began before the reload

{
    my $nginx  = start_nginx(http => 'mcp_sse_drain 1s;');
    my $stream = open_stream($nginx);

    post($nginx, $stream, tool(1, 'hold', { gate => 'exiting' }));

    my @asked = map { [ $_, connect_to($nginx) ] } '/health',
        '/health?ready=1', '/health?ready=strict';

    my @responses = map {
        my ($path, $conn) = @$_;
        my $response = MCPTest::Response->new(method => 'GET', sent => now());

        push @{ $conn->{queue} }, $response;
        $conn->send_raw("GET $path HTTP/1.1\r\nHost: erp.example.com\r\n");
        $response;
    } @asked;

    # the one worker has read these when it answers a later request

    get($nginx, '/health');

    my @old = $nginx->reload;

    is(get($nginx, '/health?ready=1')->status, 200,
        'ready=1 is 200 at the new worker after a reload');
    $_->[1]->send_raw("\r\n") for @asked;
    $_->wait for @responses;

    is($responses[0]->status, 200, '/health is 200 at an exiting worker');
    is($responses[1]->status, 503, 'ready=1 is 503 at an exiting worker');
    is($responses[2]->status, 503, 'ready=strict is 503 at an exiting worker');
    is($responses[0]->header('X-Worker'), $stream->header('X-Worker'),
        'the exiting worker itself answers /health');
    $_->[1]->close for @asked;
    $frappe->open_gate('exiting');
    ok($stream->wait_answer(1), 'the call of the exiting worker is answered');
    ok($nginx->wait_gone(\@old), 'the exiting worker ends');
    $stream->close;
}

finish();
