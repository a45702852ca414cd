/* SPDX-License-Identifier: Apache-2.0 */
#include "kernels/cuda/sm90/plan/heuristics.h"

#include "kernels/cuda/sm90/plan/layout.h"

enum {
    GPU_CTAS = 132, /* multiprocessors of an H100 or H200 */

    /* The work of an item beside its steps: queries in, results out.  Where tiles are split another kernel is used,
     * whose items were measured separately. */
    PLACE_WORK = 16,  /* for each place of a tile, where no tile is split */
    COMBINE_WORK = 4, /* for a place that combines warpgroup splits */
    ITEM_WORK = 12,   /* for an item, where tiles are split */
    SPLIT_WORK = 10,  /* from one split to the next in an item */

    /* The second kernel's time, and how many partials it combines on the whole GPU in the time of a step. */
    COMBINE_TIME = 16,
    PARTIALS_PER_STEP = 250,
    /* The partials of the longest tile are combined one after the other: 5 of them in the time of 2 steps. */
    CHAIN_STEPS = 2,
    CHAIN_PARTIALS = 5,

    /* A split has so many steps at least: shorter ones cost many heads over 1 %, because a CTA starts over at each.
     * Where there are at most FEW_TILES tiles the GPU has room for shorter ones. */
    LEAST_STEPS = 1200,
    LEAST_STEPS_OF_FEW = 48,
    FEW_TILES = GPU_CTAS / 8,

    FEW_STEPS = 10,        /* strips with fewer steps are not split over warpgroups */
    BYTES_TOGETHER = 1024, /* of keys and values per row, for which L2 has room */
    LAST_ITEMS = 2,        /* for each CTA */
};

/* Strips are split where they are few, so that they occupy more CTAs.  Then fewer strips share the keys that a CTA
 * fetches.  So where strips need mostly the same keys, as in dense patterns, they are split only up to half that
 * number; and where they have few steps, only when there are CTAs for four heads of them. */
int heuristic_warpgroup_splits(int64_t strips, const struct tile_layout *whole)
{
    const int places = whole->places;
    bool long_enough = whole->steps >= FEW_STEPS * strips;
    bool same_keys = whole->steps * 4 >= whole->n_stages * 3 * places;
    if (strips <= GPU_CTAS / 4 || (strips <= GPU_CTAS / 2 && long_enough)) return places;
    if (long_enough && (strips <= GPU_CTAS || (strips <= 2 * GPU_CTAS && !same_keys)))
        return places % 2 == 0 ? 2 : places;
    return 1;
}

int64_t heuristic_splits(int64_t steps, int64_t most_steps)
{
    return steps <= most_steps ? 1 : (steps + most_steps - 1) / most_steps;
}

static int64_t count_splits(const struct tile_layout *l, int64_t most_steps)
{
    int64_t count = 0;
    for (int64_t t = 0; t < l->tiles; t++) count += heuristic_splits(split_steps(l, t), most_steps);
    return count;
}

/* The length in steps of the shortest splits of which there are at most `most`, from `least` to `longest`. */
static int64_t shortest_splits(const struct tile_layout *l, int64_t least, int64_t longest, int64_t most)
{
    int64_t too_short = least - 1;
    for (int64_t enough = longest; enough - too_short > 1;) {
        int64_t middle = too_short + (enough - too_short) / 2;
        if (count_splits(l, middle) > most)
            too_short = middle;
        else
            enough = middle;
    }
    return too_short + 1;
}

/* The time with splits of `most_steps`, where the longest tile has `longest`. */
static int64_t time_of(const struct tile_layout *l, int64_t longest, int64_t most_steps)
{
    int64_t rounds = (count_splits(l, most_steps) + GPU_CTAS - 1) / GPU_CTAS;
    int64_t chain = heuristic_splits(longest, most_steps) * l->warpgroup_splits;
    return rounds * (most_steps + ITEM_WORK) + COMBINE_TIME + chain * CHAIN_STEPS / CHAIN_PARTIALS;
}

int64_t heuristic_split_steps(const struct tile_layout *l)
{
    int64_t longest = 0, least = l->tiles <= FEW_TILES ? LEAST_STEPS_OF_FEW : LEAST_STEPS, best = 0, best_time;
    if (l->tiles > GPU_CTAS) return 0;
    for (int64_t t = 0; t < l->tiles; t++) {
        int64_t steps = split_steps(l, t);
        if (steps > longest) longest = steps;
    }
    if (longest <= least) return 0;
    best_time = longest + ITEM_WORK;
    for (int64_t n = 1; n <= GPU_CTAS; n++) { /* n splits of the longest tile, or as many splits as n for each CTA */
        int64_t steps[] = { (longest + n - 1) / n, shortest_splits(l, least, longest, n * GPU_CTAS) };
        for (int i = n == 1; i < 2; i++) {
            if (steps[i] < least || time_of(l, longest, steps[i]) >= best_time) continue;
            best_time = time_of(l, longest, steps[i]);
            best = steps[i];
        }
    }
    return best;
}

int64_t heuristic_item_work(const struct tile_layout *l, int32_t split, int32_t splits)
{
    int64_t work = any_split(l) ? ITEM_WORK + SPLIT_WORK * (splits - 1) : PLACE_WORK * l->places;
    for (int32_t i = 0; i < splits; i++) work += split_steps(l, split + i);
    return work;
}

int64_t heuristic_place_work(const struct tile_layout *l, int place)
{
    return l->warpgroup_splits > 1 && place % l->warpgroup_splits == 0 ? COMBINE_WORK : 0;
}

int64_t heuristic_combine_time(int64_t partials)
{
    return partials > 0 ? COMBINE_TIME + partials / PARTIALS_PER_STEP : 0;
}

int heuristic_heads_together(const struct attention_shape *shape)
{
    int kv_heads = BYTES_TOGETHER / (2 * (shape->d_qk + shape->d_v));
    return (kv_heads > 1 ? kv_heads : 1) * (shape->heads / shape->kv_heads);
}

int64_t heuristic_last_items(int ctas)
{
    return LAST_ITEMS * (int64_t)ctas;
}
