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


# Starts a call of each kind of client for each user, all of them with the id 1;
# returns a list of [ name, function that returns the answer ].  The name is
# also the gate at which the call waits, and which its answer has.

sub crowd {
    my ($where, @nginx) = @_;

    my @calls;

    for my $user (@users) {
        my $auth  = MCPTest::credential($user);
        my $names = sub { return map { "$where, $_, $user" } @_ };
        my $call  = sub { return { name => 'hold',
            arguments => { gate => $_[0], key => $_[0] } } };

        # the older transport: the POST may go to the other instance

        my ($stream_name, $older_name) = $names->('HTTP+SSE', '2025-06-18');
        my $stream = open_stream($nginx[0], auth => $auth);

        post($nginx[-1], $stream, request(1, 'tools/call',
            $call->($stream_name)));
        push @calls, [ $stream_name,
            sub { $stream->answers(1) && ($stream->answers(1))[0] } ];

        my $session = session_id($nginx[0], auth => $auth);
        my $older   = http_post($nginx[-1], request(1, 'tools/call',
            $call->($older_name)), auth => $auth, session => $session,
            protocol => '2025-06-18', async => 1);

        push @calls, [ $older_name,
            sub { $older->ended && $older->answer } ];

        for my $n (0 .. $#nginx) {
            my ($name) = $names->("2026-07-28 at $n");
            my $modern = modern($nginx[$n], 1, 'tools/call', $call->($name),
                auth => $auth, async => 1);

            push @calls, [ $name, sub { $modern->ended && $modern->answer } ];
        }
    }

    return @calls;
}


# Each call runs once, while all others run, and its client has its answer.
# They end in another order than they have begun.

sub all_answered {
    my ($where, @calls) = @_;

    my @names = map { $_->[0] } @calls;

    ok(run_until(sub { $frappe->tool_count('hold') == @calls }),
        "$where: all calls run at once");
    $frappe->open_gate(reverse @names);
    ok(run_until(sub { !grep { !$_->[1]->() } @calls }),
        "$where: all are answered");

    my @bad = grep {
        my $answer = decode($_->[1]->() || '') || {};

        ($answer->{id} || 0) != 1
            || encode($answer->{result} || {}) !~ /held.*\Q$_->[0]\E/;
    } @calls;

    is(join('; ', map { $_->[0] } @bad), '', "$where: each has its answer");

    my $runs = $frappe->stats->{calls};

    is(join('; ', grep { $runs->{"hold/$_"} != 1 } @names), '',
        "$where: each ran once");
    is(join('; ', map { "$_->{key} as $_->{user}" } grep {
        $_->{key} !~ /, \Q@{[ $_->{user} =~ s{@.*}{}r ]}\E\z/
    } $frappe->started), '', "$where: each ran with its user's credential");

    return;
}


{
    my $nginx = start_http(workers => 2);

    all_answered('one server', crowd('one server', $nginx));
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
        or skip 'no redis-server', 5;
    my @nginx = map { start_http(workers => 2, redis => $redis) } 1, 2;

    wait_ready(@nginx) or die "Redis cannot be used\n";
    $frappe->reset;

    all_answered('two instances', crowd('two instances', @nginx));
}

finish();
