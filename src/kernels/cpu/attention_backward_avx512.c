/* SPDX-License-Identifier: Apache-2.0 */
/* AVX-512: a vector is a whole group; the broadcast operand comes straight from memory inside the FMA. */
#if defined(__x86_64__)
#define LANES        16
#define STEP_KEYS    8
#define STEP_COLUMNS 16
#define SUFFIX(name) name##_avx512
#include "kernels/cpu/attention_backward_body.h"
#else
typedef int attention_backward_avx512_is_for_x86; /* ISO C wants a declaration in every file */
#endif
