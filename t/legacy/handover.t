# A POST may arrive at any worker: its answer comes exactly once, on the stream
# of its session.  docs/PROTOCOL.md 3 and 4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe  = start_frappe();
my $nginx   = start_nginx(workers => 4, http => 'mcp_sse_max_sessions 200;');
my @workers = $nginx->wait_workers;

is(scalar @workers, 4, 'nginx runs four workers');

# each worker has a stream, and each worker gets a POST for each stream

{
    my %stream = map { $_ => open_stream($nginx, worker => $_) } @workers;
    my %conn   = map { $_ => connect_worker($nginx, $_) } @workers;

    my $n = 0;
    my %expected;

    for my $owner (@workers) {
        is($stream{$owner}->header('X-Worker'), $owner,
            "a stream opens at worker $owner");

        for my $at (@workers) {
            my $response = post($nginx, $stream{$owner},
                tool(++$n, 'echo', { text => "m$n" }), conn => $conn{$at});

            is(($response->worker || 0) . ' ' . $response->status,
                "$at 202",
                "worker $at accepts a POST for a stream of worker $owner");
            push @{ $expected{$owner} }, $n;
        }
    }

    for my $owner (@workers) {
        for my $id (@{ $expected{$owner} }) {
            like($stream{$owner}->wait_answer($id) || '', qr/m$id\b/,
                "call $id gets its own answer");
        }

        is_deeply([ sort { $a <=> $b } keys %{ $stream{$owner}{answers} } ],
            $expected{$owner},
            "the stream of worker $owner has exactly its own answers");
    }

    # a message of 300 kB

    my ($here, $there) = @workers[0, 1];
    my $text = join '', map { chr(97 + $_ % 26) } 1 .. 300_000;

    accepted(post($nginx, $stream{$here}, tool(1000, 'echo',
        { text => $text }), conn => $conn{$there}),
        'a message of 300 kB for another worker is accepted');
    ok(index($stream{$here}->wait_answer(1000) || '', $text) >= 0,
        'the answer of 300 kB comes back whole');

    # the order of messages from one client

    post($nginx, $stream{$here}, request(2000 + $_, 'ping'),
        conn => $conn{$there}) for 1 .. 50;
    $stream{$here}->wait_answer(2050);
    is_deeply([ grep { $_ > 2000 } map { $_->{raw_id} }
        grep { defined $_->{raw_id} } $stream{$here}->messages ],
        [ 2001 .. 2050 ],
        'pings over another worker are answered in their order');

    # the worker of the stream is woken for each message; without that it would
    # look once a second

    my $from = now();

    call($nginx, $stream{$here}, request(3000 + $_, 'ping'),
        conn => $conn{$there}) for 1 .. 20;
    is(scalar(grep { $stream{$here}->answers(3000 + $_) } 1 .. 20), 20,
        '20 pings over another worker, one after the other, are answered');
    cmp_ok(now() - $from, '<', 19,
        '20 pings take less time than with one look a second');

    $_->close for values %stream;
    $_->close for values %conn;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# 100 sessions, and POSTs from all workers at the same time

{
    $frappe->reset;

    my @streams = open_streams($nginx, 100);
    my @opened  = grep { defined $_->session } @streams;

    is(scalar @opened, 100, '100 streams open');
    is(health($nginx)->{active_connections}, 100,
        '/health counts the streams of all workers');

    my %owners = map { $_->header('X-Worker') => 1 } @opened;

    cmp_ok(scalar keys %owners, '>', 1, 'the streams are spread over workers');

    my %conn = map { $_ => connect_worker($nginx, $_) } @workers;
    my (@responses, $id);

    for my $worker (@workers) {
        for my $stream (@opened) {
            $id++;
            push @responses, post($nginx, $stream,
                tool($id, 'echo', { text => "t$id" }),
                conn => $conn{$worker}, async => 1);
            push @{ $stream->{expected} }, $id;
        }
    }

    ok(run_until(sub { !grep { !$_->ended } @responses }),
        '400 POSTs get their responses');
    is(scalar(grep { ($_->status || 0) == 202 } @responses), 400,
        'all 400 POSTs are accepted');

    ok(run_until(sub {
        return !grep { $_->messages < 4 } @opened;
    }), 'all 400 answers come');

    ok(!(grep { !passed($nginx, $_) } @opened),
        'a later ping on each stream is answered');

    my (@wrong, @foreign);

    for my $stream (@opened) {
        for my $id (@{ $stream->{expected} }) {
            my @answers = $stream->answers($id);

            push @wrong, $id if @answers != 1 || $answers[0] !~ /t$id\b/;
        }

        push @foreign, grep { $_ != 4 } scalar $stream->messages;
    }

    is_deeply(\@wrong, [],
        'each call is answered exactly once, on its own stream');
    is_deeply(\@foreign, [], 'no stream has another message');
    is($frappe->count('tools/call'), 400, 'each call runs once');

    $_->close for @opened, values %conn;

    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'no stream is left after the clients close');
}

finish();
