# Answers to single requests with and without a valid credential.
# docs/PROTOCOL.md 2 and 9.

use lib 't/lib';
use MCPTest::Blocks;
use Test::Nginx::Socket 'no_plan';

MCPTest::Blocks::defaults();

run_tests();

__DATA__

=== TEST 1: GET without a credential is 401 with a challenge
--- request
GET /mcp/sse
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="localhost", resource_metadata="http://localhost/.well-known/oauth-protected-resource/mcp/sse"
Content-Type: application/json
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32001,"message":"Invalid authorization"\}\}\n?$



=== TEST 2: a malformed Authorization is 401
--- more_headers eval
[ map { "Authorization: $_" } "token", "Bearer", "token a:b c",
    "token alice-key:alice-secret x", "Digest x", "alice-key:alice-secret",
    "Bearer x y", "token alice-key" ]
--- request eval
[ ("GET /mcp/sse") x 8 ]
--- error_code eval
[ (401) x 8 ]



=== TEST 3: a credential that Frappe refuses is 401
--- more_headers eval
[ map { "Authorization: $_" } "token alice-key:wrong", "token x:y",
    "Bearer wrong", "Bearer expired-token", "Bearer revoked-token",
    "Basic eDp5" ]
--- request eval
[ ("GET /mcp/sse") x 6 ]
--- error_code eval
[ (401) x 6 ]



=== TEST 4: a valid credential is 200, the scheme in any case
--- more_headers eval
[ map { "Authorization: $_" } "token alice-key:alice-secret",
    "TOKEN alice-key:alice-secret", "Token   bob-key:bob-secret",
    "Bearer alice-token", "BEARER alice-token", "bearer bob-token",
    "Basic YWxpY2Uta2V5OmFsaWNlLXNlY3JldA==",
    "basic YWxpY2Uta2V5OmFsaWNlLXNlY3JldA==" ]
--- request eval
[ ("HEAD /mcp/sse") x 8 ]
--- error_code eval
[ (200) x 8 ]



=== TEST 5: POST without a credential is 401 with a challenge
--- request
POST /mcp/messages?session_id=x
{}
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="localhost"



=== TEST 6: a cookie is not a credential by default
--- more_headers
Cookie: sid=alice-sid
--- request
GET /mcp/sse
--- error_code: 401



=== TEST 7: an argument of the URI is not a credential
--- request
GET /mcp/sse?access_token=alice-token
--- error_code: 401



=== TEST 8: mcp_sse_principal is accepted, empty it is 401
--- settings
    mcp_sse_call       /_mcp/call;
    mcp_sse_principal  $http_x_user;
    mcp_sse_site       erp.example.com;
--- more_headers eval
[ "X-User: zoe", "X-Other: x", "X-User: zoe\nAuthorization: nonsense" ]
--- request eval
[ ("HEAD /mcp/sse") x 3 ]
--- error_code eval
[ 200, 401, 200 ]



=== TEST 9: GET is 503 while the look-up is 503
--- in_http
    mcp_sse_auth_wait 500ms;
--- config
    location = /mcp/sse { mcp_sse_user /_mcp/none; mcp_sse_stream; }
    location = /_mcp/none { internal; return 503; }
--- more_headers
Authorization: token alice-key:alice-secret
--- request
GET /mcp/sse
--- error_code: 503
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32003,"message":"Backend unavailable"\}\}\n?$



=== TEST 10: /health needs no credential
--- request
GET /health
--- response_headers
Content-Type: application/json
--- response_body_like: ^\{"status":"healthy","service":"frappe-assistant-core-sse-bridge","active_connections":0,"pending_requests":0,"version":"[^"]+"



=== TEST 11: /health is 200 with ready=1, with ready=strict, and for HEAD
--- request eval
[ "GET /health?ready=1", "GET /health?ready=strict", "HEAD /health" ]
--- error_code eval
[ 200, 200, 200 ]
