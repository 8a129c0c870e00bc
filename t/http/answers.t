# How a POST of Streamable HTTP is answered: JSON, or a stream.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();

# /mcp answers with JSON as long as it may, /soon streams after a second

my $nginx = start_http(workers => 2,
    mcp => 'mcp_sse_stream_after 300s; mcp_sse_keepalive 1s;',
    locations => 'location = /soon { mcp_sse_http; '
        . 'mcp_sse_stream_after 1s; mcp_sse_keepalive 1s; }');

my $both = 'application/json, text/event-stream';


# A call that is answered when the gate is opened.

sub held {
    my ($id, $gate, %opt) = @_;

    return http_post($nginx, tool($id, 'hold', { gate => $gate }), %opt,
        async => 1);
}


# at once

{
    my $answer = http_post($nginx, tool(1, 'echo', { text => 'x' }));

    is($answer->status, 200, 'a quick call');
    is($answer->header('Content-Type'), 'application/json', 'is JSON');
    is($answer->header('Content-Length'), length $answer->body,
        'with its length');
    is(decode($answer->body)->{id}, 1, 'the answer to it');

    for my $raw ('0', '"a b"', '1152921504606846976', '""', '-1') {
        my $got = http_post($nginx, tool($raw, 'echo', {}))->body;
        my ($members) = members($got);

        is($members->{id}, $raw, "id $raw comes back as it is");
    }

    my $error = http_post($nginx, request(2, 'no/such/method'));

    is($error->status, 200, 'an error of the request has status 200');
    ok(error_of($error->body), 'and is an error');
}

# later

{
    my $answer = held(1, 'later', path => '/soon');

    ok(run_until(sub { ($answer->{count}{comment} || 0) >= 3 }),
        'a call that is not answered yet');
    $frappe->open_gate('later');
    $answer->wait;
    is($answer->status, 200, 'and is then');
    ok($answer->is_stream, 'becomes a stream');
    is($answer->header('Cache-Control'), 'no-cache, no-transform',
        'that nobody caches');
    is($answer->header('X-Accel-Buffering'), 'no', 'nor buffers');
    is($answer->header('Content-Length'), undef, 'without length');
    is($answer->ended, 'clean', 'and ends');

    my @types = $answer->types;

    is($types[0], 'comment', 'it begins with a comment');
    is($types[-1], 'message', 'and ends with the answer');
    is(scalar(grep { $_ eq 'message' } @types), 1, 'the only message');
    cmp_ok(scalar(grep { $_ eq 'comment' } @types), '>=', 3,
        'comments kept it alive');
    is(scalar(grep { $_ ne 'comment' && $_ ne 'message' } @types), 0,
        'nothing else');
    is(scalar(grep { defined $_->{id} } $answer->events), 0,
        'no event has an id: nothing can be resumed');
    like($answer->answer, qr/held/, 'the answer');

    my ($first) = $answer->events;

    cmp_ok($first->{time} - $answer->{sent}, '>', 0.8,
        'not before mcp_sse_stream_after');
}

# what is accepted

{
    my @json = (undef, '*/*', 'application/json', 'application/*',
        'text/html, application/json;q=0.9', 'APPLICATION/JSON',
        'text/event-stream;q=0, */*', 'text/*, application/json');
    my @stream = ('text/event-stream', 'text/event-stream;q=0.5',
        'Text/Event-Stream', 'text/html, text/event-stream',
        'application/json;q=0, text/event-stream',
        '*/*, application/json;q=0.0, text/event-stream');
    my @none = ('text/html', 'text/*', 'application/xml',
        'application/json;q=0', 'text/event-stream;q=0',
        '*/*;q=0', 'image/png, text/plain', 'application/jsonp');

    my @slow = map { http_post($nginx, tool(1, 'sleep', { seconds => 1.5 }),
        path => '/soon', accept => $_, async => 1) } @json;

    for my $accept (@json) {
        my $answer = shift(@slow)->wait;

        is($answer->header('Content-Type'), 'application/json',
            'JSON, however slow, for ' . ($accept || 'no Accept'));
    }

    for my $accept (@stream) {
        my $answer = http_post($nginx, tool(1, 'echo', {}),
            accept => $accept);

        ok($answer->is_stream, "a stream, however quick, for $accept");
        ok($answer->answer, 'with the answer');
        is($answer->ended, 'clean', 'and an end');
    }

    my $local = http_post($nginx, request(1, 'ping'),
        accept => 'text/event-stream');

    ok($local->is_stream && $local->answer, 'a local one as well');
    is($local->answer, '{"jsonrpc":"2.0","result":{},"id":1}',
        'which is the specification\'s, without mcp_sse_ping_result');

    my $began = held(1, 'began', accept => 'text/event-stream');

    stream_of($began);
    ok($began->is_stream && !$began->ended,
        'the stream begins at once, whatever mcp_sse_stream_after is');
    $frappe->open_gate('began');
    ok($began->wait && $began->answer, 'and has the answer later');

    $frappe->reset;
    is_rejected(http_post($nginx, tool(1, 'echo', {}), accept => $_),
        406, -32600, 'Not acceptable', "406 for $_") for @none;
    is($frappe->calls, 0, 'nothing has run');

    my $two = http_post($nginx, tool(1, 'echo', {}), accept => 'text/html',
        headers => [ Accept => 'application/json' ]);

    is($two->status, 200, 'two Accept headers are one list');
    is(http_post($nginx, notification('notifications/x'),
        accept => 'text/html')->status, 202,
        'what is not answered need not be acceptable');
}

# notifications and responses

{
    $frappe->reset;

    for my $message (notification('notifications/initialized'),
        notification('notifications/cancelled', { requestId => 99 }),
        notification('notifications/roots/list_changed'),
        '{"jsonrpc":"2.0","id":7,"result":{}}',
        '{"jsonrpc":"2.0","id":7,"error":{"code":-1,"message":"x"}}')
    {
        my $answer = http_post($nginx, $message);

        is($answer->status . $answer->body, '202', "202 for $message");
        is($answer->header('Content-Length'), 0, 'and nothing more');
        is($answer->header('Content-Type'), undef, 'of no type');
    }

    http_post($nginx, notification('notifications/last'));
    ok(run_until(sub { $frappe->count('notifications/last') }),
        'Frappe hears of the last one');
    is($frappe->count('notifications/roots/list_changed'), 1,
        'and of one before it, which only Frappe may know');
    is($frappe->calls, 2, 'and of nothing else');
}

# status of the backend

{
    my %case = (
        400 => '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,'
            . '"message":"Method not found"}}',
        417 => '{"exc_type":"ValidationError"}',
        500 => '<html>',
        502 => '<html>',
        503 => '<html>',
        404 => '<html>',
        429 => '{}',
    );
    my $late;
    my $backend = start_backend(sub {
        my ($request) = @_;

        return if $request->{path} =~ /get_logged_user/;
        my ($status) = $request->{body} =~ /"status":"?(\d+)/;

        # not before the stream has begun

        my $when = $request->{body} =~ /"late"/
            ? sub { $late && @{ $late->{events} } } : 0;

        return $when, MCPTest::Backend::http($status,
            $case{$status} || '{"exc_type":"PermissionError"}',
            'Content-Type', 'application/json',
            $request->{body} =~ /"challenge"/ ? ('WWW-Authenticate',
                'Bearer error="insufficient_scope", scope="all", '
                . 'resource_metadata="https://x/.well-known/y"') : ());
    });
    my $odd = start_http(backend => $backend->port,
        mcp => 'mcp_sse_stream_after 300s;', locations => 'location = /soon '
            . '{ mcp_sse_http; mcp_sse_stream_after 1s; }');

    for my $status (sort keys %case) {
        my $answer = http_post($odd, tool(1, 'x', { status => $status }));

        is($answer->status, 200, "200 for $status of the backend");
        ok(error_of($answer->answer), 'with an error');
        is(decode($answer->answer)->{id}, 1, 'of the request');
    }

    for my $status (401, 403) {
        my $answer = http_post($odd, tool(5, 'x', { status => $status,
            challenge => 1 }));

        is($answer->status, $status, "$status passes as such");
        is_error($answer->answer, -32001, 'Not permitted', 'with an error');
        is(decode($answer->answer)->{id}, 5, 'of the request');
        is($answer->header('WWW-Authenticate'),
            'Bearer error="insufficient_scope", scope="all", '
            . 'resource_metadata="https://x/.well-known/y"',
            'and its challenge');

        $late = http_post($odd, tool(5, 'x', { status => $status,
            late => 1 }), path => '/soon', async => 1);
        $late->wait;

        ok($late->status == 200 && $late->is_stream,
            'but not when a stream has begun');
        is_error($late->answer, -32001, 'Not permitted',
            'the error is on it');
    }

    my $plain = http_post($odd, tool(5, 'x', { status => 401 }));

    like($plain->header('WWW-Authenticate'),
        qr{\ABearer\ realm="erp.example.com",\ resource_metadata=
           "http://erp.example.com/.well-known/oauth-protected-resource/mcp"
           \z}x, 'a 401 without a challenge gets ours');
    is(http_post($odd, tool(5, 'x', { status => 403 }))
        ->header('WWW-Authenticate'), undef, 'a 403 does not');
    $backend->stop;

    my $down = http_post($odd, tool(1, 'x', {}));

    is($down->status, 200, 'a backend that is not there');
    is_error($down->answer, -32003, 'Backend unavailable', 'is told so');
}

# deadline, size

{
    my $strict = start_http(mcp => 'mcp_sse_call_timeout 1s;');
    my $small  = start_http(mcp => 'mcp_sse_max_answer 20k;');

    is_error(http_post($strict, tool(1, 'hang', {}))->answer, -32008,
        'Request timed out', 'a call that takes too long');
    is_error(http_post($small, tool(1, 'big', { bytes => 50000,
        size => 50000 }))->answer, -32009, 'Answer too large',
        'an answer that is too large');
}

# a large answer, in both ways

{
    my $text = 'x' x 300_000;

    for my $accept ($both, 'text/event-stream') {
        my $answer = http_post($nginx, tool(1, 'echo', { text => $text }),
            accept => $accept);

        cmp_ok(length($answer->answer || ''), '>', 300_000,
            "a large answer for $accept");
        ok(decode($answer->answer), 'which is whole');
    }
}

# what logs say

{
    my $logged = start_http(mcp => 'mcp_sse_stream_after 1s;');
    my $id     = session_id($logged);

    http_post($logged, tool(7, 'echo', {}), session => $id);
    http_post($logged, tool(8, 'echo', {}));
    http_post($logged, request(9, 'ping'), session => $id);

    my @calls = $logged->audit(3);
    my @posts = $logged->audit(4, 'mcp.log');

    is(scalar @calls, 3, 'a line for each call');
    is_deeply([ map { $_->{id} } @calls ], [ 0, 7, 8 ], 'by its id');
    is($calls[1]{tool}, 'echo', 'tool');
    is($calls[1]{user}, 'alice@example.com', 'user');
    is($calls[1]{result}, 'ok', 'result');
    like($calls[1]{session}, qr/\A[0-9a-f]{16}\z/, 'session');
    is($calls[2]{session}, '', 'none where none was named');
    is(scalar @posts, 4, 'a line for each POST');
    is($posts[1]{session}, $calls[1]{session}, 'the same session');
    is($posts[0]{session}, $calls[1]{session}, 'which initialize has made');
    is($posts[3]{result}, 'local', 'a local one');
    is($posts[1]{result}, 'ok', 'one that was called');
}

finish();
