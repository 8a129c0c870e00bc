# How a POST of Streamable HTTP is answered: with JSON, with an event stream,
# or with 202; Accept; Frappe's status; the log lines of a call.
# docs/PROTOCOL.md 7 and 9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();

# /mcp answers with JSON whenever the client allows it, /soon becomes a stream
# after a second

my $nginx = start_http(workers => 2,
    mcp => 'mcp_sse_stream_after 300s; mcp_sse_keepalive 1s;',
    locations => 'location = /soon { mcp_sse_http; '
        . 'mcp_sse_stream_after 1s; mcp_sse_keepalive 1s; }');

my $both = 'application/json, text/event-stream';


# A call that is answered when its gate opens.

sub held {
    my ($id, $gate, %opt) = @_;

    return http_post($nginx, tool($id, 'hold', { gate => $gate }), %opt,
        async => 1);
}


# quick calls

{
    my $answer = http_post($nginx, tool(1, 'echo', { text => 'x' }));

    is($answer->status, 200, 'a quick call is 200');
    is($answer->header('Content-Type'), 'application/json',
        'a quick call is answered with application/json');
    is($answer->header('Content-Length'), length $answer->body,
        'the JSON answer has its Content-Length');
    is(decode($answer->body)->{id}, 1,
        'the JSON answer has the id of the request');

    for my $raw ('0', '"a b"', '1152921504606846976', '""', '-1') {
        my $got = http_post($nginx, tool($raw, 'echo', {}))->body;
        my ($members) = members($got);

        is($members->{id}, $raw, "id $raw comes back unchanged");
    }

    my $error = http_post($nginx, request(2, 'no/such/method'));

    is($error->status, 200, 'a JSON-RPC error of Frappe is 200');
    ok(error_of($error->body), 'the answer has the JSON-RPC error');
}

# a call that takes longer than mcp_sse_stream_after

{
    my $answer = held(1, 'later', path => '/soon');

    ok(run_until(sub { ($answer->{count}{comment} || 0) >= 3 }),
        'a slow call gets heartbeats before its answer');
    $frappe->open_gate('later');
    $answer->wait;
    is($answer->status, 200, 'a slow call is 200');
    ok($answer->is_stream, 'a slow call is answered with an event stream');
    is($answer->header('Cache-Control'), 'no-cache, no-transform',
        'the event stream has Cache-Control: no-cache, no-transform');
    is($answer->header('X-Accel-Buffering'), 'no',
        'the event stream has X-Accel-Buffering: no');
    is($answer->header('Content-Length'), undef,
        'the event stream has no Content-Length');
    is($answer->ended, 'clean', 'the event stream ends with its last chunk');

    my @types = $answer->types;

    is($types[0], 'comment', 'the event stream begins with a comment');
    is($types[-1], 'message', 'the event stream ends with the answer');
    is(scalar(grep { $_ eq 'message' } @types), 1,
        'the event stream has one message');
    cmp_ok(scalar(grep { $_ eq 'comment' } @types), '>=', 3,
        'the event stream has heartbeats as comments');
    is(scalar(grep { $_ ne 'comment' && $_ ne 'message' } @types), 0,
        'the event stream has comments and messages only');
    is(scalar(grep { defined $_->{id} } $answer->events), 0,
        'no event of the stream has an id');
    like($answer->answer, qr/held/,
        'the event stream has the answer of the call');

    my ($first) = $answer->events;

    cmp_ok($first->{time} - $answer->{sent}, '>', 0.8,
        'the stream does not begin before mcp_sse_stream_after');
}

# Accept

{
    my @json = (undef, '*/*', 'application/json', 'application/*',
        'text/html, application/json;q=0.9', 'APPLICATION/JSON',
        'text/event-stream;q=0, */*', 'text/*, application/json',
        'application/json, text/plain, */*',
        'application/json;q=0.001', 'application/json; charset=utf-8;q=1',
        'application/json;q=', "application/json\t;q=0.010 ;x=y",
        'application/*;q=0, application/json',
        'application/json, application/*;q=0', 'application/json, */*;q=0',
        '*/*;q=0, application/*', 'application/*, */*;q=0',
        'application/json;q=0, application/json', 'application/json;xq=0',
        '*/*;q=0.0001', 'application/json;a=";q=0;"',
        'application/json;a="\\";q=0;";q=1');
    my @stream = ('text/event-stream', 'text/event-stream;q=0.5',
        'Text/Event-Stream', 'text/html, text/event-stream',
        'application/json;q=0, text/event-stream',
        '*/*, application/json;q=0.0, text/event-stream',
        'text/*', 'application/json;q=0, */*', 'text/html, text/*;q=0.1');
    my @none = ('text/html', 'application/xml', 'text/*;q=0',
        'text/*, text/event-stream;q=0',
        'application/json;q=0', 'text/event-stream;q=0',
        '*/*;q=0', 'image/png, text/plain', 'application/jsonp',
        'application/json; Q=0', 'application/json;charset=utf-8;q=0',
        "application/json;\tq=0.000 ;x=y", 'application/json ; q=0',
        'application/json, application/json;q=0', 'application/*;q=0, */*;q=0',
        '*/json', 'application/', 'application/*x', 'applicatiom/*', '*/x',
        '***', '/*', 'text/event-strean', 'tixt/*',
        'application/json;a=";q=1;";q=0');

    my @slow = map { http_post($nginx, tool(1, 'sleep', { seconds => 1.5 }),
        path => '/soon', accept => $_, async => 1) } @json;

    for my $accept (@json) {
        my $answer = shift(@slow)->wait;

        is($answer->header('Content-Type'), 'application/json',
            'a slow call is JSON for Accept: ' . ($accept || '(none)'));
    }

    for my $accept (@stream) {
        my $answer = http_post($nginx, tool(1, 'echo', {}),
            accept => $accept);

        ok($answer->is_stream,
            "a quick call is answered with a stream for Accept: $accept");
        ok($answer->answer, "the stream for Accept: $accept has the answer");
        is($answer->ended, 'clean',
            "the stream for Accept: $accept ends with its last chunk");
    }

    my $local = http_post($nginx, request(1, 'ping'),
        accept => 'text/event-stream');

    ok($local->is_stream && $local->answer,
        'a local answer is a stream for Accept: text/event-stream');
    is($local->answer, '{"jsonrpc":"2.0","result":{},"id":1}',
        'the answer to ping is {} by default');

    my $began = held(1, 'began', accept => 'text/event-stream');

    stream_of($began);
    ok($began->is_stream && !$began->ended,
        'Accept: text/event-stream: the stream begins at once');
    $frappe->open_gate('began');
    ok($began->wait && $began->answer,
        'Accept: text/event-stream: the answer comes on the stream');

    $frappe->reset;
    is_rejected(http_post($nginx, tool(1, 'echo', {}), accept => $_),
        406, -32600, 'Not acceptable',
        "a request is 406 for Accept: $_") for @none;
    is($frappe->calls, 0, 'no call that is 406 runs');

    my $two = http_post($nginx, tool(1, 'echo', {}), accept => 'text/html',
        headers => [ Accept => 'application/json' ]);

    is($two->status, 200, 'two Accept headers are taken as one list');
    is(http_post($nginx, notification('notifications/x'),
        accept => 'text/html')->status, 202,
        'a notification is accepted whatever Accept is');
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
        is($answer->header('Content-Length'), 0, 'a 202 has no body');
        is($answer->header('Content-Type'), undef, 'a 202 has no Content-Type');
    }

    http_post($nginx, notification('notifications/last'));
    ok(run_until(sub { $frappe->count('notifications/last') }),
        'the last notification goes to Frappe');
    is($frappe->count('notifications/roots/list_changed'), 1,
        'notifications/roots/list_changed goes to Frappe');
    is($frappe->calls, 2,
        'the other notifications and responses do not go to Frappe');
}

# the status of Frappe's answer

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

        is($answer->status, 200, "a call is 200 when Frappe answers $status");
        ok(error_of($answer->answer),
            "a call that Frappe answers with $status has an error");
        is(decode($answer->answer)->{id}, 1,
            "the error for $status has the id of the request");
    }

    for my $status (401, 403) {
        my $answer = http_post($odd, tool(5, 'x', { status => $status,
            challenge => 1 }));

        is($answer->status, $status,
            "a call is $status when Frappe answers $status");
        is_error($answer->answer, -32001, 'Not permitted',
            "the $status has the error \"Not permitted\"");
        is(decode($answer->answer)->{id}, 5,
            "the $status has the id of the request");
        is($answer->header('WWW-Authenticate'),
            'Bearer error="insufficient_scope", scope="all", '
            . 'resource_metadata="http://erp.example.com/.well-known/'
            . 'oauth-protected-resource/mcp"',
            "the $status has Frappe's challenge with the endpoint's metadata");

        $late = http_post($odd, tool(5, 'x', { status => $status,
            late => 1 }), path => '/soon', async => 1);
        $late->wait;

        ok($late->status == 200 && $late->is_stream,
            "a call whose stream has begun stays 200 for $status");
        is_error($late->answer, -32001, 'Not permitted',
            "the stream has the error \"Not permitted\" for $status");
    }

    my $plain = http_post($odd, tool(5, 'x', { status => 401 }));

    like($plain->header('WWW-Authenticate'),
        qr{\ABearer\ realm="erp.example.com",\ error="invalid_token",
           \ resource_metadata=
           "http://erp.example.com/.well-known/oauth-protected-resource/mcp"
           \z}x, "a 401 without a challenge gets the module's challenge");
    is(http_post($odd, tool(5, 'x', { status => 403 }))
        ->header('WWW-Authenticate'), undef,
            'a 403 without a challenge gets none');
    $backend->stop;

    my $down = http_post($odd, tool(1, 'x', {}));

    is($down->status, 200, 'a call is 200 while Frappe is unreachable');
    is_error($down->answer, -32003, 'Backend unavailable',
        'a call is "Backend unavailable" while Frappe is unreachable');
}

# limits of time and size

{
    my $strict = start_http(mcp => 'mcp_sse_call_timeout 1s;');
    my $small  = start_http(mcp => 'mcp_sse_max_answer 20k;');

    is_error(http_post($strict, tool(1, 'hang', {}))->answer, -32008,
        'Request timed out',
        'a call beyond mcp_sse_call_timeout is "Request timed out"');
    is_error(http_post($small, tool(1, 'big', { bytes => 50000,
        size => 50000 }))->answer, -32009, 'Answer too large',
        'an answer beyond mcp_sse_max_answer is "Answer too large"');
}

# a large answer, as JSON and as a stream

{
    my $text = 'x' x 300_000;

    for my $accept ($both, 'text/event-stream') {
        my $answer = http_post($nginx, tool(1, 'echo', { text => $text }),
            accept => $accept);

        cmp_ok(length($answer->answer || ''), '>', 300_000,
            "an answer of 300 kB comes for Accept: $accept");
        ok(decode($answer->answer),
            "the answer of 300 kB is valid JSON for Accept: $accept");
    }
}

# log lines

{
    my $logged = start_http(mcp => 'mcp_sse_stream_after 1s;');
    my $id     = session_id($logged);

    http_post($logged, tool(7, 'echo', {}), session => $id);
    http_post($logged, tool(8, 'echo', {}));
    http_post($logged, request(9, 'ping'), session => $id);

    my @calls = $logged->audit(3);
    my @posts = $logged->audit(4, 'mcp.log');

    is(scalar @calls, 3, 'the audit log has a line for each call to Frappe');
    is_deeply([ map { $_->{id} } @calls ], [ 0, 7, 8 ],
        'the lines have the ids of the calls');
    is($calls[1]{tool}, 'echo', 'a line has the tool');
    is($calls[1]{user}, 'alice@example.com', 'a line has the user');
    is($calls[1]{result}, 'ok', 'a line has the result');
    like($calls[1]{session}, qr/\A[0-9a-f]{16}\z/,
        'a line has the hash of the session');
    is($calls[2]{session}, '', 'a line has no session if the request had none');
    is(scalar @posts, 4, 'the access log of /mcp has a line for each POST');
    is($posts[1]{session}, $calls[1]{session},
        'both logs have the same hash of a session');
    is($posts[0]{session}, $calls[1]{session},
        'the line of initialize has the session that it made');
    is($posts[3]{result}, 'local', 'the result of a local answer is "local"');
    is($posts[1]{result}, 'ok', 'the result of a forwarded call is "ok"');
}

finish();
