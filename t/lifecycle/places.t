# Workers of many reloads, held by long calls, take all places in the zone: a
# worker without a place runs, answers 503, and serves as soon as an old worker
# has ended.  docs/PROTOCOL.md 12.18.
#
# The module of this test has 6 places instead of 1024.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Build;
use MCPTest::HTTP;
use MCPTest::Metrics qw(gauge);
use Test::More;

my $module = MCPTest::Build->new('shm/ngx_mcp_zone_conf',
    'NGX_MCP_ZONE_CONF_MIN_WORKERS=6', 'NGX_MCP_ZONE_CONF_RELOADS=1');

my $frappe = start_frappe();
my $redis  = MCPTest::Redis::binary() ? start_redis() : undef;
my $nginx  = start_nginx(workers => 2, redis => $redis,
    http => 'mcp_sse_drain 1h;',
    locations => 'location = /mcp { mcp_sse_http; }',
    config => sub { $module->config($_[0]->template) });

my $few = qr/\[warn\] .*has (\d+) free places for worker processes of 6/;
my @streams;


# A call at each worker that ends when the gate opens.

sub hold {
    my ($gate) = @_;

    my @new = map { open_stream($nginx, worker => $_) } $nginx->wait_workers;

    accepted(post($nginx, $_, tool(1, 'hold', { gate => $gate })),
        "a call of generation $gate is accepted") for @new;
    run_until(sub { $frappe->tool_count('hold') >= @streams + @new });

    push @streams, @new;

    return;
}


sub refused {
    my ($response, $name) = @_;

    is_rejected($response, 503, -32003, 'Worker is not ready', $name);
    is($response->header('Retry-After'), 1, "$name: Retry-After");
    like($nginx->error_log, qr/refused\ with\ 503,\ "Worker\ is\ not\ ready":
        \ this\ worker\ process\ has\ no\ place\ in\ mcp_sse_zone\ yet/x,
        "$name: the log says why");

    return;
}


wait_ready($nginx) if $redis;

hold(1);
$nginx->reload;
is(($nginx->wait_log($few))[1], 4, 'a reload warns that few places are free');

hold(2);
$nginx->reload;
hold(3);

my @last = $nginx->wait_workers;

is(gauge($nginx, 'workers'), 6, 'six workers have all places');

$nginx->reload;

my @without = $nginx->wait_workers;

is(scalar @without, 2, 'two workers without a place run');
ok($nginx->wait_log(qr/\[error\] .*all 6 places for worker processes in /),
    'the log says that all places are taken');

for my $pid (@without) {
    my $conn = connect_worker($nginx, $pid);

    refused(open_stream($nginx, conn => $conn), 'a new stream');

    my $message = post($nginx, $streams[0], request(2, 'ping'),
        worker => $pid);

    refused($message, 'a message');
    refused(http_post($nginx, request(1, 'ping'),
        conn => connect_worker($nginx, $pid)), 'a POST of Streamable HTTP');
}

my $health = get($nginx, '/health?ready=1');

is($health->status, 503, '/health?ready=1 is 503');
is($health->json->{reason}, 'worker has no place in the zone',
    '/health gives the reason');
is(gauge($nginx, 'workers'), 6, '/metrics is answered');

# generation 1 ends

$frappe->open_gate(1);
ok($_->wait_answer(1), 'a call of the oldest worker is answered')
    for @streams[0, 1];
$_->close for @streams[0, 1];

ok($nginx->wait_log(qr/this worker has a place in mcp_sse_zone now/),
    'a worker gets the place of an old one');
ok(run_until(sub { ready($nginx) && ready($nginx) && ready($nginx) }),
    'the instance is ready');

for my $pid (@without) {
    my $stream;

    ok(run_until(sub {
        $stream = open_stream($nginx, worker => $pid);
        return $stream->session || !$stream->close;
    }), 'a stream opens at a worker that had no place');
    ok(call($nginx, $stream, request(1, 'ping')),
        'a message for it is answered');
    ok(call($nginx, $streams[2], request(3, 'ping'), worker => $pid),
        'it delivers a message to an old worker');
    $streams[2]->forget(3);
    $stream->close;
}

is_deeply([ $nginx->wait_workers ], \@without, 'they are the same processes');
unlike($nginx->error_log, qr/cannot be respawned|with fatal code/,
    'no worker process has ended with an error');

# workers that nginx does not replace are found dead, also side by side

my @dead = grep { my $pid = $_; !grep { $_ == $pid } @without, @last }
    $nginx->worker_pids(exiting => 1);

$nginx->kill_worker($_) for @dead;
ok(run_until(sub { gauge($nginx, 'workers') == 4 }),
    'two dead workers leave their places');

$frappe->open_gate($_) for 2, 3;
ok($_->wait_answer(1), 'a call of another old worker is answered')
    for @streams[4, 5];
$_->close for @streams[2 .. 5];
ok(run_until(sub {
    return $nginx->worker_pids(exiting => 1) == 2;
}), 'the old workers end');
ok(run_until(sub { gauge($nginx, 'workers') == 2 }),
    'the new workers have a place each');

finish();
