package MCPTest::Sentinel;

# A master, its replicas and the sentinels that watch them, each a process of
# the test on a port of its own, and the ways in which they fail.  A server is
# an MCPTest::Redis, a sentinel too: kill9(), pause(), cont(), run().
#
#     my $set   = MCPTest::Sentinel->start;
#     my @nginx = start_instances(2, redis => $set);
#
#     $set->master->kill9;
#     $set->wait_switch;
#
# The sentinels know each other and the replicas from the start, so that they
# can fail over at once.  They look at the servers more often than by default,
# and make a master that comes back a replica after about 1 s, not 8.

use strict;
use warnings;

use MCPTest::Conn qw(now hang_after run_until);
use MCPTest::Nginx;
use MCPTest::Proxy;
use MCPTest::Redis;


sub binary {
    my ($program) = grep { -f && -x } map { "$_/redis-sentinel" }
        split /:/, ($ENV{PATH} || '') . ':/usr/bin:/usr/local/bin';

    return $program;
}


# Skips all tests of the file without redis-sentinel; call it first.

sub need {
    MCPTest::Redis::need();

    return if binary() || $ENV{CI};

    Test::More::plan(skip_all => 'no redis-sentinel');

    return;
}


# Starts all processes and returns when the sentinels agree.  Options, all of
# them optional:
#
#   replicas            how many (2)
#   sentinels           how many (3); two must agree that the master is down
#   down_after          milliseconds without an answer after which a sentinel
#                       holds a server for down (1000, more on a busy machine)
#   password            of the servers
#   sentinel_password   of the sentinels
#   users               lines for the ACL of the servers
#   proxied             true: a proxy in front of each server, also for its
#                       replicas and the sentinels, see cut_off()
#   host                a name that the sentinels give instead of 127.0.0.1; it
#                       must be in /etc/hosts: "localhost"
#   tls                 as of MCPTest::Redis, for servers and sentinels
#   env                 a list of { NAME => value }, the environment of servers
#   name                of the set (mymaster)

sub start {
    my ($class, %opt) = @_;

    my $scale = hang_after() / 60;

    $scale = 1 if $scale < 1;

    for (1 .. 3) {
        my $self = bless {
            name       => 'mymaster',
            replicas   => 2,
            number     => 3,
            host       => '127.0.0.1',
            down_after => int 1000 * $scale,
            %opt,
        }, $class;

        $self->{number}  = delete $self->{sentinels} if $opt{sentinels};
        $self->{proxies} = [];

        return $self if $self->_servers && $self->_sentinels;

        $self->clean;
    }

    die "redis-sentinel does not start\n";
}


sub _servers {
    my ($self) = @_;

    my $pass = $self->{password};

    MCPTest::secret($pass);

    my @all = map { MCPTest::Redis->start(started => 0,
        requirepass => $pass, users => $self->{users}, rewritten => 1,
        tls => $self->{tls},
        env => $self->{env} && $self->{env}[$_]) } 0 .. $self->{replicas};

    $self->{servers} = \@all;

    for my $server (@all) {
        my $port = $server->port;

        if ($self->{proxied}) {
            my $proxy = MCPTest::Proxy->new(port => $port);

            push @{ $self->{proxies} }, $proxy;
            $port = $proxy->port;
        }

        $server->{announced} = $port;
        $server->{opt}{config} = [ 'bind 127.0.0.1 -::1',
            'shutdown-timeout 0',
            "replica-announce-ip $self->{host}",
            "replica-announce-port $port",
            defined $pass ? "masterauth $pass" : (),
            $server == $all[0] ? ()
                : "replicaof $self->{host} $all[0]{announced}" ];
    }

    return !grep { !$_->run } @all;
}


sub _sentinels {
    my ($self) = @_;

    my @all = map { MCPTest::Sentinel::Process->start(started => 0,
        requirepass => $self->{sentinel_password}, tls => $self->{tls}) }
        1 .. $self->{number};
    my ($master, @replicas) = $self->servers;
    my ($name, $host)       = @{$self}{qw(name host)};

    MCPTest::secret($self->{sentinel_password});

    $self->{sentinels} = \@all;

    for my $sentinel (@all) {
        $sentinel->{id} = join '', map { sprintf '%02x', rand 256 } 1 .. 20;
    }

    for my $sentinel (@all) {
        my $pass = $self->{sentinel_password};

        $sentinel->{opt}{config} = [
            "sentinel myid $sentinel->{id}",
            $host eq '127.0.0.1' ? () : ('sentinel resolve-hostnames yes',
                'sentinel announce-hostnames yes'),
            defined $pass ? "sentinel sentinel-pass $pass" : (),
            "sentinel monitor $name $host $master->{announced} "
                . ($self->{number} > 1 ? 2 : 1),
            "sentinel down-after-milliseconds $name $self->{down_after}",
            "sentinel failover-timeout $name " . 4 * $self->{down_after},
            "sentinel parallel-syncs $name 2",
            defined $self->{password}
                ? "sentinel auth-pass $name $self->{password}" : (),
            map({ "sentinel known-replica $name $host $_->{announced}" }
                @replicas),
            map({ "sentinel known-sentinel $name 127.0.0.1 "
                . $_->port . " $_->{id}" } grep { $_ != $sentinel } @all) ];
    }

    return !grep({ !$_->run } @all) && $self->agree;
}


sub servers   { return @{ $_[0]{servers} } }
sub sentinels { return @{ $_[0]{sentinels} } }
sub name      { return $_[0]{name} }


# The URL for mcp_sse_redis.  Options: user, pass (of the servers), db, hosts (a
# list of HOST:PORT instead of the sentinels).

sub url {
    my ($self, %opt) = @_;

    my $pass = exists $opt{pass} ? $opt{pass} : $self->{password};
    my $user = defined $opt{user} ? $opt{user} : '';

    MCPTest::secret($pass);

    my @hosts = $opt{hosts} ? @{ $opt{hosts} }
        : map { $_->name } $self->sentinels;

    return 'redis' . ($self->{tls} ? 's' : '') . '://'
        . (defined $pass ? "$user:$pass\@" : '') . join(',', @hosts)
        . (defined $opt{db} ? "/$opt{db}" : '');
}


# The parameters beside it.  Option: auth, the text of the file of
# sentinel_auth, "" for none, instead of the sentinels' password.

my $files;

sub parameters {
    my ($self, %opt) = @_;

    my $auth = defined $opt{auth} ? $opt{auth} : $self->{sentinel_password};
    my $text = "sentinel=$self->{name}";

    return $text if !defined $auth || $auth eq '';

    my $name = ($self->sentinels)[0]->dir . '/auth' . ++$files;

    write_auth($name, $auth);

    return "$text sentinel_auth=$name";
}


# Writes a file of sentinel_auth.

sub write_auth {
    my ($name, $text) = @_;

    MCPTest::secret((split /:/, $text)[-1]);

    open my $file, '>', $name or die "$name: $!\n";
    chmod 0600, $name;
    print {$file} "$text\n";
    close $file or die "$name: $!\n";

    return;
}


sub directives { return $_[0]{servers}[0]->directives }


# ---- what the sentinels say

sub _alive { return grep { $_->answers } @_ }


# What a sentinel says of the master, or of the "replicas" or other "sentinels"
# of its set: hashes by names as of Redis.

sub ask {
    my ($self, $sentinel, $what) = @_;

    my $reply = eval {
        $sentinel->cmd('SENTINEL', uc $what, $self->{name})
    } or return;

    return { @{$reply} } if $what eq 'master';

    return map { { @{$_} } } @{$reply};
}


sub server_at {
    my ($self, $port) = @_;

    my ($server) = grep { $_->{announced} == ($port || 0) } $self->servers;

    return $server;
}


# The server that most of the living sentinels hold for the master, or undef.

sub master {
    my ($self) = @_;

    my @alive = _alive($self->sentinels);
    my %votes;

    $votes{ ($self->ask($_, 'master') || {})->{port} || 0 }++ for @alive;

    my ($port) = grep { $votes{$_} * 2 > @alive } keys %votes;

    return $self->server_at($port);
}


sub replicas {
    my ($self) = @_;

    my $master = $self->master || 0;

    return grep { $_ != $master } $self->servers;
}


# Waits until all living sentinels name the same master, which is one, all other
# living servers follow it, and nothing that lives is held for down.

sub agree {
    my ($self) = @_;

    return run_until(sub { !defined $self->_disagree })
        || do { Test::More::diag($self->_disagree || 'they agree now'); 0 };
}


# What an agreement still lacks.

sub _disagree {
    my ($self) = @_;

    my @alive  = _alive($self->sentinels);
    my $master = $self->master or return 'no master';

    return 'the master is dead' if !_alive($master);

    my @follow = grep { $_ != $master } _alive($self->servers);

    for my $server ($master, @follow) {
        my $said = eval { $server->cmd('ROLE') } || [ 'none' ];
        my $role = $said->[0] eq 'slave' ? "@{$said}[0 .. 3]" : $said->[0];
        my $want = $server == $master ? 'master'
            : "slave $self->{host} $master->{announced} connected";

        return $server->name . ": $role, not $want" if $role ne $want;
    }

    for my $sentinel (@alive) {
        my $said = $self->ask($sentinel, 'master') || {};
        my %of   = map { $_->{port} => $_ } $self->ask($sentinel, 'replicas');

        return $sentinel->name . ': another master'
            if ($said->{port} || 0) != $master->{announced}
            || $said->{flags} ne 'master';

        for my $server (@follow) {
            my $of = $of{ $server->{announced} } || { flags => 'none' };

            return $sentinel->name . ': replica ' . $server->name
                . " is $of->{flags}" if $of->{flags} ne 'slave'
                || $of->{'master-link-status'} ne 'ok'
                || $of->{'master-port'} != $master->{announced};
        }

        my $peers = grep { $_->{flags} eq 'sentinel' }
            $self->ask($sentinel, 'sentinels');

        return $sentinel->name . ": $peers other sentinels"
            if $peers != @alive - 1;
    }

    return;
}


# Changes constants of all living sentinels: "publish-period" and others of
# SENTINEL DEBUG, in milliseconds.

sub debug {
    my ($self, %value) = @_;

    $_->debug(%value) for _alive($self->sentinels);

    return;
}


# What the sentinels have published since they were started: { time, sentinel,
# event, text }, in the order of time.

sub events {
    my ($self, $pattern) = @_;

    my @events = map { my $sentinel = $_; map { { time => $_->{time},
        sentinel => $sentinel, event => $_->{channel}, text => $_->{bytes} } }
        $sentinel->published } $self->sentinels;

    return sort { $a->{time} <=> $b->{time} }
        grep { !$pattern || $_->{event} =~ $pattern } @events;
}


# Waits until one of the sentinels says +switch-master and all living ones name
# the new master; returns the time of the first.  Options: since, a time; from,
# the old master, since it became the master.

sub wait_switch {
    my ($self, %opt) = @_;

    my $first;

    run_until(sub {
        my @said = map { { time => $_->{time}, ports =>
            [ $_->{text} =~ / (\d+) \S+ (\d+)\z/ ] } }
            $self->events(qr/\A\+switch-master\z/);

        @said = grep { $_->{time} > $opt{since} } @said if $opt{since};

        if (my $from = $opt{from} && $opt{from}{announced}) {
            my ($n) = grep { $said[$_]{ports}[1] == $from } reverse 0 .. $#said;

            splice @said, 0, $n + 1 if defined $n;
            @said = grep { $_->{ports}[0] == $from } @said;
        }

        ($first) = @said or return;

        return !grep { my $of = $self->ask($_, 'master');
            !$of || $of->{port} != $first->{ports}[1] }
            _alive($self->sentinels);
    });

    return $first ? $first->{time} : undef;
}


# ---- faults

# Lets the sentinels choose this replica when they must choose.

sub prefer {
    my ($self, $server) = @_;

    $_->cmd('CONFIG', 'SET', 'replica-priority', $_ == $server ? 1 : 100)
        for _alive($self->servers);

    return run_until(sub {
        return !grep { my $sentinel = $_;
            grep { $_->{port} == $server->{announced}
                ? $_->{'slave-priority'} != 1 : $_->{'slave-priority'} == 1 }
                $self->ask($sentinel, 'replicas')
        } _alive($self->sentinels);
    });
}


# Lets a sentinel make a replica the master though the master lives: returns the
# time of +switch-master.  The old master stays one until the sentinels tell it,
# four times their publish-period later at least.

sub promote {
    my ($self, $server) = @_;

    my $since = now();

    $self->prefer($server);

    my ($sentinel) = _alive($self->sentinels);

    run_until(sub { eval { $sentinel->cmd('SENTINEL', 'FAILOVER',
        $self->{name}) } });

    return $self->wait_switch(since => $since);
}


# The proxy of a server.

sub proxy {
    my ($self, $server) = @_;

    my ($n) = grep { $self->{servers}[$_] == $server }
        0 .. $#{ $self->{servers} };

    return $self->{proxies}[$n];
}


# Loses what is sent to a server ("up"), what it sends ("down"), or both, from
# all others; needs proxied.  heal() ends that and all its connections.

sub cut_off {
    my ($self, $server, @ways) = @_;

    $self->proxy($server)->lose($_) for @ways ? @ways : qw(up down);

    return;
}


sub heal {
    my ($self, $server) = @_;

    my $proxy = $self->proxy($server);

    $proxy->cut(reset => 1);
    $proxy->resume;

    return;
}


# Holds what the master sends to a replica from now on: it believes that it
# follows, and knows nothing new.  Returns the MCPTest::Proxy::Pair: end(1)
# loses what was held.  Needs proxied.

sub hold_replica {
    my ($self, $server) = @_;

    my ($link) = grep { $_->{flags} =~ /M/ } $server->clients(own => 1);
    my ($pair) = grep { $link->{laddr} =~ /:\Q@{[ $_->client_port ]}\E\z/ }
        map { $_->pairs } @{ $self->{proxies} };

    $pair->pause;

    return $pair;
}


# ---- the end

sub clean {
    my ($self) = @_;

    $_->kill9 for @{ $self->{sentinels} || [] }, @{ $self->{servers} || [] };
    $_->stop for @{ $self->{proxies} };
    $_->clean for @{ $self->{sentinels} || [] }, @{ $self->{servers} || [] };

    return;
}


package MCPTest::Sentinel::Process;

# One sentinel: it keeps its own state in its configuration file, also over
# kill9() and run().

use strict;
use warnings;

use MCPTest::Conn qw(now);

use parent -norequire, 'MCPTest::Redis';


sub program { return MCPTest::Sentinel::binary() }


sub _configure {
    my ($self) = @_;

    my $dir   = $self->{dir};
    my @lines = ('bind 127.0.0.1', $self->_ports, "unixsocket $dir/sock",
        "dir $dir", "logfile $dir/log", 'daemonize no',
        defined $self->{opt}{requirepass}
            ? "requirepass $self->{opt}{requirepass}" : (),
        @{ $self->{opt}{config} || [] });

    return if -e "$dir/redis.conf";

    open my $file, '>', "$dir/redis.conf" or die "redis.conf: $!\n";
    print {$file} map { "$_\n" } @lines;
    close $file or die "redis.conf: $!\n";

    return;
}


sub run {
    my ($self) = @_;

    return 1 if $self->{pid};

    $self->SUPER::run or return 0;

    # no rest after the machine was busy for 2 s (tilt-trigger)

    $self->debug('tilt-trigger' => 60_000, 'info-period' => 1000,
        'publish-period' => 250);
    push @{ $self->{subscribed} }, $self->subscribe('*');

    return 1;
}


sub debug {
    my ($self, %value) = @_;

    $self->cmd('SENTINEL', 'DEBUG', $_, $value{$_}) for sort keys %value;

    return;
}


# All that it has published.

sub published {
    my ($self) = @_;

    return map { $_->messages } @{ $self->{subscribed} || [] };
}


1;
