# contrib/frappe/mcp_push.py in an app (t/push/app): the bytes that it publishes
# are those of the stand-in, with each way of Frappe to connect to Redis; what it
# says instead when it cannot; how it asks, also through nginx.  docs/PROTOCOL.md
# 16.86 to 16.88.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Push;
use MCPTest::Question;
use Test::More;

MCPTest::Redis::need();

plan skip_all => 'no python3-redis'
    if !$ENV{CI} && system('/usr/bin/python3 -c "import redis" 2> /dev/null');

my $redis  = start_redis(users => [ 'user home-frappe-bench on >bench-password'
    . ' ~rq:* resetchannels +@all -@admin' ]);
my $frappe = start_frappe('--events', $redis->url);
my $conf   = { redis_queue => $redis->url };
my $app    = MCPTest::root() . '/t/push/app';


# Lets the app do something, see there; returns a function that waits for the
# values.

sub begin_app {
    my ($steps, %what) = @_;

    my ($pid, $in, $out);

    pipe my $from, $in or die "pipe: $!\n";
    pipe $out, my $to or die "pipe: $!\n";

    $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        close $in;
        close $out;
        open STDIN, '<&', $from;
        open STDOUT, '>&', $to;
        exec $app or POSIX::_exit(127);
    }

    close $from;
    close $to;
    print {$in} encode({ conf => $conf, call => 'call-1', %what,
        do => $steps }), "\n";
    close $in;

    my $text = '';

    MCPTest::Conn::register(my $reader = bless { sock => $out,
        text => \$text }, 'Reader');

    return sub {
        run_until(sub { $reader->{closed} });
        waitpid $pid, 0;

        return @{ decode($text) || [] };
    };
}


sub app { return begin_app(@_)->() }


# ---- what it publishes

my $listener = $redis->connect;

$listener->{pushed} = [];
$listener->cmd('SUBSCRIBE', 'mcp:events', 'other:events',
    'mcp:events:call-1');       # as the worker that has the call


# What has been published since the last time, once there are n messages.

my $got = 0;


sub published {
    my ($n) = @_;

    run_until(sub { $listener->messages >= $got + $n });

    my @all = map { "$_->{channel} $_->{bytes}" } $listener->messages;
    my @new = @all[$got .. $#all];

    $got = @all;

    return [ map { s/\Amcp:events //r } @new ];
}


# The same by a tool of the stand-in.

sub stand_in {
    my ($name, $arguments) = @_;

    my $conn = connect_to($frappe);

    $conn->request('POST', '/api/method/'
            . 'frappe_assistant_core.api.fac_endpoint.handle_mcp',
        host    => 'erp.example.com',
        headers => [ Connection => 'close', 'X-MCP-Call' => 'call-1',
            'Content-Type' => 'application/json',
            Authorization => MCPTest::credential() ],
        body => tool(1, $name, $arguments))->wait;
    $conn->close;

    return;
}


my $umlaut = "\x{fc}ber \x{20ac} \x{1f600} \"\n";

is_deeply([ app([
    [ 'in_call' ], [ 'current_call' ],
    [ 'progress', [ 0.5 ], { total => 3, message => $umlaut } ],
    [ 'progress', [ 2 ] ],
    [ 'log', [ $umlaut ] ],
    [ 'log', [ 'x' ], { level => 'alert', logger => 'pay' } ],
    [ 'list_changed' ],
    [ 'list_changed', [ 'prompts' ], { user => 'bob@example.com' } ],
    [ 'resource_updated', [ 'fac://skills/x' ],
        { user => 'alice@example.com', now => 1 } ],
    [ 'commit' ] ]) ],
    [ JSON::PP::true, 'call-1', (undef) x 8 ], 'all notifications');

my $by_file = published(7);

stand_in('push_progress', { values => [ [ 0.5, 3, $umlaut ], 2 ] });
stand_in('push_log', { data => $umlaut });
stand_in('push_log', { data => 'x', level => 'alert', logger => 'pay' });
stand_in('push_updated', { uri => 'fac://skills/x' });
stand_in('push_list_changed', { user => undef });
stand_in('push_list_changed', { what => 'prompts',
    user => 'bob@example.com' });

is_deeply($by_file, published(7), 'the bytes are those of the stand-in');

# values of a database that are no JSON

is_deeply([ map { $_ && $_->{raised} } app([ [ 'log', [ undef ],
    { level => 'fatal' } ], [ 'list_changed', [ 'tool' ] ] ]) ],
    [ 'ValueError', 'ValueError' ], 'unknown levels and lists are refused');

app([ [ 'log', [ { a => [ 1, undef ] } ] ] ], call => 'c',
    site => "s\x{fc}d");
is_deeply(published(1), [ qq({"site":"s\xc3\xbcd","call":"c","method":)
    . '"notifications/message","params":{"level":"info","data":'
    . '{"a":[1,null]}}}' ], 'any JSON, and the name of the site');

app([ [ 'log', [ 'x' ], { call => 'another' } ] ]);
like(published(1)->[0], qr/"call":"another"/,
    'a job has the id of the call as an argument');

# commits

for my $version (14, 15) {
    app([ [ 'list_changed' ], [ 'rollback' ], [ 'commit' ],
        [ 'resource_updated', [ 'a:b' ] ], [ 'log', [ 'before' ] ],
        [ 'commit' ], [ 'commit' ] ], version => $version);
    app([ [ 'log', [ 'last' ] ] ]);

    is_deeply([ map { /"(before|last|uri)"/ ? $1 : $_ } @{ published(3) } ],
        [ 'before', 'uri', 'last' ],
        "Frappe $version: changes are published once, at the commit");
}

app([ [ 'list_changed' ] ], database => JSON::PP::false);
is(scalar @{ published(1) }, 1, 'without a database: at once');

# ---- connections

sub says {
    my ($name, $told, $class, $pattern) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    like(ref $told ? "$told->{raised}: $told->{text}" : 'nothing raised',
        qr/\A$class: $pattern/, $name);

    return;
}


my $other = start_redis(requirepass => 'a-long-password');
my @log   = ([ 'log', [ 'x' ] ]);

for my $case (
    [ 'redis_socketio of Frappe 14', { redis_socketio => $redis->url } ],
    [ 'the Unix socket', { redis_queue => 'unix://' . $redis->unix } ],
    [ 'mcp_push_redis', { redis_queue => $other->url,
        mcp_push_redis => $redis->url, use_rq_auth => 1 } ],
    [ 'another channel', { %{$conf}, mcp_push_channel => 'other:events' } ],
) {
    my ($name, $with) = @{$case};

    is_deeply([ app(\@log, conf => $with) ], [ undef ], $name);
}

like(published(4)->[3], qr/\Aother:events \{/, 'mcp_push_channel');

says('no Redis', app(\@log, conf => {}), 'PushError', 'no Redis');
says('nobody has subscribed', app(\@log, conf => { redis_queue =>
    $other->url }), 'NotSubscribed', 'nobody has subscribed to "mcp:events"');
says('a wrong password', app(\@log, conf => { redis_queue => 'redis://'
    . ':wrong@127.0.0.1:' . $other->port }), 'NotPermitted',
    'Redis refuses the credentials');
says('no server', app(\@log, conf => { redis_queue => 'redis://127.0.0.1:1' }),
    'PushError', 'Redis: ');

# the user of the bench

my %auth = (%{$conf}, use_rq_auth => 1, rq_password => 'bench-password');
my $line = 'ACL SETUSER home-frappe-bench +publish +blpop +pubsub '
    . '&mcp:events ~mcp:reply:*';

says('use_rq_auth: the line for the ACL', app(\@log, conf => \%auth),
    'NotPermitted', "Redis: .*; as an administrator: \Q$line\E\\z");
$redis->cmd(split / /, $line);
is_deeply([ app(\@log, conf => \%auth) ], [ undef ],
    'use_rq_auth: with that line it publishes');
published(1);

# ---- calls, commits

says('no header', app(\@log, call => undef), 'NoCall', 'no request with');

my ($in_call, $told) = app([ [ 'in_call' ], [ 'progress', [ 1 ] ] ],
    call => undef);

ok(!$in_call, 'in_call() without a call');
says('progress without a call', $told, 'NoCall', '');
says('writes', app([ [ 'roots' ] ], writes => 2), 'UncommittedWrites',
    '2 writes are not committed');

my @late = app([ [ 'list_changed' ], [ 'commit' ], [ 'log of Frappe' ] ],
    conf => { redis_queue => $other->url });

is($late[1], undef, 'what fails after the commit is not raised');
like($late[2][0], qr/\Amcp_push: not published: nobody has subscribed/,
    'but in the log of Frappe');

# ---- questions


# Waits for a question, as the module would get it; returns its bytes, and its K.

sub asked {
    my $bytes = published(1)->[0];
    my ($reply) = $bytes =~ /,"reply":"([\w-]{32})"\}\z/
        or diag("no question: $bytes");

    return ($bytes, $reply);
}


sub reply {
    my ($reply, @elements) = @_;

    $redis->cmd('RPUSH', "mcp:reply:$reply", @elements);

    return;
}


my $wait = begin_app([ [ 'ask', [ 'Submit?', { ok => { type =>
    'boolean' } } ] ] ], conf => \%auth);
my ($bytes, $reply) = asked();

is($bytes, '{"site":"erp.example.com","call":"call-1",'
    . '"method":"elicitation/create","params":{"message":"Submit?",'
    . '"requestedSchema":{"type":"object","properties":{"ok":{"type":'
    . qq("boolean"}},"required":["ok"]}},"reply":"$reply"}),
    'ask(): the question');
reply($reply, 'asked');
reply($reply, '{"result":{"action":"accept","content":{"ok":true}}}');
is_deeply([ $wait->() ], [ { ok => JSON::PP::true } ],
    'ask(): what the user has filled in');

$wait = begin_app([ [ 'ask', [ 'Submit?', {} ],
    { required => [], allow_uncommitted => JSON::PP::true } ] ], writes => 2);
($bytes, $reply) = asked();
reply($reply, 'asked', '{"result":{"action":"decline"}}');
is_deeply([ $wait->() ], [ undef ], 'ask(): the user does not want to');

$wait = begin_app([ [ 'sample', [ 'Hi' ], { max_tokens => 5,
    temperature => 0 } ] ]);
($bytes, $reply) = asked();
is($bytes, '{"site":"erp.example.com","call":"call-1","method":'
    . '"sampling/createMessage","params":{"messages":[{"role":"user",'
    . '"content":{"type":"text","text":"Hi"}}],"maxTokens":5,'
    . qq("temperature":0},"reply":"$reply"}), 'sample(): the question');
reply($reply, 'asked', '{"result":{"role":"assistant","model":"m"}}');
is_deeply([ $wait->() ], [ { role => 'assistant', model => 'm' } ],
    'sample(): the answer');

$wait = begin_app([ [ 'roots' ] ]);
($bytes, $reply) = asked();
is($bytes, '{"site":"erp.example.com","call":"call-1","method":"roots/list",'
    . qq("reply":"$reply"}), 'roots(): the question');
stand_in('push_ask', { method => 'roots/list', reply => $reply,
    asked_within => 1 });
is_deeply(published(1), [ $bytes ], 'roots(): the bytes of the stand-in');
reply($reply, 'asked', '{"result":{"roots":[{"uri":"file:///a"}]}}');
is_deeply([ $wait->() ], [ [ { uri => 'file:///a' } ] ],
    'roots(): the answer');

$wait = begin_app([ [ 'roots' ] ]);
($bytes, $reply) = asked();
reply($reply, '{"error":{"code":-32601,"message":"It cannot",'
    . '"data":[1]}}');
($told) = $wait->();
says('a client that cannot be asked', $told, 'Refused',
    'It cannot \(-32601\)');
is_deeply([ @{$told}{qw(code data)} ], [ -32601, [ 1 ] ],
    'the error has its code and data');

$wait = begin_app([ [ 'roots' ] ]);
asked();
says('nobody has asked', $wait->(), 'NoAnswer',
    'nobody has asked within 2 seconds');

$wait = begin_app([ [ 'roots', [], { timeout => 1 } ] ]);
reply((asked())[1], 'asked');
says('no answer', $wait->(), 'NoAnswer', 'no answer within 1 seconds');

says('the worker of the call is gone', app([ [ 'roots' ] ],
    call => 'a-worker-that-is-gone'), 'NotSubscribed',
    'the worker of nginx that has this call does not run');

$wait = begin_app([ [ 'roots' ] ]);
($bytes, $reply) = asked();
$listener->cmd('UNSUBSCRIBE', 'mcp:events:call-1');
reply($reply, 'asked');
sleep 4;        # it has looked once
$listener->cmd('SUBSCRIBE', 'mcp:events:call-1');
sleep 4;        # and twice
reply($reply, '{"result":{"roots":[]}}');
is_deeply([ $wait->() ], [ [] ],
    'a worker that was without Redis for a moment is not given up');

# ---- through nginx

my $nginx  = start_push(push => $redis, mcp => '', workers => 2);
my $client = able($nginx);
my ($dead) = $nginx->wait_workers;
my $call   = begin_call($nginx, $client, conn => connect_worker($nginx, $dead),
    more => { _meta => { progressToken => 't' } });
my @of_call = (call => $call->{call}, conf => \%auth);

is_deeply([ app([ [ 'log', [ $umlaut ] ],
    [ 'progress', [ 0.5, 3, 'half' ] ] ], @of_call) ], [ undef, undef ],
    'nginx: a call logs, and tells how far it is');
run_until(sub { grep { $_->{data} =~ /half/ } $call->{on}->messages });

is_deeply([ map { decode($_->{data})->{params} } $call->{on}->messages ],
    [ { level => 'info', data => $umlaut },
      { progressToken => 't', progress => 0.5, total => 3,
        message => 'half' } ], 'nginx: its client gets that');

$wait = begin_app([ [ 'ask', [ 'Submit?', { ok => { type => 'boolean' } } ] ] ],
    @of_call);
respond($nginx, $client, question($call),
    result => '{"action":"accept","content":{"ok":true}}');
is_deeply([ $wait->() ], [ { ok => JSON::PP::true } ],
    'nginx: it asks, and has the answer');

says('nginx: another name of the site', app([ [ 'roots' ] ], @of_call,
    site => 'other'), 'NoAnswer', 'nobody has asked within 2 seconds');
ok($nginx->wait_log(qr/"mcp_sse_events_site"/), 'nginx: which it logs');
$nginx->allow(qr/that Frappe has published/, qr/Frappe has published/);

$wait = begin_app([ [ 'roots' ] ], @of_call);
question($call, 2);
$nginx->kill_worker($dead);
says('nginx: the worker that has asked is killed', $wait->(), 'NoAnswer',
    'the worker of nginx that has asked does not run any more');
frappe()->open_gate($call->{key});

finish();


# Reads what a process prints, in the event loop.

package Reader;

sub _read {
    my ($self) = @_;

    my $n = sysread $self->{sock}, ${ $self->{text} }, 65536,
        length ${ $self->{text} };

    return if $n || (!defined $n && $!{EAGAIN});

    $self->{closed} = 1;
    MCPTest::Conn::unregister($self);

    return;
}
