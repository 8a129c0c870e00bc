# All processes of an instance, or one worker, are killed with SIGKILL while
# clients post: their streams end, the other instances go on, and messages for
# the dead are 503, later 400.  docs/PROTOCOL.md 11.12.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::History;
use MCPTest::Load;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();


# Kills all processes of an instance at the same time.

sub kill_instance {
    my ($nginx) = @_;

    my @workers = $nginx->worker_pids(exiting => 1);

    kill STOP => $nginx->pid;
    kill KILL => @workers, $nginx->pid;
    $nginx->_wait_exit(5);
    $nginx->allow(qr/./);

    return;
}


sub messages_to_the_dead {
    my ($name, $history, $at, @streams) = @_;

    my @posts = map { $history->call($at, $_) } @streams;

    ok(run_until(sub { !$history->pending }),
        "$name: each POST for a dead worker has a status");

    my $got = $history->statuses(@posts);
    my @odd = grep { !/\A(?:400|503)\z/ } keys %{$got};

    is_deeply(\@odd, [], "$name: each POST for a dead worker is 503 or 400")
        or diag(explain($got));

    return;
}


# an instance is killed while clients post

{
    my @nginx = start_instances(3, redis => $redis, workers => 2,
        http => 'mcp_sse_grace 10s;');
    my $load = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
        rate => 60);
    my ($dead, @others) = @nginx;
    my @dead = grep { $_->{nginx} == $dead } $load->streams;
    my @live = grep { $_->{nginx} != $dead } $load->streams;

    $load->start;
    $load->more(80);

    my $from = now();

    kill_instance($dead);
    $load->{instances} = \@others;
    ok(run_until(sub { !grep { !$_->ended } @dead }),
        'the streams of a killed instance end');
    ok(run_until(sub { $load->answered($from) }),
        'the other instances answer at once');
    $load->more(80);
    $load->stop;
    is(scalar(grep { $_->ended } @live), 0,
        'the streams of the other instances stay open');

    my @living = grep { $_->{instance} != $dead->port
        && $_->{owner} != $dead->port } $load->sent($from, now());

    is_deeply($load->statuses(@living), { 202 => scalar @living },
        'the other instances accept every message between them');

    # what was posted to the killed instance itself may have no answer

    for my $post ($load->history->posts) {
        $post->{excused} = 1 if $post->{instance} == $dead->port
            && $post->{sent} > $from - 1;
    }

    messages_to_the_dead('soon after the kill', $load->history, $others[0],
        @dead);

    # the keys of its workers and sessions expire after 15 s

    ok(run_until(sub {
        return 4 == grep { /\Amcp:k:/ } keys %{ $redis->dump };
    }), 'the keys of the dead workers expire');

    my $last;

    ok(run_until(sub {
        $last = $load->history->call($others[0], $dead[0]);
        $last->{response}->wait;
        return ($last->{response}->status || 0) == 400;
    }), 'then a message for a session of the killed instance is 400');
    is_rejected($last->{response}, 400, -32001, 'Invalid session ID',
        'the refusal is that of an unknown session');

    my $quick = post($others[1], $dead[1], request(1, 'ping'));

    is($quick->status, 400, 'the third instance refuses it with 400, too');

    # clients of the killed instance bring their ids to another one

    my @back = map { open_stream($others[0], headers =>
        [ 'Last-Event-ID', $_->session ]) } @dead[0, 1];

    is_deeply([ map { $_->session } @back ],
        [ map { $_->session } @dead[0, 1] ],
        'clients that bring their session ids keep them');
    $load->history->watch(@back);
    $load->history->call($others[1], $_) for @back;

    $load->history->ok('what living instances accepted is answered once, '
        . 'nothing runs twice or after its refusal');

    $_->close for @back;
    $load->close;
    $_->stop for @others;
}

# one worker of an instance is killed, the other worker goes on

{
    my @nginx = start_instances(2, redis => $redis, workers => 2,
        redis_opt => 'prefix=worker:', http => 'mcp_sse_grace 10s;');
    my ($here, $there) = @nginx;
    my @workers = $here->wait_workers;
    my @streams = map { open_stream($here, worker => $_) } @workers;
    my $history = MCPTest::History->new(frappe => $frappe);

    $here->kill_worker($workers[0]);
    ok($streams[0]->wait_ended, 'the stream of a killed worker ends');

    my @posts = map { $history->call($there, $streams[1]) } 1 .. 10;

    run_until(sub { !$history->pending });
    is_deeply($history->statuses(@posts), { 202 => 10 },
        'messages for the other worker of that instance are accepted');
    messages_to_the_dead('one worker', $history, $there, $streams[0]);

    my $late;

    ok(run_until(sub {
        $late = post($there, $streams[0], request(1, 'ping'));
        return $late->status == 400;
    }), 'then a message for a session of the killed worker is 400');
    $history->ok('with one worker dead, each accepted call is answered once');
    $streams[1]->close;
}

finish();
