#include "mutator/log.h"
#include "mutator/self.h"
#include <errno.h>
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
    char text[520] = "gcheap: ", *line = text + strlen(text);
    size_t room = sizeof text - strlen(text) - 1; /* one byte of text stays 0, for the new line */
    va_list args;
    va_start(args, format);
    vsnprintf(line, room, format, args);
    va_end(args);
    gc_thread *self = self_calls_back();
    int cancel = os_cancel_off(), error = errno;
    if (heap && heap->options.log && !logging) {
        call_log(heap, level, line);
    } else {
        line[strlen(line)] = '\n';
        fputs(text, stderr); /* fprintf would take 8 KiB of C stack */
    }
    errno = error;
    os_cancel_restore(cancel);
    self_called_back(self);
}
