# Where a master is, as replies of sentinels and of nodes of a cluster tell it:
# addresses, names, what is kept back, and anything else that such a port may
# answer.  docs/PROTOCOL.md 11.23.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/redis/nodes.c', ['redis/ngx_mcp_redis_node']);

my $long = 'h' x 255;


# A reply as bytes: a list, a number, undef, bytes, or an error.

sub resp {
    my ($value) = @_;

    return '$-1' . "\r\n" unless defined $value;
    return "-$$value\r\n" if ref $value eq 'SCALAR';

    return '*' . @$value . "\r\n" . join '', map { resp($_) } @$value
        if ref $value;

    return ":$value\r\n" if $value =~ s/\A#//;

    return '$' . length($value) . "\r\n$value\r\n";
}


sub ask {
    my ($command, $bytes, $more) = @_;

    return $unit->ask($command, MCPTest::Unit::hex($bytes),
        defined $more ? $more : ());
}


# SENTINEL get-master-addr-by-name

for my $case (
    [ 'an address',          [ '10.0.0.5', '6379' ], '10.0.0.5|6379' ],
    [ 'an IPv6 address',     [ '2001:db8::5', '1' ], '2001:db8::5|1' ],
    [ 'a name',              [ 'a_b-1.example', '65535' ],
        'a_b-1.example|65535' ],
    [ 'the longest name',    [ $long, '1' ],         "$long|1" ],
    [ 'nothing',             undef,                  'declined' ],
    [ 'a longer name',       [ "h$long", '1' ],      'error' ],
    [ 'no host',             [ '', '1' ],            'error' ],
    [ 'a host of two lines', [ "a\nb", '1' ],        'error' ],
    [ 'a host with a NUL',   [ "a\0b", '1' ],        'error' ],
    [ 'no name',             [ 'a b', '1' ],         'error' ],
    [ 'no port',             [ 'a', '' ],            'error' ],
    [ 'port 0',              [ 'a', '0' ],           'error' ],
    [ 'port 65536',          [ 'a', '65536' ],       'error' ],
    [ 'a port with a sign',  [ 'a', '-1' ],          'error' ],
    [ 'a port that is long', [ 'a', '1' x 40 ],      'error' ],
    [ 'a number as port',    [ 'a', '#1' ],          'error' ],
    [ 'nil as host',         [ undef, '1' ],         'error' ],
    [ 'a host alone',        ['a'],                  'error' ],
    [ 'three words',         [ 'a', '1', '2' ],      'error' ],
    [ 'an empty list',       [],                     'error' ],
    [ 'a string',            'a',                    'error' ],
    [ 'an error',            \'ERR no',              'error' ],
) {
    my ($name, $reply, $want) = @$case;

    is(ask('master', resp($reply)), $want, "a sentinel tells $name");
}

# +switch-master

for my $case (
    [ 'm 10.0.0.1 6379 10.0.0.2 6380',       '10.0.0.2|6380' ],
    [ 'm ::1 6379 2001:db8::2 6380',         '2001:db8::2|6380' ],
    [ 'm a 1 b.example 2',                   'b.example|2' ],
    [ 'mm a 1 b 2',                          'declined' ],
    [ 'n a 1 b 2',                           'declined' ],
    [ ' a 1 b 2',                            'declined' ],
    [ 'm a 1 b',                             'error' ],
    [ 'm a 1 b 2 3',                         'error' ],
    [ 'm a 1 b 2 ',                          'error' ],
    [ 'm a 1  2',                            'error' ],
    [ 'm a 1 b 0',                           'error' ],
    [ 'm a 1 b x',                           'error' ],
    [ "m a 1 $long 2",                       "$long|2" ],
    [ "m a 1 h$long 2",                      'error' ],
    [ '',                                    'error' ],
    [ ' ' x 1000,                            'error' ],
) {
    my ($message, $want) = @$case;

    is(ask('switch', $message, MCPTest::Unit::hex('m')), $want,
        'a message "' . (length $message > 40 ? substr($message, 0, 40) . '...'
            : $message) . '"');
}

# CLUSTER SLOTS

sub range {
    my ($from, $to, @nodes) = @_;

    return [ "#$from", "#$to", @nodes ];
}

my $other = [ '10.0.0.9', '#9', 'id' ];
my $node  = [ '10.0.0.5', '#6379', 'id', [ 'hostname', 'h' ] ];

for my $case (
    [ 'one range',      [ range(0, 16383, $node) ], '10.0.0.5|6379' ],
    [ 'the slot alone', [ range(0, 99, $other), range(100, 100, $node),
        range(101, 200, $other) ], '10.0.0.5|6379' ],
    [ 'replicas',       [ range(0, 200, $node, $other, $other) ],
        '10.0.0.5|6379' ],
    [ 'no ids',         [ range(0, 200, [ 'h', '#1' ]) ], 'h|1' ],
    [ 'a host kept back',  [ range(0, 200, [ undef, '#1', 'id', [] ]) ],
        '|1' ],
    [ 'an unknown host',   [ range(0, 200, [ '', '#1', 'id' ]) ], '|1' ],
    [ 'a nameless node',   [ range(0, 200, [ '?', '#1', 'id',
        [ 'hostname', 'x', 'ip', '10.0.0.7' ] ]) ], '10.0.0.7|1' ],
    [ 'a nameless node without an address',
        [ range(0, 200, [ '?', '#1', 'id', [ 'ip' ] ]) ], 'error' ],
    [ 'a nameless node with one in a number',
        [ range(0, 200, [ '?', '#1', 'id', [ 'ip', '#1' ] ]) ], 'error' ],
    [ 'a nameless node of Redis 6',
        [ range(0, 200, [ '?', '#1', 'id' ]) ], 'error' ],
    [ 'another slot',   [ range(0, 99, $node), range(101, 200, $node) ],
        'declined' ],
    [ 'no slots',       [], 'declined' ],
    [ 'port 0',         [ range(0, 200, [ 'h', '#0', 'id' ]) ], 'error' ],
    [ 'port 65536',     [ range(0, 200, [ 'h', '#65536', 'id' ]) ], 'error' ],
    [ 'a port in text', [ range(0, 200, [ 'h', '1', 'id' ]) ], 'error' ],
    [ 'a number as host',  [ range(0, 200, [ '#1', '#1', 'id' ]) ], 'error' ],
    [ 'a host alone',   [ range(0, 200, ['h']) ], 'error' ],
    [ 'an empty node',  [ range(0, 200, []) ], 'error' ],
    [ 'a host of two lines', [ range(0, 200, [ "a\r\nb", '#1' ]) ], 'error' ],
    [ 'a word as node', [ range(0, 200, 'h') ], 'error' ],
    [ 'no node',        [ range(0, 200) ], 'error' ],
    [ 'a slot in text', [ [ '0', '#200', $node ] ], 'error' ],
    [ 'the last slot in text', [ [ '#0', '200', $node ] ], 'error' ],
    [ 'a word as range',    ['h'], 'error' ],
    [ 'nil',            undef, 'error' ],
    [ 'an error',       \'ERR This instance has cluster support disabled',
        'error' ],
) {
    my ($name, $reply, $want) = @$case;

    is(ask('slot', resp($reply), 100), $want, "a node tells $name");
}

# MOVED

for my $case (
    [ \'MOVED 100 10.0.0.5:6379',      '10.0.0.5|6379' ],
    [ \'MOVED 100 2001:db8::5:6379',   '2001:db8::5|6379' ],
    [ \'MOVED 100 [2001:db8::5]:6379', '2001:db8::5|6379' ],
    [ \'MOVED 100 h.example:1',        'h.example|1' ],
    [ \'MOVED 100 :6379',              '|6379' ],
    [ \"MOVED 100 $long:1",            "$long|1" ],
    [ \"MOVED 100 h$long:1",           'error' ],
    [ \'MOVED 100 h:0',                'error' ],
    [ \'MOVED 100 h:',                 'error' ],
    [ \'MOVED 100 h',                  'error' ],
    [ \'MOVED 100 ?:1',                'error' ],
    [ \'MOVED 100 ',                   'error' ],
    [ \'MOVED 100',                    'error' ],
    [ \'MOVED ',                       'error' ],
    [ \'MOVED',                        'declined' ],
    [ \'ASK 100 h:1',                  'declined' ],
    [ \'',                             'declined' ],
    [ 'MOVED 100 h:1',                 'declined' ],
    [ undef,                           'declined' ],
) {
    my ($reply, $want) = @$case;

    is(ask('moved', resp($reply)), $want, 'an error "'
        . (ref $reply ? substr $$reply, 0, 40 : 'that is none') . '"');
}

done_testing();
