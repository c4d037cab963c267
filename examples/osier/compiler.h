/* Source text to bytecode: lexer.c makes tokens, parser.c a tree with its variables resolved,
 * codegen.c the code. All that the tree needs lies in one arena of the compiler's.
 */
#ifndef OSIER_COMPILER_H
#define OSIER_COMPILER_H

#include "vm.h"

#define KEYWORDS(X)                                                                                \
    X(AND, "and")                                                                                  \
    X(BREAK, "break")                                                                              \
    X(CATCH, "catch")                                                                              \
    X(CLASS, "class")                                                                              \
    X(CONTINUE, "continue")                                                                        \
    X(DONE, "done")                                                                                \
    X(ELSE, "else")                                                                                \
    X(FALSE, "false")                                                                              \
    X(FN, "fn")                                                                                    \
    X(FOR, "for")                                                                                  \
    X(IF, "if")                                                                                    \
    X(IMPORT, "import")                                                                            \
    X(IN, "in")                                                                                    \
    X(IS, "is")                                                                                    \
    X(LET, "let")                                                                                  \
    X(NIL, "nil")                                                                                  \
    X(NOT, "not")                                                                                  \
    X(OR, "or")                                                                                    \
    X(RETURN, "return")                                                                            \
    X(SUPER, "super")                                                                              \
    X(THIS, "this")                                                                                \
    X(THROW, "throw")                                                                              \
    X(TRUE, "true")                                                                                \
    X(TRY, "try")                                                                                  \
    X(WHILE, "while")

/* The longer ones first: the lexer takes the first that fits. */
#define PUNCTUATION(X)                                                                             \
    X(DOTDOTDOT, "...")                                                                            \
    X(DOTDOTEQ, "..=")                                                                             \
    X(IDIV_EQ, "//=")                                                                              \
    X(SHL_EQ, "<<=")                                                                               \
    X(SHR_EQ, ">>=")                                                                               \
    X(EQ, "==")                                                                                    \
    X(NE, "!=")                                                                                    \
    X(LE, "<=")                                                                                    \
    X(GE, ">=")                                                                                    \
    X(SHL, "<<")                                                                                   \
    X(SHR, ">>")                                                                                   \
    X(ARROW, "=>")                                                                                 \
    X(DOTDOT, "..")                                                                                \
    X(IDIV, "//")                                                                                  \
    X(PLUS_EQ, "+=")                                                                               \
    X(MINUS_EQ, "-=")                                                                              \
    X(STAR_EQ, "*=")                                                                               \
    X(SLASH_EQ, "/=")                                                                              \
    X(PERCENT_EQ, "%=")                                                                            \
    X(BAND_EQ, "&=")                                                                               \
    X(BOR_EQ, "|=")                                                                                \
    X(BXOR_EQ, "^=")                                                                               \
    X(LEFT_PAREN, "(")                                                                             \
    X(RIGHT_PAREN, ")")                                                                            \
    X(LEFT_BRACKET, "[")                                                                           \
    X(RIGHT_BRACKET, "]")                                                                          \
    X(LEFT_BRACE, "{")                                                                             \
    X(RIGHT_BRACE, "}")                                                                            \
    X(COMMA, ",")                                                                                  \
    X(DOT, ".")                                                                                    \
    X(COLON, ":")                                                                                  \
    X(SEMICOLON, ";")                                                                              \
    X(QUESTION, "?")                                                                               \
    X(ASSIGN, "=")                                                                                 \
    X(LT, "<")                                                                                     \
    X(GT, ">")                                                                                     \
    X(PLUS, "+")                                                                                   \
    X(MINUS, "-")                                                                                  \
    X(STAR, "*")                                                                                   \
    X(SLASH, "/")                                                                                  \
    X(PERCENT, "%")                                                                                \
    X(BAND, "&")                                                                                   \
    X(BOR, "|")                                                                                    \
    X(BXOR, "^")                                                                                   \
    X(BNOT, "~")

enum token_kind {
    TOKEN_END,
    TOKEN_NAME,
    TOKEN_NUMBER,
    TOKEN_STRING,
    TOKEN_STRING_FIRST,  /* a string up to its first "${" */
    TOKEN_STRING_MIDDLE, /* from a '}' to the next "${" */
    TOKEN_STRING_LAST,   /* from a '}' to the end */
#define X(name, text) TOKEN_##name,
    KEYWORDS(X) PUNCTUATION(X)
#undef X
        TOKEN_COUNT
};

struct text {
    const char *at;
    size_t length;
};

struct token {
    enum token_kind kind;
    int line;
    bool after_newline;
    struct text text; /* of strings: the content */
    double number;
};

struct arena_chunk;
struct compiler {
    struct thread *t;
    struct module *module; /* rooted by the caller of compile() */
    const char *file;
    struct arena_chunk *arena;
    bool interactive, *incomplete;
    /* lexer */
    const char *at;
    int line;
    int braces[32]; /* open braces in each nested "${" */
    int interpolations;
    struct token current, previous;
    /* parser */
    struct fn_node *fn;
    struct global *globals; /* what the source declares */
    int nesting;            /* open parentheses and brackets: newlines do not count */
    int depth;              /* of recursion */
};

void *arena_alloc(struct compiler *c, size_t size); /* zeroed */
_Noreturn void syntax_error(struct compiler *c, int line, const char *format, ...)
    PRINTF_LIKE(3, 4);

void lexer_start(struct compiler *c, const char *source);
void lexer_advance(struct compiler *c);
const char *token_name(enum token_kind kind);

/* ---- The tree ------------------------------------------------------------------------------ */

enum node_kind {
    NODE_CONSTANT, /* token: nil, true, false, done */
    NODE_NUMBER,
    NODE_STRING,
    NODE_INTERPOLATION, /* a: parts */
    NODE_LOCAL,         /* decl */
    NODE_GLOBAL,        /* text */
    NODE_LIST,          /* a: elements */
    NODE_MAP,           /* a: keys, each with its value as b */
    NODE_FN,            /* fn */
    NODE_UNARY,         /* token a */
    NODE_BINARY,        /* a token b; all operators but the next four kinds */
    NODE_AND,
    NODE_OR,
    NODE_COMPARE,
    NODE_RANGE,
    NODE_CONDITIONAL, /* a ? b : c */
    NODE_CALL,        /* a(b …) */
    NODE_INVOKE,      /* a.text(b …) */
    NODE_SUPER,       /* super.text(b …); a: this, c: the superclass */
    NODE_FIELD,       /* a.text */
    NODE_INDEX,       /* a[b] */
    NODE_PARAMETER,   /* decl */
    /* statements */
    NODE_EXPRESSION, /* a */
    NODE_LET,        /* decl or text, a: initial value or NULL */
    NODE_ASSIGN,     /* a = b, or a token b */
    NODE_BLOCK,      /* a: statements */
    NODE_IF,         /* a, then b, else c */
    NODE_WHILE,      /* a, b */
    NODE_FOR,        /* decl (decl2) in a, b */
    NODE_BREAK,
    NODE_CONTINUE,
    NODE_RETURN, /* a or NULL */
    NODE_THROW,  /* a */
    NODE_TRY,    /* a; catch decl b */
    NODE_CLASS,  /* decl or text, a: superclass, b: members, decl2: super */
    NODE_EXTEND, /* text, b: members */
    NODE_MEMBER, /* text, a: function or NULL for a field; token: TOKEN_NAME if static */
    NODE_IMPORT  /* text; decl or a: the names */
};

struct decl {
    struct text name;
    struct fn_node *owner;
    struct decl *outer; /* the next one in scope */
    int depth;
    int reg;
    bool captured, assigned, pending, early; /* early: captured while pending */
};

struct node {
    enum node_kind kind;
    enum token_kind token;
    int line;
    struct node *a, *b, *c;
    struct node *next; /* in a list */
    struct decl *decl, *decl2;
    struct fn_node *fn;
    struct text text;
    double number;
};

/* A function's variables are looked up while it is parsed; when its code is made it is known which
 * of them closures capture, and which of those change. */
struct fn_node {
    struct fn_node *parent;
    struct text name;
    struct decl *scope;
    struct node *parameters, *body;
    struct decl **captures;
    int ncaptures, captures_capacity;
    int nparameters;
    int depth;
    int loops; /* open while it is parsed */
    int line;
    bool variadic, is_init, is_module;
};

/* A module variable that the source declares. */
struct global {
    struct global *next;
    struct text name;
    int line;
};

static inline bool decl_is_boxed(const struct decl *d)
{
    return d->captured && (d->assigned || d->early);
}
static inline bool text_is(struct text a, const char *b)
{
    return strlen(b) == a.length && memcmp(a.at, b, a.length) == 0;
}

struct fn_node *parse(struct compiler *c);
struct function *generate(struct compiler *c, struct fn_node *fn);

/* Compiles a module's source; throws a SyntaxError. `module` must be rooted. In interactive mode
 * the value of a last expression is shown, and *incomplete tells whether more text might help. */
struct closure *compile(struct thread *t, struct module *module, const char *source,
                        bool interactive, bool *incomplete);

#endif
