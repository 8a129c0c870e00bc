# Open questions whose client, call, worker or Redis goes away: who has asked is
# told, once, and a call cancels its questions before it is answered.
# docs/PROTOCOL.md 16.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Conn qw(sleep_for);
use MCPTest::HTTP;
use MCPTest::Proxy;
use MCPTest::Push;
use MCPTest::Question;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my $nginx  = start_push(push => $redis, mcp => '', workers => 2,
    http => 'mcp_sse_grace 300s;');

my ($timed_out, $closed) = (-32008, -32010);

my @ways = ([ 'Streamable HTTP' => \&able ], [ 'HTTP+SSE' => \&able_stream ]);


# A call with an open question.

sub asked_call {
    my ($nginx, $client, %opt) = @_;

    my $call = begin_call($nginx, $client, %opt);

    $call->{asked} = asking($redis, $call);
    $call->{asks}  = question($call);

    return $call;
}


# Tests that who has asked got two elements, "asked" and the end.

sub is_once {
    my ($call, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my @all = $call->{asked}->elements;

    is(scalar @all, 2, "$name: once");
    is($redis->cmd('EXISTS', 'mcp:ask:' . $call->{asked}->reply), 0,
        "$name: there is no key any more");

    return;
}


# The order in which a client has got the cancellation of a question and the
# answer of the call.

sub order_of {
    my ($call) = @_;

    return join ' ', map {
        defined $_->{raw_id} && $_->{raw_id} eq $call->{id} ? 'answer'
            : $_->{data} =~ /notifications\/cancelled/ ? 'cancelled' : ()
    } $call->{on}->messages;
}


# the call ends

for my $way (@ways) {
    my ($name, $able) = @$way;
    my $call = asked_call($nginx, $able->($nginx));

    end_call($call);
    is_told($call->{asked}, $closed, 'The call has ended',
        "$name: the call ends with an open question");
    is_once($call, "$name: the call ends");
    is(order_of($call), 'cancelled answer',
        "$name: the question is cancelled before the answer");
    is(scalar(cancelled($call->{on}, $call->{asks})), 1,
        "$name: by its id");
    is(respond($nginx, $call->{client}, $call->{asks}, result => '{}')->status,
        202, "$name: a response after that is accepted");
    is_once($call, "$name: and dropped");
}

# the call is cancelled

for my $way (@ways) {
    my ($name, $able) = @$way;
    my $call   = asked_call($nginx, $able->($nginx));
    my $cancel = notification('notifications/cancelled',
        { requestId => $call->{id} });

    ref $call->{client} ? post($nginx, $call->{client}, $cancel)
        : http_post($nginx, $cancel, session => $call->{client});

    is_told($call->{asked}, $closed, 'The call was cancelled',
        "$name: the call is cancelled");
    is_once($call, "$name: cancelled");
    run_until(sub { cancelled($call->{on}, $call->{asks}) });
    is(order_of($call), 'cancelled', "$name: so is the question");
    $frappe->open_gate($call->{key});
}

# time is over

for my $way (@ways) {
    my ($name, $able) = @$way;
    my $nginx = start_push(push => $redis, mcp => '',
        http => 'mcp_sse_ask_timeout 1s;');
    my $from = now();
    my $call = asked_call($nginx, $able->($nginx));

    is_told($call->{asked}, $timed_out, 'The client has not answered in time',
        "$name: a question times out");
    cmp_ok(now() - $from, '>=', 0.9, "$name: not before its time");
    is_once($call, "$name: timed out");
    ok(run_until(sub { cancelled($call->{on}, $call->{asks}) }),
        "$name: a question that timed out is cancelled");
    respond($nginx, $call->{client}, $call->{asks}, result => '{}');
    ok($nginx->wait_log(qr/too late or twice/), "$name: a late response");
    is_once($call, "$name: a late response is dropped");
    like(end_call($call), qr/"held\b/, "$name: the call goes on");
    is(metrics($nginx)->{'nginx_mcp_sse_questions_total{result="timeout"}'}, 1,
        "$name: it is counted");
}

# the client of a POST leaves

{
    my $call = asked_call($nginx, able($nginx));

    $call->{on}{conn}->close;
    is_told($call->{asked}, $closed, 'The client has left',
        'the client of a POST leaves');
    is_once($call, 'a lost POST');
    $frappe->open_gate($call->{key});

    # before it was asked, in the way of a tool that asks late

    $call = begin_call($nginx, able($nginx));
    $call->{on}{conn}->close;
    run_until(sub { $call->{on}{ended} || !$call->{on}{conn}{sock} });
    sleep_for(0.2);
    is_told(asking($redis, $call), $closed,
        'The client does not wait for the call', 'it is gone before');
    $frappe->open_gate($call->{key});
}

# a stream is lost for mcp_sse_grace

{
    my $nginx = start_push(push => $redis, http => 'mcp_sse_grace 2s;');
    my $call  = asked_call($nginx, able_stream($nginx));
    my $from  = now();

    $call->{client}->close;
    is_told($call->{asked}, $closed, 'The client has left',
        'a lost stream does not come back');
    cmp_ok(now() - $from, '>=', 1.9, 'in mcp_sse_grace');
    is_once($call, 'a lost stream');
    $frappe->open_gate($call->{key});
}

# it comes back, at the same worker and at another one

for my $same (1, 0) {
    my $nginx = start_push(push => $redis, workers => 2,
        http => 'mcp_sse_grace ' . ($same ? '300s;' : '2s;'));
    my @workers = $nginx->wait_workers;
    my $where   = $same ? 'the same worker' : 'another worker';
    my $stream  = able_stream($nginx, worker => $workers[0]);
    my $call    = asked_call($nginx, $stream);

    $stream->close;
    run_until(sub { !health($nginx)->{active_connections} });

    my $late = asking($redis, $call);

    ok($late->asked, "$where: a question while the stream is lost");

    my $again = open_stream($nginx, worker => $workers[$same ? 0 : 1],
        headers => [ 'Last-Event-ID' => $stream->session ]);

    if ($same) {
        $call->{on} = $again;
        is_deeply([ map { $_->{id} =~ s/\..*//r }
            (question($call, 2), questions($again))[1 .. 2] ],
            [ $call->{asked}->reply, $late->reply ],
            "$where: both are asked again");
        is((questions($again))[0]{id}, $call->{asks}{id},
            "$where: with the same id");
        respond($nginx, $again, $_, result => '{}') for questions($again);
        is($_->wait, '{"result":{}}', "$where: and answered")
            for $call->{asked}, $late;
        is_once($call, $where);
        $frappe->open_gate($call->{key});
        like($again->wait_answer($call->{id}), qr/"held\b/,
            "$where: the call, too");

    } else {
        is_told($_, $closed, 'The client has left',
            "$where: who has asked is told after mcp_sse_grace")
            for $call->{asked}, $late;
        is_once($call, $where);
        $frappe->open_gate($call->{key});
    }

    # what the client declared is known

    my $next  = begin_call($nginx, $again);
    my $asked = asking($redis, $next);

    ok($asked->asked, "$where: the client can be asked");
    respond($nginx, $again, question($next), result => '{}');
    is($asked->wait, '{"result":{}}', "$where: and answers");
    end_call($next);
    $again->close;
    run_until(sub { !health($nginx)->{active_connections} });
}

# reload: the old worker keeps the call, the response arrives at a new one

for my $way (@ways) {
    my ($name, $able) = @$way;
    my $nginx = start_push(push => $redis, mcp => '', workers => 1);
    my ($old) = $nginx->wait_workers;
    my $call  = asked_call($nginx, $able->($nginx));

    $nginx->reload;
    wait_push($nginx);

    my ($new) = grep { $_ != $old } $nginx->worker_pids;

    respond($nginx, $call->{client}, $call->{asks}, result => '{"new":1}',
        worker => $new, async => 1);
    is($call->{asked}->wait, '{"result":{"new":1}}',
        "$name: a response at a new worker");
    is_once($call, "$name: reload");

    # it can ask again

    my $asked = asking($redis, $call);
    my $asks  = question($call, 2);

    respond($nginx, $call->{client}, $asks, result => '{"new":2}',
        worker => $new, async => 1);
    is($asked->wait, '{"result":{"new":2}}', "$name: the old one asks again");
    like(end_call($call), qr/"held\b/, "$name: the call is answered");
    $call->{client}->close if ref $call->{client};
    ok($nginx->wait_gone([ $old ]), "$name: the old worker ends");
}

# hard stop

for my $way (@ways) {
    my ($name, $able) = @$way;
    my $nginx = start_push(push => $redis, mcp => '', workers => 1,
        main => 'worker_shutdown_timeout 3s;');
    my ($old) = $nginx->wait_workers;
    my $call  = asked_call($nginx, $able->($nginx));

    $nginx->reload;
    is_told($call->{asked}, $closed, 'The stream of the client ends',
        "$name: a worker stops");
    is_once($call, "$name: stop");
    $call->{on}->wait_ended;
    is(order_of($call), 'cancelled answer', "$name: in the right order");
    ok($nginx->wait_gone([ $old ]), "$name: the worker ends");
    $frappe->open_gate($call->{key});
}

# a worker is killed: nobody listens on the channel that the key names

{
    my $nginx  = start_push(push => $redis, mcp => '', workers => 2);
    my $client = able($nginx);
    my ($dead) = $nginx->wait_workers;

    my $call = begin_call($nginx, $client, conn => connect_worker($nginx,
        $dead));

    $call->{asked} = asking($redis, $call);
    $call->{asks}  = question($call);

    my $channel = 'mcp:events:' . substr $redis->cmd('GET', 'mcp:ask:'
        . $call->{asked}->reply), 0, 12;

    is(subscribers($redis, $channel), 1, 'the worker that asks listens');
    $nginx->kill_worker($dead);
    ok(run_until(sub { !subscribers($redis, $channel) }),
        'a worker that was killed does not: who has asked can know');
    wait_push($nginx);

    # another worker takes what the client says

    respond($nginx, $client, $call->{asks}, result => '{}');
    is($call->{asked}->wait, '{"result":{}}',
        'a response after the death of the worker');
    is_once($call, 'killed');
    $frappe->open_gate($call->{key});
}

# Redis stops for a moment

for my $way (@ways) {
    my ($name, $able) = @$way;
    my $call = asked_call($nginx, $able->($nginx));

    $redis->pause;
    is(respond($nginx, $call->{client}, $call->{asks}, result => '{}')->status,
        202, "$name: a response while Redis does not answer");
    $redis->cont;
    is($call->{asked}->wait, '{"result":{}}', "$name: is there when it does");
    is_once($call, "$name: paused");
    end_call($call);
}

# the way to Redis is cut: the response waits in the worker that has got it

for my $way (@ways) {
    my ($name, $able) = @$way;
    my $proxy = MCPTest::Proxy->new(port => $redis->port);
    my $nginx = start_push(push => 'redis://127.0.0.1:' . $proxy->port,
        mcp => '', workers => 2);

    my $client = $able->($nginx);
    my $call   = asked_call($nginx, $client);
    my $other  = asked_call($nginx, $client);

    $proxy->stop;
    ok($nginx->wait_log(qr/\[error\].*mcp_sse_events.*lost/),
        "$name: Redis is lost");
    respond($nginx, $client, $call->{asks}, result => '{"kept":1}');
    end_call($other);
    is(scalar(my @all = $call->{asked}->elements), 1,
        "$name: the response is kept");
    $proxy->listen;
    is($call->{asked}->wait, '{"result":{"kept":1}}',
        "$name: until Redis is back");
    is_told($other->{asked}, $closed, 'The call has ended',
        "$name: as is the end of a call");
    is_once($_, "$name: back") for $call, $other;
    wait_push($nginx);

    # the worker of the call is told, or finds out that the key is not there,
    # if it was not back when the other one was

    ok(run_until(sub {
        my $metrics = metrics($nginx);
        my ($answered, $ended) = map { $metrics->{
            qq(nginx_mcp_sse_questions_total{result="$_"}) } }
            qw(answered ended);

        return $answered <= 1 && $answered + $ended == 2;
    }), "$name: the worker of the call knows it");
    end_call($call);

    # answered elsewhere in the meantime

    $call = asked_call($nginx, $client);
    $proxy->stop;
    $redis->cmd('DEL', 'mcp:ask:' . $call->{asked}->reply);
    $proxy->listen;
    ok(run_until(sub { cancelled($call->{on}, $call->{asks}) }),
        "$name: a question that has ended meanwhile is not open any more");
    end_call($call);
}

# Redis is killed and has lost its data

{
    my $redis  = start_redis();
    my $nginx  = start_push(push => $redis, mcp => '');
    my $client = able($nginx);
    my $call   = begin_call($nginx, $client);
    my $asked  = asking($redis, $call);
    my $asks   = question($call);

    $redis->restart;
    wait_push($nginx);
    ok(run_until(sub { cancelled($call->{on}, $asks) }),
        'Redis has lost its data: the client is not asked any more');

    my $again = asking($redis, $call);

    ok($again->asked, 'Redis is back: the call can ask again');
    respond($nginx, $client, question($call, 2), result => '{}');
    is($again->wait, '{"result":{}}', 'and is answered');
    like(end_call($call), qr/"held\b/, 'so is the call');
    $nginx->allow(qr/\[error\].*mcp_sse_events/);
}

finish();
