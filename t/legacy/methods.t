# Methods, trailing slashes and the order of checks of each endpoint.
# docs/PROTOCOL.md 1.

use lib 't/lib';
use MCPTest::Blocks;
use Test::Nginx::Socket 'no_plan';

MCPTest::Blocks::defaults();

run_tests();

__DATA__

=== TEST 1: POST to the stream: 405 with Allow, no credential needed
--- request
POST /mcp/sse
{}
--- error_code: 405
--- response_headers_like
Allow: .*\bGET\b.*
Content-Type: application/json
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32600,"message":"[^"]+"\}\}\n?$



=== TEST 2: its Allow
--- request
DELETE /mcp/sse
--- error_code: 405
--- response_headers_like
Allow: GET, HEAD, OPTIONS



=== TEST 3: GET of messages
--- request
GET /mcp/messages
--- error_code: 405
--- response_headers_like
Allow: POST, OPTIONS
--- response_body_like: "code":-32600



=== TEST 4: other methods of messages
--- request eval
[ map { "$_ /mcp/messages?session_id=x" } qw(PUT DELETE PATCH HEAD) ]
--- error_code eval
[ (405) x 4 ]



=== TEST 5: other methods of the stream
--- request eval
[ map { "$_ /mcp/sse" } qw(PUT DELETE PATCH POST) ]
--- error_code eval
[ (405) x 4 ]



=== TEST 6: other methods of /health
--- request eval
[ map { "$_ /health" } qw(PUT DELETE PATCH POST) ]
--- error_code eval
[ (405) x 4 ]



=== TEST 7: Allow of /health
--- request
DELETE /health
--- error_code: 405
--- response_headers_like
Allow: GET, HEAD.*



=== TEST 8: 405 comes before Origin and before everything else
--- more_headers
Origin: https://evil.example.com
Authorization: a b c
--- request
PUT /mcp/sse?server_url=http://elsewhere/
--- error_code: 405



=== TEST 9: trailing slashes, no redirect
--- more_headers
Authorization: token alice-key:alice-secret
--- request eval
[ "HEAD /mcp/sse/", "POST /mcp/messages/\n{}", "GET /health/", "PUT /mcp/sse/" ]
--- error_code eval
[ 200, 400, 200, 405 ]



=== TEST 10: HEAD of the stream
--- more_headers
Authorization: token alice-key:alice-secret
--- request
HEAD /mcp/sse
--- response_headers
Content-Type: text/event-stream
Cache-Control: no-cache, no-transform
X-Accel-Buffering: no
--- response_body



=== TEST 11: HEAD passes the same checks
--- request
HEAD /mcp/sse
--- error_code: 401



=== TEST 12: HEAD with a server_url of another
--- more_headers
Authorization: token alice-key:alice-secret
--- request
HEAD /mcp/sse?server_url=http://elsewhere.example.com
--- error_code: 400



=== TEST 13: GET of the stream over HTTP/1.0
--- more_headers
Authorization: token alice-key:alice-secret
--- request
GET /mcp/sse HTTP/1.0
--- stream
--- response_headers
Content-Type: text/event-stream
Cache-Control: no-cache, no-transform
X-Accel-Buffering: no
--- response_body_like: ^id: ([\w-]{50})\nevent: endpoint\ndata: /mcp/messages\?session_id=\1\n\n$
--- grep_error_log eval: qr/SSE connection established: \w+ for user: [^,]+/
--- grep_error_log_out eval
qr/^SSE connection established: \w+ for user: alice\@example.com\n$/



=== TEST 14: an empty site, before the credential
--- settings
    mcp_sse_call /_mcp/call;
    mcp_sse_user /_mcp/user;
    mcp_sse_site "$http_x_site";
--- request
GET /mcp/sse
--- error_code: 400
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32602,



=== TEST 15: an empty site, after Origin
--- settings
    mcp_sse_call /_mcp/call;
    mcp_sse_user /_mcp/user;
    mcp_sse_site "$http_x_site";
--- more_headers
Origin: https://evil.example.com
--- request
GET /mcp/sse
--- error_code: 403



=== TEST 16: an empty site of a message
--- settings
    mcp_sse_call /_mcp/call;
    mcp_sse_user /_mcp/user;
    mcp_sse_site "$http_x_site";
--- request
POST /mcp/messages?session_id=x
{}
--- error_code: 400
--- response_body_like: "code":-32602



=== TEST 17: a site from a variable
--- settings
    mcp_sse_call /_mcp/call;
    mcp_sse_user /_mcp/user;
    mcp_sse_site "$http_x_site";
--- more_headers
Authorization: token alice-key:alice-secret
X-Site: erp.example.com
--- request
HEAD /mcp/sse



=== TEST 18: credential before server_url
--- request
GET /mcp/sse?server_url=http://elsewhere.example.com
--- error_code: 401



=== TEST 19: credential before the session id, for a large body, too
--- request eval
"POST /mcp/messages?session_id=x\n" . ("x" x 100000)
--- error_code: 401
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32001,"message":"Invalid authorization"\}\}\n?$



=== TEST 20: session id before type
--- more_headers
Authorization: token alice-key:alice-secret
Content-Type: text/plain
--- request
POST /mcp/messages?session_id=x
{}
--- error_code: 400
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32001,"message":"Invalid session ID"\}\}\n?$



=== TEST 21: expect
--- more_headers
Authorization: token alice-key:alice-secret
Expect: 100-continue
--- request
POST /mcp/messages?session_id=x
{}
--- ignore_response
