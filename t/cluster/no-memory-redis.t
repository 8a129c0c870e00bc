# Without memory for the buffer that hiredis allocates after each write, a worker
# neither ends nor loses its connections to Redis.  docs/PROTOCOL.md 11.1.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use Test::More;

MCPTest::Redis::need();

# sdsempty() is hi_sdsempty() since hiredis 1.0

my $library = MCPTest::Preload->new(<<'END');
#define _GNU_SOURCE
#include <dlfcn.h>
#include <string.h>

typedef char *(*empty_pt)(void);

static char *
empty(const char *name, void *caller)
{
    Dl_info  info;

    if (dladdr(caller, &info) && info.dli_sname
        && strcmp(info.dli_sname, "redisBufferWrite") == 0)
    {
        return 0;
    }

    return ((empty_pt) dlsym(RTLD_NEXT, name))();
}

char *
sdsempty(void)
{
    return empty("sdsempty", __builtin_return_address(0));
}

char *
hi_sdsempty(void)
{
    return empty("hi_sdsempty", __builtin_return_address(0));
}
END

my $redis = start_redis();
my @nginx = do {
    local $ENV{LD_PRELOAD} = $library->path;
    map { start_nginx(redis => $redis) } 1, 2;
};

ok(wait_ready(@nginx), 'both instances reach Redis')
    or do { finish(); exit };

my @workers = map { $_->worker_pids } @nginx;
my $stream  = open_stream($nginx[0]);

for my $id (1 .. 3) {
    ok(call($nginx[1], $stream, tool($id, 'echo', { text => 'x' x 5000 })),
        "call $id, posted at the other instance, is answered");
}

is("@{[ map { $_->worker_pids } @nginx ]}", "@workers",
    'no worker has ended');
unlike($_->error_log, MCPTest::Redis::pattern('lost'),
    'no connection to Redis was lost') for @nginx;
$stream->close;

finish();
