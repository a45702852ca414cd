/* SPDX-License-Identifier: Apache-2.0 */
#include "way_cases.h"

static const struct attention_case way_cases[] = {
    { .name = "windows", .n_q = 300, .n_k = -1, .way = way_windows, .way_size = 32, .d_qk = 64 },
    { .name = "odd windows", .n_q = 333, .n_k = -1, .way = way_windows, .way_size = 17 },
    { .name = "wide windows", .n_q = 700, .n_k = -1, .way = way_windows, .way_size = 128, .d_qk = 64 },
    { .name = "nearest", .n_q = 400, .n_k = -1, .box = 20, .way = way_nearest, .way_size = 20, .d_qk = 64 },
    { .name = "nearest, periodic, no self",
      .cell = SKEWED,
      .n_q = 200,
      .n_k = -1,
      .box = 12,
      .way = way_nearest,
      .way_size = 33,
      .exclude_self = true },
    { .name = "more neighbours than atoms", .n_q = 70, .n_k = -1, .box = 12, .way = way_nearest, .way_size = 100 },
    { .name = "pairs", .n_q = 300, .n_k = -1, .way = way_pairs, .way_size = 20, .d_qk = 64 },
    { .name = "pairs, two sets", .n_q = 150, .n_k = 610, .way = way_pairs, .way_size = 7, .d_qk = 128 },
    { .name = "few pairs", .n_q = 400, .n_k = 333, .way = way_pairs, .way_size = 2000 },
    { .name = "union", .n_q = 300, .n_k = -1, .box = 20, .cutoff = 4, .way = way_union, .way_size = 12, .d_qk = 64 },
    { .name = "exclusion", .n_q = 300, .n_k = -1, .box = 16, .cutoff = 6, .way = way_exclude, .way_size = 3 },
    { .name = "exclusion, two sets",
      .cell = CUBIC,
      .n_q = 100,
      .n_k = 200,
      .box = 14,
      .cutoff = 5,
      .way = way_exclude,
      .way_size = 2 },
    { .name = "difference",
      .cell = CUBIC,
      .n_q = 200,
      .n_k = -1,
      .box = 14,
      .cutoff = 5,
      .way = way_difference,
      .way_size = 6,
      .d_qk = 64 },
    { .name = "transposed nearest",
      .cell = SKEWED,
      .n_q = 200,
      .n_k = -1,
      .box = 12,
      .way = way_transposed,
      .way_size = 12 },
    { .name = "pairs under images",
      .cell = SKEWED,
      .n_q = 150,
      .n_k = -1,
      .box = 9,
      .way = way_images,
      .way_size = 20 },
    { .name = "pairs under images, two sets",
      .cell = CUBIC,
      .n_q = 90,
      .n_k = 140,
      .box = 9,
      .way = way_images,
      .way_size = 30 },
    { .name = "masked", .n_q = 400, .n_k = -1, .box = 18, .cutoff = 6, .way = way_masked, .d_qk = 64 },
    { .name = "masked, two sets", .n_q = 200, .n_k = 300, .box = 16, .cutoff = 6, .way = way_masked },
    { .name = "packed, causal", .n_q = 500, .n_k = -1, .way = way_causal, .way_size = 200, .d_qk = 64 },
    { .name = "molecules", .n_q = 600, .n_k = -1, .box = 8, .cutoff = 5, .way = way_molecules, .way_size = 40 },
    { .name = "molecules, no self",
      .n_q = 500,
      .n_k = -1,
      .box = 8,
      .cutoff = 4,
      .way = way_molecules,
      .way_size = 9,
      .d_qk = 64,
      .exclude_self = true },
    { .name = "large molecules",
      .n_q = 700,
      .n_k = -1,
      .box = 14,
      .cutoff = 6,
      .way = way_molecules,
      .way_size = 300,
      .d_qk = 128,
      .batch = 2 },
};

/* In both orders of rows; the small ones in turn. */
static void run_in_orders(const struct attention_case *cases, size_t count, uint64_t seed)
{
    for (size_t i = 0; i < count; i++)
        for (int order = 0; order < 2; order++) {
            struct attention_case c = cases[i];
            c.pattern_order = order;
            if (!small() || order == (int)(i % 2)) run_case(&c, seed + i);
        }
}

void test_blocks(void **state)
{
    (void)state;
    if (nothing_to_test()) skip();
    run_in_orders(block_cases, block_case_count, 9000);
}

void test_ways(void **state)
{
    (void)state;
    if (nothing_to_test()) skip();
    run_in_orders(way_cases, sizeof way_cases / sizeof *way_cases, 9200);
}

void test_every_size(void **state)
{
    (void)state;
    if (nothing_to_test()) skip();
    for (int64_t n = 1; n <= 200; n += small() ? 66 : SANITIZED > 0 ? 3 : 1) {
        struct attention_case one = {
            .name = "n atoms", .n_q = n, .n_k = -1, .box = 12, .cutoff = 5, .built = true, .heads = 1, .d_qk = 64
        };
        struct attention_case two = {
            .name = "n keys", .n_q = 201 - n, .n_k = n, .way = way_pairs, .way_size = 4, .pattern_order = true
        };
        run_case(&one, 9400 + (uint64_t)n);
        run_case(&two, 9700 + (uint64_t)n);
    }
}

void test_many_heads_and_entries(void **state)
{
    static const int heads[][2] = { { 1, 1 }, { 64, 64 }, { 64, 8 }, { 16, 1 } };
    static const int batches[] = { 1, 2, 7, 64 };
    (void)state;
    if (nothing_to_test()) skip();
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++)
        for (int order = 0; order < 2; order++) {
            struct attention_case c = { .name = "heads",
                                        .n_q = 100,
                                        .n_k = -1,
                                        .box = 10,
                                        .cutoff = 5,
                                        .built = true,
                                        .heads = heads[i][0],
                                        .kv_heads = heads[i][1],
                                        .pattern_order = order };
            struct attention_case entries = { .name = "entries",
                                              .n_q = 70,
                                              .n_k = -1,
                                              .box = 9,
                                              .cutoff = 5,
                                              .built = true,
                                              .heads = 3,
                                              .d_qk = 16,
                                              .batch = batches[i],
                                              .pattern_order = order };
            if (small() && order == 0) continue;
            run_case(&c, 9900 + i);
            run_case(&entries, 9950 + i);
        }
}
