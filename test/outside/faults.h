/* What a program asks of faults.c, which is preloaded. */
#ifndef FAULTS_H
#define FAULTS_H

#include <stdbool.h>
#include <stdint.h>

/* Calls of the library, or program, that this function is in are counted. */
bool faults_of(void *function);
/* The kth call from the first faults_set() on fails; UINT64_MAX: none does; 0: nor is any counted
 * from now on. */
void faults_set(uint64_t k);
/* The name of the call that failed; NULL: none has. */
const char *faults_failed(void);
/* Bytes that the library has mapped, less what it has unmapped. */
int64_t faults_mapped(void);

#endif
