/* texts.c: symbols, characters, strings and ports, for Lisp programs. A string is a sequence of
 * bytes; UTF-8 passes through it untouched.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

#include <ctype.h>
#include <string.h>

static unsigned char as_char(value v)
{
    if (tag_of(v) != T_CHAR)
        wrong_type(v, "a character");
    return (unsigned char)(uintptr_t)v;
}

static struct symbol *as_symbol(value v)
{
    return (struct symbol *)expect(v, T_SYMBOL);
}

PREDICATE("symbol?", is_symbol, is(v, T_SYMBOL))
PREDICATE("string?", is_string, is(v, T_STRING))
PREDICATE("char?", is_char, tag_of(v) == T_CHAR)
PREDICATE("eof-object?", is_end_of_file, v == END_OF_FILE)
PREDICATE("char-alphabetic?", is_alphabetic, isalpha(as_char(v)))
PREDICATE("char-numeric?", is_numeric, isdigit(as_char(v)))
PREDICATE("char-whitespace?", is_whitespace, isspace(as_char(v)))

/* ---- Symbols and characters ----------------------------------------------------------------- */

EXPRESSION("symbol->string", symbol_to_string, 1, 1,
           make_string(as_symbol(argv[0])->name, as_symbol(argv[0])->length))
EXPRESSION("string->symbol", symbol_from_string, 1, 1,
           intern(as_string(argv[0])->bytes, as_string(argv[0])->length))

/* A symbol that no text reads as. */
BUILTIN("gensym", symbol_generate, 0, 0)
{
    static unsigned count;
    char name[24];
    snprintf(name, sizeof name, "g%u", ++count);
    value v = make_alias(symbol(name), false);
    gc_store(&((struct symbol *)v)->alias, NULL);
    return v;
}

EXPRESSION("char->integer", char_to_integer, 1, 1, fixnum(as_char(argv[0])))
EXPRESSION("integer->char", char_from_integer, 1, 1,
           character((unsigned char)as_index(argv[0], 256)))
EXPRESSION("char-upcase", char_upcase, 1, 1, character((unsigned char)toupper(as_char(argv[0]))))
EXPRESSION("char-downcase", char_downcase, 1, 1,
           character((unsigned char)tolower(as_char(argv[0]))))
EXPRESSION("char=?", char_equal, 2, 2, boolean(as_char(argv[0]) == as_char(argv[1])))
EXPRESSION("char<?", char_less, 2, 2, boolean(as_char(argv[0]) < as_char(argv[1])))

/* ---- Strings -------------------------------------------------------------------------------- */

BUILTIN("make-string", string_make, 1, 2)
{
    size_t length = as_index(argv[0], SIZE_MAX / 16);
    int fill = argc == 2 ? as_char(argv[1]) : ' ';
    struct string *string = (struct string *)make_string(NULL, length);
    memset(string->bytes, fill, length);
    return &string->head;
}

BUILTIN("string", string_of, 0, -1)
{
    struct string *string = (struct string *)make_string(NULL, (size_t)argc);
    for (int i = 0; i < argc; i++)
        string->bytes[i] = (char)as_char(argv[i]);
    return &string->head;
}

EXPRESSION("string-length", string_count, 1, 1, fixnum((int64_t)as_string(argv[0])->length))

BUILTIN("string-ref", string_ref, 2, 2)
{
    struct string *string = as_string(argv[0]);
    return character((unsigned char)string->bytes[as_index(argv[1], string->length)]);
}

BUILTIN("string-set!", string_set, 3, 3)
{
    struct string *string = as_string(argv[0]);
    string->bytes[as_index(argv[1], string->length)] = (char)as_char(argv[2]);
    return VOID;
}

/* (substring string start [end]) */
BUILTIN("substring", string_part, 2, 3)
{
    struct string *string = as_string(argv[0]);
    size_t end = argc > 2 ? as_index(argv[2], string->length + 1) : string->length;
    size_t start = argc > 1 ? as_index(argv[1], end + 1) : 0;
    return make_string(string->bytes + start, end - start);
}

BUILTIN("string-append", string_append, 0, -1)
{
    size_t length = 0, at = 0;
    for (int i = 0; i < argc; i++)
        length += as_string(argv[i])->length;
    struct string *result = (struct string *)make_string(NULL, length);
    for (int i = 0; i < argc; i++) {
        const struct string *part = (struct string *)argv[i];
        memcpy(result->bytes + at, part->bytes, part->length);
        at += part->length;
    }
    return &result->head;
}

static int compare_strings(value *argv)
{
    const struct string *a = as_string(argv[0]), *b = as_string(argv[1]);
    int order = memcmp(a->bytes, b->bytes, a->length < b->length ? a->length : b->length);
    return order ? order : (a->length > b->length) - (a->length < b->length);
}

EXPRESSION("string=?", string_equal, 2, 2, boolean(compare_strings(argv) == 0))
EXPRESSION("string<?", string_less, 2, 2, boolean(compare_strings(argv) < 0))

BUILTIN("string->list", string_to_list, 1, 1)
{
    value list = NIL;
    GC_FRAME(list);
    for (size_t i = as_string(argv[0])->length; i-- > 0;)
        list = cons(character((unsigned char)as_string(argv[0])->bytes[i]), list);
    return list;
}

BUILTIN("list->string", string_from_list, 1, 1)
{
    value list = argv[0];
    if (list_length(list) < 0)
        wrong_type(list, "a list");
    struct string *string = (struct string *)make_string(NULL, (size_t)list_length(list));
    for (size_t i = 0; i < string->length; i++, list = cdr(list))
        string->bytes[i] = (char)as_char(car(list));
    return &string->head;
}

static value map_string(value v, int (*function)(int))
{
    GC_FRAME(v);
    struct string *copy = (struct string *)make_string(NULL, as_string(v)->length);
    for (size_t i = 0; i < copy->length; i++)
        copy->bytes[i] = (char)function((unsigned char)((struct string *)v)->bytes[i]);
    return &copy->head;
}

EXPRESSION("string-upcase", string_upcase, 1, 1, map_string(argv[0], toupper))
EXPRESSION("string-downcase", string_downcase, 1, 1, map_string(argv[0], tolower))

/* (string-search pattern string [start]): where the pattern begins, or #f. */
BUILTIN("string-search", string_search, 2, 3)
{
    const struct string *pattern = as_string(argv[0]), *string = as_string(argv[1]);
    size_t start = argc == 3 ? as_index(argv[2], string->length + 1) : 0;
    const char *found =
        memmem(string->bytes + start, string->length - start, pattern->bytes, pattern->length);
    return found ? fixnum(found - string->bytes) : FALSE;
}

/* ---- Ports ---------------------------------------------------------------------------------- */

static struct port *port_at(int argc, value *argv, int i, enum port_kind kind)
{
    value v = i < argc ? argv[i] : kind == PORT_INPUT ? reg.input : reg.output;
    if (!is(v, T_PORT) || v->flag != kind)
        wrong_type(v, kind == PORT_INPUT ? "an input port" : "an output port");
    return (struct port *)v;
}

BUILTIN("display", port_display, 1, 2)
{
    print(port_at(argc, argv, 1, PORT_OUTPUT), argv[0], false);
    return VOID;
}

BUILTIN("write", port_write_value, 1, 2)
{
    print(port_at(argc, argv, 1, PORT_OUTPUT), argv[0], true);
    return VOID;
}

BUILTIN("newline", port_newline, 0, 1)
{
    port_puts(port_at(argc, argv, 0, PORT_OUTPUT), "\n");
    return VOID;
}

BUILTIN("flush-output", port_flush, 0, 1)
{
    struct port *port = port_at(argc, argv, 0, PORT_OUTPUT);
    if (port->file)
        fflush(port->file);
    return VOID;
}

EXPRESSION("read", port_read, 0, 1, read_value(port_at(argc, argv, 0, PORT_INPUT)))

BUILTIN("read-char", port_read_char, 0, 1)
{
    int c = port_get(port_at(argc, argv, 0, PORT_INPUT));
    return c == EOF ? END_OF_FILE : character((unsigned char)c);
}

BUILTIN("peek-char", port_peek_char, 0, 1)
{
    int c = port_peek(port_at(argc, argv, 0, PORT_INPUT));
    return c == EOF ? END_OF_FILE : character((unsigned char)c);
}

BUILTIN("read-line", port_read_line, 0, 1)
{
    struct port *port = port_at(argc, argv, 0, PORT_INPUT);
    value line = make_port(PORT_OUTPUT, NULL, NULL);
    GC_FRAME(line);
    if (port_peek(port) == EOF)
        return END_OF_FILE;
    for (int c; (c = port_get(port)) != '\n' && c != EOF;)
        port_write((struct port *)line, &(char){(char)c}, 1);
    return port_text((struct port *)line);
}

EXPRESSION("open-input-file", port_open_input, 1, 1, open_file(as_string(argv[0])->bytes, "r"))
EXPRESSION("open-output-file", port_open_output, 1, 1, open_file(as_string(argv[0])->bytes, "w"))

BUILTIN("open-input-string", port_open_text, 1, 1)
{
    const struct string *text = as_string(argv[0]);
    value port = make_port(PORT_INPUT, NULL, NULL);
    GC_FRAME(port);
    port->file = file_number("string");
    port_give((struct port *)port, text->bytes, text->length);
    return port;
}

EXPRESSION("open-output-string", port_open_builder, 0, 0, make_port(PORT_OUTPUT, NULL, NULL))

BUILTIN("get-output-string", port_get_text, 1, 1)
{
    struct port *port = port_at(argc, argv, 0, PORT_OUTPUT);
    if (port->file)
        wrong_type(argv[0], "a string port");
    return port_text(port);
}

EXPRESSION("close-port", port_close_any, 1, 1,
           (port_close((struct port *)expect(argv[0], T_PORT)), VOID))
EXPRESSION("current-output-port", port_current, 0, 0, reg.output)

BUILTIN("%redirect-output", port_redirect, 1, 1)
{
    gc_store(&reg.output, port_at(argc, argv, 0, PORT_OUTPUT));
    return VOID;
}
