# What Frappe publishes for a call: X-MCP-Call, which client gets it in which
# form, and what is dropped.  docs/PROTOCOL.md 16.10 to 16.14.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Metrics qw(moves);
use MCPTest::Modern;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $MESSAGE  = 'notifications/message';
my $PROGRESS = 'notifications/progress';

my $redis  = start_redis();
my $frappe = frappe();

# the second site is served at paths of its own

my $other = join '', map { <<"EOT" } qw(/other/mcp);
        location = $_ {
            mcp_sse_http;
            mcp_sse_site other.example.com;
            mcp_sse_stream_after off;
        }
EOT

my $nginx = start_push(push => $redis, mcp => 'mcp_sse_stream_after off;',
    locations => $other, workers => 4, stream => 'mcp_sse_progress off;');

# the id

{
    http_post($nginx, tool(1, 'echo', {}),
        headers => [ 'X-MCP-Call' => 'forged' ]);
    my $first = $frappe->last_headers->{'x-mcp-call'};

    like($first, qr/\A[\w-]{12}[A-Pa-p]{24}\z/,
        'a call has X-MCP-Call, that of the client does not get through');

    http_post($nginx, tool(2, 'echo', {}));
    isnt($frappe->last_headers->{'x-mcp-call'}, $first,
        'each call has another one');

    http_post($nginx, notification('notifications/roots/list_changed'));
    ok(run_until(sub { $frappe->count('notifications/roots/list_changed') }),
        'a notification reaches Frappe');
    is($frappe->last_headers->{'x-mcp-call'}, undef,
        'a notification has none: nobody waits for it');
    is(scalar(grep { $_->{path} =~ /get_logged_user/
            && grep { lc $_->[0] eq 'x-mcp-call' } @{ $_->{headers} } }
            $frappe->requests), 0, 'nor has a look-up');

    my $without = start_http();

    http_post($without, tool(1, 'echo', {}),
        headers => [ 'X-MCP-Call' => 'forged' ]);
    is($frappe->last_headers->{'x-mcp-call'}, undef,
        'without mcp_sse_events there is none');
}

# Runs a tool that pushes a log message and waits at a gate, which is opened when
# "check" has returned true.

my $gates = 0;


sub pushing {
    my ($client, $name, $arguments, $check) = @_;

    my $gate = 'gate ' . ++$gates;
    my $got  = $client->(tool(1, $name, { %$arguments, gate => $gate },
        $arguments->{token} ? (_meta => { progressToken => 't' }) : ()));

    run_until(sub { $check->($got) });
    $frappe->open_gate($gate);

    return $got;
}


sub data { return map { $_->{params}{data} } $_[0]->notifications($MESSAGE) }


# the forms of an answer

my %form = (
    'a POST that accepts both' => {},
    'a POST that accepts a stream' => { accept => 'text/event-stream' },
);

for my $name (sort keys %form) {
    my $answer = pushing(sub { http_post($nginx, shift, async => 1,
        %{ $form{$name} }) }, 'push_log', { data => "for $name" },
        sub { data($_[0]) });

    ok($answer->is_stream, "$name: the first message makes it a stream");
    is_deeply([ data($answer) ], [ "for $name" ], "$name: it is there");
    $answer->wait;
    like($answer->answer || '', qr/"result"/, "$name: then the answer");
    like($answer->{messages}[0]{data}, qr/\A\{"jsonrpc":"2\.0","method":
        "notifications\/message","params":\{"level":"info","data":[^}]*\}\}
        \z/x, "$name: the params are those that were published");
}

{
    my $answer = http_post($nginx, tool(1, 'push_log', { data => 'lost' }),
        accept => 'application/json');

    ok(!$answer->is_stream, 'a POST that accepts JSON only stays JSON');
    like($answer->answer, qr/"result"/, 'a POST that accepts JSON only: '
        . 'it is answered');
    unlike($answer->body, qr/notifications/,
        'a POST that accepts JSON only: nothing else');
}

{
    my $stream = open_stream($nginx);
    my $got = pushing(sub { post($nginx, $stream, shift); $stream },
        'push_log', { data => 'legacy', level => 'error' },
        sub { data($stream) });

    $stream->wait_answer(1);
    is_deeply([ map { $_->{method} || 'answer' }
        map { decode($_->{data}) } $stream->messages ],
        [ $MESSAGE, 'answer' ], 'HTTP+SSE: on the stream, before the answer');

    # what a session would get without a call comes to the client of the call

    my @raw = map { qq({"site":"SITE","call":"CALL","method":$_}) } (
        '"notifications/tools/list_changed"',
        '"notifications/prompts/list_changed","params":{"_meta":{"a":[1, 2]}}',
        '"notifications/resources/updated",'
            . '"params":{"uri":"a:b\u0020c","title":"secret"}',
        '"notifications/elicitation/complete",'
            . qq("params":{"elicitationId":\n"e"}),
    );

    $stream->forget(1);
    pushing(sub { post($nginx, $stream, shift) }, 'push_raw',
        { texts => [@raw] }, sub {
            $frappe->open_gate("gate $gates");
            return 5 <= grep { $_->{data} =~ /"method"/ } $stream->messages;
        });
    $stream->wait_answer(1);

    is_deeply([ map { $_->{data} } grep { !defined $_->{raw_id} }
        ($stream->messages)[1 .. 4] ], [
        '{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}',
        '{"jsonrpc":"2.0","method":"notifications/prompts/list_changed",'
            . '"params":{"_meta":{"a":[1, 2]}}}',
        '{"jsonrpc":"2.0","method":"notifications/resources/updated",'
            . '"params":{"uri":"a:b\u0020c"}}',
        '{"jsonrpc":"2.0","method":"notifications/elicitation/complete",'
            . '"params":{"elicitationId": "e"}}',
    ], 'a call can tell its client of changes; an update tells its URI only');

    $stream->close;
}

# the modern era

{
    my $client = sub {
        my ($level) = @_;

        return sub {
            my $params = decode($_[0])->{params};

            return modern($nginx, 1, 'tools/call', $params, async => 1,
                meta => { $level ? (logLevel => $level) : () });
        };
    };

    my $answer = pushing($client->('info'), 'push_log', { data => 'modern' },
        sub { data($_[0]) });

    $answer->wait;
    is_deeply([ data($answer) ], ['modern'],
        'a modern request gets the log that it has asked for');

    for my $level (undef, 'warning') {
        my $what = $level ? "logLevel $level" : 'without logLevel';
        my $got  = $client->($level)->(tool(1, 'push_log', { data => 'no' }));

        $got->wait;
        ok(!$got->is_stream, "a modern request $what gets no info");
    }

    my $raw = $client->('debug')->(tool(1, 'push_raw', { texts => [
        '{"site":"SITE","call":"CALL",'
            . '"method":"notifications/tools/list_changed"}' ] }));

    $raw->wait;
    ok(!$raw->is_stream,
        'a modern request is not told of changes: a subscription is');
}

# the right client: all users, sites and transports at the same time

{
    my (%got, %calls);

    for my $user (qw(alice bob)) {
        $calls{"$user legacy $_"} = do {
            my $stream = open_stream($nginx, auth => MCPTest::credential($user));

            sub { post($nginx, $stream, shift, async => 1); $stream };
        } for 1 .. 4;

        for my $n (1 .. 6) {
            $calls{"$user post $n"} = sub { http_post($nginx, shift,
                async => 1, auth => MCPTest::credential($user)) };
        }
    }

    for my $n (1 .. 6) {
        $calls{"other post $n"} = sub { http_post($nginx, shift, async => 1,
            path => '/other/mcp', auth => MCPTest::credential('alice', 'other')) };
    }

    $got{$_} = $calls{$_}->(tool(1, 'push_log',
        { n => 3, data => $_, gate => 'all' })) for keys %calls;

    run_until(sub { !grep { !data($_) } values %got });
    $frappe->open_gate('all');
    ok(run_until(sub { !grep { data($_) < 3 } values %got }),
        'all clients get what is published for their calls');

    $got{$_}->wait_answer(1) for keys %got;

    for my $name (sort keys %got) {
        is_deeply([ data($got{$name}) ], [ ($name) x 3 ],
            "$name: its own messages, and no others");
        $got{$name}->close;
    }
}

# what is not for a call

{
    my $gone = do {
        http_post($nginx, tool(1, 'echo', {}));
        $frappe->last_headers->{'x-mcp-call'};
    };
    my $held = http_post($nginx, tool(1, 'hold', { key => 'k', gate => 'k' }),
        async => 1);
    my $call = call_id('k');
    my %log  = (method => $MESSAGE, params => { level => 'info', data => 1 });

    my $drops = sub {
        my ($why, $name, $message) = @_;

        moves($nginx, $name, { "events $why" => 1 },
            sub { ref $message ? publish($redis, $message)
                : publish_raw($redis, $message) });
    };

    $drops->('ended', 'a call that has ended', { call => $gone, %log });
    $drops->('ended', 'an id that is none, of a worker that is one',
        { call => substr($call, 0, 12) . 'A' x 24, %log });
    $drops->('malformed', 'a level that is none', { call => $call,
        method => $MESSAGE, params => { level => 'loud', data => 1 } });
    $drops->('malformed', 'progress without a value',
        { call => $call, method => $PROGRESS, params => {} });
    $drops->('method', 'a method that may not be published',
        { call => $call, method => 'notifications/cancelled',
          params => { requestId => 1 } });
    $drops->('no_stream', 'progress of a call without a token',
        { call => $call, method => $PROGRESS, params => { progress => 1 } });

    moves($nginx, 'ids of others are not counted', {}, sub {
        publish($redis, { call => $_, %log })
            for 'A' x 36, substr($call, 0, 35), "${call}A", 'x', '';
    });

    $drops->('site', 'another site than that of the call',
        { call => $call, site => qq(other"site), %log });
    ok($nginx->wait_log(qr/a call of site "erp\.example\.com" with the site /),
        'its line names the site');
    like($nginx->error_log, qr/"other\?site", .*"mcp_sse_events_site"/,
        'and the one that is wrong, and the directive');

    ok(!$held->{ended} && !$held->is_stream,
        'the client of that call got nothing');
    $frappe->open_gate('k');
    $held->wait;
    is(scalar $held->notifications($MESSAGE), 0, 'nor with its answer')
        if $held->is_stream;

    $nginx->allow(qr/Frappe has published/, qr/that Frappe has published/);
}

# mcp_sse_events_site

{
    my $named = start_push(push => $redis,
        mcp => 'mcp_sse_events_site "site-$mcp_sse_user";');

    $frappe->set(events_site => 'site-alice@example.com');

    my $answer = pushing(sub { http_post($named, shift, async => 1) },
        'push_log', { data => 'named' }, sub { data($_[0]) });

    is_deeply([ data($answer) ], ['named'],
        'mcp_sse_events_site is the site in what Frappe publishes');
    $frappe->set(events_site => undef);
}

finish();
