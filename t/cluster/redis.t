# Two instances behind one Redis: a message is taken anywhere, its answer comes
# on the stream, wherever that is.  docs/PROTOCOL.md 11.

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

ok(ready($_), 'an instance is ready') for $here, $there;
ok($_->wait_log(MCPTest::Redis::pattern('ready')), 'and says so')
    for $here, $there;


sub gone {
    my ($nginx, $n) = @_;

    return run_until(sub {
        return health($nginx)->{active_connections} == ($n || 0);
    });
}


# what is in Redis

{
    my %names;

    $names{ $_->{name} }++ for $redis->clients;
    is_deeply(\%names, { 'mcp-sse-cmd' => 4, 'mcp-sse-sub' => 4 },
        'two connections per worker, with names');

    # the endpoint event does not wait for Redis

    my $stream = open_stream($here);
    my ($all, @keys);

    ok(run_until(sub {
        $all  = $redis->dump;
        @keys = sort keys %{$all};
        return grep { /\Amcp:s:/ } @keys;
    }), 'a stream: Redis gets to know of its session');
    is(scalar(grep { /\Amcp:k:[0-9a-f]{32}\z/ } @keys), 4,
        'a key for each worker');
    is(scalar(grep { /\Amcp:s:[0-9a-f]+\z/ } @keys), 1,
        'one for the session');
    is(scalar @keys, 5, 'and no other');
    is(scalar(grep { my $ttl = $all->{$_}{ttl}; $ttl > 0 && $ttl <= 60_000 }
        @keys), 5, 'each with a time to live, a minute at most');

    $stream->close;
    gone($here);
}

# messages of every kind

{
    my $stream = open_stream($here);

    accepted(post($there, $stream, tool(1, 'echo', { text => 'hello' })),
        'a call, posted to the other instance');
    like($stream->wait_answer(1) || '', qr/hello/, 'is answered');
    is($frappe->tool_count('echo'), 1, 'and ran once');

    accepted(post($there, $stream, request(2, 'ping')), 'ping');
    like($stream->wait_answer(2) || '', qr/"_meta"/, 'is answered');

    accepted(post($there, $stream, request('"a b"', 'tools/list')),
        'a string id');
    ok($stream->wait_answer('"a b"'), 'is answered as it was');

    my $before = $stream->messages;

    accepted(post($there, $stream, notification('notifications/initialized')),
        'notifications/initialized');
    accepted(post($there, $stream, notification('notifications/other')),
        'another notification');
    ok(run_until(sub { $frappe->count('notifications/other') }),
        'is forwarded');
    is($frappe->count('notifications/initialized'), 0,
        'the first is not');
    accepted(post($there, $stream, '{"jsonrpc":"2.0","id":7,"result":{}}'),
        'a response of the client');

    accepted(post($there, $stream, '[' . join(',', request(11, 'ping'),
        tool(12, 'echo', { text => 'twelve' }),
        notification('notifications/initialized'),
        tool(13, 'echo', { text => 'thirteen' })) . ']'), 'a batch');
    ok($stream->wait_answer($_), "answer $_ of it") for 11 .. 13;
    ok(passed($there, $stream), 'and a ping after it');
    is($stream->messages - $before, 3, 'nothing else came');

    # large ones

    for my $size (300_000, 1_000_000) {
        my $text = join '', map { chr(97 + $_ % 26) } 1 .. $size;

        accepted(post($there, $stream, tool($size, 'echo',
            { text => $text })), "a message of $size bytes");
        ok(index($stream->wait_answer($size) || '', $text) >= 0,
            'arrives whole');
    }

    # order, and no polling

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
        '20 pings, one after the other');
    cmp_ok(now() - $from, '<', 19, 'do not wait for a look once a second');

    is(health($here)->{active_connections}, 1, 'counted where the stream is');
    is(health($there)->{active_connections}, 0, 'and only there');

    $_->close for $stream, $conn;
    gone($here);
}

# from every worker to every worker, both ways

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

    is_deeply($history->statuses, { 202 => 16 }, '4 x 4 workers: all 202');
    $history->ok('each answered once, on its own stream');

    # and all at once

    for my $turn (1 .. 10) {
        for my $stream (@streams) {
            $history->call($at[$_][0], $stream, conn => $conns[$_])
                for 0 .. $#at;
        }
    }

    $history->ok('the same, ten times, at once');
    is_deeply($history->statuses, { 202 => 176 }, 'all 202');
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
        'Invalid session ID', 'an id nobody has signed');
    is_rejected(post($there, $stream, tool(1, 'echo', {}),
        auth => MCPTest::credential('bob')), 400, -32001,
        'Invalid session ID', 'the session of another principal');
    is(post($there, $stream, tool(1, 'echo', {}), auth => undef)->status, 401,
        'no credential');
    is(post($there, $stream, tool(1, 'echo', {}),
        auth => 'token alice-key:wrong-secret')->status, 401,
        'a wrong one');
    is_rejected(post($there, $stream, '{"jsonrpc":"2.0"'), 400, -32700,
        'Parse error', 'no JSON');
    is_rejected(post($there, $stream, '[]'), 400, -32600, 'Invalid Request',
        'an empty batch');

    # another key, the same Redis

    my $stranger = start_nginx(redis => $redis,
        key_file => MCPTest::Nginx::key_file(MCPTest::Nginx::random_key()));

    wait_ready($stranger);
    is_rejected(post($stranger, $stream, tool(1, 'echo', {})), 400, -32001,
        'Invalid session ID', 'an instance with another key');

    my $theirs = open_stream($stranger);

    is_rejected(post($there, $theirs, tool(1, 'echo', {})), 400, -32001,
        'Invalid session ID', 'and its sessions here');
    $theirs->close;

    # the same key, another prefix

    my $prefix = start_nginx(redis => $redis, redis_opt => 'prefix=other:',
        http => 'mcp_sse_grace 0;');

    wait_ready($prefix);

    # what has just come up does not know yet that it knows all

    my $answer;

    run_until(sub {
        $answer = post($prefix, $stream, tool(1, 'echo', {}));
        return $answer->status == 400;
    });
    is_rejected($answer, 400, -32001, 'Invalid session ID',
        'an instance with another prefix');

    is($frappe->calls, 0, 'nothing of it ran');
    $stream->close;
    gone($here);
}

# a session that has ended, and one that ends while a message is held for it

{
    my ($here, $there) = start_instances(2, redis => $redis,
        redis_opt => 'prefix=brief:', http => 'mcp_sse_grace 5s;');
    my $stream = open_stream($here);

    $frappe->reset;
    ok(call($there, $stream, request(1, 'ping')), 'a session');
    $stream->close;
    gone($here);

    my $held = post($there, $stream, tool(2, 'echo', {}));

    is_rejected($held, 400, -32001, 'Invalid session ID',
        'its stream does not come back: 400');
    cmp_ok($held->took, '>', 4, 'after the grace');

    # an id that is younger than the grace is given the benefit of the doubt

    sleep_for(6);

    my $late = post($there, $stream, tool(3, 'echo', {}));

    is_rejected($late, 400, -32001, 'Invalid session ID',
        'another message after its grace: 400');
    cmp_ok($late->took, '<', 5, 'which is not held for the grace');
    is($frappe->calls, 0, 'neither has run');
}

# held within the grace, until the stream is back, wherever that is

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
    is(scalar(grep { $_->ended } @held), 0, 'which means held');

    my $again = open_stream($back, headers => [ 'Last-Event-ID', $id ]);

    is($again->session, $id, "the client is back, $where");
    $_->wait for @held;
    accepted($_, 'what was held is accepted') for @held;
    like($again->wait_answer($_) || '', qr/held $_/, 'and answered')
        for 1, 2;
    ok(run_until(sub { health($there)->{pending_requests} == 0 }),
        'nothing pending');

    # the session is where its stream is

    ok(call($_, $again, request(10 + $_->port, 'ping')),
        'a message for it, by any instance') for $here, $there;
    is($frappe->tool_count('echo'), 2, 'nothing ran twice');
    $again->close;
    gone($_) for $here, $there;
}

# replaced at the other instance

{
    my $stream = open_stream($here);
    my $id     = $stream->session;
    my $again  = open_stream($there, headers => [ 'Last-Event-ID', $id ]);

    is($again->session, $id, 'the same id at the other instance');
    ok($stream->wait_ended, 'ends the stream before it');
    ok(!defined $stream->retry, 'without retry:');
    ok(call($here, $again, tool(1, 'echo', {})),
        'a message where the stream was is answered where it is');
    $again->close;
    gone($_) for $here, $there;
}

# the owner is full

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

    is_deeply([ sort keys %{$n} ], [ 202, 429 ], 'some 202, some 429');
    cmp_ok($n->{429} || 0, '>=', 5, 'those beyond mcp_sse_max_inbox');

    my ($full) = grep { ($_->{response}->status || 0) == 429 } @posts;

    if ($full) {
        is_rejected($full->{response}, 429, -32004, 'Too many messages',
            'refused as they should be');
        is($full->{response}->header('Retry-After'), 1, 'with Retry-After');
    }

    $history->ok('what was accepted is answered, the rest did not run');
    $stream->close;
}

# another database, over the Unix socket

{
    my @nginx  = map { start_nginx(redis => $redis->url(unix => 1, db => 3),
        http => 'mcp_sse_grace 60s;') } 1, 2;

    ok(wait_ready(@nginx), 'over a Unix socket');

    my $stream = open_stream($nginx[0]);

    ok(call($nginx[1], $stream, tool(1, 'echo', {})), 'it works');
    is(scalar(grep { /\Amcp:s:/ } keys %{ $redis->dump(db => 3) }), 1,
        'in the database that was named');
    $stream->close;
}

# without Redis there is only the instance itself

{
    my $file   = MCPTest::Nginx::key_file();
    my $nginx  = start_nginx(key_file => $file, http => 'mcp_sse_grace 0;');
    my $stream = open_stream($here);

    is_rejected(post($nginx, $stream, request(1, 'ping')), 400, -32001,
        'Invalid session ID', 'an instance without Redis knows its own only');
    is(health($nginx)->{status}, 'healthy', 'and is healthy');
    $stream->close;
}

finish();
