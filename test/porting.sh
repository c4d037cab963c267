#!/usr/bin/env bash
# The steps of docs/porting.md: the Lisp in the middle of a port runs its programs, with the switches that
# the page names for each step.
. test/tap.bash
programs=examples/lisp/programs

build() { # STEP
    local edit
    edit=$(pkg-config --cflags --libs libedit) || return 1
    # The flags are lists of words.
    # shellcheck disable=SC2086
    $CC -std=c11 -D_GNU_SOURCE -O1 -g -Wall -Wextra -Wno-unused $SANFLAGS -DSTEP="$1" -include examples/lisp/steps.h -I. \
        -o "$scratch/step$1" examples/lisp/*.c "$BUILD/libgcheap.a" $(urcu) $edit -lm -pthread
}
runs() { # STEP SWITCHES PROGRAM…
    local step=$1 switches=$2 program
    shift 2
    for program; do
        GCHEAP_DEBUG=$switches prints_file "$programs/$program.expected" "$scratch/step$step" "$programs/$program.scm" ||
            { echo "$program" && return 1; }
    done
}
# The switches are quiet because there is nothing to find: a port without its barrier is found.
without_barrier() {
    sed 's/if (STEP > 2)/if (STEP > 3)/' examples/lisp/steps.h >"$scratch/steps.h" &&
        grep -q 'STEP > 3' "$scratch/steps.h" || return 1
    # shellcheck disable=SC2046,SC2086
    $CC -std=c11 -D_GNU_SOURCE -O1 -g $SANFLAGS -DSTEP=3 -include "$scratch/steps.h" -I. -o "$scratch/careless" \
        examples/lisp/*.c "$BUILD/libgcheap.a" $(urcu) $(pkg-config --cflags --libs libedit) -lm -pthread || return 1
    GCHEAP_DEBUG=stores "$scratch/careless" "$programs/words.scm" >"$scratch/out" 2>&1
    grep 'without gc_store()' "$scratch/out"
}

all=(continuations derive errors json macros meta queens sieve strings tables words)
check 'step 1 compiles' build 1
check 'without frames and barriers, while the world is held' runs 1 poison "${all[@]}"
check 'and collects often' runs 1 nth=100,poison,verify words macros errors
check 'step 2 compiles' build 2
check 'with frames' runs 2 poison "${all[@]}"
check 'and collects often' runs 2 nth=50,poison,verify words macros errors
check 'step 3 compiles' build 3
check 'with barriers before objects are written to' runs 3 poison "${all[@]}"
check 'and marks while it stores' runs 3 nth=50,stay=16,poison,checkmark words macros errors
check 'and each store is known' runs 3 stores words macros
check 'a barrier that is forgotten is found' without_barrier
done_testing
