# An array of messages is accepted whole or not at all, and each of its
# requests is answered in an event of its own.  docs/PROTOCOL.md 4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 2, http => 'mcp_sse_max_inbox 150;');
my $stream = open_stream($nginx);
my ($owner, @others) = ($stream->header('X-Worker'));

@others = grep { $_ != $owner } $nginx->wait_workers;

for my $at ($owner, @others) {
    my $name = $at == $owner ? 'at its own worker' : 'at another worker';

    $frappe->reset;
    $stream->{answers}  = {};
    $stream->{messages} = [];

    accepted(post($nginx, $stream, '[' . join(',',
        request(1, 'ping'),
        request(2, 'tools/list', {}),
        notification('notifications/initialized'),
        tool('"c"', 'echo', { text => 'x' }),
        '{"jsonrpc":"2.0","id":4,"result":{}}',
        request(5, 'no/such', {}),
        notification('notifications/roots/list_changed'),
    ) . ']', worker => $at),
    "$name: requests, notifications and responses are accepted");

    ok($stream->wait_answer($_), "$name: request $_ is answered")
        for 1, 2, '"c"', 5;
    ok(passed($nginx, $stream), "$name: a later ping is answered");
    is(scalar $stream->messages, 4,
        "$name: each request is answered in an event of its own");
    is(scalar(grep { ref decode($_->{data}) ne 'HASH' } $stream->messages),
        0, "$name: each event has an object");

    # a batch has at most 100 messages

    my $before = length $stream->{raw};

    $stream->{answers} = {};
    accepted(post($nginx, $stream, [ map { { jsonrpc => '2.0', id => $_,
        method => 'ping' } } 1 .. 100 ], worker => $at),
        "$name: 100 messages are accepted");
    ok($stream->wait_answer($_),
        "$name: message $_ of 100 is answered") for 1, 50, 100;

    my $n      = $stream->messages;
    my @chunks = substr($stream->{raw}, $before) =~ /^[0-9a-f]+\r\n/mg;

    is(scalar @chunks, 1, "$name: answers known at once are sent in one write");

    is_rejected(post($nginx, $stream, [ map { { jsonrpc => '2.0', id => $_,
        method => 'ping' } } 1 .. 101 ], worker => $at), 400, -32600,
        'Invalid Request', "$name: 101 messages are refused");

    # one invalid message refuses the whole batch

    $frappe->reset;
    is_rejected(post($nginx, $stream, '[' . tool(200, 'echo', {}) . ','
        . '{"jsonrpc":"2.0","method":"tools/call"}]', worker => $at), 400,
        -32600, 'Invalid Request',
        "$name: a batch with one invalid message is refused");
    ok(passed($nginx, $stream),
        "$name: a ping after the refused batch is answered");
    is($frappe->calls, 0, "$name: no message of the refused batch runs");
    is(scalar $stream->messages, $n,
        "$name: no message of the refused batch is answered");

    # a batch of one message, with blanks around and within it

    accepted(post($nginx, $stream, " [\r\n " . request(300, 'ping')
        . "\r\n] ", worker => $at),
        "$name: a batch of one message is accepted");
    ok($stream->wait_answer(300),
        "$name: the batch of one message is answered");

    # a batch of notifications only

    accepted(post($nginx, $stream, '['
        . notification('notifications/initialized') . ']', worker => $at),
        "$name: a batch of one notification is accepted");

    # a batch with the same id twice gets one answer

    accepted(post($nginx, $stream, '[' . tool(400, 'echo', { key => "a$at" })
        . ',' . tool(400, 'echo', { key => "b$at" }) . ']', worker => $at),
        "$name: a batch with the same id twice is accepted");
    ok($stream->wait_answer(400), "$name: the id that comes twice is answered");
    ok(passed($nginx, $stream), "$name: a ping after that batch is answered");
    is(scalar $stream->answers(400), 1,
        "$name: the id that comes twice is answered once");
    is($frappe->key_count('echo', "a$at"), 1,
        "$name: the first request of the same id runs");
    is($frappe->key_count('echo', "b$at"), 0,
        "$name: the second request of the same id does not run");
}

$stream->close;

finish();
