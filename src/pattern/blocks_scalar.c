/* SPDX-License-Identifier: Apache-2.0 */
/* No instruction set beyond the compiler's default (SSE2 on x86). */
#define LANES        4
#define SUFFIX(name) name##_scalar
#include "pattern/blocks_body.h"
