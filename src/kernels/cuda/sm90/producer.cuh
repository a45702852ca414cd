// SPDX-License-Identifier: Apache-2.0
// The producers: they copy K, V and mask words of a CTA's stages into the ring, in the order in which its consumers
// will need them.
#pragma once
#include "kernels/cuda/ptx/tensormap.cuh"
#include "kernels/cuda/sm90/item_walk.cuh"

namespace sm90
{
// A producer's walk over the slots of the ring.
template <int D> struct ring_walk {
    uint32_t slot = 0, lap = 0;

    __device__ __forceinline__ void wait_empty() const
    {
        ptx::mbarrier_wait(attn_fwd_config<D>::EMPTY + 8 * slot, ~lap & 1); // a new barrier is complete in parity 1
    }
    __device__ __forceinline__ uint32_t full() const
    {
        return attn_fwd_config<D>::FULL + 16 * slot + 8 * (lap & 1);
    }
    __device__ __forceinline__ void advance()
    {
        if (++slot < attn_fwd_config<D>::RING) return;
        slot = 0;
        lap++;
    }
};

// Behind an item's stages: leaves slots of the ring empty as combine stages (combine.cuh).  `number` is that of the
// first of them among all stages of the CTA; `before` is that of the last item that had combine stages, plus RING; 0
// = there was none.
template <int D>
__device__ __forceinline__ void leave_combine_stages(ring_walk<D> &ring, int stages, uint32_t number, uint32_t before,
                                                     int warp)
{
    using C = attn_fwd_config<D>;
    for (int i = 0; i < stages; i++) {
        ring.wait_empty();
        if (warp == 0) {
            // The same combine stage of the item before must not be in use any more: WRITTEN has one bit of phase.
            const uint32_t last = before + i - C::RING;
            if (before > 0 && number < before)
                ptx::mbarrier_wait(C::EMPTY + 8 * (last % C::RING), last / C::RING & 1);
            if (C::WARPGROUPS > 2 && ptx::elect_sync())
                ptx::mbarrier_arrive(C::EMPTY + 8 * ring.slot, 128 * (C::WARPGROUPS - 2));
        }
        if (ptx::elect_sync()) ptx::mbarrier_arrive(ring.full());
        __syncwarp();
        ring.advance();
    }
}

// Producer warp `warp` copies panel warp / 2 of K (even warps) or V (odd warps); warp 0 also copies the mask words.
template <int D, bool SPLIT>
__device__ __forceinline__ void produce(const attn_fwd_params &p, const CUtensorMap *k_map, const CUtensorMap *v_map,
                                        int warp)
{
    using C = attn_fwd_config<D>;
    constexpr int AT_ONCE = 32 / STAGE_OCTETS; // stages whose octets are read at a time, a word in each lane
    ring_walk<D> ring;
    uint32_t number = 0, before = 0;
    const CUtensorMap *map = warp & 1 ? v_map : k_map;
    const int lane = threadIdx.x & 31, column = warp / 2 * C::PANEL;
    const uint32_t into = C::BASE + (warp & 1) * C::MATRIX_BYTES + warp / 2 * C::PANEL_BYTES;
    const auto octets_at = [&](int stage) { return __ldg(p.stages[stage].octet + lane); };
    if (!p.maps) ptx::prefetch_tensormap(map);
    item_walk items(p);
    if (items.left <= 0) return;
    tile_item item = p.items[items.item()];
    int32_t loaded = octets_at(item.stage_first);
    ptx::griddepcontrol_wait(); // K and V may come from the kernel before
    while (items.left > 0) {
        int batch = items.batch();
        const int kv_head = item.head / p.heads_per_kv;
        if (p.maps) { // a map for each entry
            const CUtensorMap *own = p.maps + 2 * batch + (warp & 1);
            if (own != map) ptx::fence_proxy_tensormap_acquire(own);
            map = own;
            batch = 0;
        }
        const uint32_t *masks = p.masks + static_cast<int64_t>(item.mask_first) * STEP_WORDS;
        items.next();
        const tile_item after = p.items[items.item()];
        int32_t octets = 0;
        for (int s = 0; s < item.stages; s++) {
            if (s % AT_ONCE == 0) {
                octets = loaded;
                loaded = octets_at(s + AT_ONCE < item.stages ? item.stage_first + s + AT_ONCE : after.stage_first);
            }
            const int first = s % AT_ONCE * STAGE_OCTETS;
            int rows[STAGE_OCTETS];
#pragma unroll
            for (int g = 0; g < STAGE_OCTETS; g++)
                rows[g] = (__shfl_sync(WARP, octets, first + g) & STAGE_OCTET_MASK) * OCTET;
            const int users = __popc(__shfl_sync(WARP, static_cast<uint32_t>(octets), first) >> STAGE_PLACES_SHIFT);
            const uint32_t mask_bytes =
                __popc(__shfl_sync(WARP, static_cast<uint32_t>(octets), first + 1) >> STAGE_PLACES_SHIFT) *
                C::MASK_BYTES;
            ring.wait_empty();
            if (ptx::elect_sync()) {
                const uint32_t full = ring.full(), to = into + ring.slot * C::STAGE_BYTES;
                if (warp == 0) {
                    ptx::mbarrier_arrive_expect_tx(full, C::PANEL_BYTES + mask_bytes);
                    if (mask_bytes > 0)
                        ptx::cp_async_bulk(C::MASKS + ring.slot * (C::WARPGROUPS * C::MASK_BYTES), masks, mask_bytes,
                                           full);
                    // Arrives for the warpgroups that will skip this stage.
                    if (users < C::WARPGROUPS)
                        ptx::mbarrier_arrive(C::EMPTY + 8 * ring.slot, 128 * (C::WARPGROUPS - users));
                } else {
                    ptx::mbarrier_arrive_expect_tx(full, C::PANEL_BYTES);
                }
#pragma unroll
                for (int g = 0; g < STAGE_OCTETS; g++)
                    ptx::cp_async_bulk_tensor_4d(to + g * C::OCTET_BYTES, map, column, rows[g], kv_head, batch, full);
            }
            __syncwarp();
            masks += mask_bytes / 4;
            ring.advance();
        }
        if (item.stages == 0) loaded = octets_at(after.stage_first);
        number += item.stages;
        if (!SPLIT || item.partial < 0) {
            leave_combine_stages<D>(ring, p.combine_stages, number, before, warp);
            before = number + C::RING;
            number += p.combine_stages;
        }
        item = after;
    }
}
} // namespace sm90
