# What a client has asked of its session, at several instances: with
# mcp_sse_redis all know it, at the first message and while they run; without it
# each knows what it was told itself.  docs/PROTOCOL.md 16.74 to 16.76.

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
my @opt    = (push => $redis, redis => $redis, mcp => '');
my $first  = start_push(@opt, workers => 2);
my $second = start_push(@opt);

my $id = 100;
my $n  = 0;


sub ask_for {
    my ($nginx, $session, $what, $uri) = @_;

    return http_post($nginx, request(++$id, "resources/$what",
        { uri => $uri }), session => $session)->json->{result};
}


sub own { return 'fac://notes/alice@example.com/' . $_[0] }


# The names of 20 resources that a session has subscribed to there.

sub subscribed {
    my ($nginx, $session) = @_;

    my @names = map { ++$n } 1 .. 20;

    ask_for($nginx, $session, 'subscribe', own($_)) for @names;

    return @names;
}


# Whether an instance knows: it need not ask the backend.

sub knows {
    my ($nginx, $session, $name) = @_;

    my $count = $frappe->count('resources/read');

    ask_for($nginx, $session, 'subscribe', own($name));

    return $frappe->count('resources/read') == $count;
}


# It does so soon: each name is tried once, since asking makes it known.

sub knows_soon {
    my ($nginx, $session, @names) = @_;

    for my $name (@names) {
        return 1 if knows($nginx, $session, $name);
        sleep_for(0.1);
    }

    return 0;
}


sub record {
    my ($key) = @{ $redis->cmd('KEYS', 'mcp:u:*') };

    return $key ? { key => $key, @{ $redis->cmd('HGETALL', $key) } } : {};
}


# The record has as many fields, or this level, once Redis has got the change:
# the answer does not wait for that.

sub has_fields {
    my ($want, $name) = @_;

    run_until(sub { keys %{ record() } == $want });

    return is(scalar(keys %{ record() }), $want, $name);
}


sub has_level {
    my ($want, $name) = @_;

    run_until(sub { (record()->{level} || -1) == $want });

    return is(record()->{level}, $want, $name);
}


# ---- the first message at another instance

my $session = session_id($first);
my @names   = subscribed($first, $session);

has_fields(21, 'Redis has the subscriptions');
cmp_ok($redis->cmd('TTL', record()->{key}), '>', 86_400,
    'for as long as the session id is good');

http_post($second, request(1, 'tools/list'), session => $session);
ok(knows_soon($second, $session, @names), 'another instance reads them');

# ---- a change while it runs

@names = subscribed($first, $session);
ok(knows_soon($second, $session, @names), 'and reads them when they change');

my ($name) = subscribed($second, $session);
ok(run_until(sub { knows($first, $session, $name) }),
    'in the other direction, too');

my $fields = keys %{ record() };
ask_for($first, $session, 'unsubscribe', own($name));
has_fields($fields - 1, 'Redis has one less');
ok(run_until(sub {
    ask_for($first, $session, 'unsubscribe', own($name));
    return !knows($second, $session, $name);
}), 'an instance knows that a client has unsubscribed at another one');

# ---- the level

http_post($second, request(1, 'logging/setLevel', { level => 'warning' }),
    session => $session);
has_level(4, 'the level is in Redis');

http_post($first, request(1, 'logging/setLevel', { level => 'debug' }),
    session => $session);
has_level(7, 'the newest one');

# ---- an instance that is restarted

@names = subscribed($first, $session);
$second->restart;
ok(wait_push($second), 'an instance is restarted');
http_post($second, request(1, 'tools/list'), session => $session);
ok(knows_soon($second, $session, @names), 'and knows what it knew');

# ---- the stream alone

my $other = session_id($first);
@names = subscribed($first, $other);
my $stream = http_get($second, session => $other);
ok(knows_soon($second, $other, @names), 'a stream makes an instance read them');
$stream->close;

# ---- the end of a session

http_delete($second, $other);
http_delete($second, $session);
ok(run_until(sub { !@{ $redis->cmd('KEYS', 'mcp:u:*') } }),
    'a session that ends leaves none');

# ---- a legacy session that is taken over

my $legacy = open_stream($first);
call($first, $legacy, request(1, 'resources/subscribe', { uri => own('l') }));
call($first, $legacy, request(2, 'logging/setLevel', { level => 'error' }));
has_level(3, 'those of a legacy session are in Redis');
$legacy->close;

my $again = open_stream($second,
    headers => [ 'Last-Event-ID' => $legacy->session ]);
is($again->session, $legacy->session, 'a legacy session comes back elsewhere');
ok(run_until(sub { $second->error_log =~ /SSE connection established/ }),
    'and is there');
$frappe->reset;
is(call($second, $again, request(3, 'resources/subscribe',
    { uri => own('l') })), '{"jsonrpc":"2.0","result":{},"id":3}',
    'and is subscribed');

# ---- Redis loses its data

$session = session_id($first);
$stream  = http_get($first, session => $session);
http_post($first, request(1, 'logging/setLevel', { level => 'alert' }),
    session => $session);
ask_for($first, $session, 'subscribe', own('r'));
$again->close;
$redis->cmd('FLUSHALL');
ok(run_until(sub { keys %{ record() } == 3 && record()->{level} == 1 }),
    'a session with a stream is written again when Redis has lost its data');

# ---- Redis is lost

$redis->cmd('FLUSHALL');
$redis->stop;
is_deeply(ask_for($first, $session, 'subscribe', own('s')), {},
    'without Redis a client can subscribe');
ok(knows($first, $session, 's'), 'for this instance');

# ---- without mcp_sse_redis

my $own   = start_redis();
my $key   = MCPTest::Nginx::key_file('0123456789abcdef' x 2);
my @alone = map { start_push(push => $own, mcp => '',
    http => "mcp_sse_key $key;") } 1 .. 2;

$session = session_id($alone[0]);
($name)  = subscribed($alone[0], $session);
http_post($alone[1], request(1, 'tools/list'), session => $session);
ok(!knows($alone[1], $session, $name), 'without mcp_sse_redis each asks');
is_deeply($own->cmd('KEYS', '*'), [], 'and nothing is written');

finish();
