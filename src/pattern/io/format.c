/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/io/vnp.h"

#include <stdarg.h>
#include <stdio.h>

static void add(struct vnp *f, enum vnp_id id, uint32_t rule, const char *what, int64_t count, size_t size,
                void *slot)
{
    f->sections[f->n++] = (struct vnp_section){
        .id = id, .rule = rule, .what = what, .count = (uint64_t)count, .size = size, .slot = slot
    };
}

void vnp_list(struct vnp *f, bool positions, bool wraps, bool ids)
{
    vic_pattern *p = f->p;
    f->n = 0;
    if (positions) add(f, VNP_Q_POSITIONS, 0, "query positions", p->n_q, 3 * sizeof(double), &p->q_positions);
    if (positions && !p->one_set)
        add(f, VNP_K_POSITIONS, 0, "key positions", p->n_k, 3 * sizeof(double), &p->k_positions);
    add(f, VNP_Q_ORDER, 0, "query order", p->n_q, sizeof *p->q_order, &p->q_order);
    if (!p->one_set) /* written out where it is not there: see save() */
        add(f, VNP_K_ORDER, 0, "key order", p->n_k, sizeof *p->k_order,
            p->k_order_written ? &p->k_order_written : &p->k_order);
    add(f, VNP_IMAGES, 0, "images", p->n_images, sizeof *p->images, &p->images);
    if (wraps) add(f, VNP_Q_WRAP, 0, "query wraps", p->n_q, sizeof *p->q_wrap, &p->q_wrap);
    if (wraps && !p->one_set) add(f, VNP_K_WRAP, 0, "key wraps", p->n_k, sizeof *p->k_wrap, &p->k_wrap);
    add(f, VNP_PARTIAL_PTR, 0, "partial_ptr", p->strips + 1, sizeof *p->partial_ptr, &p->partial_ptr);
    add(f, VNP_PARTIAL_CLUSTER, 0, "partial_cluster", p->n_partial, sizeof(int32_t), &p->partial_cluster);
    add(f, VNP_PARTIAL_IMAGE, 0, "partial_image", p->n_partial, sizeof(int32_t), &p->partial_image);
    add(f, VNP_PARTIAL_BITS, 0, "partial_bits", p->n_partial, sizeof(struct block_bits), &p->partial_bits);
    add(f, VNP_FULL_PTR, 0, "full_ptr", p->strips + 1, sizeof *p->full_ptr, &p->full_ptr);
    add(f, VNP_FULL_RUNS, 0, "full_runs", f->n_runs, sizeof *p->full_runs, &p->full_runs);
    if (p->structures > 0) {
        add(f, VNP_OFFSETS, 0, "offsets", p->structures + 1, sizeof *p->offsets, &p->offsets);
        if (!p->one_set)
            add(f, VNP_K_OFFSETS, 0, "key offsets", p->structures + 1, sizeof *p->k_offsets, &p->k_offsets);
        add(f, VNP_CELLS, 0, "cells", p->structures, VNP_CELL, &f->cells);
    }
    if (ids) add(f, VNP_Q_IDS, 0, "query ids", p->n_q, sizeof *p->q_ids, &p->q_ids);
    if (ids && !p->one_set) add(f, VNP_K_IDS, 0, "key ids", p->n_k, sizeof *p->k_ids, &p->k_ids);
    if (p->n_rules > 0) add(f, VNP_RULES, 0, "rules", p->n_rules, VNP_RULE, &f->rules);
}

void vnp_list_rules(struct vnp *f, const uint32_t *flags)
{
    vic_pattern *p = f->p;
    for (int64_t i = 0; i < p->n_rules; i++) {
        struct pattern_rule *r = &p->rules[i];
        uint32_t rule = (uint32_t)i;
        if (flags[i] & VNP_LIST) {
            add(f, VNP_RULE_PTR, rule, "a rule's ptr", r->rows + 1, sizeof *r->ptr, &r->ptr);
            add(f, VNP_RULE_INDEX, rule, "a rule's index", r->n, sizeof *r->index, &r->index);
        }
        if (flags[i] & VNP_LIST_FIRST)
            add(f, VNP_RULE_FIRST, rule, "a rule's first queries", r->rows + 1, sizeof *r->first, &r->first);
        if (flags[i] & VNP_LIST_IMAGES)
            add(f, VNP_RULE_IMAGE, rule, "a rule's images", r->n, sizeof *r->image, &r->image);
        if (flags[i] & VNP_Q_SKIP) add(f, VNP_RULE_Q_SKIP, rule, "a rule's query skips", p->n_q, 1, &r->q_skip);
        if (flags[i] & VNP_K_SKIP) add(f, VNP_RULE_K_SKIP, rule, "a rule's key skips", p->n_k, 1, &r->k_skip);
    }
}

int vnp_version(const vic_pattern *p)
{
    bool new = p->q_ids || (p->structures > 0 && !p->one_set), shared = false;
    for (int64_t i = 0; i < p->n_rules; i++) {
        new |= p->rules[i].kind > RULE_EXCLUDE || p->rules[i].transposed;
        shared |= p->rules[i].share > 1;
    }
    return shared ? 3 : new ? 2 : 1;
}

uint64_t vnp_end(const struct vnp *f)
{
    const struct vnp_section *last = &f->sections[f->n - 1];
    return last->offset + last->count * last->size;
}

bool vnp_place(struct vnp *f, int from, int total)
{
    uint64_t at = VNP_FIXED + (uint64_t)total * VNP_SECTION;
    if (from > 0) at = f->sections[from - 1].offset + f->sections[from - 1].count * f->sections[from - 1].size;
    for (int i = from; i < f->n; i++) {
        struct vnp_section *s = &f->sections[i];
        uint64_t bytes;
        at = (at + VNP_ALIGN - 1) / VNP_ALIGN * VNP_ALIGN;
        s->offset = at;
        if (__builtin_mul_overflow(s->count, s->size, &bytes) || __builtin_add_overflow(at, bytes, &at) ||
            at > (uint64_t)INT64_MAX - VNP_ALIGN)
            return false;
    }
    return true;
}

vic_status vnp_wrong(const struct vnp *f, const char *path, const void *slot, int64_t index, vic_error *err,
                     const char *format, ...)
{
    char text[512];
    va_list arguments;
    const struct vnp_section *s = &f->sections[0];
    for (int i = 0; i < f->n; i++)
        if (f->sections[i].slot == slot) s = &f->sections[i];
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return vic_fail(err, VIC_BAD_INPUT,
                    "%s: byte %llu, %s[%lld]: %s; the file was not written by vicinal, or damaged: write it again",
                    path, (unsigned long long)(s->offset + (uint64_t)index * s->size), s->what, (long long)index,
                    text);
}
