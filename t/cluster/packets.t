# Packets of another instance that is the test: bodies of each length, messages
# that are late, come twice or go to an unknown session, and acknowledgements
# that fit a message or do not.  docs/PROTOCOL.md 4.5, 11.3, 11.4, 11.11.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Allocation;
use MCPTest::FakeRedis;
use MCPTest::HTTP;
use MCPTest::Unit;
use Test::More;
use Time::HiRes ();

use constant { MESSAGE => 1, ACK => 2, REPLACED => 3, ANNOUNCE => 4,
    CONFIRM => 5 };

my $unit = MCPTest::Unit->new('t/crypto/crypto.c', [ map { "crypto/ngx_mcp_$_" }
    qw(cipher memo packet replay_window session_id) ]);

my $redis  = MCPTest::FakeRedis->new;
my $secret = MCPTest::Nginx::random_key();
my $key    = MCPTest::Nginx::key_file($secret);
my $me     = join '', map { chr rand 256 } 1 .. 16;
my $other  = join '', map { chr rand 256 } 1 .. 16;

my $allocation = MCPTest::Allocation->new;

my ($here, $there) = map {
    local $ENV{LD_PRELOAD} = $allocation->path;

    start_http(redis => $redis->url, key_file => $key,
        redis_opt => 'timeout=3h connect_timeout=3h', http =>
        'mcp_sse_grace 300s; mcp_sse_auth_cache 3h; mcp_sse_auth_recheck 3h; '
        . 'mcp_sse_max_calls 1;')
} 1, 2;

ok(wait_ready($here, $there), 'two instances are ready');



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
my ($far) = opened($there);
my $worker = $redis->keys->{$mine};
my ($channel) = map { grep { /:w:$worker\z/ } keys %{ $_->{channels} } }
    @{ $redis->{conns} };

$mine =~ s/.*://;


sub hex_of { return MCPTest::Unit::hex(@_) }

sub ms { return int(1000 * Time::HiRes::time()) }


# The bytes of a packet from the test, as this worker or another one.

sub packet {
    my ($type, $body, $to) = @_;

    my $answer = $unit->ask('send', $type,
        $type == ANNOUNCE ? '-' : $to || $worker, hex_of($body));

    return pack 'H*', (split / /, $answer)[2];
}


sub publish {
    my ($bytes) = @_;

    $redis->usual(undef, 'PUBLISH', $channel, $bytes);

    # what follows it has been read, too

    get($here, '/health');

    return;
}


# What the instance has published to the test since the last call: type, number
# and body of each packet.

sub published {
    my ($to) = @_;

    my $name = unpack 'H*', $to || $me;

    return map {
        my ($rc, $type, $number, $body) = split / /,
            $unit->ask('receive', hex_of($_->[3]));

        $rc eq 'ok' ? [ $type, $number, pack 'H*', $body eq '-' ? '' : $body ]
            : [ $rc ];
    } grep { $_->[1] eq 'PUBLISH' && $_->[2] =~ /:w:$name\z/ }
        splice @{ $redis->{commands} };
}


sub refused {
    my ($reason) = @_;

    return metrics($here)->{
        qq(nginx_mcp_sse_redis_refused_total{reason="$reason"})};
}


sub as { my ($id) = @_;
    return $unit->ask('worker', hex_of($id), hex_of($secret)) }

is(as($me), 'ok', 'the test is a worker');

# ---- lengths of bodies

for my $case (
    [ MESSAGE,  47 ], [ MESSAGE, 0 ], [ ACK, 16 ], [ ACK, 18 ], [ ACK, 0 ],
    [ REPLACED, 15 ], [ REPLACED, 17 ], [ ANNOUNCE, 44 ], [ CONFIRM, 7 ],
    [ CONFIRM, 9 ], [ 6, 40 ], [ 200, 0 ],
) {
    my ($type, $length) = @$case;
    my $before = refused('malformed');

    publish(packet($type, 'b' x $length));
    is(refused('malformed') - $before, 1,
        "a packet of type $type with $length bytes is malformed");
}

for my $case ([ ACK, 17 ], [ REPLACED, 16 ], [ CONFIRM, 8 ]) {
    my ($type, $length) = @$case;
    my $before = refused('malformed');

    publish(packet($type, "\0" x $length));
    is(refused('malformed') - $before, 0, "of type $type with $length is not");
}

ok(!$stream->ended, 'the stream stays open');

# ---- messages: to an unknown session, late, twice

sub string {
    my ($text) = @_;

    return defined $text ? pack('L', length $text) . $text
        : pack 'L', 0xffffffff;
}

my $ping = pack('LL', 0, 1) . join '', map { string($_) } '"p"', 'ping',
    '"ping"', (undef) x 4;


sub message {
    my ($attempt, $to, $ms, $data) = @_;

    return packet(MESSAGE, pack('Q>Q>Q>', $attempt, ms() + $ms, 0)
        . pack('H*', $to) . pack('Q>', 1) . (defined $data ? $data : $ping));
}


sub acks { return map { $_->[0] eq ACK ? join ' ', (unpack 'Q>Q>C', $_->[2])
    [0, 2] : "@$_" } published() }

published();
publish(message(7, 'ab' x 16, 5000));
is_deeply([ acks() ], [ '7 3' ], 'a message to an unknown session: unknown');

publish(message(8, $mine, 5000));
is_deeply([ acks() ], [ '8 1' ], 'a message to a session: accepted');
ok($stream->wait_answer('"p"'), 'and it is answered');
$stream->forget('"p"');

for my $case ([ 240, 1 ], [ -1, 1 ], [ 3000, 0 ]) {
    my ($ms, $late) = @$case;
    my $before = refused('expired');

    publish(message(9, $mine, $ms));
    is_deeply([ acks() ], $late ? [] : [ '9 1' ], "a message with $ms ms: "
        . ($late ? 'no acknowledgement' : 'accepted'));
    is(refused('expired') - $before, $late, 'it is counted') if $late;
}

passed($here, $stream);
is(scalar($stream->answers('"p"')), 1, 'those that are late do not run');
$stream->forget('"p"');

{
    my $twice  = message(10, $mine, 5000);
    my $before = metrics($here)->{nginx_mcp_sse_redis_duplicates_total};

    publish($twice) for 1 .. 3;
    is_deeply([ acks() ], [ ('10 1') x 3 ], 'a packet that comes three times '
        . 'has the same acknowledgement each time');
    passed($here, $stream);
    is(scalar($stream->answers('"p"')), 1, 'it runs once');
    is(metrics($here)->{nginx_mcp_sse_redis_duplicates_total} - $before, 2,
        'the others are counted');
    $stream->forget('"p"');
}

# ---- a message that has to wait: until the sender confirms that it knows, it is
# noted; each packet leaves its number, and nothing else

{
    my $headers = string('authorization') . string(MCPTest::credential());
    my $call = sub {
        my ($id, $params) = @_;

        return pack('L', length $headers) . $headers . pack('L', 1) . join '',
            map { string($_) } $id, 'tools/call', '"tools/call"', $params,
            (undef) x 3;
    };

    publish(message(11, $mine, 60_000, $call->('"h"',
        '{"name":"hold","arguments":{"gate":"waits"}}')));
    is_deeply([ acks() ], [ '11 1' ], 'a call runs');
    $allocation->worker(($here->wait_workers)[0]);

    my $wait = sub {
        my ($attempt, $confirm) = @_;
        my $one = message($attempt, $mine, 60_000, $call->($attempt,
            '{"name":"echo","arguments":{}}'));

        publish($one);

        my @acks = acks();

        # its number is behind version, type, secret, sender and receiver

        publish(packet(CONFIRM, substr $one, 38, 8)) if $confirm;

        return "@acks";
    };

    # each waiting message has an envelope and a task, too

    my @blocks = $allocation->blocks;

    for my $confirm (0, 1) {
        my @these = $confirm ? (40 .. 59) : (20 .. 39);

        is(join(' ', map { $wait->($_, $confirm) } @these),
            join(' ', map { "$_ 5" } @these), 'twenty wait'
            . ($confirm ? ', and are confirmed' : ''));
        push @blocks, $allocation->blocks;
    }

    cmp_ok(($blocks[1] - $blocks[0]) - ($blocks[2] - $blocks[1]), '>=', 15,
        'one that is confirmed is not noted any more');
    frappe()->open_gate('waits');
    ok($stream->wait_answer(59), 'all are answered');
}

# ---- announcements

sub announcement {
    my ($ms, $end, $kind, $data) = @_;

    return packet(ANNOUNCE, pack('q>Q>Q>', ms() + $ms, 0, $end) . 'k' x 16 . 'inst'
        . chr($kind) . $data);
}

{
    my $expired = refused('expired');
    my $one     = announcement(5000, 0, 1, '"x"');
    my $again   = refused('replayed');

    publish(announcement(-60, 0, 1, '"x"'));
    is(refused('expired') - $expired, 1, 'an announcement that is late');
    publish($one);
    is(refused('replayed') - $again, 0, 'one that is not');
    publish($one);
    is(refused('replayed') - $again, 1, 'and that comes again');
    is(refused('expired') - $expired, 1, 'is not late');
}

# ---- the test has a session: its acknowledgements

$redis->answer(sub {
    my ($conn, @words) = @_;

    return MCPTest::FakeRedis::array(unpack('H*', $me), 1)
        if $words[0] eq 'MGET';
    return ":1\r\n" if $words[0] eq 'PUBLISH' && $words[1] =~ /:w:/
        && $words[1] ne $channel;
    return;
});


# Posts a message; returns the POST, the attempt and the number of its packet.

sub posted {
    published();

    my $post = post($here, $far, request(1, 'ping'), async => 1);
    my $seen;

    run_until(sub { ($seen) = grep { $_->[0] eq MESSAGE } published();
        return $seen });

    return ($post, unpack('Q>', $seen->[2]), $seen->[1]);
}


sub acknowledge {
    my ($attempt, $number, $ack) = @_;

    return publish(packet(ACK, pack 'Q>Q>C', $attempt, $number, $ack));
}


my $acks = sub {
    my $all = metrics($here);

    return join ' ', map { $all->{'nginx_mcp_sse_redis_acknowledgements_total'
        . qq({result="$_"})} } qw(accepted full unknown);
};

# a session that the owner does not know may come back: the POST waits

for my $case ([ 1, 202, '1 0 0' ], [ 5, 202, '1 0 0' ], [ 2, 429, '0 1 0' ],
    [ 3, 0, '0 0 1' ], [ 0, 0, '0 0 1' ], [ 6, 0, '0 0 1' ])
{
    my ($ack, $status, $want) = @$case;
    my ($post, $attempt, $number) = posted();
    my @before = split / /, $acks->();

    acknowledge($attempt, $number, $ack);
    $post->wait if $status;
    is($post->status || 0, $status, "acknowledgement $ack: "
        . ($status || 'the POST waits'));

    my @after = split / /, $acks->();

    is(join(' ', map { $after[$_] - $before[$_] } 0 .. 2), $want,
        'it is counted');

    my @confirmed = grep { $_->[0] ne MESSAGE } published();

    is_deeply([ map { [ $_->[0], unpack 'Q>', $_->[2] ] } @confirmed ],
        $ack == 5 ? [ [ CONFIRM, $number ] ] : [],
        $ack == 5 ? 'and confirmed' : 'and not confirmed');
    $post->{conn}->close;
}

{
    my ($post, $attempt, $number) = posted();

    acknowledge($attempt + 1, $number, 1);
    acknowledge($attempt, $number + 1, 1);
    as($other);
    acknowledge($attempt, $number, 1);
    as($me);
    ok(!$post->ended, 'acknowledgements of another attempt, another packet, '
        . 'another worker have no effect');
    acknowledge($attempt, $number, 1);
    $post->wait;
    is($post->status, 202, 'the right one has');
    acknowledge($attempt, $number, 3);
    $post->{conn}->close;
}

{
    my ($post, $attempt, $number) = posted();

    acknowledge($attempt, $number, 4);
    ok(!$post->ended, 'stream lost: the POST waits');
    $post->{conn}->close;
}

$_->close for $stream, $far;

finish();
