# Limits of a session: calls beyond mcp_sse_max_calls wait, messages beyond
# mcp_sse_max_inbox are refused.  docs/PROTOCOL.md 4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

# calls beyond mcp_sse_max_calls wait

{
    my $nginx  = start_nginx(stream => 'mcp_sse_max_calls 2;');
    my $stream = open_stream($nginx);

    my @responses = post_many($nginx, $stream,
        map { tool($_, 'sleep', { seconds => 0.3 }) } 1 .. 10);

    is(scalar(grep { ($_->status || 0) == 202 } @responses), 10,
        'calls beyond mcp_sse_max_calls are accepted');
    ok($stream->wait_answer($_), "call $_ of 10 is answered") for 1 .. 10;
    cmp_ok($frappe->stats->{max_in_flight}, '<=', 2,
        'not more than mcp_sse_max_calls run at once');
    $stream->close;
}

# notifications do not wait for calls

{
    my $nginx  = start_nginx(stream => 'mcp_sse_max_calls 1;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    post($nginx, $stream, tool(1, 'hang', {}));
    ok(run_until(sub { $frappe->tool_count('hang') == 1 }),
        'a call runs and mcp_sse_max_calls is reached');
    accepted(post($nginx, $stream, notification('notifications/x')),
        'a notification is accepted meanwhile');
    ok(run_until(sub { $frappe->count('notifications/x') }),
        'the notification reaches Frappe while the call runs');
    $stream->close;
}

# more messages than mcp_sse_max_inbox

for my $where (qw(own other)) {
    my $nginx = start_nginx(workers => 2, http => 'mcp_sse_max_inbox 5;',
        stream => 'mcp_sse_max_calls 1;');
    my $stream  = open_stream($nginx);
    my $owner   = $stream->header('X-Worker');
    my ($other) = grep { $_ != $owner } $nginx->wait_workers;
    my $conn    = connect_worker($nginx, $where eq 'own' ? $owner : $other);

    $frappe->reset;
    accepted(post($nginx, $stream, tool(1, 'hold', { gate => $where }),
        conn => $conn), "$where worker: the call that runs is accepted");
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

    cmp_ok($taken, '>=', 5,
        "$where worker: mcp_sse_max_inbox messages are accepted");
    cmp_ok($taken, '<=', 6, "$where worker: at most one more is accepted");
    is_deeply([ grep { $_ != 202 } @status ],
        [ (429) x (14 - $taken) ], "$where worker: further messages are 429");

    my ($full) = grep { ($_->status || 0) == 429 } @got;

    if ($full) {
        is_rejected($full, 429, -32004, 'Too many messages',
            "$where worker: 429 has the error \"Too many messages\"");
        is($full->header('Retry-After'), 1,
            "$where worker: 429 has Retry-After: 1");
    }

    # a batch is accepted whole or not at all

    my $batch = post($nginx, $stream, '[' . join(',',
        map { tool("\"b$_\"", 'echo', { key => "b$_" }) } 1 .. 4) . ']',
        conn => $conn);

    is($batch->status, 429, "$where worker: a batch that does not fit is 429");
    is(metrics($nginx)->{'nginx_mcp_sse_handovers_total{path="'
        . ($where eq 'own' ? 'own' : 'zone') . '"}'}, 1 + $taken,
        "$where worker: what is refused does not count as handed over");
    $frappe->open_gate($where);

    for my $n (0 .. $#got) {
        next if $status[$n] != 202;

        my $id = $n + 2;

        ok($stream->wait_answer($id),
            "$where worker: accepted call $id is answered");
    }

    ok(passed($nginx, $stream), "$where worker: a later ping is answered");

    my %ran = %{ $frappe->stats->{calls} };

    is(scalar keys %ran, $taken,
        "$where worker: a message that was 429 does not run");

    accepted(post($nginx, $stream, tool(100, 'echo', {}), conn => $conn),
        "$where worker: a message is accepted when there is room again");
    ok($stream->wait_answer(100), "$where worker: that message is answered");

    my $second = open_stream($nginx);

    ok(call($nginx, $second, tool(1, 'echo', {})),
        "$where worker: another session of the user works");
    $_->close for $stream, $second;
}

# large messages of one session leave room in the zone for others

{
    my $nginx = start_nginx(workers => 2, stream => 'mcp_sse_max_calls 1;');
    my $stream  = open_stream($nginx);
    my $owner   = $stream->header('X-Worker');
    my ($other) = grep { $_ != $owner } $nginx->wait_workers;
    my $conn    = connect_worker($nginx, $other);
    my $second  = open_stream($nginx, worker => $owner);

    # the worker of the streams is stopped and takes nothing from its inbox

    kill STOP => $owner;

    my @status;

    for my $id (1 .. 12) {
        push @status, post($nginx, $stream, tool($id, 'echo',
            { text => 'x' x 900_000 }), conn => $conn)->status;
    }

    ok((grep { $_ == 429 } @status),
        'large messages of one session are 429 beyond its share of the zone');
    is($status[0], 202, 'the first large message is accepted');

    accepted(post($nginx, $second, request(1, 'ping'), conn => $conn),
        'a message of another session is accepted meanwhile');

    kill CONT => $owner;

    ok($second->wait_answer(1), 'the message of another session is answered');

    for my $id (grep { $status[$_ - 1] == 202 } 1 .. 12) {
        ok($stream->wait_answer($id), "accepted large message $id is answered");
    }

    $_->close for $stream, $second;
}

finish();
