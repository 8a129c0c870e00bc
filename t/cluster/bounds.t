# Bounds of a worker and Redis: connections that are given back, none that is
# left, the pages of the list of ended ids.  docs/PROTOCOL.md 7.30, 11.5.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use MCPTest::FakeRedis;
use MCPTest::HTTP;
use Test::More;

use constant CONNECTIONS => 32;

my $clock = MCPTest::Clock->new;
my $redis = MCPTest::FakeRedis->new;

my $nginx = do {
    local $ENV{LD_PRELOAD} = $clock->path;

    start_http(redis => $redis->url, redis_opt =>
        'timeout=3h connect_timeout=3h', http => 'mcp_sse_grace 300s;',
        config => sub { $_[0]->template =~ s/worker_connections \K\d+/CONNECTIONS/er });
};

$nginx->allow(qr/worker_connections are not enough/);

ok(wait_ready($nginx), 'the instance is ready');


# What the worker is told is there again within the pauses between connections.

sub back {
    $redis->accept(undef);

    return run_until(sub { $clock->advance(3); return ready($nginx) });
}


# ---- each connection is given back

for my $n (1 .. CONNECTIONS) {
    my $before = $redis->accepted;

    $redis->cut;
    run_until(sub { $clock->advance(3); $redis->accepted >= $before + 2 });
}

ok(back(), 'after ' . 2 * CONNECTIONS . ' connections there is one left');

# ---- none is left: it is tried again

{
    my @conns;

    for (1 .. CONNECTIONS) {
        my $conn = connect_to($nginx);

        $conn->send_raw("GET /health HTTP/1.1\r\nHost: x\r\n");
        push @conns, $conn;
    }

    run_until(sub { $nginx->error_log =~ /worker_connections are not enough/ });
    sleep_for(0.3);
    $redis->cut;
    ok($nginx->wait_log(qr/redis "[^"]+" is lost: Server closed/),
        'Redis is lost');

    # clients take the places that Redis had

    for (1 .. 4) {
        my $conn = connect_to($nginx);

        $conn->send_raw("GET /health HTTP/1.1\r\nHost: x\r\n");
        push @conns, $conn;
    }

    my $before = $redis->accepted;

    for (1 .. 3) {
        $clock->advance(3);
        sleep_for(0.7);
    }

    cmp_ok($redis->accepted - $before, '>=', 2, 'connections are tried');
    $_->close for @conns;
    ok(back(), 'Redis is there again once a connection is free');
}

# ---- ended ids are read in pages of 10,000, at most 10

for my $case ([ 9999, 1 ], [ 10000, 10 ]) {
    my ($ids, $pages) = @$case;
    my @asked;
    my $page = '*' . 2 * $ids . "\r\n" . "\$1\r\nx\r\n\$1\r\n1\r\n" x $ids;

    $redis->answer(sub {
        my ($conn, @words) = @_;

        return if $words[0] ne 'ZRANGEBYSCORE';

        push @asked, "@words[5 .. 7]";
        return $page;
    });

    $redis->cut;
    run_until(sub { $clock->advance(3); ready($nginx) && @asked >= $pages });
    sleep_for(0.5);
    get($nginx, '/health');
    is_deeply(\@asked, [ map { 'LIMIT ' . 10000 * $_ . ' 10000' }
        0 .. $pages - 1 ], "pages of $ids ids: $pages");
    $redis->answer(undef);
}

finish();
