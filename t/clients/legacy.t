# The official TypeScript client over the legacy HTTP+SSE transport, with four
# workers.  The scripts of t/clients/node are the clients; each line that they
# print is a test.  docs/PROTOCOL.md 2.15, 5.2, 14.1.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Client qw(client);
use Test::More;

MCPTest::Client::need();

my $frappe = start_frappe();

# both dialects of Frappe: bare JSON-RPC (new), and in "message" (old)

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
    stream => 'mcp_sse_idle_timeout 5s; mcp_sse_retry 300ms;'), 'stream-end');

for my $dialect (qw(new old)) {
    my $nginx = start_nginx(workers => 4, dialect => $dialect,
        http => 'mcp_sse_drain 2s; mcp_sse_retry 300ms;');

    client("$dialect dialect, reload", $nginx, 'reload',
        on => { reload => sub { $nginx->reload;
            $frappe->open_gate('reload') } });
}

# "meta" is the default of mcp_sse_ping_result since this client accepts an
# answer to ping only if _meta is its only member

for my $result (qw(result empty)) {
    my $nginx = start_nginx(workers => 4,
        stream => "mcp_sse_ping_result $result;");

    client("mcp_sse_ping_result $result", $nginx, 'ping',
        args => [ $result eq 'result' ? 'refused' : 'accepted' ]);
}

finish();
