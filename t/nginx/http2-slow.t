# HTTP/2 clients that do not read, so that nginx has frames queued that point
# into events of the module.  These clients reset the stream, or are dropped
# because of mcp_sse_queue or send_timeout, and then read on.
# docs/PROTOCOL.md 3.8, 13.5.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::H2;
use Test::More;

my $frappe = start_frappe();
my $id     = 0;


sub start {
    my (%opt) = @_;

    my $port = MCPTest::Nginx::free_port();

    my $nginx = start_nginx(%opt, http => 'mcp_sse_zone zone=mcp_sse:32m;',
        server => "listen 127.0.0.1:$port http2 sndbuf=16k;");

    $nginx->{h2} = $port;

    return $nginx;
}


sub open_h2 {
    my ($nginx, %opt) = @_;

    my $h2 = MCPTest::H2->connect_to($nginx->{h2}, %opt);

    return open_stream($nginx, conn => $h2);
}


# Sends $n large answers while the client does not read.

sub fill {
    my ($nginx, $stream, $n) = @_;

    my $open   = health($nginx)->{active_connections};
    my $before = $nginx->_slurp('audit.log') =~ tr/\n//;
    my $sent   = 0;

    $stream->pause;

    for (1 .. $n) {
        my $response = post($nginx, $stream, tool(++$id, 'big',
            { bytes => 300_000 }));

        last if $response->status != 202;
        $sent++;
    }

    # wait until the calls are done or the stream is gone

    run_until(sub {
        my $audit = $nginx->_slurp('audit.log') =~ tr/\n//;

        return $audit >= $before + $sent
            || health($nginx)->{active_connections} < $open;
    });

    return;
}


# The worker still serves other connections.

sub works {
    my ($nginx, $workers, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $stream = open_h2($nginx);

    is($stream->status, 200, "$name: a stream opens on another connection");
    ok(call($nginx, $stream, tool(++$id, 'big', { bytes => 200_000 })),
        "$name: a large answer arrives on another connection");
    is_deeply([ $nginx->wait_workers ], $workers, "$name: no worker dies");
    $stream->close;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        "$name: no stream is left at the end");

    return;
}


# the client resets the stream while megabytes wait

{
    my $nginx   = start(stream => 'mcp_sse_queue 64m;');
    my @workers = $nginx->wait_workers;

    for my $round (1 .. 3) {
        my $name   = "reset $round";
        my $stream = open_h2($nginx, rcvbuf => 4096,
            $round == 3 ? (window => 100_000) : ());
        my $h2     = $stream->conn;

        is($stream->status, 200, "$name: a stream opens over HTTP/2");
        fill($nginx, $stream, 10);
        $h2->reset($stream);
        ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
            "$name: RST_STREAM ends the stream");

        # nginx writes its queued frames from buffers of the module

        $stream->resume;
        sleep_for(0.3);

        my $second = open_stream($nginx, conn => $h2);

        is($second->status, 200,
            "$name: a second stream opens on the connection");
        ok(call($nginx, $second, tool(++$id, 'big', { bytes => 90_000 })),
            "$name: an answer arrives on the second stream");
        $h2->close;
        works($nginx, \@workers, $name);
    }

    # two streams on a connection, of which one is reset

    my $first  = open_h2($nginx, rcvbuf => 4096);
    my $h2     = $first->conn;
    my $second = open_stream($nginx, conn => $h2);

    is($second->status, 200, 'two streams open on one connection');
    fill($nginx, $first, 6);
    $h2->reset($first);
    $second->resume;
    ok(call($nginx, $second, tool(++$id, 'big', { bytes => 300_000 })),
        'an answer arrives on one stream after a reset of the other');
    ok(!$second->ended, 'a reset of one stream does not end the other');

    # the connection is cut

    fill($nginx, $second, 6);
    $h2->abort;
    works($nginx, \@workers, 'a connection that is cut');
}

# the module drops the stream

for my $case (
    [ 'mcp_sse_queue', 'mcp_sse_queue 256k; mcp_sse_max_calls 4;' ],
    [ 'send_timeout', 'mcp_sse_queue 64m; send_timeout 3s;' ],
) {
    my ($name, $directives) = @$case;

    my $nginx   = start(stream => $directives);
    my @workers = $nginx->wait_workers;

    for my $round (1 .. 2) {
        my $stream = open_h2($nginx, rcvbuf => 4096);

        fill($nginx, $stream, 14);
        ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
            "$name $round: a stream that is not read is dropped");
        $stream->resume;
        ok($stream->wait_ended, "$name $round: the client sees the end");
        is($stream->retry, undef,
            "$name $round: a dropped stream has no \"retry:\"");

        my $again = $stream->conn->{closed} ? undef
            : open_stream($nginx, conn => $stream->conn);

        ok(!$again || ($again->status || 0) == 200 || $again->ended,
            "$name $round: the connection takes another stream, or is closed");
        $stream->conn->close;
        works($nginx, \@workers, "$name $round");
    }
}

# a reload while frames are queued: the end of the stream follows them

{
    my $nginx  = start(stream => 'mcp_sse_queue 64m;');
    my $stream = open_h2($nginx, rcvbuf => 4096);

    fill($nginx, $stream, 3);

    my @old = $nginx->reload;

    sleep_for(1);
    $stream->resume;
    is($stream->wait_ended, 'clean',
        'a reload with queued frames: the stream ends with END_STREAM');
    is(scalar $stream->messages, 3,
        'a reload with queued frames: all answers arrive before the end');
    ok(defined $stream->retry,
        'a reload with queued frames: the stream has "retry:"');
    ok($nginx->wait_gone(\@old),
        'a reload with queued frames: the old worker ends');
}

finish();
