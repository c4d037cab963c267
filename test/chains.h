/* Chains of small arrays of references whose links lead from page to page, so that marking leaves
 * objects to their pages. */
#ifndef CHAINS_H
#define CHAINS_H

#include "gcheap.h"

#include "tap.h"

enum { LINKS = 8, CHAINS = 503, LINKED = LINKS * CHAINS };

/* Arrays of `words` references, as chains whose links lead from page to page. Returns a table of
 * the first of each. */
static inline void ***new_chains(size_t words)
{
    void ***all = NULL, ***firsts = NULL;
    GC_FRAME(all, firsts);
    all = gc_new_array(&gc_pointer_type, LINKED);
    firsts = gc_new_array(&gc_pointer_type, CHAINS);
    for (size_t i = 0; i < LINKED; i++)
        gc_store(&all[i], gc_new_array(&gc_pointer_type, words));
    for (size_t i = 0; i < LINKED; i++) {
        void **at = all[i * 787 % LINKED]; /* 787 and LINKED have no common factor */
        if (i % LINKS == 0)
            gc_store(&firsts[i / LINKS], at);
        if (i % LINKS != LINKS - 1)
            gc_store(&at[i % words], all[(i + 1) * 787 % LINKED]);
    }
    return firsts;
}

static inline void check_chains(void ***firsts, size_t words)
{
    for (size_t i = 0; i < LINKED; i += LINKS) {
        void **at = firsts[i / LINKS];
        for (size_t j = 0; j < LINKS; j++) {
            CHECK(gc_is_object(at));
            at = at[(i + j) % words];
        }
        CHECK(!at);
    }
}

#endif
