# README.md, CONTRIBUTING.md and docs: every block of code is run, or a line
# <!-- not run by a test: ... --> above it says why not.  Links of all documents
# lead to a file or a heading that exists.  docs/PROTOCOL.md 13.9.

use strict;
use warnings;

use File::Temp ();

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Sentinel;
use Test::More;

my $root = MCPTest::root();
my $dir  = File::Temp->newdir;

mkdir "$dir/$_" for qw(bin logs modules cwd run);

MCPTest::secret('alice-secret');

# the documents by their path; those whose blocks are run come first

my @tried = ('README.md', 'CONTRIBUTING.md',
    map { s{\A\Q$root\E/}{}r } sort glob "$root/docs/*.md");
my %lines = map { $_ => [ lines($_) ] } @tried, 'SECURITY.md',
    'bench/README.md', 'fuzz/README.md', 't/README.md';


sub lines {
    my ($path) = @_;

    open my $file, '<', "$root/$path" or die "$path: $!\n";
    my @lines = <$file>;
    close $file;

    return @lines;
}


# sections whose blocks another test runs

my %elsewhere = (
    "docs/installation.md: In bench's nginx"        => 't/config/contrib.t',
    'docs/installation.md: As a service of its own' => 't/config/contrib.t',
    'docs/installation.md: With bench start'        => 't/config/contrib.t',
    'docs/installation.md: With Docker'             => 'make image-test',
);


# The blocks of a document: place, kind ("" where indented), text, and excuse.

sub blocks {
    my ($path) = @_;

    my (@found, $block, $fence, $excuse, $elsewhere);
    my @lines = @{ $lines{$path} };

    for my $i (0 .. $#lines) {
        local $_ = $lines[$i];

        $elsewhere = $elsewhere{"$path: $1"} if !$fence && /\A##+ (.*)$/;
        $excuse = "run by $elsewhere" if $elsewhere;

        if ($fence) {
            $fence = 0, next if /\A```/;
            $block->{text} .= $_;

        } elsif (/\A```(\w*)/) {
            $fence = 1;
            push @found, $block = { at => "$path:" . ($i + 1), kind => $1,
                text => '', excuse => $excuse };
            $excuse = undef;

        } elsif (/\A<!-- not run by a test: (\S.*) -->/) {
            $excuse = $1;

        } elsif (/\A {4}(.*\n)/) {
            my $text = $1;

            if ($i && ($lines[$i - 1] =~ /\A\s*\z/ || $excuse)
                && !($block && $block->{next} && $block->{next} == $i))
            {
                push @found, $block = { at => "$path:" . ($i + 1),
                    kind => '', text => '', excuse => $excuse };
                $excuse = undef;
            }

            $block->{text} .= $text;
            $block->{next} = $i + 1;

        } elsif (/\A\s*\z/ && $block && $block->{next}
            && $block->{next} == $i)
        {
            $block->{text} .= "\n";
            $block->{next} = $i + 1;
        }
    }

    return @found;
}


# ---- nginx for the blocks: the complete configuration of docs/installation.md,
# with ports of this test

my @blocks     = map { blocks($_) } @tried;
my ($synopsis) = grep { $_->{kind} eq 'nginx' && $_->{text} =~ /load_module/ }
    @blocks;
my $frappe = frappe();
my $port   = MCPTest::Nginx::free_port();


sub here {
    my ($text) = @_;

    my $load = join '', map { "load_module $_;\n" } MCPTest::Nginx::modules();
    my $temp = join '', map { "    ${_}_temp_path $dir/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);

    $text =~ s/^load_module .*\n/$load/m;
    $text =~ s/127\.0\.0\.1:8000/'127.0.0.1:' . $frappe->port/ge;
    $text =~ s/listen 80;/listen 127.0.0.1:$port;/;
    $text =~ s/^http \{\n/http {\n$temp    access_log off;\n/m;

    return $text;
}

ok($synopsis, 'the documents have a complete configuration')
    or BAIL_OUT('no configuration');

my $nginx = start_nginx(config => sub {
    my ($self) = @_;

    $self->{port} = $port;

    return ($> == 0 ? "user root;\n" : '') . "daemon off;\npid $self->{dir}"
        . "/nginx.pid;\nerror_log $self->{dir}/logs/error.log info;\n"
        . here($synopsis->{text});
});

# without root the limit of descriptors may be lower

unlike($nginx->error_log =~ s/.*exceed open file resource limit.*\n//r,
    qr/\[(?:warn|emerg)\]/, 'the complete configuration has no warning');


# The text with the addresses and users of this test.

sub ours {
    my ($text) = @_;

    $text =~ s{https://erp\.example\.com}{http://127.0.0.1:$port}g;
    $text =~ s{http://127\.0\.0\.1:8080}{http://127.0.0.1:$port}g;
    $text =~ s{127\.0\.0\.1:8000}{'127.0.0.1:' . $frappe->port}ge;
    $text =~ s/API_KEY:API_SECRET/alice-key:alice-secret/g;

    return $text;
}


sub write_file {
    my ($name, $text, $mode) = @_;

    open my $out, '>', "$dir/$name" or die "$name: $!\n";
    print {$out} $text;
    close $out;
    chmod $mode || 0600, "$dir/$name";

    return "$dir/$name";
}


# Runs a script with sh; returns its status and what it printed.

sub sh {
    my ($script, %env) = @_;

    my $name = write_file('script', $script);

    local %ENV = (PATH => "$dir/bin:$ENV{PATH}", HOME => "$dir",
        MCPTest::Nginx::sanitizers(), %env);
    my $text = qx(cd $dir/cwd && timeout 90 sh $name 2>&1 < /dev/null);

    return ($? >> 8, $text);
}

# Runs a command that does not end until it has printed the first event, for 60
# seconds at most.

sub first_event {
    my ($command) = @_;

    my (undef, $said) = sh("$command > out 2>&1 & p=\$!\n"
        . "for i in \$(seq 600); do\n"
        . "    grep -q '^event: endpoint' out && break\n    sleep 0.1\ndone\n"
        . "kill \$p\ncat out\n");

    return $said;
}


sub has { my ($name) = @_; return !system "command -v $name > /dev/null 2>&1" }


# ---- kinds of blocks

# A whole nginx.conf, or lines that nginx -t accepts at one of the levels.

sub try_nginx {
    my ($block) = @_;

    my $text = $block->{text};
    my $key  = write_file('key', 'k' x 40 . "\n");
    my $all  = '';

    my $auth = write_file('auth', "mcp:a-long-password\n");

    $text =~ s{/etc/nginx/mcp_sse\.key}{$key};
    $text =~ s{/etc/nginx/sentinel\.auth}{$auth};

    my $begin = "load_module x;\nerror_log $dir/logs/error.log;\n"
        . "pid $dir/nginx.pid;\n";
    my $use = 'server { listen 80; mcp_sse_call /c; mcp_sse_user /c;'
        . ' location /c { internal; } location = /mcp { mcp_sse_http; }';
    my $events = 'events { }';

    for my $conf ($text =~ /load_module/ ? ($text . "pid $dir/nginx.pid;\n"
            . "error_log $dir/logs/error.log;\n")
        : ("$begin$text\nhttp {\n$use } }\n",
            "$begin$events\nhttp {\n$text\n$use } }\n",
            "$begin$events\nhttp {\n$use $text } }\n",
            "$begin$events\nhttp {\n$use } $text }\n"))
    {
        my ($status, $said) = MCPTest::Nginx->check(
            write_file('nginx.conf', here($conf)), '-p', "$dir/");

        return pass("$block->{at}: nginx -t accepts the block")
            if $status == 0 && $said !~ /\[emerg\]/;

        $all .= $said;
    }

    diag($all);

    return fail("$block->{at}: nginx -t accepts the block");
}


# A configuration of a client: its URL and header are tried.  npx is replaced by
# a script that prints its arguments; t/clients/all.t runs mcp-remote itself.

sub try_client {
    my ($block) = @_;

    my $json = decode(ours($block->{text}));
    my ($server) = ref $json eq 'HASH'
        ? values %{ $json->{mcpServers} || $json->{mcp} } : ();

    return fail("$block->{at}: the block is JSON") unless $server;

    my ($url, $auth) = ($server->{url}, ($server->{headers} || {})
        ->{Authorization});
    my %env = (FRAPPE_KEY => 'alice-key:alice-secret',
        %{ $server->{env} || {} });

    if ($server->{command}) {
        write_file('bin/npx', "#!/bin/sh\nfor a; do echo \"\$a\"; done\n",
            0700);
        $env{API_KEY}    = 'alice-key' if $env{API_KEY};
        $env{API_SECRET} = 'alice-secret' if $env{API_SECRET};

        my $command = join ' ', map { my $a = $_; $a =~ s/'/'\\''/g; "'$a'" }
            $server->{command}, @{ $server->{args} };
        my ($status, $said) = sh("$command\n", %env);

        is($status, 0, "$block->{at}: the command succeeds");
        like($said, qr/^-y\nmcp-remote\n/,
            "$block->{at}: the command runs mcp-remote");

        ($url)  = $said =~ m{^(http\S+)$}m;
        ($auth) = $said =~ m{^--header\nAuthorization:(.*)$}m;
    }

    $auth =~ s/(?:\$\{(?:env:)?|\{env:)(\w+)\}/$env{$1}/g if defined $auth;

    return try_server("$block->{at}", $url, $auth);
}


# Sends a request to this URL with this Authorization.

sub try_server {
    my ($name, $url, $auth) = @_;

    is($auth, 'token alice-key:alice-secret', "$name: the header is right");

    my ($path) = ($url || '') =~ m{\Ahttp://127\.0\.0\.1:$port(/.*)};

    return fail("$name: the URL is right") unless $path;

    if ($path eq '/mcp/sse') {
        my $stream = open_stream($nginx, path => $path, auth => $auth);

        is($stream->status, 200, "$name: a stream opens");
        $stream->close;
        return;
    }

    return is(http_post($nginx, request(1, 'tools/list'), path => $path,
        auth => $auth)->status, 200, "$name: a POST is 200");
}


# A configuration of Codex.

sub try_toml {
    my ($block) = @_;

    my $text   = ours($block->{text});
    my ($url)  = $text =~ /^url = "([^"]*)"$/m;
    my ($auth) = $text =~ /^http_headers = \{ Authorization = "([^"]*)" \}$/m;

    like($text, qr/\A\[mcp_servers\.\w+\]\n/,
        "$block->{at}: the block is TOML");

    return try_server("$block->{at}", $url, $auth);
}


# "claude mcp add" and "gemini mcp add".  Arguments are read as claude 2.1 does:
# all words after --header, up to the next option, are headers.

sub try_mcp_add {
    my ($name, $command) = @_;

    write_file("bin/$_", "#!/bin/sh\nfor a; do echo \"\$a\"; done\n", 0700)
        for qw(claude gemini);

    my ($status, $said) = sh(ours($command) . "\n");
    my ($mcp, $add, @words) = split /\n/, $said;
    my (%option, @rest, $of);

    is("$mcp $add", 'mcp add', "$name: the command is mcp add");

    for my $word (@words) {
        if ($word =~ /\A--(\w+)\z/) {
            $of = $1;

        } elsif (defined $of) {
            push @{ $option{$of} }, $word;
            $of = undef unless $of eq 'header';

        } else {
            push @rest, $word;
        }
    }

    my ($server, $url) = @rest;

    is(scalar @rest, 2, "$name: the command has a name and an address")
        or return diag("@rest");

    my ($auth) = "@{ $option{header} || [] }" =~ /\AAuthorization: (.*)/;

    is("@{ $option{transport} || [] }", $url =~ /sse\z/ ? 'sse' : 'http',
        "$name: the transport fits the address");

    return try_server($name, $url, $auth);
}


# Lines of sh: make, curl, the launcher, its variables.

sub try_commands {
    my ($block) = @_;

    my $text = $block->{text};

    $text =~ s/\\\n\s*//g;

    for my $command (grep { /\S/ } split /\n/, $text) {
        my $name = "$block->{at}: " . substr $command, 0, 60;

        $command =~ s/\s+#.*//;

        if ($command =~ /\A(?:\w+=\S+ )*make\b/) {
            my ($status, $said) = sh("cd $root && $command -n\n");

            is($status, 0, $name) or diag($said);

        } elsif ($command =~ /\Acurl\b/) {
            SKIP: {
                skip 'no curl', 1 unless has('curl');

                my $stream = $command =~ / -N /;
                my $open   = $command =~ /SESSION_ID/ && open_stream($nginx);

                $command =~ s/SESSION_ID/$open->session/e if $open;

                my $curl = ours($command) . " -sS --noproxy '*'";
                my $said = $stream ? first_event($curl)
                    : (sh("$curl --max-time 60\n"))[1];

                ok($said =~ ($stream ? qr/^event: endpoint$/m
                    : $open ? qr/"status":"accepted"/
                    : $command =~ /health/ ? qr/"status":"healthy"/
                    : qr/"result":|"message":"alice\@example\.com"/), $name)
                    or diag($said);
                like($open->wait_answer(1), qr/"result":/,
                    "$name: the stream has its answer") if $open;
            }

        } elsif ($command =~ /\Afrappe-sse-bridge (--version)\z/) {
            my ($status, $said) = sh("$root/util/mcp-sse-bridge $1\n");

            ok($status == 0 && $said =~ /\Afrappe-sse-bridge \d/, $name)
                or diag($said);

        } elsif ($command =~ /\A(?:claude|gemini) mcp add /) {
            try_mcp_add($name, $command);

        } elsif ($command =~ /\bfrappe-sse-bridge\z|\A[A-Z]\w+=\S+\z/) {
            my ($vars) = $command =~ /\A(.*?)(?: frappe-sse-bridge)?\z/;
            my ($status, $said) = sh("FRAPPE_URL=http://127.0.0.1:8000 $vars"
                . " $root/util/mcp-sse-bridge --print-config\n");

            is($status, 0, $name) or diag($said);
            $said =~ /\Q$_\E/ or fail("$name: $_")
                for map { s/.*=(?:http:\/\/)?//r } split ' ', $vars;

        } elsif ($command =~ m{\A(?:bench|util|t)/\S+\z}) {
            ok(-x "$root/$command", $name);

        } elsif ($command =~ m{\AGET (/\S+)\z}) {
            is(get($nginx, $1)->status, 200, $name);

        } elsif ($command =~ /\A\{/) {
            my ($health, $said) = (health($nginx), decode($command));

            is(join(' ', sort keys %{$said}), join(' ', sort keys %{$health}),
                $name);

        } elsif ($command =~ /\AACL SETUSER /) {
            SKIP: {
                skip 'no redis-server', 1 unless MCPTest::Redis::binary();

                # a sentinel knows other commands

                my $redis = $command =~ /\+sentinel\|/
                    ? MCPTest::Sentinel::Process->start : start_redis();

                is($redis->cmd(split ' ', $command), 'OK', $name);
            }

        } else {
            fail("$name: the test knows this command");
        }
    }

    return;
}


sub try_script {
    my ($block) = @_;

    SKIP: {
        skip 'no node', 1 unless has('node');

        write_file('cwd/script.mjs', ours($block->{text}));

        like(first_event('node script.mjs'), qr/^event: endpoint$/m,
            "$block->{at}: the script prints the first event");
    }

    return;
}


# Python is compiled, and what it calls of contrib/frappe/mcp_push.py is there.

sub try_python {
    my ($block) = @_;

    SKIP: {
        skip 'no python3', 1 unless has('python3');

        write_file('cwd/block.py', $block->{text});

        my ($status, $said) = sh("python3 -c 'compile("
            . "open(\"block.py\").read(), \"block.py\", \"exec\")'\n");

        is($status, 0, "$block->{at}: it can be compiled") or diag($said);
    }

    open my $file, '<', "$root/contrib/frappe/mcp_push.py" or die "$!\n";
    my %there = map { $_ => 1 } join('', <$file>) =~ /^def (\w+)/mg;

    ok($there{$_}, "$block->{at}: mcp_push.$_()")
        for $block->{text} =~ /\bmcp_push\.(\w+)\(/g;

    return;
}


# A drawing: its kind is known, each "subgraph" has its "end", and brackets are
# closed.

sub try_drawing {
    my ($block) = @_;

    my $text   = $block->{text};
    my $begins = () = $text =~ /^\s*(?:subgraph|alt|opt|loop|par|rect|box|critical|break|state .*\{)/mg;
    my $ends   = () = $text =~ /^\s*(?:end|\})$/mg;

    like($text, qr/\A\s*(?:flowchart|sequenceDiagram|stateDiagram)/,
        "$block->{at}: the drawing has a known kind");
    is($ends, $begins, "$block->{at}: each block of the drawing is closed");

    for my $line (grep { !/\A\s*sequence/ && /[\[(]/ } split /\n/, $text) {
        my $bare = $line =~ s/"[^"]*"//gr;

        is(($bare =~ tr/[({//), ($bare =~ tr/])}//),
            "$block->{at}: brackets are closed in $line")
            unless $bare =~ /\A\s*Note/;
    }

    return;
}


# A block that is not run: its targets of make and its files must exist.

sub try_names {
    my ($block) = @_;

    for my $line (split /\n/, $block->{text}) {

        if ($line =~ /\A(make\b[^#]*)/) {
            my ($status, $said) = sh("cd $root && $1 -n\n");

            is($status, 0, "$block->{at}: $1") or diag($said);
        }

        ok(-e "$root/contrib/$1", "$block->{at}: contrib/$1")
            while $line =~ m{/usr/share/frappe-sse-bridge/([\w.-]+)}g;
    }

    return;
}


my %try = (nginx => \&try_nginx, json => \&try_client, js => \&try_script,
    toml => \&try_toml, python => \&try_python, mermaid => \&try_drawing,
    '' => \&try_commands);

# Blocks that are not code: messages on the wire, and figures.  They have their
# own kind, or are in the documents that describe formats.

my %plain   = map { $_ => 1 } qw(text http);
my %formats = map { $_ => 1 } qw(docs/ARCHITECTURE.md docs/PROTOCOL.md
    docs/history.md);
my $command = qr/^\s*(?:\$\s|sudo\s|make\b|curl\s|docker\s|apt-get\s|git\s
    |systemctl\s|claude\s|gemini\s|npx\s|prove\s|nginx\s|frappe-sse-bridge\b
    |bench-nginx-patch\b|mcp_sse_\w+\s|[A-Z]\w*=\S)/mx;


sub plain {
    my ($block) = @_;

    my ($path) = $block->{at} =~ /\A(.*):/;

    return unless $plain{ $block->{kind} }
        || ($block->{kind} eq '' && $formats{$path});

    unlike($block->{text}, $command, "$block->{at}: the block has no command");

    return 1;
}


for my $block (@blocks) {

    if (defined $block->{excuse}) {
        pass("$block->{at} is not run here: $block->{excuse}");
        try_names($block);
        next;
    }

    next if plain($block);

    my $try = $try{ $block->{kind} };

    $try ? $try->($block)
         : fail("$block->{at}: the test knows blocks of $block->{kind}");
}

cmp_ok(scalar @blocks, '>', 30, 'the blocks of the documents are found');
cmp_ok(scalar(grep { ($_->{excuse} || 'run') !~ /\Arun/ } @blocks), '<', 9,
    'fewer than 9 blocks are not run');

# ---- the guide of the bridge before this module: the documents have all words
# that an operator knows from there

my $all = join ' ', map { s/\s+/ /gr } map { @{ $lines{$_} } } @tried;

for my $known ('pip install frappe_assistant_core[sse-bridge]', 'create_app',
    'uvicorn', 'bench start', 'systemctl enable',
    'journalctl -u frappe-sse-bridge',
    'tail -f /var/log/frappe/sse-bridge.log', 'lsof -i :8080', 'grep "ERROR"',
    'grep "Connection.*closed"', 'ps aux', '/etc/systemd/system/',
    (map { "`$_`" } qw(HOST PORT DEBUG LOG_LEVEL FRAPPE_API_SECRET
        WORKER_CONNECTIONS KEEP_ALIVE SERVER_URL API_KEY API_SECRET ping
        initialize resources/list message endpoint error)), '`.env`',
    'Procfile', 'upstream {}', 'EventSource', 'active_connections',
    'pending_requests', 'GET /health', 'GET /mcp/sse?server_url=',
    'POST /mcp/messages?session_id=', '{"status":"accepted"}',
    'address already in use', 'ModuleNotFoundError',
    'Invalid or missing authorization token', 'Invalid session ID',
    'Internal server error', 'Starting Frappe Assistant Core',
    'Authorization header: Bearer', 'SSE connection established',
    'Sending to server', 'Received from server', 'connection_grace_period',
    'max_idle_time', 'cleanup every 10 s',
    'Dynamic Client Registration rejected')
{
    ok(index($all, $known) >= 0, "the documents have from the guide: $known");
}

# ---- links

# The anchors of a document, as GitHub makes them of its headings, and its
# links, without those in code.

my (%anchor, %links);

for my $path (sort keys %lines) {
    my ($fence, %seen);

    for (@{ $lines{$path} }) {
        $fence = !$fence, next if /\A```/;
        next if $fence || /\A {4}/;

        if (/\A#+ (.*)/) {
            my $name = lc $1;

            $name =~ s/\[([^\]]*)\]\([^)]*\)/$1/g;
            $name =~ s/[^\w -]//g;
            $name =~ s/ /-/g;
            $name .= "-$seen{$name}" if $seen{$name}++;
            $anchor{"$path#$name"} = 1;
        }

        $anchor{"$path#$1"} = 1 while /<a id="([\w-]+)"><\/a>/g;

        my $text = s/`[^`]*`//gr;

        push @{ $links{$path} }, $1 while $text =~ /\]\(([^)\s]+)\)/g;
    }
}

my %linked;

for my $path (sort keys %links) {
    my ($dir) = $path =~ m{\A(.*/)};

    for my $link (@{ $links{$path} }) {
        next if $link =~ /\Ahttps:/;

        my ($to, $at) = $link =~ /\A([^#]*)(?:#(.*))?\z/;

        $to = $to eq '' ? $path : ($dir || '') . $to;
        1 while $to =~ s{(?:\A|(?<=/))(?!\.\./)[^/]+/\.\./}{};

        my $found = defined $at ? $anchor{"$to#$at"} : -e "$root/$to";

        ok($found, "$path: the link $link leads somewhere");
        $linked{$path}{$to} = 1;
    }
}

ok($linked{'README.md'}{$_}, "README.md links to $_")
    for grep { $_ ne 'README.md' } @tried;

cmp_ok(scalar(@{ $lines{'README.md'} }), '<=', 250,
    'README.md has at most 250 lines');

finish();
