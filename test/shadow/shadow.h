/* The shadow graph. Threads allocate, link, hand over and drop objects at random. Outside the heap
 * the test keeps a shadow of each object: its id (which is never used twice), shape and references,
 * its weak reference, its entries in weak maps and in the intern table, its finalizer, its
 * cleanups, and the bytes that it owns outside the heap.
 *
 * Now and then all threads rest, and heap and shadow are compared. An object that the shadow
 * reaches must be there, be intact, and hold what it should. Any other must be gone after one
 * collection, or wait for its finalizer. The walks of the heap must find exactly these objects.
 *
 * A thread writes only the objects that it made, so its shadow of them is exact. It also reads and
 * writes "racy" places: rooted globals, handles, slots visited by a heap callback, and objects that
 * any thread may write. The stamp of an object tells which object a racy place refers to. Hundreds
 * of fibers are made, go from thread to thread, and are destroyed with what they root.
 *
 * main.c says how the program is called. A run (run.c) has a heap and threads, whose sessions
 * (session.c) are made of random steps (step.c). The operations of the steps are in object.c,
 * weak.c, final.c, blocking.c, fiber.c and pool.c, above nodes (node.c) and root slots (root.c). At
 * a rest (rest.c) the shadow is traced (reach.c) and compared with the heap (compare.c, walk.c).
 */
#ifndef SHADOW_H
#define SHADOW_H

#include "layout.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <time.h>

#include "tap.h"

#define MUTATORS 32

enum mode { CONCURRENT, STOP, ALONE, CONSERVATIVE };
enum format { PLAIN, TAGGED, BOXED };
/* Value formats are for 64-bit hosts. */
#define FORMATS (sizeof(void *) == sizeof(uint64_t) ? 3u : 1u)

struct setup {
    uint64_t seed;
    unsigned threads;
    unsigned rests; /* how often all rest, and are compared */
    enum mode mode;
    enum format format;
    char debug[96];
};

/* ---- Nodes: what the test knows of an object ---- */

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

/* ---- Roots ---- */

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

/* A root slot. */
struct place {
    struct space *space;
    size_t i;
};

/* ---- Threads and fibers ---- */

#define SPACES 64
#define CHUNK 4096
#define CHUNKS 16384

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
    /* To its owner, an object that the test roots; NULL: it has none. */
    gc_handle *owner;
    struct shadow owner_shadow;
    /* Its range. */
    shape_word stack[POOL_STACK], *top;
    struct shadow stack_shadows[POOL_STACK];
    struct space stack_space;
    /* Its frames, as many as are open. */
    struct gc_frame_array frames[POOL_FRAMES];
    unsigned depth;
    shape_word locals[POOL_FRAMES * POOL_LOCALS];
    struct shadow local_shadows[POOL_FRAMES * POOL_LOCALS];
    struct space local_space;
    /* Its C stack: has references while the fiber is suspended. */
    bool has_words;
    shape_word words[POOL_WORDS];
    struct shadow word_shadows[POOL_WORDS];
};

/* ---- All of it ---- */

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

extern struct world {
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

#define atomic_get(p) __atomic_load_n((p), __ATOMIC_ACQUIRE)
#define atomic_set(p, v) __atomic_store_n((p), (v), __ATOMIC_RELEASE)

extern char replay[256]; /* the words that repeat the run */
#define BAD(...)                                                                                   \
    do {                                                                                           \
        diag(__VA_ARGS__);                                                                         \
        FAIL("replay: %s", replay);                                                                \
    } while (0)

/* Calls of the system may be made to fail now and then. */
#define UNTIL(result, call)                                                                        \
    do {                                                                                           \
        int tries = 0;                                                                             \
        do                                                                                         \
            (result) = (call);                                                                     \
        while (!(result) && ++tries < 1000);                                                       \
        must(result);                                                                              \
    } while (0)

/* ---- Words and nodes: node.c ---- */

extern const gc_value_format formats[]; /* by enum format */

void *must(void *p);

/* A word that refers to the object; one that is no reference. */
uint64_t reference(struct mutator *m, const struct node *to);
uint64_t immediate(struct mutator *m);
uint64_t load(const shape_word *slot);
void store(shape_word *slot, uint64_t word);
/* Without barriers where none are needed. */
void store_own(shape_word *slot, uint64_t word);
bool cas(shape_word *slot, uint64_t expected, uint64_t word);

#define OWNER_BITS 6 /* of an id, the lowest; the others are the number of the node */
/* Where the mutator's node of that number is entered; NULL: nowhere. */
struct node **entry(struct mutator *m, uint64_t number, bool make);
struct node *node_of_id(uint64_t id);
/* The object that a word from a racy place refers to; NULL: none. */
struct node *node_of_word(uint64_t word);
/* Ends the test: this is wrong with the object. */
void describe(const struct node *n, const char *what);
void check_intact(const struct node *n);
#define USED 48 /* slots of an object that the test uses */
/* How many of a shape's slots are used. They are spread over the object: the first and the last are
 * among them. */
size_t used_slots(const struct shape *s);
shape_word *used_slot(const struct node *n, unsigned i);
bool is_small(const struct node *n);

/* ---- Root slots: root.c ---- */

struct space space_make(enum space_kind kind, void *slots, struct shadow *shadows, size_t n);
size_t space_size(const struct space *s);
void space_add(struct mutator *m, struct space *s);
/* The others stay in order. */
void space_remove(struct mutator *m, const struct space *s);
/* Forgets the spaces of all open frames, which are about to be left. */
void forget_frames(struct mutator *m);

struct place any_place(struct mutator *m);
struct node *held(struct place p);
void hold(struct place p, struct node *n, uint64_t word);
void drop_roots(struct mutator *m, unsigned one_in);
/* A node among the roots that a stamped slot may refer to. */
struct node *any_held(struct mutator *m, bool small);
/* One this thread may write plainly, by its shadow; with `used` slots. */
struct node *any_own(struct mutator *m);

/* ---- Objects, their slots, racy roots: object.c ---- */

struct node *new_node_of(struct mutator *m, const struct layout *l);
struct node *new_node(struct mutator *m);
/* Drops spaces that are the mutator's, from the index on. */
void drop_owned(struct mutator *m, unsigned from, unsigned one_in);

void op_new(struct mutator *m);
void op_link(struct mutator *m);
void op_link_racy(struct mutator *m);
void op_publish(struct mutator *m);
void op_take(struct mutator *m);
void op_walk(struct mutator *m);
void op_copy(struct mutator *m);
void op_stack(struct mutator *m);
void op_root(struct mutator *m);
void op_unroot(struct mutator *m);

/* ---- Weak references, weak maps, interned objects: weak.c ---- */

extern const struct gc_intern_ops intern_ops;

void op_weak(struct mutator *m);
void op_map(struct mutator *m);
void op_intern(struct mutator *m);

/* ---- Finalizers, cleanups, bytes outside the heap: final.c ---- */

/* No finalizer runs until w.final_lock is given back. */
void lock_finals(void);
void wait_while(bool (*goes_on)(void));
bool final_thread_works(void);
void run_finalizers(void);

void op_final(struct mutator *m);
void op_cleanup(struct mutator *m);
void op_external(struct mutator *m);
void op_run_finalizers(struct mutator *m);

/* ---- Blocking, collecting, what only the C stack holds: blocking.c ---- */

void nap(struct mutator *m);
void op_block(struct mutator *m);
void op_collect(struct mutator *m);
void op_hold_on_stack(struct mutator *m);
void op_keep_alive(struct mutator *m);

/* ---- Frames and fibers: fiber.c, pool.c ---- */

void op_deep(struct mutator *m);
void op_fiber(struct mutator *m);
void op_fiber_frame(struct mutator *m);

void pool_grow(struct mutator *m, size_t n);
void pool_shrink(struct mutator *m, size_t n);
void pool_destroy(struct pooled *p);
void op_pool(struct mutator *m);

/* ---- The rest: everybody waits but one, who compares: rest.c ---- */

void rest_if_wanted(struct mutator *m);
/* By thread 0. */
void rest_of_all(struct mutator *m);

/* What is reachable in the shadow, into w.work: reach.c. */
void reach_all(void);
void each_node(void (*fn)(struct node *));

/* The heap against the shadow: compare.c. All other threads rest. */
void compare(void);
struct live *find_live(uintptr_t base);
/* The walks of the heap: walk.c. Finalizers wait, and nobody else runs. */
void compare_walks(void);

/* ---- Steps, sessions, runs: step.c, session.c, run.c ---- */

void step(struct mutator *m);
void steps(struct mutator *m, size_t n);

/* Thread 0 takes part, and ends rounds. */
void lead(struct mutator *m);
/* The others. */
void *run_thread(void *arg);

extern const char *const mode_names[], *const format_names[];
/* The words that repeat it. */
void describe_run(char *text, size_t size, const struct setup *setup);
void run(struct setup setup);

#endif
