/* port.c: where text comes from and goes to: files and strings.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- Names of source files, by number ------------------------------------------------------- */

enum { MAX_FILES = 1 << 12 }; /* what struct insn has room for */
static char *files[MAX_FILES] = {"prelude"};
static uint16_t file_count = 1;

uint16_t file_number(const char *name)
{
    for (uint16_t i = 0; i < file_count; i++)
        if (strcmp(files[i], name) == 0)
            return i;
    if (file_count == MAX_FILES || !(files[file_count] = strdup(name)))
        return 0;
    return file_count++;
}

const char *file_name(uint16_t number)
{
    return files[number];
}

/* ---- Input ---------------------------------------------------------------------------------- */

int port_peek(struct port *port)
{
    if (port->next == port->end && !(port->fill && port->fill(port)))
        return EOF;
    return (unsigned char)((struct string *)port->text)->bytes[port->next];
}

int port_get(struct port *port)
{
    int c = port_peek(port);
    if (c != EOF)
        port->next++;
    if (c == '\n')
        port->head.line++;
    return c;
}

/* Makes bytes what the port reads next. */
void port_give(struct port *port, const char *bytes, size_t length)
{
    gc_store(&port->text, make_string(bytes, length));
    port->next = 0;
    port->end = length;
}

/* Other threads' collections need not wait for a slow terminal or pipe. */
bool port_fill_line(struct port *port)
{
    char *line = NULL;
    size_t size = 0;
    FILE *file = port->file;
    gc_blocking_begin();
    ssize_t length = file ? getline(&line, &size, file) : -1;
    gc_blocking_end();
    if (length > 0)
        port_give(port, line, (size_t)length);
    free(line);
    return length > 0;
}

/* ---- Output --------------------------------------------------------------------------------- */

static void reserve(struct port *port, size_t more)
{
    struct string *text = (struct string *)port->text;
    size_t room = text ? text->length : 0;
    if (port->end + more <= room)
        return;
    struct string *larger = (struct string *)make_string(NULL, 2 * room + more + 48);
    if (text)
        memcpy(larger->bytes, text->bytes, port->end);
    gc_store(&port->text, larger);
}

/* `bytes` is rooted by the caller, or no object. */
void port_write(struct port *port, const char *bytes, size_t length)
{
    if (port->file) {
        fwrite(bytes, 1, length, port->file);
        return;
    }
    reserve(port, length);
    memcpy(((struct string *)port->text)->bytes + port->end, bytes, length);
    port->end += length;
}

void port_puts(struct port *port, const char *text)
{
    port_write(port, text, strlen(text));
}

value port_text(struct port *port)
{
    value text = make_string(NULL, port->end);
    if (port->end)
        memcpy(((struct string *)text)->bytes, ((struct string *)port->text)->bytes, port->end);
    return text;
}

/* ---- Files ---------------------------------------------------------------------------------- */

/* Runs when a port died that was never closed. */
static void close_forgotten(void *file)
{
    fclose(file);
}

/* Open files that nothing refers to are garbage; the first to feel it is who runs out of them. */
static FILE *open_or_collect(const char *name, const char *mode)
{
    gc_finalizers_run(0);
    FILE *file = fopen(name, mode);
    if (file || errno != EMFILE)
        return file;
    gc_collect();
    gc_finalizers_run(0);
    return fopen(name, mode);
}

value open_file(const char *name, const char *mode)
{
    FILE *file = open_or_collect(name, mode);
    if (!file)
        fail(NULL, "%s: %s", name, strerror(errno));
    value v = *mode == 'r' ? make_port(PORT_INPUT, file, port_fill_line)
                           : make_port(PORT_OUTPUT, file, NULL);
    struct port *port = (struct port *)v;
    port->head.file = file_number(name);
    port->cleanup = gc_cleanup_add(port, close_forgotten, file);
    return v;
}

void port_close(struct port *port)
{
    if (port->file && port->cleanup > 0) {
        gc_cleanup_cancel(port, port->cleanup);
        fclose(port->file);
    }
    port->head.flag = PORT_CLOSED;
    port->file = NULL;
    port->fill = NULL;
    port->next = port->end = 0;
}
