#include "base/options.h"
#include "base/os.h"
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>

#define ALL_FLAGS                                                                                  \
    (GC_STOP_WORLD | GC_STACK_CONSERVATIVE | GC_FORK_SAFE | GC_NO_BACKGROUND |                     \
     GC_FINALIZER_THREAD | GC_HUGE_PAGES | GC_NO_HUGE_PAGES | GC_FINALIZE_ALL)

/* ---- Reporting mistakes ---- */

static COLD PRINTF_LIKE(2, 3) bool refuse(const struct options_listener *to, const char *format,
                                          ...)
{
    char line[400];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    to->say(to->arg, line);
    return false;
}

/* ---- Options ---- */

static bool check_format(const gc_value_format *f, const struct options_listener *to)
{
    if (f->mask == 0 && f->match == 0 && f->payload == 0)
        return true;
    if (sizeof(void *) < 8)
        return refuse(to, "options.format: value formats are for 64-bit hosts");
    if (f->mask == 0)
        return refuse(to, "options.format: match or payload without a mask");
    if (f->match & ~f->mask)
        return refuse(to, "options.format: match has bits outside of mask");
    return f->payload != 0 || refuse(to, "options.format: a mask without a payload");
}

static bool check_flags(unsigned flags, const struct options_listener *to)
{
    const unsigned opposites = GC_HUGE_PAGES | GC_NO_HUGE_PAGES, unknown = ~(unsigned)ALL_FLAGS;
    if (flags & unknown)
        return refuse(to, "options.flags: unknown flags 0x%x", flags & unknown);
    return (flags & opposites) != opposites ||
           refuse(to, "options.flags: GC_HUGE_PAGES and GC_NO_HUGE_PAGES at once");
}

static bool check_most(const char *name, uint64_t value, uint64_t most,
                       const struct options_listener *to)
{
    return value <= most || refuse(to, "options.%s is %" PRIu64 ": it may be %" PRIu64 " at most",
                                   name, value, most);
}

static bool check(const gc_options *o, const struct options_listener *to)
{
    if (o->percent < GC_PERCENT_OFF)
        return refuse(to, "options.percent is %d: it may be %d (GC_PERCENT_OFF) at least",
                      o->percent, GC_PERCENT_OFF);
    return check_flags(o->flags, to) && check_most("max_procs", o->max_procs, PROCS_MAX, to) &&
           check_most("mark_workers", o->mark_workers, MARK_WORKERS_MAX, to) &&
           check_most("reserve", o->reserve, SIZE_MAX / 4, to) && check_format(&o->format, to);
}

int options_resolve(const gc_options *user, gc_options *result, const struct options_listener *to)
{
    static const gc_options none;
    gc_options o = user ? *user : none;
    if (!check(&o, to))
        return -EINVAL;
    if (o.percent == 0)
        o.percent = 100;
    if (o.min_heap == 0)
        o.min_heap = MIN_HEAP_DEFAULT;
    if (o.max_procs == 0)
        o.max_procs = MIN_OF(os_cpu_count(), (unsigned)PROCS_MAX);
    if (o.mark_workers == 0)
        o.mark_workers = MIN_OF(o.max_procs, (unsigned)MARK_WORKERS_MAX);
    if (o.watchdog_ms == 0)
        o.watchdog_ms = 100;
    *result = o;
    return 0;
}

/* ---- Debug switches ---- */

struct debug_switch {
    const char *name;
    uint64_t least, most; /* bounds of its value; with most <= 2 it may be left out */
    void (*set)(struct debug_switches *, uint64_t);
    const char *help;
};

static void set_nth(struct debug_switches *d, uint64_t n)
{
    d->nth = (uint32_t)n;
    d->rarer = false; /* also if `all` stands before it */
}
static void set_stay(struct debug_switches *d, uint64_t n)
{
    d->stay = (uint32_t)n;
}
static void set_poison(struct debug_switches *d, uint64_t n)
{
    d->poison = n > 0;
    d->quarantine = n == 1;
}
static void set_verify(struct debug_switches *d, uint64_t n)
{
    d->verify = n;
}
static void set_checkmark(struct debug_switches *d, uint64_t n)
{
    d->checkmark = n;
}
static void set_ages(struct debug_switches *d, uint64_t n)
{
    d->ages = n;
}
static void set_stores(struct debug_switches *d, uint64_t n)
{
    d->stores = n;
}
static void set_roots(struct debug_switches *d, uint64_t n)
{
    d->roots = (uint32_t)n;
}
static void set_fields(struct debug_switches *d, uint64_t n)
{
    d->fields = n;
}
static void set_freed(struct debug_switches *d, uint64_t n)
{
    d->freed = n;
    if (n)
        set_poison(d, 1);
}
static void set_redzones(struct debug_switches *d, uint64_t n)
{
    d->redzones = n;
    if (n)
        set_poison(d, 1);
}
static void set_types(struct debug_switches *d, uint64_t n)
{
    d->types = n;
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
static void set_safepoints(struct debug_switches *d, uint64_t n)
{
    d->safepoints = n;
}
static void set_watchdog(struct debug_switches *d, uint64_t n)
{
    d->watchdog = n + 1;
}

/* One item of a list. */
struct item {
    const char *source; /* names the list */
    const char *text;
    size_t length, name_length;
};

static const struct debug_switch switches[] = {
    {"nth", 1, UINT32_MAX, set_nth, "collects at every Nth allocation: finds missing roots"},
    {"stay", 1, UINT32_MAX, set_stay,
     "marks in N parts, one at each safepoint: with checkmark finds stores without gc_store()"},
    {"poison", 0, 2, set_poison,
     "fills dead objects with 0xdb, and gives their memory out late (=2: at once)"},
    {"verify", 0, 1, set_verify,
     "checks the whole heap after each cycle, and ends the process at a fault"},
    {"checkmark", 0, 1, set_checkmark,
     "marks a second time, and ends the process if the first time missed an object; with nth, "
     "one cycle in four stays"},
    {"ages", 0, 1, set_ages,
     "counts how many objects each cycle marks again, and how old the dead are"},
    {"stores", 0, 1, set_stores, "tells which slots were written without gc_store()"},
    {"fields", 0, 1, set_fields,
     "tells which fields hold references that their type does not name"},
    {"freed", 0, 1, set_freed, "tells what refers to dead objects, and who allocated them"},
    {"roots", 0, 2, set_roots,
     "tells which objects only C stacks and static data hold; =2: also which malloc() holds"},
    {"redzones", 0, 1, set_redzones,
     "lets AddressSanitizer and Valgrind find uses of dead objects, and beyond an object's end"},
    {"types", 0, 1, set_types, "lets small objects know their types: census and paths name them"},
    {"delay", 1, UINT32_MAX, set_delay, "short random waits from seed N: finds races"},
    {"buffers", 1, UINT32_MAX, set_buffers, "marks with buffers of N objects"},
    {"failos", 2, UINT32_MAX, set_failos, "one in N requests to the system for memory fails"},
    {"watchdog", 0, UINT32_MAX - 1, set_watchdog,
     "names threads that keep the collector waiting for N ms; 0: never"},
    {"safepoints", 0, 1, set_safepoints,
     "lets the watchdog name the function in which such a thread is, by the signal SIGURG"},
};

/* "nth, stay, ...": the names of all switches. */
static const char *switch_names(char *text, size_t room)
{
    size_t n = 0;
    for (size_t i = 0; i < ARRAY_LEN(switches) && n < room; i++)
        n += (size_t)snprintf(text + n, room - n, "%s, ", switches[i].name);
    snprintf(text + MIN_OF(n, room - sizeof "all, help"), sizeof "all, help", "all, help");
    return text;
}

/* In how many parts a cycle marks that stays for the sake of another switch. */
#define STAY_PARTS 16

/* What a debugging session wants: slow, but not without bounds. */
static void set_all(struct debug_switches *d)
{
    d->nth = 1;
    d->rarer = d->mixed = true;
    d->stay = STAY_PARTS;
    d->poison = d->quarantine = d->verify = d->checkmark = d->stores = d->fields = d->freed =
        d->redzones = d->safepoints = true;
    d->roots = 2;
}

static bool is_word(const struct item *item, const char *name)
{
    return item->length == strlen(name) && strncmp(item->text, name, item->length) == 0;
}

static void tell_switches(const struct options_listener *to)
{
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        const struct debug_switch *s = &switches[i];
        refuse(to, "GCHEAP_DEBUG: %s%s: %s", s->name, s->most <= 2 ? "" : "=N", s->help);
    }
    refuse(to, "GCHEAP_DEBUG: all: all of these that find mistakes of a program; begin with it");
}

static const struct debug_switch *find_switch(const struct item *item)
{
    for (size_t i = 0; i < ARRAY_LEN(switches); i++) {
        if (strlen(switches[i].name) == item->name_length &&
            strncmp(item->text, switches[i].name, item->name_length) == 0)
            return &switches[i];
    }
    return NULL;
}

/* Accepts decimal digits only. false: it is no number, or one far beyond 32 bits. */
static bool parse_number(const char *text, const char *end, uint64_t *value)
{
    const char *at = text;
    for (*value = 0; at < end && *at >= '0' && *at <= '9' && *value <= UINT32_MAX; at++)
        *value = *value * 10 + (uint64_t)(*at - '0');
    return at == end && at > text;
}

static bool item_value(const struct item *item, const struct debug_switch *s, uint64_t *value)
{
    *value = 1;
    if (item->length == item->name_length)
        return s->most <= 2;
    return parse_number(item->text + item->name_length + 1, item->text + item->length, value) &&
           *value >= s->least && *value <= s->most;
}

/* `seen` has a bit for each switch that came before in the list. */
static void parse_item(const struct item *item, struct debug_switches *d, unsigned *seen,
                       const struct options_listener *to)
{
    const struct debug_switch *s = find_switch(item);
    uint64_t value;
    int length = (int)MIN_OF(item->length, (size_t)60);
    char names[200];
    if (is_word(item, "help")) {
        tell_switches(to);
    } else if (is_word(item, "all")) {
        set_all(d);
    } else if (!s) {
        refuse(to, "%s: \"%.*s\" is no switch, and ignored; there are %s", item->source, length,
               item->text, switch_names(names, sizeof names));
    } else if (!item_value(item, s, &value)) {
        refuse(to, "%s: \"%.*s\" is ignored: %s takes a whole number from %" PRIu64 " to %" PRIu64,
               item->source, length, item->text, s->name, s->least, s->most);
    } else {
        if (*seen >> (s - switches) & 1)
            refuse(to, "%s: \"%.*s\": %s stands there twice, and the last one counts", item->source,
                   length, item->text, s->name);
        *seen |= 1u << (s - switches);
        s->set(d, value);
    }
}

void options_parse_debug(const char *source, const char *text, struct debug_switches *d,
                         const struct options_listener *to)
{
    unsigned seen = 0;
    if (!text || !*text)
        return;
    for (;; text++) {
        struct item item = {source, text, strcspn(text, ","), strcspn(text, "=,")};
        parse_item(&item, d, &seen, to);
        text += item.length;
        if (!*text)
            return;
    }
}

/* A cycle that begins and ends within one allocation meets no store of the thread that allocates:
 * in a program of one thread, marking twice would find nothing. */
void options_settle_debug(struct debug_switches *d)
{
    if (!d->nth || !d->checkmark || d->stay)
        return;
    d->stay = STAY_PARTS;
    d->mixed = true;
}

bool options_trace(void)
{
    const char *trace = getenv("GCHEAP_TRACE");
    return trace && *trace && *trace != '0';
}
