# limit_rate in the location of a stream: nginx' write filter then stops in
# the middle, for a while; the stream has to go on afterwards.

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

    is($stream->status, 200, "limit_rate $rate: a stream");

    for my $round (1 .. ($rate eq '1m' ? 3 : 1)) {
        for my $case (
            [ 'ping', request("\"p$round\"", 'ping') ],
            [ 'a small answer', tool("\"e$round\"", 'echo', {}) ],
            [ '60 kB', tool("\"b$round\"", 'big', { bytes => 60_000 }) ],
            [ 'a ping behind it', request("\"q$round\"", 'ping') ],
        ) {
            my ($name, $message) = @$case;

            ok(call($nginx, $stream, $message),
                "limit_rate $rate, $round: $name");
        }
    }

    # several at once, more than a second's share

    post_many($nginx, $stream,
        map { tool($_, 'big', { bytes => 20_000 }) } 1 .. 4);

    ok(run_until(sub { 4 == grep { $stream->answers($_) } 1 .. 4 }),
        "limit_rate $rate: 4 times 20 kB");
    is(scalar(grep { length(($stream->answers($_))[0] || '') < 20_000 }
        1 .. 4), 0, "limit_rate $rate: whole");

    my $pings = grep { $_->{type} eq 'comment' } $stream->events;

    ok(run_until(sub { $pings < grep { $_->{type} eq 'comment' }
        $stream->events }), "limit_rate $rate: the heartbeat");
    ok(!$stream->ended, "limit_rate $rate: the stream stays");

    # the end of such a stream

    post($nginx, $stream, tool(9, 'big', { bytes => 60_000 }));
    $stream->wait_answer(9);

    my @old = $nginx->reload;

    is($stream->wait_ended, 'clean', "limit_rate $rate: a clean end");
    ok($nginx->wait_gone(\@old), "limit_rate $rate: the worker goes");
}

# a rate that the first block does not fit in, and limit_rate_after

{
    my $nginx  = start_nginx(stream => 'limit_rate_after 1k; limit_rate 4k;');
    my $stream = open_stream($nginx);

    ok($stream->session, 'limit_rate 4k: the first block');
    ok(call($nginx, $stream, tool(1, 'big', { bytes => 9_000 })),
        'limit_rate 4k: 9 kB');
    ok(call($nginx, $stream, request(2, 'ping')), 'limit_rate 4k: and on');
    $stream->close;
}

finish();
