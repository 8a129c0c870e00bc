# Answers of a backend of the older era in the form of 2026-07-28: members
# that are added and those that stay, codes of errors, and what is not an answer
# of MCP.  docs/PROTOCOL.md 15.40 to 15.47.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/codec/codec.c',
    [ grep { m{^codec/} } MCPTest::Unit::objects() ]);

my $info = '{"name":"Frappe","version":"16"}';
my $meta = '"io.modelcontextprotocol/serverInfo":' . $info;
my $type = '"resultType":"complete"';
my $uri  = '"fac:\/\/skills\/a"';


# The event for a body, as its data, or what it is otherwise: the request is a
# tools/call with the id 1 and without a URI, and the server is not known,
# unless %o says other.

sub modern {
    my ($body, %o) = @_;

    my $answer = $unit->ask('answer', $o{method} || 'tools/call',
        $o{retry} || 0,
        map { defined $_ ? MCPTest::Unit::hex($_) : '-' }
            defined $o{id} ? $o{id} : 1, $o{uri}, $o{info}, $body);

    $answer =~ s/^ok -?\d+ // unless $o{code};

    return $answer;
}


sub result { return qq({"jsonrpc":"2.0","id":1,"result":$_[0]}) }

sub error { return qq({"jsonrpc":"2.0","id":1,"error":$_[0]}) }


# ---- results

for my $case (
    [ 'a tool', '{"content":[],"isError":false}',
        "{$type,\"content\":[],\"isError\":false}" ],
    [ 'a tool that failed', '{"content":[],"isError":true}',
        "{$type,\"content\":[],\"isError\":true}" ],
    [ 'numbers, spelling and order of members',
        '{"b" : 1.50e1,"a":12345678901234567890,"\u0063":"\u00e9"}',
        "{$type,\"b\" : 1.50e1,\"a\":12345678901234567890,"
        . '"\u0063":"\u00e9"}' ],
    [ 'an object without members', '{}', "{$type}" ],
    [ 'an object of blanks', "{ \t }", "{$type \t }" ],
    [ 'a resultType deeper in it', '{"a":{"resultType":"complete"}}',
        "{$type,\"a\":{\"resultType\":\"complete\"}}" ],
) {
    is(modern(result($case->[1])), result($case->[2]),
        "resultType is added: $case->[0]");
}

for my $case (
    [ 'its own resultType', "{\"a\":1,$type}" ],
    [ 'a task', '{"resultType":"task","taskId":"1"}' ],
    [ 'input_required',
        '{"requestState":"s","resultType":"input_required"}' ],
    [ 'a resultType of another type', '{"resultType":null}' ],
) {
    is(modern(result($case->[1])), 'declined 0',
        "a result is left alone: $case->[0]");
}

for my $case (
    [ 'tools/list', 60000 ], [ 'prompts/list', 60000 ],
    [ 'resources/list', 60000 ], [ 'resources/templates/list', 60000 ],
    [ 'resources/read', 0 ], [ 'server/discover', 600000 ],
) {
    my ($method, $ttl) = @$case;

    is(modern(result('{"a":1}'), method => $method),
        result("{$type,\"ttlMs\":$ttl,\"cacheScope\":\"private\",\"a\":1}"),
        "$method says how long it may be kept");

    is(modern(result('{"a":1}'), method => $method, retry => 1),
        result("{$type,\"ttlMs\":0,\"cacheScope\":\"private\",\"a\":1}"),
        "$method, as a retry, is not kept");
}

for my $method (qw(tools/call prompts/get completion/complete tools/list2)) {
    is(modern(result('{"a":1}'), method => $method),
        result("{$type,\"a\":1}"), "$method is not kept");
}

is(modern(result('{"ttlMs":1,"a":2}'), method => 'tools/list'),
    result("{$type,\"cacheScope\":\"private\",\"ttlMs\":1,\"a\":2}"),
    'a ttlMs of the backend stays');

is(modern(result('{"cacheScope":"public","resultType":"complete"}'),
    method => 'tools/list'),
    result('{"ttlMs":60000,"cacheScope":"public","resultType":"complete"}'),
    'a cacheScope of the backend stays');

is(modern(result('{"resultType":"input_required"}'),
    method => 'resources/read', info => $info), 'declined 0',
    'input_required has neither ttlMs nor serverInfo added');

for my $case (
    [ 'no _meta', '{"a":1}', "{$type,\"_meta\":{$meta},\"a\":1}" ],
    [ 'no member', '{}', "{$type,\"_meta\":{$meta}}" ],
    [ 'an empty _meta', "{$type,\"_meta\":{ }}", "{$type,\"_meta\":{$meta }}" ],
    [ 'a _meta', '{"_meta":{"a":1},"b":2}',
        "{$type,\"_meta\":{$meta,\"a\":1},\"b\":2}" ],
    [ 'a _meta with serverInfo',
        '{"_meta":{"io.modelcontextprotocol\/serverInfo":1}}',
        "{$type,\"_meta\":{\"io.modelcontextprotocol\\/serverInfo\":1}}" ],
    [ 'a _meta that is no object', '{"_meta":[]}', "{$type,\"_meta\":[]}" ],
    [ 'two of them', '{"_meta":{},"_meta":{}}',
        "{$type,\"_meta\":{},\"_meta\":{}}" ],
) {
    is(modern(result($case->[1]), info => $info), result($case->[2]),
        "serverInfo is added where it is missing: $case->[0]");
}

is(modern(result('{"_meta":{},"resultType":"complete"}'), info => "{\"n\":\"\xe2"
    . "\x80\xa8\"}"),
    result('{"_meta":{"io.modelcontextprotocol/serverInfo":{"n":"\u2028"}},'
        . '"resultType":"complete"}'),
    'what is added cannot end a line of a stream');

# ---- around it

is(modern('{"message":' . result('{"a":1}') . '}'), result("{$type,\"a\":1}"),
    'a response under "message" comes out of it');

is(modern('{"message":{"a":1}}', id => '"x"', method => 'tools/list'),
    '{"jsonrpc":"2.0","id":"x","result":' . "{$type,\"ttlMs\":60000,"
    . '"cacheScope":"private","a":1}}',
    'another object under "message" is the result');

is(modern('{"result":{},"id":null,"jsonrpc":"2.0"}', id => 7),
    "{\"result\":{$type},\"id\":7,\"jsonrpc\":\"2.0\"}",
    'an id that is null becomes that of the request');

is(modern('{"result":{},"jsonrpc":"2.0"}', id => 7),
    "{\"id\":7,\"result\":{$type},\"jsonrpc\":\"2.0\"}",
    'an id that is missing becomes that of the request');

is(modern("{\"jsonrpc\":\"2.0\",\r\n\"id\":1,\n\"result\":{\n\"a\":\"\xc2\x85\"}}"),
    "{\"jsonrpc\":\"2.0\",  \"id\":1, \"result\":{$type, \"a\":\"\\u0085\"}}",
    'an answer is one line');

# ---- errors

for my $case (
    [ -32601, -32601 ], [ -32602, -32602 ], [ -32603, -32603 ],
    [ -32700, -32700 ], [ -32020, -32020 ], [ -32021, -32021 ],
    [ -32022, -32022 ], [ -31999, -31999 ], [ -32043, -32043 ], [ 0, 0 ],
    [ 42, 42 ], [ -32000, -32603 ], [ -32001, -32603 ], [ -32003, -32603 ],
    [ -32019, -32603 ], [ -32042, -32603 ], [ -32002, -32602 ],
    [ 32000, 32000 ], [ 32002, 32002 ],
) {
    my ($code, $want) = @$case;
    my $error = '{"message":"m","code":%d,"data":{"a":[1]}}';
    my $body  = error(sprintf $error, $code);

    is(modern($body, code => 1), $code == $want ? "declined $want"
        : "ok $want " . error(sprintf $error, $want),
        "the code $code is $want, and nothing else changes");
}

is(modern(error('{"code":-320020,"message":"m"}'), code => 1),
    'declined -320020', 'a code that begins like another one stays');

is(modern(error('{"code":-32002000000000000000000,"message":"m"}')),
    'declined -3200200', 'a code of many digits stays');

for my $case (
    [ 'no data', '{"code":-32002,"message":"m"}',
        "{\"data\":{\"uri\":$uri},\"code\":-32602,\"message\":\"m\"}" ],
    [ 'data', '{"code":-32002,"message":"m","data":{"a":1}}',
        "{\"code\":-32602,\"message\":\"m\",\"data\":{\"uri\":$uri,\"a\":1}}" ],
    [ 'empty data', '{"data":{},"code":-32002,"message":"m"}',
        "{\"data\":{\"uri\":$uri},\"code\":-32602,\"message\":\"m\"}" ],
    [ 'data that is no object', '{"code":-32002,"message":"m","data":"x"}',
        "{\"code\":-32602,\"message\":\"m\",\"data\":{\"uri\":$uri}}" ],
    [ 'data with another uri', '{"code":-32002,"message":"m","data":{"uri":1}}',
        '{"code":-32602,"message":"m","data":{"uri":1}}' ],
) {
    is(modern(error($case->[1]), uri => $uri, method => 'resources/read'),
        error($case->[2]), "a resource that is not found: $case->[0]");
}

# ---- what is not an answer of MCP

for my $case (
    [ 'the result null', result('null') ],
    [ 'the result an array', result('[{"resultType":"complete"}]') ],
    [ 'the result a string', result('"a"') ],
    [ 'a string under "message"', '{"message":"hello"}' ],
    [ 'the error a string', error('"a"') ],
    [ 'an error without code', error('{"message":"m"}') ],
    [ 'an error without message', error('{"code":-32602}') ],
    [ 'a code that is a string', error('{"code":"-32602","message":"m"}') ],
    [ 'a code that is no integer', error('{"code":-32602.0,"message":"m"}') ],
    [ 'a code with an exponent', error('{"code":-32602e0,"message":"m"}') ],
    [ 'a message that is a number', error('{"code":-32602,"message":1}') ],
    [ 'two codes', error('{"code":-32602,"code":-32602,"message":"m"}') ],
    [ 'two messages', error('{"code":-32602,"message":"a","message":"a"}') ],
    [ 'two data', error('{"code":-32602,"message":"a","data":1,"data":1}') ],
) {
    is(modern($case->[1]), 'invalid', "no client can read it: $case->[0]");
}

finish();
