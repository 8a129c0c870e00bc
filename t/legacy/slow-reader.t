# A client that does not read loses its stream; nobody else notices.
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

# the queue

{
    my $nginx = start_nginx(config => $config,
        stream => 'mcp_sse_queue 200k; mcp_sse_max_calls 4;');
    my $slow  = open_stream($nginx, rcvbuf => 4096);
    my $other = open_stream($nginx);

    $slow->pause;

    my $id = 0;

    # as many as it takes

    for (1 .. 12) {
        my $response = post($nginx, $slow, tool(++$id, 'big',
            { bytes => 100_000 }));

        last if $response->status != 202;
        run_until(sub { health($nginx)->{active_connections} == 1 }, 0.2);
    }

    ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
        'the stream is dropped');
    ok($nginx->wait_log(qr/SSE connection closed: \w+, [^,]*slow/),
        'the log says why');

    ok(call($nginx, $other, tool(1, 'echo', {})), 'another stream works');
    ok(call($nginx, $other, tool(2, 'big', { bytes => 1_000_000 })),
        'also with large answers');

    $slow->resume;
    ok($slow->wait_ended, 'the client sees the end');
    isnt($slow->ended, 'clean', 'which is not an orderly one');
    is(scalar $slow->of_type('error') + (defined $slow->retry ? 1 : 0), 0,
        'nothing is said about it');
    $other->close;
}

# one event is taken whatever its size

{
    my $nginx  = start_nginx(config => $config,
        stream => 'mcp_sse_queue 16k;');
    my $stream = open_stream($nginx, rcvbuf => 4096);

    ok(call($nginx, $stream, tool(1, 'big', { bytes => 3_000_000 })),
        'an event larger than the queue');
    ok(call($nginx, $stream, tool(2, 'echo', {})), 'and the next one');
    $stream->close;
}

# nothing taken within send_timeout

{
    my $nginx = start_nginx(config => $config, stream => 'send_timeout 2s;');
    my $slow  = open_stream($nginx, rcvbuf => 4096);

    $slow->pause;
    post($nginx, $slow, tool(1, 'big', { bytes => 2_000_000 }));
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'send_timeout ends a stream of which nothing is read');
    $slow->close;

    my $idle = open_stream($nginx);

    sleep_for(4);
    ok(!$idle->ended, 'but not one with nothing to send');
    ok(call($nginx, $idle, request(1, 'ping')), 'it works');
    $idle->close;
}

# slow but reading

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

    ok($stream->wait_answer(1), 'a slow reader that reads is served');
    $stream->close;
}

finish();
