# The places of calls at Frappe, exactly: who gets one, in which order, and what
# is counted after each step.  Each worker is a process.  docs/PROTOCOL.md 6.25,
# 6.26, 12.19, 12.20.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/backend/places.c',
    [qw(shm/ngx_mcp_places shm/ngx_mcp_places_grant shm/ngx_mcp_tree)]);

use constant { DIRTY => 0, RESET => 1, READY => 2 };


# A step of a worker and its answer.

sub at { my ($worker, @words) = @_; return $unit->ask($worker, @words) }

sub take { return join ' ', map { at($_[0], 'take', $_) } @_[1 .. $#_] }
sub counts { return join ' ', map { at(0, 'counts', $_) } @_ }


# What a user of a worker has: all of it is gone.

sub clear {
    my ($worker, $user) = @_;

    my ($waiting, $running) = split m{/}, at($worker, 'local', $user);

    at($worker, 'leave', $user) for 1 .. $waiting;
    at($worker, 'release', $user) for 1 .. $running;

    return;
}


# N, one less, one more

at(0, 'limits', 3, 3);
is(take(0, qw(a a)), '1 1', 'two of three places are taken');
is(at(0, 'places'), '2+0', 'the worker has two');
is(take(1, 'b'), '1', 'another worker takes the third');
is(take(1, 'b'), '0', 'the fourth call waits');
is(counts(qw(a b)), '0/0/2 1/0/1', 'all are counted');
is(at(1, 'claim'), '-', 'nothing is granted while all places are taken');
is(at(0, 'release', 'a'), 'ok woken 1', 'a place that gets free is granted');
is(counts(qw(a b)), '0/0/1 0/1/1', 'it is not free meanwhile');
is(take(0, 'a'), '0', 'nobody else gets it');
is(at(1, 'claim'), 'b', 'the worker takes it');
is(at(1, 'places'), '2+0', 'it has two');
is(at(1, 'claim'), '-', 'and takes it once');
clear(1, 'b');
is(at(0, 'claim'), 'a', 'the next one has got its place');
clear(0, 'a');
is(counts(qw(a b)), 'none none', 'no user is left');
is(at(0, 'blocks'), 0, 'nothing is left in the zone');
is(at($_, 'places'), '0+0', "worker $_ has no place") for 0, 1;
is(at($_, 'waiting'), 0, "nothing waits in worker $_") for 0, 1;

# at most M of a user

at(0, 'limits', 3, 2);
is(take(0, qw(a a)), '1 1', 'a user has its maximum');
is(take(1, 'a'), '0', 'one more waits, in any worker');
is(take(1, 'b'), '1', 'another user has the place');
is(at(1, 'release', 'b'), 'ok', 'which nobody gets afterwards');
is(at(1, 'claim'), '-', 'the first user still waits');
is(at(0, 'release', 'a'), 'ok woken 1', 'until one of its own calls ends');
is(at(1, 'claim'), 'a', 'it gets the place then');
clear(@$_) for [ 0, 'a' ], [ 1, 'a' ];
is(at(0, 'blocks'), 0, 'nothing is left');

# users in turn, workers of a user in turn

at(0, 'limits', 1, 1);
is(take(0, 'x'), '1', 'the only place is taken');
take(0, qw(a a));
take(1, qw(a a b));
take(2, qw(c c c));
is(counts(qw(a b c)), '4/0/0 1/0/0 3/0/0', 'eight calls wait');

{
    my @order;
    my ($worker, $user) = (0, 'x');

    for (1 .. 8) {
        at($worker, 'release', $user);

        for my $w (0 .. 2) {
            my ($u) = at($w, 'claim') =~ /\A(\w)/ or next;
            ($worker, $user) = ($w, $u);
            push @order, "$u$w";
        }
    }

    is("@order", 'a0 b1 c2 a1 c2 a0 c2 a1', 'the order of their turns');
    at($worker, 'release', $user);
}

is(at(0, 'blocks'), 0, 'nothing is left');

# one that leaves: before, and after its place was granted

is(take(0, 'a'), '1', 'one runs');
take(1, qw(b b));
take(2, 'c');
at(1, 'leave', 'b');
is(counts(qw(b c)), '1/0/0 1/0/0', 'a call that waits has left');
is(at(0, 'release', 'a'), 'ok woken 1', 'the place is granted');
is(counts(qw(b c)), '0/1/0 1/0/0', 'to the next one');
is(at(1, 'leave', 'b'), 'ok woken 2', 'it leaves: the place goes on');
is(counts(qw(b c)), 'none 0/1/0', 'to the one behind it');
is(at(1, 'claim'), '-', 'it does not get it');
is(at(2, 'claim'), 'c', 'that one takes it');
is(at(2, 'places'), '1+0', 'there is one place');
clear(2, 'c');
is(at(0, 'blocks'), 0, 'nothing is left');

# a grant that is not taken within 2 seconds is withdrawn

is(take(0, 'a'), '1', 'one runs');
take(1, 'b');
take(2, 'c');
at(0, 'release', 'a');
at(0, 'clock', 1999);
at(0, 'check');
is(counts(qw(b c)), '0/1/0 1/0/0', 'a grant holds for less than 2 seconds');
at(0, 'clock', 1);
is(at(0, 'check'), 'ok woken 2', 'then it is withdrawn');
is(counts(qw(b c)), '1/0/0 0/1/0', 'and another worker has it');
is(at(1, 'places'), '0+0', 'the late worker has no place');
is(at(2, 'claim'), 'c', 'the other one takes it');
at(2, 'release', 'c');
is(counts('b'), '1/0/0', 'a late worker gets nothing');
is(at(1, 'claim'), 'b', 'when it moves again, it has its turn');
clear(1, 'b');
is(at(0, 'blocks'), 0, 'nothing is left');

# recovery of the zone: the number of places is right all the time

at(0, 'limits', 3, 2);
is(take(0, qw(a a b)), '1 1 1', 'three run');
take(1, qw(b c));
at(0, 'damaged');
at($_, 'forget') for 0 .. 2;
is(at(0, 'release', 'a'), 'ok', 'a place is given back');
is(at(1, 'claim'), '-', 'nothing is granted in recovery');
is(take(2, 'd'), '0', 'nothing is taken, either');
at(0, 'phase', RESET);
at($_, 'restore') for 0 .. 2;
is(counts(qw(a b c d)), '0/0/1 1/0/1 1/0/0 1/0/0', 'all counts are back');
is(at(1, 'claim'), '-', 'nothing is granted before all workers are ready');
at(0, 'phase', READY);
is(at(1, 'claim'), 'b', 'then it is');
is(counts(qw(a b c d)), '0/0/1 0/0/2 1/0/0 1/0/0', 'one place, in turn');
clear(@$_) for [ 0, 'a' ], [ 0, 'b' ], [ 1, 'b' ];
at($_, 'claim') for 1, 2;
clear(@$_) for [ 1, 'c' ], [ 2, 'd' ];
is(at(0, 'blocks'), 0, 'nothing is left');

# a worker that does not let go holds the others back for 2 seconds at most

at(0, 'limits', 2, 1);
is(take(0, 'a'), '1', 'one runs');
at(0, 'damaged');
at($_, 'forget') for 0, 1;
is(take(1, qw(b b)), '0 0', 'two wait');
at(0, 'clock', 1999);
is(at(1, 'claim'), '-', 'for less than 2 seconds');
at(0, 'clock', 1);
is(at(1, 'claim'), 'b', 'then they take what is free, without turns');
is(at(1, 'claim'), '-', 'no more than that');
at(0, 'phase', READY);
at($_, 'restore') for 0, 1;
is(counts(qw(a b)), '0/0/1 1/0/1', 'all counts are back');
clear(@$_) for [ 0, 'a' ], [ 1, 'b' ];
is(at(0, 'blocks'), 0, 'nothing is left');

# a full zone: calls run, and no more than N

at(0, 'limits', 2, 2);
at(0, 'full', 1);
is(take(0, qw(a a a)), '1 1 0', 'places are taken without an entry');
is(take(1, 'b'), '0', 'by no more than N');
at(0, 'release', 'a');
is(at(1, 'claim'), 'b', 'one that waits finds the free place');
at(0, 'full', 0);
is(at(0, 'claim'), '-', 'the zone has room');
is(counts(qw(a b)), '1/0/1 none', 'the user is counted then');
clear(@$_) for [ 1, 'b' ], [ 0, 'a' ];
is(at(0, 'blocks'), 0, 'nothing is left');

# another N by a reload; none: all run

at(0, 'limits', 1, 1);
is(take(0, qw(a a a)), '1 0 0', 'one runs, two wait');
at(0, 'limits', 2, 2);
at(0, 'check');
is(at(0, 'claim'), 'a', 'a larger N starts one more');
at(0, 'limits', 0, 0);
at(0, 'check');
is(at(0, 'claim'), 'a', 'without N all run');
at(0, 'limits', 1, 1);
at(0, 'release', 'a');
is(take(0, 'b'), '0', 'a smaller N waits until enough have ended');
clear(@$_) for [ 0, 'b' ], [ 0, 'a' ];
is(at(0, 'blocks'), 0, 'nothing is left');

# a worker dies: what it ran, was granted and had waiting

at(0, 'limits', 3, 3);
is(take(4, qw(a a)), '1 1', 'a worker runs two');
is(take(0, 'b'), '1', 'another one runs one');
take(4, 'a');
take(1, qw(c c));
at(0, 'release', 'b');
is(counts(qw(a c)), '0/1/2 2/0/0', 'its third call has a place');
is(at(0, 'dead', 4), 'ok woken 1', 'it dies: others are woken');
is(counts(qw(a c)), 'none 0/2/0', 'they have its places');
is(at(1, 'claim'), 'c', 'and take one of them');
is(at(1, 'claim'), 'c', 'and the other one');
is(at(1, 'claim'), '-', 'and no more');
is(take(1, qw(c c)), '1 0', 'there are three places again');
clear(1, 'c');
is(at(0, 'blocks'), 0, 'nothing is left');
is(at($_, 'places'), '0+0', "worker $_ has no place") for 0 .. 3;

finish();
