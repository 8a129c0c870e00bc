# Streamable HTTP with several instances: every instance takes every session
# id; cancellations and ended ids go to all of them.
# docs/PROTOCOL.md 7.22, 7.27, 7.30, 11.13.

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
    "location = $_ { mcp_sse_http; mcp_sse_stream_after 1s; "
        . "mcp_sse_keepalive 1s; }\n"
} qw(/mcp /mcp/);

my ($here, $there) = start_instances(2, redis => $redis, workers => 2,
    locations => $mcp);

ok(wait_ready($_), 'an instance with Redis is ready') for $here, $there;


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


# every instance takes the id

my $id = session_id($here);

is(status($there, tool(1, 'echo', { text => 'x' }), session => $id), 200,
    'the other instance takes the session id');

# a cancellation at the other instance

{
    my $before = $frappe->tool_count('hang');
    my $call   = http_post($here, tool(2, 'hang', {}), session => $id,
        async => 1);

    run_until(sub { $frappe->tool_count('hang') > $before });
    is(status($there, notification('notifications/cancelled',
        { requestId => 2 }), session => $id), 202,
        'a cancellation at the other instance is 202');
    ok($call->wait, 'a cancellation at the other instance ends the call');
    is(scalar $call->messages, 0, 'the cancelled call has no answer');
}

# DELETE at the other instance

{
    my $stream = http_get($here, session => $id, async => 1);

    stream_of($stream);
    is(http_delete($there, $id)->status, 204,
        'DELETE at the other instance is 204');
    is(soon(404, $here, request(3, 'ping'), session => $id), 404,
        'DELETE at one instance ends the session at the other');
    ok($stream->wait, 'DELETE at one instance ends the stream at the other');
    is(http_delete($here, $id)->status, 404, 'a second DELETE is 404');
}

# an instance that starts later learns this and 3,000 other ended ids

$redis->cmd('ZADD', 'mcp:ended', map { (time + 3600, sprintf '%032x', $_) }
    1 .. 3000);

{
    my ($late) = start_instances(1, redis => $redis, locations => $mcp);

    wait_ready($late);
    is(soon(404, $late, request(4, 'ping'), session => $id), 404,
        'an instance that starts later refuses an ended id');
    $late->stop;
}

# another user has ended more sessions than the zone holds

{
    my $user = 'b' x 32;

    for my $page (0 .. 12) {
        $redis->cmd('ZADD', 'mcp:ended', map {
            (time + 600, sprintf('%032x', $page * 1000 + $_) . $user)
        } 1 .. 1000);
    }

    my ($late) = start_instances(1, redis => $redis, locations => $mcp);

    wait_ready($late);
    is(soon(404, $late, request(4, 'ping'), session => $id), 404,
        'an instance that starts later reads all ended ids and keeps this one');
    my $logged = () = $late->error_log =~ /too many ended sessions/g;

    ok($logged && $logged < 100,
        'a few lines in the log say that others are forgotten');
    $late->stop;

    for my $page (0 .. 12) {
        $redis->cmd('ZREM', 'mcp:ended', map {
            sprintf('%032x', $page * 1000 + $_) . $user } 1 .. 1000);
    }
}

# the ended ids take longer on a slow line than the time-out of Redis

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

    # 150 kB take ten seconds, the time-out is five seconds

    my $late = start_nginx(redis => 'redis://127.0.0.1:' . $proxy->port,
        redis_opt => 'timeout=5s', locations => $mcp);

    wait_ready($late);
    is(soon(404, $late, request(4, 'ping'), session => $id), 404,
        'an instance with a slow line to Redis refuses an ended id');
    unlike($late->error_log, qr/is lost/,
        'a slow line that keeps moving is no lost Redis');
    $late->stop;
    $proxy->stop;
}

# DELETE while Redis is down; Redis comes back without its data

{
    my $other = session_id($here);

    is(status($there, request(5, 'ping'), session => $other), 200,
        'the other instance takes a second session id');
    $redis->stop;
    is(http_delete($here, $other)->status, 204,
        'DELETE without Redis is 204');
    is(status($here, request(6, 'ping'), session => $other), 404,
        'without Redis the id is ended where the DELETE was');
    is(status($there, request(7, 'ping'), session => $other), 200,
        'without Redis the other instance still takes the id');
    $redis->restart;
    ok(wait_ready($here, $there), 'Redis is ready again, without data');
    is(soon(404, $there, request(8, 'ping'), session => $other), 404,
        'with Redis the other instance refuses the ended id');
    is(soon(404, $there, request(9, 'ping'), session => $id), 404,
        'an id ended before Redis lost its data stays ended');
    is(scalar(grep { $_ eq 'mcp:ended' } keys %{ $redis->dump }), 1,
        'Redis has the ended ids again');
}

# a stream of the session at each instance

{
    my $session = session_id($here);
    my @streams = map { http_get($_, session => $session) } $here, $there;
    my %before  = map { $_ => scalar $_->types } @streams;

    ok(run_until(sub {
        return !grep { $_->types <= $before{$_} } @streams;
    }), 'streams of a session at two instances stay');
    is(http_delete($there, $session)->status, 204,
        'DELETE of a session with two streams is 204');
    ok($_->wait_ended, 'DELETE ends the streams at both instances')
        for @streams;
}

finish();
