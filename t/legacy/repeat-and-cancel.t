# Repeated ids do not run twice; cancelled calls are not answered.
# docs/PROTOCOL.md 4 and 5.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 2, stream => 'mcp_sse_max_calls 2;');
my $stream = open_stream($nginx);
my ($other) = grep { $_ != $stream->header('X-Worker') }
    $nginx->wait_workers;

sub cancel {
    my ($id, %opt) = @_;

    return post($nginx, $stream, notification('notifications/cancelled',
        { requestId => $id, reason => 'test' }), %opt);
}

# the id of a call that runs

{
    $frappe->reset;
    accepted(post($nginx, $stream, tool(1, 'hold',
        { gate => 'one', key => 'a' })), 'a call');
    ok(run_until(sub { $frappe->tool_count('hold') == 1 }), 'runs');

    accepted(post($nginx, $stream, tool(1, 'sleep',
        { seconds => 0, key => 'b' })), 'its id again: accepted');
    accepted(post($nginx, $stream, request(1, 'ping')),
        'its id for a ping: accepted');
    accepted(post($nginx, $stream, tool(1, 'sleep', { seconds => 0,
        key => 'c' }), worker => $other), 'and from another worker');

    ok(passed($nginx, $stream), 'a ping after all of them');
    is(scalar $stream->answers(1), 0, 'no answer while it runs');
    $frappe->open_gate('one');
    ok($stream->wait_answer(1), 'an answer');
    ok(passed($nginx, $stream), 'and another ping');
    is(scalar $stream->answers(1), 1, 'the only one');
    like(($stream->answers(1))[0], qr/held/, "the first one's");
    is($frappe->tool_count('hold'), 1, 'the tool ran once');
    is($frappe->tool_count('sleep'), 0, 'and no other');

    my $lines = () = $nginx->error_log =~ /\[info\].*(?:repeat|duplicate|already|same id)/gi;

    is($lines, 3, 'an info line for each');

    delete $stream->{answers}{1};
    accepted(post($nginx, $stream, tool(1, 'echo', {})),
        'after its answer the id is free');
    ok($stream->wait_answer(1), 'and answered');

    # the same id in other words

    accepted(post($nginx, $stream, tool('"ab"', 'hold', { gate => 'ab' })),
        'a string id');
    accepted(post($nginx, $stream, tool('"\u0061b"', 'echo', {})),
        'the same, escaped');
    accepted(post($nginx, $stream, tool('"1"', 'echo', {})),
        'a string like a number');
    ok($stream->wait_answer('"1"'), 'the other id is answered');
    $frappe->open_gate('ab');
    ok($stream->wait_answer('"ab"'), 'the first, too');
    ok(passed($nginx, $stream), 'and a ping');
    is(scalar(grep { ($_->{raw_id} || '') eq '"\u0061b"' }
        $stream->messages), 0, 'the repetition is not');
}

# the id of a call that waits for its turn

{
    $frappe->reset;
    post($nginx, $stream, tool($_, 'hold', { gate => 'two' })) for 10, 11;
    ok(run_until(sub { $frappe->tool_count('hold') == 2 }), 'two calls run');
    accepted(post($nginx, $stream, tool(12, 'echo', { key => 'q' })),
        'another one');
    ok(run_until(sub { health($nginx)->{pending_requests} >= 1 }),
        'is pending');
    ok(!$stream->answers(12), 'it waits');
    is($frappe->key_count('echo', 'q'), 0, 'really');
    accepted(post($nginx, $stream, tool(12, 'echo', { key => 'q' })),
        'its id again');
    $frappe->open_gate('two');
    ok($stream->wait_answer($_), "answer $_") for 10, 11, 12;
    ok(passed($nginx, $stream), 'and a ping');
    is(scalar $stream->answers(12), 1, 'one answer');
    is($frappe->key_count('echo', 'q'), 1, 'it ran once');
    is(health($nginx)->{pending_requests}, 0, 'nothing is pending');
}

# the order of arrival

{
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        my ($id) = $_[0]{body} =~ /"id":(\d+)/;
        return 0.02, MCPTest::Backend::http(200,
            qq({"jsonrpc":"2.0","id":$id,"result":{}}));
    });

    my $nginx = start_nginx(backend => $backend->port,
        stream => 'mcp_sse_max_calls 1;');
    my $stream = open_stream($nginx);
    my $conn   = connect_to($nginx);

    post($nginx, $stream, tool($_, 'x', {}), conn => $conn) for 1 .. 30;
    ok($stream->wait_answer(30), 'the last of 30 calls');
    is_deeply([ map { decode($_->{body})->{id} }
        grep { $_->{method} eq 'POST' } $backend->requests ], [ 1 .. 30 ],
        'one after the other in order of arrival');
    $stream->close;
}

# cancelled while it runs

for my $at (undef, $other) {
    my $name = $at ? 'from another worker' : 'from any';

    $frappe->reset;
    delete $stream->{answers}{20};
    post($nginx, $stream, tool(20, 'hang', {}));
    ok(run_until(sub { $frappe->tool_count('hang') == 1 }),
        "$name: a call runs");
    accepted(cancel(20, $at ? (worker => $at) : ()), "$name: cancelled");
    ok(run_until(sub { $frappe->stats->{aborted} >= 1 }),
        "$name: the connection to Frappe is closed");
    ok(passed($nginx, $stream), "$name: a ping");
    is(scalar $stream->answers(20), 0, "$name: no answer");
    is($frappe->count('notifications/cancelled'), 0,
        "$name: the cancellation is not forwarded");
    is(health($nginx)->{pending_requests}, 0, "$name: nothing is pending");
}

# initialize cannot be cancelled

{
    my $cancelled;
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return sub { $cancelled }, MCPTest::Backend::http(200,
            '{"jsonrpc":"2.0","id":1,"result":{"of":"initialize"}}');
    });

    my $nginx  = start_nginx(backend => $backend->port);
    my $stream = open_stream($nginx);

    post($nginx, $stream, request(1, 'initialize', {}));
    ok(run_until(sub { grep { $_->{body} =~ /"initialize"/ }
        $backend->requests }), 'initialize runs');
    accepted(post($nginx, $stream, notification('notifications/cancelled',
        { requestId => 1 })), 'and is cancelled');
    $cancelled = passed($nginx, $stream);
    like($stream->wait_answer(1) || '', qr/"of":"initialize"/,
        'it is answered all the same');
    $stream->close;
}

# cancelled before it runs

{
    $frappe->reset;
    post($nginx, $stream, tool($_, 'hold', { gate => 'before' })) for 30, 31;
    ok(run_until(sub { $frappe->tool_count('hold') == 2 }), 'two calls run');
    post($nginx, $stream, tool(32, 'echo', { key => 'never' }));
    post($nginx, $stream, tool(33, 'echo', { key => 'later' }));
    accepted(cancel(32), 'a waiting call is cancelled');
    $frappe->open_gate('before');
    ok($stream->wait_answer($_), "answer $_") for 30, 31, 33;
    ok(passed($nginx, $stream), 'and a ping');
    is(scalar $stream->answers(32), 0, 'it has no answer');
    is($frappe->key_count('echo', 'never'), 0, 'and did not run');
    is($frappe->key_count('echo', 'later'), 1, 'the next one did');
}

# by type and value

{
    post($nginx, $stream, tool($_, 'hold', { gate => 'type' }))
        for '"40"', 41;
    cancel(40);
    cancel('41');
    post($nginx, $stream, notification('notifications/cancelled', {}));
    post($nginx, $stream, notification('notifications/cancelled'));
    post($nginx, $stream, notification('notifications/cancelled',
        { requestId => undef }));
    post($nginx, $stream, notification('notifications/cancelled',
        { requestId => [] }));
    ok(passed($nginx, $stream), 'a ping after all cancellations');
    $frappe->open_gate('type');
    ok($stream->wait_answer('"40"'), '40 does not cancel "40"');
    ok($stream->wait_answer(41), '"41" does not cancel 41');

    $frappe->reset;
    post($nginx, $stream, tool('"\u0061"', 'hang', {}));
    run_until(sub { $frappe->tool_count('hang') == 1 });
    cancel('a');
    ok(run_until(sub { $frappe->stats->{aborted} == 1 }),
        'escapes do not matter');

    # a place is free again

    post($nginx, $stream, tool(42, 'hang', {}));
    post($nginx, $stream, tool(43, 'hang', {}));
    post($nginx, $stream, tool(44, 'echo', {}));
    cancel(42);
    ok($stream->wait_answer(44), 'a cancelled call makes room');
    cancel(43);
}

# the call comes over another worker, its cancellation over the owner: what
# was accepted first is first

{
    my $owner = $stream->header('X-Worker');
    my ($far, $near) = map { connect_worker($nginx, $_) } $other, $owner;

    $frappe->reset;

    for my $n (1 .. 25) {
        my $id = "\"order $n\"";

        post($nginx, $stream, tool($id, 'hang', {}), conn => $far);
        post($nginx, $stream, notification('notifications/cancelled',
            { requestId => "order $n" }), conn => $near);
    }

    # and the other way round

    for my $n (26 .. 50) {
        my $id = "\"order $n\"";

        post($nginx, $stream, tool($id, 'hang', {}), conn => $near);
        post($nginx, $stream, notification('notifications/cancelled',
            { requestId => "order $n" }), conn => $far);
    }

    ok(call($nginx, $stream, tool('"after"', 'echo', {})),
        'calls without an end, each cancelled over another worker at once');
    ok(run_until(sub {
        my $stats = $frappe->stats;
        return $stats->{aborted} == ($stats->{tools}{hang} || 0);
    }), 'all that have started are aborted');
    is(scalar(grep { $stream->answers("\"order $_\"") } 1 .. 50), 0,
        'none is answered');
    is(health($nginx)->{pending_requests}, 0, 'none is left');
    $_->close for $far, $near;
}

# another session's calls are out of reach

{
    my $second = open_stream($nginx);

    post($nginx, $stream, tool(50, 'hold', { gate => 'fifty' }));
    post($nginx, $second, notification('notifications/cancelled',
        { requestId => 50 }));
    ok(passed($nginx, $_), 'a ping after it') for $second, $stream;
    $frappe->open_gate('fifty');
    ok($stream->wait_answer(50), "another session's call stays");
    $second->close;
}

# cancelled and used again at once

{
    $frappe->reset;
    delete $stream->{answers}{60};
    post($nginx, $stream, tool(60, 'hang', {}));
    run_until(sub { $frappe->tool_count('hang') == 1 });
    cancel(60);
    run_until(sub { $frappe->stats->{aborted} == 1 });
    accepted(post($nginx, $stream, tool(60, 'echo', {})),
        'the id of a cancelled call is free');
    ok($stream->wait_answer(60), 'and answered');
}

ok(!$stream->ended, 'the stream is still open');
$stream->close;

finish();
