# The metadata of protected resources (RFC 9728) that mcp_sse_resource_metadata
# serves, and what mcp_sse_public_url and mcp_sse_auth_server say of this server
# behind a proxy.  docs/PROTOCOL.md 6 and 7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $list   = request(1, 'tools/list');
my $known  = '/.well-known/oauth-protected-resource';

my $document = "location $known { mcp_sse_resource_metadata; } "
    . 'location /.well-known/oauth-protected-resourc '
    . '{ mcp_sse_resource_metadata; } '
    . 'location = /elsewhere { mcp_sse_resource_metadata; }';


# The document that the challenge of a 401 at a path names, read as a client
# does that knows the server by this URL.

sub document_of {
    my ($nginx, $base, $path, %opt) = @_;

    my ($host) = $base =~ m{//(.*)};
    my @probe  = ($nginx, $path =~ /sse/ ? 'GET' : 'POST', path => $path,
        auth => undef, host => $opt{host} || $host,
        headers => $opt{headers} || [],
        $path =~ /sse/ ? () : (body => encode($list)));
    my ($url) = (http(@probe)->header('WWW-Authenticate') || '')
        =~ /resource_metadata="([^"]*)"/ or return {};

    $url =~ s{\A\Q$base\E(?=/)}{} or return { url => $url };

    return get($nginx, $url, host => $opt{host} || $host,
        headers => $opt{headers} || [])->json || {};
}


my $nginx = start_http(locations => $document);

# RFC 9728, 3.3: the resource is the URL that the client has asked

for my $base ('http://erp.example.com', 'http://mcp.example.com:8443',
    'http://127.0.0.1:8080', 'http://[::1]:8080')
{
    for my $path ('/mcp', '/mcp/', '/mcp/sse', '/mcp/sse/') {
        is_deeply(document_of($nginx, $base, $path), {
            resource                 => $base . $path,
            authorization_servers    => [ $base ],
            bearer_methods_supported => [ 'header' ],
        }, "the 401 of $base$path names the metadata of $base$path");
    }
}

for my $path ($known, "$known/") {
    is((get($nginx, $path)->json || {})->{resource}, 'http://erp.example.com',
        "the resource of $path is the origin");
}

for my $path ("${known}x", "$known/a%22b", "$known/a%0ab", "$known/a%80",
    "$known/a%5Cb", "$known/a%20b", "$known/a%3Cb", "$known/a%3Eb",
    "$known/a%3Fb", "$known/a%23b", "$known/a%25b", "$known/a%7Fb",
    '/.well-known/oauth-protected-resourc', '/elsewhere')
{
    is(get($nginx, $path)->status, 404, "$path is 404");
}

is((get($nginx, "$known/a%21~b")->json || {})->{resource},
    'http://erp.example.com/a!~b', 'a path may have other characters');

like(get($nginx, "$known/mcp", host => 'a"b')->status, qr/\A40[04]\z/,
    'a Host that is no host gets no document');

# it is public

{
    my $got = get($nginx, "$known/mcp",
        headers => [ Origin => 'https://inspector.example' ]);

    is($got->status, 200, 'pages of another Origin may read the document');
    is($got->header('Access-Control-Allow-Origin'), '*',
        'it is for every Origin');
    is($got->header('Content-Type'), 'application/json', 'it is JSON');
    like($got->header('Cache-Control'), qr/\Apublic, max-age=\d+\z/,
        'it may be cached');

    $got = get($nginx, "$known/mcp", method => 'OPTIONS', headers => [
        Origin => 'https://inspector.example',
        'Access-Control-Request-Method'  => 'GET',
        'Access-Control-Request-Headers' => 'mcp-protocol-version' ]);

    is($got->status, 204, 'a preflight for the document is 204');
    is($got->header('Access-Control-Allow-Origin'), '*',
        'the preflight is for every Origin');
    like($got->header('Access-Control-Allow-Headers'),
        qr/mcp-protocol-version/i, 'it allows MCP-Protocol-Version');

    $got = get($nginx, "$known/mcp", method => 'POST');

    is($got->status, 405, 'a POST of the document is 405');
    is($got->header('Allow'), 'GET, HEAD, OPTIONS', 'this 405 has Allow');
    is(get($nginx, "$known/mcp", method => 'HEAD')->status, 200,
        'a HEAD of the document is 200');
}

# TLS ends in front of nginx

{
    my $public = start_http(locations => $document,
        server => 'mcp_sse_public_url https://mcp.example.com:444/; '
            . 'mcp_sse_auth_server https://erp.example.com/;');

    is_deeply(document_of($public, 'https://mcp.example.com:444', '/mcp',
        host => 'inner:8080'), {
        resource                 => 'https://mcp.example.com:444/mcp',
        authorization_servers    => [ 'https://erp.example.com' ],
        bearer_methods_supported => [ 'header' ],
    }, 'metadata have the URLs of the directives');

    $frappe->reset;
    http_post($public, $list, host => 'inner:8080');

    my $got = $frappe->last_headers;

    is($got->{'x-forwarded-proto'}, 'https',
        'a call has the scheme of mcp_sse_public_url');
    is($got->{'x-forwarded-host'}, 'mcp.example.com:444',
        'a call has the host of mcp_sse_public_url');
    is($got->{host}, 'erp.example.com', 'the site of the call stays');
}

# variables: what a trusted proxy says

{
    my $behind = start_http(locations => $document,
        http => 'map $http_x_scheme $public_url { '
            . 'default ""; ~^https?$ $http_x_scheme://$http_host; '
            . 'odd "https://a/b"; }',
        server => 'mcp_sse_public_url $public_url; '
            . 'mcp_sse_auth_server $public_url;');

    for my $case ([ 'https', 'https' ], [ 'http', 'http' ], [ '', 'http' ],
        [ 'odd', 'http' ])
    {
        my ($header, $scheme) = @$case;
        my @headers = (headers => [ 'X-Scheme' => $header ]);
        my $base = "$scheme://mcp.example.com";

        is_deeply(document_of($behind, $base, '/mcp', @headers), {
            resource                 => "$base/mcp",
            authorization_servers    => [ $base ],
            bearer_methods_supported => [ 'header' ],
        }, "variables: the document of \"$header\" is that of $scheme");

        $frappe->reset;
        http_post($behind, $list, host => 'mcp.example.com', @headers);
        is($frappe->last_headers->{'x-forwarded-proto'}, $scheme,
            "variables: a call of \"$header\" has the scheme $scheme");
        is($frappe->last_headers->{'x-forwarded-host'}, 'mcp.example.com',
            "variables: a call of \"$header\" has the host");
    }

    like($behind->error_log, qr/\[info\].*\ the\ value\ of\ "mcp_sse_public_url"
        \ is\ not\ http\[s\]:\/\/HOST\[:PORT\],\ it\ is\ not\ used/x,
        'variables: the log names the value that is no URL');
}

finish();
