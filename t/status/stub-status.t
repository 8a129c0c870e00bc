# nginx's stub_status counts clients only: neither calls nor look-ups, running
# ones and those that nginx has given up.  docs/PROTOCOL.md 13.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use Test::More;

my $binary = MCPTest::Nginx::binary();

plan skip_all => "$binary has no stub_status"
    if `$binary -V 2>&1` !~ /http_stub_status_module/;

my $frappe = start_frappe();
my %stub   = (locations => 'location = /stub { stub_status; }');

# Fails the allocation by which a subrequest that ends wakes its parent, where
# the block of the pool is full.  The pools of calls have blocks of 12 kB: nine
# copies of a header take most of the second one.

my $library = MCPTest::Preload->new(<<'END');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <execinfo.h>
#include <stdlib.h>
#include <string.h>

void *__libc_memalign(size_t alignment, size_t size);

static int
named(void *address, const char *name)
{
    Dl_info  info;

    return dladdr(address, &info)
           && info.dli_sname
           && strcmp(info.dli_sname, name) == 0;
}

int
posix_memalign(void **p, size_t alignment, size_t size)
{
    int    i, n;
    void  *frame[8];

    n = (size == 12288) ? backtrace(frame, 8) : 0;

    for (i = 1; i < n; i++) {
        if (named(frame[i], "ngx_http_finalize_request")
            && (named(frame[i - 1], "ngx_http_post_request")
                || named(frame[i - 1], "ngx_palloc")))
        {
            return ENOMEM;
        }
    }

    *p = __libc_memalign(alignment, size);

    return *p ? 0 : ENOMEM;
}
END


# The numbers of a page of stub_status.

sub stub {
    my ($nginx) = @_;

    my %stub;

    @stub{qw(active accepts handled requests reading writing waiting)} =
        get($nginx, '/stub')->body =~ /(\d+)/g;

    return \%stub;
}


# ---- calls and look-ups that run

{
    my $nginx  = start_nginx(%stub, stream => 'mcp_sse_max_calls 4;');
    my $stream = open_stream($nginx);
    my $before = stub($nginx);

    is($before->{reading}, 0, 'without a call, no client is reading');

    post($nginx, $stream, tool($_, 'hold', { gate => 'calls' })) for 1 .. 4;
    run_until(sub { $frappe->tool_count('hold') == 4 });

    my $during = stub($nginx);

    is($during->{reading}, 0, 'four calls run: no client is reading');
    is($during->{active}, $before->{active},
        'four calls run: no more connections are active');
    is($during->{requests} - $before->{requests}, 5,
        'four calls run: their POSTs and stub_status are requests');

    $frappe->open_gate('calls');
    $stream->wait_answer($_) for 1 .. 4;

    my $after = stub($nginx);

    is($after->{active}, $before->{active},
        'four calls have ended: as many connections are active');
    is($after->{requests} - $during->{requests}, 1,
        'four calls have ended: no more requests');
    $stream->close;
}

# ---- nginx gives a call up: no memory when its subrequest has ended

{
    my $nginx = do {
        local $ENV{LD_PRELOAD} = $library->path;
        start_nginx(%stub,
            call  => join(' ', map { "set \$fill$_ \$http_mcp_fill;" } 1 .. 9),
            allow => [ qr/posix_memalign\(\d+, 12288\) failed/ ]);
    };

    my $stream = open_stream($nginx);
    my $before = stub($nginx);

    # each length leaves another rest of the block

    for my $batch (0 .. 5) {
        my @ids   = $batch * 100 + 1 .. $batch * 100 + 100;
        my @calls = map { tool($_, 'echo', { text => 'x' x (8 * $_) }) } @ids;

        post($nginx, $stream, '[' . join(',', @calls) . ']',
            headers => [ 'Mcp-Fill' => 'x' x 1000 ]);
        run_until(sub { !grep { !$stream->answers($_) } @ids });
    }

    my $given_up = () = $nginx->error_log =~ /posix_memalign/g;

    cmp_ok($given_up, '>', 0, 'nginx has given calls up');
    diag("$given_up calls of 600 were given up");
    is_deeply([ grep { $stream->answers($_) != 1 } 1 .. 600 ], [],
        'every call is answered once, those given up as well');
    is_deeply([ grep { error_of(($stream->wait_answer($_))) } 1 .. 600 ], [],
        'the answer of Frappe is not lost with them');

    my $after = stub($nginx);

    is($after->{active}, $before->{active},
        'calls were given up: as many connections are active');
    is($after->{reading}, 0, 'calls were given up: no client is reading');
    is(health($nginx)->{pending_requests}, 0,
        'calls were given up: nothing is pending');
    $stream->close;
}

finish();
