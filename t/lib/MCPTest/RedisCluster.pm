package MCPTest::RedisCluster;

# A Redis Cluster of the test: three masters, each with a replica, all of them
# MCPTest::Redis.  It moves slots, promotes replicas, and waits until all is
# well.  For mcp_sse_redis it has url() and parameters().
#
#     my $cluster = MCPTest::RedisCluster->start;
#     my @nginx   = start_instances(2, redis => $cluster);
#
#     $cluster->owner('{mcp}:')->kill9;
#     $cluster->wait_ok;

use strict;
use warnings;

use MCPTest::Conn qw(hang_after run_until);
use MCPTest::Redis;

my $masters = 3;


# Starts the nodes; returns when the cluster is well.  Options, all of them
# optional:
#
#   requirepass, users, config, tls, clients    as of MCPTest::Redis, for each
#                   node
#   node_timeout    milliseconds after which a node counts as dead (1500, more
#                   on a busy machine)

sub start {
    my ($class, %opt) = @_;

    my $timeout = int 1500 * hang_after() / 60;

    $timeout = 1500 if $timeout < 1500;

    for (1 .. 5) {
        my $self = bless { opt => { node_timeout => $timeout, %opt } }, $class;

        $self->{nodes} = [ map { $self->_node($_) } 0 .. 2 * $masters - 1 ];
        $self->_write_nodes;

        # a port may have been taken by another test meanwhile

        my @failed = grep { !$_->run } $self->nodes;

        return $self if !@failed && $self->wait_ok;

        if (grep { $_->log !~ /Address already in use/ } @failed) {
            Test::More::diag(substr $failed[0]->log, -1000);
            last;
        }

        $_->clean for $self->nodes;
    }

    die "the cluster does not start\n";
}


sub _node {
    my ($self, $number) = @_;

    my %opt = %{ $self->{opt} };
    my $bus = MCPTest::Nginx::free_port();

    my @lines = (
        'cluster-enabled yes',
        'cluster-config-file nodes.conf',
        "cluster-port $bus",
        "cluster-node-timeout $opt{node_timeout}",
        'cluster-replica-validity-factor 0',
        'repl-timeout 5',
        @{ $opt{config} || [] },
    );

    push @lines, "masterauth $opt{requirepass}" if defined $opt{requirepass};
    push @lines, 'tls-cluster yes' if $opt{tls};

    my $node = MCPTest::Redis->start(started => 0, config => \@lines,
        map { exists $opt{$_} ? ($_ => $opt{$_}) : () }
            qw(requirepass users tls clients));

    $node->{bus} = $bus;
    $node->{id}  = sprintf '%040x', $number + 1;

    return $node;
}


# Writes what each node knows of the others, as if they had met before: that is
# faster than CLUSTER MEET.

sub _write_nodes {
    my ($self) = @_;

    my @nodes = $self->nodes;

    for my $own (@nodes) {
        open my $file, '>', $own->dir . '/nodes.conf'
            or die "nodes.conf: $!\n";

        for my $n (0 .. $#nodes) {
            my $node   = $nodes[$n];
            my $of     = $n % $masters;
            my $master = $n < $masters;

            printf {$file} "%s 127.0.0.1:%d@%d %s%s %s 0 0 %d connected%s\n",
                $node->{id}, $node->port, $node->{bus},
                $node == $own ? 'myself,' : '', $master ? 'master' : 'slave',
                $master ? '-' : $nodes[$of]{id}, $of + 1,
                $master ? sprintf(' %d-%d', _range($of)) : '';
        }

        print {$file} "vars currentEpoch $masters lastVoteEpoch 0\n";
        close $file or die "nodes.conf: $!\n";
    }

    return;
}


sub _range {
    my ($n) = @_;

    return (int($n * 16384 / $masters), int(($n + 1) * 16384 / $masters) - 1);
}


# ---- for the configuration of nginx

# The URL for mcp_sse_redis.  Options: user, pass, nodes (a list of
# MCPTest::Redis, numbers of ports or HOST:PORT, instead of all nodes).

sub url {
    my ($self, %opt) = @_;

    my $pass = exists $opt{pass} ? $opt{pass} : $self->{opt}{requirepass};
    my $user = defined $opt{user} ? $opt{user} : '';

    MCPTest::secret($pass);

    my @nodes = map { ref $_ ? $_->name : /:/ ? $_ : "127.0.0.1:$_" }
        @{ $opt{nodes} || $self->{nodes} };

    return ($self->{opt}{tls} ? 'rediss' : 'redis') . '://'
        . (defined $pass ? "$user:$pass\@" : '') . join ',', @nodes;
}


sub parameters { return 'cluster' }
sub directives { return $_[0]{nodes}[0]->directives }


# ---- nodes and slots

sub nodes { return @{ $_[0]{nodes} } }


# The nodes that run and are not paused.

sub living { return grep { $_->answers } $_[0]->nodes }


# The slot of a key: of what is in its first {}, if there is anything.

sub slot {
    my ($self, $key) = @_;

    $key = $1 if $key =~ /\A[^{]*\{([^}]+)\}/;

    my $crc = 0;

    for my $byte (unpack 'C*', $key) {
        $crc ^= $byte << 8;
        $crc = $crc & 0x8000 ? $crc << 1 ^ 0x1021 : $crc << 1 for 1 .. 8;
        $crc &= 0xffff;
    }

    return $crc % 16384;
}


# CLUSTER NODES as a list of hashes: node, flags, master, epoch, slots, a list
# of [ first, last ].

sub view {
    my ($self, $from) = @_;

    my %by_id = map { $_->{id} => $_ } $self->nodes;
    my @view;

    for my $line (split /\n/, $from->cmd('CLUSTER', 'NODES')) {
        my ($id, undef, $flags, $master, undef, undef, $epoch, undef, @slots)
            = split / /, $line;

        push @view, {
            node   => $by_id{$id},
            flags  => { map { $_ => 1 } split /,/, $flags },
            master => $by_id{$master},
            epoch  => $epoch,
            slots  => [ map { /\A(\d+)(?:-(\d+))?\z/
                ? [ $1, defined $2 ? $2 : $1 ] : () } @slots ],
        };
    }

    return @view;
}


# The living node that says that it is the master of the slot of a key; of two,
# the one whose epoch is the last.  undef: there is none.

sub owner {
    my ($self, $key) = @_;

    my $slot = $self->slot($key);
    my @mine;

    for my $node ($self->living) {
        my ($own) = grep { $_->{flags}{myself} } $self->view($node);

        push @mine, $own if $own->{flags}{master}
            && grep { $_->[0] <= $slot && $slot <= $_->[1] }
                @{ $own->{slots} };
    }

    my ($last) = sort { $b->{epoch} <=> $a->{epoch} } @mine;

    return $last ? $last->{node} : undef;
}


# The living replicas of a node.

sub replicas {
    my ($self, $master) = @_;

    return grep {
        my ($own) = grep { $_->{flags}{myself} } $self->view($_);
        $own->{master} && $own->{master} == $master;
    } $self->living;
}


# A living master without the slot of a key.

sub other {
    my ($self, $key) = @_;

    my $owner = $self->owner($key);

    my ($other) = grep {
        my $node = $_;
        $node != $owner && grep { $_->{flags}{myself} && $_->{flags}{master} }
            $self->view($node);
    } $self->living;

    return $other;
}


# ---- what an operator does

# Moves the slot of a key to another master, as redis-cli --cluster reshard
# does.  Options: during, a function that is called when half of the keys have
# been moved.  The three steps can be called on their own.

sub move {
    my ($self, $key, $to, %opt) = @_;

    my $from = $self->owner($key);

    $self->move_begin($key, $from, $to);

    if ($opt{during}) {
        $self->move_keys($key, $from, $to, 0.5);
        $opt{during}->();
    }

    $self->move_keys($key, $from, $to);
    $self->move_end($key, $from, $to);

    return $from;
}


sub move_begin {
    my ($self, $key, $from, $to) = @_;

    my $slot = $self->slot($key);

    $to->cmd('CLUSTER', 'SETSLOT', $slot, 'IMPORTING', $from->{id});
    $from->cmd('CLUSTER', 'SETSLOT', $slot, 'MIGRATING', $to->{id});

    return;
}


# Moves a part of the keys (all); returns how many.

sub move_keys {
    my ($self, $key, $from, $to, $part) = @_;

    my $slot  = $self->slot($key);
    my $count = $from->cmd('CLUSTER', 'COUNTKEYSINSLOT', $slot);
    my $left  = defined $part ? int $count * $part : 1e9;
    my $pass  = $self->{opt}{requirepass};
    my $moved = 0;

    while ($left > 0) {
        my $keys = $from->cmd('CLUSTER', 'GETKEYSINSLOT', $slot,
            $left < 20 ? $left : 20);

        last if !@{$keys};

        $from->cmd('MIGRATE', '127.0.0.1', $to->port, '', 0, 5000,
            defined $pass ? ('AUTH', $pass) : (), 'KEYS', @{$keys});
        $left  -= @{$keys};
        $moved += @{$keys};
    }

    return $moved;
}


# The new master takes the slot first: between the two steps it has two owners,
# not none.  Clients may still make keys at the old one until it knows: with
# MIGRATING it creates none.

sub move_end {
    my ($self, $key, $from, $to) = @_;

    my $slot = $self->slot($key);

    $_->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $to->{id}) for $to, $from;

    for my $node ($self->living) {
        my ($own) = grep { $_->{flags}{myself} } $self->view($node);

        $node->cmd('CLUSTER', 'SETSLOT', $slot, 'NODE', $to->{id})
            if $own->{flags}{master} && $node != $to && $node != $from;
    }

    return;
}


# Makes a replica the master of its shard, and waits until it is.  Options:
# how, "FORCE" (the master does not take part) or "TAKEOVER" (nobody is asked).

sub promote {
    my ($self, $replica, %opt) = @_;

    $replica->cmd('CLUSTER', 'FAILOVER', $opt{how} || ());

    return run_until(sub { $self->_is_master($replica) });
}


sub _is_master {
    my ($self, $node) = @_;

    return scalar grep { $_->{flags}{myself} && $_->{flags}{master} }
        $self->view($node);
}


# Whether each living node says that the cluster is well: all slots have an
# owner that answers.  With "replicas", each living replica is linked as well.

sub is_ok {
    my ($self, %opt) = @_;

    for my $node ($self->living) {
        return 0 if $node->cmd('CLUSTER', 'INFO')
            !~ /^cluster_state:ok\r\n.*^cluster_slots_ok:16384\r\n/ms;
        return 0 if $opt{replicas} && $node->cmd('INFO', 'replication')
            =~ /^master_link_status:down/m;
    }

    return 1;
}


# Waits until all of the living nodes agree on who has the slots, and replicas
# are linked; false if they never do.

sub wait_ok {
    my ($self) = @_;

    return run_until(sub {
        return 0 if !$self->is_ok(replicas => 1);

        my %views = map { $self->_summary($_) => 1 } $self->living;
        return 0 if keys %views != 1;

        # one that has been killed is known as failed, another as living

        my $running = $self->living;

        return $running == grep { !/fail/ } split /\n/, (keys %views)[0];
    });
}


sub _summary {
    my ($self, $from) = @_;

    return join "\n", sort map {
        join ' ', $_->{node} ? $_->{node}{id} : '?',
            (map { $_ eq 'fail?' ? 'fail' : $_ } grep { $_ ne 'myself' }
                sort keys %{ $_->{flags} }),
            $_->{master} ? $_->{master}{id} : '-',
            map { "$_->[0]-$_->[1]" } @{ $_->{slots} }
    } $self->view($from);
}


1;
