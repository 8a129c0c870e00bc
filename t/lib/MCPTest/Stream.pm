package MCPTest::Stream;

# An open event stream: a response whose body is parsed into events while it
# arrives.  open_stream() of MCPTest returns one.

use strict;
use warnings;

use MCPTest::Conn qw(now run_until);
use MCPTest::JSON qw(decode raw_id);

our @ISA = ('MCPTest::Response');


sub new {
    my ($class, %fields) = @_;

    my $self = MCPTest::Response::new($class,
        events   => [],         # in order, comments too
        messages => [],         # the events of type message
        answers  => {},         # raw id => [ events ]
        consumed => {},         # type => how many wait_event() gave away
        rest     => '',
        searched => 0,
        %fields,
    );

    $self->{no_raw} = 1 if $fields{no_raw};

    return $self;
}


sub session  { return $_[0]{session} }
sub endpoint { return $_[0]{endpoint} }
sub events   { return @{ $_[0]{events} } }
sub messages { return @{ $_[0]{messages} } }
sub retry    { return $_[0]{retry} }
sub conn     { return $_[0]{conn} }


sub types { return map { $_->{type} } @{ $_[0]{events} } }


sub of_type {
    my ($self, $type) = @_;

    return grep { $_->{type} eq $type } @{ $self->{events} };
}


# Waits for the next event of a type ("message", "endpoint", "ping", "error",
# "comment", "retry") that no earlier call returned; undef if none came.

sub wait_event {
    my ($self, $type, $timeout) = @_;

    my $n = $self->{consumed}{$type} || 0;

    run_until(sub { ($self->{count}{$type} || 0) > $n || $self->{ended} },
        $timeout);

    my $event = ($self->of_type($type))[$n];
    $self->{consumed}{$type}++ if $event;

    return $event;
}


# Waits for the answer to a request, by its raw id (1, or "abc" with the
# quotes); undef if it did not come.

sub wait_answer {
    my ($self, $id, $timeout) = @_;

    run_until(sub { $self->{answers}{$id} || $self->{ended} }, $timeout);

    my $event = ($self->{answers}{$id} || [])->[0];

    return $event ? $event->{data} : undef;
}


# All answers with this raw id, as raw JSON.

sub answers {
    my ($self, $id) = @_;

    return map { $_->{data} } @{ $self->{answers}{$id} || [] };
}


# All notifications of this method, decoded.

sub notifications {
    my ($self, $method) = @_;

    return grep { ref $_ eq 'HASH' && ($_->{method} || '') eq $method }
        map { decode($_->{data}) }
        grep { !defined $_->{raw_id} } @{ $self->{messages} };
}


# Removes an answer from the records of the stream.

sub forget {
    my ($self, $id) = @_;

    my $events = delete $self->{answers}{$id} or return;
    my %gone   = map { $_ => 1 } @{$events};

    for my $list (qw(events messages)) {
        @{ $self->{$list} } = grep { !$gone{$_} } @{ $self->{$list} };
    }

    $self->{count}{message} -= @{$events};

    return;
}


sub wait_ended {
    my ($self, $timeout) = @_;

    run_until(sub { $self->{ended} }, $timeout);

    return $self->{ended};
}


# The first event, as the bytes behind the blank line after the headers.

sub first_block {
    my ($self) = @_;

    return $self->{events}[0] ? $self->{events}[0]{text} : undef;
}


sub close { my ($self) = @_; $self->{conn}->close; return }
sub abort { my ($self) = @_; $self->{conn}->abort; return }
sub pause { my ($self) = @_; $self->{conn}->pause; return }
sub resume { my ($self) = @_; $self->{conn}->resume; return }


sub _got_body {
    my ($self, $bytes) = @_;

    if ($self->{status} != 200) {
        $self->{body} .= $bytes;
        return;
    }

    $self->{rest} .= $bytes;
    $self->{has_cr} = 1 if index($bytes, "\r") >= 0;

    while (1) {
        my $from = $self->{searched} - 1;
        my $end  = index $self->{rest}, "\n\n", $from < 0 ? 0 : $from;

        if ($end < 0) {
            $self->{searched} = length $self->{rest};
            return;
        }

        my $text = substr $self->{rest}, 0, $end + 2, '';
        $self->{searched} = 0;
        $self->_block($text);
    }
}


sub _block {
    my ($self, $text) = @_;

    my $event = { text => $text, time => now() };

    for my $line (split /\n/, $text) {
        my ($name, $value) = split /:/, $line, 2;

        next unless defined $name;
        $value = '' unless defined $value;
        $value =~ s/\A //;

        if ($name eq '') {
            push @{ $event->{comments} }, $value;

        } elsif ($name eq 'data') {
            $event->{data} = defined $event->{data}
                ? "$event->{data}\n$value" : $value;
            $event->{lines}++;

        } else {
            $event->{$name} = $value;
            push @{ $event->{unknown} }, $name
                unless $name =~ /\A(?:event|id|retry)\z/;
        }
    }

    $event->{type} = defined $event->{event} ? $event->{event}
        : defined $event->{data}             ? 'message'
        : defined $event->{retry}            ? 'retry'
        : $event->{comments}                 ? 'comment'
        :                                      'other';

    $self->{retry} = $event->{retry} if defined $event->{retry};

    push @{ $self->{events} }, $event;
    $self->{count}{ $event->{type} }++;

    if ($event->{type} eq 'endpoint') {
        $self->{endpoint} = $event->{data};
        ($self->{session}) = $event->{data} =~ /[?&]session_id=([^&]*)/;
        MCPTest::secret($self->{session});

    } elsif ($event->{type} eq 'message') {
        push @{ $self->{messages} }, $event;
        my ($members) = MCPTest::JSON::members($event->{data});

        # a server's own request or notification has a method

        if ($members && !exists $members->{method}
            && defined $members->{id})
        {
            $event->{raw_id} = $members->{id};
            push @{ $self->{answers}{ $members->{id} } }, $event;
        }
    }

    return;
}


1;
