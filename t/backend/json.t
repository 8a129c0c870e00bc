# JSON of clients and of Frappe, value by value: UTF-8, escapes, ids, repeated
# members, depths, and the lengths at which the parser needs more memory.
# docs/PROTOCOL.md 4.9, 4.10, 4.18, 6.5 to 6.8, 6.14.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Backend;
use MCPTest::HTTP;
use Test::More;

# a backend that answers with $body, where ID stands for the id of the request

our ($status, $body) = (200, '{"jsonrpc":"2.0","id":ID,"result":{}}');
my $seen;

my $backend = start_backend(sub {
    my ($request) = @_;

    return if $request->{path} =~ /get_logged_user/;

    $seen = $request;

    my ($id) = $request->{body} =~ /"id":("(?:[^"\\]|\\.)*"|-?\d+)/;
    my $text = $body;

    $text =~ s/ID/defined $id ? $id : 'null'/ge;

    return MCPTest::Backend::http($status, $text);
});

my $nginx = start_http(backend => $backend->port,
    call => 'proxy_set_header X-Tool "$mcp_sse_tool";',
    http => 'mcp_sse_max_message 1m;');
my $conn  = connect_to($nginx);
my $list  = request(1, 'tools/list');


sub send_it { return http_post($nginx, $_[0], conn => $conn) }

sub params { return qq({"jsonrpc":"2.0","id":1,"method":"x","params":$_[0]}) }


# "200 ", or the status and the code of the error.

sub outcome {
    my ($answer) = @_;

    # not decoded: an id may be a lone surrogate

    my ($code) = ($answer->answer || $answer->body)
        =~ /"error":\{"code":(-?\d+)/;

    return ($answer->status || 0) . ' ' . ($code || '');
}


my ($ok, $parse, $invalid) = ('200 ', '400 -32700', '400 -32600');

# ---- UTF-8 (RFC 3629, 3) and control characters

for my $case (
    [ 'U+007F', "\x7f", $ok ],
    [ 'U+0080', "\xc2\x80", $ok ],
    [ 'U+07FF', "\xdf\xbf", $ok ],
    [ 'U+0800', "\xe0\xa0\x80", $ok ],
    [ 'U+D7FF', "\xed\x9f\xbf", $ok ],
    [ 'U+E000', "\xee\x80\x80", $ok ],
    [ 'U+FFFF', "\xef\xbf\xbf", $ok ],
    [ 'U+10000', "\xf0\x90\x80\x80", $ok ],
    [ 'U+FFFFF', "\xf3\xbf\xbf\xbf", $ok ],
    [ 'U+10FFFF', "\xf4\x8f\xbf\xbf", $ok ],
    [ 'a blank', ' ', $ok ],
    [ 'U+007F in two bytes', "\xc1\xbf", $parse ],
    [ 'U+07FF in three bytes', "\xe0\x9f\xbf", $parse ],
    [ 'U+FFFF in four bytes', "\xf0\x8f\xbf\xbf", $parse ],
    [ 'U+D800', "\xed\xa0\x80", $parse ],
    [ 'U+DFFF', "\xed\xbf\xbf", $parse ],
    [ 'U+110000', "\xf4\x90\x80\x80", $parse ],
    [ 'a byte F5', "\xf5\x80\x80\x80", $parse ],
    [ 'a byte F8', "\xf8\x88\x80\x80\x80", $parse ],
    [ 'a byte FF', "\xff", $parse ],
    [ 'a byte 80', "\x80", $parse ],
    [ 'a byte BF', "\xbf", $parse ],
    [ 'two bytes, the second is no continuation', "\xc3\x28", $parse ],
    [ 'two bytes, the second is C0', "\xc3\xc0", $parse ],
    [ 'three bytes, the third is no continuation', "\xe2\x82\x28", $parse ],
    [ 'four bytes, the third is none', "\xf0\x9f\x28\x80", $parse ],
    [ 'four bytes, the fourth is none', "\xf0\x9f\x98\x28", $parse ],
    (map { [ sprintf('a byte %02X', $_), chr, $parse ] } 0 .. 0x1f),
) {
    my ($name, $bytes, $want) = @$case;

    is(outcome(send_it(params(qq({"a":"$bytes"})))), $want,
        "in a string: $name");
}

# behind a string, and cut off by the end of the body

is(outcome(send_it("$list$_->[1]")), $_->[2], "behind the message: $_->[0]")
    for [ 'a tab', "\t", $ok ], [ 'CR', "\r", $ok ], [ 'LF', "\n", $ok ],
        [ 'a blank', ' ', $ok ], [ 'a vertical tab', "\x0b", $parse ],
        [ 'a form feed', "\x0c", $parse ], [ 'U+00A0', "\xc2\xa0", $parse ],
        [ 'half a character', "\xe2\x82", $parse ],
        [ 'a quote', '"', $parse ], [ 'half a string', '"abc', $parse ],
        [ 'a string', '"abc"', $parse ], [ 'a digit', '1', $parse ];

is(outcome(send_it($_)), $parse, 'a short body is a parse error: ' . length)
    for "\xef", "\xef\xbb", "\xef\xbb\xbf", '{', '"', ' ', '-', '1.';

# numbers at the end of the body, where the parser has not seen their end

is(outcome(send_it($_)), $invalid, "a number is no message: $_")
    for '1', '12', '-1', '1.5', " 1\n";

# ---- escapes: the name of a tool, as Frappe's headers have it

for my $case (
    [ 'plain', 'plain' ],
    [ '\u0041\u005a', 'AZ' ],
    [ '\"\\\\\/', '"\\/' ],
    [ '\b\f\n\r\t', '?????' ],
    [ '\u001f\u0020\u007e\u007f', '? ~?' ],
    [ '\u007f\u0080', "?\xc2\x80" ],
    [ '\u07ff\u0800', "\xdf\xbf\xe0\xa0\x80" ],
    [ '\ud7ff\ue000\uffff', "\xed\x9f\xbf\xee\x80\x80\xef\xbf\xbf" ],
    [ '\ud800\udc00', "\xf0\x90\x80\x80" ],
    [ '\ud83d\ude00', "\xf0\x9f\x98\x80" ],
    [ '\uDBFF\uDFFF', "\xf4\x8f\xbf\xbf" ],
    [ '\ud800', "\xef\xbf\xbd" ],
    [ '\udbff!', "\xef\xbf\xbd!" ],
    [ '\udc00', "\xef\xbf\xbd" ],
    [ '\udfff\ud800', "\xef\xbf\xbd\xef\xbf\xbd" ],
    [ '\ud800\u0041', "\xef\xbf\xbdA" ],
    [ '\ud800\ud800\udc00', "\xef\xbf\xbd\xf0\x90\x80\x80" ],
    [ '\ud800\ue000', "\xef\xbf\xbd\xee\x80\x80" ],
    [ '\ud800\udbff', "\xef\xbf\xbd\xef\xbf\xbd" ],
    [ '\ud83d\n12345', "\xef\xbf\xbd?12345" ],
    [ '\ud83dxude00', "\xef\xbf\xbdxude00" ],
    [ 'a\u00e9b', "a\xc3\xa9b" ],
) {
    my ($raw, $want) = @$case;

    send_it(qq({"jsonrpc":"2.0","id":1,"method":"tools/call",)
        . qq("params":{"name":"$raw"}}));

    is($seen->{headers}{'x-tool'}, $want, "the name of a tool: $raw");
}

# ---- ids: equal by type and decoded value

for my $case (
    [ '"a"', '"a"', 1 ],
    [ '"a"', '"\u0061"', 1 ],
    [ '"\u00e9"', "\"\xc3\xa9\"", 1 ],
    [ '"\ud83d\ude00"', "\"\xf0\x9f\x98\x80\"", 1 ],
    [ '"\/"', '"/"', 1 ],
    [ '"\b"', '"\u0008"', 1 ],
    [ '"\t"', '"\u0009"', 1 ],
    [ '"\n"', '"\u000a"', 1 ],
    [ '"\f"', '"\u000c"', 1 ],
    [ '"\r"', '"\u000D"', 1 ],
    [ '"\""', '"\u0022"', 1 ],
    [ '"\\\\"', '"\u005c"', 1 ],
    [ '"\ud800"', '"\uD800"', 1 ],
    [ '"\ud800"', '"\udc01"', 1 ],
    [ '"\ud800"', '"\ufffd"', 1 ],
    [ '""', '""', 1 ],
    [ '0', '-0', 1 ],
    [ '-0', '0', 1 ],
    [ '12', '12', 1 ],
    [ '-12', '-12', 1 ],
    [ '"a"', '"b"', 0 ],
    [ '"a"', '"ab"', 0 ],
    [ '"ab"', '"a"', 0 ],
    [ '"a"', '""', 0 ],
    [ '""', '"a"', 0 ],
    [ '"\u0061"', '"\u0062"', 0 ],
    [ '"1"', '1', 0 ],
    [ '1', '"1"', 0 ],
    [ '1', '-1', 0 ],
    [ '-1', '1', 0 ],
    [ '1', '10', 0 ],
    [ '12', '13', 0 ],
    [ '1', '1.0', 0 ],
    [ '1', '1e0', 0 ],
    [ '1', 'true', 0 ],
    [ '1', '[1]', 0 ],
    [ '"a"', 'false', 0 ],
) {
    my ($asked, $answered, $same) = @$case;

    local $body = qq({"jsonrpc":"2.0","id":$answered,"result":{}});

    is(outcome(send_it(request($asked, 'x'))), $same ? $ok : '200 -32603',
        "$asked is answered by $answered: " . ($same ? 'good' : 'another one'));
}

# their length, with quotes, is at most 4096

for my $case (
    [ 'a string of 4095', '"' . 'x' x 4093 . '"', $ok ],
    [ 'a string of 4096', '"' . 'x' x 4094 . '"', $ok ],
    [ 'a string of 4097', '"' . 'x' x 4095 . '"', $invalid ],
    [ 'a number of 4096', '1' x 4096, $ok ],
    [ 'a negative number of 4096', '-' . '1' x 4095, $ok ],
    [ 'a number of 4097', '1' x 4097, $invalid ],
) {
    is(outcome(send_it(request($case->[1], 'x'))), $case->[2],
        "the length of an id: $case->[0]");
}

# ---- members that are repeated, or of another type

for my $case (
    [ '{"name":"a","name":"b"}', $invalid ],
    [ '{"name":1,"name":"b"}', $invalid ],
    [ '{"name":"a","n\u0061me":"b"}', $invalid ],
    [ '{"requestId":1,"requestId":2}', $invalid ],
    [ '{"_meta":{},"_meta":{}}', $invalid ],
    [ '{"_meta":{"progressToken":1,"progressToken":2}}', $invalid ],
    [ '{"_meta":{"progressToken":1,"x":2,"progressToken":1}}', $invalid ],
    [ '{"_meta":{"io.modelcontextprotocol/protocolVersion":1,'
        . '"io.modelcontextprotocol\/protocolVersion":1}}', $invalid ],
    [ '{"arguments":{},"arguments":{}}', $ok ],
    [ '{"id":1,"id":2}', $ok ],
    [ '{"progressToken":1,"progressToken":2}', $ok ],
    [ '{"a":{"name":1,"name":2}}', $ok ],
    [ '{"_meta":{"name":1,"name":2}}', $ok ],
    [ '{"_meta":{"a":{"progressToken":1,"progressToken":2}}}', $ok ],
    [ '{"_meta":[{"progressToken":1,"progressToken":2}]}', $ok ],
    [ '{"_meta":1}', $ok ],
    [ '{"name":1}', $ok ],
    [ '[]', $ok ],
    [ '[{"name":1,"name":2}]', $ok ],
    [ '[["name","name"]]', $ok ],
    [ '1', $invalid ],
    [ 'null', $invalid ],
    [ '"a"', $invalid ],
    [ 'true', $invalid ],
) {
    is(outcome(send_it(params($case->[0]))), $case->[1], "params: $case->[0]");
}

is(outcome(send_it($_->[0])), $_->[1], "a message: $_->[0]") for
    [ '{"jsonrpc":"2\u002e0","id":1,"method":"x"}', $ok ],
    [ '{"jsonrpc":"2.0 ","id":1,"method":"x"}', $invalid ],
    [ '{"jsonrpc":"2.","id":1,"method":"x"}', $invalid ],
    [ '{"jsonrpc":["2.0"],"id":1,"method":"x"}', $invalid ],
    [ '{"jsonrpc":"2.0","id":1,"method":""}', $invalid ],
    [ '{"jsonrpc":"2.0","id":1,"method":"y"}', $ok ],
    [ '{"jsonrpc":"2.0","id":1,"method":"x","extra":1,"extra":2}', $ok ],
    [ '{"jsonrpc":"2.0","id":"","method":"x"}', $ok ],
    [ '{"jsonrpc":"2.0","id":-,"method":"x"}', $parse ],
    [ '{"jsonrpc":"2.0","id":1,"result":{},"result":{}}', $invalid ],
    [ '{"jsonrpc":"2.0","id":1,"error":{},"error":{}}', $invalid ],
    [ '{"jsonrpc":"2.0","method":"notifications/"}', '202 ' ],
    [ '{"jsonrpc":"2.0","method":"notifications"}', $invalid ],
    [ '{"jsonrpc":"2.0","method":"Notifications/x"}', $invalid ],
    [ '{"jsonrpc":"2.0","id":1,"result":null}', '202 ' ],
    [ '{"jsonrpc":"2.0","id":1,"error":null}', '202 ' ];

# the members of one message of a batch are not those of the next one

is(outcome(http_post($nginx, "[$list,$_]", conn => $conn,
    protocol => '2025-03-26')), $invalid, "behind a good message: $_")
    for '{"id":2,"method":"x"}', '{"jsonrpc":"2.0","id":2}',
        '{"jsonrpc":"2.0","method":"x"}', '2', '[]';

is(http_post($nginx, '[' . join(',', map { notification('notifications/'
    . 'initialized') } 1 .. $_->[0]) . ']', conn => $conn,
    protocol => '2025-03-26')->status, $_->[1], "a batch of $_->[0]")
    for [ 99, 202 ], [ 100, 202 ], [ 101, 400 ];

# ---- depths: 64 of a client, 512 of Frappe

is(outcome(send_it(params('[' x $_->[0] . ']' x $_->[0]))), $_->[1],
    'params of depth ' . $_->[0]) for [ 62, $ok ], [ 63, $ok ], [ 64, $parse ];

for my $case ([ 510, $ok ], [ 511, $ok ], [ 512, '200 -32603' ]) {
    my ($depth, $want) = @$case;

    local $body = '{"jsonrpc":"2.0","id":ID,"result":' . '[' x $depth
        . ']' x $depth . '}';

    is(outcome(send_it($list)), $want, "a result of depth $depth");
}

# ---- what is an answer of Frappe

my $good = '"jsonrpc":"2.0","id":ID,"result":{"a":1}';
my $fail = '"jsonrpc":"2.0","id":ID,"error":{"code":-7,"message":"m"}';

for my $case (
    [ "{$good}", $ok ],
    [ "{$fail}", '200 -7' ],
    [ "{\"message\":{$good}}", $ok ],
    [ "{\"message\":{$fail}}", '200 -7' ],
    [ "{\"message\":{$good},$fail}", '200 -7' ],
    [ '{"message":5}', $ok, '{"jsonrpc":"2.0","id":1,"result":5}' ],
    [ '{"message":[1, 2]}', $ok,
        '{"jsonrpc":"2.0","id":1,"result":[1, 2]}' ],
    [ '{"message":{"jsonrpc":"1.0","id":ID}}', $ok ],
    [ "{$good,\"jsonrpc\":\"2.0\"}", '200 -32603' ],
    [ "{$good,\"id\":ID}", '200 -32603' ],
    [ "{$good,\"result\":{}}", '200 -32603' ],
    [ "{$good,\"error\":{}}", '200 -32603' ],
    [ "{\"message\":{$good,\"id\":2}}", '200 -32603' ],
    [ "{\"message\":{$good,\"result\":{}}}", '200 -32603' ],
    [ "{\"message\":{$fail,\"error\":{}}}", '200 -32603' ],
    [ "{\"message\":{$good},\"message\":{$good}}", '200 -32603' ],
    [ '{"message":1,"message":2}', '200 -32603' ],
    [ "[{$good}]", '200 -32603' ],
    [ "{\"other\":{$good}}", '200 -32603' ],
    [ '{"id":ID,"result":{}}', '200 -32603' ],
    [ '{"jsonrpc":"2.0","id":ID}', '200 -32603' ],
    [ '{"jsonrpc":"2.0","result":{"b":2}}', $ok ],
    [ '{"jsonrpc":"2.0","id":null,"result":{"b":2}}', $ok,
        '{"jsonrpc":"2.0","id":1,"result":{"b":2}}' ],
    [ '{"jsonrpc":"2.0","result":{"id":null},"id":null}', $ok,
        '{"jsonrpc":"2.0","result":{"id":null},"id":1}' ],
    [ '5', '200 -32603' ],
    [ '"message"', '200 -32603' ],
    [ 'null', '200 -32603' ],
    [ '{}', '200 -32603' ],
    [ "{$good}x", '200 -32603' ],
    [ "{$good", '200 -32603' ],
) {
    my ($answer, $want, $text) = @$case;

    local $body = $answer;

    my $got = send_it($list);

    is(outcome($got), $want, "Frappe answers $answer");
    is($got->answer, $text, "Frappe answers $answer: its bytes") if $text;
}

# isError is that of the result

for my $case (
    [ '{"isError":true}', 'error' ],
    [ '{"isError":false}', 'ok' ],
    [ '{"isError":1}', 'ok' ],
    [ '{"a":{"isError":true}}', 'ok' ],
    [ '[{"isError":true}]', 'ok' ],
) {
    for my $shape ('%s', '{"message":%s}') {
        local $body = sprintf $shape,
            qq({"isError":true,"jsonrpc":"2.0","id":ID,"result":$case->[0]});

        my $key    = 'nginx_mcp_sse_calls_total{method="other",result="%s"}';
        my $before = metrics($nginx);

        send_it(request(1, 'x'));

        my $after = metrics($nginx);

        is_deeply([ grep { $after->{ sprintf $key, $_ }
            > $before->{ sprintf $key, $_ } } qw(ok error) ], [ $case->[1] ],
            "a result $case->[0] in $shape counts as $case->[1]");
    }
}

# exc_type is a string at the top

for my $case (
    [ '{"exc_type":"ValidationError"}', 'ValidationError' ],
    [ '{"exc_type":"V\u0061l"}', 'Val' ],
    [ '{"exc_type":["ValidationError"]}', undef ],
    [ '{"message":{"exc_type":"ValidationError"}}', undef ],
    [ '{"a":{"exc_type":"ValidationError"}}', undef ],
    [ '{"exc_type":"' . 'E' x 64 . '"}', 'E' x 64 ],
    [ '{"exc_type":"' . 'E' x 65 . '"}', undef ],
) {
    local ($status, $body) = (417, $case->[0]);

    my $data = (error_of(send_it($list)->answer) || {})->{data} || {};

    is($data->{exc_type}, $case->[1], "exc_type of $case->[0]");
}

# ---- protocolVersion of initialize is lowered to what the client has offered

for my $case (
    [ '"result":{"protocolVersion":"2025-11-25"}', '2025-06-18' ],
    [ '"result":{"protocolVersion":"2025-06-18"}', '2025-06-18' ],
    [ '"result":{"protocolVersion":"2025-06-17"}', '2025-06-17' ],
    [ '"result":{"protocolVersion":"9999-99-99"}', '2025-06-18' ],
    [ '"result":{"protocolVersion":"2025/11/25"}', '2025/11/25' ],
    [ '"result":{"protocolVersion":"2025-11-2x"}', '2025-11-2x' ],
    [ '"result":{"protocolVersion":"2025-11-2:"}', '2025-11-2:' ],
    [ '"result":{"protocolVersion":"2025-11-2/"}', '2025-11-2/' ],
    [ '"result":{"protocolVersion":"2025-11-256"}', '2025-11-256' ],
    [ '"result":{"protocolVersion":"2025-11-2"}', '2025-11-2' ],
    [ '"result":{"a":{"protocolVersion":"2025-11-25"}}', '2025-11-25' ],
    [ '"result":{},"other":{"protocolVersion":"2025-11-25"}', '2025-11-25' ],
    [ '"result":{},"protocolVersion":"2025-11-25"', '2025-11-25' ],
) {
    local $body = qq({"jsonrpc":"2.0","id":ID,$case->[0]});

    my ($got) = (initialize($nginx, offer => '2025-06-18')->answer || '')
        =~ /"protocolVersion":"([^"]*)"/;

    is($got, $case->[1], "Frappe's version in $case->[0]");
}

# ---- the parser's memory: strings with escapes are decoded into a buffer, which
# is doubled again and again

for my $size (map { ($_ - 1, $_, $_ + 1) } 2048, 4096, 8192, 16384, 65536,
    131072, 524288)
{
    my $text = join '', map { '\n' . 'x' x 499 } 1 .. $size / 500;

    $text .= 'x' x ($size % 500);

    is(outcome(send_it(params(qq({"a":"$text"})))), $ok,
        "a string of $size bytes with escapes");
    ok(index($seen->{body}, $text) > 0, "it reaches Frappe: $size bytes");

    local $body = qq({"jsonrpc":"2.0","id":ID,"result":{"a":"$text"}});

    ok(index(send_it($list)->answer || '', $text) > 0,
        "a string of $size bytes with escapes in an answer");
    is(outcome(send_it(params(qq({"a":"$text)))), $parse,
        "a string of $size bytes that does not end");
}

$conn->close;

finish();
