#!/usr/bin/env bash
# Calls of the library, the shared one and the static one, to the system and to malloc fail, one in
# each run of a program that uses most of the API: each call in turn. FAULTS_STEP=3: each third one.
. test/tap.bash
step=${FAULTS_STEP:-1}

not_with_sanitizers 'replace malloc'

build() {
    compile_outside faults faults.so -ldl &&
        compile_outside scenario shared "$scratch/faults.so" "${shared_library[@]}"
}
build_static() {
    # What urcu says is a list of words.
    # shellcheck disable=SC2046
    compile_outside scenario scenario.so -Dmain=run_scenario &&
        compile_outside static-host static -rdynamic \
            -Wl,--whole-archive "$BUILD/libgcheap.a" -Wl,--no-whole-archive \
            "$scratch/scenario.so" "$scratch/faults.so" $(urcu)
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
