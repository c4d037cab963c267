/* Words that refer to objects or do not, and the nodes of the shadow. */
#include "shadow.h"

void *must(void *p)
{
    if (!p)
        BAD("the test itself ran out of memory");
    return p;
}

/* ---- Words ---- */

#define BOX_MATCH ((uint64_t)0xfffc << 48)
#define BOX_PAYLOAD (((uint64_t)1 << 48) - 1)

const gc_value_format formats[] = {
    [TAGGED] = {7, 1, ~(uint64_t)7},
    [BOXED] = {(uint64_t)0xffff << 48, BOX_MATCH, BOX_PAYLOAD},
};

uint64_t reference(struct mutator *m, const struct node *to)
{
    uint64_t plain = (uint64_t)(uintptr_t)to->address;
    if (w.setup.format == PLAIN && !to->shape.layout->unstamped && random_one_in(&m->random, 8))
        return plain + random_below(&m->random, to->shape.size);
    if (w.setup.format == PLAIN || random_one_in(&m->random, 4))
        return plain;
    return w.setup.format == TAGGED ? (plain & ~(uint64_t)7) | 1 : plain | BOX_MATCH;
}

uint64_t immediate(struct mutator *m)
{
    double number = (double)(random_next(&m->random) >> 20) / 3.0;
    uint64_t word;
    switch (random_below(&m->random, 3)) {
    case 0:
        return 0;
    case 1:
        if (w.setup.format == TAGGED)
            return random_next(&m->random) << 3 | 2;
        if (w.setup.format == PLAIN)
            return (uint64_t)(uintptr_t)m;
        memcpy(&word, &number, sizeof word);
        return word;
    default:
        return random_below(&m->random, 1 << 20) << 3 | 5;
    }
}

static void *target_of(uint64_t word)
{
    uint64_t address = word;
    if (w.setup.format == TAGGED)
        address = (word & 7) == 1 ? word & ~(uint64_t)7 : word & 7 ? 0 : word;
    if (w.setup.format == BOXED)
        address = word >> 48 == BOX_MATCH >> 48 ? word & BOX_PAYLOAD : word & 7 ? 0 : word;
    void *p = (void *)(uintptr_t)address;
    return gc_heap_contains(w.heap, p) ? p : NULL;
}

uint64_t load(const shape_word *slot)
{
    if (w.setup.format != PLAIN)
        return gc_load_value((const uint64_t *)slot);
    return (uint64_t)(uintptr_t)gc_load(slot);
}

void store(shape_word *slot, uint64_t word)
{
    if (w.setup.format != PLAIN)
        gc_store_value((uint64_t *)slot, word);
    else
        gc_store(slot, (void *)(uintptr_t)word);
}

void store_own(shape_word *slot, uint64_t word)
{
    if (w.setup.mode == STOP)
        __atomic_store_n(slot, word, __ATOMIC_RELEASE);
    else
        store(slot, word);
}

bool cas(shape_word *slot, uint64_t expected, uint64_t word)
{
    if (w.setup.format != PLAIN)
        return gc_cas_value((uint64_t *)slot, expected, word);
    return gc_cas(slot, (void *)(uintptr_t)expected, (void *)(uintptr_t)word);
}

/* ---- Nodes ---- */

struct node **entry(struct mutator *m, uint64_t number, bool make)
{
    struct node ***chunk = &m->chunks[number / CHUNK];
    if (!atomic_get(chunk) && make)
        atomic_set(chunk, must(calloc(CHUNK, sizeof(struct node *))));
    struct node **entries = atomic_get(chunk);
    return entries ? &entries[number % CHUNK] : NULL;
}

struct node *node_of_id(uint64_t id)
{
    uint64_t number = id >> OWNER_BITS;
    unsigned owner = id & ((1u << OWNER_BITS) - 1);
    if (owner >= MUTATORS || number >= (uint64_t)CHUNK * CHUNKS)
        return NULL;
    struct node **e = entry(&w.mutators[owner], number, false);
    return e ? atomic_get(e) : NULL;
}

void describe(const struct node *n, const char *what)
{
    int steps = 0;
    for (const struct node *at = n; at && n->reached && steps < 12; at = at->via, steps++)
        diag("%s %llx (%s)%s%s", steps ? "  from" : "reached:", (unsigned long long)at->id,
             at->shape.layout->name, at->via ? "" : " from ", at->via ? "" : at->via_root);
    BAD("object %llx (%s, %zu bytes, %zu elements, by thread %u%s) at %p %s",
        (unsigned long long)n->id, n->shape.layout->name, n->shape.size, n->shape.n, n->owner,
        n->racy ? ", racy" : "", (void *)n->address, what);
}

struct node *node_of_word(uint64_t word)
{
    void *p = target_of(word);
    if (!p)
        return NULL;
    const shape_word *base = gc_object_base(p);
    if (!base)
        BAD("%p, read from a live object, is in no object", p);
    uint64_t id = base[0];
    struct node *n = node_of_id(id);
    if (!n || n->address != (const char *)base)
        BAD("%p, read from a live object, has lost its stamp: %llx %llx", p, (unsigned long long)id,
            (unsigned long long)base[1]);
    return n;
}

void check_intact(const struct node *n)
{
    const char *wrong = shape_check(&n->shape, n->address, n->id);
    if (wrong)
        describe(n, wrong);
}

size_t used_slots(const struct shape *s)
{
    size_t n = shape_slots(s);
    return n < USED ? n : USED;
}

static size_t used_index(const struct node *n, unsigned i)
{
    size_t slots = shape_slots(&n->shape);
    return slots <= USED ? i : i * (slots - 1) / (USED - 1);
}

shape_word *used_slot(const struct node *n, unsigned i)
{
    return shape_slot(&n->shape, n->address, used_index(n, i));
}

bool is_small(const struct node *n)
{
    return n->shape.layout->unstamped;
}
