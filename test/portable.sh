#!/bin/sh
# What any POSIX system would build: os_posix.c, and no GNU names, under the tests of the OS calls
# and of the locks.
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

number=0
for test in os lock spanset; do
    number=$((number + 1))
    # shellcheck disable=SC2086
    if ${CC:-cc} -std=c11 -D_DEFAULT_SOURCE -DGC_ATOMICS_C11 -DTEST_PORTABLE ${SANFLAGS-} -O1 -g \
        -Isrc -Itest -pthread -o "$out/$test" "test/$test.c" src/base.c src/os_common.c \
        src/os_posix.c src/lock.c src/persistent.c src/fixalloc.c src/spanset.c >"$out/log" 2>&1 &&
        "$out/$test" >>"$out/log" 2>&1; then
        echo "ok $number - test/$test.c"
    else
        echo "not ok $number - test/$test.c"
        sed 's/^/# /' "$out/log"
    fi
done

# The whole library, where the bounds of threads' stacks are not known.
number=$((number + 1))
sources=$(find src -name '*.c' ! -name 'mk*' ! -name os_linux.c)
# shellcheck disable=SC2046,SC2086
if ${CC:-cc} -std=c11 -D_GNU_SOURCE -DGC_ATOMICS_C11 ${SANFLAGS-} -O1 -g -I. -Isrc -Itest \
    "-I${BUILD:-build}/gen" -pthread -o "$out/errors" test/errors.c $sources \
    -lm >"$out/log" 2>&1 &&
    "$out/errors" threads_that_end >>"$out/log" 2>&1; then
    echo "ok $number - threads that end attached"
else
    echo "not ok $number - threads that end attached"
    sed 's/^/# /' "$out/log"
fi
echo "1..$number"
