package MCPTest::JSON;

# Takes JSON text apart as bytes, for tests of values that must come back
# exactly as they were sent: decoded, these could not be compared.

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();

our @EXPORT_OK = qw(encode decode members raw_id);

my $codec = JSON::PP->new->utf8->canonical->allow_nonref;


sub encode { return ref $_[0] ? $codec->encode($_[0]) : $_[0] }
sub decode { return scalar eval { $codec->decode($_[0]) } }


# The members of the object at the top of the text: a reference to a hash of
# raw values and one to the list of names in order.  Values are not decoded, so
# this is fast for megabytes as well.

sub members {
    my ($text) = @_;

    my (%raw, @names);

    return unless $text =~ /\G\s*\{\s*/gc;
    return (\%raw, \@names) if $text =~ /\G\}/gc;

    while (1) {
        my $from = pos $text;
        _string(\$text) or return;

        my $name = substr $text, $from + 1, pos($text) - $from - 2;

        $text =~ /\G\s*:\s*/gc or return;
        $from = pos $text;
        _value(\$text) or return;

        push @names, $name;
        $raw{$name} = substr $text, $from, pos($text) - $from;

        $text =~ /\G\s*/gc;
        next if $text =~ /\G,\s*/gc;
        last if $text =~ /\G\}/gc;
        return;
    }

    return (\%raw, \@names);
}


sub raw_id {
    my ($members) = members($_[0]);

    return $members ? $members->{id} : undef;
}


sub _string {
    my ($text) = @_;

    $$text =~ /\G"/gc or return 0;

    while (1) {
        $$text =~ /\G[^"\\]+/gc;
        return 1 if $$text =~ /\G"/gc;
        $$text =~ /\G\\./gcs or return 0;
    }
}


sub _value {
    my ($text) = @_;

    my $depth = 0;

    while (1) {
        $$text =~ /\G[\s,:]+/gc if $depth;

        if ($$text =~ /\G[\[{]/gc) {
            $depth++;
            next;
        }

        if ($$text =~ /\G[\]}]/gc) {
            return 0 if --$depth < 0;

        } elsif ($$text =~ /\G(?=")/gc) {
            _string($text) or return 0;

        } else {
            $$text =~ /\G[-+.\w]+/gc or return 0;
        }

        return 1 if $depth == 0;
    }
}


1;
