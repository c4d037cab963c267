/* Objects are made, linked, copied, handed over through racy places; roots come and go. */
#include "shadow.h"

static const struct layout *any_layout(struct mutator *m)
{
    static unsigned total;
    unsigned sum = atomic_get(&total);
    if (!sum) {
        for (int i = 0; i < LAYOUTS; i++)
            sum += layouts[i].weight;
        atomic_set(&total, sum);
    }
    if (random_one_in(&m->random, 3000)) {
        static const int rare[] = {LAYOUT_PAGE, LAYOUT_PROGRAM_LARGE, LAYOUT_TRACED_LARGE};
        return &layouts[rare[random_below(&m->random, 3)]];
    }
    size_t at = random_below(&m->random, sum);
    const struct layout *l = layouts;
    while (at >= l->weight)
        at -= l++->weight;
    return l;
}

static size_t any_count(struct mutator *m, const struct layout *l)
{
    if (l == &layouts[LAYOUT_TINY])
        return 1 + random_below(&m->random, 15);
    if (l->external)
        return random_below(&m->random, 40);
    if (random_one_in(&m->random, 2000))
        return random_below(&m->random, 1 << 19);
    if (random_one_in(&m->random, 100))
        return random_below(&m->random, 6000);
    return random_below(&m->random, 40);
}

/* The thread's references as they are when the object is new: plain stores do. */
static void fill_fresh(struct mutator *m, struct node *n)
{
    for (unsigned i = 0; i < n->used; i++) {
        if (!random_one_in(&m->random, 3))
            continue;
        struct node *to = any_held(m, n->shape.layout->small_slot && i == 0);
        if (!to || n->racy)
            continue;
        uint64_t word = reference(m, to);
        if (n->shape.layout->external)
            store(used_slot(n, i), word);
        else
            *used_slot(n, i) = (shape_word)word;
        n->slots[i] = (struct shadow){word, to};
    }
}

struct node *new_node_of(struct mutator *m, const struct layout *l)
{
    struct shape shape = shape_make(l, any_count(m, l));
    if (m->made == (uint64_t)CHUNK * CHUNKS)
        return NULL;
    size_t used = used_slots(&shape);
    struct node *n = must(calloc(1, sizeof *n + used * sizeof n->slots[0]));
    if (l->external)
        shape.external = must(calloc(shape.n + 1, sizeof *shape.external));
    errno = 0;
    n->address = shape_allocate(&shape);
    if (!n->address) {
        if (errno != ENOMEM)
            BAD("allocation of %s fails with errno %d", l->name, errno);
        m->refused++;
        free(shape.external);
        free(n);
        return NULL;
    }
    n->shape = shape;
    n->owner = m->index;
    n->used = (unsigned)used;
    n->racy = !l->unstamped && !l->small_slot && random_one_in(&m->random, 10);
    n->id = m->made++ << OWNER_BITS | m->index;
    const char *wrong = shape_check_fresh(&shape, n->address);
    if (wrong)
        describe(n, wrong);
    shape_write(&shape, n->address, n->id);
    fill_fresh(m, n);
    atomic_set(entry(m, n->id >> OWNER_BITS, true), n);
    if (m->count == m->capacity) {
        m->capacity = m->capacity ? m->capacity * 2 : 1024;
        m->nodes = must(realloc(m->nodes, m->capacity * sizeof(struct node *)));
    }
    m->nodes[m->count++] = n;
    return n;
}

struct node *new_node(struct mutator *m)
{
    return new_node_of(m, any_layout(m));
}

void op_new(struct mutator *m)
{
    struct node *n = new_node(m);
    if (n)
        hold(any_place(m), n, reference(m, n));
}

void op_link(struct mutator *m)
{
    struct node *n = any_own(m);
    if (!n)
        return;
    unsigned i = (unsigned)random_below(&m->random, n->used);
    bool small = n->shape.layout->small_slot && i == 0;
    struct node *to = random_one_in(&m->random, 3) ? NULL : any_held(m, small);
    uint64_t word = to ? reference(m, to) : small ? 0 : immediate(m);
    store_own(used_slot(n, i), word);
    n->slots[i] = (struct shadow){word, to};
}

/* Anyone may write these. */
void op_link_racy(struct mutator *m)
{
    struct node *n = held(any_place(m)), *to = any_held(m, false);
    if (!n || !n->racy || !n->used)
        return;
    shape_word *slot = used_slot(n, (unsigned)random_below(&m->random, n->used));
    uint64_t word = to ? reference(m, to) : immediate(m);
    if (random_one_in(&m->random, 3))
        cas(slot, load(slot), word);
    else
        store(slot, word);
}

static shape_word *any_racy_root(struct mutator *m)
{
    size_t i = random_below(&m->random, RACY_GLOBALS + RACY_HANDLES + RACY_VISITED);
    if (i < RACY_GLOBALS)
        return &w.globals[i];
    i -= RACY_GLOBALS;
    return i < RACY_HANDLES ? (shape_word *)(void *)w.handles[i] : &w.visited[i - RACY_HANDLES];
}

void op_publish(struct mutator *m)
{
    struct node *n = any_held(m, false);
    shape_word *slot = any_racy_root(m);
    uint64_t word = n ? reference(m, n) : 0;
    if (random_one_in(&m->random, 4))
        cas(slot, load(slot), word);
    else
        store(slot, word);
}

/* Reads a racy root, or takes what it holds out of it. */
void op_take(struct mutator *m)
{
    shape_word *slot = any_racy_root(m);
    uint64_t word = load(slot);
    struct node *n = node_of_word(word);
    if (!n)
        return;
    check_intact(n);
    if (random_one_in(&m->random, 3) && !cas(slot, word, 0))
        return;
    hold(any_place(m), n, word);
}

/* Follows references through whatever objects they lead to. */
void op_walk(struct mutator *m)
{
    struct node *n = held(any_place(m));
    uint64_t word = 0;
    for (int steps = 0; n && n->used && steps < 12; steps++) {
        unsigned i = (unsigned)random_below(&m->random, n->used);
        if (is_small(n) || (n->shape.layout->small_slot && i == 0))
            break; /* without stamps there is no telling what it refers to */
        uint64_t next = load(used_slot(n, i));
        if (n->owner == m->index && !n->racy && next != n->slots[i].word)
            describe(n, "does not hold what its only writer wrote");
        struct node *to = node_of_word(next);
        if (!to)
            break;
        n = to;
        word = next;
        if (random_one_in(&m->random, 4))
            check_intact(n);
    }
    if (word)
        hold(any_place(m), n, word);
}

/* Slots of the object that lie together, all of them used. */
static size_t contiguous(const struct node *n)
{
    const struct layout *l = n->shape.layout;
    bool together = l->external || (l->nhead == 0 && l->elem_words == 1);
    return together && shape_slots(&n->shape) <= USED ? n->used : 0;
}

void op_copy(struct mutator *m)
{
    struct node *to = any_own(m), *from = random_one_in(&m->random, 3) ? to : any_own(m);
    size_t n = to ? contiguous(to) : 0, have = from ? contiguous(from) : 0;
    if (!n || !have)
        return;
    size_t count = random_below(&m->random, (n < have ? n : have) + 1);
    size_t at = random_below(&m->random, n - count + 1);
    size_t source = random_below(&m->random, have - count + 1);
    if (random_one_in(&m->random, 4)) {
        gc_clear(used_slot(to, 0) + at, count * SHAPE_WORD);
        memset(&to->slots[at], 0, count * sizeof to->slots[0]);
        return;
    }
    gc_copy(used_slot(to, 0) + at, used_slot(from, 0) + source, count * SHAPE_WORD);
    memmove(&to->slots[at], &from->slots[source], count * sizeof to->slots[0]);
}

static struct space *any_stack(struct mutator *m)
{
    size_t from = random_below(&m->random, m->nspaces);
    for (size_t i = 0; i < m->nspaces; i++) {
        struct space *s = m->spaces[(from + i) % m->nspaces];
        if (s->kind == SPACE_STACK)
            return s;
    }
    return NULL;
}

void op_stack(struct mutator *m)
{
    struct space *s = any_stack(m);
    size_t n = s ? space_size(s) : 0;
    if (n > 1 && random_one_in(&m->random, 2)) {
        *s->top -= 1 + random_below(&m->random, n / 4 + 1);
    } else if (s && n < s->n) {
        struct node *to = any_held(m, false);
        s->slots[n] = (shape_word)(to ? reference(m, to) : immediate(m));
        s->shadows[n] = (struct shadow){s->slots[n], to};
        ++*s->top;
    }
}

/* Rooted globals and handles come and go. */
void op_root(struct mutator *m)
{
    if (m->nspaces + 12 > SPACES)
        return;
    struct space *s = must(calloc(1, sizeof *s));
    size_t n = 1 + random_below(&m->random, 4);
    bool handle = random_one_in(&m->random, 2);
    *s = (struct space){.kind = SPACE_STORED, .owned = true, .n = handle ? 1 : n};
    s->shadows = must(calloc(s->n, sizeof *s->shadows));
    struct node *first = any_held(m, false);
    uint64_t word = first ? (uint64_t)(uintptr_t)first->address : 0;
    if (handle) {
        s->handle = gc_handle_new((void *)(uintptr_t)word);
        s->slots = (shape_word *)(void *)s->handle;
    } else {
        s->slots = must(calloc(n, sizeof *s->slots));
        s->slots[0] = (shape_word)word;
        if (n == 1 ? gc_root(s->slots) : gc_root_range(s->slots, n)) {
            free(s->slots);
            s->slots = NULL;
        }
    }
    if (!s->slots) {
        m->refused++;
        free(s->shadows);
        free(s);
        return;
    }
    s->shadows[0] = (struct shadow){word, first};
    space_add(m, s);
}

static void drop_space(struct mutator *m, unsigned at)
{
    struct space *s = m->spaces[at];
    if (s->handle) {
        gc_handle_free(s->handle);
    } else {
        if (gc_unroot(s->slots) != 0)
            BAD("gc_unroot does not find a root");
        free(s->slots);
    }
    free(s->shadows);
    free(s);
    m->spaces[at] = m->spaces[--m->nspaces];
}

void drop_owned(struct mutator *m, unsigned from, unsigned one_in)
{
    for (unsigned i = m->nspaces; i-- > from;) {
        if (m->spaces[i]->owned && random_one_in(&m->random, one_in))
            drop_space(m, i);
    }
}

void op_unroot(struct mutator *m)
{
    unsigned at = (unsigned)random_below(&m->random, m->nspaces);
    if (m->depth == 0 && !gc_fiber_current() && m->spaces[at]->owned)
        drop_space(m, at);
}
