package MCPTest::Preload;

# A library in C that takes the place of a function in an nginx of the test's:
#
#     my $library = MCPTest::Preload->new($source);
#
#     local $ENV{LD_PRELOAD} = $library->path;
#
# Skips all tests of the file where that cannot be; before start_*().

use strict;
use warnings;

use File::Temp ();
use Test::More;


sub new {
    my ($class, $source) = @_;

    my $cc  = $ENV{CC} || 'cc';
    my $dir = File::Temp->newdir;

    plan skip_all => 'a sanitizer wants to be loaded first'
        if $ENV{MCP_SSE_SANITIZE} || $ENV{MCP_SSE_VALGRIND};

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
