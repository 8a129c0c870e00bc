# The error log at level debug tells the life of a message in order, and its
# lines of the module have no credential, body or whole session id.
# docs/PROTOCOL.md 9.21.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

plan(skip_all => 'this nginx is built without --with-debug')
    unless qx($ENV{MCP_SSE_NGINX} -V 2>&1) =~ /--with-debug/;

my $frappe = start_frappe();

# nginx's own lines of this level have the request as it goes to Frappe: the
# test sends no credential

my $nginx  = start_nginx(log_level => 'debug',
    server => 'mcp_sse_principal alice@example.com;');
my $stream = open_stream($nginx, auth => undef);
my $body   = 'only-in-the-body';

ok($stream->session, 'a stream opens');

post($nginx, $stream, tool(1, 'echo', { text => $body }), auth => undef);
ok($stream->wait_answer(1), 'a message is answered');

# a worker that answers another request has logged what came before it

is(health($nginx)->{status}, 'healthy', '/health answers');

my @lines = grep { /\[debug\].* mcp / } split /\n/, $nginx->error_log;
my $last  = -1;

for my $case (
    [ 'the request', qr/mcp request: "POST" mcp_sse_message/ ],
    [ 'the body', qr/mcp body: \d+ bytes/ ],
    [ 'the message', qr/mcp message: session \w{16}, 1 messages/ ],
    [ 'the delivery', qr/mcp bus: .*outcome:0/ ],
    [ 'the response', qr/mcp response: 202/ ],
    [ 'the start of the call', qr/mcp task start: session \w{16}/ ],
    [ 'the outcome of the call', qr/mcp call outcome/ ],
    [ 'the answer', qr/mcp task answer: session \w{16}/ ],
    [ 'the event', qr/mcp stream event queued/ ],
    [ 'the write', qr/mcp stream output/ ],
) {
    my ($name, $pattern) = @$case;
    my ($found) = grep { $_ > $last && $lines[$_] =~ $pattern } 0 .. $#lines;

    ok(defined $found, "the debug log has $name behind the step before")
        or diag($pattern);
    $last = $found if defined $found;
}

is(scalar(grep { index($_, $body) >= 0 } @lines), 0,
    'no debug line of the module has a body');
is(scalar(grep { index($_, $stream->session) >= 0 } @lines), 0,
    'no debug line of the module has a whole session id');

$stream->close;

finish();
