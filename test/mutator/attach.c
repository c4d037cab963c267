/* Two threads at once find that a thread has ended while it was attached. */
#include "base/os.h"

/* Asked instead of the system, once; NULL: the system. */
static bool (*life_is_over)(struct os_life *life);

static bool look_at_life(struct os_life *life)
{
    bool (*look)(struct os_life *) = life_is_over;
    life_is_over = NULL;
    return look ? look(life) : os_life_is_over(life);
}

#define os_life_is_over(life) look_at_life(life)
#include "src/mutator/attach.c"
#undef os_life_is_over

#include "actors.h"

static bool is_over(struct os_life *life)
{
    (void)life;
    return true;
}

/* This thread finds that one has ended. Before it has the lock, another thread has detached that
 * one, and a third has its struct. */
TEST(a_struct_that_is_in_use_again)
{
    struct actor later;
    stage_set(0, NULL);
    actor_start(&later);
    life_is_over = is_over;
    CHECK(!attach_reap(later.self));
    CHECK_EQ(stats_now().threads, 2);
    actor_end(&later);
    end_heap(heap);
}

static gc_thread *ended;

/* The thread that has the struct blocks, and is claimed by the collector as it ends. */
static bool ends_claimed(struct os_life *life)
{
    (void)life;
    u32_store_relaxed(&ended->st, state_word(ended->epoch, THREAD_CLAIMED));
    return true;
}

static bool is_claimed_ended(gc_thread *t)
{
    lock_acquire(&heap->mutators.lock);
    bool yes = claim_ended_locked(t);
    lock_release(&heap->mutators.lock);
    return yes;
}

/* What a thread was last says nothing before it has ended. */
TEST(a_state_from_before_the_end)
{
    struct actor actor;
    stage_set(0, NULL);
    actor_start(&actor);
    ended = actor.self;
    uint32_t st = u32_load_acquire(&ended->st);
    CHECK_EQ(state_of(st), THREAD_RUN);
    life_is_over = ends_claimed;
    CHECK(!is_claimed_ended(ended));
    u32_store_release(&ended->st, st);
    actor_end(&actor);
    end_heap(heap);
}

TAP_MAIN
