# mcp_sse_json_only: what a location passes on of the documents of Frappe.
# docs/PROTOCOL.md 7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $page = '<html>' . 'x' x 324_000 . '</html>';
my $json = '{"issuer":"http://erp.example.com"}';

my %answers = (
    json      => [ 200, $json, 'Content-Type', 'application/json' ],
    charset   => [ 200, $json, 'Content-Type',
        'Application/JSON; charset=utf-8' ],
    page      => [ 200, $page, 'Content-Type', 'text/html; charset=utf-8',
        'Set-Cookie', 'sid=Guest', 'ETag', '"x"' ],
    jsonp     => [ 200, $json, 'Content-Type', 'application/jsonp' ],
    created   => [ 201, $json, 'Content-Type', 'application/json' ],
    moved     => [ 301, '', 'Location', 'http://inner:8000/desk' ],
    found     => [ 302, $page, 'Location', '/nowhere', 'Content-Type',
        'text/html' ],
    forbidden => [ 403, $page, 'Content-Type', 'text/html' ],
    missing   => [ 404, $page, 'Content-Type', 'text/html' ],
    refused   => [ 401, '{}', 'Content-Type', 'application/json',
        'WWW-Authenticate', 'Basic realm="x"' ],
    closed    => [ 499, $page, 'Content-Type', 'text/html' ],
    broken    => [ 500, $page, 'Content-Type', 'text/html' ],
    wrong     => [ 999, $page, 'Content-Type', 'text/html' ],
    busy      => [ 503, '{}', 'Content-Type', 'application/json' ],
);

my $backend = start_backend(sub {
    my ($request) = @_;

    my ($name) = $request->{path} =~ m{/(\w+)\z};

    return ("no status line\n", \'close') if $name eq 'headless';

    return MCPTest::Backend::http(@{ $answers{$name} });
});

my $locations = <<"EOT";
        location /documents/ {
            mcp_sse_json_only on;
            add_header Access-Control-Allow-Origin * always;
            if (\$request_method = OPTIONS) { return 204; }
            proxy_pass http://127.0.0.1:@{[ $backend->port ]};
        }

        location /plain/ {
            proxy_pass http://127.0.0.1:@{[ $backend->port ]};
        }
EOT

my $nginx = start_http(locations => $locations);

for my $name (qw(json charset)) {
    my $got = get($nginx, "/documents/$name");

    is($got->status, 200, "$name: a document is passed on");
    is($got->body, $json, "$name: it is the document of Frappe");
}

for my $name (sort keys %answers) {
    next if $name =~ /\A(?:json|charset)\z/;

    my $status = $answers{$name}[0];
    my $want   = $status > 599 ? 502 : $status >= 500 ? $status : 404;
    my ($code, $text) = $status >= 500 ? (-32003, 'Backend unavailable')
        : (-32600, 'Not found');

    my $got = get($nginx, "/documents/$name");

    is($got->status, $want, "$name: $status of Frappe is $want");
    is($got->body, qq({"jsonrpc":"2.0","id":null,"error":{"code":$code,)
        . qq("message":"$text"}}), "$name: the body is short JSON");
    is($got->header('Content-Type'), 'application/json',
        "$name: it says that it is JSON");
    is($got->header('Access-Control-Allow-Origin'), '*',
        "$name: headers of the location are added");
    is(join(' ', map { $got->header($_) || () } 'Location', 'Set-Cookie',
        'WWW-Authenticate', 'ETag'), '', "$name: no header of Frappe is there");

    $got = get($nginx, "/documents/$name", method => 'HEAD');
    is($got->status, $want, "$name: a HEAD is $want");
    is($got->body, '', "$name: a HEAD has no body");

    is(get($nginx, "/plain/$name")->status, $status,
        "$name: other locations pass it on");
}

is(get($nginx, '/documents/page', method => 'OPTIONS')->status, 204,
    'what nginx itself answers stays');

# without a status line nginx takes Frappe's answer for one of HTTP/0.9, and
# answers the client so

{
    my $got = get($nginx, '/documents/headless');

    is($got->status, 404, 'an answer without a status line is 404');
    is(($got->json || {})->{error}{message}, 'Not found',
        'this 404 is JSON');
}

# the connection goes on

{
    my $conn = connect_to($nginx);
    my @got  = map { $conn->request('GET', "/documents/$_",
        host => 'erp.example.com')->wait } qw(page headless json page);

    is_deeply([ map { $_->status } @got ], [ 404, 404, 200, 404 ],
        'the connection goes on after a refused document');
    $conn->close;
}

$backend->stop;

{
    my $got = get($nginx, '/documents/json');

    is($got->status, 502, 'an unreachable Frappe is 502');
    is(($got->json || {})->{error}{message}, 'Backend unavailable',
        'this 502 is JSON');
}

like($nginx->error_log, qr/\[info\].* mcp sse: Frappe answered 404 without JSON, /,
    'the log says that there is no document');

finish();
