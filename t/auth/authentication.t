# Whose request it is: forms of credentials, the look-up and its cache, what
# happens while Frappe cannot be asked.  docs/PROTOCOL.md 2.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();


# Waits until so many look-ups more could not be made.

sub wait_failed {
    my ($nginx, $n) = @_;

    my $failed = sub { metrics($nginx)
        ->{'nginx_mcp_sse_auth_lookups_total{result="failed"}'} || 0 };
    my $before = $failed->();

    return run_until(sub { $failed->() >= $before + $n });
}


# all forms open streams, and Frappe gets the one form every Frappe takes

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
        [ MCPTest::credential('alice', 'basic'), 'alice',
            'token alice-key:alice-secret' ],
        [ 'basic ' . (split / /, MCPTest::credential('alice', 'basic'))[1],
            'alice', 'token alice-key:alice-secret' ],
    ) {
        my ($auth, $user, $sent) = @$case;

        my $stream = open_stream($nginx, auth => $auth);

        is($stream->status, 200, "$auth: a stream");
        like(call($nginx, $stream, tool(1, 'echo', {})) || '',
            qr/$user\@example\.com/, "$auth: calls are $user\'s");
        is($frappe->last_headers->{authorization}, $sent,
            "$auth: as sent to Frappe");
        $stream->close;
    }

    my $stream = open_stream($nginx, auth => MCPTest::credential('admin'));

    is($stream->status, 200, 'Administrator, who is no e-mail address');
    $stream->close;
}

# what is refused, with and without a look-up

{
    my $nginx = start_nginx();

    $frappe->reset;

    for my $auth (undef, '', 'token', 'Bearer', 'alice-key:alice-secret',
        'token alice-key:alice-secret extra', 'Bearer a b c',
        'token  alice-key:alice-secret', 'Bearer  alice-token',
        'Digest alice-key:alice-secret', 'token alice-key', 'Negotiate abc',
        "token\talice-key:alice-secret")
    {
        my $stream = open_stream($nginx, auth => $auth);
        my $name   = defined $auth ? "\"$auth\"" : 'nothing';

        is_rejected($stream, 401, -32001, 'Invalid authorization', $name);
        ok($stream->header('WWW-Authenticate'), "$name: a challenge");
    }

    is($frappe->lookups, 0, 'none of them reached Frappe');

    is(open_stream($nginx, auth => undef)->header('WWW-Authenticate'),
        'Bearer realm="erp.example.com"', 'the challenge without a look-up');

    for my $auth ('token alice-key:wrong-secret', 'token nobody-key:x',
        'token alice-key:', 'token :alice-secret', 'token a:b:c',
        'Basic !!!!', 'Basic YWxpY2U=',
        'Bearer wrong-token', 'Bearer expired-token', 'Bearer revoked-token',
        'Basic YWxpY2Uta2V5Ondyb25nLXNlY3JldA==')
    {
        my $stream = open_stream($nginx, auth => $auth);

        is_rejected($stream, 401, -32001, 'Invalid authorization',
            "refused by Frappe: $auth");
        ok($stream->header('WWW-Authenticate'), "$auth: a challenge");
    }

    is(health($nginx)->{active_connections}, 0, 'no streams');

    my $stream = open_stream($nginx);

    is_rejected(post($nginx, $stream, request(1, 'ping'), auth => undef),
        401, -32001, 'Invalid authorization', 'POST without a credential');
    is_rejected(post($nginx, $stream, request(1, 'ping'),
        auth => 'token alice-key:wrong-secret'), 401, -32001,
        'Invalid authorization', 'POST with a bad one');
    ok(!$stream->ended, 'the stream stays');
    $stream->close;
}

# a challenge of Frappe's own is passed on

{
    my $backend = start_backend(sub {
        return MCPTest::Backend::http(401, '{}', 'WWW-Authenticate',
            'Bearer realm="F", resource_metadata="https://x/y"');
    });

    my $nginx  = start_nginx(backend => $backend->port);
    my $stream = open_stream($nginx);

    is_rejected($stream, 401, -32001, 'Invalid authorization', 'refused');
    is($stream->header('WWW-Authenticate'),
        'Bearer realm="F", resource_metadata="https://x/y"',
        "Frappe's own challenge");
}

# Guest is nobody, and nonsense is no user

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
        is($stream->status, $status, "$name is nobody");

    } else {
        ok(($stream->status || 0) =~ /\A(?:401|502)\z/,
            "$name is nobody: " . ($stream->status || 'nothing'));
    }
}

# the site of an internal location that does not exist

{
    my $nginx = start_nginx(settings => 'mcp_sse_call /_mcp/call; '
        . 'mcp_sse_user /_mcp/missing; mcp_sse_site erp.example.com; '
        . 'mcp_sse_auth_wait 1s;');
    my $stream = open_stream($nginx);

    ok(($stream->status || 0) =~ /\A50[234]\z/,
        'a missing look-up location is not 401');
    ok($nginx->wait_log(qr{\[error\].*/_mcp/missing}),
        'an error names it');
}

# the cache

{
    my $nginx  = start_nginx();
    my $stream = open_stream($nginx);

    $frappe->reset;

    for (1 .. 20) {
        post($nginx, $stream, request($_, 'ping'));
    }

    is($frappe->lookups, 0, '20 POSTs, no look-up');

    my @more = open_streams($nginx, 10);

    is($frappe->lookups, 0, '10 more streams, no look-up');
    is(open_stream($nginx, auth => MCPTest::credential('bob'))->status, 200,
        'another user');
    is($frappe->lookups, 1, 'is looked up');

    open_stream($nginx, auth => MCPTest::credential('alice', 'bearer'));
    is($frappe->lookups, 2, 'another credential too');

    $frappe->reset;
    open_stream($nginx, auth => 'token x-key:wrong') for 1 .. 5;
    is($frappe->lookups, 1, 'refusals are cached');
    sleep_for(6);
    open_stream($nginx, auth => 'token x-key:wrong');
    is($frappe->lookups, 2, 'for 5 seconds');
}

{
    my $nginx = start_nginx(workers => 4);

    $frappe->reset;
    open_stream($nginx) for 1 .. 8;

    my $n = $frappe->lookups;

    cmp_ok($n, '>=', 1, 'workers ask');
    cmp_ok($n, '<=', 4, 'and share what they know');
}

{
    my $nginx = start_nginx(http => 'mcp_sse_auth_cache 1s;');

    $frappe->reset;
    open_stream($nginx);
    is($frappe->lookups, 1, 'a look-up');
    sleep_for(2);
    open_stream($nginx);
    is($frappe->lookups, 2, 'mcp_sse_auth_cache: asked again');
}

# one look-up for many that come together

{
    my $nginx = start_nginx();

    $frappe->reset;
    $frappe->set(logged_user_hold => 'many');

    my @streams = map { open_stream($nginx, wait => 0) } 1 .. 30;

    # the one worker has read them when it answers what came later

    run_until(sub { $frappe->lookups });
    get($nginx, '/health');
    $frappe->open_gate('many');
    run_until(sub { !grep { !$_->session && !$_->ended } @streams });
    is(scalar(grep { ($_->status || 0) == 200 } @streams), 30,
        '30 streams during a slow look-up');
    is($frappe->lookups, 1, 'one look-up');
    $frappe->reset;
    $_->close for @streams;

    # one of them leaves meanwhile

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
        'one of two leaves: the other is served');
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
        ->status, 200, 'the only one leaves: the look-up runs on');
    is($frappe->lookups, $n, 'and fills the cache');
    $frappe->reset;
}

# a site of its own

{
    my $nginx = start_nginx(locations => <<'EOT');
        location = /other/sse {
            mcp_sse_site other.example.com;
            mcp_sse_stream;
        }
EOT

    is(open_stream($nginx)->status, 200, 'good here');
    is_rejected(open_stream($nginx, path => '/other/sse'), 401, -32001,
        'Invalid authorization', 'the same credential at another site');
    is(open_stream($nginx, path => '/other/sse',
        auth => MCPTest::credential('carol', 'other'))->status, 200,
        'a user of that site');
    is_rejected(open_stream($nginx,
        auth => MCPTest::credential('carol', 'other')), 401, -32001,
        'Invalid authorization', 'who is nobody here');
}

# disabled: Frappe's look-up does not say so, its endpoint does

{
    my $nginx  = start_nginx();
    my $stream = open_stream($nginx, auth => MCPTest::credential('disabled'));

    is($stream->status, 200, 'a disabled user gets a stream');
    is_error(call($nginx, $stream, request(1, 'tools/list', {})), -32001,
        'Not permitted', 'but no answer');
    $stream->close;

    $stream = open_stream($nginx, auth => MCPTest::credential('noaccess'));
    is_error(call($nginx, $stream, request(1, 'tools/list', {})), -32001,
        'Not permitted', 'nor does one without access');
    $stream->close;

    my $old = start_nginx(dialect => 'old');

    $stream = open_stream($old, auth => MCPTest::credential('noaccess'));

    my $raw = call($old, $stream, request(7, 'tools/list', {}));

    is((error_of($raw) || {})->{code}, -32000,
        'old dialect: the error without id');
    is(raw_id($raw || '{}'), 7, 'gets the id of the request');
    $stream->close;
}

# Frappe cannot be asked

for my $case ([ 503, 503 ], [ 502, 502 ], [ 504, 504 ], [ 500, 502 ],
    [ 'refuse', 502 ], [ 429, 503 ])
{
    my ($down, $status) = @$case;

    my $nginx = start_nginx(http => 'mcp_sse_auth_wait 1500ms;');
    my $from  = now();

    $frappe->reset;
    $frappe->set(down => "$down");

    my $stream = open_stream($nginx);

    if ($down eq '429' || $down eq '500') {
        like($stream->status || 0, qr/\A50[234]\z/,
            "look-up $down: held, then 50x");

    } else {
        is_rejected($stream, $status, -32003, 'Backend unavailable',
            "look-up $down: held, then $status");
    }

    cmp_ok(now() - $from, '>', 1, "look-up $down: not at once");
    $frappe->reset;
}

{
    my $nginx = start_nginx(http => 'mcp_sse_auth_wait 300s;');

    $frappe->set(down => '503');

    my $stream = open_stream($nginx, wait => 0);

    ok(wait_failed($nginx, 2), 'Frappe is asked again and again');
    ok(!defined $stream->status, 'a GET is held while Frappe is down');
    $frappe->reset;
    ok(run_until(sub { $stream->session }),
        'and served when it is back');
    $stream->close;
}

# a stale good entry is used meanwhile

{
    my $nginx  = start_nginx(http =>
        'mcp_sse_auth_cache 1s; mcp_sse_auth_wait 1s;');
    my $stream = open_stream($nginx);

    sleep_for(2);
    $frappe->set(down => '503');

    my $again = open_stream($nginx);

    is($again->status, 200, 'a stale good entry opens streams');
    accepted(post($nginx, $stream, request(1, 'ping')),
        'and lets messages in');
    ok($stream->wait_answer(1), 'which are answered');
    $frappe->reset;
    $_->close for $stream, $again;
}

# a POST while Frappe cannot be asked and nothing is stale

{
    my $nginx  = start_nginx(http => 'mcp_sse_auth_cache 1s; '
        . 'mcp_sse_auth_wait 1s; mcp_sse_auth_stale 1s;');
    my $stream = open_stream($nginx);

    sleep_for(3);
    $frappe->set(down => '503');

    accepted(post($nginx, $stream, request(1, 'tools/list', {})),
        "POST with the stream's own credential: accepted");
    is_error($stream->wait_answer(1), -32003, 'Backend unavailable',
        'and answered by the call');

    my $other = post($nginx, $stream->session, request(2, 'ping'),
        auth => MCPTest::credential('alice', 'bearer'));

    is_rejected($other, 503, -32003, 'Backend unavailable',
        'POST with another one: 503');
    ok($other->header('Retry-After'), 'with Retry-After');
    $frappe->reset;
    $stream->close;
}

# the credential of an open stream is looked up again

{
    my $nginx  = start_nginx(http =>
        'mcp_sse_auth_cache 1s; mcp_sse_auth_recheck 2s;');
    my $stream = open_stream($nginx);
    my $bob    = open_stream($nginx, auth => MCPTest::credential('bob'));
    my $before = $frappe->tool_count('hang');

    accepted(post($nginx, $stream, tool(1, 'hang', {})), 'a long call');
    ok(run_until(sub { $frappe->tool_count('hang') > $before }),
        'which runs');
    $frappe->set(revoke => 'alice-key');

    is($stream->wait_ended || 'open', 'clean',
        'revoked: the stream is ended');
    is_error(($stream->answers(1))[0], -32010,
        'Stream closed before the answer', 'its call is answered first');

    my ($last) = reverse $stream->events;

    ok(defined $stream->retry, 'with retry:');

    my ($error) = $stream->of_type('error');

    ok($error, 'the client is told why');
    is(ref((decode(($error || {})->{data} || '{}') || {})->{error}), 'HASH',
        'in JSON-RPC');
    ok(!$bob->ended, "another's stream stays");

    $frappe->set(down => '503');
    ok(wait_failed($nginx, 2), 'Frappe cannot be asked');
    ok(!$bob->ended, 'a stream stays meanwhile');
    $frappe->reset;
    accepted(post($nginx, $bob, request(1, 'ping')), 'and works');
    $bob->close;
}

# FRAPPE_API_SECRET

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

        is($stream->status, 200, "with mcp_sse_api_secret: $auth");
        $stream->close if $stream->session;
    }

    is(open_stream($nginx, auth => 'bob-key')->status, 401,
        'a key whose secret it is not');
    is(open_stream($nginx, auth => 'token a b')->status, 401, 'three words');
}

# nginx has authenticated already

{
    my $nginx = start_nginx(settings => <<'EOT');
        mcp_sse_call      /_mcp/call;
        mcp_sse_principal $http_x_user;
        mcp_sse_site      erp.example.com;
EOT

    $frappe->reset;

    my $stream = open_stream($nginx, auth => undef,
        headers => [ 'X-User', 'zoe' ]);

    is($stream->status, 200, 'mcp_sse_principal: no Authorization needed');
    is(open_stream($nginx, auth => undef)->status, 401,
        'an empty principal is 401');
    accepted(post($nginx, $stream, request(1, 'ping'),
        headers => [ 'X-User', 'zoe' ]), 'the same principal');
    is_rejected(post($nginx, $stream, request(2, 'ping'),
        headers => [ 'X-User', 'yan' ]), 400, -32001, 'Invalid session ID',
        'another principal');
    is($frappe->lookups, 0, 'no look-up');
    ok($nginx->wait_log(qr/for user: zoe/), 'the principal is logged');
    $stream->close;

    # one that could write lines of its own into the log is nobody

    my $basic = start_nginx(settings => <<'EOT');
        mcp_sse_call      /_mcp/call;
        mcp_sse_principal $remote_user;
        mcp_sse_site      erp.example.com;
EOT

    is(open_stream($basic, auth => 'Basic emVkOng=')->status, 200,
        'a name of Basic');
    is(open_stream($basic, auth => 'Basic emVkCmV2aWw6eA==')->status, 401,
        'a line break in it');
}

# cookies only where they are wanted

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
        'a cookie is nothing without mcp_sse_cookie');
    is(open_stream($nginx, auth => undef, path => '/c/sse',
        headers => [@cookie, 'Sec-Fetch-Site', 'cross-site'])->status =~
        /\A40[13]\z/ ? 1 : 0, 1, 'Sec-Fetch-Site: cross-site is refused');
    is(open_stream($nginx, auth => undef, path => '/c/sse', headers =>
        [@cookie, Origin => 'https://evil.example.com'])->status, 403,
        'a foreign Origin is refused');

    my $stream = open_stream($nginx, auth => undef, path => '/c/sse',
        headers => [@cookie, @own, 'Sec-Fetch-Site', 'same-origin']);

    is($stream->status, 200, "Frappe's session opens a stream");
    is(open_stream($nginx, auth => undef, path => '/c/sse',
        headers => [ Cookie => 'sid=nobody' ])->status, 401, 'a bad one not');

    my $message = tool(1, 'echo', {});
    my @csrf    = ('X-Frappe-CSRF-Token', 'alice-csrf');

    ok(post($nginx, $stream, $message, headers => [@cookie, @csrf])->status
        =~ /\A40[013]\z/, 'a POST needs an Origin');
    ok(post($nginx, $stream, $message, headers => [@cookie, @own])->status
        =~ /\A40[013]\z/, 'and a CSRF token');
    accepted(post($nginx, $stream, $message,
        headers => [@cookie, @own, @csrf]), 'with both it is accepted');
    like($stream->wait_answer(1) || '', qr/alice\@example\.com/,
        'and runs as the user of the session');
    is($frappe->last_headers->{cookie}, 'sid=alice-sid',
        'of the cookies only sid goes along');
    $stream->close;
}

finish();
