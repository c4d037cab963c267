/* Objects of one size are made one after the other and the last 1024 kept in a local array: the
 * cost of an allocation, of the death of an object, and of nothing else. An object with pointers
 * refers to one that stays. The sizes are constants, as they are in programs. */
#include "../harness.h"

enum { WINDOW = 1024 };

/* Two references, then bytes. */
#define OBJECT(n)                                                                                  \
    struct object##n {                                                                             \
        union {                                                                                    \
            struct {                                                                               \
                void *first, *second;                                                              \
            };                                                                                     \
            char bytes[n];                                                                         \
        };                                                                                         \
    };                                                                                             \
    BM_TYPE(type##n, struct object##n, first, second);                                             \
                                                                                                   \
    static uint64_t pointers##n(long count, bool zeroed)                                           \
    {                                                                                              \
        struct object##n *window[WINDOW] = {0}, *anchor = BM_NEW(struct object##n, type##n);       \
        BM_ROOT_ARRAY(window, WINDOW);                                                             \
        BM_ROOTS(anchor);                                                                          \
        for (long i = 0; i < count; i++) {                                                         \
            struct object##n *o = zeroed ? BM_NEW_ZEROED(struct object##n, type##n)                \
                                         : BM_NEW(struct object##n, type##n);                      \
            o->first = o->second = anchor;                                                         \
            BM_FREE(window[i % WINDOW]);                                                           \
            window[i % WINDOW] = o;                                                                \
        }                                                                                          \
        uint64_t intact = 0;                                                                       \
        for (int i = 0; i < WINDOW; i++)                                                           \
            intact += window[i] && window[i]->first == anchor;                                     \
        return intact;                                                                             \
    }                                                                                              \
                                                                                                   \
    static uint64_t bytes##n(long count, bool zeroed)                                              \
    {                                                                                              \
        uint64_t *window[WINDOW] = {0}, intact = 0;                                                \
        BM_ROOT_ARRAY(window, WINDOW);                                                             \
        for (long i = 0; i < count; i++) {                                                         \
            uint64_t *o = zeroed ? BM_BYTES_ZEROED(n) : BM_BYTES(n);                               \
            *o = (uint64_t)i % WINDOW + 1;                                                         \
            BM_FREE(window[i % WINDOW]);                                                           \
            window[i % WINDOW] = o;                                                                \
        }                                                                                          \
        for (uint64_t i = 0; i < WINDOW; i++)                                                      \
            intact += window[i] && *window[i] == i + 1;                                            \
        return intact;                                                                             \
    }

OBJECT(16)
OBJECT(24)
OBJECT(32)
OBJECT(64)
OBJECT(256)
OBJECT(1024)

#define LOOPS(n)                                                                                   \
    {                                                                                              \
        n, pointers##n, bytes##n                                                                   \
    }
static const struct loops {
    long size;
    uint64_t (*pointers)(long count, bool zeroed), (*bytes)(long count, bool zeroed);
} loops[] = {LOOPS(16), LOOPS(24), LOOPS(32), LOOPS(64), LOOPS(256), LOOPS(1024)};

static const struct loops *loops_for(long size)
{
    for (size_t i = 0; i < sizeof loops / sizeof loops[0]; i++)
        if (loops[i].size == size)
            return &loops[i];
    fail("size is one of 16, 24, 32, 64, 256, 1024");
}

void run_alloc(void)
{
    const struct loops *l = loops_for(parameter("size", 16));
    uint64_t (*loop)(long, bool) = parameter("pointers", 1) ? l->pointers : l->bytes;
    bool zeroed = parameter("zero", 1);
    long count = parameter("count", 20 * 1000 * 1000);
    loop(count / 20, zeroed);
    uint64_t t0 = now_ns();
    uint64_t intact = loop(count, zeroed);
    result("time", since(t0) * 1e9 / (double)count, "ns/object");
    check(intact);
}
