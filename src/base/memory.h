/* SPDX-License-Identifier: Apache-2.0 */
/* Allocation: every size that comes from input goes through here, so that products cannot overflow in silence. */
#ifndef VIC_BASE_MEMORY_H
#define VIC_BASE_MEMORY_H

#include "base/status.h"

#include <stdlib.h>

#ifdef __cplusplus
extern "C" { /* the CUDA kernels are C++ */
#endif

/* *out = count elements of `size` bytes, 64-byte aligned, not cleared; free() it.  `what` names them in the error.
 * A count of 0 gives a valid pointer. */
vic_status mem_array(size_t count, size_t size, const char *what, void *out, vic_error *err);

/* Like mem_array(), cleared. */
vic_status mem_array_zero(size_t count, size_t size, const char *what, void *out, vic_error *err);

/* Make *array (from mem_array() or NULL) hold `count` elements, keeping what fits.  It stays valid and owned when it
 * fails.  Large arrays are not copied where the system can move pages.  Not aligned beyond malloc's. */
vic_status mem_resize(void *array, size_t count, size_t size, const char *what, vic_error *err);

/* Grow *array to hold at least `needed` elements, at least by half; *capacity follows.  The old array stays valid and
 * owned when it fails.  Not aligned beyond malloc's. */
vic_status mem_grow(void *array, size_t *capacity, size_t needed, size_t size, const char *what, vic_error *err);

#ifdef __cplusplus
}
#endif

#endif
