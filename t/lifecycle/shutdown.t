# Graceful stop of nginx: calls are finished, but at worker_shutdown_timeout
# they are answered with an error and streams end.
# docs/PROTOCOL.md 3.12, 12.4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

# QUIT without worker_shutdown_timeout: calls are finished

{
    my $nginx   = start_nginx(workers => 2, http => 'mcp_sse_drain 2s;');
    my @streams = open_streams($nginx, 10);
    my $busy    = $streams[0];

    accepted(post($nginx, $busy, tool(1, 'sleep', { seconds => 3 })),
        'a call of three seconds is accepted');
    accepted(post($nginx, $busy, tool(2, 'sleep', { seconds => 4 })),
        'a call of four seconds is accepted');
    run_until(sub { $frappe->tool_count('sleep') == 2 });

    ok($nginx->quit, 'nginx ends with QUIT');
    run_until(sub { !grep { !$_->ended } @streams });
    is(scalar(grep { ($_->ended || '') eq 'clean' } @streams), 10,
        'every stream ends with its last chunk');
    is(scalar(grep { defined $_->retry } @streams), 10,
        'every stream has "retry:" before its end');
    ok(!error_of(($busy->answers(1))[0] || '{"error":{}}'),
        'the call of three seconds is answered before nginx ends');
    ok(!error_of(($busy->answers(2))[0] || '{"error":{}}'),
        'the call of four seconds is answered before nginx ends');
}

# worker_shutdown_timeout

{
    $frappe->reset;

    my $nginx = start_nginx(main => 'worker_shutdown_timeout 3s;',
        http => 'mcp_sse_drain 1s;', stream => 'mcp_sse_max_calls 1;');
    my $busy = open_stream($nginx);
    my $idle = open_stream($nginx);

    accepted(post($nginx, $busy, tool(1, 'hang', {})),
        'a call that never ends is accepted');
    accepted(post($nginx, $busy, tool(2, 'echo', { key => 'q' })),
        'a call that waits behind it is accepted');
    run_until(sub { $frappe->tool_count('hang') == 1 });

    my @old = $nginx->reload;

    ok($nginx->wait_gone(\@old),
        'the old worker ends at worker_shutdown_timeout');

    ok($busy->wait_ended, 'the stream with open calls ends');
    is($busy->ended, 'clean',
        'the stream with open calls ends with its last chunk');

    for my $id (1, 2) {
        my $raw = ($busy->answers($id))[0];

        is_error($raw, -32010, 'Stream closed before the answer',
            "call $id is answered before the end of its stream");
    }

    is(((error_of(($busy->answers(1))[0]) || {})->{data} || {})->{executed},
        'unknown', 'data.executed of a call that runs is "unknown"');
    is(((error_of(($busy->answers(2))[0]) || {})->{data} || {})->{executed},
        'no', 'data.executed of a call that waits is "no"');
    is($frappe->key_count('echo', 'q'), 0, 'the call that waits does not run');
    ok(defined $busy->retry, 'the stream with open calls has "retry:"');
    is($idle->wait_ended, 'clean', 'the idle stream ends with its last chunk');

    my $new = open_stream($nginx);

    ok(call($nginx, $new, tool(1, 'echo', {})),
        'the new worker answers a call on a new stream');
    $new->close;
}

# an idle worker ends at once

{
    my $nginx = start_nginx(workers => 2);

    my $stream = open_stream($nginx);

    call($nginx, $stream, request(1, 'ping'));
    $stream->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });

    my @old = $nginx->reload;

    ok($nginx->wait_gone(\@old), 'idle workers end after a reload');
    ok($nginx->quit, 'an idle nginx ends with QUIT');
}

# a GET that waits for its user does not keep a worker

{
    my $nginx = start_nginx(http =>
        'mcp_sse_auth_wait 5s; mcp_sse_grace 5s; mcp_sse_drain 1s;');

    $frappe->reset;
    $frappe->set(down => '503');

    my $get = open_stream($nginx, wait => 0);

    run_until(sub { $frappe->lookups });

    my @old = $nginx->reload;

    $frappe->reset;
    ok(run_until(sub { defined $get->status }),
        'a GET that waits for Frappe during a reload is answered');
    ok($nginx->wait_gone(\@old), 'the old worker with that GET ends');
    $get->close;
}

finish();
