# /metrics after faults: the gauges of a killed worker vanish, counters stay;
# what reached limits, slow readers and a Frappe that is down count.
# docs/PROTOCOL.md 9.7, 9.9.

use strict;
use warnings;

use lib 't/lib';
use List::Util ();
use MCPTest;
use MCPTest::Metrics qw(gauge counters since moves page_faults);
use Test::More;

my $frappe = start_frappe();


# The counters of ended streams are those of the log; returns how many streams
# have opened and not ended.

sub reasons {
    my ($nginx, $name) = @_;

    my $now = counters($nginx);
    my (%log, %ended);

    for my $reason ($nginx->error_log
        =~ /SSE connection closed: \w+, ([^,]+), /g)
    {
        $reason =~ tr/ /_/;
        $log{$reason eq 'credential_refused' ? 'revoked' : $reason}++;
    }

    for (keys %$now) {
        $ended{$1} = $now->{$_} if /\Astreams_ended (\w+)/ && $now->{$_};
    }

    is_deeply(\%ended, \%log,
        "$name: streams_ended_total has the reasons of the log");

    return $now->{streams_opened} - List::Util::sum(0, values %ended);
}

# ---- a worker is killed; a reload

{
    my $nginx   = start_nginx(workers => 2, stream => 'mcp_sse_max_calls 2;');
    my @workers = $nginx->wait_workers;
    my @streams = map { open_stream($nginx, worker => $_) } @workers;
    my $victim  = $workers[0];

    # each has two calls that run and one that waits

    for my $s (@streams) {
        post($nginx, $s, tool($_, 'hold', { gate => 'run' })) for 1 .. 3;
    }

    run_until(sub { gauge($nginx, 'calls_running') == 4 });
    ok(run_until(sub { gauge($nginx, 'messages_waiting') == 2 }),
        'messages_waiting counts the calls that wait at both workers');

    my $before = counters($nginx);

    $nginx->kill_worker($victim);

    ok(run_until(sub { gauge($nginx, 'workers') == 2
        && gauge($nginx, 'streams') == 1 }),
        'streams does not count the stream of a killed worker');
    is(gauge($nginx, 'sessions'), 1,
        'sessions does not count the session of a killed worker');
    cmp_ok(gauge($nginx, 'calls_running'), '<=', 2,
        'calls_running does not count the calls of a killed worker');
    cmp_ok(gauge($nginx, 'messages_waiting'), '<=', 1,
        'messages_waiting does not count the messages of a killed worker');
    $frappe->open_gate('run');
    ok($streams[1]->wait_answer($_),
        "call $_ of the other worker is answered") for 1 .. 3;
    run_until(sub { gauge($nginx, 'calls_running') == 0 });
    is(gauge($nginx, 'calls_running'), 0,
        'calls_running is 0 after the last answer');
    is(gauge($nginx, 'messages_waiting'), 0,
        'messages_waiting is 0 after the last answer');
    is_deeply(since($nginx, $before), { 'calls tools/call ok' => 3,
        call_duration => 3 }, 'the counters go on after a worker was killed');

    $before = counters($nginx);
    $streams[0]->close;

    my @old = $nginx->reload;
    my $new = open_stream($nginx);

    call($nginx, $new, request(1, 'ping'));
    $streams[1]->wait_ended;
    $nginx->wait_gone(\@old);

    my $got  = since($nginx, $before);
    my $path = exists $got->{'handovers own'} ? 'own' : 'zone';

    is_deeply($got, { streams_opened => 1, 'messages request' => 1,
        'streams_ended stopping' => 1, delivery_duration => 1,
        'auth_cache_requests good' => 2, 'calls ping local' => 1,
        "handovers $path" => 1 }, 'the counters go on after a reload');
    is(gauge($nginx, 'workers'), 2, 'workers does not count the old workers');
    is(gauge($nginx, 'streams'), 1, 'streams counts the new stream only');
    is(gauge($nginx, 'sessions'), 1, 'sessions counts the new session only');
    $new->close;

    ok(run_until(sub { gauge($nginx, 'streams') == 0 }),
        'streams is 0 when the last client has left');
    is(reasons($nginx, 'a killed worker'), 1,
        'streams_ended_total lacks the stream of the killed worker only');
}

# ---- limits of sessions and of the zone, other ends of streams

{
    my $nginx = start_nginx(
        http => 'mcp_sse_max_sessions 2; mcp_sse_idle_timeout 1s;');
    my @streams;

    moves($nginx, 'a session too many moves its counters', {
        'auth_cache_requests good' => 2,
        'auth_cache_requests miss' => 1, 'auth_lookups good' => 1,
        streams_opened => 2, 'limit_refusals sessions' => 1,
        'requests_refused 429' => 1, 'streams_ended idle' => 2 }, sub {
            @streams = map { open_stream($nginx) } 1 .. 3;
            $_->wait_ended for @streams;
        });
    is(reasons($nginx, 'idle'), 0, 'idle: each ended stream is counted');
    $_->close for @streams;
}

{
    my $nginx = start_nginx(http => 'mcp_sse_auth_recheck 1s; '
        . 'mcp_sse_auth_cache 1s;', stream => 'mcp_sse_max_sessions 10;');
    my $stream = open_stream($nginx);
    my $before = counters($nginx);

    $frappe->set(revoke => 'alice-key');
    $stream->wait_ended;

    my $got = since($nginx, $before);

    is($got->{'streams_ended revoked'}, 1,
        'the stream of a revoked credential counts as revoked');
    is($got->{'auth_lookups refused'}, 1,
        'the look-up of a revoked credential counts as refused');
    is(reasons($nginx, 'revoked'), 0, 'revoked: each ended stream is counted');
    $frappe->reset;
    $stream->close;
}

{
    my $nginx  = start_nginx(http => 'mcp_sse_session_ttl 2s;');
    my $stream = open_stream($nginx);

    $stream->wait_ended;
    is(counters($nginx)->{'streams_ended expired'}, 1,
        'the stream of an old session id counts as expired');
    is(reasons($nginx, 'expired'), 0, 'expired: each ended stream is counted');
    $stream->close;
}

{
    my $nginx = start_nginx(workers => 2, http =>
        'mcp_sse_zone zone=mcp_sse:1040k; mcp_sse_max_message 4k; '
        . 'mcp_sse_max_sessions 100000; mcp_sse_grace 1h;');
    my $refused = 0;
    my $stream  = open_stream($nginx);
    my ($other) = grep { $_ != $stream->header('X-Worker') }
        $nginx->wait_workers;
    my $conn    = connect_worker($nginx, $other);
    my $before  = counters($nginx);

    for (1 .. 400) {
        my @streams = open_streams($nginx, 50);

        $refused = grep { ($_->status || 0) == 503 } @streams;
        $_->close for @streams;
        last if $refused;
    }

    my $got = since($nginx, $before);

    ok($refused, 'a full zone refuses streams');
    is($got->{'limit_refusals zone'}, $refused,
        'streams that a full zone refuses count for the limit');
    is($got->{'requests_refused 503'}, $refused,
        'streams that a full zone refuses count as 503');
    run_until(sub { gauge($nginx, 'streams') == 1 });
    is(gauge($nginx, 'sessions'), 1, 'sessions counts the open session');
    is(gauge($nginx, 'tombstones'), $got->{streams_opened},
        'tombstones counts the sessions that lost their streams');
    cmp_ok(gauge($nginx, 'zone_free_bytes'), '<', 100_000,
        'zone_free_bytes of a full zone is small');

    moves($nginx, 'a message without room moves its counters', {
        'auth_cache_requests good' => 1, 'limit_refusals zone' => 1,
        'requests_refused 429' => 1 }, sub {
            post($nginx, $stream, tool(1, 'echo', { text => 'x' x 3500 }),
                conn => $conn);
        });
    $_->close for $stream, $conn;
}

# ---- slow readers

for my $case ([ queue_full => 4 ], [ send_timeout => 1 ]) {
    my ($reason, $n) = @$case;
    my $nginx = start_nginx(stream => 'mcp_sse_queue 100k; send_timeout 2s;',
        config => sub {
            my $text = $_[0]->template;

            $text =~ s/(listen 127\.0\.0\.1:\d+)/$1 sndbuf=16k/;
            return $text;
        });
    my $slow = open_stream($nginx, rcvbuf => 4096);
    my $before = counters($nginx);

    $slow->pause;
    post($nginx, $slow, tool($_, 'big', { bytes => 2_000_000 }))
        for 1 .. $n;
    ok(run_until(sub { gauge($nginx, 'streams') == 0 }),
        "$reason: a stream that is not read is dropped");

    my $got = since($nginx, $before);

    is_deeply({ map { $_ => $got->{$_} } grep { /drops|ended/ } keys %$got },
        { "queue_drops $reason" => 1, 'streams_ended slow_reader' => 1 },
        "$reason: a dropped stream moves its two counters");
    is(reasons($nginx, $reason), 0, "$reason: each ended stream is counted");
    $slow->close;
}

# ---- Frappe is down or slow; log_subrequest is off

{
    my $nginx = start_nginx(
        http   => 'mcp_sse_auth_cache 5s; mcp_sse_auth_wait 1s;',
        config => sub {
            my $text = $_[0]->template;

            $text =~ s/log_subrequest on;//;
            return $text;
        });
    my $s = open_stream($nginx);

    moves($nginx, 'a call without log_subrequest is counted', {
        'handovers own' => 1,
        delivery_duration => 1, 'messages request' => 1,
        'calls tools/call ok' => 1, call_duration => 1,
        'auth_cache_requests good' => 1 },
        sub { call($nginx, $s, tool(1, 'echo', {})) });

    sleep_for(6);
    $frappe->set(down => '503');

    moves($nginx, 'a stale entry while Frappe is down moves its counters', {
        'handovers own' => 1, delivery_duration => 1, 'messages request' => 1,
        'calls ping local' => 1, 'auth_cache_requests miss' => 1,
        'auth_lookups failed' => 1, auth_cache_stale => 1 },
        sub { call($nginx, $s, request(2, 'ping')) });

    moves($nginx, 'no entry while Frappe is down moves its counters', {
        'auth_cache_requests miss' => 1,
        'auth_lookups failed' => 1, 'requests_refused 503' => 1 }, sub {
            is(post($nginx, $s, request(3, 'ping'),
                auth => MCPTest::credential('bob'))->status, 503,
                'a POST of an unknown user is 503 while Frappe is down');
        });

    moves($nginx, 'a call while Frappe is down moves its counters', {
        'handovers own' => 1,
        delivery_duration => 1, 'messages request' => 1,
        'calls tools/list backend' => 1, call_duration => 1,
        'auth_cache_requests miss' => 1, 'auth_lookups failed' => 1,
        auth_cache_stale => 1 },
        sub { call($nginx, $s, request(4, 'tools/list', {})) });

    $frappe->reset;
    $frappe->set(logged_user_delay => 3);

    moves($nginx, 'a stale entry while Frappe is slow moves its counters', {
        'handovers own' => 1, delivery_duration => 1, 'messages request' => 1,
        'calls ping local' => 1, 'auth_cache_requests miss' => 1,
        'auth_lookups good' => 1, auth_cache_stale => 1 },
        sub { call($nginx, $s, request(5, 'ping')) });

    $frappe->reset;
    $s->close;
}

is_deeply([ page_faults() ], [], 'each page of /metrics is well-formed');

finish();
