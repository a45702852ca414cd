/* SPDX-License-Identifier: Apache-2.0 */
/* Archives as strangers write them: deflated, with zip64 records, of block masks.  The sizes of what is written are
 * small and known, so that fixed arrays hold them. */
#include "faults/operations.h"

#include <zlib.h>

enum { ROOM = 8192 };
enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50 };

struct archive {
    unsigned char file[ROOM], directory[ROOM];
    size_t bytes, directory_bytes;
    int count;
    bool deflated;
};

static void put(unsigned char *to, size_t *at, uint64_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) to[(*at)++] = (unsigned char)(value >> (8 * i));
}

static size_t npy(unsigned char *out, const char *type, const char *shape, const void *data, size_t bytes)
{
    char text[200];
    size_t at = 0, length;
    snprintf(text, sizeof text, "{'descr': '%s', 'fortran_order': False, 'shape': (%s), }\n", type, shape);
    length = strlen(text);
    memcpy(out, "\x93NUMPY\1\0", 8);
    at = 8;
    put(out, &at, length, 2);
    memcpy(out + at, text, length);
    memcpy(out + at + length, data, bytes);
    return at + length + bytes;
}

static void add(struct archive *a, const char *name, const char *type, const char *shape, const void *data,
                size_t bytes)
{
    unsigned char plain[1024], packed[1024];
    size_t size = npy(plain, type, shape, data, bytes), packed_size = size, at = a->bytes;
    uint32_t crc = (uint32_t)crc32_z(0, plain, size);
    memcpy(packed, plain, size);
    if (a->deflated) {
        z_stream z = { .next_in = plain, .avail_in = (uInt)size, .next_out = packed, .avail_out = sizeof packed };
        assert_int_equal(deflateInit2(&z, 9, Z_DEFLATED, -MAX_WBITS, 8, Z_DEFAULT_STRATEGY), Z_OK);
        assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
        packed_size = z.total_out;
        deflateEnd(&z);
    }
    for (int central = 0; central < 2; central++) {
        unsigned char *to = central ? a->directory : a->file;
        size_t *end = central ? &a->directory_bytes : &a->bytes;
        put(to, end, central ? CENTRAL : LOCAL, 4);
        if (central) put(to, end, 20, 2);
        put(to, end, 20, 2);
        put(to, end, 0, 2);
        put(to, end, a->deflated ? 8 : 0, 2);
        put(to, end, 0, 4);
        put(to, end, crc, 4);
        put(to, end, packed_size, 4);
        put(to, end, size, 4);
        put(to, end, strlen(name), 2);
        put(to, end, 0, 2);
        if (central) put(to, end, 0, 6);
        if (central) put(to, end, 0, 4);
        if (central) put(to, end, at, 4);
        memcpy(to + *end, name, strlen(name));
        *end += strlen(name);
    }
    memcpy(a->file + a->bytes, packed, packed_size);
    a->bytes += packed_size;
    a->count++;
}

static void write_file(const char *path, const void *bytes, size_t count)
{
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(bytes, 1, count, file), count);
    assert_int_equal(fclose(file), 0);
}

static void finish(struct archive *a, const char *path, bool wide)
{
    size_t start = a->bytes, end64;
    memcpy(a->file + start, a->directory, a->directory_bytes);
    a->bytes += a->directory_bytes;
    end64 = a->bytes;
    if (wide) {
        put(a->file, &a->bytes, END64, 4);
        put(a->file, &a->bytes, 44, 8);
        put(a->file, &a->bytes, 45, 2);
        put(a->file, &a->bytes, 45, 2);
        put(a->file, &a->bytes, 0, 8);
        put(a->file, &a->bytes, (uint64_t)a->count, 8);
        put(a->file, &a->bytes, (uint64_t)a->count, 8);
        put(a->file, &a->bytes, a->directory_bytes, 8);
        put(a->file, &a->bytes, start, 8);
        put(a->file, &a->bytes, LOCATOR64, 4);
        put(a->file, &a->bytes, 0, 4);
        put(a->file, &a->bytes, end64, 8);
        put(a->file, &a->bytes, 1, 4);
    }
    put(a->file, &a->bytes, END, 4);
    put(a->file, &a->bytes, 0, 4);
    put(a->file, &a->bytes, (uint64_t)a->count, 2);
    put(a->file, &a->bytes, (uint64_t)a->count, 2);
    put(a->file, &a->bytes, a->directory_bytes, 4);
    put(a->file, &a->bytes, wide ? UINT32_MAX : start, 4);
    put(a->file, &a->bytes, 0, 2);
    write_file(path, a->file, a->bytes);
}

void write_archives(void)
{
    const int32_t i[] = { 0, 1 }, j[] = { 1, 0 }, pairs[] = { 0, 1, 1, 0 }, indptr[] = { 0, 1, 2 };
    const int64_t shape[] = { 32, 32 };
    const uint8_t skip[] = { 1, 0 };
    static const uint8_t blocks[2 * 16 * 16];
    unsigned char bytes[1024];
    for (int wide = 0; wide < 2; wide++) {
        struct archive a = { .deflated = !wide };
        add(&a, "i.npy", "<i4", "2,", i, sizeof i);
        add(&a, "j.npy", "<i4", "2,", j, sizeof j);
        finish(&a, wide ? "wide.npz" : "deflated.npz", wide);
    }
    struct archive mask = { .deflated = true };
    add(&mask, "format.npy", "|S3", "", "bsr", 3);
    add(&mask, "shape.npy", "<i8", "2,", shape, sizeof shape);
    add(&mask, "indptr.npy", "<i4", "3,", indptr, sizeof indptr);
    add(&mask, "indices.npy", "<i4", "2,", i, sizeof i);
    add(&mask, "data.npy", "|u1", "2, 16, 16", blocks, sizeof blocks);
    finish(&mask, "mask.npz", false);
    write_file("pairs.npy", bytes, npy(bytes, "<i4", "2, 2", pairs, sizeof pairs));
    write_file("skip.npy", bytes, npy(bytes, "|b1", "2,", skip, sizeof skip));
}
