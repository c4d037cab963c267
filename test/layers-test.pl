# What test/check-layers must find, and what it must let pass: small trees, each with one thing wrong.
use strict;
use warnings;
use Cwd qw(abs_path getcwd);
use File::Path qw(make_path);
use File::Temp qw(tempdir);

my $table = "| `src/low` | | |\n| `src/high` | | |\n";
# Two layers; in the lower one b stands on a, and data holds what both know.
my %sound = (
    'docs/architecture.md' => $table,
    'src/low/README.md' => "# low\n* `data` is composed of its parts: each may look at the others\n",
    'src/high/README.md' => "# high\n",
    'src/low/a.h' => "struct a { int n; };\nvoid a_call(void);\n",
    'src/low/a.c' => qq(#include "low/data.h"\nvoid a_call(void) {}\n),
    'src/low/b.h' => qq(#include "low/data.h"\nvoid b_call(void);\n),
    'src/low/b.c' => qq(#include "low/b.h"\nvoid b_call(void) { a_call(); }\n),
    'src/low/data.h' => qq(#include "low/a.h"\nstruct data { struct a a; };\n),
    'src/high/c.h' => "void c_call(void);\n",
    'src/high/c.c' => qq(#include "high/c.h"\n#include "low/b.h"\nvoid c_call(void) { b_call(); }\n));

my $readme = $sound{'src/low/README.md'};
my $calls_back = qq(#include "low/data.h"\nvoid b_call(void);\nvoid a_call(void) { b_call(); }\n);
my @cases = (
    ['a sound tree', {}, undef],
    ['a file includes a higher one', {'src/low/b.c' => qq(#include "high/c.h"\n)},
     qr{src/low/b.c:1: src/low includes a file of src/high}],
    ['a file calls a higher one', {'src/low/a.c' => "void c_call(void);\nvoid a_call(void) { c_call(); }\n"},
     qr{src/low/a.o: c_call: src/low uses what belongs to src/high}],
    ['two modules call each other', {'src/low/a.c' => $calls_back}, qr{calls in a circle: a > b > a}],
    ['and are excused',
     {'src/low/a.c' => $calls_back, 'src/low/README.md' => "$readme* `a` and `b` call each other: why\n"}, undef],
    ['three modules call in a circle',
     {'src/low/a.c' => "void d_call(void);\nvoid a_call(void) { d_call(); }\n",
      'src/low/d.c' => "void b_call(void);\nvoid d_call(void);\nvoid d_call(void) { b_call(); }\n"},
     qr{calls in a circle: a > d > b > a}],
    ['two modules are excused that only call one way',
     {'src/low/README.md' => "$readme* `a` and `b` call each other: why\n"},
     qr{README.md:3: a and b do not call each other}],
    ['two modules are excused that are not there',
     {'src/low/README.md' => "$readme* `x` and `y` call each other: why\n"},
     qr{README.md:3: x and y do not call each other}],
    ['two headers include each other', {'src/low/a.h' => qq(#pragma once\n#include "low/b.h"\nvoid a_call(void);\n),
                                        'src/low/data.h' => '',
                                        'src/low/b.h' => qq(#pragma once\n#include "low/a.h"\nvoid b_call(void);\n)},
     qr{headers in a circle: a > b > a}],
    ['a part\'s header includes what it is a part of',
     {'src/low/a.h' => qq(#pragma once\n#include "low/data.h"\nstruct a { int n; };\nvoid a_call(void);\n),
      'src/low/data.h' => qq(#pragma once\n#include "low/a.h"\nstruct data;\n)},
     qr{headers in a circle: a > data > a}],
    ['two modules include each other',
     {'src/low/a.c' => qq(#include "low/a.h"\n#include "low/b.h"\nvoid a_call(void) {}\n),
      'src/low/b.c' => qq(#include "low/a.h"\n#include "low/b.h"\nvoid b_call(void) {}\n),
      'src/low/b.h' => "void b_call(void);\n", 'src/low/data.h' => "struct data;\n"},
     qr{modules that include each other in a circle: a > b > a}],
    ['a composition has a function', {'src/low/data.h' => qq(#include "low/a.h"\nvoid data_call(void);\n)},
     qr{src/low/data.h:2: a function in what is composed of its parts}],
    ['a composition has a .c file', {'src/low/data.c' => qq(#include "low/data.h"\n)},
     qr{src/low/data.h: has a .c file}],
    ['a composition that no part includes', {'src/low/a.c' => qq(#include "low/a.h"\nvoid a_call(void) {}\n)},
     qr{README.md:2: no part of data includes it}],
    ['a composition that is not named', {'src/low/README.md' => "# low\n"},
     qr{modules that include each other in a circle: a > data > a}],
    ['a public call in a lower folder', {'src/low/b.c' => qq(void gc_call(void) {}\nvoid b_call(void) {}\n)},
     qr{src/low/b.o: gc_call: a public call outside of src/high}],
    ['a folder that is not in the table', {'src/other/README.md' => "# other\n"}, qr{src/other is not in the table}],
    ['a folder without a README', {'src/high/README.md' => undef}, qr{src/high has no README.md}],
    ['a file outside of the folders', {'src/e.c' => "int e;\n"}, qr{src/e.c: a file outside of the folders}]);

sub write_tree {
    my ($tree) = @_;
    for my $path (sort keys %$tree) {
        next unless defined $tree->{$path};
        make_path($path =~ m{(.*)/});
        open my $out, '>', $path or die "$path: $!\n";
        print $out $tree->{$path};
        close $out;
    }
}

sub compile_tree {
    my $cc = $ENV{CC} // 'cc';
    for my $file (glob 'src/*/*.c') {
        my $object = 'build/' . ($file =~ s/c$/o/r);
        make_path($object =~ m{(.*)/});
        system("$cc -Isrc -c -o $object $file") == 0 or die "$file does not compile\n";
    }
}

sub self_test {
    my ($script) = map { abs_path($_) } @_;
    my ($home, $failed) = (getcwd(), 0);
    for my $case (@cases) {
        my ($name, $changes, $expected) = @$case;
        my $scratch = tempdir(CLEANUP => 1);
        chdir $scratch;
        write_tree({%sound, %$changes});
        compile_tree();
        my $said = qx($^X $script build 2>&1);
        my $passes = $? == 0;
        chdir $home;
        next if defined $expected ? !$passes && $said =~ $expected : $passes;
        print "$name: ", defined $expected ? 'not found' : 'found fault with', "; it said:\n$said";
        $failed = 1;
    }
    return $failed;
}
1;
