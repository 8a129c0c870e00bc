# notifications/cancelled across instances: it acts where the call is, wherever
# it was posted.  docs/PROTOCOL.md 5.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my @nginx  = start_instances(3, redis => $redis, workers => 2,
    http => 'mcp_sse_max_calls 1; mcp_sse_grace 60s;');
my ($here, $there, $third) = @nginx;


sub cancelled {
    my ($id) = @_;

    return notification('notifications/cancelled', { requestId => $id });
}


# a running call: called through one instance, cancelled through another

my $id = 0;

for my $by ([ $there, $there ], [ $there, $third ], [ $here, $there ],
    [ $there, $here ])
{
    my ($caller, $canceller) = @{$by};
    my $name   = sprintf 'called at %d, cancelled at %d',
        map { my $at = $_; grep { $nginx[$_] == $at } 0 .. 2 } @{$by};
    my $stream = open_stream($here);

    $frappe->reset;
    $id++;
    accepted(post($caller, $stream, tool($id, 'hang', {})), "$name: a call");
    ok(run_until(sub { $frappe->tool_count('hang') == 1 }), "$name: runs");

    accepted(post($canceller, $stream, cancelled($id)), "$name: cancelled");
    ok(run_until(sub { $frappe->stats->{aborted} == 1 }),
        "$name: the connection to the backend is closed");
    ok(call($third, $stream, tool(++$id, 'echo', {})),
        "$name: the next call has its place");
    is(scalar($stream->answers($id - 1)), 0, "$name: nothing is sent for it");
    $stream->close;
}

# a call that waits is not started

{
    my $stream  = open_stream($here);
    my $history = MCPTest::History->new(frappe => $frappe);

    $frappe->reset;

    my $first = $history->call($there, $stream, tool => 'hold',
        arguments => { gate => 'first' });

    run_until(sub { $frappe->tool_count('hold') == 1 });

    my @waiting = map { $history->call($there, $stream) } 1 .. 3;

    run_until(sub { !$history->pending });

    accepted(post($third, $stream, cancelled($waiting[1]{id})),
        'one of three waiting calls is cancelled');
    $waiting[1]{silent} = 1;
    $frappe->open_gate('first');

    $history->ok('the others are answered, it is not');

    my %ran = map { $_->{key} => 1 } $frappe->started;

    ok(!$ran{ $waiting[1]{key} }, 'and it never ran');
    ok($ran{ $waiting[2]{key} }, 'the one after it did');
    $stream->close;
}

# not of somebody else, not of another session

{
    my $stream = open_stream($here);
    my $other  = open_stream($here);

    $frappe->reset;
    post($there, $stream, tool(7, 'hold', { gate => 'seven' }));
    run_until(sub { $frappe->tool_count('hold') == 1 });

    is_rejected(post($third, $stream, cancelled(7),
        auth => MCPTest::credential('bob')), 400, -32001,
        'Invalid session ID', 'another principal cannot cancel');
    accepted(post($third, $other, cancelled(7)),
        'an own session cancels its own calls');
    accepted(post($third, $stream, cancelled('"7"')), 'another id');
    $frappe->open_gate('seven');
    ok($stream->wait_answer(7), 'the call is answered');
    $_->close for $stream, $other;
}

# cancelled as soon as it is accepted, many times: never both a run that goes
# on and no answer to another call

{
    my $stream  = open_stream($here);
    my $history = MCPTest::History->new(frappe => $frappe);
    my @conns   = map { connect_to($_) } $there, $third;

    for my $n (1 .. 30) {
        my $post = $history->call($there, $stream, conn => $conns[0],
            tool => 'hang');

        $post->{response}->wait;
        $post->{silent} = 1;
        post($third, $stream, cancelled($post->{id}), conn => $conns[1]);
    }

    ok(call($there, $stream, tool(900, 'echo', {})),
        'after 30 cancelled calls without an end, the next one has its place');
    $history->ok('none of them was answered, none ran twice');
    $_->close for $stream, @conns;
}

finish();
