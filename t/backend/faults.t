# Whatever the backend answers, a request gets exactly one JSON-RPC answer with
# its own id, and nothing of the backend's error pages.  docs/PROTOCOL.md 4, 5
# and 6.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $id = 0;


# Sends a request and expects an error.

sub fault {
    my ($nginx, $stream, $message, $code, $text, $name, $data) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $raw = call($nginx, $stream, $message);

    is_error($raw, $code, $text, $name);
    is(raw_id($raw || '{}'), raw_id($message),
        "$name: the error has the request's id");

    # what is not meant for clients

    unlike($raw || '', qr/Traceback|<html|<!DOCTYPE|apps\/frappe|nginx/i,
        "$name: the error has nothing of the backend's page");

    if ($data) {
        my $error = error_of($raw) || {};

        is_deeply($error->{data}, $data, "$name: the error has its data");
    }

    return $raw;
}


my $frappe = start_frappe();

for my $dialect (qw(new old)) {
    my $nginx = start_nginx(dialect => $dialect, http => <<'EOT');
    mcp_sse_call_timeout 5s;
    mcp_sse_max_answer 100k;
    mcp_sse_auth_cache 1h;
EOT

    my $stream = open_stream($nginx);
    my $d      = $dialect;

    my @backend = (-32603, 'Backend error');

    fault($nginx, $stream, tool(++$id, 'throw', {}), @backend,
        "$d: frappe.throw is a backend error",
        { status => 417, exc_type => 'ValidationError' });
    fault($nginx, $stream, tool(++$id, 'permission', {}), -32001,
        'Not permitted', "$d: status 403 is \"Not permitted\"");
    fault($nginx, $stream, tool(++$id, 'status', { code => 401 }), -32001,
        'Not permitted', "$d: status 401 is \"Not permitted\"");

    for my $code (500, 404, 409, 413, 501, 400, 302, 206) {
        my $raw = fault($nginx, $stream, tool(++$id, 'status',
            { code => $code }), @backend,
            "$d: HTML with status $code is a backend error");

        is((((error_of($raw) || {})->{data}) || {})->{status}, $code,
            "$d: HTML with status $code: data has the status");
    }

    for my $code (500, 404, 409) {
        my $raw = fault($nginx, $stream, tool(++$id, 'status_json',
            { code => $code }), @backend,
            "$d: JSON with status $code is a backend error");
        my $data = (error_of($raw) || {})->{data} || {};

        is($data->{status}, $code,
            "$d: JSON with status $code: data has the status");
        is_deeply([ grep { !/\A(?:status|exc_type)\z/ } keys %$data ], [],
            "$d: JSON with status $code: data has at most exc_type besides");
    }

    fault($nginx, $stream, tool(++$id, 'status', { code => 429 }), -32004,
        'Too many requests', "$d: status 429 is \"Too many requests\"");

    for my $code (502, 503) {
        fault($nginx, $stream, tool(++$id, 'status', { code => $code }),
            -32003, 'Backend unavailable',
            "$d: status $code is \"Backend unavailable\"");
    }

    fault($nginx, $stream, tool(++$id, 'status', { code => 504 }), -32008,
        'Request timed out', "$d: status 504 is \"Request timed out\"");

    fault($nginx, $stream, tool(++$id, 'redirect', {}), @backend,
        "$d: a redirect is a backend error");
    fault($nginx, $stream, tool(++$id, 'not_json', {}), @backend,
        "$d: HTML with status 200 is a backend error");
    fault($nginx, $stream, tool(++$id, 'half_json', {}), @backend,
        "$d: half of the JSON is a backend error");

    for my $code (202, 204) {
        fault($nginx, $stream, tool(++$id, 'status', { code => $code }),
            -32603, 'Empty answer from backend',
            "$d: status $code is an empty answer");
    }

    fault($nginx, $stream, tool(++$id, 'empty', {}), -32603,
        'Empty answer from backend', "$d: an empty 200 is an empty answer");

    # connections that break

    fault($nginx, $stream, tool(++$id, 'close', {}), -32003,
        'Backend unavailable',
        "$d: a connection closed without a byte is \"Backend unavailable\"");

    is($frappe->tool_count('close'), $d eq 'new' ? 1 : 2,
        "$d: a call is not repeated when its connection closes");

    for my $after (0, 5, 100, 5000) {
        my $raw = call($nginx, $stream, tool(++$id, 'cut',
            { after => $after }));
        my $error = error_of($raw) || {};

        ok(($error->{code} || 0) =~ /\A-32(?:603|003)\z/,
            "$d: an answer cut after $after bytes is an error");
        is(raw_id($raw || '{}'), $id,
            "$d: an answer cut after $after bytes: the error has the id");
    }

    fault($nginx, $stream, tool(++$id, 'hang', {}), -32008,
        'Request timed out',
        "$d: no answer within mcp_sse_call_timeout is \"Request timed out\"",
        { timeout_ms => 5000, executed => 'unknown' });

    {
        my $raw = call($nginx, $stream, tool(++$id, 'slow_body',
            { bytes => 400, seconds_per_byte => 0.02 }));

        is_error($raw, -32008, 'Request timed out',
            "$d: a body that takes too long is \"Request timed out\"");
    }

    {
        my $raw = call($nginx, $stream, tool(++$id, 'lying_length',
            { shorter => JSON::PP::true() }));

        is(ref error_of($raw), 'HASH',
            "$d: a Content-Length that is too short is an error");
        is(raw_id($raw || '{}'), $id,
            "$d: a Content-Length that is too short: the error has the id");

        $raw = call($nginx, $stream, tool(++$id, 'lying_length',
            { shorter => JSON::PP::false() }));
        is(ref error_of($raw), 'HASH',
            "$d: a Content-Length that is too long is an error");
        is(raw_id($raw || '{}'), $id,
            "$d: a Content-Length that is too long: the error has the id");
    }

    # large answers

    fault($nginx, $stream, tool(++$id, 'big', { bytes => 200_000 }), -32009,
        'Answer too large',
        "$d: an answer beyond mcp_sse_max_answer is refused");
    fault($nginx, $stream, tool(++$id, 'big_chunked', { bytes => 200_000 }),
        -32009, 'Answer too large',
        "$d: a chunked answer beyond mcp_sse_max_answer is refused");

    # ids of answers

    {
        my $raw = call($nginx, $stream, tool(++$id, 'wrong_id', {}));

        is((error_of($raw) || {})->{code}, -32603,
            "$d: an answer with another id is an error");
        is(raw_id($raw || '{}'), $id,
            "$d: an answer with another id: the error has the request's id");
        unlike($raw || '424242', qr/424242/,
            "$d: an answer with another id: that id is not told");

        $raw = call($nginx, $stream, tool(++$id, 'wrong_id',
            { id => "$id" }));
        is((error_of($raw) || {})->{code}, -32603,
            "$d: an answer with the id as a string is an error");

        for my $tool (qw(no_id null_id)) {
            $raw = call($nginx, $stream, tool(++$id, $tool, {}));
            ok($raw && exists decode($raw)->{result},
                "$d: an answer with $tool: the client gets the result");
            is(raw_id($raw || '{}'), $id,
                "$d: an answer with $tool: the result has the request's id");
            is(scalar(() = ($raw || '') =~ /"id"\s*:/g), 1,
                "$d: an answer with $tool: the result has one id");
        }
    }

    # answers that are no fault

    is(decode(call($nginx, $stream, tool(++$id, 'plain_message', {}))
        || '{}')->{result}, 'just a string',
        "$d: a \"message\" that is not JSON-RPC becomes the result");

    for my $tool (qw(fail deny)) {
        my $raw = call($nginx, $stream, tool(++$id, $tool, {}));

        is(raw_id($raw || '{}'), $id,
            "$d: a tool that fails ($tool) is answered with the id");
        ok($raw && $raw !~ /_server_messages/,
            "$d: a tool that fails ($tool): no server messages are told");
    }

    ok(call($nginx, $stream, tool(++$id, 'cookie', {})),
        "$d: an answer with a cookie is forwarded");
    ok(!$stream->header('Set-Cookie'),
        "$d: Frappe's cookie does not reach the client");

    my $accel = call($nginx, $stream, tool(++$id, 'accel', {}));

    ok($accel && exists decode($accel)->{result},
        "$d: X-Accel-Redirect is not followed");
    ok(call($nginx, $stream, tool(++$id, 'gzip', {})),
        "$d: a tool that would compress its answer is answered");

    # after all these faults

    ok(!$stream->ended, "$d: the stream is open after all faults");
    ok(call($nginx, $stream, tool(++$id, 'echo', {})),
        "$d: calls work after all faults");

    my @many = grep { $stream->answers($_) != 1 } 1 .. $id;

    @many = grep { $stream->{answers}{$_} } @many;
    is_deeply(\@many, [], "$d: every request is answered once");
    is(health($nginx)->{pending_requests}, 0,
        "$d: nothing is pending after all faults");

    unlike($nginx->error_log, qr/Traceback|You broke a rule|Salary Slip/,
        "$d: the log has no body of Frappe");

    $stream->close;
}

# answers whose body differs from their headers

{
    my $reply;
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return @$reply;
    });
    my $nginx = start_nginx(backend => $backend->port, http =>
        'mcp_sse_call_timeout 5s; mcp_sse_max_answer 100k;');
    my $stream = open_stream($nginx);
    my $json   = '{"jsonrpc":"2.0","id":null,"result":{}}';

    for my $case (
        [ 'a length and no body', [ "Content-Length: 100\r\n\r\n", \'close' ],
            -32603, 'Backend error' ],
        [ 'a length and half of it', [ "Content-Length: 100\r\n\r\n$json",
            \'close' ], -32603, 'Backend error' ],
        [ 'a length and a reset', [ "Content-Length: 100\r\n\r\n$json",
            \'reset' ], -32603, 'Backend error' ],
        [ 'chunked, a bad size', [ "Transfer-Encoding: chunked\r\n\r\n"
            . "zz\r\n$json" ], -32603, 'Backend error' ],
        [ 'no length and no body', [ "\r\n", \'close' ], -32603,
            'Empty answer from backend' ],
        [ 'length 0', [ "Content-Length: 0\r\n\r\n" ], -32603,
            'Empty answer from backend' ],
        [ 'chunked, empty', [ "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" ],
            -32603, 'Empty answer from backend' ],
        [ 'a byte a second', [ "Content-Length: 39\r\n\r\n",
            map { ($_, 1) } split //, $json ], -32008, 'Request timed out' ],
        [ 'headers, a byte a second', [ map { ($_, 1) } split //,
            "Content-Length: 39\r\n\r\n$json" ], -32008,
            'Request timed out' ],
        [ '10^18 bytes told, 39 sent', [ "Content-Length: 1" . '0' x 18
            . "\r\n\r\n$json", \'close' ], -32603, 'Backend error' ],
        [ '100 MB told', [ "Content-Length: 104857600\r\n\r\n{", 0.2,
            'x' x 300_000, \'hang' ], -32009, 'Answer too large' ],
        [ 'too much, chunked', [ "Transfer-Encoding: chunked\r\n\r\n",
            ("10000\r\n" . 'x' x 65536 . "\r\n") x 4, \'hang' ], -32009,
            'Answer too large' ],
        [ 'too much until the end', [ "\r\n", 'x' x 300_000, \'hang' ],
            -32009, 'Answer too large' ],
    ) {
        my ($name, $steps, $code, $text) = @$case;

        $reply = [ "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n",
            @$steps ];
        fault($nginx, $stream, tool(++$id, 'x', {}), $code, $text,
            "an answer is \"$text\": $name");
        $_->_close(0) for grep { !$_->{gone} } @{ $backend->{conns} };
    }

    # chunked answers that are cut: complete JSON may be an answer, less is an
    # error

    for my $case (
        [ 'chunked and no chunk', '', qr/"code":-32603/ ],
        [ 'chunked, cut in a chunk', "100\r\n" . substr($json, 0, -1),
            qr/"code":-32603,"message":"Backend error"/ ],
        [ 'chunked, cut between two', sprintf("%x\r\n%s\r\n", 20,
            substr $json, 0, 20), qr/"code":-32603,"message":"Backend error"/ ],
        [ 'chunked, the last one missing', sprintf("%x\r\n%s\r\n",
            length $json, $json), qr/"result":\{\}|"code":-32603/ ],
    ) {
        my ($name, $body, $pattern) = @$case;

        $reply = [ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
            . $body, \'close' ];

        my $raw = call($nginx, $stream, tool(++$id, 'x', {}));

        like($raw || '', $pattern,
            "$name: the answer is whole or an error");
        is(raw_id($raw || '{}'), $id, "$name: the answer has the request's id");
    }

    # bytes beyond Content-Length are not taken for the next answer

    $reply = [ "HTTP/1.1 200 OK\r\nContent-Length: 39\r\n\r\n$json$json" ];
    is(raw_id(call($nginx, $stream, tool(++$id, 'x', {})) || '{}'), $id,
        'a body longer than its Content-Length is answered');
    $reply = [ MCPTest::Backend::http(200, '{"jsonrpc":"2.0","id":null,'
        . '"result":"next"}') ];
    like(call($nginx, $stream, tool(++$id, 'x', {})) || '', qr/"next"/,
        'the call after it gets its own answer');

    # mcp_sse_max_answer to the byte

    for my $bytes (102_400, 102_401) {
        my $body = '{"jsonrpc":"2.0","id":null,"result":""}';

        $body =~ s/""/'"' . 'x' x ($bytes - length $body) . '"'/e;

        for my $case (
            [ 'a length', [ "Content-Length: $bytes\r\n\r\n$body" ] ],
            [ 'chunked', [ "Transfer-Encoding: chunked\r\n\r\n",
                sprintf("%x\r\n%s\r\n0\r\n\r\n", $bytes, $body) ] ],
        ) {
            my ($name, $steps) = @$case;

            $reply = [ "HTTP/1.1 200 OK\r\n", @$steps ];

            my $raw = call($nginx, $stream, tool(++$id, 'x', {}));

            if ($bytes == 102_400) {
                ok(length(decode($raw || '{}')->{result} || '') > 102_000,
                    "an answer of $bytes bytes, $name, is forwarded");

            } else {
                is_error($raw, -32009, 'Answer too large',
                    "an answer of $bytes bytes, $name, is refused");
            }
        }
    }

    ok(!$stream->ended, 'the stream is open after all answers');
    is(health($nginx)->{pending_requests}, 0,
        'nothing is pending after all answers');
    $stream->close;
    $backend->stop;
}

# 100 MB from Frappe, more than the default of mcp_sse_max_answer

{
    my $nginx  = start_nginx(http => 'mcp_sse_call_timeout 300s;');
    my $stream = open_stream($nginx);
    my ($pid)  = $nginx->wait_workers;

    fault($nginx, $stream, tool(++$id, 'big', { bytes => 100_000_000 }),
        -32009, 'Answer too large', 'an answer of 100 MB is refused');
    fault($nginx, $stream, tool(++$id, 'big_chunked',
        { bytes => 100_000_000 }), -32009, 'Answer too large',
        'a chunked answer of 100 MB is refused');

    open my $status, '<', "/proc/$pid/status" or die "status: $!\n";
    my ($peak) = join('', <$status>) =~ /^VmHWM:\s+(\d+)/m;

    cmp_ok($peak, '<', $ENV{MCP_SSE_SANITIZE} ? 9 ** 9 : 150_000,
        'the worker does not keep 100 MB in memory');
    ok(call($nginx, $stream, tool(++$id, 'echo', {})),
        'calls work after 100 MB were refused');
    $stream->close;
}

# headers of Frappe that nginx could act on

{
    my @headers = ('Set-Cookie', 'sid=stolen; Path=/',
        'X-Accel-Redirect', '/secret', 'X-Accel-Buffering', 'yes',
        'X-Accel-Limit-Rate', '1', 'X-Accel-Expires', '100',
        'X-Accel-Charset', 'koi8-r', 'Refresh', '0; url=/secret',
        'Location', '/secret', 'WWW-Authenticate', 'Basic realm="x"',
        'Content-Type', 'application/json');
    my $status  = 200;
    my $backend = start_backend(sub {
        my ($request) = @_;

        return MCPTest::Backend::http(200,
            '{"message":"alice@example.com"}', @headers)
            if $request->{path} =~ /get_logged_user/;
        return MCPTest::Backend::http($status, '{"jsonrpc":"2.0","id":'
            . raw_id($request->{body}) . ',"result":{"a":1}}', @headers);
    });
    my $nginx = start_nginx(backend => $backend->port,
        locations => 'location = /secret { return 200 "secret page"; }');
    my $stream = open_stream($nginx);
    my $post   = post($nginx, $stream, request(++$id, 'tools/list', {}));

    like($stream->wait_answer($id) || '', qr/"a":1/,
        'an answer with headers of all kinds is forwarded');

    for my $name ('Set-Cookie', 'Location', 'Refresh', 'WWW-Authenticate',
        'X-Accel-Redirect')
    {
        is($stream->header($name), undef,
            "the stream does not have Frappe's $name");
        is($post->header($name), undef, "the 202 does not have Frappe's $name");
    }

    for (301, 302, 303, 307, 308) {
        $status = $_;
        fault($nginx, $stream, request(++$id, 'tools/list', {}), -32603,
            'Backend error', "status $status with Location is a backend error");
    }

    # neither call nor look-up follows a redirect

    is(scalar(grep { $_->{path} =~ /secret/ } $backend->requests), 0,
        'no redirect of Frappe is followed');
    ok(!(grep { ($_->{data} || '') =~ /secret/ } $stream->events),
        'nothing of the page behind a redirect is told');
    $stream->close;
    $backend->stop;
}

# Frappe is down

{
    my $nginx = start_nginx(http =>
        'mcp_sse_call_timeout 5s; mcp_sse_auth_cache 1h;');
    my $stream = open_stream($nginx);

    for my $case (
        [ 'refuse', -32003, 'Backend unavailable' ],
        [ '502', -32003, 'Backend unavailable' ],
        [ '503', -32003, 'Backend unavailable' ],
        [ '504', -32008, 'Request timed out' ],
        [ '500', -32603, 'Backend error' ],
        [ '429', -32004, 'Too many requests' ],
        [ 'hang', -32008, 'Request timed out' ],
    ) {
        my ($down, $code, $text) = @$case;

        $frappe->set(down => $down);
        fault($nginx, $stream, request(++$id, 'initialize', {}), $code, $text,
            "Frappe is down ($down): initialize is an error");
        fault($nginx, $stream, tool(++$id, 'echo', {}), $code, $text,
            "Frappe is down ($down): tools/call is an error");
        ok(call($nginx, $stream, request(++$id, 'ping')),
            "Frappe is down ($down): ping is answered");
        $frappe->reset;
    }

    ok(call($nginx, $stream, tool(++$id, 'echo', {})),
        'a call is answered when Frappe is back');
    $stream->close;
}

# Frappe refuses connections, and nginx has error pages of its own

{
    my $closed = start_backend(sub { return });
    my $nginx  = start_nginx(backend => $closed->port,
        http => 'mcp_sse_auth_cache 1h;',
        server => 'error_page 502 503 504 /50x.html;',
        locations => 'location = /50x.html { return 200 "page of nginx"; }');
    my $stream = open_stream($nginx);

    $closed->stop;
    fault($nginx, $stream, request(++$id, 'initialize', {}), -32003,
        'Backend unavailable', 'a refused connection is "Backend unavailable"');
    fault($nginx, $stream, request(++$id, 'tools/list', {}), -32003,
        'Backend unavailable',
        'a second refused connection is "Backend unavailable"');
    $stream->close;
}

{
    my $slow  = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return \'hang';
    });
    my $nginx = start_nginx(backend => $slow->port, config => sub {
        my ($self) = @_;
        my $config = $self->template;
        $config =~ s/proxy_read_timeout 600s;/proxy_read_timeout 1s;/;
        return $config;
    });

    my $stream = open_stream($nginx);

    fault($nginx, $stream, request(++$id, 'tools/list', {}), -32008,
        'Request timed out', 'proxy_read_timeout is "Request timed out"');
    $stream->close;
}

# the location of mcp_sse_call refuses the call

for my $case (
    [ 'return 403;', -32001, 'Not permitted' ],
    [ 'return 404;', -32603, 'Backend error' ],
    [ 'return 503;', -32003, 'Backend unavailable' ],
    [ 'return 301 /x;', -32603, 'Backend error' ],
) {
    my ($line, $code, $text) = @$case;

    my $nginx  = start_nginx(call => $line);
    my $stream = open_stream($nginx);

    fault($nginx, $stream, request(++$id, 'tools/list', {}), $code, $text,
        "\"$line\" in the location of mcp_sse_call is an error");
    $stream->close;
}

# answers that Frappe does not give

{
    my $reply;
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return ref $reply eq 'ARRAY' ? @$reply : $reply;
    });
    my $nginx  = start_nginx(backend => $backend->port);
    my $stream = open_stream($nginx);

    my $http = \&MCPTest::Backend::http;

    for my $case (
        [ 'result and error', $http->(200, '{"jsonrpc":"2.0","id":ID,'
            . '"result":{},"error":{"code":1,"message":"x"}}') ],
        [ 'neither', $http->(200, '{"jsonrpc":"2.0","id":ID}') ],
        [ 'a request', $http->(200,
            '{"jsonrpc":"2.0","id":ID,"method":"sampling/createMessage"}') ],
        [ 'an array', $http->(200, '[{"jsonrpc":"2.0","id":ID,"result":1}]') ],
        [ 'a scalar', $http->(200, '"ok"') ],
        [ 'two values', $http->(200, '{"jsonrpc":"2.0","id":ID,"result":{}}'
            . '{"jsonrpc":"2.0","id":ID,"result":{}}') ],
        [ 'two responses', $http->(200, '{"message":{"jsonrpc":"2.0","id":ID,'
            . '"result":1},"message":{"jsonrpc":"2.0","id":ID,"result":2}}') ],
        [ 'a value and a response', $http->(200, '{"message":"a",'
            . '"message":{"jsonrpc":"2.0","id":ID,"result":2}}') ],
        [ 'two messages, values', $http->(200,
            '{"message":"a","message":"b"}') ],
        [ 'bad UTF-8', $http->(200,
            qq({"jsonrpc":"2.0","id":ID,"result":"\xff"})) ],
        [ 'JSON-RPC with status 500', $http->(500,
            '{"jsonrpc":"2.0","id":ID,"result":{}}') ],
        [ 'no JSON-RPC with status 400', $http->(400, '{"a":1}') ],
        [ 'an SSE body', $http->(200, "event: message\ndata: {}\n\n",
            'Content-Type', 'text/event-stream') ],
        [ 'no HTTP', [ "hello\r\n\r\n", \'close' ] ],
        [ 'a reset', [ "HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{",
            \'reset' ] ],
        [ 'cut in a chunk', [ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
            . "\r\n\r\n100\r\n{\"jsonrpc\"", \'close' ] ],
        [ 'no last chunk', [ "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked"
            . "\r\n\r\n26\r\n" . '{"jsonrpc":"2.0","id":000,"result":{}}'
            . "\r\n", \'close' ] ],
    ) {
        my ($name, $template) = @$case;

        $id++;
        $reply = ref $template
            ? [ map { ref $_ ? $_ : s/ID/$id/gr } @$template ]
            : $template =~ s/ID/$id/gr;

        # the id may have changed the length

        $reply =~ s/Content-Length: \d+(\r\n.*?\r\n\r\n)(.*)\z/
            'Content-Length: ' . length($2) . $1 . $2/es unless ref $reply;

        my $raw = call($nginx, $stream, request($id, 'tools/list', {}));

        ok(error_of($raw), "the answer is an error: $name");
        is(raw_id($raw || '{}'), $id, "the error has the request's id: $name");
    }

    # a plain name of at most 64 characters is told as exc_type

    for my $case (
        [ 'of 64 bytes', 'E' x 64, 'E' x 64 ],
        [ 'of 65 bytes', 'E' x 65 ],
        [ 'of 100 kB', 'E' x 100_000 ],
        [ 'of all kinds of characters', 'frappe.Az_09', 'frappe.Az_09' ],
        [ 'with a quote', 'a\\"b' ],
        [ 'with a blank', 'Salary Slip' ],
        [ 'that is empty', '' ],
    ) {
        my ($name, $type, $told) = @$case;

        $reply = $http->(417, qq({"exc_type":"$type","exc":"Traceback"}));
        fault($nginx, $stream, request(++$id, 'tools/list', {}), -32603,
            'Backend error',
            "an exc_type $name is a backend error", { status => 417,
            defined $told ? (exc_type => $told) : () });
    }

    # nginx takes an interim response for the answer; its body does not end

    for my $status (100, 103) {
        $reply = [ "HTTP/1.1 $status X\r\n\r\n", 0.2,
            $http->(200, '{"jsonrpc":"2.0","id":' . ++$id
            . ',"result":{}}') ];

        my $raw = call($nginx, $stream, request($id, 'tools/list', {}));

        is_error($raw, -32603, 'Backend error',
            "an interim $status is a backend error at once");
        is((error_of($raw) || {})->{data}{status}, $status,
            "an interim $status is in the data of the error");
    }

    # unusual answers that are valid

    for my $case (
        [ 'until the connection ends', [ "HTTP/1.0 200 OK\r\n\r\n"
            . '{"jsonrpc":"2.0","id":ID,"result":{"a":1}}', \'close' ] ],
        [ 'status 400', $http->(400, '{"jsonrpc":"2.0","id":ID,'
            . '"error":{"code":-32602,"message":"m","data":[1]}}') ],
        [ 'wrapped, status 400', $http->(400, '{"message":{"jsonrpc":"2.0",'
            . '"id":ID,"error":{"code":-5,"message":"m"}},"exc":"Trace"}') ],
        [ 'wrapped among others', $http->(200, '{"a":1,"message":'
            . '{"jsonrpc":"2.0","result":{},"id":ID},"_server_messages":"x"}')
        ],
        [ 'type text/html', $http->(200,
            '{"jsonrpc":"2.0","id":ID,"result":{}}', 'Content-Type',
            'text/html') ],
        [ 'blanks around', $http->(200,
            "\r\n {\"jsonrpc\":\"2.0\",\"id\":ID,\"result\":{}}\n ") ],
        [ 'in pieces', [ "HTTP/1.1 200 OK\r\nContent-Le", 0.1,
            "ngth: LEN\r\n\r\n{\"json", 0.1, 'rpc":"2.0","id":ID,"res', 0.1,
            'ult":{}}' ] ],
    ) {
        my ($name, $template) = @$case;

        $id++;

        if (ref $template) {
            my $length = length '{"jsonrpc":"2.0","id":,"result":{}}';

            $length += length $id;
            $reply = [ map { ref $_ ? $_ : s/ID/$id/gr =~ s/LEN/$length/gr }
                @$template ];

        } else {
            $reply = $template =~ s/ID/$id/gr;
            $reply =~ s/Content-Length: \d+(\r\n.*?\r\n\r\n)(.*)\z/
                'Content-Length: ' . length($2) . $1 . $2/es;
        }

        my $raw = call($nginx, $stream, request($id, 'tools/list', {}));

        is(raw_id($raw || '{}'), $id, "an unusual answer is forwarded: $name");
        unlike($raw || 'Trace', qr/Trace|_server/,
            "an unusual answer is forwarded without the rest: $name");
        unlike($raw || '', qr/Backend/,
            "an unusual answer is no backend error: $name");
    }

    $stream->close;
}

finish();
