# Many requests whose bodies do not end: their memory is bounded for each user
# and worker.  docs/PROTOCOL.md 1.16.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(http =>
    'mcp_sse_max_message 64k; client_body_timeout 300s; mcp_sse_max_calls 20;');
my $stream = open_stream($nginx);
my $length = 64 * 1024;


# The beginning of a POST; what is missing of its body is kept for finish_body.

sub begin {
    my ($path, %opt) = @_;

    my $conn = connect_to($nginx);
    my $body = request($opt{id} || 1, 'ping');

    $body .= ' ' x ($length - length $body);

    my $response = $conn->request('POST', $path,
        host    => 'erp.example.com',
        headers => [ 'Content-Type', 'application/json',
            Accept => 'application/json',
            Authorization => MCPTest::credential($opt{user}),
            $opt{chunked} ? ('Transfer-Encoding', 'chunked')
                          : ('Content-Length', $length) ],
        body => $opt{chunked} ? sprintf "%x\r\n%s", $length - 1,
            substr $body, 0, $opt{chunked} : substr $body, 0, 1);

    $response->{conn} = $conn;
    $response->{rest} = substr $body, 1;

    # the worker answers this when it has handled what came before

    connect_to($nginx)->get('/pid');

    return $response;
}


sub finish_body { $_[0]{conn}->send_raw($_[0]{rest}); return $_[0]->wait }


for my $path ($stream->endpoint, '/mcp') {
    my $good = $path eq '/mcp' ? 200 : 202;
    my @open = map { begin($path, id => $_) } 1 .. 8;

    is(scalar(grep { $_->ended } @open), 0,
        "$path: eight bodies of mcp_sse_max_message may be unfinished");
    my $more = begin($path);

    $more->wait;
    is_rejected($more, 429, -32004, 'Too many messages',
        "$path: one more is refused before its body has come");
    ok($more->header('Retry-After'), "$path: the refusal has Retry-After");

    my $chunked = begin($path, chunked => 40_000);

    $chunked->wait;
    is($chunked->status, 429, "$path: chunks are counted, too");

    is(post($nginx, $stream, request(20, 'ping'))->status, 202,
        "$path: a message that comes whole is accepted all the same");

    my $bob = begin('/mcp', user => 'bob');

    ok(!$bob->ended, "$path: another user has a limit of their own");
    finish_body($bob);
    is($bob->status, 200, "$path: the other user is answered");

    finish_body($open[0]);
    is($open[0]->status, $good, "$path: a body that ends is accepted");

    push @open, begin($path, id => 9);
    ok(!$open[-1]->ended, "$path: then there is room for one more");

    $open[1]{conn}->close;
    push @open, begin($path, id => 10);
    ok(!$open[-1]->ended, "$path: a client that leaves makes room as well");

    finish_body($_) for @open[2 .. $#open];
    is(scalar(grep { $_->status == $good } @open[2 .. $#open]), 8,
        "$path: all bodies that end are accepted");
    $_->{conn}->close for @open, $more, $chunked, $bob;
}

ok($nginx->wait_log(qr/refused with 429, "Too many messages": unfinished/),
    'the log says why');

finish();
