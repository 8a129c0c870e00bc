package MCPTest::Nginx;

# An nginx of the test: its configuration, processes and logs.  Tests call
# start_nginx() of MCPTest, which calls start(); finish() stops it and looks at
# its error log.

use strict;
use warnings;

use Config ();
use File::Temp ();
use IO::Socket::INET;
use POSIX qw(WNOHANG _exit);
use Time::HiRes qw(sleep);

use MCPTest::Conn qw(now hang_after run_until);

my @all;


sub binary { return $ENV{TEST_NGINX_BINARY} || '/usr/sbin/nginx' }


# The modules to load; none if TEST_NGINX_LOAD_MODULES is set and empty: then
# nginx has the module built in (--add-module).

sub modules {
    my $modules = $ENV{TEST_NGINX_LOAD_MODULES};

    $modules = MCPTest::root() . '/build/ngx_http_mcp_sse_module.so'
        unless defined $modules;

    return split ' ', $modules;
}


# The variables of util/sanitize, for tests that replace the environment.

sub sanitizers {
    return map { defined $ENV{$_} ? ($_ => $ENV{$_}) : () }
        qw(ASAN_OPTIONS LSAN_OPTIONS);
}


# Lets glibc overwrite memory when it is taken and when it is freed, so that what
# is used before it has a value, or after its end, has the wrong one each time.
# A cache of free blocks would leave them as they are.

sub overwrite_memory {
    $ENV{GLIBC_TUNABLES} = 'glibc.malloc.perturb=165:glibc.malloc.tcache_count=0'
        unless defined $ENV{GLIBC_TUNABLES};

    return;
}


# A port that is not in use, below the range from which the kernel takes ports
# of outgoing connections.  Each port is returned once: its user may not have
# opened it yet.

my %given;

sub free_port {
    for (1 .. 200) {
        my $port = 12000 + int rand 19000;

        next if $given{$port};

        my $sock = IO::Socket::INET->new(Listen => 1, ReuseAddr => 1,
            LocalAddr => '127.0.0.1', LocalPort => $port) or next;

        close $sock;
        $given{$port} = 1;

        return $port;
    }

    die "no free port\n";
}


# Starts nginx.  Options, all of them optional:
#
#   workers        worker_processes (1); more than one use reuseport
#   backend        port of the backend (of the stand-in, started if it must be)
#   dialect        "new" (bare JSON-RPC, the default) or "old"
#   endpoint       instead: the path of an endpoint of the stand-in
#   main, events, http, server      further directives of that level
#   stream, message, health, metrics   further directives of these locations
#   call, user     further directives of the internal locations
#   settings       instead of the mcp_sse_ lines of the http level
#   locations      whole locations
#   redis          an MCPTest::Redis, an object of another class with url() and
#                  parameters() or directives(), or a URL: mcp_sse_redis and
#                  mcp_sse_key
#   redis_opt      further parameters of mcp_sse_redis; its two time-outs are 5s
#                  unless they are here
#   push           the same as "redis" for mcp_sse_events; the stand-in is told to
#                  push there, unless "backend" is given or it is no single server
#   push_opt       further parameters of mcp_sse_events, as redis_opt
#   key_file       of mcp_sse_key (redis: the same one for all instances)
#   config         instead of all this: the text, or a function of the object
#   single         true: master_process off
#   plain          true: a plain nginx, whose log may have session ids
#   log_level      of the error log (info)
#   allow          list of patterns of log lines that are allowed here
#   fails          true: nginx need not start

sub start {
    my ($class, %opt) = @_;

    my $self;

    for my $try (1 .. 5) {
        $self = bless {
            opt     => { %opt },
            workers => $opt{workers} || 1,
            dir     => File::Temp::tempdir('mcp-sse-XXXXXX', TMPDIR => 1,
                           CLEANUP => 0),
            port    => free_port(),
            allow   => [ @{ $opt{allow} || [] } ],
            owner   => $$,
        }, $class;

        push @all, $self;
        mkdir "$self->{dir}/$_" for qw(conf logs);

        $self->configure;
        return $self if $self->_run;

        last if $opt{fails}
            || $self->error_log !~ /Address already in use/;

        pop(@all)->clean;
    }

    return $self if $opt{fails};

    my @lines = split /\n/, $self->stderr . $self->error_log;

    Test::More::diag(join "\n", 'nginx does not start:',
        splice @lines, @lines > 20 ? -20 : 0);
    die "nginx does not start\n";
}


# A file for mcp_sse_key with one secret on each line; without arguments, the
# file that all instances of a test share.

my ($keys, $shared, $key_files);


sub key_file {
    my (@secrets) = @_;

    return $shared if !@secrets && $shared;

    $keys ||= File::Temp->newdir('mcp-keys-XXXXXX', TMPDIR => 1);

    my $file = "$keys/" . ++$key_files;

    $shared = $file unless @secrets;
    write_keys($file, @secrets ? @secrets : random_key());

    return $file;
}


sub random_key { return join '', map { sprintf '%02x', rand 256 } 1 .. 24 }


# Replaces the file, as an operator would.

sub write_keys {
    my ($file, @secrets) = @_;

    MCPTest::secret($_) for @secrets;

    open my $out, '>', "$file.new" or die "$file.new: $!\n";
    chmod 0600, "$file.new";
    print {$out} map { "$_\n" } @secrets;
    close $out or die "$file.new: $!\n";
    rename "$file.new", $file or die "$file: $!\n";

    return;
}


# A directive that names a Redis, and those that it needs.

sub _redis_directive {
    my ($name, $redis, $more) = @_;

    my $url = ref $redis ? $redis->url : $redis;
    my $parameters = join '', map { " $_" } grep { defined }
        ref $redis && $redis->can('parameters') ? $redis->parameters : (),
        $more;

    # long time-outs: a busy machine must not make Redis count as lost

    for my $word (qw(timeout connect_timeout)) {
        $parameters .= " $word=5s" if $parameters !~ /(?:\A| )$word=/;
    }

    return "    $name $url$parameters;\n";
}


sub _redis {
    my ($opt) = @_;

    my ($redis, $push) = @{$opt}{qw(redis push)};
    my $text = '';

    $text .= _redis_directive('mcp_sse_redis', $redis, $opt->{redis_opt})
        if defined $redis;
    $text .= _redis_directive('mcp_sse_events', $push, $opt->{push_opt})
        if defined $push;

    # those of TLS are shared

    my ($more) = grep { $_ ne '' } map { $_->directives }
        grep { ref && $_->can('directives') } $redis, $push;

    $text .= "    $more\n" if defined $more;

    my $file = defined $opt->{key_file} ? $opt->{key_file}
        : defined $redis ? key_file() : '';

    return $text . ($file eq '' ? '' : "    mcp_sse_key $file;\n");
}


# Lets the stand-in push to that Redis, if it can: not through sentinels, nor to
# a cluster.

sub _tell_frappe {
    my ($push) = @_;

    my $url = !ref $push ? $push
        : $push->isa('MCPTest::Redis') ? $push->url(unix => $push->{tls})
        : undef;

    MCPTest::frappe()->set(events => $url)
        if defined $url && $url =~ /\A(?:redis|unix):/;

    return;
}


# Writes nginx.conf; called again, with changed options.

sub configure {
    my ($self, %change) = @_;

    %{ $self->{opt} } = (%{ $self->{opt} }, %change);
    $self->{workers} = $change{workers} if $change{workers};

    my $config = $self->{opt}{config};
    my $text   = ref $config ? $config->($self)
               : defined $config ? $config : $self->template;

    open my $file, '>', "$self->{dir}/conf/nginx.conf"
        or die "nginx.conf: $!\n";
    print {$file} $text;
    close $file or die "nginx.conf: $!\n";

    return;
}


sub template {
    my ($self) = @_;

    my %opt  = %{ $self->{opt} };
    my $dir  = $self->{dir};
    my $text = '';

    for (qw(main events http server stream message health metrics call user
         locations))
    {
        $opt{$_} = '' unless defined $opt{$_};
    }

    my $load = join '', map { "load_module $_;\n" } modules();
    my $user = $> == 0 ? "user root;\n" : '';
    my $single = $opt{single} ? "master_process off;\n" : '';
    my $reuse = $self->{workers} > 1 ? ' reuseport' : '';
    my $backend = $opt{backend} || MCPTest::frappe()->port;
    my $level = $ENV{TEST_NGINX_LOG_LEVEL} || $opt{log_level} || 'info';

    my $method = ($opt{dialect} || 'new') eq 'old'
        ? 'frappe_assistant_core.api.assistant_api.handle_assistant_request'
        : 'frappe_assistant_core.api.fac_endpoint.handle_mcp';

    my $endpoint = $opt{endpoint} || "/api/method/$method";

    my $settings = defined $opt{settings} ? $opt{settings} : <<'EOT';
    mcp_sse_call  /_mcp/call;
    mcp_sse_user  /_mcp/user;
    mcp_sse_site  erp.example.com;
EOT

    my $redis = _redis(\%opt);

    _tell_frappe($opt{push}) if defined $opt{push} && !$opt{backend};

    my $temp = join '', map { "    ${_}_temp_path $dir/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);

    my $audit = join ',', map { qq("$_":"\$mcp_sse_$_") }
        qw(session user site method id tool result wait_ms);

    my $proxy = <<'EOT';
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_set_header Host $mcp_sse_site;
            proxy_buffering off;
            proxy_ignore_headers X-Accel-Redirect;
EOT

    my %inner = (
        stream  => "mcp_sse_stream; $opt{stream}",
        message => "mcp_sse_message; access_log $dir/logs/post.log audit; "
                   . $opt{message},
        health  => "mcp_sse_health; $opt{health}",
        metrics => "mcp_sse_metrics; $opt{metrics}",
    );

    my %path = (stream => '/mcp/sse', message => '/mcp/messages',
        health => '/health', metrics => '/metrics');

    my $locations = '';

    for my $name (qw(stream message health metrics)) {
        for my $path ($path{$name}, "$path{$name}/") {
            $locations .= "        location = $path { $inner{$name} }\n";
        }
    }

    return <<"EOT";
$load$user$single
worker_processes $self->{workers};
daemon off;
pid $dir/nginx.pid;
error_log $dir/logs/error.log $level;
worker_rlimit_nofile 8192;
$opt{main}

events {
    worker_connections 2048;
$opt{events}
}

http {
    log_format audit escape=json
        '{$audit,"time":"\$time_iso8601","address":"\$remote_addr",'
        '"status":"\$status","upstream_status":"\$upstream_status",'
        '"seconds":"\$request_time","bytes":"\$upstream_response_length",'
        '"traceparent":"\$http_traceparent"}';

    access_log off;
    keepalive_timeout 120s;
    keepalive_requests 10000;
    absolute_redirect off;
$temp
$settings
$redis$opt{http}

    upstream frappe {
        server 127.0.0.1:$backend;
        keepalive 16;
        keepalive_timeout 1s;
    }

    server {
        listen 127.0.0.1:$self->{port}$reuse;
        server_name erp.example.com;
        add_header X-Worker \$pid always;
$opt{server}

$locations
        location = /pid { return 200 \$pid; }

        location = /_mcp/call {
            internal;
            log_subrequest on;
            access_log $dir/logs/audit.log audit;
            proxy_pass http://frappe$endpoint;
$proxy
            proxy_read_timeout 600s;
$opt{call}
        }

        location = /_mcp/user {
            internal;
            proxy_pass http://frappe/api/method/frappe.auth.get_logged_user;
$proxy
$opt{user}
        }

$opt{locations}
    }
}
EOT
}


# Lets the kernel end nginx when the test is killed: PR_SET_PDEATHSIG with
# SIGTERM, where the number of prctl() is known.

sub _end_with_parent {
    my ($machine) = $Config::Config{archname} =~ /\A(x86_64|aarch64)-linux/
        or return;

    syscall($machine eq 'x86_64' ? 157 : 167, 1, 15, 0, 0, 0);

    return;
}


# Whether nginx has -e, as it does since 1.19.5.

my $has_e;


sub has_e {
    $has_e = `'@{[ binary() ]}' -h 2>&1` =~ / -e / unless defined $has_e;

    return $has_e;
}


sub _run {
    my ($self) = @_;

    my @log = has_e() ? ('-e', "$self->{dir}/logs/error.log") : ();
    my $pid = fork;
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDOUT, '>>', "$self->{dir}/logs/stderr";
        open STDERR, '>&', \*STDOUT;
        _end_with_parent();
        overwrite_memory();

        exec binary(), '-p', "$self->{dir}/", '-c',
            "$self->{dir}/conf/nginx.conf", @log or _exit(127);
    }

    $self->{pid} = $pid;

    my $end = now() + hang_after();

    while (now() < $end) {

        if (waitpid($pid, WNOHANG) == $pid) {
            $self->{exit} = $?;
            delete $self->{pid};
            return 0;
        }

        if (IO::Socket::INET->new(PeerAddr => '127.0.0.1',
            PeerPort => $self->{port}) && $self->worker_pids)
        {
            return 1;
        }

        sleep 0.02;
    }

    return 0;
}


# Runs nginx -t on a configuration; returns the exit status and the output.

sub check {
    my ($class, $config, @arg) = @_;

    my $pid = open my $out, '-|';
    die "fork: $!\n" unless defined $pid;

    if ($pid == 0) {
        open STDIN, '<', '/dev/null';
        open STDERR, '>&', \*STDOUT;
        overwrite_memory();
        exec binary(), '-t', '-c', $config, @arg or _exit(127);
    }

    my $text = do { local $/; <$out> };
    close $out;

    return ($? >> 8, $text);
}


sub port { return $_[0]{port} }
sub pid  { return $_[0]{pid} }
sub dir  { return $_[0]{dir} }


sub allow { my ($self, @patterns) = @_; push @{ $self->{allow} }, @patterns }


sub _slurp {
    my ($self, $name) = @_;

    open my $file, '<', "$self->{dir}/logs/$name" or return '';
    local $/;

    return scalar <$file>;
}


sub error_log { return $_[0]->_slurp('error.log') }
sub stderr    { return $_[0]->_slurp('stderr') }
sub log       { my ($self, $name) = @_; return $self->_slurp($name) }


# Waits until the error log matches; returns what matched.

sub wait_log {
    my ($self, $pattern, $timeout) = @_;

    my @found;

    run_until(sub { @found = $self->error_log =~ /($pattern)/m }, $timeout);

    return wantarray ? @found : $found[0];
}


# Waits until the audit log ("audit.log": calls, "post.log": POSTs) has $n
# lines; returns all lines, decoded.

sub audit {
    my ($self, $n, $name) = @_;

    my @lines;

    run_until(sub {
        @lines = split /\n/, $self->_slurp($name || 'audit.log');
        return @lines >= ($n || 0);
    });

    return map { MCPTest::JSON::decode($_) || { broken => $_ } } @lines;
}


# The pids of workers, without exiting ones unless
# asked for.

sub worker_pids {
    my ($self, %opt) = @_;

    return unless $self->{pid};
    return $self->{pid} if $self->{opt}{single};

    my @pids;

    for my $stat (glob '/proc/[0-9]*/stat') {
        open my $file, '<', $stat or next;
        my $line = <$file>;
        next unless defined $line;

        my ($pid, $state, $parent) = $line =~ /\A(\d+) \(.*\) (\S) (\d+)/;

        next unless defined $pid && $parent == $self->{pid} && $state ne 'Z';

        # under valgrind the kernel does not have the title of the process

        if ($ENV{MCP_SSE_VALGRIND}) {
            next if !$opt{exiting} && $self->error_log
                =~ /\b$pid#\d+: gracefully shutting down/;

        } elsif (open my $cmd, '<', "/proc/$pid/cmdline") {
            my $title = <$cmd>;
            next unless defined $title && $title =~ /worker process/;
            next if !$opt{exiting} && $title =~ /shutting down/;
        }

        push @pids, $pid;
    }

    @pids = sort { $a <=> $b } @pids;

    return @pids;
}


sub wait_workers {
    my ($self) = @_;

    run_until(sub { $self->worker_pids == $self->{workers} });

    return $self->worker_pids;
}


# Sends HUP and waits until new workers run and the old ones are exiting;
# returns the pids of the old ones.

sub reload {
    my ($self) = @_;

    my %old = map { $_ => 1 } $self->worker_pids;

    kill HUP => $self->{pid};

    run_until(sub {
        my @new = $self->worker_pids;
        return @new == $self->{workers} && !grep { $old{$_} } @new;
    }) or Test::More::diag('reload: no new workers');

    my @old = sort { $a <=> $b } keys %old;

    return @old;
}


sub wait_gone {
    my ($self, $pids, $timeout) = @_;

    return run_until(sub {
        my %alive = map { $_ => 1 } $self->worker_pids(exiting => 1);
        return !grep { $alive{$_} } @{$pids};
    }, $timeout);
}


sub kill_worker {
    my ($self, $pid, $signal) = @_;

    die "no worker $pid\n"
        unless grep { $_ == $pid } $self->worker_pids(exiting => 1);

    if (($signal || 'KILL') eq 'KILL') {
        $self->allow(qr/exited on signal 9/, qr/was locked by \Q$pid\E/,
            qr/worker process \Q$pid\E died while it changed/);
    }

    kill $signal || 'KILL', $pid;

    return;
}


sub alive { return $_[0]{pid} && waitpid($_[0]{pid}, WNOHANG) == 0 }


sub _wait_exit {
    my ($self, $timeout) = @_;

    return 1 unless $self->{pid};

    my $gone = run_until(sub {
        return waitpid($self->{pid}, WNOHANG) != 0;
    }, $timeout);

    delete $self->{pid} if $gone;

    return $gone;
}


# Ends nginx gracefully (QUIT); true if it ended within the time.

sub quit {
    my ($self, $timeout) = @_;

    return 1 unless $self->{pid};

    kill QUIT => $self->{pid};

    return $self->_wait_exit($timeout);
}


sub stop {
    my ($self) = @_;

    return 1 unless $self->{pid} && $self->{owner} == $$;

    # a worker that a test has stopped with SIGSTOP would stay

    kill CONT => $self->worker_pids(exiting => 1);
    kill TERM => $self->{pid};
    return 1 if $self->_wait_exit;

    my @workers = $self->worker_pids(exiting => 1);
    kill KILL => $self->{pid}, @workers;
    $self->_wait_exit(5);

    return 0;
}


# Kills nginx and starts it again on the same port.

sub restart {
    my ($self) = @_;

    $self->stop;

    return $self->_run || die "nginx does not start again\n";
}


# A log without the lines that only a sanitizer causes: the master kills a
# worker that needs more than 1.5 seconds to end, and on a busy machine the
# search for leaks takes longer.

sub log_text {
    my ($text) = @_;

    $text =~ s/^.*worker process \d+ exited on signal 9.*\n?//mg
        if $ENV{MCP_SSE_SANITIZE};

    return $text;
}


# The lines of the error log that must not be there.

sub log_faults {
    my ($self) = @_;

    my @faults;

    # there may be thousands of session ids, all of one length: use a hash

    my $length  = 50;
    my %ids     = map { $_ => 1 } grep { /\A[\w-]{$length}\z/ }
        MCPTest::secrets();
    my @secrets = grep { !$ids{$_} } MCPTest::secrets();

    LINE:
    for my $line (split /\n/, log_text($self->error_log . $self->stderr)) {

        # another test has looked whether the port is free; nginx tries again

        next if $line =~ /bind\(\)\ to\ \S+\ failed\ \(98:/x;

        # without privileges worker_rlimit_nofile cannot be raised

        next if $ENV{MCP_SSE_VALGRIND} && $line =~ /setrlimit\(/;

        if ($line =~ /\[(?:alert|crit|emerg)\]|open socket|AddressSanitizer
                      |runtime\ error:|stack\ smashing|double\ free/x)
        {
            for my $pattern (@{ $self->{allow} }) {
                next LINE if $line =~ $pattern;
            }

            push @faults, $line;
            next;
        }

        next if $line =~ /\[debug\]/ || $self->{opt}{plain};

        my @found = grep { index($line, $_) >= 0 } @secrets;

        while ($line =~ /(?=([\w-]{$length}))/g) {
            push @found, $1 if $ids{$1};
        }

        push @faults, "secret in the log: $line" if @found;
    }

    return @faults;
}


sub clean {
    my ($self) = @_;

    return if $self->{owner} != $$ || $self->{cleaned}++;

    if ($ENV{KEEP} && !Test::More->builder->is_passing) {
        Test::More::diag("kept: $self->{dir}");
        return;
    }

    require File::Path;
    File::Path::remove_tree($self->{dir}, { safe => 0 });

    return;
}


sub all { return @all }


1;
