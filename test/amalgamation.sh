#!/usr/bin/env bash
# The library as one C file builds by itself, and programs work with it.
. test/tap.bash
dir=$scratch/one
mkdir "$dir"

cat >"$scratch/threads.c" <<'CODE'
#include "gcheap.h"
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
struct node {
    struct node *next;
    long value;
};
static GC_TYPE(node_type, struct node, next);
static gc_heap *heap;
static struct node *globals[500];
#define EXPECT(x) ((x) ? (void)0 : (printf("%d: %s\n", __LINE__, #x), exit(1)))
static void lists(void)
{
    struct node *list = NULL, *node = NULL;
    GC_FRAME(list, node);
    for (int round = 0; round < 30; round++) {
        long sum = 0;
        list = NULL;
        for (long i = 0; i < 5000; i++) {
            node = gc_new(&node_type);
            node->value = i;
            gc_store(&node->next, list);
            list = node;
        }
        for (node = list; node; node = gc_load(&node->next))
            sum += node->value;
        EXPECT(sum == 5000 * 4999 / 2);
    }
}
static void *run(void *arg)
{
    struct node **mine = arg;
    EXPECT(gc_thread_attach(heap) == 0);
    for (int i = 0; i < 100; i++) {
        EXPECT(gc_root(&mine[i]) == 0);
        gc_store(&mine[i], gc_new(&node_type));
        mine[i]->value = i;
    }
    lists();
    for (int i = 0; i < 100; i++) {
        EXPECT(mine[i]->value == i);
        if (i % 2)
            EXPECT(gc_unroot(&mine[i]) == 0);
    }
    EXPECT(gc_thread_detach() == 0);
    return NULL;
}
int main(void)
{
    pthread_t threads[5];
    heap = gc_heap_create(NULL);
    EXPECT(heap && gc_thread_detach() == 0);
    for (int i = 0; i < 5; i++)
        EXPECT(pthread_create(&threads[i], NULL, run, &globals[i * 100]) == 0);
    for (int i = 0; i < 5; i++)
        pthread_join(threads[i], NULL);
    EXPECT(gc_thread_attach(heap) == 0 && gc_heap_verify() == 0);
    gc_weak *weak = gc_weak_new(gc_new(&node_type));
    gc_collect();
    EXPECT(gc_weak_get(weak) == NULL && globals[0]->value == 0 && globals[98]->value == 98);
    gc_weak_free(weak);
    EXPECT(gc_heap_destroy(heap) == 0);
    puts("done");
    return 0;
}
CODE

cat >"$scratch/lists.cpp" <<'CODE'
#include <gcheap.hpp>
#include <cstdio>
struct node {
    gc::ref<node> next;
    long value;
    node(long v, const gc::root<node> &n) : next(n), value(v) {}
    static constexpr auto gc_fields = gc::fields(&node::next);
};
int main()
{
    gc::heap heap;
    gc::root<node> list;
    long sum = 0;
    for (long i = 0; i < 100000; i++)
        list = gc::make<node>(i, list);
    gc_collect();
    for (const node *n = list; n; n = n->next)
        sum += n->value;
    std::puts(sum == 100000L * 99999 / 2 ? "done" : "wrong");
}
CODE

unset MAKEFLAGS MFLAGS MAKELEVEL
made() {
    make -s SAN= DEBUG= B="$BUILD" amalgamation &&
        cp "$BUILD"/gcheap_all.c "$BUILD"/gcheap.h "$BUILD"/gcheap.hpp "$dir"
}
alone() { (cd "$dir" && "$1" -std=c11 -c gcheap_all.c -o "$1.o"); }
# -fPIC: gcc's object makes a shared library, too. gcc warns of some things as it optimises.
clean() {
    "$1" -std=c11 -Wall -Wextra -Wconversion -pedantic -Werror -O2 -fPIC -c -o "$dir/$1.fast.o" "$dir/gcheap_all.c"
}
works() { # COMPILER PROGRAM TEXT
    local program=$dir/$1.program
    "$1" -std=c11 -D_GNU_SOURCE -O2 -I"$dir" -o "$program" "$2" "$dir/$1.fast.o" -pthread &&
        "$program" | tee "$dir/said" && grep -q "$3" "$dir/said"
}
# The library is C, whatever the program is.
works_cxx() { # C_COMPILER CXX_COMPILER
    (cd "$dir" && "$2" -std=c++17 -O2 -I. "$scratch/lists.cpp" "$1.o" -o "$1.cxx" -pthread) &&
        [[ $("$dir/$1.cxx") == done ]]
}
hidden() { ! nm -g --defined-only "$dir/gcc.so" | grep -v ' gc_'; }
shared() { gcc -shared -o "$dir/gcc.so" "$dir/gcc.fast.o" -pthread && hidden; }

# refused COMPILER TEXT FILE…: the compiler stops at one sentence.
refused() {
    local compiler=$1 text=$2
    shift 2
    if "$compiler" -fsyntax-only "$@" >"$scratch/refusal" 2>&1; then
        echo 'it compiles' && return 1
    fi
    grep -E "error: .*$text" "$scratch/refusal" && [[ $(grep -c 'error: ' "$scratch/refusal") == 1 ]]
}
other_header() { # COMPILER
    mkdir -p "$scratch/other" && cp "$dir/gcheap_all.c" "$scratch/other" &&
        sed 's/^#define GC_VERSION_PATCH .*/#define GC_VERSION_PATCH 99/' "$dir/gcheap.h" >"$scratch/other/gcheap.h" &&
        refused "$1" 'is not of version' -std=c11 "$scratch/other/gcheap_all.c"
}

check 'it is made' made
for compiler in gcc clang; do
    cxx=${compiler/gcc/g++} cxx=${cxx/clang/clang++}
    command -v "$compiler" >/dev/null || continue
    check "$compiler compiles it without flags" alone "$compiler"
    check "$compiler optimises it, and has nothing to say" clean "$compiler"
    check "$compiler: a first program works" works "$compiler" examples/hello.c 'KB live'
    check "$compiler: threads, roots and weak references work" works "$compiler" "$scratch/threads.c" done
    check "$compiler refuses a header of another version" other_header "$compiler"
    check "$cxx says that it is C" refused "$cxx" 'gcheap_all.c is C: compile it with a C compiler' \
        -Wno-deprecated -x c++ "$dir/gcheap_all.c"
    check "$compiler: a C++ program works" works_cxx "$compiler" "$cxx"
done
check 'only public names leave it' shared
done_testing
