/* The loop that runs bytecode, and how calls are made.
 *
 * Inline caches: a member access has a word of the function's, class id << 32 | index. Ids are
 * never used twice and classes do not change, so a word that names the object's class is right, and
 * threads may read and write it without further ado.
 */
#include "vm.h"
#include "code.h"

#include <stdlib.h>

struct vm vm;

/* ---- Calls --------------------------------------------------------------------------------- */

static const char *callee_name(value callee)
{
    if (is_kind(callee, KIND_NATIVE))
        return ((struct native *)as_object(callee))->name->bytes;
    return ((struct closure *)as_object(callee))->fn->name->bytes;
}

_Noreturn static void wrong_count(struct thread *t, value callee, int min, bool or_more, int n)
{
    throw_error(t, ERROR_TypeError, "%s() takes %s%d argument%s, not %d", callee_name(callee),
                or_more ? "at least " : "", min, min == 1 ? "" : "s", n);
}

/* Checks the number of arguments; puts those beyond the parameters into a list. */
static int adapt_arguments(struct thread *t, struct closure *closure, uint32_t base, int n)
{
    struct function *fn = closure->fn;
    int nparams = fn->nparams;
    if (n < nparams || (n > nparams && !fn->variadic))
        wrong_count(t, from_object(closure), nparams, fn->variadic, n);
    if (!fn->variadic)
        return n;
    struct list *rest = new_list(t, (uint32_t)(n - nparams));
    GC_FRAME(rest);
    value *from = t->context->stack + base + 1 + nparams;
    for (int i = 0; i < n - nparams; i++)
        list_push(t, rest, from[i]);
    from[0] = from_object(rest);
    return nparams + 1;
}

/* The callee or receiver is in stack[base], the arguments follow. */
static inline void push_frame(struct thread *t, struct closure *closure, uint32_t base, int n,
                              uint32_t result, enum after after)
{
    struct context *c = t->context;
    struct function *fn = closure->fn;
    uint32_t top = base + fn->nregs;
    if (GC_UNLIKELY(top > c->capacity || c->nframes == c->frames_capacity))
        context_reserve(t, c, top);
    if (GC_UNLIKELY(n != fn->nparams || fn->variadic))
        n = adapt_arguments(t, closure, base, n);
    value *registers = c->stack + base;
    for (int i = 1 + n; i < fn->nregs; i++)
        registers[i] = NIL;
    struct frame *frame = &c->frames[c->nframes];
    /* What the caller has beyond the callee's registers stays a root. */
    if (c->nframes && frame[-1].top > top)
        top = frame[-1].top;
    *frame = (struct frame){closure, fn->code, base, top, result, (uint32_t)after};
    c->nframes++;
    c->top = c->stack + top;
    gc_safepoint();
}

static void pop_frame(struct context *c)
{
    c->nframes--;
    c->top = c->nframes ? c->stack + innermost(c)->top : c->stack;
}

static value call_native(struct thread *t, struct native *native, value *args, int n)
{
    if (n < native->min || (n > native->max && native->max >= 0))
        wrong_count(t, from_object(native), n < native->min ? native->min : native->max,
                    native->max < 0, n);
    return native->call(t, args, n);
}

static void next_arrived(struct frame *frame, value *registers, value v)
{
    uint32_t word = frame->ip[-1];
    value *r = registers + code_a(word);
    if (v == DONE) {
        frame->ip += 1 + (int32_t)*frame->ip;
        return;
    }
    if (code_b(word)) {
        r[2] = r[1];
        r[3] = v;
        r[1] = from_double(as_number(r[1]) + 1);
    } else {
        r[2] = v;
    }
    frame->ip++;
}

void context_deliver(struct context *c, uint32_t where, enum after after, value v)
{
    struct frame *frame = after == AFTER_TEST || after == AFTER_NEXT ? innermost(c) : NULL;
    if (!frame)
        c->stack[where] = v;
    else if (after == AFTER_NEXT)
        next_arrived(frame, c->stack + frame->base, v);
    else if (!is_falsy(v) == code_a(frame->ip[-1]))
        frame->ip += 1 + (int32_t)*frame->ip;
    else
        frame->ip++;
}

static bool enter(struct thread *t, value callee, uint32_t base, int n, uint32_t result,
                  enum after after);

static bool enter_native(struct thread *t, struct native *native, uint32_t base, int n,
                         uint32_t result, enum after after)
{
    struct context *c = t->context;
    if (native->switches && (result != base || after != AFTER_NOTHING))
        throw_error(t, ERROR_TypeError, "%s() cannot be called by another function",
                    native->name->bytes);
    value v = call_native(t, native, c->stack + base, n);
    if (v == SWITCHED)
        return true;
    c->top = c->nframes ? c->stack + innermost(c)->top : c->stack;
    context_deliver(c, result, after, v);
    return false;
}

static bool enter_class(struct thread *t, struct class *class, uint32_t base, int n,
                        uint32_t result, enum after after)
{
    struct context *c = t->context;
    value init = gc_load_value(&class->init);
    if (class->instance_kind != KIND_INSTANCE) {
        if (init == NIL)
            throw_error(t, ERROR_TypeError, "%s cannot be called", class->name->bytes);
        c->stack[base] = from_object(class);
        return enter(t, init, base, n, result, after);
    }
    c->stack[base] = from_object(new_instance(t, class));
    if (init != NIL)
        return enter(t, init, base, n, result, after);
    if (n)
        throw_error(t, ERROR_TypeError, "%s has no init that takes arguments", class->name->bytes);
    context_deliver(c, result, after, c->stack[base]);
    return false;
}

/* Calls what is neither closure nor native, too. */
static bool enter(struct thread *t, value callee, uint32_t base, int n, uint32_t result,
                  enum after after)
{
    switch (value_kind(callee)) {
    case KIND_CLOSURE:
        push_frame(t, as_object(callee), base, n, result, after);
        return true;
    case KIND_NATIVE:
        return enter_native(t, as_object(callee), base, n, result, after);
    case KIND_CLASS:
        return enter_class(t, as_object(callee), base, n, result, after);
    case KIND_BOUND:;
        struct bound *bound = as_object(callee);
        t->context->stack[base] = bound->receiver;
        return enter(t, bound->method, base, n, result, after);
    default:
        throw_error(t, ERROR_TypeError, "%s cannot be called", class_name_of(callee));
    }
}

bool vm_push_call(struct thread *t, value callee, value self, const value *args, int n,
                  uint32_t result, enum after after)
{
    struct context *c = t->context;
    uint32_t base = (uint32_t)(c->top - c->stack);
    context_reserve(t, c, base + 1 + (uint32_t)n);
    value *at = c->stack + base;
    at[0] = self == NIL ? callee : self;
    for (int i = 0; i < n; i++)
        at[1 + i] = gc_load_value(&args[i]);
    c->top = at + 1 + n;
    return enter(t, callee, base, n, result, after);
}

/* ---- Members ------------------------------------------------------------------------------- */

static inline uint64_t cache_word(const struct class *class, int64_t index)
{
    return (uint64_t) class->id << 32 | (uint32_t)index;
}

static inline uint64_t cache_load(const uint64_t *cache)
{
    return __atomic_load_n(cache, __ATOMIC_RELAXED);
}

static inline void cache_store(uint64_t *cache, uint64_t word)
{
    __atomic_store_n(cache, word, __ATOMIC_RELAXED);
}

static inline uint32_t class_id_of(value v)
{
    return is_object(v) ? ((struct object *)as_object(v))->class_id : (uint32_t)value_kind(v);
}

static value module_member(struct thread *t, struct module *module, struct string *name)
{
    bool found;
    value box = map_get(module->variables, from_object(name), &found);
    value v = found ? gc_load_value(&((struct box *)as_object(box))->content) : UNDEFINED;
    if (v == UNDEFINED)
        throw_error(t, ERROR_NameError, "module %s has no variable '%s'", module->name->bytes,
                    name->bytes);
    return v;
}

_Noreturn static void no_member(struct thread *t, value v, struct string *name)
{
    if (is_kind(v, KIND_CLASS))
        throw_error(t, ERROR_NameError, "class %s has no static method '%s'",
                    ((struct class *)as_object(v))->name->bytes, name->bytes);
    throw_error(t, ERROR_NameError, "%s has no member '%s'", class_name_of(v), name->bytes);
}

/* v.name, where the cache did not know. */
static value get_member(struct thread *t, value v, struct string *name, uint64_t *cache)
{
    if (is_kind(v, KIND_MODULE))
        return module_member(t, as_object(v), name);
    struct class *class = class_of(v);
    int64_t number;
    if (!class_member(class, name, &number))
        no_member(t, v, name);
    if (number < 0)
        return from_object(new_bound(t, v, gc_load_value(&class->methods->v[-1 - number])));
    cache_store(cache, cache_word(class, number));
    return gc_load_value(&((struct instance *)as_object(v))->fields[number]);
}

static value *field_place(struct thread *t, value v, struct string *name, uint64_t *cache)
{
    int64_t number;
    struct class *class = class_of(v);
    if (!is_kind(v, KIND_INSTANCE) || !class_member(class, name, &number) || number < 0)
        throw_error(t, ERROR_NameError, "%s has no field '%s'", class_name_of(v), name->bytes);
    cache_store(cache, cache_word(class, number));
    return &((struct instance *)as_object(v))->fields[number];
}

/* What `*v.name(…)` calls. If that is no method, it takes the place of the receiver, *v. */
static value find_callee(struct thread *t, value *v, struct string *name, uint64_t *cache)
{
    if (is_kind(*v, KIND_MODULE))
        return *v = module_member(t, as_object(*v), name);
    struct class *class = class_of(*v);
    int64_t number;
    if (!class_member(class, name, &number))
        no_member(t, *v, name);
    if (number >= 0)
        return *v = gc_load_value(&((struct instance *)as_object(*v))->fields[number]);
    cache_store(cache, cache_word(class, -1 - number));
    return gc_load_value(&class->methods->v[-1 - number]);
}

static value find_super(struct thread *t, value self, value super, struct string *name)
{
    struct class *class = as_object(super);
    if (is_kind(self, KIND_CLASS))
        class = class->meta;
    value method = class_method(class, name);
    if (method == UNDEFINED)
        throw_error(t, ERROR_NameError, "superclass %s has no method '%s'", class->name->bytes,
                    name->bytes);
    return method;
}

/* ---- Operators on other things than numbers ------------------------------------------------ */

/* Calls a's method for the operator, if it has one. */
static bool push_operator(struct thread *t, enum symbol op, value a, value b, int n,
                          uint32_t result, enum after after)
{
    if (!is_kind(a, KIND_INSTANCE))
        return false;
    value method = class_method(class_of(a), vm.symbols[op]);
    if (method == UNDEFINED)
        return false;
    vm_push_call(t, method, a, &b, n, result, after);
    return true;
}

/* The result, or SWITCHED if a method is called, whose result goes to stack[result]. */
static value binary_slow(struct thread *t, enum symbol op, value a, value b, uint32_t result)
{
    if (is_number(a) && is_number(b))
        return from_double(number_bitwise(t, op, a, b));
    if (op == SYMBOL_ADD && is_string(a) && is_string(b))
        return from_object(string_concat(t, as_object(a), as_object(b)));
    if (push_operator(t, op, a, b, 1, result, AFTER_NOTHING))
        return SWITCHED;
    throw_error(t, ERROR_TypeError, "'%s' does not go with %s and %s", vm.symbols[op]->bytes,
                class_name_of(a), class_name_of(b));
}

static value unary_slow(struct thread *t, const char *sign, enum symbol op, value a,
                        uint32_t result)
{
    if (push_operator(t, op, a, NIL, 0, result, AFTER_NOTHING))
        return SWITCHED;
    throw_error(t, ERROR_TypeError, "'%s' does not go with %s", sign, class_name_of(a));
}

/* 0, 1, or -1 if a method is called, which ends in AFTER_TEST. */
static int compare_slow(struct thread *t, enum symbol op, value a, value b)
{
    if (is_string(a) && is_string(b)) {
        struct string *x = as_object(a), *y = as_object(b);
        size_t n = x->length < y->length ? x->length : y->length;
        int order = memcmp(x->bytes, y->bytes, n);
        if (!order)
            order = (x->length > y->length) - (x->length < y->length);
        return op == SYMBOL_LT ? order < 0 : order <= 0;
    }
    if (push_operator(t, op, a, b, 1, 0, AFTER_TEST))
        return -1;
    throw_error(t, ERROR_TypeError, "%s and %s cannot be compared", class_name_of(a),
                class_name_of(b));
}

/* ---- Indexing ------------------------------------------------------------------------------ */

_Noreturn static void bad_index(struct thread *t, value index, uint32_t count)
{
    char text[NUMBER_TEXT];
    if (!is_number(index))
        throw_error(t, ERROR_TypeError, "an index must be an integer, not %s",
                    class_name_of(index));
    format_number(text, as_number(index));
    throw_error(t, ERROR_IndexError, "index %s is not in 0..%u", text, count);
}

/* The bounds of a range within `count` elements. */
static void slice_bounds(struct thread *t, const struct range *range, uint32_t count,
                         uint32_t *from, uint32_t *to)
{
    double end = range->inclusive ? range->to + 1 : range->to;
    if (!(range->from >= 0 && range->from <= end && end <= count) ||
        range->from != floor(range->from) || end != floor(end))
        throw_error(t, ERROR_IndexError, "the range %s is not in 0..%u",
                    value_to_string(t, from_object(range))->bytes, count);
    *from = (uint32_t)range->from;
    *to = (uint32_t)end;
}

static value slice(struct thread *t, value v, value range)
{
    uint32_t count, from, to;
    if (is_string(v)) {
        struct string *s = as_object(v);
        slice_bounds(t, as_object(range), s->length, &from, &to);
        return from_object(new_string(t, s->bytes + from, to - from));
    }
    struct block *items = list_items(as_object(v), &count);
    GC_FRAME(items);
    slice_bounds(t, as_object(range), count, &from, &to);
    struct list *copy = new_list(t, to - from);
    if (to > from) {
        move_values(copy->items->v, items->v + from, to - from);
        copy->items->count = to - from;
    }
    return from_object(copy);
}

static inline bool index_in(value index, uint32_t count, uint32_t *i)
{
    uint64_t bits = number_bits(index);
    double d = bits_to_double(bits);
    if (!bits_are_number(bits) || !(d >= 0 && d < count))
        return false;
    *i = (uint32_t)d;
    return *i == d;
}

static value index_slow(struct thread *t, value v, value index, uint32_t result)
{
    uint32_t i, count = 0;
    enum kind kind = value_kind(v);
    if (kind == KIND_MAP)
        return map_get(as_object(v), index, NULL);
    if ((kind == KIND_LIST || kind == KIND_STRING) && is_kind(index, KIND_RANGE))
        return slice(t, v, index);
    if (kind == KIND_STRING) {
        struct string *s = as_object(v);
        if (!index_in(index, s->length, &i))
            bad_index(t, index, s->length);
        return from_object(string_byte(t, (uint8_t)s->bytes[i]));
    }
    if (kind == KIND_LIST) {
        list_items(as_object(v), &count);
        bad_index(t, index, count);
    }
    if (push_operator(t, SYMBOL_INDEX, v, index, 1, result, AFTER_NOTHING))
        return SWITCHED;
    throw_error(t, ERROR_TypeError, "%s has no elements", class_name_of(v));
}

static inline value index_value(struct thread *t, value v, value index, uint32_t result)
{
    uint32_t i, count;
    if (GC_LIKELY(is_kind(v, KIND_LIST))) {
        struct block *items = list_items(as_object(v), &count);
        if (GC_LIKELY(index_in(index, count, &i)))
            return gc_load_value(&items->v[i]);
    }
    return index_slow(t, v, index, result);
}

/* Whether a method was called. */
static bool set_index(struct thread *t, value v, value index, value element)
{
    uint32_t i, count;
    if (is_kind(v, KIND_LIST)) {
        struct block *items = list_items(as_object(v), &count);
        if (!index_in(index, count, &i))
            bad_index(t, index, count);
        gc_store_value(&items->v[i], element);
        return false;
    }
    if (is_kind(v, KIND_MAP)) {
        map_set(t, as_object(v), index, element);
        return false;
    }
    value args[2] = {index, element};
    value method = is_kind(v, KIND_INSTANCE)
                       ? class_method(class_of(v), vm.symbols[SYMBOL_SET_INDEX])
                       : UNDEFINED;
    if (method == UNDEFINED)
        throw_error(t, ERROR_TypeError, "%s has no elements to set", class_name_of(v));
    /* The result is of no use: it goes to the first free slot, which nobody reads. */
    struct context *c = t->context;
    vm_push_call(t, method, v, args, 2, (uint32_t)(c->top - c->stack), AFTER_NOTHING);
    return true;
}

/* ---- Iteration ----------------------------------------------------------------------------- */

/* Makes r[0] an iterator; true if a method is called to do so. */
static bool iterate(struct thread *t, value *r)
{
    value v = r[0];
    r[1] = from_double(0);
    switch (value_kind(v)) {
    case KIND_LIST:
    case KIND_MAP:
    case KIND_STRING:
    case KIND_RANGE:
    case KIND_COROUTINE:
    case KIND_CHANNEL:
        return false;
    case KIND_INSTANCE:;
        uint32_t where = (uint32_t)(r - t->context->stack);
        if (push_operator(t, SYMBOL_ITER, v, NIL, 0, where, AFTER_NOTHING))
            return true;
        if (class_method(class_of(v), vm.symbols[SYMBOL_NEXT]) != UNDEFINED)
            return false;
        break;
    default:
        break;
    }
    throw_error(t, ERROR_TypeError, "%s cannot be iterated over", class_name_of(v));
}

/* Whether a range's element d lies before its end. */
static bool before_end(const struct range *range, double d)
{
    if (range->step > 0)
        return range->inclusive ? d <= range->to : d < range->to;
    return range->inclusive ? d >= range->to : d > range->to;
}

/* The next element of a built-in collection, and what comes with it; false at the end. */
static bool next_built_in(struct thread *t, value *r, value *key, value *v)
{
    double position = as_number(r[1]), step = 1;
    uint32_t count, i = position < UINT32_MAX ? (uint32_t)position : UINT32_MAX;
    bool found = false;
    *key = r[1];
    switch (value_kind(r[0])) {
    case KIND_LIST:;
        struct block *items = list_items(as_object(r[0]), &count);
        if ((found = i < count))
            *v = gc_load_value(&items->v[i]);
        break;
    case KIND_MAP:
        found = map_next(as_object(r[0]), &i, key, v);
        step = i - position;
        break;
    case KIND_STRING:;
        struct string *s = as_object(r[0]);
        if ((found = i < s->length)) {
            step = (double)utf8_length(s, i);
            *v = from_object(new_string(t, s->bytes + i, (size_t)step));
        }
        break;
    default:;
        struct range *range = as_object(r[0]);
        *v = from_number(range->from + position * range->step);
        found = before_end(range, as_number(*v));
    }
    r[1] = from_double(position + step);
    return found;
}

/* Executes NEXT, whose word is before frame->ip; true if the loop has to look at its frame anew. */
static bool next(struct thread *t, struct frame *frame, value *r)
{
    struct context *c = t->context;
    value key, v;
    uint32_t word = frame->ip[-1];
    switch (value_kind(r[0])) {
    case KIND_COROUTINE:
        context_resume(t, as_object(r[0]), NIL, true, 0, AFTER_NEXT);
        return true;
    case KIND_CHANNEL:
        context_deliver(c, 0, AFTER_NEXT, channel_next(t, r[0]));
        return true;
    case KIND_INSTANCE:
        if (push_operator(t, SYMBOL_NEXT, r[0], NIL, 0, 0, AFTER_NEXT))
            return true;
        throw_error(t, ERROR_TypeError, "%s is no iterator: it has no next()", class_name_of(r[0]));
    case KIND_LIST:
    case KIND_MAP:
    case KIND_STRING:
    case KIND_RANGE:
        break;
    default:
        throw_error(t, ERROR_TypeError, "%s is no iterator", class_name_of(r[0]));
    }
    if (!next_built_in(t, r, &key, &v)) {
        frame->ip += 1 + (int32_t)*frame->ip;
        return false;
    }
    bool is_map = is_kind(r[0], KIND_MAP);
    r[2] = code_b(word) || is_map ? key : v;
    if (code_b(word))
        r[3] = v;
    frame->ip++;
    return false;
}

/* ---- Strings ------------------------------------------------------------------------------- */

/* The text of v, or SWITCHED if a str() is called for it. */
static value to_string(struct thread *t, value v, uint32_t result)
{
    if (is_string(v))
        return v;
    if (is_object(v)) {
        value method = class_method(class_of(v), vm.symbols[SYMBOL_STR]);
        if (method != UNDEFINED && is_kind(method, KIND_CLOSURE)) {
            vm_push_call(t, method, v, NULL, 0, result, AFTER_NOTHING);
            return SWITCHED;
        }
    }
    return from_object(value_to_string(t, v));
}

static value concat(struct thread *t, value *parts, int n)
{
    size_t length = 0;
    for (int i = 0; i < n; i++) {
        if (!is_string(parts[i]))
            throw_error(t, ERROR_TypeError, "str() gave %s, not a string", class_name_of(parts[i]));
        length += ((struct string *)as_object(parts[i]))->length;
    }
    if (n == 1)
        return parts[0];
    char text[INTERN_MAX], *to = text;
    struct string *whole = NULL;
    if (length > INTERN_MAX) {
        whole = string_begin(t, length);
        to = whole->bytes;
    }
    for (int i = 0; i < n; i++) {
        struct string *s = as_object(parts[i]);
        memcpy(to, s->bytes, s->length);
        to += s->length;
    }
    return from_object(whole ? whole : new_string(t, text, length));
}

/* ---- Definitions --------------------------------------------------------------------------- */

static value define_class(struct thread *t, value name, value super)
{
    if (super != NIL && (!is_kind(super, KIND_CLASS) ||
                         ((struct class *)as_object(super))->instance_kind != KIND_INSTANCE))
        throw_error(t, ERROR_TypeError, "a class cannot inherit from %s",
                    value_to_string(t, super)->bytes);
    return from_object(new_class(t, as_object(name), super == NIL ? NULL : as_object(super)));
}

/* Pushes the body of a module that is new; true then. */
static bool import(struct thread *t, struct frame *frame, value path, value *to)
{
    value body = NIL;
    struct module *module = module_import(t, frame->closure->fn->module, as_object(path), &body);
    *to = from_object(module);
    if (body == NIL)
        return false;
    return vm_push_call(t, body, NIL, NULL, 0, (uint32_t)(to - t->context->stack), AFTER_IMPORT);
}

/* ---- Returning and unwinding --------------------------------------------------------------- */

/* Returns from a frame that is not simply a call; true if the thread has come to its end. */
static bool return_slow(struct thread *t, value v)
{
    struct context *c = t->context;
    struct frame frame = *innermost(c);
    struct module *module = frame.closure->fn->module;
    if (frame.after == AFTER_END && c == &t->main)
        thread_root_set(t, ROOT_TRANSFER, v);
    if (frame.after == AFTER_END && c != &t->main) {
        context_finish(t, v);
        return false;
    }
    pop_frame(c);
    if (frame.after == AFTER_END)
        return true;
    if (frame.after == AFTER_IMPORT) {
        module_ended(t, module, true);
        c->stack[frame.result] = from_object(module);
    } else {
        context_deliver(c, frame.result, (enum after)frame.after, v);
    }
    return false;
}

static const struct handler *find_handler(const struct frame *frame)
{
    const struct function *fn = frame->closure->fn;
    uint32_t pc = (uint32_t)(frame->ip - fn->code) - 1;
    for (uint32_t i = 0; i < fn->nhandlers; i++)
        if (fn->handlers[i].from <= pc && pc < fn->handlers[i].to)
            return &fn->handlers[i];
    return NULL;
}

/* Looks for a catch for the error in ROOT_ERROR; false if there is none. */
static bool unwind(struct thread *t)
{
    for (;;) {
        struct context *c = t->context;
        while (c->nframes) {
            struct frame *frame = innermost(c);
            const struct handler *handler = t->exit_status < 0 ? find_handler(frame) : NULL;
            if (handler) {
                frame->ip = frame->closure->fn->code + handler->target;
                c->top = c->stack + frame->top;
                c->stack[frame->base + handler->reg] = gc_load_value(&t->roots[ROOT_ERROR]);
                thread_root_set(t, ROOT_ERROR, NIL);
                return true;
            }
            if (frame->after == AFTER_IMPORT)
                module_ended(t, frame->closure->fn->module, false);
            pop_frame(c);
        }
        if (c == &t->main)
            return false;
        context_fail(t);
    }
}

/* ---- The loop ------------------------------------------------------------------------------ */

#define A code_a(word)
#define B code_b(word)
#define C code_c(word)
#define SAVE() (frame->ip = ip)
#define SLOT(n) (frame->base + (n))

/* The frame may be another one now, or its stack elsewhere. */
#define RELOAD()                                                                                   \
    do {                                                                                           \
        c = t->context;                                                                            \
        frame = innermost(c);                                                                      \
        R = c->stack + frame->base;                                                                \
        fn = frame->closure->fn;                                                                   \
        K = fn->constants->v;                                                                      \
        ip = frame->ip;                                                                            \
    } while (0)

#define CASE(name) L_##name : (void)0;
#define NEXT                                                                                       \
    do {                                                                                           \
        word = *ip++;                                                                              \
        __extension__({ goto *labels[word & 0xFF]; });                                             \
    } while (0)

/* Stores a result that a call may still have to bring. */
#define STORE_OR_RELOAD(expression)                                                                \
    do {                                                                                           \
        SAVE();                                                                                    \
        value v_ = (expression);                                                                   \
        if (v_ == SWITCHED)                                                                        \
            RELOAD();                                                                              \
        else                                                                                       \
            R[A] = v_;                                                                             \
    } while (0)

#define LOAD(name)                                                                                 \
    L_##name : R[A] = name;                                                                        \
    NEXT;

#define ARITHMETIC(name, symbol, right, result)                                                    \
    CASE(name)                                                                                     \
    {                                                                                              \
        value b = R[B], c_ = right;                                                                \
        uint64_t bits_b = number_bits(b), bits_c = number_bits(c_);                                \
        if (GC_LIKELY(bits_are_number(bits_b) && bits_are_number(bits_c))) {                       \
            double x = bits_to_double(bits_b), y = bits_to_double(bits_c);                         \
            R[A] = from_double(result);                                                            \
        } else {                                                                                   \
            STORE_OR_RELOAD(binary_slow(t, symbol, b, c_, SLOT(A)));                               \
        }                                                                                          \
        NEXT;                                                                                      \
    }

#define BITWISE(name, symbol, result)                                                              \
    CASE(name)                                                                                     \
    {                                                                                              \
        int64_t x, y;                                                                              \
        if (GC_LIKELY(to_int(R[B], &x) && to_int(R[C], &y)))                                       \
            R[A] = from_int(result);                                                               \
        else                                                                                       \
            STORE_OR_RELOAD(binary_slow(t, symbol, R[B], R[C], SLOT(A)));                          \
        NEXT;                                                                                      \
    }

#define COMPARE(name, left, op, right, symbol, first, second)                                      \
    CASE(name)                                                                                     \
    {                                                                                              \
        value b = left, c_ = right;                                                                \
        uint64_t bits_b = number_bits(b), bits_c = number_bits(c_);                                \
        int truth;                                                                                 \
        if (GC_LIKELY(bits_are_number(bits_b) && bits_are_number(bits_c))) {                       \
            truth = bits_to_double(bits_b) op bits_to_double(bits_c);                              \
        } else {                                                                                   \
            SAVE();                                                                                \
            truth = compare_slow(t, symbol, first, second);                                        \
            if (truth < 0) {                                                                       \
                RELOAD();                                                                          \
                NEXT;                                                                              \
            }                                                                                      \
        }                                                                                          \
        ip += truth == (int)A ? 1 + (int32_t)*ip : 1;                                              \
        NEXT;                                                                                      \
    }

#define EQUAL(name, right)                                                                         \
    CASE(name)                                                                                     \
    {                                                                                              \
        int truth = value_equal(R[B], right);                                                      \
        ip += truth == (int)A ? 1 + (int32_t)*ip : 1;                                              \
        NEXT;                                                                                      \
    }

static inline double modulo(double x, double y)
{
    if (x >= 0 && x < 4503599627370496.0 && y >= 1 && y < 4503599627370496.0) {
        int64_t i = (int64_t)x, j = (int64_t)y;
        if ((double)i == x && (double)j == y)
            return (double)(i % j);
    }
    return number_modulo(x, y);
}

/* Runs the innermost frame of the running context until the thread's first call has ended. */
static void run(struct thread *t)
{
    static const void *const labels[] = {
#define X(name) __extension__ &&L_##name,
        OPCODES(X)
#undef X
    };
    struct context *c;
    struct frame *frame;
    struct function *fn;
    const value *K;
    value *R;
    const uint32_t *ip;
    uint32_t word;
    RELOAD();
    NEXT;

    CASE(MOVE)
    {
        R[A] = R[B];
        NEXT;
    }
    CASE(CONSTANT)
    {
        R[A] = K[code_bx(word)];
        NEXT;
    }
    LOAD(NIL)
    LOAD(TRUE)
    LOAD(FALSE)
    LOAD(DONE)
    CASE(GET_CAPTURE)
    {
        R[A] = frame->closure->captures[B];
        NEXT;
    }
    CASE(GET_CAPTURED)
    {
        struct box *box = as_object(frame->closure->captures[B]);
        R[A] = gc_load_value(&box->content);
        NEXT;
    }
    CASE(SET_CAPTURED)
    {
        struct box *box = as_object(frame->closure->captures[B]);
        gc_store_value(&box->content, R[A]);
        NEXT;
    }
    CASE(BOX)
    {
        SAVE();
        struct box *box = new_box(t, NIL);
        box->content = R[A];
        R[A] = from_object(box);
        NEXT;
    }
    CASE(GET_BOX)
    {
        R[A] = gc_load_value(&((struct box *)as_object(R[B]))->content);
        NEXT;
    }
    CASE(SET_BOX)
    {
        gc_store_value(&((struct box *)as_object(R[B]))->content, R[A]);
        NEXT;
    }
    CASE(GET_GLOBAL)
    {
        value v = gc_load_value(&((struct box *)as_object(K[code_bx(word)]))->content);
        if (GC_UNLIKELY(v == UNDEFINED)) {
            SAVE();
            throw_error(t, ERROR_NameError, "a variable is used before it is defined");
        }
        R[A] = v;
        NEXT;
    }
    CASE(SET_GLOBAL)
    {
        gc_store_value(&((struct box *)as_object(K[code_bx(word)]))->content, R[A]);
        NEXT;
    }
    ARITHMETIC(ADD, SYMBOL_ADD, R[C], x + y)
    ARITHMETIC(SUB, SYMBOL_SUB, R[C], x - y)
    ARITHMETIC(MUL, SYMBOL_MUL, R[C], x * y)
    ARITHMETIC(DIV, SYMBOL_DIV, R[C], x / y)
    ARITHMETIC(MOD, SYMBOL_MOD, R[C], modulo(x, y))
    ARITHMETIC(IDIV, SYMBOL_IDIV, R[C], floor(x / y))
    ARITHMETIC(ADDK, SYMBOL_ADD, K[C], x + y)
    ARITHMETIC(SUBK, SYMBOL_SUB, K[C], x - y)
    ARITHMETIC(MULK, SYMBOL_MUL, K[C], x * y)
    ARITHMETIC(DIVK, SYMBOL_DIV, K[C], x / y)
    ARITHMETIC(MODK, SYMBOL_MOD, K[C], modulo(x, y))
    BITWISE(BAND, SYMBOL_BAND, x & y)
    BITWISE(BOR, SYMBOL_BOR, x | y)
    BITWISE(BXOR, SYMBOL_BXOR, x ^ y)
    BITWISE(SHL, SYMBOL_SHL, (int64_t)((uint64_t)x << (y & 63)))
    BITWISE(SHR, SYMBOL_SHR, x >> (y & 63))
    CASE(NEG)
    {
        value b = R[B];
        if (is_number(b))
            R[A] = from_double(-as_number(b));
        else
            STORE_OR_RELOAD(unary_slow(t, "-", SYMBOL_NEG, b, SLOT(A)));
        NEXT;
    }
    CASE(BNOT)
    {
        SAVE();
        R[A] = from_double(number_bitwise(t, SYMBOL_BXOR, R[B], from_int(-1)));
        NEXT;
    }
    CASE(NOT)
    {
        R[A] = from_bool(is_falsy(R[B]));
        NEXT;
    }
    CASE(JUMP)
    {
        ip += code_sax(word);
        NEXT;
    }
    CASE(LOOP)
    {
        ip += code_sax(word);
        gc_safepoint();
        NEXT;
    }
    CASE(JUMP_TRUE)
    {
        if (!is_falsy(R[A]))
            ip += code_sbx(word);
        NEXT;
    }
    CASE(JUMP_FALSE)
    {
        if (is_falsy(R[A]))
            ip += code_sbx(word);
        NEXT;
    }
    COMPARE(JUMP_LT, R[B], <, R[C], SYMBOL_LT, b, c_)
    COMPARE(JUMP_LE, R[B], <=, R[C], SYMBOL_LE, b, c_)
    COMPARE(JUMP_LTK, R[B], <, K[C], SYMBOL_LT, b, c_)
    COMPARE(JUMP_LEK, R[B], <=, K[C], SYMBOL_LE, b, c_)
    COMPARE(JUMP_GTK, R[B], >, K[C], SYMBOL_LT, c_, b)
    COMPARE(JUMP_GEK, R[B], >=, K[C], SYMBOL_LE, c_, b)
    EQUAL(JUMP_EQ, R[C])
    EQUAL(JUMP_EQK, K[C])
    CASE(LIST)
    {
        SAVE();
        R[A] = from_object(new_list(t, code_bx(word)));
        NEXT;
    }
    CASE(APPEND)
    {
        SAVE();
        list_push(t, as_object(R[A]), R[B]);
        NEXT;
    }
    CASE(MAP)
    {
        SAVE();
        R[A] = from_object(new_map(t));
        NEXT;
    }
    CASE(RANGE)
    {
        SAVE();
        if (!is_number(R[B]) || !is_number(R[B + 1]))
            throw_error(t, ERROR_TypeError, "a range goes from a number to a number");
        R[A] = from_object(new_range(t, as_number(R[B]), as_number(R[B + 1]), C));
        NEXT;
    }
    CASE(INDEX)
    {
        STORE_OR_RELOAD(index_value(t, R[B], R[C], SLOT(A)));
        NEXT;
    }
    CASE(SET_INDEX)
    {
        SAVE();
        if (GC_UNLIKELY(set_index(t, R[A], R[B], R[C])))
            RELOAD();
        NEXT;
    }
    CASE(GET_FIELD)
    {
        uint32_t name = *ip++;
        uint64_t *cache = &fn->caches[name >> 16], known = cache_load(cache);
        value object = R[B];
        if (GC_LIKELY(is_object(object) && class_id_of(object) == known >> 32)) {
            R[A] = gc_load_value(&((struct instance *)as_object(object))->fields[(uint32_t)known]);
        } else {
            SAVE();
            R[A] = get_member(t, object, as_object(K[name & 0xFFFF]), cache);
        }
        NEXT;
    }
    CASE(SET_FIELD)
    {
        uint32_t name = *ip++;
        uint64_t *cache = &fn->caches[name >> 16], known = cache_load(cache);
        value object = R[A];
        if (GC_LIKELY(is_object(object) && class_id_of(object) == known >> 32)) {
            gc_store_value(&((struct instance *)as_object(object))->fields[(uint32_t)known], R[B]);
        } else {
            SAVE();
            gc_store_value(field_place(t, object, as_object(K[name & 0xFFFF]), cache), R[B]);
        }
        NEXT;
    }
    CASE(INVOKE)
    {
        uint32_t name = *ip++;
        uint64_t *cache = &fn->caches[name >> 16], known = cache_load(cache);
        value *args = R + A, callee;
        SAVE();
        if (GC_LIKELY(class_id_of(args[0]) == known >> 32))
            callee = gc_load_value(&class_of(args[0])->methods->v[(uint32_t)known]);
        else
            callee = find_callee(t, args, as_object(K[name & 0xFFFF]), cache);
        if (GC_LIKELY(is_kind(callee, KIND_CLOSURE))) {
            push_frame(t, as_object(callee), SLOT(A), (int)B, SLOT(A), AFTER_NOTHING);
            RELOAD();
            NEXT;
        }
        if (GC_LIKELY(is_kind(callee, KIND_NATIVE))) {
            value v = call_native(t, as_object(callee), args, (int)B);
            if (v == SWITCHED)
                RELOAD();
            else
                R[A] = v;
            NEXT;
        }
        enter(t, callee, SLOT(A), (int)B, SLOT(A), AFTER_NOTHING);
        RELOAD();
        NEXT;
    }
    CASE(CALL)
    {
        value callee = R[A];
        SAVE();
        if (GC_LIKELY(is_kind(callee, KIND_CLOSURE)))
            push_frame(t, as_object(callee), SLOT(A), (int)B, SLOT(A), AFTER_NOTHING);
        else
            enter(t, callee, SLOT(A), (int)B, SLOT(A), AFTER_NOTHING);
        RELOAD();
        NEXT;
    }
    CASE(SUPER)
    {
        uint32_t name = *ip++;
        SAVE();
        value method = find_super(t, R[A], R[C], as_object(K[name & 0xFFFF]));
        enter(t, method, SLOT(A), (int)B, SLOT(A), AFTER_NOTHING);
        RELOAD();
        NEXT;
    }
    CASE(RETURN)
    {
        value v = R[A];
        if (GC_LIKELY(frame->after == AFTER_NOTHING)) {
            c->stack[frame->result] = v;
            c->nframes--;
            frame--;
            c->top = c->stack + frame->top;
        } else if (return_slow(t, v)) {
            return;
        }
        RELOAD();
        NEXT;
    }
    CASE(RETURN_NIL)
    {
        if (GC_LIKELY(frame->after == AFTER_NOTHING)) {
            c->stack[frame->result] = NIL;
            c->nframes--;
            frame--;
            c->top = c->stack + frame->top;
        } else if (return_slow(t, NIL)) {
            return;
        }
        RELOAD();
        NEXT;
    }
    CASE(CLOSURE)
    {
        SAVE();
        struct function *made = as_object(K[code_bx(word)]);
        struct closure *closure = new_closure(t, made);
        for (uint32_t i = 0; i < made->ncaptures; i++, ip++)
            closure->captures[i] = *ip & 1 ? R[*ip >> 1] : frame->closure->captures[*ip >> 1];
        R[A] = from_object(closure);
        NEXT;
    }
    CASE(CLASS)
    {
        SAVE();
        R[A] = define_class(t, K[code_bx(word)], R[A + 1]);
        NEXT;
    }
    CASE(FIELD)
    {
        SAVE();
        class_add_field(t, as_object(R[A]), as_object(K[code_bx(word)]));
        NEXT;
    }
    CASE(METHOD)
    {
        SAVE();
        class_add_method(t, as_object(R[A]), as_object(K[code_bx(word)]), R[A + 1]);
        NEXT;
    }
    CASE(STATIC)
    {
        SAVE();
        struct class *meta = ((struct class *)as_object(R[A]))->meta;
        class_add_method(t, meta, as_object(K[code_bx(word)]), R[A + 1]);
        NEXT;
    }
    CASE(THROW)
    {
        SAVE();
        throw_value(t, R[A]);
    }
    CASE(TO_STRING)
    {
        STORE_OR_RELOAD(to_string(t, R[B], SLOT(A)));
        NEXT;
    }
    CASE(CONCAT)
    {
        SAVE();
        R[A] = concat(t, R + A, (int)B);
        NEXT;
    }
    CASE(FOR_START)
    {
        SAVE();
        if (!is_number(R[A]) || !is_number(R[A + 1]))
            throw_error(t, ERROR_TypeError, "a range goes from a number to a number");
        double from = as_number(R[A]), to = as_number(R[A + 1]);
        R[A + 2] = R[A];
        ip += (C ? from <= to : from < to) ? 1 : 1 + (int32_t)*ip;
        NEXT;
    }
    CASE(FOR_STEP)
    {
        double at = as_number(R[A]) + 1, to = as_number(R[A + 1]);
        R[A] = from_double(at);
        if (C ? at <= to : at < to) {
            R[A + 2] = R[A];
            ip += 1 + (int32_t)*ip;
            gc_safepoint();
        } else {
            ip++;
        }
        NEXT;
    }
    CASE(ITERATE)
    {
        SAVE();
        if (iterate(t, R + A))
            RELOAD();
        NEXT;
    }
    CASE(NEXT)
    {
        SAVE();
        if (next(t, frame, R + A))
            RELOAD();
        else
            ip = frame->ip;
        NEXT;
    }
    CASE(IS)
    {
        SAVE();
        if (!is_kind(R[C], KIND_CLASS))
            throw_error(t, ERROR_TypeError, "'is' needs a class, not %s", class_name_of(R[C]));
        R[A] = from_bool(is_subclass(class_of(R[B]), as_object(R[C])));
        NEXT;
    }
    CASE(IMPORT)
    {
        SAVE();
        if (import(t, frame, K[code_bx(word)], &R[A]))
            RELOAD();
        NEXT;
    }
}

bool vm_run(struct thread *t, value callee, const value *args, int n)
{
    struct trap trap;
    bool runs = true;
    if (setjmp(*trap_set(t, &trap)))
        runs = unwind(t);
    else
        runs = vm_push_call(t, callee, NIL, args, n, 0, AFTER_END);
    if (runs)
        run(t);
    else if (gc_load_value(&t->roots[ROOT_ERROR]) == NIL)
        thread_root_set(t, ROOT_TRANSFER, t->main.stack[0]); /* a native, at once */
    trap_clear(t, &trap);
    return gc_load_value(&t->roots[ROOT_ERROR]) == NIL;
}
