# What a worker says to Redis, command by command: at its start, for a session,
# as time passes, when its keys are gone or belong to others, and at its end.
# docs/PROTOCOL.md 11.7, 11.8, 11.10; the keys are in docs/history.md.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use MCPTest::HTTP;
use Test::More;

MCPTest::Redis::need();

my $clock  = MCPTest::Clock->new;
my $frappe = start_frappe();
my $redis  = start_redis(requirepass => 'a-long-password');

$redis->cmd('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru');

my $monitor = $redis->monitor;


# The commands since the last call that begin with these words, as text, where
# ids of 32 and 64 digits, times and what is published have names.  The probes
# and the renewal of the lease, each second, are not among them.

my ($done, %name) = (0);

sub name_of {
    my ($word) = @_;

    return $word if !defined $word;

    $word =~ s/([0-9a-f]{32,})/exists $name{$1} ? $name{$1} : '<' . length($1)
        . '>'/ge;
    $word =~ s/\A\d{10,}\z/<time>/;

    return $word;
}


sub said {
    my ($quiet) = @_;

    my @commands = $monitor->commands;
    my @new      = @commands[$done .. $#commands];

    $done = @commands;

    return map {
        my @args = @{ $_->{args} };
        $args[2] = '...' if $args[0] eq 'PUBLISH';
        join ' ', map { name_of($_) } @args;
    } grep {
        my ($word, $key) = @{ $_->{args} };
        !($quiet && ($word eq 'PUBLISH' && $key =~ /w:/
            || $word eq 'GETEX' && $key =~ /k:/ || $word eq 'TIME'));
    } grep { $_->{db} == 3 || $_->{args}[0] =~ /\A(?:AUTH|SELECT)\z/ } @new;
}


# Waits until a command like this was sent.

sub wait_said {
    my ($pattern) = @_;

    return run_until(sub {
        my @commands = $monitor->commands;
        return grep { join(' ', map { defined $_ ? $_ : '' } @{ $_->{args} })
            =~ $pattern } @commands[$done .. $#commands];
    });
}


# Two seconds of the worker: it renews its lease in each of them, and has sent
# what was due by its clock.  The clock is moved ahead for them, but not if the
# round trip of TIME matters.

sub second {
    my ($wait) = @_;

    my $n = sub { scalar grep { $_->{args}[0] eq 'GETEX'
        && $_->{args}[1] =~ /k:/ } $monitor->commands };

    for (1, 2) {
        my $from = $n->();

        $clock->advance(1) if !$wait;
        run_until(sub { $n->() > $from });
    }

    return;
}


my $nginx = do {
    local $ENV{LD_PRELOAD} = $clock->path;
    start_http(redis => $redis->url(db => 3), http => 'mcp_sse_grace 300s;',
        redis_opt => 'prefix=p: timeout=3h connect_timeout=3h');
};

# ---- the start

ok(wait_ready($nginx), 'the instance is ready');

my ($worker) = map { /\Ap:k:(\w+)/ } keys %{ $redis->dump(db => 3) };

$name{$worker} = 'ME';

ok($nginx->wait_log(qr/has maxmemory-policy "allkeys-lru" and may evict/),
    'a policy that evicts keys is warned of');

{
    my %n;

    $n{$_}++ for said();

    my %want = (
        'CLIENT SETNAME mcp-sse-cmd' => 1,
        'CLIENT SETNAME mcp-sse-sub' => 1,
        'ROLE'                       => 2,
        'INFO server'                => 2,
        'SUBSCRIBE p:all p:w:ME'     => 1,
        'ZRANGEBYSCORE p:ended <time> +inf WITHSCORES LIMIT 0 10000' => 1,
        'ZREMRANGEBYSCORE p:ended -inf <time>' => 1,
    );

    is($n{$_} || 0, $want{$_}, "at the start: $_") for sort keys %want;
    ok($n{$_}, "at the start: $_")
        for 'TIME', 'GETEX p:k:ME EX 15', 'SET p:k:ME 1 EX 15',
            'PUBLISH p:w:ME ...';

    delete @n{ keys %want, 'TIME', 'GETEX p:k:ME EX 15', 'SET p:k:ME 1 EX 15',
        'PUBLISH p:w:ME ...', 'SELECT 3', 'CLIENT SETNAME test' };

    # what this test itself has asked

    delete $n{$_} for grep { /\A(?:AUTH|SCAN|TYPE|GET|PTTL) ?/ } keys %n;
    is_deeply([ sort keys %n ], [], 'at the start: nothing else');
}

# ---- a session

my $stream = open_stream($nginx);

ok(wait_said(qr/\ASET p:s:/), 'a session is written');

my ($session) = map { ($_->{args}[1] || '') =~ /\Ap:s:(\w+)/ }
    $monitor->commands;

$name{$session} = 'SESSION';

is_deeply([ said(1) ], [ 'SET p:s:SESSION ME EX 60 GET' ],
    'it is written with the id of the worker, and tells who had it');

second();
$clock->advance(4);
second();
is_deeply([ said(1) ], [], 'it is not renewed after 8 seconds');

$clock->advance(14);
ok(wait_said(qr/\AGETEX p:s:/), 'it is renewed after 20 seconds');
second();
is_deeply([ said(1) ], [ 'GETEX p:s:SESSION EX 60' ], 'it is renewed once');

# a stream that the same worker opens again is written again; the old one is
# not told

my $again = open_stream($nginx, headers => [ 'Last-Event-ID',
    $stream->session ]);

$stream->wait_ended;
$stream->close;
ok(wait_said(qr/\ASET p:s:/), 'a new stream of the session is written');
second();
is_deeply([ said(1) ], [ 'SET p:s:SESSION ME EX 60 GET' ],
    'in the same way, and nobody is told');
ok(!$again->ended, 'the new stream is open');

# ---- the time of Redis is asked for every 10 seconds

{
    my $times = sub { scalar grep { $_ eq 'TIME' } said() };

    $clock->advance(11);
    second('wait');
    $times->();
    second('wait');
    is($times->(), 0, 'TIME is not asked for each second');
    $clock->advance(11);
    second('wait');
    cmp_ok($times->(), '>=', 1, 'it is asked for after 10 seconds');
}

# ---- keys that are gone, or of others

my $db = $redis->connect(db => 3);

said();
$db->cmd('DEL', "p:s:$session");
$clock->advance(21);
ok(wait_said(qr/ NX\z/), 'a key that has expired is written again');
second();
is_deeply([ grep { !/\ADEL/ } said(1) ], [ 'GETEX p:s:SESSION EX 60',
    'SET p:s:SESSION ME EX 60 NX' ], 'if nobody else has written it');

for my $case (
    [ 'short', substr $worker, 0, 31 ],
    [ 'long', $worker . '0' ],
    [ 'no digits', 'g' x 32 ],
    [ 'nearly digits', substr($worker, 0, 31) . 'g' ],
) {
    $db->cmd('SET', "p:s:$session", $case->[1]);
    said();
    $clock->advance(21);
    wait_said(qr/\AGETEX p:s:/);
    second();
    ok(!$again->ended, "an owner that is no id ends no stream: $case->[0]");
}

# the lease is lost: Redis has lost its data

$db->cmd('SET', "p:s:$session", $worker);
said();
$db->cmd('DEL', "p:k:$worker");
ok(wait_said(qr/\ASET p:k:/), 'a lease that is gone is written again');
second();

{
    my @said = said(1);

    is(scalar(grep { $_ eq 'GETEX p:s:SESSION EX 60' } @said), 1,
        'the session is renewed before its time');
    is(scalar(grep { /\AZRANGEBYSCORE p:ended/ } @said), 1,
        'ended ids are read again');
}

ok($nginx->wait_log(qr/has lost its data, all sessions are registered again/),
    'the log says that Redis has lost its data');

# a newer stream elsewhere: its worker has the key

$db->cmd('SET', "p:s:$session", 'ab' x 16);
$clock->advance(21);
ok($again->wait_ended, 'a stream ends if another worker has its key');
$again->close;
ok($nginx->wait_log(qr/SSE connection closed: \w+, replaced/),
    'the log says that it was replaced');

# ---- a message for a session that is not here asks for both keys at once

{
    my $other = start_http(redis => $redis->url(db => 3),
        http => 'mcp_sse_grace 300s;', redis_opt => 'prefix=p:');

    wait_ready($other);
    said();

    my $stream = open_stream($nginx);

    wait_said(qr/\ASET p:s:/);
    ok(call($other, $stream, request(1, 'ping')),
        'a message passes from another instance');

    my ($mget) = grep { /\AMGET/ } said();

    like($mget, qr/\AMGET p:s:<32> p:k:<32>\z/,
        'it asks for the owner and for its own lease');
    $stream->close;
    $other->stop;
}

# ---- ended ids

my $id = session_id($nginx);

said();
http_delete($nginx, $id);
ok(wait_said(qr/\AZADD/), 'an ended id is written');
is_deeply([ sort(said(1)) ], [ 'PUBLISH p:all ...', 'ZADD p:ended <time> <64>' ],
    'with its user, and announced');

# ---- the end

said();
$nginx->quit;
wait_said(qr/\ADEL/);
is_deeply([ grep { /\ADEL/ } said() ], [ 'DEL p:k:ME' ],
    'the lease is deleted at the end');

$db->close;
$monitor->close;

finish();
