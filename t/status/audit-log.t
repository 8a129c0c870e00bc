# One audit line per call, however it ends; the variables.  docs/PROTOCOL.md 9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(workers => 2, stream => 'mcp_sse_max_calls 4;',
    http => 'mcp_sse_call_timeout 5s; mcp_sse_max_answer 50k;',
    call => 'proxy_set_header X-Method $mcp_sse_method;'
        . ' proxy_set_header X-Host $host;',
    config => sub {
        return $_[0]->template =~ s/(server_name) erp\./$1 nginx./r;
    });
my $stream = open_stream($nginx);

my $lines = 0;


# The line of the next call.

sub line {
    my ($name) = @_;

    my @all = $nginx->audit($lines + 1);

    is(scalar @all, ++$lines, "$name: one more line");

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

    is($line->{result}, 'ok', 'result');
    is($line->{user}, 'alice@example.com', 'user');
    is($line->{site}, 'erp.example.com', 'site');
    is($line->{method}, 'tools/call', 'method');
    is($line->{tool}, 'echo', 'tool');
    like($line->{id}, qr/\A"?x-1"?\z/, 'id');
    is($line->{session}, $hash, 'session: the hash of the error log');
    is($line->{address}, '127.0.0.1', 'address');
    is($line->{upstream_status}, 200, "Frappe's status");
    like($line->{seconds}, qr/\A[\d.]+\z/, 'time');
    cmp_ok($line->{bytes}, '>', 0, 'bytes');
    is($line->{traceparent}, $trace, 'traceparent');
    is($frappe->last_headers->{'x-host'}, 'erp.example.com',
        '$host in the location of the call: the site');
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
    [ 'no JSON', sub { tool(++$id, 'not_json', {}) }, 'backend',
        'not_json' ],
    [ 'a cut', sub { tool(++$id, 'cut', {}) }, 'backend', 'cut' ],
    [ 'another id', sub { tool(++$id, 'wrong_id', {}) }, 'backend',
        'wrong_id' ],
    [ 'a timeout', sub { tool(++$id, 'hang', {}) }, 'timeout', 'hang' ],
    [ 'a 504', sub { tool(++$id, 'status', { code => 504 }) }, 'timeout',
        'status' ],
    [ 'too large', sub { tool(++$id, 'big', { bytes => 100_000 }) },
        'too_large', 'big' ],
    [ 'a long name', sub { tool(++$id, 'n' x 300, {}) }, qr/\A(?:ok|error)\z/,
        'n' x 128 ],
    [ 'a name cut within a character', sub {
        tool(++$id, 'n' x 127 . "\x{e9}n", {}) }, qr/\A(?:ok|error)\z/,
        'n' x 127 ],
    [ 'a name with a quote', sub { tool(++$id, "a\"b\n", {}) },
        qr/\A(?:ok|error)\z/, 'a"b?' ],
) {
    my ($name, $make, $result, $tool) = @$case;

    my $message = $make->();

    ok(call($nginx, $stream, $message), "$name: answered");

    my $line = line($name);

    ref $result ? like($line->{result}, $result, "$name: result")
                : is($line->{result}, $result, "$name: result");
    is($line->{tool}, $tool, "$name: tool");
    is($line->{id}, $id, "$name: id");
}

# a method is cut, too, and none of them makes a header of its own

for my $case (
    [ 'a long method', sub { request(++$id, 'm' x 300, {}) }, 'm' x 128 ],
    [ 'a method of two lines', sub {
        request(++$id, "m\r\nX-Evil: 1", {}) }, 'm??X-Evil: 1' ],
) {
    my ($name, $make, $method) = @$case;

    my $message = $make->();

    ok(call($nginx, $stream, $message), "$name: answered");
    is(line($name)->{method}, $method, "$name: method");
    is($frappe->last_headers->{'x-method'}, $method, "$name: as a header");
    is($frappe->last_headers->{'x-evil'}, undef, "$name: one header");
}

# isError of a tool

like(call($nginx, $stream, tool(++$id, 'no_such_tool', {})) || '',
    qr/"isError": ?true/, 'a tool error: isError');
is(line('a tool error')->{result}, 'error', 'a tool error: result');

# cancelled

post($nginx, $stream, tool(++$id, 'hang', {}));
run_until(sub { $frappe->tool_count('hang') == 2 });
post($nginx, $stream, notification('notifications/cancelled',
    { requestId => $id }));
is(line('cancelled')->{result}, 'cancelled', 'cancelled: result');

# forwarded notifications are calls, too

post($nginx, $stream, notification('notifications/roots/list_changed'));

{
    my $line = line('a notification');

    is($line->{method}, 'notifications/roots/list_changed',
        'a notification: method');
    is($line->{id}, '', 'a notification: no id');
}

# the client leaves: still a line

{
    my $leaving = open_stream($nginx);

    post($nginx, $leaving, tool(1, 'hold', { gate => 'leaving' }));
    run_until(sub { $frappe->tool_count('hold') == 1 });
    $leaving->close;
    run_until(sub { health($nginx)->{active_connections} == 1 });
    $frappe->open_gate('leaving');

    my $line = line('the client left');

    is($line->{tool}, 'hold', 'the client left: tool');
    is($line->{result}, 'dropped', 'the client left: result');
}

# local methods make no call; the POST's own line tells

{
    call($nginx, $stream, request(++$id, 'ping'));

    my @posts;

    run_until(sub {
        @posts = $nginx->audit(1, 'post.log');
        return $posts[-1]{id} eq $id;
    });
    is(scalar(my @all = $nginx->audit(0)), $lines, 'a ping: no call');

    my $last = $posts[-1];

    is($last->{user}, 'alice@example.com', 'POST: user');
    is($last->{site}, 'erp.example.com', 'POST: site');
    is($last->{session}, $hash, 'POST: session');
    is($last->{method}, 'ping', 'POST: method');
    is($last->{id}, $id, 'POST: id');

    post($nginx, 'A' x 50, request(1, 'ping'));
    run_until(sub { $nginx->audit(0, 'post.log') > @posts });
    @posts = $nginx->audit(0, 'post.log');
    is($posts[-1]{result}, 'refused', 'POST with a bad id: refused');
    is($posts[-1]{user}, 'alice@example.com', 'with the user');
}

# no line tells more than it should

for my $name ('audit.log', 'post.log', 'error.log') {
    my $text = $nginx->_slurp($name);

    is(index($text, $stream->session), -1, "$name: no session id");
    is(index($text, 'alice-secret'), -1, "$name: no credential");
}

# calls that a shutdown ends have a line

{
    my $nginx  = start_nginx(main => 'worker_shutdown_timeout 2s;',
        http => 'mcp_sse_drain 1s;');
    my $stream = open_stream($nginx);

    post($nginx, $stream, tool(1, 'hang', { key => 's' }));
    run_until(sub { $frappe->key_count('hang', 's') == 1 });
    $nginx->quit;

    my @all = $nginx->audit(1);

    is(scalar @all, 1, 'a call that a shutdown ends has a line');
    is(($all[0] || {})->{tool}, 'hang', 'with its tool');
}

$stream->close;

finish();
