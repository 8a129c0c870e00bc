# Ids of questions to clients: an id is valid for the key of the question, the
# session and the secret for which it was made, and for no other.
# docs/PROTOCOL.md 16.

use strict;
use warnings;

use lib 't/lib';
use Digest::SHA qw(hmac_sha256);
use MIME::Base64 qw(encode_base64url);
use MCPTest;
use MCPTest::Unit;
use Test::More;

my $unit = MCPTest::Unit->new('t/crypto/question-id.c',
    [ map { "crypto/ngx_mcp_$_" } qw(digest question_id) ]);

my $k      = 'Abz09-_' x 4;
my $key    = 'k' x 16;
my $secret = 's' x 32;


sub make {
    my ($secret, $k, $key) = @_;

    return $unit->ask('make', map { MCPTest::Unit::hex($_) } $secret, $k, $key);
}


sub verify {
    my ($text, $key, @secrets) = @_;

    return $unit->ask('verify',
        map { MCPTest::Unit::hex($_) } $text, $key, @secrets);
}


# HMAC over parts with their lengths, of which the module keeps a half

sub id {
    my ($secret, $k, $key) = @_;

    my $mac = hmac_sha256(join('', map { pack('N', length) . $_ }
        'question', $k, $key), $secret);

    return "$k." . encode_base64url(substr $mac, 0, 16);
}


my $id = id($secret, $k, $key);

is(make($secret, $k, $key), "ok $id", 'the bytes of an id');
is(verify($id, $key, $secret), "ok $k", 'it is valid');
is(verify($id, $key, 'other', $secret), "ok $k", 'with the second secret, too');
is(verify($id, $key, 'other', 'another'), 'declined', 'and with no other');
is(verify($id, 'K' x 16, $secret), 'declined', 'not for another session');
is(verify($id, $key, ''), 'error', 'an empty secret verifies nothing');
is(make('', $k, $key), 'error', 'and makes nothing');

# of each character another one

my $changed = join '', map {
    my $text = $id;
    substr($text, $_, 1) = substr($text, $_, 1) eq 'x' ? 'y' : 'x';
    verify($text, $key, $secret) eq 'declined' ? '' : " $_";
} 0 .. length($id) - 1;

is($changed, '', 'no character can be another one');

# the last character has bits that are not of the MAC

like(substr($id, -1), qr/[AQgw]/, 'unused bits are zero');
is(verify($id =~ s/(.)\z/chr(1 + ord $1)/er, $key, $secret), 'declined',
    'and must be');

# lengths and characters of K

for my $case ([ 21, 'error' ], [ 22, 'ok' ], [ 64, 'ok' ], [ 65, 'error' ]) {
    my ($len, $want) = @$case;
    my $k = 'a' x $len;

    my $made = make($secret, $k, $key);

    is($made, $want eq 'ok' ? 'ok ' . id($secret, $k, $key) : $want,
        "K of $len characters: $want");
    is(verify(id($secret, $k, $key), $key, $secret),
        $want eq 'ok' ? "ok $k" : 'declined', "and when it comes back");
}

for my $char ('+', '/', '=', '.', ' ', '"', "\0", "\xe4", ':', '@', '[', '`',
    '{', ',')
{
    my $other = 'a' x 22 . $char;

    is(make($secret, $other, $key), 'error',
        'not of base64url: ' . MCPTest::Unit::hex($char));
    is(verify(id($secret, $other, $key), $key, $secret), 'declined',
        'although its MAC is right');
}

# other texts

for my $text ('', '.', 'a' x 22, '.' . 'a' x 22, 'a' x 45, $k, "$id=", " $id",
    "$id.", substr($id, 0, -1), substr($id, 1), $id =~ s/\./-/r, 'a' x 4000)
{
    is(verify($text, $key, $secret), 'declined',
        'no id: ' . substr $text, 0, 60);
}

finish();
