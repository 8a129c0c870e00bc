# compose.tls.yaml: the commands that it names make a certificate that verifies
# for the name of Redis, Redis runs with it, and its health check succeeds.
# docs/PROTOCOL.md 10.16.  The containers are not run, see util/image-test.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use MCPTest;
use POSIX qw(_exit);
use Test::More;

MCPTest::Redis::need();

my $dir = File::Temp->newdir;
my $text = do {
    local $/;
    open my $file, '<', MCPTest::root() . '/compose.tls.yaml' or die;
    <$file>;
};


# Runs a command in the directory; returns its status and output.

sub run {
    my (@command) = @_;

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        chdir $dir;
        exec @command or _exit(127);
    }

    my $said = do { local $/; <$out> };
    close $out;

    return ($? >> 8, defined $said ? $said : '');
}


# A list of words in one line of the file, with files and port of the test.

my $port = MCPTest::Nginx::free_port();

sub words {
    my ($name) = @_;

    my ($list) = $text =~ /^ +$name: \[(.*)\]$/m or return;

    return map { s{\A/run/secrets/redis_(crt|key)\z}{$dir/redis.$1}r
            =~ s/\A6379\z/$port/r } map { s/\A"(.*)"\z/$1/r }
        split /, /, $list;
}


my ($openssl) = $text =~ /^#   (openssl .*)$/m;
my ($url) = $text =~ /^ +REDIS_URL: (\S+)$/m;
my ($host) = $url =~ m{^rediss://(\w+):6379$};

is($host, 'redis', 'REDIS_URL names the service of Redis, with TLS');

{
    my ($status, $said) = run('sh', '-c', $openssl);

    is($status, 0, 'the command makes a certificate') or diag($said);

    ($status, $said) = run(qw(openssl verify -CAfile redis.crt -purpose
        sslserver -verify_hostname), $host, 'redis.crt');

    is($status, 0, 'it verifies for the name of the service') or diag($said);
}

# Redis listens on the addresses of the container, here on one

my @server = (words('command'), '--bind', '127.0.0.1', '--dir', "$dir");
my $pid = fork;

if (!$pid) {
    open STDOUT, '>', "$dir/log";
    open STDERR, '>&', \*STDOUT;
    exec @server or _exit(127);
}

my @check = words('test');

is(shift @check, 'CMD', 'the health check is a command');
splice @check, 1, 0, '-p', $port;

ok(run_until(sub { (run(@check))[1] eq "PONG\n" }),
    'Redis is healthy, over TLS') or diag((run(@check))[1]);
is((run(grep { $_ ne '--tls' } @check))[1] =~ /PONG/ ? 1 : 0, 0,
    'it does not speak without TLS');

# an instance, whose Redis has another address than in the container

{
    my $nginx = start_nginx(redis => "rediss://127.0.0.1:$port",
        http => "mcp_sse_redis_ssl_trusted_certificate $dir/redis.crt; "
        . "mcp_sse_redis_ssl_name $host;");

    ok($nginx->wait_log(MCPTest::Redis::pattern('ready')),
        'an instance with this certificate as its CA is connected');
    $nginx->quit;
}

kill 'TERM', $pid;
waitpid $pid, 0;

# each file that a container has is a secret of the file

my %used = map { $_ => 1 } $text =~ m{/run/secrets/(\w+)}g;

is_deeply([ sort keys %used ], [ $text =~ /^  (\w+):\n    file: /mg ],
    'each secret has a file');

finish();
