# Streamable HTTP: calls that are cancelled, from any worker; clients that
# leave; ids in use; how many calls run and wait.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();

# at /mcp no call is a stream before it is answered, at /soon after a second

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


# cancelled while it runs: by its own worker and by the other one

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
    ok($early->wait, "cancelled by $name before it was a stream");
    ok($early->status == 200 && $early->is_stream, 'it ends as a stream');
    is(scalar $early->events, 0, 'that is empty');
    is($early->ended, 'clean', 'in good order');
    ok(!$late->ended, 'the other call goes on');

    stream_of($late);
    ok($late->is_stream && !$late->ended, 'and becomes a stream');
    cancel('two', worker => $from);
    ok($late->wait, "cancelled by $name as a stream");
    is(scalar $late->messages, 0, 'without an answer');
    is($late->ended, 'clean', 'in good order');
}

{
    my @cancelled = grep { $_->{result} eq 'cancelled' }
        $nginx->audit(5);

    is(scalar @cancelled, 4, 'each is a cancelled call in the audit log');
}

# a client that only takes JSON

{
    $frappe->reset;

    my $json = http_post($nginx, tool(3, 'hang', {}), session => $id,
        accept => 'application/json', async => 1);

    run_until(sub { $frappe->tool_count('hang') });
    cancel(3);
    ok($json->wait, 'a client that only takes JSON');
    is($json->status . $json->body, '202', 'gets 202 and no body');
}

# the backend's connection is closed

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
    ok($call->wait, 'the POST ends');
    ok(run_until(sub { $backend->closed > $before }),
        "and so does the backend's connection");
}

# what cannot be cancelled

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
        'by another id, session or user a call is not cancelled');
    like($call->answer, qr/held/, 'it is answered');
    cancel(4);
    served_again(4);
}

sub served_again {
    my ($request) = @_;

    return like(http_post($nginx, tool($request, 'echo', { text => 'again' }),
        session => $id)->answer, qr/again/, 'a late one does no harm');
}

# an id that is in use

{
    $frappe->reset;

    my $call = http_post($nginx, tool(6, 'hold', { gate => 'six' }),
        session => $id, worker => $workers[0], async => 1);

    run_until(sub { $frappe->tool_count('hold') });

    my $again = http_post($nginx, tool(6, 'sleep', { seconds => 0 }),
        session => $id, worker => $workers[0]);

    is($again->status, 200, 'its id again');
    is_error($again->answer, -32600, 'Request id is in use', 'is an error');
    is(decode($again->answer)->{id}, 6, 'of that id');
    like(http_post($nginx, tool(6, 'sleep', { seconds => 0 }),
        worker => $workers[0])->answer, qr/slept/,
        'it means nothing to requests without a session');
    $frappe->open_gate('six');
    ok($call->wait && $call->answer, 'the first one is answered');
    is($frappe->tool_count('hold'), 1, 'and ran once');
    is($frappe->tool_count('sleep'), 1, 'as did the one without a session');

    my @nameless = map {
        http_post($nginx, tool(6, 'sleep', { seconds => 0.5 }),
            worker => $workers[0], async => 1)
    } 1, 2;

    run_until(sub { !grep { !$_->ended } @nameless });
    is(scalar(grep { ($_->answer || '') =~ /slept/ } @nameless), 2,
        'two of them may have one id');
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

    # each worker has seen them leave when it answers what came later

    connect_worker($nginx, $_)->close for @workers;
    $frappe->open_gate('left');

    my @dropped;

    run_until(sub {
        @dropped = grep { $_->{result} eq 'dropped' } $nginx->audit;
        return @dropped == 2;
    });

    is(scalar @dropped, 2, 'calls of clients that left run to their end');
    is(health($nginx)->{active_connections}, 0, 'no stream is left');
    is(health($nginx)->{pending_requests}, 0, 'and nothing waits');

    # cancelled, though nobody waits

    my $call = http_post($nginx, tool(8, 'hang', {}), session => $id,
        async => 1);

    run_until(sub { $frappe->tool_count('hang') });
    $call->{conn}->close;
    connect_worker($nginx, $_)->close for @workers;
    cancel(8);

    ok(run_until(sub {
        return grep { $_->{id} eq '8' && $_->{result} eq 'cancelled' }
            $nginx->audit;
    }), 'an unheard call can be cancelled');
}

# how many run

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
        'beyond mcp_sse_max_calls they are pending');
    is($frappe->key_count('echo', 'w'), 0, 'which means that they wait');
    ok(http_post($nginx, tool(12, 'echo', {}), worker => $one)->answer,
        'requests without a session are counted apart');
    ok(http_post($nginx, tool(12, 'echo', {}), worker => $one,
        session => session_id($nginx))->answer, 'and other sessions');
    ok(http_post($nginx, request(14, 'ping'), session => $id,
        worker => $one)->answer, 'what is local does not wait');

    # one that waits is cancelled

    cancel(13, worker => $workers[1]);
    ok($waits[1]->wait, 'one that waits can be cancelled');
    is(scalar $waits[1]->events, 0, 'and is not answered');
    $frappe->open_gate('run');

    ok($_->wait && $_->answer, 'the others are answered')
        for @runs, $waits[0];
    is($frappe->key_count('echo', 'w'), 1, 'the cancelled one never ran');
    is(health($nginx)->{pending_requests}, 0, 'nothing is pending');
}

# those of a user without a session

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

    ok($bob->wait, 'another user does not wait for them');
    ok(!$waits->ended, 'the same one does');
    $frappe->open_gate('user');
    ok($_->wait && $_->answer, 'and is answered') for @runs, $waits;
}

# how many wait

{
    $frappe->reset;

    my $full = start_http(http => 'mcp_sse_max_inbox 3;',
        mcp => 'mcp_sse_max_calls 1;');
    my $key  = session_id($full);
    my @many = map {
        http_post($full, tool($_, 'hold', { gate => 'full' }),
            session => $key, async => 1)
    } 1 .. 6;

    # none ends before two are refused

    run_until(sub { 2 == grep { $_->ended } @many });
    $frappe->open_gate('full');
    run_until(sub { !grep { !$_->ended } @many });

    my @refused = grep { $_->status == 429 } @many;

    is(scalar @refused, 2, 'beyond mcp_sse_max_inbox they are refused');
    is_rejected($refused[0], 429, -32004, 'Too many messages', 'in words');
    is($refused[0]->header('Retry-After'), 1, 'with Retry-After');
    is(scalar(grep { ($_->answer || '') =~ /held/ } @many), 4,
        'the others are answered');
    is($frappe->tool_count('hold'), 4, 'and only they ran');
}

finish();
