/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE /* madvise */
#include "base/memory.h"

#include <stdint.h>
#include <string.h>
#if defined(__linux__)
#include <sys/mman.h>
#endif

enum {
    ALIGNMENT = 64,  /* a cache line, and the widest vector register */
    PAGE = 4096,     /* on x86; where pages are larger the advice may be refused */
    LARGE = 4 << 20, /* arrays of so many bytes or more get huge pages */
};

/* Advises the system to use huge pages: the first touch of 200 MB costs 50,000 page faults in small pages and 100 in
 * huge ones.  The result is ignored. */
static void advise_huge_pages(void *memory, size_t bytes)
{
#if defined(MADV_HUGEPAGE)
    if (!memory || bytes < LARGE) return;
    /* The advice is for all pages that the array touches: otherwise the mapping would be cut in two, and realloc()
     * could not move it. */
    size_t before = (uintptr_t)memory % PAGE, pages = (before + bytes + PAGE - 1) / PAGE;
    (void)madvise((char *)memory - before, pages * PAGE, MADV_HUGEPAGE);
#else
    (void)memory;
    (void)bytes;
#endif
}

vic_status mem_array(size_t count, size_t size, const char *what, void *out, vic_error *err)
{
    size_t bytes = 0;
    void *memory = NULL;
    bool fits = !__builtin_mul_overflow(count, size, &bytes) && bytes <= (size_t)PTRDIFF_MAX - ALIGNMENT;
    if (fits) {
        bytes = (bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT; /* aligned_alloc() requires a multiple */
        memory = aligned_alloc(ALIGNMENT, bytes ? bytes : ALIGNMENT);
        advise_huge_pages(memory, bytes);
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

vic_status mem_resize(void *array, size_t count, size_t size, const char *what, vic_error *err)
{
    size_t bytes = 0;
    void *old, *resized = NULL;
    memcpy(&old, array, sizeof old);
    if (!__builtin_mul_overflow(count, size, &bytes) && bytes <= (size_t)PTRDIFF_MAX)
        resized = realloc(old, bytes ? bytes : 1);
    if (!resized) return vic_fail(err, VIC_NO_MEMORY, "out of memory: %zu %s of %zu bytes each", count, what, size);
    advise_huge_pages(resized, bytes);
    memcpy(array, &resized, sizeof resized);
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
