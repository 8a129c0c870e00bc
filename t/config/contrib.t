# contrib/ and the Debian package's prerm: bench-nginx-patch on nginx.conf files
# of bench and Docker, the commands of docs/installation.md, the systemd unit,
# supervisor, Procfile and logrotate.  docs/PROTOCOL.md 9.14, 10.17.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET;
use POSIX qw(WNOHANG _exit);

use lib 't/lib';
use MCPTest;
use Test::More;

my $root = MCPTest::root();
my $dir  = File::Temp->newdir;

chmod 0755, "$dir";

my ($module) = MCPTest::Nginx::modules();

plan skip_all => 'contrib/ loads the module, and this nginx has it built in'
    unless $module;


sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or die "$name: $!\n";
    local $/;
    my $text = <$file>;

    return defined $text ? $text : '';
}


sub spew {
    my ($name, $text) = @_;

    open my $file, '>', $name or die "$name: $!\n";
    print {$file} $text;
    close $file or die "$name: $!\n";

    return $name;
}


# Runs a command; returns its status and what it printed.

sub run {
    my (@command) = @_;

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        exec @command or _exit(127);
    }

    my $text = do { local $/; <$out> };
    close $out;

    return ($? >> 8, defined $text ? $text : '');
}


sub installed {
    my ($name) = @_;

    my ($path) = grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH}),
        '/usr/sbin', '/sbin';

    return $path;
}


# Runs bench-nginx-patch with the nginx of the tests.

sub patch {
    return run('sh', "$root/contrib/bench-nginx-patch", '--nginx',
        MCPTest::Nginx::binary(), @_);
}


# The nginx.conf that bench generates, with ports and logs of this test.

sub bench {
    my ($port, $frappe) = @_;

    my $text = slurp("$root/t/config/bench/nginx.conf");

    $text =~ s/listen 80;/listen 127.0.0.1:$port;/g;
    $text =~ s/listen 8001;/listen unix:$dir\/second.sock;/;
    $text =~ s/127\.0\.0\.1:8000/127.0.0.1:$frappe/;
    $text =~ s/\/var\/log\/nginx/$dir/g;

    return $text;
}


sub docker {
    my ($text) = @_;

    my %value = (BACKEND => '127.0.0.1:8000', PROXY_READ_TIMEOUT => 120,
        FRAPPE_SITE_NAME_HEADER => '$host', CLIENT_MAX_BODY_SIZE => '50m',
        UPSTREAM_REAL_IP_ADDRESS => '127.0.0.1',
        UPSTREAM_REAL_IP_HEADER => 'X-Forwarded-For');

    $text =~ s/\$\{(\w+)\}/defined $value{$1} ? $value{$1} : "?$1?"/ge;
    $text =~ s/listen 8080;/listen unix:$dir\/docker.sock;/;

    return $text;
}


sub main_conf {
    my ($file, $logs) = @_;

    my $user = $> == 0 ? 'user root;' : '';

    return <<"EOT";
$user
include $logs/modules-enabled/*.conf;
daemon off;
pid $logs/nginx.pid;
error_log $logs/error.log;

events {
}

# http {
http {
    access_log off;
    include $file;
    client_body_temp_path $logs/body;
    proxy_temp_path $logs/proxy;
    fastcgi_temp_path $logs/fastcgi;
    uwsgi_temp_path $logs/uwsgi;
    scgi_temp_path $logs/scgi;
}
EOT
}


# bench-nginx-patch on both templates: once, twice, with options, removed

for my $kind ('bench', 'docker') {
    mkdir "$dir/$kind";
    mkdir "$dir/$kind/modules-enabled";

    my $file = "$dir/$kind/site.conf";
    my $main = "$dir/$kind/nginx.conf";
    my $old  = $kind eq 'bench' ? bench(8099, 8000)
        : slurp("$root/t/config/bench/frappe.conf.template");
    my $conf = main_conf($kind eq 'bench' ? $file : "$file.out",
        "$dir/$kind");
    my @run  = ('--main', $main, '--module', $module, $file);

    my $check = sub {
        spew("$file.out", docker(slurp($file)));
        return MCPTest::Nginx->check($main, '-p', "$dir/$kind/");
    };

    spew($file, $old);
    chmod 0640, $file;
    spew($main, $conf);

    my ($status, $text) = $check->();
    is($status, 0, "$kind: nginx -t accepts the file before the patch")
        or diag($text);

    ($status, $text) = patch(@run);
    is($status, 0, "$kind: bench-nginx-patch succeeds") or diag($text);
    like($text, qr/\Q$file\E changed/, "$kind: its output names the file");

    my $new = slurp($file);

    isnt($new, $old, "$kind: the file has changed");
    is((stat $file)[2] & 07777, 0640, "$kind: the mode of the file stays");
    like(slurp($main), qr/^load_module  \Q$module\E;$/m,
        "$kind: the main configuration has load_module");

    ($status, $text) = $check->();
    is($status, 0, "$kind: nginx -t accepts the patched file") or diag($text);
    unlike($text, qr/\[(?:warn|error|alert|crit|emerg)\]/,
        "$kind: nginx -t has no warning");

    # a second time, and after bench has generated the file again

    ($status, $text) = patch(@run);
    is("$status$text", "0bench-nginx-patch: nothing to change\n",
        "$kind: a second run has nothing to change");
    is(slurp($file), $new, "$kind: a second run leaves the file as it is");

    spew($file, $old);
    patch(@run);
    is(slurp($file), $new,
        "$kind: after bench setup nginx the patch is the same");
    is(() = slurp($main) =~ /load_module/g, 1,
        "$kind: the main configuration has one load_module");

    # options

    my $key = spew("$dir/$kind/key", 'k' x 40 . "\n");
    chmod 0600, $key;

    patch('--key', $key, '--call', 'a.b.handle_assistant_request',
        '--public-url', 'https://erp.example.com:8443', @run);

    my $options = slurp($file);

    like($options, qr/^mcp_sse_key  \Q$key\E;$/m,
        "$kind: --key becomes mcp_sse_key");
    like($options, qr{/api/method/a\.b\.handle_assistant_request;},
        "$kind: --call becomes the method of the call");
    like($options, qr{mcp_sse_local\ +ping\ resources/list
        \ resources/templates/list\ logging/setLevel;}x,
        "$kind: an old method leaves to mcp_sse_local what it does not have");
    like($options, qr{mcp_sse_public_url +https://erp\.example\.com:8443;},
        "$kind: --public-url becomes mcp_sse_public_url");
    like($options, qr{X-Forwarded-Proto\s+https;},
        "$kind: --public-url gives Frappe's documents their scheme");
    like($options, qr{Host\s+erp\.example\.com:8443;},
        "$kind: --public-url gives Frappe's documents their host");

    ($status, $text) = $check->();
    is($status, 0, "$kind: nginx -t accepts the options") or diag($text);

    patch(@run);
    is(slurp($file), $new, "$kind: without options the file is as before");

    # removed

    ($status, $text) = patch('--remove', @run);
    is($status, 0, "$kind: --remove succeeds");
    is(slurp($file), $old, "$kind: --remove restores the file");
    is(slurp($main), $conf, "$kind: --remove restores the main configuration");

    # the package loads the module

    spew("$dir/$kind/modules-enabled/50-mod-http-mcp-sse.conf",
        "load_module $module;\n");
    patch(@run);
    is(slurp($file), $new, "$kind: with the package the patch is the same");
    is(slurp($main), $conf, "$kind: with the package there is no load_module");
    unlink "$dir/$kind/modules-enabled/50-mod-http-mcp-sse.conf";

    # as a whole configuration, through a link

    $conf =~ s/ include \S+;\n/ $old/;
    spew("$file.whole", $conf);
    symlink 'site.conf.whole', "$file.link";

    patch('--main', "$dir/none", '--module', $module, '--key', $key,
        "$file.link");
    ok(-l "$file.link", "$kind: a symbolic link stays a link");

    my $whole = slurp("$file.whole");

    like($whole, qr/\A# frappe-sse-bridge: begin\nload_module /,
        "$kind: a whole configuration has load_module at the top");
    spew("$file.whole.out", docker($whole));
    ($status, $text) = MCPTest::Nginx->check("$file.whole.out", '-p',
        "$dir/$kind/");
    is($status, 0, "$kind: nginx -t accepts a whole configuration")
        or diag($text);
}

# Other shapes of bench's file, as people, certbot and editors leave them: they
# are patched, nginx -t accepts them, a second run changes nothing, --remove
# restores them.  What nginx -t refuses is restored.

{
    mkdir "$dir/shapes";

    my $file = "$dir/shapes/site.conf";
    my $main = "$dir/shapes/nginx.conf";
    my $conf = main_conf($file, "$dir/shapes");
    my @run  = ('--main', $main, '--module', $module, $file);
    my $some = bench(8099, 8000);

    system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=x '
        . "-keyout $dir/shapes/cert.key -out $dir/shapes/cert 2>/dev/null");

    my $tls = "listen 127.0.0.1:8443 ssl; # managed by Certbot\n"
        . "\tssl_certificate $dir/shapes/cert;\n"
        . "\tssl_certificate_key $dir/shapes/cert.key;";

    # name, change of the file, number of servers that get locations

    for my $shape (
        [ 'a site with TLS', sub { s/listen 127\.0\.0\.1:8099;/$tls/ }, 2 ],
        [ 'CRLF',             sub { s/\n/\r\n/g }, 2 ],
        [ 'no final newline', sub { s/\n\z// }, 2 ],
        [ 'braces on lines of their own',
            sub { s/^(\t*)((?:server|location [\/@]\w*)) \{/$1$2\n$1\{/mg },
            2 ],
        [ '"location ^~ /"', sub { s/location \/ \{/location ^~ \/ {/g }, 2 ],
        [ 'its own log at level info', sub {
            s/(access_log \S+;)/$1\n\terror_log $dir\/shapes\/own.log info;/
            }, 2 ],
        [ 'quotes', sub { s/(Site-Name) (\S+?);/$1 "$2";/g }, 2 ],
        [ 'comments', sub { s/(location \/ \{)/# $1\n\t# }\n\t$1 # all/g }, 2 ],
        [ 'a domain more', sub { s/(\t\twww)/\t\terp.example.net\n$1/ }, 2 ],
        [ 'a third site with a port of its own', sub {
            my ($last) = /(^server \{(?:(?!^server).)*)\z/ms;
            $last =~ s/second/third/g;
            $_ .= $last }, 3 ])
    {
        my ($name, $change, $servers) = @{$shape};

        local $_ = $some;
        $change->();

        my $old = $_;

        isnt($old, $some, "$name: the shape differs from bench's file");
        spew($file, $old);
        spew($main, $conf);

        my ($status, $text) = patch(@run);

        is($status, 0, "$name: bench-nginx-patch succeeds") or diag($text);
        like($text, qr/^bench-nginx-patch: nginx -t is successful/m,
            "$name: nginx -t is successful");

        my $new = slurp($file);

        is(() = $new =~ /^\s*mcp_sse_call /mg, $servers,
            "$name: each server with Frappe has the locations");
        is(() = $new =~ /gzip off;.* error_log \S+ info; }/g,
            9 * ($name =~ /log/ ? $servers - 1 : $servers),
            "$name: the locations log at level info");

        # an editor that writes CRLF everywhere

        spew($file, $new =~ s/\r?\n/\r\n/gr) if $name eq 'CRLF';

        (undef, $text) = patch(@run);
        is(slurp($file), $new, "$name: a second run changes nothing");

        patch('--remove', @run);
        is(slurp($file), $old, "$name: --remove restores the file");
        is(slurp($main), $conf,
            "$name: --remove restores the main configuration");
    }

    # several logs, or one of http: the locations have all of them

    for my $case (
        [ 'two logs of a server', $conf,
            "error_log $dir/shapes/a.log; error_log $dir/shapes/b.log crit;",
            'a.log info', 'b.log crit' ],
        [ 'two logs, one of which has all', $conf,
            "error_log $dir/shapes/a.log; error_log $dir/shapes/b.log info;" ],
        [ 'two logs of nginx', $conf =~
            s/^(error_log .*\n)/$1error_log $dir\/shapes\/b.log crit;\n/rm, '',
            'error.log info', 'b.log crit' ],
        [ 'a log of http', $conf =~ s/(access_log off;)/$1
            error_log $dir\/shapes\/http.log;/r, '', 'http.log info' ])
    {
        my ($name, $nginx, $logs, @want) = @{$case};

        spew($file, $some =~ s/(access_log \S+;)/
            join "\n\t", $1, split m{(?<=;) }, $logs/er);
        spew($main, $nginx);

        my ($status, $text) = patch(@run);

        is($status, 0, "$name: bench-nginx-patch succeeds") or diag($text);

        my ($location) = slurp($file) =~ /(location = \/mcp \{.*\})/;

        is_deeply([ $location =~ /error_log \S+\/(\S+\.log[^;]*);/g ], \@want,
            "$name: the locations have these logs");
        patch('--remove', @run);
    }

    spew($file, $some);
    spew($main, $conf);

    my $same = sub {
        my ($name, $old) = @_;

        ok(slurp($file) eq $old && slurp($main) eq $conf,
            "$name: both files are as before");
    };

    # Not root: bench's file belongs to the user, nginx.conf does not.  Neither
    # is changed.

    {
        my @user = $> == 0 ? qw(setpriv --reuid 65534 --clear-groups) : ();

        spew($file, $some);
        chown 65534, -1, $file if @user;
        chmod 0444, $main;
        run('cp', "$root/contrib/bench-nginx-patch", "$dir/shapes/patch");

        my ($status, $text) = run(@user, 'sh', "$dir/shapes/patch", @run);

        is($status, 1, 'not root: bench-nginx-patch fails');
        like($text, qr/\A\S+ \Q$main\E is not writable for \S+, nothing was changed: run it with sudo\n\z/,
            'not root: one line says what to do');
        $same->('not root', $some);

        (undef, $text) = run(@user, 'sh', "$dir/shapes/patch", '--main',
            'none', $file);
        like($text, qr/ next: nginx -t && systemctl reload nginx\n\z/,
            'not root: a patch without nginx.conf succeeds');
        is((stat $file)[4], @user ? 65534 : $>, 'not root: the owner stays');
        chmod 0644, $main;
    }

    # the file has such a location already

    my $taken = $some =~ s/(\tlocation \/ \{)/\tlocation = \/mcp { }\n$1/r;

    spew($file, $taken);
    my ($status, $text) = patch(@run);
    is($status, 1, 'a duplicate location: bench-nginx-patch fails');
    like($text, qr/\A\S+ nginx -t fails, all files were restored: duplicate location "\/mcp" in \S+\n\z/,
        'a duplicate location: one line says why');
    $same->('a duplicate location', $taken);

    my $bad = "nonsense;\n$some";

    spew($file, $bad);
    ($status, $text) = patch(@run);
    is($status, 1, 'a file with an error: bench-nginx-patch fails');
    like($text, qr/\A\S+ nginx -t fails before and after, nothing was changed: unknown directive "nonsense" in \S+\n\z/,
        'a file with an error: one line says so');
    $same->('a file with an error', $bad);

    # the module does not exist

    spew($file, $some);
    ($status, $text) = patch('--main', $main, '--module', "$dir/none.so",
        $file);
    is($status, 1, 'no module: bench-nginx-patch fails');
    like($text, qr/none\.so/, 'no module: the line names the file');
    $same->('no module', $some);

    # the key of the package is set once in an nginx

    mkdir "$dir/shapes/conf.d";

    my $other = spew("$dir/shapes/conf.d/other.conf", '');
    my $key   = spew("$dir/shapes/mcp_sse.key", 'k' x 40 . "\n");
    chmod 0600, $key;

    my $keys = sub {
        my ($name, $want, @arg) = @_;

        my ($status, $text) = patch(@arg, @run);

        is($status, 0, "$name: bench-nginx-patch succeeds") or diag($text);
        is(join('', slurp($file) =~ /^mcp_sse_key  (\S+);$/mg), $want,
            "$name: the file has " . ($want ? 'the key' : 'no key'));
    };

    $keys->('a key beside nginx.conf', $key);
    $keys->('a second run with the key', $key);
    $keys->('--key none', '', '--key', 'none');
    spew($other, "mcp_sse_key $key;\n");
    $keys->('another file has the key', '');
    spew($other, "# mcp_sse_key $key;\n");
    unlink "$dir/shapes/conf.d/link.conf";
    symlink $file, "$dir/shapes/conf.d/link.conf";
    $keys->('no other file has it', $key);

    my $two = spew("$dir/shapes/two.conf", $some);

    patch(@run, $two);
    is(() = (slurp($file) . slurp($two)) =~ /^mcp_sse_key/mg, 1,
        'two files have one key together');

    # mcp_sse_backend_calls: from the settings of the bench, once in an nginx

    my $calls = sub {
        my ($name, $want, @arg) = @_;

        my ($status, $text) = patch(@arg, @run);
        my $text_now = slurp($file);

        is($status, 0, "$name: bench-nginx-patch succeeds") or diag($text);
        is(join('', $text_now =~ /^mcp_sse_backend_calls  (\S+);$/mg), $want,
            "$name: " . ($want || 'no') . ' calls');
        like($text_now, $want ? qr/proxy_read_timeout +240;/
            : qr/^(?!.*proxy_read_timeout +240;)/s,
            "$name: the time of calls is " . ($want ? 'doubled' : 'as it was'));
    };

    my $supervisor = spew("$dir/shapes/supervisor.conf", '');

    $calls->('no settings', '');
    mkdir "$dir/sites";

    my $settings = spew("$dir/sites/common_site_config.json", '{}');

    $calls->('settings without workers', '');
    spew($settings, qq({\n "x": 7,\n "gunicorn_workers": 4,\n "y": 9\n}\n));
    $calls->('4 workers', 2);
    spew($settings, '{"gunicorn_workers":2}');
    $calls->('2 workers', 1);
    spew($supervisor, "command=/env/bin/gunicorn -w 2 --threads=8 -t 120\n");
    $calls->('2 workers of 8 threads', 14);
    $calls->('--threads', 8, '--threads', 10);
    $calls->('--threads none', '', '--threads', 'none');
    spew($other, "mcp_sse_backend_calls 3;\n");
    $calls->('another file has the directive', '');
    spew($other, '');
    isnt((patch(@run, '--threads', $_))[0], 0, "--threads $_ is refused")
        for '0', 'x', '-1', '1.5';
    unlink $settings;

    # mcp_sse_events: the Redis of the bench

    my $events = sub {
        my ($name, $want, $time, @arg) = @_;

        my ($status, $text) = patch(@arg, @run);
        my $text_now = slurp($file);

        is($status, 0, "$name: bench-nginx-patch succeeds") or diag($text);
        is(join('', $text_now =~ /^mcp_sse_events  (\S+);$/mg), $want,
            "$name: " . ($want || 'no') . ' Redis of events');
        like($text_now, qr/_mcp\/call \{[^}]*proxy_read_timeout +$time;/,
            "$name: calls may take $time");

        return $text;
    };

    my $queue = 'redis://127.0.0.1:11000';

    $events->('no settings', '', 120);
    spew($settings, '{}');
    like($events->('settings without Redis', '', 120),
        qr/no mcp_sse_events: common_site_config.json has no redis_queue/,
        'settings without Redis: it says so');
    spew($settings, qq({\n "redis_cache": "redis://127.0.0.1:13000",\n)
        . qq( "redis_queue": "$queue",\n "x": 1\n}\n));
    $events->('redis_queue', $queue, '230s');
    $events->('redis_queue and threads', $queue, '350s', '--threads', 4);
    $events->('--events none', '', 120, '--events', 'none');
    $events->('--events', 'redis://127.0.0.2:6379', '230s', '--events',
        'redis://127.0.0.2:6379');
    spew($settings, '{"redis_socketio":"redis://127.0.0.1:12000"}');
    $events->('redis_socketio', 'redis://127.0.0.1:12000', '230s');
    spew($other, "mcp_sse_events redis://127.0.0.1;\n");
    $events->('another file has it', '', '230s');
    spew($other, '');

    for my $with ('{"redis_queue":"redis://:secret@127.0.0.1:11000"}',
        qq({"redis_queue":"$queue","use_rq_auth": true}))
    {
        spew($settings, $with);
        like($events->('a password', '', 120),
            qr/redis_queue of the bench has users or a password: to let/,
            'a password is not written where others can read it');
    }

    spew($settings, qq({"redis_queue":"$queue"}));
    $events->('once more', $queue, '230s');
    my $patched = slurp($file);
    $events->('again', $queue, '230s');
    is(slurp($file), $patched, 'a second run changes nothing');
    patch('--remove', @run);
    unlike(slurp($file), qr/mcp_sse_events/, '--remove removes it');
    unlink $settings;

    # a compose file has each $ twice, except in its own variables

    my $template = slurp("$root/t/config/bench/frappe.conf.template");
    my $compose  = $template =~ s/\$(?!\{)/\$\$/gr;

    spew($file, $template);
    patch('--main', 'none', $file);
    $template = slurp($file);
    unlike($template, qr/^mcp_sse_(?:key|events)/m,
        'a template of Docker has no key, and no Redis of events');

    my $with = spew("$dir/shapes/events.template",
        slurp("$root/t/config/bench/frappe.conf.template"));

    patch('--main', 'none', '--events', 'redis://redis-queue:6379', $with);
    like(slurp($with), qr/^mcp_sse_events  redis:\/\/redis-queue:6379;$/m,
        'a template of Docker with --events');
    like(slurp($with), qr/_mcp\/call \{[^}]*proxy_read_timeout +1h;/,
        'the time of its calls is above what nobody knows yet');

    spew($file, $compose);
    ($status, $text) = patch('--main', 'none', $file);
    is($status, 0, 'a compose file: bench-nginx-patch succeeds');
    is(slurp($file), $template =~ s/\$(?!\{)/\$\$/gr,
        'a compose file has each $ of the patch twice');

    # what a proxy in front says of the scheme is what clients see

    like($template, qr{^\s*mcp_sse_public_url\s+
        \$proxy_x_forwarded_proto://\$http_host;$}mx,
        'frappe_docker: the scheme of the proxy in front is the public one');
}


# only servers with Frappe behind them are patched

{
    my $new = slurp("$dir/bench/site.conf");

    is(() = $new =~ /begin$/mg, 3, 'bench: two servers and http are patched');
    is(() = $new =~ /wrong\.example\.com/g, 1,
        'bench: the headers are those of @webserver');
    like($new, qr/ = \/_mcp\/call \{[^}]*proxy_read_timeout +120;/,
        'bench: the time-out of calls is that of bench');
}

# refusals, which change nothing

{
    my $file = spew("$dir/plain.conf", "server {\n    location / {\n    }\n}\n");
    my ($status, $text) = patch('--main', 'none', $file);

    isnt($status, 0, 'a file without Frappe is refused');
    like($text, qr/\@webserver/, 'a file without Frappe: the line says why');
    unlike(slurp($file), qr/frappe-sse-bridge/,
        'a file without Frappe is not changed');

    spew($file, my $cut = bench(1, 2) . "# frappe-sse-bridge: begin\n");
    ($status, $text) = patch('--main', 'none', $file);
    isnt($status, 0, 'a begin without an end is refused');
    is(slurp($file), $cut, 'a begin without an end is not changed');

    for my $bad ([ '--key', 'a;b' ], [ '--call', 'a b' ], [ '--call', '' ],
        [ '--nonsense' ], [ '--key' ])
    {
        ($status) = patch(@$bad);
        isnt($status, 0, "bench-nginx-patch refuses @$bad");
    }

    ($status, $text) = run('sh', '-c', "cd $dir && exec sh "
        . "$root/contrib/bench-nginx-patch --main none");
    isnt($status, 0, 'a missing file is refused');
    like($text, qr/config\/nginx\.conf/, 'a missing file: the line names it');
}


# requests through the patched configuration of bench

{
    my $frappe = frappe();
    my $file   = "$dir/running.conf";

    my $nginx = start_nginx(config => sub {
        my ($self) = @_;

        spew($file, bench($self->port, $frappe->port));
        spew("$dir/running.main", main_conf($file, "$self->{dir}/logs"));

        my ($status, $text) = patch('--main', "$dir/running.main",
            '--module', $module, $file);
        die $text if $status;

        return slurp("$dir/running.main");
    });
    my $port = $nginx->port;
    my @host = (host => 'www.example.com');

    is(get($port, '/mcp/health', @host)->status, 200,
        'bench: /mcp/health is 200');
    is(get($port, '/mcp/metrics', @host)->status, 200,
        'bench: /mcp/metrics is 200');

    for my $path ('/mcp', '/mcp/') {
        my $got = post($port, undef, tool(1, 'echo', { text => 'x' x 3000 }),
            path => $path, @host, headers => [
                Accept => 'application/json, text/event-stream',
                'Accept-Encoding' => 'gzip' ]);

        is($got->status, 200, "bench: a call at $path is 200");
        ok($got->json && !error_of($got->body),
            "bench: a call beyond client_max_body_size has a result at $path");
    }

    # the map of bench names the site

    my ($seen) = grep { $_->{path} =~ /handle_mcp/ } reverse
        @{ decode(get($frappe->port, '/_control/requests')->body) };
    my %header = map { lc $_->[0] => $_->[1] } @{ $seen->{headers} || [] };

    is($header{'x-frappe-site-name'}, 'erp.example.com',
        'bench: a call has the site of the map');
    ok(!exists $header{'x-use-x-accel-redirect'},
        'bench: a call has no header of X-Accel-Redirect');

    # more streams than limit_conn allows, none of them compressed

    my @streams = map { open_stream($port, path => '/mcp/sse', @host,
        headers => [ 'Accept-Encoding' => 'gzip' ]) } 1 .. 12;

    is(scalar(grep { $_->status == 200 } @streams), 12,
        'bench: 12 streams open');

    for my $message (request(2, 'tools/list'), tool(3, 'accel', {})) {
        my $raw = call($port, $streams[11], $message, @host);

        ok($raw && !error_of($raw),
            'bench: a request on a stream has a result');
    }

    # bench's error pages are for browsers

    my $refused = post($port, undef, request(3, 'tools/list'), path => '/mcp',
        auth => undef, @host);

    is($refused->status, 401, 'bench: a POST without a credential is 401');
    ok($refused->json, 'bench: this 401 is JSON');
    ok($nginx->wait_log(qr/\[info\].* mcp sse: refused with 401, .*KEY:SECRET/),
        'bench: the log says why, although the level of bench is error');
    like($nginx->error_log, qr/\[info\].* SSE connection established: /,
        'bench: the log has streams');

    # documents of OAuth

    for my $suffix ('', '/mcp', '/mcp/', '/mcp/sse') {
        my $got = get($port,
            "/.well-known/oauth-protected-resource$suffix", @host);

        is($got->status, 200, "bench: metadata$suffix is 200");
        is(($got->json || {})->{resource}, "http://www.example.com$suffix",
            "bench: metadata$suffix is that of its URL");
        is($got->header('Access-Control-Allow-Origin'), '*',
            "bench: metadata$suffix is for every Origin");
    }

    is(get($port, '/api/method/ping', @host)->status, 200,
        "bench: Frappe's own pages are 200");
    is(get($port, '/_mcp/call', @host)->status, 404,
        'bench: /_mcp/call is 404');

    my @sessions = map { $_->session } @streams;

    $_->close for @streams;

    my $log;

    ok(run_until(sub {
        $log = slurp("$dir/erp.example.com_access.log");
        return @streams <= (() = $log =~ m{"GET /mcp/sse}g);
    }), 'bench: the access log has the streams');
    like($log, qr{"POST /mcp/messages HTTP/1\.1" 202},
        'bench: the access log has the messages');
    is(scalar(grep { index($log, $_) >= 0 } @sessions), 0,
        'bench: the access log has no session id');
}


# frappe-sse-bridge as "make install" installs it

my $bin = "$dir/usr/bin/frappe-sse-bridge";
my $share = "$dir/usr/share/frappe-sse-bridge";

{
    local %ENV = (PATH => $ENV{PATH});
    my ($status, $text) = run('make', '-s', '-C', $root, 'install-launcher',
        "DESTDIR=$dir", 'PREFIX=/usr');

    is($status, 0, 'make install-launcher succeeds') or diag($text);
    is((run($bin, '--version'))[1],
        (run("$root/util/mcp-sse-bridge", '--version'))[1],
        'the installed launcher has its version');
    ok(-x "$share/bench-nginx-patch", 'bench-nginx-patch is installed');
    ok(-f "$share/frappe/mcp_push.py", 'mcp_push.py is installed');
}

# The commands of docs/installation.md for bench, below a root of their own, with
# stand-ins for programs that would change the machine.

{
    my ($section) = slurp("$root/docs/installation.md")
        =~ /^## In bench's nginx\n(.*?)^## In frappe_docker/ms;
    my @blocks = ($section || '') =~ /^((?:    [^\n]*\n)+)/mg;

    is(scalar(@blocks), 4, 'installation.md has four blocks for bench');

    my $top = "$dir/readme";

    run('mkdir', '-p', "$top/bench/config", "$top/bin", "$top/usr/share",
        map { "$top/etc/$_" } qw(nginx default systemd/system logrotate.d
            supervisor/conf.d));
    run('cp', '-R', $share, "$top/usr/share/");
    spew("$top/bench/Procfile", "web: bench serve\nsse_bridge: old\n");
    spew("$top/etc/nginx/nginx.conf", "events {\n}\n");
    spew("$top/bench/config/nginx.conf", bench(8099, 8000));
    spew("$top/etc/nginx/mcp_sse.key", 'k' x 40 . "\n");

    for my $name (qw(systemctl journalctl supervisorctl nginx tail)) {
        spew("$top/bin/$name", "#!/bin/sh\necho $name \$* >> $top/ran\n");
    }

    chmod 0755, glob "$top/bin/*";

    my $patch = "$top/usr/share/frappe-sse-bridge/bench-nginx-patch";
    my $script = slurp($patch);

    $script =~ s{^main=}{main=$top}m;
    spew($patch, $script);

    for my $block (@blocks) {
        $block =~ s{(?<=\s)/(?=usr/share|etc|var)}{$top/}g;

        my ($status, $text) = run('env', "PATH=$top/bin:$ENV{PATH}", 'sh',
            '-ec', "cd $top/bench\n$block");

        is($status, 0, 'installation.md: the block of ' . (split ' ', $block)[0]
            . ' succeeds') or diag($text);
    }

    is(slurp("$top/etc/systemd/system/frappe-sse-bridge.service"),
        slurp("$share/frappe-sse-bridge.service"),
        'installation.md: the systemd unit is installed');

    my $vars = slurp("$top/etc/default/frappe-sse-bridge");

    like($vars, qr/^FRAPPE_SITE=/m,
        'installation.md: the variables of the unit are installed');
    like($vars, qr/^MCP_SSE_KEY=(\S{44})\n\z/m,
        'installation.md: a key is generated');
    is((stat "$top/etc/default/frappe-sse-bridge")[2] & 0777, 0600,
        'installation.md: only root can read the variables');
    ok(-s "$top/etc/supervisor/conf.d/frappe-sse-bridge.conf",
        'installation.md: the file of supervisor is installed');
    ok(-s "$top/etc/logrotate.d/frappe-sse-bridge",
        'installation.md: the file of logrotate is installed');
    ok(-d "$top/var/log/frappe", 'installation.md: the log has its directory');
    is(slurp("$top/bench/Procfile"), "web: bench serve\n"
        . slurp("$root/contrib/Procfile"),
        'installation.md: the Procfile has the line of the bridge');
    like(slurp("$top/bench/config/nginx.conf"),
        qr{^mcp_sse_key  \Q$top\E/etc/nginx/mcp_sse\.key;.*mcp_sse_http;}ms,
        'installation.md: the nginx.conf of bench is patched');
    like(slurp("$top/etc/nginx/nginx.conf"), qr/\A# .*\nload_module /,
        'installation.md: the main nginx.conf has load_module');

    my $ran = slurp("$top/ran");

    # commands of the earlier guide

    like($ran, qr/^systemctl enable --now frappe-sse-bridge$/m,
        'installation.md: the service has the name of the guide');
    like($ran, qr/^journalctl -u frappe-sse-bridge$/m,
        'installation.md: the journal has the name of the guide');
    like($ran, qr{^tail \S*/var/log/frappe/sse-bridge\.log$}m,
        'installation.md: the log of supervisor has the name of the guide');
}

# whether user 65534 (nobody) can reach a file

sub for_all {
    my ($path) = @_;

    while ($path =~ s{/[^/]*\z}{} && $path ne '') {
        return 0 unless (stat $path)[2] & 01;
    }

    return 1;
}

system 'cp', $module, "$dir/module.so";
chmod 0755, "$dir/module.so";

my %env = (HOME => "$dir/home", MCP_SSE_MODULE => "$dir/module.so",
    MCP_SSE_NGINX => MCPTest::Nginx::binary(), MCPTest::Nginx::sanitizers());
our $drop = $> == 0 && for_all(MCPTest::Nginx::binary());

# Runs a command in a directory of its own, as a user without rights, and
# returns the process id of its group.

sub start {
    my ($name, $env, @command) = @_;

    mkdir "$dir/$name";
    chown 65534, 65534, "$dir/$name" if $drop;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        setpgrp;
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/$name.log";
        open STDERR, '>&', \*STDOUT;
        chdir "$dir/$name";
        %ENV = (%$env, %env, MCP_SSE_RUN_DIR => "$dir/$name/run",
            PATH => "$dir/usr/bin:$ENV{PATH}");

        if ($drop) {
            $) = '65534 65534';
            POSIX::setgid(65534);
            POSIX::setuid(65534);
        }

        exec @command or _exit(127);
    }

    return $pid;
}


sub up {
    my ($port) = @_;

    return run_until(sub {
        my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $port) or return 0;

        local $SIG{PIPE} = 'IGNORE';
        print {$sock} "GET /health HTTP/1.0\r\n\r\n";

        return (<$sock> || '') =~ / 200 /;
    });
}


# Ends a process group; true if all of its processes end.

sub gone {
    my ($pid, $signal) = @_;

    kill $signal => $signal eq 'TERM' ? -$pid : $pid;

    return run_until(sub {
        waitpid $pid, WNOHANG;
        return !kill 0, -$pid;
    });
}


# The site's name in the last call that Frappe got.

sub asked {
    my ($port, @auth) = @_;

    my $got = post($port, undef, request(1, 'tools/list'), path => '/mcp',
        @auth);

    is($got->status, 200, 'a call through the bridge is 200');

    my ($seen) = grep { $_->{path} =~ /handle_mcp/ } reverse
        @{ decode(get(frappe()->port, '/_control/requests')->body) };
    my %header = map { lc $_->[0] => $_->[1] } @{ $seen->{headers} || [] };

    return $header{'x-frappe-site-name'};
}


# Procfile as honcho runs it: with its own PORT, by sh, from the bench

{
    my $line = slurp("$root/contrib/Procfile");
    my $port = MCPTest::Nginx::free_port();

    is(() = $line =~ /\n/g, 1, 'Procfile has one line');
    like($line, qr/^sse_bridge: PORT=8080 .*frappe-sse-bridge$/,
        'Procfile has the name and the port of the guide');

    $line =~ s/^sse_bridge: //;
    $line =~ s/PORT=8080/PORT=$port/;

    mkdir "$dir/procfile";
    mkdir "$dir/procfile/sites";
    spew("$dir/procfile/sites/currentsite.txt", "other.example.com\n");

    # "bench use" writes currentsite.txt, since Frappe 14 default_site, which
    # comes first unless it is empty

    for my $case ([ 'other.example.com' ], [ 'erp.example.com',
        'erp.example.com' ], [ 'other.example.com', '' ])
    {
        my ($site, $default) = @$case;

        spew("$dir/procfile/sites/common_site_config.json",
            "{\n \"background_workers\": 1,\n"
            . " \"default_site\": \"$default\",\n"
            . " \"webserver_port\": 8000\n}\n") if defined $default;

        my $pid = start('procfile', { PORT => 5400, FRAPPE_URL =>
            'http://127.0.0.1:' . frappe()->port }, 'sh', '-c', $line);

        ok(up($port), 'Procfile: the bridge runs')
            or diag(slurp("$dir/procfile.log"));
        is(asked($port, $site =~ /other/
            ? (auth => MCPTest::credential('alice', 'other')) : ()),
            $site, "Procfile: the site of the bench is used, $site");
        ok(gone($pid, 'TERM'), 'Procfile: the bridge ends with bench');
    }

    unlike(MCPTest::Nginx::log_text(slurp("$dir/procfile.log")),
        qr/\[(?:alert|crit|emerg)\]/,
        'Procfile: the log has no alert, crit or emerg');
}


# prerm of the package: a removal names files that need the module

{
    my $etc = "$dir/removed/etc";
    my $prerm = slurp("$root/debian/prerm");

    $prerm =~ s{/etc/nginx}{$etc};
    mkdir "$dir/removed";

    my $script = spew("$dir/removed/prerm", $prerm);

    is_deeply([ run('sh', $script, 'remove') ], [ 0, '' ],
        'prerm: a removal without nginx prints nothing');

    mkdir $etc;
    mkdir "$dir/removed/$_" for qw(sites modules);

    spew("$dir/removed/sites/mcp", "server {\n    mcp_sse_call  /x;\n}\n");
    spew("$dir/removed/modules/mcp.so", "\x7fELF\0mcp_sse_call\0\n");
    spew("$etc/other.conf", "# mcp_sse_call  /x;\n");

    symlink "$dir/removed/modules", "$etc/modules";

    is_deeply([ run('sh', $script, 'remove') ], [ 0, '' ],
        'prerm: the module itself and comments do not count');

    symlink "$dir/removed/sites/mcp", "$etc/mcp.conf";

    my ($status, $text) = run('sh', $script, 'remove');

    is($status, 0, 'prerm: a removal succeeds');
    like($text, qr/\A\S+ \Q$etc\E\/mcp\.conf needs the module[^\n]*\n\z/,
        'prerm: a removal names the file that needs the module');
    is_deeply([ run('sh', $script, 'upgrade', '2') ], [ 0, '' ],
        'prerm: an upgrade prints nothing');
}


# the variables of systemd's unit

{
    my $port = MCPTest::Nginx::free_port();
    my %vars = slurp("$root/contrib/frappe-sse-bridge.env")
        =~ /^([A-Z_]+)=(.+)$/mg;

    is($vars{PORT}, 8080, 'variables of the unit: PORT is 8080');

    $vars{PORT} = $port;
    $vars{FRAPPE_URL} =~ s/8000/frappe()->port/e;

    my $pid = start('unit', \%vars, $bin);

    ok(up($port), 'variables of the unit: the bridge runs')
        or diag(slurp("$dir/unit.log"));
    is(asked($port), 'erp.example.com',
        'variables of the unit: FRAPPE_SITE is the site of calls');
    ok(gone($pid, 'QUIT'), 'variables of the unit: QUIT ends the bridge');
}

SKIP: {
    my $analyze = installed('systemd-analyze')
        or skip 'no systemd-analyze', 2;
    my $unit = slurp("$share/frappe-sse-bridge.service");

    $unit =~ s{/usr/bin/frappe-sse-bridge}{$bin};

    my $file = spew("$dir/frappe-sse-bridge.service", $unit);
    my ($status, $text) = run($analyze, '--man=no', 'verify', $file);

    is($status, 0, 'systemd-analyze verify accepts the unit');
    is($text, '', 'systemd-analyze verify has no warning');
}


# supervisor

{
    my ($status, $text) = run('python3', '-c', <<'EOT', "$share/supervisor.conf");
import configparser, sys
c = configparser.RawConfigParser(inline_comment_prefixes=(";",))
c.read(sys.argv[1])
p = c["program:frappe-sse-bridge"]
assert c.sections() == ["program:frappe-sse-bridge"]
print(p["command"], p["stdout_logfile"], p["stopsignal"], p["user"])
EOT

    is($status, 0, 'supervisor: the file is an ini file');
    is($text, '/usr/bin/frappe-sse-bridge /var/log/frappe/sse-bridge.log '
        . "QUIT frappe\n", 'supervisor: names are those of the guide');
}

SKIP: {
    my $supervisord = installed('supervisord')
        or skip 'no supervisord', 5;
    my $port = MCPTest::Nginx::free_port();
    my $conf = slurp("$share/supervisor.conf");
    my $set = join ',', map { "$_=\"$env{$_}\"" } grep { /MCP/ } sort keys %env;

    $conf =~ s{/usr/bin/frappe-sse-bridge}{$bin};
    $conf =~ s{/var/log/frappe}{$dir/supervisor}g;
    $conf =~ s/^user=frappe$/$drop ? 'user=nobody' : ''/me;
    $conf =~ s/"8080"/"$port"/;
    $conf =~ s/:8000/':' . frappe()->port/e;
    $conf =~ s{^environment=}{environment=MCP_SSE_RUN_DIR="$dir/supervisor/run",$set,}m;

    mkdir "$dir/supervisor";
    chmod 0777, "$dir/supervisor";
    spew("$dir/supervisor.conf", "[supervisord]\nnodaemon=true\n"
        . "logfile=$dir/supervisord.log\npidfile=$dir/supervisord.pid\n"
        . ($> == 0 ? "user=root\n" : '') . "childlogdir=$dir\n$conf");

    local $drop = 0;
    my $pid = start('supervised', {}, $supervisord, '-c',
        "$dir/supervisor.conf");

    ok(up($port), 'supervisor: the bridge runs')
        or diag(slurp("$dir/supervised.log"));
    is(asked($port), 'erp.example.com',
        'supervisor: FRAPPE_SITE is the site of calls');
    like(slurp("$dir/supervisor/sse-bridge.log"),
        qr/"POST \/mcp HTTP\/1\.1" 200/, 'supervisor: the log has the call');

    # logrotate while the bridge runs

    SKIP: {
        my $logrotate = installed('logrotate') or skip 'no logrotate', 3;
        my $rotate = slurp("$share/logrotate");

        $rotate =~ s{/var/log/frappe}{$dir/supervisor}g;
        spew("$dir/logrotate", $rotate);
        chmod 0644, "$dir/logrotate";
        chmod 0755, "$dir/supervisor";
        run($logrotate, '-f', '-s', "$dir/rotated", "$dir/logrotate");

        like(slurp("$dir/supervisor/sse-bridge.log.1"), qr/POST \/mcp/,
            'logrotate: the old log has the call');
        unlike(slurp("$dir/supervisor/sse-bridge.log"), qr/POST/,
            'logrotate: the new log is empty');
        asked($port);
        ok(run_until(sub { slurp("$dir/supervisor/sse-bridge.log")
            =~ /\A[^\0]*POST/ }), 'logrotate: the new log has the next call');
    }

    ok(gone($pid, 'QUIT'), 'supervisor: QUIT ends the bridge');
}

SKIP: {
    my $logrotate = installed('logrotate') or skip 'no logrotate', 2;
    my ($status, $text) = run($logrotate, '-d', "$share/logrotate");

    is($status, 0, 'logrotate -d accepts the file');
    unlike($text, qr/error/, 'logrotate -d reports no error');
}

finish();
