# What happens to each method, in both of Frappe's dialects: which messages are
# forwarded, which are answered locally, which are never answered; and what
# Frappe sees of a call.  docs/PROTOCOL.md 5 and 6.

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

    # methods that are forwarded

    {
        my $params = { protocolVersion => '2025-03-26', capabilities => {},
            clientInfo => { name => 't', version => '1' } };

        my $answer = decode(call($nginx, $stream,
            request(0, 'initialize', $params)) || '{}');

        is($answer->{jsonrpc}, '2.0',
            "$dialect: initialize is answered with jsonrpc 2.0");
        is($answer->{id}, 0, "$dialect: initialize is answered with its id 0");
        ok($answer->{result}{protocolVersion},
            "$dialect: initialize is answered with Frappe's protocol version");
        ok($answer->{result}{serverInfo}{name},
            "$dialect: initialize is answered with Frappe's server name");
        ok(!exists $answer->{message},
            "$dialect: the answer has no \"message\" of Frappe around it");
        is($frappe->count('initialize'), 1,
            "$dialect: initialize goes to Frappe once");
    }

    {
        my $answer = decode(call($nginx, $stream,
            request(1, 'tools/list', {})) || '{}');

        is(ref $answer->{result}{tools}, 'ARRAY',
            "$dialect: tools/list is answered with the tools");
        is($frappe->count('tools/list'), 1,
            "$dialect: tools/list goes to Frappe once");
    }

    {
        my $answer = decode(call($nginx, $stream,
            tool(2, 'echo', { text => 'hello' })) || '{}');

        like(encode($answer->{result}{content} || {}), qr/hello/,
            "$dialect: tools/call is answered with the content");
        is($frappe->count('tools/call'), 1,
            "$dialect: tools/call goes to Frappe once");
    }

    {
        my $raw = call($nginx, $stream, request(3, 'no/such', {}));
        my $error = error_of($raw) || {};

        is($error->{code}, -32601,
            "$dialect: an unknown method is answered with Frappe's error");
        is(decode($raw || '{}')->{id}, 3,
            "$dialect: an unknown method is answered with its id");
        is($frappe->count('no/such'), 1,
            "$dialect: an unknown method goes to Frappe once");
    }

    {
        my $raw = call($nginx, $stream, request(4, 'server/discover', {}));

        ok($raw, "$dialect: server/discover is answered");
        is($frappe->count('server/discover'), 1,
            "$dialect: server/discover goes to Frappe once");
    }

    # a tool that does not exist

    {
        my $raw = call($nginx, $stream, tool(5, 'no_such_tool', {}));

        is(raw_id($raw || ''), 5,
            "$dialect: a call of an unknown tool is answered");
        unlike($raw || 'Traceback', qr/Traceback/,
            "$dialect: the answer for an unknown tool has no traceback");
    }

    # messages that are answered locally, or dropped

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
            "id":"p-1"\}\z/x,
            "$dialect: ping is answered with the status in _meta");
        ok($stamp >= $from - 2 && $stamp <= time + 2,
            "$dialect: the answer to ping has the time in Unix seconds");
    }

    is(call($nginx, $stream, request(7, 'resources/list', {})),
        '{"jsonrpc":"2.0","result":{"resources":[]},"id":7}',
        "$dialect: resources/list is answered with an empty list");

    accepted(post($nginx, $stream, notification('notifications/initialized')),
        "$dialect: notifications/initialized is accepted");

    accepted(post($nginx, $stream,
        '{"jsonrpc":"2.0","id":9,"result":{"roots":[]}}'),
        "$dialect: a client's response is accepted");
    accepted(post($nginx, $stream,
        '{"jsonrpc":"2.0","id":"x","error":{"code":-1,"message":"no"}}'),
        "$dialect: a client's error response is accepted");

    ok(passed($nginx, $stream), "$dialect: a later ping is answered");
    is($frappe->calls, 0, "$dialect: none of these messages goes to Frappe");

    # messages that are never answered

    {
        my $n = $stream->messages;

        accepted(post($nginx, $stream,
            notification('notifications/roots/list_changed')),
            "$dialect: another notification is accepted");
        accepted(post($nginx, $stream, notification('notifications/cancelled',
            { requestId => 'nobody', reason => 'test' })),
            "$dialect: a cancellation of an unknown request is accepted");

        ok(run_until(sub {
                $frappe->count('notifications/roots/list_changed') }),
            "$dialect: another notification goes to Frappe");
        is($frappe->count('notifications/cancelled'), 0,
            "$dialect: a cancellation does not go to Frappe");

        call($nginx, $stream, request(10, 'tools/list', {}));
        ok(passed($nginx, $stream),
            "$dialect: a ping after the notifications is answered");
        is(scalar $stream->messages, $n + 1,
            "$dialect: no notification is answered");
    }

    ok(!(grep { !defined $_->{raw_id} } $stream->messages),
        "$dialect: every message on the stream has an id");
    is_deeply([ grep { $_ ne 'message' && $_ ne 'endpoint' } $stream->types ],
        [], "$dialect: the stream has endpoint and message events only");
    ok(!(grep { $_->{lines} != 1 } $stream->messages),
        "$dialect: each message has one data line");

    my $session = $stream->session;

    ok(!(grep { index($_->{text}, "\n\n") < length($_->{text}) - 2
                || $_->{text} !~ /\A(?:id: .*\n)?event: message\ndata: /
            } $stream->messages),
            "$dialect: each message is \"event: message\" and a data line");

    ok(!$stream->{has_cr}, "$dialect: lines of the stream end with LF");
    $stream->close;
}

# the forms of the answer to ping

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
        "ping is answered in the form of mcp_sse_ping_result $form");
    $stream->close;
}

# mcp_sse_local names the methods that are answered locally

{
    my $nginx  = start_nginx(http => 'mcp_sse_local none;');
    my $stream = open_stream($nginx);

    $frappe->reset;
    ok(call($nginx, $stream, request(1, 'ping')),
        'mcp_sse_local none: ping is answered');
    ok(call($nginx, $stream, request(2, 'resources/list', {})),
        'mcp_sse_local none: resources/list is answered');
    is($frappe->count('ping'), 1, 'mcp_sse_local none: ping goes to Frappe');
    is($frappe->count('resources/list'), 1,
        'mcp_sse_local none: resources/list goes to Frappe');
    $stream->close;

    $nginx = start_nginx(http =>
        'mcp_sse_local resources/list resources/templates/list prompts/list '
        . 'logging/setLevel;');
    $stream = open_stream($nginx);

    $frappe->reset;
    is(call($nginx, $stream, request(1, 'prompts/list', {})),
        '{"jsonrpc":"2.0","result":{"prompts":[]},"id":1}',
        'mcp_sse_local prompts/list: the answer is an empty list');
    is(call($nginx, $stream, request(2, 'resources/templates/list', {})),
        '{"jsonrpc":"2.0","result":{"resourceTemplates":[]},"id":2}',
        'mcp_sse_local resources/templates/list: the answer is an empty list');
    is(call($nginx, $stream, request(4, 'logging/setLevel',
        { level => 'debug' })), '{"jsonrpc":"2.0","result":{},"id":4}',
        'mcp_sse_local logging/setLevel: the answer is an empty result');
    is($frappe->calls, 0,
        'a method that mcp_sse_local names does not go to Frappe');
    call($nginx, $stream, request(3, 'ping'));
    is($frappe->count('ping'), 1,
        'ping goes to Frappe if mcp_sse_local does not name it');
    $stream->close;
}

# the headers that Frappe gets with a call

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
        'Mcp-Session-Id'     => 'stolen',
        'X-Assistant-Client-Id' => 'stolen-too',
    ]);
    ok($stream->wait_answer(1), 'a call with many headers is answered');

    my $got = $frappe->last_headers;

    is($got->{'accept'}, 'application/json',
        'Frappe gets Accept: application/json');
    is($got->{'content-type'}, 'application/json',
        'Frappe gets Content-Type: application/json');
    is($got->{'host'}, 'erp.example.com', 'Frappe gets the site as Host');
    is($got->{'authorization'}, MCPTest::credential(),
        "Frappe gets the client's credential");
    ok(defined $got->{'content-length'}, 'Frappe gets a Content-Length');
    is($got->{'transfer-encoding'}, undef, 'Frappe gets no chunked body');
    is($got->{'x-forwarded-proto'}, 'http', 'Frappe gets X-Forwarded-Proto');

    for my $name (qw(cookie accept-encoding x-frappe-site-name
        x-frappe-csrf-token x-assistant-client-id x-other))
    {
        is($got->{$name}, undef, "$name is not forwarded");
    }

    is($got->{'accept-language'}, 'de', 'Accept-Language is forwarded');
    is($got->{'user-agent'}, 'client/1', 'User-Agent is forwarded');
    is($got->{'x-request-id'}, 'r-1', 'X-Request-Id is forwarded');
    like($got->{'traceparent'} || '', qr/^00-0af7/, 'traceparent is forwarded');
    is($got->{'tracestate'}, 'a=b', 'tracestate is forwarded');
    is($got->{'mcp-protocol-version'}, '2025-06-18',
        'MCP-Protocol-Version is forwarded');
    is($got->{'mcp-name'}, 'n', 'Mcp-* headers are forwarded');
    is($got->{'mcp-session-id'}, ($nginx->audit(1))[0]{session},
        'Frappe gets the hash of the session id that the logs have');
    unlike($got->{'x-forwarded-for'} || '', qr/192\.0\.2\.1/,
        "the client's X-Forwarded-For is not forwarded");
    $stream->close;

    $nginx  = start_nginx(http => 'mcp_sse_pass_header X-Other Z;');
    $stream = open_stream($nginx);
    post($nginx, $stream, request(1, 'tools/list', {}),
        headers => [ 'X-Other' => 'x', 'X-Third' => 'y', 'Z' => '192.0.2.7' ]);
    ok($stream->wait_answer(1),
        'a call with the headers of mcp_sse_pass_header is answered');
    is($frappe->last_headers->{'x-other'}, 'x',
        'a header that mcp_sse_pass_header names is forwarded');
    is($frappe->last_headers->{'x-third'}, undef,
        'a header that mcp_sse_pass_header does not name is not forwarded');
    is($frappe->last_headers->{'z'}, '192.0.2.7',
        'a header of one letter is forwarded');
    is(($nginx->audit(1))[0]{address}, '127.0.0.1',
        "a forwarded header is not taken for the client's address");
    $stream->close;
}

# only jsonrpc, id, method and params are forwarded: "cmd" would make Frappe
# run another method

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

        ok(call($nginx, $stream, $message),
            'a message with other members is answered');

        my ($raw, $names) = members($seen);

        is_deeply([ sort @{ $names || [] } ], [qw(id jsonrpc method params)],
            'Frappe gets only jsonrpc, id, method and params');
        is($raw->{params}, '{"cmd":"kept"}',
            'Frappe gets the bytes of params unchanged');
        is(decode($seen)->{method}, 'a/b',
            'Frappe gets the method of the message');
    }

    $stream->close;
}

finish();
