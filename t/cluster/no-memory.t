# Without memory for a message to another instance its POST is 500, a fault of
# the server, and not 429.  docs/PROTOCOL.md 1.13.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use Test::More;

MCPTest::Redis::need();

# A message of 300 to 400 kB in a larger body allocates two blocks of its size,
# the envelope, then the packet.  For the first message malloc() fails for the
# small block after the envelope, the attempt to send it; for the second one it
# fails for the packet.

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

    is($post->status, 500, "without memory for $what the POST is 500");
    is((error_of($post->body) || {})->{code}, -32603,
        "without memory for $what the code is -32603");

    # the line has no number of a connection: the block is not the request's

    ok($there->wait_log(qr/#\d+: $log/),
        "the log has the failed malloc() of $what");
}

is(metrics($there)->{qq(nginx_mcp_sse_limit_refusals_total{limit="$_"})}, 0,
    "no refusal counts for the limit $_") for qw(zone inbox);
is(health($there)->{pending_requests}, 0, 'no request is pending afterwards');
is($frappe->tool_count('echo'), 0, 'no refused message runs');

accepted(post($there, $stream, large(3)),
    'with memory a message of that size is accepted');
ok($stream->wait_answer(3), 'with memory it is answered');
is($frappe->tool_count('echo'), 1, 'with memory it runs once');
$stream->close;

finish();
