# A lost stream: messages are held for mcp_sse_grace, the same id can be
# registered again, a second stream with it replaces the first.
# docs/PROTOCOL.md 3 and 4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 2,
    http => 'mcp_sse_grace 300s; mcp_sse_max_inbox 5;');


sub lost {
    my ($stream) = @_;

    my $open = health($nginx)->{active_connections};

    $stream->close;
    run_until(sub { health($nginx)->{active_connections} < $open });

    return $stream->session;
}


# within the grace, by both ways, at every worker

for my $way ('Last-Event-ID', 'session_id') {
    for my $worker ($nginx->wait_workers) {
        my $stream = open_stream($nginx);
        my $id     = lost($stream);

        my $held = post($nginx, $stream, tool(1, 'echo', { text => 'held' }),
            async => 1);

        ok(run_until(sub { health($nginx)->{pending_requests} == 1 }),
            "$way: a POST is pending");
        ok(!$held->ended, "$way: it is held");

        my $again = $way eq 'session_id'
            ? open_stream($nginx, worker => $worker,
                path => "/mcp/sse?session_id=$id")
            : open_stream($nginx, worker => $worker,
                headers => [ 'Last-Event-ID', $id ]);

        is($again->session, $id, "$way: the same id");
        is($again->first_block, "id: $id\nevent: endpoint\n"
            . "data: /mcp/messages?session_id=$id\n\n",
            "$way: announced as before");
        $held->wait;
        accepted($held, "$way: the held POST is accepted");
        like($again->wait_answer(1) || '', qr/held/, "$way: and answered");
        ok(run_until(sub { health($nginx)->{pending_requests} == 0 }),
            "$way: nothing pending");
        ok(call($nginx, $again, request(2, 'ping')), "$way: it works");
        $again->close;
        run_until(sub { health($nginx)->{active_connections} == 0 });
    }
}

# after it

{
    my $nginx  = start_nginx(workers => 2, http => 'mcp_sse_grace 5s;');
    my $stream = open_stream($nginx);
    my $open   = now();
    my $id;

    $stream->close;
    $id = $stream->session;
    run_until(sub { health($nginx)->{active_connections} == 0 });

    my $held = post($nginx, $stream, request(1, 'ping'));

    is_rejected($held, 400, -32001, 'Invalid session ID',
        'no stream within mcp_sse_grace: 400');
    cmp_ok(now() - $open, '>', 4, 'after it was held');
    ok(run_until(sub { health($nginx)->{pending_requests} == 0 }),
        'nothing pending');
    run_until(sub { metrics($nginx)->{nginx_mcp_sse_tombstones} == 0 });

    my $late = post($nginx, $stream, request(1, 'ping'));

    is($late->status, 400, 'then refused');
    cmp_ok($late->took, '<', 5, 'without being held as long');

    my $again = open_stream($nginx, path => "/mcp/sse?session_id=$id");

    is($again->session, $id, 'a good id is registered even later');
    ok(call($nginx, $again, request(2, 'ping')), 'and works');
    $again->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# too many held

{
    my $stream = open_stream($nginx);
    my $worker = ($nginx->wait_workers)[0];

    lost($stream);

    my @held = map { post($nginx, $stream, request($_, 'ping'),
        worker => $worker, async => 1) } 1 .. 9;

    ok(run_until(sub { 4 == grep { $_->ended } @held }),
        'more than mcp_sse_max_inbox: 4 of 9 are refused at once');
    is(scalar(grep { ($_->status || 0) == 429 } @held), 4, 'with 429');
    is(health($nginx)->{pending_requests}, 5, '5 are held');

    # one of them leaves

    my ($leaving) = grep { !$_->ended } @held;

    $leaving->{conn}->close;
    ok(run_until(sub { health($nginx)->{pending_requests} == 4 }),
        'a client leaves: one less');

    my $again = open_stream($nginx,
        path => '/mcp/sse?session_id=' . $stream->session);

    run_until(sub { !grep { !$_->ended } @held });
    is(scalar(grep { ($_->status || 0) == 202 } @held), 4,
        'the rest are accepted');
    ok(run_until(sub { $again->messages == 4 }), 'and answered');
    $again->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# an open stream is replaced

for my $worker ($nginx->wait_workers) {
    my $first = open_stream($nginx);

    accepted(post($nginx, $first, tool(1, 'hang', {})), 'a call');

    my $second = open_stream($nginx, worker => $worker,
        headers => [ 'Last-Event-ID', $first->session ]);

    is($second->session, $first->session, 'a second stream with the same id');
    ok($first->wait_ended, 'ends the first');
    is($first->ended, 'clean', 'in good order');
    is($first->retry, undef, 'without retry:');
    is_error(($first->answers(1))[0], -32010,
        'Stream closed before the answer', 'its call is answered');
    ok(call($nginx, $second, request(2, 'ping')), 'messages go to the second');
    is(scalar $first->answers(2), 0, 'not to the first');
    ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
        'one stream is counted');
    ok($nginx->wait_log(qr/SSE connection closed: \w+, [^,]*replac/),
        'the log says why');

    # the end of the first, noticed late, does not end the second

    $first->close;
    connect_worker($nginx, $_)->close for $nginx->wait_workers;
    ok(call($nginx, $second, request(3, 'ping')), 'the second stays');
    $second->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# many times

{
    my @streams = (open_stream($nginx));
    my $id = $streams[0]->session;

    push @streams, open_stream($nginx, path => "/mcp/sse?session_id=$id")
        for 1 .. 20;

    is(scalar(grep { ($_->session || '') eq $id } @streams), 21, '20 times');
    ok(run_until(sub { 20 == grep { $_->ended } @streams }),
        'one is left');
    ok(call($nginx, $streams[-1], request(1, 'ping')), 'the last');
    $streams[-1]->close;
}

# replaced while messages come in and wait: nothing stays counted

{
    my $nginx   = start_nginx(workers => 2,
        http => 'mcp_sse_max_calls 1; mcp_sse_max_inbox 100;');
    my @workers = $nginx->wait_workers;
    my @conns   = map { connect_worker($nginx, $workers[$_ % 2]) } 0 .. 5;
    my @streams = (open_stream($nginx, worker => $workers[0]));
    my $session = $streams[0]->session;
    my $n       = 0;
    my @posts;

    for my $round (1 .. 12) {
        push @posts, map { [ ++$n, post($nginx, $session,
            tool($n, 'sleep', { seconds => 0.05 }), conn => $_, async => 1) ] }
            (@conns) x 4;
        push @streams, open_stream($nginx, worker => $workers[$round % 2],
            path => "/mcp/sse?session_id=$session");
    }

    run_until(sub { !grep { !$_->[1]->ended } @posts });
    ok(!(grep { ($_->[1]->status || 0) !~ /\A(?:202|400|429)\z/ } @posts),
        'replaced 12 times under load: every POST has an answer');
    ok(run_until(sub { health($nginx)->{pending_requests} == 0 }),
        'nothing is left pending') or diag(health($nginx)->{pending_requests});
    ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
        'one stream is counted');

    # those whose stream was replaced are told; the last one's still run

    my %answers;

    my $silent = sub {
        %answers = ();

        for my $stream (@streams) {
            $answers{$_} += $stream->answers($_)
                for keys %{ $stream->{answers} };
        }

        return grep { $_->[1]->status == 202 && !$answers{ $_->[0] } } @posts;
    };

    ok(run_until(sub { !$silent->() }),
        'every message that was accepted has an answer');
    is(scalar(grep { $_ != 1 } values %answers), 0, 'no answer came twice');
    ok(call($nginx, $streams[-1], request('"end"', 'ping')),
        'and the last stream works');
    $_->close for @streams, @conns;
}

# ids that are no good are ignored

for my $id ('A' x 50, 'x', '', '42', '%00') {
    my $stream = open_stream($nginx, headers => [ 'Last-Event-ID', $id ]);

    is($stream->status, 200, "Last-Event-ID: $id: a stream");
    isnt($stream->session, $id, 'with a new id');
    $stream->close;

    $stream = open_stream($nginx, path => "/mcp/sse?session_id=$id");
    is($stream->status, 200, "session_id=$id: a stream");
    $stream->close;
}

# no grace

{
    my $nginx  = start_nginx(http => 'mcp_sse_grace 0s;');
    my $stream = open_stream($nginx);

    $stream->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });

    my $refused = post($nginx, $stream, request(1, 'ping'));

    is($refused->status, 400, 'without grace: 400');
    cmp_ok($refused->took, '<', 5, 'it is not held as long as by default');
}

# the credential of the stream before is looked up while this one takes over

{
    my ($refuses, $asked, $taken, $others) = (0, 0, 0, 0);
    my $backend = start_backend(sub {
        my ($request) = @_;

        $others++ if $request->{headers}{authorization} =~ /Bearer/;
        return if !$refuses || $request->{headers}{authorization} =~ /Bearer/;

        $asked++;
        return (sub { $taken }, MCPTest::Backend::http(401, '{}'));
    });
    my $nginx  = start_nginx(backend => $backend->port,
        http => 'mcp_sse_auth_recheck 1s;');
    my $first  = open_stream($nginx);

    $refuses = 1;
    ok(run_until(sub { $asked }), 'the first credential is looked up');

    my $second = open_stream($nginx, headers =>
        [ 'Last-Event-ID', $first->session ],
        auth => MCPTest::Frappe::credential('alice', 'bearer'));

    is($second->session, $first->session, 'another takes over');
    $taken  = 1;
    $others = 0;
    ok(run_until(sub { $others >= 3 }), 'and is looked up');
    ok(!$second->ended, 'a refusal of the first is not for it');
    $second->close;
}

finish();
