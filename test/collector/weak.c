/* Weak references: gc_weak_new, gc_weak_get, gc_weak_free. */
#include "cells.h"
#include "random.h"

/* ---- One thread ---- */

static void lives_and_dies(unsigned flags)
{
    gc_heap *heap = new_heap(flags);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    gc_weak *w = gc_weak_new(c);
    CHECK(w && gc_weak_get(w) == c);
    for (int i = 0; i < 5; i++) {
        gc_collect();
        CHECK(gc_weak_get(w) == c && c->magic == MAGIC);
    }
    c = NULL;
    errno = 4711;
    gc_collect();
    CHECK(!gc_weak_get(w) && errno == 4711);
    gc_collect();
    CHECK(!gc_weak_get(w));
    CHECK_EQ(records(heap), 1);
    gc_weak_free(w);
    CHECK_EQ(records(heap), 0);
    CHECK(gc_heap_destroy(heap) == 0);
}

TEST_EACH_WAY(lives_and_dies)

TEST(one_cell_per_object)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1), *d = new_cell(2);
    GC_FRAME(c, d);
    gc_weak *w = gc_weak_new(c);
    CHECK(gc_weak_new(c) == w);
    CHECK(gc_weak_new(d) != w);
    gc_weak_free(w);
    CHECK(gc_weak_get(w) == c);
    gc_weak_free(w);
    /* Nobody has it now; made again, it may be another pointer, and works. */
    gc_collect();
    w = gc_weak_new(c);
    CHECK(gc_weak_get(w) == c);
    c = NULL;
    gc_collect();
    CHECK(!gc_weak_get(w));
    gc_heap_destroy(heap);
}

TEST(freed_ones_are_forgotten)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    for (int i = 0; i < 100000; i++)
        gc_weak_free(gc_weak_new(c));
    CHECK_EQ(records(heap), 1);
    gc_collect();
    CHECK_EQ(records(heap), 0);
    gc_heap_destroy(heap);
}

/* More on one span than a first table has chains for, and in disorder. */
TEST(many_on_one_span)
{
    enum { N = 2000 };
    gc_heap *heap = new_heap(0);
    struct cell *list = NULL;
    gc_weak *w[N];
    GC_FRAME(list);
    for (size_t i = 0; i < N; i++) {
        struct cell *c = new_cell(i);
        w[i] = gc_weak_new(c);
        if (i % 3 == 0) {
            gc_store(&c->next, list);
            list = c;
        }
    }
    gc_collect();
    for (size_t i = 0; i < N; i++) {
        struct cell *c = gc_weak_get(w[i]);
        CHECK(i % 3 == 0 ? c && c->id == i : !c);
        gc_weak_free(w[i]);
    }
    gc_collect();
    CHECK_EQ(records(heap), 0);
    gc_heap_destroy(heap);
}

TEST(large_and_tiny)
{
    gc_heap *heap = new_heap(0);
    char *large = gc_new_bytes(1 << 20), *tiny = gc_new_bytes(5), *neighbour = gc_new_bytes(5);
    GC_FRAME(large, tiny, neighbour);
    gc_weak *wl = gc_weak_new(large), *wt = gc_weak_new(tiny), *wn = gc_weak_new(neighbour);
    CHECK(wl && wt && wn && wt != wn);
    gc_collect();
    CHECK(gc_weak_get(wl) == large && gc_weak_get(wt) == tiny && gc_weak_get(wn) == neighbour);
    large = NULL;
    gc_collect();
    CHECK(!gc_weak_get(wl) && gc_weak_get(wt) == tiny);
    tiny = neighbour = NULL;
    gc_collect();
    CHECK(!gc_weak_get(wt) && !gc_weak_get(wn));
    gc_heap_destroy(heap);
}

/* What a weak read returned is as good as any other reference. */
TEST(resurrected_by_reading)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1), *kept = NULL;
    GC_FRAME(c, kept);
    gc_store(&c->next, new_cell(2));
    gc_weak *w = gc_weak_new(c);
    c = NULL;
    kept = gc_weak_get(w);
    gc_collect();
    CHECK(kept->magic == MAGIC && kept->next->id == 2 && gc_weak_get(w) == kept);
    gc_heap_destroy(heap);
}

TEST(argument_errors)
{
    gc_heap *heap = new_heap(0);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    int on_stack;
    void *bad[] = {NULL, &on_stack, (char *)c + 8, gc_new_bytes(0), (void *)(uintptr_t)-8};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++)
        CHECK_REFUSED(gc_weak_new(bad[i]), EINVAL);
    CHECK_REFUSED(gc_weak_get(NULL), EINVAL);
    gc_weak_free(NULL);
    gc_weak *w = gc_weak_new(c);
    CHECK(gc_blocking_begin() == 0);
    CHECK_REFUSED(gc_weak_get(w), EPERM);
    CHECK_REFUSED(gc_weak_new(c), EPERM);
    gc_blocking_end();
    gc_heap *other = new_heap(0);
    CHECK_REFUSED(gc_weak_get(w), EINVAL);
    CHECK_REFUSED(gc_weak_new(c), EINVAL);
    gc_heap_destroy(other);
    CHECK(gc_thread_switch(heap) == 0);
    CHECK(gc_weak_get(w) == c);
    CHECK(gc_thread_switch(NULL) == 0);
    CHECK_REFUSED(gc_weak_get(w), EPERM);
    gc_weak_free(w);
    CHECK(gc_thread_switch(heap) == 0);
    gc_heap_destroy(heap);
}

TEST(without_memory)
{
    gc_heap *heap = new_heap(GC_NO_BACKGROUND);
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    gc_weak *w = NULL;
    size_t made = 0;
    os_fail_nth(1, UINT64_MAX);
    for (; made < 10000000 && (c = gc_new(&cell_type)) && (w = gc_weak_new(c)); made++)
        ;
    os_fail_nth(0, 0);
    CHECK_EQ(errno, ENOMEM);
    ok(made > 0 && made < 10000000, "no memory after %zu", made);
    c = new_cell(2);
    CHECK((w = gc_weak_new(c)) && gc_weak_get(w) == c);
    gc_heap_destroy(heap);
}

/* ---- Threads ---- */

/* A weak reference that several threads read. Its object is held by nobody but those who read it,
 * and by its maker for a while. */
struct entry {
    gc_weak *weak;
    uint64_t id;
    atomic_bool dead;
    struct entry *next_made;
};

/* Each is read about once in a cycle, by allowance: some live, some die. */
enum { ENTRIES = 4096, HELD = 8, READERS = 3 };

static struct {
    _Atomic(struct entry *) table[ENTRIES];
    _Atomic(struct entry *) made; /* all, to be freed at the end */
    atomic_uint hits, deaths;
    atomic_uint_fast64_t ids;
} shared;

static struct entry *new_entry(struct cell **held)
{
    struct entry *e = calloc(1, sizeof *e);
    e->id = ++shared.ids;
    *held = new_cell(e->id);
    gc_store(&(*held)->next, new_cell(e->id));
    e->weak = gc_weak_new(*held);
    CHECK(e->weak);
    e->next_made = shared.made;
    while (!atomic_compare_exchange_weak(&shared.made, &e->next_made, e))
        ;
    return e;
}

static void read_entry(struct entry *e, struct cell **place)
{
    bool dead = e->dead;
    struct cell *c = gc_weak_get(e->weak);
    if (!c) {
        e->dead = true;
        return;
    }
    shared.hits++;
    CHECK(!dead);
    CHECK(c->magic == MAGIC && c->id == e->id);
    struct cell *next = gc_load(&c->next);
    CHECK(next->magic == MAGIC && next->id == e->id);
    *place = c;
}

/* Makes a new entry in place of a dead one, if that is this thread's to do. */
static void replace_dead(size_t slot, struct cell **place)
{
    if (!shared.table[slot]->dead || slot % READERS != crowd_number)
        return;
    shared.deaths++;
    shared.table[slot] = new_entry(place);
}

static void reader(void)
{
    uint64_t random = crowd_number;
    struct cell *held[HELD] = {NULL};
    GC_FRAME_ARRAY(held, HELD);
    for (unsigned i = 0; !crowd.stop; i++) {
        if (!crowd_may_step())
            continue;
        size_t slot = random_below(&random, ENTRIES), place = random_below(&random, HELD);
        read_entry(shared.table[slot], &held[place]);
        replace_dead(slot, &held[place]);
        if (i % 16 == 0)
            held[random_below(&random, HELD)] = NULL;
        if (i % 64 == 0)
            new_cell(0);
        if (held[0] && held[1] && i % 8 == 0) {
            /* Through the heap: what was read weakly becomes reachable from elsewhere. */
            gc_store(&held[0]->next->next, held[1]);
        }
    }
}

static void fill_table(void)
{
    struct cell *c = NULL;
    GC_FRAME(c);
    for (int i = 0; i < ENTRIES; i++)
        shared.table[i] = new_entry(&c);
}

static void free_entries(void)
{
    for (struct entry *e = shared.made, *next; e; e = next) {
        next = e->next_made;
        gc_weak_free(e->weak);
        free(e);
    }
}

static void stress_readers(const char *debug, unsigned flags, unsigned cycles)
{
    crowd_heap(debug, flags, READERS);
    fill_table();
    crowd_start(READERS, reader);
    crowd_collect(cycles, ENTRIES);
    /* Readers that are quick enough keep all alive. In a cycle without reads the others die. */
    while (shared.hits == 0 || shared.deaths == 0) {
        crowd_collect(1, 0);
        crowd_collect(1, ENTRIES);
    }
    crowd_stop();
    free_entries();
    diag("%u reads of the living, %u deaths", shared.hits, shared.deaths);
    gc_collect();
    gc_collect();
    CHECK_EQ(records(crowd.heap), 0);
    CHECK(gc_heap_destroy(crowd.heap) == 0);
}

TEST(readers_and_cycles)
{
    stress_readers("poison=2", 0, 40);
}
TEST(readers_and_delayed_cycles)
{
    stress_readers("poison=2,delay=7", 0, 30);
}
TEST(readers_and_stopped_cycles)
{
    stress_readers("poison=2", GC_STOP_WORLD, 40);
}

/* The same object's cell made and freed by many threads, while it lives and while it dies. */
static gc_handle *handle;

static void maker(void)
{
    struct cell *c = NULL;
    GC_FRAME(c);
    while (!crowd.stop) {
        c = gc_handle_get(handle);
        gc_weak *w = gc_weak_new(c);
        CHECK(w);
        CHECK(gc_weak_get(w) == c);
        c = NULL;
        gc_safepoint();
        c = gc_weak_get(w);
        CHECK(!c || c->magic == MAGIC);
        gc_weak_free(w);
        c = NULL;
        gc_safepoint();
    }
}

TEST(makers_and_cycles)
{
    crowd_heap("poison=2", 0, 0);
    handle = gc_handle_new(new_cell(1));
    crowd_start(3, maker);
    for (uint64_t i = 0; i < 30; i++) {
        gc_collect();
        gc_handle_set(handle, new_cell(i));
    }
    crowd_stop();
    gc_collect();
    CHECK_EQ(records(crowd.heap), 0);
    gc_handle_free(handle);
    gc_heap_destroy(crowd.heap);
}

TAP_MAIN
