# Frappe and Redis are known by name, and looked up when they are needed: the
# name server says what, late, or nothing.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Names;
use Test::More;

my $frappe = start_frappe();
my $names  = MCPTest::Names->new('*' => '127.0.0.1');
my $port   = $frappe->port;


# proxy_pass with variables; each call has a name of its own, since nginx
# keeps an answer for one to two seconds

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

is($stream->status, 200, 'Frappe by name: a stream');
ok($names->asked('user.test'), 'the name server was asked');
ok(call($nginx, $stream, tool(1, 'echo', {})), 'a call');
ok($names->asked('call1.test'), 'asked again');

# it takes its time: nothing else waits for it

{
    $names->delay('held');
    accepted(post($nginx, $stream, tool($_, 'echo', {})), 'late')
        for 11 .. 20;
    ok(call($nginx, $stream, request(2, 'ping')), 'late: a ping');
    is(scalar(grep { $stream->answers($_) } 11 .. 20), 0, 'late: not yet');
    $names->release;
    run_until(sub { !grep { !$stream->answers($_) } 11 .. 20 });
    is(scalar(grep { $stream->answers($_) != 1 || error_of(
        ($stream->answers($_))[0]) } 11 .. 20), 0, 'late: each has its answer');
}

# it says nothing: an error; cancelled meanwhile; left alone meanwhile

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
        'no answer of the name server');
    ok($stream->wait_answer(23), 'nothing: each has its answer');
    is(scalar $stream->answers(22), 0, 'but the cancelled one');

    # a new user waits for mcp_sse_auth_wait

    my $bob = open_stream($nginx, auth => MCPTest::credential('bob'));

    like($bob->status, qr/\A50[24]\z/, 'nothing: a new user is told so');

    $names->delay(0);

    my $raw = call($nginx, $stream, tool(3, 'echo', {}));

    ok($raw && !error_of($raw), 'then it is there again') or diag($raw);
    is($frappe->tool_count('echo'), 1, 'and nothing else has run');
}

# there is no such name, or nobody there

$names->set('call4.test', undef);
$names->set('call5.test', '127.0.0.9');

is_error(call($nginx, $stream, tool(4, 'echo', {})), -32003,
    'Backend unavailable', 'no such name');
is_error(call($nginx, $stream, tool(5, 'echo', {})), -32003,
    'Backend unavailable', 'nobody there');

# nginx is reloaded while it waits for the name

{
    $names->delay('held');
    accepted(post($nginx, $stream, tool(31, 'echo', {})), 'before a reload');
    run_until(sub { $names->asked('call31.test') });

    my @old = $nginx->reload;

    $names->release;

    my $raw = $stream->wait_answer(31);

    ok($raw && !error_of($raw), 'is answered behind it') or diag($raw);
    ok($nginx->wait_gone(\@old), 'the old workers end');
}

# Redis by name

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

    ok(call($all[0], $own, request(1, 'ping')), 'Redis unknown: own streams');
    ok(!ready($all[0]), 'Redis unknown: /health says so');
    ok($names->asked('redis.test'), 'it is asked for');
    $names->set('redis.test', '127.0.0.9');
    $names->delay(0);
    sleep_for(1);
    ok(!ready($all[0]), 'nobody there');
    $names->set('redis.test', '127.0.0.1');
    ok(wait_ready(@all), 'ready as soon as the name is right');

    my $stream = open_stream($all[0]);

    ok(call($all[1], $stream, tool(1, 'echo', {})), 'messages get through');
    $redis->restart;
    ok(run_until(sub { $redis->clients == 4 }) && wait_ready(@all),
        'and after a restart of Redis');
    ok(call($all[1], $stream, tool(2, 'echo', {})), 'too');
    $_->close for $own, $stream;
}

finish();
