# Redis over TLS: messages between instances, large ones, reload, the end of a
# worker, and its faults: a handshake that does not end, a connection that is
# cut, holds or closes; a server that speaks no TLS, or only TLS.
# docs/PROTOCOL.md 11.32.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Certificates;
use MCPTest::FakeRedis;
use MCPTest::History;
use MCPTest::Load;
use MCPTest::TLS;
use Test::More;

MCPTest::Redis::need();
MCPTest::TLS::need();

my $frappe = start_frappe();
my $lost   = MCPTest::Redis::pattern('lost');
my $trust  = 'mcp_sse_redis_ssl_trusted_certificate '
    . MCPTest::Certificates->shared->ca . ';';

my $patience = 'timeout=2s connect_timeout=2s';


sub reason {
    my ($nginx) = @_;

    my @reasons = $nginx->error_log
        =~ /redis "[^"]*" is lost: (.*?); sessions of this instance go on/g;

    return $reasons[-1] || '';
}


sub log_count {
    my ($nginx, $pattern) = @_;

    return scalar(() = $nginx->error_log =~ /$pattern/g);
}


# How often the instances have lost Redis.

sub lost {
    my $n = 0;

    $n += metrics($_)->{nginx_mcp_sse_redis_connections_lost_total} for @_;

    return $n;
}


# what works

{
    my $redis = start_redis(tls => 1, requirepass => 'a-long-password');
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my ($here, $there) = my @nginx = map { start_nginx(
        redis => $redis->url(port => $proxy->port), workers => 2,
        http => "$trust mcp_sse_grace 300s;") } 1, 2;

    my $clear = '';

    $proxy->filter(sub {
        my ($way, $bytes) = @_;
        $clear .= $bytes if $way eq 'up';
        return $bytes;
    });

    ok(wait_ready(@nginx), 'two instances are ready');

    my $stream  = open_stream($here);
    my $history = MCPTest::History->new(frappe => $frappe);

    $history->call($there, $stream)->{response}->wait for 1 .. 20;
    is_deeply($history->statuses, { 202 => 20 }, 'messages are accepted');
    $history->ok('each is answered once');

    for my $size (300_000, 1_000_000) {
        my $text = join '', map { chr(97 + $_ % 26) } 1 .. $size;

        accepted(post($there, $stream, tool($size, 'echo',
            { text => $text })), "a message of $size bytes is accepted");
        ok(index($stream->wait_answer($size) || '', $text) >= 0,
            "a message of $size bytes arrives whole");
    }

    # many at once, more than a socket takes

    my @big = map { tool(5000 + $_, 'echo', { text => 'x' x 300_000 }) }
        1 .. 3;

    is_deeply([ map { $_->status } post_many($there, $stream, @big) ],
        [ (202) x 3 ], '3 messages of 300 kB at once are accepted');
    is(scalar(grep { $stream->wait_answer(5000 + $_) } 1 .. 3), 3,
        'each is answered');

    is(index($clear, 'PUBLISH'), -1, 'no command passes the network in clear');
    is(index($clear, 'a-long-password'), -1, 'nor does the password');
    $clear = '';
    $proxy->filter(undef);

    # reload, with calls that run

    my $run = $history->call($there, $stream, tool => 'hold',
        arguments => { gate => 'reload' });

    $_->reload for @nginx;
    ok(wait_ready(@nginx), 'after a reload both are ready');
    $frappe->open_gate('reload');
    $run->{response}->wait;
    is($run->{response}->status, 202, 'a call that runs is accepted');

    my $new = open_stream($here);

    $history->watch($new);
    $history->call($there, $new)->{response}->wait for 1 .. 5;
    $history->ok('after a reload messages are accepted and answered');

    # a worker that ends says goodbye: its keys are gone, its connections closed

    $_->close for $stream, $new;
    ok($there->quit, 'an instance ends');
    ok(run_until(sub { 4 == $redis->clients }),
        'the connections of its workers are closed');
    $_->stop for @nginx;
    $proxy->stop;
}

# the server stops, is stopped, restarts

{
    my $redis = start_redis(tls => 1);
    my @nginx = start_instances(2, redis => $redis, redis_opt => $patience,
        http => 'mcp_sse_grace 10s;');
    my $load  = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
        rate => 40);

    $load->fault(
        name    => 'Redis is stopped for 5 seconds',
        lost    => 1,
        seconds => 5,
        begin   => sub { $redis->pause },
        end     => sub { $redis->cont },
    );

    $load->fault(
        name    => 'Redis is killed and started again',
        lost    => 1,
        seconds => 2,
        begin   => sub { $redis->kill9 },
        end     => sub { $redis->run },
    );

    $load->close;
    $_->stop for @nginx;
}

# a connection that is cut, in the middle of a record and between, is held, or
# has one bit changed

{
    my $redis = start_redis(tls => 1);
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my ($here, $there) = my @nginx = map { start_nginx(
        redis => $redis->url(port => $proxy->port), redis_opt => $patience,
        http => "$trust mcp_sse_grace 10s;") } 1, 2;

    ok(wait_ready(@nginx), 'two instances are ready');

    my %faults = (
        'cut in the middle of a record' => sub {
            my ($way, $bytes, $number) = @_;

            if ($way eq 'down' && length $bytes > 20) {
                $proxy->filter(undef);
                my ($pair) = grep { $_->{number} == $number } $proxy->pairs;
                $pair->{down}->_other->_put(substr $bytes, 0, 20);
                $pair->end;
                return;
            }

            return $bytes;
        },
        'cut in the middle of a record that it sends' => sub {
            my ($way, $bytes, $number) = @_;

            if ($way eq 'up' && length $bytes > 20) {
                $proxy->filter(undef);
                my ($pair) = grep { $_->{number} == $number } $proxy->pairs;
                $pair->{up}->_other->_put(substr $bytes, 0, 20);
                $pair->end(1);
                return;
            }

            return $bytes;
        },
        'changed in one bit' => sub {
            my ($way, $bytes) = @_;

            if ($way eq 'down' && length $bytes > 20) {
                $proxy->filter(undef);
                substr($bytes, 12, 1) ^= "\1";
            }

            return $bytes;
        },
    );

    my $stream  = open_stream($here);
    my $history = MCPTest::History->new(frappe => $frappe);

    for my $fault (sort keys %faults) {
        my $before = lost(@nginx);

        $proxy->filter($faults{$fault});
        $history->call($there, $stream) for 1 .. 3;

        ok(run_until(sub { lost(@nginx) > $before }),
            "a connection that is $fault is lost");
        ok(wait_ready(@nginx), "... and another one is opened");
    }

    for my $how ({}, { reset => 1 }) {
        my $name = %{$how} ? 'reset' : 'closed';
        my @before = map { lost($_) } @nginx;

        $proxy->cut(%{$how});
        ok(run_until(sub { lost($nginx[$_]) > $before[$_] }),
            "connections that are $name are lost") for 0, 1;
        ok(wait_ready(@nginx), '... and others are opened');
    }

    $history->call($there, $stream)->{response}->wait for 1 .. 5;
    ok(run_until(sub { !grep { !$_->{status} } @{ $history->{sent} } }),
        'all messages have a status');
    $history->ok('each accepted call is answered once');

    # a server, or a network, that takes bytes slowly: nothing is lost

    my @slow = map { tool(7000 + $_, 'echo', { text => 'x' x 300_000 }) }
        1 .. 3;

    my $before = lost(@nginx);

    $proxy->pause('up');

    my @posts = map { post($there, $stream, $_, async => 1) } @slow;

    sleep_for(0.7);
    $proxy->resume;
    run_until(sub { !grep { !$_->ended } @posts });
    is_deeply([ map { $_->status } @posts ], [ (202) x 3 ],
        '3 messages of 300 kB that the network held are accepted');
    is(scalar(grep { $stream->wait_answer(7000 + $_) } 1 .. 3), 3,
        'each is answered');
    is(lost(@nginx), $before, 'Redis was not lost meanwhile');

    $stream->close;
    $_->stop for @nginx;
    $proxy->stop;
}

# a server that reads and says little at a time: records in pieces

{
    my $redis = start_redis(tls => 1);
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my (%later, %passed);

    # of the handshake, each turn of the loop passes 50 bytes on; then each
    # record is written in pieces, but without a pause: a Redis that takes more
    # than 100 ms to answer is not used

    $proxy->filter(sub {
        my ($way, $bytes, $number) = @_;

        $later{$number}{$way} .= $bytes;

        return;
    });

    my $ticker = ticker(sub {
        for my $pair ($proxy->pairs) {
            for my $way (qw(up down)) {
                my $held = \$later{ $pair->{number} }{$way};
                my $done = \$passed{ $pair->{number} }{$way};

                while (length(${$held} || '')) {
                    my $piece = substr ${$held}, 0,
                        length ${$held} > 5000 ? 4999 : 50, '';

                    ${$done} += length $piece;
                    $pair->{$way}->_other->_put($piece);
                    last if ${$done} < 2000;
                }
            }
        }
    });

    my ($here, $there) = my @nginx = map { start_nginx(
        redis => $redis->url(port => $proxy->port),
        redis_opt => 'timeout=30s connect_timeout=30s',
        http => "$trust mcp_sse_grace 300s;") } 1, 2;

    ok(wait_ready(@nginx), 'a handshake that comes in pieces succeeds');

    my $stream = open_stream($here);

    accepted(post($there, $stream, tool(1, 'echo', { text => 'y' x 20_000 })),
        'a message that passes in pieces is accepted');
    ok($stream->wait_answer(1), '... and answered');
    is(lost(@nginx), 0, 'Redis is not lost');
    $ticker->stop;
    $stream->close;
    $_->stop for @nginx;
    $proxy->stop;
}

# a handshake that does not end: at its begin, in the middle

for my $case ([ 'the server says nothing', 0 ],
    [ 'the server stops in the middle', 100 ])
{
    my ($name, $bytes) = @{$case};
    my $redis  = start_redis(tls => 1);
    my $proxy  = MCPTest::Proxy->new(port => $redis->port);
    my $silent = 1;
    my %passed;

    $proxy->filter(sub {
        my ($way, $data, $number) = @_;

        return $data if !$silent || $way eq 'up';

        my $left = $bytes - ($passed{$number} || 0);

        $passed{$number} += length $data;

        return $left > 0 ? substr($data, 0, $left) : undef;
    });

    my $from  = now();
    my $nginx = start_nginx(redis => $redis->url(port => $proxy->port),
        redis_opt => 'connect_timeout=500ms', http => $trust);

    ok($nginx->wait_log($lost), "$name: Redis is lost");
    cmp_ok(now() - $from, '>', 0.45, "$name: ... after connect_timeout");
    like(reason($nginx), qr/time|500 ms/, "$name: the log says why");

    # the worker does its work meanwhile

    my $stream = open_stream($nginx);

    ok(call($nginx, $stream, tool(1, 'echo', {})),
        "$name: a call of an own session is answered");
    is(health($nginx)->{status}, 'degraded', "$name: /health is degraded");

    # a reload and the end do not wait for the handshake

    my @old = $nginx->reload;

    $stream->close;
    ok($nginx->wait_gone(\@old), "$name: a worker in a handshake ends");
    $silent = 0;
    ok(wait_ready($nginx), "$name: then it goes on, and Redis is used");
    $silent = 1;
    $proxy->cut;
    sleep_for(0.2);
    ok($nginx->stop, "$name: nginx ends in a handshake");
    $proxy->stop;
}

# a server that closes in a handshake

{
    my $redis = MCPTest::FakeRedis->new;

    $redis->accept(sub { 0 });

    my $nginx = start_nginx(redis => 'rediss://127.0.0.1:' . $redis->port,
        http => $trust);

    ok($nginx->wait_log($lost), 'a server that closes at once: Redis is lost');
    like(reason($nginx), qr/clos|reset|eof/i, '... and the log says so');
    cmp_ok(log_count($nginx, $lost), '==', 1, 'there is one line in the log');
    $nginx->stop;
}

# plain and TLS do not meet

{
    my $plain = start_redis(requirepass => 'a-long-password');
    my $tls   = start_redis(tls => 1, requirepass => 'a-long-password');

    my %cases = (
        'rediss:// and a Redis without TLS' =>
            [ $plain->url =~ s/\Aredis:/rediss:/r,
                qr/wrong version|TLS handshake timed out/ ],
        'redis:// and a Redis with TLS' =>
            [ $tls->url =~ s/\Arediss:/redis:/r, qr/TLS/ ],
    );

    for my $case (sort keys %cases) {
        my ($url, $pattern) = @{ $cases{$case} };
        my $nginx = start_nginx(redis => $url, http => $trust);

        ok($nginx->wait_log($lost), "$case: Redis is lost");
        ok(run_until(sub { reason($nginx) =~ $pattern }),
            "$case: the log says why") or diag(reason($nginx));
        is(health($nginx)->{status}, 'degraded', "$case: /health is degraded");
        sleep_for(1);
        cmp_ok(log_count($nginx, qr/mcp sse: redis|SSL_/), '<', 4,
            "$case: the log has few lines");
        $nginx->stop;
    }
}

finish();
