# The heartbeat of a stream, as a comment and as an event.  docs/PROTOCOL.md 3.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $nginx = start_nginx(locations => <<'EOT');
        location = /event/sse {
            mcp_sse_keepalive 1s event;
            mcp_sse_stream;
        }

        location = /comment/sse {
            mcp_sse_keepalive 1s comment;
            mcp_sse_stream;
        }

        location = /plain/sse {
            mcp_sse_keepalive 1s;
            mcp_sse_stream;
        }

        location = /off/sse {
            mcp_sse_keepalive off;
            mcp_sse_stream;
        }

        location = /long/sse { mcp_sse_stream; }
EOT

my %stream = map { $_ => open_stream($nginx, path => "/$_/sse") }
    qw(event comment plain off long);

$stream{asked} = open_stream($nginx, path => '/plain/sse?keepalive=event');
$stream{other} = open_stream($nginx, path => '/plain/sse?keepalive=x');

my $open = keys %stream;

# the first heartbeats may be older than the last stream and count less

my %early = map { $_ => $stream{$_}{count}{ping} || 0 } qw(event asked);

ok(run_until(sub {
    return !grep { ($stream{$_}{count}{comment} || 0) < 3 }
        qw(comment plain other);
}), 'streams with comments get heartbeats');

ok(run_until(sub {
    return !grep { ($stream{$_}{count}{ping} || 0) < $early{$_} + 3 }
        keys %early;
}), 'streams with events get heartbeats');

for my $name (qw(comment plain other)) {
    my @beats = $stream{$name}->of_type('comment');
    my @bad   = grep { $beats[$_ - 1]{text}
        !~ /\A: ping $_ at \d{10,}(?:\.\d+)?\n\n\z/ } 1 .. @beats;

    is_deeply(\@bad, [],
        "$name: each heartbeat is \": ping <n> at <time>\", n from 1")
        or diag(explain([ map { $_->{text} } @beats ]));

    my ($at) = $beats[0]{text} =~ / at (\d+)/;

    cmp_ok(abs(time - ($at || 0)), '<', 30,
        "$name: the time is in Unix seconds");
    is($stream{$name}{count}{ping}, undef, "$name: no heartbeat is an event");
}

for my $name (qw(event asked)) {
    my @beats = $stream{$name}->of_type('ping');
    my @bad;

    for my $n (1 .. @beats) {
        my $streams = $n > $early{$name} + 1 ? $open : qr/[1-9]/;

        push @bad, $beats[$n - 1]{text} unless $beats[$n - 1]{text} =~
            /\Aevent: ping\ndata: \{"type":"ping","timestamp":\d{10,},"counter":$n,"active_connections":$streams\}\n\n\z/;
    }

    is_deeply(\@bad, [],
        "$name: each heartbeat is a ping event, counter from 1");
    is($stream{$name}{count}{comment}, undef,
        "$name: no heartbeat is a comment");
}

is(scalar $stream{off}->events, 1,
    'mcp_sse_keepalive off: there is no heartbeat');
is(scalar $stream{long}->events, 1,
    'the default interval is longer than this test');

# a heartbeat may be seen late, but is not sent before its time

my @times = map { $_->{time} - $stream{comment}{sent} }
    $stream{comment}->of_type('comment');

is_deeply([ grep { $times[$_ - 1] < 0.87 * $_ } 1 .. @times ], [],
    'heartbeats are not sent before their time') or diag("@times");

# a call between two heartbeats

ok(call($nginx, $stream{plain}, request(1, 'ping')),
    'a call on a stream with heartbeats is answered');

my $n = $stream{plain}{count}{comment};

ok(run_until(sub { $stream{plain}{count}{comment} > $n }),
    'the heartbeat goes on after a call');

$_->close for values %stream;

finish();
