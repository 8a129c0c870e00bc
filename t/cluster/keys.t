# Change of mcp_sse_key without a pause: the new key is the second line at all
# instances, then the first, then the only one.  docs/PROTOCOL.md 8.5.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my ($old, $new) = map { MCPTest::Nginx::random_key() } 1, 2;
my $file   = MCPTest::Nginx::key_file($old);
my @nginx  = start_instances(3, redis => $redis, key_file => $file,
    http => 'mcp_sse_drain 1s; mcp_sse_grace 10s; mcp_sse_max_sessions 500;');
my $load   = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
    rate => 60, sessions => 3, reopen => 1);

$load->more(60);
is_deeply([ keys %{ $load->statuses($load->sent(0, now())) } ], [ 202 ],
    'with one key every message is accepted');

# A reload ends the streams: their clients open new ones, and messages for the
# old ones are 400.

for my $step ([ 'the new key verifies', $old, $new ],
    [ 'the new key signs', $new, $old ])
{
    my ($name, @keys) = @{$step};

    MCPTest::Nginx::write_keys($file, @keys);
    $load->start;

    for my $nginx (@nginx) {
        my @old = $nginx->reload;

        ok($nginx->wait_gone(\@old),
            "$name: the old workers end after a reload");
    }

    ok(wait_ready(@nginx) && run_until(sub { $load->well }),
        "$name: all instances are ready");

    my $from = now();

    $load->more(90);
    $load->stop;

    is_deeply([ keys %{ $load->statuses($load->sent($from, now())) } ],
        [ 202 ], "$name: every message is accepted")
        or diag(explain($load->statuses($load->sent($from, now()))));

    # an idle connection is closed with its worker: such a POST has no status

    for my $post ($load->sent(0, now())) {
        $post->{excused} = 1 if !$post->{response}
            || !defined $post->{response}->status;
    }

    my @odd = grep { !/\A(?:202|400|503|none)\z/ }
        keys %{ $load->statuses($load->sent(0, now())) };

    is_deeply(\@odd, [], "$name: during the reload each POST is 202, 503, or "
        . '400 for an ended stream')
        or diag(explain($load->statuses($load->sent(0, now()))));
    $load->history->ok("$name: each accepted call is answered once");
    ok($load->no_probe_hangs, "$name: each request for /health is answered");
}

# between the steps: one instance signs with the old key, another one with the
# new key, and each takes the session ids and messages of the other

{
    my @files = map { MCPTest::Nginx::key_file(@{$_}) } [ $old, $new ],
        [ $new, $old ];
    my @mixed = start_instances(2, redis => $redis,
        redis_opt => 'prefix=mixed:', http => 'mcp_sse_grace 60s;',
        per => [ map { { key_file => $_ } } @files ]);
    my @streams = map { open_stream($_) } @mixed;

    for my $n (0, 1) {
        ok(call($mixed[1 - $n], $streams[$n], tool($n + 1, 'echo', {})),
            "a message sealed with the other key is accepted at instance $n");
    }

    $_->close for @streams;
}

# the old key is removed: ids that it signed are unknown

{
    my $stream = open_stream($nginx[0]);
    my $gone   = start_nginx(redis => $redis,
        key_file => MCPTest::Nginx::key_file($new),
        http => 'mcp_sse_grace 0;');
    my $before = start_nginx(redis => $redis,
        key_file => MCPTest::Nginx::key_file($old),
        http => 'mcp_sse_grace 0;');

    wait_ready($gone, $before);
    ok(run_until(sub { post($gone, $stream, tool(1, 'echo', {}))->status
        == 202 }) && $stream->wait_answer(1),
        'an instance with the new key alone takes ids signed with it');

    my $theirs = open_stream($before);

    is_rejected(post($gone, $theirs, tool(1, 'echo', {})), 400, -32001,
        'Invalid session ID', 'an id signed with the removed key is refused');
    $_->close for $stream, $theirs;
}

$load->close;
finish();
