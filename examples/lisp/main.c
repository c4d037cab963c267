/* main.c: the command line and the prompt.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

#include <ctype.h>
#include <editline/readline.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char usage[] =
    "usage: lisp [option ...] [FILE [argument ...]]\n"
    "\n"
    "  -e EXPRESSION        evaluate it and print its value; may be given more than once\n"
    "      --gc-trace       a line on standard error for each collection\n"
    "      --gc-profile FILE  write at the end who has allocated, for gcheap-pprof\n"
    "      --gc-events FILE   write at the end what the collector did, for ui.perfetto.dev\n"
    "      --heap-limit MB  out of memory beyond that\n"
    "  -h, --help           this text\n"
    "\n"
    "Without FILE and -e: a prompt. Its history is kept in ~/.gcheap_lisp_history, or in the file\n"
    "that LISP_HISTORY names.\n";

enum { HISTORY_LINES = 1000 };

/* ---- Protection ----------------------------------------------------------------------------- */

static void report_error(void)
{
    struct port *port = (struct port *)reg.errors;
    value error = reg.error;
    fflush(stdout);
    if (error->line)
        fprintf(stderr, "%s:%u: ", file_name(error->file), (unsigned)error->line);
    else
        fputs("lisp: ", stderr);
    print_condition(port, error);
    fputc('\n', stderr);
}

/* Runs job(arg). Returns whether it ended without an error; reports the error otherwise.
 * exit() does not return from here. */
static bool protect(void (*job)(void *arg), void *arg)
{
    struct gc_frame *frames = gc_frame_mark();
    switch (setjmp(vm.top)) {
    case TOP_ERROR:
        gc_frame_reset(frames);
        vm_reset();
        report_error();
        return false;
    case TOP_EXIT:
        gc_frame_reset(frames);
        fflush(stdout);
        exit(vm.status);
    default:
        job(arg);
        return true;
    }
}

/* ---- Jobs ----------------------------------------------------------------------------------- */

static void install_all(void *unused)
{
    (void)unused;
    install_special_forms();
    install_builtins();
    install_inlined();
    install_prelude();
}

static void load_file(void *name)
{
    value load = ((struct symbol *)symbol("load"))->global;
    vm_apply(load, cons(make_text(name), NIL));
}

/* What (read-line) shall not see: the end of the line that the form stands in. */
static void skip_line_end(struct port *port)
{
    const struct string *text = (struct string *)port->text;
    while (port->next < port->end && isspace((unsigned char)text->bytes[port->next]))
        port_get(port);
}

/* Reads a form from the port, evaluates it and prints its value. */
static bool read_eval_print(struct port *port)
{
    value form = read_value(port);
    if (form == END_OF_FILE)
        return false;
    skip_line_end(port);
    value v = vm_apply(compile(form), NIL);
    if (v != VOID) {
        print((struct port *)reg.output, v, true);
        port_puts((struct port *)reg.output, "\n");
    }
    return true;
}

static void evaluate_text(void *text)
{
    value port = make_port(PORT_INPUT, NULL, NULL);
    GC_FRAME(port);
    port->file = file_number("-e");
    port_give((struct port *)port, text, strlen(text));
    while (read_eval_print((struct port *)port))
        continue;
}

/* ---- The prompt ----------------------------------------------------------------------------- */

static void interrupt(int signal)
{
    (void)signal;
    vm.interrupted = 1;
}

/* While the user thinks, other threads may collect. */
static char *read_line(const char *prompt)
{
    gc_blocking_begin();
    char *line = readline(prompt);
    gc_blocking_end();
    return line;
}

static bool fill_console(struct port *port)
{
    char *line;
    fflush(stdout);
    while (!(line = read_line(port->nesting ? "  " : "> ")) && vm.interrupted) {
        putchar('\n');
        if (port->nesting)
            check_interrupt(); /* gives the form up */
        vm.interrupted = 0;
    }
    if (!line)
        return false;
    if (*line)
        add_history(line);
    size_t length = strlen(line);
    line[length] = '\n'; /* instead of the NUL */
    port_give(port, line, length + 1);
    free(line);
    return true;
}

static void converse(void *done)
{
    *(bool *)done = !read_eval_print((struct port *)reg.input);
}

static const char *history_file(void)
{
    static char path[4096];
    const char *name = getenv("LISP_HISTORY"), *home = getenv("HOME");
    if (name)
        return name;
    snprintf(path, sizeof path, "%s/.gcheap_lisp_history", home ? home : ".");
    return path;
}

static void save_history(void)
{
    write_history(history_file());
}

static void open_console(struct port *input)
{
    struct sigaction action = {.sa_handler = interrupt};
    sigaction(SIGINT, &action, NULL);
    input->fill = fill_console;
    using_history();
    stifle_history(HISTORY_LINES);
    read_history(history_file());
    atexit(save_history);
}

/* Reads standard input; with line editing if that is a terminal. */
static void run_prompt(void)
{
    struct port *input = (struct port *)reg.input;
    bool console = isatty(STDIN_FILENO), done = false;
    input->head.file = file_number("stdin");
    if (console)
        open_console(input);
    while (!done) {
        if (protect(converse, &done))
            continue;
        input->nesting = 0;
        input->next = input->end; /* the rest of the line */
    }
    if (console)
        putchar('\n');
}

/* ---- The command line ----------------------------------------------------------------------- */

struct command {
    gc_options heap;
    const char *profile, *events;
    char *expressions[64];
    size_t count;
};

static size_t as_megabytes(const char *text)
{
    char *end;
    unsigned long long n = strtoull(text, &end, 10);
    if (!n || *end || n > SIZE_MAX >> 20) {
        fprintf(stderr, "lisp: not a number of megabytes: %s\n", text);
        exit(2);
    }
    return (size_t)n << 20;
}

static void parse_arguments(struct command *command, int argc, char **argv)
{
    static const struct option options[] = {{"gc-trace", no_argument, NULL, 't'},
                                            {"gc-profile", required_argument, NULL, 'p'},
                                            {"gc-events", required_argument, NULL, 'E'},
                                            {"heap-limit", required_argument, NULL, 'l'},
                                            {"help", no_argument, NULL, 'h'},
                                            {NULL, 0, NULL, 0}};
    for (int c; (c = getopt_long(argc, argv, "+e:h", options, NULL)) != -1;) {
        if (c == 'e' && command->count < COUNT(command->expressions)) {
            command->expressions[command->count++] = optarg;
        } else if (c == 't') {
            setenv("GCHEAP_TRACE", "1", 1);
        } else if (c == 'p') {
            command->profile = optarg;
        } else if (c == 'E') {
            command->events = optarg;
        } else if (c == 'l') {
            command->heap.hard_limit = as_megabytes(optarg);
        } else {
            fputs(usage, c == 'h' ? stdout : stderr);
            exit(c == 'h' ? EXIT_SUCCESS : 2);
        }
    }
}

/* ---- What is recorded ----------------------------------------------------------------------- */

static FILE *profile, *events;

static FILE *open_record(const char *path)
{
    FILE *file = path ? fopen(path, "w") : NULL;
    if (path && !file) {
        perror(path);
        exit(EXIT_FAILURE);
    }
    return file;
}

static int to_file(void *file, const char *text, size_t size)
{
    return fwrite(text, 1, size, file) == size ? 0 : -1;
}

static void write_record(FILE **file, int (*write)(gc_write_fn, void *))
{
    if (!*file)
        return;
    bool written = write(to_file, *file) == 0;
    if (fclose(*file) != 0 || !written)
        fputs("lisp: what was recorded cannot be written\n", stderr);
    *file = NULL;
}

/* When the heap is about to end, or (exit) has been called. */
static void write_records(void)
{
    write_record(&profile, gc_profile_write);
    write_record(&events, gc_events_write);
}

static void begin_records(const struct command *command)
{
    const struct gc_profile_options options = {.frames = vm_tell_frames};
    profile = open_record(command->profile);
    events = open_record(command->events);
    if (profile)
        gc_profile_record(&options);
    if (events)
        gc_events_record(true);
    atexit(write_records);
}

static void keep_arguments(int argc, char **argv)
{
    gc_store(&reg.arguments, NIL);
    while (argc-- > optind)
        gc_store(&reg.arguments, cons(make_text(argv[argc]), reg.arguments));
}

static bool run(const struct command *command, const char *file)
{
    bool good = protect(install_all, NULL);
    for (size_t i = 0; good && i < command->count; i++)
        good = protect(evaluate_text, command->expressions[i]);
    if (good && file)
        good = protect(load_file, (void *)file);
    else if (good && !command->count)
        run_prompt();
    return good;
}

int main(int argc, char **argv)
{
    struct command command = {.heap.describe = object_describe};
    parse_arguments(&command, argc, argv);
    gc_heap *heap = gc_heap_create(&command.heap);
    if (!heap) {
        perror("lisp: cannot make a heap");
        return EXIT_FAILURE;
    }
    object_init();
    vm_init();
    begin_records(&command);
    keep_arguments(argc, argv);
    bool good = run(&command, argv[optind]);
    fflush(stdout);
    write_records();
    vm_end();
    object_end();
    gc_heap_destroy(heap);
    return good ? EXIT_SUCCESS : EXIT_FAILURE;
}
