/* Contexts, and the coroutines that are made of them. Each coroutine has a value stack and frames
 * of its own, whose references are the root set of a fiber; the thread that runs it switches to
 * that fiber. The fiber belongs to the coroutine: what it holds lives as long as the coroutine can
 * be reached. The running coroutine keeps those that wait for it. */
#include "vm.h"

#include <stdio.h>
#include <stdlib.h>

#define COROUTINE_STACK 32

/* ---- Stacks -------------------------------------------------------------------------------- */

static void *allocate(struct thread *t, void *old, size_t n, size_t size)
{
    void *p = realloc(old, n * size);
    return check_memory(t, p);
}

void context_open(struct thread *t, struct context *c, uint32_t capacity)
{
    *c = (struct context){.capacity = capacity, .frames_capacity = 4};
    c->stack = allocate(t, NULL, capacity, sizeof(value));
    c->top = c->stack;
    c->frames = allocate(t, NULL, c->frames_capacity, sizeof(struct frame));
}

void context_close(struct context *c)
{
    if (c->fiber)
        gc_fiber_destroy(c->fiber);
    free(c->stack);
    free(c->frames);
    c->fiber = NULL;
    c->stack = NULL;
    c->frames = NULL;
    c->nframes = 0;
}

/* The range must always be registered under the address where the stack is. */
static void move_stack(struct context *c, value *stack)
{
    size_t used = (size_t)(c->top - c->stack);
    memcpy(stack, c->stack, used * sizeof(value));
    gc_thread_range_remove(c->stack);
    free(c->stack);
    c->stack = stack;
    c->top = stack + used;
    if (gc_thread_range(c->stack, &c->top)) {
        fprintf(stderr, "osier: no memory to register a stack\n");
        abort();
    }
}

static void reserve_frame(struct thread *t, struct context *c)
{
    if (c->nframes < c->frames_capacity)
        return;
    if (c->nframes == FRAMES_MAX)
        throw_error(t, ERROR_StackError, "calls are nested too deeply");
    uint32_t capacity = 2 * c->frames_capacity;
    if (capacity > FRAMES_MAX)
        capacity = FRAMES_MAX;
    c->frames = allocate(t, c->frames, capacity, sizeof(struct frame));
    c->frames_capacity = capacity;
}

/* Makes room for values up to stack[top - 1], and for a frame. */
void context_reserve(struct thread *t, struct context *c, uint32_t top)
{
    reserve_frame(t, c);
    if (top <= c->capacity)
        return;
    if (top > STACK_MAX)
        throw_error(t, ERROR_StackError, "the stack has more than %d values", STACK_MAX);
    uint32_t capacity = 2 * c->capacity;
    while (capacity < top)
        capacity *= 2;
    move_stack(c, allocate(t, NULL, capacity, sizeof(value)));
    c->capacity = capacity;
}

/* ---- Switching ----------------------------------------------------------------------------- */

static void switch_to(struct thread *t, struct context *c)
{
    gc_fiber_switch(c->fiber);
    t->context = c;
}

/* Nothing may hold the coroutine that is left: it stays until the next safepoint. */
static void return_to_resumer(struct thread *t, struct context *c)
{
    switch_to(t, c->resumer);
    c->resumer = NULL;
    gc_store(&c->coroutine->resumer, NULL);
}

/* Leaves the running context for good, or until it is resumed; the value goes to its resumer. */
static void leave(struct thread *t, enum context_state state, value v)
{
    struct context *c = t->context, *resumer = c->resumer;
    thread_root_set(t, ROOT_TRANSFER, v);
    return_to_resumer(t, c);
    if (state == CONTEXT_FINISHED)
        context_close(c);
    __atomic_store_n(&c->state, (uint32_t)state, __ATOMIC_RELEASE);
    context_deliver(resumer, resumer->await, (enum after)resumer->await_after,
                    gc_load_value(&t->roots[ROOT_TRANSFER]));
}

void context_finish(struct thread *t, value result)
{
    leave(t, CONTEXT_FINISHED, t->context->wants_done ? DONE : result);
}

void context_fail(struct thread *t)
{
    struct context *c = t->context;
    return_to_resumer(t, c);
    context_close(c);
    __atomic_store_n(&c->state, CONTEXT_FINISHED, __ATOMIC_RELEASE);
}

/* Takes the right to run it. */
static void claim(struct thread *t, struct coroutine *coroutine)
{
    struct context *c = coroutine->context;
    uint32_t state = __atomic_load_n(&c->state, __ATOMIC_ACQUIRE);
    if (state == CONTEXT_FINISHED)
        throw_error(t, ERROR_StateError, "this coroutine has finished");
    if (state == CONTEXT_RUNNING ||
        !__atomic_compare_exchange_n(&c->state, &state, CONTEXT_RUNNING, false, __ATOMIC_ACQ_REL,
                                     __ATOMIC_ACQUIRE))
        throw_error(t, ERROR_StateError, "this coroutine is running");
    if (c->fiber)
        return;
    c->fiber = gc_fiber_create_for(coroutine);
    if (!c->fiber) {
        __atomic_store_n(&c->state, CONTEXT_NEW, __ATOMIC_RELEASE);
        throw_memory(t);
    }
}

/* Its fiber runs for the first time: give it its roots and its first call. */
static void begin(struct thread *t, struct context *c, value function, value sent)
{
    if (gc_thread_range(c->stack, &c->top))
        throw_memory(t);
    int n =
        is_kind(function, KIND_CLOSURE) && ((struct closure *)as_object(function))->fn->nparams == 0
            ? 0
            : 1;
    if (!vm_push_call(t, function, NIL, &sent, n, 0, AFTER_END))
        context_finish(t, c->stack[0]);
}

void context_resume(struct thread *t, struct coroutine *coroutine, value sent, bool wants_done,
                    uint32_t await, enum after after)
{
    struct context *c = coroutine->context;
    if (wants_done && __atomic_load_n(&c->state, __ATOMIC_ACQUIRE) == CONTEXT_FINISHED) {
        context_deliver(t->context, await, after, DONE);
        return;
    }
    claim(t, coroutine);
    bool is_new = c->nframes == 0;
    thread_root_set(t, ROOT_TRANSFER, sent);
    t->context->await = await;
    t->context->await_after = after;
    c->resumer = t->context;
    gc_store(&coroutine->resumer, t->context->coroutine);
    c->wants_done = wants_done;
    switch_to(t, c);
    sent = gc_load_value(&t->roots[ROOT_TRANSFER]);
    if (is_new)
        begin(t, c, gc_load_value(&coroutine->function), sent);
    else
        context_deliver(c, c->await, (enum after)c->await_after, sent);
}

/* ---- The class Coroutine ------------------------------------------------------------------- */

static void context_free(void *arg)
{
    context_close(arg);
    free(arg);
}

static value coroutine_new(struct thread *t, value *args, int n)
{
    (void)n;
    enum kind kind = value_kind(args[1]);
    if (kind != KIND_CLOSURE && kind != KIND_BOUND && kind != KIND_NATIVE)
        throw_error(t, ERROR_TypeError, "a coroutine needs a function, not %s",
                    class_name_of(args[1]));
    struct coroutine *self = NEW(t, &coroutine_type, KIND_COROUTINE);
    self->function = args[1];
    GC_FRAME(self);
    self->context = allocate(t, NULL, 1, sizeof *self->context);
    memset(self->context, 0, sizeof *self->context);
    add_cleanup(t, self, context_free, self->context);
    context_open(t, self->context, COROUTINE_STACK);
    self->context->coroutine = self;
    return from_object(self);
}

static uint32_t stack_index(const struct thread *t, const value *args)
{
    return (uint32_t)(args - t->context->stack);
}

static value coroutine_resume(struct thread *t, value *args, int n)
{
    value sent = n ? args[1] : NIL;
    context_resume(t, as_object(args[0]), sent, false, stack_index(t, args), AFTER_NOTHING);
    return SWITCHED;
}

static value coroutine_next(struct thread *t, value *args, int n)
{
    (void)n;
    context_resume(t, as_object(args[0]), NIL, true, stack_index(t, args), AFTER_NOTHING);
    return SWITCHED;
}

static value coroutine_finished(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    struct coroutine *self = as_object(args[0]);
    return from_bool(__atomic_load_n(&self->context->state, __ATOMIC_ACQUIRE) == CONTEXT_FINISHED);
}

static value yield(struct thread *t, value *args, int n)
{
    struct context *c = t->context;
    if (!c->resumer)
        throw_error(t, ERROR_StateError, "only a coroutine can yield");
    c->await = stack_index(t, args);
    c->await_after = AFTER_NOTHING;
    leave(t, CONTEXT_SUSPENDED, n ? args[1] : NIL);
    return SWITCHED;
}

/* apply(f, list) calls f with the elements of a list. */
static value apply(struct thread *t, value *args, int n)
{
    (void)n;
    struct list *list = arg_object(t, args, 2, KIND_LIST);
    uint32_t count, where = stack_index(t, args);
    struct block *items = list_items(list, &count);
    if (count > 200)
        throw_error(t, ERROR_ValueError, "a call with more than 200 arguments");
    GC_FRAME(items);
    vm_push_call(t, args[1], NIL, items ? items->v : NULL, (int)count, where, AFTER_NOTHING);
    return SWITCHED;
}

void builtin_coroutine_open(struct thread *t)
{
    static const struct native_def methods[] = {{"resume", coroutine_resume, 0, 1, true},
                                                {"next", coroutine_next, 0, 0, true},
                                                {"is_finished", coroutine_finished, 0, 0, false},
                                                {NULL, NULL, 0, 0, false}};
    static const struct native_def functions[] = {
        {"yield", yield, 0, 1, true}, {"apply", apply, 2, 2, true}, {NULL, NULL, 0, 0, false}};
    define_constructor(t, KIND_COROUTINE, coroutine_new, 1, 1);
    define_natives(t, vm.classes[KIND_COROUTINE], methods);
    define_functions(t, functions);
}
