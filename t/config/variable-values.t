# Values of variables in directives: a client must not bring a header or a line
# of a log into them, for example by %0D%0A in a path from which a location
# captures them.  docs/PROTOCOL.md 1.5, 2.14.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();

my $locations = '';

for my $endpoint (qw(http stream message)) {
    $locations .= <<"EOT";
        location ~ "^(?s:/site/$endpoint/(?<site_$endpoint>.*))\$" {
            mcp_sse_$endpoint; mcp_sse_site \$site_$endpoint;
        }
        location ~ "^(?s:/user/$endpoint/(?<user_$endpoint>.*))\$" {
            mcp_sse_$endpoint; mcp_sse_principal \$user_$endpoint;
        }
EOT
}

$locations .= <<'EOT';
        location ~ "^(?s:/url/(?<url>.*))$" {
            mcp_sse_http; mcp_sse_public_url https://$url;
        }
        location ~ "^(?s:/issuer/(?<issuer>.*))$" {
            mcp_sse_resource_metadata; mcp_sse_auth_server https://$issuer;
        }
EOT

my $nginx = start_http(locations => $locations);
my $good  = request(1, 'ping');

my %method = (http => 'POST', stream => 'HEAD', message => 'POST');

sub status {
    my ($endpoint, $path) = @_;

    return http($nginx, $method{$endpoint}, path => $path,
        $method{$endpoint} eq 'POST' ? (body => $good) : ())->status;
}

$frappe->reset;

my $forged = '%0D%0AX-Evil:%201%0D%0AX-Frappe-Site-Name:%20other';
my $line   = '%0A2026/01/01%2000:00:00%20%5Balert%5D%201%231:%20forged';

for my $endpoint (sort keys %method) {
    for my $bad ($forged, $line, '%00', '%09', '%1B[2J', '%7F', '%20', 'a%22b',
        'a%5Cb')
    {
        is(status($endpoint, "/site/$endpoint/erp.example.com$bad"), 400,
            "mcp_sse_$endpoint: a site with $bad is 400");
    }

    is(status($endpoint, "/user/$endpoint/alice$_"), 401,
        "mcp_sse_$endpoint: a principal with $_ is 401")
        for $forged, $line, '%1B[2J', '%7F';
}

# URLs that go into headers and documents are used only if they are URLs

for my $bad ($forged, $line, '%1B[2J', '%22', '/x', '%20') {
    my $refused = http($nginx, 'POST', path => "/url/a.example.com$bad",
        auth => undef, body => $good);

    is($refused->status, 401, "a public URL with $bad: the request is 401");
    unlike($refused->header('WWW-Authenticate') || '', qr{//a\.example\.com},
        'and its challenge does not have that URL');
    is($refused->header('X-Evil'), undef, 'no header is the client\'s');

    unlike(http($nginx, 'GET', path => "/issuer/a.example.com$bad")->body,
        qr{"authorization_servers":\["[^"]*a\.example\.com},
        "an authorization server with $bad is not named");
}

is_deeply([ $frappe->calls, $frappe->lookups ], [ 0, 0 ],
    'Frappe was neither called nor asked');

is(status('http', '/site/http/erp.example.com'), 200,
    'the name of a site is served');
is(status('http', '/user/http/zoe'), 200, 'the name of a user is served');

unlike($nginx->error_log, qr/^\d{4}\S+ \S+ \[alert\]|^X-/m,
    'no line of the error log is the client\'s');

finish();
