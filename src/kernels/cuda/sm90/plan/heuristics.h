/* SPDX-License-Identifier: Apache-2.0 */
/* Choices that were made by measurement (docs/kernels/attn_fwd_sm90.md): whether strips and tiles are split, and how
 * much work an item is.  What is split depends on the pattern and the tiles' shape alone, and is chosen for a GPU
 * with 132 multiprocessors whatever GPU there is, so that a row has the same bits whatever the number of heads, the
 * batch or the GPU.  Work and time are counted in steps of a warpgroup. */
#ifndef VIC_KERNELS_CUDA_SM90_PLAN_HEURISTICS_H
#define VIC_KERNELS_CUDA_SM90_PLAN_HEURISTICS_H

#include "contract/attention.h"
#include "kernels/cuda/sm90/plan/tiles.h"

/* Returns over how many warpgroups each strip is split, from the layout in which none is. */
int heuristic_warpgroup_splits(int64_t strips, const struct tile_layout *whole);

/* Returns the steps of the longest split with which one head's tiles end soonest, from the layout in which no tile is
 * split; 0 = no tile is to be split. */
int64_t heuristic_split_steps(const struct tile_layout *l);

/* Returns how many splits a tile of `steps` has when none may be longer than `most_steps`; one at least. */
int64_t heuristic_splits(int64_t steps, int64_t most_steps);

/* Returns the work of an item that has `splits` splits of a tile, of which `split` is the first. */
int64_t heuristic_item_work(const struct tile_layout *l, int32_t split, int32_t splits);

/* Returns the work of a place beside its steps, which is to combine the warpgroup splits of its strip. */
int64_t heuristic_place_work(const struct tile_layout *l, int place);

/* Returns the time of the second kernel, on the whole GPU. */
int64_t heuristic_combine_time(int64_t partials);

/* Returns how many query heads are worked on side by side. */
int heuristic_heads_together(const struct attention_shape *shape);

/* Returns how many items are kept for the end, where the lightest ones even out what CTAs have to do. */
int64_t heuristic_last_items(int ctas);

#endif
