# The sockets by which workers wake each other: who is woken, by how many
# datagrams, what a full queue, a dead worker and a failure are, and which
# descriptors stay open.  docs/ARCHITECTURE.md 1.

use strict;
use warnings;

use lib 't/lib';
use Errno qw(EINTR EPERM ENOBUFS EMFILE EIO);
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/shm/wakeup.c', ['shm/ngx_mcp_wakeup']);

# ids that no other test on this machine has at the same time

my ($here, $there) = map { "$_$$" } qw(h t);
my $opened = 'connection event:1:read:clear:channel';
my $failed = qr/\[warn\] .* cannot open an abstract unix socket, this worker /;


# Gives commands and compares their answers.

sub steps {
    my ($name, @steps) = @_;

    while (my ($command, $want) = splice @steps, 0, 2) {
        my $got = $unit->ask(split / /, $command);

        ref $want ? like($got, $want, "$name: $command")
                  : is($got, $want, "$name: $command");
    }

    return;
}


$unit->ask('state');

steps('one worker', "open $here" => "ok $opened", 'state' => 'descriptors 1',
    "send $here" => 'ok', "send $here" => 'ok', "send $here" => 'ok',
    'read' => 'ok woken', 'read' => 'ok woken', "send $there" => 'declined',
    'log' => 'log ');

{
    my $name = 'mcp_sse.' . unpack 'H*', pack 'a16', $here;

    open my $file, '<', '/proc/net/unix' or plan skip_all => "no list: $!";
    is(scalar(grep { /\@\Q$name\E$/ } <$file>), 1,
        'the name of its socket has its id');
}

# its queue has net.unix.max_dgram_qlen datagrams; more are not needed

steps('a full queue', (map { ("send $here" => 'ok') } 1 .. 600),
    'log' => 'log ', 'read' => 'ok woken');

steps('what fails', "fail sendto @{[ ENOBUFS ]}" => 'ok', "send $here" => 'ok',
    'log' => 'log ', "fail sendto @{[ EPERM ]}" => 'ok',
    "send $here" => 'error',
    'log' => qr/^log [^|]*\[alert\] .*sendto\(\) to a worker failed \(1: /,
    "fail recv @{[ EINTR ]}" => 'ok', 'read' => 'ok woken', 'log' => 'log ',
    "fail recv @{[ EIO ]}" => 'ok', 'read' => 'ok woken',
    'log' => qr/^log [^|]*\[alert\] .*recv\(\) on the wake-up socket failed \(/,
    'write' => 'ok', "send $here" => 'ok', 'read closing' => 'ready',
    'read' => 'ok woken');

# a socket that is closed, or was not opened: the worker sends from another one

steps('a worker that ends', 'close' => 'ok closed', 'state' => 'descriptors 0',
    'close' => 'ok', "send $here" => 'declined', 'state' => 'descriptors 1',
    "send $there" => 'declined', 'state' => 'descriptors 1', 'close' => 'ok',
    'state' => 'descriptors 0', 'log' => 'log ');

steps('no socket to send from', "fail socket @{[ EMFILE ]}" => 'ok',
    "send $here" => 'error', 'state' => 'descriptors 0',
    "send $here" => 'declined', 'state' => 'descriptors 1', 'close' => 'ok');

steps('no socket', "fail socket @{[ EMFILE ]}" => 'ok',
    "open $here" => 'declined', 'log' => $failed, 'state' => 'descriptors 0');

steps('no connection', "open $here no-connection" => 'declined',
    'log' => $failed, 'state' => 'descriptors 0', 'close' => 'ok');

steps('no event', "open $here no-event" => "declined $opened freed",
    'log' => $failed, 'state' => 'descriptors 0', 'close' => 'ok',
    'state' => 'descriptors 0');

steps('a name that is in use', "open $here" => "ok $opened",
    "open $here" => 'declined', 'log' => $failed, 'state' => 'descriptors 1',
    "send $here" => 'ok', 'read' => 'ok woken', 'close' => 'ok closed',
    'state' => 'descriptors 0');

finish();
