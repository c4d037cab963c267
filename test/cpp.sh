#!/usr/bin/env bash
# gcheap.hpp: what must work does, and what must not compile does not, for the reason expected.
. test/tap.bash

cat >"$scratch/node.hpp" <<'CPP'
#include "gcheap.hpp"
struct node {
    gc::ref<node> left, right;
    long value = 0;
    node() = default;
    node(long v, gc::root<node> &l, gc::root<node> &r) : left(l), right(r), value(v) {}
    static constexpr auto gc_fields = gc::fields(&node::left, &node::right);
};
inline long sum(const node *n) { return n ? n->value + sum(n->left) + sum(n->right) : 0; }
CPP
echo '#include "node.hpp"' >"$scratch/node.cpp"
cat >"$scratch/works.cpp" <<'CPP'
#include "node.hpp"
#include <cstdio>
#include <thread>
#include <vector>
struct leaf {
    double x = 1.5;
    static constexpr auto gc_fields = gc::fields();
};
struct child : node {
    gc::ref<leaf> extra;
    static constexpr auto gc_fields = gc::fields(&child::left, &child::right, &child::extra);
};
static int closed;
struct file {
    long fd[4] = {3};
    file() { gc_cleanup_add(this, [](void *) { closed++; }, nullptr); }
    ~file() { closed += 1000; }
    static constexpr auto gc_fields = gc::fields();
    static constexpr bool gc_cleanup = true;
};
static node *tree(int depth)
{
    gc::root<node> l, r;
    if (depth > 0) {
        l = tree(depth - 1);
        r = tree(depth - 1);
    }
    return gc::make<node>(1, l, r);
}
#define EXPECT(x) ((x) ? (void)0 : (std::printf("%d: %s\n", __LINE__, #x), std::exit(1)))
int main()
{
    gc_options options = {};
    options.debug = "nth=7,poison";
    gc::heap heap(options);
    gc::root<node> top(tree(8));
    EXPECT(sum(top) == 511);
    gc::global_root<node> global;
    global = tree(3);
    gc::handle<node> handle(tree(4));
    std::vector<gc::handle<node>> many;
    for (int i = 0; i < 10; i++)
        many.emplace_back(tree(2));
    gc::root<child> c(gc::make<child>());
    c->extra = gc::make<leaf>();
    c->left = top;
    top->right = nullptr;
    top->right = top->left;
    EXPECT(top->left.compare_exchange(top->left, nullptr) && !top->left);
    (void)gc::make<file>();
    gc_collect();
    gc_collect();
    gc_finalizers_run(0);
    EXPECT(closed == 1);
    EXPECT(sum(top) == 256 && sum(global) == 15 && sum(handle) == 31 && c->extra->x == 1.5);
    for (auto &h : many)
        EXPECT(sum(h) == 7);
    std::thread other([&] {
        gc::thread attached(heap);
        gc::root<node> mine(tree(6));
        EXPECT(sum(mine) == 127 && sum(global) == 15);
    });
    {
        gc::blocking region;
        other.join();
    }
    try {
        gc::root<node> kept(tree(2));
        throw 1;
    } catch (int) {
    }
    EXPECT(gc_frame_mark() != nullptr && gc_heap_verify() == 0);
}
CPP
cat >"$scratch/names.cpp" <<'CPP'
#include "node.hpp"
#include <cstring>
namespace place {
class hidden {
    gc::ref<node> secret;
    gc::ref<hidden> other;
  public:
    static constexpr auto gc_fields = gc::fields(&hidden::secret, &hidden::other);
};
template <class T> struct box {
    long before = 0;
    gc::ref<T> content;
    static constexpr auto gc_fields = gc::fields(&box::content);
};
struct child : node {
    gc::ref<node> extra;
    static constexpr auto gc_fields = gc::fields(&child::left, &child::extra);
};
struct none {
    long x;
    static constexpr auto gc_fields = gc::fields();
};
}
static bool has(const gc_type *type, const char *name, const char *fields)
{
    return !std::strcmp(type->name, name) && (fields ? type->fields && !std::strcmp(type->fields, fields) : !type->fields);
}
int main()
{
    gc_type *of_box = gc::type_of<place::box<node>>();
    bool right = has(gc::type_of<node>(), "node", "left;right;") && of_box->field_words[0] == 1 &&
                 gc::type_of<node>()->field_words[1] == 1 && has(of_box, "place::box<node>", "content;") &&
                 has(gc::type_of<place::hidden>(), "place::hidden", "secret;other;") &&
                 has(gc::type_of<place::child>(), "place::child", "left;extra;") &&
                 has(gc::type_of<place::none>(), "place::none", nullptr);
    if (!right)
        return 1;
    gc_options options = {};
    options.debug = "types";
    gc::heap heap(options);
    gc::root<node> top(gc::make<node>());
    top->right = gc::make<node>();
    gc_path(top->right, nullptr, nullptr);
}
CPP
names() {
    cxx -O1 -g $SANFLAGS -pthread -o "$scratch/names" "$scratch/names.cpp" "$BUILD/libgcheap.a" \
        $(pkg-config --libs liburcu-cds) && "$scratch/names" 2>"$scratch/names.said" &&
        grep -qE '^gcheap:   node\.right at 0x' "$scratch/names.said" || { cat "$scratch/names.said" && return 1; }
}

cxx() { $CXX -std=c++17 -Wall -Wextra -Wconversion -Wshadow -Wundef -pedantic -Werror -I. -Isrc/api "$@"; }
works() { # FLAG…
    cxx "$@" -O1 -g $SANFLAGS -pthread -o "$scratch/works" "$scratch/works.cpp" "$BUILD/libgcheap.a" \
        $(pkg-config --libs liburcu-cds) && "$scratch/works"
}
# refused TEXT CODE: the code does not compile in a function, and the compiler says TEXT.
refused() {
    local said
    printf '#include "node.hpp"\n%s\n' "$3" >"$scratch/no.cpp"
    printf 'void f(gc::root<node> &a, node *b);\nvoid f(gc::root<node> &a, node *b) { (void)a, (void)b; %s }\n' \
        "$2" >>"$scratch/no.cpp"
    if said=$(cxx -fsyntax-only "$scratch/no.cpp" 2>&1); then
        echo "it compiles" && return 1
    fi
    grep -qE -- "$1" <<<"$said" || { echo "$said" && return 1; }
}
accepted() { printf '#include "node.hpp"\nvoid f(gc::root<node> &a, node *b);\nvoid f(gc::root<node> &a, node *b) { %s }\n' "$1" >"$scratch/yes.cpp" &&
    cxx -fsyntax-only "$scratch/yes.cpp"; }
c_ref() { # EXPECTED STORE: yes, or what the compiler says; a warning will do
    printf '%s\n' '#include "gcheap.h"' 'struct s { GC_REF(int) p; };' 'void f(struct s *s, int *v);' \
        "void f(struct s *s, int *v) { $2; }" >"$scratch/ref.c"
    if said=$($CC -std=c11 -Werror -I. -fsyntax-only "$scratch/ref.c" 2>&1); then
        [[ $1 == yes ]]
    else
        [[ $1 != yes ]] && grep -qE -- "$1" <<<"$said" || { echo "$said" && return 1; }
    fi
}

# An exception that goes through C code with a GC_FRAME, compiled with FLAG…: the frame ends, or that it
# did not is told once, and the program goes on.
cat >"$scratch/middle.c" <<'C'
#include "gcheap.h"
void middle(void (*fn)(void));
void middle(void (*fn)(void))
{
    void *object = gc_new(&gc_pointer_type);
    GC_FRAME(object);
    fn();
    gc_keep_alive(object);
}
C
cat >"$scratch/throws.cpp" <<'CPP'
#include "node.hpp"
extern "C" void middle(void (*fn)(void));
static void thrower() { throw 1; }
static void once()
{
    gc::root<node> kept(gc::make<node>());
    try {
        middle(thrower);
    } catch (int) {
    }
}
int main()
{
    gc::heap heap;
    for (int i = 0; i < 10000; i++)
        once();
    return gc_frame_mark() != nullptr;
}
CPP
throws() { # LINES FLAG…: so many lines are told when the C code is compiled with the flags
    local lines=$1
    shift
    # $CC may be a compiler with flags.
    # shellcheck disable=SC2086
    $CC -std=c11 -O1 -g $SANFLAGS -I. "$@" -c -o "$scratch/middle.o" "$scratch/middle.c" &&
        cxx -O1 -g $SANFLAGS -pthread -o "$scratch/throws" "$scratch/throws.cpp" "$scratch/middle.o" \
            "$BUILD/libgcheap.a" $(pkg-config --libs liburcu-cds) || return 1
    "$scratch/throws" 2>"$scratch/throws.said"
    local status=$? told
    told=$(grep -c 'exception through C code compiled without -fexceptions' "$scratch/throws.said")
    # A debug build names the rule and aborts.
    [[ $told == "$lines" && ($status == 0 || ($lines == 1 && $BUILD == *-debug)) ]] ||
        { head -3 "$scratch/throws.said" && echo "status $status, told $told times" && return 1; }
}

# Three programs as people write them, under switches.
idioms() { # SWITCHES
    # $SANFLAGS and what pkg-config says are lists of words.
    # shellcheck disable=SC2046,SC2086
    [[ -x $scratch/idioms ]] || cxx -O1 -g $SANFLAGS -pthread -o "$scratch/idioms" test/outside/idioms.cpp \
        "$BUILD/libgcheap.a" $(pkg-config --libs liburcu-cds) || return 1
    GCHEAP_DEBUG=$1 "$scratch/idioms" >"$scratch/idioms.out" || return 1
    diff - "$scratch/idioms.out" <<'TEXT'
1 + 2 * x = 7
(1 + 2) * (x - 1) = 6
1 / zero: division by zero
2 * y: y
(1 + 2: a parenthesis is open
1 +: at ""
7 7: at ""
no frame is open
aac 60
abac 60
abbc 60
51 words, 52 kept, 51 in the list, 3031 times
the best: 60
each once, all sound
TEXT
}

check 'a program works' works
check 'types and fields have names' names
check 'formulas, words and threads' idioms ''
check 'and collects often' idioms nth=300,poison
check 'and marks while it stores' idioms nth=1000,stay=16,checkmark
check 'and has no plain store' idioms stores
check 'an exception through C code ends its frames' throws 0 -fexceptions
check 'without -fexceptions it does not, which is told once' throws 1 -fno-exceptions -fasynchronous-unwind-tables
check 'and without exceptions compiles' cxx -fno-exceptions -fsyntax-only "$scratch/node.cpp"
check 'an assignment to a ref compiles' accepted 'a->left = b; a->right = a; a->left = a->right; b = a->left;'
check 'a raw store to a ref does not' refused 'private' 'a->left.value_ = b;' ''
check 'nor one through a pointer to it' refused 'cannot convert|incompatible|cannot initialize|no known conversion|not allowed' 'node **p = &a->left; *p = b;' ''
check 'nor a swap of refs' refused 'deleted|no matching function' 'std::swap(a->left, a->right);' ''
check 'nor a copy of an object' refused 'deleted' 'node copy(*a); (void)copy;' ''
[[ $(basename "${CXX%% *}") == clang* ]] || check 'nor a memcpy over one, with warnings' refused 'memcpy|nontrivially|non-trivial' 'std::memcpy(b, a.get(), sizeof *b);' '#include <cstring>'
check 'nor is there a vector of refs' refused 'use gc::vector or gc::handle' 'std::vector<gc::ref<node>> v(3); (void)v;' '#include <vector>'
check 'nor one of roots' refused 'use gc::vector or gc::handle' 'std::vector<gc::root<node>> v; v.emplace_back(a);' '#include <vector>'
check 'a vector of items compiles' accepted 'gc::vector<node> v; v.push_back(b); v.push_back(a); v.push_back(a->left); a->left = v[0]; a = v.back(); v[0] = nullptr; v.erase(v.begin());'
check 'a root is no heap object' refused 'deleted' 'auto *r = new gc::root<node>; (void)r;' ''
check 'nor is it copied' refused 'deleted' 'gc::root<node> c(a); gc::root<node> d = c; (void)d;' ''
check 'a bare pointer is no argument of make' refused 'pass a gc::root' 'auto *x = gc::make<holder>(b); (void)x;' \
    'struct holder { gc::ref<node> n; holder(node *p) : n(p) {} static constexpr auto gc_fields = gc::fields(&holder::n); };'
check 'a type without gc_fields is refused' refused 'says which of its members are references' 'auto *x = gc::make<bare>(); (void)x;' 'struct bare { int i; };'
check 'a raw pointer is no field' refused 'members of type gc::ref' '' \
    'struct raw { node *n; static constexpr auto gc_fields = gc::fields(&raw::n); };'
check 'a destructor needs a cleanup' refused 'gc_cleanup_add' 'auto *x = gc::make<d>(); (void)x;' \
    'struct d { ~d() {} static constexpr auto gc_fields = gc::fields(); };'
check 'C: GC_SET compiles' c_ref yes 'GC_SET(&s->p, v)'
check 'C: a raw store to a GC_REF does not' c_ref 'incompatible|assign to|read-only' 's->p = v'
check 'C: nor one to what is in it' c_ref 'read-only|const' 's->p.gc_ref_value = v'
check 'C: nor a value of another type' c_ref 'distinct pointer types|incompatible' 'GC_SET(&s->p, (long *)v)'
done_testing
