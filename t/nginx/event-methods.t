# nginx's event methods: poll, select, epoll with accept_mutex, and
# "master_process off".  Fake connections of calls have no descriptor, and
# connections to Redis write from posted events: each event method must work
# with both.  docs/PROTOCOL.md 13.4.

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
    [ 'master_process off', '', 1 ],
);


# select() takes 1024 descriptors at most; the workers share one socket.

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
        single => $name eq 'master_process off');

    wait_ready($nginx) if $redis;

    my $history = MCPTest::History->new(frappe => $frappe);
    my @streams = open_streams($nginx, 12);

    is(scalar(grep { $_->session } @streams), 12, "$name: 12 streams open");
    $history->watch(@streams);

    for my $n (1 .. 10) {
        for my $stream (@streams) {
            $n == 5 ? $history->ping($nginx, $stream)
                : $history->call($nginx, $stream, $n == 7 ? (tool => 'sleep',
                    arguments => { seconds => 0.5 }) : ());
        }

        sleep_for(0.03);
    }

    $history->ok("$name: each call is answered once");
    is_deeply($history->statuses, { 202 => 120 },
        "$name: all 120 messages are accepted")
        or diag(explain($history->statuses));

    # an answer in many pieces, and one for a slow reader

    my $large = call($nginx, $streams[0], tool(1, 'big',
        { bytes => 3_000_000 }));

    cmp_ok(length($large || ''), '>', 3_000_000,
        "$name: an answer of 3 MB arrives");

    my $slow = open_stream($nginx, rcvbuf => 4096);

    $slow->pause;
    post($nginx, $slow, tool(1, 'big', { bytes => 3_000_000 }));
    sleep_for(0.7);
    ok(call($nginx, $streams[1], request(2, 'ping')),
        "$name: a ping is answered while another client does not read");
    $slow->resume;
    ok($slow->wait_answer(1), "$name: a slow reader gets its answer");

    # a cancelled call, and clients that leave

    $frappe->reset;
    post($nginx, $streams[2], tool(3, 'hang', {}));
    run_until(sub { $frappe->tool_count('hang') == 1 });
    post($nginx, $streams[2], notification('notifications/cancelled',
        { requestId => 3 }));
    ok(call($nginx, $streams[2], tool(4, 'echo', {})),
        "$name: a call behind a cancelled one is answered");
    is(scalar $streams[2]->answers(3), 0,
        "$name: the cancelled call has no answer");

    $_->close for $slow, @streams;
    ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
        "$name: no stream is left after its client");
    is(health($nginx)->{pending_requests}, 0,
        "$name: no request is pending at the end");
}

finish();
