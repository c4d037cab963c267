/* Three programs in C++ as people write them, on a heap: an interpreter of formulas, with virtual
 * functions, exceptions and variants; an index of words, with containers and algorithms; threads
 * that share a stack and a queue. Each prints what it found; test/cpp.sh knows what. */
#include "gcheap.hpp"
#include <algorithm>
#include <cctype>
#include <cstdio>
#include <cstring>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <unordered_map>
#include <variant>
#include <vector>

/* ---- Formulas: a class for each kind of node, a parser that throws ---- */

namespace formulas
{

using scope = std::map<std::string, double>;

struct node {
    virtual double value(const scope &names) const = 0;
    static constexpr auto gc_fields = gc::fields();

  protected:
    ~node() = default;
};

struct number final : node {
    double n;
    explicit number(double v) : n(v) {}
    double value(const scope &) const override { return n; }
};

/* A string that an object owns: its constructor asks for what a destructor would do. */
struct name final : node {
    const std::string *text;
    explicit name(const std::string &s) : text(new std::string(s))
    {
        const auto drop = [](void *t) { delete static_cast<std::string *>(t); };
        if (gc_cleanup_add(this, drop, const_cast<std::string *>(text)) < 0)
            throw std::bad_alloc();
    }
    double value(const scope &names) const override
    {
        const auto found = names.find(*text);
        if (found == names.end())
            throw std::out_of_range(*text);
        return found->second;
    }
    static constexpr auto gc_fields = gc::fields();
    static constexpr bool gc_cleanup = true;
};

struct operation final : node {
    char sign;
    gc::ref<node> left, right;
    operation(char s, const gc::root<node> &l, const gc::root<node> &r) : sign(s), left(l), right(r)
    {
    }
    double value(const scope &names) const override
    {
        const double a = left->value(names), b = right->value(names);
        switch (sign) {
        case '+':
            return a + b;
        case '-':
            return a - b;
        case '*':
            return a * b;
        default:
            if (b == 0)
                throw std::domain_error("division by zero");
            return a / b;
        }
    }
    static constexpr auto gc_fields = gc::fields(&operation::left, &operation::right);
};

using token = std::variant<std::monostate, double, std::string, char>;

class parser
{
  public:
    explicit parser(const char *text) : at_(text) { next(); }
    node *formula()
    {
        gc::root<node> left(term());
        while (is('+') || is('-')) {
            const char sign = take();
            gc::root<node> right(term());
            left = gc::make<operation>(sign, left, right);
        }
        return left;
    }
    void end() const
    {
        if (!std::holds_alternative<std::monostate>(token_))
            throw std::invalid_argument(std::string("at \"") + at_ + '"');
    }

  private:
    bool is(char c) const
    {
        const char *sign = std::get_if<char>(&token_);
        return sign && *sign == c;
    }
    char take()
    {
        const char c = std::get<char>(token_);
        next();
        return c;
    }
    void next()
    {
        char *stop;
        at_ += std::strspn(at_, " ");
        if (!*at_) {
            token_ = std::monostate();
        } else if (std::isdigit(static_cast<unsigned char>(*at_))) {
            token_ = std::strtod(at_, &stop);
            at_ = stop;
        } else if (std::isalpha(static_cast<unsigned char>(*at_))) {
            const char *from = at_;
            while (std::isalnum(static_cast<unsigned char>(*at_)))
                at_++;
            token_ = std::string(from, at_);
        } else {
            token_ = *at_++;
        }
    }
    node *term()
    {
        gc::root<node> left(factor());
        while (is('*') || is('/')) {
            const char sign = take();
            gc::root<node> right(factor());
            left = gc::make<operation>(sign, left, right);
        }
        return left;
    }
    node *factor()
    {
        if (const double *n = std::get_if<double>(&token_)) {
            gc::root<node> made(gc::make<number>(*n));
            next();
            return made;
        }
        if (const std::string *s = std::get_if<std::string>(&token_)) {
            gc::root<node> made(gc::make<name>(*s));
            next();
            return made;
        }
        if (!is('('))
            throw std::invalid_argument(std::string("at \"") + at_ + '"');
        take();
        gc::root<node> inner(formula());
        if (!is(')'))
            throw std::invalid_argument("a parenthesis is open");
        take();
        return inner;
    }

    const char *at_;
    token token_;
};

static void show(const char *text)
{
    const scope names = {{"x", 3}, {"zero", 0}};
    try {
        parser p(text);
        gc::root<node> tree(p.formula());
        p.end();
        gc_collect();
        std::printf("%s = %g\n", text, tree->value(names));
    } catch (const std::logic_error &error) {
        std::printf("%s: %s\n", text, error.what());
    }
}

static void run()
{
    for (const char *text :
         {"1 + 2 * x", "(1 + 2) * (x - 1)", "1 / zero", "2 * y", "(1 + 2", "1 +", "7 7"})
        show(text);
    for (int i = 0; i < 2000; i++) { /* errors deep in the recursion leave no frame behind */
        const std::string open(100, '(');
        try {
            parser(open.c_str()).formula();
        } catch (const std::invalid_argument &) {
        }
    }
    std::printf("%s\n", gc_frame_mark() ? "frames are open" : "no frame is open");
}

} // namespace formulas

/* ---- An index of words: containers of references, sorted, searched, moved ---- */

namespace words
{

struct word {
    long count = 0;
    gc::ref<word> next; /* of the same length */
    char text[16] = "";
    explicit word(const std::string &s) { s.copy(text, sizeof text - 1); }
    static constexpr auto gc_fields = gc::fields(&word::next);
};

using index = std::unordered_map<std::string, gc::item<word>, std::hash<std::string>,
                                 std::equal_to<std::string>,
                                 gc::allocator<std::pair<const std::string, gc::item<word>>>>;

static std::string nth_word(unsigned i)
{
    std::string s;
    for (i = i * i % 101 + 1; i; i /= 3)
        s += static_cast<char>('a' + i % 3);
    return s;
}

struct by_count {
    bool operator()(const word *a, const word *b) const
    {
        return a->count != b->count ? a->count > b->count : std::strcmp(a->text, b->text) < 0;
    }
};

static void run()
{
    index found;
    gc::vector<word> all;
    for (unsigned i = 0; i < 3000; i++) {
        const std::string text = nth_word(i);
        auto &place = found[text];
        if (!place) {
            place = gc::make<word>(text);
            all.push_back(place);
        }
        place->count++;
    }
    gc_collect();
    std::sort(all.begin(), all.end(), by_count());
    gc::vector<word> best(all.begin(), all.begin() + 3);
    for (const auto &w : best)
        std::printf("%s %ld\n", w->text, w->count);

    const std::size_t before = all.size();
    all.erase(std::remove_if(all.begin(), all.end(), [](const word *w) { return w->count < 40; }),
              all.end());
    all.insert(all.begin(), 2, best.back());
    all.shrink_to_fit();
    gc::vector<word> moved = std::move(all);
    std::list<gc::item<word>, gc::allocator<gc::item<word>>> chain(moved.begin(), moved.end());
    chain.reverse();
    chain.remove(chain.front());
    found.clear();
    gc_collect();
    long sum = 0;
    for (const auto &w : chain)
        sum += w->count;
    std::printf("%zu words, %zu kept, %zu in the list, %ld times\n", before, moved.size(),
                chain.size(), sum);

    std::function<long()> of_best = [handle = std::make_shared<gc::handle<word>>(best.front())] {
        return (*handle)->count;
    };
    best.clear();
    moved.clear();
    chain.clear();
    gc_collect();
    std::printf("the best: %ld\n", of_best());
}

} // namespace words

/* ---- Threads: a stack without locks, and a queue under one ---- */

namespace threads
{

struct job {
    gc::ref<job> next;
    long n;
    explicit job(long v) : n(v) {}
    static constexpr auto gc_fields = gc::fields(&job::next);
};

struct stack {
    gc::ref<job> top;
    static constexpr auto gc_fields = gc::fields(&stack::top);

    void push(gc::root<job> &j)
    {
        do
            j->next = top.get();
        while (!top.compare_exchange(j->next, j));
    }
    /* What was popped is not pushed again, and an address is in use once: no ABA. */
    job *pop()
    {
        gc::root<job> j;
        do
            j = top.get();
        while (j && !top.compare_exchange(j, j->next));
        return j;
    }
};

static void run()
{
    constexpr long WORKERS = 3, JOBS = 20000;
    gc_heap *heap = gc_heap_current();
    gc::global_root<stack> shared;
    shared = gc::make<stack>();
    std::mutex lock;
    gc::vector<job> done;
    std::vector<std::thread> workers;
    for (long w = 0; w < WORKERS; w++) {
        workers.emplace_back([&, w] {
            gc::thread attached(heap);
            for (long i = 0; i < JOBS; i++) {
                gc::root<job> mine(gc::make<job>(i * WORKERS + w));
                shared->push(mine);
                gc::root<job> other(shared->pop());
                if (!other || i % 8)
                    continue;
                std::unique_lock<std::mutex> hold(lock, std::try_to_lock);
                if (!hold.owns_lock()) {
                    gc::blocking region;
                    hold.lock();
                }
                done.push_back(other);
            }
        });
    }
    {
        gc::blocking region;
        for (auto &worker : workers)
            worker.join();
    }
    gc_collect();
    std::sort(done.begin(), done.end(), [](const job *a, const job *b) { return a->n < b->n; });
    const auto twice = std::adjacent_find(done.begin(), done.end());
    const bool sound = std::all_of(done.begin(), done.end(),
                                   [](const job *j) { return j->n >= 0 && j->n < WORKERS * JOBS; });
    std::printf("%s, %s\n", twice == done.end() ? "each once" : "one twice",
                sound && done.size() > 1000 ? "all sound" : "not all sound");
}

} // namespace threads

int main()
{
    gc::heap heap;
    formulas::run();
    words::run();
    threads::run();
    gc_collect();
    gc_finalizers_run(0);
    return gc_heap_verify();
}
