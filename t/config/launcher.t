# util/mcp-sse-bridge, the launcher: what its variables become, which values it
# refuses, and that it runs.  nginx.conf.example is its output.
# docs/PROTOCOL.md 2.2, 5.3, 7.5, 7.6, 10.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET;
use POSIX qw(WNOHANG _exit);

use lib 't/lib';
use MCPTest;
use Test::More;

my $root   = MCPTest::root();
my $bridge = "$root/util/mcp-sse-bridge";
my $dir    = File::Temp->newdir;

plan skip_all => 'util/mcp-sse-bridge is missing' unless -x $bridge;

mkdir "$dir/$_" for qw(cwd run modules);

my ($module) = MCPTest::Nginx::modules();

plan skip_all => 'the launcher loads the module, and this nginx has it'
    unless $module;

symlink $module, "$dir/modules/ngx_http_mcp_sse_module.so";

my %plain = (FRAPPE_URL => 'http://127.0.0.1:8000',
    FRAPPE_SITE => 'erp.example.com');


# Runs the launcher with only these variables; returns status, output, errors.

sub launch {
    my ($env, @arg) = @_;

    my $errors = "$dir/errors";
    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>', $errors;
        chdir "$dir/cwd";
        %ENV = (PATH => $ENV{PATH}, HOME => "$dir",
            MCP_SSE_RUN_DIR => "$dir/run", %$env);
        exec $bridge, @arg or _exit(127);
    }

    my $text = do { local $/; <$out> };
    close $out;

    my $status = $? >> 8;

    open my $file, '<', $errors or die;

    return ($status, defined $text ? $text : '',
        do { local $/; my $e = <$file>; defined $e ? $e : '' });
}


sub config { return (launch({ %plain, @_ }, '--print-config'))[1] }


# Writes a program of sh; returns its name.

sub script {
    my ($name, $text) = @_;

    open my $out, '>', "$dir/$name" or die;
    print {$out} "#!/bin/sh\n$text\n";
    close $out;
    chmod 0755, "$dir/$name";

    return "$dir/$name";
}


sub refuses {
    my ($name, $pattern, %env) = @_;

    my ($status, $out, $errors) = launch({ %plain, %env }, '--print-config');
    my @lines = split /\n/, $errors;

    # a refusal is one line

    ok($status != 0 && $out eq '' && @lines == 1 && $errors =~ $pattern,
        "the launcher refuses $name with one line")
        or diag("$status, $errors");

    return;
}


# nginx.conf.example

open my $file, '<', "$root/nginx.conf.example"
    or die "nginx.conf.example: $!\n";
my $example = do { local $/; <$file> };

{
    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDERR, '>', '/dev/null';
        chdir $dir;
        exec 'env', '-i', map({ "$_=$plain{$_}" } sort keys %plain), $bridge,
            '--print-config' or _exit(127);
    }

    my $printed = do { local $/; <$out> };
    close $out;

    is($printed, $example,
        'nginx.conf.example is what the launcher prints');
}

open my $copy, '>', "$dir/nginx.conf" or die;
print {$copy} $example;
close $copy;

mkdir "$dir/logs";

my ($status, $text) = MCPTest::Nginx->check("$dir/nginx.conf", '-p',
    "$dir/", '-g', "pid $dir/nginx.pid;");

is($status, 0, 'nginx -t accepts nginx.conf.example') or diag($text);
unlike($text, qr/\[(?:warn|error|alert|crit|emerg)\]/,
    'nginx -t on nginx.conf.example has no warning');

# what the variables become

like(config(), qr/listen\s+127\.0\.0\.1:8080;/,
    'HOST is 127.0.0.1 and PORT 8080 by default');
like(config(HOST => '0.0.0.0', PORT => 8099), qr/listen\s+0\.0\.0\.0:8099;/,
    'HOST and PORT become listen');
like(config(), qr/server\s+127\.0\.0\.1:8000/,
    'FRAPPE_URL becomes the upstream');
like(config(), qr/mcp_sse_site\s+erp\.example\.com;/,
    'FRAPPE_SITE becomes mcp_sse_site');
like(config(FRAPPE_SITE => ''), qr/mcp_sse_site\s+127\.0\.0\.1;/,
    'FRAPPE_SITE is the host of FRAPPE_URL by default');
like(config(), qr{mcp_sse_server_url[^;]*http://127\.0\.0\.1:8000},
    'FRAPPE_URL is accepted as server_url');
like(config(), qr{/api/method/frappe_assistant_core\.api\.fac_endpoint\.handle_mcp},
    'FRAPPE_METHOD is the one of new versions by default');
like(config(), qr/mcp_sse_local\s+ping;/,
    'with handle_mcp only ping is answered locally');
like(config(FRAPPE_METHOD =>
    'frappe_assistant_core.api.assistant_api.handle_assistant_request'),
    qr{mcp_sse_local\s+ping\ resources/list\ resources/templates/list
       \ logging/setLevel;}x,
    'with the old method what its clients use is answered locally, too');
like(config(), qr/error_log\s+\S+\s+info;/, 'LOG_LEVEL is info by default');
like(config(LOG_LEVEL => 'warning'), qr/error_log\s+\S+\s+warn;/,
    'LOG_LEVEL=warning becomes warn');
like(config(LOG_LEVEL => 'critical'), qr/error_log\s+\S+\s+crit;/,
    'LOG_LEVEL=critical becomes crit');
like(config(LOG_LEVEL => 'error', DEBUG => 'true'),
    qr/error_log\s+\S+\s+debug;/, 'DEBUG=true overrides LOG_LEVEL');
is(scalar(() = config(MCP_SSE_ACCESS_LOG => '/dev/stdout')
    =~ m{access_log\s+"/dev/stdout"\s+mcp_(?:access|audit)}g), 2,
    'MCP_SSE_ACCESS_LOG is the file of access and audit lines');
like(config(), qr/worker_processes\s+auto;/, 'WORKERS is auto by default');
like(config(WORKERS => 4), qr/worker_processes\s+4;/,
    'WORKERS becomes worker_processes');
like(config(WORKER_CONNECTIONS => 1000), qr/worker_connections\s+1000;/,
    'WORKER_CONNECTIONS becomes worker_connections');
like(config(), qr/keepalive_timeout\s+1s;/, 'KEEP_ALIVE is 1 by default');
unlike(config(), qr/^\s*mcp_sse_(?:backend_calls|auth_lookups)/m,
    'calls are not limited by default');
like(config(), qr/proxy_read_timeout\s+310s;/, 'nor is their time doubled');

for my $row ([ 1, 1, 1 ], [ 2, 1, 1 ], [ 3, 1, 2 ], [ 4, 2, 2 ], [ 8, 6, 2 ]) {
    my ($threads, $calls, $lookups) = @$row;

    like(config(FRAPPE_THREADS => $threads),
        qr/^\s+mcp_sse_backend_calls\s+$calls;
           \s+mcp_sse_auth_lookups\s+$lookups;.*
           \s+proxy_read_timeout\s+610s;/msx,
        "FRAPPE_THREADS $threads: calls get $calls, look-ups $lookups");
}

for my $row ([ 410 ], [ 710, FRAPPE_THREADS => 8 ]) {
    my ($seconds, @env) = @$row;
    my $config = config(EVENTS_URL => 'redis://a', @env);

    like($config, qr/proxy_read_timeout\s+${seconds}s;/,
        "EVENTS_URL @env: a call may wait for its user besides");
    like($config, qr/worker_shutdown_timeout\s+410s;/,
        "EVENTS_URL @env: and so may a worker that stops");
}

like(config(KEEP_ALIVE => 2), qr/keepalive_timeout\s+2s;/,
    'KEEP_ALIVE becomes keepalive_timeout');
like(config(FRAPPE_URL => 'https://erp.example.com'),
    qr/proxy_ssl_verify\s+on;/, 'the certificate of an https URL is verified')
    if -r '/etc/ssl/certs/ca-certificates.crt';

# addresses that clients see

unlike(config(), qr/^\s*(?:mcp_sse_public_url|mcp_sse_auth_server|real_ip)/m,
    'without PUBLIC_URL the request tells the address');
like(config(PUBLIC_URL => 'https://ERP.example.com/'),
    qr{^\s*mcp_sse_public_url\s+https://ERP\.example\.com;}m,
    'PUBLIC_URL becomes mcp_sse_public_url');
unlike(config(PUBLIC_URL => 'https://ERP.example.com'),
    qr/^\s*mcp_sse_auth_server/m,
    'PUBLIC_URL of the site is the authorization server');

# Frappe makes its documents for the address of the issuer

for my $case (
    [ 'https://erp.example.com:8443', 'PUBLIC_URL of the site',
      PUBLIC_URL => 'https://erp.example.com:8443' ],
    [ 'https://erp.example.com', 'AUTH_SERVER',
      PUBLIC_URL => 'http://mcp.example.com',
      AUTH_SERVER => 'https://erp.example.com/' ],
    [ 'https://erp.example.com', 'https FRAPPE_URL of the site',
      FRAPPE_URL => 'https://erp.example.com' ],
) {
    my ($issuer, $name, %env) = @$case;
    my ($scheme, $host) = split m{://}, $issuer;

    next if $name =~ /https/ && !-r '/etc/ssl/certs/ca-certificates.crt';

    my $printed = config(%env);
    my $server  = $name =~ /PUBLIC/ ? 'public_url' : 'auth_server';

    like($printed, qr/^\s*mcp_sse_$server\s+\Q$issuer\E;/m,
        "$name is the issuer");
    like($printed, qr/Host\s+\Q$host\E;\n.*\n.*\n
        \s*proxy_set_header\s+X-Forwarded-Proto\s+$scheme;/x,
        "$name: Frappe's documents are made for it");
}

# by hand, as the comment of the example says

{
    my $edited = $example;

    like($edited, qr/# .*X-Forwarded-Proto of OAuth.*\n *# mcp_sse_public_url/,
        'the example tells where else the scheme of a proxy goes');

    $edited =~ s/# (mcp_sse_public_url)/$1/;
    $edited =~ s/(X-Forwarded-Proto) \$scheme/$1 https/;

    my ($by_hand, $printed) = map { join "\n", map { join ' ', split }
        grep { /\S/ && !/^ *#/ } split /\n/ } $edited,
        config(%plain, PUBLIC_URL => 'https://erp.example.com');

    is($by_hand, $printed, 'an example edited so is that of PUBLIC_URL');
}

refuses('PUBLIC_URL of another host without AUTH_SERVER', qr/AUTH_SERVER is/,
    PUBLIC_URL => 'https://mcp.example.com');
refuses("PUBLIC_URL $_", qr/PUBLIC_URL/, PUBLIC_URL => $_)
    for 'erp.example.com', 'https://a/b', 'https://a;b', 'https://u@a';
refuses("AUTH_SERVER $_", qr/AUTH_SERVER/, AUTH_SERVER => $_)
    for 'erp.example.com', 'https://a/b', 'https://a;b', 'https://u@a';

is_deeply([ config(REAL_IP_FROM => '10.0.0.0/8, ::1 unix:')
    =~ /^\s*((?:set_real_ip|real_ip)\w+\s+\S+;)/mg ],
    [ 'set_real_ip_from   10.0.0.0/8;', 'set_real_ip_from   ::1;',
      'set_real_ip_from   unix:;', 'real_ip_header     X-Forwarded-For;',
      'real_ip_recursive  on;' ], 'REAL_IP_FROM becomes set_real_ip_from');
refuses("REAL_IP_FROM $_", qr/REAL_IP_FROM/, REAL_IP_FROM => $_)
    for '1.2.3.4;', 'proxy.example.com', '*', '$remote_addr';

# secrets are not printed

{
    my ($status, $out, $errors) = launch({ %plain,
        FRAPPE_API_SECRET => 'very-secret-value',
        MCP_SSE_KEY => 'K' x 40 }, '--print-config');

    is($status, 0, 'the launcher accepts secrets from the environment');
    like($out, qr/mcp_sse_api_secret\s/,
        'FRAPPE_API_SECRET becomes mcp_sse_api_secret');
    like($out, qr/mcp_sse_key\s/, 'MCP_SSE_KEY becomes mcp_sse_key');
    unlike($out . $errors, qr/very-secret-value|K{40}/,
        '--print-config does not show secrets');
}

{
    open my $out, '>', "$dir/secret" or die;
    print {$out} "from-a-file-secret\n";
    close $out;

    my ($status, $text) = launch({ %plain,
        FRAPPE_API_SECRET_FILE => "$dir/secret" }, '--print-config');

    is($status, 0, 'FRAPPE_API_SECRET_FILE is accepted');
    like($text, qr/mcp_sse_api_secret\s/,
        'FRAPPE_API_SECRET_FILE becomes mcp_sse_api_secret');
    refuses('a missing NAME_FILE', qr/FRAPPE_API_SECRET/,
        FRAPPE_API_SECRET_FILE => "$dir/none");
}

# bad values

refuses('a relative MCP_SSE_ACCESS_LOG', qr/MCP_SSE_ACCESS_LOG/,
    MCP_SSE_ACCESS_LOG => 'log');
refuses('no FRAPPE_URL', qr/FRAPPE_URL/, FRAPPE_URL => '');
refuses("FRAPPE_URL $_", qr/FRAPPE_URL/, FRAPPE_URL => $_)
    for 'erp.example.com', 'ftp://a', 'http://', 'http://a b',
        'http://u:p@a', 'http://a/path', 'http://a:x', 'http://a;b',
        "http://a\nb", 'http://a{', 'http://a$b';
refuses("PORT $_", qr/PORT/, PORT => $_) for 'x', '0', '70000', '80;', '-1';
refuses("HOST $_", qr/HOST/, HOST => $_) for 'a b', ';', '$x', '"';
refuses("WORKERS $_", qr/WORKERS/, WORKERS => $_) for 'x', '0', '-1', '1;';
refuses("WORKER_CONNECTIONS $_", qr/WORKER_CONNECTIONS/,
    WORKER_CONNECTIONS => $_) for 'x', '0';
refuses("LOG_LEVEL $_", qr/LOG_LEVEL/, LOG_LEVEL => $_) for 'x', 'info;';
refuses("DEBUG $_", qr/DEBUG/, DEBUG => $_) for 'x', '2';
refuses("FRAPPE_THREADS $_", qr/FRAPPE_THREADS/, FRAPPE_THREADS => $_)
    for 'x', '0', '-1', '8;', '2x4';
refuses("KEEP_ALIVE $_", qr/KEEP_ALIVE/, KEEP_ALIVE => $_) for 'x', '1s';
refuses("FRAPPE_SITE $_", qr/FRAPPE_SITE/, FRAPPE_SITE => $_)
    for 'a b', 'a;', '$host', 'a"', '../x';
refuses("FRAPPE_METHOD $_", qr/FRAPPE_METHOD/, FRAPPE_METHOD => $_)
    for 'a b', 'a/../b', 'x;', 'nodots', '$x.y';
refuses('a short MCP_SSE_KEY', qr/MCP_SSE_KEY/, MCP_SSE_KEY => 'short');
refuses('REDIS_URL without a key', qr/MCP_SSE_KEY/,
    REDIS_URL => 'redis://127.0.0.1');
refuses("REDIS_URL $_", qr/REDIS_URL/, MCP_SSE_KEY => 'K' x 40,
    REDIS_URL => $_) for '127.0.0.1', 'http://a', 'redis://', 'rediss://',
    'redis://a b', 'redis://a;', 'rediss://a{';
refuses("EVENTS_URL $_", qr/EVENTS_URL/, EVENTS_URL => $_)
    for '127.0.0.1', 'http://a', 'redis://', 'redis://a b', 'redis://a;';
refuses("REDIS_SENTINEL $_", qr/REDIS_SENTINEL/, REDIS_SENTINEL => $_)
    for 'a b', 'a;', '$a', 'a';
refuses("REDIS_CLUSTER $_", qr/REDIS_CLUSTER/, REDIS_CLUSTER => $_)
    for 'x', 'true';
refuses('REDIS_SENTINEL_AUTH without REDIS_SENTINEL', qr/REDIS_SENTINEL_AUTH/,
    REDIS_SENTINEL_AUTH => 'p');

# what the launcher writes for Redis, shown by a program instead of nginx

{
    my %redis = (%plain, MCP_SSE_KEY => 'K' x 40, MCP_SSE_NGINX =>
        script('show', 'case "$*" in *" -t"* | -h) ;; *) cat redis.conf; '
        . 'cat sentinel_auth 2> /dev/null ;; esac'));

    my %file = map { $_ => "$dir/cwd/$_.pem" } qw(ca cert key);

    for my $path (values %file) {
        open my $out, '>', $path or die;
        close $out;
    }

    for my $row (
        [ [ 'redis://127.0.0.1' ], 'mcp_sse_redis  redis://127.0.0.1;' ],
        [ [ 'redis://:p@a,b:1,[::1]/2', REDIS_SENTINEL => 'my-master.1' ],
            'mcp_sse_redis  redis://:p@a,b:1,[::1]/2 sentinel=my-master.1;' ],
        [ [ 'redis://a', REDIS_SENTINEL => 'm', REDIS_SENTINEL_AUTH => 'u:p;' ],
            "mcp_sse_redis  redis://a sentinel=m sentinel_auth=sentinel_auth;\n"
            . 'u:p;' ],
        [ [ 'redis://a,b', REDIS_CLUSTER => 'True' ],
            'mcp_sse_redis  redis://a,b cluster;' ],
        [ [ 'redis://a', REDIS_CLUSTER => 'off' ], 'mcp_sse_redis  redis://a;' ],
        [ [ 'rediss://a', REDIS_CA_FILE => 'ca.pem' ],
            qq(mcp_sse_redis  rediss://a;\n)
            . qq(mcp_sse_redis_ssl_trusted_certificate  "$file{ca}";) ],
        [ [ 'rediss://a', REDIS_CA_FILE => $file{ca}, REDIS_CERT_FILE =>
                $file{cert}, REDIS_CERT_KEY_FILE => $file{key} ],
            qq(mcp_sse_redis  rediss://a;\n)
            . qq(mcp_sse_redis_ssl_trusted_certificate  "$file{ca}";\n)
            . qq(mcp_sse_redis_ssl_certificate  "$file{cert}";\n)
            . qq(mcp_sse_redis_ssl_certificate_key  "$file{key}";) ],
    ) {
        my ($env, $want) = @$row;
        my ($status, $out) = launch({ %redis, PORT =>
            MCPTest::Nginx::free_port(), REDIS_URL => @$env });

        is($out, "$want\n", "REDIS_URL=@$env");
    }

    for my $row (
        [ { EVENTS_URL => 'redis://127.0.0.1:11000' },
            'mcp_sse_events  redis://127.0.0.1:11000;' ],
        [ { REDIS_URL => 'redis://a', EVENTS_URL => 'unix:/b' },
            "mcp_sse_redis  redis://a;\nmcp_sse_events  unix:/b;" ],
        [ { EVENTS_URL => 'rediss://a', REDIS_CA_FILE => $file{ca} },
            qq(mcp_sse_events  rediss://a;\n)
            . qq(mcp_sse_redis_ssl_trusted_certificate  "$file{ca}";) ],
    ) {
        my ($env, $want) = @$row;
        my ($status, $out) = launch({ %redis, PORT =>
            MCPTest::Nginx::free_port(), %$env });

        is($out, "$want\n", join ' ', %$env);
    }

    for my $row (
        [ 'REDIS_CA_FILE', REDIS_CA_FILE => "$dir/none" ],
        [ 'REDIS_CA_FILE', REDIS_CA_FILE => $file{ca}, REDIS_URL => 'redis://a' ],
        [ 'need each other', REDIS_CERT_FILE => $file{cert} ],
        [ 'need each other', REDIS_CERT_KEY_FILE => $file{key} ],
        [ 'REDIS_CERT_KEY_FILE', REDIS_CERT_FILE => $file{cert},
            REDIS_CERT_KEY_FILE => "$dir/none" ],
    ) {
        my ($want, @env) = @$row;

        refuses("@env", qr/$want/, MCP_SSE_KEY => 'K' x 40, REDIS_URL =>
            'rediss://a', REDIS_CA_FILE => $file{ca}, @env);
    }

    # nginx's own refusal is passed on, without the password

    for my $row (
        [ [ 'redis://:secret-of-redis@127.0.0.1,127.0.0.2' ],
            qr/REDIS_URL: several hosts need "sentinel=NAME" or "cluster"$/ ],
        [ [ 'redis://:secret-of-redis@127.0.0.1/1', REDIS_CLUSTER => 1 ],
            qr/REDIS_URL: a cluster has only the database 0$/ ],
        [ [ 'redis://:secret-of-redis@host.invalid' ],
            qr/REDIS_URL: host not found$/ ],
        [ [ 'redis://127.0.0.1', EVENTS_URL =>
            'redis://:secret-of-redis@host.invalid' ],
            qr/EVENTS_URL: host not found$/ ],
        [ [ 'redis://127.0.0.1', EVENTS_URL =>
            'redis://:secret-of-redis@127.0.0.1,127.0.0.2' ],
            qr/EVENTS_URL: several hosts need "sentinel=NAME" or "cluster"$/ ],
    ) {
        my ($env, $want) = @$row;
        my ($status, undef, $errors) = launch({ %plain, MCP_SSE_KEY => 'K' x 40,
            MCP_SSE_MODULE => $module, MCP_SSE_NGINX => MCPTest::Nginx::binary(),
            PORT => MCPTest::Nginx::free_port(), REDIS_URL => @$env });

        is($status, 1, "REDIS_URL=@$env is refused");
        like($errors, qr/\Afrappe-sse-bridge: $want/, "REDIS_URL=@$env: why");
        unlike($errors, qr/secret-of-redis/, "REDIS_URL=@$env: no password");
    }
}

refuses('a secret with a blank', qr/FRAPPE_API_SECRET/,
    FRAPPE_API_SECRET => 'a b');

is((launch({ %plain }, '--nonsense'))[0] == 0 ? 1 : 0, 0,
    'the launcher refuses an unknown argument');

# ./.env: the environment wins, and no command in it is run

{
    open my $out, '>', "$dir/cwd/.env" or die;
    print {$out} "# a comment\nPORT=9001\nexport WORKERS='2'\n",
        "FRAPPE_URL=http://127.0.0.1:8123\r\nOTHER=\$(touch $dir/ran)\n",
        "LOG_LEVEL=\$(touch $dir/ran)\n";
    close $out;

    my $printed = config(LOG_LEVEL => 'info', FRAPPE_URL =>
        'http://127.0.0.1:8456');

    like($printed, qr/:9001;/, 'the launcher reads .env');
    like($printed, qr/worker_processes\s+2;/, '.env may have quotes and export');
    like($printed, qr/127\.0\.0\.1:8456/, 'the environment wins over .env');
    ok(!-e "$dir/ran", 'no command in .env is run');
    unlink "$dir/cwd/.env";
}

# the launcher runs nginx: requests, then the end
# nginx before 1.19.5 has no -e, which its -h would name

for my $help ('  -e filename   : set error log file', '  -p prefix') {
    my $has_e = $help =~ / -e /;
    my $fake  = "$dir/nginx" . ($has_e ? 1 : 0);

    open my $file, '>', $fake or die;
    print {$file} "#!/bin/sh\n[ \"\$1\" != -h ] || exec echo '$help'\n",
        'echo "started with: $*"', "\n";
    close $file;
    chmod 0755, $fake or die;

    my ($status, $out) = launch({ %plain, MCP_SSE_MODULE => $module,
        MCP_SSE_NGINX => $fake, PORT => MCPTest::Nginx::free_port() });

    like($out, $has_e ? qr/^started with: .* -e stderr/m
        : qr/^started with: (?!.* -e )/m, 'an nginx that has '
        . ($has_e ? '-e is started with it' : 'no -e is started without it'));
}

for my $dialect (qw(new old)) {
    my $frappe = frappe();
    my $port   = MCPTest::Nginx::free_port();
    my $pid    = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/log.$dialect";
        open STDERR, '>&', \*STDOUT;
        chdir "$dir/cwd";
        %ENV = (PATH => $ENV{PATH}, HOME => "$dir",
            MCP_SSE_RUN_DIR => "$dir/run", MCP_SSE_MODULE => $module,
            MCP_SSE_NGINX => MCPTest::Nginx::binary(), PORT => $port, WORKERS => 2,
            MCPTest::Nginx::sanitizers(),
            MCP_SSE_KEY => 'K' x 40, KEEP_ALIVE => 2,
            REAL_IP_FROM => '127.0.0.1',
            FRAPPE_SITE => 'erp.example.com',
            FRAPPE_URL => 'http://127.0.0.1:' . $frappe->port,
            $dialect eq 'old' ? (FRAPPE_METHOD => 'frappe_assistant_core.api.'
                . 'assistant_api.handle_assistant_request') : ());
        exec $bridge or _exit(127);
    }

    # wait for an answer: "nginx -t" accepts connections for a moment, too

    my $up = run_until(sub {
        return 1 if waitpid($pid, WNOHANG) == $pid;

        my $sock = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $port) or return 0;

        local $SIG{PIPE} = 'IGNORE';
        print {$sock} "GET /health HTTP/1.0\r\n\r\n";

        return (<$sock> || '') =~ / 200 /;
    });

    ok($up && kill(0, $pid), "$dialect: the launcher runs nginx");

    if (kill 0, $pid) {
        is(get($port, '/health')->status, 200, "$dialect: /health is 200");

        # the first worker may answer before the second has begun

        ok(run_until(sub { get($port, '/metrics')->body
            =~ /^nginx_mcp_sse_workers 2$/m }),
            "$dialect: /metrics counts the workers");

        my $far = IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $port, LocalAddr => '127.0.0.2') or die;

        print {$far} "GET /metrics HTTP/1.0\r\n\r\n";
        like(<$far> || '', qr/ 403 /,
            "$dialect: /metrics is 403 for other addresses");

        for my $path ('/', '/register', '/mcp/x', '/.well-known/x',
            '/.well-known/oauth-authorization-server/mcp/sse',
            '/mcp/sse/x', '/mcp/messages/x')
        {
            my $got = get($port, $path);

            is($got->status, 404, "$dialect: $path is 404");
            is(ref $got->json, 'HASH', "$dialect: the 404 of $path is JSON");
        }

        is(get($port, $_)->status, 404, "$dialect: $_ is internal")
            for '/_mcp/call', '/_mcp/user';

        for my $document ('oauth-protected-resource',
            'oauth-authorization-server', 'openid-configuration')
        {
            my $own = $document =~ /resource/;

            for my $suffix ('', '/mcp', '/mcp/', $own ? '/mcp/sse' : ()) {
                my $path = "/.well-known/$document$suffix";
                my $got  = get($port, $path);

                is($got->status, 200, "$dialect: $document$suffix is 200");
                is(($got->json || {})->{ $own ? 'resource' : 'issuer' },
                    'http://erp.example.com' . ($own ? $suffix : ''),
                    "$dialect: $document$suffix is that of its URL");
                is($got->header('Access-Control-Allow-Origin'), '*',
                    "$dialect: $document$suffix is for every Origin");

                $got = get($port, $path, method => 'OPTIONS', headers => [
                    Origin => 'https://inspector.example',
                    'Access-Control-Request-Method'  => 'GET',
                    'Access-Control-Request-Headers' =>
                        'mcp-protocol-version' ]);

                is($got->status, 204,
                    "$dialect: a preflight of $document$suffix is 204");
                is($got->header('Access-Control-Allow-Origin'), '*',
                    "$dialect: this preflight is for every Origin");
                like($got->header('Access-Control-Allow-Headers') || '',
                    qr/\bmcp-protocol-version\b/i,
                    "$dialect: this preflight allows MCP-Protocol-Version");
            }
        }

        for my $path ('/mcp', '/mcp/') {
            my $refused = post($port, undef, request(1, 'tools/list'),
                path => $path, auth => undef);

            is($refused->status, 401,
                "$dialect: $path without a credential is 401");
            like($refused->header('WWW-Authenticate'), qr{resource_metadata=
                "http://[^"/]+/\.well-known/oauth-protected-resource
                \Q$path\E"}x, "$dialect: this 401 names the metadata");

            my $answer = post($port, undef, tool(5, 'echo', { text => 'x' }),
                path => $path, headers => [ Accept =>
                    'application/json, text/event-stream',
                    'X-Forwarded-For' => '198.51.100.1, 192.0.2.7' ]);

            is($answer->status, 200, "$dialect: a call at $path is 200");
            is($frappe->last_headers->{'x-forwarded-for'}, '192.0.2.7',
                "$dialect: a call has the address that the proxy names");
            ok($answer->json && !error_of($answer->body),
                "$dialect: a call at $path has a result");
        }

        my $stream = open_stream($port, path => '/mcp/sse?server_url='
            . 'http://127.0.0.1:' . $frappe->port);

        is($stream->status, 200, "$dialect: a stream opens");

        for my $method ('resources/list', 'resources/templates/list',
            'logging/setLevel')
        {
            my $raw = call($port, $stream, request(1, $method,
                $method =~ /set/ ? { level => 'info' } : {}));

            ok($raw && ($dialect eq 'new' || !error_of($raw)),
                "$dialect: $method is answered");
        }

        for my $message (request(2, 'initialize', {}),
            request(3, 'tools/list', {}), request(4, 'ping'),
            tool(5, 'echo', { text => 'hello' }),
            tool(6, 'big', { bytes => 300_000 }))
        {
            my $raw = call($port, $stream, $message);

            ok($raw && !error_of($raw),
                "$dialect: a request on the stream has a result");
        }

        my $raw = call($port, $stream, tool(7, 'accel', {}));

        ok($raw && !error_of($raw), "$dialect: X-Accel-Redirect is ignored");

        my $session = $stream->session;

        $stream->close;
        run_until(sub { health($port)->{active_connections} == 0 });
        kill TERM => $pid;

        ok(run_until(sub { waitpid($pid, WNOHANG) != 0 }),
            "$dialect: the launcher ends with TERM");

        open my $log, '<', "$dir/log.$dialect" or die;
        my $text = do { local $/; <$log> };

        unlike(MCPTest::Nginx::log_text($text), qr/\[(?:alert|crit|emerg)\]/,
            "$dialect: the log has no alert, crit or emerg");
        like($text, qr/warning.*KEEP_ALIVE/, "$dialect: KEEP_ALIVE=2 warns");
        like($text, qr/resources\/list is passed to Frappe, .*handle_mcp/,
            "$dialect: the log says who answers resources/list")
            if $dialect eq 'new';
        unlike($text, qr/FRAPPE_METHOD/,
            "$dialect: the log has no line about FRAPPE_METHOD");
        like($text, qr/"tool":"echo"/, "$dialect: the log has audit lines");
        like($text, qr/SSE connection established: /,
            "$dialect: the log has lines of streams");
        is(index($text, $session), -1, "$dialect: the log has no session id");
        is(index($text, 'alice-secret'), -1,
            "$dialect: the log has no credential");
        is(index($text, 'K' x 40), -1, "$dialect: the log has no key");

    } else {
        open my $log, '<', "$dir/log.$dialect" or die;
        diag(<$log>);
    }
}

finish();
