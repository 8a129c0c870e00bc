# The official TypeScript client over Streamable HTTP, with four workers.
# t/clients/node/streamable.mjs is the client; each line that it prints is a
# test.  docs/PROTOCOL.md 14.2.

use strict;
use warnings;

use lib 't/lib';
use IO::Select;
use MCPTest;
use MCPTest::HTTP;
use POSIX qw(WNOHANG _exit);
use Test::More;

my $dir    = MCPTest::root() . '/t/clients/node';
my ($node) = grep { -f && -x } map { "$_/node" } split /:/, $ENV{PATH} || '';

if (!$node || !-d "$dir/node_modules") {
    my $missing = $node ? 't/clients/node/node_modules (npm ci in t/clients/node)'
        : 'node';

    plan skip_all => "no $missing" unless $ENV{CI};
    fail("CI has to run the official client, but there is no $missing");
    done_testing();
    exit;
}

my $frappe = start_frappe();
my %users  = map { uc $_ => MCPTest::credential($_) } qw(alice bob);

my $nginx = start_http(workers => 4,
    http => 'mcp_sse_drain 2s; mcp_sse_retry 300ms;',
    mcp  => 'mcp_sse_progress 1s; mcp_sse_stream_after 1s;');

my $pid = open my $out, '-|';
die "fork: $!\n" unless defined $pid;

if ($pid == 0) {
    open STDIN, '<', '/dev/null';
    delete $ENV{NODE_USE_ENV_PROXY};
    %ENV = (%ENV, %users, DIALECT => 'new', HANG_AFTER => hang_after(),
        MCP_URL        => 'http://127.0.0.1:' . $nginx->port . '/mcp',
        FRAPPE_CONTROL => 'http://127.0.0.1:' . $frappe->port
            . '/_control');
    exec $node, '--no-warnings', "$dir/streamable.mjs" or _exit(127);
}

my $ready = IO::Select->new($out);
my $rest  = '';
my $ended;

while ($ready->can_read(hang_after())) {
    sysread $out, $rest, 65536, length $rest or last;

    while ($rest =~ s/\A(.*)\n//) {
        my $line = decode($1) || {};

        if (defined $line->{name}) {
            ok($line->{ok}, $line->{name})
                or diag($line->{got} || 'nothing');

        } elsif (defined $line->{event}) {
            $nginx->reload;

        } elsif (defined $line->{secret}) {
            MCPTest::secret($line->{secret});

        } elsif ($line->{end}) {
            $ended = 1;
        }
    }
}

my $gone = run_until(sub { waitpid($pid, WNOHANG) == $pid });

if (!$gone) {
    kill KILL => $pid;
    waitpid $pid, 0;
}

ok($ended && $gone, 'the script ends after its last step');

finish();
