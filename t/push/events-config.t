# The directive mcp_sse_events: which values nginx -t accepts and which it
# refuses.  docs/PROTOCOL.md 16.1.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use File::Temp ();
use Test::More;

my $dir  = File::Temp->newdir;

mkdir "$dir/logs";

my $load = join '', map { "load_module $_;\n" } MCPTest::Nginx::modules();
my $temp = join '', map { "    ${_}_temp_path $dir/$_;\n" }
    qw(client_body proxy fastcgi uwsgi scgi);
my $port = MCPTest::Nginx::free_port();


# Runs nginx -t with these directives; returns the exit status and the output.

sub check {
    my ($http, $location) = @_;

    $location = '' unless defined $location;

    open my $file, '>', "$dir/nginx.conf" or die "nginx.conf: $!\n";
    print {$file} <<"EOT";
$load
error_log $dir/error.log info;
pid $dir/nginx.pid;
events {}
http {
    access_log off;
$temp
    mcp_sse_call /_mcp/call;
    mcp_sse_user /_mcp/user;
    $http
    server {
        listen 127.0.0.1:$port;
        location = /mcp { mcp_sse_http; $location }
        location /_mcp/ { internal; return 204; }
    }
}
EOT
    close $file;

    return MCPTest::Nginx->check("$dir/nginx.conf", '-p', "$dir/");
}


sub good {
    my ($value, $more) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status, $text) = check("mcp_sse_events $value;" . ($more || ''));

    ok($status == 0 && $text !~ /\[(?:warn|error|alert|crit|emerg)\]/,
        "accepted: mcp_sse_events $value") or diag($text);

    return;
}


sub bad {
    my ($value, $pattern, %opt) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $http = exists $opt{http} ? $opt{http} : "mcp_sse_events $value;";
    my ($status, $text) = check($http, $opt{location});
    my ($line) = $text =~ /^(.*\[emerg\].*)$/m;

    like(defined $line && $status == 1 ? $line : "$status $text", $pattern,
        'refused: ' . ($opt{name} || "mcp_sse_events $value"));
    unlike($text, qr/pass-of-redis/, 'the refusal does not show the password')
        if $value =~ /pass-of-redis/;

    return;
}


# neither mcp_sse_redis nor mcp_sse_key is needed

my $long = 'c' x 128;

good($_) for 'redis://127.0.0.1:6379', 'redis://localhost/1',
    'redis://user:secret@[::1]:6379/0', 'unix:/run/redis/redis.sock?db=2',
    'redis://127.0.0.1 channel=frappe timeout=500ms connect_timeout=1s',
    "redis://127.0.0.1 channel=$long",
    'redis://127.0.0.1,localhost:1 sentinel=mymaster',
    'redis://127.0.0.1:7000,127.0.0.1:7001 cluster',
    'redis://127.0.0.1 cluster "channel=mcp:events"';

my $name = qr/in "mcp_sse_events" directive/;

bad($_, qr/in "mcp_sse_events" directive|number of arguments in "mcp_sse_events"/)
    for '', '127.0.0.1:6379', 'redis://', 'redis://127.0.0.1:x',
    'redis://user:pass-of-redis@127.0.0.1:x/0',
    'redis://127.0.0.1,127.0.0.2', 'redis://127.0.0.1/1 cluster',
    'redis://127.0.0.1 cluster sentinel=mymaster',
    'redis://127.0.0.1 redis://user:pass-of-redis@127.0.0.1';

bad("redis://127.0.0.1 $_", $name) for 'x', 'x=y', 'timeout=0',
    'connect_timeout=x', 'channel', 'channel=', 'channel=a channel=b',
    "channel=${long}c", '"channel=a b"', "\"channel=a\tb\"",
    "\"channel=a\x7f\"", 'Channel=a';

bad('redis://127.0.0.1 prefix=a', qr/"prefix=a" .*must be "channel=NAME"/);
bad('redis://b.invalid', qr/host not found in "mcp_sse_events" "b\.invalid/);

bad('', qr/mcp_sse_events" directive is duplicate/, name => 'a second one',
    http => 'mcp_sse_events redis://127.0.0.1; '
    . 'mcp_sse_events redis://127.0.0.1;');
bad('', qr/mcp_sse_events" directive is not allowed here/,
    name => 'mcp_sse_events in a location', http => '',
    location => 'mcp_sse_events redis://127.0.0.1;');

# both, of different kinds

my $key = MCPTest::Nginx::key_file();

good('redis://127.0.0.1:6379',
    "mcp_sse_redis redis://127.0.0.1 prefix=x:; mcp_sse_key $key;");

bad('', qr/"channel=a" .*must be "prefix=TEXT"/,
    name => 'mcp_sse_redis with a channel', http => "mcp_sse_key $key;"
    . 'mcp_sse_redis redis://127.0.0.1 channel=a;');

# TLS; the certificates are for both

my $ssl = `'@{[ MCPTest::Nginx::binary() ]}' -V 2>&1` =~ /^built with .*SSL/m;

if ($ssl) {
    good('rediss://127.0.0.1', 'mcp_sse_redis_ssl_verify off;');
    good('rediss://127.0.0.1', 'mcp_sse_redis_ssl_name a;'
        . "mcp_sse_redis redis://127.0.0.1; mcp_sse_key $key;");

    my ($status, $text) = check('mcp_sse_events redis://127.0.0.1; '
        . 'mcp_sse_redis_ssl_verify off;');

    ok($status == 0 && $text =~ /\[warn\].*ignored without.*mcp_sse_events/,
        'mcp_sse_redis_ssl_verify is ignored without TLS') or diag($text);

    bad('', qr/no-such-file/, name => 'a certificate that is not there',
        http => 'mcp_sse_events rediss://127.0.0.1; '
        . "mcp_sse_redis_ssl_trusted_certificate $dir/no-such-file;");

} else {
    bad('rediss://127.0.0.1',
        qr/TLS is not supported, nginx has been built without SSL/);
}

finish();
