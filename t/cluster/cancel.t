# notifications/cancelled with several instances: it ends the named request at
# the owner of the session, at whichever instance it is posted.
# docs/PROTOCOL.md 5.5, 11.1.

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


# a running call, posted to one instance and cancelled through another

my $id = 0;

for my $by ([ $there, $there ], [ $there, $third ], [ $here, $there ],
    [ $there, $here ])
{
    my ($caller, $canceller) = @{$by};
    my $name   = sprintf 'a call at instance %d, cancelled at %d',
        map { my $at = $_; grep { $nginx[$_] == $at } 0 .. 2 } @{$by};
    my $stream = open_stream($here);

    $frappe->reset;
    $id++;
    accepted(post($caller, $stream, tool($id, 'hang', {})),
        "$name: the call is accepted");
    ok(run_until(sub { $frappe->tool_count('hang') == 1 }),
        "$name: the call runs");

    accepted(post($canceller, $stream, cancelled($id)),
        "$name: the cancellation is accepted");
    ok(run_until(sub { $frappe->stats->{aborted} == 1 }),
        "$name: the connection to Frappe is closed");
    ok(call($third, $stream, tool(++$id, 'echo', {})),
        "$name: the next call runs in its place");
    is(scalar($stream->answers($id - 1)), 0,
        "$name: the cancelled call has no answer");
    $stream->close;
}

# a waiting call that is cancelled is not started

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
        'a cancellation of one of three waiting calls is accepted');
    $waiting[1]{silent} = 1;
    $frappe->open_gate('first');

    $history->ok('the other calls are answered, the cancelled one is not');

    my %ran = map { $_->{key} => 1 } $frappe->started;

    ok(!$ran{ $waiting[1]{key} }, 'a waiting call, once cancelled, never runs');
    ok($ran{ $waiting[2]{key} }, 'the call behind a cancelled one runs');
    $stream->close;
}

# a cancellation from another user or for another session has no effect

{
    my $stream = open_stream($here);
    my $other  = open_stream($here);

    $frappe->reset;
    post($there, $stream, tool(7, 'hold', { gate => 'seven' }));
    run_until(sub { $frappe->tool_count('hold') == 1 });

    is_rejected(post($third, $stream, cancelled(7),
        auth => MCPTest::credential('bob')), 400, -32001,
        'Invalid session ID', 'a cancellation from another user is refused');
    accepted(post($third, $other, cancelled(7)),
        'a cancellation in another session of the user is accepted');
    accepted(post($third, $stream, cancelled('"7"')),
        'a cancellation of an unknown id is accepted');
    $frappe->open_gate('seven');
    ok($stream->wait_answer(7),
        'none of these cancellations ends the call: it is answered');
    $_->close for $stream, $other;
}

# calls that are cancelled as soon as they are accepted: each of them leaves
# its place to the next call

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
        'after 30 cancelled calls that would never end, another one runs');
    $history->ok('no cancelled call is answered, and none runs twice');
    $_->close for $stream, @conns;
}

finish();
