# A client that does as browsers do (EventSource): it remembers the last id and
# the value of retry:, and when its stream ends, it connects again with
# Last-Event-ID.  The test ends the stream in every way.  docs/PROTOCOL.md 3.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Backend;
use Test::More;

my $frappe = start_frappe();


# Opens a client.  As a browser does, it connects again when its stream ends.

sub es {
    my ($nginx, %opt) = @_;

    my $es = { nginx => $nginx, opt => \%opt, retry => 0.1, times => 0 };

    return connected($es);
}


sub connected {
    my ($es) = @_;

    my @id = defined $es->{id} ? ('Last-Event-ID', $es->{id}) : ();

    $es->{stream} = open_stream($es->{nginx}, %{ $es->{opt} },
        headers => \@id);
    $es->{times}++;

    for my $event ($es->{stream}->events) {
        $es->{id} = $event->{id} if defined $event->{id};
    }

    return $es;
}


sub again {
    my ($es) = @_;

    my $stream = $es->{stream};

    $stream->wait_ended or return;
    $es->{retry} = $stream->retry / 1000 if defined $stream->retry;
    $stream->close;
    sleep_for($es->{retry});

    return connected($es);
}


# The connection of the stream breaks.

sub broken {
    my ($es) = @_;

    my $nginx = $es->{nginx};
    my $open  = health($nginx)->{active_connections};

    $es->{stream}->abort;
    run_until(sub { health($nginx)->{active_connections} < $open });

    return $es;
}


sub works {
    my ($es, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    delete $es->{stream}{answers}{'"works"'};

    return ok(call($es->{nginx}, $es->{stream}, tool('"works"', 'echo', {})),
        $name);
}


{
    my $nginx = start_nginx(workers => 2, http => 'mcp_sse_grace 300s; '
        . 'mcp_sse_retry 300ms; mcp_sse_drain 1s; mcp_sse_auth_cache 1s;');

    # the connection is lost for less than mcp_sse_grace: no message is lost

    my $es = es($nginx);
    my $id = $es->{id};

    is($id, $es->{stream}->session,
        'the last id of the stream is the session id');
    broken($es);

    my $held = post($nginx, $es->{stream}, tool(1, 'echo', {}), async => 1);

    again($es);
    is($es->{stream}->session, $id,
        'lost connection: the client gets its session again');
    $held->wait;
    accepted($held, 'lost connection: a message sent meanwhile is accepted');
    ok($es->{stream}->wait_answer(1),
        'lost connection: a message sent meanwhile is answered');

    # events with answers have no id, so the last id stays the session's

    works($es, 'lost connection: calls work again');
    is(scalar(grep { defined $_->{id} && $_->{id} ne $id }
        $es->{stream}->events), 0,
        "no event has another id than the session's");

    again(broken($es)) for 1 .. 10;
    is($es->{stream}->session, $id,
        'ten lost connections: the session stays the same');
    works($es, 'ten lost connections: calls work again');

    # nginx is reloaded

    post($nginx, $es->{stream}, tool(3, 'sleep', { seconds => 1 }));

    my $old = $es->{stream};

    $nginx->reload;
    again($es);
    like(($old->answers(3))[0] || '', qr/slept/,
        'reload: a call that runs is answered');
    is($es->{retry}, 0.3, 'reload: the stream ends with mcp_sse_retry');
    is($es->{stream}->session, $id,
        'reload: the client gets its session again');
    works($es, 'reload: calls work again');

    # the worker is killed

    my $owner = $es->{stream}->header('X-Worker');

    $nginx->wait_workers;
    $nginx->kill_worker($owner);
    again($es);
    is($es->{stream}->session, $id,
        'worker killed: the client gets its session again');
    works($es, 'worker killed: calls work again');
    $nginx->wait_workers;

    # a copy of the client, as in a duplicated tab, takes the session over; the
    # first one takes it back, and so on

    my $copy = { %$es, id => $id };

    for my $round (1 .. 3) {
        connected($copy);
        is($copy->{stream}->session, $id,
            "copy $round: the second client has the session");
        is(($es->{stream}->wait_ended || ''), 'clean',
            "copy $round: the first stream ends");
        is($es->{stream}->retry, undef,
            "copy $round: the first stream ends without retry:");
        again($es);
        ok($copy->{stream}->wait_ended,
            "copy $round: the second stream ends when the first connects");
    }

    works($es, 'copy: calls work on the last stream');
    ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
        'copy: one stream is counted');

    # another credential of the same user

    $es->{opt}{auth} = MCPTest::credential('alice', 'bearer');
    again(broken($es));
    is($es->{stream}->session, $id,
        'another credential of the user: the session is the same');
    works($es, 'another credential of the user: calls work');

    # another user sends the id

    my $mine = $es->{stream};

    my $bob = connected({ nginx => $nginx, id => $id,
        opt => { auth => MCPTest::credential('bob') } });

    is($bob->{stream}->status, 200, 'another user with the id: a stream opens');
    isnt($bob->{stream}->session, $id,
        'another user with the id: the session is a new one');
    ok(!$mine->ended, "another user with the id: the owner's stream stays");
    works($es, "another user with the id: the owner's calls work");
    $bob->{stream}->close;

    is(get($nginx, "/mcp/sse?session_id=$id", method => 'HEAD', headers =>
        [ Authorization => MCPTest::credential() ])->status, 200,
        'HEAD with the session id is answered');
    ok(!$mine->ended, 'HEAD with the session id does not end the stream');

    # the credential is revoked

    $frappe->set(revoke => 'alice-token');
    sleep_for(1.5);
    again(broken($es));
    is($es->{stream}->status, 401,
        'revoked credential: a new connection is 401');
    $frappe->reset;

    # the credential is good again

    $es->{opt}{auth} = MCPTest::credential();
    connected($es);
    is($es->{stream}->session, $id,
        'good credential again: the session is the same');
    works($es, 'good credential again: calls work');
    $es->{stream}->close;
}

# the connection is lost for longer than mcp_sse_grace

{
    my $nginx = start_nginx(http => 'mcp_sse_grace 1s; mcp_sse_retry 300ms;');
    my $es    = es($nginx);
    my $id    = $es->{id};

    broken($es);
    ok(run_until(sub { metrics($nginx)->{nginx_mcp_sse_tombstones} == 0 }),
        'lost longer than mcp_sse_grace: the session is forgotten');
    is(post($nginx, $es->{stream}, request(2, 'ping'))->status, 400,
        'lost longer than mcp_sse_grace: messages are refused');
    again($es);
    is($es->{stream}->session, $id,
        'lost longer than mcp_sse_grace: the client gets the same id');
    works($es, 'lost longer than mcp_sse_grace: calls work again');
    $es->{stream}->close;
}

# the id is older than mcp_sse_session_ttl

{
    my $nginx = start_nginx(http => 'mcp_sse_session_ttl 6s; '
        . 'mcp_sse_grace 1s;');
    my $es = es($nginx);
    my $id = $es->{id};

    ok($es->{stream}->wait_ended, 'expired id: the stream ends');
    sleep_for(1.2);
    again($es);
    is($es->{stream}->status, 200,
        'expired id: a new connection opens a stream');
    isnt($es->{stream}->session, $id, 'expired id: the session is a new one');
    is($es->{id}, $es->{stream}->session,
        'expired id: the client has the new id');
    works($es, 'expired id: calls work on the new stream');
    $es->{stream}->close;
}

# the credential comes to belong to another user: the next look-up ends the
# stream

{
    my $user    = 'alice@example.com';
    my $status  = 200;
    my $backend = start_backend(sub {
        my ($request) = @_;

        return MCPTest::Backend::http($status,
            $status == 200 ? qq({"message":"$user"}) : '{}')
            if $request->{path} =~ /get_logged_user/;
        return \'hang' if $request->{body} =~ /"hang"/;
        return MCPTest::Backend::http(200, '{"jsonrpc":"2.0","id":'
            . raw_id($request->{body}) . ',"result":{}}');
    });
    my $nginx = start_nginx(backend => $backend->port, http =>
        'mcp_sse_auth_cache 1s; mcp_sse_auth_recheck 1s; mcp_sse_retry 200ms;');
    my $es = es($nginx);
    my $id = $es->{id};

    accepted(post($nginx, $es->{stream}, tool(1, 'hang', {})),
        'recheck: a call is accepted');

    # Waits until a look-up has been answered: the next one has begun.

    my $asked = sub {
        my $n = $backend->requests + 2;

        return run_until(sub { $backend->requests >= $n });
    };

    # a look-up that fails keeps the stream

    for (502, 500, 429) {
        $status = $_;

        $asked->();
        ok(!$es->{stream}->ended,
            "recheck: the stream stays when Frappe answers $_");
    }

    $status = 200;
    $asked->();
    ok(!$es->{stream}->ended,
        'recheck: the stream stays when the user is the same');
    works($es, 'recheck: calls work after the look-ups');

    # another user's now

    $user = 'bob@example.com';

    my $first = $es->{stream};

    is($first->wait_ended, 'clean',
        'recheck: the stream ends when the user is another one');
    is_error(($first->answers(1))[0], -32010,
        'Stream closed before the answer',
        'recheck: the open call is answered before the end');

    my @tail = map { $_->{type} } ($first->events)[-3 .. -1];

    is_deeply(\@tail, [ 'message', 'error', 'retry' ],
        'answers come before event: error, retry: is last') or diag("@tail");
    again($es);
    is($es->{stream}->status, 200,
        "recheck: the other user's new connection opens a stream");
    isnt($es->{stream}->session, $id,
        'recheck: the other user gets a new session');
    works($es, 'recheck: calls work in the new session');

    # Guest is not a user

    $user = 'Guest';
    ok($es->{stream}->wait_ended,
        'recheck: the stream ends when the user is Guest');
    ok($es->{stream}->of_type('error'),
        'recheck: the stream of Guest ends with event: error');
    again($es);
    is($es->{stream}->status, 401, 'recheck: a new connection of Guest is 401');
    $backend->stop;
}

finish();
