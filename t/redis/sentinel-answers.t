# What sentinels answer, one by one: sentinels and masters in the event loop of
# the test.  One that does not know the master, or tells a wrong one, is
# followed by the next; one is listened to; another master is believed only if
# it says so itself.  docs/PROTOCOL.md 11.22.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::FakeRedis;
use MCPTest::HTTP;
use Test::More;

my @masters   = map { MCPTest::FakeRedis->new } 1, 2;
my @sentinels = map { MCPTest::FakeRedis->new } 1 .. 3;

my $err = "-ERR no\r\n";
my %tells;                  # by sentinel: a server, undef or bytes


sub master_is {
    my ($to) = @_;

    $tells{$_} = $to for @sentinels;

    return;
}


sub bulk { return MCPTest::FakeRedis::bulk(@_) }

for my $sentinel (@sentinels) {
    $sentinel->answer(sub {
        my ($conn, $word, @args) = @_;

        my $told = $tells{$sentinel};

        return if $word ne 'SENTINEL' && $word ne 'PING';
        return MCPTest::FakeRedis::array('pong', '') if $word eq 'PING';
        return "*-1\r\n" unless defined $told;
        return $told if !ref $told || ref $told eq 'SCALAR';
        return MCPTest::FakeRedis::array('127.0.0.1', $told->port);
    });
}


sub role {
    my ($server, $role) = @_;

    $server->answer(sub {
        return "*1\r\n" . bulk($role) if $_[1] eq 'ROLE';
        return;
    });

    return;
}


sub instance {
    my ($opt, @some) = @_;

    return start_http(
        redis => 'redis://' . join(',', map { $_->name } @some),
        redis_opt => "sentinel=m1 $opt", http => 'mcp_sse_grace 300s;',
        server => 'mcp_sse_principal alice@example.com;');
}


sub wait_ready_is {
    my ($nginx, $status) = @_;

    return run_until(sub {
        get($nginx, '/health?ready=strict')->status == $status });
}


sub works_with {
    my ($server) = @_;

    return run_until(sub { $server->has_said(qr/\AGETEX/) });
}


# The sentinel that is listened to: the one that gets a PING.

sub listened {
    my ($from) = grep { $_->has_said(qr/\APING/) } @sentinels;

    return $from;
}


sub forget { $_->said for @sentinels, @masters; return }


# Bytes of a message to those who have subscribed.

sub say_switch {
    my ($sentinel, $text) = @_;

    $sentinel->push_bytes('mcp-sse-sentinel', MCPTest::FakeRedis::array(
        'message', '+switch-master', $text));

    return;
}


sub switch_text {
    my ($name, $from, $to) = @_;

    return join ' ', $name, map { ('127.0.0.1', $_->port) } $from, $to;
}

my ($one, $two) = @masters;

# ---- who is asked

master_is(undef);
$tells{ $sentinels[1] } = $err;

my $nginx = instance('', @sentinels);

my $why = 'it does not know the master "m1"|ERR no';

ok($nginx->wait_log(qr/is lost: sentinel 127\.0\.0\.1:\d+: (?:$why);/),
    'no sentinel knows the master: the log has the reason of one of them');

ok(run_until(sub { @sentinels == grep { $_->has_said(qr/\ASENTINEL/) }
    @sentinels }), 'all of them are asked');

for my $sentinel (@sentinels) {
    my ($first) = $sentinel->said(qr/\ASENTINEL/);

    is($first, 'SENTINEL get-master-addr-by-name m1', 'by this command');
}

for my $case (
    [ 'nil from the others',      undef ],
    [ 'an error from the others', $err ],
    [ 'nonsense',                 "*1\r\n:1\r\n" ],
    [ 'another reply',            "+OK\r\n" ],
    [ 'a close',                  \'close' ],
) {
    my ($name, $reply) = @$case;

    master_is($reply);
    $tells{ $sentinels[2] } = $one;
    ok(wait_ready_is($nginx, 200), "$name: one that knows it is found");
    ok(works_with($one), "$name: it is the master that this one tells");

    master_is($reply);
    $one->cut;
    ok(wait_ready_is($nginx, 503), "$name: then none knows it");
    forget();
}

master_is($one);
ok(wait_ready_is($nginx, 200), 'all know it');

# ---- one is listened to

forget();
ok(run_until(sub { listened() }), 'one sentinel is listened to');
sleep_for(2.5);
is(scalar(grep { $_->has_said(qr/\APING/) } @sentinels), 1, 'and no other');

my $listened = listened();

for my $text ("m2 127.0.0.1 1 127.0.0.1 2", switch_text('m1', $two, $one)) {
    forget();
    say_switch($listened, $text);
    sleep_for(0.5);
    is($one->has_said(qr/\AROLE/), 0, "\"$text\" changes nothing");
}

forget();
master_is($two);
say_switch($listened, switch_text('m1', $one, $two));
ok(works_with($two), 'another master is followed at once');
ok(wait_ready_is($nginx, 200), 'and works');
is_deeply([ map { $_->said(qr/\ASENTINEL/) } @sentinels ], [],
    'no sentinel is asked for that');
ok($nginx->wait_log(qr/\[notice\] .*redis master "m1" is at ${\ $two->name }/),
    'the log tells where it is');

forget();
say_switch($listened, 'm1 nonsense');
ok(run_until(sub { grep { $_->has_said(qr/\ASENTINEL/) } @sentinels }),
    'one that says nonsense is left');
is($two->has_said(qr/\AROLE/), 0, 'the master is not');

# ---- the connection to a sentinel is lost, the master stays

forget();
ok(run_until(sub { $listened = listened() }), 'another one is listened to');
forget();
$listened->cut;
ok(run_until(sub { grep { $_->has_said(qr/\ASENTINEL/) } @sentinels }),
    'when it is lost, there is another');
ok(run_until(sub { $listened = listened() }), 'which is listened to');
is($two->has_said(qr/\AROLE/), 0, 'the master stays');

# two of three are behind, or lie

for my $sentinel (@sentinels) {
    $tells{$sentinel} = $one if $sentinel != $listened;
}

forget();
$listened->cut;
ok(run_until(sub { @sentinels == grep { $_->has_said(qr/\ASENTINEL/) }
    @sentinels }), 'a sentinel is looked for that tells the same master');
forget();
ok(run_until(sub { listened() }), 'it is found');
is(listened(), $listened, 'and listened to');
is($two->has_said(qr/\AROLE/), 0, 'the master stays');

# what those behind have told does not count when it is lost later

master_is($two);
forget();
$listened->cut;
ok(run_until(sub { $listened = listened() }), 'another one is listened to');
is($one->has_said(qr/\AROLE/), 0, 'what was told before is forgotten');
is($two->has_said(qr/\AROLE/), 0, 'the master stays');

# all of them tell another

master_is($one);
forget();
$listened->cut;
ok(works_with($one), 'if all tell another master, it is followed');
ok(wait_ready_is($nginx, 200), 'and works');

# ---- wrong answers

forget();
role($two, 'slave');
master_is($two);
$tells{ $sentinels[0] } = $one;
$one->cut;
ok(wait_ready_is($nginx, 200), 'sentinels that tell a replica do not hold us');

ok(run_until(sub { listened() }), 'the right one is listened to');
is(listened(), $sentinels[0], 'it is that one');

forget();
say_switch($sentinels[0], switch_text('m1', $one, $two));
ok(run_until(sub { $two->has_said(qr/\AROLE/) }),
    'a message that tells a replica is tried');
ok(works_with($one), 'and the master is found again');
ok(wait_ready_is($nginx, 200), 'and works');

# ROLE that is not permitted is not enough here

$one->answer(sub { return $_[1] eq 'ROLE' ? "-NOPERM no\r\n" : undef });
master_is($one);
$one->cut;
ok($nginx->wait_log(qr/is lost: NOPERM/), 'a master must say that it is one');
$one->answer(undef);
ok(wait_ready_is($nginx, 200), 'then it is taken');

# a sentinel that does not answer, and none that can be reached

$_->answer(sub { return $_[1] eq 'SENTINEL' ? '' : undef }) for
    @sentinels[0, 1];
$one->cut;
ok(wait_ready_is($nginx, 503), 'the master is lost');
ok(wait_ready_is($nginx, 200), 'sentinels that do not answer do not hold us');

$nginx->stop;

# a message that comes before the subscription is confirmed, as no Redis sends
# it: only one master is connected to

{
    my $early = $sentinels[2];
    my $text  = switch_text('m1', $one, $two);
    my @said;

    $two->answer(undef);
    $early->answer(sub {
        my ($conn, $word) = @_;

        return MCPTest::FakeRedis::array('127.0.0.1', $one->port)
            if $word eq 'SENTINEL';
        return if $word ne 'SUBSCRIBE' || @said;

        push @said, $conn;
        return MCPTest::FakeRedis::array('message', '+switch-master', $text);
    });

    my $nginx = instance('', $early);

    ok(run_until(sub { @said }), 'a message comes too early');
    ok(run_until(sub { @{ $two->{conns} } || $said[0]{closed} }),
        'it has been read');
    $said[0]->send("*3\r\n" . bulk('subscribe') . bulk('+switch-master')
        . ":1\r\n") if !$said[0]{closed};
    ok(wait_ready_is($nginx, 200), 'then the instance is ready');
    is(scalar @{ $two->{conns} }, 0, 'and has no connection to another server');
    is(scalar @{ $one->{conns} }, 2, 'and two to its master');

    # the same when the master is known and the sentinel was lost

    @said = ();
    $early->cut;
    ok(run_until(sub { @said }), 'again a message comes too early');
    ok(run_until(sub { @{ $two->{conns} } || $said[0]{closed} }),
        'it has been read');
    is(scalar @{ $two->{conns} }, 0, 'no other master is followed');
    $nginx->stop;
}

finish();
