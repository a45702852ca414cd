// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/cuda/sm90/strip.cuh"

namespace sm90
{
// Where a warpgroup stands in its strip's list and in the ring.
// A barrier has one bit of phase, which tells a fill from the one before it on the same barrier only to those who
// know that one to be complete.  Each slot has two barriers in lap, so that one is the fill two turns of the ring
// before; and a warpgroup has met one of the last 2 REACH <= RING stages (tiles_make()).  To issue that one, or any
// behind it, the producer had issued all before it, among them one in the same slot a lap ago; and that only after
// the fill two turns ago had been there and was used.
template <int D> struct ring_place {
    using C = attn_fwd_config<D>;
    uint32_t begin = 0;       // stages and combine stages before the first of the item's tile
    uint32_t loaded, list;    // the next 32 entries of the list, one a lane; where the ones after them are
    uint32_t words, lane;     // the present 32, each made into all that its step needs; which lane comes next
    uint32_t word;            // of the step to take
    uint32_t barrier, parity; // that says that its stage is there

    // A word: 2 slot + which of its barriers; parity; slot * WARPGROUPS + which mask; STEP_MASKED.  STEP_END and
    // STEP_SPLIT, which are negative, as they are.
    enum { PARITY_SHIFT = 6, MASK_SHIFT = 8 };
    __device__ __forceinline__ uint32_t word_of(uint32_t entry) const
    {
        const uint32_t number = begin + (entry & STEP_STAGE_MASK), lap = number / C::RING,
                       slot = number - lap * C::RING;
        if (static_cast<int>(entry) < 0) return entry; // the end, or that of a split
        return slot << 1 | (lap & 1) | (lap >> 1 & 1) << PARITY_SHIFT |
               (slot * C::WARPGROUPS + (entry >> STEP_MASK_SHIFT & 3)) << MASK_SHIFT | (entry & STEP_MASKED);
    }
    __device__ __forceinline__ void load(const attn_fwd_params &p)
    {
        loaded = ptx::ld_global_nc(p.list + list);
        list += 32;
    }
    __device__ __forceinline__ void prepare(const attn_fwd_params &p)
    {
        words = word_of(loaded);
        load(p);
        lane = 0;
    }
    __device__ __forceinline__ void advance(const attn_fwd_params &p)
    {
        word = uniform((threadIdx.x & 31) == lane ? words : 0);
        barrier = C::FULL + 8 * (word & 63);
        parity = word >> PARITY_SHIFT & 1;
        if (++lane == 32) prepare(p);
    }
    // A new list: start() asks for the first entries, ready() waits for them.
    __device__ __forceinline__ void start(const attn_fwd_params &p, uint32_t first_entry)
    {
        list = first_entry + (threadIdx.x & 31);
        load(p);
    }
    __device__ __forceinline__ void ready(const attn_fwd_params &p)
    {
        prepare(p);
        advance(p);
    }

    __device__ __forceinline__ void wait() const
    {
        ptx::mbarrier_wait(barrier, parity);
    }
    __device__ __forceinline__ uint32_t stage() const
    {
        return C::BASE + (word >> 1 & 31) * C::STAGE_BYTES;
    }
    __device__ __forceinline__ uint32_t empty() const
    {
        return C::EMPTY + 4 * (word & 62);
    }
    // This thread's mask bits, which come with the stage.
    __device__ __forceinline__ uint32_t bits() const
    {
        return ptx::ld_shared(C::MASKS + (word >> MASK_SHIFT & 255) * C::MASK_BYTES + 4 * (threadIdx.x & 127));
    }
    __device__ __forceinline__ bool more() const
    {
        return static_cast<int>(word) >= 0;
    }
    __device__ __forceinline__ bool split_ends() const
    {
        return word == static_cast<uint32_t>(STEP_SPLIT);
    }
    __device__ __forceinline__ bool masked() const
    {
        return static_cast<int>(word) >= STEP_MASKED;
    }
    __device__ __forceinline__ bool full() const
    {
        return word < STEP_MASKED;
    }
};
} // namespace sm90
