#!/bin/sh
# What a POSIX system would build of which nothing is known: no GNU names, under the tests of the OS calls
# and of the locks.
out=$(mktemp -d) || exit 1
trap 'rm -rf "$out"' EXIT

number=0
for test in base/os base/lock memory/spanset; do
    number=$((number + 1))
    # shellcheck disable=SC2086
    if ${CC:-cc} -std=c11 -D_DEFAULT_SOURCE -DGC_ATOMICS_C11 -DGC_OS_POSIX ${SANFLAGS-} -O0 -g \
        -Isrc -Itest -pthread -o "$out/test" "test/$test.c" src/base/base.c \
        src/base/os_[!f]*.c src/base/lock.c src/base/stalls.c src/memory/persistent.c src/memory/fixalloc.c \
        src/memory/spanset.c >"$out/log" 2>&1 &&
        "$out/test" >>"$out/log" 2>&1; then
        echo "ok $number - test/$test.c"
    else
        echo "not ok $number - test/$test.c"
        sed 's/^/# /' "$out/log"
    fi
done

# The whole library, where the bounds of threads' stacks are not known: programs, with the tests to
# run of each.
flags="-std=c11 -D_GNU_SOURCE -DGC_ATOMICS_C11 -DGC_OS_POSIX ${SANFLAGS-} -O0 -I$PWD -I$PWD/src -I$PWD/test
    -I$PWD/${BUILD:-build}/gen -pthread"
number=$((number + 1))
# shellcheck disable=SC2086
if { test/amalgamate "${BUILD:-build}/gen" >"$out/all.c" && ${CC:-cc} $flags -c -o "$out/all.o" "$out/all.c"; } \
    >"$out/log" 2>&1; then
    echo "ok $number - the library"
else
    echo "not ok $number - the library"
    sed 's/^/# /' "$out/log"
fi
while read -r test name says; do
    number=$((number + 1))
    # shellcheck disable=SC2086
    if ${CC:-cc} $flags -o "$out/test" "test/$test.c" "$out/all.o" -lm >"$out/log" 2>&1 &&
        "$out/test" "$name" >>"$out/log" 2>&1; then
        echo "ok $number - $says"
    else
        echo "not ok $number - $says"
        sed 's/^/# /' "$out/log"
    fi
done <<'END'
whole/errors threads_that_end threads that end attached
api/errno calls_that calls leave errno as it was
END
echo "1..$number"
