package MCPTest::Memory;

# What the workers of an nginx hold: blocks of malloc(), and chunks of the
# inner slab pool of mcp_sse_zone.  Both are exact, so that a test sees one
# object that is not given back.
#
#     my $memory = MCPTest::Memory->new;
#
#     local $ENV{LD_PRELOAD} = $memory->path;     # of start_nginx()
#     $memory->blocks($pid);
#     MCPTest::Memory::chunks($pid, $zone_size);
#
# Skips all tests of the file where no library can be preloaded; call new()
# before start_nginx().

use strict;
use warnings;

use File::Temp ();

use MCPTest::Preload;

my $slots = 65536;      # of the file: 8 bytes for each pid modulo this


sub new {
    my ($class) = @_;

    my $dir = File::Temp->newdir;

    open my $file, '>', "$dir/blocks" or die "blocks: $!\n";
    truncate $file, 8 * $slots or die "blocks: $!\n";
    close $file;

    # a user of nginx's that the test does not run as writes it as well

    chmod 0755, "$dir";
    chmod 0666, "$dir/blocks";

    my $library = MCPTest::Preload->new(<<"END");
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t alignment, size_t size);
void __libc_free(void *p);

static long  *blocks;


__attribute__((constructor)) static void
map_blocks(void)
{
    int  fd;

    fd = open("$dir/blocks", O_RDWR|O_CLOEXEC);

    if (fd == -1) {
        return;
    }

    blocks = mmap(NULL, 8 * $slots, PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);

    if (blocks == MAP_FAILED) {
        blocks = NULL;
    }

    close(fd);
}


static void *
counted(void *p)
{
    if (p && blocks) {
        blocks[getpid() % $slots]++;
    }

    return p;
}


void *
malloc(size_t size)
{
    return counted(__libc_malloc(size));
}


void *
calloc(size_t n, size_t size)
{
    return counted(__libc_calloc(n, size));
}


void *
realloc(void *p, size_t size)
{
    return p ? __libc_realloc(p, size) : counted(__libc_malloc(size));
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    *p = counted(__libc_memalign(alignment, size));

    return *p ? 0 : ENOMEM;
}


void *
memalign(size_t alignment, size_t size)
{
    return counted(__libc_memalign(alignment, size));
}


void
free(void *p)
{
    if (p && blocks) {
        blocks[getpid() % $slots]--;
    }

    __libc_free(p);
}
END

    return bless { dir => $dir, library => $library }, $class;
}


sub path { return $_[0]{library}->path }


# The number of blocks that a process has taken and not freed.

sub blocks {
    my ($self, $pid) = @_;

    return unpack 'q', _read("$self->{dir}/blocks", 8 * ($pid % $slots), 8);
}


# The number of chunks that are in use in the inner pool of a zone, as the
# worker with this pid sees it.  The outer pool is at the begin of the mapping;
# the inner one is the other ngx_slab_pool_t whose "addr" is its own address.

sub chunks {
    my ($pid, $size) = @_;

    my ($start, $end) = _mapping($pid, $size);
    my $word = sub { unpack 'Q', _read("/proc/$pid/mem", $_[0], 8) };

    my ($addr) = grep { $word->($start + $_) == $start }
        map { 8 * $_ } 16 .. 40;

    defined $addr or die "no slab pool in the zone\n";

    my $pool = $start;

    do {
        $pool += 4096;
        $pool < $end or die "no inner pool in the zone\n";
    } while ($word->($pool + $addr) != $pool);

    # min_shift, stats; a ngx_slab_stat_t has total, used, reqs, fails

    my ($shift, $stats) = map { $word->($pool + $_) } 24, 72;
    my $used = 0;

    $used += $word->($stats + 32 * $_ + 8) for 0 .. 12 - $shift - 1;

    return $used;
}


sub _mapping {
    my ($pid, $size) = @_;

    open my $maps, '<', "/proc/$pid/maps" or die "maps of $pid: $!\n";

    while (my $line = <$maps>) {
        my ($start, $end) = $line =~ /\A([0-9a-f]+)-([0-9a-f]+) rw-s .*zero/
            or next;

        # more than 32 bits

        no warnings 'portable';

        ($start, $end) = (hex $start, hex $end);
        return ($start, $end) if $end - $start == $size;
    }

    die "no zone of $size bytes in $pid\n";
}


sub _read {
    my ($name, $offset, $length) = @_;

    open my $file, '<:raw', $name or die "$name: $!\n";
    sysseek $file, $offset, 0 or die "$name: $!\n";
    sysread($file, my $bytes, $length) == $length or die "$name: $!\n";

    return $bytes;
}

1;
