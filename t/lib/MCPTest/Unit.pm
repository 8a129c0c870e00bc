package MCPTest::Unit;

# A program of the test, in C, that calls functions of the module by commands:
# exact limits, known answers, and memory that is given back, where a request
# to nginx cannot reach them.
#
#     my $unit = MCPTest::Unit->new('t/crypto/crypto.c',
#         [qw(crypto/ngx_mcp_cipher crypto/ngx_mcp_packet)]);
#
#     is($unit->ask('derive', $secret, $info), $want);
#
# It is linked with those objects of the build that is tested (all of them:
# objects()), and runs inside an nginx process instead of nginx's main(), for
# nginx's own functions.  Further lines of C can follow the objects.
# Arguments and the answer are words; MCPTest::Unit::hex() makes one of bytes.
#
# Or a module of the test, which nginx loads behind this one:
#
#     my $show = MCPTest::Unit->module('t/config/show.c', 'ngx_mcp_show_module');
#
#     "load_module $show->{file};"
#
# Both skip all tests of the file where this is impossible.

use strict;
use warnings;

use File::Basename ();
use File::Temp ();
use IPC::Open2 ();
use Test::More;

use MCPTest::Nginx;


sub new {
    my ($class, $source, $objects, $lines) = @_;

    plan skip_all => 'a sanitizer wants to be loaded first'
        if $ENV{MCP_SSE_SANITIZE} || $ENV{MCP_SSE_VALGRIND};

    my $self = $class->_link($source, $objects, $lines);

    local %ENV = (%ENV, LD_PRELOAD => $self->{file});

    MCPTest::Nginx::overwrite_memory();

    # with "-v" it starts no server if the library is not loaded

    $self->{pid} = IPC::Open2::open2($self->{from}, $self->{to},
        MCPTest::Nginx::binary(), '-v');

    return $self;
}


sub module {
    my ($class, $source, $name) = @_;

    return $class->_link($source, [], <<"EOT");
#include <ngx_config.h>
#include <ngx_core.h>

extern ngx_module_t  $name;

ngx_module_t *ngx_modules[] = { &$name, NULL };
char *ngx_module_names[] = { "$name", NULL };
char *ngx_module_order[] = { NULL };
EOT
}


sub _directory {
    my ($module) = grep { m{/ngx_http_mcp_sse_module\.so\z} }
        MCPTest::Nginx::modules();

    return File::Basename::dirname($module || '/');
}


# All objects of the module.

sub objects {
    my $dir = _directory() . '/addon/';

    return map { substr $_, length($dir), -2 } glob "$dir*/*.o";
}


# Compiles a file of the test, and further lines, with the flags of the build,
# and links them with objects of it.

sub _link {
    my ($class, $source, $objects, $lines) = @_;

    my $build   = _directory();
    my @objects = map { "$build/addon/$_.o" } @$objects;
    my $dir     = File::Temp->newdir;

    plan skip_all => "no objects of the module in $build"
        if grep { !-f } "$build/Makefile", @objects;

    open my $file, '<', "$build/Makefile" or die "Makefile: $!\n";
    my $text = do { local $/; <$file> };

    my ($src) = $text =~ m{(\S+)/src/core/nginx\.h};

    $src = $ENV{NGINX_SRC} || '/usr/share/nginx/src'
        unless defined $src && $src =~ m{\A/};

    plan skip_all => "no sources of nginx in $src" unless -d "$src/src/core";

    my ($cc, $flags) = map { $text =~ /^$_ =\s*(.*)$/m } qw(CC CFLAGS);
    my ($incs) = $text =~ /^ALL_INCS = (.*?)\n\n/ms;
    my ($link) = $text =~ /^(.* -lyajl .*)$/m;
    my @libs   = grep { /\A-[lLR]/ } split ' ', $link;

    $incs =~ s/\\\n//g;

    open my $more, '>', "$dir/lines.c" or die "lines.c: $!\n";
    print {$more} defined $lines ? $lines : '';
    close $more;

    my $out = qx(cd $src && $cc $flags -Wno-error -fPIC $incs -shared \\
        -Wl,-Bsymbolic-functions -o $dir/unit.so \\
        @{[ MCPTest::root() ]}/$source $dir/lines.c @objects @libs 2>&1);

    die "it is not built: $out\n" unless -f "$dir/unit.so";

    return bless { dir => $dir, file => "$dir/unit.so" }, $class;
}


sub hex { return length $_[0] ? unpack 'H*', $_[0] : '-' }


# Gives a command and returns its answer.

sub ask {
    my ($self, @words) = @_;

    print { $self->{to} } "@words\n";
    $self->{to}->flush;

    my $answer = readline $self->{from};

    die "the program has ended at \"@words\"\n" unless defined $answer;
    chomp $answer;

    return $answer;
}


sub DESTROY {
    my ($self) = @_;

    local $?;

    return unless $self->{pid};

    close $self->{to};
    waitpid $self->{pid}, 0;

    return;
}

1;
