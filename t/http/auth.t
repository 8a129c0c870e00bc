# Whose request it is, at mcp_sse_http: 401, its metadata, CORS.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $list   = request(1, 'tools/list');
my $known  = '/.well-known/oauth-protected-resource';


sub challenge {
    my ($nginx, %opt) = @_;

    return http_post($nginx, $list, auth => undef, %opt)
        ->header('WWW-Authenticate');
}


my $nginx = start_http();

# 401

for my $auth (undef, 'Bearer', 'Bearer wrong', 'token a:b', 'x y z') {
    my $name   = defined $auth ? qq("$auth") : 'no credential';
    my $answer = http_post($nginx, $list, auth => $auth);

    is_rejected($answer, 401, -32001, 'Invalid authorization', $name);
    like($answer->header('WWW-Authenticate'),
        qr/\ABearer .*resource_metadata="http/, 'with metadata');

    my $id = 'A' x 50;

    is(http($nginx, 'GET', session => $id, auth => $auth)->status, 401,
        'GET');
    is(http_delete($nginx, $id, auth => $auth)->status, 401, 'DELETE');
    is(http($nginx, 'HEAD', session => $id, auth => $auth)->status, 401,
        'HEAD');
}

is($frappe->calls, 0, 'nothing has run');

# its URL is absolute, and the one that the client used

my $realm = 'Bearer realm="erp.example.com"';

is(challenge($nginx), qq($realm, resource_metadata=)
    . qq("http://erp.example.com$known/mcp"), 'host of the request');
is(challenge($nginx, host => 'erp.example.com:8443'),
    qq($realm, resource_metadata="http://erp.example.com:8443$known/mcp"),
    'and port');
is(challenge($nginx, path => '/mcp/'), qq($realm, resource_metadata=)
    . qq("http://erp.example.com$known/mcp"), 'without the slash');
unlike(challenge($nginx, host => 'a"b'), qr/a"b/, 'no quotes of a client')
    if defined challenge($nginx, host => 'a"b');
unlike(post($nginx, 'A' x 50, $list, auth => undef)
    ->header('WWW-Authenticate'), qr/resource_metadata/,
    'the legacy endpoint has none');

{
    my $public = start_http(mcp => 'mcp_sse_public_url '
        . 'https://mcp.example.com:444/;');

    is(challenge($public), qq($realm, resource_metadata=)
        . qq("https://mcp.example.com:444$known/mcp"),
        'mcp_sse_public_url');
}

# Frappe's own

for my $given (
    [ 'Bearer realm="F", resource_metadata="https://f/x"',
      'Bearer realm="F", resource_metadata="https://f/x"' ],
    [ 'Bearer realm="F"', 'Bearer realm="F", resource_metadata='
      . qq("http://erp.example.com$known/mcp") ],
    [ 'Bearer', 'Bearer resource_metadata='
      . qq("http://erp.example.com$known/mcp") ],
    [ 'Basic realm="F"', 'Basic realm="F"' ],
) {
    my $backend = start_backend(sub {
        return MCPTest::Backend::http(401, '{}', 'Content-Type',
            'application/json', 'WWW-Authenticate', $given->[0]);
    });
    my $own = start_http(backend => $backend->port);

    is(challenge($own, auth => 'Bearer bad'), $given->[1],
        "Frappe's challenge $given->[0]");
    $backend->stop;
}

# Frappe cannot be asked

{
    my $own = start_http();

    $frappe->set(down => 'refuse');

    my $answer = http_post($own, $list, auth => MCPTest::credential('bob'));

    cmp_ok($answer->status, '>=', 502, 'Frappe is down');
    like($answer->body, qr/-32003.*Backend unavailable/, 'and that is told');
    $frappe->reset;
    is(http_post($own, $list, auth => MCPTest::credential('bob'))->status,
        200, 'and forgotten');
}

# a GET is held meanwhile

{
    my $bob = MCPTest::credential('bob');
    my $id  = session_id($nginx, auth => $bob);

    $frappe->set(down => 'refuse');

    my $new = start_http(http => 'mcp_sse_auth_wait 300s;');
    my $get = http($new, 'GET', session => $id, auth => $bob, async => 1);

    ok(run_until(sub {
        my $failed = 'nginx_mcp_sse_auth_lookups_total{result="failed"}';
        return metrics($new)->{$failed} >= 2;
    }), 'Frappe is asked again');
    is($get->status, undef, 'a GET waits for it');
    $frappe->reset;
    ok($get->wait_headers, 'and is answered');
    is($get->status, 404, 'by what it deserves');
    $get->{conn}->close;
}

# mcp_sse_principal

{
    my $own = start_http(mcp => 'mcp_sse_principal $http_x_user;');
    my $id  = session_id($own, headers => [ 'X-User' => 'carol' ]);

    ok($id, 'nginx has authenticated the user');
    is(http_post($own, $list, session => $id,
        headers => [ 'X-User' => 'carol' ])->status, 200, 'whose id it is');
    is(http_post($own, $list, session => $id,
        headers => [ 'X-User' => 'dave' ])->status, 404, "nobody else's");
    is(http_post($own, $list)->status, 401, 'none: 401');
}

# a cookie, from the site's own pages

{
    my $own    = start_http(mcp => 'mcp_sse_cookie on;');
    my @cookie = (Cookie => 'sid=alice-sid',
        Origin => 'http://erp.example.com');
    my @csrf = (@cookie, 'X-Frappe-CSRF-Token' => 'alice-csrf');
    my $id   = session_id($own, auth => undef, headers => \@csrf);

    ok($id, 'a cookie with its CSRF token');
    is(http_post($own, $list, auth => undef, headers => \@cookie)->status,
        401, 'POST without the token');
    is(http_delete($own, $id, auth => undef, headers => \@cookie)->status,
        401, 'DELETE without the token');
    is(http_delete($own, $id, auth => undef, headers => \@csrf)->status,
        204, 'DELETE with it');
}

# CORS

{
    my $cors = start_http(mcp => 'mcp_sse_origin https://app.example.com;');
    my @from = (Origin => 'https://app.example.com');
    my $ask  = http($cors, 'OPTIONS', auth => undef, headers => [ @from,
        'Access-Control-Request-Method' => 'POST',
        'Access-Control-Request-Headers' => 'authorization, content-type, '
            . 'mcp-session-id, mcp-protocol-version, last-event-id' ]);

    is($ask->status, 204, 'preflight');
    like($ask->header('Access-Control-Allow-Methods'), qr/\b$_\b/,
        "allows $_") for qw(GET POST DELETE);
    like($ask->header('Access-Control-Allow-Headers'), qr/\b$_\b/i,
        "allows $_") for qw(Mcp-Session-Id MCP-Protocol-Version
        Last-Event-ID Authorization);
    is($ask->header('Access-Control-Allow-Origin'),
        'https://app.example.com', 'that origin');

    my $answer = initialize($cors, headers => \@from);
    my $id     = $answer->header('Mcp-Session-Id');

    MCPTest::secret($id);

    my %answers = (
        JSON     => $answer,
        stream   => http_post($cors, $list, accept => 'text/event-stream',
            headers => \@from),
        GET      => http_get($cors, session => $id, headers => \@from),
        202      => http_post($cors, notification('notifications/x'),
            headers => \@from),
        401      => http_post($cors, $list, auth => undef,
            headers => \@from),
        404      => http_post($cors, $list, session => 'x',
            headers => \@from),
        405      => http($cors, 'GET', headers => \@from),
        406      => http_post($cors, $list, accept => 'x/y',
            headers => \@from),
        DELETE   => http_delete($cors, $id, headers => \@from),
    );

    for my $name (sort keys %answers) {
        is($answers{$name}->header('Access-Control-Allow-Origin'),
            'https://app.example.com', "$name may be read");
        like($answers{$name}->header('Access-Control-Expose-Headers'),
            qr/\bMcp-Session-Id\b/, 'with its session id');
        is($answers{$name}->header('Vary'), 'Origin', 'by that origin');
    }

    $answers{GET}->close;
    is_rejected(http_post($cors, $list,
        headers => [ Origin => 'https://evil.example.com' ]), 403, -32600,
        'Origin not allowed', 'another origin');
    is(http_get($cors, session => $id,
        headers => [ Origin => 'https://evil.example.com' ])->status, 403,
        'for GET, too');
}

finish();
