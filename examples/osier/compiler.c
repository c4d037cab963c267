/* The compiler's memory, errors and entry. */
#include "compiler.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNK_SIZE 65536

struct arena_chunk {
    struct arena_chunk *next;
    size_t used, size;
    _Alignas(16) char bytes[];
};

void *arena_alloc(struct compiler *c, size_t size)
{
    size = (size + 15) & ~(size_t)15;
    if (!c->arena || c->arena->size - c->arena->used < size) {
        size_t room = size > CHUNK_SIZE ? size : CHUNK_SIZE;
        struct arena_chunk *chunk = check_memory(c->t, calloc(1, sizeof *chunk + room));
        chunk->size = room;
        chunk->next = c->arena;
        c->arena = chunk;
    }
    void *p = c->arena->bytes + c->arena->used;
    c->arena->used += size;
    return p;
}

static void arena_free(struct compiler *c)
{
    while (c->arena) {
        struct arena_chunk *next = c->arena->next;
        free(c->arena);
        c->arena = next;
    }
}

void syntax_error(struct compiler *c, int line, const char *format, ...)
{
    char text[400];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    throw_at(c->t, ERROR_SyntaxError, c->file, line, text);
}

static struct closure *compile_with(struct compiler *c, const char *source)
{
    lexer_start(c, source);
    struct function *fn = generate(c, parse(c));
    GC_FRAME(fn);
    return new_closure(c->t, fn);
}

struct closure *compile(struct thread *t, struct module *module, const char *source,
                        bool interactive, bool *incomplete)
{
    struct trap trap;
    struct compiler *c = check_memory(t, calloc(1, sizeof *c));
    *c = (struct compiler){.t = t,
                           .module = module,
                           .file = module->path->bytes,
                           .interactive = interactive,
                           .incomplete = incomplete};
    if (setjmp(*trap_set(t, &trap))) {
        trap_clear(t, &trap);
        arena_free(c);
        free(c);
        throw_again(t);
    }
    struct closure *closure = compile_with(c, source);
    trap_clear(t, &trap);
    arena_free(c);
    free(c);
    return closure;
}
