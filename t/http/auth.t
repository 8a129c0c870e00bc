# Authentication at mcp_sse_http: 401 with its challenge and resource metadata,
# Frappe that is unreachable, mcp_sse_principal, cookies, Origin and CORS.
# docs/PROTOCOL.md 1, 2 and 7.

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
    my $name   = defined $auth ? qq("$auth") : 'no Authorization';
    my $answer = http_post($nginx, $list, auth => $auth);

    is_rejected($answer, 401, -32001, 'Invalid authorization',
        "POST is 401: $name");
    like($answer->header('WWW-Authenticate'),
        qr/\ABearer .*resource_metadata="http/,
        "the challenge names resource_metadata: $name");

    my $id = 'A' x 50;

    is(http($nginx, 'GET', session => $id, auth => $auth)->status, 401,
        "GET is 401: $name");
    is(http_delete($nginx, $id, auth => $auth)->status, 401,
        "DELETE is 401: $name");
    is(http($nginx, 'HEAD', session => $id, auth => $auth)->status, 401,
        "HEAD is 401: $name");
}

is($frappe->calls, 0, 'no request without a good credential runs');

# the URL of the metadata is absolute and has the Host of the request

my $realm = 'Bearer realm="erp.example.com"';

is(challenge($nginx), qq($realm, resource_metadata=)
    . qq("http://erp.example.com$known/mcp"),
    'resource_metadata has the host of the request');
is(challenge($nginx, host => 'erp.example.com:8443'),
    qq($realm, resource_metadata="http://erp.example.com:8443$known/mcp"),
    'resource_metadata has the port of the request');
is(challenge($nginx, path => '/mcp/'), qq($realm, resource_metadata=)
    . qq("http://erp.example.com$known/mcp/"),
    'resource_metadata is that of the very endpoint');
unlike(challenge($nginx, host => 'a"b'), qr/a"b/,
    "the challenge has no quote of the client's Host")
    if defined challenge($nginx, host => 'a"b');
is(open_stream($nginx, auth => undef)->header('WWW-Authenticate'),
    qq($realm, resource_metadata="http://erp.example.com$known/mcp/sse"),
    'a 401 of the legacy stream names its own metadata');

# clients do not know the URL for messages as a resource

unlike(post($nginx, 'A' x 50, $list, auth => undef)
    ->header('WWW-Authenticate'), qr/resource_metadata/,
    'a 401 of the legacy messages names no metadata');

# a credential that was sent and is not good (RFC 6750, 3.1)

for my $auth ('Bearer expired-token', 'token alice-key:wrong') {

    my %challenges = (
        'POST /mcp'   => challenge($nginx, auth => $auth),
        'DELETE /mcp' => http_delete($nginx, 'x', auth => $auth)
            ->header('WWW-Authenticate'),
        'GET /mcp/sse' => open_stream($nginx, auth => $auth)
            ->header('WWW-Authenticate'),
        'POST /mcp/messages' => post($nginx, 'A' x 50, $list, auth => $auth)
            ->header('WWW-Authenticate'),
    );

    like($challenges{$_}, qr/\A\Q$realm\E, error="invalid_token"(?:,|\z)/,
        "$_ says that the credential is not good: $auth")
        for sort keys %challenges;
}

for my $auth (undef, 'Digest x', 'Bearer') {
    unlike(challenge($nginx, auth => $auth), qr/error/,
        'the challenge has no error without a credential: '
        . (defined $auth ? $auth : 'no Authorization'));
}

{
    my $own = start_http(mcp => 'mcp_sse_principal $http_x_user;');

    unlike(challenge($own, auth => 'Bearer alice-token'), qr/error/,
        'the challenge has no error with mcp_sse_principal, which decides');
}

{
    my $public = start_http(mcp => 'mcp_sse_public_url '
        . 'https://mcp.example.com:444/;');

    is(challenge($public), qq($realm, resource_metadata=)
        . qq("https://mcp.example.com:444$known/mcp"),
        'resource_metadata has the URL of mcp_sse_public_url');
}

# Frappe's own challenge, whose metadata are those of another resource

my $ours  = qq(resource_metadata="http://erp.example.com$known/mcp");
my $error = 'error="invalid_token"';

my ($given, $row);

my $refusing = start_backend(sub {
    return MCPTest::Backend::http(401, '{}', 'Content-Type',
        'application/json', 'WWW-Authenticate', $given);
});
my $refused = start_http(backend => $refusing->port);

for my $case (
    [ 'Bearer realm="F", resource_metadata="https://f/x"',
      qq(Bearer realm="F", $ours, $error) ],
    [ 'bearer Resource_Metadata = "https://f/\\"x", realm="F"',
      qq(bearer Resource_Metadata = "http://erp.example.com$known/mcp", )
      . qq(realm="F", $error) ],
    [ 'Bearer resource_metadata=https://f/x',
      qq(Bearer $ours, $error) ],
    [ 'Bearer realm="F"', qq(Bearer realm="F", $error, $ours) ],
    [ 'Bearer', qq(Bearer $error, $ours) ],
    [ 'Bearer error="invalid_request", scope="all"',
      qq(Bearer error="invalid_request", scope="all", $ours) ],
    [ 'Bearer realm="scope=,error="',
      qq(Bearer realm="scope=,error=", $error, $ours) ],
    [ 'Bearer realm=", resource_metadata="https://f/x"; realm="F"',
      qq($realm, $error, $ours) ],
    [ ', , bearer realm="F"', qq(bearer realm="F", $error, $ours) ],
    [ ', ,', qq($realm, $error, $ours) ],
    [ 'Bearer realm="F", Basic realm="G"',
      qq(Bearer realm="F", $error, $ours, Basic realm="G") ],
    [ 'Bearer realm=', qq(Bearer realm=, $error, $ours) ],
    [ 'Basic realm="F"', 'Basic realm="F"' ],
    [ 'Basic realm="F", Bearer realm="G", resource_metadata="https://f/x"',
      qq($realm, $error, $ours) ],
    [ 'Bearer realm="F", Bearer Resource_Metadata=https://f/x, a=b',
      qq($realm, $error, $ours) ],
    [ 'Bearer resource_metadata="a", resource_metadata="https://f/x"',
      qq($realm, $error, $ours) ],
    [ 'Bearerx realm="F"', 'Bearerx realm="F"' ],
    [ 'Beare', 'Beare' ],
    [ 'Bearer, Basic realm="G"', qq(Bearer $error, $ours, Basic realm="G") ],
    [ 'Bearer,Basic realm="G"', qq(Bearer $error, $ours,Basic realm="G") ],
    [ "Bearer realm=F\t,\tscope = \"a\"", qq(Bearer realm=F\t,\tscope = "a")
      . qq(, $error, $ours) ],
    [ 'Bearer realm="F, error=', qq($realm, $error, $ours) ],
    [ 'Bearer realm="F\\"', qq($realm, $error, $ours) ],
    [ 'Bearer realm="F\\', qq($realm, $error, $ours) ],
    [ 'Bearer realm="F\\\\"', qq(Bearer realm="F\\\\", $error, $ours) ],
    [ 'Bearer ERROR="x"', qq(Bearer ERROR="x", $ours) ],
    [ 'Bearer error_uri="x"', qq(Bearer error_uri="x", $error, $ours) ],
    [ 'Bearer error=x, resource_metadata="https://f/x", realm=F Basic',
      qq(Bearer error=x, $ours, realm=F Basic) ],
) {
    my $bad = 'Bearer bad-token-' . ++$row;

    ($given, my $want) = @$case;

    is(challenge($refused, auth => $bad), $want,
        "Frappe's challenge names the metadata of the endpoint: $given");

    is(post($refused, 'A' x 50, $list, auth => $bad)
        ->header('WWW-Authenticate'), qq($realm, $error),
        "a 401 of the messages does not name Frappe's metadata")
        if $given =~ /f\/x"\z/;
}

$refusing->stop;

# Frappe is unreachable

{
    my $own = start_http();

    $frappe->set(down => 'refuse');

    my $answer = http_post($own, $list, auth => MCPTest::credential('bob'));

    cmp_ok($answer->status, '>=', 502,
        'a POST is 502 or more while Frappe is down');
    like($answer->body, qr/-32003.*Backend unavailable/,
        'the error is "Backend unavailable" while Frappe is down');
    $frappe->reset;
    is(http_post($own, $list, auth => MCPTest::credential('bob'))->status,
        200, 'a POST is served when Frappe is back');
}

# a GET waits while Frappe is unreachable

{
    my $bob = MCPTest::credential('bob');
    my $id  = session_id($nginx, auth => $bob);

    $frappe->set(down => 'refuse');

    my $new = start_http(http => 'mcp_sse_auth_wait 300s;');
    my $get = http($new, 'GET', session => $id, auth => $bob, async => 1);

    ok(run_until(sub {
        my $failed = 'nginx_mcp_sse_auth_lookups_total{result="failed"}';
        return metrics($new)->{$failed} >= 2;
    }), 'the look-up is repeated while Frappe is unreachable');
    is($get->status, undef, 'a GET waits while Frappe is unreachable');
    $frappe->reset;
    ok($get->wait_headers, 'the GET is answered when Frappe is back');
    is($get->status, 404,
        'a GET with an unknown id is 404 when Frappe is back');
    $get->{conn}->close;
}

# mcp_sse_principal

{
    my $own = start_http(mcp => 'mcp_sse_principal $http_x_user;');
    my $id  = session_id($own, headers => [ 'X-User' => 'carol' ]);

    ok($id, 'mcp_sse_principal: initialize makes a session');
    is(http_post($own, $list, session => $id,
        headers => [ 'X-User' => 'carol' ])->status, 200,
        'mcp_sse_principal: the session serves its user');
    is(http_post($own, $list, session => $id,
        headers => [ 'X-User' => 'dave' ])->status, 404,
        'mcp_sse_principal: the session is 404 for another user');
    is(http_post($own, $list)->status, 401,
        'mcp_sse_principal: an empty value is 401');
    like($own->error_log, qr/refused\ with\ 401,\ "Invalid\ authorization":
        \ mcp_sse_principal\ is\ empty\ or\ has\ a/x, 'the log says why');
}

# mcp_sse_cookie, for the site's own pages

{
    my $own    = start_http(mcp => 'mcp_sse_cookie on;');
    my @cookie = (Cookie => 'sid=alice-sid',
        Origin => 'http://erp.example.com');
    my @csrf = (@cookie, 'X-Frappe-CSRF-Token' => 'alice-csrf');
    my $id   = session_id($own, auth => undef, headers => \@csrf);

    ok($id, 'initialize is served with a cookie and its CSRF token');
    is(http_post($own, $list, auth => undef, headers => \@cookie)->status,
        401, 'a POST with a cookie and no CSRF token is 401');
    is(http_delete($own, $id, auth => undef, headers => \@cookie)->status,
        401, 'a DELETE with a cookie and no CSRF token is 401');
    is(http_post($own, $list, auth => undef, headers => [ @cookie,
        'X-Frappe-CSRF-Token' => $_ ])->status, 401,
        "a POST with a cookie and the CSRF token \"$_\" is 401")
        for 'two words', "\xc3\xa4";
    is(http_post($own, $list, auth => undef, headers => [
        'X-Frappe-CSRF-Token' => 'alice-csrf', @cookie[0, 1] ])->status, 401,
        'a POST with a cookie and no Origin is 401');
    is(http_delete($own, $id, auth => undef, headers => \@csrf)->status,
        204, 'a DELETE with a cookie and its CSRF token is 204');
}

# CORS

{
    my $cors = start_http(mcp => 'mcp_sse_origin https://app.example.com;');
    my @from = (Origin => 'https://app.example.com');
    my $ask  = http($cors, 'OPTIONS', auth => undef, headers => [ @from,
        'Access-Control-Request-Method' => 'POST',
        'Access-Control-Request-Headers' => 'authorization, content-type, '
            . 'mcp-session-id, mcp-protocol-version, last-event-id' ]);

    is($ask->status, 204, 'a preflight of an allowed Origin is 204');
    like($ask->header('Access-Control-Allow-Methods'), qr/\b$_\b/,
        "a preflight allows the method $_") for qw(GET POST DELETE);
    like($ask->header('Access-Control-Allow-Headers'), qr/\b$_\b/i,
        "a preflight allows $_") for qw(Mcp-Session-Id MCP-Protocol-Version
        Last-Event-ID Authorization);
    is($ask->header('Access-Control-Allow-Origin'),
        'https://app.example.com', 'a preflight names the allowed Origin');

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
            'https://app.example.com',
            "the answer $name names the allowed Origin");
        like($answers{$name}->header('Access-Control-Expose-Headers'),
            qr/\bMcp-Session-Id\b/, "the answer $name exposes Mcp-Session-Id");
        is($answers{$name}->header('Vary'), 'Origin',
            "the answer $name has Vary: Origin");
    }

    $answers{GET}->close;
    is_rejected(http_post($cors, $list,
        headers => [ Origin => 'https://evil.example.com' ]), 403, -32600,
        'Origin not allowed', 'a POST of another Origin is 403');
    is(http_get($cors, session => $id,
        headers => [ Origin => 'https://evil.example.com' ])->status, 403,
        'a GET of another Origin is 403');
}

finish();
