# Progress that Frappe tells: with the token of the request, always rising,
# never more than was told; between its values those of the module.
# docs/PROTOCOL.md 5.9, 16.13.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my $redis  = start_redis();
my $frappe = frappe();
my $nginx  = start_push(push => $redis, mcp => 'mcp_sse_progress 300s;',
    stream => 'mcp_sse_progress 300s;');


# The raw params of progress that has come to a client.

sub progress {
    my ($client) = @_;

    return map { $_->{data} =~ /"params":(.*)\}\z/ ? $1 : 'none' }
        grep { $_->{data} =~ m{"notifications/progress"} } $client->messages;
}


sub values_of {
    return map { /"progress":([^,}]*)/ ? $1 : 'none' } progress($_[0]);
}


# A call that waits at its gate; its client and its X-MCP-Call.  A reference is
# a raw token.

my $held = 0;


sub held {
    my ($client, $token) = @_;

    my $key = 'held ' . ++$held;
    my $message = tool($held, 'hold', { key => $key, gate => $key },
        _meta => { progressToken => ref $token ? 'TOKEN' : $token });

    $message =~ s/"TOKEN"/$$token/ if ref $token;

    my $got = $client->($message);

    return { client => $got, call => call_id($key), gate => $key,
        id => $held };
}


# Publishes raw params for a call, and waits until they have come.

sub told {
    my ($of, @params) = @_;

    for my $params (@params) {
        my $n = progress($of->{client});

        publish($redis, { call => $of->{call},
            method => 'notifications/progress', params => \$params });
        run_until(sub { progress($of->{client}) > $n }) or return 0;
    }

    return 1;
}


# Ends a call and waits for the answer.

sub ends {
    my ($of) = @_;

    $frappe->open_gate($of->{gate});

    return $of->{client}->wait_answer($of->{id});
}


my $stream = open_stream($nginx);
my %client = (
    'HTTP+SSE' => sub { post($nginx, $stream, shift); $stream },
    'a POST' => sub { http_post($nginx, shift, async => 1) },
    'a modern POST' => sub { modern($nginx, decode($_[0])->{id},
        'tools/call', decode($_[0])->{params}, async => 1) },
);

for my $name (sort keys %client) {
    my $of = held($client{$name}, "t\x{20ac}\"");
    my $token = qq("progressToken":"t\xe2\x82\xac\\"");

    $of->{client}{messages} = [] if $of->{client} == $stream;

    ok(told($of, '{"progress":0}', '{"progress":0.3,"total":1}',
        qq({"message":"half \\u00e9 \xe2\x80\xa8","progress":5e-1,)
        . '"total":1.0,"progressToken":"forged","x":[1]}',
        '{"progress":0.4}', '{"progress":0.5,"message":"again"}',
        '{"progress":1,"total":1}'), "$name: all progress arrives");
    is_deeply([ progress($of->{client}) ], [
        "{$token,\"progress\":0}",
        "{$token,\"progress\":0.3,\"total\":1}",
        "{$token,\"progress\":5e-1,\"total\":1.0,\"message\":"
            . '"half \u00e9 \u2028"}',
        "{$token,\"progress\":0.50000100000000003}",
        "{$token,\"progress\":0.50000200000000006,\"message\":\"again\"}",
        "{$token,\"progress\":1,\"total\":1}",
    ], "$name: with the token of the request, each value above the last one");
    ok(ends($of), "$name: the call is answered");
    is(progress($of->{client}), 6, "$name: no progress comes with the answer");
}

# tokens are raw

for my $token ('7', '12345678901234567890', '""') {
    my $of = held($client{'a POST'}, \$token);

    told($of, '{"progress":1}');
    is_deeply([ progress($of->{client}) ],
        [ qq({"progressToken":$token,"progress":1}) ],
        "the token $token comes back as it is");
    ends($of);
}

$stream->close;

# in silence, the last value is repeated with its total and message

{
    my $often = start_push(push => $redis, mcp => 'mcp_sse_progress 200ms;');
    my $of = held(sub { http_post($often, shift, async => 1) }, 't');
    my $got = $of->{client};
    my $more = sub { my $n = progress($got) + $_[0];
        return run_until(sub { progress($got) >= $n }) };

    ok($more->(2), 'before anything is told, the module sends progress');
    ok(told($of, '{"progress":0.3,"total":2,"message":"a"}'),
        'then Frappe tells some');
    ok($more->(2), 'the module goes on');
    told($of, '{"progress":0.4}');
    ok($more->(2), 'and so after the next one');

    my @all = map { s/"progressToken":"t",//r } progress($got);
    my @own = grep { !/total|0\.4/ } @all;

    is_deeply(\@own, [ map { sprintf '{"progress":%s}',
        $_ ? sprintf '0.%06d', $_ : 0 } 0 .. $#own ],
        'its first values are as small as they can be');
    is_deeply([ grep { /total/ } @all ], [ map {
            sprintf '{"progress":0.3%s,"total":2,"message":"a"}',
            $_ ? sprintf '%05d', $_ : '' } 0 .. grep({ /total/ } @all) - 1 ],
        'what was told is repeated, a millionth larger each time');
    like((grep { /0\.4/ } @all)[1], qr/\A\{"progress":0\.400001\}\z/,
        'total and message are those of the last value: none');
    ends($of);
}

# the timer begins again with each value

{
    my $slow = start_push(push => $redis, mcp => 'mcp_sse_progress 2s;');
    my $of = held(sub { http_post($slow, shift, async => 1) }, 't');

    for my $n (1 .. 12) {
        told($of, qq({"progress":$n}));
        sleep_for(0.25);
    }

    my @values = values_of($of->{client});
    my @own    = grep { /\./ } @values;

    # on a slow machine there may be silence all the same

    cmp_ok(scalar @own, '<=', 1,
        'while Frappe tells progress, the module adds none')
        or diag("@values");
    ends($of);
}

# mcp_sse_progress off

{
    my $off = start_push(push => $redis, mcp => 'mcp_sse_progress off;');
    my $of = held(sub { http_post($off, shift, async => 1) }, 't');

    ok(told($of, '{"progress":1}', '{"progress":2}'),
        'mcp_sse_progress off: what Frappe tells comes all the same');
    ends($of);
}

finish();
