/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "structure/io/source.h"

#include "base/memory.h"
#include "base/switches.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <zlib.h>

enum { CHUNK = 256 * 1024, SMALL_CHUNK = 4096 };

struct growing {
    char *text;
    size_t size, capacity, limit;
    size_t chunk; /* read at once: little of small files, which come by the thousand */
};

/* At least one free byte beyond size (for the closing NUL), and `room` where the limit allows. */
static vic_status make_room(struct growing *g, size_t room, const char *name, vic_error *err)
{
    if (g->size > g->limit)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected at most %zu MiB of text (after inflating), found more; split the file, check "
                        "that it is no archive bomb, or raise the limit (VIC_READ_LIMIT_MB)",
                        name, g->limit >> 20);
    return mem_grow(&g->text, &g->capacity, g->size + room + 1, 1, "bytes of the file", err);
}

/* For the whole text of a file of `size` bytes; gzipped, where it is likely to be enough: atoms shrink to a fifth. */
static vic_status reserve(struct growing *g, uintmax_t size, bool gzipped, vic_error *err)
{
    if (size == 0 || size > g->limit) return VIC_OK;
    if (gzipped) size = size < g->limit / 5 ? 5 * size : g->limit;
    g->capacity = (size_t)size + 2;
    return mem_resize(&g->text, g->capacity, 1, "bytes of the file", err);
}

static vic_status read_plain(FILE *file, const char *name, struct growing *g, vic_error *err)
{
    for (;;) {
        size_t got;
        TRY(make_room(g, g->chunk, name, err));
        got = fread(g->text + g->size, 1, g->capacity - g->size - 1, file);
        g->size += got;
        if (got == 0) return make_room(g, 0, name, err);
    }
}

static vic_status inflate_failed(const char *name, const char *what, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT, "%s: expected whole gzip data, found %s; fetch or compress the file again",
                    name, what);
}

static bool only_zeros(const unsigned char *bytes, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        if (bytes[i]) return false;
    return true;
}

/* `input` holds the first `have` bytes already. */
static vic_status read_gzip(FILE *file, const char *name, unsigned char *input, size_t have, struct growing *g,
                            vic_error *err)
{
    vic_status st = VIC_OK;
    z_stream z = { 0 };
    int code = Z_OK;
    if (inflateInit2(&z, 15 + 16) != Z_OK) return vic_fail(err, VIC_NO_MEMORY, "out of memory: gzip reader");
    z.next_in = input;
    z.avail_in = (uInt)have;
    for (;;) {
        if (z.avail_in == 0) {
            z.next_in = input;
            z.avail_in = (uInt)fread(input, 1, g->chunk, file);
            if (z.avail_in == 0) break;
        }
        if (code == Z_STREAM_END) {
            /* Another member, or the zeros with which tapes are filled up. */
            if (*z.next_in != 0x1f) {
                if (only_zeros(z.next_in, z.avail_in)) {
                    z.avail_in = 0;
                    continue;
                }
                st = inflate_failed(name, "other bytes after its end", err);
                goto done;
            }
            inflateReset(&z);
        }
        TRY_GOTO(make_room(g, g->chunk, name, err), done);
        z.next_out = (unsigned char *)g->text + g->size;
        {
            size_t room = g->capacity - g->size - 1;
            if (room > 1u << 30) room = 1u << 30; /* uInt */
            z.avail_out = (uInt)room;
            code = inflate(&z, Z_NO_FLUSH);
            g->size += room - z.avail_out;
        }
        if (code == Z_MEM_ERROR) {
            st = vic_fail(err, VIC_NO_MEMORY, "out of memory: gzip reader");
            goto done;
        }
        if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR) {
            st = inflate_failed(name, z.msg, err); /* wrong data, which zlib has words for */
            goto done;
        }
    }
    if (code != Z_STREAM_END)
        st = inflate_failed(name, "its end missing", err);
    else
        st = make_room(g, 0, name, err);
done:
    inflateEnd(&z);
    return st;
}

/* A CR that belongs to no CRLF ends a line too, as on old Macs: otherwise a comment would reach to the end of the
 * file.  A run of CRs before a newline is left to it. */
static void unify_newlines(struct source *s)
{
    char *at = s->text, *end = s->text + s->size;
    while ((at = memchr(at, '\r', (size_t)(end - at)))) {
        char *after = at;
        while (after < end && *after == '\r') ++after;
        if (after == end || *after != '\n') memset(at, '\n', (size_t)(after - at));
        at = after;
    }
}

static vic_status check_text(struct source *s, vic_error *err)
{
    const char *nul;
    if (s->size >= 3 && memcmp(s->text, "\xef\xbb\xbf", 3) == 0) {
        s->size -= 3;
        memmove(s->text, s->text + 3, s->size + 1);
    }
    if (s->size == 0) return vic_fail(err, VIC_BAD_INPUT, "%s: expected a structure, found an empty file", s->name);
    nul = memchr(s->text, 0, s->size);
    if (nul && nul > s->text && nul[-1] == '\n') { /* whole lines, padded to the end of a disk's block */
        size_t end = s->size;
        while (s->text[end - 1] == 0) --end;
        if (end == (size_t)(nul - s->text)) {
            s->size = end;
            nul = NULL;
        }
    }
    if (nul && s->size > 262 && memcmp(s->text + 257, "ustar", 5) == 0)
        return vic_fail(err, VIC_BAD_INPUT, "%s: expected one structure, found a tar archive; unpack it first",
                        s->name);
    if (nul)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected text, found a NUL byte at offset %zu; binary formats (MMTF, BinaryCIF, DCD) "
                        "and UTF-16 are not read: convert to PDB, mmCIF, GRO or extXYZ",
                        s->name, (size_t)(nul - s->text));
    unify_newlines(s);
    return VIC_OK;
}

static vic_status check_compression(const unsigned char *bytes, size_t count, const char *name, vic_error *err)
{
    static const struct {
        const char *magic;
        size_t length;
        const char *what;
    } others[] = { { "BZh", 3, "bzip2" },
                   { "\xfd"
                     "7zXZ",
                     5, "xz" },
                   { "\x28\xb5\x2f\xfd", 4, "zstd" },
                   { "PK\x03\x04", 4, "zip" },
                   { "\x1f\x9d", 2, "compress (.Z)" } };
    for (size_t i = 0; i < sizeof others / sizeof *others; ++i)
        if (count >= others[i].length && memcmp(bytes, others[i].magic, others[i].length) == 0)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s: expected text or gzip, found %s data; unpack it, or compress with gzip", name,
                            others[i].what);
    return VIC_OK;
}

static void set_name(struct source *s, const char *path)
{
    size_t length = strlen(path);
    memset(s, 0, sizeof *s);
    if (length < sizeof s->name)
        snprintf(s->name, sizeof s->name, "%s", path);
    else
        snprintf(s->name, sizeof s->name, "...%s", path + length - (sizeof s->name - 4));
}

vic_status source_from_bytes(const char *name, const void *bytes, size_t size, struct source *out, vic_error *err)
{
    vic_status st = VIC_OK;
    set_name(out, name);
    TRY(mem_array(size + 1, 1, "bytes of the file", &out->text, err));
    if (size) memcpy(out->text, bytes, size);
    out->text[size] = 0;
    out->size = size;
    st = check_text(out, err);
    if (st != VIC_OK) source_free(out);
    return st;
}

size_t source_limit(void)
{
    int limit = switch_int(SWITCH_READ_LIMIT, SOURCE_LIMIT_MB);
    return (size_t)(limit > 0 ? limit : SOURCE_LIMIT_MB) << 20;
}

vic_status source_read(const char *path, size_t limit, struct source *out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct growing g = { NULL, 0, 0, limit, CHUNK };
    unsigned char *input = NULL;
    FILE *file = NULL;
    struct stat info;
    uintmax_t size = 0; /* of the file, where that is known */
    size_t have;
    bool gzipped;
    set_name(out, path);
    file = fopen(path, "rb");
    if (!file) return vic_fail(err, VIC_CANNOT_READ, "%s: cannot open: %s", out->name, strerror(errno));
    if (fstat(fileno(file), &info) == 0) {
        if (S_ISDIR(info.st_mode)) {
            st = vic_fail(err, VIC_CANNOT_READ, "%s: is a directory; expected a structure file", out->name);
            goto done;
        }
        if (S_ISREG(info.st_mode) && info.st_size < SMALL_CHUNK) g.chunk = SMALL_CHUNK;
        if (S_ISREG(info.st_mode) && info.st_size > 0) size = (uintmax_t)info.st_size;
    }
    TRY_GOTO(mem_array(g.chunk, 1, "bytes of the file", &input, err), done);
    have = fread(input, 1, g.chunk, file);
    TRY_GOTO(check_compression(input, have, out->name, err), done);
    gzipped = have >= 2 && input[0] == 0x1f && input[1] == 0x8b;
    TRY_GOTO(reserve(&g, size, gzipped, err), done);
    if (gzipped) {
        TRY_GOTO(read_gzip(file, out->name, input, have, &g, err), done);
    } else {
        TRY_GOTO(make_room(&g, have, out->name, err), done);
        memcpy(g.text, input, have);
        g.size = have;
        TRY_GOTO(read_plain(file, out->name, &g, err), done);
    }
    if (ferror(file)) {
        st = vic_fail(err, VIC_CANNOT_READ, "%s: cannot read: %s", out->name, strerror(errno));
        goto done;
    }
    g.text[g.size] = 0;
    out->text = g.text;
    out->size = g.size;
    g.text = NULL;
    st = check_text(out, err);
done:
    free(g.text);
    free(input);
    fclose(file);
    if (st != VIC_OK) source_free(out);
    return st;
}

int64_t source_line(const struct source *s, size_t at)
{
    int64_t line = 1;
    for (const char *c = s->text; (c = memchr(c, '\n', (size_t)(s->text + at - c))); ++c) ++line;
    return line;
}

void source_free(struct source *s)
{
    free(s->text);
    s->text = NULL;
    s->size = 0;
}
