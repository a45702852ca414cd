/* SPDX-License-Identifier: Apache-2.0 */
/* Both passes of the gradients, walked on the CPU as the kernels walk them (bwd_producer.cuh, ring.cuh, attn_bwd.cuh):
 * items, stages, lists and mask words, two pairs of producers in turn, the ring and its barriers with one bit of phase,
 * late products.  The results, in double, are those over the pairs of the pattern; and nothing waits for ever, takes an
 * old fill of a slot for a new one, or overwrites a stage that is still needed, in whatever order the warps come. */
#include "kernels/cuda/sm90/plan/layout.h"

#include "objects.h"

enum { DIM = 3, MOST_RING = 20, PRODUCERS = 4, CTAS = 3 };

/* What attn_bwd_config says of a pass and head size. */
struct sizes {
    bool over_keys;
    int warpgroups, ring;
    bool late;
};

static int reach_of(const struct sizes *c)
{
    return (c->late ? c->ring - 1 : c->ring) / 2;
}

/* ---- the problem ---- */

struct problem {
    const vic_pattern *p;
    int heads, kv_heads;
    uint8_t *pairs;           /* [n_q, n_k] how often a pair is in */
    double *q, *dout, *l, *d; /* [n_q, heads, DIM], [n_q, heads] */
    double *k, *v;            /* [n_k, kv_heads, DIM] */
    double *dq, *dk, *dv;     /* by the pairs */
    double *dq2, *dk2, *dv2;  /* by the passes */
};

static double *random_numbers(int64_t n, uint64_t *seed)
{
    double *x = malloc((size_t)(n + 1) * sizeof *x);
    assert_non_null(x);
    for (int64_t i = 0; i < n; i++) x[i] = 2.0 * random_uniform(seed) - 1.0;
    return x;
}

static double *zeros(int64_t n)
{
    double *x = calloc((size_t)n + 1, sizeof *x);
    assert_non_null(x);
    return x;
}

static void list_pairs(const vic_pattern *p, uint8_t *pairs)
{
    for (int64_t strip = 0; strip < p->strips; strip++) {
        for (int64_t i = p->full_ptr[strip]; i < p->full_ptr[strip + 1]; i++)
            for (int k = 0; k < p->full_runs[i].count * CLUSTER; k++)
                for (int r = 0; r < STRIP; r++)
                    pairs[(strip * STRIP + r) * p->n_k + (int64_t)p->full_runs[i].first * CLUSTER + k]++;
        for (int64_t i = p->partial_ptr[strip]; i < p->partial_ptr[strip + 1]; i++)
            for (int c = 0; c < CLUSTER; c++)
                for (int r = 0; r < STRIP; r++)
                    if (p->partial_bits[i].key[c] >> r & 1)
                        pairs[(strip * STRIP + r) * p->n_k + (int64_t)p->partial_cluster[i] * CLUSTER + c]++;
    }
}

/* What one pair of rows adds to the gradients that are not NULL. */
static void add_pair(const struct problem *x, int64_t i, int64_t j, int head, double *dq, double *dk, double *dv)
{
    const int64_t at = i * x->heads + head, kv = j * x->kv_heads + head / (x->heads / x->kv_heads);
    const double *q = x->q + at * DIM, *g = x->dout + at * DIM, *k = x->k + kv * DIM, *v = x->v + kv * DIM;
    double s = 0, t = 0;
    for (int c = 0; c < DIM; c++) {
        s += q[c] * k[c];
        t += g[c] * v[c];
    }
    const double w = exp(s - x->l[at]), ds = w * (t - x->d[at]);
    for (int c = 0; c < DIM; c++) {
        if (dq) dq[at * DIM + c] += ds * k[c];
        if (dk) dk[kv * DIM + c] += ds * q[c];
        if (dv) dv[kv * DIM + c] += w * g[c];
    }
}

static void make_problem(const vic_pattern *p, int heads, int kv_heads, struct problem *x)
{
    uint64_t seed = 11;
    const int64_t nq = p->n_q * heads, nk = p->n_k * kv_heads;
    *x = (struct problem){ .p = p, .heads = heads, .kv_heads = kv_heads };
    x->pairs = calloc((size_t)(p->n_q * p->n_k + 1), 1);
    assert_non_null(x->pairs);
    list_pairs(p, x->pairs);
    x->q = random_numbers(nq * DIM, &seed);
    x->dout = random_numbers(nq * DIM, &seed);
    x->l = random_numbers(nq, &seed);
    x->d = random_numbers(nq, &seed);
    x->k = random_numbers(nk * DIM, &seed);
    x->v = random_numbers(nk * DIM, &seed);
    x->dq = zeros(nq * DIM);
    x->dk = zeros(nk * DIM);
    x->dv = zeros(nk * DIM);
    x->dq2 = zeros(nq * DIM);
    x->dk2 = zeros(nk * DIM);
    x->dv2 = zeros(nk * DIM);
    for (int64_t i = 0; i < p->n_q; i++)
        for (int64_t j = 0; j < p->n_k; j++)
            for (int times = x->pairs[i * p->n_k + j]; times > 0; times--)
                for (int h = 0; h < heads; h++) add_pair(x, i, j, h, x->dq, x->dk, x->dv);
}

static void free_problem(struct problem *x)
{
    double *const arrays[] = { x->q, x->dout, x->l, x->d, x->k, x->v, x->dq, x->dk, x->dv, x->dq2, x->dk2, x->dv2 };
    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++) free(arrays[i]);
    free(x->pairs);
}

static void check_same(const double *a, const double *b, int64_t n, const char *what)
{
    for (int64_t i = 0; i < n; i++) {
        double most = fabs(a[i]) > 1 ? fabs(a[i]) : 1;
        CHECK(fabs(a[i] - b[i]) <= 1e-11 * most, "%s[%lld]: expected %.15g, got %.15g", what, (long long)i, a[i],
              b[i]);
    }
}

/* ---- a CTA ---- */

/* An mbarrier: try_wait.parity says whether the phase of that parity is complete, as far as one bit can tell. */
struct barrier {
    int count, arrived;
    unsigned completed;
};

static void arrive(struct barrier *b, int n)
{
    b->arrived += n;
    assert_true(b->arrived <= b->count);
    if (b->arrived < b->count) return;
    b->arrived = 0;
    b->completed++;
}

static bool complete(const struct barrier *b, unsigned parity)
{
    return (b->completed & 1) != parity;
}

/* What a slot of the ring holds: each matrix is copied by a warp of its own. */
struct slot {
    struct fill {
        int64_t number, stage; /* among all stages of the CTA; in the plan */
        int head;
    } fills[2];
    int64_t mask; /* the first of its masks in the plan */
};

struct producer {
    unsigned slot, lap, parity;
    int first;
    int64_t item, base; /* base: stages of the CTA before the item's */
    int round, s;
    bool in_item, done;
    int64_t mask, total;
};

struct consumer {
    int64_t item, begin, entry;
    int round, steps;
    bool in_item, done;
    int late; /* the slot that the late product needs; -1 = none is late */
};

struct cta {
    const struct sizes *c;
    const struct problem *x;
    const struct tile_layout *l;
    const struct tile_arrays *a;
    const struct tile_schedule *s;
    int64_t first, end; /* items */
    struct slot slots[MOST_RING];
    struct barrier full[MOST_RING][2], empty[MOST_RING], issued[PRODUCERS];
    struct producer producers[PRODUCERS];
    struct consumer consumers[MAX_PLACES];
};

static unsigned places_of(const struct cta *t, int64_t stage, int which)
{
    return (unsigned)t->a->stages[stage].octet[which] >> STAGE_PLACES_SHIFT;
}

static int masks_of(const struct cta *t, int64_t stage)
{
    return __builtin_popcount(places_of(t, stage, 1));
}

static int rounds_of(const struct cta *t)
{
    return t->c->over_keys ? t->x->heads / t->x->kv_heads : 1;
}

/* Goes on to the next item, or round of the same one, that has a stage of the pair. */
static bool enter_item(struct cta *t, struct producer *w)
{
    while (w->item < t->end) {
        const struct tile_item *item = &t->s->items[w->item];
        if (!w->in_item) {
            w->in_item = true;
            w->s = w->first;
            w->mask = item->mask_first;
            w->total = 0;
        }
        if (w->s < item->stages) return true;
        w->in_item = false;
        w->first = (w->first + item->stages) & 1;
        w->base += item->stages;
        if (++w->round < rounds_of(t)) continue;
        w->round = 0;
        w->item++;
    }
    w->done = true;
    return false;
}

/* Issues a stage, where the warp need not wait.  Returns whether anything happened. */
static bool produce(struct cta *t, int warp)
{
    struct producer *w = &t->producers[warp];
    const int second = warp & 1;
    if (w->done || !enter_item(t, w)) return false;
    const struct tile_item *item = &t->s->items[w->item];
    if (!complete(&t->issued[warp ^ 2], w->parity) || !complete(&t->empty[w->slot], ~w->lap & 1)) return false;
    w->parity ^= 1;
    const int64_t number = w->base + w->s, stage = item->stage_first + w->s, four = stage - w->s % 4;
    assert_int_equal(w->slot, number % t->c->ring);
    assert_int_equal(w->lap, number / t->c->ring);
    if (w->s % 4 < 2) {
        w->mask += w->total;
        w->total = 0;
        for (int64_t i = four; i < four + 4; i++) w->total += masks_of(t, i);
    }
    int64_t mask = w->mask;
    for (int64_t i = four; i < stage; i++) mask += masks_of(t, i);
    struct barrier *full = &t->full[w->slot][w->lap & 1];
    const int group = t->x->heads / t->x->kv_heads;
    const int head = t->c->over_keys ? item->head * group + w->round : item->head / group;
    t->slots[w->slot].fills[second] = (struct fill){ number, stage, head };
    if (!second) {
        t->slots[w->slot].mask = mask;
        int users = __builtin_popcount(places_of(t, stage, 0));
        if (users < t->c->warpgroups) arrive(&t->empty[w->slot], t->c->warpgroups - users);
    }
    arrive(full, 1);
    arrive(&t->issued[warp], 1);
    w->slot += 2;
    if (w->slot >= (unsigned)t->c->ring) {
        w->slot -= (unsigned)t->c->ring;
        w->lap++;
    }
    w->s += 2;
    return true;
}

/* Adds what a step gives, from the stage that is in the slot. */
static void compute(struct cta *t, const struct tile_task *task, uint32_t entry, const struct slot *slot)
{
    const struct problem *x = t->x;
    const struct tile_stage *stage = &t->a->stages[slot->fills[0].stage];
    const uint32_t *words = entry & STEP_MASKED ? t->a->masks[slot->mask + (entry >> STEP_MASK_SHIFT & 3)] : NULL;
    for (int thread = 0; thread < STEP_WORDS; thread++)
        for (int bit = 0; bit < 32; bit++) {
            if (words && !(words[thread] >> bit & 1)) continue;
            int row = thread / 32 * 16 + thread % 32 / 4 + bit % 4 / 2 * 8;
            int column = bit / 4 * 8 + thread % 4 * 2 + bit % 2;
            int64_t own = (int64_t)task->strip * STRIP + row;
            int64_t other = (int64_t)(stage->octet[column / OCTET] & STAGE_OCTET_MASK) * OCTET + column % OCTET;
            if (t->c->over_keys)
                add_pair(x, other, own, slot->fills[1].head, NULL, x->dk2, x->dv2);
            else
                add_pair(x, own, other, task->head, x->dq2, NULL, NULL);
        }
}

static void release(struct cta *t, struct consumer *w)
{
    if (w->late >= 0) arrive(&t->empty[w->late], 1);
    w->late = -1;
}

/* Takes a step, where the warpgroup need not wait, or goes on to the next list. */
static bool consume(struct cta *t, int warpgroup)
{
    struct consumer *w = &t->consumers[warpgroup];
    if (w->done) return false;
    if (w->item == t->end) {
        w->done = true;
        return true;
    }
    const struct tile_task *task = &t->s->tasks[w->item * t->l->places + warpgroup];
    const struct tile_item *item = &t->s->items[w->item];
    if (!w->in_item) {
        w->in_item = true;
        w->entry = task->list;
        w->steps = 0;
    }
    const uint32_t entry = t->a->list[w->entry];
    if ((int32_t)entry < 0) {
        release(t, w);
        w->in_item = false;
        w->begin += task->stages;
        if (++w->round == rounds_of(t)) {
            w->round = 0;
            w->item++;
        }
        return true;
    }
    const uint32_t number = (uint32_t)(w->begin + (entry & STEP_STAGE_MASK)), ring = (uint32_t)t->c->ring;
    const uint32_t lap = number / ring, at = number - lap * ring;
    if (!complete(&t->full[at][lap & 1], lap >> 1 & 1)) return false;
    const struct slot *slot = &t->slots[at];
    for (int m = 0; m < 2; m++) {
        CHECK(slot->fills[m].number == number, "stage %u: its slot holds stage %lld", number,
              (long long)slot->fills[m].number);
        assert_int_equal(slot->fills[m].stage, item->stage_first + (int)(entry & STEP_STAGE_MASK));
        assert_int_equal(slot->fills[m].head, t->c->over_keys ? task->head * rounds_of(t) + w->round
                                                              : task->head / (t->x->heads / t->x->kv_heads));
    }
    if (w->steps++ == 0) assert_true(entry & STEP_MASKED); /* the first step is always masked */
    compute(t, task, entry, slot);
    release(t, w);
    w->late = (int)at;
    if (!t->c->late) release(t, w);
    w->entry++;
    return true;
}

static void run_cta(struct cta *t, uint64_t *seed)
{
    const int actors = PRODUCERS + t->c->warpgroups;
    for (int i = 0; i < t->c->ring; i++) {
        t->full[i][0].count = t->full[i][1].count = 2;
        t->empty[i].count = t->c->warpgroups;
    }
    for (int i = 0; i < PRODUCERS; i++) {
        t->issued[i].count = 1;
        t->producers[i] = (struct producer){
            .slot = (unsigned)i >> 1, .parity = (unsigned)i >> 1 ^ 1, .first = i >> 1, .item = t->first
        };
    }
    for (int i = 0; i < t->c->warpgroups; i++) t->consumers[i] = (struct consumer){ .item = t->first, .late = -1 };
    /* Each actor in turn goes on for some steps, or until it has to wait. */
    for (int idle = 0; idle < 4 * actors;) {
        int actor = (int)(random_bits(seed) % (uint64_t)actors), steps = (int)(random_bits(seed) % 16) + 1;
        bool any = false;
        while (steps-- > 0 && (actor < PRODUCERS ? produce(t, actor) : consume(t, actor - PRODUCERS))) any = true;
        if (any) {
            idle = 0;
        } else if (++idle == 4 * actors) {
            for (int i = 0; i < actors; i++) /* a last look at all of them, since they were drawn */
                if (i < PRODUCERS ? produce(t, i) : consume(t, i - PRODUCERS)) idle = 0;
        }
    }
    for (int i = 0; i < PRODUCERS; i++) assert_true(t->producers[i].done);
    for (int i = 0; i < t->c->warpgroups; i++) assert_true(t->consumers[i].done);
}

/* ---- a pass ---- */

static void run_pass(const struct problem *x, const vic_pattern *p, const struct sizes *c, uint64_t *seed)
{
    const struct layout_shape shape = { c->warpgroups, reach_of(c), 1, 0 };
    const int heads = c->over_keys ? x->kv_heads : x->heads;
    const struct attention_shape of_pass = { VIC_F16, heads, x->kv_heads, 64, 64 };
    struct tile_layout l;
    struct tile_schedule s;
    struct pool *pool;
    vic_error err;
    CHECK_OK(pool_create(1, &pool, &err));
    CHECK_OK(layout_make(p, &shape, pool, &l, &err));
    CHECK_OK(schedule_make(&l, &of_pass, CTAS, true, &s, &err));
    const struct tile_arrays a = {
        malloc((size_t)(l.n_stages + STAGE_OVERRUN) * sizeof *a.stages),
        malloc((size_t)(l.n_entries + LIST_OVERRUN) * sizeof *a.list),
        malloc((size_t)(l.n_masks + 1) * sizeof *a.masks),
    };
    assert_true(a.stages && a.list && a.masks);
    layout_fill(p, &l, pool, &a);
    assert_int_equal(l.splits, l.tiles);
    assert_int_equal(l.combine_stages, 0);
    for (int cta = 0; cta < CTAS; cta++) {
        struct cta t = { c, x, &l, &a, &s, .first = s.first[cta], .end = s.first[cta + 1] };
        run_cta(&t, seed);
    }
    free(a.stages);
    free(a.list);
    free(a.masks);
    schedule_free(&s);
    layout_free(&l);
    pool_free(pool);
}

static void check_passes(vic_pattern *p, int heads, int kv_heads)
{
    /* The sizes of the kernels at d = 64, 32 and 128, and an odd ring, in which slots change pairs. */
    static const struct sizes over_queries[] = { { false, 3, 10, true },
                                                 { false, 3, 19, true },
                                                 { false, 2, 4, false },
                                                 { false, 3, 7, false } },
                              over_keys[] = { { true, 2, 10, true },
                                              { true, 2, 20, true },
                                              { true, 2, 4, false },
                                              { true, 3, 9, true } };
    struct problem x;
    vic_pattern *transposed;
    uint64_t seed = 29;
    vic_error err;
    CHECK_OK(vic_pattern_transpose(NULL, p, &transposed, &err));
    make_problem(p, heads, kv_heads, &x);
    const int64_t nq = p->n_q * heads * DIM, nk = p->n_k * kv_heads * DIM;
    for (size_t i = 0; i < sizeof over_keys / sizeof *over_keys; i++) {
        memset(x.dq2, 0, (size_t)nq * sizeof *x.dq2);
        memset(x.dk2, 0, (size_t)nk * sizeof *x.dk2);
        memset(x.dv2, 0, (size_t)nk * sizeof *x.dv2);
        run_pass(&x, p, &over_queries[i], &seed);
        run_pass(&x, transposed, &over_keys[i], &seed);
        check_same(x.dq, x.dq2, nq, "dq");
        check_same(x.dk, x.dk2, nk, "dk");
        check_same(x.dv, x.dv2, nk, "dv");
    }
    free_problem(&x);
    vic_pattern_free(transposed);
    vic_pattern_free(p);
}

static vic_pattern *in_a_cube(int n, double size, double cutoff, const double *cell, int n_k)
{
    uint64_t seed = (uint64_t)(3 * n + n_k);
    double *x = malloc((size_t)(3 * n + 3) * sizeof *x), *y = malloc((size_t)(3 * n_k + 3) * sizeof *y);
    vic_pattern *p;
    vic_error err;
    assert_true(x && y);
    for (int i = 0; i < 3 * n; i++) x[i] = size * random_uniform(&seed);
    for (int i = 0; i < 3 * n_k; i++) y[i] = size * random_uniform(&seed);
    vic_points queries = points_at(n, x, cell), keys = points_at(n_k, y, NULL);
    CHECK_OK(vic_pattern_cutoff(NULL, &queries, n_k > 0 ? &keys : NULL, cutoff, NULL, &p, &err));
    free(x);
    free(y);
    return p;
}

static void both_passes_give_the_gradients(void **state)
{
    const double cell[9] = { 9, 0, 0, 0, 9, 0, 0, 0, 9 };
    (void)state;
    check_passes(in_a_cube(1, 10, 4, NULL, 0), 1, 1);
    check_passes(in_a_cube(65, 10, 4, NULL, 0), 2, 2);
    check_passes(in_a_cube(1000, 20, 5, NULL, 0), 2, 1);
    check_passes(in_a_cube(200, 9, 8, cell, 0), 1, 1);      /* several images of a neighbour */
    check_passes(in_a_cube(520, 25, 100, NULL, 0), 2, 1);   /* everything: full stages */
    check_passes(in_a_cube(64 * 9, 400, 3, NULL, 0), 4, 2); /* each atom alone: as few stages as can be */
}

/* The transposed pattern is another one: two sets, lists that one side alone has, rows and strips without pairs. */
static void both_passes_give_the_gradients_of_other_patterns(void **state)
{
    static const char *const texts[] = { "blocks:9x9:n=20,seed=1", "blocks:3x11:n=9,block=80",
                                         "blocks:20x20:density=0.3,block=48" };
    enum { N = 500 };
    static double x[3 * N];
    uint64_t seed = 5;
    (void)state;
    check_passes(in_a_cube(130, 25, 9, NULL, 700), 6, 2);
    check_passes(in_a_cube(700, 25, 9, NULL, 70), 2, 2);
    check_passes(in_a_cube(600, 60, 5, NULL, 90), 3, 1); /* mostly rows without pairs */
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check_passes(generated_pattern(texts[i]), 2, 1);
    check_passes(windows_pattern(333, 8, 24), 1, 1);
    for (int i = 0; i < 3 * N; i++) x[i] = 20.0 * random_uniform(&seed);
    vic_points points = points_at(N, x, NULL);
    check_passes(nearest_pattern(&points, 30, false), 2, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(both_passes_give_the_gradients),
                                        cmocka_unit_test(both_passes_give_the_gradients_of_other_patterns) };
    return cmocka_run_group_tests_name("kernels_sm90_gradient_passes", tests, NULL, NULL);
}
