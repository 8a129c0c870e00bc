# Streamable HTTP: calls that are cancelled, at any worker; clients that leave;
# ids in use; limits of calls that run and wait.  docs/PROTOCOL.md 5 and 7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();

# at /mcp a call does not become a stream, at /soon it does after a second

my $nginx = start_http(workers => 2,
    mcp => 'mcp_sse_stream_after 300s; mcp_sse_max_calls 2;',
    locations => 'location = /soon { mcp_sse_http; mcp_sse_stream_after 1s; '
        . 'mcp_sse_max_calls 2; }');
my @workers = $nginx->wait_workers;
my $id      = session_id($nginx);


sub cancel {
    my ($request, %opt) = @_;

    my $answer = http_post($nginx, notification('notifications/cancelled',
        { requestId => $request, reason => 'test' }),
        session => $id, %opt);

    return is($answer->status . $answer->body, '202',
        'a cancellation is accepted');
}


# a running call is cancelled, at its own worker and at the other one

for my $from (@workers) {
    my $name = $from == $workers[0] ? 'the same worker' : 'the other worker';

    $frappe->reset;

    my $calls = sub { $frappe->tool_count('hang') };
    my $early = http_post($nginx, tool(1, 'hang', {}), session => $id,
        worker => $workers[0], async => 1);
    my $late = http_post($nginx, tool('"two"', 'hang', {}), session => $id,
        path => '/soon', worker => $workers[0], async => 1);

    run_until(sub { $calls->() == 2 });

    cancel(1, worker => $from);
    ok($early->wait, "a call that is cancelled at $name ends");
    ok($early->status == 200 && $early->is_stream,
        "the cancelled call ends as an event stream, at $name");
    is(scalar $early->events, 0,
        "the event stream of the cancelled call is empty, at $name");
    is($early->ended, 'clean',
        "the empty event stream ends with its last chunk, at $name");
    ok(!$late->ended, "another call of the session goes on, at $name");

    stream_of($late);
    ok($late->is_stream && !$late->ended,
        "the other call becomes a stream, at $name");
    cancel('two', worker => $from);
    ok($late->wait, "a call that is a stream ends when cancelled at $name");
    is(scalar $late->messages, 0,
        "the stream of the cancelled call has no answer, at $name");
    is($late->ended, 'clean',
        "the stream of the cancelled call ends cleanly, at $name");
}

{
    my @cancelled = grep { $_->{result} eq 'cancelled' }
        $nginx->audit(5);

    is(scalar @cancelled, 4,
        'the audit log has each of the 4 calls as cancelled');
}

# a client that accepts JSON only

{
    $frappe->reset;

    my $json = http_post($nginx, tool(3, 'hang', {}), session => $id,
        accept => 'application/json', async => 1);

    run_until(sub { $frappe->tool_count('hang') });
    cancel(3);
    ok($json->wait,
        'a cancelled call ends for a client that accepts JSON only');
    is($json->status . $json->body, '202',
        'a client that accepts JSON only gets 202 for a cancelled call');
}

# the connection to Frappe is closed

{
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return if $_[0]{body} =~ /initialize/;
        return \'hang';
    });
    my $own = start_http(backend => $backend->port, workers => 1);
    my $key = session_id($own);
    my $call = http_post($own, tool(1, 'x', {}), session => $key,
        async => 1);

    run_until(sub { grep { $_->{body} =~ /tools/ } $backend->requests });

    my $before = $backend->closed;

    http_post($own, notification('notifications/cancelled',
        { requestId => 1 }), session => $key);
    ok($call->wait, 'the POST ends when its call is cancelled');
    ok(run_until(sub { $backend->closed > $before }),
        'the connection to Frappe is closed when its call is cancelled');
}

# cancellations that name no running call

{
    $frappe->reset;

    my $bob   = session_id($nginx, auth => MCPTest::credential('bob'));
    my $other = session_id($nginx);
    my $call  = http_post($nginx, tool(4, 'hold', { gate => 'four' }),
        session => $id, async => 1);

    run_until(sub { $frappe->tool_count('hold') });
    cancel(5);
    cancel(4, session => $other);
    cancel(4, session => undef);
    cancel(4, session => $bob, auth => MCPTest::credential('bob'));
    http_post($nginx, notification('notifications/cancelled', $_),
        session => $id) for {}, { requestId => undef }, { requestId => {} };
    $frappe->open_gate('four');
    ok($call->wait && $call->answer,
        'a cancellation with another id, session or user ends no call');
    like($call->answer, qr/held/,
        'the call that was not cancelled has its result');
    cancel(4);
    served_again(4);
}

sub served_again {
    my ($request) = @_;

    return like(http_post($nginx, tool($request, 'echo', { text => 'again' }),
        session => $id)->answer, qr/again/,
        'an id that was cancelled late can be used again');
}

# the id of a running call is used again

{
    $frappe->reset;

    my $call = http_post($nginx, tool(6, 'hold', { gate => 'six' }),
        session => $id, worker => $workers[0], async => 1);

    run_until(sub { $frappe->tool_count('hold') });

    my $again = http_post($nginx, tool(6, 'sleep', { seconds => 0 }),
        session => $id, worker => $workers[0]);

    is($again->status, 200, 'a request with an id in use is 200');
    is_error($again->answer, -32600, 'Request id is in use',
        'a request with an id in use has the error "Request id is in use"');
    is(decode($again->answer)->{id}, 6,
        'the error for an id in use has that id');
    like(http_post($nginx, tool(6, 'sleep', { seconds => 0 }),
        worker => $workers[0])->answer, qr/slept/,
        'the id can be used by a request without a session');
    $frappe->open_gate('six');
    ok($call->wait && $call->answer, 'the first call with the id is answered');
    is($frappe->tool_count('hold'), 1, 'the first call with the id runs once');
    is($frappe->tool_count('sleep'), 1,
        'of the others only the one without a session runs');

    my @nameless = map {
        http_post($nginx, tool(6, 'sleep', { seconds => 0.5 }),
            worker => $workers[0], async => 1)
    } 1, 2;

    run_until(sub { !grep { !$_->ended } @nameless });
    is(scalar(grep { ($_->answer || '') =~ /slept/ } @nameless), 2,
        'two requests without a session can have the same id');
}

# a client that leaves

{
    $frappe->reset;

    for my $path ('/mcp', '/soon') {
        my $before = $frappe->tool_count('hold');
        my $call = http_post($nginx, tool(qq("left $path"), 'hold',
            { gate => 'left' }), session => $id, path => $path, async => 1);

        run_until(sub { $frappe->tool_count('hold') > $before });
        stream_of($call) if $path eq '/soon';
        $call->{conn}->abort;
    }

    # a worker that answers a new connection has seen them leave

    connect_worker($nginx, $_)->close for @workers;
    $frappe->open_gate('left');

    my @dropped;

    run_until(sub {
        @dropped = grep { $_->{result} eq 'dropped' } $nginx->audit;
        return @dropped == 2;
    });

    is(scalar @dropped, 2, 'calls of clients that left run to their end');
    is(health($nginx)->{active_connections}, 0,
        'no stream of a client that left is counted');
    is(health($nginx)->{pending_requests}, 0,
        'nothing of a client that left is pending');

    # a call whose client has left is cancelled

    my $call = http_post($nginx, tool(8, 'hang', {}), session => $id,
        async => 1);

    run_until(sub { $frappe->tool_count('hang') });
    $call->{conn}->close;
    connect_worker($nginx, $_)->close for @workers;
    cancel(8);

    ok(run_until(sub {
        return grep { $_->{id} eq '8' && $_->{result} eq 'cancelled' }
            $nginx->audit;
    }), 'a call whose client has left can be cancelled');
}

# mcp_sse_max_calls

{
    $frappe->reset;

    my $one  = $workers[0];
    my @runs = map {
        http_post($nginx, tool($_, 'hold', { gate => 'run' }),
            session => $id, worker => $one, async => 1)
    } 10, 11;

    run_until(sub { $frappe->tool_count('hold') == 2 });

    my @waits = map {
        http_post($nginx, tool($_, 'echo', { key => 'w' }), session => $id,
            worker => $one, async => 1)
    } 12, 13;

    ok(run_until(sub { health($nginx)->{pending_requests} >= 2 }),
        'calls beyond mcp_sse_max_calls are pending');
    is($frappe->key_count('echo', 'w'), 0,
        'calls beyond mcp_sse_max_calls do not run yet');
    ok(http_post($nginx, tool(12, 'echo', {}), worker => $one)->answer,
        'a call without a session runs meanwhile');
    ok(http_post($nginx, tool(12, 'echo', {}), worker => $one,
        session => session_id($nginx))->answer,
        'a call of another session runs meanwhile');
    ok(http_post($nginx, request(14, 'ping'), session => $id,
        worker => $one)->answer, 'a local answer comes meanwhile');

    # a call that waits is cancelled

    cancel(13, worker => $workers[1]);
    ok($waits[1]->wait, 'a POST that waits ends when it is cancelled');
    is(scalar $waits[1]->events, 0,
        'a POST that is cancelled while it waits is not answered');
    $frappe->open_gate('run');

    ok($_->wait && $_->answer, 'the other calls are answered')
        for @runs, $waits[0];
    is($frappe->key_count('echo', 'w'), 1,
        'the call that was cancelled while it waited does not run');
    is(health($nginx)->{pending_requests}, 0,
        'nothing is pending after the calls');
}

# calls of a user without a session

{
    $frappe->reset;

    my @opt  = (worker => $workers[0], async => 1);
    my @runs = map {
        http_post($nginx, tool(1, 'hold', { gate => 'user' }), @opt)
    } 1, 2;

    run_until(sub { $frappe->tool_count('hold') == 2 });

    my $waits = http_post($nginx, tool(1, 'echo', { key => 'n' }), @opt);
    my $bob   = http_post($nginx, tool(1, 'echo', { key => 'b' }), @opt,
        auth => MCPTest::credential('bob'));

    ok($bob->wait, 'without a session, another user does not wait');
    ok(!$waits->ended,
        'without a session, the same user waits at mcp_sse_max_calls');
    $frappe->open_gate('user');
    ok($_->wait && $_->answer,
        'without a session, each call is answered') for @runs, $waits;
}

# mcp_sse_max_inbox

{
    $frappe->reset;

    my $full = start_http(http => 'mcp_sse_max_inbox 3;',
        mcp => 'mcp_sse_max_calls 1;');
    my $key  = session_id($full);
    my @many = map {
        http_post($full, tool($_, 'hold', { gate => 'full' }),
            session => $key, async => 1)
    } 1 .. 6;

    # no call ends before two are refused

    run_until(sub { 2 == grep { $_->ended } @many });
    $frappe->open_gate('full');
    run_until(sub { !grep { !$_->ended } @many });

    my @refused = grep { $_->status == 429 } @many;

    is(scalar @refused, 2, 'requests beyond mcp_sse_max_inbox are 429');
    is_rejected($refused[0], 429, -32004, 'Too many messages',
        'the 429 has the error "Too many messages"');
    is($refused[0]->header('Retry-After'), 1, 'the 429 has Retry-After');
    is(scalar(grep { ($_->answer || '') =~ /held/ } @many), 4,
        'requests within mcp_sse_max_inbox are answered');
    is($frappe->tool_count('hold'), 4, 'requests that are 429 do not run');
}

finish();
