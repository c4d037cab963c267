#include "base/base.h"

_Noreturn COLD void base_panic(const char *file, int line, const char *what)
{
    fprintf(stderr, "gcheap: %s:%d: %s\n", file, line, what);
    abort();
}
