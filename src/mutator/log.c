#include "mutator/log.h"
#include "base/os.h"
#include "mutator/self.h"
#include <stdarg.h>

/* The calling thread is in options.log. What it does there may be worth a line, too; such a line
 * goes to standard error. */
static _Thread_local bool logging;

static void call_log(const gc_heap *heap, enum gc_log_level level, const char *line)
{
    logging = true;
    heap->options.log(heap->options.user, level, line);
    logging = false;
}

/* May be called anywhere: in the middle of a cycle, with its lock held or the world held. */
void log_write(const gc_heap *heap, enum gc_log_level level, const char *format, ...)
{
    KEEP_ERRNO;
    char text[520] = "gcheap: ", *line = text + strlen(text);
    size_t room = sizeof text - strlen(text) - 1; /* one byte of text stays 0, for the new line */
    va_list args;
    va_start(args, format);
    vsnprintf(line, room, format, args);
    va_end(args);
    gc_thread *self = self_calls_back();
    int cancel = os_cancel_off();
    if (heap && heap->options.log && !logging) {
        call_log(heap, level, line);
    } else {
        line[strlen(line)] = '\n';
        fputs(text, stderr); /* fprintf would take 8 KiB of C stack */
    }
    os_cancel_restore(cancel);
    self_called_back(self);
}

int log_call_length(const char *call)
{
    size_t n = strlen(call);
    return (int)(n > 5 && strcmp(call + n - 5, "_slow") == 0 ? n - 5 : n);
}

static const char *calls_text(const struct log_finder *f, char *text, size_t room)
{
    const char *last = f->last_call ? f->last_call : "gc_thread_attach", *before = f->call_before;
    if (before)
        snprintf(text, room, ", whose last calls were %.*s and %.*s", log_call_length(before),
                 before, log_call_length(last), last);
    else
        snprintf(text, room, ", whose last call was %.*s", log_call_length(last), last);
    return text;
}

static void note_thread(struct log_finder *f, const gc_thread *t)
{
    *f = (struct log_finder){.thread = t->os_id, .call_before = t->call_before};
    memcpy(f->name, t->name, sizeof f->name);
    f->last_call = ptr_load_relaxed(&t->last_call);
}

void log_note_finder(struct log_finder *f, const gc_thread *t)
{
    memset(f, 0, sizeof *f);
    if (!t)
        return;
    note_thread(f, t);
    for (size_t i = 0; i < MIN_OF(t->nframes, (size_t)PLACE_FRAMES); i++)
        f->place.pc[i] = t->frames_noted[i].pc;
}

void log_found_by(const gc_heap *heap, const struct log_finder *f)
{
    char calls[120], place[360];
    if (!f->thread)
        return;
    log_write(heap, GC_LOG_ERROR, "  found by thread %llu%s%s%s, in %s",
              (unsigned long long)f->thread, f->name[0] ? " " : "", f->name,
              calls_text(f, calls, sizeof calls), place_text(&f->place, place, sizeof place));
}

/* A thread without a heap has made no call that is noted. */
void log_place(const gc_heap *heap, const gc_thread *t, uintptr_t sp)
{
    struct log_finder f;
    char place[360];
    if (t) {
        note_thread(&f, t);
        place_take_program(&f.place, sp);
        log_found_by(heap, &f);
        return;
    }
    place_take_program(&f.place, sp);
    log_write(heap, GC_LOG_ERROR, "  found by thread %llu, in %s",
              (unsigned long long)os_thread_id(), place_text(&f.place, place, sizeof place));
}
