/* malloc and free, by hand. Which malloc is a matter of linking. */
#ifndef BENCH_ADAPTERS_MALLOC_H
#define BENCH_ADAPTERS_MALLOC_H

#include <stdlib.h>
#include <string.h>

#define BM_COLLECTS 0
#define BM_TYPE(name, T, ...) _Static_assert(sizeof(T) > 0, "complete type")
#define BM_NEW(T, name) ((T *)malloc(sizeof(T)))
#define BM_NEW_ZEROED(T, name) ((T *)calloc(1, sizeof(T)))
#define BM_BYTES(n) malloc(n)
#define BM_BYTES_ZEROED(n) calloc(1, (n))
#define BM_POINTERS(n) ((void **)calloc((n), sizeof(void *)))
#define BM_NEW_TAIL(T, name, n) ((T *)calloc(1, sizeof(T) + (n) * sizeof(void *)))
#define BM_COPY(target, source, n) memcpy((target), (source), (n) * sizeof(void *))
#define BM_STORE(slot, value) bm_store((void *)(slot), (value))
#define BM_FREE(p) free(p)
#define BM_ROOTS(...) ((void)0)
#define BM_ROOT_ARRAY(array, n) ((void)0)
#define BM_ROOT_GLOBALS(base, n) ((void)0)
#define BM_BOX(p) ((uint64_t)(uintptr_t)(p))
#define BM_BOX_NUMBER(d) ((void)(d), (uint64_t)0)
#define BM_UNBOX(word) ((void *)(uintptr_t)(word))

void bm_start(const char *variant);
const char *bm_version(void);
void bm_release(void);

static inline void bm_store(void *slot, void *value)
{
    *(void *__attribute__((may_alias)) *)slot = value;
}
static inline void bm_stop(void) {}
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
static inline void bm_mark_in_parallel(void) {}
static inline void bm_box_values(void) {}
static inline void bm_poll(void) {}
static inline void bm_collect(void) {}
static inline void bm_report_collector(void) {}

#endif
