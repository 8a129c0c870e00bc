package MCPTest::FakeRedis;

# A Redis in the event loop of the test: it knows the commands that the module
# uses, and answers any of them as the test says.
#
#     my $redis = MCPTest::FakeRedis->new;
#     my $nginx = start_nginx(redis => $redis->url);
#
#     $redis->answer(sub {
#         my ($conn, @words) = @_;
#         return "-ERR no\r\n" if $words[0] eq 'TIME';
#     });
#
# The function returns the bytes of the reply; undef: as Redis would; an empty
# string: no reply; \'close': the connection is closed.
#
#     $redis->become('b' x 40, 2);      # another master, 2 seconds ahead
#
# With tls => { cert, key, ... } it speaks TLS (MCPTest::TLS), and heard() has
# every byte that clients have said after the handshake.

use strict;
use warnings;

use Socket qw(PF_INET SOCK_STREAM SOL_SOCKET SO_REUSEADDR IPPROTO_TCP
    TCP_NODELAY pack_sockaddr_in unpack_sockaddr_in inet_aton SOMAXCONN);
use Time::HiRes ();

use MCPTest::Conn;


sub new {
    my ($class, %opt) = @_;

    socket(my $sock, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    setsockopt($sock, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($sock, pack_sockaddr_in(0, inet_aton('127.0.0.1')))
        or die "bind: $!\n";
    listen($sock, SOMAXCONN) or die "listen: $!\n";

    my $self = bless {
        sock     => $sock,
        out      => '',
        port     => (unpack_sockaddr_in(getsockname $sock))[0],
        answer   => sub { return },
        accept   => sub { return 1 },
        commands => [],         # [ connection, word, ... ]
        conns    => [],
        accepted => 0,
        keys     => {},
        heard    => '',
        sessions => [],         # of TLS, also of closed connections
        run_id   => 'a' x 40,
        ahead    => 0,          # seconds, of its clock
    }, $class;

    if ($opt{tls}) {
        require MCPTest::TLS;
        $self->{tls} = MCPTest::TLS->new(%{ $opt{tls} });
    }

    MCPTest::Conn::register($self);

    return $self;
}


sub port     { return $_[0]{port} }
sub heard    { return $_[0]{heard} }
sub sessions { return @{ $_[0]{sessions} } }
sub name     { return "127.0.0.1:$_[0]{port}" }
sub keys     { return $_[0]{keys} }
sub accepted { return $_[0]{accepted} }


# The URL for mcp_sse_redis.  Options: user, pass, host.

sub url {
    my ($self, %opt) = @_;

    my $who = defined $opt{pass} ? ($opt{user} || '') . ":$opt{pass}\@" : '';

    return ($self->{tls} ? 'rediss' : 'redis') . "://$who"
        . ($opt{host} || '127.0.0.1') . ":$self->{port}";
}


# Another certificate, for connections from now on.

sub use_certificate {
    my ($self, %tls) = @_;

    $self->{tls} = MCPTest::TLS->new(%tls);

    return;
}


sub answer {
    my ($self, $answer) = @_;

    $self->{answer} = $answer || sub { return };

    return;
}


# A function of the connection that says whether it stays open.

sub accept {
    my ($self, $accept) = @_;

    $self->{accept} = $accept || sub { return 1 };

    return;
}


# The commands since the last call, as text; of published bytes "...".

sub said {
    my ($self, $pattern) = @_;

    return grep { !defined $pattern || $_ =~ $pattern } map {
        my ($conn, @words) = @$_;
        $words[2] = '...' if $words[0] =~ /PUBLISH\z/;
        "@words";
    } splice @{ $self->{commands} };
}


sub has_said {
    my ($self, $pattern) = @_;

    return scalar grep { join(' ', @$_[1 .. $#$_]) =~ $pattern }
        @{ $self->{commands} };
}


# Sends bytes to a connection of this name: "mcp-sse-cmd" or "mcp-sse-sub".

sub push_bytes {
    my ($self, $name, $bytes) = @_;

    $_->send($bytes) for grep { ($_->{name} || '') eq $name }
        @{ $self->{conns} };

    return;
}


# Another master takes its place, as behind an address that does not change: it
# has a run_id and a clock of its own, and the keys.

sub become {
    my ($self, $run_id, $ahead) = @_;

    $self->{run_id} = $run_id;
    $self->{ahead}  = $ahead || 0;
    $self->cut;

    return;
}


sub cut { my @conns = @{ $_[0]{conns} }; $_->close for @conns; return }


sub bulk { return '$' . length($_[0]) . "\r\n$_[0]\r\n" }

sub array { return '*' . @_ . "\r\n" . join '', map { bulk($_) } @_ }


# What Redis would answer.

sub usual {
    my ($self, $conn, $word, @args) = @_;

    my $keys = $self->{keys};
    my $of   = sub { defined $keys->{ $_[0] } ? bulk($keys->{ $_[0] })
        : "\$-1\r\n" };

    if ($word eq 'SET') {
        my ($key, $value, @opt) = @args;
        my $old = $of->($key);

        return $old if grep({ $_ eq 'NX' } @opt) && defined $keys->{$key};

        $keys->{$key} = $value;
        return grep({ $_ eq 'GET' } @opt) ? $old : "+OK\r\n";
    }

    return $of->($args[0]) if $word eq 'GETEX';
    return '*' . @args . "\r\n" . join '', map { $of->($_) } @args
        if $word eq 'MGET';

    if ($word eq 'DEL') {
        return ':' . (defined delete $keys->{ $args[0] } ? 1 : 0) . "\r\n";
    }

    if ($word =~ /\AS?SUBSCRIBE\z/) {
        my $n = 0;

        $conn->{channels}{$_} = 1 for @args;
        return join '', map { $n++; "*3\r\n" . bulk(lc $word) . bulk($_)
            . ":$n\r\n" } @args;
    }

    if ($word =~ /\A(S?)PUBLISH\z/) {
        my @to = grep { $_->{channels}{ $args[0] } } @{ $self->{conns} };

        $_->send(array(lc "$1message", @args)) for @to;
        return ':' . @to . "\r\n";
    }

    if ($word eq 'TIME') {
        my ($sec, $usec) = Time::HiRes::gettimeofday();

        return array($sec + $self->{ahead}, $usec);
    }

    return "*3\r\n" . bulk('master') . ":0\r\n*0\r\n" if $word eq 'ROLE';
    return bulk("# Server\r\nredis_version:7.0.15\r\nrun_id:$self->{run_id}"
        . "\r\ntcp_port:6379\r\n") if $word eq 'INFO';
    return array('maxmemory-policy', 'noeviction') if $word eq 'CONFIG';
    return "*0\r\n" if $word eq 'ZRANGEBYSCORE';
    return ":1\r\n" if $word =~ /\AZ/;

    return "+OK\r\n";
}


sub _write { return }


sub _read {
    my ($self) = @_;

    while (CORE::accept(my $sock, $self->{sock})) {

        # as Redis: the reply to TIME is not held back

        setsockopt($sock, IPPROTO_TCP, TCP_NODELAY, 1);

        my $conn = bless { sock => $sock, in => '', out => '',
            redis => $self, channels => {} }, 'MCPTest::FakeRedis::Conn';

        $self->{accepted}++;
        push @{ $self->{conns} }, $conn;

        if ($self->{tls}) {
            $conn->{tls} = $self->{tls}->session;
            push @{ $self->{sessions} }, $conn->{tls};
        }

        MCPTest::Conn::register($conn);
        $conn->close if !$self->{accept}->($conn);
    }

    return;
}


package MCPTest::FakeRedis::Conn;

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);


sub send {
    my ($self, $bytes) = @_;

    if ($self->{tls}) {
        $self->{tls}->put($bytes);
        $bytes = $self->{tls}->take;
    }

    $self->{out} .= $bytes;
    $self->_write;

    return;
}


sub close {
    my ($self) = @_;

    return if $self->{closed};

    $self->{closed} = 1;
    MCPTest::Conn::unregister($self);
    CORE::close($self->{sock});

    my $redis = $self->{redis};

    @{ $redis->{conns} } = grep { $_ != $self } @{ $redis->{conns} };

    return;
}


sub _write {
    my ($self) = @_;

    while (length $self->{out} && !$self->{closed}) {
        local $SIG{PIPE} = 'IGNORE';
        my $n = syswrite $self->{sock}, $self->{out};

        if (!defined $n) {
            return if $! == EAGAIN || $! == EINTR;
            return $self->close;
        }

        substr $self->{out}, 0, $n, '';
    }

    return;
}


sub _read {
    my ($self) = @_;

    my $n = sysread $self->{sock}, my $bytes, 262144;

    if (!defined $n) {
        return if $! == EAGAIN || $! == EINTR;
        return $self->close;
    }

    return $self->close if $n == 0;

    $bytes = $self->_decrypt($bytes) if $self->{tls};
    $self->{in} .= $bytes;

    while (!$self->{closed} && $self->{in} =~ /\A\*(\d+)\r\n/) {
        my ($left, $at, @words) = ($1, $+[0]);

        while ($left && substr($self->{in}, $at) =~ /\A\$(\d+)\r\n/) {
            last if length($self->{in}) < $at + $+[0] + $1 + 2;

            push @words, substr $self->{in}, $at + $+[0], $1;
            $at += $+[0] + $1 + 2;
            $left--;
        }

        last if $left;

        substr $self->{in}, 0, $at, '';
        $self->_command(@words);
    }

    return;
}


# Bytes of the network: what the client has said with them.

sub _decrypt {
    my ($self, $bytes) = @_;

    my $said = $self->{tls}->get($bytes);

    $self->{redis}{heard} .= $said;
    $self->{out} .= $self->{tls}->take;
    $self->_write;
    $self->close if $self->{tls}->error;

    return $said;
}


sub _command {
    my ($self, @words) = @_;

    my $redis = $self->{redis};

    push @{ $redis->{commands} }, [ $self, @words ];
    $self->{name} = $words[2] if $words[0] eq 'CLIENT';

    my $reply = $redis->{answer}->($self, @words);

    return $self->close if ref $reply;

    $self->send(defined $reply ? $reply : $redis->usual($self, @words));

    return;
}

1;
