# Whatever nginx waits with: poll, select, one worker that accepts at a time,
# and no master at all.  The connections of calls have no descriptor and those
# of Redis belong to hiredis, which not every method has to put up with.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use Test::More;

my $frappe  = start_frappe();
my $binary  = MCPTest::Nginx::binary();
my $flags   = `$binary -V 2>&1`;
my $redis   = MCPTest::Redis::binary() ? start_redis() : undef;

my @cases = (
    [ 'epoll', 'use epoll; accept_mutex on; multi_accept on;', 2 ],
    [ 'poll', 'use poll;', 2 ],
    [ 'select', 'use select;', 2 ],
    [ 'no master', '', 1 ],
);


# select() ends at 1024 descriptors; one socket for all workers.

sub config {
    my ($self) = @_;

    my $text = $self->template;

    $text =~ s/worker_connections 2048/worker_connections 1000/;
    $text =~ s/ reuseport//;

    return $text;
}


for my $case (@cases) {
    my ($name, $events, $workers) = @$case;

    if ($name =~ /\A(?:poll|select)\z/
        && $flags !~ /--with-${name}_module/)
    {
        note("this nginx has no $name");
        next;
    }

    my $nginx = start_nginx(workers => $workers, events => $events,
        config => \&config, redis => $redis,
        single => $name eq 'no master');

    wait_ready($nginx) if $redis;

    my $history = MCPTest::History->new(frappe => $frappe);
    my @streams = open_streams($nginx, 12);

    is(scalar(grep { $_->session } @streams), 12, "$name: streams");
    $history->watch(@streams);

    for my $n (1 .. 10) {
        for my $stream (@streams) {
            $n == 5 ? $history->ping($nginx, $stream)
                : $history->call($nginx, $stream, $n == 7 ? (tool => 'sleep',
                    arguments => { seconds => 0.5 }) : ());
        }

        sleep_for(0.03);
    }

    $history->ok("$name: each call has its answer");
    is_deeply($history->statuses, { 202 => 120 }, "$name: all are accepted")
        or diag(explain($history->statuses));

    # an answer that comes in many pieces, and one to a slow reader

    my $large = call($nginx, $streams[0], tool(1, 'big',
        { bytes => 3_000_000 }));

    cmp_ok(length($large || ''), '>', 3_000_000, "$name: a large answer");

    my $slow = open_stream($nginx, rcvbuf => 4096);

    $slow->pause;
    post($nginx, $slow, tool(1, 'big', { bytes => 3_000_000 }));
    sleep_for(0.7);
    ok(call($nginx, $streams[1], request(2, 'ping')), "$name: meanwhile");
    $slow->resume;
    ok($slow->wait_answer(1), "$name: a slow reader has it all");

    # cancelled, and left alone

    $frappe->reset;
    post($nginx, $streams[2], tool(3, 'hang', {}));
    run_until(sub { $frappe->tool_count('hang') == 1 });
    post($nginx, $streams[2], notification('notifications/cancelled',
        { requestId => 3 }));
    ok(call($nginx, $streams[2], tool(4, 'echo', {})),
        "$name: behind a cancelled one");
    is(scalar $streams[2]->answers(3), 0, "$name: which has no answer");

    $_->close for $slow, @streams;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        "$name: all have left");
    is(health($nginx)->{pending_requests}, 0, "$name: nothing is pending");
}

finish();
