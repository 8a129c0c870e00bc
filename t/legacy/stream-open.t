# GET /mcp/sse: status, headers, the first event and the log lines of a stream.
# docs/PROTOCOL.md 1, 3 and 9.

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

# a GET without arguments

{
    my $stream = open_stream($nginx);

    is($stream->status, 200, 'GET of the stream is 200');
    is($stream->header('Content-Type'), 'text/event-stream',
        'the stream has Content-Type: text/event-stream');
    is($stream->header('Cache-Control'), 'no-cache, no-transform',
        'the stream has Cache-Control: no-cache, no-transform');
    is($stream->header('X-Accel-Buffering'), 'no',
        'the stream has X-Accel-Buffering: no');
    is($stream->header('Content-Length'), undef,
        'the stream has no Content-Length');
    is($stream->header('Transfer-Encoding'), 'chunked',
        'the stream is chunked');
    is($stream->header('Content-Encoding'), undef,
        'the stream has no Content-Encoding');
    is($stream->header('Mcp-Session-Id'), undef,
        'a legacy stream has no Mcp-Session-Id header');

    like($stream->session, qr/\A$id\z/,
        'the session id has 50 characters of base64url');

    my $session = $stream->session;

    is($stream->first_block, "id: $session\nevent: endpoint\n"
        . "data: /mcp/messages?session_id=$session\n\n",
        'the first event is endpoint, with the session id');

    my $first = $stream->{reads}[0][1];
    my $block = $stream->first_block;

    like($first, qr/\AHTTP\/1\.1 200 OK\r\n.*\Q$block\E/s,
        'headers and first event come in one write');

    is(scalar $stream->events, 1, 'the stream begins with one event only');
    is(health($nginx)->{active_connections}, 1,
        '/health counts the open stream');

    $stream->close;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        '/health does not count the stream after it closes');
}

{
    my @streams = open_streams($nginx, 20);
    my %seen    = map { $_->session => 1 } @streams;

    is(scalar keys %seen, 20, '20 streams have 20 different ids');
    $_->close for @streams;
}

# other forms of the request

{
    my $stream = open_stream($nginx, path => '/mcp/sse/');

    is($stream->status, 200,
        'a trailing slash opens a stream without a redirect');
    like($stream->endpoint, qr{\A/mcp/messages\?session_id=$id\z},
        'a trailing slash gives the same endpoint');
    $stream->close;

    $stream = open_stream($nginx, version => '1.0');
    is($stream->status, 200, 'HTTP/1.0: GET opens a stream');
    is($stream->header('Transfer-Encoding'), undef,
        'HTTP/1.0: the stream is not chunked');
    like($stream->first_block, qr/\Aid: $id\nevent: endpoint\n/,
        'HTTP/1.0: the first event is endpoint');
    is(decode(call($nginx, $stream, request(1, 'ping')) || '{}')->{id}, 1,
        'HTTP/1.0: a ping is answered');
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
    is($stream->status, 200,
        'an empty session_id and unknown arguments are ignored');
    $stream->close;
}

# the stream is not compressed, even where nginx compresses events

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
        'gzip', 'nginx compresses text/event-stream of another location');

    my $stream = open_stream($nginx, headers => [@gzip]);

    is($stream->header('Content-Encoding'), undef,
        'the stream is not compressed with gzip on');
    like($stream->first_block || '', qr/\Aid: $id\nevent: endpoint\n/,
        'the first event is readable with gzip on');
    $stream->close;
}

# mcp_sse_message_uri with a query

{
    my $stream = open_stream($nginx, path => '/api/mcp/sse');

    is($stream->endpoint, '/api/mcp/messages?tenant=7&session_id='
        . $stream->session,
        'the endpoint is mcp_sse_message_uri with its query');
    like(call($nginx, $stream, request(5, 'ping')), qr/"id":5\}\z/,
        'messages to the announced endpoint are answered');
    $stream->close;
}

# HEAD makes no session

{
    my $before = () = $nginx->error_log =~ /SSE connection established/g;
    my $head = get($nginx, '/mcp/sse', method => 'HEAD',
        headers => [ Authorization => MCPTest::credential() ]);

    is($head->status, 200, 'HEAD is 200');
    is($head->header('Content-Type'), 'text/event-stream',
        'HEAD has Content-Type: text/event-stream');
    is($head->body, '', 'HEAD has no body');
    is(health($nginx)->{active_connections}, 0, 'HEAD opens no stream');

    my $after = () = $nginx->error_log =~ /SSE connection established/g;
    is($after, $before, 'HEAD makes no session');
}

# the log lines of a stream

{
    my $stream = open_stream($nginx);
    my $user   = MCPTest::Frappe::user();

    my ($hash) = reverse $nginx->error_log
        =~ /SSE connection established: (\S+) for user: \Q$user\E\b/g;

    ok($hash, 'the log names the user of a stream that opens');
    ok(index($stream->session, $hash || '-') < 0,
        'the log has a hash of the session id, not a part of it');

    call($nginx, $stream, request(1, 'ping'));
    $stream->close;

    ok($nginx->wait_log(qr/SSE connection closed: \Q$hash\E, [^,]+, [\d.]+[^,]*, 1 messages/),
        'the log has reason, seconds and messages of a stream that closes');

    my $log = $nginx->error_log;

    like($log, qr/\[info\].*SSE connection established/,
        'the line for a stream that opens has level info');
}

finish();
