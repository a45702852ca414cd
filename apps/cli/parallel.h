/* SPDX-License-Identifier: Apache-2.0 */
/* The same work on consecutive parts of 0 .. n - 1, on a few threads.  What is computed must not depend on the
 * split. */
#ifndef VICINAL_CLI_PARALLEL_H
#define VICINAL_CLI_PARALLEL_H

#include <stdint.h>

typedef void parallel_part(void *context, int64_t first, int64_t last);

void parallel_for(int threads, int64_t n, parallel_part *part, void *context); /* threads 0 = as many as there are */

#endif
