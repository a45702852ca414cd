/* SPDX-License-Identifier: Apache-2.0 */
#include "pattern/groups.h"

#include "base/clock.h"
#include "base/memory.h"
#include "pattern/build.h"
#include "pattern/join.h"
#include "pattern/nearest.h"
#include "pattern/pattern.h"

#include <math.h>
#include <string.h>

/* A group so large gets all threads for itself. */
enum { LARGE = 1 << 14 };

struct builds {
    const struct point_set *q, *k; /* k NULL = one set */
    const struct pattern_rule *how;
    size_t max_bytes;
    vic_pattern_estimate *estimate;
    int64_t groups; /* at least 1 */
    struct join join;
    int64_t *sequence;          /* [groups] by place in the order of rows: the group */
    int64_t *q_first, *k_first; /* [groups + 1] by place: its first row; the same array where one set */
    int workers;
    struct pool **pools; /* [workers] of one thread each */
    vic_status *status;  /* [groups] by place */
};

/* ---- rows ---- */

/* Which group comes next: one that ends at the end of a strip, else of a cluster, so that few strips, clusters
 * and groups of 16 rows hold two; else the first that is left.  A function of the sizes alone. */
struct queue {
    int64_t *next;       /* [groups] the next one with as many atoms beyond whole strips, or -1 */
    int64_t head[STRIP]; /* by that number */
    int64_t first;       /* no group before it is left */
    bool *taken;         /* [groups] */
};

static int64_t take_next(struct queue *q, int64_t row)
{
    int64_t s = -1;
    for (int64_t short_of = 0; short_of < STRIP && s < 0; short_of += CLUSTER) {
        int64_t *head = &q->head[((STRIP - row % STRIP) + STRIP - short_of) % STRIP];
        while (*head >= 0 && q->taken[*head]) *head = q->next[*head];
        s = *head;
    }
    if (s < 0) {
        while (q->taken[q->first]) q->first++;
        s = q->first;
    }
    q->taken[s] = true;
    return s;
}

static int64_t group_first(const struct point_set *s, int64_t group)
{
    return s->groups == 0 ? 0 : s->group_offsets[group];
}

static int64_t group_end(const struct point_set *s, int64_t group)
{
    return s->groups == 0 ? s->n : s->group_offsets[group + 1];
}

static int64_t group_kept(const struct point_set *s, int64_t group)
{
    int64_t kept = 0;
    for (int64_t i = group_first(s, group); i < group_end(s, group); i++) kept += !(s->mask && s->mask[i]);
    return kept;
}

/* b->sequence and b->q_first, by the sizes of the groups of queries. */
static vic_status place_groups(struct builds *b, vic_error *err)
{
    vic_status st = VIC_OK;
    struct queue q = { .next = NULL };
    int64_t *kept = NULL;
    size_t n = (size_t)b->groups;
    TRY(mem_array(n, sizeof *b->sequence, "structures", &b->sequence, err));
    TRY(mem_array(n + 1, sizeof *b->q_first, "structures", &b->q_first, err));
    TRY_GOTO(mem_array(n, sizeof *kept, "structures", &kept, err), done);
    TRY_GOTO(mem_array(n, sizeof *q.next, "structures", &q.next, err), done);
    TRY_GOTO(mem_array_zero(n, sizeof *q.taken, "structures", &q.taken, err), done);
    for (int i = 0; i < STRIP; i++) q.head[i] = -1;
    for (int64_t g = b->groups; g-- > 0;) {
        kept[g] = group_kept(b->q, g);
        q.next[g] = q.head[kept[g] % STRIP];
        q.head[kept[g] % STRIP] = g;
    }
    b->q_first[0] = 0;
    for (int64_t place = 0; place < b->groups; place++) {
        b->sequence[place] = take_next(&q, b->q_first[place]);
        b->q_first[place + 1] = b->q_first[place] + kept[b->sequence[place]];
    }
done:
    free(q.taken);
    free(q.next);
    free(kept);
    return st;
}

static vic_status place_keys(struct builds *b, vic_error *err)
{
    b->k_first = b->q_first;
    if (!b->k) return VIC_OK;
    TRY(mem_array((size_t)b->groups + 1, sizeof *b->k_first, "structures", &b->k_first, err));
    b->k_first[0] = 0;
    for (int64_t place = 0; place < b->groups; place++)
        b->k_first[place + 1] = b->k_first[place] + group_kept(b->k, b->sequence[place]);
    return VIC_OK;
}

/* The points that take part, group by group in the order of rows, then the others. */
static vic_status side_make(const struct builds *b, const struct point_set *s, struct side *out, vic_error *err)
{
    int64_t at = 0;
    out->n = s->n;
    TRY(mem_array((size_t)s->n, sizeof *out->atoms, "atoms", &out->atoms, err));
    for (int64_t place = 0; place < b->groups; place++)
        for (int64_t i = group_first(s, b->sequence[place]); i < group_end(s, b->sequence[place]); i++)
            if (!s->mask || !s->mask[i]) out->atoms[at++] = (int32_t)i;
    out->kept = at;
    for (int64_t i = 0; i < s->n; i++)
        if (s->mask && s->mask[i]) out->atoms[at++] = (int32_t)i;
    return VIC_OK;
}

/* ---- the whole ---- */

static vic_status keep_groups(const struct builds *b, vic_pattern *whole, vic_error *err)
{
    size_t n = (size_t)b->groups;
    struct pattern_cell one;
    if (b->q->groups == 0) {
        point_set_cell(b->q, &one);
        pattern_set_cell(whole, (const double(*)[3])one.cell, one.periodic);
        return VIC_OK;
    }
    TRY(array_copy(b->q->group_offsets, b->groups + 1, sizeof *whole->offsets, &whole->offsets, err));
    if (b->k) TRY(array_copy(b->k->group_offsets, b->groups + 1, sizeof *whole->k_offsets, &whole->k_offsets, err));
    whole->structures = b->groups;
    TRY(mem_array(n, sizeof *whole->cells, "structures", &whole->cells, err));
    for (int64_t g = 0; g < b->groups; g++) group_cell(b->q, g, &whole->cells[g]);
    return VIC_OK;
}

/* All but what join_parts() makes. */
static vic_status whole_make(struct builds *b, vic_error *err)
{
    struct pattern_rule *rule;
    vic_pattern *p;
    TRY(pattern_new(b->q->n, b->k ? b->k->n : 0, !b->k, &p, err));
    b->join.whole = p;
    TRY(pattern_set_ids(p, b->q->ids, b->k ? b->k->ids : NULL, err));
    p->cutoff = b->how->cutoff;
    p->exclude_self = b->how->kind == RULE_CUTOFF && b->how->exclude_self && (p->one_set || p->q_ids);
    TRY(pattern_add_rule(p, b->how->kind, &rule, err));
    rule->cutoff = b->how->cutoff;
    rule->count = b->how->count;
    rule->exclude_self = b->how->exclude_self && (p->one_set || p->q_ids);
    TRY(rule_set_masks(p, rule, b->q, b->k, err));
    TRY(positions_copy(p->one_set ? "input" : "query", p->n_q, b->q->positions, &p->q_positions, err));
    if (b->k) TRY(positions_copy("key", p->n_k, b->k->positions, &p->k_positions, err));
    TRY(keep_groups(b, p, err));
    pattern_share_sides(p);
    return VIC_OK;
}

/* ---- parts ---- */

/* The points of one side of a part, which are the set's own where all take part. */
struct part_side {
    struct point_set set;
    double *positions;
    int64_t *ids;
};

static vic_status part_side_make(const struct builds *b, bool keys, int64_t place, struct part_side *out,
                                 vic_error *err)
{
    const struct point_set *s = keys ? b->k : b->q;
    const vic_pattern *whole = b->join.whole;
    const double *positions = keys ? whole->k_positions : whole->q_positions;
    const int64_t *first = keys ? b->k_first : b->q_first, *ids = keys ? whole->k_ids : whole->q_ids;
    const int32_t *atoms = (keys ? b->join.k : b->join.q).atoms + first[place];
    int64_t n = first[place + 1] - first[place], start = group_first(s, b->sequence[place]);
    *out =
        (struct part_side){ .set = { .n = n, .positions = positions + 3 * start, .ids = ids ? ids + start : NULL } };
    if (!s->mask) return VIC_OK;
    TRY(mem_array((size_t)n, 3 * sizeof *out->positions, "positions", &out->positions, err));
    if (ids) TRY(mem_array((size_t)n, sizeof *out->ids, "ids", &out->ids, err));
    for (int64_t i = 0; i < n; i++) {
        memcpy(out->positions + 3 * i, positions + 3 * (int64_t)atoms[i], 3 * sizeof *positions);
        if (ids) out->ids[i] = ids[atoms[i]];
    }
    out->set.positions = out->positions;
    out->set.ids = out->ids;
    return VIC_OK;
}

static void part_side_free(struct part_side *s)
{
    free(s->positions);
    free(s->ids);
}

static vic_status build_cutoff(const struct builds *b, const struct point_set *q, const struct point_set *k,
                               struct pool *pool, vic_pattern **out, vic_error *err)
{
    struct pattern_input in = { .n_q = q->n,
                                .n_k = k ? k->n : 0,
                                .q_positions = q->positions,
                                .k_positions = k ? k->positions : NULL,
                                .q_ids = q->ids,
                                .k_ids = k ? k->ids : NULL,
                                .cutoff = b->how->cutoff,
                                .exclude_self = b->how->exclude_self };
    memcpy(in.cell, q->cells, sizeof in.cell);
    memcpy(in.periodic, q->periodic, sizeof in.periodic);
    if (b->q->groups == 0) {
        in.max_bytes = b->max_bytes - b->max_bytes / 2; /* it is held twice while the others are put behind it */
        in.estimate = b->estimate;
    }
    return pattern_build(&in, pool, out, err);
}

static bool is_small(const struct builds *b, int64_t n, const bool periodic[3])
{
    bool by_ids = b->how->exclude_self && b->join.whole->q_ids;
    return b->join.small.atom && n <= SMALL_ATOMS && !by_ids && !periodic[0] && !periodic[1] && !periodic[2];
}

static vic_status build_sides(struct builds *b, int64_t place, struct point_set *q, const struct point_set *k,
                              struct pool *pool, vic_error *err)
{
    const vic_pattern *whole = b->join.whole;
    struct part *part = &b->join.parts[place];
    const struct pattern_cell *cell = whole->cells ? &whole->cells[b->sequence[place]] : NULL;
    q->cells = cell ? &cell->cell[0][0] : &whole->cell[0][0];
    q->periodic = cell ? cell->periodic : whole->periodic;
    if (is_small(b, q->n, q->periodic))
        return small_place(&b->join.small, part->q_first, part->n, q->positions, pool, err);
    if (b->how->kind == RULE_CUTOFF) return build_cutoff(b, q, k, pool, &part->p, err);
    const struct nearest_input in = { .k = b->how->count, .exclude_self = b->how->exclude_self };
    return pattern_nearest(q, k, &in, pool, &part->p, err);
}

static vic_status build_part(struct builds *b, int64_t place, struct pool *pool, vic_error *err)
{
    vic_status st = VIC_OK;
    struct part *part = &b->join.parts[place];
    struct part_side q = { .positions = NULL }, k = { .positions = NULL };
    part->q_first = b->q_first[place];
    part->k_first = b->k_first[place];
    part->n = b->q_first[place + 1] - part->q_first;
    TRY_GOTO(part_side_make(b, false, place, &q, err), done);
    if (b->k) TRY_GOTO(part_side_make(b, true, place, &k, err), done);
    st = build_sides(b, place, &q.set, b->k ? &k.set : NULL, pool, err);
done:
    part_side_free(&k);
    part_side_free(&q);
    return st;
}

static vic_status build_named(struct builds *b, int64_t place, struct pool *pool, vic_error *err)
{
    vic_error reason;
    vic_status st;
    if (b->q->groups == 0) return build_part(b, place, pool, err);
    st = build_part(b, place, pool, &reason);
    if (st == VIC_OK) return VIC_OK;
    return vic_fail(err, st, "structure %lld: %.980s", (long long)b->sequence[place], reason.text);
}

static bool is_large(const struct builds *b, int64_t place)
{
    return b->q->groups == 0 || b->q_first[place + 1] - b->q_first[place] >= LARGE;
}

static void build_task(void *context, int64_t place, int worker)
{
    struct builds *b = context;
    if (!is_large(b, place)) b->status[place] = build_part(b, place, b->pools[worker], NULL);
}

/* Small groups side by side, a thread each; large ones one by one with all threads. */
static vic_status build_all(struct builds *b, struct pool *pool, vic_error *err)
{
    if (b->q->groups > 0) pool_run(pool, b->groups, build_task, b);
    for (int64_t place = 0; place < b->groups; place++) /* One that failed is built once more, for its words. */
        if (is_large(b, place) || b->status[place] != VIC_OK) TRY(build_named(b, place, pool, err));
    return VIC_OK;
}

/* Small open structures need no pattern of their own. */
static vic_status prepare_small(struct builds *b, vic_error *err)
{
    struct small *small = &b->join.small;
    if (b->k || b->q->groups == 0 || b->how->kind != RULE_CUTOFF) return VIC_OK;
    TRY(small_make(b->q_first[b->groups], b->how->cutoff, b->how->exclude_self, small, err));
    for (int64_t i = 0; i < 3 * b->q->n; i++)
        small->far_component = fmax(small->far_component, fabs(b->q->positions[i]));
    return VIC_OK;
}

static vic_status prepare(struct builds *b, vic_error *err)
{
    size_t n = (size_t)b->groups;
    TRY(whole_make(b, err));
    TRY(place_groups(b, err));
    TRY(place_keys(b, err));
    TRY(side_make(b, b->q, &b->join.q, err));
    if (b->k)
        TRY(side_make(b, b->k, &b->join.k, err));
    else
        b->join.k = b->join.q;
    TRY(mem_array_zero(n, sizeof *b->join.parts, "structures", &b->join.parts, err));
    b->join.n_parts = b->groups;
    TRY(mem_array_zero(n, sizeof *b->status, "structures", &b->status, err));
    TRY(prepare_small(b, err));
    if (b->q->groups == 0) return VIC_OK;
    TRY(mem_array_zero((size_t)b->workers, sizeof *b->pools, "workers", &b->pools, err));
    for (int w = 0; w < b->workers; w++) TRY(pool_create(1, &b->pools[w], err));
    return VIC_OK;
}

static void builds_free(struct builds *b)
{
    for (int w = 0; b->pools && w < b->workers; w++) pool_free(b->pools[w]);
    free(b->pools);
    free(b->status);
    if (b->k_first != b->q_first) free(b->k_first);
    free(b->q_first);
    free(b->sequence);
    join_free(&b->join);
}

vic_status groups_build(const struct point_set *q, const struct point_set *k, const struct pattern_rule *how,
                        size_t max_bytes, vic_pattern_estimate *estimate, struct pool *pool, vic_pattern **out,
                        vic_error *err)
{
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct builds b = { .q = q, .k = k, .how = how, .max_bytes = max_bytes, .estimate = estimate };
    b.groups = q->groups > 0 ? q->groups : 1;
    b.workers = pool_threads(pool);
    *out = NULL;
    TRY_GOTO(prepare(&b, err), done);
    TRY_GOTO(build_all(&b, pool, err), done);
    TRY_GOTO(join_parts(&b.join, pool, err), done);
    vic_pattern *p = b.join.whole;
    if (q->groups > 0) p->info.seconds_order = 0; /* of parts at once: all of it is in the build */
    p->info.seconds_build = clock_seconds() - start - p->info.seconds_order;
    *out = p;
    b.join.whole = NULL;
done:
    builds_free(&b);
    return st;
}
