#!/usr/bin/env bash
# Heap dumps, and who reads them: src/api/tools/gcheap-heap, a browser, GDB. test/outside/dumped.c is looked at.
. test/tap.bash
if ! command -v python3 >/dev/null; then
    echo '1..0 # SKIP no python3'
    exit
fi
heap() { src/api/tools/gcheap-heap "$@"; }
one=$scratch/one.heap two=$scratch/two.heap three=$scratch/three.heap

# says PATTERN… -- COMMAND…: what the command writes has a line for each pattern, in this order.
says() {
    local patterns=() at=0
    while [[ $1 != -- ]]; do patterns+=("$1") && shift; done
    shift
    "$@" >"$scratch/out" 2>&1 || { echo "status $?" && cat "$scratch/out"; return 1; }
    while read -r line; do
        [[ $at == "${#patterns[@]}" || ! $line =~ ${patterns[at]} ]] || at=$((at + 1))
    done <"$scratch/out"
    [[ $at == "${#patterns[@]}" ]] || { echo "no line '${patterns[at]}' in:" && cat "$scratch/out"; return 1; }
}

check 'dominators, paths and pictures are what they should be' python3 test/heap-graphs.py "$scratch"
check 'the program to look at' compile_outside dumped dumped "$BUILD/libgcheap.a" $(urcu)
export ASAN_OPTIONS=${ASAN_OPTIONS-}:detect_leaks=0 TSAN_OPTIONS=${TSAN_OPTIONS-}:die_after_fork=0
dumped() { "$scratch/dumped" "$@"; }
named() { GCHEAP_DEBUG=fields dumped "$@"; }
check 'three dumps' named "$one" "$two" "$three"
private() { [[ $(stat -c %a "$one") == 600 ]]; }
check 'only the owner may read them' private

# ---- The tool ------------------------------------------------------------------------------

check 'census' says '2011 objects, 174 KB, 5 roots' '1000 +112000 .* \(112 bytes, without references\)' \
    '1001 +24024 .* struct page' '^3 +48 .* struct cache' -- heap census "$one"
check 'retained' says 'in 2011 objects that the roots reach; 0 others' '177592 +3 +struct cache' \
    '136024 +1001 +struct page' '177024 +16 +struct cache at' '136000 +24 +struct page at' -- heap retained "$one"
check 'the path to an address' says '^the global cache$' '^struct cache at 0x[0-9a-f]+.table$' \
    '^array of pointer at 0x[0-9a-f]+\[7\]$' '^\(48 bytes, without references\) at 0x[0-9a-f]+, 48 B$' \
    -- heap path "$one" "$(awk '$1 == "S" { base = $2 } $4 == 38 || $3 == 38 { print $NF }' "$one" | head -1)"
check 'the paths to a type' says '1001 objects of the type struct page; no root reaches 0' \
    '999 objects, .*the global cache -> struct cache.pages -> struct page.next -> struct page$' \
    'more of these' '1 object, .*whose finalizer is queued -> struct cache.pages -> struct page$' \
    -- heap path "$one" 'struct page'
shape=$(awk '/^R .*the global several/ { print $2 }' "$one")
check 'an object' says '^struct shape with elements pointer at .*: 64 bytes, made in cycle 0$' '^keeps 72 bytes alive$' \
    '\.self: struct shape' '\[2\]: \(8 bytes, without references\)' 'the global several' 'struct shape .*\.self$' \
    'the roots$' -- heap object "$one" "$shape"
inside() { says '^struct shape' -- heap object "$one" "$(printf %x $((0x$shape + 40)))"; }
check 'an address in the middle of it' inside
check 'roots' says '177024 +1 +the global cache' ' 1 +the handle at' 'range at 0x.* main$' -- heap roots "$one"
check 'what a weak map keeps' says ' -> value in a weak map' '512 bytes, without references' \
    -- heap path "$one" '(512 bytes, without references)'
check 'diff' says '^\+4000 objects, \+266 KB$' '\+2000 +\+224000 +3000 +336000 ' '\+2000 +\+48000 +3001 +72024 +struct page$' \
    -- heap diff "$one" "$three"
check 'growth, whatever the order of the dumps' says 'dump 1: .*one.heap, 2011 objects' 'dump 3: .*three.heap' \
    '\+48000 +24024 +48024 +72024 +struct page \*$' '1001 +1000 +1000 +struct page$' \
    'by the number of cycles' '1001 +1000 +1000 .*struct page$' -- heap growth "$three" "$one" "$two"
pack() { gzip -k "$one" && diff <(heap census "$one") <(heap census "$one.gz"); }
check 'a dump that is packed' pack
check 'an unknown type' fails 1 "gcheap-heap: 'struct nothing' is neither an address nor the name of a type in $one" \
    heap path "$one" 'struct nothing'
check 'an address outside' fails 1 "gcheap-heap: $one: no object contains the address 0x10" heap object "$one" 10
check 'no such dump' fails 1 'gcheap-heap: nowhere: No such file or directory' heap census nowhere
check 'a report that cannot be written' fails 1 'gcheap-heap: /nowhere/x.html: No such file or directory' \
    heap report "$one" -o /nowhere/x.html
usage() { heap; [[ $? == 2 ]] && heap --help | grep -q '^usage: gcheap-heap'; }
check 'its usage' usage
quits() { heap census "$one" | head -1 >/dev/null; [[ ${PIPESTATUS[0]} == 0 ]]; }
check 'a reader that leaves' quits

# ---- The guide's search --------------------------------------------------------------------

# The program and the commands of "A leak hunt" in the guide say what stands there. Addresses may differ.
sed -n '/^### A leak hunt/,/^### Watching/p' docs/guide.md >"$scratch/chapter"
guide_program() {
    sed -n '/^```c$/,/^```$/p' "$scratch/chapter" | grep -v '^```' >"$scratch/sessions.c" &&
        $CC -std=c11 $SANFLAGS -O1 -I. -o "$scratch/sessions" "$scratch/sessions.c" "$BUILD/libgcheap.a" $(urcu) -pthread &&
        (cd "$scratch" && ./sessions s1.heap s2.heap s3.heap)
}
in_the_guide() { # NAME COMMAND… : the lines of the block "tool NAME" are among those that it writes
    local wanted=$scratch/wanted said=$scratch/said-now
    sed -n "/^\`\`\`tool $1\$/,/^\`\`\`\$/p" "$scratch/chapter" | grep -v '^```' | sed 's/0x[0-9a-f]*/0x/g' >"$wanted"
    heap "${@:2}" >"$said" && sed -i 's/0x[0-9a-f]*/0x/g' "$said" || return 1
    [[ $(wc -l <"$wanted") -gt 2 && $(grep -cFxf "$wanted" "$said") -ge $(wc -l <"$wanted") ]] || { diff "$wanted" "$said" && return 1; }
}
same_picture() { heap picture "$1" "${@:3}" -o - | cmp - "$2"; }
check 'the program of the guide' guide_program
check 'its growth' in_the_guide growth growth "$scratch"/s{1,2,3}.heap
check 'its retained sizes' in_the_guide retained retained "$scratch/s3.heap"
check 'its path' in_the_guide path path "$scratch/s3.heap" 'struct session'
check 'its picture of growth' same_picture growth docs/leak-growth.svg "$scratch"/s{1,2,3}.heap
check 'its picture of types' same_picture types docs/leak-types.svg "$scratch/s3.heap"

# ---- A request from outside ----------------------------------------------------------------

# asked FILE ARGUMENT… : a program that waits is asked for two dumps; then it ends as it should.
asked() {
    local path=$1 program i
    shift
    rm -f "$scratch/input" && mkfifo "$scratch/input" || return 1
    GCHEAP_DUMP=$path dumped --wait "$@" <"$scratch/input" >"$scratch/said-then" 2>&1 &
    program=$!
    exec 8>"$scratch/input"
    for i in 1 2; do
        touch "$path.ask"
        while [[ -e $path.ask ]]; do kill -0 $program || return 1; sleep 0.05; done
    done
    exec 8>&-
    wait $program
}
answers() {
    asked "$scratch/asked.heap" "$@" &&
        says '^1001 +24024 .*\(24 bytes, with references\)$' '^1 +64 ' -- heap census "$scratch/asked.heap"
}
cannot_answer() {
    mkdir -p "$scratch/folder" && asked "$scratch/folder" quiet &&
        grep "^gcheap: no heap dump is written to $scratch/folder: Is a directory$" "$scratch/said-then"
}
check 'a dump on request, while threads sleep' answers quiet
live_pages() {
    local file=$scratch/asked.heap
    asked "$file" && heap path "$file" "$(awk '/^R .*the global cache/ { print $2 }' "$file")" | grep '^the global cache$'
}
check 'while threads allocate' live_pages
check 'a request that cannot be met' cannot_answer

# ---- The report in a browser ---------------------------------------------------------------

pictures() {
    local which
    for which in types pages sizes; do
        heap picture "$which" "$three" -o "$scratch/$which.svg" &&
            python3 -c 'import sys, xml.dom.minidom as x; x.parse(sys.argv[1])' "$scratch/$which.svg" || return 1
    done
}
check 'pictures are XML' pictures
check 'a report' heap report -o "$scratch/report.html" "$one" "$two" "$three"
browser=$(command -v chromium || command -v chromium-browser || command -v google-chrome)
browse() { # FLAG… : the page's DOM or picture, and what its console was told
    HOME=$scratch timeout -k 5 300 "$browser" --headless --no-sandbox --disable-gpu --disable-dev-shm-usage \
        --user-data-dir="$scratch/profile" --enable-logging=stderr --window-size=1040,4200 "$@" \
        "file://$scratch/report.html" 2>"$scratch/console"
}
renders() {
    browse --dump-dom >"$scratch/dom" || { cat "$scratch/console" && return 1; }
    ! grep CONSOLE "$scratch/console" || return 1
    [[ $(grep -c '<svg' "$scratch/dom") == 4 ]] && grep -q '<rect' "$scratch/dom" &&
        grep -q 'struct page (from each to the next)' "$scratch/dom"
}
# A console that would be told of a mistake is.
notices() {
    sed 's|</body>|<script>console.error("planted")</script></body>|' "$scratch/report.html" >"$scratch/planted.html"
    mv "$scratch/planted.html" "$scratch/report.html"
    browse --dump-dom >/dev/null && grep -q 'CONSOLE.*planted' "$scratch/console"
}
draws() {
    browse --screenshot="$scratch/report.png" && [[ $(stat -c %s "$scratch/report.png") -gt 20000 ]]
}
if [[ -n $browser && -z $SAN ]]; then
    check 'a browser shows the report, and its console is silent' renders
    check 'a browser draws the report' draws
    check 'a mistake of the page would be seen' notices
else
    report ok 'a browser shows the report # SKIP no chromium, or a sanitizer'
fi

# ---- GDB -----------------------------------------------------------------------------------

debugger() { # ARGUMENT… : GDB, with the commands of gcheap
    HOME=$scratch gdb -q -nx -batch -iex 'set auto-load off' -iex 'set debuginfod enabled off' \
        -ex 'set pagination off' -ex 'source src/api/tools/gcheap-gdb.py' "$@"
}
works_here() {
    debugger -ex 'break stop_here' -ex 'run --stop' -ex 'print page->number' "$scratch/dumped" 2>&1 | grep -q '= 998$'
}
session() {
    GCHEAP_DEBUG=fields debugger -ex 'break stop_here' -ex 'run --stop' -ex 'gcheap heaps' -ex 'gcheap cycle' \
        -ex 'gcheap threads' -ex 'gcheap roots' -ex 'gcheap object page' -ex 'gcheap object several[1]' \
        -ex 'gcheap who page' -ex 'gcheap path page->next->next' -ex 'gcheap object 12345' -ex 'gcheap census' \
        -ex "gcheap dump $scratch/live.heap" -ex "generate-core-file $scratch/core" -ex kill \
        "$scratch/dumped" >"$scratch/session" 2>&1
}
shows() { says "$@" -- cat "$scratch/session"; }
core() { debugger -ex 'gcheap threads' -ex 'gcheap path cache->pages->next' -ex "gcheap dump $scratch/core.heap" \
    "$scratch/dumped" "$scratch/core"; }
same_dump() { # but for the time
    heap census "$1" && diff <(grep -v '^= time' "$1") <(grep -v '^= time' "$2")
}
same_census() {
    diff <(heap census "$scratch/live.heap" | tail -n +2) <(heap census "$one" | tail -n +2)
}
if [[ -n $SAN ]] || ! command -v gdb >/dev/null; then
    report ok 'GDB # SKIP no gdb, or a sanitizer'
elif ! works_here; then
    report ok 'GDB # SKIP gdb cannot run programs here'
else
    check 'a session of GDB' session
    check 'heaps and cycle' shows 'heap 0x.*: .* KB in spans, 1 arenas, 1 threads, cycle 0, step SWEEP$' 'phase idle; 0 cycles'
    check 'threads' shows 'thread [0-9]+ main \(GDB.s 1\): run, phase idle, 1 GC_FRAMEs, last call gc_new'
    check 'roots' shows 'GC_FRAME of thread .* main: local in stop\(\) -> struct page at' \
        '\[0\] of the range at .* -> traced at' 'global cache -> struct cache at' 'global several \[1\] -> struct shape' 'handle 0x'
    check 'an object, with its allocation and fields' shows '^struct page at 0x.*: 24 bytes$' '^allocated by thread .*, in cycle 0$' \
        'in grow_cache' 'number = 998' '^\.next -> struct page' '^\.text -> object of 112 bytes without references'
    check 'a flexible object' shows '^struct shape with elements pointer at .*: 64 bytes$' '\.self -> struct shape' '^\[2\] -> object of 8 bytes'
    check 'who refers to it' shows 'main: local in stop\(\)$' '^struct page at 0x[0-9a-f]+\.next$'
    check 'a path to it' shows 'main: local in stop\(\)$' '^struct page at .*\.next$' '^struct page at .*\.next$' '^struct page at 0x[0-9a-f]+$'
    check 'no object' shows '^gcheap: 0x3039 lies in no object of a heap$'
    check 'census by GDB' shows '^1000 +112000 +object of 112 bytes' '^1001 +24024 +struct page'
    check 'a dump by GDB is as the library writes it' same_census
    check 'a core file' says 'thread [0-9]+ main' 'local in stop\(\)$' '^struct page at 0x[0-9a-f]+$' -- core
    check 'a dump of a core file' same_dump "$scratch/core.heap" "$scratch/live.heap"
fi
done_testing
