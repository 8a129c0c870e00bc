# ngx_http_mirror_module reads the request's body before our handler does, or
# makes our handler run in a subrequest: neither is common, both are allowed.
# The same of post_action, which makes it run when all is over.

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

# the location of messages has a mirror: it gets the body, too

for my $place ('memory', 'file') {
    my $memory  = $place eq 'memory' ? 'client_body_buffer_size 2m;' : '';

    # of a body in a file nginx itself warns, with the request line

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
            "mirror, body in $place, $size bytes: accepted");

        my $raw = $stream->wait_answer($id);

        like($raw || '', qr/\Q$text\E/,
            "mirror, body in $place, $size bytes: the answer is right");
        ok(run_until(sub { $mirror->requests > $before }),
            "mirror, body in $place, $size bytes: the mirror is asked");
        is(length((($mirror->requests)[-1] || { body => '' })->{body}),
            length $message,
            "mirror, body in $place, $size bytes: and gets the body");
    }

    # what is refused

    is_rejected(post($nginx, $stream, '{"x"' . ' ' x 40_000), 400, -32700,
        'Parse error', "mirror, body in $place: no JSON");
    is_rejected(post($nginx, $stream, 'x' x 1_100_000), 413, -32600,
        'Message too large', "mirror, body in $place: too large");
    accepted(post($nginx, $stream, notification('notifications/initialized')),
        "mirror, body in $place: a notification");
    is(post($nginx, $stream, request(99, 'ping'), auth => undef)->status, 401,
        "mirror, body in $place: no credential");
    ok(call($nginx, $stream, request(100, 'ping')),
        "mirror, body in $place: a ping");
    is_deeply([ $nginx->wait_workers ], \@workers,
        "mirror, body in $place: no worker has died");
    $stream->close;
}

# our location is the mirror of another, with and without the body; nginx logs
# the refusal with the client's request line, so only what is worse

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
        [ 'a large one', "/mc?session_id=$id",
            tool(2, 'echo', { text => 'x' x 40_000 }) ],
        [ 'without a session', '/mc', request(3, 'ping') ],
        [ 'no JSON', "/mc?session_id=$id", 'x' ],
        [ 'empty', "/mc?session_id=$id", '' ],
        [ 'a mirrored stream', '/ms', 'x' ],
        [ 'a mirrored /health', '/mh', 'x' ],
    ) {
        my ($name, $path, $message) = @$case;

        for my $auth (MCPTest::credential(), undef) {
            my $response = post($nginx, undef, $message, path => $path,
                auth => $auth);

            is($response->status, 200, "mirror to us, body $body: $name"
                . ($auth ? '' : ', no credential'));
        }
    }

    is(get($nginx, '/ms', headers => [ Authorization =>
        MCPTest::credential() ])->status, 200,
        "mirror to us, body $body: GET");

    ok(call($nginx, $stream, tool(9, 'echo', {})),
        "mirror to us, body $body: the stream works");
    is_deeply([ $nginx->wait_workers ], \@workers,
        "mirror to us, body $body: no worker has died");
    $stream->close;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        "mirror to us, body $body: no stream is left")
        or diag(health($nginx)->{active_connections});
}

# post_action: nginx has answered the client, and thrown away its body

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
        'post_action: no endpoint runs');
    is(($nginx->wait_workers)[0], $pid, 'the worker lives');
    $conn->close;
}

# nor does one have a post_action of its own: when its client leaves, the
# request would be another location's, while calls answer it

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
        'post_action is not run, and that is said');
    run_until(sub { $frappe->stats->{in_flight} == 0 });
    http_post($nginx, tool(3, 'echo', {}));
    is(($nginx->wait_workers)[0], $pid, 'post_action: the worker lives');
    is($slow->requests, 0, 'its location is not asked');
}

finish();
