# The directives mcp_sse_redis and mcp_sse_key: which values nginx -t accepts
# and which it refuses.  docs/PROTOCOL.md 11.14.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use File::Temp ();
use Test::More;

my $dir  = File::Temp->newdir;

mkdir "$dir/logs";

my $key  = MCPTest::Nginx::key_file();
my $load = join '', map { "load_module $_;\n" } MCPTest::Nginx::modules();
my $temp = join '', map { "    ${_}_temp_path $dir/$_;\n" }
    qw(client_body proxy fastcgi uwsgi scgi);
my $port = MCPTest::Nginx::free_port();

{
    open my $empty, '>', "$dir/empty" or die "empty: $!\n";
    chmod 0600, "$dir/empty";
}


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
        location = /mcp/sse { mcp_sse_stream; $location }
        location = /mcp/messages { mcp_sse_message; }
        location /_mcp/ { internal; return 204; }
    }
}
EOT
    close $file;

    return MCPTest::Nginx->check("$dir/nginx.conf", '-p', "$dir/");
}


sub good {
    my ($redis) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($status, $text) = check("mcp_sse_redis $redis; mcp_sse_key $key;");

    ok($status == 0 && $text !~ /\[(?:warn|error|alert|crit|emerg)\]/,
        "accepted: mcp_sse_redis $redis") or diag($text);

    return;
}


sub bad {
    my ($redis, $pattern, %opt) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $http = exists $opt{http} ? $opt{http}
        : "mcp_sse_redis $redis; mcp_sse_key $key;";
    my ($status, $text) = check($http, $opt{location});
    my ($line) = $text =~ /^(.*\[emerg\].*)$/m;

    like(defined $line && $status == 1 ? $line : "$status $text", $pattern,
        'refused: ' . ($opt{name} || "mcp_sse_redis $redis"));

    # the message must not contain the password

    unlike($text, qr/pass-of-redis/, 'the refusal does not show the password')
        if $redis =~ /pass-of-redis/;

    return;
}


good($_) for 'redis://127.0.0.1:6379', 'redis://127.0.0.1:6379/0',
    'redis://127.0.0.1:6379/15', 'redis://localhost:6379/1',
    'redis://[::1]:6379/0', 'redis://127.0.0.1',
    'redis://:secret@127.0.0.1:6379/0',
    'redis://user:secret@127.0.0.1:6379/0',
    'redis://user:p%40ss%2Fword@127.0.0.1:6379/0',
    'unix:/run/redis/redis.sock', 'unix:/run/redis/redis.sock?db=2',
    'unix://user:secret@/run/redis/redis.sock',
    'redis://127.0.0.1:6379 prefix=mcp:',
    'redis://127.0.0.1:6379 prefix=a-b_c: timeout=500ms connect_timeout=1s',
    'redis://127.0.0.1:6379 timeout=2s';

my $value = qr/mcp_sse_redis|invalid|URL|redis/;

bad($_, $value) for '', '""', '127.0.0.1:6379', 'http://127.0.0.1:6379',
    'redis:127.0.0.1', 'redis://', 'redis:///0', 'redis://:6379',
    'redis://127.0.0.1:0', 'redis://127.0.0.1:65536', 'redis://127.0.0.1:x',
    'redis://127.0.0.1:6379:1', 'redis://[::1', 'redis://a b',
    'redis://127.0.0.1:6379?x=y', 'redis://127.0.0.1:6379/0#x',
    'unix:', 'unix:relative', 'unix:/run/redis.sock?db=x',
    'unix:/run/redis.sock?x=y',
    'redis://user:pass-of-redis@127.0.0.1:x/0',
    'redis://user:pass-of-redis@/0', 'redis://user:@127.0.0.1',
    'redis://user:pass-of-redis@127.0.0.1,127.0.0.2/0',
    'redis://user:pass-of-redis@127.0.0.1,:1/0 cluster',
    'redis://user:pass-of-redis@127.0.0.1/1 cluster',
    'redis://127.0.0.1 redis://user:pass-of-redis@127.0.0.1',
    'unix:user:pass-of-redis@/run/redis.sock cluster';

# nginx would leave out a "%" that begins no byte

good("redis://$_\@127.0.0.1:6379") for '%25:%25', ':%41', ':%00%fF';

bad("redis://user$_\@127.0.0.1:6379", qr/must be written as "%25"/)
    for ':%pass-of-redis', ':pass-of-redis%', ':pass-of-redis%4',
    ':pass-of-redis%4g', '%:pass-of-redis', '%4:pass-of-redis', ':%';

bad("redis://127.0.0.1:6379/$_", $value) for 'x', '-1', '0x', '0/1';

# several hosts, sentinels, a cluster

good($_) for 'redis://127.0.0.1,localhost:1,[::1] sentinel=mymaster',
    'redis://user:secret@127.0.0.1,localhost:1,[::1]:2/15 sentinel=mymaster',
    'redis://127.0.0.1,127.0.0.2:7001/0 cluster',
    'redis://127.0.0.1 cluster "prefix=a{b}c"';

bad($_, qr/mcp_sse_redis" directive: /) for
    'redis://127.0.0.1,127.0.0.2', 'redis://127.0.0.1/1 cluster',
    'redis://127.0.0.1 cluster prefix=mcp:',
    'redis://127.0.0.1 cluster sentinel=mymaster',
    'unix:/run/redis/redis.sock sentinel=mymaster';

# TLS.  util/test-builds runs this file with an nginx without SSL, too

my $ssl = `'@{[ MCPTest::Nginx::binary() ]}' -V 2>&1` =~ /^built with .*SSL/m;

for my $redis ('rediss://127.0.0.1', 'RedisS://user:pass-of-redis@localhost:1/2',
    'rediss://127.0.0.1,[::1]:7 sentinel=mymaster',
    'rediss://127.0.0.1:7000,127.0.0.1:7001 cluster')
{
    if ($ssl) {
        good($redis);

    } else {
        bad($redis, qr/TLS is not supported, nginx has been built without SSL/);
    }
}

for my $line ('verify off', 'name a', 'trusted_certificate a', 'certificate a',
    'certificate_key a')
{
    my ($status, $text) = check("mcp_sse_redis_ssl_$line;");

    if ($ssl) {
        ok($status == 0 && $text =~ /\[warn\].*ignored without/,
            "mcp_sse_redis_ssl_$line is ignored without TLS") or diag($text);

    } else {
        like($text, qr/\[emerg\].*_ssl_\w+" directive is not supported, nginx/,
            "refused without SSL: mcp_sse_redis_ssl_$line");
    }
}

bad("rediss://$_", $value) for '', '127.0.0.1:x', '/run/redis.sock',
    '127.0.0.1,127.0.0.2', 'user:pass-of-redis@127.0.0.1:x/0';

# each name is looked up

bad("redis://127.0.0.1,$_ cluster", qr/host not found in "mcp_sse_redis" "b\./)
    for 'b.invalid', 'localhost,b.invalid:1';

{
    my ($status, $text) = check('resolver 127.0.0.1; mcp_sse_redis '
        . "redis://127.0.0.1,b.invalid cluster; mcp_sse_key $key;");

    ok($status == 0, 'accepted: a name that the resolver is to look up')
        or diag($text);
}

# parameters

bad("redis://127.0.0.1:6379 $_", qr/\Q$_\E|parameter|mcp_sse_redis/)
    for 'x', 'x=y', 'timeout', 'timeout=', 'timeout=x', 'timeout=0',
    'timeout=-1', 'connect_timeout=', 'connect_timeout=x', 'prefix',
    'prefix=a prefix=b', 'timeout=1s timeout=2s',
    'connect_timeout=1s connect_timeout=1s', 'Prefix=a',
    'redis://127.0.0.1:6380';

# contexts and the directives that go together

bad('', qr/mcp_sse_redis" directive is duplicate/,
    name => 'a second mcp_sse_redis',
    http => "mcp_sse_redis redis://127.0.0.1; "
    . "mcp_sse_redis redis://127.0.0.1; mcp_sse_key $key;");
bad('', qr/mcp_sse_redis" directive is not allowed here/,
    name => 'mcp_sse_redis in a location', http => "mcp_sse_key $key;",
    location => 'mcp_sse_redis redis://127.0.0.1;');
bad('', qr/mcp_sse_key/, name => 'mcp_sse_redis without mcp_sse_key',
    http => 'mcp_sse_redis redis://127.0.0.1;');
bad('', qr/no secret/, name => 'an empty file of keys', http =>
    "mcp_sse_redis redis://127.0.0.1; mcp_sse_key $dir/empty;");

# the order of mcp_sse_redis and mcp_sse_key does not matter

{
    my ($status, $text) = check("mcp_sse_key $key; "
        . 'mcp_sse_redis redis://127.0.0.1;');

    ok($status == 0, 'accepted: mcp_sse_key before mcp_sse_redis')
        or diag($text);
}

# nginx -t makes no connection

{
    my $proxy = MCPTest::Proxy->new(port => 1);

    # a connection of nginx would be queued at the proxy before the test's own

    check('mcp_sse_redis redis://127.0.0.1:' . $proxy->port
        . "; mcp_sse_key $key;");

    my $own = connect_to($proxy->port);

    ok(run_until(sub { $proxy->count }),
        'the proxy accepts the connection of the test');
    is($proxy->count, 1, 'nginx -t does not connect to Redis');
    $own->close;
    $proxy->stop;
}

finish();
