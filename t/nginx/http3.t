# The endpoints over HTTP/3, with curl as the client.  Skipped where nginx or
# curl does not have it: Debian 13's have, Debian 12's have not.
# docs/PROTOCOL.md 1.15, 13.5.

use strict;
use warnings;

use File::Temp ();
use POSIX qw(WNOHANG _exit);

use lib 't/lib';
use MCPTest;
use Test::More;

my $binary = MCPTest::Nginx::binary();

plan skip_all => 'nginx has no HTTP/3 (--with-http_v3_module)'
    unless `'$binary' -V 2>&1` =~ /--with-http_v3_module/;
plan skip_all => 'curl, the client of this test, has no HTTP/3'
    unless `curl --version 2>/dev/null` =~ /HTTP3/;

my $dir  = File::Temp->newdir;
my $port = MCPTest::Nginx::free_port();
my $n    = 0;

system('openssl req -x509 -newkey rsa:2048 -nodes -days 2 '
    . "-subj /CN=erp.example.com -keyout '$dir/key' -out '$dir/cert' "
    . '2>/dev/null') == 0 or BAIL_OUT('openssl makes no certificate');

# after a reload the end of a connection may come to a new worker; the old one
# waits for the idle time of QUIC, which is keepalive_timeout

my $nginx = start_nginx(
    stream => 'mcp_sse_keepalive 1s;',
    http   => 'mcp_sse_drain 1s;',
    server => "listen 127.0.0.1:$port quic reuseport; keepalive_timeout 15s;"
        . " ssl_certificate $dir/cert; ssl_certificate_key $dir/key;",
    locations => 'location = /mcp { mcp_sse_http; }',
);


# Starts curl; returns an object for slurp() and ended().  A file handle before
# the path is where it writes to.

sub curl {
    my $out  = ref $_[0] ? shift : undef;
    my ($path, @arg) = @_;

    my $name = "$dir/" . ++$n;
    my $pid  = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        if ($out) {
            open STDOUT, '>&', $out;

        } else {
            open STDOUT, '>', "$name.out";
        }

        open STDERR, '>', "$name.err";
        exec 'curl', '-sSNk', '--http3-only', '--noproxy', '*',
            '-D', "$name.head", '-H', 'Host: erp.example.com', @arg,
            "https://127.0.0.1:$port$path" or _exit(127);
    }

    return { pid => $pid, name => $name };
}


sub slurp {
    my ($curl, $what) = @_;

    open my $file, '<', "$curl->{name}.$what" or return '';
    local $/;
    my $text = <$file>;

    return defined $text ? $text : '';
}


sub ended {
    my ($curl) = @_;

    run_until(sub {
        return 1 if defined $curl->{status};
        return 0 if waitpid($curl->{pid}, WNOHANG) == 0;
        $curl->{status} = $? >> 8;
        return 1;
    }) or return;

    return $curl->{status};
}


my @auth = ('-H', 'Authorization: ' . MCPTest::credential());
my @json = ('-H', 'Content-Type: application/json');

my $stream = curl('/mcp/sse', @auth);

ok(run_until(sub { slurp($stream, 'out') =~ /\n\n/ }),
    'the first event arrives over HTTP/3')
    or diag(slurp($stream, 'err'));
like(slurp($stream, 'head'), qr/^HTTP\/3 200/, 'the stream is HTTP/3 200');
like(slurp($stream, 'out'),
    qr/\Aid: (\S+)\nevent: endpoint\ndata: \S+\?session_id=\1\n\n/,
    'the first event is endpoint, with the session id');

my ($id) = slurp($stream, 'out') =~ /session_id=(\S+)/;

MCPTest::secret($id);

for my $case (
    [ 'ping', request(1, 'ping'), qr/"message":"pong".*"id":1\}\n\n/ ],
    [ 'tools/call', tool(2, 'echo', { text => 'over h3' }), qr/over h3/ ],
    [ '1 MB', tool(3, 'big', { bytes => 1_000_000 }), qr/"id": ?3\b/ ],
) {
    my ($name, $message, $answer) = @$case;

    my $post = curl("/mcp/messages?session_id=$id", @auth, @json,
        '-d', $message);

    is(ended($post), 0, "$name: curl reports no error")
        or diag(slurp($post, 'err'));
    like(slurp($post, 'head'), qr/^HTTP\/3 202/, "$name: the POST is 202");
    ok(run_until(sub { slurp($stream, 'out') =~ $answer }),
        "$name: the answer is on the stream");
}

my ($big) = slurp($stream, 'out') =~ /(x{1000,})/;

is(length($big || ''), 1_000_000, 'the answer of 1 MB is whole');
is(frappe()->last_headers->{'x-forwarded-proto'}, 'https',
    'X-Forwarded-Proto is https');
ok(run_until(sub { slurp($stream, 'out') =~ /^: ping 2 at /m }),
    'the stream has heartbeats');

# Streamable HTTP, refusals

for my $case (
    [ 200, qr/over h3/, '/mcp', @auth, @json, '-d',
        tool(4, 'echo', { text => 'over h3' }) ],
    [ 401, qr/Invalid authorization/, '/mcp', @json, '-X', 'POST' ],
    [ 405, qr/Method not allowed/, '/mcp/sse', @auth, '-X', 'DELETE' ],
    [ 403, qr/Origin not allowed/, '/mcp/sse', @auth, '-H',
        'Origin: https://evil.example.com' ],
) {
    my ($status, $body, $path, @arg) = @$case;

    my $curl = curl($path, @arg, '-H',
        'Accept: application/json, text/event-stream');

    is(ended($curl), 0, "$status: curl reports no error")
        or diag(slurp($curl, 'err'));
    like(slurp($curl, 'head'), qr/^HTTP\/3 $status/, "$path is $status");
    like(slurp($curl, 'out'), $body, "$status: the body says why");

    like(slurp($curl, 'head'), qr{resource_metadata="https:},
        '401 names a document at https') if $status == 401;
}

# the client leaves: curl closes the connection when it cannot write

pipe my $read, my $write or die "pipe: $!\n";

my $left = curl($write, '/mcp/sse', @auth);

close $write;
ok(run_until(sub { health($nginx)->{active_connections} == 2 }),
    '/health counts a second stream');
close $read;
is(ended($left), 23, 'curl cannot write the next heartbeat');
ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
    '/health does not count a stream whose client leaves');

# a reload

my $held = curl("/mcp/messages?session_id=$id", @auth, @json, '-d',
    tool(9, 'hold', { gate => 'reload' }));

ended($held);
like(slurp($held, 'head'), qr/^HTTP\/3 202/,
    'a call before the reload is accepted');
run_until(sub { frappe()->tool_count('hold') });

my @old = $nginx->reload;

frappe()->open_gate('reload');

ok(run_until(sub { slurp($stream, 'out') =~ /"held/ }),
    'a call that runs during a reload is answered on the stream');
ok(defined ended($stream), 'a reload ends the stream');
ok($nginx->wait_gone(\@old), 'the old worker ends after the stream');

my $again = curl('/mcp/sse', @auth);

ok(run_until(sub { slurp($again, 'out') =~ /\n\n/ }),
    'a new worker serves HTTP/3');
kill TERM => $again->{pid};
ended($again);

finish();

END {
    kill KILL => $_->{pid}
        for grep { $_ && !defined $_->{status} } $stream, $left, $again;
}
