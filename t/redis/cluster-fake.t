# Nodes of a cluster that are older than Redis 7, and nodes that lie: CLUSTER
# SLOTS with nonsense, MOVED with nonsense or in a circle.  No worker dies, own
# sessions go on, nobody is asked without end, and all recovers without a
# restart.  docs/PROTOCOL.md 11.9, 11.18.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::FakeRedis;
use Test::More;

my $frappe = start_frappe();
my $short  = MCPTest::Redis::short();


sub bulk  { return MCPTest::FakeRedis::bulk(@_) }
sub array { return '*' . @_ . "\r\n" . join '', @_ }
sub int_  { return ":$_[0]\r\n" }


# CLUSTER SLOTS: a range whose master is at a port.

sub slots {
    my ($host, $port, $first, $last) = @_;

    return array(array(int_(defined $first ? $first : 0),
        int_(defined $last ? $last : 16383),
        array($host, int_($port), bulk('1' x 40))));
}


# What a node answers.  Options: version (7.0.15), slots, a function of the
# node, moved, a function that returns the error for commands with keys, hangs,
# a command that it does not answer.

sub node {
    my ($fake, %opt) = @_;

    my $version = $opt{version} || '7.0.15';

    $fake->answer(sub {
        my ($conn, $word, @args) = @_;

        return '' if $word eq ($opt{hangs} || '');

        return $opt{slots} ? $opt{slots}->($fake)
            : slots(bulk('127.0.0.1'), $fake->port)
            if $word eq 'CLUSTER';

        return bulk("# Server\r\nredis_version:$version\r\n"
            . 'run_id:' . sprintf('%040x', $fake->port) . "\r\n")
            if $word eq 'INFO';

        if ($opt{moved} && $word =~ /\A(?:GET|GETEX|SET|DEL|MGET|Z\w+
            |SPUBLISH|SSUBSCRIBE)\z/x)
        {
            return $opt{moved}->();
        }

        return "-ERR unknown command '$word'\r\n"
            if $version =~ /\A6/ && $word =~ /\AS(?:SUBSCRIBE|PUBLISH)\z/;

        return;
    });

    return $fake;
}


sub start {
    my ($fake, %opt) = @_;

    return start_nginx(redis => $fake->url . ' cluster',
        redis_opt => 'timeout=1s connect_timeout=1s',
        http => 'mcp_sse_grace 2s;', %opt);
}


# below Redis 7, and with it

for my $version ('6.2.16', '7.0.15', '8.0.2') {
    my $fake   = node(MCPTest::FakeRedis->new, version => $version);
    my $shards = $version !~ /\A6/;
    my @nginx  = map { start($fake) } 1, 2;

    ok(wait_ready(@nginx), "$version: the instances are ready");

    my $stream = open_stream($nginx[0]);

    ok(call($nginx[1], $stream, request(1, 'ping')),
        "$version: a message passes between instances");
    is_deeply([ grep { $fake->has_said(qr/\A$_ /) }
        qw(SUBSCRIBE SSUBSCRIBE PUBLISH SPUBLISH) ],
        $shards ? [ qw(SSUBSCRIBE SPUBLISH) ] : [ qw(SUBSCRIBE PUBLISH) ],
        "$version: by these commands");

    # the slot has moved away: the subscription ends

    if ($shards) {
        my $before = metrics($nginx[0])
            ->{nginx_mcp_sse_redis_connections_lost_total};

        $fake->push_bytes('mcp-sse-sub', "*3\r\n" . bulk('sunsubscribe')
            . bulk('{mcp}:all') . ":1\r\n");
        ok(run_until(sub {
            return metrics($nginx[0])
                ->{nginx_mcp_sse_redis_connections_lost_total} > $before;
        }), "$version: sunsubscribe ends the connections");
        ok(wait_ready(@nginx), "$version: then there are new ones");
        ok(call($nginx[1], $stream, request(2, 'ping')),
            "$version: and messages pass");
    }

    $stream->close;
    $_->stop for @nginx;
}

# MOVED alone says where the slot is: CLUSTER SLOTS still names the old node, and
# subscriptions there do not end

for my $version ('6.2.16', '7.0.15') {
    my ($old, $new) = map { node(MCPTest::FakeRedis->new,
        version => $version) } 1, 2;
    my @nginx  = map { start($old) } 1, 2;
    my $stream = open_stream($nginx[0]);

    ok(wait_ready(@nginx), "MOVED, $version: the instances are ready");
    ok(call($nginx[1], $stream, request(1, 'ping')),
        "MOVED, $version: a message passes by the old node");

    $old->said;

    node($old, version => $version, moved => sub {
        return '-MOVED 14804 127.0.0.1:' . $new->port . "\r\n";
    });

    ok(run_until(sub { @{ $new->{conns} } == 4 && !@{ $old->{conns} } }),
        "MOVED, $version: all connections are at the new node");
    ok(!$old->has_said(qr/\ACLUSTER /),
        "MOVED, $version: without another question");
    ok(wait_ready(@nginx), "MOVED, $version: then the instances are ready");
    ok(call($nginx[1], $stream, request(2, 'ping')),
        "MOVED, $version: and a message passes");
    ok($new->has_said(qr/\AS?PUBLISH /), "MOVED, $version: by the new node");
    $stream->close;
    $_->stop for @nginx;
}

# a cluster that is down for a moment, or while a worker subscribes

{
    my $fake  = node(MCPTest::FakeRedis->new);
    my $nginx = start($fake, redis_opt => 'timeout=30s');
    my $down  = sub { "-CLUSTERDOWN The cluster is down\r\n" };

    ok(wait_ready($nginx), 'the instance is ready');
    $fake->said;
    node($fake, moved => $down);
    ok(run_until(sub { $fake->has_said(qr/\ASPUBLISH/) }),
        'the cluster is down');
    node($fake);
    $fake->said;
    ok($nginx->wait_log(qr/refuses a command: CLUSTERDOWN/), 'which is logged');
    ok(run_until(sub { $fake->has_said(qr/\ASPUBLISH/) }), 'then it is well');
    is(metrics($nginx)->{nginx_mcp_sse_redis_connections_lost_total}, 0,
        'Redis is not lost by that');

    node($fake, moved => $down);
    $fake->said;
    $fake->cut;
    ok(run_until(sub { $fake->has_said(qr/\ASSUBSCRIBE/) }),
        'the cluster is down while a worker subscribes');
    node($fake);
    $fake->said;
    ok(run_until(sub { $fake->has_said(qr/\ASSUBSCRIBE/) }, 20),
        'which it does again before any time-out');
    ok(wait_ready($nginx), 'and all is well');
    $nginx->stop;
}

# a cluster in which each slot is a range of its own

{
    my $fake  = MCPTest::FakeRedis->new;
    my $reply = array(map { array(int_($_), int_($_), array(
        bulk('127.0.0.1'), int_($fake->port), bulk('1' x 40))) } 0 .. 16383);
    my $nginx = start(node($fake, slots => sub { $reply }));

    ok(wait_ready($nginx), '16384 ranges are read');
    is(scalar @{ $fake->{conns} }, 2,
        'the worker has two connections, none is left of the search');
    $nginx->stop;
}

# a node that stops answering in the middle of the greeting, or of the search:
# workers end at once

for my $word (qw(CLIENT CLUSTER ROLE INFO TIME SSUBSCRIBE)) {
    my $fake   = node(MCPTest::FakeRedis->new, hangs => $word);
    my $nginx  = start($fake, workers => 2);

    ok(run_until(sub { $fake->has_said(qr/\A$word\b/) }),
        "no answer to $word: it was asked");

    my @old = $nginx->reload;

    ok($nginx->wait_gone(\@old), "no answer to $word: old workers end");
    node($fake);
    ok(wait_ready($nginx), "no answer to $word: then it answers, all is well");
    $nginx->stop;
}

# CLUSTER SLOTS and MOVED with nonsense: an instance and a node for each case

my $ok   = bulk('127.0.0.1');
my $dead = MCPTest::Nginx::free_port();

my @slots = (
    [ 'an error', sub { "-ERR This instance has cluster support disabled\r\n" } ],
    [ 'CLUSTERDOWN', sub { "-CLUSTERDOWN Hash slot not served\r\n" } ],
    [ 'a number', sub { ":1\r\n" } ],
    [ 'nil', sub { "*-1\r\n" } ],
    [ 'nothing', sub { "*0\r\n" } ],
    [ 'empty ranges', sub { "*3\r\n*0\r\n*0\r\n*0\r\n" } ],
    [ 'strings', sub { array(map { bulk($_) } 'a' .. 'z') } ],
    [ 'slots that are strings', sub { array(array(bulk(0), bulk(16383),
        array($ok, int_($_[0]->port)))) } ],
    [ 'no master', sub { array(array(int_(0), int_(16383))) } ],
    [ 'a master that is a string', sub { array(array(int_(0), int_(16383),
        bulk('127.0.0.1:' . $_[0]->port))) } ],
    [ 'a master without port', sub { array(array(int_(0), int_(16383),
        array($ok))) } ],
    [ 'a port that is a string', sub { array(array(int_(0), int_(16383),
        array($ok, bulk($_[0]->port)))) } ],
    [ 'port 0', sub { slots($ok, 0) } ],
    [ 'port 65536', sub { slots($ok, 65536) } ],
    [ 'a negative port', sub { slots($ok, -1) } ],
    [ 'a port beyond 64 bits', sub { slots($ok, '9' x 18) } ],
    [ 'a dead port', sub { slots($ok, $dead) } ],
    [ 'a host with a NUL', sub { slots(bulk("127.0.0.1\0.evil"),
        $_[0]->port) } ],
    [ 'a host with a line feed', sub { slots(bulk("127.0.0.1\n2026 [alert]"),
        $_[0]->port) } ],
    [ 'a long host', sub { slots(bulk('a' x 100_000), $_[0]->port) } ],
    [ 'an unknown host', sub { slots(bulk('no-such.test'), $_[0]->port) } ],
    [ 'a path as host', sub { slots(bulk('unix:/tmp/sock'), $_[0]->port) } ],
    [ 'the slot left out', sub { slots($ok, $_[0]->port, 0, 100) } ],
    [ 'the end in front', sub { slots($ok, $_[0]->port, 16383, 0) } ],
    [ 'negative slots', sub { slots($ok, $_[0]->port, -16384, -1) } ],
    [ 'many ranges', sub { array(map { array(int_($_), int_($_),
        array($ok, int_($_[0]->port))) } 1 .. 14_000) } ],
    [ 'deep arrays', sub { "*1\r\n" x 5000 . "*0\r\n" } ],
    [ 'no end', sub { "*1\r\n*3\r\n:0\r\n" } ],
    [ 'no answer', sub { '' } ],
    [ 'a close', sub { \'close' } ],
);

my @moved = (
    [ 'no words', "-MOVED\r\n" ],
    [ 'blanks', "-MOVED  \r\n" ],
    [ 'no node', "-MOVED 14804\r\n" ],
    [ 'no port', "-MOVED 14804 127.0.0.1\r\n" ],
    [ 'port 0', "-MOVED 14804 127.0.0.1:0\r\n" ],
    [ 'a large port', "-MOVED 14804 127.0.0.1:99999999999999999999\r\n" ],
    [ 'a dead port', "-MOVED 14804 127.0.0.1:$dead\r\n" ],
    [ 'an unknown host', "-MOVED 14804 no-such.test:6379\r\n" ],
    [ 'a long host', '-MOVED 14804 ' . 'a' x 5000 . ":6379\r\n" ],
    [ 'IPv6', "-MOVED 14804 ::1:$dead\r\n" ],
    [ 'a bracket', "-MOVED 14804 [::1:6379\r\n" ],
    [ 'another slot', "-MOVED 1 127.0.0.1:$dead\r\n" ],
);

my @cases;

for my $case (@slots) {
    push @cases, { name => "CLUSTER SLOTS: $case->[0]",
        fake => node(MCPTest::FakeRedis->new, slots => $case->[1]) };
}

for my $case (@moved) {
    push @cases, { name => "MOVED: $case->[0]",
        fake => node(MCPTest::FakeRedis->new, moved => sub { $case->[1] }) };
}

# a node that names itself, and two that name each other

{
    my ($self, @two) = map { MCPTest::FakeRedis->new } 1 .. 3;
    my $to = sub { my ($fake) = @_;
        sub { '-MOVED 14804 127.0.0.1:' . $fake->port . "\r\n" } };

    node($self, moved => $to->($self));
    node($two[0], moved => $to->($two[1]));
    node($two[1], moved => $to->($two[0]));

    push @cases, { name => 'MOVED to itself', fake => $self },
        { name => 'MOVED in a circle', fake => $two[0], also => $two[1] };
}

@cases = @cases[ grep { $_ % 4 == 0 || $_ > $#cases - 2 } 0 .. $#cases ]
    if $short;

# twelve at a time; the times between attempts grow to about 2 s

while (my @some = splice @cases, 0, 12) {
    for my $case (@some) {
        $case->{nginx}   = start($case->{fake});
        $case->{workers} = [ $case->{nginx}->wait_workers ];
    }

    my $from = now();

    for my $case (@some) {
        my ($name, $nginx) = @{$case}{qw(name nginx)};

        ok($nginx->wait_log(MCPTest::Redis::pattern('trouble')),
            "$name: the log has a line about it");
    }

    sleep_for(2);

    for my $case (@some) {
        my ($name, $nginx) = @{$case}{qw(name nginx)};
        my $stream = open_stream($nginx);

        ok(call($nginx, $stream, request(1, 'ping')),
            "$name: own sessions go on");
        is(health($nginx)->{status}, 'degraded', "$name: /health is degraded");
        $stream->close;

        my $n = $case->{fake}->accepted
            + ($case->{also} ? $case->{also}->accepted : 0);

        cmp_ok($n, '<', 20 + 4 * (now() - $from),
            "$name: connections are few");

        my @lines = grep { /\[(?:warn|error)\].*mcp sse: / }
            split /\n/, $nginx->error_log;

        cmp_ok(scalar @lines, '<', 8 + (now() - $from) / 2,
            "$name: the log has few lines about it")
            or diag(join "\n", @lines[0 .. 5]);
    }

    node($_, slots => undef) for map { $_->{fake}, $_->{also} || () } @some;
    ok(wait_ready(map { $_->{nginx} } @some),
        'all instances are ready once the nodes are honest');

    for my $case (@some) {
        my ($name, $nginx) = @{$case}{qw(name nginx)};

        ok(ready($nginx), "$name: then the instance is ready");
        is_deeply([ $nginx->worker_pids ], $case->{workers},
            "$name: no worker dies");
        is(@{ $case->{fake}{conns} }
            + ($case->{also} ? @{ $case->{also}{conns} } : 0), 2,
            "$name: it has two connections");
        $nginx->stop;
    }
}

finish();
