# There is no memory for an answer, nor for the error in its place: the stream
# ends, and its client does not wait for ever.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use Test::More;

# none of 300 to 400 kB, which nothing else asks for

my $library = MCPTest::Preload->new(<<'END');
#include <stddef.h>

void *__libc_malloc(size_t size);

void *
malloc(size_t size)
{
    return (size > 300000 && size < 400000) ? NULL : __libc_malloc(size);
}
END

# the value becomes the result: a copy, much smaller than the body

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

ok(call($nginx, $stream, request(1, 'tools/list')), 'an answer');
accepted(post($nginx, $stream, tool(2, 'echo', {})), 'a call');
ok($stream->wait_ended, 'there is no memory for its answer: the end');
is(scalar $stream->answers(2), 0, 'no answer');
ok($nginx->wait_log(qr/\[emerg\].*malloc\(35\d+\) failed/),
    'the log says why');
ok($nginx->wait_log(qr/SSE connection closed: \w+, no memory/),
    'and that the stream has ended for it');
ok(call($nginx, $other, request(1, 'tools/list')), 'others go on');
is(health($nginx)->{active_connections}, 1, 'one stream is left');
is(health($nginx)->{pending_requests}, 0, 'nothing is pending');
$other->close;

finish();
