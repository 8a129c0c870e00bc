# What nginx makes of each directive: values as the module has them, defaults,
# inheritance, values at the limit of what is valid, and the line of each that
# is not.  docs/PROTOCOL.md 11.14, 13.1.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use MCPTest;
use MCPTest::Certificates;
use MCPTest::Unit;
use Test::More;

my $dir  = File::Temp->newdir;
my $show = MCPTest::Unit->module('t/config/show.c', 'ngx_mcp_show_module');
my $port = MCPTest::Nginx::free_port();
my $load = join '', map { "load_module $_;\n" } MCPTest::Nginx::modules(),
    $show->{file};
my $temp = join '', map { "    ${_}_temp_path $dir/$_;\n" }
    qw(client_body proxy fastcgi uwsgi scgi);

mkdir "$dir/logs";

my $call = 'mcp_sse_call /call; mcp_sse_user /user;';
my $inner = 'location = /call { internal; } location = /user { internal; } '
    . 'location = /mcp/messages { internal; mcp_sse_message; }';


sub file {
    my ($name, $text) = @_;

    open my $file, '>', "$dir/$name" or die "$name: $!\n";
    print {$file} $text;
    close $file;
    chmod 0600, "$dir/$name" or die "chmod: $!\n";

    return "$dir/$name";
}


# Runs nginx -t; returns its output, and the values by place and name.

sub shown {
    my (%lines) = @_;

    %lines = (http => '', server => '', location => '', base => $call,
        endpoint => 'mcp_sse_stream', %lines);

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
        server_name a.example.com;
        $lines{server}
        location = /x { $lines{endpoint}; $lines{location} }
        $inner
    }
}
EOT

    my ($status, $text) = MCPTest::Nginx->check("$dir/nginx.conf",
        '-p', "$dir/");
    my %shown;

    while ($text =~ /^show (\S+)(.*)$/mg) {
        my ($place, $rest) = ($1, $2);

        $shown{$place} = { $rest =~ / (\w+)=(\S*)/g };
    }

    $text =~ s/^show .*\n//mg;
    diag($text) if $status && !$lines{fails};

    return ($text, \%shown);
}


my $week   = 7 * 24 * 3600;
my %common = (
    call_uri => '/call', call_args => '', user_uri => '/user',
    user_args => '', principal => '-', site => '-', server_urls => '-',
    origins => '-', any_origin => 0, message_uri => '/mcp/messages',
    local => 0x03, ping_result => 1, header_check => 1, keepalive => 15000,
    keepalive_event => 0,
    grace => 5000, idle_timeout => 0, session_ttl => $week,
    call_timeout => 300000, progress => 10000, retry => 1000,
    stream_after => 2000, public_url => '-', auth_server => '-',
    json_only => 0, max_answer => 32 * 1024 * 1024, queue => 1024 * 1024,
    max_calls => 32, max_sessions => 64, auth_cache => 60000,
    auth_recheck => 600000, auth_wait => 20000, auth_stale => 600000,
    api_secret => '', cookie => 0, pass_headers => '-',
    post_action => '', client_max_body_size => 0,
    handler => 'mcp_sse_stream',
);


# The values of the location are the defaults but for these.

sub has {
    my ($name, $lines, %changes) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my ($text, $shown) = shown(%$lines);

    is_deeply($shown->{'/x'}, { %common, %changes }, $name)
        or diag($text, explain($shown->{'/x'}));

    return $shown;
}


# ---- defaults

{
    my $shown = has('the defaults of a location', {});

    is_deeply($shown->{http}, { zone_name => 'mcp_sse',
        zone_size => 8 * 1024 * 1024, keys => '-', max_inbox => 256,
        auth_lookups => 16, backend_calls => 0,
        backend_calls_per_user => 0, max_message => 1024 * 1024, drain => 4000,
        used => 1, longest_call => 300000 }, 'the defaults of http');

    has('the default of mcp_sse_http differs in the ping',
        { endpoint => 'mcp_sse_http' }, handler => 'mcp_sse_http',
        ping_result => 3);
    has('that of mcp_sse_message does not',
        { endpoint => 'mcp_sse_message' }, handler => 'mcp_sse_message');
}

# ---- each directive, at each level; each level overrides the one above

my $secret = file('secret', "of-the-api\n");
my $other  = file('other', "# a comment\n\r\n\n.\x7e\r\nsecond\n");

my @directives = (
    [ 'mcp_sse_call /a/b?c=d&e',  call_uri => '/a/b', call_args => 'c=d&e' ],
    [ 'mcp_sse_call /f?',         call_uri => '/f', call_args => '' ],
    [ 'mcp_sse_user /a?b?c',      user_uri => '/a', user_args => 'b?c' ],
    [ 'mcp_sse_user /g',          user_uri => '/g', user_args => '' ],
    [ 'mcp_sse_principal $host',  principal => '$host' ],
    [ 'mcp_sse_principal x',      principal => 'x' ],
    [ 'mcp_sse_site $host',       site => '$host' ],
    [ 'mcp_sse_site y',           site => 'y' ],
    [ 'mcp_sse_server_url HTTP://A/ https://b:8443',
        server_urls => 'http://a:80,https://b:8443' ],
    [ 'mcp_sse_server_url https://c', server_urls => 'https://c:443' ],
    [ 'mcp_sse_origin *',         origins => '-', any_origin => 1 ],
    [ 'mcp_sse_origin https://a tauri://b http://C',
        origins => 'https://a:443,tauri://b,http://c:80' ],
    [ 'mcp_sse_origin http://d *', origins => 'http://d:80', any_origin => 1 ],
    [ 'mcp_sse_message_uri /m?n=o', message_uri => '/m?n=o' ],
    [ 'mcp_sse_message_uri /p',   message_uri => '/p' ],
    [ 'mcp_sse_local ping',                     local => 0x01 ],
    [ 'mcp_sse_local resources/list',           local => 0x02 ],
    [ 'mcp_sse_local resources/templates/list', local => 0x04 ],
    [ 'mcp_sse_local prompts/list',             local => 0x08 ],
    [ 'mcp_sse_local logging/setLevel',         local => 0x10 ],
    [ 'mcp_sse_local prompts/list ping',        local => 0x09 ],
    [ 'mcp_sse_local none',                     local => 0 ],
    [ 'mcp_sse_ping_result meta',   ping_result => 1 ],
    [ 'mcp_sse_ping_result result', ping_result => 2 ],
    [ 'mcp_sse_ping_result empty',  ping_result => 3 ],
    [ 'mcp_sse_header_check strict',  header_check => 0 ],
    [ 'mcp_sse_header_check lenient', header_check => 1 ],
    [ 'mcp_sse_keepalive 7s event', keepalive => 7000, keepalive_event => 1 ],
    [ 'mcp_sse_keepalive 1ms',      keepalive => 1, keepalive_event => 0 ],
    [ 'mcp_sse_keepalive 8s event', keepalive => 8000, keepalive_event => 1 ],
    [ 'mcp_sse_keepalive 9s comment', keepalive => 9000 ],
    [ 'mcp_sse_keepalive off',      keepalive => 0 ],
    [ 'mcp_sse_grace 0',            grace => 0 ],
    [ 'mcp_sse_grace 7s',           grace => 7000 ],
    [ 'mcp_sse_idle_timeout 1ms',   idle_timeout => 1 ],
    [ 'mcp_sse_idle_timeout off',   idle_timeout => 0 ],
    [ 'mcp_sse_session_ttl 1s',     session_ttl => 1 ],
    [ 'mcp_sse_session_ttl 1d',     session_ttl => 86400 ],
    [ 'mcp_sse_call_timeout 1ms',   call_timeout => 1 ],
    [ 'mcp_sse_call_timeout 400s',  call_timeout => 400000 ],
    [ 'mcp_sse_progress off',       progress => 0 ],
    [ 'mcp_sse_progress 1500ms',    progress => 1500 ],
    [ 'mcp_sse_retry 1ms',          retry => 1 ],
    [ 'mcp_sse_retry 2s',           retry => 2000 ],
    [ 'mcp_sse_stream_after off',   stream_after => 0 ],
    [ 'mcp_sse_stream_after 3s',    stream_after => 3000 ],
    [ 'mcp_sse_public_url https://a/', public_url => 'https://a' ],
    [ 'mcp_sse_public_url $host',   public_url => '$host' ],
    [ 'mcp_sse_auth_server http://a:1', auth_server => 'http://a:1' ],
    [ 'mcp_sse_auth_server https://b',  auth_server => 'https://b' ],
    [ 'mcp_sse_max_answer 1',       max_answer => 1 ],
    [ 'mcp_sse_max_answer 2k',      max_answer => 2048 ],
    [ 'mcp_sse_queue 1',            queue => 1 ],
    [ 'mcp_sse_queue 3m',           queue => 3 * 1024 * 1024 ],
    [ 'mcp_sse_max_calls 1',        max_calls => 1 ],
    [ 'mcp_sse_max_calls 2',        max_calls => 2 ],
    [ 'mcp_sse_max_sessions 1',     max_sessions => 1 ],
    [ 'mcp_sse_max_sessions 2',     max_sessions => 2 ],
    [ 'mcp_sse_auth_cache 0',       auth_cache => 0 ],
    [ 'mcp_sse_auth_cache 1s',      auth_cache => 1000 ],
    [ 'mcp_sse_auth_recheck 1ms',   auth_recheck => 1 ],
    [ 'mcp_sse_auth_recheck 2s',    auth_recheck => 2000 ],
    [ 'mcp_sse_auth_wait 0',        auth_wait => 0 ],
    [ 'mcp_sse_auth_wait 3s',       auth_wait => 3000 ],
    [ 'mcp_sse_auth_stale 0',       auth_stale => 0 ],
    [ 'mcp_sse_auth_stale 4s',      auth_stale => 4000 ],
    [ "mcp_sse_api_secret $secret", api_secret => 'of-the-api' ],
    [ "mcp_sse_api_secret $other",  api_secret => '.~' ],
    [ 'mcp_sse_cookie on',          cookie => 1 ],
    [ 'mcp_sse_cookie off',         cookie => 0 ],
    [ 'mcp_sse_pass_header X-A X-B', pass_headers => 'x-a,x-b,' ],
    [ 'mcp_sse_pass_header X-C',    pass_headers => 'x-c,' ],
);

# all that are the n-th of their directive, together

my (%nth, @sets);

for my $row (@directives) {
    my ($line, @values) = @$row;
    my ($name) = $line =~ /\A(\w+)/;

    push @{ $sets[$nth{$name}++] }, $row;
}

for my $n (0 .. $#sets) {
    my @rows  = @{ $sets[$n] };
    my $lines = join '', map { "$_->[0];\n" } @rows;
    my %want  = map { @$_[1 .. $#$_] } @rows;
    my $base  = join ' ', map { $lines =~ /mcp_sse_$_ / ? ()
        : "mcp_sse_$_ /$_;" } qw(call user);

    my $shown = has("values, set $n: in http",
        { base => $base, http => $lines }, %want);

    is($shown->{http}{longest_call}, exists $want{call_timeout}
        ? $want{call_timeout} : 300000,
        "values, set $n: the longest time-out of a call");

    # the level above has the values of another set

    my @other = @{ $sets[0] };

    next if $n == 0;

    my %here  = map { $_->[0] =~ /\A(\w+)/; ($1 => 1) } @rows;
    my @above = grep { $_->[0] =~ /\A(\w+)/; $here{$1} } @other;

    $lines = join '', map { "$_->[0];\n" } @above;
    $base  = join ' ', map { $lines =~ /mcp_sse_$_ / ? ()
        : "mcp_sse_$_ /$_;" } qw(call user);

    has("values, set $n: the location overrides the server",
        { base => $base, server => $lines,
            location => join '', map { "$_->[0];\n" } @rows }, %want);
}

# the location of one server tells nothing of another location

{
    my (undef, $shown) = shown(location => 'mcp_sse_call_timeout 400s;',
        server => 'location = /y { mcp_sse_http; mcp_sse_call_timeout 7s; }');

    is($shown->{http}{longest_call}, 400000,
        'the longest time-out is that of any endpoint');
    is($shown->{'/y'}{call_timeout}, 7000, 'each has its own');

    (undef, $shown) = shown(endpoint => 'return 200', http =>
        'mcp_sse_call_timeout 400s;');
    is($shown->{http}{longest_call}, 400000,
        'mcp_sse_message is an endpoint, too');

    ($_, $shown) = shown(endpoint => 'mcp_sse_health', base => '',
        server => 'error_page 404 /call;', http =>
        'mcp_sse_call_timeout 400s;', fails => 1);
    like($_, qr/"mcp_sse_message" in location "\/mcp\/messages" needs/,
        'the line names directive and location');
}

# what the module does to nginx's own directives

has('the limit of nginx for bodies is not used',
    { location => 'client_max_body_size 1k;' }, client_max_body_size => 0);

{
    my ($text, $shown) = shown(location => 'post_action /y;');

    is($shown->{'/x'}{post_action}, '', 'post_action is not run');
    like($text, qr{\[warn\].*is[ ]not[ ]run[ ]for[ ]"mcp_sse_stream"[ ]in[ ]
        location[ ]"/x",[ ]use[ ]"access_log"[ ]instead}x, 'and nginx says so');
    ($text) = shown();
    unlike($text, qr/\[warn\]/, 'there is no warning without it');
}

# ---- http

for my $row (
    [ 'mcp_sse_zone zone=z:9m', zone_name => 'z', zone_size => 9 << 20 ],
    [ 'mcp_sse_zone zone=a:b:9m' ],
    [ 'mcp_sse_max_inbox 1',    max_inbox => 1 ],
    [ 'mcp_sse_auth_lookups 1', auth_lookups => 1 ],
    [ 'mcp_sse_backend_calls 1', backend_calls => 1,
        backend_calls_per_user => 1 ],
    [ 'mcp_sse_backend_calls 6', backend_calls => 6,
        backend_calls_per_user => 5 ],
    [ 'mcp_sse_backend_calls 6 per_user=6', backend_calls => 6,
        backend_calls_per_user => 6 ],
    [ 'mcp_sse_max_message 1',  max_message => 1 ],
    [ 'mcp_sse_max_message 2k', max_message => 2048 ],
    [ 'mcp_sse_drain 0',        drain => 0 ],
    [ 'mcp_sse_drain 7s',       drain => 7000 ],
    [ 'mcp_sse_key ' . file('k32', 'k' x 32), keys => 'k' x 32 ],
    [ 'mcp_sse_key ' . file('keys', "\n# no\n" . 'k' x 40 . "\r\n\r\n#\n"
        . 'l' x 33 . "\n"), keys => 'k' x 40 . ',' . 'l' x 33 ],
    [ 'mcp_sse_key ' . file('large', ('#' . 'x' x 99 . "\n") x 648
        . 'm' x 100), keys => 'm' x 88 ],
) {
    my ($line, %want) = @$row;

    my (undef, $shown) = shown(http => "$line;", fails => !%want);

    is_deeply({ map { $_ => $shown->{http}{$_} } keys %want }, \%want, $line);
    is(scalar keys %$shown, 0, "$line is refused") if !%want;
}

# ---- mcp_sse_redis

# a server as NAME|HOST|PORT|ADDRESS...

sub local_server { my $a = "127.0.0.1:$_[0]"; return "$a|127.0.0.1|$_[0]|$a" }

my $keys = "mcp_sse_key $dir/keys;";
my %tcp  = (mode => 0, user => '', password => '', database => 0,
    prefix => 'mcp:', slot => 0, timeout => 1000, connect_timeout => 1000,
    resolver_timeout => 0, name => '127.0.0.1', servers => local_server(6379),
    master => '', sentinel_user => '', sentinel_password => '',
    ssl => '-', ssl_verify => 0, ssl_name => '');
my %sentinel = (%tcp, mode => 1, master => 'm', servers => local_server(26379));
my %cluster = (%tcp, mode => 2, prefix => '{mcp}:', slot => 14804);
my %unix = (%tcp, name => '/r.s', servers => '/r.s||0|unix:/r.s');
my $long = 'p' x 128;
my %auth = map { $_ => file("auth$_", "# sentinels\n$_\n") } 'p', 'u:p:q',
    ':p:q', 'u:', '';

file('auth2', "p\nq\n");

for my $row (
    [ 'redis://127.0.0.1', %tcp ],
    [ 'REDIS://127.0.0.1/', %tcp ],
    [ 'redis://127.0.0.1:1/7', %tcp, servers => local_server(1),
        database => 7, name => '127.0.0.1:1' ],
    [ 'redis://127.0.0.1:65535', %tcp, servers => local_server(65535),
        name => '127.0.0.1:65535' ],
    [ 'redis://[::1]:2/0', %tcp, name => '[::1]:2',
        servers => '[::1]:2|::1|2|[::1]:2' ],
    [ 'redis://:p@127.0.0.1', %tcp, password => 'p' ],
    [ 'redis://u:p@127.0.0.1', %tcp, user => 'u', password => 'p' ],
    [ 'redis://u%41:p%2f@b:c@127.0.0.1/1', %tcp, user => 'uA',
        password => 'p/@b:c', database => 1, fails => 1 ],
    [ 'redis://u%41:p%2F%40@b:c@127.0.0.1', %tcp, user => 'uA',
        password => 'p/@@b:c' ],
    [ "redis://127.0.0.1 prefix=$long", %tcp, prefix => $long ],
    [ 'redis://127.0.0.1 prefix=', %tcp, prefix => '' ],
    [ 'redis://127.0.0.1 timeout=1ms connect_timeout=2s', %tcp, timeout => 1,
        connect_timeout => 2000 ],
    [ 'redis://127.0.0.1 connect_timeout=1ms prefix=a: timeout=2s', %tcp,
        timeout => 2000, connect_timeout => 1, prefix => 'a:' ],
    [ 'redis://127.0.0.1 sentinel=m', %sentinel ],
    [ 'redis://u:p@127.0.0.1,127.0.0.1:1/2 sentinel=m', %sentinel, user => 'u',
        password => 'p', database => 2, name => '127.0.0.1,127.0.0.1:1',
        servers => local_server(26379) . ',' . local_server(1) ],
    [ 'redis://127.0.0.1 prefix=a sentinel=a.b-c', %sentinel,
        master => 'a.b-c', prefix => 'a' ],
    [ "redis://127.0.0.1 sentinel_auth=$auth{p} sentinel=m", %sentinel,
        sentinel_password => 'p' ],
    [ "redis://127.0.0.1 sentinel=m sentinel_auth=$auth{'u:p:q'}", %sentinel,
        sentinel_user => 'u', sentinel_password => 'p:q' ],
    [ "redis://127.0.0.1 sentinel=m sentinel_auth=$auth{':p:q'}", %sentinel,
        sentinel_password => 'p:q' ],
    [ 'redis://127.0.0.1 cluster', %cluster ],
    [ 'redis://127.0.0.1,[::1]:7,127.0.0.1:8/0 cluster', %cluster,
        name => '127.0.0.1,[::1]:7,127.0.0.1:8',
        servers => join ',', local_server(6379), '[::1]:7|::1|7|[::1]:7',
        local_server(8) ],

    # the tag is from the first "{" to the next "}"; the slots are Redis' own

    [ 'redis://127.0.0.1 cluster "prefix={foo}"', %cluster, slot => 12182,
        prefix => '{foo}' ],
    [ 'redis://127.0.0.1 "prefix=a}{bar}{foo}" cluster', %cluster,
        slot => 5061, prefix => 'a}{bar}{foo}' ],
    [ 'redis://127.0.0.1 cluster "prefix=x{{hello}"', %cluster, slot => 1372,
        prefix => 'x{{hello}' ],
    [ 'redis://127.0.0.1 cluster "prefix={123456789}:"', %cluster,
        slot => 0x31c3, prefix => '{123456789}:' ],

    [ 'unix:/r.s', %unix ],
    [ 'unix:///r.s', %unix ],
    [ 'Unix:/r.s?db=9', %unix, database => 9 ],
    [ 'unix:/a@b.s?db=0', %unix, name => '/a@b.s',
        servers => '/a@b.s||0|unix:/a@b.s' ],
    [ 'unix://u:p@/r.s?db=1', %unix, user => 'u', password => 'p',
        database => 1 ],
    [ 'unix::p@/r.s', %unix, password => 'p' ],
) {
    my ($line, %want) = @$row;

    delete $want{fails};

    my ($text, $shown) = shown(http => "mcp_sse_redis $line; $keys");

    is_deeply($shown->{redis}, \%want, "mcp_sse_redis $line")
        or diag($text, explain($shown->{redis}));
}

for my $row ([ 'resolver 127.0.0.1;', 30000 ],
    [ 'resolver 127.0.0.1; resolver_timeout 2s;', 2000 ])
{
    my ($line, $time) = @$row;

    my (undef, $shown) = shown(http =>
        "$line mcp_sse_redis redis://r.invalid:7; $keys");

    is_deeply($shown->{redis}, { %tcp, name => 'r.invalid:7',
        servers => 'r.invalid:7|r.invalid|7', resolver_timeout => $time }, "a name with $line");
}

# sentinels and nodes of a cluster may tell names, whatever they are called

for my $mode ('', 'sentinel=m', 'cluster') {
    my (undef, $shown) = shown(http => 'resolver 127.0.0.1; '
        . "mcp_sse_redis redis://127.0.0.1:1 $mode; $keys");

    is($shown->{redis}{servers}, local_server(1), "$mode: an address is known");
    is($shown->{redis}{resolver_timeout}, 30000, "$mode: the resolver is, too");
}

# ---- mcp_sse_redis_ssl_*

my $certs = MCPTest::Certificates->new;
my $cert  = $certs->make;
my $ssl   = 'mcp_sse_redis_ssl';
my $tls   = "mcp_sse_redis rediss://127.0.0.1; $keys";
my %tls   = (%tcp, ssl => '100|0|SSLv3|TLSv1|TLSv1.1', ssl_verify => 1);
my $pair  = "${ssl}_certificate $cert->{cert}; "
    . "${ssl}_certificate_key $cert->{key};";

file('cert', 'no certificate');

for my $row (
    [ $tls, %tls ],
    [ 'mcp_sse_redis Rediss://127.0.0.1:1/2;' . $keys, %tls, database => 2,
        name => '127.0.0.1:1', servers => local_server(1) ],
    [ "mcp_sse_redis rediss://127.0.0.1 sentinel=m; $keys", %tls, mode => 1,
        master => 'm', servers => local_server(26379) ],
    [ "mcp_sse_redis rediss://127.0.0.1 cluster; $keys", %tls, mode => 2,
        prefix => '{mcp}:', slot => 14804 ],
    [ "${ssl}_verify off; $tls", %tls, ssl_verify => 0 ],
    [ "${ssl}_verify on; ${ssl}_name redis.test; $tls", %tls,
        ssl_name => 'redis.test' ],
    [ "$tls ${ssl}_trusted_certificate " . $certs->ca . '; ' . $pair, %tls,
        ssl => $tls{ssl} =~ s/0\|0/0|1/r ],
) {
    my ($line, %want) = @$row;

    my ($text, $shown) = shown(http => $line);

    is_deeply($shown->{redis}, \%want, $line)
        or diag($text, explain($shown->{redis}));
    unlike($text, qr/\[/, "$line: no message");
}

for my $line ("${ssl}_verify on;", "${ssl}_verify off;", "${ssl}_name a;",
    "${ssl}_trusted_certificate nofile;", "${ssl}_certificate nofile;",
    "${ssl}_certificate_key nofile;")
{
    for my $redis ('', "mcp_sse_redis redis://127.0.0.1; $keys",
        "mcp_sse_redis unix:/r.s; $keys")
    {
        my ($text) = shown(http => "$line $redis");

        like($text, qr/\[warn\].* "mcp_sse_redis_ssl_\.\.\." is ignored without/,
            "$line $redis warns");
        unlike($text, qr/\[(?:emerg|error|alert)\]/, "$line $redis: no error");
    }
}

# ---- lines of invalid values

my $bad_uri  = 'must not have blanks, control characters or "#"';
my $bad_time = 'it must be a time longer than 0';
my $bad_size = 'it must be a size larger than 0';
my $bad_api  = 'it must have visible ASCII characters without ":"';

for my $row (
    [ 'mcp_sse_call "/a b"', $bad_uri ],
    [ "mcp_sse_call /a\x7f", $bad_uri ],
    [ "mcp_sse_call /a\x1f", $bad_uri ],
    [ 'mcp_sse_user /#', $bad_uri ],
    [ 'mcp_sse_message_uri a', 'it must begin with "/"' ],
    [ 'mcp_sse_call ""', 'it must begin with "/"' ],
    [ 'mcp_sse_keepalive 0', "$bad_time, or \"off\"" ],
    [ 'mcp_sse_keepalive off comment', 'it must be "comment" or "event"' ],
    [ 'mcp_sse_keepalive off event', 'it must be "comment" or "event"' ],
    [ 'mcp_sse_keepalive 1s x', 'invalid parameter "x" in' ],
    [ 'mcp_sse_progress 0', "$bad_time, or \"off\"" ],
    [ 'mcp_sse_stream_after x', "$bad_time, or \"off\"" ],
    [ 'mcp_sse_idle_timeout 0', "$bad_time, or \"off\"" ],
    [ 'mcp_sse_call_timeout 0', "$bad_time in" ],
    [ 'mcp_sse_call_timeout off', "$bad_time in" ],
    [ 'mcp_sse_retry 0', "$bad_time in" ],
    [ 'mcp_sse_auth_recheck 0', "$bad_time in" ],
    [ 'mcp_sse_session_ttl 0', 'it must be a time of at least 1 second' ],
    [ 'mcp_sse_session_ttl 1ms', 'it must be a time of at least 1 second' ],
    [ 'mcp_sse_max_answer 0', $bad_size ],
    [ 'mcp_sse_queue x', $bad_size ],
    [ 'mcp_sse_origin ""', 'it must be "SCHEME://HOST[:PORT]"' ],
    [ 'mcp_sse_origin https://a **', 'it must be "SCHEME://HOST[:PORT]"' ],
    [ 'mcp_sse_server_url tauri://a', 'it must be "http[s]://HOST[:PORT]"' ],
    [ 'mcp_sse_server_url http://a b', 'it must be "http[s]://HOST[:PORT]"' ],
    [ 'mcp_sse_public_url tauri://a', 'it must be http[s]://HOST[:PORT]' ],
    [ 'mcp_sse_public_url http://a/b', 'it must be http[s]://HOST[:PORT]' ],
    [ 'mcp_sse_pass_header ""', 'header "" cannot be passed' ],
    [ 'mcp_sse_pass_header X-A Cookie', 'header "cookie" cannot be passed' ],
    [ 'mcp_sse_local ping none', 'invalid value "none"' ],
    [ 'mcp_sse_local none none', 'invalid value "none"' ],
    [ 'mcp_sse_local ping/', 'invalid value "ping/"' ],
    [ 'mcp_sse_local pin', 'invalid value "pin"' ],
    map({ [ 'mcp_sse_api_secret ' . file("bad$_", 'a' . chr($_) . "b\n"),
        $bad_api ] } 0x1f, 0x20, 0x3a, 0x7f, 0x80, 0xff),
) {
    my ($line, $want) = @$row;

    my ($text, $shown) = shown(location => "$line;", fails => 1);

    like($text, qr/\[emerg\].*\Q$want\E/, "$line: the line");
    is(scalar keys %$shown, 0, "$line is refused");
}

for my $row (
    [ 'mcp_sse_key ' . file('k31', 'k' x 31 . "\n"),
        'is shorter than 32 characters' ],
    [ 'mcp_sse_key ' . file('k31r', 'k' x 31 . "\r\n"),
        'is shorter than 32 characters' ],
    [ 'mcp_sse_key ' . file('second', 'k' x 40 . "\n" . 'k' x 31),
        'is shorter than 32 characters' ],
    [ 'mcp_sse_key ' . file('none', "#\n\r\n\n"), 'no secret in' ],
    [ 'mcp_sse_zone zone=x:0', 'it must be "zone=NAME:SIZE"' ],
    [ 'mcp_sse_zone zone=:9m', 'it must be "zone=NAME:SIZE"' ],
    [ 'mcp_sse_zone zone:x:9m', 'it must be "zone=NAME:SIZE"' ],
    [ 'mcp_sse_max_message 0', $bad_size ],
    map({ [ "$keys mcp_sse_redis $_->[0]", $_->[1] ] }
        [ "redis://127.0.0.1 prefix=p$long", 'the prefix is longer than 128' ],
        [ 'redis://127.0.0.1 timeout=0', 'it must be a time longer than 0' ],
        [ 'redis://127.0.0.1 timeout=1s timeout=1s', 'it is duplicate' ],
        map({ [ "redis://127.0.0.1 $_",
            'it must be "prefix=TEXT", "timeout=TIME"' ] } 'x', 'cluster=',
            'cluster=on', 'clusters', 'sentinel', 'Sentinel=m', 'prefix',
            'sentinel_auth', 'sentinelx=m'),
        map({ [ "redis://127.0.0.1$_", 'invalid parameter "..." in' ] }
            ' redis://u:p@127.0.0.1', ' rediss://:p@127.0.0.1/0'),
        [ 'redis://127.0.0.1 sentinel=', 'the name by which the sentinels' ],
        [ 'redis://127.0.0.1 sentinel=m sentinel=m', 'it is duplicate' ],
        [ 'redis://127.0.0.1 cluster cluster', 'it is duplicate' ],
        [ 'redis://127.0.0.1 cluster sentinel=m', 'has no sentinels' ],
        [ 'redis://127.0.0.1 sentinel=m cluster', 'has no sentinels' ],
        [ 'redis://127.0.0.1 sentinel=m sentinel_auth=',
            'it must be the name of a file' ],
        [ "redis://127.0.0.1 sentinel=m sentinel_auth=$dir/nofile",
            'open() "' ],
        [ "redis://127.0.0.1 sentinel=m sentinel_auth=$auth{''}",
            'no secret in' ],
        [ "redis://127.0.0.1 sentinel=m sentinel_auth=$auth{'u:'}",
            'the file must have one line, "[USER:]PASSWORD"' ],
        [ "redis://127.0.0.1 sentinel=m sentinel_auth=$dir/auth2",
            'the file must have one line, "[USER:]PASSWORD"' ],
        [ "redis://127.0.0.1 sentinel=m sentinel_auth=$auth{p} "
            . "sentinel_auth=$auth{p}", 'it is duplicate' ],
        [ "redis://127.0.0.1 sentinel_auth=$auth{p}",
            '"sentinel_auth=FILE" needs "sentinel=NAME"' ],
        [ "redis://127.0.0.1 cluster sentinel_auth=$auth{p}",
            '"sentinel_auth=FILE" needs "sentinel=NAME"' ],
        [ 'redis://127.0.0.1,127.0.0.2', 'several hosts need' ],
        [ 'redis://127.0.0.1,', 'several hosts need' ],
        map({ ([ "redis://$_ cluster", 'it must have a host' ],
            [ "redis://:p\@$_/0 sentinel=m", 'it must have a host' ]) }
            '127.0.0.1,', ',127.0.0.1', '127.0.0.1,,127.0.0.1', ',',
            '127.0.0.1,:1'),
        map({ [ "redis://$_ cluster", 'invalid host' ] } 'a,b?', 'a,b[',
            'a,b%20', 'a,[::1', 'a,[::1]x', 'a,]'),
        [ 'redis://127.0.0.1,a:0 cluster', 'invalid port' ],
        [ 'redis://127.0.0.1,a:1:2 cluster', 'invalid port' ],
        [ 'redis://127.0.0.1,[1] cluster', 'invalid IPv6 address' ],
        [ 'redis://127.0.0.1,' . 'a' x 256 . ' cluster',
            'a host is longer than 255 bytes' ],
        [ 'redis://127.0.0.1,unix:/a cluster', 'the database must be' ],
        [ 'redis://127.0.0.1,unix:1 cluster', 'a unix socket must be given' ],
        [ 'redis://127.0.0.1/1 cluster', 'only the database 0' ],
        map({ [ "redis://127.0.0.1 cluster \"prefix=$_\"",
            'must have a hash tag in braces' ] } '', 'mcp:', '{}', '{}{mcp}',
            '{mcp', 'mcp}', '}{'),
        [ 'unix:/r.s sentinel=m', 'sentinels and clusters have no unix' ],
        [ 'unix:/r.s cluster', 'sentinels and clusters have no unix' ],
        [ 'unix:/' . 'r' x 107, 'the path of a unix socket is too long' ],
        [ 'unix:/r.s?db', 'only "?db=NUMBER" may follow the path' ],
        [ 'unix:/r.s?db=', 'the database must be a number' ],
        [ 'unix:/r.s?dc=1', 'only "?db=NUMBER" may follow the path' ],
        [ 'unix:?db=1', 'the path of a unix socket must begin with "/"' ],
        [ 'unix:r', 'the path of a unix socket must begin with "/"' ],
        [ 'unix:u:p@r', 'the path of a unix socket must begin with "/"' ],
        [ 'redis://unix:', 'no path in the unix domain socket' ],
        [ 'redis://u@127.0.0.1', 'a user must have a password' ],
        [ 'redis://u:@127.0.0.1', 'a user must have a password' ],
        [ 'redis://127.0.0.1/x', 'the database must be a number' ],
        [ 'redis:///1', 'it must have a host' ],
        [ 'rediss://', 'it must have a host' ],
        [ 'redi://127.0.0.1', 'it must begin with "redis://", "rediss://" or' ],
        [ 'redis://r.invalid', 'a "resolver" at the http level would' ]),
    map({ [ "$tls ${ssl}_$_->[0]", $_->[1] ] }
        [ 'verify x', 'invalid value "x" in "mcp_sse_redis_ssl_verify"' ],
        [ 'verify on; mcp_sse_redis_ssl_verify on', 'is duplicate' ],
        [ 'name ' . 'a' x 256, '"mcp_sse_redis_ssl_name" is longer than 255' ],
        [ "trusted_certificate $dir/nofile", "$dir/nofile" ],
        [ "trusted_certificate $dir/cert", "$dir/cert" ],
        [ "certificate $cert->{cert}", 'no "mcp_sse_redis_ssl_certificate_key" '
            . 'is defined for certificate' ],
        [ "certificate_key $cert->{key}", 'no "mcp_sse_redis_ssl_certificate" '
            . 'is defined for key' ],
        [ "certificate $dir/nofile; ${ssl}_certificate_key $cert->{key}",
            "cannot load certificate \"$dir/nofile\"" ],
        [ "certificate $cert->{cert}; ${ssl}_certificate_key $dir/cert",
            "cannot load certificate key \"$dir/cert\"" ],
        [ "certificate $cert->{cert}; ${ssl}_certificate_key "
            . $certs->make->{key}, 'key values mismatch' ]),
) {
    my ($line, $want) = @$row;

    my ($text) = shown(http => "$line;", fails => 1);

    like($text, qr/\[emerg\].*\Q$want\E/, "$line: the line");
    unlike($text, qr/successful/, "$line is refused");
}

finish();
