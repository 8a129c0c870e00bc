#!/usr/bin/perl

# bench/run: all its measurements run, and what it writes has a figure in each
# row.  The figures themselves are those of a machine that is busy with other
# tests: none is judged here.  bench/handover calls start_redis of bench/lib.sh.

use strict;
use warnings;

use File::Temp qw(tempdir);
use FindBin;
use JSON::PP qw(decode_json);
use Test::More;

plan(skip_all => 'with a sanitizer nothing is measured')
    if $ENV{MCP_SSE_SANITIZE} || $ENV{MCP_SSE_VALGRIND};

my $root = "$FindBin::Bin/../..";
my $dir = tempdir(CLEANUP => 1);
my $build = $ENV{BUILD} || "$root/build";

sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or return '';
    local $/ = undef;
    return scalar <$file>;
}

is(system("make -s -C $root load > $dir/make 2>&1"), 0, 'build/load is built')
    or diag slurp("$dir/make");

$ENV{BENCH_QUICK} = 1;
$ENV{BENCH_RESULTS} = $dir;
$ENV{BENCH_NAME} = 'quick';
$ENV{LOAD} = "$build/load";
$ENV{MODULE} = $ENV{TEST_NGINX_LOAD_MODULES} if $ENV{TEST_NGINX_LOAD_MODULES};
$ENV{NGINX} = $ENV{TEST_NGINX_BINARY} if $ENV{TEST_NGINX_BINARY};

is(system("$root/bench/run > $dir/out 2>&1"), 0, 'everything is measured')
    or diag slurp("$dir/out");

my $result = eval { decode_json(slurp("$dir/quick.json")) } || {};
my %row = map { $_->{key} => $_ } @{ $result->{rows} || [] };

for my $key (qw(
    cpu_legacy cpu_mcp cpu_mcp_1k cpu_legacy_tls cpu_mcp_tls
    cpu_legacy_64k cpu_mcp_64k cpu_legacy_1m cpu_mcp_1m
    peak_legacy_1m peak_mcp_1m wait_legacy wait_mcp
    latency_p50_legacy latency_p50_mcp latency_p99_legacy latency_p99_mcp
    storm_seconds storm_cpu handover_workers_p99 handover_redis_p99
    idle idle_tls heartbeats_share heartbeats_burst
)) {
    my $row = $row{$key} || {};

    like(join(' ', map { defined $_ ? $_ : '-' }
        @{ $row->{result} || {} }{qw(median min max)}),
        qr/^ -?[\d.e-]+ \  -?[\d.e-]+ \  -?[\d.e-]+ $/x, "$key has a result");

    ok(@{ $row->{values} || [] } && !(grep { $_ == 0 } @{ $row->{values} }),
        "$key: no value is 0") if $key =~ /^(?:cpu|peak|latency|storm)_/;
}

my $table = slurp("$dir/quick.md");

is(() = $table =~ /^\| \S.* \|$/mg, 1 + keys %row,
    'the table has a head and a line for each row');
like($table, qr/^Module:\ gcc\ [\d.]+\ `-g/mx, 'it has the flags of the build');

is(system("python3 -c 'import sys, xml.dom.minidom as m; m.parse(sys.argv[1])'"
    . " $dir/quick.svg"), 0, 'the picture is well-formed');

done_testing();
