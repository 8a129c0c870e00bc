# mcp_sse_max_message alone limits the size of a message: nginx's
# client_max_body_size (1m) is used neither for the POST nor for the call.
# docs/PROTOCOL.md 4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $nginx  = start_nginx(workers => 2,
    http => 'mcp_sse_max_message 4m; mcp_sse_zone zone=large:24m;',
    locations => <<'EOT');
        location = /if      { mcp_sse_message; if ($host) { set $a 1; } }
        location = /limited { mcp_sse_message; limit_except PUT { allow all; } }
EOT
my $stream = open_stream($nginx);
my $text   = join '', map { chr 97 + $_ % 26 } 1 .. 3_000_000;
my $id     = 0;

for my $pid ($nginx->wait_workers) {
    $id++;

    accepted(post($nginx, $stream, tool($id, 'echo', { text => $text }),
        worker => $pid), "a message of 3 MB is accepted at worker $id");

    my $raw = $stream->wait_answer($id) || '';

    ok(index($raw, $text) > 0,
        "the message of 3 MB at worker $id comes back whole");
}

# blocks within the location belong to the same endpoint

for my $path ('/if', '/limited') {
    my $uri = "$path?session_id=" . $stream->session;

    $id++;
    accepted(post($nginx, undef, tool($id, 'echo', { text => $text }),
        path => $uri), "a message of 3 MB is accepted at $path");
    ok(index($stream->wait_answer($id) || '', $text) > 0,
        "the message of 3 MB at $path comes back whole");
}

is_rejected(post($nginx, $stream, ' ' x 4_194_305), 413, -32600,
    'Message too large',
    'a message one byte larger than mcp_sse_max_message is 413');

# the location of mcp_sse_call rewrites to another one

{
    my $nginx  = start_nginx(
        http => 'mcp_sse_max_message 4m; mcp_sse_zone zone=large:24m;',
        call => 'rewrite ^ /_mcp/other last;', locations => <<'EOT');
        location = /_mcp/other {
            internal;
            proxy_set_header Host $mcp_sse_site;
            proxy_pass http://frappe/api/method/frappe_assistant_core.api.fac_endpoint.handle_mcp;
        }
EOT
    my $stream = open_stream($nginx);

    post($nginx, $stream, tool(1, 'echo', { text => $text }));
    ok(index($stream->wait_answer(1) || '', $text) > 0,
        'a call of 3 MB is rewritten to another location');
}

finish();
