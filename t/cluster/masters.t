# Two masters of Redis are two clocks: messages, acknowledgements, confirmations
# and announcements of one that arrive over the other, or after the instance has
# joined it.  The test is an instance, too.  docs/PROTOCOL.md 11.26.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::FakeRedis;
use MCPTest::HTTP;
use MCPTest::Unit;
use Digest::SHA ();
use MIME::Base64 ();
use Test::More;
use Time::HiRes ();

use constant { MESSAGE => 1, ACK => 2, ANNOUNCE => 4, CONFIRM => 5 };
use constant { ACCEPTED => 1, STREAM_LOST => 4, WAITING => 5 };

# the second clock is ahead, so that times of the first seem to be over

use constant { FIRST => 'a' x 40, SECOND => 'b' x 40, AHEAD => 1000 };

my $unit = MCPTest::Unit->new('t/crypto/crypto.c', [ map { "crypto/ngx_mcp_$_" }
    qw(cipher memo packet replay_window session_id) ]);

my $redis  = MCPTest::FakeRedis->new;
my $beside = MCPTest::FakeRedis->new;
my $secret = MCPTest::Nginx::random_key();
my $key    = MCPTest::Nginx::key_file($secret);
my $me     = join '', map { chr rand 256 } 1 .. 16;

# the two share their keys, as a master and its replica

$beside->{keys} = $redis->keys;
$beside->become(SECOND, AHEAD);

my ($here, $there) = map {
    start_http(redis => $_->url, key_file => $key,
        redis_opt => 'timeout=3h connect_timeout=3h', http =>
        'mcp_sse_grace 300s; mcp_sse_auth_cache 3h; mcp_sse_auth_recheck 3h; '
        . 'mcp_sse_max_calls 1;')
} $redis, $beside;

ok(wait_ready($here, $there), 'two instances are ready');


sub hex_of { return MCPTest::Unit::hex(@_) }


# A run_id as packets have it.

sub master {
    my ($run_id) = @_;

    use integer;
    my $hash = 0xcbf29ce4 << 32 | 0x84222325;

    $hash = ($hash ^ $_) * (0x100 << 32 | 0x1b3) for unpack 'C*', $run_id;

    return pack 'q>', $hash;
}


# The instance joins the master; what it has said before is forgotten.

sub joins {
    my ($run_id, $ahead) = @_;

    @{ $redis->{commands} } = ();
    $redis->become($run_id, $ahead);

    # the last command of the instance that joins

    return run_until(sub { $redis->has_said(qr/\AZREMRANGEBYSCORE/) });
}


# Two seconds of the instance have passed, in which windows are cleaned up.

sub seconds {
    for (1, 2) {
        my $probes = sub { scalar grep { $_->[1] eq 'GETEX'
            && $_->[2] =~ /:k:/ } @{ $redis->{commands} } };
        my $from = $probes->();

        run_until(sub { $probes->() > $from });
    }

    return;
}


# A stream of an instance, and the key of its session in Redis.

sub opened {
    my ($nginx) = @_;

    my %known  = %{ $redis->keys };
    my $stream = open_stream($nginx);
    my $new;

    run_until(sub { ($new) = grep { /:s:/ && !$known{$_} }
        keys %{ $redis->keys }; return $new });

    return ($stream, $new);
}


my ($stream, $mine) = opened($here);
my $worker = $redis->keys->{$mine};

is($unit->ask('worker', hex_of($me), hex_of($secret)), 'ok',
    'the test is a worker');

$mine =~ s/.*://;


sub packet {
    my ($type, $body, $to) = @_;

    return pack 'H*', (split / /, $unit->ask('send', $type,
        $to || $worker, hex_of($body)))[2];
}


sub publish {
    my ($bytes, $channel) = @_;

    $redis->usual(undef, 'PUBLISH', $channel || "mcp:w:$worker", $bytes);

    # what follows it has been read, too

    get($here, '/health');

    return;
}


# What the instance has published to the test: type, number, body.

sub published {
    my $name = unpack 'H*', $me;

    return map {
        my (undef, $type, $number, $body) = split / /,
            $unit->ask('receive', hex_of($_->[3]));

        [ $type, $number, pack 'H*', $body ]
    } grep { $_->[1] eq 'PUBLISH' && $_->[2] eq "mcp:w:$name" }
        splice @{ $redis->{commands} };
}


sub acks { return map { join ' ', (unpack 'Q>Q>C', $_->[2])[0, 2] }
    grep { $_->[0] == ACK } published() }


sub refused {
    my ($reason) = @_;

    return metrics($here)->{
        qq(nginx_mcp_sse_redis_refused_total{reason="$reason"})};
}


sub string {
    my ($text) = @_;

    return defined $text ? pack('L', length $text) . $text
        : pack 'L', 0xffffffff;
}


sub ms { return int(1000 * (Time::HiRes::time() + ($_[0] || 0))) }


# A request of the test for the stream, whose id is the number of the attempt.

sub message {
    my ($attempt, $master, $expires, $method, $params) = @_;

    my $headers = string('authorization') . string(MCPTest::credential());

    return packet(MESSAGE, pack('Q>Q>', $attempt, $expires) . $master
        . pack('H*', $mine) . pack('Q>', 1) . pack('L', length $headers)
        . $headers . pack('L', 1) . join '', map { string($_) } qq("$attempt"),
            $method || 'ping', '"' . ($method || 'ping') . '"', $params,
            (undef) x 3);
}


# How often it has been answered, when all that came before has been.

sub runs {
    my ($attempt) = @_;

    passed($here, $stream);

    return scalar $stream->answers(qq("$attempt"));
}


my ($first, $second, $unknown) = (master(FIRST), master(SECOND), "\0" x 8);

# ---- a message that is new

ok(joins(FIRST), 'the instance joins a master');

publish(message(1, $first, ms(60)));
is_deeply([ acks() ], [ '1 ' . ACCEPTED ],
    'a message of the same master: accepted');

{
    my $expired = refused('expired');
    my $other   = message(2, $second, ms(60 + AHEAD));
    my $over    = message(3, $second, ms(-60));

    publish($_) for $other, $over, $other;
    is_deeply([ acks() ], [ map { "$_ " . STREAM_LOST } 2, 3, 2 ],
        'one of another master is not executed, whatever its expiry');
    is(refused('expired') - $expired, 0, 'which is not judged');

    # by now the sender has sent it anew, with another number

    ok(joins(SECOND, AHEAD), 'the instance joins that master');
    publish($_) for $other, message(4, $second, ms(60 + AHEAD));
    is_deeply([ acks() ], [ '2 ' . STREAM_LOST, '4 ' . ACCEPTED ],
        'a copy of it that is late has the same answer, the new one is '
        . 'accepted');
    is(join(' ', map { runs($_) } 1 .. 4), '1 0 0 1',
        'what was refused does not run');
}

publish(message(5, $unknown, ms(60 + AHEAD)));
is_deeply([ acks() ], [ '5 ' . ACCEPTED ],
    'a message whose sender does not know its master: accepted');

# ---- a message that was accepted under the master before

{
    ok(joins(FIRST), 'the instance is back at the first master');

    my $one = message(6, $first, ms(60));

    publish($one);
    is_deeply([ acks() ], [ '6 ' . ACCEPTED ], 'it accepts a message');
    ok(joins(SECOND, AHEAD), 'it joins the other one');

    my ($again, $replayed) = (
        metrics($here)->{nginx_mcp_sse_redis_duplicates_total},
        refused('replayed'));

    # by that clock the message has expired

    seconds();
    published();
    publish($one);
    is_deeply([ acks() ], [ '6 ' . ACCEPTED ],
        'the same packet has the same acknowledgement');
    is(metrics($here)->{nginx_mcp_sse_redis_duplicates_total} - $again, 1,
        'it is a repeated one');
    is(refused('replayed') - $replayed, 0, 'and not forgotten');
    is(runs(6), 1, 'and runs once');
}

# ---- messages that wait for their turn

{
    ok(joins(FIRST), 'the instance is back at the first master');

    my $echo = sub { message(@_, 'tools/call',
        '{"name":"echo","arguments":{}}') };

    publish(message(10, $first, ms(60), 'tools/call',
        '{"name":"hold","arguments":{"gate":"first"}}'));
    acks();

    my $soon      = ms(4);
    my $confirmed = $echo->(11, $first, $soon);
    my $silent    = $echo->(12, $first, $soon);

    publish($_) for $confirmed, $silent;
    is_deeply([ acks() ], [ map { "$_ " . WAITING } 11, 12 ],
        'two messages wait');

    ok(joins(SECOND, AHEAD), 'the instance joins the other master');
    seconds();
    published();

    # they have an own time, which goes on

    publish($confirmed);
    is_deeply([ acks() ], [ '11 ' . WAITING ],
        'one that is sent again has the same acknowledgement');
    publish(packet(CONFIRM, substr $confirmed, 38, 8));

    run_until(sub { ms() > $soon });
    my $expired = refused('expired');

    publish($silent);
    is_deeply([ acks() ], [],
        'one that may have been given up is not acknowledged');
    is(refused('expired') - $expired, 1, 'but expired');

    frappe()->open_gate('first');
    ok($stream->wait_answer('"11"'), 'the one that was confirmed is answered');
    like(($stream->answers('"11"'))[0], qr/"result"/,
        'it has run, by a confirmation over the other master');
    ok($stream->wait_answer('"12"'), 'the other one is answered');
    like(($stream->answers('"12"'))[0], qr/"executed":"no"/, 'and has not run');
}

# ---- the clock of the new master is not known yet

{
    my ($asked, @held, $late);

    ok(joins(FIRST), 'the instance is back at the first master');
    $redis->answer(sub {
        my ($conn, @words) = @_;

        return if $words[0] ne 'TIME' && (!$asked || $conn != $asked);

        # replies come in order

        $asked = $conn;
        push @held, \@words;
        return '';
    });
    $redis->become(SECOND, AHEAD);
    ok(run_until(sub { $asked && grep { $_->{channels}{"mcp:w:$worker"} }
        @{ $redis->{conns} } }),
        'it subscribes at the other one, which does not tell its time');

    my $expired = refused('expired');

    # by the clock of the first one it has not expired

    publish($late = message(15, $second, ms(60)));
    is_deeply([ acks() ], [], 'a message is not judged');

    @{ $redis->{commands} } = ();
    $redis->answer(undef);
    $asked->send($redis->usual($asked, @$_)) for @held;
    ok(run_until(sub { $redis->has_said(qr/\AZREMRANGEBYSCORE/) }),
        'it joins when it is told the time');
    publish($late);
    is_deeply([ acks() ], [], 'by that the message has expired');
    is(refused('expired') - $expired, 1, 'it is counted once');
    is(runs(15), 0, 'and does not run');
}

# ---- INFO is not permitted: as with one master

{
    $redis->answer(sub { return $_[1] eq 'INFO'
        ? "-NOPERM this user has no permissions\r\n" : undef });
    ok(joins(FIRST), 'an instance that does not know its master joins it');
    publish(message(20, $second, ms(60)));
    is_deeply([ acks() ], [ '20 ' . ACCEPTED ], 'it accepts any message');
    publish(message(21, $second, ms(-1)));
    is_deeply([ acks() ], [], 'if that has not expired');
    $redis->answer(undef);
}

# ---- announcements

{
    my $id      = session_id($here);
    my $session = substr Digest::SHA::sha256(
        MIME::Base64::decode_base64url($id)), 0, 16;

    my $announce = sub {
        my ($master, $expires, $end, $kind, $data) = @_;

        publish(packet(ANNOUNCE, pack('Q>', $expires) . $master
            . pack('Q>', $end) . $session . 'inst' . chr($kind) . $data, '-'),
            'mcp:all');
    };

    ok(joins(FIRST), 'the instance is back at the first master');

    my $expired = refused('expired');

    $announce->($first, ms(5), 0, 1, '"x"');
    is(refused('expired') - $expired, 0, 'a cancellation of this master');
    $announce->($second, ms(5), 0, 1, '"x"');
    is(refused('expired') - $expired, 1,
        'one of another master: nobody knows how old it is');
    $announce->($unknown, ms(5), 0, 1, '"x"');
    is(refused('expired') - $expired, 1, 'one of a master that is not known');

    $announce->($second, ms(-60), int(ms(600) / 1000), 2, 'u' x 16);
    is(refused('expired') - $expired, 1, 'an id that has ended, there');
    is(http_post($here, request(1, 'ping'), session => $id)->status, 404,
        'has ended here');
}

# ---- the instance sends: the test has a session

{
    my ($session) = opened($there);

    $redis->answer(sub {
        my ($conn, @words) = @_;

        return MCPTest::FakeRedis::array(hex_of($me), 1) if $words[0] eq 'MGET';
        return ":1\r\n" if $words[0] eq 'PUBLISH'
            && $words[1] eq 'mcp:w:' . hex_of($me);
        return;
    });

    my $sent = sub {
        my ($wait) = @_;
        my @sent;

        run_until(sub { push @sent, grep { $_->[0] == MESSAGE } published();
            return @sent });

        return map { [ unpack('Q>q>a8', $_->[2]), $_->[1] ] } @sent;
    };

    my $answer = sub {
        my ($sent, $ack) = @_;

        return publish(packet(ACK, pack 'Q>Q>C', @$sent[0, 3], $ack));
    };

    published();

    my $post   = post($here, $session, request(1, 'ping'), async => 1);
    my ($one)  = $sent->();

    is(hex_of($one->[2]), hex_of($first), 'a message names its master');
    cmp_ok($one->[1], '<', ms(300), 'and expires by its clock');

    ok(joins(SECOND, AHEAD), 'the instance joins the other master');

    my ($two) = $sent->();

    is_deeply($two, $one, 'the same packet is sent there');
    $answer->($two, STREAM_LOST);

    # copies of it may be on their way

    my $three = (grep { $_->[0] != $one->[0] } map { $sent->() } 1, 2)[0];

    isnt($three->[3], $one->[3], 'when it was refused, it is sent anew');
    is(hex_of($three->[2]), hex_of($second), 'with the new master');
    cmp_ok($three->[1], '>', ms(AHEAD), 'by its clock');
    $answer->($one, ACCEPTED);
    ok(!$post->ended, 'an acknowledgement of the first packet has no effect');
    $answer->($three, ACCEPTED);
    $post->wait;
    is($post->status, 202, 'that of the new one is the answer');

    $post  = post($here, $session, request(2, 'ping'), async => 1);
    ($one) = $sent->();
    ok(joins(FIRST), 'the instance is back at the first master');
    ($two) = $sent->();
    $answer->($two, ACCEPTED);
    $post->wait;
    is($post->status, 202, 'a packet that had been received before is '
        . 'acknowledged over another master');
    $redis->answer(undef);
}

# ---- two instances: what one publishes at its master comes to the other one

{
    my $stream = open_stream($here);
    my ($mine) = sort { $a cmp $b } grep { /:s:/ && $redis->keys->{$_} eq
        $worker } keys %{ $redis->keys };
    my $bridge = sub {
        my ($from, $to) = @_;

        $from->answer(sub {
            my ($conn, @words) = @_;

            return if $words[0] ne 'PUBLISH' || grep { $_->{channels}{$words[1]} }
                @{ $from->{conns} };
            return $to->usual(undef, @words[0 .. 2]);
        });
    };

    ok(joins(FIRST), 'one instance is at the first master');
    $bridge->($redis, $beside);
    $bridge->($beside, $redis);

    my $post = post($there, $stream, request(7, 'ping'), async => 1);

    # each time with another number

    run_until(sub {
        my %sent = map { $_->[3] => 1 } grep { $_->[1] eq 'PUBLISH'
            && $_->[2] eq "mcp:w:$worker" } @{ $beside->{commands} };
        return keys %sent > 2;
    });

    ok(!$post->ended, 'the message of the other one is refused, and sent anew');
    is(scalar($stream->answers(7)), 0, 'it does not run');
    ok(joins(SECOND, AHEAD), 'the first one joins the master of the other');
    $post->wait;
    is($post->status, 202, 'it is accepted');
    ok($stream->wait_answer(7), 'it runs');
    passed($here, $stream);
    is(scalar($stream->answers(7)), 1, 'once');
    $stream->close;
}

# ---- one of two workers joins another master, which may lack a session

{
    my $third = MCPTest::FakeRedis->new;
    my $two   = start_http(redis => $third->url, key_file => $key, workers => 2,
        redis_opt => 'timeout=3h connect_timeout=3h',
        http => 'mcp_sse_grace 1s;');

    my $status = sub { return post($two, $stream, request(1, 'ping'))->status };

    ok(wait_ready($two), 'an instance with two workers is ready');
    ok(run_until(sub { $status->() == 400 }),
        'it knows, some time later, that nobody has the session');

    my $again = sub {
        my ($cmd) = map { $_->[0] } grep { $_->[1] eq 'GETEX'
            && $_->[2] =~ /:k:/ && !$_->[0]{closed} } @{ $third->{commands} };
        my ($id)  = map { $_->[2] =~ /:k:(\w+)/ } grep { $_->[0] == $cmd
            && $_->[1] eq 'GETEX' } @{ $third->{commands} };

        @{ $third->{commands} } = ();

        my @conns = grep { $_ == $cmd || $_->{channels}{"mcp:w:$id"} }
            @{ $third->{conns} };

        $_->close for @conns;

        return run_until(sub { $third->has_said(qr/\AZREMRANGEBYSCORE/) });
    };

    ok($again->(), 'one worker joins the same master again');
    is($status->(), 400, 'it still knows');

    $third->{run_id} = SECOND;
    run_until(sub { $third->has_said(qr/\AGETEX mcp:k:/) });
    ok($again->(), 'one worker joins another master');
    is($status->(), 503, 'the session may be alive');
}

$stream->close;

finish();
