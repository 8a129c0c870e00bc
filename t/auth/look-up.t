# What Frappe answers to the look-up of a user besides a user and a refusal:
# which answers are the fault of the credential, which are not asked for again,
# Retry-After, answers of a cache, how often the log tells.  docs/PROTOCOL.md 2.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $list  = request(1, 'tools/list');
my $alice = '{"message":"alice@example.com"}';


sub lookups {
    my ($backend) = @_;

    return grep { $_->{path} =~ /get_logged_user/ } $backend->requests;
}


# A backend that answers look-ups by @answers in turn, the last one for ever;
# an answer is a list for MCPTest::Backend::http().

sub looked_up {
    my (@answers) = @_;

    return start_backend(sub {
        my ($request) = @_;

        return if $request->{path} !~ /get_logged_user/;

        my $answer = @answers > 1 ? shift @answers : $answers[0];

        return MCPTest::Backend::http(@{$answer});
    });
}


# The lines of the error log about look-ups that failed.

sub failures {
    my ($nginx) = @_;

    return grep { /\[error\].*user look-up at/ } split /\n/,
        $nginx->error_log;
}


# A credential that is too long for Frappe, and a request that Frappe does not
# understand.

{
    my @cases = (
        [ 431, 401, -32001, 'Invalid authorization', 'info' ],
        [ 413, 401, -32001, 'Invalid authorization', 'info' ],
        [ 400, 502, -32003, 'Backend unavailable', 'error' ],
        [ 417, 502, -32003, 'Backend unavailable', 'error' ],
    );
    my $backend = looked_up(map { [ $_->[0], '<html>' ] } @cases);
    my $nginx   = start_nginx(backend => $backend->port,
        http => 'mcp_sse_auth_wait 300s;');

    for my $case (@cases) {
        my ($status, @want) = @$case;
        my $level = pop @want;
        my $asked = lookups($backend);

        is_rejected(open_stream($nginx, auth => "token key-$status:secret"),
            @want, "look-up $status: the GET of a stream is $want[0] at once");
        is(lookups($backend) - $asked, 1,
            "look-up $status: Frappe is asked once");

        my @lines = grep { /user look-up .* answered $status/ } split /\n/,
            $nginx->error_log;

        is(scalar @lines, 1, "look-up $status: the log has one line");
        like($lines[0], qr/\[$level\]/, "look-up $status: of level $level");
    }

    like($nginx->error_log, qr/answered 413, the credential is too long/,
        'the log says that the credential is too long');
}

# Frappe says when to come back

for my $status (503, 429) {
    my $backend = looked_up([ $status, '{}', 'Retry-After', 3 ],
        [ 200, $alice ]);
    my $nginx   = start_nginx(backend => $backend->port,
        http => 'mcp_sse_auth_wait 300s;');

    is(open_stream($nginx)->status, 200,
        "look-up $status with Retry-After: the GET is served afterwards");

    my @lookups = lookups($backend);

    is(scalar @lookups, 2,
        "look-up $status with Retry-After: Frappe is asked once more");
    cmp_ok($lookups[1]{time} - $lookups[0]{time}, '>=', 2.9,
        "look-up $status with Retry-After: not before that time");
    is(scalar(failures($nginx)), 1,
        "look-up $status with Retry-After: the log has one line");
}

{
    my $backend = looked_up([ 503, '{}', 'Retry-After', 400 ],
        [ 429, '{}', 'Retry-After', 401 ]);
    my $nginx   = start_http(backend => $backend->port,
        http => 'mcp_sse_auth_wait 300s;');
    my $id      = 'A' x 50;
    my $want    = 400;

    for my $case (
        [ 'the GET of a stream', sub { open_stream($nginx) } ],
        [ 'a GET of Streamable HTTP',
            sub { http_get($nginx, session => $id) } ],
        [ 'a POST of Streamable HTTP', sub { http_post($nginx, $list) } ],
        [ 'a legacy POST', sub { post($nginx, $id, $list) } ],
    ) {
        my ($name, $send) = @$case;
        my $answer = $send->();

        is_rejected($answer, 503, -32003, 'Backend unavailable',
            "Frappe is away for $want s: $name is 503 at once");
        is($answer->header('Retry-After'), $want,
            "$name is told Frappe's own Retry-After");
        $want = 401;
    }

    is(scalar(failures($nginx)), 2,
        'a status has one line for all these requests');
}

# the same as a date, and values that say nothing

{
    my @t    = gmtime(time + 400);
    my $date = sprintf '%s, %02d %s %d %02d:%02d:%02d GMT',
        (qw(Sun Mon Tue Wed Thu Fri Sat))[$t[6]], $t[3],
        (qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec))[$t[4]],
        $t[5] + 1900, @t[2, 1, 0];

    my @values  = ($date, 'Sun, 06 Nov 1994 08:49:37 GMT', 'soon', '-5', '0');
    my $backend = looked_up(map { [ 503, '{}', 'Retry-After', $_ ] } @values);
    my $nginx   = start_http(backend => $backend->port);

    for my $value (@values) {
        like(http_post($nginx, $list)->header('Retry-After'),
            $value eq $date ? qr/\A(?:[23][0-9][0-9]|400)\z/ : qr/\A1\z/,
            "Retry-After \"$value\": the value for the client");
    }
}

# a failure that lasts has one line, and another one when it comes again

{
    my @down    = ([ 503, '{}' ]) x 3;
    my $backend = looked_up(@down, [ 200, $alice ], @down, [ 200, $alice ]);
    my $nginx   = start_nginx(backend => $backend->port,
        http => 'mcp_sse_auth_wait 300s;');

    is(open_stream($nginx)->status, 200,
        'a GET is served when Frappe is back');
    is(scalar(lookups($backend)), 4, 'Frappe was asked until then');
    is(scalar(failures($nginx)), 1, 'the log has one line, not three');

    is(open_stream($nginx, auth => MCPTest::credential('bob'))->status, 200,
        'the next time, too');
    is(scalar(failures($nginx)), 2, 'the log tells when it comes again');
}

# an answer from a cache is no verdict

{
    my $backend = looked_up([ 200, $alice ]);
    my $nginx   = start_http(backend => $backend->port,
        http => 'mcp_sse_auth_wait 1s; '
            . 'proxy_cache_path cache keys_zone=users:1m;',
        settings => 'mcp_sse_call /_mcp/call; mcp_sse_user /cached; '
            . 'mcp_sse_site erp.example.com;',
        locations => <<'EOT');
        location = /cached {
            internal;
            proxy_pass http://frappe/api/method/frappe.auth.get_logged_user;
            proxy_cache users;
            proxy_cache_key $uri;
            proxy_cache_valid 200 1h;
        }
EOT

    is(http_post($nginx, $list)->status, 200,
        'proxy_cache in the location of the look-up: Frappe has answered');
    is_rejected(http_post($nginx, $list,
        auth => MCPTest::credential('bob')), 502, -32003,
        'Backend unavailable', 'another user is not taken for the first one');
    is_rejected(open_stream($nginx, auth => MCPTest::credential('admin')),
        502, -32003, 'Backend unavailable', 'nor is one who opens a stream');
    is(scalar(lookups($backend)), 1, 'the cache has answered');
    ok($nginx->wait_log(qr/\[error\].*answered from a cache.*remove "proxy/), 'the log says what to remove');
}

{
    my $backend = looked_up([ 200, $alice, 'Age', 7 ],
        [ 200, $alice, 'Age', 0 ]);
    my $nginx   = start_http(backend => $backend->port);

    is(http_post($nginx, $list)->status, 502,
        'an answer of a cache between nginx and Frappe is no verdict');

    is(http_post($nginx, $list)->status, 200,
        'an answer that such a cache has just fetched is one');
}

finish();
