/* Files, but on Windows. */
#include "base/os_common.h"

#if !OS_WINDOWS

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

bool os_file_exists(const char *path)
{
    KEEP_ERRNO;
    return access(path, F_OK) == 0;
}

bool os_file_is_special(const char *path)
{
    KEEP_ERRNO;
    struct stat there;
    return lstat(path, &there) == 0 && !S_ISREG(there.st_mode);
}

int os_file_open(const char *path)
{
    KEEP_ERRNO;
    int file = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
    return file < 0 ? -errno : file;
}

#if OS_WASM

/* Other programs may make files there, too. */
int os_file_make(char *path)
{
    KEEP_ERRNO;
    static unsigned number;
    char *digits = path + strlen(path) - 6;
    int file;
    do {
        snprintf(digits, 7, "%06u", number++ % 1000000);
        file = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
    } while (file < 0 && errno == EEXIST);
    return file < 0 ? -errno : file;
}

#else

int os_file_make(char *path)
{
    KEEP_ERRNO;
    int file = mkostemp(path, O_CLOEXEC);
    return file < 0 ? -errno : file;
}

#endif

int os_file_write(int file, const char *text, size_t size)
{
    KEEP_ERRNO;
    while (size > 0) {
        ssize_t n = write(file, text, size);
        if (n < 0 && errno != EINTR)
            return -errno;
        text += MAX_OF(n, 0);
        size -= (size_t)MAX_OF(n, 0);
    }
    return 0;
}

int os_file_close(int file)
{
    KEEP_ERRNO;
    return close(file) == 0 ? 0 : -errno;
}

int os_file_move(const char *from, const char *to)
{
    KEEP_ERRNO;
    return rename(from, to) == 0 ? 0 : -errno;
}

int os_file_remove(const char *path)
{
    KEEP_ERRNO;
    return unlink(path) == 0 ? 0 : -errno;
}

#endif
