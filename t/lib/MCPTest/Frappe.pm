package MCPTest::Frappe;

# The stand-in for Frappe, t/frappe, as a child process: starts it, sets its
# faults and reads which requests it got.  "t/frappe --help" lists its tools.

use strict;
use warnings;

use POSIX qw(WNOHANG _exit);

use MCPTest::Conn qw(now run_until);
use MCPTest::JSON qw(encode decode);

my %credentials = (
    alice    => { token => 'token alice-key:alice-secret',
                  bearer => 'Bearer alice-token',
                  basic => 'Basic YWxpY2Uta2V5OmFsaWNlLXNlY3JldA==',
                  other => 'token alice-key:other-secret' },
    bob      => { token => 'token bob-key:bob-secret',
                  bearer => 'Bearer bob-token' },
    carol    => { other => 'token carol-key:carol-secret' },
    admin    => { token => 'token admin-key:admin-secret' },
    disabled => { token => 'token disabled-key:disabled-secret' },
    noaccess => { token => 'token noaccess-key:noaccess-secret' },
);


# The Authorization of a user: "token" (default), "bearer", "basic", or
# "other": a token for the site other.example.com.

sub credential {
    my ($user, $kind) = @_;

    $user = 'alice' unless defined $user;

    return $1 eq '' ? undef : "token user$1-key:user$1-secret"
        if $user =~ /\Auser(\d+)\z/;

    return $credentials{$user}{ $kind || 'token' }
        || die "no such credential: $user\n";
}


sub user { return ($_[0] || 'alice') . '@example.com' }


sub start {
    my ($class, @arg) = @_;

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        exec MCPTest::root() . '/t/frappe', '--port', 0, '--quiet',
            '--with-parent', @arg or _exit(127);
    }

    my $line = <$out>;
    my ($port) = ($line || '') =~ /listening on 127\.0\.0\.1:(\d+)/
        or die "t/frappe does not start\n";

    return bless { pid => $pid, out => $out, port => $port, owner => $$ },
        $class;
}


sub port { return $_[0]{port} }


sub control {
    my ($self, $method, $path, $body) = @_;

    for (1 .. 3) {
        my $conn = MCPTest::Conn->connect_to($self->{port});
        my $response = $conn->request($method, "/_control/$path",
            headers => [ Connection => 'close' ], body => $body);

        $response->wait;
        $conn->close;

        next unless defined $response->status;

        die "t/frappe: $path: " . $response->body
            if $response->status != 200;

        return $response->json;
    }

    die "t/frappe does not answer\n";
}


# Refreshes an OAuth token: returns the new Authorization and refresh token; the
# old ones are revoked.

sub refresh {
    my ($self, $token) = @_;

    my $conn = MCPTest::Conn->connect_to($self->{port});
    my $told = $conn->request('POST',
        '/api/method/frappe.integrations.oauth2.get_token',
        host    => 'erp.example.com',
        headers => [ Connection => 'close',
            'Content-Type' => 'application/x-www-form-urlencoded' ],
        body    => "grant_type=refresh_token&refresh_token=$token")->wait;

    $conn->close;

    die "t/frappe: no new token\n" if !$told || $told->status != 200;

    return ('Bearer ' . $told->json->{access_token},
        $told->json->{refresh_token});
}


sub stats    { return $_[0]->control('GET', 'stats') }
sub requests { return @{ $_[0]->control('GET', 'requests') } }
sub started  { return @{ $_[0]->control('GET', 'calls') } }
sub reset    { return $_[0]->control('POST', 'reset', '') }


# down ("refuse", "hang", 429, 500, 502, 503, 504), logged_user_delay,
# logged_user_hold (a gate), logged_user_status, keepalive, fac ("2.5", "3.0"),
# hash_tokens, revoke, allow, open (a gate), events (a URL), events_site

sub set {
    my ($self, %settings) = @_;

    return $self->control('POST', 'set', encode(\%settings));
}


# Opens a gate: calls of the tool "hold" that wait at it are answered, and so
# are look-ups (logged_user_hold).

sub open_gate {
    my ($self, @gates) = @_;

    $self->set(open => $_) for @gates;

    return;
}


# How many times a method has run since the last reset.

sub count {
    my ($self, $method) = @_;

    return $self->stats->{methods}{$method} || 0;
}


sub tool_count { return $_[0]->stats->{tools}{ $_[1] } || 0 }


# How many times a call with this key in its arguments has run.

sub key_count {
    my ($self, $tool, $key) = @_;

    return $self->stats->{calls}{"$tool/$key"} || 0;
}


# The number of all MCP calls.

sub calls {
    my ($self) = @_;

    my $n = 0;
    $n += $_ for values %{ $self->stats->{methods} };

    return $n;
}


# The look-ups of users since the last reset, refused ones included; 200 at
# most.

sub lookups {
    my ($self) = @_;

    my @lookups = grep { $_->{path} =~ /get_logged_user/ } $self->requests;

    return scalar @lookups;
}


# The headers of the last MCP call, with names in lower case.

sub last_headers {
    my ($self) = @_;

    my ($last) = reverse grep { $_->{path} =~ m{\.handle_|/api/mcp} }
        $self->requests;

    return { map { lc $_->[0] => $_->[1] } @{ $last->{headers} || [] } };
}


sub stop {
    my ($self) = @_;

    return unless $self->{pid} && $self->{owner} == $$;

    kill TERM => $self->{pid};
    run_until(sub { waitpid($self->{pid}, WNOHANG) != 0 }, 20)
        or kill KILL => $self->{pid};
    delete $self->{pid};

    return;
}


1;
