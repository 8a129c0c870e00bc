# A worker that stops starts no look-up: a request that it still reads is
# refused at once, and does not join one that waits in the queue.
# docs/PROTOCOL.md 12.4.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

# the hard end comes three seconds after the reload

my $nginx = start_nginx(http => 'mcp_sse_auth_lookups 32; mcp_sse_drain 1s; mcp_sse_call_timeout 3s; '
    . 'lingering_timeout 60s; lingering_time 60s;');
my $known = open_stream($nginx);

$frappe->set(down => 'hang');

# 32 look-ups run, of which none ends, the next one waits in the queue

my $before = $frappe->lookups;
my @held   = map { open_stream($nginx, auth => "token key-$_:secret-no-$_",
    wait => 0) } 1 .. 32;

ok(run_until(sub { $frappe->lookups == $before + 32 }),
    '32 look-ups run');

my $auth = 'token key-queued:secret-queued';

# The body does not come: after its answer the request waits for it.  The other
# request has a header line to come.

my ($lingers, $conn) = map { connect_to($nginx) } 1, 2;

my $first  = $lingers->request('POST', '/mcp/messages?session_id='
    . $known->session, headers => [ Authorization => $auth,
    'Content-Length', 100 ]);
my $second = MCPTest::Response->new;

@$second{qw(method sent)} = ('GET', now());
push @{ $conn->{queue} }, $second;
$conn->send_raw("GET /mcp/sse HTTP/1.1\r\nHost: erp.example.com\r\n");

is(health($nginx)->{status}, 'healthy', 'the worker has read both requests');

my @old = $nginx->reload;

$first->wait;
is($first->status, 503, 'a request whose look-up waits is 503 at the end');

$conn->send_raw("Authorization: $auth\r\n\r\n");
$second->wait;
is($second->status, 503,
    'a request with the same credential is 503 without a look-up');

is($frappe->lookups, $before + 32, 'no other look-up has begun');

$frappe->set(down => undef);
$_->close for @held, $known, $lingers, $conn;
ok($nginx->wait_gone(\@old), 'the worker ends when the clients have left');

finish();
