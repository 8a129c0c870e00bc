# A request whose id is in use does not run; a cancelled request is not
# answered.  docs/PROTOCOL.md 4 and 5.

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

# the id of a call that runs is used again

{
    $frappe->reset;
    accepted(post($nginx, $stream, tool(1, 'hold',
        { gate => 'one', key => 'a' })), 'a call is accepted');
    ok(run_until(sub { $frappe->tool_count('hold') == 1 }), 'the call runs');

    accepted(post($nginx, $stream, tool(1, 'sleep',
        { seconds => 0, key => 'b' })), 'another call with its id is accepted');
    accepted(post($nginx, $stream, request(1, 'ping')),
        'a ping with its id is accepted');
    accepted(post($nginx, $stream, tool(1, 'sleep', { seconds => 0,
        key => 'c' }), worker => $other),
        'a call with its id is accepted at another worker');

    ok(passed($nginx, $stream), 'a ping with another id is answered');
    is(scalar $stream->answers(1), 0,
        'the id is not answered while the first call runs');
    $frappe->open_gate('one');
    ok($stream->wait_answer(1), 'the id is answered when the first call ends');
    ok(passed($nginx, $stream), 'a ping after the answer is answered');
    is(scalar $stream->answers(1), 1, 'the id is answered once');
    like(($stream->answers(1))[0], qr/held/,
        'the answer is that of the first call');
    is($frappe->tool_count('hold'), 1, 'the first call runs once');
    is($frappe->tool_count('sleep'), 0, 'no other call with its id runs');

    my $lines = () = $nginx->error_log =~ /\[info\].*(?:repeat|duplicate|already|same id)/gi;

    is($lines, 3, 'the log has a line for each repeated id');

    delete $stream->{answers}{1};
    accepted(post($nginx, $stream, tool(1, 'echo', {})),
        'the id is accepted again after its answer');
    ok($stream->wait_answer(1), 'the new call with the id is answered');

    # the same id in another spelling

    accepted(post($nginx, $stream, tool('"ab"', 'hold', { gate => 'ab' })),
        'a call with a string id is accepted');
    accepted(post($nginx, $stream, tool('"\u0061b"', 'echo', {})),
        'a call with the same id, written with an escape, is accepted');
    accepted(post($nginx, $stream, tool('"1"', 'echo', {})),
        'a call with the id "1" is accepted');
    ok($stream->wait_answer('"1"'), 'the call with the id "1" is answered');
    $frappe->open_gate('ab');
    ok($stream->wait_answer('"ab"'),
        'the first call with a string id is answered');
    ok(passed($nginx, $stream), 'a ping after it is answered');
    is(scalar(grep { ($_->{raw_id} || '') eq '"\u0061b"' }
        $stream->messages), 0, 'the call with the escaped id is not answered');

    # lone surrogates: each is decoded to U+FFFD

    accepted(post($nginx, $stream,
        tool('"\ud800"', 'hold', { gate => 'lone' })),
        'a call whose id is a lone surrogate is accepted');
    accepted(post($nginx, $stream, tool('"\udfff"', 'echo', {})),
        'a call with another one, which is decoded to the same, is accepted');
    ok(passed($nginx, $stream), 'a ping after it is answered');
    $frappe->open_gate('lone');
    ok($stream->wait_answer('"\ud800"'),
        'the first call with a lone surrogate is answered');
    is(scalar(grep { ($_->{raw_id} || '') eq '"\udfff"' }
        $stream->messages), 0, 'the call with the other one is not answered');
}

# the id of a call that waits is used again

{
    $frappe->reset;
    post($nginx, $stream, tool($_, 'hold', { gate => 'two' })) for 10, 11;
    ok(run_until(sub { $frappe->tool_count('hold') == 2 }),
        'mcp_sse_max_calls calls run');
    accepted(post($nginx, $stream, tool(12, 'echo', { key => 'q' })),
        'one more call is accepted');
    ok(run_until(sub { health($nginx)->{pending_requests} >= 1 }),
        'the call that waits is pending');
    ok(!$stream->answers(12), 'the call that waits is not answered');
    is($frappe->key_count('echo', 'q'), 0, 'the call that waits has not run');
    accepted(post($nginx, $stream, tool(12, 'echo', { key => 'q' })),
        'a call with the id of the one that waits is accepted');
    $frappe->open_gate('two');
    ok($stream->wait_answer($_), "call $_ is answered") for 10, 11, 12;
    ok(passed($nginx, $stream), 'a ping after them is answered');
    is(scalar $stream->answers(12), 1,
        'the id that came twice is answered once');
    is($frappe->key_count('echo', 'q'), 1, 'the call that waited runs once');
    is(health($nginx)->{pending_requests}, 0,
        'nothing is pending after the calls');
}

# calls that wait run in the order of arrival

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
    ok($stream->wait_answer(30), 'the last of 30 calls is answered');
    is_deeply([ map { decode($_->{body})->{id} }
        grep { $_->{method} eq 'POST' } $backend->requests ], [ 1 .. 30 ],
        'calls that wait run in the order of arrival');
    $stream->close;
}

# a call is cancelled while it runs

for my $at (undef, $other) {
    my $name = $at ? 'cancelled at another worker' : 'cancelled at any worker';

    $frappe->reset;
    delete $stream->{answers}{20};
    post($nginx, $stream, tool(20, 'hang', {}));
    ok(run_until(sub { $frappe->tool_count('hang') == 1 }),
        "$name: a call runs");
    accepted(cancel(20, $at ? (worker => $at) : ()),
        "$name: the cancellation is accepted");
    ok(run_until(sub { $frappe->stats->{aborted} >= 1 }),
        "$name: the connection to Frappe is closed");
    ok(passed($nginx, $stream),
        "$name: a ping after the cancellation is answered");
    is(scalar $stream->answers(20), 0, "$name: the call is not answered");
    is($frappe->count('notifications/cancelled'), 0,
        "$name: the cancellation does not go to Frappe");
    is(health($nginx)->{pending_requests}, 0, "$name: nothing is pending");
}

# a cancellation does not end initialize

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
        { requestId => 1 })), 'a cancellation of initialize is accepted');
    $cancelled = passed($nginx, $stream);
    like($stream->wait_answer(1) || '', qr/"of":"initialize"/,
        'initialize is answered after its cancellation');
    $stream->close;
}

# a call is cancelled before it runs

{
    $frappe->reset;
    post($nginx, $stream, tool($_, 'hold', { gate => 'before' })) for 30, 31;
    ok(run_until(sub { $frappe->tool_count('hold') == 2 }),
        'mcp_sse_max_calls calls run, others wait');
    post($nginx, $stream, tool(32, 'echo', { key => 'never' }));
    post($nginx, $stream, tool(33, 'echo', { key => 'later' }));
    accepted(cancel(32), 'the cancellation of a call that waits is accepted');
    $frappe->open_gate('before');
    ok($stream->wait_answer($_),
        "call $_, which is not cancelled, is answered") for 30, 31, 33;
    ok(passed($nginx, $stream), 'a ping after the answers is answered');
    is(scalar $stream->answers(32), 0,
        'the call that was cancelled while it waited is not answered');
    is($frappe->key_count('echo', 'never'), 0,
        'the call that was cancelled while it waited does not run');
    is($frappe->key_count('echo', 'later'), 1, 'the call behind it runs');
}

# a cancellation names its request by type and value

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
    ok(passed($nginx, $stream), 'a ping after the cancellations is answered');
    $frappe->open_gate('type');
    ok($stream->wait_answer('"40"'), 'a cancellation of 40 does not end "40"');
    ok($stream->wait_answer(41), 'a cancellation of "41" does not end 41');

    $frappe->reset;
    post($nginx, $stream, tool('"\u0061"', 'hang', {}));
    run_until(sub { $frappe->tool_count('hang') == 1 });
    cancel('a');
    ok(run_until(sub { $frappe->stats->{aborted} == 1 }),
        'a cancellation of "a" ends "\\u0061"');

    # a call that waits runs when one is cancelled

    post($nginx, $stream, tool(42, 'hang', {}));
    post($nginx, $stream, tool(43, 'hang', {}));
    post($nginx, $stream, tool(44, 'echo', {}));
    cancel(42);
    ok($stream->wait_answer(44),
        'a call that waits runs when a running one is cancelled');
    cancel(43);
}

# the call is posted to another worker, its cancellation to the worker of the
# stream: they are handled in the order in which they were accepted

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

    # the call to the worker of the stream, its cancellation to the other

    for my $n (26 .. 50) {
        my $id = "\"order $n\"";

        post($nginx, $stream, tool($id, 'hang', {}), conn => $near);
        post($nginx, $stream, notification('notifications/cancelled',
            { requestId => "order $n" }), conn => $far);
    }

    ok(call($nginx, $stream, tool('"after"', 'echo', {})),
        '50 calls, each cancelled at once at another worker, block nothing');
    ok(run_until(sub {
        my $stats = $frappe->stats;
        return $stats->{aborted} == ($stats->{tools}{hang} || 0);
    }), 'each of the 50 calls that has started is aborted');
    is(scalar(grep { $stream->answers("\"order $_\"") } 1 .. 50), 0,
        'none of the 50 cancelled calls is answered');
    is(health($nginx)->{pending_requests}, 0,
        'none of the 50 cancelled calls is pending');
    $_->close for $far, $near;
}

# a cancellation in another session

{
    my $second = open_stream($nginx);

    post($nginx, $stream, tool(50, 'hold', { gate => 'fifty' }));
    post($nginx, $second, notification('notifications/cancelled',
        { requestId => 50 }));
    ok(passed($nginx, $_),
        'a ping after the cancellation is answered') for $second, $stream;
    $frappe->open_gate('fifty');
    ok($stream->wait_answer(50),
        'a cancellation does not end a call of another session');
    $second->close;
}

# the id of a cancelled call is used again at once

{
    $frappe->reset;
    delete $stream->{answers}{60};
    post($nginx, $stream, tool(60, 'hang', {}));
    run_until(sub { $frappe->tool_count('hang') == 1 });
    cancel(60);
    run_until(sub { $frappe->stats->{aborted} == 1 });
    accepted(post($nginx, $stream, tool(60, 'echo', {})),
        'a call with the id of a cancelled one is accepted');
    ok($stream->wait_answer(60),
        'the call with the id of a cancelled one is answered');
}

ok(!$stream->ended, 'the stream stays open');
$stream->close;

finish();
