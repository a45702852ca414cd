/* SPDX-License-Identifier: Apache-2.0 */
/* One pattern file at a time, as bytes that a test changes; its checksums made right again. */
#ifndef VIC_TESTS_VNP_FILE_H
#define VIC_TESTS_VNP_FILE_H

#include "objects.h"
#include "pattern/io/vnp.h"

#include <unistd.h>
#include <zlib.h>

static char path[64];

struct bytes {
    unsigned char *data;
    size_t n;
};

/* Over what is there: a file that was emptied first is flushed to the disk when it is closed (ext4), thousands of times. */
static inline void write_bytes(struct bytes b)
{
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fwrite(b.data, 1, b.n, file), b.n);
    assert_int_equal(fflush(file), 0);
    assert_int_equal(ftruncate(fileno(file), (off_t)b.n), 0);
    assert_int_equal(fclose(file), 0);
}

static inline struct bytes read_bytes(void)
{
    FILE *file = fopen(path, "rb");
    struct bytes b = { NULL, 0 };
    assert_non_null(file);
    fseek(file, 0, SEEK_END);
    b.n = (size_t)ftell(file);
    rewind(file);
    b.data = malloc(b.n);
    assert_non_null(b.data);
    assert_int_equal(fread(b.data, 1, b.n, file), b.n);
    fclose(file);
    return b;
}

static inline uint32_t u32(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static inline uint64_t u64(const unsigned char *at)
{
    uint64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

/* Make all checksums right again, so that only the contents can be found wrong. */
static inline void seal(struct bytes b)
{
    uint32_t sections = u32(b.data + VNP_AT_SECTIONS), crc;
    if (sections > (b.n - VNP_FIXED) / VNP_SECTION) return;
    for (uint32_t i = 0; i < sections; i++) {
        unsigned char *row = b.data + VNP_FIXED + i * VNP_SECTION;
        uint64_t offset = u64(row + 8), bytes = u64(row + 16);
        if (offset > b.n || bytes > b.n - offset) break;
        crc = (uint32_t)crc32_z(0, b.data + offset, bytes);
        memcpy(row + 24, &crc, sizeof crc);
    }
    memset(b.data + VNP_AT_CRC, 0, 4);
    crc = (uint32_t)crc32_z(0, b.data, VNP_FIXED + (size_t)sections * VNP_SECTION);
    memcpy(b.data + VNP_AT_CRC, &crc, sizeof crc);
}

/* Where the array of a section begins. */
static inline unsigned char *section(struct bytes b, enum vnp_id id)
{
    for (uint32_t i = 0; i < u32(b.data + VNP_AT_SECTIONS); i++) {
        const unsigned char *row = b.data + VNP_FIXED + i * VNP_SECTION;
        if (u32(row) == id) return b.data + u64(row + 8);
    }
    fail_msg("no section %d", (int)id);
    return NULL;
}

static inline int set_up(void **state)
{
    int file;
    (void)state;
    strcpy(path, "/tmp/vnp-test-XXXXXX");
    file = mkstemp(path);
    return file < 0 || close(file) != 0;
}

static inline int tear_down(void **state)
{
    (void)state;
    return unlink(path);
}

#endif
