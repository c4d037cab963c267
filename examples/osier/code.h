/* Instructions: words of 32 bits, op | A << 8 | B << 16 | C << 24, or Bx = the upper 16 bits.
 * R: registers, K: constants. A trailing word W is spelt out.
 */
#ifndef OSIER_CODE_H
#define OSIER_CODE_H

#include <stdint.h>

#define REGISTERS_MAX 250
#define SMALL_CONSTANTS 256 /* those that fit B or C */

#define OPCODES(X)                                                                                 \
    X(MOVE)     /* R[A] = R[B] */                                                                  \
    X(CONSTANT) /* R[A] = K[Bx] */                                                                 \
    X(NIL)      /* R[A] = nil, likewise the next */                                                \
    X(TRUE)                                                                                        \
    X(FALSE)                                                                                       \
    X(DONE)                                                                                        \
    X(GET_CAPTURE)  /* R[A] = captures[B] */                                                       \
    X(GET_CAPTURED) /* R[A] = content of the box captures[B] */                                    \
    X(SET_CAPTURED) /* that = R[A] */                                                              \
    X(BOX)          /* R[A] = new box of R[A] */                                                   \
    X(GET_BOX)      /* R[A] = content of the box R[B] */                                           \
    X(SET_BOX)      /* content of the box R[B] = R[A] */                                           \
    X(GET_GLOBAL)   /* R[A] = content of the box K[Bx] */                                          \
    X(SET_GLOBAL)                                                                                  \
    X(ADD) /* R[A] = R[B] + R[C] and so on */                                                      \
    X(SUB)                                                                                         \
    X(MUL)                                                                                         \
    X(DIV)                                                                                         \
    X(MOD)                                                                                         \
    X(IDIV)                                                                                        \
    X(BAND)                                                                                        \
    X(BOR)                                                                                         \
    X(BXOR)                                                                                        \
    X(SHL)                                                                                         \
    X(SHR)                                                                                         \
    X(ADDK) /* R[A] = R[B] + K[C] and so on; K[C] is a number */                                   \
    X(SUBK)                                                                                        \
    X(MULK)                                                                                        \
    X(DIVK)                                                                                        \
    X(MODK)                                                                                        \
    X(NEG) /* R[A] = -R[B] */                                                                      \
    X(BNOT)                                                                                        \
    X(NOT)                                                                                         \
    X(JUMP)      /* ip += sAx, the upper 24 bits */                                                \
    X(LOOP)      /* the same, and a safepoint */                                                   \
    X(JUMP_TRUE) /* if R[A]: ip += sBx */                                                          \
    X(JUMP_FALSE)                                                                                  \
    X(JUMP_LT) /* if (R[B] < R[C]) == A: ip += W */                                                \
    X(JUMP_LE)                                                                                     \
    X(JUMP_EQ)                                                                                     \
    X(JUMP_LTK) /* the same with K[C] */                                                           \
    X(JUMP_LEK)                                                                                    \
    X(JUMP_GTK)                                                                                    \
    X(JUMP_GEK)                                                                                    \
    X(JUMP_EQK)                                                                                    \
    X(LIST)      /* R[A] = [] with room for Bx */                                                  \
    X(APPEND)    /* R[A].push(R[B]) */                                                             \
    X(MAP)       /* R[A] = {} */                                                                   \
    X(RANGE)     /* R[A] = R[B] .. R[B+1]; C: inclusive */                                         \
    X(INDEX)     /* R[A] = R[B][R[C]] */                                                           \
    X(SET_INDEX) /* R[A][R[B]] = R[C] */                                                           \
    X(GET_FIELD) /* R[A] = R[B].K[W & 0xffff]; W >> 16: its cache */                               \
    X(SET_FIELD) /* R[A].K[W] = R[B] */                                                            \
    X(CALL)      /* R[A] = R[A](R[A+1] … R[A+B]) */                                              \
    X(INVOKE)    /* R[A] = R[A].K[W](R[A+1] … R[A+B]) */                                         \
    X(SUPER)     /* the same by the method of class R[C] */                                        \
    X(RETURN)    /* R[A] */                                                                        \
    X(RETURN_NIL)                                                                                  \
    X(CLOSURE) /* R[A] = closure of K[Bx]; then a word per capture: 1, 0: R | index << 1 */        \
    X(CLASS)   /* R[A] = class K[Bx] of superclass R[A+1] */                                       \
    X(FIELD)   /* add field K[Bx] to class R[A] */                                                 \
    X(METHOD)  /* add R[A+1] as method K[Bx] to class R[A] */                                      \
    X(STATIC)                                                                                      \
    X(THROW)     /* R[A] */                                                                        \
    X(TO_STRING) /* R[A] = string of R[B] */                                                       \
    X(CONCAT)    /* R[A] = the strings R[A] … R[A+B-1] in one */                                 \
    X(FOR_START) /* R[A] … R[A+1]: from, to; C: inclusive; if empty: ip += W */                  \
    X(FOR_STEP)  /* next R[A], copied to R[A+2]; if there is one: ip += W */                       \
    X(ITERATE)   /* R[A] = an iterator of R[A], R[A+1] = 0 */                                      \
    X(NEXT)      /* R[A+2] (, R[A+3]) = next of R[A] (B: both); if at the end: ip += W */          \
    X(IS)        /* R[A] = R[B] is R[C] */                                                         \
    X(IMPORT)    /* R[A] = module K[Bx] */

enum opcode {
#define X(name) OP_##name,
    OPCODES(X)
#undef X
        OP_COUNT
};

static inline uint32_t code_abc(enum opcode op, int a, int b, int c)
{
    return (uint32_t)op | (uint32_t)a << 8 | (uint32_t)b << 16 | (uint32_t)c << 24;
}
static inline uint32_t code_abx(enum opcode op, int a, int bx)
{
    return (uint32_t)op | (uint32_t)a << 8 | (uint32_t)bx << 16;
}
static inline uint32_t code_ax(enum opcode op, int ax)
{
    return (uint32_t)op | (uint32_t)ax << 8;
}
static inline unsigned code_a(uint32_t word)
{
    return word >> 8 & 0xFF;
}
static inline unsigned code_b(uint32_t word)
{
    return word >> 16 & 0xFF;
}
static inline unsigned code_c(uint32_t word)
{
    return word >> 24;
}
static inline unsigned code_bx(uint32_t word)
{
    return word >> 16;
}
static inline int code_sbx(uint32_t word)
{
    return (int32_t)word >> 16;
}
static inline int code_sax(uint32_t word)
{
    return (int32_t)word >> 8;
}

#endif
