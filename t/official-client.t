# The official TypeScript client, over legacy HTTP+SSE, through four workers.
# The scripts of t/client are the clients; each line they print is a test.

use strict;
use warnings;

use lib 't/lib';
use IO::Select;
use MCPTest;
use POSIX qw(WNOHANG _exit);
use Test::More;

my $dir    = MCPTest::root() . '/t/client';
my ($node) = grep { -f && -x } map { "$_/node" } split /:/, $ENV{PATH} || '';

if (!$node || !-d "$dir/node_modules") {
    my $missing = $node ? 't/client/node_modules (npm ci in t/client)'
        : 'node';

    plan skip_all => "no $missing" unless $ENV{CI};
    fail("CI has to run the official client, but there is no $missing");
    done_testing();
    exit;
}

my $sdk = '@modelcontextprotocol/sdk';

is(package_json("$dir/node_modules/$sdk")->{version},
    package_json($dir)->{dependencies}{$sdk}, 'the client is the one pinned');

binmode(Test::More->builder->failure_output, ':utf8');

my $frappe = start_frappe();
my %users  = map { uc $_ => MCPTest::credential($_) } qw(alice bob);
my $child;                      # the script that runs

MCPTest::secret($_) for map { $_, (split /:/)[-1] } values %users;


sub package_json {
    my ($of) = @_;

    open my $file, '<', "$of/package.json" or return {};
    local $/;

    return decode(<$file>) || {};
}


# Runs a script against nginx and reports its tests under the label.
#
#   args    of the script
#   on      what to do at its events: { name => sub }

sub client {
    my ($label, $nginx, $script, %opt) = @_;

    $frappe->reset;

    my $out   = run($nginx, $script, @{ $opt{args} || [] });
    my $ready = IO::Select->new($out);
    my $limit = now() + 60;
    my $rest  = '';
    my $ended = 0;

    while ($ready->can_read($limit > now() ? $limit - now() : 0)) {
        sysread $out, $rest, 65536, length $rest or last;

        while ($rest =~ s/\A(.*)\n//) {
            my $line = decode($1) || {};

            if (defined $line->{name}) {
                ok($line->{ok}, "$label: $line->{name}")
                    or diag($line->{got} || 'nothing');

            } elsif (defined $line->{event}) {
                $opt{on}{ $line->{event} }->();

            } elsif (defined $line->{secret}) {
                MCPTest::secret($line->{secret});

            } elsif ($line->{end}) {
                $ended = 1;

            } else {
                fail("$label: $1");
            }
        }
    }

    # it ends by itself after its last line

    my $gone = run_until(sub { waitpid($child, WNOHANG) == $child }, 10);
    my $exit = $gone ? $? : 'none';

    stop_child() if !$gone;
    undef $child;

    ok($ended && $exit eq '0', "$label: the script came to its end")
        or diag("exit status $exit");

    return;
}


sub run {
    my ($nginx, $script, @args) = @_;

    $child = open my $out, '-|';
    die "fork: $!\n" unless defined $child;

    return $out if $child;

    open STDIN, '<', '/dev/null';
    delete $ENV{NODE_USE_ENV_PROXY};

    %ENV = (%ENV, %users,
        DIALECT        => $nginx->{opt}{dialect} || 'new',
        MCP_URL        => 'http://127.0.0.1:' . $nginx->port . '/mcp/sse',
        FRAPPE_CONTROL => 'http://127.0.0.1:' . $frappe->port . '/_control',
    );

    exec $node, '--no-warnings', "$dir/$script.mjs", @args or _exit(127);
}


sub stop_child {
    return unless $child;

    kill KILL => $child;
    waitpid $child, 0;
    undef $child;

    return;
}


END {
    my $status = $?;

    stop_child();

    $? = $status;
}


# both dialects

for my $dialect (qw(new old)) {
    my $nginx = start_nginx(workers => 4, dialect => $dialect,
        stream => 'mcp_sse_progress 1s;');

    client("$dialect dialect, calls", $nginx, 'calls');
    client("$dialect dialect, two users", $nginx, 'two-users');
    client("$dialect dialect, abort", $nginx, 'abort');

    next if $dialect eq 'old';

    client('progress', $nginx, 'progress');
    client('unauthorized', $nginx, 'unauthorized');
}

# the server ends the stream

client('idle stream', start_nginx(workers => 4,
    stream => 'mcp_sse_idle_timeout 1s; mcp_sse_retry 300ms;'), 'stream-end');

for my $dialect (qw(new old)) {
    my $nginx = start_nginx(workers => 4, dialect => $dialect,
        http => 'mcp_sse_drain 2s; mcp_sse_retry 300ms;');

    client("$dialect dialect, reload", $nginx, 'reload',
        on => { reload => sub { $nginx->reload } });
}

# why "meta" is the default: the client takes an answer to ping that has no
# members but _meta

for my $result (qw(result empty)) {
    my $nginx = start_nginx(workers => 4,
        stream => "mcp_sse_ping_result $result;");

    client("mcp_sse_ping_result $result", $nginx, 'ping',
        args => [ $result eq 'result' ? 'refused' : 'accepted' ]);
}

finish();
