/* Makes a profile for pprof of what gc_profile_write() has written.
 *   gcheap-pprof [--frames=all|told|native] [-o OUTPUT] [INPUT]
 * docs/gcheap-pprof.1.md is its manual. */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <search.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>
#include "profile.pb-c.h"

#define LEN(array) (sizeof(array) / sizeof(array)[0])

/* ---- Mistakes ---- */

static const char *input_name = "standard input";
static unsigned long line_number;

_Noreturn static __attribute__((format(printf, 1, 2))) void fail(const char *format, ...)
{
    va_list args;
    fputs("gcheap-pprof: ", stderr);
    if (line_number)
        fprintf(stderr, "%s:%lu: ", input_name, line_number);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void *need(void *memory)
{
    if (!memory)
        fail("no memory");
    return memory;
}

/* ---- Lists ---- */

/* Appends to a list as protobuf-c has it, which doubles when its size is a power of two. */
static void append(void ***list, size_t *n, void *item)
{
    if ((*n & (*n - 1)) == 0)
        *list = need(realloc(*list, (*n ? 2 * *n : 1) * sizeof **list));
    (*list)[(*n)++] = item;
}
#define APPEND(message, field, item)                                                               \
    append((void ***)&(message)->field, &(message)->n_##field, item)

/* ---- The profile ---- */

static Pprof__Profile profile = PPROF__PROFILE__INIT;

/* The number that something has in the profile, found by its key. */
struct numbered {
    const char *text;
    uint64_t key[3];
    uint64_t number;
};

static int compare(const void *a, const void *b)
{
    const struct numbered *x = a, *y = b;
    int order = strcmp(x->text, y->text);
    return order ? order : memcmp(x->key, y->key, sizeof x->key);
}

/* The entry of this key, which is new if its number is 0. */
static struct numbered *find(void **tree, const struct numbered *key)
{
    struct numbered *fresh = need(malloc(sizeof *fresh));
    *fresh = *key;
    struct numbered *found = *(struct numbered **)need(tsearch(fresh, tree, compare));
    if (found != fresh)
        free(fresh);
    return found;
}

static int64_t string(const char *text)
{
    static void *tree;
    if (!*text)
        return 0;
    struct numbered *e = find(&tree, &(struct numbered){.text = text});
    if (!e->number) {
        e->text = need(strdup(text));
        e->number = profile.n_string_table;
        append((void ***)&profile.string_table, &profile.n_string_table,
               (char *)(uintptr_t)e->text);
    }
    return (int64_t)e->number;
}

static uint64_t function(const char *name, const char *file)
{
    static void *tree;
    struct numbered *e =
        find(&tree, &(struct numbered){"", {(uint64_t)string(name), (uint64_t)string(file), 0}, 0});
    if (!e->number) {
        Pprof__Function *f = need(malloc(sizeof *f));
        pprof__function__init(f);
        f->name = f->system_name = string(name);
        f->filename = string(file);
        APPEND(&profile, function, f);
        f->id = e->number = profile.n_function;
    }
    return e->number;
}

static uint64_t mapping_of(uint64_t address)
{
    for (size_t i = 0; i < profile.n_mapping; i++) {
        const Pprof__Mapping *m = profile.mapping[i];
        if (address >= m->memory_start && address < m->memory_limit)
            return m->id;
    }
    return 0;
}

static uint64_t location(uint64_t address, uint64_t of, uint64_t line)
{
    static void *tree;
    struct numbered *e = find(&tree, &(struct numbered){"", {address, of, line}, 0});
    if (!e->number) {
        Pprof__Location *l = need(malloc(sizeof *l));
        Pprof__Line *at = need(malloc(sizeof *at));
        pprof__location__init(l);
        pprof__line__init(at);
        at->function_id = of;
        at->line = (int64_t)line;
        l->address = address;
        l->mapping_id = address ? mapping_of(address) : 0;
        APPEND(l, line, at);
        APPEND(&profile, location, l);
        l->id = e->number = profile.n_location;
    }
    return e->number;
}

static Pprof__ValueType *value_type(const char *type, const char *unit)
{
    Pprof__ValueType *v = need(malloc(sizeof *v));
    pprof__value_type__init(v);
    v->type = string(type);
    v->unit = string(unit);
    return v;
}

static void begin_profile(void)
{
    append((void ***)&profile.string_table, &profile.n_string_table, "");
    APPEND(&profile, sample_type, value_type("alloc_objects", "count"));
    APPEND(&profile, sample_type, value_type("alloc_space", "bytes"));
    APPEND(&profile, sample_type, value_type("inuse_objects", "count"));
    APPEND(&profile, sample_type, value_type("inuse_space", "bytes"));
    profile.period_type = value_type("space", "bytes");
    profile.default_sample_type = string("inuse_space");
}

/* ---- Reading ---- */

enum { TOLD = 1, NATIVE = 2 };
static int shown = TOLD | NATIVE;

/* The site that is being read. */
static struct site {
    bool open;
    uint64_t size, mean, allocated, inuse;
    uint64_t *told, *native; /* locations */
    size_t ntold, nnative;
} site;

static uint64_t take_number(char **at, const char *what)
{
    char *end;
    errno = 0;
    bool minus = strspn(*at, " ") < strlen(*at) && (*at)[strspn(*at, " ")] == '-';
    uint64_t n = strtoull(*at, &end, 0);
    if (end == *at || errno || minus || (*end && *end != ' '))
        fail("%s is missing, or no number", what);
    *at = end;
    return n;
}

/* Takes a string between quotation marks, which it writes over the line. */
static char *take_string(char **at, const char *what)
{
    char *from = *at + strspn(*at, " "), *to = from;
    if (*from++ != '"')
        fail("%s is missing, or not in quotation marks", what);
    char *text = to;
    for (; *from && *from != '"'; from++) {
        if (*from == '\\' && from[1])
            from++;
        *to++ = *from;
    }
    if (!*from)
        fail("%s has no end", what);
    *at = from + 1;
    *to = 0;
    return text;
}

static void take_end(const char *at)
{
    if (*at)
        fail("more than was expected: \"%s\"", at);
}

static void add_location(uint64_t **list, size_t *n, uint64_t id)
{
    *list = need(realloc(*list, (*n + 1) * sizeof **list));
    (*list)[(*n)++] = id;
}

/* How many objects each sample stands for: 1 over the probability that an object is one. */
static double weight(void)
{
    return -1 / expm1(-(double)site.size / (double)site.mean);
}

static void end_site(void)
{
    if (!site.open)
        return;
    Pprof__Sample *s = need(malloc(sizeof *s));
    pprof__sample__init(s);
    bool natives = shown & NATIVE || site.ntold == 0;
    s->n_location_id = site.ntold + (natives ? site.nnative : 0);
    s->location_id = need(malloc((s->n_location_id + 1) * sizeof *s->location_id));
    if (site.ntold > 0)
        memcpy(s->location_id, site.told, site.ntold * sizeof *site.told);
    if (natives && site.nnative > 0)
        memcpy(s->location_id + site.ntold, site.native, site.nnative * sizeof *site.native);
    double objects[] = {(double)site.allocated * weight(), (double)site.inuse * weight()};
    s->n_value = 4;
    s->value = need(malloc(4 * sizeof *s->value));
    for (size_t i = 0; i < LEN(objects); i++) {
        s->value[2 * i] = llround(objects[i]);
        s->value[2 * i + 1] = llround(objects[i] * (double)site.size);
    }
    APPEND(&profile, sample, s);
    profile.period = (int64_t)site.mean;
    site.open = false;
    site.ntold = site.nnative = 0;
}

static void read_site(char *at)
{
    end_site();
    site.size = take_number(&at, "the size");
    site.mean = take_number(&at, "the mean");
    site.allocated = take_number(&at, "the number of allocated objects");
    site.inuse = take_number(&at, "the number of objects in use");
    take_end(at);
    if (site.size == 0 || site.mean == 0 || site.inuse > site.allocated)
        fail("a size or mean of 0, or more objects in use than allocated");
    site.open = true;
}

static void read_told(char *at)
{
    uint64_t line = take_number(&at, "the line");
    char *name = take_string(&at, "the function"), *file = take_string(&at, "the file");
    take_end(at);
    if (!site.open)
        fail("a frame before any site");
    if (shown & TOLD)
        add_location(&site.told, &site.ntold, location(0, function(name, file), line));
}

static void read_native(char *at)
{
    uint64_t address = take_number(&at, "the address");
    char *name = take_string(&at, "the function");
    take_end(at);
    if (!site.open)
        fail("a frame before any site");
    add_location(&site.native, &site.nnative, location(address, function(name, ""), 0));
}

static void read_code(char *at)
{
    Pprof__Mapping *m = need(malloc(sizeof *m));
    pprof__mapping__init(m);
    m->memory_start = take_number(&at, "the start");
    m->memory_limit = take_number(&at, "the end");
    m->file_offset = take_number(&at, "the offset");
    m->filename = string(take_string(&at, "the path"));
    take_end(at);
    m->has_functions = true;
    APPEND(&profile, mapping, m);
    m->id = profile.n_mapping;
}

static void read_lost(char *at)
{
    uint64_t lost = take_number(&at, "the number of lost samples");
    take_end(at);
    if (lost)
        fprintf(stderr,
                "gcheap-pprof: %" PRIu64 " samples are missing: there was no memory for them\n",
                lost);
}

static void read_line(char *line)
{
    static const struct {
        const char *word;
        void (*read)(char *at);
    } kinds[] = {{"site", read_site},
                 {"told", read_told},
                 {"native", read_native},
                 {"code", read_code},
                 {"lost", read_lost}};
    size_t n = strcspn(line, " ");
    for (size_t i = 0; i < LEN(kinds); i++) {
        if (strlen(kinds[i].word) == n && strncmp(line, kinds[i].word, n) == 0) {
            kinds[i].read(line + n);
            return;
        }
    }
    fail("unknown line: \"%s\"", line);
}

static void read_profile(FILE *in)
{
    char *line = NULL;
    size_t room = 0;
    ssize_t n;
    for (line_number = 1; (n = getline(&line, &room, in)) >= 0; line_number++) {
        if (n > 0 && line[n - 1] == '\n')
            line[n - 1] = 0;
        if (line_number > 1)
            read_line(line);
        else if (strcmp(line, "gcheap profile 1") != 0)
            fail("this is no profile of gc_profile_write(), version 1");
    }
    if (line_number == 1)
        fail("the profile is empty");
    end_site();
    line_number = 0;
    free(line);
    if (ferror(in))
        fail("%s: %s", input_name, strerror(errno));
}

/* ---- Writing ---- */

static void write_profile(const char *output)
{
    size_t size = pprof__profile__get_packed_size(&profile);
    uint8_t *bytes = need(malloc(size + 1));
    pprof__profile__pack(&profile, bytes);
    gzFile out = output ? gzopen(output, "wb") : gzdopen(STDOUT_FILENO, "wb");
    if (!out)
        fail("%s: %s", output ? output : "standard output", strerror(errno));
    if (gzfwrite(bytes, 1, size, out) != size || gzclose(out) != Z_OK)
        fail("%s: cannot write it all: %s", output ? output : "standard output", strerror(errno));
    free(bytes);
}

/* ---- The command line ---- */

_Noreturn static void usage(FILE *to, int status)
{
    fputs("usage: gcheap-pprof [--frames=all|told|native] [-o OUTPUT] [INPUT]\n", to);
    exit(status);
}

static void choose_frames(const char *which)
{
    if (strcmp(which, "all") == 0)
        shown = TOLD | NATIVE;
    else if (strcmp(which, "told") == 0)
        shown = TOLD;
    else if (strcmp(which, "native") == 0)
        shown = NATIVE;
    else
        usage(stderr, 2);
}

int main(int argc, char **argv)
{
    const char *input = NULL, *output = NULL;
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--help") == 0)
            usage(stdout, 0);
        else if (strncmp(argv[i], "--frames=", 9) == 0)
            choose_frames(argv[i] + 9);
        else if (strcmp(argv[i], "-o") == 0 && i + 1 < argc)
            output = argv[++i];
        else if ((argv[i][0] == '-' && argv[i][1]) || input)
            usage(stderr, 2);
        else
            input = argv[i];
    }
    FILE *in = stdin;
    if (input && strcmp(input, "-") != 0) {
        input_name = input;
        in = fopen(input, "r");
        if (!in)
            fail("%s: %s", input, strerror(errno));
    }
    if (!output && isatty(STDOUT_FILENO))
        fail("the profile is no text: write it to a file with -o, or into a pipe");
    begin_profile();
    read_profile(in);
    write_profile(output);
}
