package MCPTest::History;

# Records what clients sent, what came back on their streams and what the
# backend ran, and finds contradictions: lost answers, calls that run twice.
#
#     my $history = MCPTest::History->new(frappe => $frappe);
#
#     $history->call($nginx, $stream) for 1 .. 20;
#     $history->ok('each accepted call is answered once');
#
# The records are plain lists, so that a test can also make them up; all times
# are of the monotonic clock:
#
#   sent      key, id, session, instance, method, sent (time); status and
#             answered (time) of the POST, executed ("no", "unknown" or undef);
#             call (false: nothing runs at the backend), silent (a
#             notification, a cancelled request: no answer), excused (its
#             instance was killed: anything may have happened), misled (its
#             instance got false replies from Redis: a refusal proves nothing)
#   answers   session, id, time, data (raw JSON)
#   ran       key, time, tool
#   sessions  session => true if each message accepted for it must have been
#             answered: its stream is open, or the server ended it properly
#   cuts      session => time at which its stream was cut, if the session came
#             back later: what was sent before need not be answered
#
# id and key are unique in a history.  Violations are hashes with rule, text and
# the POST.  The rules:
#
#   lost-answer          a 202 and no answer, although the session goes on
#   second-answer        two answers to one request
#   ran-twice            a call ran more than once
#   ran-after-4xx        a call ran that was refused with 4xx
#   ran-though-no        a call ran that was refused with 503 and "no"
#   ran-after-refusal    a call started after it had been refused
#   answer-after-4xx     an answer to a request that was refused with 4xx
#   answer-though-no     an answer to a request that was refused with "no"
#   answer-to-silent     an answer to a message that has none
#   foreign-answer       an answer on the stream of another session
#   unknown-answer       an answer without a request
#   wrong-answer         a result of another call
#   result-not-run       a result of a call that never ran
#   no-status            a POST without a status
#   unknown-run          a run without a request

use strict;
use warnings;

use MCPTest::Conn qw(now hang_after run_until);
use MCPTest::JSON qw(decode encode);

my $unique = 0;


# Creates a recorder.  Options: frappe, the stand-in; strict, true if only this
# recorder calls it.

sub new {
    my ($class, %opt) = @_;

    return bless { %opt, posts => [], streams => [], name => "h$$" },
        $class;
}


# Adds open streams to the history, also those that were opened again with the
# id of an earlier one.

sub watch {
    my ($self, @streams) = @_;

    for my $stream (@streams) {
        push @{ $self->{streams} }, $stream
            unless grep { $_ == $stream } @{ $self->{streams} };
    }

    return @streams;
}


# Posts a call of a tool (echo) for a stream to an instance; returns at once.
# Options: tool, arguments, auth, conn.

sub call {
    my ($self, $nginx, $stream, %opt) = @_;

    my $id  = ++$unique + 1_000_000;
    my $key = "$self->{name}-$id";

    return $self->post($nginx, $stream, MCPTest::tool($id,
        $opt{tool} || 'echo', { key => $key, %{ $opt{arguments} || {} } }),
        %opt, key => $key, id => $id, call => 1,
        method => 'tools/call ' . ($opt{tool} || 'echo'));
}


sub ping {
    my ($self, $nginx, $stream, %opt) = @_;

    my $id = ++$unique + 1_000_000;

    return $self->post($nginx, $stream, MCPTest::request($id, 'ping'), %opt,
        id => $id, method => 'ping');
}


# Posts a message; needs id, and key if it is a call.

sub post {
    my ($self, $nginx, $stream, $message, %opt) = @_;

    $self->watch($stream) if ref $stream;

    my %facts = map { $_ => delete $opt{$_} }
        qw(id key call method silent excused);

    my $post = {
        %facts,
        session  => MCPTest::session_of($stream),
        instance => ref $nginx ? $nginx->port : $nginx,
        owner    => ref $stream ? $stream->{nginx}->port : undef,
        sent     => now(),
    };

    $post->{response} = eval {
        MCPTest::post($nginx, $stream, $message, %opt, async => 1);
    };
    $post->{refused} = !$post->{response};      # no connection

    push @{ $self->{posts} }, $post;

    return $post;
}


sub posts { return @{ $_[0]{posts} } }


sub pending {
    my ($self) = @_;

    return grep { $_->{response} && !$_->{response}{ended} }
        @{ $self->{posts} };
}


# Waits until all POSTs have a status and all answers that are due have come;
# check() reports those that have not.

sub settle {
    my ($self, $timeout) = @_;

    my $end = now() + ($timeout || hang_after());

    my @open = $self->pending;

    run_until(sub {
        @open = grep { !$_->{response}{ended} } @open;
        return !@open;
    }, $timeout);

    my @due = @{ $self->{posts} };

    run_until(sub {
        my %lived = %{ $self->sessions };
        my %cuts  = %{ $self->cuts };

        @due = grep { $lived{ $_->{session} } && !$_->{silent}
            && $_->{sent} > ($cuts{ $_->{session} } || 0)
            && $_->{response} && ($_->{response}->status || 0) == 202
            && !$self->_answered($_) } @due;

        return !@due;
    }, $end - now());

    # wait a little: answers that must not come could still come

    MCPTest::sleep_for(0.3);

    return;
}


sub _answered {
    my ($self, $post) = @_;

    return grep { ($_->session || '') eq $post->{session}
        && $_->answers($post->{id}) } @{ $self->{streams} };
}


# How often each status occurs: { 202 => 17, none => 1 }.

sub statuses {
    my ($self, @posts) = @_;

    my %n;

    $n{ $_->{response} && $_->{response}->status || 'none' }++
        for @posts ? @posts : @{ $self->{posts} };

    return \%n;
}


# Sessions whose stream is open, or was ended properly by the server.

sub sessions {
    my ($self) = @_;

    my %lived;

    for my $stream (@{ $self->{streams} }) {
        my $id = $stream->session;
        next unless defined $id;

        $lived{$id} = !$stream->ended || $stream->ended eq 'clean' ? 1 : 0;
    }

    return \%lived;
}


sub cuts {
    my ($self) = @_;

    my %cuts;

    for my $stream (@{ $self->{streams} }) {
        my $id = $stream->session;
        next unless defined $id && $stream->ended
            && $stream->ended ne 'clean';

        $cuts{$id} = $stream->{done}
            if !$cuts{$id} || $stream->{done} > $cuts{$id};
    }

    return \%cuts;
}


# The records, as described above.

sub records {
    my ($self) = @_;

    my %records = (sessions => $self->sessions, cuts => $self->cuts,
        sent => [], answers => [], ran => [], strict => $self->{strict});

    for my $post (@{ $self->{posts} }) {
        my $response = $post->{response};
        my $json     = $response && $response->json;
        my $error    = ref $json eq 'HASH' ? $json->{error} : undef;

        push @{ $records{sent} }, {
            (map { $_ => $post->{$_} } qw(id key call method silent excused
                misled session instance sent)),
            excused  => $post->{excused} || $post->{refused},
            status   => $response ? $response->status : undef,
            answered => $response ? $response->{done} : undef,
            executed => ref $error eq 'HASH' && ref $error->{data} eq 'HASH'
                ? $error->{data}{executed} : undef,
        };
    }

    for my $stream (@{ $self->{streams} }) {
        for my $event ($stream->messages) {
            next unless defined $event->{raw_id};

            push @{ $records{answers} }, {
                session => $stream->session,
                id      => $event->{raw_id},
                time    => $event->{time},
                data    => $event->{data},
            };
        }
    }

    $records{ran} = [ $self->{frappe}->started ] if $self->{frappe};

    return \%records;
}


# A test: waits with settle(), checks, and prints the violations.

sub ok {
    my ($self, $name, %opt) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    $self->settle($opt{timeout});

    my @violations = check($self->records);
    my %seen;

    # the first one of each rule comes first

    @violations = map { $_->[1] } sort { $a->[0] <=> $b->[0] }
        map { [ $seen{ $_->{rule} }++ ? 1 : 0, $_ ] } @violations;

    Test::More::is(scalar @violations, 0, $name);
    Test::More::diag("violation: $_->{rule}: $_->{text}")
        for @violations[0 .. ($#violations > 9 ? 9 : $#violations)];
    Test::More::diag('of ' . @violations . ' violations') if @violations > 10;

    return !@violations;
}


# ---- the rules

# Returns the list of violations in the records.

sub check {
    my ($records) = @_;

    my %all = (%{$records}, found => []);

    $all{by_id}  = { map { $_->{id} => $_ } @{ $records->{sent} } };
    $all{by_key} = { map { defined $_->{key} ? ($_->{key} => $_) : () }
        @{ $records->{sent} } };

    push @{ $all{got}{ $_->{id} } }, $_ for @{ $records->{answers} };
    push @{ $all{started}{ $_->{key} } }, $_ for @{ $records->{ran} };

    _check_sent(\%all, $_) for @{ $records->{sent} };
    _check_answer(\%all, $_) for @{ $records->{answers} };

    for my $run (@{ $records->{ran} }) {
        _violation(\%all, 'unknown-run', undef, "key $run->{key}")
            if $records->{strict} && !$all{by_key}{ $run->{key} };
    }

    return @{ $all{found} };
}


sub _violation {
    my ($all, $rule, $post, $text) = @_;

    if ($post) {
        my $status = defined $post->{status} ? $post->{status} : 'none';

        $status .= " executed $post->{executed}" if defined $post->{executed};
        $text .= sprintf '; %s id %s at instance %s, sent %.3f, status %s%s',
            $post->{method} || 'message', $post->{id},
            defined $post->{instance} ? $post->{instance} : '?',
            $post->{sent} || 0, $status,
            defined $post->{answered}
                ? sprintf(' at %.3f', $post->{answered}) : '';
    }

    push @{ $all->{found} }, { rule => $rule, post => $post, text => $text };

    return;
}


sub _times {
    return join ', ', map { sprintf '%.3f', $_->{time} } @_;
}


sub _check_sent {
    my ($all, $post) = @_;

    my $status = $post->{status} || 0;
    my $no     = ($post->{executed} || '') eq 'no';
    my @got    = @{ $all->{got}{ $post->{id} } || [] };
    my @ran    = $post->{call}
        ? @{ $all->{started}{ $post->{key} } || [] } : ();

    my $say = sub { _violation($all, $_[0], $post, $_[1]); };

    $say->('no-status', 'no answer to the POST')
        if !$status && !$post->{excused};

    $say->('second-answer', @got . ' answers at ' . _times(@got)) if @got > 1;
    $say->('ran-twice', 'ran ' . @ran . ' times, at ' . _times(@ran))
        if @ran > 1;

    if ($status == 202) {
        my $due = $all->{sessions}{ $post->{session} }
            && !$post->{silent} && !$post->{excused}
            && $post->{sent} > ($all->{cuts}{ $post->{session} } || 0);

        $say->('lost-answer', 'accepted, never answered'
            . (@ran ? ', though it ran at ' . _times(@ran) : '')
            . ($post->{call} && !@ran ? ', and it never ran' : ''))
            if $due && !@got;

    } elsif ($status >= 400 && $status < 500) {
        $say->('ran-after-4xx', 'ran at ' . _times(@ran)) if @ran;
        $say->('answer-after-4xx', 'answered at ' . _times(@got)) if @got;

    } elsif ($status >= 500 && !$post->{misled}) {
        my @late = grep { $_->{time} > $post->{answered} } @ran;

        $say->('ran-though-no', 'ran at ' . _times(@ran)) if $no && @ran;
        $say->('answer-though-no', 'answered at ' . _times(@got))
            if $no && @got;
        $say->('ran-after-refusal', 'started at ' . _times(@late)) if @late;
    }

    $say->('answer-to-silent', 'answered at ' . _times(@got))
        if $post->{silent} && @got;

    return;
}


sub _check_answer {
    my ($all, $answer) = @_;

    my $post = $all->{by_id}{ $answer->{id} };

    if (!$post) {
        _violation($all, 'unknown-answer', undef, "id $answer->{id} at "
            . _times($answer)) if $all->{strict};
        return;
    }

    _violation($all, 'foreign-answer', $post, 'on the stream of another '
        . 'session, at ' . _times($answer))
        if $answer->{session} ne $post->{session};

    return unless $post->{call} && defined $answer->{data};

    my $result = $answer->{data} =~ /"result":/ ? 1 : 0;

    _violation($all, 'result-not-run', $post, 'a result at '
        . _times($answer)) if $result && !$all->{started}{ $post->{key} };

    _violation($all, 'wrong-answer', $post, 'its key is not in the answer')
        if $result && ($post->{method} || '') =~ /echo/
        && $answer->{data} !~ /\Q$post->{key}\E\b/;

    return;
}


1;
