# A session id works only for its own user and site, until it expires; an id
# that is forged or changed is refused.  docs/PROTOCOL.md 3, 4 and 8.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();

my $other = <<'EOT';
        location = /other/sse {
            mcp_sse_site other.example.com;
            mcp_sse_message_uri /other/messages;
            mcp_sse_stream;
        }

        location = /other/messages {
            mcp_sse_site other.example.com;
            mcp_sse_message;
        }
EOT

my $nginx = start_nginx(locations => $other);

my $list = request(1, 'tools/list', {});


sub invalid {
    my ($response, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is_rejected($response, 400, -32001, 'Invalid session ID', $name);
}


# an id with one letter changed

{
    my $stream = open_stream($nginx);
    my $id     = $stream->session;
    my @letters = ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_');
    my @passed;

    $frappe->reset;

    for my $at (0 .. length($id) - 1) {
        my $old = substr $id, $at, 1;

        # the neighbour in the alphabet differs only in the lowest bit

        my ($n) = grep { $letters[$_] eq $old } 0 .. 63;

        for my $new ($letters[$n ^ 1], $letters[$n ^ 32]) {
            my $forged = $id;

            substr $forged, $at, 1, $new;

            my $response = post($nginx, $forged, $list);

            push @passed, "$at: $new" if ($response->status || 0) != 400
                || $response->body !~ /"Invalid session ID"/;
        }
    }

    is_deeply(\@passed, [],
        'an id with one letter changed, in any place, is 400');
    is($frappe->calls, 0, 'no message with a changed id runs');
    accepted(post($nginx, $stream, $list), 'the unchanged id is accepted');
    accepted(post($nginx, undef, $list, path =>
        "/mcp/messages?x=1&session_id=$id&y=2"),
        'the id is accepted among other arguments');
    $stream->close;
}

# an id of another user

{
    my $alice = open_stream($nginx);
    my $bob   = open_stream($nginx, auth => MCPTest::credential('bob'));

    $frappe->reset;
    isnt($alice->session, $bob->session, 'two users have two ids');

    invalid(post($nginx, $alice->session, $list,
        auth => MCPTest::credential('bob')), "Alice's id is refused for Bob");
    invalid(post($nginx, $bob->session, $list,
        auth => MCPTest::credential()), "Bob's id is refused for Alice");

    my $unknown = post($nginx, 'A' x 50, $list);
    my $foreign = post($nginx, $bob->session, $list);

    is($foreign->status . $foreign->body, $unknown->status . $unknown->body,
        'a foreign id and an unknown id get the same answer');
    is($frappe->count('tools/list'), 0, 'no message with a foreign id runs');
    is(scalar $alice->messages + $bob->messages, 0,
        'no message with a foreign id is answered');

    accepted(post($nginx, $alice, $list), "Alice's id is accepted for Alice");
    accepted(post($nginx, $bob, $list), "Bob's id is accepted for Bob");
    ok($alice->wait_answer(1) && $bob->wait_answer(1),
        'both messages are answered');

    # another credential of the same user

    my $bearer = MCPTest::credential('alice', 'bearer');

    accepted(post($nginx, $alice->session, request(2, 'ping'),
        auth => $bearer),
        "Alice's id is accepted with another credential of Alice's");
    ok($alice->wait_answer(2), 'the message with that credential is answered');

    # another user sends the id with a GET

    my $thief = open_stream($nginx, auth => MCPTest::credential('bob'),
        path => '/mcp/sse?session_id=' . $alice->session);

    is($thief->status, 200, "a GET with another user's id opens a stream");
    isnt($thief->session, $alice->session,
        "a GET with another user's id gets a new session");
    ok(!$alice->ended,
        "a GET with another user's id does not end the owner's stream");

    $_->close for $alice, $bob, $thief;
}

# an id of another site that has a user of the same name

{
    my $elsewhere = MCPTest::credential('alice', 'other');
    my $here  = open_stream($nginx);
    my $there = open_stream($nginx, path => '/other/sse',
        auth => $elsewhere);

    is($there->status, 200, 'a stream of the other site opens');

    invalid(post($nginx, undef, $list, auth => $elsewhere, path =>
        '/other/messages?session_id=' . $here->session),
        'an id of this site is refused at the other');
    invalid(post($nginx, undef, $list, path =>
        '/mcp/messages?session_id=' . ($there->session || '')),
        'an id of the other site is refused at this one');
    is_rejected(post($nginx, $there, $list,
        auth => MCPTest::credential()), 401, -32001, 'Invalid authorization',
        'a credential of this site is refused at the other');
    accepted(post($nginx, $here, request(1, 'ping')),
        'an id of this site is accepted at this site');
    accepted(post($nginx, $there, request(1, 'ping')),
        'an id of the other site is accepted at the other site');

    my $moved = open_stream($nginx, auth => $elsewhere,
        path => '/other/sse?session_id=' . $here->session);

    is($moved->status, 200,
        'a GET of the other site with an id of this one opens a stream');
    isnt($moved->session, $here->session,
        'a GET of the other site does not take over a session');
    $_->close for $here, $there, $moved;
}

# an id that is too old, an id whose session has ended

{
    my $nginx  = start_nginx(http =>
        'mcp_sse_grace 1s; mcp_sse_session_ttl 5s;');
    my $stream = open_stream($nginx);
    my $id     = $stream->session;

    accepted(post($nginx, $stream, request(1, 'ping')),
        'a young id is accepted');

    sleep_for(7);
    invalid(post($nginx, $id, request(2, 'ping')),
        'an id older than mcp_sse_session_ttl is refused');
    is(scalar $stream->answers(2), 0,
        'a message with an id that is too old is not answered');
    $stream->close;

    my $again = open_stream($nginx, path => "/mcp/sse?session_id=$id");

    is($again->status, 200, 'a GET with an id that is too old opens a stream');
    isnt($again->session, $id,
        'a GET with an id that is too old gets a new id');
    $again->close;

    my $short = open_stream($nginx);

    $short->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });

    my $late = post($nginx, $short->session, request(1, 'ping'));

    invalid($late, 'an id without a stream is refused after mcp_sse_grace');
}

# an id of another instance, with and without a common key

{
    my $a = start_nginx();
    my $b = start_nginx(http => 'mcp_sse_grace 1s;');
    my $stream = open_stream($a);

    invalid(post($b, $stream->session, $list),
        'an id of an instance with another key is refused');
    $stream->close;
}

{
    require File::Temp;

    my $file = File::Temp->new;

    chmod 0600, $file->filename;
    print {$file} "# old and new\n", 'k' x 40, "\n", 'l' x 40, "\n";
    close $file;

    my $a = start_nginx(http => 'mcp_sse_grace 1s; mcp_sse_key '
        . $file->filename . ';');
    my $stream = open_stream($a);
    my $id = $stream->session;

    accepted(post($a, $stream, request(1, 'ping')),
        'an id is accepted with mcp_sse_key');
    $stream->close;

    my $b = start_nginx(http => 'mcp_sse_grace 1s; mcp_sse_key '
        . $file->filename . ';');
    my $again = open_stream($b, path => "/mcp/sse?session_id=$id");

    is($again->session, $id,
        'an id outlives a restart with the same mcp_sse_key');
    accepted(post($b, $again, request(1, 'ping')),
        'a message with that id is accepted');
    $again->close;

    # the key becomes the second line of the file

    open my $out, '>', $file->filename or die;
    print {$out} 'm' x 40, "\n", 'k' x 40, "\n";
    close $out;

    my $c = start_nginx(http => 'mcp_sse_key ' . $file->filename . ';');
    $again = open_stream($c, path => "/mcp/sse?session_id=$id");
    is($again->session, $id,
        'an id is accepted if any key of the file has signed it');
    $again->close;

    open $out, '>', $file->filename or die;
    print {$out} 'm' x 40, "\n";
    close $out;

    my $d = start_nginx(http => 'mcp_sse_key ' . $file->filename . ';');
    $again = open_stream($d, path => "/mcp/sse?session_id=$id");
    isnt($again->session, $id,
        'an id is refused when its key is removed from the file');
    $again->close;
}

# without mcp_sse_key

{
    my $nginx  = start_nginx(http => 'mcp_sse_drain 1s;');
    my $stream = open_stream($nginx);
    my $id     = $stream->session;

    $nginx->reload;
    $stream->wait_ended;

    my $again = open_stream($nginx, path => "/mcp/sse?session_id=$id");

    is($again->session, $id, 'without mcp_sse_key an id outlives a reload');
    $again->close;
}

finish();
