# The mutex of the zone and its recovery: who waits how long, who is taken for
# dead, and what the sessions of the others get back.  docs/ARCHITECTURE.md 9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Zone;
use Test::More;

my $zone = MCPTest::Zone->new;
my $none = 'messages=0 pending=0 bytes=0 replaces=0';

# four messages and 1 MB

is($zone->ask("zone $_->[0] 4 $_->[1] 2"), $_->[2],
    "a zone of $_->[0] bytes, messages of $_->[1]: $_->[2]")
    for [ 1088575, 10000, 'too small' ], [ 1088576, 10000, 'ok' ],
        [ 1088576, 10001, 'too small' ],
        [ 1 << 40, (1 << 30) + 1, 'too small' ];

# a worker yields 1,024 times, then sleeps 1, 2, 4, 8 and then 16 ms between its
# tries

$zone->run('the mutex', <<'END');
1 lock => locked slept=0
3 yields => yields 0
2 held $pid_1 1
3 lock => locked slept=1
3 yields => yields 1024
2 held $pid_1 2
3 lock => locked slept=3
2 held $pid_1 16
3 lock => locked slept=31
2 held $pid_1 32
3 lock => locked slept=47
2 held $pid_1 1000
3 lock => locked slept=1007
3 log => log 
2 held $pid_1 1008
3 lock => locked w1 slept=1023
3 log => /^log [^|]*worker process \d+ has locked mcp_sse_zone "test" for a second, this worker waits for it \| $/
2 held $pid_1 3500
3 lock => locked w1 w1 w1 slept=3503
3 log => /^log [^|]*has locked[^|]*\| $/
2 unsure 1 1
2 held $pid_1 1008
3 lock => locked w1 slept=1023
END

$zone->run('a holder without a record', <<'END');
start 4
2 held $pid_4 1008
3 lock => locked slept=1023
3 log => /has locked/
2 held 4194303 0
3 lock => locked slept=1007
3 log => log 
1 root => /records=0/
END

$zone->run('a holder without a socket', <<'END');
start 4
4 init no-socket => ok registered
2 held $pid_4 1008
3 lock => locked slept=1023
END

$zone->run('a dead holder whose pid is in use again', <<'END');
2 pid-reused 1
2 held $pid_1 0
3 lock => locked w1 slept=1007
3 log => log 
END

# each of these waits for the mutex

{
    my $before = <<'END';
1 open a alice 5
1 open b alice 5
1 open h alice 5 http k
1 leftover a 1000 3 8 => all
1 enter k 1 x y => ok entered entered
2 renew a second
END

    for my $case (
        [ 'open c alice 5',          'ok' ],
        [ 'leave a 1000 2',          'ok 1' ],
        [ 'began a',                 'ok' ],
        [ 'session a',               '/listed/' ],
        [ 'limit alice 5',           'ok' ],
        [ 'active a 1',              'ok' ],
        [ 'credential a second',     'same' ],
        [ 'renew a third',           'ok' ],
        [ 'renewed a',               'ok second second' ],
        [ 'deliver b 1 10',          '/^accepted/' ],
        [ 'deliver z 1 10',          'no-session' ],
        [ 'ended a 00000000',        'ok' ],
        [ 'answered a 00000000',     'ok' ],
        [ 'adopt a',                 'ok' ],
        [ 'drop a',                  'ok' ],
        [ 'waits a 00000000',        'yes' ],
        [ 'inherit a',               '/^id/' ],
        [ 'enter j 1 z',             'ok entered' ],
        [ 'take k',                  'ok' ],
        [ 'announce 1 k 0',          '/^ok/' ],
        [ 'end e alice 1000100',     'ok' ],
        [ 'is-ended e',              'no' ],
        [ 'take-lookup 1',           'taken' ],
        [ 'gauges',                  '/workers=3/' ],
        [ 'exit',                    'ok' ],
    ) {
        my ($command, $want) = @$case;

        $zone->run("$command waits", "$before\n2 held \$pid_2 16\n"
            . "1 $command => $want\n3 slept => slept 31\n"
            . "3 lock => locked slept=0\n");
    }

    for my $n (2, 5, 6) {
        $zone->run('a worker that starts waits', "start 4\n"
            . "1 held \$pid_2 16\n4 init => ok registered\n"
            . "1 slept => slept 31\n1 lock => locked slept=0\n");
    }
}

# others hold the mutex between two sections

$zone->run('between two sections', <<"END");
1 open a alice 2
kill 2
time 1000
3 held-then \$pid_1
1 run => timers w2 w3
1 slept => slept 31
1 gauges => gauges workers=2 streams=0 pending=0 held=0 calls=0 redis=0,0,0
kill 1
3 held-then \$pid_3
3 deliver a 1 10 => no-session w1
3 slept => slept 31
3 lock => locked slept=0
END

# a dead holder

$zone->run('a worker that died in the lock', <<'END');
1 hold => locked slept=0
kill 1
2 lock => locked w1 w3 slept=1007
2 log => /\[crit\] .* worker process \d+ died while it changed mcp_sse_zone "test", which is emptied .*\| [^|]*process \d+ is dead/
2 dead => dead 1
2 self => /phase=1 /
3 lock => locked slept=0
3 self => /phase=1 /
3 log => log 
2 timers => timers 0 1000
2 run
2 self => /phase=2 /
2 log => log 
2 timers => timers 1000
3 run
3 self => /phase=2 /
3 log => /zone "test" is recovered/
2 gauges => gauges workers=2 streams=0 pending=0 held=0 calls=0 redis=0,0,0
start 4
4 init => ok registered
4 self => /phase=2 /
empty 2
END

$zone->run('a lock that the master has unlocked', <<'END');
1 hold => locked slept=0
kill 1
2 held 0 0
2 lock => locked w3 slept=0
2 self => /phase=1 /
END

$zone->run('the others are found dead', <<'END');
1 hold => locked slept=0
kill 1
kill 3
2 lock => locked w1 w3 slept=1007
2 gauges => gauges workers=1 streams=0 pending=0 held=0 calls=0 redis=0,0,0
2 run
2 log => /is recovered/
END

# what sessions get back

$zone->run('sessions go on', <<"END");
mark 1
1 open a alice 2
1 accept a 2 20 => accepted +a:2:20
1 active a 7
2 open b bob 2
2 leave b 1000 2 => ok 1
3 deliver a 1 10 => accepted w1
3 deliver a 1 5000 => accepted
2 enter k 1 x y => ok entered entered
2 take k
3 announce 1 k 0 => ok w2
3 end e alice 1000100
3 leftover a 1000 1 8 => all
3 hold => locked slept=0
kill 3
1 lock => locked w3 +a:1:10 +a:1:5000 slept=1007
1 find a => found
1 session a => a pending=4 bytes=5030 accepted=11 tombstone=0 predecessor=0 awaited=0 listed no-record
1 self => self phase=1 pending=4 posted=0 lookups=0 waiting=0
1 deliver a 1 10 => stream-lost
2 deliver a 1 10 => stream-lost
2 self => /phase=1 /
1 enter j 1 z => again none
1 take-all j
1 run
1 self => /phase=2 /
1 find a => found owner=1 messages=11 pending=4 bytes=5030 replaces=0
2 deliver a 1 10 => inbox-full
2 deliver b 1 10 => stream-lost
1 enter j 1 y => again none
1 take-all j
2 run
2 log => /is recovered/
2 deliver b 1 10 => no-session
1 enter j 1 y => ok used
1 enter l 1 x => ok entered
1 is-ended e => no
1 started a
1 started a
1 started a
1 started a
2 deliver a 1 10 => accepted w1
1 drain => ok +a:1:10
1 close a => ok -a:idle
1 take-all j
1 take-all l
2 take-all k
1 started a
1 gauges => gauges workers=2 streams=0 pending=0 held=0 calls=0 redis=0,0,0
empty
same 1
END

$zone->run('a worker that is late', <<"END");
1 open a alice 2
1 open b alice 2
3 hold => locked slept=0
kill 3
1 lock => locked w3 w2 slept=1007
1 run
1 self => /phase=1 /
1 session a => /no-record/
1 timers => timers 20 1000
time 19
1 run
1 session a => /no-record/
time 1
2 lock => locked slept=0
1 run
1 self => /phase=2 /
1 find a => found owner=1 $none
1 find b => found owner=1 $none
1 timers => timers 980
start 4
4 init => ok registered
4 self => /phase=1 /
4 timers => timers 20 1000
2 run
2 log => log 
time 20
4 run
4 self => /phase=2 /
4 log => /is recovered/
END

# it begins again while sessions are registered, at each of the locks, or another
# worker goes on meanwhile

for my $n (1 .. 3) {
    $zone->run("it begins again at lock $n", <<"END");
1 open a alice 2
1 open b alice 2
kill 2
3 hold => locked slept=0
kill 3
1 lock => /^locked .*slept=1007\$/
1 at-lock $n dies 4194303
1 run
1 log => /process 4194303 died while it changed/
1 self => /phase=1 /
time 20
1 run
1 self => /phase=2 /
1 log => /is recovered/
1 find a => found owner=1 $none
1 find b => found owner=1 $none
END
}

$zone->run('another worker goes on meanwhile', <<"END");
1 open a alice 2
3 hold => locked slept=0
kill 3
1 lock => locked w3 w2 slept=1007
1 at-lock 2 released 2
1 run
1 self => /phase=1 /
1 session a => /no-record/
time 20
1 run
1 self => /phase=2 /
1 find a => found owner=1 $none
END

$zone->run('sessions that had to end', <<"END");
1 open a alice 1
time 10001
2 open b alice 1 => ok w1
1 open c carol 2
2 open c carol 2
3 hold => locked slept=0
kill 3
1 lock => locked w3 w2 slept=1007
2 lock => locked slept=0
1 run => timers w2 -a:evicted -c:replaced
2 run => timers w1
2 log => /is recovered/
1 find b => found owner=2 $none
1 find c => found owner=2 $none
END

$zone->run('a user with too many sessions after it', <<"END");
1 open a alice 1
3 hold => locked slept=0
kill 3
1 lock => locked w3 w2 slept=1007
2 lock => locked slept=0
2 open b alice 1
1 run
1 find a => found owner=1 $none
1 find b => found owner=2 $none
END

# an id of two workers: that of the newer stream

$zone->run('a newer stream', <<"END");
1 open a alice 1
3 hold => locked slept=0
kill 3
1 lock => locked w3 w2 slept=1007
2 lock => locked slept=0
time 1
2 open a alice 1
1 run => timers -a:replaced
1 find a => found owner=2 $none
END

for my $how (1, 2, 3) {
    my $got = $how < 3 ? '' : ' \\+a:1:10( \\+a:1:10)*';

    $zone->run("an inbox that is damaged: $how", <<"END");
1 open a alice 2
1 open b alice 2
2 deliver b 1 7 => accepted w1
2 deliver a 1 10 => accepted
1 damage a $how
3 hold => locked slept=0
kill 3
1 lock => /^locked w3 w2$got \\+b:1:7 slept=1007\$/
1 log => /messages of session 0123456789abcdef are lost with mcp_sse_zone, its stream is closed/
2 lock => locked slept=0
1 run => timers -a:memory
1 find b => found owner=1 messages=1 pending=1 bytes=7 replaces=0
END
}

finish();
