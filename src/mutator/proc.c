#include "mutator/proc.h"
#include "base/os.h"
#include "mutator/self.h"

/* How long a thread keeps its P while others wait for one. To hand it over costs much less. A
 * shorter slice makes each wait shorter, and more of the operations wait. */
#define SLICE_NS (15 * 1000 * 1000)
/* How often a thread that waits to borrow a P asks for one again. */
#define BORROW_LOOK_NS (2 * 1000 * 1000)

void procs_init(struct procs *procs, unsigned max)
{
    memset(procs, 0, sizeof *procs);
    lock_init(&procs->lock, LOCK_PROCS);
    procs->max = max;
    procs->queue_tail = &procs->queue;
}

void procs_destroy(struct procs *procs)
{
    for (uint32_t i = 0; i < procs->count; i++) {
        struct proc *p = procs->all[i];
        mcache_flush(p->cache);
        mcache_destroy(p->cache);
        os_aligned_free(p);
    }
}

unsigned procs_idle(const struct procs *procs)
{
    unsigned idle = 0;
    uint32_t count = u32_load_acquire(&procs->count);
    for (uint32_t i = 0; i < count; i++)
        idle += u32_load_relaxed(&procs->all[i]->state) == PROC_IDLE;
    return idle + (procs->max - count);
}

static struct proc *new_proc(struct mheap *mem)
{
    struct proc *p = os_aligned_alloc(CACHE_PAD, sizeof *p);
    if (!p)
        return NULL;
    memset(p, 0, sizeof *p);
    p->cache = mcache_create(mem);
    if (!p->cache) {
        os_aligned_free(p);
        return NULL;
    }
    return p;
}

/* The P adopts the state in force. So a handshake either finds the P, or does not concern it. */
static void publish_proc_locked(gc_heap *heap, struct proc *p)
{
    struct mutators *m = &heap->mutators;
    struct procs *procs = &heap->procs;
    LOCK_ASSERT_HELD(&m->lock);
    p->epoch = m->epoch;
    p->id = procs->count;
    p->cache->sampler.id = p->id;
    p->state = PROC_RUNNING;
    p->cache->black = m->black;
    p->cache->sweeping = m->sweeping;
    p->cache->sweepgen = heap->mem.sweepgen;
    procs->all[procs->count] = p;
    u32_store_release(&procs->count, procs->count + 1);
}

static struct proc *make_proc(gc_heap *heap)
{
    struct procs *procs = &heap->procs;
    if (u32_load_relaxed(&procs->count) >= procs->max)
        return NULL;
    struct proc *p = new_proc(&heap->mem);
    if (!p)
        return NULL;
    stress(STRESS_PROC_MADE);
    lock_acquire(&heap->mutators.lock);
    bool room = procs->count < procs->max;
    if (room)
        publish_proc_locked(heap, p);
    lock_release(&heap->mutators.lock);
    if (room)
        return p;
    mcache_destroy(p->cache);
    os_aligned_free(p);
    return NULL;
}

static struct proc *try_idle(struct procs *procs, struct proc *first)
{
    if (first && proc_try(first, PROC_IDLE, PROC_RUNNING))
        return first;
    uint32_t count = u32_load_acquire(&procs->count);
    for (uint32_t i = 0; i < count; i++) {
        if (proc_try(procs->all[i], PROC_IDLE, PROC_RUNNING))
            return procs->all[i];
    }
    return NULL;
}

/* ---- The queue ---- */

static struct proc_waiter *dequeue_locked(struct procs *procs, struct proc_waiter **at)
{
    LOCK_ASSERT_HELD(&procs->lock);
    struct proc_waiter *w = *at;
    *at = w->next;
    if (!*at)
        procs->queue_tail = at;
    u32_store_relaxed(&procs->waiting, procs->waiting - 1);
    return w;
}

static void grant(struct proc_waiter *w, struct proc *p)
{
    stress(STRESS_GRANT);
    w->grant = p;
    u32_store_release(&w->granted, 1);
    os_wake(&w->granted, 1);
}

/* Gives idle Ps to the threads in the queue. */
static void serve_queue(struct procs *procs)
{
    lock_acquire(&procs->lock);
    while (procs->queue) {
        struct proc *p = try_idle(procs, NULL);
        if (!p)
            break;
        grant(dequeue_locked(procs, &procs->queue), p);
    }
    lock_release(&procs->lock);
}

/* If a P went idle before the waiter was in the queue, serve_queue finds it. If one goes idle
 * later, its last owner brings it to the waiter (become_idle). Each thread writes one word and then
 * reads the other's, with a full fence in between: a store that is sequentially consistent does not
 * order a later relaxed load. */
static void enqueue_locked(struct procs *procs, struct proc_waiter *w, struct proc_waiter **at)
{
    LOCK_ASSERT_HELD(&procs->lock);
    w->granted = 0;
    w->next = *at;
    *at = w;
    if (!w->next)
        procs->queue_tail = &w->next;
    u32_store_relaxed(&procs->waiting, procs->waiting + 1);
    fence_seq_cst();
}

/* Running threads look at the queue at their next safepoint. A thread that has ended keeps its P
 * until another thread finds that out. */
static void request_hand_over(struct procs *procs)
{
    uint32_t count = u32_load_acquire(&procs->count);
    for (uint32_t i = 0; i < count; i++) {
        gc_thread *owner = ptr_load_acquire(&procs->all[i]->owner);
        if (owner && !mutators_reap(owner))
            thread_request_poll(owner);
    }
}

static struct proc *wait_turn(struct procs *procs, struct proc_waiter *w)
{
    lock_acquire(&procs->lock);
    enqueue_locked(procs, w, procs->queue_tail);
    lock_release(&procs->lock);
    stress(STRESS_ENQUEUED);
    serve_queue(procs);
    while (!u32_load_acquire(&w->granted)) {
        os_wait(&w->granted, 0, SLICE_NS);
        if (!u32_load_relaxed(&w->granted))
            request_hand_over(procs);
    }
    return w->grant;
}

bool proc_acquire(gc_heap *heap, gc_thread *t)
{
    struct procs *procs = &heap->procs;
    ASSERT(self_may_wait_for(heap) && "I21");
    struct proc *p = try_idle(procs, t->last_proc);
    if (!p)
        p = make_proc(heap);
    if (!p && u32_load_relaxed(&procs->count) == 0)
        return false;
    if (!p) {
        uint64_t begin = stall_begin();
        p = wait_turn(procs, &t->waiter);
        stall_end(STALL_PROC, begin);
    }
    t->proc = p;
    t->fast.runs = p->cache->runs;
    ptr_store_release(&p->owner, t); /* a thread that asks it to poll sees its struct made */
    t->slice_start = u32_load_relaxed(&procs->waiting) ? os_now_ns() : 0;
    return true;
}

static void become_idle(struct procs *procs, struct proc *p)
{
    u32_store_release(&p->state, PROC_IDLE);
    fence_seq_cst();
    if (u32_load_relaxed(&procs->waiting))
        serve_queue(procs);
}

void proc_release(gc_heap *heap, gc_thread *t)
{
    struct procs *procs = &heap->procs;
    struct proc *p = t->proc;
    t->proc = NULL;
    t->last_proc = p;
    t->fast.runs = SELF_NO_RUNS;
    mcache_report(p->cache);
    ptr_store_relaxed(&p->owner, NULL);
    stress(STRESS_PROC_RELEASED);
    become_idle(procs, p);
    mutators_wake_collector(&heap->mutators);
}

void proc_unclaim(struct procs *procs, struct proc *p, enum proc_state was)
{
    if (was == PROC_IDLE)
        become_idle(procs, p);
    else
        u32_store_release(&p->state, was);
}

/* The slice is measured only while a thread waits for a P. It begins when a look first finds
 * one. */
bool proc_should_yield(const struct procs *procs, gc_thread *t)
{
    if (LIKELY(u32_load_relaxed(&procs->waiting) == 0))
        return false;
    uint64_t now = os_now_ns();
    if (t->slice_start == 0)
        t->slice_start = now;
    return now - t->slice_start >= SLICE_NS;
}

/* ---- Lending ---- */

/* I18: takes the waiter out of the queue. false: it was granted a P meanwhile. */
static bool withdraw(struct procs *procs, struct proc_waiter *w)
{
    lock_acquire(&procs->lock);
    struct proc_waiter **at = &procs->queue;
    while (*at && *at != w)
        at = &(*at)->next;
    bool found = *at != NULL;
    if (found)
        dequeue_locked(procs, at);
    lock_release(&procs->lock);
    return found;
}

/* A borrower waits no longer, as a thread that does not poll may keep its P for any time. */
#define BORROW_PATIENCE_NS ((uint64_t)2 * SLICE_NS)

struct proc *proc_borrow(struct procs *procs)
{
    struct proc_waiter w;
    uint64_t since = os_now_ns();
    lock_acquire(&procs->lock);
    enqueue_locked(procs, &w, &procs->queue);
    lock_release(&procs->lock);
    stress(STRESS_ENQUEUED);
    serve_queue(procs);
    while (!u32_load_acquire(&w.granted)) {
        request_hand_over(procs);
        os_wait(&w.granted, 0, BORROW_LOOK_NS);
        bool enough = os_now_ns() - since > BORROW_PATIENCE_NS;
        if (enough && !u32_load_relaxed(&w.granted) && withdraw(procs, &w))
            return NULL;
    }
    stress(STRESS_LENT);
    u32_store_release(&w.grant->state, PROC_LENT);
    return w.grant;
}

/* I18: waits while a handshake has claimed the P. */
void proc_return(struct procs *procs, struct proc *p)
{
    while (!proc_try(p, PROC_LENT, PROC_RUNNING))
        os_yield();
    become_idle(procs, p);
}

/* ---- Fork ---- */

static void seize(gc_heap *heap)
{
    lock_seize(&heap->procs.lock);
}

static void release(gc_heap *heap)
{
    lock_free(&heap->procs.lock);
}

/* No thread holds a P or waits for one. */
static void forget(gc_heap *heap)
{
    struct procs *procs = &heap->procs;
    for (uint32_t i = 0; i < procs->count; i++) {
        procs->all[i]->state = PROC_IDLE;
        procs->all[i]->owner = NULL;
    }
    procs->queue = NULL;
    procs->queue_tail = &procs->queue;
    procs->waiting = 0;
}

const struct fork_part proc_fork = {PROC_FORK_RANKS, .seize = seize, .release = release,
                                    .forget = forget};
