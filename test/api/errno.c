/* A call that succeeds leaves errno as it was, whatever the system has answered on the way: here it
 * says something each time, as it may, even when it succeeds. */
#include "build.h"
#include "cells.h"
#include "mutator/self.h"

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <time.h>

/* ---- The system, which always leaves something in errno ---- */

enum { JUNK = EXDEV, SENTINEL = ENOTEMPTY };
static atomic_uint system_calls;

#define SPOIL(type, name, ...)                                                                     \
    static __typeof__(&name) real;                                                                 \
    if (!real)                                                                                     \
        *(void **)&real = dlsym(RTLD_NEXT, #name);                                                 \
    type result = real(__VA_ARGS__);                                                               \
    system_calls++;                                                                                \
    errno = JUNK;                                                                                  \
    return result

#if !ADDRESS_SANITIZER && !THREAD_SANITIZER
int madvise(void *p, size_t n, int advice)
{
    SPOIL(int, madvise, p, n, advice);
}
void *mmap(void *p, size_t n, int protection, int flags, int file, off_t offset)
{
    SPOIL(void *, mmap, p, n, protection, flags, file, offset);
}
long sysconf(int name)
{
    SPOIL(long, sysconf, name);
}
int pthread_mutex_unlock(pthread_mutex_t *mutex)
{
    SPOIL(int, pthread_mutex_unlock, mutex);
}
int mprotect(void *p, size_t n, int protection)
{
    SPOIL(int, mprotect, p, n, protection);
}
int munmap(void *p, size_t n)
{
    SPOIL(int, munmap, p, n);
}
int sched_yield(void)
{
    static int (*real)(void);
    if (!real)
        *(void **)&real = dlsym(RTLD_NEXT, "sched_yield");
    system_calls++;
    errno = JUNK;
    return real();
}
int nanosleep(const struct timespec *t, struct timespec *left)
{
    SPOIL(int, nanosleep, t, left);
}
int clock_gettime(clockid_t clock, struct timespec *t)
{
    SPOIL(int, clock_gettime, clock, t);
}
long syscall(long number, ...)
{
    va_list args;
    va_start(args, number);
    long a = va_arg(args, long), b = va_arg(args, long), c = va_arg(args, long),
         d = va_arg(args, long), e = va_arg(args, long), f = va_arg(args, long);
    va_end(args);
    SPOIL(long, syscall, number, a, b, c, d, e, f);
}
#endif

#define KEEPS(call)                                                                                \
    do {                                                                                           \
        errno = SENTINEL;                                                                          \
        (void)(call);                                                                              \
        CHECK_EQ(errno, SENTINEL);                                                                 \
    } while (0)

/* ---- Every call ---- */

static void visit_nothing(void *arg, gc_tracer *tracer)
{
    (void)arg, (void)tracer;
}
static void finalize_nothing(void *object, void *arg)
{
    (void)object, (void)arg;
}
static void clean_nothing(void *arg)
{
    (void)arg;
}
static uint64_t hash(const void *key, size_t size)
{
    return size ? *(const unsigned char *)key : 0;
}
static bool equal(const void *object, const void *key, size_t size)
{
    return memcmp(object, key, size) == 0;
}
static void *make(const void *key, size_t size, void *arg)
{
    (void)arg;
    return memcpy(gc_new_bytes(size), key, size);
}

static void allocate(void)
{
    KEEPS(gc_new(&cell_type));
    KEEPS(gc_new_array(&cell_type, 1000));
    KEEPS(gc_new_array(&cell_type, 100000));
    KEEPS(gc_new_flex(&cell_type, &gc_pointer_type, 5));
    for (size_t size = 0; size < 300000; size += 1 + size / 3) {
        KEEPS(gc_new_bytes(size));
        KEEPS(gc_new_bytes_raw(size));
    }
}

static void refer(void)
{
    static void *global;
    struct cell *c = NULL, *d = NULL;
    GC_FRAME(c, d);
    KEEPS(c = new_cell(1));
    KEEPS(d = new_cell(2));
    KEEPS(gc_store(&c->next, d));
    KEEPS(gc_load(&c->next));
    KEEPS(gc_cas(&c->next, d, NULL));
    KEEPS(gc_cas(&c->next, d, NULL));
    KEEPS(gc_copy(&c->next, &d->next, sizeof(void *)));
    KEEPS(gc_clear(&c->next, sizeof(void *)));
    KEEPS(gc_root(&global));
    KEEPS(gc_unroot(&global));
    KEEPS(gc_root_callback(GC_ROOT_HEAP, visit_nothing, NULL));
    KEEPS(gc_root_callback_remove(visit_nothing, NULL));
    gc_handle *handle;
    KEEPS(handle = gc_handle_new(c));
    KEEPS(gc_handle_get(handle));
    KEEPS(gc_handle_set(handle, d));
    KEEPS(gc_handle_free(handle));
    KEEPS(gc_object_base(c));
    KEEPS(gc_object_size(d));
    KEEPS(gc_is_object(&global));
    KEEPS(gc_external_add(c, 1000000));
}

static void refer_weakly(void)
{
    struct cell *c = new_cell(1);
    GC_FRAME(c);
    gc_weak *weak;
    gc_weakmap *map;
    gc_intern *table;
    size_t position = 0;
    void *key, *value;
    KEEPS(weak = gc_weak_new(c));
    KEEPS(gc_weak_get(weak));
    KEEPS(map = gc_weakmap_new());
    KEEPS(gc_weakmap_get(map, c));
    KEEPS(gc_weakmap_set(map, c, c));
    KEEPS(gc_weakmap_get(map, c));
    KEEPS(gc_weakmap_has(map, c));
    KEEPS(gc_weakmap_next(map, &position, &key, &value));
    KEEPS(gc_weakmap_count(map));
    KEEPS(gc_weakmap_delete(map, c));
    KEEPS(table = gc_intern_new(&(struct gc_intern_ops){hash, equal, make}));
    KEEPS(gc_intern_get(table, "abc", 3, NULL));
    KEEPS(gc_intern_count(table));
    KEEPS(gc_finalizer_set(c, finalize_nothing, NULL));
    KEEPS(gc_cleanup_add(c, clean_nothing, NULL));
    c = NULL;
    KEEPS(gc_collect());
    KEEPS(gc_weak_get(weak));
    KEEPS(gc_finalizers_pending());
    KEEPS(gc_finalizers_run(0));
    KEEPS(gc_weak_free(weak));
    KEEPS(gc_weakmap_free(map));
    KEEPS(gc_intern_free(table));
}

static void run(void)
{
    struct gc_statistics s;
    char folder[] = "/tmp/gcheap-errno.XXXXXX", path[64];
    gc_heap *heap = gc_heap_current();
    KEEPS(gc_safepoint());
    KEEPS(gc_blocking_begin());
    KEEPS(gc_blocking_end());
    KEEPS(gc_collect_start());
    KEEPS(gc_collect());
    KEEPS(gc_stats(&s));
    KEEPS(gc_set_percent(50));
    KEEPS(gc_set_limit((size_t)1 << 30));
    KEEPS(gc_set_hard_limit(0));
    KEEPS(gc_heap_census(NULL, 0));
    CHECK(mkdtemp(folder) && snprintf(path, sizeof path, "%s/heap", folder) > 0);
    KEEPS(gc_heap_dump(path));
    CHECK(unlink(path) == 0 && rmdir(folder) == 0);
    KEEPS(gc_release_memory());
    KEEPS(gc_thread_switch(NULL));
    KEEPS(gc_thread_switch(heap));
    KEEPS(gc_thread_name("main"));
    gc_type *type;
    KEEPS(type = gc_type_create(&(struct gc_type_spec){.size = 40}));
    KEEPS(gc_type_release(type));
}

static void *attach_and_go(void *heap)
{
    KEEPS(gc_thread_attach(heap));
    allocate();
    refer();
    KEEPS(gc_thread_detach());
    return NULL;
}

static void every_call(const char *debug)
{
    gc_heap *heap;
    KEEPS(heap = gc_heap_create(&(gc_options){.debug = debug, .min_heap = 200000}));
    CHECK(heap);
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        threads[i] = start_thread(attach_and_go, heap);
    for (int i = 0; i < 3; i++) {
        allocate();
        refer();
        refer_weakly();
        run();
    }
    join_threads(threads, 2);
    KEEPS(gc_heap_destroy(heap));
}

TEST(calls_that_succeed_leave_errno)
{
    every_call(NULL);
    if (!SLOW)
        CHECK(system_calls > 0);
}

TEST(calls_that_collect_leave_errno)
{
    every_call("nth=20,delay=3");
}

static void *attach_and_collect(void *heap)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

/* The watchdog has named a thread. At its next safepoint the thread says where it stands. */
TEST(a_late_safepoint_leaves_errno)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.watchdog_ms = 1, .flags = GC_NO_BACKGROUND});
    CHECK(heap);
    pthread_t collector = start_thread(attach_and_collect, heap);
    WAIT_UNTIL(u64_load_relaxed(&thread_self()->silent_since));
    KEEPS(gc_safepoint());
    CHECK(!u64_load_relaxed(&thread_self()->silent_since));
    CHECK_EQ(gc_blocking_begin(), 0);
    join_thread(collector);
    CHECK_EQ(gc_blocking_end(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
