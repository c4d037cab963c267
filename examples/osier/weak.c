/* Weak references and weak maps, and the cleanups that free what objects own off the heap. */
#include "vm.h"

#include <pthread.h>
#include <stdlib.h>

/* ---- Cleanups ------------------------------------------------------------------------------ */

/* What is to be done after an object, or at the end of the program if the object lives so long. */
struct cleanup {
    struct cleanup *next, *previous;
    gc_cleanup_fn fn;
    void *arg;
    bool done;
};

/* All of them, under the lock. Those of dead objects are run by a thread of the heap's. */
static struct cleanup cleanups = {&cleanups, &cleanups, NULL, NULL, true};
static pthread_mutex_t cleanups_lock = PTHREAD_MUTEX_INITIALIZER;
static bool cleanups_closed;

static void lock_cleanups(void)
{
    if (pthread_mutex_trylock(&cleanups_lock) == 0)
        return;
    gc_blocking_begin();
    pthread_mutex_lock(&cleanups_lock);
    gc_blocking_end();
}

static void cleanup_unlink(struct cleanup *cleanup)
{
    cleanup->next->previous = cleanup->previous;
    cleanup->previous->next = cleanup->next;
    free(cleanup);
}

static void cleanup_run(void *arg)
{
    struct cleanup *cleanup = arg;
    lock_cleanups();
    bool mine = !cleanup->done;
    cleanup->done = true;
    pthread_mutex_unlock(&cleanups_lock);
    if (!mine)
        return;
    cleanup->fn(cleanup->arg);
    lock_cleanups();
    if (!cleanups_closed)
        cleanup_unlink(cleanup);
    pthread_mutex_unlock(&cleanups_lock);
}

void add_cleanup(struct thread *t, void *object, gc_cleanup_fn fn, void *arg)
{
    struct cleanup *cleanup = malloc(sizeof *cleanup);
    if (!cleanup || gc_cleanup_add(object, cleanup_run, cleanup) < 0) {
        free(cleanup);
        fn(arg);
        throw_memory(t);
    }
    lock_cleanups();
    *cleanup = (struct cleanup){cleanups.next, &cleanups, fn, arg, false};
    cleanups.next->previous = cleanup;
    cleanups.next = cleanup;
    pthread_mutex_unlock(&cleanups_lock);
}

/* Runs what is left, while the heap still exists. */
void cleanups_close(void)
{
    lock_cleanups();
    cleanups_closed = true;
    for (struct cleanup *c = cleanups.next; c != &cleanups; c = c->next) {
        if (!c->done)
            c->fn(c->arg);
        c->done = true;
    }
    pthread_mutex_unlock(&cleanups_lock);
}

/* Gives their memory back, when the heap is gone. */
void cleanups_free(void)
{
    while (cleanups.next != &cleanups)
        cleanup_unlink(cleanups.next);
}

static void *weak_target(struct thread *t, value v)
{
    if (!is_object(v) || is_string(v))
        throw_error(t, ERROR_TypeError, "%s cannot be held weakly", class_name_of(v));
    return as_object(v);
}

/* ---- Weak ---------------------------------------------------------------------------------- */

static void weak_free(void *arg)
{
    gc_weak_free(arg);
}

static value weak_new(struct thread *t, value *args, int n)
{
    (void)n;
    void *target = weak_target(t, args[1]);
    struct weak *self = NEW(t, &weak_type, KIND_WEAK);
    GC_FRAME(self);
    self->ref = check_memory(t, gc_weak_new(target));
    add_cleanup(t, self, weak_free, self->ref);
    return from_object(self);
}

/* The object, or nil when it is gone. */
static value weak_get(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    void *target = gc_weak_get(((struct weak *)as_object(args[0]))->ref);
    return target ? from_object(target) : NIL;
}

/* ---- WeakMap ------------------------------------------------------------------------------- */

#define MAP (((struct weakmap *)as_object(args[0]))->map)

static void weakmap_free(void *arg)
{
    gc_weakmap_free(arg);
}

static value weakmap_new(struct thread *t, value *args, int n)
{
    (void)args, (void)n;
    struct weakmap *self = NEW(t, &weakmap_type, KIND_WEAKMAP);
    GC_FRAME(self);
    self->map = check_memory(t, gc_weakmap_new());
    add_cleanup(t, self, weakmap_free, self->map);
    return from_object(self);
}

/* The map holds references only; other values are put into boxes. */
static value from_reference(void *p)
{
    if (!p)
        return NIL;
    struct object *object = p;
    return object->kind == KIND_BOX ? ((struct box *)p)->content : from_object(p);
}

static value weakmap_set(struct thread *t, value *args, int n)
{
    (void)n;
    void *key = weak_target(t, args[1]);
    void *v = is_object(args[2]) ? as_object(args[2]) : new_box(t, args[2]);
    GC_FRAME(v);
    if (gc_weakmap_set(MAP, key, v))
        throw_memory(t);
    return args[2];
}

static value weakmap_get(struct thread *t, value *args, int n)
{
    (void)n;
    return from_reference(gc_weakmap_get(MAP, weak_target(t, args[1])));
}

static value weakmap_has(struct thread *t, value *args, int n)
{
    (void)n;
    return from_bool(gc_weakmap_has(MAP, weak_target(t, args[1])));
}

static value weakmap_delete(struct thread *t, value *args, int n)
{
    (void)n;
    return from_bool(gc_weakmap_delete(MAP, weak_target(t, args[1])));
}

static value weakmap_len(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return from_int((int64_t)gc_weakmap_count(MAP));
}

static value weakmap_list(struct thread *t, value *args, bool keys)
{
    struct list *list = new_list(t, 0);
    void *key = NULL, *v = NULL;
    size_t position = 0;
    GC_FRAME(list, key, v);
    while (gc_weakmap_next(MAP, &position, &key, &v))
        list_push(t, list, from_reference(keys ? key : v));
    return from_object(list);
}

static value weakmap_keys(struct thread *t, value *args, int n)
{
    (void)n;
    return weakmap_list(t, args, true);
}

static value weakmap_values(struct thread *t, value *args, int n)
{
    (void)n;
    return weakmap_list(t, args, false);
}

void builtin_weak_open(struct thread *t)
{
    static const struct native_def weaks[] = {{"get", weak_get, 0, 0, false},
                                              {NULL, NULL, 0, 0, false}};
    static const struct native_def weakmaps[] = {
        {"set", weakmap_set, 2, 2, false},       {"get", weakmap_get, 1, 1, false},
        {"has", weakmap_has, 1, 1, false},       {"delete", weakmap_delete, 1, 1, false},
        {"len", weakmap_len, 0, 0, false},       {"keys", weakmap_keys, 0, 0, false},
        {"values", weakmap_values, 0, 0, false}, {NULL, NULL, 0, 0, false}};
    define_natives(t, vm.classes[KIND_WEAK], weaks);
    define_constructor(t, KIND_WEAK, weak_new, 1, 1);
    define_natives(t, vm.classes[KIND_WEAKMAP], weakmaps);
    define_constructor(t, KIND_WEAKMAP, weakmap_new, 0, 0);
}
