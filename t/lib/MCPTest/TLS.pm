package MCPTest::TLS;

# The server's end of a TLS connection in the event loop: bytes of the network
# go in and out of it, and the test sees what was in them.  MCPTest::FakeRedis
# uses it: MCPTest::FakeRedis->new(tls => $certificate).

use strict;
use warnings;


# Whether Perl has a module for it.

sub has { return scalar eval { require Net::SSLeay; 1 } }


# Skips all tests of the file without that module; call it first.

sub need {
    return if has() || $ENV{CI};

    Test::More::plan(skip_all => 'no Net::SSLeay');

    return;
}


# Takes cert and key, names of files; ca: the name of a file, whose clients are
# asked for a certificate and refused without; version: "1.2" for nothing newer.

sub new {
    my ($class, %opt) = @_;

    has() or die "no Net::SSLeay\n";

    Net::SSLeay::load_error_strings();
    Net::SSLeay::SSLeay_add_ssl_algorithms();

    my $context = Net::SSLeay::CTX_new_with_method(
        Net::SSLeay::TLS_server_method()) or die 'no context: ' . _error();

    Net::SSLeay::set_cert_and_key($context, $opt{cert}, $opt{key})
        or die "$opt{cert}: " . _error();
    Net::SSLeay::CTX_set_max_proto_version($context,
        Net::SSLeay::TLS1_2_VERSION()) if ($opt{version} || '') eq '1.2';

    if (defined $opt{ca}) {
        Net::SSLeay::CTX_load_verify_locations($context, $opt{ca}, '')
            or die "$opt{ca}: " . _error();
        Net::SSLeay::CTX_set_verify($context, Net::SSLeay::VERIFY_PEER()
            | Net::SSLeay::VERIFY_FAIL_IF_NO_PEER_CERT());
    }

    return bless { context => $context }, $class;
}


sub _error {
    my $text = '';

    while (my $error = Net::SSLeay::ERR_get_error()) {
        $text .= Net::SSLeay::ERR_error_string($error) . "\n";
    }

    return $text || "unknown\n";
}


# A connection that a client has opened.

sub session {
    my ($self) = @_;

    my $ssl = Net::SSLeay::new($self->{context}) or die _error();
    my ($in, $out) = map { Net::SSLeay::BIO_new(Net::SSLeay::BIO_s_mem()) }
        1, 2;

    Net::SSLeay::set_bio($ssl, $in, $out);
    Net::SSLeay::set_accept_state($ssl);

    return bless { ssl => $ssl, in => $in, out => $out, tls => $self,
        error => undef }, 'MCPTest::TLS::Session';
}


sub DESTROY {
    my ($self) = @_;

    Net::SSLeay::CTX_free($self->{context}) if $self->{context};

    return;
}


package MCPTest::TLS::Session;

use strict;
use warnings;


# Takes bytes of the network; returns what the client has said with them.

sub get {
    my ($self, $bytes) = @_;

    my $said = '';

    Net::SSLeay::BIO_write($self->{in}, $bytes);

    while (1) {
        Net::SSLeay::ERR_clear_error();

        my ($got, $n) = Net::SSLeay::read($self->{ssl});

        if (!defined $got || $n <= 0) {
            my $why = Net::SSLeay::get_error($self->{ssl}, $n);

            # Net::SSLeay has the reason of OpenSSL only in its queue

            $self->{error} = MCPTest::TLS::_error()
                if $why == Net::SSLeay::ERROR_SSL();
            $self->{ended} = 1 if $why == Net::SSLeay::ERROR_ZERO_RETURN();

            return $said;
        }

        $said .= $got;
    }
}


# Encrypts bytes for the client; they are in what take() returns next.

sub put {
    my ($self, $bytes) = @_;

    while (length $bytes) {
        my $n = Net::SSLeay::write($self->{ssl}, $bytes);

        die 'TLS: ' . MCPTest::TLS::_error() if !defined $n || $n <= 0;
        substr $bytes, 0, $n, '';
    }

    return;
}


# The bytes for the network since the last call.

sub take {
    my ($self) = @_;

    my $bytes = '';

    while (Net::SSLeay::BIO_pending($self->{out})) {
        my $got = Net::SSLeay::BIO_read($self->{out}, 262144);

        last if !defined $got;
        $bytes .= $got;
    }

    return $bytes;
}


# Whether the handshake has ended; the name that the client has asked for;
# OpenSSL's text if the connection has failed.

sub done  { return Net::SSLeay::is_init_finished($_[0]{ssl}) }
sub name  { return Net::SSLeay::get_servername($_[0]{ssl}) }
sub error { return $_[0]{error} }


sub DESTROY {
    my ($self) = @_;

    Net::SSLeay::free($self->{ssl}) if $self->{ssl};

    return;
}


1;
