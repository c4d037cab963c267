/* Threads that end, in whatever way, while they are attached. */
#include "build.h"
#include "crew.h"
#include "heaps.h"
#include "log.h"

#include <limits.h>

static gc_heap *heap;

/* A debug build tells of each thread that ends attached. */
static void keep(void *user, enum gc_log_level level, const char *line)
{
    if (!strstr(line, "without gc_thread_detach()"))
        keep_line(user, level, line);
}

static void make_heap(unsigned flags)
{
    CHECK((heap = gc_heap_create(&(gc_options){.flags = flags, .log = keep})));
}

/* Nobody is left whom a cycle waits for. */
static void check_only_this_thread(void)
{
    CHECK_EQ(stats_now().threads, 1);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_heap_verify(), 0);
}

/* ---- Destructors of thread keys ---- */

/* What a thread and the destructor of a key of its own do. */
static struct {
    pthread_key_t key;
    int rounds;    /* in which the destructor runs */
    bool attached; /* when it begins to end */
    bool stay;     /* the destructor leaves the thread attached */
    int last;      /* what gc_thread_attach said in the last round */
    int ran;
} ending;

static void use_heap(void *arg)
{
    if (gc_heap_current() != heap)
        ending.last = gc_thread_attach(heap);
    CHECK(!gc_new_bytes(64) == (ending.last != 0));
    if (ending.last == 0 && !ending.stay)
        CHECK_EQ(gc_thread_detach(), 0);
    if (++ending.ran < ending.rounds)
        CHECK_EQ(pthread_setspecific(ending.key, arg), 0);
}

static void *end_with_key(void *arg)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    CHECK_EQ(pthread_setspecific(ending.key, arg), 0);
    if (!ending.attached)
        CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

static void run_with_key(int rounds, bool attached, bool stay)
{
    ending.rounds = rounds;
    ending.attached = attached;
    ending.stay = stay;
    ending.ran = ending.last = 0;
    run_thread(end_with_key, &ending);
    CHECK_EQ(ending.ran, rounds);
    check_only_this_thread();
}

/* A sanitizer forgets the thread before the last round. */
#define ROUNDS (PTHREAD_DESTRUCTOR_ITERATIONS - THREAD_SANITIZER)

static void run_all_with_key(int served)
{
    for (int rounds = 1; rounds <= ROUNDS; rounds++) {
        for (int how = 0; how < 4; how++) {
            run_with_key(rounds, how & 1, how & 2);
            CHECK_EQ(ending.last, rounds <= served ? 0 : -EPERM);
            CHECK_EQ(has_logged("last rounds"), ending.last != 0);
            forget_log();
        }
    }
}

/* The library's destructor runs after this one in each round. */
TEST(a_key_made_before_the_heap)
{
    CHECK_EQ(pthread_key_create(&ending.key, use_heap), 0);
    make_heap(0);
    run_all_with_key(PTHREAD_DESTRUCTOR_ITERATIONS - 1);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* And here before it: in the last rounds nobody would come after. */
TEST(a_key_made_after_the_heap)
{
    make_heap(0);
    CHECK_EQ(pthread_key_create(&ending.key, use_heap), 0);
    run_all_with_key(PTHREAD_DESTRUCTOR_ITERATIONS - 2);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
