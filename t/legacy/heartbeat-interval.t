# When heartbeats are due, to the millisecond: intervals of streams, and the
# time since the last output.  docs/PROTOCOL.md 3.7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/legacy/heartbeat-interval.c',
    [qw(core/ngx_mcp_timer stream/ngx_mcp_heartbeat codec/ngx_mcp_event)]);


sub ask { return $unit->ask(@_) }


# ---- an interval is shorter than the configured one, by 20 ms to an eighth

for (
    [ 15000, 0,    14980, 'the longest interval' ],
    [ 15000, 1,    14979, 'the next one' ],
    [ 15000, 1855, 13125, 'the shortest one' ],
    [ 15000, 1856, 14980, 'the longest one again' ],
    [ 168,   0,    148,   'of 168 ms, the longest' ],
    [ 168,   1,    147,   'of 168 ms, the shortest' ],
    [ 168,   2,    148,   'of 168 ms, there are no others' ],
    [ 167,   7,    147,   'of 167 ms, there is one' ],
    [ 160,   7,    140,   'the same of 160 ms' ],
    [ 159,   7,    140,   'of 159 ms, an eighth is less than 20 ms' ],
    [ 8,     7,    7,     'of 8 ms' ],
    [ 7,     7,    7,     'of 7 ms' ],
    [ 1,     7,    1,     'of 1 ms' ],
) {
    my ($msec, $random, $want, $name) = @$_;

    is(ask('spread', $msec, $random), $want, $name);
}

{
    my %seen;

    for (1 .. 1000) {
        my ($interval, $timer) = split ' ', ask('start', 15000, 0);

        $seen{$interval}++;
        is($timer, $interval, 'the timer is set to the interval')
            if $timer != $interval || $_ == 1;
    }

    my @all = sort { $a <=> $b } keys %seen;

    cmp_ok(@all, '>', 500, 'a thousand streams have hundreds of intervals');
    cmp_ok($all[0], '>=', 13125, 'none is shorter than seven eighths');
    cmp_ok($all[-1], '<=', 14980, 'none is longer than the configured one');
}


# ---- comments: counted from the last output

sub stream {
    my ($event) = @_;

    ask('start', 15000, $event);
    ask('interval', 14000);
    ask('sent', 1000);

    return;
}

stream(0);
is(ask('due', 15000), '1 1 14000', 'a silent stream beats');
ask('sent', 15000);
is(ask('due', 29000), '1 2 14000', 'and again after the interval');
ask('sent', 29000);

ask('sent', 42999);
is(ask('due', 43000), '0 2 13999',
    'no heartbeat 1 ms after other output, the next one is due after the rest');
is(ask('due', 56999), '1 3 14000', 'it is due then, and is the next one');

stream(0);
is(ask('due', 14999), '0 0 1', 'no heartbeat 1 ms before its time');
is(ask('due', 15000), '1 1 14000', 'it comes in its time');

# one is skipped while output waits for the client, which is then taken

stream(0);
is(ask('due', 15000), '1 1 14000', 'output waits since the beginning');
ask('sent', 20000);
is(ask('due', 29000), '0 1 5000', 'the interval begins when it was taken');


# ---- events: never skipped

stream(1);
ask('sent', 14999);
is(ask('due', 15000), '1 1 14000', 'an event is due after other output');
ask('sent', 28999);
is(ask('due', 29000), '1 2 14000', 'and has the next number');

done_testing();
