# The turns of look-ups that wait, entry by entry: which is the next one, which
# one goes when the queue is full, what one client is.  docs/PROTOCOL.md 2.21.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

use constant QUEUE => 1024;      # NGX_MCP_AUTH_QUEUE_MAX

my $unit = MCPTest::Unit->new('t/auth/queue.c', ['auth/ngx_mcp_auth_queue']);


sub ask { return $unit->ask(@_) }

sub add { my ($n, $known, @address) = @_; return ask('add', $n,
    @address ? @address : qw(4 10.0.0.1), $known ? 'known' : 'unknown') }


# The order in which entries are served, until none is left.

sub order {
    my @order;

    while ((my $n = ask('next')) >= 0) {
        push @order, $n;
    }

    return "@order";
}


ask('length');

my $before = ask('memory');

is(ask('next'), -1, 'an empty queue has no next entry');
is(ask('length'), 0, 'and no length');

# clients take turns, known credentials before others

{
    my ($a, $b, $c) = map { [ 4, "10.0.0.$_" ] } 1 .. 3;

    is(add(@$_[0, 1], @{ $_->[2] }), 'ok', "entry $_->[0] is added")
        for [ 1, 0, $a ], [ 2, 0, $a ], [ 3, 0, $b ], [ 4, 0, $a ],
            [ 5, 0, $c ], [ 6, 1, $b ], [ 7, 1, $a ], [ 8, 1, $b ];
    is(ask('length'), 8, 'all wait');
    is(order(), '6 7 8 1 3 5 2 4', 'the order of their turns');
    is(ask('length'), 0, 'none is left');
}

# one that is removed, first, in between, last, and twice

{
    add($_, 0) for 1 .. 4;
    add(5, 0, 4, '10.0.0.2');
    ask('remove', $_) for 1, 3, 3, 5;
    is(ask('length'), 2, 'those that were removed do not count');
    is(order(), '2 4', 'and are not served');
}

# what one client is

for my $case (
    [ 'one IPv4 address',          1, [ 4, '10.0.0.1' ], [ 4, '10.0.0.1' ] ],
    [ 'two IPv4 addresses',        2, [ 4, '10.0.0.1' ], [ 4, '10.0.0.2' ] ],
    [ 'an IPv4 address in IPv6',   1, [ 4, '10.0.0.1' ],
        [ 6, '::ffff:10.0.0.1' ] ],
    [ 'another one',               2, [ 4, '10.0.0.1' ],
        [ 6, '::ffff:10.0.0.2' ] ],
    [ 'a network of 64 bits',      1, [ 6, '2001:db8:0:1::1' ],
        [ 6, '2001:db8:0:1:ffff:ffff:ffff:ffff' ] ],
    [ 'two of them',               2, [ 6, '2001:db8:0:1::1' ],
        [ 6, '2001:db8:0:2::1' ] ],
    [ 'the same bytes in IPv6',    2, [ 4, '10.0.0.1' ], [ 6, 'a00:1::' ] ],
    [ 'two sockets',               1, [ 'unix', 'x' ], [ 'unix', 'y' ] ],
    [ 'a socket and none',         1, [ 'unix', 'x' ], [ '-', 'x' ] ],
    [ 'none and an address',       2, [ '-', 'x' ], [ 4, '10.0.0.1' ] ],
    [ 'none and 0.0.0.0',          2, [ '-', 'x' ], [ 4, '0.0.0.0' ] ],
    [ 'none and ::',               2, [ '-', 'x' ], [ 6, '::' ] ],
) {
    my ($name, $clients, $one, $two) = @$case;

    add(1, 0, @$one);
    add(2, 0, @$one);
    add(3, 0, @$two);
    is(order(), $clients == 1 ? '1 2 3' : '1 3 2',
        "$name: " . ($clients == 1 ? 'one client' : 'two clients'));
}

# the last place, and who loses it

{
    my @two = (4, '10.0.0.2');

    is(scalar(grep { add($_, 0) ne 'ok' } 1 .. QUEUE), 0,
        'the queue takes 1,024');
    is(add(QUEUE + 1, 0), 'busy', 'one more of the same client is refused');
    is(ask('length'), QUEUE, 'and does not wait');
    is(add(2000, 0, @two), 'ok ' . QUEUE,
        'one of another client takes the place of the newest');
    is(add(2001, 1, @two), 'ok ' . (QUEUE - 1), 'a known one, too');
    is(ask('length'), QUEUE, 'as many wait as before');
    is(ask('next'), 2001, 'the known one is the next');
    is(ask('next'), 1, 'then the first one');
    is(ask('next'), 2000, 'then that of the other client');
    is(ask('length'), QUEUE - 3, 'three have gone');
    ask('next') while ask('length');
}

# of two clients with as many entries, the one whose turn is last

{
    my ($a, $b) = map { [ 4, "10.0.0.$_" ] } 1, 2;

    for my $n (1 .. QUEUE / 2) {
        add($n, 0, @$a);
        add(1000 + $n, 0, @$b);
    }

    is(add(3000, 1, @$a), 'ok ' . (1000 + QUEUE / 2),
        'the second client loses one');
    is(add(3001, 1, @$a), 'ok ' . QUEUE / 2, 'then the first, which has more');
    ask('next') while ask('length');
}

# known ones lose theirs only if there are no others

{
    add($_, 1) for 1 .. QUEUE - 1;
    add(2000, 0, 4, '10.0.0.2');
    is(add(2001, 1), 'ok 2000', 'the only unknown one goes first');
    is(add(2002, 1, 4, '10.0.0.3'), 'ok 2001', 'then the newest known one');
    is(add(2003, 0, 4, '10.0.0.4'), 'busy', 'an unknown one finds no place');
    is(order(), join(' ', 1, 2002, 2 .. QUEUE - 1), 'the others are served');
}

cmp_ok(ask('memory') - $before, '<', 1000, 'no client is left in memory');

finish();
