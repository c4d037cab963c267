/* What a heap logs, kept: for options.log. */
#ifndef LOG_H
#define LOG_H

#include "gcheap.h"

#include <pthread.h>

#include "tap.h"

static struct {
    pthread_mutex_t lock;
    char line[2048]; /* the last one, with those that go on with it */
    atomic_uint warnings;
} logged = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Lines go to standard error too, for EXPECT_ABORT. */
static inline void keep_line(void *unused, enum gc_log_level level, const char *line)
{
    (void)unused;
    if (level == GC_LOG_TRACE)
        return;
    pthread_mutex_lock(&logged.lock);
    size_t n = strncmp(line, "  ", 2) == 0 ? strlen(logged.line) : 0;
    snprintf(logged.line + n, sizeof logged.line - n, "%s%s", n ? " |" : "", line);
    fputs(line, stderr); /* fprintf would take 8 KiB of C stack */
    fputc('\n', stderr);
    pthread_mutex_unlock(&logged.lock);
    logged.warnings += level == GC_LOG_WARNING;
}

static inline void keep_no_line(void *unused, enum gc_log_level level, const char *line)
{
    (void)unused, (void)level, (void)line;
}

/* Whether the last line has that text; "": whether there is a line. */
static inline bool has_logged(const char *text)
{
    pthread_mutex_lock(&logged.lock);
    bool has = logged.line[0] && strstr(logged.line, text);
    pthread_mutex_unlock(&logged.lock);
    return has;
}

static inline void forget_log(void)
{
    pthread_mutex_lock(&logged.lock);
    logged.line[0] = 0;
    pthread_mutex_unlock(&logged.lock);
}

#endif
