# Redis, and who can write to it, sees nothing, and cannot make anything run:
# what is on the bus is sealed.  docs/PROTOCOL.md 11.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use MIME::Base64 qw(encode_base64);
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();


# nothing to be read

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

    # again and again, while messages go both ways

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
        'they went through Redis, with acknowledgements');

    my @commands = $monitor->commands;
    my $all = join "\0", keys %seen, map({ @{ $_->{args} } } @commands),
        map { "$_->{channel}\0$_->{bytes}" } $listener->messages;

    cmp_ok(scalar(grep { uc $_->{args}[0] eq 'PUBLISH' } @commands), '>=', 20,
        'as commands');
    cmp_ok(scalar(grep { /\Amcp:[sk]:/ } keys %seen), '>=', 4,
        'and keys were there');

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

        # in base64 it may begin at any of three places

        for my $skip (0 .. 2) {
            my $text = encode_base64('x' x $skip . $secret, '');

            $text = substr $text, $skip ? 4 : 0;
            $text =~ s/.{0,3}=*\z//;
            push @forms, $text if length $text >= 6;
        }

        is(scalar(grep { index(lc $all, lc $_) >= 0 } @forms), 0,
            "Redis does not see $what");
    }

    # the same message twice is not the same bytes

    my @large = grep { length $_->{bytes} > 100 } $listener->messages;
    my %bytes = map { $_->{bytes} => 1 } @large;

    is(scalar keys %bytes, scalar @large, 'no two messages are the same');

    $_->close for $stream, $bearer, $monitor, $listener;
}


# Keys and values of a dump, as hashes of strings.

sub _flat {
    my ($dump) = @_;

    return map { my $value = $dump->{$_}{value};
        +{ $_ => ref $value ? join("\0", @{$value}) : $value } }
        keys %{$dump};
}


# Changed copies of a message.

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


# What is published to an instance is lost on its way when $lose{NAME} is true,
# but for the bytes that the test publishes itself, %own.

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

            # a worker that does not hear itself any more loses Redis: what it
            # publishes to itself has 46 bytes

            $pass .= $message if !$lose{$name} || $length == 46
                || $own{ substr $message, length $push, $length };
        }

        # the begin of another one

        if (index($in, $head) != 0 && $in !~ /\A\*(?:3.{0,20})?\z/s) {
            $pass .= $in;
            $in = '';
        }

        $rest{$number} = $in;

        return $pass;
    });
}


# How many messages an instance did not believe, by reason.

sub refused {
    my ($nginx, @reasons) = @_;

    my $values = metrics($nginx);
    my $n = 0;

    $n += $values->{qq(nginx_mcp_sse_redis_refused_total{reason="$_"})} || 0
        for @reasons;

    return $n;
}


# nothing to be written

{
    my $redis    = start_redis();
    my $listener = $redis->subscribe('mcp:w:*');
    my %proxy    = map { $_ => through($redis, $_) } qw(here there);
    my %nginx    = map { $_ => start_nginx(redis =>
        $redis->url(port => $proxy{$_}->port), http => 'mcp_sse_grace 300s;') }
        qw(here there);

    # messages stay good while the test is at work on them

    $nginx{third} = start_nginx(redis => $redis,
        http => 'mcp_sse_grace 300s;');
    ok(wait_ready(values %nginx), 'three instances');

    my ($here, $there, $third) = @nginx{qw(here there third)};
    my $history = MCPTest::History->new(frappe => $frappe);
    my $stream  = open_stream($here);
    my $other   = open_stream($here);
    my $pad     = 'x' x 6000;


    # Publishes all these, of which so many are refused, and then what is no
    # message at all: when that is refused, too, the instance has handled all
    # that came before.  False if Redis or the instance does not take them.

    my (%at, $junk);

    my $publish = sub {
        my ($channel, $refused, @bytes) = @_;

        my $nginx  = $at{$channel};
        my $before = refused($nginx, 'forged', 'malformed');

        push @bytes, 'no message ' . ++$junk;
        @own{@bytes} = (1) x @bytes;

        # the test listens, too

        my @taken = map { $redis->cmd('PUBLISH', $channel, $_) } @bytes;

        return !(grep { $_ < 2 } @taken) && run_until(sub {
            return refused($nginx, 'forged', 'malformed') - $before
                > $refused;
        });
    };

    my $ran = sub {
        my ($post) = @_;

        return scalar grep { $_->{key} eq $post->{key} } $frappe->started;
    };

    # where messages for the owner go, and its acknowledgements

    my $first = $history->call($there, $stream, arguments => { p => $pad });

    $first->{response}->wait;
    is($first->{response}->status, 202, 'a message');
    run_until(sub { $listener->messages >= 2 });

    my ($message) = grep { length $_->{bytes} > 5000 } $listener->messages;
    my ($ack) = $message ? grep { $_->{channel} ne $message->{channel}
        && $_->{time} >= $message->{time} } $listener->messages : ();

    if (!ok($message && $ack, 'and its acknowledgement were seen')) {
        finish();
        exit;
    }

    my ($owner, $producer) = map { $_->{channel} } $message, $ack;
    my ($elsewhere) = grep { $_ ne $owner && $_ ne $producer }
        map { s/:k:/:w:/r } grep { /:k:/ } keys %{ $redis->dump };

    isnt($owner, $producer, 'each worker has its channel');
    %at = ($owner => $here, $producer => $there, $elsewhere => $third);

    # again: known numbers are not run

    ok($publish->($owner, 0, ($message->{bytes}) x 20), 'it is sent again');
    ok($publish->($producer, 0, ($ack->{bytes}) x 20), 'the other one, too');
    is($ran->($first), 1, 'it is not run again');
    is(metrics($here)->{nginx_mcp_sse_redis_duplicates_total}, 20,
        'and counted');

    # where they do not belong

    ok($publish->($producer, 1, $message->{bytes})
        && $publish->($owner, 1, $ack->{bytes})
        && $publish->($elsewhere, 2, $message->{bytes}, $ack->{bytes}),
        'they are sent to others, too');
    is($ran->($first), 1, 'where it is not run');

    # A message that never reached its owner: forged ones are as fresh as it
    # is.  Its producer is gone, so that nobody sends it again.

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

        # Redis has done what it was told when it knows that nobody is there;
        # what is on its way to the owner then comes before what is published
        # next

        my @left = $redis->clients;

        kill KILL => $at->pid, $at->worker_pids;
        $at->_wait_exit;
        run_until(sub { $redis->clients == @left - 2 });
        $publish->($owner, 0);
        $lose{here} = 0;

        return ($post, $seen ? $seen->{bytes} : '');
    };

    my ($fresh, $bytes) = $lost->($third, $stream);

    cmp_ok(length $bytes, '>', 5000, 'a message that its owner has not seen');

    my @forgeries = forgeries($bytes);

    ok($publish->($owner, scalar @forgeries, @forgeries),
        'each forgery is refused and counted');
    ok($publish->($producer, 1, $bytes), 'the true one, too, elsewhere');
    is($ran->($fresh), 0, 'changed, cut or extended, it does not run');
    is(health($here)->{status}, 'healthy', 'the owner is well');
    ok(!$stream->ended, 'the stream is open');

    my $log   = $here->error_log;
    my @lines = split /\n/, $log;

    like($log, MCPTest::Redis::pattern('dropped'),
        'the log says that they were dropped');
    cmp_ok(scalar(grep { /\[(?:warn|error)\]/ } @lines), '<', 20,
        'in few lines') or diag(scalar @lines);

    # and to prove that it is the right bytes to forge: unchanged, it runs

    $publish->($owner, 0, ($bytes) x 5);
    ok($stream->wait_answer($fresh->{id}), 'unchanged, it is answered');
    is($ran->($fresh), 1, 'after it has run, once');
    ok(passed($here, $stream), 'and a ping after it');
    is(scalar($stream->answers($fresh->{id})), 1, 'once, too');
    is(scalar($other->messages), 0, 'on its own stream');

    # too late

    my $fourth = start_nginx(redis => $redis, http => 'mcp_sse_grace 3s;');

    wait_ready($fourth);

    ($fresh, $bytes) = $lost->($fourth, $stream);
    cmp_ok(length $bytes, '>', 5000, 'another message nobody has seen');
    sleep_for(4);
    $publish->($owner, 0, ($bytes) x 3);
    is($ran->($fresh), 0, 'after its time it does not run');
    is(refused($here, 'expired'), 3, 'and is counted');

    # acknowledgements: the true ones are lost, others do not make it accepted

    $lose{there} = 1;
    $listener->{pushed} = [];

    my $waiting = $history->call($there, $stream, arguments => { p => $pad });

    ok(run_until(sub { grep { $_->{channel} eq $producer }
        $listener->messages }), 'an acknowledgement that is lost');

    my ($true) = grep { $_->{channel} eq $producer } $listener->messages;

    # of those that are on their way only the test's own arrive

    @forgeries = forgeries($true->{bytes});

    ok($publish->($producer, 1, $ack->{bytes}, $message->{bytes})
        && $publish->($producer, scalar @forgeries, @forgeries),
        'old, foreign and changed ones arrive');
    ok(!$waiting->{response}->ended, 'and do not make a message accepted')
        or diag($waiting->{response}->status);
    $publish->($producer, 0, $true->{bytes});
    ok(run_until(sub { $waiting->{response}->ended }),
        'the true one does');
    is($waiting->{response}->status || 'none', 202, 'with 202');
    $lose{there} = 0;

    # the keys in the hands of somebody else

    my $fifth = start_nginx(redis => $redis, http => 'mcp_sse_grace 2s;');

    wait_ready($fifth);

    for my $value ('', 'x', "\0" x 32, 'f' x 32, 'x' x 100_000,
        ($owner =~ /w:(.*)/)[0] . 'x')
    {
        $redis->cmd('SET', $_, $value)
            for grep { /:s:/ } keys %{ $redis->dump };

        # until it has seen that value

        my $asked = sub { $redis->calls('mget') };
        my $n     = $asked->();

        $history->call($fifth, $stream);
        run_until(sub { $asked->() > $n });
    }

    for my $key (keys %{ $redis->dump }) {
        $redis->cmd('DEL', $key);
        $redis->cmd('LPUSH', $key, 'x');
    }

    # the workers look at them every second

    sleep_for(1.5);
    ok(call($here, $stream, request(1, 'ping')), 'own sessions do not mind');
    $redis->cmd('FLUSHALL');
    ok(wait_ready($here, $there, $fifth), 'all is well again');

    # the session's presence is written again within a second or two

    my $again;

    ok(run_until(sub {
        $again = $history->call($fifth, $stream);
        $again->{response}->wait;
        return ($again->{response}->status || 0) == 202;
    }), 'and messages are delivered');

    my @odd = grep { !/\A(?:202|400|503|none)\z/ }
        keys %{ $history->statuses };

    is_deeply(\@odd, [], 'nothing but 202, 400, 503 was said')
        or diag(explain($history->statuses));
    $history->ok('nothing ran twice, or after its client was refused');
    $_->allow(qr/exited on signal 9/) for $third, $fourth;
    $_->close for $stream, $other;
}

finish();
