/* SPDX-License-Identifier: Apache-2.0 */
/* The tiles hold the pattern's pairs, each as often as it has images, and the lists keep the ring's invariant. */
#include "kernels/cuda/sm90/plan/heuristics.h"
#include "kernels/cuda/sm90/plan/layout.h"

#include "contract/block_walk.h"
#include "objects.h"

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

struct laid_out {
    struct tile_layout l;
    struct tile_arrays a;
};

static void lay_out(const vic_pattern *p, const struct layout_shape *shape, int threads, struct laid_out *out)
{
    struct pool *pool;
    vic_error err;
    CHECK_OK(pool_create(threads, &pool, &err));
    CHECK_OK(layout_make(p, shape, pool, &out->l, &err));
    out->a.stages = malloc((size_t)(out->l.n_stages + STAGE_OVERRUN) * sizeof *out->a.stages);
    out->a.list = malloc((size_t)(out->l.n_entries + LIST_OVERRUN) * sizeof *out->a.list);
    out->a.masks = malloc((size_t)(out->l.n_masks + 1) * sizeof *out->a.masks);
    assert_true(out->a.stages && out->a.list && out->a.masks);
    layout_fill(p, &out->l, pool, &out->a);
    pool_free(pool);
}

static void free_layout(struct laid_out *o)
{
    layout_free(&o->l);
    free(o->a.stages);
    free(o->a.list);
    free(o->a.masks);
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

/* Adds the pairs in the list of a place in one split of a tile; `before`: stages of the tile before the split. */
static void count_layout(const struct laid_out *o, const struct tile_strip *s, int64_t split, int64_t before,
                         uint8_t *counts)
{
    const struct tile_layout *l = &o->l;
    int steps = 0;
    for (const uint32_t *e = o->a.list + s->list; (int32_t)*e >= 0; e++) {
        int64_t stage = (*e & STEP_STAGE_MASK) - before;
        const int32_t *octets = o->a.stages[l->stage_first[split] + stage].octet;
        assert_in_range(stage, 0, l->stage_first[split + 1] - l->stage_first[split] - 1);
        uint32_t mask = l->mask_first[split] + (*e >> STEP_MASK_SHIFT & 3);
        if (steps++ == 0) assert_true(*e & STEP_MASKED);
        for (int64_t i = 0; i < stage; i++)
            mask += (uint32_t)__builtin_popcount((unsigned)o->a.stages[l->stage_first[split] + i].octet[1] >>
                                                 STAGE_PLACES_SHIFT);
        for (int t = 0; t < STEP_WORDS; t++) {
            uint32_t word = *e & STEP_MASKED ? o->a.masks[mask][t] : UINT32_MAX;
            for (int bit = 0; bit < 32; bit++) {
                int row = t / 32 * 16 + t % 32 / 4 + bit % 4 / 2 * 8, column = bit / 4 * 8 + t % 4 * 2 + bit % 2;
                int64_t octet = octets[column / OCTET] & STAGE_OCTET_MASK;
                if (word >> bit & 1) counts[(octet * OCTET + column % OCTET) * STRIP + row]++;
            }
        }
    }
    assert_int_equal(steps, s->steps);
}

/* The places that a stage names are exactly those that take it, each stage has one, none takes it twice, and a
 * warpgroup that goes from any place of one tile to any place of another takes at least one of any 2 reach stages. */
static void check_users(const struct laid_out *o, int place, int reach)
{
    const struct tile_layout *l = &o->l;
    int64_t begin = 0;
    char *taken = calloc((size_t)l->n_stages + 1, 1);
    assert_non_null(taken);
    for (int64_t tile = 0; tile < l->tiles; tile++)
        for (int64_t split = l->split_first[tile]; split < l->split_first[tile + 1]; split++) {
            const struct tile_strip *s = &l->strips[split * l->places + place];
            int64_t before = begin - l->stage_first[l->split_first[tile]];
            int64_t n = l->stage_first[split + 1] - l->stage_first[split], last = -reach, end = -1;
            const uint32_t *e = o->a.list + s->list;
            for (; (int32_t)*e >= 0; e++) {
                int64_t at = (*e & STEP_STAGE_MASK) - before, stage = begin + at;
                assert_false(taken[stage]);
                taken[stage] = 1;
                if (last >= 0 || at >= l->places) assert_true(at - last <= 2 * reach);
                last = at;
                end = at > end ? at : end;
            }
            assert_int_equal((int32_t)*e, split + 1 < l->split_first[tile + 1] ? STEP_SPLIT : STEP_END);
            if ((int32_t)*e == STEP_SPLIT) assert_ptr_equal(e + 1, o->a.list + s[l->places].list);
            for (int64_t i = 0; i < n; i++) {
                unsigned users = (unsigned)o->a.stages[begin + i].octet[0] >> STAGE_PLACES_SHIFT;
                assert_int_equal(users >> place & 1, taken[begin + i]);
                assert_true(users != 0);
            }
            if (n > 0) assert_true(n - end <= reach);
            begin += n;
        }
    free(taken);
}

/* Each item goes to the CTA that has the least work, so none has more than the mean plus the heaviest item. */
static void check_balance(const struct tile_layout *l, const struct tile_schedule *s)
{
    int64_t total = 0, heaviest = 0, most = 0;
    for (int cta = 0; cta < s->ctas; cta++) {
        int64_t sum = 0;
        for (int64_t i = s->first[cta]; i < s->first[cta + 1]; i++) {
            const struct tile_item *item = &s->items[i];
            int64_t work = heuristic_item_work(l, item->split, item->splits);
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
    int place = (int)(task->strip % (l->places / l->warpgroup_splits)) * l->warpgroup_splits + task->warpgroup_split;
    int first_stage = place / l->warpgroup_splits * (l->warpgroup_splits - 1);
    const struct tile_strip *strip = &l->strips[item->split * l->places + place];
    assert_int_equal(task->strip, strip->strip);
    assert_int_equal(task->head, item->head);
    assert_int_equal(task->stages, item->stages);
    assert_int_equal(task->list, strip->list);
    assert_int_equal(task->before, item->stage_first - l->stage_first[l->split_first[item->tile]]);
    assert_int_equal(task->partial, item->partial < 0 ? -1 : item->partial + place);
    assert_int_equal(task->combine_stage, first_stage + (task->warpgroup_split > 0 ? task->warpgroup_split - 1 : 0));
    assert_true(l->warpgroup_splits == 1 || task->combine_stage < l->combine_stages);
    *places |= 1u << place;
}

/* Each partial belongs to one place of a split, and each split that is an item is combined once. */
static void check_combines(const struct tile_layout *l, const struct tile_schedule *s)
{
    char *filled = calloc((size_t)s->n_partials + 1, 1);
    assert_non_null(filled);
    for (int64_t k = 0; k < s->n_items; k++)
        for (int p = 0; p < l->places && s->items[k].partial >= 0; p++) {
            assert_in_range(s->items[k].partial + p, 0, s->n_partials - 1);
            assert_false(filled[s->items[k].partial + p]++);
        }
    for (int64_t k = 0; k < s->n_combines; k++) {
        const struct tile_combine *combine = &s->combines[k];
        int strips = l->places / l->warpgroup_splits, tile = combine->strip / strips;
        assert_int_equal(combine->splits, l->split_first[tile + 1] - l->split_first[tile]);
        for (int split = 0; split < combine->splits; split++)
            for (int w = 0; w < l->warpgroup_splits; w++) {
                int partial = combine->partial + split * l->places + w, found = 0;
                for (int64_t i = 0; i < s->n_items; i++) {
                    const struct tile_item *item = &s->items[i];
                    found += item->partial >= 0 && item->tile == tile && item->head == combine->head &&
                             item->split == l->split_first[tile] + split &&
                             item->partial + combine->strip % strips * l->warpgroup_splits + w == partial;
                }
                assert_int_equal(found, 1);
                assert_int_equal(filled[partial]++, 1);
            }
    }
    for (int64_t i = 0; i < s->n_partials; i++) assert_int_equal(filled[i], 2);
    free(filled);
}

/* Every split of every tile and head is in one item, and each of its places in one task. */
static void check_schedule(const struct tile_layout *l, int heads, int kv_heads, int d, int ctas, bool whole)
{
    const struct attention_shape shape = { VIC_F16, heads, kv_heads, d, d };
    struct tile_schedule s;
    int64_t seen_splits = 0;
    vic_error err;
    CHECK_OK(schedule_make(l, &shape, ctas, whole, &s, &err));
    char *seen = calloc((size_t)(l->splits * heads + 1), 1);
    assert_non_null(seen);
    assert_int_equal(s.first[0], 0);
    assert_int_equal(s.first[ctas], s.n_items);
    if (whole) assert_int_equal(s.n_items, l->tiles * heads);
    for (int64_t k = 0; k < s.n_items; k++) {
        const struct tile_item *item = &s.items[k];
        bool all = item->splits == l->split_first[item->tile + 1] - l->split_first[item->tile];
        unsigned places = 0;
        for (int32_t i = 0; i < item->splits; i++) assert_false(seen[(item->split + i) * heads + item->head]++);
        seen_splits += item->splits;
        assert_true(item->partial >= 0 ? !all && item->splits == 1 : all);
        assert_in_range(item->split, l->split_first[item->tile], l->split_first[item->tile + 1] - item->splits);
        assert_int_equal(item->mask_first, l->mask_first[item->split]);
        assert_int_equal(item->stage_first, l->stage_first[item->split]);
        assert_int_equal(item->stages, l->stage_first[item->split + item->splits] - l->stage_first[item->split]);
        for (int w = 0; w < l->places; w++) check_task(l, item, &s.tasks[k * l->places + w], &places);
        assert_int_equal(places, (1u << l->places) - 1);
    }
    assert_int_equal(seen_splits, l->splits * heads);
    if (whole) assert_int_equal(s.n_partials, 0);
    check_combines(l, &s);
    check_balance(l, &s);
    free(seen);
    schedule_free(&s);
}

/* More threads make the same layout. */
static void check_threads(const vic_pattern *p, const struct layout_shape *shape, const struct laid_out *one)
{
    struct laid_out many;
    const struct tile_layout *l = &one->l, *m = &many.l;
    lay_out(p, shape, 3, &many);
    assert_int_equal(m->tiles, l->tiles);
    assert_int_equal(m->splits, l->splits);
    assert_int_equal(m->n_stages, l->n_stages);
    assert_int_equal(m->n_entries, l->n_entries);
    assert_int_equal(m->n_masks, l->n_masks);
    assert_int_equal(m->steps, l->steps);
    assert_memory_equal(m->split_first, l->split_first, (size_t)(l->tiles + 1) * sizeof *l->split_first);
    assert_memory_equal(m->stage_first, l->stage_first, (size_t)(l->splits + 1) * sizeof *l->stage_first);
    assert_memory_equal(many.a.stages, one->a.stages, (size_t)(l->n_stages + STAGE_OVERRUN) * sizeof *one->a.stages);
    assert_memory_equal(many.a.list, one->a.list, (size_t)(l->n_entries + LIST_OVERRUN) * sizeof *one->a.list);
    if (l->tiles > 0) {
        assert_memory_equal(m->mask_first, l->mask_first, (size_t)l->splits * sizeof *l->mask_first);
        assert_memory_equal(m->strips, l->strips, (size_t)(l->splits * l->places) * sizeof *l->strips);
    }
    if (l->n_masks > 0) assert_memory_equal(many.a.masks, one->a.masks, (size_t)l->n_masks * sizeof *one->a.masks);
    free_layout(&many);
}

/* Every strip's pairs are in its list, or in those of its splits together. */
static void check_pairs(const vic_pattern *p, const struct laid_out *o)
{
    const struct tile_layout *l = &o->l;
    size_t size = (size_t)(p->clusters + 1) * CLUSTER * STRIP;
    int per_tile = l->places / l->warpgroup_splits;
    assert_true(l->tiles * per_tile >= p->strips);
    assert_int_equal(l->combine_stages, l->places - per_tile);
    assert_int_equal(l->split_first[l->tiles], l->splits);
    for (int64_t strip = 0; strip < l->tiles * per_tile; strip++) {
        uint8_t *expected = calloc(size, 1), *found = calloc(size, 1);
        int64_t first = l->split_first[strip / per_tile], end = l->split_first[strip / per_tile + 1];
        assert_true(expected && found);
        if (strip < p->strips) count_pattern(p, strip, expected);
        for (int64_t split = first; split < end; split++)
            for (int w = 0; w < l->warpgroup_splits; w++) {
                const struct tile_strip *s =
                    &l->strips[split * l->places + strip % per_tile * l->warpgroup_splits + w];
                assert_int_equal(s->strip, strip);
                count_layout(o, s, split, l->stage_first[split] - l->stage_first[first], found);
            }
        assert_memory_equal(expected, found, size);
        free(expected);
        free(found);
    }
}

/* A split may be longer than asked for, because stages are not divided and the ring's invariant adds some steps. */
static void check_lengths(const struct tile_layout *l, int most_steps)
{
    for (int64_t k = 0; k < l->splits && most_steps > 0; k++)
        assert_true(split_steps(l, k) <= most_steps + 3 * l->places);
}

static void check_layout(const vic_pattern *p, const struct layout_shape *shape)
{
    struct laid_out o;
    const struct tile_layout *l = &o.l;
    lay_out(p, shape, 1, &o);
    check_threads(p, shape, &o);
    for (int place = 0; place < l->places && SANITIZED < 2; place++) check_users(&o, place, shape->reach);
    if (SANITIZED < 2) check_pairs(p, &o);
    check_lengths(l, (int)shape->split_steps);
    for (int whole = 0; whole <= 1 && SANITIZED < 2; whole++) {
        check_schedule(l, 3, 3, 64, 7, whole);
        check_schedule(l, 6, 3, 128, 5, whole);
    }
    free_layout(&o);
}

static void check_pattern(vic_pattern *p)
{
    static const int shapes[][2] = { { 4, 6 }, { 3, 2 }, { 4, 11 }, { 2, 3 } }; /* places, reach */
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
        for (int splits = 1; splits <= shapes[i][0]; splits++)
            for (int steps = 0; steps <= 25 && shapes[i][0] % splits == 0; steps += steps == 0 ? 1 : 12)
                check_layout(p, &(struct layout_shape){ shapes[i][0], shapes[i][1], splits, steps });
    vic_pattern_free(p);
}

/* Over how many warpgroups strips are split depends on how few and how long they are, and on whether they need the
 * same keys.  Where tiles are few and long, the longest are split over CTAs, over as many as there are or a multiple. */
static void small_patterns_are_split(void **state)
{
    static const struct {
        const char *text;
        int places, warpgroup_splits, splits; /* 0: no tile is split */
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
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const struct layout_shape shape = { .places = cases[i].places, .reach = 6 };
        struct laid_out o;
        vic_pattern *p;
        p = generated_pattern(cases[i].text);
        lay_out(p, &shape, 0, &o);
        assert_int_equal(o.l.warpgroup_splits, cases[i].warpgroup_splits);
        assert_int_equal(o.l.splits, cases[i].splits > 0 ? cases[i].splits : o.l.tiles);
        free_layout(&o);
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
    check_pattern(make_pattern(5000, 37, 5, 0, false, 0));    /* tiles of several chunks */
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
                                        cmocka_unit_test(small_patterns_are_split) };
    return cmocka_run_group_tests_name("kernels_sm90_tiles", tests, NULL, NULL);
}
