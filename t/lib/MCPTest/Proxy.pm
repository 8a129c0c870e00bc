package MCPTest::Proxy;

# A TCP proxy in the event loop, between nginx and Redis for example.  It can
# hold, lose, delay or change the bytes of one direction, and cut connections.
# "up" is what the client sends, "down" what the server sends.
#
#     my $proxy = MCPTest::Proxy->new(port => $redis->port);
#     my $nginx = start_nginx(redis => $redis->url(port => $proxy->port));
#
#     $proxy->pause('down');

use strict;
use warnings;

use Socket qw(PF_INET SOCK_STREAM SOL_SOCKET SO_RCVBUF SO_REUSEADDR SO_LINGER
    pack_sockaddr_in unpack_sockaddr_in inet_aton SOMAXCONN);

use MCPTest::Conn qw(now);


# Options: port of the server; filter, a function of the direction, the bytes
# and the number of the connection, which returns the bytes to pass on.

sub new {
    my ($class, %opt) = @_;

    my $self = bless {
        server => $opt{port},
        filter => $opt{filter},
        out    => '',
        pairs  => [],
        count  => 0,
        held   => { up => 0, down => 0 },
        lost   => { up => 0, down => 0 },
        delay  => { up => 0, down => 0 },
        bytes  => { up => 0, down => 0 },
    }, $class;

    $self->listen;

    return $self;
}


sub port  { return $_[0]{port} }
sub count { return $_[0]{count} }
sub bytes { return $_[0]{bytes}{ $_[1] } }


# Accepts connections, after refuse() on the same port again.

sub listen {
    my ($self) = @_;

    return if $self->{sock};

    socket(my $sock, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    setsockopt($sock, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($sock, pack_sockaddr_in($self->{port} || 0, inet_aton('127.0.0.1')))
        or die "bind: $!\n";
    CORE::listen($sock, SOMAXCONN) or die "listen: $!\n";

    $self->{sock} = $sock;
    $self->{port} = (unpack_sockaddr_in(getsockname $sock))[0];

    MCPTest::Conn::register($self);

    return;
}


# Refuses new connections from now on; open ones stay.

sub refuse {
    my ($self) = @_;

    return unless $self->{sock};

    MCPTest::Conn::unregister($self);
    CORE::close(delete $self->{sock});

    return;
}


# Ends all connections; option: reset.

sub cut {
    my ($self, %opt) = @_;

    $_->end($opt{reset}) for @{ $self->{pairs} };
    $self->{pairs} = [];

    return;
}


sub stop { my ($self) = @_; $self->refuse; $self->cut; return }


# Holds the bytes of a direction ("up", "down") until resume().

sub pause {
    my ($self, $way) = @_;

    $self->{held}{$way} = 1;
    $self->_update;

    return;
}


sub resume {
    my ($self, @ways) = @_;

    @ways = qw(up down) unless @ways;
    @{ $self->{held} }{@ways} = (0) x @ways;
    @{ $self->{lost} }{@ways} = (0) x @ways;

    if (grep { $_ eq 'down' } @ways) {
        delete $_->{held} for $self->pairs;
    }

    $self->_update;

    return;
}


# Discards the bytes of a direction until resume().

sub lose { $_[0]{lost}{ $_[1] } = 1; return }


# Sets the receive buffer of connections to the server from now on: with a small
# one, little of what the proxy does not read leaves the server.

sub rcvbuf { $_[0]{rcvbuf} = $_[1]; return }


# Delays the bytes of a direction by so many seconds.

sub delay { $_[0]{delay}{ $_[1] } = $_[2]; return }


sub filter { $_[0]{filter} = $_[1]; return }


sub pairs {
    my ($self) = @_;

    @{ $self->{pairs} } = grep { !$_->{gone} } @{ $self->{pairs} };

    return @{ $self->{pairs} };
}


sub _update {
    my ($self) = @_;

    for my $pair ($self->pairs) {
        $pair->{up}{paused}   = $self->{held}{up};
        $pair->{down}{paused} = $self->{held}{down} || $pair->{held};
    }

    return;
}


sub _write { return }


sub _read {
    my ($self) = @_;

    accept(my $client, $self->{sock}) or return;

    my $number = ++$self->{count};

    socket(my $server, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";

    setsockopt($server, SOL_SOCKET, SO_RCVBUF, pack('i', $self->{rcvbuf}))
        if $self->{rcvbuf};

    if (!connect($server, pack_sockaddr_in($self->{server},
        inet_aton('127.0.0.1'))))
    {
        setsockopt($client, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0));
        CORE::close($_) for $client, $server;
        return;
    }

    $self->pairs;
    push @{ $self->{pairs} }, MCPTest::Proxy::Pair->new($self,
        $number, $client, $server);
    $self->_update;

    return;
}


package MCPTest::Proxy::Pair;

use strict;
use warnings;

use Socket qw(SOL_SOCKET SO_LINGER IPPROTO_TCP TCP_NODELAY);


# A pair of connections: {up} with the client, {down} with the server.

sub new {
    my ($class, $proxy, $number, $client, $server) = @_;

    my $self = bless { proxy => $proxy, number => $number }, $class;

    for my $end ([ 'up', $client ], [ 'down', $server ]) {
        setsockopt($end->[1], IPPROTO_TCP, TCP_NODELAY, 1);

        $self->{ $end->[0] } = bless {
            sock   => $end->[1],
            way    => $end->[0],
            pair   => $self,
            out    => '',
            paused => 0,
            steps  => [],       # [ time, bytes ] on their way
        }, 'MCPTest::Proxy::End';

        MCPTest::Conn::register($self->{ $end->[0] });
    }

    return $self;
}


# The local port of the connection to the server.

sub port {
    my ($self) = @_;

    return (Socket::unpack_sockaddr_in(getsockname $self->{down}{sock}))[0];
}


# The port of the client.

sub client_port {
    my ($self) = @_;

    return (Socket::unpack_sockaddr_in(getpeername $self->{up}{sock}))[0];
}


# Holds what the server sends to this client until the proxy's resume().

sub pause {
    my ($self) = @_;

    $self->{held} = 1;
    $self->{proxy}->_update;

    return;
}


sub end {
    my ($self, $reset) = @_;

    return if $self->{gone}++;

    for my $end (@{$self}{qw(up down)}) {
        setsockopt($end->{sock}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0))
            if $reset;
        MCPTest::Conn::unregister($end);
        CORE::close($end->{sock});
        $end->{out}   = '';
        $end->{steps} = [];
    }

    return;
}


package MCPTest::Proxy::End;

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);


sub _other {
    my ($self) = @_;

    return $self->{pair}{ $self->{way} eq 'up' ? 'down' : 'up' };
}


sub _read {
    my ($self) = @_;

    my $pair  = $self->{pair};
    my $proxy = $pair->{proxy};
    my $way   = $self->{way};
    my $n     = sysread $self->{sock}, my $bytes, 262144;

    if (!defined $n) {
        return if $! == EAGAIN || $! == EINTR;
        return $pair->end(1);
    }

    return $pair->end(0) if $n == 0;

    $proxy->{bytes}{$way} += $n;

    return if $proxy->{lost}{$way};

    $bytes = $proxy->{filter}->($way, $bytes, $pair->{number})
        if $proxy->{filter};

    return if $pair->{gone} || !defined $bytes || !length $bytes;

    if ($proxy->{delay}{$way} || @{ $self->{steps} }) {
        push @{ $self->{steps} },
            [ MCPTest::Conn::now() + $proxy->{delay}{$way}, $bytes ];
        return;
    }

    $self->_other->_put($bytes);

    return;
}


sub tick {
    my ($self) = @_;

    while (@{ $self->{steps} }
        && $self->{steps}[0][0] <= MCPTest::Conn::now())
    {
        $self->_other->_put((shift @{ $self->{steps} })->[1]);
    }

    return;
}


sub _put {
    my ($self, $bytes) = @_;

    $self->{out} .= $bytes;
    $self->_write;

    return;
}


sub _write {
    my ($self) = @_;

    while (length $self->{out} && !$self->{pair}{gone}) {
        local $SIG{PIPE} = 'IGNORE';
        my $n = syswrite $self->{sock}, $self->{out}, 262144;

        if (!defined $n) {
            return if $! == EAGAIN || $! == EINTR;
            return $self->{pair}->end(1);
        }

        substr $self->{out}, 0, $n, '';
    }

    return;
}


1;
