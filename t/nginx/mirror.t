# ngx_http_mirror_module reads the body of a request before the module's handler
# does, or runs this handler in a subrequest.  post_action runs a handler after
# the request.  docs/PROTOCOL.md 13.7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Backend;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $mirror = start_backend(sub { return MCPTest::Backend::http(200, 'ok') });
my $port   = $mirror->port;

# the location of messages has a mirror, which gets the body as well

for my $place ('memory', 'file') {
    my $memory  = $place eq 'memory' ? 'client_body_buffer_size 2m;' : '';

    # nginx warns of a body in a file, and logs the request line with the id

    my $nginx   = start_nginx(message => "mirror /m; $memory",
        log_level => 'error', locations => <<"EOT");
        location = /m {
            internal;
            proxy_pass http://127.0.0.1:$port/mirrored;
            proxy_read_timeout 2s;
        }
EOT
    my @workers = $nginx->wait_workers;
    my $stream  = open_stream($nginx);
    my $id      = 0;

    for my $size (10, 20_000, 40_000, 300_000) {
        my $text    = join '', map { chr 97 + $_ % 26 } 1 .. $size;
        my $message = tool(++$id, 'echo', { text => $text });
        my $before  = $mirror->requests;

        accepted(post($nginx, $stream, $message),
            "mirror, body in $place, $size bytes: the message is accepted");

        my $raw = $stream->wait_answer($id);

        like($raw || '', qr/\Q$text\E/,
            "mirror, body in $place, $size bytes: the answer is right");
        ok(run_until(sub { $mirror->requests > $before }),
            "mirror, body in $place, $size bytes: the mirror gets a request");
        is(length((($mirror->requests)[-1] || { body => '' })->{body}),
            length $message,
            "mirror, body in $place, $size bytes: the mirror gets the body");
    }

    # refusals

    is_rejected(post($nginx, $stream, '{"x"' . ' ' x 40_000), 400, -32700,
        'Parse error', "mirror, body in $place: what is not JSON is 400");
    is_rejected(post($nginx, $stream, 'x' x 1_100_000), 413, -32600,
        'Message too large', "mirror, body in $place: 1.1 MB is 413");
    accepted(post($nginx, $stream, notification('notifications/initialized')),
        "mirror, body in $place: a notification is accepted");
    is(post($nginx, $stream, request(99, 'ping'), auth => undef)->status, 401,
        "mirror, body in $place: a message without a credential is 401");
    ok(call($nginx, $stream, request(100, 'ping')),
        "mirror, body in $place: ping is answered");
    is_deeply([ $nginx->wait_workers ], \@workers,
        "mirror, body in $place: no worker dies");
    $stream->close;
}

# an endpoint is the mirror of another location, with and without the body;
# nginx logs the refusal with the request line and the id, hence level crit

for my $body (qw(off on)) {
    my $nginx = start_nginx(log_level => 'crit', locations => <<"EOT");
        location = /mc {
            mirror /mcp/messages;
            mirror_request_body $body;
            proxy_pass http://127.0.0.1:$port/mc;
        }

        location = /ms { mirror /mcp/sse; proxy_pass http://127.0.0.1:$port; }
        location = /mh { mirror /health; proxy_pass http://127.0.0.1:$port; }
EOT
    my @workers = $nginx->wait_workers;
    my $stream  = open_stream($nginx);
    my $id      = $stream->session;

    for my $case (
        [ 'a message', "/mc?session_id=$id", request(1, 'ping') ],
        [ 'a large message', "/mc?session_id=$id",
            tool(2, 'echo', { text => 'x' x 40_000 }) ],
        [ 'a message without a session', '/mc', request(3, 'ping') ],
        [ 'a body that is not JSON', "/mc?session_id=$id", 'x' ],
        [ 'an empty body', "/mc?session_id=$id", '' ],
        [ 'a POST mirrored to /mcp/sse', '/ms', 'x' ],
        [ 'a POST mirrored to /health', '/mh', 'x' ],
    ) {
        my ($name, $path, $message) = @$case;

        for my $auth (MCPTest::credential(), undef) {
            my $response = post($nginx, undef, $message, path => $path,
                auth => $auth);

            is($response->status, 200,
                "an endpoint as mirror, body $body: $name"
                . ($auth ? '' : ' and without a credential') . ' is 200');
        }
    }

    is(get($nginx, '/ms', headers => [ Authorization =>
        MCPTest::credential() ])->status, 200,
        "an endpoint as mirror, body $body: GET is 200");

    ok(call($nginx, $stream, tool(9, 'echo', {})),
        "an endpoint as mirror, body $body: a call is answered");
    is_deeply([ $nginx->wait_workers ], \@workers,
        "an endpoint as mirror, body $body: no worker dies");
    $stream->close;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        "an endpoint as mirror, body $body: no stream is left")
        or diag(health($nginx)->{active_connections});
}

# post_action to an endpoint: the client has its answer, the body is discarded

{
    my $nginx = start_nginx(locations => <<'EOT',
        location = /done { return 200 done; post_action @again; }
        location @again  { mcp_sse_http; }
EOT
        allow => [qr/do not serve subrequests/]);
    my ($pid) = $nginx->wait_workers;
    my $conn  = connect_to($nginx);

    $conn->request('POST', '/done', host => 'erp.example.com', headers =>
        [ Authorization => MCPTest::credential(), 'Content-Length', 100 ]);
    ok($nginx->wait_log(qr/do not serve subrequests/),
        'the log says that post_action does not run an endpoint');
    is(($nginx->wait_workers)[0], $pid, 'post_action to an endpoint: no worker '
        . 'dies');
    $conn->close;
}

# post_action of an endpoint is not run: after the client has left, the request
# would belong to another location while its calls still answer it

{
    my $slow  = start_backend(sub {
        return (2, MCPTest::Backend::http(200, 'ok'));
    });
    my $nginx = start_nginx(server => 'post_action @after;',
        locations => 'location = /mcp { mcp_sse_http; } location @after { '
            . 'proxy_pass http://127.0.0.1:' . $slow->port . '; }',
        allow => [qr/"post_action" is not run/]);
    my ($pid) = $nginx->wait_workers;
    my $left  = http_post($nginx, tool(1, 'hold', { gate => 'left',
        key => 'left' }), async => 1);

    run_until(sub { $frappe->key_count('hold', 'left') == 1 });
    $left->{conn}->close;
    http_post($nginx, tool(2, 'echo', {}));
    $frappe->open_gate('left');
    ok($nginx->wait_log(qr/"post_action" is not run/),
        'the log says that post_action of an endpoint is not run');
    run_until(sub { $frappe->stats->{in_flight} == 0 });
    http_post($nginx, tool(3, 'echo', {}));
    is(($nginx->wait_workers)[0], $pid, 'post_action of an endpoint: no worker '
        . 'dies');
    is($slow->requests, 0, 'the location of this post_action gets no request');
}

finish();
