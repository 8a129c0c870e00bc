# Protocol versions of Streamable HTTP, and batches, which only some versions
# allow.  docs/PROTOCOL.md 6 and 7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(mcp => 'mcp_sse_stream_after 300s;',
    locations => 'location = /soon { mcp_sse_http; '
        . 'mcp_sse_stream_after 1s; }');
my $list   = request(1, 'tools/list');
my $id     = session_id($nginx);

# the header MCP-Protocol-Version

for my $version ('2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25',
    undef)
{
    my $name = $version || 'none';

    ok(http_post($nginx, $list, protocol => $version)->answer,
        "a request is served with the version: $name");
    is(http_post($nginx, notification('notifications/initialized'),
        protocol => $version)->status, 202,
        "a notification is accepted with the version: $name");
    is(http($nginx, 'HEAD', session => $id, protocol => $version)->status,
        200, "HEAD of the stream is served with the version: $name");
}

for my $version ('2024-10-07', '2025-06-19', 'x', '2025-06-18, x',
    '2025-06-1', '2025-06-180', '2026-07-27', '2026-7-28')
{
    my $post = http_post($nginx, $list, protocol => $version);

    is($post->status, 400, qq(refused: "$version"));
    like($post->body, qr/"id":1,"error":\{"code":-32022,"message":
        "Unsupported\ protocol\ version","data":/x,
        qq(the refusal has the id of the request: "$version"));
    is_rejected(http($nginx, 'GET', session => $id, protocol => $version),
        400, -32022, 'Unsupported protocol version',
        "GET is refused: \"$version\"");
    is_rejected(http_delete($nginx, $id, protocol => $version), 400, -32022,
        'Unsupported protocol version', "DELETE is refused: \"$version\"");
}

is(http_post($nginx, $list, headers =>
    [ 'mcp-PROTOCOL-version' => '2025-06-18' ])->status, 200,
    'the name of the header may have any case');
is(http_post($nginx, $list, protocol => '2025-06-18', headers =>
    [ 'MCP-Protocol-Version' => '1' ])->status, 400,
    'two headers are refused if one is not supported');

# Frappe gets the header

http_post($nginx, $list, protocol => '2025-11-25');
is($frappe->last_headers->{'mcp-protocol-version'}, '2025-11-25',
    'Frappe gets MCP-Protocol-Version');

# the version that initialize settles on

{
    my $wanted  = '2025-06-18';
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return MCPTest::Backend::http(200, '{"jsonrpc":"2.0","id":0,'
            . '"result":{"serverInfo":{"name":"protocolVersion"},'
            . '"x":{"protocolVersion":"2099-01-01"},'
            . qq("protocolVersion":$wanted,"capabilities":{}}}));
    });
    my $own = start_http(backend => $backend->port);

    for my $case (
        [ '2025-03-26', '"2025-06-18"', '2025-03-26' ],
        [ '2025-06-18', '"2025-06-18"', '2025-06-18' ],
        [ '2025-11-25', '"2025-06-18"', '2025-06-18' ],
        [ '2024-11-05', '"2025-11-25"', '2024-11-05' ],
        [ '2026-07-28', '"2025-11-25"', '2025-11-25' ],
        [ '2025-03-26', '"2026-07-28"', '2025-03-26' ],
        [ 'latest',     '"2025-11-25"', '2025-11-25' ],
        [ '2025-03-26', '"1.0"', '1.0' ],
        [ '2025-03-26', '7', 7 ],
    ) {
        my ($offered, $answered, $told) = @{$case};

        $wanted = $answered;

        for my $accept ('application/json', 'text/event-stream') {
            my $raw = initialize($own, offer => $offered,
                accept => $accept)->answer;

            is(decode($raw)->{result}{protocolVersion}, $told,
                "offer $offered, answer $answered: the client gets $told");
            is(decode($raw)->{result}{x}{protocolVersion}, '2099-01-01',
                'no other protocolVersion in the answer is changed');
        }
    }

    is(http_post($own, request(0, 'initialize'))->status, 200,
        'initialize without params is 200');

    $wanted = '"2025-11-25"';
    is(decode(http_post($own, request(0, 'tools/list',
        { protocolVersion => '2025-03-26' }))->answer)
        ->{result}{protocolVersion}, '2025-11-25',
        'the answer of another method is not changed');
}

# batches

my $batch = '[' . join(',', tool(1, 'echo', { text => 'a' }),
    notification('notifications/initialized'), request(2, 'ping'),
    '{"jsonrpc":"2.0","id":9,"result":{}}',
    tool('"x"', 'sleep', { seconds => 0.3 })) . ']';

for my $version (undef, '2025-03-26', '2024-11-05') {
    my $name   = $version || 'no version';
    my $answer = http_post($nginx, $batch, protocol => $version);

    is($answer->status, 200, "a batch is 200 with $name");
    is($answer->header('Content-Type'), 'application/json',
        "a batch is answered with JSON with $name");

    my $all = decode($answer->body);

    is(ref $all, 'ARRAY', "a batch is answered with an array with $name");
    is_deeply([ sort map { $_->{id} } @{$all} ], [ 1, 2, 'x' ],
        "the array has an answer for each request with $name");

    my $stream = http_post($nginx, $batch, protocol => $version,
        accept => 'text/event-stream');

    ok($stream->is_stream,
        "a batch is answered with a stream if asked for, with $name");
    is(scalar $stream->messages, 3,
        "the stream has as many answers, with $name");
    ok(defined $stream->{answers}{$_},
        "the stream has answer $_, with $name") for 1, 2, '"x"';
}

for my $version ('2025-06-18', '2025-11-25') {
    $frappe->reset;
    is_rejected(http_post($nginx, $batch, protocol => $version), 400, -32600,
        'No batches in this protocol version',
        "a batch is refused with $version");
    is_rejected(http_post($nginx, "[$list]", protocol => $version), 400,
        -32600, 'No batches in this protocol version',
        "a batch of one request is refused with $version");
    is($frappe->calls, 0, "no request of a refused batch runs with $version");
}

is(decode(http_post($nginx, "[$list]")->body)->[0]{id}, 1,
    'a batch of one request is answered with an array');

my $only = http_post($nginx, '[' . notification('notifications/initialized')
    . ',{"jsonrpc":"2.0","id":9,"result":{}}]');

is($only->status . $only->body, '202', 'a batch without requests is 202');

is_rejected(http_post($nginx, '[' . request(0, 'initialize',
    { protocolVersion => '2025-03-26' }) . ",$list]"), 400, -32600,
    'An initialize request stands alone', 'initialize in a batch is refused');
is_rejected(http_post($nginx, '[]'), 400, -32600, 'Invalid Request',
    'an empty batch is refused');
is_rejected(http_post($nginx, '[' . join(',', ($list) x 101) . ']'), 400,
    -32600, 'Invalid Request', 'a batch of more than 100 messages is refused');

# a slow batch, with an error and a cancelled call

{
    my $mixed = '[' . join(',', tool(1, 'hang', {}),
        tool(2, 'hold', { gate => 'two' }), request(3, 'no/such'))
        . ']';

    $frappe->reset;

    my $call = http_post($nginx, $mixed, session => $id, path => '/soon',
        async => 1);

    run_until(sub { $frappe->tool_count('hang') });
    stream_of($call);
    ok($call->is_stream, 'a slow batch becomes a stream');
    run_until(sub { $call->{answers}{3} });
    ok($call->{answers}{3} && !$call->{answers}{2},
        'the stream of a slow batch has each answer as it comes');
    http_post($nginx, notification('notifications/cancelled',
        { requestId => 1 }), session => $id);
    $frappe->open_gate('two');
    ok($call->wait, 'the stream of a slow batch ends with its last answer');
    is_deeply([ sort keys %{ $call->{answers} } ], [ 2, 3 ],
        'the stream has all answers but that of the cancelled call');
}

# an array of answers that would exceed mcp_sse_max_answer

{
    my $strict = start_http(mcp => 'mcp_sse_max_answer 20k;');
    my $text   = 'y' x 9000;
    my $raw    = http_post($strict, '[' . join(',', map {
        tool($_, 'echo', { text => $text })
    } 1 .. 4) . ']', accept => 'application/json')->body;
    my @all = @{ decode($raw) };

    is(scalar @all, 4,
        'an array beyond mcp_sse_max_answer has an answer for each request');
    cmp_ok(length $raw, '<', 21_000,
        'the array stays within mcp_sse_max_answer');
    ok(scalar(grep { ($_->{error} || {})->{code} || 0 == -32009 } @all),
        'answers beyond mcp_sse_max_answer are errors');
}

# a batch whose answers exceed mcp_sse_queue becomes a stream at once

{
    my $small = start_http(mcp => 'mcp_sse_queue 10k; '
        . 'mcp_sse_stream_after off;');
    my $call = http_post($small, '[' . join(',',
        tool(1, 'echo', { text => 'y' x 20_000 }),
        tool(2, 'hold', { gate => 'rest' })) . ']', async => 1);

    ok(run_until(sub { $call->{answers}{1} })
        && !$call->{answers}{2},
        'answers beyond mcp_sse_queue are sent before the batch ends');
    $frappe->open_gate('rest');
    ok($call->wait && $call->{answers}{2},
        'the remaining answer follows on the stream');
}

finish();
