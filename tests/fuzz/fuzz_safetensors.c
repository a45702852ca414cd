/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/arrays/array.h"
#include "fuzz/file.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const char *const names[] = { NULL, "q", "a" };
    const char *path = fuzz_file(bytes, size);
    for (int i = 0; i < 3; i++) {
        struct array a = { .data = NULL };
        vic_error err;
        if (safetensors_read(path, names[i], "q", &a, &err) == VIC_OK && a.bytes > size) abort();
        array_free(&a);
    }
    return 0;
}
