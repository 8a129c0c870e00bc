# The clock of the system steps forward and back: an id that was ended stays
# ended.  docs/PROTOCOL.md 7.32.
#
# The test moves the clock of nginx: gettimeofday() adds the seconds that are
# in a file.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Preload;
use Test::More;

my $library = MCPTest::Preload->new(<<'END');
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <unistd.h>

int
gettimeofday(struct timeval *tv, void *tz)
{
    int   fd;
    char  text[16] = "";

    syscall(SYS_gettimeofday, tv, NULL);

    fd = open(getenv("CLOCK"), O_RDONLY);

    if (fd != -1) {
        if (read(fd, text, sizeof(text) - 1) > 0) {
            tv->tv_sec += atoi(text);
        }
        close(fd);
    }

    return 0;
}
END

my $dir   = File::Temp->newdir;
my $clock = "$dir/clock";

step(0);

my $frappe = start_frappe();

my $nginx = do {
    local $ENV{LD_PRELOAD} = $library->path;
    local $ENV{CLOCK} = $clock;
    start_http(main => 'env CLOCK;', http => 'mcp_sse_drain 1h;');
};


sub step {
    my ($seconds) = @_;

    open my $file, '>', "$clock.new" or die "$clock: $!\n";
    print {$file} "$seconds\n";
    close $file;
    rename "$clock.new", $clock or die "$clock: $!\n";

    return;
}


# Waits until the worker has this date.

sub wait_date {
    my ($pattern) = @_;

    return run_until(sub {
        return get($nginx, '/pid')->header('Date') =~ $pattern;
    });
}


sub date {
    my ($seconds) = @_;

    my ($day, $month, $year) = (gmtime time + $seconds)[3 .. 5];
    my @names = qw(Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec);

    return sprintf '%02d %s %d ', $day, $names[$month], $year + 1900;
}


my $id   = session_id($nginx);
my $list = request(1, 'tools/list');

is(http_post($nginx, $list, session => $id)->status, 200,
    'a session is served');
is(http_delete($nginx, $id)->status, 204, 'DELETE is 204');
is(http_post($nginx, $list, session => $id)->status, 404,
    'its id is 404');

# an old worker, which nginx does not replace, is found dead by a sweep; that
# removes ended ids that have expired as well

my $stream = open_stream($nginx);

post($nginx, $stream, tool(1, 'hold', { gate => 'exit' }));

my ($old) = $nginx->reload;
my $ahead = 10 * 86_400;

step($ahead);
ok(wait_date(date($ahead)), 'the clock is ten days ahead');

$nginx->kill_worker($old);
ok($nginx->wait_log(qr/worker process $old is dead/),
    'a sweep runs with that clock');

step(0);
ok(wait_date(date(0)), 'the clock is right again');

is(http_post($nginx, $list, session => $id)->status, 404,
    'an id that was ended is 404 after the clock went forward and back');

my $new = session_id($nginx);

is(http_post($nginx, $list, session => $new)->status, 200,
    'a new session is served');

finish();
