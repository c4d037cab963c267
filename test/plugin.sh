#!/usr/bin/env bash
# The library in a plugin, or beside one: unloading it uses nothing up, and pulls nothing away.
. test/tap.bash
flags="-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -g -I. $SANFLAGS"
urcu=$(pkg-config --libs liburcu-cds)

build() {
    # shellcheck disable=SC2086
    $CC $flags -o "$scratch/host" test/outside/host.c -pthread &&
        $CC $flags -shared -fPIC -o "$scratch/within.so" test/outside/plugin.c \
            "$BUILD/libgcheap.a" $urcu -pthread &&
        $CC $flags -shared -fPIC -o "$scratch/beside.so" test/outside/plugin.c \
            -L"$BUILD" -lgcheap -Wl,-rpath,"$(realpath "$BUILD")" -pthread
}

check "build" build
for plugin in within beside; do
    check "loaded 1100 times, the library $plugin it" "$scratch/host" "$scratch/$plugin.so" 1100
    check "unloaded while a thread is attached, the library $plugin it" \
        "$scratch/host" "$scratch/$plugin.so" 0
done
done_testing
