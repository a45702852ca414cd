/* SPDX-License-Identifier: Apache-2.0 */
/* AVX2 and FMA: 8 of the 16 registers are accumulators, 2 hold the operand of the rows, 1 the broadcast operand. */
#if defined(__x86_64__)
#define LANES        8
#define STEP_KEYS    4
#define STEP_COLUMNS 4
#define SUFFIX(name) name##_avx2
#include "kernels/cpu/attention_backward_body.h"
#else
typedef int attention_backward_avx2_is_for_x86; /* ISO C wants a declaration in every file */
#endif
