/* The shadow graph: threads allocate, link, hand over and drop objects at random; every object's
 * id (never used twice), shape and references are also known outside the heap, and so are its weak
 * reference, its entries in weak maps and in the intern table, its finalizer, its cleanups and the
 * bytes that it owns outside the heap. Now and then all threads rest, and then what is reachable in
 * the shadow must be there, intact, and hold what it should; and what is not must be gone after one
 * collection, or wait for its finalizer; and the walks of the heap must come by just that.
 *
 * A thread writes only the objects it made, so that its shadow of them is exact, and writes and
 * reads others' through "racy" places: rooted globals, handles, slots visited by a heap callback,
 * and objects that anyone may write. What a racy place holds is read off the stamp of what it
 * refers to. Fibers by the hundred are made, go from thread to thread, and are destroyed with what
 * they root.
 *
 *   shadow                         all modes in turn, as TAP
 *   shadow NAME=VALUE…             one run
 *     seed=N threads=N rests=N mode=concurrent|stop|alone|conservative
 *     format=plain|tagged|boxed    the default is drawn from the seed
 *     debug=SWITCHES               as in options.debug; none
 *   shadow stress [seconds=S] [rounds=N]
 *                                  rounds of random configurations for so long, or so many, each a
 *                                  test that names itself by the words that repeat it
 * Environment: GCHEAP_STRESS_RESTS (of each run), GCHEAP_SEED, and the library's GCHEAP_DEBUG.
 */
#include "shapes.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <time.h>

#include "tap.h"

#define MUTATORS 32
#define CHUNK 4096
#define CHUNKS 16384
#define USED 48 /* slots of an object that the test uses */
#define LARGEST_SMALL 32768

enum mode { CONCURRENT, STOP, ALONE, CONSERVATIVE };
enum format { PLAIN, TAGGED, BOXED };

struct setup {
    uint64_t seed;
    unsigned threads;
    unsigned rests; /* how often all rest, and are compared */
    enum mode mode;
    enum format format;
    char debug[96];
};

/* ---- The shadow ---- */

struct node;

/* What a slot holds, and which object that is. */
struct shadow {
    uint64_t word;
    struct node *to;
};

/* A cleanup of an object; outlives it. */
enum { CLEANUP_SET, CLEANUP_CANCELLED, CLEANUP_RAN };
struct cleanup {
    struct cleanup *next;
    uint64_t id; /* of the object */
    int64_t number;
    uint32_t state; /* atomic */
};

enum { FINAL_NONE, FINAL_SET, FINAL_RAN };
#define MAPS 3

/* Its owner writes it, or its finalizer, which runs when nobody else can reach it. */
struct node {
    uint64_t id;
    struct shape shape;
    char *address;
    bool racy; /* any thread writes it; its shadows are those of the last rest */
    unsigned owner, used;
    uint32_t reached; /* number of the rest at which it was */
    uint32_t queued;  /* number of the rest at which its finalizer was in the queue */
    struct node *via; /* and from where: this object, or a root */
    const char *via_root;
    gc_weak *weak;           /* atomic, once published */
    uint32_t weak_cleared;   /* somebody saw that; atomic */
    uint32_t weak_finalized; /* it was cleared for a finalizer */
    uint32_t final;          /* FINAL_…; atomic */
    uint32_t finals;         /* how often its finalizer ran; atomic */
    uint32_t intern_key;     /* key + 1; 0: none */
    uint32_t interned;       /* it is the object of that key; atomic */
    struct cleanup *cleanups;
    size_t external;       /* bytes it owns outside the heap */
    struct shadow *mapped; /* its value in each map; NULL: never had any */
    struct shadow slots[];
};

/* Root slots with their shadows, that one thread writes. */
enum space_kind { SPACE_PLAIN, SPACE_STORED, SPACE_STACK };
struct space {
    enum space_kind kind;
    bool owned; /* memory and root are a mutator's, till it drops them */
    shape_word *slots;
    struct shadow *shadows;
    size_t n;
    shape_word **top; /* of a stack */
    gc_handle *handle;
};

#define SPACES 64
#define STACK 256
#define LOCALS 24

struct mutator {
    unsigned index;
    uint64_t random;
    pthread_t thread;
    /* Objects it made. */
    struct node **nodes;
    size_t count, capacity;
    uint64_t made;
    struct node **chunks[CHUNKS]; /* by number; read by anyone with acquire */
    /* Roots. */
    struct space *spaces[SPACES];
    unsigned nspaces;
    shape_word *top; /* of the stack */
    unsigned depth;
    gc_fiber *fiber;
    struct space fiber_space;
    jmp_buf base;
    bool resting;
    size_t positions[MAPS]; /* in the maps, of op_map_walk */
    uint64_t operations, refused;
};

#define SHARED_FIBERS 6
#define FIBER_SLOTS 16
struct shared_fiber {
    gc_fiber *fiber;
    shape_word slots[FIBER_SLOTS];
    shape_word *top;
    struct shadow shadows[FIBER_SLOTS];
};

/* A fiber that any thread makes, runs, suspends for others, or destroys. */
#define POOL 512
#define POOL_BUSY 3
#define POOL_STACK 6
#define POOL_FRAMES 3
#define POOL_LOCALS 2 /* of a frame */
#define POOL_WORDS 3
struct pooled {
    uint32_t taken;  /* atomic: by a thread, which alone looks at the rest */
    gc_fiber *fiber; /* NULL: none at present */
    unsigned last;   /* the thread that ran it last */
    /* Its range. */
    shape_word stack[POOL_STACK], *top;
    struct shadow stack_shadows[POOL_STACK];
    struct space stack_space;
    /* Its frames, as many as are open. */
    struct gc_frame frames[POOL_FRAMES];
    unsigned depth;
    shape_word locals[POOL_FRAMES * POOL_LOCALS];
    struct shadow local_shadows[POOL_FRAMES * POOL_LOCALS];
    struct space local_space;
    /* Its C stack: has references while the fiber is suspended. */
    bool has_words;
    shape_word words[POOL_WORDS];
    struct shadow word_shadows[POOL_WORDS];
};

#define RACY_GLOBALS 64
#define RACY_HANDLES 16
#define RACY_VISITED 16
#define KNOWN 128 /* objects whose weak references anyone gets */
#define INTERN_KEYS 64

/* An object's slot. */
struct live {
    uintptr_t base; /* first */
    size_t size;
    const struct node *node;
    bool seen; /* by the walk of the heap */
};

static struct world {
    struct setup setup;
    gc_heap *heap;
    struct mutator mutators[MUTATORS];
    shape_word globals[RACY_GLOBALS];
    gc_handle *handles[RACY_HANDLES];
    shape_word visited[RACY_VISITED];
    struct shared_fiber fibers[SHARED_FIBERS];
    struct pooled pool[POOL];
    uint64_t made_fibers, moved_fibers; /* atomic; moved: to another thread than before */
    unsigned most_fibers;               /* at a rest */
    gc_weakmap *maps[MAPS];
    gc_intern *intern;
    struct node *known[KNOWN]; /* atomic */
    bool lean; /* no fibers, heap callbacks, finalizers: a mutator may run its cycles itself */
    bool final_thread;
    pthread_mutex_t final_lock;  /* held by a finalizer that runs, and while graphs are compared */
    uint64_t finalized, cleaned; /* atomic */
    struct cleanup *due;         /* of dead objects: they must be queued */
    struct node **queue;         /* objects whose finalizers must be queued */
    size_t nqueue, queue_capacity;
    /* The rest. */
    pthread_mutex_t lock;
    pthread_cond_t changed;
    unsigned running; /* threads that do not rest; under lock */
    unsigned resting; /* those that do, attached; under lock */
    uint32_t round;   /* rests ended; under lock, and atomic */
    uint32_t wanted;  /* atomic: a rest is wanted */
    uint32_t over;    /* atomic: the end */
    uint32_t shrink;  /* atomic: let go of much */
    uint32_t rest;    /* number of the present one */
    struct node *via; /* what is being looked at */
    const char *via_root;
    struct node **work; /* what is reachable */
    size_t nwork, work_capacity;
    struct live *live; /* and where, in order */
    size_t nlive;
    uint64_t checked, freed, kept;
} w;

#define atomic_get(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define atomic_set(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

static const char *const mode_names[] = {"concurrent", "stop", "alone", "conservative"};
static const char *const format_names[] = {"plain", "tagged", "boxed"};

static char replay[256];
#define BAD(...)                                                                                   \
    do {                                                                                           \
        diag(__VA_ARGS__);                                                                         \
        FAIL("replay: %s", replay);                                                                \
    } while (0)

static void *must(void *p)
{
    if (!p)
        BAD("the test itself ran out of memory");
    return p;
}

/* Calls of the system may be made to fail now and then. */
#define UNTIL(result, call)                                                                        \
    do {                                                                                           \
        int tries = 0;                                                                             \
        do                                                                                         \
            (result) = (call);                                                                     \
        while (!(result) && ++tries < 1000);                                                       \
        must(result);                                                                              \
    } while (0)

/* ---- Words ---- */

#define BOX_MATCH ((uint64_t)0xfffc << 48)
#define BOX_PAYLOAD (((uint64_t)1 << 48) - 1)

static const gc_value_format formats[] = {
    [TAGGED] = {7, 1, ~(uint64_t)7},
    [BOXED] = {(uint64_t)0xffff << 48, BOX_MATCH, BOX_PAYLOAD},
};

static uint64_t reference(struct mutator *m, const struct node *to)
{
    uint64_t plain = (uint64_t)(uintptr_t)to->address;
    if (w.setup.format == PLAIN && !to->shape.layout->unstamped && random_one_in(&m->random, 8))
        return plain + random_below(&m->random, to->shape.size);
    if (w.setup.format == PLAIN || random_one_in(&m->random, 4))
        return plain;
    return w.setup.format == TAGGED ? (plain & ~(uint64_t)7) | 1 : plain | BOX_MATCH;
}

/* A word that is no reference. */
static uint64_t immediate(struct mutator *m)
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

static uint64_t load(const shape_word *slot)
{
    if (w.setup.format != PLAIN)
        return gc_load_value((const uint64_t *)slot);
    return (uint64_t)(uintptr_t)gc_load(slot);
}

static void store(shape_word *slot, uint64_t word)
{
    if (w.setup.format != PLAIN)
        gc_store_value((uint64_t *)slot, word);
    else
        gc_store(slot, (void *)(uintptr_t)word);
}

/* Without barriers where none are needed. */
static void store_own(shape_word *slot, uint64_t word)
{
    if (w.setup.mode == STOP)
        __atomic_store_n(slot, word, __ATOMIC_RELEASE);
    else
        store(slot, word);
}

static bool cas(shape_word *slot, uint64_t expected, uint64_t word)
{
    if (w.setup.format != PLAIN)
        return gc_cas_value((uint64_t *)slot, expected, word);
    return gc_cas(slot, (void *)(uintptr_t)expected, (void *)(uintptr_t)word);
}

/* ---- Nodes ---- */

#define OWNER_BITS 6

static struct node **entry(struct mutator *m, uint64_t number, bool make)
{
    struct node ***chunk = &m->chunks[number / CHUNK];
    if (!atomic_get(chunk) && make)
        atomic_set(chunk, must(calloc(CHUNK, sizeof(struct node *))));
    struct node **entries = atomic_get(chunk);
    return entries ? &entries[number % CHUNK] : NULL;
}

static struct node *node_of_id(uint64_t id)
{
    uint64_t number = id >> OWNER_BITS;
    unsigned owner = id & ((1u << OWNER_BITS) - 1);
    if (owner >= MUTATORS || number >= (uint64_t)CHUNK * CHUNKS)
        return NULL;
    struct node **e = entry(&w.mutators[owner], number, false);
    return e ? atomic_get(e) : NULL;
}

static void describe(const struct node *n, const char *what)
{
    int steps = 0;
    for (const struct node *at = n; at && n->reached && steps < 12; at = at->via, steps++)
        diag("%s %llx (%s)%s%s", steps ? "  from" : "reached:", (unsigned long long)at->id,
             at->shape.layout->name, at->via ? "" : " from ", at->via ? "" : at->via_root);
    BAD("object %llx (%s, %zu bytes, %zu elements, by thread %u%s) at %p %s",
        (unsigned long long)n->id, n->shape.layout->name, n->shape.size, n->shape.n, n->owner,
        n->racy ? ", racy" : "", (void *)n->address, what);
}

/* The object that a word from a racy place refers to; NULL: none. */
static struct node *node_of_word(uint64_t word)
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

static void check_intact(const struct node *n)
{
    const char *wrong = shape_check(&n->shape, n->address, n->id);
    if (wrong)
        describe(n, wrong);
}

static size_t used_slots(const struct shape *s)
{
    size_t n = shape_slots(s);
    return n < USED ? n : USED;
}

/* Used slots are spread over the object: the first and the last are among them. */
static size_t used_index(const struct node *n, unsigned i)
{
    size_t slots = shape_slots(&n->shape);
    return slots <= USED ? i : i * (slots - 1) / (USED - 1);
}

static shape_word *used_slot(const struct node *n, unsigned i)
{
    return shape_slot(&n->shape, n->address, used_index(n, i));
}

static bool is_small(const struct node *n)
{
    return n->shape.layout->unstamped;
}

/* ---- Root slots ---- */

struct place {
    struct space *space;
    size_t i;
};

static size_t space_size(const struct space *s)
{
    return s->kind == SPACE_STACK ? (size_t)(*s->top - s->slots) : s->n;
}

static struct place any_place(struct mutator *m)
{
    for (;;) {
        struct space *s = m->spaces[random_below(&m->random, m->nspaces)];
        size_t n = space_size(s);
        if (n)
            return (struct place){s, random_below(&m->random, n)};
    }
}

static struct node *held(struct place p)
{
    return p.space->shadows[p.i].to;
}

static void hold(struct place p, struct node *n, uint64_t word)
{
    p.space->shadows[p.i] = (struct shadow){word, n};
    if (p.space->kind == SPACE_STORED)
        store(&p.space->slots[p.i], word);
    else
        p.space->slots[p.i] = word;
}

static void space_add(struct mutator *m, struct space *s)
{
    if (m->nspaces == SPACES)
        BAD("too many root spaces");
    m->spaces[m->nspaces++] = s;
}

/* The others stay in order. */
static void space_remove(struct mutator *m, const struct space *s)
{
    unsigned at = m->nspaces;
    while (m->spaces[--at] != s)
        ;
    m->nspaces--;
    memmove(&m->spaces[at], &m->spaces[at + 1], (m->nspaces - at) * sizeof m->spaces[0]);
}

static struct space space_make(enum space_kind kind, void *slots, struct shadow *shadows, size_t n)
{
    return (struct space){.kind = kind, .slots = slots, .shadows = shadows, .n = n};
}

static void drop_roots(struct mutator *m, unsigned one_in)
{
    for (unsigned i = 0; i < m->nspaces; i++) {
        for (size_t j = 0; j < space_size(m->spaces[i]); j++) {
            if (random_one_in(&m->random, one_in))
                hold((struct place){m->spaces[i], j}, NULL, 0);
        }
    }
}

/* A node among the roots that a stamped slot may refer to. */
static struct node *any_held(struct mutator *m, bool small)
{
    for (int tries = 0; tries < 6; tries++) {
        struct node *n = held(any_place(m));
        if (n && is_small(n) == small)
            return n;
    }
    return NULL;
}

/* One this thread may write plainly, by its shadow; with `used` slots. */
static struct node *any_own(struct mutator *m)
{
    for (int tries = 0; tries < 6; tries++) {
        struct node *n = held(any_place(m));
        if (n && n->owner == m->index && !n->racy && n->used)
            return n;
    }
    return NULL;
}

/* ---- Operations ---- */

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
            *used_slot(n, i) = word;
        n->slots[i] = (struct shadow){word, to};
    }
}

static struct node *new_node_of(struct mutator *m, const struct layout *l)
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

static struct node *new_node(struct mutator *m)
{
    return new_node_of(m, any_layout(m));
}

static void op_new(struct mutator *m)
{
    struct node *n = new_node(m);
    if (n)
        hold(any_place(m), n, reference(m, n));
}

static void op_link(struct mutator *m)
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
static void op_link_racy(struct mutator *m)
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

static void op_publish(struct mutator *m)
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
static void op_take(struct mutator *m)
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
static void op_walk(struct mutator *m)
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

static void op_copy(struct mutator *m)
{
    struct node *to = any_own(m), *from = random_one_in(&m->random, 3) ? to : any_own(m);
    size_t n = to ? contiguous(to) : 0, have = from ? contiguous(from) : 0;
    if (!n || !have)
        return;
    size_t count = random_below(&m->random, (n < have ? n : have) + 1);
    size_t at = random_below(&m->random, n - count + 1);
    size_t source = random_below(&m->random, have - count + 1);
    if (random_one_in(&m->random, 4)) {
        gc_clear(used_slot(to, 0) + at, count * 8);
        memset(&to->slots[at], 0, count * sizeof to->slots[0]);
        return;
    }
    gc_copy(used_slot(to, 0) + at, used_slot(from, 0) + source, count * 8);
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

static void op_stack(struct mutator *m)
{
    struct space *s = any_stack(m);
    size_t n = s ? space_size(s) : 0;
    if (n > 1 && random_one_in(&m->random, 2)) {
        *s->top -= 1 + random_below(&m->random, n / 4 + 1);
    } else if (s && n < s->n) {
        struct node *to = any_held(m, false);
        s->slots[n] = to ? reference(m, to) : immediate(m);
        s->shadows[n] = (struct shadow){s->slots[n], to};
        ++*s->top;
    }
}

/* Rooted globals and handles come and go. */
static void op_root(struct mutator *m)
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
        s->slots[0] = word;
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

static void drop_owned(struct mutator *m, unsigned from, unsigned one_in)
{
    for (unsigned i = m->nspaces; i-- > from;) {
        if (m->spaces[i]->owned && random_one_in(&m->random, one_in))
            drop_space(m, i);
    }
}

static void op_unroot(struct mutator *m)
{
    unsigned at = (unsigned)random_below(&m->random, m->nspaces);
    if (m->depth == 0 && !gc_fiber_current() && m->spaces[at]->owned)
        drop_space(m, at);
}

/* ---- Weak references, weak maps, interned objects ---- */

static void get_weak(struct mutator *m, struct node *n)
{
    bool cleared = atomic_get(&n->weak_cleared);
    void *p = gc_weak_get(n->weak);
    if (!p) {
        atomic_set(&n->weak_cleared, 1);
    } else if (cleared) {
        describe(n, "came back from a weak reference that was cleared");
    } else if (p != n->address) {
        describe(n, "is not what its weak reference says");
    } else {
        check_intact(n);
        hold(any_place(m), n, (uint64_t)(uintptr_t)p);
    }
}

/* A weak reference is given to an object that has none, or got: of an own object, or of one of
 * those that all threads know. */
static void op_weak(struct mutator *m)
{
    struct node *n = any_own(m);
    if (n && !n->weak && !is_small(n)) {
        atomic_set(&n->weak, gc_weak_new(n->address));
        m->refused += !n->weak;
        if (n->weak)
            atomic_set(&w.known[random_below(&m->random, KNOWN)], n);
    }
    if (!m->count)
        return;
    n = random_one_in(&m->random, 2) ? m->nodes[random_below(&m->random, m->count)]
                                     : atomic_get(&w.known[random_below(&m->random, KNOWN)]);
    if (n && atomic_get(&n->weak))
        get_weak(m, n);
}

static void op_map_set(struct mutator *m, unsigned map)
{
    struct node *n = any_own(m), *to = random_one_in(&m->random, 8) ? NULL : any_held(m, false);
    if (!n || is_small(n))
        return;
    if (!n->mapped)
        n->mapped = must(calloc(MAPS, sizeof *n->mapped));
    struct shadow *value = &n->mapped[map];
    if (random_one_in(&m->random, 3)) {
        if (gc_weakmap_delete(w.maps[map], n->address) != (value->word != 0))
            describe(n, "was, or was not, in a weak map");
        *value = (struct shadow){0, NULL};
        return;
    }
    uint64_t word = to ? reference(m, to) : immediate(m) | 8;
    int error = gc_weakmap_set(w.maps[map], n->address, (void *)(uintptr_t)word);
    if (error && error != -ENOMEM)
        BAD("gc_weakmap_set fails with %d", error);
    m->refused += error != 0;
    if (!error)
        *value = (struct shadow){word, to};
}

static void hold_value(struct mutator *m, uint64_t word)
{
    struct node *n = word ? node_of_word(word) : NULL;
    if (!n)
        return;
    check_intact(n);
    hold(any_place(m), n, word);
}

/* Of whatever object: its owner may be setting it. */
static void op_map_get(struct mutator *m, unsigned map)
{
    struct node *n = any_held(m, false);
    if (!n)
        return;
    uint64_t word = (uint64_t)(uintptr_t)gc_weakmap_get(w.maps[map], n->address);
    if (n->owner == m->index && word != (n->mapped ? n->mapped[map].word : 0))
        describe(n, "does not have the value in a weak map that its only writer gave it");
    hold_value(m, word);
}

static void op_map_walk(struct mutator *m, unsigned map)
{
    void *key = NULL, *value = NULL;
    GC_FRAME(key, value);
    for (size_t i = random_below(&m->random, 8); i > 0; i--) {
        if (!gc_weakmap_next(w.maps[map], &m->positions[map], &key, &value)) {
            m->positions[map] = 0;
            break;
        }
        struct node *n = node_of_word((uint64_t)(uintptr_t)key);
        if (!n || n->address != key)
            BAD("a weak map has the key %p, which is no object's address", key);
        check_intact(n);
        hold_value(m, (uint64_t)(uintptr_t)value);
        hold(any_place(m), n, (uint64_t)(uintptr_t)key);
    }
}

static void op_map(struct mutator *m)
{
    unsigned map = (unsigned)random_below(&m->random, MAPS);
    size_t what = random_below(&m->random, 8);
    if (what < 4)
        op_map_set(m, map);
    else if (what < 7)
        op_map_get(m, map);
    else
        op_map_walk(m, map);
}

static uint64_t intern_hash(const void *key, size_t size)
{
    uint32_t k;
    memcpy(&k, key, size);
    return k * 0x9e3779b97f4a7c15u;
}

/* An object that has died may be nobody any more. */
static bool intern_equal(const void *object, const void *key, size_t size)
{
    uint32_t k;
    memcpy(&k, key, size);
    const struct node *n = node_of_id(*(const shape_word *)object);
    return n && n->address == object && n->intern_key == k + 1;
}

static void *intern_make(const void *key, size_t size, void *arg)
{
    uint32_t k;
    memcpy(&k, key, size);
    struct node *n = arg ? new_node_of(arg, &layouts[LAYOUT_PAIR]) : NULL;
    if (!n)
        return NULL;
    n->intern_key = k + 1;
    return n->address;
}

static void op_intern(struct mutator *m)
{
    uint32_t key = (uint32_t)random_below(&m->random, INTERN_KEYS);
    errno = 0;
    void *p = gc_intern_get(w.intern, &key, sizeof key, m);
    if (!p) {
        if (errno != ENOMEM)
            BAD("gc_intern_get fails with errno %d", errno);
        return;
    }
    struct node *n = node_of_word((uint64_t)(uintptr_t)p);
    if (!n || n->intern_key != key + 1)
        BAD("%p is not the object of key %u", p, (unsigned)key);
    check_intact(n);
    atomic_set(&n->interned, 1);
    hold(any_place(m), n, (uint64_t)(uintptr_t)p);
}

/* ---- Finalizers and cleanups ---- */

static void check_own_are_gone(struct node *n)
{
    if (n->weak) {
        if (gc_weak_get(n->weak))
            describe(n, "is finalized, but its weak reference is not cleared");
        atomic_set(&n->weak_cleared, 1);
        atomic_set(&n->weak_finalized, 1);
    }
    for (int i = 0; n->mapped && i < MAPS; i++) {
        if (w.maps[i] && gc_weakmap_get(w.maps[i], n->address))
            describe(n, "is finalized, but still in a weak map");
        n->mapped[i] = (struct shadow){0, NULL};
    }
    atomic_set(&n->interned, 0);
}

static void on_final(void *object, void *arg);

static int set_final(struct node *n)
{
    atomic_set(&n->final, FINAL_SET);
    return gc_finalizer_set(n->address, on_final, n);
}

/* On any thread. Some objects come back, some of them with a finalizer. */
static void on_final(void *object, void *arg)
{
    struct node *n = arg;
    uint64_t random = n->id ^ w.setup.seed ^ (uint64_t)atomic_get(&n->finals) << 32;
    gc_blocking_begin();
    pthread_mutex_lock(&w.final_lock);
    gc_blocking_end();
    if (__atomic_exchange_n(&n->final, FINAL_RAN, __ATOMIC_ACQ_REL) != FINAL_SET)
        describe(n, "is finalized, but it has no finalizer");
    if (n->address != object)
        describe(n, "is finalized as another object");
    check_intact(n);
    check_own_are_gone(n);
    __atomic_fetch_add(&n->finals, 1, __ATOMIC_ACQ_REL);
    __atomic_fetch_add(&w.finalized, 1, __ATOMIC_RELAXED);
    if (!atomic_get(&w.over) && random_one_in(&random, 3)) {
        if (random_one_in(&random, 3) && set_final(n) != 0)
            atomic_set(&n->final, FINAL_RAN);
        store(&w.globals[random_below(&random, RACY_GLOBALS)], (uint64_t)(uintptr_t)object);
    }
    pthread_mutex_unlock(&w.final_lock);
}

static void op_final(struct mutator *m)
{
    struct node *n = any_own(m);
    if (!n || is_small(n) || w.lean)
        return;
    if (atomic_get(&n->final) == FINAL_SET) {
        if (gc_finalizer_set(n->address, on_final, n) != -EEXIST)
            describe(n, "lost its finalizer");
        if (random_one_in(&m->random, 2))
            return;
        if (gc_finalizer_set(n->address, NULL, NULL) != 0)
            describe(n, "is not rid of its finalizer");
        atomic_set(&n->final, FINAL_NONE);
        return;
    }
    int error = set_final(n);
    if (error == 0)
        return;
    if (error != -ENOMEM && error != -EAGAIN)
        BAD("gc_finalizer_set fails with %d", error);
    atomic_set(&n->final, FINAL_NONE);
    m->refused++;
}

static void on_cleanup(void *arg)
{
    struct cleanup *c = arg;
    __atomic_fetch_add(&w.cleaned, 1, __ATOMIC_RELAXED);
    uint64_t id = c->id;
    if (__atomic_exchange_n(&c->state, CLEANUP_RAN, __ATOMIC_ACQ_REL) != CLEANUP_SET)
        BAD("a cleanup of %llx runs twice, or was cancelled", (unsigned long long)id);
}

static void cancel_cleanup(struct node *n, struct cleanup *c)
{
    int expected = atomic_get(&c->state) == CLEANUP_SET ? 0 : -ENOENT;
    if (gc_cleanup_cancel(n->address, c->number) != expected)
        describe(n, "cannot cancel a cleanup, or can twice");
    atomic_set(&c->state, CLEANUP_CANCELLED);
}

static void op_cleanup(struct mutator *m)
{
    struct node *n = any_own(m);
    if (!n || is_small(n))
        return;
    if (n->cleanups && random_one_in(&m->random, 2)) {
        cancel_cleanup(n, n->cleanups);
        return;
    }
    struct cleanup *c = must(calloc(1, sizeof *c));
    c->id = n->id;
    c->number = gc_cleanup_add(n->address, on_cleanup, c);
    if (c->number <= 0) {
        if (c->number != -ENOMEM && c->number != -EAGAIN)
            BAD("gc_cleanup_add fails with %d", (int)c->number);
        m->refused++;
        free(c);
        return;
    }
    c->next = n->cleanups;
    n->cleanups = c;
}

/* Bytes outside the heap, more or fewer; not fewer than there are. */
static void op_external(struct mutator *m)
{
    struct node *n = any_own(m);
    if (!n || is_small(n) || w.lean)
        return;
    ptrdiff_t bytes = (ptrdiff_t)random_below(&m->random, 4096);
    bool fewer = random_one_in(&m->random, 2), absurd = fewer && (size_t)bytes > n->external;
    int error = gc_external_add(n->address, fewer ? -bytes : bytes);
    if (error == -ENOMEM && !fewer) {
        m->refused++;
        return;
    }
    if (error != (absurd ? -EINVAL : 0))
        BAD("gc_external_add of %s%td bytes to %zu gives %d", fewer ? "-" : "", bytes, n->external,
            error);
    if (!error)
        n->external = fewer ? n->external - (size_t)bytes : n->external + (size_t)bytes;
}

static void op_run_finalizers(struct mutator *m)
{
    gc_finalizers_run(1 + random_below(&m->random, 20));
}

/* ---- Blocking, collecting, frames, fibers ---- */

static void nap(struct mutator *m)
{
    struct timespec t = {0, (long)random_below(&m->random, 200 * 1000)};
    nanosleep(&t, NULL);
}

static void op_block(struct mutator *m)
{
    gc_blocking_begin();
    if (random_one_in(&m->random, 2))
        nap(m);
    else
        sched_yield();
    if (random_one_in(&m->random, 4)) {
        gc_blocking_begin();
        gc_blocking_end();
    }
    if (gc_blocking_end() != 0)
        BAD("gc_blocking_end fails");
}

static void op_collect(struct mutator *m)
{
    if (random_one_in(&m->random, 60))
        gc_collect();
    else
        gc_collect_start();
}

static void do_other_things(struct mutator *m)
{
    for (size_t i = random_below(&m->random, 50); i > 0; i--) {
        if (random_one_in(&m->random, 10))
            op_block(m);
        else
            op_new(m);
    }
    if (random_one_in(&m->random, 20))
        gc_collect();
}

/* Held by nothing but the C stack while other things happen. */
static __attribute__((noinline)) void op_hold_on_stack(struct mutator *m)
{
    struct node *n = new_node(m);
    if (!n || is_small(n))
        return;
    char *volatile address = n->address;
    do_other_things(m);
    if (!gc_is_object(address))
        describe(n, "is gone though the C stack holds it");
    check_intact(n);
    hold(any_place(m), n, (uint64_t)(uintptr_t)address);
}

/* By a local variable, wherever the compiler has it, up to gc_keep_alive(). */
static __attribute__((noinline)) void op_keep_alive(struct mutator *m)
{
    struct node *n = new_node(m);
    if (!n || is_small(n))
        return;
    const char *address = n->address;
    n->address = NULL; /* no other way to it */
    do_other_things(m);
    gc_keep_alive(address);
    n->address = (char *)(uintptr_t)address;
    if (!gc_is_object(address))
        describe(n, "is gone before gc_keep_alive()");
    check_intact(n);
    hold(any_place(m), n, (uint64_t)(uintptr_t)address);
}

static void step(struct mutator *m);

static void steps(struct mutator *m, size_t n)
{
    while (n-- > 0)
        step(m);
}

/* Deeper frames, now and then left by longjmp. */
static void op_deep(struct mutator *m)
{
    if (m->depth >= 6 || m->nspaces + 12 > SPACES)
        return;
    void *a = NULL, *b = NULL, *more[3] = {NULL, NULL, NULL};
    struct shadow shadows[5] = {{0, NULL}};
    struct space sa = space_make(SPACE_PLAIN, &a, &shadows[0], 1);
    struct space sb = space_make(SPACE_PLAIN, &b, &shadows[1], 1);
    struct space sm = space_make(SPACE_PLAIN, more, &shadows[2], 3);
    GC_FRAME(a, b);
    GC_FRAME_ARRAY(more, 3);
    space_add(m, &sa);
    space_add(m, &sb);
    space_add(m, &sm);
    m->depth++;
    steps(m, random_below(&m->random, 60));
    if (!gc_fiber_current() && random_one_in(&m->random, 30))
        longjmp(m->base, 1);
    m->depth--;
    space_remove(m, &sm);
    space_remove(m, &sb);
    space_remove(m, &sa);
}

/* Into a fiber that all threads share, and back. */
static void op_fiber(struct mutator *m)
{
    struct shared_fiber *f = &w.fibers[random_below(&m->random, SHARED_FIBERS)];
    if (!f->fiber || gc_fiber_current() || m->nspaces + 12 > SPACES)
        return;
    errno = 0;
    gc_fiber *before = gc_fiber_switch(f->fiber);
    if (errno == EBUSY)
        return;
    if (before || gc_fiber_current() != f->fiber)
        BAD("gc_fiber_switch does not switch");
    struct space s = space_make(SPACE_PLAIN, f->slots, f->shadows, FIBER_SLOTS);
    space_add(m, &s);
    steps(m, random_below(&m->random, 80));
    space_remove(m, &s);
    if (gc_fiber_switch(NULL) != f->fiber)
        BAD("gc_fiber_switch does not come back");
}

/* The thread's own fiber is left with a frame open, while the thread goes on elsewhere. */
static void op_fiber_frame(struct mutator *m)
{
    if (!m->fiber || gc_fiber_current() || m->depth || m->nspaces + 12 > SPACES)
        return;
    void *locals[4] = {NULL, NULL, NULL, NULL};
    struct shadow shadows[4] = {{0, NULL}};
    struct space s = space_make(SPACE_PLAIN, locals, shadows, 4);
    gc_fiber_switch(m->fiber);
    {
        GC_FRAME_ARRAY(locals, 4);
        space_add(m, &s);
        m->depth = 6;
        steps(m, random_below(&m->random, 40));
        /* The frame is the fiber's: the slots may not be written while that rests. */
        space_remove(m, &s);
        gc_fiber_switch(NULL);
        m->fiber_space = s;
        steps(m, random_below(&m->random, 40));
        m->fiber_space = (struct space){0};
        gc_fiber_switch(m->fiber);
        for (int i = 0; i < 4; i++) {
            if (shadows[i].to && !is_small(shadows[i].to))
                check_intact(shadows[i].to);
        }
        m->depth = 0;
    }
    gc_fiber_switch(NULL);
}

/* ---- The pool of fibers ---- */

/* One that nobody has taken, and that is there, or is yet to be made; NULL: none was found. A few
 * go from hand to hand. */
static struct pooled *pool_take(struct mutator *m, bool there)
{
    for (int tries = 0; tries < 8; tries++) {
        size_t among = there && random_one_in(&m->random, 2) ? POOL_BUSY : POOL;
        struct pooled *p = &w.pool[random_below(&m->random, among)];
        if (__atomic_exchange_n(&p->taken, 1, __ATOMIC_ACQUIRE))
            continue;
        if ((p->fiber != NULL) == there)
            return p;
        atomic_set(&p->taken, 0);
    }
    return NULL;
}

/* What was on its C stack goes to the thread's roots. */
static void pool_resumed(struct mutator *m, struct pooled *p)
{
    const struct gc_frame *frame = p->depth ? &p->frames[p->depth - 1] : NULL;
    if (gc_fiber_current() != p->fiber || gc_frame_mark() != frame)
        BAD("a fiber does not come back as it was left");
    space_add(m, &p->stack_space);
    space_add(m, &p->local_space);
    for (int i = 0; i < POOL_WORDS; i++) {
        struct shadow *shadow = &p->word_shadows[i];
        if (shadow->to) {
            check_intact(shadow->to);
            hold(any_place(m), shadow->to, p->words[i]);
        }
        p->words[i] = 0;
        *shadow = (struct shadow){0, NULL};
    }
    __atomic_fetch_add(&w.moved_fibers, p->last != m->index, __ATOMIC_RELAXED);
    p->last = m->index;
}

static void pool_suspends(struct mutator *m, struct pooled *p)
{
    if (gc_fiber_destroy(p->fiber) != -EBUSY)
        BAD("a fiber that runs is destroyed");
    space_remove(m, &p->local_space);
    space_remove(m, &p->stack_space);
    for (int i = 0; i < POOL_WORDS && p->has_words; i++) {
        struct node *n = any_held(m, false);
        p->words[i] = n ? (uint64_t)(uintptr_t)n->address : 0;
        p->word_shadows[i] = (struct shadow){p->words[i], n};
    }
}

/* From one fiber into another; NULL: the thread's own root set. Whoever wants may take the one that
 * was left. */
static void pool_switch(struct mutator *m, struct pooled *from, struct pooled *to)
{
    gc_fiber *left = from ? from->fiber : NULL;
    if (from)
        pool_suspends(m, from);
    if (gc_fiber_switch(to ? to->fiber : NULL) != left || errno)
        BAD("gc_fiber_switch does not switch");
    if (from)
        atomic_set(&from->taken, 0);
    if (to)
        pool_resumed(m, to);
}

static void clear_space(const struct space *s, size_t from)
{
    memset(&s->slots[from], 0, (s->n - from) * sizeof s->slots[0]);
    memset(&s->shadows[from], 0, (s->n - from) * sizeof s->shadows[0]);
}

/* The fiber that runs opens a frame, or closes its innermost one. */
static void pool_frame(struct mutator *m, struct pooled *p)
{
    struct gc_frame *frame = &p->frames[p->depth];
    size_t n = p->local_space.n;
    if (p->depth && (p->depth == POOL_FRAMES || random_one_in(&m->random, 2))) {
        gc_frame_reset(p->frames[--p->depth].prev);
        p->local_space.n -= POOL_LOCALS;
        return;
    }
    p->depth++;
    p->local_space.n += POOL_LOCALS;
    clear_space(&p->local_space, n);
    *frame = (struct gc_frame){gc_frame_mark(), POOL_LOCALS, NULL, &p->locals[n]};
    gc_frame_reset(frame);
}

/* Objects that nothing else refers to, and others. */
static void pool_fill(struct mutator *m, struct space *s)
{
    for (size_t i = 0; i < space_size(s); i++) {
        struct node *n = random_one_in(&m->random, 2) ? new_node(m) : any_held(m, false);
        if (n)
            hold((struct place){s, i}, n, reference(m, n));
    }
}

static void pool_init(struct pooled *p)
{
    p->depth = 0;
    p->top = p->stack + POOL_STACK;
    p->stack_space = space_make(SPACE_STACK, p->stack, p->stack_shadows, POOL_STACK);
    p->stack_space.top = &p->top;
    p->local_space = space_make(SPACE_PLAIN, p->locals, p->local_shadows, 0);
    clear_space(&p->stack_space, 0);
}

static void pool_make(struct mutator *m, struct pooled *p)
{
    pool_init(p);
    p->last = m->index;
    p->has_words = random_one_in(&m->random, 2);
    UNTIL(p->fiber, gc_fiber_create());
    if (p->has_words && gc_fiber_stack(p->fiber, p->words, p->words + POOL_WORDS) != 0)
        BAD("gc_fiber_stack fails");
    pool_switch(m, NULL, p);
    if (gc_thread_range(p->stack, &p->top) != 0)
        BAD("a fiber is refused a range");
    for (size_t i = random_below(&m->random, POOL_FRAMES); i > 0; i--)
        pool_frame(m, p);
    pool_fill(m, &p->stack_space);
    pool_fill(m, &p->local_space);
    pool_switch(m, p, NULL);
    __atomic_fetch_add(&w.made_fibers, 1, __ATOMIC_RELAXED);
}

/* With what it roots. */
static void pool_destroy(struct pooled *p)
{
    if (gc_fiber_destroy(p->fiber) != 0)
        BAD("a suspended fiber is not destroyed");
    p->fiber = NULL;
    memset(p->words, 0, sizeof p->words);
    memset(p->word_shadows, 0, sizeof p->word_shadows);
    atomic_set(&p->taken, 0);
}

static void pool_grow(struct mutator *m, size_t n)
{
    for (struct pooled *p; n > 0 && (p = pool_take(m, false)); n--)
        pool_make(m, p);
}

static void pool_shrink(struct mutator *m, size_t n)
{
    for (struct pooled *p; n > 0 && (p = pool_take(m, true)); n--)
        pool_destroy(p);
}

/* The thread blocks in the fiber, and a cycle may well claim it there. */
static void pool_work(struct mutator *m, struct pooled *p)
{
    pool_frame(m, p);
    steps(m, random_below(&m->random, 40));
    if (random_one_in(&m->random, 4)) {
        gc_collect_start();
        op_block(m);
    }
    if (gc_thread_detach() != -EBUSY)
        BAD("a thread is detached in a fiber");
    pool_frame(m, p);
}

static void swap_held(struct place a, struct place b)
{
    struct shadow x = a.space->shadows[a.i], y = b.space->shadows[b.i];
    hold(a, y.to, y.word);
    hold(b, x.to, x.word);
}

/* References go from the thread's roots to the fiber's and back, with no safepoint in between. */
static void pool_pass(struct mutator *m, struct pooled *p)
{
    pool_switch(m, NULL, p);
    for (size_t i = 0; i < space_size(&p->stack_space); i++)
        swap_held(any_place(m), (struct place){&p->stack_space, i});
    for (size_t i = 0; i < space_size(&p->local_space); i++)
        swap_held(any_place(m), (struct place){&p->local_space, i});
    pool_switch(m, p, NULL);
}

static void pool_pass_some(struct mutator *m, size_t n)
{
    for (struct pooled *p; n > 0 && (p = pool_take(m, true)); n--)
        pool_pass(m, p);
}

/* Through a few of them. */
static void pool_run(struct mutator *m)
{
    struct pooled *p = pool_take(m, true);
    if (p)
        pool_switch(m, NULL, p);
    while (p) {
        pool_work(m, p);
        struct pooled *next = random_one_in(&m->random, 2) ? pool_take(m, true) : NULL;
        pool_switch(m, p, next);
        p = next;
    }
}

/* A thread that ends in a fiber, attached: it works for another that waits for it, but has roots of
 * its own. */
struct short_life {
    struct mutator *m;
    struct pooled *p;
    shape_word locals[4], *top;
    struct shadow shadows[4];
};

static void *end_in_fiber(void *arg)
{
    struct short_life *life = arg;
    struct mutator *m = life->m;
    struct space s = space_make(SPACE_PLAIN, life->locals, life->shadows, 4);
    while (gc_thread_attach(w.heap) != 0)
        m->refused++;
    if (gc_thread_range(life->locals, &life->top) != 0)
        BAD("a thread is refused a range");
    space_add(m, &s);
    pool_switch(m, NULL, life->p);
    for (size_t i = random_below(&m->random, 20); i > 0; i--) {
        op_new(m);
        op_stack(m);
        pool_frame(m, life->p);
    }
    pool_suspends(m, life->p);
    return NULL;
}

static void pool_abandon(struct mutator *m)
{
    struct space *spaces[SPACES];
    struct short_life life = {.m = m, .p = pool_take(m, true), .top = life.locals + 4};
    unsigned nspaces = m->nspaces;
    pthread_t thread;
    if (!life.p)
        return;
    memcpy(spaces, m->spaces, sizeof spaces);
    m->nspaces = 0;
    gc_blocking_begin();
    if (pthread_create(&thread, NULL, end_in_fiber, &life) != 0 || pthread_join(thread, NULL) != 0)
        BAD("a thread does not start or end");
    gc_blocking_end();
    memcpy(m->spaces, spaces, sizeof spaces);
    m->nspaces = nspaces;
    atomic_set(&life.p->taken, 0);
}

static void op_pool(struct mutator *m)
{
    size_t what = random_below(&m->random, 64);
    if (w.lean)
        return;
    if (what < 2)
        pool_shrink(m, random_below(&m->random, POOL / 2));
    else if (gc_fiber_current() || m->nspaces + 12 > SPACES)
        return;
    else if (what < 4)
        pool_grow(m, random_below(&m->random, POOL / 2));
    else if (what < 5)
        pool_abandon(m);
    else if (what < 53)
        pool_pass_some(m, random_below(&m->random, 16));
    else
        pool_run(m);
}

/* ---- The rest: everybody waits but one, who compares ---- */

static void rest_until(struct mutator *m, uint32_t round)
{
    bool attached = gc_heap_current() != NULL;
    bool polls = attached && m->index <= 2 && round % 2;
    if (attached && !polls)
        gc_blocking_begin();
    pthread_mutex_lock(&w.lock);
    w.running--;
    w.resting += attached;
    pthread_cond_broadcast(&w.changed);
    while (!polls && w.round == round)
        pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    while (polls && atomic_get(&w.round) == round) {
        gc_safepoint();
        nap(m);
    }
    if (attached && !polls)
        gc_blocking_end();
    if (atomic_get(&w.shrink))
        drop_roots(m, 2);
}

static void rest_if_wanted(struct mutator *m)
{
    if (m->index == 0 || !atomic_get(&w.wanted))
        return;
    uint32_t round = atomic_get(&w.round);
    if (atomic_get(&w.wanted) == round + 1)
        rest_until(m, round);
}

static void reach(struct node *n)
{
    if (!n || n->reached == w.rest)
        return;
    n->reached = w.rest;
    n->via = w.via;
    n->via_root = w.via_root;
    if (atomic_get(&n->weak_cleared) && !atomic_get(&n->weak_finalized))
        describe(n, "is reachable though its weak reference was cleared");
    if (w.nwork == w.work_capacity) {
        w.work_capacity = w.work_capacity ? w.work_capacity * 2 : 4096;
        w.work = must(realloc(w.work, w.work_capacity * sizeof(struct node *)));
    }
    w.work[w.nwork++] = n;
}

static void reach_slot(const shape_word *slot, const struct shadow *shadow, const struct node *n)
{
    uint64_t word = load(slot);
    if (word != shadow->word) {
        diag("%llx instead of %llx", (unsigned long long)word, (unsigned long long)shadow->word);
        if (n)
            describe(n, "does not hold what its only writer wrote");
        BAD("a root slot does not hold what was put there");
    }
    reach(shadow->to);
}

static void reach_racy(const shape_word *slot)
{
    reach(node_of_word(load(slot)));
}

/* A live object's value in a weak map is alive, and what the shadow says; and it is still the one
 * of its key in the intern table. */
static void reach_weak(const struct node *n)
{
    for (int i = 0; n->mapped && i < MAPS; i++) {
        const struct shadow *value = &n->mapped[i];
        if (!w.maps[i])
            continue;
        if ((uint64_t)(uintptr_t)gc_weakmap_get(w.maps[i], n->address) != value->word)
            describe(n, "does not have the value in a weak map that its only writer gave it");
        reach(value->to);
    }
    if (atomic_get(&n->interned) && w.intern) {
        uint32_t key = n->intern_key - 1;
        if (gc_intern_get(w.intern, &key, sizeof key, NULL) != n->address)
            describe(n, "is not the interned object of its key any more");
    }
}

static void check_cleanups(const struct node *n)
{
    for (struct cleanup *c = n->cleanups; c; c = c->next) {
        if (atomic_get(&c->state) == CLEANUP_RAN)
            describe(n, "is reachable though its cleanup ran");
    }
}

/* What it refers to; the object itself need not be reachable. */
static void reach_from(struct node *n)
{
    if (!gc_is_object(n->address))
        describe(n, "is gone though it is reachable");
    if (gc_object_size(n->address) < n->shape.size)
        describe(n, "is in a slot too small for it");
    check_intact(n);
    check_cleanups(n);
    for (unsigned i = 0; i < n->used; i++) {
        if (n->racy)
            reach_racy(used_slot(n, i));
        else
            reach_slot(used_slot(n, i), &n->slots[i], n);
    }
}

static void reach_slots(const shape_word *slots, const struct shadow *shadows, size_t n)
{
    for (size_t i = 0; i < n; i++)
        reach_slot(&slots[i], &shadows[i], NULL);
}

static void reach_space(const struct space *s)
{
    reach_slots(s->slots, s->shadows, space_size(s));
}

static void reach_pool(void)
{
    unsigned n = 0;
    for (const struct pooled *p = w.pool; p < w.pool + POOL; p++) {
        if (!p->fiber)
            continue;
        w.via_root = "a range of a pooled fiber";
        reach_space(&p->stack_space);
        w.via_root = "a frame of a pooled fiber";
        reach_space(&p->local_space);
        w.via_root = "the C stack of a pooled fiber";
        reach_slots(p->words, p->word_shadows, POOL_WORDS);
        n++;
    }
    w.most_fibers = n > w.most_fibers ? n : w.most_fibers;
}

static void reach_roots(void)
{
    static const char *const kinds[] = {"a frame or range", "a global or handle", "a stack"};
    w.via = NULL;
    for (unsigned t = 0; t < w.setup.threads; t++) {
        struct mutator *m = &w.mutators[t];
        for (unsigned i = 0; i < m->nspaces; i++) {
            w.via_root = kinds[m->spaces[i]->kind];
            reach_space(m->spaces[i]);
        }
        w.via_root = "a frame of a suspended fiber";
        reach_space(&m->fiber_space);
    }
    w.via_root = "a shared fiber";
    for (int i = 0; i < SHARED_FIBERS; i++)
        reach_slots(w.fibers[i].slots, w.fibers[i].shadows, FIBER_SLOTS);
    reach_pool();
    w.via_root = "a racy root";
    for (int i = 0; i < RACY_GLOBALS; i++)
        reach_racy(&w.globals[i]);
    for (int i = 0; i < RACY_HANDLES; i++)
        reach_racy((shape_word *)(void *)w.handles[i]);
    for (int i = 0; i < RACY_VISITED; i++)
        reach_racy(&w.visited[i]);
}

static void reach_closure(size_t from)
{
    for (size_t i = from; i < w.nwork; i++) {
        w.via = w.work[i];
        reach_from(w.work[i]);
        if (w.work[i]->queued != w.rest)
            reach_weak(w.work[i]);
    }
}

static void each_node(void (*fn)(struct node *))
{
    for (unsigned t = 0; t < w.setup.threads; t++) {
        for (size_t i = 0; i < w.mutators[t].count; i++)
            fn(w.mutators[t].nodes[i]);
    }
}

/* What an object with a finalizer refers to lives, whether the object itself is reachable or not.
 */
static void reach_finalizable(struct node *n)
{
    if (atomic_get(&n->final) != FINAL_SET)
        return;
    size_t from = w.nwork;
    w.via = NULL;
    w.via_root = "an object with a finalizer";
    reach_from(n);
    reach_closure(from);
}

/* With what is in w.queue. */
static void reach_all(void)
{
    w.rest++;
    w.nwork = 0;
    w.via = NULL;
    w.via_root = "the finalizer queue";
    for (size_t i = 0; i < w.nqueue; i++) {
        w.queue[i]->queued = w.rest;
        reach(w.queue[i]);
    }
    reach_roots();
    reach_closure(0);
    each_node(reach_finalizable);
    w.checked += w.nwork;
}

/* An object with a finalizer that was found dead is queued. */
static void note_queued(struct node *n)
{
    if (n->reached == w.rest || atomic_get(&n->final) != FINAL_SET)
        return;
    if (w.nqueue == w.queue_capacity) {
        w.queue_capacity = w.queue_capacity ? w.queue_capacity * 2 : 256;
        w.queue = must(realloc(w.queue, w.queue_capacity * sizeof(struct node *)));
    }
    w.queue[w.nqueue++] = n;
}

/* Its cleanups are due. */
static void free_node(struct node *n)
{
    for (struct cleanup *c = n->cleanups, *next; c; c = next) {
        next = c->next;
        if (atomic_get(&c->state) == CLEANUP_CANCELLED) {
            free(c);
            continue;
        }
        c->next = w.due;
        w.due = c;
    }
    for (int i = 0; i < KNOWN; i++) {
        if (w.known[i] == n)
            w.known[i] = NULL;
    }
    if (n->weak)
        gc_weak_free(n->weak);
    *entry(&w.mutators[n->owner], n->id >> OWNER_BITS, false) = NULL;
    free(n->shape.external);
    free(n->mapped);
    free(n);
}

static int compare_bases(const void *a, const void *b)
{
    uintptr_t x = ((const struct live *)a)->base, y = ((const struct live *)b)->base;
    return (x > y) - (x < y);
}

static struct live *find_live(uintptr_t base)
{
    struct live key = {.base = base};
    return bsearch(&key, w.live, w.nlive, sizeof key, compare_bases);
}

static struct live live_of(const struct node *n)
{
    return (struct live){(uintptr_t)gc_object_base(n->address), gc_object_size(n->address), n,
                         false};
}

static void sort_live(void)
{
    size_t n = 0;
    free(w.live);
    w.live = must(malloc((w.nwork + 1) * sizeof *w.live));
    for (size_t i = 0; i < w.nwork; i++)
        w.live[i] = live_of(w.work[i]);
    qsort(w.live, w.nwork, sizeof *w.live, compare_bases);
    for (size_t i = 0; i < w.nwork; i++) {
        if (n == 0 || w.live[i].base != w.live[n - 1].base)
            w.live[n++] = w.live[i];
    }
    w.nlive = n;
}

/* An unreachable object is still where it was; its slot may have a new tenant. */
static bool is_there(const struct node *n)
{
    uintptr_t base = (uintptr_t)gc_object_base(n->address);
    return base && !find_live(base);
}

/* A node that the shadow does not reach. True: it is gone, as it should be. */
static bool check_dead(const struct node *n)
{
    bool there = is_there(n);
    if (n->weak && !there && gc_weak_get(n->weak))
        describe(n, "is dead but its weak reference is not");
    if (w.setup.mode == CONSERVATIVE) {
        /* A stale word may keep it, and all it refers to; or a younger one in its slot. */
        const shape_word *words = (const shape_word *)(void *)n->address;
        there = there && (is_small(n) || words[0] == n->id);
        if (there && !is_small(n))
            check_intact(n);
        w.kept += there;
        return !there;
    }
    if (there)
        describe(n, "is unreachable but still there after a collection");
    return true;
}

static void compare_stats(void)
{
    struct gc_statistics stats;
    uint64_t objects = w.nlive - w.nqueue, bytes = 0, external = 0;
    CHECK(gc_stats(&stats) == 0);
    for (size_t i = 0; i < w.nlive; i++)
        bytes += w.live[i].size;
    for (size_t i = 0; i < w.nwork; i++)
        external += w.work[i]->external;
    if (stats.external < external || (w.setup.mode != CONSERVATIVE && stats.external > external))
        BAD("%llu bytes outside the heap are told of, objects own %llu",
            (unsigned long long)stats.external, (unsigned long long)external);
    if (stats.heap_live != stats.allocated_bytes - stats.freed_bytes)
        BAD("heap_live %llu is not what was allocated and not freed: %llu",
            (unsigned long long)stats.heap_live,
            (unsigned long long)(stats.allocated_bytes - stats.freed_bytes));
    if (w.setup.mode == CONSERVATIVE) {
        if (stats.heap_live < bytes)
            BAD("heap_live is less than what is reachable");
        return;
    }
    if (stats.objects_marked != objects)
        BAD("%llu objects were marked, %llu are reachable",
            (unsigned long long)stats.objects_marked, (unsigned long long)objects);
    if (stats.heap_live != bytes)
        BAD("heap_live is %llu, what is reachable has %llu bytes",
            (unsigned long long)stats.heap_live, (unsigned long long)bytes);
}

/* ---- Walks of the heap ---- */

struct heap_walk {
    size_t n, limit;
    uint64_t bytes;
    const char *wrong; /* about the object at `address` */
    uintptr_t address;
};

static const char *wrong_with(const struct gc_object *o, struct live *live)
{
    if (!live)
        return w.setup.mode == CONSERVATIVE ? NULL : "is not reachable";
    const struct shape *s = &live->node->shape;
    if (live->seen)
        return "comes twice";
    live->seen = true;
    if (o->size != live->size)
        return "has another size";
    if (o->has_pointers != shape_is_scanned(s))
        return "is, or is not, to have references";
    return o->type && o->type != s->layout->type ? "has another type" : NULL;
}

/* The world is held: nothing of the heap may be used. */
static bool come_by(void *arg, const struct gc_object *o)
{
    struct heap_walk *walk = arg;
    const char *wrong = wrong_with(o, find_live((uintptr_t)o->address));
    if (wrong && !walk->wrong) {
        walk->wrong = wrong;
        walk->address = (uintptr_t)o->address;
    }
    walk->bytes += o->size;
    return ++walk->n != walk->limit;
}

static struct heap_walk walk_heap(size_t limit)
{
    struct heap_walk walk = {.limit = limit};
    for (size_t i = 0; i < w.nlive; i++)
        w.live[i].seen = false;
    if (gc_heap_each(come_by, &walk) != 0)
        BAD("gc_heap_each fails");
    if (walk.wrong)
        BAD("gc_heap_each: the object at %p %s", (void *)walk.address, walk.wrong);
    return walk;
}

/* The walk comes by every object, and ends when it is told to. */
static void compare_walk(void)
{
    struct heap_walk walk = walk_heap(0);
    size_t limit = w.nlive / 2;
    if (w.setup.mode != CONSERVATIVE && walk.n != w.nlive)
        BAD("gc_heap_each finds %zu objects instead of %zu", walk.n, w.nlive);
    for (size_t i = 0; i < w.nlive; i++) {
        if (!w.live[i].seen)
            describe(w.live[i].node, "is not found by gc_heap_each");
    }
    if (limit && (walk = walk_heap(limit)).n != limit)
        BAD("gc_heap_each goes on to %zu objects, not %zu", walk.n, limit);
}

/* What there is in the class of the row, as far as the shadow knows. */
static struct gc_census expected_row(const struct gc_census *row)
{
    struct gc_census sum = {row->size, row->has_pointers, 0, 0, NULL};
    for (size_t i = 0; i < w.nlive; i++) {
        const struct live *live = &w.live[i];
        size_t class = live->size > LARGEST_SMALL ? 0 : live->size;
        if (class != row->size || shape_is_scanned(&live->node->shape) != row->has_pointers)
            continue;
        sum.objects++;
        sum.bytes += live->size;
    }
    return sum;
}

/* The shadow does not go by types. */
static size_t merge_rows(struct gc_census *rows, size_t n)
{
    size_t kept = 0;
    for (size_t i = 0, j; i < n; i++) {
        for (j = 0; j < kept; j++) {
            if (rows[j].size == rows[i].size && rows[j].has_pointers == rows[i].has_pointers)
                break;
        }
        if (j == kept) {
            rows[kept++] = rows[i];
        } else {
            rows[j].objects += rows[i].objects;
            rows[j].bytes += rows[i].bytes;
        }
    }
    return kept;
}

static void compare_census(void)
{
    static struct gc_census rows[8192];
    int found = gc_heap_census(rows, sizeof rows / sizeof rows[0]);
    if (found < 0)
        BAD("gc_heap_census fails");
    size_t n = merge_rows(rows, (size_t)found), objects = 0;
    for (size_t i = 0; i < n; i++) {
        struct gc_census expected = expected_row(&rows[i]);
        bool more = rows[i].objects > expected.objects || rows[i].bytes > expected.bytes;
        bool fewer = rows[i].objects < expected.objects || rows[i].bytes < expected.bytes;
        if (fewer || (more && w.setup.mode != CONSERVATIVE))
            BAD("gc_heap_census: %llu objects of size %zu with %llu bytes instead of %llu, %llu",
                (unsigned long long)rows[i].objects, rows[i].size,
                (unsigned long long)rows[i].bytes, (unsigned long long)expected.objects,
                (unsigned long long)expected.bytes);
        objects += expected.objects;
    }
    if (objects != w.nlive)
        BAD("gc_heap_census leaves out %zu objects", w.nlive - objects);
}

/* Finalizers wait, and nobody else runs. */
static void compare_walks(void)
{
    if (w.rest % 3 == 0)
        compare_census();
    if (w.rest % 3 == 1)
        compare_walk();
}

static void sort_out_dead(void)
{
    for (unsigned t = 0; t < w.setup.threads; t++) {
        struct mutator *m = &w.mutators[t];
        size_t kept = 0;
        for (size_t i = 0; i < m->count; i++) {
            struct node *n = m->nodes[i];
            if (n->reached == w.rest || !check_dead(n))
                m->nodes[kept++] = n;
            else
                free_node(n);
        }
        w.freed += m->count - kept;
        m->count = kept;
    }
}

static void heap_callback(void *arg, gc_tracer *tracer)
{
    gc_trace_slots(tracer, arg, RACY_VISITED);
}

/* No entry of a weak map is one too many. */
static void compare_map(unsigned map)
{
    size_t position = 0, n = 0, expected = 0;
    void *key, *value;
    for (size_t i = 0; i < w.nwork; i++) {
        const struct node *at = w.work[i];
        expected += at->queued != w.rest && at->mapped && at->mapped[map].word;
    }
    while (gc_weakmap_next(w.maps[map], &position, &key, &value))
        n++;
    if (n < expected || (w.setup.mode != CONSERVATIVE && n > expected))
        BAD("a weak map gives %zu entries instead of %zu", n, expected);
    if (gc_weakmap_count(w.maps[map]) < n)
        BAD("a weak map counts fewer entries than it gives");
}

static void wait_while(bool (*goes_on)(void))
{
    while (goes_on()) {
        struct timespec t = {0, 1000 * 1000};
        gc_blocking_begin();
        nanosleep(&t, NULL);
        gc_blocking_end();
    }
}

/* The library's thread is attached while it has something to run. */
static bool final_thread_works(void)
{
    struct gc_statistics stats;
    CHECK(gc_stats(&stats) == 0);
    return gc_finalizers_pending() > 0 || stats.threads != 1 + w.resting;
}

static bool some_due(void)
{
    for (struct cleanup *c = w.due; c; c = c->next) {
        if (atomic_get(&c->state) != CLEANUP_RAN)
            return true;
    }
    return false;
}

static bool some_queued(void)
{
    if (w.setup.mode == CONSERVATIVE)
        return false;
    for (size_t i = 0; i < w.nqueue; i++) {
        if (atomic_get(&w.queue[i]->finals) == w.queue[i]->queued)
            return true;
    }
    return false;
}

static void run_finalizers(void)
{
    gc_finalizers_run(0);
    if (w.final_thread)
        wait_while(final_thread_works);
}

/* What should be in the queue is run, once. */
static void check_queue(void)
{
    for (size_t i = 0; i < w.nqueue; i++)
        w.queue[i]->queued = atomic_get(&w.queue[i]->finals);
    pthread_mutex_unlock(&w.final_lock);
    run_finalizers();
    if (w.final_thread) {
        wait_while(some_due);
        wait_while(some_queued);
    }
    if (some_due())
        BAD("a cleanup of a dead object does not run");
    if (some_queued())
        BAD("the finalizer of a dead object does not run");
    for (size_t i = 0; i < w.nqueue; i++) {
        if (atomic_get(&w.queue[i]->finals) > w.queue[i]->queued + 1)
            describe(w.queue[i], "is finalized twice");
        w.queue[i]->queued = 0;
    }
    for (struct cleanup *c; (c = w.due) != NULL;) {
        w.due = c->next;
        free(c);
    }
    w.nqueue = 0;
}

static void lock_finals(void)
{
    gc_blocking_begin();
    pthread_mutex_lock(&w.final_lock);
    gc_blocking_end();
}

/* Cycles of references through an object with a finalizer would stay. */
static void clear_finalizable(struct node *n)
{
    if (atomic_get(&n->final) != FINAL_SET)
        return;
    for (unsigned i = 0; i < n->used; i++) {
        store(used_slot(n, i), 0);
        n->slots[i] = (struct shadow){0, NULL};
    }
}

/* All other threads rest. The first collection ends what was under way, so that all who died till
 * then are out of the queue. */
static void compare(void)
{
    struct gc_statistics stats;
    CHECK(gc_collect() == 0);
    run_finalizers();
    lock_finals();
    reach_all();
    CHECK(gc_collect() == 0);
    each_node(note_queued);
    reach_all();
    sort_live();
    compare_stats();
    compare_walks();
    for (unsigned i = 0; i < MAPS; i++) {
        if (w.maps[i])
            compare_map(i);
    }
    sort_out_dead();
    check_queue();
    if (w.rest % 8 == 0 && gc_heap_verify() != 0)
        BAD("gc_heap_verify finds fault");
    gc_stats(&stats);
    bool shrink = stats.heap_live > (uint64_t)24 << 20 || w.nwork > 100 * 1000;
    atomic_set(&w.shrink, shrink);
    lock_finals();
    if (shrink || atomic_get(&w.over))
        each_node(clear_finalizable);
    pthread_mutex_unlock(&w.final_lock);
}

static void rest_of_all(struct mutator *m)
{
    atomic_set(&w.wanted, w.round + 1);
    gc_blocking_begin();
    pthread_mutex_lock(&w.lock);
    while (w.running > 0)
        pthread_cond_wait(&w.changed, &w.lock);
    pthread_mutex_unlock(&w.lock);
    gc_blocking_end();
    compare();
    pthread_mutex_lock(&w.lock);
    w.running = w.setup.threads - 1;
    w.resting = 0;
    atomic_set(&w.round, w.round + 1);
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    if (atomic_get(&w.shrink)) {
        drop_roots(m, 2);
        pool_shrink(m, POOL / 2);
    }
}

/* ---- A thread ---- */

static void step(struct mutator *m)
{
    rest_if_wanted(m);
    m->operations++;
    size_t what = random_below(&m->random, 1000);
    if (what < 400)
        op_new(m);
    else if (what < 560)
        op_link(m);
    else if (what < 640)
        op_link_racy(m);
    else if (what < 690)
        op_publish(m);
    else if (what < 750)
        op_take(m);
    else if (what < 830)
        op_walk(m);
    else if (what < 870)
        op_copy(m);
    else if (what < 900)
        op_stack(m);
    else if (what < 905)
        op_root(m);
    else if (what < 912)
        op_unroot(m);
    else if (what < 935)
        op_weak(m);
    else if (what < 940)
        op_block(m);
    else if (what < 942)
        op_collect(m);
    else if (what < 950)
        op_deep(m);
    else if (what < 956)
        op_fiber(m);
    else if (what < 958)
        op_fiber_frame(m);
    else if (what < 959 && w.setup.mode == CONSERVATIVE)
        random_one_in(&m->random, 2) ? op_hold_on_stack(m) : op_keep_alive(m);
    else if (what < 962)
        drop_roots(m, 3);
    else if (what < 967)
        op_final(m);
    else if (what < 970)
        op_cleanup(m);
    else if (what < 973)
        op_external(m);
    else if (what < 976)
        op_run_finalizers(m);
    else if (what < 988)
        op_map(m);
    else if (what < 990)
        op_intern(m);
    else if (what < 996)
        op_pool(m);
    else
        gc_safepoint();
}

static void thread_callback(void *arg, gc_tracer *tracer)
{
    const shape_word *slots = arg;
    gc_trace_slot(tracer, &slots[0]);
    gc_trace_slots(tracer, &slots[1], 6);
    if (w.setup.format == PLAIN)
        gc_trace_ref(tracer, (void *)(uintptr_t)slots[7]);
    else
        gc_trace_slot(tracer, &slots[7]);
}

/* Roots that a thread has while it is attached. */
static struct session {
    shape_word locals[LOCALS], stack[STACK], visited[8], local[8];
    struct shadow shadows[LOCALS], stack_shadows[STACK], visited_shadows[8], local_shadows[8];
    struct space space, stack_space, visited_space, local_space;
} sessions[MUTATORS];

/* Thread 0 may have kept the root since its last session. */
static void add_rooted(struct mutator *m, struct space *s, int error)
{
    if (error == 0 || error == -EEXIST)
        space_add(m, s);
    else if (error == -ENOMEM)
        m->refused++;
    else
        BAD("a root is refused with %d", error);
}

static void session_begin(struct mutator *m, struct session *s)
{
    memset(s->shadows, 0, sizeof s->shadows);
    memset(s->stack_shadows, 0, sizeof s->stack_shadows);
    memset(s->visited_shadows, 0, sizeof s->visited_shadows);
    memset(s->local_shadows, 0, sizeof s->local_shadows);
    m->top = s->stack;
    s->space = space_make(SPACE_PLAIN, s->locals, s->shadows, LOCALS);
    s->stack_space = space_make(SPACE_STACK, s->stack, s->stack_shadows, STACK);
    s->stack_space.top = &m->top;
    s->visited_space = space_make(SPACE_PLAIN, s->visited, s->visited_shadows, 8);
    s->local_space = space_make(SPACE_PLAIN, s->local, s->local_shadows, 8);
    space_add(m, &s->space);
    add_rooted(m, &s->stack_space, gc_thread_range(s->stack, &m->top));
    add_rooted(m, &s->visited_space, gc_root_callback(GC_ROOT_THREAD, thread_callback, s->visited));
    add_rooted(m, &s->local_space, gc_thread_local_range(s->local, sizeof s->local));
    m->fiber = gc_fiber_create();
}

/* Owned spaces survive the session; what remains rooted of the others is empty. */
static void session_end(struct mutator *m, struct session *s)
{
    unsigned kept = 0;
    for (unsigned i = 0; i < m->nspaces; i++) {
        struct space *one = m->spaces[i];
        if (one == &s->stack_space && random_one_in(&m->random, 2))
            CHECK(gc_thread_range_remove(s->stack) == 0);
        if (one == &s->visited_space && random_one_in(&m->random, 2))
            CHECK(gc_root_callback_remove(thread_callback, s->visited) == 0);
        if (one->owned)
            m->spaces[kept++] = one;
    }
    m->nspaces = kept;
    memset(s->locals, 0, sizeof s->locals);
    memset(s->stack, 0, sizeof s->stack);
    memset(s->visited, 0, sizeof s->visited);
    memset(s->local, 0, sizeof s->local);
    if (m->fiber)
        CHECK(gc_fiber_destroy(m->fiber) == 0);
    m->fiber = NULL;
}

static bool is_over(const struct mutator *m)
{
    return atomic_get(&w.over) || m->made == (uint64_t)CHUNK * CHUNKS;
}

/* Steps of a session; longjmp lands here. */
static void session_steps(struct mutator *m, struct session *s, size_t n)
{
    struct gc_frame *mark = gc_frame_mark();
    if (setjmp(m->base)) {
        gc_frame_reset(mark);
        /* The spaces of the frames that were left are no roots any more. */
        unsigned kept = 0;
        for (unsigned i = 0; i < m->nspaces; i++) {
            struct space *one = m->spaces[i];
            if (one->owned || one == &s->space || one == &s->stack_space ||
                one == &s->visited_space || one == &s->local_space)
                m->spaces[kept++] = one;
        }
        m->nspaces = kept;
        m->depth = 0;
    }
    for (uint64_t end = m->operations + n; m->operations < end && !is_over(m);)
        step(m);
}

static bool attach(struct mutator *m)
{
    while (gc_thread_attach(w.heap) != 0) {
        m->refused++;
        rest_if_wanted(m);
        if (is_over(m))
            return false;
    }
    return true;
}

static void *run_thread(void *arg)
{
    struct mutator *m = arg;
    struct session *s = &sessions[m->index];
    while (!is_over(m)) {
        rest_if_wanted(m);
        if (!attach(m))
            break;
        session_begin(m, s);
        {
            GC_FRAME_ARRAY(s->locals, LOCALS);
            session_steps(m, s, 200 + random_below(&m->random, 20000));
        }
        if (is_over(m))
            drop_owned(m, 0, 1);
        session_end(m, s);
        if (is_over(m) && random_one_in(&m->random, 2))
            break; /* a thread may end attached */
        CHECK(gc_thread_detach() == 0);
    }
    pthread_mutex_lock(&w.lock);
    w.running--;
    pthread_cond_broadcast(&w.changed);
    pthread_mutex_unlock(&w.lock);
    return NULL;
}

/* ---- A run ---- */

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_heap(uint64_t *random)
{
    static const unsigned flags[] = {0, GC_STOP_WORLD, GC_NO_BACKGROUND, GC_STACK_CONSERVATIVE};
    gc_options o = {.flags = flags[w.setup.mode], .debug = w.setup.debug};
    if (random_one_in(random, 3))
        o.flags |= GC_FINALIZER_THREAD;
    if (random_one_in(random, 8))
        o.flags |= GC_HUGE_PAGES;
    if (w.setup.mode != CONCURRENT && random_one_in(random, 4))
        o.flags |= GC_NO_BACKGROUND;
    if (w.setup.mode == CONSERVATIVE && random_one_in(random, 4))
        o.flags |= GC_STOP_WORLD;
    w.final_thread = o.flags & GC_FINALIZER_THREAD;
    o.percent = 20 + (int)random_below(random, 200);
    o.min_heap = (size_t)1 << (16 + random_below(random, 7));
    o.max_procs = (unsigned)random_below(random, 5);
    o.mark_workers = (unsigned)random_below(random, 4);
    if (random_one_in(random, 4))
        o.reserve = (size_t)1 << 31;
    if (w.setup.format != PLAIN)
        o.format = formats[w.setup.format];
    o.watchdog_ms = 20000;
    w.lean = random_one_in(random, 3);
    diag("flags 0x%x, percent %d, min_heap %zu, max_procs %u, mark_workers %u, reserve %zu%s",
         o.flags, o.percent, o.min_heap, o.max_procs, o.mark_workers, o.reserve,
         w.lean ? ", lean" : "");
    UNTIL(w.heap, gc_heap_create(&o));
}

static void make_shared(void)
{
    static const struct gc_intern_ops ops = {intern_hash, intern_equal, intern_make};
    for (int i = 0; i < MAPS; i++)
        UNTIL(w.maps[i], gc_weakmap_new());
    UNTIL(w.intern, gc_intern_new(&ops));
    CHECK(gc_root_range(w.globals, RACY_GLOBALS) == 0);
    if (w.lean)
        CHECK(gc_root_range(w.visited, RACY_VISITED) == 0);
    else
        CHECK(gc_root_callback(GC_ROOT_HEAP, heap_callback, w.visited) == 0);
    for (int i = 0; i < RACY_HANDLES; i++)
        UNTIL(w.handles[i], gc_handle_new(NULL));
    for (int i = 0; i < SHARED_FIBERS && !w.lean; i++) {
        struct shared_fiber *f = &w.fibers[i];
        UNTIL(f->fiber, gc_fiber_create());
        f->top = f->slots + FIBER_SLOTS;
        gc_fiber_switch(f->fiber);
        CHECK(gc_thread_range(f->slots, &f->top) == 0);
        gc_fiber_switch(NULL);
    }
}

static void drop_shared(void)
{
    lock_finals();
    for (int i = 0; i < MAPS; i++) {
        gc_weakmap_free(w.maps[i]);
        w.maps[i] = NULL;
    }
    pthread_mutex_unlock(&w.final_lock);
    gc_intern_free(w.intern);
    w.intern = NULL;
    for (int i = 0; i < SHARED_FIBERS && !w.lean; i++) {
        CHECK(gc_fiber_destroy(w.fibers[i].fiber) == 0);
        memset(&w.fibers[i], 0, sizeof w.fibers[i]);
    }
    for (int i = 0; i < POOL; i++) {
        if (w.pool[i].fiber)
            pool_destroy(&w.pool[i]);
    }
    for (int i = 0; i < RACY_HANDLES; i++)
        store((shape_word *)(void *)w.handles[i], 0);
    gc_clear(w.globals, sizeof w.globals);
    gc_clear(w.visited, sizeof w.visited);
}

/* Thread 0 takes part, and ends rounds. */
static void lead(struct mutator *m)
{
    struct session *s = &sessions[0];
    while (w.rest < w.setup.rests && !is_over(m)) {
        session_begin(m, s);
        {
            GC_FRAME_ARRAY(s->locals, LOCALS);
            if (w.rest == 0 && !w.lean)
                pool_grow(m, POOL / 2);
            session_steps(m, s, 200 + random_below(&m->random, 3000));
            rest_of_all(m);
        }
        session_end(m, s);
    }
    drop_owned(m, 0, 1);
}

static uint64_t nodes_left(void)
{
    uint64_t n = 0;
    for (unsigned t = 0; t < w.setup.threads; t++)
        n += w.mutators[t].count;
    return n;
}

/* Nothing is reachable at the end, once finalizers have run from the outside to the inside. */
static void check_empty(void)
{
    struct gc_statistics stats;
    for (int i = 0; i < 40; i++) {
        compare();
        if (nodes_left() == 0)
            break;
    }
    wait_while(final_thread_works);
    if (w.setup.mode == CONSERVATIVE)
        return;
    compare();
    CHECK(gc_stats(&stats) == 0);
    CHECK_EQ(nodes_left(), 0);
    CHECK_EQ(stats.heap_live, 0);
    CHECK_EQ(stats.objects_marked, 0);
}

static void say_results(void)
{
    struct gc_statistics stats;
    uint64_t operations = 0, refused = 0, made = 0;
    CHECK(gc_stats(&stats) == 0);
    for (unsigned i = 0; i < w.setup.threads; i++) {
        operations += w.mutators[i].operations;
        refused += w.mutators[i].refused;
        made += w.mutators[i].made;
    }
    diag("%llu operations, %llu objects, %u rests, %llu checked, %llu freed, %llu kept, %llu "
         "finalized, %llu cleaned up, %llu refused, %llu cycles, %llu Ps",
         (unsigned long long)operations, (unsigned long long)made, w.rest,
         (unsigned long long)w.checked, (unsigned long long)w.freed, (unsigned long long)w.kept,
         (unsigned long long)w.finalized, (unsigned long long)w.cleaned,
         (unsigned long long)refused, (unsigned long long)stats.cycles,
         (unsigned long long)stats.procs);
    diag("%llu fibers, %u at once, %llu times moved to another thread",
         (unsigned long long)w.made_fibers, w.most_fibers, (unsigned long long)w.moved_fibers);
}

/* The words that repeat it. */
static void describe_run(char *text, size_t size, const struct setup *setup)
{
    const char *debug = getenv("GCHEAP_DEBUG");
    snprintf(text, size, "%s%s%sshadow seed=%llu threads=%u rests=%u mode=%s format=%s%s%s",
             debug ? "GCHEAP_DEBUG=" : "", debug ? debug : "", debug ? " " : "",
             (unsigned long long)setup->seed, setup->threads, setup->rests, mode_names[setup->mode],
             format_names[setup->format], *setup->debug ? " debug=" : "", setup->debug);
}

static void run(struct setup setup)
{
    uint64_t random = setup.seed;
    w.setup = setup;
    describe_run(replay, sizeof replay, &setup);
    diag("%s", replay);
    pthread_mutex_init(&w.lock, NULL);
    pthread_mutex_init(&w.final_lock, NULL);
    pthread_cond_init(&w.changed, NULL);
    layouts_init(random_next(&random));
    make_heap(&random);
    make_shared();
    w.running = setup.threads - 1;
    for (unsigned i = 0; i < setup.threads; i++) {
        struct mutator *m = &w.mutators[i];
        m->index = i;
        m->random = random_next(&random);
        if (i > 0)
            CHECK(pthread_create(&m->thread, NULL, run_thread, m) == 0);
    }
    lead(&w.mutators[0]);
    atomic_set(&w.over, 1);
    gc_blocking_begin();
    for (unsigned i = 1; i < setup.threads; i++)
        CHECK(pthread_join(w.mutators[i].thread, NULL) == 0);
    gc_blocking_end();
    for (unsigned i = 1; i < setup.threads; i++)
        drop_owned(&w.mutators[i], 0, 1); /* the end may have come between two sessions */
    drop_shared();
    check_empty();
    say_results();
    CHECK_EQ(gc_heap_destroy(w.heap), 0);
}

/* ---- Which runs there are ---- */

static uint64_t default_seed(void)
{
    struct timespec t;
    const char *given = getenv("GCHEAP_SEED");
    clock_gettime(CLOCK_REALTIME, &t);
    return given ? strtoull(given, NULL, 0)
                 : (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct setup default_setup(void)
{
    const char *rests = getenv("GCHEAP_STRESS_RESTS");
    uint64_t seed = default_seed();
    return (struct setup){seed, 4, rests ? (unsigned)atoi(rests) : 8, CONCURRENT, seed % 3, ""};
}

static void run_as(unsigned threads, enum mode mode, enum format format)
{
    struct setup setup = default_setup();
    setup.threads = threads;
    setup.mode = mode;
    setup.format = format;
    run(setup);
}

static void run_delayed(unsigned threads)
{
    struct setup setup = default_setup();
    setup.threads = threads;
    snprintf(setup.debug, sizeof setup.debug, "delay=%u", (unsigned)(setup.seed % 1000000) + 1);
    run(setup);
}

TEST(one_thread)
{
    run_as(1, CONCURRENT, PLAIN);
}
TEST(two_threads)
{
    run_as(2, CONCURRENT, PLAIN);
}
TEST(four_threads)
{
    run_as(4, CONCURRENT, PLAIN);
}
TEST(eight_threads)
{
    run_as(8, CONCURRENT, PLAIN);
}
TEST(many_threads)
{
    run_as(32, CONCURRENT, PLAIN);
}
TEST(tagged_one)
{
    run_as(1, CONCURRENT, TAGGED);
}
TEST(tagged_four)
{
    run_as(4, CONCURRENT, TAGGED);
}
TEST(boxed_two)
{
    run_as(2, CONCURRENT, BOXED);
}
TEST(boxed_eight)
{
    run_as(8, CONCURRENT, BOXED);
}
TEST(delayed_two)
{
    run_delayed(2);
}
TEST(delayed_eight)
{
    run_delayed(8);
}
TEST(stop_one)
{
    run_as(1, STOP, PLAIN);
}
TEST(stop_two)
{
    run_as(2, STOP, TAGGED);
}
TEST(stop_eight)
{
    run_as(8, STOP, BOXED);
}
TEST(stop_many)
{
    run_as(32, STOP, PLAIN);
}
TEST(alone_one)
{
    run_as(1, ALONE, PLAIN);
}
TEST(alone_four)
{
    run_as(4, ALONE, BOXED);
}
TEST(conservative_one)
{
    run_as(1, CONSERVATIVE, PLAIN);
}
TEST(conservative_four)
{
    run_as(4, CONSERVATIVE, PLAIN);
}
TEST(conservative_many)
{
    run_as(32, CONSERVATIVE, TAGGED);
}

static int lookup(const char *value, const char *const *names, int n)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(value, names[i]) == 0)
            return i;
    }
    fprintf(stderr, "shadow: %s?\n", value);
    exit(2);
}

static void set_option(struct setup *s, const char *name, const char *value)
{
    if (strcmp(name, "seed") == 0) {
        s->seed = strtoull(value, NULL, 0);
        s->format = s->seed % 3;
    } else if (strcmp(name, "threads") == 0) {
        s->threads = (unsigned)atoi(value);
    } else if (strcmp(name, "rests") == 0) {
        s->rests = (unsigned)atoi(value);
    } else if (strcmp(name, "mode") == 0) {
        s->mode = (enum mode)lookup(value, mode_names, 4);
    } else if (strcmp(name, "format") == 0) {
        s->format = (enum format)lookup(value, format_names, 3);
    } else if (strcmp(name, "debug") == 0) {
        snprintf(s->debug, sizeof s->debug, "%s", value);
    } else {
        fprintf(stderr, "shadow: %s?\n", name);
        exit(2);
    }
}

/* ---- Rounds of random configurations ---- */

static void add_switch(char *debug, size_t size, const char *name, uint64_t value)
{
    size_t n = strlen(debug);
    snprintf(debug + n, size - n, "%s%s=%llu", n ? "," : "", name, (unsigned long long)value);
}

static struct setup random_setup(uint64_t *random)
{
    static const unsigned threads[] = {1, 2, 2, 3, 4, 4, 6, 8, 8, 16, 32};
    struct setup s = default_setup();
    s.seed = random_next(random) >> 16;
    s.threads = threads[random_below(random, sizeof threads / sizeof threads[0])];
    s.rests = 4 + (unsigned)random_below(random, 16);
    s.mode = random_one_in(random, 2) ? CONCURRENT : (enum mode)random_below(random, 4);
    s.format = (enum format)random_below(random, 3);
    if (random_one_in(random, 2))
        add_switch(s.debug, sizeof s.debug, "delay", 1 + random_below(random, 1000000));
    if (random_one_in(random, 4))
        add_switch(s.debug, sizeof s.debug, "nth", 20 + random_below(random, 500));
    if (random_one_in(random, 3))
        add_switch(s.debug, sizeof s.debug, "buffers", 1 + random_below(random, 4));
    if (random_one_in(random, 6))
        add_switch(s.debug, sizeof s.debug, "failos", 3 + random_below(random, 20));
    if (random_one_in(random, 3))
        add_switch(s.debug, sizeof s.debug, "poison", 1);
    if (random_one_in(random, 2))
        add_switch(s.debug, sizeof s.debug, "verify", 1);
    if (random_one_in(random, 2))
        add_switch(s.debug, sizeof s.debug, "checkmark", 1);
    return s;
}

static struct setup the_round;
static void run_round(void)
{
    run(the_round);
}

/* Until both are over. */
struct stress {
    uint64_t rounds;
    double seconds;
};

static int run_rounds(uint64_t seed, struct stress much)
{
    double end = now() + much.seconds;
    uint64_t random = seed;
    tap_begin();
    diag("GCHEAP_SEED=%llu", (unsigned long long)seed);
    for (uint64_t round = 0; round < much.rounds || now() < end; round++) {
        char name[256];
        the_round = random_setup(&random);
        describe_run(name, sizeof name, &the_round);
        struct tap_test test = {name, run_round, NULL};
        tap_run(&test);
    }
    return tap_end();
}

static void need_threads(const struct setup *setup)
{
    if (setup->threads < 1 || setup->threads > MUTATORS) {
        fprintf(stderr, "shadow: 1 to %d threads\n", MUTATORS);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    bool rounds = argc > 1 && strcmp(argv[1], "stress") == 0;
    if (!rounds && (argc < 2 || !strchr(argv[1], '=')))
        return tap_main(argc > 1 ? argv[1] : "");
    struct setup setup = default_setup();
    struct stress much = {0};
    for (int i = 1 + rounds; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value)
            lookup(argv[i], NULL, 0);
        *value++ = 0;
        if (rounds && strcmp(argv[i], "seconds") == 0)
            much.seconds = atof(value);
        else if (rounds && strcmp(argv[i], "rounds") == 0)
            much.rounds = (uint64_t)atoi(value);
        else
            set_option(&setup, argv[i], value);
    }
    if (rounds)
        return run_rounds(setup.seed, much);
    need_threads(&setup);
    run(setup);
    printf("ok 1 - %s\n1..1\n", replay);
    return 0;
}
