# DNS rebinding: a foreign page has a name of its own lead to this server, so
# that its Origin and Host agree.  Without mcp_sse_origin the host must be known
# to the operator.  docs/PROTOCOL.md 1.4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

start_frappe();

my $ping = request(1, 'ping');

my $nginx = start_http(
    server => 'server_name .dot.example.com *.wild.example.com '
        . 'tail.example.* "~^re(?<number>\d+)\.example\.org$"; '
        . 'set $found $number;',
    locations => <<'EOT');
        location = /public   { mcp_sse_http;
                               mcp_sse_public_url https://mcp.example.net; }
        location = /variable { mcp_sse_http;
                               mcp_sse_public_url https://$host; }
        location = /named    { mcp_sse_http;
                               mcp_sse_origin http://evil.example.com; }
        location = /any      { mcp_sse_http; mcp_sse_origin *; }
EOT


sub status {
    my ($host, %opt) = @_;

    return http_post($nginx, $ping, host => $host, path => $opt{path},
        headers => [ Origin => $opt{origin} || "http://$host" ])->status;
}


# hosts that the operator has chosen

is(status($_), 200, "a page of http://$_ is served")
    for 'erp.example.com', 'ERP.example.com', 'erp.example.com.',
        'erp.example.com:8080', 'dot.example.com', 'a.dot.example.com',
        'a.wild.example.com', 'a.b.wild.example.com', 'tail.example.se',
        're7.example.org', 'localhost', 'localhost:8080', '127.0.0.1',
        '192.0.2.7:81', '[::1]', '[2001:db8::1]:8080';

is(status('erp.example.com', origin => 'https://erp.example.com'), 200,
    'a page behind a proxy that ends TLS is served');

# the port that Host does not name is that of the scheme of the page

for my $case (
    [ 'erp.example.com:80',   'http://erp.example.com',       200 ],
    [ 'erp.example.com',      'http://erp.example.com:80',    200 ],
    [ 'erp.example.com:443',  'https://erp.example.com',      200 ],
    [ 'erp.example.com',      'https://erp.example.com:443',  200 ],
    [ 'erp.example.com:443',  'http://erp.example.com',       403 ],
    [ 'erp.example.com:80',   'https://erp.example.com',      403 ],
    [ 'erp.example.com',      'http://erp.example.com:443',   403 ],
    [ 'erp.example.com:8080', 'http://erp.example.com',       403 ],
    [ 'erp.example.com',      'http://erp.example.com:81',    403 ],
    [ 'erp.example.com:80',   'http://erp.example.com/',      200 ],
    [ 'erp.example.com:80',   'http://erp.example.co',        403 ],
) {
    my ($host, $origin, $want) = @$case;

    is(status($host, origin => $origin), $want,
        "a page of $origin that asks $host: $want");
}

# hosts that anybody can have lead here

for my $host ('evil.example.com', 'evil.example.com:8080', 'dot.example.com.x',
    'xdot.example.com', 'wild.example.com', 'tail.example', 'x.tail.example.se',
    're.example.org', 'xre7.example.org', 'localhost.evil.com', 'xlocalhost',
    '127.0.0.1.evil.com', '1.2.3', 'mcp.example.net')
{
    is(status($host), 403, "a page of http://$host is refused");
}

$nginx->wait_log(qr/the host is no name of this server: add it to server_name/);

is(status('evil.example.com', origin => 'http://erp.example.com'), 403,
    'a page of a known host that asks another one is refused');

for my $path ('/mcp/sse', '/mcp/messages', '/mcp') {
    is(http($nginx, 'OPTIONS', path => $path, host => 'evil.example.com',
        auth => undef, headers => [ Origin => 'http://evil.example.com' ])
        ->status, 403, "a preflight of an unknown host at $path is refused");
}

# without Host, as HTTP/1.0 and HTTP/3 may be, the port is that of the server

{
    my $port = $nginx->port;

    for my $case ([ 'erp.example.com', $port, 200 ],
        [ 'erp.example.com', $port + 1, 403 ], [ 'evil.com', $port, 403 ])
    {
        my ($host, $at, $want) = @{$case};

        is(http_post($nginx, $ping, version => '1.0', path =>
            "http://$host:$at/mcp", headers =>
            [ Host => undef, Origin => "http://$host:$at" ])->status, $want,
            "without Host, a page of $host:"
            . ($at == $port ? 'its port' : 'another port') . " is $want");
    }
}

is(http_post($nginx, $ping, host => 'evil.example.com')->status, 200,
    'a client that is no page is served with any Host');

# mcp_sse_public_url and mcp_sse_origin

is(status('mcp.example.net', path => '/public'), 200,
    'a page of the host of mcp_sse_public_url is served');
is(status('evil.example.com', path => '/public'), 403,
    'and a page of another host is refused');
is(status('evil.example.com', path => '/variable'), 403,
    'a host that a variable takes from the client is refused');
is(status('evil.example.com', path => '/named'), 200,
    'an origin that mcp_sse_origin names is served');
is(status('erp.example.com', path => '/named'), 403,
    'and then the own name is refused');
is(status('evil.example.com', path => '/any'), 200,
    'with mcp_sse_origin * any page is served');

# origins of applications

{
    my @origins = qw(vscode-webview://1a2b3c app://obsidian.md
        tauri://localhost capacitor://localhost chrome-extension://abcdefgh
        moz-extension://0a1b-2c3d http+unix://x:81 https://[2001:db8::1]
        http://[::ffff:192.0.2.7]:8080 http://a:1 http://a:65535
        a-z.0+9://A_b-C.0z9);

    my $own = start_http(http => "mcp_sse_origin @origins;");

    for my $origin (@origins, 'VSCODE-webview://1A2B3C') {
        my $answer = http_post($own, $ping, headers => [ Origin => $origin ]);

        is($answer->status, 200, "mcp_sse_origin: $origin is served");
        is($answer->header('Access-Control-Allow-Origin'), $origin,
            'and named in the answer');
    }

    is(http_post($own, $ping, headers => [ Origin => $_ ])->status, 403,
        "mcp_sse_origin: $_ is refused")
        for 'vscode-webview://other', 'app://obsidian.md:80', 'null',
            'tauri://localhost.evil.com', 'http://[2001:db8::1]',
            'chrome-extension://', '://x', 'http+unix://x', 'https://[::1';
}

is(status('erp.example.com', origin => 'app://erp.example.com'), 403,
    'an application is refused unless mcp_sse_origin names it');

for my $bad (qw(null localhost http:// http://[::1 http://[] http://[::g]
    http://[1.2.3.4] http://[1:2:3:4:5:6:7:8:9] 1app://x app:x app://x/y
    http://a@b http://a:0 http://a:65536 http://a: http://a:-1 http://a:x
    http://a// http://a:80:80 http://a[b http://a`b http://a@b http://a+b),
    'http://[::1]x', 'x_y://a', '[x://a', 'http://a~')
{
    my $refused = start_nginx(fails => 1, locations =>
        "location = /x { mcp_sse_http; mcp_sse_origin $bad; }",
        allow => [ qr/\[emerg\]/ ]);

    like($refused->stderr . $refused->error_log,
        qr{invalid value ".*" in "mcp_sse_origin" .*"SCHEME://HOST\[:PORT\]"},
        "nginx refuses mcp_sse_origin $bad");
}

{
    my $refused = start_nginx(fails => 1, locations =>
        'location = /x { mcp_sse_stream; mcp_sse_server_url app://x; }',
        allow => [ qr/\[emerg\]/ ]);

    like($refused->stderr . $refused->error_log,
        qr{must be "http\[s\]://HOST\[:PORT\]"},
        'nginx refuses another scheme in mcp_sse_server_url');
}

finish();
