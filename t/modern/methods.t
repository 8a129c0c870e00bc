# What becomes of the methods and answers of the modern era: HTTP statuses, codes
# of errors, faults of calls, JSON or a stream.  docs/PROTOCOL.md 15.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(mcp => 'mcp_sse_stream_after 300s; '
        . 'mcp_sse_max_answer 2k;',
    locations => 'location = /soon { mcp_sse_http; mcp_sse_stream_after 1ms; } '
        . 'location = /late { mcp_sse_http; mcp_sse_call_timeout 300ms; } '
        . 'location = /local { mcp_sse_http; mcp_sse_local resources/list '
        . 'resources/templates/list prompts/list ping logging/setLevel; }');


# A call of a tool of the stand-in.

sub call_tool {
    my ($name, $arguments, %opt) = @_;

    return modern($nginx, 3, 'tools/call',
        { name => $name, arguments => $arguments || {} }, %opt);
}


# ---- methods of the older era

for my $method ('initialize', 'ping', 'logging/setLevel',
    'resources/subscribe', 'resources/unsubscribe')
{
    for my $path ('/mcp', '/local') {
        $frappe->reset;
        refused_as(modern($nginx, '"a"', $method, { uri => 'x' },
            path => $path), 404, '"a"', -32601, 'Method not found', undef,
            "$method is 404 at $path");
        is($frappe->calls, 0, "$method does not reach Frappe from $path");
    }
}

modern_post($nginx, notification('notifications/initialized'));
is($frappe->calls, 0, 'notifications/initialized does not reach Frappe');

# ---- lists that mcp_sse_local answers

for my $case ([ 'resources/list', 'resources' ],
    [ 'resources/templates/list', 'resourceTemplates' ],
    [ 'prompts/list', 'prompts' ])
{
    my ($method, $member) = @{$case};

    $frappe->reset;
    is(modern($nginx, 1, $method, undef, path => '/local')->body,
        qq({"jsonrpc":"2.0","result":{"$member":[],"resultType":"complete",)
        . '"ttlMs":60000,"cacheScope":"private"},"id":1}',
        "$method is a complete result with hints");
    is($frappe->calls, 0, "$method does not reach Frappe");
}

# ---- a stream

{
    my $gate = call_tool('hold', { gate => 'a' }, path => '/soon', async => 1);

    stream_of($gate);
    ok($gate->is_stream, 'a slow answer becomes a stream');
    is($gate->header('X-Accel-Buffering'), 'no',
        'the stream tells proxies not to buffer it');
    $frappe->open_gate('a');
    ok($gate->wait && $gate->answer, 'the stream ends with the answer');

    $frappe->reset;

    my $json = call_tool('hold', { gate => 'b' }, async => 1,
        accept => 'text/event-stream');

    run_until(sub { $frappe->tool_count('hold') });
    ok(!defined $json->status,
        'the status waits for the answer, if only a stream is accepted');
    $frappe->open_gate('b');
    ok($json->wait && $json->is_stream && $json->answer,
        'then it is a stream with the answer');
}

# ---- faults

for my $case (
    [ 'status', { code => 500 }, 200, 'Backend error',
      '{"reason":"backend","status":500,"executed":"unknown"}' ],
    [ 'throw', {}, 200, 'Backend error',
      '{"reason":"backend","status":417,"exc_type":"ValidationError"}' ],
    [ 'empty', {}, 200, 'Empty answer from backend',
      '{"reason":"backend","executed":"unknown"}' ],
    [ 'wrong_id', {}, 200, 'Backend answered another request',
      '{"reason":"backend","executed":"unknown"}' ],
    [ 'big', { size => 5000 }, 200, 'Answer too large',
      '{"reason":"too_large","executed":"unknown"}' ],
    [ 'status', { code => 503 }, 200, 'Backend unavailable',
      '{"reason":"unavailable","status":503,"executed":"unknown"}' ],
    [ 'status', { code => 403 }, 403, 'Not permitted',
      '{"reason":"refused"}' ],
) {
    my ($tool, $arguments, $wanted, $message, $data) = @{$case};

    refused_as(call_tool($tool, $arguments), $wanted, 3, -32603, $message,
        $data, "$tool: $message");
}

{
    my $got = call_tool('hang', {}, path => '/late');

    like($got->body, qr/\A\{"jsonrpc":"2\.0","id":3,"error":\{"code":-32603,
        "message":"Request\ timed\ out","data":\{"reason":"timeout",
        "timeout_ms":300,"executed":"unknown"\}\}\}\z/x, 'a call that hangs');
    is($got->status, 200, 'the time-out of a call is 200');
}

{
    my $limited = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return MCPTest::Backend::http(429, '', 'Retry-After' => 39);
    });
    my $its = start_http(backend => $limited->port);

    refused_as(modern($its, 3, 'tools/list'), 200, 3, -32603,
        'Too many requests', '{"reason":"too_many","status":429,'
        . '"retry_after":39}', 'the rate limit of Frappe');
}

finish();
