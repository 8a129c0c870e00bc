# What becomes of Frappe's answer on its way to a client of 2026-07-28: members
# that are added, codes of errors with their HTTP status, answers that no client
# can read.  docs/PROTOCOL.md 15.11, 15.40 to 15.46.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Backend;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

# a backend of the older era that answers with $body, where ID stands for
# the id of the request

our ($status, $body) = (200, '');

my $backend = start_backend(sub {
    my ($request) = @_;

    my ($id) = $request->{body} =~ /"id":("(?:[^"\\]|\\.)*"|-?\d+)/;

    return MCPTest::Backend::http(200, '{"message":"alice@example.com"}')
        if $request->{path} =~ /get_logged_user/;

    return MCPTest::Backend::http(404, qq({"jsonrpc":"2.0","id":$id,"error":)
        . '{"code":-32601,"message":"Method not found"}}')
        if $request->{body} =~ m{"method":"server/discover"};

    return MCPTest::Backend::http(200, qq({"jsonrpc":"2.0","id":$id,"result":)
        . '{"protocolVersion":"2025-06-18","capabilities":{"tools":{}},'
        . qq("serverInfo":{\n"name":"Frappe",\r\n"version":"16"}}}))
        if $request->{body} =~ m{"method":"initialize"};

    my $text = $body;

    $text =~ s/ID/$id/g;

    return MCPTest::Backend::http($status, $text);
});

my $nginx = start_http(backend => $backend->port,
    http => 'mcp_sse_max_answer 4m;');

my $type = '"resultType":"complete"';
my $keep = '"ttlMs":60000,"cacheScope":"private"';


# The status and the answer to a request.

sub answer {
    my ($method, $params, %opt) = @_;

    my $response = modern($nginx, 7, $method, $params, %opt);

    return ($response->status || 'nothing') . ' '
        . ($response->answer || $response->body || '');
}


sub result { return '{"jsonrpc":"2.0","id":' . $_[0] . ',"result":' . $_[1] . '}' }

sub error { return '{"jsonrpc":"2.0","id":' . $_[0] . ',"error":' . $_[1] . '}' }


# ---- results

for my $case (
    [ 'tools/call', { name => 'a' }, '{"content":[],"isError":true}',
        "{$type,\"content\":[],\"isError\":true}" ],
    [ 'prompts/get', { name => 'a' }, '{"messages":[]}',
        "{$type,\"messages\":[]}" ],
    [ 'tools/list', undef, '{"tools":[]}', "{$type,$keep,\"tools\":[]}" ],
    [ 'resources/read', { uri => 'a' }, '{"contents":[]}',
        "{$type,\"ttlMs\":0,\"cacheScope\":\"private\",\"contents\":[]}" ],
    [ 'tools/call', { name => 'a' },
        '{"resultType":"input_required","requestState":"s"}',
        '{"resultType":"input_required","requestState":"s"}' ],
) {
    my ($method, $params, $from, $to) = @$case;

    for my $wrapped (0, 1) {
        local $body = $wrapped ? '{"message":' . result('ID', $from) . '}'
            : result('ID', $from);

        is(answer($method, $params), '200 ' . result(7, $to),
            "$method has what the modern era asks for"
            . ($wrapped ? ', under "message"' : ''));
    }
}

{
    local $body = result('ID', '{"tools":[]}');

    is(answer('tools/list', { requestState => 's' }), '200 ' . result(7,
        "{$type,\"ttlMs\":0,\"cacheScope\":\"private\",\"tools\":[]}"),
        'the answer to a retry is not kept');

    my $older = http_post($nginx, request(8, 'tools/list'),
        protocol => '2025-11-25');

    is($older->answer, result(8, '{"tools":[]}'),
        'a client of the older era gets it as it was sent');

    is(modern($nginx, 9, 'tools/list', undef, accept => 'text/event-stream')
        ->answer, result(9, "{$type,$keep,\"tools\":[]}"),
        'an answer in a stream is the same');
}

{
    my $text = 'Müller ' x 200000;

    local $body = result('ID', "{\"content\":\"$text\"}");

    is(answer('tools/call', { name => 'a' }), '200 '
        . result(7, "{$type,\"content\":\"$text\"}"), 'a large answer');
}

# ---- errors

for my $case (
    [ -32601, 404, -32601 ], [ -32602, 200, -32602 ], [ -32603, 200, -32603 ],
    [ -32020, 400, -32020 ], [ -32021, 400, -32021 ], [ -32022, 400, -32022 ],
    [ -32000, 200, -32603 ], [ -32042, 200, -32603 ], [ -32002, 200, -32602 ],
) {
    my ($from, $http, $to) = @$case;

    for my $sent (200, 400, 404) {
        local $status = $sent;
        local $body   = error('ID',
            "{\"message\":\"m\",\"code\":$from,\"data\":{\"a\":1}}");

        is(answer('tools/call', { name => 'a' }), "$http " . error(7,
            "{\"message\":\"m\",\"code\":$to,\"data\":{\"a\":1}}"),
            "an error $from with status $sent is $to with status $http");
    }
}

for my $case ([ -32601, 404 ], [ -32021, 400 ], [ -32602, 200 ]) {
    my ($code, $http) = @$case;

    local $body = error('ID', "{\"code\":$code,\"message\":\"m\"}");

    for my $accept ('application/json, text/event-stream', 'application/json',
        'text/event-stream')
    {
        my $response = modern($nginx, 7, 'tools/list', undef,
            accept => $accept);

        is($response->status, $http, "$code is $http: $accept");
        is($response->answer, error(7, "{\"code\":$code,\"message\":\"m\"}"),
            "$code arrives: $accept");
        is($response->is_stream ? 1 : 0,
            $accept !~ /json/ && $http == 200 ? 1 : 0,
            "$code is JSON, or a stream if only that is taken: $accept");
    }

    my $older = http_post($nginx, request(8, 'tools/list'));

    is($older->status, 200, "$code is 200 for a client of the older era");
}

{
    local $body = error('ID', '{"code":-32002,"message":"m"}');

    is(answer('resources/read', { uri => 'fac://skills/"a"' }), '200 '
        . error(7, '{"data":{"uri":"fac://skills/\"a\""},"code":-32602,'
            . '"message":"m"}'), 'a resource that is not found is named');
}

# ---- what no client can read

for my $bad (result('ID', 'null'), result('ID', '[]'), '{"message":"a"}',
    error('ID', '"a"'), error('ID', '{"code":-32602}'))
{
    local $body = $bad;

    is(answer('tools/call', { name => 'a' }), '200 ' . error(7,
        '{"code":-32603,"message":"Backend error","data":{"reason":"backend",'
        . '"status":200,"executed":"unknown"}}'), "it is -32603: $bad");
}

# ---- who the server is

{
    local $body = result('ID', '{"tools":[],"_meta":{"a":1}}');

    is(answer('tools/list'), '200 ' . result(7,
        "{$type,$keep,\"tools\":[],\"_meta\":{\"a\":1}}"),
        'serverInfo is not asked for');
    is(modern($nginx, 1, 'server/discover')->status, 200,
        'a client asks for it');

    my $info = '"io.modelcontextprotocol/serverInfo":'
        . '{ "name":"Frappe",  "version":"16"}';

    for my $accept ('application/json', 'text/event-stream') {
        is(answer('tools/list', undef, accept => $accept), '200 ' . result(7,
            "{$type,$keep,\"tools\":[],\"_meta\":{$info,\"a\":1}}"),
            "then answers have it: $accept");
    }

    is(http_post($nginx, request(8, 'tools/list'))->answer,
        result(8, '{"tools":[],"_meta":{"a":1}}'),
        'but not for a client of the older era');
}

ok($nginx->wait_log(qr/\[error\].*mcp sse: call at .* without a usable body/),
    'the log says that it cannot be used');

finish();
