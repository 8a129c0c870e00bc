# What a worker does with each reply of Redis, and without one: which end the
# connection, with which words in the log, which are ignored, when it counts as
# ready, how long it waits.  docs/PROTOCOL.md 11.5, 11.6, 11.8, 11.9, 11.10.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use MCPTest::FakeRedis;
use MCPTest::HTTP;
use MCPTest::Names;
use Test::More;

plan(skip_all => 'this nginx is built without --with-debug')
    unless qx($ENV{MCP_SSE_NGINX} -V 2>&1) =~ /--with-debug/;

my $clock = MCPTest::Clock->new;
my $redis = MCPTest::FakeRedis->new;


# An instance whose clock the test moves, at level debug: each failure of the
# connections, which end together, has a line.  No credential is sent.

sub instance {
    my ($opt) = @_;

    local $ENV{LD_PRELOAD} = $clock->path;

    return start_http(redis => $redis->url, log_level => 'debug',
        redis_opt => $opt, http => 'mcp_sse_grace 300s;',
        server => 'mcp_sse_principal alice@example.com;');
}


# The reasons of failures since the last call, in order.

my %read;


sub failures {
    my ($nginx) = @_;

    my $log = $nginx->error_log;
    my @all = $log =~ /mcp redis: \S+ failed: (.*), attempt \d+,/g;
    my @new = @all[$read{$nginx} || 0 .. $#all];

    $read{$nginx} = @all;

    return @new;
}


sub wait_failure {
    my ($nginx) = @_;

    my @new;

    run_until(sub { @new = failures($nginx) });

    return $new[0];
}


sub wait_ready_is {
    my ($nginx, $status) = @_;

    return run_until(sub {
        get($nginx, '/health?ready=strict')->status == $status });
}


# Back to a Redis that answers.

sub recover {
    my ($nginx) = @_;

    $redis->answer(undef);
    $redis->accept(undef);
    $clock->advance(3);
    my $well = wait_ready_is($nginx, 200);

    failures($nginx);
    $redis->said;

    return $well;
}


# The worker has handled what was due by its clock.

sub settle {
    my ($nginx) = @_;

    sleep_for(0.7);
    get($nginx, '/health');

    return;
}


my $nginx = instance('timeout=3h connect_timeout=3h');

ok(wait_ready_is($nginx, 200), 'the instance is ready');
is_deeply([ failures($nginx) ], [],
    'no connection has failed');
is($redis->accepted, 2, 'there are two');

# ---- replies that end the connection, and those that do not

my $invalid = 'invalid reply to TIME';

for my $case (
    [ 'CLIENT', "-NOPERM no permissions\r\n", undef ],
    [ 'CLIENT', "-NOAUTH Authentication required.\r\n",
        'NOAUTH Authentication required.' ],
    [ 'ROLE', "*0\r\n", undef ],
    [ 'ROLE', "*1\r\n:1\r\n", undef ],
    [ 'ROLE', "+OK\r\n", undef ],
    [ 'ROLE', "-NOPERM no permissions\r\n", undef ],
    [ 'ROLE', "-LOADING the dataset\r\n", 'LOADING the dataset' ],
    [ 'ROLE', "*1\r\n\$5\r\nslave\r\n", 'it is a replica' ],
    [ 'INFO', "-NOPERM no permissions\r\n", undef ],
    [ 'INFO', "-ERR unknown command\r\n", undef ],
    [ 'INFO', "*0\r\n", undef ],
    [ 'INFO', MCPTest::FakeRedis::bulk('run_id'), undef ],
    [ 'SUBSCRIBE', "-NOPERM no permissions\r\n", 'NOPERM no permissions' ],
    [ 'SUBSCRIBE', "+OK\r\n", 'unexpected reply' ],
    [ 'TIME', "-ERR no time\r\n", 'ERR no time' ],
    [ 'TIME', ":1\r\n", $invalid ],
    [ 'TIME', MCPTest::FakeRedis::array(1), $invalid ],
    [ 'TIME', MCPTest::FakeRedis::array(1, 2, 3), $invalid ],
    [ 'TIME', "*2\r\n:1\r\n\$1\r\n1\r\n", $invalid ],
    [ 'TIME', "*2\r\n\$1\r\n1\r\n:1\r\n", $invalid ],
    [ 'TIME', MCPTest::FakeRedis::array('x', 1), $invalid ],
    [ 'TIME', MCPTest::FakeRedis::array(1, -1), $invalid ],
    [ 'TIME', MCPTest::FakeRedis::array('9' x 18, 1), $invalid ],
    [ 'PUBLISH', "-ERR no publishing\r\n", 'ERR no publishing' ],
    [ 'GETEX', "-ERR no reading\r\n", 'ERR no reading' ],
    [ 'SET', "-ERR no writing\r\n", 'ERR no writing' ],
    [ 'SET', "-OOM no memory\r\n", undef ],
    [ 'CONFIG', "-NOPERM no permissions\r\n", undef ],
    [ 'CONFIG', "*0\r\n", undef ],
    [ 'CONFIG', "*2\r\n\$1\r\nx\r\n:1\r\n", undef ],
    [ 'CONFIG', MCPTest::FakeRedis::array('a', 'b', 'c'), undef ],
    [ 'ZRANGEBYSCORE', "-NOPERM no permissions\r\n", undef ],
    [ 'ZREMRANGEBYSCORE', "-NOPERM no permissions\r\n", undef ],
) {
    my ($word, $reply, $reason) = @$case;
    my $name = "$word: " . $reply =~ s/\r\n/ /gr;

    %{ $redis->keys } = ();
    $redis->answer(sub { return $_[1] eq $word ? $reply : undef });
    $redis->cut;
    wait_failure($nginx);
    $clock->advance(3);

    if ($reason) {
        is(wait_failure($nginx), $reason, "$name: the connection ends");
        isnt(get($nginx, '/health?ready=strict')->status, 200,
            'and is not ready');

    } else {
        ok(wait_ready_is($nginx, 200), "$name: the instance is ready");
        is_deeply([ failures($nginx) ], [], 'no connection ends');
        next;
    }

    ok(recover($nginx), 'it is ready afterwards');
}

unlike($nginx->error_log, qr/may evict/, 'no policy was warned of');
like($nginx->error_log, qr/redis "[^"]+" refuses a command: OOM no memory/,
    'the log has what a Redis without memory says');

# ---- it is ready when the lease, the probe and the time are there

for my $word (qw(GETEX TIME PUBLISH SUBSCRIBE)) {
    my $held = 1;

    $redis->answer(sub { return $held && $_[1] eq $word
        ? $word eq 'PUBLISH' ? ":1\r\n" : '' : undef });
    $redis->cut;
    wait_failure($nginx);
    $clock->advance(3);
    run_until(sub { $redis->has_said(qr/\A$word/) });
    settle($nginx);
    is(get($nginx, '/health?ready=strict')->status, 503,
        "without a reply to $word it is not ready");

    # a reply that was withheld comes with a new connection

    $held = 0;
    $redis->cut;
    ok(recover($nginx), 'with one it is');
}

# ---- the pauses between connections: 50 ms, doubled up to 2 seconds, 20% more
# or less; ready, they begin again

{
    my $wait = sub {
        return $nginx->error_log
            =~ /mcp redis: \S+ failed: .*, attempt (\d+), next in (\d+)/g;
    };

    my $before = () = $wait->();

    $redis->accept(sub { return 0 });
    $redis->cut;

    run_until(sub {
        $clock->advance(3);
        settle($nginx) if $redis->accepted % 2 == 0;
        return $before + 32 <= (() = $wait->());
    });

    my %seen;
    my @pairs = $wait->();

    splice @pairs, 0, $before;

    for my $n (1 .. 16) {
        my ($attempt, $ms) = splice @pairs, 0, 2;
        my $base = $n > 6 ? 2000 : 50 * 2 ** ($n - 1);

        is($attempt, $n, "attempt $n");
        cmp_ok($ms, '>=', 0.8 * $base, "at least 80% of $base ms");
        cmp_ok($ms, '<', 1.2 * $base, "less than 120% of $base ms");
        $seen{ $ms / $base > 1 ? 'more' : 'less' } = 1;
    }

    is(scalar keys %seen, 2, 'some are longer, some are shorter');
    ok(recover($nginx), 'it is ready again');

    my $count = () = $wait->();

    $redis->cut;
    wait_failure($nginx);
    is(($wait->())[$count], 1, 'then the next one is the first');
    ok(recover($nginx), 'it is ready again');
}

# ---- both connections are of one server

{
    my $other = MCPTest::FakeRedis::bulk("# Server\r\nrun_id:" . 'f' x 40
        . "\r\n");

    $redis->answer(sub { return $_[1] eq 'INFO'
        && $_[0]{name} eq 'mcp-sse-sub' ? $other : undef });
    $redis->cut;
    wait_failure($nginx);
    $clock->advance(3);
    is(wait_failure($nginx), 'connections to different servers',
        'two servers at one address');
    ok(recover($nginx), 'it is ready again');

    # of one of them that is not known

    $redis->answer(sub { return $_[1] eq 'INFO'
        && $_[0]{name} eq 'mcp-sse-sub' ? "-NOPERM no\r\n" : undef });
    $redis->cut;
    wait_failure($nginx);
    $clock->advance(3);
    ok(wait_ready_is($nginx, 200), 'a server that is not known may be the same');
    ok(recover($nginx), 'it is ready again');
}

# ---- what is sent without a command

for my $case (
    [ 'cmd', "+OK\r\n", 'unexpected reply' ],
    [ 'cmd', MCPTest::FakeRedis::array('message', 'mcp:all', 'x'),
        'unexpected reply' ],
    [ 'cmd', "-ERR max number of clients reached\r\n",
        'ERR max number of clients reached' ],
    [ 'sub', ":1\r\n", 'unexpected reply' ],
    [ 'sub', MCPTest::FakeRedis::array('message', 'mcp:all'),
        'unexpected reply' ],
    [ 'sub', MCPTest::FakeRedis::array('pmessage', 'mcp:all', 'x'),
        'unexpected reply' ],
    [ 'sub', "*3\r\n\$7\r\nmessage\r\n\$1\r\na\r\n:1\r\n",
        'unexpected reply' ],
    [ 'sub', "*3\r\n\$9\r\nsubscribe\r\n\$1\r\na\r\n:3\r\n",
        'unexpected reply' ],
    [ 'sub', "*3\r\n\$11\r\nunsubscribe\r\n\$1\r\na\r\n:0\r\n",
        'Server ended the subscription' ],
    [ 'sub', "*3\r\n\$12\r\nsunsubscribe\r\n\$1\r\na\r\n:0\r\n",
        'Server ended the subscription' ],
) {
    my ($name, $bytes, $reason) = @$case;

    # a command that waits would take it for its reply

    $redis->push_bytes("mcp-sse-$name", $bytes);
    is(wait_failure($nginx), $reason,
        "$name: " . ($bytes =~ s/\r\n/ /gr) . 'ends the connections');
    ok(recover($nginx), 'it is ready again');
}

# ---- why a connection was lost

for my $case (
    [ 'it closes', sub { return \'close' }, 'Server closed the connection' ],
    [ 'a status in place of an array', sub { return "+OK\r\n" }, $invalid ],
    [ 'no protocol of Redis', sub { return "?1\r\n" },
        'Protocol error, got "?" as reply type byte' ],
    [ 'a map, which some versions of hiredis know',
        sub { return "%1\r\n+a\r\n+b\r\n" },
        qr/\A(?:unexpected reply|Protocol error, got "%" as reply type byte)\z/ ],
    [ 'an array that is too long', sub { return "*32769\r\n" },
        'unexpected reply' ],
    [ 'a line without an end', sub { return '+' . 'x' x 200_000 },
        'unexpected reply' ],
    [ 'an error of two lines', sub { return "-ERR one\ntwo\e[m\r\n" },
        'ERR one two [m' ],
    [ 'an error with arguments', sub { return "-ERR unknown command 'TIME', "
        . "with args beginning with: 'secret'\r\n" },
        "ERR unknown command 'TIME'" ],
) {
    my ($name, $reply, $reason) = @$case;

    $redis->answer(sub { return $_[1] eq 'TIME' ? $reply->() : undef });
    $clock->advance(11);
    like(wait_failure($nginx), ref $reason ? $reason : qr/\A\Q$reason\E\z/,
        "$name: the reason");
    ok(recover($nginx), 'it is ready again');
}

# ---- what a server says before it closes counts, whatever the greeting meets

{
    my $full = 'ERR max number of clients reached';

    $redis->accept(sub { $_[0]->send("-$full\r\n"); return 0 });
    $redis->cut;
    wait_failure($nginx);

    for (1 .. 5) {
        $clock->advance(3);
        is(wait_failure($nginx), $full, 'Redis takes no more clients');
    }

    ok(recover($nginx), 'it is ready again');
}

# ---- the log says why it was lost, later why it does not come back, both once

{
    my $lines = sub { my @l = $nginx->error_log =~ /is lost: $_[0];/g; @l };
    my $replica = "*1\r\n\$5\r\nslave\r\n";

    $clock->advance(11);
    ok(wait_ready_is($nginx, 200), 'it is ready');

    my $before = $lines->('it is a replica');

    $redis->answer(sub { return $_[1] eq 'ROLE' ? $replica : undef });
    $redis->cut;

    for my $times (1, 2) {
        run_until(sub {
            $clock->advance(3);
            settle($nginx);
            return $lines->('it is a replica') > $before;
        });

        is($lines->('it is a replica'), $before + 1,
            $times == 1 ? 'the reason has a line' : 'and no other one');
        $clock->advance(11);
        settle($nginx);
    }

    ok(recover($nginx), 'it is ready again');
}

# ---- sessions: the reply to SET with GET, to GETEX, to SET with NX

my $other  = 'ab' x 16;
my $stream = open_stream($nginx, auth => undef);

sub session_key {
    my ($key) = grep { /:s:/ } keys %{ $redis->keys };

    return $key;
}

ok(run_until(sub { session_key() }), 'a session is written');

my $key  = session_key();
my ($me) = map { /:k:(\w+)\z/ } keys %{ $redis->keys };

is($redis->keys->{$key}, $me, 'with the id of the worker');

# no memory: it is written again after a second, not before

{
    my $full = 1;

    settle($nginx);
    $redis->said;
    $redis->answer(sub { return $full && $_[1] eq 'SET'
        && $_[2] =~ /:s:/ ? "-OOM no memory\r\n" : undef });

    my $second = open_stream($nginx, auth => undef);

    run_until(sub { $redis->has_said(qr/\ASET/) });
    is(scalar(my @one = $redis->said(qr/\ASET/)), 1,
        'a session that Redis has no memory for is written once');
    is_deeply([ failures($nginx) ], [], 'the connection stays');
    $full = 0;
    $clock->advance(1);
    ok(run_until(sub { $redis->has_said(qr/\ASET .* GET\z/) }),
        'and again after a second');
    settle($nginx);
    $redis->said;
    $clock->advance(3);
    settle($nginx);
    is(scalar(my @two = $redis->said(qr/:s:/)), 0, 'then it is there');
    $second->close;
    $redis->answer(undef);
}

# each reply; those that are errors other than OOM end the connection

for my $case (
    [ 'GETEX', "-OOM no memory\r\n", undef ],
    [ 'GETEX', "-ERR no reading\r\n", 'ERR no reading' ],
    [ 'SET', "-OOM no memory\r\n", undef ],
    [ 'SET', "-ERR no writing\r\n", 'ERR no writing' ],
    [ 'SET', "\$-1\r\n", undef ],
) {
    my ($word, $reply, $reason) = @$case;
    my $name = ($word eq 'SET' ? 'SET NX' : $word) . ': '
        . $reply =~ s/\r\n//gr;

    delete $redis->keys->{$key} if $word eq 'SET';
    $redis->said;
    $redis->answer(sub { return $_[1] eq $word && $_[2] eq $key ? $reply
        : undef });
    $clock->advance(21);
    run_until(sub { $redis->has_said(qr/\A$word \S*:s:/) });

    if ($reason) {
        is(wait_failure($nginx), $reason, "$name: the connection ends");

    } else {
        settle($nginx);
        is_deeply([ failures($nginx) ], [], "$name: it stays");
    }

    ok(!$stream->ended, 'the stream is open');
    ok(recover($nginx), 'it is ready again');
    $redis->keys->{$key} = $me;
}

# whose session it was

for my $case (
    [ 'another worker', $other, 1 ], [ 'this worker', $me, 0 ],
    [ 'nobody', undef, 0 ], [ 'an id that is too short', substr($other, 1), 0 ],
    [ 'an id that is too long', $other . 'a', 0 ],
    [ 'no digits', 'x' x 32, 0 ],
) {
    my ($name, $owner, $told) = @$case;

    settle($nginx);
    $redis->said;
    $redis->answer(sub { return $_[1] eq 'SET' && $_[2] =~ /:s:/
        ? defined $owner ? MCPTest::FakeRedis::bulk($owner) : "\$-1\r\n"
        : undef });

    my $new = open_stream($nginx, auth => undef);

    run_until(sub { $redis->has_said(qr/\ASET/) });
    settle($nginx);
    is(scalar(my @told = $redis->said(qr/\APUBLISH \S*:w:(?!$me)/)), $told,
        "$name had the session: " . ($told ? 'it is told' : 'nobody is told'));
    $new->close;
    $redis->answer(undef);
}

# a session that ends is not renewed any more

settle($nginx);
$stream->close;
run_until(sub { health($nginx)->{active_connections} == 0 });
$redis->said;
$clock->advance(25);
run_until(sub { $redis->has_said(qr/\AGETEX \S*:k:/) });
settle($nginx);
is(scalar(my @none = $redis->said(qr/:s:/)), 0,
    'sessions without a stream are not renewed');

$nginx->quit;

# ---- without replies

{
    my $nginx = instance('timeout=40s connect_timeout=30s');

    wait_ready_is($nginx, 200);

    # the greeting has connect_timeout

    $redis->answer(sub { return $_[1] eq 'ROLE' ? '' : undef });
    $redis->cut;
    wait_failure($nginx);
    $clock->advance(3);
    run_until(sub { $redis->has_said(qr/\AROLE/) });
    settle($nginx);
    $clock->advance(25);
    settle($nginx);
    is_deeply([ failures($nginx) ], [], 'after 25 of 30 seconds the '
        . 'greeting may go on');
    $clock->advance(6);
    is(wait_failure($nginx), 'connect timed out',
        'after 30 it has failed');
    ok(recover($nginx), 'it is ready again');

    # a reply has timeout, whatever is sent meanwhile

    my $silent = 0;

    $redis->answer(sub { $silent ||= $_[1] eq 'GETEX';
        return $silent ? '' : undef });
    run_until(sub { $silent });
    $clock->advance(35);
    settle($nginx);
    is_deeply([ failures($nginx) ], [], 'after 35 of 40 seconds the '
        . 'reply may come');
    $clock->advance(16);
    is(wait_failure($nginx), 'reply timed out',
        'a quarter later it has failed');
    ok(recover($nginx), 'it is ready again');

    # a probe has that twice

    $redis->answer(sub { return $_[1] eq 'PUBLISH' ? ":1\r\n" : undef });
    $redis->said;
    run_until(sub { $redis->has_said(qr/\APUBLISH/) });
    $clock->advance(75);
    settle($nginx);
    is_deeply([ failures($nginx) ], [], 'after 75 of 80 seconds the '
        . 'probe may come back');
    $clock->advance(8);
    is(wait_failure($nginx), 'published messages do not come back',
        'after 80 it has failed');
    ok(recover($nginx), 'it is ready again');
    like($nginx->error_log, qr/\[error\].*mcp sse: redis "\Q@{[
        $redis->name ]}\E" is lost: Server closed the connection; sessions of /,
        'the log says why Redis is lost');
    $nginx->quit;
}

# ---- a name that nginx resolves before each connection

{
    my $names = MCPTest::Names->new;
    my $nginx;

    {
        local $ENV{LD_PRELOAD} = $clock->path;

        $nginx = start_http(redis => 'redis://redis.test:' . $redis->port,
            redis_opt => 'timeout=3h connect_timeout=3h', log_level => 'debug',
            http => 'resolver_timeout 20s; resolver ipv6=off valid=1s 127.0.0.1:'
                . $names->port . ';',
            server => 'mcp_sse_principal alice@example.com;');
    }

    is(wait_failure($nginx), 'Host not found',
        'a name that does not exist fails at once');
    $clock->advance(3);
    is(wait_failure($nginx), 'Host not found', 'and again');
    $names->set('redis.test', '127.0.0.1');
    ok(recover($nginx), 'it is ready once the name exists');

    # no answer has resolver_timeout

    $names->delay(undef);
    $clock->advance(2);
    my $asked = $names->asked('redis.test');
    $redis->cut;
    wait_failure($nginx);
    run_until(sub { $names->asked('redis.test') > $asked });
    settle($nginx);
    $clock->advance(15);
    settle($nginx);
    is_deeply([ failures($nginx) ], [],
        'after 15 of 20 seconds the name server may answer');
    $clock->advance(6);
    is(wait_failure($nginx), 'Operation timed out',
        'after 20 it has failed');
    $names->delay(0);
    ok(recover($nginx), 'it is ready again');

    $nginx->quit;
}

finish();
