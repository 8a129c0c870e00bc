# The 202 of a message is sent before Frappe is called: neither the 202 nor the
# next request on the same connection waits for the call.  docs/PROTOCOL.md 4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx();
my $stream = open_stream($nginx);
my $conn   = connect_to($nginx);

# three POSTs on one connection, while the call of the first one runs

{
    my $first = post($nginx, $stream, tool(1, 'hold', { gate => 'slow' }),
        conn => $conn);

    accepted($first, 'the call of a slow tool is accepted');
    ok(!$stream->answers(1), 'the 202 is sent before the slow tool has ended');

    my $second = post($nginx, $stream, request(2, 'tools/list', {}),
        conn => $conn);

    accepted($second,
        'the next POST on the connection is accepted while the tool runs');
    ok($stream->wait_answer(2),
        'the request of the next POST is answered while the tool runs');

    my $third = post($nginx, $stream, request(3, 'ping'), conn => $conn);

    accepted($third, 'a ping on the same connection is accepted');
    ok($stream->wait_answer(3), 'the ping is answered while the tool runs');
    ok(!$stream->answers(1), 'the slow tool has no answer yet');
    ok(!$conn->{closed}, 'the connection of the POSTs stays open');
    $frappe->open_gate('slow');
    ok($stream->wait_answer(1), 'the slow tool is answered when it ends');
    is(scalar $stream->answers(1), 1, 'the slow tool is answered once');
}

# pipelined POSTs on one connection

{
    my @responses = map {
        post($nginx, $stream, tool(10 + $_, 'sleep', { seconds => 1 }),
            conn => $conn, async => 1)
    } 1 .. 5;

    ok(run_until(sub { !grep { !$_->ended } @responses }),
        '5 pipelined POSTs get their responses');
    accepted($_, 'a pipelined POST is accepted') for @responses;
    ok($stream->wait_answer(10 + $_),
        "pipelined call $_ is answered on the stream") for 1 .. 5;
}

# the client closes the connection of the POST after the 202

{
    my $leaving = connect_to($nginx);

    accepted(post($nginx, $stream, tool(20, 'sleep', { seconds => 1 }),
        conn => $leaving), 'a POST is accepted before its connection closes');
    $leaving->abort;
    ok($stream->wait_answer(20),
        'the answer comes after the connection of the POST has closed');
}

# calls of one session run at the same time

{
    $frappe->reset;
    post_many($nginx, $stream,
        map { tool(30 + $_, 'hold', { gate => 'parallel' }) } 1 .. 8);

    ok(run_until(sub { $frappe->tool_count('hold') == 8 }),
        '8 calls of one session run at the same time');
    $frappe->open_gate('parallel');
    ok($stream->wait_answer(30 + $_),
        "parallel call $_ is answered") for 1 .. 8;
}

$stream->close;

finish();
