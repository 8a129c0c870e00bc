# A worker keeps the memory of 64 calls for the next ones, and no more.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Memory;
use Test::More;

use constant KEPT => 64;      # NGX_MCP_CALL_MAX_FREE

my $memory = MCPTest::Memory->new;
my ($running, $open) = (0, 0);

# connections that are closed: nginx does not keep them

my $backend = start_backend(sub {
    my ($request) = @_;

    return if $request->{path} =~ /get_logged_user/;

    my ($id) = $request->{body} =~ /"id":(\d+)/;

    $running++;

    return sub { return $open }, MCPTest::Backend::http(200,
        qq({"jsonrpc":"2.0","id":$id,"result":{}}),
        'Content-Type' => 'application/json', Connection => 'close');
});

my $nginx = do {
    local $ENV{LD_PRELOAD} = $memory->path;

    start_http(backend => $backend->port, http => 'mcp_sse_max_calls 200; mcp_sse_max_inbox 200;');
};

my ($pid) = $nginx->wait_workers;


# The blocks of the worker after so many calls at once.

sub blocks_after {
    my ($n) = @_;

    ($running, $open) = (0, 0);

    my @posts = map { http_post($nginx, request($_, 'tools/list'),
        async => 1) } 1 .. $n;

    run_until(sub { $running == $n });
    $open = 1;
    $_->wait for @posts;
    is(scalar(grep { $_->status == 200 } @posts), $n, "$n calls are answered");
    $_->{conn}->close for @posts;

    # the look-up of another request, and the request itself, are over

    my ($blocks, $same) = (0, 0);

    run_until(sub {
        get($nginx, '/health');

        my $now = $memory->blocks($pid);

        $same = $now == $blocks ? $same + 1 : 0;
        $blocks = $now;
        return $same == 3;
    });

    return $blocks;
}


blocks_after(10);

my $first = blocks_after(20);

is(blocks_after(30) - $first, 10, 'each call that ran at once is kept');
is(blocks_after(30) - $first, 10, 'and used again');
is(blocks_after(KEPT) - $first, KEPT - 20, 'as many as are kept');
is(blocks_after(KEPT + 1) - $first, KEPT - 20, 'one more is not');
is(blocks_after(150) - $first, KEPT - 20, 'nor many more');

finish();
