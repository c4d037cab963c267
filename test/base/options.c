/* Options and debug switches: what is wrong with them is told by one line each, and loses nothing
 * else. */
#include "cells.h"

static unsigned lines;
static char said[4096];

static void keep(void *unused, enum gc_log_level level, const char *line)
{
    (void)unused;
    if (level == GC_LOG_TRACE)
        return;
    lines++;
    snprintf(said + strlen(said), sizeof said - strlen(said), "%s\n", line);
}

static struct debug_switches switches_of(const char *text)
{
    lines = 0;
    said[0] = 0;
    gc_heap *heap = gc_heap_create(&(gc_options){.debug = text, .log = keep});
    CHECK(heap);
    struct debug_switches d = heap->debug;
    os_fail_one_in(0);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    return d;
}

/* The switch is told, by a line with that text, and the others around it are in force. */
static void check_refused(const char *bad, const char *text)
{
    char list[200];
    snprintf(list, sizeof list, "poison,%s,verify", bad);
    struct debug_switches d = switches_of(list);
    if (lines != 1 || !strstr(said, text) || !strstr(said, bad) || !strstr(said, "options.debug"))
        FAIL("%s: %u lines:\n%s", bad, lines, said);
    CHECK(d.poison && d.verify);
    CHECK(!d.nth && !d.failos && !d.buffers && !d.delay && !d.checkmark);
}

/* With nth, checkmark makes some cycles stay, unless the lists say how they stay. */
TEST(checkmark_with_nth)
{
    struct debug_switches d = switches_of("checkmark,nth=50");
    CHECK(d.stay == 16 && d.mixed && !d.rarer && d.nth == 50);
    d = switches_of("checkmark,nth=50,stay=3");
    CHECK(d.stay == 3 && !d.mixed);
    d = switches_of("checkmark=0,nth=50");
    CHECK(!d.stay && !d.mixed);
    d = switches_of("checkmark");
    CHECK(!d.stay && !d.mixed);
    CHECK_EQ(setenv("GCHEAP_DEBUG", "nth=50", 1), 0);
    d = switches_of("checkmark");
    CHECK(d.stay == 16 && d.mixed);
    d = switches_of("all");
    CHECK(d.stay == 16 && d.mixed && !d.rarer && d.nth == 50);
    CHECK_EQ(unsetenv("GCHEAP_DEBUG"), 0);
    d = switches_of("all");
    CHECK(d.mixed && d.rarer && d.nth == 1);
    d = switches_of("all,nth=9");
    CHECK(d.stay == 16 && d.mixed && !d.rarer && d.nth == 9);
}

TEST(bad_values)
{
    static const char *const numbers[] = {"nth", "delay", "buffers", "failos"};
    static const char *const bad[] = {"",
                                      "=",
                                      "=0",
                                      "=-1",
                                      "=+1",
                                      "= 1",
                                      "=1x",
                                      "=0x10",
                                      "=1e3",
                                      "=4294967296",
                                      "=2.5",
                                      "=ten",
                                      "=99999999999999999999999",
                                      "=18446744073709551617"};
    for (size_t i = 0; i < 4; i++) {
        for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
            char text[64];
            snprintf(text, sizeof text, "%s%s", numbers[i], bad[k]);
            check_refused(text, strcmp(numbers[i], "failos") ? "from 1 to 4294967295"
                                                             : "from 2 to 4294967295");
        }
    }
    check_refused("failos=1", "from 2 to");
    check_refused("checkmark=2", "from 0 to 1");
    check_refused("checkmark=yes", "from 0 to 1");
}

TEST(unknown_switches)
{
    static const char *const unknown[] = {"nths=1", "",  " nth=1", "Nth=1",
                                          "nth:1",  "=", "=1",     "poisons"};
    for (size_t i = 0; i < sizeof unknown / sizeof *unknown; i++)
        check_refused(unknown[i],
                      "nth, stay, poison, verify, checkmark, ages, stores, fields, freed, "
                      "roots, redzones, types, delay, buffers, failos, "
                      "watchdog, safepoints, all, help");
    switches_of("poison,");
    CHECK_EQ(lines, 1);
}

TEST(a_switch_that_stands_there_twice)
{
    struct debug_switches d = switches_of("nth=5,poison,nth=7");
    CHECK_EQ(d.nth, 7);
    CHECK(lines == 1 && strstr(said, "twice") && d.poison);
}

TEST(good_switches)
{
    struct debug_switches d =
        switches_of("nth=4294967295,delay=1,buffers=3,failos=4294967295,verify=1");
    CHECK(d.nth == UINT32_MAX && d.delay == 1 && d.buffers == 3 && d.failos == UINT32_MAX);
    CHECK(d.verify && !d.poison && lines == 0);
    d = switches_of("poison=0,checkmark=1,verify,ages,types");
    CHECK(!d.poison && d.checkmark && d.verify && d.ages && d.types && lines == 0);
    switches_of("");
    CHECK_EQ(lines, 0);
}

/* Each switch that may be unknown is known to the help, and the others are in force. */
TEST(help)
{
    struct debug_switches d = switches_of("nth=3,help,poison");
    CHECK(d.nth == 3 && d.poison);
    for (const char *name = "nth\0stay\0poison\0verify\0checkmark\0delay\0buffers\0failos\0watchdog"
                            "\0ages\0all\0stores\0"
                            "fields\0freed\0roots\0redzones\0types\0safepoints\0";
         *name; name += strlen(name) + 1, lines--) {
        char start[32];
        snprintf(start, sizeof start, "GCHEAP_DEBUG: %s", name);
        CHECK(strstr(said, start));
    }
    CHECK_EQ(lines, 0);
}

static unsigned watchdog_of(const char *list, unsigned ms)
{
    gc_heap *heap = gc_heap_create(&(gc_options){.debug = list, .watchdog_ms = ms, .log = keep});
    unsigned result = gc_heap_options(heap)->watchdog_ms;
    CHECK_EQ(gc_heap_destroy(heap), 0);
    return result;
}

TEST(the_watchdog_can_be_turned_off)
{
    CHECK_EQ(watchdog_of("watchdog=0", 0), GC_WATCHDOG_OFF);
    CHECK_EQ(watchdog_of("watchdog=0", 7), GC_WATCHDOG_OFF);
    CHECK_EQ(watchdog_of("watchdog=30", GC_WATCHDOG_OFF), 30);
    CHECK_EQ(watchdog_of("poison", 0), 100);
    check_refused("watchdog", "from 0 to");
    check_refused("watchdog=4294967295", "from 0 to 4294967294");
}

TEST(switches_of_the_environment)
{
    CHECK_EQ(setenv("GCHEAP_DEBUG", "nth=0,poison", 1), 0);
    struct debug_switches d = switches_of("nth=9");
    CHECK(d.nth == 9 && d.poison && lines == 1);
    CHECK(strstr(said, "GCHEAP_DEBUG") && strstr(said, "nth=0"));
}

/* ---- Options ---- */

static void check_option(gc_options o, const char *name, const char *value)
{
    lines = 0;
    said[0] = 0;
    o.log = keep;
    CHECK_REFUSED(gc_heap_create(&o), EINVAL);
    if (lines != 1 || !strstr(said, name) || !strstr(said, value))
        FAIL("%s: %u lines:\n%s", name, lines, said);
}

TEST(bad_options)
{
    check_option((gc_options){.percent = -2}, "options.percent", "-2");
    check_option((gc_options){.percent = INT32_MIN}, "options.percent", "-2147483648");
    check_option((gc_options){.max_procs = 257}, "options.max_procs", "257");
    check_option((gc_options){.max_procs = UINT32_MAX}, "options.max_procs", "4294967295");
    check_option((gc_options){.mark_workers = 65}, "options.mark_workers", "65");
    check_option((gc_options){.reserve = SIZE_MAX}, "options.reserve", "at most");
    check_option((gc_options){.flags = 1u << 30}, "options.flags", "0x40000000");
    check_option((gc_options){.flags = GC_HUGE_PAGES | GC_NO_HUGE_PAGES}, "options.flags", "once");
    check_option((gc_options){.format = {0, 1, 0}}, "options.format", "");
    check_option((gc_options){.format = {7, 8, 1}}, "options.format", "");
    check_option((gc_options){.format = {7, 1, 0}}, "options.format", "");
}

TAP_MAIN
