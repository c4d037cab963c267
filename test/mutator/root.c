/* Root sets: what is added is visited until it is removed, and the lists shrink again. */
#include "mutator/root.h"
#include <errno.h>
#undef CHECK
#include "tap.h"

enum { MANY = 1000 };

static unsigned visits[MANY];

static void count_visit(void *number, gc_tracer *tracer)
{
    (void)tracer;
    visits[(uintptr_t)number]++;
}

/* Those from `from` on are there, and each is visited once. */
static void check_visits(const struct rootset *set, uintptr_t from)
{
    memset(visits, 0, sizeof visits);
    rootset_visit(set, &(struct gc_tracer){.value = NULL});
    for (uintptr_t i = 0; i < MANY; i++)
        CHECK_EQ(visits[i], i >= from);
}

TEST(callbacks_come_and_go)
{
    struct rootset set = {NULL, {NULL, 0, 0}, {NULL, 0, 0}};
    for (uintptr_t i = 0; i < MANY; i++)
        CHECK_EQ(
            rootset_add_callback(&set.callbacks, (struct root_callback){count_visit, (void *)i}),
            0);
    check_visits(&set, 0);
    for (uintptr_t i = 0; i < MANY; i++) {
        struct root_callback callback = {count_visit, (void *)i};
        CHECK_EQ(rootset_remove_callback(&set.callbacks, callback), 0);
        CHECK_EQ(rootset_remove_callback(&set.callbacks, callback), -ENOENT);
        CHECK(set.callbacks.capacity >= set.callbacks.n);
        CHECK(set.callbacks.capacity <= 4 * MAX_OF(set.callbacks.n, (size_t)1) + 4);
        if (i % 100 == 0)
            check_visits(&set, i + 1);
    }
    CHECK_EQ(set.callbacks.capacity, 4);
    rootset_free(&set);
}

static slot_word slots[MANY];
static size_t values;

static void add_value(struct gc_tracer *tracer, word value)
{
    (void)tracer;
    values += value;
}

TEST(ranges_come_and_go)
{
    struct rootset set = {NULL, {NULL, 0, 0}, {NULL, 0, 0}};
    struct gc_tracer tracer = {.value = add_value};
    for (size_t i = 0; i < MANY; i++) {
        slots[i] = 1;
        CHECK_EQ(rootset_add_range(&set, (struct root_range){slots + i, NULL, slots + i + 1}), 0);
    }
    for (size_t i = 0; i < MANY; i++) {
        values = 0;
        rootset_visit(&set, &tracer);
        CHECK_EQ(values, MANY - i);
        CHECK_EQ(rootset_remove_range(&set, slots + i), 0);
        CHECK(set.ranges.capacity <= 4 * MAX_OF(set.ranges.n, (size_t)1) + 4);
    }
    CHECK_EQ(set.ranges.capacity, 4);
    rootset_free(&set);
}

TAP_MAIN
