# The module's own progress notifications for calls with a progressToken: from 0
# by a millionth, so that they tell nothing of how far a call is.
# docs/PROTOCOL.md 5.9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $frappe = start_frappe();
my $nginx  = start_nginx(stream => 'mcp_sse_progress 1s;');
my $stream = open_stream($nginx);


# A call that ends when its gate opens; without a gate it ends at once.

sub held {
    my ($id, $token, $gate) = @_;

    my $tool = defined $gate ? qq("hold","arguments":{"gate":"$gate"})
        : '"echo","arguments":{}';

    return qq({"jsonrpc":"2.0","id":$id,"method":"tools/call","params":)
        . qq({"name":$tool)
        . (defined $token ? qq(,"_meta":{"progressToken":$token}) : '')
        . '}}';
}


# The progress that has come, as token => [ value, time ], ...

sub progress {
    my ($from) = @_;

    my %seen;

    for my $event ($from->messages) {
        next if defined $event->{raw_id};

        my ($members) = members($event->{data});
        my ($params)  = members($members->{params} || '{}');

        push @{ $seen{ $params->{progressToken} // 'none' } },
            [ $params->{progress}, $event->{time} ];
    }

    return \%seen;
}


# The first n values.

sub steps {
    my ($n) = @_;

    return ('0', map { sprintf '0.%06d', $_ } 1 .. $n - 1)[0 .. $n - 1];
}


# Waits until each of these tokens has n notifications.

sub wait_progress {
    my ($from, $n, @tokens) = @_;

    return run_until(sub {
        my $seen = progress($from);
        return !grep { @{ $seen->{$_} || [] } < $n } @tokens;
    });
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

my @good = @token{1, 2, 3, 4, 10};

for my $id (sort { $a <=> $b } keys %token) {
    accepted(post($nginx, $stream, held($id, $token{$id}, 'all')),
        "call $id is accepted");
}

ok(wait_progress($stream, 2, @good),
    'each call with a valid token gets progress');
$frappe->open_gate('all');
ok($stream->wait_answer($_), "call $_ is answered") for keys %token;

# while a later call gets progress, none comes for these

post($nginx, $stream, held(11, '"after"', 'after'));
ok(wait_progress($stream, 2, '"after"'), 'a later call gets progress');
$frappe->open_gate('after');
$stream->wait_answer(11);

my %seen = %{ progress($stream) };

for my $event (grep { !defined $_->{raw_id} } $stream->messages) {
    my ($members) = members($event->{data});

    is($members->{method}, '"notifications/progress"',
        'a message without id is notifications/progress');
    is($members->{jsonrpc}, '"2.0"', 'notifications/progress is JSON-RPC 2.0');
}

for my $id (1, 2, 3, 4, 10) {
    my @beats = @{ $seen{ $token{$id} } || [] };

    is_deeply([ map { $_->[0] } @beats ], [ steps(scalar @beats) ],
        "token $token{$id}: progress begins with 0, and rises by a millionth");

    my $answer = $stream->{answers}{$id}[0]{time};

    is(scalar(grep { $_->[1] > $answer } @beats), 0,
        "token $token{$id}: no progress comes after the answer");
}

is(scalar keys %seen, 6,
    'a call gets no progress if its token is no string and no integer');

# a quick call has none; on a slow machine it may have one a second

{
    my $from = now();

    call($nginx, $stream, held(20, '"quick"'));

    my $seconds = int(now() - $from);

    cmp_ok(scalar @{ progress($stream)->{'"quick"'} || [] }, '<=', $seconds,
        'a quick call has no progress');
}

# a call that is cancelled gets no more progress

post($nginx, $stream, held(21, '"gone"', 'never'));
ok(wait_progress($stream, 1, '"gone"'),
    'a call gets progress before it is cancelled');
post($nginx, $stream, notification('notifications/cancelled',
    { requestId => 21 }));
ok(passed($nginx, $stream), 'a ping after the cancellation is answered');

{
    my $n = @{ progress($stream)->{'"gone"'} };

    post($nginx, $stream, held(22, '"then"', 'then'));
    ok(wait_progress($stream, 2, '"then"'),
        'a call after the cancelled one gets progress');
    is(scalar @{ progress($stream)->{'"gone"'} }, $n,
        'a cancelled call gets no more progress');
    $frappe->open_gate('then');
}

$stream->close;

# an interval of less than a second

$nginx  = start_nginx(stream => 'mcp_sse_progress 300ms;');
$stream = open_stream($nginx);
post($nginx, $stream, held(1, '"often"', 'often'));
ok(wait_progress($stream, 4, '"often"'),
    'mcp_sse_progress 300ms: progress comes');
$frappe->open_gate('often');
ok($stream->wait_answer(1), 'mcp_sse_progress 300ms: the call is answered');

{
    my @values = map { $_->[0] } @{ progress($stream)->{'"often"'} };

    is_deeply(\@values, [ steps(scalar @values) ],
        'mcp_sse_progress 300ms: progress rises by a millionth, too');
}

$stream->close;

# mcp_sse_progress off

$nginx  = start_nginx(stream => 'mcp_sse_progress off;');
$stream = open_stream($nginx);
call($nginx, $stream, tool(1, 'sleep', { seconds => 2 },
    _meta => { progressToken => 't' }));
is(scalar $stream->messages, 1, 'mcp_sse_progress off: only the answer comes');
$stream->close;

# progress comes while another call waits because of mcp_sse_max_calls

$nginx  = start_nginx(stream => 'mcp_sse_progress 1s; mcp_sse_max_calls 1;');
$stream = open_stream($nginx);
post($nginx, $stream, held(1, '"first"', 'first'));
post($nginx, $stream, held(2, '"second"'));
ok(wait_progress($stream, 1, '"first"'),
    'a call gets progress while another one waits');
ok(!$stream->answers(2), 'the call that waits is not answered yet');
$frappe->open_gate('first');
ok($stream->wait_answer(2), 'the call that waited is answered');
$stream->close;

finish();
