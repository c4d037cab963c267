/* Values: one 64-bit word each, NaN-boxed.
 *
 *   0x0000 0000 0000 0000            nil: zeroed memory is a valid array of nils
 *   0x0001 .... - 0xFFF9 ....        a number: the bits of a double plus 2^48
 *   0xFFFC aaaa aaaa aaaa            an object at address a
 *   0xFFFE .... .... ....            an atom: false, true, done, and some the VM keeps to itself
 *
 * The bias keeps every number clear of the words whose upper 16 bits are zero. The heap takes those
 * for plain addresses, so no number can look like one; objects it knows by VALUE_FORMAT.
 */
#ifndef OSIER_VALUE_H
#define OSIER_VALUE_H

#include <gcheap.h>
#include <math.h>
#include <string.h>

typedef uint64_t value;

#define NUMBER_BIAS ((uint64_t)1 << 48)
#define NUMBER_LAST                                                                                \
    ((uint64_t)0xFFF8 << 48) /* the greatest bits a double may have: its own NaN                   \
                              */
#define TAG_MASK ((uint64_t)0xFFFF << 48)
#define TAG_OBJECT ((uint64_t)0xFFFC << 48)
#define TAG_ATOM ((uint64_t)0xFFFE << 48)
#define ADDRESS_MASK (((uint64_t)1 << 48) - 1)
#define VALUE_FORMAT                                                                               \
    (gc_value_format)                                                                              \
    {                                                                                              \
        TAG_MASK, TAG_OBJECT, ADDRESS_MASK                                                         \
    }

#define NIL ((value)0)
#define FALSE (TAG_ATOM | 0)
#define TRUE (TAG_ATOM | 1)
#define DONE (TAG_ATOM | 2)      /* the end of an iteration */
#define UNDEFINED (TAG_ATOM | 3) /* a variable whose definition has not run yet */
#define DELETED (TAG_ATOM | 4)   /* an entry that was taken out of a map */
#define SWITCHED (TAG_ATOM | 5)  /* from a native: it changed the call stack itself */

static inline uint64_t number_bits(value v)
{
    return v - NUMBER_BIAS;
}
static inline bool bits_are_number(uint64_t bits)
{
    return bits <= NUMBER_LAST;
}
static inline bool is_number(value v)
{
    return bits_are_number(number_bits(v));
}
static inline double bits_to_double(uint64_t bits)
{
    double d;
    memcpy(&d, &bits, sizeof d);
    return d;
}
static inline double as_number(value v)
{
    return bits_to_double(number_bits(v));
}
/* For results of arithmetic, whose NaNs are the machine's own. */
static inline value from_double(double d)
{
    uint64_t bits;
    memcpy(&bits, &d, sizeof bits);
    return bits + NUMBER_BIAS;
}
/* For doubles from elsewhere, whose NaNs may have any payload. */
static inline value from_number(double d)
{
    return from_double(d == d ? d : (double)NAN);
}
static inline value from_int(int64_t i)
{
    return from_double((double)i);
}
static inline value from_bool(bool b)
{
    return TAG_ATOM | (uint64_t)b;
}
static inline bool is_falsy(value v)
{
    return v == NIL || v == FALSE;
}

static inline bool is_object(value v)
{
    return (v & TAG_MASK) == TAG_OBJECT;
}
static inline void *as_object(value v)
{
    return (void *)(uintptr_t)(v & ADDRESS_MASK);
}
static inline value from_object(const void *object)
{
    return TAG_OBJECT | (uintptr_t)object;
}

/* Whether v is a number without a fraction that fits; *i is it. */
static inline bool to_int(value v, int64_t *i)
{
    uint64_t bits = number_bits(v);
    if (!bits_are_number(bits))
        return false;
    double d = bits_to_double(bits);
    if (!(d >= -9007199254740992.0 && d <= 9007199254740992.0))
        return false;
    *i = (int64_t)d;
    return (double)*i == d;
}

#endif
