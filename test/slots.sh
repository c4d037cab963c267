#!/usr/bin/env bash
# Calls that take the address of a slot: what is right compiles without a word, and a forgotten & does not
# compile, in C and in C++.
. test/tap.bash

cat >"$scratch/common.h" <<'C'
#include "gcheap.h"
#ifdef __cplusplus
#define AS(T, x) static_cast<T>(x)
#else
#define AS(T, x) ((T)(x))
#endif
struct opaque;
struct node { struct node *next; void *any; struct opaque *hidden; uint64_t word; };
struct one { struct one *next; };
struct safe { GC_REF(struct node) ref; GC_VALUE value; };
union word { uint64_t bits; struct node *node; };
extern struct node *global;
extern int calls;
void f(struct node *p, struct node *q, struct safe *s, gc_handle *h, gc_tracer *t, struct one *o);
C

cat >"$scratch/right.inc" <<'C'
static struct node **slot_of(struct node *p) { calls++; return &p->next; }
static void as_functions(struct node *p, struct node *q)
{
    void (*store)(void *, void *) = gc_store;
    void *(*load)(const void *) = gc_load;
    int (*root)(void *) = gc_root;
    void (*trace)(gc_tracer *, const void *) = gc_trace_slot;
    store(&p->next, q);
    (gc_store)(&p->next, (load)(&q->next));
    (void)root, (void)trace;
}
void f(struct node *p, struct node *q, struct safe *s, gc_handle *h, gc_tracer *t, struct one *o)
{
    struct node *array[3] = {NULL, NULL, NULL};
    void *bare = &p->next;
    const void *readable = &p->next;
    char *base = AS(char *, bare);
    union word words[2] = {{0}, {0}};
    int i = 0;
    gc_store(&p->next, q);
    gc_store(&p->next, NULL);
    gc_store(&p->any, q);
    gc_store(&p->hidden, p->hidden);
    gc_store(&array[i++], q);
    gc_store(array, q);
    gc_store(array + i, q);
    gc_store(bare, q);
    gc_store(base + sizeof(void *), q);
    gc_store(&p->word, q);
    gc_store(h, gc_load(h));
    gc_store(slot_of(p), q);
    gc_store(&o->next, AS(struct one *, gc_load(&o->next)));
    gc_store(&AS(struct node *, gc_load(&p->next))->next, gc_load(&AS(struct node *, gc_load(&q->next))->next));
    GC_SET(&s->ref, q);
    GC_SET_VALUE(&s->value, 1);
    (void)gc_load(&s->ref);
    (void)gc_load(readable);
    (void)gc_load(&words[1]);
    (void)gc_cas(&s->ref, p, q);
    (void)gc_cas(&p->next, NULL, i > 0 ? q : p);
    gc_store_weak(&p->any, gc_load_weak(&p->any));
    gc_store_weak(&words[0], q);
    gc_trace_slot(t, &p->next);
    if (gc_root(&global) == 0)
        gc_unroot(&global);
    as_functions(p, q);
}
C
cat >"$scratch/right.main" <<'C'
struct node *global;
int calls;
static GC_TYPE(node_type, struct node, next, any);
static GC_TYPE(one_type, struct one, next);
int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    {
        struct node *p = AS(struct node *, gc_new(&node_type));
        struct one *o = AS(struct one *, gc_new(&one_type));
        void *slots[3] = {NULL, NULL, NULL};
        GC_FRAME(p, o);
        int i = 0;
        gc_store(&p->next, p);
        gc_store(&slots[i++], p);
        gc_store(&slots[i++], gc_load(&slots[0]));
        gc_store(slot_of(p), o);
        if (i != 2 || calls != 1 || slots[1] != p || AS(void *, p->next) != AS(void *, o) || slots[2])
            return 1;
    }
    return gc_heap_destroy(heap);
}
C
for language in c cpp; do
    printf '#include "common.h"\n' | cat - "$scratch/right.inc" "$scratch/right.main" >"$scratch/right.$language"
done

# compiler COMPILER: its flags for the language.
flags() {
    case $1 in
    *++) echo -x c++ -std=c++17 -Wall -Wextra -Wconversion -Wshadow -Wundef -pedantic -Werror ;;
    *) echo -x c -std=c11 -Wall -Wextra -Wconversion -Wshadow -Wundef -Wmissing-prototypes -pedantic -Werror ;;
    esac
}
# $(flags) is a list of words.
# shellcheck disable=SC2046
compile() { "$1" $(flags "$1") -I. -I"$scratch" "${@:2}"; }

suffix() { [[ $1 == *++ ]] && echo cpp || echo c; }
works() { # COMPILER: right.c compiles without a word, and evaluates each argument once
    compile "$1" -O1 -c -o "$scratch/right.o" "$scratch/right.$(suffix "$1")" >"$scratch/words" 2>&1 &&
        [[ ! -s $scratch/words ]] || { cat "$scratch/words" && return 1; }
    "$1" -o "$scratch/right" "$scratch/right.o" "$BUILD/libgcheap.a" $(urcu) -pthread && "$scratch/right"
}
refused() { # COMPILER TEXT STATEMENT
    printf '%s\n' '#include "common.h"' "void f(struct node *p, struct node *q, struct safe *s, gc_handle *h, gc_tracer *t, struct one *o)" \
        "{ (void)p, (void)q, (void)s, (void)h, (void)t, (void)o; $3; }" >"$scratch/wrong.c"
    if compile "$1" -fsyntax-only "$scratch/wrong.c" >"$scratch/words" 2>&1; then
        echo "it compiles: $3" && return 1
    fi
    grep -qE "$2" "$scratch/words" || { cat "$scratch/words" && return 1; }
}
slot='this call takes the address of a slot'
all_refused() { # COMPILER
    local statement wrong=0
    for statement in 'gc_store(p->next, q)' 'gc_store(o->next, o)' 'gc_store(p, q)' \
        'gc_store(GC_GET(s->ref), q)' 'gc_store(s, q)' '(void)gc_load(p->next)' '(void)gc_cas(p->next, p, q)' \
        'gc_store_weak(p->next, q)' '(void)gc_load_weak(p->next)' '(void)gc_root(global)' 'gc_trace_slot(t, p->next)'; do
        refused "$1" "$slot" "$statement" || wrong=1
    done
    refused "$1" 'incomplete|slot' 'gc_store(p->hidden, q)' || wrong=1
    return $wrong
}

for compiler in gcc clang g++ clang++; do
    command -v "$compiler" >/dev/null || continue
    [[ -n $SAN ]] || check "$compiler: what is right compiles, and works" works "$compiler"
    check "$compiler: a forgotten & does not compile" all_refused "$compiler"
done
done_testing
