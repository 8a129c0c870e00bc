# Without memory for a message to another instance its POST is refused with 500,
# a fault of this server, and not with 429.  docs/PROTOCOL.md 1.13.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use Test::More;

MCPTest::Redis::need();

# A message of 300 to 400 kB in a larger body allocates two blocks of its size:
# the envelope, then the packet.  For the first message, the small block after
# the envelope is refused: the attempt to send it.  For the second one, the
# packet is refused.

my $library = MCPTest::Preload->new(<<'END');
#include <stddef.h>

void *__libc_malloc(size_t size);

static int  large, refused;

void *
malloc(size_t size)
{
    if (size > 300000 && size < 400000) {
        if (++large == 3) {
            return NULL;
        }

    } else if (large == 1 && !refused && size < 1024) {
        refused = 1;
        return NULL;
    }

    return __libc_malloc(size);
}
END

my $frappe = start_frappe();
my $redis  = start_redis();
my ($here) = start_instances(1, redis => $redis);
my ($there) = do {
    local $ENV{LD_PRELOAD} = $library->path;
    start_instances(1, redis => $redis,
        allow => [ qr/\] \d+#\d+: malloc\(\d+\) failed/ ]);
};

my $stream = open_stream($here);


sub large {
    my ($id) = @_;

    return tool($id, 'echo', { text => 'x' x 320_000 }) . ' ' x 400_000;
}


for my $case ([ 1, 'the attempt', qr/malloc\(\d{2,3}\) failed/ ],
    [ 2, 'the packet', qr/malloc\(3\d{5}\) failed/ ])
{
    my ($id, $what, $log) = @{$case};
    my $post = post($there, $stream, large($id));

    is($post->status, 500, "no memory for $what: a fault of the server");
    is((error_of($post->body) || {})->{code}, -32603, 'is told as one');

    # no number of a connection: it is not a block of the request

    ok($there->wait_log(qr/#\d+: $log/, 5), 'the log says what was missing');
}

is(metrics($there)->{qq(nginx_mcp_sse_limit_refusals_total{limit="$_"})}, 0,
    "no limit was reached: $_") for qw(zone inbox);
is(health($there)->{pending_requests}, 0, 'nothing is pending');
is($frappe->tool_count('echo'), 0, 'nothing ran');

accepted(post($there, $stream, large(3)), 'the next one is accepted');
ok($stream->wait_answer(3, 10), 'and answered');
is($frappe->tool_count('echo'), 1, 'it ran once');
$stream->close;

finish();
