# How the server ends a stream: every open call is answered, event: error may
# say why, and retry: comes last.  docs/PROTOCOL.md 3.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

# mcp_sse_idle_timeout

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

    ok($stream->wait_ended,
        'a stream without messages ends after mcp_sse_idle_timeout');
    is($stream->ended, 'clean', 'the idle stream ends with its last chunk');
    is($stream->retry, 2500,
        'the idle stream ends with the retry: of mcp_sse_retry');
    ok(!$alive->ended, 'a stream with messages stays open');
    ok($nginx->wait_log(qr/SSE connection closed: \w+, [^,]*idle/),
        'the log says that the stream was idle');

    my ($last) = reverse $stream->events;

    like($last->{text}, qr/retry: 2500\n\n\z/,
        'retry: is the last line of the idle stream');

    my @retries = grep { defined $_->{retry} } $stream->events;

    is(scalar @retries, 1, 'the idle stream has one retry:');
    my $late = post($nginx, $stream, request(1, 'ping'));

    is_rejected($late, 400, -32001, 'Invalid session ID',
        'the session of the idle stream is refused without a grace');
    ok($alive->wait_ended, 'a stream ends later when its messages stop');

    # a call keeps the stream open

    my $busy = open_stream($nginx);

    post($nginx, $busy, tool(1, 'sleep', { seconds => 7 }));
    ok($busy->wait_answer(1),
        'a stream with a running call outlives mcp_sse_idle_timeout');
    ok(!error_of(($busy->answers(1))[0]),
        'the call on that stream has a result');
    $busy->close;
}

# the answers of open calls say whether they may have run

{
    my $nginx  = start_nginx(stream => 'mcp_sse_max_calls 1;',
        http => 'mcp_sse_auth_cache 1s; mcp_sse_auth_recheck 2s;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    accepted(post($nginx, $stream, tool(1, 'hang', {})),
        'a call that runs is accepted');
    accepted(post($nginx, $stream, tool(2, 'echo', { key => 'waits' })),
        'a call that waits is accepted');
    ok(run_until(sub { $frappe->tool_count('hang') == 1 }),
        'the first call has started');
    $frappe->set(revoke => 'alice-key');
    is($stream->wait_ended, 'clean',
        'the stream ends when its credential is revoked');

    for my $case ([ 1, 'unknown' ], [ 2, 'no' ]) {
        my ($id, $executed) = @$case;
        my $raw = ($stream->answers($id))[0];

        is_error($raw, -32010, 'Stream closed before the answer',
            "open call $id is answered when the stream ends");
        is(((error_of($raw) || {})->{data} || {})->{executed}, $executed,
            "the answer of call $id has data.executed $executed");
    }

    is($frappe->key_count('echo', 'waits'), 0,
        'the call that waited does not run');
    $frappe->reset;
}

# mcp_sse_idle_timeout off and mcp_sse_keepalive off

{
    my $nginx  = start_nginx(stream => 'mcp_sse_idle_timeout off; '
        . 'mcp_sse_keepalive off; send_timeout 1s;',
        server => 'keepalive_timeout 1s; client_body_timeout 1s; '
        . 'client_header_timeout 1s;');
    my $stream = open_stream($nginx);

    sleep_for(3);
    ok(!$stream->ended, 'no timeout of nginx ends a silent stream');
    ok(call($nginx, $stream, request(1, 'ping')),
        'a stream that was silent works');
    $stream->close;
}

# a stream that the server does not end

{
    my $nginx  = start_nginx();
    my $stream = open_stream($nginx);

    call($nginx, $stream, request($_, 'ping')) for 1 .. 3;
    call($nginx, $stream, tool(4, 'throw', {}));
    is_deeply([ grep { defined $_->{retry} || $_->{type} eq 'error' }
        $stream->events ], [],
        'an open stream has no retry: and no event: error');
    is(scalar(grep { ($_->{raw_id} || '') eq 'null' } $stream->messages), 0,
        'no message has the id null');

    is_deeply([ grep { defined $_->{id} && $_->{id} ne $stream->session }
        $stream->events ], [], 'every id: is the session id');
    $stream->close;
}

finish();
