/* numbers.c: integers and reals. An integer that outgrows 63 bits becomes a real.
 * SPDX-License-Identifier: MIT
 */
#include "lisp.h"

#include <limits.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool is_number(value v)
{
    return is_fixnum(v) || is(v, T_REAL);
}

static double as_double(value v)
{
    if (is_fixnum(v))
        return (double)fixnum_value(v);
    if (!is(v, T_REAL))
        wrong_type(v, "a number");
    return ((struct real *)v)->number;
}

int64_t as_integer(value v)
{
    if (is_fixnum(v))
        return fixnum_value(v);
    if (!is(v, T_REAL) || ((struct real *)v)->number != trunc(((struct real *)v)->number) ||
        fabs(((struct real *)v)->number) >= 0x1p62)
        wrong_type(v, "an integer");
    return (int64_t)((struct real *)v)->number;
}

/* ---- Arithmetic ----------------------------------------------------------------------------- */

static value add(value a, value b)
{
    if (both_fixnums(a, b))
        return make_integer(fixnum_value(a) + fixnum_value(b));
    return make_real(as_double(a) + as_double(b));
}

static value subtract(value a, value b)
{
    if (both_fixnums(a, b))
        return make_integer(fixnum_value(a) - fixnum_value(b));
    return make_real(as_double(a) - as_double(b));
}

static value multiply(value a, value b)
{
    int64_t product;
    if (both_fixnums(a, b) && !__builtin_mul_overflow(fixnum_value(a), fixnum_value(b), &product))
        return make_integer(product);
    return make_real(as_double(a) * as_double(b));
}

static value divide(value a, value b)
{
    if (b == fixnum(0))
        fail(NULL, "division by zero");
    if (both_fixnums(a, b) && fixnum_value(a) % fixnum_value(b) == 0)
        return make_integer(fixnum_value(a) / fixnum_value(b));
    return make_real(as_double(a) / as_double(b));
}

/* The first argument is alone in its slot until the second meets it: the slots keep the sums. */
static value fold(int argc, value *argv, value start, value (*combine)(value, value))
{
    value result = argc == 1 ? combine(start, argv[0]) : argc ? argv[0] : start;
    for (int i = 1; i < argc; i++)
        result = argv[0] = combine(result, argv[i]);
    return result;
}

EXPRESSION("+", number_add, 0, -1, fold(argc, argv, fixnum(0), add))
EXPRESSION("-", number_subtract, 1, -1, fold(argc, argv, fixnum(0), subtract))
EXPRESSION("*", number_multiply, 0, -1, fold(argc, argv, fixnum(1), multiply))
EXPRESSION("/", number_divide, 1, -1, fold(argc, argv, fixnum(1), divide))

/* -1, 0 or 1; 2 if they cannot be compared. */
static int order(value a, value b)
{
    if (both_fixnums(a, b))
        return (fixnum_value(a) > fixnum_value(b)) - (fixnum_value(a) < fixnum_value(b));
    double x = as_double(a), y = as_double(b);
    return isnan(x) || isnan(y) ? 2 : (x > y) - (x < y);
}

/* Whether each argument and the next stand in one of the orders of the set (bit order + 1). */
static value compare_all(int argc, value *argv, unsigned set)
{
    bool holds = true;
    if (argc == 1)
        as_double(argv[0]);
    for (int i = 1; i < argc; i++)
        holds &= set >> (order(argv[i - 1], argv[i]) + 1) & 1;
    return boolean(holds);
}

EXPRESSION("=", number_equal, 1, -1, compare_all(argc, argv, 2))
EXPRESSION("<", number_less, 1, -1, compare_all(argc, argv, 1))
EXPRESSION(">", number_greater, 1, -1, compare_all(argc, argv, 4))
EXPRESSION("<=", number_at_most, 1, -1, compare_all(argc, argv, 3))
EXPRESSION(">=", number_at_least, 1, -1, compare_all(argc, argv, 6))

static value extreme(int argc, value *argv, int sign)
{
    value best = argv[0];
    bool real = false;
    for (int i = 0; i < argc; i++) {
        real |= is(argv[i], T_REAL);
        if (order(argv[i], best) == sign)
            best = argv[i];
    }
    return real ? make_real(as_double(best)) : best;
}

EXPRESSION("max", number_max, 1, -1, extreme(argc, argv, 1))
EXPRESSION("min", number_min, 1, -1, extreme(argc, argv, -1))

/* ---- Integer division ----------------------------------------------------------------------- */

enum division { QUOTIENT, REMAINDER, MODULO };

static value divide_integers(value a, value b, enum division division)
{
    int64_t x = as_integer(a), y = as_integer(b);
    if (y == 0)
        fail(NULL, "division by zero");
    int64_t result = division == QUOTIENT ? x / y : x % y;
    if (division == MODULO && result && (result < 0) != (y < 0))
        result += y;
    return both_fixnums(a, b) ? make_integer(result) : make_real((double)result);
}

EXPRESSION("quotient", number_quotient, 2, 2, divide_integers(argv[0], argv[1], QUOTIENT))
EXPRESSION("remainder", number_remainder, 2, 2, divide_integers(argv[0], argv[1], REMAINDER))
EXPRESSION("modulo", number_modulo, 2, 2, divide_integers(argv[0], argv[1], MODULO))

static value gcd(value a, value b)
{
    int64_t x = as_integer(a), y = as_integer(b);
    while (y) {
        int64_t rest = x % y;
        x = y;
        y = rest;
    }
    return make_integer(x < 0 ? -x : x);
}

EXPRESSION("gcd", number_gcd, 0, -1, fold(argc, argv, fixnum(0), gcd))

/* ---- Functions of a real -------------------------------------------------------------------- */

static double round_even(double x)
{
    return nearbyint(x);
}

/* floor and its like leave integers alone. */
static value round_with(value v, double (*function)(double))
{
    return is_fixnum(v) ? v : make_real(function(as_double(v)));
}

EXPRESSION("floor", number_floor, 1, 1, round_with(argv[0], floor))
EXPRESSION("ceiling", number_ceiling, 1, 1, round_with(argv[0], ceil))
EXPRESSION("truncate", number_truncate, 1, 1, round_with(argv[0], trunc))
EXPRESSION("round", number_round, 1, 1, round_with(argv[0], round_even))
EXPRESSION("exp", number_exp, 1, 1, make_real(exp(as_double(argv[0]))))
EXPRESSION("sin", number_sin, 1, 1, make_real(sin(as_double(argv[0]))))
EXPRESSION("cos", number_cos, 1, 1, make_real(cos(as_double(argv[0]))))
EXPRESSION("tan", number_tan, 1, 1, make_real(tan(as_double(argv[0]))))
EXPRESSION("inexact", number_inexact, 1, 1, make_real(as_double(argv[0])))

BUILTIN("log", number_log, 1, 2)
{
    double number = log(as_double(argv[0]));
    return make_real(argc == 2 ? number / log(as_double(argv[1])) : number);
}

BUILTIN("atan", number_atan, 1, 2)
{
    double y = as_double(argv[0]);
    return make_real(argc == 2 ? atan2(y, as_double(argv[1])) : atan(y));
}

BUILTIN("sqrt", number_sqrt, 1, 1)
{
    double root = sqrt(as_double(argv[0]));
    if (is_fixnum(argv[0]) && root == trunc(root) && root < 0x1p31)
        return fixnum((int64_t)root);
    return make_real(root);
}

BUILTIN("expt", number_expt, 2, 2)
{
    if (!both_fixnums(argv[0], argv[1]) || fixnum_value(argv[1]) < 0)
        return make_real(pow(as_double(argv[0]), as_double(argv[1])));
    value result = fixnum(1);
    GC_FRAME(result);
    for (int64_t n = fixnum_value(argv[1]); n > 0; n /= 2) {
        if (n & 1)
            result = multiply(result, argv[0]);
        argv[0] = n > 1 ? multiply(argv[0], argv[0]) : argv[0];
    }
    return result;
}

BUILTIN("exact", number_exact, 1, 1)
{
    double number = as_double(argv[0]);
    if (is_fixnum(argv[0]))
        return argv[0];
    if (number != trunc(number) || fabs(number) >= 0x1p62)
        wrong_type(argv[0], "a real with an integer's value");
    return fixnum((int64_t)number);
}

EXPRESSION("abs", number_abs, 1, 1,
           order(argv[0], fixnum(0)) == -1 ? subtract(fixnum(0), argv[0]) : argv[0])

/* ---- Predicates ----------------------------------------------------------------------------- */

EXPRESSION("number?", number_is_number, 1, 1, boolean(is_number(argv[0])))

BUILTIN("integer?", number_is_integer, 1, 1)
{
    value v = argv[0];
    return boolean(is_fixnum(v) || (is(v, T_REAL) && as_double(v) == trunc(as_double(v))));
}

EXPRESSION("exact?", number_is_exact, 1, 1, (as_double(argv[0]), boolean(is_fixnum(argv[0]))))
EXPRESSION("odd?", number_is_odd, 1, 1, boolean(as_integer(argv[0]) & 1))
EXPRESSION("even?", number_is_even, 1, 1, boolean(!(as_integer(argv[0]) & 1)))

/* ---- Bits, text, chance --------------------------------------------------------------------- */

BUILTIN("bitwise-and", number_and, 0, -1)
{
    int64_t bits = -1;
    while (argc-- > 0)
        bits &= as_integer(*argv++);
    return make_integer(bits);
}

BUILTIN("bitwise-or", number_or, 0, -1)
{
    int64_t bits = 0;
    while (argc-- > 0)
        bits |= as_integer(*argv++);
    return make_integer(bits);
}

BUILTIN("bitwise-xor", number_xor, 0, -1)
{
    int64_t bits = 0;
    while (argc-- > 0)
        bits ^= as_integer(*argv++);
    return make_integer(bits);
}

BUILTIN("arithmetic-shift", number_shift, 2, 2)
{
    int64_t n = as_integer(argv[0]), by = as_integer(argv[1]);
    if (by <= 0)
        return make_integer(n >> (by < -62 ? 62 : -by));
    return by < 62 ? multiply(fixnum(n), fixnum((int64_t)1 << by))
                   : make_real(ldexp((double)n, by > INT_MAX ? INT_MAX : (int)by));
}

static int as_base(int argc, value *argv)
{
    int64_t base = argc == 2 ? as_integer(argv[1]) : 10;
    if (base < 2 || base > 36)
        wrong_type(argv[1], "a base from 2 to 36");
    return (int)base;
}

BUILTIN("number->string", number_to_string, 1, 2)
{
    int base = as_base(argc, argv);
    char text[72], *p = text + sizeof text;
    if (!is_fixnum(argv[0]) || base == 10) {
        as_double(argv[0]);
        value port = make_port(PORT_OUTPUT, NULL, NULL);
        GC_FRAME(port);
        print((struct port *)port, argv[0], true);
        return port_text((struct port *)port);
    }
    int64_t number = fixnum_value(argv[0]);
    for (int64_t n = llabs(number); n || p == text + sizeof text; n /= base)
        *--p = "0123456789abcdefghijklmnopqrstuvwxyz"[n % base];
    if (number < 0)
        *--p = '-';
    return make_string(p, (size_t)(text + sizeof text - p));
}

BUILTIN("string->number", number_from_string, 1, 2)
{
    value number = parse_number(as_string(argv[0])->bytes, as_base(argc, argv));
    return number ? number : FALSE;
}

/* xorshift64*: the same numbers in every session, unless (random-seed n) says otherwise. */
static uint64_t random_state = 0x9e3779b97f4a7c15;

BUILTIN("random", number_random, 1, 1)
{
    random_state ^= random_state >> 12;
    random_state ^= random_state << 25;
    random_state ^= random_state >> 27;
    uint64_t bits = random_state * 0x2545f4914f6cdd1d >> 11;
    if (is(argv[0], T_REAL))
        return make_real((double)bits * 0x1p-53 * as_double(argv[0]));
    if (as_integer(argv[0]) <= 0)
        wrong_type(argv[0], "a positive number");
    return fixnum((int64_t)(bits % (uint64_t)as_integer(argv[0])));
}

EXPRESSION("random-seed", number_seed, 1, 1,
           (random_state = (uint64_t)as_integer(argv[0]) * 2 + 1, VOID))
