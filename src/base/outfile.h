/* A text file that is written in pieces, and is there as a whole or not at all. Until the end, the
 * text goes to a file of another name in the same folder. So what was at the path stays as it was
 * if something fails, or if the process ends. What is no regular file (a pipe, a terminal, a link
 * to a file, as /dev/stdout may be) is written to as it is. One buffer; nothing of malloc(). */
#ifndef GC_OUTFILE_H
#define GC_OUTFILE_H

#include "base/base.h"

struct outfile;

/* 0, or a negative errno. */
int outfile_open(const char *path, struct outfile **opened);
/* These note an error, and write nothing more after one. */
void outfile_text(struct outfile *f, const char *text);
void outfile_hex(struct outfile *f, uint64_t n);
void outfile_decimal(struct outfile *f, uint64_t n);
/* Whether an error was noted. */
bool outfile_has_failed(const struct outfile *f);
/* Ends the file: 0, and it is complete at its path; or the first error, a negative errno, and
 * nothing of it is left. `keep` false: as after an error. */
int outfile_close(struct outfile *f, bool keep);

#endif
