# What clients of MCP 2026-07-28 make of the server's answers, by their own
# rules: the SDKs of Python (2.2) and Go (1.7), as their sources have them, and
# ChatGPT, as its users report.  Each tells how it connects, and what ends it.
# docs/PROTOCOL.md 14.11.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use Test::More;

my $frappe = start_frappe();
my @backends = (
    [ 'FAC 2.1', {}, dialect => 'old' ],
    [ 'FAC 2.5', { fac => '2.5' } ],
    [ 'FAC 3.0', { fac => '3.0' } ],
    [ 'frappe/mcp', {}, endpoint => '/api/method/todo.mcp.handle_mcp' ],
    [ '/api/mcp', {}, endpoint => '/api/mcp' ],
);


# A client that connects; tells how: "modern", "older", or why not.

sub connected {
    my ($class, $nginx, %opt) = @_;

    my $client = $class->new($nginx, %opt);

    return ($client->connect, $client);
}


# Whether each client connects so.

sub all_connect {
    my ($name, $nginx, $want, %opt) = @_;

    for my $class (qw(Python Go ChatGPT)) {
        my ($how) = connected($class, $nginx, %opt);

        is($how, ref $want ? $want->{$class} : $want, "$name: $class");
    }

    return;
}


# ---- they connect, and go on

for my $backend (@backends) {
    my ($name, $settings, %opt) = @{$backend};

    $frappe->reset;
    $frappe->set(%{$settings}) if %{$settings};

    my $nginx = start_http(%opt, http => 'mcp_sse_progress 200ms; '
        . 'mcp_sse_stream_after 100ms;');

    for my $class (qw(Python Go ChatGPT)) {
        my ($how, $client) = connected($class, $nginx);

        is($how, 'modern', "$name: $class connects");
        is(scalar(grep { !$client->listed($_) } $client->offered), 0,
            "$name: $class lists all that server/discover offers");
        like($client->text($client->ask('tools/call', { name => 'echo',
            arguments => { text => 'found' } })), qr/found/,
            "$name: $class calls a tool");
        is(($client->ask('no/such/method', {})->{error} || {})->{code}, -32601,
            "$name: $class has the code of an unknown method");

        # a call that is answered with a stream

        my $gate = "$name $class";
        my $call = $client->start('tools/call', { name => 'hold',
            arguments => { gate => $gate },
            _meta => { progressToken => $gate } });

        run_until(sub { $call->notifications('notifications/progress')
            || $call->ended });
        $frappe->open_gate($gate);
        $call->wait;
        like($client->text($client->end_of($call)), qr/held/,
            "$name: $class takes a stream");
        is($client->{failed}, undef, "$name: $class stays connected");
    }

    $nginx->stop;
}

# a name that is no ASCII, as Python sends it: in Base64

{
    my $nginx = start_http();
    my ($how, $python) = connected('Python', $nginx);
    my $answer = $python->ask('tools/call', { name => "f\x{fc}r \x{20ac}",
        arguments => {} });

    ok($answer->{result} || $answer->{error}{code} != -32020,
        'Python: a name in Base64 is the name of the body');
    is($python->{failed}, undef, 'Python stays connected');

    # Go sends a notification after it has closed a POST

    my ($also, $go) = connected('Go', $nginx);

    $frappe->reset;

    my $call = $go->start('tools/call', { name => 'hang', arguments => {} });

    run_until(sub { $frappe->tool_count('hang') });
    $go->cancel($call);
    ok(run_until(sub { grep { $_->{result} eq 'cancelled' }
        $nginx->audit(0) }), 'Go: a call is cancelled');
    is($go->{failed}, undef, 'Go: the notification is taken');
    like($go->text($go->ask('tools/call', { name => 'echo',
        arguments => { text => 'on' } })), qr/on/, 'Go stays connected');

    # it listens for the kinds that it has handlers for

    my $stream = $go->start('subscriptions/listen',
        { notifications => { toolsListChanged => JSON::PP::true() } });

    run_until(sub { $stream->events || $stream->ended });
    is(($go->messages($stream))[0]{method},
        'notifications/subscriptions/acknowledged',
        'Go: subscriptions/listen is acknowledged');
    $go->cancel($stream);
    is($go->{failed}, undef, 'Go: it ends it');
    $nginx->stop;
}

# ---- a later version: they go on with the newest that the server names

{
    my $nginx = start_http();

    all_connect('a client of a later version', $nginx, 'modern',
        latest => '2027-03-01');
    $nginx->stop;
}

# ---- where 2026-07-28 is not served, they fall back

{
    my $older = start_http(locations => 'location = /older {
        if ($http_mcp_protocol_version = 2026-07-28) {
            return 400 "Bad Request: Unsupported protocol version"; }
        rewrite ^ /mcp last; }');

    all_connect('a proxy that refuses 2026-07-28', $older, 'older',
        path => '/older');
    $older->stop;
}

# ---- what is refused

{
    my $nginx = start_http(mcp => 'mcp_sse_auth_wait 0;');

    my %want = (Python => 'failed -32001', Go => 'failed 401',
        ChatGPT => 'log in');

    all_connect('a wrong key', $nginx, \%want,
        auth => 'token alice-key:wrong');
    all_connect('a token that has expired', $nginx, \%want,
        auth => 'Bearer expired-token');

    # what fails is no 5xx, after which ChatGPT would not come back

    for my $down (500, 502, 503, 504, 'refuse') {
        $frappe->reset;
        $frappe->set(down => $down);

        my ($how) = connected('ChatGPT', $nginx,
            auth => MCPTest::credential('bob'));

        is($how, 'error -32603', "look-ups fail, $down: ChatGPT");
    }

    $frappe->reset;
    all_connect('Frappe is back', $nginx, 'modern',
        auth => MCPTest::credential('bob'));

    is(http_post($nginx, request(1, 'ping'),
        auth => MCPTest::credential('admin'))->status, 200,
        'a credential is looked up');

    for my $down (500, 502, 503, 504, 'refuse') {
        $frappe->set(down => $down);

        my ($how) = connected('ChatGPT', $nginx,
            auth => MCPTest::credential('admin'));

        is($how, 'error -32603', "calls fail, $down: ChatGPT");
    }

    # what was known before

    all_connect('Frappe is down after a first connection', $nginx, 'modern',
        auth => MCPTest::credential('bob'));
    $frappe->reset;
    all_connect('Frappe is back', $nginx, 'modern',
        auth => MCPTest::credential('admin'));
    $nginx->stop;
}

SKIP: {
    my $redis = eval { start_redis() } or skip 'no redis-server', 3;
    my $nginx = start_http(redis => $redis);

    wait_ready($nginx) or die "Redis cannot be used\n";
    $redis->stop;
    $nginx->allow(qr/redis/i);
    all_connect('Redis is lost', $nginx, 'modern');
    $nginx->stop;
}

finish();


# ---- clients.  Each has
#
#   connect()                 how it connects
#   ask(METHOD, PARAMS)       its answer, or the error that it makes of one
#   start(METHOD, PARAMS)     the response to come
#   end_of(RESPONSE)          its answer
#   {failed}                  why its connection has ended

package Client;

use MCPTest;
use MCPTest::HTTP ();
use MCPTest::Modern ();


sub new {
    my ($class, $nginx, %opt) = @_;

    my $version = delete $opt{latest} || '2026-07-28';

    return bless { nginx => $nginx, id => 0, opt => \%opt,
        version => $version }, $class;
}


# Sends server/discover: a result, an error, or a status alone.

sub connect {
    my ($self) = @_;

    my $got = $self->discover;

    # its version is not served: once more, with one that is

    if (($got->{error} || {})->{code} && $got->{error}{code} == -32022
        && grep { $_ eq '2026-07-28' } @{ $got->{error}{data}{supported} })
    {
        $self->{version} = '2026-07-28';
        $got = $self->discover;
    }

    my $result = $got->{result};

    return $got->{how} if defined $got->{how};
    return $self->handshake if !$self->is_modern($result);

    $self->{offers} = $result->{capabilities};

    return 'modern';
}


sub discover { return $_[0]->ask('server/discover', {}) }


# What they all require of the result.

sub is_modern {
    my ($self, $result) = @_;

    return ref $result eq 'HASH'
        && ref $result->{supportedVersions} eq 'ARRAY'
        && ref $result->{capabilities} eq 'HASH'
        && ($result->{resultType} || '') eq 'complete'
        && ($result->{ttlMs} || 0) >= 0
        && ($result->{cacheScope} || '') =~ /\A(?:public|private)\z/
        && grep { $_ eq '2026-07-28' } @{ $result->{supportedVersions} };
}


# The era before, on the same connection: no header of 2026-07-28.

sub handshake {
    my ($self) = @_;

    my $answer = MCPTest::HTTP::initialize($self->{nginx}, %{ $self->{opt} },
        id => ++$self->{id}, offer => '2025-11-25');
    my $result = ($self->taken($answer, $self->{id}) || {})->{result};

    return $self->refused($answer) if !$result;

    my $session = $answer->header('Mcp-Session-Id');

    MCPTest::secret($session);

    return MCPTest::HTTP::http_post($self->{nginx},
        notification('notifications/initialized'), %{ $self->{opt} },
        session => $session, protocol => $result->{protocolVersion})
        ->status == 202 ? 'older' : 'no initialized';
}


sub start {
    my ($self, $method, $params) = @_;

    my $id   = ++$self->{id};
    my $body = request($id, $method, MCPTest::Modern::modern_params($params,
        protocolVersion => $self->{version},
        clientInfo      => { name => ref $self, version => '1' }));
    my $call = MCPTest::Modern::modern_raw($self->{nginx}, $body,
        %{ $self->{opt} }, async => 1,
        only => [ $self->headers($method, $params),
            'MCP-Protocol-Version' => $self->{version} ]);

    $call->{call} = $id;

    return $call;
}


# Mcp-Method and Mcp-Name.

sub headers {
    my ($self, $method, $params) = @_;

    my %headers = MCPTest::Modern::modern_headers($method, $params);

    delete $headers{'MCP-Protocol-Version'};

    return %headers;
}


sub ask {
    my ($self, $method, $params) = @_;

    my $call = $self->start($method, $params);

    $call->wait;

    return $self->end_of($call);
}


sub end_of {
    my ($self, $call) = @_;

    my $got = $self->taken($call, $call->{call});

    $self->{failed} ||= 'a session id' if $call->header('Mcp-Session-Id');

    return $got || {};
}


# The messages of a stream, and its answer.

sub messages {
    my ($self, $call) = @_;

    return map { decode($_->{data}) } grep { $_->{type} eq 'message' }
        $call->events;
}


sub body_of {
    my ($self, $call) = @_;

    my $type = $call->header('Content-Type') || '';

    return decode($call->body) if $type =~ m{\Aapplication/json}i;

    return (grep { exists $_->{result} || exists $_->{error} }
        $self->messages($call))[0]
        if $type =~ m{\Atext/event-stream}i;

    return;
}


sub offered { return sort keys %{ $_[0]{offers} || {} } }


sub listed {
    my ($self, $kind) = @_;

    my $result = $self->ask("$kind/list", {})->{result} || {};

    return ref $result->{$kind} eq 'ARRAY';
}


sub text {
    my ($self, $answer) = @_;

    return join ' ', map { $_->{text} || '' }
        @{ ($answer->{result} || {})->{content} || [] };
}


# _probe.py, streamable_http.py: a status from 400 has the error of its body, a
# 404 without one is -32601, others are -32603.  Each error falls back.

package Python;

BEGIN { our @ISA = ('Client') }

use MCPTest;
use MIME::Base64 qw(encode_base64);


sub taken {
    my ($self, $call, $id) = @_;

    my $status = $call->status || 0;
    my $body   = $self->body_of($call);

    if ($status == 202) {
        $self->{failed} = '202 for a request';
        return { error => { code => -32600 } };
    }

    if ($status >= 400) {
        return $body if $body && $body->{error};
        return { error => { code => $status == 404 ? -32601 : -32603 } };
    }

    # an event that is none of its own is a warning, an id makes it send a GET

    $self->{failed} ||= 'an unknown event'
        if grep { $_->{type} !~ /\A(?:message|comment)\z/
            || defined $_->{id} } $call->events;

    $self->{failed} ||= 'no answer' if !$body;
    $self->{failed} ||= 'the id of another'
        if $body && encode($body->{id}) ne encode($id);

    return $body;
}


sub refused {
    my ($self, $answer) = @_;

    return 'failed ' . $self->taken($answer, $self->{id})->{error}{code};
}


sub headers {
    my ($self, $method, $params) = @_;

    my %headers = $self->SUPER::headers($method, $params);
    my $name    = $headers{'Mcp-Name'};

    if (defined $name && $name =~ /[^\x20-\x7e]/) {
        utf8::encode($name);
        $headers{'Mcp-Name'} = '=?base64?' . encode_base64($name, '') . '?=';
    }

    return %headers;
}


# client.go, streamable.go: 429 and 500 to 504 fail a call only; of another
# status the body must be an error with an id, else the connection ends, but not
# that of server/discover.  A session id is kept.

package Go;

BEGIN { our @ISA = ('Client') }

use MCPTest;


sub taken {
    my ($self, $call, $id) = @_;

    my $status = $call->status || 0;
    my $body   = $self->body_of($call);

    return { status => $status } if $status =~ /\A(?:429|50[0234])\z/;

    if ($status < 200 || $status > 299) {
        return $body if $body && $body->{error} && defined $body->{id};
        $self->{failed} ||= "$status without an error that has an id"
            if $self->{offers};
        return { status => $status };
    }

    for my $event ($call->events) {
        next if $event->{type} ne 'message';

        my $message = decode($event->{data});

        $self->{failed} ||= 'an event that is no message'
            if !$message || (!$message->{method} && !defined $message->{id});
        $self->{failed} ||= 'an id of an event' if defined $event->{id};
    }

    $self->{failed} ||= 'no answer'
        if !$body || encode($body->{id}) ne encode($id);

    return $body;
}


sub refused { return 'failed ' . ($_[1]->status || 'nothing') }


# The POST is closed, and a notification sent, with headers of 2026-07-28.

sub cancel {
    my ($self, $call) = @_;

    $call->{conn}->close;

    my $answer = MCPTest::Modern::modern_raw($self->{nginx},
        notification('notifications/cancelled',
            { requestId => $call->{call}, reason => 'context canceled' }),
        %{ $self->{opt} }, only => [ 'MCP-Protocol-Version' => '2026-07-28',
            'Mcp-Method' => 'notifications/cancelled' ]);

    $self->{failed} ||= 'a notification is ' . $answer->status
        if $answer->status !~ /\A20[24]\z/;

    return;
}


# A 5xx ends the whole conversation; 401 makes it ask the user to log in.

package ChatGPT;

BEGIN { our @ISA = ('Go') }


sub discover {
    my ($self) = @_;

    my $call = $self->start('server/discover', {});

    $call->wait;

    my $status = $call->status || 599;
    my $got    = $self->end_of($call);

    return { how => 'the conversation ends' } if $status >= 500;
    return { how => 'log in' } if $status == 401;
    return { how => "error $got->{error}{code}" }
        if $got->{error} && $got->{error}{code} == -32603;

    return $got;
}
