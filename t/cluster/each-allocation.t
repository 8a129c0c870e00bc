# Each allocation of the sender of a message and of its owner fails once: the
# client is refused or answered, the instances go on, and nothing stays behind.
# docs/PROTOCOL.md 1.13, 11.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Allocation;
use MCPTest::FakeRedis;
use MCPTest::HTTP;
use Test::More;

my $allocation = MCPTest::Allocation->new;
my $redis      = MCPTest::FakeRedis->new;

# look-ups and calls are answered at once

my $backend = start_backend(sub {
    my ($request) = @_;

    return if $request->{path} =~ /get_logged_user/;

    my ($id) = $request->{body} =~ /"id":(\d+)/;

    return MCPTest::Backend::http(defined $id ? 200 : 202, defined $id
        ? qq({"message":{"jsonrpc":"2.0","id":$id,"result":{"a":"b"}}}) : '');
});

my ($owner, $sender) = map {
    local $ENV{LD_PRELOAD} = $allocation->path;

    start_http(backend => $backend->port, redis => $redis->url, http =>
        'request_pool_size 128; connection_pool_size 128; mcp_sse_grace 300s; '
        . 'mcp_sse_auth_cache 300s; mcp_sse_max_sessions 1000;',
        allow => [ qr/(?:malloc|posix_memalign)\(.*\) failed/,
            MCPTest::Redis::pattern('lost') ])
} 1, 2;

ok(wait_ready($owner, $sender), 'two instances are ready');

my %worker = map { $_ => ($_->wait_workers)[0] } $owner, $sender;
my (%conn, %state);
my $n = 0;


# A connection to an instance that had a request already.

sub again {
    my ($nginx) = @_;

    return $conn{$nginx} if $conn{$nginx} && !$conn{$nginx}{closed};

    $conn{$nginx} = connect_to($nginx);
    $conn{$nginx}->get('/pid');

    return $conn{$nginx};
}


sub seen {
    my ($response) = @_;

    my $status = $response->status or return 'closed';
    my $body   = $response->can('answer') ? $response->answer
        : $response->body;

    return "$status " . (($body || '') =~ /"code":(-\d+)/ ? $1
        : ($body || '') =~ /"result"/ ? 'result' : 'body');
}


# A stream of the owner, whose key is in Redis.

sub stream {
    return $state{stream} if $state{stream} && !$state{stream}{ended};

    my $keys = sub { scalar grep { /:s:/ } keys %{ $redis->keys } };
    my $n    = $keys->();

    $state{stream} = open_stream($owner);
    run_until(sub { $keys->() > $n });

    return $state{stream};
}


sub answered {
    my (@ids) = @_;

    my $stream = $state{stream};
    my $seen   = '';

    for my $id (@ids) {
        $stream->wait_answer($id);

        my @answers = $stream->answers($id);

        $seen .= @answers > 1 ? ' twice' : @answers ? ' answered' : ' none';
        $stream->forget($id);
    }

    return $seen . ($stream->{ended} ? ', the stream ends' : '');
}


my @kinds = (
    [ 'a message', sub {
        my $seen = seen(post($sender, stream(), request(++$n, 'ping'),
            conn => again($sender)));

        return $seen =~ /\A202/ ? $seen . answered($n) : $seen;
    } ],
    [ 'a call', sub {
        my $seen = seen(post($sender, stream(), tool(++$n, 'echo',
            { text => 'x' x 9000 }), conn => again($sender)));

        return $seen =~ /\A202/ ? $seen . answered($n) : $seen;
    } ],
    [ 'a stream that comes back at the other one', sub {
        my $one = open_stream($sender, conn => $state{conn},
            headers => [ 'Last-Event-ID', $state{id} ]);
        my $seen = !$one->status ? 'closed' : $one->status != 200 ? seen($one)
            : !@{ $one->{events} } ? '200 without an event'
            : $one->session eq $state{id} ? '200' : 'another session';

        $_->close for $one, $state{old};

        return $seen;
    }, sub {
        $state{old} = stream();

        delete $state{stream};
        $state{id} = $state{old}->session;
        $state{conn} = connect_to($sender);
        $state{conn}->get('/pid');
    } ],
    [ 'a session id that has ended', sub { seen(http_delete($sender,
        $state{id}, conn => again($sender))) },
        sub { $state{id} = session_id($sender) } ],
    [ 'a cancellation', sub {
        return seen(http_post($sender, notification('notifications/cancelled',
            { requestId => 1 }), session => $state{id},
            conn => again($sender)));
    }, sub { $state{id} = session_id($sender) } ],
);


sub try {
    my ($kind, $fails) = @_;

    my ($name, $request, $first) = @$kind;

    stream();
    $first->() if $first;
    $conn{$sender}->close if $conn{$sender} && $fails;
    again($sender);
    $allocation->fail($fails);

    return $request->();
}


my $refused = qr/\A(?:closed|500\ (?:-32603|body)|429\ -32004
    |202\ body\ none,\ the\ stream\ ends)\z/x;

# All connections but that of the stream are closed, and the workers know.

sub settle {
    $_->close for values %conn;
    get($_, '/health') for $owner, $sender;
    run_until(sub { !metrics($sender)->{nginx_mcp_sse_streams}
        && metrics($owner)->{nginx_mcp_sse_streams} <= 1 });

    return;
}


for my $victim ($sender, $owner) {
    my $who = $victim == $sender ? 'sender' : 'owner';

    $allocation->worker($worker{$victim});

    for my $kind ($victim == $sender ? @kinds : @kinds[0, 1]) {
        my $name = "$kind->[0], at the $who";
        my $good = try($kind, 0);
        my ($seen, $left) = $allocation->each(sub { try($kind, $_[0]) },
            \&settle);

        is(try($kind, 0), $good, "$name: $good without a failure");
        cmp_ok(scalar(keys %$seen), '>', 1, "$name: failures are seen");
        is_deeply([ grep { $_ ne $good && !/$refused/ } sort keys %$seen ], [],
            "$name: what is told is true");

        # the owner keeps the number of each packet until it expires

        cmp_ok($left, '<=', 0, "$name: no block is left")
            if $victim == $sender;
    }
}

is_deeply([ map { $_->wait_workers } $owner, $sender ],
    [ @worker{ $owner, $sender } ], 'the workers are the same');

finish();
