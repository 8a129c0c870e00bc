# Two instances with one Redis: a message is accepted at either of them, and its
# answer comes on the stream, wherever that is.
# docs/PROTOCOL.md 1.11, 3.10, 3.11, 11.1, 11.4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis(requirepass => 'a-long-password');
my ($here, $there) = start_instances(2, redis => $redis, workers => 2,
    http => 'mcp_sse_grace 300s;');

ok(wait_ready($_), 'an instance with Redis is ready') for $here, $there;
ok($_->wait_log(MCPTest::Redis::pattern('ready')),
    'the log says that Redis is ready')
    for $here, $there;


sub gone {
    my ($nginx, $n) = @_;

    return run_until(sub {
        return health($nginx)->{active_connections} == ($n || 0);
    });
}


# connections and keys in Redis

{
    # an instance is ready while some of its workers still start

    my %names;

    run_until(sub {
        %names = ();
        $names{ $_->{name} }++ for $redis->clients;
        return ($names{'mcp-sse-cmd'} || 0) == 4
            && ($names{'mcp-sse-sub'} || 0) == 4;
    });
    is_deeply(\%names, { 'mcp-sse-cmd' => 4, 'mcp-sse-sub' => 4 },
        'each worker has two connections, which have names');

    # the endpoint event does not wait for Redis

    my $stream = open_stream($here);
    my ($all, @keys);

    ok(run_until(sub {
        $all  = $redis->dump;
        @keys = sort keys %{$all};
        return grep({ /\Amcp:s:/ } @keys) && grep({ /\Amcp:k:/ } @keys) >= 4;
    }), 'Redis has a key for the session of a new stream');
    is(scalar(grep { /\Amcp:k:[0-9a-f]{32}\z/ } @keys), 4,
        'Redis has a key for each worker');
    is(scalar(grep { /\Amcp:s:[0-9a-f]+\z/ } @keys), 1,
        'Redis has one key for the session');
    is(scalar @keys, 5, 'Redis has no other key');
    is(scalar(grep { my $ttl = $all->{$_}{ttl}; $ttl > 0 && $ttl <= 60_000 }
        @keys), 5, 'each key expires within a minute');

    $stream->close;
    gone($here);
}

# messages of every kind

{
    my $stream = open_stream($here);

    accepted(post($there, $stream, tool(1, 'echo', { text => 'hello' })),
        'a call is accepted at the other instance');
    like($stream->wait_answer(1) || '', qr/hello/,
        'a call posted to the other instance is answered on the stream');
    is($frappe->tool_count('echo'), 1,
        'a call posted to the other instance runs once');

    accepted(post($there, $stream, request(2, 'ping')),
        'ping is accepted at the other instance');
    like($stream->wait_answer(2) || '', qr/"_meta"/,
        'ping posted to the other instance is answered on the stream');

    accepted(post($there, $stream, request('"a b"', 'tools/list')),
        'a request with a string id is accepted at the other instance');
    ok($stream->wait_answer('"a b"'),
        'the answer to a string id has the same string id');

    my $before = $stream->messages;

    accepted(post($there, $stream, notification('notifications/initialized')),
        'notifications/initialized is accepted at the other instance');
    accepted(post($there, $stream, notification('notifications/other')),
        'another notification is accepted at the other instance');
    ok(run_until(sub { $frappe->count('notifications/other') }),
        'another notification is forwarded to Frappe');
    is($frappe->count('notifications/initialized'), 0,
        'notifications/initialized is not forwarded');
    accepted(post($there, $stream, '{"jsonrpc":"2.0","id":7,"result":{}}'),
        "a client's response is accepted at the other instance");

    accepted(post($there, $stream, '[' . join(',', request(11, 'ping'),
        tool(12, 'echo', { text => 'twelve' }),
        notification('notifications/initialized'),
        tool(13, 'echo', { text => 'thirteen' })) . ']'),
        'a batch is accepted at the other instance');
    ok($stream->wait_answer($_), "request $_ of the batch is answered")
        for 11 .. 13;
    ok(passed($there, $stream), 'a ping behind the batch is answered');
    is($stream->messages - $before, 3,
        'notifications and responses are not answered');

    # large messages

    for my $size (300_000, 1_000_000) {
        my $text = join '', map { chr(97 + $_ % 26) } 1 .. $size;

        accepted(post($there, $stream, tool($size, 'echo',
            { text => $text })), "a message of $size bytes is accepted");
        ok(index($stream->wait_answer($size) || '', $text) >= 0,
            "a message of $size bytes arrives whole");
    }

    # messages keep their order and do not wait for a timer

    my $conn = connect_to($there);

    post($there, $stream, request(2000 + $_, 'ping'), conn => $conn)
        for 1 .. 50;
    $stream->wait_answer(2050);
    is_deeply([ grep { $_ > 2000 && $_ < 3000 } map { $_->{raw_id} }
        grep { ($_->{raw_id} || '') =~ /\A\d+\z/ } $stream->messages ],
        [ 2001 .. 2050 ], 'messages of one client keep their order');

    my $from = now();

    call($there, $stream, request(3000 + $_, 'ping'), conn => $conn)
        for 1 .. 20;
    is(scalar(grep { $stream->answers(3000 + $_) } 1 .. 20), 20,
        '20 pings, one after the other, are answered');
    cmp_ok(now() - $from, '<', 19,
        'messages between instances do not wait for a timer of one second');

    is(health($here)->{active_connections}, 1,
        'active_connections counts the stream at its instance');
    is(health($there)->{active_connections}, 0,
        'active_connections does not count it at the other instance');

    $_->close for $stream, $conn;
    gone($here);
}

# from every worker to every worker of both instances

{
    my $history = MCPTest::History->new(frappe => $frappe);
    my @at      = map { my $nginx = $_;
        map { [ $nginx, $_ ] } $nginx->wait_workers } $here, $there;
    my @streams = map { open_stream($_->[0], worker => $_->[1]) } @at;
    my @conns   = map { connect_worker(@{$_}) } @at;

    for my $stream (@streams) {
        for my $n (0 .. $#at) {
            my $post = $history->call($at[$n][0], $stream,
                conn => $conns[$n]);

            $post->{response}->wait;
        }
    }

    is_deeply($history->statuses, { 202 => 16 },
        'each of four workers accepts a message for each of the four');
    $history->ok('each message is answered once, on its own stream');

    # all of these at the same time

    for my $turn (1 .. 10) {
        for my $stream (@streams) {
            $history->call($at[$_][0], $stream, conn => $conns[$_])
                for 0 .. $#at;
        }
    }

    $history->ok('160 messages at the same time are answered once each');
    is_deeply($history->statuses, { 202 => 176 },
        '160 messages at the same time are accepted');
    $_->close for @streams, @conns;
    gone($_) for $here, $there;
}

# what is refused

{
    $frappe->reset;

    my $stream = open_stream($here);
    my $id     = $stream->session;
    my $other  = $id;

    substr($other, 10, 1) = substr($other, 10, 1) eq 'A' ? 'B' : 'A';

    is_rejected(post($there, $other, tool(1, 'echo', {})), 400, -32001,
        'Invalid session ID', 'a forged session id is refused');
    is_rejected(post($there, $stream, tool(1, 'echo', {}),
        auth => MCPTest::credential('bob')), 400, -32001,
        'Invalid session ID', 'the session of another user is refused');
    is(post($there, $stream, tool(1, 'echo', {}), auth => undef)->status, 401,
        'a message without a credential is 401');
    is(post($there, $stream, tool(1, 'echo', {}),
        auth => 'token alice-key:wrong-secret')->status, 401,
        'a message with a wrong credential is 401');
    is_rejected(post($there, $stream, '{"jsonrpc":"2.0"'), 400, -32700,
        'Parse error', 'a message that is not JSON is refused');
    is_rejected(post($there, $stream, '[]'), 400, -32600, 'Invalid Request',
        'an empty batch is refused');

    # an instance with another key and the same Redis

    my $stranger = start_nginx(redis => $redis,
        key_file => MCPTest::Nginx::key_file(MCPTest::Nginx::random_key()));

    wait_ready($stranger);
    is_rejected(post($stranger, $stream, tool(1, 'echo', {})), 400, -32001,
        'Invalid session ID', 'an instance with another key refuses the id');

    my $theirs = open_stream($stranger);

    is_rejected(post($there, $theirs, tool(1, 'echo', {})), 400, -32001,
        'Invalid session ID', 'an id signed with another key is refused');
    $theirs->close;

    # an instance with the same key and another prefix

    my $prefix = start_nginx(redis => $redis, redis_opt => 'prefix=other:',
        http => 'mcp_sse_grace 0;');

    wait_ready($prefix);

    # right after its start an instance may not know all sessions yet

    my $answer;

    run_until(sub {
        $answer = post($prefix, $stream, tool(1, 'echo', {}));
        return $answer->status == 400;
    });
    is_rejected($answer, 400, -32001, 'Invalid session ID',
        'an instance with another prefix refuses the id');

    is($frappe->calls, 0, 'no refused message reaches Frappe');
    $stream->close;
    gone($here);
}

# a session whose stream does not come back

{
    my ($here, $there) = start_instances(2, redis => $redis,
        redis_opt => 'prefix=brief:', http => 'mcp_sse_grace 5s;');
    my $stream = open_stream($here);

    $frappe->reset;
    ok(call($there, $stream, request(1, 'ping')),
        'the other instance delivers to the session');
    $stream->close;
    gone($here);

    my $held = post($there, $stream, tool(2, 'echo', {}));

    is_rejected($held, 400, -32001, 'Invalid session ID',
        'a message is 400 if the stream does not come back');
    cmp_ok($held->took, '>', 4, 'this message waits for mcp_sse_grace');

    # a message for an id younger than mcp_sse_grace might wait again

    sleep_for(6);

    my $late = post($there, $stream, tool(3, 'echo', {}));

    is_rejected($late, 400, -32001, 'Invalid session ID',
        'a message after mcp_sse_grace is 400');
    cmp_ok($late->took, '<', 5, 'a message after mcp_sse_grace does not wait');
    is($frappe->calls, 0, 'neither message runs');
}

# messages wait within mcp_sse_grace until the stream is back at any instance

for my $back ($here, $there) {
    my $where = $back == $here ? 'at the same instance' : 'at the other one';

    $frappe->reset;

    my $stream = open_stream($here);
    my $id     = $stream->session;

    $stream->close;
    gone($here);

    my @held = map { post($there, $stream, tool($_, 'echo',
        { text => "held $_" }), async => 1) } 1, 2;

    ok(run_until(sub { health($there)->{pending_requests} == 2 }),
        'messages for a session that lost its stream are pending');
    is(scalar(grep { $_->ended } @held), 0,
        'these messages are not answered while they wait');

    my $again = open_stream($back, headers => [ 'Last-Event-ID', $id ]);

    is($again->session, $id, "the client keeps its session id $where");
    $_->wait for @held;
    accepted($_, "the stream is back $where: what waited is accepted")
        for @held;
    like($again->wait_answer($_) || '', qr/held $_/,
        "the stream is back $where: what waited is answered") for 1, 2;
    ok(run_until(sub { health($there)->{pending_requests} == 0 }),
        "the stream is back $where: no message is pending");

    # the session is where its stream is

    ok(call($_, $again, request(10 + $_->port, 'ping')),
        'either instance delivers to the session') for $here, $there;
    is($frappe->tool_count('echo'), 2, 'each message that waited runs once');
    $again->close;
    gone($_) for $here, $there;
}

# a stream at the other instance replaces the first one

{
    my $stream = open_stream($here);
    my $id     = $stream->session;
    my $again  = open_stream($there, headers => [ 'Last-Event-ID', $id ]);

    is($again->session, $id,
        'a second stream at the other instance has the same id');
    ok($stream->wait_ended, 'a second stream ends the first one');
    ok(!defined $stream->retry, 'a replaced stream has no "retry:"');
    ok(call($here, $again, tool(1, 'echo', {})),
        'a message posted where the first stream was reaches the second');
    $again->close;
    gone($_) for $here, $there;
}

# the owner has too many messages

{
    my ($here, $there) = start_instances(2, redis => $redis,
        redis_opt => 'prefix=full:',
        http => 'mcp_sse_max_inbox 4; mcp_sse_max_calls 1; '
            . 'mcp_sse_grace 60s;');
    my $stream  = open_stream($here);
    my $history = MCPTest::History->new(frappe => $frappe);

    # no call ends before each message has its status

    my @posts = map { $history->call($there, $stream, tool => 'hold',
        arguments => { gate => 'full' }) } 1 .. 12;

    run_until(sub { !$history->pending });
    $frappe->open_gate('full');

    my $n = $history->statuses;

    is_deeply([ sort keys %{$n} ], [ 202, 429 ],
        'each message for a busy owner is 202 or 429');
    cmp_ok($n->{429} || 0, '>=', 5,
        'messages beyond mcp_sse_max_inbox are 429');

    my ($full) = grep { ($_->{response}->status || 0) == 429 } @posts;

    if ($full) {
        is_rejected($full->{response}, 429, -32004, 'Too many messages',
            'a message beyond mcp_sse_max_inbox is "Too many messages"');
        is($full->{response}->header('Retry-After'), 1,
            'the 429 of another instance has Retry-After');
    }

    $history->ok('what was accepted is answered, the rest does not run');
    $stream->close;
}

# another database of Redis, over a Unix socket

{
    my @nginx  = map { start_nginx(redis => $redis->url(unix => 1, db => 3),
        http => 'mcp_sse_grace 60s;') } 1, 2;

    ok(wait_ready(@nginx), 'instances reach Redis over a Unix socket');

    my $stream = open_stream($nginx[0]);

    ok(call($nginx[1], $stream, tool(1, 'echo', {})),
        'a call passes through Redis over a Unix socket');
    is(scalar(grep { /\Amcp:s:/ } keys %{ $redis->dump(db => 3) }), 1,
        'the keys are in the database that the URL names');
    $stream->close;
}

# an instance without Redis

{
    my $file   = MCPTest::Nginx::key_file();
    my $nginx  = start_nginx(key_file => $file, http => 'mcp_sse_grace 0;');
    my $stream = open_stream($here);

    is_rejected(post($nginx, $stream, request(1, 'ping')), 400, -32001,
        'Invalid session ID',
        'an instance without Redis knows its own ids only');
    is(health($nginx)->{status}, 'healthy',
        'an instance configured without Redis is healthy');
    $stream->close;
}

finish();
