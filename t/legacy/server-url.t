# The argument server_url is compared with what is served here; it selects no
# other server.  docs/PROTOCOL.md 3.

use lib 't/lib';
use MCPTest::Blocks;
use Test::Nginx::Socket 'no_plan';

MCPTest::Blocks::defaults();

run_tests();

__DATA__

=== TEST 1: server_url may be missing or empty
--- more_headers
Authorization: token alice-key:alice-secret
--- request eval
[ "HEAD /mcp/sse", "HEAD /mcp/sse?server_url=", "HEAD /mcp/sse?x=y" ]
--- error_code eval
[ 200, 200, 200 ]



=== TEST 2: server_url may be the Host of the request
--- more_headers
Authorization: token alice-key:alice-secret
--- request eval
[ map { "HEAD /mcp/sse?server_url=$_" } "http://localhost",
    "https://localhost", "http://localhost/", "HTTP://LOCALHOST",
    "http://LocalHost:80", "https://localhost:443", "https://localhost:443/",
    "http%3A%2F%2Flocalhost", "http%3a%2f%2flocalhost%2f" ]
--- error_code eval
[ (200) x 9 ]



=== TEST 3: a server_url with another host or port is 400
--- more_headers
Authorization: token alice-key:alice-secret
--- request eval
[ map { "HEAD /mcp/sse?server_url=$_" } "http://localhost:8000",
    "http://127.0.0.1", "http://evil.example.com", "http://localhos",
    "http://localhost.", "http://xlocalhost", "http://localhost.example.com" ]
--- error_code eval
[ (400) x 7 ]



=== TEST 4: a server_url with user-info, path, query or fragment is 400
--- more_headers
Authorization: token alice-key:alice-secret
--- request eval
[ map { "HEAD /mcp/sse?server_url=$_" } "http://user\@localhost",
    "http://user:pass\@localhost", "http://localhost\@evil.example.com",
    "http://localhost/path", "http://localhost//", "http://localhost?q",
    "http://localhost/?q", "http://localhost%23f", "http://localhost/%23",
    "http://localhost%00", "http://localhost%20", "http://localhost%0d%0a" ]
--- error_code eval
[ (400) x 12 ]



=== TEST 5: a server_url of another scheme or with an invalid port is 400
--- more_headers
Authorization: token alice-key:alice-secret
--- request eval
[ map { "HEAD /mcp/sse?server_url=$_" } "localhost", "//localhost",
    "ftp://localhost", "file:///etc/passwd", "http:localhost", "http://",
    "http:///", "http://localhost:", "http://localhost:0",
    "http://localhost:80x", "http://localhost:99999", "http://:80",
    "javascript:alert(1)", "x" ]
--- error_code eval
[ (400) x 14 ]



=== TEST 6: a foreign server_url has the error code -32602
--- more_headers
Authorization: token alice-key:alice-secret
--- request
GET /mcp/sse?server_url=http://elsewhere.example.com
--- error_code: 400
--- response_headers
Content-Type: application/json
--- response_body_like: ^\{"jsonrpc":"2.0","id":null,"error":\{"code":-32602,"message":"server_url is not served here"\}\}\n?$



=== TEST 7: the error does not repeat a foreign server_url
--- more_headers
Authorization: token alice-key:alice-secret
--- request
GET /mcp/sse?server_url=http://elsewhere.example.com
--- error_code: 400
--- response_body_unlike: elsewhere



=== TEST 8: mcp_sse_server_url replaces the Host by a list of URLs
--- in_http
    mcp_sse_server_url http://127.0.0.1:8000 https://erp.example.com;
--- more_headers
Authorization: token alice-key:alice-secret
--- request eval
[ map { "HEAD /mcp/sse?server_url=$_" } "http://127.0.0.1:8000",
    "http://127.0.0.1:8000/", "https://erp.example.com",
    "https://ERP.example.com:443", "https://erp.example.com:8443",
    "http://127.0.0.1", "http://127.0.0.1:8001", "http://localhost" ]
--- error_code eval
[ 200, 200, 200, 200, 400, 400, 400, 400 ]



=== TEST 9: server_url may be the Host with its port
--- raw_request eval
"HEAD /mcp/sse?server_url=http://erp.example.com:8080 HTTP/1.1\r
Host: erp.example.com:8080\r
Connection: close\r
Authorization: token alice-key:alice-secret\r
\r
"
--- error_code: 200



=== TEST 10: a server_url without the port of the Host is 400
--- raw_request eval
"HEAD /mcp/sse?server_url=http://erp.example.com HTTP/1.1\r
Host: erp.example.com:8080\r
Connection: close\r
Authorization: token alice-key:alice-secret\r
\r
"
--- error_code: 400



=== TEST 11: two server_url are 400 if the first one is foreign
--- more_headers
Authorization: token alice-key:alice-secret
--- request
HEAD /mcp/sse?server_url=http://evil.example.com&server_url=http://localhost
--- error_code: 400



=== TEST 12: the credential is checked before server_url
--- more_headers
Authorization: token alice-key:wrong
--- request
HEAD /mcp/sse?server_url=http://elsewhere.example.com
--- error_code: 401
