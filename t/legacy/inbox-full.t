# Messages accepted and not yet started are bounded; calls beyond
# mcp_sse_max_calls wait.  docs/PROTOCOL.md 4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

# calls beyond mcp_sse_max_calls are no error

{
    my $nginx  = start_nginx(stream => 'mcp_sse_max_calls 2;');
    my $stream = open_stream($nginx);

    my @responses = post_many($nginx, $stream,
        map { tool($_, 'sleep', { seconds => 0.3 }) } 1 .. 10);

    is(scalar(grep { ($_->status || 0) == 202 } @responses), 10,
        '10 calls, 2 at a time: all accepted');
    ok($stream->wait_answer($_), "answer $_") for 1 .. 10;
    cmp_ok($frappe->stats->{max_in_flight}, '<=', 2,
        'not more than 2 ran at once');
    $stream->close;
}

# notifications do not wait for a place

{
    my $nginx  = start_nginx(stream => 'mcp_sse_max_calls 1;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    post($nginx, $stream, tool(1, 'hang', {}));
    ok(run_until(sub { $frappe->tool_count('hang') == 1 }),
        'the only place is taken');
    accepted(post($nginx, $stream, notification('notifications/x')),
        'a notification');
    ok(run_until(sub { $frappe->count('notifications/x') }),
        'reaches Frappe, while the call runs');
    $stream->close;
}

# more than mcp_sse_max_inbox

for my $where (qw(own other)) {
    my $nginx = start_nginx(workers => 2, http => 'mcp_sse_max_inbox 5;',
        stream => 'mcp_sse_max_calls 1;');
    my $stream  = open_stream($nginx);
    my $owner   = $stream->header('X-Worker');
    my ($other) = grep { $_ != $owner } $nginx->wait_workers;
    my $conn    = connect_worker($nginx, $where eq 'own' ? $owner : $other);

    $frappe->reset;
    accepted(post($nginx, $stream, tool(1, 'hold', { gate => $where }),
        conn => $conn), "$where worker: a call");
    run_until(sub { $frappe->tool_count('hold') == 1 });

    my @got;

    for my $id (2 .. 15) {
        my $response = post($nginx, $stream, tool($id, 'echo',
            { key => "k$id" }), conn => $conn);

        push @got, $response;
        sleep_for(0.05);
    }

    my @status = map { $_->status || 0 } @got;
    my $taken  = grep { $_ == 202 } @status;

    cmp_ok($taken, '>=', 5, "$where worker: as many as there is room");
    cmp_ok($taken, '<=', 6, "$where worker: and not many more");
    is_deeply([ grep { $_ != 202 } @status ],
        [ (429) x (14 - $taken) ], "$where worker: then 429");

    my ($full) = grep { ($_->status || 0) == 429 } @got;

    if ($full) {
        is_rejected($full, 429, -32004, 'Too many messages',
            "$where worker: its error");
        is($full->header('Retry-After'), 1, "$where worker: Retry-After: 1");
    }

    # a batch is taken whole or not at all

    my $batch = post($nginx, $stream, '[' . join(',',
        map { tool("\"b$_\"", 'echo', { key => "b$_" }) } 1 .. 4) . ']',
        conn => $conn);

    is($batch->status, 429, "$where worker: a batch without room");
    $frappe->open_gate($where);

    for my $n (0 .. $#got) {
        next if $status[$n] != 202;

        my $id = $n + 2;

        ok($stream->wait_answer($id), "$where worker: answer $id");
    }

    ok(passed($nginx, $stream), "$where worker: a ping");

    my %ran = %{ $frappe->stats->{calls} };

    is(scalar keys %ran, $taken, "$where worker: what had 429 did not run");

    accepted(post($nginx, $stream, tool(100, 'echo', {}), conn => $conn),
        "$where worker: there is room again");
    ok($stream->wait_answer(100), "$where worker: answered");

    my $second = open_stream($nginx);

    ok(call($nginx, $second, tool(1, 'echo', {})),
        "$where worker: others are not affected");
    $_->close for $stream, $second;
}

# large messages of one session do not take the zone from others

{
    my $nginx = start_nginx(workers => 2, stream => 'mcp_sse_max_calls 1;');
    my $stream  = open_stream($nginx);
    my $owner   = $stream->header('X-Worker');
    my ($other) = grep { $_ != $owner } $nginx->wait_workers;
    my $conn    = connect_worker($nginx, $other);
    my $second  = open_stream($nginx, worker => $owner);

    # the owner does not look at its inbox meanwhile

    kill STOP => $owner;

    my @status;

    for my $id (1 .. 12) {
        push @status, post($nginx, $stream, tool($id, 'echo',
            { text => 'x' x 900_000 }), conn => $conn)->status;
    }

    ok((grep { $_ == 429 } @status), 'large messages of one session: 429');
    is($status[0], 202, 'but always one');

    accepted(post($nginx, $second, request(1, 'ping'), conn => $conn),
        'another session has room');

    kill CONT => $owner;

    ok($second->wait_answer(1), 'and is answered');

    for my $id (grep { $status[$_ - 1] == 202 } 1 .. 12) {
        ok($stream->wait_answer($id), "answer $id");
    }

    $_->close for $stream, $second;
}

finish();
