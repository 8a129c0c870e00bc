# Headers that a client or a proxy sends twice, in two lines or joined by a
# comma, and headers without a value.  docs/PROTOCOL.md 1, 2 and 7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(http => 'mcp_sse_cookie on;');
my $list   = request(1, 'tools/list');
my $id     = session_id($nginx);
my $other  = session_id($nginx);
my $token  = MCPTest::credential();


# A POST with further headers.

sub with {
    my ($headers, %opt) = @_;

    return http_post($nginx, $list, %opt, headers => $headers);
}


# MCP-Protocol-Version: a list of served versions is served

for my $case (
    [ '2025-06-18, 2025-06-18', '2025-06-18' ],
    [ '2025-06-18,2025-06-18',  '2025-06-18' ],
    [ '2025-06-18, 2025-11-25', '2025-11-25' ],
    [ '2025-11-25, 2025-06-18', '2025-11-25' ],
    [ "\t2025-06-18 ,, ",       '2025-06-18' ],
) {
    my ($value, $newest) = @{$case};

    is(with([ 'MCP-Protocol-Version' => $value ])->status, 200,
        "a POST with the versions \"$value\" is served");
    is($frappe->last_headers->{'mcp-protocol-version'}, $newest,
        "of \"$value\" Frappe gets the newest one");
    is(http($nginx, 'HEAD', session => $id, protocol => $value)->status, 200,
        "a stream with the versions \"$value\" is served");
}

is(with([ 'MCP-Protocol-Version' => '2025-06-18',
    'mcp-protocol-version' => '2025-06-18' ])->status, 200,
    'a POST with the version in two lines is served');
is($frappe->last_headers->{'mcp-protocol-version'}, '2025-06-18',
    'of two lines Frappe gets one version');

like(with([ 'MCP-Protocol-Version' => $_ ])->body,
    qr/"code":-32022,"message":"Unsupported protocol version"/,
    "the versions \"$_\" are refused")
    for '2025-06-18, x', '1, 2025-06-18', '2025-06-18 2025-06-18';
like(with([ 'MCP-Protocol-Version' => '2025-06-18, 2026-07-28' ])->body,
    qr/"code":-32602,"message":"Invalid params: _meta has no/,
    'of versions of two eras the newer era counts');

is(http_post($nginx, "[$list]", protocol => '2025-03-26, 2025-03-26')->status,
    200, 'a batch is served with a version that has batches, twice');
is_rejected(http_post($nginx, "[$list]", protocol => '2025-06-18, 2025-03-26'),
    400, -32600, 'No batches in this protocol version',
    'the newest version decides whether a batch is served');

{
    my $stream = open_stream($nginx);

    ok(call($nginx, $stream, $list, headers =>
        [ 'MCP-Protocol-Version' => '2025-06-18, 2025-06-18' ]),
        'a message of the legacy transport with two versions is answered');
    is($frappe->last_headers->{'mcp-protocol-version'}, '2025-06-18',
        'Frappe gets one of them');
}

# Mcp-Session-Id

for my $headers (
    [ 'Mcp-Session-Id' => "$id, $id" ],
    [ 'Mcp-Session-Id' => $id, 'mcp-session-id' => $id ],
) {
    is(with($headers)->status, 200,
        'a POST with its session id twice is served');
    is(http($nginx, 'HEAD', headers => $headers)->status, 200,
        'a stream with its session id twice is served');
}

for my $headers (
    [ 'Mcp-Session-Id' => "$id, $other" ],
    [ 'Mcp-Session-Id' => $id, 'Mcp-Session-Id' => $other ],
) {
    is_rejected(with($headers), 404, -32001, 'Session not found',
        'a POST with two session ids is refused');
    is_rejected(http($nginx, 'GET', headers => $headers), 404, -32001,
        'Session not found', 'a stream with two session ids is refused');
}

is(http_delete($nginx, "$id, $id")->status, 204,
    'DELETE with its session id twice ends the session');
is(with([ 'Mcp-Session-Id' => $id ])->status, 404, 'and the session is ended');

# Content-Type and Content-Encoding

for my $value ('application/json, application/json',
    'application/json,Application/JSON; charset=utf-8',
    "application/json\t;a=\",\", application/json")
{
    is(http_post($nginx, $list, type => $value)->status, 200,
        "a POST with the type $value is served");
}

is(with([ 'Content-Type' => 'application/json',
    'Content-Encoding' => 'identity, identity' ])->status, 200,
    'a POST with its type in two lines is served');
is_rejected(http_post($nginx, $list, @{$_}), 415, -32600,
    'Unsupported media type', "refused: @{$_}[0, 1]")
    for [ type => 'application/json, text/plain' ],
        [ type => 'text/plain, application/json' ],
        [ headers => [ 'Content-Type' => 'text/plain' ] ],
        [ headers => [ 'Content-Encoding' => 'identity, gzip' ] ];

# Authorization: nginx itself refuses a second line

is(with([ Authorization => "$token, $token" ], auth => undef)->status, 200,
    'a POST with its credential twice is served');
is(with([ Authorization => "$token, " . MCPTest::credential('bob') ],
    auth => undef)->status, 401, 'a POST with two credentials is refused');

# Origin and what belongs to a cookie

my @own    = (Origin => 'http://erp.example.com');
my @cookie = (Cookie => 'sid=alice-sid', 'X-Frappe-CSRF-Token', 'alice-csrf');

is(with([ @own, @own ])->header('Access-Control-Allow-Origin'), $own[1],
    'an Origin that is sent twice is named once');
is(with([ @own, Origin => 'https://evil.example.com' ])->status, 403,
    'a second, foreign Origin is refused');
is(with([ @own, @cookie, 'X-Frappe-CSRF-Token', 'alice-csrf',
    'Sec-Fetch-Site', 'same-origin, same-origin' ], auth => undef)->status,
    200, 'a cookie with its CSRF token twice is served');
is(with([ @own, @cookie, 'X-Frappe-CSRF-Token', 'x' ], auth => undef)
    ->status, 401, 'a cookie with two CSRF tokens is refused');
is(with([ @own, @cookie, 'Sec-Fetch-Site', 'same-origin',
    'Sec-Fetch-Site', 'cross-site' ], auth => undef)->status, 401,
    'a second Sec-Fetch-Site is not ignored');

is(http($nginx, 'OPTIONS', auth => undef, headers => [ @own,
    'Access-Control-Request-Headers', 'authorization',
    'Access-Control-Request-Headers', 'x-b' ])
    ->header('Access-Control-Allow-Headers'), 'authorization, x-b',
    'a preflight allows the headers of all its lines');

# Last-Event-ID

{
    my $stream = open_stream($nginx);
    my $sid    = $stream->session;
    my $again  = open_stream($nginx,
        headers => [ 'Last-Event-ID' => "$sid, $sid" ]);

    is($again->session, $sid, 'a stream with its id twice takes over');
}

# headers beyond the first 20, which nginx keeps in another part of its list

for my $n (17 .. 24) {
    my @many = map { ("X-Padding-$_" => $_) } 1 .. $n;

    my $got = http_post($nginx, $list, accept => 'text/html',
        type => undef, protocol => '2025-03-26', headers => [ @many,
        Accept => 'application/json', 'MCP-Protocol-Version', '2025-11-25',
        traceparent => "00-$n", @own ]);

    is($got->status, 200, "$n further headers: Accept is found in two lines");
    is($got->header('Access-Control-Allow-Origin'), $own[1],
        "$n further headers: the Origin is found");
    is($frappe->last_headers->{'mcp-protocol-version'}, '2025-11-25',
        "$n further headers: the newest version of two lines counts");
    is($frappe->last_headers->{traceparent}, "00-$n",
        "$n further headers: traceparent goes to Frappe");
    is(with([ @many, 'Mcp-Session-Id' => 'x' ])->status, 404,
        "$n further headers: the session id is found");
    is(with([ Origin => $own[1], @many, Origin => 'https://evil.example' ])
        ->status, 403, "$n further headers: a second Origin is found");
}

# a header without a value is no header

is(with([ "$_" => '' ])->status, 200, "an empty $_ is ignored")
    for 'MCP-Protocol-Version', 'Mcp-Session-Id', 'Origin',
        'Content-Encoding', 'Last-Event-ID';
is(http_post($nginx, $list, type => '')->status, 200,
    'an empty Content-Type is ignored');
is(http_post($nginx, $list, accept => '')->status, 200,
    'an empty Accept is ignored');
is(http($nginx, 'GET', session => '')->status, 405,
    'a stream with an empty session id is one without');
is_rejected(http_delete($nginx, ''), 400, -32600, 'Mcp-Session-Id is missing',
    'DELETE with an empty session id is one without');
is(with([ @own, @cookie, Authorization => '', 'Sec-Fetch-Site', '' ],
    auth => undef)->status, 200, 'a cookie is used with empty Authorization');

finish();
