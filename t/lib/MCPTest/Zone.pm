package MCPTest::Zone;

# Workers and a zone without requests, by the commands of t/shm/shm.c.
#
#     my $zone = MCPTest::Zone->new;
#
#     $zone->run('a session is registered', <<'END');
#     1 open a alice 2
#     2 find a => found owner=1 ...
#     2 deliver a 1 100 => accepted w1
#     2 log => /full/
#     END
#
# Each run begins with a new zone and three workers, that are there without a
# session; the first line can be another "zone".  Each line is a test: the
# answer to its command is what stands behind "=>", or matches it, or is of
# no interest, as "ok".
# "empty" tests that nothing is left in the zone, "same N" that worker N holds
# as many blocks of memory as at the last "mark N".
#
# Skips all tests of the file where MCPTest::Unit does.

use strict;
use warnings;

use Test::More;

use MCPTest::Unit;


my $nothing = 'root records=0 tombstones=0 leftovers=0 inbox=0 in-flight=0 '
    . 'announcements=0/0 ended=0 users=0 chunks=0';


# Links all files of the rooms; the program replaces the wake-ups of workers.

sub new {
    my ($class, $source, @rooms) = @_;

    my $rooms   = join '|', qw(codec crypto shm), @rooms;
    my @objects = grep { m{\A(?:$rooms)/} && !m{/ngx_mcp_wakeup\z} }
        MCPTest::Unit::objects();

    return bless { unit => MCPTest::Unit->new($source || 't/shm/shm.c',
        \@objects) }, $class;
}


sub ask {
    my ($self, $line) = @_;

    return $self->{unit}->ask(split ' ', $line);
}


sub run {
    my ($self, $name, $lines) = @_;

    my %marks;
    my @lines = grep { /\S/ } split /\n/, $lines;
    my $zone  = $lines[0] =~ /^zone/ ? shift @lines : 'zone 2097152 4 10000 2';

    is($self->ask($zone), 'ok', "$name: a zone");

    for my $n (1 .. 3) {
        $self->ask("start $n");
        $self->ask("$n init");
    }

    for my $line (@lines) {
        my ($command, $want) = split /\s+=>\s*/, $line, 2;

        $command =~ s/(\$pid_(\d+))/$self->ask("pid $2")/e;
        $want = '/\\A(?:ok|timers|events|log.*)\\z/' unless defined $want;

        if ($command =~ /^mark (\d+)/) {
            $marks{$1} = $self->ask("$1 blocks");

        } elsif ($command =~ /^same (\d+)/) {
            is($self->ask("$1 blocks"), $marks{$1}, "$name: $command");

        } elsif ($command =~ /^empty(?: (\d+))?/) {
            is($self->ask(($1 || 1) . ' root'), $nothing, "$name: $command");

        } elsif ($want =~ m{^/(.*)/$}) {
            like($self->ask($command), qr/$1/, "$name: $command");

        } else {
            is($self->ask($command), $want, "$name: $command");
        }
    }

    return;
}

1;
