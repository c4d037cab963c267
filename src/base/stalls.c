#include "base/stalls.h"

stall_listener *stalls_listener;

void stalls_listen(stall_listener *listener)
{
    ptr_store_release(&stalls_listener, listener);
}

NOINLINE void stall_tell(enum stall_kind kind, uint64_t begin, uint64_t end)
{
    stall_listener *listener = ptr_load_acquire(&stalls_listener);
    if (listener)
        listener(kind, begin, end);
}
