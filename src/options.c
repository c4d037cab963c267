#include "options.h"
#include "os.h"
#include <errno.h>

#define PROCS_LIMIT 256
#define ALL_FLAGS                                                                                  \
    (GC_STOP_WORLD | GC_STACK_CONSERVATIVE | GC_FORK_SAFE | GC_NO_BACKGROUND |                     \
     GC_FINALIZER_THREAD | GC_HUGE_PAGES | GC_NO_HUGE_PAGES)

static bool format_is_valid(const gc_value_format *f)
{
    if (f->mask == 0)
        return f->match == 0 && f->payload == 0;
    return sizeof(void *) == 8 && (f->match & ~f->mask) == 0 && f->payload != 0;
}

static bool flags_are_valid(unsigned flags)
{
    const unsigned opposites = GC_HUGE_PAGES | GC_NO_HUGE_PAGES;
    return (flags & ~(unsigned)ALL_FLAGS) == 0 && (flags & opposites) != opposites;
}

static bool is_valid(const gc_options *o)
{
    return flags_are_valid(o->flags) && o->percent >= GC_PERCENT_OFF &&
           o->max_procs <= PROCS_LIMIT && o->mark_workers <= PROCS_LIMIT / 4 &&
           o->reserve <= SIZE_MAX / 4 && format_is_valid(&o->format);
}

int options_resolve(const gc_options *user, gc_options *result)
{
    static const gc_options none;
    gc_options o = user ? *user : none;
    if (!is_valid(&o))
        return -EINVAL;
    if (o.percent == 0)
        o.percent = 100;
    if (o.min_heap == 0)
        o.min_heap = MIN_HEAP_DEFAULT;
    if (o.max_procs == 0)
        o.max_procs = MIN_OF(os_cpu_count(), (unsigned)PROCS_LIMIT);
    if (o.mark_workers == 0)
        o.mark_workers = MIN_OF(o.max_procs, (unsigned)PROCS_LIMIT / 4);
    if (o.watchdog_ms == 0)
        o.watchdog_ms = 100;
    *result = o;
    return 0;
}

struct debug_switch {
    const char *name;
    void (*set)(struct debug_switches *, uint64_t);
};

static void set_nth(struct debug_switches *d, uint64_t n)
{
    d->nth = (uint32_t)n;
}
static void set_poison(struct debug_switches *d, uint64_t n)
{
    d->poison = n;
}
static void set_verify(struct debug_switches *d, uint64_t n)
{
    d->verify = n;
}
static void set_checkmark(struct debug_switches *d, uint64_t n)
{
    d->checkmark = n;
}
static void set_delay(struct debug_switches *d, uint64_t n)
{
    d->delay = n;
}
static void set_buffers(struct debug_switches *d, uint64_t n)
{
    d->buffers = n;
}
static void set_failos(struct debug_switches *d, uint64_t n)
{
    d->failos = n;
}

static const struct debug_switch switches[] = {
    {"nth", set_nth},       {"poison", set_poison},
    {"verify", set_verify}, {"checkmark", set_checkmark},
    {"delay", set_delay},   {"buffers", set_buffers},
    {"failos", set_failos},
};

/* One item, "name" or "name=number"; the text behind it, or NULL. */
static const char *parse_switch(const char *text, struct debug_switches *d)
{
    size_t n = strcspn(text, "=,");
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        if (strlen(switches[i].name) != n || strncmp(text, switches[i].name, n) != 0)
            continue;
        char *end = (char *)(uintptr_t)(text + n);
        uint64_t value = text[n] == '=' ? strtoull(text + n + 1, &end, 10) : 1;
        switches[i].set(d, value);
        return *end == 0 || *end == ',' ? end : NULL;
    }
    return NULL;
}

bool options_parse_debug(const char *text, struct debug_switches *d)
{
    while (text && *text) {
        text = parse_switch(text, d);
        if (!text)
            return false;
        text += *text == ',';
    }
    return true;
}

bool options_trace(void)
{
    const char *trace = getenv("GCHEAP_TRACE");
    return trace && *trace && *trace != '0';
}
