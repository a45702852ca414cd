/* SPDX-License-Identifier: Apache-2.0 */
/* numpy's .npz: a zip archive of .npy files, stored without compression; zip64 where a size or offset needs it. */
#include "arrays/array.h"
#include "buffer.h"
#include "outfile.h"

#include <string.h>
#include <zlib.h>

enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50 };
enum { DATE_1980 = 1 << 5 | 1 }; /* the earliest a zip can say: the same arrays give the same bytes */

static void put(struct buffer *b, uint64_t value, int bytes)
{
    unsigned char little[8];
    for (int i = 0; i < bytes; i++) little[i] = (unsigned char)(value >> (8 * i));
    buffer_add(b, little, (size_t)bytes);
}

static uint64_t narrow(uint64_t value)
{
    return value < 0xffffffffu ? value : 0xffffffffu;
}

/* Local and central records begin alike; both sizes go into the zip64 field when either record needs it. */
void npz_entry(struct buffer *b, const struct npz_entry *e, bool central)
{
    bool wide_size = e->size >= 0xffffffffu, wide_offset = central && e->offset >= 0xffffffffu;
    uint16_t extra = (uint16_t)(wide_size || wide_offset ? 4 + 16 * wide_size + 8 * wide_offset : 0);
    int version = extra ? 45 : 20;
    put(b, central ? CENTRAL : LOCAL, 4);
    if (central) put(b, (uint64_t)version, 2);
    put(b, (uint64_t)version, 2);
    put(b, 0, 2); /* flags */
    put(b, 0, 2); /* stored */
    put(b, 0, 2); /* time */
    put(b, DATE_1980, 2);
    put(b, e->crc, 4);
    put(b, narrow(e->size), 4);
    put(b, narrow(e->size), 4);
    put(b, strlen(e->name), 2);
    put(b, extra, 2);
    if (central) {
        put(b, 0, 2 + 2 + 2); /* comment, disk, internal attributes */
        put(b, 0, 4);         /* external attributes */
        put(b, narrow(e->offset), 4);
    }
    buffer_text(b, e->name);
    if (extra == 0) return;
    put(b, 1, 2);
    put(b, extra - 4u, 2);
    if (wide_size) {
        put(b, e->size, 8);
        put(b, e->size, 8);
    }
    if (wide_offset) put(b, e->offset, 8);
}

void npz_end(struct buffer *b, int count, uint64_t start, uint64_t size)
{
    if (start >= 0xffffffffu) {
        put(b, END64, 4);
        put(b, 44, 8); /* bytes that follow */
        put(b, 45, 2);
        put(b, 45, 2);
        put(b, 0, 8); /* disks */
        put(b, (uint64_t)count, 8);
        put(b, (uint64_t)count, 8);
        put(b, size, 8);
        put(b, start, 8);
        put(b, LOCATOR64, 4);
        put(b, 0, 4);
        put(b, start + size, 8);
        put(b, 1, 4);
    }
    put(b, END, 4);
    put(b, 0, 4); /* disks */
    put(b, (uint64_t)count, 2);
    put(b, (uint64_t)count, 2);
    put(b, size, 4);
    put(b, narrow(start), 4);
    put(b, 0, 2);
}

vic_status npz_write(const char *path, const struct npz_member *arrays, int count, vic_error *err)
{
    struct buffer piece = { NULL, 0, 0, false }, directory = { NULL, 0, 0, false };
    struct outfile file = { 0 };
    uint64_t at = 0, directory_size;
    vic_status st;
    TRY(outfile_open(&file, path, err));
    for (int i = 0; i < count; i++) {
        struct npz_entry e = { .offset = at };
        struct buffer header = { NULL, 0, 0, false };
        size_t bytes;
        if (!array_bytes(arrays[i].ndim, arrays[i].shape, arrays[i].item, &bytes)) {
            st = fail(err, VIC_FAILED, "%s: the size of array '%s' does not fit this machine", path, arrays[i].name);
            goto done;
        }
        snprintf(e.name, sizeof e.name, "%s.npy", arrays[i].name);
        npy_header(&arrays[i], &header);
        e.size = header.size + bytes;
        e.crc = (uint32_t)crc32_z(0, (const Bytef *)header.data, header.size);
        e.crc = (uint32_t)crc32_z(e.crc, arrays[i].data, bytes);
        piece.size = 0;
        npz_entry(&piece, &e, false);
        buffer_add(&piece, header.data, header.size);
        piece.failed |= header.failed;
        buffer_free(&header);
        npz_entry(&directory, &e, true);
        TRY_GOTO(buffer_check(&piece, "a zip entry", err), done);
        outfile_write(&file, piece.data, piece.size);
        outfile_write(&file, arrays[i].data, bytes);
        at += piece.size + bytes;
    }
    directory_size = directory.size;
    npz_end(&directory, count, at, directory_size);
    TRY_GOTO(buffer_check(&directory, "a zip directory", err), done);
    outfile_write(&file, directory.data, directory.size);
    st = outfile_commit(&file, err);
done:
    outfile_abandon(&file);
    buffer_free(&piece);
    buffer_free(&directory);
    return st;
}
