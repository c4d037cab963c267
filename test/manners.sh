#!/usr/bin/env bash
# What the Makefile promises: what each goal needs and installs, which variables it honours, from where
# it can be called, and what a release holds. Nothing here compiles the whole library.
. test/tap.bash

if [[ -n $SAN || $BUILD == *-debug ]]; then
    echo '1..0 # SKIP the plain build has shown it'
    exit
fi
unset MAKEFLAGS MFLAGS MAKELEVEL O GCHEAP_TRACE
top=$PWD
mkdir "$scratch/bin" "$scratch/elsewhere"

# Programs that stand before those of the system: an apt-get that only notes what it is asked for, for a
# user who may call it; and a pkg-config that knows nothing, or all but libedit.
cat >"$scratch/bin/apt-get" <<CODE
#!/bin/sh
echo "\$@" >>"$scratch/asked"
exit 1
CODE
printf '#!/bin/sh\necho 0\n' >"$scratch/bin/id"
printf '#!/bin/sh\ncase $* in *libedit*) exit 1 ;; esac\nexec pkg-config "$@"\n' >"$scratch/bin/no-libedit"
chmod +x "$scratch"/bin/*
PATH=$scratch/bin:$PATH

# lacks COMMAND…: it fails for something that is missing, says the one command that installs it, and
# installs nothing.
lacks() {
    rm -f "$scratch/asked"
    if "$@" >"$scratch/out" 2>&1; then
        echo 'it succeeds' && return 1
    fi
    [[ ! -e $scratch/asked && $(grep -c 'apt-get install' "$scratch/out") == 1 ]] && return
    cat "$scratch/asked" "$scratch/out"
    return 1
}
installs() {
    rm -f "$scratch/asked"
    "$@" >"$scratch/out" 2>&1
    grep 'install -y .*liburcu-dev' "$scratch/asked"
}
quiet() { make -s --no-print-directory "$@"; }
plan() { make -n --no-print-directory "$@" >"$scratch/plan" 2>&1 || { cat "$scratch/plan" && return 1; }; }
planned() { grep -qE -- "$1" "$scratch/plan" || { echo "not planned: $1" && return 1; }; }
not_planned() { ! grep -nE -- "$1" "$scratch/plan"; }

library_alone() { # GOAL…
    plan "$@" O="$scratch/none" && planned 'libgcheap\.so' && planned 'libgcheap\.a' &&
        not_planned 'examples/|test/[a-z/]*\.c' && quiet "$@" B="$BUILD" PKG_CONFIG=no-libedit PANDOC=none
}
needs() { # PACKAGE MAKE_ARGUMENT…
    lacks make "${@:2}" O="$scratch/none" && grep -q "install .*\b$1\b" "$scratch/out"
}

amalgamation() { # it needs neither the compiler of the library nor its libraries
    quiet amalgamation O="$scratch/one" CC=no-such-cc PKG_CONFIG=false PANDOC=none &&
        [[ -s $scratch/one/gcheap_all.c && -s $scratch/one/gcheap.h && -s $scratch/one/gcheap.hpp ]]
}
unknown_compiler() {
    ! quiet lib O="$scratch/none" CC=no-such-cc 2>"$scratch/err" >&2 &&
        grep "^setup: CC is 'no-such-cc', and there is no such program" "$scratch/err"
}

variables() {
    plan lib V=1 O="$scratch/none" CC=my-cc HOSTCC=my-host-cc CPPFLAGS=-DMY_FLAG CFLAGS=-Omine AR=my-ar LD=my-ld \
        OBJCOPY=my-objcopy PKG_CONFIG='echo -lmine #' LDFLAGS=-Wl,--mine || return 1
    planned '^my-cc .* -DMY_FLAG -Omine .*src/memory/span\.c' && planned '^my-host-cc .*src/memory/mksizeclass\.c' &&
        not_planned '^my-cc .*mksizeclass' && planned '^my-ld -r' && planned 'my-objcopy --localize-hidden' &&
        planned '^my-ar rcs' && planned '^my-cc .*-Wl,--mine -shared .*-lmine' && not_planned '(^| )(gcc|cc|ar|ld|objcopy) '
}

# From another folder nothing is written to the sources' one.
elsewhere() {
    (cd "$scratch/elsewhere" && quiet -f "$top/Makefile" amalgamation &&
        make -n -f "$top/Makefile" >"$scratch/plan" 2>&1) &&
        cmp "$scratch/one/gcheap_all.c" "$scratch/elsewhere/build/gcheap_all.c" &&
        planned "-o $scratch/elsewhere/build/src/memory/span\.o " && not_planned '-o build/'
}
elsewhere_to() {
    (cd "$scratch/elsewhere" && make -n -f "$top/Makefile" O=out lib >"$scratch/plan" 2>&1) &&
        planned "-o $scratch/elsewhere/out/src/memory/span\.o "
}
from_above() { (cd / && plan -C "$top" O="$scratch/none" all) && planned "-o $scratch/none/lisp "; }
# An object is really made there; and cleaning leaves what is not ours.
other_build() {
    quiet O="$scratch/o/" "$scratch/o/src/base/bits.o" && touch "$scratch/o/mine" && [[ -s $scratch/o/src/base/bits.o ]] &&
        quiet clean O="$scratch/o" && [[ -e $scratch/o/mine && ! -e $scratch/o/src ]]
}

# Each variable that the Makefile takes from outside stands in `make help`, and each goal.
help() {
    local word wrong=0
    quiet help >"$scratch/help" || return 1
    for word in $(sed -n 's/^\([A-Z_]*\) *?= .*/\1/p; s/^\([a-z-]*\):.*## .*/\1/p' Makefile) CC CXX CPPFLAGS LDFLAGS \
        AR LD SAN DEBUG DESTDIR T V QUICK; do
        grep -qE -- "(^|[ '])$word([ =]|\$)" "$scratch/help" || { echo "not named: $word" && wrong=1; }
    done
    return $wrong
}

# A first impression: a line now and then, and how to see more.
show() {
    plan run O="$scratch/none" && not_planned '--gc-trace|GCHEAP_TRACE=1 .*/(lisp|osier|hello)' &&
        planned 'GCHEAP_TRACE=1 make run' && "$BUILD/hello" >"$scratch/out" 2>"$scratch/err" && [[ ! -s $scratch/err ]] &&
        grep -E '^[0-9]+ collections, longest stall [0-9]+ us, ' "$scratch/out" && [[ $(wc -l <"$scratch/out") == 1 ]]
}
# The demonstrations end with what the heap did; here one of them, in less time.
summary() {
    sed 's/sleep(3)/sleep(0.1)/; s/0\.\.10000/0..100/' examples/osier/demo.osr >"$scratch/demo.osr" &&
        "$BUILD/osier" "$scratch/demo.osr" >"$scratch/out" 2>"$scratch/err" && [[ ! -s $scratch/err ]] &&
        tail -4 "$scratch/out" | paste -sd' ' |
        grep -E '^allocated +[0-9]+ MiB live +[0-9.]+ MiB collections +[0-9]+ longest stall +[0-9.]+ ms$'
}

# What a hosted repository runs for each change is what the project runs.
workflow() { grep -qE '^ *- run: \.ci/run$' .github/workflows/ci.yml && [[ -x .ci/run ]]; }

release=gcheap-$(sed -n 's/^#define GC_VERSION_[A-Z]* //p' gcheap.h | paste -sd.)
dist() {
    quiet dist O="$scratch/one" && tar -C "$scratch" -xzf "$scratch/one/$release.tar.gz" &&
        diff <(git ls-files 2>/dev/null | cat - <(printf '%s\n' docs/gcheap.3 docs/gcheap-heap.1 docs/gcheap-pprof.1) | sort) \
            <(cd "$scratch/$release" && find . -type f | sed 's|^\./||' | sort)
}
# In the unpacked release: the same single file is made, and the manual page is there without pandoc.
release_builds() {
    quiet -C "$scratch/$release" amalgamation PKG_CONFIG=false &&
        cmp "$scratch/one/gcheap_all.c" "$scratch/$release/build/gcheap_all.c" &&
        plan -C "$scratch/$release" install PANDOC=none DESTDIR="$scratch/none" && planned 'install -m 644 docs/gcheap\.3 '
}
zip_holds() {
    perl -MIO::Uncompress::Unzip=:all -e '
        my $zip = IO::Uncompress::Unzip->new(shift) or die $UnzipError;
        do {
            my $name = $zip->getHeaderInfo->{Name};
            my $text = do { local $/; <$zip> };
            printf "%s %s\n", $name, length $text > 500 ? "full" : "short";
        } while $zip->nextStream > 0' "$scratch/one/$release-amalgamation.zip" >"$scratch/out" &&
        diff <(printf "$release/%s full\n" README gcheap.h gcheap.hpp gcheap_all.c) "$scratch/out"
}

check 'make builds the library alone' library_alone
check 'make lib does' library_alone lib
check 'the examples need libedit' needs libedit-dev examples B="$BUILD" PKG_CONFIG=no-libedit
check 'the amalgamation needs no library, and no CC' amalgamation
for goal in run test setup; do
    check "make $goal installs" installs make $goal O="$scratch/none" PKG_CONFIG=false
done
for goal in lib all check install bench model mutants stress; do
    check "make $goal installs nothing" needs liburcu-dev $goal PKG_CONFIG=false
done
for goal in docs dist; do
    check "make $goal installs nothing" needs pandoc $goal PANDOC=no-pandoc
done
check 'a compiler that is not there is named' unknown_compiler
check 'variables are honoured' variables
check 'make -f from another folder' elsewhere
check 'make -f with O' elsewhere_to
check 'make -C' from_above
check 'O is a folder of its own' other_build
check 'make help has every variable and goal' help
check 'make run shows, and does not trace' show
check 'and tells what the heap did' summary
check 'the workflow calls .ci/run' workflow
[[ ! -e .git ]] || check 'a release has the sources and the manual page' dist
[[ ! -e .git ]] || check 'the release builds' release_builds
[[ ! -e .git ]] || check 'the zip has four files' zip_holds
done_testing
