/* A small test framework that speaks TAP:
 *
 *     #include "tap.h"
 *
 *     TEST(sums)
 *     {
 *         CHECK(1 + 1 == 2);                          // else the test ends here, failed
 *         ok(sum(2) == 3, "the sum of 1..%d", 2);     // a line of its own; the test goes on
 *     }
 *     TEST(misuse)
 *     {
 *         EXPECT_ABORT("not attached", gc_frob(NULL)); // dies by abort(), saying so
 *     }
 *     TAP_MAIN
 *
 * A program is one file, or a directory of files, one of which has TAP_MAIN or its own main().
 *
 * Each TEST runs in a process of its own, in the order of the file, and yields one TAP line when it
 * ends, besides those of its ok()s. So a test that crashes, or fails a CHECK in whatever thread,
 * fails alone, and none inherits another's heaps or threads.
 * `prog pattern` runs the tests whose name contains it; `TAP_NOFORK=1 prog name` runs that one in
 * the first process, for a debugger.
 *
 *   ok(cond, fmt, …)          one TAP line; returns cond. Any thread.
 *   CHECK(cond)               silent if true; otherwise ends the test as failed. Any thread.
 *   CHECK_EQ(a, b)            the same for integers and pointers; says both values.
 *   CHECK_REFUSED(call, error) the call returns NULL (or false) and sets errno.
 *   FAIL(fmt, …)              ends the test as failed, saying why.
 *   SKIP(fmt, …)              ends the test as skipped, saying why.
 *   diag(fmt, …)              a line of comment; shown when the test fails.
 *   EXPECT_ABORT(text, code)  runs code in a child: it must abort(), with `text` in its stderr.
 *   EXPECT_EXIT(status, code) runs code in a child: it must exit with that status (falling off the
 *                             end is status 0). Make no threads before these two.
 *
 * Where no process can be forked, test/each runs each TEST in a process of its own: `prog --list`
 * tells their names, `prog =name` runs one. EXPECT_ABORT and EXPECT_EXIT skip the test there.
 *
 * A program that must not share the machine with another test (it fills the memory, say) has the
 * words "gcheap-test: alone" in its first 20 lines.
 */
#ifndef TAP_H
#define TAP_H

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#ifndef __wasm__
#include <signal.h>
#endif
#if defined(_WIN32) || defined(__wasm__)
#define TAP_FORKS 0
#else
#define TAP_FORKS 1
#include <sys/mman.h>
#include <sys/wait.h>
#endif

#ifdef __MINGW_PRINTF_FORMAT
#define TAP_PRINTF __MINGW_PRINTF_FORMAT
#else
#define TAP_PRINTF printf
#endif

struct tap_test {
    const char *name;
    void (*run)(void);
    struct tap_test *next;
};

/* Counts shared by all processes of the program. */
struct tap_counts {
    atomic_int lines, failed;
};

/* One of each in a program, however many files it has. */
#ifdef _WIN32
#define TAP_SHARED __attribute__((selectany))
#else
#define TAP_SHARED __attribute__((weak))
#endif
TAP_SHARED struct tap_test *tap_first = NULL;
TAP_SHARED struct tap_test **tap_last = &tap_first;
TAP_SHARED struct tap_counts *tap_counts = NULL;

enum { TAP_PASSED = 0, TAP_FAILED = 99, TAP_SKIPPED = 98 };

#define TEST(name_)                                                                                \
    static void test_##name_(void);                                                                \
    __attribute__((constructor)) static void tap_register_##name_(void)                            \
    {                                                                                              \
        static struct tap_test test = {#name_, test_##name_, NULL};                                \
        *tap_last = &test;                                                                         \
        tap_last = &test.next;                                                                     \
    }                                                                                              \
    static void test_##name_(void)

#define TAP_MAIN                                                                                   \
    int main(int argc, char **argv)                                                                \
    {                                                                                              \
        return tap_main(argc > 1 ? argv[1] : "");                                                  \
    }

#define ok(cond, ...) tap_ok((cond), #cond, __FILE__, __LINE__, __VA_ARGS__)
/* The library has a CHECK of its own (it aborts): in a test this one holds. Include tap.h last. */
#undef CHECK
#define CHECK(cond) ((cond) ? (void)0 : tap_fail(__FILE__, __LINE__, "CHECK(%s)", #cond))
#define CHECK_EQ(a, b)                                                                             \
    tap_check_eq((intptr_t)(a), (intptr_t)(b), "CHECK_EQ(" #a ", " #b ")", __FILE__, __LINE__)
#define CHECK_REFUSED(call, error)                                                                 \
    do {                                                                                           \
        errno = 0;                                                                                 \
        CHECK(!(call));                                                                            \
        CHECK_EQ(errno, error);                                                                    \
    } while (0)
#define FAIL(...) tap_fail(__FILE__, __LINE__, __VA_ARGS__)
#define SKIP(...) tap_skip(__VA_ARGS__)
#define diag(...) tap_say("# ", __VA_ARGS__)

#if TAP_FORKS
#define EXPECT_ABORT(text, ...)                                                                    \
    do {                                                                                           \
        struct tap_child tap_child = tap_fork();                                                   \
        if (tap_child.pid == 0) {                                                                  \
            __VA_ARGS__;                                                                           \
            exit(0);                                                                               \
        }                                                                                          \
        tap_expect_abort(&tap_child, (text), #__VA_ARGS__, __FILE__, __LINE__);                    \
    } while (0)
#define EXPECT_EXIT(status, ...)                                                                   \
    do {                                                                                           \
        struct tap_child tap_child = tap_fork();                                                   \
        if (tap_child.pid == 0) {                                                                  \
            __VA_ARGS__;                                                                           \
            exit(0);                                                                               \
        }                                                                                          \
        tap_expect_exit(&tap_child, (status), #__VA_ARGS__, __FILE__, __LINE__);                   \
    } while (0)

#else
#define EXPECT_ABORT(text, ...)                                                                    \
    do {                                                                                           \
        SKIP("no process can be forked here");                                                     \
        __VA_ARGS__;                                                                               \
    } while (0)
#define EXPECT_EXIT(status, ...) EXPECT_ABORT("", __VA_ARGS__)
#endif

/* ---- What the macros call ------------------------------------------------------------------ */

/* One line (or several, each with the prefix), in one write: threads do not mix theirs. */
__attribute__((format(TAP_PRINTF, 2, 0))) static inline void
tap_vsay(const char *prefix, const char *format, va_list args)
{
    char text[2048], line[4096];
    size_t n = 0;
    vsnprintf(text, sizeof text, format, args);
    for (char *one = text; one && n < sizeof line;) {
        int length = (int)strcspn(one, "\n");
        n += (size_t)snprintf(line + n, sizeof line - n, "%s%.*s\n", prefix, length, one);
        one = one[length] ? one + length + 1 : NULL;
    }
    fputs(line, stdout);
    fflush(stdout);
}

__attribute__((format(TAP_PRINTF, 2, 3))) static inline void tap_say(const char *prefix,
                                                                     const char *format, ...)
{
    va_list args;
    va_start(args, format);
    tap_vsay(prefix, format, args);
    va_end(args);
}

static inline bool tap_line(bool passed, const char *text, bool skipped)
{
    int number = atomic_fetch_add(&tap_counts->lines, 1) + 1;
    if (!passed)
        atomic_fetch_add(&tap_counts->failed, 1);
    tap_say("", "%sok %d - %s%s", passed ? "" : "not ", number, text, skipped ? " # SKIP" : "");
    return passed;
}

__attribute__((format(TAP_PRINTF, 5, 6))) static inline bool
tap_ok(bool passed, const char *cond, const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (!tap_line(passed, text, false))
        diag("%s:%d: not true: %s", file, line, cond);
    return passed;
}

__attribute__((noreturn, format(TAP_PRINTF, 3, 4))) static inline void
tap_fail(const char *file, int line, const char *format, ...)
{
    char text[1024];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    diag("%s:%d: failed: %s", file, line, text);
    _exit(TAP_FAILED);
}

__attribute__((noreturn, format(TAP_PRINTF, 1, 2))) static inline void tap_skip(const char *format,
                                                                                ...)
{
    va_list args;
    va_start(args, format);
    tap_vsay("# skipped: ", format, args);
    va_end(args);
    _exit(TAP_SKIPPED);
}

static inline void tap_check_eq(intptr_t a, intptr_t b, const char *text, const char *file,
                                int line)
{
    if (a != b)
        tap_fail(file, line,
                 "%s: %" PRIdPTR " (0x%" PRIxPTR ") against %" PRIdPTR " (0x%" PRIxPTR ")", text, a,
                 (uintptr_t)a, b, (uintptr_t)b);
}

#if TAP_FORKS

/* A process whose stderr is read. */
struct tap_child {
    pid_t pid;
    int err;
};

static inline struct tap_child tap_fork(void)
{
    int ends[2];
    struct tap_child child;
    CHECK(pipe(ends) == 0);
    fflush(NULL);
    child.pid = fork();
    CHECK(child.pid >= 0);
    if (child.pid == 0)
        dup2(ends[1], STDERR_FILENO);
    close(ends[1]);
    child.err = ends[0];
    return child;
}

/* Its wait status; what it wrote to stderr, as far as it fits, into `said`. */
static inline int tap_reap(struct tap_child *child, char *said, size_t capacity)
{
    char rest[256];
    size_t n = 0;
    ssize_t got;
    int status;
    do {
        bool fits = n + 1 < capacity;
        got = read(child->err, fits ? said + n : rest, fits ? capacity - 1 - n : sizeof rest);
        if (got > 0 && fits)
            n += (size_t)got;
    } while (got > 0);
    said[n] = 0;
    close(child->err);
    CHECK(waitpid(child->pid, &status, 0) == child->pid);
    return status;
}

static inline const char *tap_fate(int status, char *text, size_t capacity)
{
    if (WIFSIGNALED(status))
        snprintf(text, capacity, "killed by signal %d (%s)", WTERMSIG(status),
                 strsignal(WTERMSIG(status)));
    else
        snprintf(text, capacity, "exit status %d", WEXITSTATUS(status));
    return text;
}

static inline void tap_expect_abort(struct tap_child *child, const char *text, const char *code,
                                    const char *file, int line)
{
    char said[4096], fate[64];
    int status = tap_reap(child, said, sizeof said);
    if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGABRT)
        tap_fail(file, line, "EXPECT_ABORT: %s\nended with %s, saying:\n%s", code,
                 tap_fate(status, fate, sizeof fate), said);
    if (!strstr(said, text))
        tap_fail(file, line, "EXPECT_ABORT: %s\ndid not say \"%s\" but:\n%s", code, text, said);
}

static inline void tap_expect_exit(struct tap_child *child, int expected, const char *code,
                                   const char *file, int line)
{
    char said[4096], fate[64];
    int status = tap_reap(child, said, sizeof said);
    if (!WIFEXITED(status) || WEXITSTATUS(status) != expected)
        tap_fail(file, line, "EXPECT_EXIT(%d): %s\nended with %s, saying:\n%s", expected, code,
                 tap_fate(status, fate, sizeof fate), said);
}

static inline void tap_run(const struct tap_test *test)
{
    char fate[64];
    int status;
    diag("%s", test->name);
    fflush(NULL);
    pid_t pid = getenv("TAP_NOFORK") ? 0 : fork();
    if (pid == 0) {
        test->run();
        if (!getenv("TAP_NOFORK"))
            exit(TAP_PASSED);
        status = 0;
    } else if (pid < 0 || waitpid(pid, &status, 0) != pid) {
        perror("fork or waitpid");
        exit(TAP_FAILED);
    }
    bool skipped = WIFEXITED(status) && WEXITSTATUS(status) == TAP_SKIPPED;
    bool passed = status == 0 || skipped;
    tap_line(passed, test->name, skipped);
    if (!passed)
        diag("%s: %s", test->name, tap_fate(status, fate, sizeof fate));
}

static inline void tap_begin(void)
{
    tap_counts =
        mmap(NULL, sizeof *tap_counts, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (tap_counts == MAP_FAILED) {
        perror("mmap");
        exit(TAP_FAILED);
    }
}

#else

static inline void tap_run(const struct tap_test *test)
{
    diag("%s", test->name);
    test->run();
    tap_line(true, test->name, false);
}

static inline void tap_begin(void)
{
    static struct tap_counts counts;
    tap_counts = &counts;
}

#endif

/* The plan; what main() is to return. */
static inline int tap_end(void)
{
    tap_say("", "1..%d", atomic_load(&tap_counts->lines));
    return atomic_load(&tap_counts->failed) ? 1 : 0;
}

/* With --list, tells the names of the tests. */
static inline int tap_main(const char *wish)
{
    bool lists = strcmp(wish, "--list") == 0, exact = wish[0] == '=';
    tap_begin();
    for (struct tap_test *test = tap_first; test; test = test->next)
        if (lists)
            tap_say("", "%s", test->name);
        else if (exact ? strcmp(test->name, wish + 1) == 0 : strstr(test->name, wish) != NULL)
            tap_run(test);
    return lists ? 0 : tap_end();
}

#endif /* TAP_H */
