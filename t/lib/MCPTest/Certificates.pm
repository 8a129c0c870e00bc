package MCPTest::Certificates;

# Certificates of a test, in a temporary directory: a CA, and what it has
# signed for servers and clients.
#
#     my $certs = MCPTest::Certificates->new;
#     my $cert  = $certs->make(dns => [ 'redis.test' ], ip => [ '127.0.0.1' ]);
#
#     print $certs->ca, $cert->{cert}, $cert->{key};      # names of files

use strict;
use warnings;

use File::Temp ();
use POSIX ();

my $shared;


# Options: name, of the CA.

sub new {
    my ($class, %opt) = @_;

    my $self = bless {
        dir   => File::Temp->newdir('mcp-certs-XXXXXX', TMPDIR => 1),
        count => 0,
    }, $class;

    # servers and workers may run as other users

    chmod 0755, "$self->{dir}";

    $self->_write('index', '');
    $self->_write('ca.conf', <<"EOT");
[ca]
default_ca = this
[this]
database = $self->{dir}/index
new_certs_dir = $self->{dir}
rand_serial = yes
unique_subject = no
default_md = sha256
policy = policy
[policy]
commonName = supplied
EOT

    my $name = $opt{name} || 'CA of the test';

    _openssl(qw(req -x509 -days 2), _new_key(), '-subj', "/CN=$name",
        '-keyout', $self->_file('ca.key'), '-out', $self->ca);

    return $self;
}


# The CA that all Redis servers of a test share.

sub shared { return $shared ||= MCPTest::Certificates->new }


sub ca  { return $_[0]->_file('ca.pem') }
sub dir { return "$_[0]{dir}" }


# Makes a certificate: a hash of cert and key, names of files.  Options:
#
#   name      common name ("redis"); it does not name a server if there is a
#             DNS name beside it
#   dns, ip   lists of the names and addresses of a server
#   usage     "serverAuth", "clientAuth"; default: both
#   expired   true: since long

sub make {
    my ($self, %opt) = @_;

    my $n    = ++$self->{count};
    my $name = defined $opt{name} ? $opt{name} : 'redis';
    my %made = (cert => $self->_file("$n.pem"), key => $self->_file("$n.key"));
    my @alt  = ((map { "DNS:$_" } @{ $opt{dns} || [] }),
        (map { "IP:$_" } @{ $opt{ip} || [] }));

    $self->_write("$n.ext", join "\n", 'basicConstraints = CA:FALSE',
        'extendedKeyUsage = ' . ($opt{usage} || 'serverAuth,clientAuth'),
        @alt ? 'subjectAltName = ' . join(',', @alt) : (), '');

    _openssl('req', '-new', _new_key(), '-subj', "/CN=$name", '-keyout',
        $made{key}, '-out', $self->_file("$n.req"));

    _openssl(qw(ca -batch -notext), '-config', $self->_file('ca.conf'),
        '-cert', $self->ca, '-keyfile', $self->_file('ca.key'),
        '-in', $self->_file("$n.req"), '-out', $made{cert},
        '-extfile', $self->_file("$n.ext"), $opt{expired}
            ? qw(-startdate 20200101000000Z -enddate 20200201000000Z)
            : qw(-days 2));

    # Redis reads it as another user in some tests

    chmod 0644, $made{key};

    return \%made;
}


sub _file { return "$_[0]{dir}/$_[1]" }


sub _write {
    my ($self, $name, $text) = @_;

    my $path = $self->_file($name);

    open my $file, '>', $path or die "$path: $!\n";
    print {$file} $text;
    close $file or die "$path: $!\n";

    return;
}


sub _new_key { return qw(-newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes) }


sub _openssl {
    my @words = @_;

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec 'openssl', @words or POSIX::_exit(127);
    }

    my $text = do { local $/; <$out> };

    close $out or die "openssl $words[0]: $text\n";

    return;
}


1;
