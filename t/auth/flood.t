# Many unknown credentials while Frappe is slow: users whose credential is known
# are served, others wait for their turn by client address, and all workers
# together ask Frappe for a bounded number, also after one of them has died.
# docs/PROTOCOL.md 2.8, 2.9, 2.21.

use strict;
use warnings;
no warnings 'portable';

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use POSIX qw(_exit uname);
use Test::More;

use constant QUEUE => 1024;      # NGX_MCP_AUTH_QUEUE_MAX

my $list = request(1, 'tools/list');
my $real = 'set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP; ';


# A backend that answers a look-up when release() allows one more; "asked" are
# the keys of their credentials in order, "most" is how many waited at once.

my ($allowed, $running, $most, @asked);


sub release { $allowed += $_[0] || 1e9; return }


sub slow {
    ($allowed, $running, $most, @asked) = (0, 0, 0);

    return start_backend(sub {
        my ($request) = @_;

        return if $request->{path} !~ /get_logged_user/;

        my ($key) = ($request->{headers}{authorization} || '')
            =~ /\Atoken (\S+):/;

        push @asked, $key;
        $most = $running if ++$running > $most;

        return (sub {
            return 0 if $allowed <= 0;
            $allowed--;
            $running--;
            return 1;
        }, $key =~ /\Auser-(\w+)/
            ? MCPTest::Backend::http(200, qq({"message":"$1\@example.com"}))
            : MCPTest::Backend::http(401, '{}'));
    });
}


sub from {
    my ($key, $address) = @_;

    return (auth => "token $key:s", headers => [ 'X-Real-IP', $address ]);
}


sub asked { my ($key) = @_; return scalar grep { $_ eq $key } @asked }


# What came before has been read by the worker when it answers.

sub has_read { my ($conn) = @_; return $conn->request('GET', '/pid')->wait }


sub statuses {
    my ($status, @answers) = @_;

    return scalar grep { ($_->status || 0) == $status } @answers;
}


# one address sends more than the queue takes

{
    my $backend = slow();
    my $nginx   = start_http(backend => $backend->port,
        http => "$real mcp_sse_auth_lookups 4; mcp_sse_auth_cache 1s; "
            . 'mcp_sse_auth_wait 300s;',
        locations => 'location = /strict { mcp_sse_http; '
            . 'mcp_sse_auth_stale 1s; }');
    my @alice   = from('user-alice', '10.0.0.1');

    release(1);
    is(http_post($nginx, $list, @alice)->status, 200, 'a user is known');
    sleep_for(2);

    my @flood = map { http_post($nginx, $list, async => 1,
        from("flood-$_", '10.0.0.9')) } 1 .. QUEUE + 4 + 20;

    ok(run_until(sub { statuses(503, @flood) == 20 }),
        'what the queue does not take is 503');
    ok(run_until(sub { $running == 4 }), 'mcp_sse_auth_lookups run');
    ok($nginx->wait_log(qr/\[warn\].*1024 user look-ups wait/),
        'the log tells');

    my $held = open_stream($nginx, wait => 0, from('flood-get', '10.0.0.9'));

    # a place for each of those below: the newest of the flood go

    is(http_post($nginx, $list, @alice)->status, 200,
        'the known user is served by the cached answer');
    ok(run_until(sub { statuses(503, @flood) == 21 }),
        'the newest one of the flood has lost its place for that');
    ok(!defined $held->status, 'a GET waits while the queue is full');

    my $bob   = open_stream($nginx, wait => 0, from('user-bob', '10.0.0.2'));
    my $carol = http_post($nginx, $list, async => 1,
        from('user-carol', '2001:db8:0:1::1'));
    my $strict = http_post($nginx, $list, @alice, path => '/strict',
        async => 1);

    get($nginx, '/health');
    is(statuses(503, $carol, $strict), 0, 'others have a place in the queue');

    @asked = ();
    release(1);
    ok(run_until(sub { @asked == 1 }), 'the next look-up runs');
    is($asked[0], 'user-alice', 'the credential that is known is the first');

    # from here on the flood is served in turn with two others

    release(3);
    ok(run_until(sub { @asked == 4 }), 'three more run');
    is(join(' ', map { s/-\d+\z//r } sort @asked[1 .. 3]),
        'flood user-bob user-carol', 'each address has had its turn');

    release();
    ok(run_until(sub { $bob->session && $carol->ended && $strict->ended }),
        'users are served');
    is(statuses(200, $carol, $strict), 2, 'and not refused');
    ok(run_until(sub { !grep { !$_->ended } @flood }),
        'the flood is answered');
    is(statuses(401, @flood), @flood - statuses(503, @flood),
        'those that had a place are 401');
    ok(run_until(sub { $held->ended }), 'the GET is answered when there is room');
    is($held->status, 401, 'it is 401');
    is($most, 4, 'no more look-ups ran at once');
    is(http_post($nginx, $list, from('user-dora', '10.0.0.4'))->status, 200,
        'new users are served afterwards');

    $_->{conn}->close for @flood, $bob, $carol, $strict, $held;
}

# addresses of one IPv6 network of 64 bits are one client

{
    my $backend = slow();
    my $nginx   = start_http(backend => $backend->port,
        http => "$real mcp_sse_auth_lookups 1;");
    my @flood   = map { http_post($nginx, $list, async => 1,
        from("flood-$_", "2001:db8:0:1::$_")) } 1 .. 6;

    ok(run_until(sub { @asked == 1 }), 'one look-up runs');
    get($nginx, '/health');

    my $bob = http_post($nginx, $list, async => 1,
        from('user-bob', '2001:db8:0:2::1'));

    get($nginx, '/health');
    release(2);
    ok(run_until(sub { @asked == 3 }), 'two more run');
    is(asked('user-bob'), 1, 'another network has its turn');
    release();
    ok(run_until(sub { !grep { !$_->ended } @flood, $bob }),
        'all are answered');
    $_->{conn}->close for @flood, $bob;
}

# all workers together

{
    my $backend = slow();
    my $nginx   = start_http(workers => 4, backend => $backend->port,
        http => 'mcp_sse_auth_lookups 3;');
    my @conns   = map { connect_worker($nginx, $_) } $nginx->wait_workers;
    my @posts;

    for my $n (1 .. 10) {
        push @posts, map { http_post($nginx, $list, async => 1,
            worker => $_, auth => "token key-$n-$_:s") } $nginx->wait_workers;
    }

    ok(run_until(sub { $running == 3 }), 'look-ups run');
    has_read($_) for @conns;
    is($running, 3, 'four workers together run mcp_sse_auth_lookups');
    release();
    ok(run_until(sub { !grep { !$_->ended } @posts }),
        'each worker gets its places');
    is(statuses(401, @posts), 40, 'all requests are answered');
    is($most, 3, 'no more ran at once');
    $_->close for @conns, map { $_->{conn} } @posts;
}

# workers take turns where there are fewer places than workers

{
    my $backend = slow();
    my $nginx   = start_http(workers => 2, backend => $backend->port,
        http => 'mcp_sse_auth_lookups 1;');
    my ($one, $two) = $nginx->wait_workers;
    my $conn  = connect_worker($nginx, $two);
    my @flood = map { http_post($nginx, $list, async => 1, worker => $one,
        auth => "token flood-$_:s") } 1 .. 20;

    ok(run_until(sub { @asked == 1 }), 'a worker has the only place');

    my $post = http_post($nginx, $list, async => 1, worker => $two,
        auth => 'token user-bob:s');

    has_read($conn);

    for my $n (1 .. 5) {
        release(1);
        run_until(sub { @asked == $n + 1 });
    }

    is(asked('user-bob'), 1, 'it is not only that worker that gets it again');
    is($most, 1, 'and one look-up runs at once');

    # a worker that is stopped has its turn later

    push @flood, map { http_post($nginx, $list, async => 1, worker => $two,
        auth => "token late-$_:s") } 1, 2;
    has_read($conn);
    kill 'STOP', $two;
    release();
    ok(run_until(sub { !grep { !$_->ended } @flood[0 .. 19] }),
        'a worker that is stopped does not keep the place free');
    kill 'CONT', $two;
    ok(run_until(sub { !grep { !$_->ended } @flood, $post }),
        'all are answered');
    is($post->status, 200, 'the user is served');
    $_->close for $conn, map { $_->{conn} } @flood, $post;
}

# a worker that dies gives its places back

{
    my $backend = slow();
    my $nginx   = start_http(workers => 2, backend => $backend->port,
        http => 'mcp_sse_auth_lookups 2;');
    my ($one, $two) = $nginx->wait_workers;
    my $conn = connect_worker($nginx, $two);
    my @lost = map { http_post($nginx, $list, async => 1, worker => $one,
        auth => "token key-$_:s") } 1, 2;

    ok(run_until(sub { @asked == 2 }), 'one worker has all places');

    my $post = http_post($nginx, $list, async => 1, worker => $two,
        auth => 'token user-bob:s');

    has_read($conn);
    is(asked('user-bob'), 0, 'the other one waits');
    $nginx->kill_worker($one);
    ok(run_until(sub { asked('user-bob') }),
        'it goes on when the first one has died');
    release();
    ok(run_until(sub { $post->ended }), 'its request is answered');
    is($post->status, 200, 'as the user');
    $_->close for $conn, map { $_->{conn} } @lost, $post;
}

# recovery of the zone keeps the number

SKIP: {
    my %ptrace = (x86_64 => 101, aarch64 => 117);
    my $ptrace = $ptrace{ (uname())[4] };
    my $backend = slow();
    my $nginx   = start_http(workers => 3, backend => $backend->port,
        http => 'mcp_sse_auth_lookups 2;');
    my ($one, $two, $dies) = $nginx->wait_workers;

    skip('ptrace of a worker is not possible here', 1)
        unless $ptrace && syscall($ptrace, 16, $dies, 0, 0) == 0;

    waitpid $dies, 0;
    syscall $ptrace, 17, $dies, 0, 0;

    my $conn  = connect_worker($nginx, $two);
    my @posts = map { http_post($nginx, $list, async => 1, worker => $one,
        auth => "token key-$_:s") } 1, 2;

    ok(run_until(sub { @asked == 2 }), 'one worker has all places');
    ok(kill_inside($nginx, $ptrace, $dies),
        'a worker is killed while it changes the zone');
    ok($nginx->wait_log(qr/mcp_sse_zone "mcp_sse" is recovered/),
        'the zone is recovered');

    push @posts, http_post($nginx, $list, async => 1, worker => $two,
        auth => 'token user-bob:s');

    has_read($conn);
    is(asked('user-bob'), 0, 'the places are taken as before');
    release();
    ok(run_until(sub { !grep { !$_->ended } @posts }),
        'all requests are answered');
    is($most, 2, 'no more look-ups ran at once');
    $_->close for $conn, map { $_->{conn} } @posts;
}


# Kills a worker at the 60th instruction that it executes with the mutex of the
# zone: each worker takes it every second.

sub kill_inside {
    my ($nginx, $ptrace, $pid) = @_;

    my ($step, $attach, $detach) = (9, 16, 17);
    my ($size, $done) = (8 * 1024 * 1024, 0);
    my $zone;

    open my $maps, '<', "/proc/$pid/maps" or return;

    while (my $line = <$maps>) {
        my ($from, $to) = $line =~ /\A([0-9a-f]+)-([0-9a-f]+) rw-s/ or next;
        $zone = hex $from if hex($to) - hex($from) == $size;
    }

    $nginx->allow(qr/exited on signal 9/, qr/was locked by $pid/,
        qr/worker process $pid died while it changed/);

    syscall $ptrace, $attach, $pid, 0, 0;
    waitpid $pid, 0;

    open my $mem, '<:raw', "/proc/$pid/mem" or return;

    my $end = now() + hang_after();

    while ($zone && $done < 60 && now() < $end) {
        last if syscall($ptrace, $step, $pid, 0, 0) != 0;
        waitpid $pid, 0;

        sysseek $mem, $zone, 0;
        sysread $mem, my $word, 8;

        $done++ if unpack('q', $word) == $pid;
    }

    syscall $ptrace, $detach, $pid, 0, 9;

    return $done == 60;
}

finish();
