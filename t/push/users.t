# What Frappe publishes for a user or a site: which streams get it, of which
# workers, in which order, and what a client that does not read loses.
# docs/PROTOCOL.md 16.30 to 16.33, 16.77.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(run_until);
use MCPTest::HTTP;
use MCPTest::Metrics qw(counters moves since);
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $MESSAGE  = 'notifications/message';
my $COMPLETE = 'notifications/elicitation/complete';
my $UPDATED  = 'notifications/resources/updated';

my $redis  = start_redis();
my $frappe = frappe();

# the second site is served at a path of its own

my $other = <<'EOT';
        location = /other/sse {
            mcp_sse_stream;
            mcp_sse_site other.example.com;
            mcp_sse_events_site other;
        }
EOT


# Publishes a log message.

sub say_to {
    my ($to, $data, %opt) = @_;

    return publish($redis, { %{$to}, method => $MESSAGE,
        params => { level => $opt{level} || 'info', data => $data } });
}


sub data { return map { $_->{params}{data} } $_[0]->notifications($MESSAGE) }


sub user { return { user => MCPTest::Frappe::user($_[0]) } }


# Waits until these streams have got all that was published so far: a message
# for their sites comes after it.

my $ends = 0;


sub all_got {
    my (@streams) = @_;

    my $end = 'end ' . ++$ends;

    publish($redis, { site => $_, method => $COMPLETE,
        params => { elicitationId => $end } })
        for 'erp.example.com', 'other';

    return run_until(sub {
        return !grep { ($_->{messages}[-1] || { data => '' })->{data}
            !~ /"$end"/ } @streams;
    });
}

# ---- who gets it, in a worker and in several ones

for my $workers (1, 2, 4) {
    my $nginx = start_push(push => $redis, workers => $workers, mcp => '',
        locations => $other);
    my %stream;

    for my $pid ($nginx->worker_pids) {
        for my $user (qw(alice bob)) {
            $stream{"$user $pid $_"} = open_stream($nginx, worker => $pid,
                auth => MCPTest::credential($user)) for 1 .. 2;
        }

        $stream{"other $pid"} = open_stream($nginx, worker => $pid,
            path => '/other/sse', auth => MCPTest::credential('alice', 'other'));
    }

    is(scalar(grep { $_->status == 200 } values %stream), 5 * $workers,
        "$workers workers: streams");

    is(say_to(user('alice'), 'to alice'), $workers,
        "$workers workers: all of them have subscribed");
    say_to(user('bob'), 'to bob');
    say_to({}, 'to the site');
    say_to({ site => 'other' }, 'to the other site');
    say_to({ site => 'other', %{ user('alice') } }, 'to alice there');
    say_to({ site => 'other', %{ user('bob') } }, 'to nobody');
    say_to({ site => 'other.example.com' }, 'not what Frappe calls it');
    say_to({ user => 'alice' }, 'to nobody');
    say_to({ site => 'ERP.example.com' }, 'to nobody');
    say_to({ user => '' }, 'malformed');
    say_to({ user => \'"\u0061lice@example.com"' }, 'to alice, escaped');
    ok(all_got(values %stream), "$workers workers: all streams are alive");

    my %want = (
        alice => [ 'to alice', 'to the site', 'to alice, escaped' ],
        bob   => [ 'to bob', 'to the site' ],
        other => [ 'to the other site', 'to alice there' ],
    );

    for my $name (sort keys %stream) {
        my ($who) = $name =~ /\A(\w+)/;

        is_deeply([ data($stream{$name}) ], $want{$who},
            "$workers workers: $who gets what is for it, in order");
    }

    $nginx->allow(qr/that Frappe has published is dropped: it is malformed/);
    $nginx->stop;
}

my $nginx = start_push(push => $redis, workers => 2, mcp => '');
my ($first, $second) = $nginx->worker_pids;

# ---- the bytes

{
    my $stream = open_stream($nginx);

    publish_raw($redis, $_) for
        qq({"site":"erp.example.com","method":"$MESSAGE",\n"params":)
            . qq({"level":"info",\n "data":{"a":[1, "\\u00e9\xc2\x85"]},)
            . '"logger":"x"}}',
        qq({"method":"$COMPLETE","params":{"elicitationId":"e"},)
            . '"site":"erp.example.com","user":"alice@example.com"}';
    ok(run_until(sub { $stream->messages == 2 }), 'two messages');
    is_deeply([ map { $_->{data} } $stream->messages ], [
        qq({"jsonrpc":"2.0","method":"$MESSAGE","params":{"level":"info",  )
            . '"data":{"a":[1, "\u00e9\u0085"]},"logger":"x"}}',
        qq({"jsonrpc":"2.0","method":"$COMPLETE",)
            . '"params":{"elicitationId":"e"}}',
    ], 'the params are those that were published, in one line');

    $stream->close;
}

# ---- levels

{
    my @streams = map { open_stream($nginx, worker => $_) } $first, $second;
    my $other   = open_stream($nginx);

    post($nginx, $streams[0], request(1, 'logging/setLevel',
        { level => 'error' }));
    ok($streams[0]->wait_answer(1), 'a session sets its level');

    say_to(user('alice'), $_, level => $_) for qw(debug warning error alert);
    all_got(@streams, $other);

    is_deeply([ data($streams[0]) ], [qw(error alert)],
        'it gets messages of that level');
    is_deeply([ data($_) ], [qw(debug warning error alert)],
        'other sessions of its user get all') for $streams[1], $other;

    moves($nginx, 'a message counts once for each stream that gets it',
        { 'events delivered' => 2 },
        sub { say_to(user('alice'), 'x', level => 'info') });

    moves($nginx, 'what nobody here waits for is not counted', {}, sub {
        say_to({ site => 'nowhere' }, 'x');
        say_to({ user => 'nobody' }, 'x');
    });

    $_->close for @streams, $other;
}

# ---- updates of resources

{
    my $uri   = 'fac://skills/report-list-usage';
    my @alice = map { open_stream($nginx, worker => $_) } $first, $second;
    my $bob   = open_stream($nginx, auth => MCPTest::credential('bob'));

    for my $stream ($alice[0], $bob) {
        post($nginx, $stream, request(1, 'resources/subscribe',
            { uri => $uri }));
        ok($stream->wait_answer(1), 'a session subscribes');
    }

    publish($redis, { %{ user('alice') }, method => $UPDATED,
        params => { uri => $uri, title => 'secret' } });
    publish($redis, { method => $UPDATED,
        params => \'{"uri":"fac:\/\/skills/report-list-usage"}' });
    publish($redis, { method => $UPDATED, params => { uri => "$uri/other" } });
    all_got(@alice, $bob);

    is_deeply([ map { $_->{data} } grep { $_->{data} =~ /updated/ }
        $alice[0]->messages ], [
        qq({"jsonrpc":"2.0","method":"$UPDATED","params":{"uri":"$uri"}}),
        qq({"jsonrpc":"2.0","method":"$UPDATED",)
            . '"params":{"uri":"fac:\/\/skills/report-list-usage"}}',
    ], 'it is told of an update, and of nothing but the URI');
    is(scalar $alice[1]->notifications($UPDATED), 0,
        'another session of its user has not subscribed');
    is(scalar $bob->notifications($UPDATED), 1,
        'what is published for a site goes to another user who has');

    $_->close for @alice, $bob;
}

# ---- many streams of a worker, some of which go meanwhile

{
    my $nginx = start_push(push => $redis, workers => 1, mcp => '',
        stream => 'mcp_sse_grace 0; mcp_sse_max_sessions 2000;');
    my ($worker) = $nginx->worker_pids;
    my @streams  = open_streams($nginx, 1500, auth => MCPTest::credential('bob'));

    # the worker finds all of it at once: it begins with the first message, and
    # then those leave to whom it would come next

    kill STOP => $worker;
    say_to({}, 1);
    say_to(user('bob'), 2);
    $_->abort for @streams[ 100 .. 399 ];
    say_to({}, 3);
    kill CONT => $worker;

    my @left = @streams[ 0 .. 99, 400 .. 1499 ];

    ok(all_got(@left), 'all of many streams of a worker get it');
    is(scalar(grep { join(' ', data($_)) eq '1 2 3' } @left), scalar @left,
        'in order, and once');

    # more than may wait while one of them goes to many

    my $alice  = open_stream($nginx);
    my $before = counters($nginx);

    kill STOP => $worker;
    say_to({}, 4);
    say_to(user('alice'), "n$_") for 1 .. 4000;
    kill CONT => $worker;

    # the worker has read all of it when this one is answered

    ok(run_until(sub { (since($nginx, $before)->{'events queue_full'} || 0)
        + $alice->messages >= 4001 }), 'each message is delivered or dropped');

    my $lost = since($nginx, $before)->{'events queue_full'};

    cmp_ok($lost || 0, '>', 0, 'of very many at once some are dropped');
    ok(run_until(sub { $alice->messages == 4001 - $lost }), 'the others are not');
    is((data($alice))[1023], 'n1023', 'those that came first');
    ok(all_got(@left, $alice), 'the streams go on');

    $nginx->allow(qr/is dropped: too many messages wait for their turn/);
    $nginx->stop;
}

# ---- a client that does not read

{
    my $nginx = start_push(push => $redis, mcp => '', workers => 1,
        config => sub {
            my $text = $_[0]->template;

            $text =~ s/(listen 127\.0\.0\.1:\d+)/$1 sndbuf=16k/;

            return $text;
        }, stream => 'mcp_sse_queue 200k;');
    my $slow   = open_stream($nginx, rcvbuf => 4096);
    my $reads  = open_stream($nginx);
    my $large  = 'x' x 20_000;
    my $before = counters($nginx);

    $slow->pause;

    for my $n (1 .. 100) {
        say_to(user('alice'), "$n $large");
        run_until(sub { $reads->messages == $n });
    }

    my $got  = since($nginx, $before);
    my $lost = $got->{'events queue_full'};

    ok($lost, 'what a client does not read is dropped, and counted');
    is($got->{'events delivered'}, 200 - $lost, 'for that client only');
    ok(!$slow->{ended}, 'its stream is not closed');

    $slow->resume;
    ok(run_until(sub { $slow->messages == 100 - $lost }),
        'it gets what has waited for it');
    say_to(user('alice'), 'again');
    ok(run_until(sub { (reverse data($slow))[0] eq 'again' }),
        'and later what is published then');

    $nginx->allow(qr/that Frappe has published is dropped/);
    $_->close for $slow, $reads;
}

# ---- a reload: the old worker keeps its streams

{
    my $stream = open_stream($nginx, worker => $first);

    post($nginx, $stream, tool(1, 'hold', { gate => 'reload', key => 'r' }));
    call_id('r');
    $nginx->reload;
    wait_push($nginx);

    my $new = open_stream($nginx);

    say_to(user('alice'), 'reloaded');
    ok(run_until(sub { data($stream) == 1 && data($new) == 1 }),
        'after a reload the streams of old and new workers get it');
    $frappe->open_gate('reload');
    ok($stream->wait_answer(1), 'the call goes on');

    $_->close for $stream, $new;
}

finish();
