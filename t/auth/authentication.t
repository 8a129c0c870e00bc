# Authentication: the forms of credentials, the look-up at Frappe and its
# cache, what happens while Frappe is unreachable, rechecks of open streams,
# mcp_sse_api_secret, mcp_sse_principal and cookies.  docs/PROTOCOL.md 2.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();


# Waits until n more look-ups have failed.

sub wait_failed {
    my ($nginx, $n) = @_;

    my $failed = sub { metrics($nginx)
        ->{'nginx_mcp_sse_auth_lookups_total{result="failed"}'} || 0 };
    my $before = $failed->();

    return run_until(sub { $failed->() >= $before + $n });
}


# every accepted form opens a stream; Frappe gets a form that each of its
# versions accepts

{
    my $nginx = start_nginx();

    for my $case (
        [ 'token alice-key:alice-secret', 'alice',
            'token alice-key:alice-secret' ],
        [ 'TOKEN alice-key:alice-secret', 'alice',
            'token alice-key:alice-secret' ],
        [ 'Token bob-key:bob-secret', 'bob', 'token bob-key:bob-secret' ],
        [ 'Bearer alice-token', 'alice', 'Bearer alice-token' ],
        [ 'bEARER bob-token', 'bob', 'Bearer bob-token' ],
        [ 'token  alice-key:alice-secret', 'alice',
            'token alice-key:alice-secret' ],
        [ 'Bearer   bob-token', 'bob', 'Bearer bob-token' ],
        [ MCPTest::credential('alice', 'basic'), 'alice',
            'token alice-key:alice-secret' ],
        [ 'basic ' . (split / /, MCPTest::credential('alice', 'basic'))[1],
            'alice', 'token alice-key:alice-secret' ],
    ) {
        my ($auth, $user, $sent) = @$case;

        my $stream = open_stream($nginx, auth => $auth);

        is($stream->status, 200, "$auth: a stream opens");
        like(call($nginx, $stream, tool(1, 'echo', {})) || '',
            qr/$user\@example\.com/, "$auth: calls run as $user");
        is($frappe->last_headers->{authorization}, $sent,
            "$auth: Frappe gets \"$sent\"");
        $stream->close;
    }

    my $stream = open_stream($nginx, auth => MCPTest::credential('admin'));

    is($stream->status, 200,
        'Administrator, a name that is no e-mail address, gets a stream');
    $stream->close;
}

# refused credentials, with and without a look-up

{
    my $nginx = start_nginx();

    $frappe->reset;

    for my $auth (undef, '', 'token', 'Bearer', 'alice-key:alice-secret',
        'token alice-key:alice-secret extra', 'Bearer a b c',
        'Digest alice-key:alice-secret', 'token alice-key', 'Negotiate abc',
        "token\talice-key:alice-secret")
    {
        my $stream = open_stream($nginx, auth => $auth);
        my $name   = defined $auth ? "\"$auth\"" : 'no Authorization';

        is_rejected($stream, 401, -32001, 'Invalid authorization',
            "$name: 401");
        ok($stream->header('WWW-Authenticate'), "$name: 401 has a challenge");
    }

    is($frappe->lookups, 0, 'a credential of another form is not looked up');

    is(open_stream($nginx, auth => undef)->header('WWW-Authenticate'),
        'Bearer realm="erp.example.com", resource_metadata='
        . '"http://erp.example.com/.well-known/oauth-protected-resource'
        . '/mcp/sse"',
        'the challenge without a look-up has the host and the metadata');

    for my $auth ('token alice-key:wrong-secret', 'token nobody-key:x',
        'token alice-key:', 'token :alice-secret', 'token a:b:c',
        'Basic !!!!', 'Basic YWxpY2U=',
        'Bearer wrong-token', 'Bearer expired-token', 'Bearer revoked-token',
        'Basic YWxpY2Uta2V5Ondyb25nLXNlY3JldA==')
    {
        my $stream = open_stream($nginx, auth => $auth);

        is_rejected($stream, 401, -32001, 'Invalid authorization',
            "$auth: 401 after a look-up");
        ok($stream->header('WWW-Authenticate'),
            "$auth: 401 after a look-up has a challenge");
    }

    is(health($nginx)->{active_connections}, 0,
        'no refused credential opens a stream');

    my $stream = open_stream($nginx);

    is_rejected(post($nginx, $stream, request(1, 'ping'), auth => undef),
        401, -32001, 'Invalid authorization',
        'a POST without a credential is 401');
    is_rejected(post($nginx, $stream, request(1, 'ping'),
        auth => 'token alice-key:wrong-secret'), 401, -32001,
        'Invalid authorization', 'a POST with a wrong credential is 401');
    ok(!$stream->ended, 'a POST that is 401 does not end the stream');
    $stream->close;
}

# Frappe's own challenge is passed on

{
    my $backend = start_backend(sub {
        return MCPTest::Backend::http(401, '{}', 'WWW-Authenticate',
            'Bearer realm="F", scope="all"');
    });

    my $nginx  = start_nginx(backend => $backend->port);
    my $stream = open_stream($nginx);

    is_rejected($stream, 401, -32001, 'Invalid authorization',
        'a credential that Frappe refuses is 401');
    is($stream->header('WWW-Authenticate'),
        'Bearer realm="F", scope="all", error="invalid_token", '
        . 'resource_metadata="http://erp.example.com/.well-known/'
        . 'oauth-protected-resource/mcp/sse"',
        "the 401 has Frappe's own challenge");
}

# Guest and malformed answers are not accepted as a user

for my $case (
    [ 'Guest', '{"message":"Guest"}', 401 ],
    [ 'no message', '{}', undef ],
    [ 'an empty name', '{"message":""}', undef ],
    [ 'a number', '{"message":1}', undef ],
    [ 'an object', '{"message":{"user":"alice@example.com"}}', undef ],
    [ 'HTML', '<html>', undef ],
    [ 'an array', '["alice@example.com"]', undef ],
) {
    my ($name, $body, $status) = @$case;

    my $backend = start_backend(sub {
        return MCPTest::Backend::http(200, $body);
    });

    my $nginx  = start_nginx(backend => $backend->port,
        http => 'mcp_sse_auth_wait 1s;');
    my $stream = open_stream($nginx);

    if ($status) {
        is($stream->status, $status,
            "the answer of a look-up is no user: $name");

    } else {
        ok(($stream->status || 0) =~ /\A(?:401|502)\z/,
            "the answer of a look-up is no user: $name: "
            . ($stream->status || 'nothing'));
    }
}

# the location of mcp_sse_user does not exist

{
    my $nginx = start_nginx(settings => 'mcp_sse_call /_mcp/call; '
        . 'mcp_sse_user /_mcp/missing; mcp_sse_site erp.example.com; '
        . 'mcp_sse_auth_wait 1s;');
    my $stream = open_stream($nginx);

    ok(($stream->status || 0) =~ /\A50[234]\z/,
        'a missing location of mcp_sse_user is 502, 503 or 504');
    ok($nginx->wait_log(qr{\[error\].*/_mcp/missing}),
        'the log names the missing location');
}

# the cache

{
    my $nginx  = start_nginx();
    my $stream = open_stream($nginx);

    $frappe->reset;

    for (1 .. 20) {
        post($nginx, $stream, request($_, 'ping'));
    }

    is($frappe->lookups, 0,
        "20 POSTs with the stream's credential need no look-up");

    my @more = open_streams($nginx, 10);

    is($frappe->lookups, 0,
        '10 more streams with the credential need no look-up');
    is(open_stream($nginx, auth => MCPTest::credential('bob'))->status, 200,
        'a stream of another user opens');
    is($frappe->lookups, 1, 'another user is looked up');

    open_stream($nginx, auth => MCPTest::credential('alice', 'bearer'));
    is($frappe->lookups, 2, 'another credential of the same user is looked up');

    $frappe->reset;
    open_stream($nginx, auth => 'token x-key:wrong') for 1 .. 5;
    is($frappe->lookups, 1,
        'a refused credential is looked up once for 5 requests');
    sleep_for(6);
    open_stream($nginx, auth => 'token x-key:wrong');
    is($frappe->lookups, 2,
        'a refused credential is looked up again after 5 seconds');
}

{
    my $nginx = start_nginx(workers => 4);

    $frappe->reset;
    open_stream($nginx) for 1 .. 8;

    my $n = $frappe->lookups;

    cmp_ok($n, '>=', 1, 'workers look up a credential');
    cmp_ok($n, '<=', 4, 'each of 4 workers looks up a credential at most once');
}

{
    my $nginx = start_nginx(http => 'mcp_sse_auth_cache 1s;');

    $frappe->reset;
    open_stream($nginx);
    is($frappe->lookups, 1, 'a stream needs a look-up');
    sleep_for(2);
    open_stream($nginx);
    is($frappe->lookups, 2,
        'a credential is looked up again after mcp_sse_auth_cache');
}

# one look-up serves many requests that come together

{
    my $nginx = start_nginx();

    $frappe->reset;
    $frappe->set(logged_user_hold => 'many');

    my @streams = map { open_stream($nginx, wait => 0) } 1 .. 30;

    # the only worker has read them when it answers a later request

    run_until(sub { $frappe->lookups });
    get($nginx, '/health');
    $frappe->open_gate('many');
    run_until(sub { !grep { !$_->session && !$_->ended } @streams });
    is(scalar(grep { ($_->status || 0) == 200 } @streams), 30,
        '30 streams that come during a slow look-up open');
    is($frappe->lookups, 1, '30 streams with one credential need one look-up');
    $frappe->reset;
    $_->close for @streams;

    # a client leaves during the look-up

    $frappe->set(logged_user_hold => 'bob');

    my $bob   = MCPTest::credential('bob');
    my $early = open_stream($nginx, auth => $bob, wait => 0);
    my $late  = open_stream($nginx, auth => $bob, wait => 0);

    run_until(sub { $frappe->lookups });
    get($nginx, '/health');
    $early->abort;
    get($nginx, '/health');
    $frappe->open_gate('bob');
    ok(run_until(sub { $late->session }),
        'a stream opens though another client left during the look-up');
    $late->close;

    $frappe->set(logged_user_hold => 'only');

    my $before = $frappe->lookups;
    my $only   = open_stream($nginx, wait => 0,
        auth => MCPTest::credential('bob', 'bearer'));

    run_until(sub { $frappe->lookups > $before });
    $only->abort;
    get($nginx, '/health');
    $frappe->open_gate('only');

    my $n = $frappe->lookups;

    is(open_stream($nginx, auth => MCPTest::credential('bob', 'bearer'))
        ->status, 200,
        'a stream opens after the only client of a look-up has left');
    is($frappe->lookups, $n,
        'the look-up of a client that left fills the cache');
    $frappe->reset;
}

# a location with another site

{
    my $nginx = start_nginx(locations => <<'EOT');
        location = /other/sse {
            mcp_sse_site other.example.com;
            mcp_sse_stream;
        }
EOT

    is(open_stream($nginx)->status, 200,
        'a credential of the site opens a stream');
    is_rejected(open_stream($nginx, path => '/other/sse'), 401, -32001,
        'Invalid authorization', 'the same credential is 401 at another site');
    is(open_stream($nginx, path => '/other/sse',
        auth => MCPTest::credential('carol', 'other'))->status, 200,
        'a user of the other site gets a stream there');
    is_rejected(open_stream($nginx,
        auth => MCPTest::credential('carol', 'other')), 401, -32001,
        'Invalid authorization',
        'the user of the other site is 401 at this one');
}

# a disabled user: Frappe's look-up accepts the credential, its endpoint does
# not

{
    my $nginx  = start_nginx();
    my $stream = open_stream($nginx, auth => MCPTest::credential('disabled'));

    is($stream->status, 200, 'a disabled user gets a stream');
    is_error(call($nginx, $stream, request(1, 'tools/list', {})), -32001,
        'Not permitted',
        'a call of a disabled user has the error "Not permitted"');
    $stream->close;

    $stream = open_stream($nginx, auth => MCPTest::credential('noaccess'));
    is_error(call($nginx, $stream, request(1, 'tools/list', {})), -32001,
        'Not permitted',
        'a call of a user without access has the error "Not permitted"');
    $stream->close;

    my $old = start_nginx(dialect => 'old');

    $stream = open_stream($old, auth => MCPTest::credential('noaccess'));

    my $raw = call($old, $stream, request(7, 'tools/list', {}));

    is((error_of($raw) || {})->{code}, -32000,
        "old dialect: the client gets Frappe's error without id");
    is(raw_id($raw || '{}'), 7,
        'old dialect: the error has the id of the request');
    $stream->close;
}

# Frappe is unreachable

for my $case ([ 503, 503 ], [ 502, 502 ], [ 504, 504 ], [ 500, 502 ],
    [ 'refuse', 502 ])
{
    my ($down, $status) = @$case;

    my $nginx = start_nginx(http => 'mcp_sse_auth_wait 1500ms;');
    my $from  = now();

    $frappe->reset;
    $frappe->set(down => "$down");

    my $stream = open_stream($nginx);

    if ($down eq '500') {
        like($stream->status || 0, qr/\A50[234]\z/,
            "look-up $down: the GET is 502, 503 or 504");

    } else {
        is_rejected($stream, $status, -32003, 'Backend unavailable',
            "look-up $down: the GET is $status");
    }

    cmp_ok(now() - $from, '>', 1, "look-up $down: the GET waits before that");
    $frappe->reset;
}

{
    my $nginx = start_nginx(http => 'mcp_sse_auth_wait 300s;');

    $frappe->set(down => '503');

    my $stream = open_stream($nginx, wait => 0);

    ok(wait_failed($nginx, 2), 'the look-up is repeated while Frappe is down');
    ok(!defined $stream->status, 'a GET waits while Frappe is down');
    $frappe->reset;
    ok(run_until(sub { $stream->session }),
        'the GET that waits is served when Frappe is back');
    $stream->close;
}

# a cached answer is used while Frappe is down

{
    my $nginx  = start_nginx(http =>
        'mcp_sse_auth_cache 1s; mcp_sse_auth_wait 1s;');
    my $stream = open_stream($nginx);

    sleep_for(2);
    $frappe->set(down => '503');

    my $again = open_stream($nginx);

    is($again->status, 200,
        'a cached answer opens streams while Frappe is down');
    accepted(post($nginx, $stream, request(1, 'ping')),
        'a cached answer lets a POST pass while Frappe is down');
    ok($stream->wait_answer(1), 'the request of that POST is answered');
    $frappe->reset;
    $_->close for $stream, $again;
}

# a POST while Frappe is down and no cached answer is left

{
    my $nginx  = start_nginx(http => 'mcp_sse_auth_cache 1s; '
        . 'mcp_sse_auth_wait 1s; mcp_sse_auth_stale 1s;');
    my $stream = open_stream($nginx);

    sleep_for(3);
    $frappe->set(down => '503');

    accepted(post($nginx, $stream, request(1, 'tools/list', {})),
        "a POST with the stream's credential is accepted");
    is_error($stream->wait_answer(1), -32003, 'Backend unavailable',
        'the call of that POST is "Backend unavailable"');

    my $other = post($nginx, $stream->session, request(2, 'ping'),
        auth => MCPTest::credential('alice', 'bearer'));

    is_rejected($other, 503, -32003, 'Backend unavailable',
        'a POST with another credential is 503');
    ok($other->header('Retry-After'), 'the 503 has Retry-After');
    $frappe->reset;
    $stream->close;
}

# mcp_sse_auth_recheck

{
    my $nginx  = start_nginx(http =>
        'mcp_sse_auth_cache 1s; mcp_sse_auth_recheck 2s;');
    my $stream = open_stream($nginx);
    my $bob    = open_stream($nginx, auth => MCPTest::credential('bob'));
    my $before = $frappe->tool_count('hang');

    accepted(post($nginx, $stream, tool(1, 'hang', {})),
        'a call is accepted before its credential is revoked');
    ok(run_until(sub { $frappe->tool_count('hang') > $before }),
        'the call runs');
    $frappe->set(revoke => 'alice-key');

    is($stream->wait_ended || 'open', 'clean',
        'the stream ends when its credential is revoked');
    is_error(($stream->answers(1))[0], -32010,
        'Stream closed before the answer',
        'the open call is answered before the stream ends');

    my ($last) = reverse $stream->events;

    ok(defined $stream->retry, 'the stream ends with retry:');

    my ($error) = $stream->of_type('error');

    ok($error, 'the stream ends with event: error');
    is(ref((decode(($error || {})->{data} || '{}') || {})->{error}), 'HASH',
        'event: error has a JSON-RPC error');
    ok(!$bob->ended, 'the stream of another user stays');

    $frappe->set(down => '503');
    ok(wait_failed($nginx, 2),
        'the look-ups of open streams fail while Frappe is down');
    ok(!$bob->ended, 'a stream stays while Frappe is down');
    $frappe->reset;
    accepted(post($nginx, $bob, request(1, 'ping')),
        'the stream that stayed accepts a message');
    $bob->close;
}

# mcp_sse_api_secret

{
    require File::Temp;

    my $file = File::Temp->new;

    chmod 0600, $file->filename;
    print {$file} "alice-secret\n";
    close $file;
    MCPTest::secret('alice-secret');

    my $nginx = start_nginx(http => 'mcp_sse_api_secret '
        . $file->filename . ';');

    for my $auth ('alice-key', 'token alice-key',
        'token alice-key:alice-secret', 'Bearer alice-token')
    {
        my $stream = open_stream($nginx, auth => $auth);

        is($stream->status, 200,
            "mcp_sse_api_secret: a stream opens for $auth");
        $stream->close if $stream->session;
    }

    is(open_stream($nginx, auth => 'bob-key')->status, 401,
        'mcp_sse_api_secret: a key with another secret is 401');
    is(open_stream($nginx, auth => 'token a b')->status, 401,
        'mcp_sse_api_secret: a credential of three words is 401');
}

# nginx has authenticated the user

{
    my $nginx = start_nginx(settings => <<'EOT');
        mcp_sse_call      /_mcp/call;
        mcp_sse_principal $http_x_user;
        mcp_sse_site      erp.example.com;
EOT

    $frappe->reset;

    my $stream = open_stream($nginx, auth => undef,
        headers => [ 'X-User', 'zoe' ]);

    is($stream->status, 200,
        'mcp_sse_principal: a stream opens without Authorization');
    is(open_stream($nginx, auth => undef)->status, 401,
        'mcp_sse_principal: an empty value is 401');
    accepted(post($nginx, $stream, request(1, 'ping'),
        headers => [ 'X-User', 'zoe' ]),
        'mcp_sse_principal: a POST of the same user is accepted');
    is_rejected(post($nginx, $stream, request(2, 'ping'),
        headers => [ 'X-User', 'yan' ]), 400, -32001, 'Invalid session ID',
        'mcp_sse_principal: a POST of another user is refused');
    is($frappe->lookups, 0, 'mcp_sse_principal: nothing is looked up');
    ok($nginx->wait_log(qr/for user: zoe/),
        'mcp_sse_principal: the log names the user');
    $stream->close;

    # a name with a line break could write its own lines into the log

    my $basic = start_nginx(settings => <<'EOT');
        mcp_sse_call      /_mcp/call;
        mcp_sse_principal $remote_user;
        mcp_sse_site      erp.example.com;
EOT

    is(open_stream($basic, auth => 'Basic emVkOng=')->status, 200,
        'mcp_sse_principal: a name of Basic opens a stream');
    is(open_stream($basic, auth => 'Basic emVkCmV2aWw6eA==')->status, 401,
        'mcp_sse_principal: a name with a line break is 401');
}

# mcp_sse_cookie

{
    my $nginx = start_nginx(locations => <<'EOT', dialect => 'old');
        location = /c/sse {
            mcp_sse_cookie on;
            mcp_sse_message_uri /c/messages;
            mcp_sse_stream;
        }

        location = /c/messages { mcp_sse_cookie on; mcp_sse_message; }
EOT

    my @cookie = (Cookie => 'a=b; sid=alice-sid; c=d');
    my @own    = (Origin => 'https://erp.example.com');

    is(open_stream($nginx, auth => undef, headers => [@cookie])->status, 401,
        'a cookie is not accepted without mcp_sse_cookie');
    is(open_stream($nginx, auth => undef, path => '/c/sse',
        headers => [@cookie, 'Sec-Fetch-Site', 'cross-site'])->status =~
        /\A40[13]\z/ ? 1 : 0, 1,
        'a cookie with Sec-Fetch-Site: cross-site is refused');
    is(open_stream($nginx, auth => undef, path => '/c/sse', headers =>
        [@cookie, Origin => 'https://evil.example.com'])->status, 403,
        'a cookie with a foreign Origin is refused');

    my $stream = open_stream($nginx, auth => undef, path => '/c/sse',
        headers => [@cookie, @own, 'Sec-Fetch-Site', 'same-origin']);

    is($stream->status, 200, 'the cookie of a Frappe session opens a stream');

    for my $header ('sid=alice-sid', 'a=b;sid=alice-sid', 'sid=alice-sid; a=b',
        'xsid=nobody; sidx=nobody; a=sid=nobody; sid=alice-sid',
        'a=b, sid=nobody; sid=alice-sid', ';; ; sid=alice-sid;')
    {
        my $other = open_stream($nginx, auth => undef, path => '/c/sse',
            headers => [ Cookie => $header ]);

        is($other->status, 200, "the cookie sid is found in \"$header\"");
        $other->close;
    }

    for my $header ('a=b', 'sid', 'sid=', 'xsid=alice-sid', 'a=sid=alice-sid',
        'a=b, sid=alice-sid')
    {
        is(open_stream($nginx, auth => undef, path => '/c/sse',
            headers => [ Cookie => $header ])->status, 401,
            "there is no cookie sid in \"$header\"");
    }

    is(open_stream($nginx, auth => undef, path => '/c/sse',
        headers => [ Cookie => 'sid=nobody' ])->status, 401,
        'the cookie of an unknown session is 401');

    my $message = tool(1, 'echo', {});
    my @csrf    = ('X-Frappe-CSRF-Token', 'alice-csrf');

    ok(post($nginx, $stream, $message, headers => [@cookie, @csrf])->status
        =~ /\A40[013]\z/, 'a POST with a cookie and no Origin is refused');
    ok(post($nginx, $stream, $message, headers => [@cookie, @own])->status
        =~ /\A40[013]\z/, 'a POST with a cookie and no CSRF token is refused');
    accepted(post($nginx, $stream, $message,
        headers => [@cookie, @own, @csrf]),
        'a POST with cookie, Origin and CSRF token is accepted');
    like($stream->wait_answer(1) || '', qr/alice\@example\.com/,
        'a POST with a cookie runs as the user of the Frappe session');
    is($frappe->last_headers->{cookie}, 'sid=alice-sid',
        'Frappe gets the cookie sid and no other');
    $stream->close;
}

finish();
