#!/usr/bin/env bash
# An OS whose pages are larger than the library's, 16 or 64 KiB, as Apple's and many of ARM's are:
# some test programs under test/outside/pagesize.c. Under all of them: PAGESIZE_TESTS=all.
. test/tap.bash

if [[ -n $SAN ]]; then
    echo "1..0 # SKIP the sanitizers' runtimes map memory themselves"
    exit
fi

build() {
    $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -shared -fPIC -o "$scratch/pagesize.so" \
        test/outside/pagesize.c -ldl &&
        $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -g -I. -o "$scratch/give-back" \
            test/outside/give-back.c "$BUILD/libgcheap.a" $(pkg-config --libs liburcu-cds) -pthread
}
with_pages() {
    PAGESIZE=$1 LD_PRELOAD=$scratch/pagesize.so "${@:2}"
}

programs=(os fixalloc hugepages collect)
[[ ${PAGESIZE_TESTS-} != all ]] ||
    mapfile -t programs < <(for t in "$BUILD"/test/*; do [[ -d $t ]] || basename "$t"; done)

check "build" build
for size in 16384 65536; do
    check "what is given back beside live objects, pages of $size" \
        with_pages "$size" "$scratch/give-back"
    for program in "${programs[@]}"; do
        [[ -x $BUILD/test/$program ]] || continue
        check "test/$program.c, pages of $size" with_pages "$size" "$BUILD/test/$program"
    done
done
done_testing
