/* What a collection costs when there is almost nothing to do: one thread, 4 MiB of 64-byte nodes
 * in a list of lists, 200 full collections. Phase changes, handshakes and wake-ups, not marking. */
#include "../harness.h"

#include <stdlib.h>

enum { ROWS = 256, COLLECTIONS_MAX = 1000 };

struct cell {
    struct cell *next, *row;
    uint64_t data[6];
};
BM_TYPE(cell_type, struct cell, next, row);

/* The caller has rooted both. */
static struct cell *cell_new(struct cell *next, struct cell *row)
{
    struct cell *c = BM_NEW_ZEROED(struct cell, cell_type);
    c->next = next;
    c->row = row;
    return c;
}

static struct cell *rows_new(size_t n)
{
    struct cell *rows = NULL, *row = NULL;
    BM_ROOTS(rows, row);
    for (size_t i = 0; i < n; i++) {
        row = cell_new(i % ROWS ? row : NULL, NULL);
        if (i % ROWS == ROWS - 1)
            rows = cell_new(rows, row);
    }
    return rows;
}

void run_tiny(void)
{
    struct cell *rows = NULL;
    double us[COLLECTIONS_MAX];
    BM_ROOTS(rows);
    if (!BM_COLLECTS)
        fail("nothing is collected here");
    size_t n = (size_t)parameter("live", 4L << 20) / sizeof(struct cell);
    bm_mark_in_parallel();
    int collections = (int)parameter("collections", 200);
    if (collections < 1 || collections > COLLECTIONS_MAX)
        fail("1 to 1000 collections");
    rows = rows_new(n);
    for (int i = 0; i < 10; i++)
        bm_collect();
    for (int i = 0; i < collections; i++) {
        uint64_t t0 = now_ns();
        bm_collect();
        us[i] = (double)(now_ns() - t0) / 1000;
    }
    result("time", median(us, collections), "us");
    result("p99", us[collections * 99 / 100], "us");
    uint64_t count = 0;
    for (struct cell *r = rows; r; r = r->next)
        for (struct cell *c = r->row; c; c = c->next)
            count++;
    check(count);
}
