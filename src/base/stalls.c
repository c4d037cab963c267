#include "base/stalls.h"

stall_listener *stalls_listener;

void stalls_listen(stall_listener *listener)
{
    ptr_store_release(&stalls_listener, listener);
}

/* A probe has one place for each name. */
static void fire_probe(enum stall_kind kind, uint64_t ns)
{
#define FIRE(KIND, name)                                                                           \
    case STALL_##KIND:                                                                             \
        PROBE1(name, ns);                                                                          \
        break;
    switch (kind) {
        STALLS(FIRE)
    case STALL_KINDS:
        break;
    }
#undef FIRE
    (void)ns;
}

NOINLINE void stall_tell(enum stall_kind kind, uint64_t begin, uint64_t end)
{
    stall_listener *listener = ptr_load_acquire(&stalls_listener);
    fire_probe(kind, end - begin);
    if (listener)
        listener(kind, begin, end);
}
