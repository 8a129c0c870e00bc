# Of several GET streams of a session exactly one gets what is published: at one
# worker, several ones, two instances, while streams open and close.
# docs/PROTOCOL.md 16.36, 16.37.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(run_until);
use MCPTest::HTTP;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $MESSAGE = 'notifications/message';
my $CHANGED = 'notifications/tools/list_changed';

my $redis  = start_redis();
my $frappe = frappe();
my @opt    = (push => $redis, map { $_ => 'mcp_sse_max_sessions 400;' }
    qw(mcp stream));
my $number = 0;


# Publishes a log message with the next number for the user of the streams.

sub say_next {
    publish($redis, { user => 'alice@example.com', method => $MESSAGE,
        params => { level => 'info', data => ++$number } });

    return $number;
}


# A GET stream of that session at [instance, worker].

sub get_stream {
    my ($id, $at) = @_;

    return http_get($at->[0], session => $id, worker => $at->[1]);
}


sub data { return map { $_->{params}{data} } $_[0]->notifications($MESSAGE) }


# How often each number has come, on all of these streams.

sub seen {
    my %seen;

    $seen{$_}++ for map { data($_) } @_;

    return \%seen;
}


# Waits until what was published so far has come to all streams it goes to:
# legacy streams, the witnesses, one at each worker, get what comes later, three
# times: the last of these may be on its way to others.

sub settle {
    my (@witnesses) = @_;

    for (1 .. 3) {
        my $n = say_next();

        run_until(sub { !grep { ((data($_))[-1] || 0) ne $n } @witnesses })
            or return 0;
    }

    return 1;
}


sub witnesses { return map { open_stream($_->[0], worker => $_->[1]) } @_ }


# Returns the stream that gets messages now: one gets two of them, and no other.

sub primary {
    my ($streams, @witnesses) = @_;

    my $found;

    run_until(sub {
        my $n = say_next();

        settle(@witnesses) or return 0;
        ($found) = grep { grep { $_ == $n } data($_) } @{$streams};

        return $found;
    });

    return $found;
}


# The number of what goes to none, or to two, between two numbers.

sub wrong {
    my ($streams, $from, $to) = @_;

    my $seen = seen(@{$streams});

    return join ' ', map { "$_: " . ($seen->{$_} || 0) }
        grep { ($seen->{$_} || 0) != 1 } $from .. $to;
}


# Streams open and close at these workers while messages are published.

sub history {
    my ($name, @at) = @_;

    my $id        = session_id($at[0][0]);
    my @witnesses = witnesses(@at);
    my @all       = my @open = (get_stream($id, $at[0]));
    my $wrong     = '';

    primary(\@open, @witnesses);

    for my $round (1 .. 4) {
        my $from = $number + 1;

        # opens: a message is published before, in and after each

        while (@open < 4) {
            say_next() for 1 .. 5;

            my $where = $at[ rand @at ];
            my $new   = http($where->[0], 'GET', session => $id,
                worker => $where->[1], accept => 'text/event-stream',
                async => 1);

            push @all, $new;
            push @open, $new;
            say_next() for 1 .. 20;
            run_until(sub { @{ $new->{events} } || $new->{ended} });
        }

        # closes: all but the primary one

        settle(@witnesses);

        my $primary = primary(\@open, @witnesses);

        for my $stream (grep { $_ != $primary && rand() < 0.7 } @open) {
            say_next() for 1 .. 5;
            $stream->close;
            say_next() for 1 .. 5;
        }

        @open = grep { !$_->{conn}{closed} } @open;

        settle(@witnesses);
        $wrong .= wrong(\@all, $from, $number - 2);

        # the primary one closes: another one, if there is one, follows

        next if @open == 1;

        my $before = $number;

        $primary->close;
        @open = grep { $_ != $primary } @open;
        primary(\@open, @witnesses) or return fail("$name: nobody follows");

        my $seen = seen(@all);

        $wrong .= join ' ', map { "$_: $seen->{$_}" }
            grep { ($seen->{$_} || 0) > 1 } $before .. $number;
    }

    is($wrong, '', "$name: each message comes once");
    ok(!grep({ $_->{ended} } @open), "$name: the streams are alive");
    $_->close for @open, @witnesses;

    return;
}

# ---- one worker, four workers, two instances

my $one  = start_push(@opt, workers => 1);
my $four = start_push(@opt, workers => 4);

srand 7;

history('one worker', [ $one, $one->worker_pids ]);
history('four workers', map { [ $four, $_ ] } $four->worker_pids);

my @two = map { start_push(@opt, redis => $redis, workers => 2) } 1, 2;

history('two instances',
    map { my $nginx = $_; map { [ $nginx, $_ ] } $nginx->worker_pids } @two);

$_->stop for @two;

# ---- a second session of the user, and lists that have changed

{
    my @at        = map { [ $four, $_ ] } $four->worker_pids;
    my @witnesses = witnesses(@at);
    my %streams;

    for my $id (map { session_id($four) } 1, 2) {
        push @{ $streams{$id} }, get_stream($id, $_) for @at;
    }

    ok(primary($streams{$_}, @witnesses), 'each session has a primary one')
        for sort keys %streams;

    publish($redis, { method => $CHANGED });

    for my $id (sort keys %streams) {
        ok(run_until(sub { grep { $_->notifications($CHANGED) }
            @{ $streams{$id} } }), 'it gets that a list has changed');
    }

    ok(run_until(sub { !grep { !$_->notifications($CHANGED) } @witnesses }),
        'so do all legacy streams');
    publish($redis, { method => $CHANGED });
    ok(run_until(sub { !grep { $_->notifications($CHANGED) < 2 } @witnesses }),
        'again, a second later');
    settle(@witnesses);

    for my $id (sort keys %streams) {
        cmp_ok(scalar(grep { $_->notifications($CHANGED) } @{ $streams{$id} }),
            '==', 1, 'no other one of the session does');
    }

    $_->close for @witnesses, map { @{$_} } values %streams;
}

# ---- what it costs, and what anybody may publish there

$four->stop;

{
    my $heard = $redis->subscribe('mcp:events:*');
    my $id    = session_id($one);
    my $at    = [ $one, $one->worker_pids ];
    my $kinds = sub { join '', map { substr $_->{bytes}, 16, 1 }
        grep { $_->{channel} =~ /:primary\z/ } $heard->messages };

    my $first = get_stream($id, $at);

    ok(run_until(sub { $kinds->() eq 'c' }), 'a stream that opens claims');

    my ($claim) = map { $_->{bytes} }
        grep { $_->{channel} =~ /:primary\z/ } $heard->messages;

    is(length $claim, 29, 'the key, the kind, the name of the worker');

    my $second    = get_stream($id, $at);
    my @witnesses = witnesses($at);

    is(primary([ $first, $second ], @witnesses), $second,
        'the newest one of a worker is primary');
    $second->close;
    is(primary([$first], @witnesses), $first,
        'then the one before it, at once');
    $first->close;

    my $third = get_stream($id, $at);

    is(primary([$third], @witnesses), $third, 'a new one');
    is($kinds->(), 'cc', 'the end of a stream costs nothing here');

    for my $bytes ('', 'x', $claim . 'x', substr($claim, 0, 28),
        substr($claim, 0, 16) . "\0" . 'a' x 12, 'x' x 16 . 'c' . 'a' x 12,
        "\0" x 29)
    {
        publish_raw($redis, $bytes, channel => 'mcp:events:primary');
    }

    is(primary([$third], @witnesses), $third, 'what is malformed is ignored');
    $_->close for @witnesses, $third;
}

# ---- messages wait for their turn while a claim comes

{
    my $heard   = $redis->subscribe('mcp:events:primary');
    my $claims  = sub { grep { substr($_->{bytes}, 16, 1) eq 'c' }
        $heard->messages };
    my $at      = [ $one, $one->worker_pids ];
    my @streams = map { http($one, 'GET', session => session_id($one),
        accept => 'text/event-stream', async => 1) } 1 .. 300;

    ok(run_until(sub { $claims->() == 300
        && !grep { !@{ $_->{events} } } @streams }), '300 sessions');

    my ($witness) = witnesses($at);
    my $conn      = $redis->connect;
    my @keys      = reverse map { substr $_->{bytes}, 0, 16 } $claims->();

    # by one write: a message, all claims of another worker, the streams that
    # get it last first, a message

    my $log = sub { push_bytes({ user => 'alice@example.com',
        method => $MESSAGE, params => { level => 'info', data => $_[0] } }) };

    $conn->send('MULTI');
    $conn->send('PUBLISH', 'mcp:events', $log->('before'));
    $conn->send('PUBLISH', 'mcp:events:primary', "${_}c" . 'a' x 12) for @keys;
    $conn->send('PUBLISH', 'mcp:events', $log->('after'));
    $conn->send('EXEC');
    ok(run_until(sub { grep { $_ eq 'after' } data($witness) }),
        'three messages');
    ok(settle($witness), 'and two more');

    is(scalar(grep { join(' ', grep { /e/ } data($_)) eq 'before' } @streams),
        300, 'those that were primary when it came get the first one alone');

    $_->close for @streams, $witness;
}

finish();
