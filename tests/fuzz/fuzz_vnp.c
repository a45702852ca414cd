/* SPDX-License-Identifier: Apache-2.0 */
/* Patterns in files.  Each input is read as it is and once more with its checksums made right, since the fuzzer would
 * never guess those and so never reach the checks behind them. */
#include "fuzz/file.h"
#include "pattern/io/vnp.h"

#include <zlib.h>

static void read_it(const uint8_t *bytes, size_t size)
{
    vic_pattern *p;
    vic_error err = { VIC_OK, "" };
    vic_status st = vic_pattern_load(NULL, fuzz_file(bytes, size), &p, &err);
    if ((st == VIC_OK) != (p != NULL)) abort();
    if (p) {
        vic_pattern_info info = VIC_INIT(vic_pattern_info);
        if (vic_pattern_get(p, &info, &err) != VIC_OK) abort();
        int64_t *counts = malloc(((size_t)info.n_q + 1) * sizeof *counts), sum = 0;
        if (!counts) abort();
        if (vic_pattern_counts(p, counts, &err) != VIC_OK) abort();
        for (int64_t i = 0; i < info.n_q; i++) sum += counts[i];
        if (sum != info.pairs) abort();
        free(counts);
    }
    vic_pattern_free(p);
}

static uint64_t u64(const uint8_t *at)
{
    return fuzz_u32(at) | (uint64_t)fuzz_u32(at + 4) << 32;
}

static void mend_checksums(uint8_t *file, size_t size)
{
    uint32_t sections = fuzz_u32(file + VNP_AT_SECTIONS);
    if (sections > (size - VNP_FIXED) / VNP_SECTION) sections = (uint32_t)((size - VNP_FIXED) / VNP_SECTION);
    size_t head = VNP_FIXED + (size_t)sections * VNP_SECTION;
    for (uint32_t i = 0; i < sections; i++) {
        uint8_t *row = file + VNP_FIXED + (size_t)i * VNP_SECTION;
        uint64_t offset = u64(row + 8), bytes = u64(row + 16);
        if (offset <= size && bytes <= size - offset)
            fuzz_put_u32(row + 24, (uint32_t)crc32_z(0, file + offset, bytes));
    }
    fuzz_put_u32(file + VNP_AT_FILE_BYTES, (uint32_t)size);
    fuzz_put_u32(file + VNP_AT_FILE_BYTES + 4, 0);
    fuzz_put_u32(file + VNP_AT_CRC, 0);
    fuzz_put_u32(file + VNP_AT_CRC, (uint32_t)crc32_z(0, file, head));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    uint8_t *copy;
    read_it(bytes, size);
    if (size < VNP_FIXED) return 0;
    copy = malloc(size);
    if (!copy) abort();
    memcpy(copy, bytes, size);
    mend_checksums(copy, size);
    read_it(copy, size);
    free(copy);
    return 0;
}
