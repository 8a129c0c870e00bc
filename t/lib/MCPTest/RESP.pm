package MCPTest::RESP;

# A connection to Redis in the event loop with its own parser of RESP 2:
# commands and their replies, and what MONITOR or a subscription pushes.
# MCPTest::Redis opens them.

use strict;
use warnings;

use Errno qw(EAGAIN EINTR);
use Socket qw(AF_UNIX PF_INET SOCK_STREAM IPPROTO_TCP TCP_NODELAY
    pack_sockaddr_in pack_sockaddr_un inet_aton);

use MCPTest::Conn qw(now run_until);


# Connects to a port, or to a Unix socket (a path).

sub connect_to {
    my ($class, $where) = @_;

    my $unix = $where =~ m{\A/};

    socket(my $sock, $unix ? AF_UNIX : PF_INET, SOCK_STREAM, 0)
        or die "socket: $!\n";
    CORE::connect($sock, $unix ? pack_sockaddr_un($where)
        : pack_sockaddr_in($where, inet_aton('127.0.0.1')))
        or die "connect to redis at $where: $!\n";
    setsockopt($sock, IPPROTO_TCP, TCP_NODELAY, 1) if !$unix;

    my $self = bless {
        sock    => $sock,
        in      => '',
        out     => '',
        waiting => [],          # slots of replies expected, in order
        lines   => [],          # of MONITOR: [ time, text ]
        pushed  => undef,       # of a subscription: [ time, channel, bytes ]
        closed  => undef,
    }, $class;

    MCPTest::Conn::register($self);

    return $self;
}


# Sends a command; the slot returned gets {done} and {reply} or {error}.

sub send {
    my ($self, @words) = @_;

    my $slot = {};

    push @{ $self->{waiting} }, $slot;
    $self->{monitor} = 1 if uc $words[0] eq 'MONITOR';
    $self->{out} .= join '', '*' . scalar(@words) . "\r\n",
        map { '$' . length($_) . "\r\n$_\r\n" } @words;
    $self->_write;

    return $slot;
}


sub cmd {
    my ($self, @words) = @_;

    my $slot = $self->send(@words);

    run_until(sub { $slot->{done} || $self->{closed} });

    die "redis: $words[0]: no answer\n" if !$slot->{done};
    die "redis: $words[0]: $slot->{error}\n" if defined $slot->{error};

    return $slot->{reply};
}


# The lines of MONITOR: hashes with time, db, client ("lua" in scripts) and
# args, the words as bytes.

sub commands {
    my ($self) = @_;

    my @commands;

    for my $line (@{ $self->{lines} }) {
        $line->[1] =~ /\A[\d.]+ \[(\d+) (\S+)\] (.*)\z/s or next;

        my ($db, $client, $rest) = ($1, $2, $3);
        my @args;

        while ($rest =~ /\G ?"((?:[^"\\]|\\.)*)"/gcs) {
            push @args, _unescape($1);
        }

        push @commands, { time => $line->[0], db => $db, client => $client,
            args => \@args };
    }

    return @commands;
}


sub _unescape {
    my ($text) = @_;

    my %short = (n => "\n", r => "\r", t => "\t", a => "\a", b => "\b");

    $text =~ s/\\(?:x([0-9a-fA-F]{2})|(.))/
        defined $1 ? chr hex $1
        : exists $short{$2} ? $short{$2} : $2/gexs;

    return $text;
}


# The published messages: hashes with time, channel and bytes.

sub messages {
    my ($self) = @_;

    return map { { time => $_->[0], channel => $_->[1], bytes => $_->[2] } }
        @{ $self->{pushed} || [] };
}


sub close {
    my ($self) = @_;

    return if $self->{closed};

    $self->{closed} = 1;
    MCPTest::Conn::unregister($self);
    CORE::close($self->{sock});

    return;
}


sub _write {
    my ($self) = @_;

    while (length $self->{out} && !$self->{closed}) {
        local $SIG{PIPE} = 'IGNORE';
        my $n = syswrite $self->{sock}, $self->{out}, 262144;

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

    my $n = sysread $self->{sock}, $self->{in}, 262144, length $self->{in};

    if (!defined $n) {
        return if $! == EAGAIN || $! == EINTR;
        return $self->close;
    }

    return $self->close if $n == 0;

    while (length $self->{in}) {
        my $at = 0;
        my ($ok, $value, $error) = $self->_parse(\$at);

        last if !$ok;

        substr $self->{in}, 0, $at, '';
        $self->_take($value, $error);
    }

    return;
}


sub _take {
    my ($self, $value, $error) = @_;

    if ($self->{pushed} && ref $value
        && ($value->[0] || '') =~ /\Ap?message\z/)
    {
        push @{ $self->{pushed} }, [ now(), @{$value}[-2, -1] ];
        return;
    }

    my $slot = shift @{ $self->{waiting} };

    if (!$slot) {
        push @{ $self->{lines} }, [ now(), $value ] if $self->{monitor};
        return;
    }

    $slot->{reply} = $value;
    $slot->{error} = $error;
    $slot->{done}  = 1;

    return;
}


# Parses one value at $$at: whether it is complete, the value, text of an error.

sub _parse {
    my ($self, $at) = @_;

    my $end = index $self->{in}, "\r\n", $$at;
    return 0 if $end < 0;

    my $type = substr $self->{in}, $$at, 1;
    my $line = substr $self->{in}, $$at + 1, $end - $$at - 1;

    $$at = $end + 2;

    return (1, $line) if $type eq '+' || $type eq ':';
    return (1, undef, $line) if $type eq '-';

    if ($type eq '$') {
        return (1, undef) if $line < 0;
        return 0 if length($self->{in}) < $$at + $line + 2;

        my $value = substr $self->{in}, $$at, $line;
        $$at += $line + 2;

        return (1, $value);
    }

    die "not RESP: $type$line\n" if $type ne '*';

    return (1, undef) if $line < 0;

    my @values;

    for (1 .. $line) {
        my ($ok, $value, $error) = $self->_parse($at);
        return 0 if !$ok;
        push @values, defined $error ? "error: $error" : $value;
    }

    return (1, \@values);
}


1;
