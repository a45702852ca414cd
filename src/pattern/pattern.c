/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/pattern.h"

#include "base/memory.h"
#include "base/switches.h"
#include "pattern/limits.h"

#include <string.h>

/* ---- life ---- */

vic_status pattern_new(int64_t n_q, int64_t n_k, bool one_set, vic_pattern **out, vic_error *err)
{
    vic_pattern *p;
    *out = NULL;
    if (one_set) n_k = n_q;
    if (n_q < 0 || n_k < 0 || n_q > MAX_ATOMS || n_k > MAX_ATOMS)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "numbers of atoms: a pattern holds 0 to %d of a kind, got %lld queries and %lld keys",
                        MAX_ATOMS, (long long)n_q, (long long)n_k);
    TRY(mem_array_zero(1, sizeof *p, "pattern", &p, err));
    p->references = 1;
    p->one_set = one_set;
    p->n_q = n_q;
    p->n_k = n_k;
    p->strips = (n_q + STRIP - 1) / STRIP;
    p->clusters = (n_k + CLUSTER - 1) / CLUSTER;
    *out = p;
    return VIC_OK;
}

vic_pattern *pattern_retain(const vic_pattern *p)
{
    /* The reference count is one of two things in a pattern that change, and it does so atomically. */
    union {
        const vic_pattern *in;
        vic_pattern *out;
    } shared = { p };
    __atomic_add_fetch(&shared.out->references, 1, __ATOMIC_RELAXED);
    return shared.out;
}

bool pattern_is_alone(const vic_pattern *p)
{
    return __atomic_load_n(&p->references, __ATOMIC_ACQUIRE) == 1;
}

void pattern_leave_devices(vic_pattern *p)
{
    for (struct pattern_on_device *d = p->on_device, *next; d; d = next) {
        next = d->next;
        d->release(d);
    }
    p->on_device = NULL;
}

void pattern_release(vic_pattern *p)
{
    if (!p || __atomic_sub_fetch(&p->references, 1, __ATOMIC_ACQ_REL) > 0) return;
    pattern_release(p->spare);
    if (!p->one_set) {
        free(p->k_positions);
        free(p->k_order);
        free(p->k_order_written);
        free(p->k_wrap);
        free(p->k_ids);
        free(p->k_offsets);
    }
    free(p->q_positions);
    free(p->q_order);
    free(p->q_wrap);
    free(p->q_ids);
    free(p->images);
    free(p->partial_ptr);
    free(p->partial_cluster);
    free(p->partial_image);
    free(p->partial_bits);
    free(p->full_ptr);
    free(p->full_runs);
    free(p->offsets);
    free(p->cells);
    for (int64_t r = 0; r < p->n_rules; r++) rule_free(&p->rules[r]);
    free(p->rules);
    pattern_leave_devices(p);
    free(p);
}

void pattern_share_sides(vic_pattern *p)
{
    if (!p->one_set) return;
    p->k_positions = p->q_positions;
    p->k_order = p->q_order;
    p->k_wrap = p->q_wrap;
    p->k_ids = p->q_ids;
    p->k_offsets = p->offsets;
}

void pattern_set_cell(vic_pattern *p, const double cell[3][3], const bool periodic[3])
{
    for (int axis = 0; axis < 3; axis++) {
        p->periodic[axis] = periodic[axis];
        for (int x = 0; x < 3; x++) p->cell[axis][x] = periodic[axis] ? cell[axis][x] : 0.0;
    }
}

static vic_status copy_ids(const int64_t *ids, int64_t n, int64_t **out, vic_error *err)
{
    if (*out) return VIC_OK; /* those of the pattern whose memory is used again */
    TRY(mem_array((size_t)n, sizeof **out, "ids", out, err));
    for (int64_t i = 0; i < n; i++) (*out)[i] = ids ? ids[i] : i;
    return VIC_OK;
}

vic_status pattern_set_ids(vic_pattern *p, const int64_t *q_ids, const int64_t *k_ids, vic_error *err)
{
    if (!q_ids && (p->one_set || !k_ids)) return VIC_OK;
    TRY(copy_ids(q_ids, p->n_q, &p->q_ids, err));
    if (!p->one_set) return copy_ids(k_ids, p->n_k, &p->k_ids, err);
    p->k_ids = p->q_ids;
    return VIC_OK;
}

static vic_status identity(int64_t n, int32_t **out, vic_error *err)
{
    TRY(mem_array((size_t)n, sizeof **out, "rows", out, err));
    for (int64_t i = 0; i < n; i++) (*out)[i] = (int32_t)i;
    return VIC_OK;
}

vic_status pattern_plain_order(vic_pattern *p, vic_error *err)
{
    TRY(identity(p->n_q, &p->q_order, err));
    pattern_share_sides(p);
    return VIC_OK;
}

vic_status pattern_key_order(const vic_pattern *p, const int32_t **out, vic_error *err)
{
    /* Written out, it is the same for everybody, and the pattern stays what it is. */
    union {
        const vic_pattern *in;
        vic_pattern *out;
    } shared = { p };
    int32_t *order = p->k_order ? p->k_order : __atomic_load_n(&p->k_order_written, __ATOMIC_ACQUIRE), *own;
    if (!order) {
        TRY(identity(p->n_k, &own, err));
        if (__atomic_compare_exchange_n(&shared.out->k_order_written, &order, own, false, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE))
            order = own;
        else
            free(own); /* another thread was first, and `order` is its array */
    }
    *out = order;
    return VIC_OK;
}

vic_status array_copy(const void *from, int64_t count, size_t size, void *slot, vic_error *err)
{
    void *array;
    if (!from) return VIC_OK;
    TRY(mem_array((size_t)count, size, "values", &array, err));
    memcpy(array, from, (size_t)count * size);
    memcpy(slot, &array, sizeof array);
    return VIC_OK;
}

static vic_status copy_atoms(const vic_pattern *p, vic_pattern *c, vic_error *err)
{
    memcpy(c->cell, p->cell, sizeof c->cell);
    memcpy(c->periodic, p->periodic, sizeof c->periodic);
    TRY(array_copy(p->q_positions, p->n_q, 3 * sizeof *p->q_positions, &c->q_positions, err));
    TRY(array_copy(p->q_order, p->n_q, sizeof *p->q_order, &c->q_order, err));
    TRY(array_copy(p->q_wrap, p->n_q, sizeof *p->q_wrap, &c->q_wrap, err));
    TRY(array_copy(p->q_ids, p->n_q, sizeof *p->q_ids, &c->q_ids, err));
    c->structures = p->structures;
    TRY(array_copy(p->offsets, p->structures + 1, sizeof *p->offsets, &c->offsets, err));
    TRY(array_copy(p->cells, p->structures, sizeof *p->cells, &c->cells, err));
    pattern_share_sides(c);
    if (!p->one_set) {
        TRY(array_copy(p->k_ids, p->n_k, sizeof *p->k_ids, &c->k_ids, err));
        TRY(array_copy(p->k_offsets, p->structures + 1, sizeof *p->k_offsets, &c->k_offsets, err));
        TRY(array_copy(p->k_positions, p->n_k, 3 * sizeof *p->k_positions, &c->k_positions, err));
        TRY(array_copy(p->k_order, p->n_k, sizeof *p->k_order, &c->k_order, err));
        TRY(array_copy(p->k_wrap, p->n_k, sizeof *p->k_wrap, &c->k_wrap, err));
    }
    return VIC_OK;
}

vic_status pattern_new_like(const vic_pattern *p, vic_pattern **out, vic_error *err)
{
    vic_status st;
    TRY(pattern_new(p->n_q, p->n_k, p->one_set, out, err));
    st = copy_atoms(p, *out, err);
    if (st == VIC_OK) return VIC_OK;
    pattern_release(*out);
    *out = NULL;
    return st;
}

vic_status cutoff_check(double cutoff, vic_error *err)
{
    if (cutoff > 0 && cutoff <= max_cutoff) return VIC_OK;
    return vic_fail(err, VIC_BAD_ARGUMENT, "cutoff: expected a distance above 0 and up to %g A, got %g", max_cutoff,
                    cutoff);
}

/* ---- rules ---- */

const char *pattern_kind(const vic_pattern *p)
{
    static const char *const names[RULE_KINDS] = { "cutoff",  "cutoff", "nearest",   "blocks",     "pairs",
                                                   "windows", "union",  "exclusion", "difference", "ranges" };
    const struct pattern_rule *last = p->n_rules > 0 ? &p->rules[p->n_rules - 1] : NULL;
    if (last && last->transposed) return "transpose";
    return names[last ? last->kind : RULE_CUTOFF];
}

vic_status pattern_add_rule(vic_pattern *p, enum pattern_rule_kind kind, struct pattern_rule **out, vic_error *err)
{
    size_t n = (size_t)p->n_rules;
    TRY(mem_grow(&p->rules, &n, n + 1, sizeof *p->rules, "rules", err));
    p->rules[p->n_rules] = (struct pattern_rule){ .kind = kind };
    *out = &p->rules[p->n_rules++];
    return VIC_OK;
}

static vic_status copy_arrays(const vic_pattern *p, const struct pattern_rule *r, struct pattern_rule *rule,
                              vic_error *err)
{
    TRY(array_copy(r->ptr, r->rows + 1, sizeof *r->ptr, &rule->ptr, err));
    TRY(array_copy(r->index, r->n, sizeof *r->index, &rule->index, err));
    TRY(array_copy(r->image, r->n, sizeof *r->image, &rule->image, err));
    TRY(array_copy(r->first, r->rows + 1, sizeof *r->first, &rule->first, err));
    return rule_set_skip(p, rule, r->q_skip, r->k_skip, err);
}

vic_status pattern_copy_rules(const vic_pattern *from, vic_pattern *p, vic_error *err)
{
    struct pattern_rule *rule;
    if (from->n_rules == 0) {
        TRY(pattern_add_rule(p, RULE_CUTOFF, &rule, err));
        rule->cutoff = from->cutoff;
        rule->exclude_self = from->exclude_self;
        return VIC_OK;
    }
    for (int64_t i = 0; i < from->n_rules; i++) {
        const struct pattern_rule *r = &from->rules[i];
        TRY(pattern_add_rule(p, r->kind, &rule, err));
        *rule = *r;
        rule->ptr = NULL;
        rule->index = NULL;
        rule->image = NULL;
        rule->first = NULL;
        rule->q_skip = rule->k_skip = NULL;
        TRY(copy_arrays(p, r, rule, err));
    }
    return VIC_OK;
}

void rule_free(struct pattern_rule *rule)
{
    if (rule->k_skip != rule->q_skip) free(rule->k_skip);
    free(rule->q_skip);
    free(rule->first);
    free(rule->image);
    free(rule->index);
    free(rule->ptr);
    *rule = (struct pattern_rule){ .kind = rule->kind };
}

static vic_status copy_skip(int64_t n, const uint8_t *skip, uint8_t **out, vic_error *err)
{
    if (!skip) return VIC_OK;
    TRY(mem_array((size_t)n, 1, "atoms", out, err));
    for (int64_t i = 0; i < n; i++) (*out)[i] = skip[i] != 0;
    return VIC_OK;
}

vic_status rule_set_skip(const vic_pattern *p, struct pattern_rule *rule, const uint8_t *q, const uint8_t *k,
                         vic_error *err)
{
    TRY(copy_skip(p->n_q, q, &rule->q_skip, err));
    if (!p->one_set) return copy_skip(p->n_k, k, &rule->k_skip, err);
    rule->k_skip = rule->q_skip;
    return VIC_OK;
}

uint64_t skip_rows(const vic_pattern *p, const uint8_t *q_skip, int64_t strip)
{
    uint64_t rows = 0;
    for (int64_t r = 0; r < STRIP && strip * STRIP + r < p->n_q; r++)
        rows |= (uint64_t) !(q_skip && q_skip[p->q_order[strip * STRIP + r]]) << r;
    return rows;
}

/* ---- info ---- */

static size_t rule_bytes(const vic_pattern *p, const struct pattern_rule *r)
{
    size_t bytes = sizeof *r + (size_t)r->n * sizeof *r->index;
    if (r->ptr) bytes += ((size_t)r->rows + 1) * sizeof *r->ptr;
    if (r->image) bytes += (size_t)r->n * sizeof *r->image;
    if (r->first) bytes += ((size_t)r->rows + 1) * sizeof *r->first;
    if (r->q_skip) bytes += (size_t)p->n_q;
    if (r->k_skip && r->k_skip != r->q_skip) bytes += (size_t)p->n_k;
    return bytes;
}

static size_t pattern_bytes(const vic_pattern *p)
{
    size_t rows = (size_t)(p->n_q + (p->one_set ? 0 : p->n_k));
    size_t per_row = p->q_positions ? 3 * sizeof(double) : 0;
    if (p->q_wrap) per_row += 3 * sizeof(int32_t);
    if (p->q_ids) per_row += sizeof(int64_t);
    size_t orders = (size_t)(p->n_q + (p->one_set || !p->k_order ? 0 : p->n_k)) * sizeof *p->q_order;
    size_t bytes = sizeof *p + per_row * rows + orders + (size_t)p->n_images * sizeof *p->images +
                   (size_t)p->n_partial * (2 * sizeof(int32_t) + sizeof(struct block_bits)) +
                   (size_t)p->full_ptr[p->strips] * sizeof(struct full_run) +
                   2 * (size_t)(p->strips + 1) * sizeof(int64_t);
    if (p->offsets) bytes += (size_t)p->structures * (sizeof *p->offsets + sizeof *p->cells);
    if (p->k_offsets != p->offsets) bytes += (size_t)p->structures * sizeof *p->k_offsets;
    for (int64_t r = 0; r < p->n_rules; r++) bytes += rule_bytes(p, &p->rules[r]);
    return bytes;
}

void pattern_fill_info(vic_pattern *p)
{
    vic_pattern_info *info = &p->info;
    info->n_q = p->n_q;
    info->n_k = p->n_k;
    info->strips = p->strips;
    info->clusters = p->clusters;
    info->blocks = p->n_partial + p->n_full;
    info->full_blocks = p->n_full;
    info->cutoff = p->cutoff;
    info->bytes = pattern_bytes(p);
    log_line("pattern",
             "%s of %lld queries and %lld keys: %lld pairs, %lld blocks (%lld full), %lld image%s, %zu bytes",
             pattern_kind(p), (long long)p->n_q, (long long)p->n_k, (long long)info->pairs, (long long)info->blocks,
             (long long)info->full_blocks, (long long)p->n_images, p->n_images == 1 ? "" : "s", info->bytes);
}
