# What mcp_sse_http refuses, and in which order; what Frappe sees of a request;
# how nginx refuses invalid directives.  docs/PROTOCOL.md 1, 6, 7 and 13.

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

# Each request has one fault less than the one before it, and is refused for
# its first fault.

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
    like($answer->body, qr/"message":"\Q$faults[$first][2]\E"/,
        "$faults[$first][0] is refused with \"$faults[$first][2]\"");
}

is($frappe->calls, 0, 'no refused request runs');

# an ended session

{
    my $ended = session_id($nginx);

    http_delete($nginx, $ended);
    $frappe->reset;
    is_rejected(http_post($nginx, '{', session => $ended), 400, -32700,
        'Parse error', 'the JSON is checked before the session is found ended');
    is_rejected(http_post($nginx, $list, session => $ended), 404, -32001,
        'Session not found', 'a request for an ended session is 404');
    is($frappe->calls, 0, 'no request for an ended session runs');
}

# a body that is not JSON does not say of which era a request is

for my $case ([ [ protocol => '1' ], 400, 'Unsupported protocol version' ],
    [ [ session => 'x' ], 404, 'Session not found' ])
{
    my ($opt, $status, $message) = @$case;
    my $answer = http_post($nginx, '{', @$opt);

    is($answer->status, $status, "$message: checked before the JSON");
    like($answer->body, qr/"message":"$message"/, 'and named');
}

# methods

for my $method (qw(PUT PATCH TRACE FOO)) {
    my $answer = http($nginx, $method, auth => undef);

    is($answer->status, 405, "$method is 405");
    is($answer->header('Allow'), 'GET, HEAD, POST, DELETE, OPTIONS',
        "405 of $method has Allow") if $method ne 'TRACE';
}

is(http($nginx, 'OPTIONS', auth => undef)->status, 204, 'OPTIONS is 204');
is(http($nginx, 'OPTIONS', auth => undef)->header('Allow'),
    'GET, HEAD, POST, DELETE, OPTIONS', 'OPTIONS has Allow with the methods');

# an empty site

{
    my $none = start_http(mcp => 'mcp_sse_site "";');

    is_rejected(http_post($none, $list), 400, -32602, 'No such site',
        'an empty site is 400');
    like($none->error_log, qr/refused\ with\ 400,\ "No\ such\ site":
        \ mcp_sse_site\ is\ empty\ or\ has\ a/x, 'the log says why');
}

# types and encodings

for my $type ('text/plain', 'application/x-www-form-urlencoded',
    'application/jsonp', 'multipart/form-data')
{
    is_rejected(http_post($nginx, $list, type => $type), 415, -32600,
        'Unsupported media type', "Content-Type: $type is 415");
}

is(http_post($nginx, $list, type => $_)->status, 200,
    'a request is served with Content-Type: ' . ($_ || '(none)'))
    for 'application/json; charset=utf-8', 'Application/JSON', undef;
is(http_post($nginx, $list, headers => [ 'Content-Encoding' => 'gzip' ])
    ->status, 415, 'Content-Encoding: gzip is 415');

# bodies

is_rejected(http_post($nginx, $_->[0]), 400, $_->[1], $_->[2],
    'this body is refused: ' . substr $_->[0], 0, 40)
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
    'a message below mcp_sse_max_message is served');
is(http_post($nginx, tool(1, 'echo', { t => 'x' x 1000 }))->status, 413,
    'a message larger than mcp_sse_max_message is 413');

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

    is($chunked->($list)->status, 200, 'a chunked body is served');
    is($chunked->(tool(1, 'echo', { t => 'x' x 2000 }))->status, 413,
        'a chunked body larger than mcp_sse_max_message is 413');
}

is(http_post($nginx, $list, path => '/mcp/')->status, 200,
    'a trailing slash is served without a redirect');
is(http_post($nginx, $list, path => '/mcp?x=1')->status, 200,
    'a query in the URI is ignored');

# forwarded headers that are too large

is(http_post($nginx, $list, headers => [
    map { ("Mcp-Param-$_" => 'v' x 7000) } 1 .. 3 ])->status, 431,
    'forwarded headers of more than 16 kB are 431');

# headers that reach Frappe

http_post($nginx, $list, headers => [ Cookie => 'sid=x',
    'Mcp-Param-X' => 'y', 'X-Frappe-Site-Name' => 'evil' ]);

my $seen = $frappe->last_headers;

is($seen->{cookie}, undef, 'Frappe gets no Cookie of the client');
is($seen->{'mcp-param-x'}, 'y', 'Frappe gets the Mcp-* headers');
is($seen->{accept}, 'application/json', 'Frappe gets Accept: application/json');
unlike($seen->{'x-frappe-site-name'} || '', qr/evil/,
    "Frappe does not get the client's X-Frappe-Site-Name");

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
    [ 'mcp_sse_http; mcp_sse_public_url "";', qr/invalid URL/ ],
    [ 'mcp_sse_http; mcp_sse_public_url ftp://a;', qr/invalid URL/ ],
    [ 'mcp_sse_http; mcp_sse_auth_server erp.example.com;',
      qr/invalid URL "erp\.example\.com" in "mcp_sse_auth_server"/ ],
    [ 'mcp_sse_http; mcp_sse_auth_server https://a/b;', qr/invalid URL/ ],
    [ 'mcp_sse_http; mcp_sse_auth_server https://a; '
      . 'mcp_sse_auth_server https://b;', qr/is duplicate/ ],
    [ 'mcp_sse_http; mcp_sse_public_url $nothing;', qr/unknown "nothing"/ ],
) {
    my $bad = start_nginx(fails => 1,
        locations => "location = /x { $case->[0] }",
        allow => [ qr/\[emerg\]/ ]);

    like($bad->stderr . $bad->error_log, $case->[1],
        "nginx refuses the configuration: $case->[0]");
}

{
    my $bad = start_nginx(fails => 1, settings => 'mcp_sse_site x;',
        stream => '', locations => 'location = /x { mcp_sse_http; }',
        allow => [ qr/\[emerg\]/ ]);

    like($bad->stderr . $bad->error_log, qr/needs "mcp_sse_call"/,
        'nginx refuses mcp_sse_http without mcp_sse_call');
}

finish();
