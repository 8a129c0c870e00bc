# Values of progress: each is above the one before, as decimals and as the
# doubles that clients read, whatever was told.  docs/PROTOCOL.md 5.9, 16.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/codec/progress-value.c',
    ['codec/ngx_mcp_progress_value']);


# What is sent for these: '' stands for a value by itself.

sub sent {
    $unit->ask('new');
    return [ map { $unit->ask(length $_ ? ('told', $_) : 'next') } @_ ];
}


is_deeply(sent('', '', ''), [qw(0 0.000001 0.000002)],
    'by itself it begins with 0 and rises by a millionth');
is_deeply(sent('0'), ['0'], 'a 0 that was told first is 0');
is_deeply(sent('', '', '0.3', '', '', '1', ''),
    [qw(0 0.000001 0.3 0.300001 0.300002 1 1.000001)],
    'what is told is sent as it is, and rises by millionths');
is_deeply(sent('', '0', '0.0', '0.000001'),
    [qw(0 0.000001 0.000002 0.000003)],
    'a value that is not above the last one is a millionth above it');
is_deeply(sent('50', '', '50', '50.0', '49', '50.000009', '50.0000045'),
    [qw(50 50.000001 50.000002 50.000003 50.000004 50.000009 50.000010)],
    'however near it is');
is_deeply(sent('1.50', '', '2.999999', '', ''),
    [qw(1.50 1.500001 2.999999 3 3.000001)],
    'a number keeps its zeros');
is_deeply(sent('-2', '', '-0.000001', '', ''),
    [qw(-2 -1.999999 -0.000001 0 0.000001)],
    'negative values rise to 0 and beyond');
is_deeply(sent('1e2', '100', '1E3', '0.5e1'),
    [qw(1e2 100.000001 1E3 1000.000001)],
    'exponents are compared by their values');

# others: as doubles

{
    my $third = '0.3333333333333333';
    my @sent  = @{ sent($third, '', '', $third, '0.5', '') };

    is($sent[0], $third, 'a number with more digits is sent as it is');
    cmp_ok($sent[$_], '>', $sent[$_ - 1], "$sent[$_] follows") for 1 .. 5;
    cmp_ok($sent[1] - $sent[0], '<', 2e-6, 'by a millionth');
    is_deeply([ @sent[4, 5] ], [qw(0.5 0.500001)], 'then exactly again');
}

for my $large (qw(7999999999.999999 8000000000 8589934592 9007199254740993
    9e12 123456789012345678901234567890 1e300 -1e300 -9e15))
{
    my @sent = @{ sent($large, '', '', $large, '', '') };

    is($sent[0], $large, "$large is sent as it is");

    is(scalar(grep { $sent[$_] > $sent[$_ - 1] } 1 .. $#sent), 5,
        "$large: the doubles behind it rise") or diag("@sent");
}

is_deeply(sent('1e400', ''), [qw(0 0.000001)],
    'a number that no double has is none');
is_deeply(sent('1' x 64), ['0'], 'nor is one of 64 digits');
is_deeply(sent('1' x 63), [ '1' x 63 ], 'one of 63 digits is');
is_deeply(sent('1.7976931348623157e308', '', '5'),
    ['1.7976931348623157e308', '-', '-'], 'nothing is above the largest one');

# what was told in any order

srand 17;

for my $round (1 .. 200) {
    my @told = map { int rand 3 ? '' : sprintf '%.*f', int rand 9,
        rand(10 ** int rand 13) } 1 .. 30;
    my @sent = @{ sent(@told) };

    next if 29 == grep { $sent[$_] > $sent[$_ - 1] } 1 .. 29;

    is_deeply(\@sent, \@told, 'each value is above the one before');
}

pass('each value is above the one before');

done_testing();
