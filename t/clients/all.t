# Clients that users have, side by side: the official TypeScript client v1 and
# v2, mcp-remote and the inspector, over both transports, during a reload, after
# a restart, and with two instances.  t/clients/node/real.mjs has the steps.
# docs/PROTOCOL.md 11.2, 14.3.

use strict;
use warnings;

use lib 't/lib';
use File::Temp ();
use IO::Select;
use MCPTest;
use MCPTest::HTTP;
use POSIX qw(WNOHANG _exit);
use Test::More;

my $root    = MCPTest::root();
my $modules = "$root/t/clients/node22/node_modules";

my ($node)   = grep { -f && -x } map { "$_/node" } split /:/, $ENV{PATH} || '';
my ($node22) = grep { -x } map { "$modules/node-linux-$_/bin/node" }
    qw(x64 arm64);

if (!$node || !$node22 || !-d "$root/t/clients/node/node_modules") {
    my $missing = !$node ? 'node'
        : 'package of npm (util/npm-ci t/clients/node t/clients/node22)';

    plan skip_all => "no $missing" unless $ENV{CI};
    fail("CI has to run the clients, but there is no $missing");
    done_testing();
    exit;
}

binmode(Test::More->builder->failure_output, ':utf8');

my $frappe = start_frappe();
my $alice  = MCPTest::credential('alice');
my $home   = File::Temp->newdir;
my $key    = File::Temp->new;
my @children;

MCPTest::secret($_) for $alice, (split /:/, $alice)[-1], 'alice-key:wrong';

print {$key} 'k' x 40, "\n";
close $key;


# Starts a script; returns a hash with its pid, output and state.

sub start {
    my ($label, $base, $with, @command) = @_;

    pipe my $in, my $to or die "pipe: $!\n";

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<&', $in or _exit(126);
        close $to;
        delete $ENV{NODE_USE_ENV_PROXY};

        %ENV = (%ENV,
            ALICE          => $alice,
            HANG_AFTER     => hang_after(),
            BASE           => $base,
            NODE22         => $node22,
            MCP_REMOTE     => "$modules/mcp-remote/dist/proxy.js",
            FRAPPE_CONTROL => 'http://127.0.0.1:' . $frappe->port
                              . '/_control',

            # where the clients keep data about servers

            HOME                  => "$home",
            MCP_REMOTE_CONFIG_DIR => "$home/$label",
        );

        exec $with, '--no-warnings', @command or _exit(127);
    }

    close $in;
    $to->autoflush(1);

    my $child = { label => $label, pid => $pid, out => $out, to => $to,
        text => '' };

    push @children, $child;

    return $child;
}


# Reports the tests of scripts.  When all scripts that still run wait for the
# same event, its function in $on ({ name => sub }) is called.

sub report {
    my ($on, @all) = @_;

    my %by    = map { fileno($_->{out}) => $_ } @all;
    my $ready = IO::Select->new(map { $_->{out} } @all);
    my $heard = now();

    # scripts may be slow; if none of them prints a line for long, they hang

    while ($ready->count && now() - $heard < hang_after()) {
        for my $out ($ready->can_read(1)) {
            my $child = $by{ fileno $out };

            $heard = now();

            if (!sysread $out, $child->{text}, 65536, length $child->{text}) {
                $ready->remove($out);
                $child->{done} = 1;
                next;
            }

            line($child, $1) while $child->{text} =~ s/\A(.*)\n//;
        }

        my @running = grep { !$_->{done} } @all;
        my ($event) = map { $_->{waits} || () } @running;

        if ($event && !grep { ($_->{waits} || '') ne $event } @running) {
            $on->{$event}->();

            for my $child (@running) {
                delete $child->{waits};
                print { $child->{to} } "\n";
            }
        }
    }

    stop($_) for @all;

    return;
}


sub line {
    my ($child, $text) = @_;

    my $line  = decode($text) || {};
    my $label = $child->{label};

    if (defined $line->{name}) {
        ok($line->{ok}, "$label: $line->{name}")
            or diag($line->{got} || 'nothing');

    } elsif (defined $line->{event}) {
        $child->{waits} = $line->{event};

    } elsif (defined $line->{secret}) {
        MCPTest::secret($line->{secret});

    } elsif ($line->{end}) {
        $child->{ended} = 1;

    } else {
        fail("$label: $text");
    }

    return;
}


# Waits for the end of a script, which follows its last line.

sub stop {
    my ($child, %opt) = @_;

    return unless $child->{pid};

    my $gone = run_until(sub {
        waitpid($child->{pid}, WNOHANG) == $child->{pid};
    }, $opt{now} ? 0 : hang_after());
    my $exit = $gone ? $? : 'none';

    if (!$gone) {
        kill KILL => $child->{pid};
        waitpid $child->{pid}, 0;
    }

    delete $child->{pid};
    return if $opt{now};

    ok($child->{ended} && $exit eq '0',
        "$child->{label}: the script ends with status 0")
        or diag("exit status $exit");

    return;
}


END {
    my $status = $?;

    stop($_, now => 1) for @children;

    $? = $status;
}


sub real {
    my ($kind, $base, $steps) = @_;

    # v1 runs on the installed Node; v2 and mcp-remote need one newer than 18

    return start($kind, $base, $kind =~ /\Av2/ ? $node22 : $node,
        "$root/t/clients/node/real.mjs", $kind, $steps);
}


sub base { return 'http://127.0.0.1:' . $_[0]->port }


my $settings = "mcp_sse_key $key; mcp_sse_progress 1s;"
    . ' mcp_sse_stream_after 500ms; mcp_sse_retry 300ms;'
    . ' mcp_sse_drain 1s;';

# the clients list, call, cancel and come back; nginx reloads, then restarts

{
    my $nginx = start_http(workers => 2, http => $settings);
    my @kinds = (qw(v1-http v1-sse v2-http v2-sse),
        map { "mcp-remote-$_" } qw(http-only sse-only http-first falls-back));

    my @old;

    my $restart = sub {
        my $stats = $frappe->stats;

        is($stats->{aborted}, scalar @kinds,
            'the calls that clients cancel are aborted, and no others');
        is_deeply([ map { $stats->{calls}{"sleep/$_-long"} } @kinds ],
            [ map { 1 } @kinds ], 'each long call runs once');

        ok($nginx->wait_gone(\@old), 'the old workers end after the reload');
        $nginx->restart;
    };

    # each client has a call that runs during the reload

    my $reload = sub {
        @old = $nginx->reload;
        $frappe->open_gate('reload');
    };

    report({ reload => $reload, restart => $restart },
        map { real($_, base($nginx), 'calls') } @kinds);

    report({}, start('inspector', base($nginx), $node22,
        "$root/t/clients/node22/inspector.mjs"));
}

# two instances without Redis behind a round-robin balancer

{
    my @two  = map { start_http(workers => 2, http => $settings) } 1, 2;
    my $list = join ' ', map { 'server 127.0.0.1:' . $_->port . ';' } @two;

    my $balancer = start_nginx(
        http => "upstream two { $list }\n"
            . 'log_format two "$request_method $uri $upstream_addr $status";',
        locations => 'location = /mcp { access_log logs/two.log two;
            proxy_pass http://two; proxy_http_version 1.1;
            proxy_set_header Connection ""; }');

    my @kinds = qw(v1-http v2-http mcp-remote-http-only);

    report({}, map { real($_, base($balancer), 'balanced') } @kinds);

    # mcp-remote also sends a GET without a session id, which is 405

    my %posts;
    my @refused;

    for (split /\n/, $balancer->log('two.log')) {
        my ($method, $uri, $to, $status) = split;

        $posts{$to}++ if $method eq 'POST';
        push @refused, $_ if $status >= 400 && "$method $status" ne 'GET 405';
    }

    is(scalar(grep { $_ > 20 } values %posts), 2,
        'the balancer sends POSTs to both instances')
        or diag(explain(\%posts));
    is_deeply(\@refused, [], 'neither instance refuses a request');
}

finish();
