/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/ref/rules.h"

#include "base/memory.h"
#include "contract/pair_rule.h"
#include "kernels/ref/images.h"

#include <math.h>
#include <string.h>

struct list {
    struct rule_pair *pairs;
    size_t n, capacity;
};

/* A pair with what it is ranked by. */
struct ranked {
    double d2;
    int64_t id; /* of the key */
    struct rule_pair pair;
};

struct worker {
    struct list *stack; /* [n_rules + 1] sets that have not been joined yet */
    struct ranked *ranked;
    size_t n_ranked, ranked_capacity;
    vic_status status;
    vic_error error;
};

/* The pairs of a transposed leaf by query: those that its words give, all of them, turned round. */
struct turned {
    int64_t *ptr; /* [n_q + 1]; NULL for other rules */
    struct rule_pair *pairs;
};

struct rules {
    const struct vic_pattern *p;
    int workers;
    struct worker *worker;
    struct turned *turned; /* [n_rules] */
};

static vic_status turn_leaves(struct rules *rules, vic_error *err);

vic_status rules_make(const struct vic_pattern *p, int workers, struct rules **out, vic_error *err)
{
    vic_status st = VIC_OK;
    struct rules *rules;
    *out = NULL;
    TRY(mem_array_zero(1, sizeof *rules, "rules", &rules, err));
    rules->p = p;
    rules->workers = workers;
    TRY_GOTO(mem_array_zero((size_t)workers, sizeof *rules->worker, "workers", &rules->worker, err), done);
    for (int w = 0; w < workers; w++)
        TRY_GOTO(mem_array_zero((size_t)p->n_rules + 1, sizeof(struct list), "sets of pairs", &rules->worker[w].stack,
                                err),
                 done);
    TRY_GOTO(mem_array_zero((size_t)p->n_rules, sizeof *rules->turned, "rules", &rules->turned, err), done);
    TRY_GOTO(turn_leaves(rules, err), done);
    *out = rules;
    rules = NULL;
done:
    rules_free(rules);
    return st;
}

void rules_free(struct rules *rules)
{
    if (!rules) return;
    for (int w = 0; rules->worker && w < rules->workers; w++) {
        for (int64_t i = 0; rules->worker[w].stack && i <= rules->p->n_rules; i++)
            free(rules->worker[w].stack[i].pairs);
        free(rules->worker[w].stack);
        free(rules->worker[w].ranked);
    }
    free(rules->worker);
    for (int64_t i = 0; rules->turned && i < rules->p->n_rules; i++) {
        free(rules->turned[i].ptr);
        free(rules->turned[i].pairs);
    }
    free(rules->turned);
    free(rules);
}

vic_status rules_status(const struct rules *rules, vic_error *err)
{
    for (int w = 0; rules && w < rules->workers; w++) {
        if (rules->worker[w].status == VIC_OK) continue;
        if (err) *err = rules->worker[w].error;
        return rules->worker[w].status;
    }
    return VIC_OK;
}

/* ---- lists ---- */

static vic_status add(struct list *list, int32_t key, const int32_t image[3], vic_error *err)
{
    static const int32_t none[3] = { 0, 0, 0 };
    TRY(mem_grow(&list->pairs, &list->capacity, list->n + 1, sizeof *list->pairs, "pairs of a row", err));
    list->pairs[list->n].key = key;
    memcpy(list->pairs[list->n++].image, image ? image : none, sizeof none);
    return VIC_OK;
}

static int compare(const void *a, const void *b)
{
    const struct rule_pair *p = a, *q = b;
    if (p->key != q->key) return p->key < q->key ? -1 : 1;
    for (int x = 0; x < 3; x++)
        if (p->image[x] != q->image[x]) return p->image[x] < q->image[x] ? -1 : 1;
    return 0;
}

static bool skipped(const struct pattern_rule *rule, int64_t query, int64_t key)
{
    return (rule->q_skip && rule->q_skip[query]) || (rule->k_skip && rule->k_skip[key]);
}

/* ---- leaves ---- */

/* The keys that can be a query's neighbours, first .. end - 1, and their cell: those of its structure. */
struct world {
    int64_t first, end;
    const double (*cell)[3];
    const bool *periodic;
};

static struct world world_of(const struct vic_pattern *p, int64_t query)
{
    struct world w = { 0, p->n_k, (const double(*)[3])p->cell, p->periodic };
    int64_t low = 0, high = p->structures; /* the last structure that does not begin behind the query */
    if (high == 0) return w;
    while (high - low > 1) {
        int64_t middle = low + (high - low) / 2;
        if (p->offsets[middle] <= query)
            low = middle;
        else
            high = middle;
    }
    w = (struct world){ p->k_offsets[low], p->k_offsets[low + 1], (const double(*)[3])p->cells[low].cell,
                        p->cells[low].periodic };
    return w;
}

static int64_t id_of(const int64_t *ids, int64_t atom)
{
    return ids ? ids[atom] : atom;
}

/* Whether the pair is one atom with itself.  Between two sets only ids tell which atoms are the same. */
static bool is_self(const struct vic_pattern *p, int64_t query, int64_t key, double d2)
{
    if (!p->one_set && !p->q_ids) return false;
    return d2 == 0.0 && id_of(p->q_ids, query) == id_of(p->k_ids, key);
}

static vic_status rank(struct worker *w, double d2, int64_t id, int64_t key, const int32_t n[3], vic_error *err)
{
    TRY(mem_grow(&w->ranked, &w->ranked_capacity, w->n_ranked + 1, sizeof *w->ranked, "pairs of a row", err));
    w->ranked[w->n_ranked++] = (struct ranked){ d2, id, { (int32_t)key, { n[0], n[1], n[2] } } };
    return VIC_OK;
}

/* Puts every pair with d2 < cutoff * cutoff into w->ranked, by key and image. */
static vic_status within(const struct vic_pattern *p, const struct pattern_rule *rule, const struct world *world,
                         double cutoff, int64_t query, struct worker *w, vic_error *err)
{
    const double *ri = p->q_positions + 3 * query, *keys = p->k_positions;
    double extent = largest_norm(1, ri) + largest_norm(world->end - world->first, keys + 3 * world->first);
    struct image_search search;
    w->n_ranked = 0;
    TRY(image_search_make(world->cell, world->periodic, extent, cutoff, &search, err));
    for (int64_t key = world->first; key < world->end; key++) {
        const double *rj = keys + 3 * key, difference[3] = { rj[0] - ri[0], rj[1] - ri[1], rj[2] - ri[2] };
        int32_t first[3], last[3];
        if (skipped(rule, query, key) || !image_search_range(&search, difference, first, last)) continue;
        for (int32_t n1 = first[0]; n1 <= last[0]; n1++)
            for (int32_t n2 = first[1]; n2 <= last[1]; n2++)
                for (int32_t n3 = first[2]; n3 <= last[2]; n3++) {
                    double d2 = pair_distance2(ri, rj, world->cell, n1, n2, n3);
                    bool self = rule->exclude_self && is_self(p, query, key, d2);
                    if (d2 < cutoff * cutoff && !self)
                        TRY(rank(w, d2, id_of(p->k_ids, key), key, (const int32_t[3]){ n1, n2, n3 }, err));
                }
    }
    return VIC_OK;
}

static vic_status take_ranked(const struct worker *w, size_t n, struct list *out, vic_error *err)
{
    for (size_t i = 0; i < n; i++) TRY(add(out, w->ranked[i].pair.key, w->ranked[i].pair.image, err));
    return VIC_OK;
}

static int nearest_first(const void *a, const void *b)
{
    const struct ranked *p = a, *q = b;
    if (p->d2 != q->d2) return p->d2 < q->d2 ? -1 : 1;
    if (p->id != q->id) return p->id < q->id ? -1 : 1;
    for (int x = 0; x < 3; x++)
        if (p->pair.image[x] != q->pair.image[x]) return p->pair.image[x] < q->pair.image[x] ? -1 : 1;
    return (p->pair.key > q->pair.key) - (p->pair.key < q->pair.key);
}

/* Tries ever larger cutoffs until one holds enough pairs; without periodic axes, one cutoff that holds all atoms. */
static vic_status nearest(const struct vic_pattern *p, const struct pattern_rule *rule, int64_t query,
                          struct worker *w, struct list *out, vic_error *err)
{
    struct world world = world_of(p, query);
    bool open = !world.periodic[0] && !world.periodic[1] && !world.periodic[2];
    double all = 2.0 * (largest_norm(p->n_k, p->k_positions) + largest_norm(1, p->q_positions + 3 * query)) + 1.0;
    bool any = false;
    for (int64_t key = world.first; key < world.end && !any; key++) any = !skipped(rule, query, key);
    if (!any) return VIC_OK;
    for (double cutoff = open ? all : 1.0;; cutoff *= 1.5) {
        TRY(within(p, rule, &world, cutoff, query, w, err));
        if (!open && w->n_ranked < (size_t)rule->count) continue;
        if (w->n_ranked > 0) qsort(w->ranked, w->n_ranked, sizeof *w->ranked, nearest_first);
        return take_ranked(w, w->n_ranked < (size_t)rule->count ? w->n_ranked : (size_t)rule->count, out, err);
    }
}

/* The query's place at the end of its group's keys, and the keys that are near enough to it. */
static vic_status ranges(const struct pattern_rule *rule, int64_t query, struct list *out, vic_error *err)
{
    int64_t group = 0, keys = 0, place = 0;
    while (group < rule->rows && rule->first[group + 1] <= query) group++;
    for (int64_t t = rule->ptr[group]; t < rule->ptr[group + 1]; t += 2) keys += rule->index[t + 1] - rule->index[t];
    int64_t queries = rule->first[group + 1] - rule->first[group];
    int64_t own = keys - queries / rule->share + (query - rule->first[group]) / rule->share;
    for (int64_t t = rule->ptr[group]; t < rule->ptr[group + 1]; t += 2)
        for (int32_t key = rule->index[t]; key < rule->index[t + 1]; key++, place++) {
            if (rule->count >= 0 && own - place > rule->count) continue;
            if (rule->keys >= 0 && place - own > rule->keys) continue;
            if (!skipped(rule, query, key)) TRY(add(out, key, NULL, err));
        }
    return VIC_OK;
}

static vic_status leaf(const struct vic_pattern *p, const struct pattern_rule *rule, int64_t query, struct worker *w,
                       struct list *out, vic_error *err)
{
    struct world world;
    switch (rule->kind) {
    case RULE_CUTOFF:
        world = world_of(p, query);
        TRY(within(p, rule, &world, rule->cutoff, query, w, err));
        return take_ranked(w, w->n_ranked, out, err);
    case RULE_NEAREST: return nearest(p, rule, query, w, out, err);
    case RULE_BLOCKS:
        for (int64_t t = rule->ptr[query / rule->count]; t < rule->ptr[query / rule->count + 1]; t++)
            for (int64_t key = rule->index[t] * rule->count; key < p->n_k && key / rule->count == rule->index[t];
                 key++)
                if (!skipped(rule, query, key)) TRY(add(out, (int32_t)key, NULL, err));
        return VIC_OK;
    case RULE_PAIRS:
        for (int64_t t = rule->ptr[query]; t < rule->ptr[query + 1]; t++)
            if (!skipped(rule, query, rule->index[t]))
                TRY(add(out, rule->index[t], rule->image ? rule->image[t] : NULL, err));
        return VIC_OK;
    case RULE_WINDOWS:
        for (int64_t key = 0; key < p->n_k; key++) {
            /* Twice the distance of the key from the middle of the query's window, whose ends are whole numbers. */
            int64_t middle2 = 2 * (query / rule->count * rule->count) + rule->count - 1, off2 = 2 * key - middle2;
            if ((off2 < 0 ? -off2 : off2) < rule->keys && !skipped(rule, query, key))
                TRY(add(out, (int32_t)key, NULL, err));
        }
        return VIC_OK;
    case RULE_RANGES: return ranges(rule, query, out, err);
    default: return VIC_OK;
    }
}

/* ---- transposed leaves ---- */

/* The pattern as the words of a transposed rule see it. */
static struct vic_pattern swapped(const struct vic_pattern *p)
{
    struct vic_pattern s = *p;
    s.n_q = p->n_k;
    s.n_k = p->n_q;
    s.q_positions = p->k_positions;
    s.k_positions = p->q_positions;
    s.q_ids = p->k_ids;
    s.k_ids = p->q_ids;
    s.offsets = p->k_offsets;
    s.k_offsets = p->offsets;
    return s;
}

/* Pairs (key, query, -image) of the words' rows, in the order of these rows. */
struct turn {
    struct list all;
    int64_t *query; /* [all.n] grows */
    size_t capacity;
};

static vic_status turn_row(const struct list *row, int64_t key, struct turn *t, vic_error *err)
{
    for (size_t i = 0; i < row->n; i++) {
        const int32_t *n = row->pairs[i].image, back[3] = { -n[0], -n[1], -n[2] };
        TRY(mem_grow(&t->query, &t->capacity, t->all.n + 1, sizeof *t->query, "pairs", err));
        t->query[t->all.n] = row->pairs[i].key;
        TRY(add(&t->all, (int32_t)key, back, err));
    }
    return VIC_OK;
}

static vic_status sort_turned(int64_t n_q, const struct turn *t, struct turned *out, vic_error *err)
{
    int64_t *next;
    TRY(mem_array_zero((size_t)n_q + 2, sizeof *out->ptr, "atoms", &out->ptr, err));
    TRY(mem_array(t->all.n, sizeof *out->pairs, "pairs", &out->pairs, err));
    next = out->ptr + 1; /* shifted by one while it is filled */
    for (size_t i = 0; i < t->all.n; i++) out->ptr[t->query[i] + 2]++;
    for (int64_t q = 0; q < n_q; q++) next[q + 1] += next[q];
    for (size_t i = 0; i < t->all.n; i++) out->pairs[next[t->query[i]]++] = t->all.pairs[i];
    return VIC_OK;
}

static vic_status turn_leaf(struct rules *rules, int64_t number, vic_error *err)
{
    vic_status st = VIC_OK;
    const struct vic_pattern *p = rules->p, words = swapped(p);
    struct pattern_rule rule = p->rules[number];
    struct list *row = &rules->worker[0].stack[p->n_rules];
    struct turn t = { .query = NULL };
    rule.q_skip = p->rules[number].k_skip;
    rule.k_skip = p->rules[number].q_skip;
    for (int64_t key = 0; key < p->n_k; key++) {
        row->n = 0;
        TRY_GOTO(leaf(&words, &rule, key, &rules->worker[0], row, err), done);
        TRY_GOTO(turn_row(row, key, &t, err), done);
    }
    st = sort_turned(p->n_q, &t, &rules->turned[number], err);
done:
    free(t.all.pairs);
    free(t.query);
    return st;
}

static vic_status turn_leaves(struct rules *rules, vic_error *err)
{
    for (int64_t i = 0; i < rules->p->n_rules; i++)
        if (rules->p->rules[i].transposed) TRY(turn_leaf(rules, i, err));
    return VIC_OK;
}

static vic_status take_turned(const struct turned *t, int64_t query, struct list *out, vic_error *err)
{
    for (int64_t i = t->ptr[query]; i < t->ptr[query + 1]; i++)
        TRY(add(out, t->pairs[i].key, t->pairs[i].image, err));
    return VIC_OK;
}

/* ---- rows ---- */

static vic_status unite(struct list *a, const struct list *b, vic_error *err)
{
    size_t kept = 0;
    for (size_t i = 0; i < b->n; i++) TRY(add(a, b->pairs[i].key, b->pairs[i].image, err));
    if (a->n > 0) qsort(a->pairs, a->n, sizeof *a->pairs, compare);
    for (size_t i = 0; i < a->n; i++)
        if (kept == 0 || compare(&a->pairs[kept - 1], &a->pairs[i]) != 0) a->pairs[kept++] = a->pairs[i];
    a->n = kept;
    return VIC_OK;
}

static void exclude(struct list *a, const struct pattern_rule *rule, int64_t query)
{
    size_t kept = 0;
    for (size_t i = 0; i < a->n; i++) {
        bool out = false;
        for (int64_t t = rule->ptr[query]; t < rule->ptr[query + 1] && !out; t++)
            out = rule->index[t] == a->pairs[i].key &&
                  (!rule->image || memcmp(rule->image[t], a->pairs[i].image, sizeof *rule->image) == 0);
        if (!out) a->pairs[kept++] = a->pairs[i];
    }
    a->n = kept;
}

static void subtract(struct list *a, struct list *b)
{
    size_t kept = 0;
    if (b->n > 0) qsort(b->pairs, b->n, sizeof *b->pairs, compare);
    for (size_t i = 0; i < a->n; i++)
        if (b->n == 0 || !bsearch(&a->pairs[i], b->pairs, b->n, sizeof *b->pairs, compare))
            a->pairs[kept++] = a->pairs[i];
    a->n = kept;
}

static vic_status evaluate(const struct rules *rules, struct worker *w, int64_t query, vic_error *err)
{
    const struct vic_pattern *p = rules->p;
    int64_t depth = 0;
    for (int64_t i = 0; i < p->n_rules; i++) {
        const struct pattern_rule *rule = &p->rules[i];
        if (rule->kind == RULE_UNITE) {
            depth--;
            TRY(unite(&w->stack[depth - 1], &w->stack[depth], err));
        } else if (rule->kind == RULE_SUBTRACT) {
            depth--;
            subtract(&w->stack[depth - 1], &w->stack[depth]);
        } else if (rule->kind == RULE_EXCLUDE) {
            exclude(&w->stack[depth - 1], rule, query);
        } else {
            struct list *out = &w->stack[depth++];
            out->n = 0;
            TRY(rule->transposed ? take_turned(&rules->turned[i], query, out, err)
                                 : leaf(p, rule, query, w, out, err));
        }
    }
    if (w->stack[0].n > 0) qsort(w->stack[0].pairs, w->stack[0].n, sizeof *w->stack[0].pairs, compare);
    return VIC_OK;
}

const struct rule_pair *rules_row(struct rules *rules, int64_t query, int worker, int64_t *n)
{
    struct worker *w = &rules->worker[worker];
    *n = 0;
    if (w->status == VIC_OK) w->status = evaluate(rules, w, query, &w->error);
    if (w->status == VIC_OK) *n = (int64_t)w->stack[0].n;
    return w->stack[0].pairs;
}
