# /health says what calls and look-ups have found out of Frappe, the same at
# every worker, and asks nothing.  docs/PROTOCOL.md 9.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Preload;
use File::Temp ();
use Test::More;

# the clock of nginx is ahead by the seconds that a file has as its size

my $dir = File::Temp->newdir;

my $library = MCPTest::Preload->new(<<"END");
#define _GNU_SOURCE
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct stat      st;
    struct timespec  ts;

    if (syscall(SYS_clock_gettime, CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    if (stat("$dir/ahead", &st) == 0) {
        tv->tv_sec += st.st_size;
    }

    return 0;
}
END

my $ahead = 0;


sub clock_ahead {
    my ($seconds) = @_;

    open my $file, '>', "$dir/ahead.new" or die "ahead: $!\n";
    print {$file} 'x' x ($ahead += $seconds);
    close $file;
    rename "$dir/ahead.new", "$dir/ahead" or die "ahead: $!\n";

    return;
}


# What each worker tells: the same status and time, and the status of
# ?ready=NAME for some names.

sub tells {
    my ($nginx, $name, $status, %ready) = @_;

    my %since;

    for my $worker ($nginx->wait_workers) {
        my $conn = connect_worker($nginx, $worker);
        my $got  = $conn->get('/health')->json->{backend};

        is($got->{status}, $status, "$name: the status is $status");
        $since{ $got->{since} || 0 } = 1;

        is($conn->get("/health?ready=$_")->status, $ready{$_},
            "$name: ready=$_ is $ready{$_}") for sort keys %ready;
        $conn->close;
    }

    is(scalar keys %since, 1, "$name: every worker tells the same time");

    return (keys %since)[0];
}


my %good = (1 => 200, strict => 200, backend => 200);
my %bad  = (1 => 200, strict => 200, backend => 503);

my $mode = 'up';
my $http = \&MCPTest::Backend::http;

my $backend = start_backend(sub {
    my ($request) = @_;

    return \'close' if $mode eq 'down';

    return $http->(200, '{"message":"alice@example.com"}')
        if $request->{path} =~ /get_logged_user/;
    return $http->(417, '{"exc_type":"ValidationError"}')
        if $mode eq 'no method';
    return $http->(200, '{"message":"done"}');
});


sub start {
    local $ENV{LD_PRELOAD} = $library->path;

    return start_http(workers => 2, backend => $backend->port,
        http => 'mcp_sse_auth_cache 1h; mcp_sse_auth_wait 1s;');
}


my $list = request(1, 'tools/list', {});

# ---- Frappe comes, goes, and comes back

{
    my $nginx = start();
    my $begin = time;
    my $since;

    is(tells($nginx, 'before the first call', 'unknown', %good), 0,
        'before the first call: there is no time');

    $mode = 'down';
    is(http_post($nginx, $list)->status, 502,
        'the first look-up finds no Frappe');
    $since = tells($nginx, 'the first look-up has failed', 'failing', %bad);
    cmp_ok($since, '>=', $begin, 'the time is that of the failure');

    $mode = 'up';
    is(http_post($nginx, $list)->status, 200, 'Frappe is up: a call is served');
    $since = tells($nginx, 'a call was good', 'healthy', %good);

    $mode = 'down';
    is(error_of(http_post($nginx, $list)->body)->{code}, -32003,
        'Frappe is down: a call fails');
    is(tells($nginx, 'one call has failed', 'healthy', %good), $since,
        'one call has failed: the time stays');

    clock_ahead(31);
    http_post($nginx, $list);
    my $failing = tells($nginx, 'no call was good for 30 seconds', 'failing',
        %bad);
    cmp_ok($failing, '>=', $since, 'the time is that of the first failure');
    cmp_ok($failing, '<', time + $ahead - 20,
        'the time is not that of the last failure');

    clock_ahead(31);
    tells($nginx, 'no call for 30 seconds', 'failing', %good);

    $mode = 'up';
    http_post($nginx, $list);
    cmp_ok(tells($nginx, 'Frappe is back', 'healthy', %good), '>', $failing,
        'Frappe is back: the time is that of the first good call');
    is(scalar(() = $nginx->error_log =~ /\[alert\]/g), 0, 'no alert');
}

# ---- a wrong method: look-ups are good, calls are not

{
    my $nginx = start();

    $mode = 'no method';
    is(error_of(http_post($nginx, $list)->body)->{code}, -32603,
        'a wrong method: a call fails');
    tells($nginx, 'a wrong method', 'failing', %bad);
}

finish();
