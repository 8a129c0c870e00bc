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

modern_raw($nginx, notification('notifications/initialized'));
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

# ---- statuses of errors

my $answer = '';
my $status = 200;

my $backend = start_backend(sub {
    return if $_[0]{path} =~ /get_logged_user/;
    return MCPTest::Backend::http(404, '') if $_[0]{body} =~ m{server/discover};
    return MCPTest::Backend::http($status, $answer);
});
my $own = start_http(backend => $backend->port,
    mcp => 'mcp_sse_stream_after 300s;');

for my $case (
    [ -32601, 404 ], [ -32020, 400 ], [ -32021, 400 ], [ -32022, 400 ],
    [ -32602, 200 ], [ -32603, 200 ], [ -32700, 200 ], [ -32600, 200 ],
    [ 1, 200 ], [ -1, 200 ],
) {
    my ($code, $wanted) = @{$case};

    $answer = qq({"jsonrpc":"2.0","id":5,"error":{"code":$code,)
        . '"message":"m"}}';

    for my $from (200, 400, 404) {
        $status = $from;

        for my $accept ('application/json, text/event-stream',
            'application/json', 'text/event-stream')
        {
            my $got = modern($own, 5, 'x/y', undef, accept => $accept);

            is($got->status, $wanted, "$code with $from is $wanted: $accept");
            is(decode($got->answer)->{error}{code}, $code,
                "$code with $from has its code: $accept");
            is($got->is_stream ? 1 : 0,
                $accept !~ /json/ && $wanted == 200 ? 1 : 0,
                "$code with $from is JSON or a stream: $accept");
        }
    }
}

# in the older era all of them are 200

$answer = '{"jsonrpc":"2.0","id":5,"error":{"code":-32601,"message":"m"}}';

for my $from (200, 400, 404) {
    $status = $from;
    is(http_post($own, request(5, 'x/y'))->status, 200,
        "-32601 with $from is 200 in the older era");
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

# more requests than may wait

{
    $frappe->reset;

    my $full = start_http(http => 'mcp_sse_max_inbox 1;',
        mcp => 'mcp_sse_max_calls 1;');
    my @many = map {
        modern($full, $_, 'tools/call', { name => 'hold',
            arguments => { gate => 'full' } }, async => 1)
    } 1 .. 4;

    run_until(sub { 2 == grep { $_->ended } @many });

    my ($refused) = grep { $_->ended } @many;

    like($refused->body, qr/\A\{"jsonrpc":"2\.0","id":[1-4],"error":
        \{"code":-32603,"message":"Too\ many\ messages",
        "data":\{"reason":"too_many"\}\}\}\z/x,
        'more requests than may wait are refused with their ids');
    is($refused->status, 429, 'with 429');
    is($refused->header('Retry-After'), 1, 'and Retry-After');
    $frappe->open_gate('full');
    run_until(sub { !grep { !$_->ended } @many });
    is(scalar(grep { ($_->answer || '') =~ /held/ } @many), 2,
        'the others are answered');
}

# Frappe cannot be asked for the user

{
    $frappe->set(down => 503);

    refused_as(modern($nginx, 3, 'tools/list', undef,
        auth => MCPTest::credential('bob')), 503, 'null', -32603,
        'Backend unavailable', '{"reason":"unavailable"}',
        'while Frappe is down a request is 503');
    $frappe->set(down => undef);
}

# the end of a worker

{
    $frappe->reset;

    my $old = start_http(workers => 1, main => 'worker_shutdown_timeout 3s;',
        mcp => 'mcp_sse_max_calls 1; mcp_sse_stream_after 300s;');
    my %got = map {
        $_ => modern($old, 3, 'tools/call', { name => 'hang' }, async => 1,
            path => $_ eq 'other' ? '/mcp/' : '/mcp',
            accept => $_ eq 'other' ? 'text/event-stream'
                : 'application/json')
    } qw(one other);

    run_until(sub { $frappe->tool_count('hang') == 2 });

    my @old = $old->reload;

    ok($old->wait_gone(\@old), 'an old worker ends despite its requests');

    for my $name (sort keys %got) {
        is($got{$name}->answer, '{"jsonrpc":"2.0","id":3,"error":{"code":'
            . '-32603,"message":"Stream closed before the answer","data":'
            . '{"reason":"closed","executed":"unknown"}}}',
            "$name: it is answered");
        isnt($got{$name}->ended, 'cut', "$name: the response is complete");
        is($got{$name}->status, 200, "$name: the status");
    }
}

finish();
