# Which packets a worker takes for repeated ones, and what it keeps of their
# senders: a number until it expires, 4,096 senders, no memory beyond that.
# docs/PROTOCOL.md 11.11.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

use constant SENDERS => 4096;    # NGX_MCP_PACKET_MAX_SENDERS

my $unit = MCPTest::Unit->new('t/crypto/crypto.c', [ map { "crypto/ngx_mcp_$_" }
    qw(cipher digest memo packet replay_window session_id) ]);


sub ask { return $unit->ask(@_) }


# Gives commands and compares their answers, in one test.

sub steps {
    my ($name, @steps) = @_;

    my (@got, @want);

    while (my ($command, $answer) = splice @steps, 0, 2) {
        push @got, "$command: " . ask(split / /, $command);
        push @want, "$command: $answer";
    }

    return is_deeply(\@got, \@want, $name) || diag(explain(\@got));
}


steps('a number is taken once, in whatever order they come',
    'window'      => '',
    'enter 5 100' => 'ok 0',
    'enter 2 100' => 'ok 0',
    'enter 9 100' => 'ok 0',
    'enter 7 100' => 'ok 0',
    'enter 3 100' => 'ok 0',
    'enter 2 100' => 'done 2',
    'enter 9 100' => 'done 9',
    'enter 7 100' => 'done 7',
    'enter 5 100' => 'done 5',
    'enter 3 100' => 'done 3',
    'enter 1 100' => 'ok 0',
    'enter 4294967298 100'           => 'ok 0',
    'enter 4294967298 100'           => 'done 2',
    'enter 18446744073709551615 100' => 'ok 0',
    'enter 18446744073709551615 100' => 'done 4294967295',
);

steps('there is no number 0', 'window' => '', 'enter 0 100' => 'declined');

steps('a number that has expired is refused, and so are those below it',
    'window'       => '',
    'enter 5 100'  => 'ok 0',
    'enter 3 101'  => 'ok 0',
    'enter 8 102'  => 'ok 0',
    'expire 99'    => '',
    'enter 5 100'  => 'done 5',
    'enter 1 103'  => 'ok 0',
    'expire 100'   => '',
    'enter 5 200'  => 'declined',
    'enter 4 200'  => 'declined',
    'enter 6 200'  => 'ok 0',
    'enter 8 200'  => 'done 8',
    'expire 101'   => '',
    'enter 3 200'  => 'declined',
    'enter 5 200'  => 'declined',
    'expire 103'   => '',
    'enter 8 200'  => 'declined',
    'enter 7 200'  => 'declined',
    'enter 6 200'  => 'declined',
    'enter 9 200'  => 'ok 0',
);

steps('a number behind one that lives longer goes with it',
    'window'       => '',
    'enter 1 200'  => 'ok 0',
    'enter 2 100'  => 'ok 0',
    'expire 150'   => '',
    'enter 2 300'  => 'done 2',
    'expire 200'   => '',
    'enter 2 300'  => 'declined',
);

my $last = ask('last-time');

steps('a clock that overflows',
    'window'                    => '',
    "enter 1 $last"             => 'ok 0',
    'enter 2 100'               => 'ok 0',
    'expire ' . ($last - 1)     => '',
    "enter 1 $last"             => 'done 1',
    "expire $last"              => '',
    "enter 1 $last"             => 'declined',
    'enter 2 100'               => 'done 2',
    'expire 99'                 => '',
    'enter 2 100'               => 'done 2',
    'expire 100'                => '',
    'enter 2 100'               => 'declined',
);

{
    ask('window');

    my $before = ask('memory');

    for my $n (1 .. 2000) {
        ask('enter', $n, $n + 10);
        ask('expire', $n);
    }

    ask('expire', 3000);
    cmp_ok(ask('memory') - $before, '<', 2000,
        '2,000 numbers leave no memory behind');
}

# senders: the packets of many, made before the receiver starts, since a worker
# that starts knows no sender

sub id { return sprintf '%016x' x 2, $_[0], $_[0] }

my $secret = '6b' x 32;
my $self   = 'ff' x 16;
my @packet;

for my $n (1 .. SENDERS + 600) {
    ask('worker', id($n), $secret);
    $packet[$n] = (split / /, ask('send', 1, $self, '61'))[2];
}

ask('worker', id(1), $secret);
my $again    = (split / /, ask('send', 1, $self, '61'))[2];
my $announce = (split / /, ask('send', 4, '-', '61'))[2];

sub received {
    my ($n, $expires) = @_;

    return (split / /, ask('receive', $packet[$n],
        defined $expires ? $expires : 1000))[-1];
}

ask('worker', $self, $secret);

is(received(1), 'ok', 'a packet is taken');
is(received(1), 'done', 'and known when it comes again');
is((split / /, ask('receive', $announce, 1000))[-1], 'ok',
    'announcements have a window of their own');

is(scalar(grep { received($_) ne 'ok' } 2 .. SENDERS), 0,
    'as many senders as are kept');
is(received(2), 'done', 'the first of them is known');
is((split / /, ask('receive', $again, 1000))[-1], 'ok',
    'another one of them is heard again');
is(received(SENDERS + 1), 'ok', 'one sender more is taken');
is(received(1), 'done', 'one that was heard since is known');
is(received(2), 'done', 'and so is the other one');
is(received(3), 'ok', 'the one that was silent longest is not');
is(received(4), 'ok', 'which took the place of the next one');

# a sender that is not kept, and a number that has expired, give their memory
# back

my $before = ask('memory');

received($_) for SENDERS + 2 .. SENDERS + 600;

cmp_ok(ask('memory') - $before, '<', 2000,
    '600 senders in place of others leave no memory behind');

ask('expire-all', 999);
is(received(SENDERS + 600), 'done', 'a number is known until it expires');
ask('expire-all', 1000);
is(received(SENDERS + 600), 'declined', 'and refused afterwards');
is(received(SENDERS + 599), 'declined', 'for all senders');
cmp_ok(ask('memory') - $before, '<', -SENDERS * 60,
    'the memory of all numbers is given back');

# a forged packet makes no sender known, and takes nobody's place

{
    my $forged = $packet[SENDERS + 600];

    for my $n (1 .. 300) {
        substr($forged, 12, 32) = id(100000 + $n);
        ask('receive', $forged, 2000);
    }

    is(received(SENDERS + 599, 2000), 'declined',
        'forged packets take no place');
}

finish();
