/* SPDX-License-Identifier: Apache-2.0 */
/* Domains: every row where it is needed and nowhere else, by lists of pairs; and what domains compute together has the bits
 * of the whole, forward and backward, for patterns of every kind. */
#include "dist/dist.h"

#include "objects.h"
#include "unit/pattern/kinds.h"

/* ---- borders ---- */

static void borders_share_work(void **state)
{
    enum { MOST = 90 };
    uint64_t seed = 5;
    (void)state;
    for (int try = 0; try < 300; try++) {
        int64_t strips = (int64_t)(random_bits(&seed) % MOST), tile = 1 + (int64_t)(random_bits(&seed) % 5);
        int32_t domains = 1 + (int32_t)(random_bits(&seed) % 70);
        int64_t work[MOST], first[72], all = 0, heaviest = 0;
        vic_error err;
        for (int64_t s = 0; s < strips; s++) {
            work[s] = 1 + (int64_t)(random_bits(&seed) % 1000);
            all += work[s];
        }
        for (int64_t s = 0; s < strips; s += tile) {
            int64_t tile_work = 0;
            for (int64_t i = s; i < s + tile && i < strips; i++) tile_work += work[i];
            if (tile_work > heaviest) heaviest = tile_work;
        }
        CHECK_OK(dist_borders(work, strips, tile, domains, first, &err));
        assert_int_equal(first[0], 0);
        assert_int_equal(first[domains], strips);
        for (int32_t d = 0; d < domains; d++) {
            int64_t own = 0;
            assert_true(first[d] <= first[d + 1]);
            assert_true(first[d] % tile == 0 || first[d] == strips);
            for (int64_t s = first[d]; s < first[d + 1]; s++) own += work[s];
            CHECK(own <= all / domains + heaviest + 1, "domain %d of %d has %lld of %lld, the heaviest tile %lld", d,
                  domains, (long long)own, (long long)all, (long long)heaviest);
        }
    }
}

/* ---- rows ---- */

static vic_dist_rows rows_of(const vic_dist *d, int32_t domain, vic_side side)
{
    vic_dist_rows rows = VIC_INIT(vic_dist_rows);
    vic_error err;
    CHECK_OK(vic_dist_get_rows(d, domain, side, &rows, &err));
    return rows;
}

static vic_dist *dist_of(const vic_pattern *p, int32_t domains, int32_t tile)
{
    const vic_dist_options o = { .size = sizeof o, .domains = domains, .tile_strips = tile };
    vic_dist *d = NULL;
    vic_error err;
    CHECK_OK(vic_dist_create(NULL, p, &o, &d, &err));
    return d;
}

/* Who owns each point of a side, which must be one domain. */
static int32_t *owners(const vic_dist *d, int32_t domains, vic_side side, int64_t n)
{
    int32_t *owner = malloc((size_t)(n + 1) * sizeof *owner);
    assert_non_null(owner);
    for (int64_t i = 0; i < n; i++) owner[i] = -1;
    for (int32_t e = 0; e < domains; e++) {
        vic_dist_rows rows = rows_of(d, e, side);
        for (int64_t r = 0; r < rows.own; r++) {
            assert_true(rows.points[r] >= 0 && rows.points[r] < n);
            assert_int_equal(owner[rows.points[r]], -1);
            owner[rows.points[r]] = e;
        }
    }
    for (int64_t i = 0; i < n; i++) assert_true(owner[i] >= 0);
    return owner;
}

static int32_t *places(const vic_pattern *p, vic_side side, int64_t n)
{
    const int32_t *order = order_of(p, side);
    int32_t *place = malloc((size_t)(n + 1) * sizeof *place);
    assert_non_null(place);
    for (int64_t r = 0; r < n; r++) place[order[r]] = (int32_t)r;
    return place;
}

/* Halos of one side by the list of pairs: a cluster is needed by a domain that has a point of the other side which meets one
 * of its points.  `own` and `other` are the points of the pairs on this side and on the other. */
static void check_halos(const char *what, const vic_dist *d, int32_t domains, const vic_pattern *p, vic_side side,
                        const vic_neighbors *pairs, const int32_t *owner, const int32_t *other_owner)
{
    const int32_t *own = side == VIC_KEY ? pairs->j : pairs->i, *other = side == VIC_KEY ? pairs->i : pairs->j;
    int64_t n = side == VIC_KEY ? info_of(p).n_k : info_of(p).n_q;
    int32_t *place = places(p, side, n);
    bool *needed = malloc((size_t)n / CLUSTER + 1);
    assert_non_null(needed);
    for (int32_t e = 0; e < domains; e++) {
        vic_dist_rows rows = rows_of(d, e, side);
        int64_t found = 0, received = 0;
        memset(needed, 0, (size_t)n / CLUSTER + 1);
        for (int64_t t = 0; t < pairs->pairs; t++)
            if (other_owner[other[t]] == e && owner[own[t]] != e) needed[place[own[t]] / CLUSTER] = true;
        for (int64_t r = 0; r < n; r++) found += needed[r / CLUSTER];
        CHECK(rows.halo == found, "%s: domain %d of %d: %lld rows in its halo, needed %lld", what, e, domains,
              (long long)rows.halo, (long long)found);
        for (int64_t r = rows.own; r < rows.own + rows.halo; r++) {
            assert_true(needed[place[rows.points[r]] / CLUSTER] && owner[rows.points[r]] != e);
            assert_true(r == rows.own || place[rows.points[r - 1]] < place[rows.points[r]]); /* so none twice */
        }
        /* What each owner sends is what is received, in this order. */
        for (int32_t from = 0; from < domains; from++) {
            vic_dist_rows sender = rows_of(d, from, side);
            int64_t sent = 0;
            for (int64_t run = sender.run_offsets[e]; run < sender.run_offsets[e + 1]; run++)
                for (int32_t r = 0; r < sender.runs[2 * run + 1]; r++, sent++) {
                    assert_true(sender.runs[2 * run] + r < sender.own);
                    assert_int_equal(sender.points[sender.runs[2 * run] + r],
                                     rows.points[rows.own + received + sent]);
                }
            assert_int_equal(sender.send[e], sent);
            assert_int_equal(rows.receive[from], sent);
            received += sent;
        }
        assert_int_equal(received, rows.halo);
    }
    free(needed);
    free(place);
}

/* A strip is interior when no pair of it leaves the domain: of its rows' own side, with one set of either. */
static void check_interior(const vic_dist *d, int32_t domains, const vic_pattern *p, vic_side side,
                           const vic_neighbors *pairs, const int32_t *owner, const int32_t *other_owner)
{
    bool one_set = info_of(p).one_set;
    int64_t n = side == VIC_KEY ? info_of(p).n_k : info_of(p).n_q;
    const int32_t *own = side == VIC_KEY ? pairs->j : pairs->i, *other = side == VIC_KEY ? pairs->i : pairs->j;
    int32_t *place = places(p, side, n);
    bool *leaves = calloc((size_t)n / STRIP + 1, 1);
    assert_non_null(leaves);
    for (int64_t t = 0; t < pairs->pairs; t++) {
        if (owner[own[t]] == other_owner[other[t]]) continue;
        leaves[place[own[t]] / STRIP] = true;
        if (one_set) leaves[place[other[t]] / STRIP] = true;
    }
    for (int32_t e = 0; e < domains; e++) {
        vic_dist_rows rows = rows_of(d, e, side);
        for (int64_t r = 0; r < rows.own; r++)
            assert_int_equal(leaves[place[rows.points[r]] / STRIP], r >= rows.interior);
    }
    free(leaves);
    free(place);
}

static void check_rows(const char *what, const vic_pattern *p, int32_t domains, int32_t tile)
{
    vic_dist *d = dist_of(p, domains, tile);
    vic_pattern_info info = info_of(p);
    vic_dist_info whole = VIC_INIT(vic_dist_info);
    vic_neighbors pairs = neighbors_of(p, false);
    int32_t *q_owner = owners(d, domains, VIC_QUERY, info.n_q), *k_owner = owners(d, domains, VIC_KEY, info.n_k);
    int64_t halo = 0;
    vic_error err;
    check_halos(what, d, domains, p, VIC_KEY, &pairs, k_owner, q_owner);
    check_halos(what, d, domains, p, VIC_QUERY, &pairs, q_owner, k_owner);
    check_interior(d, domains, p, VIC_KEY, &pairs, k_owner, q_owner);
    check_interior(d, domains, p, VIC_QUERY, &pairs, q_owner, k_owner);
    for (int32_t e = 0; e < domains; e++) {
        vic_dist_rows q = rows_of(d, e, VIC_QUERY), k = rows_of(d, e, VIC_KEY);
        halo += k.halo;
        if (!info.one_set) continue;
        assert_true(q.own == k.own && q.interior == k.interior); /* one tensor has the rows of q, k and v */
        for (int64_t r = 0; r < q.own; r++) assert_int_equal(q.points[r], k.points[r]);
    }
    CHECK_OK(vic_dist_get(d, &whole, &err));
    assert_true(whole.domains == domains && whole.tile_strips == tile && whole.one_set == info.one_set);
    assert_int_equal(whole.key_halo, halo);
    assert_true(info.n_q == 0 || whole.imbalance >= 1.0);
    free(q_owner);
    free(k_owner);
    neighbors_free(&pairs);
    vic_dist_free(d);
}

/* ---- results ---- */

enum { BATCH = 2, HEADS = 4, KV_HEADS = 2, D = 16, D_V = 8, POINTS = 12, TENSORS = 10 };
enum { Q, K, V, OUT, LSE, DOUT, DLSE, DQ, DK, DV };

static const int row_heads[TENSORS] = { HEADS, KV_HEADS, KV_HEADS, HEADS,    HEADS,
                                        HEADS, HEADS,    HEADS,    KV_HEADS, KV_HEADS };
static const int row_dims[TENSORS] = { D, D, D_V, D_V, 1, D_V, 1, D, D, D_V };
static const bool of_keys[TENSORS] = { [K] = true, [V] = true, [DK] = true, [DV] = true };

/* float32 tensors [BATCH, rows, heads, dims], of a whole or of a domain's local rows. */
struct tensors {
    float *data[TENSORS];
    int64_t rows[TENSORS];
};

static int row_size(int t)
{
    return row_heads[t] * row_dims[t];
}

static void tensors_make(struct tensors *x, int64_t n_q, int64_t n_k)
{
    for (int t = 0; t < TENSORS; t++) {
        x->rows[t] = of_keys[t] ? n_k : n_q;
        size_t n = (size_t)(BATCH * x->rows[t] * row_size(t));
        x->data[t] = malloc((n + 1) * sizeof(float));
        assert_non_null(x->data[t]);
        memset(x->data[t], 0xff, (n + 1) * sizeof(float)); /* NaN, so that what is not written shows */
    }
}

static void tensors_free(struct tensors *x)
{
    for (int t = 0; t < TENSORS; t++) free(x->data[t]);
}

/* Rows first .. first + n - 1 of a tensor. */
static vic_tensor view(const struct tensors *x, int t, int64_t first, int64_t n)
{
    const int64_t shape[] = { BATCH, x->rows[t], row_heads[t], row_dims[t] };
    vic_tensor v = tensor_of(x->data[t], VIC_F32, row_dims[t] > 1 ? 4 : 3, shape);
    v.data = x->data[t] + first * row_size(t);
    v.shape[1] = n;
    return v;
}

static float *row_at(const struct tensors *x, int t, int batch, int64_t row)
{
    return x->data[t] + (batch * x->rows[t] + row) * row_size(t);
}

/* The rows of `t` that a domain has, own ones and halo, from the whole; and its own ones back, compared. */
static void take(const struct tensors *whole, const vic_dist_rows *rows, int t, struct tensors *local)
{
    for (int b = 0; b < BATCH; b++)
        for (int64_t r = 0; r < local->rows[t]; r++)
            memcpy(row_at(local, t, b, r), row_at(whole, t, b, rows->points[r]), (size_t)row_size(t) * sizeof(float));
}

static void compare(const char *what, const struct tensors *whole, const vic_dist_rows *rows, int t,
                    const struct tensors *local)
{
    static const char *const names[] = { "q", "k", "v", "out", "lse", "dout", "dlse", "dq", "dk", "dv" };
    for (int b = 0; b < BATCH; b++)
        for (int64_t r = 0; r < rows->own; r++)
            CHECK(memcmp(row_at(local, t, b, r), row_at(whole, t, b, rows->points[r]),
                         (size_t)row_size(t) * sizeof(float)) == 0,
                  "%s: %s of point %d, local row %lld, batch %d, has other bits than the whole", what, names[t],
                  rows->points[r], (long long)r, b);
}

static vic_plan *plan_of(const vic_pattern *p, bool biased)
{
    const vic_plan_options o = { .size = sizeof o,
                                 .dtype = VIC_F32,
                                 .heads = HEADS,
                                 .kv_heads = KV_HEADS,
                                 .head_dim = D,
                                 .head_dim_v = D_V,
                                 .bias = biased ? VIC_BIAS_DISTANCE : VIC_BIAS_NONE,
                                 .backward = true };
    vic_plan *plan = NULL;
    vic_error err;
    CHECK_OK(vic_plan_create(NULL, p, &o, &plan, &err));
    return plan;
}

static float table[HEADS * POINTS];

/* Forward, and of the gradients those that are wanted, over rows of the queries and of the keys. */
static void forward(const vic_plan *plan, const struct tensors *x, const int64_t q[2], const int64_t k[2],
                    bool biased)
{
    vic_attention_args a = { .size = sizeof a,
                             .q = view(x, Q, q[0], q[1]),
                             .k = view(x, K, k[0], k[1]),
                             .v = view(x, V, k[0], k[1]),
                             .out = view(x, OUT, q[0], q[1]),
                             .lse = view(x, LSE, q[0], q[1]) };
    vic_error err;
    if (biased) a.bias = tensor_of(table, VIC_F32, 2, (const int64_t[]){ HEADS, POINTS });
    CHECK_OK(vic_attention(NULL, plan, &a, &err));
}

static void backward(const vic_plan *plan, const struct tensors *x, const int64_t q[2], const int64_t k[2],
                     bool biased, bool queries, bool keys)
{
    vic_attention_backward_args a = { .size = sizeof a,
                                      .q = view(x, Q, q[0], q[1]),
                                      .k = view(x, K, k[0], k[1]),
                                      .v = view(x, V, k[0], k[1]),
                                      .out = view(x, OUT, q[0], q[1]),
                                      .lse = view(x, LSE, q[0], q[1]),
                                      .dout = view(x, DOUT, q[0], q[1]),
                                      .dlse = view(x, DLSE, q[0], q[1]) };
    vic_error err;
    if (queries) a.dq = view(x, DQ, q[0], q[1]);
    if (keys) {
        a.dk = view(x, DK, k[0], k[1]);
        a.dv = view(x, DV, k[0], k[1]);
    }
    if (biased) a.bias = tensor_of(table, VIC_F32, 2, (const int64_t[]){ HEADS, POINTS });
    CHECK_OK(vic_attention_backward(NULL, plan, &a, &err));
}

static vic_pattern *part_of(const vic_dist *d, int32_t domain, vic_side side, vic_dist_part part)
{
    vic_pattern *p = NULL;
    vic_error err;
    CHECK_OK(vic_dist_make_pattern(NULL, d, domain, side, part, &p, &err));
    return p;
}

/* One entry of the batch, as the reference takes it. */
static vic_tensor entry(vic_tensor v, int batch)
{
    v.data = (float *)v.data + batch * v.stride[0];
    v.ndim--;
    for (int axis = 0; axis < v.ndim; axis++) {
        v.shape[axis] = v.shape[axis + 1];
        v.stride[axis] = v.stride[axis + 1];
    }
    return v;
}

/* The reference, which goes by the part's rules, against its blocks: counts of pairs, and where `values` what the kernels
 * gave. */
static void check_rules(const vic_pattern *p, const vic_plan *plan, const struct tensors *x, const int64_t q[2],
                        const int64_t k[2], bool biased, bool values)
{
    size_t n = (size_t)info_of(p).n_q;
    double *out = malloc((n * HEADS * D_V + 1) * sizeof *out);
    int64_t *counts = malloc((n + 1) * sizeof *counts), *expected = malloc((n + 1) * sizeof *expected);
    const vic_attention_args a = { .size = sizeof a,
                                   .q = entry(view(x, Q, q[0], q[1]), 1),
                                   .k = entry(view(x, K, k[0], k[1]), 1),
                                   .v = entry(view(x, V, k[0], k[1]), 1),
                                   .bias = biased ? tensor_of(table, VIC_F32, 2, (const int64_t[]){ HEADS, POINTS })
                                                  : (vic_tensor){ 0 } };
    vic_error err;
    assert_true(out && counts && expected);
    CHECK_OK(vic_attention_reference(NULL, plan, &a, 0, NULL, out, NULL, counts, &err));
    CHECK_OK(vic_pattern_counts(p, expected, &err));
    for (size_t i = 0; i < n; i++) {
        CHECK(counts[i] == expected[i], "row %zu has %lld pairs by the part's rules, %lld by its blocks", i,
              (long long)counts[i], (long long)expected[i]);
        for (int c = 0; values && c < HEADS * D_V; c++) {
            double want = out[i * HEADS * D_V + (size_t)c], got = (double)row_at(x, OUT, 1, q[0] + (int64_t)i)[c];
            CHECK(fabs(got - want) <= 2e-5, "row %zu: %g by the part's rules, %g by its blocks", i, want, got);
        }
    }
    free(out);
    free(counts);
    free(expected);
}

/* One part of one side: returns its number of pairs. */
static int64_t run_part(const vic_dist *d, int32_t domain, vic_side side, vic_dist_part part, const struct tensors *x,
                        bool biased, bool rules)
{
    vic_dist_rows own = rows_of(d, domain, side), other = rows_of(d, domain, side == VIC_QUERY ? VIC_KEY : VIC_QUERY);
    vic_pattern *p = part_of(d, domain, side, part);
    vic_plan *plan = plan_of(p, biased);
    vic_pattern_info info = info_of(p);
    const int64_t rows[2] = { part == VIC_BOUNDARY ? own.interior : 0,
                              part == VIC_BOUNDARY ? own.own - own.interior : own.interior };
    const int64_t columns[2] = { 0, other.own + (part == VIC_BOUNDARY ? other.halo : 0) };
    assert_int_equal(side == VIC_QUERY ? info.n_q : info.n_k, rows[1]);
    assert_int_equal(side == VIC_QUERY ? info.n_k : info.n_q, columns[1]);
    if (side == VIC_QUERY) {
        forward(plan, x, rows, columns, biased);
        backward(plan, x, rows, columns, biased, true, false);
        if (rules) check_rules(p, plan, x, rows, columns, biased, true);
    } else {
        backward(plan, x, columns, rows, biased, false, true);
        if (rules) check_rules(p, plan, x, columns, rows, biased, false);
    }
    vic_plan_free(plan);
    vic_pattern_free(p);
    return info.pairs;
}

static void run_domain(const char *what, const vic_dist *d, int32_t domain, const struct tensors *whole, bool biased,
                       bool rules, int64_t pairs[2])
{
    vic_dist_rows q = rows_of(d, domain, VIC_QUERY), k = rows_of(d, domain, VIC_KEY);
    struct tensors x;
    tensors_make(&x, q.own + q.halo, k.own + k.halo);
    take(whole, &q, Q, &x);
    take(whole, &k, K, &x);
    take(whole, &k, V, &x);
    take(whole, &q, DOUT, &x);
    take(whole, &q, DLSE, &x);
    for (int part = VIC_INTERIOR; part <= VIC_BOUNDARY; part++)
        pairs[0] += run_part(d, domain, VIC_QUERY, (vic_dist_part)part, &x, biased, rules);
    compare(what, whole, &q, OUT, &x);
    compare(what, whole, &q, LSE, &x);
    compare(what, whole, &q, DQ, &x);
    take(whole, &q, OUT, &x); /* the halo, which others computed */
    take(whole, &q, LSE, &x);
    for (int part = VIC_INTERIOR; part <= VIC_BOUNDARY; part++)
        pairs[1] += run_part(d, domain, VIC_KEY, (vic_dist_part)part, &x, biased, rules);
    compare(what, whole, &k, DK, &x);
    compare(what, whole, &k, DV, &x);
    tensors_free(&x);
}

static void fill(const struct tensors *x, int t, uint64_t *seed)
{
    for (int64_t i = 0; i < BATCH * x->rows[t] * row_size(t); i++) x->data[t][i] = (float)random_normal(seed);
}

static void whole_make(struct tensors *x, const vic_pattern *p, bool biased)
{
    vic_pattern_info info = info_of(p);
    const int64_t q[2] = { 0, info.n_q }, k[2] = { 0, info.n_k };
    vic_plan *plan = plan_of(p, biased);
    uint64_t seed = 3;
    tensors_make(x, info.n_q, info.n_k);
    for (int t = 0; t < TENSORS; t++)
        if (t == Q || t == K || t == V || t == DOUT || t == DLSE) fill(x, t, &seed);
    for (int i = 0; i < HEADS * POINTS; i++) table[i] = (float)random_normal(&seed);
    forward(plan, x, q, k, biased);
    backward(plan, x, q, k, biased, true, true);
    vic_plan_free(plan);
}

static void check_results(const char *what, const vic_pattern *p, const int32_t *numbers, int n, int32_t tile,
                          bool biased, bool rules)
{
    struct tensors whole;
    whole_make(&whole, p, biased);
    for (int i = 0; i < n; i++) {
        vic_dist *d = dist_of(p, numbers[i], tile);
        int64_t pairs[2] = { 0, 0 };
        for (int32_t e = 0; e < numbers[i]; e++) run_domain(what, d, e, &whole, biased, rules, pairs);
        assert_int_equal(pairs[0], info_of(p).pairs);
        assert_int_equal(pairs[1], info_of(p).pairs);
        vic_dist_free(d);
    }
    tensors_free(&whole);
}

/* ---- patterns ---- */

static void every_kind(void **state)
{
    static const int32_t few[] = { 1, 2, 3, 64 };
    (void)state;
    for (int form = 0; form < 4; form++) {
        struct kinds s;
        kinds_make(&s, 40 + (uint64_t)form, form & 1, form & 2);
        for (int k = 0; k < KINDS; k++) {
            char what[64];
            if (s.two && k == KIND_WINDOWS) continue;
            vic_pattern *p = kinds_pattern(&s, (enum kind)k, NULL);
            snprintf(what, sizeof what, "kind %d of form %d", k, form);
            for (int i = 0; i < 4; i++) check_rows(what, p, few[i], 1);
            check_results(what, p, few, SANITIZED ? 2 : 4, 1, false, true);
            pattern_release(p);
        }
        kinds_free(&s);
    }
}

static vic_pattern *box(int64_t n, double side, double cutoff, bool periodic)
{
    const double cell[9] = { side, 0, 0, 0.2 * side, side, 0, 0, -0.1 * side, side };
    double *at = malloc(3 * (size_t)n * sizeof *at);
    uint64_t seed = 9;
    assert_non_null(at);
    for (int64_t i = 0; i < 3 * n; i++) at[i] = side * random_uniform(&seed);
    const vic_points points = points_at(n, at, periodic ? cell : NULL);
    vic_pattern *p = cutoff_pattern(&points, cutoff);
    free(at);
    return p;
}

/* From 1 to 64 domains, of 64 strips and one row. */
static void any_number_of_domains(void **state)
{
    static const int32_t numbers[] = { 2, 3, 5, 8, 17, 64 };
    (void)state;
    for (int periodic = 0; periodic < 2; periodic++) {
        vic_pattern *p = box(64 * STRIP + 1, 40.0, 3.5, periodic);
        for (int32_t domains = 1; domains <= 64; domains += SANITIZED ? 21 : 1) check_rows("a box", p, domains, 1);
        check_rows("a box", p, 7, 4);
        check_results("a box", p, numbers, SANITIZED ? 1 : 6, 1, false, false);
        check_results("a box, with a bias", p, numbers + 3, 1, 4, true, true);
        pattern_release(p);
    }
}

/* Blocks that are full under several images. */
static void full_blocks_of_images(void **state)
{
    static const int32_t numbers[] = { 2, 3, 9 };
    vic_pattern *p = box(9 * STRIP, 4.0, 9.0, true);
    (void)state;
    assert_true(info_of(p).full_blocks > 100);
    check_rows("full blocks", p, 3, 1);
    check_results("full blocks", p, numbers, SANITIZED ? 1 : 3, 1, false, false);
    vic_pattern_free(p);
}

static void nothing_at_all(void **state)
{
    static const int32_t numbers[] = { 1, 4 };
    (void)state;
    for (int64_t n = 0; n < 2; n++) {
        vic_pattern *p = box(n, 5.0, 2.0, false);
        for (int i = 0; i < 2; i++) check_rows("nothing", p, numbers[i], 1);
        check_results("nothing", p, numbers, 2, 1, false, true);
        vic_pattern_free(p);
    }
}

/* A part does not need the whole, and follows its points like any other pattern. */
static void parts_stand_alone(void **state)
{
    vic_pattern *p = box(1000, 20.0, 4.0, false);
    vic_dist *d = dist_of(p, 3, 1);
    vic_pattern *part = part_of(d, 1, VIC_KEY, VIC_BOUNDARY);
    vic_pattern_info before = info_of(part);
    const double *q = NULL, *k = NULL;
    vic_error err;
    (void)state;
    vic_pattern_free(p);
    vic_dist_free(d);
    CHECK_OK(vic_pattern_positions(part, VIC_QUERY, &q, &err));
    CHECK_OK(vic_pattern_positions(part, VIC_KEY, &k, &err));
    double *q_at = malloc(3 * (size_t)before.n_q * sizeof *q_at),
           *k_at = malloc(3 * (size_t)before.n_k * sizeof *k_at);
    assert_true(q_at && k_at);
    memcpy(q_at, q, 3 * (size_t)before.n_q * sizeof *q_at);
    memcpy(k_at, k, 3 * (size_t)before.n_k * sizeof *k_at);
    const vic_points queries = points_at(before.n_q, q_at, NULL), keys = points_at(before.n_k, k_at, NULL);
    CHECK_OK(vic_pattern_update(NULL, &part, &queries, &keys, &err));
    assert_int_equal(info_of(part).pairs, before.pairs);
    free(q_at);
    free(k_at);
    vic_pattern_free(part);
}

/* ---- refusals ---- */

static void refusals(void **state)
{
    vic_pattern *p = box(100, 10.0, 3.0, false), *part;
    vic_dist_options o = VIC_INIT(vic_dist_options);
    vic_dist_rows rows = VIC_INIT(vic_dist_rows);
    vic_dist *d;
    vic_error err;
    (void)state;
    CHECK_FAILS(vic_dist_create(NULL, p, &o, &d, &err), VIC_BAD_ARGUMENT, "domains: expected 1 to 1024");
    o.domains = 1025;
    CHECK_FAILS(vic_dist_create(NULL, p, &o, &d, &err), VIC_BAD_ARGUMENT, "got 1025");
    o.domains = 2;
    o.tile_strips = -1;
    CHECK_FAILS(vic_dist_create(NULL, p, &o, &d, &err), VIC_BAD_ARGUMENT, "tile_strips");
    d = dist_of(p, 2, 1);
    CHECK_FAILS(vic_dist_get_rows(d, 2, VIC_KEY, &rows, &err), VIC_BAD_ARGUMENT, "domain: expected 0 to 1, got 2");
    CHECK_FAILS(vic_dist_get_rows(d, -1, VIC_KEY, &rows, &err), VIC_BAD_ARGUMENT, "got -1");
    CHECK_FAILS(vic_dist_get_rows(d, 0, (vic_side)2, &rows, &err), VIC_BAD_ARGUMENT, "side: expected");
    CHECK_FAILS(vic_dist_make_pattern(NULL, d, 0, VIC_KEY, (vic_dist_part)2, &part, &err), VIC_BAD_ARGUMENT,
                "part: expected");
    assert_null(part);
    vic_dist_free(d);
    vic_pattern_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(borders_share_work),
        cmocka_unit_test(every_kind),
        cmocka_unit_test(any_number_of_domains),
        cmocka_unit_test(full_blocks_of_images),
        cmocka_unit_test(nothing_at_all),
        cmocka_unit_test(parts_stand_alone),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("dist", tests, NULL, NULL);
}
