# What each kind of request takes is given back: blocks of memory, descriptors,
# gauges, and what keeps a worker from its end.  A library counts the blocks of
# each process, so that one block in a hundred requests is seen.
# docs/PROTOCOL.md 6.19, 12.14.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use MCPTest;
use MCPTest::H2;
use MCPTest::HTTP;
use MCPTest::Preload;
use Test::More;

# Counts the blocks that malloc() and its like have given and free() has not
# taken back, in a file that has a number for each pid.

my $library = MCPTest::Preload->new(<<'EOT');
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

extern void *__libc_malloc(size_t);
extern void *__libc_calloc(size_t, size_t);
extern void *__libc_realloc(void *, size_t);
extern void *__libc_memalign(size_t, size_t);
extern void __libc_free(void *);

static long *base, *slot;

static void child(void) { slot = base ? base + getpid() : NULL; }

__attribute__((constructor)) static void init(void)
{
    const char *name = getenv("MCP_SSE_BLOCKS");
    int fd = name ? open(name, O_RDWR) : -1;
    void *p = fd < 0 ? MAP_FAILED : mmap(NULL, 8 << 22,
        PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd >= 0) {
        close(fd);
    }

    if (p != MAP_FAILED) {
        base = p;
        child();
        pthread_atfork(NULL, NULL, child);
    }
}

static void *add(void *p) { if (p && slot) { ++*slot; } return p; }

void *malloc(size_t n) { return add(__libc_malloc(n)); }
void *calloc(size_t n, size_t m) { return add(__libc_calloc(n, m)); }
void *memalign(size_t a, size_t n) { return add(__libc_memalign(a, n)); }
void *aligned_alloc(size_t a, size_t n) { return memalign(a, n); }

int posix_memalign(void **p, size_t a, size_t n)
{
    void *got = memalign(a, n);

    if (got == NULL) {
        return ENOMEM;
    }

    *p = got;
    return 0;
}

void free(void *p)
{
    if (p && slot) {
        --*slot;
    }

    __libc_free(p);
}

void *realloc(void *p, size_t n)
{
    void *got = __libc_realloc(p, n);

    if (slot && p == NULL && got) {
        ++*slot;
    } else if (slot && p && n == 0) {
        --*slot;
    }

    return got;
}
EOT

my $counts = File::Temp->new;

truncate $counts, 8 << 22 or plan skip_all => "no sparse file: $!";
chmod 0666, "$counts";

my $frappe = start_frappe();
my $h2port = MCPTest::Nginx::free_port();
my ($nginx, @workers);

{
    local $ENV{LD_PRELOAD}     = $library->path;
    local $ENV{MCP_SSE_BLOCKS} = "$counts";

    $nginx = start_http(workers => 2,
        main => 'env MCP_SSE_BLOCKS; env LD_PRELOAD;',
        mcp => 'mcp_sse_stream_after 300s;',
        server => "listen 127.0.0.1:$h2port http2 reuseport;",
        http => 'mcp_sse_max_message 20k; mcp_sse_max_answer 60k; '
            . 'mcp_sse_grace 300s; mcp_sse_auth_cache 300s; '
            . 'mcp_sse_max_sessions 400; mcp_sse_zone zone=mcp_sse:16m; '
            . 'mcp_sse_queue 30k; client_body_timeout 300s;',
        config => sub { $_[0]->template
            =~ s/keepalive 16;\s+keepalive_timeout \K1s/50ms/r },
        locations => 'location = /soon { mcp_sse_http; '
            . 'mcp_sse_stream_after 1ms; }');
    @workers = $nginx->wait_workers;
}


# The blocks of both workers, and their descriptors.

sub blocks {
    my $sum = 0;

    for my $pid (@workers) {
        open my $file, '<', "$counts" or die "$counts: $!\n";
        seek $file, 8 * $pid, 0;
        read $file, my $bytes, 8;
        $sum += unpack 'q', $bytes;
    }

    return $sum;
}


sub descriptors {
    return scalar map { glob "/proc/$_/fd/*" } @workers;
}


# Whether both workers sleep: all that has come to them is handled to its end.
# One may have woken the other.

sub asleep {
    for my $pid (@workers, @workers) {
        open my $file, '<', "/proc/$pid/stat" or return 0;

        return 0 if <$file> !~ /\) S /;
    }

    return 1;
}


run_until(\&asleep);

my $descriptors = descriptors();

my %at   = map { $_ => connect_worker($nginx, $_) } @workers;
my $id   = session_id($nginx);
my $body = 'x' x 9000;
my $n    = 0;
my $stream;


# Sends a POST of a message on a connection of one of the workers.

sub legacy {
    my ($message, %opt) = @_;

    return post($nginx, $stream, $message, conn => $at{ $workers[$n % 2] },
        %opt);
}


sub mcp {
    my ($message, %opt) = @_;

    return http_post($nginx, $message, conn => $at{ $workers[$n % 2] }, %opt);
}


# Opens a stream, loses it after what a function does, and forgets its session.

sub with_stream {
    my ($code, %opt) = @_;

    my $one = open_stream($nginx, worker => $workers[$n % 2], %opt);

    $code->($one);
    $one->close;

    return;
}


sub idle {
    return run_until(sub {
        my $values = metrics($nginx);

        return !grep { $values->{"nginx_mcp_sse_$_"} }
            qw(calls_running messages_waiting posts_held);
    });
}


# Waits until the workers have nothing but what stays open: both of %at and the
# stream.  No connection to Frappe is kept any more, no client's is still to be
# closed, nothing is half done.

sub settle {
    idle();

    return run_until(sub {
        return descriptors() <= $descriptors + 3 && asleep();
    }) || diag('something stays open');
}


my %kinds = (
    'a ping'            => sub { legacy(request(++$n, 'ping')) },
    'a call'            => sub { call($nginx, $stream, tool(++$n, 'echo',
        { text => $body }), conn => $at{ $workers[$n % 2] }) },
    'a call that fails' => sub { call($nginx, $stream, tool(++$n, 'status',
        { code => 500 })) },
    'an answer that is too large' => sub { call($nginx, $stream,
        tool(++$n, 'big', { bytes => 70_000 })) },
    'a call that is cancelled' => sub {
        legacy(tool(++$n, 'hang', { text => $body }));
        legacy(notification('notifications/cancelled', { requestId => $n }));
    },
    'a repeated request' => sub {
        legacy(tool(++$n, 'echo', { text => $body })) for 1, 2;
        legacy(tool($n, 'echo', { text => $body }));
        $stream->wait_answer($n);
    },
    'a notification'    => sub { ++$n;
        legacy(notification('notifications/x', { text => $body })) },
    'a response'        => sub { ++$n;
        legacy('{"jsonrpc":"2.0","id":1,"result":["' . $body . '"]}') },
    'a batch'           => sub { legacy('[' . join(',', map {
        tool(++$n, 'echo', { text => $_ x 2000 }) } qw(a b c)) . ']') },
    'refused: JSON'     => sub { ++$n; legacy("[$body]") },
    'refused: size'     => sub { ++$n; legacy($body x 3) },
    'refused: type'     => sub { ++$n; legacy($body, type => 'text/plain') },
    'refused: session'  => sub { ++$n;
        post($nginx, 'A' x 50, $body, conn => $at{ $workers[$n % 2] }) },
    'refused: headers'  => sub { post($nginx, $stream, request(++$n, 'ping'),
        headers => [ map { ("Mcp-$_", 'v' x 6000) } 1 .. 3 ]) },
    'refused: Origin'   => sub { legacy(request(++$n, 'ping'),
        headers => [ Origin => 'https://evil.example.com' ]) },
    'refused: method'   => sub { http($nginx, 'PUT', body => $body) },
    '/health, /metrics' => sub { get($nginx, $_) for '/health', '/metrics' },
    'OPTIONS'           => sub { http($nginx, 'OPTIONS', auth => undef,
        headers => [ Origin => 'http://erp.example.com' ]) },
    'HEAD'              => sub { http($nginx, 'HEAD', session => $id) },
    'POST /mcp, JSON'   => sub { mcp(tool(++$n, 'echo', { text => $body }),
        session => $id) },
    'POST /mcp, no id'  => sub { mcp(tool(++$n, 'echo', { text => $body })) },
    'POST /mcp, stream' => sub { mcp(tool(++$n, 'echo', { text => $body }),
        accept => 'text/event-stream') },
    'POST /mcp, a stream later' => sub { mcp(tool(++$n, 'sleep',
        { seconds => 0.02 }), path => '/soon') },
    'POST /mcp, more than mcp_sse_queue' => sub { mcp(tool(++$n, 'big',
        { bytes => 40_000 })) },
    'POST /mcp, a batch' => sub { mcp('[' . join(',', map { tool(++$n, 'echo',
        { text => $_ x 2000 }) } qw(a b c)) . ']', protocol => '2025-03-26') },
    'POST /mcp, a batch that is too large' => sub { mcp('[' . join(',', map {
        tool(++$n, 'big', { bytes => 40_000 }) } 1, 2) . ']',
        accept => 'application/json') },
    'POST /mcp, local'  => sub { mcp(request(++$n, 'ping'), session => $id) },
    'POST /mcp, 202'    => sub { ++$n;
        mcp(notification('notifications/initialized')) },
    'POST /mcp, 406'    => sub { mcp(request(++$n, 'x'), accept => 'x/y') },
    'POST /mcp, 404'    => sub { mcp(request(++$n, 'x'), session => 'x') },
    'POST /mcp, 403'    => sub { mcp(tool(++$n, 'permission', {})) },
    'POST /mcp, 401'    => sub { mcp(request(++$n, 'x'), auth => undef) },
    'POST /mcp, cancelled' => sub {
        my $one = http_post($nginx, tool(++$n, 'hang', {}), session => $id,
            async => 1);

        run_until(sub { metrics($nginx)->{nginx_mcp_sse_calls_running} });
        mcp(notification('notifications/cancelled', { requestId => $n }),
            session => $id);
        $one->wait;
        $one->{conn}->close;
    },
    'initialize and DELETE' => sub { ++$n;
        http_delete($nginx, session_id($nginx)) },
    'GET /mcp'          => sub { ++$n;
        my $one = http_get($nginx, session => $id,
            conn => connect_worker($nginx, $workers[$n % 2]));

        $one->close;
    },
    'a stream'          => sub { ++$n; with_stream(sub { }) },
    'a stream with a call' => sub { ++$n; with_stream(sub { call($nginx, $_[0],
        tool(1, 'echo', { text => $body })) }) },
    'a stream that is taken over' => sub { ++$n; with_stream(sub {
        my ($one) = @_;

        post($nginx, $one, tool(1, 'echo', { text => $body }));
        open_stream($nginx, headers => [ 'Last-Event-ID', $one->session ])
            ->close;
    }) },
    'a stream over HTTP/2' => sub {
        my $h2  = MCPTest::H2->connect_to($h2port, window => 300);
        my $one = open_stream($nginx, conn => $h2);

        # an answer that comes later is kept for another stream

        post($nginx, $one, tool(++$n, 'echo', { text => $body }));
        idle();
        $h2->reset($one);
        $h2->close;
    },
    'a slow reader'     => sub {
        my $one = open_stream($nginx, conn =>
            MCPTest::H2->connect_to($h2port, window => 300));

        post($nginx, $one, tool(++$n, 'big', { bytes => 20_000 })) for 1 .. 4;
        run_until(sub { health($nginx)->{active_connections} == 1 });
        $one->close;
    },
    'a POST that waits' => sub {
        my $one = open_stream($nginx);

        $one->close;
        run_until(sub { health($nginx)->{active_connections} == 1 });

        my @posts = map { post($nginx, $one, tool($_, 'echo',
            { text => $body }), async => 1) } 1, 2;

        run_until(sub { health($nginx)->{pending_requests} == 2 });
        $posts[0]{conn}->close;

        my $again = open_stream($nginx,
            headers => [ 'Last-Event-ID', $one->session ]);

        $again->wait_answer(2);
        $_->close for $again, $posts[1]{conn};
    },
    'an unfinished body' => sub {
        my @conn = map { connect_to($nginx) } 1, 2;

        $_->request('POST', '/mcp', host => 'erp.example.com', headers =>
            [ Authorization => MCPTest::credential(),
            'Content-Length' => 5000 ], body => '{') for @conn;
        $conn[0]->send_raw(' ' x 4999);
        get($nginx, '/health');
        $_->close for @conn;
    },
    'a client that leaves' => sub {
        my $one = http_post($nginx, tool(++$n, 'hold', { gate => "g$n" }),
            async => 1, $n % 2 ? (accept => 'text/event-stream') : ());

        run_until(sub { metrics($nginx)->{nginx_mcp_sse_calls_running} });
        $one->{conn}->close;
        $frappe->open_gate("g$n");
    },
    'a look-up' => sub {
        mcp(request(++$n, 'ping'), auth => "token no-key-$n:no-secret-$n") },
);

# slow ones run less often

my %times = (
    (map { $_ => 20 } 'a slow reader', 'a POST that waits',
        'a client that leaves', 'POST /mcp, cancelled',
        'POST /mcp, a stream later',
        'a stream that is taken over', 'a stream with a call', 'a stream',
        'GET /mcp', 'a stream over HTTP/2', 'initialize and DELETE',
        'an unfinished body'),
);

$stream = open_stream($nginx);

# A worker keeps the memory of 64 calls (limits/kept-calls.t).  It has it from
# now on, since how many run at once differs each time.  A session may run 32.

for my $pid (@workers) {
    my @posts = map { http_post($nginx, tool(++$n, 'hold', { gate => $pid }),
        worker => $pid, async => 1, session => $_ % 2 ? $id : undef) } 1 .. 64;

    run_until(sub { metrics($nginx)->{nginx_mcp_sse_calls_running} == 64 })
        or diag('not as many calls run');
    $frappe->open_gate($pid);
    $_->wait for @posts;
    $_->{conn}->close for @posts;
}

my @only = grep { $_ ne '' } split /;/, $ENV{MCP_SSE_ONLY} || '';

for my $name (@only ? @only : sort keys %kinds) {
    my $times = $times{$name} || 100;
    my $left;

    $kinds{$name}->() for 1 .. 5;

    # a connection or a stream may keep some blocks, of which it has enough
    # after a while

    for (1 .. 3) {
        settle();

        my $before = blocks();

        $kinds{$name}->() for 1 .. $times;
        settle();

        last if ($left = blocks() - $before) <= 0;
    }

    cmp_ok($left, '<=', 0, "$name: $times of them leave no block");
}

# nothing is counted, open or held at the end

$_->close for $stream, values %at;

ok(run_until(sub { descriptors() <= $descriptors }),
    'no descriptor is left open');

{
    my $values = metrics($nginx);
    my @left   = grep { $values->{"nginx_mcp_sse_$_"} } qw(streams sessions
        calls_running messages_waiting posts_held);

    is_deeply(\@left, [], 'no gauge has anything left');
}

ok($nginx->quit, 'the workers end');

finish();
