# Bugs of the Redis layer that are fixed; each block failed before its fix.
# docs/PROTOCOL.md 3.10, 11.3, 11.5, 11.9, 11.12.

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


# Waits until the first instance knows all sessions: not before 5 seconds after
# its start.

sub sure {
    my (@nginx) = @_;

    my $none = open_stream($nginx[0]);
    my $id   = $none->session;

    $none->close;
    sleep_for(5.5);

    return $id;
}


# a message that waits when its worker stops

{
    my $nginx = start_nginx(main => 'worker_shutdown_timeout 3s;',
        http => 'mcp_sse_grace 60s;');
    my $stream = open_stream($nginx);

    $stream->close;
    gone($nginx);

    my $held = post($nginx, $stream, tool(1, 'echo', {}), async => 1);

    ok(run_until(sub { health($nginx)->{pending_requests} }),
        'a message for a session without a stream is pending');

    my @old = $nginx->reload;

    $held->wait;
    is_unavailable($held, 'no',
        'a pending message is 503 when its worker stops');
    ok($nginx->wait_gone(\@old), 'a worker with a pending message ends');
    is($frappe->tool_count('echo'), 0,
        'a message that was pending at the stop does not run');
    $nginx->stop;
}

# worker_shutdown_timeout while Redis does not accept the connection

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

    # a request whose body is missing keeps the worker until the time-out

    $conn->send_raw(join "\r\n", 'POST ' . $stream->endpoint . ' HTTP/1.1',
        'Host: erp.example.com', 'Authorization: ' . $stream->{auth},
        'Content-Type: application/json', 'Content-Length: 100', '', '{');

    # the one worker has read that request when it answers a later one

    get($nginx, '/health');

    my @old = $nginx->reload;

    ok($nginx->wait_gone(\@old), 'a worker that never reached Redis ends');
    unlike($nginx->error_log, qr/exited on signal/,
        'no signal is needed to end it');
    unlike($nginx->error_log, qr/is lost: connection lost/,
        'the log does not call a connection lost that never was');
    $nginx->stop;
}

# a Redis that accepts a connection and then refuses commands

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
        'a refused worker waits longer before each new connection');
    $redis->cmd('ACL', 'SETUSER', 'mcp', '&mcp:*');
    ok(wait_ready($nginx), 'a Redis that refused is used once it allows it');
    $nginx->stop;
}

# a Redis without AUTH quotes the password in its error; finish() looks for it

{
    my $redis = start_redis(config => [ 'rename-command AUTH NO' ]);
    my $nginx = start_nginx(redis => $redis->url(pass => 'a-long-password'));

    ok($nginx->wait_log(qr/redis ".*" is lost: ERR unknown command/),
        'the log has the error of a Redis without AUTH');
    $nginx->stop;
}

# a Redis that is too slow

{
    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);

    $proxy->delay(down => 0.3);

    my $nginx = start_nginx(redis => $redis->url(port => $proxy->port));

    ok($nginx->wait_log(qr/redis ".*" is lost: .* 100 ms/),
        'the log says that a slow Redis is not used, and why');
    $proxy->delay(down => 0);
    ok(wait_ready($nginx), 'a slow Redis is used as soon as it is fast');
    $nginx->stop;
    $proxy->stop;
}

# an owner that gets the replies of Redis later than it sends commands

{
    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my ($here, $there) = start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 1s;', redis_opt => 'timeout=4s',
        per => [ {}, { redis => $redis->url(port => $proxy->port) } ]);
    my $stream = open_stream($there);

    $frappe->reset;
    ok(run_until(sub { post($here, $stream, request(1, 'ping'))->status
        == 202 }), 'the other instance delivers to the session');
    $proxy->delay(down => 1.04);
    sleep_for(16);

    my @posts = map { sleep_for(0.2); post($here, $stream,
        tool(10 + $_, 'echo', {}), async => 1) } 1 .. 5;

    $_->wait for @posts;
    is_unavailable($_, 'unknown', 'a message that arrives too late is 503')
        for @posts;
    ok(run_until(sub {
        my $late = 'nginx_mcp_sse_redis_refused_total{reason="expired"}';
        return metrics($there)->{$late} >= 5;
    }), 'the owner counts the late messages as expired');
    is($frappe->tool_count('echo'), 0, 'a message that arrives too late does '
        . 'not run');
    $stream->close;
    $_->stop for $here, $there;
    $proxy->stop;
}

# an owner without a connection to Redis is not dead

{
    my $redis = start_redis();
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my ($here, $there) = start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 10s;',
        per => [ {}, { redis => $redis->url(port => $proxy->port) } ]);
    my $stream = open_stream($there);

    sure($here);
    ok(call($here, $stream, request(1, 'ping')),
        'the other instance delivers while the owner has Redis');
    $proxy->refuse;
    $proxy->cut;
    ok(run_until(sub { $redis->clients == 2 }), 'the owner loses Redis');
    is_unavailable(post($here, $stream, tool(2, 'echo', {})), 'no',
        'a message for an owner that lost Redis is 503, not 400');
    $proxy->listen;
    ok(wait_ready($there), 'the owner connects to Redis again');
    ok(call($here, $stream, request(3, 'ping')),
        'then messages reach the session again');
    $stream->close;
    $_->stop for $here, $there;
    $proxy->stop;
}

# a connection is given up after the end of mcp_sse_grace

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
    is_deeply(\%n, { 503 => 16 },
        'messages are 503 while Redis does not answer');
    $stream->close;
    $_->stop for $here, $there;
}

# the owner ends, and the client comes back to another instance

{
    my $redis = start_redis();
    my ($here, $there) = start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 300s;');
    my $stream = open_stream($there);
    my $id     = $stream->session;

    sure($here);
    $frappe->reset;
    ok($there->quit, 'the instance of the session ends');

    my $held = post($here, $stream, tool(1, 'echo', { text => 'held' }),
        async => 1);

    ok(run_until(sub { health($here)->{pending_requests} == 1 })
        && !$held->ended, 'a message for its session is pending');

    my $again = open_stream($here, headers => [ 'Last-Event-ID', $id ]);

    is($again->session, $id, 'the client keeps its id at another instance');
    $held->wait;
    accepted($held, 'then the pending message is accepted');
    like($again->wait_answer(1) || '', qr/held/,
        'then the pending message is answered');
    is($frappe->tool_count('echo'), 1, 'the pending message runs once');
    $again->close;
    $here->stop;
}

# the owner ends, and the client does not come back

{
    my $redis = start_redis();
    my ($here, $there) = start_instances(2, redis => $redis,
        http => 'mcp_sse_grace 1s;');
    my $stream = open_stream($there);

    sure($here);
    $there->quit;
    is_rejected(post($here, $stream, tool(1, 'echo', {})), 400, -32001,
        'Invalid session ID', 'a message is 400 if the client stays away');
    $here->stop;
}

# a client comes back while the worker checks the presence of its session

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

    # the key names another worker, so this worker checks; the reply is held

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
    ok(run_until(sub { $looked }), 'the worker checks the session in Redis');
    $proxy->filter(undef);

    my $again = open_stream($nginx, headers => [ 'Last-Event-ID', $id ]);

    is($again->session, $id, 'the client comes back during the check');
    $proxy->resume;

    # the worker has read the reply once it sends further commands

    my $asked = $redis->calls('publish');

    ok(run_until(sub { $redis->calls('publish') > $asked + 2 })
        && passed($nginx, $again), 'the new stream works after the check');
    ok(!$again->ended, 'the new stream stays open');
    $again->close;
    $nginx->stop;
    $proxy->stop;
}

finish();
