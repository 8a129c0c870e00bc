# A session id is worth nothing to anybody else, and cannot be guessed, changed
# or kept.  docs/PROTOCOL.md 8.

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


# changed in every position

{
    my $stream = open_stream($nginx);
    my $id     = $stream->session;
    my @letters = ('A' .. 'Z', 'a' .. 'z', 0 .. 9, '-', '_');
    my @passed;

    $frappe->reset;

    for my $at (0 .. length($id) - 1) {
        my $old = substr $id, $at, 1;

        # the neighbour in the alphabet differs in the lowest bit only

        my ($n) = grep { $letters[$_] eq $old } 0 .. 63;

        for my $new ($letters[$n ^ 1], $letters[$n ^ 32]) {
            my $forged = $id;

            substr $forged, $at, 1, $new;

            my $response = post($nginx, $forged, $list);

            push @passed, "$at: $new" if ($response->status || 0) != 400
                || $response->body !~ /"Invalid session ID"/;
        }
    }

    is_deeply(\@passed, [], 'one letter changed, in any place: 400');
    is($frappe->calls, 0, 'nothing has run');
    accepted(post($nginx, $stream, $list), 'the true one is accepted');
    accepted(post($nginx, undef, $list, path =>
        "/mcp/messages?x=1&session_id=$id&y=2"), 'among other arguments');
    $stream->close;
}

# of another user

{
    my $alice = open_stream($nginx);
    my $bob   = open_stream($nginx, auth => MCPTest::credential('bob'));

    $frappe->reset;
    isnt($alice->session, $bob->session, 'two users, two ids');

    invalid(post($nginx, $alice->session, $list,
        auth => MCPTest::credential('bob')), "Bob with Alice's id");
    invalid(post($nginx, $bob->session, $list,
        auth => MCPTest::credential()), "Alice with Bob's id");

    my $unknown = post($nginx, 'A' x 50, $list);
    my $foreign = post($nginx, $bob->session, $list);

    is($foreign->status . $foreign->body, $unknown->status . $unknown->body,
        'foreign and unknown look the same');
    is($frappe->count('tools/list'), 0, 'nothing has run');
    is(scalar $alice->messages + $bob->messages, 0, 'nothing was answered');

    accepted(post($nginx, $alice, $list), 'Alice with her own');
    accepted(post($nginx, $bob, $list), 'Bob with his own');
    ok($alice->wait_answer(1) && $bob->wait_answer(1),
        'both are answered');

    # the same user in another form of credential

    my $bearer = MCPTest::credential('alice', 'bearer');

    accepted(post($nginx, $alice->session, request(2, 'ping'),
        auth => $bearer), 'Alice with another credential of hers');
    ok($alice->wait_answer(2), 'is answered');

    # registering it again needs the owner, too

    my $thief = open_stream($nginx, auth => MCPTest::credential('bob'),
        path => '/mcp/sse?session_id=' . $alice->session);

    is($thief->status, 200, "a GET with another's id");
    isnt($thief->session, $alice->session, 'gets a new session');
    ok(!$alice->ended, 'and does not end the other one');

    $_->close for $alice, $bob, $thief;
}

# of another site, where a user of the same name lives

{
    my $elsewhere = MCPTest::credential('alice', 'other');
    my $here  = open_stream($nginx);
    my $there = open_stream($nginx, path => '/other/sse',
        auth => $elsewhere);

    is($there->status, 200, 'a stream of the other site');

    invalid(post($nginx, undef, $list, auth => $elsewhere, path =>
        '/other/messages?session_id=' . $here->session),
        'id of this site at the other');
    invalid(post($nginx, undef, $list, path =>
        '/mcp/messages?session_id=' . ($there->session || '')),
        'id of the other site at this');
    is_rejected(post($nginx, $there, $list,
        auth => MCPTest::credential()), 401, -32001, 'Invalid authorization',
        'a credential of this site at the other');
    accepted(post($nginx, $here, request(1, 'ping')), 'each at its own');
    accepted(post($nginx, $there, request(1, 'ping')), 'each at its own');

    my $moved = open_stream($nginx, auth => $elsewhere,
        path => '/other/sse?session_id=' . $here->session);

    is($moved->status, 200, 'taken to the other site');
    isnt($moved->session, $here->session, 'it is not taken over');
    $_->close for $here, $there, $moved;
}

# ended and old

{
    my $nginx  = start_nginx(http =>
        'mcp_sse_grace 1s; mcp_sse_session_ttl 5s;');
    my $stream = open_stream($nginx);
    my $id     = $stream->session;

    accepted(post($nginx, $stream, request(1, 'ping')), 'young');

    sleep_for(7);
    invalid(post($nginx, $id, request(2, 'ping')),
        'older than mcp_sse_session_ttl');
    is(scalar $stream->answers(2), 0, 'and not answered');
    $stream->close;

    my $again = open_stream($nginx, path => "/mcp/sse?session_id=$id");

    is($again->status, 200, 'an old id is no obstacle to a new stream');
    isnt($again->session, $id, 'but is not given again');
    $again->close;

    my $short = open_stream($nginx);

    $short->close;
    run_until(sub { health($nginx)->{active_connections} == 0 });

    my $late = post($nginx, $short->session, request(1, 'ping'));

    invalid($late, 'without a stream, after the grace');
}

# of another nginx, with and without a common key

{
    my $a = start_nginx();
    my $b = start_nginx(http => 'mcp_sse_grace 1s;');
    my $stream = open_stream($a);

    invalid(post($b, $stream->session, $list),
        'of another instance with a key of its own');
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

    accepted(post($a, $stream, request(1, 'ping')), 'with mcp_sse_key');
    $stream->close;

    my $b = start_nginx(http => 'mcp_sse_grace 1s; mcp_sse_key '
        . $file->filename . ';');
    my $again = open_stream($b, path => "/mcp/sse?session_id=$id");

    is($again->session, $id,
        'an id signed with the common key is known after a restart');
    accepted(post($b, $again, request(1, 'ping')), 'and works');
    $again->close;

    # the key of the file becomes the second one

    open my $out, '>', $file->filename or die;
    print {$out} 'm' x 40, "\n", 'k' x 40, "\n";
    close $out;

    my $c = start_nginx(http => 'mcp_sse_key ' . $file->filename . ';');
    $again = open_stream($c, path => "/mcp/sse?session_id=$id");
    is($again->session, $id, 'every key of the file verifies');
    $again->close;

    open $out, '>', $file->filename or die;
    print {$out} 'm' x 40, "\n";
    close $out;

    my $d = start_nginx(http => 'mcp_sse_key ' . $file->filename . ';');
    $again = open_stream($d, path => "/mcp/sse?session_id=$id");
    isnt($again->session, $id, 'a removed key does not');
    $again->close;
}

# without a key file: survives a reload

{
    my $nginx  = start_nginx(http => 'mcp_sse_drain 1s;');
    my $stream = open_stream($nginx);
    my $id     = $stream->session;

    $nginx->reload;
    $stream->wait_ended;

    my $again = open_stream($nginx, path => "/mcp/sse?session_id=$id");

    is($again->session, $id, 'the random key survives a reload');
    $again->close;
}

finish();
