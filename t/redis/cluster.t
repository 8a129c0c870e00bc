# A Redis Cluster, without faults: messages, cancellations and ended session ids
# between instances; which nodes are asked; SSUBSCRIBE; hosts that CLUSTER SLOTS
# does not tell, or tells as names; the rights that the user needs.
# docs/PROTOCOL.md 11.1, 11.10, 11.13, 11.18.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use MCPTest::HTTP;
use MCPTest::Names;
use Test::More;

MCPTest::Redis::need();

my $frappe  = start_frappe();
my $cluster = MCPTest::RedisCluster->start(requirepass => 'a-long-password');
my $key     = '{mcp}:';
my $owner   = $cluster->owner($key);
my ($replica) = $cluster->replicas($owner);

my %opt = (redis => $cluster, redis_opt => 'connect_timeout=1s',
    http => 'mcp_sse_grace 60s;');


# Tests that messages pass between instances, in both directions.

sub works {
    my ($name, @nginx) = @_;

    my $history = MCPTest::History->new(frappe => $frappe);

    ok(wait_ready(@nginx), "$name: the instances are ready")
        or diag(grep { /redis/ } map { split /^/, $_->error_log } @nginx);

    my @streams = map { open_stream($_) } @nginx;

    for my $at (@nginx) {
        $history->call($at, $_) for (@streams) x 3;
    }

    $history->settle;
    is_deeply([ keys %{ $history->statuses } ], [ 202 ],
        "$name: each instance accepts messages for all sessions")
        or diag(explain($history->statuses));
    $history->ok("$name: each call is answered once, on its stream");
    $_->close for @streams;

    return;
}


# two instances with two workers

my @nginx = map { start_http(%opt, workers => 2) } 1, 2;
my ($here, $there) = @nginx;

works('a cluster', @nginx);

{
    my $stream = open_stream($here);

    $frappe->reset;
    accepted(post($there, $stream, tool(1, 'hang', {})),
        'a call at another instance is accepted');
    ok(run_until(sub { $frappe->tool_count('hang') == 1 }), 'it runs');
    accepted(post($there, $stream, notification('notifications/cancelled',
        { requestId => 1 })), 'its cancellation is accepted there');
    ok(run_until(sub { $frappe->stats->{aborted} == 1 }),
        'then its connection to Frappe is closed');
    $stream->close;

    my $id = session_id($here);

    is(http_post($there, request(1, 'ping'), session => $id)->status, 200,
        'another instance takes a session id');
    http_delete($here, $id);
    ok(run_until(sub {
        return http_post($there, request(1, 'ping'), session => $id)->status
            == 404;
    }), 'and refuses it once it was ended at the first one');
}

# what Redis was asked

{
    my $stream = open_stream($here);

    ok(run_until(sub { grep { /\A\Q$key\Es:/ } keys %{ $owner->dump } }),
        'the master of the slot has a key for the session');
    is_deeply([ grep { !/\A\Q$key\E/ } keys %{ $owner->dump } ], [],
        'no key is outside of that slot');
    $stream->close;

    my @channels = @{ $owner->cmd('PUBSUB', 'SHARDCHANNELS') };

    is(scalar(grep { /\A\Q$key\Ew:/ } @channels), 4,
        'each worker has subscribed to a channel of its shard');
    is_deeply([ grep { !/\A\Q$key\E(?:all\z|w:)/ } @channels ], [],
        'and to no other one but that of all');
    is_deeply($owner->cmd('PUBSUB', 'CHANNELS'), [],
        'no worker has a subscription of the whole cluster');
    cmp_ok($owner->calls('spublish'), '>', 0, 'messages are sent by SPUBLISH');
    is($owner->calls('publish'), 0, 'and none by PUBLISH');

    my @others = grep { $_ != $owner } $cluster->nodes;

    is_deeply([ grep { /mcp/ } map { map { $_->{name} } $_->clients } @others ],
        [], 'no worker keeps a connection to another node');
    is_deeply([ map { $_->calls('spublish') } @others ], [ (0) x @others ],
        'and sends nothing there');
}

$_->stop for @nginx;

# another prefix, in another slot

{
    my ($prefix) = grep { $cluster->owner($_) != $owner }
        map { "a:{mcp$_}:" } 1 .. 99;
    my @other = map { start_nginx(%opt,
        redis_opt => qq("prefix=$prefix" connect_timeout=1s)) } 1, 2;

    works('another prefix', @other);
    is(scalar(grep { /\A\Q$prefix\Ek:/ } keys %{
        $cluster->owner($prefix)->dump }), 2,
        'its keys are where CLUSTER KEYSLOT says');
    $_->stop for @other;
}

# of the nodes that are named one is dead, and the other is not the master

for my $named ([ $replica ], [ $cluster->other($key) ]) {
    my $dead = MCPTest::Nginx::free_port();
    my @two  = map { start_nginx(%opt,
        redis => $cluster->url(nodes => $_) . ' cluster') }
        [ $dead, @{$named} ], [ @{$named}, $dead ];

    works('a dead node and ' . ($named->[0] == $replica ? 'a replica'
        : 'another master') . ' are named', @two);
    $_->stop for @two;
}

# hosts that are not told: MOVED and CLUSTER SLOTS have the port only

{
    $_->cmd('CONFIG', 'SET', 'cluster-preferred-endpoint-type',
        'unknown-endpoint') for $cluster->nodes;

    my $slots = $owner->cmd('CLUSTER', 'SLOTS');
    my @two   = map { start_nginx(%opt,
        redis => $cluster->url(nodes => [ $_ ]) . ' cluster') }
        $replica, $cluster->other($key);

    is($slots->[0][2][0], undef, 'CLUSTER SLOTS does not tell the hosts');
    works('hosts that are not told', @two);

    my $from = $cluster->move($key, $cluster->other($key));

    works('a slot that moved, without the host', @two);
    $cluster->move($key, $from);
    $_->stop for @two;
}

# names, which nginx looks up

{
    my $names = MCPTest::Names->new('node.test' => '127.0.0.1');

    for my $node ($cluster->nodes) {
        $node->cmd('CONFIG', 'SET', 'cluster-announce-hostname', 'node.test');
        $node->cmd('CONFIG', 'SET', 'cluster-preferred-endpoint-type',
            'hostname');
    }

    run_until(sub {
        my $slots = $replica->cmd('CLUSTER', 'SLOTS');

        return !grep { ($_->[2][0] || '') ne 'node.test' } @{$slots};
    });

    my @two = map { start_nginx(%opt,
        redis => $cluster->url(nodes => [ $_ ]) . ' cluster',
        http  => 'mcp_sse_grace 60s; resolver 127.0.0.1:' . $names->port . ';')
        } $replica, $cluster->other($key);

    works('hosts that are names', @two);
    cmp_ok($names->asked('node.test'), '>', 0, 'the name server was asked');
    $_->stop for @two;

    # a name that is not found

    $names->set('node.test' => undef);

    my $lost = start_nginx(%opt,
        redis => $cluster->url(nodes => [ $replica ]) . ' cluster',
        http  => 'mcp_sse_grace 60s; resolver 127.0.0.1:' . $names->port . ';');

    ok($lost->wait_log(qr/mcp sse: redis .*node\.test/),
        'the log has a name that is not found');
    is(health($lost)->{status}, 'degraded', 'and /health is degraded');

    for my $node ($cluster->nodes) {
        $node->cmd('CONFIG', 'SET', 'cluster-preferred-endpoint-type', 'ip');
    }

    ok(wait_ready($lost), 'once hosts are addresses, Redis is used');
    $lost->stop;
}

# the rights of docs/operations.md, and one less

{
    open my $file, '<', MCPTest::root() . '/docs/operations.md'
        or die "operations.md: $!\n";

    my ($line) = grep { /~\{mcp\}:/ } map { /^ +(ACL SETUSER mcp .+)/ } <$file>;

    close $file;

    ok($line, 'docs/operations.md has the rights for a cluster');

    SKIP: {
        skip 'no rights for a cluster', 1 if !$line;

        my $password = 'another-password';
        my @rights   = split ' ', $line =~ s/>PASSWORD/>$password/r;
        my %url      = (user => 'mcp', pass => $password);

        my $grant = sub {
            $_->cmd('ACL', 'SETUSER', 'mcp', @_) for $cluster->nodes;
        };

        $_->cmd('ACL', 'LOG', 'RESET') for $cluster->nodes;
        $grant->(@rights[3 .. $#rights]);

        my @two = map { start_nginx(%opt, workers => 2,
            redis => $cluster->url(%url) . ' cluster') } 1, 2;

        works('the documented rights', @two);

        my $from = $cluster->move($key, $cluster->other($key));

        works('the documented rights, after the slot has moved', @two);
        $cluster->move($key, $from);

        my @log = map { @{ $_->cmd('ACL', 'LOG') } } $cluster->nodes;
        my %not = map { my %entry = @{$_}; ($entry{object} => 1) } @log;

        delete $not{'config|get'};
        is_deeply([ keys %not ], [], 'they suffice');
        $_->stop for @two;

        for my $case (
            [ '-cluster|slots', '+cluster|slots' ],
            [ '-ssubscribe',    '+ssubscribe' ],
            [ 'resetchannels',  '&{mcp}:*' ],
            [ '-@all',          @rights[4 .. $#rights] ],
        ) {
            my ($less, @back) = @{$case};

            $grant->($less);
            $_->cmd('CLIENT', 'KILL', 'USER', 'mcp') for $cluster->nodes;

            my $other = start_nginx(%opt,
                redis => $cluster->url(%url) . ' cluster');

            ok($other->wait_log(qr/\[error\] .*mcp sse: redis .*NOPERM/i),
                "$less: the log says that Redis refuses");
            is(health($other)->{status}, 'degraded',
                "$less: /health is degraded");

            my $stream = open_stream($other);

            ok(call($other, $stream, request(1, 'ping')),
                "$less: messages for own sessions are answered");
            $stream->close;

            my @lines = grep { /\[(?:warn|error)\].*mcp sse: / }
                split /\n/, $other->error_log;

            cmp_ok(scalar @lines, '<', 5, "$less: the log has few lines");
            $grant->(@back);
            ok(wait_ready($other), "$less: Redis is used once it allows it");
            $other->stop;
        }
    }
}

# over TLS

{
    my $tls = MCPTest::RedisCluster->start(tls => 1,
        requirepass => 'a-long-password');
    my @two = start_instances(2, %opt, redis => $tls);

    works('a cluster over TLS', @two);
    $tls->move($key, $tls->other($key));
    works('a cluster over TLS whose slot has moved', @two);
    $_->stop for @two;
}

finish();
