# What backends have told of themselves, in the zone: what is kept, for how long
# it is fresh, and what goes when there is no room.  docs/PROTOCOL.md 15.61,
# 15.62, 15.66.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Zone;
use Test::More;

my $zone = MCPTest::Zone->new;

$zone->run('an entry', <<'END');
1 known a => no
1 keep a 2025-06-18 1000 7 0 => /^kept/
1 known a => known 2025-06-18 7 fresh
2 known a => known 2025-06-18 7 fresh
2 known b => no
1 keep a x 1000 0 1 => /^kept/
2 known a => known  0 fresh modern
END

$zone->run('freshness', <<'END');
1 keep a 2025-06-18 1000 7 0 => /^kept/
time 999 => ok
2 known a => known 2025-06-18 7 fresh
time 1 => ok
2 known a => known 2025-06-18 7
time 100000000 => ok
2 known a => known 2025-06-18 7
2 keep a 2025-06-18 1000 7 0 => /^kept/
1 known a => known 2025-06-18 7 fresh
END

# what is kept again, with something added, is not fresh for longer

$zone->run('kept again', <<'END');
1 keep a 2025-06-18 1000 7 0 => /^kept/
time 600 => ok
2 again a => ok
time 399 => ok
1 known a => known 2025-06-18 7 fresh
time 1 => ok
1 known a => known 2025-06-18 7
2 again a => ok
1 known a => known 2025-06-18 7
END

$zone->run('the longest text', <<'END');
1 keep a 2025-06-18 1000 16384 0 => /^kept/
2 known a => known 2025-06-18 16384 fresh
1 keep a 2025-06-18 1000 16385 0 => /^kept/
2 known a => known 2025-06-18 0 fresh
END

# 1/16 of 2 MB is room for seven entries of 16 kB

$zone->run('no room', <<'END');
1 keep a 2025-06-18 1000 16384 0 => /^kept/
1 keep b 2025-06-18 1000 16384 0 => /^kept/
1 keep c 2025-06-18 1000 16384 0 => /^kept/
1 keep d 2025-06-18 1000 16384 0 => /^kept/
1 keep e 2025-06-18 1000 16384 0 => /^kept/
1 keep f 2025-06-18 1000 16384 0 => /^kept/
1 keep g 2025-06-18 1000 16384 0 => /^kept 11\d{4}$/
2 known a => known 2025-06-18 16384 fresh
1 keep h 2025-06-18 1000 16384 0 => /^kept 11\d{4}$/
1 known b => no
1 known a => known 2025-06-18 16384 fresh
1 known c => known 2025-06-18 16384 fresh
1 keep a 2025-06-18 1000 7 0 => /^kept 9\d{4}$/
1 known h => known 2025-06-18 16384 fresh
END

$zone->run('a full zone', <<'END');
1 keep a 2025-06-18 1000 7 0 => /^kept/
1 fill 4096 2
1 keep b 2025-06-18 1000 16384 0 => /^kept/
1 known b => no
1 known a => known 2025-06-18 7 fresh
END

finish();
