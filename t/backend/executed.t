# A call without an answer of Frappe says what is known of it: whether it was
# executed, Frappe's status and exception, when to try again; and the log says
# what to do.  docs/PROTOCOL.md 6.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Names;
use POSIX qw(strftime);
use Test::More;

my $id = 0;
my @reply;

my $backend = start_backend(sub {
    return if $_[0]{path} =~ /get_logged_user/;
    return @reply;
});

my $http = \&MCPTest::Backend::http;


# Calls a tool over both transports and compares the error; $data is what its
# data must be, or a function that returns whether it is right.  The log has
# one line, $line, for each of the two calls.

sub told {
    my ($name, $nginx, $code, $text, $data, $line) = @_;

    my $stream = open_stream($nginx);

    for my $transport ('the stream', '/mcp') {
        my $before = () = $nginx->error_log =~ /$line/g;
        my $raw    = $transport eq '/mcp'
            ? http_post($nginx, tool(++$id, 'echo', {}),
                accept => 'application/json')->body
            : call($nginx, $stream, tool(++$id, 'echo', {}));
        my $got = (error_of($raw) || {})->{data};

        is_error($raw, $code, $text, "$name, $transport: the error");

        ref $data eq 'CODE'
            ? ok($data->($got || {}), "$name, $transport: the data")
            : is_deeply($got, $data, "$name, $transport: the data");

        my $after = () = $nginx->error_log =~ /$line/g;

        is($after - $before, 1, "$name, $transport: one line says what to do")
            or diag($nginx->error_log);
    }

    $stream->close;

    return;
}


my $call = 'mcp sse: call at "/_mcp/call"';
my $down = qr/$call answered 502, check that Frappe runs at the address/;
my $dead = qr/$call answered 502, it was sent and Frappe closed the connection/;
my $over = qr/$call failed before its answer was complete/;

# ---- Frappe says that it does not take the call

{
    my $frappe = start_frappe();
    my $nginx  = start_http(http => 'mcp_sse_auth_cache 1h;');

    open_stream($nginx)->close;

    $frappe->set(down => '429');
    told('the rate limit of Frappe', $nginx, -32004, 'Too many requests',
        { status => 429, exc_type => 'TooManyRequestsError',
            retry_after => 39 },
        qr/$call answered 429, the rate limit of Frappe: raise "rate_limit"/);

    $frappe->set(down => '503');
    told('maintenance of the site', $nginx, -32003, 'Backend unavailable',
        { status => 503, exc_type => 'SessionStopped', executed => 'no' },
        qr/$call answered 503, the site is in maintenance: wait for bench/);

    $frappe->reset;
}

my $nginx = start_http(backend => $backend->port,
    http => 'mcp_sse_auth_cache 1h; mcp_sse_call_timeout 2s;'
        . ' mcp_sse_max_answer 10k;');

for my $case (
    [ 'a date', strftime('%a, %d %b %Y %T GMT', gmtime time + 600),
        sub { $_[0]{retry_after} > 500 && $_[0]{retry_after} <= 600 } ],
    [ 'a date that has passed', 'Sun, 06 Nov 1994 08:49:37 GMT',
        { status => 429, retry_after => 0 } ],
    [ 'what is neither seconds nor a date', 'soon', { status => 429 } ],
    [ 'no value', '', { status => 429 } ],
) {
    my ($name, $value, $data) = @{$case};

    @reply = $http->(429, '<html>', 'Retry-After', $value);
    told("status 429, Retry-After is $name", $nginx, -32004,
        'Too many requests', $data, qr/$call answered 429, the rate limit/);
}

@reply = $http->(429, '{}');
told('status 429 without Retry-After', $nginx, -32004, 'Too many requests',
    { status => 429 }, qr/$call answered 429, the rate limit/);

@reply = $http->(503, '<html>', 'Retry-After', 120);
told('a 503 of a proxy before Frappe', $nginx, -32003, 'Backend unavailable',
    { status => 503, retry_after => 120, executed => 'unknown' },
    qr/$call answered 503, check whether the site is in maintenance/);

@reply = $http->(502, '<html>');
told('a 502 of a proxy before Frappe', $nginx, -32003, 'Backend unavailable',
    { status => 502, executed => 'unknown' }, $down);

# ---- Frappe has the call and gives no answer

@reply = (\'close');
told('Frappe dies in mid-call', $nginx, -32003, 'Backend unavailable',
    { executed => 'unknown' }, $dead);

@reply = (\'reset');
told('Frappe resets the connection', $nginx, -32003, 'Backend unavailable',
    { executed => 'unknown' }, $dead);

@reply = ("HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{", \'reset');
told('Frappe dies in its answer', $nginx, -32603, 'Backend error',
    sub { ($_[0]{executed} || '') eq 'unknown' && $_[0]{status} == 200 },
    qr/$over|$call answered 200 without a usable body/);

@reply = $http->(500, '<html>Internal Server Error', 'Content-Type',
    'text/html');
told('gunicorn answers 500 for a worker that died', $nginx, -32603,
    'Backend error', { status => 500, executed => 'unknown' },
    qr/$call answered 500/);

@reply = $http->(500, '{"exc_type":"OperationalError","exc":"Traceback"}');
told('a tool raises, status 500', $nginx, -32603, 'Backend error',
    { status => 500, exc_type => 'OperationalError' },
    qr/$call answered 500/);

@reply = $http->(202, '');
told('an answer without a body', $nginx, -32603, 'Empty answer from backend',
    { executed => 'unknown' },
    qr/$call answered 202 without a usable body/);

@reply = $http->(200, '{"jsonrpc":"2.0","id":"x","result":{}}');
told('the answer to another request', $nginx, -32603,
    'Backend answered another request', { executed => 'unknown' },
    qr/$call answered another request, check that nothing/);

@reply = $http->(200, 'x' x 20_000);
told('an answer beyond mcp_sse_max_answer', $nginx, -32009,
    'Answer too large', { executed => 'unknown' },
    qr/$call answered more than 10240 bytes/);

@reply = (\'hang');
told('no answer within mcp_sse_call_timeout', $nginx, -32008,
    'Request timed out', { timeout_ms => 2000, executed => 'unknown' },
    qr/$call timed out after 2000 ms/);

$_->_close(0) for grep { !$_->{gone} } @{ $backend->{conns} };

{
    my $slow = start_http(backend => $backend->port,
        http => 'mcp_sse_auth_cache 1h;', config => sub {
            return $_[0]->template =~ s/proxy_read_timeout 600s/
                proxy_read_timeout 1s/r;
        });

    told('no answer within proxy_read_timeout', $slow, -32008,
        'Request timed out', sub { $_[0]{timeout_ms} >= 1000
            && $_[0]{executed} eq 'unknown' },
        qr/$call answered 504, it was sent and not answered in time/);

    $_->_close(0) for grep { !$_->{gone} } @{ $backend->{conns} };
}

# ---- the call does not reach Frappe

for my $case (
    [ 'return 503;', -32003, 'Backend unavailable', { executed => 'no' },
        qr/$call answered 503 by nginx itself/ ],
    [ 'return 429;', -32004, 'Too many requests',
        { status => 429, executed => 'no' },
        qr/$call answered 429 by nginx itself/ ],
    [ 'return 404;', -32603, 'Backend error',
        { status => 404, executed => 'no' },
        qr/$call answered 404 by nginx itself/ ],
) {
    my ($line, @rest) = @{$case};

    told("\"$line\" in the location of mcp_sse_call",
        start_http(call => $line), @rest);
}

{
    my $names = MCPTest::Names->new('*' => '127.0.0.1');
    my $port  = $backend->port;
    my $by_name = start_http(backend => $port,
        http => sprintf('resolver 127.0.0.1:%d ipv6=off; resolver_timeout'
            . ' 300s; mcp_sse_auth_cache 1h; mcp_sse_call_timeout 1s;',
            $names->port),
        config => sub {
            return $_[0]->template =~ s{proxy_pass http://frappe/}
                {proxy_pass http://call\$mcp_sse_id.test:$port/}r;
        });

    $names->delay('held');
    told('no name server within mcp_sse_call_timeout', $by_name, -32008,
        'Request timed out', { timeout_ms => 1000, executed => 'no' },
        qr/$call timed out after 1000 ms/);
    $names->release;
}

$backend->stop;
told('Frappe does not run', $nginx, -32003, 'Backend unavailable',
    { executed => 'no' }, $down);

finish();
