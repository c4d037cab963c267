#include "base/stress.h"

word stress_seed;
static void (*stop_at)(enum stress_point point);

void stress_seed_set(uint64_t seed)
{
    word_store_relaxed(&stress_seed, (word)seed);
}

void stress_stop_set(void (*stop)(enum stress_point point))
{
    stop_at = stop;
    stress_seed_set(1);
}

static _Thread_local uint64_t state;

static uint64_t next_random(enum stress_point point)
{
    if (state == 0)
        state = word_load_relaxed(&stress_seed) ^ (os_thread_id() * 0x9e3779b97f4a7c15u);
    state ^= (uint64_t)point << 32;
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

/* Mostly does nothing. Otherwise it yields, spins for microseconds, or sleeps so long that others
 * get far ahead. */
void stress_wait(enum stress_point point)
{
    if (stop_at) {
        stop_at(point);
        return;
    }
    uint64_t r = next_random(point);
    switch (r >> 8 & 31) {
    case 0:
        os_sleep_ns(1000 + (r >> 16) % 200000);
        break;
    case 1:
    case 2:
        os_yield();
        break;
    case 3:
    case 4:
        for (uint64_t i = (r >> 16) % 2000; i > 0; i--)
            cpu_relax();
        break;
    default:
        break;
    }
}
