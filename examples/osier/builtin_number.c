/* Numbers: arithmetic that the loop does not do itself, and their methods; ranges. */
#include "vm.h"

#include <stdio.h>
#include <stdlib.h>

/* The result has the sign of b. */
double number_modulo(double a, double b)
{
    double r = fmod(a, b);
    if (r != 0 && (r < 0) != (b < 0))
        r += b;
    return r;
}

double number_bitwise(struct thread *t, enum symbol op, value a, value b)
{
    int64_t x, y;
    if (!to_int(a, &x) || !to_int(b, &y))
        throw_error(t, ERROR_TypeError, "'%s' needs integers of at most 53 bits",
                    vm.symbols[op]->bytes);
    switch (op) {
    case SYMBOL_BAND:
        return (double)(x & y);
    case SYMBOL_BOR:
        return (double)(x | y);
    default:
        return (double)(x ^ y);
    }
}

#define SELF as_number(args[0])

#define UNARY(name, expression)                                                                    \
    static value number_##name(struct thread *t, value *args, int n)                               \
    {                                                                                              \
        (void)t, (void)n;                                                                          \
        return from_number(expression);                                                            \
    }
UNARY(abs, fabs(SELF))
UNARY(floor, floor(SELF))
UNARY(ceil, ceil(SELF))
UNARY(round, round(SELF))
UNARY(truncate, trunc(SELF))
UNARY(sqrt, sqrt(SELF))
UNARY(sin, sin(SELF))
UNARY(cos, cos(SELF))
UNARY(tan, tan(SELF))
UNARY(asin, asin(SELF))
UNARY(acos, acos(SELF))
UNARY(atan, atan(SELF))
UNARY(exp, exp(SELF))
UNARY(log, log(SELF))
UNARY(pow, pow(SELF, arg_number(t, args, 1)))
UNARY(atan2, atan2(SELF, arg_number(t, args, 1)))
UNARY(min, fmin(SELF, arg_number(t, args, 1)))
UNARY(max, fmax(SELF, arg_number(t, args, 1)))

static value number_fixed(struct thread *t, value *args, int n)
{
    (void)n;
    char text[400];
    int digits = (int)arg_int_in(t, args, 1, 0, 30);
    return from_object(
        new_string(t, text, (size_t)snprintf(text, sizeof text, "%.*f", digits, SELF)));
}

static value number_hex(struct thread *t, value *args, int n)
{
    (void)n;
    char text[32];
    long long i = arg_int(t, args, 0);
    return from_object(new_string(
        t, text, (size_t)snprintf(text, sizeof text, "%s%llx", i < 0 ? "-" : "", llabs(i))));
}

static value number_is_nan(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return from_bool(SELF != SELF);
}

static value number_is_integer(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return from_bool(SELF == floor(SELF) && !isinf(SELF));
}

/* ---- Ranges -------------------------------------------------------------------------------- */

static value range_step(struct thread *t, value *args, int n)
{
    (void)n;
    struct range *self = as_object(args[0]);
    double step = arg_number(t, args, 1);
    if (step == 0 || step != step)
        throw_error(t, ERROR_ValueError, "a range cannot go in steps of 0");
    struct range *range = new_range(t, self->from, self->to, self->inclusive);
    range->step = step;
    return from_object(range);
}

static value range_from(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return from_number(((struct range *)as_object(args[0]))->from);
}

static value range_to(struct thread *t, value *args, int n)
{
    (void)t, (void)n;
    return from_number(((struct range *)as_object(args[0]))->to);
}

static value range_has(struct thread *t, value *args, int n)
{
    (void)n;
    struct range *self = as_object(args[0]);
    double d = arg_number(t, args, 1);
    return from_bool(d >= self->from && (self->inclusive ? d <= self->to : d < self->to));
}

void builtin_number_open(struct thread *t)
{
    static const struct native_def numbers[] = {{"abs", number_abs, 0, 0, false},
                                                {"floor", number_floor, 0, 0, false},
                                                {"ceil", number_ceil, 0, 0, false},
                                                {"round", number_round, 0, 0, false},
                                                {"truncate", number_truncate, 0, 0, false},
                                                {"sqrt", number_sqrt, 0, 0, false},
                                                {"sin", number_sin, 0, 0, false},
                                                {"cos", number_cos, 0, 0, false},
                                                {"tan", number_tan, 0, 0, false},
                                                {"asin", number_asin, 0, 0, false},
                                                {"acos", number_acos, 0, 0, false},
                                                {"atan", number_atan, 0, 0, false},
                                                {"exp", number_exp, 0, 0, false},
                                                {"log", number_log, 0, 0, false},
                                                {"pow", number_pow, 1, 1, false},
                                                {"atan2", number_atan2, 1, 1, false},
                                                {"min", number_min, 1, 1, false},
                                                {"max", number_max, 1, 1, false},
                                                {"fixed", number_fixed, 1, 1, false},
                                                {"hex", number_hex, 0, 0, false},
                                                {"is_nan", number_is_nan, 0, 0, false},
                                                {"is_integer", number_is_integer, 0, 0, false},
                                                {NULL, NULL, 0, 0, false}};
    static const struct native_def ranges[] = {{"step", range_step, 1, 1, false},
                                               {"from", range_from, 0, 0, false},
                                               {"to", range_to, 0, 0, false},
                                               {"has", range_has, 1, 1, false},
                                               {NULL, NULL, 0, 0, false}};
    define_natives(t, vm.classes[KIND_NUMBER], numbers);
    define_natives(t, vm.classes[KIND_RANGE], ranges);
    define_global(t, "PI", from_double(3.14159265358979323846));
    define_global(t, "INFINITY", from_double((double)INFINITY));
    define_global(t, "NAN", from_number((double)NAN));
}
