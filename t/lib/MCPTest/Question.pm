package MCPTest::Question;

# Questions of calls to their clients: sessions whose clients can be asked, calls
# that ask, and what a client answers.  The same for both transports: a client is
# the id of a session of Streamable HTTP, or an open stream of HTTP+SSE.
#
#     my $client = able($nginx);                  # or able_stream($nginx)
#     my $call   = begin_call($nginx, $client);
#     my $asked  = asking($redis, $call);         # begin_ask() of MCPTest::Push
#     my $asks   = question($call);
#
#     respond($nginx, $client, $asks, result => { action => 'accept' });
#     is($asked->wait, ...);
#     end_call($call);

use strict;
use warnings;

use Exporter 'import';

use MCPTest;
use MCPTest::HTTP;
use MCPTest::JSON qw(decode encode);
use MCPTest::Push;

our @EXPORT = qw(able able_stream introduce begin_call end_call asking question
    questions respond is_told cancelled violations everything %elicit);


# what a client declares that can be asked anything

our %everything = (
    elicitation => { form => {}, url => {} },
    sampling    => { tools => {}, context => {} },
    roots       => {},
);

our %elicit = (method => 'elicitation/create', params => {
    message => 'Submit this invoice?', requestedSchema => { type => 'object',
        properties => { sure => { type => 'boolean' } } } });

my $calls = 0;


sub everything { return \%everything }


sub _initialize {
    my (%opt) = @_;

    return request(0, 'initialize', {
        protocolVersion => $opt{offer} || '2025-11-25',
        capabilities    => $opt{capabilities} || \%everything,
        clientInfo      => { name => 'test', version => '1' },
    });
}


# A session of Streamable HTTP; further options as of http_post().

sub able {
    my ($nginx, %opt) = @_;

    my @own = qw(offer capabilities);
    my $id  = http_post($nginx, _initialize(map { $_ => $opt{$_} } @own),
        map { $_ => $opt{$_} } grep { !/\A(?:offer|capabilities)\z/ }
            keys %opt)->header('Mcp-Session-Id');

    MCPTest::secret($id);

    return $id;
}


# A stream of HTTP+SSE; further options as of open_stream().

sub able_stream {
    my ($nginx, %opt) = @_;

    my $stream = open_stream($nginx, %opt);

    introduce($nginx, $stream, %opt);

    return $stream;
}


# The initialize of a stream.

sub introduce {
    my ($nginx, $stream, %opt) = @_;

    call($nginx, $stream, _initialize(%opt));
    $stream->forget(0);

    return;
}


# Starts a call, which waits for end_call(); returns when it runs.  Options:
# tool and arguments, and those of http_post() or post().  In the hash: on, where
# its answer goes; call, its X-MCP-Call; id.

sub begin_call {
    my ($nginx, $client, %opt) = @_;

    my $id   = 1000 + ++$calls;
    my $key  = "call $id";
    my %more = %{ delete $opt{more} || {} };

    my $message = tool($id, delete $opt{tool} || 'hold', { gate => $key,
        key => $key, %{ delete $opt{arguments} || {} } }, %more);

    my $on   = $client;
    my $seen = ref $client ? questions($client) : 0;

    if (ref $client) {
        post($nginx, $client, $message, %opt);

    } else {
        $on = http_post($nginx, $message, session => $client, async => 1,
            %opt);
    }

    return { on => $on, id => $id, key => $key, call => call_id($key),
        client => $client, seen => $seen };
}


# Lets it end, and returns its answer.

sub end_call {
    my ($call) = @_;

    frappe()->open_gate($call->{key});

    return $call->{on}->wait_answer($call->{id}) if ref $call->{client};

    $call->{on}->wait;

    return $call->{on}->answer;
}


# Asks for a call, by default for a form.

sub asking {
    my ($redis, $call, %message) = @_;

    return begin_ask($redis, { call => $call->{call},
        %message ? %message : %elicit });
}


# What the client of a call has been asked since it began, or on a stream: hashes
# with id, raw_id, method, params.

sub questions {
    my ($from) = @_;

    my @asks;
    my $call = ref $from eq 'HASH' ? $from : { on => $from, seen => 0 };

    for my $event ($call->{on}->messages) {
        my ($members) = members($event->{data});

        next if !$members || !defined $members->{id}
            || !defined $members->{method};

        push @asks, { %{ decode($event->{data}) },
            raw_id => $members->{id}, raw => $event->{data} };
    }

    splice @asks, 0, $call->{seen};

    return @asks;
}


# Waits for the n-th one, by default the first; undef if there is none.

sub question {
    my ($call, $n) = @_;

    my $on = $call->{on};
    my @asks;

    $n ||= 1;

    run_until(sub { (@asks = questions($call)) >= $n || $on->{ended} });

    return $asks[$n - 1];
}


# Answers a question, with result or error; further options as of http_post() or
# post().  Returns the response.

sub respond {
    my ($nginx, $client, $asks, %opt) = @_;

    my ($member) = grep { exists $opt{$_} } qw(result error);
    my $value    = delete $opt{$member};

    my $id       = ref $asks ? $asks->{raw_id} : $asks;

    my $message = qq({"jsonrpc":"2.0","id":$id,"$member":)
        . (ref $value ? encode($value) : $value) . '}';

    return ref $client ? post($nginx, $client, $message, %opt)
        : http_post($nginx, $message, session => $client, %opt);
}


# Tests what one who has asked is told: an error instead of an answer.

sub is_told {
    my ($asked, $code, $message, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $last = $asked->wait;

    return Test::More::is(defined $last ? $last : 'nothing',
        qq({"error":{"code":$code,"message":"$message"}}), $name);
}


# The cancellations of a question that its client has got.

sub cancelled {
    my ($on, $asks) = @_;

    return grep { $_->{params}{requestId} eq $asks->{id} }
        $on->notifications('notifications/cancelled');
}


# What is wrong in a history of questions.  A record of one has
#
#   elements  of its list, in order
#   sent      the results that its client has sent, raw, as a hash
#   dead      true if the worker that asked has been killed
#
# The rules: "asked" comes once and first; a question ends at most once; a result
# is one that its own client has sent; unless the worker is dead, nobody who was
# told "asked" waits in vain.

sub violations {
    my (@records) = @_;

    my @found;

    for my $n (0 .. $#records) {
        my $record = $records[$n];
        my @all    = @{ $record->{elements} };
        my @asked  = grep { $all[$_] eq 'asked' } 0 .. $#all;
        my @ends   = grep { $_ ne 'asked' } @all;

        my @rules;

        push @rules, 'asked twice' if @asked > 1;
        push @rules, 'asked late' if @asked && $asked[0];
        push @rules, 'answered twice' if @ends > 1;
        push @rules, 'in vain' if @asked && !@ends && !$record->{dead};
        push @rules, 'foreign result' if grep {
            /\A\{"result":(.*)\}\z/ && !$record->{sent}{$1} } @ends;

        push @found, map { "$_: question $n: @all" } @rules;
    }

    return @found;
}


1;
