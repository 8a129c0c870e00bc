# The rights that docs/operations.md lists for the users of the module in Redis
# and in its sentinels are enough, before and after a failover, and each right
# at a sentinel is needed.  docs/PROTOCOL.md 11.10, 11.22.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Sentinel;
use Test::More;

MCPTest::Sentinel::need();

my $frappe = start_frappe();
my $set    = MCPTest::Sentinel->start(password => 'a-long-password');


# The words of a line ACL SETUSER of the page.

sub rights {
    my ($pattern, $password) = @_;

    open my $file, '<', MCPTest::root() . '/docs/operations.md'
        or die "operations.md: $!\n";

    my ($line) = grep { $_ =~ $pattern } map { /^ +ACL SETUSER (.+)/ } <$file>;

    close $file;

    return split ' ', $line =~ s/>PASSWORD/>$password/r;
}

my @redis    = rights(qr/~mcp:/, 'another-password');
my @sentinel = rights(qr/\+sentinel\|/, 'sentinel-password');

is($_->cmd('ACL', 'SETUSER', @redis), 'OK', 'a user of Redis')
    for $set->servers;
is($_->cmd('ACL', 'SETUSER', @sentinel), 'OK', 'a user of a sentinel')
    for $set->sentinels;

my %opt = (redis => $set->url(user => 'mcp', pass => 'another-password'),
    redis_opt => 'connect_timeout=1s '
        . $set->parameters(auth => 'mcp:sentinel-password'));
my @nginx = map { start_nginx(%opt) } 1, 2;


sub works {
    my ($name) = @_;

    my $stream = open_stream($nginx[0]);

    ok(wait_ready(@nginx), "$name: the instances are ready");
    ok(call($nginx[1], $stream, request(1, 'ping')),
        "$name: a message passes between instances");
    $stream->close;

    return;
}

works('the documented rights');

my $old = $set->master;

$old->kill9;
ok($set->wait_switch(from => $old), 'another server is the master');
works('after a failover');

my $at = '127.0.0.1:' . $set->master->port;

ok($_->wait_log(qr/mcp sse: redis master "mymaster" is at \Q$at\E/),
    'the log tells where the master is') for @nginx;

# AUTH, and a name and a PING that are refused, need no right

for my $right (grep { /\A[+&]/ } @sentinel) {
    next if $right =~ /\A\+(?:auth|client\|setname|ping)\z/;

    my $less = $right =~ /\A&/ ? 'resetchannels' : $right =~ s/\A\+/-/r;

    $_->cmd('ACL', 'SETUSER', 'mcp', $less) for $set->sentinels;

    my $nginx = start_nginx(%opt);

    ok($nginx->wait_log(qr/mcp sse: redis .* is lost: sentinel \S+ NOPERM/),
        "without $right the log says that it lacks");

    $_->cmd('ACL', 'SETUSER', 'mcp', $right) for $set->sentinels;
    ok(wait_ready($nginx), 'with it the instance is ready');
    $nginx->stop;
}

is(scalar(grep { /mcp sse: redis .*NOPERM/ } map { $_->error_log } @nginx), 0,
    'no right was missed');

finish();
