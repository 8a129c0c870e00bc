# The legacy endpoints over HTTP/2 without TLS, with curl as the client.
# docs/PROTOCOL.md 1.15, 13.5.

use strict;
use warnings;

use File::Temp ();
use POSIX qw(WNOHANG _exit);

use lib 't/lib';
use MCPTest;
use Test::More;

plan skip_all => 'no curl with HTTP/2'
    unless `curl --version 2>/dev/null` =~ /HTTP2/;

my $dir  = File::Temp->newdir;
my $port = MCPTest::Nginx::free_port();
my $n    = 0;

my $nginx = start_nginx(server => "listen 127.0.0.1:$port http2;",
    stream => 'mcp_sse_keepalive 1s;', http => 'mcp_sse_drain 1s;');


# Starts curl; returns an object for slurp() and ended().

sub curl {
    my ($path, @arg) = @_;

    my $name = "$dir/" . ++$n;
    my $pid  = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>', "$name.out";
        open STDERR, '>', "$name.err";
        exec 'curl', '-sSN', '--http2-prior-knowledge', '--noproxy', '*',
            '-D', "$name.head", '-H', 'Host: erp.example.com', @arg,
            "http://127.0.0.1:$port$path" or _exit(127);
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
    my ($curl, $timeout) = @_;

    run_until(sub {
        return 1 if defined $curl->{status};
        return 0 if waitpid($curl->{pid}, WNOHANG) == 0;
        $curl->{status} = $? >> 8;
        return 1;
    }, $timeout) or return;

    return $curl->{status};
}


my @auth = ('-H', 'Authorization: ' . MCPTest::credential());
my @json = ('-H', 'Content-Type: application/json');

my $stream = curl('/mcp/sse', @auth);

ok(run_until(sub { slurp($stream, 'out') =~ /\n\n/ }),
    'an event arrives over HTTP/2');
like(slurp($stream, 'head'), qr/^HTTP\/2 200/, 'the stream is HTTP/2 200');
like(slurp($stream, 'head'), qr/^content-type: text\/event-stream\r?$/mi,
    'the stream has "Content-Type: text/event-stream"');
like(slurp($stream, 'out'), 
    qr/\Aid: (\S+)\nevent: endpoint\ndata: \S+\?session_id=\1\n\n/,
    'the first event is endpoint, with the session id');

my ($id) = slurp($stream, 'out') =~ /session_id=(\S+)/;

MCPTest::secret($id);

for my $case (
    [ 'ping', request(1, 'ping'), qr/"message":"pong".*"id":1\}\n\n/ ],
    [ 'tools/call', tool(2, 'echo', { text => 'over h2' }), qr/over h2/ ],
    [ '1 MB', tool(3, 'big', { bytes => 1_000_000 }), qr/"id": ?3\b/ ],
) {
    my ($name, $message, $answer) = @$case;

    my $post = curl("/mcp/messages?session_id=$id", @auth, @json,
        '-d', $message);

    is(ended($post), 0, "$name: curl reports no error");
    like(slurp($post, 'head'), qr/^HTTP\/2 202/, "$name: the POST is 202");
    is(slurp($post, 'out'), '{"status":"accepted"}',
        "$name: the body says \"accepted\"");
    ok(run_until(sub { slurp($stream, 'out') =~ $answer }),
        "$name: the answer is on the stream");
}

my ($big) = slurp($stream, 'out') =~ /(x{1000,})/;

is(length($big || ''), 1_000_000, 'the answer of 1 MB is whole');
ok(run_until(sub { slurp($stream, 'out') =~ /^: ping 2 at /m }),
    'the stream has heartbeats');

# nginx resets a stream with NO_ERROR when the response is complete before the
# body of the request; curl may take that for an error, so these have no body

for my $case (
    [ 401, '/mcp/sse' ],
    [ 401, "/mcp/messages?session_id=$id", @json, '-X', 'POST' ],
    [ 405, '/mcp/sse', '-X', 'DELETE' ],
    [ 403, '/mcp/sse', @auth, '-H', 'Origin: https://evil.example.com' ],
    [ 400, '/mcp/sse?server_url=http://elsewhere', @auth ],
    [ 400, '/mcp/messages?session_id=x', @auth, @json, '-X', 'POST' ],
    [ 400, "/mcp/messages?session_id=$id", @auth, @json, '-d', '{' ],
    [ 415, "/mcp/messages?session_id=$id", @auth, '-H',
        'Content-Type: text/plain', '-X', 'POST' ],
    [ 204, '/mcp/sse', '-X', 'OPTIONS', '-H', 'Origin: http://erp.example.com'
    ],
    [ 200, '/health' ],
    [ 200, '/mcp/sse', '-I', @auth ],
) {
    my ($status, $path, @arg) = @$case;

    my $curl = curl($path, @arg);

    is(ended($curl), 0, "@arg $path: curl reports no error");
    like(slurp($curl, 'head'), qr/^HTTP\/2 $status/,
        "@arg $path: the status is $status");
}

# a reload

my $slow = curl("/mcp/messages?session_id=$id", @auth, @json, '-d',
    tool(9, 'hold', { gate => 'reload' }));

ended($slow);
run_until(sub { frappe()->tool_count('hold') });

my @old = $nginx->reload;

frappe()->open_gate('reload');

is(ended($stream), 0, 'a reload ends the stream without an error for curl');
like(slurp($stream, 'out'), qr/"held.*\n\n(?:.*\n)*retry: \d+\n\n\z/,
    'a reload ends the stream after the answer of its call, with "retry:"');
ok($nginx->wait_gone(\@old), 'the old worker ends after the stream');

# the client leaves

my $again = curl('/mcp/sse', @auth);

ok(run_until(sub { health($nginx)->{active_connections} == 1 }),
    '/health counts a new stream over HTTP/2');
kill TERM => $again->{pid};
ended($again);
ok(run_until(sub { health($nginx)->{active_connections} == 0 }),
    '/health does not count a stream whose client leaves');

finish();

END { kill KILL => $_->{pid} for grep { !defined $_->{status} } $stream || () }
