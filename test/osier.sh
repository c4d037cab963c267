#!/usr/bin/env bash
# The language of examples/osier: its programs print what they should, and so do its command line,
# its prompt and its errors. OSIER names another binary. See osier-conformance.sh for the language.
cd "$(dirname "$0")/.." || exit 1
. test/tap.bash
OSIER=$(realpath "${OSIER:-$BUILD/osier}")
programs=examples/osier/programs
export TMPDIR=$scratch

fails_quietly() { # STATUS COMMAND…
    local status=$1
    shift
    "$@" >"$scratch/out" 2>&1
    [[ $? == "$status" ]] && diff /dev/null "$scratch/out"
}

in_scratch() { # COMMAND…
    (cd "$scratch" && "$@")
}

file() { # NAME TEXT: writes it to a file in the scratch directory
    printf '%s\n' "$2" >"$scratch/$1"
}

runs_program() {
    prints_file "$programs/$1.expected" "$OSIER" "$programs/$1.osr"
}

runs_under_stress() { # PROGRAM SWITCHES: with the heap's own checks on
    GCHEAP_DEBUG=$2 runs_program "$1"
}

# It exits with its heap alive: what hangs on that is no leak.
tells_statistics() {
    ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 "$OSIER" --gc-stats -e 'Gc.collect(); exit(3)' 2>"$scratch/err"
    [[ $? == 3 ]] && grep -Eq '^gc: [1-9][0-9]* cycles, .* ms CPU \(.* %\), longest stall' "$scratch/err"
}

shows_help() {
    "$OSIER" --help | grep -q '^Usage: osier'
}

shows_version() {
    "$OSIER" --version | grep -Eq '^osier, on gcheap [0-9]+\.[0-9]+\.[0-9]+$'
}

converses_at_a_terminal() { # Ctrl-D leaves
    TERM=dumb at_a_terminal $'let x = 40\nx +\n2\nnil.y\n6 * 70\n' '^420' "$OSIER" || return 1
    tr -d '\r' <"$scratch/out" >"$scratch/plain"
    grep -q '^42$' "$scratch/plain" && grep -q "Nil has no member 'y'" "$scratch/plain"
}

refuses_options() {
    "$OSIER" --procs=0 -e 1 2>"$scratch/err"
    [[ $? == 2 ]] && grep -q "'0' is no number from 1 to 256" "$scratch/err" &&
        ! "$OSIER" --nonsense 2>"$scratch/err" && grep -q "osier --help" "$scratch/err"
}

limits_memory() { # a script that takes all memory gets an error, and can go on after it
    (ulimit -v 1000000
     "$OSIER" -e 'let l = []
        try { while true { l.push("x".repeat(1 << 22)) } } catch e { l = nil; print(e is MemoryError) }')
}

for program in "$programs"/*.osr; do
    name=$(basename "$program" .osr)
    # The thread sanitizer looks at the whole text for each word that is found in it.
    [[ $SAN == thread && $name == @(lru|text_search) ]] && continue
    check "program: $name" runs_program "$name"
done
# There is nothing to find, and nothing is told.
if [[ -z $SAN ]]; then
    for program in bank calculator generators; do
        check "program: $program, all that debugging checks" silent_under_all runs_program "$program"
    done
fi
for program in bank generators; do
    check "program: $program, heap verified" runs_under_stress "$program" nth=50,poison,verify
done
# What allocates more collects as often.
for program in cache pipeline; do
    check "program: $program, heap verified" runs_under_stress "$program" nth=300,poison,verify
done
for program in bank generators; do
    check "program: $program, with delays" runs_under_stress "$program" nth=50,delay=7
    check "program: $program, marked twice" runs_under_stress "$program" nth=50,checkmark
done

# What nobody else holds is gone from its weak map and its weak set, and what is in use is there.
demonstrates_weak_tables() {
    sed 's/sleep(3)/sleep(0.1)/' examples/osier/demo.osr >"$scratch/demo.osr" &&
        "$OSIER" "$scratch/demo.osr" >"$scratch/out" 2>&1 &&
        grep -q '^few after a collection; the one in use is kept$' "$scratch/out" &&
        grep -q '^few after a collection; the one in use shows 21$' "$scratch/out" ||
        { cat "$scratch/out" && return 1; }
}
check "the demo's weak tables" demonstrates_weak_tables

check "-e" prints "3"$'\n' "$OSIER" -e 'print(1 + 2)'
check "arguments" prints '["a", "--b"]'$'\n' "$OSIER" -e 'print(arguments)' a --b
file args.osr 'print(arguments, arguments.len())'
check "arguments of a file" prints '["x", "-y"] 2'$'\n' "$OSIER" "$scratch/args.osr" x -y
file shebang.osr '#!/usr/bin/env osier
print("first line is a comment")'
check "#!" prints "first line is a comment"$'\n' "$OSIER" "$scratch/shebang.osr"
check "standard input" prints "3 lines"$'\n' \
    "$OSIER" -e 'let n = 0
while read_line() != done { n += 1 }
print("${n} lines")' <<<$'a\nb\nc'
check "exit status" fails_quietly 7 "$OSIER" -e "exit(7)"
check "--help" shows_help
check "--version" shows_version
check "--gc-trace" traces "$OSIER" --gc-trace -e 'Gc.collect(); Gc.collect()'
check "--gc-stats" tells_statistics
# A dump names objects by the types of the virtual machine.
dumps() {
    command -v python3 >/dev/null || return 0
    GCHEAP_DEBUG=types "$OSIER" -e "let kept = (0..50).map(fn(i) => [i]); Gc.dump(\"$scratch/heap\")" &&
        src/api/tools/gcheap-heap path "$scratch/heap" 'struct list' >"$scratch/out" && cat "$scratch/out" &&
        grep -q '^50 objects, .*struct list.items -> .* -> struct list$' "$scratch/out"
}
check "Gc.dump, and who keeps the lists" dumps
# The collector's answer is about the virtual machine's objects: a variable of the module, its list's items.
tells_who_keeps() {
    GCHEAP_DEBUG=types "$OSIER" -e 'let kept = [[1], [2]]
print(Gc.path(kept[1]))
fn inner() { let local = [3]; print(Gc.path(local) != ""); print(Gc.path(7)) }
inner()' >"$scratch/out" || return 1
    cat "$scratch/out"
    grep -qE '^struct list\.items at 0x' "$scratch/out" && grep -qE '^struct block.*\[1\].* at 0x' "$scratch/out" &&
        [[ $(tail -n 2 "$scratch/out") == $'true\nnil' ]]
}
check "Gc.path tells who keeps a value" tells_who_keeps
check "Gc.dump cannot write" fails 1 $'-e:1: IOError: /nowhere/heap: No such file or directory\n  in main (-e:1)' \
    "$OSIER" -e 'Gc.dump("/nowhere/heap")'
check "--percent and --procs" prints "ok"$'\n' "$OSIER" --percent=50 --procs=1 -e 'print("ok")'
check "wrong options" refuses_options

check "an uncaught error" fails 1 "-e:2: TypeError: '+' does not go with Number and Nil
  in f (-e:2)
  in main (-e:4)" "$OSIER" -e 'fn f(x) {
    return 1 + x
}
f(nil)'
check "an error in a method and a closure" fails 1 "-e:3: NameError: Nil has no member 'len'
  in inner (-e:3)
  in run (-e:6)
  in main (-e:8)" "$OSIER" -e 'class A {
    run(x) {
        fn inner() { return x.len() }

        let y = 1
        return inner() + y
    }
}; A().run(nil)'
check "a syntax error" fails 1 "-e:2: SyntaxError: expected an expression, not ')'" \
    "$OSIER" -e 'let a = 1
print(a + )'
file thrown.osr 'throw "from a file"'
check "an error in a file" in_scratch fails 1 "thrown.osr:1: Error: from a file
  in main (thrown.osr:1)" "$OSIER" thrown.osr
file importer.osr '
import "thrown" as t'
check "an error in a module" in_scratch fails 1 "thrown.osr:1: Error: from a file
  in main (thrown.osr:1)
  in main (importer.osr:2)" "$OSIER" importer.osr
file wrong.osr 'let = 1'
file wrong_importer.osr 'import "wrong"'
check "a syntax error in a module" in_scratch fails 1 \
    "wrong.osr:1: SyntaxError: expected a variable's name, not '='
  in main (wrong_importer.osr:1)" "$OSIER" wrong_importer.osr
check "an error in a coroutine" fails 1 "-e:1: Error: x
  in fn (-e:1)
  in main (-e:2)" "$OSIER" -e 'let c = Coroutine(fn() { throw "x" })
c.resume()'
check "an error in a thread that is joined" fails 1 "-e:1: Error: x
  in fn (-e:1)" "$OSIER" -e 'spawn(fn() { throw "x" }).join()'
check "an error in a thread that is not joined" fails 1 \
    "osier: a thread that nobody joined ended in an error
-e:1: ValueError: x
  in fn (-e:1)" "$OSIER" -e 'let t = spawn(fn() { throw ValueError("x") })
while not t.is_finished() { sleep(0.001) }'
check "a missing file" fails 1 "IOError: /nonexistent.osr: No such file or directory" \
    "$OSIER" /nonexistent.osr
check "a stack overflow" fails 1 "$(printf -- '-e:1: StackError: calls are nested too deeply\n'
    for _ in 1 2 3 4 5 6 7 8 9 10 11 12; do echo '  in f (-e:1)'; done
    printf '  … 19984 more\n'
    for _ in 1 2 3; do echo '  in f (-e:1)'; done
    printf '  in main (-e:2)')" "$OSIER" -e 'fn f(n) => 1 + f(n)
f(0)'
[[ $SAN ]] || check "memory that is exhausted" prints "true"$'\n' limits_memory

check "the prompt shows values" converses "$OSIER" 'let x = 3
x * 2
"text"
nil
[x, "s"]
fn double(n) => n * 2
double(x)' '6
"text"
[3, "s"]
6
' ''
check "input over several lines" converses "$OSIER" 'class A {
    f() => 5
}
if true {
    print(A().f())
}
print(
    1 +
    2
)' '5
3
' ''
check "the prompt goes on after errors" converses "$OSIER" 'nil.foo
let y = 1
throw "x"
y +* 2
y' '1
' "repl:1: NameError: Nil has no member 'foo'
  in main (repl:1)
repl:1: Error: x
  in main (repl:1)
repl:1: SyntaxError: expected an expression, not '*'
"
check "definitions can be changed" converses "$OSIER" 'let x = 1
fn f() => x
let x = 2
f()
fn f() => x * 10
f()' '2
20
' ''
check "an input that stays incomplete" converses "$OSIER" 'print(1' '' ''
check "a terminal" converses_at_a_terminal
done_testing
