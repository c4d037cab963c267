#include "base/output.h"
#include <inttypes.h>
#include <stdarg.h>

void output_begin(struct output *o, gc_write_fn write, void *arg)
{
    o->write = write;
    o->arg = arg;
    o->error = 0;
    o->n = 0;
}

static void flush(struct output *o)
{
    if (!o->error && o->n > 0)
        o->error = o->write(o->arg, o->piece, o->n);
    o->n = 0;
}

void output_print(struct output *o, const char *format, ...)
{
    char text[OUTPUT_PIECE];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    size_t n = MIN_OF((size_t)MAX_OF(length, 0), sizeof text - 1);
    if (n > sizeof o->piece - o->n)
        flush(o);
    memcpy(o->piece + o->n, text, n);
    o->n += n;
}

void output_seconds(struct output *o, uint64_t ns)
{
    output_print(o, "%" PRIu64 ".%09" PRIu64, ns / 1000000000, ns % 1000000000);
}

/* Bytes that are no part of UTF-8 become question marks. */
static size_t utf8_length(const char *at)
{
    const unsigned char *p = (const unsigned char *)at;
    size_t n = p[0] < 0x80   ? 1
               : p[0] < 0xc2 ? 0
               : p[0] < 0xe0 ? 2
               : p[0] < 0xf0 ? 3
               : p[0] < 0xf5 ? 4
                             : 0;
    for (size_t i = 1; i < n; i++) {
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    }
    bool surrogate = n == 3 && p[0] == 0xed && p[1] >= 0xa0;
    bool overlong =
        (n == 3 && p[0] == 0xe0 && p[1] < 0xa0) || (n == 4 && p[0] == 0xf0 && p[1] < 0x90);
    return surrogate || overlong || (n == 4 && p[0] == 0xf4 && p[1] > 0x8f) ? 0 : n;
}

#define QUOTED_MAX 500

void output_quoted(struct output *o, const char *text)
{
    char quoted[QUOTED_MAX + 8];
    size_t n = 0, length;
    for (const char *at = text; *at && n < QUOTED_MAX; at += MAX_OF(length, (size_t)1)) {
        length = utf8_length(at);
        if (*at == '"' || *at == '\\')
            quoted[n++] = '\\';
        if (length == 0 || (unsigned char)*at < ' ' || *at == 0x7f)
            quoted[n++] = '?';
        else
            memcpy(quoted + n, at, length), n += length;
    }
    quoted[n] = 0;
    output_print(o, "\"%s\"", quoted);
}

int output_end(struct output *o)
{
    flush(o);
    return o->error;
}
