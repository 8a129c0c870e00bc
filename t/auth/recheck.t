# The look-up of the credential of an open session: what it is given, and what
# becomes of its result when the session is freed meanwhile.  A recheck has no
# client address: in the queue, all of them are one client.
# docs/PROTOCOL.md 2.21.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/auth/recheck.c',
    ['auth/ngx_mcp_auth_session']);


sub ask { return $unit->ask(@_) }

ask('recheck', 'busy');

my $before = ask('memory');
my $given  = 'looked-up site token conf no-address';

is(ask('recheck', 'ok'), $given, 'a recheck looks up, without an address');
is(ask('answer', 0, 'alice'), 'rechecked kk cc 0 alice',
    'the answer is for the key and the credential of the session');
is(ask('memory'), $before, 'it is freed then');

ask('recheck', 'ok');
is(ask('answer', 401), 'rechecked kk cc 401 ', 'so is a refusal');
is(ask('memory'), $before, 'and freed');

is(ask('recheck', 'busy'), $given, 'a recheck that finds no place');
is(ask('memory'), $before, 'is freed at once');

is(ask('recheck', 'ok', 'principal'), '',
    'with mcp_sse_principal, nothing is looked up');
is(ask('memory'), $before, 'and nothing is kept');

finish();
