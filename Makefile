# gcheap. `make help` lists the targets; `make run` and `make test` work on a bare machine.
#
# Variables
#   CC CFLAGS            compiler; CFLAGS replaces the optimisation, never the warnings
#   SAN=address|undefined|thread
#                        instrumented build by clang, with C11 atomics, in build-$(SAN)
#   DEBUG=1              internal checks on (GC_DEBUG), in build-debug
#   PREFIX DESTDIR LIBDIR INCLUDEDIR MANDIR
#   T='word…'            make test, mutants: only those whose name contains one of these words
#   MINUTES=10           make stress: how long
#   V=1                  shows whole command lines

# ---- Where things go -----------------------------------------------------------------------

PREFIX     ?= /usr/local
LIBDIR     ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
MANDIR     ?= $(PREFIX)/share/man

B := build$(if $(SAN),-$(SAN))$(if $(filter-out 0,$(DEBUG)),-debug)

.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
.SUFFIXES:
.SECONDARY:

# ---- Compilers and flags -------------------------------------------------------------------

ifeq ($(origin CC),default)
CC := $(if $(SAN),clang,gcc)
endif
ifeq ($(origin CXX),default)
CXX := $(if $(SAN),clang++,g++)
endif
HOSTCC  ?= $(if $(SAN),gcc,$(CC))
LD      ?= ld
OBJCOPY ?= objcopy

WARNINGS := -Wall -Wextra -Wconversion -Wshadow -Wundef -Wmissing-prototypes -pedantic
CFLAGS   ?= $(if $(filter-out 0,$(DEBUG)),-O1 -g,-O2 -g)
SANFLAGS := $(if $(SAN),-fsanitize=$(SAN) -fno-sanitize-recover=all -fno-omit-frame-pointer)
DEFINES  := -D_GNU_SOURCE $(if $(SAN),-DGC_ATOMICS_C11) \
            $(if $(filter-out 0,$(DEBUG)),-DGC_DEBUG=1)

# Asked when a recipe needs them: set-up may just have installed the answer.
URCU_FLAGS = $(shell pkg-config --cflags liburcu-cds atomic_ops)
URCU_LIBS  = $(shell pkg-config --libs liburcu-cds)
EDIT_FLAGS = $(shell pkg-config --cflags libedit)
EDIT_LIBS  = $(shell pkg-config --libs libedit)

say     = $(if $(V),,@echo '$1 $@';)
COMPILE = $(CC) -std=c11 $(DEFINES) $(WARNINGS) $(CFLAGS) $(SANFLAGS) -pthread -MMD -MP
LINK    = $(CC) $(CFLAGS) $(SANFLAGS) -pthread $(LDFLAGS)

# ---- Files ---------------------------------------------------------------------------------

OTHER_OS   := $(if $(filter Linux,$(shell uname)),posix,linux)
GENERATORS := $(wildcard src/memory/mk*.c)
SOURCES    := $(filter-out $(GENERATORS) src/base/os_$(OTHER_OS).c,$(wildcard src/*/*.c))
OBJECTS    := $(SOURCES:%.c=$(B)/%.o)
GENERATED  := $(foreach g,$(GENERATORS),$(B)/gen/$(patsubst mk%.c,%_table.h,$(notdir $g)))
LIBRARY    := $(B)/libgcheap.a $(B)/libgcheap.so

# An example is one file, or a directory of files.
EXAMPLES := $(patsubst examples/%.c,$(B)/%,$(wildcard examples/*.c)) \
            $(patsubst examples/%/,$(B)/%,$(sort $(dir $(wildcard examples/*/*.c))))

UNIT_TESTS   := $(patsubst %.c,$(B)/%,$(wildcard test/*.c))
# The longest first.
SCRIPT_TESTS := test/stress.sh $(filter-out test/stress.sh,$(wildcard test/*.sh))
TESTS        := $(foreach t,$(SCRIPT_TESTS) $(UNIT_TESTS),\
                  $(if $(strip $(if $(T),,all) $(foreach p,$(T),$(findstring $p,$(notdir $t)))),$t))

number   = $(shell sed -n 's/^.define GC_$1 //p' gcheap.h)
VERSION := $(call number,VERSION_MAJOR).$(call number,VERSION_MINOR).$(call number,VERSION_PATCH)
SONAME  := libgcheap.so.$(call number,ABI)

# ---- Set-up --------------------------------------------------------------------------------

# These goals install what they need; the others only say what is missing.
INSTALLING := run test check install docs bench bench-quick model mutants stress setup
GOALS      := $(or $(MAKECMDGOALS),all)

.PHONY: setup
setup: ## install what the targets of this file need
ifneq ($(filter-out clean help uninstall,$(GOALS)),)
	@test/setup $(if $(filter $(INSTALLING),$(GOALS)),,--check) $(if $(SAN),sanitizers) $(GOALS)
endif

# ---- The library ---------------------------------------------------------------------------

.PHONY: all
all: $(LIBRARY) $(EXAMPLES) ## library and examples (the default)

$(B)/gen/mk%: src/memory/mk%.c | setup
	@mkdir -p $(@D)
	$(call say,cc) $(HOSTCC) -std=c11 -D_GNU_SOURCE $(WARNINGS) -O1 -Isrc -I. -o $@ $<

$(B)/gen/%_table.h: $(B)/gen/mk%
	$(call say,gen) $< > $@

$(B)/src/%.o: src/%.c | setup $(GENERATED)
	@mkdir -p $(@D)
	$(call say,cc) $(COMPILE) -fPIC -fvisibility=hidden -I. -Isrc -I$(B)/gen $(URCU_FLAGS) -c -o $@ $<

# One object, whose internal names are local: nothing of it can clash with the embedder's.
$(B)/libgcheap.o: $(OBJECTS)
	$(call say,ld) $(LD) -r -o $@ $^
	@$(OBJCOPY) --localize-hidden $@

$(B)/libgcheap.a: $(B)/libgcheap.o
	@rm -f $@
	$(call say,ar) $(AR) rcs $@ $<

$(B)/libgcheap.so: $(OBJECTS)
	$(call say,ld) $(LINK) -shared -Wl,-soname,$(SONAME) $(if $(SAN),,-Wl,-z,defs) -o $@ $^ $(URCU_LIBS)
	@ln -sf $(@F) $(@D)/$(SONAME)

# ---- Examples ------------------------------------------------------------------------------

$(B)/examples/%.o: examples/%.c | setup
	@mkdir -p $(@D)
	$(call say,cc) $(COMPILE) -I. -I$(<D) $(EDIT_FLAGS) -c -o $@ $<

define example
$(B)/$1: $(patsubst %.c,$(B)/%.o,$(wildcard examples/$1.c examples/$1/*.c)) $(B)/libgcheap.a
	$$(call say,ld) $$(LINK) -o $$@ $$^ $$(URCU_LIBS) $$(EDIT_LIBS) -lm
endef
$(foreach e,$(notdir $(EXAMPLES)),$(eval $(call example,$e)))

.PHONY: run
run: $(EXAMPLES) ## build, and run the examples
	$(B)/hello
	$(B)/lisp --gc-trace examples/lisp/demo.scm
	$(B)/osier --gc-trace examples/osier/demo.osr

# ---- Tests ---------------------------------------------------------------------------------

# A test program sees the library's insides: it is linked with its objects.
$(B)/test/%.o: test/%.c | setup $(GENERATED)
	@mkdir -p $(@D)
	$(call say,cc) $(COMPILE) -I. -Isrc -Itest -I$(B)/gen $(URCU_FLAGS) -c -o $@ $<

$(B)/test/%: $(B)/test/%.o $(OBJECTS)
	$(call say,ld) $(LINK) -o $@ $^ $(URCU_LIBS) -lm

.PHONY: test test-programs stress check mutants
# Scripts may use whatever there is.
test-programs: $(filter $(B)/%,$(TESTS)) \
    $(if $(filter test/stress.sh,$(TESTS)),$(B)/test/shadow) \
    $(if $(filter test/pagesize.sh,$(TESTS)),$(addprefix $(B)/test/,os fixalloc hugepages)) \
    $(if $(filter %.sh,$(TESTS)),$(LIBRARY) $(EXAMPLES))

test: test-programs ## every test; SAN=…, DEBUG=1, T='word…'
	@BUILD=$(B) CC='$(CC)' CXX='$(CXX)' SAN='$(SAN)' SANFLAGS='$(SANFLAGS)' test/run $(TESTS)

MINUTES ?= 10

stress: $(B)/test/shadow ## rounds of random graphs, threads and switches; MINUTES=10 SAN=…
	@BUILD=$(B) STRESS_SECONDS=$$(($(MINUTES) * 60)) TEST_TIMEOUT=$$(($(MINUTES) * 60 + 1800)) \
	  test/run test/stress.sh

check: $(GENERATED) $(B)/gcheap.3 ## storeys, format, warnings, C++, lint, manual page
	@BUILD=$(B) WARNINGS='$(WARNINGS)' test/run test/check

mutants: | setup ## faults put into the library, each found by a test; T='word…'
	@BUILD=$(B) MAKE='$(MAKE)' test/mutants/run $(T)

.PHONY: model
model: | setup ## the Spin models; QUICK=1: in a minute
	test/model/run $(if $(filter-out 0,$(QUICK)),--quick)

# ---- Installing ----------------------------------------------------------------------------

D := $(DESTDIR)

$(B)/gcheap.3: docs/gcheap.3.md | setup
	@mkdir -p $(@D)
	$(call say,man) pandoc -s -f markdown-smart -t man -o $@.pandoc $<
	@sed 's/\\f\[C\]/\\f[CR]/g; /^\.SH/{n;/^\.PP/d;}' $@.pandoc > $@

# One C file that builds alone; see the comment at its head.
$(B)/gcheap_all.c: test/amalgamate gcheap.h src/api/gcheap.hpp $(wildcard src/*/*.[ch]) $(GENERATED)
	$(call say,gen) test/amalgamate $(B)/gen > $@
	@cp gcheap.h src/api/gcheap.hpp $(@D)

.PHONY: amalgamation docs install uninstall
amalgamation: $(B)/gcheap_all.c ## gcheap_all.c and the headers in build/: the library in one file
docs: $(B)/gcheap.3 ## the manual page

install: $(LIBRARY) $(B)/gcheap.3 ## PREFIX=/usr/local DESTDIR=
	install -d $(D)$(LIBDIR)/pkgconfig $(D)$(INCLUDEDIR) $(D)$(MANDIR)/man3
	install -m 644 gcheap.h src/api/gcheap.hpp $(D)$(INCLUDEDIR)
	install -m 644 $(B)/libgcheap.a $(D)$(LIBDIR)/libgcheap.a
	install -m 755 $(B)/libgcheap.so $(D)$(LIBDIR)/libgcheap.so.$(VERSION)
	ln -sf libgcheap.so.$(VERSION) $(D)$(LIBDIR)/$(SONAME)
	ln -sf $(SONAME) $(D)$(LIBDIR)/libgcheap.so
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' \
	  'Name: gcheap' 'Description: Garbage-collected runtime heap to embed in language VMs' \
	  'Version: $(VERSION)' 'Requires.private: liburcu-cds' \
	  'Libs: -L$${libdir} -lgcheap' 'Libs.private: -pthread' 'Cflags: -I$${includedir}' \
	  > $(D)$(LIBDIR)/pkgconfig/gcheap.pc
	install -m 644 $(B)/gcheap.3 $(D)$(MANDIR)/man3/gcheap.3

uninstall: ## removes what install put there
	rm -f $(D)$(INCLUDEDIR)/gcheap.h $(D)$(INCLUDEDIR)/gcheap.hpp \
	  $(D)$(LIBDIR)/libgcheap.a $(D)$(LIBDIR)/libgcheap.so* \
	  $(D)$(LIBDIR)/pkgconfig/gcheap.pc $(D)$(MANDIR)/man3/gcheap.3

# ---- Measuring -----------------------------------------------------------------------------

.PHONY: bench bench-quick
bench: all ## gcheap and its peers, less than 15 minutes
	BUILD=$(B) bench/run
bench-quick: all ## smaller sizes, less than two minutes
	BUILD=$(B) bench/run --quick

# ---- The rest ------------------------------------------------------------------------------

.PHONY: clean help
clean: ## removes every build directory
	rm -rf build build-*

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

-include $(wildcard $(B)/src/*/*.d $(B)/test/*.d $(B)/examples/*.d $(B)/examples/*/*.d)
