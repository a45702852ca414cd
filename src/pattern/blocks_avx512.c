/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512: a group of 16 rows is one vector, and comparisons give its bits. */
#if defined(__x86_64__)
#define LANES        16
#define SUFFIX(name) name##_avx512
#include "pattern/blocks_body.h"
#else
typedef int blocks_avx512_is_for_x86; /* ISO C wants a declaration in every file */
#endif
