/* SPDX-License-Identifier: Apache-2.0 */
/* The search may offer too much and must offer all: every pair within reach lies in a candidate, in one of its
 * groups, and candidates come once each, by cluster, then image. */
#include "pattern/search.h"

#include "unit/pattern/expect.h"

struct scene {
    vic_pattern *p;
    struct placed placed;
    struct search search;
    struct lattice_image *images;
};

static void scene_make(struct scene *s, const struct point_set *q, const struct point_set *k, double reach,
                       struct pool *pool)
{
    vic_error err;
    CHECK_OK(pattern_begin(q, k, PLACE_POINTS, pool, &s->placed, &s->p, &err));
    s->search = (struct search){ .queries = &s->placed.queries, .keys = k ? &s->placed.keys : &s->placed.queries };
    s->search.reach = nextafterf((float)(reach * (1 + 1e-6)), INFINITY);
    CHECK_OK(lattice_images(&s->placed.lattice, reach * (1 + 1e-6), &s->images, &s->search.n_images, &err));
    s->search.images = s->images;
}

static void scene_free(struct scene *s)
{
    free(s->images);
    placed_free(&s->placed);
    pattern_release(s->p);
}

/* Rows of the strip that are within reach of a key of the cluster under an image, as groups of 16. */
static uint32_t groups_near(const struct scene *s, int64_t strip, int64_t cluster, const int32_t image[3],
                            double reach)
{
    const vic_pattern *p = s->p;
    uint32_t groups = 0;
    for (int64_t r = strip * STRIP; r < p->n_q && r < (strip + 1) * STRIP; r++)
        for (int64_t c = cluster * CLUSTER; c < p->n_k && c < (cluster + 1) * CLUSTER; c++) {
            int32_t i = p->q_order[r], j = p->k_order[c], n[3];
            for (int x = 0; x < 3; x++)
                n[x] = image[x] + (p->k_wrap ? p->k_wrap[j][x] : 0) - (p->q_wrap ? p->q_wrap[i][x] : 0);
            double d2 = pair_distance2(p->q_positions + 3 * i, p->k_positions + 3 * j, (const double(*)[3])p->cell,
                                       n[0], n[1], n[2]);
            if (d2 < reach * reach) groups |= 1u << (r % STRIP / 16);
        }
    return groups;
}

static int64_t check_strip(const struct scene *s, const struct search_scratch *w, int64_t strip, double reach)
{
    size_t at = 0;
    for (size_t i = 1; i < w->n_candidates; i++) {
        const struct candidate *a = &w->candidates[i - 1], *b = &w->candidates[i];
        assert_true(a->cluster < b->cluster || (a->cluster == b->cluster && a->image < b->image));
    }
    for (int64_t cluster = 0; cluster < s->p->clusters; cluster++)
        for (int32_t m = 0; m < s->search.n_images; m++) {
            uint32_t near = groups_near(s, strip, cluster, s->images[m].n, reach), offered = 0;
            if (at < w->n_candidates && w->candidates[at].cluster == cluster && w->candidates[at].image == m)
                offered = w->candidates[at++].groups;
            CHECK((near & ~offered) == 0, "strip %lld, cluster %lld, image %d: groups %x of %x", (long long)strip,
                  (long long)cluster, m, offered, near);
        }
    /* What is left lies in the last 64 keys, past their end: the tests of blocks.h find no pair there. */
    for (; at < w->n_candidates; at++) assert_true(w->candidates[at].cluster < (s->p->n_k + STRIP - 1) / STRIP * 4);
    return (int64_t)w->n_candidates;
}

static void check(const struct point_set *q, const struct point_set *k, double reach, double most)
{
    struct search_scratch w;
    struct scene s;
    struct pool *pool;
    vic_error err;
    int64_t offered = 0;
    CHECK_OK(pool_create(1, &pool, &err));
    scene_make(&s, q, k, reach, pool);
    CHECK_OK(search_scratch_make(&s.search, &w, &err));
    for (int64_t strip = 0; strip < s.p->strips; strip++) {
        if (strip % TILE_STRIPS == 0) CHECK_OK(search_tile(&s.search, &w, strip / TILE_STRIPS, &err));
        CHECK_OK(search_strip(&s.search, &w, (int)(strip % TILE_STRIPS), &err));
        offered += check_strip(&s, &w, strip, reach);
    }
    double all = (double)(s.p->strips * s.p->clusters * s.search.n_images);
    CHECK((double)offered <= most * all, "%lld candidates of %g", (long long)offered, all);
    search_scratch_free(&w);
    scene_free(&s);
    pool_free(pool);
}

static void offers_all(void **state)
{
    static const double cell[9] = { 20, 0, 0, 5, 18, 0, 0, 3, 19 }, small[9] = { 6, 0, 0, 1, 5, 0, 0, 1, 7 };
    uint64_t seed = 5;
    double *x = random_positions(&seed, 1500, 20.0), *y = random_positions(&seed, 700, 20.0);
    struct point_set q = { .n = 1500, .positions = x }, k = { .n = 700, .positions = y },
                     few = { .n = 130, .positions = x };
    (void)state;
    check(&q, NULL, 3.0, 0.4);
    check(&q, &k, 3.0, 0.5);
    q.cells = cell;
    check(&q, NULL, 3.0, 0.1);
    check(&q, &k, 4.0, 0.2);
    few.cells = small;
    check(&few, NULL, 9.0, 1.0); /* several images of one cluster */
    few.cells = NULL;
    check(&few, NULL, 100.0, 1.2); /* all, and some past the end */
    free(x);
    free(y);
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(offers_all) };
    return cmocka_run_group_tests_name("pattern_search", tests, NULL, NULL);
}
