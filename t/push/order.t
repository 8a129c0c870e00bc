# The answer to a call never overtakes what was published before it: it waits
# for a barrier, 50 ms at most, and not at all while that Redis is away.
# docs/PROTOCOL.md 16.15.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Metrics qw(counters since);
use MCPTest::Modern;
use MCPTest::Proxy;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $redis  = start_redis();
my $frappe = frappe();
my $proxy  = MCPTest::Proxy->new(port => $redis->port);
my $url    = $redis->url(port => $proxy->port);

my %far = (push => $url, mcp => 'mcp_sse_progress 300s;',
    stream => 'mcp_sse_progress 300s;', workers => 2);

my $nginx = start_push(%far);

$frappe->set(events => $redis->url);


sub late { return counters($nginx)->{event_barriers_late} }


sub progress {
    my ($client) = @_;

    return map { $_->{params}{progress} }
        $client->notifications('notifications/progress');
}


sub token { return (_meta => { progressToken => $_[0] }) }


# The order of what has come: values of progress, then A for the answer.

sub order {
    my ($client) = @_;

    return join ' ', map { defined $_->{raw_id} ? 'A'
        : decode($_->{data})->{params}{progress} } @{ $client->{messages} };
}


my %client = (
    'a POST' => sub { http_post($nginx, tool(1, @_), async => 1) },
    'a modern POST' => sub { modern($nginx, 1, 'tools/call',
        { name => $_[0], arguments => $_[1], @_[2, 3] }, async => 1) },
);

# published right before the answer, while what comes from Redis is slow

for my $name (sort keys %client) {
    for my $delay (0, 0.02) {
        $proxy->delay(down => $delay);

        my $before = counters($nginx);

        for my $round (1 .. 10) {
            my @got = map { $client{$name}->('push_then_answer', { n => 5 },
                token($_)) } 1 .. 4;

            $_->wait for @got;

            my @wrong = grep { $_ ne '1 2 3 4 5 A' } map { order($_) } @got;

            # 50 ms are short on a busy machine, but an answer that does not
            # wait any longer is counted

            next if !@wrong || since($nginx, $before)->{event_barriers_late};

            is_deeply(\@wrong, [], "$name, delay $delay: the answer is last");
        }

        pass("$name, delay $delay: the answer comes after all progress");
    }
}

$proxy->delay(down => 0);

# Runs a call whose messages and barrier are held; returns the client, when its
# call has ended at Frappe, and a function that lets them through.

sub held_back {
    my ($client, @tool) = @_;

    $proxy->pause('down');

    my $got = $client->(@tool);
    my $n   = $frappe->tool_count($tool[0]);

    run_until(sub { $frappe->stats->{in_flight} <= 1
        && $frappe->tool_count($tool[0]) >= $n });

    return $got;
}


# a barrier that does not come back

for my $name (sort keys %client) {
    my $before = late();

    $proxy->pause('down');

    my $got = $client{$name}->('push_then_answer', { n => 2 }, token('t'));

    ok($got->wait, "$name, Redis says nothing: the call is answered");
    is(order($got), $got->is_stream ? 'A' : '',
        "$name: without what has not come");
    ok(run_until(sub { late() > $before }), "$name: and counted");
    $proxy->resume;
    ok(wait_push($nginx), 'what comes later harms nobody');
}

# a call without a token that pushes nothing does not wait

{
    my $before = late();

    $proxy->pause('down');

    my @got = map { http_post($nginx, tool($_, 'echo', {})) } 1 .. 5;

    is(scalar(grep { ($_->status || 0) == 200 && !$_->is_stream } @got), 5,
        'calls that do not push are answered');
    is(late(), $before, 'without a barrier');
    $proxy->resume;
    wait_push($nginx);
}

# a call without a token that has pushed does

{
    my $got = $client{'a POST'}->('push_log', { gate => 'log' });

    run_until(sub { $got->notifications('notifications/message') });

    my $before = late();

    $proxy->pause('down');
    $frappe->open_gate('log');
    ok($got->wait, 'a call that has pushed is answered');
    ok(run_until(sub { late() > $before }), 'after a barrier');
    $proxy->resume;
    wait_push($nginx);
}

# Redis is away

{
    my $before = late();

    $proxy->refuse;
    $proxy->cut;
    ok($nginx->wait_log(qr/mcp_sse_events.*calls go on without/s),
        'Redis is lost');

    my @got = map { $client{'a POST'}->('echo', {}, token($_)) } 1 .. 10;

    is(scalar(grep { $_->wait && $_->status == 200 } @got), 10,
        'Redis is away: calls are answered');
    is(late(), $before, 'Redis is away: without a barrier');

    $nginx->allow(qr/mcp_sse_events/, qr/Connection refused/);
    $proxy->listen;
    ok(wait_push($nginx), 'Redis comes back');

    my $got = $client{'a POST'}->('push_then_answer', { n => 2 }, token('t'));

    $got->wait;
    is(order($got), '1 2 A', 'Redis is back: so is progress');
}

finish();
