# A client that does not read loses its stream; other clients do not notice.
# docs/PROTOCOL.md 3.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $config = sub {
    my ($self) = @_;

    my $text = $self->template;

    $text =~ s/(listen 127\.0\.0\.1:\d+)/$1 sndbuf=16k/;

    return $text;
};

# more output than mcp_sse_queue waits for the client

{
    my $nginx = start_nginx(config => $config,
        stream => 'mcp_sse_queue 200k; mcp_sse_max_calls 4;');
    my $slow  = open_stream($nginx, rcvbuf => 4096);
    my $other = open_stream($nginx);

    $slow->pause;

    my $id = 0;

    # as many calls as it takes

    for (1 .. 12) {
        my $response = post($nginx, $slow, tool(++$id, 'big',
            { bytes => 100_000 }));

        last if $response->status != 202;
        run_until(sub { health($nginx)->{active_connections} == 1 }, 0.2);
    }

    ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
        'a stream with more than mcp_sse_queue unread is dropped');
    ok($nginx->wait_log(qr/SSE connection closed: \w+, [^,]*slow/),
        'the log says that the reader is slow');

    ok(call($nginx, $other, tool(1, 'echo', {})), 'another stream is answered');
    ok(call($nginx, $other, tool(2, 'big', { bytes => 1_000_000 })),
        'another stream gets a large answer');

    $slow->resume;
    ok($slow->wait_ended, 'the slow client sees the end of its stream');
    isnt($slow->ended, 'clean', 'the dropped stream has no last chunk');
    is(scalar $slow->of_type('error') + (defined $slow->retry ? 1 : 0), 0,
        'the dropped stream has no event: error and no retry:');
    $other->close;
}

# a single event may be larger than mcp_sse_queue

{
    my $nginx  = start_nginx(config => $config,
        stream => 'mcp_sse_queue 16k;');
    my $stream = open_stream($nginx, rcvbuf => 4096);

    ok(call($nginx, $stream, tool(1, 'big', { bytes => 3_000_000 })),
        'an event larger than mcp_sse_queue is sent');
    ok(call($nginx, $stream, tool(2, 'echo', {})),
        'the event after a large one is sent');
    $stream->close;
}

# the client takes no byte for send_timeout

{
    my $nginx = start_nginx(config => $config, stream => 'send_timeout 3s;');
    my $slow  = open_stream($nginx, rcvbuf => 4096);

    $slow->pause;
    post($nginx, $slow, tool(1, 'big', { bytes => 2_000_000 }));
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'a stream of which nothing is read for send_timeout is dropped');
    $slow->close;

    my $idle = open_stream($nginx);

    # one that was behind and has caught up has send_timeout no more

    my $caught = open_stream($nginx, rcvbuf => 4096);

    $caught->pause;
    post($nginx, $caught, tool(1, 'big', { bytes => 400_000 }));
    run_until(sub { @{[ $nginx->_slurp('audit.log') =~ /"id":"1"/g ]} == 2 });
    $caught->resume;
    ok($caught->wait_answer(1), 'a client that was behind catches up');

    sleep_for(4);
    ok(!$caught->ended, 'send_timeout does not end its stream afterwards');
    ok(call($nginx, $caught, request(2, 'ping')), 'and it works');
    $caught->close;
    ok(!$idle->ended,
        'send_timeout does not end a stream with nothing to send');
    ok(call($nginx, $idle, request(1, 'ping')),
        'a stream that was silent for send_timeout works');
    $idle->close;
}

# the client reads slowly

{
    my $nginx  = start_nginx(config => $config, stream => 'send_timeout 5s;');
    my $stream = open_stream($nginx, rcvbuf => 4096);

    post($nginx, $stream, tool(1, 'big', { bytes => 600_000 }));

    for (1 .. 8) {
        $stream->pause;
        sleep_for(1);
        $stream->resume;
        sleep_for(0.02);
    }

    ok($stream->wait_answer(1), 'a client that reads slowly gets its answer');
    $stream->close;
}

finish();
