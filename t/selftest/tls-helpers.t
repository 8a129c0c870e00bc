# MCPTest::Certificates, MCPTest::TLS, and Redis of the tests over TLS, without
# nginx: what an openssl client accepts and refuses, and what servers hear.

use strict;
use warnings;

use File::Temp ();
use POSIX ();

use lib 't/lib';
use MCPTest;
use MCPTest::Certificates;
use MCPTest::FakeRedis;
use MCPTest::TLS;
use Test::More;

MCPTest::Redis::need();
MCPTest::TLS::need();

my $certs = MCPTest::Certificates->shared;
my $other = MCPTest::Certificates->new(name => 'another CA');
my $temp  = File::Temp->newdir;
my $ping  = "*1\r\n\$4\r\nPING\r\n";


# Lets an openssl client send a PING; returns what it prints until the answer
# has come or it ends.

sub client {
    my ($port, @words) = @_;

    unlink "$temp/out";

    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '-|', 'printf', '%s', $ping or POSIX::_exit(1);
        open STDOUT, '>', "$temp/out";
        open STDERR, '>&', \*STDOUT;
        exec qw(openssl s_client -quiet -verify_return_error -CAfile),
            $certs->ca, '-connect', "127.0.0.1:$port", @words
            or POSIX::_exit(127);
    }

    my ($text, $gone) = ('');

    run_until(sub {
        $gone ||= waitpid($pid, POSIX::WNOHANG()) == $pid;

        open my $file, '<', "$temp/out" or return $gone;
        $text = do { local $/; <$file> };
        $text = '' unless defined $text;

        return $gone || $text =~ /^[+-].*\r\n/m;
    });

    if (!$gone) {
        kill TERM => $pid;
        waitpid $pid, 0;
    }

    return $text;
}


my @ip    = (-verify_ip => '127.0.0.1', '-noservername');
my @name  = (-verify_hostname => 'redis.test', -servername => 'redis.test');
my $fresh = $certs->make(ip => [ '127.0.0.1' ], dns => [ 'redis.test' ]);

my %bad = (
    'with another name' => [ $certs->make(dns => [ 'other.test' ]),
        qr/hostname mismatch/i, \@name ],
    'with another address' => [ $certs->make(ip => [ '127.0.0.2' ]),
        qr/IP address mismatch/i, \@ip ],
    'that has expired' => [ $certs->make(ip => [ '127.0.0.1' ], expired => 1),
        qr/certificate has expired/, \@ip ],
    'of another CA' => [ $other->make(ip => [ '127.0.0.1' ]),
        qr/unable to get local issuer certificate/, \@ip ],
);

# a server of the test

{
    my $redis = MCPTest::FakeRedis->new(tls => $fresh);

    is($redis->url(pass => 'x'), 'rediss://:x@127.0.0.1:' . $redis->port,
        'url() of a fake Redis with TLS is rediss://');

    for (\@ip, \@name) {
        like(client($redis->port, @{$_}), qr/\+OK\r\n/,
            "a client accepts its certificate: @{$_}");
    }

    is($redis->heard, $ping x 2, 'heard() has what clients have said');
    is_deeply([ map { $_->name } $redis->sessions ], [ undef, 'redis.test' ],
        'name() is the name that a client has asked for');
    is(scalar $redis->said, 2, 'it knows the commands');

    for my $case (sort keys %bad) {
        my ($cert, $pattern, $words) = @{ $bad{$case} };

        for my $version ('1.2', '1.3') {
            my $bad = MCPTest::FakeRedis->new(tls => { %{$cert},
                version => $version });

            like(client($bad->port, @{$words}), $pattern,
                "a client refuses a certificate $case, $version");
            is($bad->heard, '', "... and says nothing, $version");
        }
    }

    $redis->use_certificate(%{ $certs->make(dns => [ 'new.test' ]) });
    like(client($redis->port, @ip), qr/mismatch/,
        'use_certificate() replaces the certificate');
}

# a fake Redis that wants certificates of clients

{
    my $mine   = $certs->make(name => 'mcp', usage => 'clientAuth');
    my $others = $other->make(name => 'mcp', usage => 'clientAuth');
    my $redis  = MCPTest::FakeRedis->new(tls => { %{$fresh},
        ca => $certs->ca });

    like(client($redis->port, @ip, -cert => $mine->{cert},
        -key => $mine->{key}), qr/\+OK\r\n/,
        'a client with a certificate is accepted');
    unlike(client($redis->port, @ip), qr/\+OK/,
        'a client without a certificate is refused');
    unlike(client($redis->port, @ip, -cert => $others->{cert},
        -key => $others->{key}), qr/\+OK/,
        'a client with a certificate of another CA is refused');
    is($redis->heard, $ping, 'nothing of what they say is heard');
    is_deeply([ map { $_->error ? 1 : 0 } $redis->sessions ], [ 0, 1, 1 ],
        'error() says that a connection has failed');
}

# a redis-server

{
    my $redis = start_redis(tls => 1, requirepass => 'a-long-password');

    like($redis->url, qr{\Arediss://:a-long-password\@127\.0\.0\.1:\d+\z},
        'url() of a redis-server with TLS is rediss://');
    like($redis->url(host => 'redis.test'), qr/\@redis\.test:\d+\z/,
        'url() takes a host');
    like($redis->directives,
        qr/\Amcp_sse_redis_ssl_trusted_certificate \S+\/ca\.pem;\z/,
        'directives() has the CA');
    is($redis->cmd('SET', 'x', 1), 'OK', 'cmd() works');
    like(client($redis->port, @ip), qr/NOAUTH/, 'it speaks TLS');
    like(client($redis->port, @name), qr/NOAUTH/, 'its certificate has a name');

    my $replica = start_redis(tls => 1, replicaof => $redis);

    ok($replica->wait_replica, 'a replica over TLS follows its master');
    ok($redis->restart, 'it starts again');

    for my $case (sort keys %bad) {
        my ($cert, $pattern, $words) = @{ $bad{$case} };
        $redis->use_certificate($cert);
        like(client($redis->port, @{$words}), $pattern,
            "use_certificate() takes one $case");
    }
}

{
    my $redis = start_redis(tls => 1, clients => 1);

    my ($cert, $key) = $redis->directives
        =~ /ssl_certificate (\S+);.*_key (\S+);\z/;

    like(client($redis->port, @ip, -cert => $cert, -key => $key),
        qr/\+PONG\r\n/, 'directives() has a certificate of the client');
    unlike(client($redis->port, @ip), qr/\+PONG/,
        'a client without a certificate is refused by redis-server');
}

finish();
