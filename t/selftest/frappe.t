# The endpoints of the stand-in, t/frappe, asked without nginx: each answers as
# the server that it stands for.  docs/PROTOCOL.md 14.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $method = '/api/method/';
my $fac    = "${method}frappe_assistant_core.api.fac_endpoint.handle_mcp";
my $own    = '/api/mcp';
my $user   = "${method}frappe.auth.get_logged_user";

my $library = "${method}todo.mcp.handle_mcp";

my $frappe = start_frappe();

my $meta = { 'io.modelcontextprotocol/protocolVersion' => '2026-07-28',
             'io.modelcontextprotocol/clientCapabilities' => {} };


# Sends a request; returns its status and body.

sub ask {
    my ($path, $body, %opt) = @_;

    my $conn = connect_to($frappe);
    my @auth = exists $opt{auth} ? $opt{auth} : MCPTest::credential();

    my $response = $conn->request(defined $body ? 'POST' : 'GET', $path,
        host    => 'erp.example.com',
        headers => [ Connection => 'close', Authorization => $auth[0],
            'Content-Type' => $opt{type} || 'application/json',
            @{ $opt{headers} || [] } ],
        body    => $body,
    )->wait;

    $conn->close;

    return $response;
}


# Tests the status of an answer, and its body: text, or a pattern.

sub answers {
    my ($name, $response, $status, $body) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    is($response->status, $status, "$name: the status");
    ref $body ? like($response->body, $body, $name)
              : is($response->body, $body, $name);

    return;
}


# Headers and params of a modern request.

sub modern {
    my ($what, %params) = @_;

    return (request(1, $what, { %params, _meta => $meta }), headers => [
        'MCP-Protocol-Version' => '2026-07-28', 'Mcp-Method' => $what,
        defined $params{name} ? ('Mcp-Name' => $params{name}) : () ]);
}


# FAC 2.5 and 3.0, at the same path

answers('FAC 2.5: a tool that raises', ask($fac, tool(1, 'fail')), 200,
    qr/"success\\": false.*"isError": false/s);

$frappe->set(fac => '3.0');

answers('FAC 3.0: initialize names the version of its settings',
    ask($fac, request(1, 'initialize', { protocolVersion => '2024-11-05' })),
    200, qr/"protocolVersion": "2025-06-18"/);
answers('FAC 3.0: server/discover', ask($fac, modern('server/discover')), 400,
    '{"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, '
    . '"message": "Method not found: server/discover"}}');
answers('FAC 3.0: a tool that raises', ask($fac, tool(1, 'fail')), 200,
    qr/\{\\"success\\":false,\\"error\\":.*"isError": true/);
answers('FAC 3.0: an unknown tool', ask($fac, tool(1, 'nope')), 200,
    qr/not found or not available.*"isError": true/);
answers('FAC 3.0: there are no templates',
    ask($fac, request(1, 'resources/templates/list')), 200,
    '{"jsonrpc": "2.0", "id": 1, "result": {"resourceTemplates": []}}');

$frappe->reset;

# tokens that are hashed at rest

my $bearer = MCPTest::credential('alice', 'bearer');

$frappe->set(hash_tokens => 1);

answers('hashed tokens: Frappe knows the token',
    ask($user, undef, auth => $bearer), 200,
    '{"message":"alice@example.com"}');

my $refused = ask($fac, request(1, 'ping'), auth => $bearer);

answers('hashed tokens: FAC does not', $refused, 401,
    qr/"error": "invalid_token",\s+"message": "Token not found"/);
is($refused->header('WWW-Authenticate'),
    'Bearer realm="Frappe Assistant Core", error="invalid_token", '
    . 'error_description="Token not found", resource_metadata='
    . '"http://erp.example.com/.well-known/oauth-protected-resource"',
    'hashed tokens: the challenge');
is(ask($fac, request(1, 'ping'))->status, 200,
    'hashed tokens: an API key is valid');

$frappe->reset;

# a refresh

my $form = 'application/x-www-form-urlencoded';
my $new  = ask("${method}frappe.integrations.oauth2.get_token",
    'grant_type=refresh_token&refresh_token=alice-refresh',
    auth => undef, type => $form)->json;

is($new->{access_token}, 'refreshed-token-1', 'a refresh: a new token');
is(ask($user, undef, auth => $bearer)->status, 401,
    'a refresh: the old token is revoked at once');
is(ask($user, undef, auth => 'Bearer refreshed-token-1')->status, 200,
    'a refresh: the new one is valid');
answers('a refresh: the old refresh token is revoked, too',
    ask("${method}frappe.integrations.oauth2.get_token",
        'grant_type=refresh_token&refresh_token=alice-refresh',
        auth => undef, type => $form), 400, '{"error":"invalid_grant"}');

$frappe->reset;

is(ask($user, undef, auth => $bearer)->status, 200,
    'a refresh: reset undoes it');

# the library frappe/mcp

answers('frappe/mcp: initialize', ask($library, request(1, 'initialize')),
    200, '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-03-26",'
    . '"serverInfo":{"name":"todo-mcp","version":"0.1.0"},"capabilities":'
    . '{"tools":{"listChanged":false},"prompts":{"listChanged":false}}}}');
answers('frappe/mcp: a tool that raises', ask($library, tool(1, 'throw')),
    200, '{"jsonrpc":"2.0","id":1,"result":{"content":[{"type":"text","text":'
    . q("Error calling tool 'throw': You broke a rule"}],"isError":true}}));
answers('frappe/mcp: resources', ask($library, request(1, 'resources/list')),
    400, '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,'
    . '"message":"Method not implemented"}}');
answers('frappe/mcp: server/discover', ask($library, modern('server/discover')),
    400, qr/"code":-32601/);
answers('frappe/mcp: a notification',
    ask($library, notification('notifications/initialized')), 202, '');
is(ask($library, undef)->status, 405, 'frappe/mcp: GET');
is(ask($library, request(1, 'ping'), auth => undef)->status, 403,
    'frappe/mcp: a guest');

# Frappe's own server

answers('/api/mcp: initialize', ask($own, request(1, 'initialize',
    { protocolVersion => '2025-06-18' })), 200,
    qr/"protocolVersion": "2025-11-25"/);
answers('/api/mcp: server/discover', ask($own, modern('server/discover')), 200,
    qr/"resultType": "complete", "supportedVersions": \["2026-07-28",/);
answers('/api/mcp: a tool', ask($own, modern('tools/call', name => 'echo')),
    200, qr/"resultType": "complete".*"name": "frappe"/);
answers('/api/mcp: the same in 2025-11-25', ask($own, tool(1, 'echo'),
    headers => [ 'MCP-Protocol-Version' => '2025-11-25' ]), 200,
    qr/\A(?!.*resultType)/);
answers('/api/mcp: another version', ask($own, request(7, 'tools/list'),
    headers => [ 'MCP-Protocol-Version' => '2025-06-18' ]), 400,
    '{"jsonrpc": "2.0", "id": 7, "error": {"code": -32022, "message": '
    . '"Protocol version 2025-06-18 is not supported", "data": {"supported": '
    . '["2026-07-28", "2025-11-25"], "requested": "2025-06-18"}}}');
answers('/api/mcp: an unknown method', ask($own, modern('unknown')), 404,
    qr/"code": -32601/);
answers('/api/mcp: ping is not known in 2026-07-28',
    ask($own, modern('ping')), 404, qr/"code": -32601/);

my ($body) = modern('tools/list');

answers('/api/mcp: headers that are missing', ask($own, $body, headers =>
    [ 'MCP-Protocol-Version' => '2026-07-28' ]), 400, qr/"code": -32020/);
answers('/api/mcp: a request without _meta', ask($own,
    request(1, 'tools/list', {}), headers =>
        [ 'MCP-Protocol-Version' => '2026-07-28',
          'Mcp-Method' => 'tools/list' ]), 400, qr/"code": -32602/);
is(ask($own, undef)->status, 405, '/api/mcp: GET');
is(ask($own, request(1, 'ping'), auth => undef)->status, 401,
    '/api/mcp: a guest');

finish();
