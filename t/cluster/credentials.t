# Credentials with several instances: a call that Frappe answers with 401 ends
# the cached answers of all of them, and a session takes over a newer credential
# that comes to another instance.  docs/PROTOCOL.md 2.19, 2.20.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my $token  = MCPTest::credential('alice', 'bearer');
my $key    = MCPTest::credential('alice');

my ($here, $there) = start_instances(2, redis => $redis,
    http => 'mcp_sse_auth_cache 600s; mcp_sse_auth_recheck 2s;');


sub looked_up {
    return scalar grep {
        my %headers = map { lc $_->[0] => $_->[1] } @{ $_->{headers} };
        $_->{path} =~ /get_logged_user/
            && ($headers{authorization} || '') eq $token
    } $frappe->requests;
}


my $stream = open_stream($here, auth => $key);

# the stream goes on with the newer credential

like(call($there, $stream, tool(1, 'echo', {}), auth => $token),
    qr/alice\@example/, 'a POST at the other instance has a newer credential');

my $before = looked_up();

ok(run_until(sub { looked_up() > $before }),
    'the newer credential is rechecked');
$frappe->set(revoke => 'alice-key');
$before = looked_up();
ok(run_until(sub { looked_up() > $before + 1 }), 'it is rechecked again');
ok(!$stream->ended, 'the stream stays though its first credential has ended');

# the end of the newer one is known to both

$stream->close;
$frappe->set(allow => 'alice-key');

my $other = open_stream($here, auth => $key);

like(call($there, $other, tool(2, 'echo', {}), auth => $token),
    qr/alice\@example/, 'both instances know the token');
like(call($here, $other, tool(3, 'echo', {}), auth => $token),
    qr/alice\@example/, 'its calls are answered');
$frappe->set(revoke => 'alice-token');
is_error(call($there, $other, tool(4, 'echo', {}), auth => $token), -32001,
    'Not permitted', 'the token has expired: Frappe refuses the call');

my $n = 5;
my $status;

ok(run_until(sub {
    $status = post($there, $other, tool($n++, 'echo', {}), auth => $token)
        ->status;
    return $status != 202;
}), 'the other instance finds out');
is($status, 401, 'a POST there is 401');
$frappe->set(allow => 'alice-token');
$other->close;

finish();
