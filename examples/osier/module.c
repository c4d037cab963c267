/* Modules: files that are run once, by the first thread that imports them. */
#include "compiler.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>

struct module *new_module(struct thread *t, const char *name, const char *path)
{
    struct module *module = NEW(t, &module_type, KIND_MODULE);
    GC_FRAME(module);
    gc_store(&module->name, new_string_z(t, name));
    gc_store(&module->path, new_string_z(t, path));
    gc_store(&module->variables, new_map(t));
    module->monitor = monitor_for(t, module);
    return module;
}

struct box *module_variable(struct thread *t, struct module *module, struct string *name)
{
    bool found;
    value box = map_get(module->variables, from_object(name), &found);
    if (found)
        return as_object(box);
    GC_FRAME(module, name, box);
    box = from_object(new_box(t, UNDEFINED));
    return as_object(map_set_default(t, module->variables, from_object(name), box));
}

/* ---- Importing ----------------------------------------------------------------------------- */

/* The file that `path` means in a file `from`: relative to its directory, .osr if no suffix. */
static void find_path(struct thread *t, const char *from, const char *path, char found[PATH_MAX])
{
    const char *slash = strrchr(from, '/'), *name = strrchr(path, '/');
    int directory = slash && *path != '/' ? (int)(slash - from + 1) : 0;
    const char *suffix = strchr(name ? name : path, '.') ? "" : ".osr";
    int n = snprintf(found, PATH_MAX, "%.*s%s%s", directory, from, path, suffix);
    if (n >= PATH_MAX)
        throw_error(t, ERROR_IOError, "the path of a module is too long");
}

static void module_name(const char *path, char name[80])
{
    const char *slash = strrchr(path, '/');
    snprintf(name, 80, "%.79s", slash ? slash + 1 : path);
    char *dot = strrchr(name, '.');
    if (dot && dot != name)
        *dot = 0;
}

/* The one module of that file. */
static struct module *module_of(struct thread *t, const char *path)
{
    char real[PATH_MAX], name[80];
    if (!realpath(path, real))
        throw_error(t, ERROR_IOError, "cannot import %s: there is no such file", path);
    struct string *key = new_string_z(t, real);
    GC_FRAME(key);
    bool found;
    value module = map_get(vm.modules, from_object(key), &found);
    if (found)
        return as_object(module);
    module_name(path, name);
    module = from_object(new_module(t, name, path));
    GC_FRAME(module);
    return as_object(map_set_default(t, vm.modules, from_object(key), module));
}

static void set_state(struct module *module, enum module_state state)
{
    monitor_lock(module->monitor);
    module->state = state;
    module->loader = NULL;
    monitor_broadcast(module->monitor, 0);
    monitor_unlock(module->monitor);
}

void module_ended(struct thread *t, struct module *module, bool well)
{
    (void)t;
    set_state(module, well ? MODULE_READY : MODULE_FAILED);
}

/* Whether the module is still to be loaded, by this thread; waits while another one does. */
static bool claim(struct thread *t, struct module *module)
{
    monitor_lock(module->monitor);
    while (module->state == MODULE_LOADING && module->loader != t)
        monitor_wait(module->monitor, 0);
    bool mine = module->state == MODULE_NEW || module->state == MODULE_FAILED;
    if (mine) {
        module->state = MODULE_LOADING;
        module->loader = t;
    }
    monitor_unlock(module->monitor);
    return mine;
}

static struct closure *load(struct thread *t, struct module *module)
{
    size_t length;
    struct trap trap;
    char *volatile source = NULL;
    if (setjmp(*trap_set(t, &trap))) {
        trap_clear(t, &trap);
        free(source);
        set_state(module, MODULE_FAILED);
        throw_again(t);
    }
    source = read_file(t, module->path->bytes, &length);
    struct closure *body = compile(t, module, source, false, NULL);
    trap_clear(t, &trap);
    free(source);
    return body;
}

struct module *module_import(struct thread *t, struct module *importer, struct string *path,
                             value *body)
{
    char found[PATH_MAX];
    find_path(t, importer->path->bytes, path->bytes, found);
    struct module *module = module_of(t, found);
    GC_FRAME(module);
    if (claim(t, module))
        *body = from_object(load(t, module));
    return module;
}

/* compile(source, name): a function that runs the source as a module of its own. */
static value compile_function(struct thread *t, value *args, int n)
{
    struct string *source = arg_string(t, args, 1);
    const char *name = n > 1 ? arg_string(t, args, 2)->bytes : "source";
    struct module *module = new_module(t, name, name);
    GC_FRAME(module);
    return from_object(compile(t, module, source->bytes, false, NULL));
}

void builtin_module_open(struct thread *t)
{
    static const struct native_def functions[] = {{"compile", compile_function, 1, 2, false},
                                                  {NULL, NULL, 0, 0, false}};
    define_functions(t, functions);
}
