# What clients, proxies and Frappe may send in other shapes than the commonest
# (RFC 8259, RFC 9110), and what readers of streams take for the end of a line.
# docs/PROTOCOL.md 1.6, 2.1, 3.6, 4.9, 6.5.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Backend;
use MCPTest::HTTP;
use Test::More;

my $bom  = "\xef\xbb\xbf";
our $text = '';

# a backend that answers an echo with $text in it

my $backend = start_backend(sub {
    return if $_[0]{path} =~ /get_logged_user/;

    my ($id) = $_[0]{body} =~ /"id":("[^"]*"|\d+)/;

    return MCPTest::Backend::http(200,
        $text =~ /^\xef\xbb\xbf/
            ? $bom . qq({"jsonrpc":"2.0","id":$id,"result":{}})
            : qq({"jsonrpc":"2.0","id":$id,"result":{"text":"$text",)
              . qq("$text":1}}));
});

start_frappe();

my $nginx  = start_http(backend => $backend->port);
my $stream = open_stream($nginx);
my $list   = request(1, 'tools/list');

# a byte order mark in front of JSON

is(http_post($nginx, "$bom$list")->status, 200,
    'a message with a byte order mark is served');
is(post($nginx, $stream, $bom . request(2, 'ping'))->status, 202,
    'a message of the legacy transport with a byte order mark is accepted');
is_rejected(http_post($nginx, $_->[0]), 400, -32700, 'Parse error', $_->[1])
    for [ $bom, 'a byte order mark alone is no JSON' ],
        [ "$bom$bom$list", 'two are no JSON' ],
        [ "$list$bom", 'one behind the message is no JSON' ],
        [ "\xff\xfe" . join('', map { "$_\0" } split //, $list),
          'UTF-16 is no JSON' ];

{
    local $text = $bom;

    like(http_post($nginx, $list)->answer || '',
        qr/^\{"jsonrpc":"2.0","id":1,"result":\{\}\}$/,
        'an answer of Frappe with a byte order mark is passed on without');
}

# what Python's splitlines() takes for the end of a line; JSON has the control
# characters among them only as escapes

my %separator = (
    'U+0085' => [ "\xc2\x85",     '\u0085' ],
    'U+2028' => [ "\xe2\x80\xa8", '\u2028' ],
    'U+2029' => [ "\xe2\x80\xa9", '\u2029' ],
);

for my $name (sort keys %separator) {
    my ($raw, $escape) = @{ $separator{$name} };

    local $text = "a${raw}b$raw$raw";

    my $want = "a${escape}b$escape$escape";

    for my $got (
        [ 'the legacy transport', call($nginx, $stream,
            request(qq("$name-1"), 'tools/list')) ],
        [ 'an event stream', http_post($nginx, $list,
            accept => 'text/event-stream')->answer ],
        [ 'a JSON answer', http_post($nginx, $list)->answer ],
    ) {
        like($got->[1] || '', qr/"text":"\Q$want\E","\Q$want\E":1\}\}$/,
            "$name in a string is an escape in $got->[0]");
    }

    is(http_post($nginx, request(qq("x$raw"), 'ping'))->answer,
        qq({"jsonrpc":"2.0","result":{},"id":"x$escape"}),
        "$name in an id is an escape in its answer");
}

{
    local $text = "\xc2\x84\xc2\x86\xe2\x80\xa7\xe2\x80\xaa\xe3\x80\xa8\xe2\x81"
        . "\xa8\\\\u2028";

    like(http_post($nginx, $list, accept => 'text/event-stream')->answer || '',
        qr/"text":"\Q$text\E"/, 'other characters are as Frappe sends them');
}

{
    local $text = "\xe2\x80\xa8" x 100_000;

    is(length(http_post($nginx, $list)->answer || ''),
        2 * 600_000 + length '{"jsonrpc":"2.0","id":1,"result":{"text":"",'
        . '"":1}}', 'an answer of nothing but separators is complete');
}

# preflights and OPTIONS at every URL

for my $path ('/mcp', '/mcp/', '/mcp/sse', '/mcp/sse/', '/mcp/messages',
    '/mcp/messages/', '/health', '/metrics')
{
    my $answer = http($nginx, 'OPTIONS', path => $path, auth => undef,
        headers => [ Origin => 'http://erp.example.com',
            'Access-Control-Request-Method' => 'GET' ]);

    is($answer->status, 204, "OPTIONS $path is 204");
    like($answer->header('Allow') || '', qr/OPTIONS/, "OPTIONS $path: Allow");
    is($answer->header('Access-Control-Allow-Origin'),
        $path =~ /mcp/ ? 'http://erp.example.com' : undef,
        "OPTIONS $path: CORS " . ($path =~ /mcp/ ? 'allows' : 'is not for it'));
}

# several blanks between the scheme and the credential

(my $wide = MCPTest::credential()) =~ s/ /   /;

is(http_post($nginx, $list, auth => undef,
    headers => [ Authorization => $wide ])->status, 200,
    'several blanks in Authorization are one');

finish();
