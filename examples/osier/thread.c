/* Threads that share the heap, and what they talk through: channels, mutexes, atomic cells.
 *
 * What threads wait for is a monitor: a mutex with two conditions, off the heap. Who holds a
 * monitor neither allocates nor throws; who waits for one is blocked for the collector.
 */
#include "vm.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#define MAIN_STACK 1024

/* ---- Monitors ------------------------------------------------------------------------------ */

struct monitor {
    pthread_mutex_t mutex;
    pthread_cond_t conditions[2];
};

static void monitor_free(void *arg)
{
    struct monitor *m = arg;
    pthread_cond_destroy(&m->conditions[0]);
    pthread_cond_destroy(&m->conditions[1]);
    pthread_mutex_destroy(&m->mutex);
    free(m);
}

struct monitor *monitor_for(struct thread *t, void *object)
{
    struct monitor *m = check_memory(t, malloc(sizeof *m));
    pthread_mutex_init(&m->mutex, NULL);
    pthread_cond_init(&m->conditions[0], NULL);
    pthread_cond_init(&m->conditions[1], NULL);
    add_cleanup(t, object, monitor_free, m);
    return m;
}

void monitor_lock(struct monitor *m)
{
    if (pthread_mutex_trylock(&m->mutex) == 0)
        return;
    gc_blocking_begin();
    pthread_mutex_lock(&m->mutex);
    gc_blocking_end();
}

void monitor_unlock(struct monitor *m)
{
    pthread_mutex_unlock(&m->mutex);
}

void monitor_wait(struct monitor *m, int condition)
{
    gc_blocking_begin();
    pthread_cond_wait(&m->conditions[condition], &m->mutex);
    gc_blocking_end();
}

void monitor_signal(struct monitor *m, int condition)
{
    pthread_cond_signal(&m->conditions[condition]);
}

void monitor_broadcast(struct monitor *m, int condition)
{
    pthread_cond_broadcast(&m->conditions[condition]);
}

/* ---- Threads ------------------------------------------------------------------------------- */

struct thread_object {
    struct object head;
    value function;
    struct list *arguments;
    value result, error;
    struct monitor *monitor;
    bool ended; /* under the monitor */
};
static GC_TYPE(thread_type, struct thread_object, function, arguments, result, error);

/* What a new thread is given; freed by it. */
struct start {
    gc_handle *self;
    struct thread *thread;
};

static void thread_open(struct thread *t)
{
    memset(t, 0, sizeof *t);
    t->exit_status = -1;
    t->context = &t->main;
    t->main.state = CONTEXT_RUNNING;
}

static struct thread *new_thread(struct thread *t)
{
    struct thread *made = check_memory(t, malloc(sizeof *made));
    thread_open(made);
    context_open(t, &made->main, MAIN_STACK);
    if (gc_root_range(made->roots, ROOT_COUNT)) {
        context_close(&made->main);
        free(made);
        throw_memory(t);
    }
    return made;
}

void thread_close(struct thread *t)
{
    gc_unroot(t->roots);
    gc_thread_range_remove(t->main.stack);
    context_close(&t->main);
}

value thread_error(value thread)
{
    return gc_load_value(&((struct thread_object *)as_object(thread))->error);
}

/* Tells those who wait that the thread has come to its end. */
static void thread_ended(struct thread_object *self, value result, value error)
{
    __atomic_fetch_sub(&vm.busy, 1, __ATOMIC_RELEASE);
    monitor_lock(self->monitor);
    gc_store_value(&self->result, result);
    gc_store_value(&self->error, error);
    self->ended = true;
    monitor_broadcast(self->monitor, 0);
    monitor_unlock(self->monitor);
}

static void run_thread(struct thread *t, struct thread_object *self)
{
    uint32_t n;
    struct block *arguments = list_items(self->arguments, &n);
    struct trap trap;
    GC_FRAME(self, arguments);
    if (vm_run(t, self->function, arguments ? arguments->v : NULL, (int)n)) {
        thread_ended(self, gc_load_value(&t->roots[ROOT_TRANSFER]), NIL);
        return;
    }
    if (setjmp(*trap_set(t, &trap)) == 0)
        map_set(t, vm.failures, from_object(self), TRUE);
    trap_clear(t, &trap);
    thread_ended(self, NIL, gc_load_value(&t->roots[ROOT_ERROR]));
}

static void *thread_main(void *arg)
{
    struct start start = *(struct start *)arg;
    struct thread *t = start.thread;
    free(arg);
    if (gc_thread_attach(vm.heap) || gc_thread_range(t->main.stack, &t->main.top)) {
        fprintf(stderr, "osier: no memory to attach a thread\n");
        abort();
    }
    gc_thread_name("osier");
    observe_thread(t);
    thread_root_set(t, ROOT_SELF, from_object(gc_handle_get(start.self)));
    gc_handle_free(start.self);
    run_thread(t, as_object(gc_load_value(&t->roots[ROOT_SELF])));
    thread_close(t);
    free(t);
    gc_thread_detach();
    __atomic_fetch_sub(&vm.threads, 1, __ATOMIC_RELEASE);
    return NULL;
}

static void start_thread(struct thread *t, struct thread_object *self)
{
    pthread_t id;
    struct start *start = check_memory(t, malloc(sizeof *start));
    start->thread = new_thread(t);
    start->self = check_memory(t, gc_handle_new(self));
    __atomic_fetch_add(&vm.threads, 1, __ATOMIC_ACQ_REL);
    __atomic_fetch_add(&vm.busy, 1, __ATOMIC_ACQ_REL);
    if (pthread_create(&id, NULL, thread_main, start) == 0) {
        pthread_detach(id);
        return;
    }
    __atomic_fetch_sub(&vm.busy, 1, __ATOMIC_RELEASE);
    __atomic_fetch_sub(&vm.threads, 1, __ATOMIC_RELEASE);
    gc_handle_free(start->self);
    gc_unroot(start->thread->roots);
    context_close(&start->thread->main);
    free(start->thread);
    free(start);
    throw_error(t, ERROR_StateError, "the system does not give another thread");
}

/* spawn(f, …): a thread that calls f(…). */
static value spawn(struct thread *t, value *args, int n)
{
    enum kind kind = value_kind(args[1]);
    if (kind != KIND_CLOSURE && kind != KIND_BOUND && kind != KIND_NATIVE)
        throw_error(t, ERROR_TypeError, "a thread needs a function, not %s",
                    class_name_of(args[1]));
    struct thread_object *self = NEW(t, &thread_type, KIND_THREAD);
    self->function = args[1];
    self->error = UNDEFINED;
    GC_FRAME(self);
    gc_store(&self->arguments, new_list(t, (uint32_t)n));
    for (int i = 2; i <= n; i++)
        list_push(t, self->arguments, args[i]);
    self->monitor = monitor_for(t, self);
    start_thread(t, self);
    return from_object(self);
}

/* The thread's result when it has ended; throws what ended it. */
static value thread_join(struct thread *t, value *args, int n)
{
    (void)n;
    value old;
    struct thread_object *self = as_object(args[0]);
    monitor_lock(self->monitor);
    while (!self->ended)
        monitor_wait(self->monitor, 0);
    monitor_unlock(self->monitor);
    value error = gc_load_value(&self->error);
    if (error == NIL)
        return gc_load_value(&self->result);
    map_delete(vm.failures, args[0], &old);
    throw_value(t, error);
}

static value thread_is_finished(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    struct thread_object *self = as_object(args[0]);
    monitor_lock(self->monitor);
    bool ended = self->ended;
    monitor_unlock(self->monitor);
    return from_bool(ended);
}

/* ---- Channels ------------------------------------------------------------------------------ */

enum { READABLE, WRITABLE };

/* All but the monitor is under it. */
struct channel {
    struct object head;
    struct block *items; /* a ring */
    struct monitor *monitor;
    uint32_t first, count;
    uint64_t sent, taken;
    bool rendezvous; /* who sends waits until somebody took it */
    bool closed;
};
static GC_TYPE(channel_type, struct channel, items);

#define CHANNEL ((struct channel *)as_object(args[0]))

static value channel_new(struct thread *t, value *args, int n)
{
    uint32_t capacity = n ? (uint32_t)arg_int_in(t, args, 1, 0, 1 << 24) : 0;
    struct channel *self = NEW(t, &channel_type, KIND_CHANNEL);
    self->rendezvous = capacity == 0;
    GC_FRAME(self);
    gc_store(&self->items, new_block(t, capacity ? capacity : 1));
    self->monitor = monitor_for(t, self);
    return from_object(self);
}

/* Under the monitor. */
static void channel_put(struct channel *self, value v)
{
    uint32_t last = (self->first + self->count) % self->items->capacity;
    gc_store_value(&self->items->v[last], v);
    self->count++;
    self->sent++;
    monitor_signal(self->monitor, READABLE);
}

/* Under the monitor. */
static value channel_take(struct channel *self)
{
    value v = gc_load_value(&self->items->v[self->first]);
    gc_store_value(&self->items->v[self->first], NIL);
    self->first = (self->first + 1) % self->items->capacity;
    self->count--;
    self->taken++;
    if (self->rendezvous)
        monitor_broadcast(self->monitor, WRITABLE);
    else
        monitor_signal(self->monitor, WRITABLE);
    return v;
}

static value channel_send(struct thread *t, value *args, int n)
{
    (void)n;
    struct channel *self = CHANNEL;
    monitor_lock(self->monitor);
    while (!self->closed && self->count == self->items->capacity)
        monitor_wait(self->monitor, WRITABLE);
    bool closed = self->closed;
    if (!closed) {
        channel_put(self, args[1]);
        uint64_t number = self->sent;
        while (self->rendezvous && self->taken < number && !self->closed)
            monitor_wait(self->monitor, WRITABLE);
    }
    monitor_unlock(self->monitor);
    if (closed)
        throw_error(t, ERROR_StateError, "the channel is closed");
    return NIL;
}

value channel_next(struct thread *t, value channel)
{
    (void)t;
    struct channel *self = as_object(channel);
    monitor_lock(self->monitor);
    while (!self->closed && !self->count)
        monitor_wait(self->monitor, READABLE);
    value v = self->count ? channel_take(self) : DONE;
    monitor_unlock(self->monitor);
    return v;
}

static value channel_receive(struct thread *t, value *args, int n)
{
    (void)n;
    return channel_next(t, args[0]);
}

/* Does not wait: nil if there is nothing now. */
static value channel_try_receive(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    struct channel *self = CHANNEL;
    monitor_lock(self->monitor);
    value v = self->count ? channel_take(self) : self->closed ? DONE : NIL;
    monitor_unlock(self->monitor);
    return v;
}

static value channel_close(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    struct channel *self = CHANNEL;
    monitor_lock(self->monitor);
    self->closed = true;
    monitor_broadcast(self->monitor, READABLE);
    monitor_broadcast(self->monitor, WRITABLE);
    monitor_unlock(self->monitor);
    return NIL;
}

static value channel_len(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    struct channel *self = CHANNEL;
    monitor_lock(self->monitor);
    uint32_t count = self->count;
    monitor_unlock(self->monitor);
    return from_int(count);
}

/* ---- Mutexes ------------------------------------------------------------------------------- */

struct mutex {
    struct object head;
    struct monitor *monitor;
    const struct thread *holder; /* under the monitor */
};
static GC_TYPE_NOPTR(mutex_type, struct mutex);

static value mutex_new(struct thread *t, value *args, int n)
{
    (void)args, (void)n;
    struct mutex *self = NEW(t, &mutex_type, KIND_MUTEX);
    GC_FRAME(self);
    self->monitor = monitor_for(t, self);
    return from_object(self);
}

static value mutex_lock(struct thread *t, value *args, int n)
{
    (void)n;
    struct mutex *self = as_object(args[0]);
    monitor_lock(self->monitor);
    bool mine = self->holder == t;
    while (self->holder && !mine)
        monitor_wait(self->monitor, 0);
    self->holder = t;
    monitor_unlock(self->monitor);
    if (mine)
        throw_error(t, ERROR_StateError, "this thread holds the mutex already");
    return NIL;
}

static value mutex_unlock(struct thread *t, value *args, int n)
{
    (void)n;
    struct mutex *self = as_object(args[0]);
    monitor_lock(self->monitor);
    bool mine = self->holder == t;
    if (mine)
        self->holder = NULL;
    monitor_signal(self->monitor, 0);
    monitor_unlock(self->monitor);
    if (!mine)
        throw_error(t, ERROR_StateError, "this thread does not hold the mutex");
    return NIL;
}

/* ---- Atomic cells -------------------------------------------------------------------------- */

#define ATOMIC ((struct box *)as_object(args[0]))

static value atomic_new(struct thread *t, value *args, int n)
{
    struct box *self = NEW(t, &box_type, KIND_ATOMIC);
    self->content = n ? args[1] : NIL;
    return from_object(self);
}

static value atomic_get(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return gc_load_value(&ATOMIC->content);
}

static value atomic_swap(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    value old;
    do
        old = gc_load_value(&ATOMIC->content);
    while (!gc_cas_value(&ATOMIC->content, old, args[1]));
    return old;
}

/* The new number. */
static value atomic_add(struct thread *t, value *args, int n)
{
    (void)n;
    double by = arg_number(t, args, 1);
    value old, new;
    do {
        old = gc_load_value(&ATOMIC->content);
        if (!is_number(old))
            throw_error(t, ERROR_TypeError, "the atomic cell holds %s, not a number",
                        class_name_of(old));
        new = from_double(as_number(old) + by);
    } while (!gc_cas_value(&ATOMIC->content, old, new));
    return new;
}

static value atomic_compare_and_set(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    value old = gc_load_value(&ATOMIC->content);
    return from_bool(value_equal(old, args[1]) && gc_cas_value(&ATOMIC->content, old, args[2]));
}

void builtin_thread_open(struct thread *t)
{
    static const struct native_def functions[] = {{"spawn", spawn, 1, -1, false},
                                                  {NULL, NULL, 0, 0, false}};
    static const struct native_def threads[] = {{"join", thread_join, 0, 0, false},
                                                {"is_finished", thread_is_finished, 0, 0, false},
                                                {NULL, NULL, 0, 0, false}};
    static const struct native_def channels[] = {{"send", channel_send, 1, 1, false},
                                                 {"receive", channel_receive, 0, 0, false},
                                                 {"try_receive", channel_try_receive, 0, 0, false},
                                                 {"close", channel_close, 0, 0, false},
                                                 {"len", channel_len, 0, 0, false},
                                                 {NULL, NULL, 0, 0, false}};
    static const struct native_def mutexes[] = {{"lock", mutex_lock, 0, 0, false},
                                                {"unlock", mutex_unlock, 0, 0, false},
                                                {NULL, NULL, 0, 0, false}};
    static const struct native_def atomics[] = {
        {"get", atomic_get, 0, 0, false},
        {"set", atomic_swap, 1, 1, false},
        {"swap", atomic_swap, 1, 1, false},
        {"add", atomic_add, 1, 1, false},
        {"compare_and_set", atomic_compare_and_set, 2, 2, false},
        {NULL, NULL, 0, 0, false}};
    define_functions(t, functions);
    define_natives(t, vm.classes[KIND_THREAD], threads);
    define_natives(t, vm.classes[KIND_CHANNEL], channels);
    define_constructor(t, KIND_CHANNEL, channel_new, 0, 1);
    define_natives(t, vm.classes[KIND_MUTEX], mutexes);
    define_constructor(t, KIND_MUTEX, mutex_new, 0, 0);
    define_natives(t, vm.classes[KIND_ATOMIC], atomics);
    define_constructor(t, KIND_ATOMIC, atomic_new, 0, 1);
}

/* The first thread, whose stack is made before there is anyone to throw to. */
int main_thread_open(struct thread *t)
{
    thread_open(t);
    t->main.capacity = MAIN_STACK;
    t->main.frames_capacity = 64;
    t->main.stack = t->main.top = malloc(MAIN_STACK * sizeof(value));
    t->main.frames = malloc(t->main.frames_capacity * sizeof(struct frame));
    if (!t->main.stack || !t->main.frames || gc_thread_range(t->main.stack, &t->main.top) ||
        gc_root_range(t->roots, ROOT_COUNT))
        return -1;
    return 0;
}
