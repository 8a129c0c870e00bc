# The filter of subscriptions/listen: what it asks for, and what is no filter.
# docs/PROTOCOL.md 16.41, 16.42.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/codec/codec.c',
    [ grep { m{^codec/} } MCPTest::Unit::objects() ]);


# What is honoured, as it is acknowledged, and its URIs decoded; or "declined".

sub filter_of {
    my ($raw) = @_;

    my $answer = $unit->ask('listen',
        defined $raw ? MCPTest::Unit::hex($raw) : '-');

    return $answer unless $answer =~ s/^ok //;

    return join ' ', map { pack 'H*', $_ } split / /, $answer;
}


sub uris { return join ',', map { qq("u$_") } 1 .. $_[0] }


my $all = '{"toolsListChanged":true,"promptsListChanged":true,'
    . '"resourcesListChanged":true,"resourceSubscriptions":["a","b:c"]}';

for my $case (
    [ 'nothing', '{}', '{}' ],
    [ 'all', $all, "$all a b:c" ],
    map({ [ "$_ alone", qq({"$_":true}), qq({"$_":true}) ] }
        qw(toolsListChanged promptsListChanged resourcesListChanged)),
    [ 'another order',
        '{"resourceSubscriptions":["a"],"toolsListChanged":true}',
        '{"toolsListChanged":true,"resourceSubscriptions":["a"]} a' ],
    [ 'false', '{"toolsListChanged":false,"promptsListChanged":true}',
        '{"promptsListChanged":true}' ],
    [ 'no resources', '{"resourceSubscriptions":[]}', '{}' ],
    [ 'other members', '{"messages":true,"x":{"toolsListChanged":1},'
        . '"y":["a"],"resourcesListChanged":true}',
        '{"resourcesListChanged":true}' ],
    [ 'other members, repeated', '{"x":1,"x":2}', '{}' ],
    [ 'escapes', '{"tools\u004cistChanged":true,'
        . '"resourceSubscriptions":["a\/\u0062"]}',
        '{"toolsListChanged":true,"resourceSubscriptions":["a\/\u0062"]}'
        . ' a/b' ],
    [ 'blanks', qq( { "toolsListChanged" : true ,\r\n)
        . '"resourceSubscriptions" : [ "a" , "b" ] } ',
        '{"toolsListChanged":true,"resourceSubscriptions":["a","b"]} a b' ],
    [ 'a URI twice', '{"resourceSubscriptions":["a","a"]}',
        '{"resourceSubscriptions":["a","a"]} a a' ],
    [ '101 URIs', '{"resourceSubscriptions":[' . uris(101) . ']}',
        '{"resourceSubscriptions":[' . uris(100) . ']} '
        . join ' ', map { "u$_" } 1 .. 100 ],
) {
    my ($title, $raw, $want) = @$case;

    is(filter_of($raw), $want, $title);
}

for my $raw (undef, '', 'null', 'true', '[]', '["toolsListChanged"]', '"a"',
    '{', '{"toolsListChanged":true}x',
    map({ my $name = $_; map { qq({"$name":$_}) } qw(null 1 "true" {} [true]),
        qq(true,"$name":true) }
        qw(toolsListChanged promptsListChanged resourcesListChanged)),
    map({ qq({"resourceSubscriptions":$_}) } qw(null true "a" {} {"a":"b"}
        [1] [null] [["b"]] [{"uri":"a"}]),
        '["a",1]', '["a"],"resourceSubscriptions":["b"]',
        '[' . uris(101) . ',1]'))
{
    is(filter_of($raw), 'declined',
        'no filter: ' . (defined $raw ? substr $raw, 0, 60 : 'absent'));
}

finish();
