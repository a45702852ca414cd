/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/update.h"

#include "base/memory.h"
#include "pattern/build.h"
#include "pattern/cutoff.h"
#include "pattern/nearest.h"
#include "pattern/pattern.h"

#include <string.h>

struct moved {
    const double *q, *k;
    const double (*cell)[3];
};

bool pattern_follows(const vic_pattern *p)
{
    enum pattern_rule_kind kind = p->n_rules > 0 ? p->rules[0].kind : RULE_CUTOFF;
    return p->n_rules <= 1 && (kind == RULE_CUTOFF || (kind == RULE_NEAREST && !p->rules[0].transposed));
}

static vic_status check_input(const vic_pattern *old, const struct moved *m, vic_error *err)
{
    if (!pattern_follows(old))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "only patterns of a cutoff or of the nearest follow their atoms, got one of kind %s",
                        pattern_kind(old));
    if (old->one_set != (m->k == NULL) && (old->one_set || old->n_k > 0))
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        old->one_set
                            ? "keys is not NULL, but the pattern is of one set of points with itself: leave it NULL"
                            : "keys is NULL, but the pattern has keys of their own: give where they are");
    if (!m->q && old->n_q != 0)
        return vic_fail(err, VIC_BAD_ARGUMENT, "queries.positions is NULL, but the pattern has %lld queries",
                        (long long)old->n_q);
    if (m->cell && old->structures > 0)
        return vic_fail(err, VIC_BAD_ARGUMENT,
                        "cell: the pattern has several structures, whose cells stay: expected NULL");
    return VIC_OK;
}

/* ---- in memory that is there ---- */

static bool is_plain(const vic_pattern *old)
{
    const struct pattern_rule *rule = old->n_rules > 0 ? &old->rules[0] : NULL;
    return old->structures == 0 && (!rule || (rule->kind == RULE_CUTOFF && !rule->q_skip && !rule->k_skip));
}

/* `spare` is used up, also on failure. */
static vic_status rebuild(const vic_pattern *old, const struct moved *m, vic_pattern *spare, struct pool *pool,
                          vic_pattern **out, vic_error *err)
{
    static const double nowhere[3] = { 0, 0, 0 };
    struct pattern_input in = { .n_q = old->n_q,
                                .n_k = old->one_set ? 0 : old->n_k,
                                .q_positions = m->q ? m->q : nowhere,
                                .k_positions = !m->k && !old->one_set ? nowhere : m->k,
                                .q_ids = old->q_ids,
                                .k_ids = old->k_ids,
                                .cutoff = old->cutoff,
                                .exclude_self = old->exclude_self };
    memcpy(in.cell, m->cell ? m->cell : (const double(*)[3])old->cell, sizeof in.cell);
    memcpy(in.periodic, old->periodic, sizeof in.periodic);
    return pattern_rebuild(&in, spare, pool, out, err);
}

/* ---- anew ---- */

static struct point_set set_of(const vic_pattern *old, bool keys, const double *positions)
{
    const struct pattern_rule *rule = old->n_rules > 0 ? &old->rules[0] : NULL;
    struct point_set s = { .n = keys ? old->n_k : old->n_q, .positions = positions };
    if (rule) s.mask = keys ? rule->k_skip : rule->q_skip;
    s.ids = keys ? old->k_ids : old->q_ids;
    s.groups = old->structures;
    s.group_offsets = keys ? old->k_offsets : old->offsets;
    return s;
}

static vic_status build_sets(const vic_pattern *old, const struct point_set *q, const struct point_set *k,
                             struct pool *pool, vic_pattern **out, vic_error *err)
{
    const struct pattern_rule *rule = &old->rules[0];
    const struct cutoff_input cutoff = { .cutoff = old->cutoff, .exclude_self = rule->exclude_self };
    const struct nearest_input nearest = { .k = rule->count, .exclude_self = rule->exclude_self };
    if (rule->kind == RULE_NEAREST) return pattern_nearest(q, k, &nearest, pool, out, err);
    return pattern_cutoff(q, k, &cutoff, pool, out, err);
}

/* The cells of groups lie in records: side by side they are what a set of points has. */
static vic_status build_groups(const vic_pattern *old, struct point_set *q, const struct point_set *k,
                               struct pool *pool, vic_pattern **out, vic_error *err)
{
    vic_status st = VIC_OK;
    size_t n = (size_t)old->structures;
    double *cells = NULL;
    bool *periodic = NULL;
    TRY_GOTO(mem_array(n, 9 * sizeof *cells, "cells", &cells, err), done);
    TRY_GOTO(mem_array(n, 3 * sizeof *periodic, "cells", &periodic, err), done);
    for (size_t g = 0; g < n; g++) {
        memcpy(cells + 9 * g, old->cells[g].cell, sizeof old->cells[g].cell);
        memcpy(periodic + 3 * g, old->cells[g].periodic, sizeof old->cells[g].periodic);
    }
    q->cells = cells;
    q->periodic = periodic;
    st = build_sets(old, q, k, pool, out, err);
done:
    free(periodic);
    free(cells);
    return st;
}

static vic_status build_anew(const vic_pattern *old, const struct moved *m, struct pool *pool, vic_pattern **out,
                             vic_error *err)
{
    struct point_set q = set_of(old, false, m->q), k = set_of(old, true, m->k), *keys = old->one_set ? NULL : &k;
    if (old->structures > 0) return build_groups(old, &q, keys, pool, out, err);
    q.cells = m->cell ? &m->cell[0][0] : &old->cell[0][0];
    q.periodic = old->periodic;
    return build_sets(old, &q, keys, pool, out, err);
}

vic_status pattern_update(vic_pattern **p, const double *q_positions, const double *k_positions,
                          const double cell[3][3], struct pool *pool, vic_error *err)
{
    const struct moved m = { q_positions, k_positions, cell };
    vic_pattern *old = *p, *new = NULL;
    TRY(check_input(old, &m, err));
    if (!is_plain(old)) {
        TRY(build_anew(old, &m, pool, &new, err));
    } else {
        TRY(rebuild(old, &m, __atomic_exchange_n(&old->spare, NULL, __ATOMIC_ACQ_REL), pool, &new, err));
        if (pattern_is_alone(old)) {
            new->spare = old;
            old = NULL;
        }
    }
    pattern_release(old);
    *p = new;
    return VIC_OK;
}

vic_status pattern_moved(const vic_pattern *p, const double *positions, const double cell[3][3], vic_pattern *spare,
                         struct pool *pool, vic_pattern **out, vic_error *err)
{
    const struct moved m = { positions, NULL, cell };
    *out = NULL;
    vic_status st = check_input(p, &m, err);
    if (st == VIC_OK && is_plain(p)) return rebuild(p, &m, spare, pool, out, err);
    pattern_release(spare);
    return st == VIC_OK ? build_anew(p, &m, pool, out, err) : st;
}
