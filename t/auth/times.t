# The times of look-ups, to the second, by a clock that the test moves: how long
# results are kept, when a request gives up or asks again, when an open stream is
# checked, how often the log tells.  docs/PROTOCOL.md 2.8 to 2.13, 2.16, 2.18.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Clock;
use MCPTest::HTTP;
use Test::More;

my $clock  = MCPTest::Clock->new;
my $ping   = request(1, 'ping');
my ($answer, $held, %asked) = ([ 200, '{"message":"alice@example.com"}' ], 0);

my $good    = $answer;
my $refused = [ 401, '{}' ];
my $down    = [ 500, '{}' ];


# A backend whose answer to a look-up is $answer; while $held is true it does
# not come.

my $backend = start_backend(sub {
    my ($request) = @_;

    return if $request->{path} !~ /get_logged_user/;

    my ($key) = ($request->{headers}{authorization} || '') =~ /\Atoken (\S+):/;

    $asked{$key}++;

    return $held ? \'hang' : MCPTest::Backend::http(@$answer);
});

my $nginx = do {
    local $ENV{LD_PRELOAD} = $clock->path;

    start_http(backend => $backend->port, http => <<'EOT');
    mcp_sse_auth_cache    300s;
    mcp_sse_auth_stale    600s;
    mcp_sse_auth_recheck  100s;
    mcp_sse_auth_wait     20s;
    mcp_sse_keepalive     1h;
    proxy_read_timeout    1h;
EOT
};


sub as { return (auth => "token $_[0]:secret-of-it") }

sub posted { return http_post($nginx, $ping, as($_[0])) }


# Look-ups for a key that the code makes.

sub look_ups {
    my ($key, $code) = @_;

    my $before = $asked{$key} || 0;

    $code->();

    return ($asked{$key} || 0) - $before;
}


# Moves the clock, and waits until the worker has handled what is due then.

sub later {
    my ($seconds) = @_;

    $clock->advance($seconds);
    sleep_for(0.7);
    get($nginx, '/health');

    return;
}


# What is due comes soon: the clock must not reach twice its time meanwhile.

use constant SOON => 8;

sub asked { my ($key, $n) = @_;
    return run_until(sub { ($asked{$key} || 0) >= $n }, SOON) }

sub soon { my ($answer) = @_;
    return run_until(sub { $answer->ended }, SOON) }


# ---- a result is used for mcp_sse_auth_cache, a refusal for 5 seconds

is(look_ups('kept', sub { posted('kept') }), 1, 'a user is looked up');
later(297);
is(look_ups('kept', sub { posted('kept') }), 0, 'and not after 297 seconds');
later(6);
is(look_ups('kept', sub { posted('kept') }), 1, 'but after 303');

$answer = $refused;
posted('bad');
later(2);
is(look_ups('bad', sub { posted('bad') }), 0,
    'a refusal is kept for 2 seconds');
later(4);
is(look_ups('bad', sub { posted('bad') }), 1, 'and not for 6');

# ---- mcp_sse_auth_stale, while Frappe is unreachable

$answer = $good;
posted('stale');
$answer = $down;
later(590);
is(posted('stale')->status, 200, 'after 590 seconds a stale result is used');
later(20);
is(posted('stale')->status, 502, 'after 610 it is not');
is(posted('never')->status, 502, 'a key without a result has none');

$answer = $refused;
posted('turned');
$answer = $down;
later(10);
is(posted('turned')->status, 502, 'a refusal is never stale');

# ---- a GET waits for mcp_sse_auth_wait, and asks each second

{
    my $get = http_get_async('waits');

    ok(asked('waits', 1), 'a GET is looked up');

    for my $n (2 .. 4) {
        $clock->advance(1);
        ok(asked('waits', $n), "and again a second later: $n");
    }

    sleep_for(0.3);
    cmp_ok($asked{waits}, '<=', 5, 'not more often');
    later(10);
    ok(!$get->ended, 'after 13 seconds it waits');
    $clock->advance(10);
    soon($get);
    is($get->status, 502, 'after 20 it does not');
    $get->{conn}->close;
}

{
    my $get = http_get_async('served');

    asked('served', 1);
    later(5);
    $answer = $good;
    $clock->advance(2);
    ok(run_until(sub { $get->status }), 'a GET is answered once Frappe is back');
    is($get->status, 200, 'by a stream');
    $get->{conn}->close;
}

# with Retry-After as long as that says

{
    $answer = [ 503, '{}', 'Retry-After', 8 ];

    my $get = http_get_async('retry');

    asked('retry', 1);
    $answer = $good;
    later(5);
    is($asked{retry}, 1, 'with Retry-After: 8 it does not ask after 5 seconds');
    $clock->advance(4);
    ok(asked('retry', 2), 'but after 9');
    run_until(sub { $get->status });
    is($get->status, 200, 'and is answered');
    $get->{conn}->close;

    for my $case ([ 19, 0 ], [ 21, 1 ]) {
        my ($value, $ended) = @$case;

        $answer = [ 503, '{}', 'Retry-After', $value ];

        my $get = http_get_async("later-$value");

        asked("later-$value", 1);
        sleep_for(0.3);
        get($nginx, '/health');
        is($get->ended ? 1 : 0, $ended, "Retry-After: $value, of 20 seconds: "
            . ($ended ? 'it is refused at once' : 'it waits'));
        $get->{conn}->close;
    }
}

# another 4xx of Frappe is final

{
    $answer = [ 404, '{}' ];

    my $get = http_get_async('final');

    $get->wait;
    is($get->status, 502, 'a GET does not wait after 404 of Frappe');
    is($asked{final}, 1, 'which is asked once');
    $get->{conn}->close;
}

# ---- a look-up has 10 seconds

{
    $held = 1;

    my $post = http_post($nginx, $ping, as('slow'), async => 1);

    asked('slow', 1);
    later(7);
    ok(!$post->ended, 'a look-up may take 7 seconds');
    $clock->advance(4);
    soon($post);
    is($post->status, 504, 'with 11 it is 504');
    $post->{conn}->close;
    $held = 0;
}

# with a stale result a request waits for one

{
    $answer = $good;
    posted('quick');
    later(310);
    $held = 1;

    my $post = http_post($nginx, $ping, as('quick'), async => 1);

    asked('quick', 2);
    $clock->advance(1);
    $post->wait;
    is($post->status, 200, 'a request with a stale result waits a second');
    $post->{conn}->close;
    $held = 0;
    $clock->advance(11);
}

# ---- an open stream is checked every mcp_sse_auth_recheck, give or take a
# quarter

{
    $answer = $good;

    my $stream = open_stream($nginx, as('open'));
    my $n      = $asked{open};

    later(70);
    is($asked{open}, $n, 'after 70 of 100 seconds no stream is checked');
    $clock->advance(60);
    ok(asked('open', $n + 1), 'after 130 it was');
    later(70);
    is($asked{open}, $n + 1, 'after 70 more not again');
    $answer = $down;
    $clock->advance(60);
    ok(asked('open', $n + 2), 'after 130 more it was');
    later(1);
    ok(!$stream->ended, 'it stays while Frappe is unreachable');
    $answer = $refused;
    $clock->advance(130);
    ok(run_until(sub { $stream->ended }, SOON), 'it ends when Frappe refuses the credential');
    $stream->close;
}

# ---- the log tells of the same failure once a minute

{
    my $lines = sub { scalar(() = $nginx->error_log =~ /user look-up at/g) };

    $answer = $good;
    posted('log-1');
    $answer = $down;

    my $before = $lines->();

    posted('log-2');
    is($lines->() - $before, 1, 'the log tells of a failed look-up');
    later(55);
    posted('log-3');
    is($lines->() - $before, 1, 'not again after 55 seconds');
    later(10);
    posted('log-4');
    is($lines->() - $before, 2, 'but after 65');
    $answer = $good;
    posted('log-5');
    $answer = $down;
    posted('log-6');
    is($lines->() - $before, 3, 'and after one that was good');
}


sub http_get_async {
    my ($key) = @_;

    return http($nginx, 'GET', path => '/mcp/sse', accept =>
        'text/event-stream', as($key), async => 1);
}

finish();
