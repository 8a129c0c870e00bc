# Whether a session gets to know that a resource has changed: if it has
# subscribed, at once; if the backend was asked longer ago than
# mcp_sse_auth_recheck, when it has read it again.  docs/PROTOCOL.md 16.77.

use strict;
use warnings;

use lib 't/lib';
use MCPTest ();
use MCPTest::Zone;
use Test::More;

my $zone = MCPTest::Zone->new('t/session/session.c', 'session');

my $read = '{"jsonrpc":"2.0","id":0,"result":{"contents":[]}}';
my $no   = '{"jsonrpc":"2.0","id":0,"error":{"code":-32602,"message":"no"}}';
my $tool = '{"jsonrpc":"2.0","id":0,"result":{"isError":true}}';

$zone->run('at once', <<'END');
1 set recheck 5000
1 stream a alice => /^done/
1 updated a u => ok
1 subscribe a alice 2000000 u => ok
1 updated a u => ok update:a:u
1 updated a x => ok
time 4999 => ok
1 updated a u => ok update:a:u
END

$zone->run('asked again', <<"END");
1 set recheck 5000
1 stream a alice => /^done/
1 subscribe a alice 2000000 u => ok
time 5000 => ok
1 updated a u => ok >resources/read
1 call-of resources/read => call /call?a=b 30000 1000 1.2.3.4 |host=site|accept=application/json|content-type=application/json|x-forwarded-for=1.2.3.4|authorization=first {"jsonrpc":"2.0","id":0,"method":"resources/read","params":{"uri":u}} 0123456789abcdef:alice:site
1 answer resources/read 200 $read => ok noted:u update:a:u
1 updated a u => ok update:a:u
2 has a u => yes 0
END

for my $case (
    [ 'an error', "200 $no" ], [ 'an error of a tool', "200 $tool" ],
    [ 'a refusal', '403 {}' ], [ 'not MCP', '200 []' ], [ 'nothing', '200' ],
    [ 'a fault', "500 $no" ], [ 'an error page', '502 x' ],
) {
    my ($name, $answer) = @{$case};

    $zone->run("asked again: $name", <<"END");
1 set recheck 5000
1 stream a alice => /^done/
1 subscribe a alice 2000000 u => ok
time 5000 => ok
1 updated a u => ok >resources/read
1 answer resources/read $answer => ok
1 updated a u => ok >resources/read
1 answer resources/read 200 $read => ok noted:u update:a:u
END
}

$zone->run('the value of an old Frappe', <<'END');
1 set recheck 5000
1 stream a alice => /^done/
1 subscribe a alice 2000000 u => ok
time 5000 => ok
1 updated a u => ok >resources/read
1 answer resources/read 200 {"message":{"contents":[]}} => ok noted:u update:a:u
END

$zone->run('what happens meanwhile', <<"END");
1 set recheck 5000
1 stream a alice => /^done/
1 stream b alice => /^done/
1 subscribe a alice 2000000 u => ok
1 subscribe b alice 2000000 u => ok
time 5000 => ok
1 updated a u => ok >resources/read
1 updated a u => ok >resources/read
1 unsubscribe a u => ok
1 answer resources/read 200 $read => ok
1 answer resources/read 200 $read => ok
1 updated b u => ok >resources/read
1 left b => /^ok/
1 events => events x:b
1 answer resources/read 200 $read => /^ok/
END

# eight calls run, others wait; those of the same resource are one

my $many = join '', map { "1 subscribe a alice 2000000 u$_ => ok\n" } 1 .. 12;
my $ask  = join '', map { "1 updated a u$_ => ok >resources/read\n" } 1 .. 8;

$zone->run('many', <<"END");
1 set recheck 5000
1 stream a alice => /^done/
${many}time 5000 => ok
${ask}1 updated a u9 => ok
1 updated a u10 => ok
1 updated a u10 => ok
1 answer resources/read 200 $read => /noted:\\S+ update:a:\\S+ >resources.read\$/
1 answer resources/read 200 $read => /noted:\\S+ update:a:\\S+ >resources.read\$/
1 answer resources/read 200 $read => /noted:\\S+ update:a:\\S+\$/
1 updated a u11 => ok >resources/read
1 updated a u12 => ok
1 stop-checks => /^ok( !resources.read){8}\$/
1 events
1 updated a u12 => ok >resources/read
END

$zone->run('no memory', <<'END');
1 set recheck 5000
1 stream a alice => /^done/
1 subscribe a alice 2000000 u => ok
time 5000 => ok
1 set no-call 1
1 updated a u => ok
1 set no-call 2
1 updated a u => ok
1 set no-call 0
1 updated a u => ok >resources/read
END

MCPTest::finish();
