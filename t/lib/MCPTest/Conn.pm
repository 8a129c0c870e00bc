package MCPTest::Conn;

# The event loop of the tests, and client connections in it: non-blocking
# sockets with HTTP/1.x parsed here, so that a test sees every byte and its
# time.  run_until() waits for a condition; fixed pauses (sleep_for) are only
# for times that are themselves tested.

use strict;
use warnings;

use Errno qw(EAGAIN EWOULDBLOCK EINTR);
use Exporter 'import';
use Fcntl qw(F_GETFL F_SETFL O_NONBLOCK);
use IO::Select;
use POSIX ();
use Socket qw(AF_UNIX PF_INET SOCK_STREAM pack_sockaddr_in inet_aton
    IPPROTO_TCP TCP_NODELAY SOL_SOCKET SO_RCVBUF);
use Time::HiRes qw(clock_gettime CLOCK_MONOTONIC);

our @EXPORT_OK = qw(now hang_after run_until sleep_for ticker);

my %open;                       # fileno => connection
my $processors;


sub now { return clock_gettime(CLOCK_MONOTONIC) }


# The number of seconds after which a wait gives up: MCP_SSE_HANG_AFTER, or 60,
# and more while the machine has more than four processes to run on each
# processor.

sub hang_after {
    my $seconds = $ENV{MCP_SSE_HANG_AFTER} || 60;

    if (!defined $processors) {
        $processors = 1;

        if (open my $file, '<', '/proc/cpuinfo') {
            $processors = (grep { /\Aprocessor\s*:/ } <$file>) || 1;
        }
    }

    open my $file, '<', '/proc/loadavg' or return $seconds;

    my ($running) = (<$file> || '') =~ /\A([\d.]+)/;
    my $crowd     = ($running || 0) / $processors / 4;

    return int($seconds * ($crowd < 1 ? 1 : $crowd > 3 ? 3 : $crowd));
}


# One turn of the loop: waits for I/O, $timeout seconds at most, and does it.

sub turn {
    my ($timeout) = @_;

    my @objects = values %open;

    for my $object (@objects) {
        next unless $object->can('tick') && @{ $object->{steps} };

        $object->tick;
        $timeout = 0.02 if $timeout > 0.02;
    }

    my ($read, $write) = (IO::Select->new, IO::Select->new);

    for my $conn (values %open) {
        $read->add($conn->{sock}) unless $conn->{paused};
        $write->add($conn->{sock}) if length $conn->{out};
    }

    my ($readable, $writable) = IO::Select->select($read, $write, undef,
        $timeout);

    for my $sock (@{ $writable || [] }) {
        my $conn = defined fileno $sock ? $open{ fileno $sock } : undef;
        $conn->_write if $conn;
    }

    for my $sock (@{ $readable || [] }) {
        my $conn = defined fileno $sock ? $open{ fileno $sock } : undef;
        $conn->_read if $conn;
    }

    return;
}


# Runs the loop until the condition holds; false if it does not within the
# time, which is hang_after() unless a test says otherwise.

sub run_until {
    my ($condition, $timeout) = @_;

    my $end = now() + (defined $timeout ? $timeout : hang_after());

    while (1) {
        my $value = $condition->();
        return $value if $value;

        my $left = $end - now();
        return 0 if $left <= 0;

        turn($left < 0.25 ? $left : 0.25);
    }
}


# Runs the loop for a time that is itself tested: an interval, a grace, an age.

sub sleep_for {
    my ($seconds) = @_;

    run_until(sub { 0 }, $seconds);

    return;
}


# Adds an object to the loop; it has {sock}, {out}, {paused} and the methods
# _read and _write.

sub register {
    my ($object) = @_;

    fcntl($object->{sock}, F_SETFL,
        fcntl($object->{sock}, F_GETFL, 0) | O_NONBLOCK) or die "fcntl: $!\n";

    $open{ fileno $object->{sock} } = $object;

    return;
}


sub unregister {
    my ($object) = @_;

    delete $open{ fileno $object->{sock} };

    return;
}


# For a child process: removes the objects of the parent from the loop.

sub forget { %open = (); return }


# Calls a function in every turn of the loop, at least every 20 ms, until the
# object returned is stopped.

sub ticker {
    my ($function) = @_;

    socketpair(my $sock, my $other, AF_UNIX, SOCK_STREAM, 0)
        or die "socketpair: $!\n";

    my $ticker = bless { sock => $sock, other => $other, out => '',
        steps => [ $function ] }, 'MCPTest::Ticker';

    register($ticker);

    return $ticker;
}


# Options: rcvbuf; tls (through "openssl s_client"), with alpn.

sub connect_to {
    my ($class, $port, %opt) = @_;

    my ($sock, $child);

    if ($opt{tls}) {
        ($sock, $child) = _connect_tls($port, $opt{alpn});

    } else {
        socket($sock, PF_INET, SOCK_STREAM, 0) or die "socket: $!\n";

        setsockopt($sock, SOL_SOCKET, SO_RCVBUF, pack('i', $opt{rcvbuf}))
            if $opt{rcvbuf};

        connect($sock, pack_sockaddr_in($port, inet_aton('127.0.0.1')))
            or die "connect to port $port: $!\n";

        setsockopt($sock, IPPROTO_TCP, TCP_NODELAY, 1);
    }

    my $self = bless {
        sock     => $sock,
        child    => $child,     # pid of openssl
        port     => $port,
        in       => '',
        out      => '',
        queue    => [],         # responses expected, in order
        closed   => undef,      # "eof", "reset" or "own"
        paused   => 0,
    }, $class;

    register($self);

    return $self;
}


# TLS by a child process "openssl s_client", which is installed more often than
# Perl's modules for TLS.  It passes bytes as they are and ends by _gone() or
# when the server closes.

sub _connect_tls {
    my ($port, $alpn) = @_;

    socketpair(my $ours, my $theirs, AF_UNIX, SOCK_STREAM, 0)
        or die "socketpair: $!\n";

    my $child = fork;
    die "fork: $!\n" unless defined $child;

    if ($child == 0) {
        CORE::close($ours);
        open STDIN, '<&', $theirs;
        open STDOUT, '>&', $theirs;
        open STDERR, '>', '/dev/null';
        exec 'openssl', 's_client', '-quiet', '-servername',
            'erp.example.com', defined $alpn ? ('-alpn', $alpn) : (),
            '-connect', "127.0.0.1:$port" or POSIX::_exit(127);
    }

    CORE::close($theirs);

    return ($ours, $child);
}


# Sends bytes as they are.

sub send_raw {
    my ($self, $bytes) = @_;

    $self->{out} .= $bytes;
    $self->_write unless $self->{closed};

    return;
}


# Sends a request and returns its future response.  %opt: version, headers
# (a list of names and values), body, response (an object to fill).

sub request {
    my ($self, $method, $path, %opt) = @_;

    my $version  = $opt{version} || '1.1';
    my @headers  = @{ $opt{headers} || [] };
    my $body     = $opt{body};
    my $response = $opt{response} || MCPTest::Response->new;
    my %given;

    for (my $i = 0; $i < @headers; $i += 2) {
        $given{ lc $headers[$i] } = 1;
    }

    my $head = "$method $path HTTP/$version\r\n";

    if (!$given{host}) {
        $head .= 'Host: ' . ($opt{host} || "127.0.0.1:$self->{port}") . "\r\n";
    }

    while (my ($name, $value) = splice @headers, 0, 2) {
        $head .= "$name: $value\r\n" if defined $value;
    }

    if (defined $body && !$given{'content-length'}
        && !$given{'transfer-encoding'})
    {
        $head .= 'Content-Length: ' . length($body) . "\r\n";
    }

    $response->{method} = $method;
    $response->{sent}   = now();
    push @{ $self->{queue} }, $response;

    $self->send_raw($head . "\r\n" . (defined $body ? $body : ''));

    return $response;
}


sub get {
    my ($self, $path, %opt) = @_;

    my $response = $self->request('GET', $path, %opt);
    $response->wait($opt{timeout});

    return $response;
}


sub close {
    my ($self) = @_;

    return if $self->{closed};

    $self->_gone('own');

    return;
}


# Closes the connection with a reset.

sub abort {
    my ($self) = @_;

    return if $self->{closed};

    setsockopt($self->{sock}, SOL_SOCKET, Socket::SO_LINGER(),
        pack('ii', 1, 0));
    $self->_gone('own');

    return;
}


# Half-closes: the server sees the end, the test goes on reading.

sub shutdown_write {
    my ($self) = @_;

    shutdown($self->{sock}, 1);

    return;
}


sub pause  { $_[0]{paused} = 1; return }
sub resume { $_[0]{paused} = 0; return }


sub wait_closed {
    my ($self, $timeout) = @_;

    return run_until(sub { $self->{closed} }, $timeout);
}


sub _gone {
    my ($self, $how) = @_;

    return if $self->{closed};

    $self->{closed} = $how;
    unregister($self);
    CORE::close($self->{sock});

    if ($self->{child}) {
        kill TERM => $self->{child};
        waitpid $self->{child}, 0;
    }

    while (my $response = shift @{ $self->{queue} }) {
        $response->_end_of_connection($how);
    }

    return;
}


sub _write {
    my ($self) = @_;

    while (length $self->{out}) {
        local $SIG{PIPE} = 'IGNORE';
        my $n = syswrite($self->{sock}, $self->{out}, 262144);

        if (!defined $n) {
            return if $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;

            # what the server sent before it closed can still be read

            $self->{out} = '';
            return;
        }

        substr($self->{out}, 0, $n, '');
    }

    return;
}


sub _read {
    my ($self) = @_;

    my $n = sysread($self->{sock}, my $bytes, 262144);

    if (!defined $n) {
        return if $! == EAGAIN || $! == EWOULDBLOCK || $! == EINTR;
        $self->_gone('reset');
        return;
    }

    if ($n == 0) {
        $self->_gone('eof');
        return;
    }

    $self->{in} .= $bytes;

    while (length $self->{in}) {
        my $response = $self->{queue}[0];

        if (!$response) {
            $self->{surplus} .= $self->{in};
            $self->{in} = '';
            return;
        }

        my $before = length $self->{in};

        $response->_feed(\$self->{in}, $bytes);
        $bytes = '';

        shift @{ $self->{queue} } if $response->{ended};

        last if length $self->{in} == $before && !$response->{ended};
    }

    return;
}


package MCPTest::Ticker;

use strict;
use warnings;


# a function that turns the loop itself is not called again meanwhile

sub tick {
    my ($self) = @_;

    return if $self->{busy} || !@{ $self->{steps} };

    local $self->{busy} = 1;

    $self->{steps}[0]->();

    return;
}


sub stop {
    my ($self) = @_;

    return unless @{ $self->{steps} };

    $self->{steps} = [];
    MCPTest::Conn::unregister($self);
    CORE::close($self->{$_}) for qw(sock other);

    return;
}


sub _read  { return }
sub _write { return }


package MCPTest::Response;

use strict;
use warnings;

BEGIN { *now = \&MCPTest::Conn::now; *run_until = \&MCPTest::Conn::run_until }


sub new {
    my ($class, %fields) = @_;

    return bless {
        status  => undef,
        headers => [],          # [ name, value ] as received
        body    => '',
        raw     => '',          # all bytes, framing included
        reads   => [],          # [ time, bytes ] of each read
        ended   => undef,       # "clean", "eof", "cut" or "own"
        state   => 'head',
        %fields,
    }, $class;
}


sub status { return $_[0]{status} }
sub body   { return $_[0]{body} }
sub ended  { return $_[0]{ended} }
sub took   { return defined $_[0]{done} ? $_[0]{done} - $_[0]{sent} : undef }


# The value of a header, several joined by a comma; undef if it is absent.

sub header {
    my ($self, $name) = @_;

    my @values = map { $_->[1] } grep { lc $_->[0] eq lc $name }
        @{ $self->{headers} };

    return @values ? join(', ', @values) : undef;
}


sub worker { return $_[0]->header('X-Worker') }


sub json {
    my ($self) = @_;

    return scalar eval { JSON::PP->new->utf8->decode($self->{body}) };
}


# Waits for the whole response; returns it, or undef if it did not come.

sub wait {
    my ($self, $timeout) = @_;

    run_until(sub { $self->{ended} }, $timeout);

    return $self->{ended} ? $self : undef;
}


sub wait_headers {
    my ($self, $timeout) = @_;

    run_until(sub { defined $self->{status} && $self->{state} ne 'head'
                    || $self->{ended} }, $timeout);

    return $self->{state} ne 'head' ? $self : undef;
}


sub _end {
    my ($self, $how) = @_;

    return if $self->{ended};

    $self->{ended} = $how;
    $self->{done}  = now();
    $self->_ended if $self->can('_ended');

    return;
}


sub _end_of_connection {
    my ($self, $how) = @_;

    return $self->_end('own') if $how eq 'own';
    return $self->_end('eof') if $how eq 'eof' && $self->{state} eq 'eof';

    return $self->_end('cut');
}


sub _got_body {
    my ($self, $bytes) = @_;

    $self->{body} .= $bytes;

    return;
}


# Takes the bytes of this response from the front of $$in.

sub _feed {
    my ($self, $in, $fresh) = @_;

    if (length $fresh) {
        my $time = now();
        $self->{first} = $time unless defined $self->{first};
        push @{ $self->{reads} }, [ $time, $self->{keep_reads}
            || @{ $self->{reads} } < 4 ? $fresh : length $fresh ];
    }

    if ($self->{state} eq 'head') {
        return unless $$in =~ s/\A(.*?\r\n)\r\n//s;

        my ($first, @lines) = split /\r\n/, $1;

        $self->{raw} .= "$1\r\n";
        ($self->{version}, $self->{status}, $self->{reason}) =
            $first =~ m{\AHTTP/(\d\.\d) (\d{3}) ?(.*)\z}
            or die "not a status line: $first\n";

        $self->{headers} = [ map { /\A([^:]+):[ \t]*(.*)\z/ ? [ $1, $2 ]
                : [ $_, '' ] } @lines ];

        if ($self->{status} == 100) {
            $self->{continued} = 1;
            return;
        }

        my $length = $self->header('Content-Length');

        if ($self->{method} eq 'HEAD' || $self->{status} == 204
            || $self->{status} == 304)
        {
            return $self->_end('clean');
        }

        if (($self->header('Transfer-Encoding') || '') eq 'chunked') {
            $self->{state} = 'size';

        } elsif (defined $length) {
            $self->{state} = 'length';
            $self->{left}  = $length;
            return $self->_end('clean') if $length == 0;

        } else {
            $self->{state} = 'eof';
        }
    }

    my $at = length $self->{raw};

    if ($self->{state} eq 'eof') {
        $self->{raw} .= $$in unless $self->{no_raw};
        my $bytes = $$in;
        $$in = '';
        $self->_got_body($bytes) if length $bytes;
        return;
    }

    if ($self->{state} eq 'length') {
        my $bytes = substr $$in, 0, $self->{left}, '';
        $self->{raw}  .= $bytes unless $self->{no_raw};
        $self->{left} -= length $bytes;
        $self->_got_body($bytes) if length $bytes;
        $self->_end('clean') if $self->{left} == 0;
        return;
    }

    # chunked

    while (length $$in) {

        if ($self->{state} eq 'size') {
            my $end = index $$in, "\r\n";
            return if $end < 0;

            my $line = substr $$in, 0, $end + 2, '';
            $self->{raw} .= $line unless $self->{no_raw};

            my ($size) = $line =~ /\A([0-9a-fA-F]+)/
                or die "not a chunk size: $line\n";

            $self->{left}  = hex $size;
            $self->{state} = $self->{left} ? 'chunk' : 'trailer';

        } elsif ($self->{state} eq 'chunk') {
            my $bytes = substr $$in, 0, $self->{left}, '';

            $self->{raw}  .= $bytes unless $self->{no_raw};
            $self->{left} -= length $bytes;
            $self->{state} = 'crlf' if $self->{left} == 0;
            $self->_got_body($bytes);

        } elsif ($self->{state} eq 'crlf') {
            return if length $$in < 2;

            my $crlf = substr $$in, 0, 2, '';
            die "a chunk does not end with CR LF\n" if $crlf ne "\r\n";

            $self->{raw} .= $crlf unless $self->{no_raw};
            $self->{state} = 'size';

        } else {
            my $end = index $$in, "\r\n";
            return if $end < 0;

            my $line = substr $$in, 0, $end + 2, '';
            $self->{raw} .= $line unless $self->{no_raw};

            return $self->_end('clean') if $line eq "\r\n";
        }
    }

    return;
}


1;
