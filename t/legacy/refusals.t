# What POST /mcp/messages refuses, row by row, and what it accepts; GET
# /mcp/sse with a body.  Nothing runs after a refusal.  docs/PROTOCOL.md 1, 3
# and 4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(http => <<'EOT');
    mcp_sse_max_message 64k;
    mcp_sse_zone zone=mcp_sse:8m;
EOT

my $stream = open_stream($nginx);
my $list   = request(1, 'tools/list', {});

$frappe->reset;


sub refused {
    my ($message, $status, $code, $text, $name, %opt) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_rejected(post($nginx, $stream, $message, %opt), $status, $code,
        $text, $name);
}


# media type and encoding

for my $type ('text/plain', 'application/x-www-form-urlencoded',
    'application/jsonx', 'application/json-rpc', 'text/json',
    'multipart/form-data; boundary=x', 'application/*')
{
    refused($list, 415, -32600, 'Unsupported media type',
        "Content-Type: $type is refused with 415",
        type => $type);
}

for my $encoding (qw(gzip deflate br)) {
    refused($list, 415, -32600, 'Unsupported media type',
        "Content-Encoding: $encoding is refused with 415",
        headers => [ 'Content-Encoding' => $encoding ]);
}

# size

refused(request(1, 'tools/call', { name => 'echo', arguments =>
    { text => 'x' x 70000 } }), 413, -32600, 'Message too large',
    'a message larger than mcp_sse_max_message is refused with 413');

{
    my $body = request(1, 'ping', { text => 'x' x 70000 });
    my $chunked = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
        unpack('(a8000)*', $body), '';

    refused($chunked, 413, -32600, 'Message too large',
        'a chunked message larger than mcp_sse_max_message is refused with 413',
        headers => [ 'Transfer-Encoding' => 'chunked' ]);
}

# not JSON

my $deep = '{"jsonrpc":"2.0","id":1,"method":"ping","params":'
    . ('[' x 63) . (']' x 63) . '}';
my $deeper = '{"jsonrpc":"2.0","id":1,"method":"ping","params":'
    . ('[' x 64) . (']' x 64) . '}';

for my $case (
    [ 'empty', '' ],
    [ 'blanks', " \r\n" ],
    [ 'a word', 'hello' ],
    [ 'cut', '{"jsonrpc":"2.0","id":1,"method":"ping"' ],
    [ 'single quotes', q({'jsonrpc':'2.0','id':1,'method':'ping'}) ],
    [ 'trailing comma', '{"jsonrpc":"2.0","id":1,"method":"ping",}' ],
    [ 'trailing bytes', '{"jsonrpc":"2.0","id":1,"method":"ping"}x' ],
    [ 'a second message', '{"jsonrpc":"2.0","id":1,"method":"ping"}'
        . '{"jsonrpc":"2.0","id":2,"method":"ping"}' ],
    [ 'a NUL behind it', qq({"jsonrpc":"2.0","id":1,"method":"ping"}\0) ],
    [ 'a comment', '{"jsonrpc":"2.0",/* x */"id":1,"method":"ping"}' ],
    [ 'NaN', '{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":NaN}}' ],
    [ 'leading zero', '{"jsonrpc":"2.0","id":1,"method":"p","params":[01]}' ],
    [ 'a control byte in a string',
        qq({"jsonrpc":"2.0","id":1,"method":"pi\nng"}) ],
    [ 'bad UTF-8', qq({"jsonrpc":"2.0","id":1,"method":"\xff"}) ],
    [ 'overlong UTF-8', qq({"jsonrpc":"2.0","id":1,"method":"\xc0\xaf"}) ],
    [ 'surrogate in UTF-8',
        qq({"jsonrpc":"2.0","id":1,"method":"\xed\xa0\x80"}) ],
    [ 'UTF-8 above U+10FFFF',
        qq({"jsonrpc":"2.0","id":1,"method":"\xf4\x90\x80\x80"}) ],
    [ 'cut UTF-8', qq({"jsonrpc":"2.0","id":1,"method":"\xc3"}) ],
    [ 'UTF-16', join '', map { "$_\0" } split //,
        '{"jsonrpc":"2.0","id":1,"method":"ping"}' ],
    [ 'deeper than 64', $deeper ],
    [ 'very deep', '[' x 60000 ],
    [ 'a bad escape', '{"jsonrpc":"2.0","id":1,"method":"\x41"}' ],
) {
    refused($case->[1], 400, -32700, 'Parse error',
        "a body that is not JSON is a parse error: $case->[0]");
}

# not JSON-RPC

for my $case (
    [ 'a string', '"ping"' ],
    [ 'a number', '1' ],
    [ 'null', 'null' ],
    [ 'true', 'true' ],
    [ 'an empty batch', '[]' ],
    [ 'an empty object', '{}' ],
    [ 'a batch of scalars', '[1,2]' ],
    [ 'a batch in a batch', "[[$list]]" ],
    [ 'a batch of 101', '[' . join(',', map { request($_, 'ping') } 1 .. 101)
        . ']' ],
    [ 'a batch with one bad message',
        "[$list," . '{"jsonrpc":"2.0","id":null,"method":"ping"}]' ],
    [ 'no jsonrpc', '{"id":1,"method":"tools/list"}' ],
    [ 'jsonrpc 1.0', '{"jsonrpc":"1.0","id":1,"method":"tools/list"}' ],
    [ 'jsonrpc as a number', '{"jsonrpc":2.0,"id":1,"method":"tools/list"}' ],
    [ 'no method', '{"jsonrpc":"2.0","id":1}' ],
    [ 'method no string', '{"jsonrpc":"2.0","id":1,"method":1}' ],
    [ 'id null', '{"jsonrpc":"2.0","id":null,"method":"tools/list"}' ],
    [ 'id true', '{"jsonrpc":"2.0","id":true,"method":"tools/list"}' ],
    [ 'id an object', '{"jsonrpc":"2.0","id":{},"method":"tools/list"}' ],
    [ 'id an array', '{"jsonrpc":"2.0","id":[1],"method":"tools/list"}' ],
    [ 'id 1.5', '{"jsonrpc":"2.0","id":1.5,"method":"tools/list"}' ],
    [ 'id 1e3', '{"jsonrpc":"2.0","id":1e3,"method":"tools/list"}' ],
    [ 'two ids', '{"jsonrpc":"2.0","id":1,"id":2,"method":"tools/list"}' ],
    [ 'two ids, one escaped',
        '{"jsonrpc":"2.0","id":1,"\u0069d":2,"method":"tools/list"}' ],
    [ 'two methods',
        '{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call"}' ],
    [ 'two params', '{"jsonrpc":"2.0","id":1,"method":"tools/call",'
        . '"params":{},"params":{}}' ],
    [ 'two jsonrpc', '{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,'
        . '"method":"tools/list"}' ],
    [ 'params a string',
        '{"jsonrpc":"2.0","id":1,"method":"tools/list","params":"x"}' ],
    [ 'no id and no notification', '{"jsonrpc":"2.0","method":"tools/call"}' ],
    [ 'no id and nearly one', '{"jsonrpc":"2.0","method":"notification/x"}' ],
    [ 'method and result',
        '{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}' ],
    [ 'result and error', '{"jsonrpc":"2.0","id":1,"result":{},'
        . '"error":{"code":1,"message":"x"}}' ],
    [ 'a response without id', '{"jsonrpc":"2.0","result":{}}' ],
) {
    refused($case->[1], 400, -32600, 'Invalid Request',
        "a body that is not JSON-RPC is refused: $case->[0]");
}

is(scalar $stream->messages, 0, 'no refused message is answered on the stream');
is($frappe->calls, 0, 'no refused message runs');

# GET of the stream with a body

for my $case (
    [ 'of 2 bytes', '{}' ],
    [ 'in chunks', "2\r\n{}\r\n0\r\n\r\n", 'Transfer-Encoding', 'chunked' ],
) {
    my ($name, $body, @headers) = @$case;

    is_rejected(post($nginx, undef, $body, method => 'GET', path => '/mcp/sse',
        auth => MCPTest::credential(), type => undef, headers => [@headers]),
        400, -32600, 'A stream takes no body',
        "GET of the stream with a body $name is refused");
}

is(health($nginx)->{active_connections}, 1, 'GET with a body opens no stream');

# session ids that the server has not issued

for my $case (
    [ 'missing', undef ],
    [ 'empty', '' ],
    [ 'short', 'AQ' ],
    [ 'of another form', 'user_bridgekey0_e1faed9b' ],
    [ 'too long', $stream->session . 'A' ],
    [ 'cut', substr($stream->session, 0, 49) ],
    [ 'padded', $stream->session . '==' ],
    [ 'zeros', 'A' x 50 ],
    [ 'other letters', '%' x 50 ],
    [ 'with a quote', substr($stream->session, 0, 49) . '%22' ],
) {
    my ($name, $id) = @$case;

    is_rejected(post($nginx, $id, $list, auth => MCPTest::credential()),
        400, -32001, 'Invalid session ID', "a session id is refused: $name");
}

is_rejected(post($nginx, undef, $list, path =>
    '/mcp/messages?Session_Id2=' . $stream->session),
    400, -32001, 'Invalid session ID',
    'a session id in an argument of another name is refused');

# the order of checks

is_rejected(post($nginx, 'A' x 50, 'x' x 70000, type => 'text/plain'),
    400, -32001, 'Invalid session ID',
    'the session id is checked before type and size');
is_rejected(post($nginx, 'A' x 50, $list, auth => undef),
    401, -32001, 'Invalid authorization',
    'the credential is checked before the session id');
refused('x' x 70000, 415, -32600, 'Unsupported media type',
    'the type is checked before the size', type => 'text/plain');
refused('x' x 70000, 413, -32600, 'Message too large',
    'the size is checked before the JSON');

{
    my $gone = open_stream($nginx, headers => [], path => '/mcp/sse');
    my $id   = $gone->session;

    $gone->close;
    run_until(sub { health($nginx)->{active_connections} == 1 });

    is_rejected(post($nginx, $id, 'no JSON'), 400, -32700, 'Parse error',
        'the JSON is checked before the session is found gone');
    is_rejected(post($nginx, $id, $list, type => 'text/plain'), 415, -32600,
        'Unsupported media type',
        'the type is checked before the session is found gone');
}

# what is accepted

$frappe->reset;

for my $case (
    [ 'no Content-Type', { type => undef } ],
    [ 'a charset', { type => 'application/json; charset=utf-8' } ],
    [ 'capitals', { type => 'Application/JSON' } ],
    [ 'blanks and parameters', { type => 'application/json ;a=b' } ],
    [ 'identity', { headers => [ 'Content-Encoding', 'identity' ] } ],
    [ 'Accept of anything', { headers => [ 'Accept', 'text/html' ] } ],
    [ 'HTTP/1.0', { version => '1.0' } ],
    [ 'a trailing slash',
        { path => '/mcp/messages/?session_id=' . $stream->session } ],
) {
    accepted(post($nginx, $stream, request(100, 'ping'), %{ $case->[1] }),
        "a message is accepted with $case->[0]");
}

{
    my $body = request(200, 'ping', { text => 'x' x 30000 });
    my $chunked = join '', map { sprintf "%x\r\n%s\r\n", length, $_ }
        unpack('(a8000)*', $body), '';

    accepted(post($nginx, $stream, $chunked,
        headers => [ 'Transfer-Encoding' => 'chunked' ]),
        'a chunked body is accepted');
    ok($stream->wait_answer(200),
        'the message in the chunked body is answered');
}

accepted(post($nginx, $stream, " \r\n\t" . request(201, 'ping') . " \r\n "),
    'blanks around a message are accepted');
accepted(post($nginx, $stream, $deep), 'JSON of depth 64 is accepted');
accepted(post($nginx, $stream,
    qq({"jsonrpc":"2.0","id":202,"method":"\\u0070ing"})),
    'a method that is written with escapes is accepted');
ok($stream->wait_answer(202), 'a method with escapes is the same method');
accepted(post($nginx, $stream, request(203, 'ping', [])),
    'params that are an array are accepted');
accepted(post($nginx, $stream, request(-5, 'ping')),
    'a negative id is accepted');
ok($stream->wait_answer(-5), 'a request with a negative id is answered');

# the body of a refused POST is not taken for the next request

{
    my $conn = connect_to($nginx);

    is_rejected(post($nginx, 'A' x 50, 'x' x 5000, conn => $conn),
        400, -32001, 'Invalid session ID',
        'a POST with an invalid session id is refused');

    my $again = $conn->{closed} ? connect_to($nginx) : $conn;

    accepted(post($nginx, $stream, request(300, 'ping'), conn => $again),
        'the next POST on the connection is accepted');
    $again->close;
}

is_rejected(post($nginx, $stream, '{', conn => connect_to($nginx)), 400,
    -32700, 'Parse error',
    'half a message on a new connection is a parse error');

is($frappe->calls, 0, 'none of these messages goes to Frappe');

my $answer = post($nginx, $stream, '{');

is($answer->header('Content-Type'), 'application/json',
    'a refusal has Content-Type: application/json');

$stream->close;

finish();
