/* The quarantine (switch poison): dead objects keep their cells for some time. A reference that
 * still leads to one finds 0xdb bytes there, and no other object.
 *
 * Such a cell has its alloc bit, so nobody hands it out, and the bit `dead` of notes.h, so that it
 * is no object. Sweeping marks it before it takes the mark bits for alloc bits. */
#ifndef GC_QUARANTINE_H
#define GC_QUARANTINE_H

#include "memory/notes.h"
#include "mutator/heap.h"

/* Objects that died in the last few cycles are kept, as many cycles as do not exceed this. */
#define QUARANTINE_BYTES ((word)4 << 20)
#define QUARANTINE_CYCLES 1024

struct quarantine {
    word bytes;                       /* of all that is kept; atomic */
    uint32_t kept_from;               /* what died in an earlier cycle goes free; the driver's */
    word of_cycle[QUARANTINE_CYCLES]; /* bytes that died in cycle i % QUARANTINE_CYCLES; atomic */
    uint8_t emptied;                  /* the next cycle keeps nothing; atomic */
};

/* Called before a swept span's mark bits become its alloc bits. Returns by how many objects more
 * die than go free (modulo the word). Sweeper only. */
size_t quarantine_sweep(gc_heap *heap, struct gc_span *s);
/* Fills memory that is no object. */
void quarantine_fill(const gc_heap *heap, uintptr_t at, size_t size);
/* Called in FLIP, before sweeping begins: what has been kept for long goes free. */
void quarantine_begin_sweep(gc_heap *heap);
/* Memory was refused: the next cycle that sweeps keeps nothing. Any thread. */
void quarantine_empty(gc_heap *heap);
/* Bytes of dead objects that keep their cells. They count as freed. */
word quarantine_bytes(const gc_heap *heap);

#endif
