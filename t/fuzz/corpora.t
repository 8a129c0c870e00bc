# The targets of the fuzzers, without clang: each input of fuzz/corpus, and
# variations of it, has the properties that its target checks.  fuzz/README.md.

use strict;
use warnings;

use lib 't/lib';
use MCPTest;
use MCPTest::Nginx;
use MCPTest::Unit;
use Test::More;

use constant VARIATIONS => 30;      # of each input

my $dir   = MCPTest::root() . '/fuzz';
my %lines = map { $_ => slurp($_) } glob "$dir/*.c";
my @names = map { m{(\w+)\.c\z} && -d "$dir/corpus/$1" ? $1 : () } sort keys
    %lines;


sub slurp {
    my ($name) = @_;

    open my $file, '<', $name or die "$name: $!\n";
    local $/;

    return scalar <$file>;
}


# All of them in one program: what they share, then each target, whose function
# gets a name of its own.

my $program = '';

$program .= qq(#include "$_"\n)
    for grep { !-d "$dir/corpus/" . s{.*/|\.c\z}{}gr } sort keys %lines;

for my $name (@names) {
    $program .= <<"EOT";
#define LLVMFuzzerTestOneInput  fuzz_target_$name
int fuzz_target_$name(const uint8_t *data, size_t size);
#include "$dir/$name.c"
#undef LLVMFuzzerTestOneInput
EOT
}

$program .= join "\n", 'struct {', '    const char *name;',
    '    int (*run)(const uint8_t *data, size_t size);', '} targets[] = {',
    (map { qq(    { "$_", fuzz_target_$_ },) } @names), '    { NULL, NULL }',
    "};\n";

# a target has the sources of calls in itself

my $unit = MCPTest::Unit->new('t/fuzz/corpora.c',
    [ grep { $_ ne 'session/ngx_mcp_task_call' } MCPTest::Unit::objects() ],
    $program);

cmp_ok(scalar @names, '>=', 23, 'targets');

for my $name (@names) {
    my @inputs = glob "$dir/corpus/$name/*";

    is($unit->ask($name, "$dir/corpus/$name", VARIATIONS),
        'ok ' . @inputs * (VARIATIONS + 1),
        "$name: " . @inputs . ' inputs and variations');
}

finish();
