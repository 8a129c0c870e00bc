# The lists of the zone: open requests of lost streams, ids of requests in
# flight, announcements, ended ids, look-ups; and its counters.  Each bound at,
# below and above it, and what is given back.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Zone;
use Test::More;

my $zone = MCPTest::Zone->new;

# open requests of lost streams; one takes 112 bytes and its id

$zone->run('open requests', <<'END');
1 open a alice 2
1 leave a 1000 2 7 "x" => ok 1
1 root => /leftovers=228 /
2 waits a 7 => yes
2 waits a 7.0 => no
2 waits a "\u0078" => yes
2 waits a 8 => no
2 waits b 7 => no
2 ended a 7
2 waits a 7 => yes
1 ended a 8
1 ended a 77
1 ended a 7
2 waits a 7 => no
2 waits a "x" => yes
1 root => /leftovers=228 /
2 inherit a => id 7
1 root => /leftovers=115 /
2 inherit a => id "x"
2 inherit a => none
1 root => /leftovers=115 /
1 answered a "x"
1 root => /leftovers=115 /
2 waits a "x" => yes
1 ended a "x"
1 root => /leftovers=0 /
1 leave a 1000 2 => ok 1
END

$zone->run('an answer before the end', <<'END');
1 leftover a 1000 1 8 => all
2 answered a 00000000
1 answered a 0000000
1 root => /leftovers=120 /
1 answered a 00000000
2 inherit a => none
2 waits a 77777777 => no
2 waits a 00000000 => yes
1 root => /leftovers=120 /
1 ended a 00000000
empty
END

$zone->run('requests that need no answer', <<'END');
1 leftover a 0 2 8 => all
2 inherit a => none
1 adopt a
1 drop a
1 root => /leftovers=240 /
time 100000
1 run => timers w2 w3
1 root => /leftovers=240 /
1 ended a 00000000
1 root => /leftovers=120 /
1 ended a 00000001
empty
END

$zone->run('requests that their session takes over', <<'END');
1 leftover a 1000 2 8 => all
2 leftover a 1000 1 10 => all
1 leftover b 1000 1 8 => all
1 adopt a
1 root => /leftovers=242 /
2 inherit a => id 7700000000
2 root => /leftovers=242 /
2 ended a 7700000000
1 ended b 00000000
1 root => /leftovers=120 /
1 adopt b
empty
END

$zone->run('requests that nobody asks for', <<'END');
1 leftover a 1000 2 8 => all
2 leftover a 1000 1 10 => all
1 leftover b 1000 1 8 => all
1 drop a
1 root => /leftovers=482 /
2 inherit a => id 7700000000
2 inherit a => none
1 ended a 00000000
1 ended a 00000001
1 root => /leftovers=242 /
2 drop-all b
1 root => /leftovers=242 /
1 ended b 00000000
2 ended a 7700000000
empty
1 leftover a 1000 1 8 => all
2 leftover a 1000 1 9 => all
1 ended a 00000000
2 ended a 700000000
1 root => /leftovers=241 /
3 drop-all a
empty
END

$zone->run('the time of requests', <<'END');
1 leftover a 1000 1 8 => all
1 leftover b 2000 1 8 => all
2 leftover c 1000 1 8 => all
1 ended a 00000000
1 ended b 00000000
2 ended c 00000000
time 999
1 run
1 root => /leftovers=360 /
time 1
1 run => timers w2 w3
1 root => /leftovers=240 /
2 run => timers w3 w1
1 root => /leftovers=120 /
2 inherit b => id 00000000
empty
END

# 16,384 bytes of a session

$zone->run('the limits of requests', <<'END');
1 leftover a 0 128 16 => all
1 root => /leftovers=16384 /
1 leftover b 0 129 16 => some
1 root => /leftovers=32768 /
1 leftover c 0 1 4096 => all
1 root => /leftovers=36976 /
1 leftover c 0 1 4097 => some
1 root => /leftovers=36976 /
END

{
    my @all = map { "1 leftover s$_ 0 128 16 => all" } 1 .. 15;

    $zone->run('the part of the zone for requests', join "\n", @all, <<'END');
1 leftover x 0 127 16 => all
1 root => /leftovers=262016 /
1 leftover y 0 1 17 => some
1 leftover y 0 1 16 => all
1 leftover y 0 1 8 => some
1 root => /leftovers=262144 /
END
}

$zone->run('a session that ends with too many', <<'END');
1 open a alice 2
1 fill 128 0
1 fill 4096 0
1 leave a 1000 2 7 => ok 1
1 log => /session 0123456789abcdef ends with more open requests than mcp_sse_zone "test" can note/
1 fill
1 open b alice 2
1 leave b 1000 2 7 => ok 2
1 log => log 
END

# ids of requests of Streamable HTTP

$zone->run('ids in flight', <<'END');
mark 1
mark 2
1 open s alice 2 http k
1 enter k 2 x y => ok entered entered
2 enter k 2 z x => ok entered used
2 find k => found owner=1 messages=4 pending=0 bytes=0 replaces=0 http
1 root => /in-flight=3 /
1 enter k 0 x => ok used used used
1 take k
1 root => /in-flight=2 /
2 take k
2 take k
2 take k => none
1 root => /in-flight=1 /
1 take-all k
1 take k => none
1 close s => ok -s:idle
empty
same 1
same 2
END

$zone->run('an id that is free again', <<'END');
1 enter k 1 x => ok entered
2 enter k 1 x => ok used
1 take k
2 take k
2 enter k 1 x => ok entered
2 refuse 50
2 enter l 1 y => no memory
2 refuse 0
2 take-all k
empty
END

# an eighth of the zone, 72 bytes each

$zone->run('the part of the zone for ids', <<'END');
1 enter a 0 *3639 x => ok
1 root => /in-flight=3639 /
2 enter b 0 u v => declined entered none
1 root => /in-flight=3640 /
2 log => /is full: .* requests in flight 3640,/
2 take-all b
2 enter b 0 u => ok entered
2 enter c 0 v => declined none
2 enter d 0 x7 => ok used
1 take-all a
2 take-all b
2 take-all c
2 take-all d
empty
END

# announcements; one takes 80 bytes and its data

$zone->run('announcements', <<'END');
mark 1
1 announce 1 k 0 => ok w2 w3
1 announce 2 l 4096
1 root => /announcements=2\/4256 /
2 tell-self 4 m 5
1 events => events a:1:k:0 a:2:l:4096
2 events => events a:4:m:5 a:1:k:0 a:2:l:4096
2 events
2 drain
2 events
1 events
time 20
3 announce 1 n 1 => ok w1 w2
3 events => events a:1:n:1 a:1:k:0 a:2:l:4096
1 drain
1 events => events a:1:n:1
1 root => /announcements=3\/4337 /
2 drain
2 events => events a:1:n:1
1 root => /announcements=3\/4337 /
start 4
4 init => ok registered
4 drain
4 events
time 1000
1 run => timers w2 w3
empty
same 1
END

$zone->run('announcements that a worker does not read', <<'END');
1 announce 1 k 0 => ok w2 w3
2 drain
2 events => events a:1:k:0
time 9999
1 announce 1 l 0 => ok w2 w3
1 root => /announcements=2\/160 /
time 1
1 announce 1 m 0
1 root => /announcements=2\/160 /
3 drain
3 events => events a:1:l:0 a:1:m:0 a:3::0
3 events => events
END

$zone->run('the number of announcements', <<'END');
1 announce 1 k 0 1023 => ok w2 w3
2 drain
2 events => /^events( a:1:k:0){1023}$/
1 announce 1 l 0 => ok w2
1 log => log 
1 root => /announcements=1024\/81920 /
1 announce 1 m 0
1 log => /too many announcements between workers, 1 of them are lost/
1 root => /announcements=1024\/81920 /
3 drain
2 drain
2 events => events a:1:l:0 a:1:m:0
3 events => /^events( a:1:k:0){1022} a:1:l:0 a:1:m:0 a:3::0$/
1 events => /^events/
1 announce 1 n 0 2 => ok w2 w3
1 log => log 
1 root => /announcements=2\/160 /
END

$zone->run('the bytes of announcements', <<'END');
1 announce 1 k 4016 32 => ok w2 w3
1 log => log 
1 root => /announcements=32\/131072 /
1 announce 1 l 0
1 log => / 1 of them are lost/
1 root => /announcements=32\/127056 /
1 announce 1 l 3936
1 log => log 
1 root => /announcements=33\/131072 /
END

$zone->run('announcements in a full zone', <<'END');
1 announce 1 k 4000 2 => ok w2 w3
1 fill 4096 0
1 announce 1 l 4000
1 log => / 1 of them are lost/
1 root => /announcements=2\/8160 /
2 announce 1 m 9000 => error
2 log => / 2 of them are lost.* is full/
END

# ended ids

$zone->run('ended ids', <<'END');
1 is-ended a => no
1 all-ended => ended
1 end a alice 1000010
2 is-ended a => yes
2 is-ended b => no
2 end a alice 1000020 => declined
2 end b bob 1000005
2 end c alice 1000005
1 root => /ended=3 users=2 chunks=5$/
3 all-ended => ended b:bob:1000005 c:alice:1000005 a:alice:1000010
1 run
time 4999
1 run => timers w2 w3
1 root => /ended=3 users=2 /
time 1
2 run => timers w3 w1
1 root => /ended=1 users=1 /
1 is-ended b => no
1 is-ended a => yes
time 4999
1 run => timers w2 w3
1 is-ended a => yes
time 1
2 run => timers w3 w1
1 is-ended a => no
empty
END

# 1,022 of one user take an eighth of the zone

$zone->run('the part of the zone for ended ids', <<'END');
1 end x alice 1000100
1 end-many k alice 1000100 1021
1 root => /ended=1022 users=1 /
1 log => log 
1 is-ended x => yes
1 end y alice 1000100
1 log => /too many ended sessions for mcp_sse_zone "test", the oldest of the users who have the most are forgotten/
1 root => /ended=1022 users=1 /
1 is-ended x => no
1 is-ended k0 => yes
1 end a bob 1000100
1 root => /ended=1022 users=2 /
1 is-ended k0 => no
1 is-ended k1 => yes
1 end b bob 1000100
1 root => /ended=1021 users=2 /
1 is-ended k1 => no
1 is-ended k2 => no
1 is-ended k3 => yes
1 is-ended a => yes
1 end c carol 1000100
1 root => /ended=1021 users=3 /
1 is-ended a => yes
1 log => log 
time 9999
1 end d bob 1000100
1 log => log 
time 1
1 end e bob 1000100
1 log => /too many ended sessions/
END

$zone->run('users with as many ended ids', <<'END');
1 end-many k alice 1000100 510
1 end-many l bob 1000100 510
1 end m alice 1000100
1 root => /ended=1021 users=2 /
1 end n bob 1000100
1 root => /ended=1021 users=2 /
1 is-ended k0 => no
1 is-ended l0 => yes
1 end o bob 1000100
1 is-ended l0 => no
1 is-ended k1 => yes
1 end p carol 1000100
1 root => /ended=1021 users=3 /
1 is-ended p => yes
END

$zone->run('ended ids in a full zone', <<'END');
1 end a alice 1000100
1 fill 4096 0
1 fill 128 0
1 end b alice 1000100
1 is-ended a => no
1 fill
1 fill 4096 0
1 fill 128 2
1 end c bob 1000100
1 is-ended b => yes
1 root => /ended=2 users=2 /
1 end d carol 1000100
1 root => /ended=2 users=2 /
1 is-ended d => yes
1 log => /too many ended sessions/
END

# look-ups of all workers

$zone->run('look-ups', <<'END');
1 take-lookup 3 => taken
1 take-lookup 3 => taken
2 take-lookup 3 => taken
2 take-lookup 3 => none
2 self => self phase=2 pending=0 posted=0 lookups=1 waiting=0
1 release-lookup
2 take-lookup 3 => taken
1 take-lookup 3 => none
1 self => self phase=2 pending=0 posted=0 lookups=1 waiting=0
2 exit
3 take-lookup 3 => taken
3 take-lookup 3 => taken
3 take-lookup 3 => none
END

$zone->run('the share of a worker', <<'END');
1 take-lookup 4 => taken
1 take-lookup 4 => taken
1 take-lookup 4 => taken
1 release-lookup
2 wait-lookup 1
1 take-lookup 4 => none
2 wait-lookup 0
1 take-lookup 4 => taken
1 release-lookup
2 wait-lookup 2
2 take-lookup 4 => taken
1 take-lookup 4 => none
2 take-lookup 4 => taken
2 take-lookup 4 => none
1 release-lookup
3 wait-lookup 1
2 take-lookup 4 => none
1 take-lookup 4 => none
3 take-lookup 4 => taken
END

$zone->run('a share is one at least', <<'END');
1 take-lookup 2 => taken
2 wait-lookup 1
3 wait-lookup 1
1 take-lookup 2 => none
3 take-lookup 2 => taken
1 release-lookup
2 take-lookup 2 => taken
END

$zone->run('the turn of a worker', <<'END');
1 take-lookup 1 => taken
time 1
2 wait-lookup 1
2 take-lookup 1 => none
1 wait-lookup 1
1 release-lookup
1 take-lookup 1 => none
time 199
1 take-lookup 1 => none
time 1
1 take-lookup 1 => taken
1 release-lookup
time 1
2 take-lookup 1 => taken
2 release-lookup
2 take-lookup 1 => none
1 take-lookup 1 => taken
END

$zone->run('look-ups of a worker that was stopped', <<'END');
1 take-lookup 2 => taken
1 take-lookup 2 => taken
time 20000
2 take-lookup 2 => none
time 1
2 take-lookup 2 => taken
2 take-lookup 2 => taken
2 take-lookup 2 => none
END

# what Frappe has answered

$zone->run('the state of Frappe', <<'END');
1 backend => backend unknown 0
1 note 0 0
1 backend => backend failing 1000000 all
time 1000
1 note 0 0
1 backend => backend failing 1000000 all
1 note 0 1
1 backend => backend healthy 1000001
time 5000
1 note 0 1
1 backend => backend healthy 1000001
time 1000
1 note 0 0
1 note 1 1
1 backend => backend healthy 1000007
time 28000
1 note 0 0
1 backend => backend healthy 1000007
time 1000
1 backend => backend failing 1000007 all
time 28000
1 backend => backend failing 1000007 all
time 1000
1 backend => backend failing 1000007
1 note 1 0
1 backend => backend failing 1000007 all
1 note 0 1
1 backend => backend failing 1000065 all
1 note 1 1
1 backend => backend healthy 1000065
END

# counters

{
    my @statuses = (400, 401, 403, 404, 405, 406, 413, 415, 429, 431, 500, 502,
        503, 504);

    $zone->run('requests refused', join "\n",
        (map { "1 refused $statuses[$_] $_ => count 1" } 0 .. $#statuses),
        '1 refused 402 14 => count 1', '1 refused 0 14 => count 2');
}

{
    my @labels = ([ 'initialize', 0 ], [ 'initializ', 7 ], [ 'initialized', 7 ],
        [ 'ping', 1 ], [ 'pong', 7 ], [ 'tools/list', 2 ], [ 'tools/call', 3 ],
        [ 'resources/', 4 ], [ 'resources/read', 4 ], [ 'resources', 7 ],
        [ 'prompts/get', 5 ], [ 'notifications/x', 6 ], [ 'other', 7 ]);
    my %n;

    $zone->run('calls', join "\n",
        (map { "1 call $_->[0] 1 $_->[1] 1 => count " . ++$n{$_->[1]} }
            @labels),
        '1 call ping 0 1 3 => count 1', '1 call ping 9 1 9 => count 1',
        '1 call ping 3 1 3 => count 2');
}

{
    my @bounds = ([ 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
        2500000, 5000000, 10000000, 30000000, 60000000, 120000000, 300000000 ],
        [ 50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000,
        250000, 500000, 1000000, 2500000, 5000000 ]);

    for my $which (0, 1) {
        my ($sum, @lines, %n) = (0);

        for my $i (0 .. $#{ $bounds[$which] }) {
            my $bound = $bounds[$which][$i];

            for ([ $bound, $i ], [ $bound + 1, $i + 1 ]) {
                $sum += $_->[0];
                push @lines, "1 duration $which @$_ => count "
                    . ++$n{$_->[1]} . " $sum";
            }
        }

        $zone->run("durations $which", join "\n", @lines,
            "1 duration $which 1 0 => count " . ($n{0}) . " $sum",
            "1 duration $which 1000000000000 0 => count $n{0} $sum");
    }
}

finish();
