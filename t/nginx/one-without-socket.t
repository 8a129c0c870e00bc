# One of the workers has no abstract Unix socket: it finds out that a worker
# with a socket is dead, so it accepts no message that nobody would get.
# docs/PROTOCOL.md 12.9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use Test::More;

# bind() fails in the process that removes the file named by FIRST

my $library = MCPTest::Preload->new(<<'END');
#define _GNU_SOURCE
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

int
bind(int s, const struct sockaddr *sa, socklen_t len)
{
    if (sa->sa_family == AF_UNIX && unlink(getenv("FIRST")) == 0) {
        errno = EPERM;
        return -1;
    }

    return syscall(SYS_bind, s, sa, len);
}
END

my $dir   = File::Temp->newdir;
my $first = "$dir/first";


# The next worker that starts gets no socket.

sub next_without {
    open my $file, '>', $first or die "$first: $!\n";
    close $file;

    return;
}


sub without {
    my ($nginx, $n) = @_;

    my @pids;

    run_until(sub {
        @pids = $nginx->error_log
            =~ / (\d+)#\d+: mcp sse: cannot open an abstract unix socket/g;
        return @pids >= $n;
    });

    return $pids[$n - 1];
}


# The kernel has closed the files of the process, its socket among them: it is
# a zombie, or the master has taken notice of its end.

sub ended {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/stat" or return 1;

    return (<$file> || ') Z') =~ /\) Z/;
}


my $frappe = start_frappe();

next_without();

my $nginx = do {
    local $ENV{LD_PRELOAD} = $library->path;
    local $ENV{FIRST} = $first;
    start_nginx(workers => 3, main => 'env FIRST;',
        http => 'mcp_sse_drain 1h;');
};

my @workers = $nginx->wait_workers;
my $without = without($nginx, 1);
my @with    = grep { $_ != $without } @workers;

is(scalar @with, 2, 'one of three workers has no socket');

my @streams = map { open_stream($nginx, worker => $_) } @workers;

ok(call($nginx, $_, tool(1, 'echo', {}), worker => $without),
    'a call posted at the worker without a socket is answered') for @streams;
ok(call($nginx, $_, tool(2, 'echo', {}), worker => $with[0]),
    'a call posted at a worker with a socket is answered') for @streams;
$_->close for @streams;

# nginx does not replace an exiting worker that dies.  A message for it is
# refused at once, not only when a sweep has found it dead.

for my $round (1 .. 3) {
    my @live = map { open_stream($nginx, worker => $_) } @with;

    post($nginx, $_, tool(1, 'hold', { gate => 'exit' })) for @live;

    next_without();

    my @old = $nginx->reload;

    $without = without($nginx, 1 + $round);

    my $conn = connect_worker($nginx, $without);

    for my $i (0, 1) {
        $nginx->kill_worker($with[$i]);
        run_until(sub { ended($with[$i]) });

        is_rejected(post($nginx, $live[$i], request(2, 'ping'),
            conn => $conn), 400, -32001, 'Invalid session ID',
            "$round: a message for a dead worker is refused");
    }

    $frappe->open_gate('exit');
    $_->close for @live, $conn;
    $nginx->wait_gone(\@old);

    @with = grep { $_ != $without } $nginx->wait_workers;
}

finish();
