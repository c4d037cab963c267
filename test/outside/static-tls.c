/* Loads a plugin when the space for static thread-local data is used up.
 *   static-tls FOLDER PLUGIN          fills the space with libraries of the folder: the loader
 * refuses the plugin, says why, and the program goes on. Prints how many libraries of 64 and of 8
 * bytes there were. static-tls FOLDER PLUGIN N64 N8   fills as much: the plugin is loaded and
 * works. */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MOST 4000

/* What the loader says of a library that it refuses; NULL: it has loaded it. */
static const char *refusal(const char *path)
{
    return dlopen(path, RTLD_NOW) ? NULL : dlerror();
}

static int is_for_space(const char *error)
{
    return error && strstr(error, "cannot allocate memory in static TLS block");
}

/* Loads `most` libraries of that size, or fewer if the space ends. Returns how many. */
static int fill(const char *folder, int size, int most)
{
    const char *error = NULL;
    char path[1000];
    int n = 0;
    for (; n < most && !error; n += !error) {
        snprintf(path, sizeof path, "%s/tls%d-%d.so", folder, size, n);
        error = refusal(path);
    }
    if (error && !is_for_space(error)) {
        fprintf(stderr, "%s\n", error);
        exit(1);
    }
    return n;
}

static int refused_each_time(const char *plugin)
{
    for (int i = 0; i < 3; i++) {
        const char *error = refusal(plugin);
        if (!is_for_space(error)) {
            fprintf(stderr, "%s\n", error ? error : "the plugin is loaded");
            return 1;
        }
    }
    return 0;
}

static int works(const char *path)
{
    void *plugin = dlopen(path, RTLD_NOW);
    if (!plugin) {
        fprintf(stderr, "%s\n", dlerror());
        return 1;
    }
    int (*run)(void) = __extension__(int (*)(void)) dlsym(plugin, "plugin_run");
    return run ? run() : 1;
}

int main(int argc, char **argv)
{
    if (argc != 3 && argc != 5)
        return 2;
    int large = fill(argv[1], 64, argc == 5 ? atoi(argv[3]) : MOST);
    int small = fill(argv[1], 8, argc == 5 ? atoi(argv[4]) : MOST);
    printf("%d %d\n", large, small);
    return argc == 5 ? works(argv[2]) : refused_each_time(argv[2]);
}
