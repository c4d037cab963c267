/* The dialogue: each input is compiled as a part of one module. */
#include "compiler.h"

#include <editline/readline.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static char *read_plain_line(void)
{
    char *line = NULL;
    size_t capacity = 0;
    ssize_t n = getline(&line, &capacity, stdin);
    if (n < 0) {
        free(line);
        return NULL;
    }
    if (n && line[n - 1] == '\n')
        line[n - 1] = 0;
    return line;
}

static char *next_line(bool edit, const char *prompt)
{
    fflush(stdout);
    gc_blocking_begin();
    char *line = edit ? readline(prompt) : read_plain_line();
    gc_blocking_end();
    if (edit && line && *line)
        add_history(line);
    return line;
}

/* text and a line, joined; frees both. */
static char *append_line(char *text, char *line)
{
    size_t length = text ? strlen(text) + 1 : 0;
    char *joined = realloc(text, length + strlen(line) + 1);
    if (joined) {
        if (length)
            joined[length - 1] = '\n';
        memcpy(joined + length, line, strlen(line) + 1);
    }
    free(line);
    return joined;
}

/* Compiles and runs an input; *incomplete if it wants more lines. */
static void evaluate(struct thread *t, struct module *module, const char *text, bool *incomplete)
{
    struct trap trap;
    volatile bool well = false;
    *incomplete = false;
    if (setjmp(*trap_set(t, &trap)) == 0) {
        struct closure *body = compile(t, module, text, true, incomplete);
        well = vm_run(t, from_object(body), NULL, 0);
    }
    trap_clear(t, &trap);
    if (!well && !*incomplete && t->exit_status < 0)
        report_error(t, gc_load_value(&t->roots[ROOT_ERROR]));
    thread_root_set(t, ROOT_ERROR, NIL);
}

/* An empty line ends an input that is not complete. */
static void converse(struct thread *t, struct module *module, bool edit)
{
    char *text = NULL, *line;
    bool incomplete = false;
    GC_FRAME(module);
    while ((line = next_line(edit, text ? "  ... " : "osier> "))) {
        bool forced = text && !*line;
        text = append_line(text, line);
        if (!text)
            return;
        evaluate(t, module, text, &incomplete);
        if (t->exit_status >= 0)
            break;
        if (incomplete && !forced)
            continue;
        if (incomplete)
            fputs("osier: the input is not complete\n", stderr);
        free(text);
        text = NULL;
    }
    free(text);
}

int repl(struct thread *t)
{
    struct trap trap;
    bool edit = isatty(STDIN_FILENO);
    if (setjmp(*trap_set(t, &trap)) == 0) {
        if (edit)
            puts("Osier on gcheap. Control-D ends it.");
        define_global(t, "arguments", from_object(new_list(t, 0)));
        converse(t, new_module(t, "repl", "repl"), edit);
    }
    trap_clear(t, &trap);
    if (t->exit_status >= 0)
        return t->exit_status;
    if (edit)
        puts("");
    return vm_report_failures(t) ? 0 : 1;
}
