/* The table of rooted globals, beside a plain array that says what it should hold. */
#include "mutator/roottable.h"
#include "random.h"
#undef CHECK
#include "tap.h"

#define SLOTS 3000

static struct roottable table;
static slot_word memory[SLOTS * 4];
static size_t rooted[SLOTS]; /* how many slots at memory[4 * i]; 0: none */
static uint32_t count;

static slot_word *base_of(size_t i)
{
    return &memory[4 * i];
}

static void add(size_t i, size_t n)
{
    CHECK_EQ(roottable_add(&table, base_of(i), n), rooted[i] ? -EEXIST : 0);
    if (!rooted[i]) {
        rooted[i] = n;
        count++;
    }
}

static void take_out(size_t i)
{
    CHECK_EQ(roottable_remove(&table, base_of(i)), rooted[i] > 0);
    count -= rooted[i] > 0;
    rooted[i] = 0;
}

static void check_all(void)
{
    size_t slots = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        CHECK_EQ(roottable_find(&table, base_of(i)), rooted[i]);
        slots += rooted[i];
    }
    CHECK_EQ(table.count, count);
    CHECK_EQ(table.slots, slots);
}

TEST(grows_and_shrinks_by_one)
{
    check_all();
    for (size_t i = 0; i < SLOTS; i++) {
        add(i * 7 % SLOTS, 1 + i % 4);
        add(i * 7 % SLOTS, 1);
        if (i % 100 == 0)
            check_all();
    }
    check_all();
    size_t most = table.nchunks;
    for (size_t i = 0; i < SLOTS; i++) {
        take_out(i * 11 % SLOTS);
        take_out(i * 11 % SLOTS);
        if (i % 100 == 0)
            check_all();
    }
    check_all();
    diag("%zu chunks, then %zu", most, table.nchunks);
    CHECK(most > 8 && table.nchunks <= 1);
    roottable_free(&table);
}

/* ---- Visits ---- */

static bool stayed[SLOTS]; /* all through the visit */
static unsigned char visited[SLOTS * 4];

static void note_visited(const slot_word *base, size_t n)
{
    for (size_t i = 0; i < n; i++)
        visited[base - memory + (ptrdiff_t)i] = 1;
}

static void change_something(uint64_t *r)
{
    size_t i = random_below(r, SLOTS);
    if (random_below(r, 2)) {
        add(i, 1 + random_below(r, 4));
    } else {
        take_out(i);
        stayed[i] = false;
    }
}

static void visit_while_it_changes(uint64_t *r)
{
    slot_word *base;
    size_t n;
    memset(visited, 0, sizeof visited);
    for (size_t i = 0; i < SLOTS; i++)
        stayed[i] = rooted[i] > 0;
    roottable_begin_visit(&table);
    while ((n = roottable_visit_next(&table, 1 + random_below(r, 3), &base)) > 0) {
        note_visited(base, n);
        for (size_t changes = random_below(r, 3); changes > 0; changes--)
            change_something(r);
    }
    for (size_t i = 0; i < SLOTS; i++) {
        for (size_t k = 0; stayed[i] && k < rooted[i]; k++)
            CHECK(visited[4 * i + k]);
    }
}

TEST(a_visit_misses_nothing_that_stays)
{
    uint64_t r = 1;
    for (int i = 0; i < SLOTS; i++)
        change_something(&r);
    for (int round = 0; round < 60; round++) {
        visit_while_it_changes(&r);
        for (size_t fewer = random_below(&r, SLOTS); round % 3 == 0 && fewer > 0; fewer--)
            take_out(random_below(&r, SLOTS));
    }
    check_all();
    roottable_free(&table);
}

TAP_MAIN
