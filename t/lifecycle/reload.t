# A reload with open streams: no call ends, idle streams end within
# mcp_sse_drain, busy ones after their answers, and a session keeps the settings
# of its stream.  docs/PROTOCOL.md 4.22, 12.1, 12.2.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 2, http => <<'EOT');
    mcp_sse_max_sessions 300;
    mcp_sse_drain 4s;
    mcp_sse_retry 1500ms;
    mcp_sse_grace 300s;
EOT

# 100 streams, half of them with a call

{
    my @streams = open_streams($nginx, 100);
    my @busy    = @streams[0 .. 49];
    my @idle    = @streams[50 .. 99];

    is(scalar(grep { $_->session } @streams), 100, '100 streams open');

    my @responses = map {
        post($nginx, $_, tool(1, 'hold', { gate => 'busy' }), async => 1)
    } @busy;

    run_until(sub { !grep { !$_->ended } @responses });
    is(scalar(grep { ($_->status || 0) == 202 } @responses), 50,
        '50 calls are accepted');
    ok(run_until(sub { $frappe->tool_count('hold') >= 50 }),
        'all 50 calls run');

    my $from = now();
    my @old  = $nginx->reload;

    # the old workers still get messages for their streams

    my $ping = post($nginx, $busy[0], request(2, 'ping'));

    accepted($ping, 'a message for a stream of an old worker is accepted');
    ok(!(grep { $_ == ($ping->worker || 0) } @old),
        'a new worker accepts a message for an old stream');
    ok($busy[0]->wait_answer(2),
        'a message that a new worker accepts is answered on the old stream');

    ok(run_until(sub { !grep { !$_->ended } @idle }),
        'all idle streams end after a reload');
    is(scalar(grep { $_->ended } @busy), 0,
        'no busy stream ends before its call');
    is(scalar(grep { $_->ended eq 'clean' } @idle), 50,
        'each idle stream ends with its last chunk');
    is(scalar(grep { ($_->retry || 0) == 1500 } @idle), 50,
        'each idle stream has the "retry:" of mcp_sse_retry');

    my %seconds = map { int($_->{done} - $from) => 1 } @idle;

    cmp_ok(scalar keys %seconds, '>', 1,
        'idle streams end at different moments');

    $frappe->open_gate('busy');
    ok(run_until(sub { !grep { !$_->ended } @busy }),
        'all busy streams end when their calls end');
    is(scalar(grep { $_->answers(1) == 1 } @busy), 50,
        'each busy stream has one answer to its call');
    is(scalar(grep { !error_of(($_->answers(1))[0]) } @busy), 50,
        'each of these answers is a result');
    is(scalar(grep { $_->ended eq 'clean' } @busy), 50,
        'each busy stream ends with its last chunk');
    is(scalar(grep { defined $_->retry } @busy), 50,
        'each busy stream has "retry:"');
    is($frappe->tool_count('hold'), 50, 'no call runs twice');

    ok($nginx->wait_gone(\@old), 'the old workers end after their streams');
    ok($nginx->wait_log(qr/SSE connection closed: \w+, [^,]*stop/),
        'the log gives "stopping" as the reason');

    # a session ends with its stream when the server ends the stream

    my $late = post($nginx, $idle[0], request(3, 'ping'));

    is_rejected($late, 400, -32001, 'Invalid session ID',
        'a message for a session that the server ended is 400');

    # clients connect again

    my @again = open_streams($nginx, 20);

    is(scalar(grep { $_->session } @again), 20,
        'new streams open after the reload');
    ok(call($nginx, $again[0], tool(1, 'echo', {})),
        'a call on a new stream is answered');
    is(health($nginx)->{active_connections}, 20,
        '/health counts the new streams');
    $_->close for @again;
    run_until(sub { health($nginx)->{active_connections} == 0 });
}

# clients post while nginx reloads twice: every accepted message is answered

{
    $frappe->reset;

    my @streams = open_streams($nginx, 20);
    my $id = 0;
    my (%accepted, %refused, @posts);
    my $end = now() + 8;
    my $reloads = 0;
    my $from = now();

    # for some seconds, and until both reloads are done

    while (now() < $end || @posts < 200 || $reloads < 2) {

        if ($reloads < 2 && now() - $from > 1 + 3 * $reloads) {
            kill HUP => $nginx->pid;
            $reloads++;
        }

        my @batch;

        for my $n (0 .. $#streams) {
            if ($streams[$n]->ended) {
                $streams[$n] = open_stream($nginx);
            }

            next unless $streams[$n]->session;

            $id++;
            push @batch, [ $streams[$n], $id, post($nginx, $streams[$n],
                tool($id, 'echo', { key => "k$id" }), async => 1) ];
        }

        run_until(sub { !grep { !$_->[2]->ended } @batch });

        push @posts, @batch;
        sleep_for(0.1);
    }

    my @unanswered;
    my %status;

    for my $post (@posts) {
        my ($stream, $n, $response) = @$post;

        $status{ $response->status || 'cut' }++;
        next if ($response->status || 0) != 202;

        my $answer = $stream->wait_answer($n);

        push @unanswered, $n if !defined $answer;
    }

    cmp_ok($status{202} || 0, '>', 100, 'messages are accepted during reloads');
    is_deeply(\@unanswered, [], 'every accepted message is answered');

    # an idle connection may be closed with its worker

    my @odd = grep { !/\A(?:202|400|cut)\z/ } keys %status;

    is_deeply(\@odd, [], 'other messages are 400: their stream has ended')
        or diag(explain(\%status));
    cmp_ok(($status{cut} || 0) * 20, '<', scalar @posts,
        'fewer than one POST in 20 has no answer');

    my %calls = %{ $frappe->stats->{calls} };
    my @twice = grep { $calls{$_} != 1 } keys %calls;

    is_deeply(\@twice, [], 'no call runs twice during reloads');
    is(scalar keys %calls, $status{202},
        'each accepted call runs, no other does');

    $_->close for @streams;
}

# a session keeps the settings of the cycle of its stream

{
    my $nginx  = start_nginx(http => 'mcp_sse_ping_result empty;');
    my $stream = open_stream($nginx);

    post($nginx, $stream, tool(1, 'hold', { gate => 'old' }));
    $nginx->configure(http => 'mcp_sse_ping_result result;');
    $nginx->reload;

    is(call($nginx, $stream, request(2, 'ping')),
        '{"jsonrpc":"2.0","result":{},"id":2}',
        'an old stream keeps its settings after a reload');

    my $new = open_stream($nginx);

    like(call($nginx, $new, request(1, 'ping')) || '', qr/"result":\{"status"/,
        'a new stream has the new settings');
    $frappe->open_gate('old');
    ok($stream->wait_answer(1), 'a call begun before the reload is answered');
    $_->close for $stream, $new;
}

finish();
