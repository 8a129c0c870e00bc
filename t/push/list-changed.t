# That lists have changed: a session is told at a random time, and once a second
# at most, also of what has changed while its stream was lost.  docs/PROTOCOL.md
# 16.34, 16.35.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(now run_until sleep_for);
use MCPTest::HTTP;
use MCPTest::Metrics qw(counters since);
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my @KINDS = qw(tools prompts resources);

my $redis = start_redis();
my $nginx = start_push(push => $redis, workers => 2, mcp => '');


sub changed {
    my ($kind, %to) = @_;

    return publish($redis, { %to, method => "notifications/$kind/list_changed",
        params => { _meta => { a => 1 } } });
}


sub told {
    my ($stream, $kind) = @_;

    return grep { $_->{data} =~ m{"notifications/$kind/list_changed"} }
        $stream->messages;
}


# Waits until a worker has handled what was published so far.

sub passed_by {
    my ($worker) = @_;

    my $stream = open_stream($nginx, worker => $worker,
        auth => MCPTest::credential('bob'));

    publish($redis, { user => MCPTest::Frappe::user('bob'),
        method => 'notifications/elicitation/complete',
        params => { elicitationId => 'e' } });
    run_until(sub { $stream->messages });
    $stream->close;

    return;
}


# ---- whom, and what

{
    my $alice = open_stream($nginx);
    my $bob   = open_stream($nginx, auth => MCPTest::credential('bob'));

    my $before = counters($nginx);

    changed($_) for qw(tools resources);
    run_until(sub { $alice->messages == 2 && $bob->messages == 2 });
    is(since($nginx, $before)->{'events delivered'}, 4,
        'each session that is told counts');

    for my $stream ($alice, $bob) {
        is_deeply([ sort map { $_->{data} } $stream->messages ], [ map {
            qq({"jsonrpc":"2.0","method":"notifications/$_/list_changed"})
        } qw(resources tools) ], 'all sessions of the site are told');
    }

    changed('prompts', user => MCPTest::Frappe::user('bob'));
    ok(run_until(sub { told($bob, 'prompts') }), 'and those of a user');
    is(scalar told($alice, 'prompts'), 0, 'not those of another one');

    $_->close for $alice, $bob;
}

# ---- not all at once

{
    my @streams = open_streams($nginx, 40);
    my $times   = sub { sort { $a <=> $b }
        map { map { $_->{time} } told($_, 'tools') } @streams };

    changed('tools');
    ok(run_until(sub { @{[ $times->() ]} == @streams }), 'all are told of a change');

    # 40 of 500 ms: in none of 10,000 draws less than a quarter, unless the
    # machine has stopped this test meanwhile

    my $spread = 0;

    for my $round (2 .. 4) {
        my @times = ($times->())[-40 .. -1];

        $spread = $times[-1] - $times[0];
        last if $spread > 0.12;

        changed('tools');
        run_until(sub { @{[ $times->() ]} == $round * @streams });
    }

    cmp_ok($spread, '>', 0.12, 'but not all at once');
    $_->close for @streams;
}

# ---- once a second

{
    my $stream = open_stream($nginx);
    my $stop   = now() + 3.2;

    while (now() < $stop) {
        changed($_) for @KINDS;
        sleep_for(0.01);
    }

    for my $kind (@KINDS) {
        my @times = map { $_->{time} } told($stream, $kind);

        cmp_ok(scalar @times, '>', 1, "$kind: told again");

        # a busy machine may show the first of two late

        cmp_ok($times[$_] - $times[ $_ - 1 ], '>', 0.5,
            "$kind: not within a second") for 1 .. $#times;
    }

    my $n = told($stream, 'tools');

    changed('tools');
    ok(run_until(sub { told($stream, 'tools') > $n }),
        'the last change is told, too');
    $stream->close;
}

# ---- a stream that is lost and comes back


sub again {
    my ($stream, $worker) = @_;

    return open_stream($nginx, $worker ? (worker => $worker) : (),
        headers => [ 'Last-Event-ID' => $stream->session ]);
}


sub lose {
    my ($stream) = @_;

    my $n = () = $nginx->error_log =~ /closed: \w+, client left/g;

    $stream->abort;

    return run_until(sub {
        $n < (() = $nginx->error_log =~ /closed: \w+, client left/g);
    });
}


my @pids = $nginx->worker_pids;

for my $worker (@pids) {
    my $where  = $worker == $pids[0] ? 'the same worker' : 'another worker';
    my $stream = open_stream($nginx, worker => $pids[0]);

    lose($stream);
    changed($_) for qw(tools prompts tools);
    publish($redis, { method => 'notifications/message',
        params => { level => 'info', data => 'lost' } });
    passed_by($_) for @pids;

    my $new = again($stream, $worker);

    is($new->session, $stream->session, "$where: a lost session comes back");
    ok(run_until(sub { $new->messages == 2 }),
        "$where: it is told what has changed meanwhile");
    changed('resources');
    ok(run_until(sub { told($new, 'resources') }), "$where: and later");
    is_deeply([ map { scalar told($new, $_) } qw(tools prompts resources) ],
        [ 1, 1, 1 ], "$where: of each kind once");
    is(scalar $new->messages, 3, "$where: other messages are lost");

    # what it was not told because it was told less than a second ago

    changed('resources');
    lose($new);
    my $third = again($new, $worker);

    ok(run_until(sub { told($third, 'resources') }),
        "$where: nor is what was gathered when it was lost");
    $third->close;
}

# ---- a stream that the server ends

{
    my $stream = open_stream($nginx);

    changed('tools');
    run_until(sub { told($stream, 'tools') });
    changed('tools');
    publish($redis, { method => 'notifications/elicitation/complete',
        params => { elicitationId => 'e' } });
    run_until(sub { $stream->messages == 2 });

    my $new = again($stream);

    ok($stream->wait_ended, 'the server ends a stream that is replaced');
    is(scalar told($stream, 'tools'), 2, 'which is told first');
    $new->close;
}

# ---- a client that does not read

{
    my $slow_nginx = start_push(push => $redis, mcp => '', workers => 1,
        config => sub {
            my $text = $_[0]->template;

            $text =~ s/(listen 127\.0\.0\.1:\d+)/$1 sndbuf=16k/;

            return $text;
        }, stream => 'mcp_sse_queue 100k;');
    my $slow  = open_stream($slow_nginx, rcvbuf => 4096);
    my $reads = open_stream($slow_nginx);

    $slow->pause;

    # until not even one of these fits

    my $n = 0;

    for my $size ((10_000) x 60, (1000) x 20, (100) x 20, (1) x 20) {
        publish($redis, { method => 'notifications/message', params => {
            level => 'info', data => 'x' x $size } });
        $n++;
        run_until(sub { $reads->messages == $n });
    }

    changed($_) for @KINDS;
    ok(run_until(sub { $reads->messages == $n + 3 }), 'others are told');

    # it would have been told within half a second, too

    sleep_for(0.8);
    $slow->resume;
    ok(run_until(sub { 3 == grep { told($slow, $_) } @KINDS }),
        'a client that did not read is told when it does');

    $slow_nginx->allow(qr/that Frappe has published is dropped/);
    $_->close for $slow, $reads;
}

finish();
