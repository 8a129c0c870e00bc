package MCPTest::Modern;

# Requests of the modern era (MCP 2026-07-28), with MCPTest and MCPTest::HTTP.

use strict;
use warnings;

use Exporter 'import';

use MCPTest;
use MCPTest::HTTP;

our @EXPORT = qw(modern modern_params modern_headers modern_raw discover
    refused_as is_unavailable_answer);

my $prefix = 'io.modelcontextprotocol/';


# The params of a request: those given, with what each request says of itself.
# "meta" has members of _meta; one that is undef is left out.

sub modern_params {
    my ($params, %meta) = @_;

    my %own = (
        protocolVersion    => '2026-07-28',
        clientInfo         => { name => 'test', version => '1' },
        clientCapabilities => {},
        %meta,
    );

    return { %{ $params || {} }, _meta => {
        %{ ($params || {})->{_meta} || {} },
        map { defined $own{$_} ? ("$prefix$_" => $own{$_}) : () } keys %own } };
}


# The headers that belong to a request.

sub modern_headers {
    my ($method, $params) = @_;

    my $name = $method =~ m{\A(?:tools/call|prompts/get)\z} ? $params->{name}
        : $method eq 'resources/read' ? $params->{uri} : undef;

    return ('MCP-Protocol-Version' => '2026-07-28', 'Mcp-Method' => $method,
        defined $name ? ('Mcp-Name' => $name) : ());
}


# Sends a request and waits for its answer.  Options are those of http(), and
#
#   meta      members of _meta, by their names without the prefix
#   only      headers in place of those that belong to the request
#   with      more headers

sub modern {
    my ($nginx, $id, $method, $params, %opt) = @_;

    my %meta = %{ delete $opt{meta} || {} };
    my $only = delete $opt{only} || [ modern_headers($method, $params || {}) ];

    return modern_raw($nginx,
        request($id, $method, modern_params($params, %meta)), %opt,
        only => $only);
}


# Sends a body of the test's own.

sub modern_raw {
    my ($nginx, $body, %opt) = @_;

    my $only = delete $opt{only}
        || [ 'MCP-Protocol-Version' => '2026-07-28' ];
    my $with = delete $opt{with} || [];

    return http_post($nginx, $body, %opt,
        headers => [ @{$only}, @{$with}, @{ $opt{headers} || [] } ]);
}


# Sends server/discover; options are those of modern().

sub discover {
    my ($nginx, $id, %opt) = @_;

    return modern($nginx, $id, 'server/discover', {}, %opt);
}


# Whether the response is this error, "id" and "data" raw.

sub refused_as {
    my ($response, $status, $id, $code, $message, $data, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return Test::More::is(
        ($response->status || 'nothing') . ' ' . ($response->body || ''),
        qq($status {"jsonrpc":"2.0","id":$id,"error":{"code":$code,)
        . qq("message":"$message") . (defined $data ? ",\"data\":$data" : '')
        . '}}', $name);
}


# Whether the response is what server/discover gets instead of a 5xx: 200 with
# -32603 and its id, which is raw.

sub is_unavailable_answer {
    my ($response, $id, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return Test::More::like(
        ($response->status || 'nothing') . ' ' . ($response->body || ''),
        qr/\A200\ \{"jsonrpc":"2\.0","id":\Q$id\E,"error":\{"code":-32603,/x,
        $name);
}


1;
