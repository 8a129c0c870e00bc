# What a request of 2026-07-28 says of itself in its params: where each member
# is, of which type it must be, and what is repeated.  docs/PROTOCOL.md 15.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/codec/codec.c',
    [ grep { m{^codec/} } MCPTest::Unit::objects() ]);

my $prefix = 'io.modelcontextprotocol';


# The members that are there, as a string of NAME=VALUE, or what it is otherwise.

sub read_params {
    my ($params) = @_;

    my $answer = $unit->ask('meta',
        defined $params ? MCPTest::Unit::hex($params) : '-');

    return $answer unless $answer =~ s/^ok //;

    return join ' ', map {
        my ($name, $value) = split /=/;

        $name eq 'retry' ? $value ? 'retry' : ()
            : $value && $value eq '-' ? ()
            : "$name=" . pack 'H*', defined $value ? $value : '';
    } split / /, $answer;
}


for my $case (
    [ 'a call',
        qq({"name":"get_list","arguments":{"uri":"x"},"_meta":{)
            . qq("$prefix/protocolVersion":"2026-07-28",)
            . qq("$prefix/clientCapabilities":{"elicitation":{}},)
            . qq("$prefix/clientInfo":{"name":"c","version":"1"},"a":1}}),
        'version=2026-07-28 capabilities={"elicitation":{}}'
            . ' client_info={"name":"c","version":"1"} client_name=c'
            . ' client_version=1 name=get_list' ],
    [ 'a level', '{"level":"deb\\u0075g"}', 'level=debug' ],
    [ 'a level of another type', '{"level":7}', '' ],
    [ 'escapes are decoded, the raw URI has them',
        qq({"uri":"a\\/\\u00e9","_meta":{"$prefix\\/logLevel":"de\\u0062ug"}}),
        "log_level=debug uri=a/\xc3\xa9 raw_uri=\"a\\/\\u00e9\"" ],
    [ 'empty strings are there',
        qq({"name":"","_meta":{"$prefix/protocolVersion":""}}),
        'version= name=' ],
    [ 'the filter of subscriptions/listen',
        '{"notifications":{"toolsListChanged":true}}',
        'notifications={"toolsListChanged":true}' ],
    [ 'a retry by its responses', '{"inputResponses":{}}', 'retry' ],
    [ 'a retry by its state', '{"requestState":"s"}', 'retry' ],
    [ 'members of other types',
        qq({"name":1,"uri":{},"notifications":[],"_meta":{)
            . qq("$prefix/protocolVersion":20260728,)
            . qq("$prefix/clientCapabilities":[],"$prefix/clientInfo":"c",)
            . qq("$prefix/logLevel":null}}), 'log_level=' ],
    [ 'a client without name and version',
        qq({"_meta":{"$prefix/clientInfo":{"name":[],"version":{}}}}),
        'client_info={"name":[],"version":{}}' ],
    [ 'members in other places',
        qq({"$prefix/protocolVersion":"a","version":"b","arguments":)
            . qq({"name":"c","requestState":1},"_meta":{"name":"d","uri":"e",)
            . qq("x":{"$prefix/logLevel":"f"}}}), '' ],
    [ 'a _meta that is an array', qq({"_meta":["$prefix/logLevel","a"]}), '' ],
    [ 'params that are an array', '[{"name":"a"}]', '' ],
    [ 'no params', undef, '' ],
) {
    is(read_params($case->[1]), $case->[2], "params: $case->[0]");
}

for my $member ('name', 'level', 'uri', 'notifications', 'inputResponses',
    'requestState', '_meta')
{
    is(read_params(qq({"$member":{},"a":1,"$member":{}})), 'declined',
        "params that repeat $member are declined");
}

for my $member (qw(protocolVersion clientCapabilities clientInfo logLevel)) {
    is(read_params(qq({"_meta":{"$prefix/$member":1,"$prefix\\/$member":1}})),
        'declined', "a _meta that repeats $member is declined");
}

for my $member (qw(name version)) {
    is(read_params(qq({"_meta":{"$prefix/clientInfo":{"$member":1,)
        . qq("$member":1}}})), 'declined',
        "a client that repeats its $member is declined");
}

is(read_params('{"arguments":{"name":1,"name":2},"x":1,"x":2,"version":1,'
    . '"version":2,"_meta":{"name":1,"name":2}}'), '',
    'what is not read may be repeated');

finish();
