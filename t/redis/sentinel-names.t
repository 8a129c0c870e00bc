# Redis with Sentinel over TLS, and with names instead of addresses: the master
# is killed.  docs/PROTOCOL.md 11.20, 11.21.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use MCPTest::Names;
use MCPTest::Sentinel;
use Test::More;

MCPTest::Sentinel::need();

my $frappe = start_frappe();
my $names  = MCPTest::Names->new(localhost => '127.0.0.1');
my $set    = MCPTest::Sentinel->start(tls => 1, host => 'localhost',
    password => 'a-long-password');
my @nginx  = start_instances(2, redis => $set, workers => 2,
    redis_opt => 'timeout=2s connect_timeout=2s',
    http => 'mcp_sse_grace 10s; resolver 127.0.0.1:' . $names->port
        . ' ipv6=off;');
my $load   = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
    rate => 60);
my $old;

cmp_ok($names->asked('localhost'), '>', 0, 'workers look up the name');

$load->fault(
    name   => 'the master is killed, with TLS and names',
    lost   => 1,
    begin  => sub { $old = $set->master; $old->kill9 },
    healed => sub { $set->wait_switch(from => $old) },
);

$load->close;
$_->stop for @nginx;
$set->clean;
finish();
