# subscriptions/listen: what is honoured, who gets what, and the id that each
# message has.  docs/PROTOCOL.md 15.70, 16.41 to 16.44.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(now run_until sleep_for);
use MCPTest::HTTP;
use MCPTest::Modern;
use MCPTest::Push;
use Test::More;

MCPTest::Redis::need();

my %LIST = map { $_ => "notifications/$_/list_changed" }
    qw(tools prompts resources);
my $UPDATED  = 'notifications/resources/updated';
my $COMPLETE = 'notifications/elicitation/complete';
my $PUBLIC   = 'fac://skills/report-list-usage';
my $ALL      = '{"toolsListChanged":true,"promptsListChanged":true,'
    . '"resourcesListChanged":true}';

my $redis  = start_redis();
my $frappe = frappe();

# the second site is served at a path of its own

my $other = <<'EOT';
        location = /other/mcp {
            mcp_sse_http;
            mcp_sse_site other.example.com;
            mcp_sse_events_site other;
        }
EOT


# Sends the request, with "notifications" raw.

sub request_for {
    my ($nginx, $id, $notifications, %opt) = @_;

    my $body = qq({"jsonrpc":"2.0","id":$id,"method":"subscriptions/listen",)
        . '"params":{' . (defined $notifications
            ? qq("notifications":$notifications,) : '')
        . '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        . '"io.modelcontextprotocol/clientCapabilities":{}}}}';

    return modern_raw($nginx, $body, %opt,
        only => [ modern_headers('subscriptions/listen') ]);
}


sub listen_to { return stream_of(request_for(@_, async => 1)) }


# What is acknowledged, raw.

sub honoured {
    my ($stream) = @_;

    return (($stream->events)[0]{data} || '') =~ /"notifications":(.*)\}\}\z/
        ? $1 : undef;
}


# All messages but the acknowledgement, raw.

sub told {
    my ($stream) = @_;

    my (undef, @messages) = map { $_->{data} }
        grep { $_->{type} eq 'message' } $stream->events;

    return @messages;
}


sub message {
    my ($method, $id, $more) = @_;

    return qq({"jsonrpc":"2.0","method":"$method","params":{"_meta":{)
        . qq("io.modelcontextprotocol/subscriptionId":$id}$more}});
}


sub updated {
    my ($id, $uri) = @_;

    return message($UPDATED, $id, qq(,"uri":"$uri"));
}


sub user { return { user => MCPTest::Frappe::user($_[0]) } }


sub changed {
    my ($kind, $to) = @_;

    return publish($redis, { %{ $to || {} }, method => $LIST{$kind},
        params => { _meta => { a => 1 } } });
}


sub update {
    my ($uri, $to) = @_;

    return publish($redis, { %{ $to || {} }, method => $UPDATED,
        params => { uri => $uri, title => 'secret' } });
}


sub own {
    my ($user) = @_;

    return 'fac://notes/' . MCPTest::Frappe::user($user) . '/a';
}


# Waits until these have got as many messages, and whether it is only these.

sub gets {
    my ($stream, $want, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    run_until(sub { told($stream) >= @{$want} });

    return is_deeply([ sort { $a cmp $b } told($stream) ],
        [ sort { $a cmp $b } @{$want} ], $name);
}


# What was published before has its effect within this time: changes of lists
# are told after half a second at most, or a second after the last one.

sub settle { sleep_for(1.3); return }


my $nginx = start_push(push => $redis, workers => 2, mcp => '',
    locations => $other);
my ($first, $second) = $nginx->worker_pids;

# ---- what is honoured

my $uris = sub { '[' . join(',', map { qq("x:$_") } 1 .. $_[0]) . ']' };

for my $case (
    [ '{}', '{}' ],
    [ '{"toolsListChanged":false,"resourceSubscriptions":[]}', '{}' ],
    [ $ALL, $ALL ],
    [ '{"logging":true,"promptsListChanged":true,"x":[1]}',
        '{"promptsListChanged":true}' ],
    [ qq({"resourceSubscriptions":["a\\/\\u00e9","\xe2\x80\xa8"]}),
        '{"resourceSubscriptions":["a\/\u00e9","\u2028"]}' ],
    [ '{"resourceSubscriptions":' . $uris->(101) . '}',
        '{"resourceSubscriptions":' . $uris->(100) . '}' ],
) {
    my ($asked, $want) = @$case;
    my $stream = listen_to($nginx, 1, $asked);

    is(honoured($stream), $want, 'honoured: ' . substr $want, 0, 60);
    $stream->close;
}

for my $asked (undef, 'null', '[]', '{"toolsListChanged":1}',
    '{"promptsListChanged":null}', '{"resourcesListChanged":"true"}',
    '{"resourceSubscriptions":"a"}', '{"resourceSubscriptions":[1]}',
    '{"toolsListChanged":true,"toolsListChanged":true}')
{
    refused_as(request_for($nginx, '"x"', $asked), 400, '"x"', -32602,
        'Invalid params: notifications is no filter', undef,
        'refused: ' . (defined $asked ? $asked : 'none'));
}

is($frappe->count('resources/read'), 0, 'the backend is not asked');

# ---- each kind, only what was asked for, and the id

{
    my %want = (tools => '{"toolsListChanged":true}',
        prompts => '{"promptsListChanged":true}',
        resources => '{"resourcesListChanged":true}');
    my %stream = map { $_ => listen_to($nginx, qq("$_"), $want{$_}) }
        keys %want;

    $stream{all}  = listen_to($nginx, -7, $ALL, worker => $first);
    $stream{uris} = listen_to($nginx, '"\u2028\\\\"',
        qq({"resourceSubscriptions":["none","$PUBLIC"]}), worker => $second);
    $stream{nothing} = listen_to($nginx, 1, '{}');

    changed($_) for keys %LIST;
    update($_) for $PUBLIC, "$PUBLIC/other";
    publish($redis, { method => 'notifications/message',
        params => { level => 'alert', data => 'x' } });
    publish($redis, { method => $COMPLETE, params => { elicitationId => 'e' } });
    settle();

    gets($stream{$_}, [ message($LIST{$_}, qq("$_"), '') ], "$_ alone")
        for keys %want;
    gets($stream{all}, [ map { message($LIST{$_}, -7, '') } keys %LIST ],
        'all lists, and no updates or others');
    gets($stream{uris}, [ updated('"\u2028\\\\"', $PUBLIC) ],
        'updates of a resource that was asked for, with the URI alone');
    gets($stream{nothing}, [], 'nothing');

    publish($redis, { method => $UPDATED,
        params => \'{"uri":"fac:\/\/skills/report-list-usage"}' });
    gets($stream{uris}, [ map { updated('"\u2028\\\\"', $_) } $PUBLIC,
        'fac:\/\/skills/report-list-usage' ],
        'a URI is compared decoded, and sent as published');

    $_->close for values %stream;
}

# ---- users and sites

{
    my $asked  = '{"toolsListChanged":true,"resourceSubscriptions":["'
        . join('","', $PUBLIC, own('alice')) . '"]}';
    my %stream = (
        alice => listen_to($nginx, 1, $asked, worker => $first),
        again => listen_to($nginx, 2, $asked, worker => $second),
        bob   => listen_to($nginx, 3, $asked,
            auth => MCPTest::credential('bob')),
        other => listen_to($nginx, 4, $asked, path => '/other/mcp',
            auth => MCPTest::credential('alice', 'other')),
    );

    is($stream{$_}->status, 200, "$_ listens") for sort keys %stream;

    changed('tools', user('alice'));
    update($PUBLIC, user('bob'));
    settle();
    gets($stream{alice}, [ message($LIST{tools}, 1, '') ], 'what is for a user');
    gets($stream{again}, [ message($LIST{tools}, 2, '') ],
        'on each of his streams');
    gets($stream{bob}, [ updated(3, $PUBLIC) ], 'or for another one');

    # that of alice: bob may not read it

    $frappe->reset;
    update(own('alice'));
    changed('tools', { site => 'other' });
    settle();
    gets($stream{alice}, [ message($LIST{tools}, 1, ''),
        updated(1, own('alice')) ], 'a resource that only she may read');
    gets($stream{bob}, [ updated(3, $PUBLIC) ], 'is not told to him');
    gets($stream{other}, [ message($LIST{tools}, 4, '') ], 'the other site');
    is($frappe->count('resources/read'), 3, 'each stream has asked');

    update(own('alice'));
    settle();
    gets($stream{alice}, [ message($LIST{tools}, 1, ''),
        map { updated(1, own('alice')) } 1 .. 2 ], 'later it is told');
    is($frappe->count('resources/read'), 4,
        'and the backend is not asked again for who may read it');

    $_->close for values %stream;
}

# ---- asked again

{
    my $short  = start_push(push => $redis, workers => 1,
        mcp => 'mcp_sse_auth_recheck 1s;');
    my $old    = listen_to($short, 1,
        qq({"resourceSubscriptions":["$PUBLIC"]}));

    $frappe->reset;
    update($PUBLIC);
    gets($old, [ updated(1, $PUBLIC) ], 'the first update');
    sleep_for(1.1);
    update($PUBLIC);
    gets($old, [ map { updated(1, $PUBLIC) } 1 .. 2 ], 'and another one');
    is($frappe->count('resources/read'), 2,
        'the backend is asked again after mcp_sse_auth_recheck');

    # what was not told when the server ends the stream is told before

    my $stream = listen_to($short, 2, $ALL);

    changed('tools');
    run_until(sub { told($stream) == 1 });
    changed('tools');
    $short->reload;
    ok(run_until(sub { $stream->ended }), 'a reload ends it');
    is((told($stream))[-1], '{"jsonrpc":"2.0","id":2,"result":{"resultType":'
        . '"complete","_meta":{"io.modelcontextprotocol/subscriptionId":2}}}',
        'the result comes last');
    is(scalar(grep { /list_changed/ } told($stream)), 2,
        'after what was not told yet');
    $_->close for $old, $stream;
    ok(run_until(sub { $short->worker_pids(exiting => 1) == 1 }),
        'the old worker exits');
    $short->stop;
}

# ---- once a second

{
    my $stream = listen_to($nginx, 1, $ALL);
    my $stop   = now() + 2.2;

    while (now() < $stop) {
        changed('tools');
        sleep_for(0.02);
    }

    settle();

    my @times = map { $_->{time} } grep { $_->{data} =~ /list_changed/ }
        $stream->messages;

    cmp_ok(scalar @times, '>', 1, 'changes are told again');

    # a busy machine may show the first of two late

    is(scalar(grep { $times[$_] - $times[ $_ - 1 ] < 0.5 } 1 .. $#times), 0,
        'not within a second');
    $stream->close;
}

# ---- two instances

{
    my $more   = start_push(push => $redis, mcp => '');
    my @stream = map { listen_to($_, 5, $ALL) } $nginx, $more;

    changed('prompts');
    gets($_, [ message($LIST{prompts}, 5, '') ],
        'a stream at another instance gets it, once') for @stream;
    $_->close for @stream;
    $more->stop;
}

# ---- without mcp_sse_events

{
    my $plain  = start_http();
    my $stream = listen_to($plain, 1, $ALL);

    is(honoured($stream), '{}', 'nothing is honoured without mcp_sse_events');
    refused_as(request_for($plain, 1, '{"toolsListChanged":1}'), 400, 1,
        -32602, 'Invalid params: notifications is no filter', undef,
        'but what is no filter is refused');
    $stream->close;
    $plain->stop;
}

finish();
