/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "base/crc32.h"
#include "base/memory.h"
#include "base/stream.h"
#include "pattern/io/vnp.h"
#include "pattern/pattern.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void put(unsigned char *at, const void *value, size_t bytes)
{
    memcpy(at, value, bytes);
}

static void put_u32(unsigned char *at, uint32_t value)
{
    put(at, &value, sizeof value);
}

static void put_i64(unsigned char *at, int64_t value)
{
    put(at, &value, sizeof value);
}

static const void *array_of(const struct vnp_section *s)
{
    const void *array;
    memcpy(&array, s->slot, sizeof array);
    return array;
}

static void pack_cells(const vic_pattern *p, unsigned char *out)
{
    for (int64_t s = 0; s < p->structures; s++, out += VNP_CELL) {
        int64_t periodic = 0;
        for (int x = 0; x < 3; x++) periodic |= (int64_t)p->cells[s].periodic[x] << x;
        put(out, p->cells[s].cell, sizeof p->cells[s].cell);
        put_i64(out + sizeof p->cells[s].cell, periodic);
    }
}

static uint32_t flags_of(const struct pattern_rule *r)
{
    uint32_t flags = 0;
    if (r->exclude_self) flags |= VNP_SELF_OUT;
    if (r->ptr) flags |= VNP_LIST;
    if (r->image) flags |= VNP_LIST_IMAGES;
    if (r->first) flags |= VNP_LIST_FIRST;
    if (r->transposed) flags |= VNP_TRANSPOSED;
    if (r->q_skip) flags |= VNP_Q_SKIP;
    if (r->k_skip && r->k_skip != r->q_skip) flags |= VNP_K_SKIP;
    return flags;
}

static void pack_rules(const vic_pattern *p, unsigned char *out, uint32_t *flags)
{
    for (int64_t i = 0; i < p->n_rules; i++, out += VNP_RULE) {
        const struct pattern_rule *r = &p->rules[i];
        flags[i] = flags_of(r);
        memset(out, 0, VNP_RULE);
        put_u32(out, (uint32_t)r->kind);
        put_u32(out + 4, flags[i]);
        put(out + 8, &r->cutoff, sizeof r->cutoff);
        put_i64(out + 16, r->count);
        put_i64(out + 24, r->keys);
        put_i64(out + 32, r->rows);
        put_i64(out + 40, r->n);
        if (r->share > 1) put_i64(out + 48, r->share);
    }
}

/* All but the checksum of the head. */
static void pack_head(const struct vnp *f, unsigned char *head, size_t bytes)
{
    const vic_pattern *p = f->p;
    int64_t flags = p->one_set * VNP_ONE_SET + p->exclude_self * VNP_EXCLUDE_SELF;
    if (p->q_positions) flags |= VNP_POSITIONS;
    if (p->q_wrap) flags |= VNP_WRAPS;
    if (p->q_ids) flags |= VNP_IDS;
    for (int x = 0; x < 3; x++)
        if (p->periodic[x]) flags |= (int64_t)VNP_PERIODIC << x;
    memset(head, 0, bytes);
    memcpy(head, VNP_MAGIC, 8);
    put_u32(head + VNP_AT_VERSION, (uint32_t)vnp_version(p));
    put_u32(head + VNP_AT_HEAD_BYTES, (uint32_t)bytes);
    put_i64(head + VNP_AT_FILE_BYTES, (int64_t)vnp_end(f));
    put_u32(head + VNP_AT_SECTIONS, (uint32_t)f->n);
    put_i64(head + VNP_AT_FLAGS, flags);
    put_i64(head + VNP_AT_N_Q, p->n_q);
    put_i64(head + VNP_AT_N_K, p->n_k);
    put(head + VNP_AT_CUTOFF, &p->cutoff, sizeof p->cutoff);
    put(head + VNP_AT_CELL, p->cell, sizeof p->cell);
    put_i64(head + VNP_AT_IMAGES, p->n_images);
    put_i64(head + VNP_AT_PARTIAL, p->n_partial);
    put_i64(head + VNP_AT_RUNS, f->n_runs);
    put_i64(head + VNP_AT_STRUCTURES, p->structures);
    put_i64(head + VNP_AT_RULES, p->n_rules);
    put_i64(head + VNP_AT_BOUNDARY, p->info.boundary_pairs);
    for (int i = 0; i < f->n; i++) {
        const struct vnp_section *s = &f->sections[i];
        unsigned char *row = head + VNP_FIXED + (size_t)i * VNP_SECTION;
        put_u32(row, (uint32_t)s->id);
        put_u32(row + 4, s->rule);
        put_i64(row + 8, (int64_t)s->offset);
        put_i64(row + 16, (int64_t)(s->count * s->size));
        put_u32(row + 24, crc32_add(0, array_of(s), s->count * s->size));
    }
}

/* ---- the file ---- */

/* Written beside its place and renamed, so that a failure leaves no half file. */
struct part {
    FILE *file;
    char *name;
};

static vic_status part_open(const char *path, struct part *part, vic_error *err)
{
    struct stat info;
    size_t size = strlen(path) + 48;
    int descriptor = -1;
    if (stat(path, &info) == 0 && !S_ISREG(info.st_mode)) /* renaming would replace a device or fail at a folder */
        return vic_fail(err, VIC_CANNOT_WRITE,
                        "%s: expected a regular file to write or replace, found something else", path);
    TRY(mem_array(size, 1, "characters", &part->name, err));
    for (int i = 0; i < 100 && descriptor < 0; i++) {
        snprintf(part->name, size, "%s.part-%ld-%d", path, (long)getpid(), i);
        descriptor = open(part->name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (descriptor < 0 && errno != EEXIST) break;
    }
    if (descriptor >= 0) part->file = fdopen(descriptor, "wb");
    if (part->file) return VIC_OK;
    vic_fail(err, VIC_CANNOT_WRITE, "%s: cannot create a file beside it: %s", path, strerror(errno));
    if (descriptor >= 0) {
        close(descriptor);
        unlink(part->name);
    }
    return VIC_CANNOT_WRITE;
}

static vic_status part_close(const char *path, struct part *part, vic_error *err)
{
    TRY(stream_close(part->file, path, err));
    if (rename(part->name, path) == 0) return VIC_OK;
    return vic_fail(err, VIC_CANNOT_WRITE, "%s: cannot rename %s to it: %s", path, part->name, strerror(errno));
}

static void write_sections(const struct vnp *f, FILE *file)
{
    static const unsigned char zeros[VNP_ALIGN];
    uint64_t at = VNP_FIXED + (size_t)f->n * VNP_SECTION;
    fwrite(f->head, 1, at, file);
    for (int i = 0; i < f->n; i++) {
        const struct vnp_section *s = &f->sections[i];
        fwrite(zeros, 1, s->offset - at, file);
        fwrite(array_of(s), 1, s->count * s->size, file);
        at = s->offset + s->count * s->size;
    }
}

static vic_status write_part(const struct vnp *f, const char *path, vic_error *err)
{
    vic_status st = VIC_OK;
    struct part part = { NULL, NULL };
    TRY_GOTO(part_open(path, &part, err), done);
    write_sections(f, part.file);
    st = part_close(path, &part, err);
    if (st != VIC_OK) unlink(part.name);
done:
    free(part.name);
    return st;
}

static vic_status write_descriptor(const struct vnp *f, int descriptor, const char *name, vic_error *err)
{
    FILE *file;
    TRY(stream_to(descriptor, name, &file, err));
    write_sections(f, file);
    return stream_close(file, name, err);
}

/* To the file `path`, or where `descriptor` is not NULL to that; then `path` is for errors alone. */
static vic_status save(const vic_pattern *p, const char *path, const int *descriptor, vic_error *err)
{
    vic_status st = VIC_OK;
    struct vnp *f = NULL;
    uint32_t flags[VNP_MAX_RULES];
    size_t bytes;
    const int32_t *key_order; /* in a file it is always there */
    /* Reading and writing share the list of sections; nothing is written through it here. */
    union {
        const vic_pattern *in;
        vic_pattern *out;
    } shared = { p };
    if (p->n_rules > VNP_MAX_RULES)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "%s: a file holds the unions and exclusions of %d steps at most, got %lld", path,
                        VNP_MAX_RULES, (long long)p->n_rules);
    TRY(pattern_key_order(p, &key_order, err));
    TRY(mem_array_zero(1, sizeof *f, "file", &f, err));
    f->p = shared.out;
    f->n_runs = p->full_ptr[p->strips];
    TRY_GOTO(mem_array((size_t)p->structures, VNP_CELL, "cells", &f->cells, err), done);
    TRY_GOTO(mem_array((size_t)p->n_rules, VNP_RULE, "rules", &f->rules, err), done);
    pack_cells(p, f->cells);
    pack_rules(p, f->rules, flags);
    vnp_list(f, p->q_positions != NULL, p->q_wrap != NULL, p->q_ids != NULL);
    vnp_list_rules(f, flags);
    if (!vnp_place(f, 0, f->n)) {
        st = vic_fail(err, VIC_CANNOT_WRITE, "%s: the pattern is too large for a file", path);
        goto done;
    }
    bytes = VNP_FIXED + (size_t)f->n * VNP_SECTION;
    TRY_GOTO(mem_array(bytes, 1, "bytes of the head", &f->head, err), done);
    pack_head(f, f->head, bytes);
    put_u32(f->head + VNP_AT_CRC, crc32_add(0, f->head, bytes));
    st = descriptor ? write_descriptor(f, *descriptor, path, err) : write_part(f, path, err);
done:
    free(f->head);
    free(f->rules);
    free(f->cells);
    free(f);
    return st;
}

vic_status vnp_save(const vic_pattern *p, const char *path, vic_error *err)
{
    return save(p, path, NULL, err);
}

vic_status vnp_save_to(const vic_pattern *p, int descriptor, const char *name, vic_error *err)
{
    return save(p, name, &descriptor, err);
}
