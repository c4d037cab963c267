/* system.c: checks of arguments; errors, evaluation and the world outside, for Lisp programs.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* ---- Arguments ------------------------------------------------------------------------------ */

_Noreturn void wrong_type(value v, const char *wanted)
{
    fail(v, "%s: expected %s, got", vm.callee->name, wanted);
}

value expect(value v, enum tag tag)
{
    static const char *const names[T_BUILTIN] = {
        [T_STRING] = "a string", [T_SYMBOL] = "a symbol",      [T_PAIR] = "a pair",
        [T_VECTOR] = "a vector", [T_RECORD] = "a record",      [T_TABLE] = "a hash table",
        [T_PORT] = "a port",     [T_CONDITION] = "a condition"};
    if (!is(v, tag))
        wrong_type(v, names[tag]);
    return v;
}

/* 0 <= v < limit */
size_t as_index(value v, size_t limit)
{
    int64_t n = as_integer(v);
    if (n < 0 || (size_t)n >= limit)
        fail(v, "%s: out of range:", vm.callee->name);
    return (size_t)n;
}

static struct builtin *builtins;

void add_builtin(struct builtin *builtin)
{
    builtin->next = builtins;
    builtins = builtin;
}

void install_builtins(void)
{
    for (struct builtin *builtin = builtins; builtin; builtin = builtin->next)
        define(symbol(builtin->name), &builtin->head);
}

/* ---- Errors --------------------------------------------------------------------------------- */

BUILTIN("error", system_error, 1, -1)
{
    struct place place = where();
    value irritants = NIL;
    GC_FRAME(irritants);
    while (argc-- > 1)
        irritants = cons(argv[argc], irritants);
    value condition = make_condition(argv[0], irritants);
    condition->file = place.file;
    condition->line = place.line;
    throw_condition(condition);
}

BUILTIN("%uncaught", system_uncaught, 1, 1)
{
    uncaught(argv[0]);
}

EXPRESSION("error-object?", condition_is, 1, 1, boolean(is(argv[0], T_CONDITION)))
EXPRESSION("error-object-message", condition_message, 1, 1,
           ((struct condition *)expect(argv[0], T_CONDITION))->message)
EXPRESSION("error-object-irritants", condition_irritants, 1, 1,
           ((struct condition *)expect(argv[0], T_CONDITION))->irritants)

BUILTIN("condition/report-string", condition_report, 1, 1)
{
    value port = make_port(PORT_OUTPUT, NULL, NULL);
    GC_FRAME(port);
    print_condition((struct port *)port, expect(argv[0], T_CONDITION));
    return port_text((struct port *)port);
}

/* ---- Evaluation and the collector ----------------------------------------------------------- */

EXPRESSION("%compile", system_compile, 1, 1, compile(argv[0]))

BUILTIN("gc", system_collect, 0, 0)
{
    gc_collect();
    return VOID;
}

/* Writes a heap dump, which gcheap-heap reads. */
BUILTIN("gc-dump", system_dump, 1, 1)
{
    const char *path = as_string(argv[0])->bytes;
    int error = gc_heap_dump(path);
    if (error)
        fail(NULL, "%s: %s", path, strerror(-error));
    return VOID;
}

/* ((cycles . n) (live . bytes) ...) */
BUILTIN("gc-stats", system_statistics, 0, 0)
{
    struct gc_statistics stats;
    gc_stats(&stats);
    const struct {
        const char *name;
        uint64_t number;
    } rows[] = {{"cycles", stats.cycles},
                {"live", stats.heap_live},
                {"goal", stats.heap_goal},
                {"allocated", stats.allocated_bytes},
                {"longest-stall-ns", stats.stall.max},
                {"mark-ns", stats.mark_ns}};
    value list = NIL;
    GC_FRAME(list);
    for (size_t i = COUNT(rows); i-- > 0;)
        list = cons(cons(symbol(rows[i].name), make_integer((int64_t)rows[i].number)), list);
    return list;
}

/* Writes who keeps the value alive to the log, and returns how many references lead to it. */
BUILTIN("gc-path", system_path, 1, 1)
{
    int n = gc_path(argv[0], NULL, NULL);
    return n < 0 ? FALSE : fixnum(n);
}

/* ---- The world outside ---------------------------------------------------------------------- */

BUILTIN("exit", system_exit, 0, 1)
{
    vm.status = argc == 0 || argv[0] == TRUE ? EXIT_SUCCESS
                : argv[0] == FALSE           ? EXIT_FAILURE
                                             : (int)as_index(argv[0], 256);
    longjmp(vm.top, TOP_EXIT);
}

/* Seconds, from an arbitrary start. */
BUILTIN("runtime", system_runtime, 0, 0)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return make_real((double)now.tv_sec + (double)now.tv_nsec * 1e-9);
}

EXPRESSION("command-line", system_arguments, 0, 0, reg.arguments)
EXPRESSION("file-exists?", system_file_exists, 1, 1,
           boolean(access(as_string(argv[0])->bytes, F_OK) == 0))
EXPRESSION("delete-file", system_delete_file, 1, 1, boolean(unlink(as_string(argv[0])->bytes) == 0))
EXPRESSION("void", system_void, 0, -1, VOID)
EXPRESSION("eof-object", system_end_of_file, 0, 0, END_OF_FILE)
