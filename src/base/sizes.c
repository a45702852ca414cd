/* SPDX-License-Identifier: Apache-2.0 */
#include "base/sizes.h"

#include <stdint.h>

size_t size_times(size_t a, size_t b)
{
    size_t product;
    return __builtin_mul_overflow(a, b, &product) ? SIZE_MAX : product;
}

size_t size_plus(size_t a, size_t b)
{
    size_t sum;
    return __builtin_add_overflow(a, b, &sum) ? SIZE_MAX : sum;
}

size_t size_round_up(size_t size, size_t unit)
{
    size_t end = size_plus(size, unit - 1);
    return end == SIZE_MAX ? end : end - end % unit;
}

bool size_tensor_fits(const vic_tensor *t)
{
    int64_t reach = 0, step;
    if (t->ndim < 0 || t->ndim > VIC_MAX_DIMS) return false;
    for (int i = 0; i < t->ndim; i++) {
        if (t->shape[i] < 0) return false;
        if (t->shape[i] < 2) continue; /* never stepped along */
        if (t->stride[i] == INT64_MIN) return false;
        if (__builtin_mul_overflow(t->shape[i] - 1, t->stride[i] < 0 ? -t->stride[i] : t->stride[i], &step) ||
            __builtin_add_overflow(reach, step, &reach))
            return false;
    }
    return reach < INT64_MAX / 16; /* an element has 8 bytes at most */
}
