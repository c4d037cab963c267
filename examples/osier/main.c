/* osier: the command line. */
#include "compiler.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static const char usage[] =
    "Usage: osier [OPTION]... [FILE [ARGUMENT]...]\n"
    "Runs an Osier program, or reads one line by line.\n"
    "\n"
    "  -e, --eval=CODE    run CODE instead of a file\n"
    "      --gc-trace     log what the collector does\n"
    "      --gc-stats     print the collector's share of the CPU time at the end\n"
    "      --gc-profile=FILE\n"
    "                     write at the end who has allocated, for gcheap-pprof\n"
    "      --gc-events=FILE\n"
    "                     write at the end what the collector did, for ui.perfetto.dev\n"
    "      --gc-metrics=FILE\n"
    "                     write at the end the heap's statistics, for Prometheus\n"
    "      --percent=N    let the heap grow by N % between two collections\n"
    "      --procs=N      run at most N threads at once\n"
    "  -h, --help         print this and exit\n"
    "  -V, --version      print the version and exit\n"
    "\n"
    "Exit status: 0, or 1 after an uncaught error, or 2 for a wrong command line, or what the\n"
    "program gives to exit().\n";

struct settings {
    const char *code, *profile, *events, *metrics;
    bool stats;
    gc_options gc;
};

/* Who runs a script has no use for being told that a busy machine let one of its threads wait. */
#define WATCHDOG_MS 2000

/* ---- Statistics ---------------------------------------------------------------------------- */

static double milliseconds(uint64_t ns)
{
    return (double)ns / 1e6;
}

static void print_stats(void)
{
    struct gc_statistics s;
    struct timespec cpu;
    fflush(stdout);
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &cpu);
    if (gc_heap_stats(vm.heap, &s))
        return;
    double total = (double)cpu.tv_sec * 1e3 + (double)cpu.tv_nsec / 1e6;
    double collector = milliseconds(s.mark_ns + s.sweep_ns);
    fprintf(stderr,
            "gc: %llu cycles, %.1f of %.1f ms CPU (%.1f %%), longest stall %.3f ms, "
            "%.1f MiB allocated, %.1f MiB live\n",
            (unsigned long long)s.cycles, collector, total, 100 * collector / total,
            milliseconds(s.stall.max), (double)s.allocated_bytes / 1048576,
            (double)s.heap_live / 1048576);
}

/* ---- Running ------------------------------------------------------------------------------- */

static void define_arguments(struct thread *t, char **arguments)
{
    struct list *list = new_list(t, 0);
    GC_FRAME(list);
    for (; arguments && *arguments; arguments++) {
        struct string *s = new_string_z(t, *arguments);
        GC_FRAME(s);
        list_push(t, list, from_object(s));
    }
    define_global(t, "arguments", from_object(list));
}

static bool run_source(struct thread *t, const char *path, const char *source)
{
    struct module *module = new_module(t, "main", path);
    GC_FRAME(module);
    struct closure *body = compile(t, module, source, false, NULL);
    return vm_run(t, from_object(body), NULL, 0);
}

static int run_program(struct thread *t, const struct settings *settings, char **arguments)
{
    struct trap trap;
    size_t length;
    volatile bool well = false;
    char *volatile text = NULL;
    if (setjmp(*trap_set(t, &trap)) == 0) {
        define_arguments(t, settings->code || !*arguments ? arguments : arguments + 1);
        if (!settings->code)
            text = read_file(t, *arguments, &length);
        well = run_source(t, text ? *arguments : "-e", text ? text : settings->code);
    }
    trap_clear(t, &trap);
    free(text);
    if (t->exit_status >= 0)
        return t->exit_status;
    if (!well)
        report_error(t, gc_load_value(&t->roots[ROOT_ERROR]));
    return well && vm_report_failures(t) ? 0 : 1;
}

static bool number_option(const char *text, long least, long most, int *number)
{
    char *end;
    long n = strtol(text, &end, 10);
    if (!*text || *end || n < least || n > most) {
        fprintf(stderr, "osier: '%s' is no number from %ld to %ld\n", text, least, most);
        return false;
    }
    *number = (int)n;
    return true;
}

enum {
    OPTION_TRACE = 256,
    OPTION_STATS,
    OPTION_PROFILE,
    OPTION_EVENTS,
    OPTION_METRICS,
    OPTION_PERCENT,
    OPTION_PROCS
};

static const struct option options[] = {{"eval", required_argument, NULL, 'e'},
                                        {"gc-trace", no_argument, NULL, OPTION_TRACE},
                                        {"gc-stats", no_argument, NULL, OPTION_STATS},
                                        {"gc-profile", required_argument, NULL, OPTION_PROFILE},
                                        {"gc-events", required_argument, NULL, OPTION_EVENTS},
                                        {"gc-metrics", required_argument, NULL, OPTION_METRICS},
                                        {"percent", required_argument, NULL, OPTION_PERCENT},
                                        {"procs", required_argument, NULL, OPTION_PROCS},
                                        {"help", no_argument, NULL, 'h'},
                                        {"version", no_argument, NULL, 'V'},
                                        {NULL, 0, NULL, 0}};

/* Whether the option is fine; *status >= 0 if the program is to end. */
static bool take_option(struct settings *settings, int option, int *status)
{
    int n = 0;
    switch (option) {
    case 'e':
        settings->code = optarg;
        return true;
    case OPTION_TRACE:
        setenv("GCHEAP_TRACE", "1", 1);
        setvbuf(stdout, NULL, _IOLBF, 0); /* in step with the trace */
        return true;
    case OPTION_STATS:
        settings->stats = true;
        return true;
    case OPTION_PROFILE:
        settings->profile = optarg;
        return true;
    case OPTION_EVENTS:
        settings->events = optarg;
        return true;
    case OPTION_METRICS:
        settings->metrics = optarg;
        return true;
    case OPTION_PERCENT:
        if (!number_option(optarg, 1, 100000, &settings->gc.percent))
            return false;
        return true;
    case OPTION_PROCS:
        if (!number_option(optarg, 1, 256, &n))
            return false;
        settings->gc.max_procs = (unsigned)n;
        return true;
    case 'h':
        fputs(usage, stdout);
        *status = 0;
        return true;
    case 'V':
        printf("osier, on gcheap %u.%u.%u\n", gc_version() / 10000, gc_version() / 100 % 100,
               gc_version() % 100);
        *status = 0;
        return true;
    default:
        return false;
    }
}

static int parse_options(struct settings *settings, int argc, char **argv)
{
    int option, status = -1;
    while (status < 0 && (option = getopt_long(argc, argv, "+e:hV", options, NULL)) >= 0)
        if (!take_option(settings, option, &status)) {
            fputs("Try 'osier --help'.\n", stderr);
            return 2;
        }
    return status;
}

int main(int argc, char **argv)
{
    static struct thread thread;
    struct settings settings = {
        .gc = {.flags = GC_FINALIZER_THREAD, .format = VALUE_FORMAT, .watchdog_ms = WATCHDOG_MS}};
    int status = parse_options(&settings, argc, argv);
    if (status >= 0)
        return status;
    if (vm_open(&thread, &settings.gc)) {
        fputs("osier: no memory for a heap\n", stderr);
        return 70;
    }
    if (!observe_begin(settings.profile, settings.events, settings.metrics))
        return 1;
    observe_thread(&thread);
    if (settings.stats)
        atexit(print_stats);
    if (settings.code || optind < argc)
        status = run_program(&thread, &settings, argv + optind);
    else
        status = repl(&thread);
    fflush(stdout);
    if (!observe_end() && status == 0)
        status = 1;
    if (settings.stats)
        exit(status); /* the heap is still to be asked */
    vm_close(&thread);
    return status;
}
