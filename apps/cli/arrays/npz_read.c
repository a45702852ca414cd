/* SPDX-License-Identifier: Apache-2.0 */
/* Members of numpy's .npz: the central directory at the end of the zip says where each is.  Sizes come from
 * strangers: nothing is allocated that the file's own size does not allow. */
#include "arrays/ints.h"
#include "infile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { LOCAL = 0x04034b50, CENTRAL = 0x02014b50, END = 0x06054b50, END64 = 0x06064b50, LOCATOR64 = 0x07064b50 };
enum { END_BYTES = 22, LOCATOR_BYTES = 20, END64_BYTES = 56, CENTRAL_BYTES = 46, LOCAL_BYTES = 30 };
enum { STORED = 0, DEFLATED = 8, MAX_MEMBERS = 4096 };

static uint64_t little(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    for (int i = bytes; i-- > 0;) value = value << 8 | at[i];
    return value;
}

struct member {
    uint64_t offset, packed, size;
    uint32_t crc;
    int method;
};

static vic_status damaged(const char *path, const char *what, vic_error *err)
{
    return fail(err, VIC_BAD_INPUT, "%s: the zip archive is damaged: %s; write the file again with numpy.savez", path,
                what);
}

/* Where the central directory is. */
static vic_status find_directory(struct infile *in, uint64_t *at, uint64_t *bytes, uint64_t *count, vic_error *err)
{
    unsigned char tail[END_BYTES + 65535], end64[END64_BYTES];
    size_t n = in->size < sizeof tail ? (size_t)in->size : sizeof tail, i;
    if (n < END_BYTES) return damaged(in->path, "it is too short", err);
    TRY(infile_read(in, in->size - n, tail, n, err));
    for (i = n - END_BYTES;; i--) {
        if (little(tail + i, 4) == END) break;
        if (i == 0) return damaged(in->path, "it has no end record", err);
    }
    *count = little(tail + i + 10, 2);
    *bytes = little(tail + i + 12, 4);
    *at = little(tail + i + 16, 4);
    if (*at == UINT32_MAX || *count == UINT16_MAX) {
        uint64_t where;
        if (i < LOCATOR_BYTES || little(tail + i - LOCATOR_BYTES, 4) != LOCATOR64)
            return damaged(in->path, "it has no zip64 record", err);
        where = little(tail + i - LOCATOR_BYTES + 8, 8);
        if (where > in->size || in->size - where < END64_BYTES)
            return damaged(in->path, "its zip64 record lies outside", err);
        TRY(infile_read(in, where, end64, sizeof end64, err));
        if (little(end64, 4) != END64) return damaged(in->path, "its zip64 record is no such record", err);
        *count = little(end64 + 32, 8);
        *bytes = little(end64 + 40, 8);
        *at = little(end64 + 48, 8);
    }
    if (*at > in->size || *bytes > in->size - *at || *count > MAX_MEMBERS || *bytes > (uint64_t)MAX_MEMBERS * 65536)
        return damaged(in->path, "its directory lies outside", err);
    return VIC_OK;
}

/* What does not fit 32 bits stands in an extra field of kind 1, in this order. */
static bool take_wide(const unsigned char *extra, size_t bytes, struct member *m)
{
    uint64_t *wide[] = { &m->size, &m->packed, &m->offset };
    while (bytes >= 4) {
        size_t kind = little(extra, 2), length = little(extra + 2, 2), at = 4;
        if (length > bytes - 4) return false;
        for (int i = 0; kind == 1 && i < 3; i++) {
            if (*wide[i] != UINT32_MAX) continue;
            if (at + 8 > length + 4) return false;
            *wide[i] = little(extra + at, 8);
            at += 8;
        }
        extra += 4 + length;
        bytes -= 4 + length;
    }
    return true;
}

static vic_status find_member(struct infile *in, const char *name, bool *found, struct member *out, vic_error *err)
{
    uint64_t at, bytes, count, read = 0;
    unsigned char *directory = NULL;
    size_t length = strlen(name);
    vic_status st;
    *found = false;
    TRY(find_directory(in, &at, &bytes, &count, err));
    TRY(allocate((int64_t)bytes, 1, "a zip directory", &directory, err));
    TRY_GOTO(infile_read(in, at, directory, bytes, err), done);
    for (uint64_t i = 0; i < count && !*found; i++) {
        const unsigned char *row = directory + read;
        if (bytes - read < CENTRAL_BYTES || little(row, 4) != CENTRAL) {
            st = damaged(in->path, "its directory is cut", err);
            goto done;
        }
        size_t its_name = little(row + 28, 2), extra = little(row + 30, 2), comment = little(row + 32, 2);
        if (its_name + extra + comment > bytes - read - CENTRAL_BYTES) {
            st = damaged(in->path, "its directory is cut", err);
            goto done;
        }
        *found = its_name == length + 4 && memcmp(row + CENTRAL_BYTES, name, length) == 0 &&
                 memcmp(row + CENTRAL_BYTES + length, ".npy", 4) == 0;
        *out = (struct member){ little(row + 42, 4), little(row + 20, 4), little(row + 24, 4),
                                (uint32_t)little(row + 16, 4), (int)little(row + 10, 2) };
        if (*found && (!take_wide(row + CENTRAL_BYTES + its_name, extra, out) || (little(row + 8, 2) & 1))) {
            st = damaged(in->path, "a member is encrypted, or its sizes are missing", err);
            goto done;
        }
        read += CENTRAL_BYTES + its_name + extra + comment;
    }
done:
    free(directory);
    return st;
}

/* The first `want` bytes of a deflated member. */
static vic_status inflate_all(const char *path, const unsigned char *packed, uint64_t packed_bytes,
                              unsigned char *out, uint64_t want, vic_error *err)
{
    enum { PART = 1 << 20 }; /* zlib counts in 32 bits */
    z_stream z;
    int code = Z_OK;
    uint64_t in_done = 0, out_done = 0;
    memset(&z, 0, sizeof z);
    if (inflateInit2(&z, -MAX_WBITS) != Z_OK) return fail(err, VIC_NO_MEMORY, "out of memory: zip reader");
    while (code == Z_OK && out_done < want) {
        uInt in_part = packed_bytes - in_done < PART ? (uInt)(packed_bytes - in_done) : PART;
        uInt out_part = want - out_done < PART ? (uInt)(want - out_done) : PART;
        union {
            const unsigned char *in;
            unsigned char *out;
        } next = { packed + in_done };
        z.next_in = next.out;
        z.avail_in = in_part;
        z.next_out = out + out_done;
        z.avail_out = out_part;
        code = inflate(&z, Z_NO_FLUSH);
        in_done += in_part - z.avail_in;
        out_done += out_part - z.avail_out;
    }
    inflateEnd(&z);
    if (code == Z_MEM_ERROR) return fail(err, VIC_NO_MEMORY, "out of memory: zip reader");
    return out_done == want ? VIC_OK : damaged(path, "a member cannot be inflated", err);
}

/* The first `most` bytes of the member, all of it when it is shorter; *bytes says how many. */
static vic_status read_member(struct infile *in, const struct member *m, uint64_t most, unsigned char **out,
                              size_t *bytes, vic_error *err)
{
    unsigned char head[LOCAL_BYTES], *packed = NULL, *data = NULL;
    uint64_t at, want = m->size < most ? m->size : most;
    vic_status st;
    *out = NULL;
    if (m->offset > in->size || in->size - m->offset < LOCAL_BYTES)
        return damaged(in->path, "a member lies outside", err);
    TRY(infile_read(in, m->offset, head, sizeof head, err));
    at = m->offset + LOCAL_BYTES + little(head + 26, 2) + little(head + 28, 2);
    if (little(head, 4) != LOCAL || at > in->size || m->packed > in->size - at)
        return damaged(in->path, "a member lies outside", err);
    if (m->method != STORED && m->method != DEFLATED)
        return fail(err, VIC_BAD_INPUT, "%s: expected members stored or deflated, found method %d", in->path,
                    m->method);
    /* Deflate makes at most 1032 bytes of one. */
    if (m->method == STORED ? m->size != m->packed : m->size / 1040 > m->packed)
        return damaged(in->path, "a member's sizes do not go together", err);
    TRY_GOTO(allocate((int64_t)want, 1, "an array", &data, err), done);
    if (m->method == STORED) {
        TRY_GOTO(infile_read(in, at, data, want, err), done);
    } else {
        TRY_GOTO(allocate((int64_t)m->packed, 1, "an array", &packed, err), done);
        TRY_GOTO(infile_read(in, at, packed, m->packed, err), done);
        TRY_GOTO(inflate_all(in->path, packed, m->packed, data, want, err), done);
    }
    if (want == m->size && crc32_z(0, data, want) != m->crc) {
        st = damaged(in->path, "a member's checksum is wrong", err);
        goto done;
    }
    *out = data;
    *bytes = want;
    data = NULL;
done:
    free(packed);
    free(data);
    return st;
}

/* ---- arrays ---- */

void ints_free(struct ints *a)
{
    free(a->values);
    a->values = NULL;
}

/* Size of an element, negative for signed ones; 0 for other types. */
static int int_size(const char *type)
{
    static const struct {
        const char *name;
        int size;
    } types[] = { { "|b1", 1 }, { "|u1", 1 },  { "|i1", -1 }, { "<u2", 2 }, { "<i2", -2 },
                  { "<u4", 4 }, { "<i4", -4 }, { "<u8", 8 },  { "<i8", -8 } };
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (strcmp(types[i].name, type) == 0) return types[i].size;
    return 0;
}

static vic_status take_ints(const char *path, const unsigned char *bytes, size_t size, struct ints *out,
                            vic_error *err)
{
    struct array shape;
    char type[16] = "", text[128];
    uint64_t at;
    size_t needed;
    TRY(npy_parse_header(path, (const char *)bytes, size, &shape, type, &at, err));
    int item = int_size(type), width = item < 0 ? -item : item;
    if (item == 0)
        return fail(err, VIC_BAD_INPUT,
                    "%s: expected whole numbers, got type '%s'; save it with a.astype(numpy.int32)", path, type);
    if (!array_bytes(shape.ndim, shape.shape, (size_t)width, &needed) || needed > size - at)
        return fail(err, VIC_BAD_INPUT, "%s: the header says %s of type %s, but only %llu bytes follow", path,
                    shape_text(shape.ndim, shape.shape, text), type, (unsigned long long)(size - at));
    out->ndim = shape.ndim;
    memcpy(out->shape, shape.shape, sizeof out->shape);
    out->count = (int64_t)(needed / (size_t)width);
    TRY(allocate(out->count, sizeof *out->values, "an array", &out->values, err));
    for (int64_t i = 0; i < out->count; i++) {
        uint64_t value = little(bytes + at + (uint64_t)i * (uint64_t)width, width);
        if (item < 0 && width < 8 && value >> (8 * width - 1)) value |= UINT64_MAX << (8 * width);
        out->values[i] = (int64_t)value;
        if (item == 8 && value > INT64_MAX)
            return fail(err, VIC_BAD_INPUT, "%s: element %lld: expected a number below 2^63", path, (long long)i);
    }
    return VIC_OK;
}

vic_status ints_read_npy(const char *path, struct ints *out, vic_error *err)
{
    struct infile in;
    unsigned char *bytes = NULL;
    vic_status st;
    memset(out, 0, sizeof *out);
    TRY(infile_open(&in, path, err));
    TRY_GOTO(allocate((int64_t)in.size, 1, path, &bytes, err), done);
    TRY_GOTO(infile_read(&in, 0, bytes, in.size, err), done);
    TRY_GOTO(take_ints(path, bytes, in.size, out, err), done);
done:
    if (st != VIC_OK) ints_free(out);
    free(bytes);
    infile_close(&in);
    return st;
}

vic_status ints_read_npz(const char *path, const char *name, bool *found, struct ints *out, vic_error *err)
{
    struct infile in;
    struct member member;
    unsigned char *bytes = NULL;
    size_t size;
    vic_status st;
    memset(out, 0, sizeof *out);
    TRY(infile_open(&in, path, err));
    TRY_GOTO(find_member(&in, name, found, &member, err), done);
    if (!*found) goto done;
    TRY_GOTO(read_member(&in, &member, UINT64_MAX, &bytes, &size, err), done);
    TRY_GOTO(take_ints(path, bytes, size, out, err), done);
done:
    if (st != VIC_OK) ints_free(out);
    free(bytes);
    infile_close(&in);
    return st;
}

vic_status ints_read_shape(const char *path, const char *name, bool *found, struct ints *out, char text[16],
                           vic_error *err)
{
    struct infile in;
    struct member member;
    struct array shape;
    unsigned char *bytes = NULL;
    char type[16] = "";
    size_t size;
    uint64_t at;
    vic_status st;
    memset(out, 0, sizeof *out);
    memset(text, 0, 16);
    TRY(infile_open(&in, path, err));
    TRY_GOTO(find_member(&in, name, found, &member, err), done);
    if (!*found) goto done;
    TRY_GOTO(read_member(&in, &member, 65536, &bytes, &size, err), done);
    TRY_GOTO(npy_parse_header(path, (const char *)bytes, size, &shape, type, &at, err), done);
    out->ndim = shape.ndim;
    memcpy(out->shape, shape.shape, sizeof out->shape);
    if (type[0] == '|' && type[1] == 'S') memcpy(text, bytes + at, size - at < 15 ? size - at : 15);
done:
    free(bytes);
    infile_close(&in);
    return st;
}

enum file_kind file_kind(const char *path)
{
    struct infile in;
    vic_error ignored;
    unsigned char start[6] = { 0 };
    enum file_kind kind = FILE_OTHER;
    struct stat about;
    if (infile_open(&in, path, &ignored) != VIC_OK)
        return stat(path, &about) == 0 && S_ISREG(about.st_mode) ? FILE_UNREADABLE : FILE_OTHER;
    if (in.size >= sizeof start && infile_read(&in, 0, start, sizeof start, &ignored) != VIC_OK) {
        kind = FILE_UNREADABLE;
    } else {
        if (memcmp(start, "PK\x03\x04", 4) == 0) kind = FILE_ZIP;
        if (memcmp(start, "\x93NUMPY", 6) == 0) kind = FILE_NPY;
        if (memcmp(start, "\x89VNP\r\n", 6) == 0) kind = FILE_VNP;
    }
    infile_close(&in);
    return kind;
}

vic_status file_unreadable(const char *path, vic_error *err)
{
    struct infile in;
    TRY(infile_open(&in, path, err));
    infile_close(&in);
    return fail(err, VIC_CANNOT_READ, "cannot read %s: it could not be opened a moment ago", path);
}
