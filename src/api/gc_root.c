/* Frames, roots, handles; what tracers call. */
#include "api/entry.h"
#include "cycle/background.h"
#include "memory/tagged.h"
#include "mutator/handshake.h"
#include "mutator/fiber.h"
#include "mutator/log.h"

NOINLINE void gc_frame_error(struct gc_frame *frame)
{
    gc_thread *t = thread_self();
    if (t) /* else the heap was destroyed, or left, inside the block */
        thread_frame_error(t, frame, STACK_CALLER());
}

static bool slot_is_valid(const void *slot)
{
    return slot && (uintptr_t)slot % WORD_SIZE == 0;
}

/* The barrier for roots that are removed: shades what they refer to. A root that is added needs no
 * barrier. The thread that adds it holds the object, or has found it where it is tracked. If the
 * object is dropped there before it was scanned, the collector has not visited these roots yet. */
static void shade_slots(gc_thread *t, const slot_word *base, size_t n)
{
    if (!thread_shades(t))
        return;
    for (size_t i = 0; i < n; i++)
        barrier_shade(t, value_address(&t->heap->options.format, slot_load_acquire(&base[i])));
}

int gc_root_range(void *base, size_t n)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!slot_is_valid(base) || n == 0 || n > SIZE_MAX / WORD_SIZE / 2)
        return -EINVAL;
    return roots_add(&t->heap->roots, base, n);
}

int(gc_root)(void *slot)
{
    return gc_root_range(slot, 1);
}

int gc_unroot(void *slot)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    size_t n = roots_find(&t->heap->roots, slot);
    if (n == 0)
        return -ENOENT;
    shade_slots(t, slot, n);
    return roots_remove(&t->heap->roots, slot) ? 0 : -ENOENT;
}

static struct rootset *current_rootset(gc_thread *t)
{
    return t->fiber ? &t->fiber->roots : &t->roots;
}

int gc_thread_range(void *base, void *top)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!slot_is_valid(base) || !slot_is_valid(top))
        return -EINVAL;
    return rootset_add_range(current_rootset(t), (struct root_range){base, top, NULL});
}

int gc_thread_local_range(void *base, size_t bytes)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!slot_is_valid(base) || bytes < WORD_SIZE)
        return -EINVAL;
    slot_word *begin = base;
    return rootset_add_range(&t->roots,
                             (struct root_range){begin, NULL, begin + bytes / WORD_SIZE});
}

int gc_thread_range_remove(void *base)
{
    gc_thread *t = ENTER();
    return t ? rootset_remove_range(current_rootset(t), base) : -EPERM;
}

/* Heap callbacks are promised a thread that holds no lock of the embedder. That thread is started
 * before one is added. */
static int add_heap_callback(gc_heap *heap, struct root_callback callback)
{
    const unsigned alone = GC_STOP_WORLD | GC_NO_BACKGROUND;
    if (!(heap->options.flags & alone) && !background_start(heap))
        return -EAGAIN;
    return roots_add_callback(&heap->roots, callback);
}

int gc_root_callback(enum gc_root_scope scope, gc_root_fn fn, void *arg)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!fn || (scope != GC_ROOT_THREAD && scope != GC_ROOT_HEAP))
        return -EINVAL;
    struct root_callback callback = {fn, arg};
    if (scope == GC_ROOT_THREAD)
        return rootset_add_callback(&t->roots.callbacks, callback);
    return add_heap_callback(t->heap, callback);
}

int gc_root_callback_remove(gc_root_fn fn, void *arg)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    struct root_callback callback = {fn, arg};
    if (rootset_remove_callback(&t->roots.callbacks, callback) == 0)
        return 0;
    struct shading_tracer shade = handshake_shading_tracer(t);
    return roots_remove_callback(&t->heap->roots, callback,
                                 thread_shades(t) ? &shade.tracer : NULL);
}

void(gc_trace_slot)(gc_tracer *tracer, const void *slot)
{
    gc_trace_slots(tracer, slot, 1);
}

void gc_trace_slots(gc_tracer *tracer, const void *base, size_t n)
{
    const slot_word *slots = base;
    for (size_t i = 0; i < n; i++)
        tracer_slot(tracer, &slots[i]);
}

void gc_trace_ref(gc_tracer *tracer, void *object)
{
    tracer->source.slot = NULL;
    tracer_word(tracer, (word)object);
}

void gc_trace_tagged(gc_tracer *tracer, const void *base, size_t n, size_t size,
                     const struct gc_tagged *where)
{
    uintptr_t at = (uintptr_t)base;
    for (size_t i = 0; i < n; i++, at += size) {
        if (tagged_refers(where, at))
            tracer_slot(tracer, (const slot_word *)at + where->word);
    }
}

/* ---- Marked callbacks ---- */

int gc_marked_callback(gc_marked_fn fn, void *arg)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    return fn ? roots_add_marked(&t->heap->roots, fn, arg) : -EINVAL;
}

int gc_marked_callback_remove(gc_marked_fn fn, void *arg)
{
    gc_thread *t = ENTER();
    return t ? roots_remove_marked(&t->heap->roots, fn, arg) : -EPERM;
}

/* It would be taken for the last word, and a table would lose what lives. */
static COLD bool refuse_question(const gc_tracer *tracer)
{
    if (!u8_exchange_relaxed(&tracer->heap->roots.told, 1))
        log_write(tracer->heap, GC_LOG_ERROR,
                  "gc_is_marked is asked while objects are still being marked, and says yes: ask "
                  "in a function of gc_marked_callback()");
    return true;
}

bool gc_is_marked(gc_tracer *tracer, const void *object)
{
    const gc_value_format *format = &tracer->heap->options.format;
    return LIKELY(tracer->marked) ? tracer->marked(tracer, value_address(format, (word)object))
                                  : refuse_question(tracer);
}

void *gc_trace_user(gc_tracer *tracer)
{
    return tracer->object ? tracer->type->user : NULL;
}

gc_handle *gc_handle_new(void *object)
{
    gc_thread *t = ENTER();
    slot_word *slot = t ? handles_take(&t->heap->roots.handles) : NULL;
    if (t && !slot)
        errno = ENOMEM;
    if (slot)
        gc_store(slot, object);
    return (gc_handle *)slot;
}

/* Whether it is a handle of the thread's current heap. If not, errno is EINVAL. */
static bool is_handle(const gc_thread *t, const gc_handle *handle, const char *call)
{
    bool own = handle && handles_of(handle) == &t->heap->roots.handles;
    if (LIKELY(own && handle_is_taken(handle)))
        return true;
    if (handle)
        entry_refuse_handle(t, call, !own);
    errno = EINVAL;
    return false;
}

void *gc_handle_get(const gc_handle *handle)
{
    gc_thread *t = ENTER();
    return t && is_handle(t, handle, __func__) ? gc_load(handle) : NULL;
}

int gc_handle_set(gc_handle *handle, void *object)
{
    gc_thread *t = ENTER();
    if (!t)
        return -EPERM;
    if (!is_handle(t, handle, __func__))
        return -EINVAL;
    gc_store(handle, object);
    return 0;
}

void gc_handle_free(gc_handle *handle)
{
    gc_thread *t = handle ? ENTER() : NULL;
    if (!t || !is_handle(t, handle, __func__))
        return;
    gc_store(handle, NULL);
    handles_give(&t->heap->roots.handles, (slot_word *)handle);
}
