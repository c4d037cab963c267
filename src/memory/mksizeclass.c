/* Computes the size classes and prints sizeclass_table.h; it runs when the library is built. The
 * method is that of Go's mksizeclasses.go, with a class of 24 bytes as in Go since 1.16; but spans
 * are longer. `make classes` prints a table to read. */
#include "memory/sizeclass.h"

struct size_of_class {
    size_t size, npages;
};

static struct size_of_class classes[SIZECLASS_COUNT];
static unsigned count = 1; /* class 0 is no size */

/* The step to the next candidate after `size`: an eighth of the power of two below it, so that
 * rounding up wastes at most an eighth. */
static size_t step_at(size_t size, size_t step)
{
    if (!is_power_of_two(size))
        return step;
    if (size >= 2048)
        return 256;
    if (size >= 128)
        return size / 8;
    return size >= 32 ? 16 : step;
}

/* The smallest number of pages of which the cells leave at most an eighth unused. */
static size_t pages_for(size_t size)
{
    size_t bytes = PAGE_SIZE;
    while (bytes % size > bytes / 8)
        bytes += PAGE_SIZE;
    return bytes / PAGE_SIZE;
}

static size_t cells_in(size_t npages, size_t size)
{
    return npages * PAGE_SIZE / size;
}

/* A class that cuts the same span into as many cells as the class before replaces that class. */
static void add(size_t size)
{
    size_t npages = pages_for(size);
    struct size_of_class *last = &classes[count - 1];
    bool same = count > 1 && last->npages == npages &&
                cells_in(npages, size) == cells_in(npages, last->size);
    if (!same) {
        CHECK(count < SIZECLASS_COUNT);
        last = &classes[count++];
    }
    *last = (struct size_of_class){size, npages};
}

/* Makes the cells larger while as many fit into the span, in steps of the large lookup table. */
static void widen(struct size_of_class *c)
{
    size_t share = c->npages * PAGE_SIZE / cells_in(c->npages, c->size);
    c->size = MAX_OF(c->size, align_down(share, 128));
}

/* The work of a sweeper, an mcentral or a P for one span depends little on the span's size. */
#define SPAN_MIN_PAGES 4

static void extend(struct size_of_class *c)
{
    while (c->npages < SPAN_MIN_PAGES)
        c->npages *= 2;
}

static void compute(void)
{
    size_t step = 8;
    for (size_t size = step; size <= SIZECLASS_MAX_SIZE; size += step) {
        step = step_at(size, step);
        add(size);
    }
    CHECK(count == SIZECLASS_COUNT);
    for (unsigned c = 1; c < count; c++) {
        widen(&classes[c]);
        extend(&classes[c]);
        CHECK(classes[c].npages <= SIZECLASS_MAX_PAGES);
    }
}

static unsigned class_of(size_t size)
{
    unsigned c = 1;
    while (classes[c].size < size)
        c++;
    return c;
}

/* ceil(2^32 / size): exact for the offsets of a span; test/memory/sizeclass.c tries them all. */
static unsigned magic_of(size_t size)
{
    return (unsigned)(UINT32_MAX / size + 1);
}

static void print_classes(void)
{
    printf("#define SIZECLASS_TABLE \\\n    {0, 0, 0, 0, 0}");
    for (unsigned c = 1; c < count; c++) {
        size_t size = classes[c].size, npages = classes[c].npages;
        printf(", \\\n    {%zu, %zu, %zu, %uu, %zu / WORD_SIZE}", size, npages,
               cells_in(npages, size), magic_of(size), size);
    }
    printf("\n\n");
}

static void print_page_class(unsigned sizeclass, bool noscan, bool traced)
{
    size_t size = classes[sizeclass].size;
    printf(", \\\n    PAGE_CLASS(%zu, %uu, %d, %d)", size, size ? magic_of(size) : 0, noscan,
           traced);
}

/* By span class; the first entry is that of a free page. */
static void print_page_classes(void)
{
    printf("#define PAGE_CLASS_TABLE \\\n    {0, 0, 0, 0, 0, 0, 0, 0}");
    for (unsigned c = 0; c < SPANCLASS_COUNT; c++)
        print_page_class(spanclass_size(c), spanclass_noscan(c), spanclass_traced(c));
    printf("\n\n");
}

static void print_lookup(const char *name, size_t first, size_t last, size_t step)
{
    printf("#define %s \\\n    %u", name, class_of(first));
    for (size_t size = first + step; size <= last; size += step)
        printf(", %s%u", (size - first) / step % 16 ? "" : "\\\n    ", class_of(size));
    printf("\n\n");
}

/* As in Go's table: what a span of the class loses at its end; and at most, if each object is a
 * byte longer than the next smaller class. */
static void print_waste(void)
{
    printf("class  bytes/obj  bytes/span  objects  tail waste  max waste\n");
    for (unsigned c = 1; c < count; c++) {
        size_t size = classes[c].size, span = classes[c].npages * PAGE_SIZE;
        size_t cells = cells_in(classes[c].npages, size), tail = span % size;
        size_t most = (size - classes[c - 1].size - 1) * cells + tail;
        printf("%5u %10zu %11zu %8zu %11zu %9.2f%%\n", c, size, span, cells, tail,
               100.0 * (double)most / (double)span);
    }
}

/* With an argument, a table to read. */
int main(int argc, char **argv)
{
    (void)argv;
    compute();
    if (argc > 1) {
        print_waste();
        return fflush(stdout) != 0;
    }
    printf("/* Made by mksizeclass.c. */\n\n");
    print_classes();
    print_page_classes();
    print_lookup("SIZECLASS_TABLE_BY_8_FROM_16", 16, 1024, 8);
    print_lookup("SIZECLASS_TABLE_BY_128_FROM_1024", 1024, SIZECLASS_MAX_SIZE, 128);
    return fflush(stdout) != 0;
}

_Noreturn void base_panic(const char *file, int line, const char *what)
{
    fprintf(stderr, "%s:%d: %s\n", file, line, what);
    exit(1);
}
