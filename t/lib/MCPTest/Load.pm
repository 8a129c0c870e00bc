package MCPTest::Load;

# Clients that work in the background of a test, in the event loop: they post
# to all instances for the sessions of all, and request /health of each all the
# time.  fault() tests what these clients see of a fault of Redis.
#
#     my $load = MCPTest::Load->new(instances => \@nginx, frappe => $frappe);
#
#     $load->fault(name => 'FLUSHALL',
#         begin => sub { $redis->cmd('FLUSHALL') });
#     $load->close;

use strict;
use warnings;

use POSIX ();

use MCPTest::Conn qw(now run_until ticker);
use MCPTest::History;


# Options:
#
#   instances   list of MCPTest::Nginx
#   history     an MCPTest::History (a new one)
#   frappe      the stand-in, for the new history
#   sessions    how many at each instance (4)
#   owners      the instances that have sessions (all)
#   rate        messages in a second, of all clients together (50); fewer while
#               20 of a kind, own or foreign, have no status, since the speed
#               of the machine is not tested
#   slow        every n-th call sleeps 0.3 s at the backend (5)
#   reopen      true: a session that ended is followed by a new one
#   auth        credential
#   fresh       true: each message has a connection of its own

sub new {
    my ($class, %opt) = @_;

    my $self = bless {
        sessions => 4,
        rate     => 50,
        slow     => 5,
        streams  => [],
        conns    => {},
        sent     => 0,
        health   => [],         # [ time, instance, seconds, answer ]
        probes   => {},
        %opt,
    }, $class;

    $self->{owners}  ||= $self->{instances};
    $self->{history} ||= MCPTest::History->new(frappe => $opt{frappe});

    for my $nginx (@{ $self->{owners} }) {
        push @{ $self->{streams} }, map { $self->_open($nginx) }
            1 .. $self->{sessions};
    }

    run_until(sub { !grep { !$_->session && !$_->ended } $self->streams });
    $self->{history}->watch($self->streams);

    return $self;
}


sub history { return $_[0]{history} }
sub streams { return @{ $_[0]{streams} } }


sub _open {
    my ($self, $nginx) = @_;

    return MCPTest::open_stream($nginx, wait => 0,
        defined $self->{auth} ? (auth => $self->{auth}) : ());
}


# Lets the clients work in the background until stop().

sub start {
    my ($self) = @_;

    return $self if $self->{ticker};

    $self->{due}    = now();
    $self->{ticker} = ticker(sub { $self->_tick });

    return $self;
}


sub stop {
    my ($self) = @_;

    my $ticker = delete $self->{ticker};
    $ticker->stop if $ticker;

    return $self;
}


# Lets the clients work for so many seconds.

sub run {
    my ($self, $seconds) = @_;

    $self->start;
    MCPTest::Conn::sleep_for($seconds);
    $self->stop;

    return $self;
}


# Waits until the clients have sent $n further messages and all of these have a
# status; returns their posts.

sub more {
    my ($self, $n) = @_;

    my $running = $self->{ticker};
    my $from    = now();

    $self->start;
    run_until(sub { $self->sent($from, now()) >= $n });
    $self->stop if !$running;

    my @posts = $self->sent($from, now());

    $self->statuses(@posts);

    return @posts;
}


# Whether all instances answer while a fault lasts: each has answered five
# requests for /health and five messages for its own sessions since $from.

sub answered {
    my ($self, $from) = @_;

    for my $nginx (@{ $self->{instances} }) {
        return 0 if $self->health_since($from, $nginx) < 5;

        next if !grep { $_->{nginx} == $nginx && !$_->ended } $self->streams;

        return 0 if 5 > grep { $_->{instance} == $nginx->port
            && $_->{response} && $_->{response}->ended }
            $self->sent($from, now(), 'own');
    }

    return 1;
}


# Whether each request for /health is answered.

sub no_probe_hangs {
    my ($self) = @_;

    return run_until(sub { !grep { $_->{response}
        && !$_->{response}->ended } values %{ $self->{probes} } });
}


# Whether every instance accepts messages for all sessions: of a round that is
# sent from now on each is 202.

sub well {
    my ($self) = @_;

    my $n = $self->streams * @{ $self->{instances} };

    return "@{ [ keys %{ $self->statuses($self->more($n)) } ] }" eq '202';
}


sub _tick {
    my ($self) = @_;

    $self->_probe($_) for @{ $self->{instances} };
    $self->_reopen if $self->{reopen};

    my $n = 0;

    while ($self->{due} < now() && $n++ < 20) {
        $self->{due} += 1 / $self->{rate};
        $self->_send;
    }

    # after a pause, do not make up for it

    $self->{due} = now() if $self->{due} < now();

    return;
}


sub _reopen {
    my ($self) = @_;

    for my $stream (@{ $self->{streams} }) {
        if ($stream->ended && ($stream->{done} || 0) < now() - 0.1) {
            my $fresh = eval { $self->_open($stream->{nginx}) } or next;

            $stream = $fresh;
        }

        $self->{history}->watch($stream) if $stream->session;
    }

    return;
}


sub _send {
    my ($self) = @_;

    my @live = grep { $_->session && !$_->ended } @{ $self->{streams} };
    return unless @live;

    # every session through every instance, in turn

    my $n      = $self->{sent}++;
    my $stream = $live[ $n % @live ];
    my @at     = @{ $self->{instances} };
    my $nginx  = $at[ int($n / @live) % @at ];
    my $open   = $self->{open}{ $stream->{nginx} == $nginx ? 'own'
        : 'foreign' } ||= [];

    @{$open} = grep { $_->{response} && !$_->{response}->ended } @{$open};
    return if @{$open} >= 20;

    my $conn = $self->_conn($nginx);
    my %opt  = $conn ? (conn => $conn) : ();
    my $post;

    $opt{auth} = $self->{auth} if defined $self->{auth};

    if ($n % 11 == 10) {
        $post = $self->{history}->ping($nginx, $stream, %opt);

    } elsif ($self->{slow} && $n % $self->{slow} == 0) {
        $post = $self->{history}->call($nginx, $stream, %opt, tool => 'sleep',
            arguments => { seconds => 0.3 });

    } else {
        $post = $self->{history}->call($nginx, $stream, %opt);
    }

    push @{$open}, $post;

    return;
}


# An idle connection, or a new one.

sub _conn {
    my ($self, $nginx) = @_;

    return if $self->{fresh};

    my $conns = $self->{conns}{ $nginx->port } ||= [];

    @{$conns} = grep { !$_->{closed} } @{$conns};

    my ($free) = grep { !@{ $_->{queue} } } @{$conns};
    return $free if $free;

    my $conn = eval { MCPTest::connect_to($nginx) };
    push @{$conns}, $conn if $conn;

    return $conn;
}


# Requests /health every 50 ms, one request at a time.

sub _probe {
    my ($self, $nginx) = @_;

    my $probe = $self->{probes}{ $nginx->port } ||= { next => 0 };

    if (my $response = $probe->{response}) {
        return if !$response->ended;

        push @{ $self->{health} }, [ $response->{sent}, $nginx,
            $response->took, $response->json ] if $response->status;

        delete $probe->{response};
    }

    return if now() < $probe->{next};

    delete $probe->{conn} if $probe->{conn} && $probe->{conn}{closed};

    $probe->{next} = now() + 0.05;
    $probe->{conn} ||= eval { MCPTest::connect_to($nginx) } or return;
    $probe->{response} = $probe->{conn}->request('GET', '/health',
        host => 'erp.example.com');

    return;
}


# The answers of /health since a time, of all instances or of one.

sub health_since {
    my ($self, $from, $nginx) = @_;

    # they are nearly in order, and the last ones are at the end

    my $all = $self->{health};
    my $n   = @{$all};

    $n-- while $n > 0 && $all->[$n - 1][0] >= $from - 10;

    return grep { $_->[0] >= $from && (!$nginx || $_->[1] == $nginx) }
        @{$all}[$n .. $#{$all}];
}


# The POSTs that were sent in a time: "own" ones, at the instance that has the
# stream, "foreign" ones, or all.

sub sent {
    my ($self, $from, $to, $which) = @_;

    # they are in order, and mostly the last ones are wanted

    my $all = $self->{history}{posts};
    my $n   = @{$all};

    $n-- while $n > 0 && $all->[$n - 1]{sent} >= $from;

    my @posts = grep { $_->{sent} < $to } @{$all}[$n .. $#{$all}];

    return @posts unless $which;

    return grep { ($_->{owner} == $_->{instance}) == ($which eq 'own') }
        @posts;
}


# Waits for the statuses of these POSTs; returns how often each occurs.

sub statuses {
    my ($self, @posts) = @_;

    # skip those with a status in further turns of the loop

    my @open = @posts;

    run_until(sub {
        @open = grep { $_->{response} && !$_->{response}->ended } @open;
        return !@open;
    });

    return @posts ? $self->{history}->statuses(@posts) : {};
}


# Tests one fault of Redis while the clients work:
#
#   name      of the tests
#   begin     function that makes the fault
#   during    function with tests, called when /health shows the fault
#   seconds   how long it lasts at least (2)
#   end       function that ends it, unless it ends by itself
#   lost      true: Redis is lost meanwhile, and /health and the log must say so
#   degraded  true: the same, but the log need not say it: it has said it less
#             than ten seconds before
#   brief     true: it may be over before /health is asked: then the log is
#             enough
#   quiet     true: no client may notice, all messages are accepted
#   foreign   statuses that messages for other instances may have (202, 503)
#   healed    function that waits until Redis itself is well again, and returns
#             true or the time at which it was; the last message that is refused
#             is sent at most 2 s later (more on a busy machine)
#
# This does not measure how long a worker takes.  A worker that waits for Redis
# does not answer before the fault ends, so fault() waits for answers first.

sub fault {
    my ($self, %opt) = @_;

    my @all  = @{ $self->{instances} };
    my $name = $opt{name};

    $self->start;
    $self->more(40);

    $opt{logged} = $opt{lost} && !$self->_logged_lately;

    my $from  = now();
    my @lines = map { length $_->error_log } @all;

    $opt{begin}->();

    my $told = sub {
        return substr($all[ $_[0] ]->error_log, $lines[ $_[0] ])
            =~ MCPTest::Redis::pattern('lost');
    };
    my $shown = sub {
        return grep { ($_->[3]{status} || '') eq 'degraded' }
            $self->health_since($from, $all[ $_[0] ]);
    };

    if ($opt{lost} || $opt{degraded}) {
        Test::More::ok(run_until(sub {
            return !grep { !$shown->($_) && !($opt{brief} && $told->($_)) }
                0 .. $#all;
        }), "$name: /health is degraded");
    }

    if ($opt{lost}) {
        run_until(sub { !grep { !$told->($_) } 0 .. $#all }) if $opt{logged};
    }

    my $known = now();

    $opt{during}->() if $opt{during};

    my $left = ($opt{seconds} || 2) - (now() - $from);

    MCPTest::Conn::sleep_for($left) if $left > 0;

    if ($opt{end}) {
        Test::More::ok(run_until(sub { $self->answered($known) }),
            "$name: no worker waits for the end of the fault");
        $opt{end}->();
    }

    if ($opt{healed}) {
        my $time = $opt{healed}->();

        Test::More::ok($time, "$name: Redis recovers");
        $opt{well} = $time && $time > 1 ? $time : now();
    }

    Test::More::ok(MCPTest::wait_ready(@all)
        && run_until(sub { $self->well }),
        "$name: all instances recover without a restart");

    my $to = now();

    $self->more(40);
    $self->stop;

    $self->_after($name, $from, $to, \%opt);
    $self->_recovery($name, $from, $to, \%opt);
    $self->_logs($name, \@lines, now() - $from, \%opt);

    return;
}


sub _after {
    my ($self, $name, $from, $to, $opt) = @_;

    Test::More::is_deeply([ keys %{ $self->statuses($self->sent($from,
        now(), 'own')) } ], [ 202 ], "$name: own sessions go on")
        or Test::More::diag(Test::More::explain($self->statuses(
            $self->sent($from, now(), 'own'))));

    my %may = map { $_ => 1 } $opt->{quiet} ? 202
        : $opt->{foreign} ? @{ $opt->{foreign} } : (202, 503);
    my $got = $self->statuses($self->sent($from, $to, 'foreign'));
    my @odd = grep { !$may{$_} } keys %{$got};

    Test::More::is_deeply(\@odd, [], "$name: what others get is "
        . join ' or ', sort keys %may)
        or Test::More::diag(Test::More::explain($got));

    my @refused = grep { ($_->{response}->status || 0) == 503 }
        grep { $_->{response} } $self->sent($from, $to, 'foreign');
    my @bad = grep { my $r = $_->{response};
        !$r->header('Retry-After') || ($r->json->{error}{code} || 0) != -32003
        || ($r->json->{error}{data}{executed} || '') !~ /\A(?:no|unknown)\z/
    } @refused;

    Test::More::is(scalar @bad, 0,
        "$name: each 503 has Retry-After, -32003, data.executed")
        or Test::More::diag($bad[0]{response}->body);

    my @then = $self->sent($to, now());

    $self->statuses(@then);

    my ($refused) = grep { ($_->{response}->status || 0) != 202 }
        grep { $_->{response} } @then;

    Test::More::is_deeply([ keys %{ $self->statuses(@then) } ], [ 202 ],
        "$name: after the fault every message is accepted")
        or Test::More::diag(Test::More::explain($self->statuses(@then)),
            $refused ? sprintf('%.3f s later, after %.3f s: %s',
                $refused->{sent} - $to, $refused->{response}->took || 0,
                $refused->{response}->body) : ());

    Test::More::ok($self->no_probe_hangs,
        "$name: each request for /health is answered");

    $self->{history}->ok("$name: each accepted call is answered once, what "
        . 'was refused does not run afterwards');

    Test::More::is(scalar(grep { $_->ended } $self->streams), 0,
        "$name: no stream ends") if !$self->{reopen};

    return;
}


# Notes what clients have seen, and for how long; with "healed", tests it.

sub _recovery {
    my ($self, $name, $from, $to, $opt) = @_;

    my $last = $from;

    for my $post ($self->sent($from, $to, 'foreign')) {
        my $status = $post->{response} && $post->{response}->status || 0;

        $last = $post->{sent} if $status != 202;
    }

    my $text = sub {
        my %n = %{ $self->statuses($self->sent($from, $to, $_[0])) };

        return join ' ', map { "$_ x $n{$_}" } sort keys %n;
    };

    Test::More::note(sprintf '%s: own sessions %s, others %s, Redis is well '
        . 'after %.1f s, clients after %.1f s', $name, $text->('own'),
        $text->('foreign'), ($opt->{well} || $from) - $from, $last - $from);

    return if !$opt->{well};

    my $bound = 2 * MCPTest::Conn::hang_after() / 60;

    $bound *= 3 if $ENV{MCP_SSE_SANITIZE};

    Test::More::cmp_ok($last, '<=', $opt->{well} + ($bound < 2 ? 2 : $bound),
        "$name: no message is refused 2 s after Redis is well");

    return;
}


# Whether a worker has logged in the last 12 seconds that Redis is lost: it logs
# that once in ten.

sub _logged_lately {
    my ($self) = @_;

    my $since = POSIX::strftime('%Y/%m/%d %H:%M:%S', localtime time - 12);
    my $lost  = MCPTest::Redis::pattern('lost');

    return grep { $_ =~ $lost && substr($_, 0, 19) ge $since }
        map { split /\n/, $_->error_log } @{ $self->{instances} };
}


# Tests that the error logs have the fault, but not for every message: each kind
# of line appears once in ten seconds.

sub _logs {
    my ($self, $name, $lines, $seconds, $opt) = @_;

    for my $n (0 .. $#{ $self->{instances} }) {
        my $nginx = $self->{instances}[$n];
        my $log   = substr $nginx->error_log, $lines->[$n];

        if ($opt->{logged}) {
            Test::More::like($log, MCPTest::Redis::pattern('lost'),
                "$name: the log says that Redis is lost");
            Test::More::like($log, MCPTest::Redis::pattern('ready'),
                "$name: the log says that Redis is ready again");
        }

        my @trouble = grep { /\[(?:warn|error|crit|alert)\].*mcp sse: /
            && !/frappe|upstream/ } split /\n/, $log;

        Test::More::cmp_ok(scalar @trouble, '<=', 12 * $nginx->{workers}
            + $seconds / 2, "$name: the log has few lines about it")
            or Test::More::diag(join "\n", @trouble[0 .. 5]);
    }

    return;
}


sub close {
    my ($self) = @_;

    $self->stop;
    $_->close for map { @{$_} } values %{ $self->{conns} };
    $_->{conn} && $_->{conn}->close for values %{ $self->{probes} };
    $_->close for $self->streams;

    return;
}


1;
