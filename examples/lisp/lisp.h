/* lisp.h: the values of the Lisp, and what its files offer one another.
 * SPDX-License-Identifier: MIT
 *
 * Rooting. A function that uses a parameter or local after a call that may allocate names it in a
 * GC_FRAME; its caller need not. Builtins find their arguments in the machine's stack, which is a
 * root range, and may overwrite those slots to keep other values. Objects never move, so a C
 * pointer into an object is good for as long as something roots the object.
 */
#ifndef LISP_H
#define LISP_H

#include <gcheap.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>

/* A value is one word. Integers have bit 63 set and characters bit 62: no heap lies there, so the
 * collector passes over them. The others are addresses of objects: in the heap, or static ones
 * (constants, builtins), which it passes over too. */
typedef struct object *value;

enum tag {
    T_FIXNUM,
    T_CHAR,
    T_CONSTANT,
    T_REAL,
    T_STRING,
    T_SYMBOL,
    T_PAIR,
    T_VECTOR,
    T_RECORD,
    T_TABLE,
    T_PORT,
    T_CONDITION,
    T_BUILTIN,
    T_CLOSURE,
    T_CONTINUATION,
    T_SPECIAL, /* from here on: inside the compiler only */
    T_MACRO,
    T_VARIABLE,
    T_NODE,
    T_CODE,
    T_BOX
};

/* The head of every object. file and line say where the reader found it; line 0: nowhere. */
struct object {
    uint8_t tag, flag;
    uint16_t file;
    uint32_t line;
};

struct constant {
    struct object head;
    const char *text;
};
struct real {
    struct object head;
    double number;
};
struct string {
    struct object head;
    size_t length;
    char bytes[]; /* and a NUL after them */
};
struct symbol {
    struct object head;
    value global; /* its global value; NULL: unbound */
    value alias;  /* the symbol that a macro renamed to this one, or NULL */
    size_t length;
    char name[];
};
struct pair {
    struct object head;
    value car, cdr;
};
struct vector { /* also a record, whose item 0 is its type: (name field ...) */
    struct object head;
    size_t length;
    value items[];
};
struct table {
    struct object head;
    value slots; /* a vector of keys and values by turns, a power of two of them */
    size_t count, used;
};
enum port_kind { PORT_CLOSED, PORT_INPUT, PORT_OUTPUT };
struct port {
    struct object head; /* flag: enum port_kind; the line being read, and of which file */
    value text;         /* string: what was read and not yet taken, or what was written */
    size_t next, end;
    FILE *file; /* NULL: a string port */
    bool (*fill)(struct port *port);
    int64_t cleanup;
    int nesting;  /* lists that the reader is inside of */
    size_t limit; /* after so many bytes what is printed is cut short; 0: never */
};
struct condition {
    struct object head;
    value message, irritants;
};
enum op {
    OP_CONST,
    OP_LOCAL,
    OP_LOCAL_BOX,
    OP_FREE,
    OP_FREE_BOX,
    OP_GLOBAL,
    OP_SET_LOCAL,
    OP_SET_LOCAL_BOX,
    OP_SET_FREE_BOX,
    OP_SET_GLOBAL,
    OP_DEFINE,
    OP_BOX,
    OP_CHECK,
    OP_POP,
    OP_SLIDE,
    OP_JUMP,
    OP_JUMP_FALSE,
    OP_CLOSURE,
    OP_FRAME,
    OP_CALL,
    OP_TAIL_CALL,
    OP_RETURN,
    OP_APPLY,
    OP_CALLCC,
    OP_CAR, /* from here on: builtins done in place; they fall back on the builtin itself */
    OP_CDR,
    OP_CONS,
    OP_NULL,
    OP_PAIR,
    OP_NOT,
    OP_EQ,
    OP_ADD,
    OP_SUB,
    OP_EQUALS,
    OP_LESS,
    OP_GREATER,
    OP_AT_MOST,
    OP_AT_LEAST,
    OP_VECTOR_REF,
    OP_COUNT
};

struct builtin {
    struct object head;
    const char *name;
    value (*call)(int argc, value *argv);
    int min, max; /* arguments; max < 0: any number */
    enum op op;   /* the instruction that does the same for op_argc arguments, or 0 */
    int op_argc;
    struct builtin *next;
};
struct insn { /* one instruction, with its place in the source */
    uint32_t op : 8, arg : 24;
    uint32_t file : 12, line : 20;
};
struct code {
    struct object head;
    value name;
    value constants; /* vector */
    struct insn *insns;
    uint32_t params, room; /* words of stack that a call may take */
    uint32_t free, rest;   /* captured variables; whether the last parameter takes all the rest */
};
struct closure {
    struct object head;
    value code;
    value free[];
};
struct continuation {
    struct object head;
    size_t length;
    uint64_t run;  /* which evaluation it belongs to */
    value items[]; /* the machine's stack */
};
struct box {
    struct object head;
    value content;
};
struct macro {
    struct object head;    /* flag: defined at top level */
    value name;            /* like that of struct variable */
    value literals, rules; /* of syntax-rules */
    value procedure;       /* of define-macro, or NULL */
};
struct variable {
    struct object head; /* flag: enum variable_flag */
    value name;
    uint32_t level, slot; /* depth of the lambda it belongs to; index in its stack frame */
};
enum variable_flag { CAPTURED = 1, MUTATED = 2, BOXED = 3, LATE = 4 /* an inner definition */ };

/* The source after expansion: what it says in a, b and c depends on the kind. */
struct node {
    struct object head; /* flag: enum node_kind */
    value a, b, c;
};
enum node_kind {
    N_CONST,       /* a */
    N_LOCAL,       /* variable a */
    N_GLOBAL,      /* symbol a */
    N_SET_LOCAL,   /* variable a, node b */
    N_SET_GLOBAL,  /* symbol a, node b */
    N_DEFINE,      /* symbol a, node b */
    N_IF,          /* nodes a, b, c */
    N_SEQUENCE,    /* nodes a, b */
    N_LAMBDA,      /* variables a, body b, name c */
    N_LAMBDA_REST, /* the same; the last variable takes the rest */
    N_LET,         /* variables a, nodes b, body c */
    N_CALL         /* node a, nodes b */
};
struct scope {
    value env;      /* list of variables and macros, the innermost first */
    unsigned level; /* of the lambda around */
};
struct special {
    struct object head;
    const char *name;
    value (*expand)(value form, struct scope scope);
};

extern struct constant nil_object, true_object, false_object, void_object, eof_object,
    undefined_object;
#define NIL (&nil_object.head)
#define TRUE (&true_object.head)
#define FALSE (&false_object.head)
#define VOID (&void_object.head)
#define END_OF_FILE (&eof_object.head)
#define UNDEFINED (&undefined_object.head)

#define FIXNUM_TAG ((uintptr_t)1 << 63)
#define CHAR_TAG ((uintptr_t)1 << 62)
#define FIXNUM_MAX (((int64_t)1 << 62) - 1)
#define FIXNUM_MIN (-((int64_t)1 << 62))
GC_STATIC_ASSERT(sizeof(value) == 8, "the Lisp needs 64-bit words");

static inline bool is_fixnum(value v)
{
    return (intptr_t)v < 0;
}
static inline bool both_fixnums(value a, value b)
{
    return ((intptr_t)a & (intptr_t)b) < 0;
}
static inline value fixnum(int64_t n)
{
    return (value)((uintptr_t)n | FIXNUM_TAG);
}
static inline int64_t fixnum_value(value v)
{
    return (int64_t)((uintptr_t)v << 1) >> 1;
}
static inline value character(unsigned char c)
{
    return (value)(c | CHAR_TAG);
}
static inline enum tag tag_of(value v)
{
    return is_fixnum(v) ? T_FIXNUM : (uintptr_t)v & CHAR_TAG ? T_CHAR : (enum tag)v->tag;
}
static inline bool is(value v, enum tag tag)
{
    return (uintptr_t)v < CHAR_TAG && v->tag == tag;
}
static inline bool is_pair(value v)
{
    return is(v, T_PAIR);
}
static inline value boolean(bool b)
{
    return b ? TRUE : FALSE;
}
static inline value car(value pair)
{
    return ((struct pair *)pair)->car;
}
static inline value cdr(value pair)
{
    return ((struct pair *)pair)->cdr;
}

/* object.c */
void object_init(void);
void object_describe(void *unused, const void *object, const gc_type *type, char *text,
                     size_t size);
void object_end(void);
void *object_new(gc_type *type, enum tag tag);
value cons(value car, value cdr);
value list2(value a, value b);
value list3(value a, value b, value c);
value make_real(double number);
value make_integer(int64_t n); /* a real if it does not fit */
value make_string(const char *bytes, size_t length);
value make_text(const char *text);
value make_vector(size_t length, value fill);
value make_record(value type, int argc, const value *argv);
value make_box(value content);
value make_closure(value code);
value make_continuation(const value *items, size_t length, uint64_t run);
value make_code(void);
value make_condition(value message, value irritants);
value make_node(enum node_kind kind, value a, value b, value c);
value make_variable(value name, unsigned level);
value make_macro(value name);
value make_port(enum port_kind kind, FILE *file, bool (*fill)(struct port *port));
value make_table(void);
value intern(const char *name, size_t length);
value symbol(const char *name);
value make_alias(value symbol, bool global);
void define(value symbol, value v);
int64_t list_length(value list); /* -1: not a proper list */
value reverse(value list);
bool eqv(value a, value b);
bool equal(value a, value b);
value *table_find(value table, value key); /* where the value of key is kept; NULL: nowhere */
void table_set(value table, value key, value v);
bool table_delete(value table, value key);

/* port.c */
struct place {
    uint16_t file;
    uint32_t line;
};
uint16_t file_number(const char *name);
const char *file_name(uint16_t number);
int port_peek(struct port *port);
int port_get(struct port *port);
void port_write(struct port *port, const char *bytes, size_t length);
void port_puts(struct port *port, const char *text);
value port_text(struct port *port);
bool port_fill_line(struct port *port);
void port_give(struct port *port, const char *bytes, size_t length);
value open_file(const char *name, const char *mode);
void port_close(struct port *port);

/* read.c, print.c */
value read_value(struct port *port);
extern struct place read_place;                 /* where read_value() stopped */
value parse_number(const char *text, int base); /* NULL: it is none */
void print(struct port *port, value v, bool quoted);
void print_condition(struct port *port, value condition);

/* expand.c, rules.c, compile.c */
value expand(value form, struct scope scope);
value strip_aliases(value datum);
value base_symbol(value symbol);
value parse_rules(value name, value spec, bool global);
value apply_rules(value macro, value form);
value compile(value form); /* a procedure without parameters */
value compile_node(value node);
extern struct place here; /* of the form being expanded */
void check_depth(void);   /* like check_stack(), for the compiler */
_Noreturn void syntax_error(const char *message, value form);

/* vm.c */
struct run;
struct machine {
    value *stack, *sp, *fp; /* [stack, sp) are roots */
    value *limit, *end;     /* where the stack may reach to; where it ends */
    const struct insn *pc;
    const struct builtin *callee; /* the builtin called last, for messages */
    struct run *run;
    jmp_buf top; /* where uncaught errors and exit() go */
    int status;  /* of exit() */
    volatile sig_atomic_t interrupted;
};
enum top_reason { TOP_ERROR = 1, TOP_EXIT };
extern struct machine vm;
extern const struct builtin *inlined[OP_COUNT];

/* More roots. Written with gc_store. */
extern struct registers {
    value globals; /* the symbols that have a value: the symbol table does not keep them */
    value error, memory_error;
    value input, output, errors, arguments;
    value resumed, resumed_with;
    value quote, quasiquote, unquote, unquote_splicing, syntax_rules, ellipsis, underscore;
} reg;

void vm_init(void);
void vm_end(void);
void vm_reset(void);
value vm_apply(value procedure, value arguments);
bool is_stack_low(void);
void check_stack(void);     /* guards C functions that call themselves */
void check_interrupt(void); /* for loops that may be long; a safepoint */
struct place where(void);   /* in the program that runs */
size_t vm_tell_frames(void *unused, struct gc_profile_frame *frames, size_t n);
_Noreturn void fail(value irritant, const char *format, ...) /* irritant NULL: none */
    __attribute__((format(printf, 2, 3)));
_Noreturn void fail_at(struct place place, value irritant, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
_Noreturn void throw_condition(value condition);
_Noreturn void uncaught(value v);
_Noreturn void out_of_memory(void);

/* system.c, and arguments of builtins, checked */
_Noreturn void wrong_type(value v, const char *wanted);
value expect(value v, enum tag tag);
int64_t as_integer(value v);
size_t as_index(value v, size_t limit);
static inline struct string *as_string(value v)
{
    return (struct string *)expect(v, T_STRING);
}
void add_builtin(struct builtin *builtin);
void install_builtins(void);
void install_special_forms(void);
void install_inlined(void);
void install_prelude(void);

/* BUILTIN(name, function, min, max) { ... } is a builtin of `argc` values at `argv`, and tells the
 * Lisp of it when the program starts. EXPRESSION is one that returns an expression of these,
 * PREDICATE one that returns whether a condition of its argument v holds. */
#define BUILTIN(text, function, min, max)                                                          \
    static value function(int argc, value *argv);                                                  \
    static struct builtin function##_object = {                                                    \
        {T_BUILTIN, 0, 0, 0}, text, function, min, max, 0, 0, NULL};                               \
    __attribute__((constructor)) static void function##_add(void)                                  \
    {                                                                                              \
        add_builtin(&function##_object);                                                           \
    }                                                                                              \
    static value function(int argc __attribute__((unused)), value *argv __attribute__((unused)))
#define EXPRESSION(text, function, min, max, expression)                                           \
    BUILTIN(text, function, min, max)                                                              \
    {                                                                                              \
        return expression;                                                                         \
    }
#define PREDICATE(text, function, condition)                                                       \
    BUILTIN(text, function, 1, 1)                                                                  \
    {                                                                                              \
        value v = argv[0];                                                                         \
        return boolean(condition);                                                                 \
    }

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

#endif
