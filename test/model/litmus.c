/* Enumerates the executions of a litmus test under C11's memory model, in the form that RC11 gives
 * it.
 *
 * - `litmus FILE` checks the condition. It fails if the condition does not hold, or if there is a
 *   data race.
 * - `litmus --weaken N FILE` does the same, with the N-th access that stands under a //@ line
 *   weakened. It ends with 2 if there are fewer than N ways to do so.
 * - `litmus --marked FILE` prints which access stands under each //@ line.
 *
 * A test is written in the C format of herd7, of which this is read: locations that hold integers,
 * loads, stores, read-modify-writes and fences with explicit orders, plain accesses (*x),
 * registers, `if`, and a condition on the last values. README.md has the model.
 */
#include <ctype.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { THREADS = 6, EVENTS = 48, LOCATIONS = 16, REGISTERS = 24, VALUES = 24, NODES = 2048 };
enum { TRACES = 4096, NAME = 32, MARKS = 128 };

typedef uint64_t set; /* of events */

static const char *file_name;

static void fail(const char *format, ...)
{
    va_list list;
    va_start(list, format);
    fprintf(stderr, "%s: ", file_name);
    vfprintf(stderr, format, list);
    fputc('\n', stderr);
    va_end(list);
    exit(3);
}

/* ---- Orders ---- */

enum order { PLAIN, RELAXED, ACQUIRE, RELEASE, ACQ_REL, SEQ_CST };
static const char *const order_names[] = {"plain",   "relaxed", "acquire",
                                          "release", "acq_rel", "seq_cst"};

static bool acquires(enum order o)
{
    return o == ACQUIRE || o == ACQ_REL || o == SEQ_CST;
}

static bool releases(enum order o)
{
    return o == RELEASE || o == ACQ_REL || o == SEQ_CST;
}

/* ---- The text ---- */

enum kind {
    /* expressions */
    NUMBER,
    REGISTER,
    UNARY,
    BINARY,
    LOAD,
    UPDATE,
    SWAP_IF,
    /* statements */
    ASSIGN,
    STORE,
    FENCE,
    IF,
    EVALUATE,
};

struct node {
    enum kind kind;
    enum order order, failure;
    int op;                 /* of UNARY, BINARY, UPDATE */
    int value;              /* the number; the register's or location's index */
    int expected;           /* SWAP_IF: the location of what is expected */
    struct node *a, *b, *c; /* operands; IF: the two blocks are b and c */
    struct node *next;      /* the next statement of the block */
    int mark;               /* one more than the index of its //@ line; 0: none */
};

static struct node nodes[NODES];
static int node_count;
static char locations[LOCATIONS][NAME];
static int location_count, initial[LOCATIONS];
static char registers[THREADS][REGISTERS][NAME];
static int register_count[THREADS];
static struct node *bodies[THREADS];
static int thread_count, parsing_thread;
static struct node *condition;
static bool wants_none; /* ~exists, not exists */
static struct node *marked[MARKS];
static char mark_text[MARKS][200];
static int mark_count, pending_mark;
static const char *at;

static void note_mark(const char *from, const char *to)
{
    if (mark_count == MARKS)
        fail("more than %d //@ lines", MARKS);
    snprintf(mark_text[mark_count], sizeof mark_text[0], "%.*s", (int)(to - from), from);
    mark_count++;
    pending_mark = mark_count;
}

static void skip(void)
{
    for (;;) {
        while (isspace((unsigned char)*at))
            at++;
        const char *end = strchr(at, '\n');
        if (strncmp(at, "//", 2) != 0 || !end)
            return;
        if (at[2] == '@')
            note_mark(at + 3, end);
        at = end;
    }
}

static bool accept(const char *text)
{
    skip();
    size_t n = strlen(text);
    if (strncmp(at, text, n) != 0 ||
        (isalnum((unsigned char)text[n - 1]) && (isalnum((unsigned char)at[n]) || at[n] == '_')))
        return false;
    at += n;
    return true;
}

static void expect(const char *text)
{
    if (!accept(text))
        fail("'%s' expected at '%.20s'", text, at);
}

static const char *word(void)
{
    static char text[NAME];
    size_t n = 0;
    skip();
    while (isalnum((unsigned char)at[n]) || at[n] == '_')
        n++;
    if (n == 0 || n >= NAME)
        fail("a name expected at '%.20s'", at);
    memcpy(text, at, n);
    text[n] = 0;
    at += n;
    return text;
}

static int find(char (*names)[NAME], int *count, int room, const char *name, bool add)
{
    for (int i = 0; i < *count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    if (!add || *count == room)
        return -1;
    snprintf(names[*count], NAME, "%s", name);
    return (*count)++;
}

static int location(const char *name)
{
    int i = find(locations, &location_count, LOCATIONS, name, false);
    if (i < 0)
        fail("no location '%s'", name);
    return i;
}

static int number(void)
{
    skip();
    char *end;
    long n = strtol(at, &end, 0);
    if (end == at)
        fail("a number expected at '%.20s'", at);
    at = end;
    return (int)n;
}

static struct node *node(enum kind kind)
{
    if (node_count == NODES)
        fail("too long");
    struct node *n = &nodes[node_count++];
    n->kind = kind;
    return n;
}

/* What stands under //@ lines is the next access; several lines may name one. */
static struct node *access(enum kind kind)
{
    struct node *n = node(kind);
    n->mark = pending_mark;
    for (int i = pending_mark; i > 0 && !marked[i - 1]; i--)
        marked[i - 1] = n;
    pending_mark = 0;
    return n;
}

static enum order order(void)
{
    expect("memory_order_");
    const char *name = word();
    for (int i = RELAXED; i <= SEQ_CST; i++)
        if (strcmp(order_names[i], name) == 0)
            return (enum order)i;
    fail("no order '%s'", name);
    return PLAIN;
}

static struct node *expression(void);

static const char *const updates[] = {"exchange", "fetch_add", "fetch_sub", "fetch_or",
                                      "fetch_and"};
enum { EXCHANGE, ADD, SUBTRACT, OR, AND };

static void begin_call(struct node *n)
{
    expect("(");
    n->value = location(word());
}

static struct node *next_argument(void)
{
    expect(",");
    return expression();
}

static enum order next_order(void)
{
    expect(",");
    return order();
}

static struct node *end_call(struct node *n)
{
    expect(")");
    return n;
}

static struct node *update_call(int op)
{
    struct node *n = access(UPDATE);
    n->op = op;
    begin_call(n);
    n->a = next_argument();
    n->order = next_order();
    return end_call(n);
}

static struct node *load_call(void)
{
    struct node *n = access(LOAD);
    begin_call(n);
    n->order = next_order();
    return end_call(n);
}

static struct node *swap_call(void)
{
    struct node *n = access(SWAP_IF);
    begin_call(n);
    expect(",");
    n->expected = location(word());
    n->a = next_argument();
    n->order = next_order();
    n->failure = next_order();
    return end_call(n);
}

static struct node *store_call(void)
{
    struct node *n = access(STORE);
    begin_call(n);
    n->a = next_argument();
    n->order = next_order();
    return end_call(n);
}

static struct node *atomic_call(void)
{
    for (int i = 0; i <= AND; i++) {
        char name[40];
        snprintf(name, sizeof name, "atomic_%s_explicit", updates[i]);
        if (accept(name))
            return update_call(i);
    }
    if (accept("atomic_load_explicit"))
        return load_call();
    if (accept("atomic_compare_exchange_strong_explicit"))
        return swap_call();
    return NULL;
}

static struct node *primary(void)
{
    struct node *n = atomic_call();
    if (n)
        return n;
    if (accept("(")) {
        n = expression();
        expect(")");
        return n;
    }
    if (accept("!")) {
        n = node(UNARY);
        n->a = primary();
        return n;
    }
    if (accept("*")) {
        n = access(LOAD);
        n->value = location(word());
        n->order = PLAIN;
        return n;
    }
    skip();
    if (isdigit((unsigned char)*at) || *at == '-') {
        n = node(NUMBER);
        n->value = number();
        return n;
    }
    n = node(REGISTER);
    const char *name = word();
    n->value =
        find(registers[parsing_thread], &register_count[parsing_thread], REGISTERS, name, false);
    if (n->value < 0)
        fail("no register '%s'", name);
    return n;
}

/* All binary operators bind alike, from the left: a test writes parentheses. */
static struct node *expression(void)
{
    static const char *const operators[] = {"==", "!=", "&&", "||", "+", "-", "&", "|", "<"};
    struct node *left = primary();
    for (;;) {
        int op = -1;
        for (int i = 0; i < 9 && op < 0; i++)
            if (accept(operators[i]))
                op = i;
        if (op < 0)
            return left;
        struct node *n = node(BINARY);
        n->op = op;
        n->a = left;
        n->b = primary();
        left = n;
    }
}

static struct node *block(void);

static struct node *statement(void)
{
    struct node *n;
    if (accept("if")) {
        expect("(");
        n = node(IF);
        n->a = expression();
        expect(")");
        n->b = block();
        n->c = accept("else") ? block() : NULL;
        return n;
    }
    if (accept("atomic_thread_fence")) {
        n = access(FENCE);
        expect("(");
        n->order = order();
        expect(")");
    } else if (accept("atomic_store_explicit")) {
        n = store_call();
    } else if (accept("*")) {
        n = access(STORE);
        n->value = location(word());
        expect("=");
        n->a = expression();
        n->order = PLAIN;
    } else if ((n = atomic_call())) {
        struct node *call = n;
        n = node(EVALUATE);
        n->a = call;
    } else {
        n = node(ASSIGN);
        bool is_new = accept("int");
        n->value = find(registers[parsing_thread], &register_count[parsing_thread], REGISTERS,
                        word(), is_new);
        if (n->value < 0)
            fail("a register that is not declared before '%.20s'", at);
        expect("=");
        n->a = expression();
    }
    expect(";");
    return n;
}

static struct node *block(void)
{
    struct node *first = NULL, **last = &first;
    expect("{");
    while (!accept("}")) {
        *last = statement();
        last = &(*last)->next;
    }
    return first;
}

/* An atom is `0:r=1` or `x=1`: a BINARY whose left side is a REGISTER with the thread in `op`, or a
 * LOAD. */
static struct node *proposition(void);

static struct node *atom(void)
{
    struct node *n;
    if (accept("(")) {
        n = proposition();
        expect(")");
        return n;
    }
    if (accept("~")) {
        n = node(UNARY);
        n->a = atom();
        return n;
    }
    skip();
    struct node *left;
    if (isdigit((unsigned char)*at)) {
        int thread = number();
        expect(":");
        left = node(REGISTER);
        left->op = thread;
        const char *name = word();
        left->value = find(registers[thread], &register_count[thread], REGISTERS, name, false);
        if (left->value < 0)
            fail("no register '%d:%s'", thread, name);
    } else {
        left = node(LOAD);
        left->value = location(word());
    }
    expect("=");
    n = node(BINARY);
    n->op = 0;
    n->a = left;
    n->b = node(NUMBER);
    n->b->value = number();
    return n;
}

static struct node *proposition(void)
{
    struct node *left = atom();
    for (;;) {
        int op = accept("/\\") ? 2 : accept("\\/") ? 3 : -1;
        if (op < 0)
            return left;
        struct node *n = node(BINARY);
        n->op = op;
        n->a = left;
        n->b = atom();
        left = n;
    }
}

static void parse(const char *text)
{
    at = text;
    expect("C");
    at = strchr(at, '\n');
    skip();
    if (*at == '"')
        at = strchr(at + 1, '"') + 1;
    expect("{");
    while (!accept("}")) {
        const char *name = word();
        int i = find(locations, &location_count, LOCATIONS, name, true);
        if (i < 0)
            fail("more than %d locations", LOCATIONS);
        expect("=");
        initial[i] = number();
        expect(";");
    }
    for (skip(); at[0] == 'P' && isdigit((unsigned char)at[1]); skip()) {
        at++;
        parsing_thread = thread_count++;
        if (thread_count > THREADS || number() != parsing_thread)
            fail("threads are P0, P1, … up to P%d", THREADS - 1);
        expect("(");
        while (!accept(")"))
            at++;
        bodies[parsing_thread] = block();
    }
    wants_none = accept("~");
    expect("exists");
    condition = proposition();
    skip();
    if (*at)
        fail("more text at '%.20s'", at);
}

/* ---- Traces: what one thread does, for some values of what it reads ---- */

struct event {
    int thread, location;
    bool reads, writes, fence, update; /* update: one event of two, with both values */
    enum order order;
    int read, written;
    set depends; /* writes: on these earlier events of the thread */
};

struct trace {
    int count;
    struct event events[EVENTS / 2];
    int registers[REGISTERS];
};

static struct trace *traces[THREADS];
static int trace_count[THREADS];
static int values[LOCATIONS][VALUES], value_count[LOCATIONS];
static int known[LOCATIONS]; /* the values of the rounds before */
static bool values_grew;

static void add_value(int at_location, int value)
{
    for (int i = 0; i < value_count[at_location]; i++)
        if (values[at_location][i] == value)
            return;
    if (value_count[at_location] == VALUES)
        fail("more than %d values of %s", VALUES, locations[at_location]);
    values[at_location][value_count[at_location]++] = value;
    values_grew = true;
}

/* The reads of a run take the values that `choices` says; those beyond take the first. */
static struct {
    struct trace trace;
    set taints[REGISTERS], control;
    int choices[EVENTS], limits[EVENTS], reads;
} run;

struct result {
    int value;
    set taint;
};

static struct event *add_event(int thread, int where, enum order o)
{
    if (run.trace.count == EVENTS / 2)
        fail("a thread with more than %d accesses", EVENTS / 2);
    struct event *e = &run.trace.events[run.trace.count++];
    *e = (struct event){.thread = thread, .location = where, .order = o};
    return e;
}

static int read_value(struct event *e)
{
    int n = run.reads++;
    if (n == EVENTS)
        fail("too many reads");
    run.limits[n] = known[e->location];
    e->reads = true;
    e->read = values[e->location][run.choices[n]];
    return e->read;
}

static set own_bit(void)
{
    return (set)1 << (run.trace.count - 1);
}

static void write_value(struct event *e, int value, set taint)
{
    e->writes = true;
    e->written = value;
    e->depends = taint | run.control;
    add_value(e->location, value);
}

static struct result evaluate(int thread, const struct node *n);

static int binary(int op, int a, int b)
{
    switch (op) {
    case 0:
        return a == b;
    case 1:
        return a != b;
    case 2:
        return a && b;
    case 3:
        return a || b;
    case 4:
        return a + b;
    case 5:
        return a - b;
    case 6:
        return a & b;
    case 7:
        return a | b;
    default:
        return a < b;
    }
}

static int updated(int op, int old, int operand)
{
    switch (op) {
    case EXCHANGE:
        return operand;
    case ADD:
        return old + operand;
    case SUBTRACT:
        return old - operand;
    case OR:
        return old | operand;
    default:
        return old & operand;
    }
}

static struct result update(int thread, const struct node *n)
{
    struct result operand = evaluate(thread, n->a);
    struct event *e = add_event(thread, n->value, n->order);
    int old = read_value(e);
    e->update = true;
    /* The written value of an exchange does not depend on what was read. */
    set taint = operand.taint | (n->op == EXCHANGE ? 0 : own_bit());
    write_value(e, updated(n->op, old, operand.value), taint & ~own_bit());
    return (struct result){old, own_bit()};
}

/* Fails only if the value differs. */
static struct result swap_if(int thread, const struct node *n)
{
    struct event *expected = add_event(thread, n->expected, PLAIN);
    int old = read_value(expected);
    set taint = own_bit();
    struct result desired = evaluate(thread, n->a);
    struct event *e = add_event(thread, n->value, n->order);
    int found = read_value(e);
    set found_taint = own_bit();
    if (found == old) {
        e->update = true;
        write_value(e, desired.value, desired.taint | taint);
        return (struct result){1, taint | found_taint};
    }
    e->order = n->failure;
    write_value(add_event(thread, n->expected, PLAIN), found, found_taint);
    return (struct result){0, taint | found_taint};
}

static struct result evaluate(int thread, const struct node *n)
{
    struct result a, b;
    switch (n->kind) {
    case NUMBER:
        return (struct result){n->value, 0};
    case REGISTER:
        return (struct result){run.trace.registers[n->value], run.taints[n->value]};
    case UNARY:
        a = evaluate(thread, n->a);
        return (struct result){!a.value, a.taint};
    case BINARY:
        a = evaluate(thread, n->a);
        b = evaluate(thread, n->b);
        return (struct result){binary(n->op, a.value, b.value), a.taint | b.taint};
    case LOAD:
        a.value = read_value(add_event(thread, n->value, n->order));
        a.taint = own_bit();
        return a;
    case UPDATE:
        return update(thread, n);
    default:
        return swap_if(thread, n);
    }
}

static void execute(int thread, const struct node *n)
{
    for (; n; n = n->next) {
        struct result r = {0, 0};
        if (n->a)
            r = evaluate(thread, n->a);
        switch (n->kind) {
        case ASSIGN:
            run.trace.registers[n->value] = r.value;
            run.taints[n->value] = r.taint;
            break;
        case STORE:
            write_value(add_event(thread, n->value, n->order), r.value, r.taint);
            break;
        case FENCE:
            if (n->order >= ACQUIRE)
                add_event(thread, -1, n->order)->fence = true;
            break;
        case IF:
            run.control |= r.taint;
            execute(thread, r.value ? n->b : n->c);
            break;
        default:
            break;
        }
    }
}

/* Takes the next values. false: all were taken. */
static bool next_choice(void)
{
    for (int i = run.reads - 1; i >= 0; i--) {
        if (++run.choices[i] < run.limits[i])
            return true;
        run.choices[i] = 0;
    }
    return false;
}

static void run_thread(int thread)
{
    trace_count[thread] = 0;
    memset(&run, 0, sizeof run);
    do {
        memset(&run.trace, 0, sizeof run.trace);
        memset(run.taints, 0, sizeof run.taints);
        run.control = 0;
        run.reads = 0;
        execute(thread, bodies[thread]);
        if (trace_count[thread] == TRACES)
            fail("more than %d traces of P%d", TRACES, thread);
        traces[thread][trace_count[thread]++] = run.trace;
        for (int i = run.reads; i < EVENTS; i++)
            run.choices[i] = 0;
    } while (next_choice());
}

/* A value goes through each write at most once, so that an addition does not go on for ever. */
static int count_writes(void)
{
    int n = 1;
    for (int i = 0; i < node_count; i++)
        n += nodes[i].kind == STORE || nodes[i].kind == UPDATE || nodes[i].kind == SWAP_IF;
    return n;
}

static void make_traces(void)
{
    int rounds = count_writes();
    for (int i = 0; i < location_count; i++)
        add_value(i, initial[i]);
    for (int t = 0; t < thread_count; t++)
        traces[t] = malloc(TRACES * sizeof(struct trace));
    do {
        values_grew = false;
        memcpy(known, value_count, sizeof known);
        for (int t = 0; t < thread_count; t++)
            run_thread(t);
    } while (values_grew && --rounds > 0);
}

/* ---- Relations ---- */

typedef struct {
    set of[EVENTS]; /* the successors of each event */
} relation;

static struct event events[EVENTS];
static int count; /* of events; those of the initial values come first */

#define IN(i, s) ((s) >> (i)&1)
#define BIT(i) ((set)1 << (i))

static relation compose(const relation *a, const relation *b)
{
    relation c = {0};
    for (int i = 0; i < count; i++)
        for (set s = a->of[i]; s; s &= s - 1)
            c.of[i] |= b->of[__builtin_ctzll(s)];
    return c;
}

static relation join(relation a, const relation *b)
{
    for (int i = 0; i < count; i++)
        a.of[i] |= b->of[i];
    return a;
}

static relation closure(relation a)
{
    for (int k = 0; k < count; k++)
        for (int i = 0; i < count; i++)
            if (IN(k, a.of[i]))
                a.of[i] |= a.of[k];
    return a;
}

static relation or_same(relation a)
{
    for (int i = 0; i < count; i++)
        a.of[i] |= BIT(i);
    return a;
}

static relation between(set from, relation a, set to)
{
    for (int i = 0; i < count; i++)
        a.of[i] = IN(i, from) ? a.of[i] & to : 0;
    return a;
}

static bool reflexive(const relation *a)
{
    for (int i = 0; i < count; i++)
        if (IN(i, a->of[i]))
            return true;
    return false;
}

static bool cyclic(relation a)
{
    a = closure(a);
    return reflexive(&a);
}

/* ---- One candidate execution ---- */

static relation sb, same, rf, co, rb, dep; /* same: of one location */
static set all_reads, all_writes, all_updates, all_fences, sequential, acquiring, releasing,
    atomics;

static void sort_events(void)
{
    all_reads = all_writes = all_updates = all_fences = sequential = acquiring = releasing =
        atomics = 0;
    for (int i = 0; i < count; i++) {
        const struct event *e = &events[i];
        set bit = BIT(i);
        all_reads |= e->reads ? bit : 0;
        all_writes |= e->writes ? bit : 0;
        all_updates |= e->update ? bit : 0;
        all_fences |= e->fence ? bit : 0;
        sequential |= e->order == SEQ_CST ? bit : 0;
        acquiring |= acquires(e->order) && (e->reads || e->fence) ? bit : 0;
        releasing |= releases(e->order) && (e->writes || e->fence) ? bit : 0;
        atomics |= e->order >= RELAXED && !e->fence ? bit : 0;
    }
}

/* The events of initial values come before all others. */
static void make_program_order(void)
{
    sb = same = dep = (relation){0};
    int first = 0;
    for (int i = 0; i < count; i++) {
        if (i > 0 && events[i].thread != events[i - 1].thread)
            first = i;
        for (int j = 0; j < count; j++) {
            bool own = events[i].thread == events[j].thread;
            if (events[i].thread < 0 ? events[j].thread >= 0 : own && i < j)
                sb.of[i] |= BIT(j);
            if (events[i].location >= 0 && events[i].location == events[j].location)
                same.of[i] |= BIT(j);
        }
        for (set s = events[i].depends; s; s &= s - 1)
            dep.of[first + __builtin_ctzll(s)] |= BIT(i);
    }
}

static relation happens_before(void)
{
    relation to_update = between(all_writes, rf, all_updates);
    relation sequence = between(all_writes & atomics, or_same(closure(to_update)), ~(set)0);
    relation by_fence = between(all_fences, sb, ~(set)0),
             to_fence = between(~(set)0, sb, all_fences);
    relation a = or_same(by_fence), b = or_same(to_fence);
    relation sw = compose(&a, &sequence);
    sw = compose(&sw, &rf);
    sw = between(~(set)0, sw, atomics);
    sw = compose(&sw, &b);
    sw = between(releasing, sw, acquiring);
    return closure(join(sb, &sw));
}

static bool sequentially_consistent(const relation *hb, const relation *eco)
{
    relation fences = or_same((relation){0}), other = sb, scb;
    set fenced = sequential & all_fences, single = sequential & ~all_fences;
    if (!sequential)
        return true;
    for (int i = 0; i < count; i++)
        other.of[i] &= ~same.of[i];
    scb = compose(&other, hb);
    scb = compose(&scb, &other);
    scb = join(join(join(scb, &sb), &co), &rb);
    for (int i = 0; i < count; i++)
        scb.of[i] |= hb->of[i] & same.of[i];
    relation before = between(fenced, or_same(*hb), ~(set)0),
             after = between(~(set)0, or_same(*hb), fenced);
    relation own = between(single, fences, single);
    before = join(before, &own);
    after = join(after, &own);
    relation psc = compose(&before, &scb);
    psc = compose(&psc, &after);
    relation far = compose(hb, eco);
    far = compose(&far, hb);
    far = join(far, hb);
    far = between(fenced, far, fenced);
    return !cyclic(join(psc, &far));
}

static bool racy(const relation *hb)
{
    for (int i = 0; i < count; i++)
        for (int j = i + 1; j < count; j++)
            if (IN(j, same.of[i]) && events[i].thread != events[j].thread &&
                (events[i].order == PLAIN || events[j].order == PLAIN) &&
                (events[i].writes || events[j].writes) && !IN(j, hb->of[i]) && !IN(i, hb->of[j]))
                return true;
    return false;
}

static int final_values[LOCATIONS];
static struct trace *chosen[THREADS];

static bool holds(const struct node *n)
{
    switch (n->kind) {
    case UNARY:
        return !holds(n->a);
    case BINARY:
        if (n->op >= 2)
            return binary(n->op, holds(n->a), holds(n->b));
        int value = n->a->kind == LOAD ? final_values[n->a->value]
                                       : chosen[n->a->op]->registers[n->a->value];
        return value == n->b->value;
    default:
        return false;
    }
}

static bool reached, raced;
static long executions;

static void check_execution(void)
{
    relation hb = happens_before();
    if (reflexive(&hb))
        return;
    relation eco = closure(join(join(rf, &co), &rb));
    relation against = compose(&hb, &eco);
    if (reflexive(&against) || !sequentially_consistent(&hb, &eco) || cyclic(join(dep, &rf)))
        return;
    executions++;
    raced |= racy(&hb);
    reached |= holds(condition);
}

/* ---- The choice of who reads from whom, and of the order of writes ---- */

static int sources[EVENTS]; /* of reads */

/* An update comes directly after what it reads from. */
static bool updates_are_atomic(void)
{
    for (set s = all_updates; s; s &= s - 1) {
        int e = __builtin_ctzll(s);
        for (set t = co.of[sources[e]]; t; t &= t - 1)
            if (IN(e, co.of[__builtin_ctzll(t)]))
                return false;
        if (!IN(e, co.of[sources[e]]))
            return false;
    }
    return true;
}

/* Coherence of each location by itself, which most candidates break. */
static bool coherent(void)
{
    relation all = join(join(rf, &co), &rb);
    for (int i = 0; i < count; i++)
        all.of[i] |= sb.of[i] & same.of[i];
    return !cyclic(all);
}

static void make_reads_before(void)
{
    rb = (relation){0};
    for (set s = all_reads; s; s &= s - 1) {
        int e = __builtin_ctzll(s);
        rb.of[e] = co.of[sources[e]] & ~BIT(e);
    }
}

static void choose_source(int e);

static void order_writes(int where);

/* Puts the writes of `rest` to a location behind `last`, in each order. */
static void order_rest(int where, set rest, set before, int last)
{
    if (!rest) {
        final_values[where] = events[last].written;
        order_writes(where + 1);
        return;
    }
    for (set s = rest; s; s &= s - 1) {
        int e = __builtin_ctzll(s);
        bool first_of_thread = true;
        for (set t = rest & ~BIT(e); t; t &= t - 1)
            first_of_thread &= !IN(e, sb.of[__builtin_ctzll(t)]);
        if (!first_of_thread || (IN(e, all_updates) && sources[e] != last))
            continue;
        for (set t = before; t; t &= t - 1)
            co.of[__builtin_ctzll(t)] |= BIT(e);
        order_rest(where, rest & ~BIT(e), before | BIT(e), e);
        for (set t = before; t; t &= t - 1)
            co.of[__builtin_ctzll(t)] &= ~BIT(e);
    }
}

static void order_writes(int where)
{
    if (where == location_count) {
        make_reads_before();
        if (updates_are_atomic() && coherent())
            check_execution();
        return;
    }
    set writes = same.of[where] & all_writes & ~BIT(where);
    order_rest(where, writes, BIT(where), where);
}

static void choose_source(int e)
{
    while (e < count && !events[e].reads)
        e++;
    if (e == count) {
        order_writes(0);
        return;
    }
    for (set s = same.of[e] & all_writes & ~BIT(e); s; s &= s - 1) {
        int w = __builtin_ctzll(s);
        if (events[w].written != events[e].read || IN(w, sb.of[e]))
            continue;
        sources[e] = w;
        rf.of[w] |= BIT(e);
        choose_source(e + 1);
        rf.of[w] &= ~BIT(e);
    }
}

static void combine(int thread)
{
    if (thread < thread_count) {
        int before = count;
        for (int i = 0; i < trace_count[thread]; i++) {
            chosen[thread] = &traces[thread][i];
            if (count + chosen[thread]->count > EVENTS)
                fail("more than %d accesses", EVENTS);
            memcpy(&events[count], chosen[thread]->events,
                   (size_t)chosen[thread]->count * sizeof(struct event));
            count += chosen[thread]->count;
            combine(thread + 1);
            count = before;
        }
        return;
    }
    sort_events();
    make_program_order();
    rf = co = (relation){0};
    choose_source(0);
}

static void search(void)
{
    for (int i = 0; i < location_count; i++)
        events[count++] =
            (struct event){-1, i, false, true, false, false, RELAXED, 0, initial[i], 0};
    combine(0);
}

/* ---- Weakening ---- */

/* The orders next below one, for what this node does. */
static int weaker(const struct node *n, enum order out[2])
{
    bool both = n->kind == UPDATE || n->kind == SWAP_IF || n->kind == FENCE;
    switch (n->order) {
    case SEQ_CST:
        out[0] = both ? ACQ_REL : n->kind == LOAD ? ACQUIRE : RELEASE;
        return 1;
    case ACQ_REL:
        out[0] = ACQUIRE;
        out[1] = RELEASE;
        return 2;
    case ACQUIRE:
    case RELEASE:
        out[0] = RELAXED;
        return 1;
    default:
        return 0;
    }
}

static bool weaken(int nth)
{
    for (int i = 0; i < mark_count; i++) {
        enum order below[2];
        if (i + 1 < mark_count && marked[i + 1] == marked[i])
            continue;
        int n = weaker(marked[i], below);
        for (int k = 0; k < n; k++) {
            if (--nth > 0)
                continue;
            printf("%s, %s for %s\n", mark_text[i], order_names[below[k]],
                   order_names[marked[i]->order]);
            marked[i]->order = below[k];
            if (!acquires(below[k]) && marked[i]->kind == SWAP_IF)
                marked[i]->failure = RELAXED;
            return true;
        }
    }
    return false;
}

static void tell_marked(void)
{
    for (int i = 0; i < mark_count; i++)
        printf("%s %s\n", order_names[marked[i]->order], mark_text[i]);
}

static char *contents(const char *name)
{
    FILE *f = fopen(name, "r");
    static char text[1 << 16];
    if (!f)
        fail("cannot be read");
    size_t n = fread(text, 1, sizeof text - 1, f);
    fclose(f);
    text[n] = 0;
    return text;
}

int main(int argc, char **argv)
{
    file_name = argv[argc - 1];
    if (argc < 2)
        fail("usage: litmus [--weaken N | --marked] FILE");
    parse(contents(file_name));
    for (int i = 0; i < mark_count; i++)
        if (!marked[i])
            fail("no access under //@%s", mark_text[i]);
    if (strcmp(argv[1], "--marked") == 0) {
        tell_marked();
        return 0;
    }
    if (argc == 4 && !weaken(atoi(argv[2])))
        return 2;
    make_traces();
    search();
    bool good = executions > 0 && !raced && reached != wants_none;
    printf("%s: %ld executions%s%s\n", good ? "holds" : "does not hold", executions,
           reached ? ", one as in the condition" : "", raced ? ", a data race" : "");
    return !good;
}
