# Graceful end of nginx, and its limit worker_shutdown_timeout.
# docs/PROTOCOL.md 12.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

# quit without any limit: calls are finished

{
    my $nginx   = start_nginx(workers => 2, http => 'mcp_sse_drain 2s;');
    my @streams = open_streams($nginx, 10);
    my $busy    = $streams[0];

    accepted(post($nginx, $busy, tool(1, 'sleep', { seconds => 3 })),
        'a call');
    accepted(post($nginx, $busy, tool(2, 'sleep', { seconds => 4 })),
        'another');
    run_until(sub { $frappe->tool_count('sleep') == 2 });

    ok($nginx->quit, 'nginx ends');
    run_until(sub { !grep { !$_->ended } @streams });
    is(scalar(grep { ($_->ended || '') eq 'clean' } @streams), 10,
        'every stream with its last chunk');
    is(scalar(grep { defined $_->retry } @streams), 10, 'and retry:');
    ok(!error_of(($busy->answers(1))[0] || '{"error":{}}'), 'answer 1');
    ok(!error_of(($busy->answers(2))[0] || '{"error":{}}'), 'answer 2');
}

# worker_shutdown_timeout

{
    $frappe->reset;

    my $nginx = start_nginx(main => 'worker_shutdown_timeout 3s;',
        http => 'mcp_sse_drain 1s;', stream => 'mcp_sse_max_calls 1;');
    my $busy = open_stream($nginx);
    my $idle = open_stream($nginx);

    accepted(post($nginx, $busy, tool(1, 'hang', {})),
        'a call without an end');
    accepted(post($nginx, $busy, tool(2, 'echo', { key => 'q' })),
        'one that waits');
    run_until(sub { $frappe->tool_count('hang') == 1 });

    my @old = $nginx->reload;

    ok($nginx->wait_gone(\@old), 'the old worker goes all the same');

    ok($busy->wait_ended, 'its stream has ended');
    is($busy->ended, 'clean', 'in good order');

    for my $id (1, 2) {
        my $raw = ($busy->answers($id))[0];

        is_error($raw, -32010, 'Stream closed before the answer',
            "call $id is answered first");
    }

    is(((error_of(($busy->answers(1))[0]) || {})->{data} || {})->{executed},
        'unknown', 'it may have run');
    is(((error_of(($busy->answers(2))[0]) || {})->{data} || {})->{executed},
        'no', 'the other one did not');
    is($frappe->key_count('echo', 'q'), 0, 'really not');
    ok(defined $busy->retry, 'with retry:');
    is($idle->wait_ended, 'clean', 'the idle stream as well');

    my $new = open_stream($nginx);

    ok(call($nginx, $new, tool(1, 'echo', {})), 'nginx goes on');
    $new->close;
}

# a worker without anything to do ends at once

{
    my $nginx = start_nginx(workers => 2);

    my $stream = open_stream($nginx);

    call($nginx, $stream, request(1, 'ping'));
    $stream->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });

    my @old = $nginx->reload;

    ok($nginx->wait_gone(\@old), 'idle workers end');
    ok($nginx->quit, 'and nginx does');
}

# held requests do not keep it

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
        'a GET held during a reload is answered');
    ok($nginx->wait_gone(\@old), 'and the worker ends');
    $get->close;
}

finish();
