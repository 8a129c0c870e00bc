# /metrics: each counter moves when it should and only then; labels are
# bounded; the format.  docs/PROTOCOL.md 9.  What faults do to it:
# metrics-faults.t

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

    $_->close for values %conn;
    $nginx   = start_nginx(%opt);
    @workers = $nginx->wait_workers;
    %conn    = map { $_ => connect_worker($nginx, $_) } @workers;

    return;
}


# The counters of a POST by its way, kind and call.

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

    is($got->status, 200, 'status; no credential is needed');
    is($got->header('Content-Type'),
        'text/plain; version=0.0.4; charset=utf-8', 'Content-Type');
    is($got->header('Cache-Control'), 'no-store', 'Cache-Control');
    is(get($nginx, '/metrics/')->status, 200, 'trailing slash');

    my $head = get($nginx, '/metrics', method => 'HEAD');

    is($head->status, 200, 'HEAD');
    is($head->body, '', 'HEAD: no body');

    moves($nginx, 'PUT and POST', { 'requests_refused 405' => 2 }, sub {
        for my $method (qw(PUT POST)) {
            my $refused = get($nginx, '/metrics', method => $method);

            is($refused->status, 405, "$method: 405");
            is($refused->header('Allow'), 'GET, HEAD', "$method: Allow");
        }
    });

    my ($values) = scrape($nginx);
    my @moved = grep { $values->{$_} != 0 && !/refused_total\{status="405"/ }
        keys %$values;

    is_deeply([ sort @moved ], [ map { "nginx_mcp_sse_$_" }
        'build_info{version="' . health($nginx)->{version} . '"}', 'workers',
        'zone_bytes', 'zone_free_bytes' ], 'all else begins at 0');
    is($values->{nginx_mcp_sse_workers}, 2, 'workers');
    is($values->{nginx_mcp_sse_zone_bytes}, 8 * 1024 * 1024, 'zone');
    ok(!(grep { /redis_(?:up|workers)/ } keys %$values),
        'no state of a Redis that is not configured');
    is($frappe->stats->{requests}, 0, 'Frappe is not asked');
}

# ---- streams, messages, calls

my $stream;

moves($nginx, 'a stream', { 'auth_cache_requests miss' => 1,
    'auth_lookups good' => 1, streams_opened => 1 }, sub { $stream = open_stream($nginx) });

$owner   = $stream->header('X-Worker');
($other) = grep { $_ != $owner } @workers;

is(gauge($nginx, 'streams'), 1, 'streams');
is(gauge($nginx, 'sessions'), 1, 'sessions');
is(gauge($nginx, 'auth_cache_entries{result="good"}'), 1,
    'entries of the cache');

my $id = 0;

for my $at ($owner, $other) {
    my $path = $at == $owner ? 'own' : 'zone';

    moves($nginx, "a call, path $path", one($path, 'tools/call', 'ok'), sub {
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

    is(scalar @calls, 1, "method $method: one call");
    like($calls[0], $result ? qr/\Acalls \Q$label $result\E\z/
        : qr/\Acalls \Q$label\E (?:ok|error|backend)\z/, "as $label");
}

my %post = ('auth_cache_requests good' => 1, 'handovers own' => 1,
    delivery_duration => 1);


# A POST at the owner that makes no call of its own.

sub to_owner {
    my ($message) = @_;

    return accepted(post($nginx, $stream, $message, conn => $conn{$owner}),
        'accepted');
}


moves($nginx, 'a notification that ends here', { %post,
    'messages notification' => 1 }, sub {
        to_owner(notification('notifications/initialized'));
    });

moves($nginx, 'one that is forwarded', { %post, 'messages notification' => 1,
    'calls notifications/* ok' => 1, call_duration => 1 }, sub {
        to_owner(notification('notifications/roots/list_changed'));
    });

moves($nginx, 'a response', { %post, 'messages response' => 1 }, sub {
    to_owner('{"jsonrpc":"2.0","id":77,"result":{}}');
});

moves($nginx, 'a batch', { %post, 'messages request' => 2,
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

    moves($nginx, "$tool: $result", one('own', 'tools/call', $result), sub {
        call($nginx, $stream, tool(++$id, $tool, $arguments),
            conn => $conn{$owner});
    });
}

# repeated, cancelled while it runs, cancelled while it waits

moves($nginx, 'cancelled: one that runs, one that waits; one repeated', {
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
        'calls that run');
    ok(run_until(sub { gauge($nginx, 'messages_waiting') == 1 }),
        'a message waits for a place');
    to_owner(tool(901, 'hang', {}));
    to_owner(cancel($_)) for 903, 901, 902;
});

ok(run_until(sub { gauge($nginx, 'calls_running') == 0 }), 'then none');

# ---- the audit log has a line for each call, with the same words

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
    is_deeply(\%calls, \%audit, 'calls are what the audit log says');

    my $n = 0;

    $n += $_ for values %audit;
    is($now->{call_duration}, $n, 'each is in the histogram');
}

# ---- refusals

for my $case (
    [ 'a bad id', 400, sub {
        post($nginx, 'A' x 50, request(1, 'ping')) } ],
    [ 'no JSON', 400, sub { post($nginx, $stream, '{') } ],
    [ 'a bad type', 415, sub {
        post($nginx, $stream, '{}', type => 'text/plain') } ],
    [ 'too large', 413, sub { post($nginx, $stream, 'x' x 9000) } ],
    [ 'large headers', 431, sub { post($nginx, $stream,
        request(1, 'ping'), headers => [ map { ("Mcp-X$_", 'y' x 6000) }
            1 .. 3 ]) } ],
) {
    my ($name, $status, $code) = @$case;

    moves($nginx, "$name: $status", { 'auth_cache_requests good' => 1,
        "requests_refused $status" => 1 }, sub {
            is($code->()->status, $status, $name);
        });
}

moves($nginx, 'no credential: 401', { 'requests_refused 401' => 1 }, sub {
    post($nginx, $stream, request(1, 'ping'), auth => undef);
});

moves($nginx, 'a wrong credential, twice: one look-up', {
    'auth_cache_requests miss'    => 1, 'auth_lookups refused' => 1,
    'auth_cache_requests refused' => 1, 'requests_refused 401' => 2 }, sub {
        post($nginx, $stream, request(1, 'ping'),
            auth => 'token alice-key:wrong-secret') for 1, 2;
    });

is(gauge($nginx, 'auth_cache_entries{result="refused"}'), 1,
    'a refusal is kept');

moves($nginx, 'a foreign Origin: 403', { 'requests_refused 403' => 1 }, sub {
    post($nginx, $stream, request(1, 'ping'),
        headers => [ Origin => 'https://evil.example.com' ]);
});

moves($nginx, 'a full inbox: 429', { %post, 'auth_cache_requests good' => 9,
    'handovers own' => 7, delivery_duration => 7, 'messages request' => 7,
    'calls tools/call ok' => 7, call_duration => 7,
    'requests_refused 429' => 2, 'limit_refusals inbox' => 2 }, sub {
        post($nginx, $stream, tool(++$id, 'hold', { gate => 'inbox' }),
            conn => $conn{$owner}) for 1 .. 9;
        frappe()->open_gate('inbox');
        run_until(sub { gauge($nginx, 'calls_running') == 0 });
    });

# ---- bounded labels

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
        1000, '1000 made-up methods are one label');

    my $now = () = get($nginx, '/metrics')->body =~ /\n/g;

    is($now, $lines, 'and not a line more');
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

    cmp_ok($sum->('call'), '>=', 0.6, 'a call of 0.6 s: the sum grows');
    cmp_ok($sum->('call'), '<', $took, 'by what it took');
    cmp_ok($sum->('delivery') + $sum->('call'), '<', $took,
        'it was delivered before that');

    # it is in each bucket whose bound is not below

    for my $name ('call', 'delivery') {
        my $seconds = $sum->($name);
        my @bounds  = map { /\Anginx_mcp_sse_${name}_duration_seconds_bucket
            \{le="([\d.]+)"\}\z/x ? $1 : () } keys %$after;

        cmp_ok(scalar @bounds, '>', 5, "$name: buckets");
        is_deeply([ grep { $bucket->($name, $_) != ($seconds <= $_ ? 1 : 0) }
            @bounds ], [], "$name: it is in the right ones");
    }
}

# ---- a stream is lost, a POST is held, another takes over

{
    my $session = $stream->session;
    my ($before) = scrape($nginx);
    my $held;

    moves($nginx, 'the client leaves', { 'streams_ended client_left' => 1 },
        sub { $stream->close });
    is(gauge($nginx, 'streams'), 0, 'no stream');
    is(gauge($nginx, 'sessions'), 0, 'no session');
    is(gauge($nginx, 'tombstones'), 1, 'but a tombstone');

    moves($nginx, 'taken over', { streams_opened => 1,
        'auth_cache_requests good' => 2, 'messages request' => 1,
        'calls ping local' => 1, delivery_duration => 1,
        'handovers own' => 1 }, sub {
            $held = post($nginx, $session, request(1, 'ping'), async => 1,
                conn => $conn{$owner});
            ok(run_until(sub { gauge($nginx, 'posts_held') == 1 }),
                'a POST is held');
            sleep_for(0.6);
            is(gauge($nginx, 'messages_waiting'), 0,
                'which is not yet accepted');
            $stream = open_stream($nginx, worker => $owner,
                headers => [ 'Last-Event-ID', $session ]);
            $held->wait;
        });
    accepted($held, 'it is accepted');
    is(gauge($nginx, 'posts_held'), 0, 'none is held any more');
    is(gauge($nginx, 'tombstones'), 0, 'no tombstone');
    is(gauge($nginx, 'sessions'), 1, 'a session');

    my ($after) = scrape($nginx);
    my $key = 'nginx_mcp_sse_delivery_duration_seconds_sum';

    cmp_ok($after->{$key} - $before->{$key}, '>=', 0.5,
        'what it waited is in its delivery');

    my $lost = $stream;

    moves($nginx, 'replaced, with a call that waits', { streams_opened => 1,
        'streams_ended replaced' => 1, 'auth_cache_requests good' => 4,
        'handovers own' => 3, delivery_duration => 3, 'messages request' => 3,
        'messages_not_run stream_ended' => 1, 'calls tools/call dropped' => 2,
        call_duration => 2 }, sub {
            to_owner(tool($_, 'hold', { gate => 'replaced' })) for 1 .. 3;
            $stream = open_stream($nginx, worker => $owner,
                headers => [ 'Last-Event-ID', $session ]);
            frappe()->open_gate('replaced');
        });
    is(gauge($nginx, 'sessions'), 1, 'one session');

    moves($nginx, 'left, and not back', { 'streams_ended client_left' => 1 },
        sub { $stream->close });
    ok(run_until(sub { gauge($nginx, 'tombstones') == 0 }),
        'the tombstone goes with the grace');
    $lost->close;
}

# ---- many at once, from both workers: each is counted once

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
            "$n calls over both workers, $round") or diag(explain($got));

        my @asked = map { (scrape($conn{$_}))[0] } @workers;

        is_deeply($asked[0], $asked[1], 'the same from every worker');
        $_->close for @streams;
        run_until(sub { gauge($nginx, 'streams') == 1 });
    }
}

# ---- the format, in all that was read

is_deeply([ page_faults() ], [], 'each page keeps to the format');

SKIP: {
    my ($promtool) = grep { -x } map { "$_/promtool" }
        split /:/, $ENV{PATH} || '';

    skip 'promtool is not installed', 1 unless $promtool;

    my $pid = open my $out, '|-', "$promtool check metrics >&2"
        or die "promtool: $!\n";

    print {$out} get($nginx, '/metrics')->body;
    ok(close $out, "promtool's own checks, pid $pid");
}

$_->close for values %conn;

finish();
