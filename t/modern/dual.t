# A backend that speaks the modern era itself: how it is found out, and that
# requests pass as they are.  docs/PROTOCOL.md 15.66 to 15.68.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

my $probe;                          # the answer to server/discover
my @got;                            # what the backend was asked

my $backend = start_backend(sub {
    my ($request) = @_;

    return MCPTest::Backend::http(200, '{"message":"alice@example.com"}')
        if $request->{path} =~ /get_logged_user/;

    push @got, $request;

    my $message = decode($request->{body});

    return MCPTest::Backend::http(@{$probe})
        if $message->{method} eq 'server/discover';

    my $id = ref $message->{id} ? 'null' : encode($message->{id});

    return MCPTest::Backend::http(200, '{"jsonrpc":"2.0","id":' . $id
        . ',"result":{"resultType":"complete","tools":[],"ttlMs":7,'
        . '"cacheScope":"public"}}');
});

my $modern = '{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete",'
    . '"supportedVersions":["2026-07-28","2025-11-25"],"capabilities":'
    . '{"tools":{}},"ttlMs":5,"cacheScope":"public"}}';
my $older = '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":'
    . '"Method not found"}}';


# An nginx that has asked nothing yet.

sub start {
    @got = ();

    return start_http(backend => $backend->port);
}


sub methods { return map { decode($_->{body})->{method} } @got }


# a backend of the modern era

{
    $probe = [ 200, $modern ];

    my $nginx  = start();
    my $answer = modern($nginx, 1, 'tools/list', {},
        with => [ 'Mcp-Param-Region' => 'eu' ]);

    is($answer->body, '{"jsonrpc":"2.0","id":1,"result":{"resultType":'
        . '"complete","tools":[],"ttlMs":7,"cacheScope":"public"}}',
        'the answer of the backend passes');
    is_deeply([ methods() ], [ 'server/discover', 'tools/list' ],
        'the era of the backend is asked for first');
    is_deeply([ map { $got[0]{headers}{$_} } 'mcp-protocol-version',
        'mcp-method', 'mcp-param-region' ],
        [ '2026-07-28', 'server/discover', undef ],
        'this question has headers of its own');
    is(decode($got[0]{body})->{params}{_meta}{
        'io.modelcontextprotocol/protocolVersion'}, '2026-07-28',
        'and the version in its _meta');
    is_deeply([ map { $got[1]{headers}{$_} } 'mcp-protocol-version',
        'mcp-method', 'mcp-param-region' ],
        [ '2026-07-28', 'tools/list', 'eu' ],
        'the request passes with the headers of the client');
    ok(decode($got[1]{body})->{params}{_meta}{
        'io.modelcontextprotocol/clientInfo'}, 'and with its _meta');

    my $discover = modern($nginx, 1, 'server/discover', {});

    is($discover->body, $modern, 'server/discover passes, too');
    modern($nginx, 1, 'tools/list', {},
        auth => MCPTest::credential('bob'));
    is_deeply([ methods() ], [ 'server/discover', 'tools/list',
        'server/discover', 'tools/list' ], 'the era is asked for once a site');
    is(modern($nginx, 1, 'ping', {})->status, 404,
        'methods of the older era do not pass');
    $nginx->stop;
}

# backends of the older era

my %older = (
    'error with 200'    => [ 200, $older ],
    'error with 400'    => [ 400, $older ],
    'page with 404'     => [ 404, 'no', 'Content-Type', 'text/html' ],
    'exception with 417' => [ 417, '{"exc_type":"ValidationError"}' ],
    'other versions'    => [ 200, $modern =~ s/2026-07-28/2025-06-18/r ],
    'a result of another kind' => [ 200, $older =~ s/"error"/"result"/r ],
);

for my $name (sort keys %older) {
    $probe = $older{$name};

    my $nginx = start();

    modern($nginx, 1, 'tools/list', {}) for 1 .. 2;
    is_deeply([ methods() ], [ 'server/discover', ('tools/list') x 2 ],
        "$name: the refusal is kept");
    is($got[1]{headers}{'mcp-protocol-version'}, undef,
        "$name: the version of the client does not pass");
    unlike($nginx->error_log, qr/\[error\]/, "$name: it is no fault");
    $nginx->stop;
}

# answers that tell nothing

my %nothing = (
    '500' => [ 500, '{}' ],
    '503' => [ 503, '{}' ],
    '401' => [ 401, '{}' ],
);

for my $name (sort keys %nothing) {
    $probe = $nothing{$name};

    my $nginx = start();

    is(modern($nginx, 1, 'tools/list', {})->status, 200,
        "$name: the request goes on");
    $nginx->stop;
}

finish();
