#include "mutator/self.h"
#include "base/os.h"

const struct gc_run self_no_runs[RUN_INDEXES];
/* For threads without a heap. Its flags send their stores and safepoints to the slow paths, which
 * report the mistake. */
struct gc_fast self_unattached = {SELF_NO_RUNS, BARRIER_SHUT, 1, NULL};
GC_TLS struct gc_fast *gc_self = &self_unattached;

/* Programs have these layouts compiled in. A change of one raises GC_ABI (docs/versions.md). */
#define AT(type, field, words) (offsetof(struct type, field) == (words) * sizeof(void *))
_Static_assert(GC_ABI == 3 && AT(gc_fast, runs, 0) && AT(gc_fast, barrier, 1) &&
                   offsetof(struct gc_fast, poll) == sizeof(void *) + 1 && AT(gc_fast, frames, 2),
               "struct gc_fast");
_Static_assert(GC_ABI == 3 && AT(gc_run, cursor, 0) && AT(gc_run, limit, 1) &&
                   AT(gc_run, size, 2) && sizeof(struct gc_run) == 4 * sizeof(void *),
               "struct gc_run");
_Static_assert(GC_ABI == 3 && AT(gc_frame, prev, 0) && sizeof(struct gc_frame) == sizeof(void *) &&
                   AT(gc_frame_array, size, 1) && AT(gc_frame_array, base, 2) &&
                   GC_FRAME_LAST == 1 && GC_FRAME_SIZE(1) == 6,
               "struct gc_frame");
_Static_assert(GC_ABI == 3 && GC_RUNS_BYTES == 33 && GC_RUNS_RAW == 101 &&
                   GC_INLINE_BYTES_MAX == 1024,
               "gc_new_bytes");

void self_set_current(gc_thread *t)
{
    gc_self = t ? &t->fast : &self_unattached;
}

/* ---- Attachments ---- */

/* The key's value for an OS thread that was ever attached: its attachments, linked by
 * next_attached; and in the lowest bits 1 more than the number of rounds of destructors that the
 * thread has gone through as it ends. So the value is not NULL, and the destructor runs in every
 * round. It recognises the last of os_key_rounds(), after which no destructor would detach the
 * thread. */
#define ROUNDS_MASK ((uintptr_t)7)
static void (*ends)(void);
static uint32_t key_is_made; /* atomic */
_Static_assert(_Alignof(gc_thread) > ROUNDS_MASK, "an address leaves them free");

static void thread_exits(void *value);

int self_make_key(void (*thread_ends)(void))
{
    if (u32_load_acquire(&key_is_made))
        return 0;
    ends = thread_ends;
    CHECK(os_key_rounds() < ROUNDS_MASK);
    int error = os_key_make(thread_exits);
    if (!error)
        u32_store_release(&key_is_made, 1);
    return -error;
}

static uintptr_t key_value(void)
{
    if (!u32_load_acquire(&key_is_made))
        return 0;
    return (uintptr_t)os_key_get();
}

gc_thread *self_attachments(void)
{
    return (gc_thread *)(key_value() & ~ROUNDS_MASK);
}

bool self_is_in_last_rounds(void)
{
    return (key_value() & ROUNDS_MASK) > os_key_rounds();
}

static bool set_attachments(gc_thread *first)
{
    uintptr_t rounds = key_value() & ROUNDS_MASK;
    uintptr_t value = (uintptr_t)first | (rounds ? rounds : 1);
    return os_key_set((void *)value);
}

bool self_add(gc_thread *t)
{
    t->next_attached = self_attachments();
    return set_attachments(t);
}

void self_remove(gc_thread *t)
{
    gc_thread *first = self_attachments();
    ASSERT(t && first);
    if (first == t) {
        set_attachments(t->next_attached);
        return;
    }
    while (first->next_attached != t)
        first = first->next_attached;
    first->next_attached = t->next_attached;
}

gc_thread *self_attached_to(const gc_heap *heap)
{
    gc_thread *t = self_attachments();
    while (t && t->heap != heap)
        t = t->next_attached;
    return t;
}

gc_thread *self_running(void)
{
    gc_thread *t = self_attachments();
    while (t && state_of(u32_load_relaxed(&t->st)) != THREAD_RUN)
        t = t->next_attached;
    return t;
}

bool self_may_wait_for(const gc_heap *heap)
{
    const gc_thread *t = self_running();
    return !t || t->heap == heap;
}

/* Runs in each round of destructors of an OS thread that ends. Another destructor may have attached
 * the thread anew since the last round. In the last round nothing is left to do, and not even a
 * sanitizer knows the thread any more. */
static NO_SANITIZER void thread_exits(void *value)
{
    uintptr_t rounds = (uintptr_t)value & ROUNDS_MASK;
    if (rounds > os_key_rounds()) {
        os_key_set(value);
        return;
    }
    os_key_set((void *)((uintptr_t)value + 1));
    ends();
}

/* ---- Functions of the embedder ---- */

static _Thread_local bool of_collector;

void self_joins_collector(void)
{
    of_collector = true;
}

bool self_is_called_back(const gc_thread *t)
{
    if (!t)
        return of_collector;
    return t->calls_back > 0 ||
           (t->blocking == 0 && state_of(u32_load_relaxed(&t->st)) != THREAD_RUN);
}
