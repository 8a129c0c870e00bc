# Each allocation for what Frappe publishes for a user or a site fails once: the
# message is lost for a stream, or the stream ends, and nothing stays behind.
# docs/PROTOCOL.md 16.30, 16.43.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Allocation;
use MCPTest::Conn qw(run_until);
use MCPTest::HTTP;
use MCPTest::Modern;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $RESOURCE = 'fac://skills/report-list-usage';

my $allocation = MCPTest::Allocation->new;
my $redis      = start_redis();

my $nginx = do {
    local $ENV{LD_PRELOAD} = $allocation->path;

    start_push(push => $redis, mcp => '', stream => 'mcp_sse_grace 0; '
        . 'mcp_sse_keepalive 300s; mcp_sse_max_sessions 400;', http =>
        'request_pool_size 128; connection_pool_size 128;',
        allow => [ qr/(?:malloc|posix_memalign)\(.*\) failed/ ]);
};

my ($worker) = $nginx->wait_workers;

$allocation->worker($worker);


sub say_to {
    my ($data) = @_;

    return publish($redis, { method => 'notifications/message',
        params => { level => 'info', data => $data } });
}


sub got {
    my ($stream, $what) = @_;

    return grep { $_->{data} =~ /$what"/ } $stream->messages;
}


# the user of the last stream is another one: it marks that the worker is done

my ($first, $second) = open_streams($nginx, 2);
my $mark  = open_stream($nginx, auth => MCPTest::credential('bob'));
my $marks = 0;


sub done {
    my $end = 'end ' . ++$marks . '.';

    publish($redis, { user => MCPTest::Frappe::user('bob'),
        method => 'notifications/message',
        params => { level => 'info', data => $end } });

    return run_until(sub { got($mark, $end) });
}


# Lets one allocation fail after the other until none did.

sub each_fails {
    my ($name, $code) = @_;

    my $n = 0;

    while (++$n < 200) {
        $allocation->fail($n);
        my $wrong = $code->($n);
        my $came  = $allocation->failed;

        $allocation->fail(0);

        # a worker without memory may lose its Redis, too

        wait_push($nginx);
        ok(done() && !$wrong, "$name, allocation $n: the worker goes on")
            || diag($wrong || 'nothing comes');
        last if !$came;
    }

    cmp_ok($n, '>', 1, "$name: some failed");
    cmp_ok($n, '<', 200, "$name: then none");

    return;
}


each_fails('a message', sub {
    my ($n) = @_;

    say_to("number $n.");
    health($nginx);

    return $first->{ended} || $second->{ended} ? 'a stream has ended' : '';
});

each_fails('lists', sub {
    publish($redis, { method => 'notifications/tools/list_changed' });
    run_until(sub { got($first, 'list_changed') > 0 }, 0.6);

    return $first->{ended} || $second->{ended} ? 'a stream has ended' : '';
});

# a stream that has gone, and its site, which stays

open_stream($nginx)->close;
run_until(sub { health($nginx)->{active_connections} == 3 });

my $blocks = $allocation->blocks;

each_fails('a new stream', sub {
    my $stream = open_stream($nginx);
    my $seen   = $stream->status || 0;

    say_to('new.') if $seen == 200;
    $stream->close;

    return $seen =~ /\A(?:0|200|500|503)\z/ ? '' : "status $seen";
});

each_fails('a new stream of subscriptions/listen', sub {
    my $stream = stream_of(modern($nginx, 1, 'subscriptions/listen',
        { notifications => { toolsListChanged => JSON::PP::true(),
            resourceSubscriptions => [ 'a/b', $RESOURCE,
                map { "x:$_" } 1 .. 5 ] } },
        async => 1));
    my $seen = $stream->status || 0;

    if ($seen == 200) {
        publish($redis, { method => 'notifications/resources/updated',
            params => { uri => $RESOURCE } });
        run_until(sub { got($stream, 'updated') }, 0.3);
    }

    $stream->close;

    return $seen =~ /\A(?:0|200|500|503)\z/ ? '' : "status $seen";
});

ok(run_until(sub { $allocation->blocks <= $blocks }), 'no memory stays')
    || diag('blocks ', $allocation->blocks - $blocks);

$_->close for $first, $second, $mark;
ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
    'no session stays');

finish();
