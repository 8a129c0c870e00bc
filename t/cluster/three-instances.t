# Three instances behind a load balancer without stickiness, started and
# configured as in the guide of the bridge before this module: the official
# client notices nothing.  docs/PROTOCOL.md 11.1, 11.2.

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


# Runs "PORT=$port frappe-sse-bridge &" and waits until the instance is ready.

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

# the block of the guide, byte for byte except for its ports

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

# the balancer uses the three instances in turn

{
    my $stream = open_stream($balancer);

    ok($stream->session, 'a stream opens through the balancer');

    my @answers = map { call($balancer, $stream, request($_, 'ping')) }
        1 .. 12;

    is(scalar(grep { defined } @answers), 12,
        'each of 12 messages through the balancer is answered');

    my @counts = map { health($_)->{active_connections} } @ports;

    is_deeply([ sort @counts ], [ 0, 0, 1 ],
        'one of three instances counts the stream');
    $stream->close;
    run_until(sub { !grep { health($_)->{active_connections} } @ports });
}

client('20 clients through the balancer', $balancer, 'many', on => {
    reload  => sub { kill HUP => $pids{ $ports[0] } },
    restart => sub {
        ok(stop($ports[1]), 'an instance stops while clients work');
        sleep_for(1);
        ok(launch($ports[1]), 'the stopped instance starts again');
    },
});

ok(run_until(sub { !grep { health($_)->{active_connections} } @ports }),
    'no stream is left at the end');
ok(stop($_, 'QUIT'), 'an instance ends at SIGQUIT') for @ports;

for my $port (@ports) {
    my $log = logged($port);

    unlike(MCPTest::Nginx::log_text($log), qr/\[(?:alert|crit|emerg)\]/,
        'the log of an instance has no alert, crit or emerg');
    is(scalar(grep { index($log, $_) >= 0 } MCPTest::secrets()), 0,
        'the log of an instance has no secret');
}

finish();
