# Questions of calls to their clients: which clients can be asked, what they
# answer and where, the clock of the call, progress.  docs/PROTOCOL.md 16.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern;
use MCPTest::Push;
use MCPTest::Question;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my $nginx  = start_push(push => $redis, mcp => '', workers => 2);

my $closed  = -32010;
my $no_such = -32601;

my @ways = ([ 'Streamable HTTP' => \&able ], [ 'HTTP+SSE' => \&able_stream ]);


# What is left of a question in Redis.

sub keys_of {
    my ($asked) = @_;

    return join ' ', grep { $redis->cmd('EXISTS', $_) }
        map { "mcp:$_:" . $asked->reply } qw(ask reply);
}


# each question, in each way

for my $way (@ways) {
    my ($name, $able) = @$way;
    my $client = $able->($nginx);

    for my $case (
        [ 'a form', { %elicit }, '{"action":"accept","content":{"sure":true}}' ],
        [ 'a URL', { method => 'elicitation/create', params => {
            mode => 'url', elicitationId => 'e1', url => 'https://a.example',
            message => 'Log in' } }, '{"action":"accept"}' ],
        [ 'the user declines', { %elicit }, '{"action":"decline"}' ],
        [ 'the user closes the form', { %elicit }, '{"action":"cancel"}' ],
        [ 'sampling', { method => 'sampling/createMessage', params => {
            messages => [], maxTokens => 100, tools => [],
            includeContext => 'thisServer' } },
            '{"role":"assistant","content":{"type":"text","text":"x"}}' ],
        [ 'roots', { method => 'roots/list' },
            '{"roots":[{"uri":"file:///a"}]}' ],
    ) {
        my ($title, $message, $result) = @$case;

        $title = "$name, $title";

        my $call  = begin_call($nginx, $client);
        my $asked = asking($redis, $call, %$message);
        my $asks  = question($call);

        ok($asked->asked, "$title: who asks is told that it is asked");
        is($asks->{method}, $message->{method}, "$title: the method");
        is_deeply($asks->{params}, $message->{params}, "$title: the params");
        like($asks->{raw_id}, qr/\A"\Q${\ $asked->reply}\E\.[\w-]{22}"\z/,
            "$title: the id");
        is($redis->cmd('GET', 'mcp:ask:' . $asked->reply), $call->{call},
            "$title: the key of the question has the call");
        cmp_ok($redis->cmd('TTL', 'mcp:ask:' . $asked->reply), '>', 100,
            "$title: and expires after it");

        is(respond($nginx, $client, $asks, result => $result)->status, 202,
            "$title: the response is 202");
        is($asked->wait, qq({"result":$result}), "$title: the answer");
        is(keys_of($asked), '', "$title: no key is left");
        like(end_call($call), qr/"held\b/, "$title: the call is answered");
        is(scalar(cancelled($call->{on}, $asks)), 0,
            "$title: nothing is cancelled");
    }

    # errors of clients

    {
        my $call  = begin_call($nginx, $client);
        my $asked = asking($redis, $call);
        my $error = '{"code":-1,"message":"User rejected","data":[1,2]}';

        respond($nginx, $client, question($call), error => $error);
        is($asked->wait, qq({"error":$error}), "$name: an error of the client");
        end_call($call);
    }

    # bytes

    {
        my $call   = begin_call($nginx, $client);
        my $raw    = qq({"message":"\\u00e4\xc3\xa4\xe2\x80\xa8","x":1.0e+2});
        my $asked  = asking($redis, $call, method => 'elicitation/create',
            params => \$raw);
        my $asks   = question($call);
        my $result = qq({"a" : 1.50,\r\n"b":"\xe2\x80\xa8\\u0041",\n"b":2});

        $raw =~ s/\xe2\x80\xa8/\\u2028/;
        like($asks->{raw}, qr/"params":\Q$raw\E/, "$name: params stay as they "
            . 'are, and one line');
        respond($nginx, $client, $asks, result => $result);
        $result =~ s/[\r\n]/ /g;
        is($asked->wait, qq({"result":$result}),
            "$name: a result stays as it is, and one line");
        end_call($call);
    }

    # an id that is written in another way

    {
        my $call  = begin_call($nginx, $client);
        my $asked = asking($redis, $call);
        my $id    = question($call)->{raw_id};

        $id =~ s/\./\\u002e/;
        respond($nginx, $client, $id, result => '{}');
        is($asked->wait, '{"result":{}}', "$name: an id with an escape");
        end_call($call);
    }

    # several questions at once, up to four of a call

    {
        my $call  = begin_call($nginx, $client);
        my @asked = map { asking($redis, $call) } 1 .. 4;

        question($call, 4);

        is_told(asking($redis, $call), -32004, 'Too many open questions',
            "$name: a fifth question");

        for my $asks (reverse questions($call)) {
            my ($of) = grep { index($asks->{id}, $_->reply) == 0 } @asked;

            respond($nginx, $client, $asks, result => '{}');
            is($of->wait, '{"result":{}}', "$name: one of four");
        }

        asking($redis, $call);
        ok(question($call, 5), "$name: another one after these");
        end_call($call);
    }
}

# clients that cannot be asked

for my $case (
    [ {}, { %elicit }, 'nothing' ],
    [ { sampling => {}, roots => {} }, { %elicit }, 'no elicitation' ],
    [ { elicitation => { url => {} } }, { %elicit }, 'no forms' ],
    [ { elicitation => {} }, { method => 'elicitation/create',
        params => { mode => 'url', message => 'm', url => 'u',
            elicitationId => 'e' } }, 'no URLs' ],
    [ { elicitation => {} }, { method => 'roots/list' }, 'no roots' ],
    [ { elicitation => {} }, { method => 'sampling/createMessage',
        params => { messages => [] } }, 'no sampling' ],
    [ { sampling => {} }, { method => 'sampling/createMessage',
        params => { messages => [], tools => [] } }, 'no tools' ],
    [ { sampling => {} }, { method => 'sampling/createMessage',
        params => { messages => [],
            includeContext => 'allServers' } }, 'no context' ],
) {
    my ($capabilities, $message, $title) = @$case;

    for my $way (@ways) {
        my ($name, $able) = @$way;
        my $client = $able->($nginx, capabilities => $capabilities);
        my $call   = begin_call($nginx, $client);
        my $asked  = asking($redis, $call, %$message);

        is_told($asked, $no_such, 'The client does not support this question',
            "$name, $title: who asks is told at once");
        is_deeply([ $asked->elements ], [ $asked->wait ],
            "$name, $title: and that it is all");
        cmp_ok($redis->cmd('EXISTS', 'mcp:ask:' . $asked->reply), '==', 0,
            "$name, $title: there is no key");
        end_call($call);
        is(scalar(questions($call)), 0,
            "$name, $title: the client is not asked");
    }
}

{
    my $call = begin_call($nginx, able($nginx, capabilities =>
        { elicitation => {}, sampling => {} }));
    my @asked = (asking($redis, $call), asking($redis, $call,
        method => 'sampling/createMessage', params => { messages => [],
            includeContext => 'none' }));

    ok($_->asked, 'what the client has declared is asked') for @asked;
    end_call($call);
}

# old versions, by initialize and by the header

for my $version ('2024-11-05', '2025-03-26') {
    for my $way (@ways) {
        my ($name, $able) = @$way;
        my $call = begin_call($nginx, $able->($nginx, offer => $version));

        is_told(asking($redis, $call), $no_such,
            'The client does not support this question',
            "$name: not before 2025-06-18, in $version");
        end_call($call);
    }
}

for my $case ([ '2025-11-25', '2025-03-26', 0 ], [ '2025-11-25', '2025-06-18',
    1 ], [ '2025-03-26', '2025-11-25', 1 ])
{
    my ($offer, $protocol, $asks) = @$case;
    my $call = begin_call($nginx, able($nginx, offer => $offer),
        protocol => $protocol);
    my $asked = asking($redis, $call);

    is($asked->asked ? 1 : 0, $asks,
        "offered $offer, MCP-Protocol-Version $protocol");
    end_call($call);
}

# no session id; the modern era; a client that takes no stream

is_told(asking($redis, begin_call($nginx, undef)), $no_such,
    'The client does not support this question', 'no session id: not asked');

{
    my $call = begin_call($nginx, able($nginx), accept => 'application/json');

    is_told(asking($redis, $call), $no_such,
        'The client does not accept a stream', 'a client without streams');
    is($call->{on}->is_stream ? 1 : 0, 0, 'it has got no stream');
    like(end_call($call), qr/"held\b/, 'but its answer');
}

{
    my $modern = modern($nginx, 1, 'tools/call', { name => 'hold',
        arguments => { gate => 'modern', key => 'modern' } }, async => 1,
        meta => { clientCapabilities => everything() });

    is_told(begin_ask($redis, { call => call_id('modern'), %elicit }),
        $no_such, 'The client does not support this question',
        'the modern era: not asked');
    $frappe->open_gate('modern');
    $modern->wait;
}

# a call that has ended

{
    my $call = begin_call($nginx, able($nginx));

    end_call($call);
    is_told(asking($redis, $call), $closed, 'The call has ended',
        'a call that has ended');
}

# the call's clock stands still, and progress goes on

{
    my $nginx = start_push(push => $redis, mcp => 'mcp_sse_call_timeout 1s; '
        . 'mcp_sse_progress 200ms;');
    my $call  = begin_call($nginx, able($nginx),
        more => { _meta => { progressToken => 'p' } });
    my $asked = asking($redis, $call);
    my $asks  = question($call);
    my $from  = now();

    my $seen  = sub { scalar $call->{on}->notifications(
        'notifications/progress') };
    my $before = $seen->();

    run_until(sub { now() - $from > 2.5 && $seen->() >= $before + 3 });
    cmp_ok($seen->(), '>=', $before + 3, 'progress goes on while it is asked');
    is(scalar $call->{on}->answers($call->{id}), 0,
        'a call does not time out while its client is asked');
    respond($nginx, $call->{client}, $asks, result => '{}');
    is($asked->wait, '{"result":{}}', 'it is answered after its time');
    is_error($call->{on}->wait_answer($call->{id}), -32008, 'Request timed out',
        'then its clock runs again');
    $frappe->open_gate($call->{key});
}

# for mcp_sse_ask_timeout together

{
    my $nginx = start_push(push => $redis, mcp => 'mcp_sse_call_timeout 1s; '
        . 'mcp_sse_ask_timeout 2s;');
    my $client = able($nginx);
    my $from   = now();
    my $call   = begin_call($nginx, $client);

    for my $n (1 .. 50) {
        my $asked = asking($redis, $call);

        last if !$asked->asked;
        last if !question($call, $n);
        run_until(sub { $asked->wait(0.1) }, 0.3);

        last if $asked->elements > 1;

        respond($nginx, $client, question($call, $n), result => '{}');
        $asked->wait;
    }

    is_error($call->{on}->wait_answer($call->{id}), -32008, 'Request timed out',
        'a call that goes on asking times out');
    cmp_ok(now() - $from, '>', 2.9, 'after both times');
    $frappe->open_gate($call->{key});
}

# another worker, and another instance, with the same keys

{
    my ($here, $there) = map { start_push(push => $redis, mcp => '',
        workers => 2, key_file => MCPTest::Nginx::key_file()) } 1 .. 2;

    for my $way (@ways) {
        my ($name, $able) = @$way;
        my $client = $able->($here);

        for my $at ([ $here, 'this instance' ], [ $there, 'the other one' ]) {
            for my $worker ($at->[0]->wait_workers) {
                my $call  = begin_call($here, $client);
                my $asked = asking($redis, $call);

                respond($at->[0], $client, question($call), result => '{}',
                    worker => $worker, async => 1);
                is($asked->wait, '{"result":{}}',
                    "$name: a response at a worker of $at->[1]");
                like(end_call($call), qr/"held\b/, 'and the call is answered');
            }
        }
    }

    my $metrics = metrics($here);

    is($metrics->{'nginx_mcp_sse_questions_total{result="answered"}'}, 8,
        'the instance that asks counts the answers');
}

# a user of Redis with the rights of docs/directives.md

{
    open my $file, '<', MCPTest::root() . '/docs/directives.md' or die;
    my ($rights) = map { /^    ACL SETUSER mcp on >PASSWORD (.*)/ ? $1 : () }
        <$file>;

    my $redis = start_redis(users => [ "user mcp on >password1234 $rights" ]);
    my $nginx = start_push(mcp => '', push => $redis->url(user => 'mcp',
        pass => 'password1234'));
    my $client = able($nginx);
    my $call   = begin_call($nginx, $client);
    my $asked  = asking($redis, $call);

    respond($nginx, $client, question($call), result => '{}');
    is($asked->wait, '{"result":{}}', 'these rights are enough to ask');

    $asked = asking($redis, $call);
    question($call, 2);
    end_call($call);
    is_told($asked, $closed, 'The call has ended', 'to end a question');
    is_told(asking($redis, $call), $closed, 'The call has ended',
        'and to refuse one');
    unlike($nginx->error_log, qr/NOPERM/, 'nothing is refused');
}

# counters

{
    my $metrics = metrics($nginx);
    my %n = map { $_ => $metrics->{
        qq(nginx_mcp_sse_questions_total{result="$_"}) } }
        qw(answered refused timeout ended);

    is($n{timeout}, 0, 'no question has timed out');
    cmp_ok($n{answered}, '>=', 24, 'questions that were answered are counted');
    cmp_ok($n{refused}, '>=', 24, 'those that were refused, too');
    is($metrics->{'nginx_mcp_sse_messages_total{type="response"}'},
        $n{answered}, 'each response is counted once');
}

finish();
