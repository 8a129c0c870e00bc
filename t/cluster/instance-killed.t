# An instance that has sessions dies: kill -9 of all its processes at once.
# Others notice, and go on.

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


# All processes of an instance at once.

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

    ok(run_until(sub { !$history->pending }), "$name: each has an answer");

    my $got = $history->statuses(@posts);
    my @odd = grep { !/\A(?:400|503)\z/ } keys %{$got};

    is_deeply(\@odd, [], "$name: 503 while nobody knows, or 400")
        or diag(explain($got));

    return;
}


# killed while messages come in

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
    ok(run_until(sub { !grep { !$_->ended } @dead }), 'its streams end');
    ok(run_until(sub { $load->answered($from) }),
        'nobody waits for the dead');
    $load->more(80);
    $load->stop;
    is(scalar(grep { $_->ended } @live), 0, 'the others do not');

    my @living = grep { $_->{instance} != $dead->port
        && $_->{owner} != $dead->port } $load->sent($from, now());

    is_deeply($load->statuses(@living), { 202 => scalar @living },
        'the other instances go on');

    # what was sent to the dead one itself may have no answer

    for my $post ($load->history->posts) {
        $post->{excused} = 1 if $post->{instance} == $dead->port
            && $post->{sent} > $from - 1;
    }

    messages_to_the_dead('at first', $load->history, $others[0], @dead);

    # its worker's key ends after 15 s, the session's is as old

    ok(run_until(sub {
        return 4 == grep { /\Amcp:k:/ } keys %{ $redis->dump };
    }), 'presence of the dead ends');

    my $last;

    ok(run_until(sub {
        $last = $load->history->call($others[0], $dead[0]);
        $last->{response}->wait;
        return ($last->{response}->status || 0) == 400;
    }), 'then it is 400');
    is_rejected($last->{response}, 400, -32001, 'Invalid session ID',
        'as for any session that is no more');

    my $quick = post($others[1], $dead[1], request(1, 'ping'));

    is($quick->status, 400, 'at another instance, too');

    # its clients come back with their ids, to the ones that live

    my @back = map { open_stream($others[0], headers =>
        [ 'Last-Event-ID', $_->session ]) } @dead[0, 1];

    is_deeply([ map { $_->session } @back ],
        [ map { $_->session } @dead[0, 1] ],
        'clients that bring their ids get them back');
    $load->history->watch(@back);
    $load->history->call($others[1], $_) for @back;

    $load->history->ok('what was accepted for the living is answered once, '
        . 'nothing ran twice, or after its client was refused');

    $_->close for @back;
    $load->close;
    $_->stop for @others;
}

# one worker of an instance dies, the others are noticed as living

{
    my @nginx = start_instances(2, redis => $redis, workers => 2,
        redis_opt => 'prefix=worker:', http => 'mcp_sse_grace 10s;');
    my ($here, $there) = @nginx;
    my @workers = $here->wait_workers;
    my @streams = map { open_stream($here, worker => $_) } @workers;
    my $history = MCPTest::History->new(frappe => $frappe);

    $here->kill_worker($workers[0]);
    ok($streams[0]->wait_ended, 'one worker dies, and its stream ends');

    my @posts = map { $history->call($there, $streams[1]) } 1 .. 10;

    run_until(sub { !$history->pending });
    is_deeply($history->statuses(@posts), { 202 => 10 },
        "another worker's goes on");
    messages_to_the_dead('of the dead worker', $history, $there, $streams[0]);

    my $late;

    ok(run_until(sub {
        $late = post($there, $streams[0], request(1, 'ping'));
        return $late->status == 400;
    }), 'then it is 400');
    $history->ok('nothing lost, nothing twice');
    $streams[1]->close;
}

finish();
