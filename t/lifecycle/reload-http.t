# Streamable HTTP during a reload, a stop, the end of worker_shutdown_timeout
# and the death of a worker: the worker that has a POST answers it before it
# ends.  docs/PROTOCOL.md 12.1, 12.3, 12.4, 12.6.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();

# a reload: the old workers answer their open POSTs

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
        'the new workers take the session after a reload');
    ok(run_until(sub { !grep { !$_->ended } @got }),
        'every POST that is open during a reload ends');
    is(scalar(grep { $_->status == 200
        && ($_->answer || '') =~ /slept/ } @got), 24,
        'every POST that is open during a reload has its answer');
    is($frappe->tool_count('sleep'), 24, 'every call runs once');
    ok($kept->wait, 'a POST on a keep-alive connection is answered');
    is($kept->header('Connection'), 'close',
        'an old worker answers with "Connection: close"');
    $conn->close;
    ok($nginx->wait_gone(\@old), 'the old workers end after their answers');
}

# a new worker gets a cancellation for a call of an old worker

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
    ok($nginx->wait_gone(\@old),
        'the old worker ends after the cancellation');
}

# QUIT

{
    $frappe->reset;

    my $nginx = start_http(workers => 2);
    my @got   = map {
        http_post($nginx, tool($_, 'sleep', { seconds => 3 }), async => 1)
    } 1 .. 4;

    run_until(sub { $frappe->tool_count('sleep') == 4 });
    ok($nginx->quit, 'nginx ends with QUIT');
    run_until(sub { !grep { !$_->ended } @got });
    is(scalar(grep { ($_->answer || '') =~ /slept/ } @got), 4,
        'every call is answered before nginx ends with QUIT');
}

# worker_shutdown_timeout: open requests are answered with an error

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
        'an old worker ends at worker_shutdown_timeout despite its calls');

    for my $name (sort keys %got) {
        my $id    = $name =~ /waits/ ? 2 : 1;
        my $error = error_of($got{$name}->answer);

        ok($got{$name}->ended, "$name: the response ends");
        is_error($got{$name}->answer, -32010,
            'Stream closed before the answer', "$name: the answer is -32010");
        is($error->{data}{executed}, $id == 1 ? 'unknown' : 'no',
            "$name: data.executed says whether the call has started");
        is(decode($got{$name}->answer)->{id}, $id,
            "$name: the error has the id of the request");
        isnt($got{$name}->ended, 'cut', "$name: the response is complete");
    }

    my $all = decode($batch->body);

    is(scalar(@{ $all || [] }), 2,
        'a batch has all answers at worker_shutdown_timeout');
    is($frappe->key_count('echo', 'q'), 0,
        'a call that waits at worker_shutdown_timeout does not run');
    ok(http_post($nginx, tool(1, 'echo', {}), session => $id)->answer,
        'the new worker answers calls of the session');
}

# a worker is killed: its POSTs end, sessions and other POSTs go on

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
    is($lost->status, undef, 'a POST of a killed worker has no answer');
    ok($stream->wait_ended, 'a stream of a killed worker ends');
    $frappe->open_gate('kept');
    ok($kept->wait && $kept->answer, 'a POST of another worker is answered');
    run_until(sub { $nginx->wait_workers == 2 });

    my $again = http_get($nginx, session => $id);

    is($again->status, 200, 'the session takes a stream at another worker');
    is(http_delete($nginx, $id)->status, 204,
        'DELETE is 204 after the death of a worker');
    ok($again->wait_ended, 'DELETE ends the stream at the other worker');
}

# announcements to a stopped worker are limited

{
    my $nginx   = start_http(workers => 2);
    my @workers = $nginx->wait_workers;
    my $id      = session_id($nginx);
    my $conn    = connect_worker($nginx, $workers[1]);

    kill STOP => $workers[0];

    http_post($nginx, notification('notifications/cancelled',
        { requestId => $_ }), session => $id, conn => $conn) for 1 .. 1200;

    like($nginx->error_log, qr/\[warn\].*too many announcements/,
        'the log says that a stopped worker loses announcements');
    kill CONT => $workers[0];
    ok(http_post($nginx, request(1, 'ping'), worker => $workers[0])->answer,
        'a stopped worker that goes on answers');
    $conn->close;
}

finish();
