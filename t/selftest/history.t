# The checker of histories, on made-up ones: each rule must be seen to find
# what it is for.  t/lib/MCPTest/History.pm.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use Test::More;


# A call that went well, changed by %sent; its run and its answer are lists of
# times.

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


# nothing wrong

finds('a call that went well', history({}));
finds('its answer may precede its 202', history({ answered => 2 }));
finds('an error is an answer, too', { %{ history({}, []) }, answers => [
    { session => 's1', id => 1, time => 1.2,
      data => '{"id":1,"error":{"code":-32010}}' } ] });
finds('refused with 400, did not run', history({ status => 400 }, [], []));
finds('refused with 429, did not run', history({ status => 429 }, [], []));
finds('503, "no", did not run',
    history({ status => 503, executed => 'no' }, [], []));
finds('503, "unknown", did not run',
    history({ status => 503, executed => 'unknown' }, [], []));
finds('503, "unknown", ran before the refusal and was answered',
    history({ status => 503, executed => 'unknown', answered => 6 }));
finds('accepted, and the session ended with its stream',
    history({}, undef, [], sessions => { s1 => 0 }));
finds('accepted, not even run, and the session ended',
    history({}, [], [], sessions => { s1 => 0 }));
finds('accepted, before the stream was cut and the session came back',
    history({}, undef, [], cuts => { s1 => 1.15 }));
finds('a cancelled call has no answer', history({ silent => 1 }, undef, []));
finds('nobody knows what a killed instance answered',
    history({ status => undef, answered => undef, excused => 1 }, [], []));
finds('what others run does not matter', { %{ history({}) },
    ran => [ { key => 'k1', time => 1.1 }, { key => 'other', time => 2 } ] });

# the three that prove it: run twice after it was sent again, an answer that
# is lost after 202, a call that runs after its client was refused

finds('(a) run twice', history({}, [ 1.05, 1.9 ]), 'ran-twice');
finds('(a) run twice, answered twice',
    history({}, [ 1.05, 1.9 ], [ 1.2, 2 ]), 'ran-twice', 'second-answer');
finds('(b) accepted, run, and no answer', history({}, undef, []),
    'lost-answer');
finds('(b) accepted and never run', history({}, [], []), 'lost-answer');
finds('(b) accepted after the session came back, and no answer',
    history({}, undef, [], cuts => { s1 => 0.9 }), 'lost-answer');
finds('(c) runs after a 503', history({ status => 503, answered => 6,
    executed => 'unknown' }, [ 6.1 ], []), 'ran-after-refusal');
finds('(c) runs after a 503 with "no"', history({ status => 503,
    answered => 6, executed => 'no' }, [ 6.1 ], []), 'ran-after-refusal',
    'ran-though-no');
finds('(c) runs although its client was told 400',
    history({ status => 400 }, [ 1.05 ], []), 'ran-after-4xx');

# the others

finds('two answers', history({}, undef, [ 1.2, 1.3 ]), 'second-answer');
finds('two answers, though the session ended', history({}, undef,
    [ 1.2, 1.3 ], sessions => { s1 => 0 }), 'second-answer');
finds('503 with "no", and it had run',
    history({ status => 503, executed => 'no', answered => 2 }, undef, []),
    'ran-though-no');
finds('503 with "no", and an answer comes',
    history({ status => 503, executed => 'no', answered => 2 }),
    'ran-though-no', 'answer-though-no');
finds('400, and an answer comes', history({ status => 400 }),
    'ran-after-4xx', 'answer-after-4xx');
finds('an answer to a cancelled call', history({ silent => 1 }),
    'answer-to-silent');
finds('no answer to a POST',
    history({ status => undef, answered => undef }, [], []), 'no-status');
finds('a result of a call that never ran', history({}, []),
    'result-not-run');
finds('the answer of another call', { %{ history({}) }, answers => [
    { session => 's1', id => 1, time => 1.2,
      data => '{"id":1,"result":{"text":"k11"}}' } ] }, 'wrong-answer');
finds('on the stream of another session', { %{ history({}) }, answers => [
    { session => 's2', id => 1, time => 1.2,
      data => '{"id":1,"result":{"text":"k1"}}' } ] }, 'foreign-answer');
finds('an answer nobody asked for', history({}, undef, [ 1.2 ],
    strict => 1, answers => [ { session => 's1', id => 7, time => 1,
    data => '{}' } ], sessions => {}), 'unknown-answer');
finds('a call nobody sent', history({}, undef, undef, strict => 1,
    ran => [ { key => 'k1', time => 1.1 }, { key => 'k2', time => 2 } ]),
    'unknown-run');

# the facts are said

{
    my ($violation) = MCPTest::History::check(history({ status => 503,
        answered => 6, executed => 'unknown' }, [ 6.1 ], []));

    is($violation->{text}, 'started at 6.100; tools/call echo id 1 at '
        . 'instance 8080, sent 1.000, status 503 executed unknown at 6.000',
        'a violation has its facts');
    is($violation->{post}{key}, 'k1', 'and its call');
}

# a real one

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
    $history->ok('a history of nginx');

    is_deeply($history->statuses, { 202 => 22, 400 => 1 }, 'as it was');

    my $records = $history->records;

    is(scalar @{ $records->{ran} }, 21, 'the backend says what ran');
    is(scalar @{ $records->{answers} }, 22, 'the stream what was answered');

    my @late = grep { my $run = $_; grep { $run->{key} eq ($_->{key} || '')
        && $run->{time} < $_->{sent} } @{ $records->{sent} } }
        @{ $records->{ran} };

    is(scalar @late, 0, 'and both have the same clock');

    # changed, it is found

    pop @{ $records->{answers} };
    push @{ $records->{ran} }, $records->{ran}[0];
    is_deeply(rules($records), [ 'lost-answer', 'ran-twice' ],
        'an answer taken out, a run put in');
    $stream->close;
}

finish();
