/* Loads and unloads a plugin: over and over; and while a thread is attached to a heap of it. */
#include <dlfcn.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static const char *path;

static int call(void *plugin, const char *name)
{
    int (*function)(void) = __extension__(int (*)(void)) dlsym(plugin, name);
    return function ? function() : -1;
}

static int load_often(int times)
{
    for (int i = 0; i < times; i++) {
        void *plugin = dlopen(path, RTLD_NOW);
        if (!plugin) {
            fprintf(stderr, "load %d: %s\n", i, dlerror());
            return 1;
        }
        int failed = call(plugin, "plugin_run");
        if (failed || dlclose(plugin) != 0) {
            fprintf(stderr, "load %d: %d\n", i, failed);
            return 1;
        }
    }
    return 0;
}

static void *leave_attached(void *unused)
{
    (void)unused;
    void *plugin = dlopen(path, RTLD_NOW);
    int failed = plugin ? call(plugin, "plugin_leave_attached") : -1;
    return plugin && dlclose(plugin) == 0 && !failed ? NULL : "failed";
}

/* The thread's end, the library's threads and a fork find the code where it was. */
static int unload_beside_a_heap(void)
{
    pthread_t thread;
    void *failed;
    pthread_create(&thread, NULL, leave_attached, NULL);
    pthread_join(thread, &failed);
    pid_t child = fork();
    if (child == 0)
        _exit(0);
    return failed != NULL || child < 0;
}

int main(int argc, char **argv)
{
    if (argc < 3)
        return 2;
    path = argv[1];
    return atoi(argv[2]) ? load_often(atoi(argv[2])) : unload_beside_a_heap();
}
