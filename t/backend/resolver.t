# Frappe and Redis are names that are looked up when they are needed: the name
# server answers, answers late, or does not answer.  docs/PROTOCOL.md 6.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Names;
use Test::More;

my $frappe = start_frappe();
my $names  = MCPTest::Names->new('*' => '127.0.0.1');
my $port   = $frappe->port;


# proxy_pass with variables; each call has a name of its own, since nginx keeps
# the answer of a name server for one to two seconds

sub by_name {
    my ($self) = @_;

    my $text = $self->template;

    $text =~ s{proxy_pass http://frappe/}
              {proxy_pass http://call\$mcp_sse_id.test:$port/};
    $text =~ s{proxy_pass http://frappe/}
              {set \$frappe user.test; proxy_pass http://\$frappe:$port/};

    return $text;
}


my $resolver = sprintf 'resolver 127.0.0.1:%d valid=1s ipv6=off;',
    $names->port;
my $nginx  = start_nginx(workers => 2, config => \&by_name,
    http => "$resolver resolver_timeout 10s; mcp_sse_auth_wait 1s;");
my $stream = open_stream($nginx);

is($stream->status, 200, 'a stream opens with Frappe as a name');
ok($names->asked('user.test'),
    'nginx asks the name server for the server of the look-up');
ok(call($nginx, $stream, tool(1, 'echo', {})),
    'a call is answered with Frappe as a name');
ok($names->asked('call1.test'),
    'nginx asks the name server for the server of a call');

# the name server answers late

{
    $names->delay('held');
    accepted(post($nginx, $stream, tool($_, 'echo', {})),
        'late name server: a call is accepted')
        for 11 .. 20;
    ok(call($nginx, $stream, request(2, 'ping')),
        'late name server: a ping is answered meanwhile');
    is(scalar(grep { $stream->answers($_) } 11 .. 20), 0,
        'late name server: no call is answered yet');
    $names->release;
    run_until(sub { !grep { !$stream->answers($_) } 11 .. 20 });
    is(scalar(grep { $stream->answers($_) != 1 || error_of(
        ($stream->answers($_))[0]) } 11 .. 20), 0,
        'late name server: each call is answered once when it answers');
}

# the name server does not answer; a call is cancelled and a client leaves
# meanwhile

{
    my $gone = open_stream($nginx);

    sleep_for(1);
    $frappe->reset;
    $names->delay(undef);

    post($nginx, $stream, tool($_, 'echo', {})) for 21 .. 23;
    post($nginx, $gone, tool(24, 'echo', {}));
    post($nginx, $stream, notification('notifications/cancelled',
        { requestId => 22 }));
    $gone->close;
    is_error($stream->wait_answer(21), -32003, 'Backend unavailable',
        'silent name server: a call is "Backend unavailable"');
    ok($stream->wait_answer(23),
        'silent name server: the other call is answered');
    is(scalar $stream->answers(22), 0,
        'silent name server: the cancelled call is not answered');

    # a new user waits for mcp_sse_auth_wait

    my $bob = open_stream($nginx, auth => MCPTest::credential('bob'));

    like($bob->status, qr/\A50[24]\z/,
        'silent name server: a GET of a new user is 502 or 504');

    $names->delay(0);

    my $raw = call($nginx, $stream, tool(3, 'echo', {}));

    ok($raw && !error_of($raw),
        'a call is answered when the name server is back') or diag($raw);
    is($frappe->tool_count('echo'), 1, 'no call of the silent time runs later');
}

# the name does not exist, or its address refuses connections

$names->set('call4.test', undef);
$names->set('call5.test', '127.0.0.9');

is_error(call($nginx, $stream, tool(4, 'echo', {})), -32003,
    'Backend unavailable',
    'a name that does not exist is "Backend unavailable"');
is_error(call($nginx, $stream, tool(5, 'echo', {})), -32003,
    'Backend unavailable',
    'an address without a server is "Backend unavailable"');

# nginx is reloaded while a call waits for the name

{
    $names->delay('held');
    accepted(post($nginx, $stream, tool(31, 'echo', {})),
        'a call before a reload is accepted');
    run_until(sub { $names->asked('call31.test') });

    my @old = $nginx->reload;

    $names->release;

    my $raw = $stream->wait_answer(31);

    ok($raw && !error_of($raw),
        'a call that waits for its name outlives a reload') or diag($raw);
    ok($nginx->wait_gone(\@old), 'the old workers end after the call');
}

# Redis as a name

SKIP: {
    skip 'no redis-server', 1 unless MCPTest::Redis::binary();

    my $redis = start_redis();
    my $url   = 'redis://redis.test:' . $redis->port;

    $names->delay(undef);

    my @all = start_instances(2, http => "$resolver resolver_timeout 1s; "
        . 'mcp_sse_grace 60s;');
    $_->configure(redis => $url) for @all;
    $_->reload for @all;

    my $own = open_stream($all[0]);

    ok(call($all[0], $own, request(1, 'ping')),
        'Redis not resolved: a stream of the instance works');
    ok(!ready($all[0]), 'Redis not resolved: the instance is not ready');
    ok($names->asked('redis.test'), 'nginx asks the name server for Redis');
    $names->set('redis.test', '127.0.0.9');
    $names->delay(0);
    sleep_for(1);
    ok(!ready($all[0]),
        'Redis at an address without a server: the instance is not ready');
    $names->set('redis.test', '127.0.0.1');
    ok(wait_ready(@all),
        'the instances are ready when the name has the right address');

    my $stream = open_stream($all[0]);

    ok(call($all[1], $stream, tool(1, 'echo', {})),
        'a message for another instance is answered');
    $redis->restart;
    ok(run_until(sub { $redis->clients == 4 }) && wait_ready(@all),
        'the instances are ready after a restart of Redis');
    ok(call($all[1], $stream, tool(2, 'echo', {})),
        'a message for another instance is answered after the restart');
    $_->close for $own, $stream;
}

finish();
