/* Tells AddressSanitizer and Valgrind which memory of a heap the program may touch (the switch
 * redzones). The program's AddressSanitizer is found when it is linked or loaded, so the library
 * need not be built for it; Valgrind, if its header was there when the library was built. */
#ifndef GC_ACCESS_H
#define GC_ACCESS_H

#include "base/base.h"

/* Whether one of them watches this process. */
bool access_is_watched(void);

/* Memory that is no object: nobody may touch it; or the library may. */
void access_forbid(const void *p, size_t size);
void access_allow(const void *p, size_t size);
/* The rest of an object's cell, which only the library may read, if anybody. */
void access_forbid_rest(const void *p, size_t size, bool library_reads);
/* An object begins, and ends. Reports of Valgrind say where. */
void access_begin(const void *object, size_t size);
void access_end(const void *object, size_t size);

/* Between these two, the calling thread reads what was perhaps never written. */
void access_ignore(void);
void access_heed(void);

/* AddressSanitizer calls fn with the address of its report before it ends the process. */
void access_explain(void (*fn)(uintptr_t address));

#endif
