// SPDX-License-Identifier: Apache-2.0
// Sizes of the fused forward kernel, by head size.  Choices that were made by measurement have their numbers in
// docs/kernels/attn_fwd_sm90.md and its appendix; all other sizes follow from these and from the hardware.
#pragma once
#include "kernels/cuda/ptx/mma.cuh"
#include "kernels/cuda/sm90/plan/tiles.h"

#include <cstddef>

// The choices for a head size; head sizes in between run by the next larger one.
template <int D> struct attn_fwd_choice;
template <> struct attn_fwd_choice<32> {
    static constexpr int WARPGROUPS = 4; // consumers, each with a strip: 64 rows
    static constexpr bool Q_SHARED = false;
    // Intra-warpgroup overlap: P V of a step runs during the softmax of the next one.  At D = 64 there are too few
    // registers for it, at D = 32 it is slower.
    static constexpr bool OVERLAP = false;
};
template <> struct attn_fwd_choice<64> : attn_fwd_choice<32> {
};
template <> struct attn_fwd_choice<128> {
    static constexpr int WARPGROUPS = 3; // there are registers for three when Q is in shared memory
    static constexpr bool Q_SHARED = true;
    static constexpr bool OVERLAP = true;
};

// The two matrices of a stage: 64 rows of D columns each.  In the forward kernel they are keys and their values.
// Columns lie in panels as wide as the swizzle: 128 or 64 bytes.
template <int D> struct stage_matrices {
    static constexpr int PANEL = D < 64 ? D : 64; // columns
    static constexpr int PANELS = D / PANEL;
    static constexpr uint32_t PANEL_BYTES = STAGE_KEYS * PANEL * 2;
    static constexpr uint32_t OCTET_BYTES = OCTET * PANEL * 2; // a box: 8 rows of a panel
    static constexpr uint32_t MATRIX_BYTES = PANELS * PANEL_BYTES;
    static constexpr uint32_t STAGE_BYTES = 2 * MATRIX_BYTES;

    // Matrix descriptors: octets of rows (keys) follow each other at 8 x the panel's width.  The address field needs
    // no mask, and the 1 of the next field is part of what is added to it, so that a descriptor costs one addition.
    static constexpr uint32_t DESCRIPTOR_HIGH = ((8 * PANEL * 2) >> 4) | (PANEL == 64 ? 1u : 2u) << 30;
    static __device__ __forceinline__ uint64_t descriptor(uint32_t address, uint32_t offset)
    {
        return static_cast<uint64_t>(DESCRIPTOR_HIGH) << 32 | ((address >> 4) + ((1u << 16) + (offset >> 4)));
    }

    // Byte offset of columns 2 c, 2 c + 1 of key `row` in a matrix.
    static __device__ __forceinline__ uint32_t swizzled(int row, int column)
    {
        uint32_t panel = column / PANEL, byte = column % PANEL * 2;
        uint32_t swizzle = PANEL == 64 ? row & 7 : row >> 1 & 3;
        return panel * PANEL_BYTES + row * PANEL * 2 + ((byte >> 4 ^ swizzle) << 4) + (byte & 15);
    }
};

template <int D> struct attn_fwd_config : attn_fwd_choice<D>, stage_matrices<D> {
    using attn_fwd_choice<D>::WARPGROUPS, attn_fwd_choice<D>::Q_SHARED, attn_fwd_choice<D>::OVERLAP;
    static constexpr int THREADS = (WARPGROUPS + 1) * 128; // the last warpgroup is the producer

    // A CTA has an SM to itself, and starts with what each thread can have of its 64 K registers, in eights;
    // producers give away what they do not need.
    static constexpr int REGISTERS = 65536 / THREADS / 8 * 8;
    static constexpr int PRODUCER_REGISTERS = 32;
    static constexpr int CONSUMER_REGISTERS =
        (REGISTERS * (WARPGROUPS + 1) - PRODUCER_REGISTERS) / WARPGROUPS / 8 * 8;

    using stage_matrices<D>::PANELS, stage_matrices<D>::STAGE_BYTES;
    static constexpr int PRODUCERS = 2 * PANELS; // warps; one warp cannot issue boxes this small fast enough
    static constexpr uint32_t MASK_BYTES = STEP_WORDS * 4;             // of one place
    static constexpr uint32_t QUERY_BYTES = Q_SHARED ? 64 * D * 2 : 0; // of one warpgroup

    // The ring has as many slots as there is room for, beside 3 KB for barriers, tasks and alignment.
    static constexpr uint32_t SHARED_LIMIT = 227 * 1024; // of an SM
    static constexpr int RING =
        (SHARED_LIMIT - 3 * 1024 - WARPGROUPS * QUERY_BYTES) / (STAGE_BYTES + WARPGROUPS * MASK_BYTES);

    // A place's list may advance by 2 REACH stages at a time (the ring's invariant, ring.cuh).  With overlap a
    // warpgroup holds a stage while it waits for its next one, which must not need the same slot.
    static constexpr int REACH = (OVERLAP ? RING - 1 : RING) / 2;
    static_assert(REACH >= WARPGROUPS - 1, "the way from a combine stage to the next item's stages is too long");
    static_assert(RING > WARPGROUPS, "a strip's diagonal stage is taken before its time, so it must be in the ring");
    static_assert(STAGE_BYTES == 64 * D * sizeof(float), "the O of a partial result fills a stage");

    // Shared memory, which is dynamic as a whole, so that every address is a constant.
    struct shared_plan {
        alignas(1024) uint8_t stages[RING][STAGE_BYTES];
        uint32_t masks[RING][WARPGROUPS][STEP_WORDS];
        alignas(1024) uint8_t queries[WARPGROUPS * QUERY_BYTES];
        uint64_t full[RING][2];                         // by slot: it is filled, in even and in odd laps of the ring
        uint64_t empty[RING];                           // by slot: its stage is not needed any more
        uint64_t written[WARPGROUPS - 1];               // by combine stage: a partial result is in it
        alignas(16) tile_task tasks[4 * WARPGROUPS][2]; // of each consumer warp, for the present item and the next
    };
    static constexpr uint32_t BASE = 1024; // CUDA keeps the first 1 KB
    static constexpr uint32_t MASKS = BASE + offsetof(shared_plan, masks);
    static constexpr uint32_t QUERIES = BASE + offsetof(shared_plan, queries);
    static constexpr uint32_t FULL = BASE + offsetof(shared_plan, full);
    static constexpr uint32_t EMPTY = BASE + offsetof(shared_plan, empty);
    static constexpr uint32_t WRITTEN = BASE + offsetof(shared_plan, written);
    static constexpr uint32_t TASKS = BASE + offsetof(shared_plan, tasks);
    static constexpr uint32_t SHARED_BYTES = TASKS + sizeof shared_plan::tasks - BASE;
    static_assert(SHARED_BYTES <= SHARED_LIMIT, "an SM has no more shared memory");
    static_assert(sizeof(shared_plan::masks[0][0]) == MASK_BYTES && sizeof(tile_task) == 32,
                  "addresses are computed with these sizes");
};
