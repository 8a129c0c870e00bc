# Connections to Redis that are killed or reset, and replies of Redis that are
# lost or late, while clients post to two instances: every message with a 202
# is answered once.  docs/PROTOCOL.md 11.3, 11.7.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my $proxy  = MCPTest::Proxy->new(port => $redis->port);
my @nginx  = map { start_nginx(redis => $redis->url(port => $proxy->port),
    http => 'mcp_sse_grace 10s;') } 1, 2;

ok(wait_ready(@nginx), 'two instances reach Redis through a proxy');

my $load = MCPTest::Load->new(instances => \@nginx, frappe => $frappe,
    rate => 60);

# A worker connects again after its connection was killed, and sends again
# within mcp_sse_grace what was on its way: clients notice nothing.

for my $name (qw(mcp-sse-cmd mcp-sse-sub)) {
    $load->fault(
        name  => "$name connections are killed",
        begin => sub {
            for (1 .. 3) {
                ok(run_until(sub {
                    2 == grep { $_->{name} eq $name } $redis->clients;
                }), "$name: each worker has a connection");
                is($redis->kill_clients(name => $name), 2,
                    "$name: Redis kills both connections");
            }
        },
    );
}

# all connections are reset at the same time

$load->fault(
    name    => 'connections are reset',
    seconds => 3,
    begin   => sub {
        for (1 .. 3) {
            ok(run_until(sub { $proxy->pairs == 4 }),
                'each worker has two connections to Redis');
            $proxy->cut(reset => 1);
        }
    },
);

# Redis runs the commands, but the replies are lost: what is sent again runs
# once

$load->fault(
    name    => 'replies are lost',
    seconds => 3,
    begin   => sub {
        my $published = 0;

        # begin when a message, which has 100 bytes or more, is published

        $proxy->filter(sub {
            my ($way, $bytes) = @_;

            if ($way eq 'up' && $bytes =~ /PUBLISH\r\n.*\n\$\d{3,}\r\n/s) {
                $proxy->lose('down');
                $published++;
            }

            return $bytes;
        });

        run_until(sub { $published });
        sleep_for(0.4);
        $proxy->filter(undef);
        $proxy->cut(reset => 1);
        $proxy->resume;
    },
);

# Acknowledgements, which are small, are lost: the owner recognizes what is
# sent again.

sub large_only {
    my ($way, $bytes) = @_;

    return $bytes if $way ne 'down';

    my $push = qr/\*3\r\n\$7\r\nmessage\r\n\$\d+\r\n[^\r]*\r\n\$(\d+)\r\n/;
    my $rest = '';

    while ($bytes =~ /\A(.*?)($push)/s) {
        my ($before, $head, $length) = ($1, $2, $3);
        my $whole = length($head) + $length + 2;

        $rest .= $before;
        substr $bytes, 0, length $before, '';
        $rest .= substr $bytes, 0, $whole if $length > 200;
        substr $bytes, 0, $whole > length $bytes ? length $bytes : $whole, '';
    }

    return $rest . $bytes;
}


sub resent {
    my $n = 0;

    $n += metrics($_)->{nginx_mcp_sse_redis_resent_total} for @nginx;

    return $n;
}


$load->fault(
    name    => 'acknowledgements are lost',
    seconds => 3,
    begin   => sub {
        my $before = resent();

        $proxy->filter(\&large_only);
        run_until(sub { resent() > $before + 5 });
        $proxy->filter(undef);
    },
);

# replies are late: a message is sent twice

$load->fault(
    name    => 'replies are late',
    seconds => 3,
    begin   => sub { $proxy->delay(down => 0.8) },
    end     => sub { $proxy->delay(down => 0) },
);

# no connection of those above is left

ok(run_until(sub {
    my %n;

    $n{ $_->{name} }++ for $redis->clients;
    return ($n{'mcp-sse-cmd'} || 0) == 2 && ($n{'mcp-sse-sub'} || 0) == 2
        && keys %n == 2;
}), 'after all faults each worker has two connections to Redis')
    or diag(explain([ map { $_->{name} } $redis->clients ]));

$load->close;
$_->stop for @nginx;
finish();
