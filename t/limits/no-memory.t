# No memory for an answer, nor for an error in its place: the stream ends, so
# its client does not wait for ever.  docs/PROTOCOL.md 3, 12.13.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use Test::More;

# blocks of 300 to 400 kB fail: nothing else allocates these

my $library = MCPTest::Preload->new(<<'END');
#include <stddef.h>

void *__libc_malloc(size_t size);

void *
malloc(size_t size)
{
    return (size > 300000 && size < 400000) ? NULL : __libc_malloc(size);
}
END

# the value becomes the result: a copy that is much smaller than the body

my $value   = 'x' x 350_000;
my $backend = start_backend(sub {
    my ($request) = @_;

    return if $request->{path} =~ /get_logged_user/;
    return MCPTest::Backend::http(200, $request->{body} =~ /"tools\/call"/
        ? qq({"message":"$value") . ' ' x 350_000 . '}'
        : '{"message":"short"}');
});

my $nginx = do {
    local $ENV{LD_PRELOAD} = $library->path;
    start_nginx(backend => $backend->port,
        allow => [ qr/malloc\(\d+\) failed/ ]);
};

my $other  = open_stream($nginx);
my $stream = open_stream($nginx);

ok(call($nginx, $stream, request(1, 'tools/list')),
    'a small answer is delivered');
accepted(post($nginx, $stream, tool(2, 'echo', {})),
    'a call with a large answer is accepted');
ok($stream->wait_ended, 'without memory for an answer the stream ends');
is(scalar $stream->answers(2), 0, 'the call without memory has no answer');
ok($nginx->wait_log(qr/\[emerg\].*malloc\(35\d+\) failed/),
    'the log has the malloc() that failed');
ok($nginx->wait_log(qr/SSE connection closed: \w+, no memory/),
    'the log gives "no memory" as the reason');
ok(call($nginx, $other, request(1, 'tools/list')),
    'a call of another session is answered');
is(health($nginx)->{active_connections}, 1,
    '/health counts the other stream only');
is(health($nginx)->{pending_requests}, 0,
    'no request is pending after the end of the stream');
$other->close;

finish();
