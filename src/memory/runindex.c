#include "memory/runindex.h"
#include "base/atomics.h"

/* Under LOCK_TYPES, except for `next`, which any thread reads. */
static uint32_t in_use = RUN_TYPES;
static unsigned blocks;            /* taken by runindex_take_block */
static bool taken[RUN_INDEXES];    /* a type has this run index */
static bool in_block[RUN_INDEXES]; /* written before any thread knows the index */
static uint16_t next[RUN_INDEXES]; /* the next index of the same span class; 0: none. Atomic */

unsigned runindex_first(unsigned spanclass)
{
    unsigned sizeclass = spanclass_size(spanclass);
    if (spanclass_noscan(spanclass))
        return RUN_NOSCAN + sizeclass;
    return (spanclass_traced(spanclass) ? RUN_TRACED : RUN_VARIABLE) + sizeclass;
}

unsigned runindex_next(unsigned run)
{
    return run < RUN_RAW ? run + (RUN_RAW - RUN_NOSCAN) : u16_load_acquire(&next[run]);
}

bool runindex_is_shared(unsigned run)
{
    return run < RUN_TYPES || in_block[run];
}

static void add(unsigned run, unsigned spanclass)
{
    unsigned first = runindex_first(spanclass);
    next[run] = next[first];
    u16_store_release(&next[first], (uint16_t)run);
}

unsigned runindex_take(unsigned spanclass)
{
    unsigned run = runindex_next(runindex_first(spanclass));
    while (run && taken[run])
        run = runindex_next(run);
    if (!run && in_use < RUN_INDEXES) {
        run = in_use++;
        add(run, spanclass);
    }
    taken[run] = run != 0;
    return run;
}

void runindex_give(unsigned run)
{
    taken[run] = false;
}

unsigned runindex_take_block(void)
{
    if (in_use + RUN_INLINE_CLASSES > RUN_INDEXES || blocks == RUN_BLOCKS)
        return 0;
    unsigned block = in_use;
    in_use += RUN_INLINE_CLASSES;
    blocks++;
    for (unsigned c = 1; c < RUN_INLINE_CLASSES; c++) {
        taken[block + c] = in_block[block + c] = true;
        add(block + c, spanclass_make(c, false));
    }
    return block;
}
