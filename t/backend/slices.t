# A large answer is read in slices, with other clients between them: a worker
# does not read all of an answer that comes as fast as it reads.
# docs/PROTOCOL.md 6.24.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use MCPTest;
use MCPTest::Preload;
use Test::More;

my $dir = File::Temp->newdir;

chmod 0777, $dir;

# A worker believes that the backend is never short of bytes: recv() and readv()
# wait for as many as they have room for, until no more come for 0.1 seconds.
# The file "most" has the largest number that was read between two calls of
# epoll_wait().

my $library = MCPTest::Preload->new(<<"END");
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

static long  round, most;

static void
came(ssize_t n)
{
    int   fd;
    char  text[32];

    round += (n > 0) ? n : 0;

    if (round > most) {
        most = round;
        fd = open("$dir/most", O_WRONLY|O_CREAT, 0666);
        if (write(fd, text, sprintf(text, "%ld\\n", most)) == -1) {
            return;
        }
        close(fd);
    }
}

static void
wait_for(int fd, size_t size)
{
    int  i, n, last = 0;

    for (i = 0; i < 100; i++) {
        if (syscall(SYS_ioctl, fd, FIONREAD, &n) == -1 || (size_t) n >= size) {
            return;
        }
        if (n > last) {
            last = n;
            i = 0;
        }
        usleep(1000);
    }
}

ssize_t
readv(int fd, const struct iovec *iov, int n)
{
    int      i;
    size_t   size = 0;
    ssize_t  rc;

    for (i = 0; i < n; i++) {
        size += iov[i].iov_len;
    }

    wait_for(fd, size);
    rc = syscall(SYS_readv, fd, iov, n);
    came(rc);

    return rc;
}

ssize_t
recv(int fd, void *buf, size_t size, int flags)
{
    ssize_t  rc;

    if (size >= 32768) {
        wait_for(fd, size);
    }

    rc = syscall(SYS_recvfrom, fd, buf, size, flags, NULL, NULL);

    if (size >= 32768) {
        came(rc);
    }

    return rc;
}

int
ioctl(int fd, unsigned long request, ...)
{
    void     *arg;
    va_list   args;

    va_start(args, request);
    arg = va_arg(args, void *);
    va_end(args);

    if (request == FIONREAD) {
        *(int *) arg = 1000000000;
        return 0;
    }

    return syscall(SYS_ioctl, fd, request, arg);
}

int
epoll_wait(int ep, struct epoll_event *events, int n, int timeout)
{
    round = 0;

    return epoll_pwait(ep, events, n, timeout, NULL);
}
END

my $size = 8 * 1024 * 1024;
my $body = '{"message":{"jsonrpc":"2.0","id":1,"result":"'
    . 'x' x ($size - 47) . '"}}';

my $chunks = join '', map {
    sprintf "%x\r\n%s\r\n", length $_, $_
} unpack('(a65536)*', $body), '';

my %answer = (
    'with a length' => ['', MCPTest::Backend::http(200, $body)],
    'in chunks'     => ['', "HTTP/1.1 200 OK\r\n"
            . "Transfer-Encoding: chunked\r\n\r\n$chunks"],
    'without proxy_buffering' => [
        'proxy_buffering off; proxy_buffer_size 32k; proxy_buffers 4 32k;',
        MCPTest::Backend::http(200, $body)],
);


sub most {
    open my $file, '<', "$dir/most" or return 0;

    return <$file> + 0;
}


for my $name (sort keys %answer) {
    my ($settings, $answer) = @{ $answer{$name} };

    unlink "$dir/most";

    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return $answer;
    });

    my $nginx = do {
        local $ENV{LD_PRELOAD} = $library->path;

        start_nginx(backend => $backend->port,
            http => 'mcp_sse_max_answer 16m; mcp_sse_queue 16m;',
            call => 'rewrite ^ /_mcp/other last;', locations => <<"EOT");
        location = /_mcp/other {
            internal;
            $settings
            proxy_set_header Host \$mcp_sse_site;
            proxy_pass http://frappe/api/method/handle_mcp;
        }
EOT
    };

    my $stream = open_stream($nginx);

    post($nginx, $stream, tool(1, 'x', {}));

    my $raw = $stream->wait_answer(1) || '';

    ok(index($raw, 'x' x ($size - 47)) > 0, "the answer $name comes whole");
    cmp_ok(most(), '>', 4096, "an answer $name is read by recv() or readv()");
    cmp_ok(most(), '<', 400_000,
        "no more than a slice of an answer $name is read at once");

    # the connection to the backend is used again

    $backend->handler(sub {
        return MCPTest::Backend::http(200,
            '{"message":{"jsonrpc":"2.0","id":2,"result":{}}}');
    });
    post($nginx, $stream, tool(2, 'x', {}));
    ok($stream->wait_answer(2), "another answer comes after the one $name");

    $stream->close;
}

finish();
