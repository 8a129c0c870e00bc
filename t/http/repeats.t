# Streamable HTTP: a client whose connection breaks sends its request again, at
# the same worker or at another one.  docs/PROTOCOL.md 7.16, 7.23, 7.36, 7.37, 12.6.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();

# at /mcp a call does not become a stream, at /soon it does after a second

my $nginx = start_http(workers => 2,
    mcp => 'mcp_sse_stream_after 300s; mcp_sse_max_calls 3;',
    locations => 'location = /soon { mcp_sse_http; mcp_sse_stream_after 1s; '
        . 'mcp_sse_progress 1s; }');
my ($one, $two) = $nginx->wait_workers;
my $id = session_id($nginx);


# Posts a message at a worker and does not wait.

sub begin {
    my ($message, %opt) = @_;

    return http_post($nginx, $message, session => $id, worker => $one,
        async => 1, %opt);
}


sub hold {
    my ($request, $gate, %more) = @_;

    return tool($request, 'hold', { gate => $gate, %more });
}


# Waits for the n-th call of "hold", then breaks the connection of the POST.

sub break_off {
    my ($call, $n) = @_;

    run_until(sub { $frappe->tool_count('hold') == $n });
    $call->{conn}->abort;

    # a worker that answers a new connection has seen the client leave

    connect_worker($nginx, $_)->close for $nginx->wait_workers;

    return;
}


sub in_use {
    my ($answer, $reason, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $answer->wait;
    is($answer->status, 200, "$name: 200");
    is_error($answer->answer, -32600, 'Request id is in use',
        "$name: the request is refused");

    return is(decode($answer->answer)->{error}{data}{reason}, $reason,
        "$name: the reason is \"$reason\"");
}


sub result {
    my ($answer) = @_;

    $answer->wait;

    return $answer->answer || '';
}


sub answered {
    my ($answer, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return ok($answer->wait && ($answer->answer || '') =~ /held/, $name);
}


# the client has gone and comes back, at the same worker

for my $path ('/mcp', '/soon') {
    $frappe->reset;

    my $call = hold(1, "back $path");

    break_off(begin($call, path => $path), 1);

    my $again = begin($call, path => $path);

    stream_of($again) if $path eq '/soon';
    $frappe->open_gate("back $path");
    answered($again, "the repeated request gets the answer, at $path");
    is($again->is_stream ? 1 : 0, $path eq '/soon' ? 1 : 0,
        "the answer has the form that the repeated request asked for, $path");
    is($frappe->tool_count('hold'), 1, "the tool runs once, at $path");
    ok(run_until(sub {
        return grep { $_->{id} eq '1' && $_->{tool} eq 'hold'
            && $_->{result} eq 'ok' } $nginx->audit;
    }), 'the audit log has the call as answered');
}

like($nginx->error_log, qr/not executed again but gets the answer/,
    'the log says that a repeated request got the answer');

# with progress

{
    $frappe->reset;

    my $call = request(2, 'tools/call', { name => 'hold',
        arguments => { gate => 'progress' },
        _meta => { progressToken => 'p' } });

    break_off(begin($call, path => '/soon'), 1);

    my $again = begin($call, path => '/soon');

    ok(run_until(sub { grep { $_->{data} =~ /progress/ } $again->messages }),
        'the repeated request gets progress');
    $frappe->open_gate('progress');
    answered($again, 'the repeated request gets the answer after progress');
}

# several times

{
    $frappe->reset;

    my $call = hold(3, 'often');

    break_off(begin($call), 1) for 1 .. 3;

    my $last = begin($call);

    $frappe->open_gate('often');
    answered($last, 'after three lost connections the fourth gets the answer');
    is($frappe->tool_count('hold'), 1, 'the tool runs once for all four');
}

# at another worker

{
    $frappe->reset;

    my $call  = hold(4, 'other');
    my $first = begin($call);

    run_until(sub { $frappe->tool_count('hold') == 1 });
    in_use(begin($call, worker => $two), 'elsewhere',
        'another worker, the first client waits');

    my $lost = hold('"lost"', 'other');

    break_off(begin($lost), 2);
    in_use(begin($lost, worker => $two), 'elsewhere',
        'another worker, the first client has gone');
    in_use(begin(hold('"l\u006fst"', 'x'), worker => $two), 'elsewhere',
        'another worker, the id has another spelling');
    in_use(begin($lost, path => '/soon'), 'elsewhere',
        'another location of the same worker');

    # what is no repetition

    like(result(begin(tool('"4"', 'echo', { text => 'no' }), worker => $two)), qr/no/, 'a string is another id than a number');
    like(result(begin(tool(4, 'echo', { text => 'no' }), worker => $two,
        session => session_id($nginx))), qr/no/,
        'another session may use the id');
    like(result(begin(tool(4, 'echo', { text => 'no' }), worker => $two,
        session => undef)), qr/no/,
        'a request without a session may use the id');
    like(result(begin(request(4, 'ping'), worker => $two)), qr/result/,
        'a local method may use the id');

    $frappe->open_gate('other');
    answered($first, 'the first request is answered');
    is($frappe->tool_count('hold'), 2, 'each call runs once');

    # once it was answered, the id is free

    like(result(begin(tool(4, 'echo', { text => 'free' }), worker => $two)), qr/free/,
        'after the answer the id can be used at the other worker');
    ok(run_until(sub {
        return result(begin(tool('"lost"', 'echo', { text => 'free' }),
            worker => $two)) =~ /free/;
    }), 'after the end of a call whose client has gone its id can be used');
}

# at the same worker, refused

{
    $frappe->reset;

    my $first = begin(hold(5, 'same'));

    run_until(sub { $frappe->tool_count('hold') == 1 });
    in_use(begin(hold(5, 'same')), 'connected', 'the first client waits');
    in_use(begin(hold(5, 'same', x => 1)), 'different',
        'the first client waits, other params');

    break_off($first, 1);
    in_use(begin(hold(5, 'same', x => 1)), 'different',
        'the first client has gone, other params');
    in_use(begin(request(5, 'resources/read', { uri => 'x' })), 'different',
        'the first client has gone, another method');
    in_use(begin(request(5, 'tools/list')), 'different',
        'the first client has gone, no params');

    my $again = begin(hold(5, 'same'));

    $frappe->open_gate('same');
    answered($again, 'the same request gets the answer');
}

# a request that waits for its turn

{
    $frappe->reset;

    my @runs = map { begin(hold($_, 'turn')) } 10 .. 12;

    run_until(sub { $frappe->tool_count('hold') == 3 });

    my $waits = begin(tool(13, 'echo', { text => 'turn', key => 'w' }));

    run_until(sub { health($nginx)->{pending_requests} == 1 });
    break_off($waits, 3);

    in_use(begin(tool(13, 'echo', { text => 'turn', key => 'w' }),
        worker => $two), 'elsewhere', 'a request that waits, another worker');

    my $again = begin(tool(13, 'echo', { text => 'turn', key => 'w' }));

    $frappe->open_gate('turn');
    answered($_, 'a request that runs is answered') for @runs;
    like(result($again), qr/turn/,
        'a request that waits and is repeated gets its answer');
    is($frappe->key_count('echo', 'w'), 1, 'it runs once');
}

# batches

{
    $frappe->reset;

    my $batch = '[' . join(',', map { hold($_, 'batch') } 20, 21) . ']';

    break_off(begin($batch), 2);
    $batch = '[' . join(',', (map { hold($_, 'batch') } 20, 21),
        tool(22, 'echo', { text => 'new' }),
        tool(22, 'echo', { text => 'new' })) . ']';

    my $again = begin($batch);

    $frappe->open_gate('batch');
    $again->wait;

    my %got;

    push @{ $got{ $_->{id} } }, $_ for @{ decode($again->answer) };

    is_deeply([ sort keys %got ], [ 20 .. 22 ],
        'a repeated batch is answered as an array');
    is(scalar(@{ $got{$_} }), 1, "the repeated request $_ has one answer")
        for 20, 21;
    is(scalar(grep { $_->{result} } @{ $got{22} }), 1,
        'of two requests with one id in a batch, one runs');
    is(scalar(grep { $_->{error} } @{ $got{22} }), 1,
        'of two requests with one id in a batch, one is refused');
    is($frappe->tool_count('hold'), 2, 'requests of the first batch run once');
    is($frappe->tool_count('echo'), 1, 'the new request runs once');
}

# cancellation

for my $from ($one, $two) {
    $frappe->reset;

    my $cancel = notification('notifications/cancelled', { requestId => 30 });

    break_off(begin(hold(30, 'cancel')), 1);

    my $again = begin(hold(30, 'cancel'));

    http_post($nginx, $cancel, session => $id, worker => $from);
    ok($again->wait, 'a repeated request ends when it is cancelled');
    is(scalar $again->messages, 0, 'it is not answered then');

    break_off(begin(hold(30, 'cancel')), 2);
    http_post($nginx, $cancel, session => $id, worker => $from);
    ok(run_until(sub {
        return result(begin(tool(30, 'echo', { text => 'free' }),
            worker => $from)) =~ /free/;
    }), 'after a cancellation the id can be used, at either worker');
}

# a reload: the call is the old worker's

{
    $frappe->reset;

    my $call  = hold(40, 'reload');
    my $first = begin($call);

    run_until(sub { $frappe->tool_count('hold') == 1 });

    my @old = $nginx->reload;

    ($one, $two) = $nginx->wait_workers;
    in_use(begin($call), 'elsewhere', 'the call runs at an old worker');
    $frappe->open_gate('reload');
    answered($first, 'the call of the old worker is answered');
    ok($nginx->wait_gone(\@old), 'the old workers end');
    like(result(begin(tool(40, 'echo', { text => 'free' }))), qr/free/,
        'then the id can be used');
}

# the worker dies

{
    $frappe->reset;

    my $call = hold(50, 'dead');

    begin($call);
    run_until(sub { $frappe->tool_count('hold') == 1 });
    in_use(begin($call, worker => $two), 'elsewhere',
        'the worker of the call lives');
    $nginx->kill_worker($one);

    my $again;

    ok(run_until(sub {
        $again = begin($call, worker => $two);
        run_until(sub {
            $again->ended || $frappe->tool_count('hold') == 2 });
        return !$again->ended;
    }), 'after the death of the worker the request runs at another');
    $frappe->open_gate('dead');
    answered($again, 'and is answered');
    ($one, $two) = $nginx->wait_workers;
}

# the zone is full of ids in flight

{
    $frappe->reset;

    my $small = start_http(workers => 1, http => 'mcp_sse_zone '
        . 'zone=small:1080k; mcp_sse_max_message 12k; mcp_sse_max_inbox 5000;',
        mcp => 'mcp_sse_max_calls 1; mcp_sse_stream_after 300s;');
    my ($worker) = $small->wait_workers;
    my (@calls, @ids);

    for my $n (0 .. 39) {
        push @ids, session_id($small) if $n % 5 == 0;
        push @calls, http_post($small, '[' . join(',', map {
            tool($_, 'hang', {})
        } $n % 5 * 90 + 1 .. $n % 5 * 90 + 90) . ']', session => $ids[-1],
            async => 1);
        connect_worker($small, $worker)->close;
        last if $calls[-1]->ended;
    }

    my $refused = $calls[-1]->ended ? pop @calls : undef;

    ok($refused, 'the zone does not take any number of requests')
        or do { finish(); exit };
    is_rejected($refused, 429, -32004, 'Too many messages',
        'a request beyond the share of the zone is 429');
    is($refused->header('Retry-After'), 1, 'this 429 has Retry-After');
    is(metrics($small)
        ->{'nginx_mcp_sse_limit_refusals_total{limit="zone"}'}, 1,
        '/metrics counts it as the limit of the zone');
    like($small->error_log, qr/is full: .*requests in flight \d{4}/,
        'the log says how many requests are in flight');
    like(http_post($small, tool(1, 'echo', { text => 'x' }))->answer, qr/x/,
        'a request without a session is served');

    http_post($small, '[' . join(',', map {
        notification('notifications/cancelled', { requestId => $_ })
    } 1 .. 90) . ']', session => $ids[0]);

    my $fresh = session_id($small);

    ok(run_until(sub {
        return http_post($small, tool(1, 'echo', { text => 'room' }),
            session => $fresh)->status == 200;
    }), 'after cancellations there is room again');
    $_->{conn}->abort for @calls;
}

finish();
