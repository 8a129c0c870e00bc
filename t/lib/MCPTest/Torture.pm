package MCPTest::Torture;

# Tests while allocations of nginx fail (util/torture, t/lib/torture): MCPTest
# loads this if MCP_SSE_TORTURE, the seed, is set.  What the test itself checks
# does not count then.  Instead, when it ends, for whatever reason:
#
#   unanswered   each request that was accepted (202) has its answer, or its
#                stream has ended
#   hang         each other request has a whole response, or its connection has
#                ended; nginx ends with QUIT
#   twice        no request has more answers than it was sent
#   not-run      of Frappe's methods and tools there are, for each id, not more
#                results than Frappe has run
#   gauge        gauges of /metrics come to 0, and the zone's pages are free
#   descriptor   workers have no sockets of clients or Frappe, no temporary
#                files, and no more of others than at their start
#   memory       workers have given back what they allocated; with Redis not if
#                the time of the test is up: a message that its receiver has not
#                acknowledged is kept for mcp_sse_grace
#   log          the error log has no alert but about memory
#
# A violation is a line "torture: FAULT RULE: TEXT" on standard error; the last
# line is "torture: end".

use strict;
use warnings;

use Fcntl qw(SEEK_SET);
use File::Temp ();
use JSON::PP ();
use Scalar::Util qw(weaken);

use MCPTest::JSON qw(decode);

# seconds that a test may take after its first nginx has started, before it is
# ended and checked

use constant TIME => $ENV{MCP_SSE_TORTURE_TIME} || 60;

# seconds after which the checks at the end give up

use constant HANG => 40;

# how much a worker may have allocated more than at its start: connections to
# Redis, what OpenSSL allocates once

use constant MEMORY => 512 * 1024;

# the part of the zone's free pages that must be free again: the cache of
# look-ups and ended ids stay, one of them is enough to keep a page

use constant ZONE => 0.7;

# as t/lib/torture/torture.c has it: torture_page_t, torture_worker_t

use constant { PAGE_HEAD => 16, PAGE_WORKER => 48, PAGE_WORKERS => 256 };

my @gauges = qw(streams sessions tombstones calls_running messages_waiting
    posts_held backend_calls backend_calls_waiting);

# what nginx says about an allocation that failed; OpenSSL says it with many
# other words

my $excused = qr/failed\ \(12:\ Cannot\ allocate\ memory\)
    |malloc\ failure|no\ memory|\[crit\]\ .*\ SSL_\w+\(\)\ failed/x;

my $json = JSON::PP->new->ascii->allow_nonref;

my (@requests, @objects, @frappes, $starts, %forgotten, %ran, $ran_more,
    $faults, $ended, $time_is_up);


sub fault {
    my ($rule, $text) = @_;

    $text =~ s/\s+/ /g;
    print STDERR "torture: FAULT $rule: " . substr($text, 0, 500) . "\n";
    $faults++;

    return;
}


# ---- recording

sub _wrap {
    my ($name, $function) = @_;

    no strict 'refs';
    no warnings 'redefine';

    my $old = \&{$name};

    *{$name} = sub { return $function->($old, @_) };

    return;
}


sub _record_request {
    my ($old, $conn, $method, $path, %opt) = @_;

    my $response = $old->($conn, $method, $path, %opt);
    my $length;

    for (my $i = 0; $i < @{ $opt{headers} || [] }; $i += 2) {
        $length = $opt{headers}[$i + 1]
            if $opt{headers}[$i] =~ /\A(?:content-length|expect
                |transfer-encoding)\z/xi;
    }

    push @requests, {
        conn     => $conn,
        response => $response,
        method   => $method,
        path     => $path,
        body     => $opt{body},
        partial  => defined $length,
        stream   => $response->isa('MCPTest::Stream') && $method ne 'POST',
    };

    return $response;
}


# nginx with a page of its own, and shorter times: what waits for a client to
# come back must not keep the gauges up

sub _configure {
    my ($old, $self, @arg) = @_;

    my $result = $old->($self, @arg);
    my $name   = "$self->{dir}/conf/nginx.conf";
    my $text   = MCPTest::Build::slurp($name);

    $text =~ s/\b(mcp_sse_grace|mcp_sse_auth_wait)\s+(\d+)(s|m|h)?\s*;/
        "$1 " . ($2 > 3 || ($3 || 's') ne 's' ? 2 : $2) . 's;'/gex;

    open my $file, '>', $name or die "$name: $!\n";
    print {$file} $text;
    close $file or die "$name: $!\n";

    return $result;
}


sub _run {
    my ($old, $self) = @_;

    my $page = "$self->{dir}/torture" . ++$self->{torture_runs};

    open my $file, '+>', $page or die "$page: $!\n";
    binmode $file;
    truncate $file, PAGE_HEAD + PAGE_WORKER * PAGE_WORKERS;
    chmod 0666, $page;
    $self->{torture_page} = $file;
    _disarm($self, 1);

    # each nginx of a test has a seed of its own; a busy machine takes longer
    # to start it than the waits of the test last

    local $ENV{MCP_SSE_HANG_AFTER} = 60;
    local $ENV{MCP_SSE_TORTURE_PAGE} = $page;
    local $ENV{MCP_SSE_TORTURE} = $ENV{MCP_SSE_TORTURE} + 7919 * $starts++;

    my $result = $old->($self);

    alarm TIME if $starts == 1;

    if ($result && $self->{pid}) {
        $self->{torture_zone} = _metrics($self)->{zone_free_bytes};
        _record_descriptors($self);
    }

    _disarm($self, 0);

    return $result;
}


# The most that one of the workers has, once all run: the last one of them has
# the channels to all others at once.

sub _record_descriptors {
    my ($self) = @_;

    my (@pids, %most);

    _wait(sub {
        my %runs = map { $_->{pid} => 1 } _workers($self);

        @pids = $self->worker_pids;

        return @pids >= $self->{workers} && !grep { !$runs{$_} } @pids;
    }, 5);

    for my $others (map { _others($_) } @pids) {
        for my $name (keys %{$others}) {
            $most{$name} = $others->{$name}
                if $others->{$name} > ($most{$name} || 0);
        }
    }

    # both or none: the time may be up in between

    @{$self}{qw(torture_pids torture_fds)} = ("@pids", \%most);

    return;
}


sub _disarm {
    my ($self, $disarmed) = @_;

    my $file = $self->{torture_page} or return;

    sysseek $file, 0, SEEK_SET;
    syswrite $file, pack 'Q', $disarmed;

    return;
}


# The workers of an nginx, from its page.

sub _workers {
    my ($self) = @_;

    my $file = $self->{torture_page} or return;

    sysseek $file, 0, SEEK_SET;
    sysread $file, my $page, PAGE_HEAD + PAGE_WORKER * PAGE_WORKERS;

    my ($disarmed, $n) = unpack 'QQ', $page;
    my @workers;

    for (0 .. ($n > PAGE_WORKERS ? PAGE_WORKERS : $n) - 1) {
        my %worker;

        @worker{qw(pid base bytes turns allocations failed)} = unpack 'Q6',
            substr $page, PAGE_HEAD + $_ * PAGE_WORKER, PAGE_WORKER;
        push @workers, \%worker;
    }

    return @workers;
}


# What Frappe has run is forgotten when it is reset or stopped.

sub _count {
    my ($frappe) = @_;

    return unless $frappe->{pid} && $frappe->{owner} == $$;

    my $ran = eval { $frappe->control('GET', 'ids') } or return;

    $ran_more ||= !$ran->{all};

    for my $key (keys %{ $ran->{ids} }) {
        my ($id, $name) = $key =~ /\A("(?:[^"\\]|\\.)*"|\S+) (.*)\z/s or next;

        $ran{$_} += $ran->{ids}{$key}
            for map { "$name $_" } _id(eval { $json->decode($id) });
    }

    return;
}


sub start {
    require MCPTest::Build;

    # waits of the test that fail are no news

    $ENV{MCP_SSE_HANG_AFTER} ||= 2;

    _wrap('MCPTest::Conn::request', \&_record_request);
    _wrap('MCPTest::Nginx::configure', \&_configure);
    _wrap('MCPTest::Nginx::_run', \&_run);

    _wrap('MCPTest::Conn::register', sub {
        my ($old, $object) = @_;

        push @objects, $object;
        weaken $objects[-1];

        return $old->($object);
    });

    _wrap('MCPTest::Stream::forget', sub {
        my ($old, $stream, $id) = @_;

        $forgotten{$stream}{$id} += @{ $stream->{answers}{$id} || [] };

        return $old->($stream, $id);
    });

    _wrap('MCPTest::Frappe::start', sub {
        my ($old, @arg) = @_;

        push @frappes, $old->(@arg);

        return $frappes[-1];
    });

    for my $name (qw(reset stop)) {
        _wrap("MCPTest::Frappe::$name", sub {
            my ($old, $frappe, @arg) = @_;

            _count($frappe);

            return $old->($frappe, @arg);
        });
    }

    # an exit cannot be caught as die can

    $SIG{ALRM} = sub {
        $time_is_up = 1;
        print STDERR "torture: time is up\n";
        exit 1;
    };

    alarm TIME;

    return;
}


# ---- the end

sub end {
    return if $ended++;

    alarm 0;
    local $SIG{ALRM} = sub {
        fault('hang', 'the checks at the end take too long');
        MCPTest::_clean();
        POSIX::_exit(1);
    };
    alarm 180;

    my @nginx = grep { $_->{pid} && $_->{owner} == $$ }
        MCPTest::Nginx::all();

    _disarm($_, 1) for MCPTest::Nginx::all();

    @nginx = grep { $_->{pid} && $_->alive } @nginx;

    _release(@nginx);
    _check_answers();
    _close_all();
    _check_nginx($_) for @nginx;

    for my $nginx (@nginx) {
        fault('hang', 'nginx does not end with QUIT')
            unless $nginx->quit(HANG);
    }

    _check_log($_) for grep { $_->{torture_runs} } MCPTest::Nginx::all();

    my ($allocations, $failed) = (0, 0);

    for my $worker (map { _workers($_) } MCPTest::Nginx::all()) {
        $allocations += $worker->{allocations};
        $failed      += $worker->{failed};
    }

    alarm 0;
    print STDERR "torture: end: faults " . ($faults || 0)
        . ", allocations $allocations, failed $failed\n";

    return;
}


# Whatever the test holds back goes on.  What Frappe does not answer then, ends
# with Frappe.

sub _release {
    my (@nginx) = @_;

    my @alive = grep { defined } @objects;

    $_->stop for grep { $_->isa('MCPTest::Ticker') } @alive;
    $_->{paused} = 0 for grep { $_->isa('MCPTest::Conn') } @alive;

    for my $proxy (grep { $_->isa('MCPTest::Proxy') } @alive) {
        $proxy->filter(undef);
        $proxy->resume;
    }

    for my $redis (grep { $_->{pid} } MCPTest::Redis::all()) {
        kill CONT => $redis->{pid};
    }

    kill CONT => map { $_->worker_pids(exiting => 1) } @nginx;

    _wait(sub { !_open_requests() }, 2);

    for my $frappe (grep { $_->{pid} && $_->{owner} == $$ } @frappes) {
        kill CONT => $frappe->{pid};
        eval { $frappe->set(down => undef, logged_user_hold => undef) };
        _wait(sub { !_open_requests() }, 1);
        $frappe->stop;
    }

    @alive = grep { defined } @objects;
    $_->stop for grep { $_->isa('MCPTest::Backend') } @alive;

    return;
}


sub _wait {
    my ($condition, $seconds) = @_;

    return MCPTest::Conn::run_until($condition, $seconds);
}


# The ids of the requests in a message, as JSON, and those that it cancels.

sub _ids {
    my ($body) = @_;

    my $content = defined $body && length $body < 1_000_000
        ? eval { decode($body) } : undef;

    my @messages = ref $content eq 'ARRAY' ? @{$content} : ($content);
    my (@ids, @cancelled);

    for my $message (grep { ref eq 'HASH' } @messages) {
        my $method = $message->{method};

        next if !defined $method || ref $method;

        if ($method eq 'notifications/cancelled') {
            push @cancelled, $message->{params}{requestId}
                if ref $message->{params} eq 'HASH';
            next;
        }

        push @ids, $message->{id};
    }

    return ([ map { _id($_) } @ids ], [ map { _id($_) } @cancelled ]);
}


# An id, always in the same spelling; nothing for what is none.

sub _id {
    my ($id) = @_;

    return defined $id && !ref $id ? $json->encode($id) : ();
}


# The answers of a stream by such ids: how many events, those that the test
# removed from its records included.

sub _answers {
    my ($stream) = @_;

    my %answers;

    for my $raw (keys %{ $stream->{answers} }) {
        $answers{$_} += @{ $stream->{answers}{$raw} }
            for _id(eval { $json->decode($raw) });
    }

    for my $raw (keys %{ $forgotten{$stream} || {} }) {
        $answers{$_} += $forgotten{$stream}{$raw}
            for _id(eval { $json->decode($raw) });
    }

    return \%answers;
}


# Requests without a whole response, except streams and those whose body the
# test did not send as it said.

sub _open_requests {
    my %ports = map { $_->port => 1 } MCPTest::Nginx::all();

    return grep {
        !$_->{response}{ended} && !$_->{stream} && !$_->{partial}
            && $ports{ $_->{conn}{port} || 0 } && !$_->{conn}{closed}
    } @requests;
}


# Accepted requests: those whose stream is open, or was closed by the test, and
# who have no answer.  A session whose stream is not known is not judged.

sub _unanswered {
    my (%streams, %cancelled, %judged, @open);

    for my $stream (map { $_->{response} } grep { $_->{stream} } @requests) {
        push @{ $streams{ $stream->{session} } }, $stream
            if defined $stream->{session};
    }

    for my $request (@requests) {
        my ($session) = $request->{path} =~ /[?&]session_id=([^&]*)/ or next;

        $request->{ids} ||= [ _ids($request->{body}) ];
        $cancelled{$session}{$_} = 1 for @{ $request->{ids}[1] };

        next if ($request->{response}{status} || 0) != 202;

        my @streams = @{ $streams{$session} || [] } or next;

        next if grep { $_->{ended} } @streams;

        push @{ $judged{$session} }, $request;
    }

    for my $session (keys %judged) {
        my @answers = map { _answers($_) } @{ $streams{$session} };

        for my $request (@{ $judged{$session} }) {
            for my $id (@{ $request->{ids}[0] }) {
                next if $cancelled{$session}{$id};
                next if grep { $_->{$id} } @answers;

                push @open, { %{$request}, id => $id };
            }
        }
    }

    return @open;
}


sub _check_answers {
    _wait(sub { !_open_requests() && !_unanswered() },
        HANG);

    fault('hang', "no response: $_->{method} $_->{path} "
        . substr($_->{body} || '', 0, 200)) for _open_requests();

    fault('unanswered', "$_->{path} id $_->{id}: "
        . substr($_->{body}, 0, 200)) for _unanswered();

    _check_twice();
    _check_ran();

    return;
}


sub _check_twice {
    my (%sent, %got, %pieces);

    # of a body in pieces the first one is known only

    for my $request (grep { $_->{method} eq 'POST' } @requests) {
        my ($session) = $request->{path} =~ /[?&]session_id=([^&]*)/ or next;

        $request->{ids} ||= [ _ids($request->{body}) ];
        $sent{"$session $_"}++ for @{ $request->{ids}[0] };
        $pieces{$session} = 1 if $request->{partial};
    }

    for my $stream (map { $_->{response} } grep { $_->{stream} } @requests) {
        my $session = $stream->{session};

        next if !defined $session || $pieces{$session};

        my $answers = _answers($stream);

        $got{"$session $_"} += $answers->{$_} for keys %{$answers};
    }

    for my $key (grep { $sent{$_} && $got{$_} > $sent{$_} } keys %got) {
        fault('twice', "$got{$key} answers, sent $sent{$key} times: $key");
    }

    return;
}


# Results against what Frappe has run with the same id, of methods that are
# never answered locally.  Judged if the stand-in was the only backend and has
# counted all of them.

sub _check_ran {
    my %names;

    return if grep { $_->{opt}{backend} || $_->{opt}{config} }
        MCPTest::Nginx::all();
    return if grep { defined && $_->isa('MCPTest::Backend') } @objects;
    return if $ran_more || !keys %ran;

    my %results;

    for my $request (grep { $_->{method} eq 'POST' } @requests) {
        my $message = defined $request->{body}
            && length $request->{body} < 1_000_000
            ? eval { decode($request->{body}) } : undef;

        next unless ref $message eq 'HASH' && defined $message->{method};

        my ($id) = _id($message->{id}) or next;
        my $name = $message->{method};

        $name = 'tool ' . ($message->{params}{name} || '')
            if $name eq 'tools/call' && ref $message->{params} eq 'HASH';

        my ($session) = $request->{path} =~ /[?&]session_id=([^&]*)/;

        if (defined $session) {
            $names{"$session $id"} = $name;

        } elsif ($request->{response}->can('answer')) {
            my $answer = $request->{response}->answer;
            $results{"$name $id"}++ if _is_result($answer);
        }
    }

    for my $stream (map { $_->{response} } grep { $_->{stream} } @requests) {
        next unless defined $stream->{session};

        for my $event (@{ $stream->{messages} }) {
            next unless defined $event->{raw_id};

            my ($id) = _id(eval { $json->decode($event->{raw_id}) }) or next;
            my $name = $names{"$stream->{session} $id"};

            $results{"$name $id"}++
                if defined $name && _is_result($event->{data});
        }
    }

    for my $name (keys %results) {
        next if $name !~ m{\A(?:tool|initialize|tools/list) };

        my $n = $ran{$name} || 0;

        fault('not-run', "$results{$name} results of $name, run $n times")
            if $results{$name} > $n;
    }

    return;
}


sub _is_result {
    my ($answer) = @_;

    return defined $answer && $answer =~ /\A\{"jsonrpc":"2\.0",.*"result":/s;
}


sub _close_all {
    for my $object (grep { defined } @objects) {
        $object->close if $object->can('close') && !$object->{closed}
            && !$object->isa('MCPTest::RESP')
            && ($object->isa('MCPTest::Conn') || $object->isa('MCPTest::H2'));
    }

    return;
}


# ---- nginx

sub _metrics {
    my ($nginx) = @_;

    my $response = eval { MCPTest::get($nginx, '/metrics', timeout => 5) };
    my %values;

    if ($response && ($response->status || 0) == 200) {
        %values = $response->body =~ /^nginx_mcp_sse_(\w+) (\S+)$/mg;
    }

    @requests = grep { $_->{path} ne '/metrics' } @requests;

    return \%values;
}


# The descriptors of a process, as the names of what they lead to.

sub _fds {
    my ($pid) = @_;

    return map { scalar readlink $_ } glob "/proc/$pid/fd/*";
}


# Internet sockets of a kind that do not listen: inode => port of the other
# side.

sub _sockets {
    my ($kind) = @_;

    my %sockets;

    open my $file, '<', "/proc/net/$kind" or return {};

    while (my $line = <$file>) {
        my ($port, $state, $inode) = $line =~ /\A\s*\d+:\s\S+\s
            [0-9A-F]+:([0-9A-F]{4})\s([0-9A-F]{2})\s\S+\s\S+\s\S+\s+\d+\s+
            \d+\s(\d+)/x or next;

        $sockets{$inode} = hex $port if $state ne '0A';
    }

    return \%sockets;
}


# How many descriptors of each name a worker has, but connections: Redis and a
# resolver are connected to when they are needed.

sub _others {
    my ($pid) = @_;

    my %internet = map { %{ _sockets($_) } } qw(tcp udp);
    my %others;

    for my $name (grep { defined } _fds($pid)) {
        next if $name =~ /\Asocket:\[(\d+)\]/ && defined $internet{$1};

        $others{ $name =~ s/\Asocket:\K.*//r }++;
    }

    return \%others;
}


sub _check_nginx {
    my ($nginx) = @_;

    my ($metrics, @left);
    my %redis = map { $_->port => 1 } MCPTest::Redis::all(),
        grep { defined && ($_->isa('MCPTest::Proxy')
            || $_->isa('MCPTest::FakeRedis')) } @objects;

    _wait(sub {
        $metrics = _metrics($nginx);
        @left = grep { $metrics->{$_} } @gauges;
        push @left, 'zone' if defined $nginx->{torture_zone}
            && defined $metrics->{zone_free_bytes}
            && $metrics->{zone_free_bytes} < $nginx->{torture_zone} * ZONE;

        return !@left;
    }, HANG);

    fault('gauge', "$_ is not 0: " . ($_ eq 'zone'
        ? "free $metrics->{zone_free_bytes}, at start $nginx->{torture_zone}"
        : $metrics->{$_})) for @left;

    my @found;

    _wait(sub {
        @found = _open_files($nginx, \%redis);
        return !@found;
    }, HANG);

    fault('descriptor', $_) for @found;

    return if $time_is_up && defined $nginx->{opt}{redis};

    my %alive = map { $_ => 1 } $nginx->worker_pids;

    _wait(sub {
        @found = grep { $alive{ $_->{pid} }
            && $_->{bytes} > $_->{base} + MEMORY } _workers($nginx);
        return !@found;
    }, HANG);

    fault('memory', "worker $_->{pid} has $_->{bytes} bytes, at start "
        . $_->{base}) for @found;

    return;
}


sub _open_files {
    my ($nginx, $redis) = @_;

    my $tcp   = _sockets('tcp');
    my $start = $nginx->{torture_fds};
    my @pids  = $nginx->worker_pids(exiting => 1);
    my @found;

    # a worker that starts later opens a channel to each of the others

    for my $pid (defined $start && "@pids" eq $nginx->{torture_pids}
        ? @pids : ())
    {
        my $now = _others($pid);

        push @found, map { "worker $pid: $now->{$_} times $_, at start "
            . ($start->{$_} || 0) }
            grep { $now->{$_} > ($start->{$_} || 0) } keys %{$now};
    }

    for my $pid (@pids) {
        for my $name (grep { defined } _fds($pid)) {
            my ($inode) = $name =~ /\Asocket:\[(\d+)\]/;

            push @found, "worker $pid: $name" if defined $inode
                ? defined $tcp->{$inode} && !$redis->{ $tcp->{$inode} }
                : $name =~ /_temp|client_body|proxy.*\(deleted\)/;
        }
    }

    return @found;
}


sub _check_log {
    my ($nginx) = @_;

    # t/nginx/mirror.t sends the session id to another server, whose URL nginx
    # logs

    my @lines = grep { $_ !~ $excused && !/subrequest: "\/m"/ }
        $nginx->log_faults;

    fault('log', $_) for @lines > 5 ? @lines[0 .. 4] : @lines;

    # the logs stay with those of the run

    my ($dir) = ($ENV{MCP_SSE_TORTURE_LOG} || '') =~ m{\A(.*)/} or return;

    if ($faults && open my $file, '>', "$dir/nginx-" . $nginx->port) {
        print {$file} $nginx->stderr, $nginx->error_log;
        close $file;
    }

    return;
}


1;
