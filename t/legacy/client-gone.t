# Clients may leave at any time: no worker dies, no stream, call or look-up
# stays behind, and what was accepted runs once.  docs/PROTOCOL.md 3 and 12.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 2, http => <<'EOT');
    mcp_sse_grace 1s;
    mcp_sse_max_sessions 300;
EOT

# Waits until every worker has seen that a client left: a worker that answers a
# new connection has handled what came before it.

sub noticed { connect_worker($nginx, $_)->close for $nginx->wait_workers }


# Waits until Frappe runs neither a call nor a look-up.

sub idle {
    return run_until(sub { $frappe->stats->{in_flight} == 0 });
}


# the client closes its stream during a call

for my $how (qw(close abort shutdown)) {
    $frappe->reset;

    my $stream = open_stream($nginx);

    accepted(post($nginx, $stream, tool(1, 'hold', { gate => $how,
        key => $how })), "$how: a call is accepted");
    run_until(sub { $frappe->tool_count('hold') == 1 });

    $how eq 'shutdown' ? $stream->conn->shutdown_write : $stream->$how;

    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        "$how: the stream of a client that leaves is no longer counted");
    $frappe->open_gate($how);
    ok(idle(), "$how: the call of a client that leaves ends");
    is($frappe->key_count('hold', $how), 1,
        "$how: the call of a client that leaves runs once");
    is(health($nginx)->{pending_requests}, 0,
        "$how: nothing is pending after the call");
}

# many clients leave while their answers come

{
    $frappe->reset;

    my @streams = open_streams($nginx, 100);

    post($nginx, $_, tool(1, 'sleep', { seconds => 0.5 }), async => 1)
        for @streams;
    run_until(sub { $frappe->tool_count('sleep') == 100 });

    for my $n (0 .. $#streams) {
        $n % 2 ? $streams[$n]->close : $streams[$n]->abort;
        sleep_for(0.01);
    }

    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        '100 streams of clients that leave are no longer counted');
    is($frappe->tool_count('sleep'), 100,
        'each call of the 100 clients runs once');
}

# a client leaves before its stream is open, or in the middle of a POST

{
    $frappe->set(logged_user_hold => 'user');

    my @streams = map { open_stream($nginx, wait => 0,
        auth => MCPTest::credential("user$_")) } 1 .. 20;

    ok(run_until(sub { $frappe->lookups == 20 }),
        'the users of 20 new streams are looked up');
    $_->abort for @streams[0 .. 9];
    $_->close for @streams[10 .. 19];
    noticed();
    $frappe->open_gate('user');
    ok(idle(), 'the look-ups of clients that left end');
    $frappe->reset;
    noticed();
    is(health($nginx)->{active_connections}, 0,
        'no stream opens for a client that left');

    my $stream = open_stream($nginx);
    my $body   = tool(1, 'echo', {});

    for my $cut (0, 1, length($body) - 1) {
        my $conn = connect_to($nginx);

        $conn->send_raw('POST ' . $stream->endpoint . " HTTP/1.1\r\n"
            . "Host: erp.example.com\r\nContent-Type: application/json\r\n"
            . 'Authorization: ' . MCPTest::credential() . "\r\n"
            . 'Content-Length: ' . length($body) . "\r\n\r\n"
            . substr($body, 0, $cut));
        noticed();
        $conn->abort;
    }

    noticed();
    is($frappe->calls, 0, 'a message that is cut short does not run');
    ok(call($nginx, $stream, $body), 'a whole message runs');
    $stream->close;
}

# calls that were accepted and wait run after their client has left

{
    my $nginx  = start_nginx(stream => 'mcp_sse_max_calls 1;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    accepted(post($nginx, $stream, tool($_, 'hold', { gate => 'queue',
        key => "q$_" })),
        "call $_ of a client that leaves is accepted") for 1 .. 4;
    $stream->close;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'the stream is no longer counted while calls wait');
    $frappe->open_gate('queue');
    ok(run_until(sub { $frappe->tool_count('hold') == 4 }),
        'calls that wait run after their client has left');
    ok(run_until(sub { health($nginx)->{pending_requests} == 0 }) && idle(),
        'nothing is pending after calls whose client has left');
    is($frappe->tool_count('hold'), 4,
        'no call of a client that has left runs twice');
}

# nginx quits while a call runs whose client has left

{
    my $stream = open_stream($nginx);

    post($nginx, $stream, tool(1, 'sleep', { seconds => 2 }));
    run_until(sub { $frappe->tool_count('sleep') >= 1 });
    $stream->close;
    ok($nginx->quit, 'nginx quits while a call runs whose client has left');
}

finish();
