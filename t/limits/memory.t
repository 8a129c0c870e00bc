# Memory does not grow with messages: thousands of calls over one stream.
# docs/PROTOCOL.md 6.

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

# what a sanitizer keeps is no measure

my $unbound = $ENV{MCP_SSE_SANITIZE} ? 9 ** 9 : 0;


sub rss {
    my ($pid) = @_;

    open my $file, '<', "/proc/$pid/status" or return 0;

    my ($kb) = join('', <$file>) =~ /^VmRSS:\s+(\d+)/m;

    return $kb;
}


# So many calls from each worker, a few at a time.

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

        # what the test itself keeps

        $stream->{$_} = [] for qw(events messages reads);
        $stream->{answers} = {};
        $stream->{raw} = '';
    }

    return 1;
}


ok(calls(300), 'some calls to warm up');

my %before = map { $_ => rss($_) } $owner, $other;

ok(calls(1500), '3000 calls more');

for my $pid ($owner, $other) {
    my $grown = rss($pid) - $before{$pid};

    cmp_ok($grown, '<', $unbound || 2000,
        'a worker has not grown by 1 kB per call')
        or diag("$grown kB");
}

is(health($nginx)->{pending_requests}, 0, 'nothing is pending');
ok(!$stream->ended, 'the stream is open');

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
        'a worker has not grown by 3 kB per stream')
        or diag("$grown kB");
}

$_->close for $stream, values %conn;

finish();
