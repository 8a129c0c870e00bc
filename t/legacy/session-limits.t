# How many sessions a user may have, and who goes first.  docs/PROTOCOL.md 3.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

# young sessions are not ended for new ones

{
    my $nginx   = start_nginx(http => 'mcp_sse_max_sessions 4;', workers => 2);
    my @streams = map { open_stream($nginx) } 1 .. 4;

    is(scalar(grep { $_->session } @streams), 4, 'up to the limit');

    my $more = open_stream($nginx);

    is_rejected($more, 429, -32004, 'Too many sessions', 'one more');
    ok($more->header('Retry-After'), 'with Retry-After');
    is_rejected(open_stream($nginx,
        path => '/mcp/sse?server_url=http://elsewhere.example.com'), 400,
        -32602, 'server_url is not served here', 'server_url before limits');
    is(health($nginx)->{active_connections}, 4, 'the others stay');
    ok(!(grep { $_->ended } @streams), 'and are open');

    is(get($nginx, '/mcp/sse', method => 'HEAD', headers =>
        [ Authorization => MCPTest::credential() ])->status, 429,
        'HEAD says so, too');

    my $bob = open_stream($nginx, auth => MCPTest::credential('bob'));

    is($bob->status, 200, 'another user has limits of his own');
    $bob->close;

    my $bearer = open_stream($nginx,
        auth => MCPTest::credential('alice', 'bearer'));

    is($bearer->status, 429, 'the same user with another credential');

    $streams[0]->close;
    run_until(sub { health($nginx)->{active_connections} <= 3 });

    my $free = open_stream($nginx);

    is($free->status, 200, 'a free place is given away');
    $free->close;

    # with the same id: no new session

    my $same = open_stream($nginx,
        path => '/mcp/sse?session_id=' . $streams[1]->session);

    is($same->session, $streams[1]->session, 'taking over needs no place');
    $_->close for @streams, $same;
}

# per site

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

    is($there->status, 200, 'limits are per site');
    $_->close for $here, $there;
}

# probes that were left behind make room

{
    my $nginx  = start_nginx(http => 'mcp_sse_max_sessions 3;');
    my @probes = map { open_stream($nginx) } 1 .. 3;

    call($nginx, $probes[0], request(1, 'ping'));
    sleep_for(11);

    my $new = open_stream($nginx);

    is($new->status, 200, 'a probe older than 10 s makes room');
    ok($probes[1]->wait_ended, 'it is ended');
    ok(!$probes[0]->ended, 'not one that had a message');
    ok(!$probes[2]->ended, 'and only the oldest');
    is($probes[1]->ended, 'clean', 'in good order');
    ok(defined $probes[1]->retry, 'with retry:');
    ok($nginx->wait_log(qr/SSE connection closed: \w+, [^,]*evict/),
        'the log says why');

    is_rejected(post($nginx, $probes[1], request(1, 'ping')), 400, -32001,
        'Invalid session ID', 'its session is gone');
    $_->close for @probes, $new;
}

# the zone

{
    my $nginx = start_nginx(http => <<'EOT');
    mcp_sse_zone zone=mcp_sse:2m;
    mcp_sse_max_message 4k;
    mcp_sse_max_sessions 100000;
EOT

    ok($nginx, 'a small zone');

    my @streams = open_streams($nginx, 100);

    is(scalar(grep { ($_->status || 0) == 200 } @streams), 100,
        '100 sessions in it');
    $_->close for @streams;
}

finish();
