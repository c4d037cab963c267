/* A document that is open for a long time: a tree of elements with attributes and text, of which a
 * user changes a little at every step and can undo the last 256 changes. Most of the memory is old
 * and stays; old objects are written all the time, and what they drop dies at every age. Editors,
 * browsers and language servers look like this. */
#include "../harness.h"

enum { FANOUT = 10, UNDO = 256, CAPACITY_MIN = 4, RENDER_EVERY = 1024 };

struct attribute {
    struct attribute *next;
    char *value;
    uint64_t key;
};
BM_TYPE(attribute_type, struct attribute, next, value);

struct element {
    struct element **children; /* capacity slots */
    struct attribute *attributes;
    char *text;
    uint32_t count, capacity;
    uint64_t text_size;
};
BM_TYPE(element_type, struct element, children, attributes, text);

static void *undo[UNDO]; /* texts and elements that were taken out */
static bool undo_is_element[UNDO];
static size_t undo_next;
static size_t elements; /* in the document */
static struct random dice;

static char *text_new(size_t size)
{
    char *text = BM_BYTES(size);
    fill(text, size, (unsigned char)('a' + size % 26));
    return text;
}

static struct element *element_new(void)
{
    struct element *e = NULL;
    BM_ROOTS(e);
    e = BM_NEW_ZEROED(struct element, element_type);
    e->text_size = 16 + random_below(&dice, 184);
    BM_STORE(&e->text, text_new(e->text_size));
    elements++;
    return e;
}

static void grow(struct element *e)
{
    uint32_t capacity = e->capacity ? 2 * e->capacity : CAPACITY_MIN;
    struct element **wider = (struct element **)BM_POINTERS(capacity), **old = e->children;
    for (uint32_t i = 0; i < e->count; i++)
        wider[i] = old[i];
    BM_STORE(&e->children, wider);
    e->capacity = capacity;
    BM_FREE(old);
}

/* The caller has rooted both. */
static void append(struct element *parent, struct element *child)
{
    if (parent->count == parent->capacity)
        grow(parent);
    BM_STORE(&parent->children[parent->count], child);
    parent->count++;
}

static struct element *subtree_new(int depth, int fanout)
{
    struct element *e = NULL, *child = NULL;
    BM_ROOTS(e, child);
    e = element_new();
    for (int i = 0; depth > 0 && i < fanout; i++) {
        child = subtree_new(depth - 1, fanout);
        append(e, child);
    }
    return e;
}

/* Counts a subtree out of the document. */
static void discount(const struct element *e)
{
    elements--;
    for (uint32_t i = 0; i < e->count; i++)
        discount(e->children[i]);
}

static void subtree_free(struct element *e)
{
    for (uint32_t i = 0; i < e->count; i++)
        subtree_free(e->children[i]);
    for (struct attribute *a = e->attributes, *next; a; a = next) {
        next = a->next;
        BM_FREE(a->value);
        BM_FREE(a);
    }
    BM_FREE(e->children);
    BM_FREE(e->text);
    BM_FREE(e);
}

/* What is older than the last UNDO changes is forgotten. */
static void remember(void *taken_out, bool is_element)
{
    size_t i = undo_next++ % UNDO;
    if (!BM_COLLECTS && undo[i]) {
        if (undo_is_element[i])
            subtree_free(undo[i]);
        else
            BM_FREE(undo[i]);
    }
    BM_STORE(&undo[i], taken_out);
    undo_is_element[i] = is_element;
}

/* A walk from the root that stops at a leaf, or with probability 1/8 before. */
static struct element *somewhere(struct element *e)
{
    while (e->count && random_below(&dice, 8))
        e = e->children[random_below(&dice, e->count)];
    return e;
}

static void edit_text(struct element *e)
{
    size_t size = 16 + random_below(&dice, 184);
    char *old = e->text, *text = text_new(size);
    memcpy(text, old, size < e->text_size ? size : e->text_size);
    BM_STORE(&e->text, text);
    e->text_size = size;
    remember(old, false);
}

/* At most four attributes; the keys are 0 … 3. */
static void set_attribute(struct element *e)
{
    uint64_t key = random_below(&dice, 4);
    struct attribute *a = e->attributes;
    while (a && a->key != key)
        a = a->next;
    if (!a) {
        a = BM_NEW_ZEROED(struct attribute, attribute_type);
        a->key = key;
        a->next = e->attributes;
        BM_STORE(&e->attributes, a);
    }
    char *old = a->value;
    BM_STORE(&a->value, text_new(24));
    remember(old, false);
}

static void insert(struct element *parent)
{
    struct element *child = NULL;
    BM_ROOTS(child);
    child = subtree_new(1, (int)random_below(&dice, 8));
    append(parent, child);
}

/* Takes out the parent's last child. */
static void cut(struct element *parent)
{
    if (!parent->count)
        return;
    struct element *child = parent->children[--parent->count];
    BM_STORE(&parent->children[parent->count], NULL);
    discount(child);
    remember(child, true);
}

/* Reads what would be on the screen. */
static uint64_t render(const struct element *e, int depth)
{
    uint64_t sum = (uint64_t)e->text[0] + e->text_size;
    for (struct attribute *a = e->attributes; a; a = a->next)
        sum += (uint64_t)a->value[0];
    for (uint32_t i = 0; depth > 0 && i < e->count; i++)
        sum += render(e->children[i], depth - 1);
    return sum;
}

/* The document keeps its size: below it insertions win, above it cuts. */
static void edit(struct element *document, size_t wanted)
{
    size_t kind = random_below(&dice, 10);
    if (kind < 6)
        edit_text(somewhere(document));
    else if (kind < 8)
        set_attribute(somewhere(document));
    else if (elements < wanted)
        insert(somewhere(document));
    else
        cut(somewhere(document));
}

void run_editor(void)
{
    struct element *document = NULL;
    BM_ROOTS(document);
    BM_ROOT_GLOBALS(undo, UNDO);
    int depth = (int)parameter("depth", 5);
    long edits = parameter("edits", 3 * 1000 * 1000);
    document = subtree_new(depth, FANOUT);
    size_t wanted = elements;
    uint64_t t0 = now_ns(), seen = 0;
    for (long i = 0; i < edits; i++) {
        edit(document, wanted);
        if (i % RENDER_EVERY == 0)
            seen += render(somewhere(document), 2);
    }
    result("time", since(t0), "s");
    result("resident", resident_mib(), "MiB");
    check(seen + elements);
}
