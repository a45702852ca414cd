// SPDX-License-Identifier: Apache-2.0
// Sizes of the fused forward kernel, by head size.  Where a number was chosen by measurement, the page
// docs/kernels/attn_fwd_sm90.md has it.
#pragma once
#include "kernels/cuda/ptx/mma.cuh"
#include "kernels/cuda/sm90/plan/tiles.h"

template <int D> struct attn_fwd_config {
    static_assert(D == 32 || D == 64 || D == 128, "head sizes in between run by the next of these");
    // One warpgroup holds a strip: 64 rows.  At D = 128 three of them find room, with Q in shared memory.
    static constexpr int WARPGROUPS = D == 128 ? 3 : 4;
    static constexpr bool Q_SHARED = D == 128;
    static constexpr int THREADS = (WARPGROUPS + 1) * 128; // the last warpgroup is the producer
    static constexpr int CONSUMER_REGISTERS = D == 128 ? 160 : 112;
    static constexpr int PRODUCER_REGISTERS = 32;

    // A stage is 64 keys and their values.  Columns lie in panels as wide as the swizzle: 128 or 64 bytes.
    static constexpr int PANEL = D < 64 ? D : 64; // columns
    static constexpr int PANELS = D / PANEL;
    static constexpr int PRODUCERS = 2 * PANELS; // warps; one cannot issue boxes this small fast enough
    static constexpr uint32_t PANEL_BYTES = STAGE_KEYS * PANEL * 2;
    static constexpr uint32_t OCTET_BYTES = OCTET * PANEL * 2; // a box: 8 rows of a panel
    static constexpr uint32_t MATRIX_BYTES = PANELS * PANEL_BYTES;
    static constexpr uint32_t STAGE_BYTES = 2 * MATRIX_BYTES;
    static constexpr uint32_t MASK_BYTES = STEP_WORDS * 4; // of one strip
    static constexpr int RING = D == 128 ? 5 : D == 64 ? 12 : 22;

    // As struct layout_shape takes it: how far a warpgroup may go past stages without losing sight of the ring
    // (ring_place). A late warpgroup holds a stage while it waits for its next, which must not need the same slot.
    static constexpr bool LATE = D == 128; // P V a step behind: at D = 64 there are too few registers for it
    static constexpr int REACH = (LATE ? RING - 1 : RING) / 2;

    static_assert(REACH >= WARPGROUPS - 1, "from a combine stage to the next item's stages");
    static_assert(RING <= 32, "ring_place has 5 bits for a slot");
    static_assert(RING > WARPGROUPS, "a strip's diagonal stage is taken out of turn, from the front of the ring");

    // Shared memory has no static part, so that every address is a constant: CUDA keeps the first 1 KB.
    static constexpr uint32_t BASE = 1024;
    static constexpr uint32_t MASKS = BASE + RING * STAGE_BYTES; // of each slot, one for each warpgroup
    static constexpr uint32_t QUERIES = (MASKS + RING * WARPGROUPS * MASK_BYTES + 1023) / 1024 * 1024;
    static constexpr uint32_t QUERY_BYTES = Q_SHARED ? 64 * D * 2 : 0; // of each warpgroup
    // Barriers, 8 bytes each: of each slot two that say it is full, for even and odd laps of the ring, and one
    // empty.
    static constexpr uint32_t FULL = QUERIES + WARPGROUPS * QUERY_BYTES;
    static constexpr uint32_t EMPTY = FULL + 16 * RING;
    static constexpr uint32_t WRITTEN = EMPTY + 8 * RING; // of each combine stage, that it holds a partial result
    static constexpr uint32_t TASKS = (WRITTEN + 8 * (WARPGROUPS - 1) + 15) / 16 * 16; // two for each consumer warp
    static constexpr uint32_t SHARED_BYTES = TASKS + 4 * WARPGROUPS * 2 * sizeof(tile_task) - BASE;
    static_assert(SHARED_BYTES <= 227 * 1024, "shared memory of an SM");
    static_assert(STAGE_BYTES == 64 * D * sizeof(float), "the sums of a partial result fill a stage");

    // Matrix descriptors: octets of rows (keys) follow each other at 8 x the panel's width.
    // The address field needs no mask, and the next field's 1 is added to it, so that a descriptor costs one
    // addition.
    static constexpr uint32_t DESCRIPTOR_HIGH = ((8 * PANEL * 2) >> 4) | (PANEL == 64 ? 1u : 2u) << 30;
    static __device__ __forceinline__ uint64_t descriptor(uint32_t address, uint32_t offset)
    {
        return static_cast<uint64_t>(DESCRIPTOR_HIGH) << 32 | ((address >> 4) + ((1u << 16) + (offset >> 4)));
    }

    // Byte offset of columns 2 c, 2 c + 1 of key `row` in a matrix.
    static __device__ __forceinline__ uint32_t swizzled(int row, int column)
    {
        uint32_t panel = column / PANEL, byte = column % PANEL * 2;
        uint32_t turn = PANEL == 64 ? row & 7 : row >> 1 & 3;
        return panel * PANEL_BYTES + row * PANEL * 2 + ((byte >> 4 ^ turn) << 4) + (byte & 15);
    }
};
