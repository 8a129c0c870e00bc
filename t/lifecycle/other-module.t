# A reload with another file of the module, as after an upgrade: with the same
# layout of the zone the old and the new workers use one zone, with another one
# the reload is refused.  docs/PROTOCOL.md 12.15; docs/history.md.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use File::Temp ();
use Test::More;

my ($module) = grep { m{/ngx_http_mcp_sse_module\.so\z} }
    MCPTest::Nginx::modules();

plan skip_all => 'the module is built in' unless $module;

my $dir = File::Temp->newdir;
my $so  = do {
    open my $file, '<:raw', $module or die "$module: $!\n";
    local $/;
    <$file>;
};

chmod 0755, "$dir";


# A copy of the module, and a configuration that loads it.

sub copy {
    my ($nginx, $name, $bytes) = @_;

    open my $file, '>:raw', "$dir/$name.so" or die "$name.so: $!\n";
    print {$file} $bytes;
    close $file or die "$name.so: $!\n";

    my $text = $nginx->template;

    $text =~ s{^load_module \S+;}{load_module $dir/$name.so;}m;
    $nginx->configure(config => $text);

    return;
}


my $frappe = start_frappe();
my $nginx  = start_http(allow => [ qr/made by another version/ ]);
my $stream = open_stream($nginx);
my $ended  = session_id($nginx);

is(http_delete($nginx, $ended)->status, 204, 'a session is ended');
post($nginx, $stream, tool(1, 'hold', { gate => 'upgrade' }));
ok(run_until(sub { $frappe->tool_count('hold') == 1 }), 'a call runs');

# another layout: NGX_MCP_ZONE_MAGIC is "MCP" and a number, a word in the code

my ($number) = do {
    open my $file, '<', MCPTest::root() . '/src/shm/ngx_mcp_zone.h'
        or die "ngx_mcp_zone.h: $!\n";
    map { /NGX_MCP_ZONE_MAGIC  0x4d4350(\w\w)/ ? $1 : () } <$file>;
};

(my $other = $so) =~ s/\Q@{[ chr hex $number ]}\EPCM/\x01PCM/g;

isnt($other, $so, 'a copy of the module has another layout');
copy($nginx, 'other', $other);

my @workers = $nginx->worker_pids;

kill HUP => $nginx->pid;
ok($nginx->wait_log(qr/\[emerg\].*zone "mcp_sse" was made by another version of/),
    'a reload with another layout is refused');
is_deeply([ $nginx->worker_pids ], \@workers, 'the old workers go on');
ok(passed($nginx, $stream), 'and their streams');

# the same layout

copy($nginx, 'same', $so);
$nginx->reload;

is(http_post($nginx, request(1, 'ping'), session => $ended)->status, 404,
    'after a reload with the same layout an ended id is ended');
accepted(post($nginx, $stream, request(2, 'ping')),
    'a message for a stream of the old worker is accepted at the new one');
ok($stream->wait_answer(2), 'and answered by the old one');

$frappe->open_gate('upgrade');
ok($stream->wait_answer(1), 'the call is answered');
ok($stream->wait_ended, 'the stream ends');

my $again = open_stream($nginx, headers => [ 'Last-Event-ID',
    $stream->session ]);

is($again->session, $stream->session, 'the new worker knows its session');
$_->close for $stream, $again;

finish();
