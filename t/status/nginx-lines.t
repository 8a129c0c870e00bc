# nginx's own lines about a request that it refuses itself: none has the session
# id that is in the query.  docs/PROTOCOL.md 9.16.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

start_frappe();

# what nginx refuses in the location of messages, and the line that it writes

my %refused = (
    deny       => [ 403, 'deny all;', qr/access forbidden by rule/ ],
    auth_basic => [ 401, 'auth_basic x; auth_basic_user_file users;',
        qr/no user\/password was provided/ ],
    limit_req  => [ 503, 'limit_req zone=ids;', qr/limiting requests/ ],
    auth_request => [ 500, 'auth_request /broken;',
        qr/auth request unexpected status/ ],
    limit_except => [ 403, 'limit_except GET { deny all; }',
        qr/access forbidden by rule/ ],
);

# a module that nginx may be built without

my $binary = MCPTest::Nginx::binary();

delete $refused{auth_request}
    if `$binary -V 2>&1` !~ /http_auth_request_module/;

my $locations = join '', map {
    "        location = /$_ { mcp_sse_message; $refused{$_}[1] }\n"
} sort keys %refused;

my $nginx = start_nginx(
    http      => 'limit_req_zone $arg_session_id zone=ids:1m rate=1r/m;',
    locations => "$locations location = /broken { return 418; }\n",
);

my $stream = open_stream($nginx);
my $other  = open_stream($nginx);
my $ping   = request(1, 'ping');

sub status {
    my ($name, $session) = @_;

    return post($nginx, undef, $ping,
        path => "/$name?a=b&session_id=$session&c=d")->status;
}

is(status('limit_req', $stream->session), 202,
    'the first message of a session is below the limit');
is(status('limit_req', $other->session), 202,
    'and that of another session, so the id is the key');

for my $name (sort keys %refused) {
    my ($status, undef, $line) = @{ $refused{$name} };

    is(status($name, $stream->session), $status, "$name refuses a message");
    $nginx->wait_log($line);
    like($nginx->error_log, qr{$line.*request: "POST /$name HTTP/1\.1"},
        "$name: the line has the request without its query");
}

my $log = $nginx->error_log;

for my $session ($stream->session, $other->session) {
    is(index($log, $session), -1, 'no line has the session id');
}

finish();
