/* SPDX-License-Identifier: Apache-2.0 */
/* The cases of attention, the same as the CPU's, on a GPU's kernels; skipped where there is none. */
#include "parity/lib/cases.h"

#ifdef VIC_HAVE_CUDA
#include "kernels/cuda/sm90/launch.h"

/* How the tiles of the next plans are cut and dealt out. */
static struct cuda_sm90_choice choice;

static vic_status prepare_as_chosen(struct vic_plan *plan, const struct kernel_setup *setup, vic_error *err)
{
    return cuda_sm90_prepare_as(plan, &choice, setup, err);
}

static void choose(int splits, int steps, bool whole)
{
    choice = (struct cuda_sm90_choice){ .warpgroup_splits = splits, .split_steps = steps, .whole = whole };
    prepare_instead = prepare_as_chosen;
}
#else
static void choose(int splits, int steps, bool whole)
{
    (void)splits, (void)steps, (void)whole;
}
#endif

/* In pattern order keys and values go straight from the caller's tensors, whose strides the copy engine must know. */
static void test_odd_strides_are_refused(void **state)
{
    struct attention_case c = {
        .name = "odd strides", .n_q = 100, .n_k = -1, .box = 9, .cutoff = 4, .dtype = VIC_F16, .layout = PADDED
    };
    struct plan_request request = { .device = the_gpu };
    const struct kernel *kernel;
    struct problem p;
    vic_error err;
    (void)state;
    if (nothing_to_test()) skip();
    make_problem(&c, 7100, &p);
    request.shape = p.shape;
    CHECK_OK(plan_choose(&request, kernel_table, kernel_table_size, &kernel, &err));
    p.args.q_rows = p.args.k_rows = NULL;
    CHECK_FAILS(launch_on_gpu(kernel, &p, &err), VIC_BAD_ARGUMENT, "strides must be positive multiples of 8");
    free_problem(&p);
}

/* A CTA that does all splits of a tile adds up in the same order as the kernel that combines those of several. */
static void test_splits_have_the_bits_of_whole_tiles(void **state)
{
    static const struct {
        int d, heads;
        bool no_lse;
    } cases[] = { { 64, 2, false }, { 32, 3, true }, { 128, 1, false }, { 40, 4, true } };
    (void)state;
    if (nothing_to_test()) skip();
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const struct attention_case c = { .name = "splits",
                                          .n_q = 700,
                                          .n_k = -1,
                                          .box = 14,
                                          .cutoff = 6,
                                          .dtype = i % 2 ? VIC_BF16 : VIC_F16,
                                          .heads = cases[i / 2].heads,
                                          .d_qk = cases[i / 2].d,
                                          .d_v = cases[i / 2].d,
                                          .no_lse = cases[i / 2].no_lse,
                                          .batch = 2 };
        const struct kernel *kernel;
        struct plan_request request = { .device = the_gpu };
        struct problem p;
        vic_error err;
        make_problem(&c, 7200 + i, &p);
        request.shape = p.shape;
        CHECK_OK(plan_choose(&request, kernel_table, kernel_table_size, &kernel, &err));
        for (int splits = 0; splits <= 1; splits++) {
            unsigned char *out = malloc(p.out.bytes), *lse = malloc(p.lse.bytes);
            assert_true(out && lse);
            for (int whole = 0; whole <= 1; whole++) {
                memset(p.out.buffer, 0xff, p.out.bytes);
                memset(p.lse.buffer, 0xff, p.lse.bytes);
                choose(splits, 9, whole);
                CHECK_OK(launch_on_gpu(kernel, &p, &err));
                if (whole == 0) memcpy(out, p.out.buffer, p.out.bytes);
                if (whole == 0) memcpy(lse, p.lse.buffer, p.lse.bytes);
            }
            assert_memory_equal(out, p.out.buffer, p.out.bytes);
            assert_memory_equal(lse, p.lse.buffer, p.lse.bytes);
            free(out);
            free(lse);
        }
        choose(0, 0, false);
        free_problem(&p);
    }
}

/* All ways, or those that are named: checkers that take minutes run side by side. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        SHARED_TESTS,
        cmocka_unit_test(test_odd_strides_are_refused),
        cmocka_unit_test(test_splits_have_the_bits_of_whole_tiles),
    };
    static const struct {
        const char *name;
        int splits, steps;
        bool whole;
    } ways[] = { { "gpu_attention", 0, 0, false }, /* problems this small are split; so the others: */
                 { "gpu_attention_whole_strips", 1, 0, false },
                 { "gpu_attention_half_strips", 2, 0, false },
                 { "gpu_attention_splits_over_ctas", 1, 9, false },
                 { "gpu_attention_splits_of_both_kinds", 0, 9, false },
                 { "gpu_attention_splits_of_one_cta", 1, 9, true } };
    int failed = 0;
    tested = VIC_CUDA;
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        bool named = argc == 1;
        for (int k = 1; k < argc; k++) named = named || strcmp(argv[k], ways[i].name) == 0;
        if (!named) continue;
        choose(ways[i].splits, ways[i].steps, ways[i].whole);
        failed += cmocka_run_group_tests_name(ways[i].name, tests, start_pools, stop_pools);
    }
    return test_result(failed, nothing_to_test());
}
