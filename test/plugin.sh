#!/usr/bin/env bash
# The library in a plugin, or beside one: unloading it uses nothing up, and pulls nothing away.
. test/tap.bash

build() {
    # What urcu says is a list of words.
    # shellcheck disable=SC2046
    compile_outside host host &&
        compile_outside plugin within.so "$BUILD/libgcheap.a" $(urcu) &&
        compile_outside plugin beside.so "${shared_library[@]}"
}

check "build" build
for plugin in within beside; do
    check "loaded 1100 times, the library $plugin it" "$scratch/host" "$scratch/$plugin.so" 1100
    check "unloaded while a thread is attached, the library $plugin it" \
        "$scratch/host" "$scratch/$plugin.so" 0
done
done_testing
