#!/usr/bin/env bash
# What the documents say is true: their programs compile and print what they promise, their
# functions exist, and the reference leaves none out.
. test/tap.bash
documents=(README.md docs/*.md examples/*/README.md)

# Each ```c or ```cpp block with a main goes to a file of its own; a ```text block right after it is
# what the program prints. A ```c bug block is a program with a bug, which shows only under switches. Up to
# the next heading, a ```log SWITCHES block is what the library says under these switches, and a ```c fix block
# is the function without the bug.
perl - "$scratch" "${documents[@]}" <<'EOF'
use strict;
use warnings;
my ($dir, @files) = @ARGV;
# How the guide looks for a bug: what is said, and the program without the bug.
sub search {
    my ($program, $code, $rest) = @_;
    $rest =~ s/^## .*//ms;
    my $n = 0;
    while ($rest =~ /^```log (\S+)\n(.*?)^```\n/msg) {
        open my $out, '>', "$program.said." . $n++ or die;
        print $out "$1\n$2";
    }
    my ($fixed, $head) = $rest =~ /^```c fix\n((.*?)\n.*?)^```\n/ms or die "$program: no fix\n";
    $code =~ s/^\Q$head\E\n.*?^\}\n/$fixed/ms or die "$program: nothing to fix\n";
    open my $out, '>', "$program.fixed.c" or die;
    print $out $code;
}
for my $file (@files) {
    (my $name = $file) =~ s{^docs/|\.md$}{}g;
    $name =~ tr{/}{-};
    open my $in, '<', $file or next;
    local $/;
    my $text = <$in>;
    while ($text =~ /^```(c|cpp)( bug)?\n(.*?)^```\n(?:\n*(?:It prints:?\n+)?```text\n(.*?)^```\n)?/msg) {
        my ($language, $bug, $code, $prints, $begin, $end) = ($1, $2, $3, $4, $-[0], $+[0]);
        next unless $code =~ /\bint main\b/;
        my $line = my $number = 2 + (substr($text, 0, $begin) =~ tr/\n//);
        $line .= '.bug' if $bug;
        open my $out, '>', "$dir/$name.$line.$language" or die;
        print $out "#line $number \"$file\"\n$code";
        search("$dir/$name.$line", "#line $number \"$file\"\n$code", substr $text, $end) if $bug;
        next unless defined $prints;
        open $out, '>', "$dir/$name.$line.text" or die;
        print $out $prints;
    }
}
EOF

# A program with threads forks.
export TSAN_OPTIONS=${TSAN_OPTIONS-}:die_after_fork=0
urcu=$(pkg-config --cflags --libs liburcu-cds)
works() { # FILE
    local program=${1%.*} compiler=("$CC" -std=c11)
    [[ $1 != *.cpp ]] || compiler=("$CXX" -std=c++17 -Isrc/api)
    # What a program with a bug adds up may overflow, and the bug is in the function that is named.
    [[ $1 != *.bug.c ]] || compiler+=(-g -fwrapv -fno-inline)
    # $CC and $CXX may be a compiler with flags.
    # shellcheck disable=SC2068
    ${compiler[@]} -Wall -Wextra -Wconversion -pedantic -Werror -O1 -pthread $SANFLAGS -I. \
        -o "$program" "$1" "$BUILD/libgcheap.a" $urcu -lm || return 1
    "$program" >"$program.printed" || { echo "exit status $?" && return 1; }
    [[ ! -f $program.text ]] || diff "$program.text" "$program.printed"
}
# The switches that the guide names find the bug of a program that works without them, in these words. Addresses
# and numbers of threads differ.
plain() { sed -E 's/0x[0-9a-f]+/0x/g; s/thread [0-9]+/thread/g' "$1"; }
found() { # PROGRAM
    local said switches
    GCHEAP_DEBUG=nth=1,poison "$1" >"$1.log" || return 1
    ! cmp -s "$1.log" "$1.text" || { echo 'nth=1,poison changes nothing' && return 1; }
    # Sanitizers keep words on the stack that a plain program does not.
    [[ -z $SAN ]] || return 0
    for said in "$1".said.*; do
        switches=$(head -1 "$said")
        GCHEAP_DEBUG=$switches "$1" >"$1.log" 2>&1
        plain "$1.log" >"$1.plain"
        tail -n +2 "$said" | plain - | while read -r line; do
            grep -qxF -- "$line" "$1.plain" || { echo "$switches does not say: $line" && cat "$1.log" && return 1; }
        done || return 1
    done
}
# GDB tells which line of the program the place in a message is.
located() { # PROGRAM
    local place line
    place=$(grep -oE 'main\+0x[0-9a-f]+' "$1.log" | tail -1)
    line=$(HOME=$scratch gdb -q -nx -batch -ex "info line *$place" "$1" | sed -nE 's/^Line ([0-9]+) of .*/\1/p')
    [[ -n $line ]] && sed -n "${line}p" docs/guide.md | grep -qF 'list = cons(number(i), list);'
}
# It stops where the slot that a message names is written.
stopped() { # PROGRAM
    local slot
    slot=$(GCHEAP_DEBUG=nth=1,verify,types "$1" 2>&1 | sed -nE 's/.*struct pair.head at (0x[0-9a-f]+), to .*/\1/p')
    GCHEAP_DEBUG=nth=1,verify,types HOME=$scratch gdb -q -nx -batch -iex 'set debuginfod enabled off' -ex 'break main' \
        -ex run -ex "watch -l *(void **)$slot" -ex continue -ex continue -ex continue "$1" >"$1.log" 2>&1
    [[ -n $slot ]] && grep -q '^cons (head=0x' "$1.log" || { cat "$1.log" && return 1; }
}
# Without the bug, nothing is said.
fixed() { # PROGRAM
    local switches
    for switches in all nth=1,poison,verify; do
        GCHEAP_DEBUG=$switches "$1.fixed" >"$1.log" 2>&1 && diff "$1.text" "$1.log" || return 1
    done
}
for file in "$scratch"/*.c "$scratch"/*.cpp; do
    [[ -e $file ]] || continue
    check "the program at ${file#"$scratch"/} works" works "$file"
    [[ $file != *.bug.c ]] || check 'its bug is found' found "${file%.c}"
    [[ $file != *.bug.c || -n $SAN ]] || ! command -v gdb >/dev/null || {
        check 'GDB finds its line' located "${file%.c}"
        check 'GDB stops where it stores' stopped "${file%.c}"
    }
    [[ $file != *.bug.fixed.c ]] || check 'it has no bug' fixed "${file%.fixed.c}"
done

# The first programs that a reader sees: one in C and one in C++, each with a line to show.
first_programs() {
    local language printed
    for language in c cpp; do
        printed=("$scratch"/README.*.$language)
        grep -qE '^[0-9]+ collections, longest stall [0-9]+ us, [0-9]+ KB live$' "${printed[0]%.*}.printed" ||
            { echo "no line of the program in $language" && return 1; }
    done
}
check 'the programs of the README print what they did' first_programs

# Public functions and macros of the header.
functions() {
    sed -e '/^ \* Macro machinery/,$d' gcheap.h |
        perl -0ne 's{/\*.*?\*/}{}gs;
            print "$1\n" while /^(?:GC_API|static inline)\b[^;{(]*?\b(gc_\w+)\s*\(/gm;
            print "$1\n" while /^extern GC_API\b[^;]*?\b(gc_\w+)(?:\[|;)/gm' |
        grep -vE '_slow$|^gc_barrier_|^gc_frame_(error|pop)$|^gc_(class_by_8|take_cell)$'
    printf '%s\n' GC_TYPE GC_TYPE_NOPTR GC_REF GC_GET GC_SET GC_VALUE GC_GET_VALUE GC_SET_VALUE GC_FRAME GC_FRAME_ARRAY
}
# Public names of the C++ header.
cxx_names() {
    sed '/^namespace detail/,/^} .*namespace/d' src/api/gcheap.hpp |
        perl -ne 'next unless /^(?:template|class)\b.*[^;]$/;
            print "gc::$1\n" if /^(?:template <[^>]*> )?class (\w+)/ || /\b(\w+)\(/'
}
fields() { # TYPE: the names of its members, as the compiler sees them
    printf '#include "gcheap.h"\n%s x;\n' "$1" | gcc -I. -x c -g -c -o "$scratch/fields.o" - &&
        readelf --debug-dump=info "$scratch/fields.o" |
        awk -v want="${1#struct }" '
            /Abbrev Number.*\(DW_TAG_/ { tag = $NF; if ($1 ~ /^<1>/) inside = 0 }
            /DW_AT_name/ { if (tag ~ /structure_type/) inside = $NF == want
                           if (tag ~ /_member/ && inside) print $NF }'
}
flags() { sed -n '/^enum gc_flags/,/^}/s/^ *\(GC_[A-Z_]*\) =.*/\1/p' gcheap.h; }

# complete FILE PATTERN MINIMUM COMMAND…: each word that the command writes, at least so many, stands in
# a line of the file after the pattern.
complete() {
    local words word wrong=0 file=$1 pattern=$2 minimum=$3
    shift 3
    mapfile -t words < <("$@")
    ((${#words[@]} >= minimum)) || { echo "only ${#words[@]} names found" && return 1; }
    for word in "${words[@]}"; do
        grep -qE -- "$pattern\\b$word\\b" "$file" || { echo "not in $file: $word" && wrong=1; }
    done
    return $wrong
}
# The first column of the tables of porting.md has the calls of other collectors.
own_words() { # FILE
    case $1 in
    docs/porting.md) sed 's/^| [^|]*|/|/' "$1" ;;
    *) cat "$1" ;;
    esac
}
# No document speaks of a gc_, GC_ or gc:: name that the headers do not have. Those about the insides
# may name what is there, and the benchmarks the peers' calls.
exist() {
    local wrong=0 file word
    cxx_names | cat - gcheap.h src/api/gcheap.hpp >"$scratch/public"
    for file in "${documents[@]}"; do
        local known=("$scratch/public")
        case $file in
        docs/architecture.md | docs/invariants.md | docs/from-go.md) known+=(src/*/*.[ch]) ;;
        docs/benchmarks.md) known+=(bench/adapters/*) ;;
        esac
        for word in $(own_words "$file" | grep -ohE '\b((gc|GC)_[A-Za-z0-9_]*[a-z0-9A-Z]|gc::[a-z_]*[a-z])\b' | sed 's/^gc_self_abi_[0-9]*$/gc_self/' | sort -u); do
            grep -qw -- "$word" "${known[@]}" || { echo "$file: no such name: $word" && wrong=1; }
        done
    done
    return $wrong
}
# Files that are named are there, and what is said to be in them.
sources() {
    local wrong=0 word file
    # gcheap_all.c is made.
    for file in $(grep -ohE '`[a-z_]+\.[ch]`' docs/*.md | tr -d '`' | grep -vx gcheap_all.c | sort -u); do
        compgen -G "$file" >/dev/null || compgen -G "*/$file" >/dev/null || compgen -G "src/*/$file" >/dev/null ||
            { echo "no such file: $file" && wrong=1; }
    done
    while read -r word _ file; do
        [[ -e $file ]] || file=$(compgen -G "src/*/$file" || true)
        grep -qw -- "$word" "$file" || { echo "not in $file: $word" && wrong=1; }
    done < <(grep -ohE '`[a-z_]+` in `[a-z_]+\.[ch]`' docs/*.md | tr -d '`' | sort -u)
    return $wrong
}
headings() { # FILE: the anchors of its headings
    grep -E '^#+ ' "$1" | sed 's/^#* //' | tr 'A-Z ' 'a-z-' | tr -cd 'a-z0-9_\n-'
}
# Relative links lead to files, and to headings in them.
links() {
    local wrong=0 file target path
    for file in "${documents[@]}"; do
        while read -r target; do
            path=$(dirname "$file")/${target%%#*}
            [[ $target != '#'* ]] || path=$file
            [[ -e $path ]] || { echo "$file: no such file: $target" && wrong=1; }
            [[ $target != *'#'* ]] || grep -qxF -- "${target#*#}" <<<"$(headings "$path")" ||
                { echo "$file: no such heading: $target" && wrong=1; }
        done < <(sed '/^```/,/^```/d' "$file" | grep -oE '\]\([^)]+\)' | sed 's/^](//; s/)$//' | grep -vE '^[a-z]+:')
    done
    return $wrong
}

# The rows of the reference say what test/api/calls.c has tried.
who_may() {
    diff <("$BUILD/test/calls" --table) <(sed -n '/^| call | no heap /,/^$/p' docs/reference.md | sed '/^$/d')
}

check 'the reference has every function' complete docs/reference.md '^### .*' 100 functions
check 'the manual page has every function' complete docs/gcheap.3.md '' 100 functions
check 'the reference has every name of C++' complete docs/reference.md '^### .*' 10 cxx_names
check 'the reference has every option' complete docs/reference.md '' 12 fields gc_options
check 'the reference has every flag' complete docs/reference.md '' 6 flags
check 'the manual page has every flag' complete docs/gcheap.3.md '' 6 flags
check 'the reference has every statistic' complete docs/reference.md '' 25 fields 'struct gc_statistics'
check 'the documents name only what exists' exist
check 'sources that are named are there' sources
check 'links lead to files' links
# What is quoted as said by the library stands in its sources, but for numbers, names and what goes on.
quoted() {
    local wrong=0 line text
    cat src/*/*.c | perl -0pe 's/"\s*\n\s*"//g; s/%[-.*0-9]*(?:ll|z)?[a-z]/\x01/g' >"$scratch/texts"
    while read -r line; do
        text=${line#gcheap: }
        perl -e 'my ($said, $file) = @ARGV; $said =~ s/\w+\+0x\w+//g; open my $in, "<", $file or die; local $/; my $all = <$in>;
            for my $text (sort { length $b <=> length $a } $all =~ /"((?:[^"\\\n]|\\.){8,})"/g) {
                my $re = join ".*?", map { quotemeta } split /\x01+/, $text, -1;
                $said =~ s/$re/ / if $re =~ /[a-z]{4}/;
            }
            exit($said =~ /\b[a-z]{4,}\b/)' "$text" "$scratch/texts" ||
            { echo "the library does not say: $line" && wrong=1; }
    done < <(grep -hE '^gcheap: ' docs/*.md)
    return $wrong
}

# The guide lists all safepoints, and nothing else: those of the table of calls.
safepoints() {
    diff <(sed -n '/^| call | no heap /,/^$/p' docs/reference.md | grep -vE '\| (no|safepoint|---) \|$' |
        grep -oE '^\| `.*`' | grep -oE 'gc_[a-z_]+' | sort) \
        <(sed -n '/These calls are safepoints:/,/^No other call/p' docs/guide.md |
            sed 's/^| \([^|]*\)|.*/\1/' | grep -oE 'gc_[a-z_]+' | sort)
}

check 'the guide lists all safepoints' safepoints
check 'messages that are quoted are those of the library' quoted
check 'who may call what is what the test of it expects' who_may
done_testing
