# Who a client is, as it says itself: $mcp_sse_client, $mcp_sse_version, and
# X-Assistant-Client-Id, which Frappe Assistant Core notes in its audit log; for
# sessions of both transports, and for requests of the modern era.
# docs/PROTOCOL.md 8.7 to 8.12, 15.80 to 15.81.

use strict;
use warnings;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use MCPTest::Nginx;
use Test::More;

my $secret = MCPTest::Nginx::random_key();
my $frappe = start_frappe();
my $log    = q(log_format who escape=json '{"client":"$mcp_sse_client",)
    . q("version":"$mcp_sse_version","method":"$mcp_sse_method",)
    . q("query":"$args"}'; mcp_sse_grace 300s;);

my $nginx = start_http(workers => 2,
    http     => $log,
    key_file => MCPTest::Nginx::key_file($secret),
    mcp      => 'access_log logs/front.log who;',
    stream   => 'access_log logs/stream.log who;',
    call     => 'access_log logs/call.log who;');

my ($one, $two) = $nginx->wait_workers;
my $list  = request(1, 'tools/list');
my $lines = 0;


# "client version" of the newest line of a log of calls, which is there when the
# answer is

sub called {
    my ($line) = ($nginx->audit(++$lines, 'call.log'))[-1];

    return "$line->{client} $line->{version}";
}


# that of the line of the last request, whose query is not that of any other

my $query = 0;


sub path { return '/mcp?' . ++$query }


sub front {
    my @lines;

    run_until(sub {
        @lines = grep { $_->{query} eq $query } $nginx->audit(0, 'front.log');
        return scalar @lines;
    });

    return "$lines[0]{client} $lines[0]{version}";
}


sub header { return $frappe->last_headers->{'x-assistant-client-id'} }


sub start {
    my ($params, %opt) = @_;

    my $answer = http_post($nginx, request(0, 'initialize', $params), %opt,
        path => path());
    my $id     = $answer->header('Mcp-Session-Id');

    MCPTest::secret($id);

    return $id;
}


# ---- Streamable HTTP: the session id tells it to every worker

my $info   = { name => 'claude-code', version => '2.1.5' };
my $params = { protocolVersion => '2025-06-18', capabilities => {},
    clientInfo => $info };

my $id = start($params);

is(called(), 'claude-code/2.1.5 2025-06-18', 'the call of initialize has both');
is(header(), 'claude-code/2.1.5', 'and Frappe is told');
is(front(), 'claude-code/2.1.5 2025-06-18', 'the request of initialize, too');

for my $worker ($one, $two) {
    http_post($nginx, $list, session => $id, worker => $worker,
        path => path());
    is(called(), 'claude-code/2.1.5 2025-06-18', 'each worker knows both');
    is(header(), 'claude-code/2.1.5', 'each worker tells Frappe');
    is(front(), 'claude-code/2.1.5 2025-06-18', 'each worker logs it');
}

http_post($nginx, $list, session => $id, protocol => '2025-03-26');
is(called(), 'claude-code/2.1.5 2025-03-26',
    'the version header goes before what was offered');
is($frappe->last_headers->{'mcp-protocol-version'}, '2025-03-26',
    'and goes to Frappe');

http_post($nginx, $list, protocol => '2025-11-25');
is(called(), ' 2025-11-25', 'without a session the client is not known');
is(header(), undef, 'and Frappe is not told');

http_post($nginx, $list);
is(called(), ' ', 'without a header and a session nothing is known');
is($frappe->last_headers->{':'}, undef, 'no header is made up');

http_post($nginx, $list, headers => [ 'X-Assistant-Client-Id' => 'evil',
    'X_Assistant_Client_Id' => 'evil' ]);
is(called(), ' ', 'a client does not say it by a header');
is(header(), undef, 'its own header does not reach Frappe');

http_post($nginx, $list, session => $id,
    headers => [ 'X-Assistant-Client-Id' => 'evil' ]);
is(called(), 'claude-code/2.1.5 2025-06-18', 'nor in a session');
is_deeply([ map { $_->[1] } grep { lc $_->[0] eq 'x-assistant-client-id' }
    @{ (grep { $_->{path} =~ /handle_mcp/ } $frappe->requests)[-1]{headers} } ],
    [ 'claude-code/2.1.5' ], 'Frappe gets one header');

{
    my $stream = http_get($nginx, session => $id);
    my $before = $nginx->audit(0, 'front.log');

    $stream->{conn}->close;
    is(($nginx->audit($before + 1, 'front.log'))[-1]{client},
        'claude-code/2.1.5', 'the line of a GET has the client');
}

# ---- what clients send

for my $case (
    [ 'no params',       undef, ' ', undef ],
    [ 'empty params',    {}, ' ', undef ],
    [ 'a name only',     { clientInfo => { name => 'x' } }, 'x ', 'x' ],
    [ 'a version of the future', { protocolVersion => '2026-07-28',
        clientInfo => { name => 'x' } }, 'x 2025-11-25', 'x' ],
    [ 'no version',      { protocolVersion => 'latest' }, ' 2025-11-25',
        undef ],
    [ 'line breaks',     { clientInfo => { name => "a\r\nX-Evil: 1\r\n\r\n",
        version => "\"<b>\0" } }, 'a??X-Evil: 1????/??b?? ',
        'a??X-Evil: 1????/??b??' ],
    [ 'a name that is too long', { clientInfo => { name => 'n' x 100_000,
        version => '1' } }, 'n' x 64 . ' ', 'n' x 64 ],
    [ 'another type',    { clientInfo => [ 1 ], capabilities => 1 }, ' ',
        undef ],
) {
    my ($name, $of, $want, $header) = @$case;

    # "latest" is no date, and is not an offer

    $want = ' ' if $name eq 'no version';

    my $session = start($of);

    is(called(), $want, "$name: the call of initialize");
    is(header(), $header, "$name: what Frappe gets");

    http_post($nginx, $list, session => $session);
    is(called(), $want, "$name: a call of the session");
    is(header(), $header, "$name: what Frappe gets with it");
    cmp_ok(length $session, '<=', 139, "$name: the id has at most 139 bytes");
}

# ---- ids of other versions, and with other claims

{
    my $bare = start_http(workers => 1, http => $log,
        key_file => MCPTest::Nginx::key_file($secret),
        server   => 'mcp_sse_principal alice@example.com;',
        call     => 'access_log logs/call.log who;');

    my $make = sub {
        my ($version, $claims, @hidden) = @_;

        my @fields = ($version, pack('N', time), 'inst', 'r' x 12,
            length $claims ? $claims : ());
        my @signed = @hidden ? @hidden : @fields;
        my $mac = hmac_sha256(join('', map { pack('N', length) . $_ }
            'streamable', @signed, 'erp.example.com', 'alice@example.com'),
            $secret);
        my $text = encode_base64url(join('', @fields) . substr $mac, 0, 16);

        MCPTest::secret($text);

        return $text;
    };

    my $status = sub { http_post($bare, $list, session => $_[0])->status };

    is($status->($make->("\1", '')), 200, 'an id of version 1 is good');
    is(($bare->audit(1, 'call.log'))[-1]{client}, '', 'and has no client');
    is($status->($make->("\2", "\x33\x79\x3fcurl/8")), 200,
        'an id of version 2 is good');
    is(($bare->audit(2, 'call.log'))[-1]{client}, 'curl/8',
        'and tells its client');
    is($status->($make->("\2", "\x33")), 200, 'claims may be short');
    is(($bare->audit(3, 'call.log'))[-1]{client}, '', 'and tell nothing then');
    is($status->($make->("\3", "\x33\x79\x3fcurl/8")), 404,
        'an id of version 3 is not');
    is($status->($make->("\2", "\x33\x79\x3fcurl/9", "\2", pack('N', time),
        'inst', 'r' x 12, "\x33\x79\x3fcurl/8")), 404,
        'claims are under the MAC');
    is($status->($make->("\1", '', "\2", pack('N', time), 'inst', 'r' x 12)),
        404, 'the version, too');

    my $legacy = open_stream($bare, auth => undef);

    is(post($bare, $make->("\2", "\x33\x79\x3fcurl/8"), $list,
        auth => undef)->status, 400, 'no id with claims is of HTTP+SSE');

    my $other = open_stream($bare, auth => undef,
        headers => [ 'Last-Event-ID', $make->("\2", "\x33\x79\x3fcurl/8") ]);

    like($other->session || '', qr/\A[\w-]{50}\z/,
        'one in Last-Event-ID is ignored');
    $_->close for $legacy, $other;
}

# ---- the modern era: each request tells it

modern($nginx, 1, 'tools/list', undef, path => path(),
    meta => { clientInfo => { name => 'go-sdk', version => '1.7' } });
is(called(), 'go-sdk/1.7 2026-07-28', 'a modern request: its call');
is(header(), 'go-sdk/1.7', 'Frappe is told');
is(front(), 'go-sdk/1.7 2026-07-28', 'the request itself');
isnt($frappe->last_headers->{'mcp-protocol-version'} || '', '2026-07-28',
    'Frappe gets no version that it does not speak');

modern($nginx, 1, 'tools/list', undef, session => $id,
    meta => { clientInfo => undef });
is(called(), ' 2026-07-28', 'its session id tells nothing');
is(header(), undef, 'nor to Frappe');

modern($nginx, 1, 'ping', undef, path => path());
is(front(), 'test/1 2026-07-28', 'one that is refused');

# ---- HTTP+SSE: the worker that has the stream knows it

my $stream = open_stream($nginx, worker => $one);

call($nginx, $stream, request(1, 'tools/list'));
is(called(), ' ', 'HTTP+SSE: before initialize nothing is known');
is(header(), undef, 'and Frappe is not told');

call($nginx, $stream, request(2, 'initialize', $params), worker => $two);
is(called(), 'claude-code/2.1.5 2025-06-18', 'HTTP+SSE: initialize');
is(header(), 'claude-code/2.1.5', 'Frappe is told');

for my $worker ($one, $two) {
    call($nginx, $stream, request(3, 'tools/list'), worker => $worker,
        headers => [ 'X-Assistant-Client-Id' => 'evil' ]);
    is(called(), 'claude-code/2.1.5 2025-06-18',
        'HTTP+SSE: messages by each worker');
    is(header(), 'claude-code/2.1.5', 'Frappe is told');
}

# a stream with the same session id, which replaces the first one

for my $case (
    [ 'replaced in its worker',      0, $one, 'claude-code/2.1.5 2025-06-18' ],
    [ 'taken over in its worker',    1, $one, 'claude-code/2.1.5 2025-06-18' ],
    [ 'taken over by another worker', 1, $two, ' ' ],
) {
    my ($name, $close, $worker, $want) = @$case;
    my $session = $stream->session;

    if ($close) {
        my $open = health($nginx)->{active_connections};

        $stream->close;
        run_until(sub { health($nginx)->{active_connections} < $open });
    }

    $stream = open_stream($nginx, worker => $worker,
        headers => [ 'Last-Event-ID', $session ]);
    is($stream->session, $session, "$name: the session id stays");

    call($nginx, $stream, request(4, 'tools/list'));
    is(called(), $want, "$name: what is known");
}

call($nginx, $stream, request(5, 'initialize',
    { %{$params}, clientInfo => { name => 'x' } }));
is(called(), 'x 2025-06-18', 'initialize tells it again');
call($nginx, $stream, request(6, 'initialize', {}));
is(called(), ' ', 'the newest initialize counts');
call($nginx, $stream, request(7, 'initialize', $params));
called();

{
    my $before = $nginx->audit(0, 'stream.log');

    $stream->close;

    my ($line) = reverse $nginx->audit($before + 1, 'stream.log');

    is("$line->{client} $line->{version}", 'claude-code/2.1.5 2025-06-18',
        'the line of the stream has the client');
}

finish();
