# Origin, mcp_sse_origin, and the headers of CORS.  docs/PROTOCOL.md 1.

use lib 't/lib';
use MCPTest::Blocks;
use Test::Nginx::Socket 'no_plan';

MCPTest::Blocks::defaults();

run_tests();

__DATA__

=== TEST 1: a foreign Origin is 403, before the credential
--- more_headers
Origin: https://evil.example.com
--- request
GET /mcp/sse
--- error_code: 403
--- response_headers
! Access-Control-Allow-Origin
Content-Type: application/json
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32600,"message":"[^"]+"\}\}\n?$



=== TEST 2: a POST of a foreign Origin is 403
--- more_headers
Origin: https://evil.example.com
Authorization: token alice-key:alice-secret
--- request
POST /mcp/messages?session_id=x
{}
--- error_code: 403
--- response_headers
! Access-Control-Allow-Origin



=== TEST 3: foreign origins of every kind are 403
--- more_headers eval
[ map { "Origin: $_" } "null", "http://localhost.evil.example.com",
    "http://evil.example.com/localhost", "http://localhost\@evil.example.com",
    "http://localhost:81", "localhost", "http://", "https://xlocalhost" ]
--- request eval
[ ("HEAD /mcp/sse") x 8 ]
--- error_code eval
[ (403) x 8 ]



=== TEST 4: an error names the allowed Origin
--- more_headers
Origin: http://localhost
--- request
GET /mcp/sse
--- error_code: 401
--- response_headers
Access-Control-Allow-Origin: http://localhost
Access-Control-Expose-Headers: Mcp-Session-Id, WWW-Authenticate, Retry-After
Vary: Origin



=== TEST 5: a stream names the allowed Origin
--- more_headers
Origin: http://localhost
Authorization: token alice-key:alice-secret
--- request
GET /mcp/sse HTTP/1.0
--- stream
--- response_headers
Access-Control-Allow-Origin: http://localhost
Access-Control-Expose-Headers: Mcp-Session-Id, WWW-Authenticate, Retry-After
Vary: Origin



=== TEST 6: 400 and 405 name the allowed Origin
--- more_headers
Origin: http://localhost
Authorization: token alice-key:alice-secret
--- request eval
[ "POST /mcp/messages?session_id=x\n{}", "GET /mcp/messages",
    "HEAD /mcp/sse?server_url=http://x.example.com" ]
--- error_code eval
[ 400, 405, 400 ]
--- response_headers eval
[ ("Access-Control-Allow-Origin: http://localhost") x 3 ]



=== TEST 7: host and scheme have any case, the port a default
--- more_headers eval
[ map { "Authorization: token alice-key:alice-secret\nOrigin: $_" }
    "http://LOCALHOST", "http://localhost:80", "HTTP://localhost" ]
--- request eval
[ ("HEAD /mcp/sse") x 3 ]
--- error_code eval
[ 200, 200, 200 ]



=== TEST 8: a request without Origin gets no header of CORS
--- more_headers
Authorization: token alice-key:alice-secret
--- request
HEAD /mcp/sse
--- response_headers
! Access-Control-Allow-Origin
! Access-Control-Expose-Headers



=== TEST 9: mcp_sse_origin lists the allowed origins
--- in_http
    mcp_sse_origin https://app.example.com http://localhost:3000;
--- more_headers eval
[ map { "Authorization: token alice-key:alice-secret\nOrigin: $_" }
    "https://app.example.com", "https://app.example.com:443",
    "http://localhost:3000", "http://localhost:3001",
    "https://app.example.com.evil.example.com" ]
--- request eval
[ ("HEAD /mcp/sse") x 5 ]
--- error_code eval
[ 200, 200, 200, 403, 403 ]
--- response_headers eval
[ "Access-Control-Allow-Origin: https://app.example.com",
  "Access-Control-Allow-Origin: https://app.example.com:443",
  "Access-Control-Allow-Origin: http://localhost:3000",
  "! Access-Control-Allow-Origin", "! Access-Control-Allow-Origin" ]



=== TEST 10: mcp_sse_origin * allows any Origin
--- in_http
    mcp_sse_origin *;
--- more_headers
Authorization: token alice-key:alice-secret
Origin: https://anything.example.com
--- request
HEAD /mcp/sse
--- response_headers
Access-Control-Allow-Origin: https://anything.example.com
Vary: Origin



=== TEST 11: a preflight of the stream needs no credential
--- more_headers
Origin: http://localhost
Access-Control-Request-Method: GET
Access-Control-Request-Headers: authorization, mcp-protocol-version
--- request
OPTIONS /mcp/sse
--- error_code: 204
--- response_headers
Access-Control-Allow-Origin: http://localhost
Access-Control-Allow-Methods: GET, HEAD, OPTIONS
Access-Control-Allow-Headers: authorization, mcp-protocol-version
Access-Control-Max-Age: 600
Vary: Origin
! Content-Type



=== TEST 12: a preflight of messages is 204
--- more_headers
Origin: http://localhost
Access-Control-Request-Method: POST
Access-Control-Request-Headers: content-type,mcp-protocol-version
--- request
OPTIONS /mcp/messages?session_id=x
--- error_code: 204
--- response_headers
Access-Control-Allow-Origin: http://localhost
Access-Control-Allow-Methods: POST, OPTIONS
Access-Control-Allow-Headers: content-type,mcp-protocol-version
Access-Control-Max-Age: 600



=== TEST 13: a preflight of a foreign Origin is 403
--- more_headers
Origin: https://evil.example.com
Access-Control-Request-Method: GET
--- request
OPTIONS /mcp/sse
--- error_code: 403
--- response_headers
! Access-Control-Allow-Origin
! Access-Control-Allow-Methods



=== TEST 14: OPTIONS without Origin is 204 without CORS
--- request
OPTIONS /mcp/sse
--- error_code: 204
--- response_headers
! Access-Control-Allow-Origin



=== TEST 15: a control character in the requested headers does no harm
--- more_headers eval
"Origin: http://localhost\nAccess-Control-Request-Headers: a\x01b"
--- request
OPTIONS /mcp/sse
--- response_headers_like
Access-Control-Max-Age: .*
--- error_code_like: ^(?:204|400)$
