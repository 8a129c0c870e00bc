# Every directive: its contexts and values, inheritance, and the error of
# nginx -t for each invalid use.  docs/PROTOCOL.md 5.3, 13.1, 13.2.

use strict;
use warnings;

use File::Temp ();

use lib 't/lib';
use MCPTest;
use Test::More;

my $dir = File::Temp->newdir;

mkdir "$dir/logs";

my $load = join '', map { "load_module $_;\n" } MCPTest::Nginx::modules();
my $temp = join '', map { "    ${_}_temp_path $dir/$_;\n" }
    qw(client_body proxy fastcgi uwsgi scgi);

my $port = MCPTest::Nginx::free_port();
my $base = 'mcp_sse_call /_mcp/call; mcp_sse_user /_mcp/user;';


sub file {
    my ($name, $text, $mode) = @_;

    open my $file, '>', "$dir/$name" or die "$name: $!\n";
    print {$file} $text;
    close $file;
    chmod defined $mode ? $mode : 0600, "$dir/$name" or die "chmod: $!\n";

    return "$dir/$name";
}


# Runs nginx -t with these lines at http, server or location level.

sub check {
    my (%lines) = @_;

    for (qw(http server location more)) {
        $lines{$_} = '' unless defined $lines{$_};
    }

    $lines{base} = $base unless defined $lines{base};
    $lines{handler} = 'mcp_sse_stream;' unless defined $lines{handler};

    file('nginx.conf', <<"EOT");
$load
error_log $dir/logs/error.log info;
pid $dir/nginx.pid;
events {}
http {
    access_log off;
$temp
    $lines{base}
    $lines{http}
    server {
        listen 127.0.0.1:$port;
        $lines{server}
        location = /mcp/sse {
            $lines{handler}
            $lines{location}
        }
        location = /_mcp/call { internal; proxy_pass http://127.0.0.1:2; }
        $lines{more}
    }
}
EOT

    return MCPTest::Nginx->check("$dir/nginx.conf", '-p', "$dir/");
}


sub good {
    my ($name, %lines) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status, $text) = check(%lines);

    # newcomer.t tests the warnings about locations

    $text =~ s/.*\[warn\].*(?: names "\/|streams announce ).*\n//g;

    ok($status == 0 && $text !~ /\[(?:warn|error|alert|crit|emerg)\]/,
        "accepted: $name") or diag($text);

    return;
}


sub bad {
    my ($name, $pattern, %lines) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status, $text) = check(%lines);
    my $ok = $status == 1 && $text =~ /\[emerg\]/ && $text =~ $pattern;

    ok($ok, "refused: $name") or diag("$status $text");

    return;
}


good('a plain configuration');

my $key = file('key', "# first\n" . 'k' x 32 . "\n\n" . 'l' x 64 . "\n");
my $secret = file('secret', "alice-secret\n");

# directives of all contexts, with good and bad values

my %merged = (
    mcp_sse_call       => [ [ '/a', '/a?b=c' ], [ '', '/a /b' ] ],
    mcp_sse_user       => [ [ '/a', '/a?b=c' ], [ '', '/a /b' ] ],
    mcp_sse_principal  => [ [ '$remote_user', '"x-$http_a"' ],
                            [ '', 'a b', '$no_such_variable' ] ],
    mcp_sse_site       => [ [ 'a.example.com', '$host', '"$http_x"' ],
                            [ '', 'a b', '$no_such_variable' ] ],
    mcp_sse_server_url => [ [ 'http://a', 'https://a:8443/ http://b:80',
                              'HTTP://A' ],
                            [ '', 'a', 'ftp://a', 'http://', 'http://a/b',
                              'http://u@a', 'http://a?b', 'http://a#b',
                              'http://a:x', 'http://a:0', 'http://a:70000' ]
                          ],
    mcp_sse_message_uri => [ [ '/a', '/a?b=c' ],
                            [ '', 'a', 'http://a/b', '/a /b', '/a#b' ] ],
    mcp_sse_local      => [ [ 'ping', 'none', 'resources/list',
                              'ping resources/list resources/templates/list '
                              . 'prompts/list logging/setLevel' ],
                            [ '', 'tools/list', 'ping none', 'none ping',
                              'x', 'Ping' ] ],
    mcp_sse_ping_result => [ [ qw(meta result empty) ],
                            [ '', 'x', 'meta meta' ] ],
    mcp_sse_header_check => [ [ qw(strict lenient) ],
                            [ '', 'x', 'strict strict' ] ],
    mcp_sse_keepalive  => [ [ '15s', '15s comment', '15s event', '500ms',
                              'off' ],
                            [ '', 'x', '15s x', 'comment', '15s event x',
                              'off event' ] ],
    mcp_sse_grace      => [ [ '5s', '0', '1m' ], [ '', 'x', '5s 5s', '-1' ] ],
    mcp_sse_idle_timeout => [ [ 'off', '10m' ], [ '', 'x', 'on' ] ],
    mcp_sse_session_ttl => [ [ '7d', '1h' ], [ '', 'x', 'off', '0' ] ],
    mcp_sse_call_timeout => [ [ '300s', '1ms' ], [ '', 'x', 'off' ] ],
    mcp_sse_ask_timeout => [ [ '100s', '1ms' ], [ '', 'x', 'off', '0' ] ],
    mcp_sse_events_site => [ [ 'a.example.com', '$host', '"$http_x"' ],
                            [ '', 'a b', '$no_such_variable' ] ],
    mcp_sse_progress   => [ [ 'off', '10s' ], [ '', 'x', 'on' ] ],
    mcp_sse_max_answer => [ [ '32m', '64k' ], [ '', 'x', '-1' ] ],
    mcp_sse_queue      => [ [ '1m', '64k' ], [ '', 'x', '-1' ] ],
    mcp_sse_max_calls  => [ [ '1', '32' ], [ '', 'x', '0', '-1' ] ],
    mcp_sse_max_sessions => [ [ '1', '64' ], [ '', 'x', '-1' ] ],
    mcp_sse_origin     => [ [ '*', 'https://a.example.com',
                              'http://a:3000 https://b', 'tauri://a' ],
                            [ '', 'a', 'https://a/b', 'null', 'http://[::g]',
                              'https://a,https://b' ] ],
    mcp_sse_auth_cache => [ [ '60s' ], [ '', 'x' ] ],
    mcp_sse_auth_recheck => [ [ '10m' ], [ '', 'x' ] ],
    mcp_sse_auth_wait  => [ [ '20s', '0' ], [ '', 'x' ] ],
    mcp_sse_auth_stale => [ [ '10m', '0' ], [ '', 'x' ] ],
    mcp_sse_api_secret => [ [ $secret ],
                            [ '', "$dir/missing", "$dir",
                              file('empty', '') ] ],
    mcp_sse_cookie     => [ [ qw(on off) ], [ '', 'x', 'on on' ] ],
    mcp_sse_pass_header => [ [ 'X-A', 'X-A X-B' ], [ '' ] ],
    mcp_sse_retry      => [ [ '1s', '1500ms' ], [ '', 'x' ] ],
);

for my $name (sort keys %merged) {
    my ($values, $wrong) = @{ $merged{$name} };

    # leave the directive out of $base, where it would be a duplicate

    my $rest = $base =~ s/\b$name [^;]*;//r;
    my $first = $values->[0];

    for my $where (qw(http server location)) {
        my %base = $name eq 'mcp_sse_call' || $name eq 'mcp_sse_user'
            ? (base => $where eq 'http' ? $rest : $base) : ();

        good("$name in $where", %base, $where => "$name $first;");
    }

    for my $value (@$values[1 .. $#$values]) {
        good("$name $value", location => "$name $value;");
    }

    for my $value (@$wrong) {
        bad("$name $value", qr/$name|variable|\Q$dir\E|host|URL|port/,
            location => "$name $value;");
    }

    # only directives that are lists may be repeated

    bad("$name twice", qr/is duplicate|directive/,
        location => "$name $first;\n$name $first;")
        unless $name =~ /(?:server_url|origin|pass_header|local)\z/;
}

# directives of http only

my %main = (
    mcp_sse_zone        => [ [ 'zone=mcp_sse:8m', 'zone=x:16m' ],
                             [ '', 'zone=', 'zone=x', 'zone=x:', 'zone=x:y',
                               'x', 'zone=x:4m', 'zone=x:8k', 'zone=:8m',
                               'zone=x:8m y' ] ],
    mcp_sse_key         => [ [ $key ],
                             [ '', "$dir/missing", "$dir",
                               file('short', "short\n"),
                               file('nokey', "# nothing\n\n"),
                               file('world', 'k' x 40 . "\n", 0644),
                               file('mixed', 'k' x 40 . "\nshort\n"),
                             ] ],
    mcp_sse_max_inbox   => [ [ '1', '256' ], [ '', 'x', '0', '-1' ] ],
    mcp_sse_auth_lookups => [ [ '1', '16' ], [ '', 'x', '0', '-1' ] ],
    mcp_sse_backend_calls => [ [ '1', '6', '1 per_user=1', '6 per_user=2',
        '6 per_user=6' ], [ '', 'x', '0', '-1', '1x', '2147483648', 'off',
        '6 2', '6 per_user', '6 per_user=', '6 per_user=0', '6 per_user=7',
        '6 per_user=x', '6 per_user=-1', '6 user=2', '6 per_user=2 x' ] ],
    mcp_sse_max_message => [ [ '1m', '64k' ], [ '', 'x', '0', '2m',
                               '4611686018427387904' ] ],
    mcp_sse_drain       => [ [ '4s', '500ms' ], [ '', 'x' ] ],
);

for my $name (sort keys %main) {
    my ($values, $wrong) = @{ $main{$name} };

    good("$name $_", http => "$name $_;") for @$values;

    my $first = $values->[0];

    bad("$name in $_", qr/not allowed here/, $_ => "$name $first;")
        for qw(server location);
    bad("$name $_", qr/mcp_sse|\Q$dir\E/, http => "$name $_;") for @$wrong;
    bad("$name twice", qr/is duplicate/,
        http => "$name $first;\n$name $first;");
}

# a zone for larger messages

good('mcp_sse_max_message 2m with a zone of 9m', http =>
    'mcp_sse_zone zone=a:9m; mcp_sse_max_message 2m;');
bad('mcp_sse_max_message 2m with a zone of 8m', qr/zone/, http =>
    'mcp_sse_max_message 2m; mcp_sse_zone zone=a:8m;');
good('mcp_sse_max_message 64k with a zone of 2m', http =>
    'mcp_sse_zone zone=a:2m; mcp_sse_max_message 64k;');

# a key file may be readable for its group, but not for others

good('mcp_sse_key of mode 0640',
    http => 'mcp_sse_key ' . file('g', 'k' x 40 . "\n", 0640) . ';');
bad('mcp_sse_key of mode 0604', qr/\Q$dir\E/,
    http => 'mcp_sse_key ' . file('o', 'k' x 40 . "\n", 0604) . ';');

# no message contains a key

{
    my ($status, $text) = check(http => 'mcp_sse_key '
        . file('leak', "shortsecret\n") . ';');

    unlike($text, qr/shortsecret/,
        'the error for a bad key does not show the key');
}

# directives that make an endpoint

for my $handler (qw(stream message health metrics resource_metadata)) {
    my $line = "mcp_sse_$handler;";

    good($line, handler => $line);
    bad("$line in http", qr/not allowed here/, http => $line);
    bad("$line in server", qr/not allowed here/, server => $line);
    bad("mcp_sse_$handler with an argument", qr/number of arguments/,
        handler => "mcp_sse_$handler on;");

    for my $second (qw(stream message health metrics resource_metadata)) {
        bad("mcp_sse_$handler and mcp_sse_$second in one location",
            qr/is duplicate/, handler => "$line mcp_sse_$second;");
    }

    good("$line in two locations", handler => $line,
        more => "location /x { $line } location /y { $line }");
}

# what an endpoint needs

for my $handler (qw(stream message)) {
    my $line = "mcp_sse_$handler;";

    bad("$line without mcp_sse_call", qr/mcp_sse_call/, handler => $line,
        base => 'mcp_sse_user /_mcp/user;');
    bad("$line without mcp_sse_user and mcp_sse_principal",
        qr/mcp_sse_user/, handler => $line,
        base => 'mcp_sse_call /_mcp/call;');
    bad("$line without anything", qr/mcp_sse_/, handler => $line,
        base => '');
    good("$line with mcp_sse_principal", handler => $line,
        base => 'mcp_sse_call /_mcp/call; mcp_sse_principal $remote_user;');
    good("$line, directives in its location", handler => $line, base => '',
        location => $base);
    good("$line, directives in its server", handler => $line, base => '',
        server => $base);
    good("$line inherits into a nested location", handler => '',
        more => "location /x { $base location /x/y { $line } }",
        base => '');
}

good('mcp_sse_health without other directives', handler => 'mcp_sse_health;',
    base => '');
good('mcp_sse_metrics without other directives', handler => 'mcp_sse_metrics;',
    base => '');
good('mcp_sse_resource_metadata without other directives',
    handler => 'mcp_sse_resource_metadata;', base => '');
good('a configuration without endpoints', handler => 'return 200;', base => '');
good('directives of the module without endpoints', handler => 'return 200;',
    base => '', http => 'mcp_sse_grace 5s;');

# two servers without a name have no site that tells them apart

{
    my $second = MCPTest::Nginx::free_port();
    my $server = "server { listen 127.0.0.1:$second;"
        . ' location = /mcp { %s mcp_sse_http; }'
        . ' location = /_mcp/call { internal; proxy_pass http://127.0.0.1:3; }'
        . ' %s }';

    my $set = 'mcp_sse_site a.example.com;';
    my $why = qr/server_name.*:\d+ and .*:\d+, .* set "mcp_sse_site"/;

    bad('a second server without server_name', $why,
        http => sprintf $server, '', '');
    bad("a second server with server_name $_", $why,
        http => sprintf $server, '', "server_name $_;") for '_', '""';
    bad('a second server without server_name, one with mcp_sse_principal',
        $why, http => sprintf $server, 'mcp_sse_principal $remote_user;', '');
    bad('the third server is the second without server_name', $why,
        http => sprintf($server, $set, '')
            . sprintf $server =~ s/:$second/:$port/r, '', '');

    good('a second server with server_name',
        http => sprintf $server, '', 'server_name a.example.com;');
    good('a second server without server_name, with mcp_sse_site',
        http => sprintf $server, $set, '');
    good('two servers without server_name, mcp_sse_site in http',
        http => $set . sprintf $server, '', '');
    good('a second server without server_name, with /health alone',
        http => "server { listen 127.0.0.1:$second;"
            . ' location = /health { mcp_sse_health; } }');
}

# variables

good('all variables in a log_format', http => 'log_format a escape=json "'
    . join(' ', map { "\$mcp_sse_$_" }
        qw(session user site method id tool result)) . '";');
bad('an unknown variable', qr/unknown "mcp_sse_nothing" variable/,
    server => 'add_header X $mcp_sse_nothing;');
good('variables in map and if', http =>
    'map $mcp_sse_result $r { default 0; ok 1; }',
    more => 'location /v { if ($mcp_sse_user = "") { return 403; } }');

# a directive that does not exist

bad('an unknown directive', qr/unknown directive/,
    http => 'mcp_sse_nothing on;');

# headers that never go to Frappe are refused, behind other ones as well

for my $name (qw(cookie authorization host x-forwarded-for
    x-frappe-site-name x-assistant-client-id content-length transfer-encoding connection upgrade
    mcp-session-id))
{
    bad("mcp_sse_pass_header $name", qr/header "$name" cannot be passed/,
        location => "mcp_sse_pass_header X-A $name;");
}

# headers that never go to Frappe with any configuration

{
    my $nginx = start_nginx(fails => 1, http => 'mcp_sse_pass_header Cookie '
        . 'X-Frappe-Site-Name Accept-Encoding Transfer-Encoding Upgrade;');

    if ($nginx->pid) {
        my $stream = open_stream($nginx);

        post($nginx, $stream, request(1, 'tools/list', {}), headers => [
            Cookie => 'sid=x', 'X-Frappe-Site-Name' => 'x',
            'Accept-Encoding' => 'gzip', Upgrade => 'x' ]);
        $stream->wait_answer(1);

        my $got = frappe()->last_headers;

        is($got->{$_}, undef, "mcp_sse_pass_header $_ passes nothing to Frappe")
            for qw(cookie x-frappe-site-name accept-encoding upgrade);
        $stream->close;

    } else {
        $nginx->allow(qr/\[emerg\].*mcp_sse_pass_header|\[emerg\].*header/);
        like($nginx->error_log . $nginx->stderr, qr/\[emerg\]/,
            'mcp_sse_pass_header refuses what must not go to Frappe');
    }
}

# inheritance

{
    my $nginx = start_nginx(http => 'mcp_sse_ping_result result;',
        server => 'mcp_sse_local ping prompts/list;', locations => <<'EOT');
        location = /own/sse {
            mcp_sse_ping_result empty;
            mcp_sse_local       none;
            mcp_sse_stream;
        }

        location /nested/ {
            mcp_sse_ping_result empty;
            location = /nested/sse { mcp_sse_stream; }
            location = /nested/none { return 200 "none"; }
        }
EOT

    my $plain  = open_stream($nginx);
    my $nested = open_stream($nginx, path => '/nested/sse');
    my $own    = open_stream($nginx, path => '/own/sse');

    like(call($nginx, $plain, request(1, 'ping')) || '', qr/"status":"ok"/,
        'a location inherits mcp_sse_ping_result from http');
    is(call($nginx, $nested, request(1, 'ping')),
        '{"jsonrpc":"2.0","result":{},"id":1}',
        'a nested location inherits from the outer one');
    is(call($nginx, $nested, request(2, 'prompts/list')),
        '{"jsonrpc":"2.0","result":{"prompts":[]},"id":2}',
        'a nested location inherits mcp_sse_local from server');

    frappe()->reset;
    call($nginx, $own, request(1, 'ping'));
    is(frappe()->count('ping'), 1, 'a location overrides mcp_sse_local');
    is(get($nginx, '/nested/none')->body, 'none',
        'a nested location does not inherit the endpoint');
    is(get($nginx, '/nested/other')->status, 404,
        'a path without a nested location is no endpoint');
    $_->close for $plain, $nested, $own;
}

# stream and messages with different sites

{
    my $nginx = start_nginx(
        message => 'mcp_sse_site other.example.com;');
    my $stream = open_stream($nginx);

    is(post($nginx, $stream, request(1, 'ping'))->status, 401,
        'a message for a stream of another site is 401');
    $stream->close;
}

finish();
