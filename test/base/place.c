/* Names of functions: of many libraries, of one that takes the place of another, for several
 * threads and after a fork. The loader and the files are the test's. */
#include "base/place.h"

#include <fcntl.h>
#include <link.h>

static int iterate(int (*fn)(struct dl_phdr_info *info, size_t size, void *arg), void *arg);
static int open_slowly(const char *path, int flags);

#define dl_iterate_phdr(fn, arg) iterate(fn, arg)
#define open(path, flags) open_slowly(path, flags)
#include "src/base/place.c"
#undef dl_iterate_phdr
#undef open

#include "build.h"
#include "crew.h"

/* ---- The loader ---- */

/* Copies of this program, side by side, but for the first one's path. */
enum { MODULES = KNOWN_MAX + 5 };
#define LOW ((uintptr_t)1 << 28)
#define APART ((uintptr_t)1 << 24)

static const char *first_path = THE_PROGRAM "x";
static unsigned long long unloads;
static bool is_real;

static int iterate(int (*fn)(struct dl_phdr_info *info, size_t size, void *arg), void *arg)
{
    if (is_real)
        return dl_iterate_phdr(fn, arg);
    for (uintptr_t i = 0; i < MODULES; i++) {
        const ElfW(Phdr) all = {.p_type = PT_LOAD, .p_flags = PF_X, .p_memsz = APART};
        struct dl_phdr_info info = {.dlpi_addr = LOW + i * APART,
                                    .dlpi_name = i ? THE_PROGRAM : first_path,
                                    .dlpi_phdr = &all,
                                    .dlpi_phnum = 1,
                                    .dlpi_subs = unloads};
        int end = fn(&info, sizeof info, arg);
        if (end)
            return end;
    }
    return 0;
}

static __attribute__((noinline)) void named_function(void)
{
    __asm__ volatile("");
}

/* How far into the program the function begins. */
static uintptr_t offset_of_function(void)
{
    struct module m;
    is_real = true;
    find_module(&m, (uintptr_t)named_function);
    is_real = false;
    CHECK(m.exists);
    return (uintptr_t)named_function - m.base;
}

static const char *name_in(uintptr_t module, char *text, size_t room)
{
    return place_function(LOW + module * APART + offset_of_function() + 1, text, room);
}

static bool is_named(uintptr_t module)
{
    char text[60];
    return strcmp(name_in(module, text, sizeof text), "named_function") == 0;
}

/* ---- Files ---- */

static atomic_bool is_slow, opens, may_open;

static int open_slowly(const char *path, int flags)
{
    if (is_slow) {
        opens = true;
        WAIT_UNTIL(may_open);
    }
    return open(path, flags);
}

/* ---- */

static long variable = 1;
/* Written by the loader alone. */
static long *const constants[] = {&variable, &variable};

struct look {
    uintptr_t address;
    unsigned found;
};

static void note_range(void *arg, uintptr_t low, uintptr_t high)
{
    struct look *l = arg;
    l->found += l->address - low < high - low;
}

static unsigned times_in_data(const volatile void *p)
{
    struct look l = {(uintptr_t)p, 0};
    is_real = true;
    place_each_data(note_range, &l);
    is_real = false;
    return l.found;
}

TEST(constants_are_no_data)
{
    long local = 0;
    CHECK(times_in_data(&variable) == 1 && times_in_data(&first_path) == 1);
    CHECK(times_in_data(&constants[1]) == 0 && times_in_data(&local) == 0);
    CHECK(times_in_data(&stdout) == 1);
}

TEST(more_libraries_than_are_kept)
{
    for (int round = 0; round < 2; round++) {
        for (uintptr_t i = 1; i < MODULES; i++)
            CHECK(is_named(i) && is_named(1));
    }
    CHECK_EQ(known.n, KNOWN_MAX);
}

TEST(a_library_that_takes_the_place_of_another)
{
    char text[60];
    first_path = THE_PROGRAM;
    CHECK(is_named(0));
    first_path = "/nowhere/another.so";
    unloads++;
    CHECK(strncmp(name_in(0, text, sizeof text), "another.so+0x", 13) == 0);
    CHECK(is_named(1));
    first_path = THE_PROGRAM;
    unloads++;
    CHECK(is_named(0));
}

TEST(a_path_that_is_too_long)
{
    char path[1000], text[60];
    memset(path, 'a', sizeof path);
    path[0] = '/';
    path[sizeof path - 1] = 0;
    first_path = path;
    CHECK(strncmp(name_in(0, text, sizeof text), "?+0x", 4) == 0);
}

static atomic_int found, answers;

static void *ask(void *unused)
{
    found += is_named(1);
    answers++;
    return unused;
}

/* The second one waits until the first has the file. */
TEST(two_ask_at_once)
{
    is_slow = true;
    pthread_t one = start_thread(ask, NULL);
    WAIT_UNTIL(opens);
    pthread_t other = start_thread(ask, NULL);
    WAIT_UNTIL(u32_load_acquire(&place_lock.state) == 2 || answers);
    may_open = true;
    join_thread(one);
    join_thread(other);
    CHECK_EQ(found, 2);
}

static void *let_open(void *unused)
{
    WAIT_UNTIL(u32_load_acquire(&place_lock.state) == 2 || may_open);
    may_open = true;
    return unused;
}

/* The child has nobody who would give the lock back. */
TEST(a_fork_while_one_asks)
{
    if (THREAD_SANITIZER)
        SKIP("a child cannot join the threads of its parent");
    CHECK(gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND}));
    is_slow = true;
    pthread_t one = start_thread(ask, NULL);
    WAIT_UNTIL(opens);
    pthread_t helper = start_thread(let_open, NULL);
    pid_t child = fork();
    may_open = true;
    if (child == 0)
        _exit(u32_load_acquire(&place_lock.state) == 0 && is_named(1) ? 0 : 1);
    join_child(child);
    join_thread(one);
    join_thread(helper);
    CHECK_EQ(found, 1);
}

TAP_MAIN
