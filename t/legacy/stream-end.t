# How the server ends a stream: every open call is answered, the client may be
# told why, retry: comes last.  docs/PROTOCOL.md 3.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

# idle

{
    my $nginx  = start_nginx(stream => 'mcp_sse_idle_timeout 5s; '
        . 'mcp_sse_keepalive 500ms; mcp_sse_retry 2500ms; '
        . 'mcp_sse_grace 300s;');
    my $stream = open_stream($nginx);
    my $alive  = open_stream($nginx);

    for (1 .. 7) {
        sleep_for(1);
        call($nginx, $alive, request($_, 'ping'));
    }

    ok($stream->wait_ended, 'a stream without messages is ended');
    is($stream->ended, 'clean', 'with its last chunk');
    is($stream->retry, 2500, 'with retry:');
    ok(!$alive->ended, 'one with messages is not');
    ok($nginx->wait_log(qr/SSE connection closed: \w+, [^,]*idle/),
        'the log says why');

    my ($last) = reverse $stream->events;

    like($last->{text}, qr/retry: 2500\n\n\z/, 'retry: is the last line');

    my @retries = grep { defined $_->{retry} } $stream->events;

    is(scalar @retries, 1, 'once');
    my $late = post($nginx, $stream, request(1, 'ping'));

    is_rejected($late, 400, -32001, 'Invalid session ID',
        'its session is gone, without grace');
    ok($alive->wait_ended, 'later it is ended, too');

    # a call keeps it

    my $busy = open_stream($nginx);

    post($nginx, $busy, tool(1, 'sleep', { seconds => 7 }));
    ok($busy->wait_answer(1), 'not while a call runs');
    ok(!error_of(($busy->answers(1))[0]), 'whose answer comes');
    $busy->close;
}

# open calls are told whether they may have run

{
    my $nginx  = start_nginx(stream => 'mcp_sse_max_calls 1;',
        http => 'mcp_sse_auth_cache 1s; mcp_sse_auth_recheck 2s;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    accepted(post($nginx, $stream, tool(1, 'hang', {})), 'a call that runs');
    accepted(post($nginx, $stream, tool(2, 'echo', { key => 'waits' })),
        'one that waits');
    ok(run_until(sub { $frappe->tool_count('hang') == 1 }),
        'the first has started');
    $frappe->set(revoke => 'alice-key');
    is($stream->wait_ended, 'clean', 'the credential is revoked: the end');

    for my $case ([ 1, 'unknown' ], [ 2, 'no' ]) {
        my ($id, $executed) = @$case;
        my $raw = ($stream->answers($id))[0];

        is_error($raw, -32010, 'Stream closed before the answer',
            "call $id is answered");
        is(((error_of($raw) || {})->{data} || {})->{executed}, $executed,
            "call $id: executed");
    }

    is($frappe->key_count('echo', 'waits'), 0, 'what waited did not run');
    $frappe->reset;
}

# mcp_sse_idle_timeout off, mcp_sse_keepalive off: it just stays

{
    my $nginx  = start_nginx(stream => 'mcp_sse_idle_timeout off; '
        . 'mcp_sse_keepalive off; send_timeout 1s;',
        server => 'keepalive_timeout 1s; client_body_timeout 1s; '
        . 'client_header_timeout 1s;');
    my $stream = open_stream($nginx);

    sleep_for(3);
    ok(!$stream->ended, 'no timeout of nginx ends a silent stream');
    ok(call($nginx, $stream, request(1, 'ping')), 'it works');
    $stream->close;
}

# what a stream that was not ended by the server never has

{
    my $nginx  = start_nginx();
    my $stream = open_stream($nginx);

    call($nginx, $stream, request($_, 'ping')) for 1 .. 3;
    call($nginx, $stream, tool(4, 'throw', {}));
    is_deeply([ grep { defined $_->{retry} || $_->{type} eq 'error' }
        $stream->events ], [], 'no retry: and no error before the end');
    is(scalar(grep { ($_->{raw_id} || '') eq 'null' } $stream->messages), 0,
        'never an error with id null');

    # the only id: is the first block's, or each is the session's

    is_deeply([ grep { defined $_->{id} && $_->{id} ne $stream->session }
        $stream->events ], [], 'id: is always the session');
    $stream->close;
}

finish();
