# Bounds of a worker and Redis: connections that are given back, none that is
# left, the pages of the list of ended ids.  docs/PROTOCOL.md 7.30, 11.5.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use MCPTest;
use MCPTest::Clock;
use MCPTest::FakeRedis;
use MCPTest::HTTP;
use MCPTest::Preload;
use Test::More;

use constant CONNECTIONS => 32;

my $clock = MCPTest::Clock->new;
my $redis = MCPTest::FakeRedis->new;

# Counts the sockets that nginx opens, and those that it connects.  A try of
# Redis opens one before it looks for a free connection of the worker.

my $counts = File::Temp->new;

print {$counts} "\0" x 16;
$counts->flush;
chmod 0666, "$counts";

my $library = MCPTest::Preload->new(<<"EOT");
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static long  none[2], *counts = none;


__attribute__((constructor)) static void
map_counts(void)
{
    int    fd = open("$counts", O_RDWR|O_CLOEXEC);
    void  *p = mmap(NULL, sizeof(none), PROT_READ|PROT_WRITE, MAP_SHARED,
                    fd, 0);

    counts = p == MAP_FAILED ? none : p;
    close(fd);
}


int
socket(int domain, int type, int protocol)
{
    counts[0]++;

    return syscall(SYS_socket, domain, type, protocol);
}


int
connect(int fd, const struct sockaddr *addr, socklen_t len)
{
    counts[1]++;

    return syscall(SYS_connect, fd, addr, len);
}
EOT

my $nginx = do {
    local $ENV{LD_PRELOAD} = $clock->path . ' ' . $library->path;

    start_http(redis => $redis->url, redis_opt =>
        'timeout=3h connect_timeout=3h', http =>
        'mcp_sse_grace 300s; client_header_timeout 3h;',
        config => sub { $_[0]->template =~ s/worker_connections \K\d+/CONNECTIONS/er });
};

$nginx->allow(qr/worker_connections are not enough/);

ok(wait_ready($nginx), 'the instance is ready');


# What the worker is told is there again within the pauses between connections.

sub back {
    $redis->accept(undef);

    return run_until(sub { $clock->advance(3); return ready($nginx) });
}


# How many sockets nginx has opened and connected.

sub tries {
    sysseek $counts, 0, 0;
    sysread $counts, my $bytes, 16;

    return unpack 'qq', $bytes;
}


# ---- each connection is given back

for my $n (1 .. CONNECTIONS) {
    my $before = $redis->accepted;

    $redis->cut;
    run_until(sub { $clock->advance(3); $redis->accepted >= $before + 2 });
}

ok(back(), 'after ' . 2 * CONNECTIONS . ' connections there is one left');

# ---- none is left: it is tried again

{
    my ($sockets, $connects) = tries();
    my @conns;

    # Redis closes each connection, and clients with half a request take their
    # places: nginx closes none of those for another connection

    $redis->accept(sub { return 0 });
    $redis->cut;

    ok(run_until(sub {
        my $conn = connect_to($nginx);

        $conn->send_raw("GET /health HTTP/1.1\r\nHost: x\r\n");
        push @conns, $conn;
        $clock->advance(3);

        my ($sockets_now, $connects_now) = tries();

        ($sockets, $connects) = ($sockets_now, $connects_now)
            if $connects_now != $connects;

        return $sockets_now >= $sockets + 6;
    }), 'no connection is left for Redis: it is tried again and again');

    $_->close for @conns;
    ok(back(), 'Redis is there again once a connection is free');
}

# ---- ended ids are read in pages of 10,000, at most 10

for my $case ([ 9999, 1 ], [ 10000, 10 ]) {
    my ($ids, $pages) = @$case;
    my @asked;
    my $page = '*' . 2 * $ids . "\r\n" . "\$1\r\nx\r\n\$1\r\n1\r\n" x $ids;

    $redis->answer(sub {
        my ($conn, @words) = @_;

        return if $words[0] ne 'ZRANGEBYSCORE';

        push @asked, "@words[5 .. 7]";
        return $page;
    });

    $redis->cut;
    run_until(sub { $clock->advance(3); ready($nginx) && @asked >= $pages });
    sleep_for(0.5);
    get($nginx, '/health');
    is_deeply(\@asked, [ map { 'LIMIT ' . 10000 * $_ . ' 10000' }
        0 .. $pages - 1 ], "pages of $ids ids: $pages");
    $redis->answer(undef);
}

finish();
