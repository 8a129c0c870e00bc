# Redis, and a program that can write to it, sees no credential and no content,
# and cannot make, change, redirect or repeat a message: packets are sealed.
# docs/PROTOCOL.md 11.11.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use MIME::Base64 qw(encode_base64);
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();


# what Redis can read

{
    my $redis    = start_redis();
    my $key      = MCPTest::Nginx::random_key();
    my $monitor  = $redis->monitor;
    my $listener = $redis->subscribe('*');
    my ($here, $there) = start_instances(2, redis => $redis,
        key_file => MCPTest::Nginx::key_file($key));
    my $stream   = open_stream($here);
    my $bearer   = open_stream($there, auth =>
        MCPTest::credential('bob', 'bearer'));
    my %seen;

    # look at all keys again and again while messages go both ways

    for my $n (1 .. 10) {
        call($there, $stream, tool($n, 'echo', { text => 'Marker-of-text' }),
            headers => [ 'User-Agent', 'Marker-of-agent' ]);
        call($here, $bearer, request($n, 'tools/list'));
        post($there, $stream, notification('notifications/marker-of-method'));
        $seen{$_} = 1 for map { %{$_} } _flat($redis->dump);
    }

    post($there, $stream, tool(11, 'echo', { text => 'Marker-of-text' }),
        auth => MCPTest::credential('alice', 'basic'));
    ok($stream->wait_answer(11), 'the last of many messages is answered');
    ok(run_until(sub { $listener->messages >= 40 }),
        'the messages and their acknowledgements go through Redis');

    my @commands = $monitor->commands;
    my $all = join "\0", keys %seen, map({ @{ $_->{args} } } @commands),
        map { "$_->{channel}\0$_->{bytes}" } $listener->messages;

    cmp_ok(scalar(grep { uc $_->{args}[0] eq 'PUBLISH' } @commands), '>=', 20,
        'Redis executes a PUBLISH for each message');
    cmp_ok(scalar(grep { /\Amcp:[sk]:/ } keys %seen), '>=', 4,
        'Redis has keys for workers and sessions');

    my %secrets = (
        'an API secret'      => 'alice-secret',
        'an API key'         => 'alice-key',
        'a bearer token'     => 'bob-token',
        'a Basic credential' => 'YWxpY2Uta2V5OmFsaWNlLXNlY3JldA',
        'an e-mail address'  => 'alice@example.com',
        'a domain'           => '@example.com',
        'an argument'        => 'Marker-of-text',
        'a User-Agent'       => 'Marker-of-agent',
        'a method'           => 'tools/',
        'another method'     => 'marker-of-method',
        'a word of JSON-RPC' => 'jsonrpc',
        'a word of params'   => '"arguments"',
        'a header'           => 'Authorization',
        'a session id'       => $stream->session,
        'another'            => $bearer->session,
        'most of one'        => substr($stream->session, 2, 30),
        'the key'            => $key,
    );

    for my $what (sort keys %secrets) {
        my $secret = $secrets{$what};
        my @forms  = ($secret, unpack('H*', $secret), uc unpack('H*', $secret),
            join('', map { "$_\0" } split //, $secret));

        # in base64 it may begin at any of three positions

        for my $skip (0 .. 2) {
            my $text = encode_base64('x' x $skip . $secret, '');

            $text = substr $text, $skip ? 4 : 0;
            $text =~ s/.{0,3}=*\z//;
            push @forms, $text if length $text >= 6;
        }

        is(scalar(grep { index(lc $all, lc $_) >= 0 } @forms), 0,
            "Redis does not see $what");
    }

    # the same message is never the same bytes

    my @large = grep { length $_->{bytes} > 100 } $listener->messages;
    my %bytes = map { $_->{bytes} => 1 } @large;

    is(scalar keys %bytes, scalar @large, 'no two packets are equal');

    $_->close for $stream, $bearer, $monitor, $listener;
}


# Keys and values of a dump, as hashes of strings.

sub _flat {
    my ($dump) = @_;

    return map { my $value = $dump->{$_}{value};
        +{ $_ => ref $value ? join("\0", @{$value}) : $value } }
        keys %{$dump};
}


# Returns forged copies of a message.

sub forgeries {
    my ($bytes) = @_;

    my $length = length $bytes;
    my %at     = map { $_ => 1 } 0 .. 95, $length - 40 .. $length - 1,
        map { int rand $length } 1 .. 40;
    my @all;

    for my $n (sort { $a <=> $b } grep { $_ >= 0 && $_ < $length } keys %at) {
        for my $bit (0x01, 0x80) {
            my $copy = $bytes;

            substr($copy, $n, 1) = chr(ord(substr $copy, $n, 1) ^ $bit);
            push @all, $copy;
        }
    }

    push @all, map { substr $bytes, 0, $_ } grep { $_ < $length }
        0 .. 100, $length / 2, $length - 16, $length - 1;
    push @all, substr($bytes, 1), "${bytes}x", $bytes x 2,
        "\0" x $length, "\xff" x $length, 'x' x 2_000_000,
        map { my $n = $_; join '', map { chr rand 256 } 1 .. $n }
            1, 16, 64, 100, 1000;

    return @all;
}


# While $lose{NAME} is true, what is published to an instance is lost on its
# way, except for what the test itself publishes, %own.

my (%lose, %own);


sub through {
    my ($redis, $name) = @_;

    my $head = "*3\r\n\$7\r\nmessage\r\n\$";
    my %rest;

    return MCPTest::Proxy->new(port => $redis->port, filter => sub {
        my ($way, $bytes, $number) = @_;

        return $bytes if $way ne 'down';

        my $in   = (delete $rest{$number} || '') . $bytes;
        my $pass = '';

        while ((my $at = index $in, $head) >= 0) {
            $pass .= substr $in, 0, $at, '';

            my ($push, $length) = $in
                =~ /\A(\Q$head\E\d+\r\n[^\r]*\r\n\$(\d+)\r\n)/ or last;
            my $whole = length($push) + $length + 2;

            last if length $in < $whole;

            my $message = substr $in, 0, $whole, '';

            # a worker publishes 46 bytes to itself to check its connection;
            # without them it would give up Redis

            $pass .= $message if !$lose{$name} || $length == 46
                || $own{ substr $message, length $push, $length };
        }

        # the beginning of another message

        if (index($in, $head) != 0 && $in !~ /\A\*(?:3.{0,20})?\z/s) {
            $pass .= $in;
            $in = '';
        }

        $rest{$number} = $in;

        return $pass;
    });
}


# How many messages an instance has refused for these reasons.

sub refused {
    my ($nginx, @reasons) = @_;

    my $values = metrics($nginx);
    my $n = 0;

    $n += $values->{qq(nginx_mcp_sse_redis_refused_total{reason="$_"})} || 0
        for @reasons;

    return $n;
}


# what a program that can write to Redis achieves

{
    my $redis    = start_redis();
    my $listener = $redis->subscribe('mcp:w:*');
    my %proxy    = map { $_ => through($redis, $_) } qw(here there);
    my %nginx    = map { $_ => start_nginx(redis =>
        $redis->url(port => $proxy{$_}->port), redis_opt => 'timeout=300s',
        http => 'mcp_sse_grace 300s;') } qw(here there);

    # The long grace keeps messages valid while the test works on them.  The
    # long time-out lets a proxy that gets no processor delay replies.

    $nginx{third} = start_nginx(redis => $redis,
        http => 'mcp_sse_grace 300s;');
    ok(wait_ready(values %nginx), 'three instances are ready');

    my ($here, $there, $third) = @nginx{qw(here there third)};
    my $history = MCPTest::History->new(frappe => $frappe);
    my $stream  = open_stream($here);
    my $other   = open_stream($here);
    my $pad     = 'x' x 6000;


    # Publishes messages, of which $refused are refused, and then bytes that are
    # no message: once these are refused, too, the instance has handled all
    # before them.  Returns false if Redis or the instance does not take them.

    my (%at, $junk);

    my $publisher;
    my $publish = sub {
        my ($channel, $refused, @bytes) = @_;

        my $nginx  = $at{$channel};
        my $before = refused($nginx, 'forged', 'malformed');

        push @bytes, 'no message ' . ++$junk;
        @own{@bytes} = (1) x @bytes;

        # the test's own listener counts as a subscriber, too

        $publisher ||= $redis->connect;

        my @sent = map { $publisher->send('PUBLISH', $channel, $_) } @bytes;

        # hundreds of them, one of 2 MB, pass a proxy that may get no processor

        run_until(sub { !grep { !$_->{done} } @sent }, hang_after() + @bytes);

        return !(grep { ($_->{reply} || 0) < 2 } @sent) && run_until(sub {
            return refused($nginx, 'forged', 'malformed') - $before
                > $refused;
        }, hang_after() + @bytes);
    };

    my $ran = sub {
        my ($post) = @_;

        return scalar grep { $_->{key} eq $post->{key} } $frappe->started;
    };

    # the channels of the owner and of the worker that posts to it

    my $first = $history->call($there, $stream, arguments => { p => $pad });

    $first->{response}->wait;
    is($first->{response}->status, 202, 'a message between them is accepted');
    run_until(sub { $listener->messages >= 2 });

    my ($message) = grep { length $_->{bytes} > 5000 } $listener->messages;
    my ($ack) = $message ? grep { $_->{channel} ne $message->{channel}
        && $_->{time} >= $message->{time} } $listener->messages : ();

    if (!ok($message && $ack, 'a listener sees it and its acknowledgement')) {
        finish();
        exit;
    }

    my ($owner, $producer) = map { $_->{channel} } $message, $ack;
    my ($elsewhere) = grep { $_ ne $owner && $_ ne $producer }
        map { s/:k:/:w:/r } grep { /:k:/ } keys %{ $redis->dump };

    isnt($owner, $producer, 'each worker has its channel');
    %at = ($owner => $here, $producer => $there, $elsewhere => $third);

    # repeated: known packet numbers are not run

    ok($publish->($owner, 0, ($message->{bytes}) x 20),
        'the owner reads 20 copies of the message');
    ok($publish->($producer, 0, ($ack->{bytes}) x 20),
        'the other worker reads 20 copies of the acknowledgement');
    is($ran->($first), 1, 'a repeated message does not run again');
    is(metrics($here)->{nginx_mcp_sse_redis_duplicates_total}, 20,
        'repeated messages count as duplicates');

    # sent to other workers

    ok($publish->($producer, 1, $message->{bytes})
        && $publish->($owner, 1, $ack->{bytes})
        && $publish->($elsewhere, 2, $message->{bytes}, $ack->{bytes}),
        'a worker refuses packets for another worker');
    is($ran->($first), 1, 'a redirected message does not run');

    # A message that never reached its owner: forgeries of it are as fresh as
    # it is.  Its sender is killed, so that it is not sent again.

    my $lost = sub {
        my ($at, $of) = @_;

        $lose{here} = 1;
        $listener->{pushed} = [];

        my $post = $history->call($at, $of, arguments => { p => $pad },
            excused => 1);
        my $seen;

        run_until(sub {
            ($seen) = grep { length $_->{bytes} > 5000 } $listener->messages;
            return $seen;
        });

        # Redis has executed all commands of the sender once it has noticed the
        # end of its connections; what it sent to the owner comes before what
        # is published next

        my @left = $redis->clients;

        kill KILL => $at->pid, $at->worker_pids;
        $at->_wait_exit;
        run_until(sub { $redis->clients == @left - 2 });
        $publish->($owner, 0);
        $lose{here} = 0;

        return ($post, $seen ? $seen->{bytes} : '');
    };

    my ($fresh, $bytes) = $lost->($third, $stream);

    cmp_ok(length $bytes, '>', 5000,
        'the test has a message that its owner has not seen');

    my @forgeries = forgeries($bytes);

    ok($publish->($owner, scalar @forgeries, @forgeries),
        'the owner refuses and counts each forgery');
    ok($publish->($producer, 1, $bytes),
        'another worker refuses the genuine message');
    is($ran->($fresh), 0,
        'a message that is changed, cut or extended does not run');
    is(health($here)->{status}, 'healthy',
        'the owner is healthy after all forgeries');
    ok(!$stream->ended, 'the stream stays open after all forgeries');

    my $log   = $here->error_log;
    my @lines = split /\n/, $log;

    like($log, MCPTest::Redis::pattern('dropped'),
        'the log says that messages were dropped');
    cmp_ok(scalar(grep { /\[(?:warn|error)\]/ } @lines), '<', 20,
        'the log has few lines about forgeries') or diag(scalar @lines);

    # unchanged, the same bytes run: the forgeries were made of the right ones

    $publish->($owner, 0, ($bytes) x 5);
    ok($stream->wait_answer($fresh->{id}),
        'the same message, unchanged, is answered');
    is($ran->($fresh), 1, 'of five unchanged copies one runs');
    ok(passed($here, $stream), 'a ping behind the copies is answered');
    is(scalar($stream->answers($fresh->{id})), 1,
        'five unchanged copies have one answer');
    is(scalar($other->messages), 0, 'no other stream has the answer');

    # after the end of mcp_sse_grace

    my $fourth = start_nginx(redis => $redis, http => 'mcp_sse_grace 3s;');

    wait_ready($fourth);

    ($fresh, $bytes) = $lost->($fourth, $stream);
    cmp_ok(length $bytes, '>', 5000,
        'the test has another message that its owner has not seen');
    sleep_for(4);
    $publish->($owner, 0, ($bytes) x 3);
    is($ran->($fresh), 0, 'a message does not run after its grace');
    is(refused($here, 'expired'), 3, 'late messages count as expired');

    # acknowledgements: the genuine one is lost, no other has an effect

    $lose{there} = 1;
    $listener->{pushed} = [];

    my $waiting = $history->call($there, $stream, arguments => { p => $pad });

    ok(run_until(sub { grep { $_->{channel} eq $producer }
        $listener->messages }), 'the test holds back an acknowledgement');

    my ($true) = grep { $_->{channel} eq $producer } $listener->messages;

    # only what the test publishes arrives

    @forgeries = forgeries($true->{bytes});

    ok($publish->($producer, 1, $ack->{bytes}, $message->{bytes})
        && $publish->($producer, scalar @forgeries, @forgeries),
        'old, foreign and changed acknowledgements are refused');
    ok(!$waiting->{response}->ended,
        'no such acknowledgement makes a message accepted')
        or diag($waiting->{response}->status);
    $publish->($producer, 0, $true->{bytes});
    ok(run_until(sub { $waiting->{response}->ended }),
        'the genuine acknowledgement ends the wait of the POST');
    is($waiting->{response}->status || 'none', 202,
        'with the genuine acknowledgement the POST is 202');
    $lose{there} = 0;

    # another program changes the keys

    my $fifth = start_nginx(redis => $redis, http => 'mcp_sse_grace 2s;');

    wait_ready($fifth);

    for my $value ('', 'x', "\0" x 32, 'f' x 32, 'x' x 100_000,
        ($owner =~ /w:(.*)/)[0] . 'x')
    {
        $redis->cmd('SET', $_, $value)
            for grep { /:s:/ } keys %{ $redis->dump };

        # wait until the instance has read that value

        my $asked = sub { $redis->calls('mget') };
        my $n     = $asked->();

        $history->call($fifth, $stream);
        run_until(sub { $asked->() > $n });
    }

    for my $key (keys %{ $redis->dump }) {
        $redis->cmd('DEL', $key);
        $redis->cmd('LPUSH', $key, 'x');
    }

    # the workers check their keys every second

    sleep_for(1.5);
    ok(call($here, $stream, request(1, 'ping')),
        'wrong values of keys do not affect own sessions');
    $redis->cmd('FLUSHALL');
    ok(wait_ready($here, $there, $fifth),
        'all instances are ready after wrong values and FLUSHALL');

    # the key of the session is written again within a second or two

    my $again;

    ok(run_until(sub {
        $again = $history->call($fifth, $stream);
        $again->{response}->wait;
        return ($again->{response}->status || 0) == 202;
    }), 'then messages between instances are accepted again');

    my @odd = grep { !/\A(?:202|400|503|none)\z/ }
        keys %{ $history->statuses };

    is_deeply(\@odd, [], 'each POST of the whole test is 202, 400 or 503')
        or diag(explain($history->statuses));
    $history->ok('nothing runs twice or after its refusal');
    $_->allow(qr/exited on signal 9/) for $third, $fourth;
    $_->close for $stream, $other;
}

finish();
