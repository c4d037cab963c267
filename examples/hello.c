/* hello.c: the first program. It makes ten million pairs, in lists of a thousand.
 * SPDX-License-Identifier: MIT
 */
#include <gcheap.h>
#include <stdio.h>

struct cons {
    struct cons *car, *cdr;
};
GC_TYPE(cons_type, struct cons, car, cdr); /* name, C type, its pointer fields */

int main(void)
{
    gc_heap *heap = gc_heap_create(NULL); /* default options; attaches this thread */
    struct cons *list = NULL, *pair = NULL;
    GC_FRAME(list, pair); /* these locals are roots until the block ends */
    for (long i = 0; i < 10 * 1000 * 1000; i++) {
        pair = gc_new(&cons_type); /* zeroed; collects by itself when it is time */
        gc_store(&pair->cdr, i % 1000 ? list : NULL);
        list = pair;
    }
    gc_collect();
    struct gc_statistics stats;
    gc_stats(&stats);
    printf("%d collections, longest stall %d us, %d KB live\n", (int)stats.cycles,
           (int)(stats.stall.max / 1000), (int)(stats.heap_marked / 1024));
    gc_heap_destroy(heap);
}
