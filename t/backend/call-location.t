# What nginx's own directives and variables find in the location of a call and
# of a look-up, which have no client connection.  docs/PROTOCOL.md 6.2, 13.8.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my %variables = (
    remote_addr     => '127.0.0.1',
    server_addr     => '127.0.0.1',
    server_name     => 'erp.example.com',
    host            => 'erp.example.com',
    http_host       => 'erp.example.com',
    scheme          => 'http',
    server_protocol => 'HTTP/1.1',
    pipe            => '.',
    args            => '',
    is_args         => '',
    remote_user     => '',
);

my %call = (%variables, request_method => 'POST', uri => '/_mcp/call',
    request_uri => '/_mcp/call', content_type => 'application/json');
my %user = (%variables, request_method => 'GET', uri => '/_mcp/user',
    request_uri => '/_mcp/user', content_type => '', content_length => '');


sub facts {
    my (%of) = @_;

    return 'proxy_set_header X-Facts "'
        . join('|', map { "$_=\$$_" } sort keys %of) . '";';
}


my %seen;

my $backend = start_backend(sub {
    my ($request) = @_;

    $seen{ $request->{path} =~ /get_logged_user/ ? 'user' : 'call' } = $request;

    return;
});

my $nginx = start_http(backend => $backend->port,
    call => facts(%call) . 'proxy_set_header X-Length $content_length;'
        . 'proxy_set_header X-Connection $connection;',
    user => facts(%user) . 'proxy_set_header X-Connection $connection;');

my $message = tool(1, 'echo', { text => 'x' x 300 });

is(http_post($nginx, $message)->status, 200, 'a call is answered');

for my $case ([ call => \%call ], [ user => \%user ]) {
    my ($name, $want) = @$case;

    my %got = map { /\A(\w+)=(.*)\z/s ? ($1 => $2) : () }
        split /\|/, $seen{$name}{headers}{'x-facts'} || '';

    is_deeply(\%got, $want, "$name: variables of nginx")
        or diag(explain(\%got));
    is($seen{$name}{method}, $want->{request_method}, "$name: the method");
    like($seen{$name}{headers}{'x-connection'}, qr/\A[1-9]\d*\z/,
        "$name: it has a number of a connection");
}

is($seen{call}{headers}{'x-length'}, length $seen{call}{body},
    '$content_length is that of the body');
isnt($seen{call}{headers}{'x-connection'}, $seen{user}{headers}{'x-connection'},
    'each has its own number');

# a client of another address, over IPv4 and IPv6

for my $address ('192.0.2.77', '2001:db8::77') {
    my $own = start_http(backend => $backend->port, server =>
        'set_real_ip_from 127.0.0.1; real_ip_header X-Real-IP;',
        call => 'proxy_set_header X-Address $remote_addr; '
            . 'proxy_set_header X-Binary $binary_remote_addr;');

    is(http_post($own, $message, headers => [ 'X-Real-IP' => $address ])
        ->status, 200, "a client of $address is served");

    my $headers = $seen{call}{headers};

    is($headers->{'x-address'}, $address, '$remote_addr is its address');
    is($headers->{'x-forwarded-for'}, $address,
        'and so is X-Forwarded-For');
}

# a client that names no host

http_post($nginx, $message, version => '1.0', headers => [ Host => undef ]);
is($seen{call}{headers}{'x-forwarded-host'}, undef,
    'without Host there is no X-Forwarded-Host');
is($seen{call}{headers}{'x-forwarded-proto'}, 'http',
    'but X-Forwarded-Proto');
is($seen{call}{headers}{host}, 'erp.example.com', 'and Host is the site');

# limit_req with a delay, limit_conn, a body limit

{
    my $own = start_http(backend => $backend->port,
        http => 'limit_req_zone $mcp_sse_user zone=calls:1m rate=5r/s; '
            . 'limit_conn_zone $mcp_sse_user zone=each:1m;',
        call => 'limit_req zone=calls burst=5; limit_conn each 10; '
            . 'client_max_body_size 1;');
    my $stream = open_stream($own);

    post($own, $stream, tool($_, 'echo', {})) for 1 .. 4;
    ok($stream->wait_answer($_), "call $_ is answered after its delay")
        for 1 .. 4;

    my $delayed = () = $own->error_log =~ /delaying request/g;

    cmp_ok($delayed, '>=', 1, 'limit_req delays calls');
    unlike(join('', map { $stream->answers($_) } 1 .. 4), qr/"error"/,
        'no delayed call fails');

    # calls that are cancelled in their delay, whose timers must not be left

    post($own, $stream, '[' . join(',', map { tool($_, 'echo', {}) } 5 .. 8)
        . ']');
    run_until(sub { @{[ $own->error_log =~ /delaying request/g ]}
        > $delayed + 1 });
    post($own, $stream, notification('notifications/cancelled',
        { requestId => $_ })) for 5 .. 8;

    sleep_for(1);
    post($own, $stream, tool(9, 'echo', {}));
    ok($stream->wait_answer(9), 'a call after cancelled ones is answered');
    is(scalar $own->wait_workers, 1, 'no worker dies');
    unlike($own->error_log, qr/exited on signal/, 'nor has one died');

    $stream->close;
}

# more headers than fit into the first part of nginx's list

{
    my $own = start_http(backend => $backend->port, http =>
        'mcp_sse_pass_header ' . join(' ', map { "X-P$_" } 1 .. 40) . ';');

    http_post($own, $message, headers => [ map { ("X-P$_", "v$_") } 1 .. 40 ]);
    is(join(' ', map { $seen{call}{headers}{"x-p$_"} || '-' } 1 .. 40),
        join(' ', map { "v$_" } 1 .. 40), 'a call has 40 headers of the client');
    is($seen{call}{headers}{accept}, 'application/json', 'and its own ones');
    is($seen{call}{headers}{host}, 'erp.example.com', 'and Host once');
}

finish();
