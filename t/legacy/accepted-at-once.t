# A message is accepted before Frappe is called: neither its own 202 nor the
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

# three POSTs on one connection while a tool runs

{
    my $first = post($nginx, $stream, tool(1, 'hold', { gate => 'slow' }),
        conn => $conn);

    accepted($first, 'a slow tool is accepted');
    ok(!$stream->answers(1), 'before it has an answer');

    my $second = post($nginx, $stream, request(2, 'tools/list', {}),
        conn => $conn);

    accepted($second, 'the next message on the same connection is accepted');
    ok($stream->wait_answer(2), 'and answered');

    my $third = post($nginx, $stream, request(3, 'ping'), conn => $conn);

    accepted($third, 'and a ping');
    ok($stream->wait_answer(3), 'which is answered');
    ok(!$stream->answers(1), 'all before the slow tool has ended');
    ok(!$conn->{closed}, 'the connection is kept');
    $frappe->open_gate('slow');
    ok($stream->wait_answer(1), 'then the slow tool is answered');
    is(scalar $stream->answers(1), 1, 'once');
}

# pipelined on one connection

{
    my @responses = map {
        post($nginx, $stream, tool(10 + $_, 'sleep', { seconds => 1 }),
            conn => $conn, async => 1)
    } 1 .. 5;

    ok(run_until(sub { !grep { !$_->ended } @responses }),
        '5 pipelined POSTs are answered');
    accepted($_, 'accepted') for @responses;
    ok($stream->wait_answer(10 + $_), "call $_ is answered") for 1 .. 5;
}

# the connection of the POST may go at once

{
    my $leaving = connect_to($nginx);

    accepted(post($nginx, $stream, tool(20, 'sleep', { seconds => 1 }),
        conn => $leaving), 'accepted');
    $leaving->abort;
    ok($stream->wait_answer(20),
        'the answer comes though the connection of the POST is gone');
}

# many calls run at the same time

{
    $frappe->reset;
    post_many($nginx, $stream,
        map { tool(30 + $_, 'hold', { gate => 'parallel' }) } 1 .. 8);

    ok(run_until(sub { $frappe->tool_count('hold') == 8 }),
        'calls do not wait for one another');
    $frappe->open_gate('parallel');
    ok($stream->wait_answer(30 + $_), "parallel call $_") for 1 .. 8;
}

$stream->close;

finish();
