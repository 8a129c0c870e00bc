# How many sessions a user of a site may have, and which stream ends for one
# more.  docs/PROTOCOL.md 3.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

# young streams are not ended for new ones

{
    my $nginx   = start_nginx(http => 'mcp_sse_max_sessions 4;', workers => 2);
    my @streams = map { open_stream($nginx) } 1 .. 4;

    is(scalar(grep { $_->session } @streams), 4,
        'as many streams open as mcp_sse_max_sessions allows');

    my $more = open_stream($nginx);

    is_rejected($more, 429, -32004, 'Too many sessions',
        'one more stream is refused');
    ok($more->header('Retry-After'), 'the refusal has Retry-After');
    is_rejected(open_stream($nginx,
        path => '/mcp/sse?server_url=http://elsewhere.example.com'), 400,
        -32602, 'server_url is not served here',
        'server_url is checked before the limit');
    is(health($nginx)->{active_connections}, 4,
        'the open streams are still counted after a refusal');
    ok(!(grep { $_->ended } @streams),
        'the open streams stay open after a refusal');

    is(get($nginx, '/mcp/sse', method => 'HEAD', headers =>
        [ Authorization => MCPTest::credential() ])->status, 429,
        'HEAD is 429 at the limit');

    my $bob = open_stream($nginx, auth => MCPTest::credential('bob'));

    is($bob->status, 200, 'another user has a limit of their own');
    $bob->close;

    my $bearer = open_stream($nginx,
        auth => MCPTest::credential('alice', 'bearer'));

    is($bearer->status, 429,
        'another credential of the same user is 429 at the limit');

    $streams[0]->close;
    run_until(sub { health($nginx)->{active_connections} <= 3 });

    my $free = open_stream($nginx);

    is($free->status, 200, 'a stream opens when another one has closed');
    $free->close;

    # the same session id needs no further session

    my $same = open_stream($nginx,
        path => '/mcp/sse?session_id=' . $streams[1]->session);

    is($same->session, $streams[1]->session,
        'a stream with the id of an open one is allowed at the limit');
    $_->close for @streams, $same;
}

# the limit is for each site

{
    my $nginx = start_nginx(http => 'mcp_sse_max_sessions 1;',
        locations => <<'EOT');
        location = /other/sse {
            mcp_sse_site other.example.com;
            mcp_sse_stream;
        }
EOT

    my $here  = open_stream($nginx);
    my $there = open_stream($nginx, path => '/other/sse',
        auth => MCPTest::credential('alice', 'other'));

    is($there->status, 200,
        'a user of the same name at another site has another limit');
    $_->close for $here, $there;
}

# a stream that never had a message makes room for a new one

{
    my $nginx  = start_nginx(http => 'mcp_sse_max_sessions 3;');
    my @probes = map { open_stream($nginx) } 1 .. 3;

    call($nginx, $probes[0], request(1, 'ping'));
    sleep_for(11);

    my $new = open_stream($nginx);

    is($new->status, 200,
        'a stream opens if another is older than 10 s and had no message');
    ok($probes[1]->wait_ended, 'the older stream without a message ends');
    ok(!$probes[0]->ended, 'a stream that had a message stays');
    ok(!$probes[2]->ended, 'a younger stream without a message stays');
    is($probes[1]->ended, 'clean',
        'the stream that makes room ends with its last chunk');
    ok(defined $probes[1]->retry,
        'the stream that makes room ends with retry:');
    ok($nginx->wait_log(qr/SSE connection closed: \w+, [^,]*evict/),
        'the log says that the stream was evicted');

    is_rejected(post($nginx, $probes[1], request(1, 'ping')), 400, -32001,
        'Invalid session ID', 'the session of the evicted stream is refused');
    $_->close for @probes, $new;
}

# a small zone

{
    my $nginx = start_nginx(http => <<'EOT');
    mcp_sse_zone zone=mcp_sse:2m;
    mcp_sse_max_message 4k;
    mcp_sse_max_sessions 100000;
EOT

    ok($nginx, 'nginx starts with a zone of 2 MB');

    my @streams = open_streams($nginx, 100);

    is(scalar(grep { ($_->status || 0) == 200 } @streams), 100,
        'a zone of 2 MB has room for 100 streams');
    $_->close for @streams;
}

# sessions whose streams were lost are remembered, as many of a user as streams

{
    my $nginx = start_nginx(workers => 2,
        http => 'mcp_sse_max_sessions 3; mcp_sse_grace 300s;');

    my $lost = sub {
        my $stream = open_stream($nginx, @_);
        my $open   = health($nginx)->{active_connections};

        $stream->close;
        run_until(sub { health($nginx)->{active_connections} < $open });

        return $stream;
    };

    my $bob  = $lost->(auth => MCPTest::credential('bob'));
    my @lost = map { $lost->() } 1 .. 5;

    is(metrics($nginx)->{nginx_mcp_sse_tombstones}, 4,
        'a user has at most mcp_sse_max_sessions lost sessions');
    is(scalar(grep { post($nginx, $_, request(1, 'ping'))->status == 400 }
        @lost[0, 1]), 2, 'the oldest ones are forgotten');

    for my $stream ($bob, $lost[2]) {
        my $held = post($nginx, $stream, request(1, 'ping'), async => 1);

        ok(run_until(sub { health($nginx)->{pending_requests} == 1 }),
            'a POST for one of the others waits');

        my $again = open_stream($nginx, auth => $stream->{auth},
            path => '/mcp/sse?session_id=' . $stream->session);

        $held->wait;
        is($held->status, 202, 'and is accepted when its stream comes back');
        $again->close;
        run_until(sub { health($nginx)->{active_connections} == 0 });
    }

    # a stream that took its session over counts

    {
        my $nginx = start_nginx(workers => 2,
            http => 'mcp_sse_max_sessions 3; mcp_sse_grace 300s;');
        my $stream = open_stream($nginx);

        $stream->close;
        run_until(sub { health($nginx)->{active_connections} == 0 });

        my @open = (open_stream($nginx,
            path => '/mcp/sse?session_id=' . $stream->session),
            map { open_stream($nginx) } 1 .. 3);

        is(join(' ', map { $_->status } @open), '200 200 200 429',
            'a stream that has taken its session over counts for its user');
        $_->close for @open;
    }

    # none is left of those that came back and ended again

    is(metrics($nginx)->{nginx_mcp_sse_tombstones}, 4,
        'a lost session that came back counts once');
}

finish();
