# Places of calls at Frappe: how many run, of all workers and of one user, whose
# turn it is, who is passed over, what a worker that ends or dies gives back,
# what recovery keeps, what a full zone does.  docs/PROTOCOL.md 6.25 to 6.29.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Zone;
use Test::More;

my $zone = MCPTest::Zone->new;


# A zone in which N calls run, M of a user.

sub of { return "zone 2097152 4 10000 2 @_\n" }

# users in turn, and the workers of a user in turn; the worker that gives a place
# back takes the next one from an event, others are woken

$zone->run('users in turn', of(3, 2) . <<'END');
mark 1
1 places => places running=0 waiting=0 granted=0 of=3 per-user=2
1 place alice => runs
2 place alice => runs
3 place alice => waits
3 place bob => runs
1 place bob => waits
2 place carol => waits
2 place alice => waits
1 places => places running=1 waiting=1 granted=0 of=3 per-user=2
1 places alice => alice running=1 waiting=0
2 places alice => alice running=1 waiting=1
2 done alice
2 places => places running=0 waiting=2 granted=1 of=3 per-user=2
2 events => events alice>
2 places => places running=1 waiting=1 granted=0 of=3 per-user=2
2 events => events
1 done alice
1 events => events bob>
3 done bob => ok w2
3 events => events
2 drain
2 events => events carol>
2 done carol => ok w3
3 drain
3 events => events alice>
3 done alice
2 done alice
1 places => places running=1 waiting=0 granted=0 of=3 per-user=2
1 done bob
1 places => places running=0 waiting=0 granted=0 of=3 per-user=2
empty
same 1
END

$zone->run('workers in turn', of(4, 4) . <<'END');
1 place alice => runs
1 place alice => runs
1 place alice => runs
1 place alice => runs
2 place alice => waits
2 place alice => waits
2 place bob => waits
3 place bob => waits
1 done alice => ok w2
1 done alice => ok
2 drain
2 events => events alice> bob>
1 done alice => ok w2
1 done alice => ok w3
2 drain
2 events => events alice>
3 drain
3 events => events bob>
2 places => places running=3 waiting=0 granted=0 of=4 per-user=4
2 done alice
2 done alice
2 done bob
3 done bob
empty
END

$zone->run('two places at once', of(2, 2) . <<'END');
1 place alice => runs
1 place alice => runs
2 place bob => waits
2 place bob => waits
2 place bob => waits
1 done alice => ok w2
1 done alice => ok
2 places => places running=0 waiting=3 granted=2 of=2 per-user=2
2 drain
2 events => events bob> bob>
2 places bob => bob running=2 waiting=1
2 done bob
2 events => events bob>
2 done bob
2 done bob
empty
END

# a place of a user that may have no more is for others

$zone->run('the maximum of a user', of(3, 1) . <<'END');
1 place alice => runs
1 place alice => waits
2 place alice => waits
2 place bob => runs
3 place carol => runs
3 place dora => waits
2 done bob => ok w3
3 drain
3 events => events dora>
3 done carol
1 places => places running=1 waiting=1 granted=0 of=3 per-user=1
1 done alice
1 events => events alice>
1 done alice => ok w2
2 drain
2 events => events alice>
2 done alice
3 done dora
empty
END

# a call behind others of its user waits, even if there is a free place

$zone->run('behind others', of(2, 2) . <<'END');
1 place alice => runs
1 place bob => runs
1 place alice => waits
1 done bob
1 place alice => waits
1 events => events alice>
1 places alice => alice running=2 waiting=1
1 done alice
1 events => events alice>
1 done alice
1 done alice
empty
END

# calls that leave while they wait: before and after they were granted a place

$zone->run('a call that leaves', of(1, 1) . <<'END');
mark 2
1 place alice => runs
2 place bob => waits
2 place bob => waits
3 place carol => waits
2 unplace bob => ok
2 places => places running=0 waiting=1 granted=0 of=1 per-user=1
1 done alice => ok w2
2 unplace bob => ok w3
2 places => places running=0 waiting=0 granted=0 of=1 per-user=1
same 2
2 drain
2 events => events
3 drain
3 events => events carol>
3 done carol
empty
END

$zone->run('one of two that leaves', of(1, 1) . <<'END');
1 place alice => runs
2 place bob => waits
2 place bob => waits
1 done alice => ok w2
2 unplace bob
2 places => places running=0 waiting=1 granted=1 of=1 per-user=1
2 drain
2 events => events bob>
2 done bob
empty
END

# a worker that has not taken a place for 2 seconds is passed over until it moves

$zone->run('a late worker', of(1, 1) . <<'END');
1 place alice => runs
2 place bob => waits
2 place bob => waits
3 place carol => waits
3 place bob => waits
1 done alice => ok w2
time 1999
1 check-places => ok
2 places => places running=0 waiting=2 granted=1 of=1 per-user=1
time 1
1 check-places => ok w3
2 places => places running=0 waiting=2 granted=0 of=1 per-user=1 late
3 drain
3 events => events carol>
3 done carol
3 events => events bob>
3 done bob
3 events => events
2 check-places => ok
2 places => places running=0 waiting=2 granted=1 of=1 per-user=1
2 events => events bob>
2 done bob
2 events => events bob>
2 done bob
empty
END

for my $move ('place carol', 'done bob', 'check-places', 'unplace alice') {
    $zone->run("a late worker moves: $move", of(2, 1) . <<"END");
1 place alice => runs
2 place bob => runs
2 place alice => waits
1 done alice => ok w2
time 2000
1 check-places => ok
2 places => /late\$/
2 $move => /./
2 places => @{[ $move =~ /unplace/ ? '/granted=0.*late$/' : '/=1$/' ]}
END
}

# places of workers that end or die are granted to others

$zone->run('a worker that ends', of(1, 1) . <<'END');
1 place alice => runs
1 place carol => waits
2 place bob => waits
mark 3
1 exit => ok w2
2 drain
2 events => events bob>
1 done alice
1 unplace carol
1 events => events
2 done bob
empty 2
END

$zone->run('a worker that dies', of(2, 2) . <<'END');
1 place alice => runs
1 place alice => runs
1 place bob => waits
2 place bob => waits
3 place bob => waits
kill 1
time 1000
2 run => timers w3 w1 w3
2 places => places running=0 waiting=1 granted=1 of=2 per-user=2
2 events => events bob>
3 drain
3 events => events bob>
2 done bob
3 done bob
empty 2
END

$zone->run('a worker that dies with what it was granted', of(1, 1) . <<'END');
1 place alice => runs
3 place carol => waits
2 place bob => waits
kill 3
1 done alice => ok w3 w2
1 events => events
2 drain
2 events => events bob>
2 done bob
empty 2
END

# recovery: calls that run keep their places, nothing is granted before all have
# entered their users again, for 2 seconds at most

$zone->run('recovery', of(2, 1) . <<'END');
start 4
4 init => ok registered
1 place alice => runs
2 place bob => runs
3 place carol => waits
1 place carol => waits
4 hold => locked slept=0
kill 4
1 lock => /^locked .*slept=1007$/
1 places alice => alice running=1 waiting=0 no-entry
1 places => places running=1 waiting=1 granted=0 of=2 per-user=1
2 lock => locked slept=0
3 lock => locked slept=0
1 done alice
1 events => events
1 place dora => waits
1 run
1 places carol => carol running=0 waiting=1
1 events => events
2 run
3 run => /^timers/
1 root => /chunks=[1-9]/
time 20
1 run => timers dora>
1 places => places running=1 waiting=1 granted=0 of=2 per-user=1
2 done bob => ok w1
1 drain
1 events => events carol>
1 done carol => ok w3
3 drain
3 events => events carol>
3 done carol
1 done dora
empty
END

$zone->run('recovery without a worker that is stopped', of(1, 1) . <<'END');
start 4
4 init => ok registered
1 place alice => runs
2 place bob => waits
4 hold => locked slept=0
kill 4
1 lock => /^locked .*slept=1007$/
2 lock => locked slept=0
1 done alice
1 run
2 run
2 events => events
time 1980
2 run => /^timers[^>]*$/
2 places bob => bob running=0 waiting=1 no-entry
time 19
2 run => /^timers[^>]*$/
time 1
2 run => /^timers[^>]* bob>/
2 places => places running=1 waiting=0 granted=0 of=1 per-user=1
3 self => /phase=0 /
END

# a zone without room for a user: its calls take free places without turns; how
# many run in all holds for them, too

$zone->run('a full zone', of(2, 1) . <<'END');
3 place bob => runs
1 fill 4096 0
1 fill 512 0
1 fill 256 0
1 fill 128 0
1 fill 64 0
1 fill 32 0
1 fill 16 0
1 fill 8 0
1 place alice => runs
1 places alice => alice running=1 waiting=0 no-entry
1 place alice => waits
1 place carol => waits
1 places alice => alice running=1 waiting=1 no-entry
1 timers => timers 20 1000
time 20
1 run
1 timers => timers 20 980
3 done bob
time 20
1 run => timers carol>
1 places => places running=2 waiting=1 granted=0 of=2 per-user=1
1 places alice => alice running=1 waiting=1
1 places carol => carol running=1 waiting=0 no-entry
1 done alice
time 20
1 run => timers alice>
1 places alice => alice running=1 waiting=0
1 timers => timers 940
1 place dora => waits
1 fill
time 20
1 run => timers
1 places dora => dora running=0 waiting=1
1 places carol => carol running=1 waiting=0
1 done carol
1 events => events dora>
1 done alice
1 done dora
1 place alice => runs
1 place alice => waits
1 unplace alice
1 done alice
empty
END

# room for the record of a user, but not for an entry

$zone->run('half an entry', of(2, 1) . <<'END');
3 place bob => runs
1 root => /chunks=2$/
1 fill 4096 0
1 fill 512 0
1 fill 256 0
1 fill 64 0
1 fill 32 0
1 fill 16 0
1 fill 8 0
1 fill 128 1
1 place alice => runs
1 places alice => alice running=1 waiting=0 no-entry
1 done alice
3 done bob
1 fill
empty
END

# the newest cycle says how many run; workers of an older one that still start
# calls follow

$zone->run('a reload with fewer places', of(3, 2) . <<'END');
1 place alice => runs
1 place alice => runs
2 place bob => runs
2 place bob => waits
start 4
4 calls 1 1
4 init => ok registered
1 places => places running=2 waiting=0 granted=0 of=1 per-user=1
1 done alice
2 places => places running=1 waiting=1 granted=0 of=1 per-user=1
1 done alice
2 done bob
2 events => events bob>
start 5
5 exiting
5 calls 7 7
5 init => ok registered
1 places => places running=0 waiting=0 granted=0 of=1 per-user=1
END

$zone->run('a reload without', of(1, 1) . <<'END');
1 place alice => runs
1 place alice => waits
2 place bob => waits
start 4
4 calls 0 0
4 init => ok registered
4 places => /of=0 per-user=0 unused/
1 place alice => waits
2 check-places => ok w1
2 events => events bob>
1 drain
1 events => events alice> alice>
1 place alice => runs
1 place alice => runs
END

finish();
