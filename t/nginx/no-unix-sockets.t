# Workers that may not have abstract Unix sockets look into the zone instead,
# and know by its pid that one of them has died.  docs/PROTOCOL.md 12.

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
    'each says so');

for my $n (0, 1) {
    for my $to (0, 1) {
        ok(call($nginx, $streams[$to], tool("$n$to" + 10, 'echo', {}),
            worker => $workers[$n]), "from worker $n to $to");
    }
}

# an exiting one that dies is not replaced: the others clean up

post($nginx, $_, tool(1, 'hold', { gate => 'exit' })) for @streams;

my @old = $nginx->reload;

$nginx->kill_worker($workers[0]);

ok($streams[0]->wait_ended, 'an exiting worker dies');

my $response;

ok(run_until(sub {
    $response = post($nginx, $streams[0], request(3, 'ping'));
    return $response->status != 202;
}), 'which is noticed');
is_rejected($response, 400, -32001, 'Invalid session ID',
    'its session is gone');
ok(call($nginx, $streams[1], request(2, 'ping')), 'that of another is not');
$frappe->open_gate('exit');
ok($streams[1]->wait_answer(1), 'nor is its call');
$_->close for @streams;
ok($nginx->wait_gone(\@old), 'all old workers go');
ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
    'no streams are left');

finish();
