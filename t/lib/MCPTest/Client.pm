package MCPTest::Client;

# Runs the official TypeScript client in the scripts of t/clients/node (v1) and
# t/clients/node22 (v2): each line that they print is a test.
#
#     MCPTest::Client::need();
#     client('20 clients', $nginx, 'many');
#
#     MCPTest::Client::need('node22');
#     client('v2', $nginx, 'modern', folder => 'node22');

use strict;
use warnings;

use Exporter 'import';
use IO::Select;
use POSIX qw(WNOHANG _exit);

use MCPTest::Conn qw(hang_after run_until);
use MCPTest::JSON qw(decode);

our @EXPORT_OK = qw(client);

my $clients = MCPTest::root() . '/t/clients';
my %nodes = (
    node   => [ map { "$_/node" } split /:/, $ENV{PATH} || '' ],
    node22 => [ map { "$clients/node22/node_modules/node-linux-$_/bin/node" }
        qw(x64 arm64) ],
);
my %sdks = (node => '@modelcontextprotocol/sdk',
    node22 => '@modelcontextprotocol/client');
my %users = map { uc $_ => MCPTest::credential($_) } qw(alice bob);
my $child;                      # the script that runs


# Skips all tests of the file without the client of a folder, and those of
# t/clients/node (fails with CI set); tests that the client has the version that
# package.json names.

sub need {
    my ($folder) = @_;

    $folder ||= 'node';

    my $dir = "$clients/$folder";

    if (my ($missing) = _missing('node', $folder)) {

        Test::More::plan(skip_all => "no $missing") unless $ENV{CI};
        Test::More::fail("CI has to run the official client, but there is no "
            . $missing);
        Test::More::done_testing();
        exit;
    }

    my $sdk = $sdks{$folder};

    Test::More::is(_package("$dir/node_modules/$sdk")->{version},
        _package($dir)->{dependencies}{$sdk},
        'the client is the one pinned');

    binmode(Test::More->builder->failure_output, ':utf8');

    MCPTest::secret($_) for map { $_, (split /:/)[-1] } values %users;

    return;
}


sub _node { return (grep { -f && -x } @{ $nodes{ $_[0] } })[0] }


sub _missing {
    my (@folders) = @_;

    return map { !-d "$clients/$_/node_modules"
        ? "t/clients/$_/node_modules (util/npm-ci t/clients/$_)"
        : !_node($_) ? $_ : () } @folders;
}


sub _package {
    my ($of) = @_;

    open my $file, '<', "$of/package.json" or return {};
    local $/;

    return decode(<$file>) || {};
}


# Runs a script against nginx and reports its tests under the label.
#
#   folder  of the script: node, or node22
#   args    of the script
#   env     further variables of its environment
#   on      functions to call at its events: { name => sub }

sub client {
    my ($label, $nginx, $script, %opt) = @_;

    MCPTest::frappe()->reset;

    my $out   = _run($nginx, $script, %opt);
    my $ready = IO::Select->new($out);
    my $rest  = '';
    my $ended = 0;

    # a script may be slow, but it prints a line from time to time

    while ($ready->can_read(hang_after())) {
        sysread $out, $rest, 65536, length $rest or last;

        while ($rest =~ s/\A(.*)\n//) {
            my $line = decode($1) || {};

            if (defined $line->{name}) {
                Test::More::ok($line->{ok}, "$label: $line->{name}")
                    or Test::More::diag($line->{got} || 'nothing');

            } elsif (defined $line->{event}) {
                $opt{on}{ $line->{event} }->();

            } elsif (defined $line->{secret}) {
                MCPTest::secret($line->{secret});

            } elsif ($line->{end}) {
                $ended = 1;

            } elsif ($line->{alive}) {
                next;

            } else {
                Test::More::fail("$label: $1");
            }
        }
    }

    # the script ends after its last line

    my $gone = run_until(sub { waitpid($child, WNOHANG) == $child });
    my $exit = $gone ? $? : 'none';

    _stop() if !$gone;
    undef $child;

    Test::More::ok($ended && $exit eq '0',
        "$label: the script came to its end")
        or Test::More::diag("exit status $exit");

    return;
}


sub _run {
    my ($nginx, $script, %opt) = @_;

    $child = open my $out, '-|';
    die "fork: $!\n" unless defined $child;

    return $out if $child;

    open STDIN, '<', '/dev/null';
    delete $ENV{NODE_USE_ENV_PROXY};

    %ENV = (%ENV, %users,
        HANG_AFTER     => hang_after(),
        DIALECT        => $nginx->{opt}{dialect} || 'new',
        MCP_URL        => 'http://127.0.0.1:' . $nginx->port . '/mcp/sse',
        FRAPPE_CONTROL => 'http://127.0.0.1:' . MCPTest::frappe()->port
            . '/_control',
        %{ $opt{env} || {} },
    );

    my $folder = $opt{folder} || 'node';

    exec _node($folder), '--no-warnings', "$clients/$folder/$script.mjs",
        @{ $opt{args} || [] } or _exit(127);
}


sub _stop {
    return unless $child;

    kill KILL => $child;
    waitpid $child, 0;
    undef $child;

    return;
}


END {
    my $status = $?;

    _stop();

    $? = $status;
}


1;
