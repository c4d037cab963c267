/* The world outside: output, files, time, the collector. */
#include "vm.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

/* ---- Output -------------------------------------------------------------------------------- */

/* Strings do not change or move, so a rooted one may be written while this thread is blocked. */
void write_output(struct thread *t, struct string *s)
{
    value buffer = gc_load_value(&t->roots[ROOT_OUTPUT]);
    GC_FRAME(s, buffer);
    if (buffer != NIL) {
        buffer_append(t, as_object(buffer), s->bytes, s->length);
        return;
    }
    gc_blocking_begin();
    fwrite(s->bytes, 1, s->length, stdout);
    gc_blocking_end();
}

static value system_write(struct thread *t, value *args, int n)
{
    (void)n;
    write_output(t, arg_string(t, args, 1));
    return NIL;
}

/* Directs this thread's output to a buffer, or back; returns where it went until now. */
static value system_redirect(struct thread *t, value *args, int n)
{
    (void)n;
    value old = gc_load_value(&t->roots[ROOT_OUTPUT]);
    if (args[1] != NIL)
        arg_object(t, args, 1, KIND_BUFFER);
    thread_root_set(t, ROOT_OUTPUT, args[1]);
    return old;
}

/* ---- Time and process ---------------------------------------------------------------------- */

static double now(clockid_t clock)
{
    struct timespec ts;
    clock_gettime(clock, &ts);
    return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static value system_clock(struct thread *t, value *args, int n)
{
    (void)t, (void)args, (void)n;
    return from_double(now(CLOCK_MONOTONIC));
}

static value system_time(struct thread *t, value *args, int n)
{
    (void)t, (void)args, (void)n;
    return from_double(now(CLOCK_REALTIME));
}

static value system_sleep(struct thread *t, value *args, int n)
{
    (void)n;
    double seconds = arg_number(t, args, 1);
    if (!(seconds >= 0 && seconds < 1e9))
        throw_error(t, ERROR_ValueError, "sleep() needs seconds that are not negative");
    struct timespec ts = {(time_t)seconds, (long)((seconds - floor(seconds)) * 1e9)};
    gc_blocking_begin();
    while (nanosleep(&ts, &ts) && errno == EINTR)
        continue;
    gc_blocking_end();
    return NIL;
}

static value system_exit(struct thread *t, value *args, int n)
{
    int status = n ? (int)arg_int_in(t, args, 1, 0, 255) : 0;
    if (t == vm.first)
        throw_exit(t, status);
    exit(status);
}

static value system_environment(struct thread *t, value *args, int n)
{
    (void)n;
    const char *text = getenv(arg_string(t, args, 1)->bytes);
    return text ? from_object(new_string_z(t, text)) : NIL;
}

/* ---- Files --------------------------------------------------------------------------------- */

struct stream {
    FILE *file;
};

_Noreturn static void io_error(struct thread *t, const char *path, int error)
{
    throw_error(t, ERROR_IOError, "%s: %s", path, strerror(error));
}

static char *read_stream(FILE *in, size_t *length)
{
    size_t capacity = 1 << 16, n = 0, got;
    char *text = malloc(capacity + 1);
    while (text && (got = fread(text + n, 1, capacity - n, in)) > 0) {
        n += got;
        if (n < capacity)
            continue;
        char *grown = realloc(text, 2 * capacity + 1);
        if (!grown)
            free(text);
        text = grown;
        capacity *= 2;
    }
    if (text)
        text[n] = 0;
    *length = n;
    return text;
}

char *read_file(struct thread *t, const char *path, size_t *length)
{
    gc_blocking_begin();
    FILE *in = fopen(path, "rb");
    char *text = in ? read_stream(in, length) : NULL;
    int error = !in || ferror(in) ? errno : 0;
    if (in)
        fclose(in);
    gc_blocking_end();
    if (!error && text)
        return text;
    free(text);
    if (error)
        io_error(t, path, error);
    throw_memory(t);
}

static value file_read(struct thread *t, value *args, int n)
{
    (void)n;
    size_t length;
    char *text = read_file(t, arg_string(t, args, 1)->bytes, &length);
    struct string *s = length > UINT32_MAX / 2 ? NULL : string_begin(t, length);
    if (s)
        memcpy(s->bytes, text, length);
    free(text);
    return s ? from_object(string_finish(t, s)) : NIL;
}

static value file_write(struct thread *t, value *args, int n)
{
    (void)n;
    struct string *path = arg_string(t, args, 1), *text = arg_string(t, args, 2);
    gc_blocking_begin();
    FILE *out = fopen(path->bytes, "wb");
    bool good = out && fwrite(text->bytes, 1, text->length, out) == text->length;
    good = (!out || fclose(out) == 0) && good;
    int error = errno;
    gc_blocking_end();
    if (!good)
        io_error(t, path->bytes, error);
    return NIL;
}

static value file_exists(struct thread *t, value *args, int n)
{
    (void)n;
    return from_bool(access(arg_string(t, args, 1)->bytes, F_OK) == 0);
}

static value file_remove(struct thread *t, value *args, int n)
{
    (void)n;
    struct string *path = arg_string(t, args, 1);
    if (unlink(path->bytes))
        io_error(t, path->bytes, errno);
    return NIL;
}

static void stream_free(void *arg)
{
    struct stream *stream = arg;
    if (stream->file)
        fclose(stream->file);
    free(stream);
}

/* File(path) reads; File(path, "w") writes, "a" appends. */
static value file_new(struct thread *t, value *args, int n)
{
    struct string *path = arg_string(t, args, 1);
    const char *mode = n > 1 ? arg_string(t, args, 2)->bytes : "r";
    if (strlen(mode) != 1 || !strchr("rwa", *mode))
        throw_error(t, ERROR_ValueError, "a file's mode is \"r\", \"w\" or \"a\"");
    struct file *self = NEW(t, &file_type, KIND_FILE);
    GC_FRAME(self);
    self->path = path;
    self->stream = check_memory(t, calloc(1, sizeof *self->stream));
    add_cleanup(t, self, stream_free, self->stream);
    self->stream->file = fopen(path->bytes, mode);
    if (!self->stream->file)
        io_error(t, path->bytes, errno);
    return from_object(self);
}

static FILE *open_file(struct thread *t, value *args)
{
    struct file *self = as_object(args[0]);
    FILE *file = __atomic_load_n(&self->stream->file, __ATOMIC_ACQUIRE);
    if (!file)
        throw_error(t, ERROR_StateError, "%s is closed", self->path->bytes);
    return file;
}

/* The next line without its end, or done. */
static value file_read_line(struct thread *t, value *args, int n)
{
    (void)n;
    char *line = NULL;
    size_t capacity = 0;
    FILE *file = open_file(t, args);
    gc_blocking_begin();
    ssize_t length = getline(&line, &capacity, file);
    gc_blocking_end();
    if (length < 0) {
        free(line);
        return DONE;
    }
    if (length && line[length - 1] == '\n')
        length--;
    struct string *s = string_begin(t, (size_t)length);
    memcpy(s->bytes, line, (size_t)length);
    free(line);
    return from_object(string_finish(t, s));
}

static value file_write_method(struct thread *t, value *args, int n)
{
    (void)n;
    struct string *text = arg_string(t, args, 1);
    FILE *file = open_file(t, args);
    gc_blocking_begin();
    bool good = fwrite(text->bytes, 1, text->length, file) == text->length;
    int error = errno;
    gc_blocking_end();
    if (!good)
        io_error(t, ((struct file *)as_object(args[0]))->path->bytes, error);
    return args[0];
}

static value file_close(struct thread *t, value *args, int n)
{
    (void)n;
    struct file *self = as_object(args[0]);
    FILE *file = __atomic_exchange_n(&self->stream->file, NULL, __ATOMIC_ACQ_REL);
    if (file && fclose(file))
        io_error(t, self->path->bytes, errno);
    return NIL;
}

static value system_read_line(struct thread *t, value *args, int n)
{
    (void)args, (void)n;
    char *line = NULL;
    size_t capacity = 0;
    gc_blocking_begin();
    ssize_t length = getline(&line, &capacity, stdin);
    gc_blocking_end();
    if (length > 0 && line[length - 1] == '\n')
        length--;
    value v = DONE;
    if (length >= 0) {
        struct string *s = string_begin(t, (size_t)length);
        memcpy(s->bytes, line, (size_t)length);
        v = from_object(string_finish(t, s));
    }
    free(line);
    return v;
}

/* ---- The collector ------------------------------------------------------------------------- */

static value gc_collect_method(struct thread *t, value *args, int n)
{
    (void)t, (void)args, (void)n;
    gc_collect();
    return NIL;
}

static void stat_set(struct thread *t, struct map *map, const char *name, uint64_t number)
{
    struct string *key = new_string_z(t, name);
    GC_FRAME(key);
    map_set(t, map, from_object(key), from_double((double)number));
}

/* Writes a heap dump, which gcheap-heap reads. */
static value gc_dump_method(struct thread *t, value *args, int n)
{
    (void)n;
    struct string *path = arg_string(t, args, 1);
    int error = gc_heap_dump(path->bytes);
    if (error)
        io_error(t, path->bytes, -error);
    return NIL;
}

static bool write_edge(void *file, const struct gc_edge *edge)
{
    fprintf(file, "%s\n", edge->text);
    return true;
}

/* Who keeps the value alive: a line for the root, and for each field on the way to it. */
static value gc_path_method(struct thread *t, value *args, int n)
{
    (void)n;
    char *text = NULL;
    size_t length = 0;
    if (!is_object(args[1]))
        return NIL;
    FILE *file = check_memory(t, open_memstream(&text, &length));
    int found = gc_path(as_object(args[1]), write_edge, file);
    if (fclose(file) || found == -ENOMEM) {
        free(text);
        check_memory(t, NULL);
    }
    struct string *s = string_begin(t, length);
    memcpy(s->bytes, text, length);
    free(text);
    return from_object(string_finish(t, s));
}

static value gc_stats_method(struct thread *t, value *args, int n)
{
    (void)args, (void)n;
    struct gc_statistics stats;
    gc_stats(&stats);
    struct map *map = new_map(t);
    GC_FRAME(map);
    stat_set(t, map, "cycles", stats.cycles);
    stat_set(t, map, "live", stats.heap_live);
    stat_set(t, map, "goal", stats.heap_goal);
    stat_set(t, map, "allocated", stats.allocated_bytes);
    stat_set(t, map, "threads", stats.threads);
    stat_set(t, map, "mark_ns", stats.mark_ns);
    stat_set(t, map, "sweep_ns", stats.sweep_ns);
    stat_set(t, map, "longest_stall_ns", stats.stall.max);
    return from_object(map);
}

void builtin_system_open(struct thread *t)
{
    static const struct native_def functions[] = {{"write", system_write, 1, 1, false},
                                                  {"_redirect", system_redirect, 1, 1, false},
                                                  {"clock", system_clock, 0, 0, false},
                                                  {"time", system_time, 0, 0, false},
                                                  {"sleep", system_sleep, 1, 1, false},
                                                  {"exit", system_exit, 0, 1, false},
                                                  {"environment", system_environment, 1, 1, false},
                                                  {"read_line", system_read_line, 0, 0, false},
                                                  {NULL, NULL, 0, 0, false}};
    static const struct native_def files[] = {{"read_line", file_read_line, 0, 0, false},
                                              {"write", file_write_method, 1, 1, false},
                                              {"close", file_close, 0, 0, false},
                                              {NULL, NULL, 0, 0, false}};
    static const struct native_def statics[] = {{"read", file_read, 1, 1, false},
                                                {"write", file_write, 2, 2, false},
                                                {"exists", file_exists, 1, 1, false},
                                                {"remove", file_remove, 1, 1, false},
                                                {NULL, NULL, 0, 0, false}};
    static const struct native_def gc[] = {{"collect", gc_collect_method, 0, 0, false},
                                           {"dump", gc_dump_method, 1, 1, false},
                                           {"path", gc_path_method, 1, 1, false},
                                           {"stats", gc_stats_method, 0, 0, false},
                                           {NULL, NULL, 0, 0, false}};
    define_functions(t, functions);
    define_natives(t, vm.classes[KIND_FILE], files);
    define_natives(t, vm.classes[KIND_FILE]->meta, statics);
    define_constructor(t, KIND_FILE, file_new, 1, 2);
    define_natives(t, vm.classes[KIND_GC]->meta, gc);
}
