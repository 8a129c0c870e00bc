# logging/setLevel with mcp_sse_events: which levels there are, in which
# sessions.  docs/PROTOCOL.md 16.65 to 16.67.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my $nginx  = start_push(push => $redis, workers => 2, mcp => '');
my @pids   = $nginx->worker_pids;

my $set = 'logging/setLevel';


# ---- the answers

my $session = session_id($nginx);

for my $level (qw(emergency alert critical error warning notice info debug)) {
    is(http_post($nginx, request(1, $set, { level => $level }),
        session => $session)->body, '{"jsonrpc":"2.0","result":{},"id":1}',
        "level $level");
}

for my $case (
    [ 'an unknown level', { level => 'warn' } ], [ 'none', {} ],
    [ 'a number', { level => 4 } ], [ 'no params', undef ],
    [ 'a list', [ 'info' ] ], [ 'capital letters', { level => 'Info' } ],
) {
    my $answer = http_post($nginx, request(1, $set, $case->[1]),
        session => $session);

    is($answer->status, 200, "$case->[0]: 200");
    is($answer->json->{error}{code}, -32602, "$case->[0]: -32602");
}

is(http_post($nginx, request(1, $set, { level => 'error' }))->body,
    '{"jsonrpc":"2.0","result":{},"id":1}', 'without a session id: accepted');
is(http_post($nginx, request(1, $set, { level => 'none' }))->json->{error}{code},
    -32602, 'or not');

my $stream = open_stream($nginx);

is(call($nginx, $stream, request(1, $set, { level => 'error' })),
    '{"jsonrpc":"2.0","result":{},"id":1}', 'in a legacy session');
is_error(call($nginx, $stream, request(2, $set, { level => 7 })), -32602,
    'Invalid params: no such level', 'a bad level in a legacy session');

is($frappe->count($set), 0, 'the backend gets none of these');

my ($batch) = http_post($nginx, '[' . join(',', request(1, $set,
    { level => 'error' }), request(2, 'ping')) . ']', session => $session,
    protocol => '2025-03-26')->json;
is_deeply([ sort map { $_->{id} } @{$batch} ], [ 1, 2 ], 'in a batch');

# ---- the modern era

my $list = sub {
    my ($level) = @_;

    return modern($nginx, 1, 'tools/list', {}, meta => { logLevel => $level });
};

is($list->('info')->status, 200, 'a request of the modern era has a level');

for my $level ('loud', '', 7, [], {}) {
    my $answer = $list->($level);

    is($answer->status, 400, 'a bad level of the modern era: 400');
    is($answer->json->{error}{code}, -32602, 'and -32602');
    is($answer->json->{id}, 1, 'for the request');
}

is(modern($nginx, 1, $set, { level => 'info' })->status, 404,
    'setLevel is not of the modern era');

# ---- without mcp_sse_events

my $plain = start_http();

$session = session_id($plain);
$frappe->reset;

is(http_post($plain, request(1, $set, { level => 'none' }),
    session => $session)->json->{error}{code}, -32601,
    'without mcp_sse_events the backend');
is($frappe->count($set), 1, 'gets setLevel');
is(modern($plain, 1, 'tools/list', {}, meta => { logLevel => 'loud' })->status,
    200, 'a level of the modern era is not read');

my $local = start_http(mcp => 'mcp_sse_local logging/setLevel;');

is(http_post($local, request(1, $set, { level => 'none' }),
    session => session_id($local))->body,
    '{"jsonrpc":"2.0","result":{},"id":1}',
    'mcp_sse_local answers any level');

$local = start_push(push => $redis, mcp => 'mcp_sse_local logging/setLevel;');

is(http_post($local, request(1, $set, { level => 'none' }),
    session => session_id($local))->json->{error}{code}, -32602,
    'mcp_sse_local or not, a bad level is refused');

finish();
