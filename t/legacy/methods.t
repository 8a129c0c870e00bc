# The methods that each endpoint allows, trailing slashes, an empty site, and
# the order of the checks.  docs/PROTOCOL.md 1.

use lib 't/lib';
use MCPTest::Blocks;
use Test::Nginx::Socket 'no_plan';

MCPTest::Blocks::defaults();

run_tests();

__DATA__

=== TEST 1: POST to the stream is 405, without a credential
--- request
POST /mcp/sse
{}
--- error_code: 405
--- response_headers_like
Allow: .*\bGET\b.*
Content-Type: application/json
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32600,"message":"[^"]+"\}\}\n?$



=== TEST 2: 405 of the stream names its methods in Allow
--- request
DELETE /mcp/sse
--- error_code: 405
--- response_headers_like
Allow: GET, HEAD, OPTIONS



=== TEST 3: GET of messages is 405 with Allow
--- request
GET /mcp/messages
--- error_code: 405
--- response_headers_like
Allow: POST, OPTIONS
--- response_body_like: "code":-32600



=== TEST 4: other methods to messages are 405
--- request eval
[ map { "$_ /mcp/messages?session_id=x" } qw(PUT DELETE PATCH HEAD) ]
--- error_code eval
[ (405) x 4 ]



=== TEST 5: other methods to the stream are 405
--- request eval
[ map { "$_ /mcp/sse" } qw(PUT DELETE PATCH POST) ]
--- error_code eval
[ (405) x 4 ]



=== TEST 6: other methods to /health are 405
--- request eval
[ map { "$_ /health" } qw(PUT DELETE PATCH POST) ]
--- error_code eval
[ (405) x 4 ]



=== TEST 7: 405 of /health names its methods in Allow
--- request
DELETE /health
--- error_code: 405
--- response_headers_like
Allow: GET, HEAD.*



=== TEST 8: the method is checked before Origin and everything else
--- more_headers
Origin: https://evil.example.com
Authorization: a b c
--- request
PUT /mcp/sse?server_url=http://elsewhere/
--- error_code: 405



=== TEST 9: a trailing slash is served without a redirect
--- more_headers
Authorization: token alice-key:alice-secret
--- request eval
[ "HEAD /mcp/sse/", "POST /mcp/messages/\n{}", "GET /health/", "PUT /mcp/sse/" ]
--- error_code eval
[ 200, 400, 200, 405 ]



=== TEST 10: HEAD of the stream has the headers of GET and no body
--- more_headers
Authorization: token alice-key:alice-secret
--- request
HEAD /mcp/sse
--- response_headers
Content-Type: text/event-stream
Cache-Control: no-cache, no-transform
X-Accel-Buffering: no
--- response_body



=== TEST 11: HEAD without a credential is 401
--- request
HEAD /mcp/sse
--- error_code: 401



=== TEST 12: HEAD with a foreign server_url is 400
--- more_headers
Authorization: token alice-key:alice-secret
--- request
HEAD /mcp/sse?server_url=http://elsewhere.example.com
--- error_code: 400



=== TEST 13: GET over HTTP/1.0 opens a stream
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



=== TEST 14: an empty site is 400, before the credential
--- settings
    mcp_sse_call /_mcp/call;
    mcp_sse_user /_mcp/user;
    mcp_sse_site "$http_x_site";
--- request
GET /mcp/sse
--- error_code: 400
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32602,



=== TEST 15: Origin is checked before an empty site
--- settings
    mcp_sse_call /_mcp/call;
    mcp_sse_user /_mcp/user;
    mcp_sse_site "$http_x_site";
--- more_headers
Origin: https://evil.example.com
--- request
GET /mcp/sse
--- error_code: 403



=== TEST 16: a message for an empty site is 400
--- settings
    mcp_sse_call /_mcp/call;
    mcp_sse_user /_mcp/user;
    mcp_sse_site "$http_x_site";
--- request
POST /mcp/messages?session_id=x
{}
--- error_code: 400
--- response_body_like: "code":-32602



=== TEST 17: the site may come from a variable
--- settings
    mcp_sse_call /_mcp/call;
    mcp_sse_user /_mcp/user;
    mcp_sse_site "$http_x_site";
--- more_headers
Authorization: token alice-key:alice-secret
X-Site: erp.example.com
--- request
HEAD /mcp/sse



=== TEST 18: the credential is checked before server_url
--- request
GET /mcp/sse?server_url=http://elsewhere.example.com
--- error_code: 401



=== TEST 19: the credential is checked before the session id of a large POST
--- request eval
"POST /mcp/messages?session_id=x\n" . ("x" x 100000)
--- error_code: 401
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32001,"message":"Invalid authorization"\}\}\n?$



=== TEST 20: the session id is checked before the media type
--- more_headers
Authorization: token alice-key:alice-secret
Content-Type: text/plain
--- request
POST /mcp/messages?session_id=x
{}
--- error_code: 400
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32001,"message":"Invalid session ID"\}\}\n?$



=== TEST 21: a POST with Expect: 100-continue does no harm
--- more_headers
Authorization: token alice-key:alice-secret
Expect: 100-continue
--- request
POST /mcp/messages?session_id=x
{}
--- ignore_response
