# The official TypeScript client v2 in the modes in which it asks for
# MCP 2026-07-28 first, in front of backends that do not know it, and of one
# that does.  t/clients/node22/modern.mjs has the steps.
# docs/PROTOCOL.md 14.10.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Client qw(client);
use MCPTest::HTTP;
use Test::More;

MCPTest::Client::need('node22');
MCPTest::secret('alice-key:wrong');

my $frappe = start_frappe();

# a backend, options of start_nginx(), what the client sees

my @backends = (
    [ 'FAC', {}, { SERVER => 'frappe-assistant-core',
        OFFERS => 'prompts resources tools' } ],
    [ '/api/mcp', { endpoint => '/api/mcp' }, { SERVER => 'frappe',
        OFFERS => 'tools' } ],
);

for my $mode (qw(auto pin)) {
    for my $backend (@backends) {
        my ($name, $opt, $env) = @{$backend};

        my $nginx = start_http(%{$opt}, workers => 2,
            http => 'mcp_sse_drain 1s; mcp_sse_progress 1s; '
                . 'mcp_sse_stream_after 500ms;');

        client("$mode, $name", $nginx, 'modern', folder => 'node22',
            args => [ $mode, 'calls' ], env => $env,
            on => { reload => sub { $nginx->reload } });

        is(scalar(grep { $_->{result} eq 'cancelled' } $nginx->audit(0)), 2,
            "$mode, $name: the log has the calls that were cancelled");
        $nginx->stop;
    }

    my $nginx = start_http();

    client($mode, $nginx, 'modern', folder => 'node22',
        args => [ $mode, $_ ]) for qw(unauthorized older);

    is(http_post($nginx, request(1, 'ping'))->status, 200,
        'the credential is looked up');
    client($mode, start_http(http => 'mcp_sse_auth_cache 300s;'), 'modern',
        folder => 'node22', args => [ $mode, 'down' ]);
}

finish();
