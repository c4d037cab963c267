/* Checks of what an embedder must do, which name a mistake where it is made or soon after it: the
 * switches stores, fields and freed.
 *
 * A look goes over all objects while the world is held. Every thread is at a safepoint then. So no
 * store is in flight, and each slot holds what the last gc_store() wrote, or what was written
 * plainly while the object was fresh. A look takes time in proportion to the heap, so the next one
 * comes after as many safepoints; under the switch all, after more and more. */
#ifndef GC_CHECKS_H
#define GC_CHECKS_H

#include "introspect/site.h"
#include "introspect/verify.h"

#define CHECKS_TOLD 256

struct checks {
    struct lock lock; /* LOCK_NOTES: the slots of notes, told */
    uint32_t look;    /* number of the next look; changes in looks */
    uint32_t rest;    /* safepoints until then; atomic */
    size_t words;     /* that the present look has read */
    uint32_t cost;    /* words that the last look, and scan for strays, have read; atomic */
    uint64_t waited;  /* the sum of all `rest`; changes in looks */
    gc_thread *looks; /* the thread at whose safepoint it is; NULL: a cycle begins */
    uint32_t ntold;   /* mistakes of one kind and place are told once */
    uint64_t told[CHECKS_TOLD];
};

/* Called when a heap with such switches is made. false: no memory, and no checks. */
bool checks_create(gc_heap *heap);
void checks_destroy(gc_heap *heap);

/* An allocation has made an object, which is fresh until the thread's next safepoint. It is the
 * first of n cells in which the thread may make others like it without a call. `sp` is an address
 * in the frame of the public call. */
struct checks_request {
    struct site_type of;
    size_t size;
    uintptr_t sp;
};
void checks_allocated(gc_thread *t, void *object, size_t n, const struct checks_request *r);
/* The thread is about to store to a slot. `known`: the slot will hold `content`, which is `value`,
 * except for a tagged word without a reference; then `value` is 0. */
struct checks_stored {
    const char *call;
    const void *slot;
    word value, content;
    bool known;
    uintptr_t sp; /* as above */
};
void checks_store(gc_thread *t, const struct checks_stored *stored);
/* The thread is about to store plainly to the object that contains `at`; `bytes` not 0: to so many
 * words from there on. */
void checks_window(gc_thread *t, uintptr_t at, size_t bytes);
/* For strays.h: whether the stray was not yet told, nor another one of its site; a line that names
 * who allocated an object. */
bool checks_stray_is_news(const gc_heap *heap, uintptr_t object, bool used_again);
void checks_tell_maker(const gc_heap *heap, uintptr_t object);
/* The thread is at a safepoint. true: a look is due. */
bool checks_safepoint(gc_thread *t);
/* What a cycle costs: the words that are looked at before it and in it. */
uint32_t checks_cost(const gc_heap *heap);
void checks_scanned(gc_heap *heap, size_t words);
/* Whether a look is due. */
bool checks_are_due(const gc_heap *heap);
/* Looks at all objects. World held, everything swept, or a cycle is marking. `t`: the thread at
 * whose safepoint it is; NULL: a cycle begins. */
void checks_look(gc_heap *heap, gc_thread *t);

#endif
