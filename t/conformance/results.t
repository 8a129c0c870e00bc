# The official conformance suite finds what t/conformance/results/ has, in both
# versions and both forms of answers.  docs/PROTOCOL.md 14.4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $root = MCPTest::root();

# Node 22 and the suite are installed in t/clients/node22

plan skip_all => 'the suite is not run while allocations fail'
    if defined $ENV{MCP_SSE_TORTURE};
plan skip_all => 'the suite has times that valgrind does not keep'
    if $ENV{MCP_SSE_VALGRIND};

if (system("$root/util/node22 > /dev/null 2>&1") != 0) {
    plan skip_all => 'no Node 22 (util/npm-ci t/clients/node22)'
        unless $ENV{CI};
    fail('CI has to run the conformance suite, but there is no Node 22');
    done_testing();
    exit;
}

my $out    = `cd '$root' && util/conformance 2>&1`;
my $status = $?;

for my $result (sort glob "$root/t/conformance/results/*.txt") {
    my ($name) = $result =~ m{([^/]+)\z};

    unlike($out, qr/results\/\Q$name\E differs/,
        "the suite finds what $name has");
}

is($status, 0, 'util/conformance ends well') or diag($out);

done_testing();
