# Answers of a known length without proxy_buffering, which nginx reads to the
# place where they are collected: in any pieces, of any length, longer than they
# said, and when their call is over already.
# docs/PROTOCOL.md 6.24.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my @steps;
my $backend = start_backend(sub {
    return if $_[0]{path} =~ /get_logged_user/;
    return @steps;
});
my $id = 0;


# An answer of so many bytes, in which each place has other bytes than its
# neighbours.

sub answer {
    my ($size) = @_;

    my ($head, $tail) = ('{"message":{"jsonrpc":"2.0","id":null,"result":"',
        '"}}');
    my $text = join ' ', 1 .. $size / 2 + 1;

    return $head . substr($text, 0, $size - length "$head$tail") . $tail;
}


# The answer in the response of the backend, which has $length for its length.

sub response {
    my ($body, $length) = @_;

    return 'HTTP/1.1 200 OK' . "\r\nContent-Type: application/json"
        . "\r\nContent-Length: " . ($length || length $body) . "\r\n\r\n$body";
}


sub result { return $_[0] =~ /"result":"([^"]*)"/ ? $1 : '' }


sub start {
    my ($call, $http) = @_;

    return start_nginx(backend => $backend->port,
        call => $call,
        http => 'mcp_sse_max_answer 4m; mcp_sse_queue 8m; ' . ($http || ''));
}


for my $size (4096, 32_768, 65_536) {
    my $nginx  = start("proxy_buffer_size $size; proxy_buffers 8 $size;");
    my $stream = open_stream($nginx);

    for my $bytes (100, 4000, 32_600, 65_534 .. 65_538, 98_304, 327_680,
        1_048_576)
    {
        my $body = answer($bytes);

        @steps = (response($body));
        ok(result(call($nginx, $stream, tool(++$id, 'x', {})) || '')
            eq result($body), "proxy_buffer_size $size, $bytes bytes");
    }

    # in pieces

    my $body  = answer(400_000);
    my $polls = 0;

    @steps = map { ($_, sub { ++$polls % 3 == 0 }) }
        unpack '(a19)3 (a70001)3 a*', response($body);
    post($nginx, $stream, tool(++$id, 'x', {}));
    ok(result($stream->wait_answer($id) || '') eq result($body),
        "proxy_buffer_size $size, in pieces");

    # more than the length: the rest is not taken for the next answer

    for my $more ('x', answer(100), 'y' x 100_000) {
        for my $bytes (100, 65_535, 65_536, 300_000) {
            $body = answer($bytes);

            @steps = (response($body . $more, $bytes));
            ok(result(call($nginx, $stream, tool(++$id, 'x', {})) || '')
                eq result($body), "$bytes bytes and " . length($more)
                . ' more: those of the length');

            @steps = (response('{"message":"next"}'));
            like(call($nginx, $stream, tool(++$id, 'x', {})), qr/"next"/,
                'the next answer is another one');
        }
    }

    $stream->close;
}


# the call is over when the second half comes, and lingers

{
    my $nginx = start('', 'mcp_sse_call_timeout 300ms;'
        . ' mcp_sse_backend_calls 1;');
    my $stream = open_stream($nginx);
    my $open   = 0;
    my ($first, $second) = unpack 'a300000 a*', response(answer(900_000));

    @steps = ($first, sub { $open }, $second);
    like(call($nginx, $stream, tool(++$id, 'x', {})), qr/timed out/,
        'a call of which half an answer has come is over');

    $open  = 1;
    @steps = (response(answer(200_000)));
    ok(result(call($nginx, $stream, tool(++$id, 'x', {})) || '')
        eq result(answer(200_000)), 'the next one gets its place and its answer');
    $stream->close;
}

finish();
