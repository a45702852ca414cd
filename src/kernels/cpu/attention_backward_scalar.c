/* SPDX-License-Identifier: Apache-2.0 */
/* The baseline of the architecture: four lanes, which every 64-bit CPU has (SSE2, NEON). */
#define LANES        4
#define STEP_KEYS    2
#define STEP_COLUMNS 2
#define SUFFIX(name) name##_scalar
#include "kernels/cpu/attention_backward_body.h"
