package MCPTest::Preload;

# A library in C, preloaded into a process of the test, that replaces a function
# of libc, so that it fails:
#
#     my $library = MCPTest::Preload->new($source);
#
#     local $ENV{LD_PRELOAD} = $library->path;
#
# Skips all tests of the file where this is impossible; call it before
# start_nginx().  Option: redis, true if it is for a redis-server, which no
# sanitizer or valgrind is used for.

use strict;
use warnings;

use File::Temp ();
use Test::More;


sub new {
    my ($class, $source, %opt) = @_;

    my $cc  = $ENV{CC} || 'cc';
    my $dir = File::Temp->newdir;

    plan skip_all => 'a sanitizer wants to be loaded first'
        if !$opt{redis} && ($ENV{MCP_SSE_SANITIZE} || $ENV{MCP_SSE_VALGRIND});

    open my $file, '>', "$dir/preload.c" or die "preload.c: $!\n";
    print {$file} $source;
    close $file;

    plan skip_all => "$cc makes no such library"
        if system "$cc -shared -fPIC -o $dir/preload.so $dir/preload.c"
            . " > $dir/out 2>&1";

    return bless { dir => $dir }, $class;
}


sub path { return "$_[0]{dir}/preload.so" }

1;
