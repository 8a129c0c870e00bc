# What a client says of itself in initialize, and the claims of a session id
# that tell it: docs/PROTOCOL.md 8.7, 8.8.

use strict;
use warnings;
use utf8;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/codec/client.c', [ map { "codec/ngx_mcp_$_" }
    qw(client json json_alloc json_text) ]);


sub ask {
    my ($command, $text) = @_;

    utf8::encode($text);

    return $unit->ask($command, MCPTest::Unit::hex($text));
}


# version, capabilities, name

sub claims {
    my ($params) = @_;

    return $unit->ask('read', ask('initialize', $params));
}


sub name_of {
    my ($info) = @_;

    return claims(qq({"clientInfo":$info})) =~ s/\A 0 "(.*)"\z/$1/r;
}


# names

my $name60 = 'n' x 60;

for my $case (
    [ 'name and version',      '{"name":"claude-code","version":"2.1.5"}',
        'claude-code/2.1.5' ],
    [ 'a name only',           '{"name":"claude-code"}', 'claude-code' ],
    [ 'an empty version',      '{"name":"a","version":""}', 'a' ],
    [ 'a version of blanks',   '{"name":"a","version":"  "}', 'a/' ],
    [ 'a version only',        '{"version":"1"}', '' ],
    [ 'an empty name',         '{"name":"","version":"1"}', '' ],
    [ 'a name of blanks',      '{"name":"   ","version":"1"}', '' ],
    [ 'blanks around it',      '{"name":"  a b ","version":" 1 "}', 'a b/1' ],
    [ 'what stays',            '{"name":"Az09 -._~+:@/()#,z"}',
        'Az09 -._~+:@/()#,z' ],
    [ 'what does not',         q({"name":"<a>&\"'\\\\;$%`{}[]|^!*=?"}),
        '?a' . '?' x 19 ],
    [ 'control characters',    '{"name":"a\r\nX-Evil: 1\u0000\t\u007f"}',
        'a??X-Evil: 1???' ],
    [ 'a character of two bytes',   '{"name":"é"}', '?' ],
    [ 'a character of three bytes', '{"name":"名a"}', '?a' ],
    [ 'a character of four bytes',  '{"name":"😀a"}', '?a' ],
    [ 'escapes',               '{"name":"\u0061\ud83d\ude00\ud83d"}', 'a??' ],
    [ 'a scoped package',      '{"name":"@scope/tool","version":"1.0"}',
        '@scope/tool/1.0' ],
    [ 'no string',             '{"name":1,"version":"1"}', '' ],
    [ 'a version of another type', '{"name":"a","version":[]}', 'a' ],
    [ 'the last of two',       '{"name":"a","name":"b"}', 'b' ],
    [ 'a name deeper',         '{"icons":{"name":"a"},"title":"t"}', '' ],
    [ '62 bytes',              qq({"name":"$name60","version":"1"}),
        "$name60/1" ],
    [ '64 bytes',              qq({"name":"$name60","version":"123"}),
        "$name60/123" ],
    [ 'a long version',        qq({"name":"$name60","version":"1234"}),
        "$name60/123" ],
    [ 'a name of 62 bytes',    qq({"name":"${name60}nn","version":"12"}),
        "${name60}nn/1" ],
    [ 'a name of 63 bytes',    qq({"name":"${name60}nnn","version":"12"}),
        "${name60}nnn" ],
    [ 'a name of 64 bytes',    qq({"name":"${name60}nnnn","version":"12"}),
        "${name60}nnnn" ],
    [ 'a name of 65 bytes',    qq({"name":"${name60}nnnnn"}),
        "${name60}nnnn" ],
    [ 'a blank where it is cut', qq({"name":"${name60}nnn n"}),
        "${name60}nnn" ],
    [ 'an array',              '[{"name":"a"}]', '' ],
    [ 'null',                  'null', '' ],
) {
    my ($title, $info, $want) = @$case;

    is(name_of($info), $want, "the name: $title");
}

# capabilities

my ($form, $url, $sampling, $tools, $context, $roots) = map { 1 << $_ } 0 .. 5;

for my $case (
    [ '{}',                                     0 ],
    [ 'null',                                   0 ],
    [ '[{"roots":{}}]',                         0 ],
    [ '{"roots":{}}',                           $roots ],
    [ '{"roots":{"listChanged":true}}',         $roots ],
    [ '{"roots":true}',                         0 ],
    [ '{"roots":null}',                         0 ],
    [ '{"sampling":{}}',                        $sampling ],
    [ '{"sampling":{"tools":{}}}',              $sampling | $tools ],
    [ '{"sampling":{"context":{}}}',            $sampling | $context ],
    [ '{"sampling":{"tools":{},"context":{}}}', $sampling | $tools
        | $context ],
    [ '{"sampling":{"tools":true}}',            $sampling ],
    [ '{"sampling":{"form":{}}}',               $sampling ],
    [ '{"elicitation":{}}',                     $form ],
    [ '{"elicitation":{"form":{}}}',            $form ],
    [ '{"elicitation":{"url":{}}}',             $url ],
    [ '{"elicitation":{"form":{},"url":{}}}',   $form | $url ],
    [ '{"elicitation":{"applyDefaults":true}}', $form ],
    [ '{"elicitation":{"url":{"form":{}}}}',    $url ],
    [ '{"elicitation":[]}',                     0 ],
    [ '{"tools":{},"form":{},"context":{}}',    0 ],
    [ '{"experimental":{"roots":{},"form":{}}}', 0 ],
    [ '{"experimental":{"x":{"roots":{}}}}',    0 ],
    [ '{"elicitation":{},"sampling":{},"roots":{},"tasks":{}}',
        $form | $sampling | $roots ],
) {
    my ($capabilities, $want) = @$case;

    is(claims(qq({"capabilities":$capabilities})), qq( $want ""),
        "capabilities: $capabilities");
}

is(claims('{"protocolVersion":"2025-06-18","capabilities":{"roots":{}},'
    . '"clientInfo":{"name":"n","version":"v"}}'), qq( $roots "n/v"),
    'both, and the version of the protocol is not read');
is(claims($_), ' 0 ""', "params: $_") for '{}', '[]', '{"clientInfo":"n"}';
is($unit->ask('initialize', '-'), '000000', 'params: none');

# versions of the protocol

for my $version (qw(2024-11-05 2025-03-26 2025-06-18 2025-11-25 2026-07-28
    2000-01-01 2127-12-31))
{
    my $claims = ask('version', $version);

    is(length $claims, 6, "$version has two bytes");
    is($unit->ask('read', $claims), qq($version 0 ""),
        "$version is read as it was written");
}

for my $version ('2025-13-01', '2025-00-01', '2025-01-00', '2025-01-32',
    '1999-12-31', '2128-01-01', '2025/06-18', '2025-06/18', '2025-06-1',
    '2025-06-181', 'abcd-ef-gh', '')
{
    is(ask('version', $version), '000000', "\"$version\" is no version");
}

# who may be asked

is(ask('asks', $_), 0, "no questions before 2025-06-18: \"$_\"")
    for qw(2024-11-05 2025-03-26 2025-06-17), '', '2025-06-1', '2025-06-181';
is(ask('asks', $_), 63, "questions since 2025-06-18: $_")
    for qw(2025-06-18 2025-11-25 2026-07-28);

# claims of another length

is($unit->ask('read', $_), ' 0 ""', "claims $_ tell nothing")
    for qw(- 33 0000 000000);
is($unit->ask('read', '00003f'), ' 63 ""', 'claims without a name');
is($unit->ask('read', '33796061'), '2025-11-25 96 "a"', 'all claims');

finish();
