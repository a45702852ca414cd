/* SPDX-License-Identifier: Apache-2.0 */
/* .npy: tensors, whole numbers, flags, lists of pairs. */
#include "cli/arrays/ints.h"
#include "cli/commands/pattern_files.h"
#include "fuzz/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    const char *path = fuzz_file(bytes, size);
    struct array a = { .data = NULL };
    struct ints n = { .values = NULL };
    struct pair_file pairs = { .n = 0 };
    uint8_t *flags = NULL;
    vic_error err;
    if (npy_read(path, &a, &err) == VIC_OK && a.bytes > 0 && a.bytes > size) abort();
    array_free(&a);
    if (ints_read_npy(path, &n, &err) == VIC_OK && n.count > (int64_t)size) abort();
    ints_free(&n);
    if (skip_read(path, 4, &flags, &err) == VIC_OK && flags[3] > 1) abort();
    free(flags);
    if (pairs_read(path, &pairs, &err) == VIC_OK && pairs.n > (int64_t)size) abort();
    pairs_free(&pairs);
    return 0;
}
