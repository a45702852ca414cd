// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "kernels/cuda/sm90/strip.cuh"

namespace sm90
{
// The ring's invariant.  A barrier has one bit of phase.  Waiting on it requires that the previous phase is known to
// be complete; otherwise the bit of an old fill is taken for that of a new one.  A warpgroup skips stages, and so
// fills.
//
//     Of any 2 REACH <= RING consecutive stages of a CTA, combine stages included, each warpgroup takes at least one.
//
// This suffices.  Each slot has two full barriers, for even and odd laps of the ring, so the previous phase of a
// barrier is the fill of the slot two laps before.  When a warpgroup waits for a stage, it has taken one of the RING
// stages before it.  Producers issue stages in order, so by then they had issued the slot's fill of one lap before;
// and that they issue only after the fill of two laps before had come and was not needed any more.
//
// The planner keeps the invariant: where a place needs none of so many stages, it takes one with all mask bits clear
// (stages_assign()).  tests/unit/kernels/sm90 checks it on lists.  REACH is in the kernel's configuration, C below,
// with the ring's addresses: attn_fwd_config<D> (config.cuh) or attn_bwd_config<...> (bwd_config.cuh).

// All that a step needs, in one word, which one redux.sync copies to uniform registers.  STEP_END and STEP_SPLIT,
// which are negative, stand for themselves.
template <typename C> struct step_word {
    enum : uint32_t {
        BARRIER_MASK = 63, // 2 * slot + lap % 2: which full barrier
        SLOT_MASK = 62,    // 2 * slot
        PARITY_SHIFT = 6,  // lap / 2 % 2: its phase
        MASK_SHIFT = 8,    // slot * WARPGROUPS + which mask of the stage
        MASK_MASK = 255,
    };
    static_assert(2 * C::RING - 1 <= BARRIER_MASK && 1 << PARITY_SHIFT > BARRIER_MASK, "barriers need more bits");
    static_assert(C::RING * C::WARPGROUPS - 1 <= MASK_MASK && MASK_MASK << MASK_SHIFT < STEP_MASKED,
                  "masks need more bits");
    static_assert(2 * C::REACH <= C::RING, "the ring's invariant");
    uint32_t word;

    // `number` is that of the stage among all stages of the CTA.
    static __device__ __forceinline__ uint32_t make(uint32_t entry, uint32_t number)
    {
        const uint32_t lap = number / C::RING, slot = number - lap * C::RING;
        if (static_cast<int>(entry) < 0) return entry;
        return slot << 1 | (lap & 1) | (lap >> 1 & 1) << PARITY_SHIFT |
               (slot * C::WARPGROUPS + (entry >> STEP_MASK_SHIFT & 3)) << MASK_SHIFT | (entry & STEP_MASKED);
    }
    __device__ __forceinline__ uint32_t full() const
    {
        return C::FULL + 8 * (word & BARRIER_MASK);
    }
    __device__ __forceinline__ uint32_t parity() const
    {
        return word >> PARITY_SHIFT & 1;
    }
    __device__ __forceinline__ uint32_t empty() const
    {
        return C::EMPTY + 4 * (word & SLOT_MASK);
    }
    __device__ __forceinline__ uint32_t slot() const
    {
        return word >> 1 & SLOT_MASK / 2;
    }
    __device__ __forceinline__ uint32_t stage() const
    {
        return C::BASE + slot() * C::STAGE_BYTES;
    }
    __device__ __forceinline__ uint32_t mask() const
    {
        return C::MASKS + (word >> MASK_SHIFT & MASK_MASK) * C::MASK_BYTES;
    }
};

// A warpgroup's walk over its strip's list.
template <typename C> struct list_walk {
    uint32_t begin = 0;       // number of the first stage of the item's tile among all stages of the CTA
    uint32_t loaded, list;    // the next 32 entries of the list, one in each lane; where the entries after them are
    uint32_t words, lane;     // the present 32 entries, each made into a step_word; which lane is next
    step_word<C> at;          // the step that is next
    uint32_t barrier, parity; // its stage is in the ring when this barrier has completed the phase of this parity

    template <typename P> __device__ __forceinline__ void load(const P &p)
    {
        loaded = ptx::ld_global_nc(p.list + list);
        list += 32;
    }
    template <typename P> __device__ __forceinline__ void prepare(const P &p)
    {
        words = step_word<C>::make(loaded, begin + (loaded & STEP_STAGE_MASK));
        load(p);
        lane = 0;
    }
    template <typename P> __device__ __forceinline__ void advance(const P &p)
    {
        at.word = uniform((threadIdx.x & 31) == lane ? words : 0);
        barrier = at.full();
        parity = at.parity();
        if (++lane == 32) prepare(p);
    }
    // Begin a new list: start() loads the first entries, ready() waits for them.
    template <typename P> __device__ __forceinline__ void start(const P &p, uint32_t first_entry)
    {
        list = first_entry + (threadIdx.x & 31);
        load(p);
    }
    template <typename P> __device__ __forceinline__ void ready(const P &p)
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
        return at.stage();
    }
    __device__ __forceinline__ uint32_t empty() const
    {
        return at.empty();
    }
    // This thread's mask bits, which are in the ring with the stage.
    __device__ __forceinline__ uint32_t bits() const
    {
        return ptx::ld_shared(at.mask() + 4 * (threadIdx.x & 127));
    }
    __device__ __forceinline__ bool more() const
    {
        return static_cast<int>(at.word) >= 0;
    }
    __device__ __forceinline__ bool split_ends() const
    {
        return at.word == static_cast<uint32_t>(STEP_SPLIT);
    }
    __device__ __forceinline__ bool masked() const
    {
        return static_cast<int>(at.word) >= STEP_MASKED;
    }
    __device__ __forceinline__ bool full() const
    {
        return at.word < STEP_MASKED;
    }
};
} // namespace sm90
