# Protocol versions of Streamable HTTP, and batches, which only some have.

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

# the header

for my $version ('2024-11-05', '2025-03-26', '2025-06-18', '2025-11-25',
    undef)
{
    my $name = $version || 'none';

    ok(http_post($nginx, $list, protocol => $version)->answer,
        "served: $name");
    is(http_post($nginx, notification('notifications/initialized'),
        protocol => $version)->status, 202, 'a notification, too');
    is(http($nginx, 'HEAD', session => $id, protocol => $version)->status,
        200, 'and a stream');
}

for my $version ('2026-07-28', '2024-10-07', '2025-06-19', '2025-06-18 ',
    'x', '', '2025-06-18, 2025-11-25', '2025-06-1', '2025-06-180')
{
    next if $version =~ / \z/;

    is_rejected(http_post($nginx, $list, protocol => $version), 400, -32600,
        'Unsupported protocol version', qq(refused: "$version"));
    is_rejected(http($nginx, 'GET', session => $id, protocol => $version),
        400, -32600, 'Unsupported protocol version', 'GET, too');
    is_rejected(http_delete($nginx, $id, protocol => $version), 400, -32600,
        'Unsupported protocol version', 'and DELETE');
}

is(http_post($nginx, $list, headers =>
    [ 'mcp-PROTOCOL-version' => '2025-06-18' ])->status, 200,
    'the case of the header does not matter');
is(http_post($nginx, $list, protocol => '2025-06-18', headers =>
    [ 'MCP-Protocol-Version' => '1' ])->status, 400, 'one of two is bad');

# it reaches Frappe

http_post($nginx, $list, protocol => '2025-11-25');
is($frappe->last_headers->{'mcp-protocol-version'}, '2025-11-25',
    'Frappe is told');

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
                "offered $offered, answered $answered: $told");
            is(decode($raw)->{result}{x}{protocolVersion}, '2099-01-01',
                'nothing else is changed');
        }
    }

    is(http_post($own, request(0, 'initialize'))->status, 200,
        'initialize without params');

    $wanted = '"2025-11-25"';
    is(decode(http_post($own, request(0, 'tools/list',
        { protocolVersion => '2025-03-26' }))->answer)
        ->{result}{protocolVersion}, '2025-11-25',
        'no other method is looked at');
}

# batches

my $batch = '[' . join(',', tool(1, 'echo', { text => 'a' }),
    notification('notifications/initialized'), request(2, 'ping'),
    '{"jsonrpc":"2.0","id":9,"result":{}}',
    tool('"x"', 'sleep', { seconds => 0.3 })) . ']';

for my $version (undef, '2025-03-26', '2024-11-05') {
    my $name   = $version || 'no version';
    my $answer = http_post($nginx, $batch, protocol => $version);

    is($answer->status, 200, "a batch with $name");
    is($answer->header('Content-Type'), 'application/json', 'is JSON');

    my $all = decode($answer->body);

    is(ref $all, 'ARRAY', 'an array');
    is_deeply([ sort map { $_->{id} } @{$all} ], [ 1, 2, 'x' ],
        'an answer for each request');

    my $stream = http_post($nginx, $batch, protocol => $version,
        accept => 'text/event-stream');

    ok($stream->is_stream, 'or a stream');
    is(scalar $stream->messages, 3, 'of as many');
    ok(defined $stream->{answers}{$_}, "answer $_") for 1, 2, '"x"';
}

for my $version ('2025-06-18', '2025-11-25') {
    $frappe->reset;
    is_rejected(http_post($nginx, $batch, protocol => $version), 400, -32600,
        'No batches in this protocol version', "a batch with $version");
    is_rejected(http_post($nginx, "[$list]", protocol => $version), 400,
        -32600, 'No batches in this protocol version', 'of one');
    is($frappe->calls, 0, 'nothing has run');
}

is(decode(http_post($nginx, "[$list]")->body)->[0]{id}, 1,
    'a batch of one is answered by an array');

my $only = http_post($nginx, '[' . notification('notifications/initialized')
    . ',{"jsonrpc":"2.0","id":9,"result":{}}]');

is($only->status . $only->body, '202', 'a batch without requests: 202');

is_rejected(http_post($nginx, '[' . request(0, 'initialize',
    { protocolVersion => '2025-03-26' }) . ",$list]"), 400, -32600,
    'An initialize request stands alone', 'initialize in a batch');
is_rejected(http_post($nginx, '[]'), 400, -32600, 'Invalid Request',
    'an empty batch');
is_rejected(http_post($nginx, '[' . join(',', ($list) x 101) . ']'), 400,
    -32600, 'Invalid Request', 'too large a batch');

# a batch that is slow, with errors, and partly cancelled

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
        'what is answered is sent');
    http_post($nginx, notification('notifications/cancelled',
        { requestId => 1 }), session => $id);
    $frappe->open_gate('two');
    ok($call->wait, 'it ends');
    is_deeply([ sort keys %{ $call->{answers} } ], [ 2, 3 ],
        'with all answers but the cancelled one');
}

# all of them quick, one too large for the array

{
    my $strict = start_http(mcp => 'mcp_sse_max_answer 20k;');
    my $text   = 'y' x 9000;
    my $raw    = http_post($strict, '[' . join(',', map {
        tool($_, 'echo', { text => $text })
    } 1 .. 4) . ']', accept => 'application/json')->body;
    my @all = @{ decode($raw) };

    is(scalar @all, 4, 'an array that would be too large has all answers');
    cmp_ok(length $raw, '<', 21_000, 'but not all results');
    ok(scalar(grep { ($_->{error} || {})->{code} || 0 == -32009 } @all),
        'the others are errors');
}

# a batch whose answers are too much to keep becomes a stream early

{
    my $small = start_http(mcp => 'mcp_sse_queue 10k; '
        . 'mcp_sse_stream_after off;');
    my $call = http_post($small, '[' . join(',',
        tool(1, 'echo', { text => 'y' x 20_000 }),
        tool(2, 'hold', { gate => 'rest' })) . ']', async => 1);

    ok(run_until(sub { $call->{answers}{1} })
        && !$call->{answers}{2}, 'what is too much to keep is sent');
    $frappe->open_gate('rest');
    ok($call->wait && $call->{answers}{2}, 'and the rest later');
}

finish();
