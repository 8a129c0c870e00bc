package MCPTest::H2;

# An HTTP/2 client connection in raw frames, in the event loop.  It is used in
# place of an MCPTest::Conn (conn => $h2), and can do what HTTP/2 libraries do
# not, such as not reading, or resetting a stream at any moment.  Of the headers
# of a response only the status is decoded.

use strict;
use warnings;

use MCPTest::Conn qw(now run_until);

our @ISA = ('MCPTest::Conn');

use constant {
    DATA => 0, HEADERS => 1, RST_STREAM => 3, SETTINGS => 4, PING => 6,
    GOAWAY => 7, WINDOW_UPDATE => 8,

    END_STREAM => 1, ACK => 1, END_HEADERS => 4,
};

my %indexed = (0x88 => 200, 0x89 => 204, 0x8a => 206, 0x8b => 304,
    0x8c => 400, 0x8d => 404, 0x8e => 500);


# Connects and sends the preface; %opt: tls, rcvbuf, window (bytes the server
# may send on a stream, as many as there can be).

sub connect_to {
    my ($class, $port, %opt) = @_;

    my $self   = $class->SUPER::connect_to($port, %opt, alpn => 'h2');
    my $window = $opt{window} || 0x7fffffff;

    $self->{next}    = 1;
    $self->{streams} = {};
    $self->{credit}  = 65535;   # window for sending on the connection
    $self->{initial} = 65535;   # window for sending on a new stream
    $self->{scheme}  = $opt{tls} ? 'https' : 'http';

    $self->send_raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        . _frame(SETTINGS, 0, 0, pack('nN', 4, $window))
        . _frame(WINDOW_UPDATE, 0, 0, pack('N', 0x7fffffff - 65535)));

    return $self;
}


sub request {
    my ($self, $method, $path, %opt) = @_;

    my @headers  = @{ $opt{headers} || [] };
    my $body     = $opt{body};
    my $response = $opt{response} || MCPTest::Response->new;
    my $id       = $self->{next};

    $self->{next} += 2;
    $self->{streams}{$id} = $response;

    $response->{method}    = $method;
    $response->{sent}      = now();
    $response->{stream_id} = $id;

    my $block = _literal(':method', $method)
        . _literal(':scheme', $self->{scheme})
        . _literal(':path', $path)
        . _literal(':authority', $opt{host} || "127.0.0.1:$self->{port}");

    while (my ($name, $value) = splice @headers, 0, 2) {
        next if !defined $value || lc $name eq 'connection';
        $block .= _literal(lc $name, $value);
    }

    $response->{credit}  = $self->{initial};
    $response->{to_send} = $body;

    $self->send_raw(_frame(HEADERS,
        END_HEADERS | (defined $body ? 0 : END_STREAM), $id, $block));
    $self->_send_body($response);

    return $response;
}


# Sends as much of a body as the windows of the server allow.

sub _send_body {
    my ($self, $response) = @_;

    while (defined $response->{to_send}) {
        my $n = length $response->{to_send};

        for my $limit (16384, $response->{credit}, $self->{credit}) {
            $n = $limit if $n > $limit;
        }

        return if $n <= 0 && length $response->{to_send};

        my $bytes = substr $response->{to_send}, 0, $n, '';
        my $last  = !length $response->{to_send};

        $response->{credit} -= $n;
        $self->{credit}     -= $n;
        $response->{to_send} = undef if $last;

        $self->send_raw(_frame(DATA, $last ? END_STREAM : 0,
            $response->{stream_id}, $bytes));
    }

    return;
}


# Sends RST_STREAM with CANCEL, as a client that aborts a request.

sub reset {
    my ($self, $response) = @_;

    delete $self->{streams}{ $response->{stream_id} };
    $self->send_raw(_frame(RST_STREAM, 0, $response->{stream_id},
        pack 'N', 8));
    $response->_end('own');

    return;
}


sub _frame {
    my ($type, $flags, $id, $payload) = @_;

    return substr(pack('N', length $payload), 1)
        . pack('CCN', $type, $flags, $id) . $payload;
}


sub _literal {
    my ($name, $value) = @_;

    return "\0" . _integer(length $name) . $name
        . _integer(length $value) . $value;
}


sub _integer {
    my ($n) = @_;

    return chr $n if $n < 127;

    my $bytes = "\x7f";

    for ($n -= 127; $n >= 128; $n >>= 7) {
        $bytes .= chr($n & 127 | 128);
    }

    return $bytes . chr $n;
}


sub _read {
    my ($self) = @_;

    my $n = sysread $self->{sock}, my $bytes, 262144;

    if (!defined $n) {
        return if $!{EAGAIN} || $!{EWOULDBLOCK} || $!{EINTR};
        return $self->_gone('reset');
    }

    return $self->_gone('eof') if $n == 0;

    $self->{in} .= $bytes;

    my $at = 0;

    while (length($self->{in}) - $at >= 9) {
        my $length = unpack 'N', "\0" . substr $self->{in}, $at, 3;
        last if length($self->{in}) - $at < 9 + $length;

        my ($type, $flags, $id) = unpack 'CCN', substr $self->{in}, $at + 3, 6;

        $self->_got_frame($type, $flags, $id,
            substr $self->{in}, $at + 9, $length);
        return if $self->{closed};
        $at += 9 + $length;
    }

    substr $self->{in}, 0, $at, '';

    return;
}


sub _got_frame {
    my ($self, $type, $flags, $id, $payload) = @_;

    push @{ $self->{frames} }, [ now(), $type, $flags, $id, length $payload ]
        if $type != DATA;

    if ($type == SETTINGS) {
        return if $flags & ACK;

        while ($payload =~ /\G(.{6})/gs) {
            my ($name, $value) = unpack 'nN', $1;

            next if $name != 4;

            $_->{credit} += $value - $self->{initial}
                for values %{ $self->{streams} };
            $self->{initial} = $value;
        }

        $self->send_raw(_frame(SETTINGS, ACK, 0, ''));
        $self->_send_body($_) for values %{ $self->{streams} };
        return;
    }

    if ($type == WINDOW_UPDATE) {
        my $to = $id ? $self->{streams}{$id} : $self;

        $to->{credit} += unpack 'N', $payload if $to;
        $self->_send_body($_) for values %{ $self->{streams} };
        return;
    }

    if ($type == PING) {
        $self->send_raw(_frame(PING, ACK, 0, $payload)) unless $flags & ACK;
        return;
    }

    if ($type == GOAWAY) {
        $self->{goaway} = 1;
        return;
    }

    my $response = $self->{streams}{$id} or return;

    if ($type == HEADERS) {
        $payload =~ s/\A[\x20-\x3f]+//;

        $response->{status} = $indexed{ ord $payload }
            || ($payload =~ /\A[\x08\x18\x48]\x03(\d{3})/ ? $1 : 0);
        $response->{state}  = 'h2';
        $response->{first}  = now();
        $response->{got_headers} = now();

    } elsif ($type == DATA) {
        $response->{got_data} ||= now();
        $response->_got_body($payload) if length $payload;

        # enlarge the window of the connection by what was read

        $self->{read} += length $payload;

        if ($self->{read} > 1_000_000) {
            $self->send_raw(_frame(WINDOW_UPDATE, 0, 0,
                pack 'N', $self->{read}));
            $self->{read} = 0;
        }

    } elsif ($type == RST_STREAM) {
        $response->{reset_code} = unpack 'N', $payload;
        delete $self->{streams}{$id};
        $response->_end('cut');
        return;
    }

    if (($type == HEADERS || $type == DATA) && $flags & END_STREAM) {
        delete $self->{streams}{$id};
        $response->_end('clean');
    }

    return;
}


sub _gone {
    my ($self, $how) = @_;

    return if $self->{closed};

    $self->SUPER::_gone($how);

    for my $id (sort { $a <=> $b } keys %{ $self->{streams} }) {
        my $response = delete $self->{streams}{$id};
        $response->_end_of_connection($how);
    }

    return;
}


1;
