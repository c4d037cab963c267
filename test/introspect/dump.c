/* Heap dumps: every kind of object, edge and root has its line; a dump is of one moment; a file is
 * there as a whole or not at all. */
#include "cells.h"
#include "crew.h"
#include "cycle/dumper.h"
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <sys/resource.h>
#include <sys/stat.h>

static gc_heap *heap;
static char folder[64], path[96];

static void make_heap(const gc_options *options)
{
    strcpy(folder, "/tmp/gcheap-dump.XXXXXX");
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/heap", folder);
    CHECK((heap = gc_heap_create(options)));
}

/* How many files there are beside the dump. They are removed. */
static unsigned clean_folder(void)
{
    unsigned others = 0;
    char name[400];
    DIR *dir = opendir(folder);
    CHECK(dir);
    for (struct dirent *e; (e = readdir(dir)) != NULL;) {
        snprintf(name, sizeof name, "%s/%s", folder, e->d_name);
        others += e->d_name[0] != '.' && strcmp(e->d_name, "heap") != 0;
        if (e->d_name[0] != '.')
            unlink(name);
    }
    closedir(dir);
    rmdir(folder);
    return others;
}

/* ---- Reading ---- */

static char *text; /* of the last dump that was read, with a newline in front */

static void read_dump(void)
{
    FILE *file = fopen(path, "r");
    CHECK(file);
    CHECK(fseek(file, 0, SEEK_END) == 0);
    size_t size = (size_t)ftell(file);
    rewind(file);
    free(text);
    CHECK((text = malloc(size + 2)));
    text[0] = '\n';
    CHECK_EQ(fread(text + 1, 1, size, file), size);
    text[size + 1] = 0;
    fclose(file);
}

static void take_dump(void)
{
    CHECK_EQ(gc_heap_dump(path), 0);
    read_dump();
}

/* Whether there is a line that begins so, and goes on to its end with `rest`. */
__attribute__((format(printf, 1, 2))) static bool has(const char *format, ...)
{
    char line[300] = "\n";
    va_list args;
    va_start(args, format);
    vsnprintf(line + 1, sizeof line - 2, format, args);
    va_end(args);
    bool found = strstr(text, line) != NULL;
    if (!found)
        diag("no line \"%s\"", line + 1);
    return found;
}

struct totals {
    unsigned long objects, edges, roots;
};
static struct totals totals(void)
{
    struct totals t;
    const char *last = strstr(text, "\nZ ");
    CHECK(last && sscanf(last, "\nZ %lx %lx %lx", &t.objects, &t.edges, &t.roots) == 3);
    CHECK(strchr(last + 1, '\n')[1] == 0);
    return t;
}

static size_t place(const void *p)
{
    return (size_t)p;
}

/* The number of the object's cell in its span. */
static size_t cell_of(const void *p)
{
    const struct gc_span *s = mheap_span_of(&heap->mem, (uintptr_t)p);
    return ((uintptr_t)p - s->base) / s->size;
}

/* ---- What is in a dump ---- */

struct pair {
    struct pair *left;
    long number;
    void *right;
};
static GC_TYPE(pair_type, struct pair, left, right);
struct vector {
    long n;
    struct vector *self;
    struct pair pairs[];
};
static GC_TYPE(vector_type, struct vector, self);
struct holder {
    void *within;
    void **outside;
};

static void trace_holder(void *object, gc_tracer *tracer)
{
    struct holder *h = object;
    gc_trace_slot(tracer, &h->within);
    if (h->outside)
        gc_trace_slot(tracer, h->outside);
}

static gc_type *holder_type(void)
{
    static const struct gc_type_spec spec = {
        .name = "a \\ and\na line", .size = sizeof(struct holder), .trace = trace_holder};
    static gc_type *made;
    CHECK((made = gc_type_create(&spec)));
    return made;
}

static gc_options named = {.flags = GC_NO_BACKGROUND, .debug = "fields"};

TEST(fields_and_elements)
{
    make_heap(&named);
    struct pair *pair = NULL, *array = NULL;
    struct vector *vector = NULL;
    GC_FRAME(pair, array, vector);
    pair = gc_new(&pair_type);
    array = gc_new_array(&pair_type, 3);
    vector = gc_new_flex(&vector_type, &pair_type, 2);
    gc_store(&pair->right, pair);
    gc_store(&array[1].left, pair);
    gc_store(&vector->pairs[1].right, &array[2]); /* leads to the middle of an object */
    take_dump();
    ok(has("= word %zu\n", sizeof(void *)) && has("A %zx ", place(pair) & ~(ARENA_SIZE - 1)),
       "figures and arenas");
    size_t size = sizeof(struct pair), two = offsetof(struct pair, right);
    ok(has("T 1 %zx 0 struct pair\nF 1 0 left\nF 1 %zx right\n", size, two), "a type");
    ok(has("T 2 0 %zx array of struct pair\nE 2 0 left\nE 2 %zx right\n", size, two),
       "of an array");
    ok(has("T 3 %zx %zx struct vector with elements struct pair\nF 3 %zx self\nE 3 0 left\n",
           offsetof(struct vector, pairs), size, offsetof(struct vector, self)),
       "of a flexible object");
    ok(has("0 1/0 %zx %zx\n", two, place(pair)), "a field");
    ok(has("0 2/0 %zx %zx\n", size, place(pair)), "an element");
    ok(has("0 3/0 %zx %zx\n", offsetof(struct vector, pairs) + size + two, place(array)),
       "an element of a flexible object");
    struct totals t = totals();
    ok(t.objects == 3 && t.edges == 3 && t.roots == 3, "%lu, %lu, %lu", t.objects, t.edges,
       t.roots);
    ok(has("R %zx local 1 of the GC_FRAME", place(pair)), "a local");
    CHECK_EQ(clean_folder(), 0);
}

TEST(traced_objects)
{
    make_heap(&(gc_options){.flags = GC_NO_BACKGROUND});
    struct holder *h = NULL;
    void *inner = NULL, *outer = NULL;
    GC_FRAME(h, inner, outer);
    h = gc_new(holder_type());
    inner = gc_new_bytes(8);
    outer = gc_new_bytes(8);
    gc_store(&h->within, inner);
    gc_store(&h->outside, &outer);
    take_dump();
    ok(has("T 1 %zx 0 a \\x5c and\\x0aa line\n", sizeof *h), "a name is escaped");
    ok(has("0 1 0 %zx - %zx\n", place(inner), place(outer)), "within the object, and elsewhere");
    CHECK_EQ(clean_folder(), 0);
}

static void describe(void *user, const void *object, const gc_type *type, char *name, size_t size)
{
    (void)user;
    if (type == &pair_type)
        snprintf(name, size, "pair \\ %ld", ((const struct pair *)object)->number);
}

TEST(names_of_objects)
{
    make_heap(&(gc_options){.flags = GC_NO_BACKGROUND, .debug = "types", .describe = describe});
    struct pair *pair = NULL;
    void *bytes = NULL;
    GC_FRAME(pair, bytes);
    pair = gc_new(&pair_type);
    pair->number = 5;
    gc_store(&pair->left, pair);
    bytes = gc_new_bytes(8);
    take_dump();
    ok(has("0 1 0 %zx\nN pair \\x5c 5\n", place(pair)), "behind the object's line");
    char *name = strstr(text, "\nN ");
    CHECK(name && !strstr(name + 1, "\nN "));
    CHECK_EQ(clean_folder(), 0);
}

static void *global, *range[3], *stack[4], **top = stack;

static void never(void *object, void *arg)
{
    (void)object;
    (void)arg;
}

static void **no_more; /* the end of a fiber's range */
static void make_roots(void *objects[8])
{
    CHECK(gc_root(&global) == 0 && gc_root_range(range, 3) == 0 &&
          gc_thread_range(stack, &top) == 0);
    for (int i = 0; i < 7; i++)
        objects[i] = gc_new(&pair_type);
    gc_store(&global, objects[0]);
    gc_store(&range[2], objects[1]);
    *top++ = objects[2];
    CHECK(gc_handle_new(objects[3]));
    CHECK_EQ(gc_weakmap_set(gc_weakmap_new(), objects[3], objects[4]), 0);
    gc_store(&((struct pair *)objects[5])->left, objects[6]);
    CHECK_EQ(gc_finalizer_set(objects[5], never, NULL), 0);
    gc_fiber_switch(gc_fiber_create_for(objects[0]));
    CHECK(gc_fiber_current() && gc_thread_range(&objects[7], &no_more) == 0);
    objects[7] = gc_new(&pair_type);
    gc_fiber_switch(NULL);
}

TEST(roots)
{
    static void *objects[8];
    no_more = objects + 8;
    make_heap(&named);
    {
        GC_FRAME_ARRAY(objects, 7);
        make_roots(objects);
    }
    take_dump();
    ok(has("R %zx the global global\n", place(objects[0])), "a global");
    ok(has("R %zx the global range + %zu\n", place(objects[1]), 2 * sizeof(void *)), "a range");
    ok(has("R %zx [0] of the range at ", place(objects[2])), "a thread's range");
    ok(has("R %zx the handle at ", place(objects[3])), "a handle");
    ok(has("X %zx %zx value in a weak map\n", place(objects[3]), place(objects[4])), "a map");
    ok(has("X %zx %zx in a suspended fiber\n", place(objects[0]), place(objects[7])), "a fiber");
    ok(has("R %zx struct pair at 0x%zx, whose finalizer is queued\n", place(objects[5]),
           place(objects[5])),
       "a finalizer");
    ok(has("%zx 1/0 0 %zx\n", cell_of(objects[5]), place(objects[6])), "what it keeps");
    ok(totals().objects == 8, "%lu objects", totals().objects);
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK_EQ(clean_folder(), 0);
}

#define SLOTS 3000
static void *slots[SLOTS];

/* They are not all looked for in the program's file, but have a line each. */
TEST(many_roots)
{
    make_heap(&(gc_options){.flags = GC_NO_BACKGROUND});
    CHECK_EQ(gc_root_range(slots, SLOTS), 0);
    for (int i = 0; i < SLOTS; i++)
        gc_store(&slots[i], gc_new(&pair_type));
    take_dump();
    ok(totals().roots == SLOTS && totals().objects == SLOTS, "%lu roots", totals().roots);
    ok(has("R %zx the global slots", place(slots[0])), "the first has a name");
    ok(has("R %zx a rooted slot at 0x%zx\n", place(slots[SLOTS - 1]), place(&slots[SLOTS - 1])),
       "the last has an address");
    CHECK_EQ(clean_folder(), 0);
}

#define MANY 1500

TEST(many_types)
{
    static gc_type *types[MANY];
    static void *objects[MANY];
    char name[20];
    make_heap(&named);
    GC_FRAME_ARRAY(objects, MANY);
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, "type %d", i);
        types[i] = gc_type_create(&(struct gc_type_spec){.name = name, .size = 16});
        objects[i] = gc_new(types[i]);
    }
    take_dump();
    for (int i = 0; i < MANY; i++) {
        snprintf(name, sizeof name, " type %d\n", i);
        CHECK(strstr(text, name));
    }
    CHECK(has("T %x ", MANY) && !strstr(text, "\nT 5dd "));
    CHECK_EQ(totals().objects, MANY);
    CHECK_EQ(clean_folder(), 0);
}

/* ---- One moment ---- */

static atomic_bool over;

/* While no cycle can end, threads that allocate would take all memory. */
static void wait_for_room(void)
{
    enum { MOST = 64 << 20 };
    POLL_UNTIL(stats_now().heap_live < MOST || atomic_load(&over));
}

static void *churn(void *unused)
{
    struct cell *list = NULL;
    (void)unused;
    CHECK_EQ(gc_thread_attach(heap), 0);
    {
        GC_FRAME(list);
        for (uint64_t i = 0; !atomic_load(&over); i++) {
            struct cell *cell = new_cell(i);
            gc_store(&cell->next, i % 1000 ? list : NULL);
            list = cell;
            if (i % 4096 == 0)
                wait_for_room();
        }
    }
    CHECK_EQ(gc_thread_detach(), 0);
    return NULL;
}

static int compare_words(const void *a, const void *b)
{
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x < y ? -1 : x > y;
}

static uintptr_t *starts, *targets;
static size_t nstarts, ntargets;

static void read_object(const char *line, uintptr_t base, size_t cell)
{
    char *at;
    starts[nstarts++] = base + strtoul(line, &at, 16) * cell;
    at = strchr(at + 1, ' ');
    while (at && at < strchr(line, '\n')) {
        strtoul(at, &at, 16);
        targets[ntargets++] = strtoul(at, &at, 16);
    }
}

/* Each reference leads to an object that has a line (I43). */
static void check_edges(void)
{
    uintptr_t base = 0, cell = 0;
    struct totals t = totals();
    CHECK((starts = calloc(t.objects + 1, sizeof *starts)));
    CHECK((targets = calloc(t.edges + t.roots + 1, sizeof *targets)));
    nstarts = ntargets = 0;
    for (const char *line = text; line[1]; line = strchr(line + 1, '\n')) {
        if (line[1] == 'S')
            CHECK(sscanf(line + 1, "S %lx %*x %lx", &base, &cell) == 2);
        else if (line[1] == 'R')
            targets[ntargets++] = strtoul(line + 3, NULL, 16);
        else if (strchr("0123456789abcdef", line[1]))
            read_object(line + 1, base, cell);
    }
    CHECK(nstarts == t.objects && ntargets == t.edges + t.roots);
    qsort(starts, nstarts, sizeof *starts, compare_words);
    for (size_t i = 0; i < ntargets; i++)
        CHECK(bsearch(&targets[i], starts, nstarts, sizeof *starts, compare_words));
    free(starts);
    free(targets);
}

TEST(while_threads_allocate)
{
    pthread_t threads[3];
    make_heap(NULL);
    for (int i = 0; i < 3; i++)
        CHECK_EQ(pthread_create(&threads[i], NULL, churn, NULL), 0);
    for (int i = 0; i < 20; i++) {
        take_dump();
        gc_blocking_begin(); /* otherwise no cycle ends, and there is ever more to check */
        check_edges();
        gc_blocking_end();
    }
    atomic_store(&over, true);
    gc_blocking_begin();
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    gc_blocking_end();
    CHECK_EQ(clean_folder(), 0);
}

/* The parent goes on, and what it does is not in the child's dump. */
TEST(a_child_writes_it)
{
    make_heap(&(gc_options){.flags = GC_FORK_SAFE});
    struct cell *list = NULL;
    int status, go[2];
    char byte = 0;
    GC_FRAME(list);
    list = new_chain(1000);
    CHECK_EQ(pipe(go), 0);
    pid_t child = fork();
    if (child == 0) {
        CHECK_EQ(read(go[0], &byte, 1), 1);
        _exit(gc_heap_dump(path) == 0 ? 0 : 1);
    }
    list = new_chain(5000);
    CHECK_EQ(gc_collect(), 0);
    CHECK_EQ(write(go[1], &byte, 1), 1);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    read_dump();
    CHECK_EQ(totals().objects, 1000);
    check_edges();
    check_chain(list, 5000);
    CHECK_EQ(clean_folder(), 0);
}

/* ---- Readers of the file ---- */

enum { HOLES = 8000, BLOCK = 40000 };

struct pipe_reader {
    int file;
    size_t length;
};

#ifdef F_SETPIPE_SZ
static void make_small(int pipe)
{
    CHECK(fcntl(pipe, F_SETPIPE_SZ, 4096) >= 0);
}
#else
static void make_small(int pipe)
{
    (void)pipe;
}
#endif

/* A pipe that holds less than is written at once: its writer waits for each piece to be read. */
static int open_small_pipe(void)
{
    CHECK_EQ(mkfifo(path, 0600), 0);
    int file = open(path, O_RDONLY | O_NONBLOCK);
    CHECK(file >= 0);
    make_small(file);
    CHECK_EQ(fcntl(file, F_SETFL, 0), 0);
    return file;
}

/* Asks for the heap's statistics again and again. */
static void *read_and_ask(void *arg)
{
    char piece[4096];
    struct pipe_reader *r = arg;
    struct pollfd written = {.fd = r->file, .events = POLLIN};
    ssize_t n;
    CHECK(poll(&written, 1, -1) == 1); /* until then a read would find no writer */
    while ((n = read(r->file, piece, sizeof piece)) > 0) {
        r->length += (size_t)n;
        CHECK(stats_of(heap).heap_inuse > 0);
    }
    CHECK(n == 0 && close(r->file) == 0);
    return NULL;
}

/* More lines of free pages than a pipe holds are written for a thread that may wait for no lock
 * meanwhile. */
TEST(a_reader_that_asks)
{
    void **kept = NULL;
    if (sizeof(void *) < 8)
        SKIP("no address space for it");
    make_heap(&(gc_options){.flags = GC_NO_BACKGROUND, .percent = GC_PERCENT_OFF});
    GC_FRAME(kept);
    CHECK((kept = gc_new_array(&gc_pointer_type, HOLES)));
    for (size_t i = 0; i < HOLES; i++) {
        gc_store(&kept[i], gc_new_bytes_raw(BLOCK));
        CHECK(kept[i] && gc_new_bytes_raw(BLOCK));
    }
    struct pipe_reader r = {.file = open_small_pipe()};
    pthread_t reader = start_thread(read_and_ask, &r);
    CHECK_EQ(gc_heap_dump(path), 0);
    join_thread(reader);
    CHECK(r.length > (size_t)HOLES * 16);
    CHECK_EQ(clean_folder(), 0);
}

/* ---- Requests from outside ---- */

static void ask(void)
{
    char name[128];
    snprintf(name, sizeof name, "%s.ask", path);
    FILE *file = fopen(name, "w");
    CHECK(file && fclose(file) == 0);
    BLOCK_UNTIL(access(name, F_OK) != 0);
}

static void make_asked_heap(unsigned flags)
{
    strcpy(folder, "/tmp/gcheap-dump.XXXXXX");
    CHECK(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/heap", folder);
    setenv("GCHEAP_DUMP", path, 1);
    CHECK((heap = gc_heap_create(&(gc_options){.flags = flags})));
}

/* No cycle comes before the dump, so the thread has cells in store: they are taken, but are no
 * objects (I43). */
TEST(cells_in_store_are_no_objects)
{
    make_asked_heap(GC_NO_BACKGROUND);
    struct cell *list = NULL;
    GC_FRAME(list);
    list = new_chain(10);
    ask();
    read_dump();
    CHECK_EQ(totals().objects, 10);
    CHECK_EQ(clean_folder(), 0);
}

/* A thread that has ended may be listed for a moment, without a name. */
static bool is_of_the_library(const char *task)
{
    char file[300], name[16] = "";
    snprintf(file, sizeof file, "/proc/self/task/%s/comm", task);
    FILE *in = fopen(file, "r");
    bool told = in && fgets(name, sizeof name, in);
    if (in)
        fclose(in);
    return told && strncmp(name, "gcheap", strlen("gcheap")) == 0;
}

/* A sanitizer has threads of its own. 0 also where the system does not tell. */
static unsigned threads_of_the_library(void)
{
    unsigned n = 0;
    DIR *dir = opendir("/proc/self/task");
    for (struct dirent *e; dir && (e = readdir(dir)) != NULL;)
        n += is_of_the_library(e->d_name);
    if (dir)
        closedir(dir);
    return n;
}

/* The threads go on while they are asked, and the heap ends when it is told to. */
TEST(requests_until_the_end)
{
    pthread_t thread;
    make_asked_heap(0);
    CHECK_EQ(pthread_create(&thread, NULL, churn, NULL), 0);
    for (int i = 0; i < 3; i++) {
        ask();
        read_dump();
        gc_blocking_begin();
        check_edges();
        gc_blocking_end();
    }
    CHECK(threads_of_the_library() > 0 || access("/proc/self/task", F_OK) != 0);
    atomic_store(&over, true);
    gc_blocking_begin();
    pthread_join(thread, NULL);
    gc_blocking_end();
    for (int i = 0; i < 20; i++) {
        CHECK_EQ(gc_heap_destroy(heap), 0);
        CHECK((heap = gc_heap_create(NULL)));
    }
    CHECK_EQ(gc_heap_destroy(heap), 0);
    WAIT_UNTIL(threads_of_the_library() == 0);
    CHECK_EQ(clean_folder(), 0);
}

TEST(a_child_answers_no_request)
{
    int status;
    make_asked_heap(GC_FORK_SAFE);
    pid_t child = fork();
    if (child == 0)
        _exit(!dumper_is_used(heap) && gc_collect() == 0 && gc_heap_destroy(heap) == 0 ? 0 : 1);
    CHECK(waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 0);
    ask();
    read_dump();
    CHECK_EQ(gc_heap_destroy(heap), 0);
    CHECK_EQ(clean_folder(), 0);
}

/* ---- What goes wrong ---- */

TEST(paths_that_cannot_be_written)
{
    char name[5000], missing[128];
    make_heap(NULL);
    memset(name, 'x', sizeof name - 1);
    name[sizeof name - 1] = 0;
    snprintf(missing, sizeof missing, "%s/no/heap", folder);
    CHECK_EQ(gc_heap_dump(NULL), -EINVAL);
    CHECK_EQ(gc_heap_dump(""), -ENOENT);
    CHECK_EQ(gc_heap_dump(missing), -ENOENT);
    CHECK_EQ(gc_heap_dump(folder), -EISDIR);
    CHECK_EQ(gc_heap_dump(name), -ENAMETOOLONG);
    if (access("/dev/full", W_OK) == 0) {
        CHECK_EQ(gc_heap_dump("/dev/full"), -ENOSPC);
        CHECK_EQ(access("/dev/full", F_OK), 0);
    }
    CHECK_EQ(gc_heap_dump(path), 0);
    CHECK_EQ(gc_heap_verify(), 0);
    CHECK_EQ(clean_folder(), 0);
}

static void write_old(void)
{
    FILE *file = fopen(path, "w");
    CHECK(file && fputs("old\n", file) >= 0 && fclose(file) == 0);
}

static bool is_old(void)
{
    read_dump();
    return strcmp(text, "\nold\n") == 0;
}

/* The system refuses in the middle of the file. */
TEST(a_file_that_becomes_too_large)
{
    struct rlimit limit = {100000, 100000};
    make_heap(NULL);
    struct cell *list = NULL;
    GC_FRAME(list);
    list = new_chain(20000);
    write_old();
    signal(SIGXFSZ, SIG_IGN);
    CHECK_EQ(setrlimit(RLIMIT_FSIZE, &limit), 0);
    CHECK_EQ(gc_heap_dump(path), -EFBIG);
    ok(is_old(), "the file is what it was");
    ok(clean_folder() == 0, "and nothing else is left");
}

/* Refused at each place where it takes memory. */
TEST(without_memory)
{
    unsigned refused = 0;
    make_heap(&named);
    struct pair *pair = NULL;
    GC_FRAME(pair);
    pair = gc_new(&pair_type);
    CHECK_EQ(gc_collect(), 0);
    int error = -ENOMEM;
    for (uint64_t nth = 1; error; nth++) {
        write_old();
        os_fail_nth(nth, 1);
        error = gc_heap_dump(path);
        os_fail_nth(0, 0);
        CHECK(error == 0 || (error == -ENOMEM && is_old()));
        refused += error != 0;
    }
    ok(refused == 2, "refused at %u places", refused);
    read_dump();
    CHECK_EQ(totals().objects, 1);
    ok(clean_folder() == 0, "nothing else is left");
}

/* What is no regular file is written as it is. */
TEST(a_pipe)
{
    int ends[2];
    char name[40], line[20] = "";
    make_heap(NULL);
    CHECK_EQ(pipe(ends), 0);
    snprintf(name, sizeof name, "/proc/self/fd/%d", ends[1]);
    if (access(name, W_OK) != 0)
        SKIP("no /proc");
    CHECK_EQ(gc_heap_dump(name), 0);
    CHECK_EQ(read(ends[0], line, 19), 19);
    ok(strcmp(line, "gcheap heap dump 1\n") == 0, "it gets a dump");
    CHECK_EQ(clean_folder(), 0);
}

/* A link stays, and the file to which it leads is written: /dev/stdout is such a link. */
TEST(a_link)
{
    char link[128], seen[128];
    make_heap(NULL);
    write_old();
    snprintf(link, sizeof link, "%s/link", folder);
    CHECK_EQ(symlink(path, link), 0);
    CHECK_EQ(gc_heap_dump(link), 0);
    read_dump();
    CHECK_EQ(totals().objects, 0);
    ok(access(link, F_OK) == 0 && readlink(link, seen, sizeof seen) > 0, "the link is there");
    CHECK_EQ(unlink(link), 0);
    CHECK_EQ(clean_folder(), 0);
}

TAP_MAIN
