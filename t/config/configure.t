# nginx's ./configure with this module: the versions of nginx that it takes.
# docs/PROTOCOL.md 13.12.

use strict;
use warnings;

use File::Path ();
use File::Temp ();

use lib 't/lib';
use MCPTest;
use Test::More;

my $root = MCPTest::root();


# Runs "config" as nginx's configure does, in sources that have only what it
# reads: the version, and perhaps ngx_rbtree_data().  All libraries are found.
# Returns the status, the output and ngx_auto_config.h.

sub configure {
    my ($version, $rbtree) = @_;

    my $dir = File::Temp->newdir;
    my %file = (
        'src/core/nginx.h' => "#define nginx_version      $version\n"
            . "#define NGINX_VERSION      \"x\"\n",
        'src/core/ngx_rbtree.h' => $rbtree,
        'auto/feature'     => "ngx_found=yes\n",
        'auto/module'      => "echo configured\n",
        'auto.h'           => '',
    );

    File::Path::make_path(map { "$dir/$_" } 'src/core', 'auto');

    for my $name (keys %file) {
        open my $out, '>', "$dir/$name" or die "$name: $!\n";
        print {$out} $file{$name};
        close $out;
    }

    my $text = qx(cd '$dir' && ngx_addon_dir='$root' OPENSSL=NONE \\
        NGX_AUTO_CONFIG_H=auto.h sh -c '. "\$ngx_addon_dir/config"' 2>&1);
    my $status = $? >> 8;

    open my $in, '<', "$dir/auto.h" or die;
    local $/;

    return ($status, $text, scalar <$in>);
}


my $has = '#define ngx_rbtree_data(node, type, link)';

for my $version (1016001, 1017010, 9000, '') {
    my ($status, $text) = configure($version, '');

    isnt($status, 0, "nginx_version \"$version\" is refused");
    like($text, qr/requires nginx 1\.18\.0 or newer/,
        "nginx_version \"$version\": the error names the oldest version");
}

for my $version (1018000, 1020002, 1022001, 1031004) {
    my ($status, $text) = configure($version, $has);

    is("$status $text", "0 configured\n", "nginx_version $version is taken");
}

my (undef, undef, $old) = configure(1018000, '');
my (undef, undef, $new) = configure(1022001, $has);

like($old, qr/^\Q$has\E/m,
    'ngx_rbtree_data() is defined for an nginx that does not have it');
unlike($new, qr/ngx_rbtree_data/,
    'ngx_rbtree_data() is left alone where nginx has it');

done_testing();
