# Keys, packets and session ids byte by byte: what is on the wire, in Redis and
# in the ids that clients keep is the same in each version, and is computed here
# a second time.  Lengths at, below and above each bound.  docs/PROTOCOL.md 8,
# 11.11.

use strict;
use warnings;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256 sha256);
use MIME::Base64 qw(decode_base64url encode_base64url);
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/crypto/crypto.c', [ map { "crypto/ngx_mcp_$_" }
    qw(cipher digest memo packet replay_window session_id siphash) ]);


sub hex_of { return MCPTest::Unit::hex(@_) }


sub ask {
    my @words = @_;

    return $unit->ask(@words);
}


# HKDF-SHA-256 (RFC 5869) without a salt, 32 bytes

sub hkdf {
    my ($secret, $info) = @_;

    return hmac_sha256($info . "\1", hmac_sha256($secret, "\0" x 32));
}


# HMAC over parts with their lengths, of which the module keeps a half

sub digest {
    my ($secret, @parts) = @_;

    return substr hmac_sha256(join('', map { pack('N', length) . $_ } @parts),
        $secret), 0, 16;
}


# Here the contexts are not made yet.  What OpenSSL does although an allocation
# failed leaves no error that nginx would log as its own: "ignoring stale global
# SSL error".

for my $command ('derive 6b 69', 'seal ' . '6b' x 32 . ' 1 - ' . '00' x 20,
    'make 6b 01020304 1 session - -')
{
    is(ask('scarce', 4, split / /, $command), 'errors 0, crashes 0',
        "@{[ $command =~ /(\w+)/ ]} while allocations of OpenSSL fail");
}

# keys: RFC 5869, A.3, and those of packets

is(ask('derive', '0b' x 22, '-'), 'ok 8da4e775a563c18f715f802a063c5a31b8a11f5c'
    . '5ee1879ec3454e5f3c738d2d', 'HKDF: the test case of RFC 5869 without a '
    . 'salt');

for my $length (1, 31, 32, 64, 65, 129, 4000) {
    my ($secret, $info) = ('s' x $length, 'i' x $length);

    is(ask('derive', hex_of($secret), hex_of($info)),
        'ok ' . hex_of(hkdf($secret, $info)),
        "HKDF: secret and info of $length bytes");
}

# AES-256-GCM: the test cases 13 and 14 of its specification, whose nonce is
# that of packet 0, and one of another number, made with Python's cryptography

my $zero = '00' x 32;
my $key  = join '', map { sprintf '%02x', $_ } 0 .. 31;
my $ad   = hex_of('header');
my $body = hex_of('body of a packet, longer than a block of AES');
my $n    = '72623859790382856';     # 0x0102030405060708
my $tag  = '00' x 16;

my $sealed = '663e0177fd8e6fbe62bf8d8e7d0c5c8456d930adb9b22d1ec98f3c310517beed'
    . '4d4477fbf19aa240c04627c8cb112f757ca4b831753369df5a4a8089';

is(ask('seal', $zero, 0, '-', $tag), 'ok 530f8afbc74536b9a963b4f1c4cb738b',
    'AES-256-GCM: nothing but a tag');
is(ask('seal', $zero, 0, '-', '00' x 16 . $tag),
    'ok cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919',
    'AES-256-GCM: one block');
is(ask('seal', $key, $n, $ad, $body . $tag), "ok $sealed",
    'AES-256-GCM: the nonce has all bytes of the number');
like(ask('open', $key, $n, $ad, $sealed), qr/\Aok $body/,
    'what was sealed is opened');

my $flipped = ('67' . substr $sealed, 2);

for my $case (
    [ 'with another key',  $zero, $n,             $ad,    $sealed ],
    [ 'of another number', $key,  $n + 1,         $ad,    $sealed ],
    [ 'of another header', $key,  $n,             '61',   $sealed ],
    [ 'without a header',  $key,  $n,             '-',    $sealed ],
    [ 'with another byte', $key,  $n,             $ad,    $flipped ],
    [ 'with another tag',  $key,  $n,             $ad,
        substr($sealed, 0, -2) . '88' ],
    [ 'that is shorter',   $key,  $n,             $ad,
        substr($sealed, 0, -2) ],
    [ 'of 15 bytes',       $key,  $n,             $ad,    '00' x 15 ],
    [ 'without bytes',     $key,  $n,             $ad,    '-' ],
) {
    my ($name, @words) = @$case;

    is(ask('open', @words), 'declined', "a text $name is not opened");
    is(ask('errors'), 0, 'and leaves nothing in the queue of OpenSSL');
}

is(ask('open', $zero, 0, '-', '530f8afbc74536b9a963b4f1c4cb738b'),
    'ok 530f8afbc74536b9a963b4f1c4cb738b', 'a text of 16 bytes is a tag');
is(ask('seal', $key, 1, '-', '00' x 15), 'declined',
    'there must be room for the tag');
is(ask('long', 1 << 31), 'declined', 'a text of 2 GB is not sealed');

# packets

my ($here, $there) = ('h' x 16, 't' x 16);
my ($old, $new) = ('o' x 32, 'n' x 40);
my $packet_key = sub { return hkdf($_[0], "mcp sse packet$_[1]") };
my $key_id = sub { return substr hkdf($_[0], 'mcp sse key id'), 0, 4 };

is(ask('worker', hex_of($here), hex_of($new), hex_of($old)), 'ok',
    'a worker has two secrets');

my @sent = map { (split / /, ask('send', @$_))[2] }
    [ 1, hex_of($there), hex_of('one') ], [ 4, '-', hex_of('two') ],
    [ 5, hex_of($there), '-' ];

for my $case ([ 1, 1, $there, 'one' ], [ 2, 4, "\0" x 16, 'two' ],
    [ 3, 5, $there, '' ])
{
    my ($number, $type, $receiver, $text) = @$case;

    my $head = hex_of("\2" . chr($type) . $key_id->($new) . $here . $receiver
        . pack 'Q>', $number);

    is($sent[$number - 1], $head . (ask('seal',
        hex_of($packet_key->($new, $here)), $number, $head,
        ($text eq '' ? '' : hex_of($text)) . $tag) =~ s/\Aok //r),
        "packet $number: version, type, secret, sender, receiver, number, "
        . 'sealed body');
}

is(ask('probe'), 'ok 02' . '00' x 45, 'a probe is version and type');

is(ask('worker', hex_of($there), hex_of($old), hex_of($new)), 'ok',
    'the receiver has the secrets in another order');
is(ask('receive', $sent[0]), "ok 1 1 @{[ map { hex_of($_) } 'one', $here ]}",
    'a packet arrives');
is(ask('receive', $sent[1]), "ok 4 2 @{[ map { hex_of($_) } 'two', $here ]}",
    'an announcement arrives');
is(ask('receive', $sent[2]), 'ok 5 3 - ' . hex_of($here),
    'an empty packet arrives');

my $head  = sub { my ($at, $byte) = @_; my $copy = $sent[0];
    substr($copy, 2 * $at, 2) = $byte; return $copy };
my $probe = '02' . '00' x 45;

for my $case (
    [ 'of another version',            'abort',    $head->(0, '01') ],
    [ 'of 45 bytes',                   'abort',    substr $sent[0], 0, 90 ],
    [ 'without bytes',                 'abort',    '-' ],
    [ 'of 46 bytes',                   'declined', substr $sent[0], 0, 92 ],
    [ 'of 61 bytes',                   'declined', substr $sent[0], 0, 122 ],
    [ 'of 62 bytes, of another length', 'declined', substr $sent[0], 0, 124 ],
    [ 'of another type',               'declined', $head->(1, '02') ],
    [ 'made an announcement',          'declined', $head->(1, '04') ],
    [ 'with another secret',           'declined', $head->(5, 'ff') ],
    [ 'of another sender',             'declined', $head->(6, 'ff') ],
    [ 'for another receiver',          'declined', $head->(22, 'ff') ],
    [ 'for another receiver, last byte', 'declined', $head->(37, 'ff') ],
    [ 'with another number',           'declined', $head->(45, 'ff') ],
    [ 'that is a probe',               'done',     $probe ],
    [ 'that is a longer probe',        'abort',    "${probe}00" ],
) {
    my ($name, $want, $bytes) = @$case;

    is(ask('receive', $bytes), $want, "a packet $name is $want");
}

# the secret of a sender changes while it is known

is(ask('worker', hex_of($here), hex_of($old)), 'ok', 'a sender has a secret');
my $first = (split / /, ask('send', 1, hex_of($there), '61'))[2];
is(ask('worker', hex_of($here), hex_of($new)), 'ok', 'then another one');
my $second = (split / /, ask('send', 1, hex_of($there), '62'))[2];

is(ask('worker', hex_of($there), hex_of($new), hex_of($old)), 'ok',
    'the receiver knows both');

for my $case ([ $first, 61 ], [ $second, 62 ], [ $first, 61 ], [ $second, 62 ])
{
    like(ask('receive', $case->[0]), qr/\Aok 1 \d+ $case->[1] /,
        'a packet with either secret arrives');
}

is(ask('worker', hex_of($there), hex_of($new)), 'ok',
    'the first secret is removed');
is(ask('receive', $first), 'declined', 'its packets are refused');
like(ask('receive', $second), qr/\Aok/, 'those of the second one arrive');

for my $number (0, 1, '255', '256', $n, '18446744073709551615') {
    is(ask('number', $number), ' ' . hex_of(pack 'Q>', $number) . " $number",
        "the number $number is written and read");
}

# session ids

my ($secret, $site, $user) = ('k' x 32, 'erp.example.com', 'alice@example.com');
my $instance = "\x01\x80\xfe\xff";


sub make {
    my ($issued, $purpose, $of_site, $of_user, @claims) = @_;

    return split / /, ask('make', hex_of($secret), hex_of($instance), $issued,
        $purpose, map { hex_of($_) } $of_site, $of_user, @claims);
}


for my $case ([ 0x12345678, 'session', $site, $user ],
    [ 0, 'http', $site, $user ], [ 0xffffffff, 'http', '', '' ],
    [ 0x80000000, 's', 'x' x 300, 'y' x 500 ],
    map { [ 1700000000, 'http', $site, $user, 'c' x $_ ] } 1 .. 4, 66, 67)
{
    my ($issued, @of) = @$case;
    my ($rc, $text, $id_key, $hash, $when, $where) = make($issued, @of);
    my $bytes   = decode_base64url($text);
    my @claims  = @of[3 .. $#of];
    my $length  = length $claims[0] // '';
    my $random  = substr $bytes, 9, 12;
    my $version = @claims ? "\2" : "\1";
    my $sha     = sha256($bytes);
    my $name    = "an id issued at $issued, claims of $length bytes";

    is(hex_of(substr $bytes, 0, 9),
        hex_of($version . pack('N', $issued) . $instance),
        "$name: version, time, instance");
    is(hex_of(substr $bytes, 21), join('', map { hex_of($_) } @claims,
        digest($secret, $of[0], $version, pack('N', $issued), $instance,
        $random, @claims, @of[1, 2])), "$name: the claims, its MAC");
    is($text, encode_base64url($bytes), "$name: its text");
    is($id_key, hex_of(substr $sha, 0, 16), "$name: its key");
    is($hash, hex_of(substr $sha, 16, 8), "$name: its name in logs");
    is($when, $issued, "$name: its time");

    my $read = join ' ', $id_key, $hash, $issued, hex_of($instance),
        map { hex_of($_) } @claims;

    is(ask('parse', $text), "ok $read", "$name: it is read as it was made");
    is(ask('verify', $text, $of[0], map { hex_of($_) } @of[1, 2], $secret),
        'ok', "$name: it is verified");
    is(ask('parse', $text), "ok $read", "$name: it is known as it was made");
    isnt((make($issued, @of))[1], $text, "$name: it has random bytes");
}

for my $claims ('', 'c' x 68) {
    is((make(1, 's', $site, $user, $claims))[0], 'error',
        'no id has claims of ' . length($claims) . ' bytes');
}

my $text = (make(1700000000, 'session', $site, $user))[1];
my $last = substr $text, -1;
my ($id52, $id54, $id51) = map { (make(1700000000, 'session', $site, $user,
    'c' x $_))[1] } 2, 3, 1;


sub bytes { return decode_base64url($_[0]) }


for my $case (
    [ 'is shorter',          substr $text, 0, 49 ],
    [ 'is longer',           "${text}A" ],
    [ 'has a blank',         substr($text, 0, 48) . '+' . $last ],
    [ 'has "=" at its end',  substr($text, 0, 49) . '=' ],
    [ 'has "=" before its end', substr($text, 0, 48) . '=A' ],
    [ 'has another version', 'Ag' . substr $text, 2 ],
    [ 'has version 0',       'AA' . substr $text, 2 ],
    [ 'has claims and version 1', encode_base64url("\1" . substr bytes($id52),
        1) ],
    [ 'has claims and version 3', encode_base64url("\3" . substr bytes($id52),
        1) ],
    [ 'has claims of 68 bytes', encode_base64url("\2" . 'x' x 104) ],
    [ 'has a "=" behind claims', "$id52=" ],
    [ 'has two "=" behind claims', "$id54==" ],
    [ 'has claims without their last character', substr $id54, 0, -1 ],
    [ 'is empty',            '-' ],
    (map { [ "ends in $_", substr($text, 0, 49) . $_ ] } qw(B h x _ 0 P)),
    (map { [ "of 51 characters ends in $_", substr($id51, 0, 50) . $_ ] }
        qw(B C D 9 _)),
    (map { [ "of 54 characters ends in $_", substr($id54, 0, 53) . $_ ] }
        qw(B h x _ 0 P)),
) {
    is(ask('parse', $case->[1]), 'declined', "a text that $case->[0] is no id");
}

like(ask('parse', substr($text, 0, 49) . $_), qr/\Aok/,
    "a text that ends in $_ is an id") for qw(A Q g w);

for my $case (
    [ 'ok',       'as it was made',   'session', $site, $user, $secret ],
    [ 'ok',       'the second secret', 'session', $site, $user, 'x' x 32,
        $secret ],
    [ 'ok',       'the first of two',  'session', $site, $user, $secret,
        'x' x 32 ],
    [ 'declined', 'another secret',    'session', $site, $user, 'x' x 32 ],
    [ 'declined', 'no secret',         'session', $site, $user ],
    [ 'declined', 'another purpose',   'http',    $site, $user, $secret ],
    [ 'declined', 'another site',      'session', 'x', $user, $secret ],
    [ 'declined', 'another user',      'session', $site, 'x', $secret ],
    [ 'declined', 'a character moved', 'session', "${site}a",
        substr($user, 1), $secret ],
    [ 'error',    'an empty secret',   'session', $site, $user, '' ],
) {
    my ($want, $name, $purpose, @words) = @$case;

    for my $id ($text, $id52) {
        is(ask('verify', $id, $purpose, map { hex_of($_) } @words), $want,
            "an id is verified with $name: $want");
    }
}

# a claim that is changed, moved to another field, or left out

for my $case (
    [ 'claims changed',   sub { substr($_[0], 21, 1) ^= "\1" } ],
    [ 'claims longer',    sub { substr($_[0], 23, 0) = 'c' } ],
    [ 'claims shorter',   sub { substr($_[0], 22, 1) = '' } ],
    [ 'claims left out',  sub { substr($_[0], 21, 2) = '';
        substr($_[0], 0, 1) = "\1" } ],
) {
    my ($name, $change) = @$case;
    my $bytes = bytes($id52);

    $change->($bytes);

    my $id = encode_base64url($bytes);

    like(ask('parse', $id), qr/\Aok/, "$name: the form is good");
    is(ask('verify', $id, 'session', map { hex_of($_) } $site, $user, $secret),
        'declined', "$name: the MAC is not");
}

# digests: secrets that are kept prepared, and parts around the buffer of 256

for my $length (1, 127, 128, 129, 128, 127, 1000, 1000) {
    my $of = 's' x $length;

    for my $parts ([ 'a' ], [ 'a', '' ], [ '', '' ], [ 'a' x 300 ]) {
        is(ask('hmac', map { hex_of($_) } $of, @$parts),
            'ok ' . hex_of(digest($of, @$parts)),
            "a digest with a secret of $length bytes, parts of "
            . join ', ', map { length } @$parts);
    }
}

for my $one (0, 1, 243 .. 253, 255 .. 257, 1000) {
    for my $two (0, 1, 4, 250, 260) {
        my @parts = ('a' x $one, 'b' x $two, 'c');

        is(ask('hmac', map { hex_of($_) } $secret, @parts),
            'ok ' . hex_of(digest($secret, @parts)),
            "a digest of parts of $one, $two and 1 bytes");
    }
}

for my $other ('k' x 31 . 'l', 'j' . 'k' x 31, 'k' x 32) {
    is(ask('hmac', hex_of($other), '61'), 'ok ' . hex_of(digest($other, 'a')),
        'a secret that differs in one byte is another one');
}

is(ask('hmac', '-', '61'), 'error', 'a digest with an empty secret');
is(ask('errors'), 0, 'leaves nothing in the queue of OpenSSL');

# SipHash-2-4 with 128 bits: vectors_sip128 of the reference implementation,
# whose key and texts are the bytes 0, 1, 2, ...

for my $case (
    [ 0  => 'a3817f04ba25a8e66df67214c7550293' ],
    [ 1  => 'da87c1d86b99af44347659119b22fc45' ],
    [ 2  => '8177228da4a45dc7fca38bdef60affe4' ],
    [ 3  => '9c70b60c5267a94e5f33b6b02985ed51' ],
    [ 7  => 'a1f1ebbed8dbc153c0b84aa61ff08239' ],
    [ 8  => '3b62a9ba6258f5610f83e264f31497b4' ],
    [ 15 => '5493e99933b0a8117e08ec0f97cfc3d9' ],
    [ 63 => '5150d1772f50834a503e069a973fbd7c' ],
) {
    my ($length, $hash) = @$case;

    is(ask('siphash', map { hex_of(join '', map { chr } 0 .. $_ - 1) } 16,
        $length), "ok $hash", "SipHash of $length bytes");
}

# what is kept of what was computed: by all strings and their borders

my @kept = map { hex_of($_) } 'credential', 'alice', '';

for my $case (
    [ 'put', '61', @kept ],                        [ 'get', ' 61', @kept ],
    [ 'get', 'none', hex_of('credentia'), hex_of('lalice'), '-' ],
    [ 'get', 'none', $kept[0], hex_of('alicf'), '-' ],
    [ 'get', 'none', $kept[0], '-', $kept[1] ],
    [ 'forget', 'ok', $kept[0], hex_of('alicf'), '-' ],
    [ 'get', ' 61', @kept ],
    [ 'put', '62', @kept ],                        [ 'get', ' 62', @kept ],
    [ 'put', '63', '-' ],                          [ 'get', ' 63', '-' ],
    [ 'get', ' 62', @kept ],
    [ 'forget', 'ok', @kept ],                     [ 'get', 'none', @kept ],
    [ 'get', ' 63', '-' ],
    [ 'put', '64', @kept ],                        [ 'get', ' 64', @kept ],
) {
    my ($command, $want, @words) = @$case;

    is($command eq 'put' ? ask('put', $want, @words) : ask($command, @words),
        $command eq 'put' ? 'ok' : $want,
        "$command @{[ join ' ', map { substr $_, 0, 8 } @words ]}");
}

# strings of up to 320 bytes, with two bytes of a length for each; one byte that
# differs in any of them is another string

for my $length (1, 5, 6, 7, 14, 100, 316, 317, 318) {
    my $one = hex_of('p' x $length);

    is(ask('put', '65', $one), 'ok', "a string of $length bytes is put");
    is(ask('get', $one), ' 65', 'and found');
    is(ask('get', substr($one, 0, -2) . '71'), 'none',
        'not with another last byte');
    is(ask('get', '71' . substr $one, 2), 'none', 'or another first one');
    is(ask('get', "${one}00"), 'none', 'or with a zero behind it');
}

for my $parts ([ 'p' x 319 ], [ 'p' x 1000 ], [ 'p' x 316, 'q' ],
    [ 'p' x 65_536 ], [ ('p') x 11, 'q' x 300 ])
{
    my @words = map { hex_of($_) } @$parts;

    is(ask('put', '66', @words), 'ok', 'strings that are too long');
    is(ask('get', @words), 'none', 'are not kept');
    is(ask('forget', @words), 'ok', 'and not forgotten');
}

is(ask('put', '67', hex_of('p' x 315), hex_of('q')), 'ok', '320 bytes in two');
is(ask('get', hex_of('p' x 315), hex_of('q')), ' 67', 'are kept');

# as many as there are places for, and more: each is found or not, but never
# another one

{
    my @wrong;
    my $found = 0;

    ask('put', sprintf('%02x', $_ % 251), sprintf '%08x', $_) for 1 .. 3000;

    for my $n (1 .. 3000) {
        my $got = ask('get', sprintf '%08x', $n);

        $found++ if $got ne 'none';
        push @wrong, $n if $got ne 'none'
            && $got ne sprintf ' %02x', $n % 251;
    }

    is_deeply(\@wrong, [], 'what is found is what was put');
    cmp_ok($found, '>', 700, 'most of 1,024 are found');
    cmp_ok($found, '<=', 1024, 'not more');
}

is(ask('random', 1 << 31), 'error', 'there are no 2 GB of random bytes');
isnt(ask('random', 32), ask('random', 32), 'random bytes are other ones');
like(ask('random', 32), qr/\Aok [0-9a-f]{64}\z/, 'as many as were asked for');

# two entries of a worker have the same hash, the oldest one goes for the third

my ($mine, @other) = map { hex_of("pair $_") } 0 .. 20_000;


# The first of the others with which "mine" has lost its place, put after those
# given.

sub displaces {
    my @before = @_;

    ask('forget', $_) for $mine, @before;
    ask('put', '61', $_) for $mine, @before;

    for my $other (@other) {
        ask('put', '62', $other);
        return $other if ask('get', $mine) eq 'none';
    }

    return;
}


my $newest = displaces();
my $newer  = displaces($newest);

ask('forget', $_) for $mine, $newer, $newest;
ask('put', '61', $mine);
ask('put', '62', $newer);
is(ask('get', $mine), ' 61', 'a pair of entries: the older one stays');
is(ask('get', $newer), ' 62', 'beside the newer one');
ask('put', '63', $mine);
is(ask('get', $newer), ' 62', 'the older one changes: the newer one stays');
ask('put', '64', $newest);
is(ask('get', $mine), 'none', 'a third one takes the place of the oldest');
is(ask('get', $newer), ' 62', 'and not of the other one');
is(ask('get', $newest), ' 64', 'and is known');
ask('forget', $newest);
is(ask('get', $newest), 'none', 'one is forgotten');
is(ask('get', $newer), ' 62', 'the other one is not');
ask('put', '65', $mine);
is(ask('get', $newer), ' 62', 'and stays, as there is room');

finish();
