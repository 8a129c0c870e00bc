# server/discover: what it says, what the backend is asked for it, and what
# happens while that cannot be asked.  docs/PROTOCOL.md 15.60 to 15.65.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

my $versions = '["2026-07-28","2025-11-25","2025-06-18","2025-03-26",'
    . '"2024-11-05"]';

my $frappe = start_frappe();


# The members of the last MCP call with this method that the stand-in got.

sub asked {
    my ($method) = @_;

    my ($last) = reverse grep { ($_->{body} || '') =~ /"\Q$method\E"/ }
        $frappe->requests;

    return decode($last->{body});
}


my $nginx   = start_http(workers => 2);
my @workers = $nginx->wait_workers;

# the result

{
    my $answer = discover($nginx, '"server-discover-probe-1"');

    is($answer->status, 200, 'server/discover is 200');
    is($answer->body, '{"jsonrpc":"2.0","id":"server-discover-probe-1",'
        . '"result":{"resultType":"complete","supportedVersions":' . $versions
        . ',"capabilities":{"tools":{},"prompts":{},"resources":{}},'
        . '"ttlMs":600000,"cacheScope":"private","_meta":{'
        . '"io.modelcontextprotocol/serverInfo":'
        . '{"name": "frappe-assistant-core", "version": "2.0.0"}}}}',
        'the result is built of what initialize has told');
    is($answer->header('Mcp-Session-Id'), undef,
        'server/discover makes no session id');
}

# what the backend was asked

{
    is($frappe->count('server/discover'), 1,
        'the backend was asked whether it speaks the modern era');
    is($frappe->count('initialize'), 1, 'the backend was initialized once');
    is_deeply(asked('initialize')->{params}, {
        protocolVersion => '2025-11-25', capabilities => {},
        clientInfo => { name => 'ngx_http_mcp_sse_module',
            version => asked('initialize')->{params}{clientInfo}{version} },
    }, 'initialize offers the newest version of the older era');

    my $headers = $frappe->last_headers;

    is($headers->{'mcp-protocol-version'}, undef,
        'initialize has no version in a header');
    is($headers->{'mcp-method'}, undef,
        'initialize has no method in a header');
    is($headers->{'mcp-session-id'}, undef, 'initialize has no session id');
}

for my $worker (@workers) {
    is(discover($nginx, 2, worker => $worker)->status, 200,
        'each worker answers server/discover');
}

is($frappe->count('initialize'), 1, 'the result is kept for all workers');
is(discover($nginx, 3, auth => MCPTest::credential('bob'))->status, 200,
    'server/discover of another user is 200');
is($frappe->count('initialize'), 2, 'the result is kept for one user');
is($frappe->count('server/discover'), 1, 'the era is kept for the site');

# a call has the version of the backend

{
    my $answer = modern($nginx, 4, 'tools/call',
        { name => 'echo', arguments => { text => 'x' } });

    is($answer->status, 200, 'a call of the modern era is 200');

    my $headers = $frappe->last_headers;

    is($headers->{'mcp-protocol-version'}, '2025-06-18',
        'the call has the version that the backend has answered');
    is($headers->{'mcp-session-id'}, undef, 'the call has no session id');
    is($headers->{'mcp-name'}, 'echo', 'the call has the other headers');
}

# requests that come at the same time share one question

{
    my $other = start_http();
    my @conns = map { connect_to($other) } 1 .. 5;

    $frappe->reset;

    my @got = map { discover($other, $_, conn => $conns[$_ - 1],
        async => 1) } 1 .. 5;

    run_until(sub { !grep { !$_->ended } @got });

    is_deeply([ map { $_->status } @got ], [ (200) x 5 ],
        'five requests at the same time are answered');
    is_deeply([ map { decode($_->body)->{id} } @got ], [ 1 .. 5 ],
        'each of them has its own id');
    is($frappe->count('initialize'), 1,
        'the backend is asked once for all of them');
    is($frappe->count('server/discover'), 1, 'its era is asked for once');
    $_->close for @conns;
    $other->stop;
}

# what cannot be asked

{
    is(http_post($nginx, request(1, 'ping'),
        auth => MCPTest::credential('admin'))->status, 200,
        'the credential of another user is looked up');
    $frappe->set(down => 502);
    is_unavailable_answer(discover($nginx, 6,
        auth => MCPTest::credential('admin')), 6, 'a call that fails');

    # a user whose credential cannot be looked up

    is_unavailable_answer(discover($nginx, '"seven"',
        auth => 'Bearer alice-token'), '"seven"', 'a look-up that fails');
    is(modern($nginx, 8, 'tools/list', {}, auth => 'Bearer alice-token')
        ->status, 502, 'another method is 502 if the look-up fails');
    $frappe->reset;
}

# credentials that are not good

{
    my $answer = discover($nginx, 9, auth => 'Bearer expired-token');

    is($answer->status, 401, 'a bad credential is 401');
    like($answer->header('WWW-Authenticate') || '', qr/\ABearer /,
        'it has the challenge');

    is(discover($nginx, 10, auth => MCPTest::credential('noaccess'))->status,
        403, 'a user without access is 403');
}

# answers of a backend that FAC does not give

my %results = (
    'more than is served' => [
        '{"protocolVersion":"2025-11-25","capabilities":{"tools":'
        . '{"listChanged":true},"logging":{},"tasks":{"list":{}},'
        . '"experimental":{"x":{}},"resources":{"subscribe":true},'
        . '"completions":{}},"serverInfo":{"name":"x","version":"2",'
        . '"title":"X"},"instructions":"Be \"kind\"","more":1}',
        '"capabilities":{"tools":{},"resources":{},"completions":{}},'
        . '"instructions":"Be \"kind\"","ttlMs":600000,'
        . '"cacheScope":"private","_meta":{'
        . '"io.modelcontextprotocol/serverInfo":{"name":"x","version":"2",'
        . '"title":"X"}}}}' ],
    'no serverInfo' => [
        '{"protocolVersion":"2025-11-25","capabilities":{"prompts":null}}',
        qr/"capabilities":\{\},"ttlMs":600000,"cacheScope":"private",
           "_meta":\{"io\.modelcontextprotocol\/serverInfo":
           \{"name":"ngx_http_mcp_sse_module","version":"[\d.]+"\}\}\}\}\z/x ],
    'serverInfo without a version' => [
        '{"capabilities":{},"serverInfo":{"name":"x"},"instructions":7}',
        qr/"capabilities":\{\},"ttlMs":600000,"cacheScope":"private",
           "_meta":\{"io\.modelcontextprotocol\/serverInfo":
           \{"name":"ngx_http_mcp_sse_module",/x ],
    'a result that is no object' => [ '[]', undef ],
);

for my $name (sort keys %results) {
    my ($result, $want) = @{ $results{$name} };

    my $backend = start_backend(sub {
        my ($request) = @_;

        return MCPTest::Backend::http(200, '{"message":"alice@example.com"}')
            if $request->{path} =~ /get_logged_user/;

        return MCPTest::Backend::http(404, 'no', 'Content-Type', 'text/plain')
            if $request->{body} =~ m{server/discover};

        return MCPTest::Backend::http(200,
            qq({"jsonrpc":"2.0","id":1,"result":$result}));
    });
    my $other  = start_http(backend => $backend->port);
    my $answer = discover($other, 1);

    if ($want) {
        is($answer->status, 200, "$name: 200");
        ref $want ? like($answer->body, $want, "$name: the result")
            : is($answer->body, '{"jsonrpc":"2.0","id":1,"result":{'
                . '"resultType":"complete","supportedVersions":' . $versions
                . ",$want", "$name: the result");
    }

    is_unavailable_answer($answer, 1, $name) unless $want;
    $other->stop;
    $backend->stop;
}

finish();
