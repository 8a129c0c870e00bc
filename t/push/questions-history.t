# Many calls ask their clients while workers are killed and nginx is reloaded: a
# question is answered at most once, by its own client, and nobody who has asked
# waits in vain.  docs/PROTOCOL.md 16.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(sleep_for);
use MCPTest::HTTP;
use MCPTest::Push;
use MCPTest::Question;
use Test::More;

MCPTest::Redis::need();

# the checker

for my $case (
    [ [ 'asked', '{"result":{"n":1}}' ], undef ],
    [ [ '{"error":{}}' ], undef ],
    [ [ 'asked', '{"error":{}}' ], undef ],
    [ [], undef ],
    [ [ 'asked' ], 'in vain' ],
    [ [ 'asked', 'asked', '{"error":{}}' ], 'asked twice' ],
    [ [ '{"error":{}}', 'asked' ], 'asked late' ],
    [ [ 'asked', '{"error":{}}', '{"error":{}}' ], 'answered twice' ],
    [ [ 'asked', '{"result":{"n":2}}' ], 'foreign result' ],
) {
    my ($elements, $rule) = @$case;
    my @found = violations({ elements => $elements,
        sent => { '{"n":1}' => 1 } });

    is(@found ? $found[0] =~ s/:.*//sr : undef, $rule,
        'the checker: ' . join ' ', @$elements);
}

is(scalar violations({ elements => [ 'asked' ], dead => 1 }), 0,
    'the checker: a dead worker');

my $frappe = start_frappe();
my $redis  = start_redis();
my $nginx  = start_push(push => $redis, mcp => '', workers => 4,
    http => 'mcp_sse_ask_timeout 5s; mcp_sse_grace 1s;');

my (@records, @calls);
my ($n, $results) = (0, 0);


sub channel {
    my ($call) = @_;

    return 'mcp:events:' . substr $call->{call}, 0, 12;
}


# a call whose client can be asked, or nothing if a worker has just died

sub another {
    my ($way) = @_;

    my $client = eval { $way ? able($nginx) : able_stream($nginx) } or return;
    my $id     = 5000 + ++$n;
    my $key    = "key $id";

    my $message = tool($id, 'hold', { gate => $key, key => $key });

    my $on = $client;

    if (ref $client) {
        return if (post($nginx, $client, $message)->status || 0) != 202;

    } else {
        $on = http_post($nginx, $message, session => $client, async => 1);
    }

    my $call;

    run_until(sub {
        ($call) = grep { $_->{key} eq $key } $frappe->started;
        return $call || $on->{ended};
    });

    return $call ? { on => $on, client => $client, call => $call->{call},
        key => $key, answered => {} } : undef;
}


# what a client is asked it answers, at any worker, now and then twice

sub answer {
    my ($call) = @_;

    for my $asks (questions($call->{on})) {
        next if $call->{answered}{ $asks->{id} }++ || rand() < 0.3;

        my ($record) = grep { index($asks->{id}, $_->{asked}->reply) == 0 }
            @records;
        my $result = sprintf '{"n":%d}', ++$results;

        $record->{sent}{$result} = 1;

        for (1 .. (rand() < 0.2 ? 2 : 1)) {
            eval { respond($nginx, $call->{client}, $asks, result => $result,
                async => 1) };
        }
    }

    return;
}


my $end = now() + ($ENV{MCP_SSE_SECONDS} || 12);
my $fault = now() + 1.5;
my $kills = 0;

while (now() < $end) {
    @calls = grep { $_ && !$_->{on}{ended} } @calls;
    push @calls, another(rand() < 0.5) while @calls < 8;
    @calls = grep { $_ } @calls;

    for my $call (@calls) {
        push @records, { call => $call, sent => {}, asked =>
            asking($redis, $call) } if rand() < 0.5;
        answer($call);
    }

    if (rand() < 0.2 && @calls) {
        my $call = shift @calls;

        $frappe->open_gate($call->{key});

    } elsif (rand() < 0.1 && @calls) {
        (shift @calls)->{on}{conn}->close;
    }

    if (now() > $fault) {
        $fault = now() + 1.5;

        if ($kills++ % 2) {
            $nginx->reload;

        } else {
            my @workers = $nginx->worker_pids;

            $nginx->kill_worker($workers[rand @workers]);
        }
    }

    sleep_for(0.05);
}

# the rest comes to its end

$frappe->open_gate("key $_") for 5001 .. 5000 + $n;

my $settled = run_until(sub {
    my @open = grep {
        my @all = $_->{asked}->elements;
        !$_->{dead} && @all && $all[-1] eq 'asked';
    } @records;

    for my $record (@open) {

        # the end may be there, and not read yet

        return 0 if !$redis->cmd('EXISTS', 'mcp:ask:' . $record->{asked}->reply)
            || subscribers($redis, channel($record->{call}));

        $record->{dead} = 1;
    }

    return 1;
});

ok($settled, 'each question has an end');

$_->{elements} = [ $_->{asked}->elements ] for @records;

my @found = violations(@records);

is(scalar @found, 0, 'a question is answered at most once, by its own client, '
    . 'and nobody waits in vain') or diag(join "\n", @found[0 .. ($#found > 9
    ? 9 : $#found)]);

my @ends = map { $_->{elements}[-1] || 'nothing' } @records;

cmp_ok(scalar(grep { /result/ } @ends), '>', 10, 'many were answered');
diag(sprintf '%d questions: %d results, %d errors, %d of dead workers',
    scalar @records, scalar(grep { /result/ } @ends),
    scalar(grep { /error/ } @ends), scalar(grep { $_->{dead} } @records))
    if $ENV{TEST_VERBOSE};

$_->{asked}->close for @records;
$_->{on}{conn}->close for @calls;

my @old = grep { my $pid = $_; !grep { $_ == $pid } $nginx->worker_pids }
    $nginx->worker_pids(exiting => 1);

ok($nginx->wait_gone(\@old), 'old workers end');

finish();
