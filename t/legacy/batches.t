# An array of messages is accepted whole or not at all, and answered as
# separate events.  docs/PROTOCOL.md 4.

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
    my $name = $at == $owner ? 'own worker' : 'another worker';

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
    ) . ']', worker => $at), "$name: a batch is accepted");

    ok($stream->wait_answer($_), "$name: $_ is answered")
        for 1, 2, '"c"', 5;
    ok(passed($nginx, $stream), "$name: and a ping");
    is(scalar $stream->messages, 4, "$name: in events of their own");
    is(scalar(grep { ref decode($_->{data}) ne 'HASH' } $stream->messages),
        0, "$name: each an object");

    # of 100, all are accepted; of 101 none

    my $before = length $stream->{raw};

    $stream->{answers} = {};
    accepted(post($nginx, $stream, [ map { { jsonrpc => '2.0', id => $_,
        method => 'ping' } } 1 .. 100 ], worker => $at), "$name: 100");
    ok($stream->wait_answer($_), "answer $_") for 1, 50, 100;

    my $n      = $stream->messages;
    my @chunks = substr($stream->{raw}, $before) =~ /^[0-9a-f]+\r\n/mg;

    is(scalar @chunks, 1, "$name: in one write");

    is_rejected(post($nginx, $stream, [ map { { jsonrpc => '2.0', id => $_,
        method => 'ping' } } 1 .. 101 ], worker => $at), 400, -32600,
        'Invalid Request', "$name: 101");

    # one bad message refuses all

    $frappe->reset;
    is_rejected(post($nginx, $stream, '[' . tool(200, 'echo', {}) . ','
        . '{"jsonrpc":"2.0","method":"tools/call"}]', worker => $at), 400,
        -32600, 'Invalid Request', "$name: one bad message");
    ok(passed($nginx, $stream), "$name: a ping");
    is($frappe->calls, 0, "$name: nothing of it ran");
    is(scalar $stream->messages, $n, "$name: nothing was answered");

    # a batch of one, and one with blanks

    accepted(post($nginx, $stream, " [\r\n " . request(300, 'ping')
        . "\r\n] ", worker => $at), "$name: a batch of one");
    ok($stream->wait_answer(300), "$name: is answered");

    # notifications only

    accepted(post($nginx, $stream, '['
        . notification('notifications/initialized') . ']', worker => $at),
        "$name: a batch of a notification");

    # the same id twice in it: one answer

    accepted(post($nginx, $stream, '[' . tool(400, 'echo', { key => "a$at" })
        . ',' . tool(400, 'echo', { key => "b$at" }) . ']', worker => $at),
        "$name: the same id twice");
    ok($stream->wait_answer(400), "$name: is answered");
    ok(passed($nginx, $stream), "$name: and a ping");
    is(scalar $stream->answers(400), 1, "$name: once");
    is($frappe->key_count('echo', "a$at"), 1, "$name: the first ran");
    is($frappe->key_count('echo', "b$at"), 0, "$name: the second did not");
}

$stream->close;

finish();
