# Whole responses of both transports: status, each header but those of nginx
# itself, each byte of the body and of a stream; the counters of /metrics that
# a request moves, and the lines that it leaves in the logs.  They are in the
# data below.  docs/PROTOCOL.md 3, 4, 7, 9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Metrics qw(counters since);
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(http => <<'EOT',
    mcp_sse_max_message   1k;
    mcp_sse_max_answer    4k;
    mcp_sse_max_sessions  2;
    mcp_sse_auth_cache    300s;
    mcp_sse_stream_after  300s;
    mcp_sse_grace         300s;
    mcp_sse_public_url    https://erp.example.com/;
EOT
    stream    => 'mcp_sse_message_uri /mcp/messages?site=a;',
    locations => 'location /.well-known/oauth-protected-resource '
        . '{ mcp_sse_resource_metadata; }');

# the user is known, and a connection to the one worker is open

my $id    = session_id($nginx);
my $conn  = connect_to($nginx);
my %known = ($id => 'ID');
my %want  = map { /\A([^\n]*)\n(.*)\z/s ? ($1 => $2) : () }
    split /^=== /m, do { local $/; <DATA> };

my ($log, $begun, %hashes) = (0);


# Begins a step.

sub step {
    $begun = counters($conn);
    lines();
    accesses();

    return;
}


# The lines of the module that the log got since the last call.

sub lines {
    my $text = substr $nginx->error_log, $log;

    $log += length $text;

    my @lines = map { m{\[(\w+)\]\ \d+\#\d+:\ (?:\*\d+\ )?
        ((?:mcp\ sse|SSE).*)\z}x ? "$1: $2" : () } split /\n/, $text;

    for (@lines) {
        s/, client: .*//;
        s/ while [a-z ]+\z//;
        s/([0-9a-f]{16})(?=:| for|,| cancels)/hash($1)/e;
        s/, \d+, (?=\d+ messages)/, TIME, /;
    }

    return @lines;
}


# The lines of access logs since the last call: of messages, and of calls.

my %read;

sub accesses {
    my @lines;

    for my $name (qw(post mcp audit)) {
        my $text = substr $nginx->log("$name.log"), $read{$name} || 0;

        $read{$name} += length $text;

        for my $line (split /\n/, $text) {
            my $fields = decode($line);

            delete @{$fields}{qw(time seconds wait_ms address bytes)};
            $fields->{session} = hash($fields->{session})
                if $fields->{session};
            push @lines, join ' ', "$name.log:", map { "$_=$fields->{$_}" }
                grep { $fields->{$_} ne '' } sort keys %{$fields};
        }
    }

    return @lines;
}


# Sessions are numbered in the order in which the log names them.

sub hash {
    my ($hash) = @_;

    $hashes{$hash} = 'session' . (1 + keys %hashes) unless $hashes{$hash};

    return $hashes{$hash};
}


# Ends a step: compares what it has yielded with the data.

sub stepped {
    my ($name, @text) = @_;

    my $moved = since($conn, $begun);
    my $text  = join '', map { "$_\n" } @text,
        (map { "+$moved->{$_} $_" } sort keys %{$moved}), accesses(), lines();

    for my $secret (keys %known) {
        $text =~ s/\Q$secret\E/$known{$secret}/g;
    }

    $text =~ s/("timestamp"|"since"):\d{10}\b/$1:TIME/g;

    my $want = delete $want{$name};

    is($text, defined $want ? $want : '', $name);

    return;
}


sub response {
    my ($got) = @_;

    return $got->status, (map { lc($_->[0]) . ": $_->[1]" }
        grep { $_->[0] !~ /\A(?:Date|Server|X-Worker|Connection
            |Transfer-Encoding)\z/xi } @{ $got->{headers} }),
        $got->body eq '' ? () : $got->body;
}


# The bytes of the events of a stream, after the first n of them.

sub events {
    my ($stream, $n) = @_;

    my @events = $stream->events;

    return map { $_->{text} =~ s/\n\z//r } @events[$n || 0 .. $#events];
}


# ---- requests with a single response

sub single {
    my ($name, $method, $path, $body, @headers) = @_;

    my %headers = (Authorization => MCPTest::credential(),
        $method eq 'POST' ? ('Content-Type' => 'application/json') : (),
        "$method $path" eq 'POST /mcp'
            ? (Accept => 'application/json, text/event-stream') : (),
        @headers);

    step();

    my $got = $conn->request($method, $path, host => 'erp.example.com',
        headers => [ map { defined $headers{$_} ? ($_, $headers{$_}) : () }
            sort keys %headers ], body => $body);

    $got->wait;

    if (($got->header('Connection') || '') eq 'close') {
        $conn->close;
        $conn = connect_to($nginx);
    }

    stepped($name, response($got));

    return;
}


my $ping = request(1, 'ping');
my $list = request(1, 'resources/list');
my $done = notification('notifications/initialized');
my $meta = '/.well-known/oauth-protected-resource';
my @old  = ('MCP-Protocol-Version' => '2025-03-26');
my @id   = ('Mcp-Session-Id' => $id);

for my $case (
    [ 'POST of a ping', '/mcp', $ping ],
    [ 'POST of resources/list', '/mcp', $list ],
    [ 'POST of a request that Frappe does not know', '/mcp',
        request('"t"', 'resources/templates/list') ],
    [ 'POST of a notification', '/mcp', $done ],
    [ 'POST of a response', '/mcp', '{"jsonrpc":"2.0","id":1,"result":{}}' ],
    [ 'POST of a batch', '/mcp', "[$ping,$list]", @old ],
    [ 'POST of a batch in a new version', '/mcp', "[$ping,$list]",
        'MCP-Protocol-Version' => '2025-06-18' ],
    [ 'POST of a batch with initialize', '/mcp',
        '[' . request(1, 'initialize') . ",$ping]", @old ],
    [ 'POST in an unknown version', '/mcp', $ping,
        'MCP-Protocol-Version' => 'x' ],
    [ 'POST that accepts text', '/mcp', $ping, Accept => 'text/plain' ],
    [ 'POST that accepts text, of a notification', '/mcp', $done,
        Accept => 'text/plain' ],
    [ 'POST of text', '/mcp', $ping, 'Content-Type' => 'text/plain' ],
    [ 'POST of compressed bytes', '/mcp', $ping,
        'Content-Encoding' => 'gzip' ],
    [ 'POST of 1 kB', '/mcp', ' ' x (1024 - length $ping) . $ping ],
    [ 'POST of more than 1 kB', '/mcp', ' ' x (1025 - length $ping) . $ping ],
    [ 'POST of other bytes', '/mcp', '{' ],
    [ 'POST of another object', '/mcp', '{"jsonrpc":"1.0"}' ],
    [ 'POST with a wrong session id', '/mcp', $ping,
        'Mcp-Session-Id' => 'x' ],
    [ 'POST without a credential', '/mcp', $ping, Authorization => undef ],
    [ 'POST with a wrong credential', '/mcp', $ping,
        Authorization => 'token a:b' ],
    [ 'POST of another origin', '/mcp', $ping,
        Origin => 'https://evil.example' ],
    [ 'POST with large headers', '/mcp', tool(1, 'echo', {}),
        map { ("Mcp-$_" => 'v' x 6000) } 1 .. 3 ],
    [ 'POST of a call that is refused', '/mcp', tool(1, 'permission', {}) ],
    [ 'POST of a call that fails', '/mcp', tool(1, 'throw', {}) ],
    [ 'POST of a call with a large answer', '/mcp',
        tool(1, 'big', { bytes => 5000 }) ],
    [ 'GET without a session id', '/mcp' ],
    [ 'HEAD without a session id', '/mcp' ],
    [ 'GET without a credential', '/mcp', undef, Authorization => undef ],
    [ 'GET with a wrong session id', '/mcp', undef, 'Mcp-Session-Id' => 'x' ],
    [ 'GET with a body', '/mcp', '{}', @id ],
    [ 'HEAD with a session id', '/mcp', undef, @id ],
    [ 'DELETE without a session id', '/mcp' ],
    [ 'PUT to /mcp', '/mcp', '{}' ],
    [ 'OPTIONS of /mcp', '/mcp' ],
    [ 'HEAD of a legacy stream', '/mcp/sse' ],
    [ 'OPTIONS of a legacy stream', '/mcp/sse' ],
    [ 'POST to a legacy stream', '/mcp/sse', '{}' ],
    [ 'GET of a legacy stream without a credential', '/mcp/sse', undef,
        Authorization => undef ],
    [ 'GET of a legacy stream with a body', '/mcp/sse', '{}' ],
    [ 'GET with another server_url',
        '/mcp/sse?server_url=http%3A%2F%2Fx.example' ],
    [ 'HEAD with its server_url',
        '/mcp/sse?server_url=http%3A%2F%2Ferp.example.com' ],
    [ 'HEAD with an empty server_url', '/mcp/sse?server_url=' ],
    [ 'POST of a message without a session id', '/mcp/messages', $ping ],
    [ 'POST of a message with a wrong session id',
        '/mcp/messages?session_id=x', $ping ],
    [ 'POST of a message without a credential',
        '/mcp/messages?session_id=x', $ping, Authorization => undef ],
    [ 'GET of messages', '/mcp/messages' ],
    [ 'GET of metadata', "$meta/mcp" ],
    [ 'GET of metadata of the root', "$meta/" ],
    [ 'GET of another path', "${meta}x" ],
    [ 'POST to metadata', "$meta/mcp", '{}' ],
    [ 'GET of /health', '/health' ],
    [ 'HEAD of /health', '/health' ],
    [ 'OPTIONS of /health', '/health' ],
    [ 'POST to /health', '/health', '{}' ],
) {
    my ($name, $path, @more) = @{$case};
    my ($method) = $name =~ /\A(\S+)/;

    single($name, $method, $path, @more);
}

# ---- streams of the legacy transport

sub opens {
    my ($name, $old, $path, @headers) = @_;

    step();

    my $stream = open_stream($nginx, path => "/mcp/sse$path",
        headers => \@headers);

    MCPTest::secret($stream->session);
    $known{ $stream->session } = 'STREAM' . keys %known
        if $stream->session && !$known{ $stream->session };
    $old->wait_ended if $old;
    stepped($name, response($stream), events($stream),
        $old ? ('the old one:', events($old, 1)) : ());

    return $stream;
}


sub sends {
    my ($name, $stream, $message, $id) = @_;

    my $n = () = $stream->events;

    step();

    my $got = post($nginx, $stream, $message, conn => $conn);

    $stream->wait_answer($id) if defined $id;
    stepped($name, response($got), events($stream, $n));

    return;
}


my $one  = opens('a stream opens', undef, '');
my $held = tool(6, 'hold', { gate => 'a' });

sends('a ping', $one, $ping, 1);
sends('a call', $one, request(2, 'no/such'), 2);
sends('a notification that is not forwarded', $one, $done);
sends('a response', $one, '{"jsonrpc":"2.0","id":1,"result":{}}');
sends('a call that fails', $one, tool(3, 'throw', {}), 3);
sends('a call that is refused', $one, tool(4, 'permission', {}), 4);
sends('a call with a large answer', $one, tool(7, 'big', { bytes => 5000 }),
    7);
sends('a batch', $one, "[$ping," . request(5, 'resources/list') . ']', 5);

post($nginx, $one, $held, conn => $conn);
run_until(sub { $frappe->tool_count('hold') == 1 });
sends('a repeated request', $one, $held);
sends("a cancellation of $_->[0]", $one,
    notification('notifications/cancelled', { requestId => $_->[1] }))
    for [ 'another request', 8 ], [ 'the request', 6 ];

my $two = opens('a second stream', undef, '');

opens('a third one', undef, '');
single('HEAD at the limit', 'HEAD', '/mcp/sse');

my $three = opens('the session is taken over', $two,
    '?session_id=' . $two->session);
my $four  = opens('Last-Event-ID is stronger than the argument', $three,
    '?session_id=x', 'Last-Event-ID', $two->session);

for my $case ([ 'a client leaves', $four, 1 ], [ 'another one', $one, 0 ]) {
    my ($name, $stream, $n) = @{$case};

    step();
    $stream->close;
    run_until(sub { health($nginx)->{active_connections} == $n });
    stepped($name);
}

# ---- Streamable HTTP

step();

my $init = initialize($nginx);
my $new  = $init->header('Mcp-Session-Id');

$known{$new} = 'NEW';
stepped('initialize', response($init));
step();

my $get = http_get($nginx, session => $new);

stepped('a GET with the id', response($get), events($get));
step();

my $delete = http_delete($nginx, $new);

$get->wait_ended;
stepped('DELETE', response($delete), 'the stream:', events($get, 1));

for my $case ([ 'GET' ], [ 'POST', type => 'application/json',
    body => $ping ], [ 'DELETE' ])
{
    my ($method, @more) = @{$case};

    step();
    stepped("$method after DELETE",
        response(http($nginx, $method, session => $new, @more)));
}

for my $case ([ 'a call', request(1, 'no/such') ], [ 'a ping', $ping ],
    [ 'a call that is refused', tool(1, 'permission', {}) ],
    [ 'two calls', '[' . request(1, 'no/such') . ",$ping]" ])
{
    my ($name, $message) = @{$case};

    step();

    my $got = http_post($nginx, $message, accept => 'text/event-stream',
        session => $id, protocol => '2025-03-26');

    stepped("$name, with a stream", response($got), events($got));
}

is_deeply([ keys %want ], [], 'each block of the data was compared');

finish();

__DATA__
=== POST of a ping
200
content-type: application/json
content-length: 36
{"jsonrpc":"2.0","result":{},"id":1}
+1 auth_cache_requests good
+1 calls ping local
+1 messages request
mcp.log: id=1 method=ping result=local site=erp.example.com status=200 user=alice@example.com
=== POST of resources/list
200
content-type: application/json
content-length: 50
{"jsonrpc":"2.0","result":{"resources":[]},"id":1}
+1 auth_cache_requests good
+1 calls resources/* local
+1 messages request
mcp.log: id=1 method=resources/list result=local site=erp.example.com status=200 user=alice@example.com
=== POST of a request that Frappe does not know
200
content-type: application/json
content-length: 113
{"jsonrpc": "2.0", "id": "t", "error": {"code": -32601, "message": "Method not found: resources/templates/list"}}
+1 auth_cache_requests good
+1 call_duration
+1 calls resources/* error
+1 messages request
mcp.log: id="t" method=resources/templates/list result=error site=erp.example.com status=200 user=alice@example.com
audit.log: id="t" method=resources/templates/list result=error site=erp.example.com status=400 upstream_status=400 user=alice@example.com
=== POST of a notification
202
content-length: 0
+1 auth_cache_requests good
+1 messages notification
mcp.log: method=notifications/initialized site=erp.example.com status=202 user=alice@example.com
=== POST of a response
202
content-length: 0
+1 auth_cache_requests good
+1 messages response
mcp.log: id=1 site=erp.example.com status=202 user=alice@example.com
=== POST of a batch
200
content-type: application/json
content-length: 89
[{"jsonrpc":"2.0","result":{},"id":1},{"jsonrpc":"2.0","result":{"resources":[]},"id":1}]
+1 auth_cache_requests good
+1 calls ping local
+1 calls resources/* local
+2 messages request
mcp.log: id=1 method=ping result=local site=erp.example.com status=200 user=alice@example.com
=== POST of a batch in a new version
400
content-type: application/json
content-length: 99
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"No batches in this protocol version"}}
+1 auth_cache_requests good
+1 requests_refused 400
mcp.log: id=1 method=ping result=refused site=erp.example.com status=400 user=alice@example.com
info: mcp sse: refused with 400, "No batches in this protocol version"
=== POST of a batch with initialize
400
content-type: application/json
content-length: 98
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"An initialize request stands alone"}}
+1 auth_cache_requests good
+1 requests_refused 400
mcp.log: id=1 method=initialize result=refused site=erp.example.com status=400 user=alice@example.com
info: mcp sse: refused with 400, "An initialize request stands alone"
=== POST in an unknown version
400
content-type: application/json
content-length: 193
{"jsonrpc":"2.0","id":1,"error":{"code":-32022,"message":"Unsupported protocol version","data":{"supported":["2026-07-28","2025-11-25","2025-06-18","2025-03-26","2024-11-05"],"requested":"x"}}}
+1 auth_cache_requests good
+1 requests_refused 400
mcp.log: id=1 result=refused site=erp.example.com status=400 user=alice@example.com
info: mcp sse: refused with 400, "Unsupported protocol version"
=== POST that accepts text
406
content-type: application/json
content-length: 78
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Not acceptable"}}
+1 auth_cache_requests good
+1 requests_refused 406
mcp.log: id=1 method=ping result=refused site=erp.example.com status=406 user=alice@example.com
info: mcp sse: refused with 406, "Not acceptable"
=== POST that accepts text, of a notification
202
content-length: 0
+1 auth_cache_requests good
+1 messages notification
mcp.log: method=notifications/initialized site=erp.example.com status=202 user=alice@example.com
=== POST of text
415
content-type: application/json
content-length: 86
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Unsupported media type"}}
+1 auth_cache_requests good
+1 requests_refused 415
mcp.log: result=refused site=erp.example.com status=415 user=alice@example.com
info: mcp sse: refused with 415, "Unsupported media type"
=== POST of compressed bytes
415
content-type: application/json
content-length: 86
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Unsupported media type"}}
+1 auth_cache_requests good
+1 requests_refused 415
mcp.log: result=refused site=erp.example.com status=415 user=alice@example.com
info: mcp sse: refused with 415, "Unsupported media type"
=== POST of 1 kB
200
content-type: application/json
content-length: 36
{"jsonrpc":"2.0","result":{},"id":1}
+1 auth_cache_requests good
+1 calls ping local
+1 messages request
mcp.log: id=1 method=ping result=local site=erp.example.com status=200 user=alice@example.com
=== POST of more than 1 kB
413
content-type: application/json
content-length: 81
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Message too large"}}
+1 auth_cache_requests good
+1 requests_refused 413
mcp.log: result=refused site=erp.example.com status=413 user=alice@example.com
info: mcp sse: refused with 413, "Message too large"
=== POST of other bytes
400
content-type: application/json
content-length: 75
{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error"}}
+1 auth_cache_requests good
+1 requests_refused 400
mcp.log: result=refused site=erp.example.com status=400 user=alice@example.com
info: mcp sse: refused with 400, "Parse error"
=== POST of another object
400
content-type: application/json
content-length: 79
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Invalid Request"}}
+1 auth_cache_requests good
+1 requests_refused 400
mcp.log: result=refused site=erp.example.com status=400 user=alice@example.com
info: mcp sse: refused with 400, "Invalid Request"
=== POST with a wrong session id
404
content-type: application/json
content-length: 81
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}
+1 auth_cache_requests good
+1 requests_refused 404
mcp.log: result=refused site=erp.example.com status=404 user=alice@example.com
info: mcp sse: refused with 404, "Session not found"
=== POST without a credential
401
content-type: application/json
content-length: 85
www-authenticate: Bearer realm="erp.example.com", resource_metadata="https://erp.example.com/.well-known/oauth-protected-resource/mcp"
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Invalid authorization"}}
+1 requests_refused 401
mcp.log: result=refused site=erp.example.com status=401
info: mcp sse: refused with 401, "Invalid authorization": there is no Authorization "token KEY:SECRET" or "Bearer TOKEN"
=== POST with a wrong credential
401
content-type: application/json
content-length: 85
www-authenticate: Bearer realm="erp.example.com", error="invalid_token", resource_metadata="https://erp.example.com/.well-known/oauth-protected-resource/mcp"
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Invalid authorization"}}
+1 auth_cache_requests miss
+1 auth_lookups refused
+1 requests_refused 401
mcp.log: result=refused site=erp.example.com status=401
info: mcp sse: refused with 401, "Invalid authorization": Frappe does not take the credential, check that key and secret are right and the user is enabled
=== POST of another origin
403
content-type: application/json
content-length: 82
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Origin not allowed"}}
+1 requests_refused 403
mcp.log: result=refused status=403
info: mcp sse: refused with 403, "Origin not allowed"
=== POST with large headers
431
content-type: application/json
content-length: 81
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Headers too large"}}
+1 auth_cache_requests good
+1 requests_refused 431
mcp.log: id=1 method=tools/call result=refused site=erp.example.com status=431 tool=echo user=alice@example.com
info: mcp sse: refused with 431, "Headers too large"
=== POST of a call that is refused
403
content-type: application/json
content-length: 74
{"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"Not permitted"}}
+1 auth_cache_requests good
+1 call_duration
+1 calls tools/call refused
+1 messages request
mcp.log: id=1 method=tools/call result=refused site=erp.example.com status=403 tool=permission user=alice@example.com
audit.log: id=1 method=tools/call result=refused site=erp.example.com status=403 tool=permission upstream_status=403 user=alice@example.com
info: mcp sse: call at "/_mcp/call" answered 403, check that the user "alice@example.com" is enabled and may use the assistant
=== POST of a call that fails
200
content-type: application/json
content-length: 125
{"jsonrpc":"2.0","id":1,"error":{"code":-32603,"message":"Backend error","data":{"status":417,"exc_type":"ValidationError"}}}
+1 auth_cache_requests good
+1 call_duration
+1 calls tools/call backend
+1 messages request
mcp.log: id=1 method=tools/call result=backend site=erp.example.com status=200 tool=throw user=alice@example.com
audit.log: id=1 method=tools/call result=backend site=erp.example.com status=417 tool=throw upstream_status=417 user=alice@example.com
error: mcp sse: call at "/_mcp/call" answered 417, check that Frappe has the method in proxy_pass (FRAPPE_METHOD)
=== POST of a call with a large answer
200
content-type: application/json
content-length: 107
{"jsonrpc":"2.0","id":1,"error":{"code":-32009,"message":"Answer too large","data":{"executed":"unknown"}}}
+1 auth_cache_requests good
+1 call_duration
+1 calls tools/call too_large
+1 messages request
mcp.log: id=1 method=tools/call result=too_large site=erp.example.com status=200 tool=big user=alice@example.com
audit.log: id=1 method=tools/call result=too_large site=erp.example.com status=200 tool=big upstream_status=200 user=alice@example.com
error: mcp sse: call at "/_mcp/call" answered more than 4096 bytes, increase mcp_sse_max_answer if a tool needs more
=== GET without a session id
405
content-type: application/json
content-length: 82
allow: POST, DELETE, OPTIONS
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Method not allowed"}}
+1 auth_cache_requests good
+1 requests_refused 405
mcp.log: result=refused site=erp.example.com status=405 user=alice@example.com
info: mcp sse: refused with 405, "Method not allowed"
=== HEAD without a session id
405
content-type: application/json
content-length: 82
allow: POST, DELETE, OPTIONS
+1 auth_cache_requests good
+1 requests_refused 405
mcp.log: result=refused site=erp.example.com status=405 user=alice@example.com
info: mcp sse: refused with 405, "Method not allowed"
=== GET without a credential
401
content-type: application/json
content-length: 85
www-authenticate: Bearer realm="erp.example.com", resource_metadata="https://erp.example.com/.well-known/oauth-protected-resource/mcp"
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Invalid authorization"}}
+1 requests_refused 401
mcp.log: result=refused site=erp.example.com status=401
info: mcp sse: refused with 401, "Invalid authorization": there is no Authorization "token KEY:SECRET" or "Bearer TOKEN"
=== GET with a wrong session id
404
content-type: application/json
content-length: 81
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}
+1 auth_cache_requests good
+1 requests_refused 404
mcp.log: result=refused site=erp.example.com status=404 user=alice@example.com
info: mcp sse: refused with 404, "Session not found"
=== GET with a body
400
content-type: application/json
content-length: 86
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"A stream takes no body"}}
+1 auth_cache_requests good
+1 requests_refused 400
mcp.log: result=refused session=session1 site=erp.example.com status=400 user=alice@example.com
info: mcp sse: refused with 400, "A stream takes no body"
=== HEAD with a session id
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
+1 auth_cache_requests good
mcp.log: session=session1 site=erp.example.com status=200 user=alice@example.com
=== DELETE without a session id
400
content-type: application/json
content-length: 89
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Mcp-Session-Id is missing"}}
+1 auth_cache_requests good
+1 requests_refused 400
mcp.log: result=refused site=erp.example.com status=400 user=alice@example.com
info: mcp sse: refused with 400, "Mcp-Session-Id is missing"
=== PUT to /mcp
405
content-type: application/json
content-length: 82
allow: GET, HEAD, POST, DELETE, OPTIONS
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Method not allowed"}}
+1 requests_refused 405
mcp.log: result=refused status=405
info: mcp sse: refused with 405, "Method not allowed"
=== OPTIONS of /mcp
204
allow: GET, HEAD, POST, DELETE, OPTIONS
mcp.log: status=204
=== HEAD of a legacy stream
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
+1 auth_cache_requests good
=== OPTIONS of a legacy stream
204
allow: GET, HEAD, OPTIONS
=== POST to a legacy stream
405
content-type: application/json
content-length: 82
allow: GET, HEAD, OPTIONS
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Method not allowed"}}
+1 requests_refused 405
info: mcp sse: refused with 405, "Method not allowed"
=== GET of a legacy stream without a credential
401
content-type: application/json
content-length: 85
www-authenticate: Bearer realm="erp.example.com", resource_metadata="https://erp.example.com/.well-known/oauth-protected-resource/mcp/sse"
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Invalid authorization"}}
+1 requests_refused 401
info: mcp sse: refused with 401, "Invalid authorization": there is no Authorization "token KEY:SECRET" or "Bearer TOKEN"
=== GET of a legacy stream with a body
400
content-type: application/json
content-length: 86
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"A stream takes no body"}}
+1 auth_cache_requests good
+1 requests_refused 400
info: mcp sse: refused with 400, "A stream takes no body"
=== GET with another server_url
400
content-type: application/json
content-length: 93
{"jsonrpc":"2.0","id":null,"error":{"code":-32602,"message":"server_url is not served here"}}
+1 auth_cache_requests good
+1 requests_refused 400
info: mcp sse: refused with 400, "server_url is not served here"
=== HEAD with its server_url
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
+1 auth_cache_requests good
=== HEAD with an empty server_url
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
+1 auth_cache_requests good
=== POST of a message without a session id
400
content-type: application/json
content-length: 82
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Invalid session ID"}}
+1 auth_cache_requests good
+1 requests_refused 400
post.log: result=refused site=erp.example.com status=400 user=alice@example.com
info: mcp sse: refused with 400, "Invalid session ID"
=== POST of a message with a wrong session id
400
content-type: application/json
content-length: 82
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Invalid session ID"}}
+1 auth_cache_requests good
+1 requests_refused 400
post.log: result=refused site=erp.example.com status=400 user=alice@example.com
info: mcp sse: refused with 400, "Invalid session ID"
=== POST of a message without a credential
401
content-type: application/json
content-length: 85
www-authenticate: Bearer realm="erp.example.com"
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Invalid authorization"}}
+1 requests_refused 401
post.log: result=refused site=erp.example.com status=401
info: mcp sse: refused with 401, "Invalid authorization": there is no Authorization "token KEY:SECRET" or "Bearer TOKEN"
=== GET of messages
405
content-type: application/json
content-length: 82
allow: POST, OPTIONS
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Method not allowed"}}
+1 requests_refused 405
post.log: result=refused status=405
info: mcp sse: refused with 405, "Method not allowed"
=== GET of metadata
200
content-type: application/json
content-length: 132
cache-control: public, max-age=300
access-control-allow-origin: *
vary: Origin
access-control-expose-headers: Mcp-Session-Id, WWW-Authenticate, Retry-After
{"resource":"https://erp.example.com/mcp","authorization_servers":["https://erp.example.com"],"bearer_methods_supported":["header"]}
=== GET of metadata of the root
200
content-type: application/json
content-length: 128
cache-control: public, max-age=300
access-control-allow-origin: *
vary: Origin
access-control-expose-headers: Mcp-Session-Id, WWW-Authenticate, Retry-After
{"resource":"https://erp.example.com","authorization_servers":["https://erp.example.com"],"bearer_methods_supported":["header"]}
=== GET of another path
404
content-type: application/json
content-length: 73
access-control-allow-origin: *
vary: Origin
access-control-expose-headers: Mcp-Session-Id, WWW-Authenticate, Retry-After
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Not found"}}
+1 requests_refused 404
info: mcp sse: refused with 404, "Not found"
=== POST to metadata
405
content-type: application/json
content-length: 82
allow: GET, HEAD, OPTIONS
access-control-allow-origin: *
vary: Origin
access-control-expose-headers: Mcp-Session-Id, WWW-Authenticate, Retry-After
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Method not allowed"}}
+1 requests_refused 405
info: mcp sse: refused with 405, "Method not allowed"
=== GET of /health
200
content-type: application/json
content-length: 177
{"status":"healthy","service":"frappe-assistant-core-sse-bridge","active_connections":0,"pending_requests":0,"version":"0.1.0","backend":{"status":"healthy","since":TIME}}
=== HEAD of /health
200
content-type: application/json
content-length: 177
=== OPTIONS of /health
204
allow: GET, HEAD, OPTIONS
=== POST to /health
405
content-type: application/json
content-length: 82
allow: GET, HEAD, OPTIONS
{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"Method not allowed"}}
+1 requests_refused 405
info: mcp sse: refused with 405, "Method not allowed"
=== a stream opens
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
id: STREAM1
event: endpoint
data: /mcp/messages?site=a&session_id=STREAM1

+1 auth_cache_requests good
+1 streams_opened
info: SSE connection established: session2 for user: alice@example.com
=== a ping
202
content-type: application/json
content-length: 21
{"status":"accepted"}
event: message
data: {"jsonrpc":"2.0","result":{"_meta":{"status":"ok","timestamp":TIME,"service":"frappe-mcp-sse-bridge","message":"pong"}},"id":1}

+1 auth_cache_requests good
+1 calls ping local
+1 delivery_duration
+1 handovers own
+1 messages request
post.log: id=1 method=ping result=local session=session2 site=erp.example.com status=202 user=alice@example.com
=== a call
202
content-type: application/json
content-length: 21
{"status":"accepted"}
event: message
data: {"jsonrpc": "2.0", "id": 2, "error": {"code": -32601, "message": "Method not found: no/such"}}

+1 auth_cache_requests good
+1 call_duration
+1 calls other error
+1 delivery_duration
+1 handovers own
+1 messages request
post.log: id=2 method=no/such session=session2 site=erp.example.com status=202 user=alice@example.com
audit.log: id=2 method=no/such result=error session=session2 site=erp.example.com status=400 upstream_status=400 user=alice@example.com
=== a notification that is not forwarded
202
content-type: application/json
content-length: 21
{"status":"accepted"}
+1 auth_cache_requests good
+1 delivery_duration
+1 handovers own
+1 messages notification
post.log: method=notifications/initialized session=session2 site=erp.example.com status=202 user=alice@example.com
=== a response
202
content-type: application/json
content-length: 21
{"status":"accepted"}
+1 auth_cache_requests good
+1 delivery_duration
+1 handovers own
+1 messages response
post.log: id=1 session=session2 site=erp.example.com status=202 user=alice@example.com
=== a call that fails
202
content-type: application/json
content-length: 21
{"status":"accepted"}
event: message
data: {"jsonrpc":"2.0","id":3,"error":{"code":-32603,"message":"Backend error","data":{"status":417,"exc_type":"ValidationError"}}}

+1 auth_cache_requests good
+1 call_duration
+1 calls tools/call backend
+1 delivery_duration
+1 handovers own
+1 messages request
post.log: id=3 method=tools/call session=session2 site=erp.example.com status=202 tool=throw user=alice@example.com
audit.log: id=3 method=tools/call result=backend session=session2 site=erp.example.com status=417 tool=throw upstream_status=417 user=alice@example.com
error: mcp sse: call at "/_mcp/call" answered 417, check that Frappe has the method in proxy_pass (FRAPPE_METHOD)
=== a call that is refused
202
content-type: application/json
content-length: 21
{"status":"accepted"}
event: message
data: {"jsonrpc":"2.0","id":4,"error":{"code":-32001,"message":"Not permitted"}}

+1 auth_cache_requests good
+1 call_duration
+1 calls tools/call refused
+1 delivery_duration
+1 handovers own
+1 messages request
post.log: id=4 method=tools/call session=session2 site=erp.example.com status=202 tool=permission user=alice@example.com
audit.log: id=4 method=tools/call result=refused session=session2 site=erp.example.com status=403 tool=permission upstream_status=403 user=alice@example.com
info: mcp sse: call at "/_mcp/call" answered 403, check that the user "alice@example.com" is enabled and may use the assistant
=== a call with a large answer
202
content-type: application/json
content-length: 21
{"status":"accepted"}
event: message
data: {"jsonrpc":"2.0","id":7,"error":{"code":-32009,"message":"Answer too large","data":{"executed":"unknown"}}}

+1 auth_cache_requests good
+1 call_duration
+1 calls tools/call too_large
+1 delivery_duration
+1 handovers own
+1 messages request
post.log: id=7 method=tools/call session=session2 site=erp.example.com status=202 tool=big user=alice@example.com
audit.log: id=7 method=tools/call result=too_large session=session2 site=erp.example.com status=200 tool=big upstream_status=200 user=alice@example.com
error: mcp sse: call at "/_mcp/call" answered more than 4096 bytes, increase mcp_sse_max_answer if a tool needs more
=== a batch
202
content-type: application/json
content-length: 21
{"status":"accepted"}
event: message
data: {"jsonrpc":"2.0","result":{"_meta":{"status":"ok","timestamp":TIME,"service":"frappe-mcp-sse-bridge","message":"pong"}},"id":1}

event: message
data: {"jsonrpc":"2.0","result":{"resources":[]},"id":5}

+1 auth_cache_requests good
+1 calls ping local
+1 calls resources/* local
+1 delivery_duration
+1 handovers own
+2 messages request
post.log: id=1 method=ping result=local session=session2 site=erp.example.com status=202 user=alice@example.com
=== a repeated request
202
content-type: application/json
content-length: 21
{"status":"accepted"}
+1 auth_cache_requests good
+1 delivery_duration
+1 handovers own
+1 messages request
+1 messages_not_run repeated
post.log: id=6 method=tools/call session=session2 site=erp.example.com status=202 tool=hold user=alice@example.com
info: mcp sse: session session2: request id is already in use, the request is not executed
=== a cancellation of another request
202
content-type: application/json
content-length: 21
{"status":"accepted"}
+1 auth_cache_requests good
+1 delivery_duration
+1 handovers own
+1 messages notification
post.log: method=notifications/cancelled session=session2 site=erp.example.com status=202 user=alice@example.com
=== a cancellation of the request
202
content-type: application/json
content-length: 21
{"status":"accepted"}
+1 auth_cache_requests good
+1 call_duration
+1 calls tools/call cancelled
+1 delivery_duration
+1 handovers own
+1 messages notification
post.log: method=notifications/cancelled session=session2 site=erp.example.com status=202 user=alice@example.com
audit.log: id=6 method=tools/call result=cancelled session=session2 site=erp.example.com status=000 tool=hold upstream_status=- user=alice@example.com
info: mcp sse: session session2 cancels a running request
=== a second stream
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
id: STREAM2
event: endpoint
data: /mcp/messages?site=a&session_id=STREAM2

+1 auth_cache_requests good
+1 streams_opened
info: SSE connection established: session3 for user: alice@example.com
=== a third one
429
content-type: application/json
content-length: 81
retry-after: 1
{"jsonrpc":"2.0","id":null,"error":{"code":-32004,"message":"Too many sessions"}}
+1 auth_cache_requests good
+1 limit_refusals sessions
+1 requests_refused 429
info: mcp sse: refused with 429, "Too many sessions"
=== HEAD at the limit
429
content-type: application/json
content-length: 81
retry-after: 1
+1 auth_cache_requests good
+1 limit_refusals sessions
+1 requests_refused 429
info: mcp sse: refused with 429, "Too many sessions"
=== the session is taken over
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
id: STREAM2
event: endpoint
data: /mcp/messages?site=a&session_id=STREAM2

the old one:
+1 auth_cache_requests good
+1 streams_ended replaced
+1 streams_opened
info: SSE connection closed: session3, replaced, TIME, 0 messages
info: SSE connection established: session3 for user: alice@example.com
=== Last-Event-ID is stronger than the argument
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
id: STREAM2
event: endpoint
data: /mcp/messages?site=a&session_id=STREAM2

the old one:
+1 auth_cache_requests good
+1 streams_ended replaced
+1 streams_opened
info: SSE connection closed: session3, replaced, TIME, 0 messages
info: SSE connection established: session3 for user: alice@example.com
=== a client leaves
+1 streams_ended client_left
info: SSE connection closed: session3, client left, TIME, 0 messages
=== another one
+1 streams_ended client_left
info: SSE connection closed: session2, client left, TIME, 13 messages
=== initialize
200
content-type: application/json
content-length: 204
mcp-session-id: NEW
{"jsonrpc": "2.0", "id": 0, "result": {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}, "prompts": {}, "resources": {}}, "serverInfo": {"name": "frappe-assistant-core", "version": "2.0.0"}}}
+1 auth_cache_requests good
+1 call_duration
+1 calls initialize ok
+1 messages request
mcp.log: id=0 method=initialize result=ok session=session4 site=erp.example.com status=200 user=alice@example.com
audit.log: id=0 method=initialize result=ok site=erp.example.com status=200 upstream_status=200 user=alice@example.com
=== a GET with the id
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
: stream

+1 auth_cache_requests good
+1 streams_opened
info: SSE connection established: session4 for user: alice@example.com
=== DELETE
204
the stream:
+1 auth_cache_requests good
+1 streams_ended deleted
mcp.log: session=session4 site=erp.example.com status=204 user=alice@example.com
mcp.log: session=session4 site=erp.example.com status=200 user=alice@example.com
info: SSE connection closed: session4, deleted, TIME, 0 messages
=== GET after DELETE
404
content-type: application/json
content-length: 81
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}
+1 auth_cache_requests good
+1 requests_refused 404
mcp.log: result=refused session=session4 site=erp.example.com status=404 user=alice@example.com
info: mcp sse: refused with 404, "Session not found"
=== POST after DELETE
404
content-type: application/json
content-length: 81
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}
+1 auth_cache_requests good
+1 requests_refused 404
mcp.log: id=1 method=ping result=refused session=session4 site=erp.example.com status=404 user=alice@example.com
info: mcp sse: refused with 404, "Session not found"
=== DELETE after DELETE
404
content-type: application/json
content-length: 81
{"jsonrpc":"2.0","id":null,"error":{"code":-32001,"message":"Session not found"}}
+1 auth_cache_requests good
+1 requests_refused 404
mcp.log: result=refused session=session4 site=erp.example.com status=404 user=alice@example.com
info: mcp sse: refused with 404, "Session not found"
=== a call, with a stream
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
: stream

event: message
data: {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found: no/such"}}

+1 auth_cache_requests good
+1 call_duration
+1 calls other error
+1 messages request
mcp.log: id=1 method=no/such result=error session=session1 site=erp.example.com status=200 user=alice@example.com
audit.log: id=1 method=no/such result=error session=session1 site=erp.example.com status=400 upstream_status=400 user=alice@example.com
=== a ping, with a stream
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
: stream

event: message
data: {"jsonrpc":"2.0","result":{},"id":1}

+1 auth_cache_requests good
+1 calls ping local
+1 messages request
mcp.log: id=1 method=ping result=local session=session1 site=erp.example.com status=200 user=alice@example.com
=== a call that is refused, with a stream
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
: stream

event: message
data: {"jsonrpc":"2.0","id":1,"error":{"code":-32001,"message":"Not permitted"}}

+1 auth_cache_requests good
+1 call_duration
+1 calls tools/call refused
+1 messages request
mcp.log: id=1 method=tools/call result=refused session=session1 site=erp.example.com status=200 tool=permission user=alice@example.com
audit.log: id=1 method=tools/call result=refused session=session1 site=erp.example.com status=403 tool=permission upstream_status=403 user=alice@example.com
info: mcp sse: call at "/_mcp/call" answered 403, check that the user "alice@example.com" is enabled and may use the assistant
=== two calls, with a stream
200
content-type: text/event-stream
cache-control: no-cache, no-transform
x-accel-buffering: no
: stream

event: message
data: {"jsonrpc":"2.0","result":{},"id":1}

event: message
data: {"jsonrpc": "2.0", "id": 1, "error": {"code": -32601, "message": "Method not found: no/such"}}

+1 auth_cache_requests good
+1 call_duration
+1 calls other error
+1 calls ping local
+2 messages request
mcp.log: id=1 method=no/such result=error session=session1 site=erp.example.com status=200 user=alice@example.com
audit.log: id=1 method=no/such result=error session=session1 site=erp.example.com status=400 upstream_status=400 user=alice@example.com
