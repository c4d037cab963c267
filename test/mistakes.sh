#!/usr/bin/env bash
# Each program of test/mistakes makes one mistake. Under GCHEAP_DEBUG=all the library names it, in the words that
# the table in docs/debugging.md has.
#   test/mistakes.sh --table    writes the table anew
. test/tap.bash
programs=()
for file in test/mistakes/*.c test/mistakes/*.cpp; do
    [[ $file == */read-dead.c ]] || programs+=("$file") # only other tools see it, see below
done
urcu=$(urcu)

build() { # FILE
    local compiler=("$CC" -std=gnu11)
    [[ $1 != *.cpp ]] || compiler=("$CXX" -std=c++17)
    # $CC and $CXX may be a compiler with flags. A mistake that compilers warn of is meant.
    # shellcheck disable=SC2068,SC2086
    ${compiler[@]} -w -g -O1 -fno-inline-functions-called-once -fno-optimize-sibling-calls -pthread -I. -o "$scratch/$(name_of "$1")" "$1" "$BUILD/libgcheap.a" $urcu
}
name_of() { # FILE
    local name=${1##*/}
    echo "${name%.*}"
}

# ---- What a program says -------------------------------------------------------------------

# Without addresses, and numbers that differ from run to run.
plain() { sed -E 's/0x[0-9a-f]+/0x…/g; s/thread [0-9]+/thread 4711/g; s/cycle [0-9]+/cycle 3/g; s/for [0-9]+ ms/for 100 ms/'; }
# The first message of the library, and after a tab the seconds until it came.
first_message() { # PROGRAM SWITCHES
    local start=$EPOCHREALTIME line messages program
    exec {messages}< <(GCHEAP_DEBUG=$2 exec "$scratch/$1" 2>&1 >/dev/null)
    program=$!
    while IFS= read -r line <&"$messages"; do
        [[ $line == 'gcheap: '* ]] || continue
        printf '%s\t%s\n' "${line#gcheap: }" "$(awk "BEGIN { printf \"%.2f\", $EPOCHREALTIME - $start }")"
        break
    done | plain
    exec {messages}<&-
    kill -KILL "$program" 2>/dev/null # it may go on for long
}
# How the program ends without switches, and whether it says the same.
without_switches() { # FILE MESSAGE
    local ends
    if sed -n 2p "$1" | grep -q 'By chance'; then
        echo 'right or wrong'
        return
    fi
    ends=$(by_itself "$(name_of "$1")")
    [[ $(grep -m 1 '^gcheap: ' "$scratch/err" | plain) != "gcheap: $2" ]] || ends+=', with the message'
    echo "$ends"
}
by_itself() { # PROGRAM
    local status
    "$scratch/$1" >"$scratch/out" 2>"$scratch/err"
    status=$?
    case $status in
    0) echo 'right' ;;
    1) echo 'wrong' ;;
    134) echo 'aborts' ;;
    139) echo 'crashes' ;;
    *) echo "status $status" ;;
    esac
}

# ---- The table -----------------------------------------------------------------------------

title_of() { # FILE
    sed -nE '1s|^/\* (.*)\. \*/$|\1|p' "$1"
}
escaped() { sed 's/|/\\|/g'; }
row() { # FILE
    local said seconds
    IFS=$'\t' read -r said seconds < <(first_message "$(name_of "$1")" all)
    printf '| [%s](../%s) | %s | %s s | %s |\n' "$(title_of "$1")" "$1" "$(without_switches "$1" "$said")" "$seconds" "$(escaped <<<"$said")"
}
table() {
    local file
    for file in "${programs[@]}"; do
        build "$file" && row "$file"
    done
}
if [[ ${1-} == --table ]]; then
    table
    exit
fi

# ---- The test ------------------------------------------------------------------------------

# A debug build may end the process at a check of its own: there the message alone counts.
essence() {
    if [[ $BUILD == *-debug ]]; then
        sed -E 's/\) \| [^|]* \| [0-9.]+ s \| /) | /'
    else
        sed -E 's/ [0-9.]+ s \| / | /'
    fi
}
documented() { # FILE
    diff <(grep -F "](../$1)" docs/debugging.md | essence) <(row "$1" 2>/dev/null | essence)
}
not_with_sanitizers 'report mistakes'
if ! "$CC" --version | grep -q 'Free Software Foundation'; then
    echo "1..0 # SKIP the table has what programs say that gcc compiles"
    exit
fi
for file in "${programs[@]}"; do
    check "$(name_of "$file"): it compiles" build "$file"
    check "$(name_of "$file"): it is named" documented "$file"
done
# ---- Other tools ---------------------------------------------------------------------------

# What documents say of AddressSanitizer and Valgrind holds for a program that reads a dead object.
read_dead=test/mistakes/read-dead.c
tell_all() { # PATTERN… : of each, there is a line in the output
    local pattern
    for pattern; do
        grep -qE -- "$pattern" "$scratch/out" || { echo "not said: $pattern" && cat "$scratch/out" && return 1; }
    done
}
to_address_sanitizer() {
    "$CC" -std=c11 -g -fsanitize=address -I. -o "$scratch/asan" $read_dead "$BUILD/libgcheap.a" $urcu -pthread || return 1
    ! GCHEAP_DEBUG=redzones,nth=100 ASAN_OPTIONS=detect_leaks=0 "$scratch/asan" >"$scratch/out" 2>&1 &&
        tell_all 'AddressSanitizer: use-after-poison' 'in main .*read-dead.c:' \
            '^gcheap: 0x[0-9a-f]+ lies at struct node \+ 8 of the object at 0x[0-9a-f]+, which cycle [0-9]+ found unreachable: keep it in a GC_FRAME' \
            '^gcheap:   0x[0-9a-f]+ was allocated by thread [0-9]+ in new_node\+0x[0-9a-f]+ < main'
}
to_valgrind() {
    build $read_dead && GCHEAP_DEBUG=redzones,nth=100 valgrind "$scratch/read-dead" >"$scratch/out" 2>&1
    tell_all 'Invalid read of size 8' "8 bytes inside a block of size 16 free'd" 'by .*: gc_collect ' \
        "Block was alloc'd at" 'by .*: main \(read-dead.c:' 'ERROR SUMMARY: 1 errors from 1 contexts'
}
check 'AddressSanitizer names a dead object' to_address_sanitizer
if command -v valgrind >/dev/null && echo '#include <valgrind/memcheck.h>' | "$CC" -E - >/dev/null 2>&1; then
    check 'Valgrind tells of a dead object' to_valgrind
else
    report ok 'Valgrind # SKIP no valgrind'
fi

# No row is without its program.
all_rows() {
    diff <(printf '../%s\n' "${programs[@]}" | sort) <(grep -oE '^\| .*\.\./test/mistakes/[a-z-]+\.c(pp)?' docs/debugging.md | sed 's/.*(//' | sort)
}
check 'the table has each program once' all_rows
done_testing
