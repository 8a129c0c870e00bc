# What mcp_sse_http checks in a request of the modern era, in which order, and
# how it refuses it.  docs/PROTOCOL.md 15.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use MIME::Base64 qw(encode_base64);
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(http => 'mcp_sse_max_message 4k;',
    locations => 'location = /strict { mcp_sse_http; '
        . 'mcp_sse_header_check strict; }');

my $all = '["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"]';

my @version = ('MCP-Protocol-Version' => '2026-07-28');
my @method  = ('Mcp-Method' => 'tools/call');
my @name    = ('Mcp-Name' => 'echo');


# A tools/call of the tool echo, whose headers are given.

sub echo {
    my ($headers, %opt) = @_;

    return modern($nginx, 7, 'tools/call',
        { name => 'echo', arguments => {} }, only => $headers, %opt);
}


sub mismatch {
    my ($headers, $what, $name, %opt) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return refused_as(echo($headers, %opt), 400, 7, -32020,
        "Header mismatch: $what", undef, $name);
}


# ---- a request as it should be

is(echo([ @version, @method, @name ])->status, 200, 'a request is served');
is(modern($nginx, 1, 'tools/list')->status, 200,
    'a request without a name is served');

# ---- the order of checks

{
    my @faults = (
        [ version => 400, -32602, 'Invalid params: _meta has no '
          . 'io.modelcontextprotocol/protocolVersion' ],
        [ capabilities => 400, -32602, 'Invalid params: _meta has no '
          . 'io.modelcontextprotocol/clientCapabilities' ],
        [ header => 400, -32020,
          'Header mismatch: MCP-Protocol-Version differs from the body' ],
        [ method => 400, -32020,
          'Header mismatch: Mcp-Method differs from the body' ],
        [ name => 400, -32020,
          'Header mismatch: Mcp-Name differs from the body' ],
        [ unserved => 400, -32022, 'Unsupported protocol version' ],
        [ accept => 406, -32603, 'Not acceptable' ],
    );

    for my $first (0 .. $#faults) {
        my %bad = map { $_->[0] => 1 } @faults[$first .. $#faults];
        my $served = $bad{unserved} ? '2030-01-01' : '2026-07-28';

        my $answer = modern($nginx, '"x y"', 'tools/call',
            { name => 'echo' },
            meta => { protocolVersion => $bad{version} ? undef : $served,
                clientCapabilities => $bad{capabilities} ? undef : {} },
            only => [ 'MCP-Protocol-Version' =>
                    $bad{header} ? '2027-01-01' : $served,
                'Mcp-Method' => $bad{method} ? 'x' : 'tools/call',
                'Mcp-Name' => $bad{name} ? 'x' : 'echo' ],
            accept => $bad{accept} ? 'text/html' : 'application/json');

        my (undef, $status, $code, $message) = @{ $faults[$first] };

        is($answer->status, $status, "$faults[$first][0]: the status");
        like($answer->body, qr/\A\Q{"jsonrpc":"2.0","id":"x y","error":{"code":$code,"message":"$message"\E[,}]/,
            "$faults[$first][0] is refused with the id of the request");
    }
}

# ---- _meta

for my $case (
    [ '{}', 'no _meta' ],
    [ '{"_meta":7}', '_meta is no object' ],
    [ '[]', 'params are an array' ],
    [ '{"_meta":{"io.modelcontextprotocol/protocolVersion":7,'
      . '"io.modelcontextprotocol/clientCapabilities":{}}}',
      'the version is no string' ],
) {
    refused_as(modern_raw($nginx, qq({"jsonrpc":"2.0","id":1,"method":)
        . qq("tools/list","params":$case->[0]})), 400, 1, -32602,
        'Invalid params: _meta has no io.modelcontextprotocol/protocolVersion',
        undef, "refused: $case->[1]");
}

refused_as(modern($nginx, 1, 'tools/list', undef,
    meta => { clientCapabilities => [] }), 400, 1, -32602,
    'Invalid params: _meta has no io.modelcontextprotocol/clientCapabilities',
    undef, 'refused: the capabilities are no object');
is(modern($nginx, 1, 'tools/list', undef, meta => { clientInfo => undef })
    ->status, 200, 'clientInfo may be missing');

# ---- the version header

mismatch([ @method, @name ], 'MCP-Protocol-Version is missing',
    'the version is missing');
mismatch([ 'MCP-Protocol-Version' => '2026-07-29', @method, @name ],
    'MCP-Protocol-Version differs from the body', 'the version differs');
mismatch([ 'MCP-Protocol-Version' => 'x', @method, @name ],
    'MCP-Protocol-Version differs from the body', 'the version is none');
mismatch([ 'MCP-Protocol-Version' => '2026-07-28, 2025-11-25', @method, @name ],
    'MCP-Protocol-Version differs from the body', 'two versions in one line');
mismatch([ @version, 'MCP-Protocol-Version' => '2025-11-25', @method, @name ],
    'MCP-Protocol-Version differs from the body', 'two versions in two lines');
is(echo([ 'mcp-PROTOCOL-version' => '2026-07-28, 2026-07-28', @version,
    @method, @name ])->status, 200, 'one version may come several times');

# ---- lenient: a header of the older era beside a body of 2026-07-28

for my $older ('2025-11-25', '2025-03-26', '2025-06-18, 2025-11-25') {
    my @older = ('MCP-Protocol-Version' => $older);

    is(echo([ @older, @method, @name ])->status, 200, "lenient: $older");
    is(echo([ @older ])->status, 200,
        "lenient: $older, and neither method nor name");
    isnt($frappe->last_headers->{'mcp-protocol-version'} || '', '2025-11-25',
        "lenient: Frappe does not get $older");
    mismatch([ @older, 'Mcp-Method' => 'tools/list' ],
        'Mcp-Method differs from the body',
        "lenient: $older does not forgive another method");
    mismatch([ @older, 'Mcp-Name' => 'x' ],
        'Mcp-Name differs from the body',
        "lenient: $older does not forgive another name");
    mismatch([ @older, @method, @name ],
        'MCP-Protocol-Version differs from the body', "strict: $older",
        path => '/strict');
}

mismatch([ 'MCP-Protocol-Version' => '2025-11-25', @method, @name ],
    'MCP-Protocol-Version differs from the body',
    'lenient forgives no other version in the body',
    meta => { protocolVersion => '2027-01-01' });
mismatch([ @version ], 'Mcp-Method is missing',
    'lenient does not forgive a missing method with the right version');
is(echo([ @version, @method, @name ], path => '/strict')->status, 200,
    'strict: a request as it should be is served');

# ---- Mcp-Method

mismatch([ @version, @name ], 'Mcp-Method is missing', 'the method is missing');
mismatch([ @version, 'Mcp-Method' => '', @name ], 'Mcp-Method is missing',
    'the method is empty');
mismatch([ @version, 'Mcp-Method' => 'Tools/Call', @name ],
    'Mcp-Method differs from the body', 'the method differs in case');
mismatch([ @version, @method, 'Mcp-Method' => 'tools/list', @name ],
    'Mcp-Method differs from the body', 'a second method differs');
mismatch([ @version, 'Mcp-Method' => '=?base64?'
    . encode_base64('tools/call', '') . '?=', @name ],
    'Mcp-Method differs from the body', 'the method is not encoded');
is(echo([ @version, 'Mcp-Method' => 'tools/call, tools/call', @method,
    @name ])->status, 200, 'one method may come several times');

# ---- Mcp-Name

my $bad = 'Mcp-Name is not valid Base64 or ASCII';

mismatch([ @version, @method ], 'Mcp-Name is missing', 'the name is missing');
mismatch([ @version, @method, 'Mcp-Name' => '' ], 'Mcp-Name is missing',
    'the name is empty');
mismatch([ @version, @method, 'Mcp-Name' => $_->[0] ], $_->[1], $_->[2])
    for [ 'Echo', 'Mcp-Name differs from the body', 'the name differs' ],
    [ 'echo, echo', 'Mcp-Name differs from the body',
      'a name has no commas to join it' ],
    [ '=?base64?ZWNobw?=', $bad, 'Base64 without its padding' ],
    [ '=?base64?ZWNoby==?=', $bad, 'Base64 with bits behind its end' ],
    [ '=?base64?ZWNo*w==?=', $bad, 'Base64 with another character' ],
    [ '=?base64?ZWNobw== ?=', $bad, 'Base64 with a blank' ],
    [ '=?BASE64?ZWNobw==?=', 'Mcp-Name differs from the body',
      'the marks of Base64 have one case' ],
    [ '=?base64?=', 'Mcp-Name differs from the body',
      'marks that overlap are none' ],
    [ "ech\xc3\xb6", $bad, 'a name that is not ASCII is to be encoded' ];
mismatch([ @version, @method, @name, 'Mcp-Name' => 'x' ],
    'Mcp-Name differs from the body', 'a second name differs');

is(echo([ @version, @method, 'Mcp-Name' => $_ ])->status, 200,
    "the name of the tool is: $_")
    for 'echo', ' echo ', '=?base64?ZWNobw==?=';
is(echo([ @version, @method, @name, 'Mcp-Name' => '=?base64?ZWNobw==?=' ])
    ->status, 200, 'one name may come twice');

{
    my $uri = 'frappe://a,b/?q=1,2';

    is(modern($nginx, 1, 'resources/read', { uri => $uri })->status, 200,
        'a URI may have commas');
    refused_as(modern($nginx, 1, 'resources/read', { uri => $uri },
        only => [ @version, 'Mcp-Method' => 'resources/read',
            'Mcp-Name' => 'frappe://a' ]), 400, 1, -32020,
        'Header mismatch: Mcp-Name differs from the body', undef,
        'a part of the URI is another one');
}

for my $name ("\x{e4}\x{4e16}", ' a ', "a\nb", '=?base64?x?=') {
    my $bytes = $name;

    utf8::encode($bytes);

    my $answer = modern($nginx, 1, 'prompts/get', { name => $name },
        only => [ @version, 'Mcp-Method' => 'prompts/get',
            'Mcp-Name' => '=?base64?' . encode_base64($bytes, '') . '?=' ]);

    isnt(decode($answer->body)->{error}{code}, -32020,
        'an encoded name is that of the body');
}

isnt(decode(modern($nginx, 1, 'tools/call', {},
    only => [ @version, @method ])->body)->{error}{code}, -32020,
    'a request without a name in its body needs none in its headers');
refused_as(modern($nginx, 1, 'tools/call', {}, only => [ @version, @method,
    @name ]), 400, 1, -32020, 'Header mismatch: Mcp-Name differs from the body',
    undef, 'nor may it have one there');
is(modern($nginx, 1, 'tools/list', undef, with => [ 'Mcp-Name' => 'x' ])
    ->status, 200, 'Mcp-Name is not looked at for other methods');

# ---- versions that are not served

for my $version ('2026-07-29', '2030-01-01', '2025-11-25', 'x', '') {
    refused_as(modern($nginx, 1, 'tools/list', undef,
        meta => { protocolVersion => $version }, only => [
            $version eq '' ? () : ('MCP-Protocol-Version' => $version),
            'Mcp-Method' => 'tools/list' ]),
        400, 1, $version eq '' ? (-32020,
            'Header mismatch: MCP-Protocol-Version is missing', undef)
        : (-32022, 'Unsupported protocol version',
            qq({"supported":$all,"requested":"$version"})),
        "a body of the version: $version");
}

# in the older era

for my $case ([ '1', '"1"' ], [ '2025-06-18, x"\\', '"x\"\\\\"' ],
    [ 'x' x 100, '"' . 'x' x 64 . '"' ], [ "\xe4", '"?"' ])
{
    my ($version, $requested) = @{$case};

    $requested =~ s/\\["\\]/?/g;

    for my $nothing (undef) {
        refused_as(http_post($nginx, request(9, 'tools/list'),
            protocol => $version), 400, 9, -32022,
            'Unsupported protocol version',
            qq({"supported":$all,"requested":$requested}),
            "an unknown version has the id: $version");
    }
}

refused_as(http($nginx, 'GET', session => session_id($nginx),
    protocol => '1'), 400, 'null', -32022, 'Unsupported protocol version',
    qq({"supported":$all,"requested":"1"}), 'GET of an unknown version');

# ---- one message, a request or a notification

is(modern_raw($nginx, $_)->status . modern_raw($nginx, $_)->body, '202',
    "202: $_") for notification('notifications/cancelled', { requestId => 1 }),
    notification('notifications/x', modern_params());
is(modern_raw($nginx, notification('notifications/x', modern_params()),
    only => [])->status, 202, 'a notification needs no headers');
refused_as(modern_raw($nginx, notification('notifications/x'),
    only => [ 'MCP-Protocol-Version' => '2030-01-01' ]), 400, 'null', -32022,
    'Unsupported protocol version',
    qq({"supported":$all,"requested":"2030-01-01"}),
    'a notification of another version');
refused_as(modern_raw($nginx, notification('notifications/x',
    modern_params(undef, protocolVersion => '2030-01-01')), only => []), 400,
    'null', -32022, 'Unsupported protocol version',
    qq({"supported":$all,"requested":"2030-01-01"}),
    'a notification of another version, by its body');

refused_as(modern_raw($nginx, '{"jsonrpc":"2.0","id":1,"result":{}}'), 400,
    'null', -32600, 'No responses in this protocol version', undef,
    'a response is refused');
refused_as(modern_raw($nginx, '[' . request(1, 'tools/list', modern_params())
    . ']', only => $_), 400, 'null', -32600,
    'No batches in this protocol version', undef, 'an array is refused')
    for [ @version ], [], [ 'MCP-Protocol-Version' => '2025-03-26' ];
refused_as(modern_raw($nginx, '{'), 400, 'null', -32700, 'Parse error', undef,
    'a body that is no JSON is refused');

# ---- refusals before the request is accepted keep their status

refused_as(modern($nginx, 1, 'tools/list', undef, auth => undef), 401, 'null',
    -32603, 'Invalid authorization', '{"reason":"refused"}',
    'without a credential: 401');
refused_as(modern($nginx, 1, 'tools/list', undef,
    with => [ Origin => 'https://evil.example.com' ]), 403, 'null', -32603,
    'Origin not allowed', '{"reason":"origin"}', 'a foreign Origin: 403');
refused_as(modern($nginx, 1, 'tools/list', undef, type => 'text/plain'), 415,
    'null', -32603, 'Unsupported media type', '{"reason":"media_type"}',
    'another type: 415');
refused_as(modern($nginx, 1, 'tools/list', { x => 'y' x 5000 }), 413, 'null',
    -32603, 'Message too large', '{"reason":"too_large"}', 'too large: 413');
refused_as(modern($nginx, 1, 'tools/list', undef, accept => 'text/html'), 406,
    1, -32603, 'Not acceptable', '{"reason":"accept"}', 'Accept: 406');
refused_as(modern($nginx, 1, 'tools/list', undef, with => [
    map { ("Mcp-Param-$_" => 'v' x 7000) } 1 .. 3 ]), 431, 1, -32603,
    'Headers too large', '{"reason":"headers_too_large"}', 'headers: 431');

# ---- sessions

{
    my $id = session_id($nginx);

    http_delete($nginx, $id);

    for my $session ('x', $id) {
        my $answer = modern($nginx, 1, 'tools/list', undef,
            session => $session, with => [ 'Last-Event-ID' => '7' ]);

        is($answer->status, 200, 'a session id that is not good is ignored');
        is($answer->header('Mcp-Session-Id'), undef, 'and none is sent');
        is(echo([ 'MCP-Protocol-Version' => '2025-11-25' ],
            session => $session)->status, 200,
            'it is ignored with a header of the older era, too');
    }

    is($frappe->last_headers->{'mcp-session-id'}, undef,
        'Frappe gets no session id');
}

for my $method (qw(GET HEAD DELETE)) {
    my $answer = http($nginx, $method, protocol => '2026-07-28',
        session => session_id($nginx), accept => 'text/event-stream');

    is($answer->status, 405, "$method is 405");
    is($answer->header('Allow'), 'POST, OPTIONS', "Allow of $method");
    is(http($nginx, $method, protocol => '2026-07-28', auth => undef)->status,
        401, "$method without a credential is 401");
}

# such a GET does not wait for Frappe

{
    my $slow = start_http(http => 'mcp_sse_auth_wait 300s;');

    $frappe->set(down => 503);

    my $answer = http($slow, 'GET', protocol => '2026-07-28', session => 'x',
        accept => 'text/event-stream');

    is($answer->status, 405, 'GET is 405 while Frappe is down');
    $frappe->set(down => undef);
}

# ---- what Frappe gets

modern($nginx, 1, 'tools/list');
isnt($frappe->last_headers->{'mcp-protocol-version'} || '', '2026-07-28',
    'Frappe, which is older, does not get the version');

finish();
