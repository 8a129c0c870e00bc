# Clients that have sent a request and left before the worker reads it: the
# worker is stopped meanwhile, so that request and end arrive together.  The
# request is served, and nothing waits for a client.  docs/PROTOCOL.md 12.14.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(mcp => 'mcp_sse_stream_after 300s;',
    http => 'mcp_sse_grace 300s; mcp_sse_auth_cache 300s; '
        . 'mcp_sse_auth_wait 300s;');

my ($pid) = $nginx->wait_workers;
my $lost  = open_stream($nginx);
my $id    = session_id($nginx);
my $bob   = MCPTest::credential('bob');

$lost->close;
run_until(sub { health($nginx)->{active_connections} == 0 });


sub descriptors { return scalar(my @all = glob "/proc/$pid/fd/*") }


# What is left behind when the worker has handled all.

sub left {
    my ($want) = @_;

    return run_until(sub { descriptors() <= $want });
}


for my $case (
    [ 'GET /mcp/sse', 'GET', '/mcp/sse' ],
    [ 'GET /mcp', 'GET', '/mcp', [ 'Mcp-Session-Id' => $id ] ],
    [ 'a POST that waits for its stream', 'POST', $lost->endpoint, [],
        request(1, 'ping') ],
    [ 'a POST that waits for Frappe', 'POST', '/mcp', [],
        tool(1, 'hold', { gate => 'never' }) ],
    [ 'one that becomes a stream at once', 'POST', '/mcp',
        [ Accept => 'text/event-stream' ],
        tool(2, 'hold', { gate => 'never' }) ],
    [ 'a GET that waits for its user', 'GET', '/mcp/sse',
        [ Authorization => $bob ] ],
) {
    my ($name, $method, $path, $headers, $body) = @$case;

    $frappe->reset;
    $frappe->set(logged_user_hold => 'user') if $name =~ /its user/;

    # connections to Frappe that are kept

    sleep_for(0.3);
    my $before = descriptors();

    my @conns;

    kill STOP => $pid;

    for my $n (1 .. 3) {
        my $conn = connect_to($nginx);

        $conn->request($method, $path, host => 'erp.example.com',
            headers => $name =~ /its user/ ? $headers
                : [ Authorization => MCPTest::credential(),
                    @{ $headers || [] } ],
            body => $body);

        # the first answer to a closed connection brings an error, to one that
        # is half closed it does not

        push @conns, $conn;
        $n == 1 ? $conn->close : $conn->shutdown_write;
    }

    kill CONT => $pid;

    # the connections of calls that run are those to Frappe

    my $calls = $name =~ /waits for Frappe|at once/ ? 3
        : $name =~ /its user/ ? 1 : 0;

    run_until(sub { $frappe->tool_count('hold') == 3 })
        if $calls == 3;
    run_until(sub { $frappe->lookups }) if $calls == 1;

    ok(left($before + $calls), "$name: the connections are closed")
        or diag(descriptors() . " - $before");
    is(health($nginx)->{active_connections}, 0, "$name: no stream is open");
    is(metrics($nginx)->{nginx_mcp_sse_posts_held}, 0,
        "$name: no POST waits");

    $_->close for @conns;
    $frappe->open_gate($_) for 'never', 'user';
    run_until(sub { metrics($nginx)->{nginx_mcp_sse_calls_running} == 0 });
}

ok($nginx->quit, 'the worker ends');

finish();
