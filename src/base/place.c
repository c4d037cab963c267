#include "base/place.h"
#include "base/os.h"

#if defined(__has_include)
#if __has_include(<link.h>) && __has_include(<unwind.h>) && !defined(__OpenBSD__) && !defined(__wasm__)
#define HAS_TABLES 1
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include <unwind.h>
#endif
#endif

/* Symbols are read under it. */
static struct lock place_lock = LOCK_INIT(LOCK_PLACE);

#ifdef HAS_TABLES

/* ---- Unwinding ---- */

/* Where a frame ends: its stack pointer, which is the CFA of the function that it called. ARM's own
 * unwinder knows no CFA, and of no frame that a signal interrupted it. */
#if defined(__arm__) && !defined(__ARM_DWARF_EH__)
#define FRAME_END(context) _Unwind_GetGR(context, 13)
#define FRAME_PC(context, interrupted) (*(interrupted) = 0, _Unwind_GetIP(context))
#else
#define FRAME_END(context) _Unwind_GetCFA(context)
#define FRAME_PC(context, interrupted) _Unwind_GetIPInfo(context, interrupted)
#endif

struct unwinding {
    struct place_frame *frames;
    size_t n, most;
    uintptr_t sp;
};

static _Unwind_Reason_Code note_frame(struct _Unwind_Context *context, void *arg)
{
    struct unwinding *u = arg;
    uintptr_t sp = FRAME_END(context), pc = _Unwind_GetIP(context);
    if (pc && sp >= u->sp)
        u->frames[u->n++] = (struct place_frame){sp, pc};
    return u->n == u->most ? _URC_END_OF_STACK : _URC_NO_REASON;
}

NOINLINE size_t place_frames(struct place_frame *frames, size_t most, uintptr_t sp)
{
    KEEP_ERRNO;
    struct unwinding u = {frames, 0, most, sp};
    _Unwind_Backtrace(note_frame, &u);
    return u.n;
}

/* The first frame behind that of a signal stands before an instruction, not behind a call. Behind
 * the instruction it counts as the others do. */
static _Unwind_Reason_Code note_interrupted(struct _Unwind_Context *context, void *arg)
{
    struct unwinding *u = arg;
    int interrupted = 0;
    uintptr_t pc = FRAME_PC(context, &interrupted);
    if (pc && (interrupted || u->n > 0))
        u->frames[u->n++] = (struct place_frame){0, pc + (interrupted != 0)};
    return u->n == u->most ? _URC_END_OF_STACK : _URC_NO_REASON;
}

static size_t frames_interrupted(struct place_frame *frames, size_t most)
{
    struct unwinding u = {frames, 0, most, 0};
    _Unwind_Backtrace(note_interrupted, &u);
    return u.n;
}

/* ---- Static data ---- */

struct range {
    uintptr_t low, high;
};

static struct range range_of(const struct dl_phdr_info *info, const ElfW(Phdr) * p)
{
    uintptr_t low = info->dlpi_addr + p->p_vaddr;
    return (struct range){low, low + p->p_memsz};
}

struct each_data {
    void (*fn)(void *arg, uintptr_t low, uintptr_t high);
    void *arg;
};

/* What the loader writes alone, and then makes read-only; empty if there is nothing. */
static struct range constants_of(const struct dl_phdr_info *info)
{
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_GNU_RELRO)
            return range_of(info, p);
    }
    return (struct range){0, 0};
}

static void visit_range(const struct each_data *e, uintptr_t low, uintptr_t high)
{
    if (low < high)
        e->fn(e->arg, low, high);
}

static int visit_data(struct dl_phdr_info *info, size_t size, void *arg)
{
    const struct range constants = constants_of(info);
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        const struct range r = range_of(info, p);
        if (p->p_type != PT_LOAD || !(p->p_flags & PF_W))
            continue;
        visit_range(arg, r.low, MIN_OF(r.high, MAX_OF(constants.low, r.low)));
        visit_range(arg, MAX_OF(r.low, constants.high), r.high);
    }
    return 0;
}

void place_each_data(void (*fn)(void *arg, uintptr_t low, uintptr_t high), void *arg)
{
    KEEP_ERRNO;
    struct each_data e = {fn, arg};
    dl_iterate_phdr(visit_data, &e);
}

/* ---- Code ---- */

struct codes {
    struct place_code *all;
    size_t n, most;
    const char *program;
};

static int note_code(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct codes *c = arg;
    (void)size;
    for (size_t i = 0; i < info->dlpi_phnum && c->n < c->most; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        const struct range r = range_of(info, p);
        bool named = info->dlpi_name && info->dlpi_name[0];
        if (p->p_type == PT_LOAD && p->p_flags & PF_X)
            c->all[c->n++] = (struct place_code){r.low, r.high, p->p_offset,
                                                 named ? info->dlpi_name : c->program};
    }
    return 0;
}

size_t place_codes(struct place_code *codes, size_t most, char *program, size_t room)
{
    KEEP_ERRNO;
    struct codes c = {codes, 0, most, program};
    ssize_t n = readlink("/proc/self/exe", program, room - 1);
    program[MAX_OF(n, 0)] = 0;
    dl_iterate_phdr(note_code, &c);
    return c.n;
}

/* ---- Symbols ---- */

/* What is known of the program or shared library that contains an address. Another thread may
 * unload it at any time. */
struct module {
    uintptr_t address;
    bool exists;
    uintptr_t base;   /* what is added to the addresses of its symbols */
    uint64_t unloads; /* of libraries, until now */
    char path[400];   /* of its file */
};

#define THE_PROGRAM "/proc/self/exe"

static void write_path(struct module *m, const char *name)
{
    int n = snprintf(m->path, sizeof m->path, "%s", name && name[0] ? name : THE_PROGRAM);
    if ((size_t)n >= sizeof m->path)
        m->path[0] = 0;
}

static int is_in_module(struct dl_phdr_info *info, size_t size, void *arg)
{
    struct module *m = arg;
    if (size >= offsetof(struct dl_phdr_info, dlpi_subs) + sizeof info->dlpi_subs)
        m->unloads = info->dlpi_subs;
    for (size_t i = 0; i < info->dlpi_phnum && !m->exists; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        m->exists =
            p->p_type == PT_LOAD && m->address - (info->dlpi_addr + p->p_vaddr) < p->p_memsz;
    }
    if (!m->exists)
        return 0;
    m->base = info->dlpi_addr;
    write_path(m, info->dlpi_name);
    return 1;
}

static void find_module(struct module *m, uintptr_t address)
{
    *m = (struct module){.address = address};
    dl_iterate_phdr(is_in_module, m);
}

/* A module's file. */
struct image {
    uintptr_t base; /* the module's */
    const char *file;
    size_t size;
};

#define KNOWN_MAX 16

/* Files that were mapped for earlier questions. Under place_lock. */
static struct {
    struct image all[KNOWN_MAX];
    size_t n, next;   /* the next one to be replaced when there are too many */
    uint64_t unloads; /* of libraries, when they were mapped */
} known;

static void map_file(struct image *image, const char *path)
{
    struct stat st;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return;
    if (fstat(fd, &st) == 0 && st.st_size > (off_t)sizeof(ElfW(Ehdr))) {
        void *p = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
        image->file = p == MAP_FAILED ? NULL : p;
        image->size = (size_t)st.st_size;
    }
    close(fd);
}

static void unmap_file(struct image *image)
{
    munmap((void *)(uintptr_t)image->file, image->size);
}

/* Once a library was unloaded, another one may lie where it was. */
static void note_unloads_locked(uint64_t unloads)
{
    LOCK_ASSERT_HELD(&place_lock);
    if (unloads <= known.unloads)
        return;
    while (known.n > 0)
        unmap_file(&known.all[--known.n]);
    known.unloads = unloads;
}

static void remember_locked(const struct image *image)
{
    LOCK_ASSERT_HELD(&place_lock);
    struct image *at = &known.all[known.n];
    if (known.n < KNOWN_MAX)
        known.n++;
    else
        unmap_file(at = &known.all[known.next++ % KNOWN_MAX]);
    *at = *image;
}

/* The file stays mapped until the lock is released. NULL: it cannot be read, or what is known of
 * the module is out of date. */
static struct image image_locked(const struct module *m)
{
    LOCK_ASSERT_HELD(&place_lock);
    struct image image = {m->base, NULL, 0};
    note_unloads_locked(m->unloads);
    if (!m->exists || m->unloads != known.unloads)
        return image;
    for (size_t i = 0; i < known.n; i++) {
        if (known.all[i].base == m->base)
            return known.all[i];
    }
    map_file(&image, m->path);
    if (image.file)
        remember_locked(&image);
    return image;
}

static const ElfW(Shdr) * section(const struct image *m, size_t i)
{
    const ElfW(Ehdr) *e = (const void *)m->file;
    size_t at = e->e_shoff + i * e->e_shentsize;
    bool lies = i < e->e_shnum && at + sizeof(ElfW(Shdr)) <= m->size;
    return lies ? (const void *)(m->file + at) : NULL;
}

/* The table of all symbols, or else that of the public ones. */
static const ElfW(Shdr) * symbol_table(const struct image *m)
{
    const ElfW(Shdr) *best = NULL, *s;
    for (size_t i = 0; (s = section(m, i)) != NULL; i++) {
        if (s->sh_type == SHT_SYMTAB || (s->sh_type == SHT_DYNSYM && !best))
            best = s;
    }
    return best && best->sh_offset + best->sh_size <= m->size ? best : NULL;
}

struct symbol {
    const char *name;
    uintptr_t offset; /* of the address from its start */
};

/* The symbol of one type (STT_FUNC, STT_OBJECT) that contains the module's address. */
static bool find_symbol_locked(const struct module *module, unsigned type, struct symbol *found)
{
    const struct image m = image_locked(module);
    const ElfW(Shdr) *table = m.file ? symbol_table(&m) : NULL;
    const ElfW(Shdr) *names = table ? section(&m, table->sh_link) : NULL;
    if (!names || names->sh_offset + names->sh_size > m.size)
        return false;
    const ElfW(Sym) *symbols = (const void *)(m.file + table->sh_offset);
    for (size_t i = 0; i < table->sh_size / sizeof *symbols; i++) {
        const ElfW(Sym) *s = &symbols[i];
        if ((s->st_info & 15) != type || s->st_shndx == SHN_UNDEF ||
            module->address - (m.base + s->st_value) >= s->st_size || s->st_name >= names->sh_size)
            continue;
        found->name = m.file + names->sh_offset + s->st_name;
        found->offset = module->address - (m.base + s->st_value);
        return true;
    }
    return false;
}

static const char *base_name(const struct module *m)
{
    const char *slash = strrchr(m->path, '/');
    if (!m->exists || strcmp(m->path, THE_PROGRAM) == 0)
        return "program";
    return slash ? slash + 1 : m->path[0] ? m->path : "?";
}

/* A return address lies behind the call, perhaps in the next function. */
static size_t write_function(uintptr_t pc, char *text, size_t room, bool with_offset)
{
    KEEP_ERRNO;
    struct module m;
    struct symbol s;
    int n;
    find_module(&m, pc - 1);
    lock_acquire(&place_lock);
    if (find_symbol_locked(&m, STT_FUNC, &s))
        n = snprintf(text, room, with_offset ? "%s+0x%zx" : "%s", s.name, (size_t)s.offset + 1);
    else
        n = snprintf(text, room, "%s+0x%zx", base_name(&m), (size_t)(pc - m.base));
    lock_release(&place_lock);
    return (size_t)n;
}

bool place_variable(uintptr_t address, char *text, size_t room)
{
    KEEP_ERRNO;
    struct module m;
    struct symbol s;
    find_module(&m, address);
    lock_acquire(&place_lock);
    bool found = find_symbol_locked(&m, STT_OBJECT, &s);
    if (found)
        snprintf(text, room, s.offset ? "%s + %zu" : "%s", s.name, (size_t)s.offset);
    lock_release(&place_lock);
    return found;
}

#else

void place_each_data(void (*fn)(void *arg, uintptr_t low, uintptr_t high), void *arg)
{
    (void)fn, (void)arg;
}

size_t place_frames(struct place_frame *frames, size_t most, uintptr_t sp)
{
    (void)sp;
    memset(frames, 0, most * sizeof *frames);
    return 0;
}

static size_t frames_interrupted(struct place_frame *frames, size_t most)
{
    memset(frames, 0, most * sizeof *frames);
    return 0;
}

size_t place_codes(struct place_code *codes, size_t most, char *program, size_t room)
{
    (void)codes, (void)most, (void)program, (void)room;
    return 0;
}

static size_t write_function(uintptr_t pc, char *text, size_t room, bool with_offset)
{
    (void)with_offset;
    return (size_t)snprintf(text, room, "0x%zx", (size_t)pc);
}

bool place_variable(uintptr_t address, char *text, size_t room)
{
    (void)address, (void)text, (void)room;
    return false;
}

#endif

/* ---- Texts ---- */

static void keep_frames(struct callers *p, const struct place_frame *frames, size_t n)
{
    for (size_t i = 0; i < PLACE_FRAMES; i++)
        p->pc[i] = i < n ? frames[i].pc : 0;
}

NOINLINE void place_take(struct callers *p, uintptr_t sp)
{
    struct place_frame frames[PLACE_FRAMES];
    keep_frames(p, frames, place_frames(frames, PLACE_FRAMES, sp));
}

void place_take_interrupted(struct callers *p)
{
    struct place_frame frames[PLACE_FRAMES];
    keep_frames(p, frames, frames_interrupted(frames, PLACE_FRAMES));
}

const char *place_function(uintptr_t pc, char *text, size_t room)
{
    write_function(pc, text, room, false);
    return text;
}

/* A public call, or an inline function of gcheap.h. */
static bool is_of_library(uintptr_t pc)
{
    char name[32];
    write_function(pc, name, sizeof name, false);
    return strncmp(name, "gc_", 3) == 0 && name[3] != 0;
}

/* A call that ended in a jump has no frame. */
size_t place_skip(const struct place_frame *frames, size_t n)
{
    size_t i = 0;
    while (i < n && !is_of_library(frames[i].pc))
        i++;
    while (i < n && is_of_library(frames[i].pc))
        i++;
    return i < n ? i : 0;
}

#define DEEP 32

void place_take_program(struct callers *p, uintptr_t sp)
{
    struct place_frame frames[DEEP];
    size_t n = place_frames(frames, DEEP, sp), first = place_skip(frames, n);
    keep_frames(p, frames + first, n - first);
}

#define SHOWN 6

/* main() is the last one that is worth naming. */
const char *place_text(const struct callers *p, char *text, size_t room)
{
    struct place_frame frames[PLACE_FRAMES];
    size_t count = 0, n = 0;
    snprintf(text, room, "?");
    for (; count < PLACE_FRAMES && p->pc[count]; count++)
        frames[count] = (struct place_frame){0, p->pc[count]};
    size_t first = place_skip(frames, count);
    for (size_t i = first; i < MIN_OF(count, first + SHOWN) && n + 1 < room; i++) {
        size_t at = n + (i > first ? (size_t)snprintf(text + n, room - n, " < ") : 0);
        if (at + 1 >= room)
            break;
        n = at + write_function(p->pc[i], text + at, room - at, true);
        if (n - at > 5 && strncmp(text + at, "main+", 5) == 0)
            break;
    }
    return text;
}

/* ---- Fork ---- */

static void seize(gc_heap *none)
{
    (void)none;
    lock_seize(&place_lock);
}

static void release(gc_heap *none)
{
    (void)none;
    lock_free(&place_lock);
}

const struct fork_part place_fork = {PLACE_FORK_RANKS, .of_process = true, .seize = seize,
                                     .release = release};
