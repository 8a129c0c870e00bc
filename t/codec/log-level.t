# The levels of notifications/message, in their order; other names are unknown.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/codec/codec.c',
    [ grep { m{^codec/} } MCPTest::Unit::objects() ]);

sub level {
    my ($name) = @_;

    return $unit->ask('level', length $name ? MCPTest::Unit::hex($name) : '-');
}


my @levels
    = qw(emergency alert critical error warning notice info debug);

is(level($levels[$_]), $_, "$levels[$_] is level $_") for 0 .. $#levels;

for my $name ('', 'Debug', 'warn', 'debu', 'debugg', "info\0", ' info', '7') {
    is(level($name), 8, 'no such level: "' . $name =~ s/\0/\\0/r . '"');
}

finish();
