# The documents agree with the code, in both directions: docs/directives.md has
# each directive with its contexts, arguments and default, and each variable;
# docs/operations.md has each family of /metrics, and log lines that exist;
# docs/installation.md has each variable of the launcher.
# docs/PROTOCOL.md 9.6, 13.1.

use strict;
use warnings;

use File::Temp ();

use lib 't/lib';
use MCPTest;
use MCPTest::HTTP;
use MCPTest::Metrics qw(counters since);
use Test::More;

my $root = MCPTest::root();
my $dir  = File::Temp->newdir;

mkdir "$dir/logs";


sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or die "$name: $!\n";
    local $/;
    my $text = <$file>;
    close $file;

    return $text;
}


# C without its comments, as one text

my $code = join "\n", map { s{/\*.*?\*/}{}gsr } map { slurp($_) }
    "$root/ngx_http_mcp_sse_module.c", map { sort glob "$root/$_" }
    qw(src/*.h src/*/*.h src/*.c src/*/*.c);

my $directives   = slurp("$root/docs/directives.md");
my $operations   = slurp("$root/docs/operations.md");
my $installation = slurp("$root/docs/installation.md");


# Tests that two lists have the same names.

sub same {
    my ($name, $documented, $there) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    return is(join("\n", sort @$documented), join("\n", sort @$there), $name);
}


# The rows of a table, as lists of cells, below its first line.

sub table {
    my ($text, $head) = @_;

    my ($rows) = $text =~ /^\Q$head\E\n\|[-|]+\|\n((?:\|.*\n)+)/m;

    ok($rows, "the document has a table $head") or return;

    return map { [ map { s/\A\s+|\s+\z//gr } /\A\| (.*) \|\z/
        ? split / \| /, $1 : () ] } split /\n/, $rows;
}


# ---- the directives of the code: flags and field by name

my $nvalue = qr/\s*(?:\&?\w+|NULL)\s*/;
my %command;

while ($code =~ /\{\s*ngx_string\("(mcp_sse_\w+)"\),\s*
    ((?:NGX_\w+\s*\|?\s*)+),\s*\w+,\s*\w+,\s*
    (?:0|offsetof\(\w+,\s*([\w.]+)\)),$nvalue\}/gx)
{
    $command{$1} = { flags => { map { $_ => 1 } split /\s*\|\s*/, $2 },
        field => $3 };
}

# directives whose setters know the field themselves

my %field = (
    mcp_sse_zone        => 'zone_name',
    mcp_sse_server_url  => 'server_urls',
    mcp_sse_origin      => 'origins',
    mcp_sse_api_secret  => 'api_secret',
    mcp_sse_pass_header => 'pass_headers',
);

# ---- those of the document

my %section;

while ($directives =~ /^### (mcp_sse_\w+)\n\n(.*?)(?=^##|\z)/gms) {
    my ($name, $text) = ($1, $2);

    my ($syntax, $default, $context) = $text =~ /\A
        \*\*Syntax:\*\*\ `$name([^`]*);`<br>\n
        \*\*Default:\*\*\ (.*)<br>\n
        \*\*Context:\*\*\ (.*)\n\n\S/x;

    ok(defined $context, "$name has syntax, default, context and a text")
        or next;
    ok(!$section{$name}, "$name is documented once");

    $section{$name} = { syntax => $syntax =~ s/\A //r, default => $default,
        context => $context };
}

cmp_ok(scalar keys %command, '>', 30, 'the directives of the code are found');
same('each directive is documented, and there is no other',
    [ keys %section ], [ keys %command ]);

{
    my ($list) = $directives =~ /^(\*\*Endpoints\*\*:.*?)\n\n/ms;

    same('each directive is in the list at the top',
        [ ($list || '') =~ /^\[(\w+)\]/mg ], [ keys %command ]);
}


# The least and the largest number of arguments of a syntax; 99 for "...".

sub arguments {
    my ($syntax) = @_;

    my ($least, $most);

    # alternatives outside of brackets

    my $inner = $syntax;
    1 while $inner =~ s/(\[[^\[\]]*)\|([^\[\]]*\])/$1\001$2/g;

    for my $one (split / \| /, $inner) {

        # an argument may have brackets inside

        my @words = $one =~ /((?:\[(?:[^\[\]]|\[[^\]]*\])*\]|\S)+)/g;
        my $min   = grep { !/\A\[.*\]\z/ && $_ ne '...' } @words;
        my $max   = grep { $_ ne '...' } @words;

        $max = 99 if grep { $_ eq '...' } @words;

        # words of one bracket, as [TIME [comment | event]], are one argument

        $least = $min if !defined $least || $min < $least;
        $most  = $max if !defined $most || $max > $most;
    }

    return ($least || 0, $most || 0);
}


for my $name (sort keys %section) {
    my ($flags, $syntax) = ($command{$name}{flags}, $section{$name}{syntax});

    next unless $flags;

    is($section{$name}{context}, join(', ',
        $flags->{NGX_HTTP_MAIN_CONF} ? 'http' : (),
        $flags->{NGX_HTTP_SRV_CONF} ? 'server' : (),
        $flags->{NGX_HTTP_LOC_CONF} ? 'location' : ()),
        "$name: the contexts are those of the code");

    my ($least, $most) = arguments($syntax);

    is($syntax, 'on | off', "$name: the syntax is that of a flag")
        if $flags->{NGX_CONF_FLAG};
    is("$least $most", $flags->{NGX_CONF_NOARGS} ? '0 0'
        : $flags->{NGX_CONF_TAKE1} || $flags->{NGX_CONF_FLAG} ? '1 1'
        : $flags->{NGX_CONF_TAKE12} ? '1 2'
        : $flags->{NGX_CONF_1MORE} ? '1 ' . ($most > 1 ? $most : 'more')
        : 'unknown', "$name: the code takes the arguments of \"$syntax\"");
}

# ---- defaults

# The value of an expression of C: a number, a string, or nothing (NULL, "").

sub value_of {
    my ($text) = @_;

    $text =~ s/\s+//g;

    return if $text eq 'NULL' || $text eq '""';
    return $1 if $text =~ /\A"([^"]*)"\z/;

    for (1 .. 9) {
        $text =~ s/\s+//g;
        $text =~ s/\((?:ngx_msec_t|ngx_uint_t|ngx_int_t|size_t|time_t)\)//g;
        last unless $text =~ s/\b([A-Z]\w+)\b/'(' . define($1) . ')'/ge;
    }

    die "the default \"$text\"\n" unless $text =~ /\A[0-9()*+|]+\z/;

    return eval $text;    ## no critic: digits and operators
}


sub define {
    my ($name) = @_;

    $code =~ /^#define[ \t]+$name[ \t]+(\S.*?)[ \t]*$/m
        or die "no #define $name\n";

    return $1;
}


# The default of a member of a configuration, and its kind: msec, sec, size,
# uint, str, ptr, or "" of a number.

sub default_of {
    my ($field) = @_;

    $code =~ /ngx_conf_(?:merge|init)_(?:(\w+)_)?value\(\s*\w+->\Q$field\E,
        (?:\s*\w+->\Q$field\E,)?\s*((?:[^()]|\([^()]*\))+)\)\s*;/x
        or return;

    my ($kind, $text) = ($1 || '', $2);

    return ($kind, value_of($text));
}


my %unit = (ms => 1, s => 1000, m => 60_000, h => 3_600_000, d => 86_400_000);
my %size = ('' => 1, k => 1 << 10, m => 1 << 20);


# The value of a word in a document.

sub number_of {
    my ($kind, $word) = @_;

    return 0 if $word eq 'off' && $kind ne 'str';
    return 1 if $word eq 'on' || $word eq 'lenient';
    return $1 * $unit{$2} / ($kind eq 'sec' ? 1000 : 1)
        if $kind =~ /sec\z/ && $word =~ /\A(\d+)(ms|[smhd])\z/;
    return $1 * $size{$2} if $kind eq 'size' && $word =~ /\A(\d+)([km]?)\z/;

    return $word;
}


# defaults that are seen only in use, below

my %observed = map { $_ => 1 } qw(mcp_sse_site mcp_sse_local
    mcp_sse_ping_result mcp_sse_zone mcp_sse_keepalive);

for my $name (sort keys %section) {
    next unless $command{$name};

    my ($word)  = $section{$name}{default} =~ /\A`$name (.*);`\z/;
    my $field   = $command{$name}{field} || $field{$name};
    my ($kind, $value) = defined $field ? default_of($field) : ();

    ok(defined $word || $section{$name}{default} =~ /\A\x{e2}\x{80}\x{93}/,
        "$name: the document has a default, or says that there is none");

    if ($name eq 'mcp_sse_keepalive') {
        my ($time, $form) = split / /, $word || '';

        is(number_of($kind, $time), $value,
            "$name: the default time is that of the code");
        is($form eq 'event' ? 1 : 0, (default_of('keepalive_event'))[1],
            "$name: the default form is that of the code");
    }

    next if $observed{$name};

    if (defined $word) {
        is(number_of($kind || '', $word), $value,
            "$name: the default is that of the code");
    } else {
        is($value, undef, "$name: the code has no default");
    }
}

{
    my ($text) = $directives =~ /^### mcp_sse_redis\n(.*?)(?=^##|\z)/ms;
    my %said   = $text =~ /`(\w+)` \(default `([^`]*)`[,)]/g;

    my ($text_of_events) = $directives
        =~ /^### mcp_sse_events\n(.*?)(?=^##|\z)/ms;

    same('mcp_sse_events: the options are those of mcp_sse_redis, and channel',
        [ $section{mcp_sse_events}{syntax} =~ /\[(\w+)(?=[=\]])/g ],
        [ map { s/prefix/channel/r }
            $section{mcp_sse_redis}{syntax} =~ /\[(\w+)(?=[=\]])/g ]);
    is(($text_of_events =~ /`channel` \(default `([^`]*)`/)[0],
        ($code =~ /ngx_str_set\(&\w+->prefix, "(mcp:e[^"]*)"\)/)[0],
        'mcp_sse_events: the default channel is that of the code');

    same('mcp_sse_redis: each option is described', [ $text =~ /^\* `(\w+)`/mg ],
        [ $section{mcp_sse_redis}{syntax} =~ /\[(\w+)(?=[=\]])/g ]);

    my ($prefix, $tagged)
        = $code =~ /ngx_str_set\(&\w+->prefix, "([^"]*:)"\)/g;

    is($said{prefix}, $prefix,
        'mcp_sse_redis: the default prefix is that of the code');
    is(($text =~ /with `cluster` `([^`]*)`/)[0], $tagged,
        'mcp_sse_redis: the default prefix of a cluster is that of the code');

    for my $option (qw(timeout connect_timeout)) {
        my ($kind, $value) = default_of($option);

        is(number_of($kind, $said{$option}), $value,
            "mcp_sse_redis: the default $option is that of the code");
    }
}

# each default of the code belongs to a directive, or is the second half of one
# that is tested above

{
    my %known = map { $_ => 1 } qw(any_origin keepalive_event timeout
        connect_timeout), map { $command{$_}{field} || $field{$_}
        || s/mcp_sse_//r } keys %command;
    my @there = $code
        =~ /ngx_conf_(?:merge|init)_(?:\w+_)?value\(\s*\w+->([\w.]+),/g;

    cmp_ok(scalar @there, '>', 30, 'the defaults of the code are found');
    is(join(' ', grep { !$known{$_} } @there), '',
        'each default of the code has its directive');
}

# nginx accepts each default in each context of its directive

for my $where (qw(http server location)) {
    my $lines = join '', map { $_->{default} =~ /\A`(.*)`\z/ ? "$1\n" : () }
        grep { $_->{context} =~ /\b$where\b/ }
        map { $section{$_} } sort keys %section;
    my $port = MCPTest::Nginx::free_port();
    my %at   = (http => '', server => '', location => '', $where => $lines);
    my $load = join '', map { "load_module $_;\n" }
        MCPTest::Nginx::modules();
    my $temp = join '', map { "${_}_temp_path $dir/$_;\n" }
        qw(client_body proxy fastcgi uwsgi scgi);

    open my $file, '>', "$dir/nginx.conf" or die;
    print {$file} <<"EOT";
$load
error_log $dir/logs/error.log;
pid $dir/nginx.pid;
events { }
http {
    access_log off;
    $temp
    mcp_sse_call /_mcp/call;
    mcp_sse_user /_mcp/call;
    $at{http}
    server {
        listen 127.0.0.1:$port;
        $at{server}
        location = /mcp { mcp_sse_http; $at{location} }
        location = /_mcp/call { internal; }
    }
}
EOT
    close $file;

    my ($status, $said) = MCPTest::Nginx->check("$dir/nginx.conf", '-p',
        "$dir/");

    cmp_ok(scalar(() = $lines =~ /\n/g), '>', 15,
        "$where: the defaults of the document are found");
    is($status, 0, "$where: nginx accepts the defaults of the document")
        or diag($said);
}

# ---- defaults in use

my $nginx = start_nginx(
    settings  => 'mcp_sse_call /_mcp/call; mcp_sse_user /_mcp/user; '
        . 'mcp_sse_backend_calls 8;',
    redis     => 'redis://127.0.0.1:' . MCPTest::Nginx::free_port(),
    http      => 'mcp_sse_events redis://127.0.0.1:'
        . MCPTest::Nginx::free_port() . ';',
    locations => 'location = /mcp { mcp_sse_http; }');
my $host  = '127.0.0.1:' . $nginx->port;


sub default_word {
    my ($name) = @_;

    my ($word) = $section{$name}{default} =~ /\A`$name (.*);`\z/;

    return defined $word ? $word : $section{$name}{default};
}

{
    my $stream = open_stream($nginx);
    my ($conf) = slurp($nginx->dir . '/conf/nginx.conf') =~ /server_name (\S+);/;

    call($nginx, $stream, request(1, 'tools/list'));

    my ($line) = $nginx->audit(1);

    is(default_word('mcp_sse_site'), '$server_name',
        'mcp_sse_site: the default is $server_name');
    is($line->{site}, $conf, 'mcp_sse_site: the audit log has the server name');

    like($stream->endpoint,
        qr/\A\Q${\ default_word('mcp_sse_message_uri')}\E\?session_id=/,
        'mcp_sse_message_uri: the event endpoint has the default');

    like(call($nginx, $stream, request(2, 'ping')), qr/"result":\{"_meta":/,
        'mcp_sse_ping_result: a stream has meta by default');
    is(http_post($nginx, request(3, 'ping'))->body,
        '{"jsonrpc":"2.0","result":{},"id":3}',
        'mcp_sse_ping_result: mcp_sse_http has empty by default');
    like($section{mcp_sse_ping_result}{default},
        qr/\(`empty` at mcp_sse_http, otherwise `meta`\)/,
        'mcp_sse_ping_result: the document has both defaults');
    $stream->close;
}

{
    my ($list) = $directives =~ /^### mcp_sse_local\n.*?(The methods.*?lists)/ms;
    my (@all)  = ($list || '') =~ /`([^`]+)`/g;
    my @local;

    is(scalar @all, 5, 'mcp_sse_local: the document has five methods')
        or diag("@all");

    for my $method (@all) {
        my $before = counters($nginx);

        is(http_post($nginx, request(1, $method))->status, 200,
            "mcp_sse_local: $method is answered");

        push @local, $method
            if grep { /\Acalls \S+ local\z/ } keys %{ since($nginx, $before) };
    }

    # mcp_sse_events answers this one

    @local = grep { $_ ne 'logging/setLevel' } @local;

    is(default_word('mcp_sse_local'), "@local",
        'mcp_sse_local: the default names the methods answered locally');
}

is(default_word('mcp_sse_zone'), 'zone=mcp_sse:'
    . MCPTest::Metrics::gauge($nginx, 'zone_bytes') / (1 << 20) . 'm',
    'mcp_sse_zone: /metrics has the default size');

{
    my ($name) = $code =~ /ngx_str_set\(&\w+->zone_name, "([^"]*)"\)/;

    is($name, 'mcp_sse', 'mcp_sse_zone: the code has the default name');
}

for my $case (
    [ mcp_sse_server_url => "/mcp/sse?server_url=http://$host", [], 200 ],
    [ mcp_sse_server_url => '/mcp/sse?server_url=http://else.example', [],
        400 ],
    [ mcp_sse_origin => '/mcp/sse', [ Origin => "http://$host" ], 200 ],
    [ mcp_sse_origin => '/mcp/sse', [ Origin => 'http://else.example' ],
        403 ])
{
    my ($name, $path, $headers, $status) = @$case;

    like($section{$name}{default}, qr/host and port of the request's `Host`/,
        "$name: the document names the host as the default");

    my $stream = open_stream($nginx, path => $path, host => $host,
        headers => $headers, wait => 0);

    run_until(sub { $stream->status });
    is($stream->status, $status, "$name: GET $path @$headers is $status");
    $stream->close;
}

{
    my $got = http_post($nginx, request(1, 'ping'), auth => undef,
        host => $host);

    like($section{mcp_sse_public_url}{default},
        qr/scheme of the connection, host and port of the request's `Host`/,
        'mcp_sse_public_url: the document names the host as the default');
    like($got->header('WWW-Authenticate'),
        qr{resource_metadata="http://\Q$host\E/},
        'mcp_sse_public_url: a 401 names the host');
}

# ---- variables

my ($vars) = $code =~ /ngx_http_variable_t\s+\w+\[\]\s*=\s*\{(.*?)
    ngx_http_null_variable/sx;

same('each variable is documented, and there is no other',
    [ map { $_->[0] =~ /\A`\$(\w+)`\z/ }
        table($directives, '| variable | value |') ],
    [ ($vars || '') =~ /ngx_string\("(\w+)"\)/g ]);

my @results = map { $_->[0] =~ /\A`(\w+)`\z/ }
    table($directives, '| `$mcp_sse_result` | |');

# ---- /metrics

my $page = get($nginx, '/metrics')->body;
my (%type, %labels);

$type{$1} = $2 while $page =~ /^# TYPE nginx_mcp_sse_(\w+) (\w+)$/mg;

while ($page =~ /^nginx_mcp_sse_(\w+)\{([^}]*)\} /mg) {
    my ($family, $labels) = ($1, $2);

    $labels{$family}{$1}{$2} = 1 while $labels =~ /(\w+)="([^"]*)"/g;
}

my %documented;

for my $type (qw(gauge counter histogram)) {

    for my $row (table($operations, "| $type | meaning |")) {
        my ($names, $text) = @$row;

        for my $name ($names =~ /`([^`]+)`/g) {
            my ($family, $labels) = $name =~ /\A(\w+)(?:\{([\w,]+)\})?\z/;

            push @{ $documented{$type} }, $family;

            is($labels || '', join(',', sort keys %{ $labels{$family} || {} }),
                "$family: the labels are those of /metrics");

            values_of($family, $labels, $text) if $labels;
        }

        if ($type eq 'histogram') {
            my ($family) = $names =~ /`(\w+)`/;
            my @bounds = sort { $a <=> $b } grep { $_ ne '+Inf' }
                keys %{ $labels{"${family}_bucket"}{le} || {} };
            my %second = (s => 1, ms => 1e-3, "\x{c2}\x{b5}s" => 1e-6);
            my ($from, $fu, $to, $tu) = $text
                =~ /; (\d+) (\S+) to (\d+) (\S+)\z/;

            is(join(' ', map { $_ * 1 } $from * $second{$fu},
                $to * $second{$tu}), join(' ', map { $_ * 1 } @bounds[0, -1]),
                "$family: the bounds are those of /metrics");
        }
    }

    same("each $type of /metrics is documented, and there is no other",
        $documented{$type} || [], [ grep { $type{$_} eq $type } keys %type ]);
}

is(scalar(grep { !/\A(?:gauge|counter|histogram)\z/ } values %type), 0,
    '/metrics has no other types');


# Tests that the values of a label in the document are those of /metrics.

sub values_of {
    my ($family, $labels, $text) = @_;

    for my $label (split /,/, $labels) {
        my @there = keys %{ $labels{$family}{$label} };

        # versions and statuses are not listed

        next if $label eq 'version' || $label eq 'status';

        # results of calls are in the table of the variable

        my @said = "$family $label" eq 'calls_total result' ? @results
            : grep { !/\A(?:\$|mcp_sse_)/ } $text =~ /`([^`]+)`/g;

        same("$family: the values of $label", \@said, \@there);
    }

    return;
}

# ---- log lines: the module or a script prints the lines in the first column of
# tables of lines, except for those of other programs

my $printed = join "\n", ($code =~ s/"\s*\n\s*"//gr =~ s/\\"/"/gr),
    map { slurp("$root/$_") } qw(util/mcp-sse-bridge contrib/bench-nginx-patch);

my $others = qr/\A(?:bind\(\)\ to|is\ not\ binary|version\ \.\.\.\ instead
    |cannot\ open\ shared|unknown\ directive|Failed\ to\ |status=217
    |Invalid\ user|upstream\ SSL|does\ not\ match|bench-nginx-patch\z
    |FRAPPE_[A-Z_]+\z|-\d+\z)/x;
my $lines = 0;

for my $row (map { split /\n/ } $operations
    =~ /^\| line \| (?:what to do|meaning) \|\n\|[-|]+\|\n((?:\|.*\n)+)/mg)
{
    my ($cell) = $row =~ /\A\| (.*?) \| /;

    for my $line ($cell =~ /`([^`]+)`/g) {

        next if $line =~ $others;

        $lines++;

        # the words between the variable parts of the line

        my @words = grep { /\w{3}/ } map { s/\A\W+|\W+\z//gr }
            split /\.\.\.|"[^"]*"|\b[A-Z]+\b|\[\w+\]|\d[\d.]*|lib\S+\.so/,
            $line;

        ok(!(grep { index($printed, $_) < 0 } @words),
            "the module or a script prints: $line")
            or diag(join ' / ', @words);
    }
}

cmp_ok($lines, '>', 20, 'the log lines of the document are found');

# ---- the launcher

{
    my $script = slurp("$root/util/mcp-sse-bridge");
    my ($help) = $script =~ /^usage\(\) \{\n.*?<< 'END'\n(.*?)^END$/ms;
    my ($text) = $installation =~ /^## The launcher\n(.*?)(?=^## |\z)/ms;
    my %default;

    $default{$1} = $2
        while $text =~ /^\| `([A-Z_]+)` \| (\S.*?) \| /mg;

    same('each variable of the launcher is documented, and there is no other',
        [ keys %default ], [ $help =~ /^    ([A-Z_]{4,}) /mg ]);
    same('each variable with the name of a file is documented',
        [ $text =~ /^`(\w+_FILE)`, `(\w+_FILE)` and `(\w+_FILE)` name/m ],
        [ $help =~ /^(\w+_FILE), (\w+_FILE) and (\w+_FILE) name/m ]);

    my %set = $script =~ /"\$\{([A-Z_]+):=([^}]*)\}"/g;

    is($default{$_}, "`$set{$_}`", "the default of $_ is that of the launcher")
        for sort keys %set;
    cmp_ok(scalar keys %set, '>', 6, 'the defaults of the launcher are found');
}

finish();
