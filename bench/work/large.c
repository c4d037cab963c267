/* Blocks of kilobytes to megabytes, as they are buffers, images, strings and the storage of
 * vectors: each takes the place of one of `live`, chosen at random. Their sizes rise from `from` to
 * `to`, by a quarter of the power of two at each step, and begin again. With zero=0 only the first
 * word is written. The results are the price of a block (its memory, its zeroing, its death) and
 * the memory that the manager takes for what is alive. */
#include "../harness.h"

enum { MAX_LIVE = 1024 };

static size_t from, to;

static size_t next_size(size_t size)
{
    size_t power = 1;
    while (power * 2 <= size)
        power *= 2;
    return size + power / 4 > to ? from : size + power / 4;
}

static double mean_size(void)
{
    double sum = (double)from, n = 1;
    for (size_t size = next_size(from); size != from; size = next_size(size), n++)
        sum += (double)size;
    return sum / n;
}

static uint64_t replace(long count, size_t live, bool zeroed)
{
    uint64_t *window[MAX_LIVE] = {0}, sum = 0;
    struct random dice = {1};
    size_t size = from;
    BM_ROOT_ARRAY(window, live);
    for (long i = 0; i < count; i++) {
        size_t at = random_below(&dice, live);
        BM_FREE(window[at]);
        window[at] = NULL;
        window[at] = zeroed ? BM_BYTES_ZEROED(size) : BM_BYTES(size);
        *window[at] = (uint64_t)i;
        size = next_size(size);
    }
    for (size_t i = 0; i < live; i++) {
        sum += window[i] ? *window[i] : 0;
        BM_FREE(window[i]);
    }
    return sum;
}

void run_large(void)
{
    from = (size_t)parameter("from", 64 << 10);
    to = (size_t)parameter("to", (long)from);
    long live = parameter("live", 1), count = parameter("count", 20000);
    bool zeroed = parameter("zero", 1);
    if (live < 1 || live > MAX_LIVE)
        fail("live is 1 to 1024");
    double before = resident_mib();
    replace(count / 10, (size_t)live, zeroed);
    uint64_t t0 = now_ns();
    uint64_t sum = replace(count, (size_t)live, zeroed);
    result("time", since(t0) * 1e6 / (double)count, "us/block");
    result("peak", peak_mib() - before, "MiB");
    result("live", (double)live * mean_size() / (1 << 20), "MiB");
    check(sum);
}
