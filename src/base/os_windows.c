/* Windows 10 and later. Nothing of a library that emulates POSIX. */
#include "base/os_common.h"

#if OS_WINDOWS

#include "base/bits.h"

#include <windows.h>

#include <errno.h>
#include <fcntl.h>
#include <io.h>
#include <process.h>
#include <psapi.h>
#include <share.h>
#include <sys/stat.h>

/* As KEEP_ERRNO, for the error of Windows too. */
struct errors {
    int number;
    DWORD last;
};

static void restore_errors(const struct errors *kept)
{
    errno = kept->number;
    SetLastError(kept->last);
}
#define KEEP_ERRORS                                                                                \
    const struct errors __attribute__((cleanup(restore_errors), unused))                           \
    kept_errors = {errno, GetLastError()}

unsigned os_cpu_count(void)
{
    KEEP_ERRORS;
    DWORD_PTR ours, all;
    if (GetProcessAffinityMask(GetCurrentProcess(), &ours, &all) && ours)
        return bits_count(ours);
    return MAX_OF(GetActiveProcessorCount(ALL_PROCESSOR_GROUPS), 1); /* more than one group */
}

/* ---- Memory ---- */

size_t os_page_size(void)
{
    static word size; /* 0: not asked yet */
    word known = word_load_relaxed(&size);
    if (UNLIKELY(known == 0)) {
        SYSTEM_INFO info;
        GetSystemInfo(&info);
        known = info.dwPageSize;
        word_store_relaxed(&size, known);
    }
    return known;
}

static void *reserve(void *at, size_t size)
{
    return VirtualAlloc(at, size, MEM_RESERVE, PAGE_NOACCESS);
}

/* A reservation is given back as a whole, so its ends cannot be cut off: where enough was free, the
 * aligned part is reserved, unless another thread takes it first. */
static void *reserve_aligned(size_t size, size_t align)
{
    for (int tries = 0; tries < 16 && size <= SIZE_MAX - align; tries++) {
        void *all = reserve(NULL, size + align);
        if (!all)
            return NULL;
        VirtualFree(all, 0, MEM_RELEASE);
        void *p = reserve((void *)align_up((uintptr_t)all, align), size);
        if (p)
            return p;
    }
    return NULL;
}

void *os_reserve(void *hint, size_t size, size_t align)
{
    KEEP_ERRORS;
    os_check_range(hint, size);
    if (os_common_fault())
        return NULL;
    void *p = reserve(hint, size);
    if (p && (!hint || p == hint) && ((uintptr_t)p & (align - 1)) == 0)
        return p;
    if (p)
        VirtualFree(p, 0, MEM_RELEASE);
    return reserve_aligned(size, align);
}

/* How much of a range lies in the reservation in which it begins. */
static size_t in_one_reservation(const char *p, size_t size)
{
    MEMORY_BASIC_INFORMATION part;
    const void *base = NULL;
    size_t n = 0;
    while (n < size && VirtualQuery(p + n, &part, sizeof part) && part.State != MEM_FREE &&
           (n == 0 || part.AllocationBase == base)) {
        base = part.AllocationBase;
        n = (size_t)((char *)part.BaseAddress + part.RegionSize - p);
    }
    return MIN_OF(n, size);
}

/* The system's calls concern one reservation at a time. */
static bool each_reservation(void *p, size_t size, bool (*fn)(void *p, size_t size))
{
    for (char *at = p, *end = at + size; at < end;) {
        size_t n = in_one_reservation(at, (size_t)(end - at));
        CHECK(n > 0);
        if (!fn(at, n))
            return false;
        at += n;
    }
    return true;
}

static bool commit(void *p, size_t size)
{
    return VirtualAlloc(p, size, MEM_COMMIT, PAGE_READWRITE) == p;
}

bool os_commit(void *p, size_t size)
{
    KEEP_ERRORS;
    os_check_range(p, size);
    return !os_common_fault() && each_reservation(p, size, commit);
}

void *os_map(size_t size)
{
    KEEP_ERRORS;
    os_check_range(NULL, size);
    return os_common_fault() ? NULL
                             : VirtualAlloc(NULL, size, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

/* What was given back is asked for again at once. If another process has got it meanwhile, memory
 * is short for all of them, and there is no way back. */
static bool renew(void *p, size_t size)
{
    if (!VirtualFree(p, size, MEM_DECOMMIT))
        return false;
    CHECK(commit(p, size));
    return true;
}

bool os_release(void *p, size_t size)
{
    KEEP_ERRORS;
    os_check_range(p, size);
    return !os_common_fault() && each_reservation(p, size, renew);
}

/* ---- Parts of reservations that are unmapped: the last part gives back the whole ---- */

#define PARTLY_MAX 256
static SRWLOCK partly_lock = SRWLOCK_INIT;
static struct {
    uintptr_t base; /* 0: none */
    size_t unmapped;
} partly[PARTLY_MAX]; /* under lock */

/* Counts what is unmapped, and returns the sum; 0 if there is no room to count. Then the address
 * space of the reservation is lost. */
static size_t count_unmapped_locked(uintptr_t base, size_t size)
{
    size_t at = PARTLY_MAX;
    for (size_t i = 0; i < PARTLY_MAX && (at == PARTLY_MAX || partly[at].base != base); i++)
        if (partly[i].base == base || (partly[i].base == 0 && at == PARTLY_MAX))
            at = i;
    if (at == PARTLY_MAX)
        return 0;
    partly[at].base = base;
    return partly[at].unmapped += size;
}

static void forget_partly_locked(uintptr_t base)
{
    for (size_t i = 0; i < PARTLY_MAX; i++)
        if (partly[i].base == base)
            partly[i].base = partly[i].unmapped = 0;
}

static bool unmap(void *p, size_t size)
{
    MEMORY_BASIC_INFORMATION part;
    CHECK(VirtualQuery(p, &part, sizeof part));
    char *base = part.AllocationBase;
    size_t whole = in_one_reservation(base, UINTPTR_MAX - (uintptr_t)base);
    if (size < whole)
        VirtualFree(p, size, MEM_DECOMMIT);
    AcquireSRWLockExclusive(&partly_lock);
    if (size == whole || count_unmapped_locked((uintptr_t)base, size) == whole) {
        forget_partly_locked((uintptr_t)base);
        VirtualFree(base, 0, MEM_RELEASE);
    }
    ReleaseSRWLockExclusive(&partly_lock);
    return true;
}

void os_unmap(void *p, size_t size)
{
    KEEP_ERRORS;
    os_check_range(p, size);
    each_reservation(p, size, unmap);
}

size_t os_resident(const void *p, size_t size)
{
    KEEP_ERRORS;
    os_check_range(p, size);
    PSAPI_WORKING_SET_EX_INFORMATION pages[256];
    size_t page = os_page_size(), resident = 0;
    for (size_t done = 0; done < size;) {
        size_t n = MIN_OF(divide_up(size - done, page), ARRAY_LEN(pages));
        for (size_t i = 0; i < n; i++)
            pages[i].VirtualAddress = (char *)(uintptr_t)p + done + i * page;
        if (!QueryWorkingSetEx(GetCurrentProcess(), pages, (DWORD)(n * sizeof pages[0])))
            return resident;
        for (size_t i = 0; i < n; i++)
            resident += page * (pages[i].VirtualAttributes.Valid & 1u);
        done += n * page;
    }
    return resident;
}

/* ---- What is mapped ---- */

/* A page with a guard is there when it is touched by the thread whose stack it belongs to. */
static bool is_usable(const MEMORY_BASIC_INFORMATION *part, DWORD kinds)
{
    return part->State == MEM_COMMIT && part->Protect & kinds && !(part->Protect & PAGE_GUARD);
}

bool os_is_mapped(const void *p, size_t size)
{
    KEEP_ERRORS;
    MEMORY_BASIC_INFORMATION part;
    for (const char *at = p, *end = at + size; at < end;
         at = (char *)part.BaseAddress + part.RegionSize)
        if (!VirtualQuery(at, &part, sizeof part) || !is_usable(&part, ~(DWORD)PAGE_NOACCESS))
            return false;
    return true;
}

/* The parts of the reservation, from its beginning on. */
bool os_mapping(uintptr_t address, uintptr_t *low, uintptr_t *high)
{
    KEEP_ERRORS;
    MEMORY_BASIC_INFORMATION part;
    if (!VirtualQuery((void *)address, &part, sizeof part) || part.Type != MEM_PRIVATE)
        return false;
    const void *base = part.AllocationBase;
    *low = *high = (uintptr_t)base;
    while (VirtualQuery((void *)*high, &part, sizeof part) && part.State != MEM_FREE &&
           part.AllocationBase == base) {
        bool usable = is_usable(&part, PAGE_READWRITE | PAGE_EXECUTE_READWRITE);
        if (!usable && *low <= address && address < *high)
            return true;
        *high = (uintptr_t)part.BaseAddress + part.RegionSize;
        *low = usable ? *low : *high;
    }
    return *low <= address && address < *high;
}

/* A fiber's, where the thread runs one. */
int os_stack_bounds(uintptr_t *low, uintptr_t *high)
{
    ULONG_PTR from, to;
    GetCurrentThreadStackLimits(&from, &to);
    *low = from;
    *high = to;
    return 0;
}

/* ---- Waiting ---- */

/* Rounded up, as a wait that ends early would be repeated at once. */
static DWORD milliseconds(uint64_t ns)
{
    uint64_t ms = ns / 1000000 + (ns % 1000000 != 0);
    return (DWORD)MIN_OF(ms, INFINITE - 1);
}

void os_wait(const uint32_t *address, uint32_t expected, int64_t timeout_ns)
{
    KEEP_ERRORS;
    DWORD timeout = timeout_ns < 0 ? INFINITE : milliseconds((uint64_t)timeout_ns);
    WaitOnAddress((volatile void *)(uintptr_t)address, &expected, sizeof expected, timeout);
}

void os_wake(const uint32_t *address, int n)
{
    if (n == 1)
        WakeByAddressSingle((void *)(uintptr_t)address);
    else
        WakeByAddressAll((void *)(uintptr_t)address);
}

/* ---- Clocks ---- */

uint64_t os_now_ns(void)
{
    LARGE_INTEGER frequency, now;
    QueryPerformanceFrequency(&frequency);
    QueryPerformanceCounter(&now);
    uint64_t each = (uint64_t)frequency.QuadPart, ticks = (uint64_t)now.QuadPart;
    return ticks / each * 1000000000 + ticks % each * 1000000000 / each;
}

static uint64_t time_of(const FILETIME *t)
{
    return ((uint64_t)t->dwHighDateTime << 32 | t->dwLowDateTime) * 100;
}

uint64_t os_thread_cpu_ns(void)
{
    KEEP_ERRORS;
    FILETIME begin, end, kernel, user;
    CHECK(GetThreadTimes(GetCurrentThread(), &begin, &end, &kernel, &user));
    return time_of(&kernel) + time_of(&user);
}

void os_sleep_ns(uint64_t ns)
{
    KEEP_ERRORS;
    uint64_t end = os_now_ns() + ns;
    for (uint64_t now; (now = os_now_ns()) < end;)
        Sleep(milliseconds(end - now));
}

void os_yield(void)
{
    SwitchToThread();
}

/* ---- Threads ---- */

uint64_t os_thread_id(void)
{
    return GetCurrentThreadId();
}

/* Not in all headers of MinGW. */
WINBASEAPI HRESULT WINAPI SetThreadDescription(HANDLE thread, const wchar_t *text);

void os_thread_title(const char *title)
{
    KEEP_ERRORS;
    wchar_t wide[16];
    size_t n = 0;
    for (; title[n] && n + 1 < ARRAY_LEN(wide); n++)
        wide[n] = (unsigned char)title[n];
    wide[n] = 0;
    SetThreadDescription(GetCurrentThread(), wide);
}

/* The value of a thread in a slot of fiber-local storage runs a function when the thread ends. That
 * is so for each way to end, before the loader's lock is taken. */
static DWORD run_slot;

static void WINAPI end_thread(void *arg)
{
    const struct os_thread *thread = arg;
    CHECK(thread->cut_short && "a callback has ended a thread of the library's");
    thread->cut_short(thread->arg);
}

static unsigned __stdcall thread_main(void *arg)
{
    const struct os_thread *given = arg;
    struct os_thread thread = {0, given->run, given->arg, given->cut_short};
    CHECK(FlsSetValue(run_slot, &thread));
    thread.run(thread.arg);
    FlsSetValue(run_slot, NULL);
    return 0;
}

static BOOL CALLBACK make_run_slot(INIT_ONCE *once, void *unused, void **context)
{
    (void)once, (void)unused, (void)context;
    run_slot = FlsAlloc(end_thread);
    return run_slot != FLS_OUT_OF_INDEXES;
}

int os_thread_start(struct os_thread *thread, void (*run)(void *), void *arg)
{
    KEEP_ERRORS;
    static INIT_ONCE once = INIT_ONCE_STATIC_INIT;
    if (os_common_fault() || !InitOnceExecuteOnce(&once, make_run_slot, NULL, NULL))
        return EAGAIN;
    thread->run = run;
    thread->arg = arg;
    uintptr_t id = _beginthreadex(NULL, 0, thread_main, thread, 0, NULL);
    if (id == 0)
        return EAGAIN;
    thread->id = id;
    return 0;
}

void os_thread_join(struct os_thread *thread)
{
    KEEP_ERRORS;
    CHECK(WaitForSingleObject((HANDLE)thread->id, INFINITE) == WAIT_OBJECT_0);
    CloseHandle((HANDLE)thread->id);
}

/* ---- Lives: a handle of the thread, which the system signals when the thread has ended ---- */

struct life {
    SRWLOCK lock;
    HANDLE thread; /* NULL: none; under lock */
};
_Static_assert(sizeof(struct life) <= sizeof((struct os_life *)0)->room, "os.h");

static struct life *life_of(struct os_life *life)
{
    return (struct life *)(void *)life->room;
}

static void replace_locked(struct life *l, HANDLE thread)
{
    if (l->thread)
        CloseHandle(l->thread);
    l->thread = thread;
}

void os_life_init(struct os_life *life)
{
    life->over = 0;
    *life_of(life) = (struct life){SRWLOCK_INIT, NULL};
}

/* Without a handle, nobody learns of the thread's end. */
void os_life_begin(struct os_life *life)
{
    KEEP_ERRORS;
    HANDLE here = GetCurrentProcess(), thread = NULL;
    DuplicateHandle(here, GetCurrentThread(), here, &thread, SYNCHRONIZE, FALSE, 0);
    AcquireSRWLockExclusive(&life_of(life)->lock);
    replace_locked(life_of(life), thread);
    u32_store_relaxed(&life->over, 0);
    ReleaseSRWLockExclusive(&life_of(life)->lock);
}

void os_life_end(struct os_life *life)
{
    KEEP_ERRORS;
    AcquireSRWLockExclusive(&life_of(life)->lock);
    replace_locked(life_of(life), NULL);
    ReleaseSRWLockExclusive(&life_of(life)->lock);
}

bool os_life_is_over(struct os_life *life)
{
    KEEP_ERRORS;
    struct life *l = life_of(life);
    AcquireSRWLockExclusive(&l->lock);
    if (l->thread && WaitForSingleObject(l->thread, 0) == WAIT_OBJECT_0) {
        u32_store_relaxed(&life->over, 1);
        replace_locked(l, NULL);
    }
    bool over = u32_load_relaxed(&life->over);
    ReleaseSRWLockExclusive(&l->lock);
    return over;
}

/* ---- A word of each thread ---- */

/* The word belongs to the thread. What tells of the thread's end belongs to the fiber in which the
 * word was last set; most threads have but one. */
static DWORD word_slot, end_slot;
static void (*at_end)(void *value);

static void WINAPI thread_ends(void *unused)
{
    (void)unused;
    at_end(TlsGetValue(word_slot));
}

int os_key_make(void (*ends)(void *value))
{
    KEEP_ERRORS;
    at_end = ends;
    word_slot = TlsAlloc();
    if (word_slot == TLS_OUT_OF_INDEXES)
        return EAGAIN;
    end_slot = FlsAlloc(thread_ends);
    if (end_slot != FLS_OUT_OF_INDEXES)
        return 0;
    TlsFree(word_slot);
    return EAGAIN;
}

void *os_key_get(void)
{
    KEEP_ERRORS;
    return TlsGetValue(word_slot);
}

bool os_key_set(void *value)
{
    KEEP_ERRORS;
    return FlsSetValue(end_slot, value) && TlsSetValue(word_slot, value);
}

unsigned os_key_rounds(void)
{
    return 1;
}

void os_stay_loaded(void)
{
    KEEP_ERRORS;
    static const char here;
    HMODULE file;
    GetModuleHandleExA(GET_MODULE_HANDLE_EX_FLAG_PIN | GET_MODULE_HANDLE_EX_FLAG_FROM_ADDRESS,
                       &here, &file);
}

/* ---- Memory of the C library ---- */

void *os_aligned_alloc(size_t align, size_t size)
{
    return _aligned_malloc(size, align);
}

void os_aligned_free(void *p)
{
    _aligned_free(p);
}

/* ---- Files ---- */

uint64_t os_process_id(void)
{
    return GetCurrentProcessId();
}

bool os_file_exists(const char *path)
{
    KEEP_ERRORS;
    return _access(path, 0) == 0;
}

bool os_file_is_special(const char *path)
{
    KEEP_ERRORS;
    struct _stat64 there;
    return _stat64(path, &there) == 0 && (there.st_mode & _S_IFMT) != _S_IFREG;
}

/* Lines end as the library writes them. */
static int open_file(const char *path, int how)
{
    int file = -1;
    how |= _O_WRONLY | _O_BINARY | _O_NOINHERIT;
    errno_t error = _sopen_s(&file, path, how, _SH_DENYNO, _S_IREAD | _S_IWRITE);
    return error ? -error : file;
}

int os_file_open(const char *path)
{
    KEEP_ERRORS;
    return open_file(path, _O_TRUNC);
}

int os_file_make(char *path)
{
    KEEP_ERRORS;
    errno_t error = _mktemp_s(path, strlen(path) + 1);
    return error ? -error : open_file(path, _O_CREAT | _O_EXCL);
}

int os_file_write(int file, const char *text, size_t size)
{
    KEEP_ERRORS;
    while (size > 0) {
        int n = _write(file, text, (unsigned)MIN_OF(size, INT_MAX));
        if (n < 0)
            return -errno;
        text += n;
        size -= (size_t)n;
    }
    return 0;
}

int os_file_close(int file)
{
    KEEP_ERRORS;
    return _close(file) == 0 ? 0 : -errno;
}

int os_file_move(const char *from, const char *to)
{
    KEEP_ERRORS;
    return MoveFileExA(from, to, MOVEFILE_REPLACE_EXISTING) ? 0 : -EACCES;
}

int os_file_remove(const char *path)
{
    KEEP_ERRORS;
    return _unlink(path) == 0 ? 0 : -errno;
}

#endif
