/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2 and FMA. */
#if defined(__x86_64__)
#define LANES        8
#define SUFFIX(name) name##_avx2
#include "pattern/blocks_body.h"
#else
typedef int blocks_avx2_is_for_x86; /* ISO C wants a declaration in every file */
#endif
