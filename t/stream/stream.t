# A stream, its queue, its timers and its end, with a client that takes as many
# bytes as the test says: the limit of what waits, at, below and above it; when
# send_timeout runs; what is written together; heartbeats; what is given back.
# docs/PROTOCOL.md 3.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Zone;
use Test::More;

my $zone = MCPTest::Zone->new('t/stream/stream.c', 'stream');

my $header = 'Cache-Control:... X-Accel-Buffering:no '
    . 'header:200:text/event-stream:-1';
my $open = "done $header out:10:flushed got:10 count:2 open tests-reading";

$zone->run('a stream', <<"END");
1 takes all
mark 1
1 get => $open
1 connection => connection empty open holds:1
1 gauges => gauges workers=3 streams=1 pending=0 held=0 calls=0 redis=0,0,0
1 timers => timers 1000
1 send 20
1 send 30
1 events => events out:50:flushed got:50
1 events
1 client-gone => ok finalize:0 closed:left
same 1
END

$zone->run('its end', <<"END");
1 takes all
mark 1
1 get => $open
1 send 20
1 end 5
1 gauges => gauges workers=3 streams=1 pending=0 held=0 calls=0 redis=0,0,0
1 events => events out:25:flushed got:25 last finalize:0
1 gauges => gauges workers=3 streams=0 pending=0 held=0 calls=0 redis=0,0,0
1 events
same 1
1 get => $open
1 end none
1 events => events last finalize:0
same 1
1 get => $open
1 send 10
1 client-gone => ok finalize:0 closed:left
1 events
1 connection => connection empty holds:0
same 1
END

$zone->run('streams that do not open', <<"END");
1 takes all
mark 1
1 set header -1
1 get => error $header count:1 finalize:-1
same 1
1 set header 500
1 get => /^\\S+ $header count:1 finalize:500\$/
1 set header 0
1 get head => ok $header count:1 finalize:0
same 1
1 set filter -1
1 get => error $header out:10:flushed count:1 open tests-reading finalize:-1 closed:left
1 set filter 0
1 set nodelay -1
1 get => error $header nodelay count:1 open tests-reading finalize:-1 closed:left
1 connection => connection empty holds:0
same 1
1 set nodelay 0
1 get => done $header nodelay out:10:flushed got:10 count:2 open tests-reading
1 gauges => gauges workers=3 streams=1 pending=0 held=0 calls=0 redis=0,0,0
END

$zone->run('a client that had closed its connection', <<"END");
1 takes all
1 set read-ready 1
1 get => $open
1 events => events reads
END

# the limit: 100 bytes before the newest event

for my $case ([ 99, 0 ], [ 100, 1 ], [ 101, 1 ]) {
    my ($n, $ends) = @$case;
    my $wait = 'out:10:flushed write-event:5';

    $zone->run("$n bytes wait", <<"END");
mark 1
1 get => done $header $wait count:2 open tests-reading
1 send @{[ $n - 10 ]}
1 events
1 connection => connection timer:7000 write open holds:1
1 send 500
1 events => @{[ $ends ? 'events finalize:-1 closed:slow' : 'events' ]}
1 queue-counters => counters $ends 0
END
    $zone->run("$n bytes wait: the log", <<"END") if $ends;
1 get => done $header $wait count:2 open tests-reading
1 send @{[ $n - 10 ]}
1 send 500
1 events => events finalize:-1 closed:slow
1 log => /client reads too slowly: @{[ $n + 500 ]} bytes are queued, closing the stream/
END
}

# half of it is for what nobody has asked for

$zone->run('room for notifications', <<"END");
1 get => done $header out:10:flushed write-event:5 count:2 open tests-reading
1 has-room 40 => yes
1 has-room 41 => no
1 send 30
1 has-room 10 => yes
1 has-room 11 => no
1 events
1 has-room 11 => no
1 takes 10
1 write => ok out got:10 out:30:flushed write-event:5
1 has-room 20 => yes
1 has-room 21 => no
1 takes all
1 write => ok out got:30
1 has-room 50 => yes
END

$zone->run('bytes that are sent do not count', <<"END");
1 get => done $header out:10:flushed write-event:5 count:2 open tests-reading
1 send 89
1 events
1 takes 10
1 write => ok out got:10 out:89:flushed write-event:5
1 send 10
1 events
1 send 1000
1 events
1 takes 979
1 write => ok out got:89 out:1010:flushed got:890 write-event:5
1 send 40
1 events => events finalize:-1 closed:slow
END

$zone->run('a large event for a client that is not behind', <<"END");
1 takes all
1 get => $open
1 takes 0
1 send 5000
1 events => events out:5000:flushed write-event:5
1 takes 4900
1 write => ok out got:4900 write-event:5
1 send 10
1 events => events finalize:-1 closed:slow
END

# send_timeout

$zone->run('send_timeout', <<"END");
1 get => done $header out:10:flushed write-event:5 count:2 open tests-reading
time 6000
1 takes 4
1 write => ok out got:4 write-event:5
1 connection => connection timer:7000 write open holds:1
1 takes 6
1 write => ok out got:6
1 connection => connection empty open holds:1
1 write
1 delayed 1
1 send 10
1 events => events out:10:flushed write-event:5
1 connection => connection write open holds:1
1 delayed 0
1 takes 1
1 write => ok out got:1 write-event:5
1 connection => connection timer:7000 write open holds:1
1 delayed 1
1 takes 9
1 write => ok out got:9
1 connection => connection timer:7000 empty open holds:1
1 delayed 0
1 send 10
1 events => events out:10:flushed write-event:5
1 write timed-out => ok finalize:408 closed:slow
1 connection => connection timer:7000 write timed-out holds:0
1 queue-counters => counters 0 1
1 log => /client timed out/
END

$zone->run('the last event to a slow client', <<"END");
mark 1
1 get => done $header out:10:flushed write-event:5 count:2 open tests-reading
1 end 500
1 events
1 connection => connection timer:7000 write holds:1
1 timers => timers 1000
1 takes 10
1 write => ok out got:10 out:500:flushed write-event:5 last finalize:0
1 queue-counters => counters 0 0
1 log => log 
END

$zone->run('output behind a subrequest', <<"END");
1 takes all
1 get => $open
1 postponed 1
1 send 10
1 events
1 write
1 postponed 0
1 write
1 send 10
1 events => events out:20:flushed got:20
END

$zone->run('no memory for an event', <<"END");
1 takes all
1 get => $open
1 send none
1 events => events finalize:-1 closed:memory
1 get => $open
1 set filter -1
1 send 10
1 events => events out:10:flushed finalize:-1 closed:left
END

# heartbeats

$zone->run('heartbeats', <<"END");
1 takes all
1 set keepalive 5000
1 get => $open
1 timers => timers 1000 5000
time 4000
1 send 10
1 events => events out:10:flushed got:10
time 1000
1 run => timers w2 w3
1 events
1 timers => timers 1000 4000
time 4000
1 run => timers w2 w3
1 events => events out:21:flushed got:21
time 5000
1 takes 0
1 run => timers w2 w3
1 events => events out:21:flushed write-event:5
time 5000
1 run => timers w2 w3
1 events
1 takes all
1 write => ok out got:21
time 5000
1 run => /timers/
1 events => events out:21:flushed got:21
1 end none
1 timers => timers 1000
1 events => events last finalize:0
END

finish();
