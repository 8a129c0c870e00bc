# Messages between workers: the limits of inboxes, at, below and above each
# bound, wake-ups, dead workers, gauges, and what is given back.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Zone;
use Test::More;

my $zone = MCPTest::Zone->new;

# 262,144 is an eighth of the zone

$zone->run('the limits of an inbox', <<'END');
mark 1
1 open a alice 2
2 deliver a 4 10 => accepted w1
2 deliver a 1 10 => inbox-full
1 drain => ok +a:4:10
2 deliver a 1 10 => inbox-full
1 accept a 1 10 => inbox-full
1 started a
2 deliver a 2 10 => inbox-full
1 accept a 2 10 => inbox-full
2 deliver a 1 10 => accepted w1
2 deliver a 1 10 => inbox-full
1 drain => ok +a:1:10
1 started a
1 started a
1 started a
1 find a => found owner=1 messages=5 pending=1 bytes=10 replaces=0
1 session a => /pending=1 bytes=10 /
1 started a
1 started a => none
1 find a => found owner=1 messages=5 pending=0 bytes=0 replaces=0
2 deliver a 9 10 => accepted w1
1 drain => ok +a:9:10
2 deliver a 1 10 => inbox-full
1 close a => ok -a:idle
1 started a
1 started a
1 started a
1 started a
1 started a
1 started a
1 started a
1 started a
1 gauges => gauges workers=3 streams=0 pending=1 held=0 calls=0 redis=0,0,0
1 started a
1 gauges => gauges workers=3 streams=0 pending=0 held=0 calls=0 redis=0,0,0
empty
same 1
END

$zone->run('the bytes of an inbox', <<'END');
1 open a alice 2
2 deliver a 1 262143 => accepted w1
2 deliver a 1 2 => inbox-full
2 deliver a 1 1 => accepted
2 deliver a 1 1 => inbox-full
1 drain => ok +a:1:262143 +a:1:1
2 deliver a 1 1 => inbox-full
1 accept a 1 1 => inbox-full
1 started a
2 deliver a 1 262144 => inbox-full
1 accept a 1 262144 => inbox-full
1 accept a 1 262143 => accepted +a:1:262143
1 accept a 1 1 => inbox-full
1 started a
1 started a
2 deliver a 1 262145 => accepted w1
1 drain => ok +a:1:262145
1 started a
1 accept a 1 300000 => accepted +a:1:300000
1 started a
1 find a => found owner=1 messages=5 pending=0 bytes=0 replaces=0
1 close a => ok -a:idle
empty
END

$zone->run('own messages', <<'END');
1 open a alice 2
1 accept a 9 10 => accepted +a:9:10
1 accept a 1 10 => inbox-full
1 find a => found owner=1 messages=9 pending=9 bytes=10 replaces=0
1 self => self phase=2 pending=9 posted=0 lookups=0 waiting=0
1 started a
1 self => self phase=2 pending=8 posted=0 lookups=0 waiting=0
1 find a => found owner=1 messages=9 pending=8 bytes=10 replaces=0
1 session a => /pending=8 bytes=10 /
END

# of the zone, all inboxes together get a half

$zone->run('the bytes of all inboxes', <<'END');
1 open a alice 9
1 open b alice 9
1 open c alice 9
1 open d alice 9
1 open e alice 9
2 deliver a 1 1048577 => accepted w1
2 deliver b 1 1 => zone-full
1 drain => ok +a:1:1048577
2 deliver b 1 262144 => accepted w1
2 deliver c 1 262144 => accepted
2 deliver d 1 262144 => accepted
2 deliver e 1 262143 => accepted
2 root => /inbox=1048575 /
3 deliver e 1 1 => accepted
2 deliver e 1 1 => inbox-full
2 root => /inbox=1048576 /
1 open f alice 9
2 deliver f 1 1 => zone-full
1 drain => ok +b:1:262144 +c:1:262144 +d:1:262144 +e:1:262143 +e:1:1
2 root => /inbox=0 /
1 close a => ok -a:idle
1 close b => ok -b:idle
1 close c => ok -c:idle
1 close d => ok -d:idle
1 close e => ok -e:idle
1 close f => ok -f:idle
empty
END

# a chunk is a page: 4,080 bytes of a message

$zone->run('messages in pieces', <<'END');
1 open a alice 2
2 deliver a 1 0 => accepted w1
2 deliver a 1 1 => accepted
2 deliver a 1 4080 => accepted
2 deliver a 1 4081 => accepted
1 drain => ok +a:1:0 +a:1:1 +a:1:4080 +a:1:4081
1 started a
1 started a
2 deliver a 1 8161 => accepted w1
1 drain => ok +a:1:8161
1 close a => ok -a:idle
empty
END

$zone->run('a zone without room', <<'END');
1 open a alice 2
2 fill 4096 2
2 root => /inbox=0 .* chunks=2$/
2 deliver a 1 12000 => zone-full
2 log => /test" of 2048k is full: sessions 1/
2 root => /inbox=0 .* chunks=2$/
2 deliver a 1 3000 => accepted w1
1 drain => ok +a:1:3000
2 fill 256 0
2 deliver a 1 10 => zone-full
2 log => log 
2 fill
2 deliver a 1 12000 => accepted w1
1 drain => ok +a:1:12000
1 close a => ok -a:idle
empty
END

$zone->run('no session', <<'END');
1 deliver a 1 10 => no-session
1 open a alice 2
1 leave a 1000 2 => ok 1
2 deliver a 1 10 => stream-lost
END

# wake-ups: one is on its way for 20 ms

$zone->run('wake-ups', <<'END');
1 open a alice 2
2 deliver a 1 10 => accepted w1
3 deliver a 1 10 => accepted
time 19
3 deliver a 1 10 => accepted
time 1
3 deliver a 1 10 => accepted w1
1 drain => ok +a:1:10 +a:1:10 +a:1:10 +a:1:10
1 drain
1 started a
1 started a
3 deliver a 1 10 => accepted w1
1 find a => /queued$/
1 drain => ok +a:1:10
1 find a => /bytes=30 replaces=0$/
1 unsure 1 1
3 deliver a 1 10 => accepted w1
1 drain => ok +a:1:10
END

$zone->run('a worker without a socket', <<'END');
start 4
4 init no-socket => ok registered
4 log
4 open a alice 2
2 deliver a 1 10 => accepted
4 timers => timers 20 1000
time 20
4 run => timers +a:1:10
4 timers => timers 20 980
4 started a
1 announce 1 k 0 => ok w2 w3
1 events => events a:1:k:0
time 20
4 run => timers
4 events => events a:1:k:0
4 close a => ok -a:idle
4 exit
END

# a worker that is dead

$zone->run('the owner is dead', <<'END');
1 open a alice 2
1 leftover z 1000 1 8 => all
1 enter z 1 k1 => ok entered
2 deliver a 1 10 => accepted w1
time 20
kill 1
2 dead => dead 0
2 deliver a 1 10 => no-session w1
2 log => /worker process \d+ is dead, its sessions are dropped/
2 dead => dead 1
2 deliver a 1 10 => no-session
2 root => root records=0 tombstones=0 leftovers=120 inbox=0 in-flight=0 announcements=0/0 ended=0 users=0 chunks=1
2 gauges => gauges workers=2 streams=0 pending=0 held=0 calls=0 redis=0,0,0
2 dead-forget
2 dead => dead 0
2 inherit z => id 00000000
empty 2
END

# each worker probes the two behind it

$zone->run('the sweep', <<'END');
start 4
4 init => ok registered
start 5
5 init => ok registered
time 999
1 run
time 1
1 run => timers w2 w3
2 run => timers w3 w4
4 run => timers w5 w1
5 run => timers w1 w2
kill 2
time 1000
1 run => timers w2 w3 w4
1 log => /process \d+ is dead/
1 dead => dead 2
kill 3
kill 4
kill 5
time 1000
1 run => timers w3 w4 w5
1 dead => dead 5
1 dead-forget
1 dead => dead 4
1 gauges => gauges workers=1 streams=0 pending=0 held=0 calls=0 redis=0,0,0
1 timers => timers 1000
END

$zone->run('the sweep takes messages', <<'END');
1 open a alice 2
1 unsure 1 1
2 deliver a 1 10 => accepted w1
time 1000
1 run => timers w2 w3 +a:1:10
1 announce 1 k 0 => ok w2 w3
2 run => timers w3 w1
2 events => events a:1:k:0
END

$zone->run('a dead worker without a socket', <<'END');
kill 2
kill 3
start 4
4 init no-socket => ok registered
4 open a alice 2
time 1000
1 run => timers w2 w3
1 log
time 1000
1 run
1 log => log 
1 find a => found owner=0 messages=0 pending=0 bytes=0 replaces=0
kill 4
time 1000
1 run
1 log => /process \d+ is dead/
empty
END

{
    my @workers = (4 .. 20);

    $zone->run('ids of dead workers', join "\n", (map { ("start $_",
        "$_ init => ok registered", "kill $_") } @workers), 'time 1000',
        '1 run => /^timers w2 w3$/', '3 run => /w4 .*w20 w1 w2$/',
        '3 dead => dead 19', (map { '3 dead-forget' } 1 .. 15),
        '3 dead => dead 4', '3 dead-forget', '3 dead => dead 0');
}

$zone->run('a successor', <<'END');
1 open a alice 2
1 leftover z 1000 1 8 => all
2 deliver a 1 10 => accepted w1
start 4
4 slot 1
4 init => ok registered
4 dead => dead 1
4 gauges => gauges workers=3 streams=0 pending=0 held=0 calls=0 redis=0,0,0
4 root => /records=0 tombstones=0 leftovers=120 inbox=0/
END

# a worker that exits gives everything back

$zone->run('an exit', <<'END');
1 open a alice 9
1 open b alice 9 http k
1 open c alice 9
1 leave c 1000 2 => ok 1
2 deliver a 2 10000 => accepted w1
2 renew a second
1 leftover a 0 2 8 => all
1 leftover a 1000 1 8 => all
1 enter k 1 x y => ok entered entered
1 count 1 1 1 3
1 gauges => gauges workers=3 streams=1 pending=3 held=1 calls=1 redis=0,0,1
1 exit
2 gauges => gauges workers=2 streams=0 pending=0 held=0 calls=0 redis=0,0,0
2 root => /records=1 tombstones=1 leftovers=120 inbox=0 in-flight=0 /
1 take-lookup 4 => none
1 take k
1 take-all k
1 drain
time 999
2 run
2 root => /records=1 tombstones=1 leftovers=120 /
time 1
2 run => timers w3
empty 2
END

$zone->run('gauges', <<'END');
1 open a alice 2
1 count 5 3 2 1
2 count 1 1 1 2
3 count -1 0 0 3
2 deliver a 4 10 => accepted w1
1 gauges => gauges workers=3 streams=5 pending=8 held=4 calls=3 redis=1,1,1
1 drain => ok +a:4:10
1 gauges => gauges workers=3 streams=5 pending=8 held=4 calls=3 redis=1,1,1
1 started a
1 self => self phase=2 pending=3 posted=0 lookups=0 waiting=0
1 count -5 -3 -2 1
1 gauges => gauges workers=3 streams=0 pending=4 held=1 calls=1 redis=1,1,1
END

# messages of a session that goes to another one of its worker

$zone->run('messages that move', <<'END');
1 open a alice 2
1 accept a 2 10 => accepted +a:2:10
1 accept a 1 5 => accepted +a:1:5
1 open b alice 2
1 accept b 1 7 => accepted +b:1:7
1 move a b
1 session a => /pending=0 bytes=0 /
1 session b => /pending=4 bytes=22 /
1 find b => found owner=1 messages=1 pending=4 bytes=22 replaces=0
1 self => self phase=2 pending=4 posted=0 lookups=0 waiting=0
END

# messages for which their owner has no memory

$zone->run('no memory for messages', <<'END');
mark 1
1 open a alice 2
2 requests a 3000 "x" 12 -7 => accepted w1
1 refuse 2500
1 drain => ok +a:1:39:"x" +a:1:38:12 +a:1:38:-7
1 log => /no memory for 3 messages of session 0123456789abcdef, they are answered with an error/
1 find a => /messages=3 pending=3 bytes=115 replaces=0/
1 self => self phase=2 pending=3 posted=0 lookups=0 waiting=0
1 started a
1 started a
1 started a
1 find a => /messages=3 pending=0 bytes=0 replaces=0/
1 self => self phase=2 pending=0 posted=0 lookups=0 waiting=0
2 requests a 3000 "x" 12 => accepted w1
1 refuse 1
1 drain => ok -a:memory
1 refuse 0
1 self => self phase=2 pending=0 posted=0 lookups=0 waiting=0
1 log
empty
same 1
END

$zone->run('a lost message has the length of its id', <<'END');
1 open a alice 2
2 requests a 4070 "abcdefgh" "abcdefgh" => accepted w1
1 refuse 4000
1 drain => /^ok \+a:1:\d+:"abcdefgh" \+a:1:\d+:"abcdefgh"$/
END

finish();
