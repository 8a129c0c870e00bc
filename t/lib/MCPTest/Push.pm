package MCPTest::Push;

# What Frappe publishes to the Redis of mcp_sse_events, by the test itself: as
# an app would, with any bytes, as somebody who asks and waits for the reply.
# The tools of the stand-in whose names begin with "push" do the same in a call.
#
#     my $redis = start_redis();
#     my $nginx = start_push(push => $redis, mcp => '');
#     my $tool  = tool(1, 'hold', { gate => 'g', key => 'k' });
#     my $held  = http_post($nginx, $tool, async => 1);
#     my $call  = call_id('k');
#
#     publish($redis, { call => $call, method => 'notifications/message',
#         params => { level => 'info', data => 'half' } });
#     frappe->open_gate('g');

use strict;
use warnings;

use Exporter 'import';

use MCPTest;
use MCPTest::Conn qw(hang_after run_until);
use MCPTest::JSON qw(encode);

our @EXPORT = qw(start_push wait_push subscribers push_bytes publish
    publish_raw begin_ask ask call_id reply_id);


# start_nginx(), or start_http() with an option "mcp" ('' will do), with "push",
# an MCPTest::Redis or a URL; returns when what is published arrives.

sub start_push {
    my (%opt) = @_;

    require MCPTest::HTTP;

    my $nginx = exists $opt{mcp} ? MCPTest::HTTP::start_http(%opt)
        : start_nginx(%opt);

    wait_push($nginx) or die "mcp_sse_events: not subscribed\n";

    return $nginx;
}


# Waits until all workers of these instances have subscribed, and say so.

sub wait_push { return wait_ready(@_) }


# How many have subscribed to the channel.

sub subscribers {
    my ($redis, $channel) = @_;

    return $redis->cmd('PUBSUB', 'NUMSUB',
        defined $channel ? $channel : 'mcp:events')->[1];
}


# The bytes that contrib/frappe/mcp_push.py would publish for a hash with site
# (erp.example.com; undef to leave it out), call, user, method, params and
# reply.  "params" and all others can be references to raw JSON.

sub push_bytes {
    my ($message) = @_;

    my %all = (site => 'erp.example.com', %{$message});

    return '{' . join(',', map { qq("$_":) . (ref $all{$_} eq 'SCALAR'
            ? ${ $all{$_} } : _json($all{$_})) }
        grep { defined $all{$_} } qw(site call user method params reply))
        . '}';
}


# JSON; a string, and a number as it is.

sub _json {
    my ($value) = @_;

    return ref $value ? encode($value) : MCPTest::encode_string($value);
}


# Publishes a message, see push_bytes(); returns how many have got it.  Options:
# channel.

sub publish {
    my ($redis, $message, %opt) = @_;

    return publish_raw($redis, push_bytes($message), %opt);
}


sub publish_raw {
    my ($redis, $bytes, %opt) = @_;

    return $redis->cmd('PUBLISH',
        defined $opt{channel} ? $opt{channel} : 'mcp:events', $bytes);
}


# A new K.

my $replies = 0;


sub reply_id {
    return sprintf 'test-%010d-%08d-%08x', $$, ++$replies, rand 2 ** 32;
}


# Publishes a question on a connection of its own; "reply" is made unless it is
# given.  Returns what waits for the reply:
#
#     $asked->reply        K
#     $asked->asked        waits: 1 if the first element is "asked"
#     $asked->wait         waits for the end: its raw JSON, or undef
#     $asked->elements     what has come so far

sub begin_ask {
    my ($redis, $message, %opt) = @_;

    my %all  = (reply => reply_id(), %{$message});
    my $conn = $redis->connect;
    my $self = bless { reply => $all{reply}, conn => $conn, elements => [] },
        'MCPTest::Push::Asked';

    $self->{published} = publish($redis, \%all, %opt);
    $self->_pop;

    return $self;
}


# The same, and waits for the end.

sub ask {
    my ($redis, $message, %opt) = @_;

    my $asked = begin_ask($redis, $message, %opt);

    $asked->wait;

    return $asked;
}


# The X-MCP-Call of the call with this key in its arguments, once it has
# started; undef if it has none.

sub call_id {
    my ($key, $frappe) = @_;

    my $call;

    $frappe ||= frappe();
    run_until(sub {
        ($call) = reverse grep { $_->{key} eq $key } $frappe->started;
        return $call;
    });

    return $call ? $call->{call} : undef;
}


package MCPTest::Push::Asked;

use strict;
use warnings;

use MCPTest::Conn qw(hang_after run_until);


# Waits for the next element at Redis, until then BLPOP holds the connection.

sub _pop {
    my ($self) = @_;

    $self->{slot} = $self->{conn}->send('BLPOP', "mcp:reply:$self->{reply}",
        0);

    return;
}


# Takes what has come.

sub _take {
    my ($self) = @_;

    my $slot = $self->{slot};

    return if !$slot || !$slot->{done};

    my $element = ref $slot->{reply} ? $slot->{reply}[1] : $slot->{error};

    push @{ $self->{elements} }, $element;
    delete $self->{slot};

    # the element after the end would be a fault of the module: a second BLPOP
    # waits for it, too

    $self->_pop;

    return;
}


sub _has {
    my ($self, $n) = @_;

    $self->_take;

    return @{ $self->{elements} } >= $n;
}


sub reply     { return $_[0]{reply} }
sub published { return $_[0]{published} }


sub elements {
    my ($self) = @_;

    $self->_take;

    return @{ $self->{elements} };
}


sub asked {
    my ($self, $timeout) = @_;

    run_until(sub { $self->_has(1) }, $timeout);

    return ($self->{elements}[0] || '') eq 'asked';
}


# The last element unless that is "asked": a result or an error, raw.

sub wait {
    my ($self, $timeout) = @_;

    run_until(sub { $self->_has(1) && $self->{elements}[-1] ne 'asked' },
        $timeout);

    my $last = $self->{elements}[-1];

    return defined $last && $last ne 'asked' ? $last : undef;
}


sub close {
    my ($self) = @_;

    $self->{conn}->close;

    return;
}


1;
