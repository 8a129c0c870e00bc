# Clients of three transports at one server at once, and at two instances: each
# gets the answers to its own requests, though all use the same ids.
# docs/PROTOCOL.md 14.12.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

my $frappe = start_frappe();
my @users  = map { "user$_" } 1 .. 4;


# Starts a call of each kind of client for each user, all of them with the id 1
# and at the same gate; returns a list of [ name, function that returns the
# answer ].

sub crowd {
    my ($gate, @nginx) = @_;

    my @calls;

    for my $user (@users) {
        my $auth = MCPTest::credential($user);
        my $call = sub { return { name => 'hold',
            arguments => { gate => $gate, key => "$gate $_[0] $user" } } };

        # the older transport: the POST may go to the other instance

        my $stream = open_stream($nginx[0], auth => $auth);

        post($nginx[-1], $stream, request(1, 'tools/call',
            $call->('stream')));
        push @calls, [ "stream $user",
            sub { $stream->answers(1) && ($stream->answers(1))[0] } ];

        my $session = session_id($nginx[0], auth => $auth);
        my $older   = http_post($nginx[-1], request(1, 'tools/call',
            $call->('older')), auth => $auth, session => $session,
            protocol => '2025-06-18', async => 1);

        push @calls, [ "older $user",
            sub { $older->ended && $older->answer } ];

        for my $nginx (@nginx) {
            my $modern = modern($nginx, 1, 'tools/call', $call->('modern'),
                auth => $auth, async => 1);

            push @calls, [ "modern $user",
                sub { $modern->ended && $modern->answer } ];
        }
    }

    return @calls;
}


# Each call runs once for each client, and is answered.

sub all_answered {
    my ($name, $gate, $times, @calls) = @_;

    ok(run_until(sub { $frappe->tool_count('hold') == @calls }),
        "$name: all calls run at once");
    $frappe->open_gate($gate);
    ok(run_until(sub { !grep { !$_->[1]->() } @calls }),
        "$name: all are answered");

    my @bad = grep {
        my $answer = decode($_->[1]->() || '') || {};
        ($answer->{id} || 0) != 1
            || encode($answer->{result} || {}) !~ /held.*\Q$gate\E/;
    } @calls;

    is(join(', ', map { $_->[0] } @bad), '', "$name: with their answers");

    my %runs = %{ $frappe->stats->{calls} };
    my @runs = grep { $runs{"hold/$gate $_->[0]"}
        != ($_->[0] =~ /modern/ ? $times : 1) } @calls;

    is(join(', ', map { $_->[0] } @runs), '', "$name: none ran again");

    return;
}


{
    my $nginx = start_http(workers => 2);

    all_answered('one server', 'one', 1, crowd('one', $nginx));
}

# requests of 2026-07-28 need nothing that instances share

{
    my @nginx = map { start_http() } 1, 2;

    $frappe->reset;

    for my $n (0, 1) {
        is(modern($nginx[$n], 1, 'server/discover', {})->status, 200,
            "without Redis: instance $n answers server/discover");
        is($frappe->count('initialize'), $n + 1,
            "without Redis: instance $n asks Frappe for it");
        is(modern($nginx[$n], 1, 'tools/list', {})->status, 200,
            "without Redis: instance $n answers a call");
    }

    $_->stop for @nginx;
}

SKIP: {
    my $redis = eval { start_redis() }
        or skip 'no redis-server', 4;
    my @nginx = map { start_http(workers => 2, redis => $redis) } 1, 2;

    wait_ready(@nginx) or die "Redis cannot be used\n";
    $frappe->reset;

    all_answered('two instances', 'two', 2, crowd('two', @nginx));
}

finish();
