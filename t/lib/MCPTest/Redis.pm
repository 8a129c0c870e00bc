package MCPTest::Redis;

# A redis-server of the test: its process, commands, its keys, and ways to make
# it fail.  The address for mcp_sse_redis is url().
#
#     my $redis = start_redis(requirepass => 'a-long-password');
#     my @nginx = start_instances(2, redis => $redis);
#
#     $redis->pause;

use strict;
use warnings;

use File::Path ();
use File::Temp ();
use POSIX qw(WNOHANG _exit);
use Scalar::Util qw(blessed);

use MCPTest::Certificates;
use MCPTest::Conn qw(now hang_after run_until);
use MCPTest::RESP;

my (@all, %patterns);


# Patterns of what the module says about Redis in the error log and in /health,
# in one place for all tests.

%patterns = (
    ready    => qr/\[notice\] .*mcp sse: redis "[^"]*" is ready/,
    lost     => qr/\[error\] .*mcp sse: redis "[^"]*" is lost: /,
    trouble  => qr/\[(?:warn|error)\] .*mcp sse: redis "/,
    dropped  => qr/\[(?:warn|error)\] .*mcp sse: redis "[^"]*" delivered /,
    reason   => qr/redis/i,
);


sub pattern {
    my ($name) = @_;

    return $patterns{$name} || die "no such pattern: $name\n";
}


sub binary {
    my ($server) = grep { -f && -x } $ENV{MCP_SSE_REDIS} || (),
        map { "$_/redis-server" } split /:/, ($ENV{PATH} || '')
            . ':/usr/bin:/usr/local/bin';

    return $server;
}


# Skips all tests of the file without redis-server; call it first.

sub need {
    return if binary() || $ENV{CI};

    Test::More::plan(skip_all => 'no redis-server');

    return;
}


# Whether tests of faults run fewer cases: sanitizers make nginx slow.

sub short { return $ENV{MCP_SSE_SANITIZE} }


# Starts a server on a port and on a Unix socket.  Options, all of them
# optional:
#
#   requirepass    of the default user
#   users          a list of lines as in an ACL file: "user mcp on >word ..."
#   maxmemory      "2mb", with maxmemory_policy
#   appendonly     true to keep the data over restart(), even kill9()
#   replicaof      another of these objects
#   config         a list of further lines for redis.conf
#   rewritten      true: what CONFIG REWRITE has written counts when the server
#                  is started again
#   env            { NAME => value } for the environment of the process
#   tls            1, or a certificate of MCPTest::Certificates->shared->make:
#                  the port is one of TLS, and there is no other; the test's own
#                  commands go through the Unix socket
#   clients        with tls, 1: only clients with a certificate of that CA
#   started        0: choose the address, but do not start the server

sub start {
    my ($class, %opt) = @_;

    my $self;

    for (1 .. 5) {
        $self = bless {
            opt   => { %opt },
            dir   => File::Temp::tempdir('mcp-redis-XXXXXX', TMPDIR => 1,
                         CLEANUP => 0),
            port  => MCPTest::Nginx::free_port(),
            owner => $$,
        }, $class;

        $self->{tls} = _certificate($opt{tls}) if $opt{tls};

        push @all, $self;

        return $self if exists $opt{started} && !$opt{started};
        return $self if $self->run;
        last if $self->log !~ /Address already in use/;

        pop(@all)->clean;
    }

    my @lines = split /\n/, $self->log;

    Test::More::diag(join "\n", 'redis-server does not start:',
        splice @lines, @lines > 10 ? -10 : 0);
    die "redis-server does not start\n";
}


sub port { return $_[0]{port} }
sub unix { return "$_[0]{dir}/sock" }
sub dir  { return $_[0]{dir} }
sub pid  { return $_[0]{pid} }
sub name { return "127.0.0.1:$_[0]{port}" }


# The certificate of a server that tests do not care about is for 127.0.0.1 and
# two names.

my $usual;

sub _certificate {
    my ($given) = @_;

    return $given if ref $given;

    return $usual ||= MCPTest::Certificates->shared->make(
        ip => [ '127.0.0.1' ], dns => [ 'localhost', 'redis.test' ]);
}


# Another certificate, for connections from now on.

sub use_certificate {
    my ($self, $cert) = @_;

    $self->{tls} = $cert;
    $self->cmd('CONFIG', 'SET', 'tls-cert-file', $cert->{cert},
        'tls-key-file', $cert->{key});

    return;
}


# What mcp_sse_redis needs beside url(): the CA of the certificate, and one of
# the client where the server wants it.

my $client;

sub directives {
    my ($self) = @_;

    return '' if !$self->{tls};

    my $certs = MCPTest::Certificates->shared;
    my $lines = 'mcp_sse_redis_ssl_trusted_certificate ' . $certs->ca . ';';

    if ($self->{opt}{clients}) {
        $client ||= $certs->make(name => 'mcp', usage => 'clientAuth');
        $lines .= "mcp_sse_redis_ssl_certificate $client->{cert};"
            . "mcp_sse_redis_ssl_certificate_key $client->{key};";
    }

    return $lines;
}


# The URL for mcp_sse_redis.  Options: user, pass, db, host, port (of a proxy),
# unix (true for the socket).

sub url {
    my ($self, %opt) = @_;

    my $pass = exists $opt{pass} ? $opt{pass} : $self->{opt}{requirepass};
    my $user = defined $opt{user} ? $opt{user} : '';

    MCPTest::secret($pass);

    my $who = defined $pass ? "$user:$pass\@" : '';

    return 'unix:' . ($who eq '' ? '' : "//$who") . $self->unix
        . (defined $opt{db} ? "?db=$opt{db}" : '') if $opt{unix};

    return ($self->{tls} ? 'rediss' : 'redis') . "://$who"
        . ($opt{host} || '127.0.0.1') . ':' . ($opt{port} || $self->{port})
        . (defined $opt{db} ? "/$opt{db}" : '');
}


sub program { return binary() }


sub _configure {
    my ($self) = @_;

    my %opt   = %{ $self->{opt} };
    my $dir   = $self->{dir};

    return if $opt{rewritten} && -e "$dir/redis.conf";

    my @lines = (
        'bind 127.0.0.1',
        $self->_ports,
        "unixsocket $dir/sock",
        'unixsocketperm 777',
        "dir $dir",
        "logfile $dir/log",
        'daemonize no',
        'save ""',
        'databases 16',
        'repl-diskless-sync-delay 0',
        'enable-debug-command yes',
        'appendonly ' . ($opt{appendonly} ? 'yes' : 'no'),
        'appendfsync no',
    );

    push @lines, "requirepass $opt{requirepass}"
        if defined $opt{requirepass};
    push @lines, "maxmemory $opt{maxmemory}" if defined $opt{maxmemory};
    push @lines, "maxmemory-policy $opt{maxmemory_policy}"
        if defined $opt{maxmemory_policy};
    push @lines, @{ $opt{users} || [] }, @{ $opt{config} || [] };

    if (my $master = $opt{replicaof}) {
        push @lines, 'replicaof 127.0.0.1 ' . $master->port;
        push @lines, "masterauth $master->{opt}{requirepass}"
            if defined $master->{opt}{requirepass};
    }

    open my $file, '>', "$dir/redis.conf" or die "redis.conf: $!\n";
    print {$file} map { "$_\n" } @lines;
    close $file or die "redis.conf: $!\n";

    return;
}


sub _ports {
    my ($self) = @_;

    return "port $self->{port}" if !$self->{tls};

    return (
        'port 0',
        "tls-port $self->{port}",
        "tls-cert-file $self->{tls}{cert}",
        "tls-key-file $self->{tls}{key}",
        'tls-ca-cert-file ' . MCPTest::Certificates->shared->ca,
        'tls-auth-clients ' . ($self->{opt}{clients} ? 'yes' : 'no'),
        'tls-replication yes',
        'tls-session-caching no',
    );
}


# Starts the process; returns true once it answers.

sub run {
    my ($self) = @_;

    return 1 if $self->{pid};

    my $server = $self->program or die "no redis-server\n";

    chmod 0755, $self->{dir};
    $self->_configure;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/log";
        open STDERR, '>&', \*STDOUT;
        MCPTest::Nginx::_end_with_parent();
        %ENV = (%ENV, %{ $self->{opt}{env} || {} });
        exec $server, "$self->{dir}/redis.conf" or _exit(127);
    }

    $self->{pid} = $pid;

    my $end = now() + hang_after();

    while (now() < $end) {

        if (waitpid($pid, WNOHANG) == $pid) {
            delete $self->{pid};
            return 0;
        }

        my $pong = eval { $self->cmd('PING') };
        return 1 if defined $pong && $pong eq 'PONG';

        MCPTest::Conn::sleep_for(0.02);
    }

    $self->kill9;

    return 0;
}


sub log {
    my ($self) = @_;

    open my $file, '<', "$self->{dir}/log" or return '';
    local $/;

    my $text = <$file>;

    return defined $text ? $text : '';
}


# ---- stop and restart

sub _gone {
    my ($self, $timeout) = @_;

    my $pid  = $self->{pid} or return 1;
    my $gone = run_until(sub { waitpid($pid, WNOHANG) != 0 }, $timeout);

    if ($gone) {
        delete @{$self}{qw(pid paused)};
        $self->_forget;
    }

    return $gone;
}


sub _forget {
    my ($self) = @_;

    my $conn = delete $self->{conn};
    $conn->close if $conn;

    return;
}


sub stop {
    my ($self) = @_;

    return 1 unless $self->{pid} && $self->{owner} == $$;

    kill CONT => $self->{pid};
    kill TERM => $self->{pid};

    return $self->_gone(20) || $self->kill9;
}


sub kill9 {
    my ($self) = @_;

    return 1 unless $self->{pid} && $self->{owner} == $$;

    kill KILL => $self->{pid};

    return $self->_gone;
}


# Kills the server if it runs and starts it again.  Option: keep, true to keep
# the data (needs appendonly).

sub restart {
    my ($self, %opt) = @_;

    $self->kill9;
    $self->forget_data if !$opt{keep};

    return $self->run;
}


sub forget_data {
    my ($self) = @_;

    File::Path::remove_tree("$self->{dir}/appendonlydir",
        { error => \my $ignored });
    unlink glob "$self->{dir}/*.rdb";

    return;
}


# Stops the process (SIGSTOP): it does not answer, but its connections stay.

sub pause {
    my ($self) = @_;

    kill STOP => $self->{pid};
    $self->{paused} = 1;

    return;
}


sub cont {
    my ($self) = @_;

    kill CONT => $self->{pid};
    delete $self->{paused};

    return;
}


# Whether it runs and is not paused.

sub answers { return $_[0]{pid} && !$_[0]{paused} }


# ---- commands

# Opens a connection of the test itself, in its event loop.

sub connect {
    my ($self, %opt) = @_;

    my $conn = MCPTest::RESP->connect_to($self->{tls} ? $self->unix
        : $self->{port});
    my $pass = exists $opt{pass} ? $opt{pass} : $self->{opt}{requirepass};

    $conn->cmd('AUTH', defined $opt{user} ? $opt{user} : (), $pass)
        if defined $pass;
    $conn->cmd('SELECT', $opt{db}) if $opt{db};
    $conn->cmd('CLIENT', 'SETNAME', $opt{name} || 'test');

    return $conn;
}


# Runs one command and returns its reply; the event loop turns while it waits.
# An error of Redis dies with its text.

sub cmd {
    my ($self, @words) = @_;

    delete $self->{conn} if $self->{conn} && $self->{conn}{closed};

    my $conn = $self->{conn} ||= $self->connect;

    return $conn->cmd(@words);
}


# CLIENT LIST as a list of hashes; without the connections of the test itself
# unless asked for.

sub clients {
    my ($self, %opt) = @_;

    my @clients;

    for my $line (split /\n/, $self->cmd('CLIENT', 'LIST')) {
        my %client = map { /\A([^=]+)=(.*)\z/ ? ($1 => $2) : () }
            split / /, $line;

        push @clients, \%client
            if $opt{own} || ($client{name} || '') ne 'test';
    }

    return @clients;
}


# Ends connections by "name" ("mcp-sse-cmd", "mcp-sse-sub") or by "type"
# ("normal", "pubsub"); returns how many.

sub kill_clients {
    my ($self, %by) = @_;

    return $self->cmd('CLIENT', 'KILL', 'TYPE', $by{type}, 'SKIPME', 'yes')
        if defined $by{type};

    my $n = 0;

    for my $client ($self->clients) {
        next if defined $by{name} && $client->{name} ne $by{name};
        $n += $self->cmd('CLIENT', 'KILL', 'ID', $client->{id});
    }

    return $n;
}


# How often a command has been called since the server was started.

sub calls {
    my ($self, $command) = @_;

    my ($n) = $self->cmd('INFO', 'commandstats')
        =~ /^cmdstat_\Q$command\E:calls=(\d+)/m;

    return $n || 0;
}


# Collects the commands of all clients from now on (MONITOR); see MCPTest::RESP.

sub monitor {
    my ($self) = @_;

    my $conn = $self->connect;

    $conn->cmd('MONITOR');

    return $conn;
}


# Collects what is published on channels that match a pattern from now on.

sub subscribe {
    my ($self, $pattern) = @_;

    my $conn = $self->connect;

    $conn->{pushed} = [];
    $conn->cmd('PSUBSCRIBE', $pattern);

    return $conn;
}


# All keys of a database: { key => { type, value, ttl } }, ttl in
# milliseconds, -1 if it has none.

sub dump {
    my ($self, %opt) = @_;

    my $conn = $self->connect(db => $opt{db});
    my $from = 0;
    my %all;

    my %read = (
        string => sub { $conn->cmd('GET', $_[0]) },
        list   => sub { $conn->cmd('LRANGE', $_[0], 0, -1) },
        set    => sub { $conn->cmd('SMEMBERS', $_[0]) },
        hash   => sub { $conn->cmd('HGETALL', $_[0]) },
        zset   => sub { $conn->cmd('ZRANGE', $_[0], 0, -1, 'WITHSCORES') },
        stream => sub { $conn->cmd('XRANGE', $_[0], '-', '+') },
    );

    do {
        my $page = $conn->cmd('SCAN', $from, 'COUNT', 1000);

        $from = $page->[0];

        for my $key (@{ $page->[1] }) {
            my $type = $conn->cmd('TYPE', $key);
            next if $type eq 'none';

            $all{$key} = {
                type  => $type,
                value => $read{$type}->($key),
                ttl   => $conn->cmd('PTTL', $key),
            };
        }
    } while ($from);

    $conn->close;

    return \%all;
}


# Makes the server a replica of another one, or with undef a master again.

sub replica_of {
    my ($self, $master) = @_;

    $self->cmd('REPLICAOF', $master ? ('127.0.0.1', $master->port)
        : ('NO', 'ONE'));

    return $self->wait_replica if $master;

    return 1;
}


sub wait_replica {
    my ($self) = @_;

    return run_until(sub {
        return $self->cmd('INFO', 'replication') =~ /master_link_status:up/;
    });
}


# ---- the end

sub clean {
    my ($self) = @_;

    return if $self->{owner} != $$ || $self->{cleaned}++;

    $self->stop;
    $self->_forget;

    if ($ENV{KEEP} && !Test::More->builder->is_passing) {
        Test::More::diag("kept: $self->{dir}");
        return;
    }

    File::Path::remove_tree($self->{dir}, { safe => 0 });

    return;
}


sub all { return @all }


1;
