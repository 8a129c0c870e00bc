# Requests that wait for what the module itself asks the backend: they leave,
# the worker stops; and what each backend of the stand-in says.  docs/PROTOCOL.md 15.60 to 15.68.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

my %held;                           # methods whose answers wait
my %asked;                          # how often each was asked
my $older = '{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no"}}';
my $initialized = '{"jsonrpc":"2.0","id":1,"result":{"protocolVersion":'
    . '"2025-06-18","capabilities":{"tools":{}},"serverInfo":{"name":"x",'
    . '"version":"1"}}}';

my $backend = start_backend(sub {
    my ($request) = @_;

    return MCPTest::Backend::http(200, '{"message":"alice@example.com"}')
        if $request->{path} =~ /get_logged_user/;

    my $message = decode($request->{body});
    my $method  = $message->{method};

    $asked{$method}++;

    return (sub { !$held{$method} }, MCPTest::Backend::http(200,
        $method eq 'server/discover' ? $older
        : $method eq 'initialize' ? $initialized
        : '{"jsonrpc":"2.0","id":' . encode($message->{id})
            . ',"result":{"tools":[]}}'));
});


# An nginx that has asked nothing yet.

sub start {
    my (%opt) = @_;

    %asked = ();
    %held  = map { $_ => 1 } @{ delete $opt{hold} || [] };

    return start_http(backend => $backend->port, %opt);
}


sub wait_asked {
    my ($method) = @_;

    return run_until(sub { $asked{$method} });
}


# clients leave

for my $method ('server/discover', 'initialize') {
    my $nginx = start(hold => [ $method ]);
    my $gone  = discover($nginx, 1, async => 1);

    wait_asked($method);
    $gone->close;
    $held{$method} = 0;
    is(discover($nginx, 2)->status, 200,
        "$method: another request is answered after a client has left");
    is($asked{$method}, 1, "$method: the question goes on for it");
    $nginx->stop;
}

# several requests of other methods wait for the era

{
    my $nginx = start(hold => [ 'server/discover' ]);
    my @conns = map { connect_to($nginx) } 1 .. 3;
    my @got   = map { modern($nginx, $_, 'tools/list', {},
        conn => $conns[$_ - 1], async => 1) } 1 .. 3;

    wait_asked('server/discover');
    $conns[1]->close;
    $held{'server/discover'} = 0;
    run_until(sub { $got[0]->ended && $got[2]->ended });
    is_deeply([ map { decode($got[$_]->body)->{id} } 0, 2 ], [ 1, 3 ],
        'requests that wait for the era are answered');
    is($asked{'server/discover'}, 1, 'the era was asked for once');
    $_->close for @conns;
    $nginx->stop;
}

# the worker stops

for my $method ('server/discover', 'initialize') {
    my $nginx  = start(hold => [ $method ],
        main => 'worker_shutdown_timeout 3s;');
    my $answer = discover($nginx, 8, async => 1);

    wait_asked($method);
    $nginx->reload;
    run_until(sub { $answer->ended });
    is_unavailable_answer($answer, 8,
        "$method: the worker stops, it is 200, -32603");
    $answer->{conn}->close;
    $held{$method} = 0;
    is(discover($nginx, 9)->status, 200, "$method: the new worker answers");
    is($asked{$method}, 2, "$method: it asks for itself");
    $nginx->stop;
}

# the backends of the stand-in

my $frappe = start_frappe();

for my $case (
    [ 'FAC 2.1', {}, { dialect => 'old' }, undef,
      qr/"name":"Frappe Assistant Core MCP Server","version":"2\.1\.1"/ ],
    [ 'FAC 2.5', {}, {}, '2025-06-18', qr/"name": "frappe-assistant-core"/ ],
    [ 'FAC 3.0', { fac => '3.0' }, {}, '2025-06-18',
      qr/"name": "frappe-assistant-core"/ ],
    [ 'frappe/mcp', {}, { endpoint => '/api/method/todo.mcp.handle_mcp' },
      '2025-03-26', qr/"name":"todo-mcp"/ ],
    [ '/api/mcp', {}, { endpoint => '/api/mcp' }, '2026-07-28',
      qr/"supportedVersions":\ \["2026-07-28",\ "2025-11-25"\]/x ],
) {
    my ($name, $settings, $opt, $version, $like) = @{$case};

    $frappe->reset;
    $frappe->set(%{$settings}) if %{$settings};

    my $nginx  = start_http(%{$opt});
    my $answer = discover($nginx, 10);

    is($answer->status, 200, "$name: server/discover is 200");
    like($answer->body, $like, "$name: the result is that of this backend");
    is(modern($nginx, 11, 'tools/call', { name => 'echo',
        arguments => {} })->status, 200, "$name: a call is 200");
    is($frappe->last_headers->{'mcp-protocol-version'}, $version,
        "$name: the call has the version of the backend") if $version;
    $nginx->stop;
}

# a token that Frappe has hashed: the look-up is good, each call is 401

{
    $frappe->reset;
    $frappe->set(hash_tokens => JSON::PP::true());

    my $nginx  = start_http();
    my $answer = discover($nginx, 12, auth => 'Bearer alice-token');

    is($answer->status, 401, 'a token that calls refuse is 401');
    like($answer->header('WWW-Authenticate') || '', qr/\ABearer /,
        'it has the challenge of the call');
}

finish();
