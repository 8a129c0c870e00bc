# The list of ended session ids in Redis, as an instance reads it at its start:
# which members end an id, and that all pages are read.
# docs/PROTOCOL.md 7.30, 7.32, 11.13.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my $first  = start_http(redis => $redis, redis_opt => 'prefix=first:');

ok(wait_ready($first), 'an instance is ready');

my $until = time + 86_400;


# Ends a session; returns its id, and its member of the list.

sub ended {
    my $id = session_id($first);
    my $member;

    $redis->cmd('DEL', 'first:ended');
    http_delete($first, $id);

    ok(run_until(sub {
        ($member) = @{ $redis->cmd('ZRANGE', 'first:ended', 0, -1) };
        return $member;
    }), 'an id that was ended is in Redis');

    return ($id, $member);
}


my ($last, $last_member) = ended();
my ($id, $member)        = ended();

like($member, qr/\A[0-9a-f]{64}\z/, 'with its user');
cmp_ok($redis->cmd('ZSCORE', 'first:ended', $member), '>', time + 6 * 86_400,
    'for as long as it would have been good');

my @others = map { sprintf '%064x', $_ } 1 .. 19_999;

# one instance for each list, whose last member ends another id: when this one
# is ended, the list was read

my $n = 0;

for my $case (
    [ 'nothing', 200 ],
    [ 'the id and its user', 404, [ $until, $member ] ],
    [ 'the id alone', 404, [ $until, substr $member, 0, 32 ] ],
    [ 'a digit less', 200, [ $until, substr $member, 0, 63 ] ],
    [ 'a digit more', 200, [ $until, $member . '0' ] ],
    [ 'half an id', 200, [ $until, substr $member, 0, 31 ] ],
    [ 'no digit in the id', 200, [ $until, 'g' . substr $member, 1 ] ],
    [ 'no digit in the user', 200, [ $until, substr($member, 0, 63) . 'g' ] ],
    [ 'one that has expired', 200, [ time - 10, $member ] ],
    [ 'the id behind a bad one', 404, [ $until - 1, 'bad' ],
        [ $until, $member ] ],
    [ 'the id in front of a bad one', 404, [ $until, $member ],
        [ $until + 1, 'bad' ] ],
    [ 'the id behind a page', 404,
        (map { [ $until - 1, $_ ] } @others[0 .. 9_999]), [ $until, $member ] ],
    [ 'the id behind two pages less one', 404,
        (map { [ $until - 1, $_ ] } @others), [ $until, $member ] ],
) {
    my ($name, $want, @list) = @$case;
    my $key = 'list' . ++$n . ':ended';

    push @list, [ $until + 10, $last_member ];
    $redis->cmd('ZADD', $key, map { @$_ } splice @list, 0, 5000) while @list;

    my $nginx = start_http(redis => $redis, redis_opt => "prefix=list$n:",
        http => 'mcp_sse_zone zone=mcp_sse:64m;');

    ok(wait_ready($nginx), "the list has $name: the instance is ready");

    my $status = sub {
        return http_post($nginx, request(1, 'ping'), session => $_[0])->status;
    };

    ok(run_until(sub { $status->($last) == 404 }), 'and has read the list');
    is($status->($id), $want, "the list has $name: the id is $want");

    # what has expired is removed

    if ($name =~ /expired/) {
        ok(run_until(sub { $redis->cmd('ZCARD', $key) == 1 }),
            'an id that has expired is removed');
    }

    $nginx->stop;
}

finish();
