# GET /mcp/sse: status, headers and the first block; docs/PROTOCOL.md 3.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $nginx = start_nginx(locations => <<'EOT');
        location = /api/mcp/sse {
            mcp_sse_message_uri /api/mcp/messages?tenant=7;
            mcp_sse_stream;
        }

        location = /api/mcp/messages { mcp_sse_message; }
EOT

my $id = qr/[A-Za-z0-9_-]{50}/;

# the plain case

{
    my $stream = open_stream($nginx);

    is($stream->status, 200, 'status');
    is($stream->header('Content-Type'), 'text/event-stream', 'Content-Type');
    is($stream->header('Cache-Control'), 'no-cache, no-transform',
        'Cache-Control');
    is($stream->header('X-Accel-Buffering'), 'no', 'X-Accel-Buffering');
    is($stream->header('Content-Length'), undef, 'no Content-Length');
    is($stream->header('Transfer-Encoding'), 'chunked', 'chunked');
    is($stream->header('Content-Encoding'), undef, 'not compressed');
    is($stream->header('Mcp-Session-Id'), undef,
        'the id is not in a header of a legacy stream');

    like($stream->session, qr/\A$id\z/, 'form of the session id');

    my $session = $stream->session;

    is($stream->first_block, "id: $session\nevent: endpoint\n"
        . "data: /mcp/messages?session_id=$session\n\n", 'first block');

    my $first = $stream->{reads}[0][1];
    my $block = $stream->first_block;

    like($first, qr/\AHTTP\/1\.1 200 OK\r\n.*\Q$block\E/s,
        'headers and first block came together');

    is(scalar $stream->events, 1, 'nothing else comes');
    is(health($nginx)->{active_connections}, 1, 'counted by /health');

    $stream->close;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        'and no more after it left');
}

# every stream has an id of its own

{
    my @streams = open_streams($nginx, 20);
    my %seen    = map { $_->session => 1 } @streams;

    is(scalar keys %seen, 20, '20 streams, 20 ids');
    $_->close for @streams;
}

# other ways to ask

{
    my $stream = open_stream($nginx, path => '/mcp/sse/');

    is($stream->status, 200, 'trailing slash: no redirect');
    like($stream->endpoint, qr{\A/mcp/messages\?session_id=$id\z},
        'trailing slash: the same endpoint');
    $stream->close;

    $stream = open_stream($nginx, version => '1.0');
    is($stream->status, 200, 'HTTP/1.0: status');
    is($stream->header('Transfer-Encoding'), undef,
        'HTTP/1.0: not chunked');
    like($stream->first_block, qr/\Aid: $id\nevent: endpoint\n/,
        'HTTP/1.0: first block');
    is(decode(call($nginx, $stream, request(1, 'ping')) || '{}')->{id}, 1,
        'HTTP/1.0: an answer');
    $stream->close;

    for my $accept ('application/json', '*/*', 'text/html;q=0.1') {
        my $conn   = connect_to($nginx);
        my $stream = MCPTest::Stream->new;

        $conn->request('GET', '/mcp/sse', response => $stream,
            headers => [ Accept => $accept, Authorization =>
                MCPTest::credential() ]);
        $stream->wait_headers;
        is($stream->status, 200, "Accept: $accept is not examined");
        $conn->close;
    }

    $stream = open_stream($nginx, path => '/mcp/sse?a=b&session_id=&c');
    is($stream->status, 200, 'an empty session_id and unknown arguments');
    $stream->close;
}

# gzip is not used, whatever nginx is told

{
    my @gzip  = ('Accept-Encoding', 'gzip');
    my $nginx = start_nginx(http => 'gzip on; gzip_types text/event-stream; '
        . 'gzip_min_length 0; gzip_proxied any;', locations => <<'EOT');
        location = /packed {
            default_type text/event-stream;
            return 200 "text";
        }
EOT

    is(get($nginx, '/packed', headers => [@gzip])->header('Content-Encoding'),
        'gzip', 'nginx compresses others');

    my $stream = open_stream($nginx, headers => [@gzip]);

    is($stream->header('Content-Encoding'), undef, 'gzip is not used');
    like($stream->first_block || '', qr/\Aid: $id\nevent: endpoint\n/,
        'the first block is readable');
    $stream->close;
}

# the announced URI

{
    my $stream = open_stream($nginx, path => '/api/mcp/sse');

    is($stream->endpoint, '/api/mcp/messages?tenant=7&session_id='
        . $stream->session, 'mcp_sse_message_uri, its query kept');
    like(call($nginx, $stream, request(5, 'ping')), qr/"id":5\}\z/,
        'and it works as announced');
    $stream->close;
}

# HEAD makes no session

{
    my $before = () = $nginx->error_log =~ /SSE connection established/g;
    my $head = get($nginx, '/mcp/sse', method => 'HEAD',
        headers => [ Authorization => MCPTest::credential() ]);

    is($head->status, 200, 'HEAD: status');
    is($head->header('Content-Type'), 'text/event-stream',
        'HEAD: Content-Type');
    is($head->body, '', 'HEAD: no body');
    is(health($nginx)->{active_connections}, 0, 'HEAD: no stream');

    my $after = () = $nginx->error_log =~ /SSE connection established/g;
    is($after, $before, 'HEAD: no session');
}

# the lines operators grep

{
    my $stream = open_stream($nginx);
    my $user   = MCPTest::Frappe::user();

    my ($hash) = reverse $nginx->error_log
        =~ /SSE connection established: (\S+) for user: \Q$user\E\b/g;

    ok($hash, 'log: established, for whom');
    ok(index($stream->session, $hash || '-') < 0,
        'log: a hash, not part of the id');

    call($nginx, $stream, request(1, 'ping'));
    $stream->close;

    ok($nginx->wait_log(qr/SSE connection closed: \Q$hash\E, [^,]+, [\d.]+[^,]*, 1 messages/),
        'log: closed, with reason, seconds and messages');

    my $log = $nginx->error_log;

    like($log, qr/\[info\].*SSE connection established/, 'at level info');
}

finish();
