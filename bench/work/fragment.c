/* Fragmentation torture: the live bytes stay the same while object sizes drift, in phases, from 48
 * bytes to 6 KiB and back. In each phase twice the live bytes are allocated in that phase's sizes,
 * and objects of all ages die at random to make room; so every page that an old size took keeps a
 * few survivors. Resident memory against live bytes is the measure: as it runs, and after the
 * manager was asked to give back what it can. */
#include "../harness.h"

static const size_t sizes[] = {48, 96, 200, 480, 1100, 2600, 6000, 1400, 300, 64};
enum { PHASES = sizeof sizes / sizeof sizes[0] };

/* A table of live blocks; a block begins with its size. */
static uint64_t **blocks;
static size_t count, capacity, live_bytes;
static struct random dice;

/* Between 3/4 and 5/4 of the phase's size. */
static void add(size_t typical)
{
    size_t size = (typical * 3 / 4 + random_below(&dice, typical / 2) + 7) / 8 * 8;
    uint64_t *block = BM_BYTES(size);
    fill(block, size, 0);
    *block = size;
    BM_STORE(&blocks[count], block);
    count++;
    live_bytes += size;
}

static void remove_one(void)
{
    size_t i = random_below(&dice, count);
    uint64_t *block = blocks[i];
    live_bytes -= *block;
    count--;
    BM_STORE(&blocks[i], blocks[count]);
    BM_STORE(&blocks[count], NULL);
    BM_FREE(block);
}

static void phase(size_t typical, size_t target)
{
    for (size_t allocated = 0; allocated < 2 * target; allocated += typical) {
        while (count && live_bytes + 2 * typical > target)
            remove_one();
        if (count < capacity)
            add(typical);
    }
}

/* Percent of the live bytes, the table's in use among them, that are resident. */
static double residence(double before)
{
    double live = (double)(live_bytes + count * sizeof *blocks);
    return 100 * (resident_mib() - before) * (1 << 20) / live;
}

void run_fragment(void)
{
    size_t target = (size_t)parameter("live", 128L << 20);
    double before = resident_mib(), sum = 0, worst = 0;
    capacity = target / 36;
    BM_ROOT_GLOBALS(&blocks, 1);
    BM_STORE(&blocks, BM_POINTERS(capacity));
    uint64_t t0 = now_ns();
    for (int i = 0; i < PHASES; i++) {
        phase(sizes[i], target);
        double now = residence(before);
        sum += now;
        worst = now > worst ? now : worst;
    }
    result("time", since(t0), "s");
    result("resident_mean", sum / PHASES, "%");
    result("resident_worst", worst, "%");
    bm_collect();
    bm_release();
    result("resident_released", residence(before), "%");
    check(count + live_bytes);
}
