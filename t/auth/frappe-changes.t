# Newer versions of Frappe: one that hashes its OAuth tokens, so that Frappe
# Assistant Core does not find them, and one whose refresh of a token revokes
# the old one at once.  docs/PROTOCOL.md 2.19 to 2.21.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $token  = MCPTest::credential('alice', 'bearer');
my $key    = MCPTest::credential('alice');

# hashed tokens

{
    my $nginx = start_http();

    $frappe->set(hash_tokens => 1);

    my $stream = open_stream($nginx, auth => $token);

    is($stream->status, 200, 'hashed tokens: Frappe knows the user');

    for my $n (1 .. 3) {
        is_error(call($nginx, $stream, tool($n, 'echo', {})), -32001,
            'Not permitted', "hashed tokens: a stream's call $n");

        my $answer = http_post($nginx, tool($n, 'echo', {}), auth => $token);

        is($answer->status, 401, "hashed tokens: call $n is 401");
        like($answer->header('WWW-Authenticate'),
            qr/error="invalid_token"/, "hashed tokens: its challenge, $n");
    }

    my @lines = grep { /Frappe knows the user "alice\@example.com", but its/ }
        split /\n/, $nginx->error_log;

    is(scalar @lines, 1, 'hashed tokens: the log has one line');
    like($lines[0], qr/\[warn\].*use an API key/, 'which says what to do');

    is(http_post($nginx, tool(9, 'echo', {}), auth => $key)->status, 200,
        'hashed tokens: an API key is good');
    $stream->close;
    $frappe->reset;
}

# a refresh: a stream and a session go on with the new token

{
    my $nginx   = start_http(http => 'mcp_sse_auth_cache 1s; '
        . 'mcp_sse_auth_recheck 2s; mcp_sse_auth_stale 1s;');
    my $stream  = open_stream($nginx, auth => $token);
    my $session = session_id($nginx, auth => $token);

    ok(call($nginx, $stream, tool(1, 'echo', {})), 'a call with the old token');

    my ($new) = $frappe->refresh('alice-refresh');

    MCPTest::secret((split ' ', $new)[1]);

    like(call($nginx, $stream, tool(2, 'echo', {}), auth => $new),
        qr/alice\@example/, 'a refresh: the stream takes the new token');
    like(http_post($nginx, tool(3, 'echo', {}), session => $session,
        auth => $new)->answer, qr/alice\@example/,
        'a refresh: the session takes the new token');

    my $rechecked = sub {
        return scalar grep {
            my %headers = map { lc $_->[0] => $_->[1] } @{ $_->{headers} };
            $_->{path} =~ /get_logged_user/
                && ($headers{authorization} || '') eq $new;
        } $frappe->requests;
    };

    my $before = $rechecked->();

    ok(run_until(sub { $rechecked->() >= $before + 2 || $stream->ended }),
        'a refresh: the new token is rechecked');
    ok(!$stream->ended, 'a refresh: the stream stays');
    like(call($nginx, $stream, tool(4, 'echo', {}), auth => $new),
        qr/alice\@example/, 'a refresh: it is still good for calls');
    is(http_post($nginx, tool(5, 'echo', {}), session => $session,
        auth => $token)->status, 401, 'a refresh: the old token is refused');
    $stream->close;
}

finish();
