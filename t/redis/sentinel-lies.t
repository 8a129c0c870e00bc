# Sentinels that lie, name a replica, a dead port or another master, answer
# nonsense or nothing; rights that a user lacks; passwords of sentinels; names
# instead of addresses.  No worker dies, sessions of the instance go on, the log
# says what is wrong, nobody but the master is used, and all recovers without a
# restart.  docs/PROTOCOL.md 11.20, 11.21.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::FakeRedis;
use MCPTest::History;
use MCPTest::Names;
use MCPTest::Sentinel;
use Test::More;

MCPTest::Sentinel::need();

my $frappe  = start_frappe();
my $master  = start_redis(requirepass => 'a-long-password', users => [
    map { "user no$_ on >another-password ~* &* +\@all -$_" } qw(role info) ]);
my $replica = start_redis(requirepass => 'a-long-password',
    replicaof => $master);
my $other   = start_redis(requirepass => 'a-long-password');
my $dead    = MCPTest::Nginx::free_port();

$replica->wait_replica;


sub bulk  { return MCPTest::FakeRedis::bulk(@_) }
sub array { return MCPTest::FakeRedis::array(@_) }


# A sentinel that answers this when it is asked for the master: bytes, or a
# function that returns them.

sub sentinel {
    my ($answer) = @_;

    my $fake = MCPTest::FakeRedis->new;

    says($fake, $answer);

    return $fake;
}


sub says {
    my ($fake, $answer) = @_;

    $fake->answer(sub {
        my ($conn, $word, @args) = @_;

        return "*2\r\n" . bulk('sentinel') . array('mymaster')
            if $word eq 'ROLE';
        return if uc $word ne 'SENTINEL';

        return ref $answer eq 'CODE' ? $answer->($conn, @args) : $answer;
    });

    return;
}


sub at { return array($_[1] || '127.0.0.1', ref $_[0] ? $_[0]->port : $_[0]) }


# Starts an instance with these sentinels; options as of start_nginx(), and who,
# the user and password of the master.

sub start {
    my ($sentinels, %opt) = @_;

    my $who  = delete $opt{who} || ':a-long-password';
    my $more = delete $opt{more} || '';

    return start_nginx(
        redis     => "redis://$who\@" . join(',', map { $_->name } @$sentinels),
        redis_opt => "sentinel=mymaster timeout=1s connect_timeout=1s $more",
        http      => 'mcp_sse_grace 2s;', %opt);
}


# Whether messages pass from one instance to the other.

sub meet {
    my ($here, $there, $name) = @_;

    my $stream = open_stream($here);

    ok(call($there, $stream, tool(1, 'echo', {})), $name);
    $stream->close;

    return;
}


my $truthful = sentinel(at($master));
my $good     = start([ $truthful ]);

ok(wait_ready($good), 'an instance finds the master by a sentinel');
is(scalar(grep { /a-long-password/ } $truthful->said), 0,
    'a sentinel does not hear the password of the master');

# lies

my @lies = (
    [ 'a replica', at($replica) ],
    [ 'a dead port', at($dead) ],
    [ 'itself', sub { at($_[0]{redis}) } ],
    [ 'no such master', "*-1\r\n" ],
    [ 'an error', "-IDONTKNOW I have not enough information\r\n" ],
    [ 'no answer', '' ],
    [ 'a close', \'close' ],
    [ 'no end', "*2\r\n\$9\r\n127.0.0.1\r\n" ],
    [ 'a number', ":6379\r\n" ],
    [ 'a status', "+OK\r\n" ],
    [ 'nothing', "*0\r\n" ],
    [ 'one word', array('127.0.0.1') ],
    [ 'three words', array('127.0.0.1', $master->port, 'x') ],
    [ 'nils', "*2\r\n\$-1\r\n\$-1\r\n" ],
    [ 'arrays', "*2\r\n*1\r\n:1\r\n*1\r\n:2\r\n" ],
    [ 'port 0', at(0) ],
    [ 'port 65536', at(65536) ],
    [ 'a negative port', at(-1) ],
    [ 'a port that is a word', at('redis') ],
    [ 'a port and more', at($master->port . '.evil') ],
    [ 'a long port', at('9' x 40) ],
    [ 'an empty host', '*2' . "\r\n" . bulk('') . bulk($master->port) ],
    [ 'a host with a NUL', at($master, "127.0.0.1\0.evil") ],
    [ 'a host with a line feed', at($master, "127.0.0.1\n2026 [alert] x") ],
    [ 'a long host', at($master, 'a' x 100_000) ],
    [ 'a path', at($master, 'unix:/tmp/sock') ],
    [ 'an unknown name', at($master, 'no-such.test') ],
    [ 'no RESP', "HTTP/1.1 400 Bad Request\r\n\r\n" ],
    [ 'deep arrays', "*1\r\n" x 5000 . "*0\r\n" ],
);

@lies = @lies[ grep { $_ < 6 || $_ % 4 == 0 } 0 .. $#lies ]
    if MCPTest::Redis::short();

while (my @some = splice @lies, 0, 10) {
    my @cases = map { my $fake = sentinel($_->[1]); { name => $_->[0],
        fake => $fake, nginx => start([ $fake ]) } } @some;

    for my $case (@cases) {
        my ($name, $fake, $nginx) = @{$case}{qw(name fake nginx)};

        $case->{workers} = [ $nginx->wait_workers ];

        ok($nginx->wait_log(MCPTest::Redis::pattern('trouble')),
            "$name: the log says what is wrong");
        ok(run_until(sub { $fake->accepted >= 2 }), "$name: asked again");
        ok(!ready($nginx), "$name: ready=strict is 503");
        is(health($nginx)->{status}, 'degraded', "$name: degraded");

        my $stream = open_stream($nginx);

        ok(call($nginx, $stream, request(1, 'ping')),
            "$name: a session of the instance goes on");
        $stream->close;
    }

    # not more often than once in 100 ms

    $_->{asked} = $_->{fake}->accepted for @cases;
    sleep_for(1);
    cmp_ok($_->{fake}->accepted - $_->{asked}, '<=', 12,
        "$_->{name}: not asked without end") for @cases;

    says($_->{fake}, at($master)) for @cases;

    for my $case (@cases) {
        my ($name, $nginx) = @{$case}{qw(name nginx)};

        ok(wait_ready($nginx), "$name: ready when the sentinel says the truth");
        meet($nginx, $good, "$name: messages pass between instances");
        is_deeply([ $nginx->worker_pids ], $case->{workers},
            "$name: no worker has died");

        my @lines = grep { /\[(?:warn|error)\].*mcp sse: / }
            split /\n/, $nginx->error_log;

        cmp_ok(scalar @lines, '<', 12, "$name: the log has few lines about it")
            or diag(join "\n", @lines);
        $nginx->stop;
    }
}

# one of several lies: whichever is asked first, the master is found

{
    my @nginx = map { start([ sentinel($_), $truthful, sentinel($_) ]) }
        at($replica), at($dead), '', "*-1\r\n", \'close', ":1\r\n";

    ok(wait_ready(@nginx), 'the master is found in spite of two sentinels of '
        . 'three that lie');
    meet($nginx[0], $_, 'messages pass between them') for @nginx[1 .. $#nginx];
    $_->stop for @nginx;
}

# Another master: two instances that have different ones do not meet, and what
# one of them refuses does not run when it has moved.

{
    my $liar    = sentinel(at($other));
    my $lost    = start([ $liar ]);
    my $history = MCPTest::History->new(frappe => $frappe);

    ok(wait_ready($lost), 'another master is a master');

    my @streams = map { open_stream($_) } $good, $lost;
    my @posts   = map { $history->call($good, $streams[1]),
        $history->call($lost, $streams[0]) } 1 .. 3;

    # these wait for sessions that are not known, as long as the grace

    run_until(sub { !$history->pending });
    is_deeply([ grep { $_ < 400 || $_ > 503 } keys %{ $history->statuses } ],
        [], 'messages between instances with different masters are refused')
        or diag(explain($history->statuses));

    # +switch-master: of another set, nonsense, then the truth

    my $switch = sub { $liar->push_bytes('mcp-sse-sentinel', array('message',
        '+switch-master', $_[0])) };

    says($liar, at($master));
    $switch->($_) for '', 'x', 'mymaster', 'mymaster 127.0.0.1 1',
        'another 127.0.0.1 ' . $other->port . ' 127.0.0.1 ' . $master->port;
    sleep_for(0.5);
    ok($other->cmd('PING') && grep({ $_->{name} =~ /\Amcp-sse/ }
        $other->clients), 'nonsense of a sentinel does not end connections');

    $switch->('mymaster 127.0.0.1 ' . $other->port . ' 127.0.0.1 '
        . $master->port);
    ok(run_until(sub { !grep { $_->{name} =~ /\Amcp-sse/ } $other->clients }),
        '+switch-master ends the connections to the other master');
    ok(wait_ready($lost), 'then the instance is ready again');
    meet($lost, $good, 'and messages pass between instances');

    $history->ok('what was refused has not run');
    $_->close for @streams;
    $lost->stop;
}

# Without the right to ask for ROLE nobody knows whether it is the master, and
# without that for INFO, which master it is.

for my $word (qw(role info)) {
    my $nginx = start([ $truthful ], who => "no$word:another-password");

    MCPTest::secret('another-password');
    ok($nginx->wait_log(qr/mcp sse: redis .*NOPERM.*'$word/),
        "without the right for $word the log says so");
    ok(!ready($nginx), "without the right for $word it is not ready");
    $master->cmd('ACL', 'SETUSER', "no$word", "+$word");
    ok(wait_ready($nginx), "with the right for $word it is");
    $nginx->stop;
}

# passwords of sentinels

{
    my $dir  = $truthful->{dir} = File::Temp->newdir;
    my $want = 'user sentinels-password';
    my $fake = MCPTest::FakeRedis->new;

    $fake->answer(sub {
        my ($conn, $word, @args) = @_;

        if ($word eq 'AUTH') {
            $conn->{known} = "@args" eq $want;
            return $conn->{known} ? "+OK\r\n"
                : "-WRONGPASS invalid username-password pair\r\n";
        }

        return "-NOAUTH Authentication required.\r\n" if !$conn->{known};
        return at($master) if uc $word eq 'SENTINEL';
        return;
    });

    for my $case ([ 'no password', undef, 'NOAUTH' ],
        [ 'a wrong password', 'user:wrong-password', 'WRONGPASS' ],
        [ 'a password without its user', 'sentinels-password', 'WRONGPASS' ])
    {
        my ($name, $auth, $reason) = @{$case};

        MCPTest::Sentinel::write_auth("$dir/auth", $auth) if defined $auth;

        my $nginx = start([ $fake ], more => defined $auth
            ? "sentinel_auth=$dir/auth" : '');

        ok($nginx->wait_log(qr/mcp sse: redis .*\Q$reason\E/),
            "$name: the log has the error of the sentinel");
        ok(!ready($nginx), "$name: the instance is not ready");
        is(scalar(grep { /a-long-password/ } $fake->said), 0,
            "$name: the sentinel does not hear the password of the master");

        if (defined $auth) {
            MCPTest::Sentinel::write_auth("$dir/auth",
                'user:sentinels-password');
            $nginx->wait_gone([ $nginx->reload ]);
            ok(wait_ready($nginx), "$name: a reload takes the right one");
        }

        $nginx->stop;
    }
}

# names

{
    my $names = MCPTest::Names->new('redis.test' => '127.0.0.1');
    my $fake  = sentinel(at($master, 'redis.test'));
    my $nginx = start([ $fake ], http => 'mcp_sse_grace 2s; resolver 127.0.0.1:'
        . $names->port . ' valid=1s ipv6=off;');

    ok(wait_ready($nginx), 'a sentinel gives a name, the resolver its address');
    meet($nginx, $good, 'messages pass between instances');
    $nginx->stop;
    $names->set('redis.test' => undef);

    $nginx = start([ $fake ], http => 'mcp_sse_grace 2s; resolver 127.0.0.1:'
        . $names->port . ' valid=1s ipv6=off;');
    ok($nginx->wait_log(qr/mcp sse: redis .*redis\.test/),
        'the log has a name that does not exist');
    ok(!ready($nginx), 'then the instance is not ready');
    $names->set('redis.test' => '127.0.0.1');
    ok(wait_ready($nginx), 'it is when the name exists');
    $nginx->stop;

    $nginx = start([ $fake ]);
    ok($nginx->wait_log(qr/mcp sse: redis .*resolver/),
        'without a resolver the log says that it lacks one');
    says($fake, at($master));
    ok(wait_ready($nginx), 'it is not needed for an address');
    $nginx->stop;
}

finish();
