# resources/subscribe and resources/unsubscribe with mcp_sse_events: whom the
# backend is asked for, what is kept in the zone and in mcp_sse_redis, and the
# limits.  docs/PROTOCOL.md 16.68 to 16.72.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(run_until);
use MCPTest::HTTP;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();

my $public = 'fac://skills/report-list-usage';

sub own {
    my ($name, $user) = @_;

    return 'fac://notes/' . MCPTest::Frappe::user($user) . "/$name";
}


my $last = 100;

# Sends a request of a session and returns its answer.

sub ask_for {
    my ($nginx, $session, $what, $uri, %opt) = @_;

    my $params = ref $uri ? $uri : { uri => $uri };

    return http_post($nginx, request(++$last, "resources/$what", $params),
        session => $session, %opt)->json;
}


sub subscribe { return ask_for(@_[0, 1], 'subscribe', @_[2 .. $#_]) }


my $nginx = start_push(push => $redis, workers => 2, mcp => '');
my @pids  = $nginx->worker_pids;

# ---- the backend is asked

my $session = session_id($nginx);

is_deeply(subscribe($nginx, $session, $public),
    { jsonrpc => '2.0', id => $last, result => {} },
    'a resource that the backend reads is subscribed to');
is($frappe->count('resources/read'), 1, 'it was asked to read it');
is($frappe->count('resources/subscribe'), 0, 'and nothing else');

subscribe($nginx, $session, $public, worker => $_) for @pids, @pids;
is($frappe->count('resources/read'), 1,
    'a subscription that is there is answered without a call');

my $answer = subscribe($nginx, $session, 'fac://skills/none');
is($answer->{error}{code}, -32602, 'a resource that it does not read is not');
like($answer->{error}{message}, qr/Not found/, 'the error is its own');

$answer = subscribe($nginx, $session, own('a', 'bob'));
is($answer->{error}{code}, -32602, 'nor is one of another user');

$answer = subscribe($nginx, $session, own('a'));
is_deeply($answer->{result}, {}, 'his own is');

my $other = session_id($nginx, auth => MCPTest::credential('bob'));
$answer = subscribe($nginx, $other, own('a'), auth => MCPTest::credential('bob'));
is($answer->{error}{code}, -32602,
    'what one user has subscribed to, another has not');

is_deeply(ask_for($nginx, $session, 'unsubscribe', own('a'))->{result}, {},
    'a resource is unsubscribed from');
is_deeply(ask_for($nginx, $session, 'unsubscribe', 'fac://never')->{result}, {},
    'and one that never was');

$frappe->reset;
$answer = subscribe($nginx, $session, own('a'), worker => $pids[1]);
is_deeply($answer->{result}, {}, 'and subscribed to again,');
is($frappe->count('resources/read'), 1, 'by another call');

# ---- bad requests

$frappe->reset;

for my $case (
    [ 'no uri', {} ], [ 'a number', { uri => 7 } ], [ 'null', { uri => undef } ],
    [ 'a list', { uri => [ $public ] } ], [ 'no object', [ $public ] ],
    [ 'no params', undef ],
) {
    my $params  = $case->[1];
    my $message = request(1, 'resources/subscribe', $params);

    $answer = http_post($nginx, $message, session => $session)->json;
    is($answer->{error}{code}, -32602, "uri: $case->[0] is refused");
}

$answer = http_post($nginx, '{"jsonrpc":"2.0","id":1,"method":'
    . '"resources/subscribe","params":{"uri":"a","uri":"b"}}',
    session => $session)->json;
is($answer->{error}{code}, -32602, 'a uri that is repeated is refused');

$answer = http_post($nginx,
    request(1, 'resources/subscribe', { uri => $public }))->json;
is_deeply($answer->{error},
    { code => -32602, message => 'Subscriptions need a session' },
    'a request without a session id is refused');

is_deeply(http_post($nginx,
    request(1, 'resources/unsubscribe', { uri => $public }))->json->{result}, {},
    'but may unsubscribe from what it cannot have');

is($frappe->calls, 0, 'none of these is a call');

$answer = subscribe($nginx, $session, $public, headers => [
    'MCP-Protocol-Version' => '2025-06-18' ]);
is_deeply($answer->{result}, {}, 'a header with the version changes nothing');

# ---- escapes: it is the decoded URI that counts

http_post($nginx, '{"jsonrpc":"2.0","id":1,"method":"resources/subscribe",'
    . '"params":{"uri":"fac:\/\/notes\/alice@example.com\/\u0065"}}',
    session => $session);
$frappe->reset;
is_deeply(subscribe($nginx, $session, own('e'))->{result}, {},
    'a URI with escapes');
is($frappe->count('resources/read'), 0, 'is the same as one without');

# ---- as many as a session may have

my $full = session_id($nginx);

$answer = subscribe($nginx, $full, own($_))
    and $answer->{result} or fail("subscription $_") for 1 .. 100;

$frappe->reset;
$answer = subscribe($nginx, $full, own(101));
is_deeply($answer->{error},
    { code => -32004, message => 'Too many subscriptions' },
    'a session has at most 100');
is($frappe->calls, 0, 'the backend is not asked for one more');
is_deeply(subscribe($nginx, $full, own(100))->{result}, {},
    'one that it has is no more');
ask_for($nginx, $full, 'unsubscribe', own(7));
is_deeply(subscribe($nginx, $full, own(101))->{result}, {},
    'it may have another one instead');
is_deeply(subscribe($nginx, $session, own(101))->{result}, {},
    'other sessions are not affected');

# ---- the same at once, and when the call fails

$frappe->set(down => 503);
$answer = subscribe($nginx, $session, own('x'));
is($answer->{error}{code}, -32003, 'no answer of the backend: an error');
$frappe->set(down => undef);
$frappe->reset;
is_deeply(subscribe($nginx, $session, own('x'))->{result}, {},
    'it was not subscribed to');
is($frappe->count('resources/read'), 1, 'but is asked for again');

# ---- the older transport

my $stream = open_stream($nginx);

is(call($nginx, $stream, request(1, 'resources/subscribe', { uri => $public })),
    '{"jsonrpc":"2.0","result":{},"id":1}', 'a legacy session subscribes');
is_error(call($nginx, $stream, request(3, 'resources/subscribe', {})), -32602,
    'Invalid params: no uri', 'nor to nothing');
is(error_of(call($nginx, $stream, request(2, 'resources/subscribe',
    { uri => own('b', 'bob') })))->{code}, -32602,
    'nor to what its user may not read');
is(call($nginx, $stream, request(4, 'resources/unsubscribe',
    { uri => $public })), '{"jsonrpc":"2.0","result":{},"id":4}',
    'and unsubscribes');

# ---- the end of a session

http_delete($nginx, $full);
is(http_post($nginx, request(1, 'resources/subscribe', { uri => own(1) }),
    session => $full)->status, 404, 'a session that has ended has none');

# ---- what a backend may answer

my %answers = (
    error    => '"error":{"code":-7,"message":"no","data":{"a":1}}',
    is_error => '"result":{"isError":true,"content":[]}',
    result   => '"result":{"contents":[]}',
);
my @calls;
my $backend = start_backend(sub {
    my ($request) = @_;

    return if $request->{path} =~ /get_logged_user/;
    push @calls, $request->{body};

    my ($kind) = $request->{body} =~ /"uri":"(\w+)"/;
    my ($its)  = $request->{body} =~ /"id":([^,]+)/;

    return MCPTest::Backend::http(200, $kind
        ? qq({"jsonrpc":"2.0","id":$its,$answers{$kind}})
        : qq({"jsonrpc":"2.0","id":$its,"result":{}}));
});
my $exact = start_push(push => $redis, mcp => '', backend => $backend->port);

$session = session_id($exact);
@calls   = ();

is(http_post($exact, '{"jsonrpc":"2.0","id":"a\u0041","method":'
    . '"resources/subscribe","params":{"_meta":{"x":1}, "uri":"error"}}',
    session => $session)->body,
    '{"jsonrpc":"2.0","id":"a\u0041",' . $answers{error} . '}',
    'an error passes byte by byte');
is_deeply(\@calls, [ '{"jsonrpc":"2.0","id":"a\u0041","method":'
    . '"resources/read","params":{"_meta":{"x":1}, "uri":"error"}}' ],
    'the call has the id and the params of the client');
is(http_post($exact, request(2, 'resources/subscribe', { uri => 'is_error' }),
    session => $session)->json->{error}{code}, -32602,
    'a result that says it is an error is one');
is_deeply(http_post($exact, request(3, 'resources/subscribe',
    { uri => 'result' }), session => $session)->json->{result}, {},
    'a result is not passed on');

http_post($exact, request(4, 'resources/subscribe', { uri => $_ }),
    session => $session) for qw(error is_error result);
is(scalar @calls, 5, 'what was refused is asked for again');

# ---- asked again after a while

my $short = start_push(push => $redis, mcp => 'mcp_sse_auth_recheck 1s;');

$session = session_id($short);
$frappe->reset;
ok(run_until(sub {
    subscribe($short, $session, $public);
    return $frappe->count('resources/read') > 1;
}), 'the backend is asked again after mcp_sse_auth_recheck');

# ---- without mcp_sse_events

my $plain = start_http();

$session = session_id($plain);
$frappe->reset;
$answer = subscribe($plain, $session, $public);
is($answer->{error}{code}, -32601, 'without mcp_sse_events the backend');
is($frappe->count('resources/subscribe'), 1, 'gets resources/subscribe');

finish();
