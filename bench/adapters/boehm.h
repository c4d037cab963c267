/* The Boehm-Demers-Weiser collector as its documentation recommends it for threaded programs:
 * GC_MALLOC and GC_MALLOC_ATOMIC, threads made through its wrapped pthread_create, large arrays
 * without interior pointers to their far parts, everything else at its default. It starts its
 * marker threads with the first pthread_create; workloads about marking start them at once. */
#ifndef BENCH_ADAPTERS_BOEHM_H
#define BENCH_ADAPTERS_BOEHM_H

#define GC_THREADS
#include <gc.h>
#include <string.h>

#define BM_COLLECTS 1
#define BM_TYPE(name, T, ...) _Static_assert(sizeof(T) > 0, "complete type")
#define BM_NEW(T, name) ((T *)GC_MALLOC(sizeof(T)))
#define BM_NEW_ZEROED(T, name) ((T *)GC_MALLOC(sizeof(T)))
#define BM_BYTES(n) GC_MALLOC_ATOMIC(n)
#define BM_BYTES_ZEROED(n) memset(GC_MALLOC_ATOMIC(n), 0, (n))
#define BM_POINTERS(n) bm_pointers(n)
#define BM_NEW_TAIL(T, name, n) ((T *)GC_MALLOC(sizeof(T) + (n) * sizeof(void *)))
#define BM_COPY(target, source, n) memcpy((target), (source), (n) * sizeof(void *))
#define BM_STORE(slot, value) bm_store((void *)(slot), (value))
#define BM_FREE(p) ((void)(p))
#define BM_ROOTS(...) ((void)0)
#define BM_ROOT_ARRAY(array, n) ((void)0)
#define BM_ROOT_GLOBALS(base, n) ((void)0)
#define BM_BOX(p) ((uint64_t)(uintptr_t)(p))
#define BM_BOX_NUMBER(d) ((void)(d), (uint64_t)0)
#define BM_UNBOX(word) ((void *)(uintptr_t)(word))

void bm_start(const char *variant);
const char *bm_version(void);
void bm_stop(void);
void bm_mark_in_parallel(void);
void bm_report_collector(void);

static inline void bm_store(void *slot, void *value)
{
    *(void *__attribute__((may_alias)) *)slot = value;
}
static inline void **bm_pointers(size_t n)
{
    size_t bytes = n * sizeof(void *);
    return bytes > 100000 ? GC_MALLOC_IGNORE_OFF_PAGE(bytes) : GC_MALLOC(bytes);
}
static inline void bm_thread_begin(void) {}
static inline void bm_thread_end(void) {}
static inline void bm_set_percent(int percent)
{
    (void)percent;
}
static inline void bm_stall_listen(void) {}
static inline int bm_stall_kind(uint64_t begin, uint64_t end)
{
    (void)begin, (void)end;
    return -1;
}
static inline void bm_block_begin(void) {}
static inline void bm_block_end(void) {}
static inline void bm_box_values(void) {}
static inline void bm_poll(void) {}
static inline void bm_collect(void)
{
    GC_gcollect();
}
static inline void bm_release(void)
{
    GC_gcollect_and_unmap();
}

#endif
