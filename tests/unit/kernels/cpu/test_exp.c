/* SPDX-License-Identifier: Apache-2.0 */
/* The exponential of the CPU kernels, as each instruction set computes it. */
#include "check.h"

#include "base/cpu_features.h"
#include "base/half.h"
#include "kernels/cpu/attention_cpu.h"

enum { COUNT = 1 << 16 };

static const struct {
    const char *name;
    attention_exp *exp;
    const char *(*lacks)(void);
} sets[] = {
    { "scalar", attention_exp_scalar, cpu_lacks_baseline },
#if defined(__x86_64__)
    { "avx2", attention_exp_avx2, cpu_lacks_avx2 },
    { "avx512", attention_exp_avx512, cpu_lacks_avx512 },
#endif
};

static _Alignas(64) float x[COUNT], y[COUNT];

/* Distance from e^x in units of the last place of the float nearest to it. */
static double ulps(float in, float out)
{
    double exact = exp((double)in);
    float nearest = (float)exact;
    double unit = (double)f32_from_bits(f32_bits(nearest) + 1) - (double)nearest;
    return fabs((double)out - exact) / unit;
}

static void test_error(void **state)
{
    const char *full = getenv("VIC_TEST_FULL");
    uint32_t step = full && *full ? 1 : 97;
    (void)state;
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        double worst = 0.0;
        float worst_at = 0.0f;
        if (sets[s].lacks()) {
            print_message("%s: skipped: %s\n", sets[s].name, sets[s].lacks());
            continue;
        }
        /* Every 97th float from -0 to -87, which meets all exponents and a fresh pattern of mantissas; with
         * VIC_TEST_FULL every one, which is where the figures in docs/kernels/attn_fwd_cpu.md come from. */
        for (uint32_t bits = 0x80000000u, last = f32_bits(-87.0f); bits <= last;) {
            int n = 0;
            for (; n < COUNT; n++, bits += step) x[n] = bits <= last ? f32_from_bits(bits) : -87.0f;
            sets[s].exp(COUNT, x, y);
            for (int i = 0; i < COUNT; i++) {
                double error = ulps(x[i], y[i]);
                if (error > worst) {
                    worst = error;
                    worst_at = x[i];
                }
            }
        }
        print_message("%s: worst error %.3f ulp, at %.9g\n", sets[s].name, worst, (double)worst_at);
        CHECK(worst <= 1.1, "%s: exp(%.9g) is %.3f ulp off", sets[s].name, (double)worst_at, worst);
    }
}

static void test_ends(void **state)
{
    static const float in[] = { 0.0f, -0.0f, -INFINITY, -87.1f, -1e4f, -3.4e38f, NAN };
    static const float expected[] = { 1.0f, 1.0f, 0.0f, 0.0f, 0.0f, 0.0f, NAN };
    (void)state;
    for (size_t s = 0; s < sizeof sets / sizeof *sets; s++) {
        if (sets[s].lacks()) continue;
        memset(x, 0, sizeof x);
        memcpy(x, in, sizeof in);
        sets[s].exp(16, x, y);
        for (size_t i = 0; i < sizeof in / sizeof *in; i++)
            CHECK(isnan(expected[i]) ? isnan(y[i]) : y[i] == expected[i], "%s: exp(%g): expected %g, got %.9g",
                  sets[s].name, (double)in[i], (double)expected[i], (double)y[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_error),
        cmocka_unit_test(test_ends),
    };
    return cmocka_run_group_tests_name("unit_kernels_exp", tests, NULL, NULL);
}
