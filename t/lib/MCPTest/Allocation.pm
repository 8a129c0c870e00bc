package MCPTest::Allocation;

# Lets one allocation of a worker fail: the first one from now on, the second,
# and so on, and counts its blocks.
#
#     my $allocation = MCPTest::Allocation->new;
#
#     local $ENV{LD_PRELOAD} = $allocation->path;     # of start_nginx()
#
#     $allocation->worker($pid);
#     $allocation->fail(3);           # the third one fails
#     $allocation->failed;            # whether it came to that
#     $allocation->fail(0);
#     $allocation->blocks;            # that the worker has, up to a constant
#
# Counted are those of ngx_alloc() and ngx_memalign(), with which nginx and the
# module allocate; libraries always get what they want.  With small pools
# (request_pool_size 128) nearly each allocation is one of these.
#
# Skips all tests of the file where no library can be preloaded; call new()
# before start_nginx().

use strict;
use warnings;

use File::Temp ();

use MCPTest::Conn qw(run_until);
use MCPTest::Preload;

use constant { PID => 0, FAILS => 1, FAILED => 2, BLOCKS => 3 };


sub new {
    my ($class) = @_;

    my $file = File::Temp->new;

    truncate $file, 32 or die "$file: $!\n";
    chmod 0666, "$file" or die "$file: $!\n";

    my $library = MCPTest::Preload->new(<<"EOT");
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <link.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static struct { long pid, fails, failed, blocks; } *state;
static char *first, *last;
static long self;

static void child(void) { self = getpid(); }

static int program(struct dl_phdr_info *info, size_t size, void *data)
{
    int i;

    for (i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type == PT_LOAD
            && info->dlpi_phdr[i].p_flags & PF_X)
        {
            first = (char *) info->dlpi_addr + info->dlpi_phdr[i].p_vaddr;
            last = first + info->dlpi_phdr[i].p_memsz;
        }
    }

    return 1;
}

__attribute__((constructor)) static void map(void)
{
    int fd = open("$file", O_RDWR|O_CLOEXEC);
    void *p = fd == -1 ? MAP_FAILED : mmap(NULL, sizeof(*state),
        PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (fd != -1) {
        close(fd);
    }

    dl_iterate_phdr(program, NULL);

    if (p != MAP_FAILED) {
        child();
        pthread_atfork(NULL, NULL, child);
        state = p;
    }
}

static int refused(void *caller)
{
    if (state && state->pid == self && state->fails
        && (char *) caller >= first && (char *) caller < last
        && --state->fails == 0)
    {
        state->failed = 1;
        errno = ENOMEM;
        return 1;
    }

    return 0;
}

static void *add(void *p)
{
    if (p && state && state->pid == self) {
        state->blocks++;
    }

    return p;
}

#define REFUSED refused(__builtin_return_address(0))

void *malloc(size_t n) { return REFUSED ? NULL : add(__libc_malloc(n)); }

void *calloc(size_t n, size_t m)
{
    return REFUSED ? NULL : add(__libc_calloc(n, m));
}

void *realloc(void *p, size_t n)
{
    if (REFUSED) {
        return NULL;
    }

    return p ? __libc_realloc(p, n) : add(__libc_malloc(n));
}

int posix_memalign(void **p, size_t a, size_t n)
{
    return REFUSED || (*p = add(__libc_memalign(a, n))) == NULL ? ENOMEM : 0;
}

void free(void *p)
{
    if (p && state && state->pid == self) {
        state->blocks--;
    }

    __libc_free(p);
}
EOT

    return bless { file => $file, library => $library }, $class;
}


sub path { return $_[0]{library}->path }


sub _set {
    my ($self, $n, $value) = @_;

    sysseek $self->{file}, 8 * $n, 0;
    syswrite $self->{file}, pack 'q', $value;

    return;
}


sub _get {
    my ($self, $n) = @_;

    sysseek $self->{file}, 8 * $n, 0;
    sysread $self->{file}, my $bytes, 8;

    return unpack 'q', $bytes;
}


sub worker {
    my ($self, $pid) = @_;

    return $self->_set(PID, $pid);
}


sub fail {
    my ($self, $n) = @_;

    $self->_set(FAILED, 0) if $n;

    return $self->_set(FAILS, $n);
}


sub failed { return $_[0]->_get(FAILED) }
sub blocks { return $_[0]->_get(BLOCKS) }


# Lets each allocation of what a function does fail, which gets its number, calls
# fail() with it and returns what was seen, until it does without.  Calls another
# function before and after, which closes connections.  Returns how often each
# was seen, and the blocks that a second round has left.

sub each {
    my ($self, $try, $settle) = @_;

    my (%seen, $before);

    for (1, 2) {
        $settle->();
        $before = $self->blocks;

        for my $n (1 .. 5000) {
            my $seen = $try->($n);

            $self->fail(0);
            last if !$self->failed;
            $seen{$seen}++;
        }
    }

    $settle->();
    run_until(sub { $self->blocks <= $before }, 3);

    return (\%seen, $self->blocks - $before);
}

1;
