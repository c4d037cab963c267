/* Errors: how they are made, thrown and told. */
#include "vm.h"

#include <stdio.h>
#include <stdlib.h>

#define TRACE_FIRST 12 /* frames shown of a deep stack: the innermost, and the outermost */
#define TRACE_LAST 4
#define TRACE_BYTES 8192

/* ---- Traps --------------------------------------------------------------------------------- */

jmp_buf *trap_set(struct thread *t, struct trap *trap)
{
    trap->outer = t->trap;
    trap->context = t->context;
    trap->frames = gc_frame_mark();
    t->trap = trap;
    return &trap->jump;
}

void trap_clear(struct thread *t, struct trap *trap)
{
    t->trap = trap->outer;
}

/* C code keeps no root frames in a coroutine's fiber, but for those of the native that runs. */
_Noreturn void throw_again(struct thread *t)
{
    gc_frame_reset(t->context == t->trap->context ? t->trap->frames : NULL);
    longjmp(t->trap->jump, 1);
}

/* ---- Traces -------------------------------------------------------------------------------- */

uint32_t frame_line(const struct frame *frame)
{
    const struct function *fn = frame->closure->fn;
    return fn->lines[frame->ip - fn->code - (frame->ip > fn->code)];
}

const char *frame_file(const struct frame *frame)
{
    return frame->closure->fn->module->path->bytes;
}

static uint32_t count_frames(const struct thread *t)
{
    uint32_t n = 0;
    for (struct context *c = t->context; c; c = c->resumer)
        n += c->nframes;
    return n;
}

static void trace_line(char *text, size_t *n, const struct frame *frame)
{
    if (*n >= TRACE_BYTES)
        return;
    int added = snprintf(text + *n, TRACE_BYTES - *n, "  in %.60s (%.160s:%u)\n",
                         frame->closure->fn->name->bytes, frame_file(frame), frame_line(frame));
    *n += (size_t)added;
}

/* The frames of the running context and of those that wait for it. */
static struct string *trace_text(struct thread *t)
{
    char text[TRACE_BYTES];
    size_t n = 0;
    uint32_t number = 0, total = count_frames(t);
    for (struct context *c = t->context; c; c = c->resumer)
        for (uint32_t i = c->nframes; i-- > 0; number++) {
            if (number < TRACE_FIRST || number + TRACE_LAST >= total)
                trace_line(text, &n, &c->frames[i]);
            else if (number == TRACE_FIRST)
                n += (size_t)snprintf(text + n, TRACE_BYTES - n, "  … %u more\n",
                                      total - TRACE_FIRST - TRACE_LAST);
        }
    return new_string(t, text, n < TRACE_BYTES ? n : TRACE_BYTES - 1);
}

/* The innermost frame that is not the prelude's, or NULL. */
static const struct frame *place(const struct thread *t)
{
    for (struct context *c = t->context; c; c = c->resumer)
        for (uint32_t i = c->nframes; i-- > 0;)
            if (c->frames[i].closure->fn->module != vm.core)
                return &c->frames[i];
    return NULL;
}

static struct string *where_text(struct thread *t)
{
    const struct frame *frame = place(t);
    char text[256] = "";
    if (frame)
        snprintf(text, sizeof text, "%.200s:%u", frame_file(frame), frame_line(frame));
    return new_string_z(t, text);
}

/* ---- Throwing ------------------------------------------------------------------------------ */

static bool is_error(value v)
{
    return is_kind(v, KIND_INSTANCE) && is_subclass(class_of(v), vm.errors[ERROR_Error]);
}

static void fill_in(struct thread *t, struct instance *error)
{
    GC_FRAME(error);
    if (gc_load_value(&error->fields[ERROR_WHERE]) == NIL)
        gc_store_value(&error->fields[ERROR_WHERE], from_object(where_text(t)));
    if (gc_load_value(&error->fields[ERROR_TRACE]) == NIL)
        gc_store_value(&error->fields[ERROR_TRACE], from_object(trace_text(t)));
}

_Noreturn void throw_exit(struct thread *t, int status)
{
    t->exit_status = status;
    thread_root_set(t, ROOT_ERROR, TRUE);
    throw_again(t);
}

_Noreturn static void throw_instance(struct thread *t, struct instance *error)
{
    thread_root_set(t, ROOT_ERROR, from_object(error));
    fill_in(t, error);
    throw_again(t);
}

static struct instance *new_error(struct thread *t, enum error_class class, value message)
{
    if (!vm.errors[class]) { /* the prelude itself is wrong */
        fprintf(stderr, "osier: %s\n", value_to_string(t, message)->bytes);
        exit(70);
    }
    GC_FRAME(message);
    struct instance *error = new_instance(t, vm.errors[class]);
    error->fields[ERROR_MESSAGE] = message;
    return error;
}

_Noreturn void throw_value(struct thread *t, value v)
{
    throw_instance(t, is_error(v) ? as_object(v) : new_error(t, ERROR_Error, v));
}

_Noreturn void throw_error(struct thread *t, enum error_class class, const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    struct string *message = new_string_z(t, text);
    throw_instance(t, new_error(t, class, from_object(message)));
}

_Noreturn void throw_at(struct thread *t, enum error_class class, const char *file, int line,
                        const char *message)
{
    char where[256];
    snprintf(where, sizeof where, "%.200s:%d", file, line);
    if (!vm.errors[class])
        fprintf(stderr, "%s: ", where);
    struct string *text = new_string_z(t, message);
    struct instance *error = new_error(t, class, from_object(text));
    GC_FRAME(error);
    gc_store_value(&error->fields[ERROR_WHERE], from_object(new_string_z(t, where)));
    throw_instance(t, error);
}

/* Throws an error that was made beforehand: there is no memory for a trace. */
_Noreturn void throw_memory(struct thread *t)
{
    if (!vm.no_memory) {
        fprintf(stderr, "osier: not enough memory to begin\n");
        exit(70);
    }
    thread_root_set(t, ROOT_ERROR, from_object(vm.no_memory));
    throw_again(t);
}

/* ---- Telling ------------------------------------------------------------------------------- */

const char *class_name_of(value v)
{
    return class_of(v)->name->bytes;
}

void report_error(struct thread *t, value error)
{
    struct instance *self = as_object(error);
    value where = gc_load_value(&self->fields[ERROR_WHERE]);
    value trace = gc_load_value(&self->fields[ERROR_TRACE]);
    GC_FRAME(error, where, trace);
    struct string *message = value_to_string(t, gc_load_value(&self->fields[ERROR_MESSAGE]));
    fflush(stdout);
    if (is_string(where) && ((struct string *)as_object(where))->length)
        fprintf(stderr, "%s: ", ((struct string *)as_object(where))->bytes);
    fprintf(stderr, "%s: %s\n", class_name_of(error), message->bytes);
    if (is_string(trace))
        fputs(((struct string *)as_object(trace))->bytes, stderr);
}

/* ---- Arguments of natives ------------------------------------------------------------------ */

_Noreturn static void bad_argument(struct thread *t, int i, const char *wanted, value got)
{
    throw_error(t, ERROR_TypeError, "argument %d must be %s, not %s", i, wanted,
                class_name_of(got));
}

double arg_number(struct thread *t, value *args, int i)
{
    if (!is_number(args[i]))
        bad_argument(t, i, "a number", args[i]);
    return as_number(args[i]);
}

int64_t arg_int(struct thread *t, value *args, int i)
{
    int64_t n;
    if (!to_int(args[i], &n))
        bad_argument(t, i, "an integer", args[i]);
    return n;
}

int64_t arg_int_in(struct thread *t, value *args, int i, int64_t least, int64_t most)
{
    int64_t n = arg_int(t, args, i);
    if (n < least || n > most)
        throw_error(t, ERROR_ValueError, "argument %d is out of range: %lld", i, (long long)n);
    return n;
}

struct string *arg_string(struct thread *t, value *args, int i)
{
    if (!is_string(args[i]))
        bad_argument(t, i, "a string", args[i]);
    return as_object(args[i]);
}

void *arg_object(struct thread *t, value *args, int i, enum kind kind)
{
    if (!is_kind(args[i], kind)) {
        char wanted[80];
        snprintf(wanted, sizeof wanted, "a %s", vm.classes[kind]->name->bytes);
        bad_argument(t, i, wanted, args[i]);
    }
    return as_object(args[i]);
}
