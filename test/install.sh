#!/usr/bin/env bash
# Installs into an empty folder, and builds and runs a foreign program against what is there.
. test/tap.bash
unset MAKEFLAGS MFLAGS MAKELEVEL
prefix=$scratch/prefix
export PKG_CONFIG_PATH=$prefix/lib/pkgconfig
soname=libgcheap.so.$(sed -n 's/^#define GC_ABI //p' gcheap.h)

cat >"$scratch/embed.c" <<'EOF'
#include <gcheap.h>
#include <stdio.h>
struct node { struct node *next; long n; };
GC_TYPE(node_type, struct node, next);
int main(void)
{
    gc_heap *heap = gc_heap_create(NULL);
    struct node *list = NULL, *node = NULL;
    long sum = 0;
    if (!heap)
        return 2;
    {
        GC_FRAME(list, node);
        for (long i = 1; i <= 100000; i++) {
            node = (struct node *)gc_new(&node_type);
            node->n = i % 100 == 0 ? i : 0;
            gc_store(&node->next, list);
            if (i % 100 == 0)
                list = node;
        }
        if (gc_collect() != 0)
            return 3;
        for (node = list; node; node = (struct node *)gc_load(&node->next))
            sum += node->n;
    }
    if (gc_heap_destroy(heap) != 0)
        return 4;
    printf("%ld\n", sum);
    return 0;
}
EOF
cp "$scratch/embed.c" "$scratch/embed.cc"
cat >"$scratch/list.cc" <<'EOF'
#include <gcheap.hpp>
#include <cstdio>
struct node {
    gc::ref<node> next;
    long n;
    node(long number, const gc::root<node> &rest) : next(rest), n(number) {}
    static constexpr auto gc_fields = gc::fields(&node::next);
};
int main()
{
    gc::heap heap;
    gc::root<node> list;
    long sum = 0;
    for (long i = 100; i <= 100000; i += 100) {
        list = gc::make<node>(i, list);
        (void)gc::make<node>(i, list);
    }
    gc_collect();
    for (const node *node = list; node; node = node->next)
        sum += node->n;
    std::printf("%ld\n", sum);
}
EOF

installed() { # ROOT: every file is there, and the links lead somewhere
    local file
    for file in include/gcheap.h include/gcheap.hpp lib/libgcheap.a lib/libgcheap.so "lib/$soname" \
        lib/pkgconfig/gcheap.pc lib/cmake/gcheap/gcheap-config.cmake lib/cmake/gcheap/gcheap-config-version.cmake \
        share/man/man3/gcheap.3 share/man/man1/gcheap-heap.1 bin/gcheap-heap \
        share/man/man1/gcheap-pprof.1 bin/gcheap-pprof; do
        [[ -s $1/$file ]] || { echo "missing: $file" && return 1; }
    done
    objdump -p "$1/lib/libgcheap.so" | grep -q "SONAME *$soname$"
}
no_trace() { # the installed files do not tell where they were staged or built
    ! grep -rl -e "$scratch" "$1/lib/pkgconfig" "$1/lib/cmake" "$1/include" "$1/share"
}
staged() {
    make -s install DESTDIR="$scratch/root" PREFIX=/usr &&
        installed "$scratch/root/usr" && no_trace "$scratch/root/usr" &&
        make -s uninstall DESTDIR="$scratch/root" PREFIX=/usr &&
        [[ -z $(find "$scratch/root" ! -type d) ]]
}
version() {
    local v
    v=$(pkg-config --modversion gcheap) && echo "$v" &&
        grep -q "GC_VERSION_MAJOR ${v%%.*}$" "$prefix/include/gcheap.h"
}

# build NAME COMPILER… : the program's answer must be right. The library's folder is found at run
# time as an embedder's would be who has not told ld.so.
build() {
    local out=$scratch/$1
    shift
    "$@" $SANFLAGS -o "$out" || return 1
    [[ $(LD_LIBRARY_PATH=$prefix/lib "$out") == 50050000 ]]
}
flags="-Wall -Wextra -pedantic -Werror"
shared() { build "$1" "$2" -std="$3" $flags "$scratch/${5-embed}.$4" $(pkg-config --cflags --libs gcheap); }
archived() {
    build "$1" "$2" -std="$3" $flags "$scratch/${5-embed}.$4" \
        $(pkg-config --static --cflags --libs gcheap | sed 's/-lgcheap/-l:libgcheap.a/')
}
static() {
    build "$1" "$2" -static -std="$3" $flags "$scratch/embed.$4" \
        $(pkg-config --static --cflags --libs gcheap)
}
uses_shared() { readelf -d "$scratch/$1" | grep -q "NEEDED.*$soname"; }

# Names: the shared library exports the header's and no other; so does the archive.
declared() {
    gcc -E -P "$prefix/include/gcheap.h" | tr '\n' ' ' | tr ';{}' '\n' |
        grep 'visibility("default")' | sed 's/\[.*//; s/(\*[a-z_]*)//g' |
        perl -pe 's/\w+ *(\(void\))? *__asm__\("" "(\w+)" "(\w+)" "(\d+)"\)/$2$3$4/' |
        grep -oE '\bgc_[a-z_0-9]+ *(\(|$)' | grep -oE 'gc_[a-z_0-9]+' | sort -u
}
exported() { nm "$@" | awk '$2 ~ /^[TDBRVWu]$/ { print $3 }' | sort -u; }
names() {
    declared >"$scratch/declared" && exported "$@" >"$scratch/exported" &&
        diff "$scratch/declared" "$scratch/exported"
}

# GDB finds its commands by the path of the library. Debian's looks in /usr/share/gdb only, so it is told.
auto_load() {
    local scripts=$prefix/share/gdb/auto-load
    [[ -s $scripts$prefix/lib/$soname-gdb.py ]] || return 1
    command -v gdb >/dev/null || return 0
    HOME=$scratch LD_LIBRARY_PATH=$prefix/lib gdb -q -nx -batch -iex "set auto-load scripts-directory $scripts" \
        -iex "set auto-load safe-path $scripts" -ex 'set debuginfod enabled off' -ex 'break gc_collect' -ex run \
        -ex 'gcheap heaps' -ex 'gcheap threads' "$scratch/c_shared" >"$scratch/gdb" 2>&1
    grep -q 'cannot\|not permitted' "$scratch/gdb" || { grep -E '^heap 0x.*, 1 threads, cycle' "$scratch/gdb" &&
        grep -q 'last call gc_' "$scratch/gdb"; } || { cat "$scratch/gdb" && return 1; }
}
# The tool as it was installed reads what the library as it was installed has written.
installed_tool() {
    sed 's/if (gc_collect() != 0)/if (gc_heap_dump("\/dev\/stdout") != 0)/' "$scratch/embed.c" >"$scratch/dumps.c"
    "$CC" -std=c11 $SANFLAGS -o "$scratch/dumps" "$scratch/dumps.c" $(pkg-config --cflags --libs gcheap) || return 1
    LD_LIBRARY_PATH=$prefix/lib "$scratch/dumps" | sed '$d' >"$scratch/heap" &&
        "$prefix/bin/gcheap-heap" census "$scratch/heap" | grep -q '^1000 objects'
}

# where_there TOOL NAME COMMAND…: a check that is skipped where the tool is missing.
where_there() {
    if command -v "$1" >/dev/null; then
        check "${@:2}"
    elif [[ $2 == *"$only"* ]]; then
        report ok "$2 # SKIP no $1"
    fi
}

# ---- What was installed works from another folder ------------------------------------------

moved=$scratch/moved
move() { mv "$prefix" "$moved"; }
# With no other .pc file to be found, that of liburcu neither.
without_urcu_pc() {
    local flags
    flags=$(PKG_CONFIG_LIBDIR=$moved/lib/pkgconfig PKG_CONFIG_PATH='' pkg-config --cflags --libs gcheap) &&
        prefix=$moved build no_urcu "$CC" -std=c11 "$scratch/embed.c" $flags
}
# A library folder of several levels, and one outside of the prefix.
layout() { # LIBDIR PREFIX_AFTERWARDS LIBDIR_AFTERWARDS
    local root=$scratch/layout
    rm -rf "$root" && make -s install DESTDIR="$root" PREFIX=/usr LIBDIR="$1" PANDOC=none >/dev/null || return 1
    ask() { PKG_CONFIG_PATH=$root$1/pkgconfig pkg-config --variable="$2" gcheap; }
    [[ $(realpath -m "$(ask "$1" prefix)") == "${2/ROOT/$root}" &&
        $(realpath -m "$(ask "$1" libdir)") == "${3/ROOT/$root}" ]] || { ask "$1" prefix && ask "$1" libdir && return 1; }
}
no_pandoc() {
    local said
    said=$(make -s install DESTDIR="$scratch/bare" PREFIX=/usr PANDOC=none) && echo "$said" &&
        grep -q 'manual pages are not installed' <<<"$said" && [[ -e $scratch/bare/usr/include/gcheap.h ]] &&
        [[ ! -e $scratch/bare/usr/share/man ]]
}

mkdir "$scratch/consumer"
cp "$scratch/embed.c" "$scratch/consumer"
cat >"$scratch/consumer/CMakeLists.txt" <<'EOF'
cmake_minimum_required(VERSION 3.13)
project(consumer C)
set(CMAKE_C_STANDARD 11)
find_package(gcheap 1.0 REQUIRED)
find_package(gcheap REQUIRED)
add_executable(with_shared embed.c)
target_link_libraries(with_shared gcheap::gcheap)
add_executable(with_archive embed.c)
target_link_libraries(with_archive gcheap::gcheap-static)
foreach(other 0.9 1.99 2.0)
  find_package(gcheap ${other} QUIET)
  if(gcheap_FOUND)
    message(FATAL_ERROR "version ${gcheap_VERSION} passes for ${other}")
  endif()
endforeach()
EOF
cat >"$scratch/consumer/meson.build" <<'EOF'
project('consumer', 'c', default_options: ['c_std=c11'])
executable('with_shared', 'embed.c', dependencies: dependency('gcheap', version: '>=1.0'))
executable('with_archive', 'embed.c', dependencies: dependency('gcheap', static: true))
EOF
# both FOLDER: the program with the shared library needs it, the other does not, and both work.
both() {
    [[ $("$1/with_shared") == 50050000 && $("$1/with_archive") == 50050000 ]] &&
        readelf -d "$1/with_shared" | grep -q "NEEDED.*$soname" && ! readelf -d "$1/with_archive" | grep 'NEEDED.*gcheap'
}
by_cmake() {
    (cd "$scratch/consumer" && CC="$CC" CFLAGS="$SANFLAGS" cmake -DCMAKE_PREFIX_PATH="$moved" -B cmake . &&
        cmake --build cmake) && both "$scratch/consumer/cmake"
}
by_meson() {
    (cd "$scratch/consumer" && CC="$CC" CFLAGS="$SANFLAGS" LDFLAGS="$SANFLAGS" \
        PKG_CONFIG_PATH=$moved/lib/pkgconfig meson setup -Db_lundef=false meson &&
        meson compile -C meson) && LD_LIBRARY_PATH=$moved/lib both "$scratch/consumer/meson"
}
check 'make install DESTDIR=…, make uninstall' staged
check 'make install PREFIX=…' make -s install PREFIX="$prefix"
check 'all is installed' installed "$prefix"
check 'pkg-config tells the version' version
check 'C, shared' shared c_shared "$CC" c11 c
check 'the shared one needs the soname' uses_shared c_shared
where_there python3 'the dump of an installed library, by the installed tool' installed_tool
[[ -n $SAN ]] || check 'GDB knows the commands of an installed library' auto_load
check 'C, with the archive' archived c_archive "$CC" c11 c
check 'C++17, shared' shared cxx_shared "$CXX" c++17 cc
check 'C++17, with the archive' archived cxx_archive "$CXX" c++17 cc
check 'gcheap.hpp, shared' shared hpp_shared "$CXX" c++17 cc list
check 'gcheap.hpp, with the archive' archived hpp_archive "$CXX" c++17 cc list
if [[ -z $SAN ]]; then
    check 'C, wholly static' static c_static "$CC" c11 c
    check 'the shared library exports the public names only' names -D "$prefix/lib/libgcheap.so"
    check 'the archive exports the public names only' names -g "$prefix/lib/libgcheap.a"
fi
check 'make install without pandoc' no_pandoc
check 'a library folder of two levels' layout /usr/lib/machine ROOT/usr ROOT/usr/lib/machine
check 'a library folder outside of the prefix' layout /opt/lib /usr /opt/lib
check 'the installed folder is moved' move
check 'the shared library without the .pc of liburcu' without_urcu_pc
where_there cmake 'CMake: find_package(gcheap)' by_cmake
where_there meson 'Meson: dependency(gcheap)' by_meson
done_testing
