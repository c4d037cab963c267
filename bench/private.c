/* Runs a command and prints the most private memory that it had, in KiB (what is resident and
 * belongs to no file), and its CPU seconds:
 *   private command argument ...
 * It looks all the time, before other threads if it may. What the command prints goes to
 * /dev/null. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include "silent.h"

static long private_kib(int status)
{
    char text[4096];
    ssize_t n = pread(status, text, sizeof text - 1, 0);
    text[n > 0 ? n : 0] = 0;
    const char *line = strstr(text, "RssAnon:");
    return line ? atol(line + strlen("RssAnon:")) : 0;
}

static double seconds(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

int main(int argc, char **argv)
{
    char path[64];
    struct rusage usage;
    int status = 0;
    long most = 0;
    pid_t child = argc < 2 ? -1 : fork();
    if (child == 0)
        run_silently(argv + 1);
    if (child < 0)
        return 2;
    snprintf(path, sizeof path, "/proc/%d/status", (int)child);
    int file = open(path, O_RDONLY);
    setpriority(PRIO_PROCESS, 0, -15);
    while (wait4(child, &status, WNOHANG, &usage) == 0) {
        long now = private_kib(file);
        most = now > most ? now : most;
    }
    printf("%ld %.3f\n", most, seconds(usage.ru_utime) + seconds(usage.ru_stime));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 3;
}
