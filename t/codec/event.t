# Blocks of large events are kept for the next ones, within bounds: the number,
# the sum of their sizes, and how much larger than needed one may be.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $KIB = 1024;
my $MIB = 1024 * 1024;

my $unit = MCPTest::Unit->new('t/codec/event.c', ['codec/ngx_mcp_event']);


# the slot whose block is used again, or "-"

sub alloc {
    my ($slot, $size) = @_;

    return (split ' ', $unit->ask('alloc', $slot, $size))[0];
}


# the bytes that are in use afterwards

sub release {
    my ($slot) = @_;

    return (split ' ', $unit->ask('free', $slot))[1];
}


# the threshold; an address tells nothing of a block that malloc() has again

alloc('a', 16 * $KIB - 1);
cmp_ok(release('a'), '<', $KIB, 'a block of 16383 bytes is given back');

alloc('a', 16 * $KIB);
cmp_ok(release('a'), '>=', 16 * $KIB, 'one of 16384 bytes is kept');
is(alloc('b', 16 * $KIB), 'a', 'the next one of its size gets it');
release('b');

# the size

is(alloc('a', $MIB), '-', 'a larger one does not fit into it');
release('a');
is(alloc('b', $MIB / 2), 'a', 'half of a block is enough to use it again');
is(release('b') > $MIB, 1, 'it keeps its size');
is(alloc('a', $MIB / 2 - 1), '-', 'less than half is not');
is(alloc('c', $MIB + 1), '-', 'a byte more than its size does not fit');
release($_) for qw(a c);

# the number: eight, the oldest one is freed for the next

alloc($_, 100 * $KIB) for 'd' .. 't';
my @sizes = map { release($_) } 'd' .. 't';
cmp_ok($sizes[-1], '<', $sizes[-2] + $KIB, 'one more block does not add any');
cmp_ok($sizes[-1], '<', 9 * 100 * $KIB, 'no more than eight are kept');
cmp_ok($sizes[-1], '>=', 8 * 100 * $KIB, 'and no fewer');
is(join('', map { alloc($_, 100 * $KIB) } 'd' .. 'k'), 'tsrqponm',
    'they are used again, the newest one first');
release($_) for 'd' .. 'k';

# the sum: 12 MB

alloc($_, 5 * $MIB) for 'a' .. 'c';
@sizes = map { release($_) } 'a' .. 'c';
cmp_ok($sizes[2], '<', 11 * $MIB, 'of three blocks of 5 MB two are kept');
cmp_ok($sizes[2], '>=', 10 * $MIB, 'but no fewer');

alloc('a', 6 * $MIB);
alloc('b', 6 * $MIB);
release('a');
cmp_ok(release('b'), '>=', 12 * $MIB, '12 MB in two blocks are kept');
alloc('c', 6 * $MIB + 1);
cmp_ok(release('c'), '<', 12 * $MIB, 'one byte more is not');

alloc('d', 12 * $MIB);
cmp_ok(release('d'), '<', 13 * $MIB, 'one of 12 MB is kept alone');
is(alloc('e', 12 * $MIB), 'd', 'and used again');
release('e');

alloc('f', 12 * $MIB + 1);
my $left = release('f');
cmp_ok($left, '<', 13 * $MIB, 'a larger one is not kept');
is(alloc('g', 12 * $MIB), 'e', 'and frees no other');

finish();
