/* Runs a command and reports, as the workloads do, how long it took and the memory it peaked at:
 *   timed BENCH PEER PROGRAM command argument …
 * What the command prints goes to /dev/null. Exits like the command. */
#include <fcntl.h>
#include <stdio.h>
#include <signal.h>
#include <stdlib.h>
#if defined(__linux__)
#include <sys/prctl.h>
#endif
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>
#include "silent.h"

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

static void run_command(char **command)
{
#if defined(__linux__)
    prctl(PR_SET_PDEATHSIG, SIGKILL); /* dies with this program, if that is ended */
#endif
    run_silently(command);
}

int main(int argc, char **argv)
{
    int status = 0;
    struct rusage usage;
    if (argc < 5)
        return 2;
    double start = seconds();
    pid_t child = fork();
    if (child == 0)
        run_command(argv + 4);
    if (child < 0 || wait4(child, &status, 0, &usage) != child)
        return 3;
    printf("{\"bench\":\"%s\",\"peer\":\"%s\",\"params\":{\"program\":\"%s\"},\"metric\":\"time\","
           "\"value\":%.6g,\"unit\":\"s\",\"rss_mib\":%.1f,\"cpu_s\":%.3f}\n",
           argv[1], argv[2], argv[3], seconds() - start, (double)usage.ru_maxrss / 1024,
           of(usage.ru_utime) + of(usage.ru_stime));
    return WIFEXITED(status) ? WEXITSTATUS(status) : 4;
}
