#!/usr/bin/env bash
# Calls of the shared library to the system and to malloc fail, one in each run of a program that
# uses most of the API: each call in turn. FAULTS_STEP=3: each third one.
. test/tap.bash
step=${FAULTS_STEP:-1}

if [[ -n $SAN ]]; then
    echo "1..0 # SKIP the sanitizers' runtimes replace malloc themselves"
    exit
fi

build() {
    $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -shared -fPIC -o "$scratch/faults.so" \
        test/outside/faults.c -ldl &&
        $CC -std=c11 -D_GNU_SOURCE -Wall -Wextra -Werror -O1 -g -I. -o "$scratch/scenario" \
            test/outside/scenario.c "$scratch/faults.so" -L"$BUILD" -lgcheap \
            -Wl,-rpath,"$(realpath "$BUILD")" -pthread
}
# Prints how many calls failed.
scenario() {
    LD_PRELOAD=$scratch/faults.so "$scratch/scenario" "$@"
}

check "build" build
check "each call fails in turn (FAULTS_STEP=$step)" scenario 1 "$step" && sed 's/^/# /' "$scratch/said"
done_testing
