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

# Duo, whose values are two words, checks its results itself.
duo() { # SWITCHES ROUNDS [PROGRAM]
    GCHEAP_DEBUG=$1 "${3:-$BUILD/duo}" "$2" >"$scratch/out" 2>&1 && ! grep '^gcheap:' "$scratch/out" ||
        { cat "$scratch/out" && return 1; }
}
duo_without() { # BARRIER WHAT_IS_THERE_INSTEAD WHAT_IS_NAMED
    sed "s/$1/$2/" examples/duo.c >"$scratch/duo.c" && ! cmp -s "$scratch/duo.c" examples/duo.c || return 1
    # shellcheck disable=SC2046,SC2086
    $CC -std=c11 -D_GNU_SOURCE -O1 -g $SANFLAGS -I. -o "$scratch/careless_duo" "$scratch/duo.c" "$BUILD/libgcheap.a" \
        $(urcu) -pthread || return 1
    GCHEAP_DEBUG=stores "$scratch/careless_duo" 300 >"$scratch/out" 2>&1
    grep "$3.*without gc_store()" "$scratch/out" || { cat "$scratch/out" && return 1; }
}

all=(continuations derive errors json macros meta queens sieve strings tables words)
check 'step 1 compiles' build 1
check 'without frames and barriers, while the world is held' runs 1 poison "${all[@]}"
check 'and collects often' runs 1 nth=100,poison,verify words macros errors
check 'step 2 compiles' build 2
check 'with frames' runs 2 poison "${all[@]}"
check 'and collects often' runs 2 nth=50,poison,verify words macros errors
check 'step 3 compiles' build 3
# Behind such a barrier the stores are plain ones, which ThreadSanitizer takes for races.
[[ $SAN == thread ]] || check 'with barriers before objects are written to' runs 3 poison "${all[@]}"
check 'and marks while it stores' runs 3 nth=50,stay=16,poison,checkmark words macros errors
check 'and each store is known' runs 3 stores words macros
check 'a barrier that is forgotten is found' without_barrier
check 'values of two words' duo poison 20000
check 'and collects often' duo nth=20,poison,verify 300
check 'and marks while it stores' duo nth=50,stay=16,poison,checkmark 1000
check 'and each store is known, and each field' duo stores,fields 300
check 'the barrier of a table that is forgotten is found' duo_without 'gc_before_write(t->entries);' '' 'struct entry'
check 'that of a closure, too' duo_without 'gc_store_tagged(.*;' \
    'self->free[operand] = *top;' 'struct value'
done_testing
