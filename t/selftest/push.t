# MCPTest::Push, and the tools of the stand-in that push: what they publish, and
# how they ask.  Without nginx; the test itself subscribes.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $redis  = start_redis(requirepass => 'a-long-password');
my $frappe = start_frappe('--events', $redis->url);
my $call   = 'call-1';
my $path   = '/api/method/'
    . 'frappe_assistant_core.api.fac_endpoint.handle_mcp';


# Calls a tool of the stand-in with a header X-MCP-Call; returns the response
# and a function for the value of the tool, once it is there.

sub begin_tool {
    my ($name, $arguments, %opt) = @_;

    my $conn = connect_to($frappe);
    my $response = $conn->request('POST', $path, host => 'erp.example.com',
        headers => [ Connection => 'close', 'Content-Type' =>
            'application/json', Authorization => MCPTest::credential(),
            $opt{no_call} ? () : ('X-MCP-Call' => $call) ],
        body => tool(1, $name, $arguments));

    $response->{conn} = $conn;

    return sub {
        $response->wait;
        $conn->close;

        my $text = $response->json->{result}{content}[0]{text};

        return decode($text)->{result};
    };
}


sub run_tool { return begin_tool(@_)->() }


my ($listener, $got);


# What has been published since the last time, once there are n messages.

sub published {
    my ($n) = @_;

    run_until(sub { $listener->messages >= $got + $n });

    my @all = map { $_->{bytes} } $listener->messages;
    my @new = @all[$got .. $#all];

    $got = @all;

    return \@new;
}


# nobody has subscribed

is_deeply(run_tool('push_progress')->{subscribers}, [ 0, 0, 0 ],
    'nobody has subscribed: a tool that pushes has no subscriber');
is(run_tool('push_ask')->{error}, 'nobody has subscribed',
    'nobody has subscribed: a tool that asks is told at once');

$listener = $redis->connect;
$listener->{pushed} = [];
$listener->cmd('SUBSCRIBE', 'mcp:events');
$got = 0;

is(subscribers($redis), 1, 'subscribers() counts them');

# the test publishes

is(publish($redis, { call => $call, method => 'notifications/progress',
    params => { progress => 1 } }), 1, 'publish() says how many have got it');
publish($redis, { site => undef, user => "b\x{f6}b", method => 'm' });
publish_raw($redis, "\0\xff");
is_deeply(published(3), [
    '{"site":"erp.example.com","call":"call-1",'
    . '"method":"notifications/progress","params":{"progress":1}}',
    qq({"user":"b\xc3\xb6b","method":"m"}), "\0\xff" ],
    'publish() and publish_raw() publish these bytes');

# the stand-in publishes

my $head = '{"site":"erp.example.com","call":"call-1","method":';
my $user = '{"site":"erp.example.com","user":"alice@example.com","method":';

is_deeply(run_tool('push_progress', { values => [ 1, [ 2.5, 4,
    "\x{20ac}" ] ] }), { subscribers => [ 1, 1 ] },
    'push_progress has a subscriber');
run_tool('push_log', { level => 'error', data => 'boom', logger => 'x' });
run_tool('push_list_changed', { what => 'prompts' });
run_tool('push_list_changed', { user => undef });
run_tool('push_updated', { uri => 'a:b', user => 'bob@example.com' });
run_tool('push_raw', { texts => [ 'x CALL SITE USER' ] });
is_deeply(published(7), [
    $head . '"notifications/progress","params":{"progress":1}}',
    $head . '"notifications/progress","params":{"progress":2.5,"total":4,'
        . qq("message":"\xe2\x82\xac"}}),
    $head . '"notifications/message","params":{"level":"error","logger":"x",'
        . '"data":"boom"}}',
    $user . '"notifications/prompts/list_changed"}',
    '{"site":"erp.example.com","method":"notifications/tools/list_changed"}',
    '{"site":"erp.example.com","user":"bob@example.com",'
        . '"method":"notifications/resources/updated","params":{"uri":"a:b"}}',
    'x call-1 erp.example.com alice@example.com',
], 'the tools publish these bytes');

$frappe->set(events_site => 'other');
run_tool('push_list_changed', { user => undef });
is_deeply(published(1),
    [ '{"site":"other","method":"notifications/tools/list_changed"}' ],
    'events_site is the name of the site');
$frappe->reset;

is(run_tool('push_progress', {}, no_call => 1)->{error}, 'no X-MCP-Call',
    'a tool without a call says so');

run_tool('push_flood', { n => 1000, bytes => 3 });

my $flood = published(1000);

is($flood->[999], $head . '"notifications/message","params":{"level":"info",'
    . '"logger":"1000","data":"xxx"}}', 'push_flood publishes 1000 messages');

run_tool('push_then_answer', { n => 2 });
run_tool('push_slow', { n => 2, sleep => 0.01 });
is(scalar @{ published(4) }, 4, 'push_then_answer and push_slow publish');

# a gate

my $held = begin_tool('push_log', { gate => 'g', n => 2, key => 'k' });

is(call_id('k'), $call, 'call_id() is the X-MCP-Call of a call');
is(scalar @{ published(1) }, 1, 'a message before the gate');
$frappe->open_gate('g');
is_deeply($held->(), { subscribers => [ 1, 1 ] }, 'and one after it');
published(1);

# a tool asks, and the test answers

my $asking = begin_tool('push_ask', { method => 'roots/list' });
my ($bytes) = @{ published(1) };
my ($reply) = $bytes =~ /"roots\/list","reply":"([\w-]{32})"\}\z/;

ok(defined $reply, 'push_ask publishes a question');
$redis->cmd('RPUSH', "mcp:reply:$reply", 'asked', '{"result":{"roots":[]}}');
is_deeply($asking->(), { reply => $reply, answer => { result =>
    { roots => [] } }, raw => [ 'asked', '{"result":{"roots":[]}}' ] },
    'push_ask has the answer as its result');

$asking = begin_tool('push_ask', { reply => 'K' x 22 });
is_deeply(published(1), [ $head
    . '"elicitation/create","params":{"message":'
    . '"Submit this invoice?","requestedSchema":{"type":"object","properties":'
    . '{"submit":{"type":"boolean"}},"required":["submit"]}},"reply":"'
    . 'K' x 22 . '"}' ], 'push_ask publishes the params and the reply as given');
$redis->cmd('RPUSH', 'mcp:reply:' . 'K' x 22, '{"error":{"code":-32601}}');
is_deeply($asking->()->{answer}, { error => { code => -32601 } },
    'push_ask: an error in place of "asked"');

# the test asks

my $asked = begin_ask($redis, { call => $call, method => 'roots/list' });

published(1);
is_deeply([ $asked->elements ], [], 'begin_ask() does not wait');
$redis->cmd('RPUSH', 'mcp:reply:' . $asked->reply, 'asked');
ok($asked->asked, 'asked() waits for the first element');
$redis->cmd('RPUSH', 'mcp:reply:' . $asked->reply, '{"result":{}}');
is($asked->wait, '{"result":{}}', 'wait() waits for the answer');
$redis->cmd('RPUSH', 'mcp:reply:' . $asked->reply, 'once more');
ok(run_until(sub { $asked->elements == 3 }),
    'elements() has those after the answer, too');
$asked->close;

finish();
