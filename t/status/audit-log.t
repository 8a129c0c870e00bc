# The audit log of the example has one line for each call, however it ends; the
# variables $mcp_sse_*.  docs/PROTOCOL.md 5.4, 9.17, 9.18, 9.19, 9.20.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 2, stream => 'mcp_sse_max_calls 4;',
    http => 'mcp_sse_call_timeout 5s; mcp_sse_max_answer 50k; '
        . 'mcp_sse_grace 0s;',
    call => 'proxy_set_header X-Method $mcp_sse_method;'
        . ' proxy_set_header X-Host $host;',
    config => sub {
        return $_[0]->template =~ s/(server_name) erp\./$1 nginx./r;
    });
my $stream = open_stream($nginx);

my $lines = 0;


# Returns the line of the next call.

sub line {
    my ($name) = @_;

    my @all = $nginx->audit($lines + 1);

    is(scalar @all, ++$lines, "$name: the audit log has one more line");

    return $all[$lines - 1] || {};
}


my (undef, $hash) = $nginx->wait_log(
    qr/SSE connection established: (\S+) for user/);

{
    my $trace = '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01';

    post($nginx, $stream, tool('"x-1"', 'echo', {}),
        headers => [ traceparent => $trace ]);
    $stream->wait_answer('"x-1"');

    my $line = line('a call');

    is($line->{result}, 'ok', 'the line of a call has its result');
    is($line->{user}, 'alice@example.com', 'the line of a call has its user');
    is($line->{site}, 'erp.example.com', 'the line of a call has its site');
    is($line->{method}, 'tools/call', 'the line of a call has its method');
    is($line->{tool}, 'echo', 'the line of a call has its tool');
    like($line->{id}, qr/\A"?x-1"?\z/, 'the line of a call has its id');
    is($line->{session}, $hash,
        'the line of a call has the session hash of the error log');
    is($line->{address}, '127.0.0.1',
        'the line of a call has the address of the client');
    is($line->{upstream_status}, 200,
        'the line of a call has the status of Frappe');
    like($line->{seconds}, qr/\A[\d.]+\z/,
        'the line of a call has its duration');
    cmp_ok($line->{bytes}, '>', 0, 'the line of a call has its bytes');
    is($line->{traceparent}, $trace, 'the line of a call has its traceparent');
    is($frappe->last_headers->{'x-host'}, 'erp.example.com',
        '$host in the location of the call is the site');
}

my $id = 0;

for my $case (
    [ 'tools/list', sub { request(++$id, 'tools/list', {}) }, 'ok', '' ],
    [ 'an unknown method', sub { request(++$id, 'no/such', {}) }, 'error',
        '' ],
    [ 'a 500', sub { tool(++$id, 'status', { code => 500 }) }, 'backend',
        'status' ],
    [ 'a 502', sub { tool(++$id, 'status', { code => 502 }) }, 'backend',
        'status' ],
    [ 'an answer that is not JSON', sub { tool(++$id, 'not_json', {}) },
        'backend', 'not_json' ],
    [ 'an answer that is cut', sub { tool(++$id, 'cut', {}) }, 'backend',
        'cut' ],
    [ 'an answer with another id', sub { tool(++$id, 'wrong_id', {}) },
        'backend', 'wrong_id' ],
    [ 'a time-out', sub { tool(++$id, 'hang', {}) }, 'timeout', 'hang' ],
    [ 'a 504', sub { tool(++$id, 'status', { code => 504 }) }, 'timeout',
        'status' ],
    [ 'an answer that is too large', sub {
        tool(++$id, 'big', { bytes => 100_000 }) }, 'too_large', 'big' ],
    [ 'a tool of 300 bytes', sub {
        tool(++$id, 'n' x 300, {}) }, qr/\A(?:ok|error)\z/, 'n' x 128 ],
    [ 'a tool cut within a character', sub {
        tool(++$id, 'n' x 127 . "\x{e9}n", {}) }, qr/\A(?:ok|error)\z/,
        'n' x 127 ],
    [ 'a tool with a quote and a line feed', sub {
        tool(++$id, "a\"b\n", {}) }, qr/\A(?:ok|error)\z/, 'a"b?' ],
) {
    my ($name, $make, $result, $tool) = @$case;

    my $message = $make->();

    ok(call($nginx, $stream, $message), "$name: the call is answered");

    my $line = line($name);

    ref $result
        ? like($line->{result}, $result, "$name: the line has its result")
        : is($line->{result}, $result, "$name: the line has its result");
    is($line->{tool}, $tool, "$name: the line has its tool");
    is($line->{id}, $id, "$name: the line has its id");
}

# a method is cut as well, and no method adds a header to the call

for my $case (
    [ 'a method of 300 bytes', sub {
        request(++$id, 'm' x 300, {}) }, 'm' x 128 ],
    [ 'a method with a line break', sub {
        request(++$id, "m\r\nX-Evil: 1", {}) }, 'm??X-Evil: 1' ],
) {
    my ($name, $make, $method) = @$case;

    my $message = $make->();

    ok(call($nginx, $stream, $message), "$name: the call is answered");
    is(line($name)->{method}, $method, "$name: the line has its method");
    is($frappe->last_headers->{'x-method'}, $method,
        "$name: a header with \$mcp_sse_method has it");
    is($frappe->last_headers->{'x-evil'}, undef,
        "$name: the method adds no header");
}

# a tool that answers with isError

like(call($nginx, $stream, tool(++$id, 'no_such_tool', {})) || '',
    qr/"isError": ?true/, 'a tool error is a result with isError');
is(line('a tool error')->{result}, 'error',
    'a tool error: the result is error');

# a cancelled call

post($nginx, $stream, tool(++$id, 'hang', {}));
run_until(sub { $frappe->tool_count('hang') == 2 });
post($nginx, $stream, notification('notifications/cancelled',
    { requestId => $id }));
is(line('a cancelled call')->{result}, 'cancelled',
    'a cancelled call: the result is cancelled');

# a forwarded notification is a call

post($nginx, $stream, notification('notifications/roots/list_changed'));

{
    my $line = line('a notification');

    is($line->{method}, 'notifications/roots/list_changed',
        'a notification: the line has its method');
    is($line->{id}, '', 'a notification: the line has no id');
}

# the client leaves during a call, and cannot come back

{
    my $leaving = open_stream($nginx);

    post($nginx, $leaving, tool(1, 'hold', { gate => 'leaving' }));
    run_until(sub { $frappe->tool_count('hold') == 1 });
    $leaving->close;
    run_until(sub { health($nginx)->{active_connections} == 1 });
    $frappe->open_gate('leaving');

    my $line = line('a client that leaves');

    is($line->{tool}, 'hold', 'a client that leaves: the line has the tool');
    is($line->{result}, 'dropped',
        'a client that leaves: the result is dropped');
}

# a local method makes no call; the log of POSTs has a line

{
    call($nginx, $stream, request(++$id, 'ping'));

    my @posts;

    run_until(sub {
        @posts = $nginx->audit(1, 'post.log');
        return $posts[-1]{id} eq $id;
    });
    is(scalar(my @all = $nginx->audit(0)), $lines,
        'a ping has no line in the log of calls');

    my $last = $posts[-1];

    is($last->{user}, 'alice@example.com', 'the line of a POST has its user');
    is($last->{site}, 'erp.example.com', 'the line of a POST has its site');
    is($last->{session}, $hash, 'the line of a POST has its session');
    is($last->{method}, 'ping', 'the line of a POST has its method');
    is($last->{id}, $id, 'the line of a POST has its id');

    post($nginx, 'A' x 50, request(1, 'ping'));
    run_until(sub { $nginx->audit(0, 'post.log') > @posts });
    @posts = $nginx->audit(0, 'post.log');
    is($posts[-1]{result}, 'refused',
        'a POST with a bad session id: the result is refused');
    is($posts[-1]{user}, 'alice@example.com',
        'a POST with a bad session id: the line has the user');
}

# no log has a session id or a credential

for my $name ('audit.log', 'post.log', 'error.log') {
    my $text = $nginx->_slurp($name);

    is(index($text, $stream->session), -1, "$name has no session id");
    is(index($text, 'alice-secret'), -1, "$name has no credential");
}

# a stop of nginx ends a call

{
    my $nginx  = start_nginx(main => 'worker_shutdown_timeout 2s;',
        http => 'mcp_sse_drain 1s;');
    my $stream = open_stream($nginx);

    post($nginx, $stream, tool(1, 'hang', { key => 's' }));
    run_until(sub { $frappe->key_count('hang', 's') == 1 });
    $nginx->quit;

    my @all = $nginx->audit(1);

    is(scalar @all, 1, 'a call that a stop of nginx ends has a line');
    is(($all[0] || {})->{tool}, 'hang',
        'the line of a call that a stop of nginx ends has its tool');
}

$stream->close;

finish();
