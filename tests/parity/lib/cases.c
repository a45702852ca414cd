/* SPDX-License-Identifier: Apache-2.0 */
#include "cases.h"

void test_sizes(void **state)
{
    static const int64_t sizes[] = { 0, 1, 15, 16, 17, 63, 64, 65, 129, 200 };
    (void)state;
    if (nothing_to_test()) skip();
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i += small() ? 4 : 1) {
        struct attention_case one = { .name = "size, one set", .n_q = sizes[i], .n_k = -1, .box = 10, .cutoff = 4 };
        struct attention_case self = { .name = "size, no self",
                                       .n_q = sizes[i],
                                       .n_k = -1,
                                       .box = 10,
                                       .cutoff = 4,
                                       .exclude_self = true,
                                       .pattern_order = true };
        struct attention_case queries = {
            .name = "size of queries", .n_q = sizes[i], .n_k = 70, .box = 10, .cutoff = 4
        };
        struct attention_case keys = {
            .name = "size of keys", .n_q = 70, .n_k = sizes[i], .box = 10, .cutoff = 4, .pattern_order = true
        };
        run_case(&one, 100 + i);
        run_case(&self, 200 + i);
        run_case(&queries, 300 + i);
        run_case(&keys, 400 + i);
    }
}

void test_geometries(void **state)
{
    static const struct attention_case cases[] = {
        { .name = "coincident", .n_q = 150, .n_k = -1, .box = 10, .cutoff = 3, .coincident = true },
        { .name = "coincident, no self",
          .n_q = 150,
          .n_k = -1,
          .box = 10,
          .cutoff = 3,
          .coincident = true,
          .exclude_self = true },
        { .name = "all rows empty", .n_q = 100, .n_k = -1, .box = 1e4, .cutoff = 0.5, .exclude_self = true },
        { .name = "most rows empty", .n_q = 300, .n_k = -1, .box = 40, .cutoff = 2, .exclude_self = true },
        { .name = "only self", .n_q = 100, .n_k = -1, .box = 1e4, .cutoff = 0.5 },
        { .name = "cubic", .cell = CUBIC, .n_q = 140, .n_k = -1, .box = 12, .cutoff = 4 },
        { .name = "skewed", .cell = SKEWED, .n_q = 140, .n_k = -1, .box = 12, .cutoff = 4 },
        { .name = "skewed, cutoff beyond the cell", .cell = SKEWED, .n_q = 20, .n_k = -1, .box = 5, .cutoff = 6 },
        { .name = "one atom and its images",
          .cell = CUBIC,
          .n_q = 1,
          .n_k = -1,
          .box = 3,
          .cutoff = 7,
          .exclude_self = true },
        { .name = "slab", .cell = SLAB, .n_q = 100, .n_k = -1, .box = 9, .cutoff = 6 },
        { .name = "wire", .cell = WIRE, .n_q = 100, .n_k = -1, .box = 9, .cutoff = 6, .pattern_order = true },
        { .name = "two sets, periodic", .cell = SKEWED, .n_q = 77, .n_k = 133, .box = 9, .cutoff = 5 },
        { .name = "dense, every block full", .n_q = 192, .n_k = 512, .box = 5, .cutoff = 100 },
        { .name = "dense, ragged", .n_q = 100, .n_k = 523, .box = 5, .cutoff = 100, .pattern_order = true },
        { .name = "many keys, several chunks", .n_q = 70, .n_k = 3000, .box = 12, .cutoff = 7 },
    };
    (void)state;
    if (nothing_to_test()) skip();
    RUN_ALL(cases, 1000);
}

void test_head_sizes(void **state)
{
    (void)state;
    if (nothing_to_test()) skip();
    for (int d = 8; d <= 128; d += small() ? 24 : 8)
        for (int t = 0; t < types_to_run(); t++) {
            struct attention_case same = {
                .name = "head size", .n_q = 90, .n_k = -1, .box = 9, .cutoff = 4, .d_qk = d, .dtype = types[t]
            };
            struct attention_case mixed = { .name = "two head sizes",
                                            .n_q = 90,
                                            .n_k = 60,
                                            .box = 9,
                                            .cutoff = 4,
                                            .d_qk = d,
                                            .d_v = 136 - d,
                                            .dtype = types[t],
                                            .heads = 4,
                                            .kv_heads = 2,
                                            .layout = PADDED };
            run_case(&same, (uint64_t)(2000 + d));
            run_case(&mixed, (uint64_t)(3000 + d));
        }
}

void test_heads_and_layouts(void **state)
{
    static const int heads[][2] = { { 1, 1 }, { 3, 3 }, { 6, 2 }, { 5, 1 } };
    (void)state;
    if (nothing_to_test()) skip();
    for (size_t h = small() ? 2 : 0; h < (small() ? 3 : sizeof heads / sizeof *heads); h++)
        for (int t = 0; t < types_to_run(); t++)
            for (int layout = ATOMS_HEADS; layout <= PADDED; layout++)
                for (int order = 0; order < 2; order++) {
                    struct attention_case c = { .name = "layout",
                                                .n_q = 130,
                                                .n_k = -1,
                                                .box = 9,
                                                .cutoff = 3,
                                                .heads = heads[h][0],
                                                .kv_heads = heads[h][1],
                                                .d_qk = 24,
                                                .dtype = types[t],
                                                .layout = (enum layout)layout,
                                                .pattern_order = order,
                                                .no_lse = order && layout == PADDED };
                    if (layout == PACKED_QKV && heads[h][0] != heads[h][1]) continue;
                    run_case(&c, (uint64_t)(4000 + 100 * layout + 10 * t + order));
                }
}

void test_values(void **state)
{
    static const struct attention_case cases[] = {
        { .name = "logits to 1e4", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .values = LOGITS_1E4, .scale = 1.0 },
        { .name = "logits to -1e4",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = LOGITS_1E4,
          .scale = -1.0 },
        { .name = "all scores -1000",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ALL_MINUS_1000,
          .scale = 1.0 },
        { .name = "all scores -1000, f16",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ALL_MINUS_1000,
          .scale = 1.0,
          .dtype = VIC_F16 },
        { .name = "all scores -inf",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ALL_MINUS_INF,
          .scale = 1.0 },
        { .name = "one dominant key",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ONE_DOMINANT,
          .scale = 1.0 },
        { .name = "one dominant key, bf16",
          .n_q = 150,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .values = ONE_DOMINANT,
          .scale = 1.0,
          .dtype = VIC_BF16 },
        { .name = "growing scores", .n_q = 70, .n_k = 2000, .box = 9, .cutoff = 6, .values = GROWING, .scale = 0.5 },
        { .name = "falling scores", .n_q = 70, .n_k = 2000, .box = 9, .cutoff = 6, .values = GROWING, .scale = -0.5 },
        { .name = "negative scale", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .scale = -0.3 },
        { .name = "large scores", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .values = LARGE },
        { .name = "tiny scale", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4, .scale = 1e-30 },
        { .name = "zero q and k", .cell = SKEWED, .n_q = 40, .n_k = -1, .box = 7, .cutoff = 6, .values = ZERO },
    };
    (void)state;
    if (nothing_to_test()) skip();
    RUN_ALL(cases, 5000);
}

void test_scores_below_float(void **state)
{
    static const struct attention_case cases[] = {
        { .name = "all below float32", .n_q = 150, .n_k = -1, .box = 9, .cutoff = 4 },
        { .name = "some without pairs",
          .n_q = 300,
          .n_k = -1,
          .box = 40,
          .cutoff = 4,
          .exclude_self = true,
          .built = true },
        { .name = "first keys masked", .n_q = 130, .n_k = 540, .box = 1, .cutoff = 20, .line = true, .d_qk = 64 },
        { .name = "several steps and splits", .n_q = 300, .n_k = -1, .box = 9, .cutoff = 30, .d_qk = 128 },
        { .name = "group-query", .n_q = 200, .n_k = 900, .box = 9, .cutoff = 5, .heads = 4, .kv_heads = 2 },
    };
    (void)state;
    if (nothing_to_test()) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
        for (int scaled = 0; scaled < 2; scaled++) {
            struct attention_case c = cases[i];
            c.values = scaled ? SCALED_BELOW_FLOAT : BELOW_FLOAT;
            c.scale = scaled ? 1e20 : 1.0;
            c.dtype = VIC_BF16;
            run_case(&c, 5150 + i);
            c.dtype = VIC_F32;
            if (tested == VIC_CPU) run_case(&c, 5160 + i);
        }
}

void test_built_patterns(void **state)
{
    static const struct attention_case cases[] = {
        { .name = "thousands", .n_q = 3000, .n_k = -1, .box = 32, .cutoff = 7, .heads = 4, .d_qk = 64 },
        { .name = "periodic", .cell = SKEWED, .n_q = 2000, .n_k = -1, .box = 26, .cutoff = 7, .d_qk = 64 },
        { .name = "many images", .cell = CUBIC, .n_q = 100, .n_k = -1, .box = 8, .cutoff = 13, .exclude_self = true },
        { .name = "two sets", .n_q = 200, .n_k = 1500, .box = 25, .cutoff = 7, .d_qk = 64 },
        { .name = "few keys", .n_q = 1500, .n_k = 30, .box = 25, .cutoff = 9, .d_qk = 64, .pattern_order = true },
        { .name = "everything", .n_q = 1100, .n_k = -1, .box = 20, .cutoff = 90, .d_qk = 64 },
        { .name = "everything, small",
          .n_q = 300,
          .n_k = -1,
          .box = 20,
          .cutoff = 90,
          .d_qk = 64,
          .exclude_self = true },
        { .name = "half of everything", .n_q = 1500, .n_k = -1, .box = 18, .cutoff = 12, .heads = 1, .d_qk = 64 },
        { .name = "rows without pairs", .n_q = 600, .n_k = -1, .box = 90, .cutoff = 6, .exclude_self = true },
        { .name = "32", .n_q = 1500, .n_k = -1, .box = 25, .cutoff = 7, .heads = 4, .pattern_order = true },
        { .name = "128", .n_q = 1500, .n_k = -1, .box = 25, .cutoff = 7, .d_qk = 128, .pattern_order = true },
        { .name = "group-query",
          .n_q = 700,
          .n_k = -1,
          .box = 18,
          .cutoff = 6,
          .heads = 6,
          .kv_heads = 2,
          .d_qk = 64 },
        { .name = "large", .n_q = 1500, .n_k = -1, .box = 25, .cutoff = 7, .d_qk = 64, .values = LARGE },
        { .name = "jumps", .n_q = 2000, .n_k = -1, .box = 26, .cutoff = 8, .d_qk = 64, .values = JUMPS },
        { .name = "jumps, 32", .n_q = 700, .n_k = -1, .box = 18, .cutoff = 8, .values = JUMPS, .exclude_self = true },
        { .name = "jumps, 128", .n_q = 700, .n_k = -1, .box = 18, .cutoff = 8, .d_qk = 128, .values = JUMPS },
        { .name = "jumps, everything", .n_q = 700, .n_k = -1, .box = 20, .cutoff = 90, .d_qk = 64, .values = JUMPS },
        { .name = "steps, everything", .n_q = 700, .n_k = -1, .box = 20, .cutoff = 90, .d_qk = 64, .values = STEPS },
        { .name = "all about -1000", .n_q = 1500, .n_k = -1, .box = 25, .cutoff = 7, .d_qk = 64, .values = DEEP },
        { .name = "one dominant", .n_q = 700, .n_k = -1, .box = 18, .cutoff = 8, .d_qk = 64, .values = ONE_DOMINANT },
    };
    (void)state;
    if (nothing_to_test()) skip();
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct attention_case c = cases[i];
        c.built = true;
        run_case(&c, 5200 + i);
        c.pattern_order = !c.pattern_order; /* another path on a GPU, the same one on the CPU */
        if (tested == VIC_CUDA && !small()) run_case(&c, 5300 + i);
    }
}

void test_first_keys_masked(void **state)
{
    static const enum values values[] = { JUMPS, STEPS, NORMAL, GROWING, ALL_MINUS_1000, DEEP, LARGE };
    static const int sizes[] = { 32, 64, 128 };
    (void)state;
    if (nothing_to_test()) skip();
    for (size_t v = 0; v < (small() ? 2 : sizeof values / sizeof *values); v++)
        for (int d = 0; d < 3; d++) {
            struct attention_case two = { .name = "line, two sets",
                                          .n_q = 130,
                                          .n_k = 540,
                                          .box = 1,
                                          .cutoff = 20,
                                          .line = true,
                                          .d_qk = sizes[d],
                                          .values = values[v],
                                          .pattern_order = true };
            struct attention_case one = two, narrow = two;
            one.name = "line, one set";
            one.n_q = 600;
            one.n_k = -1;
            one.cutoff = 30;
            one.exclude_self = v % 2 == 1;
            narrow.name = "line, one neighbour or two";
            narrow.cutoff = 0.75;
            run_case(&two, 5400 + v);
            run_case(&narrow, 5500 + v);
            if (!small()) run_case(&one, 5600 + v);
        }
}

void test_batches(void **state)
{
    static const struct attention_case cases[] = {
        { .name = "batch", .n_q = 200, .n_k = -1, .box = 12, .cutoff = 5, .d_qk = 64, .batch = 3 },
        { .name = "batch, padded", .n_q = 90, .n_k = 70, .box = 9, .cutoff = 4, .batch = 2, .layout = PADDED },
        { .name = "batch, packed",
          .n_q = 100,
          .n_k = -1,
          .box = 9,
          .cutoff = 4,
          .batch = 4,
          .layout = PACKED_QKV,
          .pattern_order = true },
        { .name = "batch, heads first",
          .n_q = 300,
          .n_k = -1,
          .box = 14,
          .cutoff = 5,
          .heads = 4,
          .kv_heads = 2,
          .d_qk = 128,
          .d_v = 64,
          .batch = 2,
          .built = true,
          .layout = HEADS_ATOMS },
    };
    (void)state;
    if (nothing_to_test()) skip();
    RUN_ALL(cases, 5700);
}

/* ---- A row depends on nothing but its own query and its keys ------------------------------------------------- */

static void scale_queries(const struct problem *p, const bool *kept, double factor)
{
    for (int64_t row = 0; row < p->pattern.n_q; row++)
        for (int head = 0; !kept[row] && head < p->shape.heads; head++)
            for (int c = 0; c < p->shape.d_qk; c++) set(&p->q, row, head, c, factor * get(&p->q, row, head, c));
}

/* Of each 16 rows, which share a warp, one keeps its query; the others' become 256 times as large (scores of a
 * thousand and more), or were that before.  256 is exact in every type. */
static void check_neighbours(const struct kernel *kernel, void *context)
{
    struct problem *p = context;
    bool *kept = brute_alloc(p->pattern.n_q, sizeof *kept), *none = brute_alloc(p->pattern.n_q, sizeof *none);
    char what[160];
    for (int variant = 0; variant < (small() ? 1 : 6); variant++) {
        bool hostile_first = variant % 2 == 1;
        for (int64_t row = 0; row < p->pattern.n_q; row++)
            kept[p->all_rows[p->pattern.q_order[row]]] = (row + 5 * variant + row / 16 * 7) % 16 == 0;
        snprintf(what, sizeof what, "%s, neighbours of variant %d", kernel->name, variant);
        if (hostile_first) scale_queries(p, none, 256.0);
        launch(kernel, p, 2, 0);
        unsigned char *out = copy_of(&p->out), *lse = copy_of(&p->lse);
        scale_queries(p, kept, hostile_first ? 1.0 / 256 : 256.0);
        launch(kernel, p, 2, 0);
        CHECK(memcmp(out, p->out.buffer, p->out.bytes) != 0, "%s: the others did not change", what);
        check_rows_kept(p, out, lse, kept, what);
        scale_queries(p, kept, hostile_first ? 256.0 : 1.0 / 256);
        if (hostile_first) scale_queries(p, none, 1.0 / 256);
        free(out);
        free(lse);
    }
    free(kept);
    free(none);
}

void test_rows_do_not_see_each_other(void **state)
{
    static const int sizes[] = { 32, 64, 128 };
    (void)state;
    if (nothing_to_test()) skip();
    for (int d = 0; d < 3; d++)
        for (int t = first_type(); t < TYPES; t++)
            for (int line = 0; line < 2; line++) {
                struct attention_case c = { .name = "neighbours",
                                            .n_q = line             ? 130
                                                   : SANITIZED == 2 ? 200
                                                                    : 500,
                                            .n_k = line ? 540 : -1,
                                            .box = SANITIZED == 2 ? 12 : 16,
                                            .cutoff = line ? 20 : 6,
                                            .line = line,
                                            .built = !line,
                                            .d_qk = sizes[d],
                                            .dtype = types[t],
                                            .pattern_order = line };
                struct problem p;
                make_problem(&c, 6500 + (uint64_t)d, &p);
                for_each_kernel(&p.shape, check_neighbours, &p);
                free_problem(&p);
            }
}

void test_items_do_not_see_each_other(void **state)
{
    (void)state;
    if (nothing_to_test()) skip();
    for (int t = first_type(); t < TYPES; t++)
        for (int order = 0; order < 2; order++) {
            struct attention_case c = { .name = "entries",
                                        .n_q = SANITIZED == 2 ? 150 : 400,
                                        .n_k = -1,
                                        .box = SANITIZED == 2 ? 11 : 15,
                                        .cutoff = 6,
                                        .heads = 3,
                                        .d_qk = 64,
                                        .batch = 3,
                                        .built = true,
                                        .dtype = types[t],
                                        .pattern_order = order };
            struct problem p;
            make_problem(&c, 6600, &p);
            for_each_kernel(&p.shape, check_entries, &p);
            free_problem(&p);
        }
}
