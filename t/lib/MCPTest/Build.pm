package MCPTest::Build;

# A copy of the module with other constants, for limits that a test cannot
# reach:
#
#     my $module = MCPTest::Build->new('shm/ngx_mcp_zone_conf',
#         'NGX_MCP_ZONE_CONF_MIN_WORKERS=6');
#
#     start_nginx(config => sub { $module->config($_[0]->template) });
#
# One file is compiled again, with the flags of the build that is tested, and
# linked with the other objects of that build.  Skips all tests of the file
# where there are no such objects.

use strict;
use warnings;

use File::Basename ();
use File::Temp ();
use Test::More;

use MCPTest::Nginx;


sub new {
    my ($class, $source, @define) = @_;

    my ($module) = grep { m{/ngx_http_mcp_sse_module\.so\z} }
        MCPTest::Nginx::modules();

    my $build = File::Basename::dirname($module || '/');
    my $dir   = File::Temp->newdir;

    plan skip_all => "no objects of the module in $build"
        unless -f "$build/Makefile" && -f "$build/addon/$source.o";

    my $text = slurp("$build/Makefile");

    # the objects stay where they are, but for this one and the module

    $text =~ s{\Q$build\E/(addon/\Q$source\E\.o)}{$dir/$1}g;
    $text =~ s{\Q$build\E/(ngx_http_mcp_sse_module\.so)}{$dir/$1}g;
    $text =~ s{^(CFLAGS *=)}{"$1 " . join ' ', map { "-D$_" } @define}me;

    mkdir "$dir/addon";
    mkdir "$dir/addon/" . File::Basename::dirname($source);

    open my $file, '>', "$dir/Makefile" or die "Makefile: $!\n";
    print {$file} $text;
    close $file;

    # nginx's makefile names its own sources relatively

    my ($src) = $text =~ m{(\S+)/src/core/nginx\.h};

    $src = $ENV{NGINX_SRC} || '/usr/share/nginx/src'
        unless defined $src && $src =~ m{\A/};

    plan skip_all => "no sources of nginx in $src" unless -d "$src/src/core";

    my $out = qx(cd $src && make -s -f $dir/Makefile \\
        $dir/ngx_http_mcp_sse_module.so 2>&1);

    die "the module is not built: $out\n"
        unless -f "$dir/ngx_http_mcp_sse_module.so";

    return bless { dir => $dir, module => $module }, $class;
}


sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or die "$name: $!\n";
    local $/;

    return scalar <$file>;
}


# A configuration that loads the copy.

sub config {
    my ($self, $text) = @_;

    $text =~ s{^load_module \Q$self->{module}\E;}
        {load_module $self->{dir}/ngx_http_mcp_sse_module.so;}m
        or die "no load_module\n";

    return $text;
}

1;
