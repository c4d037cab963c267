/* Where in the program code stands: the functions that called each other, by the unwind tables and
 * symbol tables of the program. For messages; slow. */
#ifndef GC_PLACE_H
#define GC_PLACE_H

#include "base/forkpart.h"

#define PLACE_FRAMES 8

/* Return addresses, innermost first; 0 where there are no more. */
struct callers {
    uintptr_t pc[PLACE_FRAMES];
};

/* The functions that the calling thread is in. Those whose stack pointer lies below `sp` are left
 * out. */
void place_take(struct callers *p, uintptr_t sp);
/* The same, but for the library's own, of which there may be many. */
void place_take_program(struct callers *p, uintptr_t sp);
/* For a handler of a signal: the functions that the thread was in when the signal came. Unwinds
 * what may be unwound there once place_take() has been called. */
void place_take_interrupted(struct callers *p);
/* Writes "build+0x1f < main+0x33" to `text`; "?" if nothing is known. Leaves out the frames of the
 * library, and what is far out. Returns `text`. */
const char *place_text(const struct callers *p, char *text, size_t room);

/* The stack pointer of each function that the calling thread is in, with its address in it; for
 * finding the function in whose frame a local lies. Returns how many there are, `most` at most. */
struct place_frame {
    uintptr_t sp, pc;
};
size_t place_frames(struct place_frame *frames, size_t most, uintptr_t sp);
/* How many of the innermost frames belong to the library: those of a public call and within. */
size_t place_skip(const struct place_frame *frames, size_t n);
/* Writes the name of the function that contains pc, or its module and offset. */
const char *place_function(uintptr_t pc, char *text, size_t room);
/* Calls fn for the writable static data of the program and its shared libraries. */
void place_each_data(void (*fn)(void *arg, uintptr_t low, uintptr_t high), void *arg);
/* The parts of the program and its shared libraries that have code: [low, high), where it begins in
 * its file, and the file's path. Returns how many there are, `most` at most. `program` gets the
 * program's own path. */
struct place_code {
    uintptr_t low, high;
    size_t offset;
    const char *path;
};
size_t place_codes(struct place_code *codes, size_t most, char *program, size_t room);
/* Writes the name of the variable that contains the address. false: it is not known. */
bool place_variable(uintptr_t address, char *text, size_t room);

#define PLACE_FORK_RANKS LOCK_BIT(LOCK_PLACE)
extern const struct fork_part place_fork;

#endif
