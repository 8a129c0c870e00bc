# The look-up of a user and its result, exactly: what Frappe is sent, lengths
# that Frappe chooses, what the cache keeps and for whom, counters.
# docs/PROTOCOL.md 2.6 to 2.12, 2.16.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Metrics qw(moves);
use Test::More;

my $ping = request(1, 'ping');
my ($answer, $held, @asked);


# A backend whose answer to a look-up is $answer, or that of $answer->(key);
# while $held is true it does not come.

my $backend = start_backend(sub {
    my ($request) = @_;

    return if $request->{path} !~ /get_logged_user/;

    push @asked, $request;

    my ($key) = ($request->{headers}{authorization} || '')
        =~ /\Atoken (\S+):/;
    my $list = ref $answer eq 'CODE' ? $answer->($key) : $answer;

    return (sub { return !$held }, MCPTest::Backend::http(@$list));
});


sub user { return [ 200, qq({"message":"$_[0]"}) ] }
sub as   { return (auth => "token $_[0]:secret-of-it") }


# How many look-ups the code makes.

sub look_ups {
    my ($code) = @_;

    my $before = @asked;

    $code->();

    return @asked - $before;
}


my $nginx = start_http(backend => $backend->port, http =>
    'mcp_sse_zone zone=s:2m; mcp_sse_max_message 64k; mcp_sse_auth_cache 300s;',
    locations => <<'EOT');
        location = /other { mcp_sse_http; mcp_sse_user /_mcp/user2; }
        location = /args { mcp_sse_http; mcp_sse_user /_mcp/user?a=b; }
        location = /short { mcp_sse_http; mcp_sse_auth_cache 1s; }
        location = /_mcp/user2 {
            internal;
            proxy_pass http://frappe/api/method/frappe.auth.get_logged_user;
        }
EOT


sub posted {
    my ($key, %opt) = @_;

    return http_post($nginx, $ping, as($key), %opt);
}


# ---- what Frappe is sent

$answer = user('alice@example.com');
is(posted('first', headers => [ 'X-Other', 'x', 'Cookie', 'a=b',
    'X-Forwarded-For', '192.0.2.1', 'User-Agent', 'test' ])->status, 200,
    'a user is looked up');
is(scalar @asked, 1, 'once');
is_deeply({ %{ $asked[0]{headers} } }, {
    host              => 'erp.example.com',
    accept            => 'application/json',
    authorization     => 'token first:secret-of-it',
    'x-forwarded-for' => '127.0.0.1',
}, 'the look-up has these headers and no others');
is("$asked[0]{method} $asked[0]{body}", 'POST ', 'it is a POST without a body')
    if $asked[0]{method} eq 'POST';

# ---- for whom a result is kept

is(look_ups(sub { posted('first') }), 0, 'it is kept');
is(look_ups(sub { posted('first', path => '/other') }), 1,
    'it is not that of another mcp_sse_user');
is(look_ups(sub { posted('first', path => '/args') }), 1,
    'nor of other arguments of it');
is(look_ups(sub { posted('first', path => $_) for '/other', '/args' }), 0,
    'which are kept, too');
is(look_ups(sub { posted('First') }), 1, 'nor of another key');

# ---- lengths: the cache keeps 512 bytes, an answer has 64 kB

for my $case ([ 1, 0 ], [ 511, 0 ], [ 512, 0 ], [ 513, 1 ], [ 4000, 1 ]) {
    my ($length, $again) = @$case;

    $answer = user('u' x $length);

    is(look_ups(sub { is(posted("user-$length")->status, 200,
        "a user of $length bytes") }), 1, 'is looked up');
    is(look_ups(sub { is(posted("user-$length")->status, 200,
        "a user of $length bytes, again") }), $again,
        $again ? 'is not kept' : 'is kept');

    my $challenge = 'Basic realm="' . 'c' x ($length - 1) . '"';

    $challenge = substr($challenge, 0, $length - 1) . '"' if $length > 100;
    $answer = [ 401, '{}', 'WWW-Authenticate', $challenge ];

    my $first = posted("bad-$length");

    is($first->status, 401, "a challenge of $length bytes");

    # a refusal is kept for 5 seconds

    my $asked = @asked;
    my $second = posted("bad-$length");

    is($second->header('WWW-Authenticate'),
        $first->header('WWW-Authenticate'), 'it is the same again');
    cmp_ok(@asked - $asked, '==', 1, 'and is not kept') if $again;
}

for my $case ([ 65536, 200 ], [ 65537, 502 ]) {
    my ($length, $status) = @$case;

    my $body = '{"message":"big@example.com","x":""}';

    $body =~ s/""/'"' . 'x' x ($length - length $body) . '"'/e;
    $answer = [ 200, $body ];
    is(posted("big-$length")->status, $status,
        "an answer of $length bytes: $status");
}

like($nginx->error_log, qr{\[error\].*user look-up at "/_mcp/user" failed},
    'the log has the one that is too long');

# ---- what is no user

for my $case (
    [ 'Guest',             401 ], [ 'guest',   200 ],
    [ 'Guest ',            200 ], [ "a\\nb",   401 ],
    [ 'a\u007fb',          401 ], [ 'a\u001f', 401 ],
    [ 'a b',               200 ], [ '\u00e4',  200 ],
) {
    my ($name, $status) = @$case;

    $answer = user($name);
    is(posted("name-$name" =~ s/[^\w-]/_/gr . $status)->status, $status,
        "the user \"$name\": $status");
}

# ---- Retry-After

for my $case ([ 31535999, 31535999 ], [ 31536000, 31536000 ],
    [ 31536001, 31536000 ], [ 99999999999, 31536000 ])
{
    my ($value, $want) = @$case;

    $answer = [ 503, '{}', 'Retry-After', $value ];

    my $got = posted("retry-$value");

    is($got->status . ' ' . ($got->header('Retry-After') || ''), "503 $want",
        "Retry-After $value: the client gets $want");
}

# ---- counters: GET without a session id is 405, or 401

for my $case (
    [ 'good',    user('bob@example.com'), 'good', '405' ],
    [ 'refused', [ 401, '{}' ],           undef,  '401' ],
    [ 'failed',  [ 500, '{}' ],           'miss', '405' ],
) {
    my ($result, $of, $cached, $status) = @$case;

    $answer = $of;
    moves($nginx, "a $result look-up", { 'auth_cache_requests miss' => 1,
        "auth_lookups $result" => 1, "requests_refused $status" => 1 }, sub {
            http_get($nginx, as("counted-$result")) });

    # a refusal is kept for 5 seconds, which may be over

    next unless $cached;

    moves($nginx, "a $result look-up before", {
        "auth_cache_requests $cached" => 1, "requests_refused $status" => 1,
        $result eq 'failed' ? ('auth_lookups failed' => 1) : () }, sub {
            http_get($nginx, as("counted-$result")) });
}

# ---- a stale result while Frappe does not answer

$answer = user('alice@example.com');
posted('stale', path => '/short');
sleep_for(1.1);
$held = 1;

my $before = @asked;
my $failed = metrics($nginx)
    ->{'nginx_mcp_sse_auth_lookups_total{result="failed"}'};

is(posted('stale', path => '/short')->status, 200,
    'a request with a stale result is served while Frappe is asked');
is(@asked - $before, 1, 'Frappe has been asked');
is(metrics($nginx)->{'nginx_mcp_sse_auth_lookups_total{result="failed"}'},
    $failed, 'before the look-up has failed');
is(metrics($nginx)->{'nginx_mcp_sse_auth_cache_stale_total'}, 1,
    'the result counts as stale');
$held = 0;

# ---- what the cache keeps: the zone has room for 1,024, refusals get 256

{
    my $nginx = start_http(backend => $backend->port, http =>
        'mcp_sse_zone zone=s:2m; mcp_sse_max_message 64k; '
        . 'mcp_sse_auth_cache 300s;');
    my $conn = connect_to($nginx);

    $answer = sub { return $_[0] =~ /\Abad/ ? [ 401, '{}' ] : user($_[0]) };

    my $ask = sub { http_post($nginx, $ping, as($_[0]), conn => $conn) };

    $ask->("user-$_") for 1 .. 1024;
    is(look_ups(sub { $ask->('user-1') }), 0, '1,024 users are kept');
    $ask->('user-1025');
    is(look_ups(sub { $ask->('user-1') }), 0, 'one that was used stays');
    is(look_ups(sub { $ask->('user-3') }), 0, 'others stay');
    is(look_ups(sub { $ask->('user-2') }), 1,
        'the one that was not used longest has gone');

    # its new entry has replaced the next one, user-4

    $ask->("bad-$_") for 1 .. 400;

    # 256 of 1,024 are refusals: the users before user-261 have gone

    is(look_ups(sub { $ask->('user-261') }), 0,
        'refusals take a quarter of the room');
    is(look_ups(sub { $ask->('user-260') }), 1, 'and no less');
    is(look_ups(sub { $ask->('user-1') }), 0, 'of those used least lately');
    $conn->close;
}

finish();
