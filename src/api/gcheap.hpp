/* gcheap for C++17: over gcheap.h, with types in which a forgotten barrier does not compile.
 * SPDX-License-Identifier: MIT
 *
 *   struct node {
 *       gc::ref<node> next;
 *       long value = 0;
 *       static constexpr auto gc_fields = gc::fields(&node::next);
 *   };
 *
 *   gc::heap heap;                                  // creates it, attaches this thread
 *   gc::root<node> list;                            // a local root, until the block ends
 *   gc::root<node> cell(gc::make<node>());
 *   cell->next = list;                              // runs the barrier
 *
 * A bare T* is fine between two safepoints; across one, which every allocation is, it must be held
 * by a root. Failures throw, or without exceptions abort.
 */
#ifndef GCHEAP_HPP
#define GCHEAP_HPP

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>
#include <system_error>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

#include "gcheap.h"

namespace gc
{

template <class T> class ref;
template <class T> class root;

} // namespace gc

/* What trace functions pass to gc_trace_slot(). */
template <class T> struct gc_is_slot<gc::ref<T>> {
    static constexpr bool value = true;
};
template <class T> struct gc_is_slot<const gc::ref<T>> {
    static constexpr bool value = true;
};

namespace gc
{

namespace detail
{
template <class T> struct refused : std::false_type {
};
template <class M> struct is_ref_member : std::false_type {
};
template <class T, class V> struct is_ref_member<ref<T> V::*> : std::true_type {
};
template <class T, class = void> struct has_fields : std::false_type {
};
template <class T> struct has_fields<T, std::void_t<decltype(T::gc_fields)>> : std::true_type {
};
template <class T, class = void> struct has_cleanup : std::false_type {
};
template <class T> struct has_cleanup<T, std::void_t<decltype(T::gc_cleanup)>> : std::true_type {
};

/* An argument of make() that nothing keeps alive while it allocates. */
template <class A> constexpr bool is_bare()
{
    using P = std::remove_cv_t<std::remove_reference_t<A>>;
    return std::is_pointer_v<P> && has_fields<std::remove_cv_t<std::remove_pointer_t<P>>>::value;
}

[[noreturn]] inline void fail(int error)
{
#if defined(__cpp_exceptions)
    if (error == ENOMEM)
        throw std::bad_alloc();
    throw std::system_error(error, std::generic_category(), "gcheap");
#else
    (void)error;
    std::abort();
#endif
}
inline void check(int result)
{
    if (result < 0)
        fail(-result);
}
template <class P> P *check_pointer(P *p)
{
    if (!p)
        fail(errno);
    return p;
}
} // namespace detail

/* The references of a type: pointers to its members of type gc::ref; all of them, those of its
 * bases too. None: a type without references. */
template <class... M> constexpr std::tuple<M...> fields(M... members)
{
    static_assert((detail::is_ref_member<M>::value && ...),
                  "gc::fields names members of type gc::ref");
    return std::tuple<M...>(members...);
}

/* A reference in a managed object. Assignment runs the barrier; nothing else writes it. */
template <class T> class ref
{
  public:
    ref() = default;
    ref(std::nullptr_t) {}
    ref(T *value) { gc_store(&value_, value); }
    ref(const ref &) = delete;
    ref &operator=(const ref &other) { return *this = other.get(); }
    ref &operator=(T *value)
    {
        gc_store(&value_, const_cast<std::remove_const_t<T> *>(value));
        return *this;
    }
    ref &operator=(const root<T> &value) { return *this = value.get(); }

    T *get() const { return static_cast<T *>(gc_load(&value_)); }
    operator T *() const { return get(); }
    T *operator->() const { return get(); }
    /* If it is `expected`, makes it `desired`; whether it did. */
    bool compare_exchange(T *expected, T *desired) { return gc_cas(&value_, expected, desired); }

  private:
    T *value_ = nullptr;
};

/* A local variable that keeps its object alive until the block ends. Automatic variables only. */
template <class T> class root
{
  public:
    root() : root(nullptr) {}
    root(T *value)
        : value_(value), frame_{{GC_SELF->frames},
                                reinterpret_cast<std::uintptr_t>(&value_) + GC_FRAME_LAST}
    {
        GC_SELF->frames = &frame_.head;
    }
    root(const ref<T> &value) : root(value.get()) {}
    ~root() { gc_frame_pop(&frame_); }
    root(const root &) = delete;
    root &operator=(const root &other) { return *this = other.value_; }
    root &operator=(T *value)
    {
        value_ = value;
        return *this;
    }
    static void *operator new(std::size_t) = delete;
    static void *operator new[](std::size_t) = delete;

    T *get() const { return value_; }
    operator T *() const { return value_; }
    T *operator->() const { return value_; }

  private:
    T *value_;
    struct {
        struct gc_frame head;
        std::uintptr_t slot;
    } frame_;
};

namespace detail
{
/* A function's template argument, as the compiler writes it in the function's name: "[with T =
 * node; ...]" or "[T = node]". */
constexpr std::string_view argument_of(std::string_view function)
{
    const std::size_t begin = function.find("= ") + 2, more = function.find(';', begin);
    const std::size_t end = more < function.size() ? more : function.rfind(']');
    return function.substr(begin, end - begin);
}
template <class T> constexpr std::string_view type_name()
{
    return argument_of(__PRETTY_FUNCTION__);
}
/* "next", of "&node::next". */
template <auto Member> constexpr std::string_view member_name()
{
    const std::string_view name = argument_of(__PRETTY_FUNCTION__);
    return name.substr(name.rfind(':') + 1);
}

/* A type's texts, which live as long as the program. */
template <class T> struct texts {
    std::string type{type_name<T>()}, fields;
};

template <class T, class U, class V> std::size_t word_of(U V::*member)
{
    alignas(T) static char place[sizeof(T)];
    const V *object = reinterpret_cast<T *>(place);
    const char *field = reinterpret_cast<const char *>(&(object->*member));
    return static_cast<std::size_t>(field - place) / sizeof(void *);
}

/* The first GC_FIELDS_MAX have names. */
template <class T, std::size_t I> void describe_field(gc_type &type, std::string &names)
{
    constexpr auto member = std::get<I>(T::gc_fields);
    const std::size_t word = word_of<T>(member);
    if (word >= GC_MASK_WORDS * 64)
        fail(EINVAL);
    type.inline_mask[word / 64] |= std::uint64_t(1) << (word % 64);
    if constexpr (I < GC_FIELDS_MAX) {
        names.append(member_name<member>()).append(";");
        type.field_words[I] = static_cast<std::uint16_t>(word);
    }
}

template <class T, std::size_t... I>
void describe_fields(gc_type &type, std::string &names, std::index_sequence<I...>)
{
    (describe_field<T, I>(type, names), ...);
}

template <class T> gc_type describe()
{
    static texts<T> *const kept = new texts<T>;
    gc_type type = {};
    type.size = sizeof(T);
    type.kind = GC_KIND_STRUCT;
    type.align = alignof(T) > alignof(void *) ? alignof(T) : alignof(void *);
    type.field_align = type.align;
    describe_fields<T>(type, kept->fields,
                       std::make_index_sequence<std::tuple_size_v<decltype(T::gc_fields)>>());
    type.name = kept->type.c_str();
    type.fields = kept->fields.empty() ? nullptr : kept->fields.c_str();
    return type;
}
} // namespace detail

/* The descriptor of a type, from its gc_fields. */
template <class T> gc_type *type_of()
{
    static_assert(detail::has_fields<T>::value,
                  "a managed type says which of its members are references: "
                  "static constexpr auto gc_fields = gc::fields(&T::member, ...);");
    static gc_type type = detail::describe<T>();
    return &type;
}

/* A new object, constructed in place, and to be put into a root or a ref at once. */
template <class T, class... A> [[nodiscard]] T *make(A &&...args)
{
    static_assert(std::is_trivially_destructible_v<T> || detail::has_cleanup<T>::value,
                  "no destructor runs for a managed object: let its constructor call "
                  "gc_cleanup_add() and say so by static constexpr bool gc_cleanup = true;");
    static_assert(!(detail::is_bare<A>() || ...),
                  "a bare pointer may die while gc::make allocates: pass a gc::root");
    root<T> object(static_cast<T *>(detail::check_pointer(gc_new(type_of<T>()))));
    ::new (static_cast<void *>(object.get())) T(std::forward<A>(args)...);
    return object.get();
}

/* A root that lives as long as this variable, which any thread of the heap may use. Made, and
 * destroyed, by an attached thread. */
template <class T> class global_root
{
  public:
    global_root() { detail::check(gc_root(&value_)); }
    ~global_root() { gc_unroot(&value_); }
    global_root(const global_root &) = delete;
    global_root &operator=(const global_root &other) { return *this = other.get(); }
    global_root &operator=(T *value)
    {
        gc_store(&value_, value);
        return *this;
    }
    T *get() const { return static_cast<T *>(gc_load(&value_)); }
    operator T *() const { return get(); }
    T *operator->() const { return get(); }

  private:
    T *value_ = nullptr;
};

/* A root to be kept in C++ containers and passed between threads. */
template <class T> class handle
{
  public:
    explicit handle(T *value = nullptr) : handle_(detail::check_pointer(gc_handle_new(value))) {}
    ~handle() { gc_handle_free(handle_); }
    handle(handle &&other) noexcept : handle_(std::exchange(other.handle_, nullptr)) {}
    handle &operator=(handle &&other) noexcept
    {
        std::swap(handle_, other.handle_);
        return *this;
    }
    handle &operator=(T *value)
    {
        detail::check(gc_handle_set(handle_, value));
        return *this;
    }
    T *get() const { return static_cast<T *>(gc_handle_get(handle_)); }
    operator T *() const { return get(); }
    T *operator->() const { return get(); }

  private:
    gc_handle *handle_;
};

/* A reference in a container with gc::allocator, which copies and moves it. Assignment runs the
 * barrier. Locals of this type are no roots. */
template <class T> class item
{
  public:
    /* The collector may read the memory, which is a root. */
    item() noexcept { __atomic_store_n(&value_, nullptr, __ATOMIC_RELAXED); }
    item(std::nullptr_t) : item() {}
    item(T *value) : item() { *this = value; }
    item(const root<T> &value) : item(value.get()) {}
    item(const ref<T> &value) : item(value.get()) {}
    item(const item &other) : item(other.get()) {}
    /* What is no element any more keeps nothing alive. */
    ~item() { *this = static_cast<T *>(nullptr); }
    item &operator=(const item &other) { return *this = other.get(); }
    item &operator=(const root<T> &value) { return *this = value.get(); }
    item &operator=(const ref<T> &value) { return *this = value.get(); }
    item &operator=(T *value)
    {
        gc_store(&value_, const_cast<std::remove_const_t<T> *>(value));
        return *this;
    }

    T *get() const { return static_cast<T *>(gc_load(&value_)); }
    operator T *() const { return get(); }
    T *operator->() const { return get(); }

  private:
    T *value_;
};

/* Memory all of whose words are roots, for containers of gc::item. Used by attached threads. */
template <class T> class allocator
{
  public:
    using value_type = T;
    allocator() = default;
    template <class U> allocator(const allocator<U> &) noexcept {}

    T *allocate(std::size_t n)
    {
        static_assert(alignof(T) <= alignof(std::max_align_t), "gc::allocator: the alignment");
        if (n > PTRDIFF_MAX / sizeof(T))
            detail::fail(ENOMEM);
        const std::size_t words = n * sizeof(T) / sizeof(void *) + 1;
        void *memory = std::calloc(words, sizeof(void *));
        const int error = memory ? gc_root_range(memory, words) : -ENOMEM;
        if (error < 0) {
            std::free(memory);
            detail::fail(-error);
        }
        return static_cast<T *>(memory);
    }
    void deallocate(T *memory, std::size_t) noexcept
    {
        gc_unroot(memory);
        std::free(memory);
    }
    template <class U> bool operator==(const allocator<U> &) const noexcept { return true; }
    template <class U> bool operator!=(const allocator<U> &) const noexcept { return false; }
};

/* A vector of references, which keep their objects alive. */
template <class T> using vector = std::vector<item<T>, allocator<item<T>>>;

/* A heap; the thread that makes it is attached, and destroys it. */
class heap
{
  public:
    heap() : heap_(detail::check_pointer(gc_heap_create(nullptr))) {}
    explicit heap(const gc_options &options)
        : heap_(detail::check_pointer(gc_heap_create(&options)))
    {
    }
    ~heap() { gc_heap_destroy(heap_); }
    heap(const heap &) = delete;
    heap &operator=(const heap &) = delete;
    operator gc_heap *() const { return heap_; }

  private:
    gc_heap *heap_;
};

/* The calling thread is attached while this lives. */
class thread
{
  public:
    explicit thread(gc_heap *heap) { detail::check(gc_thread_attach(heap)); }
    ~thread() { gc_thread_detach(); }
    thread(const thread &) = delete;
    thread &operator=(const thread &) = delete;
};

/* The calling thread may block while this lives, and does not touch the heap. */
class blocking
{
  public:
    blocking() { detail::check(gc_blocking_begin()); }
    ~blocking() { gc_blocking_end(); }
    blocking(const blocking &) = delete;
    blocking &operator=(const blocking &) = delete;
};

} // namespace gc

namespace std
{
template <class T> class allocator<gc::ref<T>>
{
    static_assert(gc::detail::refused<T>::value,
                  "nobody looks for a gc::ref in this container: use gc::vector or gc::handle");
};
template <class T> class allocator<gc::root<T>>
{
    static_assert(gc::detail::refused<T>::value,
                  "a gc::root is a local variable: use gc::vector or gc::handle");
};
} // namespace std

#endif
