/* Most of the API, with one call of the library's to the system or to malloc that fails: each in
 * turn, until the scenario makes fewer. Each answer is success or an error that the reference
 * names; then the program goes on, finds its data as they should be, and ends with nothing mapped.
 *   scenario FIRST STEP    the calls FIRST, FIRST + STEP, …
 * Runs with faults.c preloaded, each scenario in a process of its own. Prints how many calls were
 * failed, of which kinds. */
#include "faults.h"

#include <errno.h>
#include <gcheap.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define CELLS 3000

struct cell {
    struct cell *next;
    uint64_t number;
    uint64_t fill[6];
};
static GC_TYPE(cell_type, struct cell, next);
struct pair {
    void *a, *b;
};
static GC_TYPE(pair_type, struct pair, a, b);

static gc_heap *heap;
static struct cell *global;
static void *range[8];
static unsigned finalized, refusals;

#define EXPECT(x)                                                                                  \
    ((x) ? (void)0                                                                                 \
         : (dprintf(2, "scenario.c:%d: %s, errno %d, after a failed %s\n", __LINE__, #x, errno,    \
                    faults_failed() ? faults_failed() : "nothing"),                                \
            _exit(1)))

/* 0, or one of the errors that a call may end with for want of memory or threads. */
static bool is_fine(int64_t answer)
{
    refusals += answer < 0;
    return answer >= 0 || answer == -ENOMEM || answer == -EAGAIN;
}

/* NULL only for want of memory. */
static void *got(void *p)
{
    EXPECT(p || errno == ENOMEM || errno == EAGAIN);
    refusals += !p;
    return p;
}

static void count_finalized(void *object, void *arg)
{
    (void)object, (void)arg;
    __atomic_add_fetch(&finalized, 1, __ATOMIC_RELAXED);
}

static void count_cleaned(void *arg)
{
    count_finalized(NULL, arg);
}

/* ---- Lists: cells numbered downward ---- */

static struct cell *grow(struct cell *list, int n)
{
    struct cell *cell = NULL;
    GC_FRAME(list, cell);
    for (int i = 0; i < n; i++) {
        cell = got(gc_new(&cell_type));
        if (!cell)
            continue;
        cell->number = list ? list->number + 1 : 0;
        gc_store(&cell->next, list);
        list = cell;
    }
    return list;
}

static void check_list(const struct cell *cell)
{
    for (; cell; cell = cell->next) {
        EXPECT(cell->next ? cell->next->number + 1 == cell->number : cell->number == 0);
        for (int i = 0; i < 6; i++)
            EXPECT(cell->fill[i] == 0);
    }
}

/* ---- The parts ---- */

static void shapes(void)
{
    struct cell *list = NULL;
    void *array = NULL, *flex = NULL, *bytes = NULL, *large = NULL;
    GC_FRAME(list, array, flex, bytes, large);
    list = grow(NULL, CELLS);
    array = got(gc_new_array(&gc_pointer_type, 700));
    flex = got(gc_new_flex(&pair_type, &pair_type, 30));
    bytes = got(gc_new_bytes(333));
    large = got(gc_new_bytes(5 << 20));
    large = got(gc_new_array(&pair_type, 50000));
    if (large)
        gc_store(&((struct pair *)large)[49999].b, list);
    if (array)
        gc_store(&((void **)array)[699], list);
    EXPECT(gc_collect() == 0);
    if (large)
        EXPECT(gc_load(&((struct pair *)large)[49999].b) == list);
    check_list(list);
}

static void no_visit(void *arg, gc_tracer *tracer)
{
    gc_trace_slot(tracer, arg);
}

static void roots(void)
{
    static void *visited;
    int rooted = gc_root(&global);
    EXPECT(is_fine(rooted));
    int ranged = gc_root_range(range, 8);
    EXPECT(is_fine(ranged));
    int called = gc_root_callback(GC_ROOT_HEAP, no_visit, &visited);
    EXPECT(is_fine(called));
    gc_handle *handle = got(gc_handle_new(NULL));
    struct cell *list = NULL;
    GC_FRAME(list);
    list = grow(NULL, 50);
    if (rooted == 0)
        gc_store(&global, list);
    if (ranged == 0)
        gc_store(&range[7], list);
    if (handle)
        gc_handle_set(handle, list);
    EXPECT(gc_collect() == 0);
    if (rooted == 0)
        check_list(global);
    if (handle)
        EXPECT(gc_handle_get(handle) == list);
    gc_handle_free(handle);
    EXPECT(gc_unroot(&global) == (rooted == 0 ? 0 : -ENOENT));
    EXPECT(gc_unroot(range) == (ranged == 0 ? 0 : -ENOENT));
    EXPECT(gc_root_callback_remove(no_visit, &visited) == (called == 0 ? 0 : -ENOENT));
    global = NULL;
}

static uint64_t hash_key(const void *key, size_t size)
{
    uint64_t hash = 0;
    memcpy(&hash, key, size);
    return hash * 0x9e3779b97f4a7c15u;
}

static bool equals(const void *object, const void *key, size_t size)
{
    return memcmp(object, key, size) == 0;
}

static void *make_interned(const void *key, size_t size, void *arg)
{
    (void)arg;
    void *object = gc_new_bytes(16);
    if (object)
        memcpy(object, key, size);
    return object;
}

static void weak(void)
{
    struct cell *list = NULL, *cell = NULL;
    void *found = NULL;
    GC_FRAME(list, cell, found);
    list = grow(NULL, 120);
    gc_weak *reference = got(gc_weak_new(list));
    gc_weakmap *map = got(gc_weakmap_new());
    for (cell = list; map && cell; cell = cell->next)
        EXPECT(is_fine(gc_weakmap_set(map, cell, list)));
    gc_intern *table = got(gc_intern_new(&(struct gc_intern_ops){hash_key, equals, make_interned}));
    for (uint32_t i = 0; table && i < 100; i++) {
        found = got(gc_intern_get(table, &i, sizeof i, NULL));
        EXPECT(!found || memcmp(found, &i, sizeof i) == 0);
    }
    EXPECT(gc_collect() == 0);
    if (reference && list)
        EXPECT(gc_weak_get(reference) == list);
    for (cell = list; map && cell; cell = cell->next) {
        found = gc_weakmap_get(map, cell);
        EXPECT(!found || found == list);
    }
    gc_weak_free(reference);
    gc_weakmap_free(map);
    gc_intern_free(table);
}

static void finalizers(void)
{
    struct cell *cell = NULL;
    GC_FRAME(cell);
    for (int i = 0; i < 20; i++) {
        cell = got(gc_new(&cell_type));
        if (!cell)
            continue;
        EXPECT(is_fine(gc_finalizer_set(cell, count_finalized, NULL)));
        EXPECT(is_fine(gc_cleanup_add(cell, count_cleaned, NULL)));
    }
    EXPECT(is_fine(gc_external_add(cell, 1000)) || !cell);
    cell = NULL;
    EXPECT(gc_collect() == 0);
    gc_finalizers_run(0);
}

static void fibers(void)
{
    gc_fiber *fiber = got(gc_fiber_create());
    if (!fiber)
        return;
    errno = 0;
    EXPECT(gc_fiber_switch(fiber) == NULL && errno == 0);
    static void *slots[4], **top = slots;
    int ranged = gc_thread_range(slots, &top);
    EXPECT(is_fine(ranged));
    if (ranged == 0)
        EXPECT(gc_thread_range_remove(slots) == 0);
    EXPECT(gc_fiber_switch(NULL) == fiber);
    EXPECT(gc_collect() == 0);
    EXPECT(gc_fiber_destroy(fiber) == 0);
}

static void types(void)
{
    const uint64_t mask[] = {5};
    gc_type *type = got(gc_type_create(&(struct gc_type_spec){
        .name = "made", .size = 48, .ptrdata = 24, .mask = mask, .mask_bits = 3}));
    if (!type)
        return;
    got(gc_new(type));
    EXPECT(gc_type_release(type) == 0);
}

static void statistics(void)
{
    struct gc_statistics s;
    struct gc_census rows[16];
    EXPECT(gc_stats(&s) == 0);
    EXPECT(is_fine(gc_heap_census(rows, 16)));
    EXPECT(gc_release_memory() == 0);
}

/* The child has a heap. */
static void forks(void)
{
    struct cell *list = NULL;
    GC_FRAME(list);
    list = grow(NULL, 200);
    pid_t child = fork();
    if (child == 0) {
        alarm(600);
        list = grow(list, 200);
        EXPECT(gc_collect() == 0);
        check_list(list);
        _exit(0);
    }
    int status = 1;
    EXPECT(gc_blocking_begin() == 0);
    EXPECT(child > 0 && waitpid(child, &status, 0) == child);
    EXPECT(gc_blocking_end() == 0);
    EXPECT(status == 0);
}

static void *another_thread(void *unused)
{
    int error = gc_thread_attach(heap);
    EXPECT(is_fine(error));
    if (error)
        return unused;
    EXPECT(is_fine(gc_thread_name("another")));
    check_list(grow(NULL, CELLS));
    EXPECT(gc_thread_detach() == 0);
    return unused;
}

static void threads(void)
{
    pthread_t thread;
    EXPECT(pthread_create(&thread, NULL, another_thread, NULL) == 0);
    check_list(grow(NULL, CELLS));
    EXPECT(gc_blocking_begin() == 0);
    pthread_join(thread, NULL);
    EXPECT(gc_blocking_end() == 0);
}

static void all(void)
{
    static void (*const parts[])(void) = {shapes, roots,      weak,  finalizers, fibers,
                                          types,  statistics, forks, threads};
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        parts[i]();
}

/* ---- One scenario ---- */

static void be_silent(void *user, enum gc_log_level level, const char *line)
{
    (void)user, (void)level, (void)line;
}

static gc_heap *make_heap(unsigned flags)
{
    gc_options options = {.flags = flags, .min_heap = 1 << 20, .log = be_silent};
    return got(gc_heap_create(&options));
}

static void live(uint64_t k, unsigned flags)
{
    EXPECT(faults_of(__extension__(void *) gc_heap_create));
    faults_set(k);
    heap = make_heap(flags);
    if (!heap)
        heap = make_heap(flags); /* one failure is over by then */
    EXPECT(heap);
    all();
    EXPECT(gc_heap_verify() == 0);
    EXPECT(gc_heap_destroy(heap) == 0);
    faults_set(UINT64_MAX);
    /* As if nothing had been. */
    refusals = 0;
    heap = make_heap(flags);
    all();
    EXPECT(refusals == 0);
    EXPECT(gc_heap_verify() == 0 && gc_heap_destroy(heap) == 0);
    EXPECT(faults_mapped() == 0);
}

/* ---- Each in turn ---- */

#define KINDS 32
static struct tally {
    char name[24];
    unsigned n;
} tallies[KINDS];

static void count(const char *name)
{
    struct tally *t = tallies;
    while (t->n > 0 && strcmp(t->name, name) != 0)
        t++;
    snprintf(t->name, sizeof t->name, "%s", name);
    t->n++;
}

/* 1: the kth call failed; 0: there were fewer; -1: a fault of the library's. */
static int try(uint64_t k, unsigned flags)
{
    int ends[2], status;
    char name[24] = "";
    if (pipe(ends) != 0)
        return -1;
    pid_t child = fork();
    if (child == 0) {
        alarm(600);
        live(k, flags);
        const char *failed = faults_failed() ? faults_failed() : "";
        _exit(write(ends[1], failed, strlen(failed) + 1) < 0);
    }
    close(ends[1]);
    ssize_t n = read(ends[0], name, sizeof name);
    close(ends[0]);
    if (waitpid(child, &status, 0) != child || status != 0 || n <= 0) {
        fprintf(stderr, "call %llu of flags %x: status %x%s\n", (unsigned long long)k, flags,
                (unsigned)status, WIFSIGNALED(status) ? strsignal(WTERMSIG(status)) : "");
        return -1;
    }
    if (!*name)
        return 0;
    count(name);
    return 1;
}

int main(int argc, char **argv)
{
    static const unsigned ways[] = {GC_FORK_SAFE | GC_FINALIZER_THREAD | GC_HUGE_PAGES,
                                    GC_FORK_SAFE | GC_NO_BACKGROUND | GC_STACK_CONSERVATIVE};
    uint64_t first = argc > 1 ? strtoull(argv[1], NULL, 0) : 1;
    uint64_t step = argc > 2 ? strtoull(argv[2], NULL, 0) : 1;
    unsigned total = 0, bad = 0;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        int result = 1;
        for (uint64_t k = first; result != 0 && bad < 10; k += step) {
            result = try(k, ways[i]);
            total += result == 1;
            bad += result < 0;
        }
    }
    printf("%u calls failed in turn:", total);
    for (struct tally *t = tallies; t->n > 0; t++)
        printf(" %s %u", t->name, t->n);
    printf("\n");
    return bad > 0 || total == 0;
}
