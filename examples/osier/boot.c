/* The beginning and the end: the heap, the built-in classes, the prelude. */
#include "compiler.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

/* Kinds of objects that programs can see, with the names of their classes. */
#define CLASSES(X)                                                                                 \
    X(NIL, "Nil")                                                                                  \
    X(BOOL, "Bool")                                                                                \
    X(NUMBER, "Number")                                                                            \
    X(DONE, "Done")                                                                                \
    X(STRING, "String")                                                                            \
    X(LIST, "List")                                                                                \
    X(MAP, "Map")                                                                                  \
    X(RANGE, "Range")                                                                              \
    X(BUFFER, "Buffer")                                                                            \
    X(CLOSURE, "Function")                                                                         \
    X(CLASS, "Class")                                                                              \
    X(MODULE, "Module")                                                                            \
    X(COROUTINE, "Coroutine")                                                                      \
    X(THREAD, "Thread")                                                                            \
    X(CHANNEL, "Channel")                                                                          \
    X(MUTEX, "Mutex")                                                                              \
    X(ATOMIC, "Atomic")                                                                            \
    X(WEAK, "Weak")                                                                                \
    X(WEAKMAP, "WeakMap")                                                                          \
    X(WEAKSET, "WeakSet")                                                                          \
    X(FILE, "File")                                                                                \
    X(GC, "Gc")
#define X(kind, name) [KIND_##kind] = name,
static const char *const class_names[KIND_COUNT] = {CLASSES(X)};
#undef X

static const char *const symbol_texts[] = {
#define X(name, text) text,
    SYMBOLS(X)
#undef X
};

static const char *const error_names[] = {
#define X(name) #name,
    ERROR_CLASSES(X)
#undef X
};

/* ---- Definitions --------------------------------------------------------------------------- */

static struct native *new_native(struct thread *t, const struct native_def *def)
{
    struct string *name = intern(t, def->name, strlen(def->name));
    GC_FRAME(name);
    struct native *native = NEW(t, &native_type, KIND_NATIVE);
    native->name = name;
    native->call = def->call;
    native->min = def->min;
    native->max = def->max;
    native->switches = def->switches;
    return native;
}

void define_natives(struct thread *t, struct class *class, const struct native_def *defs)
{
    for (; defs->name; defs++) {
        struct native *native = new_native(t, defs);
        class_add_method(t, class, native->name, from_object(native));
    }
}

void define_constructor(struct thread *t, enum kind kind, native_fn call, int min, int max)
{
    struct class *class = vm.classes[kind];
    struct native_def def = {class->name->bytes, call, min, max, false};
    gc_store_value(&class->init, from_object(new_native(t, &def)));
}

void define_global(struct thread *t, const char *name, value v)
{
    GC_FRAME(v);
    struct box *box = module_variable(t, vm.core, intern(t, name, strlen(name)));
    gc_store_value(&box->content, v);
}

void define_functions(struct thread *t, const struct native_def *defs)
{
    for (; defs->name; defs++)
        define_global(t, defs->name, from_object(new_native(t, defs)));
}

/* ---- Classes ------------------------------------------------------------------------------- */

static value class_of_function(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return from_object(is_kind(args[1], KIND_CLASS) ? vm.classes[KIND_CLASS] : class_of(args[1]));
}

static value class_name(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return from_object(((struct class *)as_object(args[0]))->name);
}

static value class_superclass(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    struct class *super = ((struct class *)as_object(args[0]))->super;
    return super ? from_object(super) : NIL;
}

static void open_class(struct thread *t, enum kind kind)
{
    struct string *name = new_string_z(t, class_names[kind]);
    GC_FRAME(name);
    struct class *class = new_class(t, name, NULL);
    class->id = (uint32_t)kind;
    class->instance_kind = (uint32_t)kind;
    gc_store(&vm.classes[kind], class);
}

/* The class Class comes first: the metaclasses inherit its methods. */
static void open_classes(struct thread *t)
{
    static const struct native_def methods[] = {{"name", class_name, 0, 0, false},
                                                {"superclass", class_superclass, 0, 0, false},
                                                {NULL, NULL, 0, 0, false}};
    static const struct native_def functions[] = {{"class_of", class_of_function, 1, 1, false},
                                                  {NULL, NULL, 0, 0, false}};
    open_class(t, KIND_CLASS);
    define_natives(t, vm.classes[KIND_CLASS], methods);
    define_natives(t, vm.classes[KIND_CLASS]->meta, methods);
    for (int kind = 1; kind < KIND_COUNT; kind++)
        if (class_names[kind] && kind != KIND_CLASS)
            open_class(t, (enum kind)kind);
    gc_store(&vm.classes[KIND_NATIVE], vm.classes[KIND_CLOSURE]);
    gc_store(&vm.classes[KIND_BOUND], vm.classes[KIND_CLOSURE]);
    for (int kind = 1; kind < KIND_COUNT; kind++)
        if (class_names[kind])
            define_global(t, class_names[kind], from_object(vm.classes[kind]));
    define_functions(t, functions);
}

/* ---- The prelude --------------------------------------------------------------------------- */

static void find_errors(struct thread *t)
{
    for (int i = 0; i < ERROR_CLASS_COUNT; i++) {
        struct string *name = new_string_z(t, error_names[i]);
        value box = map_get(vm.core->variables, from_object(name), NULL);
        gc_store(&vm.errors[i], as_object(((struct box *)as_object(box))->content));
    }
    struct instance *no_memory = new_instance(t, vm.errors[ERROR_MemoryError]);
    gc_store(&vm.no_memory, no_memory);
    struct string *message = new_string_z(t, "memory is exhausted");
    gc_store_value(&no_memory->fields[ERROR_MESSAGE], from_object(message));
}

static void open_builtins(struct thread *t)
{
    for (int i = 0; i < SYMBOL_COUNT; i++)
        gc_store(&vm.symbols[i], intern(t, symbol_texts[i], strlen(symbol_texts[i])));
    gc_store(&vm.modules, new_map(t));
    gc_store(&vm.failures, new_map(t));
    gc_store(&vm.core, new_module(t, "core", "prelude"));
    open_classes(t);
    builtin_number_open(t);
    builtin_string_open(t);
    builtin_list_open(t);
    builtin_map_open(t);
    builtin_system_open(t);
    builtin_weak_open(t);
    builtin_coroutine_open(t);
    builtin_thread_open(t);
    builtin_module_open(t);
}

static bool run_prelude(struct thread *t)
{
    for (const char *const *source = prelude_sources; *source; source++)
        if (!vm_run(t, from_object(compile(t, vm.core, *source, false, NULL)), NULL, 0))
            return false;
    return true;
}

int vm_open(struct thread *t, const gc_options *options)
{
    struct trap trap;
    vm.heap = gc_heap_create(options);
    if (!vm.heap)
        return -1;
    vm.first = t;
    vm.threads = 1;
    vm.next_class = 64;
    size_t roots = (size_t)((value *)(void *)(&vm + 1) - (value *)(void *)vm.classes);
    if (gc_root_range(vm.classes, roots) || main_thread_open(t) || string_table_open())
        return -1;
    int status = -1;
    if (setjmp(*trap_set(t, &trap)) == 0) {
        open_builtins(t);
        if (run_prelude(t)) {
            find_errors(t);
            status = 0;
        }
    }
    trap_clear(t, &trap);
    return status;
}

/* ---- The end ------------------------------------------------------------------------------- */

bool vm_report_failures(struct thread *t)
{
    uint32_t position = 0;
    value thread = NIL, unused = NIL;
    bool well = true;
    GC_FRAME(thread);
    while (map_next(vm.failures, &position, &thread, &unused)) {
        fflush(stdout);
        fprintf(stderr, "osier: a thread that nobody joined ended in an error\n");
        report_error(t, thread_error(thread));
        well = false;
    }
    return well;
}

/* Threads that have come to their end are about to detach. */
static void wait_for_threads(void)
{
    gc_blocking_begin();
    while (vm_is_threaded())
        sched_yield();
    gc_blocking_end();
}

/* If other threads still run, the heap is left to them and to the system. */
void vm_close(struct thread *t)
{
    if (__atomic_load_n(&vm.busy, __ATOMIC_ACQUIRE))
        return;
    wait_for_threads();
    cleanups_close();
    thread_close(t);
    string_table_close();
    gc_unroot(vm.classes);
    gc_heap_destroy(vm.heap);
    cleanups_free();
}
