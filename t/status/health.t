# /health: shape, counts.  docs/PROTOCOL.md 9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 2, stream => 'mcp_sse_max_calls 1;',
    http => 'mcp_sse_grace 10s;');

my $got = get($nginx, '/health');

is($got->status, 200, 'status');
is($got->header('Content-Type'), 'application/json', 'Content-Type');
like($got->body, qr/\A\{"status":"healthy",
    "service":"frappe-assistant-core-sse-bridge",
    "active_connections":0,"pending_requests":0,
    "version":"\d+\.\d+\.\d+[^"]*"[^\n]*\}\n?\z/x, 'first members');
is(ref $got->json, 'HASH', 'JSON');

# without a credential, with a bad one, with arguments

is(get($nginx, '/health/')->body, $got->body, 'trailing slash');
is(get($nginx, '/health', headers => [ Authorization => 'x y z' ])->status,
    200, 'a bad credential does not matter');
is(get($nginx, '/health?ready=1')->status, 200, 'ready=1');
is(get($nginx, '/health?ready=strict')->status, 200, 'ready=strict');
is(get($nginx, '/health?x=y')->status, 200, 'unknown arguments');
is($frappe->stats->{requests}, 0, 'Frappe is not asked');

my $head = get($nginx, '/health', method => 'HEAD');

is($head->status, 200, 'HEAD');
is($head->body, '', 'HEAD: no body');

# counts, the same from every worker

my @workers = $nginx->wait_workers;
my @streams = map { open_stream($nginx, worker => $workers[$_ % 2]) } 1 .. 6;

for my $worker (@workers) {
    my $conn = connect_worker($nginx, $worker);

    is($conn->get('/health')->json->{active_connections}, 6,
        "6 streams, asked at $worker");
    $conn->close;
}

post($nginx, $streams[0], tool($_, 'hold', { gate => 'first' })) for 1 .. 4;

ok(run_until(sub { health($nginx)->{pending_requests} == 3 }),
    'calls that wait for a place are pending');

for my $worker (@workers) {
    my $conn = connect_worker($nginx, $worker);

    is($conn->get('/health')->json->{pending_requests}, 3,
        "also asked at $worker");
    $conn->close;
}

$frappe->open_gate('first');
$streams[0]->wait_answer(4);
is(health($nginx)->{pending_requests}, 0, 'answered: none pending');

$streams[$_]->close for 1 .. 3;
ok(run_until(sub { health($nginx)->{active_connections} == 3 }),
    '3 streams leave');

my $held = post($nginx, $streams[1], request(1, 'ping'), async => 1);

ok(run_until(sub { health($nginx)->{pending_requests} == 1 }),
    'a held message is pending');
$held->wait;
is(health($nginx)->{pending_requests}, 0, 'and no more after the grace');

# across a reload

post($nginx, $streams[4], tool(1, 'hold', { gate => 'reload' }));
$nginx->reload;
cmp_ok(health($nginx)->{active_connections}, '>=', 1,
    'streams of exiting workers count');
$frappe->open_gate('reload');

run_until(sub { !grep { !$_->ended } @streams });
ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
    'until they end');

my $new = open_stream($nginx);

is(health($nginx)->{active_connections}, 1, 'new ones count');

# while Frappe is down it is healthy all the same

$frappe->set(down => '503');
is(health($nginx)->{status}, 'healthy', 'Frappe down: healthy');
$frappe->reset;
$new->close;

# asked of a worker that exits: a request begun before the reload

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

    # the one worker has read them when it answers what came later

    get($nginx, '/health');

    my @old = $nginx->reload;

    is(get($nginx, '/health?ready=1')->status, 200,
        'a reload: the new worker is ready');
    $_->[1]->send_raw("\r\n") for @asked;
    $_->wait for @responses;

    is($responses[0]->status, 200, 'an exiting worker is healthy');
    is($responses[1]->status, 503, 'but not ready');
    is($responses[2]->status, 503, 'strictly not');
    is($responses[0]->header('X-Worker'), $stream->header('X-Worker'),
        'it was the exiting one');
    $_->[1]->close for @asked;
    $frappe->open_gate('exiting');
    ok($stream->wait_answer(1), 'its call ends');
    ok($nginx->wait_gone(\@old), 'and it goes');
    $stream->close;
}

finish();
