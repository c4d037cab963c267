# TAP from shell scripts; source it. A script ends with `done_testing`.
set -uo pipefail
export LC_ALL=C
BUILD=${BUILD:-build} CC=${CC:-gcc} CXX=${CXX:-g++} SAN=${SAN-} SANFLAGS=${SANFLAGS-}
only=${1-}
count=0
failed=0
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

# report VERDICT NAME: a line of TAP; the verdict is "ok" or "not ok".
report() {
    count=$((count + 1))
    [[ $1 == ok ]] || failed=$((failed + 1))
    echo "$1 $count - $2"
}

# check NAME COMMAND…: passes if the command does; otherwise shows what it said. With an argument
# to the script, only checks whose name contains it are made.
check() {
    local name=$1
    shift
    [[ $name == *"$only"* ]] || return 0
    if "$@" >"$scratch/said" 2>&1; then
        report ok "$name"
    else
        report "not ok" "$name"
        head -n 400 "$scratch/said" | sed 's/^/# /'
    fi
}

done_testing() {
    echo "1..$count"
    exit $((failed > 0))
}

# not_with_sanitizers WHAT: where their runtimes do that themselves, the script ends here.
not_with_sanitizers() {
    [[ -n $SAN ]] || return 0
    echo "1..0 # SKIP the sanitizers' runtimes $1 themselves"
    exit
}

# ---- Programs that use the library from outside: test/outside ------------------------------

# compile_outside NAME OUTPUT FLAG…: NAME.c to $scratch/OUTPUT, which is a shared object if it ends in .so.
compile_outside() {
    local name=$1 output=$2 shared=()
    shift 2
    [[ $output != *.so ]] || shared=(-shared -fPIC)
    # $SANFLAGS is a list of words.
    # shellcheck disable=SC2086
    $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -g $SANFLAGS -I. "${shared[@]}" \
        -o "$scratch/$output" "test/outside/$name.c" "$@" -pthread
}
urcu() { pkg-config --libs liburcu-cds; }
shared_library=(-L"$BUILD" -lgcheap "-Wl,-rpath,$(realpath -m "$BUILD")")

# ---- What a command says -------------------------------------------------------------------

# prints EXPECTED COMMAND…: the command succeeds and writes that, and nothing on standard error.
prints() {
    local expected=$1
    shift
    "$@" >"$scratch/out" 2>"$scratch/err" || { echo "status $?"; cat "$scratch/err"; return 1; }
    diff <(printf '%s' "$expected") "$scratch/out" && diff /dev/null "$scratch/err"
}

# prints_file FILE COMMAND…: the command succeeds and writes what the file holds.
prints_file() {
    local file=$1
    shift
    "$@" >"$scratch/out" && diff "$file" "$scratch/out"
}

# silent_under_all COMMAND…: with all that debugging checks the command succeeds, and the library tells nothing.
silent_under_all() {
    GCHEAP_DEBUG=all "$@" 2>"$scratch/said" && ! grep '^gcheap:' "$scratch/said"
}

# fails STATUS ERROR COMMAND…: the command ends with that status and says that error.
fails() {
    local status=$1 error=$2 got
    shift 2
    "$@" >"$scratch/out" 2>"$scratch/err"
    got=$?
    [[ $got == "$status" ]] || { echo "status $got, expected $status"; cat "$scratch/err"; return 1; }
    diff <(printf '%s\n' "$error") "$scratch/err"
}

# converses COMMAND INPUT OUTPUT ERRORS: what is said to a prompt that is no terminal.
converses() {
    "$1" <<<"$2" >"$scratch/out" 2>"$scratch/err" || return 1
    diff <(printf '%s' "$3") "$scratch/out" && diff <(printf '%s' "$4") "$scratch/err"
}

# traces COMMAND…: writes a line of the collector's for each of two collections.
traces() {
    "$@" 2>"$scratch/err" >/dev/null && [[ $(grep -c '^gcheap: gc ' "$scratch/err") -ge 2 ]]
}

# at_a_terminal TYPED PATTERN COMMAND: types that to the command at a terminal, waits until a line of its
# output matches, and leaves with Ctrl-D, which is lost while the terminal changes its mode. What it wrote is in $scratch/out.
at_a_terminal() {
    rm -f "$scratch/keys" && mkfifo "$scratch/keys" && : >"$scratch/out" || return 1
    script -qefc "$3" /dev/null <"$scratch/keys" >"$scratch/out" 2>&1 &
    exec 9>"$scratch/keys"
    printf '%s' "$1" >&9
    until grep -q "$2" "$scratch/out" || ! kill -0 $! 2>/dev/null; do sleep 0.1; done
    while kill -0 $! 2>/dev/null; do printf '\004' >&9; sleep 0.1; done
    wait $!
    local status=$?
    exec 9>&-
    return $status
}
