# Capabilities that the module adds to those of the backend: where, and what of
# the answer stays as it is.  docs/PROTOCOL.md 16.83, 16.84.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/codec/codec.c',
    [ grep { m{^codec/} } MCPTest::Unit::objects() ]);


sub add { return $unit->ask('capabilities', MCPTest::Unit::hex($_[0])) }


sub answer {
    my ($capabilities) = @_;

    return '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":"2025-06-18",'
        . "\"capabilities\":$capabilities,"
        . '"serverInfo":{"name":"x","tools":{}}}}';
}


my $log = '"logging":{}';

for my $case (
    [ 'nothing', '{}', "{$log}" ],
    [ 'blanks', '{ }', "{$log }" ],
    [ 'an empty list', '{"tools":{}}', "{$log,\"tools\":{\"listChanged\":true}}" ],
    [ 'all lists', '{"tools":{},"prompts":{ },"resources":{}}',
        "{$log,\"tools\":{\"listChanged\":true},"
        . '"prompts":{"listChanged":true },'
        . '"resources":{"subscribe":true,"listChanged":true}}' ],
    [ 'false', '{"prompts":{"listChanged":false}}',
        "{$log,\"prompts\":{\"listChanged\":true}}" ],
    [ 'another type', '{"prompts":{"listChanged":"no","x":[1]}}',
        "{$log,\"prompts\":{\"listChanged\":true,\"x\":[1]}}" ],
    [ 'resources that change', '{"resources":{"listChanged":true}}',
        "{$log,\"resources\":{\"subscribe\":true,\"listChanged\":true}}" ],
    [ 'both false', '{"resources":{"listChanged":false,"subscribe":false}}',
        "{$log,\"resources\":{\"listChanged\":true,\"subscribe\":true}}" ],
    [ 'subscribe of other lists', '{"tools":{"subscribe":false}}',
        "{$log,\"tools\":{\"listChanged\":true,\"subscribe\":false}}" ],
    [ 'what else there is', '{"x":1.50,"tools":{"y":{"listChanged":false}}}',
        "{$log,\"x\":1.50,\"tools\":{\"listChanged\":true,"
        . '"y":{"listChanged":false}}}' ],
    [ 'lists that are no objects', '{"tools":null,"prompts":[{}]}',
        "{$log,\"tools\":null,\"prompts\":[{}]}" ],
    [ 'logging', '{"logging":{"a":1},"tools":{}}',
        '{"logging":{"a":1},"tools":{"listChanged":true}}' ],
) {
    my ($name, $told, $want) = @{$case};

    is(add(answer($told)), 'ok ' . answer($want), "added: $name");
    is(add(answer($want)), 'declined', "all is there: $name");
}

for my $case (
    [ 'an error', '{"jsonrpc":"2.0","id":1,"error":{"capabilities":{}}}' ],
    [ 'no capabilities', '{"jsonrpc":"2.0","id":1,"result":{"tools":{}}}' ],
    [ 'null', answer('null') ],
    [ 'a list', answer('[{"tools":{}}]') ],
    [ 'no JSON', substr answer('{}'), 0, -1 ],
    [ 'a list that is repeated', answer('{"tools":{},"tools":{}}') ],
    [ 'a member that is repeated',
        answer('{"tools":{"listChanged":false,"listChanged":false}}') ],
    [ 'many that are repeated', answer('{"resources":{'
        . join(',', ('"subscribe":0') x 9) . '}}') ],
    [ 'capabilities that are repeated',
        '{"result":{"capabilities":{},"capabilities":{}}}' ],
    [ 'results that are repeated',
        '{"result":{"capabilities":{}},"result":{"capabilities":{}}}' ],
) {
    is(add($case->[1]), 'declined', "nothing is added: $case->[0]");
}

is(add('{"id":1,"result":{"c":{},"capabilities":{"t\u006fols":{}}}}'),
    "ok {\"id\":1,\"result\":{\"c\":{},\"capabilities\":{$log,\"t\\u006fols\""
    . ':{"listChanged":true}}}}', 'names with escapes');

finish();
