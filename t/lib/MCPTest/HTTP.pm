package MCPTest::HTTP;

# Requests of Streamable HTTP, which tests of mcp_sse_http use with MCPTest.

use strict;
use warnings;

use Exporter 'import';

use MCPTest;
use MCPTest::Conn qw(run_until);
use MCPTest::JSON qw(encode);

our @EXPORT = qw(start_http http http_post http_get http_delete initialize
    session_id stream_of);


# start_nginx() with "mcp_sse_http" at /mcp and /mcp/; further options:
#
#   mcp      further directives of these locations
#   locations, http, server, ...   as there

sub start_http {
    my (%opt) = @_;

    my $mcp = delete $opt{mcp} || '';

    my $locations = join '', map {
        "        location = $_ { mcp_sse_http; access_log logs/mcp.log audit; "
            . "$mcp }\n"
    } qw(/mcp /mcp/);

    return start_nginx(%opt,
        locations => $locations . ($opt{locations} || ''));
}


# Sends a request to /mcp and waits for the whole response, which is an
# MCPTest::Answer.
#
#   accept    value of Accept (default: both types); undef for none
#   session   session id
#   protocol  MCP-Protocol-Version
#   path, headers, auth, host, version, type, body
#   conn, worker    connection, or pid of the worker, to use
#   async     1 to return at once

sub http {
    my ($nginx, $method, %opt) = @_;

    my $own  = !$opt{conn};
    my $conn = $opt{conn} ? $opt{conn}
        : $opt{worker} ? connect_worker($nginx, $opt{worker})
        : connect_to($nginx, %{ $opt{connect} || {} });

    my $accept = exists $opt{accept} ? $opt{accept}
        : 'application/json, text/event-stream';
    my $type = exists $opt{type} ? $opt{type}
        : defined $opt{body} ? 'application/json' : undef;

    my @headers = (
        defined $accept ? (Accept => $accept) : (),
        defined $type ? ('Content-Type' => $type) : (),
        defined $opt{session} ? ('Mcp-Session-Id' => $opt{session}) : (),
        defined $opt{protocol}
            ? ('MCP-Protocol-Version' => $opt{protocol}) : (),
        MCPTest::_headers(\%opt),
        $own ? (Connection => 'close') : (),
    );

    my $answer = MCPTest::Answer->new(conn => $conn, nginx => $nginx);

    $conn->request($method, $opt{path} || '/mcp',
        version  => $opt{version},
        host     => $opt{host} || 'erp.example.com',
        headers  => \@headers,
        body     => $opt{body},
        response => $answer,
    );

    return $answer if $opt{async};

    $answer->wait($opt{timeout});
    $conn->close if $own;

    return $answer;
}


sub http_post {
    my ($nginx, $message, %opt) = @_;

    return http($nginx, 'POST', %opt,
        body => ref $message ? encode($message) : $message);
}


# Opens a stream; returns when its first event or another response is there.

sub http_get {
    my ($nginx, %opt) = @_;

    my $answer = http($nginx, 'GET', accept => 'text/event-stream', %opt,
        async => 1);

    run_until(sub { @{ $answer->{events} } || $answer->{ended} });

    return $answer;
}


sub http_delete {
    my ($nginx, $session, %opt) = @_;

    return http($nginx, 'DELETE', session => $session, %opt);
}


sub initialize {
    my ($nginx, %opt) = @_;

    return http_post($nginx, request(defined $opt{id} ? $opt{id} : 0,
        'initialize', {
            protocolVersion => $opt{offer} || '2025-06-18',
            capabilities    => {},
            clientInfo      => { name => 'test', version => '1' },
        }), %opt);
}


# Initializes a session and returns its id.

sub session_id {
    my ($nginx, %opt) = @_;

    my $id = initialize($nginx, %opt)->header('Mcp-Session-Id');

    MCPTest::secret($id);

    return $id;
}


# Waits until a response has become a stream, or has ended.

sub stream_of {
    my ($answer, $timeout) = @_;

    run_until(sub { @{ $answer->{events} } || $answer->{ended} }, $timeout);

    return $answer;
}


# A response that is JSON or a stream, depending on its Content-Type.

package MCPTest::Answer;

use strict;
use warnings;

use MCPTest::Stream;

our @ISA = ('MCPTest::Stream');


sub is_stream {
    my ($self) = @_;

    return ($self->header('Content-Type') || '') =~ m{\Atext/event-stream};
}


sub _got_body {
    my ($self, $bytes) = @_;

    return $self->SUPER::_got_body($bytes)
        if $self->{is_stream} || $self->is_stream;

    $self->{body} .= $bytes;

    return;
}


# The one JSON-RPC answer of the response, as raw JSON.

sub answer {
    my ($self) = @_;

    return $self->{body} unless $self->is_stream;

    my ($event) = grep { defined $_->{raw_id} } @{ $self->{messages} };

    return $event ? $event->{data} : undef;
}


1;
