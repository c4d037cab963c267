/* Objects of many sizes, some of which die, and memory that goes back to the OS. What lives keeps
 * what is in it; and what can go back goes. */
#include <gcheap.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define N 1200
static unsigned char *kept[N];

static size_t size_of(int i)
{
    static const size_t sizes[] = {5 * 8192, 11 * 8192, 700, 3 * 8192, 33000, 16 * 8192, 8192, 40};
    return sizes[(i * 7 + i / 8) % 8];
}

static void fill(void)
{
    for (int i = 0; i < N; i++) {
        if (kept[i])
            continue;
        unsigned char *p = gc_new_bytes(size_of(i));
        if (!p)
            exit(2);
        for (size_t j = 0; j < size_of(i); j++)
            if (p[j])
                exit(3);
        memset(p, 1 + i % 250, size_of(i));
        gc_store(&kept[i], p);
    }
}

static void check(void)
{
    for (int i = 0; i < N; i++) {
        for (size_t j = 0; kept[i] && j < size_of(i); j++) {
            if (kept[i][j] != 1 + i % 250) {
                fprintf(stderr, "object %d of %zu bytes: changed at %zu\n", i, size_of(i), j);
                exit(1);
            }
        }
    }
}

static void drop_each(int n)
{
    for (int i = 0; i < N; i++) {
        if (i % n)
            gc_store(&kept[i], NULL);
    }
}

static uint64_t released(void)
{
    struct gc_statistics s;
    gc_stats(&s);
    return s.heap_released;
}

int main(void)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.min_heap = 1 << 20});
    if (!heap || gc_root_range(kept, N) != 0)
        return 2;
    for (int round = 2; round < 7; round++) {
        fill();
        uint64_t before = released();
        drop_each(round);
        if (gc_release_memory() != 0 || gc_heap_verify() != 0)
            return 4;
        check();
        if (released() <= before)
            return 5;
    }
    gc_unroot(kept);
    return gc_heap_destroy(heap) != 0;
}
