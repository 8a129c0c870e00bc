# Each allocation of a request fails once: the first, then the second, and so on
# until all went well.  Whatever the client is told is true: its answer comes,
# or it is refused, or its connection or stream ends.  The worker goes on, and
# nothing stays behind.  docs/PROTOCOL.md 1.13, 3, 12.13.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Allocation;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

my $allocation = MCPTest::Allocation->new;

my $notified = 0;

my $backend = start_backend(sub {
    my ($request) = @_;

    $notified++ if $request->{body} =~ /"notifications/;

    return $request->{path} =~ /get_logged_user/
        && ($request->{headers}{authorization} || '') =~ /bad-key/
        ? MCPTest::Backend::http(401, '{}')
        : () if $request->{path} =~ /get_logged_user/;

    my ($id) = $request->{body} =~ /"id":(\d+)/;

    return MCPTest::Backend::http(500, '{"exc_type":"ValidationError"}')
        if $request->{body} =~ /"fails"/;

    return MCPTest::Backend::http(defined $id ? 200 : 202, defined $id
        ? qq({"message":{"jsonrpc":"2.0","id":$id,"result":{"a":"b"}}}) : '');
});

# small pools: nearly each allocation of a request is a block of its own

my $nginx = do {
    local $ENV{LD_PRELOAD} = $allocation->path;

    start_http(backend => $backend->port, dialect => 'old',
        mcp => 'mcp_sse_stream_after 300s;',
        stream => 'mcp_sse_cookie on;',
        http => 'request_pool_size 128; connection_pool_size 128; '
            . 'mcp_sse_grace 300s; mcp_sse_auth_cache 300s; '
            . 'mcp_sse_max_sessions 400; client_body_timeout 300s; '
            . 'mcp_sse_auth_wait 500ms; '
            . 'mcp_sse_auth_server https://login.example.com; '
            . 'mcp_sse_pass_header X-Other; mcp_sse_max_message 20k;',
        locations => 'location = /soon { mcp_sse_http; '
            . 'mcp_sse_stream_after 1ms; } location '
            . '/.well-known/oauth-protected-resource { '
            . 'mcp_sse_resource_metadata; }',
        allow => [ qr/(?:malloc|posix_memalign)\(.*\) failed/ ]);
};

my ($worker) = $nginx->wait_workers;
my ($n, $conn, $stream) = (0);

$allocation->worker($worker);


# A connection of the worker that had a request already.

sub again {
    return $conn if $conn && !$conn->{closed};

    $conn = connect_to($nginx);
    $conn->get('/pid');

    return $conn;
}


sub legacy { return post($nginx, $stream, $_[0], conn => again(), @_[1 .. $#_]) }
sub mcp { return http_post($nginx, $_[0], conn => again(), @_[1 .. $#_]) }


# What a client sees: a status and the kind of a body.

sub seen {
    my ($response) = @_;

    my $status = $response->status or return 'closed';
    my $body   = $response->can('answer') ? $response->answer
        : $response->body;

    return 'cut' if $response->{ended} && $response->{ended} ne 'clean';
    $body = '' if !defined $body;

    return "$status " . ($body =~ /"code":(-\d+)/ ? $1
        : $body =~ /"result"/ ? 'result' : $body =~ /<html>/ ? 'html'
        : $body eq '' ? 'nothing' : 'body');
}


# What becomes of a request to the stream, and of the stream.

sub answered {
    my ($response, @ids) = @_;

    my $seen = seen($response);

    return $seen if $seen !~ /\A202/;

    for my $id (@ids) {
        $stream->wait_answer($id);

        my @answers = $stream->answers($id);

        $seen .= ' ' . (@answers > 1 ? 'twice' : !@answers ? 'none'
            : $answers[0] =~ /"code":(-\d+)/ ? $1 : 'result');
        $stream->forget($id);
    }

    return $seen . ($stream->{ended} ? ', the stream ends' : '');
}


sub opened {
    my ($one, $want) = @_;

    my $seen = !$one->status ? 'closed'
        : $one->status != 200 ? seen($one)
        : !@{ $one->{events} } ? '200 without an event'
        : $want && ($one->session || '') ne $want ? 'another session' : '200';

    $one->close;

    return $seen;
}


# Connects as above, for a stream of its own.

sub fresh {
    my $own = connect_to($nginx);

    $own->get('/pid');

    return $own;
}


sub idle {
    my $page = metrics($nginx);

    return !grep { $page->{"nginx_mcp_sse_$_"} }
        qw(calls_running messages_waiting);
}


# Does something that has Frappe get a notification, and waits for its end.

sub called {
    my ($code) = @_;

    my $before = $notified;
    my $seen   = $code->();

    run_until(sub { $notified > $before || $allocation->failed })
        if $seen =~ /\A202/;
    $allocation->fail(0);
    run_until(\&idle);

    return $seen;
}


# ---- the kinds of requests: a name, what is done first, the request

my $session;
my %before;

my $client = { protocolVersion => '2025-06-18', capabilities =>
    { elicitation => {} }, clientInfo => { name => "\x{e9}", version => 1 } };

my @kinds = (
    [ 'a ping', sub { answered(legacy(request(++$n, 'ping')), $n) } ],
    [ 'a call', sub { answered(legacy(tool(++$n, 'echo',
        { text => 'x' x 300 })), $n) } ],
    [ 'initialize of a stream', sub { answered(legacy(request(++$n,
        'initialize', $client)), $n) } ],
    [ 'a call that fails', sub { answered(legacy(tool(++$n, 'fails', {})),
        $n) } ],
    [ 'a call with a token', sub { answered(legacy(tool(++$n, 'echo', {},
        _meta => { progressToken => "t$n" })), $n) } ],
    [ 'a notification', sub { called(sub { answered(legacy(notification(
        'notifications/x', { text => 'x' x 500 }))) }) } ],
    [ 'a batch', sub { $n += 3; called(sub { answered(legacy('[' . join(',',
        tool($n - 2, 'echo', {}), request($n - 1, 'ping'),
        notification('notifications/x'), tool($n, 'echo', {})) . ']'),
        $n - 2 .. $n) }) } ],
    [ 'headers', sub { answered(legacy(tool(++$n, 'echo', {}), headers => [
        'X-Other' => 'a', 'Accept-Language' => 'de', 'Mcp-A' => 'b' x 500,
        'traceparent' => '00-' . 'a' x 32 . '-' . 'b' x 16 . '-01' ]), $n) } ],
    [ 'chunks', sub { answered(legacy(join('', map { sprintf "%x\r\n%s\r\n",
        length, $_ } unpack '(a1500)*', tool(++$n, 'echo', { text => 'x' x 9000
        })) . "0\r\n\r\n", headers => [ 'Transfer-Encoding' => 'chunked' ]),
        $n) } ],
    [ 'bad JSON', sub { seen(legacy('{')) } ],
    [ 'an unknown session', sub { seen(post($nginx, 'A' x 50, '{}',
        conn => again())) } ],
    [ 'a large message', sub { seen(legacy('x' x 30_000)) } ],
    [ 'another type', sub { seen(legacy('{}', type => 'text/plain')) } ],
    [ 'another Origin', sub { seen(legacy('{}',
        headers => [ Origin => 'https://evil.example.com' ])) } ],
    [ 'a good Origin', sub { answered(legacy(request(++$n, 'ping'),
        headers => [ Origin => 'http://erp.example.com' ]), $n) } ],
    [ 'OPTIONS', sub { seen(http($nginx, 'OPTIONS', auth => undef, conn =>
        again(), headers => [ Origin => 'http://erp.example.com' ])) } ],
    [ 'another method', sub { seen(http($nginx, 'PUT', conn => again(),
        body => '{}')) } ],
    [ 'HEAD', sub { seen(http($nginx, 'HEAD', conn => again(),
        path => '/mcp/sse')) } ],
    [ 'a stream', sub { opened(open_stream($nginx, conn => $before{conn})) },
        sub { $before{conn} = fresh() } ],
    [ 'a stream with server_url', sub { opened(open_stream($nginx, conn =>
        $before{conn}, path => '/mcp/sse?server_url=http%3A%2F%2F'
        . 'erp.example.com')) }, sub { $before{conn} = fresh() } ],
    [ 'a stream that comes back', sub { opened(open_stream($nginx,
        conn => $before{conn}, headers => [ 'Last-Event-ID',
        $before{id} ]), $before{id}) }, sub {
            my $one = open_stream($nginx);

            $before{id} = $one->session;
            $one->close;
            run_until(sub {
                metrics($nginx)->{nginx_mcp_sse_streams} <= 1 });
            $before{conn} = fresh();
        } ],
    [ 'a look-up', sub { answered(legacy(request(++$n, 'ping'),
        auth => "token key-$n:a-good-secret-$n"), $n) } ],
    [ 'a look-up that fails', sub { seen(legacy(request(++$n, 'ping'),
        auth => "token bad-key-$n:a-bad-secret-$n")) } ],
    [ 'Basic', sub { answered(legacy(request(++$n, 'ping'),
        auth => 'Basic YWxpY2Uta2V5OmFsaWNlLXNlY3JldA=='), $n) } ],
    [ 'a cookie', sub { opened(open_stream($nginx, conn => $before{conn},
        auth => undef, headers => [ Cookie => "a=b; sid=sid-of-alice-$n",
        'Sec-Fetch-Site' => 'same-origin' ])) },
        sub { $n++; $before{conn} = fresh() } ],
    [ 'no credential', sub { seen(mcp('{}', auth => undef)) } ],
    [ 'initialize', sub { seen(initialize($nginx, conn => again())) } ],
    [ 'POST /mcp, 2026-07-28', sub { seen(modern($nginx, ++$n,
        'tools/list', {}, conn => again(), meta => { clientCapabilities =>
        { elicitation => {} } })) } ],
    [ 'POST /mcp', sub { seen(mcp(tool(++$n, 'echo', {}),
        session => $session)) } ],
    [ 'POST /mcp, a stream', sub { seen(mcp(tool(++$n, 'echo', {}),
        accept => 'text/event-stream')) } ],
    [ 'POST /mcp, a batch', sub { $n += 2; seen(mcp('[' . join(',',
        tool($n - 1, 'echo', {}), tool($n, 'echo', {})) . ']',
        protocol => '2025-03-26')) } ],
    [ 'POST /mcp, a ping', sub { seen(mcp(request(++$n, 'ping'))) } ],
    [ 'POST /mcp, a notification', sub { called(sub { seen(mcp(
        notification('notifications/x'))) }) } ],
    [ 'POST /mcp, 406', sub { seen(mcp(request(1, 'x'), accept => 'x/y')) } ],
    [ 'POST /mcp, 404', sub { seen(mcp(request(1, 'x'), session => 'x')) } ],
    [ 'GET /mcp', sub { opened(http_get($nginx, session => $session,
        conn => $before{conn})) }, sub { $before{conn} = fresh() } ],
    [ 'DELETE', sub { seen(http_delete($nginx, $before{id},
        conn => again())) }, sub { $before{id} = session_id($nginx) } ],
    [ '/health', sub { seen(again()->get('/health')) } ],
    [ '/metrics', sub { seen(again()->get('/metrics')) } ],
    [ 'metadata', sub { seen(again()->get(
        '/.well-known/oauth-protected-resource/mcp')) } ],
);

my @only = grep { $_ ne '' } split /;/, $ENV{MCP_SSE_ONLY} || '';


# Runs a request; returns what the client has seen.

sub try {
    my ($kind, $fails) = @_;

    my ($name, $request, $first) = @$kind;

    $stream  = open_stream($nginx) if !$stream || $stream->{ended};
    $session = session_id($nginx) if !$session;
    $first->() if $first;

    # the last failure may have closed it

    $conn->close if $conn && $fails;
    again();
    $allocation->fail($fails);

    my $seen = $request->();

    $allocation->fail(0);

    return $seen;
}


# All connections but that of the stream are closed, and the worker knows; no
# call runs.

sub settle {
    $conn->close;
    run_until(sub { metrics($nginx)->{nginx_mcp_sse_streams} <= 1
        && idle() });

    return;
}


# What may be seen for want of memory: that, or nothing; an answer for each
# request, or the end of the stream in its place.

my $refused = qr/\A(?:closed|cut|500\ (?:-32603|html|nothing)|50[23]\ -32003
    |200\ -32[06]03)\z/x;
my $accepted = qr/\A202 body(?: (?:result|-32[06]03))*\z/;
my $ended = qr/\A202 body(?: (?:none|result|-32[06]03))*, the stream ends\z/;

for my $kind (@kinds) {
    my $name = $kind->[0];

    next if @only && !grep { $_ eq $name } @only;

    my $good = try($kind, 0);
    my ($seen, $left) = $allocation->each(sub { try($kind, $_[0]) }, \&settle);

    is(try($kind, 0), $good, "$name: $good without a failure");
    cmp_ok($left, '<=', 0, "$name: no block is left");
    cmp_ok(scalar(keys %$seen), '>', 1, "$name: failures are seen");
    is_deeply([ grep { $_ ne $good && !/$refused|$accepted|$ended/ }
        sort keys %$seen ], [], "$name: what is told is true");
}

is_deeply([ $nginx->wait_workers ], [ $worker ], 'the worker is the same');

finish();
