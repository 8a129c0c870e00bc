# limit_rate in the location of a stream: nginx's write filter pauses in the
# middle of the output, and the stream goes on afterwards.
# docs/PROTOCOL.md 13.6.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

for my $rate ('64k', '1m') {
    my $nginx  = start_nginx(stream =>
        "limit_rate $rate; mcp_sse_keepalive 1s;");
    my $stream = open_stream($nginx);

    is($stream->status, 200, "limit_rate $rate: a stream opens");

    for my $round (1 .. ($rate eq '1m' ? 3 : 1)) {
        for my $case (
            [ 'the answer to a ping', request("\"p$round\"", 'ping') ],
            [ 'a small answer', tool("\"e$round\"", 'echo', {}) ],
            [ 'an answer of 60 kB',
                tool("\"b$round\"", 'big', { bytes => 60_000 }) ],
            [ 'the answer to a ping behind it',
                request("\"q$round\"", 'ping') ],
        ) {
            my ($name, $message) = @$case;

            ok(call($nginx, $stream, $message),
                "limit_rate $rate, $round: $name arrives");
        }
    }

    # several answers at once, more than the rate allows in a second

    post_many($nginx, $stream,
        map { tool($_, 'big', { bytes => 20_000 }) } 1 .. 4);

    ok(run_until(sub { 4 == grep { $stream->answers($_) } 1 .. 4 }),
        "limit_rate $rate: four answers of 20 kB arrive");
    is(scalar(grep { length(($stream->answers($_))[0] || '') < 20_000 }
        1 .. 4), 0, "limit_rate $rate: these answers are whole");

    my $pings = grep { $_->{type} eq 'comment' } $stream->events;

    ok(run_until(sub { $pings < grep { $_->{type} eq 'comment' }
        $stream->events }), "limit_rate $rate: heartbeats go on");
    ok(!$stream->ended, "limit_rate $rate: the stream stays open");

    # a reload

    post($nginx, $stream, tool(9, 'big', { bytes => 60_000 }));
    $stream->wait_answer(9);

    my @old = $nginx->reload;

    is($stream->wait_ended, 'clean',
        "limit_rate $rate: a reload ends the stream with its last chunk");
    ok($nginx->wait_gone(\@old), "limit_rate $rate: the old worker ends");
}

# a rate that is too low for the first event, and limit_rate_after

{
    my $nginx  = start_nginx(stream => 'limit_rate_after 1k; limit_rate 4k;');
    my $stream = open_stream($nginx);

    ok($stream->session, 'limit_rate 4k: the first event arrives');
    ok(call($nginx, $stream, tool(1, 'big', { bytes => 9_000 })),
        'limit_rate 4k: an answer of 9 kB arrives');
    ok(call($nginx, $stream, request(2, 'ping')),
        'limit_rate 4k: a ping behind it is answered');
    $stream->close;
}

finish();
