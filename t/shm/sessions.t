# The registry of sessions: limits of a user, which session ends for a new one,
# take-overs, tombstones, streams of Streamable HTTP, renewed credentials.  Each
# age and number at, below and above its bound.  docs/PROTOCOL.md 3.14, 3.15,
# 7.27.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Zone;
use Test::More;

my $zone = MCPTest::Zone->new;
my $none = 'messages=0 pending=0 bytes=0 replaces=0';

$zone->run('a session comes and goes', <<"END");
mark 1
1 open a alice 2
1 find a => found owner=1 $none
2 find a => found owner=1 $none
2 find b => found
1 session a => a pending=0 bytes=0 accepted=0 tombstone=0 predecessor=0 awaited=0 listed
1 root => /records=1 tombstones=0 .* chunks=2/
1 open b alice 2
2 open c bob 2
1 root => /records=3 tombstones=0 .* chunks=5/
1 close a => ok -a:idle
2 find a => found
1 close b => ok -b:idle
2 close c => ok -c:idle
empty
same 1
END

# one that never had a message ends for a new one when it is older than 10 s

$zone->run('a probe', <<"END");
1 open a alice 2
1 limit alice 2
time 1
1 open b alice 2
1 limit alice 2 => busy
1 limit alice 3
1 limit bob 1
1 open c alice 2 => busy
1 limit alice 2 => busy
time 9999
1 limit alice 2 => busy
2 open c alice 2 => busy
2 root => /records=2 tombstones=0 .* chunks=3/
time 1
1 limit alice 2
1 find a => found owner=1 $none
2 open c alice 2 => ok w1
2 find a => found owner=1 $none evicted queued
2 limit alice 2 => busy
1 drain => ok -a:evicted
2 find a => found
1 open d alice 2 => busy
time 1
2 open d alice 2 => ok w1
1 drain => ok -b:evicted
2 close c => ok -c:idle
2 close d => ok -d:idle
empty
END

$zone->run('the oldest probe', <<"END");
1 open a alice 3
time -5
1 open b alice 3
time 10
1 open c alice 3
time 10006
1 open d alice 3 => ok w1
1 find b => /evicted/
1 open e alice 3
1 find a => /evicted/
1 find c => found owner=1 $none
1 drain => ok -b:evicted -a:evicted
END

# one that had messages ends when it is idle for more than 10 minutes

$zone->run('an idle session', <<"END");
1 open a alice 1
2 deliver a 1 10 => accepted w1
1 drain => ok +a:1:10
time 10001
2 limit alice 1 => busy
time 600000
2 limit alice 1 => busy
1 started a
2 limit alice 1
time 1
2 deliver a 1 10 => accepted w1
1 drain => ok +a:1:10
1 started a
time 600000
2 limit alice 1 => busy
time 1
2 limit alice 1
1 accept a 1 10 => accepted +a:1:10
1 started a
time 600000
2 open b alice 1 => busy
time 1
2 open b alice 1 => ok w1
1 drain => ok -a:evicted
1 find b => found owner=2 $none
2 close b => ok -b:idle
empty
END

$zone->run('the session that is idle longest', <<"END");
1 open a alice 3
1 open b alice 3
1 open c alice 3
2 deliver a 1 10 => accepted w1
time -7
2 deliver b 1 10 => accepted
time 9
2 deliver c 1 10 => accepted
1 drain => ok +a:1:10 +b:1:10 +c:1:10
1 started a
1 started b
1 started c
time 600010
2 open d alice 3 => ok w1
1 drain => ok -b:evicted
2 close d => ok -d:idle
2 open d alice 3
time 10000
2 open e alice 3 => ok w1
1 drain => ok -a:evicted
time 1
2 open f alice 3 => ok w2
2 drain => ok -d:evicted
1 find c => found owner=1 messages=1 pending=0 bytes=0 replaces=0
END

# after mcp_sse_max_sessions was lowered: 8 workers are woken at once

{
    my @workers = (4 .. 11);
    my $start   = join '', map { "start $_\n$_ init => ok registered\n" }
        @workers;
    my $open    = join '', map { "$_ open s$_ alice 20\n" } 2, 3, @workers;

    $zone->run('many at once', <<"END");
$start$open
time 10001
1 open a alice 10 => ok w2
1 open b alice 2 => busy w3 w4 w5 w6 w7 w8 w9 w10
1 find s11 => found owner=11 $none
1 open b alice 2 => ok w11
1 limit alice 3
1 limit alice 2 => busy
END
}

$zone->run('a session that is evicted leaves no tombstone', <<"END");
1 open a alice 1
time 10001
2 open b alice 1 => ok w1
1 leave a 1000 2 => ok 0
1 root => /records=1 tombstones=0/
2 close b => ok -b:idle
empty
END

# take-overs

$zone->run('a stream takes a session over', <<"END");
1 open a alice 1
1 deliver a 1 10 => accepted w1
2 open a alice 1 => ok
2 find a => found owner=2 messages=0 pending=0 bytes=0 replaces=1
2 session a => /awaited=1 listed\$/
2 deliver a 1 20 => accepted w2
3 deliver a 1 30 => accepted
1 drain => ok +a:1:10 -a:replaced
2 session a => /awaited=0 listed\$/
2 drain => ok +a:1:20 +a:1:30
2 close a => ok -a:idle
empty
END

$zone->run('two streams take it over', <<"END");
1 open a alice 1
2 open a alice 1 => ok w1
3 open a alice 1 => ok w2
3 session a => /awaited=2/
1 leave a 1000 2 => ok 0
3 session a => /awaited=1/
2 drain => ok -a:replaced
3 session a => /awaited=0/
3 find a => found owner=3 $none
3 close a => ok -a:idle
empty
END

$zone->run('the second stream takes a tombstone over', <<"END");
1 open a alice 1
2 open a alice 1 => ok w1
2 leave a 1000 2 => ok 1
3 open a alice 1
3 session a => /predecessor=1 awaited=1/
3 root => /records=2 tombstones=0/
1 drain => ok -a:replaced
3 session a => /awaited=0/
3 leave a 1000 2 => ok 2
1 find a => found owner=0 $none leaving
time 1000
1 find a => found
empty
END

# during recovery, the newer stream has the id

$zone->run('an id that has a newer session', <<"END");
1 open a alice 1
time 1
2 open a alice 1 => ok w1
1 drain => ok -a:replaced
time -1
1 open a alice 18446744073709551615 => abort
1 root => /records=1 tombstones=0 .* chunks=2/
time 1
1 open a alice 18446744073709551615 => ok w2
2 drain => ok -a:replaced
END

# tombstones

$zone->run('a lost stream', <<"END");
1 open a alice 1
1 leave a 1000 2 => ok 1
1 root => /records=1 tombstones=1 .* chunks=2/
1 limit alice 1
2 find a => found owner=0 $none leaving
2 deliver a 1 10 => stream-lost
2 credential a first => other
time 999
2 deliver a 1 10 => stream-lost
time 1
2 deliver a 1 10 => no-session
empty
1 open a alice 1
1 session a => /predecessor=0/
1 leave a 1000 2 => ok 2
time 500
2 open a alice 1
2 session a => /tombstone=0 predecessor=2 awaited=0/
2 root => /records=1 tombstones=0 .* chunks=2/
2 close a => ok -a:idle
empty
END

$zone->run('a user has a number of tombstones', <<"END");
1 open a alice 3
1 open b alice 3
1 open c alice 3
1 open x bob 3
1 leave a 1000 2 7 => ok 1
1 leave x 1000 2 => ok 2
1 leave b 1000 2 8 => ok 3
1 root => /records=4 tombstones=3 leftovers=2/
1 waits a 7 => yes
2 inherit b => id 8
1 leave c 1000 2 9 => ok 4
1 root => /records=3 tombstones=3/
1 find a => found
2 inherit a => none
1 waits a 7 => yes
1 ended a 7
1 find b => found owner=0 $none leaving
1 find x => found owner=0 $none leaving
1 ended b 8
1 ended c 9
time 999
1 run => timers
1 root => /records=3 tombstones=3/
time 1
1 run => timers w2 w3
empty
END

$zone->run('a lost stream whose messages are on their way', <<"END");
1 open a alice 1
2 deliver a 1 10 => accepted w1
2 deliver a 2 20 => accepted
1 find a => /bytes=30 replaces=0 queued\$/
1 leave a 1000 2 => ok +a:1:10 +a:2:20 1
1 find a => found owner=0 messages=3 pending=3 bytes=30 replaces=0 leaving
1 drain => ok
1 root => /tombstones=1 leftovers=0 inbox=0/
END

$zone->run('a session that ends while it has to be drained', <<"END");
1 open a alice 2
1 open b alice 2
2 deliver a 1 10 => accepted w1
2 deliver b 1 20 => accepted
1 close a => ok -a:idle +a:1:10
1 open c alice 2
2 deliver c 1 30 => accepted
1 drain => ok +b:1:20 +c:1:30
1 drain => ok
1 close b => ok -b:idle
1 close c => ok -c:idle
END

$zone->run('no message after the begin of the end', <<"END");
1 open a alice 1
2 deliver a 1 10 => accepted w1
1 began a => ok +a:1:10
2 deliver a 1 10 => stream-lost
2 find a => /leaving queued/
1 close a => ok -a:idle
2 deliver a 1 10 => no-session
empty
END

# a session of Streamable HTTP has up to 8 streams, the oldest one ends

{
    my $open = join '', map { "1 open s$_ alice 20 http k\ntime 1\n" } 2 .. 7;
    my $list = join ' ', map { "owner=1 $none http" } 1 .. 8;

    $zone->run('streams of a session', <<"END");
time 10
1 open s1 alice 20 http k
time -5
1 open s0 alice 20 http k
$open
2 find k => found $list
2 credential k first => other
2 open s8 alice 20 http k => ok w1
1 drain => ok -s0:replaced
2 find k => /^found (owner=1 $none http ){7}owner=2 $none http\$/
2 open s9 alice 20 http k => ok w1
time 20
2 open s10 alice 20 http k => ok w1
1 drain => /-s\\d:replaced -s\\d:replaced/
END
}

$zone->run('a stream of a user who has no room', <<"END");
1 open s1 alice 2 http k
time 1
1 open s2 alice 2 http k
2 open s3 alice 2 http k => ok w1
1 drain => ok -s1:replaced
1 active k 3
1 find k => found owner=1 messages=3 pending=0 bytes=0 replaces=0 http owner=2 messages=3 pending=0 bytes=0 replaces=0 http
2 open s4 alice 3 http k
2 session s4 => /accepted=3/
2 find k => /(messages=3.*){3}/
2 close s3 => ok -s3:idle
2 close s4 => ok -s4:idle
2 open b alice 2
time 10001
2 open s5 alice 2 http k => ok w2
2 drain => ok -b:evicted
2 find k => /^found owner=1 messages=3 .* owner=2 messages=3 /
END

$zone->run('an evicted stream does not count', <<"END");
1 open s1 alice 2 http k
2 open s2 alice 2 http k
time 10001
3 open x alice 2 => ok w1
1 find k => /evicted/
2 active k 1
3 open s3 alice 2 http k => ok w2
1 drain => ok -s1:evicted
2 drain => ok -s2:replaced
END

# credentials that messages bring

$zone->run('a newer credential', <<"END");
mark 1
1 open a alice 1
1 credential a first => same
2 credential a second => other
2 credential b first => other
1 renewed a => declined
2 renew a first
1 renewed a => declined
2 renew a second
2 credential a second => same
2 credential a first => other
2 renew a first
2 credential a second => same
1 renewed a => ok second second
1 renewed a => declined
2 renew a third cookie
2 renew a fourth cookie
2 renew a third
2 renew a second
2 credential a second => same
2 renew a fourth
2 root => /chunks=3\$/
1 renewed a => ok second second
1 root => /chunks=2\$/
2 renew a fifth cookie
1 refuse 1
1 renewed a => declined
1 refuse 0
1 renewed a => ok fifth fifth cookie
2 renew a sixth
1 close a => ok -a:idle
empty
same 1
END

$zone->run('a newer credential for each stream', <<"END");
1 open s1 alice 3 http k
2 open s2 alice 3 http k
3 renew k second
1 renewed s1 => ok second second
2 renewed s2 => ok second second
1 renew none second
1 open a alice 3
1 leave a 1000 3 => ok 1
1 renew a second
1 root => /chunks=4\$/
END

$zone->run('a zone without room', <<"END");
1 open a alice 2
1 fill 4096 0
1 fill 512 0
1 fill 256 0
1 fill 128 0
1 fill 64 0
1 fill 32 0
1 fill 16 0
1 fill 8 0
2 renew a second
2 credential a first => same
1 open b alice 2 => declined
1 open b bob 2 => declined
1 log => /"test" of 2048k is full: sessions 1 \\(without a stream 0\\), bytes in inboxes 0,/
1 open b bob 2 => declined
1 log => log 
time 9999
1 open b bob 2 => declined
1 log => log 
time 1
1 open b bob 2 => declined
1 log => /is full/
1 find a => found owner=1 $none
1 fill
1 open b bob 2
1 close a => ok -a:idle
1 close b => ok -b:idle
empty
END

# there is room for the record of a session, but not for that of its user

$zone->run('no room for a user', <<"END");
1 open a alice 2
1 fill 128 0
1 root => /records=1 tombstones=0 .* chunks=(\\d+)/
1 open b bob 2 => declined
1 open b alice 2
1 close b => ok -b:idle
1 fill
1 close a => ok -a:idle
empty
END

finish();
