# Much of everything, and none left of anything: held POSTs, connections,
# files, the zone, workers that die while they exit.  docs/PROTOCOL.md 12.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::H2;
use Test::More;

my $frappe = start_frappe();


# select() ends at 1024 files: what needs more streams or POSTs than that has
# them on a few HTTP/2 connections.

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


# 1,000 held POSTs

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

    ok(pending($nginx, 1000), '1,000 POSTs are held and counted')
        or diag(health($nginx)->{pending_requests});
    is(scalar(grep { $_->ended } @held), 0, 'none is answered');
    ok(call($nginx, $other, tool(1, 'echo', {})), 'another session works');

    # a tenth of the clients leave

    $_->close for @h1[0 .. 49];
    $h2[$_ % 2]->reset($held[$_ - 1]) for 101 .. 150;
    ok(pending($nginx, 900), '100 clients leave: 900')
        or diag(health($nginx)->{pending_requests});

    my $again = open_stream($nginx,
        path => '/mcp/sse?session_id=' . $stream->session);

    is($again->session, $stream->session, 'the session is back');
    run_until(sub { !grep { !$_->ended } @held });
    is(scalar(grep { ($_->status || 0) == 202 } @held[50 .. 99, 150 .. 999]),
        900, '900 are accepted');
    ok(run_until(sub { $again->messages >= 900 }), 'and answered')
        or diag(scalar $again->messages);
    is(scalar(grep { $again->answers($_) != 1 } 51 .. 100, 151 .. 1000), 0,
        'each once');
    is(scalar(grep { $again->answers($_) } 1 .. 50, 101 .. 150), 0,
        'not those that left');
    ok(pending($nginx, 0), 'nothing is pending');
    $_->close for $again, $other, @h1, @h2;
}

# the same, but the grace ends

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
    ok(pending($nginx, 1000), 'again 1,000');
    ok(run_until(sub { !grep { !$_->ended } @held }),
        'the grace ends: all have an answer');
    is(scalar(grep { ($_->status || 0) == 400 } @held), 1000, 'which is 400');
    ok(pending($nginx, 0), 'nothing is pending');
    is($frappe->tool_count('echo'), 0, 'and nothing has run');
    ok(call($nginx, $other, tool(2, 'echo', {})), 'another session works');
    $_->close for $other, @h2;
}

# the zone has another size after a reload: another zone, the same keys

{
    my $zone = sub { return "mcp_sse_zone zone=mcp_sse:$_[0]; "
        . 'mcp_sse_drain 1s; mcp_sse_grace 10s;' };
    my $nginx  = start_nginx(workers => 2, http => $zone->('8m'));
    my $stream = open_stream($nginx);

    for my $size ('16m', '6m', '6m') {
        accepted(post($nginx, $stream, tool(1, 'sleep', { seconds => 1 })),
            "zone to $size: a call");
        $nginx->configure(http => $zone->($size));

        my @old = $nginx->reload;

        is($stream->wait_ended, 'clean', "zone to $size: the end");
        like(($stream->answers(1))[0] || '', qr/slept/,
            "zone to $size: behind the answer");
        ok($nginx->wait_gone(\@old), "zone to $size: the workers go");

        my $again = open_stream($nginx,
            headers => [ 'Last-Event-ID', $stream->session ]);

        is($again->session, $stream->session, "zone to $size: the id is good");

        for my $worker ($nginx->wait_workers) {
            delete $again->{answers}{2};
            ok(call($nginx, $again, request(2, 'ping'), worker => $worker),
                "zone to $size: messages arrive");
        }

        is(health($nginx)->{active_connections}, 1,
            "zone to $size: one stream is counted");
        is(health($nginx)->{pending_requests}, 0,
            "zone to $size: nothing pending");
        $stream = $again;
    }

    $stream->close;
}

# no connections or no files are left

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

    # messages come over HTTP/2: no connection is needed for each

    my $h2     = h2($nginx);
    my $stream = open_stream($nginx, conn => $h2);
    my $health = sub {
        my $response = $h2->get('/health', host => 'erp.example.com');

        return ($response->json || {})->{active_connections} || 0;
    };

    ok(call($nginx, $stream, tool(1, 'echo', {}), conn => $h2),
        "no $what: before it");

    my @streams = map { open_stream($nginx, wait => 0) } 1 .. 70;

    # until nothing has changed for two seconds

    ok($nginx->wait_log($line), "no $what: the log says so");

    my @open;
    my $since = now();

    run_until(sub {
        my $before = @open;

        @open  = grep { $_->session && !$_->ended } @streams;
        $since = now() if @open != $before;

        return now() - $since > 2;
    });

    cmp_ok(scalar @open, '>', 10, "no $what: some streams");
    cmp_ok(scalar @open, '<', 70, "no $what: not all");

    for my $n (2 .. 4) {
        ok(call($nginx, $stream, request($n, 'ping'), conn => $h2),
            "no $what: an open stream works");
    }

    my $answer = call($nginx, $stream, tool(5, 'echo', {}), conn => $h2);

    ok($answer, "no $what: a call has an answer");
    ok(!$answer || !error_of($answer) || error_of($answer)->{message}
        =~ /\ABackend (?:error|unavailable)\z/, "no $what: a decent one")
        or diag($answer);
    is(scalar $stream->answers(5), 1, "no $what: only one");
    is(scalar(grep { $_->ended } @open), 0, "no $what: no stream has ended");
    is($health->(), @open + 1, "no $what: /health counts them");

    # some leave: there is room

    $_->close for @open[0 .. 9];
    $_->close for grep { !$_->session } @streams;
    ok(run_until(sub { $health->() <= @open - 9 }),
        "no $what: some leave");
    ok(run_until(sub {
        delete $stream->{answers}{6};
        my $raw = call($nginx, $stream, tool(6, 'echo', {}), conn => $h2);
        return $raw && !error_of($raw);
    }), "no $what: calls work again");

    my $new = open_stream($nginx);

    is($new->status, 200, "no $what: so do new streams");
    is(scalar(grep { $_->ended } @open[10 .. $#open]), 0,
        "no $what: the others have stayed");
    is_deeply([ $nginx->wait_workers ], \@workers, "no $what: same worker");

    my @loud = grep { /\[(?:warn|error|crit|alert|emerg)\]/ }
        split /\n/, $nginx->error_log;

    cmp_ok(scalar @loud, '<', 300, "no $what: not too often");
    is(scalar(grep { /mcp sse/ && /\[(?:crit|alert|emerg)\]/ } @loud), 0,
        "no $what: nothing alarming of ours");
    $_->close for $new, $h2, @open;
}

# workers that die while they exit, or before, with sessions and messages:
# nothing stays in the zone

{
    my $nginx = start(workers => 2, http => <<'EOT');
        mcp_sse_zone          zone=mcp_sse:1100k;
        mcp_sse_max_message   4k;
        mcp_sse_grace         1s;
        mcp_sse_drain         1h;
        mcp_sse_call_timeout  60s;
EOT

    my $owner_of = sub { return $_[0]->get('/pid')->body };


    # how many sessions there is room for, with all of them on one worker

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
    is($room->(), $before, 'and again');

    for my $round (1 .. 4) {
        my $exiting = $round > 2;
        my $name    = $exiting ? "exiting $round" : "live $round";
        my $h2      = h2($nginx);
        my $victim  = $owner_of->($h2);
        my @streams = open_streams($nginx, int $before / 3, conn => $h2);
        my ($other) = grep { $_ != $victim } $nginx->wait_workers;
        my $from    = connect_worker($nginx, $other);
        my $safe    = open_stream($nginx, worker => $other);

        # messages in all states: running, taken, in the inbox

        post($nginx, $streams[$_], tool(1, 'sleep', { seconds => 30,
            text => 'x' x 1000 }), conn => $from) for 0 .. 9;
        call($nginx, $safe, request(1, 'ping'));

        if ($exiting) {
            $nginx->reload;
            $from->close;
            ok(!$streams[20]->ended, "$name: streams stay after the reload");
        }

        kill STOP => $victim;
        post($nginx, $streams[$_], tool(2, 'echo', { text => 'x' x 1000 }),
            $exiting ? () : (conn => $from)) for 10 .. 19;
        $nginx->kill_worker($victim);
        ok(run_until(sub { !grep { !$_->ended } @streams }),
            "$name: killed with " . @streams . ' sessions');

        ok(run_until(sub { post($nginx, $streams[30],
            request(3, 'ping'))->status == 400 }), "$name: they are gone");
        is(scalar(grep { post($nginx, $_, request(3, 'ping'))->status != 400 }
            @streams[0 .. 25]), 0, "$name: all of them");
        ok(active($nginx, 1), "$name: the streams are not counted")
            or diag(health($nginx)->{active_connections});
        ok(pending($nginx, 0), "$name: nothing is pending")
            or diag(health($nginx)->{pending_requests});
        ok(call($nginx, $safe, request(2, 'ping')),
            "$name: another worker's session is not affected");
        $_->close for $safe, $h2, $from;
        active($nginx, 0);
        run_until(sub { $nginx->worker_pids(exiting => 1) == 2 });
    }

    run_until(sub { metrics($nginx)->{nginx_mcp_sse_tombstones} == 0 });

    my $after = $room->();

    cmp_ok($after, '>=', $before - 2, 'there is as much room as before')
        or diag("$after of $before");
}

finish();
