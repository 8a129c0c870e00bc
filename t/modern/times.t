# server/discover and the era of the backend, when time passes: what is known is
# asked for again, what is old is used while Frappe is down, and a question
# takes ten seconds at most.  docs/PROTOCOL.md 15.61, 15.62, 15.66, 15.67.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

my $clock = MCPTest::Clock->new;
my %held;                           # methods whose answers wait
my @asked;                          # methods, as the backend gets them
my $probe;                          # the answer to server/discover

my $older = '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}';
my $modern = '{"jsonrpc":"2.0","id":1,"result":{"resultType":"complete",'
    . '"supportedVersions":["2026-07-28"],"capabilities":{},"ttlMs":5,'
    . '"cacheScope":"public"}}';
my $initialized = '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":'
    . '"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"x",'
    . '"version":"1"}}}';
my %version;                        # of the last call of a method

my $backend = start_backend(sub {
    my ($request) = @_;

    if ($held{lookup}) {
        push @asked, 'lookup';
        return \'hang';
    }

    return MCPTest::Backend::http(200, '{"message":"'
        . ($request->{headers}{authorization} =~ /bob/ ? 'bob' : 'alice')
        . '@example.com"}') if $request->{path} =~ /get_logged_user/;

    my $message = decode($request->{body});
    my $method  = $message->{method};

    push @asked, $method;
    $version{$method} = $request->{headers}{'mcp-protocol-version'};

    return (sub { !$held{$method} }, MCPTest::Backend::http(
        $method eq 'server/discover' ? @{$probe}
        : $method eq 'initialize' ? (200, $initialized)
        : (200, '{"jsonrpc":"2.0","id":' . encode($message->{id})
            . ',"result":{"tools":[]}}')));
});


# An nginx that has asked nothing yet.

sub start {
    my (%opt) = @_;

    local $ENV{LD_PRELOAD} = $clock->path;

    @asked = ();
    %held  = map { $_ => 1 } @{ delete $opt{hold} || [] };
    $probe = delete $opt{probe} || [ 200, $older ];

    return start_http(backend => $backend->port, %opt);
}


sub list { return modern($_[0], 1, 'tools/list', {}) }


# The methods that the backend has got since the last time.

sub asked {
    my @got = @asked;

    @asked = ();

    return join ' ', @got;
}


sub wait_asked {
    my ($method) = @_;

    return run_until(sub { grep { $_ eq $method } @asked });
}


# for ten minutes nothing is asked again

{
    my $nginx = start();

    discover($nginx, 1);
    is(asked(), 'server/discover initialize', 'both are asked for');
    $clock->advance(590);
    discover($nginx, 2);
    is(asked(), '', 'for ten minutes they are known');
    discover($nginx, 3, auth => MCPTest::credential('bob'));
    is(asked(), 'initialize', 'the result of another user is asked for');
    $clock->advance(11);
    list($nginx);
    is(asked(), 'server/discover tools/list',
        'which does not make the era known for longer');
    is($version{'tools/list'}, '2025-06-18', 'the version stays known');
    discover($nginx, 4);
    is(asked(), 'initialize', 'after ten minutes the result is asked for');
    $nginx->stop;
}

# the era

for my $case ([ 'modern', [ 200, $modern ], '2026-07-28' ],
    [ 'older', [ 404, 'no', 'Content-Type', 'text/html' ], undef ])
{
    my ($name, $answer, $version) = @{$case};
    my $nginx = start(probe => $answer);

    list($nginx) for 1 .. 2;
    is(asked(), 'server/discover tools/list tools/list',
        "$name: the era is known");
    $clock->advance(590);
    list($nginx);
    is(asked(), 'tools/list', "$name: for ten minutes");
    $clock->advance(11);
    list($nginx);
    is(asked(), 'server/discover tools/list', "$name: then it is asked for");
    is($version{'tools/list'}, $version, "$name: it is the same");
    $nginx->stop;
}

# answers that tell nothing

for my $status (401, 429, 500, 503) {
    my $nginx = start(probe => [ $status, '{}' ]);

    is(list($nginx)->status, 200, "$status: the request goes on");
    is($version{'tools/list'}, undef, "$status: as for the older era");
    is(asked(), 'server/discover tools/list', "$status: it was asked for");
    list($nginx);
    is(asked(), 'tools/list', "$status: not for each request");

    $probe = [ 200, $modern ];
    $clock->advance(6);
    list($nginx);
    is(asked(), 'server/discover tools/list', "$status: but soon again");
    is($version{'tools/list'}, '2026-07-28', "$status: then it is known");

    $probe = [ $status, '{}' ];
    $clock->advance(601);
    list($nginx);
    is(asked(), 'server/discover tools/list', "$status: asked for at its end");
    is($version{'tools/list'}, '2026-07-28', "$status: what was known holds");
    $nginx->stop;
}

# while calls fail, what the backend has told before

{
    my $nginx = start();
    my $known = discover($nginx, 5)->body;

    $clock->advance(100_000);
    $held{$_} = 1 for 'server/discover', 'initialize';
    asked();

    my $answer = discover($nginx, 5, async => 1);

    wait_asked('server/discover');
    $clock->advance(11);
    wait_asked('initialize');
    $clock->advance(11);
    run_until(sub { $answer->ended });
    is($answer->body, $known, 'what the backend has told before is used');
    $nginx->stop;
}

# Frappe hangs

{
    my $nginx  = start(hold => [ 'initialize' ]);
    my $answer = discover($nginx, 3, async => 1);

    wait_asked('initialize');
    $clock->advance(11);
    run_until(sub { $answer->ended });
    is_unavailable_answer($answer, 3, 'a backend that hangs is 200, -32603');
    ok($nginx->wait_log(qr/Frappe has not answered "initialize" of the module/),
        'the log says so');
    $nginx->stop;
}

{
    my $nginx  = start(hold => [ 'lookup' ]);
    my $answer = discover($nginx, '"look-up"', async => 1);

    wait_asked('lookup');
    $clock->advance(61);
    run_until(sub { $answer->ended });
    is_unavailable_answer($answer, '"look-up"',
        'a look-up that hangs is 200, -32603');
    $nginx->stop;
}

{
    my $nginx  = start(hold => [ 'server/discover' ]);
    my $answer = modern($nginx, 4, 'tools/list', {}, async => 1);

    wait_asked('server/discover');
    $clock->advance(11);
    run_until(sub { $answer->ended });
    is(decode($answer->body)->{id}, 4,
        'a request goes on when the era was not told in 10 seconds');
    $nginx->stop;
}

# the limits of the user: the place of a call

{
    my $nginx = start(http => 'mcp_sse_backend_calls 1;',
        hold => [ 'tools/list' ]);
    my $running = modern($nginx, 5, 'tools/list', {}, async => 1);

    wait_asked('tools/list');

    my $answer = discover($nginx, 6, async => 1);

    $clock->advance(11);
    run_until(sub { $answer->ended });
    is_unavailable_answer($answer, 6,
        'without a place for the call it is 200, -32603');
    is(scalar(grep { $_ eq 'initialize' } @asked), 0,
        'the backend was not asked then');
    $held{'tools/list'} = 0;
    run_until(sub { $running->ended });
    is($running->status, 200, 'the call that had the place is answered');
    is(discover($nginx, 7)->status, 200, 'then it is asked');
    is(scalar(grep { $_ eq 'initialize' } @asked), 1, 'once');
    $nginx->stop;
}

# a user whose calls are all taken asks for the era, which waits behind them

{
    my $nginx = start(mcp => 'mcp_sse_max_calls 1;', hold => [ 'prompts/get' ]);
    my $slow  = http_post($nginx, request(1, 'prompts/get', { name => 'x' }),
        async => 1);

    wait_asked('prompts/get');

    my $behind = modern($nginx, 2, 'tools/list', {}, async => 1);

    http_post($nginx, request(9, 'ping'));      # it has come before this one
    asked();
    is(modern($nginx, 3, 'tools/list', {},
        auth => MCPTest::credential('bob'))->status, 200,
        'another user does not wait for the calls of this one');
    is(asked(), 'server/discover tools/list', 'but asks, too');
    $clock->advance(11);
    ok($nginx->wait_log(qr/\[info\].*"server\/discover"\ of\ the\ module\ has
        \ waited\ for\ other\ calls\ for\ 10\ seconds/x), 'the log says why');
    $clock->advance(6);
    modern($nginx, 4, 'tools/list', {}, auth => MCPTest::credential('bob'));
    is(asked(), 'tools/list', 'what the other user has found out stays known');
    $held{'prompts/get'} = 0;
    run_until(sub { $slow->ended && $behind->ended });
    is($behind->status, 200, 'the request that waited is answered');
    unlike($nginx->error_log, qr/\[error\]/, 'Frappe has no fault');
    $nginx->stop;
}

# what is old is asked for by one request, others go on with it

{
    my $nginx = start(probe => [ 200, $modern ]);

    list($nginx);
    $clock->advance(601);
    $held{'server/discover'} = 1;
    asked();

    my $first = modern($nginx, 2, 'tools/list', {}, async => 1);

    wait_asked('server/discover');
    asked();
    is(modern($nginx, 3, 'tools/list', {},
        auth => MCPTest::credential('bob'))->status, 200,
        'a request does not wait while another one asks again');
    is(asked(), 'tools/list', 'and does not ask, too');
    is($version{'tools/list'}, '2026-07-28', 'it goes on with what was known');
    $held{'server/discover'} = 0;
    run_until(sub { $first->ended });
    is($first->status, 200, 'the one that has asked is answered');
    $clock->advance(590);
    asked();
    list($nginx);
    is(asked(), 'tools/list', 'then it is known for ten minutes again');
    $nginx->stop;
}

finish();
