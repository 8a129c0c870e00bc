package MCPTest::Clock;

# The clocks of an nginx, which a test moves ahead:
#
#     my $clock = MCPTest::Clock->new;
#
#     local $ENV{LD_PRELOAD} = $clock->path;      # of start_nginx()
#     $clock->advance($seconds);
#
# All its processes have the new time at once, and handle what is due by it
# within half a second.  Those of Redis and of the test stay.  Skips all tests
# of the file where no library can be preloaded; call new() before
# start_nginx().
#
# new(redis => 1) is for a redis-server of its own, in its environment (env).

use strict;
use warnings;

use File::Temp ();

use MCPTest::Preload;


sub new {
    my ($class, %opt) = @_;

    my $dir = File::Temp->newdir;

    # nginx may have another user

    chmod 0755, "$dir";

    open my $file, '+>', "$dir/ahead" or die "ahead: $!\n";

    my $library = MCPTest::Preload->new(<<"END", %opt);
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static volatile long  *ahead;


__attribute__((constructor)) static void
map_ahead(void)
{
    int    fd;
    void  *p;

    fd = open("$dir/ahead", O_RDONLY|O_CLOEXEC);

    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(long), PROT_READ, MAP_SHARED, fd, 0);
    ahead = p == MAP_FAILED ? NULL : p;

    close(fd);
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    if (syscall(SYS_clock_gettime, id, ts) != 0) {
        return -1;
    }

    if (ahead) {
        ts->tv_sec += *ahead / 1000;
        ts->tv_nsec += *ahead % 1000 * 1000000;

        if (ts->tv_nsec >= 1000000000) {
            ts->tv_nsec -= 1000000000;
            ts->tv_sec++;
        }
    }

    return 0;
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}
END

    my $self = bless { dir => $dir, file => $file, ahead => 0,
        library => $library }, $class;

    $self->advance(0);

    return $self;
}


sub path { return $_[0]{library}->path }


sub advance {
    my ($self, $seconds) = @_;

    $self->{ahead} += 1000 * $seconds;

    sysseek $self->{file}, 0, 0;
    syswrite($self->{file}, pack 'q', $self->{ahead}) == 8
        or die "ahead: $!\n";

    return;
}

1;
