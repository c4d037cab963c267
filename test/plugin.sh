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

# ---- No space for static thread-local data -------------------------------------------------

# Libraries that take this space, of 64 and of 8 bytes, each a file of its own.
build_fillers() {
    local size n
    compile_outside static-tls static-tls || return 1
    for size in 64 8; do
        cat >"$scratch/tls.c" <<END
__thread char taken[$size] __attribute__((tls_model("initial-exec"), aligned(8)));
char *take(void);
char *take(void) { return taken; }
END
        $CC -shared -fPIC -o "$scratch/tls$size-0.so" "$scratch/tls.c" || return 1
        for n in {1..99}; do
            cp "$scratch/tls$size-0.so" "$scratch/tls$size-$n.so" || return 1
        done
    done
}

# With more space, and filled as far, the plugin is loaded.
loads_with_tunable() {
    local filled
    filled=$("$scratch/static-tls" "$scratch" "$1") || return 1
    # shellcheck disable=SC2086
    GLIBC_TUNABLES=glibc.rtld.optional_static_tls=4096 "$scratch/static-tls" "$scratch" "$1" $filled
}

check "build libraries with static thread-local data" build_fillers
for plugin in within beside; do
    check "the loader refuses it, and says why, when the space is used up, the library $plugin it" \
        "$scratch/static-tls" "$scratch" "$scratch/$plugin.so"
    check "and loads it with the tunable of the C library, the library $plugin it" \
        loads_with_tunable "$scratch/$plugin.so"
done

# With the other model no static space is needed, neither by the library nor by its plugin, which has
# the model too or finds the thread's struct by a call.
unset MAKEFLAGS MFLAGS MAKELEVEL
build_dynamic() {
    make -s SAN= DEBUG= B="$BUILD" amalgamation || return 1
    local model='-DGC_TLS_MODEL="global-dynamic"' plugin
    # shellcheck disable=SC2086
    $CC -std=c11 -O1 -fPIC $SANFLAGS "$model" -c -o "$scratch/all.o" "$BUILD/gcheap_all.c" || return 1
    for plugin in "$model" -DGC_SELF_CALL; do
        compile_outside plugin "dynamic${plugin:0:8}.so" "$plugin" "$scratch/all.o" || return 1
    done
}
loads_in_no_space() { # PLUGIN
    local filled
    filled=$("$scratch/static-tls" "$scratch" "$scratch/within.so") || return 1
    # shellcheck disable=SC2086
    "$scratch/static-tls" "$scratch" "$scratch/$1" $filled
}

check "build the library with thread-local data that is not static" build_dynamic
check "it is loaded when the space is used up" loads_in_no_space "dynamic-DGC_TLS.so"
check "and so is a plugin that calls for its thread's struct" loads_in_no_space "dynamic-DGC_SEL.so"
done_testing
