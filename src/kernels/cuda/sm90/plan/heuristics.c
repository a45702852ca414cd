/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a pattern's tiles are split, and how far.  Decided by the pattern and the tiles' shape alone, for the CTAs
 * of a GPU with 132 multiprocessors, so that a row has the same bits whatever the number of heads, the batch or the
 * GPU. The constants are measured: docs/kernels/attn_fwd_sm90.md. */
#include "kernels/cuda/sm90/plan/layout.h"

enum {
    CTAS = 132,
    /* In steps of a tile: */
    ITEM = 12, /* queries in, results out */
    JOIN = 16, /* bringing shares together */
    /* In shorter shares beginning anew takes many heads over 1 % longer; unless tiles are so few that there is room
     * for them. */
    LEAST = 1200,
    LEAST_OF_FEW = 48,
    FEW_TILES = CTAS / 8,
};

static int64_t count_shares(const struct tile_layout *l, int64_t most_steps)
{
    int64_t count = 0;
    for (int64_t t = 0; t < l->tiles; t++) {
        int64_t steps = share_steps(l, t);
        count += steps <= most_steps ? 1 : (steps + most_steps - 1) / most_steps;
    }
    return count;
}

/* The shortest shares of which there are at most `most`. */
static int64_t shortest_shares(const struct tile_layout *l, int64_t least, int64_t longest, int64_t most)
{
    int64_t too_short = least - 1;
    for (int64_t enough = longest; enough - too_short > 1;) {
        int64_t middle = too_short + (enough - too_short) / 2;
        if (count_shares(l, middle) > most)
            too_short = middle;
        else
            enough = middle;
    }
    return too_short + 1;
}

/* With shares of `most_steps` where the longest tile has `longest`. */
static int64_t time_of(const struct tile_layout *l, int64_t longest, int64_t most_steps)
{
    int64_t rounds = (count_shares(l, most_steps) + CTAS - 1) / CTAS;
    int64_t slots = (longest + most_steps - 1) / most_steps * l->parts;
    return rounds * (most_steps + ITEM) + JOIN + slots * 2 / 5;
}

int64_t split_limit(const struct tile_layout *l)
{
    int64_t longest = 0, least = l->tiles <= FEW_TILES ? LEAST_OF_FEW : LEAST, best = 0, best_time;
    for (int64_t t = 0; t < l->tiles; t++) {
        int64_t steps = share_steps(l, t);
        if (steps > longest) longest = steps;
    }
    if (l->tiles > CTAS || longest <= least) return 0;
    best_time = longest + ITEM;
    for (int64_t n = 1; n <= CTAS; n++) { /* the longest tile in n shares, or as many for all CTAs as there can be */
        int64_t steps[] = { (longest + n - 1) / n, shortest_shares(l, least, longest, n * CTAS) };
        for (int i = n == 1; i < 2; i++) {
            if (steps[i] < least || time_of(l, longest, steps[i]) >= best_time) continue;
            best_time = time_of(l, longest, steps[i]);
            best = steps[i];
        }
    }
    return best;
}
