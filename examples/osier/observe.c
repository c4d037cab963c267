/* What the collector is seen doing: a profile of who allocates, a trace of events, and statistics.
 */
#include "vm.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static FILE *profile, *events, *metrics;
static _Thread_local const struct thread *this_thread;

void observe_thread(const struct thread *t)
{
    this_thread = t;
}

/* The script functions that call each other, those of coroutines' resumers too. */
static size_t tell_frames(void *unused, struct gc_profile_frame *frames, size_t n)
{
    size_t count = 0;
    (void)unused;
    for (const struct context *c = this_thread ? this_thread->context : NULL; c; c = c->resumer)
        for (uint32_t i = c->nframes; i-- > 0 && count < n;)
            frames[count++] =
                (struct gc_profile_frame){c->frames[i].closure->fn->name->bytes,
                                          frame_file(&c->frames[i]), frame_line(&c->frames[i])};
    return count;
}

static bool open_for(FILE **file, const char *path)
{
    *file = path ? fopen(path, "w") : NULL;
    if (path && !*file)
        fprintf(stderr, "osier: %s: %s\n", path, strerror(errno));
    return !path || *file;
}

bool observe_begin(const char *profile_path, const char *events_path, const char *metrics_path)
{
    const struct gc_profile_options options = {.frames = tell_frames};
    if (!open_for(&profile, profile_path) || !open_for(&events, events_path) ||
        !open_for(&metrics, metrics_path))
        return false;
    return (!profile || gc_profile_record(&options) == 0) &&
           (!events || gc_events_record(true) == 0);
}

static int to_file(void *file, const char *text, size_t size)
{
    return fwrite(text, 1, size, file) == size ? 0 : -EIO;
}

static bool finish(FILE *file, const char *what, int (*write)(gc_write_fn, void *))
{
    if (!file)
        return true;
    bool written = write(to_file, file) == 0;
    if (fclose(file) == 0 && written)
        return true;
    fprintf(stderr, "osier: the %s cannot be written\n", what);
    return false;
}

static int write_metrics(gc_write_fn write, void *file)
{
    return gc_heap_stats_write(vm.heap, write, file);
}

bool observe_end(void)
{
    bool well = finish(profile, "profile", gc_profile_write);
    well = finish(events, "trace", gc_events_write) && well;
    return finish(metrics, "statistics", write_metrics) && well;
}
