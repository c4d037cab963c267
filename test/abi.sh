#!/usr/bin/env bash
# Header and library belong together: what a compiled program relies on is what GC_ABI stands for, and
# code compiled with a header of another GC_ABI neither links nor loads.
. test/tap.bash

# The record was made with 64-bit pointers, and in it what may be added to an ABI is not lost.
recorded() {
    [[ $(getconf LONG_BIT) == 64 ]] || { echo "not checked on this machine" && return 0; }
    CC=${CC%% *} test/abi-list >"$scratch/abi" || return 1
    diff test/abi.expected "$scratch/abi" && return 0
    if [[ $(head -1 test/abi.expected) == $(head -1 "$scratch/abi") ]] &&
        comm -23 <(sort test/abi.expected) <(sort "$scratch/abi") | grep .; then
        echo 'the lines above are no longer true: raise GC_ABI in gcheap.h (docs/versions.md), then'
    fi
    echo 'write it down: test/abi-list > test/abi.expected'
    return 1
}
# The list tells a header whose struct grew, and one whose call changed.
told() { # SED_SCRIPT LINE
    sed "$1" gcheap.h >"$scratch/changed.h" && ! cmp -s gcheap.h "$scratch/changed.h" &&
        CC=${CC%% *} test/abi-list "$scratch/changed.h" >"$scratch/abi" &&
        comm -13 <(sort test/abi.expected) <(sort "$scratch/abi") | grep -E "^$2"
}

# ---- A header of another ABI ---------------------------------------------------------------

number=$(sed -n 's/^#define GC_ABI //p' gcheap.h)
other=$((number + 1))
mkdir "$scratch/other"
sed "s/^#define GC_ABI .*/#define GC_ABI $other/" gcheap.h >"$scratch/other/gcheap.h"
cp src/api/gcheap.hpp "$scratch/other/"

cat >"$scratch/program.c" <<'CODE'
#include <gcheap.h>
int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    int works = gc_new(&gc_pointer_type) != NULL && gc_version() == GC_VERSION;
    return !works || gc_heap_destroy(heap);
}
CODE
cat >"$scratch/program.cpp" <<'CODE'
#include <gcheap.hpp>
struct node {
    gc::ref<node> next;
    static constexpr auto gc_fields = gc::fields(&node::next);
};
int main()
{
    gc::heap heap;
    gc::root<node> kept(gc::make<node>());
    return gc_version() != GC_VERSION;
}
CODE
# Reads a reference, and calls nothing that is not inline.
cat >"$scratch/plugin.c" <<'CODE'
#include <gcheap.h>
void plugin(void **slot);
void plugin(void **slot) { gc_store(slot, NULL); }
CODE
cat >"$scratch/host.c" <<'CODE'
#include <dlfcn.h>
#include <gcheap.h>
#include <stdio.h>
int main(int argc, char **argv)
{
    void *plugin = argc > 1 ? dlopen(argv[1], RTLD_LAZY) : NULL;
    if (!plugin)
        puts(dlerror());
    return !plugin || !gc_heap_create(NULL);
}
CODE

urcu=$(pkg-config --libs liburcu-cds)
archive="$BUILD/libgcheap.a $urcu"
shared="-L$BUILD -lgcheap -Wl,-rpath,$(realpath "$BUILD")"
# compiled FOLDER SOURCE: its object, with the header of that folder.
compiled() {
    local object compiler="$CC -std=c11"
    object=$scratch/$(basename "$1").$2.o
    [[ $2 != *.cpp ]] || compiler="$CXX -std=c++17"
    [[ -e $object ]] || $compiler $SANFLAGS -pthread "-I$1" -Isrc/api -c -o "$object" "$scratch/$2" >&2
    echo "$object"
}
# linked FOLDER SOURCE LIBRARY…
linked() {
    local linker=$CC
    [[ $2 != *.cpp ]] || linker=$CXX
    $linker $SANFLAGS -pthread -o "$scratch/program" "$(compiled "$1" "$2")" "${@:3}"
}
fits() { linked . "$@" && "$scratch/program"; }
refused() { # by the linker, with the number that is missing
    if linked "$scratch/other" "$@" >"$scratch/refusal" 2>&1; then
        echo 'it links' && return 1
    fi
    grep "undefined.*gc_self_abi_$other" "$scratch/refusal" || { cat "$scratch/refusal" && return 1; }
}
load() { # FOLDER: a plugin compiled with its header, in a host of this library
    $CC -std=c11 -fPIC -shared $SANFLAGS "-I$1" -o "$scratch/plugin.so" "$scratch/plugin.c" &&
        $CC -std=c11 $SANFLAGS -I. -o "$scratch/host" "$scratch/host.c" $shared -ldl -pthread &&
        "$scratch/host" "$scratch/plugin.so"
}
not_loaded() {
    load "$scratch/other" >"$scratch/refusal" 2>&1
    [[ $? == 1 ]] && grep "undefined symbol: gc_self_abi_$other" "$scratch/refusal"
}
soname() { readelf -d "$BUILD/libgcheap.so" | grep "SONAME.*\[libgcheap\.so\.$number\]"; }

# What the documents say of the numbers.
documented() {
    local version
    version=$(sed -n 's/^#define GC_VERSION_[A-Z]* //p' gcheap.h | paste -sd.)
    [[ $(sed -n 's/^## //p' docs/changelog.md | head -1) == "$version" ]] &&
        grep -q "^% GCHEAP(3) gcheap ${version%.*} " docs/gcheap.3.md &&
        grep -q "at present $number\.$" docs/versions.md && grep -q "\`libgcheap\.so\.$number\`" docs/versions.md
}

check 'the record of the ABI is true' recorded
check 'it tells of a struct that grew' told 's/^    uint64_t flush_waves;/    uint64_t more;\n&/' 'struct gc_statistics .* more '
check 'and of a call that changed' told 's/^GC_API int gc_collect(void);/GC_API long gc_collect(void);/' 'long gc_collect'
check 'the soname is the number' soname
check 'the documents have the numbers' documented
for source in program.c program.cpp; do
    check "$source links with its library, archive" fits "$source" $archive
    check "$source links with its library, shared" fits "$source" $shared
    check "$source of another ABI does not link, archive" refused "$source" $archive
    check "$source of another ABI does not link, shared" refused "$source" $shared
done
check 'a plugin loads' load .
check 'one of another ABI does not load' not_loaded
done_testing
