# The memory of some messages at a time is not given back to the kernel to be
# taken again with the next ones: after some rounds of 120 calls, more rounds
# cause next to no page faults.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(run_until);
use Test::More;

plan skip_all => 'a sanitizer has memory of its own'
    if $ENV{MCP_SSE_SANITIZE} || $ENV{MCP_SSE_VALGRIND};

plan skip_all => 'the allocator is not that of glibc'
    if `getconf GNU_LIBC_VERSION 2>/dev/null` !~ /^glibc/;

my $calls   = 120;
my $open    = 0;
my $got     = 0;
my $backend = start_backend(sub {
    return if $_[0]{path} =~ /get_logged_user/;
    $got++;
    return sub { $open }, MCPTest::Backend::http(200, '{"message":{}}');
});
my $nginx = start_nginx(backend => $backend->port,
    http => "mcp_sse_max_calls $calls;");

my ($pid)  = $nginx->wait_workers;
my $stream = open_stream($nginx);
my $id     = 0;


# The page faults of the worker so far.

sub faults {
    open my $stat, '<', "/proc/$pid/stat" or die "stat: $!\n";

    return (split ' ', (<$stat> =~ /.*\) (.*)/)[0])[7];
}


# So many calls, all of which run before the first one ends.

sub round {
    $open = 0;
    $got  = 0;

    post($nginx, $stream, tool(++$id, 'x', {})) for 1 .. $calls;
    run_until(sub { $got == $calls });

    $open = 1;
    $stream->wait_answer($_) for $id - $calls + 1 .. $id;

    return;
}


round() for 1 .. 4;

my $before = faults();

round() for 1 .. 10;

is(scalar(grep { $stream->answers($_) == 1 } 1 .. $id), 14 * $calls,
    'each call is answered once');
cmp_ok(faults() - $before, '<', 200,
    'page faults of 10 rounds of calls after the first ones');

$stream->close;

finish();
