# What happens after minutes: which idle stream ends for a new one, how long an
# announcement is kept for a worker that is stopped, how many are kept, and in
# which bucket a long call counts.  docs/PROTOCOL.md 3.15, 7.22, 7.30, 9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use MCPTest::HTTP;
use MCPTest::Memory;
use MCPTest::Metrics qw(gauge);
use Test::More;

my $clock  = MCPTest::Clock->new;
my $frappe = start_frappe();
my $start  = sub {
    local $ENV{LD_PRELOAD} = $clock->path;
    return start_http(@_);
};

# ---- the stream that is idle longest ends, if it is so for 10 minutes

{
    my $nginx = $start->(settings => <<'EOT', locations => <<'EOT2');
    mcp_sse_call  /_mcp/long;
    mcp_sse_user  /_mcp/user;
    mcp_sse_site  erp.example.com;
    mcp_sse_max_sessions  4;
    mcp_sse_max_calls     1;
    mcp_sse_call_timeout  3h;
    mcp_sse_auth_cache    3h;
    mcp_sse_auth_stale    3h;
    mcp_sse_auth_recheck  3h;
EOT
        location = /_mcp/long {
            internal;
            proxy_pass http://frappe/api/method/frappe_assistant_core.api.fac_endpoint.handle_mcp;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $mcp_sse_site;
            proxy_read_timeout 3h;
        }
EOT2

    # one has a message that waits, one is used again later

    my ($waits, $used, $idle, $later) = map { open_stream($nginx) } 1 .. 4;

    post($nginx, $waits, tool($_, 'hold', { gate => 'idle' })) for 1, 2;
    ok(run_until(sub { gauge($nginx, 'messages_waiting') == 1 }),
        'a message waits');
    call($nginx, $_, request(1, 'ping')) for $used, $idle;
    $clock->advance(10);
    call($nginx, $later, request(1, 'ping'));
    $clock->advance(580);

    is(open_stream($nginx)->status, 429,
        'no stream ends for a new one if none is idle for 10 minutes');

    call($nginx, $used, request(2, 'ping'));
    $clock->advance(30);

    my $new = open_stream($nginx);

    is($new->status, 200, 'one that is idle for 10 minutes ends');
    ok($idle->wait_ended, 'it is the one that is idle longest');
    is_deeply([ map { $_->{data} =~ /"code":(-\d+)/ }
        $idle->of_type('error') ], [ -32004 ], 'it is told why');
    ok($nginx->wait_log(qr/SSE connection closed: \w+, evicted/),
        'the log says that it was evicted');
    is_deeply([ map { $_->ended } $waits, $used, $later ],
        [ (undef) x 3 ], 'those that were used, or have a message, stay');

    # the new one had no message: it ends 10 seconds later, before those that
    # had one and are idle

    $clock->advance(8);

    my $second = open_stream($nginx);

    is($second->status, 200, 'another one that is idle ends');
    ok($later->wait_ended, 'and not a young one without a message');

    $clock->advance(3);

    my $third = open_stream($nginx);

    is($third->status, 200, 'one that is older and had no message ends');
    ok($new->wait_ended, 'it is the older one');
    ok(!$second->ended, 'and not the younger one');

    $frappe->open_gate('idle');
    ok($waits->wait_answer(2), 'the message that waited is answered');
    $_->close for $waits, $used, $second, $third;
}

# ---- the buckets of the histograms

{
    my $nginx = $start->();
    my $body  = get($nginx, '/metrics')->body;

    for my $case (
        [ 'call', '0.005 0.01 0.025 0.05 0.1 0.25 0.5 1 2.5 5 10 30 60 120 300'
            . ' +Inf' ],
        [ 'delivery', '0.00005 0.0001 0.00025 0.0005 0.001 0.0025 0.005 0.01 '
            . '0.025 0.05 0.1 0.25 0.5 1 2.5 5 +Inf' ],
    ) {
        my ($name, $want) = @$case;
        my @got = $body
            =~ /^nginx_mcp_sse_${name}_duration_seconds_bucket\{le="([^"]+)"/mg;

        is(join(' ', map { /Inf/ ? $_ : 0 + $_ } @got),
            join(' ', map { /Inf/ ? $_ : 0 + $_ } split / /, $want),
            "the buckets of ${name}_duration_seconds");
    }

    my $answer = http_post($nginx, tool(1, 'hold', { gate => 'bucket' }),
        async => 1, accept => 'application/json, text/event-stream');

    run_until(sub { gauge($nginx, 'calls_running') == 1 });
    $clock->advance(45);
    $frappe->open_gate('bucket');
    $answer->wait;

    my $metrics = metrics($nginx);
    my $bucket  = sub {
        return $metrics->{qq(nginx_mcp_sse_call_duration_seconds_bucket)
            . qq({le="$_[0]"})};
    };

    is(join(' ', map { $bucket->($_) } 30, 60, '+Inf'), '0 1 1',
        'a call of 45 seconds is in the bucket of 60');
    cmp_ok($metrics->{nginx_mcp_sse_call_duration_seconds_sum}, '>=', 45,
        'the sum of durations has its 45 seconds');
    cmp_ok($metrics->{nginx_mcp_sse_call_duration_seconds_sum}, '<', 45 + 60,
        'and not more');
}

# ---- announcements to a worker that is stopped

{
    my $nginx = $start->(workers => 2);

    my ($here, $there) = $nginx->wait_workers;
    my %conn = map { $_ => connect_worker($nginx, $_) } $here, $there;

    my $session = session_id($nginx, conn => $conn{$here});
    my $stream  = http_get($nginx, session => $session, worker => $there);
    my $chunks  = sub { MCPTest::Memory::chunks($here, 8 * 1024 * 1024) };
    my $cancel  = sub {
        return notification('notifications/cancelled', { requestId => $_[0] });
    };

    # a user without sessions leaves what is known of his credential only

    my $base = $chunks->();
    my $bob  = open_stream($nginx, worker => $here,
        auth => MCPTest::credential('bob'));

    $bob->close;
    run_until(sub { gauge($nginx, 'tombstones') == 1 });
    $clock->advance(6);
    run_until(sub { gauge($nginx, 'tombstones') == 0 });
    is($chunks->(), $base + 1, 'a user without sessions has one chunk');

    # an announcement that is read by all goes at once; one that is not stays 10
    # seconds

    $base = $chunks->();

    http_post($nginx, $cancel->(1), session => $session, conn => $conn{$here});
    ok(run_until(sub { $chunks->() == $base }),
        'an announcement is freed when all workers have read it');

    # a sweep forgets sessions that were lost before it looks at announcements

    my $lost = open_stream($nginx, worker => $here);

    kill STOP => $there;
    http_post($nginx, $cancel->(1), session => $session, conn => $conn{$here});
    $lost->close;
    ok(run_until(sub { gauge($conn{$here}, 'tombstones') == 1 }),
        'a session is lost');
    $clock->advance(8);
    ok(run_until(sub { gauge($conn{$here}, 'tombstones') == 0 }),
        'a sweep has run 8 seconds later');
    is($chunks->(), $base + 1,
        'an announcement is kept for a worker that is stopped');
    $clock->advance(3);
    ok(run_until(sub { $chunks->() == $base }),
        'it is not kept for more than 10 seconds');

    # a worker that has missed one looks at all its streams

    is(http_delete($nginx, $session, conn => $conn{$here})->status, 204,
        'a session ends while the worker of its stream is stopped');
    $base = $chunks->();
    $clock->advance(11);
    ok(run_until(sub { $chunks->() < $base }), 'the announcement is gone');
    ok(!$stream->ended, 'its stream is open');
    kill CONT => $there;
    ok($stream->wait_ended, 'the stream ends when the worker goes on');

    # at most 1024 are kept

    $base    = $chunks->();
    $session = session_id($nginx, conn => $conn{$here});
    kill STOP => $there;

    for my $n (100, (100) x 9, 24) {
        http_post($nginx, '[' . join(',', map { $cancel->($_) } 1 .. $n) . ']',
            session => $session, conn => $conn{$here},
            protocol => '2025-03-26');
    }

    unlike($nginx->error_log, qr/too many announcements/,
        '1024 announcements are kept');
    http_post($nginx, $cancel->(1), session => $session, conn => $conn{$here});
    ok($nginx->wait_log(qr/too many announcements between workers, 1 of them/),
        'the log says that one of 1025 is lost');

    kill CONT => $there;
    ok(run_until(sub { my $n = $chunks->(); $n < $base + 10 }),
        'all are freed when the worker has read them');

    # of at most 1/16 of the zone

    kill STOP => $there;

    for my $n (1 .. 140) {
        http_post($nginx, $cancel->('"' . 'x' x 4000 . '"'),
            session => $session, conn => $conn{$here});
    }

    $lost = () = $nginx->error_log =~ /too many announcements/g;

    # each has its id and less than 200 bytes

    cmp_ok($lost - 1, '>=', 140 - int(8 * 1024 * 1024 / 16 / 4002),
        'announcements have at most 1/16 of the zone');
    cmp_ok($lost - 1, '<=', 140 - int(8 * 1024 * 1024 / 16 / 4202),
        'and not less');
    kill CONT => $there;
    ok(run_until(sub { $chunks->() < $base + 10 }), 'these are freed as well');

    $_->close for values %conn;
}

finish();
