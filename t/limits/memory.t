# The memory of workers does not grow with messages or streams: thousands of
# calls over one stream, and hundreds of streams that come and go.
# docs/PROTOCOL.md 6, 12.14.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $nginx   = start_nginx(workers => 2);
my $stream  = open_stream($nginx);
my $owner   = $stream->header('X-Worker');
my ($other) = grep { $_ != $owner } $nginx->wait_workers;

my %conn = map { $_ => connect_worker($nginx, $_) } $owner, $other;
my $id   = 0;

# a sanitizer keeps freed memory: no limit then

my $unbound = $ENV{MCP_SSE_SANITIZE} ? 9 ** 9 : 0;


sub rss {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/status" or return 0;

    my ($kb) = join('', <$file>) =~ /^VmRSS:\s+(\d+)/m;

    return $kb;
}


# $n calls posted at each worker, ten at a time.

sub calls {
    my ($n) = @_;

    for (1 .. $n / 10) {
        my @responses;

        for my $pid ($owner, $other) {
            for (1 .. 10) {
                $id++;
                push @responses, post($nginx, $stream, $id % 3
                    ? tool($id, 'echo', { text => 'x' x 200 })
                    : request($id, 'ping'), conn => $conn{$pid}, async => 1);
            }
        }

        run_until(sub { !grep { !$_->ended } @responses }) or return 0;

        my $last = $id;

        run_until(sub {
            return !grep { !$stream->{answers}{$_} } $last - 19 .. $last;
        }) or return 0;

        # free what the test itself keeps

        $stream->{$_} = [] for qw(events messages reads);
        $stream->{answers} = {};
        $stream->{raw} = '';
    }

    return 1;
}


ok(calls(300), '600 calls are answered');

my %before = map { $_ => rss($_) } $owner, $other;

ok(calls(1500), '3000 further calls are answered');

for my $pid ($owner, $other) {
    my $grown = rss($pid) - $before{$pid};

    cmp_ok($grown, '<', $unbound || 2000,
        'a worker grows by less than 1 kB per call')
        or diag("$grown kB");
}

is(health($nginx)->{pending_requests}, 0,
    'no request is pending after 3600 calls');
ok(!$stream->ended, 'the stream stays open');

# streams that come and go

sub streams {
    for (1 .. $_[0]) {
        my @streams = open_streams($nginx, 20);

        call($nginx, $streams[0], request(1, 'ping'));
        $_->close for @streams;
        run_until(sub { health($nginx)->{active_connections} == 1 });
    }
}

streams(5);
%before = map { $_ => rss($_) } $owner, $other;
streams(25);

for my $pid ($owner, $other) {
    my $grown = rss($pid) - $before{$pid};

    cmp_ok($grown, '<', $unbound || 1500,
        'a worker grows by less than 3 kB per stream')
        or diag("$grown kB");
}

$_->close for $stream, values %conn;

finish();
