/* Works for a while, and writes what observers read:
 *   observe stats|events|profile [BYTES]
 * BYTES: the mean distance of samples. */
#include <gcheap.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct node {
    struct node *left, *right;
};
static GC_TYPE(node_type, struct node, left, right);

static gc_heap *heap;

__attribute__((noinline)) struct node *build_tree(int depth);
struct node *build_tree(int depth)
{
    struct node *n = NULL, *left = NULL, *right = NULL;
    GC_FRAME(n, left, right);
    if (depth > 0) {
        left = build_tree(depth - 1);
        right = build_tree(depth - 1);
    }
    n = gc_new(&node_type);
    gc_store(&n->left, left);
    gc_store(&n->right, right);
    return n;
}

static int told_depth;
static size_t tell(void *user, struct gc_profile_frame *frames, size_t n)
{
    if (!told_depth || n < 2)
        return 0;
    frames[0] = (struct gc_profile_frame){"inner \"function\"", user, 3};
    frames[1] = (struct gc_profile_frame){"outer_function", user, 7};
    return 2;
}

/* 32 MB, of which 16 MB stay. */
__attribute__((noinline)) void keep_buffers(void **kept);
void keep_buffers(void **kept)
{
    told_depth = 1;
    for (int i = 0; i < 32768; i++) {
        void *buffer = gc_new_bytes(1024);
        if (i % 2 == 0)
            gc_store(&((void **)*kept)[i / 2], buffer);
    }
    told_depth = 0;
}

static void *work(void *unused)
{
    if (gc_thread_attach(heap) != 0)
        exit(3);
    gc_thread_name("worker \"1\"");
    for (int i = 0; i < 40; i++)
        build_tree(14);
    gc_collect();
    return unused;
}

static int to_output(void *file, const char *text, size_t size)
{
    return fwrite(text, 1, size, file) == size ? 0 : -1;
}

static void work_beside(void)
{
    pthread_t thread;
    pthread_create(&thread, NULL, work, NULL);
    for (int i = 0; i < 40; i++)
        build_tree(14);
    gc_blocking_begin();
    pthread_join(thread, NULL);
    gc_blocking_end();
}

static int observe(const char *what)
{
    if (strcmp(what, "stats") == 0)
        return gc_heap_stats_write(heap, to_output, stdout);
    return strcmp(what, "events") == 0 ? gc_events_write(to_output, stdout)
                                       : gc_profile_write(to_output, stdout);
}

int main(int argc, char **argv)
{
    static void **kept;
    if (argc < 2 || !(heap = gc_heap_create(NULL)))
        return 2;
    gc_root(&kept);
    struct gc_profile_options profile = {.seed = 1,
                                         .frames = tell,
                                         .user = "a program",
                                         .mean = argc > 2 ? (size_t)atol(argv[2]) : 0};
    gc_thread_name("main");
    if (strcmp(argv[1], "events") == 0)
        gc_events_record(true);
    if (strcmp(argv[1], "profile") == 0)
        gc_profile_record(&profile);
    work_beside();
    gc_store(&kept, gc_new_array(&gc_pointer_type, 16384));
    keep_buffers((void **)&kept);
    gc_collect();
    int error = observe(argv[1]);
    gc_heap_destroy(heap);
    return error != 0;
}
