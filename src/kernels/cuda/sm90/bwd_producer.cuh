// SPDX-License-Identifier: Apache-2.0
// The producers of the kernels of gradients.  A step there takes fewer tiles with it than the forward's, so stages
// follow each other faster than a pair of warps can issue them: two pairs take stages in turn.
#pragma once
#include "kernels/cuda/sm90/bwd_config.cuh"
#include "kernels/cuda/sm90/item_walk.cuh"

namespace sm90
{
// A pair's walk over the stages that are its own, every second one of the CTA.  Stages are issued strictly in their
// order, because the ring's invariant rests on that (ring.cuh): each warp waits until the warp of the other pair that
// copies the same matrix has issued the stage before.
template <typename C> struct turn_walk {
    uint32_t slot, lap = 0; // of the ring
    uint32_t mine, other;   // barriers: this warp has issued a stage; the other pair's has
    uint32_t parity;        // of the other's phase that must be complete

    __device__ __forceinline__ explicit turn_walk(int warp)
        : slot(warp >> 1), mine(C::ISSUED + 8 * warp), other(C::ISSUED + 8 * (warp ^ 2)), parity(warp >> 1 ^ 1)
    {
    }
    __device__ __forceinline__ void wait()
    {
        ptx::mbarrier_wait(other, parity); // before the first stage, which has none before it: a new barrier is
        parity ^= 1;                       // complete in parity 1
        ptx::mbarrier_wait(C::EMPTY + 8 * slot, ~lap & 1);
    }
    __device__ __forceinline__ uint32_t full() const
    {
        return C::FULL + 16 * slot + 8 * (lap & 1);
    }
    __device__ __forceinline__ void issued() const
    {
        ptx::mbarrier_arrive(mine);
    }
    __device__ __forceinline__ void advance()
    {
        slot += C::PAIRS;
        if (slot < C::RING) return;
        slot -= C::RING;
        lap++;
    }
};

// Producer warp `warp`: of the stages of pair warp / 2, even warps copy the first matrix and the mask words, odd ones
// the second matrix and, in the pass over keys, the row terms.  In that pass an item is walked once for each query
// head of its key head.
template <typename C>
__device__ __forceinline__ void produce_in_turn(const attn_bwd_params &p, const CUtensorMap *map, int warp)
{
    constexpr int AT_ONCE = 32 / STAGE_OCTETS; // stages whose octets are read at a time, a word in each lane
    const int lane = threadIdx.x & 31;
    const bool second = warp & 1;
    const auto octets_at = [&](int stage) { return __ldg(p.stages[stage].octet + lane); };
    turn_walk<C> turn(warp);
    int first = warp >> 1; // the first of the item's stages that is this pair's
    ptx::prefetch_tensormap(map);
    item_walk items(p);
    if (items.left <= 0) return;
    tile_item item = p.items[items.item()];
    int32_t loaded = octets_at(item.stage_first), octets = 0;
    int round = 0;              // which of the key head's query heads
    ptx::griddepcontrol_wait(); // what is copied may come from the kernel before
    while (items.left > 0) {
        const int batch = items.batch();
        const int head = C::OVER_KEYS ? item.head * p.heads_per_kv + round : item.head / p.heads_per_kv;
        const octet_terms *terms = p.terms + (static_cast<int64_t>(batch) * p.heads + head) * p.octets;
        const uint32_t *masks = p.masks + static_cast<int64_t>(item.mask_first) * STEP_WORDS;
        if (C::OVER_KEYS && round + 1 < p.heads_per_kv) {
            round++;
        } else {
            round = 0;
            items.next();
        }
        const tile_item after = p.items[items.item()];
        uint32_t count = 0, total = 0; // masks of the lane's stage; of all that were loaded with it
        bool ahead = false;            // the octets that are loaded are those of the item after this one
        for (int s = first; s < item.stages; s += C::PAIRS) {
            if (s % AT_ONCE < C::PAIRS) {
                const int next = s / AT_ONCE * AT_ONCE + AT_ONCE;
                octets = loaded;
                ahead = next >= item.stages;
                loaded = octets_at(ahead ? after.stage_first : item.stage_first + next);
                if (!second) {
                    masks += total * STEP_WORDS;
                    count =
                        lane % STAGE_OCTETS == 1 ? __popc(static_cast<uint32_t>(octets) >> STAGE_PLACES_SHIFT) : 0;
                    total = __reduce_add_sync(WARP, count);
                }
            }
            const int in = s % AT_ONCE * STAGE_OCTETS;
            int rows[STAGE_OCTETS];
#pragma unroll
            for (int g = 0; g < STAGE_OCTETS; g++)
                rows[g] = (__shfl_sync(WARP, octets, in + g) & STAGE_OCTET_MASK) * OCTET;
            uint32_t before = 0, mask_bytes = 0, users = 0;
            if (!second) {
                before = __reduce_add_sync(WARP, lane < in ? count : 0);
                mask_bytes = __shfl_sync(WARP, count, in + 1) * C::MASK_BYTES;
                users = __popc(__shfl_sync(WARP, static_cast<uint32_t>(octets), in) >> STAGE_PLACES_SHIFT);
            }
            turn.wait();
            const uint32_t full = turn.full();
            if (ptx::elect_sync()) {
                const uint32_t to = C::BASE + turn.slot * C::STAGE_BYTES + (second ? C::MATRIX_BYTES : 0);
                if (second) {
                    ptx::mbarrier_arrive_expect_tx(full, C::MATRIX_BYTES + C::TERMS_BYTES);
                } else {
                    ptx::mbarrier_arrive_expect_tx(full, C::MATRIX_BYTES + mask_bytes);
                    if (mask_bytes > 0)
                        ptx::cp_async_bulk(C::MASKS + turn.slot * (C::WARPGROUPS * C::MASK_BYTES),
                                           masks + before * STEP_WORDS, mask_bytes, full);
                    // Arrives for the warpgroups that will skip this stage.
                    if (users < C::WARPGROUPS)
                        ptx::mbarrier_arrive(C::EMPTY + 8 * turn.slot, 128 * (C::WARPGROUPS - users));
                }
#pragma unroll
                for (int panel = 0; panel < C::PANELS; panel++)
#pragma unroll
                    for (int g = 0; g < STAGE_OCTETS; g++)
                        ptx::cp_async_bulk_tensor_4d(to + panel * C::PANEL_BYTES + g * C::OCTET_BYTES, map,
                                                     panel * C::PANEL, rows[g], head, batch, full);
                turn.issued();
            }
            __syncwarp();
            if (C::OVER_KEYS && second && lane / STAGE_OCTETS == s % AT_ONCE)
                ptx::cp_async_bulk(C::TERMS + turn.slot * C::TERMS_BYTES + lane % STAGE_OCTETS * sizeof(octet_terms),
                                   terms + (octets & STAGE_OCTET_MASK), sizeof(octet_terms), full);
            __syncwarp();
            turn.advance();
        }
        if (!ahead) loaded = octets_at(after.stage_first);
        first = (first + item.stages) & 1;
        item = after;
    }
}
} // namespace sm90
