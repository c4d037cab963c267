/* gcheap as its manual teaches it: inline gc_new and gc_store, GC_TYPE types, default options. */
#ifndef BENCH_ADAPTERS_GCHEAP_H
#define BENCH_ADAPTERS_GCHEAP_H

#include <gcheap.h>

#define BM_COLLECTS 1
#define BM_TYPE(name, T, ...) static GC_TYPE(name, T, __VA_ARGS__)
#define BM_NEW(T, name) ((T *)gc_new(&name))
#define BM_NEW_ZEROED(T, name) ((T *)gc_new(&name))
#define BM_BYTES(n) gc_new_bytes_raw(n)
#define BM_BYTES_ZEROED(n) gc_new_bytes(n)
#define BM_POINTERS(n) ((void **)gc_new_array(&gc_pointer_type, (n)))
#define BM_NEW_TAIL(T, name, n) ((T *)gc_new_flex(&name, &gc_pointer_type, (n)))
#define BM_COPY(target, source, n) gc_copy((target), (source), (n) * sizeof(void *))
#define BM_STORE(slot, value) gc_store((slot), (value))
#define BM_FREE(p) ((void)(p))
#define BM_ROOTS(...) GC_FRAME(__VA_ARGS__)
#define BM_ROOT_ARRAY(array, n) GC_FRAME_ARRAY(array, n)
#define BM_ROOT_GLOBALS(base, n) gc_root_range((base), (n))

void bm_start(const char *variant);
const char *bm_version(void);
void bm_stop(void);
void bm_thread_begin(void);
void bm_thread_end(void);
void bm_report_collector(void);
void bm_stall_listen(void);
int bm_stall_kind(uint64_t begin, uint64_t end);

static inline void bm_block_begin(void)
{
    gc_blocking_begin();
}
static inline void bm_block_end(void)
{
    gc_blocking_end();
}
static inline void bm_mark_in_parallel(void) {}
static inline void bm_poll(void)
{
    gc_safepoint();
}
static inline void bm_set_percent(int percent)
{
    gc_set_percent(percent);
}
static inline void bm_collect(void)
{
    gc_collect();
}
static inline void bm_release(void)
{
    gc_release_memory();
}

#endif
