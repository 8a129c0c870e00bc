# Each version of MCP in front of each backend, all of them at one nginx for
# each backend: what a client of that version sees.  The table of
# docs/compatibility.md is the expected result; UPDATE=1 writes it.
# docs/PROTOCOL.md 14.9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Modern ();
use POSIX qw(strftime);
use Test::More;

my @versions = qw(2024-11-05 2025-03-26 2025-06-18 2025-11-25 2026-07-28);
my @steps    = ('connect', 'list', 'call', 'tool error', 'unknown method',
                'cancel', 'progress');

# name, settings of the stand-in, options of start_nginx()

my @backends = (
    [ 'FAC 2.1', {}, dialect => 'old' ],
    [ 'FAC 2.5', { fac => '2.5' } ],
    [ 'FAC 3.0', { fac => '3.0' } ],
    [ 'frappe/mcp', {}, endpoint => '/api/method/todo.mcp.handle_mcp' ],
    [ '/api/mcp', {}, endpoint => '/api/mcp' ],
);

my $file   = MCPTest::root() . '/docs/compatibility.md';
my $frappe = start_frappe();
my $gates  = 0;

my ($text, $expected) = read_table();
my %got;

for my $backend (@backends) {
    my ($name, $settings, %opt) = @{$backend};

    $frappe->reset;
    $frappe->set(%{$settings});

    my $nginx = start_http(%opt, http => 'mcp_sse_progress 200ms; '
        . 'mcp_sse_stream_after off; mcp_sse_call_timeout 300s;');

    for my $version (@versions) {
        my $class = $version eq '2024-11-05' ? 'Older::SSE'
            : $version lt '2026-07-28' ? 'Older::HTTP' : 'Modern';
        my $client = bless { nginx => $nginx, version => $version, id => 0,
            frappe => $frappe }, $class;

        $got{$name}{$version} = { map { $_ => step($client, $_) } @steps };
        $client->leave;
    }
}

$ENV{UPDATE} ? write_table() : compare();
finish();


# What a client sees of a step: the text of a cell.

sub step {
    my ($client, $step) = @_;

    return $client->connected if $step eq 'connect';
    return $client->stopped($gates++) if $step eq 'cancel';
    return progress($client) if $step eq 'progress';

    my $answer = decode($step eq 'list' ? $client->ask('tools/list', {})
        : $step eq 'call' ? $client->ask('tools/call',
            { name => 'echo', arguments => { text => 'to be found' } })
        : $step eq 'tool error' ? $client->ask('tools/call',
            { name => 'fail', arguments => {} })
        : $client->ask('no/such/method', {})) || {};

    my ($result, $error) = @{$answer}{qw(result error)};

    if ($step eq 'list') {
        return 'no' if !$result || ref $result->{tools} ne 'ARRAY'
            || @{ $result->{tools} } < 20;
        return $client->fault($result, qw(ttlMs cacheScope)) || 'yes';
    }

    if ($step eq 'call') {
        return 'no' if !$result
            || encode($result->{content}) !~ /to be found/;
        return $client->fault($result) || 'yes';
    }

    return $error ? "error $error->{code}" . $client->status
        : !$result ? 'no answer'
        : $client->fault($result)
            || ($result->{isError} ? '`isError`' : 'in the text');
}


# A call with a progressToken, which waits until there is progress.

sub progress {
    my ($client) = @_;

    my $gate = 'gate ' . $gates++;
    my $id   = ++$client->{id};
    my $call = $client->start($id, 'tools/call', { name => 'hold',
        arguments => { gate => $gate } }, $gate);

    my $told = sub {
        return grep { ($_->{params}{progressToken} || '') eq $gate }
            $call->notifications('notifications/progress');
    };

    my $came = run_until(sub { $told->() || $call->ended });

    $frappe->open_gate($gate);
    run_until(sub { $call->answers($id) || $call->ended });

    return !$came || !$told->() ? 'no' : $call->answers($id) ? 'yes'
        : 'no answer';
}


# The table in the document: its text, and its cells.

sub read_table {
    my $text = '';

    if (open my $in, '<', $file) {
        local $/;
        $text = <$in>;
        close $in;
    }

    my %cells;

    for my $line ($text =~ /^\| (.*) \|$/mg) {
        my ($backend, $version, @cells) = split / \| /, $line;

        @{ $cells{$backend}{$version} }{@steps} = @cells;
    }

    return ($text, \%cells);
}


sub write_table {
    my $table = '| ' . join(' | ', 'backend', 'version', @steps) . " |\n|"
        . '---|' x (2 + @steps) . "\n";

    for my $backend (map { $_->[0] } @backends) {
        for my $version (@versions) {
            $table .= '| ' . join(' | ', $backend, $version,
                map { $got{$backend}{$version}{$_} } @steps) . " |\n";
        }
    }

    my $date = strftime('%Y-%m-%d', gmtime);

    $text =~ s/^\| backend \| version .*\n(?:\|.*\n)+/$table/m;
    $text =~ s/^(Measured on )\d{4}-\d\d-\d\d/$1$date/m;

    open my $out, '>', $file or die "$file: $!\n";
    print {$out} $text;
    close $out or die "$file: $!\n";

    pass("$file is written");

    return;
}


sub compare {
    for my $backend (map { $_->[0] } @backends) {
        for my $version (@versions) {
            is($got{$backend}{$version}{$_}, $expected->{$backend}{$version}{$_},
                "$version with $backend: $_") for @steps;
        }
    }

    return;
}


# ---- clients.  Each has
#
#   connected()              its first request, and what it says
#   ask(METHOD, PARAMS)      the raw answer to a request
#   start(ID, METHOD, PARAMS, PROGRESS TOKEN)
#                            an MCPTest::Stream with the answer to come
#   stopped(N)               whether a call can be cancelled
#   status()                 " (HTTP 404)" and so on, of the last error
#   fault(RESULT, MEMBERS)   what a result lacks
#   leave()                  the end

package Older::SSE;

use MCPTest;


sub connected {
    my ($self) = @_;

    $self->{stream} = open_stream($self->{nginx});

    return $self->initialized($self->ask('initialize', {
        protocolVersion => $self->{version}, capabilities => {},
        clientInfo => { name => 'matrix', version => '1' } }));
}


# The version that the server has named; the client goes on in it.

sub initialized {
    my ($self, $raw) = @_;

    my $answer = decode($raw || '') || {};

    return 'no' if !$answer->{result};

    $self->{answered} = $answer->{result}{protocolVersion};
    $self->notify('notifications/initialized');

    return $self->{answered};
}


sub ask {
    my ($self, $method, $params) = @_;

    return call($self->{nginx}, $self->{stream},
        request(++$self->{id}, $method, $params));
}


sub notify {
    my ($self, @message) = @_;

    return post($self->{nginx}, $self->{stream}, notification(@message));
}


sub start {
    my ($self, $id, $method, $params, $token) = @_;

    $params = { %{$params}, _meta => { progressToken => $token } }
        if defined $token;
    post($self->{nginx}, $self->{stream}, request($id, $method, $params));

    return $self->{stream};
}


# The call has no answer when a later request has one; the log says that it was
# cancelled.

sub stopped {
    my ($self, $n) = @_;

    my ($id, $call) = $self->held($n);

    $self->notify('notifications/cancelled', { requestId => $id });
    $self->ask('ping', {});

    my $told = $call->answers($id);

    return $told ? 'answered' : $self->logged($id);
}


# A call that Frappe runs.

sub held {
    my ($self, $n) = @_;

    my $frappe = $self->{frappe};
    my $before = $frappe->tool_count('hold');
    my $id     = 1000 + $n;
    my $call   = $self->start($id, 'tools/call', { name => 'hold',
        arguments => { gate => "cancel $n" } });

    run_until(sub { $call->answers($id) || $call->ended
        || $frappe->tool_count('hold') > $before });

    return ($id, $call);
}


sub logged {
    my ($self, $id) = @_;

    my @lines = ();

    run_until(sub {
        @lines = grep { ($_->{id} || '') eq $id } $self->{nginx}->audit;
        return @lines > 0;
    });

    $self->{frappe}->open_gate('cancel ' . ($id - 1000));

    return !@lines ? 'no' : $lines[0]{result} eq 'cancelled' ? 'yes'
        : $lines[0]{result};
}


sub status { return '' }
sub fault  { return }
sub leave  { $_[0]{stream}->close; return }


package Older::HTTP;

use MCPTest;
use MCPTest::HTTP ();

BEGIN { our @ISA = ('Older::SSE') }


sub connected {
    my ($self) = @_;

    my $answer = MCPTest::HTTP::initialize($self->{nginx}, id => ++$self->{id},
        offer => $self->{version});

    $self->{session} = $answer->header('Mcp-Session-Id');
    MCPTest::secret($self->{session});

    return $self->initialized($answer->answer);
}


# The options of a request: MCP-Protocol-Version exists since 2025-06-18.

sub options {
    my ($self) = @_;

    my $version = $self->{answered} || $self->{version};

    return (session => $self->{session},
        $version lt '2025-06-18' ? () : (protocol => $version));
}


sub ask {
    my ($self, $method, $params) = @_;

    my $answer = MCPTest::HTTP::http_post($self->{nginx},
        request(++$self->{id}, $method, $params), $self->options);

    $self->{status} = $answer->status;

    return $answer->answer;
}


sub notify {
    my ($self, @message) = @_;

    return MCPTest::HTTP::http_post($self->{nginx}, notification(@message),
        $self->options);
}


sub start {
    my ($self, $id, $method, $params, $token) = @_;

    $params = { %{$params}, _meta => { progressToken => $token } }
        if defined $token;

    return MCPTest::HTTP::http_post($self->{nginx},
        request($id, $method, $params), $self->options, async => 1);
}


sub status { return " (HTTP $_[0]{status})" }
sub leave  {
    my ($self) = @_;

    return MCPTest::HTTP::http_delete($self->{nginx}, $self->{session});
}


package Modern;

use MCPTest;
use MCPTest::HTTP ();

BEGIN { our @ISA = ('Older::HTTP') }


sub connected {
    my ($self) = @_;

    my $answer = decode($self->ask('server/discover', {}) || '') || {};
    my $result = $answer->{result};

    return 'no' if !$result || ref $result->{supportedVersions} ne 'ARRAY'
        || !grep { $_ eq $self->{version} } @{ $result->{supportedVersions} };

    return $self->fault($result, qw(ttlMs cacheScope capabilities))
        || $self->{version};
}


sub ask {
    my ($self, $method, $params) = @_;

    my $answer = MCPTest::Modern::modern($self->{nginx}, ++$self->{id},
        $method, $params);

    $self->{status} = $answer->status;

    return $answer->answer;
}


sub start {
    my ($self, $id, $method, $params, $token) = @_;

    $params = { %{$params}, _meta => { progressToken => $token } }
        if defined $token;

    return MCPTest::Modern::modern($self->{nginx}, $id, $method, $params,
        async => 1);
}


# The client closes its POST.

sub stopped {
    my ($self, $n) = @_;

    my ($id, $call) = $self->held($n);

    $call->{conn}->close;

    return $self->logged($id);
}


# What a result of 2026-07-28 lacks.

sub fault {
    my ($self, $result, @members) = @_;

    my @missing = grep { !defined $result->{$_} } 'resultType', @members;

    return @missing ? "no $missing[0]" : undef;
}


sub leave { return }
