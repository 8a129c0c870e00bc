# A call that was cancelled while it waited for a lock of proxy_cache does not
# go to Frappe when the lock is free.  docs/PROTOCOL.md 5.5, 13.8.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(run_until);
use Test::More;

# answers of calls must not be cached; this shows that even then the module
# keeps its promise

my $open    = 0;
my $backend = start_backend(sub {
    return if $_[0]{path} =~ /get_logged_user/;
    return sub { $open },
        MCPTest::Backend::http(200, '{"message":"done"}');
});

my $nginx = start_nginx(backend => $backend->port,
    http => 'proxy_cache_path cache levels=1 keys_zone=calls:1m;'
        . ' mcp_sse_auth_cache 1h;',
    call => 'proxy_cache calls; proxy_cache_methods POST; proxy_cache_key 1;'
        . ' proxy_cache_lock on; proxy_cache_lock_timeout 2s;',
    config => sub {
        return $_[0]->template =~ s/proxy_buffering off/proxy_buffering on/gr;
    });
my $stream = open_stream($nginx);


sub sent {
    return scalar grep { $_->{path} =~ /handle_mcp/ } $backend->requests;
}


post($nginx, $stream, tool(1, 'echo', {}));
run_until(sub { sent() == 1 });
post($nginx, $stream, tool(2, 'echo', {}));
ok(passed($nginx, $stream), 'a ping is answered while a call waits for the lock');
is(sent(), 1, 'the second call waits for the lock of the cache');

post($nginx, $stream, notification('notifications/cancelled',
    { requestId => 2 }));
ok($nginx->wait_log(qr/cancels a running request/),
    'the second call is cancelled');

# the line of the call is written when it is freed, after its wait

my @lines = $nginx->audit(1);

is($lines[0]{id}, 2, 'the second call ends first');
is($lines[0]{result}, 'cancelled', 'the second call is cancelled in the log');
is(sent(), 1, 'the cancelled call does not go to Frappe after its wait');

$open = 1;
ok($stream->wait_answer(1), 'the first call is answered');
is(scalar $stream->answers(2), 0, 'the cancelled call has no answer');
is(health($nginx)->{pending_requests}, 0, 'nothing is pending');
$stream->close;

finish();
