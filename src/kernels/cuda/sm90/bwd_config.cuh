// SPDX-License-Identifier: Apache-2.0
// Sizes of the kernels of gradients, by pass and head size.  docs/kernels/attn_bwd_sm90.md says why.
#pragma once
#include "kernels/cuda/ptx/mma.cuh"
#include "kernels/cuda/sm90/bwd_params.h"
#include "kernels/cuda/sm90/config.cuh"

#include <cstddef>

// The pass over queries gives dq, the pass over keys dk and dv.
enum class bwd_pass { queries, keys };

// The choices for a pass and head size; head sizes in between run by the next larger one.
template <bwd_pass PASS, int D> struct attn_bwd_choice;
template <> struct attn_bwd_choice<bwd_pass::queries, 64> {
    static constexpr int WARPGROUPS = 3; // consumers, each with a strip: 64 rows
    static constexpr int COLUMNS = 64;   // of scores at a time
    static constexpr bool LATE = true;   // the product with dS runs during the next step
};
template <> struct attn_bwd_choice<bwd_pass::keys, 64> {
    static constexpr int WARPGROUPS = 2;
    static constexpr int COLUMNS = 64;
    static constexpr bool LATE = true;
};
template <bwd_pass PASS> struct attn_bwd_choice<PASS, 32> : attn_bwd_choice<PASS, 64> {
};
// Own rows take much of shared memory, so the ring is short, and a late product would keep a slot of it.
template <bwd_pass PASS> struct attn_bwd_choice<PASS, 128> {
    static constexpr int WARPGROUPS = 2;
    static constexpr int COLUMNS = PASS == bwd_pass::keys ? 32 : 64; // dk and dv leave no registers for 64
    static constexpr bool LATE = false;
};

template <bwd_pass PASS_, int D> struct attn_bwd_config : attn_bwd_choice<PASS_, D>, stage_matrices<D> {
    using attn_bwd_choice<PASS_, D>::WARPGROUPS, attn_bwd_choice<PASS_, D>::COLUMNS, attn_bwd_choice<PASS_, D>::LATE;
    using stage_matrices<D>::MATRIX_BYTES, stage_matrices<D>::STAGE_BYTES;
    static constexpr bwd_pass PASS = PASS_;
    static constexpr bool OVER_KEYS = PASS == bwd_pass::keys;
    static_assert(COLUMNS == STAGE_KEYS || !LATE, "a late product is of a whole step");
    static constexpr int SUMS = OVER_KEYS ? 2 : 1; // what a warpgroup adds up: dq; or dk and dv
    static constexpr int THREADS = (WARPGROUPS + 1) * 128;
    static constexpr int REGISTERS = 65536 / THREADS / 8 * 8;
    static constexpr int PRODUCER_REGISTERS = D == 128 ? 48 : WARPGROUPS == 2 ? 24 : 32;
    static constexpr int CONSUMER_REGISTERS =
        (REGISTERS * (WARPGROUPS + 1) - PRODUCER_REGISTERS) / WARPGROUPS / 8 * 8;

    // Producer warps are two pairs, which fill stages in turn; of a pair, a warp fills each of the stage's matrices.
    static constexpr int PRODUCERS = 2, PAIRS = 2;
    static constexpr uint32_t MASK_BYTES = STEP_WORDS * 4;
    static constexpr uint32_t TERMS_BYTES = OVER_KEYS ? STAGE_OCTETS * sizeof(octet_terms) : 0; // of a stage
    static constexpr uint32_t OWN_BYTES = 2 * MATRIX_BYTES; // of a warpgroup: its strip of Q and dO, or of K and V

    // The ring has as many slots as there is room for, beside 4 KB for barriers, tasks, ones and alignment.
    static constexpr uint32_t SHARED_LIMIT = 227 * 1024;
    static constexpr int RING =
        (SHARED_LIMIT - 4 * 1024 - WARPGROUPS * OWN_BYTES) / (STAGE_BYTES + WARPGROUPS * MASK_BYTES + TERMS_BYTES);
    static constexpr int REACH = (LATE ? RING - 1 : RING) / 2; // as the forward's
    static_assert(REACH > 0 && RING > WARPGROUPS, "the ring's invariant; a strip's diagonal stage is taken first");

    struct shared_plan {
        alignas(1024) uint8_t stages[RING][STAGE_BYTES];
        uint32_t masks[RING][WARPGROUPS][STEP_WORDS];
        alignas(16) uint8_t terms[RING][TERMS_BYTES ? TERMS_BYTES : 16];
        // A core matrix of ones.  It is not put last: compute-sanitizer takes an operand of wgmma for 2 KB, whatever
        // its strides are.
        alignas(128) uint16_t ones[OCTET][8];
        alignas(1024) uint8_t own[WARPGROUPS][OWN_BYTES];
        uint64_t full[RING][2]; // as the forward's
        uint64_t empty[RING];
        uint64_t own_full[WARPGROUPS]; // a warpgroup's own rows are there
        uint64_t issued[2 * PAIRS];    // by producer warp: it has issued its copies of a stage
        alignas(16) tile_task tasks[4 * WARPGROUPS][2];
    };
    static constexpr uint32_t BASE = 1024;
    static constexpr uint32_t MASKS = BASE + offsetof(shared_plan, masks);
    static constexpr uint32_t TERMS = BASE + offsetof(shared_plan, terms);
    static constexpr uint32_t ONES = BASE + offsetof(shared_plan, ones);
    static constexpr uint32_t OWN = BASE + offsetof(shared_plan, own);
    static constexpr uint32_t FULL = BASE + offsetof(shared_plan, full);
    static constexpr uint32_t EMPTY = BASE + offsetof(shared_plan, empty);
    static constexpr uint32_t OWN_FULL = BASE + offsetof(shared_plan, own_full);
    static constexpr uint32_t ISSUED = BASE + offsetof(shared_plan, issued);
    static constexpr uint32_t TASKS = BASE + offsetof(shared_plan, tasks);
    static constexpr uint32_t SHARED_BYTES = TASKS + sizeof shared_plan::tasks - BASE;
    static_assert(SHARED_BYTES <= SHARED_LIMIT, "an SM has no more shared memory");
    static_assert(sizeof(octet_terms) == 160 && offsetof(octet_terms, l) == 128 && sizeof(tile_task) == 32,
                  "addresses are computed with these sizes");
    static_assert(ONES + 2048 <= BASE + SHARED_BYTES, "see `ones`");
};

// Weights of float16 are kept 2^8 times as large, so that those of many neighbours and what small gradients make of
// them are not below float16's normal numbers.
template <ptx::half_type TYPE> constexpr int weight_shift = TYPE == ptx::half_type::f16 ? 8 : 0;
