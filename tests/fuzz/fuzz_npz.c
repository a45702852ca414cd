/* SPDX-License-Identifier: Apache-2.0 */
/* .npz: lists of pairs and block masks.  Each input is read as it is and once more with the checksums of its stored
 * members made right. */
#include "cli/commands/pattern_files.h"
#include "fuzz/file.h"

#include <zlib.h>

static void read_it(const uint8_t *bytes, size_t size)
{
    const char *path = fuzz_file(bytes, size);
    struct pair_file pairs;
    vic_pattern *p = NULL;
    vic_error err;
    if (pairs_read(path, &pairs, &err) == VIC_OK && pairs.n < 0) abort();
    pairs_free(&pairs);
    if (mask_open(NULL, path, NULL, &p, &err) == VIC_OK && !p) abort();
    vic_pattern_free(p);
}

static void mend_checksums(uint8_t *file, size_t size)
{
    for (size_t at = 0; at + 46 <= size; at++) {
        if (memcmp(file + at, "PK\1\2", 4) != 0) continue;
        size_t member = fuzz_u32(file + at + 42), bytes = fuzz_u32(file + at + 24), data;
        if (member > size || size - member < 30) continue;
        data =
            member + 30 + file[member + 26] + 256u * file[member + 27] + file[member + 28] + 256u * file[member + 29];
        if (data <= size && bytes <= size - data)
            fuzz_put_u32(file + at + 16, (uint32_t)crc32_z(0, file + data, bytes));
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint8_t *copy = malloc(size + 1);
    if (!copy) abort();
    read_it(bytes, size);
    memcpy(copy, bytes, size);
    mend_checksums(copy, size);
    read_it(copy, size);
    free(copy);
    return 0;
}
