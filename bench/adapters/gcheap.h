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
#define BM_BOX(p) ((uint64_t)(uintptr_t)(p) | BM_BOX_TAG)
#define BM_BOX_NUMBER(d) bm_box_number(d)
#define BM_UNBOX(word) (((word)&BM_BOX_TAG) == BM_BOX_TAG ? bm_unbox(word) : NULL)
/* As in LuaJIT and others: a reference has all bits of a NaN that no calculation gives. */
#define BM_BOX_TAG ((uint64_t)0xfffc << 48)

void bm_start(const char *variant);
const char *bm_version(void);
void bm_stop(void);
void bm_thread_begin(void);
void bm_thread_end(void);
void bm_report_collector(void);
void bm_stall_listen(void);
int bm_stall_kind(uint64_t begin, uint64_t end);

/* Makes the heap anew, with this value format. */
void bm_box_values(void);
static inline uint64_t bm_box_number(double d)
{
    uint64_t word;
    __builtin_memcpy(&word, &d, sizeof word);
    return word;
}
static inline void *bm_unbox(uint64_t word)
{
    return (void *)(uintptr_t)(word & ~BM_BOX_TAG);
}

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
