# mcp_sse_max_message alone says how large a message may be: nginx's own
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
        worker => $pid), "3 MB by worker $id");

    my $raw = $stream->wait_answer($id) || '';

    ok(index($raw, $text) > 0, "and it comes back whole");
}

# blocks within the location are the same endpoint

for my $path ('/if', '/limited') {
    my $uri = "$path?session_id=" . $stream->session;

    $id++;
    accepted(post($nginx, undef, tool($id, 'echo', { text => $text }),
        path => $uri), "3 MB to $path");
    ok(index($stream->wait_answer($id) || '', $text) > 0, 'answered');
}

is_rejected(post($nginx, $stream, ' ' x 4_194_305), 413, -32600,
    'Message too large', 'one byte more than mcp_sse_max_message');

# the internal location may send the call on to another

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
        '3 MB to another location');
}

finish();
