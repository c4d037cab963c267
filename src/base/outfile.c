#include "base/outfile.h"
#include "base/bits.h"
#include "base/os.h"
#include <errno.h>
#include <limits.h>

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif
#define SUFFIX ".XXXXXX"
#define BUFFER_BYTES ((size_t)32 << 10)

struct outfile {
    int fd;
    int error;   /* the first; 0: none */
    bool direct; /* written at the path itself */
    size_t n;    /* in the buffer */
    char path[PATH_MAX], other[PATH_MAX + sizeof SUFFIX];
    char buffer[BUFFER_BYTES];
};

#define OUTFILE_BYTES align_up(sizeof(struct outfile), os_page_size())

static int open_file(struct outfile *f)
{
    f->direct = os_file_is_special(f->path);
    snprintf(f->other, sizeof f->other, "%s" SUFFIX, f->path);
    f->fd = f->direct ? os_file_open(f->path) : os_file_make(f->other);
    return MIN_OF(f->fd, 0);
}

int outfile_open(const char *path, struct outfile **opened)
{
    size_t length = strlen(path);
    if (length == 0)
        return -ENOENT;
    if (length >= PATH_MAX)
        return -ENAMETOOLONG;
    struct outfile *f = os_map(OUTFILE_BYTES);
    if (!f)
        return -ENOMEM;
    memcpy(f->path, path, length + 1);
    int error = open_file(f);
    if (error)
        os_unmap(f, OUTFILE_BYTES);
    else
        *opened = f;
    return error;
}

static void flush(struct outfile *f)
{
    if (!f->error)
        f->error = os_file_write(f->fd, f->buffer, f->n);
    f->n = 0;
}

static void put(struct outfile *f, const char *text, size_t length)
{
    while (length > 0) {
        size_t part = MIN_OF(length, BUFFER_BYTES - f->n);
        memcpy(f->buffer + f->n, text, part);
        f->n += part;
        text += part;
        length -= part;
        if (f->n == BUFFER_BYTES)
            flush(f);
    }
}

void outfile_text(struct outfile *f, const char *text)
{
    put(f, text, strlen(text));
}

static void put_number(struct outfile *f, uint64_t n, unsigned base)
{
    char digits[20];
    size_t at = sizeof digits;
    do
        digits[--at] = "0123456789abcdef"[n % base];
    while (n /= base);
    put(f, digits + at, sizeof digits - at);
}

void outfile_hex(struct outfile *f, uint64_t n)
{
    put_number(f, n, 16);
}

void outfile_decimal(struct outfile *f, uint64_t n)
{
    put_number(f, n, 10);
}

bool outfile_has_failed(const struct outfile *f)
{
    return f->error != 0;
}

int outfile_close(struct outfile *f, bool keep)
{
    flush(f);
    int closed = os_file_close(f->fd), error = f->error ? f->error : closed;
    if (!error && keep && !f->direct)
        error = os_file_move(f->other, f->path);
    if ((error || !keep) && !f->direct)
        os_file_remove(f->other);
    os_unmap(f, OUTFILE_BYTES);
    return error;
}
