/* SPDX-License-Identifier: Apache-2.0 */
/* The tiles hold the pattern's pairs, each as often as it has images; and no list lets the ring's phases be confused.
 */
#include "kernels/cuda/sm90/plan/layout.h"

#include "contract/block_walk.h"
#include "objects.h"
#include "pattern/build.h"
#include "pattern/pattern.h"

static vic_pattern *make_pattern(int n, double size, double cutoff, double cell, bool exclude_self, int n_k)
{
    const double cells[9] = { cell, 0, 0, 0, cell, 0, 0, 0, cell };
    const vic_pattern_options o = { .size = sizeof o, .exclude_self = exclude_self };
    uint64_t seed = (uint64_t)(n + 7);
    double *x = malloc((size_t)(3 * n + 3) * sizeof *x), *y = malloc((size_t)(3 * n_k + 3) * sizeof *y);
    vic_pattern *p;
    vic_error err;
    assert_true(x && y);
    for (int i = 0; i < 3 * n; i++) x[i] = size * random_uniform(&seed);
    for (int i = 0; i < 3 * n_k; i++) y[i] = size * random_uniform(&seed);
    vic_points queries = points_at(n, x, cell > 0 ? cells : NULL), keys = points_at(n_k, y, NULL);
    CHECK_OK(vic_pattern_cutoff(NULL, &queries, n_k > 0 ? &keys : NULL, cutoff, &o, &p, &err));
    free(x);
    free(y);
    return p;
}

/* How often each key of the strip's rows is in, from the pattern. */
static void count_pattern(const vic_pattern *p, int64_t strip, uint8_t *counts)
{
    for (int64_t i = p->full_ptr[strip]; i < p->full_ptr[strip + 1]; i++)
        for (int k = 0; k < p->full_runs[i].count * BLOCK; k++) counts[(int64_t)p->full_runs[i].first * BLOCK + k]++;
    for (int64_t i = p->partial_ptr[strip]; i < p->partial_ptr[strip + 1]; i++)
        for (int c = 0; c < CLUSTER; c++)
            for (int r = 0; r < STRIP; r++)
                if (p->partial_bits[i].key[c] >> r & 1)
                    counts[((int64_t)p->partial_cluster[i] * CLUSTER + c) * STRIP + r]++;
}

/* A strip or part in one share of a tile; `before`: stages of the tile before the share's. */
static void count_layout(const struct tile_layout *l, const struct tile_strip *s, int64_t share, int64_t before,
                         uint8_t *counts)
{
    int steps = 0;
    for (const uint32_t *e = l->list + s->list; (int32_t)*e >= 0; e++) {
        int64_t stage = (*e & STEP_STAGE_MASK) - before;
        const int32_t *groups = l->stages[l->stage_first[share] + stage].group;
        assert_in_range(stage, 0, l->stage_first[share + 1] - l->stage_first[share] - 1);
        uint32_t mask = l->mask_first[share] + (*e >> STEP_MASK_SHIFT & 3);
        if (steps++ == 0) assert_true(*e & STEP_MASKED);
        for (int64_t i = 0; i < stage; i++)
            mask += (uint32_t)__builtin_popcount((unsigned)l->stages[l->stage_first[share] + i].group[1] >>
                                                 STAGE_USERS_SHIFT);
        for (int t = 0; t < STEP_WORDS; t++) {
            uint32_t word = *e & STEP_MASKED ? l->masks[mask][t] : UINT32_MAX;
            for (int bit = 0; bit < 32; bit++) {
                int row = t / 32 * 16 + t % 32 / 4 + bit % 4 / 2 * 8, column = bit / 4 * 8 + t % 4 * 2 + bit % 2;
                int64_t group = groups[column / GROUP_KEYS] & STAGE_GROUP_MASK;
                if (word >> bit & 1) counts[(group * GROUP_KEYS + column % GROUP_KEYS) * STRIP + row]++;
            }
        }
    }
    assert_int_equal(steps, s->steps);
}

/* The producer counts on exactly those who come, each stage has someone, nobody comes twice, and a warpgroup that
 * goes from any place of one tile to any place of another always meets one of 2 reach stages. */
static void check_users(const struct tile_layout *l, int place, int reach)
{
    int64_t begin = 0;
    char *taken = calloc((size_t)l->n_stages + 1, 1);
    assert_non_null(taken);
    for (int64_t tile = 0; tile < l->tiles; tile++)
        for (int64_t share = l->share_first[tile]; share < l->share_first[tile + 1]; share++) {
            const struct tile_strip *s = &l->strips[share * l->places + place];
            int64_t before = begin - l->stage_first[l->share_first[tile]];
            int64_t n = l->stage_first[share + 1] - l->stage_first[share], last = -reach, end = -1;
            const uint32_t *e = l->list + s->list;
            for (; (int32_t)*e >= 0; e++) {
                int64_t at = (*e & STEP_STAGE_MASK) - before, stage = begin + at;
                assert_false(taken[stage]);
                taken[stage] = 1;
                if (last >= 0 || at >= l->places) assert_true(at - last <= 2 * reach);
                last = at;
                end = at > end ? at : end;
            }
            assert_int_equal((int32_t)*e, share + 1 < l->share_first[tile + 1] ? STEP_SHARE : STEP_END);
            if ((int32_t)*e == STEP_SHARE) assert_ptr_equal(e + 1, l->list + s[l->places].list);
            for (int64_t i = 0; i < n; i++) {
                unsigned users = (unsigned)l->stages[begin + i].group[0] >> STAGE_USERS_SHIFT;
                assert_int_equal(users >> place & 1, taken[begin + i]);
                assert_true(users != 0);
            }
            if (n > 0) assert_true(n - end <= reach);
            begin += n;
        }
    free(taken);
}

/* Who gets the next item has least to do, so nobody has more than the mean and the heaviest item. */
static void check_balance(const struct tile_layout *l, const struct tile_schedule *s)
{
    int64_t total = 0, heaviest = 0, most = 0;
    for (int cta = 0; cta < s->ctas; cta++) {
        int64_t sum = 0;
        for (int64_t i = s->first[cta]; i < s->first[cta + 1]; i++) {
            const struct tile_item *item = &s->items[i];
            /* Queries in, results out, from one share to the next; in steps. */
            int64_t work = l->shares > l->tiles ? 12 + 10 * (item->shares - 1) : 16 * l->places;
            for (int32_t k = 0; k < item->shares; k++) work += share_steps(l, item->share + k);
            if (work > heaviest) heaviest = work;
            sum += work;
        }
        if (sum > most) most = sum;
        total += sum;
    }
    assert_true(s->ctas * most <= total + s->ctas * heaviest);
}

static void check_task(const struct tile_layout *l, const struct tile_item *item, const struct tile_task *task,
                       unsigned *places)
{
    int place = (int)(task->strip % (l->places / l->parts)) * l->parts + task->part;
    int first_inbox = place / l->parts * (l->parts - 1);
    const struct tile_strip *strip = &l->strips[item->share * l->places + place];
    assert_int_equal(task->strip, strip->strip);
    assert_int_equal(task->head, item->head);
    assert_int_equal(task->stages, item->stages);
    assert_int_equal(task->list, strip->list);
    assert_int_equal(task->before, item->stage_first - l->stage_first[l->share_first[item->tile]]);
    assert_int_equal(task->slot, item->slot < 0 ? -1 : item->slot + place);
    assert_int_equal(task->inbox, first_inbox + (task->part > 0 ? task->part - 1 : 0));
    assert_true(l->parts == 1 || task->inbox < l->inboxes);
    *places |= 1u << place;
}

/* Each slot belongs to one share's place, and each share of a tile apart is added up once. */
static void check_joins(const struct tile_layout *l, const struct tile_schedule *s)
{
    char *filled = calloc((size_t)s->n_slots + 1, 1);
    assert_non_null(filled);
    for (int64_t k = 0; k < s->n_items; k++)
        for (int p = 0; p < l->places && s->items[k].slot >= 0; p++) {
            assert_in_range(s->items[k].slot + p, 0, s->n_slots - 1);
            assert_false(filled[s->items[k].slot + p]++);
        }
    for (int64_t k = 0; k < s->n_joins; k++) {
        const struct tile_join *join = &s->joins[k];
        int strips = l->places / l->parts, tile = join->strip / strips;
        assert_int_equal(join->shares, l->share_first[tile + 1] - l->share_first[tile]);
        for (int share = 0; share < join->shares; share++)
            for (int part = 0; part < l->parts; part++) {
                int slot = join->slot + share * l->places + part, found = 0;
                for (int64_t i = 0; i < s->n_items; i++) {
                    const struct tile_item *item = &s->items[i];
                    found += item->slot >= 0 && item->tile == tile && item->head == join->head &&
                             item->share == l->share_first[tile] + share &&
                             item->slot + join->strip % strips * l->parts + part == slot;
                }
                assert_int_equal(found, 1);
                assert_int_equal(filled[slot]++, 1);
            }
    }
    for (int64_t i = 0; i < s->n_slots; i++) assert_int_equal(filled[i], 2);
    free(filled);
}

/* Every share of every tile and head once, its strips or parts one to a warpgroup. */
static void check_schedule(const struct tile_layout *l, int heads, int kv_heads, int d, int ctas, bool whole)
{
    const struct attention_shape shape = { VIC_F16, heads, kv_heads, d, d };
    struct tile_schedule s;
    int64_t seen_shares = 0;
    vic_error err;
    CHECK_OK(tiles_schedule(l, &shape, ctas, whole, &s, &err));
    char *seen = calloc((size_t)(l->shares * heads + 1), 1);
    assert_non_null(seen);
    assert_int_equal(s.first[0], 0);
    assert_int_equal(s.first[ctas], s.n_items);
    if (whole) assert_int_equal(s.n_items, l->tiles * heads);
    for (int64_t k = 0; k < s.n_items; k++) {
        const struct tile_item *item = &s.items[k];
        bool all = item->shares == l->share_first[item->tile + 1] - l->share_first[item->tile];
        unsigned places = 0;
        for (int32_t i = 0; i < item->shares; i++) assert_false(seen[(item->share + i) * heads + item->head]++);
        seen_shares += item->shares;
        assert_true(item->slot >= 0 ? !all && item->shares == 1 : all);
        assert_in_range(item->share, l->share_first[item->tile], l->share_first[item->tile + 1] - item->shares);
        assert_int_equal(item->mask_first, l->mask_first[item->share]);
        assert_int_equal(item->stage_first, l->stage_first[item->share]);
        assert_int_equal(item->stages, l->stage_first[item->share + item->shares] - l->stage_first[item->share]);
        for (int w = 0; w < l->places; w++) check_task(l, item, &s.tasks[k * l->places + w], &places);
        assert_int_equal(places, (1u << l->places) - 1);
    }
    assert_int_equal(seen_shares, l->shares * heads);
    if (whole) assert_int_equal(s.n_slots, 0);
    check_joins(l, &s);
    check_balance(l, &s);
    free(seen);
    tiles_schedule_free(&s);
}

/* More threads make the same. */
static void check_threads(const vic_pattern *p, int strips, int reach, int most_steps, const struct tile_layout *one)
{
    struct tile_layout many;
    struct pool *pool;
    vic_error err;
    CHECK_OK(pool_create(3, &pool, &err));
    CHECK_OK(tiles_lay_out(p, strips, one->parts, reach, pool, &many, &err));
    if (most_steps > 0) CHECK_OK(tiles_split(p, reach, most_steps, pool, &many, &err));
    pool_free(pool);
    assert_int_equal(many.tiles, one->tiles);
    assert_int_equal(many.shares, one->shares);
    assert_int_equal(many.n_stages, one->n_stages);
    assert_int_equal(many.n_entries, one->n_entries);
    assert_int_equal(many.n_masks, one->n_masks);
    assert_int_equal(many.steps, one->steps);
    assert_memory_equal(many.share_first, one->share_first, (size_t)(one->tiles + 1) * sizeof *one->share_first);
    assert_memory_equal(many.stage_first, one->stage_first, (size_t)(one->shares + 1) * sizeof *one->stage_first);
    assert_memory_equal(many.stages, one->stages, (size_t)(one->n_stages + STAGE_OVERRUN) * sizeof *one->stages);
    assert_memory_equal(many.list, one->list, (size_t)(one->n_entries + LIST_OVERRUN) * sizeof *one->list);
    if (one->tiles > 0) {
        size_t strip_bytes = (size_t)(one->shares * one->places) * sizeof *one->strips;
        assert_memory_equal(many.mask_first, one->mask_first, (size_t)one->shares * sizeof *one->mask_first);
        assert_memory_equal(many.strips, one->strips, strip_bytes);
    }
    if (one->n_masks > 0) assert_memory_equal(many.masks, one->masks, (size_t)one->n_masks * sizeof *one->masks);
    tiles_free(&many);
}

/* Every strip's pairs are in its list, or in those of its parts and shares together. */
static void check_pairs(const vic_pattern *p, const struct tile_layout *l)
{
    size_t size = (size_t)(p->clusters + 1) * CLUSTER * STRIP;
    int per_tile = l->places / l->parts;
    assert_true(l->tiles * per_tile >= p->strips);
    assert_int_equal(l->inboxes, l->places - per_tile);
    assert_int_equal(l->share_first[l->tiles], l->shares);
    for (int64_t strip = 0; strip < l->tiles * per_tile; strip++) {
        uint8_t *expected = calloc(size, 1), *found = calloc(size, 1);
        int64_t first = l->share_first[strip / per_tile], end = l->share_first[strip / per_tile + 1];
        assert_true(expected && found);
        if (strip < p->strips) count_pattern(p, strip, expected);
        for (int64_t share = first; share < end; share++)
            for (int part = 0; part < l->parts; part++) {
                const struct tile_strip *s = &l->strips[share * l->places + strip % per_tile * l->parts + part];
                assert_int_equal(s->strip, strip);
                count_layout(l, s, share, l->stage_first[share] - l->stage_first[first], found);
            }
        assert_memory_equal(expected, found, size);
        free(expected);
        free(found);
    }
}

/* Stages are not cut, and keeping the ring in sight takes some steps more. */
static void check_lengths(const struct tile_layout *l, int most_steps)
{
    for (int64_t k = 0; k < l->shares && most_steps > 0; k++)
        assert_true(share_steps(l, k) <= most_steps + 3 * l->places);
}

static void check_layout(const vic_pattern *p, int places, int reach, int most_steps, const struct tile_layout *l)
{
    check_threads(p, places, reach, most_steps, l);
    check_pairs(p, l);
    check_lengths(l, most_steps);
    for (int place = 0; place < l->places; place++) check_users(l, place, reach);
    for (int whole = 0; whole <= 1; whole++) {
        check_schedule(l, 3, 3, 64, 7, whole);
        check_schedule(l, 6, 3, 128, 5, whole);
    }
}

static void check_pattern(vic_pattern *p)
{
    static const int shapes[][2] = { { 4, 6 }, { 3, 2 }, { 4, 11 }, { 2, 3 } }; /* places, reach */
    vic_error err;
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int parts = 1; parts <= shapes[i][0]; parts++) {
            struct tile_layout l;
            struct pool *pool;
            if (shapes[i][0] % parts != 0) continue;
            CHECK_OK(pool_create(1, &pool, &err));
            CHECK_OK(tiles_lay_out(p, shapes[i][0], parts, shapes[i][1], pool, &l, &err));
            pool_free(pool);
            check_layout(p, shapes[i][0], shapes[i][1], 0, &l);
            for (int most_steps = 1; most_steps <= 25; most_steps += 12) {
                CHECK_OK(pool_create(1, &pool, &err));
                CHECK_OK(tiles_split(p, shapes[i][1], most_steps, pool, &l, &err));
                pool_free(pool);
                check_layout(p, shapes[i][0], shapes[i][1], most_steps, &l);
                tiles_free(&l);
                CHECK_OK(pool_create(1, &pool, &err));
                CHECK_OK(tiles_lay_out(p, shapes[i][0], parts, shapes[i][1], pool, &l, &err));
                pool_free(pool);
            }
            tiles_free(&l);
        }
    vic_pattern_free(p);
}

/* In how many parts strips are cut: by how few and how long they are, and whether they need the same keys.  Where
 * tiles are few and long, the longest are split, into shares for as many CTAs as there are or a multiple. */
static void small_patterns_are_cut(void **state)
{
    static const struct {
        const char *text;
        int places, parts, shares; /* 0: no tile is split */
    } cases[] = {
        { "blocks:33x33:n=99,seed=2", 4, 1, 0 },
        { "blocks:16x16:n=48,seed=2", 4, 4, 0 },
        { "blocks:50x50:n=200,seed=2", 4, 1, 0 },
        { "blocks:33x33:density=1", 4, 4, 0 },
        { "blocks:33x33:density=1", 3, 3, 0 },
        { "origin:800", 4, 2, 0 },
        { "origin:800", 3, 3, 0 },
        { "blocks:66x66:density=1", 4, 2, 0 },
        { "origin:3200", 4, 2, 0 },
        { "blocks:128x128:density=1", 4, 1, 0 },
        { "blocks:128x128:density=1", 3, 1, 0 },
        { "blocks:133x133:n=1000,seed=3", 4, 1, 0 },
        { "blocks:1x2000:density=1", 4, 4, 92 },
        { "blocks:40x1000:density=1", 4, 2, 120 },
        { "blocks:1x9000:density=1", 3, 3, 132 },
        { "blocks:266x266:density=0.5", 4, 1, 0 },
    };
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct tile_layout l;
        struct pool *pool;
        vic_pattern *p;
        p = generated_pattern(cases[i].text);
        CHECK_OK(pool_create(0, &pool, &err));
        CHECK_OK(tiles_make(p, cases[i].places, 6, pool, &l, &err));
        assert_int_equal(l.parts, cases[i].parts);
        assert_int_equal(l.shares, cases[i].shares > 0 ? cases[i].shares : l.tiles);
        tiles_free(&l);
        pool_free(pool);
        vic_pattern_free(p);
    }
}

static void tiles_hold_the_pattern(void **state)
{
    (void)state;
    check_pattern(make_pattern(0, 10, 4, 0, false, 0));
    check_pattern(make_pattern(1, 10, 4, 0, false, 0));
    check_pattern(make_pattern(1, 10, 4, 0, true, 0)); /* a row without any pair */
    check_pattern(make_pattern(65, 10, 4, 0, false, 0));
    check_pattern(make_pattern(300, 20, 5, 0, true, 0));
    check_pattern(make_pattern(1500, 25, 6, 25, false, 0));
    check_pattern(make_pattern(200, 9, 8, 9, true, 0));      /* several images of a neighbour */
    check_pattern(make_pattern(1100, 25, 100, 0, false, 0)); /* everything: full stages */
    check_pattern(make_pattern(1100, 25, 17, 0, false, 0));
    check_pattern(make_pattern(130, 25, 9, 0, false, 1000));  /* two sets */
    check_pattern(make_pattern(5000, 37, 5, 0, false, 0));    /* more tiles than a task takes */
    check_pattern(make_pattern(1000, 60, 5, 0, false, 90));   /* mostly rows without pairs */
    check_pattern(make_pattern(64 * 9, 400, 3, 0, false, 0)); /* each atom alone: as few stages as can be */
}

/* Patterns without a diagonal, with full blocks anywhere, with strips that need nothing. */
static void tiles_hold_other_patterns(void **state)
{
    static const char *const texts[] = { "blocks:9x9:n=20,seed=1", "blocks:20x20:density=0.3,block=48",
                                         "blocks:3x11:n=9,block=80", "blocks:30x30:n=30,block=16",
                                         "blocks:6x6:n=36,block=64" };
    enum { N = 700 };
    static double x[3 * N];
    static bool mask[N];
    const double cell[9] = { 9, 0, 0, 0, 9, 0, 0, 0, 9 };
    const int64_t n = N, offsets[] = { 0, 60, 61, 61, 300, 333, N };
    uint64_t seed = 5;
    vic_pattern *p, *q, *both;
    vic_error err;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) check_pattern(generated_pattern(texts[i]));
    for (int i = 0; i < 3 * N; i++) x[i] = 20.0 * random_uniform(&seed);
    for (int i = 0; i < N; i++) mask[i] = i <= 100 || i % 3 == 1;
    vic_points crystal = points_at(N, x, cell), molecules = points_at(N, x, NULL), nowhere = points_of(N);
    crystal.mask = molecules.mask = nowhere.mask = vic_tensor_make(mask, VIC_BOOL, 1, &n);
    molecules.groups = 6;
    molecules.group_offsets = offsets;
    CHECK_OK(vic_pattern_windows(NULL, &nowhere, 32, 128, NULL, &p, &err));
    check_pattern(p);
    p = nearest_pattern(&crystal, 30, false);
    q = windows_pattern(N, 8, 24);
    CHECK_OK(vic_pattern_union(NULL, p, q, &both, &err));
    check_pattern(p);
    check_pattern(q);
    check_pattern(both);
    check_pattern(cutoff_pattern(&crystal, 4.0));
    check_pattern(cutoff_pattern(&molecules, 4.0));
}

int main(void)
{
    const struct CMUnitTest tests[] = { cmocka_unit_test(tiles_hold_the_pattern),
                                        cmocka_unit_test(tiles_hold_other_patterns),
                                        cmocka_unit_test(small_patterns_are_cut) };
    return cmocka_run_group_tests_name("plan_tiles", tests, NULL, NULL);
}
