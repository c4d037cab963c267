#!/usr/bin/env bash
# An OS whose pages are larger than the library's, 16 or 64 KiB, as Apple's and many of ARM's are:
# tests of what is mapped and given back, under test/outside/pagesize.c. Under it all of them:
# PAGESIZE_TESTS=all.
. test/tap.bash

not_with_sanitizers 'map memory'

build() {
    # What urcu says is a list of words.
    # shellcheck disable=SC2046
    compile_outside pagesize pagesize.so -ldl &&
        compile_outside give-back give-back "$BUILD/libgcheap.a" $(urcu)
}
with_pages() {
    PAGESIZE=$1 LD_PRELOAD=$scratch/pagesize.so "${@:2}"
}

# Programs, some with the test to run.
tests=(os fixalloc hugepages 'collect arenas_are_filled' 'collect release' 'collect scavenging'
    'collect resident_after_a_peak')
[[ ${PAGESIZE_TESTS-} != all ]] ||
    mapfile -t tests < <(for t in "$BUILD"/test/*; do [[ -d $t ]] || basename "$t"; done)

check "build" build
for size in 16384 65536; do
    check "what is given back beside live objects, pages of $size" \
        with_pages "$size" "$scratch/give-back"
    for test in "${tests[@]}"; do
        read -r program name <<<"$test"
        [[ -x $BUILD/test/$program ]] || continue
        check "$test, pages of $size" with_pages "$size" "$BUILD/test/$program" $name
    done
done
done_testing
