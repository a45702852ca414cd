/* SPDX-License-Identifier: Apache-2.0 */
/* What was chosen by measurement (docs/kernels/attn_fwd_sm90.md): whether strips and tiles are split, and the work by
 * which items are dealt out.  Splitting is decided by the pattern and the tiles' shape alone, for the CTAs of a GPU
 * with 132 multiprocessors, so that a row has the same bits whatever the number of heads, the batch or the GPU.  Work
 * and time are counted in steps of a warpgroup. */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_HEURISTICS_H
#define VIC_KERNELS_CUDA_SM90_PLAN_HEURISTICS_H

#include "contract/attention.h"
#include "kernels/cuda/sm90/plan/tiles.h"

/* Over how many warpgroups each strip is split, from the layout in which none is. */
int heuristic_warpgroup_splits(int64_t strips, const struct tile_layout *whole);

/* Steps of the longest split with which one head's tiles end soonest, from the layout in which no tile is split; 0 =
 * no tile is to be. */
int64_t heuristic_split_steps(const struct tile_layout *l);

/* In how many splits a tile of `steps` is then done, one at least. */
int64_t heuristic_splits(int64_t steps, int64_t most_steps);

/* An item of `splits` splits of a tile, of which `split` is the first. */
int64_t heuristic_item_work(const struct tile_layout *l, int32_t split, int32_t splits);

/* What a place takes beside its steps when it combines the warpgroup splits of its strip. */
int64_t heuristic_place_work(const struct tile_layout *l, int place);

/* The second kernel, on the whole GPU. */
int64_t heuristic_combine_time(int64_t partials);

/* How many query heads are worked on side by side. */
int heuristic_heads_together(const struct attention_shape *shape);

/* How many items, the last ones, even out what CTAs have to do. */
int64_t heuristic_last_items(int ctas);

#endif
