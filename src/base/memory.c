/* SPDX-License-Identifier: Apache-2.0 */
#include "base/memory.h"

#include <stdint.h>
#include <string.h>

enum { ALIGNMENT = 64 }; /* a cache line, and the widest vector register */

vic_status mem_array(size_t count, size_t size, const char *what, void *out, vic_error *err)
{
    size_t bytes = 0;
    void *memory = NULL;
    bool fits = !__builtin_mul_overflow(count, size, &bytes) && bytes <= (size_t)PTRDIFF_MAX - ALIGNMENT;
    if (fits) {
        bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; /* what aligned_alloc asks for */
        memory = aligned_alloc(ALIGNMENT, bytes ? bytes : ALIGNMENT);
    }
    memcpy(out, &memory, sizeof memory);
    if (!memory) return vic_fail(err, VIC_NO_MEMORY, "out of memory: %zu %s of %zu bytes each", count, what, size);
    return VIC_OK;
}

vic_status mem_array_zero(size_t count, size_t size, const char *what, void *out, vic_error *err)
{
    void *memory;
    TRY(mem_array(count, size, what, out, err));
    memcpy(&memory, out, sizeof memory);
    memset(memory, 0, count * size);
    return VIC_OK;
}

vic_status mem_grow(void *array, size_t *capacity, size_t needed, size_t size, const char *what, vic_error *err)
{
    size_t wanted, bytes;
    void *old, *grown = NULL;
    if (needed <= *capacity) return VIC_OK;
    wanted = *capacity + *capacity / 2;
    if (wanted < needed) wanted = needed;
    memcpy(&old, array, sizeof old);
    if (!__builtin_mul_overflow(wanted, size, &bytes) && bytes <= (size_t)PTRDIFF_MAX) grown = realloc(old, bytes);
    if (!grown) return vic_fail(err, VIC_NO_MEMORY, "out of memory: %zu %s of %zu bytes each", wanted, what, size);
    memcpy(array, &grown, sizeof grown);
    *capacity = wanted;
    return VIC_OK;
}
