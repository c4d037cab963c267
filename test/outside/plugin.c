/* A plugin that has the library in it: a heap, a thread that stays attached, what a host may do
 * with it. */
#include <gcheap.h>
#include <pthread.h>
#include <stdlib.h>

struct cell {
    struct cell *next;
};
static GC_TYPE(cell_type, struct cell, next);
static gc_heap *heap;

int plugin_run(void);
int plugin_leave_attached(void);

/* A heap from its making to its end. Nothing of the plugin's is left then. 0: all went well. */
int plugin_run(void)
{
    struct cell *list = NULL, *cell = NULL;
    heap = gc_heap_create(&(gc_options){.flags = GC_NO_BACKGROUND});
    if (!heap)
        return 1;
    {
        GC_FRAME(list, cell);
        for (int i = 0; i < 100; i++) {
            cell = gc_new(&cell_type);
            gc_store(&cell->next, list);
            list = cell;
        }
    }
    return gc_collect() || gc_heap_destroy(heap) || gc_type_release(&cell_type);
}

/* The calling thread is attached when it ends, and the library's threads run. Nothing of the
 * plugin's own memory is rooted: where the library lies beside it, it goes. */
int plugin_leave_attached(void)
{
    heap = gc_heap_create(NULL);
    return !heap || !gc_handle_new(gc_new_bytes(100)) || gc_collect_start();
}
