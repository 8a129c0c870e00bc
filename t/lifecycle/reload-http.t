# Streamable HTTP while workers come and go: nothing is lost, at the end
# everything is told.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();

# reload: open POSTs are answered by the old workers

{
    my $nginx = start_http(workers => 2,
        mcp => 'mcp_sse_stream_after 1s; mcp_sse_max_calls 4;');
    my $id  = session_id($nginx);
    my $conn = connect_to($nginx);
    my $kept = http_post($nginx, tool(0, 'hold', { gate => 'kept' }),
        conn => $conn, async => 1, accept => undef);
    my @got = map {
        http_post($nginx, tool($_, 'sleep', { seconds => $_ % 3 + 1 }),
            async => 1, $_ % 2 ? (session => $id) : ())
    } 1 .. 24;

    run_until(sub { $frappe->tool_count('sleep') >= 4
        && $frappe->tool_count('hold') });

    my @old = $nginx->reload;

    $frappe->open_gate('kept');

    ok(http_post($nginx, tool(1, 'echo', {}), session => $id)->answer,
        'new workers take the session');
    ok(run_until(sub { !grep { !$_->ended } @got }),
        'every open POST ends');
    is(scalar(grep { $_->status == 200
        && ($_->answer || '') =~ /slept/ } @got), 24, 'with its answer');
    is($frappe->tool_count('sleep'), 24, 'none ran twice');
    ok($kept->wait, 'nor did one on a connection that is kept');
    is($kept->header('Connection'), 'close',
        'an old worker says that it closes the connection');
    $conn->close;
    ok($nginx->wait_gone(\@old), 'then the old workers end');
}

# a call is cancelled by a new worker while it runs on an old one

{
    $frappe->reset;

    my $nginx = start_http(workers => 1);
    my $id    = session_id($nginx);
    my $call  = http_post($nginx, tool(1, 'hang', {}), session => $id,
        async => 1);

    run_until(sub { $frappe->tool_count('hang') });

    my @old = $nginx->reload;

    http_post($nginx, notification('notifications/cancelled',
        { requestId => 1 }), session => $id);
    ok($call->wait, 'a new worker cancels a call of an old one');
    ok($nginx->wait_gone(\@old), 'which ends then');
}

# QUIT

{
    $frappe->reset;

    my $nginx = start_http(workers => 2);
    my @got   = map {
        http_post($nginx, tool($_, 'sleep', { seconds => 3 }), async => 1)
    } 1 .. 4;

    run_until(sub { $frappe->tool_count('sleep') == 4 });
    ok($nginx->quit, 'nginx ends');
    run_until(sub { !grep { !$_->ended } @got });
    is(scalar(grep { ($_->answer || '') =~ /slept/ } @got), 4,
        'after every call was answered');
}

# worker_shutdown_timeout: what cannot be waited for is told

{
    $frappe->reset;

    my $nginx = start_http(workers => 1,
        main => 'worker_shutdown_timeout 3s;',
        mcp  => 'mcp_sse_max_calls 1; mcp_sse_stream_after 1s;');
    my $id     = session_id($nginx);
    my %accept = (json => 'application/json', late => undef,
        stream => 'text/event-stream');
    my %got;

    for my $name (sort keys %accept) {
        my $own = session_id($nginx);

        $got{$name} = http_post($nginx, tool(1, 'hang', {}),
            session => $own, async => 1,
            defined $accept{$name} ? (accept => $accept{$name}) : ());
        $got{"$name waits"} = http_post($nginx, tool(2, 'echo',
            { key => 'q' }), session => $own, async => 1,
            defined $accept{$name} ? (accept => $accept{$name}) : ());
    }

    my $batch = http_post($nginx, '[' . tool(1, 'hang', {}) . ','
        . request(2, 'ping') . ']', session => $id, async => 1,
        accept => 'application/json');

    run_until(sub { $frappe->tool_count('hang') == 4 });

    my @old = $nginx->reload;

    ok($nginx->wait_gone(\@old),
        'the old worker goes, whose calls have no end');

    for my $name (sort keys %got) {
        my $id    = $name =~ /waits/ ? 2 : 1;
        my $error = error_of($got{$name}->answer);

        ok($got{$name}->ended, "$name: ended");
        is_error($got{$name}->answer, -32010,
            'Stream closed before the answer', 'is told');
        is($error->{data}{executed}, $id == 1 ? 'unknown' : 'no',
            'whether it has run');
        is(decode($got{$name}->answer)->{id}, $id, 'by its id');
        isnt($got{$name}->ended, 'cut', 'in good order');
    }

    my $all = decode($batch->body);

    is(scalar(@{ $all || [] }), 2, 'a batch has all its answers');
    is($frappe->key_count('echo', 'q'), 0, 'what waited has not run');
    ok(http_post($nginx, tool(1, 'echo', {}), session => $id)->answer,
        'nginx goes on');
}

# a worker that is killed: its POSTs end, the others and sessions stay

{
    $frappe->reset;

    my $nginx   = start_http(workers => 2);
    my @workers = $nginx->wait_workers;
    my $id      = session_id($nginx);
    my $lost    = http_post($nginx, tool(1, 'hang', {}), session => $id,
        worker => $workers[0], async => 1);
    my $kept = http_post($nginx, tool(2, 'hold', { gate => 'kept' }),
        session => $id, worker => $workers[1], async => 1);
    my $stream = http_get($nginx, session => $id, worker => $workers[0]);

    run_until(sub { $frappe->tool_count('hang')
        && $frappe->tool_count('hold') });
    $nginx->kill_worker($workers[0]);
    ok($lost->wait, 'a POST of a killed worker ends');
    is($lost->status, undef, 'without an answer');
    ok($stream->wait_ended, 'and its stream');
    $frappe->open_gate('kept');
    ok($kept->wait && $kept->answer, 'one of another worker does not');
    run_until(sub { $nginx->wait_workers == 2 });

    my $again = http_get($nginx, session => $id);

    is($again->status, 200, 'the session has a stream again');
    is(http_delete($nginx, $id)->status, 204, 'and is ended');
    ok($again->wait_ended, 'with its stream');
}

# announcements to a worker that does not listen are bounded

{
    my $nginx   = start_http(workers => 2);
    my @workers = $nginx->wait_workers;
    my $id      = session_id($nginx);
    my $conn    = connect_worker($nginx, $workers[1]);

    kill STOP => $workers[0];

    http_post($nginx, notification('notifications/cancelled',
        { requestId => $_ }), session => $id, conn => $conn) for 1 .. 1200;

    like($nginx->error_log, qr/\[warn\].*too many announcements/,
        'the log says that some are lost');
    kill CONT => $workers[0];
    ok(http_post($nginx, request(1, 'ping'), worker => $workers[0])->answer,
        'the worker goes on');
    $conn->close;
}

finish();
