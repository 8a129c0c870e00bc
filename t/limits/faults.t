# Limits that are reached: 1,000 POSTs that wait, a zone of another size, no
# connections, no files, and the room of killed workers in the zone.
# docs/PROTOCOL.md 4.5, 4.13, 8.5, 12.6, 12.11, 12.12.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::H2;
use Test::More;

my $frappe = start_frappe();


# Starts nginx with HTTP/2: select() in the test takes 1024 files at most, so
# more streams and POSTs than that go over a few HTTP/2 connections.

sub start {
    my (%opt) = @_;

    my $port = MCPTest::Nginx::free_port();

    $opt{http} = ($opt{http} || '') . ' http2_max_concurrent_streams 5000;'
        . ' mcp_sse_max_sessions 100000;';

    my $reuse = ($opt{workers} || 1) > 1 ? 'reuseport' : '';
    my $nginx = start_nginx(%opt,
        server => "listen 127.0.0.1:$port http2 $reuse;");

    $nginx->{h2} = $port;

    return $nginx;
}


sub h2 { return MCPTest::H2->connect_to($_[0]{h2}) }


sub pending {
    my ($nginx, $n) = @_;

    return run_until(sub { health($nginx)->{pending_requests} == $n });
}


sub active {
    my ($nginx, $n) = @_;

    return run_until(sub { health($nginx)->{active_connections} == $n });
}


# 1,000 POSTs wait for a stream, which comes back

{
    my $nginx = start(http => 'mcp_sse_grace 300s; mcp_sse_max_inbox 1200; '
        . 'mcp_sse_zone zone=mcp_sse:32m;');
    my $other  = open_stream($nginx);
    my $stream = open_stream($nginx);

    $stream->close;
    active($nginx, 1);

    my @h2   = map { h2($nginx) } 1 .. 2;
    my @h1   = map { connect_to($nginx) } 1 .. 100;
    my @held = map { post($nginx, $stream, request($_, 'ping'),
        conn => $_ <= 100 ? $h1[$_ - 1] : $h2[$_ % 2], async => 1) }
        1 .. 1000;

    ok(pending($nginx, 1000), '/health counts 1,000 POSTs that wait')
        or diag(health($nginx)->{pending_requests});
    is(scalar(grep { $_->ended } @held), 0, 'no POST that waits is answered');
    ok(call($nginx, $other, tool(1, 'echo', {})),
        'a call of another session is answered while 1,000 POSTs wait');

    # a tenth of the clients leave

    $_->close for @h1[0 .. 49];
    $h2[$_ % 2]->reset($held[$_ - 1]) for 101 .. 150;
    ok(pending($nginx, 900), 'when 100 clients leave, 900 POSTs wait')
        or diag(health($nginx)->{pending_requests});

    my $again = open_stream($nginx,
        path => '/mcp/sse?session_id=' . $stream->session);

    is($again->session, $stream->session,
        'a stream with session_id takes the session over');
    run_until(sub { !grep { !$_->ended } @held });
    is(scalar(grep { ($_->status || 0) == 202 } @held[50 .. 99, 150 .. 999]),
        900, 'then the 900 POSTs are accepted');
    ok(run_until(sub { $again->messages >= 900 }),
        'then 900 messages are answered') or diag(scalar $again->messages);
    is(scalar(grep { $again->answers($_) != 1 } 51 .. 100, 151 .. 1000), 0,
        'each of the 900 messages is answered once');
    is(scalar(grep { $again->answers($_) } 1 .. 50, 101 .. 150), 0,
        'no message of a client that left is answered');
    ok(pending($nginx, 0), 'no request is pending after the take-over');
    $_->close for $again, $other, @h1, @h2;
}

# 1,000 POSTs wait until the end of mcp_sse_grace

{
    my $nginx = start(http => 'mcp_sse_grace 15s; mcp_sse_max_inbox 1200; '
        . 'mcp_sse_zone zone=mcp_sse:32m;');
    my $other  = open_stream($nginx);
    my $stream = open_stream($nginx);

    $stream->close;
    active($nginx, 1);

    my @h2 = (h2($nginx));
    my @held;

    $frappe->reset;
    @held = map { post($nginx, $stream, tool($_, 'echo', {}),
        conn => $h2[0], async => 1) } 1 .. 1000;
    ok(pending($nginx, 1000), '/health counts 1,000 calls that wait');
    ok(run_until(sub { !grep { !$_->ended } @held }),
        'all 1,000 POSTs are answered after mcp_sse_grace');
    is(scalar(grep { ($_->status || 0) == 400 } @held), 1000,
        'all 1,000 POSTs are 400 after mcp_sse_grace');
    ok(pending($nginx, 0), 'no request is pending after mcp_sse_grace');
    is($frappe->tool_count('echo'), 0, 'none of the 1,000 calls runs');
    ok(call($nginx, $other, tool(2, 'echo', {})),
        'a call of another session is answered after mcp_sse_grace');
    $_->close for $other, @h2;
}

# a reload changes the size of the zone: a new zone with the same keys

{
    my $zone = sub { return "mcp_sse_zone zone=mcp_sse:$_[0]; "
        . 'mcp_sse_drain 1s; mcp_sse_grace 10s;' };
    my $nginx  = start_nginx(workers => 2, http => $zone->('8m'));
    my $stream = open_stream($nginx);

    for my $size ('16m', '6m', '6m') {
        accepted(post($nginx, $stream, tool(1, 'sleep', { seconds => 1 })),
            "zone to $size: a call is accepted before the reload");
        $nginx->configure(http => $zone->($size));

        my @old = $nginx->reload;

        is($stream->wait_ended, 'clean',
            "zone to $size: the stream ends with its last chunk");
        like(($stream->answers(1))[0] || '', qr/slept/,
            "zone to $size: the call is answered before the end");
        ok($nginx->wait_gone(\@old), "zone to $size: the old workers end");

        my $again = open_stream($nginx,
            headers => [ 'Last-Event-ID', $stream->session ]);

        is($again->session, $stream->session,
            "zone to $size: the session id stays valid");

        for my $worker ($nginx->wait_workers) {
            delete $again->{answers}{2};
            ok(call($nginx, $again, request(2, 'ping'), worker => $worker),
                "zone to $size: each new worker delivers a message");
        }

        is(health($nginx)->{active_connections}, 1,
            "zone to $size: /health counts one stream");
        is(health($nginx)->{pending_requests}, 0,
            "zone to $size: no request is pending");
        $stream = $again;
    }

    $stream->close;
}

# worker_connections or worker_rlimit_nofile is used up

for my $case (
    [ 'connections', qr/worker_connections are not enough/ ],
    [ 'files', qr/Too many open files/ ],
) {
    my ($what, $line) = @$case;

    my $limit = sub {
        my ($self) = @_;
        my $text = $self->template;

        $what eq 'files'
            ? $text =~ s/worker_rlimit_nofile \d+/worker_rlimit_nofile 50/
            : $text =~ s/worker_connections \d+/worker_connections 50/;

        return $text;
    };

    my $nginx   = start(config => $limit, allow => [ $line ],
        http => 'mcp_sse_call_timeout 60s;');
    my @workers = $nginx->wait_workers;

    # messages come over one HTTP/2 connection

    my $h2     = h2($nginx);
    my $stream = open_stream($nginx, conn => $h2);
    my $health = sub {
        my $response = $h2->get('/health', host => 'erp.example.com');

        return ($response->json || {})->{active_connections} || 0;
    };

    ok(call($nginx, $stream, tool(1, 'echo', {}), conn => $h2),
        "no $what: a call is answered before the limit");

    my @streams = map { open_stream($nginx, wait => 0) } 1 .. 70;

    # wait until no stream has opened or ended for two seconds

    ok($nginx->wait_log($line), "no $what: the log names the limit");

    my @open;
    my $since = now();

    run_until(sub {
        my $before = @open;

        @open  = grep { $_->session && !$_->ended } @streams;
        $since = now() if @open != $before;

        return now() - $since > 2;
    });

    cmp_ok(scalar @open, '>', 10, "no $what: streams within the limit open");
    cmp_ok(scalar @open, '<', 70, "no $what: streams beyond it do not open");

    for my $n (2 .. 4) {
        ok(call($nginx, $stream, request($n, 'ping'), conn => $h2),
            "no $what: a ping on an open stream is answered");
    }

    my $answer = call($nginx, $stream, tool(5, 'echo', {}), conn => $h2);

    ok($answer, "no $what: a call is answered");
    ok(!$answer || !error_of($answer) || error_of($answer)->{message}
        =~ /\ABackend (?:error|unavailable)\z/,
        "no $what: the answer is a result or says that Frappe is unavailable")
        or diag($answer);
    is(scalar $stream->answers(5), 1, "no $what: a call has one answer");
    is(scalar(grep { $_->ended } @open), 0, "no $what: no open stream ends");
    is($health->(), @open + 1, "no $what: /health counts the open streams");

    # some clients leave

    $_->close for @open[0 .. 9];
    $_->close for grep { !$_->session } @streams;
    ok(run_until(sub { $health->() <= @open - 9 }),
        "no $what: /health no longer counts clients that leave");
    ok(run_until(sub {
        delete $stream->{answers}{6};
        my $raw = call($nginx, $stream, tool(6, 'echo', {}), conn => $h2);
        return $raw && !error_of($raw);
    }), "no $what: then calls have results again");

    my $new = open_stream($nginx);

    is($new->status, 200, "no $what: then a new stream opens");
    is(scalar(grep { $_->ended } @open[10 .. $#open]), 0,
        "no $what: the other streams stay open");
    is_deeply([ $nginx->wait_workers ], \@workers,
        "no $what: the worker is the same at the end");

    my @loud = grep { /\[(?:warn|error|crit|alert|emerg)\]/ }
        split /\n/, $nginx->error_log;

    cmp_ok(scalar @loud, '<', 300, "no $what: the log has few lines about it");
    is(scalar(grep { /mcp sse/ && /\[(?:crit|alert|emerg)\]/ } @loud), 0,
        "no $what: no line of the module is crit, alert or emerg");
    $_->close for $new, $h2, @open;
}

# workers are killed, while they exit or before, with sessions and messages:
# the zone frees what they had

{
    my $nginx = start(workers => 2, http => <<'EOT');
        mcp_sse_zone          zone=mcp_sse:1100k;
        mcp_sse_max_message   4k;
        mcp_sse_grace         1s;
        mcp_sse_drain         1h;
        mcp_sse_call_timeout  60s;
EOT

    my $owner_of = sub { return $_[0]->get('/pid')->body };


    # for how many sessions the zone has room, all of them at one worker

    my $room = sub {
        my $h2 = h2($nginx);
        my ($n, $full) = (0, 0);

        for (1 .. 100) {
            my @more = open_streams($nginx, 50, conn => $h2);
            my $good = grep { ($_->status || 0) == 200 } @more;

            $n += $good;
            $full = 1 if $good < 50;
            last if $full;
        }

        $h2->close;
        active($nginx, 0);

        run_until(sub { metrics($nginx)->{nginx_mcp_sse_tombstones} == 0 });

        return $full ? $n : -1;
    };

    my $before = $room->();

    cmp_ok($before, '>', 100, "the zone has room for $before sessions");
    is($room->(), $before, 'after their end it has room for as many again');

    for my $round (1 .. 4) {
        my $exiting = $round > 2;
        my $name    = $exiting ? "exiting $round" : "live $round";
        my $h2      = h2($nginx);
        my $victim  = $owner_of->($h2);
        my @streams = open_streams($nginx, int $before / 3, conn => $h2);
        my ($other) = grep { $_ != $victim } $nginx->wait_workers;
        my $from    = connect_worker($nginx, $other);
        my $safe    = open_stream($nginx, worker => $other);

        # messages that run, that wait for a call, and in the inbox

        post($nginx, $streams[$_], tool(1, 'sleep', { seconds => 30,
            text => 'x' x 1000 }), conn => $from) for 0 .. 9;
        call($nginx, $safe, request(1, 'ping'));

        if ($exiting) {
            $nginx->reload;
            $from->close;
            ok(!$streams[20]->ended,
                "$name: streams stay open after the reload");
        }

        kill STOP => $victim;
        post($nginx, $streams[$_], tool(2, 'echo', { text => 'x' x 1000 }),
            $exiting ? () : (conn => $from)) for 10 .. 19;
        $nginx->kill_worker($victim);
        ok(run_until(sub { !grep { !$_->ended } @streams }),
            "$name: the streams of the killed worker end");

        ok(run_until(sub { post($nginx, $streams[30],
            request(3, 'ping'))->status == 400 }),
            "$name: a message for the killed worker is soon 400");
        is(scalar(grep { post($nginx, $_, request(3, 'ping'))->status != 400 }
            @streams[0 .. 25]), 0, "$name: messages for its sessions are 400");
        ok(active($nginx, 1), "$name: /health does not count its streams")
            or diag(health($nginx)->{active_connections});
        ok(pending($nginx, 0), "$name: no request is pending")
            or diag(health($nginx)->{pending_requests});
        ok(call($nginx, $safe, request(2, 'ping')),
            "$name: a ping of another worker's session is answered");
        $_->close for $safe, $h2, $from;
        active($nginx, 0);
        run_until(sub { $nginx->worker_pids(exiting => 1) == 2 });
    }

    run_until(sub { metrics($nginx)->{nginx_mcp_sse_tombstones} == 0 });

    my $after = $room->();

    cmp_ok($after, '>=', $before - 2,
        'after all kills the zone has room for as many sessions')
        or diag("$after of $before");
}

finish();
