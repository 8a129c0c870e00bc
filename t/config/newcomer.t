# Mistakes of the first day: for each of them the error log, nginx -t or the
# launcher has one line that says what to do, as docs/operations.md lists in
# "Troubleshooting".  docs/PROTOCOL.md 9.14, 9.15, 10.14, 13.3.

use strict;
use warnings;

use File::Temp ();
use IO::Socket::INET;
use POSIX qw(WNOHANG _exit);

use lib 't/lib';
use MCPTest;
use Test::More;

my $root  = MCPTest::root();
my $dir   = File::Temp->newdir;
my $sites = 'mcp_sse_call /_mcp/call; mcp_sse_user /_mcp/user;';
my $http  = 'location = /mcp { mcp_sse_http; mcp_sse_auth_wait 1s; }';

mkdir "$dir/$_" for qw(cwd run logs);


# A pattern that matches these words literally.

sub line { my $text = join ' ', @_; return qr/\Q$text\E/ }


# Sends a POST to /mcp; returns the response and how many lines of the error log
# match.

sub ask {
    my ($nginx, $pattern, %opt) = @_;

    truncate $nginx->dir . '/logs/error.log', 0;

    my $message  = delete $opt{message} || request(1, 'tools/list', {});
    my $response = post($nginx, undef, $message,
        path => '/mcp', headers => [ Accept =>
        'application/json, text/event-stream' ], %opt);

    $nginx->wait_log($pattern);

    return ($response, scalar grep { /$pattern/ }
        split /\n/, $nginx->error_log);
}


sub says {
    my ($name, $nginx, $status, $pattern, %opt) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($response, $lines) = ask($nginx, $pattern, %opt);

    is($response->status, $status, "$name: the POST is $status");
    is($lines, 1, "$name: one line says what to do")
        or diag($nginx->error_log);

    return $response;
}


# ---- Frappe

{
    my $nginx = start_nginx(locations => $http,
        backend => MCPTest::Nginx::free_port());

    my $got = says('Frappe does not run', $nginx, 502,
        line('mcp sse: user look-up at "/_mcp/user" answered 502, check that',
            'Frappe runs at the address in proxy_pass (FRAPPE_URL)'));

    is_rejected($got, 502, -32003, 'Backend unavailable',
        'Frappe does not run: the client gets "Backend unavailable"');
}

{
    my $nginx = start_nginx(locations => $http,
        settings => "$sites mcp_sse_site nosuch.example.com;");

    my $got = says('an unknown site', $nginx, 502,
        line('mcp sse: user look-up at "/_mcp/user" answered 404, check that',
            'Frappe has the site "nosuch.example.com" of mcp_sse_site',
            '(FRAPPE_SITE)'));

    is_rejected($got, 502, -32003, 'Backend unavailable',
        'an unknown site: the client gets "Backend unavailable"');
}

{
    my $nginx = start_nginx(locations => $http,
        call => 'rewrite ^ /api/method/no.such.method break;');

    my $got = says('a method that Frappe does not have', $nginx, 200,
        line('mcp sse: call at "/_mcp/call" answered 417, check that Frappe',
            'has the method in proxy_pass (FRAPPE_METHOD)'));

    is_error($got->body, -32603, 'Backend error',
        'an unknown method: the client gets "Backend error"');
}

# FRAPPE_URL leads to an nginx that redirects to https; bench migrate

for my $case (
    [ 301, 502, ', a redirect: check that proxy_pass (FRAPPE_URL) has the'
        . ' address of Frappe itself, with https if it requires that' ],
    [ 503, 503,
        ', check whether the site is in maintenance (bench migrate)' ])
{
    my ($status, $answer, $hint) = @{$case};

    my $backend = start_backend(sub {
        return MCPTest::Backend::http($status, '<html>',
            'Content-Type', 'text/html');
    });
    my $nginx = start_nginx(locations => $http, backend => $backend->port);

    my $got = says("Frappe answers $status", $nginx, $answer, line('mcp sse:',
        "user look-up at \"/_mcp/user\" answered $status$hint"));

    is_rejected($got, $answer, -32003, 'Backend unavailable',
        "Frappe answers $status: the client gets \"Backend unavailable\"");
}

# ---- tools

{
    my $nginx = start_nginx(locations => $http, http =>
        'mcp_sse_call_timeout 3s; mcp_sse_max_answer 10k;');

    for my $case (
        [ hang => line('mcp sse: call at "/_mcp/call" timed out after 3000 ms,',
            'increase mcp_sse_call_timeout if a tool needs more time'),
            'Request timed out' ],
        [ big => line('mcp sse: call at "/_mcp/call" answered more than 10240',
            'bytes, increase mcp_sse_max_answer if a tool needs more'),
            'Answer too large' ],
    ) {
        my ($name, $line, $message) = @$case;

        my ($got, $lines) = ask($nginx, $line,
            message => tool(1, $name, { bytes => 20_000 }));

        is($lines, 1, "$message: one line says what to do");
        like($got->body, qr/"message":"$message"/,
            "$message: the client gets this error");
    }
}

# ---- credentials

{
    my $nginx = start_nginx(locations => $http);
    my $begin = 'mcp sse: refused with 401, "Invalid authorization":';
    my $none  = line($begin, 'there is no Authorization "token KEY:SECRET"',
        'or "Bearer TOKEN"');
    my $wrong = line($begin, 'Frappe does not take the credential, check',
        'that key and secret are right and the user is enabled');

    says('a missing credential', $nginx, 401, $none, auth => undef);
    says('a key without a secret', $nginx, 401, $none, auth => 'alice-key');
    says('three words', $nginx, 401, $none, auth => 'token alice-key x');
    says('a wrong secret', $nginx, 401, $wrong,
        auth => 'token alice-key:wrong-secret');
    says('a wrong secret, again', $nginx, 401, $wrong,
        auth => 'token alice-key:wrong-secret');
    says('a wrong key', $nginx, 401, $wrong, auth => 'token nobody:secret-x');
    says('a wrong token', $nginx, 401, $wrong, auth => 'Bearer wrong-token');

    my $user = line('mcp sse: call at "/_mcp/call" answered 401, check that',
        'the user "disabled@example.com" is enabled and may use the assistant');

    my $got = says('a disabled user', $nginx, 401, $user,
        auth => 'token disabled-key:disabled-secret');

    is_error($got->body, -32001, 'Not permitted',
        'a disabled user: the client gets "Not permitted"');
    unlike($nginx->error_log, qr/mcp sse: .*answered 200/,
        'a disabled user: the log has no line about an answer of 200');
}

{
    my $nginx = start_nginx(locations => $http,
        settings => "$sites mcp_sse_principal \$http_x_user;");

    says('mcp_sse_principal is empty', $nginx, 401,
        qr/refused with 401, .*: mcp_sse_principal is empty/);
}

# ---- Redis

{
    my $nginx = start_nginx(locations => $http,
        redis => 'redis://127.0.0.1:' . MCPTest::Nginx::free_port());

    ok($nginx->wait_log(qr/\[error\].* redis "127\.0\.0\.1:\d+" is lost: /
        . line('Connection refused; sessions of this instance go on, messages',
            'for sessions of other instances are answered 503 until it is',
            'back')),
        'Redis does not run: one line says what it means');
    is(get($nginx, '/health?ready=1')->status, 503,
        'Redis does not run: /health?ready=1 is 503');
    like(get($nginx, '/health')->body,
        qr/"status":"degraded".*"reason":"redis was not reached"/,
        'Redis does not run: /health gives the reason');
    is(post($nginx, undef, request(1, 'tools/list', {}), path => '/mcp')
        ->status, 200, 'Redis does not run: a POST to /mcp is 200');
}

# ---- too few connections, too few descriptors

for my $limit ([ 'worker_connections 2048', 'worker_connections 12',
        qr/worker_connections are not enough/ ],
    [ 'worker_rlimit_nofile 8192', 'worker_rlimit_nofile 24',
        qr/accept4?\(\) failed \(24: Too many open files\)/ ])
{
    my ($from, $to, $line) = @{$limit};

    my $nginx = start_nginx(config => sub {
        my $text = $_[0]->template;
        $text =~ s/\Q$from\E/$to/;
        return $text;
    }, allow => [ $line, qr/24: Too many open files/ ]);

    my @streams = map { open_stream($nginx, wait => 0) } 1 .. 20;

    ok($nginx->wait_log($line), "$to: nginx logs the limit");
    $_->close for @streams;
}

# ---- a proxy in front that buffers

{
    my $nginx = start_nginx();

    for my $case ([ 'a proxy that buffers', '', 200 ],
        [ 'a proxy that ignores X-Accel-Buffering',
            'proxy_ignore_headers X-Accel-Buffering;', undef ])
    {
        my ($name, $line, $status) = @{$case};

        my $proxy = start_nginx(plain => 1, locations => 'location /front/ {'
            . ' proxy_pass http://127.0.0.1:' . $nginx->port . '/;'
            . " proxy_buffering on; $line }");

        my $before = () = $nginx->error_log =~ /SSE connection established/g;
        my $stream = open_stream($proxy, path => '/front/mcp/sse',
            wait => $status ? 1 : 0);

        # the proxy would send an event before the answers to these requests

        if (!$status) {
            run_until(sub { health($nginx)->{active_connections} == 1 });
            get($proxy, '/front/health') for 1, 2;
        }

        my @events = $stream->events;

        is(scalar @events, $status ? 1 : 0,
            $name . ($status ? ': the client gets the first event'
                : ': the client gets no event'));

        my $after;

        run_until(sub {
            $after = () = $nginx->error_log =~ /SSE connection established/g;
            return $after > $before;
        });

        is($after, $before + 1, "$name: the error log has the stream");
        $stream->close;
    }
}

# ---- locations: nginx -t

# Runs nginx -t on a server with these lines; returns its warnings.

sub warnings_of {
    my (%lines) = @_;

    my $load = join '', map { "load_module $_;\n" } MCPTest::Nginx::modules();
    my $temp = join '', map { "    ${_}_temp_path $dir/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);
    my $port = MCPTest::Nginx::free_port();

    $lines{http} = $sites unless defined $lines{http};
    $lines{call} = 'location = /_mcp/call { internal; }'
        unless defined $lines{call};
    $lines{user} = 'location = /_mcp/user { internal; }'
        unless defined $lines{user};
    $lines{message} = 'location = /mcp/messages { mcp_sse_message; }'
        unless defined $lines{message};

    open my $file, '>', "$dir/nginx.conf" or die;
    print {$file} <<"EOT";
$load
error_log $dir/logs/error.log info;
pid $dir/nginx.pid;
events {}
http {
    access_log off;
$temp
    $lines{http}
    server {
        listen 127.0.0.1:$port;
        location = /mcp/sse { mcp_sse_stream; }
        location = /mcp/sse/ { mcp_sse_stream; }
        $lines{message}
        $lines{call}
        $lines{user}
    }
}
EOT
    close $file;

    my ($status, $text) = MCPTest::Nginx->check("$dir/nginx.conf",
        '-p', "$dir/");

    diag($text) if $status;

    return join '', map { "$_\n" } grep { /\[(?:warn|emerg)\]/ }
        split /\n/, $text;
}


sub warns {
    my ($name, $pattern, %lines) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $text  = warnings_of(%lines);
    my $count = () = $text =~ /\n/g;

    ok($count == 1 && $text =~ $pattern, "nginx -t warns once: $name")
        or diag($text);

    return;
}

my $inner = qr/calls to Frappe will fail/;
my $open  = qr/is not "internal": clients can request it/;

is(warnings_of(), '', 'nginx -t has no warning for good locations');

warns('no location for mcp_sse_call',
    qr{"mcp_sse_call" names "/_mcp/call", but there is no.*$inner},
    call => '');
warns('no location for mcp_sse_user',
    qr{"mcp_sse_user" names "/_mcp/user", but there is no.*$inner},
    user => '');
warns('only a location with a longer name', qr/"mcp_sse_call".*$inner/,
    call => 'location = /_mcp/calls { internal; }');
warns('the location of mcp_sse_call is not internal',
    qr{"mcp_sse_call" names "/_mcp/call", but its location "/_mcp/call".*$open},
    call => 'location = /_mcp/call { }');
warns('"location /" serves mcp_sse_user',
    qr{"mcp_sse_user" names "/_mcp/user", but its location "/" .*$open},
    user => 'location / { }');
warns('the location of mcp_sse_user is not internal', qr/"mcp_sse_user".*$open/,
    user => 'location /_mcp/user { }');
warns('no mcp_sse_message where mcp_sse_message_uri says',
    line('streams announce "/elsewhere", but it has no location with',
        '"mcp_sse_message": set "mcp_sse_message_uri"'),
    http => "$sites mcp_sse_message_uri /elsewhere;");
warns('no mcp_sse_message at all', qr{streams announce "/mcp/messages"},
    message => '');
warns('no mcp_sse_message at the default URI',
    qr{streams announce "/mcp/messages"},
    message => 'location = /mcp/message { mcp_sse_message; }');

for my $fine (
    [ 'one location for both', call => 'location /_mcp/ { internal; }',
        user => '' ],
    [ 'nested locations', user => '', call => 'location / {'
        . ' location = /_mcp/call { internal; }'
        . ' location = /_mcp/user { internal; } }' ],
    [ 'an exact one before a shorter one',
        user => 'location = /_mcp/user { internal; } location / { }' ],
    [ 'regular expressions', user => '',
        call => 'location ~ ^/_mcp/(call|user)$ { internal; }' ],
    [ 'no look-up with mcp_sse_principal', user => '',
        http => "$sites mcp_sse_principal \$remote_user;" ],
    [ 'a proxy that takes a prefix away',
        http => "$sites mcp_sse_message_uri /bridge/mcp/messages;" ],
    [ 'a query', http => "$sites mcp_sse_message_uri /mcp/messages?a=b;" ])
{
    my ($name, %lines) = @{$fine};

    is(warnings_of(%lines), '', "nginx -t has no warning for $name");
}

# the same mistakes, at the first request

{
    my $nginx = start_nginx(locations => $http, settings =>
        'mcp_sse_call /_mcp/none; mcp_sse_user /_mcp/user;'
        . ' mcp_sse_site erp.example.com;');

    my $got = says('no location for mcp_sse_call', $nginx, 200,
        line('mcp sse: call at "/_mcp/none" answered 404 by nginx itself,',
            'check that a location with proxy_pass matches it'));

    is_error($got->body, -32603, 'Backend error',
        'no location for mcp_sse_call: the client gets "Backend error"');

    $nginx = start_nginx(locations => $http, settings =>
        'mcp_sse_call /_mcp/call; mcp_sse_user /_mcp/none;'
        . ' mcp_sse_site erp.example.com;');

    says('no location for mcp_sse_user', $nginx, 502,
        line('mcp sse: user look-up at "/_mcp/none" answered 404 by nginx',
            'itself, check that a location with proxy_pass matches it'));
}

# ---- the launcher

# Runs the launcher; returns its own lines.

sub launch {
    my ($env, $limit) = @_;

    my $port = $env->{PORT} || MCPTest::Nginx::free_port();
    my $pid  = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$dir/log";
        open STDERR, '>&', \*STDOUT;
        chdir "$dir/cwd";
        %ENV = (PATH => $ENV{PATH}, HOME => "$dir", WORKERS => 1,
            MCP_SSE_RUN_DIR => "$dir/run", FRAPPE_SITE => 'erp.example.com',
            FRAPPE_URL => 'http://127.0.0.1:' . frappe()->port,
            MCP_SSE_NGINX => MCPTest::Nginx::binary(), PORT => $port,
            MCPTest::Nginx::sanitizers(), %{$env});
        exec 'sh', '-c', ($limit || ':') . "; exec $root/util/mcp-sse-bridge"
            or _exit(127);
    }

    my $read = sub {
        open my $file, '<', "$dir/log" or return;
        return grep { /\Afrappe-sse-bridge: / } <$file>;
    };

    # its last line says where it listens

    my $ended;

    run_until(sub {
        return 1 if $ended = waitpid($pid, WNOHANG) == $pid;
        return scalar grep { m{ http://.* for the site } } $read->();
    });

    if (!$ended) {
        kill TERM => $pid;
        run_until(sub { waitpid($pid, WNOHANG) != 0 })
            or kill KILL => $pid;
    }

    return $read->();
}


# A copy of the module with some bytes changed.

sub changed {
    my ($name, $from, $to) = @_;

    my ($module) = MCPTest::Nginx::modules();

    open my $in, '<:raw', $module or die "$module: $!\n";
    my $bytes = do { local $/; <$in> };

    $bytes =~ s/$from/$to/ or die "$name: nothing to change\n";

    open my $out, '>:raw', "$dir/$name.so" or die;
    print {$out} $bytes;
    close $out or die;

    return "$dir/$name.so";
}

SKIP: {
    my ($module) = MCPTest::Nginx::modules();

    skip 'the launcher loads the module, and this nginx has it', 4
        unless $module;

    my $port   = MCPTest::Nginx::free_port();
    my $listen = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
        LocalAddr => '127.0.0.1', LocalPort => $port) or die;

    my @lines = launch({ PORT => $port, MCP_SSE_MODULE => $module });

    my $only = sub {
        my ($name, $pattern) = @_;

        ok(@lines == 1 && $lines[0] =~ $pattern,
            "launcher: $name: one line says what to do")
            or diag(@lines);
    };

    $only->('a port in use', line("port $port of 127.0.0.1 is in use:",
        'stop what listens there, or set PORT to another'));

    @lines = launch({ MCP_SSE_MODULE => changed('other-nginx',
        qr/(?<=\d,\d,\d,)0(?=[01]{20})/, '1') });

    $only->('a module for another nginx', line('was built for another nginx',
        'than ' . MCPTest::Nginx::binary() . ': build and install it again',
        '(make deb, or make clean, make and make install), or set',
        'MCP_SSE_NGINX or MCP_SSE_MODULE'));

    @lines = launch({ MCP_SSE_MODULE => changed('no-library',
        qr/(?<=libyajl\.so\.)\d(?=\0)/, '9') });

    $only->('a missing library', line('needs the library libyajl.so.9,',
        'which is not installed: install it, or build the module on this',
        'machine (make clean, make)'));

    @lines = launch({ MCP_SSE_MODULE => $module, WORKER_CONNECTIONS => 2000 },
        'ulimit -n 1024');

    my $few = line('warning: at most 1024 open files, WORKER_CONNECTIONS=2000',
        'needs 4000: raise the limit (ulimit -Hn, LimitNOFILE of systemd), or',
        'set WORKER_CONNECTIONS to 512');

    is(scalar(grep { /$few/ } @lines), 1,
        'launcher: a low limit of open files: one line says what to do')
        or diag(@lines);
}

finish();
