# A stream that is lost or replaced: messages wait for mcp_sse_grace, a client
# may come back with its session id, and a second stream with the id replaces
# the first.  docs/PROTOCOL.md 3 and 4.

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


# the client comes back within mcp_sse_grace, in both ways, at every worker

for my $way ('Last-Event-ID', 'session_id') {
    for my $worker ($nginx->wait_workers) {
        my $stream = open_stream($nginx);
        my $id     = lost($stream);

        my $held = post($nginx, $stream, tool(1, 'echo', { text => 'held' }),
            async => 1);

        ok(run_until(sub { health($nginx)->{pending_requests} == 1 }),
            "$way: a POST without a stream is pending");
        ok(!$held->ended, "$way: a POST without a stream waits");

        my $again = $way eq 'session_id'
            ? open_stream($nginx, worker => $worker,
                path => "/mcp/sse?session_id=$id")
            : open_stream($nginx, worker => $worker,
                headers => [ 'Last-Event-ID', $id ]);

        is($again->session, $id,
            "$way: the new stream has the same session id");
        is($again->first_block, "id: $id\nevent: endpoint\n"
            . "data: /mcp/messages?session_id=$id\n\n",
            "$way: the new stream begins with the same endpoint event");
        $held->wait;
        accepted($held, "$way: the POST that waits is accepted");
        like($again->wait_answer(1) || '', qr/held/,
            "$way: the POST that waited is answered on the new stream");
        ok(run_until(sub { health($nginx)->{pending_requests} == 0 }),
            "$way: nothing is pending after the answer");
        ok(call($nginx, $again, request(2, 'ping')),
            "$way: calls work on the new stream");
        $again->close;
        run_until(sub { health($nginx)->{active_connections} == 0 });
    }
}

# the client comes back after mcp_sse_grace

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
        'a POST is refused if no stream comes within mcp_sse_grace');
    cmp_ok(now() - $open, '>', 4, 'the POST waits before it is refused');
    ok(run_until(sub { health($nginx)->{pending_requests} == 0 }),
        'nothing is pending after the refusal');
    run_until(sub { metrics($nginx)->{nginx_mcp_sse_tombstones} == 0 });

    my $late = post($nginx, $stream, request(1, 'ping'));

    is($late->status, 400, 'a POST after mcp_sse_grace is refused');
    cmp_ok($late->took, '<', 5, 'a POST after mcp_sse_grace does not wait');

    my $again = open_stream($nginx, path => "/mcp/sse?session_id=$id");

    is($again->session, $id,
        'a client that comes back later gets its session id again');
    ok(call($nginx, $again, request(2, 'ping')),
        'calls work when a client comes back later');
    $again->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# too many POSTs wait

{
    my $stream = open_stream($nginx);
    my $worker = ($nginx->wait_workers)[0];

    lost($stream);

    my @held = map { post($nginx, $stream, request($_, 'ping'),
        worker => $worker, async => 1) } 1 .. 9;

    ok(run_until(sub { 4 == grep { $_->ended } @held }),
        'POSTs beyond mcp_sse_max_inbox are refused at once');
    is(scalar(grep { ($_->status || 0) == 429 } @held), 4,
        'POSTs beyond mcp_sse_max_inbox are 429');
    is(health($nginx)->{pending_requests}, 5, 'mcp_sse_max_inbox POSTs wait');

    # the client of one POST leaves

    my ($leaving) = grep { !$_->ended } @held;

    $leaving->{conn}->close;
    ok(run_until(sub { health($nginx)->{pending_requests} == 4 }),
        'a POST whose client leaves is no longer pending');

    my $again = open_stream($nginx,
        path => '/mcp/sse?session_id=' . $stream->session);

    run_until(sub { !grep { !$_->ended } @held });
    is(scalar(grep { ($_->status || 0) == 202 } @held), 4,
        'the POSTs that wait are accepted when a stream opens');
    ok(run_until(sub { $again->messages == 4 }),
        'the POSTs that waited are answered');
    $again->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# a second stream with the id of an open one

for my $worker ($nginx->wait_workers) {
    my $first = open_stream($nginx);

    accepted(post($nginx, $first, tool(1, 'hang', {})),
        'a call on the first stream is accepted');

    my $second = open_stream($nginx, worker => $worker,
        headers => [ 'Last-Event-ID', $first->session ]);

    is($second->session, $first->session,
        'a second stream with the same id opens');
    ok($first->wait_ended, 'the second stream ends the first');
    is($first->ended, 'clean', 'the first stream ends with its last chunk');
    is($first->retry, undef, 'the first stream ends without retry:');
    is_error(($first->answers(1))[0], -32010,
        'Stream closed before the answer',
        'the open call of the first stream is answered');
    ok(call($nginx, $second, request(2, 'ping')),
        'messages are answered on the second stream');
    is(scalar $first->answers(2), 0,
        'messages are not answered on the first stream');
    ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
        '/health counts one stream');
    ok($nginx->wait_log(qr/SSE connection closed: \w+, [^,]*replac/),
        'the log says that the stream was replaced');

    # the first connection closes late

    $first->close;
    connect_worker($nginx, $_)->close for $nginx->wait_workers;
    ok(call($nginx, $second, request(3, 'ping')),
        'the second stream works after the first connection has closed');
    $second->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# a stream is replaced many times

{
    my @streams = (open_stream($nginx));
    my $id = $streams[0]->session;

    push @streams, open_stream($nginx, path => "/mcp/sse?session_id=$id")
        for 1 .. 20;

    is(scalar(grep { ($_->session || '') eq $id } @streams), 21,
        '20 further streams get the same session id');
    ok(run_until(sub { 20 == grep { $_->ended } @streams }),
        'all streams but the last one end');
    ok(call($nginx, $streams[-1], request(1, 'ping')),
        'calls work on the last stream');
    $streams[-1]->close;
}

# a stream is replaced while messages come in and wait

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
        'replaced 12 times under load: every POST gets its response');
    ok(run_until(sub { health($nginx)->{pending_requests} == 0 }),
        'nothing stays pending') or diag(health($nginx)->{pending_requests});
    ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
        'replaced 12 times under load: /health counts one stream');

    # calls whose stream was replaced get an error; those of the last stream
    # still run

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
        'replaced 12 times under load: every accepted call is answered');
    is(scalar(grep { $_ != 1 } values %answers), 0,
        'replaced 12 times under load: no call is answered twice');
    ok(call($nginx, $streams[-1], request('"end"', 'ping')),
        'replaced 12 times under load: the last stream works');
    $_->close for @streams, @conns;
}

# invalid ids are ignored

for my $id ('A' x 50, 'x', '', '42', '%00') {
    my $stream = open_stream($nginx, headers => [ 'Last-Event-ID', $id ]);

    is($stream->status, 200,
        "an invalid Last-Event-ID opens a stream: \"$id\"");
    isnt($stream->session, $id,
        "an invalid Last-Event-ID gets a new session id: \"$id\"");
    $stream->close;

    $stream = open_stream($nginx, path => "/mcp/sse?session_id=$id");
    is($stream->status, 200, "an invalid session_id opens a stream: \"$id\"");
    $stream->close;
}

# mcp_sse_grace 0s

{
    my $nginx  = start_nginx(http => 'mcp_sse_grace 0s;');
    my $stream = open_stream($nginx);

    $stream->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });

    my $refused = post($nginx, $stream, request(1, 'ping'));

    is($refused->status, 400,
        'mcp_sse_grace 0s: a POST without a stream is refused');
    cmp_ok($refused->took, '<', 5,
        'mcp_sse_grace 0s: a POST without a stream does not wait');
}

# the credential of the first stream is looked up while another stream replaces
# it

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
    ok(run_until(sub { $asked }),
        'the credential of the first stream is looked up again');

    my $second = open_stream($nginx, headers =>
        [ 'Last-Event-ID', $first->session ],
        auth => MCPTest::Frappe::credential('alice', 'bearer'));

    is($second->session, $first->session,
        'a stream with another credential replaces it meanwhile');
    $taken  = 1;
    $others = 0;
    ok(run_until(sub { $others >= 3 }),
        'the credential of the second stream is looked up again');
    ok(!$second->ended,
        'the second stream stays when the first credential is refused');
    $second->close;
}

finish();
