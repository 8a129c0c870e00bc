# The modern era: a client that closes its POST cancels the request.
# docs/PROTOCOL.md 15.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::H2;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(
    mcp => 'mcp_sse_stream_after 300s; mcp_sse_max_calls 1;',
    locations => 'location = /soon { mcp_sse_http; mcp_sse_stream_after 1ms; }',
);


sub call_tool {
    my ($own, $name, $arguments, %opt) = @_;

    return modern($own, $opt{id} || 1, 'tools/call',
        { name => $name, arguments => $arguments }, async => 1, %opt);
}


sub cancelled { return grep { $_->{result} eq 'cancelled' } $nginx->audit(0) }


# ---- running calls

for my $path ('/mcp', '/soon') {
    my $what   = $path eq '/mcp' ? 'a JSON answer' : 'a stream';
    my $before = cancelled();

    $frappe->reset;

    my $call = call_tool($nginx, 'hang', {}, path => $path);

    run_until(sub { $frappe->tool_count('hang') });
    stream_of($call) if $path eq '/soon';
    $call->{conn}->close;
    ok(run_until(sub { cancelled() > $before }),
        "a client that closes $what cancels the call");
}

$nginx->wait_log(qr/a client has closed its request, which is running/);

# in the older era it does not

{
    my $before = cancelled();

    $frappe->reset;

    my $call = http_post($nginx, tool(1, 'hold', { gate => 'old' }),
        async => 1);

    run_until(sub { $frappe->tool_count('hold') });
    $call->{conn}->close;
    is(http_post($nginx, request(2, 'ping'))->status, 200,
        'the worker goes on');
    $frappe->open_gate('old');

    ok(run_until(sub { grep { $_->{result} eq 'dropped' } $nginx->audit(0) }),
        'a call of the older era goes on when its client has closed it');
    is(scalar cancelled(), $before, 'it is not cancelled');
}

# ---- requests that wait

{
    $frappe->reset;

    my $first = call_tool($nginx, 'hold', { gate => 'one' });

    run_until(sub { $frappe->tool_count('hold') });

    my $second = call_tool($nginx, 'sleep', { seconds => 0 }, id => 2);
    my $third  = call_tool($nginx, 'echo', { text => 'third' }, id => 3);

    is(modern($nginx, 9, 'ping')->status, 404, 'the worker has both');
    $second->{conn}->close;
    $nginx->wait_log(qr/a client has closed its request, which is waiting/);
    is($frappe->tool_count('echo'), 0,
        'a request that waits behind one that is closed goes on waiting');
    $frappe->open_gate('one');
    ok($first->wait && $first->answer, 'the running request is answered');
    ok($third->wait && $third->answer, 'so is the one that waits');
    is($frappe->tool_count('sleep'), 0, 'the closed one never runs');

    # the place of a running one is free again

    my $hang = call_tool($nginx, 'hang', {}, id => 4);

    run_until(sub { $frappe->tool_count('hang') });

    my $next = call_tool($nginx, 'echo', { text => 'next' }, id => 5);

    $hang->{conn}->close;
    ok($next->wait && $next->answer,
        'the next request runs when a running one is closed');
}

# ---- places at Frappe

{
    my $own = start_http(http => 'mcp_sse_backend_calls 1;',
        mcp => 'mcp_sse_stream_after 300s; mcp_sse_call_timeout 300s;');

    $frappe->reset;

    my $first = call_tool($own, 'hold', { gate => 'place' });

    run_until(sub { $frappe->tool_count('hold') });

    my $second = call_tool($own, 'sleep', { seconds => 0 }, id => 2);
    my $third  = call_tool($own, 'echo', { text => 'third' }, id => 3);

    is(modern($own, 9, 'ping')->status, 404, 'the worker has them');
    $second->{conn}->close;
    $own->wait_log(qr/a client has closed its request, which is waiting/);
    $first->{conn}->close;
    $own->wait_log(qr/a client has closed its request, which is running/);
    is($frappe->tool_count('echo'), 0,
        'a call that is closed keeps its place while Frappe runs it');
    $frappe->open_gate('place');
    ok($third->wait && $third->answer, 'then the next one has it');
    is($frappe->tool_count('sleep'), 0,
        'a request that was closed while it waited never runs');
}

# one that waits for a place is closed, and another waits behind it

{
    my $own = start_http(workers => 1, http => 'mcp_sse_backend_calls 1;',
        mcp => 'mcp_sse_max_calls 1; mcp_sse_stream_after 300s; '
            . 'mcp_sse_call_timeout 300s;');

    $frappe->reset;

    my $bob = call_tool($own, 'hold', { gate => 'bob' },
        auth => MCPTest::credential('bob'));

    run_until(sub { $frappe->tool_count('hold') });

    my $first  = call_tool($own, 'sleep', { seconds => 0 }, id => 2);
    my $second = call_tool($own, 'echo', { text => 'second' }, id => 3);

    run_until(sub { health($own)->{pending_requests} >= 2 });
    $first->{conn}->close;
    $own->wait_log(qr/a client has closed its request, which is waiting/);
    $frappe->open_gate('bob');
    ok($bob->wait && $bob->answer, 'the call with the place is answered');
    ok($second->wait && $second->answer,
        'a request waits for the place that one before it has given up');
    is($frappe->tool_count('sleep'), 0, 'that one never runs');
}

# ---- HTTP/2: one of two requests on a connection

{
    my $port = MCPTest::Nginx::free_port();
    my $own  = start_http(server => "listen 127.0.0.1:$port http2;",
        mcp => 'mcp_sse_stream_after 300s;');
    my $h2 = MCPTest::H2->connect_to($port);

    $frappe->reset;

    my $first  = call_tool($own, 'hang', {}, conn => $h2);
    my $second = call_tool($own, 'hold', { gate => 'h2' }, conn => $h2,
        id => 2);

    run_until(sub { $frappe->tool_count('hang')
        && $frappe->tool_count('hold') });
    $h2->reset($first);
    $own->wait_log(qr/a client has closed its request, which is running/);
    $frappe->open_gate('h2');
    ok($second->wait && $second->answer =~ /held/,
        'HTTP/2: a stream that is reset cancels its request, and no other');
}

# ---- the connection to Frappe

{
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return MCPTest::Backend::http(404, '')
            if $_[0]{body} =~ m{server/discover};
        return \'hang';
    });
    my $own  = start_http(backend => $backend->port);
    my $call = modern($own, 1, 'x/y', undef, async => 1);

    run_until(sub { grep { $_->{body} =~ m{x/y} } $backend->requests });

    my $before = $backend->closed;

    $call->{conn}->close;
    ok(run_until(sub { $backend->closed > $before }),
        'the connection to Frappe is closed');
}

finish();
