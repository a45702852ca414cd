// SPDX-License-Identifier: Apache-2.0
// The producers: K, V and mask words of a CTA's stages into the ring, in the order in which it will need them.
#pragma once
#include "kernels/cuda/sm90/strip.cuh"

namespace sm90
{
// Producer warp `warp` brings panel warp / 2 of K (even) or V (odd); the first one mask words, too.
template <int D>
__device__ __forceinline__ void produce(const attn_fwd_params &p, const CUtensorMap *k_map, const CUtensorMap *v_map,
                                        int warp)
{
    using C = attn_fwd_config<D>;
    uint32_t slot = 0, turn = 0;
    uint32_t number = 0, granted = 0; // stages and places so far; where the last places began, plus RING
    const CUtensorMap *map = warp & 1 ? v_map : k_map;
    const int lane = threadIdx.x & 31, column = warp / 2 * C::PANEL;
    const uint32_t into = C::BASE + (warp & 1) * C::MATRIX_BYTES + warp / 2 * C::PANEL_BYTES;
    const int first = p.item_first[blockIdx.x], last = p.item_first[blockIdx.x + 1];
    for (int batch = 0; batch < p.batch; batch++) {
        for (int i = first; i < last; i++) {
            const tile_item item = p.items[i];
            const int kv_head = item.head / p.heads_per_kv;
            const uint32_t *masks = p.masks + static_cast<int64_t>(item.mask_first) * STEP_WORDS;
            const int32_t *stages = p.stages[item.stage_first].group + lane % STAGE_GROUPS;
            int32_t next = __ldg(stages);
            for (int s = 0; s < item.stages; s++) {
                const int32_t mine = next;
                next = __ldg(stages += STAGE_GROUPS); // the array ends with one that is never used
                int rows[STAGE_GROUPS];
#pragma unroll
                for (int g = 0; g < STAGE_GROUPS; g++)
                    rows[g] = (__shfl_sync(WARP, mine, g) & STAGE_GROUP_MASK) * GROUP_KEYS;
                const int looking = __popc(__shfl_sync(WARP, static_cast<uint32_t>(mine), 0) >> STAGE_USERS_SHIFT);
                const uint32_t mask_bytes =
                    __popc(__shfl_sync(WARP, static_cast<uint32_t>(mine), 1) >> STAGE_USERS_SHIFT) * C::MASK_BYTES;
                ptx::mbarrier_wait(C::EMPTY + 8 * slot, ~turn & 1); // a fresh one counts as complete in parity 1
                if (ptx::elect_sync()) {
                    const uint32_t full = C::FULL + 16 * slot + 8 * (turn & 1), to = into + slot * C::STAGE_BYTES;
                    if (warp == 0) {
                        ptx::mbarrier_arrive_expect_tx(full, C::PANEL_BYTES + mask_bytes);
                        if (mask_bytes > 0)
                            ptx::cp_async_bulk(C::MASKS + slot * (C::WARPGROUPS * C::MASK_BYTES), masks, mask_bytes,
                                               full);
                        // For the warpgroups that will not look at this stage.
                        if (looking < C::WARPGROUPS)
                            ptx::mbarrier_arrive(C::EMPTY + 8 * slot, 128 * (C::WARPGROUPS - looking));
                    } else {
                        ptx::mbarrier_arrive_expect_tx(full, C::PANEL_BYTES);
                    }
#pragma unroll
                    for (int g = 0; g < STAGE_GROUPS; g++)
                        ptx::cp_async_bulk_tensor_4d(to + g * C::GROUP_BYTES, map, column, rows[g], kv_head, batch,
                                                     full);
                }
                __syncwarp();
                masks += mask_bytes / 4;
                if (++slot == C::RING) {
                    slot = 0;
                    turn++;
                }
            }
            number += item.stages;
            for (int i = 0; i < item.places; i++) {
                ptx::mbarrier_wait(C::EMPTY + 8 * slot, ~turn & 1);
                if (warp == 0) {
                    // The same part's last place must be done with: WRITTEN has one bit of phase.
                    const uint32_t before = granted + i - C::RING;
                    if (granted > 0 && number < granted)
                        ptx::mbarrier_wait(C::EMPTY + 8 * (before % C::RING), before / C::RING & 1);
                    if (C::WARPGROUPS > 2 && ptx::elect_sync())
                        ptx::mbarrier_arrive(C::EMPTY + 8 * slot, 128 * (C::WARPGROUPS - 2));
                }
                if (ptx::elect_sync()) ptx::mbarrier_arrive(C::FULL + 16 * slot + 8 * (turn & 1));
                __syncwarp();
                if (++slot == C::RING) {
                    slot = 0;
                    turn++;
                }
            }
            if (item.places > 0) granted = number + C::RING;
            number += item.places;
        }
    }
}
} // namespace sm90
