#!/usr/bin/env bash
# The switch redzones, with the library as it is: AddressSanitizer and Valgrind know which memory is an
# object, and their reports tell who allocated it and when it died.
. test/tap.bash
not_with_sanitizers 'watch memory'

cat >"$scratch/uses.c" <<'C'
#include <gcheap.h>
#include <string.h>
struct node { struct node *next; long n; };
static GC_TYPE(node_type, struct node, next);
static __attribute__((noinline)) struct node *plant(void)
{
    struct node *node = gc_new(&node_type);
    gc_keep_alive(node);
    return node;
}
/* Properly: every kind of object, up to its end, while others die. */
static long properly(void)
{
    struct node *list = NULL, **array = NULL;
    char *bytes = NULL;
    long sum = 0;
    GC_FRAME(list, array, bytes);
    for (int i = 0; i < 300; i++) {
        struct node *node = plant();
        node->next = i % 3 ? list : NULL;
        node->n = i;
        list = node;
        array = gc_new_array(&gc_pointer_type, (size_t)i);
        for (int k = 0; k < i; k++)
            gc_store(&array[k], list);
        bytes = gc_new_bytes((size_t)i);
        memset(bytes, 1, (size_t)i);
        if (i % 50 == 0)
            gc_collect();
    }
    for (; list; list = list->next)
        sum += list->n;
    return sum;
}
static __attribute__((noinline)) char char_at(const char *p)
{
    return *p; /* beyond */
}
int main(int argc, char **argv)
{
    gc_heap *heap = gc_heap_create(NULL);
    const char *what = argc > 1 ? argv[1] : "";
    volatile long sum = 0;
    if (!strcmp(what, "dead")) {
        struct node *node = plant();
        gc_collect();
        sum = node->n; /* dead */
    } else if (!strcmp(what, "write")) {
        struct node *node = plant();
        gc_collect();
        node->n = 1; /* dead */
    } else if (!strcmp(what, "beyond")) {
        char *bytes = gc_new_bytes(20);
        sum = char_at(bytes + 20);
    } else if (!strcmp(what, "free")) {
        sum = plant()[100].n; /* never handed out */
    } else {
        sum = properly();
    }
    (void)sum;
    return gc_heap_destroy(heap);
}
C
line() { grep -n "/\* $1" "$scratch/uses.c" | head -1 | cut -d: -f1; }
build() { # NAME FLAG…
    # What urcu says is a list of words.
    # shellcheck disable=SC2046
    gcc -std=c11 -g -O1 -fno-omit-frame-pointer -fno-optimize-sibling-calls -I. "${@:2}" -o "$scratch/$1" "$scratch/uses.c" \
        "$BUILD/libgcheap.a" $(urcu) -pthread
}
says() { grep -qE -- "$1" "$scratch/report" || { echo "not said: $1"; cat "$scratch/report"; return 1; }; }

export ASAN_OPTIONS=detect_leaks=0
asan() { # WHAT SWITCHES
    GCHEAP_DEBUG=$2 "$scratch/asan" "$1" >"$scratch/report" 2>&1
}
asan_reports() { # WHAT ACCESS LINE
    ! asan "$1" redzones || { echo 'it says nothing' && return 1; }
    says 'use-after-poison' && says "^$2 of size" && says "^ *#0 .* in [a-z_]+ .*uses.c:$3\$"
}
asan_dead() { # WHAT ACCESS LINE
    asan_reports "$@" &&
        says '^gcheap: 0x[0-9a-f]+ lies at struct node \+ 8 of the object at 0x[0-9a-f]+, which cycle [0-9]+ found unreachable: keep it in a GC_FRAME' &&
        says '^gcheap:   0x[0-9a-f]+ was allocated by thread [0-9]+ .*in plant\+0x[0-9a-f]+ < main\+0x'
}
asan_beyond() {
    asan_reports beyond READ "$(line beyond)" &&
        says 'lies at block of bytes \+ 20 of the object at 0x[0-9a-f]+, which ends before it' &&
        says 'was allocated by thread [0-9]+ .*in main\+0x'
}
asan_silent() {
    local switches
    for switches in redzones redzones,nth=3 all; do
        asan properly $switches && ! grep -q . "$scratch/report" || { cat "$scratch/report" && return 1; }
    done
}

valgrind_run() { GCHEAP_DEBUG=$2 valgrind --error-exitcode=9 "$scratch/plain" "$1" >"$scratch/report" 2>&1; }
valgrind_dead() { # WHAT ACCESS LINE
    ! valgrind_run "$1" redzones && says "Invalid $2 of size 8" && says "main \(uses.c:$3\)" &&
        says "is 8 bytes inside a block of size 16 free'd" && says "Block was alloc'd at" && says 'plant \(uses.c:'
}
valgrind_beyond() {
    ! valgrind_run beyond redzones && says 'Invalid read of size 1' && says "char_at \(uses.c:$(line beyond)\)" &&
        says "is 0 bytes after a block of size 20 alloc'd"
}
valgrind_silent() { valgrind_run properly redzones,nth=3 && says 'ERROR SUMMARY: 0 errors' || { cat "$scratch/report" && return 1; }; }

if build asan -fsanitize=address 2>"$scratch/said"; then
    check 'AddressSanitizer: a program without mistakes' asan_silent
    check 'AddressSanitizer: a read of a dead object' asan_dead dead READ "$(line dead)"
    check 'AddressSanitizer: a write to one' asan_dead write WRITE "$(grep -n 'n = 1;' "$scratch/uses.c" | cut -d: -f1)"
    check "AddressSanitizer: beyond an object's end" asan_beyond
    check 'AddressSanitizer: memory that was never handed out' asan_reports free READ "$(line 'never handed')"
else
    report ok 'AddressSanitizer # SKIP the compiler does not have it'
fi
if command -v valgrind >/dev/null && [[ -e /usr/include/valgrind/memcheck.h ]] && build plain; then
    check 'Valgrind: a program without mistakes' valgrind_silent
    check 'Valgrind: a read of a dead object' valgrind_dead dead read "$(line dead)"
    check 'Valgrind: a write to one' valgrind_dead write write "$(grep -n 'n = 1;' "$scratch/uses.c" | cut -d: -f1)"
    check "Valgrind: beyond an object's end" valgrind_beyond
else
    report ok 'Valgrind # SKIP it is not there'
fi
done_testing
