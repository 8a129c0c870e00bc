# Streams and messages over TLS with HTTP/1.0, HTTP/1.1 and HTTP/2, and over
# HTTP/2 without TLS: other filters and buffers of nginx, the same protocol.
# docs/PROTOCOL.md 1.15, 6.3, 7.5, 13.5.

use strict;
use warnings;

use File::Temp ();

use lib 't/lib';
use MCPTest;
use MCPTest::H2;
use Test::More;

my $frappe = start_frappe();
my $dir    = File::Temp->newdir;

system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 '
    . "-subj /CN=erp.example.com -keyout '$dir/key' -out '$dir/cert' "
    . '2>/dev/null') == 0 or BAIL_OUT('openssl makes no certificate');

my ($tls, $plain) = map { MCPTest::Nginx::free_port() } 1, 2;
my $quiet = 'mcp_sse_keepalive off;';

my $nginx = start_nginx(
    workers => 2,
    http    => 'mcp_sse_drain 1s; mcp_sse_retry 1500ms;',
    server  => <<"EOT",
        listen 127.0.0.1:$tls ssl http2 sndbuf=32k reuseport;
        listen 127.0.0.1:$plain http2 sndbuf=32k reuseport;
        ssl_certificate $dir/cert;
        ssl_certificate_key $dir/key;
EOT
    stream  => $quiet,
    message => $quiet,
    locations => <<'EOT');
        location = /mcp { mcp_sse_http; }
        location = /beat { mcp_sse_keepalive 1s; mcp_sse_stream; }
        location = /narrow {
            mcp_sse_queue 100k;
            mcp_sse_max_calls 4;
            mcp_sse_stream;
        }
EOT

my %connect = (
    'TLS, HTTP/1.1' => sub {
        return MCPTest::Conn->connect_to($tls, tls => 1);
    },
    'TLS, HTTP/2'   => sub { return MCPTest::H2->connect_to($tls, tls => 1) },
    'HTTP/2'        => sub { return MCPTest::H2->connect_to($plain) },
);

$connect{'TLS, HTTP/1.0'} = $connect{'TLS, HTTP/1.1'};

my %open;


# Waits until /health counts $n streams.

sub left {
    my ($n) = @_;

    return run_until(sub { health($nginx)->{active_connections} == $n });
}


for my $way (sort keys %connect) {
    my @version = $way =~ /1\.0/ ? (version => '1.0') : ();
    my $http2   = $way =~ /HTTP\/2/;
    my $stream  = open_stream($nginx, conn => $connect{$way}->(), @version);

    # without heartbeats, no later output could flush the first event

    is($stream->status, 200, "$way: the stream is 200");
    like($stream->first_block || '', qr/\Aid:\ (\S+)\nevent:\ endpoint
        \ndata:\ \/mcp\/messages\?session_id=\1\n\n\z/x,
        "$way: the first event arrives at once");
    is(scalar $stream->events, 1, "$way: no other event arrives");

    if (!$http2) {
        like($stream->{reads}[0][1], qr/\AHTTP.*event: endpoint.*\n\n/s,
            "$way: headers and first event arrive in one piece");
        is($stream->header('Content-Type'), 'text/event-stream',
            "$way: Content-Type is text/event-stream");
        is($stream->header('Transfer-Encoding'),
            @version ? undef : 'chunked', "$way: Transfer-Encoding is right");
    }

    # messages come in the same way, on a keep-alive connection

    my $conn = $connect{$way}->();

    for my $case (
        [ 'ping', request(1, 'ping') ],
        [ 'tools/call', tool(2, 'echo', { text => 'over TLS' }) ],
        [ 'a call of 20 kB', tool(3, 'echo', { text => 'y' x 20_000 }) ],
        [ 'a call of 500 kB', tool(4, 'echo', { text => 'z' x 500_000 }) ],
    ) {
        my ($name, $message) = @$case;

        if (@version) {
            $conn->close;
            $conn = $connect{$way}->();
        }

        accepted(post($nginx, $stream, $message, conn => $conn, @version),
            "$way: $name is accepted");
        ok($stream->wait_answer(raw_id($message)), "$way: $name is answered");
    }

    is($frappe->last_headers->{'x-forwarded-proto'},
        $way =~ /TLS/ ? 'https' : 'http', "$way: X-Forwarded-Proto is right");

    # of HTTP/2 only the status is decoded

    if (!$http2) {
        my $denied = post($nginx, undef, request(1, 'ping'), path => '/mcp',
            auth => undef, conn => $connect{$way}->(), @version);

        like($denied->header('WWW-Authenticate') || '',
            qr/resource_metadata="https:/,
            "$way: the challenge names a document at https");
    }

    my $refused = post($nginx, 'x', request(1, 'ping'),
        conn => $connect{$way}->(), @version);

    is($refused->status . ' ' . $refused->body, '400 {"jsonrpc":"2.0",'
        . '"id":null,"error":{"code":-32001,"message":"Invalid session ID"}}',
        "$way: a message with a bad session id is 400");
    is(open_stream($nginx, conn => $connect{$way}->(), @version,
        auth => undef)->status, 401, "$way: GET without a credential is 401");

    # large answers, whole and in order

    my $big = call($nginx, $stream, tool(5, 'big', { bytes => 8_000_000 })) || '';

    my ($letters) = $big =~ /"(x{1000,})\b/;

    is(length($letters || ''), 8_000_000, "$way: an answer of 8 MB is whole");
    ok(members($big), "$way: an answer of 8 MB is in order");
    ok(call($nginx, $stream, request(6, 'ping')),
        "$way: a ping behind it is answered");

    # several answers at once

    post_many($nginx, $stream,
        map { tool("1$_", 'big', { bytes => 100_000 }) } 0 .. 9);
    ok(run_until(sub { 10 == grep { $stream->answers("1$_") } 0 .. 9 }),
        "$way: 10 answers of 100 kB arrive");
    is(scalar(grep { $_->{type} ne 'message' && $_->{type} ne 'endpoint' }
        $stream->events), 0, "$way: the stream has no other events");

    # the heartbeat

    my $beat = open_stream($nginx, conn => $connect{$way}->(), @version,
        path => '/beat');

    ok(run_until(sub { ($beat->{count}{comment} || 0) >= 2 }),
        "$way: a stream has heartbeats");

    # the client leaves

    my $open = health($nginx)->{active_connections};

    $beat->close;
    ok(left($open - 1), "$way: /health does not count a client that leaves");

    # it comes back with its id

    my $again = open_stream($nginx, conn => $connect{$way}->(), @version,
        headers => [ 'Last-Event-ID', $stream->session ]);

    is($again->session, $stream->session,
        "$way: a second stream takes the id over");
    is($stream->wait_ended, @version ? 'eof' : 'clean',
        "$way: the first stream ends without an error");
    is($stream->retry, undef, "$way: the first stream has no \"retry:\"");
    ok(call($nginx, $again, request(7, 'ping')),
        "$way: ping is answered on the second stream");
    $open{$way} = $again;
    $_->close for $conn, $stream->conn;

    # a client that does not read is dropped

    my $slow = open_stream($nginx, conn => $connect{$way}->(), @version,
        path => '/narrow');

    $open = health($nginx)->{active_connections};
    $slow->pause;

    for my $n (1 .. 20) {
        my $response = post($nginx, $slow, tool($n, 'big',
            { bytes => 1_000_000 }));

        last if $response->status != 202;
        last if health($nginx)->{active_connections} < $open;
    }

    ok(left($open - 1), "$way: a client that does not read is dropped");
    $slow->resume;
    ok($slow->wait_ended, "$way: a dropped client sees the end of its stream");
    isnt($slow->ended, 'clean', "$way: a dropped stream has no last chunk");
    $slow->close;

    ok(call($nginx, $again, request(8, 'ping')),
        "$way: ping is answered after another client was dropped");
}

# two streams on one connection

{
    my $h2   = $connect{'TLS, HTTP/2'}->();
    my @two  = map { open_stream($nginx, conn => $h2) } 1, 2;

    is(scalar(grep { $_->session } @two), 2,
        'two streams open on one connection over TLS');
    accepted(post($nginx, $two[0], tool(1, 'echo', {}), conn => $h2),
        'a message on the same connection is accepted');
    ok($two[0]->wait_answer(1), 'a message on the same connection is answered');
    is(scalar $two[1]->messages, 0, 'the other stream has no answer');
    $h2->reset($two[0]);
    ok(left(5), '/health does not count a stream that is reset');
    ok(call($nginx, $two[1], request(2, 'ping'), conn => $h2),
        'ping is answered on one stream after a reset of the other');
    $open{'TLS, HTTP/2, one of two'} = $two[1];
}

# a reload ends all streams after their last answers

{
    for my $way (sort keys %open) {
        accepted(post($nginx, $open{$way}, tool(99, 'hold',
            { gate => 'end' })), "$way: a call before the reload is accepted");
    }

    my @old = $nginx->reload;

    $frappe->open_gate('end');

    for my $way (sort keys %open) {
        my $stream = $open{$way};
        my ($last) = sort { $b <=> $a } map { $_->{time} } $stream->events;

        is($stream->wait_ended, $way =~ /1\.0/ ? 'eof' : 'clean', "$way: "
            . 'a reload ends the stream without an error');
        like(($stream->answers(99))[0] || '', qr/held/,
            "$way: a reload ends the stream after the answer");
        is($stream->retry, 1500, "$way: a reload ends it with \"retry:\"");
    }

    ok($nginx->wait_gone(\@old), 'the old workers end');

    my $new = open_stream($nginx, conn => $connect{'TLS, HTTP/2'}->());

    ok(call($nginx, $new, request(1, 'ping')), 'the new workers serve TLS');
    $new->close;
}

$_->close for values %open;
finish();
