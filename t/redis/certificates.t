# Redis over TLS and its certificates: which servers and clients are accepted,
# what the log says of others, and that a server with a wrong certificate hears
# not one byte.  docs/PROTOCOL.md 11.30, 11.31.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Certificates;
use MCPTest::FakeRedis;
use MCPTest::Names;
use MCPTest::TLS;
use Test::More;

MCPTest::Redis::need();
MCPTest::TLS::need();

my $frappe = start_frappe();
my $names  = MCPTest::Names->new('redis.test' => '127.0.0.1',
    'a.redis.test' => '127.0.0.1', 'other.test' => '127.0.0.1');

my $certs   = MCPTest::Certificates->shared;
my $foreign = MCPTest::Certificates->new(name => 'another CA');
my $trust   = 'mcp_sse_redis_ssl_trusted_certificate ' . $certs->ca . ';';
my $resolve = 'resolver 127.0.0.1:' . $names->port . ' ipv6=off;';

my $lost = MCPTest::Redis::pattern('lost');


sub fake {
    my ($cert, %opt) = @_;

    return MCPTest::FakeRedis->new(tls => { %{ $certs->make(%{$cert}) },
        %opt });
}


# An nginx with this Redis and these lines, beside the CA.

sub nginx {
    my ($redis, $host, $lines) = @_;

    return start_nginx(
        redis => $redis->url(host => $host, pass => 'a-long-password'),
        http  => join "\n", $host eq 'localhost' ? '' : $resolve,
            defined $lines ? $lines : $trust);
}


# The reason in the last line of the log that says that Redis is lost.

sub reason {
    my ($nginx) = @_;

    my @reasons = $nginx->error_log
        =~ /redis "[^"]*" is lost: (.*?); sessions of this instance go on/g;

    return $reasons[-1];
}


# certificates that are right, and the name that the client asks for

for my $case (
    [ 'an address', '127.0.0.1', { ip => [ '127.0.0.1' ] } ],
    [ 'a name', 'redis.test', { dns => [ 'redis.test' ] } ],
    [ 'a name of several', 'redis.test',
        { dns => [ 'other.test', 'redis.test' ], ip => [ '10.0.0.1' ] } ],
    [ 'a pattern of names', 'a.redis.test', { dns => [ '*.redis.test' ] } ],
    [ 'localhost', 'localhost', { dns => [ 'localhost' ] } ],
    [ 'mcp_sse_redis_ssl_name', '127.0.0.1', { dns => [ 'other.test' ] },
        "$trust mcp_sse_redis_ssl_name other.test;", 'other.test' ],
    [ 'a wrong one, mcp_sse_redis_ssl_verify off', 'redis.test',
        { dns => [ 'other.test' ], expired => 1 },
        'mcp_sse_redis_ssl_verify off;' ],
) {
    my ($name, $host, $cert, $lines, $asked) = @{$case};

    $asked = $host if !defined $asked && $host ne '127.0.0.1';

    for my $version ('1.2', '1.3') {
        my $redis = fake($cert, version => $version);
        my $nginx = nginx($redis, $host, $lines);

        ok(wait_ready($nginx), "$name: Redis is used, TLS $version");
        is_deeply([ map { $_->name } $redis->sessions ],
            [ ($asked) x $redis->sessions ],
            "$name: the server name asked for is "
            . (defined $asked ? $asked : 'none') . ", TLS $version");
        like(($redis->said(qr/AUTH/))[0] || '', qr/\AAUTH a-long-password\z/,
            "$name: AUTH is sent, TLS $version");
        $nginx->stop;
    }
}

# certificates that are wrong: the server hears nothing, the log has the reason

my $unknown = qr/certificate is not valid: unable to (?:get|verify)/;
my $name    = qr/its certificate is for another name than "/;

for my $case (
    [ 'another address', '127.0.0.1', { ip => [ '127.0.0.2' ] }, $name ],
    [ 'an address as a name', '127.0.0.1',
        { name => '127.0.0.1', dns => [ '127.0.0.1' ] }, $name ],
    [ 'a name for an address', '127.0.0.1', { dns => [ 'localhost' ] }, $name ],
    [ 'another name', 'redis.test', { dns => [ 'other.test' ] }, $name ],
    [ 'the address of a name', 'redis.test', { ip => [ '127.0.0.1' ] }, $name ],
    [ 'a pattern that does not match', 'redis.test',
        { dns => [ '*.redis.test' ] }, $name ],
    [ 'another name than mcp_sse_redis_ssl_name', 'redis.test',
        { dns => [ 'redis.test' ], ip => [ '127.0.0.1' ] }, $name,
        "$trust mcp_sse_redis_ssl_name other.test;" ],
    [ 'an expired one', '127.0.0.1', { ip => [ '127.0.0.1' ], expired => 1 },
        qr/certificate is not valid: certificate has expired/ ],
    [ 'one of a client', '127.0.0.1',
        { ip => [ '127.0.0.1' ], usage => 'clientAuth' },
        qr/certificate is not valid: unsuitable certificate purpose/ ],
    [ 'one of a CA that is not trusted', '127.0.0.1',
        { ip => [ '127.0.0.1' ] }, $unknown,
        'mcp_sse_redis_ssl_trusted_certificate ' . $foreign->ca . ';' ],
    [ 'one of a CA that the system does not have', '127.0.0.1',
        { ip => [ '127.0.0.1' ] }, $unknown, '' ],
) {
    my ($what, $host, $cert, $reason, $lines) = @{$case};

    for my $version ('1.2', '1.3') {
        my $redis = fake($cert, version => $version);
        my $nginx = nginx($redis, $host, $lines);

        ok($nginx->wait_log($lost), "$what: Redis is lost, TLS $version");
        like(reason($nginx), $reason, "$what: the log says why, TLS $version");
        ok(run_until(sub { $redis->accepted > 4 }),
            "$what: it is tried again, TLS $version");
        is($redis->heard, '', "$what: the server hears nothing, TLS $version");
        ok(!ready($nginx), "$what: the instance is not ready, TLS $version");
        $nginx->stop;
    }
}

# certificates of clients

{
    my $redis = start_redis(tls => 1, clients => 1,
        requirepass => 'a-long-password');
    my $nginx = start_nginx(redis => $redis);

    ok(wait_ready($nginx), 'a client with a certificate is accepted');
    $nginx->stop;

    my $others = $foreign->make(name => 'mcp');
    my $mine   = $certs->make(name => 'mcp');

    my %lines = (
        'without a certificate' => '',
        'with a certificate of another CA' =>
            "mcp_sse_redis_ssl_certificate $others->{cert};"
            . "mcp_sse_redis_ssl_certificate_key $others->{key};",
    );

    for my $case (sort keys %lines) {
        $nginx = start_nginx(redis => $redis->url,
            http => "$trust $lines{$case}");

        ok($nginx->wait_log($lost), "a client $case: Redis is lost");
        like(reason($nginx), qr/alert .*(?:certificate|unknown ca)/,
            "a client $case: the log has the reason of the server");
        ok(!ready($nginx), "a client $case: the instance is not ready");

        # it gets one

        $nginx->configure(http => "$trust mcp_sse_redis_ssl_certificate "
            . "$mine->{cert}; mcp_sse_redis_ssl_certificate_key $mine->{key};");
        $nginx->reload;
        ok(wait_ready($nginx), "a client $case is given one by a reload");
        $nginx->stop;
    }
}

# the certificate of a Redis is replaced while it is used

{
    my $redis = start_redis(tls => 1, requirepass => 'a-long-password');
    my $nginx = start_nginx(redis => $redis);

    wait_ready($nginx);
    $redis->use_certificate($certs->make(ip => [ '127.0.0.1' ],
        expired => 1));
    ok(ready($nginx), 'open connections stay');
    $redis->kill_clients(name => 'mcp-sse-cmd');
    ok(run_until(sub { (reason($nginx) || '') =~ /has expired/ }),
        'a new certificate that is wrong is refused, and the log says why');
    is(health($nginx)->{status}, 'degraded', '/health is degraded');
    like(health($nginx)->{reason}, MCPTest::Redis::pattern('reason'),
        '/health says that it is Redis');
    ok(!ready($nginx), 'ready=strict is 503');
    ok(ready($nginx, 1), 'ready=1 is 200');

    # the only connection is that of the test, by the Unix socket

    is(scalar(grep { ($_->{name} || '') =~ /mcp/ } $redis->clients), 0,
        'the server knows no client of that instance');

    my $ready = () = $nginx->error_log =~ /is ready/g;

    $redis->use_certificate($certs->make(ip => [ '127.0.0.1' ]));
    ok(wait_ready($nginx), 'with a good one it is used again');
    ok(run_until(sub {
        return $ready < (() = $nginx->error_log =~ /is ready/g);
    }), '... and the log says so');
    $nginx->stop;
}

# what only nginx -t says

{
    my $redis = fake({ ip => [ '127.0.0.1' ] });
    my $key   = $foreign->make->{key};
    my $cert  = $certs->make->{cert};

    my %text = (
        'no such CA' => [ 'mcp_sse_redis_ssl_trusted_certificate /no/such;',
            qr{/no/such} ],
        'a certificate without a key' => [
            "$trust mcp_sse_redis_ssl_certificate $cert;",
            qr/certificate_key/ ],
        'a key of another certificate' => [ "$trust "
            . "mcp_sse_redis_ssl_certificate $cert;"
            . "mcp_sse_redis_ssl_certificate_key $key;", qr/key/ ],
    );

    for my $case (sort keys %text) {
        my ($lines, $pattern) = @{ $text{$case} };

        my $nginx = start_nginx(redis => $redis->url, http => $lines,
            fails => 1, allow => [ qr/\[emerg\]/ ]);

        ok(!$nginx->alive, "$case: nginx does not start");
        like($nginx->stderr . $nginx->error_log, qr/\[emerg\].*$pattern/,
            "$case: nginx says why");
    }

    is($redis->accepted, 0, 'no connection was tried');
}

finish();
