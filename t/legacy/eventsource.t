# A client as browsers have it (EventSource): it remembers the last id and
# retry:, and when its stream ends it comes again with Last-Event-ID.  In all
# the ways a stream can end.  docs/PROTOCOL.md 3.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Backend;
use Test::More;

my $frappe = start_frappe();


# Opens, or opens again as soon as the stream has ended; gives up, as a browser
# does, if the answer is not 200.

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


# The connection breaks on its way.

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

    # the connection is lost, within the grace: nothing that came is lost

    my $es = es($nginx);
    my $id = $es->{id};

    is($id, $es->{stream}->session, 'the last id is the session id');
    broken($es);

    my $held = post($nginx, $es->{stream}, tool(1, 'echo', {}), async => 1);

    again($es);
    is($es->{stream}->session, $id, 'lost: the same session');
    $held->wait;
    accepted($held, 'lost: a message of the meantime is accepted');
    ok($es->{stream}->wait_answer(1), 'lost: and answered');

    # answers are messages, they have no id: the id is still the session's

    works($es, 'lost: it works');
    is(scalar(grep { defined $_->{id} && $_->{id} ne $id }
        $es->{stream}->events), 0, 'no other id on the stream');

    # ten times

    again(broken($es)) for 1 .. 10;
    is($es->{stream}->session, $id, 'ten times: the same');
    works($es, 'ten times: it works');

    # a reload

    post($nginx, $es->{stream}, tool(3, 'sleep', { seconds => 1 }));

    my $old = $es->{stream};

    $nginx->reload;
    again($es);
    like(($old->answers(3))[0] || '', qr/slept/, 'reload: the call ended');
    is($es->{retry}, 0.3, 'reload: retry: is told');
    is($es->{stream}->session, $id, 'reload: the same session');
    works($es, 'reload: it works');

    # the worker is killed

    my $owner = $es->{stream}->header('X-Worker');

    $nginx->wait_workers;
    $nginx->kill_worker($owner);
    again($es);
    is($es->{stream}->session, $id, 'killed: the same session');
    works($es, 'killed: it works');
    $nginx->wait_workers;

    # a copy of it, say a duplicated tab, takes over; the first comes again,
    # and so on: each ends the other, nothing breaks

    my $copy = { %$es, id => $id };

    for my $round (1 .. 3) {
        connected($copy);
        is($copy->{stream}->session, $id, "copy $round: has the session");
        is(($es->{stream}->wait_ended || ''), 'clean',
            "copy $round: the first is ended");
        is($es->{stream}->retry, undef, "copy $round: and not told to retry");
        again($es);
        ok($copy->{stream}->wait_ended, "copy $round: and back");
    }

    works($es, 'copy: the last one works');
    ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
        'copy: one stream is left');

    # other credentials of the same user: the same session

    $es->{opt}{auth} = MCPTest::credential('alice', 'bearer');
    again(broken($es));
    is($es->{stream}->session, $id, 'another credential of the user: same');
    works($es, 'another credential: it works');

    # another user: the id is nobody's

    my $mine = $es->{stream};

    my $bob = connected({ nginx => $nginx, id => $id,
        opt => { auth => MCPTest::credential('bob') } });

    is($bob->{stream}->status, 200, 'another user: a stream');
    isnt($bob->{stream}->session, $id, 'another user: a new session');
    ok(!$mine->ended, 'another user: the stream stays');
    works($es, 'another user: and works');
    $bob->{stream}->close;

    # HEAD with the id ends nothing

    is(get($nginx, "/mcp/sse?session_id=$id", method => 'HEAD', headers =>
        [ Authorization => MCPTest::credential() ])->status, 200, 'HEAD');
    ok(!$mine->ended, 'HEAD does not take over');

    # revoked: told, and refused when it comes again

    $frappe->set(revoke => 'alice-token');
    sleep_for(1.5);
    again(broken($es));
    is($es->{stream}->status, 401, 'revoked: 401, and the client gives up');
    $frappe->reset;

    # refused ids do not take the session

    $es->{opt}{auth} = MCPTest::credential();
    connected($es);
    is($es->{stream}->session, $id, 'allowed again: the same session');
    works($es, 'allowed again: it works');
    $es->{stream}->close;
}

# the connection is lost for longer than the grace

{
    my $nginx = start_nginx(http => 'mcp_sse_grace 1s; mcp_sse_retry 300ms;');
    my $es    = es($nginx);
    my $id    = $es->{id};

    broken($es);
    ok(run_until(sub { metrics($nginx)->{nginx_mcp_sse_tombstones} == 0 }),
        'lost for long: it is forgotten');
    is(post($nginx, $es->{stream}, request(2, 'ping'))->status, 400,
        'lost for long: messages are refused');
    again($es);
    is($es->{stream}->session, $id, 'lost for long: the same id all the same');
    works($es, 'lost for long: it works');
    $es->{stream}->close;
}

# an id that is too old

{
    my $nginx = start_nginx(http => 'mcp_sse_session_ttl 6s; '
        . 'mcp_sse_grace 1s;');
    my $es = es($nginx);
    my $id = $es->{id};

    ok($es->{stream}->wait_ended, 'too old: the stream is ended');
    sleep_for(1.2);
    again($es);
    is($es->{stream}->status, 200, 'too old: a stream');
    isnt($es->{stream}->session, $id, 'too old: a new session');
    is($es->{id}, $es->{stream}->session, 'too old: and its id from now on');
    works($es, 'too old: it works');
    $es->{stream}->close;
}

# the user behind a credential changes: looked up again, the stream is ended

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
        'recheck: a call');

    # the answer to a look-up is known when there is another one

    my $asked = sub {
        my $n = $backend->requests + 2;

        return run_until(sub { $backend->requests >= $n });
    };

    # not asked, not known, broken: kept

    for (502, 500, 429) {
        $status = $_;

        $asked->();
        ok(!$es->{stream}->ended, "recheck, Frappe answers $_: kept");
    }

    $status = 200;
    $asked->();
    ok(!$es->{stream}->ended, 'recheck, the same user: kept');
    works($es, 'recheck: it works');

    # another one

    $user = 'bob@example.com';

    my $first = $es->{stream};

    is($first->wait_ended, 'clean', 'recheck, another user: ended');
    is_error(($first->answers(1))[0], -32010,
        'Stream closed before the answer', 'its call is answered');

    my @tail = map { $_->{type} } ($first->events)[-3 .. -1];

    is_deeply(\@tail, [ 'message', 'error', 'retry' ],
        'answers, event: error, retry: in this order') or diag("@tail");
    again($es);
    is($es->{stream}->status, 200, 'it comes again');
    isnt($es->{stream}->session, $id, 'with a new session: another user');
    works($es, 'which works');

    # Guest is nobody

    $user = 'Guest';
    ok($es->{stream}->wait_ended, 'recheck, Guest: ended');
    ok($es->{stream}->of_type('error'), 'with event: error');
    again($es);
    is($es->{stream}->status, 401, 'and refused when it comes again');
    $backend->stop;
}

finish();
