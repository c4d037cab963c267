# gcheap. `make help` lists the goals and the variables.
#
# `make` builds the library. `make run`, `make test` and `make setup` install what they need; every
# other goal says what is missing.

# From another folder (make -f FOLDER/Makefile) the goals are those of FOLDER, and what is built goes to
# `build` where make was called, or to O.
HERE := $(realpath $(dir $(lastword $(MAKEFILE_LIST))))
ifneq ($(HERE),$(CURDIR))

GOALS := $(or $(MAKECMDGOALS),lib)
.PHONY: $(GOALS) elsewhere
$(GOALS): elsewhere ;
elsewhere:
	@$(MAKE) --no-print-directory -C $(HERE) O=$(abspath $(or $(O),build)) $(MAKECMDGOALS)

else

# ---- Where things go -----------------------------------------------------------------------

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
BINDIR     ?= $(PREFIX)/bin
MANDIR     ?= $(PREFIX)/share/man
# Where GDB looks for commands that belong to a shared library: the library's path is added.
GDBDIR     ?= $(PREFIX)/share/gdb/auto-load

O ?= build
B := $(O:%/=%)$(if $(PLATFORM),-$(PLATFORM))$(if $(SAN),-$(SAN))$(if $(filter-out 0,$(DEBUG)),-debug)

.DEFAULT_GOAL := lib
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

# ---- Another platform ----------------------------------------------------------------------

# What is built for PLATFORM runs under RUNNER here: by qemu-user, except for i386 and musl on x86-64; by Wine;
# by Node. It has the compiler's atomics instead of liburcu, which Debian does not have for cross compilers.
UNIX := yes
ifneq ($(PLATFORM),)
TRIPLES  := aarch64=aarch64-linux-gnu arm=arm-linux-gnueabihf i386=i686-linux-gnu \
            ppc64le=powerpc64le-linux-gnu riscv64=riscv64-linux-gnu s390x=s390x-linux-gnu \
            windows=x86_64-w64-mingw32
TRIPLE   := $(patsubst $(PLATFORM)=%,%,$(filter $(PLATFORM)=%,$(TRIPLES)))
NATIVE   := $(if $(filter x86_64,$(shell uname -m)),i386) musl
RUNNER_windows := test/each wine
RUNNER_wasm    := test/each node --no-warnings test/wasi.mjs
RUNNER   ?= $(or $(RUNNER_$(PLATFORM)),$(if $(filter $(PLATFORM),$(NATIVE)),,qemu-$(PLATFORM)))
ifeq ($(TRIPLE)$(filter musl wasm,$(PLATFORM)),)
$(error PLATFORM is '$(PLATFORM)'; there are: $(foreach t,$(TRIPLES),$(firstword $(subst =, ,$t))) musl wasm)
endif
ifeq ($(origin CC),default)
CC := $(or $(if $(TRIPLE),$(TRIPLE)-gcc),$(if $(filter wasm,$(PLATFORM)),clang --target=wasm32-wasi),musl-gcc)
endif
UNIX := $(if $(filter windows wasm,$(PLATFORM)),,yes)
ifneq ($(TRIPLE),)
AR := $(TRIPLE)-ar
LD := $(TRIPLE)-ld
OBJCOPY := $(TRIPLE)-objcopy
endif
# Its C library is where the cross compiler has it.
ifneq ($(and $(TRIPLE),$(UNIX)),)
LDFLAGS += -Wl,-rpath,/usr/$(TRIPLE)/lib \
           -Wl,-dynamic-linker,$(firstword $(wildcard /usr/$(TRIPLE)/lib/ld*.so.[0-9]))
endif
# Messages name functions by unwind tables, which gcc makes of C for these only if it is asked.
ifneq ($(filter $(PLATFORM),arm riscv64),)
PLATFORM_FLAGS := -funwind-tables
endif
# Debian's musl-gcc has gcc's unwinder for glibc. What that asks of the C library is compiled with each program;
# and it names pthread_once weakly, so that a static program would not have it.
ifeq ($(PLATFORM),musl)
LDFLAGS += @test/platform/musl.flags
endif
# The libraries of the system that the library needs. Of riscv64, as it has no instruction for an atomic
# operation on one byte.
PLATFORM_LIBS := $(if $(filter riscv64,$(PLATFORM)),-latomic) $(if $(filter windows,$(PLATFORM)),-lsynchronization)
# The compiler adds ".exe" to the name of a program; rules name it without.
ifeq ($(PLATFORM),windows)
export WINEPREFIX ?= $(abspath $(O))/wine
export WINEDEBUG ?= -all
LDFLAGS += -static
NAMED = && mv $@.exe $@
endif
ifeq ($(PLATFORM),wasm)
AR := llvm-ar
LDFLAGS += -Wl,-z,stack-size=1048576
endif
endif

# ---- Compilers and flags -------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := $(if $(SAN),clang,gcc)
endif
ifeq ($(origin CXX),default)
CXX := $(if $(SAN),clang++,g++)
endif
HOSTCC     ?= cc
OBJCOPY    ?= objcopy
PKG_CONFIG ?= pkg-config
PANDOC     ?= pandoc
PROTOC_C   ?= protoc-c

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wundef -Wmissing-prototypes -pedantic
CFLAGS   ?= $(if $(filter-out 0,$(DEBUG)),-O1 -g,-O2 -g)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
DEFINES  := -D_GNU_SOURCE $(if $(SAN)$(PLATFORM),-DGC_ATOMICS_C11) \
            $(if $(filter-out 0,$(DEBUG)),-DGC_DEBUG=1)

# Asked when a recipe needs them: set-up may just have installed the answer.
URCU_FLAGS = $(if $(PLATFORM),,$(shell $(PKG_CONFIG) --cflags liburcu-cds atomic_ops))
URCU_LIBS  = $(if $(PLATFORM),$(PLATFORM_LIBS),$(shell $(PKG_CONFIG) --libs liburcu-cds))
EDIT_FLAGS = $(shell $(PKG_CONFIG) --cflags libedit)
EDIT_LIBS  = $(shell $(PKG_CONFIG) --libs libedit)
PPROF_FLAGS = $(shell $(PKG_CONFIG) --cflags libprotobuf-c zlib)
PPROF_LIBS  = $(shell $(PKG_CONFIG) --libs libprotobuf-c zlib)

THREADS := $(if $(filter wasm,$(PLATFORM)),,-pthread)
SHARED  := $(if $(UNIX),-fPIC -fvisibility=hidden)

say     = $(if $(V),,@echo '$1 $@';)
COMPILE = $(CC) -std=c11 $(DEFINES) $(WARNINGS) $(CPPFLAGS) $(CFLAGS) $(PLATFORM_FLAGS) $(SANFLAGS) $(THREADS) -MMD -MP
LINK    = $(CC) $(CFLAGS) $(SANFLAGS) $(THREADS) $(LDFLAGS)

# ---- Files ---------------------------------------------------------------------------------

GENERATORS := $(wildcard src/memory/mk*.c)
SOURCES    := $(filter-out $(GENERATORS),$(wildcard src/*/*.c))
OBJECTS    := $(SOURCES:%.c=$(B)/%.o)
GENERATED  := $(foreach g,$(GENERATORS),$(B)/gen/$(patsubst mk%.c,%_table.h,$(notdir $g)))
LIBRARY    := $(B)/libgcheap.a $(if $(UNIX),$(B)/libgcheap.so)

# An example is one file, or a directory of files.
EXAMPLES := $(patsubst examples/%.c,$(B)/%,$(wildcard examples/*.c)) \
            $(patsubst examples/%/,$(B)/%,$(sort $(dir $(wildcard examples/*/*.c))))

# A test is in the folder of test/ that is named like its module's folder in src/; a test of one module
# has its name. Tests of the library as a whole are in test/whole. Each file is a program; a folder with a
# main.c is one, too.
TEST_SOURCES := $(foreach f,$(notdir $(wildcard src/*)) whole,$(wildcard test/$f/*.c))
TEST_NAMES   := $(notdir $(TEST_SOURCES:.c=) $(patsubst %/main.c,%,$(wildcard test/*/main.c)))
ifneq ($(words $(TEST_NAMES)),$(words $(sort $(TEST_NAMES))))
$(error Two test programs have one name: $(TEST_NAMES))
endif
ifneq ($(wildcard test/*.c),)
$(error Move each test to the folder of test/ that is named like its module's folder in src/: $(wildcard test/*.c))
endif
# The others call what these systems do not have.
TESTS_windows := api atomics attach backing barriers beside bits cells edges events fills finalizer fixalloc \
    growth handles intern interntable introspect litmus lock mark marked marking metrics mistakes \
    objects pacer pagealloc parting peaks pool proc quiet root roottable sampler shape sizeclass spans spanset \
    stalls statistics tagged threads types weak weakmap weakslot weaktable workbuf
TESTS_wasm    := atomics bits pacer pagealloc roottable sampler shape sizeclass spans
# musl has no swapcontext().
WITHOUT_musl  := outside self stacks
TEST_CHOICE   := $(filter-out $(WITHOUT_$(PLATFORM)),$(or $(TESTS_$(PLATFORM)),$(TEST_NAMES)))
UNIT_TESTS   := $(addprefix $(B)/test/,$(sort $(filter $(TEST_CHOICE),$(TEST_NAMES))))
# The longest first.
SCRIPT_TESTS := $(if $(UNIX),test/stress.sh) $(if $(PLATFORM),,$(filter-out test/stress.sh,$(wildcard test/*.sh)))
TESTS        := $(foreach t,$(SCRIPT_TESTS) $(UNIT_TESTS),\
                  $(if $(strip $(if $(T),,all) $(foreach p,$(T),$(findstring $p,$(notdir $t)))),$t))

number   = $(shell sed -n 's/^.define GC_$1 //p' gcheap.h)
VERSION := $(call number,VERSION_MAJOR).$(call number,VERSION_MINOR).$(call number,VERSION_PATCH)
SONAME  := libgcheap.so.$(call number,ABI)

# ---- Set-up --------------------------------------------------------------------------------

# These goals install what they need; the others only say what is missing.
INSTALLING := run test setup
GOALS      := $(or $(MAKECMDGOALS),lib)

.PHONY: setup
setup: ## installs what make run and make test need, and goals named beside it
ifneq ($(filter-out clean help uninstall,$(GOALS)),)
	@CC='$(CC)' HOSTCC='$(HOSTCC)' AR='$(AR)' LD='$(LD)' OBJCOPY='$(OBJCOPY)' PKG_CONFIG='$(PKG_CONFIG)' \
	  PANDOC='$(PANDOC)' PROTOC_C='$(PROTOC_C)' PLATFORM='$(PLATFORM)' TRIPLE='$(TRIPLE)' RUNNER='$(RUNNER)' \
	  test/setup $(if $(filter $(INSTALLING),$(GOALS)),,--check) $(if $(SAN),sanitizers) $(GOALS)
endif

# ---- The library ---------------------------------------------------------------------------

.PHONY: lib
lib: $(LIBRARY) ## the library (the default)

$(B)/gen/mk%: src/memory/mk%.c | setup
	@mkdir -p $(@D)
	$(call say,cc) $(HOSTCC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -O1 -Isrc -I. -o $@ $<

.PHONY: classes
classes: $(B)/gen/mksizeclass ## the size classes, and what their spans waste
	@$< table

$(B)/gen/%_table.h: $(B)/gen/mk%
	$(call say,gen) $< > $@

$(B)/src/%.o: src/%.c | setup $(GENERATED)
	@mkdir -p $(@D)
	$(call say,cc) $(COMPILE) $(SHARED) -I. -Isrc -I$(B)/gen $(URCU_FLAGS) -c -o $@ $<

# One object, whose internal names are local: nothing of it can clash with the embedder's.
$(B)/libgcheap.o: $(OBJECTS)
	$(call say,ld) $(LD) -r -o $@ $^
	@$(OBJCOPY) --localize-hidden $@

$(B)/libgcheap.a: $(if $(UNIX),$(B)/libgcheap.o,$(OBJECTS))
	@rm -f $@
	$(call say,ar) $(AR) rcs $@ $^

$(B)/libgcheap.so: $(OBJECTS)
	$(call say,ld) $(LINK) -shared -Wl,-soname,$(SONAME) $(if $(SAN),,-Wl,-z,defs) -o $@ $^ $(URCU_LIBS)
	@ln -sf $(@F) $(@D)/$(SONAME)

# ---- Tools ---------------------------------------------------------------------------------

# The format of pprof is written by protobuf-c and zlib, which the library itself does without.
$(B)/gen/profile.pb-c.c: src/api/tools/profile.proto | setup
	@mkdir -p $(@D)
	$(call say,gen) $(PROTOC_C) --proto_path=$(<D) --c_out=$(@D) $(<F)

$(B)/gcheap-pprof: src/api/tools/gcheap-pprof.c $(B)/gen/profile.pb-c.c
	$(call say,cc) $(COMPILE) -I$(B)/gen $(PPROF_FLAGS) -o $@ $^ $(LDFLAGS) $(PPROF_LIBS) -lm

.PHONY: tools
tools: $(B)/gcheap-pprof ## gcheap-pprof, which makes profiles for pprof

# ---- Examples ------------------------------------------------------------------------------

$(B)/examples/%.o: examples/%.c | setup
	@mkdir -p $(@D)
	$(call say,cc) $(COMPILE) -I. -I$(<D) $(EDIT_FLAGS) -c -o $@ $<

define example
$(B)/$1: $(patsubst %.c,$(B)/%.o,$(wildcard examples/$1.c examples/$1/*.c)) $(B)/libgcheap.a
	$$(call say,ld) $$(LINK) -o $$@ $$^ $$(URCU_LIBS) $$(EDIT_LIBS) -lm
endef
$(foreach e,$(notdir $(EXAMPLES)),$(eval $(call example,$e)))

.PHONY: examples all run
examples: $(EXAMPLES) ## the examples
all: lib examples ## library and examples

run: $(EXAMPLES) ## builds and runs the examples
	$(B)/hello
	$(B)/lisp examples/lisp/demo.scm
	$(B)/osier examples/osier/demo.osr
	$(B)/duo
	@echo; echo 'To see each collection: GCHEAP_TRACE=1 make run'

# ---- Tests ---------------------------------------------------------------------------------

# A test program sees the library's insides: it is linked with its objects.
$(B)/test/o/%.o: test/%.c | setup $(GENERATED)
	@mkdir -p $(@D)
	$(call say,cc) $(COMPILE) -I. -Isrc -Itest -I$(B)/gen $(URCU_FLAGS) -c -o $@ $<

test_files = $(if $(wildcard test/$1/main.c),$(wildcard test/$1/*.c),$(filter %/$1.c,$(TEST_SOURCES)))
# One that includes its module's source, to reach between two lines of it, takes the place of the object.
INSIDE    := $(shell grep -ls '^.include "src/' $(TEST_SOURCES))
replaced   = $(patsubst test/%.c,$(B)/src/%.o,$(filter $(INSIDE),$(call test_files,$1)))

define unit_test
$(B)/test/$1: $(patsubst test/%.c,$(B)/test/o/%.o,$(call test_files,$1)) \
    $(filter-out $(call replaced,$1),$(OBJECTS))
	$$(call say,ld) $$(LINK) -o $$@ $$^ $$(URCU_LIBS) -lm $$(NAMED)
endef
$(foreach t,$(TEST_NAMES),$(eval $(call unit_test,$t)))

.PHONY: test test-programs stress check mutants
# Scripts may use whatever there is.
test-programs: $(filter $(B)/%,$(TESTS)) \
    $(if $(filter test/stress.sh,$(TESTS)),$(B)/test/shadow) \
    $(if $(filter test/pagesize.sh,$(TESTS)),$(addprefix $(B)/test/,os fixalloc hugepages collect)) \
    $(if $(filter-out test/stress.sh,$(filter %.sh,$(TESTS))),$(LIBRARY) $(EXAMPLES)) \
    $(if $(filter test/observe.sh,$(TESTS)),$(B)/gcheap-pprof)

test: test-programs ## every test; SAN=…, DEBUG=1, PLATFORM=…, T='word…'
	@BUILD=$(B) CC='$(CC)' CXX='$(CXX)' SAN='$(SAN)' SANFLAGS='$(SANFLAGS)' RUNNER='$(RUNNER)' \
	  test/run $(TESTS)

MINUTES ?= 10

stress: $(B)/test/shadow ## rounds of random graphs, threads and switches; MINUTES=10 SAN=…
	@BUILD=$(B) STRESS_SECONDS=$$(($(MINUTES) * 60)) TEST_TIMEOUT=$$(($(MINUTES) * 60 + 1800)) \
	  test/run test/stress.sh

# The manual pages.
PAGES := gcheap.3 gcheap-heap.1 gcheap-pprof.1

check: $(GENERATED) $(B)/libgcheap.a $(PAGES:%=$(B)/%) ## layers, format, warnings, C++, lint, manual page
	@BUILD=$(B) WARNINGS='$(WARNINGS)' test/run test/check

mutants: | setup ## faults put into the library, each found by a test; T='word…'
	@BUILD=$(B) MAKE='$(MAKE)' test/mutants/run $(T)

.PHONY: model
model: | setup ## the Spin models; QUICK=1: in a minute
	test/model/run $(if $(filter-out 0,$(QUICK)),--quick)

# ---- Installing ----------------------------------------------------------------------------

D := $(DESTDIR)

$(PAGES:%=$(B)/%): $(B)/%: docs/%.md | setup
	@mkdir -p $(@D)
	$(call say,man) $(PANDOC) -s -f markdown-smart -t man -o $@.pandoc $<
	@sed 's/\\f\[C\]/\\f[CR]/g; /^\.SH/{n;/^\.PP/d;}' $@.pandoc > $@

# One C file that builds alone; see the comment at its head.
$(B)/gcheap_all.c: test/amalgamate gcheap.h src/api/gcheap.hpp $(wildcard src/*/*.[ch]) $(GENERATED)
	$(call say,gen) test/amalgamate $(B)/gen > $@
	@cp gcheap.h src/api/gcheap.hpp $(@D)

.PHONY: amalgamation docs install dist uninstall
amalgamation: $(B)/gcheap_all.c ## gcheap_all.c and the headers in build/: the library in one file
docs: $(PAGES:%=$(B)/%) ## the manual pages

# A release comes with the manual pages.
page   = $(or $(wildcard docs/$1),$(if $(shell command -v $(PANDOC)),$(B)/$1))
MANUAL = $(strip $(foreach p,$(PAGES),$(call page,$p)))
# What is made with libraries that the library itself does without is installed where these are.
PPROF  = $(if $(shell command -v $(PROTOC_C)),$(if $(PPROF_LIBS),$(B)/gcheap-pprof))

# What pkg-config and CMake read finds its prefix from its own place; a library folder elsewhere is absolute.
parents     = $(subst $(space),/,$(patsubst %,..,$(subst /, ,$(1:$(PREFIX)/%=%))))
space      := $(subst ,, )
inside      = $(if $(filter $(PREFIX)/%,$1),$2/$(1:$(PREFIX)/%=%),$1)
from_prefix = $(if $(filter $(PREFIX)/%,$(LIBDIR)),$1/$(call parents,$(LIBDIR)/$2),$(PREFIX))
FILL = sed -e 's|@VERSION@|$(VERSION)|g' -e 's|@MAJOR@|$(call number,VERSION_MAJOR)|g' -e 's|@SONAME@|$(SONAME)|g' \
  -e 's|@URCU_LIBS@|$(strip $(URCU_LIBS))|g' -e 's|@PREFIX@|$(call from_prefix,$1,$2)|g' \
  -e 's|@LIBDIR@|$(call inside,$(LIBDIR),$3)|g' -e 's|@INCLUDEDIR@|$(call inside,$(INCLUDEDIR),$3)|g'

install: $(LIBRARY) $(MANUAL) $(PPROF) ## PREFIX=/usr/local DESTDIR=
	install -d $(D)$(LIBDIR)/pkgconfig $(D)$(LIBDIR)/cmake/gcheap $(D)$(INCLUDEDIR) $(D)$(BINDIR) $(D)$(GDBDIR)$(LIBDIR)
	install -m 644 gcheap.h src/api/gcheap.hpp $(D)$(INCLUDEDIR)
	install -m 644 $(B)/libgcheap.a $(D)$(LIBDIR)/libgcheap.a
	install -m 755 $(B)/libgcheap.so $(D)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(D)$(LIBDIR)/libgcheap.so
	$(call FILL,$${pcfiledir},pkgconfig,$${prefix}) src/api/gcheap.pc.in > $(D)$(LIBDIR)/pkgconfig/gcheap.pc
	for file in gcheap-config gcheap-config-version; do \
	  $(call FILL,$${CMAKE_CURRENT_LIST_DIR},cmake/gcheap,$${gcheap_prefix}) src/api/$$file.cmake.in \
	    > $(D)$(LIBDIR)/cmake/gcheap/$$file.cmake || exit 1; done
	install -m 755 src/api/tools/gcheap-heap $(D)$(BINDIR)/gcheap-heap
	install -m 644 src/api/tools/gcheap-gdb.py $(D)$(GDBDIR)$(LIBDIR)/$(SONAME)-gdb.py
ifeq ($(PPROF),)
	@echo 'gcheap-pprof is not installed: it is made with protobuf-c and zlib, which are not here.'
else
	install -m 755 $(PPROF) $(D)$(BINDIR)/gcheap-pprof
endif
ifeq ($(MANUAL),)
	@echo 'The manual pages are not installed: they are made with pandoc, which is not here.'
else
	install -d $(D)$(MANDIR)/man1 $(D)$(MANDIR)/man3
	install -m 644 $(filter %.1,$(MANUAL)) $(D)$(MANDIR)/man1
	install -m 644 $(filter %.3,$(MANUAL)) $(D)$(MANDIR)/man3
endif

dist: $(B)/gcheap_all.c $(PAGES:%=$(B)/%) ## a tarball of the sources, and a zip of the amalgamation
	test/dist $(B) $(VERSION)

uninstall: ## removes what install put there
	rm -f $(D)$(INCLUDEDIR)/gcheap.h $(D)$(INCLUDEDIR)/gcheap.hpp \
	  $(D)$(LIBDIR)/libgcheap.a $(D)$(LIBDIR)/libgcheap.so* \
	  $(D)$(LIBDIR)/pkgconfig/gcheap.pc $(D)$(MANDIR)/man3/gcheap.3 $(D)$(MANDIR)/man1/gcheap-heap.1 \
	  $(D)$(BINDIR)/gcheap-heap $(D)$(GDBDIR)$(LIBDIR)/$(SONAME)-gdb.py \
	  $(D)$(MANDIR)/man1/gcheap-pprof.1 $(D)$(BINDIR)/gcheap-pprof
	rm -rf $(D)$(LIBDIR)/cmake/gcheap

# ---- Measuring -----------------------------------------------------------------------------

.PHONY: bench bench-quick
bench: all ## gcheap and its peers, less than 15 minutes
	BUILD=$(B) bench/run
bench-quick: all ## smaller sizes, less than two minutes
	BUILD=$(B) bench/run --quick

# ---- The rest ------------------------------------------------------------------------------

.PHONY: clean help
clean: ## removes every build directory; with O=, what was built there
	rm -rf $(if $(filter build,$(O)),build build-*,$(addprefix $(B)/,src gen test examples bench \
	  lib* gcheap* dist $(notdir $(EXAMPLES))))

define VARIABLES
Variables
  O=build              where to build; SAN and DEBUG add to the name
  CC CXX CFLAGS        compilers; CFLAGS replaces the optimisation, never the warnings
  CPPFLAGS LDFLAGS     added to what the compiler and the linker are called with
  HOSTCC=cc            compiles what runs while the library is built
  AR LD OBJCOPY PKG_CONFIG PANDOC PROTOC_C
                       programs to use instead
  SAN=address|undefined|thread
                       instrumented build by clang, with C11 atomics, in build-$$(SAN)
  DEBUG=1              internal checks on (GC_DEBUG), in build-debug
  PLATFORM=aarch64|arm|i386|musl|ppc64le|riscv64|s390x|windows|wasm
                       cross-compiled, in build-$$(PLATFORM); test programs run under qemu-user, Wine, Node
  RUNNER=command       runs them instead
  PREFIX=/usr/local DESTDIR LIBDIR INCLUDEDIR BINDIR MANDIR GDBDIR
                       where make install puts things
  T='word ...'         make test, mutants: only those whose name contains one of these words
  MINUTES=10           make stress: how long
  QUICK=1              make model: in a minute
  V=1                  shows whole command lines
endef

help: ## this list
	@echo Goals
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 23
	@echo; echo "$$VARIABLES"
help: export VARIABLES := $(VARIABLES)

-include $(wildcard $(addprefix $(B)/,src/*/*.d test/o/*/*.d examples/*.d examples/*/*.d))

endif
