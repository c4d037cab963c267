/* The computed size classes against Go's published table. */
#include "memory/sizeclass.h"
#include "gcheap.h"
#undef CHECK
#include "tap.h"

struct row {
    unsigned class;
    size_t size, span, objects, tail_waste;
    const char *max_waste;
};

/* Go's table before 24 bytes became a class. */
static const struct row oracle[] = {
    {1, 8, 8192, 1024, 0, "87.50%"},     {2, 16, 8192, 512, 0, "43.75%"},
    {3, 32, 8192, 256, 0, "46.88%"},     {4, 48, 8192, 170, 32, "31.52%"},
    {5, 64, 8192, 128, 0, "23.44%"},     {6, 80, 8192, 102, 32, "19.07%"},
    {7, 96, 8192, 85, 32, "15.95%"},     {8, 112, 8192, 73, 16, "13.56%"},
    {9, 128, 8192, 64, 0, "11.72%"},     {10, 144, 8192, 56, 128, "11.82%"},
    {11, 160, 8192, 51, 32, "9.73%"},    {12, 176, 8192, 46, 96, "9.59%"},
    {13, 192, 8192, 42, 128, "9.25%"},   {14, 208, 8192, 39, 80, "8.12%"},
    {15, 224, 8192, 36, 128, "8.15%"},   {16, 240, 8192, 34, 32, "6.62%"},
    {17, 256, 8192, 32, 0, "5.86%"},     {18, 288, 8192, 28, 128, "12.16%"},
    {19, 320, 8192, 25, 192, "11.80%"},  {20, 352, 8192, 23, 96, "9.88%"},
    {21, 384, 8192, 21, 128, "9.51%"},   {22, 416, 8192, 19, 288, "10.71%"},
    {23, 448, 8192, 18, 128, "8.37%"},   {24, 480, 8192, 17, 32, "6.82%"},
    {25, 512, 8192, 16, 0, "6.05%"},     {26, 576, 8192, 14, 128, "12.33%"},
    {27, 640, 8192, 12, 512, "15.48%"},  {28, 704, 8192, 11, 448, "13.93%"},
    {29, 768, 8192, 10, 512, "13.94%"},  {30, 896, 8192, 9, 128, "15.52%"},
    {31, 1024, 8192, 8, 0, "12.40%"},    {32, 1152, 8192, 7, 128, "12.41%"},
    {33, 1280, 8192, 6, 512, "15.55%"},  {34, 1408, 16384, 11, 896, "14.00%"},
    {35, 1536, 8192, 5, 512, "14.00%"},  {36, 1792, 16384, 9, 256, "15.57%"},
    {37, 2048, 8192, 4, 0, "12.45%"},    {38, 2304, 16384, 7, 256, "12.46%"},
    {39, 2688, 8192, 3, 128, "15.59%"},  {40, 3072, 24576, 8, 0, "12.47%"},
    {41, 3200, 16384, 5, 384, "6.22%"},  {42, 3456, 24576, 7, 384, "8.83%"},
    {43, 4096, 8192, 2, 0, "15.60%"},    {44, 4864, 24576, 5, 256, "16.65%"},
    {45, 5376, 16384, 3, 256, "10.92%"}, {46, 6144, 24576, 4, 0, "12.48%"},
    {47, 6528, 32768, 5, 128, "6.23%"},  {48, 6784, 40960, 6, 256, "4.36%"},
    {49, 6912, 49152, 7, 768, "3.37%"},  {50, 8192, 8192, 1, 0, "15.61%"},
    {51, 9472, 57344, 6, 512, "14.28%"}, {52, 9728, 49152, 5, 512, "3.64%"},
    {53, 10240, 40960, 4, 0, "4.99%"},   {54, 10880, 32768, 3, 128, "6.24%"},
    {55, 12288, 24576, 2, 0, "11.45%"},  {56, 13568, 40960, 3, 256, "9.99%"},
    {57, 14336, 57344, 4, 0, "5.35%"},   {58, 16384, 16384, 1, 0, "12.49%"},
    {59, 18432, 73728, 4, 0, "11.11%"},  {60, 19072, 57344, 3, 128, "3.57%"},
    {61, 20480, 40960, 2, 0, "6.87%"},   {62, 21760, 65536, 3, 256, "6.25%"},
    {63, 24576, 24576, 1, 0, "11.45%"},  {64, 27264, 81920, 3, 128, "10.00%"},
    {65, 28672, 57344, 2, 0, "4.91%"},   {66, 32768, 32768, 1, 0, "12.50%"},
};

#define CLASS_OF_24 3

/* A class of the oracle by our number. */
static unsigned ours(unsigned class)
{
    return class < CLASS_OF_24 ? class : class + 1;
}

static size_t span_bytes(const struct sizeclass *c)
{
    return c->npages * PAGE_SIZE;
}

/* Spans shorter than this are doubled until they are not. */
#define SHORTEST_SPAN 32768

static size_t extended(size_t span)
{
    while (span < SHORTEST_SPAN)
        span *= 2;
    return span;
}

/* What is lost when every object of a span of the table's length is one byte longer than the next
 * smaller class. */
static void max_waste(char *text, size_t capacity, size_t span, size_t size, size_t smaller)
{
    size_t n = span / size, tail = span - size * n, waste = (size - smaller - 1) * n + tail;
    snprintf(text, capacity, "%.2f%%", 100.0 * (double)waste / (double)span);
}

TEST(every_column_of_the_table)
{
    size_t smaller = 0;
    CHECK_EQ(ARRAY_LEN(oracle), SIZECLASS_COUNT - 2);
    for (unsigned i = 0; i < ARRAY_LEN(oracle); i++) {
        const struct row *want = &oracle[i];
        const struct sizeclass *c = &sizeclass_table[ours(want->class)];
        char waste[16];
        CHECK_EQ(c->size, want->size);
        CHECK_EQ(want->span / c->size, want->objects);
        CHECK_EQ(want->span % c->size, want->tail_waste);
        max_waste(waste, sizeof waste, want->span, c->size, smaller);
        if (strcmp(waste, want->max_waste) != 0)
            FAIL("class of %zu bytes: max waste %s, not %s", want->size, waste, want->max_waste);
        CHECK_EQ(span_bytes(c), extended(want->span));
        smaller = want->size;
    }
}

TEST(class_of_24_bytes)
{
    const struct sizeclass *c = &sizeclass_table[CLASS_OF_24];
    char waste[16];
    CHECK_EQ(c->size, 24);
    CHECK_EQ(PAGE_SIZE / c->size, 341);
    CHECK_EQ(span_bytes(c), extended(PAGE_SIZE));
    max_waste(waste, sizeof waste, PAGE_SIZE, 24, 16);
    ok(strcmp(waste, "29.24%") == 0, "max waste of 24 bytes is %s", waste);
    max_waste(waste, sizeof waste, PAGE_SIZE, 32, 24);
    ok(strcmp(waste, "21.88%") == 0, "max waste of 32 bytes falls to %s", waste);
}

TEST(table_is_sound)
{
    const struct sizeclass *none = &sizeclass_table[0];
    CHECK(!none->size && !none->npages && !none->ncells && !none->words);
    for (unsigned i = 1; i < SIZECLASS_COUNT; i++) {
        const struct sizeclass *c = &sizeclass_table[i];
        CHECK(c->size > sizeclass_table[i - 1].size);
        CHECK_EQ(c->size % 8, 0);
        CHECK_EQ(c->words, c->size / WORD_SIZE);
        CHECK_EQ(c->ncells, span_bytes(c) / c->size);
        CHECK((span_bytes(c) % c->size) * 8 <= span_bytes(c));
    }
    CHECK_EQ(sizeclass_table[SIZECLASS_COUNT - 1].size, SIZECLASS_MAX_SIZE);
}

TEST(magic_divides_every_offset)
{
    for (unsigned i = 1; i < SIZECLASS_COUNT; i++) {
        const struct sizeclass *c = &sizeclass_table[i];
        for (size_t offset = 0; offset < span_bytes(c); offset++)
            CHECK_EQ((uint64_t)offset * c->magic >> 32, offset / c->size);
    }
}

static unsigned naive_class(size_t size, size_t align)
{
    for (unsigned i = 1; i < SIZECLASS_COUNT; i++)
        if (sizeclass_table[i].size >= size && sizeclass_table[i].size % align == 0)
            return i;
    return 0;
}

TEST(class_of_every_size)
{
    for (size_t size = 1; size <= SIZECLASS_MAX_SIZE; size++)
        CHECK_EQ(sizeclass_of(size), naive_class(size, 1));
}

TEST(class_of_every_size_and_alignment)
{
    for (size_t align = 1; align <= PAGE_SIZE; align *= 2)
        for (size_t size = 1; size <= SIZECLASS_MAX_SIZE + 9; size += size < 2048 ? 1 : 7)
            CHECK_EQ(sizeclass_of_aligned(size, align), naive_class(size, align));
    CHECK_EQ(sizeclass_of_aligned(0, 1), 1);
    CHECK_EQ(sizeclass_of_aligned(1, PAGE_SIZE), naive_class(8192, 1));
    CHECK_EQ(sizeclass_of_aligned(8, 2 * PAGE_SIZE), 0);
    CHECK_EQ(sizeclass_of_aligned(SIZECLASS_MAX_SIZE, PAGE_SIZE), SIZECLASS_COUNT - 1);
    CHECK_EQ(sizeclass_of_aligned(SIZE_MAX, 8), 0);
}

TEST(classes_of_the_inline_path)
{
    CHECK_EQ(gc_class_by_8[0], 0);
    for (size_t size = 1; size <= GC_INLINE_BYTES_MAX; size++)
        CHECK_EQ(gc_class_by_8[(size + 7) / 8], sizeclass_of(size));
    CHECK_EQ(gc_class_by_8[GC_INLINE_BYTES_MAX / 8], GC_INLINE_CLASSES - 1);
}

TEST(span_classes)
{
    for (unsigned i = 0; i < SIZECLASS_COUNT; i++) {
        CHECK_EQ(spanclass_size(spanclass_make(i, false)), i);
        CHECK_EQ(spanclass_size(spanclass_make(i, true)), i);
        CHECK(!spanclass_noscan(spanclass_make(i, false)));
        CHECK(spanclass_noscan(spanclass_make(i, true)));
        CHECK(spanclass_make(i, true) < SPANCLASS_COUNT);
    }
}

TAP_MAIN
