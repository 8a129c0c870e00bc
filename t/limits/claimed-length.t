# The memory for an answer is that of the bytes that have come, not of those
# that Content-Length announces.  docs/PROTOCOL.md 6.19.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(run_until);
use Test::More;

plan skip_all => 'a sanitizer has memory of its own'
    if $ENV{MCP_SSE_SANITIZE} || $ENV{MCP_SSE_VALGRIND};

my $size    = 8 * 1024 * 1024;
my $open    = 0;
my $body    = '{"message":"' . 'x' x ($size - 14) . '"}';
my $backend = start_backend(sub {
    return if $_[0]{path} =~ /get_logged_user/;
    return "HTTP/1.1 200 OK\r\nContent-Length: $size\r\n\r\n"
        . substr($body, 0, 20), sub { $open }, substr($body, 20);
});
my $nginx = start_nginx(backend => $backend->port,
    http => 'mcp_sse_max_calls 20; mcp_sse_queue 400m;'
        . ' mcp_sse_max_answer 16m;');

my ($pid)  = $nginx->wait_workers;
my $stream = open_stream($nginx);


# The size of the worker's data, in kB.

sub data {
    open my $status, '<', "/proc/$pid/status" or die "status: $!\n";

    my ($data) = join('', <$status>) =~ /^VmData:\s+(\d+)/m;

    return $data;
}


my $before = data();

post($nginx, $stream, tool($_, 'x', {})) for 1 .. 20;
run_until(sub {
    20 == grep { $_->{path} =~ /handle_mcp/ } $backend->requests;
});
ok(passed($nginx, $stream), 'a ping is answered while 20 answers arrive');

cmp_ok(data() - $before, '<', 20_000,
    '20 answers of which 20 bytes have come do not have 160 MB');

$open = 1;
ok($stream->wait_answer(20), 'the answers are forwarded when they are complete');
$stream->wait_answer($_) for 1 .. 19;
is_deeply([ grep { $stream->answers($_) != 1 } 1 .. 20 ], [],
    'every answer is forwarded once');
$stream->close;

finish();
