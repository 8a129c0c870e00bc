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
    accepted(post($nginx, $stream, tool(1, 'sleep',
        { seconds => 2, key => 'a' })), 'a call');
    ok(run_until(sub { $frappe->tool_count('sleep') == 1 }, 10), 'runs');

    accepted(post($nginx, $stream, tool(1, 'sleep',
        { seconds => 0, key => 'b' })), 'its id again: accepted');
    accepted(post($nginx, $stream, request(1, 'ping')),
        'its id for a ping: accepted');
    accepted(post($nginx, $stream, tool(1, 'sleep', { seconds => 0,
        key => 'c' }), worker => $other), 'and from another worker');

    ok($stream->wait_answer(1, 15), 'an answer');
    sleep_for(0.5);
    is(scalar $stream->answers(1), 1, 'the only one');
    like(($stream->answers(1))[0], qr/slept/, "the first one's");
    is($frappe->tool_count('sleep'), 1, 'the tool ran once');

    my $lines = () = $nginx->error_log =~ /\[info\].*(?:repeat|duplicate|already|same id)/gi;

    is($lines, 3, 'an info line for each');

    delete $stream->{answers}{1};
    accepted(post($nginx, $stream, tool(1, 'echo', {})),
        'after its answer the id is free');
    ok($stream->wait_answer(1, 10), 'and answered');

    # the same id in other words

    accepted(post($nginx, $stream, tool('"ab"', 'sleep', { seconds => 1 })),
        'a string id');
    accepted(post($nginx, $stream, tool('"\u0061b"', 'echo', {})),
        'the same, escaped');
    accepted(post($nginx, $stream, tool('"1"', 'echo', {})),
        'a string like a number');
    ok($stream->wait_answer('"ab"', 10), 'the first is answered');
    ok($stream->wait_answer('"1"', 10), 'the other id, too');
    sleep_for(0.3);
    is(scalar(grep { ($_->{raw_id} || '') eq '"\u0061b"' }
        $stream->messages), 0, 'the repetition is not');
}

# the id of a call that waits for its turn

{
    $frappe->reset;
    post($nginx, $stream, tool(10, 'sleep', { seconds => 2 }));
    post($nginx, $stream, tool(11, 'sleep', { seconds => 2 }));
    accepted(post($nginx, $stream, tool(12, 'echo', { key => 'q' })),
        'a call that waits');
    ok(!$stream->answers(12), 'it waits');
    is($frappe->key_count('echo', 'q'), 0, 'really');
    cmp_ok(health($nginx)->{pending_requests}, '>=', 1,
        'and counts as pending');
    accepted(post($nginx, $stream, tool(12, 'echo', { key => 'q' })),
        'its id again');
    ok($stream->wait_answer($_, 15), "answer $_") for 10, 11, 12;
    sleep_for(0.5);
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
    ok($stream->wait_answer(30, 20), 'the last of 30 calls');
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
    ok(run_until(sub { $frappe->tool_count('hang') == 1 }, 10),
        "$name: a call runs");
    accepted(cancel(20, $at ? (worker => $at) : ()), "$name: cancelled");
    ok(run_until(sub { $frappe->stats->{aborted} >= 1 }, 10),
        "$name: the connection to Frappe is closed");
    sleep_for(0.5);
    is(scalar $stream->answers(20), 0, "$name: no answer");
    is($frappe->count('notifications/cancelled'), 0,
        "$name: the cancellation is not forwarded");
    is(health($nginx)->{pending_requests}, 0, "$name: nothing is pending");
}

# initialize cannot be cancelled

{
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return 1, MCPTest::Backend::http(200,
            '{"jsonrpc":"2.0","id":1,"result":{"of":"initialize"}}');
    });

    my $nginx  = start_nginx(backend => $backend->port);
    my $stream = open_stream($nginx);

    post($nginx, $stream, request(1, 'initialize', {}));
    ok(run_until(sub { grep { $_->{body} =~ /"initialize"/ }
        $backend->requests }, 10), 'initialize runs');
    accepted(post($nginx, $stream, notification('notifications/cancelled',
        { requestId => 1 })), 'and is cancelled');
    like($stream->wait_answer(1, 10) || '', qr/"of":"initialize"/,
        'it is answered all the same');
    $stream->close;
}

# cancelled before it runs

{
    $frappe->reset;
    post($nginx, $stream, tool(30, 'sleep', { seconds => 2 }));
    post($nginx, $stream, tool(31, 'sleep', { seconds => 2 }));
    post($nginx, $stream, tool(32, 'echo', { key => 'never' }));
    post($nginx, $stream, tool(33, 'echo', { key => 'later' }));
    accepted(cancel(32), 'a waiting call is cancelled');
    ok($stream->wait_answer($_, 15), "answer $_") for 30, 31, 33;
    sleep_for(0.5);
    is(scalar $stream->answers(32), 0, 'it has no answer');
    is($frappe->key_count('echo', 'never'), 0, 'and did not run');
    is($frappe->key_count('echo', 'later'), 1, 'the next one did');
}

# by type and value

{
    post($nginx, $stream, tool('"40"', 'sleep', { seconds => 1 }));
    post($nginx, $stream, tool(41, 'sleep', { seconds => 1 }));
    cancel(40);
    cancel('41');
    post($nginx, $stream, notification('notifications/cancelled', {}));
    post($nginx, $stream, notification('notifications/cancelled'));
    post($nginx, $stream, notification('notifications/cancelled',
        { requestId => undef }));
    post($nginx, $stream, notification('notifications/cancelled',
        { requestId => [] }));
    ok($stream->wait_answer('"40"', 10), '40 does not cancel "40"');
    ok($stream->wait_answer(41, 10), '"41" does not cancel 41');

    post($nginx, $stream, tool('"\u0061"', 'hang', {}));
    cancel('a');
    sleep_for(0.5);
    is(health($nginx)->{pending_requests}, 0, 'escapes do not matter');

    # a place is free again

    post($nginx, $stream, tool(42, 'hang', {}));
    post($nginx, $stream, tool(43, 'hang', {}));
    post($nginx, $stream, tool(44, 'echo', {}));
    cancel(42);
    ok($stream->wait_answer(44, 10), 'a cancelled call makes room');
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

        post($nginx, $stream, tool($id, 'sleep', { seconds => 0.4 }),
            conn => $far);
        post($nginx, $stream, notification('notifications/cancelled',
            { requestId => "order $n" }), conn => $near);
    }

    # and the other way round

    for my $n (26 .. 50) {
        my $id = "\"order $n\"";

        post($nginx, $stream, tool($id, 'sleep', { seconds => 0.4 }),
            conn => $near);
        post($nginx, $stream, notification('notifications/cancelled',
            { requestId => "order $n" }), conn => $far);
    }

    ok(call($nginx, $stream, tool('"after"', 'echo', {})),
        'calls, each cancelled over another worker at once');
    sleep_for(0.8);
    is(scalar(grep { $stream->answers("\"order $_\"") } 1 .. 50), 0,
        'none is answered');
    is(health($nginx)->{pending_requests}, 0, 'none is left');
    $_->close for $far, $near;
}

# another session's calls are out of reach

{
    my $second = open_stream($nginx);

    post($nginx, $stream, tool(50, 'sleep', { seconds => 1 }));
    post($nginx, $second, notification('notifications/cancelled',
        { requestId => 50 }));
    ok($stream->wait_answer(50, 10), "another session's call stays");
    $second->close;
}

# cancelled and used again at once

{
    $frappe->reset;
    delete $stream->{answers}{60};
    post($nginx, $stream, tool(60, 'hang', {}));
    run_until(sub { $frappe->tool_count('hang') == 1 }, 10);
    cancel(60);
    sleep_for(0.3);
    accepted(post($nginx, $stream, tool(60, 'echo', {})),
        'the id of a cancelled call is free');
    ok($stream->wait_answer(60, 10), 'and answered');
}

ok(!$stream->ended, 'the stream is still open');
$stream->close;

finish();
