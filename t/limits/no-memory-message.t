# A message that was accepted, and for which the worker that has the stream has
# no memory, is answered with an error; the stream goes on.
# docs/PROTOCOL.md 5.8, 5.10.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Preload;
use File::Temp ();
use Test::More;

# blocks of 300 to 400 kB fail in a process for which there is a file; a
# message of that size has one in the worker that has the stream

my $dir = File::Temp->newdir;

my $library = MCPTest::Preload->new(<<"END");
#include <stdio.h>
#include <unistd.h>

void *__libc_malloc(size_t size);

void *
malloc(size_t size)
{
    char  name[256];

    if (size > 300000 && size < 400000) {
        snprintf(name, sizeof(name), "$dir/%d", (int) getpid());

        if (access(name, F_OK) == 0) {
            return NULL;
        }
    }

    return __libc_malloc(size);
}
END

my $frappe = start_frappe();
my $nginx  = do {
    local $ENV{LD_PRELOAD} = $library->path;
    start_nginx(workers => 2, http => 'mcp_sse_zone zone=mcp:16m;',
        allow => [ qr/malloc\(3\d+\) failed/ ]);
};

my ($owner, $other) = $nginx->wait_workers;

my $stream = open_stream($nginx, worker => $owner);
my $conn   = connect_worker($nginx, $other);
my $large  = 'x' x 320_000;


sub lost {
    my ($raw, $name) = @_;

    is_error($raw, -32010, 'No memory for the message', $name);
    is_deeply((error_of($raw) || {})->{data}, { executed => 'no' },
        "$name: it was not executed");

    return;
}


open my $file, '>', "$dir/$owner" or die "$owner: $!\n";
close $file;

accepted(post($nginx, $stream, tool('"large"', 'echo', { text => $large }),
    conn => $conn), 'a large message is accepted at the other worker');
lost($stream->wait_answer('"large"'), 'a large message is answered');

accepted(post($nginx, $stream, '[' . join(',', tool(1, 'echo', {}),
    notification('notifications/progress', { text => $large }),
    request(2, 'ping'), tool(3, 'echo', {})) . ']', conn => $conn),
    'a large batch is accepted');
lost($stream->wait_answer($_), "request $_ of a large batch is answered")
    for 1 .. 3;

ok(!$stream->ended, 'the stream does not end');
ok(call($nginx, $stream, tool(4, 'echo', {})), 'a small call is answered');
is($frappe->tool_count('echo'), 1, 'no other call goes to Frappe');
is(health($nginx)->{pending_requests}, 0, 'nothing is pending');
ok($nginx->wait_log(qr/no memory for 4 messages of session \w+, they are/),
    'the log says so');

unlink "$dir/$owner";
accepted(post($nginx, $stream, tool(5, 'echo', { text => $large }),
    conn => $conn), 'with memory a large message is accepted');
ok(!error_of($stream->wait_answer(5)), 'with memory it is executed');
is_deeply([ grep { $stream->answers($_) != 1 } '"large"', 1 .. 5 ], [],
    'every request is answered once');
$stream->close;

finish();
