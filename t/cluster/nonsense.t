# Replies of Redis, or of something between Redis and nginx, that are malformed,
# and its errors while it is loading, busy or part of a cluster: no worker dies,
# sessions of the instance go on, and all recovers without a restart.
# docs/PROTOCOL.md 11.9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Load;
use Test::More;

MCPTest::Redis::need();

my $frappe = start_frappe();
my $redis  = start_redis();
my @proxy  = map { MCPTest::Proxy->new(port => $redis->port) } 0, 1;
my @all    = map { start_nginx(redis => 'redis://127.0.0.1:' . $_->port,
    redis_opt => 'timeout=1s connect_timeout=1s',
    http => 'mcp_sse_grace 1s;') } @proxy;

ok(wait_ready(@all), 'two instances reach Redis through proxies');

my @workers = map { $_->wait_workers } @all;
my $load    = MCPTest::Load->new(instances => \@all, rate => 60,
    sessions => 2, frappe => $frappe);

my $message = "*3\r\n\$7\r\nmessage\r\n\$1\r\nx\r\n\$1\r\ny\r\n";
my $quit    = "*3\r\n\$11\r\nunsubscribe\r\n\$7\r\nmcp:all\r\n:0\r\n";

# sent instead of each reply, or behind it

my @cases = (
    [ 'loading', "-LOADING Redis is loading the dataset in memory\r\n" ],
    [ 'busy', "-BUSY Redis is busy running a script.\r\n" ],
    [ 'moved', "-MOVED 3999 127.0.0.1:6381\r\n" ],
    [ 'full', "-ERR max number of clients reached\r\n" ],
    [ 'HTTP', "HTTP/1.1 400 Bad Request\r\n\r\n" ],
    [ 'numbers', ":1\r\n" ],
    [ 'no strings', "\$-1\r\n" ],
    [ 'no arrays', "*-1\r\n" ],
    [ 'empty arrays', "*0\r\n" ],
    [ 'arrays of one', "*1\r\n\$1\r\na\r\n" ],
    [ 'arrays of numbers', "*3\r\n:1\r\n:2\r\n:3\r\n" ],
    [ 'messages', $message ],
    [ 'a string without end', "\$2000000000\r\nabc" ],
    [ 'an array without end', "*1000000000\r\n" ],
    [ 'halves', sub { substr $_[0], 0, length($_[0]) / 2 } ],
    [ 'everything twice', sub { $_[0] . $_[0] } ],
    [ 'status behind it', sub { "$_[0]+OK\r\n" } ],
    [ 'a message behind it', sub { $_[0] . $message } ],
    [ 'the end of a subscription', sub { $_[0] . $quit } ],
    [ 'a message that is none', sub { $_[0] =~ s/\$7\r\nmessage/:7/r } ],
);


# A command that is answered in place of Redis does not reach Redis: an error
# means that nothing was done.

my %hits;


sub filter {
    my ($proxy, $bad) = @_;

    $hits{$proxy} = 0;

    return sub {
        my ($way, $bytes, $number) = @_;

        $hits{$proxy}++;
        return $way eq 'up' ? $bytes : $bad->($bytes) if ref $bad;

        my ($pair)   = grep { $_->{number} == $number } $proxy->pairs;
        my $commands = () = $bytes =~ /(?:\A|\n)\*\d+\r\n/g;

        $pair->{up}->_put($bad x $commands) if $way eq 'up';

        return '';
    };
}


# two cases at a time, one at each instance

while (my @two = splice @cases, 0, 2) {
    my $name = join ', ', map { $_->[0] } @two;
    my $from = now();

    $proxy[$_]->filter(filter($proxy[$_], $two[$_][1])) for 0, 1;
    $load->start;
    run_until(sub { !grep { $hits{$_} < 10 } @proxy });
    $load->more(20);
    $load->stop;
    $_->filter(undef) for @proxy;

    # a reply that is doubled is taken for the reply to the next PUBLISH, which
    # seems to have had no receiver

    if ($name =~ /twice/) {
        $_->{misled} = 1 for $load->sent($from, now());
    }

    ok(wait_ready(@all), "$name: then the instances are ready again");
    is_deeply([ map { $_->worker_pids } @all ], \@workers,
        "$name: no worker dies")
        or @workers = map { $_->wait_workers } @all;
    is_deeply([ keys %{ $load->statuses($load->sent($from, now(), 'own')) } ],
        [ 202 ], "$name: messages for own sessions are accepted");
}

# for a moment a reply may still be taken for that to another command

ok(run_until(sub { $load->well }),
    'every message for every instance is accepted in the end');
$load->history->ok('each accepted call is answered once, what was refused '
    . 'does not run');
is(scalar(grep { $_->ended } $load->streams), 0, 'no stream ends');

my @lines = map { grep { /\] .*mcp sse: redis/ } split /\n/, $_->error_log }
    @all;

cmp_ok(scalar @lines, '<', $load->history->posts / 4,
    'the log has far fewer lines about Redis than there are messages');
$load->close;

finish();
