# What mcp_sse_http refuses, and in which order.  docs/PROTOCOL.md 1 and 7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_http(http => 'mcp_sse_max_message 1k;');
my $list   = request(1, 'tools/list');
my $id     = session_id($nginx);

$frappe->reset;

# Each has one fault less than the one before it, and is refused for the
# first that is left.

my @faults = (
    [ origin   => 403, 'Origin not allowed' ],
    [ auth     => 401, 'Invalid authorization' ],
    [ protocol => 400, 'Unsupported protocol version' ],
    [ session  => 404, 'Session not found' ],
    [ type     => 415, 'Unsupported media type' ],
    [ size     => 413, 'Message too large' ],
    [ json     => 400, 'Parse error' ],
    [ rpc      => 400, 'Invalid Request' ],
    [ batch    => 400, 'No batches in this protocol version' ],
    [ accept   => 406, 'Not acceptable' ],
);

for my $first (0 .. $#faults) {
    my %bad = map { $_->[0] => 1 } @faults[$first .. $#faults];

    my $body = $bad{size} ? '{' . ' ' x 2000
        : $bad{json} ? '[{]' : $bad{rpc} ? '[{"x":1}]'
        : $bad{batch} ? "[$list]" : $list;

    my $answer = http_post($nginx, $body,
        headers  => [ $bad{origin} ? (Origin => 'https://evil.example.com')
                                   : () ],
        $bad{auth} ? (auth => undef) : (),
        protocol => $bad{protocol} ? '1' : '2025-11-25',
        session  => $bad{session} ? 'x' : $id,
        $bad{type} ? (type => 'text/plain') : (),
        accept   => $bad{accept} ? 'text/html' : 'application/json',
    );

    is($answer->status, $faults[$first][1], "$faults[$first][0] comes "
        . ($first ? "after $faults[$first - 1][0]" : 'first'));
    like($answer->body, qr/"message":"\Q$faults[$first][2]\E"/, 'in words');
}

is($frappe->calls, 0, 'nothing has run');

# ended sessions come after bad JSON, before running

{
    my $ended = session_id($nginx);

    http_delete($nginx, $ended);
    $frappe->reset;
    is_rejected(http_post($nginx, '{', session => $ended), 400, -32700,
        'Parse error', 'bad JSON for an ended session');
    is_rejected(http_post($nginx, $list, session => $ended), 404, -32001,
        'Session not found', 'good JSON for it');
    is($frappe->calls, 0, 'nothing has run');
}

# methods

for my $method (qw(PUT PATCH TRACE FOO)) {
    my $answer = http($nginx, $method, auth => undef);

    is($answer->status, 405, "$method: 405");
    is($answer->header('Allow'), 'GET, HEAD, POST, DELETE, OPTIONS',
        'with Allow') if $method ne 'TRACE';
}

is(http($nginx, 'OPTIONS', auth => undef)->status, 204, 'OPTIONS');
is(http($nginx, 'OPTIONS', auth => undef)->header('Allow'),
    'GET, HEAD, POST, DELETE, OPTIONS', 'lists them');

# an empty site

{
    my $none = start_http(mcp => 'mcp_sse_site "";');

    is_rejected(http_post($none, $list), 400, -32602, 'No such site',
        'an empty site');
}

# types and encodings

for my $type ('text/plain', 'application/x-www-form-urlencoded',
    'application/jsonp', 'multipart/form-data')
{
    is_rejected(http_post($nginx, $list, type => $type), 415, -32600,
        'Unsupported media type', $type);
}

is(http_post($nginx, $list, type => $_)->status, 200, $_ || 'no type')
    for 'application/json; charset=utf-8', 'Application/JSON', undef;
is(http_post($nginx, $list, headers => [ 'Content-Encoding' => 'gzip' ])
    ->status, 415, 'gzip');

# bodies

is_rejected(http_post($nginx, $_->[0]), 400, $_->[1], $_->[2],
    'body: ' . substr $_->[0], 0, 40)
    for [ '', -32700, 'Parse error' ], [ '{', -32700, 'Parse error' ],
    [ "\xff", -32700, 'Parse error' ], [ 'null', -32600, 'Invalid Request' ],
    [ "$list$list", -32700, 'Parse error' ],
    [ '{"jsonrpc":"2.0","id":null,"method":"x"}', -32600,
      'Invalid Request' ],
    [ '{"jsonrpc":"2.0","id":1.5,"method":"x"}', -32600,
      'Invalid Request' ],
    [ '{"jsonrpc":"2.0","method":"tools/list"}', -32600,
      'Invalid Request' ],
    [ '{"jsonrpc":"1.0","id":1,"method":"x"}', -32600, 'Invalid Request' ];

is(http_post($nginx, tool(1, 'echo', { t => 'x' x 800 }))->status, 200,
    'as large as may be');
is(http_post($nginx, tool(1, 'echo', { t => 'x' x 1000 }))->status, 413,
    'larger');

{
    my $chunked = sub {
        my ($text) = @_;
        my $conn   = connect_to($nginx);
        my $answer = MCPTest::Answer->new(conn => $conn);

        $conn->request('POST', '/mcp', host => 'erp.example.com',
            headers => [ Authorization => MCPTest::credential(),
                'Content-Type' => 'application/json', Connection => 'close',
                'Transfer-Encoding' => 'chunked' ],
            response => $answer,
            body => join('', map { sprintf "%x\r\n%s\r\n", length, $_ }
                $text =~ /.{1,100}/gs) . "0\r\n\r\n");
        $answer->wait;
        $conn->close;

        return $answer;
    };

    is($chunked->($list)->status, 200, 'a chunked body');
    is($chunked->(tool(1, 'echo', { t => 'x' x 2000 }))->status, 413,
        'one that is too large');
}

is(http_post($nginx, $list, path => '/mcp/')->status, 200,
    'a slash behind the path is no redirect');
is(http_post($nginx, $list, path => '/mcp?x=1')->status, 200, 'a query');

# headers that do not fit

is(http_post($nginx, $list, headers => [
    map { ("Mcp-Param-$_" => 'v' x 7000) } 1 .. 3 ])->status, 431,
    'too many Mcp- headers');

# cookies do not reach Frappe, Mcp- headers do

http_post($nginx, $list, headers => [ Cookie => 'sid=x',
    'Mcp-Param-X' => 'y', 'X-Frappe-Site-Name' => 'evil' ]);

my $seen = $frappe->last_headers;

is($seen->{cookie}, undef, 'no Cookie for Frappe');
is($seen->{'mcp-param-x'}, 'y', 'Mcp- headers');
is($seen->{accept}, 'application/json', 'its Accept is ours');
unlike($seen->{'x-frappe-site-name'} || '', qr/evil/, 'and the site');

# configuration

for my $case (
    [ 'mcp_sse_http; mcp_sse_http;', qr/is duplicate/ ],
    [ 'mcp_sse_http; mcp_sse_message;', qr/is duplicate/ ],
    [ 'mcp_sse_http; mcp_sse_stream_after 0;', qr/invalid|must not/ ],
    [ 'mcp_sse_http; mcp_sse_stream_after x;', qr/invalid/ ],
    [ 'mcp_sse_http; mcp_sse_public_url erp.example.com;', qr/invalid URL/ ],
    [ 'mcp_sse_http; mcp_sse_public_url http://a/b;', qr/invalid URL/ ],
    [ 'mcp_sse_http; mcp_sse_public_url http://a; '
      . 'mcp_sse_public_url http://b;', qr/is duplicate/ ],
) {
    my $bad = start_nginx(fails => 1,
        locations => "location = /x { $case->[0] }",
        allow => [ qr/\[emerg\]/ ]);

    like($bad->stderr . $bad->error_log, $case->[1], $case->[0]);
}

{
    my $bad = start_nginx(fails => 1, settings => 'mcp_sse_site x;',
        stream => '', locations => 'location = /x { mcp_sse_http; }',
        allow => [ qr/\[emerg\]/ ]);

    like($bad->stderr . $bad->error_log, qr/needs "mcp_sse_call"/,
        'without mcp_sse_call');
}

finish();
