# Workers without abstract Unix sockets look for messages in the zone every
# 20 ms, and detect a dead worker by its pid.  docs/PROTOCOL.md 12.9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use Test::More;

my $library = MCPTest::Preload->new(<<'END');
#define _GNU_SOURCE
#include <errno.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int
bind(int s, const struct sockaddr *sa, socklen_t len)
{
    if (sa->sa_family == AF_UNIX) {
        errno = EPERM;
        return -1;
    }

    return syscall(SYS_bind, s, sa, len);
}
END

my $frappe = start_frappe();
my $nginx  = do {
    local $ENV{LD_PRELOAD} = $library->path;
    start_nginx(workers => 2, http => 'mcp_sse_drain 1h;');
};

my @workers = $nginx->wait_workers;
my @streams = map { open_stream($nginx, worker => $_) } @workers;

ok($nginx->wait_log(qr/\[warn\].* looks for messages every 20 ms/),
    'the log says that a worker looks for messages every 20 ms');

for my $n (0, 1) {
    for my $to (0, 1) {
        ok(call($nginx, $streams[$to], tool("$n$to" + 10, 'echo', {}),
            worker => $workers[$n]),
            "a call posted at worker $n is answered at worker $to");
    }
}

# nginx does not replace an exiting worker that dies: the others clean up

post($nginx, $_, tool(1, 'hold', { gate => 'exit' })) for @streams;

my @old = $nginx->reload;

$nginx->kill_worker($workers[0]);

ok($streams[0]->wait_ended, 'the stream of a killed exiting worker ends');

my $response;

ok(run_until(sub {
    $response = post($nginx, $streams[0], request(3, 'ping'));
    return $response->status != 202;
}), 'messages for a killed exiting worker are soon refused');
is_rejected($response, 400, -32001, 'Invalid session ID',
    'a session of a killed exiting worker is gone');
ok(call($nginx, $streams[1], request(2, 'ping')),
    'a ping of another exiting worker is answered');
$frappe->open_gate('exit');
ok($streams[1]->wait_answer(1),
    'a call of another exiting worker is answered');
$_->close for @streams;
ok($nginx->wait_gone(\@old), 'all old workers end');
ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
    'no stream is left at the end');

finish();
