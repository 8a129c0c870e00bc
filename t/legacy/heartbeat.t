# The heartbeat of an open stream, in both forms.  docs/PROTOCOL.md 3.

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

# the first ones may be older than the last stream

my %early = map { $_ => $stream{$_}{count}{ping} || 0 } qw(event asked);

ok(run_until(sub {
    return !grep { ($stream{$_}{count}{comment} || 0) < 3 }
        qw(comment plain other);
}), 'comments come');

ok(run_until(sub {
    return !grep { ($stream{$_}{count}{ping} || 0) < $early{$_} + 3 }
        keys %early;
}), 'events come');

for my $name (qw(comment plain other)) {
    my @beats = $stream{$name}->of_type('comment');
    my @bad   = grep { $beats[$_ - 1]{text}
        !~ /\A: ping $_ at \d{10,}(?:\.\d+)?\n\n\z/ } 1 .. @beats;

    is_deeply(\@bad, [], "$name: form and numbers from 1")
        or diag(explain([ map { $_->{text} } @beats ]));

    my ($at) = $beats[0]{text} =~ / at (\d+)/;

    cmp_ok(abs(time - ($at || 0)), '<', 30, "$name: the time in seconds");
    is($stream{$name}{count}{ping}, undef, "$name: no events");
}

for my $name (qw(event asked)) {
    my @beats = $stream{$name}->of_type('ping');
    my @bad;

    for my $n (1 .. @beats) {
        my $streams = $n > $early{$name} + 1 ? $open : qr/[1-9]/;

        push @bad, $beats[$n - 1]{text} unless $beats[$n - 1]{text} =~
            /\Aevent: ping\ndata: \{"type":"ping","timestamp":\d{10,},"counter":$n,"active_connections":$streams\}\n\n\z/;
    }

    is_deeply(\@bad, [], "$name: form, numbers from 1, open streams");
    is($stream{$name}{count}{comment}, undef, "$name: no comments");
}

is(scalar $stream{off}->events, 1, 'off: none');
is(scalar $stream{long}->events, 1, 'the default is longer');

# intervals: however late it is seen, none comes before its time

my @times = map { $_->{time} - $stream{comment}{sent} }
    $stream{comment}->of_type('comment');

is_deeply([ grep { $times[$_ - 1] < 0.9 * $_ } 1 .. @times ], [],
    'not more often than asked') or diag("@times");

# the argument wins over the setting only with this value; a call in between
# does not disturb

ok(call($nginx, $stream{plain}, request(1, 'ping')), 'calls work');

my $n = $stream{plain}{count}{comment};

ok(run_until(sub { $stream{plain}{count}{comment} > $n }),
    'and the heartbeat goes on');

$_->close for values %stream;

finish();
