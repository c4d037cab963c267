/* What the heap's own tables take, in percent of the heap: 512 MiB of 64-byte objects with
 * pointers, or as much in pointer-free objects of 1 KiB. By the heap's account, and as the rest of
 * resident memory when objects are taken off. */
#include "../harness.h"

struct wide {
    struct wide *next;
    uint64_t data[7];
};
BM_TYPE(wide_type, struct wide, next);

static struct wide *list_new(size_t bytes)
{
    struct wide *list = NULL;
    BM_ROOTS(list);
    for (size_t i = 0; i < bytes / sizeof(struct wide); i++) {
        struct wide *w = BM_NEW_ZEROED(struct wide, wide_type);
        w->next = list;
        list = w;
    }
    return list;
}

static void **table_new(size_t bytes)
{
    void **table = BM_POINTERS(bytes / 1024);
    BM_ROOTS(table);
    for (size_t i = 0; i < bytes / 1024; i++)
        BM_STORE(&table[i], memset(BM_BYTES(1024), 1, 1024));
    return table;
}

void run_metadata(void)
{
    void *root = NULL;
    BM_ROOTS(root);
    bool pointers = parameter("pointers", 1);
    size_t bytes = (size_t)parameter("live", 512L << 20);
    double before = resident_mib();
    root = pointers ? (void *)list_new(bytes) : (void *)table_new(bytes);
    bm_collect();
    bm_release();
    double live = (double)bytes / (1 << 20);
    result("overhead", 100 * (resident_mib() - before - live) / live, "%");
    check(root != NULL);
}
