/* Root slots with their shadows. */
#include "shadow.h"

size_t space_size(const struct space *s)
{
    return s->kind == SPACE_STACK ? (size_t)(*s->top - s->slots) : s->n;
}

struct place any_place(struct mutator *m)
{
    for (;;) {
        struct space *s = m->spaces[random_below(&m->random, m->nspaces)];
        size_t n = space_size(s);
        if (n)
            return (struct place){s, random_below(&m->random, n)};
    }
}

struct node *held(struct place p)
{
    return p.space->shadows[p.i].to;
}

void hold(struct place p, struct node *n, uint64_t word)
{
    p.space->shadows[p.i] = (struct shadow){word, n};
    if (p.space->kind == SPACE_STORED)
        store(&p.space->slots[p.i], word);
    else
        p.space->slots[p.i] = (shape_word)word;
}

void space_add(struct mutator *m, struct space *s)
{
    if (m->nspaces == SPACES)
        BAD("too many root spaces");
    m->spaces[m->nspaces++] = s;
}

void space_remove(struct mutator *m, const struct space *s)
{
    unsigned at = m->nspaces;
    while (m->spaces[--at] != s)
        ;
    m->nspaces--;
    memmove(&m->spaces[at], &m->spaces[at + 1], (m->nspaces - at) * sizeof m->spaces[0]);
}

struct space space_make(enum space_kind kind, void *slots, struct shadow *shadows, size_t n)
{
    return (struct space){.kind = kind, .slots = slots, .shadows = shadows, .n = n};
}

void drop_roots(struct mutator *m, unsigned one_in)
{
    for (unsigned i = 0; i < m->nspaces; i++) {
        for (size_t j = 0; j < space_size(m->spaces[i]); j++) {
            if (random_one_in(&m->random, one_in))
                hold((struct place){m->spaces[i], j}, NULL, 0);
        }
    }
}

struct node *any_held(struct mutator *m, bool small)
{
    for (int tries = 0; tries < 6; tries++) {
        struct node *n = held(any_place(m));
        if (n && is_small(n) == small)
            return n;
    }
    return NULL;
}

struct node *any_own(struct mutator *m)
{
    for (int tries = 0; tries < 6; tries++) {
        struct node *n = held(any_place(m));
        if (n && n->owner == m->index && !n->racy && n->used)
            return n;
    }
    return NULL;
}
