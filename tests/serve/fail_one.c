/* SPDX-License-Identifier: Apache-2.0 */
/* Loaded before libc: of all allocations of a process the one whose number is VIC_FAIL_AT fails, and at the end their
 * number is written into VIC_FAIL_COUNT. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *memory, size_t bytes);
void *__libc_memalign(size_t alignment, size_t bytes);

static _Atomic long calls;
static long fail_at = -1; /* -1: not read yet */

static int fails(void)
{
    const long call = ++calls;
    if (fail_at < 0) {
        const char *text = getenv("VIC_FAIL_AT");
        fail_at = text ? strtol(text, NULL, 10) : 0;
    }
    if (call != fail_at) return 0;
    errno = ENOMEM;
    return 1;
}

void *malloc(size_t bytes)
{
    return fails() ? NULL : __libc_malloc(bytes);
}

void *calloc(size_t count, size_t bytes)
{
    return fails() ? NULL : __libc_calloc(count, bytes);
}

void *realloc(void *memory, size_t bytes)
{
    return fails() ? NULL : __libc_realloc(memory, bytes);
}

void *aligned_alloc(size_t alignment, size_t bytes)
{
    return fails() ? NULL : __libc_memalign(alignment, bytes);
}

int posix_memalign(void **out, size_t alignment, size_t bytes)
{
    *out = fails() ? NULL : __libc_memalign(alignment, bytes);
    return *out ? 0 : ENOMEM;
}

__attribute__((destructor)) static void tell(void)
{
    const char *path = getenv("VIC_FAIL_COUNT");
    char text[32];
    int file = path ? open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600) : -1;
    if (file < 0) return;
    snprintf(text, sizeof text, "%ld\n", calls);
    (void)!write(file, text, strlen(text));
    close(file);
}
