# The checker of histories, t/lib/MCPTest/History.pm, on made-up histories: each
# rule finds the violation that it is for.  docs/PROTOCOL.md 5.8, 14.7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use Test::More;


# A history of one call without a violation, changed by %$sent; its runs and its
# answers are lists of times.

sub history {
    my ($sent, $ran, $answers, %more) = @_;

    my $post = { id => 1, key => 'k1', call => 1, session => 's1',
        method => 'tools/call echo', instance => 8080, sent => 1,
        status => 202, answered => 1.1, %{$sent} };

    return {
        sent     => [ $post ],
        ran      => [ map { { key => 'k1', tool => 'echo', time => $_ } }
                        @{ $ran || [ 1.05 ] } ],
        answers  => [ map { { session => 's1', id => 1, time => $_,
                        data => '{"id":1,"result":{"text":"k1"}}' } }
                        @{ $answers || [ 1.2 ] } ],
        sessions => { s1 => 1 },
        %more,
    };
}


sub rules {
    return [ sort map { $_->{rule} } MCPTest::History::check(@_) ];
}


sub finds {
    my ($name, $records, @rules) = @_;

    is_deeply(rules($records), [ sort @rules ], $name);

    return;
}


# histories without a violation

finds('no violation: a call is answered', history({}));
finds('no violation: the answer precedes the 202', history({ answered => 2 }));
finds('no violation: an answer is an error', { %{ history({}, []) },
    answers => [
    { session => 's1', id => 1, time => 1.2,
      data => '{"id":1,"error":{"code":-32010}}' } ] });
finds('no violation: a call that is 400 does not run',
    history({ status => 400 }, [], []));
finds('no violation: a call that is 429 does not run',
    history({ status => 429 }, [], []));
finds('no violation: a call that is 503 with "no" does not run',
    history({ status => 503, executed => 'no' }, [], []));
finds('no violation: a call that is 503 with "unknown" does not run',
    history({ status => 503, executed => 'unknown' }, [], []));
finds('no violation: a call runs and is answered before a 503 with "unknown"',
    history({ status => 503, executed => 'unknown', answered => 6 }));
finds('no violation: the session ends before the answer',
    history({}, undef, [], sessions => { s1 => 0 }));
finds('no violation: the session ends before the call runs',
    history({}, [], [], sessions => { s1 => 0 }));
finds('no violation: the stream is cut before the answer and comes back',
    history({}, undef, [], cuts => { s1 => 1.15 }));
finds('no violation: a cancelled call has no answer',
    history({ silent => 1 }, undef, []));
finds('no violation: a killed instance gives no status',
    history({ status => undef, answered => undef, excused => 1 }, [], []));
finds('no violation: another program runs a call', { %{ history({}) },
    ran => [ { key => 'k1', time => 1.1 }, { key => 'other', time => 2 } ] });

# the three that matter most: (a) a call that runs twice, (b) an answer that is
# lost after a 202, (c) a call that runs after its refusal

finds('(a) a call that runs twice is found', history({}, [ 1.05, 1.9 ]),
    'ran-twice');
finds('(a) a call that runs twice with two answers is found',
    history({}, [ 1.05, 1.9 ], [ 1.2, 2 ]), 'ran-twice', 'second-answer');
finds('(b) an accepted call that runs without an answer is found',
    history({}, undef, []), 'lost-answer');
finds('(b) an accepted call that never runs is found', history({}, [], []),
    'lost-answer');
finds('(b) a lost answer after the session came back is found',
    history({}, undef, [], cuts => { s1 => 0.9 }), 'lost-answer');
finds('(c) a call that runs after a 503 is found', history({ status => 503,
    answered => 6, executed => 'unknown' }, [ 6.1 ], []), 'ran-after-refusal');
finds('(c) a call that runs after a 503 with "no" is found',
    history({ status => 503, answered => 6, executed => 'no' }, [ 6.1 ], []),
    'ran-after-refusal', 'ran-though-no');
finds('(c) a call that runs although it is 400 is found',
    history({ status => 400 }, [ 1.05 ], []), 'ran-after-4xx');

# the other rules

finds('a second answer is found', history({}, undef, [ 1.2, 1.3 ]),
    'second-answer');
finds('a second answer in a session that ended is found', history({}, undef,
    [ 1.2, 1.3 ], sessions => { s1 => 0 }), 'second-answer');
finds('a call that ran before its 503 with "no" is found',
    history({ status => 503, executed => 'no', answered => 2 }, undef, []),
    'ran-though-no');
finds('an answer to a call that is 503 with "no" is found',
    history({ status => 503, executed => 'no', answered => 2 }),
    'ran-though-no', 'answer-though-no');
finds('an answer to a call that is 503 with "no" is excused where Redis lied',
    history({ status => 503, executed => 'no', answered => 2, misled => 1 }));
finds('a second answer is found where Redis lied', history({ status => 503,
    executed => 'no', answered => 2, misled => 1 }, undef, [ 1.2, 1.3 ]),
    'second-answer');
finds('an answer to a call that is 400 is found', history({ status => 400 }),
    'ran-after-4xx', 'answer-after-4xx');
finds('an answer to a cancelled call is found', history({ silent => 1 }),
    'answer-to-silent');
finds('a POST without a status is found',
    history({ status => undef, answered => undef }, [], []), 'no-status');
finds('a result of a call that never ran is found', history({}, []),
    'result-not-run');
finds('the answer of another call is found', { %{ history({}) }, answers => [
    { session => 's1', id => 1, time => 1.2,
      data => '{"id":1,"result":{"text":"k11"}}' } ] }, 'wrong-answer');
finds('an answer on a foreign stream is found', { %{ history({}) }, answers => [
    { session => 's2', id => 1, time => 1.2,
      data => '{"id":1,"result":{"text":"k1"}}' } ] }, 'foreign-answer');
finds('an answer without a request is found', history({}, undef, [ 1.2 ],
    strict => 1, answers => [ { session => 's1', id => 7, time => 1,
    data => '{}' } ], sessions => {}), 'unknown-answer');
finds('a run without a request is found', history({}, undef, undef, strict => 1,
    ran => [ { key => 'k1', time => 1.1 }, { key => 'k2', time => 2 } ]),
    'unknown-run');

# the text of a violation

{
    my ($violation) = MCPTest::History::check(history({ status => 503,
        answered => 6, executed => 'unknown' }, [ 6.1 ], []));

    is($violation->{text}, 'started at 6.100; tools/call echo id 1 at '
        . 'instance 8080, sent 1.000, status 503 executed unknown at 6.000',
        'the text of a violation has its facts');
    is($violation->{post}{key}, 'k1', 'a violation has its call');
}

# a real history

{
    my $frappe  = start_frappe();
    my $nginx   = start_nginx(workers => 2);
    my $stream  = open_stream($nginx);
    my $history = MCPTest::History->new(frappe => $frappe, strict => 1);

    $history->call($nginx, $stream) for 1 .. 20;
    $history->ping($nginx, $stream);
    $history->call($nginx, $stream, tool => 'sleep',
        arguments => { seconds => 0.5 });
    $history->call($nginx, 'x' x 50, auth => $stream->{auth});
    $history->ok('a history of nginx has no violation');

    is_deeply($history->statuses, { 202 => 22, 400 => 1 },
        'a history counts the statuses');

    my $records = $history->records;

    is(scalar @{ $records->{ran} }, 21, 'the records have each run of Frappe');
    is(scalar @{ $records->{answers} }, 22,
        'the records have each answer on the stream');

    my @late = grep { my $run = $_; grep { $run->{key} eq ($_->{key} || '')
        && $run->{time} < $_->{sent} } @{ $records->{sent} } }
        @{ $records->{ran} };

    is(scalar @late, 0, 'no call runs before it was sent: one clock is used');

    # with changed records

    pop @{ $records->{answers} };
    push @{ $records->{ran} }, $records->{ran}[0];
    is_deeply(rules($records), [ 'lost-answer', 'ran-twice' ],
        'a removed answer and an added run are found');
    $stream->close;
}

finish();
