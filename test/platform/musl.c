/* What gcc's unwinder asks of the C library, for programs that Debian's musl-gcc makes: it links
 * the unwinder that gcc has for glibc, and musl has no such call. */
#include <stdlib.h>

#ifndef __GLIBC__
#include <link.h>

/* As in glibc's <dlfcn.h>. The unwinder reads the last pointer alone. */
struct found_object {
    unsigned long long flags;
    void *start, *end, *link_map, *eh_frame;
    unsigned long long reserved[7];
};

struct search {
    ElfW(Addr) address;
    struct found_object *found;
};

static int look(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct search *s = arg;
    void *eh_frame = NULL;
    int contains = 0;
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && s->address - (info->dlpi_addr + p->p_vaddr) < p->p_memsz)
            contains = 1;
        if (p->p_type == PT_GNU_EH_FRAME)
            eh_frame = (void *)(info->dlpi_addr + p->p_vaddr);
    }
    s->found->eh_frame = eh_frame;
    return contains && eh_frame;
}

int _dl_find_object(void *pc, struct found_object *found);
/* 0: found. */
int _dl_find_object(void *pc, struct found_object *found)
{
    struct search s = {(ElfW(Addr))pc, found};
    return dl_iterate_phdr(look, &s) ? 0 : -1;
}
#endif
