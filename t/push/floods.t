# What Frappe publishes in floods: nothing of a call is lost or out of order, a
# client that does not read holds nobody up, and what is for others, or
# malformed, costs little and says little.  docs/PROTOCOL.md 16.16 to 16.18.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(run_until);
use MCPTest::HTTP;
use MCPTest::Metrics qw(counters since);
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $redis  = start_redis();
my $frappe = frappe();
my $nginx  = start_push(push => $redis, mcp => '', workers => 1,
    config => sub {
        return $_[0]->template =~ s/(listen 127\.0\.0\.1:\d+)/$1 sndbuf=16k/r;
    });

my $MESSAGE = 'notifications/message';


sub loggers {
    return map { $_->{params}{logger} } $_[0]->notifications($MESSAGE);
}


# Publishes n times what is in the list, 1,000 commands in one write; returns
# once Redis has taken them.

sub flood {
    my ($n, @bytes) = @_;

    my $conn = $redis->connect;
    my $left = $n;

    while ($left > 0) {
        my $part  = $left < 1000 ? $left : 1000;
        my @slots = map { $conn->send('PUBLISH', 'mcp:events',
            $bytes[$_ % @bytes]) } 1 .. $part;

        run_until(sub { $slots[-1]{done} });
        $left -= $part;
    }

    return;
}


# Makes a call that pushes.  On a busy machine 50 ms may be short for what it has
# published: then the answer does not wait any longer, which is counted, and the
# call is made again.

sub in_time {
    my ($call) = @_;

    for (1 .. 5) {
        my $late = counters($nginx)->{event_barriers_late};

        $call->();
        return if counters($nginx)->{event_barriers_late} == $late;
    }

    return;
}


# ---- 1,000 messages of one call

my $all = join ' ', 1 .. 1000;

for my $case (
    [ 'HTTP+SSE', sub {
        my $stream = open_stream($nginx);

        post($nginx, $stream, $_[0]);

        return $stream;
    }, sub { $_[0]->wait_answer(1) } ],
    [ 'a POST', sub { http_post($nginx, $_[0], async => 1) },
        sub { $_[0]->wait; return $_[0]->answer } ],
) {
    my ($name, $begin, $end) = @{$case};

    my ($client, $answer);

    in_time(sub {
        $client = $begin->(tool(1, 'push_flood', { n => 1000 }));
        $answer = $end->($client);
    });

    is(join(' ', loggers($client)), $all,
        "$name: 1,000 messages of a call arrive, in order");
    like($answer, qr/"result"/, "$name: the call is answered");
    ok(!defined $client->{messages}[999]{raw_id}
            && defined $client->{messages}[1000]{raw_id},
        "$name: after them");
}

# ---- a client that does not read

{
    my $before = counters($nginx);
    my $slow   = open_stream($nginx, rcvbuf => 4096);

    $slow->pause;
    post($nginx, $slow, tool(1, 'push_flood', { n => 1000, bytes => 5000 }));
    run_until(sub {
        my $moved = since($nginx, $before);

        return ($moved->{'events queue_full'} || 0)
            + ($moved->{'events delivered'} || 0) == 1000;
    });

    my $lost = since($nginx, $before)->{'events queue_full'};

    ok($lost, 'a client that does not read: what is too much is dropped');
    ok($lost < 1000, 'the rest waits for it');

    my $got;

    in_time(sub {
        $got = http_post($nginx, tool(2, 'push_log', {}), async => 1);
        $got->wait;
    });

    is(scalar($got->notifications($MESSAGE)), 1, 'others get theirs');
    ok(!$slow->{ended}, 'its stream is not closed');
    $slow->resume;
    like($slow->wait_answer(1), qr/"result"/, 'it gets the answer');

    my @came = loggers($slow);

    is(scalar @came, 1000 - $lost, 'and what was not dropped');
    is("@came", join(' ', sort { $a <=> $b } @came), 'in order');
    $slow->close;
}

# ---- messages for others: a call of another worker, a user of another site, a
# site; calls go on meanwhile

{
    my $before = counters($nginx);
    my $params = { level => 'info', data => 'x' x 200 };
    my $stream = open_stream($nginx);
    my $held   = http_post($nginx, tool(1, 'hold', { gate => 'g', key => 'k' }),
        async => 1);
    my $own    = call_id('k');
    my $other  = join '', map { chr(ord('A') + $_ % 26) } 1 .. 12;

    $other .= substr $own, 12;

    my @for_others = map { push_bytes({ method => $MESSAGE, params => $params,
        %{$_} }) } { call => $other }, { user => 'nobody@example.com' },
        { site => 'elsewhere' };

    for my $round (1 .. 10) {
        flood(3000, @for_others);
        like(call($nginx, $stream, tool($round, 'echo', {})), qr/"result"/,
            "3,000 messages for others: calls go on, round $round");
    }

    publish($redis, { call => $own, method => $MESSAGE, params => $params });
    ok(run_until(sub { $held->notifications($MESSAGE) }),
        'the own message is found among them');
    is(scalar($stream->notifications($MESSAGE)), 0,
        'nobody gets what is for others');

    my $moved = since($nginx, $before);

    is(join(' ', map { "$_=$moved->{$_}" } grep { /^events / && $moved->{$_} }
            sort keys %{$moved}), 'events delivered=1',
        'what is for others is not counted');

    frappe()->open_gate('g');
    $held->wait;
    $stream->close;
}

# ---- malformed ones, and those of a call that has ended

{
    my $before = counters($nginx);
    my $ended  = $frappe->last_headers->{'x-mcp-call'};
    my $lines  = () = $nginx->error_log =~ /that Frappe has published is/g;

    flood(2000, '{"site":"erp.example.com","call":1}', push_bytes({
        call => $ended, method => $MESSAGE,
        params => { level => 'info', data => 'late' } }));

    my %want = ('events malformed' => 1000, 'events ended' => 1000);

    ok(run_until(sub {
        my $moved = since($nginx, $before);

        return !grep { ($moved->{$_} || 0) < $want{$_} } keys %want;
    }), 'malformed ones and those for ended calls are counted')
        or diag(explain(since($nginx, $before)));

    my $now = () = $nginx->error_log =~ /that Frappe has published is/g;

    cmp_ok($now - $lines, '<=', 3, 'and logged once in 10 seconds');
}

finish();
