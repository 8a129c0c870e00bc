# Without memory for the handler of a command to Redis, no reply goes to the
# handler of another command: the connection is given up, and made again.
# docs/PROTOCOL.md 11.1.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use Test::More;

MCPTest::Redis::need();

# the first SET of a session

my $library = MCPTest::Preload->new(<<'END');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <hiredis/hiredis.h>
#include <hiredis/async.h>

typedef int (*command_pt)(redisAsyncContext *, redisCallbackFn *, void *, int,
    const char **, const size_t *);

extern void *__libc_malloc(size_t size);

static int  failing;
static int  failed;

void *
malloc(size_t size)
{
    if (failing && size == sizeof(redisCallback)) {
        failing = 0;
        return NULL;
    }

    return __libc_malloc(size);
}

int
redisAsyncCommandArgv(redisAsyncContext *ac, redisCallbackFn *fn, void *data,
    int argc, const char **argv, const size_t *len)
{
    int         rc;
    command_pt  real;

    real = (command_pt) dlsym(RTLD_NEXT, "redisAsyncCommandArgv");

    if (argc == 6 && strcmp(argv[0], "SET") == 0
        && strcmp(argv[5], "GET") == 0 && !failed)
    {
        failing = failed = 1;
    }

    rc = real(ac, fn, data, argc, argv, len);
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
    qr/is lost: Out of memory;/, 'the connection is given up');
ok(wait_ready(@nginx), 'Redis is reached again');

ok(call($nginx[1], $stream, tool(1, 'echo', { text => 'x' })),
    'a call, posted at the other instance, is answered');
$stream->close;

finish();
