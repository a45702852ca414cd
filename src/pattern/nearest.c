/* SPDX-License-Identifier: Apache-2.0 */
/* The k nearest keys of every query, exactly.  A strip looks within a reach, in the tree of boxes that the builder
 * uses, and farther until each of its rows has k keys that nothing outside the reach can beat. */
#include "pattern/nearest.h"

#include "base/clock.h"
#include "base/memory.h"
#include "contract/pair_rule.h"
#include "pattern/assemble.h"
#include "pattern/boxes.h"
#include "pattern/groups.h"
#include "pattern/pairs.h"
#include "pattern/pattern.h"

#include <math.h>
#include <string.h>

/* By squared distance, then id of the key, then image, then key: the order that decides who is nearer. */
struct neighbour {
    double d2;
    int64_t id;
    int32_t key, image[3];
};

struct scratch {
    int32_t *near;   /* [clusters] */
    uint64_t *found; /* cluster << 32 | image, grows */
    size_t found_capacity;
    struct lattice_image *images;
    int64_t n_images;
    double images_reach;
    struct neighbour *heap; /* [k] of one row, the farthest at the root */
    vic_status status;
    vic_error error;
};

struct search {
    const vic_pattern *p;
    const struct pattern_rule *rule;
    struct placed points;
    struct box_tree tree;
    double far_component; /* of any position */
    bool any_key;         /* that takes part */
    bool exclude_self;
    int64_t k;
    struct scratch *scratch;
    /* by query atom, k places each */
    int32_t *key, (*image)[3];
    int64_t *count; /* [n_q] */
};

static bool nearer(const struct neighbour *a, const struct neighbour *b)
{
    if (a->d2 != b->d2) return a->d2 < b->d2;
    if (a->id != b->id) return a->id < b->id;
    int order = integers_compare(a->image, b->image);
    return order != 0 ? order < 0 : a->key < b->key;
}

static void sift_down(struct neighbour *heap, int64_t n, int64_t at)
{
    for (int64_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && nearer(&heap[child], &heap[child + 1])) child++;
        if (!nearer(&heap[at], &heap[child])) return;
        struct neighbour t = heap[at];
        heap[at] = heap[child];
        heap[child] = t;
    }
}

static void heap_add(struct neighbour *heap, int64_t *n, int64_t k, const struct neighbour *one)
{
    if (*n == k) {
        if (!nearer(one, &heap[0])) return;
        heap[0] = *one;
        sift_down(heap, k, 0);
        return;
    }
    heap[(*n)++] = *one;
    if (*n < k) return;
    for (int64_t i = k / 2; i-- > 0;) sift_down(heap, k, i);
}

/* ---- candidates ---- */

static vic_status find_candidates(const struct search *s, struct scratch *w, const struct box *strip_box,
                                  double reach, size_t *count, vic_error *err)
{
    *count = 0;
    if (!w->images || reach > w->images_reach) {
        free(w->images);
        w->images = NULL;
        TRY(lattice_images(&s->points.lattice, reach, &w->images, &w->n_images, err));
        w->images_reach = reach;
    }
    for (int64_t m = 0; m < w->n_images; m++) {
        const double *shift = w->images[m].shift, back[3] = { -shift[0], -shift[1], -shift[2] };
        struct box query = box_shifted(strip_box, back);
        int64_t near = 0;
        box_tree_near(&s->tree, &query, nextafterf((float)reach, INFINITY), w->near, &near);
        TRY(mem_grow(&w->found, &w->found_capacity, *count + (size_t)near, sizeof *w->found, "candidate blocks",
                     err));
        for (int64_t i = 0; i < near; i++) w->found[(*count)++] = (uint64_t)(uint32_t)w->near[i] << 32 | (uint64_t)m;
    }
    return VIC_OK;
}

/* From a point to a box, squared; the box in float holds all its points. */
static double gap2(const double r[3], const struct box *b)
{
    double sum = 0.0;
    for (int x = 0; x < 3; x++) {
        double above = (double)b->low[x] - r[x], under = r[x] - (double)b->high[x];
        double gap = above > under ? above : under;
        if (gap > 0) sum += gap * gap;
    }
    return sum;
}

/* The key rows of one cluster under one image. */
static void look_at_cluster(const struct search *s, struct scratch *w, int64_t row, int32_t cluster,
                            const struct lattice_image *image, const double r[3], double slack, double limit2,
                            int64_t *n)
{
    const vic_pattern *p = s->p;
    int32_t i = p->q_order[row];
    int64_t first = (int64_t)cluster * CLUSTER, end = first + CLUSTER < p->n_k ? first + CLUSTER : p->n_k;
    for (int64_t at = first; at < end; at++) {
        const double *k = s->points.k_rows[at];
        double dx = k[0] - r[0], dy = k[1] - r[1], dz = k[2] - r[2], rough = dx * dx + dy * dy + dz * dz;
        double worst = *n == s->k ? w->heap[0].d2 : limit2;
        struct neighbour one = { .key = p->k_order[at] };
        if (rough > worst * (1 + 1e-9) + 4 * slack * sqrt(worst) + 4 * slack * slack) continue;
        if (s->rule->k_skip && s->rule->k_skip[one.key]) continue;
        for (int x = 0; x < 3; x++)
            one.image[x] = image->n[x] + (p->k_wrap ? p->k_wrap[one.key][x] : 0) - (p->q_wrap ? p->q_wrap[i][x] : 0);
        one.d2 = pair_distance2(p->q_positions + 3 * (int64_t)i, p->k_positions + 3 * (int64_t)one.key, p->cell,
                                one.image[0], one.image[1], one.image[2]);
        one.id = p->k_ids ? p->k_ids[one.key] : one.key;
        if (s->exclude_self && one.d2 == 0.0 && one.id == (p->q_ids ? p->q_ids[i] : i)) continue;
        if (one.d2 < limit2) heap_add(w->heap, n, s->k, &one);
    }
}

static int by_key_and_image(const void *a, const void *b)
{
    const struct neighbour *p = a, *q = b;
    if (p->key != q->key) return p->key < q->key ? -1 : 1;
    return integers_compare(p->image, q->image);
}

/* The row's k nearest within sqrt(limit2); returns how many there are. */
static int64_t search_row(const struct search *s, struct scratch *w, int64_t row, size_t candidates, double slack,
                          double limit2)
{
    int64_t n = 0;
    for (size_t c = 0; c < candidates; c++) {
        int32_t cluster = (int32_t)(w->found[c] >> 32);
        const struct lattice_image *image = &w->images[w->found[c] & UINT32_MAX];
        double r[3], worst = n == s->k ? w->heap[0].d2 : limit2;
        for (int x = 0; x < 3; x++) r[x] = s->points.q_rows[row][x] - image->shift[x];
        if (gap2(r, &s->tree.box[0][cluster]) > worst * (1 + 1e-9) + 4 * slack * sqrt(worst) + 4 * slack * slack)
            continue;
        look_at_cluster(s, w, row, cluster, image, r, slack, limit2, &n);
    }
    return n;
}

static void keep_row(const struct search *s, struct scratch *w, int64_t row, int64_t n)
{
    int32_t atom = s->p->q_order[row];
    int64_t at = (int64_t)atom * s->k;
    qsort(w->heap, (size_t)n, sizeof *w->heap, by_key_and_image);
    s->count[atom] = n;
    for (int64_t i = 0; i < n; i++, at++) {
        s->key[at] = w->heap[i].key;
        memcpy(s->image[at], w->heap[i].image, sizeof *s->image);
    }
}

/* ---- strips ---- */

static double first_reach(const struct box *b, int64_t k)
{
    double longest = 0.0;
    for (int x = 0; x < 3; x++) longest = fmax(longest, (double)b->high[x] - (double)b->low[x]);
    return longest > 0 ? longest * (0.1 + 0.6 * cbrt((double)k / STRIP)) : 1.0;
}

static vic_status search_strip(const struct search *s, struct scratch *w, int64_t strip, vic_error *err)
{
    const vic_pattern *p = s->p;
    int64_t first = strip * STRIP, rows = p->n_q - first < STRIP ? p->n_q - first : STRIP;
    struct box box = box_of_points((const double(*)[3])s->points.q_rows + first, rows);
    uint64_t left = s->any_key ? skip_rows(p, s->rule->q_skip, strip) : 0;
    bool open = s->points.lattice.rank == 0;
    for (double reach = first_reach(&box, s->k); left; reach *= 1.5) {
        size_t candidates;
        double slack = 32 * 0x1p-53 * (s->far_component + 3 * (s->points.lattice.diameter + reach));
        TRY(find_candidates(s, w, &box, reach * (1 + 4e-6) + 8 * slack, &candidates, err));
        bool all = open && candidates == (size_t)p->clusters;
        for (uint64_t bits = left; bits; bits &= bits - 1) {
            int64_t row = first + __builtin_ctzll(bits);
            int64_t n = search_row(s, w, row, candidates, slack, all ? INFINITY : reach * reach);
            if (n < s->k && !all) continue;
            keep_row(s, w, row, n);
            left &= ~(bits & -bits);
        }
    }
    return VIC_OK;
}

static void search_task(void *context, int64_t strip, int worker)
{
    const struct search *s = context;
    struct scratch *w = &s->scratch[worker];
    if (w->status == VIC_OK) w->status = search_strip(s, w, strip, &w->error);
}

/* ---- the pattern ---- */

/* Close the gaps of rows with fewer than k. */
static vic_status take_list(struct search *s, struct pattern_rule *list, vic_error *err)
{
    int64_t *ptr, at = 0;
    TRY(mem_array((size_t)s->p->n_q + 1, sizeof *ptr, "atoms", &ptr, err));
    list->ptr = ptr;
    ptr[0] = 0;
    for (int64_t i = 0; i < s->p->n_q; i++) {
        memmove(s->key + at, s->key + i * s->k, (size_t)s->count[i] * sizeof *s->key);
        memmove(s->image + at, s->image + i * s->k, (size_t)s->count[i] * sizeof *s->image);
        at += s->count[i];
        ptr[i + 1] = at;
    }
    list->rows = s->p->n_q;
    list->n = at;
    list->index = s->key;
    list->image = s->image;
    s->key = NULL;
    s->image = NULL;
    return VIC_OK;
}

static vic_status search_all(struct search *s, struct pool *pool, vic_error *err)
{
    const vic_pattern *p = s->p;
    int workers = pool_threads(pool);
    size_t places = (size_t)p->n_q * (size_t)s->k; /* both below 2^31 */
    struct box *boxes;
    TRY(mem_array(places, sizeof *s->key, "neighbours", &s->key, err));
    TRY(mem_array(places, sizeof *s->image, "neighbours' images", &s->image, err));
    TRY(mem_array_zero((size_t)p->n_q, sizeof *s->count, "atoms", &s->count, err));
    TRY(mem_array_zero((size_t)workers, sizeof *s->scratch, "workers", &s->scratch, err));
    TRY(mem_array((size_t)p->clusters, sizeof *boxes, "boxes", &boxes, err));
    for (int64_t c = 0; c < p->clusters; c++) {
        int64_t first = c * CLUSTER, n = p->n_k - first < CLUSTER ? p->n_k - first : CLUSTER;
        boxes[c] = box_of_points((const double(*)[3])s->points.k_rows + first, n);
    }
    TRY(box_tree_make(boxes, p->clusters, &s->tree, err)); /* which owns them now */
    for (int w = 0; w < workers; w++) {
        TRY(mem_array((size_t)p->clusters, sizeof(int32_t), "candidates", &s->scratch[w].near, err));
        TRY(mem_array((size_t)s->k, sizeof(struct neighbour), "neighbours of a row", &s->scratch[w].heap, err));
    }
    for (int64_t i = 0; i < 3 * p->n_q; i++) s->far_component = fmax(s->far_component, fabs(p->q_positions[i]));
    for (int64_t i = 0; !p->one_set && i < 3 * p->n_k; i++)
        s->far_component = fmax(s->far_component, fabs(p->k_positions[i]));
    for (int64_t i = 0; i < p->n_k && !s->any_key; i++) s->any_key = !(s->rule->k_skip && s->rule->k_skip[i]);
    pool_run(pool, p->strips, search_task, s);
    for (int w = 0; w < workers; w++) {
        if (s->scratch[w].status == VIC_OK) continue;
        if (err) *err = s->scratch[w].error;
        return s->scratch[w].status;
    }
    return VIC_OK;
}

static void search_free(struct search *s, int workers)
{
    for (int w = 0; s->scratch && w < workers; w++) {
        free(s->scratch[w].near);
        free(s->scratch[w].found);
        free(s->scratch[w].images);
        free(s->scratch[w].heap);
    }
    free(s->scratch);
    box_tree_free(&s->tree);
    placed_free(&s->points);
    free(s->key);
    free(s->image);
    free(s->count);
}

/* The list of all neighbours is what takes memory: a key and an image of each, and at most a byte and a half of block
 * for each in what was measured. */
static vic_status check_memory(const struct search *s, size_t max_bytes, vic_pattern_estimate *out, vic_error *err)
{
    const double per_pair = sizeof *s->key + sizeof *s->image + 1.5;
    double rows = (double)s->p->n_q;
    vic_pattern_estimate e = { .pairs = rows * (double)s->k, .bytes = rows * ((double)s->k * per_pair + 100.0) };
    e.refused = max_bytes > 0 && e.bytes > (double)max_bytes;
    if (out) *out = e;
    if (!e.refused) return VIC_OK;
    return vic_fail(err, VIC_NO_MEMORY,
                    "k: the pattern of the %lld nearest would have %.3g pairs and take about %.3g bytes while it is "
                    "built, more than max_bytes allows (%.3g); take fewer, or raise max_bytes",
                    (long long)s->k, e.pairs, e.bytes, (double)max_bytes);
}

static vic_status build(const struct point_set *queries, const struct point_set *keys, const struct nearest_input *in,
                        struct pool *pool, vic_pattern **out, vic_error *err)
{
    int64_t k = in->k;
    vic_status st = VIC_OK;
    double start = clock_seconds();
    struct search s = { .k = k };
    struct pattern_rule list = { .kind = RULE_PAIRS }, *rule;
    struct list_source source = { 0 };
    struct image_set images = { 0 };
    vic_pattern *p;
    *out = NULL;
    TRY_GOTO(pattern_begin(queries, keys, PLACE_ROWS, pool, &s.points, &p, err), done);
    p->info.seconds_order = clock_seconds() - start;
    start = clock_seconds();
    TRY_GOTO(pattern_add_rule(p, RULE_NEAREST, &rule, err), done);
    rule->count = k;
    s.exclude_self = rule->exclude_self = in->exclude_self && (p->one_set || p->q_ids);
    TRY_GOTO(rule_set_masks(p, rule, queries, keys, err), done);
    s.p = p;
    s.rule = rule;
    if (s.points.lattice.rank == 0 && k > p->n_k) s.k = p->n_k > 0 ? p->n_k : 1; /* there are no more */
    TRY_GOTO(check_memory(&s, in->max_bytes, in->estimate, err), done);
    TRY_GOTO(search_all(&s, pool, err), done);
    TRY_GOTO(take_list(&s, &list, err), done);
    TRY_GOTO(list_images(p, &list, &images, err), done);
    TRY_GOTO(pattern_set_images(p, &images, err), done);
    TRY_GOTO(list_source_make(p, &list, pool, &source, err), done);
    TRY_GOTO(assemble(p, pool, list_source_strip, &source, err), done);
    p->info.seconds_build = clock_seconds() - start;
    *out = p;
    p = NULL;
done:
    list_source_free(&source);
    image_set_free(&images);
    rule_free(&list);
    search_free(&s, pool_threads(pool));
    pattern_release(p);
    return st;
}

vic_status pattern_nearest(const struct point_set *queries, const struct point_set *keys,
                           const struct nearest_input *in, struct pool *pool, vic_pattern **out, vic_error *err)
{
    const struct point_set q = point_set_placed(queries), none = { .n = 0 },
                           k = point_set_placed(keys ? keys : &none);
    const struct pattern_rule rule = { .kind = RULE_NEAREST, .count = in->k, .exclude_self = in->exclude_self };
    *out = NULL;
    if (in->k < 1 || in->k > INT32_MAX)
        return vic_fail(err, VIC_BAD_ARGUMENT, "k: expected 1 or more neighbours, up to %d, got %lld", INT32_MAX,
                        (long long)in->k);
    TRY(point_sets_check(queries, keys, err));
    if (!q.positions || !k.positions)
        return vic_fail(err, VIC_BAD_ARGUMENT, "nearest neighbours need the positions of all atoms, got none");
    return q.groups > 0 ? groups_build(&q, keys ? &k : NULL, &rule, 0, NULL, pool, out, err)
                        : build(&q, keys ? &k : NULL, in, pool, out, err);
}
