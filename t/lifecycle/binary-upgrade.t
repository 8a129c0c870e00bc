# Binary upgrade: another nginx takes over the sockets (USR2, WINCH, QUIT), or
# the old one takes them back (HUP).  Each nginx has its own zone: with Redis a
# message finds its stream at either of them, without it the wrong one answers
# 400.  docs/PROTOCOL.md 12.5.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use Test::More;

my $frappe = start_frappe();
my %masters;

END { kill TERM => grep { alive($_) } keys %masters }


sub alive {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/stat" or return 0;
    my $line = <$file>;

    return defined $line && $line !~ /\) Z /;
}


sub gone {
    my (@pids) = @_;

    return run_until(sub { !grep { alive($_) } @pids });
}


sub workers_of {
    my ($pid) = @_;

    my @workers = bless({ pid => $pid }, 'MCPTest::Nginx')->worker_pids;

    return @workers;
}


# The pid of the master in nginx.pid, if all its workers run.

sub master {
    my ($nginx) = @_;

    open my $file, '<', $nginx->dir . '/nginx.pid' or return 0;
    my $pid = <$file>;

    return 0 unless defined $pid && $pid =~ /\A(\d+)\n\z/;

    $pid = $1;
    $masters{$pid} = 1;

    return workers_of($pid) == $nginx->{workers} ? $pid : 0;
}


# Starts nginx as a daemon: another master refuses USR2.

sub start_daemon {
    my (%opt) = @_;

    # nginx removes all other environment variables from the new master

    my %env = MCPTest::Nginx::sanitizers();

    $opt{main} = join "\n", map { "env $_;" } keys %env;

    my $nginx = start_nginx(%opt, workers => 2, fails => 1, config => sub {
        return $_[0]->template =~ s/daemon off/daemon on/r;
    });

    $nginx->{pid} = run_until(sub { master($nginx) });
    ok($nginx->{pid}, 'nginx starts as a daemon') or diag($nginx->stderr);
    wait_ready($nginx) if $opt{redis};

    return $nginx;
}


sub upgrade {
    my ($nginx) = @_;

    my $old = $nginx->pid;

    kill USR2 => $old;

    return run_until(sub { my $new = master($nginx); $new != $old && $new });
}


# Messages with a 400 although their stream was open.

sub refused_alive {
    my ($load) = @_;

    my %end = map { $_->session => $_->{done} }
        grep { defined $_->session && $_->ended } @{ $load->history->{streams} };

    return grep {
        my $response = $_->{response};
        my $end      = $end{ $_->{session} };

        $response->status == 400
            && !(defined $end && $end < $response->{done} + 10);
    } grep { $_->{response} && $_->{response}->status }
        $load->history->posts;
}


for my $way ('onward', 'back') {
    my $redis = $way eq 'onward' && MCPTest::Redis::binary() ? start_redis()
        : undef;
    my $nginx = start_daemon(redis => $redis, http => 'mcp_sse_drain 1s; '
        . 'mcp_sse_grace 60s;');
    my $old   = $nginx->pid;
    my @old   = workers_of($old);
    my $load  = MCPTest::Load->new(instances => [ $nginx ], fresh => 1,
        reopen => 1, rate => 60, frappe => $frappe)->start;

    $load->more(30);

    my $new = upgrade($nginx);

    ok($new, "$way: USR2 starts another master");
    wait_ready($nginx) if $redis;
    $load->more(30);
    kill WINCH => $old;
    ok(gone(@old), "$way: the old workers end after WINCH");
    ok(alive($old), "$way: the old master goes on after WINCH");

    my ($leave, $stay) = $way eq 'onward' ? ($old, $new) : ($new, $old);

    if ($way eq 'back') {
        kill HUP => $old;
        ok(run_until(sub { workers_of($old) == 2 }),
            "$way: HUP starts workers of the old master again");
    }

    my @leave = workers_of($leave);

    $load->more(20);
    kill QUIT => $leave;
    ok(gone($leave, @leave), "$way: one master ends with QUIT");
    $nginx->{pid} = $stay;

    ok(run_until(sub { $load->well }),
        "$way: then messages for all sessions are accepted");

    my $from = now();

    $load->more(60);
    $load->stop;
    $load->history->ok("$way: each accepted message is answered once");

    my %all = %{ $load->statuses($load->sent(0, $from)) };

    cmp_ok($all{202} || 0, '>', 30, "$way: messages are accepted meanwhile")
        or diag(explain(\%all));

    # the stream of a 400 may have ended a moment before

    is(scalar refused_alive($load), 0,
        "$way: no message for an open stream is refused") if $redis;

    # 503: the POST waited, for Redis or another instance, as its worker ended

    is_deeply([ grep { !/\A(?:202|400|503)\z/ } keys %all ], [],
        "$way: each message is 202, 400 or 503") or diag(explain(\%all));
    cmp_ok($all{503} || 0, '<=', 10,
        "$way: hardly any message is 503") or diag(explain(\%all));
    is_deeply([ keys %{ $load->statuses($load->sent($from, now())) } ],
        [ 202 ], "$way: in the end every message is accepted");
    is(health($nginx)->{pending_requests}, 0,
        "$way: in the end no request is pending");
    is(health($nginx)->{active_connections},
        scalar(grep { !$_->ended } $load->streams),
        "$way: /health counts the open streams");

    $load->close;
    kill TERM => $stay;
    ok(gone($stay), "$way: the other master ends with TERM");
    delete $nginx->{pid};
}

finish();
