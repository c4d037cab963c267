/* Signals: the library installs no handler, changes no mask, and lets none disturb it. */
#include "heaps.h"
#include <dirent.h>
#include <sys/time.h>
#include <time.h>

struct node {
    struct node *next;
    long value;
};
static GC_TYPE(node_type, struct node, next);

static gc_heap *heap;
static atomic_bool stop;
static atomic_int delivered;

static void count(int unused)
{
    (void)unused;
    atomic_fetch_add(&delivered, 1);
}

static void lists(int rounds)
{
    struct node *list = NULL, *node = NULL;
    GC_FRAME(list, node);
    for (int r = 0; r < rounds; r++) {
        long n = 0;
        list = NULL;
        for (int i = 0; i < 2000; i++) {
            node = gc_new(&node_type);
            CHECK(node);
            gc_store(&node->next, list);
            list = node;
        }
        for (node = list; node; node = gc_load(&node->next))
            n++;
        CHECK_EQ(n, 2000);
    }
}

static void *work(void *unused)
{
    CHECK_EQ(gc_thread_attach(heap), 0);
    while (!atomic_load(&stop)) {
        lists(5);
        CHECK_EQ(gc_collect(), 0);
        CHECK_EQ(gc_blocking_begin(), 0);
        CHECK_EQ(gc_blocking_end(), 0);
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return unused;
}

/* Handlers run between and inside all calls, without SA_RESTART. */
static void storm(unsigned flags)
{
    struct sigaction action = {.sa_handler = count};
    struct itimerval fast = {{0, 200}, {0, 200}}, off = {{0, 0}, {0, 0}};
    pthread_t threads[3];
    heap = gc_heap_create(&(gc_options){.flags = flags, .min_heap = 1 << 20});
    CHECK(heap);
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    atomic_store(&stop, false);
    CHECK_EQ(setitimer(ITIMER_REAL, &fast, NULL), 0);
    for (int i = 0; i < 3; i++)
        threads[i] = start_thread(work, NULL);
    for (int i = 0; i < 40; i++) {
        lists(5);
        for (int j = 0; j < 3; j++)
            pthread_kill(threads[j], SIGALRM);
        CHECK_EQ(gc_collect(), 0);
    }
    atomic_store(&stop, true);
    join_threads(threads, 3);
    CHECK_EQ(setitimer(ITIMER_REAL, &off, NULL), 0);
    end_heap(heap);
    CHECK(atomic_load(&delivered) > 0);
    diag("%d signals", atomic_load(&delivered));
}

TEST(storm)
{
    storm(0);
}

TEST(storm_stop_world)
{
    storm(GC_STOP_WORLD);
}

TEST(storm_without_background)
{
    storm(GC_NO_BACKGROUND);
}

TEST(all_signals_blocked)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    heap = gc_heap_create(NULL);
    CHECK(heap);
    lists(300);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

static bool same_mask(const sigset_t *a, const sigset_t *b)
{
    for (int s = 1; s < NSIG; s++) {
        if (sigismember(a, s) != sigismember(b, s))
            return false;
    }
    return true;
}

TEST(nothing_is_changed)
{
    struct sigaction before[NSIG], after;
    sigset_t mask, mask_after, some;
    sigemptyset(&some);
    sigaddset(&some, SIGUSR2);
    pthread_sigmask(SIG_SETMASK, &some, &mask);
    pthread_sigmask(SIG_SETMASK, NULL, &mask);
    for (int s = 1; s < NSIG; s++)
        sigaction(s, NULL, &before[s]);
    heap = gc_heap_create(&(gc_options){.flags = GC_FINALIZER_THREAD | GC_FORK_SAFE});
    gc_collect_start();
    lists(1000);
    gc_collect();
    for (int s = 1; s < NSIG; s++) {
        if (sigaction(s, NULL, &after) == 0)
            CHECK(after.sa_handler == before[s].sa_handler);
    }
    pthread_sigmask(SIG_SETMASK, NULL, &mask_after);
    CHECK(same_mask(&mask, &mask_after));
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

/* The mask of blocked signals of a thread, as the system tells it. */
static uint64_t blocked_by(const char *task)
{
    char path[300], line[200];
    unsigned long long mask = 0;
    snprintf(path, sizeof path, "/proc/self/task/%s/status", task);
    FILE *in = fopen(path, "r");
    while (in && fgets(line, sizeof line, in))
        sscanf(line, "SigBlk: %llx", &mask);
    if (in)
        fclose(in);
    return mask;
}

static void finalize(void *object, void *arg)
{
    (void)object, (void)arg;
}

TEST(library_threads_block_all)
{
    const uint64_t wanted = UINT64_C(1) << (SIGALRM - 1) | UINT64_C(1) << (SIGINT - 1) |
                            UINT64_C(1) << (SIGUSR1 - 1) | UINT64_C(1) << (SIGPROF - 1);
    char own[24];
    int found = 0;
    snprintf(own, sizeof own, "%d", (int)getpid());
    heap = gc_heap_create(&(gc_options){.flags = GC_FINALIZER_THREAD});
    CHECK_EQ(gc_finalizer_set(gc_new(&node_type), finalize, NULL), 0);
    gc_collect_start();
    lists(2000);
    DIR *tasks = opendir("/proc/self/task");
    if (!tasks)
        SKIP("no /proc");
    for (struct dirent *e; (e = readdir(tasks)) != NULL;) {
        char path[300], name[20] = "";
        snprintf(path, sizeof path, "/proc/self/task/%s/comm", e->d_name);
        FILE *in = e->d_name[0] == '.' ? NULL : fopen(path, "r");
        if (in && fgets(name, sizeof name, in) && strncmp(name, "gcheap", 6) == 0) {
            found++;
            CHECK_EQ(blocked_by(e->d_name) & wanted, wanted);
        }
        if (in)
            fclose(in);
    }
    closedir(tasks);
    CHECK(found >= 2);
    CHECK_EQ(gc_heap_destroy(heap), 0);
}

TAP_MAIN
