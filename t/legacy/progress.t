# Synthetic progress for calls with a progressToken.  docs/PROTOCOL.md 5.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $nginx  = start_nginx(stream => 'mcp_sse_progress 1s;');
my $stream = open_stream($nginx);


sub slow {
    my ($id, $token, $seconds) = @_;

    return qq({"jsonrpc":"2.0","id":$id,"method":"tools/call","params":)
        . qq({"name":"sleep","arguments":{"seconds":$seconds})
        . (defined $token ? qq(,"_meta":{"progressToken":$token}) : '')
        . '}}';
}


my %token = (
    1 => '"abc"',
    2 => 7,
    3 => '"\u00e9 \"x\""',
    4 => '1152921504606846976',
    5 => undef,
    6 => 'null',
    7 => '1.5',
    8 => '{"a":1}',
    9 => 'true',
    10 => 0,
);

for my $id (sort { $a <=> $b } keys %token) {
    accepted(post($nginx, $stream, slow($id, $token{$id}, 4)), "call $id");
}

ok($stream->wait_answer($_, 20), "answer $_") for keys %token;

my $answered = now();

sleep_for(2.5);

my %seen;

for my $event ($stream->messages) {
    next if defined $event->{raw_id};

    my ($members) = members($event->{data});
    my ($params)  = members($members->{params} || '{}');

    is($members->{method}, '"notifications/progress"',
        'a notification of progress');
    is($members->{jsonrpc}, '"2.0"', 'in JSON-RPC');
    push @{ $seen{ $params->{progressToken} } },
        [ $params->{progress}, $event->{time} ];
}

for my $id (1, 2, 3, 4, 10) {
    my @beats = @{ $seen{ $token{$id} } || [] };

    cmp_ok(scalar @beats, '>=', 2, "token $token{$id}: progress came");

    my @not = grep { $beats[$_][0] <= $beats[$_ - 1][0] } 1 .. $#beats;

    is_deeply(\@not, [], "token $token{$id}: it increases");

    my $answer = $stream->{answers}{$id}[0]{time};

    is(scalar(grep { $_->[1] > $answer } @beats), 0,
        "token $token{$id}: none after the answer");
}

is(scalar keys %seen, 5, 'none for what is no token');

# a quick call has none

my $n = $stream->messages;

call($nginx, $stream, slow(20, '"quick"', 0));
sleep_for(1.5);
is(scalar $stream->messages, $n + 1, 'a quick call has no progress');

# a cancelled one has no more

post($nginx, $stream, slow(21, '"gone"', 10));
run_until(sub { ($stream->messages)[-1]{data} =~ /"gone"/ }, 10);
post($nginx, $stream, notification('notifications/cancelled',
    { requestId => 21 }));
sleep_for(0.5);
$n = $stream->messages;
sleep_for(2);
is(scalar $stream->messages, $n, 'a cancelled one has no more');

$stream->close;

# several within a second increase, too

$nginx  = start_nginx(stream => 'mcp_sse_progress 300ms;');
$stream = open_stream($nginx);
call($nginx, $stream, slow(1, '"often"', 1.6));

{
    my @values = map { $_->{data} =~ /"progress":([\d.]+)/ ? $1 : () }
        grep { !defined $_->{raw_id} } $stream->messages;

    cmp_ok(scalar @values, '>=', 2, 'every 300 ms: progress came');
    is_deeply([ grep { $values[$_] <= $values[$_ - 1] } 1 .. $#values ], [],
        'every 300 ms: it increases') or diag("@values");
}

$stream->close;

# off

$nginx  = start_nginx(stream => 'mcp_sse_progress off;');
$stream = open_stream($nginx);
call($nginx, $stream, slow(1, '"t"', 2));
is(scalar $stream->messages, 1, 'mcp_sse_progress off');
$stream->close;

# it needs nothing of the backend, and comes while the call waits for a place

$nginx  = start_nginx(stream => 'mcp_sse_progress 1s; mcp_sse_max_calls 1;');
$stream = open_stream($nginx);
post($nginx, $stream, slow(1, '"first"', 3));
post($nginx, $stream, slow(2, '"second"', 0));
ok($stream->wait_answer(2, 15), 'a call that waited');
ok((grep { ($_->{data} || '') =~ /"first"/ } $stream->messages),
    'progress of the running one');
$stream->close;

finish();
