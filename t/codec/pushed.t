# What Frappe publishes: whom it is for, by a glance and by a parse, and what is
# malformed.  docs/PROTOCOL.md 16.80 to 16.82.

use strict;
use warnings;
use utf8;

use lib 't/lib';
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/codec/pushed.c', [ map { "codec/ngx_mcp_$_" }
    qw(pushed pushed_address json json_alloc json_text jsonrpc log_level) ]);

my $K = 'k' x 22;


sub ask {
    my ($command, $text) = @_;

    utf8::encode($text);
    my $answer = $unit->ask($command, MCPTest::Unit::hex($text));
    utf8::decode($answer);

    return $answer;
}


# a message to a call, with other or further members

sub message {
    my ($method, $params, $more) = @_;

    return qq({"site":"s","call":"C","method":"$method")
        . (defined $params ? qq(,"params":$params) : '') . ($more // '') . '}';
}


sub question {
    return message($_[0], $_[1], qq(,"reply":"$K"));
}


# ---- a glance

for my $case (
    [ 'to a call', '{"site":"s.example","call":"C1","method":"m"}',
        'ok site=s.example call=C1' ],
    [ 'to a user', '{"site":"s","user":"a@b","params":{"call":"x"}}',
        'ok site=s user=a@b' ],
    [ 'the user first', '{"user":"ü","site":"s",', 'ok site=s user=ü' ],
    [ 'blanks', " { \"site\" :\t\"s\"\r\n, \"call\":\"C\"",
        'ok site=s call=C' ],
    [ 'other strings before', '{"method":"m","x":"y","site":"s","call":"C"',
        'ok site=s call=C' ],
    [ 'to a site', '{"site":"s","method":"m"}', 'ok site=s' ],
    [ 'params before', '{"params":{},"site":"s","call":"C"}',
        'ok site=s call=C' ],
    [ 'params of a site', '{"site":"s","params": {"call":"C"} , "x":"y"}',
        'ok site=s' ],
    [ 'params with objects', '{"site":"s","params":{"a":[{"b":{}},{}],"c":{}},'
        . '"user":"u"}', 'ok site=s user=u' ],
    [ 'braces in strings', '{"site":"s","params":{"}":"ü{}\"}\\\\"},"user":"u"}',
        'ok site=s user=u' ],
    [ 'params that are no object', '{"site":"s","params":["}"]}', 'parse it' ],
    [ 'cut off in params', '{"site":"s","params":{"a":{}', 'parse it' ],
    [ 'cut off in a string of params', '{"site":"s","params":{"a":"b',
        'parse it' ],
    [ 'cut off in an escape', '{"site":"s","params":{"a":"\\', 'parse it' ],
    [ 'another object', '{"x":{},"site":"s","call":"C"}', 'parse it' ],
    [ 'an object for a call', '{"site":"s","call":{}}', 'parse it' ],
    [ 'an escape', '{"site":"s","user":"\u0061"}', 'parse it' ],
    [ 'an escape in a name', '{"site":"s","c\u0061ll":"C"}', 'parse it' ],
    [ 'no site', '{"call":"C"}', 'parse it' ],
    [ 'an array', '["site"]', 'parse it' ],
    [ 'nothing', '', 'parse it' ],
    [ 'cut off in a name', '{"si', 'parse it' ],
    [ 'cut off in a value', '{"site":"s', 'parse it' ],
    [ 'a control character', "{\"site\":\"a\x01\",\"call\":\"C\"}",
        'parse it' ],
    [ 'no object but a blank', ' ', 'parse it' ],
    [ 'empty object', '{}', 'parse it' ],
) {
    my ($name, $text, $want) = @$case;

    is(ask('glance', $text), $want, "glance: $name");
}


# ---- each method

for my $case (
    [ message('notifications/progress',
        '{"progress":0.5,"total":1e2,"message":"a\u000a"}'),
        'method=0 raw="notifications/progress" progress=0.5 total=1e2 '
        . 'message="a\u000a" params={"progress":0.5,"total":1e2,'
        . '"message":"a\u000a"}' ],
    [ message('notifications/message', '{"level":"warning","data":null}'),
        'method=1 raw="notifications/message" level=warning '
        . 'params={"level":"warning","data":null}' ],
    [ message('notifications/tools/list_changed'),
        'method=2 raw="notifications/tools/list_changed"' ],
    [ message('notifications/prompts/list_changed', '{}'),
        'method=3 raw="notifications/prompts/list_changed" params={}' ],
    [ message('notifications/resources/list_changed'),
        'method=4 raw="notifications/resources/list_changed"' ],
    [ message('notifications/resources/updated', '{"uri":"a:\u0062"}'),
        'method=5 raw="notifications/resources/updated" uri=a:b '
        . 'raw_uri="a:\u0062" params={"uri":"a:\u0062"}' ],
    [ message('notifications/elicitation/complete', '{"elicitationId":"1"}'),
        'method=6 raw="notifications/elicitation/complete" '
        . 'params={"elicitationId":"1"}' ],
    [ question('elicitation/create', '{"message":"m","requestedSchema":{}}'),
        qq(method=7 raw="elicitation/create" reply=$K message="m" )
        . 'params={"message":"m","requestedSchema":{}}' ],
    [ question('elicitation/create', '{"mode":"u\u0072l","message":"m"}'),
        qq(method=7 raw="elicitation/create" reply=$K message="m" url )
        . 'params={"mode":"u\u0072l","message":"m"}' ],
    [ question('sampling/createMessage',
        '{"messages":[],"tools":[],"includeContext":"thisServer"}'),
        qq(method=8 raw="sampling/createMessage" reply=$K tools context )
        . 'params={"messages":[],"tools":[],"includeContext":"thisServer"}' ],
    [ question('sampling/createMessage',
        '{"messages":[{"level":5}],"includeContext":"none"}'),
        qq(method=8 raw="sampling/createMessage" reply=$K )
        . 'params={"messages":[{"level":5}],"includeContext":"none"}' ],
    [ question('roots/list'),
        qq(method=9 raw="roots/list" reply=$K) ],
) {
    my ($text, $want) = @$case;

    is(ask('parse', $text), "ok site=s call=C $want", $text);
}

is(ask('parse', "{\"method\":\"notifications/tools/list_changed\","
    . "\"site\":\"\\u0073\",\"params\":{\"a\":\r\n1}}"),
    'ok site=s method=2 raw="notifications/tools/list_changed" '
    . 'params={"a":  1}', 'to a site; escapes are read, lines are joined');
is(ask('parse', message('m"notifications/x')), 'malformed', 'no JSON');


# ---- what may not be published

for my $method ('tools/call', 'notifications/cancelled', 'ping',
    'notifications/initialized', 'notifications/progressx', '')
{
    is(ask('parse', message($method)), 'method', "not allowed: '$method'");
}


# ---- malformed

my $changed = 'notifications/tools/list_changed';

for my $case (
    [ 'no object', '[]' ],
    [ 'an empty object', '{}' ],
    [ 'trailing bytes', message($changed) . '1' ],
    [ 'cut off', substr(message($changed), 0, -1) ],
    [ 'no site', qq({"call":"C","method":"$changed"}) ],
    [ 'an empty site', qq({"site":"","method":"$changed"}) ],
    [ 'a site that is no string', qq({"site":1,"method":"$changed"}) ],
    [ 'a line break in the site', qq({"site":"a\\n","method":"$changed"}) ],
    [ 'a call that is no string',
        qq({"site":"s","call":[],"method":"$changed"}) ],
    [ 'an empty call', qq({"site":"s","call":"","method":"$changed"}) ],
    [ 'an empty user', qq({"site":"s","user":"","method":"$changed"}) ],
    [ 'both call and user', message($changed, undef, ',"user":"u"') ],
    [ 'two sites', message($changed, undef, ',"site":"s"') ],
    [ 'two methods', message($changed, undef, qq(,"method":"$changed")) ],
    [ 'no method', '{"site":"s"}' ],
    [ 'a method that is no string', '{"site":"s","method":1}' ],
    [ 'params that are no object', message($changed, '[]') ],
    [ 'a notification with reply',
        message($changed, '{}', qq(,"reply":"$K")) ],
    [ 'progress without params', message('notifications/progress') ],
    [ 'progress of a string', message('notifications/progress',
        '{"progress":"1"}') ],
    [ 'progress twice', message('notifications/progress',
        '{"progress":1,"progress":2}') ],
    [ 'a total of a string', message('notifications/progress',
        '{"progress":1,"total":"2"}') ],
    [ 'a message that is no string', message('notifications/progress',
        '{"progress":1,"message":2}') ],
    [ 'progress of a user', '{"site":"s","user":"u",'
        . '"method":"notifications/progress","params":{"progress":1}}' ],
    [ 'a message without level', message('notifications/message',
        '{"data":1}') ],
    [ 'a message without data', message('notifications/message',
        '{"level":"info"}') ],
    [ 'a level that there is not', message('notifications/message',
        '{"level":"Info","data":1}') ],
    [ 'an update without a URI', message('notifications/resources/updated',
        '{}') ],
    [ 'an update of a number', message('notifications/resources/updated',
        '{"uri":1}') ],
    [ 'a URI inside of another member', message(
        'notifications/resources/updated', '{"x":{"uri":"a"}}') ],
    [ 'no elicitationId', message('notifications/elicitation/complete') ],
    [ 'a question without reply', message('elicitation/create',
        '{"message":"m"}') ],
    [ 'a question to a user', qq({"site":"s","user":"u","reply":"$K",)
        . '"method":"roots/list"}' ],
    [ 'a question without message', question('elicitation/create', '{}') ],
    [ 'a mode that is no string', question('elicitation/create',
        '{"message":"m","mode":1}') ],
    [ 'sampling without messages', question('sampling/createMessage', '{}') ],
    [ 'messages that are no array', question('sampling/createMessage',
        '{"messages":{}}') ],
) {
    my ($name, $text) = @$case;

    is(ask('parse', $text), 'malformed', "malformed: $name");
}

for my $case ([ 21, 'malformed' ], [ 22, 'ok' ], [ 64, 'ok' ],
    [ 65, 'malformed' ])
{
    my ($n, $want) = @$case;
    my $text = message('roots/list', undef, ',"reply":"' . 'A' x $n . '"');

    like(ask('parse', $text), qr/\A$want\b/, "reply of $n characters");
}

for my $ch ('=', '+', '/', '.', '{', ' ') {
    is(ask('parse', message('roots/list', undef,
        ',"reply":"' . 'A' x 24 . "$ch\"")), 'malformed', "reply with '$ch'");
}

like(ask('parse', message('roots/list', undef,
    ',"reply":"azAZ09-_azAZ09-_azAZ09-_"')), qr/\Aok\b/, 'base64url');

for my $case ([ 62, 'ok' ], [ 63, 'malformed' ]) {
    my ($n, $want) = @$case;

    like(ask('parse', message($changed,
        '{"a":' . '[' x $n . ']' x $n . '}')), qr/\A$want\b/,
        "$n arrays in params");
}

done_testing();
