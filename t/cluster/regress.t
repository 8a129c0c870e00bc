# Faults of the Redis layer that were found and mended: each block failed once.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Socket;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();


sub gone {
    my ($nginx) = @_;

    return run_until(sub { !health($nginx)->{active_connections} });
}


# Whatever just came up does not know for 5 seconds that it knows all.

sub sure {
    my (@nginx) = @_;

    my $none = open_stream($nginx[0]);
    my $id   = $none->session;

    $none->close;
    sleep_for(5.5);

    return $id;
}


# what a worker holds when it stops was not decided

{
    my $nginx = start_nginx(main => 'worker_shutdown_timeout 3s;',
        http => 'mcp_sse_grace 60s;');
    my $stream = open_stream($nginx);

    $stream->close;
    gone($nginx);

    my $held = post($nginx, $stream, tool(1, 'echo', {}), async => 1);

    ok(run_until(sub { health($nginx)->{pending_requests} }),
        'a message is held');

    my @old = $nginx->reload;

    $held->wait;
    is_unavailable($held, 'no', 'its worker stops: 503');
    ok($nginx->wait_gone(\@old), 'and is gone');
    is($frappe->tool_count('echo'), 0, 'nothing ran');
    $nginx->stop;
}

# worker_shutdown_timeout, while Redis does not take the connection

{
    socket(my $deaf, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    bind($deaf, pack_sockaddr_in(0, inet_aton('127.0.0.1'))) or die;
    listen($deaf, 0) or die "listen: $!\n";

    my $port = (unpack_sockaddr_in(getsockname $deaf))[0];
    my @full;

    for (1 .. 4) {
        socket(my $sock, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
        $sock->blocking(0);
        connect($sock, pack_sockaddr_in($port, inet_aton('127.0.0.1')));
        push @full, $sock;
    }

    my $nginx = start_nginx(redis => "redis://127.0.0.1:$port",
        redis_opt => 'connect_timeout=60s',
        main => 'worker_shutdown_timeout 1s;');
    my $stream = open_stream($nginx);
    my $conn   = connect_to($nginx);

    # a request whose body does not come keeps the worker until then

    $conn->send_raw(join "\r\n", 'POST ' . $stream->endpoint . ' HTTP/1.1',
        'Host: erp.example.com', 'Authorization: ' . $stream->{auth},
        'Content-Type: application/json', 'Content-Length: 100', '', '{');

    # the one worker has begun with it when it answers what came later

    get($nginx, '/health');

    my @old = $nginx->reload;

    ok($nginx->wait_gone(\@old), 'a worker that never reached Redis ends');
    unlike($nginx->error_log, qr/exited on signal/, 'by itself');
    unlike($nginx->error_log, qr/is lost: connection lost/,
        'and does not say that it lost what it never had');
    $nginx->stop;
}

# one that lets us in and then refuses is not asked all the time

{
    my $redis = start_redis(users => [
        'user mcp on >another-password ~mcp:* resetchannels +@all' ]);
    my $nginx = start_nginx(redis => $redis->url(user => 'mcp',
        pass => 'another-password'));

    my $count = sub {
        my ($n) = $redis->cmd('INFO', 'stats')
            =~ /^total_connections_received:([0-9]+)/m;
        return $n;
    };

    sleep_for(4);

    my $before = $count->();

    sleep_for(4);
    cmp_ok($count->() - $before, '<', 12,
        'connections are made again after longer and longer times');
    $redis->cmd('ACL', 'SETUSER', 'mcp', '&mcp:*');
    ok(wait_ready($nginx), 'and it is used when it can be');
    $nginx->stop;
}

# a Redis without AUTH quotes the password; finish() looks for it

{
    my $redis = start_redis(config => [ 'rename-command AUTH NO' ]);
    my $nginx = start_nginx(redis => $redis->url(pass => 'a-long-password'));

    ok($nginx->wait_log(qr/redis ".*" is lost: ERR unknown command/),
        'a Redis without AUTH');
    $nginx->stop;
}

# a Redis that is too slow is not used, and that is said

{
    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);

    $proxy->delay(down => 0.3);

    my $nginx = start_nginx(redis => $redis->url(port => $proxy->port));

    ok($nginx->wait_log(qr/redis ".*" is lost: .* 100 ms/),
        'a slow Redis: the log says why');
    $proxy->delay(down => 0);
    ok(wait_ready($nginx), 'it is used as soon as it is quick');
    $nginx->stop;
    $proxy->stop;
}

# an owner whose replies are later than its questions follow each other

{
    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my ($here, $there) = start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 1s;', redis_opt => 'timeout=4s',
        per => [ {}, { redis => $redis->url(port => $proxy->port) } ]);
    my $stream = open_stream($there);

    $frappe->reset;
    ok(run_until(sub { post($here, $stream, request(1, 'ping'))->status
        == 202 }), 'a session');
    $proxy->delay(down => 1.04);
    sleep_for(16);

    my @posts = map { sleep_for(0.2); post($here, $stream,
        tool(10 + $_, 'echo', {}), async => 1) } 1 .. 5;

    $_->wait for @posts;
    is_unavailable($_, 'unknown', 'what comes too late is refused')
        for @posts;
    ok(run_until(sub {
        my $late = 'nginx_mcp_sse_redis_refused_total{reason="expired"}';
        return metrics($there)->{$late} >= 5;
    }), 'it has come');
    is($frappe->tool_count('echo'), 0, 'and did not run');
    $stream->close;
    $_->stop for $here, $there;
    $proxy->stop;
}

# an owner that is cut off from Redis is not dead

{
    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my ($here, $there) = start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 10s;',
        per => [ {}, { redis => $redis->url(port => $proxy->port) } ]);
    my $stream = open_stream($there);

    sure($here);
    ok(call($here, $stream, request(1, 'ping')), 'a session');
    $proxy->refuse;
    $proxy->cut;
    ok(run_until(sub { $redis->clients == 2 }), 'its owner loses Redis');
    is_unavailable(post($here, $stream, tool(2, 'echo', {})), 'no',
        'which is not its death: 503');
    $proxy->listen;
    ok(wait_ready($there), 'it is back');
    ok(call($here, $stream, request(3, 'ping')), 'and so is the session');
    $stream->close;
    $_->stop for $here, $there;
    $proxy->stop;
}

# a connection that is given up when the grace is over already

{
    my $redis = start_redis();
    my ($here, $there) = start_instances(2, redis => $redis,
        redis_opt => 'timeout=1s connect_timeout=1s',
        http => 'mcp_sse_grace 200ms;');
    my $stream = open_stream($there);

    sure($here);
    $redis->pause;

    my @posts;

    for (1 .. 16) {
        sleep_for(0.1);
        push @posts, post($here, $stream, tool($_, 'echo', {}), async => 1);
    }

    $_->wait for @posts;
    $redis->cont;

    my %n;

    $n{ $_->status || 0 }++ for @posts;
    is_deeply(\%n, { 503 => 16 }, 'Redis does not answer: 503');
    $stream->close;
    $_->stop for $here, $there;
}

# the owner has gone, and its client comes back to another instance

{
    my $redis = start_redis();
    my ($here, $there) = start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 300s;');
    my $stream = open_stream($there);
    my $id     = $stream->session;

    sure($here);
    $frappe->reset;
    ok($there->quit, 'an instance ends');

    my $held = post($here, $stream, tool(1, 'echo', { text => 'held' }),
        async => 1);

    ok(run_until(sub { health($here)->{pending_requests} == 1 })
        && !$held->ended, 'a message for its session is held');

    my $again = open_stream($here, headers => [ 'Last-Event-ID', $id ]);

    is($again->session, $id, 'the client is back');
    $held->wait;
    accepted($held, 'the message is accepted');
    like($again->wait_answer(1) || '', qr/held/, 'and answered');
    is($frappe->tool_count('echo'), 1, 'once');
    $again->close;
    $here->stop;
}

# and does not come back

{
    my $redis = start_redis();
    my ($here, $there) = start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 1s;');
    my $stream = open_stream($there);

    sure($here);
    $there->quit;
    is_rejected(post($here, $stream, tool(1, 'echo', {})), 400, -32001,
        'Invalid session ID', 'nobody comes back: 400');
    $here->stop;
}

# a session that comes back while its presence is looked at

{
    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my $nginx = start_nginx(redis => $redis->url(port => $proxy->port));

    wait_ready($nginx);

    my $stream = open_stream($nginx);
    my $id     = $stream->session;

    my $key;

    run_until(sub {
        ($key) = grep { /\Amcp:s:/ } keys %{ $redis->dump };
        return $key;
    });

    my ($own) = grep { /\Amcp:k:/ } keys %{ $redis->dump };

    # somebody else had it, and the worker is made to look; the reply waits

    my $looked;

    $proxy->filter(sub {
        my ($way, $bytes) = @_;

        if ($way eq 'up' && $bytes =~ /GETEX\r\n\$\d+\r\n\Q$key\E\r\n/) {
            $looked = 1;
            $proxy->pause('down');
        }

        return $bytes;
    });

    $redis->cmd('SET', $key, 'f' x 32, 'EX', 60);
    $redis->cmd('DEL', $own);
    ok(run_until(sub { $looked }), 'it is looked at');
    $proxy->filter(undef);

    my $again = open_stream($nginx, headers => [ 'Last-Event-ID', $id ]);

    is($again->session, $id, 'and opened again meanwhile');
    $proxy->resume;

    # the worker has read the reply when it asks Redis more

    my $asked = $redis->calls('publish');

    ok(run_until(sub { $redis->calls('publish') > $asked + 2 })
        && passed($nginx, $again), 'the reply is read');
    ok(!$again->ended, 'the new one stays');
    $again->close;
    $nginx->stop;
    $proxy->stop;
}

finish();
