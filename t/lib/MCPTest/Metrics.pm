package MCPTest::Metrics;

# Reads /metrics: checks the text format as strictly as Prometheus's promtool,
# and says which counters an action moves.
#
#     moves($nginx, 'a ping moves its counters', { 'calls ping local' => 1 },
#         sub { call($nginx, $stream, request(1, 'ping')) });
#
#     is_deeply([ page_faults() ], [], 'each page of /metrics is well-formed');

use strict;
use warnings;

use Exporter 'import';
use Test::More ();

use MCPTest::Conn qw(run_until sleep_for);

our @EXPORT_OK = qw(scrape gauge counters since moves page_faults);

my @faults;


# The values and the types of /metrics, read from an nginx or on a connection.

sub scrape {
    my ($at) = @_;

    my $got  = $at->can('get') ? $at->get('/metrics')
        : MCPTest::get($at, '/metrics');
    my $page = MCPTest::Metrics->new($got->body || '');

    push @faults, $page->faults;

    return ($page->values, $page->types);
}


# Faults of the format in the pages read so far, ten at most.

sub page_faults { return @faults > 10 ? @faults[0 .. 9] : @faults }


sub gauge {
    my ($nginx, $name) = @_;

    my ($values) = scrape($nginx);

    return $values->{"nginx_mcp_sse_$name"};
}


# All counters by short names: "calls tools/call ok"; of a histogram its count,
# "delivery_duration".

sub counters {
    my ($nginx) = @_;

    my ($values, $types) = scrape($nginx);
    my %short;

    for my $key (keys %$values) {
        my ($name, $labels) = $key =~ /\Anginx_mcp_sse_(\w+)(.*)\z/;

        next if $name =~ /_(?:bucket|sum)\z/
            || ($types->{"nginx_mcp_sse_$name"} || '') eq 'gauge';

        $name =~ s/_total\z|_seconds_count\z//;
        $short{ join ' ', $name, $labels =~ /="([^"]*)"/g } = $values->{$key};
    }

    return \%short;
}


# The counters that have moved since $before, and by how much.

sub since {
    my ($nginx, $before) = @_;

    my $now = counters($nginx);

    return { map { $now->{$_} == ($before->{$_} || 0) ? ()
        : ($_ => $now->{$_} - ($before->{$_} || 0)) } keys %$now };
}


# Tests that $code moves exactly the counters of $want, each by its number.

sub moves {
    my ($nginx, $name, $want, $code) = @_;

    local $Test::Builder::Level = $Test::Builder::Level + 1;

    my $before = counters($nginx);
    my $got;

    $code->();

    run_until(sub {
        $got = since($nginx, $before);
        return !grep { ($got->{$_} || 0) < $want->{$_} } keys %$want;
    });

    sleep_for(0.1);
    $got = since($nginx, $before);

    return Test::More::is_deeply($got, $want, $name)
        || Test::More::diag(Test::More::explain($got));
}


sub new {
    my ($class, $text) = @_;

    my $self = bless { text => $text, faults => [], value => {}, type => {},
        help => {}, histogram => {} }, $class;

    $self->_fault('no end of line at the end') unless $text =~ /\n\z/;
    $self->_line($_) for split /\n/, $text;
    $self->_histogram($_) for sort keys %{ $self->{histogram} };

    for my $name (sort keys %{ $self->{type} }) {
        $self->_fault("$name: no sample") unless $self->{seen}{$name};
        $self->_fault("$name: no HELP") unless $self->{help}{$name};
    }

    return $self;
}


sub values { return $_[0]{value} }
sub types  { return $_[0]{type} }
sub faults { return @{ $_[0]{faults} } }


sub _fault {
    my ($self, $text) = @_;

    push @{ $self->{faults} }, $text;

    return;
}


sub _line {
    my ($self, $line) = @_;

    if ($line =~ /\A# HELP ([a-z][a-z0-9_]*) (\S.*)\z/) {
        my $name = $1;

        $self->_fault("$name: second HELP") if $self->{help}{$name}++;
        $self->_fault("$name: not our prefix")
            unless $name =~ /\Anginx_mcp_sse_/;
        return;
    }

    if ($line =~ /\A# TYPE ([a-z][a-z0-9_]*) (counter|gauge|histogram)\z/) {
        my ($name, $type) = ($1, $2);

        $self->_fault("$name: second TYPE") if $self->{type}{$name};
        $self->_fault("$name: TYPE before HELP") unless $self->{help}{$name};
        $self->_fault("$name: counters, and only they, end in _total")
            if ($type eq 'counter') != ($name =~ /_total\z/);
        $self->_fault("$name: no base unit")
            if $name =~ /_(?:milli|micro)?seconds?_|_ms\b|_kb\b|_us\b/;

        $self->{type}{$name} = $type;
        $self->{now} = $name;
        return;
    }

    return $self->_fault("not understood: $line") unless $line
        =~ /\A([a-z][a-z0-9_]*)(\{[^{}]*\})? ([0-9]+(?:\.[0-9]+)?)\z/;

    $self->_sample($1, defined $2 ? $2 : '', $3);

    return;
}


sub _sample {
    my ($self, $name, $labels, $value) = @_;

    my $family = $name;

    if (!$self->{type}{$name}) {
        $family =~ s/_(?:bucket|sum|count)\z//;
        $self->_fault("$name: no histogram")
            if ($self->{type}{$family} || '') ne 'histogram';
    }

    $self->_fault("$name: not below its TYPE")
        if ($self->{now} || '') ne $family;
    $self->_fault("$name: a whole number is expected: $value")
        if $value =~ /\./ && $name !~ /_sum\z/;
    $self->_fault("$name$labels: second value")
        if exists $self->{value}{"$name$labels"};

    my %label;

    if ($labels ne '') {
        for my $pair (split /,/, substr($labels, 1, -1), -1) {
            my ($key, $text) = $pair =~ /\A([a-z_]+)="([^"\\]+)"\z/;

            return $self->_fault("$name: label $pair") unless defined $key;
            $self->_fault("$name: label $key twice") if exists $label{$key};
            $label{$key} = $text;
        }
    }

    $self->{seen}{$family} = 1;
    $self->{value}{"$name$labels"} = $value;

    if (($self->{type}{$family} || '') eq 'histogram') {
        my $h = $self->{histogram}{$family} ||= { bucket => [] };
        my ($part) = $name =~ /_(bucket|sum|count)\z/;

        return $self->_fault("$name: in a histogram") unless $part;

        if ($part eq 'bucket') {
            push @{ $h->{bucket} }, [ $label{le}, $value ];

        } else {
            $h->{$part} = $value;
        }
    }

    return;
}


sub _histogram {
    my ($self, $name) = @_;

    my $h = $self->{histogram}{$name};
    my @bucket = @{ $h->{bucket} };

    return $self->_fault("$name: incomplete")
        unless @bucket && defined $h->{sum} && defined $h->{count};

    my $last = pop @bucket;
    my ($bound, $count) = (0, 0);

    $self->_fault("$name: no +Inf at the end") if $last->[0] ne '+Inf';
    $self->_fault("$name: +Inf is not the count") if $last->[1] != $h->{count};

    for (@bucket, [ 9 ** 99, $last->[1] ]) {
        $self->_fault("$name: bounds do not grow: $_->[0]")
            unless $_->[0] =~ /\A[0-9.]+(?:e\+[0-9]+)?\z/ && $_->[0] > $bound;
        $self->_fault("$name: not cumulative at $_->[0]")
            if $_->[1] < $count;
        ($bound, $count) = @$_;
    }

    return;
}


1;
