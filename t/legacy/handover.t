# A POST may land on any worker; the answer comes on the stream, wherever that
# is, exactly once.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe  = start_frappe();
my $nginx   = start_nginx(workers => 4, http => 'mcp_sse_max_sessions 200;');
my @workers = $nginx->wait_workers;

is(scalar @workers, 4, 'four workers');

# one stream on each worker, a POST from each worker to each of them

{
    my %stream = map { $_ => open_stream($nginx, worker => $_) } @workers;
    my %conn   = map { $_ => connect_worker($nginx, $_) } @workers;

    my $n = 0;
    my %expected;

    for my $owner (@workers) {
        is($stream{$owner}->header('X-Worker'), $owner,
            "the stream is at worker $owner");

        for my $at (@workers) {
            my $response = post($nginx, $stream{$owner},
                tool(++$n, 'echo', { text => "m$n" }), conn => $conn{$at});

            is(($response->worker || 0) . ' ' . $response->status,
                "$at 202", "POST at $at for $owner");
            push @{ $expected{$owner} }, $n;
        }
    }

    for my $owner (@workers) {
        for my $id (@{ $expected{$owner} }) {
            like($stream{$owner}->wait_answer($id) || '', qr/m$id\b/,
                "answer $id");
        }

        is_deeply([ sort { $a <=> $b } keys %{ $stream{$owner}{answers} } ],
            $expected{$owner}, 'every answer on its own stream');
    }

    # one of 300 kB, over the bus in the other direction

    my ($here, $there) = @workers[0, 1];
    my $text = join '', map { chr(97 + $_ % 26) } 1 .. 300_000;

    accepted(post($nginx, $stream{$here}, tool(1000, 'echo',
        { text => $text }), conn => $conn{$there}),
        'a message of 300 kB for another worker');
    ok(index($stream{$here}->wait_answer(1000) || '', $text) >= 0,
        'arrives whole');

    # order of local answers of one producer

    post($nginx, $stream{$here}, request(2000 + $_, 'ping'),
        conn => $conn{$there}) for 1 .. 50;
    $stream{$here}->wait_answer(2050);
    is_deeply([ grep { $_ > 2000 } map { $_->{raw_id} }
        grep { defined $_->{raw_id} } $stream{$here}->messages ],
        [ 2001 .. 2050 ], 'messages of one client keep their order');

    # the owner is woken: it does not find them when it looks once a second

    my $from = now();

    call($nginx, $stream{$here}, request(3000 + $_, 'ping'),
        conn => $conn{$there}) for 1 .. 20;
    is(scalar(grep { $stream{$here}->answers(3000 + $_) } 1 .. 20), 20,
        '20 pings for another worker, one after the other');
    cmp_ok(now() - $from, '<', 19,
        'take less than they would if nobody woke it');

    $_->close for values %stream;
    $_->close for values %conn;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# 100 sessions, POSTs from all workers at once

{
    $frappe->reset;

    my @streams = open_streams($nginx, 100);
    my @opened  = grep { defined $_->session } @streams;

    is(scalar @opened, 100, '100 streams');
    is(health($nginx)->{active_connections}, 100, 'counted over all workers');

    my %owners = map { $_->header('X-Worker') => 1 } @opened;

    cmp_ok(scalar keys %owners, '>', 1, 'not all at one worker');

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
        '400 POSTs are answered');
    is(scalar(grep { ($_->status || 0) == 202 } @responses), 400,
        'all of them 202');

    ok(run_until(sub {
        return !grep { $_->messages < 4 } @opened;
    }), 'all answers came');

    ok(!(grep { !passed($nginx, $_) } @opened), 'and a ping on each stream');

    my (@wrong, @foreign);

    for my $stream (@opened) {
        for my $id (@{ $stream->{expected} }) {
            my @answers = $stream->answers($id);

            push @wrong, $id if @answers != 1 || $answers[0] !~ /t$id\b/;
        }

        push @foreign, grep { $_ != 4 } scalar $stream->messages;
    }

    is_deeply(\@wrong, [], 'each answered exactly once, on its own stream');
    is_deeply(\@foreign, [], 'and nothing else came');
    is($frappe->count('tools/call'), 400, 'each tool ran once');

    $_->close for @opened, values %conn;

    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'no streams are left');
}

finish();
