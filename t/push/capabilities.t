# What a server can do, as its clients are told: with mcp_sse_events that lists
# change, that resources can be subscribed to, and log messages.
# docs/PROTOCOL.md 16.83 to 16.85.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();


sub capabilities { return $_[0]->{result}{capabilities} }


# What is told with the backend at an endpoint, by an answer of each form.

sub told {
    my ($nginx, $told, $name) = @_;

    for my $accept ('application/json, text/event-stream', 'text/event-stream')
    {
        my $answer = initialize($nginx, accept => $accept);
        my $said   = $accept =~ /json/ ? $answer->json
            : decode(($answer->events)[-1]->{data});

        is_deeply(capabilities($said), $told, "$name: initialize, $accept");
        MCPTest::secret($answer->header('Mcp-Session-Id'));
    }

    my $stream = open_stream($nginx);
    my $answer = call($nginx, $stream, request(1, 'initialize',
        { protocolVersion => '2024-11-05', capabilities => {},
            clientInfo => { name => 'test', version => '1' } }));

    is_deeply(capabilities(decode($answer)), $told,
        "$name: initialize, HTTP+SSE");
    like($answer, qr/\A\{"jsonrpc":"2\.0","id":1,"result":\{.*\}\}\z|"id":\s?1/,
        "$name: the rest is there");

    is_deeply(capabilities(discover($nginx, 2)->json), $told,
        "$name: server/discover");

    return;
}


my $true = JSON::PP::true;
my $list = { listChanged => $true };

for my $case (
    [ 'a backend of the older era', undef, { logging => {}, tools => $list,
        prompts => $list, resources => { subscribe => $true, %{$list} } } ],
    [ 'one that can do less, of both eras', '/api/mcp',
        { logging => {}, tools => $list } ],
) {
    my ($name, $endpoint, $want) = @{$case};

    my @at = defined $endpoint ? (endpoint => $endpoint) : ();

    told(start_push(push => $redis, mcp => '', @at), $want, $name);
}

{
    my $nginx = start_http();

    is_deeply(capabilities(initialize($nginx)->json),
        { tools => {}, prompts => {}, resources => {} },
        'without mcp_sse_events the backend is not corrected');
    is_deeply(capabilities(discover($nginx, 1)->json),
        { tools => {}, prompts => {}, resources => {} },
        'nor in the modern era');

    # the result that is kept is not the one of another configuration

    $nginx->configure(push => $redis);
    $nginx->wait_gone([ $nginx->reload ]);
    wait_push($nginx);

    is_deeply(capabilities(discover($nginx, 2)->json),
        { logging => {}, tools => $list, prompts => $list,
            resources => { subscribe => $true, %{$list} } },
        'after a reload with mcp_sse_events it is');
}

# an error stays as it is

{
    my $error = '{"jsonrpc":"2.0","id":0,"error":{"code":-32603,'
        . '"message":"no","data":{"capabilities":{}}}}';
    my $backend = start_backend(sub {
        return $_[0]{method} eq 'POST' ? MCPTest::Backend::http(200, $error)
            : ();
    });
    my $nginx = start_push(push => $redis, mcp => '', backend => $backend->port);

    is(initialize($nginx)->body, $error, 'an error stays as it is');
}

finish();
