#include "base/lock.h"
#include "base/stalls.h"

#define SPINS 100

void lock_init(struct lock *lock, enum lock_rank rank)
{
    *lock = (struct lock)LOCK_INIT(rank);
}

static bool spin(struct lock *lock)
{
    for (int i = 0; i < SPINS; i++) {
        cpu_relax();
        if (u32_load_relaxed(&lock->state) == 0 && u32_cas_acquire(&lock->state, 0, 1))
            return true;
    }
    return false;
}

/* After spinning, a thread takes the lock in state 2, because others may sleep. If none does, the
 * release wakes nobody. */
NOINLINE void lock_acquire_slow(struct lock *lock)
{
    if (spin(lock))
        return;
    uint64_t begin = stall_begin();
    while (u32_exchange_acquire(&lock->state, 2) != 0)
        os_wait(&lock->state, 2, -1);
    stall_end(STALL_LOCK, begin);
}

/* Once the state is 0, another thread may free the memory of the lock. Only its address is used
 * then. */
NOINLINE void lock_release_slow(struct lock *lock)
{
    uint32_t was = u32_exchange_release(&lock->state, 0);
    CHECK(was == 2);
    os_wake(&lock->state, 1);
}

/* ---- Ranks: bit r says that the thread holds a lock of rank r. ---- */

static _Thread_local uint64_t held;

static COLD void violation(const char *what, uint32_t rank)
{
    char text[128];
    snprintf(text, sizeof text, "lock order: %s (rank %u; ranks held: 0x%llx)", what,
             (unsigned)rank, (unsigned long long)held);
    base_panic(__FILE__, __LINE__, text);
}

void lock_rank_note(uint32_t rank)
{
    if (rank == 0 || rank >= 64)
        violation("a lock without a rank", rank);
    if (lock_rank_held(rank))
        violation("taken while a lock of the same or a higher rank is held", rank);
    held |= UINT64_C(1) << rank;
}

void lock_rank_push(uint32_t rank)
{
    if (rank > 0 && rank < 64 && held >> rank)
        violation("taken while a lock of the same or a higher rank is held", rank);
    lock_rank_note(rank);
}

void lock_rank_pop(uint32_t rank)
{
    if (!lock_rank_held(rank))
        violation("released by a thread that does not hold it", rank);
    held &= ~(UINT64_C(1) << rank);
}

bool lock_rank_held(uint32_t rank)
{
    return held >> rank & 1;
}

/* ---- Forks ---- */

static _Thread_local uint32_t seized;

void lock_note_seized(uint32_t rank)
{
    seized |= LOCK_BIT(rank);
}

uint32_t lock_take_seized(void)
{
    uint32_t ranks = seized;
    seized = 0;
    return ranks;
}
