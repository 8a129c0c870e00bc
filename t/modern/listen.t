# subscriptions/listen: its acknowledgement, what keeps it open, and how it
# ends.  docs/PROTOCOL.md 15.70 to 15.73.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

my $frappe = start_frappe();


sub listen_to {
    my ($nginx, $id, %opt) = @_;

    my $answer = modern($nginx, $id, 'subscriptions/listen',
        { notifications => { toolsListChanged => JSON::PP::true(),
            resourceSubscriptions => [ 'fac://skills/1' ] } },
        %opt, async => 1);

    return stream_of($answer);
}


sub messages_of { return grep { $_->{type} eq 'message' } $_[0]->events }


sub is_complete {
    my ($stream, $id, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    ok(run_until(sub { $stream->ended }), "$name: the response ends");
    is((messages_of($stream))[-1]{data}, '{"jsonrpc":"2.0","id":' . $id
        . ',"result":{"resultType":"complete","_meta":{'
        . '"io.modelcontextprotocol/subscriptionId":' . $id . '}}}',
        "$name: the result is the last message");
    is(scalar(grep { ($_->{type} || '') eq 'error' || defined $_->{retry} }
        $stream->events), 0, "$name: there is no other event");

    return;
}


# the acknowledgement, and heartbeats

my $nginx = start_http(http => 'mcp_sse_drain 1s;',
    mcp => 'mcp_sse_keepalive 1s event; mcp_sse_idle_timeout 1s; '
        . 'mcp_sse_max_sessions 3;');

for my $id ('7', '"listen:0"', '-1', '"\u2028"') {
    my $stream = listen_to($nginx, $id);

    is($stream->status, 200, "id $id: listen is 200");
    is($stream->header('Content-Type'), 'text/event-stream',
        "id $id: it is an event stream");
    is($stream->header('X-Accel-Buffering'), 'no',
        "id $id: proxies do not buffer it");
    is($stream->header('Mcp-Session-Id'), undef, "id $id: no session id");
    is(($stream->events)[0]{data}, '{"jsonrpc":"2.0","method":'
        . '"notifications/subscriptions/acknowledged","params":{"_meta":{'
        . '"io.modelcontextprotocol/subscriptionId":' . $id . '},'
        . '"notifications":{}}}', "id $id: the first message acknowledges it");
    $stream->close;
}

{
    my $stream = listen_to($nginx, 1);

    is(health($nginx)->{active_connections}, 1, '/health counts the stream');
    ok(run_until(sub { $stream->types >= 3 }), 'the stream has heartbeats');
    is_deeply([ $stream->types ], [ 'message', 'comment', 'comment' ],
        'heartbeats are comments, and mcp_sse_idle_timeout does not end it');
    is($frappe->count('subscriptions/listen'), 0,
        'the backend is not asked for it');
    is($frappe->count('server/discover'), 0,
        'nor is it asked for its era');
    $stream->close;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        '/health does not count the stream after its client leaves');
}

# a client that accepts no stream

refused_as(modern($nginx, 1, 'subscriptions/listen', { notifications => {} },
    accept => 'application/json'), 406, 1, -32603, 'Not acceptable',
    '{"reason":"accept"}',
    'without an event stream in Accept listen is 406');

# the limit of a user

{
    my @open = map { listen_to($nginx, $_) } 1 .. 3;
    my $more = listen_to($nginx, 4);

    is($more->status, 429, 'one more than mcp_sse_max_sessions is 429');
    is(decode($more->body)->{id}, 4, 'this refusal has the id');
    is(listen_to($nginx, 5, auth => MCPTest::credential('bob'))->status, 200,
        'another user may listen');
    $_->close for @open;
}

# a reload

{
    run_until(sub { health($nginx)->{active_connections} <= 1 });

    my $stream = listen_to($nginx, '"end"');

    $nginx->reload;
    is_complete($stream, '"end"', 'reload');
}

# a credential that is refused

{
    my $other = start_http(mcp => 'mcp_sse_auth_recheck 1s; '
        . 'mcp_sse_auth_cache 1s; mcp_sse_auth_stale 1s;');
    my $stream = listen_to($other, 8, auth => 'Bearer alice-token');

    $frappe->set(revoke => 'alice-token');
    is_complete($stream, 8, 'a revoked token');
    $other->stop;
}

finish();
