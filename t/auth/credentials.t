# Answers to requests without a good credential, one by one.
# docs/PROTOCOL.md 2.

use lib 't/lib';
use MCPTest::Blocks;
use Test::Nginx::Socket 'no_plan';

MCPTest::Blocks::defaults();

run_tests();

__DATA__

=== TEST 1: none
--- request
GET /mcp/sse
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="localhost"
Content-Type: application/json
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32001,"message":"Invalid authorization"\}\}\n?$



=== TEST 2: malformed
--- more_headers eval
[ map { "Authorization: $_" } "token", "Bearer", "token a:b c",
    "token  alice-key:alice-secret", "Digest x", "alice-key:alice-secret",
    "Bearer x y", "token alice-key" ]
--- request eval
[ ("GET /mcp/sse") x 8 ]
--- error_code eval
[ (401) x 8 ]



=== TEST 3: refused by Frappe
--- more_headers eval
[ map { "Authorization: $_" } "token alice-key:wrong", "token x:y",
    "Bearer wrong", "Bearer expired-token", "Bearer revoked-token",
    "Basic eDp5" ]
--- request eval
[ ("GET /mcp/sse") x 6 ]
--- error_code eval
[ (401) x 6 ]



=== TEST 4: good ones, the scheme in any case
--- more_headers eval
[ map { "Authorization: $_" } "token alice-key:alice-secret",
    "TOKEN alice-key:alice-secret", "Token bob-key:bob-secret",
    "Bearer alice-token", "BEARER alice-token", "bearer bob-token",
    "Basic YWxpY2Uta2V5OmFsaWNlLXNlY3JldA==",
    "basic YWxpY2Uta2V5OmFsaWNlLXNlY3JldA==" ]
--- request eval
[ ("HEAD /mcp/sse") x 8 ]
--- error_code eval
[ (200) x 8 ]



=== TEST 5: a message without one
--- request
POST /mcp/messages?session_id=x
{}
--- error_code: 401
--- response_headers
WWW-Authenticate: Bearer realm="localhost"



=== TEST 6: a cookie is none
--- more_headers
Cookie: sid=alice-sid
--- request
GET /mcp/sse
--- error_code: 401



=== TEST 7: nor is an argument
--- request
GET /mcp/sse?access_token=alice-token
--- error_code: 401



=== TEST 8: a principal of nginx
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



=== TEST 9: Frappe cannot be asked
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



=== TEST 10: health needs none
--- request
GET /health
--- response_headers
Content-Type: application/json
--- response_body_like: ^\{"status":"healthy","service":"frappe-assistant-core-sse-bridge","active_connections":0,"pending_requests":0,"version":"[^"]+"



=== TEST 11: health, ready
--- request eval
[ "GET /health?ready=1", "GET /health?ready=strict", "HEAD /health" ]
--- error_code eval
[ 200, 200, 200 ]
