/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "base/crc32.h"
#include "base/memory.h"
#include "pattern/io/vnp.h"
#include "pattern/limits.h"
#include "pattern/pattern.h"
#include "pattern/statistics.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct file {
    const char *path;
    int descriptor;
    uint64_t size;
};

static uint32_t u32_at(const unsigned char *at)
{
    uint32_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static int64_t i64_at(const unsigned char *at)
{
    int64_t value;
    memcpy(&value, at, sizeof value);
    return value;
}

static vic_status read_at(const struct file *in, uint64_t offset, void *out, size_t bytes, vic_error *err)
{
    char *to = out;
    while (bytes > 0) {
        ssize_t got = pread(in->descriptor, to, bytes, (off_t)offset);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0)
            return vic_fail(err, VIC_CANNOT_READ, "%s: byte %llu: %s", in->path, (unsigned long long)offset,
                            got < 0 ? strerror(errno) : "the file became shorter while it was read");
        to += got;
        offset += (uint64_t)got;
        bytes -= (size_t)got;
    }
    return VIC_OK;
}

/* ---- the head ---- */

static vic_status wrong_head(const struct file *in, int at, const char *what, long long expected, long long found,
                             vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT, "%s: byte %d, %s: expected %lld, found %lld; the file is cut or damaged",
                    in->path, at, what, expected, found);
}

static vic_status read_head(const struct file *in, unsigned char **out, int *sections, vic_error *err)
{
    unsigned char start[VNP_FIXED], *head;
    uint32_t crc, found;
    *out = NULL;
    if (in->size < VNP_FIXED)
        return vic_fail(err, VIC_BAD_INPUT, "%s: expected a .vnp file of at least %d bytes, found %llu", in->path,
                        VNP_FIXED, (unsigned long long)in->size);
    TRY(read_at(in, 0, start, sizeof start, err));
    if (memcmp(start, VNP_MAGIC, 8) != 0)
        return vic_fail(err, VIC_BAD_INPUT, "%s: not a .vnp file: it does not begin with \\x89VNP\\r\\n\\x1a\\n",
                        in->path);
    if (u32_at(start + VNP_AT_VERSION) < 1 || u32_at(start + VNP_AT_VERSION) > VNP_VERSION)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: byte %d: expected version 1 to %d of the format, found %u: written by a newer vicinal?",
                        in->path, VNP_AT_VERSION, VNP_VERSION, u32_at(start + VNP_AT_VERSION));
    if (u32_at(start + VNP_AT_SECTIONS) > VNP_MAX_SECTIONS)
        return wrong_head(in, VNP_AT_SECTIONS, "number of sections, at most", VNP_MAX_SECTIONS,
                          u32_at(start + VNP_AT_SECTIONS), err);
    *sections = (int)u32_at(start + VNP_AT_SECTIONS);
    if (u32_at(start + VNP_AT_HEAD_BYTES) != VNP_FIXED + (uint32_t)*sections * VNP_SECTION)
        return wrong_head(in, VNP_AT_HEAD_BYTES, "bytes of the head", VNP_FIXED + *sections * VNP_SECTION,
                          u32_at(start + VNP_AT_HEAD_BYTES), err);
    if (i64_at(start + VNP_AT_FILE_BYTES) != (int64_t)in->size)
        return wrong_head(in, VNP_AT_FILE_BYTES, "bytes of the file", (long long)in->size,
                          i64_at(start + VNP_AT_FILE_BYTES), err);
    size_t bytes = VNP_FIXED + (size_t)*sections * VNP_SECTION;
    if (in->size < bytes)
        return wrong_head(in, 0, "bytes of the head, at most", (long long)in->size, (long long)bytes, err);
    TRY(mem_array(bytes, 1, "bytes of the head", &head, err));
    *out = head; /* the caller's from here on, also on failure */
    TRY(read_at(in, 0, head, bytes, err));
    found = u32_at(head + VNP_AT_CRC);
    memset(head + VNP_AT_CRC, 0, sizeof found);
    crc = crc32_add(0, head, bytes);
    if (crc != found)
        return vic_fail(err, VIC_BAD_INPUT, "%s: byte %d, checksum of the head: expected %08x, found %08x", in->path,
                        VNP_AT_CRC, crc, found);
    return VIC_OK;
}

static vic_status take_number(const struct file *in, const unsigned char *head, int at, const char *what,
                              int64_t most, int64_t *out, vic_error *err)
{
    *out = i64_at(head + at);
    if (*out < 0 || *out > most)
        return vic_fail(err, VIC_BAD_INPUT, "%s: byte %d, %s: expected 0 to %lld, found %lld", in->path, at, what,
                        (long long)most, (long long)*out);
    return VIC_OK;
}

static vic_status take_head(const struct file *in, const unsigned char *head, struct vnp *f, int64_t *flags,
                            int64_t *rules, vic_error *err)
{
    vic_pattern *p;
    int64_t most = (int64_t)in->size, n_q, n_k; /* each of them takes a byte at least */
    TRY(take_number(in, head, VNP_AT_FLAGS, "flags", VNP_ALL_FLAGS, flags, err));
    TRY(take_number(in, head, VNP_AT_N_Q, "number of queries", MAX_ATOMS, &n_q, err));
    TRY(take_number(in, head, VNP_AT_N_K, "number of keys", MAX_ATOMS, &n_k, err));
    if ((*flags & VNP_ONE_SET) && n_k != n_q)
        return wrong_head(in, VNP_AT_N_K, "number of keys, where queries are keys", n_q, n_k, err);
    TRY(pattern_new(n_q, n_k, *flags & VNP_ONE_SET, &p, err));
    f->p = p;
    TRY(take_number(in, head, VNP_AT_IMAGES, "number of images", most < INT32_MAX ? most : INT32_MAX, &p->n_images,
                    err));
    TRY(take_number(in, head, VNP_AT_PARTIAL, "number of partial blocks", most, &p->n_partial, err));
    TRY(take_number(in, head, VNP_AT_RUNS, "number of full runs", most, &f->n_runs, err));
    TRY(take_number(in, head, VNP_AT_STRUCTURES, "number of structures", most, &p->structures, err));
    TRY(take_number(in, head, VNP_AT_RULES, "number of rules", VNP_MAX_RULES, rules, err));
    TRY(take_number(in, head, VNP_AT_BOUNDARY, "boundary pairs", INT64_MAX, &p->info.boundary_pairs, err));
    for (int at = VNP_AT_RESERVED; at < VNP_FIXED; at++)
        if (head[at] != 0) return wrong_head(in, at, "a reserved byte", 0, head[at], err);
    memcpy(&p->cutoff, head + VNP_AT_CUTOFF, sizeof p->cutoff);
    memcpy(p->cell, head + VNP_AT_CELL, sizeof p->cell);
    p->exclude_self = *flags & VNP_EXCLUDE_SELF;
    for (int x = 0; x < 3; x++) p->periodic[x] = *flags >> x & VNP_PERIODIC;
    return VIC_OK;
}

/* ---- sections ---- */

static vic_status wrong_row(const struct file *in, int row, int field, const char *what, uint64_t expected,
                            uint64_t found, vic_error *err)
{
    return vic_fail(err, VIC_BAD_INPUT, "%s: byte %d, section %d, %s: expected %llu, found %llu", in->path,
                    VNP_FIXED + row * VNP_SECTION + field, row, what, (unsigned long long)expected,
                    (unsigned long long)found);
}

/* Rows from .. n - 1 of the table must say what the sizes ask for, and lie in the file. */
static vic_status check_table(const struct file *in, const unsigned char *head, struct vnp *f, int from, int total,
                              vic_error *err)
{
    if (f->n > total || !vnp_place(f, from, total) || (f->n > from && vnp_end(f) > in->size))
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: the sizes in the head ask for %d sections up to byte %llu, but the file has %d up to "
                        "byte %llu: it is cut or damaged",
                        in->path, f->n, (unsigned long long)vnp_end(f), total, (unsigned long long)in->size);
    for (int i = from; i < f->n; i++) {
        struct vnp_section *s = &f->sections[i];
        const unsigned char *row = head + VNP_FIXED + (size_t)i * VNP_SECTION;
        if (u32_at(row) != s->id) return wrong_row(in, i, 0, "kind", s->id, u32_at(row), err);
        if (u32_at(row + 4) != s->rule) return wrong_row(in, i, 4, "rule", s->rule, u32_at(row + 4), err);
        if ((uint64_t)i64_at(row + 8) != s->offset)
            return wrong_row(in, i, 8, "offset", s->offset, (uint64_t)i64_at(row + 8), err);
        if ((uint64_t)i64_at(row + 16) != s->count * s->size)
            return wrong_row(in, i, 16, "bytes", s->count * s->size, (uint64_t)i64_at(row + 16), err);
        if (u32_at(row + 28) != 0) return wrong_row(in, i, 28, "reserved", 0, u32_at(row + 28), err);
        s->crc = u32_at(row + 24);
    }
    return VIC_OK;
}

static vic_status check_padding(const struct file *in, uint64_t from, uint64_t to, vic_error *err)
{
    unsigned char bytes[VNP_ALIGN];
    TRY(read_at(in, from, bytes, to - from, err));
    for (uint64_t i = 0; i < to - from; i++)
        if (bytes[i] != 0)
            return vic_fail(err, VIC_BAD_INPUT, "%s: byte %llu, between sections: expected 0, found %d", in->path,
                            (unsigned long long)(from + i), bytes[i]);
    return VIC_OK;
}

static vic_status read_sections(const struct file *in, struct vnp *f, int from, uint64_t end, vic_error *err)
{
    for (int i = from; i < f->n; i++) {
        struct vnp_section *s = &f->sections[i];
        void *array;
        uint32_t crc;
        TRY(check_padding(in, end, s->offset, err));
        TRY(mem_array(s->count, s->size, s->what, &array, err));
        memcpy(s->slot, &array, sizeof array); /* the pattern's from here on, also on failure */
        TRY(read_at(in, s->offset, array, s->count * s->size, err));
        crc = crc32_add(0, array, s->count * s->size);
        if (crc != s->crc)
            return vic_fail(err, VIC_BAD_INPUT,
                            "%s: bytes %llu to %llu, %s: expected the checksum %08x, found %08x: the file is damaged",
                            in->path, (unsigned long long)s->offset,
                            (unsigned long long)(s->offset + s->count * s->size), s->what, s->crc, crc);
        end = s->offset + s->count * s->size;
    }
    return VIC_OK;
}

static vic_status unpack_cells(const struct vnp *f, const char *path, vic_error *err)
{
    vic_pattern *p = f->p;
    struct pattern_cell *cells;
    const unsigned char *at = f->cells;
    if (p->structures == 0) return VIC_OK;
    TRY(mem_array((size_t)p->structures, sizeof *cells, "cells", &cells, err));
    p->cells = cells;
    for (int64_t s = 0; s < p->structures; s++, at += VNP_CELL) {
        int64_t periodic = i64_at(at + sizeof cells[s].cell);
        memcpy(cells[s].cell, at, sizeof cells[s].cell);
        if (periodic < 0 || periodic > 7)
            return vnp_wrong(f, path, &f->cells, s, err, "expected periodic axes from 0 to 7, found %lld",
                             (long long)periodic);
        for (int x = 0; x < 3; x++) cells[s].periodic[x] = periodic >> x & 1;
    }
    return VIC_OK;
}

/* Sizes and flags of the rules; what they mean is for vnp_check_rules(). */
static vic_status unpack_rules(const struct vnp *f, const struct file *in, int64_t rules, uint32_t *flags,
                               vic_error *err)
{
    vic_pattern *p = f->p;
    const unsigned char *at = f->rules;
    if (rules == 0) return VIC_OK;
    TRY(mem_array_zero((size_t)rules, sizeof *p->rules, "rules", &p->rules, err));
    p->n_rules = rules;
    for (int64_t i = 0; i < rules; i++, at += VNP_RULE) {
        struct pattern_rule *r = &p->rules[i];
        uint32_t kind = u32_at(at);
        flags[i] = u32_at(at + 4);
        if (kind < RULE_CUTOFF || kind >= RULE_KINDS)
            return vnp_wrong(f, in->path, &f->rules, i, err, "expected a kind from 1 to %d, found %u", RULE_KINDS - 1,
                             kind);
        if (flags[i] > VNP_ALL_RULE_FLAGS ||
            ((flags[i] & (VNP_LIST_IMAGES | VNP_LIST_FIRST)) && !(flags[i] & VNP_LIST)) ||
            ((flags[i] & VNP_K_SKIP) && p->one_set))
            return vnp_wrong(f, in->path, &f->rules, i, err, "expected flags that go together, found %u", flags[i]);
        r->kind = (enum pattern_rule_kind)kind;
        r->exclude_self = flags[i] & VNP_SELF_OUT;
        r->transposed = flags[i] & VNP_TRANSPOSED;
        memcpy(&r->cutoff, at + 8, sizeof r->cutoff);
        r->count = i64_at(at + 16);
        r->keys = i64_at(at + 24);
        r->rows = i64_at(at + 32);
        r->n = i64_at(at + 40);
        r->share = kind == RULE_RANGES ? i64_at(at + 48) : 0;
        if (kind == RULE_RANGES && r->share == 0) r->share = 1;
        if (r->rows < 0 || r->rows > (int64_t)in->size || r->n < 0 || r->n > (int64_t)in->size)
            return vnp_wrong(f, in->path, &f->rules, i, err,
                             "expected a list within the file, found %lld rows of %lld", (long long)r->rows,
                             (long long)r->n);
        if (!(flags[i] & VNP_LIST) && (r->rows != 0 || r->n != 0))
            return vnp_wrong(f, in->path, &f->rules, i, err, "expected no list, found %lld rows", (long long)r->rows);
        if ((kind != RULE_RANGES && i64_at(at + 48) != 0) || i64_at(at + 56) != 0)
            return vnp_wrong(f, in->path, &f->rules, i, err, "expected reserved bytes of 0, found others");
    }
    return VIC_OK;
}

/* Where queries are keys, both sides are one array. */
static void join_sides(vic_pattern *p)
{
    if (!p->one_set) return;
    pattern_share_sides(p);
    for (int64_t i = 0; i < p->n_rules; i++) p->rules[i].k_skip = p->rules[i].q_skip;
}

static vic_status load(const struct file *in, const unsigned char *head, int total, struct vnp *f, vic_error *err)
{
    int64_t flags = 0, rules = 0;
    uint32_t rule_flags[VNP_MAX_RULES];
    TRY(take_head(in, head, f, &flags, &rules, err));
    f->p->n_rules = rules; /* for the list alone: there are no rules yet */
    vnp_list(f, flags & VNP_POSITIONS, flags & VNP_WRAPS, flags & VNP_IDS);
    f->p->n_rules = 0;
    TRY(check_table(in, head, f, 0, total, err));
    TRY(read_sections(in, f, 0, VNP_FIXED + (uint64_t)total * VNP_SECTION, err));
    TRY(unpack_cells(f, in->path, err));
    TRY(unpack_rules(f, in, rules, rule_flags, err));
    int own = f->n;
    uint64_t end = vnp_end(f);
    vnp_list_rules(f, rule_flags);
    TRY(check_table(in, head, f, own, total, err));
    TRY(read_sections(in, f, own, end, err));
    if (f->n != total || vnp_end(f) != in->size)
        return vic_fail(err, VIC_BAD_INPUT,
                        "%s: expected %d sections up to byte %llu, found %d up to byte %llu: the file is damaged",
                        in->path, f->n, (unsigned long long)vnp_end(f), total, (unsigned long long)in->size);
    join_sides(f->p);
    if (vnp_version(f->p) > (int)u32_at(head + VNP_AT_VERSION))
        return wrong_head(in, VNP_AT_VERSION, "version of what the file holds", vnp_version(f->p),
                          u32_at(head + VNP_AT_VERSION), err);
    TRY(vnp_check(f, in->path, err));
    return vnp_check_rules(f, in->path, err);
}

static vic_status refuse_special(const char *path, vic_error *err)
{
    return vic_fail(err, VIC_CANNOT_READ, "%s: expected a regular file: a pattern is not read from pipes or folders",
                    path);
}

static vic_status open_file(const char *path, struct file *in, vic_error *err)
{
    struct stat info;
    in->path = path;
    /* A pipe is not even opened: that would wake its writer. */
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) return refuse_special(path, err);
    in->descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (in->descriptor < 0) return vic_fail(err, VIC_CANNOT_READ, "%s: cannot open: %s", path, strerror(errno));
    if (fstat(in->descriptor, &info) != 0 || !S_ISREG(info.st_mode)) {
        close(in->descriptor);
        return refuse_special(path, err);
    }
    in->size = (uint64_t)info.st_size;
    return VIC_OK;
}

vic_status vnp_load(const char *path, struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct file in;
    struct vnp *f = NULL;
    unsigned char *head = NULL;
    int total = 0;
    *out = NULL;
    TRY(open_file(path, &in, err));
    TRY_GOTO(mem_array_zero(1, sizeof *f, "file", &f, err), done);
    TRY_GOTO(read_head(&in, &head, &total, err), done);
    TRY_GOTO(load(&in, head, total, f, err), done);
    TRY_GOTO(pattern_statistics(f->p, pool, err), done);
    *out = f->p;
    f->p = NULL;
done:
    if (f) {
        free(f->cells);
        free(f->rules);
        pattern_release(f->p);
    }
    free(f);
    free(head);
    close(in.descriptor);
    return st;
}
