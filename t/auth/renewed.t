# A credential that ends while a session is open: a call that Frappe answers
# with 401 ends the cached verdict, and the session goes on with the newest
# credential of its user.  docs/PROTOCOL.md 2.19 to 2.21.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $token  = MCPTest::credential('alice', 'bearer');
my $key    = MCPTest::credential('alice');


# The look-ups that Frappe has had with a credential.

sub looked_up {
    my ($auth) = @_;

    return scalar grep {
        my %headers = map { lc $_->[0] => $_->[1] } @{ $_->{headers} };
        $_->{path} =~ /get_logged_user/
            && ($headers{authorization} || '') eq $auth
    } $frappe->requests;
}


# Waits until a credential was looked up n times more.

sub wait_looked_up {
    my ($auth, $n) = @_;

    my $before = looked_up($auth);

    return run_until(sub { looked_up($auth) >= $before + $n });
}


# a token expires: the client is told by the next POST, not a minute later

{
    my $nginx  = start_http(workers => 2);
    my ($one, $two) = $nginx->wait_workers;
    my $stream = open_stream($nginx, auth => $token, worker => $one);

    ok(call($nginx, $stream, tool(1, 'echo', {})), 'a call is answered');
    $frappe->set(revoke => 'alice-token');

    is_error(call($nginx, $stream, tool(2, 'echo', {}), worker => $two),
        -32001, 'Not permitted',
        'the first call after the token has expired is refused by Frappe');

    my $calls = $frappe->calls;
    my $next  = post($nginx, $stream, tool(3, 'echo', {}), worker => $two);

    is_rejected($next, 401, -32001, 'Invalid authorization',
        'the next POST is 401');
    ok($next->header('WWW-Authenticate'), 'with its challenge');
    is($frappe->calls, $calls, 'and does not run');
    $frappe->set(allow => 'alice-token');
    $stream->close;
}

{
    my $nginx = start_http();
    my $id    = session_id($nginx, auth => $token);

    $frappe->set(revoke => 'alice-token');
    is(http_post($nginx, tool(1, 'echo', {}), session => $id,
        auth => $token)->status, 401,
        'Streamable HTTP: the first call after the end is 401');

    my $calls = $frappe->calls;

    is_rejected(http_post($nginx, tool(2, 'echo', {}), session => $id,
        auth => $token), 401, -32001, 'Invalid authorization',
        'Streamable HTTP: the next POST is 401');
    is($frappe->calls, $calls, 'Streamable HTTP: it does not run');

    # nor is the old verdict used while Frappe is away

    $frappe->set(allow => 'alice-token');
}

{
    my $nginx = start_http();

    is(http_post($nginx, tool(1, 'echo', {}), auth => $token)->status, 200,
        'a call is answered');
    $frappe->set(revoke => 'alice-token');
    is(http_post($nginx, tool(2, 'echo', {}), auth => $token)->status, 401,
        'a call is refused');
    $frappe->set(down => '503');
    is(http_post($nginx, tool(3, 'echo', {}), auth => $token)->status, 503,
        'a verdict that a call has refuted is not used while Frappe is away');
    $frappe->set(down => undef);
    $frappe->set(allow => 'alice-token');
}

# Frappe knows the user, and its MCP endpoint does not

{
    my $asked   = 0;
    my $backend = start_backend(sub {
        my ($request) = @_;

        return MCPTest::Backend::http(401, '{}')
            if $request->{path} !~ /get_logged_user/;

        $asked++;
        return;
    });
    my $nginx  = start_http(backend => $backend->port);
    my $stream = open_stream($nginx);

    for my $n (1 .. 5) {
        is_error(call($nginx, $stream, tool($n, 'echo', {})), -32001,
            'Not permitted', "an endpoint that knows no user: call $n");
        is(http_post($nginx, tool($n, 'echo', {}))->status, 401,
            "and over Streamable HTTP: call $n");
    }

    is($asked, 2, 'the user is looked up twice for ten calls');

    my @lines = grep { /Frappe knows the user "alice\@example.com", but its/ }
        split /\n/, $nginx->error_log;

    is(scalar @lines, 1, 'the log has one line');
    like($lines[0], qr/\[warn\].*use an API key/, 'which says what to do');
    $stream->close;
}

# a stream that was opened with a credential that ends later goes on with the
# newer one that its client sends

my %streams = (
    'a stream' => sub {
        my ($nginx, $worker) = @_;

        my $stream = open_stream($nginx, auth => $key, worker => $worker);

        return ($stream, sub { call($nginx, $stream, tool($_[0], 'echo', {}),
            auth => $_[1], worker => $_[2]) });
    },
    'a GET of Streamable HTTP' => sub {
        my ($nginx, $worker) = @_;

        my $id  = session_id($nginx, auth => $key);
        my $get = http_get($nginx, auth => $key, session => $id,
            worker => $worker);

        return ($get, sub { http_post($nginx, tool($_[0], 'echo', {}),
            auth => $_[1], session => $id, worker => $_[2])->answer });
    },
);

for my $name (sort keys %streams) {
    my $nginx = start_http(workers => 2, http => 'mcp_sse_auth_cache 1s; '
        . 'mcp_sse_auth_recheck 2s; mcp_sse_auth_stale 1s;');
    my ($one, $two) = $nginx->wait_workers;
    my ($stream, $call) = $streams{$name}->($nginx, $one);

    is($stream->status, 200, "$name opens");
    like($call->(1, $token, $two), qr/alice\@example/,
        "$name: its client has a newer credential");

    # the old one comes once more, by a request that was overtaken

    like($call->(2, $key, $two), qr/alice\@example/,
        "$name: an older request comes late");

    ok(wait_looked_up($token, 1), "$name: the newer credential is rechecked");
    $frappe->set(revoke => 'alice-key');
    ok(wait_looked_up($token, 2), "$name: it is rechecked again");
    ok(!$stream->ended, "$name stays though its first credential has ended");
    like($call->(3, $token, $two), qr/alice\@example/,
        "$name: its session goes on");

    my $lost = $frappe->set(revoke => 'alice-token');

    ok(run_until(sub { $stream->ended }),
        "$name ends when the newer credential has ended");
    ok($nginx->wait_log(qr/SSE connection closed: \w+, credential refused/),
        "$name: the log has the reason");
    $frappe->set(allow => $_) for qw(alice-key alice-token);
}

# another user's credential is not taken over

{
    my $nginx  = start_http(http => 'mcp_sse_auth_cache 1s; '
        . 'mcp_sse_auth_recheck 2s;');
    my $bob    = MCPTest::credential('bob');
    my $stream = open_stream($nginx, auth => $key);

    is_rejected(post($nginx, $stream, tool(1, 'echo', {}), auth => $bob), 400,
        -32001, 'Invalid session ID', "another user's POST is refused");
    ok(wait_looked_up($key, 2), 'the credential of the stream is rechecked');
    ok(!$stream->ended, 'the stream stays');
    $stream->close;
}

# while Frappe is away a POST with the newer credential is accepted

{
    my $nginx  = start_http(http => 'mcp_sse_auth_cache 1s; '
        . 'mcp_sse_auth_stale 1s;');
    my $stream = open_stream($nginx, auth => $key);

    ok(call($nginx, $stream, tool(1, 'echo', {}), auth => $token),
        'a POST brings a newer credential');
    sleep_for(2);
    $frappe->set(down => '503');
    accepted(post($nginx, $stream, tool(2, 'echo', {}), auth => $token),
        'a POST with it is accepted while Frappe is away');
    is_error($stream->wait_answer(2), -32003, 'Backend unavailable',
        'its call tells');
    $frappe->reset;
    $stream->close;
}

finish();
