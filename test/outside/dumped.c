/* A program to look at: a cache that forgets nothing, beside all kinds of objects and roots.
 *   dumped DUMP…    writes a heap dump for each name; the cache grows from one to the next
 *   dumped --fork DUMP   the child of a fork writes it while the parent goes on
 *   dumped --errors DUMP what cannot be written
 *   dumped --wait   waits for the end of its input, and allocates meanwhile; with a word more, not
 *   dumped --stop   calls stop_here(), where a debugger looks at it, and aborts */
#include <errno.h>
#include <gcheap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

struct page {
    struct page *next;
    char *text;
    long number;
};
GC_TYPE(page_type, struct page, next, text);
struct cache {
    struct page *pages;
    void **table;
};
GC_TYPE(cache_type, struct cache, pages, table);
struct shape {
    void *self;
    long n;
    void *points[];
};
GC_TYPE(shape_type, struct shape, self);
struct traced {
    void *hidden;
};

static gc_heap *the_heap;
static struct cache *cache; /* a gc_root() */
static void *several[3];    /* a gc_root_range() */
static void *stack[16], **top = stack;

static void trace(void *object, gc_tracer *tracer)
{
    gc_trace_slot(tracer, &((struct traced *)object)->hidden);
}

static void die(const char *what)
{
    fprintf(stderr, "dumped: %s\n", what);
    exit(2);
}

static void finalize(void *object, void *arg)
{
    (void)object;
    (void)arg;
}

static void grow_cache(long n)
{
    struct page *page = NULL;
    GC_FRAME(page);
    for (long i = 0; i < n; i++) {
        page = gc_new(&page_type);
        page->number = i;
        gc_store(&page->text, gc_new_bytes(100));
        gc_store(&page->next, cache->pages);
        gc_store(&cache->pages, page);
    }
}

static void make_roots(void)
{
    static gc_type traced_type;
    struct gc_type_spec spec = {.name = "traced", .size = sizeof(struct traced), .trace = trace};
    gc_type *made = gc_type_create(&spec);
    void *key = NULL, *value = NULL;
    GC_FRAME(key, value);
    (void)traced_type;
    if (gc_root(&cache) || gc_root_range(several, 3) || gc_thread_range(stack, &top) || !made)
        die("roots");
    gc_store(&cache, gc_new(&cache_type));
    gc_store(&cache->table, gc_new_array(&gc_pointer_type, 5000));
    gc_store(&cache->table[7], gc_new_bytes(40));
    value = gc_new_flex(&shape_type, &gc_pointer_type, 5);
    gc_store(&((struct shape *)value)->self, value);
    gc_store(&((struct shape *)value)->points[2], gc_new_bytes(8));
    gc_store(&several[1], value);
    *top++ = gc_new(made);
    gc_store(&((struct traced *)top[-1])->hidden, gc_new_bytes(24));
    key = gc_new(&cache_type);
    value = gc_new_bytes(500);
    if (!gc_handle_new(key) || gc_weakmap_set(gc_weakmap_new(), key, value))
        die("handle and map");
    value = gc_new(&cache_type);
    gc_store(&((struct cache *)value)->pages, gc_new(&page_type));
    if (gc_finalizer_set(value, finalize, NULL))
        die("finalizer");
}

static int in_child(const char *path)
{
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(-gc_heap_dump(path));
    grow_cache(100000); /* and collects, while the child writes */
    gc_collect();
    waitpid(child, &status, 0);
    return WIFEXITED(status) ? -WEXITSTATUS(status) : -EINTR;
}

static void tell(const char *what, int error)
{
    printf("%s: %s\n", what, error ? strerror(-error) : "written");
}

static void try_errors(const char *path)
{
    char name[5000];
    tell("no path", gc_heap_dump(NULL));
    tell("no name", gc_heap_dump(""));
    tell("no directory", gc_heap_dump("/nonexistent/heap"));
    tell("a directory", gc_heap_dump("/"));
    tell("a full disk", gc_heap_dump("/dev/full"));
    memset(name, 'x', sizeof name);
    name[sizeof name - 1] = 0;
    tell("a long name", gc_heap_dump(name));
    gc_blocking_begin();
    tell("a blocking region", gc_heap_dump(path));
    gc_blocking_end();
    tell("a file", gc_heap_dump(path));
}

static void *allocate(void *over)
{
    if (gc_thread_attach(the_heap))
        die("attach");
    while (!__atomic_load_n((int *)over, __ATOMIC_ACQUIRE))
        gc_new(&page_type);
    gc_thread_detach();
    return NULL;
}

static void await_input(int threads)
{
    pthread_t thread;
    int over = 0;
    if (threads && pthread_create(&thread, NULL, allocate, &over))
        die("thread");
    gc_blocking_begin();
    while (getchar() != EOF)
        ;
    gc_blocking_end();
    __atomic_store_n(&over, 1, __ATOMIC_RELEASE);
    if (threads)
        pthread_join(thread, NULL);
    if (gc_heap_destroy(the_heap))
        die("destroy");
}

static __attribute__((noinline)) void stop_here(struct page *page)
{
    gc_keep_alive(page);
}

static void stop(void)
{
    struct page *local = NULL;
    GC_FRAME(local);
    local = cache->pages->next;
    stop_here(local);
    abort();
}

int main(int argc, char **argv)
{
    gc_options options = {.flags = GC_FORK_SAFE};
    if (argc < 2 || !(the_heap = gc_heap_create(&options)))
        die("no heap");
    gc_thread_name("main");
    make_roots();
    grow_cache(1000);
    if (strcmp(argv[1], "--fork") == 0)
        tell("the child", in_child(argv[2]));
    else if (strcmp(argv[1], "--errors") == 0)
        try_errors(argv[2]);
    else if (strcmp(argv[1], "--wait") == 0)
        await_input(argc == 2);
    else if (strcmp(argv[1], "--stop") == 0)
        stop();
    for (int i = 1; i < argc && argv[i][0] != '-'; i++, grow_cache(1000)) {
        if (gc_heap_dump(argv[i]) != 0)
            die("no dump");
    }
    return 0;
}
