# The line of the error log for a call without a usable answer: the status, what
# the operator should check, and whose call it was.  docs/PROTOCOL.md 9.15.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $id   = 0;
my $http = \&MCPTest::Backend::http;
my @reply;

my $backend = start_backend(sub {
    return if $_[0]{path} =~ /get_logged_user/;
    return @reply;
});

my $nginx = start_http(backend => $backend->port, http =>
    'mcp_sse_auth_cache 1h; mcp_sse_call_timeout 300s;',
    call => 'proxy_connect_timeout 300s; '
        . 'proxy_set_header X-Connection $connection;',
    locations => <<'EOT');
        location /impatient { proxy_pass http://frappe; proxy_read_timeout 1s;
                              internal; }
        location /none      { internal; return 500; }
        location = /mcp/impatient { mcp_sse_http; mcp_sse_call /impatient; }
        location = /mcp/none      { mcp_sse_http; mcp_sse_call /none; }
        location = /mcp/missing   { mcp_sse_http; mcp_sse_call /missing; }
EOT

my ($hash, $stream);


# The line about the next call: what the module says, and what nginx adds.

sub line {
    my ($path) = @_;

    my $text   = $nginx->error_log;
    my $before = () = $text =~ /mcp sse: call at/g;

    $path eq 'stream' ? call($nginx, $stream, tool(++$id, 'echo', {}))
        : http_post($nginx, tool(++$id, 'echo', {}), path => $path,
            accept => 'application/json');

    my @lines;

    run_until(sub {
        @lines = $nginx->error_log =~ /(mcp sse: call at .*)/g;
        return @lines > $before;
    });

    is(scalar @lines, $before + 1, 'the call has one line');

    return split /(?: while [a-z ]+)?(?=, client: )/, $lines[-1], 2;
}


my $redirect = ', a redirect: check that proxy_pass (FRAPPE_URL) has the'
    . ' address of Frappe itself, with https if it requires that';
my $runs = ', check that Frappe runs at the address in proxy_pass (FRAPPE_URL)';
my $body = ' without a usable body';

for my $case (
    [ 200, $body ], [ 202, $body ], [ 204, $body ], [ 400, $body ],
    [ 201, '' ], [ 206, '' ], [ 300, '' ],
    [ 301, $redirect ], [ 302, $redirect ], [ 307, $redirect ],
    [ 308, $redirect ], [ 303, '' ],
    [ 404, ', check that Frappe has the site "erp.example.com" of mcp_sse_site'
        . ' (FRAPPE_SITE)' ],
    [ 409, '' ], [ 418, '' ],
    [ 417, ', check that Frappe has the method in proxy_pass (FRAPPE_METHOD)' ],
    [ 500, '' ], [ 502, $runs ], [ 504, $runs ], [ 501, '' ],
    [ 503, ', check whether the site is in maintenance (bench migrate)' ],
) {
    my ($status, $hint) = @$case;

    @reply = $status == 204 ? "HTTP/1.1 204 X\r\n\r\n"
        : $http->($status, '<html>', 'Content-Type', 'text/html');

    my ($line) = line('/mcp');

    is($line, qq(mcp sse: call at "/_mcp/call" answered $status$hint),
        "Frappe answers $status");
}

# what Frappe has not sent

for my $case (
    [ 'it closes the connection', '/mcp', [ \'close' ], 502, ', it was sent'
        . ' and Frappe closed the connection, check whether a worker of'
        . ' gunicorn was killed or restarted' ],
    [ 'it answers too late', '/mcp/impatient', [ \'hang' ], 504, ', it was sent'
        . ' and not answered in time, check whether Frappe has a free worker'
        . ' (gunicorn_workers)' ],
    [ 'nginx refuses the call', '/mcp/none', [], 500, ' by nginx itself' ],
    [ 'there is no location', '/mcp/missing', [], 404, ' by nginx itself, check'
        . ' that a location with proxy_pass matches it' ],
) {
    my ($name, $path, $steps, $status, $hint) = @$case;

    @reply = @$steps;

    my ($line) = line($path);

    like($line, qr{\Amcp sse: call at "/\S+" answered $status\Q$hint\E\z},
        $name);
}

# in the log of calls nginx has the status, too, if it has sent no page

@reply = (\'close');
http_post($nginx, tool(++$id, 'echo', {}), accept => 'application/json');

{
    my @audit;

    run_until(sub {
        @audit = grep { $_->{id} eq $id } $nginx->audit;
        return @audit;
    });

    is($audit[0]{status}, 502, 'the log of calls has the status of nginx');
}

# whose call it was

$stream = open_stream($nginx);
(undef, $hash) = $nginx->wait_log(
    qr/SSE connection established: (\S+) for user/);
@reply  = $http->(500, '<html>', 'Content-Type', 'text/html');

is((line('stream'))[1], qq(, client: 127.0.0.1, session: $hash, method:)
    . ' "tools/call", server: erp.example.com, request: "/_mcp/call", host:'
    . ' "erp.example.com"',
    'a line names client, session and method of the call');

is(((line('/mcp'))[0] =~ /answered (\d+)/)[0], 500, 'a call fails');

{
    my ($last) = reverse grep { $_->{path} =~ /handle_mcp/ } $backend->requests;

    like($nginx->error_log, qr/ \*$last->{headers}{'x-connection'} mcp sse: call/,
        'its line has the number of its connection, as $connection');
}

is((line('/mcp'))[1], ', client: 127.0.0.1, method: "tools/call", server:'
    . ' erp.example.com, request: "/_mcp/call", host: "erp.example.com"',
    'a call without a session has a line without one');

# 1xx is no answer; nginx takes it for one that has no end

for my $case ([ 100, 1 ], [ 199, 1 ], [ 299, 0 ]) {
    my ($status, $refused) = @$case;

    @reply = ("HTTP/1.1 $status X\r\nContent-Length: 2\r\n\r\n{}");
    http_post($nginx, tool(++$id, 'echo', {}), accept => 'application/json');

    my $found = () = $nginx->error_log
        =~ /answered $status, which is not a final status/g;

    is($found, $refused, "status $status is " . ($refused ? 'no' : 'a')
        . ' final status');
}

# a look-up has no session and no method

$backend->handler(sub { return $http->(500, '<html>') });

is(http_post($nginx, tool(++$id, 'echo', {}),
    auth => MCPTest::credential('bob'))->status, 502, 'a look-up fails');
like($nginx->error_log, qr/mcp\ sse:\ user\ look-up\ at\ "\/_mcp\/user"
    \ answered\ 500(?:\ while\ [a-z ]+)?,\ client:\ 127\.0\.0\.1,
    \ server:\ erp\.example\.com,\ request:\ "\/_mcp\/user",
    \ host:\ "erp\.example\.com"$/mx, 'its line names server and location');

$stream->close;
finish();
