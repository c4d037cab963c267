/* Which runs there are.
 *
 *   shadow                         all modes in turn, as TAP
 *   shadow NAME=VALUE…             one run
 *     seed=N threads=N rests=N mode=concurrent|stop|alone|conservative
 *     format=plain|tagged|boxed    the default is drawn from the seed
 *     debug=SWITCHES               as in options.debug; none
 *   shadow stress [seconds=S] [rounds=N]
 *                                  rounds of random configurations for so long, or so many, each a
 *                                  test that names itself by the words that repeat it
 * Environment: GCHEAP_STRESS_RESTS (of each run), GCHEAP_SEED, and the library's GCHEAP_DEBUG.
 */
#include "shadow.h"

static uint64_t default_seed(void)
{
    struct timespec t;
    const char *given = getenv("GCHEAP_SEED");
    clock_gettime(CLOCK_REALTIME, &t);
    return given ? strtoull(given, NULL, 0)
                 : (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

static struct setup default_setup(void)
{
    const char *rests = getenv("GCHEAP_STRESS_RESTS");
    uint64_t seed = default_seed();
    return (struct setup){seed,           4, rests ? (unsigned)atoi(rests) : 5, CONCURRENT,
                          seed % FORMATS, ""};
}

static void run_as(unsigned threads, enum mode mode, enum format format)
{
    struct setup setup = default_setup();
    setup.threads = threads;
    setup.mode = mode;
    setup.format = format % FORMATS;
    run(setup);
}

static void run_delayed(unsigned threads)
{
    struct setup setup = default_setup();
    setup.threads = threads;
    snprintf(setup.debug, sizeof setup.debug, "delay=%u", (unsigned)(setup.seed % 1000000) + 1);
    run(setup);
}

TEST(one_thread)
{
    run_as(1, CONCURRENT, PLAIN);
}
TEST(two_threads)
{
    run_as(2, CONCURRENT, PLAIN);
}
TEST(four_threads)
{
    run_as(4, CONCURRENT, PLAIN);
}
TEST(eight_threads)
{
    run_as(8, CONCURRENT, PLAIN);
}
TEST(many_threads)
{
    run_as(32, CONCURRENT, PLAIN);
}
TEST(tagged_one)
{
    run_as(1, CONCURRENT, TAGGED);
}
TEST(tagged_four)
{
    run_as(4, CONCURRENT, TAGGED);
}
TEST(boxed_two)
{
    run_as(2, CONCURRENT, BOXED);
}
TEST(boxed_eight)
{
    run_as(8, CONCURRENT, BOXED);
}
TEST(delayed_two)
{
    run_delayed(2);
}
TEST(delayed_eight)
{
    run_delayed(8);
}
TEST(stop_one)
{
    run_as(1, STOP, PLAIN);
}
TEST(stop_two)
{
    run_as(2, STOP, TAGGED);
}
TEST(stop_eight)
{
    run_as(8, STOP, BOXED);
}
TEST(stop_many)
{
    run_as(32, STOP, PLAIN);
}
TEST(alone_one)
{
    run_as(1, ALONE, PLAIN);
}
TEST(alone_four)
{
    run_as(4, ALONE, BOXED);
}
TEST(conservative_one)
{
    run_as(1, CONSERVATIVE, PLAIN);
}
TEST(conservative_four)
{
    run_as(4, CONSERVATIVE, PLAIN);
}
TEST(conservative_many)
{
    run_as(32, CONSERVATIVE, TAGGED);
}

static int lookup(const char *value, const char *const *names, int n)
{
    for (int i = 0; i < n; i++) {
        if (strcmp(value, names[i]) == 0)
            return i;
    }
    fprintf(stderr, "shadow: %s?\n", value);
    exit(2);
}

static void set_option(struct setup *s, const char *name, const char *value)
{
    if (strcmp(name, "seed") == 0) {
        s->seed = strtoull(value, NULL, 0);
        s->format = s->seed % FORMATS;
    } else if (strcmp(name, "threads") == 0) {
        s->threads = (unsigned)atoi(value);
    } else if (strcmp(name, "rests") == 0) {
        s->rests = (unsigned)atoi(value);
    } else if (strcmp(name, "mode") == 0) {
        s->mode = (enum mode)lookup(value, mode_names, 4);
    } else if (strcmp(name, "format") == 0) {
        s->format = (enum format)lookup(value, format_names, 3);
    } else if (strcmp(name, "debug") == 0) {
        snprintf(s->debug, sizeof s->debug, "%s", value);
    } else {
        fprintf(stderr, "shadow: %s?\n", name);
        exit(2);
    }
}

/* ---- Rounds of random configurations ---- */

static void add_switch(char *debug, size_t size, const char *name, uint64_t value)
{
    size_t n = strlen(debug);
    snprintf(debug + n, size - n, "%s%s=%llu", n ? "," : "", name, (unsigned long long)value);
}

static struct setup random_setup(uint64_t *random)
{
    static const unsigned threads[] = {1, 2, 2, 3, 4, 4, 6, 8, 8, 16, 32};
    struct setup s = default_setup();
    s.seed = random_next(random) >> 16;
    s.threads = threads[random_below(random, sizeof threads / sizeof threads[0])];
    s.rests = 4 + (unsigned)random_below(random, 16);
    s.mode = random_one_in(random, 2) ? CONCURRENT : (enum mode)random_below(random, 4);
    s.format = (enum format)random_below(random, FORMATS);
    if (random_one_in(random, 2))
        add_switch(s.debug, sizeof s.debug, "delay", 1 + random_below(random, 1000000));
    if (random_one_in(random, 4))
        add_switch(s.debug, sizeof s.debug, "nth", 20 + random_below(random, 500));
    if (random_one_in(random, 6))
        add_switch(s.debug, sizeof s.debug, "stay", 1 + random_below(random, 100));
    if (random_one_in(random, 3))
        add_switch(s.debug, sizeof s.debug, "buffers", 1 + random_below(random, 4));
    if (random_one_in(random, 6))
        add_switch(s.debug, sizeof s.debug, "failos", 3 + random_below(random, 20));
    if (random_one_in(random, 3))
        add_switch(s.debug, sizeof s.debug, "poison", 1 + random_below(random, 2));
    if (random_one_in(random, 2))
        add_switch(s.debug, sizeof s.debug, "verify", 1);
    if (random_one_in(random, 2))
        add_switch(s.debug, sizeof s.debug, "checkmark", 1);
    return s;
}

static struct setup the_round;
static void run_round(void)
{
    run(the_round);
}

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Until both are over. */
struct stress {
    uint64_t rounds;
    double seconds;
};

static int run_rounds(uint64_t seed, struct stress much)
{
    double end = now() + much.seconds;
    uint64_t random = seed;
    tap_begin();
    diag("GCHEAP_SEED=%llu", (unsigned long long)seed);
    for (uint64_t round = 0; round < much.rounds || now() < end; round++) {
        char name[256];
        the_round = random_setup(&random);
        describe_run(name, sizeof name, &the_round);
        struct tap_test test = {name, run_round, NULL};
        tap_run(&test);
    }
    return tap_end();
}

static void need_threads(const struct setup *setup)
{
    if (setup->threads < 1 || setup->threads > MUTATORS) {
        fprintf(stderr, "shadow: 1 to %d threads\n", MUTATORS);
        exit(2);
    }
}

int main(int argc, char **argv)
{
    bool rounds = argc > 1 && strcmp(argv[1], "stress") == 0;
    if (!rounds && (argc < 2 || argv[1][0] == '=' || !strchr(argv[1], '=')))
        return tap_main(argc > 1 ? argv[1] : "");
    struct setup setup = default_setup();
    struct stress much = {0};
    for (int i = 1 + rounds; i < argc; i++) {
        char *value = strchr(argv[i], '=');
        if (!value)
            lookup(argv[i], NULL, 0);
        *value++ = 0;
        if (rounds && strcmp(argv[i], "seconds") == 0)
            much.seconds = atof(value);
        else if (rounds && strcmp(argv[i], "rounds") == 0)
            much.rounds = (uint64_t)atoi(value);
        else
            set_option(&setup, argv[i], value);
    }
    if (rounds)
        return run_rounds(setup.seed, much);
    need_threads(&setup);
    run(setup);
    printf("ok 1 - %s\n1..1\n", replay);
    return 0;
}
