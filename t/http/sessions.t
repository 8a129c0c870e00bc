# Session ids of Streamable HTTP: initialize makes them, every worker checks
# them, DELETE ends them.  docs/PROTOCOL.md 7 and 8.

use strict;
use warnings;

use File::Temp ();

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use Test::More;

my $frappe  = start_frappe();
my $nginx   = start_http(workers => 2, mcp => 'mcp_sse_session_ttl 1h;');
my @workers = $nginx->wait_workers;
my $list    = request(1, 'tools/list');


sub not_found {
    my ($answer, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_rejected($answer, 404, -32001, 'Session not found', $name);
}


sub served {
    my ($answer, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return ok(($answer->status || 0) == 200
        && !error_of($answer->answer), $name);
}


# initialize alone makes a session

my $first = initialize($nginx);
my $id    = $first->header('Mcp-Session-Id');

MCPTest::secret($id);
served($first, 'initialize is answered');
like($id, qr/\A[\x21-\x7e]{51,139}\z/,
    'initialize is answered with an id of 51 to 139 visible characters');
isnt(session_id($nginx), $id, 'each initialize gets another id');
is($frappe->count('initialize'), 2, 'each initialize goes to Frappe');
is(http_post($nginx, $list)->header('Mcp-Session-Id'), undef,
    'a request without a session id gets none');
is(http_post($nginx, $list, session => $id)->header('Mcp-Session-Id'), undef,
    'a request with a session id gets no other');

# Frappe Assistant Core stores Mcp-Session-Id in its audit log

{
    my ($hash) = (grep { ($_->{method} || '') eq 'initialize' }
        $nginx->audit(1, 'mcp.log'))[0]->{session};

    my %names = map {
        http_post($nginx, $list, session => $id, worker => $_);
        ($frappe->last_headers->{'mcp-session-id'} => 1);
    } @workers;

    is_deeply([ keys %names ], [ $hash ],
        'Frappe gets the hash of the id that the logs have from each worker');
    unlike(join(' ', map { $_->[1] } map { @{ $_->{headers} } }
        $frappe->requests), qr/\Q$id\E/, 'Frappe does not get the session id');

    http_post($nginx, $list);
    is($frappe->last_headers->{'mcp-session-id'}, undef,
        'a call without a session has no name of one');
}

{
    my $slow = initialize($nginx, accept => 'text/event-stream');

    ok($slow->is_stream,
        'initialize is answered with a stream if the client asks for one');
    like($slow->header('Mcp-Session-Id'), qr/\A[\w-]{51,139}\z/,
        'the stream of initialize has a session id in its headers');
    MCPTest::secret($slow->header('Mcp-Session-Id'));
    served($slow, 'the stream of initialize has the answer');
}

# initialize fails

{
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return MCPTest::Backend::http(500, '{"exc_type":"ValidationError"}');
    });
    my $broken = start_http(backend => $backend->port);
    my $answer = initialize($broken);

    is($answer->status, 200, 'a failed initialize is 200');
    is_error($answer->answer, -32603, 'Backend error',
        'a failed initialize has the error');
    is($answer->header('Mcp-Session-Id'), undef,
        'a failed initialize gets no session id');
}

# every worker accepts the id

for my $worker (@workers) {
    served(http_post($nginx, $list, session => $id, worker => $worker),
        "worker $worker serves a request with the id");
    served(http_post($nginx, $list, worker => $worker),
        "worker $worker serves a request without an id");
}

served(http_post($nginx, $list, session => $id, path => '/mcp/'),
    'the id is accepted with a trailing slash in the path');
served(http_post($nginx, $list, headers => [ 'mcp-SESSION-id' => $id ]),
    'the name of the header may have any case');

# forged ids

{
    my @letters = ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_');
    my @passed;

    $frappe->reset;

    for my $at (0 .. 49) {
        my $letter = substr $id, $at, 1;
        my ($other) = grep { $_ ne $letter } $letters[rand @letters],
            @letters;
        my $forged = $id;

        substr $forged, $at, 1, $other;

        my $answer = http_post($nginx, $list, session => $forged);

        push @passed, "$at: $other" if ($answer->status || 0) != 404;
    }

    is_deeply(\@passed, [],
        'an id with one letter changed, in any place, is 404');

    not_found(http_post($nginx, $list, session => $_), 'an invalid id is 404: "'
        . substr($_, 0, 20) . '"')
        for 'x', "${id}A", substr($id, 1), "$id=", 'A' x 50, 'A' x 5000;

    not_found(http($nginx, 'GET', session => 'A' x 50),
        'GET with an unknown id is 404');
    not_found(http_delete($nginx, 'A' x 50),
        'DELETE with an unknown id is 404');
    not_found(initialize($nginx, session => 'A' x 50),
        'initialize with an unknown id is 404');
    is($frappe->calls, 0, 'no request with a forged id runs');
}

# the id of another user

{
    my $bob = MCPTest::credential('bob');

    $frappe->reset;
    not_found(http_post($nginx, $list, session => $id, auth => $bob),
        "a POST of Bob with Alice's id is 404");
    not_found(http($nginx, 'GET', session => $id, auth => $bob),
        "a GET of Bob with Alice's id is 404");
    not_found(http_delete($nginx, $id, auth => $bob),
        "a DELETE of Bob with Alice's id is 404");
    is($frappe->calls, 0, "no request of Bob with Alice's id runs");
    served(http_post($nginx, $list, session => $id),
        "Alice's id still works for Alice");
    served(http_post($nginx, $list, session => $id,
        auth => MCPTest::credential('alice', 'bearer')),
        "Alice's id works with another credential of Alice's");
}

# the id of the other transport

{
    my $stream = open_stream($nginx);

    not_found(http_post($nginx, $list, session => $stream->session),
        'the id of a legacy session is 404');
    is_rejected(post($nginx, $id, $list), 400, -32001, 'Invalid session ID',
        'the id of this transport is refused as a legacy session');

    my $other = open_stream($nginx, path => "/mcp/sse?session_id=$id");

    isnt($other->session, $id,
        'a legacy stream with the id of this transport gets a new id');
    $_->close for $stream, $other;
}

# DELETE ends a session

{
    my $ended = session_id($nginx);
    my $other = session_id($nginx);

    served(http_post($nginx, $list, session => $ended),
        'a session works before DELETE');

    my $answer = http_delete($nginx, $ended, worker => $workers[0]);

    is($answer->status . $answer->body, '204', 'DELETE is 204');
    $frappe->reset;

    for my $worker (@workers) {
        not_found(http_post($nginx, $list, session => $ended,
            worker => $worker),
            "worker $worker answers 404 to a POST of the ended session");
        not_found(http($nginx, 'GET', session => $ended,
            worker => $worker),
            "worker $worker answers 404 to a GET of the ended session");
        not_found(http_delete($nginx, $ended, worker => $worker),
            "worker $worker answers 404 to a second DELETE");
    }

    is($frappe->calls, 0, 'no request of the ended session runs');
    served(http_post($nginx, $list, session => $other),
        'another session of the user still works');
    is_rejected(http($nginx, 'DELETE'), 400, -32600,
        'Mcp-Session-Id is missing', 'DELETE without an id is 400');

    my @old = $nginx->reload;

    $nginx->wait_gone(\@old);
    not_found(http_post($nginx, $list, session => $ended),
        'the ended session is 404 after a reload');
    served(http_post($nginx, $list, session => $id),
        'an id outlives a reload');
}

# ids that are too old

{
    my $short = start_http(workers => 1, mcp => 'mcp_sse_session_ttl 2s;');
    my $old   = session_id($short);

    ok(run_until(sub { http_post($short, $list,
        session => session_id($short))->status == 200 }),
        'a young id is served');
    http_delete($short, session_id($short));
    sleep_for(3.2);
    not_found(http_post($short, $list, session => $old),
        'an id older than mcp_sse_session_ttl is 404');
    not_found(http($short, 'GET', session => $old),
        'a GET with an id that is too old is 404');
    not_found(http_delete($short, $old),
        'a DELETE with an id that is too old is 404');
}

# a restart of nginx

{
    my $file = File::Temp->new;

    print {$file} 'k' x 40, "\n";
    close $file;

    my $one = start_http(http => "mcp_sse_key $file;");
    my $old = session_id($one);

    $one->stop;

    my $two = start_http(http => "mcp_sse_key $file;");

    served(http_post($two, $list, session => $old),
        'an id outlives a restart with the same mcp_sse_key');

    my $three = start_http();

    not_found(http_post($three, $list, session => $old),
        'an id is 404 at a server without its key');
}

# many ended sessions: the list of them is bounded

{
    my $small = start_http(http => 'mcp_sse_zone zone=small:1300k; '
        . 'mcp_sse_max_message 64k;');
    my $conn = connect_to($small);
    my @bob  = (conn => $conn, auth => MCPTest::credential('bob'));
    my $id   = session_id($small);
    my @ids;

    is(http_delete($small, $id)->status, 204, 'a user ends one session');

    for my $n (1 .. 1000) {
        my $answer = initialize($small, @bob);

        push @ids, $answer->header('Mcp-Session-Id');
        http_delete($small, $ids[-1], @bob);
    }

    not_found(http_post($small, $list, session => $id),
        'an id stays ended while another user ends 1,000 sessions');

    my @known = grep {
        http_post($small, request(1, 'ping'), session => $_, @bob)
            ->status == 404
    } @ids;

    cmp_ok(scalar @known, '>', 500, 'hundreds of ended ids are remembered');
    cmp_ok(scalar @known, '<', 1000,
        'the number of ended ids that are remembered is bounded');
    is($known[-1], $ids[-1], 'the id that ended last is remembered');
    like($small->error_log, qr/\[warn\].*too many ended sessions/,
        'the log says that ended ids were forgotten');
}

finish();
