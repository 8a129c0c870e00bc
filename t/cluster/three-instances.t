# Three instances, as the guide of the bridge before this one starts them, and
# its load balancer in front, with nothing that makes sessions stick: the
# official client does not notice.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use MCPTest;
use MCPTest::Client qw(client);
use POSIX qw(WNOHANG _exit);
use Test::More;

MCPTest::Redis::need();
MCPTest::Client::need();

my $root   = MCPTest::root();
my $bridge = $ENV{MCP_SSE_BRIDGE} || "$root/util/mcp-sse-bridge";
my ($module) = MCPTest::Nginx::modules();

plan skip_all => 'the launcher loads the module, and this nginx has it'
    unless $module;

my $dir    = File::Temp->newdir;
my $frappe = start_frappe();
my $redis  = start_redis(requirepass => 'a-long-password');
my $key    = MCPTest::Nginx::random_key();
my @ports  = map { MCPTest::Nginx::free_port() } 1 .. 3;
my %pids;

MCPTest::secret($key);

my %env = (
    PATH           => $ENV{PATH},
    HOME           => "$dir",
    MCP_SSE_MODULE => $module,
    MCP_SSE_NGINX  => MCPTest::Nginx::binary(),
    MCP_SSE_RUN_DIR => "$dir/run",
    FRAPPE_URL     => 'http://127.0.0.1:' . $frappe->port,
    FRAPPE_SITE    => 'erp.example.com',
    WORKERS        => 2,
    REDIS_URL      => $redis->url,
    MCP_SSE_KEY    => $key,
    MCPTest::Nginx::sanitizers(),
);

mkdir "$dir/$_" for qw(run cwd);


# PORT=8080 frappe-sse-bridge &

sub launch {
    my ($port) = @_;

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$dir/log.$port";
        open STDERR, '>&', \*STDOUT;
        MCPTest::Nginx::_end_with_parent();
        chdir "$dir/cwd";
        %ENV = (%env, PORT => $port);
        exec $bridge or _exit(127);
    }

    $pids{$port} = $pid;

    my $ready;

    run_until(sub {
        return delete $pids{$port} if waitpid($pid, WNOHANG) == $pid;

        my $response = eval { get($port, '/health?ready=strict') };

        $ready = $response && ($response->status || 0) == 200;
        return $ready;
    });

    return $ready;
}


sub stop {
    my ($port, $signal) = @_;

    my $pid = $pids{$port} or return 1;

    kill $signal || 'TERM', $pid;

    my $gone = run_until(sub { waitpid($pid, WNOHANG) != 0 });

    if (!$gone) {
        kill KILL => $pid;
        waitpid $pid, 0;
    }

    delete $pids{$port};

    return $gone;
}


END {
    my $status = $?;

    stop($_) for keys %pids;

    $? = $status;
}


sub logged {
    my ($port) = @_;

    open my $file, '<', "$dir/log.$port" or return '';
    local $/;

    my $text = <$file>;

    return defined $text ? $text : '';
}


if (grep { !launch($_) } @ports) {
    fail('three instances start');
    diag(substr logged($_), -500) for @ports;
    finish();
    exit;
}

pass('three instances start');

# the guide's block, byte for byte but its ports

my $guide = <<'EOT';
upstream sse_bridge {
    server localhost:8080;
    server localhost:8081;
    server localhost:8082;
}

server {
    listen 80;
    location / {
        proxy_pass http://sse_bridge;
        proxy_set_header Host $host;
        proxy_set_header X-Real-IP $remote_addr;
        proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;
        
        # SSE specific headers
        proxy_set_header Connection '';
        proxy_http_version 1.1;
        chunked_transfer_encoding off;
        proxy_buffering off;
        proxy_cache off;
    }
}
EOT

$guide =~ s/localhost:808$_;/localhost:$ports[$_];/ for 0 .. 2;

my $balancer = start_nginx(plain => 1, config => sub {
    my ($self) = @_;

    my $home  = $self->dir;
    my $block = $guide =~ s/listen 80;/listen $self->{port};/r;
    my $temp  = join '', map { "${_}_temp_path $home/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);

    return <<"EOT";
worker_processes 1;
daemon off;
pid $home/nginx.pid;
error_log $home/logs/error.log info;
events { worker_connections 2048; }
http {
access_log off;
$temp
$block
}
EOT
});

# the three are used in turn

{
    my $stream = open_stream($balancer);

    ok($stream->session, 'a stream through the balancer');

    my @answers = map { call($balancer, $stream, request($_, 'ping')) }
        1 .. 12;

    is(scalar(grep { defined } @answers), 12,
        '12 messages, by whichever instance, are answered');

    my @counts = map { health($_)->{active_connections} } @ports;

    is_deeply([ sort @counts ], [ 0, 0, 1 ], 'the stream is at one of them');
    $stream->close;
    run_until(sub { !grep { health($_)->{active_connections} } @ports });
}

client('20 clients', $balancer, 'many', on => {
    reload  => sub { kill HUP => $pids{ $ports[0] } },
    restart => sub {
        ok(stop($ports[1]), 'an instance is stopped');
        sleep_for(1);
        ok(launch($ports[1]), 'and started');
    },
});

ok(run_until(sub { !grep { health($_)->{active_connections} } @ports }),
    'no streams are left');
ok(stop($_, 'QUIT'), 'an instance ends when told') for @ports;

for my $port (@ports) {
    my $log = logged($port);

    unlike($log, qr/\[(?:alert|crit|emerg)\]/, 'nothing bad in its log');
    is(scalar(grep { index($log, $_) >= 0 } MCPTest::secrets()), 0,
        'no secret in its log');
}

finish();
