# The methods (docs/PROTOCOL.md 5), in both of Frappe's dialects: what is
# forwarded, what is answered here, what is never answered.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

for my $dialect (qw(new old)) {
    my $nginx  = start_nginx(dialect => $dialect);
    my $stream = open_stream($nginx);

    $frappe->reset;

    # forwarded

    {
        my $params = { protocolVersion => '2025-03-26', capabilities => {},
            clientInfo => { name => 't', version => '1' } };

        my $answer = decode(call($nginx, $stream,
            request(0, 'initialize', $params)) || '{}');

        is($answer->{jsonrpc}, '2.0', "$dialect: initialize: jsonrpc");
        is($answer->{id}, 0, "$dialect: initialize: id 0");
        ok($answer->{result}{protocolVersion},
            "$dialect: initialize: the backend's version");
        ok($answer->{result}{serverInfo}{name},
            "$dialect: initialize: the backend's name");
        ok(!exists $answer->{message}, "$dialect: the wrapper is gone");
        is($frappe->count('initialize'), 1,
            "$dialect: initialize went to Frappe, once");
    }

    {
        my $answer = decode(call($nginx, $stream,
            request(1, 'tools/list', {})) || '{}');

        is(ref $answer->{result}{tools}, 'ARRAY', "$dialect: tools/list");
        is($frappe->count('tools/list'), 1,
            "$dialect: tools/list went to Frappe, once");
    }

    {
        my $answer = decode(call($nginx, $stream,
            tool(2, 'echo', { text => 'hello' })) || '{}');

        like(encode($answer->{result}{content} || {}), qr/hello/,
            "$dialect: tools/call");
        is($frappe->count('tools/call'), 1,
            "$dialect: tools/call went to Frappe, once");
    }

    {
        my $raw = call($nginx, $stream, request(3, 'no/such', {}));
        my $error = error_of($raw) || {};

        is($error->{code}, -32601, "$dialect: unknown method: its error");
        is(decode($raw || '{}')->{id}, 3, "$dialect: unknown method: id");
        is($frappe->count('no/such'), 1, "$dialect: unknown method: asked");
    }

    {
        my $raw = call($nginx, $stream, request(4, 'server/discover', {}));

        ok($raw, "$dialect: server/discover is answered");
        is($frappe->count('server/discover'), 1,
            "$dialect: server/discover went to Frappe");
    }

    # a tool that fails, and one that raises

    {
        my $raw = call($nginx, $stream, tool(5, 'no_such_tool', {}));

        is(raw_id($raw || ''), 5, "$dialect: unknown tool: answered");
        unlike($raw || 'Traceback', qr/Traceback/,
            "$dialect: unknown tool: no traceback");
    }

    # answered here

    $frappe->reset;

    {
        my $from   = time;
        my $raw    = call($nginx, $stream, request('"p-1"', 'ping'));
        my $answer = decode($raw || '{}');
        my $meta   = $answer->{result}{_meta} || {};
        my $stamp  = $meta->{timestamp} || 0;

        like($raw || '', qr/\A\{"jsonrpc":"2\.0","result":\{"_meta":
            \{"status":"ok","timestamp":\d+,
            "service":"frappe-mcp-sse-bridge","message":"pong"\}\},
            "id":"p-1"\}\z/x, "$dialect: ping");
        ok($stamp >= $from - 2 && $stamp <= time + 2,
            "$dialect: ping: the time in seconds");
    }

    is(call($nginx, $stream, request(7, 'resources/list', {})),
        '{"jsonrpc":"2.0","result":{"resources":[]},"id":7}',
        "$dialect: resources/list");

    accepted(post($nginx, $stream, notification('notifications/initialized')),
        "$dialect: notifications/initialized");

    accepted(post($nginx, $stream,
        '{"jsonrpc":"2.0","id":9,"result":{"roots":[]}}'),
        "$dialect: a client's response");
    accepted(post($nginx, $stream,
        '{"jsonrpc":"2.0","id":"x","error":{"code":-1,"message":"no"}}'),
        "$dialect: a client's error");

    ok(passed($nginx, $stream), "$dialect: a ping");
    is($frappe->calls, 0, "$dialect: Frappe was not called for any of these");

    # never answered

    {
        my $n = $stream->messages;

        accepted(post($nginx, $stream,
            notification('notifications/roots/list_changed')),
            "$dialect: another notification");
        accepted(post($nginx, $stream, notification('notifications/cancelled',
            { requestId => 'nobody', reason => 'test' })),
            "$dialect: cancellation of nothing");

        ok(run_until(sub {
                $frappe->count('notifications/roots/list_changed') }),
            "$dialect: other notifications are forwarded");
        is($frappe->count('notifications/cancelled'), 0,
            "$dialect: cancellations are not");

        call($nginx, $stream, request(10, 'tools/list', {}));
        ok(passed($nginx, $stream), "$dialect: and a ping");
        is(scalar $stream->messages, $n + 1,
            "$dialect: no notification was answered");
    }

    ok(!(grep { !defined $_->{raw_id} } $stream->messages),
        "$dialect: nothing without an id came");
    is_deeply([ grep { $_ ne 'message' && $_ ne 'endpoint' } $stream->types ],
        [], "$dialect: nothing but endpoint and messages");
    ok(!(grep { $_->{lines} != 1 } $stream->messages),
        "$dialect: one data line each");

    my $session = $stream->session;

    ok(!(grep { index($_->{text}, "\n\n") < length($_->{text}) - 2
                || $_->{text} !~ /\A(?:id: .*\n)?event: message\ndata: /
            } $stream->messages), "$dialect: form of the message events");

    ok(!$stream->{has_cr}, "$dialect: LF line ends");
    $stream->close;
}

# forms of the answer to a ping

for my $case (
    [ 'result', qr/\A\{"jsonrpc":"2\.0","result":\{"status":"ok",
        "timestamp":\d+,"service":"frappe-mcp-sse-bridge","message":"pong"\},
        "id":1\}\z/x ],
    [ 'empty', qr/\A\{"jsonrpc":"2\.0","result":\{\},"id":1\}\z/ ],
) {
    my ($form, $pattern) = @$case;

    my $nginx  = start_nginx(stream => "mcp_sse_ping_result $form;");
    my $stream = open_stream($nginx);

    like(call($nginx, $stream, request(1, 'ping')) || '', $pattern,
        "mcp_sse_ping_result $form");
    $stream->close;
}

# which methods are local is a setting

{
    my $nginx  = start_nginx(http => 'mcp_sse_local none;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    ok(call($nginx, $stream, request(1, 'ping')), 'local none: ping answered');
    ok(call($nginx, $stream, request(2, 'resources/list', {})),
        'local none: resources/list answered');
    is($frappe->count('ping'), 1, 'local none: ping forwarded');
    is($frappe->count('resources/list'), 1,
        'local none: resources/list forwarded');
    $stream->close;

    $nginx = start_nginx(http =>
        'mcp_sse_local resources/list resources/templates/list prompts/list;');
    $stream = open_stream($nginx);

    $frappe->reset;
    is(call($nginx, $stream, request(1, 'prompts/list', {})),
        '{"jsonrpc":"2.0","result":{"prompts":[]},"id":1}',
        'local prompts/list');
    is(call($nginx, $stream, request(2, 'resources/templates/list', {})),
        '{"jsonrpc":"2.0","result":{"resourceTemplates":[]},"id":2}',
        'local resources/templates/list');
    is($frappe->calls, 0, 'local: not forwarded');
    call($nginx, $stream, request(3, 'ping'));
    is($frappe->count('ping'), 1, 'ping forwarded if not listed');
    $stream->close;
}

# what Frappe sees of a call

{
    my $nginx  = start_nginx();
    my $stream = open_stream($nginx);

    $frappe->reset;
    post($nginx, $stream, request(1, 'tools/list', {}), headers => [
        'Accept'             => 'text/event-stream',
        'Accept-Encoding'    => 'gzip',
        'Accept-Language'    => 'de',
        'Cookie'             => 'sid=stolen',
        'User-Agent'         => 'client/1',
        'X-Frappe-Site-Name' => 'evil.example.com',
        'X-Frappe-CSRF-Token' => 'stolen-too',
        'X-Other'            => 'x',
        'X-Request-Id'       => 'r-1',
        'X-Forwarded-For'    => '192.0.2.1',
        'traceparent'        => '00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01',
        'tracestate'         => 'a=b',
        'MCP-Protocol-Version' => '2025-06-18',
        'Mcp-Name'           => 'n',
    ]);
    ok($stream->wait_answer(1), 'answered');

    my $got = $frappe->last_headers;

    is($got->{'accept'}, 'application/json', 'Accept: application/json');
    is($got->{'content-type'}, 'application/json', 'Content-Type');
    is($got->{'host'}, 'erp.example.com', 'Host is the site');
    is($got->{'authorization'}, MCPTest::credential(), 'the credential');
    ok(defined $got->{'content-length'}, 'Content-Length');
    is($got->{'transfer-encoding'}, undef, 'not chunked');
    is($got->{'x-forwarded-proto'}, 'http', 'X-Forwarded-Proto');

    for my $name (qw(cookie accept-encoding x-frappe-site-name
        x-frappe-csrf-token x-other))
    {
        is($got->{$name}, undef, "$name is not forwarded");
    }

    is($got->{'accept-language'}, 'de', 'Accept-Language is');
    is($got->{'user-agent'}, 'client/1', 'User-Agent is');
    is($got->{'x-request-id'}, 'r-1', 'X-Request-Id is');
    like($got->{'traceparent'} || '', qr/^00-0af7/, 'traceparent is');
    is($got->{'tracestate'}, 'a=b', 'tracestate is');
    is($got->{'mcp-protocol-version'}, '2025-06-18',
        'MCP-Protocol-Version is');
    is($got->{'mcp-name'}, 'n', 'Mcp-* are');
    unlike($got->{'x-forwarded-for'} || '', qr/192\.0\.2\.1/,
        "the client's X-Forwarded-For is not believed");
    $stream->close;

    $nginx  = start_nginx(http => 'mcp_sse_pass_header X-Other Z;');
    $stream = open_stream($nginx);
    post($nginx, $stream, request(1, 'tools/list', {}),
        headers => [ 'X-Other' => 'x', 'X-Third' => 'y', 'Z' => '192.0.2.7' ]);
    ok($stream->wait_answer(1), 'answered');
    is($frappe->last_headers->{'x-other'}, 'x', 'mcp_sse_pass_header');
    is($frappe->last_headers->{'x-third'}, undef, 'and no other');
    is($frappe->last_headers->{'z'}, '192.0.2.7', 'one of one letter');
    is(($nginx->audit(1))[0]{address}, '127.0.0.1',
        'which is not taken for the address');
    $stream->close;
}

# only jsonrpc, id, method and params get through: "cmd" would make Frappe run
# another method

{
    my $seen;
    my $backend = start_backend(sub {
        my ($request) = @_;

        return if $request->{path} =~ /get_logged_user/;

        $seen = $request->{body};

        return MCPTest::Backend::http(200,
            '{"jsonrpc":"2.0","id":1,"result":{}}');
    });

    my $nginx  = start_nginx(backend => $backend->port);
    my $stream = open_stream($nginx);

    for my $message (
        '{"cmd":"frappe.ping","jsonrpc":"2.0","id":1,"method":"a/b","params":{"cmd":"kept"}}',
        '{"jsonrpc":"2.0","\u0063md":"frappe.ping","id":1,"method":"a/b","params":{"cmd":"kept"},"data":1}',
        '{ "params" : {"cmd":"kept"}, "cmd":{"a":[1]} , "method":"a\/b", "id":1, "jsonrpc":"2.0" }',
    ) {
        $seen = '';
        $stream->{answers} = {};

        ok(call($nginx, $stream, $message), 'answered');

        my ($raw, $names) = members($seen);

        is_deeply([ sort @{ $names || [] } ], [qw(id jsonrpc method params)],
            'only the four members');
        is($raw->{params}, '{"cmd":"kept"}', 'params as they were');
        is(decode($seen)->{method}, 'a/b', 'the method');
    }

    $stream->close;
}

finish();
