package MCPTest::Backend;

# A backend in the event loop of the test that answers exactly the bytes of the
# test: answers that Frappe never gives, and those of a Frappe with faults.
#
#     my $backend = start_backend(sub {
#         return MCPTest::Backend::http(200, '{"message":"x"}');
#     });
#     my $nginx = start_nginx(backend => $backend->port);

use strict;
use warnings;

use MCPTest::Conn qw(now);
use Socket qw(PF_INET SOCK_STREAM SOL_SOCKET SO_REUSEADDR pack_sockaddr_in
    unpack_sockaddr_in inet_aton SOMAXCONN);


# The handler gets a request (method, path, headers in lower case, body) and
# returns a list of steps: a string is sent, a number is a pause in seconds, a
# function is called until it returns true, \'close' closes and \'reset' resets
# the connection, \'hang' sends nothing further.  After the steps the connection
# stays open.

sub new {
    my ($class, $handler) = @_;

    socket(my $sock, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";
    setsockopt($sock, SOL_SOCKET, SO_REUSEADDR, 1);
    bind($sock, pack_sockaddr_in(0, inet_aton('127.0.0.1')))
        or die "bind: $!\n";
    listen($sock, SOMAXCONN) or die "listen: $!\n";

    my $self = bless {
        sock     => $sock,
        out      => '',
        handler  => $handler,
        requests => [],
        closed   => 0,          # connections the other side closed
        port     => (unpack_sockaddr_in(getsockname $sock))[0],
    }, $class;

    MCPTest::Conn::register($self);

    return $self;
}


sub port     { return $_[0]{port} }
sub handler  { $_[0]{handler} = $_[1]; return }
sub requests { return @{ $_[0]{requests} } }
sub closed   { return $_[0]{closed} }


# Stops listening and closes all connections.

sub stop {
    my ($self) = @_;

    return unless $self->{sock};

    MCPTest::Conn::unregister($self);
    close $self->{sock};
    delete $self->{sock};

    $_->_close(0) for @{ $self->{conns} };
    $self->{conns} = [];

    return;
}


# The bytes of a response with Content-Length.

sub http {
    my ($status, $body, @headers) = @_;

    my $head = "HTTP/1.1 $status X\r\nContent-Length: " . length($body)
        . "\r\n";

    @headers = ('Content-Type', 'application/json') unless @headers;

    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n";
    }

    return "$head\r\n$body";
}


sub _write { return }


sub _read {
    my ($self) = @_;

    while (accept(my $sock, $self->{sock})) {
        my $conn = bless {
            sock    => $sock,
            out     => '',
            in      => '',
            backend => $self,
            steps   => [],
            until   => 0,
        }, 'MCPTest::Backend::Conn';

        push @{ $self->{conns} }, $conn;
        MCPTest::Conn::register($conn);
    }

    return;
}


package MCPTest::Backend::Conn;

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);
use Socket qw(SOL_SOCKET SO_LINGER);


sub _read {
    my ($self) = @_;

    my $n = sysread $self->{sock}, my $bytes, 262144;

    if (!defined $n) {
        return if $! == EAGAIN || $! == EINTR;
        return $self->_close(1);
    }

    return $self->_close(1) if $n == 0;

    $self->{in} .= $bytes;

    while ($self->{in} =~ /\A(.*?\r\n)\r\n/s) {
        my $head = $1;
        my ($first, @lines) = split /\r\n/, $head;
        my ($method, $path) = split / /, $first;
        my %headers = map { /\A([^:]+): *(.*)\z/ ? (lc $1 => $2) : () } @lines;
        my $length = $headers{'content-length'} || 0;

        last if length($self->{in}) < length($head) + 2 + $length;

        my $body = substr $self->{in}, length($head) + 2, $length;
        substr $self->{in}, 0, length($head) + 2 + $length, '';

        my $request = {
            method  => $method,
            path    => $path,
            headers => \%headers,
            head    => $head,
            body    => $body,
            time    => MCPTest::Conn::now(),
        };

        push @{ $self->{backend}{requests} }, $request;
        push @{ $self->{steps} }, $self->{backend}{handler}->($request);
    }

    $self->_steps;

    return;
}


# Continues steps that wait, in every turn of the loop.

sub tick { return $_[0]->_steps }


sub _steps {
    my ($self) = @_;

    while (@{ $self->{steps} } && !$self->{gone}) {
        return if MCPTest::Conn::now() < $self->{until};

        my $step = shift @{ $self->{steps} };

        if (ref $step eq 'CODE') {
            next if $step->();
            unshift @{ $self->{steps} }, $step;
            return;
        }

        if (ref $step) {
            return if $$step eq 'hang';

            if (length $self->{out}) {
                unshift @{ $self->{steps} }, $step;
                return;
            }

            setsockopt $self->{sock}, SOL_SOCKET, SO_LINGER, pack('ii', 1, 0)
                if $$step eq 'reset';

            return $self->_close(0);
        }

        if ($step =~ /\A[\d.]+\z/) {
            $self->{until} = MCPTest::Conn::now() + $step;
            next;
        }

        $self->{out} .= $step;
        $self->_write;
    }

    return;
}


sub _write {
    my ($self) = @_;

    while (length $self->{out}) {
        local $SIG{PIPE} = 'IGNORE';
        my $n = syswrite $self->{sock}, $self->{out}, 262144;

        if (!defined $n) {
            return if $! == EAGAIN || $! == EINTR;
            return $self->_close(1);
        }

        substr $self->{out}, 0, $n, '';
    }

    $self->_steps;

    return;
}


sub _close {
    my ($self, $by_peer) = @_;

    return if $self->{gone};

    $self->{gone} = 1;
    $self->{out}  = '';
    $self->{backend}{closed}++ if $by_peer;
    MCPTest::Conn::unregister($self);
    close $self->{sock};

    return;
}


1;
