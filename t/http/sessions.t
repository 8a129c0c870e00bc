# Session ids of Streamable HTTP: made by initialize, checked by every worker
# without asking, ended by DELETE.

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


# made by initialize, and by nothing else

my $first = initialize($nginx);
my $id    = $first->header('Mcp-Session-Id');

MCPTest::secret($id);
served($first, 'initialize is answered');
like($id, qr/\A[\x21-\x7e]{50}\z/, 'with a session id in visible ASCII');
isnt(session_id($nginx), $id, 'each time another one');
is($frappe->count('initialize'), 2, 'Frappe was asked each time');
is(http_post($nginx, $list)->header('Mcp-Session-Id'), undef,
    'a request without a session makes none');
is(http_post($nginx, $list, session => $id)->header('Mcp-Session-Id'), undef,
    'nor does one with a session');

{
    my $slow = initialize($nginx, accept => 'text/event-stream');

    ok($slow->is_stream, 'initialize as a stream');
    like($slow->header('Mcp-Session-Id'), qr/\A[\w-]{50}\z/,
        'has an id in its headers');
    MCPTest::secret($slow->header('Mcp-Session-Id'));
    served($slow, 'and is answered');
}

# an initialize that fails

{
    my $backend = start_backend(sub {
        return if $_[0]{path} =~ /get_logged_user/;
        return MCPTest::Backend::http(500, '{"exc_type":"ValidationError"}');
    });
    my $broken = start_http(backend => $backend->port);
    my $answer = initialize($broken);

    is($answer->status, 200, 'an initialize that fails');
    is_error($answer->answer, -32603, 'Backend error', 'is an error');
    is($answer->header('Mcp-Session-Id'), undef, 'without a session');
}

# every worker takes it, without having heard of it

for my $worker (@workers) {
    served(http_post($nginx, $list, session => $id, worker => $worker),
        "worker $worker takes it");
    served(http_post($nginx, $list, worker => $worker),
        'and a request without any');
}

served(http_post($nginx, $list, session => $id, path => '/mcp/'),
    'with a slash behind the path');
served(http_post($nginx, $list, headers => [ 'mcp-SESSION-id' => $id ]),
    'the case of the header does not matter');

# forged

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

    is_deeply(\@passed, [], 'one letter changed, in any place: 404');

    not_found(http_post($nginx, $list, session => $_), 'no id: "'
        . substr($_, 0, 20) . '"')
        for '', 'x', "${id}A", substr($id, 1), "$id=", 'A' x 50, 'A' x 5000;

    not_found(http($nginx, 'GET', session => 'A' x 50), 'for GET, too');
    not_found(http_delete($nginx, 'A' x 50), 'and DELETE');
    not_found(initialize($nginx, session => 'A' x 50), 'and initialize');
    is($frappe->calls, 0, 'nothing has run');
}

# of another user

{
    my $bob = MCPTest::credential('bob');

    $frappe->reset;
    not_found(http_post($nginx, $list, session => $id, auth => $bob),
        "Bob with Alice's id");
    not_found(http($nginx, 'GET', session => $id, auth => $bob),
        'Bob with GET');
    not_found(http_delete($nginx, $id, auth => $bob), 'Bob with DELETE');
    is($frappe->calls, 0, 'nothing has run');
    served(http_post($nginx, $list, session => $id), 'it is still good');
    served(http_post($nginx, $list, session => $id,
        auth => MCPTest::credential('alice', 'bearer')),
        'Alice with another credential of hers');
}

# of the other transport

{
    my $stream = open_stream($nginx);

    not_found(http_post($nginx, $list, session => $stream->session),
        'the id of a legacy session');
    is_rejected(post($nginx, $id, $list), 400, -32001, 'Invalid session ID',
        'this one as a legacy session');

    my $other = open_stream($nginx, path => "/mcp/sse?session_id=$id");

    isnt($other->session, $id, 'nor is a legacy stream opened with it');
    $_->close for $stream, $other;
}

# ended by DELETE

{
    my $ended = session_id($nginx);
    my $other = session_id($nginx);

    served(http_post($nginx, $list, session => $ended), 'a session');

    my $answer = http_delete($nginx, $ended, worker => $workers[0]);

    is($answer->status . $answer->body, '204', 'is ended');
    $frappe->reset;

    for my $worker (@workers) {
        not_found(http_post($nginx, $list, session => $ended,
            worker => $worker), "worker $worker knows");
        not_found(http($nginx, 'GET', session => $ended,
            worker => $worker), 'also for GET');
        not_found(http_delete($nginx, $ended, worker => $worker),
            'and for DELETE');
    }

    is($frappe->calls, 0, 'nothing has run');
    served(http_post($nginx, $list, session => $other), 'another one is not');
    is_rejected(http($nginx, 'DELETE'), 400, -32600,
        'Mcp-Session-Id is missing', 'DELETE without an id');

    my @old = $nginx->reload;

    $nginx->wait_gone(\@old);
    not_found(http_post($nginx, $list, session => $ended),
        'ended also after a reload');
    served(http_post($nginx, $list, session => $id),
        'ids outlive a reload');
}

# too old

{
    my $short = start_http(workers => 1, mcp => 'mcp_sse_session_ttl 2s;');
    my $old   = session_id($short);

    ok(run_until(sub { http_post($short, $list,
        session => session_id($short))->status == 200 }), 'a young id');
    http_delete($short, session_id($short));
    sleep_for(3.2);
    not_found(http_post($short, $list, session => $old), 'too old');
    not_found(http($short, 'GET', session => $old), 'for GET, too');
    not_found(http_delete($short, $old), 'and DELETE');
}

# a restart

{
    my $file = File::Temp->new;

    print {$file} 'k' x 40, "\n";
    close $file;

    my $one = start_http(http => "mcp_sse_key $file;");
    my $old = session_id($one);

    $one->stop;

    my $two = start_http(http => "mcp_sse_key $file;");

    served(http_post($two, $list, session => $old),
        'with mcp_sse_key an id outlives a restart');

    my $three = start_http();

    not_found(http_post($three, $list, session => $old),
        'a server without that key refuses it');
}

# many ended sessions: the list is bounded, and says so

{
    my $small = start_http(http => 'mcp_sse_zone zone=small:1300k; '
        . 'mcp_sse_max_message 64k;');
    my $conn = connect_to($small);
    my @ids;

    for my $n (1 .. 1000) {
        my $answer = initialize($small, conn => $conn);

        push @ids, $answer->header('Mcp-Session-Id');
        http_delete($small, $ids[-1], conn => $conn);
    }

    my @known = grep {
        http_post($small, request(1, 'ping'), session => $_, conn => $conn)
            ->status == 404
    } @ids;

    cmp_ok(scalar @known, '>', 500, 'hundreds of ended ids are known');
    cmp_ok(scalar @known, '<', 1000, 'not any number of them');
    is($known[-1], $ids[-1], 'the last one is');
    like($small->error_log, qr/\[warn\].*too many ended sessions/,
        'the log says that some were forgotten');
}

finish();
