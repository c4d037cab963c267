#include "introspect/profile.h"
#include "collector/special.h"
#include "mutator/self.h"
#include <errno.h>
#include <inttypes.h>

#define MEAN_DEFAULT ((size_t)512 << 10)

/* Samples of one size, mean and stack. */
struct profile_site {
    struct profile_site *next; /* never changes */
    uint64_t hash;
    size_t mean, size;
    u64 allocated, freed; /* atomic */
    size_t nnative, ntold, ntext;
    uintptr_t native[]; /* return addresses; behind them the told frames' texts */
};

/* ---- Stacks ---- */

/* A stack as it is taken. A told frame is three strings: function, file, line. */
struct taken {
    struct place_frame native[PROFILE_NATIVE];
    size_t nnative, ntold, ntext;
    char text[PROFILE_TEXT];
};

/* false: there is no room for all of it. */
static bool add_told(struct taken *s, const struct gc_profile_frame *f)
{
    size_t room = sizeof s->text - s->ntext;
    int n = snprintf(s->text + s->ntext, room, "%s%c%s%c%u", f->function ? f->function : "?", 0,
                     f->file ? f->file : "", 0, f->line);
    if ((size_t)n >= room)
        return false;
    s->ntext += (size_t)n + 1;
    s->ntold++;
    return true;
}

static NOINLINE void take_told(gc_thread *t, struct taken *s)
{
    struct profile *p = t->heap->profile;
    struct gc_profile_frame told[PROFILE_TOLD];
    lock_acquire(&p->lock);
    struct gc_profile_options o = p->options;
    lock_release(&p->lock);
    if (!o.frames)
        return;
    int before = errno, cancel = os_cancel_off();
    memset(told, 0, sizeof told);
    self_thread_calls_back(t);
    size_t n = o.frames(o.user, told, PROFILE_TOLD);
    for (size_t i = 0; i < MIN_OF(n, (size_t)PROFILE_TOLD) && add_told(s, &told[i]); i++)
        ;
    self_called_back(t);
    os_cancel_restore(cancel);
    errno = before;
}

static NOINLINE void take_stack(gc_thread *t, struct taken *s, uintptr_t sp)
{
    s->nnative = place_frames(s->native, PROFILE_NATIVE, sp);
    s->ntold = s->ntext = 0;
    take_told(t, s);
}

/* ---- Sites ---- */

static char *text_of(const struct profile_site *site)
{
    return (char *)(uintptr_t)&site->native[site->nnative];
}

static uint64_t hash_of(const struct taken *s, size_t size, size_t mean)
{
    uint64_t hash = type_hash_bytes(s->text, s->ntext, size * 31 + mean);
    for (size_t i = 0; i < s->nnative; i++)
        hash = (hash ^ s->native[i].pc) * 0x9e3779b97f4a7c15u;
    return hash ^ hash >> 32;
}

static bool is_of(const struct profile_site *site, const struct taken *s)
{
    if (site->nnative != s->nnative || site->ntold != s->ntold || site->ntext != s->ntext)
        return false;
    for (size_t i = 0; i < s->nnative; i++) {
        if (site->native[i] != s->native[i].pc)
            return false;
    }
    return memcmp(text_of(site), s->text, s->ntext) == 0;
}

static struct profile_site *make_site(const struct taken *s)
{
    struct profile_site *site =
        calloc(1, sizeof *site + s->nnative * sizeof site->native[0] + s->ntext);
    if (!site)
        return NULL;
    site->nnative = s->nnative;
    site->ntold = s->ntold;
    site->ntext = s->ntext;
    for (size_t i = 0; i < s->nnative; i++)
        site->native[i] = s->native[i].pc;
    memcpy(text_of(site), s->text, s->ntext);
    return site;
}

/* NULL: no memory. */
static struct profile_site *site_locked(struct profile *p, const struct taken *s, size_t size,
                                        size_t mean)
{
    LOCK_ASSERT_HELD(&p->lock);
    uint64_t hash = hash_of(s, size, mean);
    struct profile_site **chain = &p->chains[hash % PROFILE_CHAINS], *site = *chain;
    while (site &&
           !(site->hash == hash && site->size == size && site->mean == mean && is_of(site, s)))
        site = site->next;
    if (site || !(site = make_site(s)))
        return site;
    site->hash = hash;
    site->size = size;
    site->mean = mean;
    site->next = *chain;
    ptr_store_release(chain, site);
    return site;
}

/* The object is alive until the thread's next safepoint, so it is counted before its death is. */
static NOINLINE void note_sample(gc_thread *t, void *object, size_t size, const struct taken *s)
{
    gc_heap *heap = t->heap;
    struct profile *p = heap->profile;
    size_t mean = word_load_relaxed(&heap->mem.sampling.mean);
    lock_acquire(&p->lock);
    struct profile_site *site = site_locked(p, s, size, mean);
    lock_release(&p->lock);
    if (site && special_add_sample(heap, object, &site->freed) == 0)
        u64_fetch_add_relaxed(&site->allocated, 1);
    else
        u64_fetch_add_relaxed(&p->lost, 1);
}

void profile_sampled(gc_thread *t, void *object, uintptr_t sp)
{
    const struct gc_span *span = mheap_span_of(&t->heap->mem, (uintptr_t)object);
    struct taken stack;
    take_stack(t, &stack, sp);
    note_sample(t, object, span_object_bytes(span), &stack);
}

/* ---- Beginning and end ---- */

static struct profile *make_profile(gc_heap *heap)
{
    struct profile *p = ptr_load_acquire(&heap->profile), *none = NULL;
    if (p)
        return p;
    p = calloc(1, sizeof *p);
    if (!p)
        return NULL;
    lock_init(&p->lock, LOCK_NOTES);
    if (ptr_cas_release(&heap->profile, &none, p))
        return p;
    free(p);
    return ptr_load_acquire(&heap->profile);
}

/* The samplers see the number last. Runs that are open are not cut. */
static void begin_sampling_locked(gc_heap *heap, const struct gc_profile_options *o)
{
    struct sampling *by = &heap->mem.sampling;
    static uint32_t profiles; /* atomic */
    LOCK_ASSERT_HELD(&heap->profile->lock);
    word_store_relaxed(&by->mean, o->mean ? o->mean : MEAN_DEFAULT);
    u64_store_relaxed(&by->seed, o->seed ? o->seed : os_now_ns());
    uint32_t number = u32_fetch_add_relaxed(&profiles, 1) + 1;
    u32_store_release(&by->number, number ? number : 1);
    u32_cas_relaxed(&heap->mem.run_limit, 0, RUNS_ARE_CUT);
}

int profile_record(gc_heap *heap, const struct gc_profile_options *options)
{
    struct profile *p = make_profile(heap);
    if (!p)
        return -ENOMEM;
    lock_acquire(&p->lock);
    p->options = *options;
    begin_sampling_locked(heap, options);
    lock_release(&p->lock);
    return 0;
}

/* Another thread may begin at the same time: then both change, or none. */
static void end_sampling_locked(gc_heap *heap)
{
    LOCK_ASSERT_HELD(&heap->profile->lock);
    u32_store_relaxed(&heap->mem.sampling.number, 0);
    u32_cas_relaxed(&heap->mem.run_limit, RUNS_ARE_CUT, 0);
}

void profile_end(gc_heap *heap)
{
    struct profile *p = ptr_load_acquire(&heap->profile);
    if (!p)
        return;
    lock_acquire(&p->lock);
    end_sampling_locked(heap);
    lock_release(&p->lock);
}

void profile_destroy(gc_heap *heap)
{
    struct profile *p = heap->profile;
    for (size_t i = 0; p && i < PROFILE_CHAINS; i++) {
        for (struct profile_site *site = p->chains[i], *next; site; site = next) {
            next = site->next;
            free(site);
        }
    }
    free(p);
}

/* ---- The text ---- */

static void print_told(struct output *o, const struct profile_site *site)
{
    const char *at = text_of(site);
    for (size_t i = 0; i < site->ntold; i++) {
        const char *function = at, *file = function + strlen(function) + 1,
                   *line = file + strlen(file) + 1;
        output_print(o, "told %s ", line);
        output_quoted(o, function);
        output_print(o, " ");
        output_quoted(o, file);
        output_print(o, "\n");
        at = line + strlen(line) + 1;
    }
}

/* The functions of the library are left out, as everybody knows that they allocate. */
static void print_native(struct output *o, const struct profile_site *site)
{
    struct place_frame frames[PROFILE_NATIVE];
    char name[200];
    for (size_t i = 0; i < site->nnative; i++)
        frames[i] = (struct place_frame){0, site->native[i]};
    for (size_t i = place_skip(frames, site->nnative); i < site->nnative; i++) {
        output_print(o, "native 0x%zx ", (size_t)site->native[i] - 1);
        output_quoted(o, place_function(site->native[i], name, sizeof name));
        output_print(o, "\n");
    }
}

/* A death may be seen before the allocation is. */
static void print_site(struct output *o, const struct profile_site *site)
{
    uint64_t freed = u64_load_relaxed(&site->freed);
    uint64_t allocated = u64_load_relaxed(&site->allocated);
    if (allocated == 0)
        return;
    output_print(o, "site %zu %zu %" PRIu64 " %" PRIu64 "\n", site->size, site->mean, allocated,
                 allocated - MIN_OF(freed, allocated));
    print_told(o, site);
    print_native(o, site);
}

static NOINLINE void print_codes(struct output *o)
{
    struct place_code codes[64];
    char program[400];
    size_t n = place_codes(codes, ARRAY_LEN(codes), program, sizeof program);
    for (size_t i = 0; i < n; i++) {
        output_print(o, "code 0x%zx 0x%zx 0x%zx ", (size_t)codes[i].low, (size_t)codes[i].high,
                     codes[i].offset);
        output_quoted(o, codes[i].path);
        output_print(o, "\n");
    }
}

void profile_print(const struct profile *profile, struct output *o)
{
    output_print(o, "gcheap profile 1\nlost %" PRIu64 "\n", u64_load_relaxed(&profile->lost));
    print_codes(o);
    for (size_t i = 0; i < PROFILE_CHAINS && !o->error; i++) {
        const struct profile_site *site = ptr_load_acquire(&profile->chains[i]);
        for (; site && !o->error; site = site->next)
            print_site(o, site);
    }
}
