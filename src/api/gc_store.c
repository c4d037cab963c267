/* Stores of references. */
#include "api/entry.h"
#include "cycle/assist.h"
#include "introspect/strays.h"
#include "mutator/barrier.h"
#include "mutator/window.h"

/* Whether the store will take place: a compare-and-swap may not. */
enum outcome { SURE, UNSURE };

static NOINLINE void check(gc_thread *t, const struct checks_stored *stored)
{
    if (t->heap->checks)
        checks_store(t, stored);
    if (t->heap->strays)
        strays_stored(t, stored);
    if (t->heap->debug.stay)
        assist_stored(t->heap, t, stored->slot);
}

/* The thread may not store, or its stores are checked. `value` is 0 if what the slot is to hold,
 * `content`, is no reference. */
static COLD void barrier_flagged(const char *call, const void *slot, word old, word value,
                                 word content, enum outcome outcome)
{
    gc_thread *t = thread_self();
    if (gc_self->barrier & BARRIER_SHUT) {
        entry_refuse_store(call, old, value, STACK_CALLER());
        return;
    }
    struct checks_stored stored = {call, slot, value, content, outcome == SURE, STACK_CALLER()};
    check(t, &stored);
    if (thread_shades(t))
        barrier_write(t, old, value);
    if (t->heap->strays)
        strays_wipe(&stored, sizeof stored);
}

/* Called if the calling thread's barrier is on, or has a flag. */
INLINE void barrier(const char *call, const void *slot, word old, word value, enum outcome outcome)
{
    if (UNLIKELY(gc_self->barrier & BARRIER_FLAGS))
        barrier_flagged(call, slot, old, value, value, outcome);
    else
        barrier_write(thread_self(), old, value);
}

void gc_barrier_store(void *slot, void *value)
{
    barrier("gc_store", slot, slot_load_acquire(slot), (word)value, SURE);
}

void gc_barrier_store_value(uint64_t *slot, uint64_t value)
{
    barrier("gc_store_value", slot, slot_load_acquire(slot), (word)value, SURE);
}

static bool tag_matches(const struct gc_tagged *where, uint8_t tag)
{
    return (tag & where->mask) == where->match;
}

/* I52: a tagged word that holds no reference is not shaded. It may be what is left of one whose
 * object is dead. */
void gc_barrier_store_tagged(void *object, const struct gc_tagged *where, void *value, uint8_t tag)
{
    const slot_word *slot = (const slot_word *)object + where->word;
    word old = tagged_refers(where, (uintptr_t)object) ? slot_load_acquire(slot) : 0;
    word reference = tag_matches(where, tag) ? (word)value : 0;
    if (UNLIKELY(gc_self->barrier & BARRIER_FLAGS))
        barrier_flagged("gc_store_tagged", slot, old, reference, (word)value, SURE);
    else
        barrier_write(thread_self(), old, reference);
}

/* Both values are shaded before the exchange is tried, as it may succeed. */
bool(gc_cas)(void *slot, void *expected, void *desired)
{
    word want = (word)expected;
    if (UNLIKELY(gc_self->barrier))
        barrier(__func__, slot, want, (word)desired, UNSURE);
    return __atomic_compare_exchange_n((slot_word *)slot, &want, (word)desired, false,
                                       __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);
}

bool gc_cas_value(uint64_t *slot, uint64_t expected, uint64_t desired)
{
    return gc_cas(slot, (void *)(uintptr_t)expected, (void *)(uintptr_t)desired);
}

INLINE void copy_word(const char *call, slot_word *to, const slot_word *from, bool shades)
{
    word value = slot_load_acquire(from);
    if (shades)
        barrier(call, to, slot_load_acquire(to), value, SURE);
    slot_store_release(to, value);
}

INLINE void copy(slot_word *to, const slot_word *from, size_t n, bool shades)
{
    if ((uintptr_t)to <= (uintptr_t)from) {
        for (size_t i = 0; i < n; i++)
            copy_word("gc_copy", &to[i], &from[i], shades);
    } else {
        for (size_t i = n; i > 0; i--)
            copy_word("gc_copy", &to[i - 1], &from[i - 1], shades);
    }
}

/* If the object that contains `to` has tagged words, shades what these words of it refer to. The
 * caller writes to them, and then calls the second function. */
static bool begin_tagged(slot_word *to, size_t n, struct parts *p)
{
    gc_thread *t = thread_self();
    if (gc_self->barrier & BARRIER_SHUT || !window_parts(t, (uintptr_t)to, p))
        return false;
    if (UNLIKELY(gc_self->barrier & BARRIER_WATCH))
        checks_window(t, (uintptr_t)to, n * WORD_SIZE);
    if (thread_shades(t))
        window_shade(t, p, (uintptr_t)to, n * WORD_SIZE);
    return true;
}

/* What a grey thread has written is shaded when it can be seen which words of it are references. No
 * thread has met a safepoint meanwhile. */
static void end_tagged(slot_word *to, size_t n, const struct parts *p)
{
    if (gc_self->barrier & BARRIER_BOTH)
        window_shade(thread_self(), p, (uintptr_t)to, n * WORD_SIZE);
}

static NOINLINE void copy_and_shade(slot_word *to, const slot_word *from, size_t n)
{
    struct parts p;
    bool tagged = begin_tagged(to, n, &p);
    copy(to, from, n, !tagged);
    if (tagged)
        end_tagged(to, n, &p);
}

/* The barrier goes on and off in safepoints, and there is none meanwhile. */
void gc_copy(void *target, const void *source, size_t bytes)
{
    if (UNLIKELY(gc_self->barrier))
        copy_and_shade(target, source, bytes / WORD_SIZE);
    else
        copy(target, source, bytes / WORD_SIZE, false);
}

void gc_clear(void *target, size_t bytes)
{
    static const slot_word zero;
    slot_word *to = target;
    struct parts p;
    bool shades = gc_self->barrier && !begin_tagged(to, bytes / WORD_SIZE, &p);
    for (size_t i = 0; i < bytes / WORD_SIZE; i++)
        copy_word(__func__, &to[i], &zero, shades);
}

/* ---- Barriers of other styles ---- */

void gc_shade_slow(void *object)
{
    gc_thread *t = ENTER();
    if (t && thread_shades(t))
        barrier_shade(t, (uintptr_t)object);
}

void gc_before_write_slow(void *object)
{
    gc_thread *t = ENTER();
    if (!t || !object)
        return;
    if (UNLIKELY(t->fast.barrier & BARRIER_WATCH))
        checks_window(t, (uintptr_t)object, 0);
    if (thread_shades(t) && !window_open(t, (uintptr_t)object))
        entry_tell_no_object(t, "gc_before_write");
}

void gc_before_write_range_slow(void *target, size_t bytes)
{
    gc_thread *t = ENTER();
    if (!t || bytes == 0)
        return;
    if (UNLIKELY(t->fast.barrier & BARRIER_WATCH))
        checks_window(t, (uintptr_t)target, bytes);
    if (thread_shades(t))
        window_open_range(t, (uintptr_t)target, bytes);
}
