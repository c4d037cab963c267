#include "collector/finq.h"
#include "mutator/self.h"

void finq_init(gc_heap *heap, struct service *runner)
{
    struct finq *q = heap->finq;
    lock_init(&q->lock, LOCK_FINQ);
    q->last = &q->first;
    q->runner = runner;
}

void finq_batch_add(struct finq_batch *batch, struct finq_item *item)
{
    item->next = NULL;
    if (batch->last)
        batch->last->next = item;
    else
        batch->first = item;
    batch->last = item;
    batch->count++;
}

static void call_notify(void (*notify)(void *), void *arg)
{
    gc_thread *self = self_calls_back();
    int cancel = os_cancel_off(); /* the thread is sweeping, and must go on */
    notify(arg);
    os_cancel_restore(cancel);
    self_called_back(self);
}

void finq_add(gc_heap *heap, const struct finq_batch *batch)
{
    struct finq *q = heap->finq;
    if (batch->count == 0)
        return;
    lock_acquire(&q->lock);
    *q->last = batch->first;
    q->last = &batch->last->next;
    word_store_relaxed(&q->pending, q->pending + batch->count);
    void (*notify)(void *) = q->notify;
    void *arg = q->notify_arg;
    lock_release(&q->lock);
    if (q->runner)
        service_call(q->runner);
    if (notify)
        call_notify(notify, arg);
}

struct finq_item *finq_take(gc_heap *heap)
{
    struct finq *q = heap->finq;
    lock_acquire(&q->lock);
    struct finq_item *item = q->first;
    if (item) {
        q->first = item->next;
        if (!q->first)
            q->last = &q->first;
        word_store_relaxed(&q->pending, q->pending - 1);
    }
    lock_release(&q->lock);
    return item;
}

size_t finq_pending(gc_heap *heap)
{
    return word_load_relaxed(&heap->finq->pending);
}

void finq_set_notify(gc_heap *heap, void (*fn)(void *arg), void *arg)
{
    struct finq *q = heap->finq;
    lock_acquire(&q->lock);
    q->notify = fn;
    q->notify_arg = arg;
    lock_release(&q->lock);
}

/* ---- Fork ---- */

static void seize(gc_heap *heap)
{
    lock_seize(&heap->finq->lock);
}

static void release(gc_heap *heap)
{
    lock_free(&heap->finq->lock);
}

const struct fork_part finq_fork = {FINQ_FORK_RANKS, .seize = seize, .release = release};
