/* SPDX-License-Identifier: Apache-2.0 */
#include "plots/picture.h"

#include <stdlib.h>
#include <string.h>
#include <zlib.h>

vic_status picture_make(struct picture *p, int width, int height, struct colour fill, vic_error *err)
{
    p->width = width;
    p->height = height;
    TRY(allocate((int64_t)width * height, sizeof *p->pixels, "a picture", &p->pixels, err));
    for (int64_t i = 0; i < (int64_t)width * height; i++) p->pixels[i] = fill;
    return VIC_OK;
}

void picture_free(struct picture *p)
{
    free(p->pixels);
    p->pixels = NULL;
}

static void big_endian(unsigned char out[4], uint32_t value)
{
    for (int i = 0; i < 4; i++) out[i] = (unsigned char)(value >> (24 - 8 * i));
}

static void chunk(struct buffer *out, const char type[4], const unsigned char *data, size_t size)
{
    unsigned char number[4];
    uint32_t crc = (uint32_t)crc32(0, (const Bytef *)type, 4);
    if (size) crc = (uint32_t)crc32_z(crc, data, size);
    big_endian(number, (uint32_t)size);
    buffer_add(out, number, 4);
    buffer_add(out, type, 4);
    buffer_add(out, data, size);
    big_endian(number, crc);
    buffer_add(out, number, 4);
}

static int paeth(int a, int b, int c)
{
    int p = a + b - c, pa = abs(p - a), pb = abs(p - b), pc = abs(p - c);
    return pa <= pb && pa <= pc ? a : pb <= pc ? b : c;
}

enum { FILTERS = 5 };

/* One line under a PNG filter; returns how large its bytes are when read as signed, the usual guess at which filter
 * compresses best. */
static uint64_t filter_line(int filter, const unsigned char *line, const unsigned char *above, size_t size,
                            unsigned char *out)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size; i++) {
        int left = i >= 3 ? line[i - 3] : 0, up = above[i], corner = i >= 3 ? above[i - 3] : 0, guess = 0;
        switch (filter) {
        case 1: guess = left; break;
        case 2: guess = up; break;
        case 3: guess = (left + up) / 2; break;
        case 4: guess = paeth(left, up, corner); break;
        default: break;
        }
        out[i] = (unsigned char)(line[i] - guess);
        sum += out[i] < 128 ? out[i] : 256u - out[i];
    }
    return sum;
}

vic_status png_encode(const struct picture *p, struct buffer *out, vic_error *err)
{
    static const unsigned char signature[8] = { 0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n' };
    size_t line_size = 3 * (size_t)p->width, raw_size = (line_size + 1) * (size_t)p->height;
    unsigned char *raw = NULL, *packed = NULL, *trial = NULL, *blank = NULL, header[13] = { 0 };
    uLongf packed_size = compressBound((uLong)raw_size);
    vic_status st;
    TRY_GOTO(allocate((int64_t)raw_size, 1, "a PNG", &raw, err), done);
    TRY_GOTO(allocate((int64_t)packed_size, 1, "a PNG", &packed, err), done);
    TRY_GOTO(allocate((int64_t)line_size, 1, "a PNG", &trial, err), done);
    TRY_GOTO(allocate((int64_t)line_size, 1, "a PNG", &blank, err), done);
    for (int y = 0; y < p->height; y++) {
        const unsigned char *line = (const unsigned char *)(p->pixels + (size_t)y * (size_t)p->width);
        const unsigned char *above = y ? line - line_size : blank;
        unsigned char *to = raw + (line_size + 1) * (size_t)y;
        uint64_t best = UINT64_MAX;
        for (int filter = 0; filter < FILTERS; filter++) {
            uint64_t sum = filter_line(filter, line, above, line_size, trial);
            if (sum >= best) continue;
            best = sum;
            to[0] = (unsigned char)filter;
            memcpy(to + 1, trial, line_size);
        }
    }
    if (compress2(packed, &packed_size, raw, (uLong)raw_size, 6) != Z_OK) {
        st = fail(err, VIC_NO_MEMORY, "no memory to compress a PNG");
        goto done;
    }
    big_endian(header, (uint32_t)p->width);
    big_endian(header + 4, (uint32_t)p->height);
    header[8] = 8; /* bits */
    header[9] = 2; /* RGB */
    buffer_add(out, signature, sizeof signature);
    chunk(out, "IHDR", header, sizeof header);
    chunk(out, "IDAT", packed, packed_size);
    chunk(out, "IEND", header, 0);
    st = buffer_check(out, "a PNG", err);
done:
    free(raw);
    free(packed);
    free(trial);
    free(blank);
    return st;
}
