# Endpoints together with nginx's own directives: those that lead to an
# endpoint, those in its location, and those that read or change its answers.
# docs/PROTOCOL.md 13.8.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Backend;
use MCPTest::HTTP;
use Test::More;

start_frappe();

my $fast = start_backend(sub { return MCPTest::Backend::http(200, 'ADDED') });
my $port = $fast->port;

# each of these stands in the locations of all endpoints below /N

my @inside = (
    '',
    'sub_filter_types *; sub_filter "no such text" "x"; sub_filter_once off;',
    'ssi on; ssi_types *;',
    'addition_types *; add_before_body /added; add_after_body /added;',
    'gzip on; gzip_types *; gzip_min_length 0; gzip_proxied any; gunzip on;',
    'charset utf-8; charset_types *; override_charset on;',
    'postpone_output 100000; output_buffers 1 512;',
    'sendfile on; directio 1; aio threads;',
    'client_body_in_file_only on; client_body_in_single_buffer on;',
    'client_max_body_size 1; client_body_buffer_size 1;',
    'chunked_transfer_encoding off; keepalive_requests 1;',
    'keepalive_timeout 0; lingering_close always; lingering_timeout 1s;',
    'expires max; add_header X-A b always; add_trailer X-T $mcp_sse_user;',
    'limit_req zone=all burst=900 nodelay; limit_conn each 900;',
    'satisfy any; deny all; auth_request /yes;',
    'if ($http_authorization) { set $x $mcp_sse_session; }',
    'limit_except GET { allow all; }',
    'error_page 400 401 403 404 405 413 415 = /added;',
    'mirror /mirrored;',
    'slice 1k; set $s $slice_range; userid on; rewrite ^ /zzz break;',
);

# ways that lead to the endpoint NAME

my %into = (
    'error_page 404'       => 'error_page 404 = @NAME; root /nonexistent;',
    'return'               => 'error_page 418 = @NAME; return 418;',
    'deny'                 => 'error_page 403 = @NAME; deny all;',
    'try_files'            => 'root /nonexistent; try_files /x @NAME;',
    'rewrite'              => 'rewrite ^ /0/NAME last;',
    'a backend that is down' => 'error_page 502 = @NAME; '
                              . 'proxy_pass http://127.0.0.1:2;',
    'unbuffered'           => 'error_page 502 = @NAME; proxy_http_version 1.1;'
                              . 'proxy_request_buffering off; '
                              . 'proxy_pass http://127.0.0.1:2;',
    'too large'            => 'error_page 413 = @NAME; '
                              . 'client_max_body_size 1;',
);

my %endpoint = (sse => 'stream', messages => 'message', mcp => 'http',
    health => 'health', metrics => 'metrics');

my $locations = <<"EOT";
        location /added    { return 200 ADDED; }
        location /slow     { proxy_pass http://127.0.0.1:$port; }
        location /yes      { client_max_body_size 0; return 200; }
        location /mirrored { client_max_body_size 0; return 200; }
        location /before   { addition_types *; add_before_body /slow;
                             mcp_sse_stream; mcp_sse_keepalive off; }
        location /first    { addition_types *; add_before_body /0/health;
                             return 200 MAIN; }
        location /asked    { auth_request /0/mcp;
                             proxy_pass http://127.0.0.1:$port; }
EOT

for my $i (0 .. $#inside) {
    $locations .= "        location = /$i/$_ { mcp_sse_$endpoint{$_}; "
        . "mcp_sse_message_uri /$i/messages; $inside[$i] }\n"
        for sort keys %endpoint;
}

$locations .= "        location \@$_ { mcp_sse_$endpoint{$_}; }\n"
    for sort keys %endpoint;

my @ways = sort keys %into;

for my $i (0 .. $#ways) {
    for my $name (sort keys %endpoint) {
        (my $text = $into{ $ways[$i] }) =~ s/NAME/$name/g;
        $locations .= "        location = /way/$i/$name { $text }\n";
    }
}

my $nginx = start_nginx(locations => $locations, log_level => 'crit',
    http => 'limit_req_zone $binary_remote_addr zone=all:1m rate=1000r/s; '
        . 'limit_conn_zone $mcp_sse_user$binary_remote_addr zone=each:1m;',
    server => 'set $early "$mcp_sse_session$mcp_sse_user$mcp_sse_result"; '
        . 'add_header X-Early "$early";');

my ($worker) = $nginx->wait_workers;


sub lives {
    my ($name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($pid) = $nginx->wait_workers;

    is($pid, $worker, "$name: no worker dies");
    $worker = $pid;

    return;
}


for my $i (0 .. $#inside) {
    my $name   = $inside[$i] eq '' ? 'no other directive' : $inside[$i];
    my $stream = open_stream($nginx, path => "/$i/sse");

    ok($stream->session, "$name: a stream opens");
    like(call($nginx, $stream, tool(1, 'echo', { text => 'x' x 50_000 }))
        || '', qr/x{50000}/, "$name: an answer of 50 kB arrives whole");
    ok(call($nginx, $stream, request(2, 'ping')), "$name: ping is answered");
    like(post($nginx, $stream, '{')->body, qr/-32700/,
        "$name: a body that is not JSON is refused");
    is(http_post($nginx, request(3, 'ping'), path => "/$i/mcp")->status, 200,
        "$name: a POST of Streamable HTTP is 200");
    is(scalar http_post($nginx, tool(4, 'echo', {}), path => "/$i/mcp",
        accept => 'text/event-stream')->messages, 1,
        "$name: a POST of Streamable HTTP is answered as a stream");
    is(get($nginx, "/$i/mcp", method => 'PUT')->status, 405,
        "$name: PUT is 405");
    is(get($nginx, "/$i/sse")->status, 401,
        "$name: a GET without a credential is 401");
    is(get($nginx, "/$i/sse", method => 'HEAD', headers =>
        [ Authorization => MCPTest::credential() ])->status, 200,
        "$name: HEAD is 200");
    like(get($nginx, "/$i/$_", headers => [ Range => 'bytes=0-1' ])->body,
        qr/"healthy"|build_info/, "$name: /$_ answers")
        for qw(health metrics);
    lives($name);
    $stream->close;
}

# a subrequest before the first event takes a while

{
    my $stream = open_stream($nginx, path => '/before', wait => 0);

    ok(run_until(sub { ($stream->{rest} || '') =~ /ADDED/
        || grep { $_->{text} =~ /ADDED/ } $stream->events }),
        'add_before_body: the added text arrives');
    ok(run_until(sub { $stream->session }),
        'add_before_body: the first event follows without a heartbeat');
    ok(call($nginx, $stream, request(5, 'ping')),
        'add_before_body: ping is answered');
    $stream->close;
}

# an endpoint as a part of a page does not end the page

like(get($nginx, '/first')->body, qr/\A\{"status".*\}MAIN\z/s,
    'a page with /health in front of it is complete');
is(get($nginx, '/asked')->status, 500, 'auth_request to an endpoint is 500');

# ways that lead to an endpoint; bodies in one piece and in two

for my $i (0 .. $#ways) {
    my $stream = open_stream($nginx, path => '/0/sse');
    my $large  = $ways[$i] eq 'too large';

    for my $case ([ 'messages', 202 ], [ 'mcp', 200 ], [ 'health', 405 ]) {
        my ($endpoint, $status) = @$case;

        my $path = "/way/$i/$endpoint?session_id=" . $stream->session;
        my $message = tool("\"$i$endpoint\"", 'echo', { text => 'y' x 20_000 });
        my $got  = post($nginx, undef, $message, path => $path)->status || 0;

        # "too large": nginx has discarded the body, so an empty one is read

        my $want = $ways[$i] eq 'unbuffered' ? qr/\A(?:$status|500)\z/
            : $large ? qr/\A(?:400|413|405)\z/ : qr/\A$status\z/;

        like($got, $want, "$ways[$i], $endpoint: a POST has the right status");

        my $conn = connect_to($nginx);
        my $answer = $conn->request('POST', $path, host => 'erp.example.com',
            headers => [ Authorization => MCPTest::credential(),
                'Content-Type' => 'application/json',
                'Content-Length' => length $message ],
            body => substr $message, 0, 9_000);

        # the worker has read the first piece when it answers a later request

        get($nginx, '/health');
        $conn->send_raw(substr $message, 9_000);
        $answer->wait;

        # "unbuffered": another location has read an unknown part of the body

        $want = $endpoint eq 'health' ? 405 : $large ? 413
            : $ways[$i] eq 'unbuffered' ? 500 : $status;

        is($answer->status, $want,
            "$ways[$i], $endpoint: a POST in two pieces is $want");
        $conn->close;
        lives("$ways[$i], $endpoint");
    }

    ok(call($nginx, $stream, request(6, 'ping')),
        "$ways[$i]: a ping on the open stream is answered");
    $stream->close;
}

ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
    'no stream is left at the end');

ok($nginx->quit, 'nginx ends with QUIT');

finish();
