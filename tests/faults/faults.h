/* SPDX-License-Identifier: Apache-2.0 */
/* Operations that fail when told to: allocations, file operations and starts of threads (faults.c), or CUDA
 * calls (faults_cuda.c).  The linker puts these in the place of the C library's and of CUDA's (--wrap) in the test
 * programs alone, so that the library is tested as it is built for users. */
#ifndef VIC_TESTS_FAULTS_H
#define VIC_TESTS_FAULTS_H

#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* From now on the n-th operation fails, and with `all_after` every later one too; n is counted from 1. */
void faults_begin(long n, bool all_after);

/* How many operations there were since faults_begin(); the names of the first `room` of them go to `names`, NULL =
 * nowhere any more. */
long faults_count(void);
void faults_record(const char **names, long room);

/* From the next count on only operations on files count, or all again. */
void faults_files_only(bool only);

/* From now on nothing fails, but this signal comes just before the n-th operation, in the thread that does it. */
void faults_signal(long n, int number);

/* Nothing fails any more.  Has anything?  *operation: the name of the first that did. */
bool faults_end(const char **operation);

/* How pread() behaves from the next call on: as it is; each second call interrupted by a signal and the others giving
 * half of what was asked for; or, after `whole` calls, as at the end of a file that became shorter. */
enum faults_reads { READS_WHOLE, READS_PIECES, READS_NOTHING };
void faults_set_reads(enum faults_reads how, int whole);

/* For the replacements: count this one; shall it fail? */
bool faults_hit(const char *operation);

#ifdef __cplusplus
}
#endif
#endif
