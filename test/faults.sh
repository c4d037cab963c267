#!/usr/bin/env bash
# Calls of the library, the shared one and the static one, to the system and to malloc fail, one in
# each run of a program that uses most of the API: each call in turn. FAULTS_STEP=3: each third one.
. test/tap.bash
step=${FAULTS_STEP:-1}

if [[ -n $SAN ]]; then
    echo "1..0 # SKIP the sanitizers' runtimes replace malloc themselves"
    exit
fi

warn=(-std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror)

build() {
    $CC "${warn[@]}" -O1 -shared -fPIC -o "$scratch/faults.so" test/outside/faults.c -ldl &&
        $CC "${warn[@]}" -O1 -g -I. -o "$scratch/shared" test/outside/scenario.c \
            "$scratch/faults.so" -L"$BUILD" -lgcheap -Wl,-rpath,"$PWD/$BUILD" -pthread
}
build_static() {
    $CC "${warn[@]}" -O1 -g -I. -shared -fPIC -Dmain=run_scenario -o "$scratch/scenario.so" \
        test/outside/scenario.c &&
        $CC "${warn[@]}" -O1 -g -rdynamic -o "$scratch/static" test/outside/static-host.c \
            -Wl,--whole-archive "$BUILD/libgcheap.a" -Wl,--no-whole-archive \
            "$scratch/scenario.so" "$scratch/faults.so" $(pkg-config --libs liburcu-cds) -pthread
}
# scenario LIBRARY FIRST STEP: prints how many calls failed.
scenario() {
    LD_PRELOAD=$scratch/faults.so "$scratch/$1" "${@:2}"
}

check "build" build
check "build with the static library" build_static
for library in shared static; do
    check "the $library library: each call fails in turn (FAULTS_STEP=$step)" \
        scenario "$library" 1 "$step" && sed 's/^/# /' "$scratch/said"
done
done_testing
