package MCPTest::Names;

# A name server (DNS) in the event loop of the test, for nginx's "resolver".  It
# answers what the test sets: at once, late, or never.
#
#     my $names = MCPTest::Names->new('frappe.test' => '127.0.0.1');
#
#     start_nginx(http => 'resolver 127.0.0.1:' . $names->port . ';');

use strict;
use warnings;

use Socket qw(PF_INET SOCK_DGRAM pack_sockaddr_in unpack_sockaddr_in
    inet_aton);

use MCPTest::Conn qw(now);


# Takes names and their addresses; "*" is any other name.  Names that are not
# given do not exist.

sub new {
    my ($class, %names) = @_;

    socket(my $sock, PF_INET, SOCK_DGRAM, 0) or die "socket: $!\n";
    bind($sock, pack_sockaddr_in(0, inet_aton('127.0.0.1')))
        or die "bind: $!\n";

    my $self = bless {
        sock  => $sock,
        out   => '',
        names => { %names },
        delay => 0,
        asked => {},            # name => how often
        steps => [],            # [ time, bytes, to whom ]
        port  => (unpack_sockaddr_in(getsockname $sock))[0],
    }, $class;

    MCPTest::Conn::register($self);

    return $self;
}


sub port { return $_[0]{port} }


# How many queries for a name have come.

sub asked { return $_[0]{asked}{ $_[1] } || 0 }


# Sets the address of a name; with undef it does not exist.

sub set { $_[0]{names}{ $_[1] } = $_[2]; return }


# Delays answers by so many seconds; undef: no answers; "held": until release().

sub delay { $_[0]{delay} = $_[1]; return }


# Sends the answers that are held; further ones are sent at once.

sub release {
    my ($self) = @_;

    $self->{delay} = 0;
    $_->[0] = 0 for @{ $self->{steps} };
    $self->tick;

    return;
}


sub _write { return }


sub _read {
    my ($self) = @_;

    my $from = recv($self->{sock}, my $query, 512, 0);
    return unless defined $from && length $query > 16;

    my ($id) = unpack 'n', $query;
    my @labels;
    my $at = 12;

    while (my $length = unpack 'C', substr $query, $at, 1) {
        push @labels, substr $query, $at + 1, $length;
        $at += $length + 1;
    }

    my $question = substr $query, 12, $at + 5 - 12;
    my $type     = unpack 'n', substr $query, $at + 1, 2;
    my $name     = join '.', @labels;
    my ($key)    = grep { exists $self->{names}{$_} } $name, '*';
    my $address  = defined $key ? $self->{names}{$key} : undef;
    my $found    = defined $address && $type == 1;

    $self->{asked}{$name}++;

    return unless defined $self->{delay};

    # response, recursion, and "no such name" unless it has an address

    my $answer = pack 'nnnnnn', $id, 0x8180 + (defined $address ? 0 : 3), 1,
        $found ? 1 : 0, 0, 0;

    $answer .= $question;
    $answer .= pack('nnnNn', 0xc00c, 1, 1, 1, 4) . inet_aton($address)
        if $found;

    push @{ $self->{steps} }, [ $self->{delay} eq 'held' ? 9 ** 99
        : now() + $self->{delay}, $answer, $from ];
    $self->tick;

    return;
}


sub tick {
    my ($self) = @_;

    while (@{ $self->{steps} } && $self->{steps}[0][0] <= now()) {
        my $step = shift @{ $self->{steps} };

        send $self->{sock}, $step->[1], 0, $step->[2];
    }

    return;
}


1;
