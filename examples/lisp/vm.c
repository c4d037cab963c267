/* vm.c: the machine that runs what compile.c makes, and errors.
 * SPDX-License-Identifier: MIT
 *
 * The stack is memory of our own, a root range: what lies below vm.sp when this thread comes to a
 * safepoint is alive. So everything here that may allocate is preceded by SAVE(). Saved pcs and
 * fps are kept as integers, which the collector passes over. A call's frame, upwards: the caller's
 * pc (#f: leave the machine), its fp, the procedure, the arguments.
 */
#include "lisp.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

enum { STACK_WORDS = 8 << 20, STACK_SPARE = 64 << 10, C_STACK_SPARE = 512 << 10 };
enum { RUN_ERROR = 1, RUN_RESUME };

/* One call of vm_apply(). Those of macros are nested in others. */
struct run {
    jmp_buf env;
    struct run *outer;
    uint64_t id; /* 0 for the outermost: at a prompt they may enter one another's continuations */
    const struct insn *pc; /* what the machine was at */
    value *fp;
    struct gc_frame *frames;
};

struct machine vm;
struct registers reg;
const struct builtin *inlined[OP_COUNT];
static char *c_stack_low;
static uint64_t runs;

/* ---- Errors --------------------------------------------------------------------------------- */

/* Where the program is: the innermost call that does not lie in the prelude. */
struct place where(void)
{
    const struct insn *pc = vm.pc;
    for (const value *fp = vm.fp; fp; fp = vm.stack + fixnum_value(fp[-2])) {
        if (pc && pc[-1].file && pc[-1].line)
            return (struct place){(uint16_t)pc[-1].file, pc[-1].line};
        if (fp[-3] == FALSE)
            break;
        pc = (const struct insn *)(uintptr_t)fixnum_value(fp[-3]);
    }
    return (struct place){0, 0};
}

static const char *name_of(value procedure)
{
    const struct code *code =
        is(procedure, T_CLOSURE) ? (struct code *)((struct closure *)procedure)->code : NULL;
    return code && is(code->name, T_SYMBOL) ? ((struct symbol *)code->name)->name : "lambda";
}

/* For profiles of who allocates. */
size_t vm_tell_frames(void *unused, struct gc_profile_frame *frames, size_t n)
{
    const struct insn *pc = vm.pc;
    size_t count = 0;
    (void)unused;
    for (const value *fp = vm.fp; fp && count < n; fp = vm.stack + fixnum_value(fp[-2])) {
        bool placed = pc && pc[-1].file && pc[-1].line;
        frames[count++] = (struct gc_profile_frame){
            name_of(fp[-1]), placed ? file_name((uint16_t)pc[-1].file) : NULL,
            placed ? pc[-1].line : 0};
        if (fp[-3] == FALSE)
            break;
        pc = (const struct insn *)(uintptr_t)fixnum_value(fp[-3]);
    }
    return count;
}

_Noreturn void throw_condition(value condition)
{
    gc_store(&reg.error, condition);
    if (vm.run)
        longjmp(vm.run->env, RUN_ERROR);
    longjmp(vm.top, TOP_ERROR);
}

static _Noreturn void fail_list(struct place place, value irritant, const char *format,
                                va_list args)
{
    char text[512];
    GC_FRAME(irritant);
    vsnprintf(text, sizeof text, format, args);
    value irritants = irritant ? cons(irritant, NIL) : NIL;
    GC_FRAME(irritants);
    value condition = make_condition(make_text(text), irritants);
    condition->file = place.file;
    condition->line = place.line;
    throw_condition(condition);
}

_Noreturn void fail(value irritant, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_list(where(), irritant, format, args);
}

_Noreturn void fail_at(struct place place, value irritant, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fail_list(place.line ? place : where(), irritant, format, args);
}

/* To the prompt. */
_Noreturn void uncaught(value v)
{
    if (!is(v, T_CONDITION)) {
        struct place place = where();
        v = cons(v, NIL);
        GC_FRAME(v);
        v = make_condition(make_text("uncaught:"), v);
        v->file = place.file;
        v->line = place.line;
    }
    gc_store(&reg.error, v);
    longjmp(vm.top, TOP_ERROR);
}

_Noreturn void out_of_memory(void)
{
    struct place place = where();
    if (!reg.memory_error) {
        fputs("lisp: out of memory\n", stderr);
        exit(EXIT_FAILURE);
    }
    reg.memory_error->file = place.file;
    reg.memory_error->line = place.line;
    throw_condition(reg.memory_error);
}

bool is_stack_low(void)
{
    return (char *)__builtin_frame_address(0) < c_stack_low;
}

void check_stack(void)
{
    if (is_stack_low())
        fail(NULL, "nested too deeply");
}

void check_interrupt(void)
{
    gc_safepoint();
    if (vm.interrupted) {
        vm.interrupted = 0;
        fail(NULL, "interrupted");
    }
}

/* An error handler gets the spare room of the stack; if that is not enough, the prompt does. */
static _Noreturn void stack_overflow(void)
{
    bool spare = vm.limit < vm.end;
    vm.limit = vm.end;
    if (!spare)
        vm.run = NULL;
    fail(NULL, "recursion too deep");
}

/* ---- Calls ---------------------------------------------------------------------------------- */

static value call_builtin(const struct builtin *builtin, int argc, value *argv)
{
    if (argc < builtin->min || (builtin->max >= 0 && argc > builtin->max))
        fail(NULL, "%s: wrong number of arguments: %d", builtin->name, argc);
    vm.callee = builtin;
    return builtin->call(argc, argv);
}

static _Noreturn void wrong_count(const struct code *code, int argc)
{
    bool named = is(code->name, T_SYMBOL);
    uint32_t wanted = code->params - code->rest;
    fail(NULL, "%s: wants %s%u argument%s, got %d",
         named ? ((struct symbol *)code->name)->name : "lambda", code->rest ? "at least " : "",
         wanted, wanted == 1 ? "" : "s", argc);
}

/* Checks the number of arguments at the top of the stack; makes a list of the rest. */
static void adjust_arguments(const struct code *code, int argc)
{
    int last = (int)code->params - 1;
    value *argv = vm.sp - argc;
    if (!code->rest || argc < last)
        wrong_count(code, argc);
    if (argc == last)
        *vm.sp++ = NIL;
    for (int i = argc - 1; i >= last; i--)
        argv[i] = cons(argv[i], i == argc - 1 ? NIL : argv[i + 1]);
    vm.sp = argv + code->params;
}

/* apply, whose frame is at fp: its procedure takes its place. Returns the number of arguments. */
static int spread_arguments(value *fp)
{
    value list = fp[1];
    int argc = 0;
    fp[-1] = fp[0];
    for (; is_pair(cdr(list)); list = cdr(list))
        fp[argc++] = car(list);
    list = car(list);
    if (list_length(list) < 0)
        fail(list, "apply: not a list:");
    for (; list != NIL; list = cdr(list)) {
        if (fp + argc >= vm.limit)
            stack_overflow();
        fp[argc++] = car(list);
    }
    return argc;
}

static bool is_active(uint64_t id)
{
    struct run *run = vm.run;
    while (run && run->id != id)
        run = run->outer;
    return run;
}

static value *restore_stack(const struct continuation *k)
{
    memcpy(vm.stack, k->items, k->length * sizeof *k->items);
    vm.limit = vm.end - STACK_SPARE;
    return vm.stack + k->length + 1;
}

/* Leaves the runs inside the one that k belongs to. */
static _Noreturn void leave_runs(value k, value result)
{
    uint64_t id = ((struct continuation *)k)->run;
    if (!is_active(id))
        fail(NULL, "this continuation's evaluation is over");
    while (vm.run->id != id)
        vm.run = vm.run->outer;
    gc_store(&reg.resumed, k);
    gc_store(&reg.resumed_with, result);
    longjmp(vm.run->env, RUN_RESUME);
}

/* ---- The machine ---------------------------------------------------------------------------- */

#define SAVE() (vm.sp = sp, vm.fp = fp, vm.pc = pc)
#define PUSH(v) (*sp++ = (v))
#define SYMBOL(i) ((struct symbol *)constants[i])
#define BOX(v) (((struct box *)(v))->content)
#define ENTER(v_)                                                                                  \
    do {                                                                                           \
        self = (struct closure *)(v_);                                                             \
        code = (struct code *)self->code;                                                          \
        constants = ((struct vector *)code->constants)->items;                                     \
    } while (0)

/* A comparison or sum of two integers; all else is left to the builtin. */
#define COMPARE(operator)                                                                          \
    if (!both_fixnums(sp[-2], sp[-1]))                                                             \
        goto slow;                                                                                 \
    sp--;                                                                                          \
    sp[-1] = boolean(fixnum_value(sp[-1]) operator fixnum_value(sp[0]))

static bool sum_fits(int64_t n)
{
    return n >= FIXNUM_MIN && n <= FIXNUM_MAX;
}

/* Calls the procedure below the topmost argc words of the stack; argc < 0: returns `result` from
 * the frame at vm.fp instead. Goes on until a frame without a caller returns. */
static value execute(int argc, value result)
{
    value *sp = vm.sp, *fp = vm.fp, *constants = NULL;
    const struct insn *pc = vm.pc;
    const struct builtin *builtin;
    struct closure *self = NULL;
    struct code *code = NULL;
    struct insn in;
    value v;
    int64_t n;
    if (argc < 0)
        goto deliver;
    goto enter;

    for (;;) {
        in = *pc++;
        switch ((enum op)in.op) {
        case OP_CONST:
            PUSH(constants[in.arg]);
            break;
        case OP_LOCAL:
            PUSH(fp[in.arg]);
            break;
        case OP_LOCAL_BOX:
            v = BOX(fp[in.arg]);
            if (v == UNDEFINED)
                goto undefined;
            PUSH(v);
            break;
        case OP_FREE:
            PUSH(self->free[in.arg]);
            break;
        case OP_FREE_BOX:
            v = BOX(self->free[in.arg]);
            if (v == UNDEFINED)
                goto undefined;
            PUSH(v);
            break;
        case OP_GLOBAL:
            v = SYMBOL(in.arg)->global;
            if (!v)
                goto unbound;
            PUSH(v);
            break;
        case OP_SET_LOCAL:
            fp[in.arg] = sp[-1];
            sp[-1] = VOID;
            break;
        case OP_SET_LOCAL_BOX:
            gc_store(&BOX(fp[in.arg]), sp[-1]);
            sp[-1] = VOID;
            break;
        case OP_SET_FREE_BOX:
            gc_store(&BOX(self->free[in.arg]), sp[-1]);
            sp[-1] = VOID;
            break;
        case OP_SET_GLOBAL:
            if (!SYMBOL(in.arg)->global)
                goto unbound;
            gc_store(&SYMBOL(in.arg)->global, sp[-1]);
            sp[-1] = VOID;
            break;
        case OP_DEFINE:
            SAVE();
            define(constants[in.arg], sp[-1]);
            sp[-1] = VOID;
            break;
        case OP_BOX:
            SAVE();
            fp[in.arg] = make_box(fp[in.arg]);
            break;
        case OP_CHECK:
            if (sp[-1] == UNDEFINED)
                goto undefined;
            break;
        case OP_POP:
            sp--;
            break;
        case OP_SLIDE:
            sp[-1 - (int)in.arg] = sp[-1];
            sp -= in.arg;
            break;
        case OP_JUMP:
            pc = code->insns + in.arg;
            break;
        case OP_JUMP_FALSE:
            if (*--sp == FALSE)
                pc = code->insns + in.arg;
            break;
        case OP_CLOSURE:
            SAVE();
            v = make_closure(constants[in.arg]);
            n = ((struct code *)constants[in.arg])->free;
            sp -= n;
            memcpy(((struct closure *)v)->free, sp, (size_t)n * sizeof v);
            PUSH(v);
            break;
        case OP_FRAME:
            sp += 2;
            sp[-1] = sp[-2] = FALSE; /* filled in by OP_CALL */
            break;
        case OP_CALL:
            argc = (int)in.arg;
            v = sp[-argc - 1];
            if (is(v, T_BUILTIN)) {
                SAVE();
                v = call_builtin((struct builtin *)v, argc, sp - argc);
                sp -= argc + 3;
                PUSH(v);
                break;
            }
            sp[-argc - 3] = fixnum((intptr_t)pc);
            sp[-argc - 2] = fixnum(fp - vm.stack);
            goto enter;
        case OP_TAIL_CALL:
            argc = (int)in.arg;
            memmove(fp - 1, sp - argc - 1, (size_t)(argc + 1) * sizeof *sp);
            sp = fp + argc;
            goto enter;
        case OP_RETURN:
            result = sp[-1];
            goto deliver;
        case OP_APPLY:
            SAVE();
            argc = spread_arguments(fp);
            sp = fp + argc;
            goto enter;
        case OP_CALLCC:
            SAVE();
            v = make_continuation(vm.stack, (size_t)(fp - 1 - vm.stack), vm.run->id);
            fp[-1] = fp[0];
            fp[0] = v;
            argc = 1;
            goto enter;
        case OP_CAR:
            if (!is_pair(sp[-1]))
                goto slow;
            sp[-1] = car(sp[-1]);
            break;
        case OP_CDR:
            if (!is_pair(sp[-1]))
                goto slow;
            sp[-1] = cdr(sp[-1]);
            break;
        case OP_CONS:
            SAVE();
            v = cons(sp[-2], sp[-1]);
            *--sp = v;
            sp[-1] = v;
            break;
        case OP_NULL:
            sp[-1] = boolean(sp[-1] == NIL);
            break;
        case OP_PAIR:
            sp[-1] = boolean(is_pair(sp[-1]));
            break;
        case OP_NOT:
            sp[-1] = boolean(sp[-1] == FALSE);
            break;
        case OP_EQ:
            sp--;
            sp[-1] = boolean(sp[-1] == sp[0]);
            break;
        case OP_ADD:
            n = fixnum_value(sp[-2]) + fixnum_value(sp[-1]);
            if (!both_fixnums(sp[-2], sp[-1]) || !sum_fits(n))
                goto slow;
            sp--;
            sp[-1] = fixnum(n);
            break;
        case OP_SUB:
            n = fixnum_value(sp[-2]) - fixnum_value(sp[-1]);
            if (!both_fixnums(sp[-2], sp[-1]) || !sum_fits(n))
                goto slow;
            sp--;
            sp[-1] = fixnum(n);
            break;
        case OP_EQUALS:
            COMPARE(==);
            break;
        case OP_LESS:
            COMPARE(<);
            break;
        case OP_GREATER:
            COMPARE(>);
            break;
        case OP_AT_MOST:
            COMPARE(<=);
            break;
        case OP_AT_LEAST:
            COMPARE(>=);
            break;
        case OP_VECTOR_REF:
            if (!is(sp[-2], T_VECTOR) || !is_fixnum(sp[-1]) ||
                (uint64_t)fixnum_value(sp[-1]) >= ((struct vector *)sp[-2])->length)
                goto slow;
            sp--;
            sp[-1] = ((struct vector *)sp[-1])->items[fixnum_value(sp[0])];
            break;
        case OP_COUNT:
        slow:
            builtin = inlined[in.op];
            SAVE();
            v = call_builtin(builtin, builtin->op_argc, sp - builtin->op_argc);
            sp -= builtin->op_argc;
            PUSH(v);
            break;
        }
        continue;

    enter: /* sp[-argc - 1] is called; the two words below it say where to return */
        SAVE();
        check_interrupt();
        v = sp[-argc - 1];
        if (is(v, T_CLOSURE)) {
            ENTER(v);
            if (argc != (int)code->params || code->rest) {
                adjust_arguments(code, argc);
                sp = vm.sp;
            }
            if (sp + code->room > vm.limit)
                stack_overflow();
            fp = sp - code->params;
            pc = code->insns;
            continue;
        }
        if (is(v, T_BUILTIN)) {
            result = call_builtin((struct builtin *)v, argc, sp - argc);
            fp = sp - argc;
        } else if (is(v, T_CONTINUATION) && argc == 1) {
            result = sp[-1];
            if (((struct continuation *)v)->run != vm.run->id)
                leave_runs(v, result);
            fp = restore_stack((struct continuation *)v);
        } else {
            fail(v, "not a procedure:");
        }

    deliver: /* the procedure whose frame is at fp returns `result` */
        v = fp[-3];
        sp = fp - 3;
        fp = vm.stack + fixnum_value(fp[-2]);
        if (v == FALSE) {
            vm.sp = sp;
            vm.fp = fp;
            return result;
        }
        pc = (const struct insn *)(uintptr_t)fixnum_value(v);
        ENTER(fp[-1]);
        PUSH(result);
    }
unbound:
    SAVE();
    fail(constants[in.arg], "unbound variable:");
undefined:
    SAVE();
    fail(NULL, "a variable is used before its definition");
}

/* ---- Runs ----------------------------------------------------------------------------------- */

static void push_frame(value pc, value procedure)
{
    *vm.sp++ = pc;
    *vm.sp++ = fixnum(vm.fp ? vm.fp - vm.stack : 0);
    *vm.sp++ = procedure;
}

/* Calls (raise error) where the error occurred. */
static value execute_raise(void)
{
    value raise = ((struct symbol *)symbol("raise"))->global;
    if (!raise || vm.sp + 8 > vm.end)
        uncaught(reg.error);
    push_frame(fixnum((intptr_t)vm.pc), raise);
    *vm.sp++ = reg.error;
    return execute(1, NULL);
}

static value execute_resume(void)
{
    value result = reg.resumed_with;
    vm.fp = restore_stack((struct continuation *)reg.resumed);
    gc_store(&reg.resumed, NULL);
    gc_store(&reg.resumed_with, NULL);
    return execute(-1, result);
}

/* Calls a procedure with a list of arguments. No GC_FRAME here: errors land in the middle. */
value vm_apply(value procedure, value arguments)
{
    struct run run = {.outer = vm.run, .pc = vm.pc, .fp = vm.fp, .frames = gc_frame_mark()};
    const int argc = (int)list_length(arguments);
    value result;
    check_stack();
    if (vm.sp + argc + 8 > vm.limit)
        stack_overflow();
    push_frame(FALSE, procedure);
    for (; is_pair(arguments); arguments = cdr(arguments))
        *vm.sp++ = car(arguments);
    gc_safepoint(); /* GCHEAP_DEBUG=roots clears what is left of the list on the C stack */
    run.id = vm.run ? ++runs : 0;
    vm.run = &run;
    switch (setjmp(run.env)) {
    case RUN_ERROR:
        gc_frame_reset(run.frames);
        result = execute_raise();
        break;
    case RUN_RESUME:
        gc_frame_reset(run.frames);
        result = execute_resume();
        break;
    default:
        result = execute(argc, NULL);
    }
    vm.run = run.outer;
    vm.pc = run.pc;
    vm.fp = run.fp;
    return result;
}

/* Defines a procedure that is one instruction. */
static void define_instruction(const char *name, enum op op, uint32_t params, bool rest)
{
    value constants = make_vector(0, NULL), code_value = NULL;
    GC_FRAME(constants, code_value);
    struct code *code = (struct code *)make_code();
    code_value = &code->head;
    code->name = FALSE;
    code->constants = constants;
    struct insn *insns = gc_new_bytes(sizeof *insns);
    if (!insns)
        out_of_memory();
    *insns = (struct insn){.op = op & 0xff};
    gc_store(&code->insns, insns);
    gc_store(&code->name, symbol(name));
    code->params = params;
    code->rest = rest;
    code->room = params + 1;
    define(code->name, make_closure(code_value));
}

static void find_c_stack(void)
{
    struct rlimit limit;
    size_t size = 8 << 20;
    if (getrlimit(RLIMIT_STACK, &limit) == 0 && limit.rlim_cur < 64 << 20)
        size = (size_t)limit.rlim_cur;
    c_stack_low = (char *)__builtin_frame_address(0) - size + C_STACK_SPARE;
}

void vm_init(void)
{
    find_c_stack();
    vm.stack = malloc(STACK_WORDS * sizeof *vm.stack);
    if (!vm.stack)
        out_of_memory();
    vm.end = vm.stack + STACK_WORDS;
    vm.sp = vm.stack;
    gc_thread_range(vm.stack, &vm.sp);
    gc_root_range(&reg, sizeof reg / sizeof(value));
    gc_store(&reg.globals, NIL);
    gc_store(&reg.memory_error, make_condition(make_text("out of memory"), NIL));
    gc_store(&reg.quote, symbol("quote"));
    gc_store(&reg.quasiquote, symbol("quasiquote"));
    gc_store(&reg.unquote, symbol("unquote"));
    gc_store(&reg.unquote_splicing, symbol("unquote-splicing"));
    gc_store(&reg.syntax_rules, symbol("syntax-rules"));
    gc_store(&reg.ellipsis, symbol("..."));
    gc_store(&reg.underscore, symbol("_"));
    gc_store(&reg.input, make_port(PORT_INPUT, stdin, port_fill_line));
    gc_store(&reg.output, make_port(PORT_OUTPUT, stdout, NULL));
    gc_store(&reg.errors, make_port(PORT_OUTPUT, stderr, NULL));
    define_instruction("apply", OP_APPLY, 2, true);
    define_instruction("%call/cc", OP_CALLCC, 1, false);
    vm_reset();
}

/* After an error has come to the prompt. */
void vm_reset(void)
{
    vm.sp = vm.stack;
    vm.limit = vm.end - STACK_SPARE;
    vm.fp = NULL;
    vm.pc = NULL;
    vm.run = NULL;
    vm.interrupted = 0;
    define(symbol("%handlers"), NIL);
    define(symbol("%winders"), NIL);
}

void vm_end(void)
{
    gc_thread_range_remove(vm.stack);
    gc_unroot(&reg);
    free(vm.stack);
}
