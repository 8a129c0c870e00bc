package MCPTest;

# What every test uses: nginx with the module, the stand-in for Frappe, clients
# and their requests, assertions, and finish(), which ends a test.  See
# t/README.md.
#
#     my $nginx  = start_nginx(workers => 2);
#     my $stream = open_stream($nginx);
#
#     ok(call($nginx, $stream, request(1, 'ping')), 'ping is answered');
#     finish();

use strict;
use warnings;

use Cwd ();
use Exporter 'import';
use File::Basename ();
use JSON::PP ();
use Test::More ();

use MCPTest::Backend;
use MCPTest::Conn qw(now hang_after run_until sleep_for ticker);
use MCPTest::Frappe;
use MCPTest::JSON qw(encode decode members raw_id);
use MCPTest::Metrics;
use MCPTest::Nginx;
use MCPTest::Proxy;
use MCPTest::Redis;
use MCPTest::RedisCluster;
use MCPTest::Stream;

our @EXPORT = qw(
    now hang_after run_until sleep_for ticker
    encode decode members raw_id
    start_nginx start_frappe frappe start_backend
    start_redis start_instances ready wait_ready
    connect_to connect_worker open_stream open_streams post post_many get
    passed request call notification tool health metrics session_of
    error_of is_error is_rejected is_unavailable accepted
    finish
);

my (%secrets, $frappe, $finished);
my $torture = defined $ENV{MCP_SSE_TORTURE};

my $root = Cwd::abs_path(File::Basename::dirname(__FILE__) . '/../..');


sub root { return $root }


# Adds a string that must not be in any log; finish() looks for it.

sub secret {
    my ($text) = @_;

    $secrets{$text} = 1 if defined $text && length $text >= 8;

    return;
}


sub secrets { return keys %secrets }


sub start_nginx { return MCPTest::Nginx->start(@_) }


sub start_frappe {
    $frappe = MCPTest::Frappe->start(@_);

    return $frappe;
}


sub frappe { return $frappe ||= MCPTest::Frappe->start }


sub start_redis { return MCPTest::Redis->start(@_) }


# Several instances with one Redis: a POST to one may be for a stream of
# another, post($instance[1], $stream, ...).  Options as of start_nginx(), and
# per, a list of hashes with options of single instances.

sub start_instances {
    my ($n, %opt) = @_;

    my @per = @{ delete $opt{per} || [] };
    my @all = map { start_nginx(%opt, %{ $per[$_] || {} }) } 0 .. $n - 1;

    if ($opt{redis} && !wait_ready(@all)) {
        Test::More::diag(join "\n", grep { /redis/ }
            map { split /\n/, $_->error_log } @all);
        die "Redis cannot be used\n";
    }

    return @all;
}


# Whether /health?ready= is 200; the default is ready=strict.

sub ready {
    my ($nginx, $how) = @_;

    return (get($nginx, '/health?ready=' . ($how || 'strict'))->status || 0)
        == 200;
}


# Waits until each worker of these instances that has started can use Redis.

sub wait_ready {
    my (@all) = @_;

    return run_until(sub { !grep { !ready($_) } @all });
}


# A backend whose handler the test writes (MCPTest::Backend); a look-up of the
# user is answered here if the handler returns nothing for it.

sub start_backend {
    my ($handler) = @_;

    return MCPTest::Backend->new(sub {
        my ($request) = @_;

        my @steps = $handler->($request);
        return @steps if @steps;

        if ($request->{path} =~ /get_logged_user/) {
            return MCPTest::Backend::http(200,
                '{"message":"alice@example.com"}');
        }

        return MCPTest::Backend::http(200, encode({ jsonrpc => '2.0',
            id => undef, result => {} }));
    });
}


sub credential { return MCPTest::Frappe::credential(@_) }


# ---- messages

sub request {
    my ($id, $method, $params) = @_;

    return '{"jsonrpc":"2.0","id":' . (ref $id ? encode($id) : $id)
        . ',"method":' . encode_string($method)
        . (defined $params ? ',"params":' . encode($params) : '') . '}';
}


sub encode_string {
    my ($text) = @_;

    return JSON::PP->new->utf8->allow_nonref->encode("$text");
}


sub notification {
    my ($method, $params) = @_;

    return '{"jsonrpc":"2.0","method":' . encode_string($method)
        . (defined $params ? ',"params":' . encode($params) : '') . '}';
}


# A tools/call; %more goes into params (_meta, for example).

sub tool {
    my ($id, $name, $arguments, %more) = @_;

    return request($id, 'tools/call', { name => $name,
        arguments => $arguments || {}, %more });
}


# ---- requests

sub _headers {
    my ($opt) = @_;

    my @headers;
    my $auth = exists $opt->{auth} ? $opt->{auth} : credential();

    if (defined $auth) {
        push @headers, 'Authorization', $auth;

        for my $word (split ' ', $auth) {
            secret($word);
            secret((split /:/, $word)[-1]) if $word =~ /:/;
        }
    }

    return (@headers, @{ $opt->{headers} || [] });
}


sub connect_to {
    my ($nginx, %opt) = @_;

    return MCPTest::Conn->connect_to(ref $nginx ? $nginx->port : $nginx,
        %opt);
}


# A keep-alive connection to the worker with this pid.

sub connect_worker {
    my ($nginx, $pid, %opt) = @_;

    die "no such worker\n" unless defined $pid;

    my $end = now() + hang_after();
    my ($found, @asked);

    # a worker that a test has stopped does not answer: another connection is
    # tried after a moment

    while (!$found && now() < $end) {
        my $conn = connect_to($nginx, %opt);

        push @asked, $conn->request('GET', '/pid');
        $asked[-1]{conn} = $conn;

        run_until(sub { $asked[-1]->ended }, 0.5);

        for my $asked (grep { $_->ended } @asked) {
            $found = $asked->{conn} if !$found && $asked->body
                && $asked->body == $pid;
        }

        @asked = grep { !$found || $_->{conn} != $found } @asked;
        $_->{conn}->close for grep { $_->ended } @asked;
        @asked = grep { !$_->ended } @asked;
    }

    $_->{conn}->close for @asked;

    return $found || die "no connection to worker $pid\n";
}


# Opens a stream; returns when its first event or another answer is there.
#
#   path, headers, auth (undef for none), host, version
#   conn      a connection to use
#   worker    pid of the worker to use
#   wait      0 to return at once
#   rcvbuf    of a slow reader

sub open_stream {
    my ($nginx, %opt) = @_;

    my $conn = $opt{conn} ? $opt{conn}
        : $opt{worker} ? connect_worker($nginx, $opt{worker}, %opt)
        : connect_to($nginx, %opt);

    my $stream = MCPTest::Stream->new(no_raw => $opt{no_raw});

    $stream->{conn}  = $conn;
    $stream->{nginx} = $nginx;
    $stream->{auth}  = exists $opt{auth} ? $opt{auth} : credential();

    $conn->request($opt{method} || 'GET', $opt{path} || '/mcp/sse',
        version  => $opt{version},
        host     => $opt{host} || 'erp.example.com',
        headers  => [ Accept => 'text/event-stream', _headers(\%opt) ],
        response => $stream,
    );

    return $stream if exists $opt{wait} && !$opt{wait};

    run_until(sub { @{ $stream->{events} } || $stream->{ended} });

    return $stream;
}


# Opens many streams at the same time.

sub open_streams {
    my ($nginx, $n, %opt) = @_;

    my @streams = map { open_stream($nginx, %opt, wait => 0) } 1 .. $n;

    run_until(sub {
        return !grep { !@{ $_->{events} } && !$_->{ended} } @streams;
    });

    return @streams;
}


sub session_of {
    my ($stream) = @_;

    return ref $stream ? $stream->session : $stream;
}


# Posts a message to a stream, a session id, or a path, and waits for the
# response.
#
#   to        stream (its announced URI and credential are used) or session id
#   path      instead
#   headers, auth, host, version, type (undef for no Content-Type)
#   conn, worker    connection, or pid of the worker, to use
#   async     1 to return at once

sub post {
    my ($nginx, $to, $message, %opt) = @_;

    my $own  = !$opt{conn};
    my $conn = $opt{conn} ? $opt{conn}
        : $opt{worker} ? connect_worker($nginx, $opt{worker})
        : connect_to($nginx);

    my $path = defined $opt{path} ? $opt{path}
        : ref $to ? $to->endpoint || '/mcp/messages'
        : '/mcp/messages' . (defined $to ? "?session_id=$to" : '');

    $opt{auth} = $to->{auth} if ref $to && !exists $opt{auth};

    my @type = exists $opt{type}
        ? (defined $opt{type} ? ('Content-Type', $opt{type}) : ())
        : ('Content-Type', 'application/json');

    my $response = $conn->request($opt{method} || 'POST', $path,
        version => $opt{version},
        host    => $opt{host} || 'erp.example.com',
        headers => [ @type, _headers(\%opt),
                     $own ? (Connection => 'close') : () ],
        body    => ref $message ? encode($message) : $message,
    );

    $response->{conn} = $conn;

    return $response if $opt{async};

    $response->wait($opt{timeout});
    $conn->close if $own;

    return $response;
}


# Posts a list of messages to one stream at the same time, each on its own
# connection; returns the responses.

sub post_many {
    my ($nginx, $stream, @messages) = @_;

    my @responses = map { post($nginx, $stream, $_, async => 1) } @messages;

    run_until(sub { !grep { !$_->{ended} } @responses });

    return @responses;
}


# Posts a request and waits for its answer; returns the raw answer.

sub call {
    my ($nginx, $stream, $message, %opt) = @_;

    my $response = post($nginx, $stream, $message, %opt);

    if (($response->status || 0) != 202) {
        Test::More::diag('not accepted: ' . ($response->status || 'nothing')
            . ' ' . $response->body);
        return;
    }

    return $stream->wait_answer(raw_id($message), $opt{answer_timeout});
}


# Waits until the worker of a stream has handled what it was sent before: posts
# a ping, waits for its answer and removes that from the records of the stream.
# An answer that was due before and has not come by then never comes.  Options
# as of post().

my $pings = 0;


sub passed {
    my ($nginx, $stream, %opt) = @_;

    my $id = '"passed ' . ++$pings . '"';

    defined call($nginx, $stream, request($id, 'ping'), %opt) or return 0;
    $stream->forget($id);

    return 1;
}


sub get {
    my ($nginx, $path, %opt) = @_;

    my $conn     = connect_to($nginx);
    my $response = $conn->request($opt{method} || 'GET', $path,
        version => $opt{version},
        host    => $opt{host} || 'erp.example.com',
        headers => [ Connection => 'close', @{ $opt{headers} || [] } ]);

    $response->wait($opt{timeout});
    $conn->close;

    return $response;
}


# /health, decoded.

sub health {
    my ($nginx) = @_;

    return get($nginx, '/health')->json || {};
}


# /metrics: the values, by name and labels as the page has them.

sub metrics {
    my ($nginx) = @_;

    return MCPTest::Metrics->new(get($nginx, '/metrics')->body)->values;
}


# ---- assertions

sub error_of {
    my ($raw) = @_;

    my $answer = defined $raw ? decode($raw) : undef;

    return ref $answer eq 'HASH' && ref $answer->{error} eq 'HASH'
        ? $answer->{error} : undef;
}


# Tests that an answer on a stream is this JSON-RPC error.

sub is_error {
    my ($raw, $code, $message, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $error = error_of($raw);
    my $got   = $error ? "$error->{code} $error->{message}"
        : defined $raw ? substr($raw, 0, 200) : 'no answer';

    return Test::More::is($got, "$code $message", $name);
}


# Tests the 503 of a missing acknowledgement, with data.executed "no" or
# "unknown".

sub is_unavailable {
    my ($response, $executed, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $json  = $response->json;
    my $error = ref $json eq 'HASH' && ref $json->{error} eq 'HASH'
        ? $json->{error} : {};
    my $retry = $response->header('Retry-After');

    my $got = join ' ', map { defined $_ ? $_ : 'none' } $response->status,
        $error->{code}, ref $error->{data} eq 'HASH'
            ? $error->{data}{executed} : undef, 'Retry-After', $retry;

    return Test::More::is($got, "503 -32003 $executed Retry-After 1", $name);
}


# Tests that a response is a refusal: this status, JSON-RPC error, and id null.

sub is_rejected {
    my ($response, $status, $code, $message, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $got = ($response->status || 'nothing') . ' ' . $response->body;

    # data may follow the message

    $got =~ s/,"data":.*\}\}\z/}}/s;
    $got =~ s/\n\z//;

    my $type = $response->header('Content-Type') || '';
    $got .= " as $type" if $type ne 'application/json';

    my $want = qq($status {"jsonrpc":"2.0","id":null,"error":{"code":$code,)
        . qq("message":"$message"}});

    return Test::More::is($got, $want, $name);
}


sub accepted {
    my ($response, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $got = ($response->status || 'nothing') . ' ' . $response->body;
    $got =~ s/\n\z//;

    return Test::More::is($got, '202 {"status":"accepted"}', $name);
}


# ---- the end

# Stops everything that was started and looks at the logs; the last line of a
# test.

sub finish {
    $finished = 1;

    exit 0 if $torture;

    for my $nginx (MCPTest::Nginx::all()) {
        my $crashed = $nginx->{pid} && !$nginx->alive;

        Test::More::ok(!$crashed && $nginx->stop, 'nginx ends with TERM');

        my @faults = $nginx->log_faults;

        Test::More::is(scalar @faults, 0,
            'the error log has no unexpected line');
        Test::More::diag(join "\n", @faults[0 .. ($#faults > 9 ? 9
            : $#faults)]) if @faults;
    }

    Test::More::done_testing();
    _clean();

    return;
}


sub _clean {
    for my $nginx (MCPTest::Nginx::all()) {
        $nginx->stop;
        $nginx->clean;
    }

    $_->clean for MCPTest::Redis::all();
    $frappe->stop if $frappe;

    return;
}


$SIG{$_} = sub { exit 1 } for qw(INT TERM HUP PIPE);

my $main = $$;

# allocations of nginx fail, see MCPTest::Torture

if ($torture) {
    require MCPTest::Torture;
    MCPTest::Torture::start();
}

END {
    my $status = $?;

    MCPTest::Torture::end() if $torture && $$ == $main;
    _clean() if $$ == $main;

    $? = $status;
}


1;
