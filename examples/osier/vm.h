/* The virtual machine: what all threads share, what each thread and each coroutine owns.
 *
 * Script code never runs on the C stack: a call of a script function pushes a struct frame and the
 * loop in vm.c goes on. So a coroutine can yield from any depth, and no native function ever calls
 * back into script code; those that take functions are written in Osier, in prelude.c.
 */
#ifndef OSIER_VM_H
#define OSIER_VM_H

#include "object.h"

#include <setjmp.h>
#include <stdarg.h>

#define FRAMES_MAX 20000
#define STACK_MAX 1000000 /* values */

/* What becomes of a frame's result, but for being stored. */
enum after {
    AFTER_NOTHING,
    AFTER_TEST,   /* the caller's comparison branches on it */
    AFTER_NEXT,   /* the caller's loop takes it as the next element */
    AFTER_IMPORT, /* replaced by the module whose body the frame is */
    AFTER_END     /* the context has come to its end */
};

/* One activation of a script function. Its registers are stack[base] and up. */
struct frame {
    struct closure *closure; /* kept by the value at stack[base] */
    const uint32_t *ip;
    uint32_t base;
    uint32_t top;    /* one beyond the values that are roots while this frame is the innermost */
    uint32_t result; /* where in the stack the result goes */
    uint32_t after;  /* enum after */
};

/* A value stack with its frames: that of a thread, or of a coroutine. */
struct context {
    value *stack;
    value *top; /* the collector scans [stack, top) */
    uint32_t capacity;
    uint32_t nframes, frames_capacity;
    struct frame *frames;
    gc_fiber *fiber;             /* NULL: the thread's own root set */
    struct coroutine *coroutine; /* it belongs to this, and ends with it; NULL: to a thread */
    struct context *resumer;
    uint32_t state;              /* enum context_state */
    uint32_t await, await_after; /* where a value goes that comes when this one goes on */
    bool wants_done;             /* give `done` to the resumer at the end, not the result */
};
enum context_state { CONTEXT_NEW, CONTEXT_SUSPENDED, CONTEXT_RUNNING, CONTEXT_FINISHED };

/* Where throw_error() jumps to. */
struct trap {
    struct trap *outer;
    struct context *context;
    struct gc_frame *frames;
    jmp_buf jump;
};
/* Use: struct trap trap; if (setjmp(*trap_set(t, &trap))) … after an error, else …; trap_clear. */
jmp_buf *trap_set(struct thread *t, struct trap *trap);
void trap_clear(struct thread *t, struct trap *trap);

/* The references of a thread that belong to none of its contexts. */
enum thread_root { ROOT_ERROR, ROOT_TRANSFER, ROOT_OUTPUT, ROOT_SELF, ROOT_COUNT };

struct thread {
    struct context *context; /* the one that runs */
    struct trap *trap;
    int exit_status; /* what exit() was called with on the first thread, or -1 */
    struct context main;
    value roots[ROOT_COUNT]; /* written with thread_root_set() */
};

/* The names that the VM looks up itself. */
#define SYMBOLS(X)                                                                                 \
    X(INIT, "init")                                                                                \
    X(STR, "str")                                                                                  \
    X(ITER, "iter")                                                                                \
    X(NEXT, "next")                                                                                \
    X(ADD, "+")                                                                                    \
    X(SUB, "-")                                                                                    \
    X(MUL, "*")                                                                                    \
    X(DIV, "/")                                                                                    \
    X(IDIV, "//")                                                                                  \
    X(MOD, "%")                                                                                    \
    X(BAND, "&")                                                                                   \
    X(BOR, "|")                                                                                    \
    X(BXOR, "^")                                                                                   \
    X(SHL, "<<")                                                                                   \
    X(SHR, ">>")                                                                                   \
    X(LT, "<")                                                                                     \
    X(LE, "<=")                                                                                    \
    X(NEG, "neg")                                                                                  \
    X(INDEX, "[]")                                                                                 \
    X(SET_INDEX, "[]=")                                                                            \
    X(HAS, "has")
enum symbol {
#define X(name, text) SYMBOL_##name,
    SYMBOLS(X)
#undef X
        SYMBOL_COUNT
};

/* The exceptions that the VM throws itself; classes of the prelude. */
#define ERROR_CLASSES(X)                                                                           \
    X(Error)                                                                                       \
    X(TypeError)                                                                                   \
    X(ValueError)                                                                                  \
    X(IndexError)                                                                                  \
    X(NameError)                                                                                   \
    X(SyntaxError)                                                                                 \
    X(StackError)                                                                                  \
    X(MemoryError)                                                                                 \
    X(StateError)                                                                                  \
    X(IOError)
enum error_class {
#define X(name) ERROR_##name,
    ERROR_CLASSES(X)
#undef X
        ERROR_CLASS_COUNT
};
/* The fields of Error, in their order. */
enum { ERROR_MESSAGE, ERROR_WHERE, ERROR_TRACE, ERROR_FIELDS };

/* All but the counters is written while there is one thread, or with gc_store. */
struct vm {
    gc_heap *heap;
    const struct thread *first;
    uint32_t threads;    /* attached */
    uint32_t busy;       /* those besides the first that have not come to their end */
    uint32_t next_class; /* id */
    /* Roots from here on. */
    struct class *classes[KIND_COUNT];
    struct class *errors[ERROR_CLASS_COUNT];
    struct string *symbols[SYMBOL_COUNT];
    struct string *bytes[256];
    struct module *core;        /* the built-in names */
    struct map *modules;        /* by path */
    struct map *failures;       /* threads that ended in an error nobody has heard of */
    struct instance *no_memory; /* an error made beforehand */
};
extern struct vm vm;

/* Makes the heap and all that is built in; t becomes the calling thread's. 0, or -1. */
int vm_open(struct thread *t, const gc_options *options);
/* Tells of the threads that failed and were not joined; whether there was none. */
bool vm_report_failures(struct thread *t);
void vm_close(struct thread *t);
/* The dialogue on standard input; gives the exit status. */
int repl(struct thread *t);
static inline bool vm_is_threaded(void)
{
    return __atomic_load_n(&vm.threads, __ATOMIC_ACQUIRE) > 1;
}

int main_thread_open(struct thread *t);
void thread_close(struct thread *t);
value thread_error(value thread); /* what a thread ended in */
static inline void thread_root_set(struct thread *t, enum thread_root root, value v)
{
    gc_store_value(&t->roots[root], v);
}

/* Calls a function from C and runs it to its end; only where no script code runs on this thread.
 * Returns whether it ended well; else the error is in ROOT_ERROR. The result is in
 * ROOT_TRANSFER. */
bool vm_run(struct thread *t, value callee, const value *args, int n);

/* Arranges that `callee` is called next, and its result stored in stack[result] of the running
 * context. Natives are called at once; then, and when a class without init was called, this
 * returns false: no frame was pushed. */
bool vm_push_call(struct thread *t, value callee, value self, const value *args, int n,
                  uint32_t result, enum after after);

/* ---- Contexts ------------------------------------------------------------------------------ */

void context_open(struct thread *t, struct context *c, uint32_t capacity);
void context_close(struct context *c); /* it must not be the running one's fiber */
void context_reserve(struct thread *t, struct context *c, uint32_t top);
/* Ends the running context with a result; its resumer runs. For AFTER_END. */
void context_finish(struct thread *t, value result);
/* The running context failed: its resumer runs, and has the error. */
void context_fail(struct thread *t);
/* Goes on with a coroutine; what it gives comes to stack[await] of the running context. */
void context_resume(struct thread *t, struct coroutine *c, value sent, bool wants_done,
                    uint32_t await, enum after after);
/* A value has come for the innermost frame of the running context. */
void context_deliver(struct context *c, uint32_t where, enum after after, value v);

static inline struct frame *innermost(struct context *c)
{
    return &c->frames[c->nframes - 1];
}

/* Where a frame's code stands. */
uint32_t frame_line(const struct frame *frame);
const char *frame_file(const struct frame *frame);

/* ---- Observing the collector --------------------------------------------------------------- */

/* The calling OS thread runs script code as t. */
void observe_thread(const struct thread *t);
/* Begins to record a profile and a trace for these files, and opens the one for the statistics, if
 * they are not NULL. false: told. */
bool observe_begin(const char *profile_path, const char *events_path, const char *metrics_path);
/* Writes them. false: told. */
bool observe_end(void);

/* ---- Errors -------------------------------------------------------------------------------- */

#define PRINTF_LIKE(text, first) __attribute__((format(printf, text, first)))
_Noreturn void throw_error(struct thread *t, enum error_class class, const char *format, ...)
    PRINTF_LIKE(3, 4);
_Noreturn void throw_value(struct thread *t, value v);
_Noreturn void throw_at(struct thread *t, enum error_class class, const char *file, int line,
                        const char *message);
_Noreturn void throw_memory(struct thread *t);
/* Leaves all script code of the first thread, which must be the calling one. */
_Noreturn void throw_exit(struct thread *t, int status);
/* Throws again what is in ROOT_ERROR. */
_Noreturn void throw_again(struct thread *t);
/* "where: Class: message" and the trace, as for uncaught errors, on standard error. */
void report_error(struct thread *t, value error);
const char *class_name_of(value v);

/* ---- Arguments of natives ------------------------------------------------------------------ */

double arg_number(struct thread *t, value *args, int i);
int64_t arg_int(struct thread *t, value *args, int i);
/* An integer with least <= it <= most. */
int64_t arg_int_in(struct thread *t, value *args, int i, int64_t least, int64_t most);
struct string *arg_string(struct thread *t, value *args, int i);
void *arg_object(struct thread *t, value *args, int i, enum kind kind);

struct native_def {
    const char *name;
    native_fn call;
    int min, max; /* max -1: any number */
    bool switches;
};
void define_natives(struct thread *t, struct class *class, const struct native_def *defs);
void define_constructor(struct thread *t, enum kind kind, native_fn call, int min, int max);
void define_functions(struct thread *t, const struct native_def *defs);
void define_global(struct thread *t, const char *name, value v);

void builtin_number_open(struct thread *t);
void builtin_string_open(struct thread *t);
void builtin_list_open(struct thread *t);
void builtin_map_open(struct thread *t);
void builtin_system_open(struct thread *t);
void builtin_weak_open(struct thread *t);
void builtin_coroutine_open(struct thread *t);
void builtin_thread_open(struct thread *t);
void builtin_module_open(struct thread *t);
extern const char *const prelude_sources[]; /* NULL-terminated */

/* ---- Modules ------------------------------------------------------------------------------- */

struct module *new_module(struct thread *t, const char *name, const char *path);
/* The variable of that name, made if there is none. */
struct box *module_variable(struct thread *t, struct module *module, struct string *name);
/* Finds, or makes and reads, the module that `path` means in a file `importer`; if it has still to
 * be run, *body is its code, else nil. */
struct module *module_import(struct thread *t, struct module *importer, struct string *path,
                             value *body);
/* The body of an imported module has ended, well or not; its importer is the running thread. */
void module_ended(struct thread *t, struct module *module, bool well);
/* Reads a whole file, or throws. The result is malloc'ed. */
char *read_file(struct thread *t, const char *path, size_t *length);

/* ---- Monitors: a mutex and two conditions, off the heap ------------------------------------ */

/* Made for an object, freed after it. */
struct monitor *monitor_for(struct thread *t, void *object);
void monitor_lock(struct monitor *m);
void monitor_unlock(struct monitor *m);
void monitor_wait(struct monitor *m, int condition); /* 0 or 1 */
void monitor_signal(struct monitor *m, int condition);
void monitor_broadcast(struct monitor *m, int condition);
/* Has fn(arg) run after the object, or at once if that cannot be arranged: then it throws. */
void add_cleanup(struct thread *t, void *object, gc_cleanup_fn fn, void *arg);
void cleanups_close(void);
void cleanups_free(void);

/* ---- Numbers ------------------------------------------------------------------------------- */

double number_modulo(double a, double b);
/* Integer operations; throws for numbers that are no integers. */
double number_bitwise(struct thread *t, enum symbol op, value a, value b);

/* The next value of a channel, or DONE when it is closed and empty. */
value channel_next(struct thread *t, value channel);

/* ---- Output -------------------------------------------------------------------------------- */

void write_output(struct thread *t, struct string *s);

#endif
