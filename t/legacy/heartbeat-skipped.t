# A heartbeat is skipped after other output, and comes when the stream has been
# silent for its interval; an event is never skipped.  docs/PROTOCOL.md 3.7.
#
# The clock of nginx is moved: the interval, 8000 s, is longer than any test,
# and that of a stream is 7000 s to 8000 s.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use Test::More;

my $clock = MCPTest::Clock->new;
my $nginx = do {
    local $ENV{LD_PRELOAD} = $clock->path;
    start_nginx(stream => 'mcp_sse_keepalive 8000s;', settings => <<'EOT');
    mcp_sse_call  /_mcp/call;
    mcp_sse_user  /_mcp/user;
    mcp_sse_site  erp.example.com;
    mcp_sse_auth_cache    3h;
    mcp_sse_auth_stale    3h;
    mcp_sse_auth_recheck  10h;
EOT
};

my $silent = open_stream($nginx);
my $used   = open_stream($nginx);
my $event  = open_stream($nginx, path => '/mcp/sse?keepalive=event');

sub beats {
    my ($stream) = @_;

    return ($stream->{count}{comment} || 0) + ($stream->{count}{ping} || 0);
}

$clock->advance(6000);
ok(call($nginx, $_, request(1, 'ping')), 'a message is answered')
    for $used, $event;
is(beats($_), 0, 'no stream has had a heartbeat before its time')
    for $silent, $used, $event;

# 8000 s since the streams were opened, 2000 s since the messages

$clock->advance(2000);
ok(run_until(sub { beats($silent) && beats($event) }),
    'a silent stream has a heartbeat, and one with events');
ok(health($nginx), 'the worker has written all that was due');
is(beats($used), 0, 'none is sent after other output');
like(($event->of_type('ping'))[0]{text}, qr/"counter":1,/,
    'the event is the first one');

# 8000 s since the messages: 14000 s since the start, where intervals counted
# from the skipped heartbeat would not be over

$clock->advance(5999);
ok(run_until(sub { beats($used) == 1 }),
    'it is sent when the stream was silent for the interval');
like(($used->of_type('comment'))[0]{text}, qr/\A: ping 1 at /,
    'it is the first one');

$_->close for $silent, $used, $event;

finish();
