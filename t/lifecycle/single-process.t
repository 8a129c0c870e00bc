# "master_process off": a reload goes on in the same process.  A configuration
# that the process could not go on with is refused, and the old one stays.
# docs/PROTOCOL.md 12.16.  A reload that is not refused is not tested: nginx
# itself accepts no connection after it ("worker_connections are not enough").

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use Test::More;

my $bob     = 'token bob-key:bob-secret';
my $refused = qr/\[emerg\] .*while "master_process" is off, a reload cannot/;


# The same configuration with other lines in http {}, or without endpoints.

sub config {
    my ($self, %opt) = @_;

    local $self->{opt}{http} = $opt{http} || '';
    my $text = $self->template;

    $text =~ s{mcp_sse_(?:stream|message|health|metrics);}{}g;
    $text =~ s{mcp_sse_(?:call|user)  .*;}{}g;

    return $text;
}


# Sends HUP and waits until the log has one more refusal.

sub reload {
    my ($nginx) = @_;

    my $before = () = $nginx->error_log =~ /$refused/g;

    kill HUP => $nginx->pid;

    return run_until(sub {
        my $n = () = $nginx->error_log =~ /$refused/g;
        return $n > $before || !$nginx->alive;
    }) && $nginx->alive;
}


sub refused {
    my ($nginx, $stream, $name, %change) = @_;

    $nginx->configure(%change);

    ok(reload($nginx), "$name: refused");

    # the timer of each second runs after it

    my $before = time;
    run_until(sub { time > $before + 1 });

    ok(call($nginx, $stream, request(1, 'ping')),
        "$name: the open stream goes on");
    $stream->forget(1);

    # looked up and called at Frappe, through nginx's filters

    ok(call($nginx, open_stream($nginx, auth => $bob), tool(2, 'echo', {}),
        auth => $bob), "$name: another user is served");

    return;
}


my $nginx  = start_nginx(single => 1, allow => [ $refused ]);
my $stream = open_stream($nginx);

ok(call($nginx, $stream, request(1, 'ping')), 'a ping is answered');
$stream->forget(1);

refused($nginx, $stream, 'no endpoint', config => \&config);
refused($nginx, $stream, 'another size of the zone', config => undef,
    http => 'mcp_sse_zone zone=mcp_sse:9m;');
refused($nginx, $stream, 'another name of the zone', config => undef,
    http => 'mcp_sse_zone zone=other:8m;');

ok(call($nginx, open_stream($nginx), request(1, 'ping')),
    'a new stream is served');

# the first endpoint

my $other = start_nginx(single => 1, config => \&config,
    allow => [ $refused ]);

$other->configure(config => undef);
ok(reload($other), 'the first endpoint: refused');
is(get($other, '/pid')->status, 200, 'nginx without endpoints goes on');

finish();
