# Sessions of one worker, without requests: what becomes of messages, calls and
# answers, in their order, when streams are lost, end, come back or have to
# wait; timers; credentials; what is counted, and what is given back.
# docs/PROTOCOL.md 3, 5, 7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest ();
use MCPTest::Zone;
use Test::More;

my $zone = MCPTest::Zone->new('t/session/session.c', 'session');

my $id    = 'T' x 50;
my $first = "<id:_$id|event:_endpoint|data:_/messages?session_id=$id||>"
    . ' limit=1000';


sub request {
    my ($id, $method, $params) = @_;

    return qq({"jsonrpc":"2.0","id":$id,"method":")
        . ($method || 'tools/list') . '"'
        . (defined $params ? qq(,"params":$params}) : '}');
}


sub notice {
    my ($method, $params) = @_;

    return qq({"jsonrpc":"2.0","method":"$method")
        . (defined $params ? qq(,"params":$params}) : '}');
}


sub cancel { return notice('notifications/cancelled', qq({"requestId":$_[0]})) }


sub result { return qq({"jsonrpc":"2.0","id":$_[0],"result":{}}) }


sub error {
    my ($id, $code, $message, $data) = @_;

    return qq({"jsonrpc":"2.0","id":$id,"error":{"code":$code,"message":)
        . qq("$message") . (defined $data ? qq(,"data":{$data}}}) : '}}');
}


# The same as an event of a stream, in the words of session.c.

sub event { return '<event:_message|data:_' . ($_[0] =~ s/ /_/gr) . '||>' }


sub closed {
    return event(error($_[0], -32010, 'Stream closed before the answer',
        qq("executed":"$_[1]")));
}


my $used = sub { error($_[0], -32600, 'Request id is in use',
    qq("reason":"$_[1]")) };
# what OpenSSL allocates once

my $warm = "1 stream z zoe z => done z$first\n1 end-stream z 9 => ok z[]\n"
    . '1 events => events x:z';

my $line = sub { $_[0] =~ s/ /_/gr };

# a call, from the message to the end of the session

$zone->run('a call', <<"END");
$warm
mark 1
1 stream a alice => done a$first
1 timers => timers 1000 60000
1 post a @{[ request(7) ]} => accepted
1 state a => /^state pending=1 bytes=\\d+ calls=0 messages=0 kept=0 open\$/
1 events => events >7
1 state a => state pending=0 bytes=0 calls=1 messages=1 kept=0 open
1 gauges => gauges workers=3 streams=0 pending=0 held=0 calls=1 redis=0,0,0
1 call-of 7 => call /call?a=b 30000 1000 1.2.3.4 |host=site|accept=application/json|content-type=application/json|mcp-session-id=0123456789abcdef|authorization=first @{[ request(7) ]} 0123456789abcdef:alice:site
1 answer 7 200 @{[ result(7) ]} => ok a@{[ event(result(7)) ]}
1 gauges => gauges workers=3 streams=0 pending=0 held=0 calls=0 redis=0,0,0
1 state a => state pending=0 bytes=0 calls=0 messages=1 kept=0 open
1 end-stream a 2 => ok a[retry:_2000||]
1 events => events x:a
1 counters => counters opened=2 requests=1 idle=1 deleted=1
1 log => /established: 0123456789abcdef for user: alice \\| .*closed: 0123456789abcdef, idle, 0, 1 messages/
empty
same 1
END

# how streams end

{
    my @ends = ([ 'left', '' ], [ 'slow', '' ], [ 'idle', 'retry:_2000||' ],
        [ 'evicted', 'event:_error|data:_' . $line->(error('null', -32004,
            'Too many sessions')) . '||retry:_2000||' ],
        [ 'replaced', '' ],
        [ 'unauthorized', 'event:_error|data:_' . $line->(error('null', -32001,
            'Invalid authorization')) . '||retry:_2000||' ],
        [ 'expired', 'retry:_2000||' ], [ 'stopping', 'retry:_2000||' ],
        [ 'memory', 'event:_error|data:_' . $line->(error('null', -32603,
            'Internal server error')) . '||retry:_2000||' ],
        [ 'deleted', '' ]);

    for my $n (2 .. 9) {
        my ($name, $last) = @{ $ends[$n] };
        my $http = $last =~ /retry/ ? 'retry:_2000||' : '';

        $zone->run("a stream that ends: $name", <<"END");
1 stream a alice => done a$first
1 post a [@{[ join ',', request(1), request(2), request(3) ]}] => accepted
1 events => events >1 >2
1 post a @{[ request(4) ]} => accepted
mark 1
1 end-stream a $n => ok a@{[ closed(1, 'unknown') ]} a@{[ closed(2, 'unknown') ]} a@{[ closed(3, 'no') ]} a@{[ closed(4, 'no') ]} a[$last]
1 events
1 gauges => gauges workers=3 streams=0 pending=0 held=0 calls=2 redis=0,0,0
1 answer 1 200 @{[ result(1) ]} => ok dropped
1 root => /records=0 tombstones=0 leftovers=113 /
1 answer 2 200 @{[ result(2) ]} => ok dropped
1 events => events x:a
1 counters => counters opened=1 requests=4 abandoned=2 $name=1
empty
1 stream b alice http => done b<:_stream||> limit=1000
1 end-stream b $n => ok b[$http]
1 events => events x:b
empty
END
    }
}

$zone->run('a message that has arrived when the stream ends', <<"END");
1 stream a alice => done a$first
1 post a @{[ request(1) ]} => accepted
1 end-stream a 2 => ok a@{[ closed(1, 'no') ]} a[retry:_2000||]
1 events => events x:a
1 counters => counters opened=1 requests=1 abandoned=1 idle=1
END

# the number of calls; the order of those that wait

$zone->run('calls that wait', <<"END");
1 stream a alice => done a$first
1 post a [@{[ join ',', map { request($_) } 1 .. 4 ]}] => accepted
1 events => events >1 >2
1 answer 2 200 @{[ result(2) ]} => ok a@{[ event(result(2)) ]} >3
1 post a [@{[ join ',', map { notice("notifications/$_") } 'x' .. 'z' ]}] => accepted
1 events => events >notifications/x >notifications/y
1 state a => /pending=2 .* calls=4 messages=7 /
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]} >notifications/z
1 answer notifications/x 202 => ok
1 answer 3 200 @{[ result(3) ]} => ok a@{[ event(result(3)) ]}
1 answer notifications/y 500 => ok log:call >4
1 answer 4 200 @{[ result(4) ]} => ok a@{[ event(result(4)) ]}
1 answer notifications/z 200 => ok
1 state a => state pending=0 bytes=0 calls=0 messages=7 kept=0 open
1 counters => counters opened=1 requests=4 notifications=3
END

$zone->run('local messages', <<"END");
$warm
mark 1
1 stream a alice => done a$first
1 post a [@{[ request(1, 'ping') ]},@{[ notice('notifications/initialized') ]}] => accepted
1 events => events a@{[ event('{"jsonrpc":"2.0","result":{},"id":1}') ]}
1 state a => state pending=0 bytes=0 calls=0 messages=2 kept=0 open
1 end-stream a 2 => ok a[retry:_2000||]
1 post a @{[ request(1, 'ping') ]} => /./
END

# cancellation

$zone->run('requests that are cancelled', <<"END");
1 stream a alice => done a$first
1 post a [@{[ join ',', request(1), request('"x"'), request(3) ]}] => accepted
1 events => events >1 >"x"
mark 1
1 post a @{[ cancel(3) ]} => accepted
1 events
1 log => /cancels a waiting request/
1 state a => state pending=0 bytes=0 calls=2 messages=4 kept=0 open
1 post a @{[ cancel('"\\u0078"') ]} => accepted
1 events => events !"x"
1 log => /cancels a running request/
1 state a => state pending=0 bytes=0 calls=1 messages=5 kept=0 open
1 post a @{[ cancel(9) ]} => accepted
1 events
1 post a @{[ request(5, 'initialize') ]} => accepted
1 events => events >5
1 post a @{[ cancel(5) ]} => accepted
1 events
1 answer 5 200 @{[ result(5) ]} => ok a@{[ event(result(5)) ]}
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]}
1 counters => counters opened=1 requests=4 notifications=4 cancelled=1
1 gauges => gauges workers=3 streams=0 pending=0 held=0 calls=0 redis=0,0,0
END

# the same id twice

$zone->run('an id in use', <<"END");
1 stream a alice => done a$first
1 post a @{[ request(1) ]} => accepted
1 events => events >1
1 post a @{[ request(1) ]} => accepted
1 events
1 log => /request id is already in use, the request is not executed \\|/
1 post a @{[ request(1, 'ping') ]} => accepted
1 events
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]}
1 post a @{[ request(1) ]} => accepted
1 events => events >1
1 counters => counters opened=1 requests=4 repeated=2
END

# progress

{
    my $call = request(1, 'tools/call', '{"name":"x","_meta":{"progressToken":'
        . '"t"}}');

    my $progress = sub { event(notice('notifications/progress',
        qq({"progressToken":"t","progress":$_[0],"message":"$_[1]"}))) };

    $zone->run('progress', <<"END");
1 stream a alice => done a$first
1 post a $call => accepted
1 events => events >1
1 timers => /^timers 1000 1000 60000\$/
time 999
1 run
time 1
1 run => /^timers (w2 w3 )?a<event:_message\\|data:_\\{"jsonrpc":"2.0","method":"notifications\\/progress","params":\\{"progressToken":"t","progress":0\\D/
1 timers => /1000 1000 59000\$/
time 3000
1 run => /"progress":0\\.000001\\D/
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]}
1 timers => /^timers \\d+ 56000\$/
1 post a $call => accepted
1 events => events >1
1 left a
1 timers => /^timers 1000 1000 5000\$|^timers 5000/
END
}

# a POST whose client has left has none

$zone->run('progress of a POST', <<"END");
1 http p k alice @{[ request(1, 'tools/call', '{"name":"x","_meta":{"progressToken":"t"}}') ]} => ok >1
1 timers => timers 1000 1000
1 gone p
1 timers => timers 1000
time 1000
1 run => timers w2 w3
1 answer 1 200 @{[ result(1) ]} => ok dropped
1 events => events x:sk
END

# a message of another instance that came too late

$zone->run('a message that expired', <<"END");
1 stream a alice => done a$first
1 post a [@{[ request(1) ]},@{[ request(2) ]}] => accepted
1 events => events >1 >2
mark 1
1 post a @{[ request(3) ]} 100 => accepted
1 post a @{[ notice('notifications/x') ]} 0 => accepted
1 events
1 counters => counters opened=1 requests=3 notifications=1 expired=1
time 99
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]} >3
1 answer 3 200 @{[ result(3) ]} => ok a@{[ event(result(3)) ]}
1 post a @{[ request(4) ]} => accepted
1 events => events >4
1 post a @{[ request(5) ]} 100 => accepted
1 events
time 100
1 answer 2 200 @{[ result(2) ]} => ok a@{[ event(result(2)) ]} a@{[ event(error(5, -32003, 'No answer to another instance', '"executed":"no"')) ]}
1 log => /a message expired before it could start, it is not executed/
1 state a => state pending=0 bytes=0 calls=1 messages=6 kept=0 open
1 counters => counters opened=1 requests=5 notifications=1 expired=2
END

# the last of three messages has lengths that do not fit

$zone->run('an envelope that is damaged', <<"END");
$warm
mark 1
1 stream a alice => done a$first
1 set damaged 1
1 post a [@{[ join ',', map { request($_) } 1 .. 3 ]}] => accepted
1 events => events a<> >1 >2
1 log => /\[alert\] .* envelope for session 0123456789abcdef is damaged, messages are lost/
1 state a => state pending=0 bytes=0 calls=2 messages=2 kept=0 open
1 gauges => gauges workers=3 streams=0 pending=0 held=0 calls=2 redis=0,0,0
1 set damaged 0
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]}
1 answer 2 200 @{[ result(2) ]} => ok a@{[ event(result(2)) ]}
1 end-stream a 2 => ok a[retry:_2000||]
1 events => events x:a
empty
same 1
END

# no memory

$zone->run('calls for which there is no memory', <<"END");
1 stream a alice => done a$first
mark 1
1 set no-call 1
1 post a @{[ request(1) ]} => accepted
1 events => events a@{[ event(error(1, -32603, 'Internal server error', '"executed":"no"')) ]}
1 log => /cannot start a call of session 0123456789abcdef: no memory/
1 set no-call 2
1 post a [@{[ request(2) ]},@{[ notice('notifications/x') ]}] => accepted
1 events => events a@{[ event(error(2, -32603, 'Internal server error', '"executed":"no"')) ]}
1 state a => state pending=0 bytes=0 calls=0 messages=3 kept=0 open
1 log
same 1
END

$zone->run('a stream that does not open', <<"END");
$warm
mark 1
1 set no-stream 1
1 stream a alice => 500
1 events => events x:a
1 counters => counters opened=1 deleted=1
empty
same 1
END

# a stream that is lost, and comes back

$zone->run('a lost stream', <<"END");
$warm
mark 1
1 stream a alice => done a$first
1 post a [@{[ join ',', map { request($_) } 1 .. 3 ]}] => accepted
1 events => events >1 >2
1 left a
1 state a => /^state pending=1 bytes=\\d+ calls=2 messages=3 kept=0 lost\$/
1 root => /records=1 tombstones=1 leftovers=339 /
1 events
1 answer 2 200 @{[ result(2) ]} => ok >3
1 state a => state pending=0 bytes=0 calls=2 messages=3 kept=59 lost
1 timers => timers 1000 5000
1 stream b alice resumed a => done b$first b@{[ event(result(2)) ]}
1 root => /records=1 tombstones=0 leftovers=0 /
1 events => events x:a
1 state b => state pending=0 bytes=0 calls=2 messages=0 kept=0 open
1 answer 1 200 @{[ result(1) ]} => ok b@{[ event(result(1)) ]}
1 answer 3 200 @{[ result(3) ]} => ok b@{[ event(result(3)) ]}
1 end-stream b 2 => ok b[retry:_2000||]
1 events => events x:b
empty
same 1
END

$zone->run('a lost stream that does not come back', <<"END");
$warm
mark 1
1 stream a alice => done a$first
1 post a [@{[ join ',', map { request($_) } 1 .. 3 ]}] => accepted
1 events => events >1 >2
1 left a
1 events
1 answer 2 200 @{[ result(2) ]} => ok >3
time 4999
1 run => timers w2 w3
1 state a => state pending=0 bytes=0 calls=2 messages=3 kept=59 lost
time 1
1 run
1 state a => /calls=2 messages=3 kept=59\$/
1 events
1 root => /leftovers=226 /
1 answer 1 200 @{[ result(1) ]} => ok dropped
1 answer 3 200 @{[ result(3) ]} => ok dropped
1 events => events x:a
1 root => /records=1 tombstones=1 leftovers=0 /
same 1
END

$zone->run('a lost stream with nothing to keep', <<"END");
1 stream a alice => done a$first
1 left a
1 events => events x:a
1 root => /tombstones=1 /
1 timers => timers 1000
1 set grace 0
1 stream b alice => done b$first
1 post b @{[ request(1) ]} => accepted
1 events => events >1
1 left b
1 events
1 root => /tombstones=1 leftovers=113 /
1 answer 1 200 @{[ result(1) ]} => ok dropped
1 events => events x:b
1 root => /leftovers=0 /
1 stream c alice => done c$first
1 slow c
1 events => events x:c
1 root => /tombstones=1 /
END

$zone->run('messages of a client that has left', <<"END");
1 stream a alice => done a$first
1 post a @{[ request(1) ]} => accepted
1 left a => ok >1
1 events
1 state a => state pending=0 bytes=0 calls=1 messages=1 kept=0 lost
1 stream s alice http k => done s<:_stream||> limit=1000
1 left s
1 events => events x:s
1 root => /records=1 tombstones=1 /
END

# what is kept: half of mcp_sse_queue

{
    my $fill = sub { my ($id, $n) = @_; my $r = result($id);
        $r =~ s/\{\}/'"' . 'r' x ($n - length($r)) . '"'/e; return $r };
    my $frame = length "event: message\ndata: \n\n";

    for my $case ([ 500 - $frame, 1 ], [ 501 - $frame, 0 ]) {
        my ($n, $kept) = @$case;
        my $one = $fill->(1, $n);

        $zone->run("an answer of $n bytes", <<"END");
1 stream a alice => done a$first
1 post a @{[ request(1) ]} => accepted
1 events => events >1
1 left a
1 events
1 answer 1 200 $one => ok
1 events
1 state a => /kept=@{[ $kept ? 500 : 0 ]} lost/
1 stream b alice resumed a => done b$first b@{[ $kept ? event($one) : closed(1, 'unknown') ]}
1 events => events x:a
END
    }
}

$zone->run('more lost streams than a user may have', <<"END");
1 stream a alice a => done a$first
1 post a @{[ request(1) ]} => accepted
1 events => events >1
1 left a
1 stream x bob x => done x$first
1 post x @{[ request(9) ]} => accepted
1 events => events >9
1 left x
1 stream b alice b => done b$first
1 post b @{[ request(2) ]} => accepted
1 events => events >2
1 left b
1 stream c alice c => done c$first
1 post c @{[ request(3) ]} => accepted
1 events => events >3
1 left c
1 state a => /lost\$/
1 stream d alice d => done d$first
1 post d @{[ request(4) ]} => accepted
1 events => events >4
1 left d
1 state a => /kept=0\$/
1 state b => /lost\$/
1 state x => /lost\$/
1 root => /records=4 tombstones=4 /
END

# it comes back at another worker

$zone->run('a stream that comes back elsewhere', <<"END");
1 stream a alice a => done a$first
1 post a [@{[ join ',', request(1), request('"x"'), notice('notifications/n') ]}] => accepted
1 events => events >1 >"x" >notifications/n
1 left a
1 events
2 stream b alice resumed a => done b$first b@{[ closed(1, 'unknown') ]} b@{[ closed('"x"', 'unknown') ]}
2 log => /has come back at another worker, an open request is answered with an error/
2 state b => /messages=0 kept=0 open\$/
2 post b @{[ request(1) ]} => accepted
2 events => events b@{[ event($used->(1, 'elsewhere')) ]}
2 log => /request id is in use by a request before the stream was lost/
2 post b @{[ request(2) ]} => accepted
2 events => events >2
2 post b @{[ cancel('"x"') ]} => accepted
2 events => events announce:1:"x" w1 w3
1 drain
1 events => events !"x"
1 root => /leftovers=113 /
1 answer 1 200 @{[ result(1) ]} => ok
1 root => /leftovers=0 /
1 answer notifications/n 200 => ok
1 events
2 post b @{[ request(1) ]} => accepted
2 events => events >1
2 counters => counters opened=2 requests=5 notifications=2 repeated=1 left=1
time 5000
1 run => timers w2 w3
1 events => events x:a
END

$zone->run('a stream that replaces one of another worker', <<"END");
1 stream a alice a => done a$first
1 post a [@{[ request(1) ]},@{[ request(2) ]}] => accepted
1 events => events >1 >2
2 stream b alice resumed a => done w1 b$first
2 state b => /open waits\$/
2 post b @{[ request(3) ]} => accepted
2 events
2 timers => timers 20 1000 60000
time 20
2 run
2 timers => timers 20 980 59980
1 drain => ok a@{[ closed(1, 'unknown') ]} a@{[ closed(2, 'unknown') ]} a[]
time 20
2 run
2 state b => /open\$/
2 events => events >3
2 post b @{[ request(1) ]} => accepted
2 events => events b@{[ event($used->(1, 'elsewhere')) ]}
END

$zone->run('a replaced stream that does not leave', <<"END");
1 stream a alice a => done a$first
2 stream b alice resumed a => done w1 b$first
time 999
2 run
2 state b => /waits/
2 timers => timers 1 20 59001
time 1
2 run => timers w3 w1
2 state b => /waits/
time 19
2 run
2 state b => /open\$/
END

$zone->run('a stream that replaces one of this worker', <<"END");
1 stream a alice a => done a$first
1 post a @{[ request(1) ]} => accepted
1 events => events >1
1 stream b alice resumed a => done a@{[ closed(1, 'unknown') ]} a[] b$first
1 events
1 post b @{[ request(1) ]} => accepted
1 events => events b@{[ event($used->(1, 'elsewhere')) ]}
1 answer 1 200 @{[ result(1) ]} => ok dropped
1 events => events x:a
1 stream c alice a => done b[] c$first
1 events => events x:b
1 post c @{[ request(1) ]} => accepted
1 events => events >1
1 counters => counters opened=3 requests=3 repeated=1 replaced=2
END

# timers

$zone->run('an idle session', <<"END");
1 stream a alice a => done a$first
1 stream h alice http h => done h<:_stream||> limit=1000
time 59999
1 run => timers w2 w3
1 post a @{[ request(1) ]} => accepted
1 events => events >1
time 60000
1 run => timers w2 w3
1 state a => /open\$/
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]}
time 59999
1 run => timers w2 w3
1 state a => /open\$/
time 1
1 run => timers a[retry:_2000||]
1 events => events x:a
1 state h => /open\$/
END

$zone->run('an id that expires', <<"END");
1 set ttl 100
1 set idle 0
1 stream a alice a => done a$first
1 timers => timers 1000
time 99999
1 run => timers w2 w3
1 state a => /open\$/
time 1
1 run => timers a[retry:_2000||]
1 counters => counters opened=1 expired=1
END

$zone->run('rechecks', <<"END");
1 set ttl 100
1 set idle 0
1 set recheck 40000
1 stream a alice a => done a$first
time 29999
1 run => timers w2 w3
time 20001
1 run => timers recheck:a:first w2 w3
time 50000
1 run => /a\\[retry:_2000/
END

$zone->run('a shutdown', <<"END");
1 stream a alice a => done a$first
1 stream b alice b => done b$first
1 post b @{[ request(1) ]} => accepted
1 events => events >1
1 drain-sessions 1000
time 1000
1 run => timers w2 w3 a[retry:_2000||]
1 state b => /open draining\$/
1 stream c alice c => done c$first
time 1001
1 run => timers w2 w3 c[retry:_2000||]
1 answer 1 200 @{[ result(1) ]} => ok b@{[ event(result(1)) ]} b[retry:_2000||]
1 events => events x:a x:c x:b
1 counters => counters opened=3 requests=1 stopping=3
END

$zone->run('a hard stop', <<"END");
1 stream a alice a => done a$first
1 post a [@{[ join ',', map { request($_) } 1 .. 3 ]}] => accepted
1 events => events >1 >2
1 stream b alice b => done b$first
1 stream c alice c => done c$first
1 post c @{[ request(9) ]} => accepted
1 events => events >9
1 left c
1 stop => ok a@{[ closed(1, 'unknown') ]} !1 a@{[ closed(2, 'unknown') ]} !2 a@{[ closed(3, 'no') ]} a[retry:_2000||] b[retry:_2000||] !9
1 events => /x:a/
1 gauges => gauges workers=3 streams=0 pending=0 held=0 calls=0 redis=0,0,0
1 events
1 counters => counters opened=3 requests=4 abandoned=1 left=1 stopping=2
END

# credentials

$zone->run('credentials', <<"END");
$warm
mark 1
1 stream a alice a => done a$first
1 post a @{[ request(1) ]} => accepted
1 events => events >1
1 set credential second
1 post a @{[ request(2) ]} => accepted
1 events => events renewed:a:second >2
time 5
1 answer 1 401 {} => /^ok refused:first:5 /
1 answer 2 200 @{[ result(2) ]} => ok a@{[ event(result(2)) ]}
1 set credential =first
1 post a @{[ request(3) ]} => accepted
1 events => events renewed:a:=first:cookie >3
1 answer 3 403 {} => /^ok a</
1 rechecked a other 401 alice
1 rechecked a first 0 alice
1 rechecked a first 500 alice
1 state a => /open\$/
2 renew a third
1 rechecked a first 401 alice => ok recheck:a:third
1 state a => /open\$/
2 renew a fourth
1 rechecked a third 0 alicf => ok recheck:a:fourth
1 rechecked a third 401 alice
1 rechecked a fourth 0 alic => /^ok a\\[event:_error/
1 events => events x:a
1 counters => counters opened=2 requests=3 unauthorized=1 deleted=1
empty
same 1
END

# POSTs of Streamable HTTP

$zone->run('POSTs', <<"END");
$warm
1 http z z alice @{[ request(1) ]} => ok >1
1 answer 1 200 @{[ result(1) ]} => ok z(@{[ result(1) ]}) z.
1 events => events x:sz
mark 1
1 http p k alice @{[ request(1) ]} => ok >1
1 http q k alice @{[ request(2) ]} => ok >2
1 http r k alice @{[ request(3) ]} => ok
1 answer 1 200 @{[ result(1) ]} => ok p(@{[ result(1) ]}) p. >3
1 http s k alice @{[ request(2) ]} => ok s(@{[ $line->($used->(2, 'connected')) ]})
1 http s k alice @{[ request(2, 'tools/call') ]} => ok s(@{[ $line->($used->(2, 'different')) ]})
2 http s k alice @{[ request(2) ]} => ok s(@{[ $line->($used->(2, 'elsewhere')) ]})
1 gone q
1 http t k alice @{[ request(2) ]} => ok
1 log => /is not executed again but gets the answer of the first one/
1 answer 2 200 @{[ result(2) ]} => ok t(@{[ result(2) ]}) t.
1 answer 3 200 @{[ result(3) ]} => ok r(@{[ result(3) ]}) r.
1 events => events x:sk
1 root => /in-flight=0 /
1 counters => counters opened=1 requests=8 repeated=4 deleted=1
2 events => events x:sk
same 1
END

$zone->run('POSTs that are cancelled', <<"END");
1 http p k alice @{[ request(1) ]} => ok >1
1 http q k alice @{[ request(2) ]} => ok >2
1 http r k alice @{[ request(3) ]} => ok
1 http o o alice @{[ request(3) ]} => ok >3
1 http c k alice @{[ cancel(3) ]} => ok announce:1:3 w2 w3
1 events => events r.
1 root => /in-flight=3 /
2 drain
2 events
2 http c k alice @{[ cancel(1) ]} => ok announce:1:1 w1
1 drain
1 events => events !1 p.
1 http s k alice @{[ request(1) ]} => ok >1
2 events => events x:sk
1 state sk => /calls=2 messages=0 /
1 answer 1 200 @{[ result(1) ]} => ok s(@{[ result(1) ]}) s.
1 answer 2 200 @{[ result(2) ]} => ok q(@{[ result(2) ]}) q.
1 answer 3 200 @{[ result(3) ]} => ok o(@{[ result(3) ]}) o.
1 events => events x:sk x:so
1 http c - alice @{[ cancel(1) ]} => ok
END

# the last call of a session is cancelled while it waits

$zone->run('a cancelled POST was the last', <<"END");
1 set no-call 1
1 http p k alice @{[ request(1) ]} => ok p(@{[ $line->(error(1, -32603, 'Internal server error', '"executed":"no"')) ]}) p.
1 events => events x:sk
1 root => /in-flight=0 /
END

$zone->run('sessions of POSTs', <<"END");
1 http p k alice @{[ request(1) ]} => ok >1
1 http q k alice @{[ request(1) ]} second => ok q(@{[ $line->($used->(1, 'elsewhere')) ]})
1 events => events x:sk
1 http q k alice @{[ request(2) ]} second => ok >2
1 http r - alice @{[ request(3) ]} => ok >3
1 call-of 3 => / :alice:site\$/
1 http s - alice @{[ request(3) ]} => ok >3
1 http t - alice @{[ request(4) ]} => ok
1 http u - alicf @{[ request(5) ]} => ok >5
1 http u - bob @{[ request(6) ]} => ok >6
1 http v l alice @{[ request(7) ]} => ok >7
1 http w m alice @{[ request(8) ]} => busy
1 http w m bob @{[ request(8) ]} => ok >8
1 http w k alice @{[ request(9) ]} => ok >9
1 answer 7 200 @{[ result(7) ]} => ok v(@{[ result(7) ]}) v.
1 events => events x:sl
1 http w n alice @{[ request(10) ]} => ok >10
END

$zone->run('the limits of POSTs', <<"END");
1 http p k alice [@{[ join ',', map { request($_) } 1 .. 9 ]}] => ok >1 >2
1 http q k alice @{[ request(10) ]} => busy
1 root => /in-flight=9 /
1 gauges => gauges workers=3 streams=0 pending=7 held=0 calls=2 redis=0,0,0
1 answer 1 200 @{[ result(1) ]} => ok p(@{[ result(1) ]}) p. >3
1 answer 2 200 @{[ result(2) ]} => ok p(@{[ result(2) ]}) p. >4
1 answer 3 200 @{[ result(3) ]} => ok p(@{[ result(3) ]}) p. >5
1 http q k alice @{[ request(10) ]} => busy
1 answer 4 200 @{[ result(4) ]} => ok p(@{[ result(4) ]}) p. >6
1 http q k alice [@{[ request(10) ]},@{[ request(11) ]}] => busy
1 http q k alice @{[ request(10) ]} => ok
1 http q k alice @{[ request(11) ]} => busy
1 answer 5 200 @{[ result(5) ]} => ok p(@{[ result(5) ]}) p. >7
1 state sk => /^state pending=3 bytes=\\d+ calls=2 /
END

$zone->run('a hard stop of POSTs', <<"END");
1 http p k alice [@{[ join ',', map { request($_) } 1 .. 3 ]}] => ok >1 >2
1 http q l alice @{[ request(4) ]} => ok >4
1 http r l alice @{[ notice('notifications/x') ]} => ok >notifications/x
1 stop-posts => /^ok p\\(.*"id":1,.*"unknown".*\\) !1 p\\(.*"id":2,.*"unknown".*\\) !2 p\\(.*"id":3,.*"no".*\\) p\\. q\\(.*"id":4,.*\\) !4 !notifications\\/x\$/
1 http p k alice @{[ request(5) ]} => ok
1 events => /x:sl/
1 gauges => gauges workers=3 streams=0 pending=1 held=0 calls=0 redis=0,0,0
1 root => /in-flight=1 /
1 counters => counters requests=5 notifications=1 abandoned=1
END

# mcp_sse_backend_calls: one call runs at a time

{
    my $places = "zone 2097152 4 10000 2 1 1\n";
    my $none   = '1 places => places running=0 waiting=0 granted=0 of=1 '
        . 'per-user=1';

    $zone->run('calls that wait for a place', $places . <<"END");
$warm
mark 1
1 stream a alice => done a$first
1 stream b bob b => done b$first
1 post a [@{[ request(1) ]},@{[ request(2) ]}] => accepted
1 events => events >1
1 post b @{[ request(3) ]} => accepted
1 events => events
1 post a @{[ notice('notifications/x') ]} => accepted
1 events => events
1 places => places running=1 waiting=3 granted=0 of=1 per-user=1
1 state a => /^state pending=2 bytes=\\d+ calls=1 messages=3 /
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]}
1 events => events >2
1 answer 2 200 @{[ result(2) ]} => ok a@{[ event(result(2)) ]}
1 events => events >3
1 answer 3 200 @{[ result(3) ]} => ok b@{[ event(result(3)) ]}
1 events => events >notifications/x
1 answer notifications/x 202 => ok
1 events => events
$none
1 end-stream a 2 => ok a[retry:_2000||]
1 end-stream b 2 => ok b[retry:_2000||]
1 events => events x:a x:b
empty
same 1
END

    # those of a session count as its calls, so that its others do not wait in
    # the queue of the user

    $zone->run('as many as a session may have', $places . <<"END");
1 stream a alice => done a$first
1 post a [@{[ join ',', map { request($_) } 1 .. 4 ]}] => accepted
1 events => events >1
1 places => places running=1 waiting=1 granted=0 of=1 per-user=1
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]}
1 places => places running=0 waiting=2 granted=1 of=1 per-user=1
1 holds => holds 2
1 events => events >2
1 holds => holds 1
1 places => places running=1 waiting=1 granted=0 of=1 per-user=1
END

    $zone->run('cancelled while it waits for a place', $places . <<"END");
$warm
mark 1
1 stream a alice => done a$first
1 post a [@{[ request(1) ]},@{[ request(2) ]}] => accepted
1 events => events >1
1 post a @{[ cancel(2) ]} => accepted
1 events => events
1 log => /cancels a waiting request/
1 places => places running=1 waiting=0 granted=0 of=1 per-user=1
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]}
1 events => events
$none
1 end-stream a 2 => ok a[retry:_2000||]
1 events => events x:a
same 1
END

    $zone->run('a client that leaves while it waits', $places . <<"END");
1 http p k alice @{[ request(1) ]} => ok >1
1 http q l alice @{[ request(2) ]} => ok
1 http r m bob @{[ request(3) ]} => ok
1 gone q
1 answer 1 200 @{[ result(1) ]} => /^ok p/
1 events => events x:sk >3 x:sl
1 log => /the client has left before its request could start, it is not executed/
1 counters => counters requests=3 abandoned=1
1 answer 3 200 @{[ result(3) ]} => ok r(@{[ result(3) ]}) r.
1 events => events x:sm
$none
1 root => /in-flight=0 /
END

    $zone->run('too long for a place', $places . <<"END");
1 stream a alice => done a$first
1 post a [@{[ request(1) ]},@{[ request(2) ]}] => accepted
1 events => events >1
time 29999
1 run => timers w2 w3
time 1
1 run => timers a@{[ event(error(2, -32008, 'Request timed out', '"timeout_ms":30000,"executed":"no"')) ]}
1 log => /a message waited 30000 ms for its turn at Frappe and is not executed, increase mcp_sse_backend_calls/
1 counters => counters opened=1 requests=2 not-started=1
1 places => places running=1 waiting=0 granted=0 of=1 per-user=1
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]}
$none
END

    $zone->run('expired while it waits for a place', $places . <<"END");
1 stream a alice => done a$first
1 post a @{[ request(1) ]} => accepted
1 events => events >1
1 post a @{[ request(2) ]} 100 => accepted
1 post a @{[ request(3) ]} => accepted
1 events => events
time 100
1 answer 1 200 @{[ result(1) ]} => ok a@{[ event(result(1)) ]}
1 events => events a@{[ event(error(2, -32003, 'No answer to another instance', '"executed":"no"')) ]} >3
END

    $zone->run('a stream that comes back to a call in the queue', $places
        . <<"END");
1 stream a alice => done a$first
1 post a [@{[ request(1) ]},@{[ request(2) ]}] => accepted
1 events => events >1
1 left a
1 stream b alice resumed a => done b$first
1 events => events x:a
1 answer 1 200 @{[ result(1) ]} => ok b@{[ event(result(1)) ]}
1 events => events >2
1 answer 2 200 @{[ result(2) ]} => ok b@{[ event(result(2)) ]}
1 post b [@{[ join ',', map { request($_) } 1 .. 3 ]}] => accepted
1 events => events >1
1 places => places running=1 waiting=1 granted=0 of=1 per-user=1
END

    $zone->run('a hard stop of calls in the queue', $places . <<"END");
1 stream a alice => done a$first
1 post a [@{[ request(1) ]},@{[ request(2) ]}] => accepted
1 events => events >1
1 stop => ok a@{[ closed(1, 'unknown') ]} !1 a@{[ closed(2, 'no') ]} a[retry:_2000||]
1 events => events x:a
$none
END
}

# announcements: ended ids close the streams, calls go on

$zone->run('ended ids', <<"END");
1 stream a alice http k => done a<:_stream||> limit=1000
1 stream b alice http k => done b<:_stream||> limit=1000
1 stream c alice http l => done c<:_stream||> limit=1000
1 stream d bob m => done d$first
1 http p k alice @{[ request(1) ]} => ok >1
2 announce 2 k 0 => ok w1 w3
1 drain
1 events => events a[] b[] x:a x:b
1 answer 1 200 @{[ result(1) ]} => ok p(@{[ result(1) ]}) p.
2 end l alice 1000100
1 announce 3 x 0 => ok w2
1 events => /c\\[\\]/
1 state d => /open\$/
1 tell-self 4 cred 0
1 events => /refused:cred/
END

MCPTest::finish();
