# A message for another instance, step by step: what Redis says of the owner, of
# the packet and of its receiver, and what becomes of the POST; packets and
# acknowledgements that are lost or come twice; each counter.
# docs/PROTOCOL.md 4.5, 11.3, 11.4, 11.7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use MCPTest::FakeRedis;
use MCPTest::HTTP;
use Test::More;

use constant GRACE => 30;

my $clock = MCPTest::Clock->new;
my $redis = MCPTest::FakeRedis->new;

my ($owner, $sender) = map {
    local $ENV{LD_PRELOAD} = $clock->path;

    start_http(redis => $redis->url, redis_opt =>
        'timeout=3h connect_timeout=3h', http => 'mcp_sse_grace '
        . GRACE . 's; mcp_sse_auth_cache 3h; mcp_sse_auth_recheck 3h;')
} 1, 2;

ok(wait_ready($owner, $sender), 'two instances are ready');

my %worker = map { $_ => 1 } map { /:k:(\w+)\z/ } keys %{ $redis->keys };
my $stream = open_stream($owner);

run_until(sub { grep { /:s:/ } keys %{ $redis->keys } });

my ($key)  = grep { /:s:/ } keys %{ $redis->keys };
my $there  = $redis->keys->{$key};
my ($here) = grep { $_ ne $there } keys %worker;


# What has moved of the counters of deliveries while the code runs.

sub counts {
    my ($nginx) = @_;

    my $all = metrics($nginx);

    return { map { my ($name) = /nginx_mcp_sse_(.*)/; ($name =~
        s/_total|result=|reason=|path=|["{}]/ /gr =~ s/ +/ /gr =~ s/ \z//r,
        $all->{$_}) } grep { /redis_(?!conn|up|workers)|handovers/ }
        keys %$all };
}


sub moved {
    my ($nginx, $code) = @_;

    my $before = counts($nginx);

    $code->();

    my $after = counts($nginx);

    return { map { $after->{$_} == $before->{$_} ? ()
        : ($_ => $after->{$_} - $before->{$_}) } keys %$after };
}


# Moves the clocks.  After ten seconds workers ask for the time of Redis again.

sub later {
    my ($seconds) = @_;

    $redis->said;
    $clock->advance($seconds);
    run_until(sub { $redis->has_said(qr/\ATIME/) >= 2 }) if $seconds > 10;
    sleep_for(0.7);
    get($_, '/health') for $owner, $sender;

    return;
}


my $id = 0;

sub send_one {
    return post($sender, $stream, request(++$id, 'ping'), async => 1);
}


sub ended {
    my ($post) = @_;

    $post->wait;
    $post->{conn}->close;

    my ($executed) = $post->body =~ /"executed":"(\w+)"/;

    return join ' ', $post->status, defined $executed ? $executed : ();
}


# ids are new for the time of the grace, and so is the loss of data

later(GRACE + 10);

# ---- accepted

my $post;
my $got = moved($owner, sub {
    is_deeply(moved($sender, sub { is(ended(send_one()), 202,
        'a message is accepted') }), {
            'handovers redis' => 1, 'redis_sent' => 1,
            'redis_acknowledgements accepted' => 1 },
        'the sender counts a message and its acknowledgement');
});

is_deeply($got, { 'redis_received' => 1 }, 'the owner counts it as received');
ok($stream->wait_answer($id), 'it is answered');

# ---- twice: the packet, its acknowledgement

for my $case (
    [ 'a packet', $there, 1, { 'redis_received' => 1, 'redis_duplicates' => 1 } ],
    [ 'an acknowledgement', $here, 0, { 'redis_received' => 1 } ],
) {
    my ($name, $to, $packet, $want) = @$case;

    $redis->answer(sub {
        my ($conn, @words) = @_;

        return if $words[0] ne 'PUBLISH' || $words[1] !~ /:w:$to/
            || $conn->{name} ne 'mcp-sse-cmd' || length $words[2] < 60;

        $redis->usual($conn, @words);
        return;
    });

    my $sent;
    my $received = moved($owner, sub {
        $sent = moved($sender, sub { ended(send_one()) });
        $stream->wait_answer($id);
    });

    is_deeply($received, $want, "$name that comes twice: the owner");
    is($sent->{'redis_acknowledgements accepted'}, 1, 'the sender');
    is(scalar $stream->answers($id), 1, 'it is answered once');
}

# ---- lost: the acknowledgement, then the packet

for my $to ($here, $there) {
    my $name = $to eq $here ? 'an acknowledgement' : 'a packet';
    my $lost = 0;

    $redis->answer(sub {
        my ($conn, @words) = @_;

        return if $words[0] ne 'PUBLISH' || $words[1] !~ /:w:$to/
            || length $words[2] < 60 || $lost;

        # probes have a header only

        $lost++;
        return ":1\r\n";
    });

    my $sent;
    my $received = moved($owner, sub {
        $sent = moved($sender, sub {
            my $post = send_one();

            run_until(sub { $lost });
            sleep_for(0.2);
            ok(!$post->ended, "$name is lost: the POST waits");
            $clock->advance(1);
            is(ended($post), 202, 'it is sent again and accepted');
        });
        $stream->wait_answer($id);
    });

    cmp_ok(delete $sent->{'redis_resent'}, '>=', 1, 'which is counted');
    is_deeply($sent, { 'handovers redis' => 1, 'redis_sent' => 1,
        'redis_acknowledgements accepted' => 1 }, 'the message is once');
    is($received->{'redis_received'}, 1, 'it is received once');
    is(scalar $stream->answers($id), 1, 'it is answered once');
}

# ---- nobody listens: the lease tells whether the worker lives

for my $case (
    [ 'it lives', ":1\r\n", '503 no' ],
    [ 'it does not', ":0\r\n", '400' ],
    [ 'an error', "-ERR no\r\n", '503 no' ],
    [ 'no number', "\$1\r\n0\r\n", '503 no' ],
) {
    my ($name, $lease, $end) = @$case;

    $redis->answer(sub {
        my ($conn, @words) = @_;

        return $lease if $words[0] eq 'EXISTS';
        return $words[0] eq 'PUBLISH' && $words[1] =~ /:w:$there/
            && length $words[2] >= 60 ? ":0\r\n" : undef;
    });
    $redis->said;

    my $post = send_one();

    ok(run_until(sub { $redis->has_said(qr/\AEXISTS \S+:k:$there\z/) >= 2 }),
        "nobody listens, $name: the lease is asked for, and again");
    ok(!$post->ended, 'the POST waits');
    later(GRACE + 10);
    is(ended($post), $end, "then it is $end");
    is(scalar $stream->answers($id), 0, 'it does not run');
}

# ---- it is received, and never acknowledged; or refused by Redis

for my $case (
    [ 'an acknowledgement never comes', ":1\r\n", '503 unknown' ],
    [ 'Redis refuses it', "-NOPERM no\r\n", '503 no' ],
    [ 'no reply that tells', "+OK\r\n", '503 unknown' ],
) {
    my ($name, $reply, $end) = @$case;

    $redis->answer(sub {
        my ($conn, @words) = @_;

        return $words[0] eq 'PUBLISH' && $words[1] =~ /:w:$there/
            && length $words[2] >= 60 ? $reply : undef;
    });
    $redis->said;

    my $sent = moved($sender, sub {
        my $post = send_one();

        run_until(sub { $redis->has_said(qr/\APUBLISH \S+:w:$there/) >= 2 });
        later(GRACE + 10);
        is(ended($post), $end, "$name: the POST is $end");
    });

    is($sent->{'redis_unanswered'}, 1, 'which is counted')
        if $end =~ /unknown/;
    is($sent->{'handovers redis'} || 0, 0, 'it is not accepted');
}

# ---- what Redis says of the owner

my $bulk = \&MCPTest::FakeRedis::bulk;
my $nil  = "\$-1\r\n";

for my $case (
    [ 'nobody has it', "*2\r\n$nil" . $bulk->(1), '400', 1 ],
    [ 'this worker had it', "*2\r\n" . $bulk->($here) . $bulk->(1), '400', 1 ],
    [ 'no id', "*2\r\n" . $bulk->('x' x 32) . $bulk->(1), '400', 1 ],
    [ 'a short id', "*2\r\n" . $bulk->(substr $there, 1) . $bulk->(1), '400',
        1 ],
    [ 'an error', "-OOM no memory\r\n", '503 no', 0 ],
    [ 'a number', ":1\r\n", '503 no', 0 ],
    [ 'one element', "*1\r\n$nil", '503 no', 0 ],
    [ 'three elements', "*3\r\n$nil$nil$nil", '503 no', 0 ],
    [ 'neither it nor the lease', "*2\r\n$nil$nil", '503 no', 0 ],
) {
    my ($name, $reply, $end, $at_once) = @$case;
    my $said = 0;

    $redis->answer(sub { return $_[1] eq 'MGET' ? $reply : undef });

    my $post = send_one();

    if (!$at_once) {
        $redis->said;
        run_until(sub { $redis->has_said(qr/\AMGET \Q$key\E \S+:k:$here\z/)
            >= 2 });
        ok(!$post->ended, "$name: the POST waits");
        later(GRACE + 10);
    }

    is(ended($post), $end, "$name: it is $end");
    $redis->answer(undef);
    later(11);
}

is(ended(send_one()), 202, 'then a message is accepted');
ok($stream->wait_answer($id), 'and answered');
like($sender->error_log, qr/refuses a command: OOM no memory/,
    'the log has the error');
like($sender->error_log, qr/has lost its data/, 'and the loss of the data');

# ---- the owner refuses: counters of acknowledgements

$stream->close;
run_until(sub { health($owner)->{active_connections} == 0 });

{
    my $sent = moved($sender, sub {
        $post = send_one();
        run_until(sub { counts($sender)->{'redis_sent'} });
        sleep_for(0.5);
        ok(!$post->ended, 'the stream is lost: the POST waits');
        later(GRACE + 10);
        is(ended($post), '400', 'then it is 400');
    });

    is($sent->{'redis_acknowledgements accepted'} || 0, 0, 'it is not accepted');
    is($sent->{'handovers redis'} || 0, 0, 'nor handed over');
}

finish();
