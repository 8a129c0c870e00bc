# Streamable HTTP with several instances: a session is taken by any of them;
# cancellations and ends are known to all.  docs/PROTOCOL.md 11.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();

my $mcp = join '', map {
    "location = $_ { mcp_sse_http; mcp_sse_stream_after 1s; }\n"
} qw(/mcp /mcp/);

my ($here, $there) = start_instances(2, redis => $redis, workers => 2,
    locations => $mcp);

ok(ready($_), 'an instance is ready') for $here, $there;


sub status { return http_post(@_)->status }


sub soon {
    my ($status, @post) = @_;

    my $seen;

    run_until(sub {
        $seen = status(@post);
        return $seen == $status;
    });

    return $seen;
}


# any instance takes the id

my $id = session_id($here);

is(status($there, tool(1, 'echo', { text => 'x' }), session => $id), 200,
    'a session of one instance is known to the other');

# cancelled at the other instance

{
    my $before = $frappe->tool_count('hang');
    my $call   = http_post($here, tool(2, 'hang', {}), session => $id,
        async => 1);

    run_until(sub { $frappe->tool_count('hang') > $before });
    is(status($there, notification('notifications/cancelled',
        { requestId => 2 }), session => $id), 202, 'a cancellation');
    ok($call->wait, 'ends the call at the other instance');
    is(scalar $call->messages, 0, 'without an answer');
}

# ended at the other instance

{
    my $stream = http_get($here, session => $id, async => 1);

    stream_of($stream);
    is(http_delete($there, $id)->status, 204, 'a DELETE');
    is(soon(404, $here, request(3, 'ping'), session => $id), 404,
        'ends the session at the other instance');
    ok($stream->wait, 'and its stream there');
    is(http_delete($here, $id)->status, 404, 'it is ended once');
}

# one that starts later knows it, too, and many others

$redis->cmd('ZADD', 'mcp:ended', map { (time + 3600, sprintf '%032x', $_) }
    1 .. 3000);

{
    my ($late) = start_instances(1, redis => $redis, locations => $mcp);

    wait_ready($late);
    is(soon(404, $late, request(4, 'ping'), session => $id), 404,
        'an instance that starts later knows what was ended');
    $late->stop;
}

# and so does one whose line takes longer for them than Redis may take to answer

{
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my %due;

    $proxy->filter(sub {
        my ($way, $bytes, $number) = @_;

        return $bytes if $way eq 'up';

        my ($pair) = grep { $_->{number} == $number } $proxy->pairs;

        for ($bytes =~ /.{1,4000}/gs) {
            $due{$number} = now() if now() > ($due{$number} // 0);
            push @{ $pair->{down}{steps} }, [ $due{$number}, $_ ];
            $due{$number} += length() / 15_000;
        }

        return '';
    });

    # ten seconds for 150 kB, and a time-out of five

    my $late = start_nginx(redis => 'redis://127.0.0.1:' . $proxy->port,
        redis_opt => 'timeout=5s', locations => $mcp);

    wait_ready($late);
    is(soon(404, $late, request(4, 'ping'), session => $id), 404,
        'an instance whose line to Redis is slow knows it, too');
    unlike($late->error_log, qr/is lost/, 'and does not lose Redis');
    $late->stop;
    $proxy->stop;
}

# ended while Redis is away, and after it has lost its data

{
    my $other = session_id($here);

    is(status($there, request(5, 'ping'), session => $other), 200,
        'another session');
    $redis->stop;
    is(http_delete($here, $other)->status, 204,
        'a DELETE without Redis');
    is(status($here, request(6, 'ping'), session => $other), 404,
        'is known here');
    is(status($there, request(7, 'ping'), session => $other), 200,
        'and not there');
    $redis->restart;
    ok(wait_ready($here, $there), 'Redis is back, without data');
    is(soon(404, $there, request(8, 'ping'), session => $other), 404,
        'now it is');
    is(soon(404, $there, request(9, 'ping'), session => $id), 404,
        'and the first one still');
    is(scalar(grep { $_ eq 'mcp:ended' } keys %{ $redis->dump }), 1,
        'Redis knows them again');
}

# a second stream of a session replaces the first, wherever it is

{
    my $session = session_id($here);
    my $first   = http_get($here, session => $session, async => 1);

    stream_of($first);

    my $second = http_get($there, session => $session, async => 1);

    stream_of($second);
    ok($first->wait, 'a stream at the other instance replaces this one');
    unlike($first->body, qr/^retry:/m, 'without "retry"');
    ok(!$second->ended, 'and stays');
    $second->{conn}->abort;
}

finish();
