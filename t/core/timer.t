# The timers of a worker: when they run and in which order, when nginx wakes up
# for them, what keeps a worker from its end, how intervals are spread.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/core/timer.c', ['core/ngx_mcp_timer']);


# Gives commands and compares their answers.

sub steps {
    my ($name, @steps) = @_;

    for my $step ('begin', @steps) {
        my ($command, $want) = split / => /, $step;

        is($unit->ask(split / /, $command), defined $want ? $want : 'ok',
            "$name: $command");
    }

    return;
}


steps('one timer', 'next => -1', 'left => no', 'set a 100', 'next => 100',
    'left => no', 'time 99', 'expire', 'next => 1', 'time 1', 'expire => a',
    'next => -1', 'time 1000', 'expire');

# nginx wakes up 20 ms later at the earliest

steps('short times', 'set a 19', 'next => 20', 'time 19', 'expire',
    'time 1', 'expire => a', 'set a 20', 'next => 20', 'set b 21',
    'next => 20', 'time 20', 'expire => a', 'next => 20', 'time 20',
    'expire => b', 'next => -1');

steps('several', 'set a 1000', 'set b 900', 'next => 900', 'set c 2000',
    'next => 900', 'time 900', 'expire => b', 'next => 100', 'time 100',
    'expire => a', 'next => 1000', 'set d 999', 'next => 999', 'time 1000',
    'expire => d c', 'next => -1');

steps('in one pass', 'set a 40', 'set b 30', 'set c 50', 'set d 51', 'time 50',
    'expire => b a c', 'next => 20', 'time 20', 'expire => d');

steps('set again', 'set a 100', 'set a 300', 'next => 100', 'time 100',
    'expire', 'next => 200', 'set a 50', 'next => 50', 'time 50',
    'expire => a', 'time 500', 'expire');

steps('deleted', 'set a 100', 'set b 200', 'del a', 'del a', 'del c',
    'time 100', 'expire', 'next => 100', 'time 100', 'expire => b');

# a timer of its own handler does not run in the same pass, with 0 ms neither

steps('by its handler', 'again a 0', 'set a 100', 'time 100', 'expire => a',
    'next => 20', 'time 20', 'expire => a', 'next => -1', 'again a 0 b',
    'set a 10', 'time 20', 'expire => a', 'time 20', 'expire => b');

# something that must be waited for: nginx wakes up each half second

steps('holds', 'hold', 'next => 500', 'left => yes', 'hold', 'release',
    'left => yes', 'set a 501', 'next => 500', 'set b 499', 'next => 499',
    'time 499', 'expire => b', 'next => 20', 'time 20', 'expire => a',
    'next => 500', 'left => yes', 'release', 'left => no', 'time 500',
    'expire', 'next => -1');

steps('a shutdown', 'set a 100', 'time 100', 'expire => a', 'hold', 'exiting',
    'time 499', 'expire', 'time 1', 'expire => exits', 'next => 500',
    'time 500', 'expire', 'left => yes', 'release', 'left => no');

# 20 ms less, for nginx's wake-ups, up to an eighth

steps('intervals', map { my ($ms, $random, $want) = @$_;
    "spread $ms $random => $want" } [ 0, 7, 0 ], [ 7, 7, 7 ], [ 8, 7, 7 ],
    [ 80, 7, 70 ], [ 160, 7, 140 ], [ 167, 7, 147 ], [ 168, 0, 148 ],
    [ 168, 1, 147 ], [ 168, 2, 148 ], [ 15_000, 0, 14_980 ],
    [ 15_000, 1855, 13_125 ], [ 15_000, 1856, 14_980 ],
    [ 15_000, 1857, 14_979 ]);

finish();
