# Responses to questions that nobody has asked, or asked somebody else: forged,
# repeated, of another session, user or instance, of another form, too large.
# docs/PROTOCOL.md 16, SECURITY.md.

use strict;
use warnings;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256 sha256);
use MIME::Base64 qw(decode_base64url encode_base64url);
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Push;
use MCPTest::Question;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my $nginx  = start_push(push => $redis, mcp => '', workers => 2,
    http => 'mcp_sse_max_message 64k;',
    key_file => MCPTest::Nginx::key_file());
my $other  = start_push(push => $redis, mcp => '');

my $bob = MCPTest::credential('bob');

open my $file, '<', MCPTest::Nginx::key_file() or die;
my ($secret) = grep { /\S/ && !/\A#/ } <$file>;
close $file;
$secret =~ s/\s+\z//;


# The id that the module would make.

sub id_of {
    my ($k, $client, $secret) = @_;

    my $key = substr sha256(decode_base64url(session_of($client))), 0, 16;
    my $mac = hmac_sha256(join('', map { pack('N', length) . $_ }
        'question', $k, $key), $secret);

    return qq("$k.) . encode_base64url(substr $mac, 0, 16) . '"';
}


# Tests that a question is still open, and answers it.

sub is_open {
    my ($call, $asked, $asks, $name) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    respond($nginx, $call->{client}, $asks, result => '{"mine":1}');
    is($asked->wait, '{"result":{"mine":1}}', $name);
    is(scalar(my @all = $asked->elements), 2, "$name, and nothing else");

    return;
}


for my $way ([ 'Streamable HTTP', \&able ], [ 'HTTP+SSE', \&able_stream ]) {
    my ($name, $able) = @$way;

    my $client  = $able->($nginx);
    my $another = $able->($nginx);
    my $of_bob  = $able->($nginx, auth => $bob);
    my $call    = begin_call($nginx, $client);

    my $asked = asking($redis, $call);
    my $asks  = question($call);
    my $id    = $asks->{raw_id};
    my $k     = $asked->reply;

    is(id_of($k, $client, $secret), $id, "$name: the id of a question");

    # forged

    for my $case (
        [ 'K alone',               qq("$k") ],
        [ 'no MAC',                qq("$k.") ],
        [ 'another MAC',           qq("$k.) . 'A' x 22 . '"' ],
        [ 'the MAC of another K',  id_of('x' x 22, $client, $secret)
            =~ s/x{22}/$k/r ],
        [ 'another secret',        id_of($k, $client, 's' x 32) ],
        [ 'a part of it',          substr($id, 0, -2) . '"' ],
        [ 'more than it',          substr($id, 0, -1) . 'A"' ],
        [ 'another K',             $id =~ s/\w\./x./r ],
        [ 'an integer',            42 ],
        [ 'an empty string',       '""' ],
        [ 'a long string',         '"' . 'a' x 4000 . '"' ],
    ) {
        my ($title, $forged) = @$case;

        is(respond($nginx, $client, $forged, result => '{}')->status, 202,
            "$name, $title: is accepted as any response");
    }

    # the id of another session, of the same user and of another one

    for my $case ([ $another, 'another session' ], [ $of_bob,
        'another user', auth => $bob ])
    {
        my ($from, $title, @opt) = @$case;

        is(respond($nginx, $from, $id, result => '{}', @opt)->status, 202,
            "$name: a response of $title is accepted");
    }

    # another user with the session id

    {
        my $status = respond($nginx, $client, $id, result => '{}',
            auth => $bob)->status;

        is($status, ref $client ? 400 : 404,
            "$name: another user cannot use the session");
    }

    # an instance with other keys does not know the session

    {
        my $status = respond($other, $client, $id, result => '{}')->status;

        is($status, ref $client ? 400 : 404,
            "$name: nor can an instance with other keys");
    }

    is_open($call, $asked, $asks, "$name: after all these it is open");

    # again

    is(respond($nginx, $client, $id, result => '{"again":1}')->status, 202,
        "$name: a response comes twice");
    ok($nginx->wait_log(qr/\[info\].*comes too late or twice/),
        "$name: it is logged");
    is(scalar(my @all = $asked->elements), 2, "$name: and dropped");

    # a question that nobody asks, by somebody who has the keys

    is(respond($nginx, $client, id_of('u' x 22, $client, $secret),
        result => '{}')->status, 202, "$name: an unknown K");

    # K is used twice

    {
        my $asked = asking($redis, $call);
        my $asks  = question($call, 2);
        my $twice = begin_call($nginx, $client);
        my $again = begin_ask($redis, { call => $twice->{call}, %elicit,
            reply => $asked->reply });

        ok($nginx->wait_log(qr/\[error\].*its "reply" is in use/),
            "$name: K is in use, by another call");
        is(scalar(questions($twice)), 0,
            "$name: its client is not asked");
        $again->close;
        is(respond($nginx, $client, $asks, result => '{"mine":1}')->status,
            202, "$name: the first question");
        ok(run_until(sub { !$redis->cmd('EXISTS', 'mcp:ask:'
            . $asked->reply) }), "$name: is answered");

        # and is free again

        $again = begin_ask($redis, { call => $twice->{call}, %elicit,
            reply => $asked->reply });
        ok(run_until(sub { questions($twice) }),
            "$name: K is asked again when it is answered");
        end_call($twice);
        $_->close for $asked, $again;
    }

    # sizes

    {
        my $asked = asking($redis, $call);
        my $asks  = question($call, ref $client ? 4 : 3);

        is(respond($nginx, $client, $asks, result =>
            '{"a":"' . 'x' x 65536 . '"}')->status, 413,
            "$name: a response that is too large");

        my $large = '{"a":"' . 'x' x 65000 . '"}';

        respond($nginx, $client, $asks, result => $large);
        is($asked->wait, qq({"result":$large}), "$name: a large one");
    }

    end_call($call);
}

# a POST without a session id

{
    my $client = able($nginx);
    my $call   = begin_call($nginx, $client);
    my $asked  = asking($redis, $call);
    my $asks   = question($call);

    is(respond($nginx, undef, $asks, result => '{}')->status, 202,
        'no session id: a response is accepted');
    is_open($call, $asked, $asks, 'no session id: and dropped');
    end_call($call);
}

# several in one POST

{
    my $stream = able_stream($nginx);
    my $call   = begin_call($nginx, $stream);
    my @asked  = map { asking($redis, $call) } 1 .. 2;

    question($call, 2);

    my @all = map { qq({"jsonrpc":"2.0","id":$_->{raw_id},"result":)
        . qq({"id":$_->{raw_id}}}) } questions($stream);

    post($nginx, $stream, '[' . join(',', @all, '{"jsonrpc":"2.0","id":1,'
        . '"result":{}}', @all) . ']');

    for my $asked (@asked) {
        like($asked->wait, qr/\A\{"result":\{"id":"\Q${\ $asked->reply}\E\./,
            'a response of a batch');
        is(scalar(my @all = $asked->elements), 2, 'once');
    }

    end_call($call);
}

unlike($nginx->error_log, qr/\[(?:error|alert|crit)\](?!.*"reply" is in use)/,
    'no response is an error');

finish();
