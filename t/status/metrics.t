# /metrics: each counter moves with its event and only then, the values of
# labels are a fixed set, and the format is Prometheus's.  Faults are in
# metrics-faults.t.  docs/PROTOCOL.md 9.5 to 9.8, 9.11, 9.19.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Metrics qw(scrape gauge counters since moves page_faults);
use Test::More;

my $frappe = start_frappe();

my ($nginx, @workers, $owner, $other, %conn);


sub server {
    my (%opt) = @_;

    # look-ups are counted: none expires while the test runs

    $opt{http} = ($opt{http} || '') . ' mcp_sse_auth_cache 300s;';

    $_->close for values %conn;
    $nginx   = start_nginx(%opt);
    @workers = $nginx->wait_workers;
    %conn    = map { $_ => connect_worker($nginx, $_) } @workers;

    return;
}


# The counters that a POST with one request moves.

sub one {
    my ($path, $method, $result, %more) = @_;

    return {
        'auth_cache_requests good' => 1,
        "handovers $path"          => 1,
        delivery_duration          => 1,
        'messages request'         => 1,
        "calls $method $result"    => 1,
        ($result eq 'local' ? () : (call_duration => 1)),
        %more,
    };
}


sub cancel {
    return notification('notifications/cancelled', { requestId => $_[0] });
}


# ---- the answer

server(workers => 2, stream => 'mcp_sse_max_calls 2;', http => <<'EOT');
    mcp_sse_call_timeout  6s;
    mcp_sse_max_answer    50k;
    mcp_sse_grace         10s;
    mcp_sse_max_inbox     5;
    mcp_sse_max_message   8k;
EOT

{
    my $got = get($nginx, '/metrics', headers => [ Authorization => 'x y' ]);

    is($got->status, 200, '/metrics with a bad credential is 200');
    is($got->header('Content-Type'),
        'text/plain; version=0.0.4; charset=utf-8',
        '/metrics has the type of the text format');
    is($got->header('Cache-Control'), 'no-store', '/metrics is not cached');
    is(get($nginx, '/metrics/')->status, 200, '/metrics/ is 200');

    my $head = get($nginx, '/metrics', method => 'HEAD');

    is($head->status, 200, 'HEAD /metrics is 200');
    is($head->body, '', 'HEAD /metrics has no body');

    moves($nginx, 'PUT and POST count as 405', {
        'requests_refused 405' => 2 }, sub {
        for my $method (qw(PUT POST)) {
            my $refused = get($nginx, '/metrics', method => $method);

            is($refused->status, 405, "$method /metrics is 405");
            is($refused->header('Allow'), 'GET, HEAD, OPTIONS',
                "$method /metrics: the 405 has Allow");
        }
    });

    my ($values) = scrape($nginx);
    my @moved = grep { $values->{$_} != 0 && !/refused_total\{status="405"/ }
        keys %$values;

    is_deeply([ sort @moved ], [ map { "nginx_mcp_sse_$_" }
        'build_info{version="' . health($nginx)->{version} . '"}', 'workers',
        'zone_bytes', 'zone_free_bytes' ], 'all counters begin at 0');
    is($values->{nginx_mcp_sse_workers}, 2, 'workers counts the workers');
    is($values->{nginx_mcp_sse_zone_bytes}, 8 * 1024 * 1024,
        'zone_bytes is the size of the zone');
    ok(!(grep { /redis_(?:up|workers)/ } keys %$values),
        'without mcp_sse_redis there are no gauges of Redis');
    is($frappe->stats->{requests}, 0, '/metrics sends no request to Frappe');
}

# ---- streams, messages, calls

my $stream;

moves($nginx, 'a new stream moves its counters', {
    'auth_cache_requests miss' => 1, 'auth_lookups good' => 1,
    streams_opened => 1 }, sub { $stream = open_stream($nginx) });

$owner   = $stream->header('X-Worker');
($other) = grep { $_ != $owner } @workers;

is(gauge($nginx, 'streams'), 1, 'streams counts the stream');
is(gauge($nginx, 'sessions'), 1, 'sessions counts the session');
is(gauge($nginx, 'auth_cache_entries{result="good"}'), 1,
    'auth_cache_entries counts the user');

my $id = 0;

for my $at ($owner, $other) {
    my $path = $at == $owner ? 'own' : 'zone';

    moves($nginx, "a call by path $path moves its counters",
        one($path, 'tools/call', 'ok'), sub {
        call($nginx, $stream, tool(++$id, 'echo', {}), conn => $conn{$at});
    });
}

for my $case (
    [ 'ping' => 'ping', 'local' ],
    [ 'resources/list' => 'resources/*', 'local' ],
    [ 'resources/read' => 'resources/*' ],
    [ 'resources/' => 'resources/*' ],
    [ 'resources' => 'other' ],
    [ 'prompts/list' => 'prompts/*' ],
    [ 'initialize' => 'initialize' ],
    [ 'initialized' => 'other' ],
    [ 'tools/list' => 'tools/list', 'ok' ],
    [ 'tools/lis' => 'other' ],
    [ 'tools/calls' => 'other' ],
    [ 'notifications/x' => 'notifications/*' ],
    [ "ping\n" => 'other' ],
    [ 'a"b}c\\' => 'other' ],
) {
    my ($method, $label, $result) = @$case;
    my $before = counters($nginx);

    call($nginx, $stream, request(++$id, $method, {}));

    my $got = since($nginx, $before);
    my @calls = grep { /\Acalls / } keys %$got;

    is(scalar @calls, 1, "method $method moves one counter of calls");
    like($calls[0], $result ? qr/\Acalls \Q$label $result\E\z/
        : qr/\Acalls \Q$label\E (?:ok|error|backend)\z/,
        "method $method counts as $label");
}

my %post = ('auth_cache_requests good' => 1, 'handovers own' => 1,
    delivery_duration => 1);


# Posts a message at the owner of the session.

sub to_owner {
    my ($message) = @_;

    return accepted(post($nginx, $stream, $message, conn => $conn{$owner}),
        'a message at the owner of the session is accepted');
}


moves($nginx, 'a notification that is dropped moves its counters', { %post,
    'messages notification' => 1 }, sub {
        to_owner(notification('notifications/initialized'));
    });

moves($nginx, 'a forwarded notification moves its counters', { %post,
    'messages notification' => 1,
    'calls notifications/* ok' => 1, call_duration => 1 }, sub {
        to_owner(notification('notifications/roots/list_changed'));
    });

moves($nginx, "a client's response moves its counters", { %post,
    'messages response' => 1 }, sub {
    to_owner('{"jsonrpc":"2.0","id":77,"result":{}}');
});

moves($nginx, 'a batch moves its counters', { %post, 'messages request' => 2,
    'messages notification' => 1, 'calls ping local' => 1,
    'calls tools/list ok' => 1, call_duration => 1 }, sub {
        to_owner('[' . join(',', request(++$id, 'ping'),
            notification('notifications/initialized'),
            request(++$id, 'tools/list', {})) . ']');
    });

for my $case (
    [ error => 'no_such_tool', {} ],
    [ backend => 'status', { code => 500 } ],
    [ backend => 'cut', {} ],
    [ refused => 'status', { code => 403 } ],
    [ timeout => 'status', { code => 504 } ],
    [ timeout => 'hang', {} ],
    [ too_large => 'big', { bytes => 100_000 } ],
) {
    my ($result, $tool, $arguments) = @$case;

    moves($nginx, "a call of $tool counts as $result",
        one('own', 'tools/call', $result), sub {
        call($nginx, $stream, tool(++$id, $tool, $arguments),
            conn => $conn{$owner});
    });
}

# a repeated call, and cancelled calls that run or wait

moves($nginx, 'cancelled and repeated calls move their counters', {
    'auth_cache_requests good'   => 7,
    'handovers own'              => 7,
    delivery_duration            => 7,
    'messages request'           => 4,
    'messages notification'      => 3,
    'messages_not_run repeated'  => 1,
    'messages_not_run cancelled' => 1,
    'calls tools/call cancelled' => 2,
    call_duration                => 2,
}, sub {
    to_owner(tool($_, 'hang', {})) for 901 .. 903;
    ok(run_until(sub { gauge($nginx, 'calls_running') == 2 }),
        'calls_running counts the calls that run');
    ok(run_until(sub { gauge($nginx, 'messages_waiting') == 1 }),
        'messages_waiting counts the call that waits');
    to_owner(tool(901, 'hang', {}));
    to_owner(cancel($_)) for 903, 901, 902;
});

ok(run_until(sub { gauge($nginx, 'calls_running') == 0 }),
    'calls_running is 0 after the cancellations');

# ---- the audit log has a line for each call, with the same results

{
    my $now = counters($nginx);
    my (%audit, %calls);

    for my $line ($nginx->audit(20)) {
        my $method = $line->{method};

        $method = 'other' unless $method =~ m{\A(?:initialize|ping
            |tools/list|tools/call|(resources/|prompts/|notifications/).*)\z}x;
        $method = "$1*" if defined $1 && $method ne 'other';
        $audit{"calls $method $line->{result}"}++;
    }

    $calls{$_} = $now->{$_} for grep { /\Acalls / && !/ local\z/
        && $now->{$_} } keys %$now;
    is_deeply(\%calls, \%audit,
        'the counters of calls are those of the audit log');

    my $n = 0;

    $n += $_ for values %audit;
    is($now->{call_duration}, $n, 'each call is in the histogram');
}

# ---- refusals

for my $case (
    [ 'a bad session id', 400, sub {
        post($nginx, 'A' x 50, request(1, 'ping')) } ],
    [ 'a body that is not JSON', 400, sub { post($nginx, $stream, '{') } ],
    [ 'a bad media type', 415, sub {
        post($nginx, $stream, '{}', type => 'text/plain') } ],
    [ 'a large body', 413, sub { post($nginx, $stream, 'x' x 9000) } ],
    [ 'large headers', 431, sub { post($nginx, $stream,
        request(1, 'ping'), headers => [ map { ("Mcp-X$_", 'y' x 6000) }
            1 .. 3 ]) } ],
) {
    my ($name, $status, $code) = @$case;

    moves($nginx, "$name counts as $status", { 'auth_cache_requests good' => 1,
        "requests_refused $status" => 1 }, sub {
            is($code->()->status, $status, "$name is $status");
        });
}

moves($nginx, 'a missing credential counts as 401', {
    'requests_refused 401' => 1 }, sub {
    post($nginx, $stream, request(1, 'ping'), auth => undef);
});

moves($nginx, 'a wrong credential, twice, counts as one look-up', {
    'auth_cache_requests miss'    => 1, 'auth_lookups refused' => 1,
    'auth_cache_requests refused' => 1, 'requests_refused 401' => 2 }, sub {
        post($nginx, $stream, request(1, 'ping'),
            auth => 'token alice-key:wrong-secret') for 1, 2;
    });

is(gauge($nginx, 'auth_cache_entries{result="refused"}'), 1,
    'auth_cache_entries counts the refused credential');

moves($nginx, 'a foreign Origin counts as 403', {
    'requests_refused 403' => 1 }, sub {
    post($nginx, $stream, request(1, 'ping'),
        headers => [ Origin => 'https://evil.example.com' ]);
});

moves($nginx, 'messages beyond the inbox count as 429', { %post,
    'auth_cache_requests good' => 9,
    'handovers own' => 7, delivery_duration => 7, 'messages request' => 7,
    'calls tools/call ok' => 7, call_duration => 7,
    'requests_refused 429' => 2, 'limit_refusals inbox' => 2 }, sub {
        post($nginx, $stream, tool(++$id, 'hold', { gate => 'inbox' }),
            conn => $conn{$owner}) for 1 .. 9;
        frappe()->open_gate('inbox');
        run_until(sub { gauge($nginx, 'calls_running') == 0 });
    });

# ---- a fixed set of labels

{
    my $lines  = () = get($nginx, '/metrics')->body =~ /\n/g;
    my $before = counters($nginx);
    my $n      = 0;

    for (1 .. 50) {
        to_owner('[' . join(',', map { ++$n; request(10_000 + $n,
            "made/up-$n", {}) } 1 .. 20) . ']');
        run_until(sub { $stream->answers(10_000 + $n) });
    }

    my $got = {};

    run_until(sub {
        $got = since($nginx, $before);
        return $got->{call_duration} == 1000;
    });
    is(($got->{'calls other ok'} || 0) + ($got->{'calls other error'} || 0),
        1000, '1000 unknown methods have one label');

    my $now = () = get($nginx, '/metrics')->body =~ /\n/g;

    is($now, $lines, '1000 unknown methods add no line');
}

# ---- both histograms

{
    my ($before) = scrape($nginx);
    my $from = now();

    call($nginx, $stream, tool(++$id, 'sleep', { seconds => 0.6 }));

    my $took = now() - $from + 0.05;
    my ($after) = scrape($nginx);
    my $bucket = sub {
        my $key = "nginx_mcp_sse_$_[0]_duration_seconds_bucket{le=\"$_[1]\"}";
        return $after->{$key} - $before->{$key};
    };
    my $sum = sub {
        my $key = "nginx_mcp_sse_$_[0]_duration_seconds_sum";
        return $after->{$key} - $before->{$key};
    };

    cmp_ok($sum->('call'), '>=', 0.6,
        'a call of 0.6 s adds as much to the sum of durations');
    cmp_ok($sum->('call'), '<', $took,
        'the sum of durations grows by less than the client waited');
    cmp_ok($sum->('delivery') + $sum->('call'), '<', $took,
        'delivery and call together take less than the client waited');

    # the call is in each bucket whose bound is not below its duration

    for my $name ('call', 'delivery') {
        my $seconds = $sum->($name);
        my @bounds  = map { /\Anginx_mcp_sse_${name}_duration_seconds_bucket
            \{le="([\d.]+)"\}\z/x ? $1 : () } keys %$after;

        cmp_ok(scalar @bounds, '>', 5, "$name: the histogram has buckets");
        is_deeply([ grep { $bucket->($name, $_) != ($seconds <= $_ ? 1 : 0) }
            @bounds ], [], "$name: the call is in the right buckets");
    }
}

# ---- a stream is lost, a POST waits, another stream takes over

{
    my $session = $stream->session;
    my ($before) = scrape($nginx);
    my $held;

    moves($nginx, 'a client that leaves moves its counter', {
        'streams_ended client_left' => 1 },
        sub { $stream->close });
    is(gauge($nginx, 'streams'), 0, 'streams does not count it');
    is(gauge($nginx, 'sessions'), 0, 'sessions does not count it');
    is(gauge($nginx, 'tombstones'), 1, 'tombstones counts its session');

    moves($nginx, 'a take-over moves its counters', { streams_opened => 1,
        'auth_cache_requests good' => 2, 'messages request' => 1,
        'calls ping local' => 1, delivery_duration => 1,
        'handovers own' => 1 }, sub {
            $held = post($nginx, $session, request(1, 'ping'), async => 1,
                conn => $conn{$owner});
            ok(run_until(sub { gauge($nginx, 'posts_held') == 1 }),
                'posts_held counts a POST that waits');
            sleep_for(0.6);
            is(gauge($nginx, 'messages_waiting'), 0,
                'messages_waiting does not count a POST that waits');
            $stream = open_stream($nginx, worker => $owner,
                headers => [ 'Last-Event-ID', $session ]);
            $held->wait;
        });
    accepted($held, 'a POST that waits is accepted at the take-over');
    is(gauge($nginx, 'posts_held'), 0, 'posts_held is 0 after the take-over');
    is(gauge($nginx, 'tombstones'), 0, 'tombstones is 0 after the take-over');
    is(gauge($nginx, 'sessions'), 1, 'sessions counts the session again');

    my ($after) = scrape($nginx);
    my $key = 'nginx_mcp_sse_delivery_duration_seconds_sum';

    cmp_ok($after->{$key} - $before->{$key}, '>=', 0.5,
        'the duration of a delivery includes the wait of the POST');

    my $lost = $stream;

    moves($nginx, 'a replaced stream with calls moves its counters', {
        streams_opened => 1, 'streams_ended replaced' => 1, 'auth_cache_requests good' => 4,
        'handovers own' => 3, delivery_duration => 3, 'messages request' => 3,
        'messages_not_run stream_ended' => 1, 'calls tools/call dropped' => 2,
        call_duration => 2 }, sub {
            to_owner(tool($_, 'hold', { gate => 'replaced' })) for 1 .. 3;
            $stream = open_stream($nginx, worker => $owner,
                headers => [ 'Last-Event-ID', $session ]);
            frappe()->open_gate('replaced');
        });
    is(gauge($nginx, 'sessions'), 1, 'sessions counts a replaced session once');

    moves($nginx, 'a client that stays away moves its counter', {
        'streams_ended client_left' => 1 },
        sub { $stream->close });
    ok(run_until(sub { gauge($nginx, 'tombstones') == 0 }),
        'tombstones is 0 after mcp_sse_grace');
    $lost->close;
}

# ---- many messages at the same time at both workers: each is counted once

{
    $stream = open_stream($nginx);

    my $n = 100;

    for my $round (1, 2) {
        my @streams = map { open_stream($nginx, worker => $_) } @workers;
        my $before  = counters($nginx);
        my $last    = 0;

        for (1 .. $n / 4) {
            $last++;
            my @responses = map { my $s = $_; map { post($nginx, $s,
                request($last + 1000 * $_, 'tools/list', {}), async => 1,
                conn => $conn{$_}) } @workers } @streams;

            run_until(sub { !grep { !$_->ended } @responses });

            # the inbox is small

            run_until(sub {
                return !grep { $_->messages < 2 * $last } @streams;
            });
        }

        my $got = {};

        run_until(sub {
            $got = since($nginx, $before);
            return $got->{'calls tools/list ok'} == $n;
        });
        is_deeply($got, { 'auth_cache_requests good' => $n,
            'handovers own' => $n / 2, 'handovers zone' => $n / 2,
            delivery_duration => $n, 'messages request' => $n,
            'calls tools/list ok' => $n, call_duration => $n },
            "round $round: $n calls at both workers move their counters")
            or diag(explain($got));

        my @asked = map { (scrape($conn{$_}))[0] } @workers;

        is_deeply($asked[0], $asked[1], 'each worker has the same figures');
        $_->close for @streams;
        run_until(sub { gauge($nginx, 'streams') == 1 });
    }
}

# ---- the format of all pages that were read

is_deeply([ page_faults() ], [], 'each page of /metrics is well-formed');

SKIP: {
    my ($promtool) = grep { -x } map { "$_/promtool" }
        split /:/, $ENV{PATH} || '';

    skip 'promtool is not installed', 1 unless $promtool;

    my $pid = open my $out, '|-', "$promtool check metrics >&2"
        or die "promtool: $!\n";

    print {$out} get($nginx, '/metrics')->body;
    ok(close $out, "promtool (pid $pid) accepts the page");
}

$_->close for values %conn;

finish();
