# What sessions have asked for, in the zone: the level of log messages, the
# resources whose updates they want; how many, for how long, and which go when
# there is no room.  docs/PROTOCOL.md 16.65, 16.71,
# 16.73.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Zone;
use Test::More;

my $zone = MCPTest::Zone->new;

$zone->run('the level', <<'END');
1 wants a 7 => yes
2 level a alice 100 4 => ok
1 wants a 4 => yes
1 wants a 5 => no
1 wants a 0 => yes
1 wants b 7 => yes
1 level a alice 100 0 => ok
2 wants a 0 => yes
2 wants a 1 => no
1 asked a => asked 0
1 unknown a => ok
2 wants a 7 => yes
1 subscriptions => bytes 0
empty
END

$zone->run('URIs', <<'END');
1 has a x => declined
1 subscribe a alice 100 x => ok
2 has a x => yes 0
1 has a y => declined
1 has b x => declined
2 subscribe a alice 100 y => ok
1 asked a => asked 8 x y
1 wants a 7 => yes
1 unsubscribe a x => ok
1 unsubscribe a x => ok
1 unsubscribe b x => ok
2 asked a => asked 8 y
2 unsubscribe a y => ok
2 asked a => nothing
1 subscriptions => bytes 0
1 level a alice 100 4 => ok
1 subscribe a alice 100 x => ok
1 unsubscribe a x => ok
1 asked a => asked 4
1 unknown a => ok
1 unknown a => ok
empty
END

# when the backend was asked last

$zone->run('the age of a subscription', <<'END');
1 subscribe a alice 1000 x => ok
time 5000 => ok
2 has a x => yes 5000
2 subscribe a alice 1000 x => ok
1 has a x => yes 0
1 asked a => asked 8 x
END

$zone->run('as many URIs as a session may have', <<'END');
1 subscribe a alice 100 u 100 => ok 100
2 has a u0 => yes 0
2 has a u99 => yes 0
2 has a u100 => busy
2 subscribe a alice 100 u100 => busy
2 subscribe a alice 100 u99 => ok
1 unsubscribe a u0 => ok
2 subscribe a alice 100 u100 => ok
1 has a u100 => yes 0
1 has a u99 => yes 0
1 has a u1 => yes 0
1 has a u0 => busy
1 unknown a => ok
1 subscriptions => bytes 0
empty
END

$zone->run('what another instance has told', <<'END');
1 put a alice 100 3 x y => ok
1 asked a => asked 3 x y
2 put a alice 100 8 z => ok
1 asked a => asked 8 z
2 put a alice 100 8 => ok
1 asked a => nothing
2 put b alice 100 8 => ok
1 asked b => nothing
1 subscriptions => bytes 0
empty
END

# the records of a user take at most 1/256 of the zone, 8 kB: for a new one his
# oldest goes, but not that of a session with a stream

$zone->run('the records of a user', <<'END');
1 subscribe a alice 100 u 100 => ok 100
1 subscribe b alice 100 u 100 => ok 100
1 subscribe c alice 100 u 100 => ok 100
1 level z bob 100 3 => ok
2 has a u1 => yes 0
2 subscribe d alice 100 u 100 => ok 100
1 asked b => nothing
1 has a u1 => yes 0
1 has c u1 => yes 0
1 asked z => asked 3
END

$zone->run('records of sessions with a stream', <<'END');
1 open a alice 9
2 open b alice 9 http
2 open c alice 9
1 subscribe a alice 100 u 100 => ok 100
1 subscribe b alice 100 u 100 => ok 100
1 subscribe c alice 100 u 100 => ok 100
1 subscribe d alice 100 u 100 => busy 49
1 has a u99 => yes 0
1 has b u99 => yes 0
1 has c u99 => yes 0
1 subscribe e bob 100 u 100 => ok 100
2 leave b 0 9 => ok 0
1 subscribe d alice 100 u 100 => ok 100
1 asked b => nothing
END

# all take at most 1/32 of the zone, 64 kB

my @users = map { "1 subscribe s$_ user$_ 100 u 100 => ok 100" } 1 .. 29;

$zone->run('the records of all', join "\n", @users, <<'END');
1 asked s1 => asked 8 u0 u1 u2 u3 u4 u5 u6 u7
1 has s1 u1 => yes 0
1 subscriptions => /^bytes 65\d{3}$/
1 level t tom 100 4 => ok
1 asked s2 => nothing
1 has s1 u1 => yes 0
1 subscriptions => /^bytes 6\d{4}$/
1 asked t => asked 4
END

$zone->run('the end of a session id', <<'END');
1 level a alice 1000010 4 => ok
1 level b alice 1000030 4 => ok
1 subscribe c bob 1000020 x => ok
time 9000 => ok
1 run => timers w2 w3
1 asked a => asked 4
time 1000 => ok
1 run => timers w2 w3
1 asked a => nothing
1 asked c => asked 8 x
time 10000 => ok
1 run => timers w2 w3
1 asked c => nothing
1 asked b => asked 4
time 10000 => ok
1 run => timers w2 w3
1 subscriptions => bytes 0
END

$zone->run('a full zone', <<'END');
1 level a alice 100 4 => ok
1 fill 4096 0
1 fill 256 0
1 fill 128 0
1 fill 512 0
1 level b bob 100 4 => busy
1 subscribe a alice 100 x => busy
2 wants b 7 => yes
2 asked a => asked 4
END

finish();
