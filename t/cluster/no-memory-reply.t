# Without memory for a reply of Redis its connections are given up, and made
# again: no reply goes to the handler of another command.
# docs/PROTOCOL.md 11.1.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use Test::More;

MCPTest::Redis::need();

# hiredis has no memory for the 60th reply

my $library = MCPTest::Preload->new(<<'END');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <hiredis/hiredis.h>

typedef int (*get_reply_pt)(redisReader *, void **);

extern void *__libc_calloc(size_t n, size_t size);

static int  failing;
static int  replies;

void *
calloc(size_t n, size_t size)
{
    return failing ? NULL : __libc_calloc(n, size);
}

int
redisReaderGetReply(redisReader *r, void **reply)
{
    int           rc;
    get_reply_pt  real;

    real = (get_reply_pt) dlsym(RTLD_NEXT, "redisReaderGetReply");

    failing = (r->pos < r->len && ++replies == 60);
    rc = real(r, reply);
    failing = 0;

    return rc;
}
END

my $redis = start_redis();
my @nginx = do {
    local $ENV{LD_PRELOAD} = $library->path;
    map { start_nginx(redis => $redis) } 1, 2;
};

ok(wait_ready(@nginx), 'both instances reach Redis')
    or do { finish(); exit };

my $stream = open_stream($nginx[0]);

like(scalar $nginx[0]->wait_log(qr{mcp sse: redis .* is lost: .*}),
    qr/is lost: Out of memory;/, 'the connections are given up');
ok(wait_ready(@nginx), 'Redis is reached again');

ok(call($nginx[1], $stream, tool(1, 'echo', { text => 'x' })),
    'a call, posted at the other instance, is answered');
$stream->close;

finish();
