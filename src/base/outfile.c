#include "base/outfile.h"
#include "base/bits.h"
#include "base/os.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <sys/stat.h>
#include <unistd.h>

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

static bool is_special(const char *path)
{
    struct stat there;
    return lstat(path, &there) == 0 && !S_ISREG(there.st_mode);
}

static int open_file(struct outfile *f)
{
    f->direct = is_special(f->path);
    if (f->direct) {
        f->fd = open(f->path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    } else {
        snprintf(f->other, sizeof f->other, "%s" SUFFIX, f->path);
        f->fd = mkostemp(f->other, O_CLOEXEC);
    }
    return f->fd < 0 ? -errno : 0;
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
    size_t done = 0;
    while (done < f->n && !f->error) {
        ssize_t n = write(f->fd, f->buffer + done, f->n - done);
        if (n > 0)
            done += (size_t)n;
        else if (n < 0 && errno != EINTR)
            f->error = -errno;
    }
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
    if (close(f->fd) != 0 && !f->error)
        f->error = -errno;
    keep &= f->error == 0;
    if (keep && !f->direct && rename(f->other, f->path) != 0) {
        f->error = -errno;
        keep = false;
    }
    if (!keep && !f->direct)
        unlink(f->other);
    int error = f->error;
    os_unmap(f, OUTFILE_BYTES);
    return error;
}
