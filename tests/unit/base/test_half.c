/* SPDX-License-Identifier: Apache-2.0 */
/* All 65,536 values of float16 and bfloat16, and the halves between them, against arithmetic in double. */
#include "check.h"

#include "base/half.h"

/* What the bits of a binary float with this many mantissa bits mean, from the definition. */
static double value_of(unsigned bits, int mantissa_bits, int exponent_bits)
{
    int bias = (1 << (exponent_bits - 1)) - 1, all = (1 << exponent_bits) - 1;
    int exponent = (int)(bits >> mantissa_bits) & all;
    double mantissa = (double)(bits & ((1u << mantissa_bits) - 1u)) / (double)(1u << mantissa_bits);
    double sign = bits & 0x8000u ? -1.0 : 1.0;
    if (exponent == all) return mantissa != 0.0 ? NAN : sign * INFINITY;
    if (exponent == 0) return sign * ldexp(mantissa, 1 - bias);
    return sign * ldexp(1.0 + mantissa, exponent - bias);
}

struct format {
    const char *name;
    int mantissa_bits, exponent_bits;
    float (*widen)(uint16_t);
    uint16_t (*narrow)(float);
};

static float widen_f16(uint16_t h)
{
    return f32_from_f16(h);
}
static uint16_t narrow_f16(float x)
{
    return f16_from_f32(x);
}
static float widen_bf16(uint16_t h)
{
    return f32_from_bf16(h);
}
static uint16_t narrow_bf16(float x)
{
    return bf16_from_f32(x);
}

static const struct format formats[] = {
    { "float16", 10, 5, widen_f16, narrow_f16 },
    { "bfloat16", 7, 8, widen_bf16, narrow_bf16 },
};

static void test_every_value_there_and_back(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++)
        for (unsigned bits = 0; bits < 65536; bits++) {
            const struct format *t = &formats[f];
            double expected = value_of(bits, t->mantissa_bits, t->exponent_bits);
            float got = t->widen((uint16_t)bits);
            uint16_t back = t->narrow(got);
            if (isnan(expected)) {
                CHECK(isnan(got) && isnan(t->widen(back)) && (back & 0x8000u) == (bits & 0x8000u),
                      "%s 0x%04x: a NaN became %g, then 0x%04x", t->name, bits, (double)got, back);
                continue;
            }
            CHECK((double)got == expected && !signbit(got) == !(bits & 0x8000u), "%s 0x%04x: expected %.9g, got %.9g",
                  t->name, bits, expected, (double)got);
            CHECK(back == bits, "%s 0x%04x came back as 0x%04x", t->name, bits, back);
        }
}

/* Between two neighbours the nearer one is taken, at the exact middle the even one; the largest finite value and the
 * next power of two enclose the rounding to infinity. */
static void test_rounding_to_nearest_even(void **state)
{
    (void)state;
    for (size_t f = 0; f < sizeof formats / sizeof *formats; f++) {
        const struct format *t = &formats[f];
        unsigned infinity = ((1u << t->exponent_bits) - 1u) << t->mantissa_bits;
        for (unsigned bits = 0; bits < infinity; bits++) {
            double low = value_of(bits, t->mantissa_bits, t->exponent_bits);
            double high = bits + 1 == infinity ? 2.0 * value_of(infinity - (1u << t->mantissa_bits), t->mantissa_bits,
                                                                t->exponent_bits)
                                               : value_of(bits + 1, t->mantissa_bits, t->exponent_bits);
            float middle = (float)(0.5 * low + 0.5 * high); /* exact: one bit more than the format has */
            unsigned even = bits % 2 == 0 ? bits : bits + 1;
            struct {
                float x;
                unsigned expected;
            } probes[] = { { middle, even },
                           { nextafterf(middle, 0.0f), bits },
                           { nextafterf(middle, INFINITY), bits + 1 } };
            for (size_t i = 0; i < sizeof probes / sizeof *probes; i++)
                for (unsigned sign = 0; sign <= 0x8000u; sign += 0x8000u) {
                    unsigned got = t->narrow(sign ? -probes[i].x : probes[i].x);
                    CHECK(got == (probes[i].expected | sign), "%s of %.9g: expected 0x%04x, got 0x%04x", t->name,
                          (double)probes[i].x, probes[i].expected | sign, got);
                }
        }
        assert_int_equal(t->narrow(INFINITY), infinity);
        assert_int_equal(t->narrow(-INFINITY), infinity | 0x8000u);
        assert_int_equal(t->narrow(3.402823466e38f), infinity);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_value_there_and_back),
        cmocka_unit_test(test_rounding_to_nearest_even),
    };
    return cmocka_run_group_tests_name("unit_base_half", tests, NULL, NULL);
}
